"""What two packs differ in, by meaning: each kind of change is told as what it is, and nothing else is."""

import subprocess

import pytest

from config.errors import InputError
from engine import cli
from replay.workbench import revisions
from rules.diff import FOREVER, compare
from rules.pack import load as read_pack
from tests.ruling import HEAD, SCHEMA, load, write

BASE = """\
lists:
  vips: {values: ["C1", "C2"], type: id, of: customer}
tables:
  floor: {key: channel, values: {web: 100, pos: 200}, default: 300}
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
    params: {big: 500 EUR}
    when: amount > $big and channel == "web"
    score: 100
    actions:
      - alert: {queue: l1, title: "Big"}
    dedup: {by: account, for: 1h}
  - id: R-2
    name: Another
    version: 3
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: shadow
    when: n_1h > 3 and customer in @vips
    score: floor[channel]
"""
EXCEPTION = """\
    exceptions:
      - {id: EX-1, when: channel == "web", why: tests, approved_by: t.hill, expires: 2027-12-31}
"""


def found(tmp_path, text, base=BASE, head=HEAD):
    packs, texts = [], []
    for name, rules, first in (("old", base, HEAD), ("new", text, head)):
        loaded = load(tmp_path / name, {"rules.yaml": rules, "pack.yaml": first})
        assert loaded.pack is not None, loaded.findings
        packs.append(loaded.pack)
        nodes = loaded.workshop.nodes
        texts.append({i: n.source.text[n.start : n.end] for i, n in nodes.items()})
    return compare(*packs, SCHEMA, tuple(texts))


def changed(tmp_path, *pairs):
    text = BASE
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return found(tmp_path, text)


def only(diff):
    (change,) = diff.rules
    return change


def test_a_pack_does_not_differ_from_itself(tmp_path):
    assert found(tmp_path, BASE).is_empty


def test_an_override_has_no_version_that_could_be_raised(tmp_path):
    packs = []
    for name, score in (("old", 120), ("new", 150)):
        override = f"overrides:\n  - {{rule: R-2, written_for: 3, set: {{score: {score}}}}}\n"
        write(tmp_path / name / "test", {"rules.yaml": BASE, "pack.yaml": HEAD})
        head = "pack: mine\nversion: 1.0.0\nextends: test\n"
        mine = write(tmp_path / name / "mine", {"o.yaml": override, "pack.yaml": head})
        loaded = read_pack([mine], SCHEMA)
        assert loaded.pack is not None, loaded.findings
        packs.append(loaded.pack)
    change = only(compare(*packs, SCHEMA))
    assert (change.id, change.kind, change.is_raised) == ("R-2", "changed", True)


@pytest.mark.parametrize(
    ("old", "new", "relation", "part"),
    [
        ("big: 500 EUR", "big: 400 EUR", "wider", "params.big 500.00 EUR -> 400.00 EUR"),
        ("big: 500 EUR", "big: 600 EUR", "narrower", "params.big 500.00 EUR -> 600.00 EUR"),
        ("version: 1\n", "version: 2\n    rollout: 25% by account\n", "narrower", "rollout everybody -> 25% by account"),
        ("on: payment\n    mode: live", "on: [payment, card_auth]\n    mode: live", "wider",
         "on payment -> payment, card_auth"),
        ("mode: live", "mode: shadow", "same", "mode live -> shadow"),
        ("score: 100", "score: 150", "same", "score 100 -> 150"),
        ("for: 1h}\n  - id", "for: 2h}\n  - id", "same", "dedup by account for 1h -> by account for 2h"),
        ("version: 1\n", "version: 2\n    effective: {from: 2026-01-01}\n", "narrower",
         "effective always -> from 2026-01-01"),
    ],
)  # fmt: skip
def test_a_changed_part_is_told_with_what_it_was(tmp_path, old, new, relation, part):
    """The part, and how the matches of the new rule lie to those of the old one."""
    change = only(changed(tmp_path, (old, new)))
    assert (change.id, change.kind, change.relation) == ("R-1", "changed", relation)
    assert [str(each) for each in change.parts] == [part]


def test_a_condition_is_told_before_and_after(tmp_path):
    """Where no param says it: the trees as text, and what was proven."""
    change = only(changed(tmp_path, ('and channel == "web"', 'and channel in ["web", "pos"]')))
    assert change.relation == "wider"
    assert change.condition == (
        'amount > 500.00 EUR and channel == "web"',
        'amount > 500.00 EUR and channel in ["pos", "web"]',
    )
    other = only(changed(tmp_path, ('channel == "web"', 'channel == "pos"')))
    assert other.relation == "other"


def test_exceptions_narrow_and_their_end_widens(tmp_path):
    """An exception more lets events pass; one less lets none."""
    with_one = BASE.replace("  - id: R-2", EXCEPTION + "  - id: R-2")
    narrower, wider = only(found(tmp_path, with_one)), only(found(tmp_path, BASE, with_one))
    assert (narrower.relation, wider.relation) == ("narrower", "wider")
    assert str(narrower.parts[0]) == 'exceptions + EX-1 (channel == "web", expires 2027-12-31)'
    assert str(wider.parts[0]).startswith("exceptions - EX-1")


def test_wider_in_one_part_and_narrower_in_another_is_neither(tmp_path):
    """A lower floor with an exception: some matches come, others may go."""
    with_one = BASE.replace("  - id: R-2", EXCEPTION + "  - id: R-2").replace("500 EUR", "400 EUR")
    assert only(found(tmp_path, with_one)).relation == "other"


def test_words_and_order_are_no_change_of_behaviour(tmp_path):
    """Comments, names, key order, another spelling: one line, no bump asked for."""
    change = only(
        changed(
            tmp_path,
            ("name: A rule", "name: A rule for big payments  # said better"),
            ("    owner: tests\n    severity: high\n    reason: TEST\n    on: payment\n    mode: live",
             "    mode: live\n    severity: high\n    reason: TEST\n    on: payment\n    owner: tests"),
        )
    )  # fmt: skip
    assert (change.id, change.kind, change.parts, change.is_raised) == ("R-1", "wording", (), True)
    swapped = changed(
        tmp_path,
        ('when: amount > $big and channel == "web"', 'when: channel == "web" and amount > $big'),
    )
    assert only(swapped).kind == "wording"
    assert not swapped.touched


def test_a_version_that_was_not_raised_is_told(tmp_path):
    """Behaviour changed, version did not; a mode is no behaviour."""
    assert not only(changed(tmp_path, ("500 EUR", "400 EUR"))).is_raised
    assert only(changed(tmp_path, ("500 EUR", "400 EUR"), ("version: 1", "version: 2"))).is_raised
    assert only(changed(tmp_path, ("mode: live", "mode: shadow"))).is_raised


def test_rules_come_and_go(tmp_path):
    diff = changed(tmp_path, ("id: R-2", "id: R-3"))
    assert [(c.id, c.kind) for c in diff.rules] == [("R-2", "gone"), ("R-3", "new")]
    assert diff.touched == {"R-2", "R-3"}


def test_rows_of_lists_are_told_and_touch_who_reads_them(tmp_path):
    """A list is data: its readers do something else, and are no changed rules."""
    diff = changed(tmp_path, ('["C1", "C2"]', '["C2", "C3", "C4"]'))
    (rows,) = diff.lists
    assert (rows.name, rows.kind, rows.added, rows.removed) == (
        "vips",
        "changed",
        ("C3", "C4"),
        ("C1",),
    )
    assert (diff.rules, diff.touched) == ((), {"R-2"})


def test_a_feature_with_another_meaning_leaves_nothing_proven(tmp_path):
    """The condition reads the same, and means something else; how far back it reads is told."""
    diff = changed(tmp_path, ("over 1h", "over 2h"))
    change = only(diff)
    assert (change.id, change.relation, change.features) == ("R-2", "unknown", ("n_1h",))
    (feature,) = diff.features
    assert feature.before == "count() by account over 1h"
    assert (feature.after, feature.warms_us) == ("count() by account over 2h", 2 * 3_600_000_000)
    forever = changed(tmp_path, ("n_1h: count() by account over 1h",
                                 "n_1h: count() by account over 1h\n  first: time_since_first() by account over all"))  # fmt: skip
    assert [(f.name, f.before, f.warms_us) for f in forever.features] == [("first", None, FOREVER)]


def test_a_table_with_other_values_is_told(tmp_path):
    diff = changed(tmp_path, ("pos: 200", "pos: 250"))
    assert [str(part) for part in diff.tables] == ["floor[pos] 200 -> 250"]
    assert (only(diff).relation, only(diff).features) == ("unknown", ("table floor",))


def test_heads_are_compared(tmp_path):
    head = HEAD.replace("combine: sum", "combine: max").replace("to: 500, do", "to: 600, do")
    head = head.replace("from: 500", "from: 600")
    names = [part.name for part in found(tmp_path, BASE, head=head).head]
    assert names == ["decision.combine", "decision.bands"]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two commits of a pack, the second with a lower floor."""
    folder = tmp_path / "repository"

    def git(*arguments):
        names = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ]
        subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)

    folder.mkdir()
    git("init")
    for n, floor in enumerate(("500 EUR", "400 EUR")):
        load(folder / "packs" / "one", {"rules.yaml": BASE.replace("500 EUR", floor)})
        git("add", ".")
        git("commit", "-m", f"change {n}")
    git("tag", "newest")
    monkeypatch.chdir(folder)
    return folder


TESTS = """\
    tests:
      - name: a test
        start: 2026-03-02T10:00:00Z
        events: [{at: +0m, type: payment, account: A1, amount: 900 EUR}]
"""


def test_where_a_test_stands_says_nothing_and_what_it_says_does(tmp_path):
    """In another folder, and further down in its file."""
    assert found(tmp_path / "a", "# one line more\n" + BASE + TESTS, BASE + TESTS).is_empty
    (change,) = found(tmp_path / "b", BASE + TESTS.replace("900", "901"), BASE + TESTS).rules
    assert (change.id, change.kind) == ("R-2", "wording")


def test_lists_of_a_configuration_come_along_with_a_revision(repository):
    """A pack in `packs/` of a configuration reads lists that stand beside `packs`, as they were then."""
    config = repository / "bank"
    pack, lists = config / "packs" / "two", config / "lists"
    lists.mkdir(parents=True)
    (config / "weir.yaml").write_text("packs: [packs/two]\n")
    for n, rows in enumerate(("C1", "C1\nC2")):
        (lists / "vips.csv").write_text(f"customer\n{rows}\n")
        loaded = load(
            pack, {"rules.yaml": BASE.replace('values: ["C1", "C2"]', "file: lists/vips.csv")}
        )
        assert loaded.pack is not None, loaded.findings
        for arguments in (
            ("add", "."),
            ("-c", "user.name=t", "-c", "user.email=t@x.org", "commit", "-m", f"{n}"),
        ):
            subprocess.run(["git", *arguments], check=True, capture_output=True)
    with revisions.both("HEAD~1..HEAD", "bank/packs/two") as both:
        packs = [packs_of(version.folder) for version in both]
    assert [sorted(pack.lists["vips"].values) for pack in packs] == [["C1"], ["C1", "C2"]]


def packs_of(folder):
    loaded = read_pack([folder], SCHEMA)
    assert loaded.pack is not None, loaded.findings
    return loaded.pack


@pytest.mark.parametrize(
    "named",
    [
        ("HEAD~1:packs/one", "packs/one"),
        ("HEAD~1..HEAD", "packs/one"),
        ("HEAD~1:./packs/one", "newest:packs/one"),
        ("HEAD~1..", "packs/one/"),
    ],
)
def test_packs_are_read_out_of_revisions(repository, named):
    """By revision and path, or by a range and a path; the folder goes when it is no longer needed."""
    with revisions.both(*named) as (old, new):
        assert "500 EUR" in (old.folder / "rules.yaml").read_text()
        assert "400 EUR" in (new.folder / "rules.yaml").read_text()
        gone = old.folder
    assert not gone.exists()


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (("HEAD:packs/two", "packs/one"), "no pack|archive"),
        (("nowhere:packs/one", "packs/one"), "revision"),
        (("--output=x:packs/one", "packs/one"), "rev-parse"),
        (("HEAD:../packs", "packs/one"), "no path inside"),
        (("packs/one", ""), "only one pack"),
        (("packs", "packs/one"), "no pack here"),
    ],
)
def test_what_names_no_pack_is_said(repository, named, said):
    with pytest.raises(InputError, match=said), revisions.both(*named):
        pass
    assert sorted(path.name for path in repository.iterdir()) == [".git", "packs"]


def test_the_command_needs_no_traffic(tmp_path, capsys):
    """Text for people and JSON for machines; a period without traffic is refused."""
    from tests import backtesting as slow

    config = slow.bank(tmp_path / "bank")
    new = slow.pack(tmp_path / "new", slow.RULES.replace("big: 700 CNY", "big: 600 CNY"))
    command = ["rules", "diff", str(config / "packs" / "one"), str(new), "--config", str(config)]
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert "BIG-001 v1   params.big 700.00 CNY -> 600.00 CNY   (strictly wider" in text
    assert "! its behaviour changed and its version did not" in text
    assert cli.main([*command, "--format", "json"]) == 0
    assert '"relation": "wider"' in capsys.readouterr().out
    assert cli.main([*command, "--from", "2026-03-01"]) == 2
    assert cli.main(["rules", "diff", str(new), str(new), "--config", str(config)]) == 0
    assert "say the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dates", "relation"),
    [
        ("{from: 2026-01-01, until: 2026-05-01}", "other"),
        ("{from: 2026-03-01, until: 2026-07-01}", "other"),
        ("{from: 2026-01-01, until: 2026-06-01}", "wider"),
        ("{from: 2026-02-01, until: 2026-06-01}", "same"),
        ("{from: 2026-03-01, until: 2026-05-01}", "narrower"),
        ("{until: 2026-06-01}", "wider"),
        ("{from: 2026-04-01}", "other"),
    ],
)
def test_dates_are_wider_only_where_both_ends_are(tmp_path, dates, relation):
    """The other rule is in force in another time than from February to June, and not only longer or shorter."""
    base = BASE.replace(
        "    mode: live", "    mode: live\n    effective: {from: 2026-02-01, until: 2026-06-01}"
    )
    text = base.replace("{from: 2026-02-01, until: 2026-06-01}", dates).replace(
        "version: 1", "version: 2"
    )
    assert [c.relation for c in found(tmp_path, text, base).rules] == [relation]


def test_what_is_not_proven_stays_so_whatever_else_is_wider(tmp_path):
    base = BASE.replace("n_1h > 3 and", "log(n_1h) > 3 and").replace("on: payment", "on: card_auth")
    text = base.replace("log(n_1h) > 3", "log(n_1h + 1) > 2").replace("version: 3", "version: 4")
    text = text.replace(
        "    on: card_auth\n    mode: shadow", "    on: [card_auth, payment]\n    mode: shadow"
    )
    assert only(found(tmp_path, text, base)).relation == "unknown"
