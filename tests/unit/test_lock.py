"""rules.lock: a version of a rule means one thing, whoever edits the file, and a lock that is wrong says so."""

import re

import pytest

from config.errors import ConfigError
from config.settings import BANK
from engine.cli import main
from engine.setup import read_setup
from replay.workbench import locking
from rules import behaviour, lock, pack
from rules.reader import Findings
from tests.ruling import SCHEMA, write

HEAD = """
pack: {name}
version: {version}
language: 1
currency: CNY
timezone: Asia/Shanghai
retention: 400d
decision:
  combine: sum
  bands: [{{from: 0, to: 500, do: approve}}, {{from: 500, to: 1000, do: review}}]
reasons: {{TEST: A reason for tests}}
"""
RULES = """
features:
  n_1h: count() by account over 1h
rules:
  - id: R-1
    name: A rule
    version: 1
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: amount > 500 and n_1h > 3
    score: 100
  - id: R-2
    name: Another rule
    version: 2
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: shadow
    when: amount > 900
    score: 50
"""
TOP = """
overrides:
  - rule: R-1
    written_for: 1
    narrow: amount < 10_000
"""


@pytest.fixture
def core(tmp_path):
    return write(
        tmp_path / "core", {"pack.yaml": HEAD.format(name="core", version="1.0.0"), "r.yaml": RULES}
    )


@pytest.fixture
def top(tmp_path, core):
    return write(
        tmp_path / "top", {"pack.yaml": "pack: top\nversion: 1.0.0\nextends: core\n", "o.yaml": TOP}
    )


def locked(root, **more):
    return locking.lock_pack(root, BANK, **{"day": "2026-05-01", **more})


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


def checked(*roots):
    loaded = pack.load(roots, SCHEMA)
    assert loaded.pack is not None, loaded.findings
    findings = Findings()
    lock.check(loaded, findings)
    return findings.all


def told(*roots):
    return [(f.code, f.severity, f.message) for f in checked(*roots)]


def entry(root, rule, section="rules"):
    found = lock.read(root, Findings())
    assert found is not None
    return getattr(found, section)[rule]


def test_a_fresh_lock_names_every_rule_and_is_fine(core):
    """What was written reads back as it was made, and nothing is found."""
    result = locked(core, by="an.author", approved_by="m.keller")
    assert result.is_written
    assert [(c.rule, c.how) for c in result.changes] == [("R-1", "new"), ("R-2", "new")]
    assert told(core) == []
    loaded = pack.load([core], SCHEMA)
    rules = {r.id: r for r in loaded.pack.rules}
    for name, day in (("R-1", "2026-05-01"), ("R-2", "")):
        got = entry(core, name)
        assert got.sha256 == behaviour.behaviour(rules[name], loaded.pack)
        assert (got.version, got.first_live) == (rules[name].version, day)
        assert (got.locked_by, got.approved_by) == ("an.author", "m.keller")


def test_a_second_lock_changes_no_byte(core):
    """On another day and by somebody else: what is locked keeps its day and its people."""
    locked(core, by="first", approved_by="second")
    before = (core / lock.FILE).read_bytes()
    result = locked(core, day="2026-09-09", by="third", approved_by="fourth")
    assert not result.is_written
    assert result.changes == []
    assert (core / lock.FILE).read_bytes() == before


def test_an_engine_starts_and_tells_of_a_body_that_changed_under_its_version(core):
    """`weir run` and `weir replay` print the notes; nothing else compares locks when a configuration is read."""
    locked(core)
    edit(core / "r.yaml", "when: amount > 900", "when: amount > 800")
    edit(core / "r.yaml", "    version: 1", "    version: 3")
    setup = read_setup(BANK, pack_paths=[core], compares_locks=True)
    (told,) = [note for note in setup.notes if "WR325" in note]
    assert told.startswith(
        f"{core}/r.yaml:17:14 WR325 R-2 does something else under the same version 2: when changed ("
    )
    assert told.endswith("; write version: 3, then run: weir rules lock")
    assert not [note for note in read_setup(BANK, pack_paths=[core]).notes if "WR325" in note]
    assert setup.sha256 == read_setup(BANK, pack_paths=[core]).sha256


def test_a_pack_without_a_lock_is_one_line_of_information(core):
    ((code, severity, message),) = told(core)
    assert (code, severity, message) == ("WR334", "info", "pack core has no rules.lock")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: A rule", "name: Another name"),
        ("  - id: R-1\n", "  # a comment\n  - id: R-1\n"),
        ("amount > 900\n    score: 50", "amount  >  9_00\n    score: 50"),
    ],
)
def test_what_changes_nothing_needs_no_new_version(core, old, new):
    locked(core)
    edit(core / "r.yaml", old, new)
    assert told(core) == []


def test_a_changed_body_under_the_same_version_is_an_error(core):
    """It shows both digests and the parts that differ, at the version that has to go up."""
    locked(core)
    old = entry(core, "R-1").sha256
    edit(core / "r.yaml", "amount > 500 and", "amount > 400 and")
    edit(core / "r.yaml", "    score: 100", "    score: 110")
    (found,) = checked(core)
    new = lock.made(pack.load([core], SCHEMA), "core").rules["R-1"].sha256
    assert (found.code, found.severity) == ("WR325", "error")
    assert found.message == (
        "R-1 does something else under the same version 1: when and score changed "
        f"({old[:12]} was locked, {new[:12]} is there)"
    )
    assert found.hint == "write version: 2, then run: weir rules lock"
    assert found.place.file.endswith("core/r.yaml")
    assert found.line.strip() == "version: 1"


def test_a_feature_that_changes_changes_the_rules_that_read_it(core):
    locked(core)
    edit(core / "r.yaml", "over 1h", "over 2h")
    assert [(f.code, f.message.split()[0]) for f in checked(core)] == [("WR325", "R-1")]


def test_a_changed_body_is_not_locked_under_the_same_version(core):
    """Locking again is no way around the version; nothing is written."""
    locked(core)
    before = (core / lock.FILE).read_bytes()
    edit(core / "r.yaml", "amount > 500", "amount > 400")
    result = locked(core)
    assert [(c.rule, c.how, c.text) for c in result.refused] == [
        ("R-1", "body", "version 1 is another body: when")
    ]
    assert not result.is_written
    assert (core / lock.FILE).read_bytes() == before


def test_a_new_version_has_to_be_locked(core):
    """A finding until it is; then it is live since that day, and nobody has approved it yet."""
    locked(core, approved_by="m.keller")
    edit(core / "r.yaml", "amount > 500", "amount > 400")
    edit(core / "r.yaml", "version: 1\n", "version: 2\n")
    assert told(core) == [
        ("WR333", "warn", "R-1 version 2 is not locked yet; version 1 is"),
    ]
    result = locked(core, day="2026-06-01")
    assert [(c.rule, c.text) for c in result.changes] == [
        ("R-1", "version 1 -> version 2: differs in when")
    ]
    assert told(core) == []
    assert (entry(core, "R-1").first_live, entry(core, "R-1").approved_by) == ("2026-06-01", "")
    assert entry(core, "R-2").approved_by == "m.keller"


def test_a_version_cannot_go_down(core):
    locked(core)
    edit(core / "r.yaml", "version: 2\n", "version: 1\n    description: was two\n")
    assert told(core) == [
        ("WR325", "error", "R-2 was locked as version 2, and is version 1 now"),
    ]
    assert [c.how for c in locked(core).refused] == ["back"]


def test_a_version_is_live_from_the_day_on_which_it_first_is(core):
    """From shadow to live no body changes: the next lock fills in the day."""
    locked(core)
    edit(core / "r.yaml", "mode: shadow", "mode: live")
    assert told(core) == []
    result = locked(core, day="2026-07-01", approved_by="m.keller")
    assert [(c.rule, c.how) for c in result.changes] == [
        ("R-1", "approved"),
        ("R-2", "live"),
        ("R-2", "approved"),
    ]
    assert entry(core, "R-1").first_live == "2026-05-01"
    assert entry(core, "R-2").first_live == "2026-07-01"


def test_a_new_rule_has_to_be_locked_and_a_lost_one_retired(core):
    locked(core)
    text = (core / "r.yaml").read_text(encoding="utf-8")
    (core / "r.yaml").write_text(text.replace("id: R-2", "id: R-3"), encoding="utf-8")
    assert told(core) == [
        ("WR333", "warn", "R-3 version 2 is not locked yet"),
        ("WR333", "warn", "rule R-2 is locked and not there any more"),
    ]
    (core / "retired.yaml").write_text("retired: [{id: R-2, on: 2026-06-01, why: gone}]\n")
    assert [m for _, _, m in told(core)] == ["R-3 version 2 is not locked yet"]
    assert [c.how for c in locked(core).changes] == ["gone", "new"]
    assert told(core) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    version: 1\n",
            "    version: one\n",
            "R-1 lacks its version or the digest of its body",
        ),
        ("    sha256: ", "    sha256: 0", "R-1 lacks its version or the digest of its body"),
        ("    first_live: 2026-05-01", "    first_live: May", '"May" is not a day'),
        ("pack: core", "pack: core\nnotes: x", 'a lock has no key "notes"'),
        ("    version: 1\n", "    version: 1\n    by: x\n", 'a lock has no key "by"'),
        ("rules:\n", "overrides: []\nrules:\n", "a mapping of rules is wanted here"),
        ("form: 1\n", "", "this is no lock"),
        ("  R-1:\n", "  R-2:\n", 'the key "R-2" stands here twice'),
        ("pack: core", "pack: fraud", "this is the lock of pack fraud, not of core"),
    ],
)
def test_a_broken_lock_is_an_error(core, old, new, message):
    """And `weir rules lock` does not write over what it cannot read."""
    locked(core)
    path = core / lock.FILE
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    found = checked(core)
    assert [(f.code, f.severity) for f in found] == [("WR333", "error")] * len(found)
    assert found[0].message == message
    assert found[0].place.file.endswith(lock.FILE)


def test_a_lock_that_cannot_be_read_is_not_overwritten(core):
    (core / lock.FILE).write_text("form: 1\npack: [\n")
    with pytest.raises(ConfigError):
        locked(core)
    assert (core / lock.FILE).read_text() == "form: 1\npack: [\n"


def test_a_lock_of_another_form_is_locked_again(core):
    """Digests of two forms cannot be compared: that is no changed body."""
    locked(core)
    path = core / lock.FILE
    path.write_text(path.read_text().replace("form: 1", "form: 0"))
    ((code, severity, message),) = told(core)
    assert (code, severity) == ("WR333", "warn")
    assert (
        message == f"the lock was written by another version of Weir (form 0, now {behaviour.FORM})"
    )
    assert locked(core).is_written
    assert told(core) == []


def test_one_person_cannot_lock_and_approve(core):
    with pytest.raises(ConfigError, match=r"m\.keller cannot approve"):
        locked(core, by="m.keller", approved_by="m.keller")


class TestOverriddenRules:
    def test_the_lock_of_each_pack_is_about_what_it_says(self, core, top):
        """The pack below locks its own body, the one on top what the rule does with its override."""
        locked(core)
        locked(top)
        assert told(top) == []
        below, above = entry(core, "R-1"), entry(top, "R-1", "overrides")
        assert below.sha256 != above.sha256
        assert (below.pack_version, above.pack_version, above.version) == ("", "1.0.0", 1)
        assert "when: amount > 500 and n_1h > 3" in above.body
        loaded = pack.load([top], SCHEMA)
        rule = next(r for r in loaded.pack.rules if r.id == "R-1")
        assert above.sha256 == behaviour.behaviour(rule, loaded.pack)

    def test_a_changed_override_needs_another_version_of_its_pack(self, core, top):
        locked(core)
        locked(top)
        edit(top / "o.yaml", "10_000", "20_000")
        (found,) = checked(top)
        assert found.code == "WR325"
        assert found.message.startswith(
            "R-1 does something else under the same pack version 1.0.0: when changed"
        )
        assert found.hint == "raise the version of the pack, then run: weir rules lock"
        assert found.place.file.endswith("top/o.yaml")
        assert [c.how for c in locked(top).refused] == ["body"]
        edit(top / "pack.yaml", "version: 1.0.0", "version: 1.1.0")
        assert told(top) == [
            ("WR333", "warn", "R-1 pack version 1.1.0 is not locked yet; pack version 1.0.0 is")
        ]
        locked(top)
        assert told(top) == []

    def test_a_pack_beside_it_changes_no_lock(self, tmp_path, core, top):
        """Whoever else overrides the rule: a lock is about its pack and what that extends."""
        beside = "overrides:\n  - {rule: R-1, written_for: 1, set: {score: 7}}\n"
        other = write(
            tmp_path / "other",
            {"pack.yaml": "pack: other\nversion: 1\nextends: core\n", "o.yaml": beside},
        )
        for root in (core, top, other):
            locked(root)
        assert told(top, other) == []
        assert told(other, top) == []

    def test_an_override_for_another_version_shows_both_bodies(self, core, top):
        """What it was written for stands in the lock of its pack."""
        locked(top)
        edit(core / "r.yaml", "amount > 500 and", "amount > 400 and")
        edit(core / "r.yaml", "version: 1\n", "version: 2\n")
        (found,) = pack.load([top], SCHEMA).findings
        assert found.code == "WR326"
        assert "version 1 said: on: payment; when: amount > 500 and n_1h > 3;" in found.hint
        assert re.search(r"r.yaml:5:5 says now: on: payment; when: amount > 400 and", found.hint)

    def test_what_another_version_said_is_not_taken_for_it(self, core, top):
        """The lock holds the body of version 1; what version 2 said is known to nobody."""
        locked(top)
        edit(core / "r.yaml", "version: 1\n", "version: 3\n")
        path = next(p for p in top.glob("*.yaml") if "written_for" in p.read_text())
        edit(path, "written_for: 1", "written_for: 2")
        found = next(f for f in pack.load([top], SCHEMA).findings if f.code == "WR326")
        assert "said:" not in found.hint


@pytest.mark.parametrize("name", ["core", "fraud-cn", "aml-cn"])
def test_the_shipped_packs_are_as_they_are_locked(name):
    findings = Findings()
    lock.check(locking._loaded(BANK / "packs" / name, BANK)[0], findings)
    assert findings.all == []


class TestTheCommand:
    """`weir rules lock`."""

    def test_it_says_what_changed(self, core, capsys):
        arguments = ["rules", "lock", str(core), "--date", "2026-05-01"]
        assert main([*arguments, "--by", "an.author"]) == 0
        digests = [entry(core, name).sha256[:12] for name in ("R-1", "R-2")]
        path = core / lock.FILE
        assert capsys.readouterr().out == (
            f"R-1                      version 1, {digests[0]}\n"
            f"R-2                      version 2, {digests[1]}\n"
            f"{path}: written, 2 rules.\n"
        )
        assert main(arguments) == 0
        assert capsys.readouterr().out == f"{path}: says so already, 2 rules.\n"
        edit(core / "r.yaml", "amount > 900", "amount > 901")
        assert main(arguments) == 1
        assert capsys.readouterr().out == (
            "R-2                      version 2 is another body: when\n"
            f"{path}: not written: 1 changed under a version that is locked.\n"
            "Raise their version: first (of an override: the version of the pack).\n"
        )

    def test_a_day_that_is_none_is_refused(self, core, capsys):
        assert main(["rules", "lock", str(core), "--date", "May"]) == 2
        assert "`--date` is a day, was May" in capsys.readouterr().err
        assert not (core / lock.FILE).exists()

    def test_without_a_date_it_is_today(self, core):
        locked(core, day="")
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", entry(core, "R-1").first_live)
