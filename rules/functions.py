"""The closed table of functions of the rule language: names, signatures, meaning.

Every function is total (a missing argument gives missing, never an error) and free of state. What
they compute stands in the kernels and the text tables of rules/compile.py; there are no user
functions.

A node `call` of rules/tree.py carries the name from this table and exactly the arguments of its
signature; a `literal` parameter is always a `const` node, which rules/types.py has checked.
Functions that only read better than what they mean (`share`, `speed_kmh`) are written out while
types are checked and are no `call` in any tree.
"""

from dataclasses import dataclass
from typing import Final

from rules.tree import (
    BOOL,
    CATEGORY,
    DATE,
    DURATION,
    GEO,
    ID,
    MONEY,
    NUMBER,
    TEXT,
    TIME,
    TIME_OF_DAY,
    Node,
    Span,
    Type,
)

SAME: Final = "same"  # a result of the type of the first argument
_WORDS: Final = frozenset({TEXT, CATEGORY, ID})


@dataclass(frozen=True, slots=True)
class Parameter:
    """What stands at one place of a call.

    kinds    : kinds of rules/tree.py that fit
    literal  : must be written out as a constant
    choices  : the texts that a literal may be; empty when any
    domain   : an id must be of this domain; empty when any
    same     : must have the very type of the first argument
    optional : may be left out (then nothing stands there in the tree either)
    """

    name: str
    kinds: frozenset[str]
    literal: bool = False
    choices: tuple[str, ...] = ()
    domain: str = ""
    same: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """One function. `rest`: the last parameter may be repeated. `result` is a kind, or SAME."""

    name: str
    parameters: tuple[Parameter, ...]
    result: str
    doc: str
    example: str
    rest: bool = False

    @property
    def n_min(self) -> int:
        return sum(not p.optional for p in self.parameters)

    @property
    def n_max(self) -> int | None:
        return None if self.rest else len(self.parameters)

    def parameter(self, i: int) -> Parameter:
        """Return what argument `i` must be, the last parameter standing for all further ones."""
        return self.parameters[min(i, len(self.parameters) - 1)]

    @property
    def signature(self) -> str:
        """Print the call as people read it: `min(x, y, ...)`."""
        names = ", ".join(f"[{p.name}]" if p.optional else p.name for p in self.parameters)
        return f"{self.name}({names}{', ...' if self.rest else ''})"


def _p(name: str, *kinds: str, **more: object) -> Parameter:
    return Parameter(name, frozenset(kinds), **more)  # type: ignore[arg-type]


_X = _p("x", NUMBER, MONEY, DURATION)
_ORDERED = (NUMBER, MONEY, DURATION, TIME, DATE)

_ALL = (
    Function("abs", (_X,), SAME, "The value without its sign.", "abs(balance_after)"),
    Function(
        "min",
        (_p("x", *_ORDERED), _p("y", *_ORDERED, same=True)),
        SAME,
        "The smallest; missing when any is missing.",
        "min(amount, limit_left)",
        rest=True,
    ),
    Function(
        "max",
        (_p("x", *_ORDERED), _p("y", *_ORDERED, same=True)),
        SAME,
        "The largest; missing when any is missing.",
        "max(amount, 100 EUR)",
        rest=True,
    ),
    Function(
        "round", (_p("x", NUMBER),), NUMBER, "Nearest whole number, halves to even.", "round(3.5)"
    ),
    Function("floor", (_p("x", NUMBER),), NUMBER, "Largest whole number not above.", "floor(-0.5)"),
    Function(
        "log", (_p("x", NUMBER),), NUMBER, "Natural logarithm; missing unless x > 0.", "log(2)"
    ),
    Function(
        "mod",
        (_p("x", NUMBER), _p("y", NUMBER)),
        NUMBER,
        "Remainder x - y * floor(x / y), of the sign of y; missing when y is 0.",
        "mod(count_7d, 10)",
    ),
    Function("length", (_p("text", *_WORDS),), NUMBER, "Number of characters.", "length(purpose)"),
    Function("lower", (_p("text", *_WORDS),), TEXT, "In lower case (str.lower).", "lower(purpose)"),
    Function("upper", (_p("text", *_WORDS),), TEXT, "In upper case (str.upper).", "upper(purpose)"),
    Function(
        "similarity",
        (_p("a", *_WORDS), _p("b", *_WORDS)),
        NUMBER,
        "1 - (edits from a to b) / (length of the longer), case folded; two empty texts are 1. "
        "An edit inserts, deletes, replaces, or swaps two neighbours (optimal string alignment).",
        'similarity(counterparty_name, "acme ltd")',
    ),
    Function(
        "in_hours", (_p("duration", DURATION),), NUMBER, "Hours, with fraction.", "in_hours(90m)"
    ),
    Function("in_days", (_p("duration", DURATION),), NUMBER, "Days of 24 h.", "in_days(36h)"),
    Function(
        "hour", (_p("time", TIME),), NUMBER, "Hour 0..23 in the pack's zone.", "hour(event_time)"
    ),
    Function(
        "weekday",
        (_p("time", TIME, DATE),),
        NUMBER,
        "1 Monday .. 7 Sunday in the pack's zone.",
        "weekday(event_time)",
    ),
    Function(
        "local_time",
        (_p("time", TIME),),
        TIME_OF_DAY,
        "Time of day in the pack's zone.",
        "local_time(event_time)",
    ),
    Function(
        "date",
        (_p("time", TIME),),
        DATE,
        "The day in the pack's zone (its midnight, in us since 1970).",
        "date(event_time)",
    ),
    Function(
        "age",
        (
            _p("time", TIME, DATE),
            _p("unit", TEXT, literal=True, choices=("years", "months", "days"), optional=True),
        ),
        DURATION,
        "event_time - time; with a unit the number of completed calendar units in the pack's zone.",
        'age(customer.birth_date, "years")',
    ),
    Function(
        "distance_km",
        (
            _p("lat1", GEO, NUMBER),
            _p("lon1", GEO, NUMBER),
            _p("lat2", GEO, NUMBER),
            _p("lon2", GEO, NUMBER),
        ),
        NUMBER,
        "Great circle (haversine, R = 6371.0088 km); missing for latitudes beyond 90 degrees or "
        "longitudes beyond 180.",
        "distance_km(lat, lon, prev_lat, prev_lon)",
    ),
    Function(
        "speed_kmh",
        (
            _p("lat1", GEO, NUMBER),
            _p("lon1", GEO, NUMBER),
            _p("lat2", GEO, NUMBER),
            _p("lon2", GEO, NUMBER),
            _p("duration", DURATION),
        ),
        NUMBER,
        "How fast somebody must have been to be at both places that far apart in time: kilometres by hours; "
        "less than a second counts as one, so that two places at once are very fast and not missing.",
        "speed_kmh(lat, lon, prev_lat, prev_lon, prev_seen)",
    ),
    Function(
        "share",
        (_p("x", NUMBER, MONEY, DURATION), _p("rest", NUMBER, MONEY, DURATION, same=True)),
        NUMBER,
        "What part x is of x and the rest together, x / (x + rest), 0 to 1; missing when both are 0.",
        "share(out_24h, in_24h)",
    ),
    Function(
        "ip_in",
        (_p("ip", ID, TEXT, domain="ip"), _p("network", TEXT, literal=True)),
        BOOL,
        "The address lies in the network (IPv4 or IPv6 in CIDR); false for what is no address.",
        'ip_in(ip, "10.0.0.0/8")',
    ),
)

FUNCTIONS: Final[dict[str, Function]] = {f.name: f for f in _ALL}

SECOND_US: Final = 1_000_000.0


def written_out(name: str, args: tuple[Node, ...], span: Span) -> Node | None:
    """The tree that a call stands for, if it only reads better than what it means; None for a real function."""
    if name == "share":
        x, rest = args
        both = Node("+", x.type, (x, rest), span=span)
        return Node("/", Type(NUMBER), (x, both), span=span)
    if name == "speed_kmh":
        *places, duration = args
        second = Node("const", Type(DURATION), value=SECOND_US, span=span)
        apart = Node("call", Type(DURATION), (duration, second), "max", span)
        hours = Node("call", Type(NUMBER), (apart,), "in_hours", span)
        way = Node("call", Type(NUMBER), tuple(places), "distance_km", span)
        return Node("/", Type(NUMBER), (way, hours), span=span)
    return None


# `at_least(2, a, b, c)` looks like a call but is an operation of its own in the tree ("at_least"):
# it stays known when some of its conditions are missing. True when enough are true, false when too
# few can still become true, else missing.
AT_LEAST: Final = "at_least"

# `convert(amount, "USD")` looks like a call too, but is a column (rules/columns.py): what the message says goes from
# its own currency to the other in one step, at the rate of the event's time. The first argument is a field of money,
# the second an ISO 4217 code that is written out and that the configuration has rates for.
CONVERT: Final = "convert"
CONVERT_EXAMPLE: Final = 'convert(amount, "USD")'

# Known words that are refused, with what to do instead.
REFUSED: Final[dict[str, tuple[str, str]]] = {
    "is_holiday": (
        "holiday calendars are not in this version",
        "compare with a list of days, such as date(event_time) == 2026-12-25",
    ),
    "now": (
        "rules never read the clock, so that a replay decides the same",
        "use event_time",
    ),
    "ceil": ("there is no ceil", "write -floor(-x)"),
    "len": ("the function is called length", "write length(x)"),
    "coalesce": ("there is no coalesce", "write a ?? b"),
}


def result_kind(function: Function, n_args: int) -> str:
    """Return the kind of a call's result; `age` with a unit is a number, not a duration."""
    return NUMBER if function.name == "age" and n_args > 1 else function.result
