"""What an expression means, said the slow and obvious way: one row, Python values, a walk over the tree.

`value` and `truth` return (value, None) or (None, why) where `why` is the column that is responsible, or NO_RESULT. It shares no
code with the compiler, the interpreter or the text tables; only the tree itself is common.
"""

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from zoneinfo import ZoneInfo

NO_RESULT = "(no result)"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class World:
    """What stands outside of a row: lists, tables (values, default), the pack's zone.

    A list is (kind, members); a member that holds for a time only is (text, from, until), None for no such end.
    """

    lists: dict = field(default_factory=dict)
    tables: dict = field(default_factory=dict)
    zone: str = "UTC"


def value(e, row, world):
    """The value of any tree, and why it is missing."""
    x, reasons = walk(e, row, world)
    return x, (choose(reasons) if x is None else None)


def truth(e, row, world):
    """The truth of a condition, and why it is missing."""
    x, why = value(e, row, world)
    return (None, why) if x is None else (bool(x), None)


def choose(reasons):
    """Of one comparison: the first column that is missing; that there is no result only if all are there."""
    return next(
        (r.name if isinstance(r, Settled) else r for r in reasons if r != NO_RESULT), NO_RESULT
    )


@dataclass
class Settled:
    """Why a condition inside of a value was missing: it has made its choice, even if that is NO_RESULT."""

    name: str


def walk(e, row, world):
    """Return the value and, if that is None, everything that made it so, in the order of the text."""
    op = e.op
    if op == "const":
        return e.value, ()
    if op == "column":
        return row[e.value], (e.value,)
    if op in ("and", "or"):
        x, why = junction(op, [truth(p, row, world) for p in e.args])
        return x, (Settled(why),)
    if op == "not":
        x, why = truth(e.args[0], row, world)
        return (None if x is None else not x), (Settled(why),)
    if op == "missing":
        return value(e.args[0], row, world)[0] is None, ()
    if op == "if":
        x, why = truth(e.args[0], row, world)
        return (None, (Settled(why),)) if x is None else walk(e.args[1 if x else 2], row, world)
    if op == "??":
        x, reasons = walk(e.args[0], row, world)
        return (walk(e.args[1], row, world)[0] if x is None else x), reasons
    if op == "at_least":
        parts = [truth(p, row, world) for p in e.args]
        sure = sum(x is True for x, _ in parts)
        possible = sum(x is not False for x, _ in parts)
        if sure >= e.value or possible < e.value:
            return sure >= e.value, ()
        return None, (Settled(next(why for x, why in parts if x is None)),)
    if op == "lookup":
        known, default = world.tables[e.value]
        return known.get(value(e.args[0], row, world)[0], default), ()
    args = e.args
    if op == "call" and e.value == "age":
        args = (type(e)("column", e.type, value="event_time"), args[0])
    parts = [walk(p, row, world) for p in args]
    reasons = tuple(r for x, found in parts if x is None for r in found)
    result = None if reasons else strict(e, [x for x, _ in parts], world, row)
    reasons = reasons or (NO_RESULT,)
    if e.type.kind == "bool" and op != "call":
        reasons = (Settled(choose(reasons)),)
    return result, reasons


def junction(op, parts):
    absorbing = op == "or"
    if any(x is absorbing for x, _ in parts):
        return absorbing, None
    return next((p for p in parts if p[0] is None), (not absorbing, None))


def strict(e, x, world, row):
    """Operations whose arguments are all there."""
    op = e.op
    if op in COMPARE:
        return COMPARE[op](*x)
    if op == "between":
        if e.args[0].type.kind == "time of day" and x[1] > x[2]:
            return x[0] >= x[1] or x[0] <= x[2]
        return x[1] <= x[0] <= x[2]
    if op == "in":
        return member(e, x[0], world, row)
    if op == "contains":
        return e.value in x[0]
    if op == "starts with":
        return x[0].startswith(e.value)
    if op == "ends with":
        return x[0].endswith(e.value)
    if op == "matches":
        return re.search(e.value, x[0]) is not None
    if op == "neg":
        return -x[0]
    if op in "+-*/":
        return arithmetic(op, *map(float, x))
    assert op == "call", op
    return call(e, x, world)


COMPARE = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def member(e, x, world, row):
    if not isinstance(e.value, str):
        return x in e.value
    kind, members = world.lists[e.value[1:]]
    members = [m if isinstance(m, str) else m[0] for m in members if holds(m, row["event_time"])]
    if isinstance(x, str):
        if x in members:
            return True
        ranges = [m.split("-") for m in members if re.fullmatch(r"\d+-\d+", m)]
        return (
            kind == "category"
            and re.fullmatch(r"[0-9]+", x) is not None
            and any(len(a) == len(x) == len(b) and a <= x <= b for a, b in ranges)
        )
    ends = [(m.split("-") * 2)[:2] if not m.startswith("-") else [m, m] for m in members]
    return any(float(a) <= x <= float(b) for a, b in ends)


def holds(member, time):
    if isinstance(member, str) or member[1:] == (None, None):
        return True
    _, start, end = member
    return time is not None and (start is None or time >= start) and (end is None or time < end)


def arithmetic(op, a, b):
    if op == "/" and b == 0:
        return None
    z = {"+": a.__add__, "-": a.__sub__, "*": a.__mul__, "/": a.__truediv__}[op](b)
    return z if math.isfinite(z) else None


def call(e, x, world):
    name = e.value
    if name == "age":
        if len(e.args) == 1:
            return arithmetic("-", *x)
        return calendar_age(*x, e.args[1].value, world.zone)
    if name in ("hour", "weekday", "local_time", "date"):
        at = local(x[0], world.zone)
        if at is None:
            return None
        if name == "date":
            start = datetime(at.year, at.month, at.day, tzinfo=at.tzinfo).astimezone(UTC)
            return float((start - EPOCH) // timedelta(microseconds=1))
        if name == "hour":
            return float(at.hour)
        if name == "weekday":
            return float(at.isoweekday())
        return float(((at.hour * 60 + at.minute) * 60 + at.second) * 1_000_000 + at.microsecond)
    return {
        "abs": abs,
        "min": min,
        "max": max,
        "round": lambda v: float(round(v)),
        "floor": lambda v: float(math.floor(v)),
        "log": lambda v: math.log(v) if v > 0 else None,
        "mod": lambda v, w: v % w if w else None,
        "length": lambda v: float(len(v)),
        "lower": str.lower,
        "upper": str.upper,
        "similarity": similarity,
        "in_hours": lambda v: v / 3.6e9,
        "in_days": lambda v: v / 8.64e10,
        "distance_km": distance_km,
        "ip_in": ip_in,
    }[name](*x)


def local(us, zone):
    if abs(us) >= 9e15:
        return None
    return (EPOCH + timedelta(microseconds=math.floor(us))).astimezone(ZoneInfo(zone))


def calendar_age(later, earlier, unit, zone):
    later, earlier = local(later, zone), local(earlier, zone)
    if later is None or earlier is None:
        return None
    later, earlier = later.date(), earlier.date()
    if unit == "days":
        return float((later - earlier).days)
    months = 0
    step = 1 if later >= earlier else -1
    while step > 0 and at_month(earlier, months + 1) <= (later.year, later.month, later.day):
        months += 1
    while step < 0 and at_month(earlier, months) > (later.year, later.month, later.day):
        months -= 1
    return float(months if unit == "months" else math.floor(months / 12))


def at_month(day, months):
    """The date `months` after `day`, as a triple that need not exist (31 February)."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return year, month + 1, day.day


def similarity(a, b):
    a, b = a.casefold(), b.casefold()
    if not a and not b:
        return 1.0
    d = {(i, 0): i for i in range(len(a) + 1)} | {(0, j): j for j in range(len(b) + 1)}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i, j] = min(
                d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i - 1] != b[j - 1])
            )
            if i > 1 and j > 1 and a[i - 2 : i] == b[j - 2 : j][::-1]:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return 1.0 - d[len(a), len(b)] / max(len(a), len(b))


def distance_km(lat1, lon1, lat2, lon2):
    if max(abs(lat1), abs(lat2)) > 90 or max(abs(lon1), abs(lon2)) > 180:
        return None
    a, b, c, d = map(math.radians, (lat1, lon1, lat2, lon2))
    h = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * 6371.0088 * math.asin(min(1.0, math.sqrt(h)))


def ip_in(text, network):
    try:
        return ip_address(text) in ip_network(network)
    except ValueError:
        return False
