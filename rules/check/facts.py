"""Facts about single values, and the search for an event that fits a set of them.

A `Formula` says that one value is missing or in a set, or joins others by all and any. `Search` assumes what must hold
and tries alternatives one after the other; a branch closes when a value would have to be missing and there, lie in an
empty set, or be compared with another in a way that the sets of both exclude. rules/check/logic.py turns conditions
into formulas.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from config.schema import RATING
from rules.check.domains import (
    ANY_NUMBER,
    NOT_NEGATIVE,
    Numbers,
    Values,
    Words,
    between,
    meet,
    points,
)
from rules.check.presence import can_be_missing
from rules.definitions import Feature, TableDefinition
from rules.tree import BOOL, CATEGORY, FLAG, MONEY, Node, Type
from rules.types import SchemaLike

BRANCHES_MAX: Final = 256
ALWAYS_THERE: Final = frozenset({"event_time", "type"})  # no message is decoded without them
_COUNTS: Final = frozenset({"count", "count_distinct"})
_POSITIVE: Final = frozenset({"entropy", "decayed_count", "stddev"})
_OF_ARGUMENT: Final = frozenset(
    {"sum", "avg", "min", "max", "quantile", "first", "last", "decayed_sum", "decayed_avg"}
)
_SINCE: Final = frozenset({"time_since_first", "time_since_last"})
_TRUTHS: Final = Words(frozenset({"true", "false"}))
_PAIRS: Final = Words(frozenset("<=>"))
_DAY_US: Final = 86_400_000_000.0
_OF_CALL: Final[dict[str, Numbers]] = {
    "abs": NOT_NEGATIVE,
    "length": NOT_NEGATIVE,
    "distance_km": NOT_NEGATIVE,
    "similarity": between(0.0, 1.0),
    "hour": between(0.0, 23.0),
    "weekday": between(1.0, 7.0),
    "local_time": between(0.0, _DAY_US),
}


class Pair(NamedTuple):
    """Two values that are compared with each other; what is known of them is which of < = > can hold."""

    a: Node
    b: Node


Subject: TypeAlias = Node | Pair


class _Missing:
    """The domain of a value that is not there."""


MISSING: Final = _Missing()
Domain: TypeAlias = "Values | _Missing | None"  # None: there, whatever it is


@dataclass(frozen=True, slots=True)
class Formula:
    """`all` or `any` of parts, or that one subject is in a domain (`is`)."""

    kind: str
    parts: tuple["Formula", ...] = ()
    subject: Subject | None = None
    domain: Domain = None
    _hash: int | None = field(default=None, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        """Worked out once, for the same formulas are joined again and again."""
        if self._hash is None:
            found = hash((self.kind, self.parts, self.subject, self.domain))
            object.__setattr__(self, "_hash", found)
            return found
        return self._hash


TRUE: Final = Formula("all")
FALSE: Final = Formula("any")
Facts: TypeAlias = dict[Subject, Domain]


class TooLargeError(Exception):
    """More branches than are looked at."""


class Search:
    """What values can be, and whether facts about them go together.

    only_on : `type` is known to be one of `on`; else that only says which fields are there
    """

    def __init__(
        self,
        schema: SchemaLike,
        on: Collection[str],
        features: Mapping[str, Feature],
        tables: Mapping[str, TableDefinition],
        *,
        only_on: bool,
    ) -> None:
        self.schema, self.on, self.only_on = schema, tuple(on), only_on
        self.features, self.tables = features, tables
        self._ranges: dict[Subject, Values] = {}
        self._branches = 0

    def search(self, formulas: Iterable[Formula]) -> Facts | None:
        """Return facts under which all formulas hold and nothing is seen to contradict; None when there are none."""
        self._branches = 0
        return self._explore({}, tuple(formulas), None)

    def _explore(
        self, facts: Facts, todo: tuple[Formula, ...], take: Callable[[Facts], None] | None
    ) -> Facts | None:
        """Assume everything in `todo`; of alternatives one after the other, those with few first."""
        self._branches += 1
        if self._branches > BRANCHES_MAX:
            raise TooLargeError
        facts = dict(facts)
        choices: list[Formula] = []
        stack = list(todo)
        while stack:
            formula = stack.pop()
            if formula.kind == "all":
                stack.extend(formula.parts)
            elif formula.kind == "any":
                if not formula.parts:
                    return None
                choices.append(formula)
            elif not self._assume(facts, formula.subject, formula.domain):
                return None
        left: list[tuple[Formula, ...]] = []
        for choice in choices:
            parts = self._open(facts, choice.parts)
            if parts is None:
                continue
            if not parts:
                return None
            left.append(parts)
        left.sort(key=len)
        if not left:
            if not self._is_consistent(facts):
                return None
            if take is None:
                return facts
            take(facts)
            return None
        first, rest = left[0], tuple(Formula("any", parts) for parts in left[1:])
        for part in first:
            found = self._explore(facts, (part, *rest), take)
            if found is not None:
                return found
        return None

    def _open(self, facts: Facts, parts: tuple[Formula, ...]) -> tuple[Formula, ...] | None:
        """The alternatives that the facts leave open; None when one of them holds anyway."""
        still = []
        for part in parts:
            if part.kind == "is":
                subject = part.subject
                assert subject is not None
                if subject in facts:
                    known = facts[subject]
                    if _is_inside(known, part.domain):
                        return None
                    if _meet(known, part.domain) is _NOTHING:
                        continue
            still.append(part)
        return tuple(still)

    def _assume(self, facts: Facts, subject: Subject | None, domain: Domain) -> bool:
        """Add that a value is in a domain; False when it cannot be."""
        assert subject is not None
        if subject not in facts:
            if isinstance(domain, _Missing):
                if isinstance(subject, Node) and self._is_there(subject):
                    return False
                facts[subject] = MISSING
                return True
            facts[subject] = self._range(subject)
            for part in self._parts(subject):
                if not self._assume(facts, part, None):
                    return False
        found = _meet(facts[subject], domain)
        if isinstance(found, Numbers) and self._is_whole(subject):
            found = found.whole()
        if found is _NOTHING or (isinstance(found, Numbers | Words) and found.is_empty):
            return False
        facts[subject] = found  # type: ignore[assignment]
        return True

    def _parts(self, subject: Subject) -> Iterable[Node]:
        """What is there whenever the subject is."""
        if isinstance(subject, Pair):
            return subject
        if subject.op == "column":
            name = str(subject.value)
            feature = self.features.get(name)
            if feature is not None and feature.aggregate is not None:
                return [k for k in map(self._column, feature.aggregate.keys) if k is not None]
            entity, dot, _ = name.partition(".")
            owner = self._column(entity) if dot else None
            return [owner] if owner is not None else []
        if _is_strict(subject):
            return [a for a in subject.args if a.op != "const"]
        return []

    def _column(self, name: str) -> Node | None:
        column = self.schema.columns.get(name)
        return Node("column", Type(column.kind, column.domain), value=name) if column else None

    def _is_there(self, node: Node) -> bool:
        """Whether a value can never be missing."""
        if node.op in ("const", "lookup", "missing"):
            return True
        if node.op != "column":
            return False
        name = str(node.value)
        feature = self.features.get(name)
        if feature is not None:
            aggregate = feature.aggregate
            if aggregate is None or aggregate.function not in (*_COUNTS, "sum"):
                return False
            keys = [self._column(k) for k in aggregate.keys]
            return all(k is not None and self._is_there(k) for k in keys)
        if name in ALWAYS_THERE:
            return True
        return (
            bool(self.on)
            and name in self.schema.columns
            and not can_be_missing(name, self.on, self.schema)
        )

    def _is_whole(self, subject: Subject) -> bool:
        if not isinstance(subject, Node) or subject.op != "column":
            return (
                isinstance(subject, Node)
                and subject.op == "call"
                and subject.value
                in (
                    "length",
                    "hour",
                    "weekday",
                )
            )
        feature = self.features.get(str(subject.value))
        return (
            feature is not None
            and feature.aggregate is not None
            and feature.aggregate.function in _COUNTS
            and not feature.aggregate.approx
        )

    def _range(self, subject: Subject) -> Values:
        found = self._ranges.get(subject)
        if found is None:
            found = self._ranges[subject] = self._range_of(subject)
        return found

    def _range_of(self, subject: Subject) -> Values:
        """Everything that the subject can be when it is there."""
        if isinstance(subject, Pair):
            return _PAIRS
        op = subject.op
        if op == "column":
            return self._range_of_column(subject)
        if op == "lookup":
            table = self.tables.get(str(subject.value))
            return points([*table.values.values(), table.default]) if table else ANY_NUMBER
        if op == "call" and subject.value in _OF_CALL:
            return _OF_CALL[str(subject.value)]
        if op == "/" and self._is_share(*subject.args):
            return between(0.0, 1.0)
        if op in ("+", "*", "/"):
            return NOT_NEGATIVE if all(map(self._is_positive, subject.args)) else ANY_NUMBER
        if op == "call" and subject.value in (
            "min",
            "max",
            "in_hours",
            "in_days",
            "round",
            "floor",
        ):
            return NOT_NEGATIVE if all(map(self._is_positive, subject.args)) else ANY_NUMBER
        if subject.type.kind == BOOL:
            return _TRUTHS
        return Words(frozenset(), inside=False) if subject.type.is_coded else ANY_NUMBER

    def _is_positive(self, node: Node) -> bool:
        """Whether a number is never below zero."""
        if node.op == "const":
            return isinstance(node.value, float) and node.value >= 0
        found = self._range(node)
        return isinstance(found, Numbers) and not found.is_empty and found.low >= 0

    def _is_share(self, part: Node, whole: Node) -> bool:
        """Whether `whole` is a sum of which `part` is one side, neither below zero: rounding keeps the order."""
        return whole.op == "+" and part in whole.args and all(map(self._is_positive, whole.args))

    def _range_of_column(self, node: Node) -> Values:
        name = str(node.value)
        feature = self.features.get(name)
        if feature is not None and feature.aggregate is not None:
            function, argument = feature.aggregate.function, feature.aggregate.argument
            window = feature.aggregate.window
            if function in _COUNTS or function in _POSITIVE:
                return NOT_NEGATIVE
            if function in _SINCE and window.width_us is not None and not window.calendar:
                return Numbers(((float(window.lag_us), True, float(window.width_us), False),))
            positive = function in _OF_ARGUMENT and argument is not None
            if positive and argument is not None and self._is_positive(argument):
                return NOT_NEGATIVE
        if name == "type" and self.only_on and self.on:
            return Words(frozenset(self.on))
        if name == "model.score":  # calibrated: a probability
            return between(0.0, 1.0)
        if name == RATING:
            return between(0.0, 1_000.0)
        column = self.schema.columns.get(name)
        kind = node.type.kind
        if kind == FLAG:
            return points([0.0, 1.0])
        if column is None:
            return Words(frozenset(), inside=False) if node.type.is_coded else ANY_NUMBER
        if kind == CATEGORY and column.closed and column.allowed:
            return Words(frozenset(column.allowed))
        if node.type.is_coded:
            return Words(frozenset(), inside=False)
        if kind == MONEY and not getattr(column, "signed", True) and not column.derived:
            return NOT_NEGATIVE
        low, high = getattr(column, "low", None), getattr(column, "high", None)
        if low is not None and high is not None and not column.derived:
            return between(float(low), float(high))
        return ANY_NUMBER

    def _is_consistent(self, facts: Facts) -> bool:
        """Whether what is known of two compared values goes with what is known of each."""
        lower: dict[tuple[Node, Node], list[tuple[float, bool]]] = {}
        upper: dict[tuple[Node, Node], list[tuple[float, bool]]] = {}
        for subject, known in facts.items():
            if not isinstance(subject, Pair) or not isinstance(known, Words):
                continue
            open_ = known.words & self._possible(facts, subject)
            if not open_:
                return False
            self._scale(subject.a, subject.b, open_, lower, upper)
            flipped = frozenset({"<": ">", ">": "<"}.get(r, r) for r in open_)
            self._scale(subject.b, subject.a, flipped, lower, upper)
        for key, lows in lower.items():
            for low, is_open in lows:
                for high, is_open_too in upper.get(key, ()):
                    if low >= high and (is_open or is_open_too):
                        return False
        return True

    def _possible(self, facts: Facts, pair: Pair) -> frozenset[str]:
        """Which of < = > the known sets of both values allow."""
        a, b = (facts.get(x) if x.op != "const" else None for x in pair)
        if isinstance(a, Words) and isinstance(b, Words):
            if a.meet(b).is_empty:
                return frozenset("<>")
            if a.inside and a == b and len(a.words) == 1:
                return frozenset("=")
        if isinstance(a, Numbers) and isinstance(b, Numbers) and a.parts and b.parts:
            found = set("<=>")
            if a.meet(b).is_empty:
                found.discard("=")
            if a.low >= b.high:
                found.discard("<")
            if a.high <= b.low:
                found.discard(">")
            return frozenset(found)
        return frozenset("<=>")

    def _scale(
        self,
        y: Node,
        x: Node,
        relations: frozenset[str],
        lower: dict[tuple[Node, Node], list[tuple[float, bool]]],
        upper: dict[tuple[Node, Node], list[tuple[float, bool]]],
    ) -> None:
        """Note `y` against `k * x` for an x that is never negative: above 3 x is above 2 x."""
        if y.op == "const":
            return
        k = 1.0
        if x.op == "*" and x.args[0].op == "const" and isinstance(x.args[0].value, float):
            k, x = x.args[0].value, x.args[1]
        if x.op == "const" or not self._is_positive(x):
            return
        if relations <= frozenset(">="):
            lower.setdefault((y, x), []).append((k, "=" not in relations))
        if relations <= frozenset("<="):
            upper.setdefault((y, x), []).append((k, "=" not in relations))


class _Nothing:
    """The domain of a value that cannot be."""


_NOTHING: Final = _Nothing()


def _meet(a: Domain, b: Domain) -> "Domain | _Nothing":
    """What is in both domains."""
    if isinstance(a, _Missing) or isinstance(b, _Missing):
        return a if isinstance(a, _Missing) and isinstance(b, _Missing) else _NOTHING
    if a is None or b is None:
        return a if b is None else b
    found = meet(a, b)
    return _NOTHING if found.is_empty else found


def _is_inside(a: Domain, b: Domain) -> bool:
    """Whether everything of domain `a` is in `b`."""
    if isinstance(a, _Missing) or isinstance(b, _Missing):
        return isinstance(a, _Missing) and isinstance(b, _Missing)
    if b is None:
        return True
    if isinstance(a, Numbers) and isinstance(b, Numbers):
        return a.meet(b.complement()).is_empty
    if isinstance(a, Words) and isinstance(b, Words):
        return a.meet(b.complement()).is_empty
    return False


def _is_strict(node: Node) -> bool:
    """Whether a missing argument makes the whole missing."""
    return node.op not in ("and", "or", "if", "??", "at_least", "missing", "lookup", "const")
