"""Conditions as fraud teams write them: what is a mistake is said, and steps of one pattern are left alone."""

import pytest

from tests.linting import SHIPPED, found, write

HEAD = """
pack: claims
version: 1.0.0
language: 1
currency: CNY
timezone: Asia/Shanghai
retention: 400d
decision:
  combine: sum
  bands: [{from: 0, to: 500, do: approve}, {from: 500, to: 1000, do: review}]
reasons: {T: a reason}
tables:
  sure: {key: segment, values: {student: 95}, default: 90}
features:
  changed: 'time_since_last() of activity by account over 30d where type == "phone_change"'
  opened: time_since_first() of transaction by account over 30d until 1d ago
  ever: time_since_first() of transaction by account over all
  month: time_since_first() of transaction by account over calendar month
  in_1d: 'sum(amount) of transaction by account over 1d where direction == "in"'
  out_1d: 'sum(amount) of transaction by account over 1d where direction == "out"'
  usual: avg(amount) of transaction by account over 60d
  usual_before: avg(amount) of transaction by account over 60d until 1d ago
  times_usual: amount / usual
  times_before: amount / usual_before
rules:
"""
RULE = """
  - id: {id}
    name: A rule
    version: 1
    owner: tests
    severity: {severity}
    reason: T
    on: payment
    mode: live
    when: |
      {when}
    score: {score}
    actions: [alert: {{queue: q}}]
    tests:
      - name: either way
        start: 2026-03-02T10:00:00Z
        defaults: {{type: payment, account: A1}}
        events: [{{at: +0m, amount: 1 CNY}}, {{at: +1m, amount: 9 CNY, expect: fires}}]
"""


def rule(id_, when, score="100", severity="high", more=""):
    return RULE.format(id=id_, when=when, score=score, severity=severity) + more


def codes(folder, *rules):
    folders = write(folder, {"claims/pack.yaml": HEAD + "".join(rules)})
    return [f.code for f in found(folders, schema=SHIPPED) if f.code != "WR301"]


@pytest.mark.parametrize(
    ("code", "when"),
    [
        ("WR201", "changed > 40d"),
        ("WR201", "changed >= 30d"),
        ("WR201", "changed < 0h"),
        ("WR201", "opened < 24h"),
        ("WR201", "share(out_1d, in_1d) > 1"),
        ("WR201", "model.score > 95"),
        ("WR201", "model.score > sure[segment]"),
        ("WR201", 'lower(purpose) contains "Bitcoin"'),
        ("WR201", 'lower(purpose) starts with "Bitcoin"'),
        ("WR201", 'upper(purpose) == "Bitcoin"'),
        ("WR201", 'lower(purpose) in ["Rent", "LOAN"]'),
        ("WR201", 'channel != "web" or channel != "mobile"'),
        ("WR207", "times_usual > 3"),
    ],
)
def test_a_mistake_is_found(tmp_path, code, when):
    assert codes(tmp_path, rule("R-1", when)) == [code]


@pytest.mark.parametrize(
    "when",
    [
        "changed > 29d",
        "opened > 24h",
        "ever > 4000d",
        "month > 20d",
        "opened <= 24h",
        "share(out_1d, in_1d) >= 1",
        "share(balance_before, in_1d) > 1",
        "model.score > 0.95",
        'lower(purpose) contains "bitcoin"',
        'upper(purpose) contains "USDT 2"',
        'lower(purpose) in ["Rent", "loan"]',
        'lower(purpose) matches "[A-Z]?oan"',
        "times_before > 3",
        "local_time(event_time) not between 06:00 and 22:00 and local_time(event_time) <= 23:00",
    ],
)
def test_what_is_right_is_left_alone(tmp_path, when):
    assert codes(tmp_path, rule("R-1", when)) == []


SMALL, LARGE = "amount >= 5_000 CNY", "amount >= 20_000 CNY"
HELD = "    if_undecided: {do: hold}\n"
PASS = '    exceptions: [{id: E-1, when: channel == "branch", why: w, approved_by: a, expires: 2027-01-01}]\n'
ONCE = "    dedup: {by: account, for: 24h}\n"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (rule("R-1", SMALL), rule("R-2", LARGE), ["WR203"]),
        (rule("R-1", SMALL, score="200"), rule("R-2", LARGE), ["WR203"]),
        (rule("R-1", SMALL), rule("R-2", LARGE, score="300"), []),
        (rule("R-1", SMALL), rule("R-2", LARGE, score="amount / 1_000 CNY"), []),
        (rule("R-1", SMALL, severity="low"), rule("R-2", LARGE, severity="critical"), []),
        (rule("R-1", SMALL, severity="critical"), rule("R-2", LARGE, severity="low"), ["WR203"]),
        (rule("R-1", SMALL), rule("R-2", LARGE, more=HELD), []),
        (rule("R-1", SMALL, more=HELD), rule("R-2", LARGE), ["WR203"]),
        (rule("R-1", SMALL), rule("R-2", LARGE, more=ONCE), []),
        (rule("R-1", SMALL, more=PASS), rule("R-2", LARGE), []),
        (rule("R-1", SMALL), rule("R-2", LARGE, more=PASS), ["WR203"]),
        (rule("R-1", SMALL), rule("R-2", SMALL, score="300"), ["WR203"]),
        (rule("R-1", SMALL, score="300"), rule("R-2", SMALL), ["WR203"]),
    ],
)
def test_steps_are_no_copies(tmp_path, low, high, expected):
    """A rule that adds more, says more, or does more where it is undecided is no copy of a wider one."""
    assert codes(tmp_path, low, high) == expected


def test_of_two_with_one_condition_the_weaker_is_the_copy(tmp_path):
    folders = write(
        tmp_path, {"claims/pack.yaml": HEAD + rule("R-1", SMALL) + rule("R-2", SMALL, "300")}
    )
    said = [f.message for f in found(folders, schema=SHIPPED) if f.code == "WR203"]
    assert len(said) == 1
    assert said[0].startswith("rule R-1 has the same condition as R-2")
