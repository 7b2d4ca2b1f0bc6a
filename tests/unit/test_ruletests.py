"""Tests inside rules, run by the real core: what they tell when they fail, and what they set aside."""

import json
import shutil
import xml.etree.ElementTree as ET

import pytest

from config.errors import ConfigError
from config.settings import BANK
from engine import cli
from replay.workbench import reporting, ruletests

RULE = """\
rules:
  - id: BIG-001
    name: A big payment
    version: 1
    owner: payments
    severity: low
    reason: MODEL_ODD
    on: payment
    mode: {mode}
    when: outgoing and amount >= 1_000 CNY
    score: 100
    actions:
      - alert: {{queue: l1, title: "Big"}}
    tests:
      - name: the edge
        start: 2026-03-02T10:00:00Z
        defaults: {{type: payment, direction: out, status: requested, account: A1}}
{more}
        events:
{events}
"""


@pytest.fixture
def rule(request):
    """The rule file, with holes for mode, events and what else the test says."""
    return getattr(request, "param", RULE)


@pytest.fixture
def run(tmp_path, rule):
    """Run the tests of one rule written beside the features that ship."""

    def go(*events, mode="live", more=""):
        folder = tmp_path / "bank"
        shutil.copytree(BANK, folder)
        pack = folder / "packs" / "core"
        for path in (pack / "rules").glob("*.yaml"):
            path.unlink()
        lines = "\n".join(f"          - {{{event}}}" for event in events)
        (pack / "rules" / "big.yaml").write_text(rule.format(events=lines, mode=mode, more=more))
        return ruletests.run([pack], folder)[0]

    return go


def test_expectations_that_are_met_are_counted(run):
    (result,) = run(
        "at: +0m, amount: 1_000 CNY, expect: fires, expect_actions: [alert]",
        "at: +1m, amount: 999.99 CNY, expect: quiet",
        "at: +2m, amount: 1000.00, expect: fires, expect_features: {out_48h: 2_999.99 CNY}",
    )
    assert (result.is_fine, result.n_expectations, result.n_undecided) == (True, 5, 0)
    assert reporting.report([result]).splitlines() == [
        "BIG-001                  1 tests  ok",
        "1 rules, 1 tests, 5 expectations: 5 ok, 0 failed.  Undecided evaluations: 0.",
    ]


def test_a_failure_shows_what_the_condition_read(run):
    (result,) = run(
        "at: +0m, amount: 999 CNY, expect: fires",
        "at: +1m, amount: 1_001 CNY, expect: fires, expect_actions: [alert, freeze]",
        "at: +2m, amount: 5 CNY, expect: quiet, expect_features: {out_48h: 7 CNY}",
    )
    first, second, third = result.failures
    assert (first.expected, first.got) == ("fires", "quiet")
    assert "amount = 999.00 CNY" in first.values
    assert (second.expected, second.got) == ("actions alert, freeze", "actions alert")
    assert third.expected == "out_48h = 7 CNY"
    assert [(c.text, c.truth, c.values) for c in first.clauses] == [
        ("outgoing", "true", "direction = out, status = requested"),
        ("amount >= 1_000 CNY", "false", "amount = 999.00 CNY"),
    ]
    text = reporting.report([result])
    assert "expected fires, but it stayed quiet" in text
    assert "        2026-03-02T10:00:00Z  payment  999.00 CNY" in text
    assert "          amount >= 1_000 CNY  false      amount = 999.00 CNY" in text
    assert "BIG-001                  1 tests  FAIL" in text
    assert "5 expectations: 2 ok, 3 failed." in text


def test_a_missing_field_is_undecided_and_counts_as_quiet(run):
    (result,) = run("at: +0m, expect: undecided", "at: +1m, expect: quiet")
    assert (result.is_fine, result.n_undecided) == (True, 2)


@pytest.mark.parametrize("mode", ["shadow", "live"])
def test_the_mode_of_a_rule_is_set_aside(run, mode):
    (result,) = run("at: +0m, amount: 1_000 CNY, expect: fires", mode=mode)
    assert result.is_fine


def test_an_event_that_cannot_be_read_fails_its_test(run):
    (result,) = run("at: +0m, amount: 1_000.005 CNY, expect: quiet")
    assert result.failures[0].got.startswith("a dead letter, wrong_amount: `amount` means nothing")


def test_a_profile_that_cannot_be_read_fails_its_test(run):
    """It was passed over, and the test then ran without it."""
    (result,) = run(
        "at: +0m, amount: 5 CNY, expect: quiet",
        more="        profiles: [{account: A1, kind: profil}]",
    )
    (failure,) = result.failures
    assert failure.got.startswith("a dead letter, unknown_kind: `kind` must be one of")


LISTS = """\
lists:
  watch: {{type: id, of: counterparty, values: [W0]}}
"""
ADDING = (
    RULE.replace("rules:", f"{LISTS}rules:")
    .replace(
        "when: outgoing and amount >= 1_000 CNY", "when: counterparty in @watch or amount > 900 CNY"
    )
    .replace(
        '      - alert: {{queue: l1, title: "Big"}}\n',
        "      - list_add: {{list: watch, value: counterparty, for: 1h, max_per_hour: 5}}\n",
    )
)


@pytest.mark.parametrize("rule", [ADDING], indirect=True)
def test_a_row_that_the_rule_adds_counts_at_its_next_event(run):
    """And ends when it says; after that the rule has added nothing more."""
    (result,) = run(
        "at: +0m, counterparty: X1, amount: 5 CNY, expect: quiet",
        "at: +1m, counterparty: X1, amount: 901 CNY, expect: fires",
        "at: +2m, counterparty: X2, amount: 5 CNY, expect: quiet",
        "at: +60m, counterparty: X1, amount: 5 CNY, expect: fires",
        "at: +119m, counterparty: X1, amount: 5 CNY, expect: fires",
        "at: +179m, counterparty: X1, amount: 5 CNY, expect: quiet",
    )
    assert (result.is_fine, result.failures) == (True, [])


@pytest.mark.parametrize("rule", [ADDING], indirect=True)
def test_rows_of_lists_in_a_test_may_have_dates(run):
    """Until the end, not included; the others hold always."""
    (result,) = run(
        "at: +0m, counterparty: W0, amount: 5 CNY, expect: quiet",
        "at: +0m, counterparty: A1, amount: 5 CNY, expect: fires",
        "at: +29m, counterparty: A2, amount: 5 CNY, expect: quiet",
        "at: +59m, counterparty: A2, amount: 5 CNY, expect: fires",
        "at: +179m, counterparty: A2, amount: 5 CNY, expect: quiet",
        more="        lists: {watch: [A1, {value: A2, valid_from: 2026-03-02T10:30:00Z, valid_until: 2026-03-02T11:00:00Z}]}",
    )
    assert (result.is_fine, result.failures) == (True, [])


def test_a_year_may_pass_inside_a_test(run):
    (result,) = run(
        "at: +0m, amount: 1_000 CNY, expect: fires",
        "at: +400d, amount: 1_000 CNY, expect: fires, expect_features: {out_48h: 1_000 CNY}",
    )
    assert result.is_fine


def test_a_rule_that_is_not_there_is_asked_for_in_vain():
    with pytest.raises(ConfigError, match="there is no rule `NO-SUCH` in the packs"):
        ruletests.run([BANK / "packs" / "core"], BANK, {"NO-SUCH"})


def test_rules_without_a_test_are_named():
    """A green table must not hide that nothing was tried."""
    lines = reporting.report([], ["BIG-001"]).splitlines()
    assert lines == [
        "BIG-001                  0 tests  add one that fires and one that stays quiet",
        (
            "Tests stand under `tests:` of a rule; those of a rule that your pack overrides, in the override: "
            "add: {tests: [...]}. They then test the rule as overridden."
        ),
        "0 rules, 0 tests, 0 expectations: 0 ok, 0 failed.  Undecided evaluations: 0.",
    ]


def test_an_amount_with_too_many_decimals_fails_its_test(run):
    """4.000 CNY may be meant as four thousand."""
    (result,) = run("at: +0m, amount: 4.000 CNY, expect: quiet")
    assert "wrong_amount" in result.failures[0].got


DOLLARS = """\
        rates: {USD: 7}
"""


def test_a_test_may_bring_its_own_rates(run):
    """An amount names its currency, and is converted with them alone."""
    events = (
        "at: +0m, amount: 142.86 USD, expect: fires, expect_features: {out_48h: 1_000.02 CNY}",
        "at: +1m, amount: 142.85 USD, expect: quiet",
        "at: +2m, amount: 900 EUR, expect: undecided, expect_features: {out_48h: 1_999.97 CNY}",
    )
    (result,) = run(*events, more=DOLLARS)
    assert result.is_fine, result.failures


def test_a_test_without_rates_has_those_of_the_configuration(run):
    """One dollar is 7.0621 yuan then."""
    (result,) = run(
        "at: +0m, amount: 142.86 USD, expect: fires, expect_features: {out_48h: 1_008.89 CNY}"
    )
    assert result.is_fine, result.failures


def test_an_amount_expected_in_another_currency_is_not_met(run):
    (result,) = run(
        "at: +0m, amount: 1_000 CNY, expect: fires, expect_features: {out_48h: 1_000 USD}"
    )
    assert [(f.expected, f.got) for f in result.failures] == [
        ("out_48h = 1_000 USD", "1000.00 CNY")
    ]


@pytest.mark.parametrize(
    ("event", "more", "message"),
    [
        ("amount: 5 USB", "", "USB is not an ISO 4217 currency"),
        ("amount: 5, balance_before: 5 USD", "", "balance_before is in CNY, 5 USD is not"),
        (
            "amount: 5",
            "        rates: {USD: 0}\n",
            "the rate of `USD` must be a decimal above zero",
        ),
        ("amount: 5", "        rates: {CNY: 1}\n", "`CNY` has a rate in itself"),
    ],
)
def test_wrong_currencies_of_a_test_are_told(run, event, more, message):
    with pytest.raises(ConfigError, match=message):
        run(f"at: +0m, {event}", more=more)


def test_build_servers_read_the_results(run):
    """Suites, cases and counts as JUnit has them; the failure says what was expected and what was read."""
    results = run(
        "at: +0m, amount: 999 CNY, expect: fires", "at: +1m, amount: 998 CNY, expect: fires"
    )
    results[0].test = "a name with <marks> & a bell \x07"
    root = ET.fromstring(reporting.as_junit(results, ["NEW-001"]))
    assert root.tag == "testsuites"
    assert [root.get(n) for n in ("tests", "failures", "errors", "skipped")] == ["2", "1", "0", "1"]
    first, second = root
    assert (first.get("name"), first.get("tests"), first.get("failures")) == ("BIG-001", "1", "1")
    (case,) = first
    assert (case.get("classname"), case.get("name")) == (
        "BIG-001",
        "a name with <marks> & a bell ?",
    )
    assert case.get("file").endswith("rules/big.yaml")
    assert case.get("line") == "15"
    (failure,) = case
    assert failure.get("message") == "expected fires, but it stayed quiet"
    assert failure.text.count("amount >= 1_000 CNY  false") == 2
    assert second[0][0].tag == "skipped"


def test_results_as_json_hold_the_clauses(run):
    results = run("at: +0m, amount: 999 CNY, expect: fires")
    told = reporting.as_json(results, ["NEW-001"])
    assert (told["expectations"], told["failed"], told["untested"]) == (1, 1, ["NEW-001"])
    (test,) = told["tests"]
    assert test["failures"][0]["clauses"][1] == {
        "text": "amount >= 1_000 CNY",
        "truth": "false",
        "values": "amount = 999.00 CNY",
    }


def test_a_rule_without_a_test_fails_only_where_it_is_asked_for(run, tmp_path, capsys):
    """The JUnit file is written beside the table."""
    run("at: +0m, amount: 1_000 CNY, expect: fires")
    rule = tmp_path / "bank" / "packs" / "core" / "rules" / "big.yaml"
    rule.write_text(rule.read_text()[: rule.read_text().index("    tests:")])
    pack, config = str(tmp_path / "bank" / "packs" / "core"), str(tmp_path / "bank")
    arguments = ["rules", "test", pack, "--config", config]
    assert cli.main([*arguments, "--junit", str(tmp_path / "out.xml")]) == 0
    assert "BIG-001                  0 tests  add one" in capsys.readouterr().out
    assert ET.parse(tmp_path / "out.xml").getroot().get("skipped") == "1"
    assert cli.main([*arguments, "--strict", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["untested"] == ["BIG-001"]
    assert cli.main([*arguments, "--junit", str(tmp_path / "no" / "out.xml")]) == 2
    assert "cannot be written" in capsys.readouterr().err
