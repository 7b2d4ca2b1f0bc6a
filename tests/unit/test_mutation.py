"""Which numbers tests pin: what a test notices, what it does not, and what the command makes of it."""

import json
import shutil

import pytest

from config.settings import BANK
from engine import cli
from replay.workbench import mutation, ruletests
from tests.ruling import HEAD, write

HEADER = """\
rules:
  - id: BIG-001
    name: A big payment
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: shadow
"""
SMALL_MODEL = "champion: only\nmodels:\n  only: {kind: half_space_trees, inputs: [amount], params: {trees: 1}}\n"


@pytest.fixture
def bank(tmp_path):
    """A configuration with one pack; `go` writes its rules and tries their numbers."""
    folder = tmp_path / "bank"
    shutil.copytree(BANK, folder, ignore=shutil.ignore_patterns("packs"))
    (folder / "models.yaml").write_text(SMALL_MODEL)

    def go(body, *, files=None, only=()):
        pack = folder / "packs" / "one"
        head = HEAD.replace("EUR", "CNY").replace("Europe/Berlin", "Asia/Shanghai")
        write(pack, {"pack.yaml": head, "r.yaml": HEADER + body, **(files or {})})
        return mutation.run([pack], folder, only)

    go.folder = folder
    return go


def body(when, *events, params="", features=""):
    lines = "\n".join(f"          - {{{event}}}" for event in events)
    return f"""\
    params: {{{params}}}
    features: {{{features}}}
    when: {when}
    score: 100
    actions: [{{tag: big}}]
    tests:
      - name: the edge
        start: 2026-03-02T10:00:00Z
        defaults: {{type: payment, direction: out, status: booked, account: A1}}
        events:
{lines}
"""


def cells(verdict):
    return {t.number.text: tuple(zip(t.moved, t.noticed, strict=True)) for t in verdict.trials}


def test_a_test_on_each_side_pins_a_number_both_ways(bank):
    """1,000 fires and 999 does not: 800 and 1,200 are noticed."""
    (verdict,) = bank(
        body("amount >= 1_000 CNY", "at: 0m, amount: 1000, expect: fires", "at: 1m, amount: 999")
    )
    assert cells(verdict) == {"1_000 CNY": (("800 CNY", True), ("1_200 CNY", True))}
    (trial,) = verdict.trials
    assert (trial.is_pinned, trial.is_pinned_both_ways, verdict.is_fine) == (True, True, True)


def test_a_test_on_one_side_pins_one_way(bank):
    (verdict,) = bank(
        body("amount >= 1_000 CNY", "at: 0m, amount: 1100, expect: fires", "at: 1m, amount: 10")
    )
    assert cells(verdict) == {"1_000 CNY": (("800 CNY", False), ("1_200 CNY", True))}
    assert (verdict.trials[0].is_pinned, verdict.trials[0].is_pinned_both_ways) == (True, False)
    assert "BIG-001  when 1_000 CNY" in mutation.report([verdict])
    assert "800 CNY goes unnoticed" in mutation.report([verdict])


def test_tests_far_away_pin_nothing(bank):
    """The rule passes all its tests, and nobody would notice 20 % more."""
    (verdict,) = bank(
        body("amount >= 1_000 CNY", "at: 0m, amount: 5000, expect: fires", "at: 1m, amount: 10")
    )
    assert cells(verdict) == {"1_000 CNY": (("800 CNY", False), ("1_200 CNY", False))}
    assert not verdict.is_fine


def test_params_and_the_rules_own_features_are_moved_windows_included(bank):
    """Each variant sees its own window: the third payment within 10 minutes, the first 9 minutes ago."""
    (verdict,) = bank(
        body(
            "n_big >= $times",
            "at: 0m, amount: 101",
            "at: 4m, amount: 101",
            "at: 5m, amount: 99",
            "at: 9m, amount: 101, expect: fires, expect_features: {n_big: 3}",
            params="times: {value: 3, why: w}",
            features="n_big: count() by account over 10m where amount > 100 CNY",
        )
    )
    assert cells(verdict) == {
        "3": (("2", True), ("4", True)),
        "10m": (("8m", True), ("12m", False)),
        "100 CNY": (("80 CNY", True), ("120 CNY", True)),
    }


def test_a_variant_says_what_the_rule_would_say_alone(bank):
    """Side by side in one core or each in a core of its own: the same verdict, alerts and freezes included."""
    from dataclasses import replace

    from engine.setup import read_setup
    from rules import pack as packs
    from rules.numbers import changed, numbers_of

    text = body(
        "amount >= $large and amount < 9_000 CNY",
        "at: 0m, amount: 1000, expect: fires, expect_actions: [alert, freeze]",
        "at: 1m, amount: 2000, expect: deduplicated",
        "at: 2m, amount: 999, expect: quiet",
        "at: 61m, amount: 8999, expect: fires",
        params="large: 1_000 CNY",
    ).replace(
        "actions: [{tag: big}]",
        "actions: [{alert: {queue: l1, title: '{amount}'}}, {freeze: {scope: account, for: 1h, max_per_hour: 1}}]\n"
        "    dedup: {by: account, for: 1h}",
    )
    (verdict,) = bank(text)
    setup = read_setup(bank.folder, pack_paths=[bank.folder / "packs" / "one"])
    workshop = packs.load([bank.folder / "packs" / "one"], setup.schema).workshop
    node, (rule,) = workshop.nodes["BIG-001"], setup.pack.rules
    for trial, number in zip(verdict.trials, numbers_of(node), strict=True):
        for side, up in ((0, False), (1, True)):
            made, own = workshop.remake(changed(node, number, number.moved(up=up)))
            features = {**setup.pack.features, **own}
            alone = replace(setup, pack=replace(setup.pack, features=features, rules=(made,)))
            failed = [not ruletests.run_test(alone, made, test).is_fine for test in rule.tests]
            assert trial.noticed[side] == any(failed), (number, side)
    assert verdict.trials[0].is_pinned_both_ways


def test_a_rule_whose_tests_fail_is_not_tried(bank):
    """A test that fails anyway would pin everything."""
    (verdict,) = bank(body("amount >= 1_000 CNY", "at: 0m, amount: 10, expect: fires"))
    assert (verdict.failures, verdict.is_fine) == (1, False)
    assert verdict.trials[0].noticed == [None, None]
    assert "fail without any change" in mutation.report([verdict])
    assert "1 rules, 0 numbers" in mutation.report([verdict])


def test_a_rule_without_a_number_is_listed_as_such(bank):
    (verdict,) = bank(body('direction == "out"', "at: 0m, amount: 10, expect: fires"))
    assert verdict.is_fine
    assert "BIG-001                  1 tests  no number" in mutation.report([verdict])
    assert "Rules without a number: 1, without a pinned one: 0." in mutation.report([verdict])


def test_a_number_that_cannot_be_moved_one_way_says_so(bank):
    (verdict,) = bank(
        body("amount between 95 CNY and 100 CNY", "at: 0m, amount: 96, expect: fires")
    )
    report = mutation.report([verdict])
    assert cells(verdict)["95 CNY"] == (("76 CNY", False), (None, None))
    assert "down 76 CNY NOT PINNED  up -" in report


def test_the_command_prints_the_table_and_fails_where_nothing_is_pinned(bank, capsys):
    """Exit code 1 when a rule has numbers and none of them is pinned."""
    pack = bank.folder / "packs" / "one"
    arguments = ["rules", "test", str(pack), "--config", str(bank.folder), "--mutate"]
    bank(body("amount >= 1_000 CNY", "at: 0m, amount: 1000, expect: fires"))
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out.replace(str(pack), "one")
    assert out.splitlines() == [
        "BIG-001                  1 tests  ok  1 of 1 numbers pinned, 1 of 3 other changes noticed",
        "    when  one/r.yaml:12:21  1_000 CNY  down 800 CNY NOT PINNED  up 1_200 CNY pinned",
        "For information, pinned one way only (a test just on the other side is missing):",
        "    BIG-001  when 1_000 CNY  one/r.yaml:12:21  800 CNY goes unnoticed",
        "Not pinned (make the change, and every test still passes):",
        '    BIG-001  when: "amount >= 1_000 CNY" deleted  one/r.yaml:12:11',
        "        suggested event: the firing one with amount: 999.99 CNY, no expect",
        '    BIG-001  action: "tag" dropped  one/r.yaml:14:15',
        "        suggested event: the firing one with expect_actions: [tag]",
        (
            "1 rules, 1 numbers: 1 pinned, 0 of them both ways, 0 not pinned.  "
            "Rules without a number: 0, without a pinned one: 0."
        ),
        (
            "Mutation: 2 of 5 changes are noticed by a test, 40 % "
            "(numbers 1 of 2, conditions 1 of 2, actions 0 of 1)."
        ),
    ]
    bank(body("amount >= 1_000 CNY", "at: 0m, amount: 5000, expect: fires"))
    assert cli.main(arguments) == 1
    assert "without a pinned one: 1." in capsys.readouterr().out


def unnoticed(verdict):
    return {(m.called, m.text, m.change) for m in verdict.others if not m.noticed}


def test_each_condition_is_deleted_and_negated(bank):
    """The direction is never another one in the tests: nobody would miss it."""
    when = 'amount >= 1_000 CNY and direction == "out" and (channel == "online" or status == "requested")'
    (verdict,) = bank(
        body(
            when,
            "at: 0m, amount: 1000, channel: online, expect: fires",
            "at: 1m, amount: 999, channel: online",
            "at: 2m, amount: 1000, channel: branch",
        )
    )
    tried = {(m.text, m.change) for m in verdict.others if m.kind == "condition"}
    assert tried == {
        (text, change)
        for text in (
            "amount >= 1_000 CNY",
            'direction == "out"',
            'channel == "online"',
            'status == "requested"',
        )
        for change in ("deleted", "negated")
    }
    assert unnoticed(verdict) == {
        ("when", 'direction == "out"', "deleted"),
        ("when", 'status == "requested"', "deleted"),
        ("action", "tag", "dropped"),
    }
    hints = {m.text: m.hint for m in verdict.others if not m.noticed}
    assert hints['direction == "out"'].startswith("the firing one")
    assert (
        hints['status == "requested"']
        == 'one that fires only because status == "requested", expect: fires'
    )


def test_a_field_that_has_to_be_missing_is_left_out(bank):
    """`customer: missing` would be a customer of that name."""
    events = (
        "at: 0m, amount: 1000, customer: C1, expect: fires",
        "at: 1m, amount: 999, customer: C1",
    )
    (verdict,) = bank(body("amount >= 1_000 CNY and customer is present", *events))
    hints = {m.text: m.hint for m in verdict.others if not m.noticed}
    assert hints["customer is present"] == "the firing one with customer left out, no expect"


def test_conditions_of_the_rules_own_features_and_of_names_only_it_uses_are_tried(bank):
    """`shared` is read by both rules, `mine` and what it is made of by one."""
    other = body("shared >= 1", "at: 0m, amount: 200, expect: fires").replace(
        "    params: {}\n", ""
    )
    files = {
        "names.yaml": (
            "macros:\n  large: amount > 100 CNY\nfeatures:\n"
            '  shared: count() by account over 1h where direction == "out"\n'
            '  mine: count() by account over 1h where large and channel == "online"\n'
        ),
        "other.yaml": HEADER.replace("BIG-001", "OTHER-001") + other,
    }
    (verdict,) = bank(
        body(
            "mine >= 2 and shared >= 2 and own >= 2",
            "at: 0m, amount: 200, channel: online",
            "at: 1m, amount: 50, channel: online",
            "at: 2m, amount: 200, channel: online, expect: fires",
            features='own: count() by account over 1h where status == "booked"',
        ),
        files=files,
        only=["BIG-001"],
    )
    tried = {(m.called, m.text) for m in verdict.others if m.kind == "condition"}
    assert tried == {
        ("when", "mine >= 2"),
        ("when", "shared >= 2"),
        ("when", "own >= 2"),
        ("feature own", 'status == "booked"'),
        ("feature mine", "large"),
        ("feature mine", 'channel == "online"'),
        ("macro large", "amount > 100 CNY"),
    }
    pinned = tried - {(called, text) for called, text, _ in unnoticed(verdict)}
    assert ("feature mine", "large") in pinned
    assert ("macro large", "amount > 100 CNY") in pinned
    place = next(m.place for m in verdict.others if m.called == "macro large")
    assert (place.line, place.column) == (2, 10)


def test_exceptions_and_actions_are_dropped(bank):
    """The exception is tried by nothing; the actions are expected."""
    text = body(
        "amount >= 1_000 CNY",
        "at: 0m, amount: 1000, expect: fires, expect_actions: [tag, alert]",
        "at: 1m, amount: 999",
    ).replace(
        "actions: [{tag: big}]",
        "actions: [{tag: big}, {alert: {queue: l1, title: Big}}]\n    exceptions:\n"
        '      - {id: EX-A, when: account == "A7", why: w, approved_by: b, expires: 2027-12-31}',
    )
    (verdict,) = bank(text)
    assert unnoticed(verdict) == {
        ("exception", "EX-A", "dropped"),
    }
    (verdict,) = bank(
        text.replace(
            "- {at: 1m, amount: 999}",
            "- {at: 1m, amount: 999}\n          - {at: 2m, amount: 1000, account: A7, expect: excepted}",
        )
    )
    assert unnoticed(verdict) == set()
    assert mutation.Score.of([verdict]).percent == 100.0


def test_a_change_that_says_the_same_does_not_count(bank):
    """`true` is what an `and` does not feel: to delete it changes nothing, and no test could tell."""
    (verdict,) = bank(
        body(
            "amount >= 1_000 CNY and true",
            "at: 0m, amount: 1000, expect: fires",
            "at: 1m, amount: 999",
        )
    )
    assert verdict.n_same == 1
    assert ("true", "deleted") not in {(m.text, m.change) for m in verdict.others}
    assert "1 more provably change nothing" in mutation.report([verdict])


def test_two_processes_say_what_one_says(bank):
    """The same verdicts in the same order."""
    text = body("amount >= 1_000 CNY", "at: 0m, amount: 1000, expect: fires")
    alone = bank(text, files={"s.yaml": HEADER.replace("BIG-001", "BIG-002") + text})
    pack = bank.folder / "packs" / "one"
    assert mutation.as_json(mutation.run([pack], bank.folder, jobs=2)) == mutation.as_json(alone)


def test_the_command_speaks_json(bank, capsys):
    pack = bank.folder / "packs" / "one"
    bank(body("amount >= 1_000 CNY", "at: 0m, amount: 1000, expect: fires"))
    assert (
        cli.main(
            [
                "rules",
                "test",
                str(pack),
                "--config",
                str(bank.folder),
                "--mutate",
                "--format",
                "json",
            ]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["score"] == {"noticed": 2, "tried": 5, "percent": 40.0}
    assert told["rules"][0]["mutants"][0]["change"] == "800 CNY"
