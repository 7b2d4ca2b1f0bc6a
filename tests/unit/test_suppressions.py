"""Suppressions of a pack: one rule, one entity, until a date; what cannot be meant is told, what is over is mentioned."""

import pytest

from rules import suppressions
from rules.reader import Findings
from tests.ruling import RULE, load

ONE = "suppressions:\n  - {rule: R-1, entity: {card: C7}, until: 2026-04-01, why: travels, by: m.keller}\n"
APRIL_US = 1_774_994_400_000_000  # 2026-04-01 in Berlin


def read(tmp_path, text, **more):
    return load(tmp_path, {"r.yaml": RULE, "s.yaml": text, **more})


def test_a_suppression_is_read(tmp_path):
    loaded = read(tmp_path, ONE)
    assert loaded.pack is not None, loaded.findings
    (got,) = loaded.pack.suppressions
    assert (got.rule, got.field, got.entity, got.until_us) == ("R-1", "card", "C7", APRIL_US)
    assert (got.why, got.by, got.pack, got.place.line) == ("travels", "m.keller", "test", 2)


def test_they_come_in_one_order_whatever_file_they_stand_in(tmp_path):
    more = ONE.replace("C7", "C1")
    first = read(tmp_path / "a", ONE, **{"z.yaml": more}).pack.suppressions
    second = read(tmp_path / "b", more, **{"z.yaml": ONE}).pack.suppressions
    assert [s.entity for s in first] == [s.entity for s in second] == ["C1", "C7"]


@pytest.mark.parametrize(
    ("old", "new", "code", "message", "hint"),
    [
        ("R-1", "R-2", "WR329", "there is no rule R-2", "did you mean R-1?"),
        ("{card: C7}", "{crad: C7}", "WR021", 'a rule cannot be suppressed for one "crad"', 'did you mean "card"?'),
        ("{card: C7}", "{amount: 7}", "WR021", 'a rule cannot be suppressed for one "amount"',
         'did you mean "account"?'),
        ("{card: C7}", "{ip: 7}", "WR021", 'a rule cannot be suppressed for one "ip"',
         "known: account, counterparty, payee, customer, card, device, merchant"),
        ("{card: C7}", "{card: C7, device: D1}", "WR022", "a suppression is about one entity", "write one suppression for each"),
        ("{card: C7}", "{card: [C7]}", "WR027", "card is the id of one card", ""),
        ("{card: C7}", "{card: ''}", "WR027", "card is the id of one card", ""),
        ("entity: {card: C7}, ", "", "WR022", 'a suppression needs "entity:"', ""),
        ("2026-04-01", "soon", "WR024", 'until "soon" is not a date or time with offset', None),
        ("until: 2026-04-01, ", "", "WR022", 'a suppression needs "until:"', ""),
        ("why: travels, ", "", "WR022", 'a suppression needs "why:"', ""),
        (", by: m.keller", "", "WR022", 'a suppression needs "by:"', ""),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told(tmp_path, old, new, code, message, hint):
    assert old in ONE
    (found,) = read(tmp_path, ONE.replace(old, new)).findings
    assert (found.code, found.message) == (code, message)
    assert hint is None or found.hint == hint


def test_two_for_one_entity_are_told(tmp_path):
    again = ONE + ONE.partition("\n")[2].replace("2026-04-01", "2026-05-01")
    (found,) = read(tmp_path, again).findings
    assert found.code == "WR105"
    assert found.message.startswith("R-1 is withheld for this card at ")


def test_a_retired_rule_cannot_be_suppressed(tmp_path):
    gone = "retired:\n  - {id: R-9, on: 2026-01-01, why: gone}\n"
    (found,) = read(tmp_path, ONE.replace("R-1", "R-9") + gone).findings
    assert found.code == "WR329"
    assert found.hint == "take the suppression out"


@pytest.mark.parametrize(("as_of_us", "n"), [(APRIL_US - 1, 0), (APRIL_US, 1)])
def test_what_is_over_is_mentioned(tmp_path, as_of_us, n):
    """From its last instant on, at its date."""
    loaded = read(tmp_path, ONE)
    findings = Findings()
    suppressions.over(loaded.workshop.suppressions, as_of_us, findings)
    told = [(f.code, f.severity, f.message, f.place.column) for f in findings.all]
    wanted = ("WR335", "warn", "the suppression of R-1 for card C7 is over", 44)
    assert told == [wanted] * n
