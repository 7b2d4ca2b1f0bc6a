"""One rule over one row, clause by clause: what is true, what is not, what cannot be said, and what would turn it.

The interpreter (rules/kernels.py) decides; this explains, by a walk over the typed tree in Python. Both must say the
same of every condition, the column that is to blame for a missing truth included; a property test holds them together.
Three-valued: True, False, None for undecided. Values are floats (money in minor units, times and durations in
microseconds) and texts, None for missing.

A *flip* is one column with another value that turns a condition while all else stays as it is. Flips of a whole rule
are tried by evaluating it again, so what is listed does turn it; one at a time, and features do not follow the fields
that they were computed from.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeAlias

from rules import kernels
from rules.calendar import zone
from rules.columns import Frame
from rules.definitions import ExceptionClause, ListDefinition, Pack, Rule, TableDefinition
from rules.lists import holds
from rules.render import constant_text, members_text, text_of
from rules.texts import DictionaryLike, in_rollout, question, similarity
from rules.titles import MISSING, shown_number
from rules.tree import (
    BOOL,
    COMPARE,
    DATE,
    DURATION,
    FLAG,
    MONEY,
    TIME,
    TIME_OF_DAY,
    Node,
    Type,
)

Value: TypeAlias = float | str | None
Read: TypeAlias = Callable[[str], Value]
Show: TypeAlias = Callable[[str, Type, Value], str]  # column ("" for none), type, value -> text

JUNCTIONS: Final = frozenset({"and", "or", "not", "at_least"})
NO_RESULT: Final = "(no result)"  # every column is there: x / 0, log(-1), overflow
SEARCH_MAX: Final = 1e4  # times its own size a value is moved in search of a flip
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_MAX: Final = 9.0e15
_INVERSE: Final = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRRORED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_WANTED: Final = {
    "==": "{}",
    "!=": "anything but {}",
    "<": "less than {}",
    "<=": "at most {}",
    ">": "more than {}",
    ">=": "at least {}",
}
_TEXT_TESTS: Final = frozenset({"contains", "starts with", "ends with", "matches"})
_WHOLE_KINDS: Final = frozenset({MONEY, DURATION, TIME, DATE, FLAG, TIME_OF_DAY})


class Why(NamedTuple):
    """What makes something missing. `is_settled`: a condition has chosen it, so it stands even as NO_RESULT."""

    name: str
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class Operand:
    """Something that a clause compares: as text, and its value as people read it."""

    text: str
    shown: str
    column: str = ""  # where it is one column
    value: Value = None


@dataclass(frozen=True, slots=True)
class Flip:
    """One column with another value that turns a condition.

    text     : what it would have to be, "amount would have to be less than 200.00 EUR"
    column   : "" where no single column would do, or none that can be named
    value    : None for missing, or where any of many values would do (`is_exact` False)
    distance : how far from the present value, 0 the same, 1 as far as the larger of both; None where that means nothing
    """

    text: str
    column: str = ""
    value: Value = None
    is_exact: bool = False
    distance: float | None = None


@dataclass(frozen=True, slots=True)
class Clause:
    """One part of a condition.

    op      : and, or, not, at_least where `parts` say more; else a test with `operands`; `if` and `??` have both
    truth   : None for undecided
    because : of an undecided one: the column that is missing, or NO_RESULT
    flip    : of a test: what would turn it (make an undecided one decidable)
    node    : of a test: the tree it says the truth of
    """

    op: str
    text: str
    truth: bool | None
    because: str = ""
    operands: tuple[Operand, ...] = ()
    parts: tuple["Clause", ...] = ()
    flip: Flip | None = None
    node: Node | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Exempt:
    """An exception of a rule: whether its condition holds, and whether it is in force at the event's time."""

    clause: ExceptionClause
    when: Clause
    is_in_force: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """One rule over one row.

    truth      : of the rule as a whole: gates and condition
    gates      : what decides whether the rule is asked at all: its types, its dates
    excepted   : id of the exception that lets a match pass, or ""
    score      : what the rule adds when it fires; None if that is missing (it then counts 0)
    in_rollout : False where the rule behaves as shadow for this key
    flips      : single changes that turn `truth`, the nearest first
    """

    rule: Rule
    truth: bool | None
    because: str
    gates: tuple[Clause, ...]
    when: Clause
    exceptions: tuple[Exempt, ...]
    excepted: str
    score: float | None
    in_rollout: bool
    flips: tuple[Flip, ...]


def frame_reader(frame: Frame, row: int, dictionaries: Mapping[str, DictionaryLike]) -> Read:
    """Read the columns of one row of a frame by name; a column without a place is missing."""

    def read(name: str) -> Value:
        place = frame.layout.places.get(name)
        if place is None:
            return None
        if place.is_code:
            code = int(frame.code[place.row, row])
            return dictionaries[place.dictionary].texts[code] if code >= 0 else None
        value = float(frame.number[place.row, row])
        return None if math.isnan(value) else value

    return read


class Evaluator:
    """Evaluates trees over one row.

    read     : column -> value
    lists, tables, timezone : of the pack
    show     : how values are shown to people; the place to put pseudonyms in
    is_whole : whether a number column holds whole numbers only, such as a count
    """

    def __init__(
        self,
        read: Read,
        lists: Mapping[str, ListDefinition],
        tables: Mapping[str, TableDefinition],
        timezone: str,
        *,
        show: Show | None = None,
        is_whole: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        self.read, self.lists, self.tables, self.timezone = read, lists, tables, timezone
        self.show: Show = show or self._show
        self.is_whole = is_whole

    @classmethod
    def of_pack(
        cls,
        pack: Pack,
        read: Read,
        *,
        show: Show | None = None,
        lists: Mapping[str, ListDefinition] | None = None,
    ) -> "Evaluator":
        """An evaluator with the lists and tables of a pack; `lists`, where rows have been added to them since."""

        def is_whole(name: str) -> bool:
            feature = pack.features.get(name)
            aggregate = feature.aggregate if feature is not None else None
            return aggregate is not None and aggregate.function in ("count", "count_distinct")

        known = pack.lists if lists is None else lists
        return cls(read, known, pack.tables, pack.timezone, show=show, is_whole=is_whole)

    def having(self, changes: Mapping[str, Value]) -> "Evaluator":
        """The same row with other values in some columns."""

        def read(name: str) -> Value:
            return changes[name] if name in changes else self.read(name)

        return Evaluator(
            read, self.lists, self.tables, self.timezone, show=self.show, is_whole=self.is_whole
        )

    # ---- values

    def truth(self, node: Node) -> tuple[bool | None, str]:
        """The truth of a condition; where it is undecided, also the column that is to blame."""
        value, why = self._walk(node)
        return (None, _chosen(why)) if value is None else (bool(value), "")

    def value(self, node: Node) -> Value:
        """The value of any tree; a condition gives 1.0 or 0.0."""
        return self._walk(node)[0]

    def _walk(self, node: Node) -> tuple[Value, tuple[Why, ...]]:
        """The value, and if it is missing everything that made it so, in the order of the text."""
        op = node.op
        if op == "const":
            value = node.value
            assert isinstance(value, str | float | int), node
            return (value if isinstance(value, str) else float(value)), ()
        if op == "column":
            found = self.read(str(node.value))
            return found, (() if found is not None else (Why(str(node.value)),))
        if op in ("and", "or"):
            return self._junction(node)
        if op == "not":
            truth, because = self.truth(node.args[0])
            return _answer(None if truth is None else not truth, because)
        if op == "missing":
            return float(self.value(node.args[0]) is None), ()
        if op == "if":
            truth, because = self.truth(node.args[0])
            if truth is None:
                return None, (Why(because, is_settled=True),)
            return self._walk(node.args[1 if truth else 2])
        if op == "??":
            value, why = self._walk(node.args[0])
            if value is not None:
                return value, ()
            value, more = self._walk(node.args[1])
            return value, (() if value is not None else why or more)
        if op == "at_least":
            return self._at_least(node)
        if op == "lookup":
            table = self.tables[str(node.value)]
            key = self.value(node.args[0])
            return table.values.get(key, table.default) if isinstance(
                key, str
            ) else table.default, ()
        return self._strict(node)

    def _junction(self, node: Node) -> tuple[Value, tuple[Why, ...]]:
        absorbing = node.op == "or"
        parts = [self.truth(part) for part in node.args]
        if any(truth is absorbing for truth, _ in parts):
            return float(absorbing), ()
        undecided = next((because for truth, because in parts if truth is None), None)
        return _answer(None if undecided is not None else not absorbing, undecided or "")

    def _at_least(self, node: Node) -> tuple[Value, tuple[Why, ...]]:
        assert isinstance(node.value, int)
        parts = [self.truth(part) for part in node.args]
        sure = sum(truth is True for truth, _ in parts)
        possible = sum(truth is not False for truth, _ in parts)
        if sure >= node.value or possible < node.value:
            return float(sure >= node.value), ()
        return _answer(None, next(because for truth, because in parts if truth is None))

    def _strict(self, node: Node) -> tuple[Value, tuple[Why, ...]]:
        """Operations that are missing as soon as one argument is."""
        args = node.args
        if node.op == "call" and node.value == "age":
            args = (Node("column", Type(TIME), value="event_time"), args[0])
        parts = [self._walk(part) for part in args]
        why = tuple(w for value, found in parts if value is None for w in found)
        is_missing = any(value is None for value, _ in parts)
        result = None if is_missing else self._apply(node, [v for v, _ in parts])
        if result is not None:
            return result, ()
        why = why or (Why(NO_RESULT),)
        if node.type.kind == BOOL and node.op != "call":
            why = (Why(_chosen(why), is_settled=True),)
        return None, why

    def _apply(self, node: Node, x: Sequence[Value]) -> Value:
        """An operation whose arguments are all there."""
        op = node.op
        if op in COMPARE:
            return float(COMPARE[op](x[0], x[1]))
        if op == "between":
            return float(self._is_between(node, x))
        if op == "in":
            return float(self._is_member(node, x[0]))
        if op in _TEXT_TESTS:
            return float(question(op, str(node.value), self.lists)(str(x[0])))
        if op == "neg":
            return -_number(x[0])
        if op in ("+", "-", "*", "/"):
            return _arithmetic(op, _number(x[0]), _number(x[1]))
        assert op == "call", op
        return self._call(node, x)

    def _is_between(self, node: Node, x: Sequence[Value]) -> bool:
        value, low, high = map(_number, x)
        if node.args[0].type.kind == TIME_OF_DAY and low > high:  # over midnight
            return value >= low or value <= high
        return low <= value <= high

    def _is_member(self, node: Node, x: Value) -> bool:
        assert x is not None
        if isinstance(node.value, str):
            time = self.read("event_time")
            of = self.lists[node.value.removeprefix("@")]
            return holds(of, x, time if isinstance(time, float) else None)
        return (x in frozenset(map(str, _set(node)))) if isinstance(x, str) else x in _set(node)

    def _call(self, node: Node, x: Sequence[Value]) -> Value:
        name = str(node.value)
        if name in _OF_TEXT:
            return _OF_TEXT[name](str(x[0]))
        if name == "similarity":
            return similarity(str(x[0]), str(x[1]))
        if name == "ip_in":
            return float(question("ip_in", str(x[1]), self.lists)(str(x[0])))
        n = [_number(v) for v in x]
        if name == "age":
            if len(node.args) == 1:
                return _arithmetic("-", n[0], n[1])
            return self._age(n[0], n[1], str(node.args[1].value))
        if name in ("hour", "weekday", "local_time", "date"):
            return self._local(name, n[0])
        return _finite(_OF_NUMBERS[name](*n))

    def _local(self, name: str, time_us: float) -> Value:
        at = self._wall_clock(time_us)
        if at is None:
            return None
        if name == "hour":
            return float(at.hour)
        if name == "weekday":
            return float(at.isoweekday())
        if name == "date":
            midnight = datetime(at.year, at.month, at.day, tzinfo=zone(self.timezone))
            return float((midnight.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1))
        seconds = (at.hour * 60 + at.minute) * 60 + at.second
        return float(seconds * 1_000_000 + at.microsecond)

    def _wall_clock(self, time_us: float) -> datetime | None:
        if not abs(time_us) < _TIME_MAX:
            return None
        at = _EPOCH + timedelta(microseconds=math.floor(time_us))
        return at.astimezone(zone(self.timezone))

    def _age(self, later_us: float, earlier_us: float, unit: str) -> Value:
        later, earlier = self._wall_clock(later_us), self._wall_clock(earlier_us)
        if later is None or earlier is None:
            return None
        if unit == "days":
            return float((later.date() - earlier.date()).days)
        months = (later.year - earlier.year) * 12 + later.month - earlier.month
        months -= later.day < earlier.day
        return float(months if unit == "months" else months // 12)

    # ---- clauses

    def clause(self, node: Node, *, negated: bool = False) -> Clause:
        """Explain a condition part by part."""
        op = node.op
        if op == "not" and node.args[0].op not in ("and", "or", "not", "at_least", "if", "??"):
            return self.clause(node.args[0], negated=not negated)
        whole = Node("not", Type(BOOL), (node,)) if negated else node
        truth, because = self.truth(whole)
        text = text_of(whole, self.timezone)
        if op in JUNCTIONS or (op in ("if", "??") and node.type.kind == BOOL):
            parts = tuple(self.clause(part) for part in node.args)
            operands = () if op in JUNCTIONS else self._columns(node)
            return Clause(op, text, truth, because, operands=operands, parts=parts)
        return Clause(
            op,
            text,
            truth,
            because,
            operands=self._operands(node),
            flip=self._flip(node, negated=negated, truth=truth, because=because),
            node=whole,
        )

    def _operands(self, node: Node) -> tuple[Operand, ...]:
        """The sides of a test that are no constants, then the columns inside them."""
        sides = [node] if node.op == "column" else [a for a in node.args if a.op != "const"]
        found: dict[str, Operand] = {}
        for side in sides:
            operand = self._operand(side)
            found[operand.text] = operand
        for side in sides:
            for operand in self._columns(side):
                found.setdefault(operand.text, operand)
        return tuple(found.values())

    def _columns(self, node: Node) -> tuple[Operand, ...]:
        """The columns inside a tree, each once."""
        found = {part.value: part for part in node.walk() if part.op == "column"}
        return tuple(map(self._operand, found.values()))

    def _operand(self, node: Node) -> Operand:
        column = str(node.value) if node.op == "column" else ""
        value = self.value(node)
        shown = self.show(column, node.type, value)
        return Operand(text_of(node, self.timezone), shown, column, value)

    def _show(self, _column: str, kind: Type, value: Value) -> str:
        return shown_value(kind, value, self.timezone)

    # ---- flips

    def flips(self, node: Node) -> tuple[Flip, ...]:
        """Single changes of a column that turn the truth of a condition, the nearest first; each was tried."""
        before = self.truth(node)[0] is True
        found: dict[tuple[str, str], Flip] = {}
        for clause in leaves(self.clause(node)):
            for flip in self._exact(clause):
                after = self.having({flip.column: flip.value}).truth(node)[0] is True
                if after != before:
                    found.setdefault((flip.column, flip.text), flip)
        return tuple(sorted(found.values(), key=_nearness))

    def _exact(self, clause: Clause) -> list[Flip]:
        """Flips of a test that name a column and a value; of an expression one for each column that can turn it."""
        flip = clause.flip
        if flip is not None and flip.is_exact:
            return [flip]
        if clause.node is None or clause.op not in (*COMPARE, "between"):
            return []
        found = []
        for operand in clause.operands:
            if operand.column and isinstance(operand.value, float):
                found += self._searched(clause.node, operand)
        return found

    def _searched(self, node: Node, operand: Operand) -> list[Flip]:
        """The nearest value above and below at which a test turns; looked for at growing distances, then halved."""
        found = []
        column = next(p for p in node.walk() if p.op == "column" and p.value == operand.column)
        whole = column.type.kind in _WHOLE_KINDS or self.is_whole(operand.column)
        for sign, words in ((1.0, "at least"), (-1.0, "at most")):
            value = self._turning_point(node, operand, sign, whole=whole)
            if value is not None:
                shown = self.show(operand.column, column.type, value)
                text = f"{operand.column} would have to be {words} {shown}"
                distance = _distance(operand.value, value)
                found.append(Flip(text, operand.column, value, True, distance))
        return found

    def _turning_point(
        self, node: Node, operand: Operand, sign: float, *, whole: bool
    ) -> float | None:
        assert isinstance(operand.value, float)
        start, truth = operand.value, self.truth(node)[0]
        if truth is None:
            return None

        def turns(by: float) -> bool:
            moved = self.having({operand.column: start + sign * by}).truth(node)[0]
            return moved is not None and moved != truth

        step = 1.0 if whole else max(abs(start), 1.0) * 2.0**-20
        low, high = 0.0, step
        while not turns(high):
            low, high = high, 2.0 * high
            if high > SEARCH_MAX * max(abs(start), step):
                return None
        while high - low > (1.0 if whole else high * 2.0**-40):
            middle = math.floor((low + high) / 2.0) if whole else (low + high) / 2.0
            if middle in (low, high):  # whole numbers beyond 2**53
                break
            low, high = (low, middle) if turns(middle) else (middle, high)
        return start + sign * high

    def _flip(self, node: Node, *, negated: bool, truth: bool | None, because: str) -> Flip | None:
        wanted = not truth  # an undecided test is to become true
        positive = wanted != negated  # of the test without its `not`
        op = node.op
        if op in COMPARE:
            return self._flip_comparison(node, op if positive else _INVERSE[op], because)
        if op == "column":  # a flag that stands alone
            return self._put(node, float(positive), "true" if positive else "false")
        if op == "missing":
            return self._flip_missing(node.args[0], positive=positive)
        if op == "between":
            return self._flip_between(node, positive=positive)
        if op == "in":
            return self._flip_member(node, positive=positive)
        if op in _TEXT_TESTS:
            words = f"a text that {op} {constant_text(node.value, Type(''))}"
            return self._say(node.args[0], words if positive else f"anything but {words}")
        if op == "const":
            return None
        return Flip(f"{text_of(node, self.timezone)} would have to be {str(positive).lower()}")

    def _flip_comparison(self, node: Node, op: str, because: str) -> Flip:
        left, right = node.args
        if left.op == "const" or (left.op != "column" and right.op == "column"):
            left, right, op = right, left, _MIRRORED[op]
        bound = self.value(right)
        if bound is None:
            return Flip(f"{because or text_of(right, self.timezone)} would have to be known")
        shown = self.show(str(right.value) if right.op == "column" else "", right.type, bound)
        if right.op == "const":
            shown = constant_text(right.value, right.type, self.timezone)
        elif not isinstance(bound, str):
            shown += f" ({text_of(right, self.timezone)})"
        if left.type.kind == FLAG and op in ("==", "!="):
            is_true = (bound == 1.0) == (op == "==")
            return self._put(left, float(is_true), "true" if is_true else "false")
        words = _WANTED[op].format(shown)
        if isinstance(bound, str):
            return self._put(left, bound, words) if op == "==" else self._say(left, words)
        whole = left.type.kind in _WHOLE_KINDS or (
            left.op == "column" and self.is_whole(str(left.value))
        )
        return self._put(left, _just(op, bound, whole=whole), words)

    def _flip_missing(self, node: Node, *, positive: bool) -> Flip:
        if positive:
            return self._put(node, None, "missing")
        return self._say(node, "present")

    def _flip_between(self, node: Node, *, positive: bool) -> Flip:
        value, low, high = (self.value(part) for part in node.args)
        shown = [
            constant_text(part.value, part.type, self.timezone)
            if part.op == "const"
            else self.show("", part.type, self.value(part))
            for part in node.args[1:]
        ]
        words = f"{'' if positive else 'not '}between {shown[0]} and {shown[1]}"
        wraps = node.args[0].type.kind == TIME_OF_DAY
        if isinstance(low, str) or isinstance(high, str) or low is None or high is None or wraps:
            return self._say(node.args[0], words)
        kind, column = node.args[0].type.kind, str(node.args[0].value)
        whole = kind in _WHOLE_KINDS or (node.args[0].op == "column" and self.is_whole(column))
        now = value if isinstance(value, float) else low
        if positive:
            target = low if now < low else high
        else:
            below, above = _just("<", low, whole=whole), _just(">", high, whole=whole)
            target = below if now - low <= high - now else above
        return self._put(node.args[0], target, words)

    def _flip_member(self, node: Node, *, positive: bool) -> Flip:
        members = members_text(node.value, node.args[0].type, self.timezone)
        words = f"{'one' if positive else 'none'} of {members}"
        if positive and isinstance(node.value, frozenset) and node.value:
            first = min(map(str, node.value)) if node.args[0].type.is_coded else min(_floats(node))
            return self._put(node.args[0], first, words)
        return self._say(node.args[0], words)

    def _put(self, node: Node, value: Value, words: str) -> Flip:
        """A flip that gives a column a value; of an expression it can only be said."""
        text = f"{text_of(node, self.timezone)} would have to be {words}"
        if node.op != "column":
            return Flip(text)
        return Flip(text, str(node.value), value, True, _distance(self.value(node), value))

    def _say(self, node: Node, words: str) -> Flip:
        column = str(node.value) if node.op == "column" else ""
        return Flip(f"{text_of(node, self.timezone)} would have to be {words}", column)

    # ---- rules

    def rule(self, rule: Rule) -> Explained:
        """Explain a rule: gates, condition, exceptions, score, and what would turn it."""
        gates = self._gates(rule)
        when = self.clause(rule.when)
        is_asked = all(gate.truth is True for gate in gates)
        truth = when.truth if is_asked else False
        time = self.read("event_time")
        exceptions = tuple(
            Exempt(e, self.clause(e.when), isinstance(time, float) and time < e.expires_us)
            for e in rule.exceptions
        )
        excepted = (e.clause.id for e in exceptions if e.is_in_force and e.when.truth is True)
        score = self.value(rule.score)
        return Explained(
            rule,
            truth,
            when.because if truth is None else "",
            gates,
            when,
            exceptions,
            next(excepted, "") if truth is True else "",
            score if isinstance(score, float) else None,
            self._is_in_rollout(rule),
            self.flips(rule.when) if is_asked else (),
        )

    def rule_truth(self, rule: Rule) -> bool | None:
        """What `rule` says of the truth, without the rest."""
        if any(gate.truth is not True for gate in self._gates(rule)):
            return False
        return self.truth(rule.when)[0]

    def _gates(self, rule: Rule) -> tuple[Clause, ...]:
        of, time = self.read("type"), self.read("event_time")
        shown = (Operand("type", MISSING if of is None else str(of), "type", of),)
        gates = [Clause("on", f"type is {' or '.join(rule.on)}", of in rule.on, "", shown)]
        shown = (Operand("event_time", self.show("event_time", Type(TIME), time), "event_time"),)
        for limit, words in (
            (rule.effective_from_us, "from"),
            (rule.effective_until_us, "before"),
        ):
            if limit is not None:
                holds = isinstance(time, float) and (time >= limit) == (words == "from")
                text = f"the rule holds {words} {shown_number(float(limit), Type(TIME), '', 'UTC')}"
                gates.append(Clause("effective", text, holds, "", shown))
        return tuple(gates)

    def _is_in_rollout(self, rule: Rule) -> bool:
        if rule.rollout_percent >= 100.0:
            return True
        key = self.read(rule.rollout_by)
        return isinstance(key, str) and in_rollout(rule.id, rule.rollout_percent, key)


def leaves(clause: Clause) -> Iterable[Clause]:
    """The tests of a condition, in the order of the text."""
    if not clause.parts:
        yield clause
    for part in clause.parts:
        yield from leaves(part)


def open_clauses(clause: Clause) -> list[Clause]:
    """The clauses that stand in the way of a condition being true: of an `and`, those that are not true.

    The fewer there are, the nearer the rule was to firing.
    """
    if clause.truth is True:
        return []
    if clause.op == "and":
        return [one for part in clause.parts for one in open_clauses(part)]
    if clause.op == "or":
        return min((open_clauses(part) for part in clause.parts), key=len)
    return [clause]


def shown_value(kind: Type, value: Value, timezone: str) -> str:
    """A value as people read it: `450.00 EUR`, `2d 4h`, `missing`."""
    if value is None:
        return MISSING
    if isinstance(value, str):
        return value
    return shown_number(value, kind, "", timezone)


def _answer(truth: bool | None, because: str) -> tuple[Value, tuple[Why, ...]]:
    """A condition as a value, its reason settled."""
    return (None, (Why(because, is_settled=True),)) if truth is None else (float(truth), ())


def _chosen(why: Sequence[Why]) -> str:
    """The first column that is missing; that there is no result only if all of them are there."""
    return next((w.name for w in why if w.is_settled or w.name != NO_RESULT), NO_RESULT)


def _number(x: Value) -> float:
    assert isinstance(x, float), x
    return x


def _set(node: Node) -> frozenset[str] | frozenset[float]:
    assert isinstance(node.value, frozenset), node
    return node.value


def _floats(node: Node) -> list[float]:
    return [float(x) for x in _set(node)]


def _finite(x: float | None) -> Value:
    return None if x is None or not math.isfinite(x) else float(x)


def _arithmetic(op: str, a: float, b: float) -> Value:
    if op == "/":
        return _finite(a / b) if b else None
    return _finite(a + b if op == "+" else a - b if op == "-" else a * b)


_OF_TEXT: Final[Mapping[str, Callable[[str], Value]]] = {
    "length": lambda text: float(len(text)),
    "lower": str.lower,
    "upper": str.upper,
}
_OF_NUMBERS: Final[Mapping[str, Callable[..., float | None]]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": lambda x: float(round(x)),
    "floor": lambda x: float(math.floor(x)),
    "log": kernels.log,
    "mod": lambda x, y: x % y if y else None,
    "in_hours": lambda x: x / 3.6e9,
    "in_days": lambda x: x / 8.64e10,
    "distance_km": kernels.distance_km,
}


def _just(op: str, bound: float, *, whole: bool) -> float:
    """The value nearest to `bound` that is `op` to it."""
    if op in ("<=", ">=", "=="):
        if not whole or bound == math.floor(bound) or op == "==":
            return bound
        return float(math.floor(bound) if op == "<=" else math.ceil(bound))
    if op == "<":
        return float(math.ceil(bound) - 1) if whole else math.nextafter(bound, -math.inf)
    return float(math.floor(bound) + 1) if whole else math.nextafter(bound, math.inf)


def _distance(now: Value, then: Value) -> float | None:
    if not isinstance(now, float) or not isinstance(then, float):
        return None
    scale = max(abs(now), abs(then))
    return abs(now - then) / scale if scale else 0.0


def _nearness(flip: Flip) -> tuple[bool, float, str]:
    """Small changes of numbers first; what has no distance last."""
    distance = flip.distance
    return (distance is None, distance if distance is not None else 0.0, flip.text)
