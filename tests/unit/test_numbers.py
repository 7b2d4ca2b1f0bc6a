"""The numbers of a rule: which there are, where, and what they become a fifth lower or higher."""

import pytest

from rules.numbers import changed, numbers_of
from tests.ruling import RULE, load, shown

RULE_OF_NUMBERS = """
rules:
  - id: R-1
    name: A rule
    version: 1
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: live
    params:
      large: {value: 1_500.50 EUR, why: because 5 is not in it}
      share: 80%
      sign: -2
      word: retail
      code: "0123"
      day: 2026-03-02
      late: 22:30
      unused: 7
      except: 9
    let:
      half: "n_items / 2.5"
    features:
      n_5m: count() by account over 5m where amount < 10 EUR
      high: {is: "quantile(amount, 95%) by account over 30d until 1d ago"}
    when: |
      amount > $large and half > $sign and n_items > $share
      and duration > 1h30m and segment == $word and mcc != $code and n_5m >= 3 and amount < high
      and at_least(2, is_new, lat > 0.5, local_time(event_time) between 22:00 and $late)
      and event_time > $day
    score: 100 + $unused
    exceptions:
      - {id: EX-1, when: n_items > $except + 4, why: w, approved_by: me, expires: 2027-01-01}
    actions:
      - hold: {for: 12h}
"""


def loaded(tmp_path, text=RULE_OF_NUMBERS):
    found = load(tmp_path, {"r.yaml": text})
    assert found.pack is not None, found.findings
    return found


def test_every_number_of_the_logic_is_found_where_it_stands(tmp_path):
    """Not dates, times of day, texts, nor what only the score, an action or an exception has."""
    found = loaded(tmp_path)
    numbers = numbers_of(found.workshop.nodes["R-1"])
    assert [(n.called, n.text) for n in numbers] == [
        ("param large", "1_500.50 EUR"),
        ("param share", "80%"),
        ("param sign", "2"),
        ("param except", "9"),
        ("let half", "2.5"),
        ("feature n_5m", "5m"),
        ("feature n_5m", "10 EUR"),
        ("feature high", "95%"),
        ("feature high", "30d"),
        ("feature high", "1d"),
        ("when", "1h30m"),
        ("when", "3"),
        ("when", "2"),
        ("when", "0.5"),
    ]
    lines = RULE_OF_NUMBERS.splitlines()
    for n in numbers:
        at = lines[n.place.line - 1][n.place.column - 1 :]
        assert at.startswith(n.text), (n, at)


@pytest.mark.parametrize(
    ("written", "down", "up"),
    [
        ("1_000 EUR", "800 EUR", "1_200 EUR"),
        ("0.03 EUR", "0.02 EUR", "0.04 EUR"),
        ("9.99 EUR", "7.99 EUR", "11.99 EUR"),
        ("0 EUR", None, None),
        ("80%", "64%", "96%"),
        ("0%", None, None),
        ("12.5%", "10%", "15%"),
        ("30m", "24m", "36m"),
        ("24h", "19h12m", "1d4h48m"),
        ("1s", "800ms", "1s200ms"),
        ("0s", None, None),
        ("5", "4", "6"),
        ("3", "2", "4"),
        ("1", "0", "2"),
        ("0", None, "1"),
        ("12", "10", "14"),
        ("400", "320", "480"),
        ("0.5", "0.4", "0.6"),
        ("10_000.0", "8_000", "12_000"),
        ("0.0", None, None),
    ],
)
def test_a_number_moves_by_a_fifth_a_count_by_at_least_one(tmp_path, written, down, up):
    left = {"EUR": "amount", "%": "n_items"}.get(written[-3:], "n_items")
    left = "duration" if written[-1] in "mhs" else left
    found = loaded(tmp_path, RULE.replace("amount > 500 EUR", f"{left} > {written}"))
    (number,) = numbers_of(found.workshop.nodes["R-1"])
    assert (number.moved(up=False), number.moved(up=True)) == (down, up)
    for text in (down, up):
        if text is not None:
            made = found.workshop.remake(changed(found.workshop.nodes["R-1"], number, text))
            assert made is not None, "what it becomes is read like what a person writes"
            assert made[0].when != found.pack.rules[0].when


def test_a_changed_rule_is_what_its_text_would_be(tmp_path):
    """Each place is replaced by itself, also inside long forms; everything else stays."""
    found = loaded(tmp_path)
    node = found.workshop.nodes["R-1"]
    numbers = {(n.called, n.text): n for n in numbers_of(node)}
    for name, text in [
        (("param large", "1_500.50 EUR"), "7 EUR"),
        (("feature high", "1d"), "2d"),
        (("when", "3"), "77"),
    ]:
        rule, features = found.workshop.remake(changed(node, numbers[name], text))
        written = RULE_OF_NUMBERS.splitlines()
        at = numbers[name].place
        line = written[at.line - 1]
        end = at.column - 1 + len(name[1])
        written[at.line - 1] = line[: at.column - 1] + text + line[end:]
        again = loaded(tmp_path, "\n".join(written))
        assert shown(rule.when) == shown(again.pack.rules[0].when)
        for own in ("n_5m", "high"):
            assert features[own].aggregate == again.pack.features[own].aggregate
        assert rule.tests == again.pack.rules[0].tests


def test_what_the_language_refuses_is_no_variant(tmp_path):
    """A level of 114 % and a lower bound above the upper one: nobody could write that by mistake."""
    found = loaded(tmp_path)
    node = found.workshop.nodes["R-1"]
    level = next(n for n in numbers_of(node) if n.text == "95%")
    assert found.workshop.remake(changed(node, level, level.moved(up=True))) is None
    assert found.workshop.remake(changed(node, level, level.moved(up=False))) is not None
