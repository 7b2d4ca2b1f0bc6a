"""What features declared in the rule language are, by their definition: all history, looked at again for each message.

Plain Python, exact numbers, messages as dictionaries of Python values (times and durations in microseconds, money in
minor units, texts as texts). Shares nothing with the engine but the wording of the contract (design.md 4.1, 4.2, 4.4).

Conditions and expressions are tuples:
    ("field", name)  ("value", kind, v)  ("+", a, b)  ("-", a, b)  ("*", a, b)  ("/", a, b)  ("??", a, b)  ("if", c, a, b)
    ("<" "<=" ">" ">=" "==" "!=", a, b)  ("between", x, low, high)  ("in" "not in", x, values)
    ("missing" "present", x)  ("and" "or", a, b, ...)  ("not", c)  ("contains", x, text)  ("hour", x)
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

NEVER = -(10**18)
FRACTIONS = 6  # decimals that a number argument keeps
LIMIT = 2**62  # a fixed-point argument from here on is missing
HOUR_US = 3_600_000_000
UPDATES_US = 31 * 24 * HOUR_US  # how long an update reaches the last N events
ZONE = "zone of the pack"  # stands among the fields of a message, for hour(x)


@dataclass(frozen=True)
class Aggregate:
    """`function(argument) [of domain] by keys over width [until lag ago] [where where] [prior]`.

    kind     : of the argument: number, money, duration, time or code; `width` None is over all
    calendar : day, week or month in place of a width
    last     : N in place of a width, the last N events that pass `where`
    half     : half-life in place of a width: an event of age a weighs 2**-(a / half)
    """

    function: str
    keys: tuple
    width: int | None
    lag: int = 0
    domain: str = ""
    argument: tuple | None = None
    kind: str = ""
    level: str = ""
    where: tuple | None = None
    prior: bool = False
    calendar: str = ""
    last: int = 0
    half: int = 0


@dataclass(frozen=True)
class Computed:
    """A feature that is an expression over fields and features."""

    expression: tuple


@dataclass
class Event:
    """Something that happened, as windows see it. `takes`: feature -> its argument; without those it does not count."""

    seq: int
    time: int
    domain: str
    fields: dict
    takes: dict = field(default_factory=dict)


@dataclass
class Known:
    """A transaction that was seen: its message, its fields as they are by now, where it stands in the history."""

    message: dict
    fields: dict
    event: Event | None = None


def names_in(tree):
    """Fields and features that an expression reads."""
    if not isinstance(tree, tuple):
        return set()
    if tree[:1] == ("field",):
        return {tree[1]}
    return set().union(*map(names_in, tree[1:])) if len(tree) > 1 else set()


def value(tree, fields):
    """The value of an expression or condition; None for missing."""
    op = tree[0]
    if op == "field":
        return fields.get(tree[1])
    if op == "value":
        return tree[2]
    if op in ("missing", "present"):
        return (value(tree[1], fields) is None) == (op == "missing")
    if op in ("and", "or"):
        parts = [value(t, fields) for t in tree[1:]]
        decides = op == "or"
        return decides if decides in parts else None if None in parts else not decides
    if op == "??":
        first = value(tree[1], fields)
        return value(tree[2], fields) if first is None else first
    if op == "if":
        condition = value(tree[1], fields)
        return None if condition is None else value(tree[2 if condition else 3], fields)
    if op in ("in", "not in"):
        found = value(tree[1], fields)
        return None if found is None else (found in tree[2]) == (op == "in")
    if op == "contains":
        found = value(tree[1], fields)
        return None if found is None else tree[2] in found
    parts = [value(t, fields) for t in tree[1:]]
    if None in parts:
        return None
    match op:
        case "not":
            return not parts[0]
        case "hour":
            return local(parts[0], fields[ZONE]).hour
        case "between":
            return parts[1] <= parts[0] <= parts[2]
        case "+":
            return parts[0] + parts[1]
        case "-":
            return parts[0] - parts[1]
        case "*":
            return parts[0] * parts[1]
        case "/":
            return None if parts[1] == 0 else parts[0] / parts[1]
        case "==":
            return parts[0] == parts[1]
        case "!=":
            return parts[0] != parts[1]
        case "<":
            return parts[0] < parts[1]
        case "<=":
            return parts[0] <= parts[1]
        case ">":
            return parts[0] > parts[1]
        case ">=":
            return parts[0] >= parts[1]
    raise AssertionError(op)


def local(time, zone):
    """A moment by the clocks of a zone."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
    return at.astimezone(ZoneInfo(zone))


@lru_cache(maxsize=100_000)
def period(time, unit, zone):
    """The local day, or the first day of the local week or month, of a moment."""
    day = local(time, zone).date()
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def kept_for(aggregate):
    """How long windows keep an event: a calendar window 8 hours more than usual, for clocks are put back."""
    if aggregate.calendar:
        return {"day": 24, "week": 7 * 24, "month": 31 * 24}[
            aggregate.calendar
        ] * HOUR_US + 8 * HOUR_US
    if aggregate.half:
        return min(UPDATES_US, 60 * aggregate.half)
    return aggregate.width or 0


def decimals(aggregate):
    return FRACTIONS if aggregate.kind == "number" else 0


def fixed(number, digits):
    whole = round(Fraction(number) * 10**digits)
    return whole if abs(whole) < LIMIT else None


def reduce(aggregate, now, events):
    """The aggregate over (time, argument) of the events in its window, oldest first."""
    n, digits = len(events), decimals(aggregate)
    values = [v for _, v in events]
    scale = 10**digits
    if aggregate.half:
        weights = [2.0 ** -min((now - time) / aggregate.half, 1000) for time, _ in events]
        weight = math.fsum(weights)
        if aggregate.function == "decayed_count":
            return weight
        total = math.fsum(w * v for w, v in zip(weights, values, strict=True)) / scale
        if aggregate.function == "decayed_sum":
            return total
        return total / weight if weight >= 2.0**-50 else None
    match aggregate.function:
        case "count":
            return n
        case "count_distinct":
            return len(set(values))
        case "sum":
            return float(Fraction(sum(values), scale))
    if not events:
        return None
    coded = aggregate.kind == "code"
    match aggregate.function:
        case "avg":
            return float(Fraction(sum(values), n * scale))
        case "stddev":
            radicand = n * sum(v * v for v in values) - sum(values) ** 2
            return float(Fraction(math.isqrt(radicand << 200), n * scale << 100))
        case "quantile":
            rank = max(math.ceil(Fraction(aggregate.level) * n), 1)
            return float(Fraction(sorted(values)[rank - 1], scale))
        case "entropy":
            shares = [values.count(v) / n for v in set(values)]
            return round(math.fsum(-p * math.log2(p) for p in shares), 9) + 0.0
        case "min":
            return float(Fraction(min(values), scale))
        case "max":
            return float(Fraction(max(values), scale))
        case "first":
            return values[0] if coded else float(Fraction(values[0], scale))
        case "last":
            return values[-1] if coded else float(Fraction(values[-1], scale))
        case "time_since_first":
            return now - events[0][0]
        case "time_since_last":
            return now - events[-1][0]
    raise AssertionError(aggregate.function)


class Oracle:
    """`take` the messages in their order; it gives the features of each transaction and activity, None for others."""

    def __init__(self, declared, lateness, jump, zone="UTC"):
        self.declared, self.lateness, self.jump, self.zone = declared, lateness, jump, zone
        self.core = self.windows_core = NEVER
        self.history = []
        self.known = {}
        self.facts = set()
        self.attributes = {}  # (entity, id, name) -> value
        self.order, self.level = [], {}
        for name in declared:
            self._sort(name)
        self.kept = {}
        for name, f in declared.items():
            if isinstance(f, Aggregate) and not f.last:
                log = self.level[name], f.keys
                self.kept[log] = max(self.kept.get(log, 0), kept_for(f) + lateness)
        self.counts = {}

    def _sort(self, name):
        if name in self.level:
            return
        feature = self.declared[name]
        if isinstance(feature, Aggregate):
            reads = names_in(feature.argument) | names_in(feature.where)
        else:
            reads = names_in(feature.expression)
        reads &= self.declared.keys()
        for other in sorted(reads):
            self._sort(other)
        deepest = max((self.level[other] for other in reads), default=-1)
        self.level[name] = deepest + isinstance(feature, Aggregate)
        self.order.append(name)

    def take(self, seq, message):
        kind = message["kind"]
        result = getattr(self, f"_{kind}")(seq, message)
        what, features = result if isinstance(result, tuple) else (result, None)
        self.counts[what] = self.counts.get(what, 0) + 1
        return features

    # messages

    def _transaction(self, seq, message):
        identity = message["account"], message["transaction_id"]
        if identity in self.known:
            return "duplicate" if self.known[identity].message == message else "conflict"
        time = message["event_time"]
        if self._refused(time):
            self.known[identity] = Known(message, {})
            return "refused"
        fields = self._filled(message)
        event, features = self._happens(seq, "transaction", fields)
        self.known[identity] = Known(message, fields, event)
        return ("transaction" if event else "late"), features

    def _activity(self, seq, message):
        if self._refused(message["event_time"]):
            return "refused"
        event, features = self._happens(seq, "activity", self._filled(message))
        return ("activity" if event else "late activity"), features

    def _label(self, seq, message):
        known = self._meant(message)
        if not isinstance(known, Known):
            return known
        fields = known.fields | {
            name: message.get(name) for name in ("label", "source", "typology", "event_time")
        }
        event = Event(seq, self.core, "label", fields)
        self.windows_core = max(self.windows_core, self.core)
        self._takes(event)
        self.history.append(event)
        return "label"

    def _update(self, _seq, message):
        known = self._meant(message)
        if not isinstance(known, Known):
            return known
        for name in ("status", "amount"):
            if message.get(name) is not None:
                known.fields[name] = message[name]
        self._compute(known.fields)
        if known.event is None:
            return "update of a late one"
        old, present = known.event, known.fields
        new = Event(old.seq, old.time, old.domain, dict(present))
        self._takes(new)
        for name, feature in self.declared.items():
            # state of `over all` is constant: what is older than anything kept for windows stays as it was
            if isinstance(feature, Aggregate) and feature.width is None and not feature.calendar:
                log = self.level[name], feature.keys
                kept = UPDATES_US + self.lateness if feature.last else self.kept[log]
                if old.time <= self.windows_core - kept:
                    new.takes.pop(name, None)
                    if name in old.takes:
                        new.takes[name] = old.takes[name]
        self.history[self.history.index(old)] = known.event = new
        return "update"

    def _profile(self, _seq, message):
        time = message.get("event_time")
        if time is not None:
            if self._refused(time):
                return "refused"
            self.core = max(self.core, time)
        for entity, own in (
            ("account", ("customer", "segment", "opened_on")),
            ("card", ("customer",)),
            ("customer", ("segment",)),
        ):
            if entity in message:
                for name in own:
                    if name in message:
                        self.attributes[entity, message[entity], name] = message[name]
                if entity == "account":
                    return "profile"  # its segment is the account's, not the customer's
        return "profile"

    # their parts

    def _refused(self, time):
        return self.core != NEVER and time > self.core + self.jump

    def _meant(self, message):
        """The transaction that a label or update means, unless it is refused, unknown or a repetition."""
        time = message.get("event_time")
        known = self.known.get((message["account"], message["transaction_id"]))
        if known is None:
            return "unknown"
        if time is not None and self._refused(time):
            return "refused"
        content = tuple(sorted(message.items()))
        if content in self.facts:
            return "repeated fact"
        self.facts.add(content)
        if time is not None:
            self.core = max(self.core, time)
        return known

    def _filled(self, message):
        fields = {**message, ZONE: self.zone}

        def fill(name, *sources):
            for entity, attribute in sources:
                if fields.get(name) is None and fields.get(entity) is not None:
                    fields[name] = self.attributes.get((entity, fields[entity], attribute))

        fill("customer", ("account", "customer"), ("card", "customer"))
        fill("segment", ("account", "segment"), ("customer", "segment"))
        opened = self.attributes.get(("account", fields.get("account"), "opened_on"))
        if opened is not None:
            fields["account_age"] = fields["event_time"] - opened
        return fields

    def _happens(self, seq, domain, fields):
        """Evaluate every feature at an event, and apply it unless it is too late."""
        time = fields["event_time"]
        is_late = time < self.core - self.lateness
        self.core = max(self.core, time)
        now = self.core if is_late else time
        self.windows_core = max(self.windows_core, now)
        event = Event(seq, now, domain, fields)
        for name in self.order:
            feature = self.declared[name]
            if isinstance(feature, Computed):
                fields[name] = value(feature.expression, fields)
            else:
                self._take(event, name)
                fields[name] = self._read(name, event, itself=not is_late)
        features = {name: fields[name] for name in self.declared}
        if is_late:
            return None, features
        self.history.append(event)
        return event, features

    def _read(self, name, at, *, itself):
        feature = self.declared[name]
        owner = [at.fields.get(key) for key in feature.keys]
        if None in owner:
            return None
        begin = NEVER if feature.width is None else at.time - feature.width
        unit, zone = feature.calendar, self.zone
        inside = [
            (e.time, e.seq, e.takes[name])
            for e in self.history
            if name in e.takes
            and begin < e.time <= at.time - feature.lag
            and (not unit or period(e.time, unit, zone) == period(at.time, unit, zone))
            and [e.fields.get(key) for key in feature.keys] == owner
        ]
        if itself and not feature.prior and not feature.lag and name in at.takes:
            inside.append((at.time, at.seq, at.takes[name]))
        inside.sort(key=lambda x: x[:2])
        if feature.last:
            inside = inside[-feature.last :]
        return reduce(feature, at.time, [(time, v) for time, _, v in inside if v is not None])

    def _compute(self, fields):
        """Expressions follow the fields as they are now; windows stay as they were decided on."""
        for name in self.order:
            if isinstance(self.declared[name], Computed):
                fields[name] = value(self.declared[name].expression, fields)

    def _takes(self, event):
        for name, feature in self.declared.items():
            if isinstance(feature, Aggregate):
                self._take(event, name)

    def _take(self, event, name):
        """Note the argument of an event for a feature, if the event counts for it."""
        feature = self.declared[name]
        of_label = feature.domain == "label" or "label" in names_in(feature.where)
        domains = (
            ("label",)
            if of_label
            else (feature.domain,)
            if feature.domain
            else ("transaction", "activity")
        )
        if event.domain not in domains:
            return
        if feature.where is not None and value(feature.where, event.fields) is not True:
            return
        if feature.argument is None:
            event.takes[name] = 0
            return
        argument = value(feature.argument, event.fields)
        if argument is not None and feature.kind != "code":
            argument = fixed(argument, decimals(feature))
        if argument is not None or feature.last:
            event.takes[name] = argument
