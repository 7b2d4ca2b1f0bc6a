"""Laws of the memory of windows: sweeps change no result, no place is lost or used twice, steady traffic needs no more.

WEIR_WINDOW_PLANS sets how many random plans each law is tried on (default 150; a third of them here).
"""

import os

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.windows import events
from engine.windows.kernels import layout as at
from tests.oracles.windows import Declared, Row
from tests.windowing import DECAYED, N_FILTERS, Runner, random_case

PLANS = int(os.environ.get("WEIR_WINDOW_PLANS", "150"))
SEEDS = st.integers(0, 2**32)
some = settings(max_examples=max(PLANS // 3, 1), deadline=None)
NO_SWEEP = at.NEVER, 1, at.NEVER


def runner(case, sweep):
    return Runner(case.features, case.lateness, case.zone, case.updates, sweep=sweep)


@some
@given(SEEDS, st.integers(1, 20), st.integers(1, 9))
def test_sweeps_change_no_result(seed, every, entities):
    """To the last bit, but for what fades: that is rounded in another order, and held to the oracle elsewhere."""
    case = random_case(seed, 1_000, approximate=True)
    case.features = [f for f in case.features if f.function not in DECAYED] or [
        Declared("count", ("account",), 100)
    ]
    swept, never = runner(case, (every, entities, 100)), runner(case, NO_SWEEP)
    assert swept.feed(case.rows) == never.feed(case.rows)


def segments(log):
    """(start, end) of all segments of the events, and of the pool: those in use and those that are free."""
    note, plan = log.state.note, log.plan
    record = log.state.record[: int(note[at.SLOTS]) * log.width].reshape(-1, log.width)
    events = [(int(r[at.START]), int(r[at.CLASS])) for r in record if r[at.CLASS]]
    words = []
    for table, width, place in (
        (at.GROUPS, at.GROUP_ROW, at.G_AT),
        (at.ORDERS, at.ORDER_ROW, at.O_AT),
        (at.CHAINS, at.CHAIN_ROW, at.X_AT),
    ):
        for row in range(int(plan[table]), int(plan[table + 1]), width):
            h = int(plan[row + place])
            words += [(int(r[h]), int(r[h + 1])) for r in record if r[h + 1]]
    for free, arena, width, found in (
        (at.LOG_FREE, log.state.log, log.event_width, events),
        (at.POOL_FREE, log.state.pool, 1, words),
    ):
        for klass in range(62):
            head = int(note[free + klass + 1])
            while head:
                found.append((head - 1, klass))
                head = int(arena[(head - 1) * width + 1])
    return [sorted((start, start + (1 << klass)) for start, klass in s) for s in (events, words)]


@some
@given(SEEDS, st.integers(1, 20))
def test_every_place_belongs_to_one_segment_in_use_or_free(seed, every):
    case = random_case(seed, approximate=True)
    windows = runner(case, (every, 3, 100))
    windows.feed(case.rows)
    for log in windows.windows.logs.values():
        for found, end in zip(
            segments(log), log.state.note[[at.LOG_FREE, at.POOL_FREE]], strict=True
        ):
            assert [0, *(e for _, e in found)] == [*(s for s, _ in found), end]


@some
@given(SEEDS, st.integers(1, 20))
def test_every_slot_belongs_to_one_entity_or_is_free_and_empty(seed, every):
    case = random_case(seed, approximate=True)
    windows = runner(case, (every, 3, 100))
    windows.feed(case.rows)
    for log in windows.windows.logs.values():
        note, place = log.state.note, log.state.place
        assert not place[int(note[at.PLACES]) :].any()
        record = log.state.record[: int(note[at.SLOTS]) * log.width].reshape(-1, log.width)
        names = np.flatnonzero(place)
        assert record[place[names] - 1, at.OWNER].tolist() == names.tolist()
        free, head = [], int(note[at.SLOT_FREE])
        while head:
            free.append(head - 1)
            head = ~int(record[head - 1, at.OWNER])
            assert not np.delete(record[free[-1]], at.OWNER).any()
        assert sorted([*(place[names] - 1), *free]) == list(range(len(record)))


def test_pages_had_ahead_of_need_change_nothing(monkeypatch):
    case = random_case(7)
    calm = runner(case, (7, 3, 100))
    seen = calm.feed(case.rows)
    monkeypatch.setattr(events, "PAGE", 4)
    monkeypatch.setattr(events, "AHEAD_ROWS", 1)
    ahead = runner(case, (7, 3, 100))
    assert [row for k in range(0, 400, 5) for row in ahead.feed(case.rows[k : k + 5])] == seen
    assert ahead.saved() == calm.saved()
    assert ahead.windows.together._had.any()


def test_months_of_steady_traffic_need_no_more_places_and_what_never_comes_back_keeps_none():
    """Thirty accounts that stay, with bursts; devices that are seen for a while, then never again."""
    rng = np.random.default_rng(5)
    of = {"argument": "merchant", "decimals": None}
    features = [
        Declared("count", ("account",), 300),
        Declared("count_distinct", ("account",), 300, **of),
        Declared("entropy", ("account",), 200, **of),
        Declared("quantile", ("account",), 300, argument="amount", level="0.5"),
        Declared("max", ("account",), 300, argument="amount"),
        Declared("sum", ("device",), 300, argument="amount"),
        Declared("max", ("device",), 300, argument="amount"),
    ]
    runner, used = Runner(features, 20, sweep=(8, 8, 150)), []
    n = 1_500
    for month in range(8):
        rows = []
        for k in range(month * n, (month + 1) * n):
            burst = k // 100 % 30
            account = burst if rng.random() < 0.3 else int(rng.integers(0, 30))
            keys = {"account": account, "device": k // 20, "payee": None}
            values = {"amount": float(rng.integers(0, 900)), "ratio": None, "fine": None}
            values["merchant"] = int(rng.integers(0, 500))
            rows.append(Row(k, 1_000 + k, "event", keys, values, [True] * N_FILTERS, -1))
        runner.feed(rows)
        used.append(
            [log.state.note[[at.LOG_FREE, at.POOL_FREE]] for log in runner.windows.logs.values()]
        )
    assert np.all(np.array(used[-1]) <= np.array(used[4]))
    devices = runner.windows.logs["device.0"]
    assert devices.state.note[at.SLOTS] <= (300 + 20 + 150 + 20) // 20 + 1
    assert devices.state.note[at.PLACES] == 8 * n // 20
