"""Microseconds an event of window features, beside deques and dicts in the same run.

    python -m benchmarks.bench_windows [--smoke] [--json]

One core, seeded rows half a second apart, kernels compiled before the clock starts. Measured over the second half of
the rows, when state is large. "cpu" is processor time, which a busy machine disturbs less than the clock. The peer is
the obvious build: a deque and a running pair an entity and window, a Counter for distinct values, a sorted list for
quantiles; rows in order only, 40,000 of them, over a tenth of the entities, garbage collection off.
"""

import gc
import hashlib
import sys
import time
from bisect import bisect_left, insort
from collections import Counter, defaultdict, deque

import numpy as np

from benchmarks import measuring
from engine.windows.plan import EVENT, Rows, Windows
from rules.columns import Frame, Layout
from rules.definitions import Aggregate, Window
from rules.ruleset import WindowSpec
from rules.tree import CATEGORY, ID, MONEY, NUMBER, Type

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
LATENESS_US = 900_000_000
ENTITIES = {
    "account": 200_000,
    "card": 100_000,
    "device": 250_000,
    "merchant": 20_000,
    "customer": 200_000,
}
HOT = {"account": 200, "card": 200}
PEER_ROWS = 40_000

# (function, key, window, lag, argument, level)
FORTY = [
    (function, key, w, 0, "amount" if function == "sum" else None, 0.0)
    for key in ENTITIES
    for w in (HOUR_US, DAY_US, 3 * DAY_US, 7 * DAY_US)
    for function in ("count", "sum")
]
LAGGED = [
    (function, "account", days * DAY_US, lag, "amount" if function == "sum" else None, 0.0)
    for days in (4, 5, 6, 7)
    for lag in (0, HOUR_US, 6 * HOUR_US, DAY_US, 3 * DAY_US)
    for function in ("count", "sum")
]
DISTINCT = [
    ("count_distinct", "account", w, 0, "value", 0.0)
    for w in (HOUR_US, 6 * HOUR_US, DAY_US, 3 * DAY_US, 7 * DAY_US)
]
QUANTILES = [
    ("quantile", "card", 30 * DAY_US, DAY_US, "amount", 0.95),
    ("quantile", "account", 30 * DAY_US, 0, "amount", 0.95),
]


def declare(features, keys):
    layout = Layout()
    for key in keys:
        layout.add(key, Type(ID, key))
    layout.add("value", Type(CATEGORY, "value"))
    layout.add("amount", Type(MONEY, "EUR"))
    specs = []
    for k, (function, key, width, lag, argument, level) in enumerate(features):
        aggregate = Aggregate(function, (key,), Window(width, lag), quantile=level, prior=lag > 0)
        place = layout[argument] if argument else None
        out = layout.add(f"f{k}", Type(NUMBER))
        specs.append(WindowSpec(f"f{k}", aggregate, 0, place, 0, out))
    return layout, Windows(specs, layout, LATENESS_US, "UTC")


def stream(n, entities, late):
    """Rows half a second apart, a share of them up to 15 minutes old."""
    rng = np.random.default_rng(2)
    time_us = np.arange(n) * 500_000 + 10**15
    old = rng.integers(0, LATENESS_US - 1_000_000, n)
    time_us = np.where(rng.random(n) < late, time_us - old, time_us)
    codes = {key: rng.integers(0, k, n).astype(np.int32) for key, k in entities.items()}
    return (
        time_us,
        codes,
        rng.integers(100, 100_000, n),
        rng.integers(0, 20_000, n).astype(np.int32),
    )


def ours(features, n, batch, *, late=0.0, entities=ENTITIES):
    """Clock and processor us an event, slowest batch in ms, a hash of the results."""
    layout, windows = declare(features, entities)
    time_us, codes, amount, value = stream(n, entities, late)
    filters, action = np.ones((1, batch), bool), np.full(batch, EVENT, np.int8)
    frame, original = Frame.empty(layout, batch), np.full(batch, -1)
    first_out, digest = layout["f0"].row, hashlib.sha256()
    clock = cpu = worst = 0.0
    timed = 0
    for a in range(0, n - batch + 1, batch):
        cut = slice(a, a + batch)
        for key, column in codes.items():
            frame.column(key)[:] = column[cut]
        frame.column("amount")[:] = amount[cut]
        frame.column("value")[:] = value[cut]
        rows = Rows(np.arange(a, a + batch), time_us[cut], action, original)
        began, began_cpu = time.perf_counter(), time.process_time()
        windows.apply(frame, filters, rows)
        took = time.perf_counter() - began
        if a >= n // 2:
            clock, cpu, timed = clock + took, cpu + time.process_time() - began_cpu, timed + batch
            worst = max(worst, took)
        digest.update(frame.number[first_out:].tobytes())
    return clock / timed * 1e6, cpu / timed * 1e6, worst * 1e3, digest.hexdigest()[:8]


class Peer:
    """The obvious build: for each entity, window and argument, a deque and what its aggregates need."""

    def __init__(self, features):
        kinds = {}  # key, window, lag, kind of state -> level; count and sum share
        for function, key, width, lag, _, level in features:
            kind = "total" if function in ("count", "sum") else function
            kinds[key, width, lag, kind] = level
        self.windows = [(*window, level) for window, level in kinds.items()]
        self.totals = defaultdict(lambda: (deque(), deque(), [0, 0]))
        self.counters = defaultdict(lambda: (deque(), deque(), Counter()))
        self.sorted = defaultdict(lambda: (deque(), deque(), []))

    def add(self, time_us, codes, amount, value):
        row = []
        for k, (key, width, lag, kind, level) in enumerate(self.windows):
            states = {
                "total": self.totals,
                "count_distinct": self.counters,
                "quantile": self.sorted,
            }[kind]
            waiting, inside, state = states[k, codes[key]]
            waiting.append((time_us, amount, value))
            while waiting and waiting[0][0] <= time_us - lag:
                event = waiting.popleft()
                inside.append(event)
                if kind == "total":
                    state[0] += 1
                    state[1] += event[1]
                elif kind == "count_distinct":
                    state[event[2]] += 1
                else:
                    insort(state, event[1])
            while inside and inside[0][0] <= time_us - width:
                _, gone, code = inside.popleft()
                if kind == "total":
                    state[0] -= 1
                    state[1] -= gone
                elif kind == "count_distinct":
                    state[code] -= 1
                    if not state[code]:
                        del state[code]
                else:
                    del state[bisect_left(state, gone)]
            if kind == "total":
                row += state
            elif kind == "count_distinct":
                row.append(len(state))
            else:
                row.append(state[int(np.ceil(level * len(state))) - 1] if state else None)
        return row


def peer(features, n, entities):
    """Processor us an event; a tenth of the entities, so that most are known by the second half."""
    entities = {key: max(k // 10, 20) for key, k in entities.items()}
    time_us, codes, amount, value = stream(n, entities, 0.0)
    columns = zip(*(c.tolist() for c in codes.values()), strict=True)
    rows = [dict(zip(codes, row, strict=True)) for row in columns]
    events = list(zip(time_us.tolist(), rows, amount.tolist(), value.tolist(), strict=True))
    build = Peer(features)
    gc.disable()
    for event in events[: n // 2]:
        build.add(*event)
    began = time.process_time()
    for event in events[n // 2 :]:
        build.add(*event)
    took = time.process_time() - began
    gc.enable()
    return took / (n - n // 2) * 1e6


def main(argv=None):
    given = measuring.arguments(__doc__, argv, real=600_000, smoke=20_000, of="rows of each run")
    n = given.n
    everything = FORTY + DISTINCT + QUANTILES
    ours(everything, 4_096, 1_024)
    workloads = [
        ("40 counts and sums over 5 keys", FORTY, ENTITIES),
        ("40 counts and sums over 1 key, lags", LAGGED, ENTITIES),
        ("40 counts and sums over 1 key, lags, 200 entities", LAGGED, HOT),
        ("5 distinct counts", DISTINCT, ENTITIES),
        ("5 distinct counts, 200 entities", DISTINCT, HOT),
        ("2 quantiles over 30 days", QUANTILES, ENTITIES),
        ("2 quantiles over 30 days, 200 entities", QUANTILES, HOT),
        ("5 distinct counts, 2 quantiles", DISTINCT + QUANTILES, ENTITIES),
        ("all 47 over 5 keys, up to 250,000 entities", everything, ENTITIES),
    ]
    rows = []
    for name, features, entities in workloads:
        beside = peer(features, min(n, PEER_ROWS), entities)
        for batch, late in ((2_048, 0.0), (2_048, 0.01), (1, 0.0)):
            some = n if batch > 1 else min(n, 20_000)
            clock, cpu, worst, digest = ours(features, some, batch, late=late, entities=entities)
            rows.append(
                {
                    "features": name,
                    "batch": batch,
                    "late": late,
                    "cpu_us": cpu,
                    "clock_us": clock,
                    "peer_us": beside,
                    "slowest_batch_ms": worst,
                    "sha256": digest,
                }
            )
    workload = f"{n:,} rows half a second apart, seed 2 (batches of 1: {min(n, 20_000):,}; peer: {min(n, PEER_ROWS):,})"
    return measuring.report(given, workload, rows)


if __name__ == "__main__":
    sys.exit(main())
