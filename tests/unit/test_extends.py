"""Packs that extend another: it comes along from the folder beside them, and what does not fit is told."""

from pathlib import Path

import pytest

from config import packs as extending
from config.errors import ConfigError
from config.settings import BANK
from replay.workbench import ruletests
from rules import pack
from tests.ruling import HEAD, RULE, SCHEMA, write

CORE = HEAD.replace("pack: test", "pack: core").replace("version: 1.0.0", "version: 2.3.0")
MORE = "pack: more\nversion: 1.0.0\nextends: {extends}\n"
OWN = RULE.replace("R-1", "R-2").replace("amount > 500 EUR", "n_1h > 3 and small")
NAMES = "features:\n  n_1h: count() by account over 1h where small\nmacros:\n  small: amount < 5\n"


@pytest.fixture
def core(tmp_path):
    return write(tmp_path / "core", {"pack.yaml": CORE, "r.yaml": RULE, "n.yaml": NAMES})


def more(tmp_path, extends="core", rule=OWN, name="more"):
    files = {"pack.yaml": MORE.format(extends=extends), "r.yaml": rule}
    return write(tmp_path / name, files)


def errors(loaded):
    return [(f.code, f.message) for f in loaded.findings]


@pytest.mark.parametrize("extends", ["core", "core@^2", "core@^2.3", "core@^2.3.0"])
def test_an_extended_pack_comes_along(tmp_path, core, extends):
    """Its names are known, its head counts, and the order in which packs are named is no matter."""
    path = more(tmp_path, extends)
    alone = pack.load([path], SCHEMA)
    assert errors(alone) == []
    assert alone.pack is not None
    assert [(r.id, r.pack) for r in alone.pack.rules] == [("R-1", "core"), ("R-2", "more")]
    assert [(m.name, m.version) for m in alone.pack.members] == [
        ("core", "2.3.0"),
        ("more", "1.0.0"),
    ]
    assert (alone.pack.name, alone.pack.currency) == ("core", "EUR")
    assert len(alone.pack.bands) == 2
    for named in ([core, path], [path, core], [path, path]):
        assert pack.load(named, SCHEMA).pack == alone.pack


def test_two_packs_may_extend_one(tmp_path, core):
    """It is read once."""
    first = more(tmp_path)
    second = write(
        tmp_path / "third",
        {"pack.yaml": "pack: third\nversion: 1\nextends: core\n", "r.yaml": OWN.replace("R-2", "R-3")},
    )  # fmt: skip
    loaded = pack.load([second, first], SCHEMA)
    assert errors(loaded) == []
    assert [m.name for m in loaded.pack.members] == ["core", "third", "more"]


def test_a_pack_of_the_name_that_was_given_is_taken_before_the_one_beside(tmp_path, core):
    """So a changed core can be tried under the packs that extend the shipped one."""
    other = write(
        tmp_path / "try" / "core2",
        {"pack.yaml": CORE.replace("2.3.0", "2.4.0"), "r.yaml": RULE, "n.yaml": NAMES},
    )
    loaded = pack.load([other, more(tmp_path)], SCHEMA)
    assert errors(loaded) == []
    assert [m.version for m in loaded.pack.members] == ["2.4.0", "1.0.0"]


def test_a_pack_inside_the_working_folder_finds_its_neighbour(tmp_path, core, monkeypatch):
    """`weir rules check .` works as the full path does."""
    monkeypatch.chdir(more(tmp_path))
    assert errors(pack.load([Path()], SCHEMA)) == []


def test_another_version_is_told_with_both(tmp_path, core):
    loaded = pack.load([more(tmp_path, "core@^2.4")], SCHEMA)
    assert errors(loaded) == [
        ("WR331", f"pack more extends core@^2.4, {tmp_path / 'core'} holds version 2.3.0")
    ]
    (finding,) = loaded.findings
    assert (finding.place.file, finding.place.line, finding.place.column) == (
        str(tmp_path / "more" / "pack.yaml"),
        3,
        10,
    )
    assert pack.load([more(tmp_path, "core@^3")], SCHEMA).findings[0].code == "WR331"
    assert pack.load([more(tmp_path, "core@^1.9")], SCHEMA).findings[0].code == "WR331"


def test_a_missing_neighbour_is_told_first(tmp_path):
    """What the head would have inherited is not asked for; unknown names follow from it."""
    loaded = pack.load([more(tmp_path, "cor")], SCHEMA)
    assert errors(loaded)[0] == ("WR330", "pack more extends cor, which is not there")
    assert "WR022" not in [code for code, _ in errors(loaded)]


def test_a_folder_with_another_pack_is_told(tmp_path, core):
    (core / "pack.yaml").write_text(CORE.replace("pack: core", "pack: basis"))
    found = errors(pack.load([more(tmp_path)], SCHEMA))
    assert found[0] == (
        "WR330",
        f"pack more extends core, but {tmp_path / 'core'} holds pack basis",
    )


def test_packs_that_extend_each_other_are_told(tmp_path, core):
    """Also a pack that extends itself."""
    (core / "pack.yaml").write_text(CORE + "extends: more\n")
    found = errors(pack.load([more(tmp_path)], SCHEMA))
    assert ("WR332", "pack more extends itself: more -> core -> more") in found
    assert ("WR332", "pack core extends itself: core -> more -> core") in found
    alone = errors(pack.load([more(tmp_path, "more")], SCHEMA))
    assert alone[0] == ("WR332", "pack more extends itself: more -> more")


def test_names_of_both_packs_must_differ(tmp_path, core):
    """A rule, a feature and a pack of the same name are refused with the place of the other."""
    path = more(tmp_path, rule=RULE + NAMES)
    found = errors(pack.load([path], SCHEMA))
    assert [code for code, _ in found] == ["WR105"] * 3
    (path / "pack.yaml").write_text(MORE.format(extends="core").replace("pack: more", "pack: core"))
    assert "WR105" in [code for code, _ in errors(pack.load([core, path], SCHEMA))]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("currency: USD", "currency USD contradicts the EUR of pack core"),
        ("timezone: UTC", "timezone UTC contradicts the Europe/Berlin of pack core"),
        ("retention: 90d", "retention 90d contradicts the 400d of pack core"),
        ("max_freezes_per_hour: 3", "max_freezes_per_hour 3 contradicts the 0 of pack core"),
        ("decision: {combine: sum, bands: [{from: 0, to: 1000, do: approve}]}",
         "the decision bands contradict those of pack core"),
    ],
)  # fmt: skip
def test_a_head_inherits_and_must_not_contradict(tmp_path, core, line, message):
    path = more(tmp_path)
    (path / "pack.yaml").write_text(MORE.format(extends="core") + line + "\n")
    assert errors(pack.load([path], SCHEMA)) == [("WR021", message)]


@pytest.mark.parametrize("text", ["core@2", "core@^beta", "../core", "core core"])
def test_what_names_no_pack_is_refused(tmp_path, core, text):
    found = errors(pack.load([more(tmp_path, f'"{text}"')], SCHEMA))
    assert found[0] == ("WR023", f'"{text}" does not name a pack')


def test_a_folder_that_cannot_be_read_is_left_to_the_one_who_loads_it(tmp_path):
    """Looking for extended packs never fails by itself."""
    assert extending.with_extended([tmp_path / "no"]) == (tmp_path / "no",)
    with pytest.raises(ConfigError, match="there is no pack here"):
        pack.load([tmp_path / "no"], SCHEMA)


@pytest.fixture
def bank(tmp_path):
    """A bank of two packs, one extending the other, with a test each."""
    import shutil

    folder = tmp_path / "bank"
    shutil.copytree(BANK, folder, ignore=shutil.ignore_patterns("packs"))
    (folder / "models.yaml").write_text(
        "champion: plain\nmodels:\n  plain: {kind: half_space_trees, inputs: [amount]}\n"
    )
    test = """    tests:
      - name: a large one
        start: 2026-03-02T10:00:00Z
        events:
          - {at: +0m, type: payment, account: A1, amount: 501, expect: fires}
"""
    packs = folder / "packs"
    write(packs / "core", {"pack.yaml": CORE, "r.yaml": RULE + test, "n.yaml": NAMES})
    own = RULE.replace("R-1", "R-2") + test
    write(packs / "more", {"pack.yaml": MORE.format(extends="core"), "r.yaml": own})
    return folder


def test_only_the_rules_of_the_packs_named_are_tested(bank):
    """The extended pack is read; its own tests are somebody else's."""
    core, more = bank / "packs" / "core", bank / "packs" / "more"
    assert [r.rule for r in ruletests.run([more], bank)[0]] == ["R-2"]
    assert [r.rule for r in ruletests.run([core], bank)[0]] == ["R-1"]
    assert [r.rule for r in ruletests.run([core, more], bank)[0]] == ["R-1", "R-2"]
    assert [r.rule for r in ruletests.run([more], bank, {"R-1"})[0]] == ["R-1"]


def test_the_hash_of_a_configuration_covers_what_a_pack_extends(bank):
    """Otherwise a day could be decided otherwise under the same hash."""
    from config import settings

    more = bank / "packs" / "more"
    before = settings.load(bank, packs=[more])
    assert [p.name for p in before.pack_paths] == ["core", "more"]
    (bank / "packs" / "core" / "n.yaml").write_text(NAMES.replace("< 5", "< 6"))
    assert settings.load(bank, packs=[more]).sha256 != before.sha256
