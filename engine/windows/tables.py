"""The features of one tuple of keys, turned into the tables that kernels read (engine/windows/kernels/layout.py).

Whatever two features have in common they share: filters, accumulators, sorted values, distinct values, pointers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from config.errors import ConfigError
from engine.windows import calendar
from engine.windows.kernels import layout as at
from engine.windows.kernels.layout import I8

if TYPE_CHECKING:
    from rules.columns import Layout
    from rules.definitions import Window
    from rules.ruleset import WindowSpec

T = TypeVar("T")
DECIMALS_MAX = 9  # of a fixed-point number: sums and quotients stay exact in two limbs
Bit = tuple[int, int]  # filter or -1; column that must be present or -1
KINDS = {at.COUNT_ONLY: 1, at.WITH_SUM: 3, at.WITH_SQUARES: 7}  # words of a cell
OPERATIONS = {
    "count": at.COUNT,
    "sum": at.SUM,
    "avg": at.AVG,
    "stddev": at.STDDEV,
    "count_distinct": at.DISTINCT,
    "quantile": at.QUANTILE,
    "first": at.FIRST,
    "last": at.LAST,
    "time_since_first": at.SINCE_FIRST,
    "time_since_last": at.SINCE_LAST,
    "min": at.MIN,
    "max": at.MAX,
    "entropy": at.ENTROPY,
    "decayed_count": at.FADED_COUNT,
    "decayed_sum": at.FADED_SUM,
    "decayed_avg": at.FADED_AVG,
}
TABLE_OF = {
    at.GROUP_ENTER: at.GROUPS,
    at.GROUP_LEAVE: at.DISTINCTS,
    at.ORDER_ENTER: at.ORDERS,
    at.ORDER_LEAVE: at.ORDERS,
    at.LATEST_ENTER: at.LATESTS,
    at.CHAIN_ENTER: at.CHAINS,
    at.CHAIN_LEAVE: at.CHAINS,
}
UPDATES_US = 31 * 86_400_000_000  # how long an update reaches `over last N events`
LAST_MAX = 1_000  # events of `over last N events`: they are looked at one by one
BOUNDED_ONLY = ("count_distinct", "quantile", "entropy", "min", "max")
SIGNS = {"min": -1, "max": 1}
DECAYED = ("decayed_count", "decayed_sum", "decayed_avg")
GONE = 1 << 30  # filters and columns from here on are nobody's: nothing passes, nothing is there
# (standard error * sqrt(size of a sample)) ** 2 at its worst: of a count, and of the rank of a median
SAMPLED = {"count_distinct": 1.0, "quantile": 0.25}
HALF_LIVES = 60  # after so many, an update changes nothing that is seen
LATE_HALF_LIVES = 16  # a late row may lie so many in the past, or rounding shows


def check(spec: "WindowSpec", lateness_us: int) -> None:
    """Raise `ConfigError` if windows cannot compute `spec`."""
    window, function = spec.aggregate.window, spec.aggregate.function
    if function in DECAYED and LATE_HALF_LIVES * spec.aggregate.half_life_us < max(lateness_us, 1):
        raise ConfigError(
            f"feature `{spec.name}`: the half-life of {spec.aggregate.half_life_us} us is too short beside a "
            f"lateness of {lateness_us} us",
            why="a late row looks into the past, where what came since has to be taken away; after more than "
            f"{LATE_HALF_LIVES} half-lives only rounding would be left",
            fix=f"make it {-(-lateness_us // LATE_HALF_LIVES)} us or longer, or lower the lateness",
        )
    approx = spec.aggregate.approx
    if approx and (function not in SAMPLED or window.last or not 0 < approx < 1):
        raise ConfigError(
            f"feature `{spec.name}`: `{function}` cannot be approximated to {approx:.2%}",
            why="only count_distinct and quantile over a duration or calendar window cost more the more they hold",
            fix="leave `approx` out",
        )
    if function not in OPERATIONS:
        raise ConfigError(
            f"feature `{spec.name}`: `{function}` is no aggregate of windows",
            fix="use one of " + ", ".join(OPERATIONS),
        )
    if window.last:
        if not 0 < window.last <= LAST_MAX:
            raise ConfigError(
                f"feature `{spec.name}`: `over last {window.last} events` is out of range",
                why="the events are looked at one by one, each time",
                fix=f"write 1 to {LAST_MAX} events, or a duration",
            )
    elif window.width_us is None and function in BOUNDED_ONLY:
        raise ConfigError(
            f"feature `{spec.name}`: `{function}` cannot range `over all`",
            why="it would have to keep every value ever seen, and memory is bounded by windows",
            fix=f"give it a window, such as `{function}(...) by ... over 90d`",
        )
    if window.width_us is not None and not 0 <= window.lag_us < window.width_us:
        raise ConfigError(
            f"feature `{spec.name}`: the lag must lie in [0, window), was {window.lag_us} us of "
            f"{window.width_us} us",
            why="a window that ends before it begins holds nothing",
            fix="make the window longer than `until ... ago`",
        )
    if not 0 <= spec.decimals <= DECIMALS_MAX:
        raise ConfigError(
            f"feature `{spec.name}`: the scale of its argument must lie in [0, {DECIMALS_MAX}], "
            f"was {spec.decimals}",
            why="sums are exact in fixed point, with this many decimals at most",
            fix="lower `scale` of the field in the schema",
        )


def bits_of(spec: "WindowSpec", columns: list[tuple[int, int, int]]) -> tuple[Bit, int]:
    """The bit that says whether an event belongs to `spec`, and its argument as an index of `columns`.

    A sum needs no bit of its own: what is missing adds nothing, so it shares the bit of the count. The last N events
    are those that pass the filter, and among them a missing argument is skipped.
    """
    column = -1
    if spec.argument is not None:
        place = (int(spec.argument.is_code), spec.argument.row, spec.decimals)
        if place not in columns:
            columns.append(place)
        column = columns.index(place)
    is_shared = spec.aggregate.function == "sum" or spec.aggregate.window.last
    return (spec.filter, -1 if is_shared else column), column


def sample_of(spec: "WindowSpec") -> tuple[object, ...]:
    """What approximations of one event log agree in; nothing for a feature that is exact."""
    aggregate = spec.aggregate
    if not aggregate.approx:
        return ()
    return spec.filter, spec.argument, aggregate.function, aggregate.window, aggregate.approx


def split(specs: Sequence["WindowSpec"]) -> list[list["WindowSpec"]]:
    """Cut the features of one key into groups whose flags fit into an event; samples are logs of their own."""
    by_sample: dict[tuple[object, ...], list[WindowSpec]] = {}
    for spec in specs:
        by_sample.setdefault(sample_of(spec), []).append(spec)
    return [part for some in by_sample.values() for part in _split(some)]


def _split(specs: Sequence["WindowSpec"]) -> list[list["WindowSpec"]]:
    parts: list[list[WindowSpec]] = [[]]
    columns: list[tuple[int, int, int]] = []
    flags: set[tuple[object, ...]] = set()
    for spec in specs:
        bit, _ = bits_of(spec, columns)
        more: set[tuple[object, ...]] = {bit}
        if spec.aggregate.function == "count_distinct" and not spec.aggregate.window.last:
            more.add((bit, spec.aggregate.window.lag_us, spec.aggregate.window.calendar))
        if len(flags | more) > at.FLAGS:
            parts.append([])
            flags = set()
        flags |= more
        parts[-1].append(spec)
    return parts


def length(window: "Window") -> int:
    """A window as a horizon: microseconds; for a calendar window -1, -2, -3 (day, week, month); 0 for `over all`."""
    return ~calendar.UNITS.index(window.calendar) if window.calendar else window.width_us or 0


def log_of(spec: "WindowSpec") -> tuple[tuple[str, ...], int]:
    """Features of one event log agree in this: their keys, and the filter of `over last N events`, else -1."""
    aggregate = spec.aggregate
    return tuple(sorted(set(aggregate.keys))), spec.filter if aggregate.window.last else -1


def keep_us(specs: Sequence["WindowSpec"], lateness_us: int, updates_us: int) -> int:
    """How long an event of this log may still be asked for: the longest window or lag, and the lateness.

    Of `over last N events`, how long an event may change: `updates_us` and the lateness; decayed aggregates likewise,
    but at most 60 half-lives.
    """
    if any(spec.aggregate.window.last for spec in specs):
        return updates_us + lateness_us
    windows = [spec.aggregate.window for spec in specs]
    halves = [s.aggregate.half_life_us for s in specs if s.aggregate.function in DECAYED]
    faded = [min(updates_us, HALF_LIVES * half_us) for half_us in halves]
    lengths = [
        calendar.kept_us(w.calendar) if w.calendar else max(w.width_us or 0, w.lag_us)
        for w in windows
    ]
    return max(lengths + faded, default=0) + lateness_us


def sample_size(spec: "WindowSpec") -> int:
    """How many values or events a layer of the feature's sample holds (kernels/sketches.py); 0 if it is exact."""
    aggregate = spec.aggregate
    return (
        max(round(SAMPLED[aggregate.function] / aggregate.approx**2), 1) if aggregate.approx else 0
    )


class Builder:
    """Collects what the features of one event log need and lays it out.

    gaps : names of features that have gone: they keep their words in records and events, and are read by nobody
    """

    def __init__(
        self, specs: Sequence["WindowSpec"], lateness_us: int, gaps: frozenset[str] = frozenset()
    ) -> None:
        self.gaps = gaps
        for spec in specs:
            if spec.name not in gaps:
                check(spec, lateness_us)
        self.columns: list[tuple[int, int, int]] = []
        self.bits: list[Bit] = []
        self.sample = sample_size(specs[0])
        windows = [spec.aggregate.window for spec in specs]
        lengths = {length(w) for w in windows} | {w.lag_us for w in windows}
        self.horizons = sorted(h for h in lengths if h)  # calendar windows are negative
        self.calendars = [calendar.UNITS[~h] for h in self.horizons if h < 0]
        self.cells: dict[tuple[int, int, int], int] = {}  # horizon, bit, column -> kind
        # bit, column, lag, calendar or 0 -> horizons; the last one holds the others, so a calendar window stands alone
        self.groups: dict[tuple[int, int, int, int], set[int]] = {}
        self.orders: list[tuple[int, int, int, int, int]] = []  # bit, column, lag, horizon, spread
        # bit, column, lag, calendar or 0, sign -> the longest of its horizons
        self.chains: dict[tuple[int, int, int, int, int], int] = {}
        self.fades: list[tuple[int, int, int]] = []  # bit, column, half-life
        self.latest: list[tuple[int, int]] = []  # bit, lag
        self.earliest: list[tuple[int, int]] = []  # bit, horizon
        self.frozen: list[tuple[int, int]] = []  # bit, column
        # Those that do not see the row come first, so that they are read before it is put in.
        self.specs = sorted(
            specs, key=lambda s: not (s.aggregate.prior and not s.aggregate.window.lag_us)
        )
        self.n_prior = sum(s.aggregate.prior and not s.aggregate.window.lag_us for s in specs)
        for spec in self.specs:
            self._collect(spec)

    def horizon(self, length_us: int) -> int:
        """Index of a window length; of `over all` the one past the last."""
        return self.horizons.index(length_us) if length_us else len(self.horizons)

    def parts(self, spec: "WindowSpec") -> tuple[int, int, int, int]:
        """Indices of bit and column, horizon of the window, horizon of the lag or -1."""
        window = spec.aggregate.window
        key, column = bits_of(spec, self.columns)
        if key not in self.bits:
            self.bits.append(key)
        lag = self.horizon(window.lag_us) if window.lag_us else -1
        return self.bits.index(key), column, self.horizon(length(window)), lag

    def group(self, bit: int, column: int, lag: int, horizon: int) -> tuple[int, int, int, int]:
        """What the distinct counts or extremes of windows of several lengths have in common."""
        return bit, column, lag, min(self.horizons[horizon], 0)

    def _collect(self, spec: "WindowSpec") -> None:
        bit, column, horizon, lag = self.parts(spec)
        function = spec.aggregate.function
        if spec.aggregate.window.last:
            return
        kinds = {"sum": at.WITH_SUM, "avg": at.WITH_SUM, "stddev": at.WITH_SQUARES}
        if function in kinds:
            for h in (horizon, lag):
                if h >= 0:
                    kind = max(self.cells.get((h, bit, column), 0), kinds[function])
                    self.cells[h, bit, column] = kind
        elif function == "count_distinct":
            self.groups.setdefault(self.group(bit, column, lag, horizon), set()).add(horizon)
        elif function in DECAYED:
            _once(self.fades, (bit, column, spec.aggregate.half_life_us))
        elif function in SIGNS:
            chain = (*self.group(bit, column, lag, horizon), SIGNS[function])
            self.chains[chain] = max(self.chains.get(chain, 0), horizon)
        elif function in ("quantile", "entropy"):
            _once(self.orders, (bit, column, lag, horizon, int(function == "entropy")))
        elif function in {"last", "time_since_last"}:
            _once(self.latest, (bit, lag))
        elif function in {"first", "time_since_first"}:
            _once(self.earliest, (bit, horizon))
        if horizon == len(self.horizons) and function not in {*kinds, "count", *DECAYED}:
            _once(self.frozen, (bit, column))

    def build(
        self,
        keys: Sequence[str],
        layout: "Layout",
        kept_us: int,
        lateness_us: int,
        zone: str,
        sweep: tuple[int, int, int],
        nothing: tuple[int, int, int] = (-1, -1, -1),
    ) -> I8:
        """The tables; counts come last, because they may share the cell of a sum.

        nothing : what stands for filters and columns from GONE on: a filter that nothing passes, rows of the number
                  plane and of the code plane that are always missing
        """
        for spec in self.specs:
            if spec.aggregate.function == "count" and not spec.aggregate.window.last:
                bit, _, horizon, lag = self.parts(spec)
                for h in (horizon, lag):
                    if h >= 0 and not any(c[:2] == (h, bit) for c in self.cells):
                        self.cells[h, bit, -1] = at.COUNT_ONLY
        record = at.TAIL + len(self.horizons)
        latest_at, record = _places(record, [1] * len(self.latest))
        earliest_at, record = _places(record, [1] * len(self.earliest))
        frozen_at, record = _places(record, [5] * len(self.frozen))
        group_at, record = _places(record, [3] * len(self.groups))
        order_at, record = _places(record, [3 + order[4] for order in self.orders])
        chain_at, record = _places(record, [4] * len(self.chains))
        fade_at, record = _places(record, [7] * len(self.fades))
        self.sample_at = record
        record += 2 if self.sample else 0
        distinct = [(g, h) for g, hs in enumerate(self.groups.values()) for h in sorted(hs)]
        distinct_at, record = _places(record, [1] * len(distinct))
        cells = dict(sorted(self.cells.items()))
        cell_at, record = _places(record, [KINDS[kind] for kind in cells.values()])
        self.cell_at = dict(zip(cells, cell_at, strict=True))
        n_horizons = len(self.horizons)
        hooks = self._hooks(distinct)
        priors = [s for s in self.specs[: self.n_prior] if s.name not in self.gaps]
        others = [s for s in self.specs[self.n_prior :] if s.name not in self.gaps]
        never, *absent = nothing
        periods = [calendar.period_starts(zone, unit) for unit in self.calendars]
        tables: dict[int, tuple[int, int]] = {  # header word -> rows, width
            at.KEYS: (len(keys), 1),
            at.BITS: (len(self.bits), at.BIT_ROW),
            at.COLUMNS: (len(self.columns), at.COLUMN_ROW),
            at.HORIZONS: (n_horizons, 1),
            at.CELLS: (len(cells), at.CELL_ROW),
            at.CELL_OF: (n_horizons + 2, 1),
            at.HOOKS: (len(hooks), at.HOOK_ROW),
            at.HOOK_OF: (n_horizons + 2, 1),
            at.GROUPS: (len(self.groups), at.GROUP_ROW),
            at.DISTINCTS: (len(distinct), at.DISTINCT_ROW),
            at.ORDERS: (len(self.orders), at.ORDER_ROW),
            at.CHAINS: (len(self.chains), at.CHAIN_ROW),
            at.FADES: (len(self.fades), at.FADE_ROW),
            at.LATESTS: (len(self.latest), at.LATEST_ROW),
            at.EARLIESTS: (len(self.earliest), at.EARLIEST_ROW),
            at.FROZENS: (len(self.frozen), at.FROZEN_ROW),
            at.PRIORS: (len(priors), at.FEATURE_ROW),
            at.FEATURES: (len(others), at.FEATURE_ROW),
            at.PERIODS: (sum(2 + len(starts) for starts in periods), 1),
        }
        starts, end = _places(at.HEADER, [n * width for n, width in tables.values()])
        self.row_at = {
            (name, k): start + k * width
            for start, (name, (n, width)) in zip(starts, tables.items(), strict=True)
            for k in (range(n + 1) if name != at.PERIODS else (0, n))
        }
        period_at, _ = _places(self.row_at[at.PERIODS, 0], [2 + len(starts) for starts in periods])
        self.distinct_at = dict(zip(distinct, distinct_at, strict=True))
        row_at = self.row_at
        content: dict[int, Sequence[tuple[int, ...]]] = {
            at.KEYS: [(layout[key].row,) for key in keys],
            at.BITS: [(f if f < GONE else never, c) for f, c in self.bits],
            at.COLUMNS: [
                (coded, row if row < GONE else absent[coded], 10**decimals)
                for coded, row, decimals in self.columns
            ],
            at.HORIZONS: [(-p,) for p in period_at]
            + [(h,) for h in self.horizons[len(self.calendars) :]],
            at.CELLS: [
                (b, c, k, p) for ((_, b, c), k), p in zip(cells.items(), cell_at, strict=True)
            ],
            at.CELL_OF: [
                (row_at[at.CELLS, k],) for k in _starts([c[0] for c in cells], n_horizons + 1)
            ],
            at.HOOKS: [(kind, row_at[TABLE_OF[kind], k]) for _, kind, k in hooks],
            at.HOOK_OF: [
                (row_at[at.HOOKS, k],) for k in _starts([h[0] for h in hooks], n_horizons + 1)
            ],
            at.GROUPS: [
                (
                    b,
                    c,
                    lag,
                    max(hs),
                    len(self.bits) + g,
                    p,
                    row_at[at.DISTINCTS, first],
                    row_at[at.DISTINCTS, last],
                )
                for g, (((b, c, lag, _), hs), p, first, last) in enumerate(
                    zip(
                        self.groups.items(),
                        group_at,
                        *_spans([d[0] for d in distinct], len(self.groups)),
                        strict=True,
                    )
                )
            ],
            at.DISTINCTS: [
                (row_at[at.GROUPS, g], h, p)
                for (g, h), p in zip(distinct, distinct_at, strict=True)
            ],
            at.ORDERS: [(*o, p) for o, p in zip(self.orders, order_at, strict=True)],
            at.CHAINS: [
                (b, c, lag, longest, sign, p)
                for ((b, c, lag, _, sign), longest), p in zip(
                    self.chains.items(), chain_at, strict=True
                )
            ],
            at.FADES: [(*y, p) for y, p in zip(self.fades, fade_at, strict=True)],
            at.LATESTS: [(*l, p) for l, p in zip(self.latest, latest_at, strict=True)],
            at.EARLIESTS: [(e[0], p) for e, p in zip(self.earliest, earliest_at, strict=True)],
            at.FROZENS: [(*z, p) for z, p in zip(self.frozen, frozen_at, strict=True)],
            at.PRIORS: [self._feature(spec) for spec in priors],
            at.FEATURES: [self._feature(spec) for spec in others],
        }
        plan = np.zeros(end, np.int64)
        plan[[at.WIDTH, at.EVENT_WIDTH]] = record, at.VALUE + len(self.columns)
        plan[[at.KEEP_US, at.LATENESS_US]] = kept_us, lateness_us
        plan[[at.SWEEP_EVERY, at.SWEEP_SLICE, at.SWEEP_ROWS]] = sweep
        plan[at.KEEP_EVENTS] = max(spec.aggregate.window.last for spec in self.specs)
        plan[[at.N_HORIZONS, at.N_CALENDARS]] = n_horizons, len(self.calendars)
        if self.sample:
            horizon_lag = self.parts(self.specs[0])[2:]
            plan[[at.S_SIZE, at.S_AT]] = self.sample, self.sample_at
            plan[[at.S_HORIZON, at.S_LAG]] = horizon_lag
            plan[at.S_BY_VALUE] = len(self.groups) > 0
        for place, instants in zip(period_at, periods, strict=True):
            plan[[place, place + 1]] = len(instants), _mean(instants)
            plan[place + 2 : place + 2 + len(instants)] = instants
        for name, (n, width) in tables.items():
            plan[name], plan[name + 1] = row_at[name, 0], row_at[name, n]
            if name == at.PERIODS:
                continue
            plan[row_at[name, 0] : row_at[name, n]] = np.array(content[name], np.int64).reshape(
                n * width
            )
        return plan

    def _hooks(self, distinct: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """(horizon, kind, index); an event without lag enters at the horizon past the last, on arrival."""
        arrival = len(self.horizons)
        hooks = [
            (lag if lag >= 0 else arrival, at.GROUP_ENTER, g)
            for g, (_, _, lag, _) in enumerate(self.groups)
        ]
        hooks += [(h, at.GROUP_LEAVE, d) for d, (_, h) in enumerate(distinct)]
        hooks += [
            (o[2] if o[2] >= 0 else arrival, at.ORDER_ENTER, k) for k, o in enumerate(self.orders)
        ]
        hooks += [(o[3], at.ORDER_LEAVE, k) for k, o in enumerate(self.orders)]
        hooks += [
            (c[2] if c[2] >= 0 else arrival, at.CHAIN_ENTER, k) for k, c in enumerate(self.chains)
        ]
        hooks += [(h, at.CHAIN_LEAVE, k) for k, h in enumerate(self.chains.values())]
        hooks += [
            (l[1] if l[1] >= 0 else arrival, at.LATEST_ENTER, k) for k, l in enumerate(self.latest)
        ]
        return sorted(hooks)

    def _feature(self, spec: "WindowSpec") -> tuple[int, ...]:
        bit, column, horizon, lag = self.parts(spec)
        window, function = spec.aggregate.window, spec.aggregate.function
        p, q, level, frozen = -1, -1, 1, -1
        if window.last:
            p, q = OPERATIONS[function], window.last
            level = round(spec.aggregate.quantile * at.LEVEL_ONE)
        elif function in {"count", "sum", "avg", "stddev"}:
            p = self._cell(horizon, bit, column, function)
            q = self._cell(lag, bit, column, function) if lag >= 0 else -1
            level = 10**spec.decimals
        elif function == "count_distinct":
            group = self.group(bit, column, lag, horizon)
            p = self.distinct_at[list(self.groups).index(group), horizon]
            q = self.sample_at if self.sample else -1
        elif function in ("quantile", "entropy"):
            order = bit, column, lag, horizon, int(function == "entropy")
            p = self.row_at[at.ORDERS, self.orders.index(order)]
            level = round(spec.aggregate.quantile * at.LEVEL_ONE)
        elif function in DECAYED:
            fade = bit, column, spec.aggregate.half_life_us
            p = self.row_at[at.FADES, self.fades.index(fade)]
            level = 10**spec.decimals
        elif function in SIGNS:
            chain = (*self.group(bit, column, lag, horizon), SIGNS[function])
            p = self.row_at[at.CHAINS, list(self.chains).index(chain)]
        elif function in {"last", "time_since_last"}:
            p = self.row_at[at.LATESTS, self.latest.index((bit, lag))]
        else:
            p = self.row_at[at.EARLIESTS, self.earliest.index((bit, horizon))]
        if (bit, column) in self.frozen and window.width_us is None:
            frozen = self.row_at[at.FROZENS, self.frozen.index((bit, column))]
        tail = -1 if window.width_us is None else horizon
        out = (int(spec.out.is_code), spec.out.row)
        operation = at.NEWEST if window.last else OPERATIONS[function]
        return operation, p, q, column, window.lag_us, lag, tail, frozen, *out, level

    def _cell(self, horizon: int, bit: int, column: int, function: str) -> int:
        """Where the accumulator is; a count takes any of its horizon and bit."""
        if function != "count":
            return self.cell_at[horizon, bit, column]
        return next(place for key, place in self.cell_at.items() if key[:2] == (horizon, bit))


def _mean(starts: I8) -> int:
    """Mean length of periods, the last of which never ends."""
    return int(starts[-2] - starts[0]) // (len(starts) - 2)


def _once(items: list[T], item: T) -> None:
    if item not in items:
        items.append(item)


def _places(start: int, widths: list[int]) -> tuple[list[int], int]:
    """Where things of these widths stand, one after the other, and where the next would."""
    ends = np.cumsum([start, *widths]).tolist()
    return ends[:-1], ends[-1]


def _starts(owners: Sequence[int], n: int) -> list[int]:
    """Rows of owner k, in a table sorted by owner, are starts[k] .. starts[k + 1] - 1; of n owners."""
    return [int(k) for k in np.searchsorted(np.array(owners, np.int64), np.arange(n + 1))]


def _spans(owners: Sequence[int], n: int) -> tuple[list[int], list[int]]:
    starts = _starts(owners, n)
    return starts[:-1], starts[1:]
