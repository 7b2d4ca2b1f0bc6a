"""Drift is seen once, with its numbers; what comes back every day or week is none; batches are invisible."""

import itertools
import math

import numpy as np
import pytest

from config.errors import StateError
from models.drift import HISTORY, N_EDGES, N_SAMPLE, Drift
from models.laws import same_bits, same_state
from tests.oracles import drift as oracle

ROWS = 2_000


def days(seed, n, change=None, rows=ROWS):
    """Blocks (rows, 1) of amounts that differ by hour and weekday; from day 40 on as `change` makes them."""
    rng = np.random.default_rng(seed)
    hour = np.linspace(0.0, 2 * np.pi, rows)
    found = []
    for k in range(n):
        x = np.exp(rng.normal(3.8, 0.9, rows) + 0.25 * np.sin(hour) + 0.5 * (k % 7 >= 5))
        if change is not None and k >= 40:
            x = change(x, k, rng)
        found.append(x.astype(np.float32)[:, None])
    return found


def missing(share):
    return lambda x, k, rng: np.where(rng.random(len(x)) < share, np.nan, x)


def alarms(blocks, drift=None):
    drift = drift or Drift(blocks[0].shape[1])
    found = []
    for k, x in enumerate(blocks):
        drift.observe(x, np.arange(len(x)))
        found += [(k, each) for each in drift.close()]
    return found


CHANGES = {
    "3 times": (lambda x, k, rng: 3.0 * x, 40),
    "a third": (lambda x, k, rng: x / 3.0, 40),
    "spread": (lambda x, k, rng: np.exp(3.8 + 2.0 * (np.log(x) - 3.8)), 40),
    "12 % missing": (missing(0.12), 40),
    "rounded": (lambda x, k, rng: np.round(x / 50.0) * 50.0, 40),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_one_alarm_on_its_first_day(name):
    change, day = CHANGES[name]
    assert [k for k, _ in alarms(days(1, 75, change))] == [day]


def test_what_comes_back_every_day_or_week_is_no_drift():
    for seed in range(5):
        assert alarms(days(seed, 100)) == []


def test_a_weekend_would_be_drift_to_somebody_who_only_looks_at_yesterday(monkeypatch):
    """Why blocks are compared with those a week apart and more."""
    monkeypatch.setattr("models.drift.APART", 1)
    monkeypatch.setattr("models.drift.HISTORY", 2)
    assert len(alarms(days(1, 60))) > 5


def test_a_slow_change_is_seen_while_it_creeps():
    creeping = lambda x, k, rng: x * np.exp(np.log(4.0) * min((k - 40) / 20, 1.0))  # noqa: E731
    found = [k for k, _ in alarms(days(2, 75, creeping))]
    assert found
    assert 41 < found[0] < 56


def test_a_drift_is_told_with_medians_and_missing_shares():
    def change(x, k, rng):
        return missing(0.12)(3.0 * x, k, rng)

    ((_, told),) = alarms(days(3, 60, change))
    assert told.column == 0
    assert told.median_now / told.median_before == pytest.approx(3.0, rel=0.5)
    assert told.missing_before == 0
    assert told.missing_now == pytest.approx(0.12, abs=0.03)
    assert told.statistic > 0.15


def test_a_column_of_one_value_shows_the_next_one():
    constant = [np.zeros((ROWS, 1), np.float32) for _ in range(20)]
    for k in range(12, 20):
        constant[k][: ROWS // 10] = 1.0
    assert [k for k, _ in alarms(constant)] == [12]


def test_columns_drift_on_their_own():
    blocks = [
        np.concatenate(pair, axis=1)
        for pair in zip(days(4, 60), days(5, 60, CHANGES["3 times"][0]), strict=True)
    ]
    assert [(k, each.column) for k, each in alarms(blocks)] == [(40, 1)]


def test_a_block_with_too_few_rows_goes_on():
    drift = Drift(1, rows_min=500)
    drift.observe(np.zeros((499, 1), np.float32), np.arange(499))
    assert drift.close() == []
    assert drift.rows == 499
    drift.observe(np.zeros((1, 1), np.float32), np.arange(1))
    drift.close()
    assert drift.rows == 0


@pytest.mark.parametrize("seed", range(4))
def test_alarms_are_those_of_the_naive_twin(seed):
    """Few and odd values, missing ones, shocks now and then."""
    rng = np.random.default_rng(seed)
    blocks, level = [], 1.0
    for _ in range(120):
        level *= float(rng.choice([1.0, 2.0], p=[0.95, 0.05]))
        x = np.round(rng.gamma(2.0, level, 600), 1).astype(np.float32)
        x[rng.random(600) < 0.1] = np.nan
        blocks.append(x[:, None])

    def edges_of(k):
        """As the class draws them: every third row of 600 and so on is in the sample of 256."""
        held, stride = [], 1
        for i, v in enumerate(blocks[k][:, 0].tolist()):
            if i % stride == 0:
                if len(held) == N_SAMPLE:
                    held, stride = held[::2], 2 * stride
                if i % stride == 0:
                    held.append(v)
        known = sorted(v for v in held if not math.isnan(v))
        return sorted({known[(j * len(known)) // (N_EDGES + 1)] for j in range(1, N_EDGES + 1)})

    expected = oracle.alarms([b[:, 0].tolist() for b in blocks], edges_of, 0.15)
    assert expected
    assert [k for k, _ in alarms(blocks)] == expected


def test_batch_cuts_change_no_bit():
    blocks = days(6, 30)
    whole, cut = Drift(1), Drift(1)
    rng = np.random.default_rng(7)
    for x in blocks:
        whole.observe(x, np.arange(ROWS))
        edges = [0, *sorted(rng.integers(0, ROWS, 5).tolist()), ROWS]
        for a, b in itertools.pairwise(edges):
            cut.observe(x[a:b], np.arange(b - a))
        assert whole.close() == cut.close()
        assert same_state(whole.save(), cut.save())


def test_rows_that_are_not_named_are_not_counted():
    (x,) = days(8, 1)
    some = np.arange(0, ROWS, 3)
    one, other = Drift(1), Drift(1)
    one.observe(x, some)
    other.observe(np.ascontiguousarray(x[some]), np.arange(len(some)))
    assert same_state(one.save(), other.save())


def test_save_and_load_lose_nothing():
    blocks = days(9, 60, CHANGES["a third"][0])
    drift, twin = Drift(1), Drift(1)
    alarms(blocks[:35], drift)
    saved = drift.save()
    twin.load(saved)
    assert alarms(blocks[35:], drift) == alarms(blocks[35:], twin)
    assert same_bits(drift.statistic, twin.statistic)
    with pytest.raises(StateError):
        Drift(2).load(saved)


def test_memory_is_bounded_and_nothing_wild_breaks_it():
    rng = np.random.default_rng(10)
    wild = np.array([0, 1e30, -1e30, np.inf, -np.inf, np.nan, 1e-40], np.float32)
    drift = Drift(3)
    size = sum(a.nbytes for a in drift.save().values())
    for _ in range(2 * HISTORY):
        drift.observe(rng.choice(wild, (600, 3)).astype(np.float32), np.arange(600))
        drift.close()
    drift.observe(np.full((600, 3), np.nan, np.float32), np.arange(600))
    assert {each.column for each in drift.close()} == {0, 1, 2}
    assert sum(a.nbytes for a in drift.save().values()) == size
