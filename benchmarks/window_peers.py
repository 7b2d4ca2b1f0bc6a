"""The same features over the same stream, made in three other ways: bench_windows.py compares them with ours.

Each peer is `peer(features, stream, a, b, batch)`: it is fed rows 0 .. b - 1, the clock runs from row `a` on, and it
returns processor microseconds an event and {number of the feature: its results for rows a .. b - 1}. Features that a
peer cannot compute are left out. All are held to rows in order; garbage collection is off while they run.
"""

import datetime as dt
import gc
import math
import time
from bisect import bisect_left, insort
from collections import Counter, defaultdict, deque

import numpy as np

TOTALS = ("count", "sum", "avg", "time_since_last", "time_since_first")


def events_of(stream, b):
    """Rows 0 .. b - 1 as a program would have them: time, codes by key, amount, value."""
    columns = zip(*(column[:b].tolist() for column in stream.code.values()), strict=True)
    codes = [dict(zip(stream.code, row, strict=True)) for row in columns]
    parts = (
        stream.time_us[:b].tolist(),
        codes,
        stream.amount[:b].tolist(),
        stream.value[:b].tolist(),
    )
    return list(zip(*parts, strict=True))


def timed(add, events, a):
    """Feed events; processor us an event of those from `a` on, and what `add` gave for them."""
    gc.disable()
    for event in events[:a]:
        add(*event)
    began = time.process_time()
    found = [add(*event) for event in events[a:]]
    took = time.process_time() - began
    gc.enable()
    return took / (len(events) - a) * 1e6, found


class Deques:
    """The obvious build: for each entity and window a deque, and what its aggregates need.

    Counts, sums, averages, first and last seen of a window share one; distinct values are a Counter, quantiles a
    sorted list.
    """

    def __init__(self, features):
        kinds = {}  # key, window, lag, kind of state, level -> numbers of its features and what they read
        for k, f in enumerate(features):
            kind = "total" if f.function in TOTALS else f.function
            kinds.setdefault((f.key, f.width, f.lag, kind, f.level), []).append((k, f.function))
        self.windows = [(*window, reads) for window, reads in kinds.items()]
        made = {"total": lambda: [0, 0], "count_distinct": Counter, "quantile": list}
        self.states = [
            defaultdict(lambda make=made[w[3]]: (deque(), deque(), make())) for w in self.windows
        ]
        self.row = [None] * len(features)

    def add(self, time_us, codes, amount, value):
        row = self.row
        for states, (key, width, lag, kind, level, reads) in zip(
            self.states, self.windows, strict=True
        ):
            waiting, inside, state = states[codes[key]]
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
            newest = inside[-1][0] if inside else None
            waiting.append((time_us, amount, value))
            while waiting and waiting[0][0] <= time_us - lag:
                event = waiting.popleft()
                if event[0] <= time_us - width:
                    continue
                inside.append(event)
                if kind == "total":
                    state[0] += 1
                    state[1] += event[1]
                elif kind == "count_distinct":
                    state[event[2]] += 1
                else:
                    insort(state, event[1])
            if kind == "count_distinct":
                row[reads[0][0]] = len(state)
            elif kind == "quantile":
                at = math.ceil(level * len(state)) - 1
                row[reads[0][0]] = state[at] if state else None
            else:
                for k, function in reads:
                    if function == "count":
                        row[k] = state[0]
                    elif function == "sum":
                        row[k] = state[1]
                    elif function == "avg":
                        row[k] = state[1] / state[0]
                    elif function == "time_since_last":
                        row[k] = None if newest is None else time_us - newest
                    else:
                        row[k] = time_us - inside[0][0]
        return row.copy()


def deques(features, stream, a, b, _batch=1):
    us, found = timed(Deques(features).add, events_of(stream, b), a)
    return us, {k: np.array(column, float) for k, column in enumerate(zip(*found, strict=True))}


class River:
    """river's TimeRolling, one for each entity, window and statistic that can be reverted: Mean counts too."""

    def __init__(self, features):
        from river import stats, utils

        rolling = {"count": stats.Mean, "avg": stats.Mean, "sum": stats.Sum}
        self.kinds = {}  # key, window, class -> (feature, function)
        for k, f in enumerate(features):
            if f.function in rolling and not f.lag and not f.prior:
                self.kinds.setdefault((f.key, f.width, rolling[f.function]), []).append(
                    (k, f.function)
                )
        self.states = [
            defaultdict(
                lambda kind=kind, width=width: utils.TimeRolling(
                    kind, period=dt.timedelta(microseconds=width)
                )
            )
            for _, width, kind in self.kinds
        ]

    def add(self, at, codes, amount, _value):
        row = {}
        for states, ((key, _, _), reads) in zip(self.states, self.kinds.items(), strict=True):
            state = states[codes[key]]
            state.update(amount, t=at)
            for k, function in reads:
                row[k] = state.obj.n if function == "count" else state.obj.get()
        return row


def river(features, stream, a, b, _batch=1):
    epoch = dt.datetime(1970, 1, 1)  # noqa: DTZ001  river compares times with a naive one
    build = River(features)
    if not build.kinds:
        return None, {}
    events = [
        (epoch + dt.timedelta(microseconds=at), codes, amount, value)
        for at, codes, amount, value in events_of(stream, b)
    ]
    us, found = timed(build.add, events, a)
    return us, {k: np.array([row[k] for row in found], float) for k in found[0]}


SQL = {
    "count": "count(*) over {w}",
    "sum": "sum(amount) over {w}",
    "avg": "avg(amount) over {w}",
    "time_since_last": "moment - max(moment) over {w}",
    "time_since_first": "moment - min(moment) over {w}",
    "count_distinct": "count(distinct value) over {w}",
    "quantile": "quantile_disc(amount, {level}) over {w}",
}


def duckdb(features, stream, a, b, batch):
    """SQL over the rows that windows still need, once a batch and key: only entities that are in the batch."""
    import duckdb as db

    query = db.connect(config={"threads": 1, "preserve_insertion_order": False})
    keys = [key for key in stream.code if any(f.key == key for f in features)]
    columns = "".join(f", {key} integer" for key in keys)
    query.execute(
        f"create table event (seq bigint, moment bigint, amount bigint, value integer{columns})"
    )
    seq = np.arange(len(stream))

    def put(low, high):
        cut = slice(low, high)
        fresh = {
            "seq": seq[cut], "moment": stream.time_us[cut], "amount": stream.amount[cut], "value": stream.value[cut],
            **{key: stream.code[key][cut] for key in keys},
        }  # fmt: skip
        query.register("fresh", fresh)
        query.execute("insert into event select * from fresh")
        query.unregister("fresh")

    def ask(key, low):
        wanted = [(k, f) for k, f in enumerate(features) if f.key == key]
        ends = {(f.width, f.lag or int(f.prior)) for _, f in wanted}
        frames = {end: f"w{n}" for n, end in enumerate(sorted(ends))}
        what = [
            SQL[f.function].format(w=frames[f.width, f.lag or int(f.prior)], level=f.level)
            + f" as f{k}"
            for k, f in wanted
        ]
        named = [
            f"{name} as (partition by {key} order by moment range between {width - 1} preceding and {lag} preceding)"
            for (width, lag), name in frames.items()
        ]
        found = query.execute(
            f"select * from (select seq, {', '.join(what)} from event where {key} in "
            f"(select {key} from event where seq >= {low}) window {', '.join(named)}) where seq >= {low} order by seq"
        ).fetchnumpy()
        return {k: found[f"f{k}"] for k, _ in wanted}

    put(0, a)
    longest = max(f.width + f.lag for f in features)
    results = defaultdict(list)
    gc.disable()
    began = time.process_time()
    for low in range(a, b, batch):
        put(low, min(low + batch, b))
        query.execute(f"delete from event where moment <= {stream.time_us[low] - longest}")
        for key in keys:
            for k, column in ask(key, low).items():
                results[k].append(column)
    took = time.process_time() - began
    gc.enable()
    query.close()
    whole = {
        k: np.concatenate([np.ma.filled(c.astype(float), np.nan) for c in columns])
        for k, columns in results.items()
    }
    return took / (b - a) * 1e6, whole


PEERS = {
    "deques and dicts": deques,
    "river": river,
    "DuckDB": duckdb,
}
NOTES = {
    "deques and dicts": "rows in order only; a window's events once for every window; no state can be saved as it is",
    "river": "count, sum and avg only: no other statistic can be reverted; no lag, no prior; floats, so sums are exact "
    "below 2^53 only",
    "DuckDB": "takes late rows too, since it sorts anew; costs what is retained, not what is new; a batch of one is a "
    "query for each key",
}
