"""What `matches` may contain: nothing on which `re` can run away."""

import pytest

from rules.patterns import refuse


@pytest.mark.parametrize(
    "pattern",
    [
        "^AB[0-9]+$",
        "(salary|rent|tax)",
        "IBAN ?[A-Z]{2}[0-9]{2}",
        "a.*b.*c",
        "(jan|feb|mar) 20[0-9]{2}",
    ],
)
def test_plain_patterns_may_run(pattern):
    assert refuse(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a|a)" * 12 + "b", "1,000 ways"),
        ("(a?b?)" * 8, "1,000 ways"),
        ("a{0,30}" * 3, "1,000 ways"),
        ("a*a*a*a*b", "open-ended repeats"),
        ("(a+)+$", "repeat inside a repeat"),
        ("(ab|c)*d", "alternatives inside a repeat"),
        (r"(a)\1", "back references"),
        ("x" * 300, "at most 200 characters"),
        ("(", "not a pattern"),
    ],
)
def test_patterns_that_can_take_for_ever_are_refused_with_the_reason(pattern, why):
    problem = refuse(pattern)
    assert problem is not None
    assert why in problem[0]
    assert problem[1]
