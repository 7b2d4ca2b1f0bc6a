"""Random window features and streams, and how to run both through engine/windows."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from engine.windows.plan import AMEND, EVENT, PUT, READ, SKIP, Rows, Windows
from rules.columns import Frame, Layout
from rules.definitions import Aggregate, Window
from rules.ruleset import WindowSpec
from rules.tree import CATEGORY, ID, MONEY, NUMBER, Node, Type
from tests.oracles.windows import Declared, Row

ACTIONS = {"skip": SKIP, "event": EVENT, "read": READ, "amend": AMEND, "put": PUT}
KEYS = ("account", "device", "payee")
ARGUMENTS = {
    "amount": 0,
    "ratio": 2,
    "fine": 6,
    "merchant": None,
}  # name -> decimals; None is a code
N_FILTERS = 5  # the last one passes labels only, the others events only
DECAYED = ("decayed_count", "decayed_sum", "decayed_avg")
NUMERIC = ("sum", "avg", "stddev", "quantile", "min", "max", "decayed_sum", "decayed_avg")
FUNCTIONS = (
    "count", "sum", "avg", "stddev", "count_distinct", "quantile", "first", "last", "time_since_first",
    "time_since_last", "min", "max", "entropy", *DECAYED,
)  # fmt: skip
BOUNDED = ("count_distinct", "quantile", "min", "max", "entropy")
APPROXIMATED = ("count_distinct", "quantile")
ANY = ("first", "last", "count_distinct")
LEVELS = ("0", "0.07", "0.25", "0.5", "0.9", "0.95", "0.999", "1")


# Where clocks change, or do not: zone, and a week before something happens to them there.
PLACES = [
    ("UTC", "2024-02-25"), ("Asia/Shanghai", "2023-12-27"), ("Europe/Berlin", "2023-03-22"),
    ("Europe/Berlin", "2023-10-24"), ("America/New_York", "2023-03-09"), ("America/Sao_Paulo", "2018-10-30"),
    ("America/Sao_Paulo", "2018-02-14"), ("Australia/Lord_Howe", "2023-09-28"), ("Pacific/Apia", "2011-12-26"),
    ("Asia/Kathmandu", "2023-12-28"),
]  # fmt: skip
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Place:
    """Where and when a stream happens: `unit` is what its gaps and windows count, in microseconds."""

    zone: str = "UTC"
    start: int = 1_000
    unit: int = 1

    def midnight(self, time):
        """The local midnight after `time`, or the hour after it where there is none."""
        zone = ZoneInfo(self.zone)
        day = (EPOCH + time * MICROSECOND).astimezone(zone).date() + timedelta(days=1)
        return (datetime(day.year, day.month, day.day, tzinfo=zone) - EPOCH) // MICROSECOND


@dataclass
class Case:
    """Features, a stream, the lateness it keeps to."""

    features: list[Declared]
    rows: list[Row]
    lateness: int
    zone: str = "UTC"
    updates: int = 0  # how long an update reaches the last events


def random_features(rng, n, unit=1):
    """Declarations that share keys, filters, windows and lags often enough to share state."""
    key_sets = [("account",), ("device",), ("account", "payee"), ("account", "device", "payee")]
    ten = 10 * unit
    widths = sorted({int(w) * ten for w in rng.integers(1, 60, 4)})
    features = []
    for _ in range(n):
        function = str(rng.choice(FUNCTIONS))
        width = int(rng.choice(widths))
        lag = int(rng.integers(1, width // ten)) * ten if width > ten and rng.random() < 0.35 else 0
        calendar, last = "", 0
        half = 0
        if function in DECAYED:
            width, lag, half = None, 0, max(width, 20 * unit)
        elif rng.random() < 0.15:
            width, lag, last = None, 0, int(rng.choice([1, 2, 5, 30]))
        elif unit > 1 and rng.random() < 0.5:
            calendar, lag = str(rng.choice(["day", "week", "month"])), 0
        elif rng.random() < 0.2 and function not in BOUNDED:
            width = None
        argument = None
        if function in NUMERIC:
            argument = str(rng.choice(["amount", "ratio", "fine"]))
        elif function == "entropy":
            argument = "merchant"
        elif function in ANY:
            argument = str(rng.choice(list(ARGUMENTS)))
        features.append(
            Declared(
                function,
                key_sets[int(rng.integers(len(key_sets)))],
                width,
                lag,
                prior=lag > 0 or bool(rng.random() < 0.3),
                argument=argument,
                decimals=ARGUMENTS[argument] if argument else 0,
                filter=int(rng.integers(N_FILTERS)),
                level=str(rng.choice(LEVELS)),
                calendar=calendar,
                last=last,
                half=half,
            )
        )
    return features


def some_approximate(features, seed):
    """The same features, most of those that can be approximated in that way."""
    rng = np.random.default_rng([seed, 1])
    shares = rng.choice([0.0, 0.1, 0.5], len(features), p=[0.3, 0.2, 0.5])
    return [
        replace(f, approx=float(share)) if f.function in APPROXIMATED and f.width is not None else f
        for f, share in zip(features, shares, strict=True)
    ]


def random_value(rng, name, wild):
    if rng.random() < 0.15:
        return None
    if name == "merchant":
        return int(rng.integers(0, rng.choice([3, 40])))
    if name == "amount":
        return float(rng.integers(-(2**53), 2**53)) if wild else float(rng.integers(0, 8) * 100)
    if wild:
        return float(
            rng.choice([rng.normal() * 10.0 ** rng.integers(-8, 15), 2.0**53 - 1, 1e300, -1e17])
        )
    return float(rng.choice([0.125, 0.135, 1.115, 2.675, 0.5, 1e-7, rng.integers(0, 400) / 1000]))


def random_rows(rng, n, lateness, *, entities, wild, place=None):
    """Rows in seq order: ties, rows just at the lateness, too late ones, labels, updates, missing keys and values.

    Where clocks matter also rows beside a local midnight.
    """
    place = place or Place()
    unit, core, rows, before = place.unit, place.start, [], []
    gaps = unit * rng.choice([0, 1, 9, 10, 11, 40, 300], n, p=[0.2, 0.1, 0.1, 0.3, 0.1, 0.17, 0.03])
    for i in range(n):
        kind = rng.choice(["event", "put", "read", "amend", "skip"], p=[0.7, 0.1, 0.05, 0.12, 0.03])
        time = core + int(gaps[i])
        if kind == "event" and rng.random() < 0.25:
            back = [0, unit, 9 * unit, 10 * unit, 11 * unit, 20 * unit, lateness]
            time = core - int(rng.choice(back)) % (lateness + 1)
        elif unit > 1 and rng.random() < 0.2:
            time = max(core, place.midnight(core) + int(rng.choice([-1, 0, 1])))
        if kind == "amend" and not before:
            kind = "skip"
        keys = {k: None if rng.random() < 0.08 else int(rng.integers(0, entities)) for k in KEYS}
        values = {name: random_value(rng, name, wild) for name in ARGUMENTS}
        passes = [bool(rng.random() < p) for p in (1.0, 0.7, 0.3, 0.1, 0.6)]
        original = -1
        if kind == "amend":
            origin = before[-1 - int(rng.integers(0, min(len(before), 60)))]
            time, original, keys = origin.time, origin.seq, origin.keys
            is_label = origin.action == "put"
            if rng.random() < 0.2:
                values = origin.values
            if rng.random() < 0.2:
                passes = origin.passes
        else:
            is_label = kind == "put"
        passes = [p and (k == N_FILTERS - 1) == is_label for k, p in enumerate(passes)]
        if kind == "put":
            time = max(time, core)
        if kind == "read":
            time = core
        row = Row(i, time, kind, keys, values, passes, original)
        if kind in ("event", "put", "read"):
            core = max(core, time)
            before.append(row)
        rows.append(row)
    return rows


def random_case(seed, n_rows=400, approximate=False):
    rng = np.random.default_rng(seed)
    place = Place()
    if rng.random() < 0.5:
        zone, day = PLACES[int(rng.integers(len(PLACES)))]
        start = (datetime.fromisoformat(day + "T00:00:00+00:00") - EPOCH) // MICROSECOND
        place = Place(zone, start, int(rng.choice([60, 600, 3_600])) * 1_000_000)
    lateness = int(rng.choice([0, 10, 45, 200])) * place.unit
    features = random_features(rng, int(rng.integers(1, 14)), place.unit)
    entities, wild = int(rng.choice([1, 2, 5])), bool(rng.random() < 0.3)
    rows = random_rows(rng, n_rows, lateness, entities=entities, wild=wild, place=place)
    updates = int(rng.choice([0, 30, 300])) * place.unit
    if approximate:
        features = some_approximate(features, seed)
    return Case(features, rows, lateness, place.zone, updates)


def busy_case(features, seed, *, repeated=False, n=900):
    """One busy account: late rows, updates that take away and bring back, values without end or out of a few hundred.

    One row in eight is read, so that an oracle can look at them all.
    """
    rng = np.random.default_rng([seed, 3])
    rows = random_rows(rng, n, 200, entities=1, wild=False)
    pool = rng.integers(0, 2**31 - 1, 150 if repeated else 10**5)
    for row in rows:
        row.keys = dict.fromkeys(row.keys, 0)
        if row.action != "amend" or rng.random() < 0.3:
            row.values = dict(row.values, merchant=int(rng.choice(pool)))
            row.values["amount"] = float(rng.integers(0, 10**9))
        if row.action == "event" and rng.random() < 0.875:
            row.action = "put"
    return Case(features, rows, 200)


def make_layout():
    layout = Layout()
    for key in KEYS:
        layout.add(key, Type(ID, key))
    layout.add("amount", Type(MONEY, "EUR"))
    layout.add("ratio", Type(NUMBER))
    layout.add("fine", Type(NUMBER))
    layout.add("merchant", Type(CATEGORY, "merchant"))
    return layout


def make_specs(features, layout):
    """Specs as the compiler would make them; each feature gets a column of its own."""
    specs = []
    for k, f in enumerate(features):
        coded = f.argument == "merchant" and f.function in ("first", "last")
        out = layout.add(f"f{k}", Type(CATEGORY, "merchant") if coded else Type(NUMBER))
        argument = Node("column", layout[f.argument].type, value=f.argument) if f.argument else None
        aggregate = Aggregate(
            f.function,
            f.keys,
            Window(f.width, f.lag, f.calendar, f.last),
            argument=argument,
            quantile=float(f.level),
            prior=f.prior,
            half_life_us=f.half,
            approx=f.approx,
        )
        place = layout[f.argument] if f.argument else None
        specs.append(WindowSpec(f"f{k}", aggregate, f.filter, place, f.decimals or 0, out))
    return specs


def make_frame(layout, rows):
    """Columns of `rows`, their filters, and the facts windows ask for."""
    frame = Frame.empty(layout, len(rows))
    for name in (*KEYS, *ARGUMENTS):
        column = frame.column(name)
        for i, row in enumerate(rows):
            value = row.keys[name] if name in KEYS else row.values[name]
            if value is not None:
                column[i] = value
    filters = np.array([row.passes for row in rows], bool).reshape(len(rows), N_FILTERS).T.copy()
    facts = Rows(
        np.array([row.seq for row in rows], np.int64),
        np.array([row.time for row in rows], np.int64),
        np.array([ACTIONS[row.action] for row in rows], np.int8),
        np.array([row.original_seq for row in rows], np.int64),
    )
    return frame, filters, facts


class Runner:
    """A `Windows` with its layout; `feed` gives results as the oracle does."""

    def __init__(
        self, features, lateness, zone="UTC", updates=0, reserved_bytes=1 << 12, sweep=(7, 2, 50)
    ):
        self.layout = make_layout()
        self.specs = make_specs(features, self.layout)
        self.windows = Windows(
            self.specs,
            self.layout,
            lateness,
            zone,
            updates_us=updates,
            sweep=sweep,
            reserved_bytes=reserved_bytes,
        )

    def feed(self, rows):
        frame, filters, facts = make_frame(self.layout, rows)
        self.windows.apply(frame, filters, facts)
        columns = [
            [
                None if (spec.out.is_code and v == -1) or v != v else v
                for v in frame.column(spec.name).tolist()
            ]
            for spec in self.specs
        ]
        is_read = [row.action in ("event", "read") for row in rows]
        return [[c[i] if is_read[i] else "unread" for c in columns] for i in range(len(rows))]

    def saved(self):
        return {name: array.tobytes() for name, array in self.windows.save().items()}
