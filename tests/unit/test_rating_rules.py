"""Rules read `customer.rating`; features and profiles do not, and rule tests set it."""

import pytest

from config.errors import ConfigError
from replay.workbench.ruletests import run_test
from tests.unit.test_carry import ALONE, COUNT, configure  # noqa: F401 - a fixture

RULE = """\
  - id: RATED-001
    name: A customer with much against them
    version: 1
    owner: tests
    severity: high
    reason: CARD_TESTING
    on: payment
    mode: live
    when: {when}
    score: 100
    actions: [alert: {{queue: q, title: "{{customer.rating}}"}}]
    tests:
      - name: a high rating
        start: "2026-03-02T10:00:00Z"
        events:
          - {{at: 0s, type: payment, customer.rating: 600, expect: fires}}
          - {{at: 1s, type: payment, customer.rating: 599, expect: quiet}}
          - {{at: 2s, type: payment, customer: C1, expect: quiet}}
"""


def made(configure, when="customer.rating >= 600", **more):  # noqa: F811
    return configure(rules=RULE.format(when=when), models=ALONE, **more)


def test_a_rule_reads_the_rating_and_its_tests_set_it(configure):  # noqa: F811
    setup = made(configure)
    [rule] = setup.pack.rules
    result = run_test(setup, rule, rule.tests[0])
    assert (result.failures, result.n_undecided, result.n_expectations) == ([], 0, 3)


def test_a_feature_does_not_read_the_rating(configure):  # noqa: F811
    features = COUNT + "  risky_1h: count() by account over 1h where customer.rating > 5\n"
    with pytest.raises(ConfigError, match="1 error") as refused:
        made(configure, features=features)
    assert "WR107" in refused.value.why


def test_a_slip_is_told_from_the_rating(configure):  # noqa: F811
    with pytest.raises(ConfigError) as refused:
        made(configure, "customer.ratin >= 600")
    assert "WR101" in refused.value.why


def test_a_schema_cannot_bring_a_rating_of_its_own(configure):  # noqa: F811
    with pytest.raises(ConfigError, match="given by the engine"):
        made(
            configure,
            schema=(
                "  customer:\n    person:",
                "  customer:\n    rating: {type: number}\n    person:",
            ),
        )
