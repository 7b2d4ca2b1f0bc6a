"""Rules that are gone: their ids stay taken, and taking one out of its file moves nothing else."""

import shutil

import pytest

from config import marks
from config.errors import ConfigError
from config.settings import BANK
from engine.cli import main
from replay.workbench import locking
from rules import pack, retired
from tests.ruling import SCHEMA, load, write

FILE = """# All about cards.
features:
  n_1h: count() by account over 1h   # used by both

rules:
  # the first one
  - id: R-1
    name: One
    version: 1
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: n_1h > 5      # five is much
    score: 100
    # a thought about R-1

  # above the second, two lines
  # of it
  - id: R-2
    name: Two
    version: 1
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: |
      amount > 500
      # no comment, but text
      and n_1h > 5
    score: 100

  - id: R-3
    name: Three
    version: 1
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: n_1h > 7
    score: 100

# the end
macros:
  small: amount < 5
"""
COMMENTS_ABOVE = {"R-1": 1, "R-2": 2, "R-3": 0}
ENTRY = "retired:\n  - {{id: {0}, on: 2026-05-01, why: better ones, replaced_by: R-1}}\n"


def parsed(text):
    root, faults = marks.parse(text, "t.yaml")
    assert not faults, faults
    return root


@pytest.mark.parametrize("rule", COMMENTS_ABOVE)
def test_only_the_lines_of_the_rule_go(rule):
    """With the comments that are about it; those of others, and every other byte, stay."""
    items = parsed(FILE)["rules"]
    node = next(i for i in items if i["id"].value == rule)
    lines = FILE.splitlines()
    begin = next(n for n, line in enumerate(lines) if f"id: {rule}" in line)
    first, last = begin - COMMENTS_ABOVE[rule], _last(lines, begin)
    got = retired.without(node, items)
    wanted = lines[:first] + lines[last + 1 :]
    assert [line for line in got.splitlines() if line] == [line for line in wanted if line]
    assert "\n\n\n" not in got
    left = [i["id"].value for i in parsed(got)["rules"]]
    assert left == [r for r in COMMENTS_ABOVE if r != rule]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "rules:\n  - id: R-1\n\n  - id: R-2\n\n  - id: R-3\n",
            "rules:\n  - id: R-1\n\n  - id: R-3\n",
        ),
        (
            "rules:\n  - id: R-1\n  - id: R-2\n\n  - id: R-3\n",
            "rules:\n  - id: R-1\n\n  - id: R-3\n",
        ),
        (
            "rules:\n  - id: R-1\n\n  - id: R-2\n  - id: R-3\n",
            "rules:\n  - id: R-1\n\n  - id: R-3\n",
        ),
        ("rules:\n  - id: R-1\n  - id: R-2\n  - id: R-3\n", "rules:\n  - id: R-1\n  - id: R-3\n"),
    ],
)
def test_one_blank_line_goes_where_there_were_two(text, wanted):
    items = parsed(text)["rules"]
    assert retired.without(items.items[1], items) == wanted


def _last(lines, begin):
    """The last line that is as deep as the rule that begins at `begin`."""
    n = begin
    while n + 1 < len(lines) and (not lines[n + 1].strip() or lines[n + 1].startswith("    ")):
        n += 1
    while not lines[n].strip():
        n -= 1
    return n


def test_each_shipped_rule_can_be_taken_out():
    """Of every file: what is left reads as before, and no comment of another rule is lost."""
    n = 0
    for path in sorted(BANK.glob("packs/*/rules/*.yaml")):
        text = path.read_text(encoding="utf-8")
        root = parsed(text)
        for item in root["rules"]:
            got = retired.without(item, root["rules"])
            said, was = marks.plain(parsed(got)), marks.plain(root)
            was["rules"] = [r for r in was["rules"] if r["id"] != item["id"].value]
            assert said == was
            lost = [line for line in text.splitlines() if line not in got.splitlines()]
            others = [line for line in lost if line.lstrip().startswith("#")]
            assert all(_is_beside(line, text, item) for line in others), others
            n += 1
    assert n > 30


def _is_beside(comment, text, item):
    """Whether a comment stands in the lines of a rule or directly above them."""
    lines = text.splitlines()
    first, last = item.position()[0] - 1, item.source.position(item.end)[0] - 1
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return comment in lines[first : last + 1]


def test_the_last_rule_leaves_an_empty_list():
    text = "# top\nrules:  # ours\n  - id: R-1\n    name: One\n# end\n"
    items = parsed(text)["rules"]
    assert retired.without(items.items[0], items) == "# top\nrules: []  # ours\n# end\n"


def test_line_ends_stay_as_they_are():
    text = "rules:\r\n  - id: R-1\r\n    name: One\r\n  - id: R-2\r\n    name: Two\r\n"
    items = parsed(text)["rules"]
    got = retired.without(items.items[0], items)
    assert got == "rules:\r\n  - id: R-2\r\n    name: Two\r\n"


def test_rules_in_brackets_are_not_taken_apart():
    items = parsed("rules: [{id: R-1}, {id: R-2}]\n")["rules"]
    with pytest.raises(ValueError, match="brackets"):
        retired.without(items.items[0], items)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", retired.HEADING + '  - {id: R-1, on: d, why: "w"}\n'),
        ("retired:\n  - {id: A, on: d, why: w}  # x\n\nmacros: {a: b}\n",
         'retired:\n  - {id: A, on: d, why: w}  # x\n  - {id: R-1, on: d, why: "w"}\n\nmacros: {a: b}\n'),
        ("retired:\n- {id: A, on: d, why: w}\n",
         'retired:\n- {id: A, on: d, why: w}\n- {id: R-1, on: d, why: "w"}\n'),
        ("retired: []  # none\nmacros: {a: b}\n",
         'retired:  # none\n  - {id: R-1, on: d, why: "w"}\nmacros: {a: b}\n'),
        ("retired:\n", 'retired:\n  - {id: R-1, on: d, why: "w"}\n'),
        ("macros: {a: b}", 'macros: {a: b}\nretired:\n  - {id: R-1, on: d, why: "w"}\n'),
    ],
)  # fmt: skip
def test_an_entry_is_added_to_what_is_there(before, after):
    assert retired.with_entry(before, retired.entry("R-1", "d", "w")) == after


def test_a_list_in_brackets_is_not_added_to():
    with pytest.raises(ValueError, match="brackets"):
        retired.with_entry("retired: [{id: A, on: d, why: w}]\n", retired.entry("R-1", "d", "w"))


def test_an_entry_says_what_came_instead():
    assert retired.entry("R-1", "2026-05-01", 'a "b"\n c', ["R-2"]) == (
        '  - {id: R-1, on: 2026-05-01, why: "a \\"b\\" c", replaced_by: R-2}\n'
    )
    assert retired.entry("R-1", "d", "w", ["R-2", "R-3"]).endswith("replaced_by: [R-2, R-3]}\n")


# ---- in a pack


def rule(name):
    begin = FILE.index(f"  - id: {name}\n")
    return (
        "features:\n  n_1h: count() by account over 1h\nrules:\n"
        + FILE[begin:].partition("\n\n")[0]
    )


def found(tmp_path, *texts):
    files = {f"f{n}.yaml": text for n, text in enumerate(texts)}
    return load(tmp_path, files)


def test_what_is_retired_is_read(tmp_path):
    loaded = found(tmp_path, rule("R-1"), ENTRY.format("R-9"))
    assert loaded.pack is not None, loaded.findings
    (gone,) = loaded.pack.retired
    assert (gone.id, gone.why, gone.replaced_by, gone.pack) == (
        "R-9",
        "better ones",
        ("R-1",),
        "test",
    )
    assert gone.place.line == 2


def test_a_retired_id_is_never_used_again(tmp_path):
    loaded = found(tmp_path, rule("R-1"), ENTRY.format("R-1"))
    (error,) = loaded.findings
    assert error.code == "WR328"
    assert error.message.startswith("rule R-1 was retired (")
    assert error.message.endswith("better ones")
    assert error.place.file.endswith("f0.yaml")
    assert error.hint == "give the rule an id that was never used"


def test_nor_in_a_pack_that_extends_the_one_that_retired_it(tmp_path):
    core = write(tmp_path / "core", {"r.yaml": rule("R-1"), "g.yaml": ENTRY.format("R-3")})
    head = (core / "pack.yaml").read_text().replace("pack: test", "pack: core")
    (core / "pack.yaml").write_text(head)
    more = rule("R-3").partition("rules:")[2]
    top = write(
        tmp_path / "top", {"pack.yaml": "pack: top\nversion: 1\nextends: core\n", "r.yaml": f"rules:{more}"}
    )  # fmt: skip
    assert [f.code for f in pack.load([top], SCHEMA).findings] == ["WR328"]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (ENTRY.format("R-9") + ENTRY.format("R-9").partition("\n")[2], "WR328", "is retired at"),
        (ENTRY.format("R-9").replace("by: R-1", "by: R-77"), "WR329", "there is no rule R-77"),
        (ENTRY.format("r9"), "WR023", '"r9" is not a rule id'),
        ("retired:\n  - {id: R-9, on: May, why: x}\n", "WR024", 'on "May"'),
        ("retired:\n  - {id: R-9, on: 2026-05-01}\n", "WR022", 'needs "why:"'),
    ],
)
def test_what_is_wrong_with_an_entry_is_told(tmp_path, text, code, message):
    (error,) = found(tmp_path, rule("R-1"), text).findings
    assert error.code == code
    assert message in error.message


# ---- weir rules retire


@pytest.fixture
def bank(tmp_path):
    """The shipped packs in a folder of their own."""
    shutil.copytree(BANK / "packs", tmp_path / "packs")
    shutil.copytree(BANK / "lists", tmp_path / "lists")
    return tmp_path / "packs"


def retire(name, root, **more):
    return locking.retire(name, root, BANK, **{"why": "better ones", "day": "2026-05-01", **more})


def first_rule(root):
    loaded = locking._loaded(root, BANK)[0]
    return next(r for r in loaded.pack.rules if r.pack == root.name)


def test_a_rule_moves_into_the_file_of_the_retired(bank):
    """The pack reads without it, and its lock has nothing against that."""
    root = bank / "core"
    gone = first_rule(root)
    before = locking._loaded(root, BANK)[0].pack
    changed = retire(gone.id, root)
    assert {p.name for p in changed} == {"retired.yaml", gone.place.file.rpartition("/")[2]}
    after = locking._loaded(root, BANK)[0].pack
    assert [r.id for r in after.rules] == [r.id for r in before.rules if r.id != gone.id]
    assert [(r.id, r.why) for r in after.retired] == [(gone.id, "better ones")]
    second = first_rule(root)
    retire(second.id, root, replaced_by=[after.rules[3].id])
    assert len(locking._loaded(root, BANK)[0].pack.retired) == 2


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("NONE-001", {}, "there is no rule `NONE-001` in pack core"),
        ("", {"why": " "}, "needs a reason"),
        ("", {"replaced_by": ["NONE-001"]}, "there is no other rule `NONE-001`"),
        ("", {"day": "May"}, "`--date` is a day, was May"),
    ],
)
def test_what_cannot_be_retired_changes_nothing(bank, name, more, message):
    root = bank / "core"
    name = name or first_rule(root).id
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    with pytest.raises(ConfigError) as error:
        retire(name, root, **more)
    assert message in str(error.value)
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before


def test_a_rule_that_is_still_named_stays(bank):
    root = bank / "core"
    gone = first_rule(root)
    text = f"suppressions:\n  - {{rule: {gone.id}, entity: {{card: C7}}, until: 2030-01-01, why: x, by: y}}\n"
    (root / "s.yaml").write_text(text)
    with pytest.raises(ConfigError, match="still named"):
        retire(gone.id, root)


def test_a_crash_between_the_two_files_leaves_an_id_that_is_noticed(bank, monkeypatch):
    """The entry is written first: an id that is used and retired is an error, one that is free again would be none."""
    root = bank / "core"
    gone = first_rule(root)
    write_text = locking._write

    def crash(path, text):
        if path.name != retired.FILE:
            raise OSError("the power is off")
        write_text(path, text)

    monkeypatch.setattr(locking, "_write", crash)
    with pytest.raises(OSError, match="power"):
        retire(gone.id, root)
    with pytest.raises(ConfigError, match="WR328"):
        locking._loaded(root, BANK)


def test_the_command_says_what_to_do_next(bank, capsys):
    root = bank / "core"
    gone = first_rule(root)
    arguments = [
        "rules",
        "retire",
        gone.id,
        str(root),
        "--why",
        "better ones",
        "--date",
        "2026-05-01",
    ]
    assert main(arguments) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"{gone.id} is retired. Lock the pack again: weir rules lock {root}"
    assert said[-2] == f"changed: {root / 'retired.yaml'}"
    assert main(["rules", "lock", str(root), "--date", "2026-05-02"]) == 0
    assert f"{gone.id:24s} no longer there" in capsys.readouterr().out
