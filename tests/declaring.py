"""Random features in the rule language, streams that lie on their edges, and how to run both through the core."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from config.settings import BANK
from engine.batch import ACTIVITY, TRANSACTION
from engine.core import Core
from engine.setup import read_setup
from tests.oracles.features import Aggregate, Computed

S, DAY = 1_000_000, 86_400_000_000
START = round(datetime(2026, 3, 2, 10, tzinfo=UTC).timestamp()) * S
JUMP = 30 * DAY
MISSING = 0.12
POOLS = {
    "account": ["A1", "A2", "A3"], "customer": ["K1", "K2"], "card": ["C1", "C2", "C3"], "device": ["D1", "D2"],
    "merchant": ["M1", "M2", "M3", "M4"], "terminal": ["T1", "T2"], "payee": ["A1", "A2", "P1", "P2"],
    "counterparty": ["A2", "A3", "P1"], "channel": ["pos", "web", "atm"], "country": ["DE", "FR", "TH"],
    "merchant_country": ["DE", "TH"], "direction": ["in", "out"], "segment": ["retail", "sme"],
    "status": ["requested", "booked", "declined", "cancelled"],
}  # fmt: skip
TYPES = {
    "transaction": ["payment", "card_auth", "cash_deposit"],
    "activity": ["login", "sim_swap", "phone_session"],
}
AMOUNTS = [0, 1, 499, 500, 501, 1_000, 1_000, 2_550, 99_999, 2**53]
TEXT = (
    "account",
    "customer",
    "merchant",
    "payee",
    "counterparty",
    "channel",
    "country",
    "merchant_country",
)
DOMAINS = {"payee": "account", "counterparty": "account", "merchant_country": "country"}
KEY_SETS = [
    ("account",), ("card",), ("customer",), ("device",), ("merchant",), ("terminal",), ("account", "payee"),
    ("card", "merchant"), ("device", "account"), ("customer", "channel"), ("segment", "country", "direction"),
]  # fmt: skip
NUMERIC = ("sum", "avg", "stddev", "quantile", "min", "max")
FUNCTIONS = (
    "count", "count", "sum", "avg", "stddev", "count_distinct", "quantile", "first", "last", "time_since_first",
    "time_since_last", "min", "max", "entropy", "decayed_count", "decayed_sum", "decayed_avg",
)  # fmt: skip
FIELD_KINDS = {
    "amount": "money", "balance_before": "money", "duration": "duration", "account_age": "duration", "lat": "number",
    "event_time": "time", "booking_date": "time",
}  # fmt: skip

HEAD = """\
pack: random
version: 1.0.0
language: 1
currency: EUR
timezone: {zone}
retention: 400d
decision: {combine: sum, bands: [{from: 0, to: 1000, do: approve}]}
reasons: {NONE: A pack needs a rule}
rules:
  - {id: NONE-001, name: None, version: 1, owner: tests, severity: low, reason: NONE, on: payment, mode: shadow, when: amount > 1 EUR, score: 1}
features:
"""
MODELS = "champion: fraud\nmodels: {fraud: {kind: logistic, inputs: [amount]}}\n"


@dataclass
class Case:
    """Features by name, messages in their order, where to cut them into batches, and how often the core changes.

    `restarts` is the chance that before a batch another core takes over what the first has saved.
    """

    declared: dict
    messages: list
    cuts: list
    lateness: int
    seed: int = 0
    restarts: float = 0.0
    zone: str = "UTC"


# ------------------------------------------------------------ declarations


class Declarer:
    """Random features, simple ones first and then some over those.

    kinds : feature -> number, money, duration, time, flag, or the domain of a text; only those that a condition may
            read, for what is rounded (a standard deviation) can fall on either side of a bound
    """

    def __init__(self, rng):
        self.rng = rng
        base = int(rng.choice([10 * S, 600 * S, 3 * 3600 * S, DAY]))
        steps = rng.choice(7, 3, replace=False) + 1
        self.widths = sorted(base * int(k) for k in steps)
        self.base = base
        self.kinds = {}

    def pick(self, items):
        return items[int(self.rng.integers(len(items)))]

    def chance(self, p):
        return bool(self.rng.random() < p)

    def declare(self):
        declared = {}
        for k in range(int(self.rng.integers(4, 12))):
            name = f"f{k}"
            if k > 2 and self.chance(0.3) and (computed := self.computed()):
                feature, kind = computed
            else:
                feature, kind = self.aggregate()
            declared[name] = feature
            if kind:
                self.kinds[name] = kind
        if self.chance(0.3):  # the same under another name
            declared["again"] = declared[self.pick(sorted(declared))]
        names = sorted(declared)
        self.rng.shuffle(names)
        return {name: declared[name] for name in names}

    def of_kind(self, *kinds):
        return sorted(name for name, kind in self.kinds.items() if kind in kinds)

    def number_of(self, kind):
        """A field or feature of a kind."""
        names = [n for n, k in FIELD_KINDS.items() if k == kind] + self.of_kind(kind) * 2
        return ("field", self.pick(names)) if names else None

    def aggregate(self):
        function = self.pick(FUNCTIONS)
        keys = self.pick(KEY_SETS)
        width, lag = self.pick(self.widths), 0
        if self.chance(0.3):
            lag = self.pick([w for w in self.widths if w < width] or [width // 2])
        if self.chance(0.15) and function in (
            "first",
            "last",
            "time_since_first",
            "time_since_last",
        ):
            width, lag = None, 0
        calendar = ""
        if width is not None and self.chance(0.2):
            calendar, width, lag = self.pick(["day", "week", "month"]), None, 0
        last = 0
        if self.chance(0.1):
            calendar, width, lag, last = "", None, 0, self.pick([1, 2, 3, 8])
        half = 0
        if function.startswith("decayed"):
            half, calendar, width, lag, last = self.pick(self.widths), "", None, 0, 0
        argument, kind, result = None, "", "number"
        if function in NUMERIC:
            argument, kind = self.argument()
            result = "" if function == "stddev" else kind
        elif half:  # rounded, so no condition reads it
            result = ""
            if function != "decayed_count":
                argument, kind = ("field", "amount"), "money"
        elif function in ("count_distinct", "entropy"):
            result = "number" if function == "count_distinct" else ""
            argument, kind = ("field", self.pick(TEXT)), "code"
        elif function in ("first", "last"):
            if self.chance(0.5):
                name = self.pick(TEXT)
                argument, kind, result = ("field", name), "code", DOMAINS.get(name, name)
            elif self.chance(0.3):
                argument, kind, result = (
                    ("field", self.pick(["event_time", "booking_date"])),
                    "time",
                    "time",
                )
            else:
                argument, kind = self.argument()
                result = kind
        elif function.startswith("time_since"):
            result = "duration"
        about_labels = self.chance(0.2)
        domain = "" if about_labels or self.chance(0.5) else self.pick(["transaction", "activity"])
        where = self.where(about_labels) if about_labels or self.chance(0.7) else None
        level = (
            self.pick(["0.05", "0.333", "0.5", "0.9", "0.95", "0.999", "1"])
            if function == "quantile"
            else ""
        )
        prior = self.chance(0.3)
        return Aggregate(
            function,
            keys,
            width,
            lag,
            domain,
            argument,
            kind,
            level,
            where,
            prior,
            calendar,
            last,
            half,
        ), result

    def argument(self):
        """Something to add up: a field, a feature, or an expression over them."""
        choice = self.rng.random()
        if choice < 0.55:
            name = self.pick(["amount", "amount", "amount", "balance_before", "duration", "lat"])
            return ("field", name), FIELD_KINDS[name]
        if choice < 0.65:
            return ("-", ("field", "amount"), ("field", "balance_before")), "money"
        if choice < 0.75:
            return ("/", ("field", "amount"), ("value", "money", 700)), "number"
        if choice < 0.85:
            return ("??", ("field", "balance_before"), ("field", "amount")), "money"
        kind = self.pick(["number", "money", "duration"])
        names = self.of_kind(kind)
        return (("field", self.pick(names)), kind) if names else (("field", "amount"), "money")

    def where(self, about_labels):
        if not about_labels:
            return self.condition(2)
        label = ("field", "label")
        verdict = self.pick([
            ("==", label, ("value", "text", "fraud")), ("in", label, ("fraud", "genuine")),
            ("!=", label, ("value", "text", "withdrawn")),
        ])  # fmt: skip
        if self.chance(0.25):
            verdict = ("and", verdict, ("==", ("field", "source"), ("value", "text", "analyst")))
        return ("and", verdict, self.condition(1, of_label=True)) if self.chance(0.6) else verdict

    def condition(self, depth, *, of_label=False):
        if depth and self.chance(0.45):
            op = self.pick(["and", "or", "not"])
            if op == "not":
                return ("not", self.condition(depth - 1, of_label=of_label))
            return (op, *(self.condition(depth - 1, of_label=of_label) for _ in range(2)))
        choice = self.rng.random()
        if choice < 0.4 and self.kinds:
            return self.over_feature()
        if choice < 0.6:
            name = self.pick(
                ["status", "type", "direction", "channel", "country", "merchant", "segment"]
            )
            pool = POOLS.get(name) or [*TYPES["transaction"], *TYPES["activity"]]
            if self.chance(0.5):
                return (
                    self.pick(["==", "!="]),
                    ("field", name),
                    ("value", "text", self.pick(pool)),
                )
            return (
                self.pick(["in", "not in"]),
                ("field", name),
                (self.pick(pool), self.pick(pool)),
            )
        if choice < 0.67:
            one, other = self.pick(
                [("counterparty", "account"), ("payee", "account"), ("country", "merchant_country")]
            )
            return (self.pick(["==", "!="]), ("field", one), ("field", other))
        if choice < 0.77:
            name = self.pick(
                ["card", "device", "amount", "duration", "lat", "payee", "segment", "customer"]
            )
            return (self.pick(["missing", "present"]), ("field", name))
        if choice < 0.80:
            return ("field", "is_first_use")
        if choice < 0.83:
            return ("contains", ("field", "purpose"), self.pick(["rent", "loan"]))
        if choice < 0.87 and not of_label:  # a label has a time of its own
            return (
                "<",
                ("hour", ("field", "event_time")),
                ("value", "number", int(self.rng.integers(24))),
            )
        if choice < 0.91:
            return ("<", ("field", "account_age"), ("value", "duration", 3 * DAY))
        if choice < 0.95:
            low = self.pick(AMOUNTS[:5])
            return (
                "between",
                ("field", "amount"),
                ("value", "money", low),
                ("value", "money", low + 500),
            )
        return (
            self.pick(["<", "<=", ">", ">="]),
            ("field", "amount"),
            ("value", "money", self.pick(AMOUNTS[1:8])),
        )

    def over_feature(self):
        """A condition on a feature, such as f1 > 3, or amount > 2 * f1."""
        name = self.pick(sorted(self.kinds))
        kind, read = self.kinds[name], ("field", name)
        op = self.pick(["<", "<=", ">", ">=", "==", "!="])
        if self.chance(0.15):
            return (self.pick(["missing", "present"]), read)
        if kind == "flag":
            return read
        if kind == "number":
            return (op, read, ("value", "number", self.pick([0, 1, 2, 3, 5, 0.5])))
        if kind == "duration":
            return (op, read, ("value", "duration", self.pick([0, *self.widths])))
        if kind == "money":
            if self.chance(0.5):
                return (
                    op,
                    ("field", "amount"),
                    ("*", ("value", "number", self.pick([2, 0.5])), read),
                )
            return (op, read, ("value", "money", self.pick(AMOUNTS[1:8])))
        if kind == "time":
            return (
                op,
                ("-", ("field", "event_time"), read),
                ("value", "duration", self.pick(self.widths)),
            )
        fields = [f for f in TEXT if DOMAINS.get(f, f) == kind]
        return (self.pick(["==", "!="]), read, ("field", self.pick(fields)))

    def computed(self):
        """An expression over features; None where there are none of the kinds it takes."""
        choice = self.pick(["ratio", "difference", "default", "flag", "since", "choose", "sum"])
        number = self.pick(["number", "money", "duration"])
        names = self.of_kind(number)
        if not names:
            return None
        one, other = ("field", self.pick(names)), ("field", self.pick(names))
        if choice == "ratio":
            return Computed(("/", one, other)), "number"
        if choice in ("difference", "sum"):
            field = {"money": ("field", "amount"), "duration": ("field", "duration")}.get(
                number, other
            )
            return Computed(("-" if choice == "difference" else "+", field, one)), number
        if choice == "default":
            field = {"money": ("field", "amount"), "duration": ("field", "duration")}.get(number)
            return (
                (Computed(("??", one, field)), number)
                if field
                else (Computed(("??", one, ("value", "number", 7))), number)
            )
        if choice == "flag":
            return Computed(self.condition(1)), "flag"
        if choice == "choose":
            numbers = ("value", "number", 2), ("value", "number", 0.25)
            return Computed(("if", self.over_feature(), *numbers)), "number"
        times = self.of_kind("time")
        return (
            (Computed(("-", ("field", "event_time"), ("field", self.pick(times)))), "duration")
            if times
            else None
        )


def duration_text(us):
    for unit, size in (("d", DAY), ("h", 3600 * S), ("m", 60 * S)):
        if us and us % size == 0:
            return f"{us // size}{unit}"
    assert us % S == 0, us
    return f"{us // S}s"


def expression_text(tree):
    """An expression as an analyst would write it, with more brackets than needed."""
    op = tree[0]
    if op == "field":
        return tree[1]
    if op == "value":
        kind, v = tree[1:]
        return {
            "money": lambda: f"{v // 100}.{v % 100:02d} EUR",
            "number": lambda: str(v),
            "duration": lambda: duration_text(v),
            "text": lambda: f'"{v}"',
        }[kind]()
    if op in ("in", "not in"):
        return f"{expression_text(tree[1])} {op} [{', '.join(json.dumps(v) for v in dict.fromkeys(tree[2]))}]"
    parts = [expression_text(t) if isinstance(t, tuple) else json.dumps(t) for t in tree[1:]]
    match op:
        case "missing" | "present":
            return f"{parts[0]} is {op}"
        case "between":
            return f"{parts[0]} between {parts[1]} and {parts[2]}"
        case "not":
            return f"not ({parts[0]})"
        case "hour":
            return f"hour({parts[0]})"
        case "if":
            return f"(if {parts[0]} then {parts[1]} else {parts[2]})"
        case "and" | "or":
            return "(" + f" {op} ".join(f"({p})" for p in parts) + ")"
        case "contains":
            return f"{parts[0]} contains {parts[1]}"
        case _:
            arithmetic = op in ("+", "-", "*", "/", "??")
            return f"({parts[0]} {op} {parts[1]})" if arithmetic else f"{parts[0]} {op} {parts[1]}"


def feature_text(feature):
    if isinstance(feature, str):
        return feature
    if isinstance(feature, Computed):
        return expression_text(feature.expression)
    argument = expression_text(feature.argument) if feature.argument else ""
    if feature.level:
        argument += f", {feature.level}"
    if feature.half:
        argument += f"{', ' * bool(argument)}{duration_text(feature.half)}"
    text = f"{feature.function}({argument})"
    if feature.domain:
        text += f" of {feature.domain}"
    text += f" by {', '.join(feature.keys)}" + " over " * (not feature.half)
    if feature.half:
        pass
    elif feature.calendar:
        text += f"calendar {feature.calendar}"
    elif feature.last:
        text += f"last {feature.last} events"
    else:
        text += "all" if feature.width is None else duration_text(feature.width)
    if feature.lag:
        text += f" until {duration_text(feature.lag)} ago"
    if feature.where is not None:
        text += f" where {expression_text(feature.where)}"
    return text + " prior" * feature.prior


# ------------------------------------------------------------ streams


class Streamer:
    """A stream that keeps coming back to the edges of windows, of lateness and of ties."""

    def __init__(self, rng, declared, base, lateness):
        self.rng, self.base, self.lateness = rng, base, lateness
        spans = {f.width for f in declared.values() if isinstance(f, Aggregate)}
        spans |= {f.lag for f in declared.values() if isinstance(f, Aggregate)}
        self.spans = sorted(s for s in spans if s) or [base]
        self.core = START
        self.times, self.sent, self.facts = [], [], []
        self.n = 0
        self.ids = 0

    def pick(self, items):
        return items[int(self.rng.integers(len(items)))]

    def chance(self, p):
        return bool(self.rng.random() < p)

    def time(self):
        """Mostly a little later; often exactly one window after something, or a microsecond beside; sometimes late."""
        choice = self.rng.random()
        nudge = self.pick([-1, 0, 0, 1])
        if choice < 0.3 and self.times:
            edge = self.pick(self.times[-12:]) + self.pick(self.spans) + nudge
            if self.core - self.lateness <= edge <= self.core + 2 * self.spans[-1]:
                return edge
        if choice < 0.45 and self.times:
            tie = self.pick(self.times[-12:])
            if tie >= self.core - self.lateness:
                return tie
        if choice < 0.6:
            return self.core - int(self.rng.integers(0, self.lateness + 1))
        if choice < 0.64:
            return self.core - self.lateness + nudge
        if choice < 0.68:
            return self.core - self.lateness - int(self.rng.integers(1, 2 * self.base))
        if choice < 0.684:
            return self.core + JUMP + self.pick([0, 1])
        return self.core + self.pick(
            [0, 1, self.base // 7, self.base // 3, self.base, self.base + 1]
        )

    def some(self, message, names):
        for name in names:
            if not self.chance(MISSING):
                message[name] = self.pick(POOLS[name])

    def arrived(self, time):
        if time <= self.core + JUMP:
            if time >= self.core - self.lateness:
                self.times.append(time)
            self.core = max(self.core, time)

    def transaction(self):
        self.ids += 1
        message = {
            "kind": "transaction", "transaction_id": f"t{self.ids}", "event_time": self.time(),
            "account": self.pick(POOLS["account"]), "currency": "EUR", "amount": self.pick(AMOUNTS),
            "type": self.pick(TYPES["transaction"]),
        }  # fmt: skip
        if self.chance(0.05):
            message["transaction_id"] = (
                f"t{max(self.ids - 3, 1)}"  # of another account, or a conflict
            )
        if self.chance(0.07):
            message |= {"currency": "USD", "amount": None, "foreign": self.pick(AMOUNTS)}
        names = [
            "card", "customer", "device", "merchant", "terminal", "payee", "counterparty", "channel", "country",
            "merchant_country", "direction", "segment", "status",
        ]  # fmt: skip
        if self.chance(0.5):
            names = [n for n in names if n not in ("customer", "segment")]  # profiles may know
        self.some(message, names)
        if "foreign" not in message and not self.chance(0.2):
            message["balance_before"] = int(self.rng.integers(-5, 6)) * 500
        if not self.chance(0.4):
            message["lat"] = float(self.pick([52.52, 13.75, -0.1234565, 48.000001, 89.9999999]))
        if self.chance(0.3):
            message["duration"] = int(self.pick([0, 30, 1_500])) * S
        if self.chance(0.6):
            message["purpose"] = self.pick(["rent for May", "a loan", "thanks", ""])
        if self.chance(0.3):
            message["is_first_use"] = self.chance(0.5)
        if self.chance(0.3):
            message["booking_date"] = START // DAY * DAY + int(self.rng.integers(-3, 3)) * DAY
        self.arrived(message["event_time"])
        self.sent.append(message)
        return message

    def activity(self):
        message = {
            "kind": "activity",
            "event_time": self.time(),
            "type": self.pick(TYPES["activity"]),
        }
        self.some(message, ["account", "customer", "device", "card", "channel", "country"])
        if not {"account", "customer"} & message.keys():
            message["customer"] = self.pick(POOLS["customer"])
        if self.chance(0.6):
            message["duration"] = int(self.pick([0, 30, 1_500])) * S
        self.arrived(message["event_time"])
        return message

    def about(self):
        """What a label or an update names: mostly something recent, seldom something nobody knows."""
        known = self.pick(self.sent[-30:]) if self.sent and self.chance(0.97) else None
        if known is None:
            return {"transaction_id": "nobody", "account": "A1"}, None
        return {k: known[k] for k in ("transaction_id", "account")}, known

    def own_time(self, message, p):
        """A time that says nothing about when it takes effect, and seldom moves core time."""
        if self.chance(p):
            message["event_time"] = self.core + self.pick(
                [0, 0, -self.base, -3 * self.base, 1, self.base // 3]
            )
            self.arrived(max(message["event_time"], self.core))

    def label(self):
        meant, _ = self.about()
        message = {
            "kind": "label",
            **meant,
            "label": self.pick(["fraud", "fraud", "genuine", "withdrawn"]),
        }
        if self.chance(0.6):
            message["source"] = self.pick(["analyst", "customer"])
        self.own_time(message, 0.7)
        self.times.append(self.core)
        self.facts.append(message)
        return message

    def update(self):
        meant, known = self.about()
        self.n += 1
        message = {"kind": "update", **meant, "update_id": f"u{self.n}"}
        if self.chance(0.7):
            message["status"] = self.pick(POOLS["status"])
        if known is None or known["currency"] == "EUR":
            if "status" not in message or self.chance(0.4):
                message["amount"] = self.pick(AMOUNTS)
        elif "status" not in message:
            message["status"] = "reversed"
        self.own_time(message, 0.4)
        self.facts.append(message)
        return message

    def profile(self):
        entity = self.pick(["account", "account", "card", "customer"])
        message = {"kind": "profile", entity: self.pick(POOLS[entity])}
        if entity != "customer":
            message["customer"] = self.pick(POOLS["customer"])
        if entity == "account" and self.chance(0.5):
            message["opened_on"] = START // DAY * DAY - int(self.rng.integers(0, 6)) * DAY
        if entity == "customer" or (entity == "account" and self.chance(0.5)):
            message["segment"] = self.pick(POOLS["segment"])
        self.own_time(message, 0.4)
        if self.chance(0.03):
            message["event_time"] = self.core + JUMP + 1
        return message

    def messages(self, n):
        kinds = ["transaction", "activity", "label", "update", "profile", "again", "conflict"]
        shares = [0.6, 0.13, 0.08, 0.1, 0.03, 0.045, 0.015]
        out = [self.profile() for _ in range(int(self.rng.integers(3)))]
        while len(out) < n:
            kind = self.pick_kind(kinds, shares)
            if kind == "again":
                out.append(
                    dict(self.pick((self.sent[-20:] + self.facts[-8:]) or [self.transaction()]))
                )
            elif kind == "conflict" and self.sent:
                out.append(self.pick(self.sent[-20:]) | {"channel": "phone"})
            elif kind in ("label", "update") and not self.sent:
                continue
            else:
                out.append(getattr(self, kind if kind != "conflict" else "activity")())
        return out

    def pick_kind(self, kinds, shares):
        return kinds[int(self.rng.choice(len(kinds), p=shares))]


def time_text(rng, us):
    """The same instant in one of its spellings."""
    if us % 1000 == 0 and rng.random() < 0.3:
        return us // 1000
    zone = timedelta(hours=int(rng.choice([0, 0, 2, -5])))
    local = datetime(1970, 1, 1) + timedelta(microseconds=us) + zone  # noqa: DTZ001
    hours = round(zone.total_seconds() / 3600)
    return local.isoformat() + ("Z" if not hours else f"{hours:+03d}:00")


def money_text(rng, minor):
    text = f"{'-' if minor < 0 else ''}{abs(minor) // 100}.{abs(minor) % 100:02d}"
    return float(text) if abs(minor) < 10**9 and rng.random() < 0.3 else text


def line(rng, message):
    """A message as JSON; keys in any order, numbers in any spelling."""
    found = {k: v for k, v in message.items() if v is not None}
    if "foreign" in found:
        found["amount"] = found.pop("foreign")
    if found["kind"] == "transaction" and rng.random() < 0.5:
        del found["kind"]
    for name, v in found.items():
        if name in ("amount", "balance_before"):
            found[name] = money_text(rng, v)
        elif name == "event_time":
            found[name] = time_text(rng, v)
        elif name in ("booking_date", "opened_on"):
            found[name] = datetime.fromtimestamp(v / S, UTC).date().isoformat()
        elif name == "duration":
            found[name] = v // S
    items = list(found.items())
    rng.shuffle(items)
    return json.dumps(dict(items)).encode()


def random_case(seed, n_messages):
    rng = np.random.default_rng(seed)
    declarer = Declarer(rng)
    declared = declarer.declare()
    base = declarer.base
    lateness = int(rng.choice([0, base // 2, base, 3 * base]))
    messages = Streamer(rng, declared, base, lateness).messages(n_messages)
    cuts = sorted(rng.integers(0, n_messages, int(rng.choice([0, 1, 4, 20]))).tolist())
    if rng.random() < 0.05:
        cuts = list(range(n_messages))
    restarts = float(rng.choice([0, 0, 0.3]))
    zone = str(rng.choice(["UTC", "Asia/Shanghai", "Europe/Berlin", "America/Sao_Paulo"]))
    return Case(declared, messages, cuts, lateness, seed, restarts, zone)


# ------------------------------------------------------------ through the core


def write_configuration(folder):
    """All of a configuration but its features."""
    (folder / "pack").mkdir(parents=True, exist_ok=True)
    (folder / "schema.yaml").write_bytes((BANK / "schema.yaml").read_bytes())
    (folder / "models.yaml").write_text(MODELS)


def core_for(folder, case):
    """A core for the features of a case."""
    lateness = duration_text(case.lateness)
    settings = f"packs: [pack]\nremember: 3650d\njump_max: 30d\nlateness: {lateness}\n"
    (folder / "weir.yaml").write_text(settings)
    texts = [f"  {name}: {json.dumps(feature_text(f))}\n" for name, f in case.declared.items()]
    (folder / "pack" / "pack.yaml").write_text(HEAD.replace("{zone}", case.zone) + "".join(texts))
    return Core(read_setup(folder))


def seen(folder, case):
    """What the core says: for each message the features by name, or None where none are read."""
    rng = np.random.default_rng(case.seed)
    core = core_for(folder, case)
    lines = [line(rng, message) for message in case.messages]
    results = []
    edges = [0, *case.cuts, len(lines)]
    for a, b in pairwise(edges):
        if a >= b:
            continue
        if rng.random() < case.restarts:
            saved = core.save()
            core = core_for(folder, case)
            core.load(saved)
        outcome = core.apply(lines[a:b], [f"x:{i}" for i in range(a, b)])
        columns = {name: plain(core, outcome.frame, name) for name in case.declared}
        for i, kind in enumerate(outcome.batch.kind.tolist()):
            is_read = kind in (TRANSACTION, ACTIVITY)
            results.append({name: c[i] for name, c in columns.items()} if is_read else None)
    return results


def plain(core, frame, name):
    """A column as Python values: texts for codes, None for missing."""
    place, column = core.layout[name], frame.column(name).tolist()
    if place.is_code:
        texts = core.dictionaries[place.dictionary].texts
        return [texts[c] if c >= 0 else None for c in column]
    return [None if v != v else v for v in column]
