"""From typed trees to programs for the interpreter (rules/kernels.py).

A `Builder` emits the instructions of one program; `Builder.truth`, `.number` and `.code` compile a tree into a truth
plane, a number register or a code register. Registers are a stack: a result stands where the first operand stood.

Which operand was missing. Every leaf of a condition numbers its operands, `and` from left to right and `or` from
right to left, so that min and max keep the first responsible one (see the interpreter). Most leaves are *strict*:
missing exactly when one of their columns is, or when arithmetic has no result; then the instruction BLAME finds the
first column that is missing, and NO_RESULT if none is. Where `??` and `if` decide at run time which columns matter, a
second plane ("why") is computed beside the number: 0 where it is there, else the number of the operand responsible.

What texts mean to tables is in rules/texts.py; which programs a pack needs, and when they run, in rules/ruleset.py.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rules import kernels as k
from rules.calendar import zone_numbers
from rules.code_tables import Tables
from rules.columns import Frame, Layout, Place
from rules.definitions import TableDefinition
from rules.lists import number_ranges
from rules.texts import OWN, question, recased, similarity
from rules.tree import BOOL, NUMBER, TEXT, TIME_OF_DAY, Node, Type

I8: TypeAlias = NDArray[np.int64]
I1: TypeAlias = NDArray[np.int8]
I2: TypeAlias = NDArray[np.int16]
I4: TypeAlias = NDArray[np.int32]
B1: TypeAlias = NDArray[np.bool_]

NO_RESULT: Final = (
    "(no result)"  # what is missing when every column is there: x / 0, log(-1), overflow
)
EVENT_TIME: Final = "event_time"
OPERANDS_MAX: Final = 32_765  # numbers between 0 and TRUE

_FLAGS: Final[Mapping[str, int]] = {
    "<": k.LESS,
    "==": k.EQUAL,
    ">": k.GREATER,
    "<=": k.LESS | k.EQUAL,
    ">=": k.GREATER | k.EQUAL,
    "!=": k.LESS | k.GREATER,
}
_MIRRORED: Final[Mapping[str, str]] = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_TEXT_TESTS: Final = frozenset({"contains", "starts with", "ends with", "matches"})
_ARITHMETIC: Final[Mapping[str, int]] = {"+": k.ADD, "-": k.SUB, "*": k.MUL, "/": k.DIV}
_FOLDED: Final[Mapping[str, int]] = {"min": k.MIN, "max": k.MAX, "mod": k.MOD}
_UNARY: Final[Mapping[str, int]] = {
    "abs": k.ABS,
    "floor": k.FLOOR,
    "round": k.ROUND,
    "log": k.LOG,
}
_ZONED: Final[Mapping[str, int]] = {
    "hour": k.HOUR,
    "weekday": k.WEEKDAY,
    "local_time": k.LOCAL_TIME,
    "date": k.DATE,
}
_UNITS: Final[Mapping[str, float]] = {"in_hours": 3_600e6, "in_days": 86_400e6}
_AGES: Final[Mapping[str, int]] = {"years": 0, "months": 1, "days": 2}
_DEAR: Final = frozenset({"distance_km", "log", "age", *_ZONED})  # worth a register when repeated
_TRUTHS: Final = frozenset({"and", "or", "not", "in", "between", "missing", "at_least", *_FLAGS})
_NO_TRUTH: Final = np.zeros((1, 0), np.int16)


@dataclass(frozen=True, slots=True)
class _Words:
    """One side of a similarity: a code column and the cases applied to it, or a constant (`row` -1)."""

    row: int
    dictionary: str
    cases: tuple[str, ...]
    constant: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """A number column that Python fills before a program runs: similarity of two texts, per distinct pair."""

    row: int
    left: _Words
    right: _Words

    def fill(self, frame: Frame, tables: Tables) -> None:
        """Write the column; a pair that was seen lately costs a look-up."""
        out = frame.number[self.row]
        texts = [tables.texts(side.dictionary) for side in (self.left, self.right)]
        codes = frame.code[[self.left.row, self.right.row]].astype(np.int64)
        out[:] = np.nan
        rows = np.flatnonzero((codes >= 0).all(axis=0))
        if not len(rows):
            return
        pairs, places = np.unique(codes[0, rows] << 32 | codes[1, rows], return_inverse=True)
        values = [
            similarity(
                recased(texts[0][pair >> 32], self.left.cases),
                recased(texts[1][pair & 0xFFFFFFFF], self.right.cases),
            )
            for pair in pairs.tolist()
        ]
        out[rows] = np.array(values)[places]


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions, ready to run over frames whose layout holds every column that was named while compiling.

    code    : (m, 6) int32  the instructions
    job     : (9,) int64  what `kernels.run` takes; its addresses are those of `code`, of memory of its own, of `tables`
    before  : programs that must run first (arguments of a similarity)
    foreign : columns that Python fills first
    """

    code: I4
    n_plane: int
    n_number: int
    n_code: int
    tables: Tables
    before: tuple["Program", ...] = ()
    foreign: tuple[Foreign, ...] = ()
    scratch: I1 = field(init=False)
    job: I8 = field(init=False)

    def __post_init__(self) -> None:
        counts = (self.n_plane, self.n_number, self.n_code)
        scratch = np.empty(k.scratch_bytes(*counts), np.int8)
        object.__setattr__(self, "scratch", scratch)
        parts = (self.tables.where.ctypes.data, self.code.ctypes.data, len(self.code), *counts)
        job = np.array([*parts, scratch.ctypes.data, 0, 0], np.int64)
        object.__setattr__(self, "job", job)

    def __reduce__(self) -> tuple[type["Program"], tuple[object, ...]]:
        """Be made anew in another process: addresses mean nothing there."""
        counts = (self.n_plane, self.n_number, self.n_code)
        return Program, (self.code, *counts, self.tables, self.before, self.foreign)

    def run(self, frame: Frame, truth: I2 = _NO_TRUTH) -> int:
        """Run over the whole frame; return how many times a rule fired."""
        if self.foreign:
            self.prepare(frame)
        return k.run(self.job, frame.number, frame.code, truth)

    def prepare(self, frame: Frame) -> None:
        """Fill in what Python computes; `run` does it by itself."""
        for program in self.before:
            program.run(frame)
        for foreign in self.foreign:
            foreign.fill(frame, self.tables)

    def filter(self, frame: Frame, domain: I1, filters: B1) -> None:
        """Run over the whole frame, and write which rows count.

        domain  : (n,) int8    what each row is
        filters : (f, n) bool  written
        """
        for array, dtype in ((domain, np.int8), (filters, np.bool_)):
            assert array.dtype == dtype, array.dtype  # the interpreter sees addresses only
            assert array.flags.c_contiguous
            assert array.shape[-1] == frame.n, (array.shape, frame.n)
        self.job[k.DOMAIN_AT], self.job[k.FILTERS_AT] = domain.ctypes.data, filters.ctypes.data
        self.run(frame)


@dataclass(frozen=True, slots=True)
class Context:
    """What trees refer to: columns by name, look-up tables, the pack's zone, and the tables that are being filled."""

    place: Callable[[str], Place]
    layout: Layout
    tables: Tables
    lookups: Mapping[str, TableDefinition]
    timezone: str


def strip_cases(e: Node) -> tuple[Node, tuple[str, ...]]:
    """Take `lower` and `upper` off a text expression; return what they apply to and their order."""
    cases: list[str] = []
    while e.op == "call" and e.value in ("lower", "upper"):
        cases.append(str(e.value))
        e = e.args[0]
    return e, tuple(reversed(cases))


def strict_columns(e: Node) -> list[str] | None:
    """Columns of which each one makes `e` missing, in the order of the text; None if that depends on the row."""
    if e.op == "column":
        return [str(e.value)]
    if e.op in ("const", "lookup"):
        return []
    if (e.op == "call" and e.type.kind != BOOL) or e.op == "neg" or e.op in _ARITHMETIC:
        found = [EVENT_TIME] if e.value == "age" else []
        for part in e.args:
            columns = strict_columns(part)
            if columns is None:
                return None
            found += columns
        return found
    return None


def is_plain(e: Node) -> bool:
    """Whether a condition compares a number that stands in a column with a constant."""
    if e.op not in _FLAGS or any(part.type.is_coded for part in e.args):
        return False
    return {part.op for part in e.args} == {"column", "const"}


def _plain(e: Node) -> tuple[str, float, int]:
    """Column, constant and which outcomes make it true, of a comparison that `is_plain`."""
    x, y = e.args
    op = e.op
    if x.op == "const":
        x, y, op = y, x, _MIRRORED.get(op, op)
    return str(x.value), _constant_of(y), _FLAGS[op]


def _computes(e: Node) -> bool:
    """Whether a strict `e` can be missing though all its columns are there."""
    return e.op in _ARITHMETIC or e.op == "call" or any(map(_computes, e.args))


class Builder:
    """Emit one program. `names` lists, for each rule begun, what its missing truth values stand for."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tables = context.tables
        self.names: list[str] = []
        self._code: list[list[int]] = []
        self._plane = self._number = self._coded = 0
        self._plane_max = self._number_max = self._coded_max = 1
        self._before: list[Program] = []
        self._foreign: dict[Node, Foreign] = {}
        self._undated: list[tuple[str, int, list[int]]] = []
        self._shared: dict[Node, int] = {}
        self._done: set[Node] = set()

    # What a caller does with the builder

    def build(self) -> Program:
        """Return the program."""
        code = np.array(self._code, np.int32).reshape(-1, 6)
        for name, at, instruction in self._undated:
            self.tables.when_dated(name, code, at, instruction)
        return Program(
            code,
            self._plane_max,
            self._number_max,
            self._coded_max,
            self.tables,
            tuple(self._before),
            tuple(self._foreign.values()),
        )

    def begin(self, trees: Iterable[Node]) -> None:
        """Begin a rule: operands count from 1 again; dear calls that occur twice in `trees` are computed once."""
        self.names = []
        counted: dict[Node, int] = {}
        for tree in trees:
            for node in tree.walk():
                if node.op == "call" and node.value in _DEAR:
                    counted[node] = counted.get(node, 0) + 1
        repeated = [node for node, n in counted.items() if n > 1]
        self._shared = {node: place for place, node in enumerate(repeated)}
        self._done = set()
        self._number = len(repeated)
        self._number_max = max(self._number_max, self._number)

    def release(self, plane: int) -> None:
        """Free `plane` and all above it."""
        self._plane = plane

    def emit(
        self, op: int, to: int, a: int = 0, b: int = 0, missing: int = 0, extra: int = 0
    ) -> int:
        """Append an instruction; return its place, for `jump_here`."""
        self._code.append([op, to, a, b, missing, extra])
        return len(self._code) - 1

    def emit_of_list(self, name: str, dated: Sequence[int], undated: Sequence[int]) -> None:
        """Append a test of a list: as `undated` until the list has rows that hold for a time only, then as `dated`."""
        if self.tables.lists[name].is_dated:
            self._code.append(list(dated))
        else:
            self._undated.append((name, len(self._code), list(dated)))
            self._code.append(list(undated))

    def skip_rules(self, plane: int, rules: Sequence[int]) -> int:
        """Emit: if no row of the block is set in `plane`, the rules are 0 and `jump_here` says where to go on."""
        return self.emit(k.SKIP_RULES, plane, self.tables.whole(rules), len(rules))

    def all_of(
        self, rules: Mapping[int, Sequence[Node]], gate: int | None
    ) -> dict[int, tuple[str, ...]]:
        """Emit rules that are true where `gate` is set and all of some comparisons are, each of which `is_plain`.

        One instruction for all of them, as most rules are made so; returns the names of each. What stands in `ints`
        is for each rule its number and how many comparisons it has, then for each of these: number row, constant,
        missing, flags.
        """
        self._plane_max = max(self._plane_max, self._plane + 2)
        asked: list[int] = []
        names: dict[int, tuple[str, ...]] = {}
        for rule, clauses in rules.items():
            self.names = []
            asked += [rule, len(clauses)]
            for name, constant, flags in map(_plain, clauses):
                row = self.context.place(name).row
                asked += [row, self.tables.constants(constant), self._blame([name]), flags]
            names[rule] = tuple(self.names)
        at = self.tables.whole(asked)
        self.emit(k.RULES_ALL_OF, self._plane, at, len(rules), extra=-1 if gate is None else gate)
        return names

    def jump_here(self, place: int) -> None:
        self._code[place][5] = len(self._code)

    def in_domain(self, mask: int) -> int:
        """Return a plane that is true where the row's domain is in `mask`."""
        to = self._new_plane()
        self.emit(k.DOMAIN, to, extra=mask)
        return to

    def gate(self, on: Sequence[str], from_us: int | None, until_us: int | None) -> int | None:
        """Return a plane that is true where a rule applies at all, never missing; None if it always does."""
        planes = []
        if on:
            place = self.context.place("type")
            table = self.tables.flag(place.dictionary, (), "in", frozenset(on), missing=0)
            planes.append(self._new_plane())
            self.emit(k.IN, planes[-1], place.row, table)
        for limit, flags in ((from_us, k.GREATER | k.EQUAL), (until_us, k.LESS)):
            if limit is not None:
                planes.append(self._new_plane())
                time = self.context.place(EVENT_TIME).row
                self.emit(k.COMPARE_CONST, planes[-1], time, self.tables.constants(limit), 0, flags)
        for plane in planes[1:]:
            self.emit(k.AND, planes[0], plane)
        if planes:
            self._plane = planes[0] + 1
        return planes[0] if planes else None

    def store(self, e: Node, place: Place, *, only_missing: bool = False) -> None:
        """Emit code that writes the value of `e` into a column, or fills its gaps."""
        plane, number, coded = self._plane, self._number, self._coded
        if place.is_code:
            self.emit(
                k.STORE_CODE, self.code(e, place.dictionary), place.row, extra=int(only_missing)
            )
        else:
            self.emit(k.STORE, self.number(e), place.row, extra=int(only_missing))
        self._plane, self._number, self._coded = plane, number, coded

    # Truth

    def truth(self, e: Node, negate: bool = False) -> int:
        """Emit code for the truth of `e` (negated: of `not e`); return its plane, the lowest that was free."""
        plane, number, coded = self._plane, self._number, self._coded
        to = self._truth(e, negate)
        assert to == plane, (e.op, to, plane)
        self._plane, self._number, self._coded = plane + 1, number, coded
        return to

    def _truth(self, e: Node, negate: bool) -> int:
        op = e.op
        if op == "not":
            return self.truth(e.args[0], not negate)
        if op in ("and", "or"):
            return self._junction(e, negate)
        if op == "missing":
            return self._is_missing(e.args[0], not negate)
        if op == "const":
            return self._constant(bool(e.value) != negate)
        if op in _FLAGS:
            coded = e.args[0].type.is_coded or e.args[1].type.is_coded
            return self._same_text(e, negate) if coded else self._comparison(e, negate)
        if op == "between":
            return self._between(e, negate)
        if op == "in":
            if e.args[0].type.is_coded:
                return self._text_test(e.args[0], "in", e.value, negate)
            return self._in_numbers(e, negate)
        if op in _TEXT_TESTS:
            return self._text_test(e.args[0], op, e.value, negate)
        if op == "call" and e.value == "ip_in":
            return self._text_test(e.args[0], "ip_in", e.args[1].value, negate)
        if op == "if":
            to = self.truth(e.args[0])
            then, other = self.truth(e.args[1], negate), self.truth(e.args[2], negate)
            self.emit(k.SELECT_PLANE, to, then, other)
            return to
        if op == "??":
            to, other = self.truth(e.args[0], negate), self.truth(e.args[1], negate)
            self.emit(k.COALESCE_PLANE, to, other)
            return to
        if op == "at_least":
            return self._at_least(e, negate)
        zero = Node("const", Type(NUMBER), value=0.0)  # a flag: true unless it is 0
        return self._comparison(Node("!=", Type(BOOL), (e, zero)), negate)

    def _junction(self, e: Node, negate: bool) -> int:
        conjunction = (e.op == "and") != negate
        parts = e.args if conjunction else e.args[::-1]
        to = self.truth(parts[0], negate)
        for part in parts[1:]:
            self.emit(k.AND if conjunction else k.OR, to, self.truth(part, negate))
            self._plane = to + 1
        return to

    def _constant(self, value: bool) -> int:
        to = self._new_plane()
        self.emit(k.PLANE_CONST, to, extra=k.TRUE if value else 0)
        return to

    def _is_missing(self, e: Node, wanted: bool) -> int:
        to = self._new_plane()
        if e.op == "column":
            place = self.context.place(str(e.value))
            self.emit(
                k.MISSING_CODE if place.is_code else k.MISSING_NUMBER, to, place.row, extra=wanted
            )
        elif e.type.is_coded:
            inner, _ = strip_cases(e)
            self.emit(k.MISSING_CODED, to, self.code(inner, self.dictionary(inner)), extra=wanted)
        else:
            self.emit(k.MISSING_REGISTER, to, self.number(e), extra=wanted)
        return to

    def _comparison(self, e: Node, negate: bool) -> int:
        x, y = e.args
        flags = _FLAGS[e.op] ^ (7 if negate else 0)
        if is_plain(e):
            to = self._new_plane()
            name, constant, asked = _plain(e)
            row, at = self.context.place(name).row, self.tables.constants(constant)
            self.emit(
                k.COMPARE_CONST, to, row, at, self._blame([name]), asked ^ (7 if negate else 0)
            )
            return to
        if x.op == y.op == "column":
            to = self._new_plane()
            names = [str(x.value), str(y.value)]
            left, right = (self.context.place(name).row for name in names)
            missing = self._blame(names)
            self.emit(k.COMPARE_COLUMNS, to, left, right, missing, flags)
            self._find_blame(to, names, missing)
            return to
        return self._leaf(e.args, lambda to, at, missing: self.emit(
            k.COMPARE, to, at[0], at[1], missing, _FLAGS[e.op] ^ (7 if negate else 0)
        ))  # fmt: skip

    def _between(self, e: Node, negate: bool) -> int:
        x, low, high = e.args
        extra = int(negate) + 2 * (x.type.kind == TIME_OF_DAY)
        if x.op == "column" and low.op == high.op == "const":
            to = self._new_plane()
            name = str(x.value)
            at = self.tables.constants(_constant_of(low), _constant_of(high))
            row = self.context.place(name).row
            self.emit(k.BETWEEN_CONST, to, row, at, self._blame([name]), extra)
            return to
        return self._leaf(
            e.args,
            lambda to, at, missing: self.emit(k.BETWEEN, to, at[0], at[1], missing, extra),
        )

    def _in_numbers(self, e: Node, negate: bool) -> int:
        if isinstance(e.value, str):
            return self._in_number_list(e, e.value.removeprefix("@"), negate)
        assert isinstance(e.value, frozenset)
        ends = [value for value in sorted(map(float, e.value)) for _ in range(2)]
        constant = self.tables.constants(*ends)
        extra = int(negate) + len(ends)
        return self._leaf(
            e.args,
            lambda to, at, missing: self.emit(k.IN_NUMBERS, to, at[0], constant, missing, extra),
        )

    def _in_number_list(self, e: Node, name: str, negate: bool) -> int:
        of = self.tables.lists[name].of
        pairs = [] if of.is_dated else number_ranges(of.values, of)
        constant = self.tables.constants(*(end for pair in pairs for end in pair))
        dated = self.tables.numbers(name, self.context.place(EVENT_TIME).row)

        def emit(to: int, at: list[int], missing: int) -> None:
            self.emit_of_list(
                name,
                [k.IN_NUMBERS_DATED, to, at[0], dated, missing, int(negate)],
                [k.IN_NUMBERS, to, at[0], constant, missing, int(negate) + 2 * len(pairs)],
            )

        return self._leaf(e.args, emit)

    def _leaf(self, args: Sequence[Node], emit: Callable[[int, list[int], int], object]) -> int:
        """Emit a leaf over the numbers `args`, which stand in consecutive registers."""
        columns = [strict_columns(e) for e in args]
        to = self._new_plane()
        if None not in columns:
            names = [name for part in columns if part is not None for name in part]
            at = [self._fresh(e) for e in args]
            missing = self._blame([*names, NO_RESULT])
            emit(to, at, missing)
            if len(names) > 1 or (names and any(map(_computes, args))):
                self._find_blame(to, names, missing)
            return to
        both = [self._number_why(e) for e in args]
        emit(to, [number for number, _ in both], -1)
        self._fill(to, [why for _, why in both])
        return to

    def _fill(self, to: int, whys: Sequence[int]) -> None:
        """Put the first reason of `whys` where the leaf `to` is -1."""
        for why in whys[1:]:
            self.emit(k.WHY_FIRST, whys[0], why)
        self.emit(k.FILL, to, whys[0], 0, self._blame([NO_RESULT]))

    def _same_text(self, e: Node, negate: bool) -> int:
        """Equality of two texts: a test if one is constant, else of codes in one dictionary."""
        x, y = e.args
        negate = negate != (e.op == "!=")
        if x.op == "const":
            x, y = y, x
        if y.op == "const":
            return self._text_test(x, "==", y.value, negate)
        to = self._new_plane()
        plain = x.op == y.op == "column"
        dictionaries = {self.dictionary(x), self.dictionary(y)}
        dictionary = dictionaries.pop() if len(dictionaries) == 1 else OWN
        if plain:
            names = [str(x.value), str(y.value)]
            missing = self._blame(names)
            self.emit(
                k.EQUAL_CODE,
                to,
                self.code(x, dictionary),
                self.code(y, dictionary),
                missing,
                negate,
            )
            self._find_blame(to, names, missing)
            return to
        (a, why), (b, other) = self._code_why(x, dictionary), self._code_why(y, dictionary)
        self.emit(k.EQUAL_CODE, to, a, b, -1, negate)
        self._fill(to, [why, other])
        return to

    def _text_test(self, e: Node, kind: str, value: object, negate: bool) -> int:
        """A question about one text, answered by a table over its dictionary."""
        assert isinstance(value, str | frozenset), (kind, value)
        if kind == "in" and isinstance(value, str):
            return self._in_list(e, value.removeprefix("@"), negate)
        inner, cases = strip_cases(e)
        if inner.op == "const":
            answer = question(kind, value, {})(recased(str(inner.value), cases))
            return self._constant(bool(answer) != negate)
        to = self._new_plane()
        dictionary = self.dictionary(inner)
        table = self.tables.flag(dictionary, cases, kind, value)
        if inner.op == "column":
            name = str(inner.value)
            row = self.context.place(name).row
            self.emit(k.IN, to, row, table, self._blame([name]), negate)
            return to
        at, why = self._code_why(inner, dictionary)
        self.emit(k.IN_REGISTER, to, at, table, -1, negate)
        self.emit(k.FILL, to, why)
        return to

    def _in_list(self, e: Node, name: str, negate: bool) -> int:
        """Whether a text is in a list at the time of the event; also of a constant, for lists get other rows."""
        inner, cases = strip_cases(e)
        to = self._new_plane()
        dictionary = self.dictionary(inner)
        time_row = self.context.place(EVENT_TIME).row
        table, times = self.tables.listed(dictionary, cases, name, time_row)
        extra = int(negate) + 2 * times
        if inner.op == "column":
            column = str(inner.value)
            rest = [to, self.context.place(column).row, table, self._blame([column]), extra]
            self.emit_of_list(name, [k.IN_DATED, *rest], [k.IN, *rest])
            return to
        at, why = self._code_why(inner, dictionary)
        rest = [to, at, table, -1, extra]
        self.emit_of_list(name, [k.IN_DATED_REGISTER, *rest], [k.IN_REGISTER, *rest])
        self.emit(k.FILL, to, why)
        return to

    def _at_least(self, e: Node, negate: bool) -> int:
        to = self._new_plane()
        self._plane_to(to + 3)
        self.emit(k.COUNT_CLEAR, to)
        for part in e.args:
            self.emit(k.COUNT, to, self.truth(part))
            self._plane = to + 3
        assert isinstance(e.value, int | float)
        self.emit(k.AT_LEAST, to, int(e.value), len(e.args), 0, negate)
        return to

    def _blame(self, names: Sequence[str]) -> int:
        """Number the operands of the next leaf; return the first number."""
        self.names += names
        assert len(self.names) <= OPERANDS_MAX, "too many operands in one rule"
        return len(self.names) - len(names) + 1

    def _find_blame(self, to: int, names: Sequence[str], missing: int) -> None:
        self.emit(k.BLAME, to, self._operands(names), len(names), missing)

    def _operands(self, names: Sequence[str]) -> int:
        places = [self.context.place(name) for name in names]
        return self.tables.whole([-1 - p.row if p.is_code else p.row for p in places])

    # Numbers

    def number(self, e: Node) -> int:
        """Emit code for the number `e`; return its register: the lowest free one, or a shared one."""
        shared = self._shared.get(e)
        if shared is None:
            return self._fresh(e)
        if e not in self._done:
            mark = self._number
            at = self._computed(e)
            self.emit(k.COPY, shared, at)
            self._number = mark
            self._done.add(e)
        return shared

    def _fresh(self, e: Node) -> int:
        """As `number`, but always the lowest free register."""
        mark = self._number
        if e in self._shared:
            shared = self.number(e)
            to = self._new_number()
            self.emit(k.COPY, to, shared)
        else:
            to = self._computed(e)
        assert to == mark, (e.op, to, mark)
        self._number = mark + 1
        return to

    def _computed(self, e: Node) -> int:
        op = e.op
        if op == "const":
            to = self._new_number()
            self.emit(k.CONST, to, self.tables.constants(_constant_of(e)))
            return to
        if op == "column":
            to = self._new_number()
            self.emit(k.LOAD, to, self.context.place(str(e.value)).row)
            return to
        if op in _TRUTHS or op in _TEXT_TESTS or (op == "call" and e.value == "ip_in"):
            to = self._new_number()
            plane = self.truth(e)
            self.emit(k.TRUTH_NUMBER, to, plane)
            self._plane = plane
            return to
        mark = self._number
        if op == "if":
            plane = self.truth(e.args[0])
            to, other = self._fresh(e.args[1]), self.number(e.args[2])
            self.emit(k.SELECT, to, other, extra=plane)
            self._plane = plane
            return self._result(mark)
        if op == "??":
            to, other = self._fresh(e.args[0]), self.number(e.args[1])
            self.emit(k.COALESCE, to, other)
            return self._result(mark)
        if op in _ARITHMETIC or op == "neg":
            at = [self._fresh(e.args[0]), *(self.number(part) for part in e.args[1:])]
            return self._apply(e, mark, at)
        if op == "lookup":
            return self._lookup(e, mark)
        assert op == "call", op
        if e.value in ("length", "similarity"):
            return self._of_texts(e, mark)
        return self._apply(e, mark, [self._fresh(part) for part in _arguments(e)])

    def _apply(self, e: Node, to: int, at: Sequence[int]) -> int:
        """Emit arithmetic or a function in place: the first argument stands in `to`, all in the registers `at`."""
        assert at[0] == to, (e.op, e.value, at)
        name = str(e.value)
        if e.op in _ARITHMETIC:
            self.emit(_ARITHMETIC[e.op], to, at[1])
        elif e.op == "neg":
            self.emit(k.NEG, to)
        elif name in _UNARY:
            self.emit(_UNARY[name], to)
        elif name in _FOLDED:
            for other in at[1:]:
                self.emit(_FOLDED[name], to, other)
        elif name in _UNITS:
            unit = self._new_number()
            self.emit(k.CONST, unit, self.tables.constants(_UNITS[name]))
            self.emit(k.DIV, to, unit)
        elif name in _ZONED:
            self.emit(_ZONED[name], to, self._zone())
        elif name == "distance_km":
            self.emit(k.DISTANCE, to)
        elif len(e.args) == 1:
            assert name == "age", name
            self.emit(k.SUB, to, at[1])
        else:
            assert name == "age", name
            self.emit(k.AGE, to, self._zone(), extra=_AGES[str(e.args[1].value)])
        return self._result(to)

    def _zone(self) -> int:
        return self.tables.constants(*zone_numbers(self.context.timezone))

    def _lookup(self, e: Node, mark: int) -> int:
        definition = self.context.lookups[str(e.value)]
        inner, cases = strip_cases(e.args[0])
        dictionary = self.dictionary(inner)
        value = (tuple(sorted(definition.values.items())), definition.default)
        table = self.tables.real(dictionary, cases, "lookup", value, definition.default)
        coded = self._coded
        at = self.code(inner, dictionary)
        self._coded = coded
        to = self._result(mark)
        self.emit(k.TABLE, to, at, table)
        return to

    def _of_texts(self, e: Node, mark: int) -> int:
        """`length` and `similarity`: a table if one text varies, else a column that Python fills."""
        pairs = [strip_cases(part) for part in e.args]
        varying = [(inner, cases) for inner, cases in pairs if inner.op != "const"]
        to = self._result(mark)
        kind = str(e.value)
        fixed = [recased(str(inner.value), cases) for inner, cases in pairs if inner.op == "const"]
        if not varying:
            value = float(len(fixed[0])) if kind == "length" else similarity(*fixed)
            self.emit(k.CONST, to, self.tables.constants(value))
        elif len(varying) == 1:
            inner, cases = varying[0]
            dictionary = self.dictionary(inner)
            other = fixed[0] if fixed else None
            table = self.tables.real(dictionary, cases, kind, other, np.nan)
            coded = self._coded
            self.emit(k.TABLE, to, self.code(inner, dictionary), table)
            self._coded = coded
        else:
            self.emit(k.LOAD, to, self._similar(e).row)
        return to

    def _similar(self, e: Node) -> Foreign:
        if e not in self._foreign:
            layout = self.context.layout
            sides = [self._words(part) for part in e.args]
            row = layout.add(f"~similarity {layout.n_number}", Type(NUMBER)).row
            self._foreign[e] = Foreign(row, *sides)
        return self._foreign[e]

    def _words(self, e: Node) -> _Words:
        """A text as a code column; what is no plain column gets a column and a program that writes it."""
        inner, cases = strip_cases(e)
        dictionary = self.dictionary(inner)
        self.tables.watch(dictionary)
        if inner.op == "column":
            return _Words(self.context.place(str(inner.value)).row, dictionary, cases, "")
        layout = self.context.layout
        place = layout.add(f"~text {layout.n_code}", Type(TEXT, dictionary), dictionary)
        builder = Builder(self.context)
        builder.store(inner, place)
        self._before.append(builder.build())
        return _Words(place.row, dictionary, cases, "")

    def _number_why(self, e: Node) -> tuple[int, int]:
        """Emit code for the number `e` and for why it is missing; return the lowest free register and plane."""
        columns = strict_columns(e)
        if columns is not None:
            at = self._fresh(e)
            plane = self._new_plane()
            self._why(plane, columns)
            if _computes(e):
                self.emit(k.WHY_COMPUTED, plane, at)
            return at, plane
        mark = self._number
        op = e.op
        if op in _TRUTHS or op in _TEXT_TESTS or (op == "call" and e.value == "ip_in"):
            to, plane = self._new_number(), self.truth(e)
            self.emit(k.TRUTH_NUMBER, to, plane)
            self.emit(k.WHY_TRUTH, plane)
            return to, plane
        if op == "if":
            plane = self.truth(e.args[0])
            (to, why), (y, other) = self._number_why(e.args[1]), self._number_why(e.args[2])
            self.emit(k.SELECT, to, y, extra=plane)
            self.emit(k.WHY_SELECT, plane, why, other, 0, plane)
            self._plane = plane + 1
            return self._result(mark), plane
        if op == "??":
            (to, plane), y = self._number_why(e.args[0]), self.number(e.args[1])
            self.emit(k.COALESCE, to, y)
            self.emit(k.WHY_KEEP, plane, to)
            return self._result(mark), plane
        if op == "call" and e.value in ("length", "similarity"):
            coded = self._coded
            whys = [self._code_why(part, self.dictionary(part))[1] for part in e.args]
            self._coded = coded
            to = self._of_texts(e, mark)
        else:
            both = [self._number_why(part) for part in _arguments(e)]
            whys = [why for _, why in both]
            to = self._apply(e, mark, [number for number, _ in both])
        for why in whys[1:]:
            self.emit(k.WHY_FIRST, whys[0], why)
        self.emit(k.WHY_COMPUTED, whys[0], to)
        self._plane = whys[0] + 1
        return to, whys[0]

    def _why(self, plane: int, columns: Sequence[str]) -> None:
        if columns:
            missing = self._blame(columns)
            self.emit(k.WHY, plane, self._operands(columns), len(columns), missing)
        else:
            self.emit(k.PLANE_CONST, plane)

    # Codes

    def code(self, e: Node, dictionary: str) -> int:
        """Emit code for the text `e` as a code of `dictionary`; return its register, the lowest free one."""
        mark = self._coded
        inner, cases = strip_cases(e)
        if inner.op == "const":
            self._coded_to(mark + 1)
            constant = self.tables.text(recased(str(inner.value), cases), dictionary)
            self.emit(k.CONST_CODE, mark, constant)
            return mark
        if inner.op == "column":
            place = self.context.place(str(inner.value))
            self._coded_to(mark + 1)
            self.emit(k.LOAD_CODE, mark, place.row)
            self._translate(mark, place.dictionary, cases, dictionary)
            return mark
        within = self.dictionary(inner) if cases else dictionary
        if inner.op == "??":
            _, other = (self.code(part, within) for part in inner.args)
            self.emit(k.COALESCE_CODE, mark, other)
        else:
            assert inner.op == "if", inner.op
            plane = self.truth(inner.args[0])
            _, other = (self.code(part, within) for part in inner.args[1:])
            self.emit(k.SELECT_CODE, mark, other, extra=plane)
            self._plane = plane
        self._coded = mark + 1
        self._translate(mark, within, cases, dictionary)
        return mark

    def _translate(self, at: int, source: str, cases: tuple[str, ...], target: str) -> None:
        if cases or source != target:
            self.emit(k.MAP, at, at, self.tables.code(source, cases, target))

    def _code_why(self, e: Node, dictionary: str) -> tuple[int, int]:
        """As `code`, and why it is missing; return the lowest free register and plane."""
        mark = self._coded
        inner, cases = strip_cases(e)
        within = self.dictionary(inner) if cases else dictionary
        if inner.op in ("const", "column"):
            at = self.code(e, dictionary)
            plane = self._new_plane()
            self._why(plane, [str(inner.value)] if inner.op == "column" else [])
            return at, plane
        if inner.op == "??":
            _, plane = self._code_why(inner.args[0], within)
            self.emit(k.COALESCE_CODE, mark, self.code(inner.args[1], within))
            self.emit(k.WHY_KEEP_CODE, plane, mark)
        else:
            assert inner.op == "if", inner.op
            plane = self.truth(inner.args[0])
            _, why = self._code_why(inner.args[1], within)
            y, other = self._code_why(inner.args[2], within)
            self.emit(k.SELECT_CODE, mark, y, extra=plane)
            self.emit(k.WHY_SELECT, plane, why, other, 0, plane)
        self._plane = plane + 1
        self._coded = mark + 1
        self._translate(mark, within, cases, dictionary)
        return mark, plane

    def dictionary(self, e: Node) -> str:
        """The dictionary in which the codes of a text expression are most at home."""
        return dictionary_of(e, self.context.place) or OWN

    # Registers

    def _new_plane(self) -> int:
        self._plane_to(self._plane + 1)
        return self._plane - 1

    def _plane_to(self, n: int) -> None:
        self._plane = n
        self._plane_max = max(self._plane_max, n)

    def _new_number(self) -> int:
        self._number_to(self._number + 1)
        self._number_max = max(self._number_max, self._number)
        return self._number - 1

    def _number_to(self, n: int) -> None:
        self._number = n
        self._number_max = max(self._number_max, n)

    def _result(self, mark: int) -> int:
        """Free all registers from `mark` on but `mark` itself, and return it."""
        self._number_to(mark + 1)
        return mark

    def _coded_to(self, n: int) -> None:
        self._coded = n
        self._coded_max = max(self._coded_max, n)


def dictionary_of(e: Node, place: Callable[[str], Place]) -> str | None:
    """Dictionary of the codes of a text expression; None if only constants, or recased texts, stand in it."""
    if e.op == "column":
        return place(str(e.value)).dictionary
    if e.op == "??":
        parts: tuple[Node, ...] = e.args
    elif e.op == "if":
        parts = e.args[1:]
    else:
        return None
    return next((d for d in (dictionary_of(part, place) for part in parts) if d is not None), None)


def _arguments(e: Node) -> tuple[Node, ...]:
    """Arguments of a call that are numbers; the event's time stands before the argument of `age`."""
    if e.value == "age":
        return Node("column", e.args[0].type, value=EVENT_TIME), e.args[0]
    return e.args


def _constant_of(e: Node) -> float:
    assert isinstance(e.value, bool | int | float), e
    return float(e.value)
