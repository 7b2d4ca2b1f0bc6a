"""Microseconds an event of window features, beside three other ways to have them, in the same run.

    python -m benchmarks.bench_windows [--smoke] [--json]

One core, seeded rows evenly over 14 days, kernels compiled before the clock starts. Measured over the second half of
the rows, when state is large and every window is full: what enters a window also leaves one. In batches of 2,048 that
is `Windows.apply`. In batches of 1 the kernels are called from a compiled loop, which is what they cost, and then
through Python as the engine does; rows and state must come out the same as in batches of 2,048, or the bench fails.
"cpu" is processor time, which a busy machine disturbs less than the clock.

The peers (window_peers.py) get fewer rows, in order, over a tenth of the entities, so that most are known; ours is
measured again on these, in batches of 2,048 and of 1 through Python. All their results are compared with ours: missing
where ours is, whole numbers equal, quotients to 1e-9.

One hot key: a window with a million distinct values, or amounts, all of them kept, and the same
feature with `approx`: time, what the key holds, and the largest error seen of 1,200 or more results.
"""

import hashlib
import sys

import numpy as np

from benchmarks import measuring, window_peers
from benchmarks.windowing import (
    DISTINCT,
    ENTITIES,
    FORTY,
    HOT,
    LAGGED,
    LATENESS_US,
    PASSES,
    QUANTILES,
    START_US,
    TWO_HUNDRED,
    Ours,
    Stream,
    Wanted,
    make_stream,
)
from engine.windows.kernels import layout as at

BATCH = 2_048
HOT_VALUES, SMOKE_HOT_VALUES = 1_000_000, 10_000  # in the window of one key
HOT_STEP_US = 2_000_000  # between its events
ONE_BY_ONE = 40_000  # rows at the end of a stream that go one by one through kernels alone
BY_PYTHON = 20_000  # and after them through Python
PEER_ROWS, SMOKE_PEER_ROWS, SINGLE_ROWS = 40_000, 6_000, 64
LATE = 0.01
# what: features, entities, limit in microseconds or None, shares of late rows
WORKLOADS = {
    "40 features over 5 keys": (FORTY, ENTITIES, 3.0, (0.0, LATE)),
    "200 features over the same pairs": (TWO_HUNDRED, ENTITIES, 8.0, (LATE,)),
    "5 distinct counts, 2 quantiles": (DISTINCT + QUANTILES, ENTITIES, None, (LATE,)),
    "all 47 of them": (FORTY + DISTINCT + QUANTILES, ENTITIES, None, (LATE,)),
    "40 counts and sums over 1 key, lags": (LAGGED, ENTITIES, None, (LATE,)),
    "the same, 200 entities": (LAGGED, HOT, None, (LATE,)),
    "5 distinct counts, 200 entities": (DISTINCT, HOT, None, (LATE,)),
    "2 quantiles, 200 entities": (QUANTILES, HOT, None, (LATE,)),
}


class Seen:
    """A hash over all results, and one over those from row `first` on, however they come in batches."""

    def __init__(self, first):
        self.first, self.all, self.end = first, hashlib.sha256(), hashlib.sha256()

    def __call__(self, low, results):
        by_row = np.ascontiguousarray(results.T)
        self.all.update(by_row.tobytes())
        self.end.update(by_row[max(self.first - low, 0) :].tobytes())


def measure(what, features, entities, limit, late, n):
    """Rows of the table: batches of 2,048, and of 1."""
    stream = make_stream(n, entities, late)
    python = min(BY_PYTHON, n // 4)
    tail = n - python - min(ONE_BY_ONE, n // 4)
    ours, seen = Ours(features, entities), Seen(tail)
    ours.feed(stream, 0, n // 2, BATCH, seen)
    whole = ours.feed(stream, n // 2, n, BATCH, seen)
    state = ours.state()
    ours, again = Ours(features, entities), Seen(tail)
    ours.feed(stream, 0, tail, BATCH)
    kernel = ours.feed_kernels(stream, tail, n - python, again)
    single = ours.feed(stream, n - python, n, 1, again)
    assert ours.state() == state, f"{what}: another state in batches of 1"
    assert again.end.digest() == seen.end.digest(), f"{what}: other results in batches of 1"
    head = {"features": what, "late": late, "limit_us": limit}
    digest = seen.all.hexdigest()[:16]
    row = row_of(head, BATCH, whole, None, digest)
    return [row, row_of(head, 1, kernel, single, digest)]


def row_of(head, batch, timed, single, digest):
    return {
        **head,
        "batch": batch,
        "cpu_us": timed.cpu_us,
        "clock_us": timed.clock_us,
        "python_us": None if single is None else single.cpu_us,
        "slowest_batch_ms": max(timed.clock) * 1e3 if single is None else None,
        "sha256": digest,
    }


def compare(what, features, n):
    """Rows of the table of peers: the same features over the same rows, results compared."""
    entities = {key: max(k // 10, 20) for key, k in ENTITIES.items()}
    stream = make_stream(n, entities)
    ours = {batch: ours_on(features, entities, stream, batch) for batch in (BATCH, 1)}
    rows = []
    for name, peer in window_peers.PEERS.items():
        found = {1: (n // 2, *peer(features, stream, n // 2, n, 1))} if name != "DuckDB" else {}
        for batch in (BATCH, 1):
            if name == "DuckDB":
                a = n // 2 if batch > 1 else n - SINGLE_ROWS
                found[batch] = (a, *peer(features, stream, a, n, batch))
            a, us, theirs = found.get(batch) or found[1]
            if not theirs:
                continue
            ours_us, results = ours[batch]
            rows.append(
                {
                    "features": what,
                    "peer": name,
                    "batch": batch,
                    "peer_us": us,
                    "ours_us": ours_us,
                    "times": us / ours_us,
                    "computed": f"{len(theirs)} of {len(features)}",
                    "compared": sum(map(len, theirs.values())),
                    "different": sum(n_different(results[k, a:], theirs[k]) for k in theirs),
                }
            )
    return rows


def hot_key(n):
    """Rows of the table of approximations: one key with so many values in its window, exact and from a sample."""
    rows = []
    for function, argument in (("count_distinct", "value"), ("quantile", "amount")):
        exact, rng = None, np.random.default_rng(7)
        value, amount = rng.permutation(3 * n).astype(np.int32), rng.integers(100, 10**9, 3 * n)
        for approx in (0.0, 0.01, 0.02, 0.05):
            feature = Wanted(
                function, "account", n * HOT_STEP_US, argument, level=0.5, approx=approx
            )
            ours, timed = Ours([feature], {"account": 1}), {}
            results = np.empty(3 * n)

            def seen(low, found, results=results):
                results[low : low + found.shape[1]] = found[0]

            for late, low, high in (
                (None, 0, n),
                (0.0, n, n + n // 4),
                (LATE, n + n // 4, n + n // 2),
            ):
                stream = Stream(
                    START_US + np.arange(3 * n) * HOT_STEP_US, {"account": np.zeros(3 * n, np.int32)},
                    amount, value, np.ones((len(PASSES), 3 * n), bool),
                )  # fmt: skip
                old = np.random.default_rng(8).random(3 * n) < (late or 0.0)
                stream.time_us[old] -= rng.integers(1, LATENESS_US // 2, int(old.sum()))
                timed[late] = ours.feed(stream, low, high, BATCH, seen)
            (log,) = ours.windows.logs.values()
            exact = results if exact is None else exact
            true, found = (r[n : n + n // 2 : 101] for r in (exact, results))
            if function == "quantile":
                rank = np.searchsorted(np.sort(amount), [true, found])
                error = np.abs(rank[1] - rank[0]) / (3 * n)
            else:
                error = np.abs(found / true - 1)
            rows.append(
                {
                    "function": function,
                    "in_window": n,
                    "approx": approx or None,
                    "cpu_us": timed[0.0].cpu_us,
                    "late_us": timed[LATE].cpu_us,
                    "memory_kb": held(log) / 1e3,
                    "off": float(np.max(error)) if approx else None,
                }
            )
    return rows


def held(log):
    """Bytes that the only entity of an event log holds: its record, its events, its tables and sorted values."""
    plan, found = log.plan, 0
    records = log.state.record[: int(log.state.note[at.SLOTS]) * log.width].reshape(-1, log.width)
    for record in records[records[:, at.CLASS] > 0]:
        found += 8 * (log.width + (log.event_width << int(record[at.CLASS])))
        for table, width, place in (
            (at.GROUPS, at.GROUP_ROW, at.G_AT),
            (at.ORDERS, at.ORDER_ROW, at.O_AT),
        ):
            for row in range(int(plan[table]), int(plan[table + 1]), width):
                klass = int(record[int(plan[row + place]) + 1])
                found += 8 << klass if klass else 0
    return found


def ours_on(features, entities, stream, batch):
    """Processor us an event over the second half, and the (features, rows) results; batches of 1 through Python."""
    ours, n = Ours(features, entities), len(stream)
    found = np.empty((len(features), n))

    def seen(low, results):
        found[:, low : low + results.shape[1]] = results

    ours.feed(stream, 0, n // 2, BATCH, seen)
    return ours.feed(stream, n // 2, n, batch, seen).cpu_us, found


def n_different(ours, theirs):
    """How many results differ; below 10^9 a whole number is within 1e-9 only if it is equal."""
    return int((~np.isclose(ours, theirs, rtol=1e-9, atol=0.0, equal_nan=True)).sum())


def main(argv=None):
    given = measuring.arguments(__doc__, argv, real=600_000, smoke=20_000, of="rows of each run")
    n = given.n
    for features, entities, *_ in WORKLOADS.values():
        warm, few = Ours(features, entities), make_stream(2_080, entities, LATE)
        warm.feed(few, 0, 2_048, 1_024)
        warm.feed_kernels(few, 2_048, 2_080)
    rows = [
        row
        for what, (features, entities, limit, lates) in WORKLOADS.items()
        for late in lates
        for row in measure(what, features, entities, limit, late, n)
    ]
    n_peer = SMOKE_PEER_ROWS if given.is_smoke else PEER_ROWS
    peers = compare("40 features over 5 keys", FORTY, n_peer)
    peers += compare("5 distinct counts, 2 quantiles", DISTINCT + QUANTILES, n_peer)
    workload = (
        f"{n:,} rows over 14 days, {', '.join(f'{k:,} {key}s' for key, k in ENTITIES.items())}, seed 2; "
        f"{min(ONE_BY_ONE, n // 4):,} rows one by one; peers: {n_peer:,} rows over a tenth of the entities"
    )
    hot = hot_key(SMOKE_HOT_VALUES if given.is_smoke else HOT_VALUES)
    notes = [{"peer": name, "note": note} for name, note in window_peers.NOTES.items()]
    return measuring.report(given, workload, rows, peers=peers, hot=hot, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
