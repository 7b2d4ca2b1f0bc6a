"""A rule in English sentences, for people who do not know the language: conditions, features, actions.

Made from typed trees, so macros, params and lets stand in it with what they mean. rules/render.py writes the same trees
as an analyst would write them. Nothing computes with these texts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from config.durations import UNITS_US, duration_text
from config.money import exponent, major_text
from rules.columns import conversion
from rules.definitions import Action, Aggregate, Feature, Rule
from rules.render import constant_text, text_of
from rules.tree import BOOL, DURATION, FLAG, MONEY, NUMBER, Node, Type

WHERE_MAX: Final = (
    70  # characters of a feature's `where` inside a clause; longer ones stand with the feature
)
_COMPARED: Final = {
    "==": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
}
_REVERSED: Final = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_NUMBERS: Final = {
    "==": "exactly",
    "<": "fewer than",
    "<=": "at most",
    ">": "more than",
    ">=": "at least",
}
_CALCULATED: Final = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_TEXT_TESTS: Final = {
    "contains": ("contains", "does not contain"),
    "starts with": ("starts with", "does not start with"),
    "ends with": ("ends with", "does not end with"),
    "matches": ("matches the pattern", "does not match the pattern"),
}
_CALLS: Final = {
    "in_hours": "{} in hours",
    "in_days": "{} in days",
    "abs": "the size of {}",
    "hour": "the hour of {}",
    "weekday": "the day of the week of {}",
    "local_time": "the time of day of {}",
    "date": "the day of {}",
    "length": "the length of {}",
    "lower": "{} in small letters",
    "upper": "{} in capitals",
    "round": "{} rounded",
    "floor": "{} rounded down",
}
_EVENTS: Final = {
    "event": "events",
    "transaction": "transactions",
    "activity": "activities",
    "label": "verdicts",
}
_KEYS: Final = {
    "customer": "of this customer",
    "merchant": "at this merchant",
    "terminal": "at this terminal",
    "payee": "to this payee",
    "counterparty": "with this counterparty",
}
_OF: Final = {
    "sum": "the sum of {x} over {events}",
    "avg": "the average of {x} over {events}",
    "stddev": "the usual spread (standard deviation) of {x} over {events}",
    "min": "the smallest value of {x} in {events}",
    "max": "the largest value of {x} in {events}",
    "entropy": "how evenly {x} is spread over {events} (in bits)",
    "quantile": "what {level} of the values of {x} stay at or below, over {events}",
    "first": "{x} of the first of {events}",
    "last": "{x} of the newest of {events}",
    "time_since_first": "the time since the first of {events}",
    "time_since_last": "the time since the newest of {events}",
    "decayed_count": "the fading number of {events}",
    "decayed_sum": "the fading sum of {x} over {events}",
    "decayed_avg": "the fading average of {x} over {events}",
}
_UNIT_NAMES: Final = {
    "w": "week",
    "d": "day",
    "h": "hour",
    "m": "minute",
    "s": "second",
    "ms": "millisecond",
}


@dataclass(frozen=True, slots=True)
class Phrase:
    """A condition in words; with parts, `joins` says how many of them make it: all, any, at least 2."""

    text: str
    joins: str = ""
    parts: tuple["Phrase", ...] = ()


class Words:
    """Says the trees of one rule in English. A feature is described where it is met first, then it goes by its name.

    features, timezone, currency : of the pack
    """

    def __init__(self, features: Mapping[str, Feature], timezone: str, currency: str) -> None:
        self.features, self.timezone, self.currency = features, timezone, currency
        self._met: set[str] = set()

    # ---- conditions

    def phrase(self, node: Node, *, holds: bool = True) -> Phrase:
        """A condition, or its contrary, with its parts where it has several."""
        if node.op == "not":
            return self.phrase(node.args[0], holds=not holds)
        if node.op in ("and", "or"):
            joins = "all" if (node.op == "and") == holds else "any"
            parts: list[Phrase] = []
            for part in node.args:
                inner = self.phrase(part, holds=holds)
                parts += inner.parts if inner.joins == joins else [inner]
            between = " and " if joins == "all" else " or "
            texts = [f"({p.text})" if p.joins not in ("", joins) else p.text for p in parts]
            return Phrase(between.join(texts), joins, tuple(parts))
        if node.op == "at_least":
            parts = [self.phrase(part) for part in node.args]
            joins = f"at least {node.value}" if holds else f"fewer than {node.value}"
            return Phrase(f"{joins} of: {'; '.join(p.text for p in parts)}", joins, tuple(parts))
        return Phrase(self._test(node, holds=holds))

    def condition(self, node: Node, *, holds: bool = True) -> str:
        """A condition in one sentence part."""
        return self.phrase(node, holds=holds).text

    def _test(self, node: Node, *, holds: bool) -> str:
        op, args = node.op, node.args
        if op == "const":
            return "always" if bool(node.value) is holds else "never"
        if op == "missing":
            if args[0].op == "column" and args[0].value in self.features:
                return f"{args[0].value} is {'missing' if holds else 'known'}"
            return f"{self.thing(args[0])} is {'missing' if holds else 'known'}"
        if op == "in":
            return f"{self.thing(args[0])} {self._members(node, holds=holds)}"
        if op == "between":
            word = "lies between" if holds else "does not lie between"
            low, high = (self.thing(a) for a in args[1:])
            return f"{self.thing(args[0])} {word} {low} and {high}"
        if op in _TEXT_TESTS:
            return f'{self.thing(args[0])} {_TEXT_TESTS[op][not holds]} "{node.value}"'
        if op in _COMPARED:
            return self._comparison(node, op if holds else _REVERSED[op])
        if op == "if":
            said, then, other = args[0], *(self.condition(a, holds=holds) for a in args[1:])
            return f"({then} if {self.condition(said)}, else {other})"
        if op == "??":
            first, other = (self.condition(a, holds=holds) for a in args)
            return f"{first} (or, where that cannot be told, {other})"
        return f"{self.thing(node)} {'holds' if holds else 'does not hold'}"

    def _members(self, node: Node, *, holds: bool) -> str:
        if isinstance(node.value, str):
            return f"is {'' if holds else 'not '}on the list {node.value}"
        assert isinstance(node.value, frozenset), node
        texts = [self._constant(item, node.args[0].type) for item in sorted(node.value)]
        if len(texts) == 1:
            return f"is {'' if holds else 'not '}{texts[0]}"
        return f"is {'' if holds else 'neither '}{_listed(texts, 'or' if holds else 'nor')}"

    def _comparison(self, node: Node, op: str) -> str:
        left, right = node.args
        if right.type.kind == FLAG and right.op == "const" and op in ("==", "!="):
            holds = (op == "==") is bool(right.value)
            if left.op == "column" and left.value in self.features:
                return f"{left.value} {'holds' if holds else 'does not hold'}"
            return f"{self.thing(left)} is {'set' if holds else 'not set'}"
        feature = self.features.get(str(left.value)) if left.op == "column" else None
        counted = feature.aggregate if feature is not None else None
        if (
            counted is not None
            and right.op == "const"
            and counted.function in ("count", "count_distinct")
            and op in _NUMBERS
        ):
            name = str(left.value)
            if name in self._met:
                return f"{_NUMBERS[op]} {self.thing(right)} by {name}"
            self._met.add(name)
            return f"{_NUMBERS[op]} {self.thing(right)} {self._counted(counted)} ({name})"
        return f"{self.thing(left)} {_COMPARED[op]} {self.thing(right)}"

    # ---- values

    def thing(self, node: Node) -> str:
        """A value as a noun."""
        op, args = node.op, node.args
        if op == "const":
            return self._constant(node.value, node.type)
        if op == "column":
            return self._column(str(node.value))
        if op in _CALCULATED:
            inner = [self.thing(a) if not a.args else f"({self.thing(a)})" for a in args]
            return f"{inner[0]} {_CALCULATED[op]} {inner[1]}"
        if op == "neg":
            return f"minus {self.thing(args[0])}"
        if op == "??":
            return f"{self.thing(args[0])} (or {self.thing(args[1])} where that is missing)"
        if op == "if":
            said = self.condition(args[0])
            return f"({self.thing(args[1])} if {said}, else {self.thing(args[2])})"
        if op == "lookup":
            return f"what the table {node.value} says for {self.thing(args[0])}"
        if op == "call":
            return self._call(node)
        return text_of(node, self.timezone)

    def _call(self, node: Node) -> str:
        name = str(node.value)
        self._met.update(
            str(a.value) for a in node.args if a.op == "column"
        )  # short inside brackets
        inner = [self.thing(a) for a in node.args]
        if name in _CALLS:
            return _CALLS[name].format(*inner)
        if name in ("min", "max"):
            return f"the {'smallest' if name == 'min' else 'largest'} of {_listed(inner, 'and')}"
        if name == "distance_km":
            return f"the distance in km from ({inner[0]}, {inner[1]}) to ({inner[2]}, {inner[3]})"
        if name == "age":
            unit = f" in {node.args[1].value}" if len(node.args) > 1 else ""
            return f"the age of {inner[0]}{unit}"
        return f"{name} of {_listed(inner, 'and')}"

    def _column(self, name: str) -> str:
        feature = self.features.get(name)
        if feature is not None:
            if feature.aggregate is None or name in self._met:
                return name
            self._met.add(name)
            return f"{self._aggregate(feature.aggregate)} ({name})"
        converted = conversion(name)
        if converted is not None:
            return f"the {_plain(converted[0])} in {converted[1]}"
        owner, point, attribute = name.partition(".")
        if owner == "model" and point:
            return (
                "the model's score" if attribute == "score" else f"the score of model {attribute}"
            )
        if point:
            return f"the {_plain(owner)}'s {_plain(attribute)}"
        return {"type": "the event", "event_time": "the time of the event"}.get(
            name, f"the {_plain(name)}"
        )

    def _constant(self, value: object, kind: Type) -> str:
        if isinstance(value, float | int) and not isinstance(value, bool) and kind.kind == DURATION:
            return lasting(int(value))
        if isinstance(value, str):
            return value if value and " " not in value else f'"{value}"'
        if isinstance(value, float) and kind.kind == MONEY:
            return amount_text(value, kind.detail)
        return constant_text(value, kind, self.timezone)

    # ---- features

    def feature(self, feature: Feature) -> str:
        """What a feature is, in full."""
        if feature.aggregate is not None:
            return self._aggregate(feature.aggregate, whole=True)
        assert feature.expression is not None, feature.name
        if feature.type.kind in (FLAG, BOOL):
            return f"holds when {self.condition(feature.expression)}"
        return self.thing(feature.expression)

    def _aggregate(self, a: Aggregate, *, whole: bool = False) -> str:
        if a.function in ("count", "count_distinct"):
            return f"the number of {self._counted(a, whole=whole)}"
        x = self.thing(a.argument) if a.argument is not None else ""
        level = constant_text(a.quantile * 100, Type(NUMBER)) + " %"
        return _OF[a.function].format(x=x, events=self._events(a, whole=whole), level=level)

    def _counted(self, a: Aggregate, *, whole: bool = False) -> str:
        events = self._events(a, whole=whole)
        if a.function == "count":
            return events
        assert a.argument is not None
        if a.argument.op == "column" and "." not in str(a.argument.value):
            return f"different {_several(_plain(str(a.argument.value)))} in {events}"
        return f"different values of {self.thing(a.argument)} in {events}"

    def _events(self, a: Aggregate, *, whole: bool) -> str:
        keys = " and ".join(_KEYS.get(key, f"on this {_plain(key)}") for key in a.keys)
        text = f"{_EVENTS[a.domain]} {keys} {_span(a)}"
        if a.prior and not a.window.lag_us:
            text += ", this one left out,"
        if a.where is not None:
            where = self.condition(a.where)
            if whole or len(where) <= WHERE_MAX:
                text += f" where {where}"
            else:
                text += " of the kind told below"
        if whole and a.approx:
            text += f", from a sample with a standard error of {100 * a.approx:g} %"
        return text


def _span(a: Aggregate) -> str:
    window = a.window
    if a.half_life_us:
        return f"(each counts half after {lasting(a.half_life_us)})"
    if window.calendar:
        return f"since the local {window.calendar} began"
    if window.last:
        return f"among the last {window.last}"
    if window.width_us is None:
        return f"ever, until {lasting(window.lag_us)} ago" if window.lag_us else "ever"
    if window.lag_us:
        return f"from {lasting(window.width_us)} ago to {lasting(window.lag_us)} ago"
    return f"in the last {lasting(window.width_us).removeprefix('1 ')}"


def amount_text(minor: float, currency: str) -> str:
    """An amount as people write it; decimals only where there are some.

    >>> amount_text(12_500_000.0, "CNY"), amount_text(4_999_999.0, "CNY"), amount_text(500.0, "JPY")
    ('125,000 CNY', '49,999.99 CNY', '500 JPY')
    """
    whole, _, rest = major_text(round(minor), exponent(currency)).partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.lstrip('-')):,}{'.' + rest if rest.strip('0') else ''} {currency}"


def lasting(us: int) -> str:
    """A length of time in words.

    >>> lasting(5_400_000_000), lasting(86_400_000_000), lasting(-3_600_000_000)
    ('1 hour 30 minutes', '1 day', 'minus 1 hour')
    """
    if us < 0:
        return f"minus {lasting(-us)}"
    out, rest = [], us
    for unit, name in _UNIT_NAMES.items():
        if unit == "w":
            continue
        n, rest = divmod(rest, UNITS_US[unit])
        if n:
            out.append(f"{n} {name}{'' if n == 1 else 's'}")
    return " ".join(out) if out and not rest else duration_text(us)


def action_text(action: Action) -> str:
    """An action in a few words."""
    if action.kind == "restrict":
        return f"restrict {action.entity} to {action.level} for {action.for_us // 3_600_000_000}h"
    more = {
        "alert": action.queue,
        "challenge": action.method,
        "decline": action.code,
        "notify": action.template,
        "tag": action.tag,
        "list_add": action.list_name,
        "report": action.report,
    }
    return f"{action.kind} {more.get(action.kind, '')}".strip()


def action_words(action: Action, currency: str) -> str:
    """An action as a sentence part, with its bounds."""
    a = action
    limit = f", at most {a.max_per_hour} an hour" if a.max_per_hour else ""
    title = f', saying "{a.title.text}"' if a.title is not None else ""
    held = f" for {lasting(a.for_us)}" if a.for_us else ""
    says: dict[str, Callable[[], str]] = {
        "alert": lambda: f"alert the queue {a.queue}{title}",
        "challenge": lambda: f"ask the customer to confirm by {a.method}{held}",
        "hold": lambda: (
            f"hold the transaction{held}" + (f", then {a.then} it" if a.then else "") + limit
        ),
        "decline": lambda: f"decline the transaction with code {a.code}",
        "restrict": lambda: _restriction(a, currency) + held + limit,
        "notify": lambda: f"send the message {a.template} to {a.to}",
        "list_add": lambda: (
            f"put the {a.value.value if a.value else 'value'} on the list @{a.list_name}{held}{limit}"
        ),
        "tag": lambda: f"tag the decision {a.tag}",
        "report": lambda: (
            f"report {a.report} to {a.to}, one report for each {' and '.join(a.by)} and day, {_due(a)}{title}"
        ),
    }
    return says[a.kind]()


def _restriction(a: Action, currency: str) -> str:
    channels = f" in {_listed(list(a.channels), 'and')}" if a.channels else ""
    amount = f" to {amount_text(a.amount_minor, currency)}" if a.amount_minor else ""
    level = {
        "full_freeze": f"freeze the {a.entity}",
        "no_debit": f"stop debits of the {a.entity}",
        "no_credit": f"stop credits of the {a.entity}",
        "watch": f"watch the {a.entity}",
        "limit": f"limit payments of the {a.entity}{amount}",
        "amount_hold": f"hold {amount.removeprefix(' to ') or 'the amount'} on the {a.entity}",
    }[a.level]
    return level + channels


def _due(a: Action) -> str:
    if a.due_working_days:
        return f"due in {a.due_working_days} working day{'' if a.due_working_days == 1 else 's'}"
    return f"due in {lasting(a.for_us)}"


def dedup_words(rule: Rule) -> str:
    """How matches are grouped, "" where each has an alert of its own."""
    if not rule.dedup_by:
        return ""
    by = " and ".join(_plain(name) for name in rule.dedup_by)
    return f"matches of the same {by} within {lasting(rule.dedup_for_us)} join one alert, and restrict once"


def undecided_words(rule: Rule) -> str:
    """What a missing field means for a rule."""
    missing = rule.if_undecided
    if missing is None:
        return "it does not fire, and counts as undecided"
    does = [f"adds {missing.score:g} to the score"] if missing.score else []
    does += [f"asks for {missing.do}"] if missing.do else []
    return f"it does not fire, but {' and '.join(does)}"


def _plain(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")


def _several(name: str) -> str:
    return name[:-1] + "ies" if name.endswith("y") else name + ("es" if name.endswith("s") else "s")


def _listed(texts: list[str], word: str) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {word} {texts[-1]}"
