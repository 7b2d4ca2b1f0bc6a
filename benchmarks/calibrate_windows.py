"""Measure the constants of the estimate in engine/windows/costs.py: what each part of a plan adds to an event.

For each part two plans that differ in it, over the same stream; the difference is the constant, nanoseconds of the
processor an event. `python -m benchmarks.calibrate_windows` prints the table as it stands in NANOSECONDS there.
"""

import sys
import time

import numpy as np

from benchmarks import measuring
from benchmarks.windowing import DAY_US, HOUR_US, LATENESS_US, make_stream
from engine.windows.plan import EVENT, Rows, Windows
from rules.columns import Frame, Layout
from rules.definitions import Aggregate, Window
from rules.ruleset import WindowSpec
from rules.tree import CATEGORY, ID, MONEY, NUMBER, Node, Type

ENTITIES = {"account": 100_000, "card": 20}
WEEK = Window(7 * DAY_US)
DAYS = tuple(Window(days * DAY_US) for days in range(1, 8))
REPEATS = 5  # the least of them counts: what else runs only ever adds
BATCH = 2_048


def feature(function="count", window=WEEK, argument=None, *, filter_=0, keys=("account",), **more):
    return function, window, argument, filter_, keys, more


def amount(function, window=WEEK, **more):
    return feature(function, window, "amount", **more)


BASE = [feature()]
LAGGED = [Window(7 * DAY_US, k * HOUR_US) for k in range(1, 5)]
HALVES = [{"half_life_us": k * DAY_US} for k in range(1, 5)]
# part -> (plan without it, plan with it, how many of it)
PAIRS = {
    "feature": (BASE, BASE * 5, 4),
    "log": ([], BASE, 1),
    "key": (BASE, [feature(keys=("account", "card"))], 1),
    "cell": ([feature(window=w) for w in DAYS], [amount("sum", w) for w in DAYS], 7),
    "squares": ([amount("sum", w) for w in DAYS], [amount("stddev", w) for w in DAYS], 7),
    "horizon": (BASE, [feature(window=w) for w in DAYS], 6),
    "bit": (BASE, [feature(filter_=k) for k in range(4)], 3),
    "group": (BASE, [*BASE, feature("count_distinct", WEEK, "value")], 1),
    "distinct": (
        [feature(window=w) for w in DAYS] + [feature("count_distinct", WEEK, "value")],
        [feature(window=w) for w in DAYS] + [feature("count_distinct", w, "value") for w in DAYS],
        6,
    ),
    "order": (
        [*BASE, amount("sum")],
        [*BASE, amount("sum"), *(amount("quantile", filter_=k, quantile=0.5) for k in (0, 3))],
        2,
    ),
    "chain": (
        [*BASE, amount("sum")],
        [*BASE, amount("sum"), amount("min"), amount("max")],
        2,
    ),
    "fade": (BASE, [*BASE, *(feature("decayed_count", None, **half) for half in HALVES)], 4),
    "pointer": (BASE, [*BASE, feature("time_since_last"), feature("time_since_first")], 2),
    "newest": (
        [feature(window=Window(None, last=10), keys=("card",))],
        [feature(window=Window(None, last=110), keys=("card",))],
        100,
    ),
}


def windows_of(features):
    layout = Layout()
    for key in ENTITIES:
        layout.add(key, Type(ID, key))
    layout.add("value", Type(CATEGORY, "value"))
    layout.add("amount", Type(MONEY, "EUR"))
    specs = []
    for k, (function, window, argument, filter_, keys, more) in enumerate(features):
        place = layout[argument] if argument else None
        tree = Node("column", place.type, value=argument) if place else None
        aggregate = Aggregate(
            function, keys, window or Window(None), argument=tree, prior=bool(window and window.lag_us), **more
        )  # fmt: skip
        out = layout.add(f"f{k}", Type(NUMBER))
        specs.append(WindowSpec(f"f{k}", aggregate, filter_, place, 0, out))
    return layout, Windows(specs, layout, LATENESS_US, "UTC")


def nanoseconds(features, stream):
    """Processor time an event over the second half of a stream."""
    layout, windows = windows_of(features)
    frame, took, n = Frame.empty(layout, BATCH), 0.0, len(stream)
    for low in range(0, n - n % BATCH, BATCH):
        cut = slice(low, low + BATCH)
        for key in ENTITIES:
            frame.column(key)[:] = stream.code[key][cut]
        frame.column("amount")[:], frame.column("value")[:] = stream.amount[cut], stream.value[cut]
        passes = np.ascontiguousarray(stream.passes[:, cut])
        rows = Rows(
            np.arange(low, low + BATCH),
            stream.time_us[cut],
            np.full(BATCH, EVENT, np.int8),
            np.full(BATCH, -1),
        )
        began = time.process_time()
        windows.apply(frame, passes, rows)
        took += (time.process_time() - began) * (low >= n // 2)
    return took / (n // 2) * 1e9


def main(argv=None):
    given = measuring.arguments(__doc__, argv, real=600_000, smoke=20_000, of="rows of each run")
    stream = make_stream(given.n, ENTITIES)
    found: dict[str, float] = {}
    for part, (without, with_, n) in PAIRS.items():
        repeats = 1 if given.is_smoke else REPEATS
        took = [
            min(nanoseconds(f, stream) for _ in range(repeats)) if f else 0.0
            for f in (without, with_)
        ]
        more = len(with_) - len(without) if part not in ("feature", "log") else 0
        found[part] = (took[1] - took[0] - more * found.get("feature", 0.0)) / n
        print(part, round(found[part], 1), file=sys.stderr)
    found["log"] -= found["horizon"] + found["bit"] + found["feature"]
    rows = [{"part": part, "nanoseconds": max(round(ns, 1), 0.0)} for part, ns in found.items()]
    return measuring.report(given, f"{given.n:,} rows, 100,000 accounts", rows)


if __name__ == "__main__":
    sys.exit(main())
