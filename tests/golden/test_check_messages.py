"""What `weir rules check` prints about packs that are wrong, word for word."""

import shutil
from pathlib import Path

import pytest

from config import schema
from rules import pack
from rules.check import codes
from rules.check.findings import as_text
from rules.check.lint import lint
from tests.linting import AS_OF_US
from tests.ruling import of_another_bank

HERE = Path(__file__).parent
SHIPPED = schema.read(HERE.parents[1] / "config" / "bank" / "schema.yaml", "schema.yaml")


def check(folder, monkeypatch, schema=SHIPPED):
    """Check a pack under the name that the person gave, whatever the folder of the tests is."""
    monkeypatch.chdir(folder.parent)
    return pack.load([Path(folder.name)], schema)


@pytest.mark.parametrize("name", ["draft", "yaml", "expressions", "safety"])
def test_a_broken_pack_is_told_everything_at_once(name, golden, monkeypatch):
    """draft: an analyst's first try; yaml: files YAML misreads; expressions: types; safety: freezes and bands."""
    loaded = check(HERE / "packs" / name, monkeypatch)
    assert loaded.pack is None
    golden(f"check/{name}", as_text(loaded.findings))


def test_the_sample_draft_has_its_errors_where_the_specification_says(
    shared, tmp_path, monkeypatch
):
    """The positions printed in rules.md, section 4."""
    folder = tmp_path / "core"
    shutil.copytree(shared("rule-samples/core"), folder, copy_function=shutil.copyfile)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.copyfile(
        shared("rule-samples/draft_broken.yaml"), folder / "rules" / "draft_broken.yaml"
    )
    found = check(folder, monkeypatch, of_another_bank(SHIPPED)).findings
    assert {f.place.file for f in found} == {"core/rules/draft_broken.yaml"}
    assert [(f.place.line, f.place.column, f.code, f.message, f.hint) for f in found] == [
        (
            5,
            15,
            "WR021",
            'severity "hihg" is not one of low, medium, high, critical',
            'did you mean "high"?',
        ),
        (11, 11, "WR101", 'unknown field "amuont"', 'did you mean "amount"?'),
        (
            11,
            20,
            "WR110",
            "a number cannot contain a comma",
            "write 1_000 (EUR, the pack currency, is assumed)",
        ),
        (
            12,
            22,
            "WR103",
            "unknown list @cash_chanels",
            "did you mean @cash_channels (lists.yaml:5)?",
        ),
        (15, 34, "WR120", "channel is text (pos, online, web, ...), 5 is a number", ""),
        (18, 9, "WR323", 'freeze needs "for:" and "max_per_hour:"', ""),
    ]


PRINTED = [  # rules.md, section 4: file, place, code, and what the message must begin with
    ("rules/draft_broken.yaml", 5, 15, "WR021", 'severity "hihg" is not one of'),
    ("rules/draft_broken.yaml", 11, 11, "WR101", 'unknown field "amuont"'),
    ("rules/draft_broken.yaml", 11, 20, "WR110", "a number cannot contain a comma"),
    ("rules/draft_broken.yaml", 12, 22, "WR103", "unknown list @cash_chanels"),
    (
        "rules/draft_broken.yaml",
        13,
        11,
        "WR204",
        "country is optional; when it is missing this rule",
    ),
    (
        "rules/draft_broken.yaml",
        14,
        11,
        "WR202",
        '"amount > 500 EUR" is already implied by line 11',
    ),
    ("rules/draft_broken.yaml", 15, 34, "WR120", "channel is text (pos, "),
    ("rules/draft_broken.yaml", 18, 9, "WR323", 'freeze needs "for:" and "max_per_hour:"'),
    ("features.yaml", 20, 3, "WR301", "feature receivers_24h is used by no rule"),
    ("lists.yaml", 11, 3, "WR301", "macro night is used nowhere"),
]
FURTHER = {  # as true: `status` and `device` are optional too, and the draft has no tests
    ("lists.yaml", 9, 37, "WR204"),
    ("rules/draft_broken.yaml", 15, 11, "WR204"),
    ("rules/draft_broken.yaml", 2, 9, "WR501"),
}


def test_the_sample_draft_is_told_all_that_the_specification_prints(shared, tmp_path, monkeypatch):
    """The ten findings of rules.md, section 4, and of the sample pack itself nothing that is not so."""
    folder = tmp_path / "core"
    shutil.copytree(shared("rule-samples/core"), folder, copy_function=shutil.copyfile)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    draft = folder / "rules" / "draft_broken.yaml"
    shutil.copyfile(shared("rule-samples/draft_broken.yaml"), draft)
    schema = of_another_bank(SHIPPED)
    found = lint(check(folder, monkeypatch, schema), schema, AS_OF_US)
    places = {
        (f.place.file.removeprefix("core/"), f.place.line, f.place.column, f.code): f.message
        for f in found
    }
    for *place, said in PRINTED:
        assert places.get(tuple(place), "").startswith(said), (place, places)
    assert set(places) - {tuple(place) for *place, _ in PRINTED} == FURTHER
    draft.unlink()
    left = lint(check(folder, monkeypatch, schema), schema, AS_OF_US)
    assert {f.code for f in left} == {"WR204", "WR301", "WR334"}


def test_every_code_has_a_page():
    """`--explain CODE` has something to say for each code that the sources name."""
    import re

    sources = (HERE.parents[1] / "rules").rglob("*.py")
    named = {
        c for path in sources for c in re.findall(r'"(WR\d{3})"', path.read_text(encoding="utf-8"))
    }
    assert named == set(codes.PAGES)
