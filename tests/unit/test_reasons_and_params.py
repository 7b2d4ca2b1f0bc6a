"""Why a rule is as it is: its purpose, the reasons behind its params, the sentences of its reason codes."""

import pytest

from rules.check.findings import as_text
from tests.ruling import RULE, load


def rule_with(lines):
    return RULE + "".join(f"    {line}\n" for line in lines.splitlines())


def found(tmp_path, lines="", files=None):
    """Place and message of every finding of a pack with one rule."""
    loaded = load(tmp_path, {"r.yaml": rule_with(lines), **(files or {})})
    return [
        (f"{f.place.file.rpartition('/')[2]}:{f.place.line}:{f.place.column}", f.code, f.message)
        for f in loaded.findings
    ]


def pack_of(tmp_path, lines="", files=None):
    loaded = load(tmp_path, {"r.yaml": rule_with(lines), **(files or {})})
    assert loaded.pack is not None, as_text(loaded.findings)
    return loaded.pack


def test_a_param_says_why_it_has_its_value(tmp_path):
    """The long form and the short form mean the same in a condition."""
    text = rule_with(
        "purpose: Stop the\n  large ones\n"
        "params:\n"
        "  large: {value: 700 EUR, why: half of what a month's rent is}\n"
        "  n: 3"
    ).replace("amount > 500 EUR", "amount > $large and n_items > $n")
    loaded = load(tmp_path, {"r.yaml": text})
    assert loaded.pack is not None, as_text(loaded.findings)
    (rule,) = loaded.pack.rules
    assert rule.purpose == "Stop the large ones"
    assert [(p.name, p.value.value, p.why) for p in rule.params] == [
        ("large", 70_000.0, "half of what a month's rent is"),
        ("n", 3.0, ""),
    ]
    assert [clause.args[1].value for clause in rule.when.args] == [70_000.0, 3.0]
    assert rule.params[0].place.line == text[: text.index("large: {")].count("\n") + 1


@pytest.mark.parametrize(
    ("params", "place", "code", "message"),
    [
        ("n: {value: 3}", "14:10", "WR022", 'param n needs "why:"'),
        ("n: {why: so}", "14:10", "WR022", 'param n needs "value:"'),
        ("n: {value: 3, why: so, unit: h}", "14:30", "WR020", 'param n has no key "unit"'),
        ("n: {value: [3], why: so}", "14:18", "WR027", '"value" is a text, not a list'),
        ("n: {value: 1.5.0, why: so}", "14:21", "WR111", '"." cannot follow here'),
        ("n: [3]", "14:10", "WR027", "param n is one value"),
    ],
)
def test_a_param_of_the_wrong_shape_is_shown(tmp_path, params, place, code, message):
    (finding,) = found(tmp_path, f"params:\n  {params}")
    assert finding == (f"r.yaml:{place}", code, message)


def test_a_reason_speaks_to_analyst_and_customer_in_two_languages(tmp_path):
    """The short form is the analyst's English sentence."""
    files = {
        "reasons.yaml": "reasons:\n"
        "  LARGE:\n"
        "    analyst: {en: A large payment,  zh: 大额付款}\n"
        "    customer: {en: Please confirm it, zh: 请确认}\n"
        "  QUIET:\n"
        "    analyst: {en: Cash in parts}\n"
        "    customer: {tell: false, en: We are checking this payment}\n"
    }
    reasons = pack_of(tmp_path, files=files).reasons
    large, quiet, short = reasons["LARGE"], reasons["QUIET"], reasons["TEST"]
    assert (large.sentence, large.analyst["zh"]) == ("A large payment", "大额付款")
    assert large.customer == {"en": "Please confirm it", "zh": "请确认"}
    assert (large.tell, quiet.tell) == (True, False)
    assert (short.analyst, short.customer) == ({"en": "A reason for tests"}, {})


@pytest.mark.parametrize(
    ("reason", "place", "code", "message"),
    [
        ("[a]", "2:3", "WR027", "reason ODD needs a sentence for people"),
        ("{customer: {en: a}}", "2:8", "WR022", 'reason ODD needs "analyst:"'),
        ("{analyst: {zh: a}}", "2:18", "WR022", 'analyst of ODD needs "en:"'),
        ("{analyst: a}", "2:18", "WR027", "analyst of ODD is a mapping of keys to values, this is none"),
        ("{analyst: {en: a, fr: b}}", "2:26", "WR020", 'analyst of ODD has no key "fr"'),
        ("{analyst: {en: a}, clerk: {en: b}}", "2:27", "WR020", 'reason ODD has no key "clerk"'),
        ("{analyst: {en: a}, customer: {en: b, tell: no}}", "2:51", "WR021", 'tell "no" is not one of true, false'),
    ],
)  # fmt: skip
def test_a_reason_of_the_wrong_shape_is_shown(tmp_path, reason, place, code, message):
    (finding,) = found(tmp_path, files={"s.yaml": f"reasons:\n  ODD: {reason}\n"})
    assert finding == (f"s.yaml:{place}", code, message)


def test_a_broken_reason_is_reported_once_not_at_every_rule(tmp_path):
    """Otherwise one missing sentence would be ten findings."""
    text = RULE.replace("reason: TEST", "reason: ODD")
    loaded = load(tmp_path, {"r.yaml": text, "s.yaml": "reasons:\n  ODD: {analyst: {zh: a}}\n"})
    assert [f.code for f in loaded.findings] == ["WR022"]
