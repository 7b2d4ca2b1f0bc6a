"""Quotients whose divisor can be 0 (WR210), and negations in what a feature counts (WR204)."""

import pytest

from rules.check.examples import HEAD, rule
from tests.linting import found, underlined, write

FEATURES = """features:
  back: 'sum(amount) of transaction by account over 30d where type == "refund"'
  bought: 'sum(amount) of transaction by account over 30d where type == "payment"'
  all_in: sum(amount) of transaction by account over 60d
  usual: quantile(amount, 95%) of transaction by account over 60d until 1d ago
  share: back / bought
"""


def findings(tmp_path, when, features=FEATURES):
    files = {
        "night/pack.yaml": HEAD,
        "night/f.yaml": features,
        "night/r.yaml": rule(f"when: {when}"),
    }
    unused = ("WR301", "WR208")
    return [f for f in found(write(tmp_path, files)) if f.code not in unused]


@pytest.mark.parametrize(
    ("when", "part", "hint"),
    [
        ("back / bought > 50%", "back / bought > 50%", "write back > 50% * bought, or add bought > 0 if that is meant"),
        ("amount > 5 EUR and 0.5 <= back / bought", "0.5 <= back / bought", "write back >= 0.5 * bought, or add bought > 0 if that is meant"),
        ("back / (2 * bought) > 1 + 1", "back / (2 * bought) > 1 + 1", "write back > (1 + 1) * (2 * bought), or add 2 * bought > 0 if that is meant"),
        ("share > 50%", "share > 50%", "compare products instead, or say what holds for 0"),
        ("back / bought > 50% and back > 0 EUR", "back / bought > 50%", "write back > 50% * bought, or add bought > 0 if that is meant"),
    ],
)  # fmt: skip
def test_a_divisor_that_can_be_0_is_found(tmp_path, when, part, hint):
    """Whoever never bought anything and gets refunds is the worst case, and would not be seen."""
    [finding] = findings(tmp_path, when)
    assert (finding.code, underlined(finding), finding.hint) == ("WR210", part, hint)


@pytest.mark.parametrize(
    "when",
    [
        "bought > 0 EUR and back / bought > 50%",
        "bought >= 100 EUR and share > 50%",
        "back / bought > 50% or bought == 0 EUR",
        "((back / bought) ?? 1) > 50%",
        "back / bought < 50%",
        "back / bought between 50% and 150%",
        "back / all_in > 50%",
        "amount / usual > 3",
        "amount / balance_before > 80%",
        "back > 50% * bought",
    ],
)
def test_a_divisor_that_was_thought_of_is_not(tmp_path, when):
    """A guard, a default, a small quotient, a part of what is divided by, and what is missing rather than 0."""
    assert findings(tmp_path, when) == []


def test_a_negation_in_what_a_feature_counts_is_found(tmp_path):
    features = (
        "features:\n  abroad: 'count() of transaction by account over 1d where country != \"DE\"'\n"
    )
    [finding] = findings(tmp_path, "abroad > 3", features)
    assert (finding.code, underlined(finding)) == ("WR204", 'country != "DE"')
    assert (
        finding.message == "country is optional; when it is missing abroad does not count the event"
    )
    assert finding.hint == 'if it should, write: (country is missing or country != "DE")'


@pytest.mark.parametrize(
    "where",
    [
        'country is missing or country != "DE"',
        'country is present and country != "DE"',
        'currency != "EUR"',
        'type != "refund"',
    ],
)
def test_a_negation_of_what_is_there_or_was_thought_of_is_not(tmp_path, where):
    features = f"features:\n  abroad: 'count() of transaction by account over 1d where {where}'\n"
    assert findings(tmp_path, "abroad > 3", features) == []
