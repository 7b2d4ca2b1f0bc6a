"""What a window feature is, by its definition: look at the whole history for each row. Plain Python, exact numbers.

Days, weeks and months are those of the standard library's calendar.

Shares nothing with engine/windows but the wording of the feature contract.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

HOUR = 3_600_000_000
LIMIT = 2**62  # a fixed-point argument from here on is missing


@dataclass(frozen=True)
class Declared:
    """One feature. `width` None is over all; `argument` names a value of the rows; `decimals` None means a code.

    `approx` is a declared standard error. `calendar` is day, week or month; `width` is then not looked at. `last` is N of the last N events. `half` is the
    half-life of a decayed aggregate.
    """

    function: str
    keys: tuple[str, ...]
    width: int | None
    lag: int = 0
    prior: bool = False
    argument: str | None = None
    decimals: int | None = 0
    filter: int = 0
    level: str = "0"
    calendar: str = ""
    last: int = 0
    half: int = 0
    approx: float = 0.0


class Sampled(float):
    """The true value of what is approximated, and what is close enough: 6 standard errors, or nothing but itself."""

    def __new__(cls, value, low, high):
        sampled = super().__new__(cls, value)
        sampled.low, sampled.high = low, high
        return sampled


class Near(float):
    """A float that is right up to 1e-9 of `size`; or missing, where a weight is as near to nothing as that."""

    may_miss = False

    def __new__(cls, value, size):
        near = super().__new__(cls, value)
        near.size = size
        return near


@dataclass
class Row:
    """One input row. `action` is skip, event, read, amend or put; a missing key or value is None."""

    seq: int
    time: int
    action: str
    keys: dict[str, int | None]
    values: dict[str, float | int | None]
    passes: list[bool]
    original_seq: int = -1


def fixed(value, decimals):
    """The argument as whole numbers of 10**-decimals, ties to even; None if missing or out of range."""
    if value is None or decimals is None:
        return value
    whole = round(Fraction(value) * 10**decimals)
    return whole if abs(whole) < LIMIT else None


def unscaled(number, decimals):
    return float(Fraction(number) / 10 ** (decimals or 0))


def evaluate(feature, time, inside):
    """The feature over the events `inside` its window, oldest first; None for missing."""
    inside = [row for row in inside if row.passes[feature.filter]]
    inside = inside[-feature.last :] if feature.last else inside
    at = [row.time for row in inside]
    values = None
    if feature.argument is not None:
        pairs = [
            (row.time, fixed(row.values[feature.argument], feature.decimals)) for row in inside
        ]
        at = [t for t, v in pairs if v is not None]
        values = [v for _, v in pairs if v is not None]
    n, d = len(at), feature.decimals
    if feature.half:
        weights = [2.0 ** -(min((time - t) / feature.half, 1000)) for t in at]
        total = math.fsum(w * v for w, v in zip(weights, values or [0] * n, strict=True)) / 10**d
        size = (
            math.fsum(w * abs(v) for w, v in zip(weights, values or [0] * n, strict=True)) / 10**d
        )
        size += 2.0**-60 * max(map(abs, values or [0]), default=0) / 10**d  # fainter is nothing
        weight = math.fsum(weights)
        if feature.function == "decayed_count":
            return Near(weight, weight + 2.0**-60)
        if feature.function == "decayed_sum":
            return Near(total, size)
        near = Near(total / weight, size / weight) if weight >= 2.0**-50 * (1 - 1e-9) else None
        if near is not None:
            near.may_miss = weight <= 2.0**-50 * (1 + 1e-9)
        return near
    match feature.function:
        case "count":
            return float(n)
        case "count_distinct":
            return float(len(set(values)))
        case "sum":
            return unscaled(sum(values), d)
    if n == 0:
        return None
    match feature.function:
        case "avg":
            return unscaled(Fraction(sum(values), n), d)
        case "stddev":
            radicand = n * sum(v * v for v in values) - sum(values) ** 2
            root = Fraction(math.isqrt(radicand << 400), 1 << 200)
            return float(root / (n * 10**d))
        case "quantile":
            rank = max(math.ceil(Fraction(feature.level) * n), 1)
            return unscaled(sorted(values)[rank - 1], d)
        case "entropy":
            shares = [values.count(v) / n for v in set(values)]
            return round(math.fsum(-p * math.log2(p) for p in shares), 9) + 0.0
        case "min":
            return unscaled(min(values), d)
        case "max":
            return unscaled(max(values), d)
        case "first":
            return values[0] if d is None else unscaled(values[0], d)
        case "last":
            return values[-1] if d is None else unscaled(values[-1], d)
        case "time_since_first":
            return float(time - at[0])
        case "time_since_last":
            return float(time - at[-1])
    raise AssertionError(feature.function)


def close_to(feature, true, inside, since, n_ever):
    """What an approximation may be: the truth, until a sample was drawn; then as near as it says, six times over.

    since  : the events from the beginning of the window to the newest one, for a late row reads a sample of these
    n_ever : events of the key that there ever were
    """
    if true is None:
        return None
    inside, since = (
        [fixed(row.values[feature.argument], feature.decimals) for row in rows if row.passes[feature.filter]]
        for rows in (inside, since)
    )  # fmt: skip
    inside, since = ([v for v in values if v is not None] for values in (inside, since))
    if feature.function == "count_distinct":
        error = 6 * feature.approx * len(set(since)) if n_ever >= 2 / feature.approx**2 else 0
        return Sampled(true, true - error, true + error)
    size = max(round(0.25 / feature.approx**2), 1)
    if n_ever < 2 * size:
        return Sampled(true, true, true)
    level, n = float(feature.level), len(inside)
    off = 6 * math.sqrt(level * (1 - level) / size) + 9 / size  # a share of the events
    off *= len(since)
    inside.sort()
    low, high = math.floor(level * n - off), math.ceil(level * n + off)
    if low <= 1 and high >= n:
        return Sampled(true, -math.inf, math.inf)
    ends = inside[max(low - 1, 0)], inside[min(high, n) - 1]
    return Sampled(true, *(unscaled(v, feature.decimals) for v in ends))


@lru_cache(maxsize=100_000)
def period(time, unit, zone):
    """The local day, the Monday of the week, or the first of the month, of a moment."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
    day = at.astimezone(ZoneInfo(zone)).date()
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def first_of(feature, events, now, zone):
    """How many of the events lie before the window that ends now."""
    if feature.calendar:
        this = period(now, feature.calendar, zone)
        return bisect_left(events, this, key=lambda e: period(e.time, feature.calendar, zone))
    if feature.width is None:
        return 0
    return bisect_right(events, now - feature.width, key=lambda e: e.time)


def kept_for(feature, updates):
    """How long an event may still be changed; clocks never moved by more than 8 hours in a day."""
    if feature.last:
        return updates
    if feature.half:
        return min(updates, 60 * feature.half)
    if feature.calendar:
        return {"day": 24, "week": 168, "month": 744}[feature.calendar] * HOUR + 8 * HOUR
    return max(feature.width or 0, feature.lag)


def order(row):
    return row.time, row.seq


def log_of(feature):
    """What features must agree in for an update to reach both or neither."""
    if feature.approx:  # a log of its own
        f = feature
        return f.keys, (f.function, f.filter, f.argument, f.width, f.lag, f.calendar, f.approx)
    return feature.keys, feature.filter if feature.last else None


def replay(features, rows, lateness, zone="UTC", updates=0):
    """Results of each row, one a feature: "unread" for rows that are not read, None for missing.

    updates : how long, beside the lateness, an update reaches features over the last events
    """
    kept = {}
    for f in features:
        kept[log_of(f)] = max(kept.get(log_of(f), 0), kept_for(f, updates) + lateness)
    history = {
        log: defaultdict(list) for log in kept
    }  # keys and filter -> values of the keys -> rows by (time, seq)
    core, out = 0, []
    for row in rows:
        if row.action in ("event", "read", "put"):
            core = max(core, row.time)
        owner = {log: tuple(row.keys[k] for k in log[0]) for log in kept}
        known = {log: None not in owner[log] for log in kept}
        results = []
        for f in features:
            if row.action not in ("event", "read"):
                results.append("unread")
                continue
            log = log_of(f)
            if not known[log]:
                results.append(None)
                continue
            events = history[log][owner[log]]
            first = first_of(f, events, row.time, zone)
            until = bisect_right(events, row.time - f.lag, key=lambda e: e.time)
            inside = events[first:until]
            if row.action == "event" and not f.prior and f.lag == 0:
                inside = [*inside, row]
            result = evaluate(f, row.time, inside)
            if f.approx:
                own = [row] if row.action == "event" else []
                newest = max([row.time, *(e.time for e in events[-1:])])
                end = bisect_right(events, newest - f.lag, key=lambda e: e.time)
                result = close_to(f, result, inside, events[first:end] + own, len(events) + 1)
            results.append(result)
        out.append(results)
        for log, kept_us in kept.items():
            events = history[log][owner[log]]
            if row.action in ("event", "put") and known[log]:
                insort(events, row, key=order)
            elif row.action == "amend" and known[log] and row.time > core - kept_us:
                as_if = Row(row.original_seq, row.time, "event", row.keys, row.values, row.passes)
                at = bisect_left(events, order(as_if), key=order)
                if at < len(events) and order(events[at]) == order(as_if):
                    events[at] = as_if
                else:
                    events.insert(at, as_if)
    return out
