"""Trees and features as text: an expression as an analyst would write it, a feature as a sentence.

The text is made from the typed tree, so macros, params and lets stand in it with what they mean. Reading it back gives
the same tree up to what the checker adds. For people only: nothing computes with these texts.
"""

from collections.abc import Callable
from typing import Final

from config.durations import duration_text
from rules.definitions import Aggregate, Feature
from rules.titles import shown_number
from rules.tree import DURATION, FLAG, NUMBER, Node, Type

Shown = Callable[[Node], str]
FREE, EITHER, BOTH, TEST, SUM, PRODUCT, SIGN, DEFAULT, WHOLE = range(9)  # how closely a text binds
_BINDS: Final = {
    "or": EITHER,
    "and": BOTH,
    "+": SUM,
    "-": SUM,
    "*": PRODUCT,
    "/": PRODUCT,
    "neg": SIGN,
    "??": DEFAULT,
    "if": FREE,
}
_TESTS: Final = frozenset(
    [
        *("==", "!=", "<", "<=", ">", ">=", "in", "between", "missing"),
        *("contains", "starts with", "ends with", "matches"),
    ]
)
_NEGATED: Final = {"missing": "is present", "in": "not in", "between": "not between"}
_WHAT: Final = {
    "count": "how many {domain}",
    "sum": "sum of {x} of {domain}",
    "avg": "average of {x} of {domain}",
    "stddev": "standard deviation of {x} of {domain}",
    "min": "smallest {x} of {domain}",
    "max": "largest {x} of {domain}",
    "count_distinct": "how many different values of {x} in {domain}",
    "entropy": "how evenly {x} is spread over {domain} (bits)",
    "quantile": "what {level} of {x} of {domain} stay at or below",
    "first": "{x} of the first of {domain}",
    "last": "{x} of the last of {domain}",
    "time_since_first": "time since the first of {domain}",
    "time_since_last": "time since the last of {domain}",
    "decayed_count": "fading number of {domain}",
    "decayed_sum": "fading sum of {x} of {domain}",
    "decayed_avg": "fading average of {x} of {domain}",
}
_DOMAINS: Final = {
    "event": "transactions and activities",
    "transaction": "transactions",
    "activity": "activities",
    "label": "labels (verdicts on transactions)",
}


def text_of(node: Node, timezone: str = "UTC") -> str:
    """Write an expression; `timezone` is that of the pack, for dates.

    >>> amount = Node("column", Type("money", "EUR"), value="amount")
    >>> floor = Node("const", Type("money", "EUR"), value=20000.0)
    >>> text_of(Node(">=", Type("bool"), (amount, floor)))
    'amount >= 200.00 EUR'
    """
    return _text(node, timezone)[0]


def constant_text(value: object, kind: Type, timezone: str = "UTC") -> str:
    """Write a constant of an expression: amounts with their currency, texts in quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | int):
        if kind.kind == DURATION and value >= 0 and value == int(value):
            return duration_text(int(value))
        return shown_number(float(value), kind, "", timezone)
    return f'"{value}"'


def members_text(value: object, kind: Type, timezone: str = "UTC") -> str:
    """Write what stands after `in`: a list's name, or the values."""
    if isinstance(value, str):
        return value
    assert isinstance(value, frozenset), value
    texts = [constant_text(item, kind, timezone) for item in sorted(value)]
    return f"[{', '.join(texts)}]"


def _text(node: Node, zone: str) -> tuple[str, int]:
    """The text of a node, and how closely it binds."""
    op, args = node.op, node.args
    if op == "const":
        return constant_text(node.value, node.type, zone), WHOLE
    if op == "column":
        return str(node.value), WHOLE
    if op == "call":
        return f"{node.value}({', '.join(_text(a, zone)[0] for a in args)})", WHOLE
    if op == "row":
        return f"@{node.value} of {_text(args[0], zone)[0]}", WHOLE
    if op == "lookup":
        return f"{node.value}[{_text(args[0], zone)[0]}]", WHOLE
    if op == "at_least":
        inner = ", ".join([str(node.value), *(_text(a, zone)[0] for a in args)])
        return f"at_least({inner})", WHOLE
    if op == "not":
        return _negation(args[0], zone)
    if op == "neg":
        return f"-{_inside(args[0], SIGN, zone)}", SIGN
    if op == "if":
        parts = [_text(a, zone)[0] for a in args]
        return f"if {parts[0]} then {parts[1]} else {parts[2]}", FREE
    if op in _TESTS:
        return _test(node, zone), TEST
    binds = _BINDS[op]
    # `a - (b - c)`, and `a ?? b` whose left side is whole: what stands right binds closer
    texts = [_inside(a, binds + (k > 0 or op == "??"), zone) for k, a in enumerate(args)]
    if op in ("and", "or"):
        texts = [_inside(a, TEST, zone) for a in args]
    return f" {op} ".join(texts), binds


def _inside(node: Node, binds: int, zone: str) -> str:
    text, own = _text(node, zone)
    return text if own >= binds else f"({text})"


def _test(node: Node, zone: str) -> str:
    op, args = node.op, node.args
    left = _inside(args[0], SUM, zone)
    if op == "missing":
        return f"{left} is missing"
    if op == "in":
        return f"{left} in {members_text(node.value, args[0].type, zone)}"
    if op == "between":
        low, high = (_inside(a, SUM, zone) for a in args[1:])
        return f"{left} between {low} and {high}"
    if len(args) == 1:
        return f'{left} {op} "{node.value}"'
    if op == "==" and args[1].op == "const" and args[1].type.kind == FLAG and args[1].value == 1.0:
        return left
    return f"{left} {op} {_inside(args[1], SUM, zone)}"


def _negation(inner: Node, zone: str) -> tuple[str, int]:
    if inner.op in _NEGATED or inner.op in ("contains", "starts with", "ends with", "matches"):
        positive = _test(inner, zone)
        word = "is missing" if inner.op == "missing" else inner.op
        start = len(_inside(inner.args[0], SUM, zone)) + 1
        return positive[:start] + positive[start:].replace(
            word, _NEGATED.get(inner.op, f"not {word}"), 1
        ), TEST
    return f"not {_inside(inner, TEST + 1, zone)}", TEST


def declaration(feature: Feature, timezone: str = "UTC") -> str:
    """Write what a feature is, as a pack declares it; macros and params with what they mean."""
    aggregate = feature.aggregate
    if aggregate is None:
        assert feature.expression is not None, feature.name
        return text_of(feature.expression, timezone)
    arguments = [text_of(aggregate.argument, timezone)] if aggregate.argument is not None else []
    if aggregate.function == "quantile":
        arguments.append(_percent(aggregate.quantile))
    if aggregate.half_life_us:
        arguments.append(duration_text(aggregate.half_life_us))
    text = f"{aggregate.function}({', '.join(arguments)})"
    if aggregate.domain not in ("event", "label"):
        text += f" of {aggregate.domain}"
    text += f" by {', '.join(aggregate.keys)}{_window(aggregate)}"
    if aggregate.where is not None:
        text += f" where {text_of(aggregate.where, timezone)}"
    return text + (" prior" if aggregate.prior and not aggregate.window.lag_us else "")


def in_words(feature: Feature, timezone: str = "UTC") -> str:
    """Say what a feature is to somebody who does not know the language.

    Ends without a full stop; a `where` stands as in the file, where that is known, for macros are shorter to read.
    """
    aggregate = feature.aggregate
    if aggregate is None:
        assert feature.expression is not None, feature.name
        return (
            f"computed: {' '.join(feature.text.split()) or text_of(feature.expression, timezone)}"
        )
    x = text_of(aggregate.argument, timezone) if aggregate.argument is not None else ""
    what = _WHAT[aggregate.function].format(
        x=x, domain=_DOMAINS[aggregate.domain], level=_percent(aggregate.quantile)
    )
    text = f"{what} with the same {' and '.join(aggregate.keys)}, {_span(aggregate)}"
    if aggregate.prior and not aggregate.window.lag_us:
        text += ", this one not counted"
    if aggregate.where is not None:
        text += f", where {text_of(aggregate.where, timezone)}"
    if aggregate.approx:
        text += f"; from a sample, standard error {_percent(aggregate.approx)}"
    return text


def _window(aggregate: Aggregate) -> str:
    window = aggregate.window
    if aggregate.half_life_us:
        return ""
    if window.calendar:
        return f" over calendar {window.calendar}"
    if window.last:
        return f" over last {window.last} events"
    lag = f" until {duration_text(window.lag_us)} ago" if window.lag_us else ""
    return f" over {'all' if window.width_us is None else duration_text(window.width_us)}{lag}"


def _span(aggregate: Aggregate) -> str:
    window = aggregate.window
    if aggregate.half_life_us:
        return f"each counting half after {duration_text(aggregate.half_life_us)}"
    if window.calendar:
        return f"since the local {window.calendar} began"
    if window.last:
        return f"among the last {window.last}"
    lag = duration_text(window.lag_us)
    if window.width_us is None:
        return f"ever until {lag} before the event" if window.lag_us else "ever"
    width = duration_text(window.width_us)
    return (
        f"from {width} to {lag} before the event"
        if window.lag_us
        else f"in the {width} up to the event"
    )


def _percent(level: float) -> str:
    return shown_number(level, Type(NUMBER), "percent", "UTC")
