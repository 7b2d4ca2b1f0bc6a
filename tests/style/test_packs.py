"""The packs that ship: every rule says whose it is, why, and in whose words, and is shown firing and keeping quiet."""

import re
from functools import cache

import pytest

from config import rates, schema, settings
from config.settings import BANK
from rules import pack as packs
from rules.check.findings import as_text

SHIPPED = ("packs/core", "packs/fraud-cn", "packs/aml-cn")
# What a customer must not read where money laundering is looked into: the law against it (反洗钱法) forbids to warn.
TIPS_OFF = re.compile(
    r"suspic|suspect|launder|report|authorit|police|fraud|crim|investigat|freez|monitor"
    r"|可疑|嫌疑|洗钱|报告|报送|公安|警|犯罪|欺诈|诈骗|调查|冻结|监控|监测|人民银行",
    re.IGNORECASE,
)


@cache
def loaded(*names):
    configured = settings.read_settings(BANK / settings.SETTINGS_FILE)
    table = settings.rates_file(BANK, configured)
    return packs.load(
        [BANK / name for name in names],
        schema.read(BANK / settings.SCHEMA_FILE),
        rates.read(table) if table is not None else None,
    )


@cache
def whole():
    found = loaded(*SHIPPED)
    assert found.pack is not None, as_text(found.findings)
    return found.pack


def missing(is_there):
    """Ids of the rules that lack something."""
    return [rule.id for rule in whole().rules if not is_there(rule)]


def test_the_configuration_that_ships_runs_all_of_them():
    assert settings.read_settings(BANK / settings.SETTINGS_FILE).packs == SHIPPED


@pytest.mark.parametrize("names", [(name,) for name in SHIPPED] + [SHIPPED], ids=" ".join)
def test_a_pack_checks_clean_alone_and_with_the_others(names):
    """Not even a warning; alone means with what it extends."""
    assert as_text(loaded(*names).findings) == ""


def test_together_they_are_the_size_that_is_promised():
    """40 rules, 40 features over 5 keys, at least 25 rules in core and 7 in each of the others."""
    pack = whole()
    by_pack = {m.name: sum(r.pack == m.name for r in pack.rules) for m in pack.members}
    keys = {key for f in pack.features.values() if f.aggregate for key in f.aggregate.keys}
    assert len(pack.rules) >= 40
    assert len(pack.features) >= 40
    assert len(keys) >= 5, keys
    assert by_pack["core"] >= 25, by_pack
    assert by_pack["fraud-cn"] >= 7, by_pack
    assert by_pack["aml-cn"] >= 7, by_pack


def test_every_rule_says_whose_it_is_why_it_exists_and_what_it_does():
    assert missing(lambda rule: rule.owner) == []
    assert missing(lambda rule: rule.purpose) == []
    assert missing(lambda rule: rule.description) == []


def test_every_param_says_why_it_has_its_value():
    bare = [f"{rule.id} ${p.name}" for rule in whole().rules for p in rule.params if not p.why]
    assert bare == []


def test_every_reason_speaks_to_analyst_and_customer_in_both_languages():
    """Four sentences, and the Chinese ones are Chinese."""
    reasons = whole().reasons
    for rule in whole().rules:
        reason = reasons[rule.reason]
        for said in (reason.analyst, reason.customer):
            assert set(said) == {"en", "zh"}, (rule.id, rule.reason)
            assert re.search(r"[\u4e00-\u9fff]", said["zh"]), (rule.id, said["zh"])
            assert re.search(r"[a-z]{3}", said["en"]), (rule.id, said["en"])


def test_no_reason_is_declared_for_nothing():
    assert set(whole().reasons) == {rule.reason for rule in whole().rules}


def test_every_rule_is_shown_firing_and_keeping_quiet():
    """One test fires; another one, or another event, is a near miss that stays quiet."""

    def expectations(rule):
        return {event.expect for test in rule.tests for event in test.events}

    assert missing(lambda rule: "fires" in expectations(rule)) == []
    assert missing(lambda rule: "quiet" in expectations(rule)) == []


def test_every_rule_does_something():
    assert missing(lambda rule: rule.actions) == []


def test_customers_are_not_warned_where_laundering_is_looked_into():
    """Every rule of the anti-money-laundering pack or owner has a reason marked `tell: false`."""
    reasons = whole().reasons
    laundering = [
        r for r in whole().rules if r.pack == "aml-cn" or r.owner in ("aml", "compliance")
    ]
    assert laundering
    assert [r.id for r in laundering if reasons[r.reason].tell] == []


def test_a_sentence_that_must_not_tell_does_not():
    """No word of it says that anybody is suspected, reported or watched."""
    warning = [
        f"{code}: {text}"
        for code, reason in whole().reasons.items()
        if not reason.tell
        for text in reason.customer.values()
        if TIPS_OFF.search(text)
    ]
    assert warning == []


def test_only_rules_that_report_have_no_part_in_decisions():
    """A rule without a score that does not report would do nothing to anybody."""
    for rule in whole().rules:
        weighs = rule.score.op != "const" or rule.score.value != 0.0
        acts = any(a.kind not in ("alert", "tag") for a in rule.actions)
        assert weighs or acts, rule.id
