"""What follows from a condition: always true, never true, implied by another, wider or narrower than before.

    implies(a, b, schema)           every event on which a is true makes b true as well: proven, or False
    relation(old, new, schema)      same, wider, narrower, other, or unknown
    Logic(schema, on, features)     the same questions about many conditions of one pack

A condition is true, false or missing, and a rule fires when it is true. So a text can be in four ways here: true,
false, untrue (false or missing) and unfalse (true or missing); `not` swaps them, and each comes down to what single
values are: missing, or in a set (rules/check/domains.py). A claim is proven by looking for an event that refutes it,
branch by branch: when every branch contradicts itself there is none. What is not understood (a function, a list's
content) is taken as a value that may be anything, the same one wherever it stands; so nothing is claimed that is not
so, and some things that are so are not claimed. After BRANCHES_MAX branches the answer is "not proven".

Values are compared exactly as the interpreter does. Overflow and x / 0 are missing and never in a set, so arithmetic on
them needs no care.
"""

import math
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Final, Literal, TypeAlias

from rules.check.domains import Numbers, Values, Words, between, compared, point, points
from rules.check.facts import FALSE, MISSING, TRUE, Facts, Formula, Pair, Search, TooLargeError
from rules.definitions import Feature, TableDefinition
from rules.tree import BOOL, COMPARE, TIME_OF_DAY, Node
from rules.types import UNKNOWN, SchemaLike

Relation: TypeAlias = Literal["same", "wider", "narrower", "other", "unknown"]
Mode: TypeAlias = Literal["true", "false", "untrue", "unfalse"]
COMBINATIONS_MAX: Final = 64  # ways in which at_least(n, ...) can be true
COLUMN_MAX: Final = 1e30  # no field, count or sum comes near it
_OVERFLOW: Final = 1e300  # below it nothing is missing because it is too large
_TOTAL: Final = frozenset({"abs", "min", "max", "round", "floor", "in_hours", "in_days", "length"})
CASES_MAX: Final = 16  # values that one side can choose from by ?? and if
_FLIPPED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NOT: Final = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_RELATIONS: Final = {
    "==": frozenset("="),
    "!=": frozenset("<>"),
    "<": frozenset("<"),
    "<=": frozenset("<="),
    ">": frozenset(">"),
    ">=": frozenset(">="),
}
_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_SWAPPED: Final[dict[Mode, Mode]] = {
    "true": "false",
    "false": "true",
    "untrue": "unfalse",
    "unfalse": "untrue",
}
_STRINGS: Final = frozenset({"contains", "starts with", "ends with", "matches"})
Case: TypeAlias = tuple[Formula, Node | None]  # when it holds, the value; None for no value


def implies(
    a: Node,
    b: Node,
    schema: SchemaLike,
    *,
    on: Collection[str] = (),
    features: Mapping[str, Feature] | None = None,
) -> bool:
    """Whether every event that makes `a` true makes `b` true: True only if proven.

    on : event types that come into question; their required fields are never missing
    """
    return a == b or Logic(schema, on, features).implies(a, b)


def relation(
    old: Node,
    new: Node,
    schema: SchemaLike,
    *,
    on: Collection[str] = (),
    features: Mapping[str, Feature] | None = None,
) -> Relation:
    """How the events on which `new` fires lie to those of `old`.

    `wider`: every old match still matches. `other`: each has matches that the other has not, as far as single fields
    can tell. `unknown`: nothing was proven.
    """
    if old == new:
        return "same"
    logic = Logic(schema, on, features)
    is_wider, is_narrower = logic.implies(old, new), logic.implies(new, old)
    if is_wider:
        return "same" if is_narrower else "wider"
    if is_narrower:
        return "narrower"
    both = logic.refuted_plainly(old, new) and logic.refuted_plainly(new, old)
    return "other" if both else "unknown"


class Logic(Search):
    """Answers about the conditions of one pack, on events of the types `on` (any, when empty)."""

    def __init__(
        self,
        schema: SchemaLike,
        on: Collection[str] = (),
        features: Mapping[str, Feature] | None = None,
        tables: Mapping[str, TableDefinition] | None = None,
        *,
        only_on: bool = False,
    ) -> None:
        super().__init__(schema, on, features or {}, tables or {}, only_on=only_on)
        self._forms: dict[tuple[Node, Mode], Formula] = {}
        self._numbers: dict[Node, int] = {}
        self._never: dict[tuple[Formula, ...], bool] = {}

    @property
    def n_answers(self) -> int:
        """How much is kept of what was asked."""
        return len(self._forms) + len(self._never)

    # ---- questions

    def implies(self, a: Node, b: Node) -> bool:
        """Whether `b` is true wherever `a` is: True only if proven."""
        return self.is_never(self.form(a, "true"), self.form(b, "untrue"))

    def never_true(self, node: Node) -> bool:
        return self.is_never(self.form(node, "true"))

    def always_true(self, node: Node) -> bool:
        """Whether no event makes it false or missing."""
        return self.is_never(self.form(node, "untrue"))

    def never_missing(self, node: Node) -> bool:
        return self.is_never(self.missing(node))

    def is_never(self, *formulas: Formula) -> bool:
        """Whether no event makes all of them hold: True only if proven."""
        known = self._never.get(formulas)
        if known is None:
            try:
                known = self.search(formulas) is None
            except TooLargeError:
                known = False
            self._never[formulas] = known
        return known

    def refuted_plainly(self, a: Node, b: Node) -> bool:
        """Whether an event with `a` true and `b` not was found that speaks of single fields only."""
        try:
            facts = self.search((self.form(a, "true"), self.form(b, "untrue")))
        except TooLargeError:
            return False
        return facts is not None and all(isinstance(s, Node) and s.op == "column" for s in facts)

    def clauses(self, node: Node) -> list[Facts] | None:
        """Return what can make `node` true, as alternatives of facts; None when there are too many."""
        found: list[Facts] = []
        self._branches = 0
        try:
            self._explore({}, (self.form(node, "true"),), found.append)
        except TooLargeError:
            return None
        return found

    # ---- conditions

    def form(self, node: Node, mode: Mode) -> Formula:
        """Write "`node` is true" (false, untrue, unfalse) as facts about single values."""
        known = self._forms.get((node, mode))
        if known is None:
            known = self._forms[node, mode] = self._form(node, mode)
        return known

    def _form(self, node: Node, mode: Mode) -> Formula:
        op, args = node.op, node.args
        if op == "const" and isinstance(node.value, bool):
            return TRUE if node.value == (mode in ("true", "unfalse")) else FALSE
        if op in ("and", "or"):
            every = (op == "and") == (mode in ("true", "unfalse"))
            return (
                _all(self.form(a, mode) for a in args)
                if every
                else _any(self.form(a, mode) for a in args)
            )
        if op == "not":
            return self.form(args[0], _SWAPPED[mode])
        if op == "at_least":
            return self._at_least(node, mode)
        if op == "missing":
            return self.missing(args[0]) if mode in ("true", "unfalse") else self.there(args[0])
        if op == "if":
            return self._choice(node, mode)
        if op == "??":
            a, b = args
            known: Mode = "true" if mode in ("true", "unfalse") else "false"
            return _any([self.form(a, known), _all([self.missing(a), self.form(b, mode)])])
        expression = self._flag_expression(node)
        if expression is not None:
            return self.form(expression, mode)
        if op == "column":
            one = Node("const", node.type, value=0.0)
            return self._plain("!=", (node, one), None, node, mode)
        return self._atom(node, mode)

    def _at_least(self, node: Node, mode: Mode) -> Formula:
        n, m = int(node.value or 0), len(node.args)  # type: ignore[arg-type]
        if mode in ("false", "untrue"):
            n = m - n + 1
        if math.comb(m, n) > COMBINATIONS_MAX:
            return self._opaque(node, mode)
        parts = [self.form(a, mode) for a in node.args]
        return _any(_all(some) for some in combinations(parts, n))

    def _choice(self, node: Node, mode: Mode) -> Formula:
        c, a, b = node.args
        found = [
            _all([self.form(c, "true"), self.form(a, mode)]),
            _all([self.form(c, "false"), self.form(b, mode)]),
        ]
        if mode in ("untrue", "unfalse"):
            found.append(self.missing(c))
        return _any(found)

    def missing(self, node: Node) -> Formula:
        """Write "`node` is missing"."""
        if self._is_condition(node):
            return _all([self.form(node, "untrue"), self.form(node, "unfalse")])
        return _any(
            _all([guard, self._lacks(value)]) if value is not None else guard
            for guard, value in self.cases(node)
        )

    def there(self, node: Node) -> Formula:
        """Write "`node` is not missing"."""
        if self._is_condition(node):
            return _any([self.form(node, "true"), self.form(node, "false")])
        return _any(
            _all([guard, self._has(value)])
            for guard, value in self.cases(node)
            if value is not None
        )

    def _is_condition(self, node: Node) -> bool:
        return node.type.kind == BOOL or self._flag_expression(node) is not None

    def _flag_expression(self, node: Node) -> Node | None:
        """The condition that a feature of true and false stands for."""
        feature = self.features.get(str(node.value)) if node.op == "column" else None
        expression = feature.expression if feature is not None else None
        return expression if expression is not None and expression.type.kind == BOOL else None

    def _lacks(self, value: Node) -> Formula:
        if self._is_there(value):
            return FALSE
        if value.op in ("+", "-", "*", "neg") and magnitude(value) < _OVERFLOW:
            return _any(self._lacks(arg) for arg in value.args)
        if value.op == "call" and value.value in _TOTAL:
            return _any(self._lacks(arg) for arg in value.args)
        return Formula("is", (), value, MISSING)

    def _has(self, value: Node) -> Formula:
        return TRUE if value.op == "const" else Formula("is", (), value, None)

    # ---- comparisons and the like

    def _atom(self, node: Node, mode: Mode) -> Formula:
        """One comparison, membership or the like: for each value that its sides can choose."""
        if not node.args or node.type.kind == UNKNOWN:
            return self._opaque(node, mode)
        found = []
        for guard, args in self._choices(node.args):
            if args is None:
                if mode in ("untrue", "unfalse"):
                    found.append(guard)
            else:
                found.append(_all([guard, self._plain(node.op, args, node.value, node, mode)]))
        return _any(found)

    def _plain(
        self, op: str, args: tuple[Node, ...], value: object, node: Node, mode: Mode
    ) -> Formula:
        """One comparison whose sides choose nothing any more."""
        yes, no = self._sides(op, args, value, node)
        if mode == "true":
            return yes
        if mode == "false":
            return no
        lacks = [self._lacks(a) for a in args]
        if op in _STRINGS or op == "call" or yes.subject == self._own(op, args, node):
            lacks.append(Formula("is", (), self._own(op, args, node), MISSING))
        return _any([no if mode == "untrue" else yes, *lacks])

    def _own(self, op: str, args: tuple[Node, ...], node: Node) -> Node:
        return replace(node, op=op, args=args)

    def _sides(
        self, op: str, args: tuple[Node, ...], value: object, node: Node
    ) -> tuple[Formula, Formula]:
        """When it is definitely true, and when definitely false."""
        if op in COMPARE:
            return self._compared(op, *args), self._compared(_NOT[op], *args)
        if op == "between":
            return self._between(args, node)
        if op == "in" and isinstance(value, frozenset):
            return self._member(args[0], value)
        if op in _STRINGS - {"matches"} and _differs_in_case(args[0], value):
            return FALSE, _all(self._has(a) for a in args)
        own = self._own(op, args, node)
        return (
            Formula("is", (), own, Words(frozenset({"true"}))),
            Formula("is", (), own, Words(frozenset({"false"}))),
        )

    def _opaque(self, node: Node, mode: Mode) -> Formula:
        word = "true" if mode in ("true", "unfalse") else "false"
        found = Formula("is", (), node, Words(frozenset({word})))
        if mode in ("true", "false"):
            return found
        return _any([found, Formula("is", (), node, MISSING)])

    def _compared(self, op: str, a: Node, b: Node) -> Formula:
        if a.op == "const" and b.op == "const":
            x, y = a.value, b.value
            assert isinstance(x, float | bool | str), x
            assert isinstance(y, float | bool | str), y
            return TRUE if COMPARE[op](x, y) else FALSE
        if a.op == "const":
            return self._compared(_FLIPPED[op], b, a)
        if b.op == "const":
            return self._against(op, a, b)
        if a == b:
            return self._has(a) if "=" in _RELATIONS[op] else FALSE
        if self._numbers.setdefault(a, len(self._numbers)) > self._numbers.setdefault(
            b, len(self._numbers)
        ):
            a, b, op = b, a, _FLIPPED[op]
        return Formula("is", (), Pair(a, b), Words(_RELATIONS[op]))

    def _against(self, op: str, a: Node, b: Node) -> Formula:
        """A value against a constant."""
        if isinstance(b.value, str):
            words = Words(frozenset() if _differs_in_case(a, b.value) else frozenset({b.value}))
            return Formula("is", (), a, words if op == "==" else words.complement())
        assert isinstance(b.value, float | bool), b.value
        expression = self._flag_expression(a)
        if expression is not None and op in ("==", "!=") and b.value in (0.0, 1.0):
            return self.form(expression, "true" if (b.value == 1.0) == (op == "==") else "false")
        if a.type.kind == BOOL:  # a condition counts as 1 or 0 beside a number
            ways: list[tuple[float, Mode]] = [(1.0, "true"), (0.0, "false")]
            return _any(self.form(a, mode) for x, mode in ways if COMPARE[op](x, b.value))
        return Formula("is", (), a, compared(op, float(b.value)))

    def _between(self, args: tuple[Node, ...], node: Node) -> tuple[Formula, Formula]:
        x, low, high = args
        a, b = low.value, high.value
        wraps = node.args[0].type.kind == TIME_OF_DAY
        if low.op == high.op == "const" and isinstance(a, float) and isinstance(b, float):
            inside = between(a, b)
            if wraps and a > b:
                inside = Numbers(((b, False, a, False),)).complement()
            if x.op == "const":
                assert isinstance(x.value, float | bool), x.value
                is_in = not inside.meet(point(float(x.value))).is_empty
                return (TRUE, FALSE) if is_in else (FALSE, TRUE)
            return Formula("is", (), x, inside), Formula("is", (), x, inside.complement())
        if wraps:
            own = self._own("between", args, node)
            return (
                Formula("is", (), own, Words(frozenset({"true"}))),
                Formula("is", (), own, Words(frozenset({"false"}))),
            )
        yes = _all([self._compared(">=", x, low), self._compared("<=", x, high)])
        outside = _any([self._compared("<", x, low), self._compared(">", x, high)])
        return yes, _all([outside, *(self._has(v) for v in args)])

    def _member(
        self, x: Node, values: frozenset[str] | frozenset[float]
    ) -> tuple[Formula, Formula]:
        if x.op == "const":
            return (TRUE, FALSE) if x.value in values else (FALSE, TRUE)
        inside: Values
        if x.type.is_coded:
            inside = Words(frozenset(str(v) for v in values if not _differs_in_case(x, v)))
        else:
            inside = points(v for v in values if isinstance(v, float))
        return Formula("is", (), x, inside), Formula("is", (), x, inside.complement())

    # ---- values

    def _choices(self, args: tuple[Node, ...]) -> list[tuple[Formula, tuple[Node, ...] | None]]:
        """All ways in which several values can choose."""
        found: list[tuple[Formula, tuple[Node, ...] | None]] = [(TRUE, ())]
        for arg in args:
            cases = self.cases(arg)
            found = [
                (_all([guard, g]), None if front is None or v is None else (*front, v))
                for guard, front in found
                for g, v in cases
            ]
        return found

    def cases(self, node: Node) -> list[Case]:
        """The values that `??` and `if` in a value choose from, each with when; together they are all there is."""
        found = self._cases(node)
        return found if len(found) <= CASES_MAX else [(TRUE, node)]

    def _cases(self, node: Node) -> list[Case]:
        op = node.op
        if op == "column":
            feature = self.features.get(str(node.value))
            expression = feature.expression if feature is not None else None
            if expression is None or expression.type.kind == BOOL or expression.type.is_coded:
                return [(TRUE, node)]
            return self.cases(expression)
        if node.type.kind == BOOL or not node.args or op == "lookup":
            return [(TRUE, node)]
        if op == "??":
            found: list[Case] = []
            other = self.cases(node.args[1])
            for guard, value in self.cases(node.args[0]):
                lacks = guard
                if value is not None:
                    found.append((_all([guard, self._has(value)]), value))
                    lacks = _all([guard, self._lacks(value)])
                found += [(_all([lacks, g]), v) for g, v in other if lacks != FALSE]
            return found
        if op == "if":
            c, a, b = node.args
            yes, no = self.form(c, "true"), self.form(c, "false")
            return [
                *((_all([yes, g]), v) for g, v in self.cases(a)),
                *((_all([no, g]), v) for g, v in self.cases(b)),
                (self.missing(c), None),
            ]
        return [
            (guard, self._folded(node, args) if args is not None else None)
            for guard, args in self._choices(node.args)
        ]

    def _folded(self, node: Node, args: tuple[Node, ...]) -> Node | None:
        """The same operation on other values; a constant where they are."""
        op = node.op
        values = [a.value for a in args if a.op == "const" and isinstance(a.value, float)]
        if len(values) == len(args) and op in _ARITHMETIC:
            if op == "/" and values[1] == 0:
                return None
            result = _ARITHMETIC[op](*values)
            if not math.isfinite(result):
                return None
            return Node("const", node.type, value=result)
        if len(values) == len(args) and op == "neg":
            return Node("const", node.type, value=-values[0])
        if op in ("+", "*") and args[0].op != "const":
            numbers = [self._numbers.setdefault(a, len(self._numbers)) for a in args]
            if args[1].op == "const" or numbers[0] > numbers[1]:
                args = (args[1], args[0])
        return node if args == node.args else replace(node, args=args)


def magnitude(node: Node) -> float:
    """How large a number can be without its sign; inf where that is not known.

    Fields are fixed-point numbers below 2**63 and what windows make of them is below COLUMN_MAX; models say anything.
    """
    if node.op == "const":
        return abs(float(node.value)) if isinstance(node.value, float) else 1.0
    if node.op == "column":
        return math.inf if str(node.value).startswith("model.") else COLUMN_MAX
    if node.op == "neg":
        return magnitude(node.args[0])
    if node.op in ("+", "-", "*"):
        a, b = map(magnitude, node.args)
        return a * b if node.op == "*" else a + b
    return math.inf


def _differs_in_case(node: Node, text: object) -> bool:
    """Whether a part of `text` is a letter that `lower` or `upper` never leaves: no letter of theirs changes again."""
    if node.op != "call" or node.value not in ("lower", "upper") or not isinstance(text, str):
        return False
    fold = str.lower if node.value == "lower" else str.upper
    return any(fold(letter) != letter for letter in text)


def _all(parts: Iterable[Formula]) -> Formula:
    return _joined("all", parts)


def _any(parts: Iterable[Formula]) -> Formula:
    return _joined("any", parts)


def _joined(kind: str, parts: Iterable[Formula]) -> Formula:
    """Join without nesting: what changes nothing is left out, what decides alone stands alone."""
    neutral, deciding = (TRUE, FALSE) if kind == "all" else (FALSE, TRUE)
    found: dict[Formula, None] = {}
    for part in parts:
        if part == deciding:
            return deciding
        if part.kind == kind:
            found |= dict.fromkeys(part.parts)
        elif part != neutral:
            found[part] = None
    if len(found) == 1:
        return next(iter(found))
    return Formula(kind, tuple(found)) if found else neutral
