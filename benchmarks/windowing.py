"""Declarations, streams and a stopwatch for the benches of window features (bench_windows.py, bench_scale.py)."""

import hashlib
import time
from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from engine.windows.kernels.slide import slide_all
from engine.windows.plan import EVENT, Rows, Windows
from rules.columns import Frame, Layout
from rules.definitions import Aggregate, Window
from rules.ruleset import WindowSpec
from rules.tree import CATEGORY, ID, MONEY, NUMBER, Node, Type

MINUTE_US, HOUR_US, DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000
LATENESS_US = 15 * MINUTE_US
START_US = 1_700_000_000_000_000
ENTITIES = {
    "account": 200_000,
    "card": 100_000,
    "device": 250_000,
    "merchant": 20_000,
    "customer": 200_000,
}
HOT = {"account": 200, "card": 200}
VALUES = 20_000
PASSES = (1.0, 0.1, 0.3, 0.5)  # share of rows that pass each filter; the first one passes all


@dataclass(frozen=True)
class Wanted:
    """A feature as a pack would declare it; `where` is one of the filters of PASSES."""

    function: str
    key: str
    width: int
    argument: str | None = None
    lag: int = 0
    level: float = 0.0
    where: int = 0
    prior: bool = False
    approx: float = 0.0


def pairs(keys=tuple(ENTITIES)):
    """The 20 pairs of key and window."""
    return [(key, width) for key in keys for width in (HOUR_US, DAY_US, 3 * DAY_US, 7 * DAY_US)]


def forty():
    """Counts, sums, averages, first and last seen: two features for each of the 20 pairs."""
    of = {
        HOUR_US: (("count", None), ("sum", "amount")),
        DAY_US: (("sum", "amount"), ("avg", "amount")),
        3 * DAY_US: (("count", None), ("time_since_last", None)),
        7 * DAY_US: (("avg", "amount"), ("time_since_first", None)),
    }
    return [
        Wanted(function, key, width, argument, prior=function == "time_since_last")
        for key, width in pairs()
        for function, argument in of[width]
    ]


def two_hundred():
    """Ten features for each of the 20 pairs: other aggregates, filters and lags."""
    features = []
    for key, width in pairs():
        lag = HOUR_US if width > HOUR_US else 15 * MINUTE_US
        features += [
            Wanted("count", key, width),
            Wanted("sum", key, width, "amount"),
            Wanted("avg", key, width, "amount"),
            Wanted("stddev", key, width, "amount"),
            Wanted("max", key, width, "amount"),
            Wanted("time_since_last", key, width, prior=True),
            Wanted("count", key, width, where=1),
            Wanted("sum", key, width, "amount", where=2),
            Wanted("avg", key, width, "amount", where=3),
            Wanted("count", key, width, lag=lag, prior=True),
        ]
    return features


FORTY, TWO_HUNDRED = forty(), two_hundred()
LAGGED = [
    Wanted(function, "account", days * DAY_US, argument, lag, prior=lag > 0)
    for days in (4, 5, 6, 7)
    for lag in (0, HOUR_US, 6 * HOUR_US, DAY_US, 3 * DAY_US)
    for function, argument in (("count", None), ("sum", "amount"))
]
DISTINCT = [
    Wanted("count_distinct", "account", width, "value")
    for width in (HOUR_US, 6 * HOUR_US, DAY_US, 3 * DAY_US, 7 * DAY_US)
]
QUANTILES = [
    Wanted("quantile", "card", 7 * DAY_US, "amount", DAY_US, 0.95, prior=True),
    Wanted("quantile", "account", 7 * DAY_US, "amount", level=0.95),
]
SPAN_US = 14 * DAY_US  # of every stream: its second half meets windows that are full


def longer(features, times):
    """The same features with windows, and lags, that many times as long."""
    return [replace(f, width=f.width * times, lag=f.lag * times) for f in features]


def declare(features, keys, zone="UTC"):
    """Layout and windows of the features, which are columns f0, f1, ..."""
    layout = Layout()
    for key in keys:
        layout.add(key, Type(ID, key))
    layout.add("value", Type(CATEGORY, "value"))
    layout.add("amount", Type(MONEY, "EUR"))
    specs = []
    for k, f in enumerate(features):
        place = layout[f.argument] if f.argument else None
        argument = Node("column", place.type, value=f.argument) if place else None
        aggregate = Aggregate(
            f.function, (f.key,), Window(f.width, f.lag), argument=argument, quantile=f.level, prior=f.prior,
            approx=f.approx,
        )  # fmt: skip
        out = layout.add(f"f{k}", Type(NUMBER))
        specs.append(WindowSpec(f"f{k}", aggregate, f.where, place, 0, out))
    return layout, Windows(specs, layout, LATENESS_US, zone)


@dataclass
class Stream:
    """Columns of some rows, in the order in which they arrive."""

    time_us: np.ndarray  # (n,) int64
    code: dict[str, np.ndarray]  # (n,) int32, by key
    amount: np.ndarray  # (n,) int64
    value: np.ndarray  # (n,) int32
    passes: np.ndarray  # (len(PASSES), n) bool
    first_seq: int = 0

    def __len__(self):
        return len(self.time_us)


def make_stream(n, entities, late=0.0, *, step_us=None, first=0, codes=None):
    """Rows first .. first + n - 1 of a stream at even distances, a share of them up to 15 minutes old.

    `step_us` apart, or evenly over SPAN_US. Entities are drawn evenly, which no cache likes; `codes(rng, first, n)`
    replaces that. Rows depend on the seed, on `first` and `n`.
    """
    rng = np.random.default_rng((2, first))
    at_us = START_US + np.arange(first, first + n) * (step_us or SPAN_US // n)
    old = rng.integers(0, LATENESS_US - 1_000_000, n)
    at_us = np.where(rng.random(n) < late, at_us - old, at_us)
    code = {key: rng.integers(0, k, n).astype(np.int32) for key, k in entities.items()}
    return Stream(
        at_us,
        code if codes is None else codes(rng, first, n),
        rng.integers(100, 100_000, n),
        rng.integers(0, VALUES, n).astype(np.int32),
        rng.random((len(PASSES), n)) < np.array(PASSES)[:, None],
        first,
    )


@dataclass
class Timed:
    """What a stretch of a stream took: seconds on the clock and of the processor, of each batch."""

    n: int
    clock: list[float]
    cpu: list[float]

    @property
    def clock_us(self):
        return sum(self.clock) / self.n * 1e6

    @property
    def cpu_us(self):
        return sum(self.cpu) / self.n * 1e6


class Ours:
    """Windows with a stopwatch."""

    def __init__(self, features, entities):
        self.layout, self.windows = declare(features, entities)
        self.keys = list(entities)
        self.n_features = len(features)
        self.out = self.layout["f0"].row if features else 0
        self.frames = {}

    def frame(self, n):
        if n not in self.frames:
            self.frames[n] = Frame.empty(self.layout, n)
        return self.frames[n]

    def feed(self, stream, a, b, batch, seen=None):
        """Apply rows a .. b - 1 in batches; `seen(first row, (features, n) results)` gets each batch."""
        clock, cpu = [], []
        for low in range(a, b, batch):
            n = min(batch, b - low)
            cut = slice(low, low + n)
            frame = self.frame(n)
            for key in self.keys:
                frame.column(key)[:] = stream.code[key][cut]
            frame.column("amount")[:] = stream.amount[cut]
            frame.column("value")[:] = stream.value[cut]
            passes = np.ascontiguousarray(stream.passes[:, cut])
            seq = stream.first_seq + np.arange(low, low + n)
            action, original = np.full(n, EVENT, np.int8), np.full(n, -1)
            rows = Rows(seq, stream.time_us[cut], action, original)
            began, began_cpu = time.perf_counter(), time.process_time()
            self.windows.apply(frame, passes, rows)
            cpu.append(time.process_time() - began_cpu)
            clock.append(time.perf_counter() - began)
            if seen:
                seen(low, frame.number[self.out : self.out + self.n_features])
        return Timed(b - a, clock, cpu)

    def feed_kernels(self, stream, a, b, seen=None, batch=512):
        """Apply rows a .. b - 1 one by one from a compiled loop: batches of 1 without what Python adds."""
        frame, clock, cpu = self.frame(1), [], []
        together = self.windows.together
        logs, scratch = together.table, together.scratch(1)
        key_rows = np.array([self.layout[key].row for key in self.keys])
        inputs = np.array([self.layout["amount"].row, self.layout["value"].row])
        for low in range(a, b, batch):
            cut = slice(low, min(low + batch, b))
            codes = np.stack([stream.code[key][cut] for key in self.keys])
            amount, value = stream.amount[cut].astype(float), stream.value[cut]
            seq = stream.first_seq + np.arange(cut.start, cut.stop)
            passes = np.ascontiguousarray(stream.passes[:, cut])
            out = np.empty((len(seq), self.n_features))
            began, began_cpu = time.perf_counter(), time.process_time()
            done = one_by_one(
                frame.number, frame.code, key_rows, inputs, codes, amount, value, passes,
                seq, stream.time_us[cut], logs, scratch, self.out, out,
            )  # fmt: skip
            cpu.append(time.process_time() - began_cpu)
            clock.append(time.perf_counter() - began)
            assert done == len(seq), "less memory was reserved than this bench needs"
            if seen:
                seen(low, out.T)
        return Timed(b - a, clock, cpu)

    def state(self):
        """Hash of all state."""
        digest = hashlib.sha256()
        for name, array in sorted(self.windows.save().items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@njit(cache=True)
def one_by_one(
    number, code, key_rows, inputs, codes, amount, value, passes, seq, time_us, logs, scratch, first_out, out
):  # fmt: skip
    """Call the kernel for every row, as the engine does with batches of one row."""
    filters = np.ones((passes.shape[0], 1), np.bool_)
    action, original = np.full(1, EVENT, np.int8), np.full(1, -1, np.int64)
    for i in range(seq.shape[0]):
        for k in range(key_rows.shape[0]):
            code[key_rows[k], 0] = codes[k, i]
        number[inputs[0], 0], code[inputs[1], 0] = amount[i], value[i]
        for f in range(passes.shape[0]):
            filters[f, 0] = passes[f, i]
        now = time_us[i : i + 1]
        done = slide_all(
            number, code, filters, seq[i : i + 1], now, action, original, logs, scratch
        )
        if done != logs.shape[0]:
            return i
        for f in range(out.shape[1]):
            out[i, f] = number[first_out + f, 0]
    return seq.shape[0]
