"""Breakers: what automation may do is a share of the transactions of the last minutes, counted exactly."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.decisions import DecisionSettings
from config.errors import ConfigError
from engine.breakers import Breakers
from tests.deciding import HOUR, MINUTE, SECOND, Bench, action, fires, loose, restrict, rule

WINDOW = 5 * MINUTE
steps = st.tuples(st.integers(0, 400).map(lambda s: s * SECOND), st.booleans(), st.booleans())


def naive(stream):
    """Which actions of `stream` pass, by counting everything again at each."""
    seen, taken, passed, now = [], [], [], 0
    for gap, is_transaction, acts in stream:
        now += gap
        if is_transaction:
            seen.append(now)
        if not acts:
            continue
        n = sum(t > now - WINDOW for t in seen)
        done = sum(t > now - WINDOW for t in taken)
        passed.append(done < max(2, n * 30 // 100))
        if passed[-1]:
            taken.append(now)
    return passed


@given(st.lists(steps, max_size=60), st.lists(st.integers(0, 60), max_size=4), st.booleans())
def test_what_passes_is_what_a_naive_count_lets_pass(stream, cuts, restarts):
    """Whatever the cuts, and whether the counts are saved and loaded in between."""
    breakers, passed, now = Breakers({"hold": 0.3}, 2, WINDOW), [], 0
    bounds = [0, *sorted(min(c, len(stream)) for c in cuts), len(stream)]
    for first, last in pairwise(bounds):
        part = stream[first:last]
        core_us = now + np.cumsum([gap for gap, _, _ in part], dtype=np.int64)
        breakers.see(core_us, np.array([t for _, t, _ in part], bool))
        for row, (_, _, acts) in enumerate(part):
            now = int(core_us[row])
            if acts:
                passed.append(breakers.full("hold", row, now) is None)
                if passed[-1]:
                    breakers.take("hold", now)
        if restarts:
            saved, taken = breakers.save(), breakers.taken()
            breakers = Breakers({"hold": 0.3}, 2, WINDOW)
            breakers.restore(saved, taken)
    assert passed == naive(stream)


def test_what_was_done_exactly_a_window_ago_counts_no_more():
    breakers = Breakers({"hold": 0.3}, 2, WINDOW)
    times = np.array([0, 0, WINDOW - 1, WINDOW], np.int64)
    breakers.see(times, np.ones(4, bool))
    full = []
    for row, now in enumerate(times.tolist()):
        full.append(breakers.full("hold", row, now) is not None)
        if not full[-1]:
            breakers.take("hold", now)
    assert full == [False, False, True, False]


@pytest.mark.parametrize("kind", ["hold", "challenge", "decline"])
@pytest.mark.parametrize("cuts", [(), range(100, 4_000, 100)])
def test_a_rule_gone_wild_is_stopped_at_once_with_the_numbers(kind, cuts):
    """4,000 transactions at ten a second, and the rule fires on each."""
    bench = Bench(rule("A", action(kind)))
    bench.run([fires("A", at=i * SECOND // 10) for i in range(4_000)], cuts)
    decisions = bench.decisions()
    assert decisions[:50] == [kind] * 50
    for end in range(0, 4_001, 250):
        last = decisions[max(0, end - 3_000) : end]
        assert last.count(kind) <= max(50, len(last) * 2 // 100 + 10)
    assert set(decisions[50:3_000]) == {"review", kind}
    assert decisions[50:2_549] == ["review"] * 2_499
    assert decisions[2_549] == kind, "2 % of 2,550 are 51"
    assert bench.lines("decisions")[50]["reasons"] == ["R_A", "BREAKER_OPEN"]
    [alarm] = bench.lines("alerts")
    told = {name: alarm[name] for name in ("reason", "seq", "taken", "limit", "transactions")}
    assert told == {
        "reason": "BREAKER_OPEN", "seq": 50, "taken": 50, "limit": 50, "transactions": 51,
    }  # fmt: skip


def test_the_share_counts_once_there_are_many_transactions():
    """10,000 quiet ones and then 500 wild ones: 2 % of them all, and not 50."""
    bench = Bench(rule("A", action("hold")))
    bench.run([fires(at=i * 10_000) for i in range(10_000)], range(1_000, 10_000, 1_000))
    bench.batch([fires("A", at=100 * SECOND) for _ in range(500)])
    assert bench.decisions().count("hold") == 210


def test_freezes_have_a_breaker_too_and_watching_does_not_count():
    settings = loose(breaker_minimum=3, breakers={"freeze": 0.02})
    bench = Bench(
        rule("A", restrict("card", "limit", per_hour=99)),
        rule("B", restrict("card", "watch", per_hour=99)),
        settings=settings,
    )
    bench.batch([fires("A", "B", card=f"C{i}") for i in range(6)])
    levels = [line["level"] for line in bench.lines("commands")]
    assert (levels.count("limit"), levels.count("watch")) == (3, 6)
    assert bench.decisions()[3:] == ["review"] * 3


def test_a_freeze_rule_on_rows_without_its_entity_is_bounded_by_the_breaker_of_holds():
    bench = Bench(rule("A", restrict("card")), settings=loose(breaker_minimum=2))
    bench.batch([fires("A", card=None) for _ in range(5)])
    assert bench.decisions() == ["hold"] * 2 + ["review"] * 3


def test_what_a_freeze_demands_of_later_rows_is_not_counted():
    bench = Bench(rule("A", restrict("card")), settings=loose(breaker_minimum=1))
    bench.batch([fires("A"), *(fires() for _ in range(20))])
    assert bench.decisions() == ["hold"] * 21


def test_an_account_is_blocked_on_evidence_only():
    """A high score, or rules with different reasons; a card needs none."""
    rules = [rule("A", restrict("account", "no_debit"), restrict("card")), rule("B"), rule("C", reason="R_A")]  # fmt: skip
    for fired, points, expected in [
        (["A"], {}, ["card"]),
        (["A"], {"A": 850.0}, ["account", "card"]),
        (["A", "B"], {}, ["account", "card"]),
        (["A", "C"], {}, ["card"]),
    ]:
        bench = Bench(*rules, settings=DecisionSettings())
        bench.batch([fires(*fired, points=points)])
        assert [next(iter(line["entity"])) for line in bench.lines("commands")] == expected
        thin = "EVIDENCE_THIN" in bench.lines("decisions")[0]["reasons"]
        assert thin == ("account" not in expected)


def test_an_account_that_is_only_watched_needs_no_evidence():
    bench = Bench(rule("A", restrict("account", "watch")), settings=DecisionSettings())
    bench.batch([fires("A")])
    assert len(bench.lines("commands")) == 1


def test_what_a_person_released_is_not_frozen_again_by_the_same_rule_for_a_day():
    bench = Bench(rule("A", restrict(hours=1)), rule("B", restrict(hours=1)))
    bench.batch([fires("A", at=0)])
    release = {
        "kind": "command",
        "id": None,
        "command": {
            "command": "release", "restriction_id": bench.lines("commands")[0]["restriction_id"],
            "reason": "was me", "legal_basis": "law",
        },
    }  # fmt: skip
    bench.batch([release | {"command": release["command"] | {"by": by}} for by in ("ann", "bob")])
    rows = [fires("A", at=HOUR), fires("A", at=24 * HOUR - 1), fires("B", at=24 * HOUR - 1)]
    bench.batch([*rows, fires("A", at=30 * HOUR)])
    assert bench.decisions()[1:] == ["review", "review", "hold", "hold"]
    assert bench.lines("decisions")[1]["reasons"] == ["R_A", "COOLING_DOWN"]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_share_is_a_share(share):
    with pytest.raises(ConfigError, match=r"`breakers` must lie in \(0, 1\]"):
        DecisionSettings(breakers={"hold": share})
