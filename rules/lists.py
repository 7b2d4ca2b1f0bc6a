"""What a list says of a value at a time: rows of the pack, and rows that were added while the engine runs.

A row without dates holds always; one with dates for events of `from_us` <= event time < `until_us`, judged by the
event's own time, so that a late event and a replay get the same answer. `holds` and `row_at` answer for one value;
`Listed` is how the tables of the rules ask (rules/texts.py). Not here: reading lists (rules/tables.py), and who adds
rows when (engine/lists.py).
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from hashlib import blake2b
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.errors import ConfigError
from config.money import exponent, minor_units
from rules.definitions import ListDefinition, ListRow
from rules.tree import CATEGORY, MONEY, Node

Span: TypeAlias = tuple[float, float]  # half-open, microseconds UTC

ALWAYS: Final[Span] = (-math.inf, math.inf)
NEVER, HOLDS, BY_TIME = 0, 1, 2  # what a list says of a text: no, yes, at some times only
ADDED_COLUMNS: Final = ("source", "reference")  # of the rows that were added at runtime
_COMPARED_MAX: Final = 20_000  # texts in one step
_RANGE: Final = re.compile(r"(\d+)-(\d+)")


def number_ranges(values: Iterable[str], of: ListDefinition) -> list[tuple[float, float]]:
    """Return the content of a list of numbers, each a range; `a-b` is one, inclusive; money in minor units."""
    return [_ends(value, of) for value in sorted(values)]


def _ends(value: str, of: ListDefinition) -> tuple[float, float]:
    digits = exponent(of.type.detail) if of.type.kind == MONEY and of.type.detail else 0
    sign = "-" if value.startswith("-") else ""
    low, dash, high = value.removeprefix("-").partition("-")
    low = sign + low
    try:
        first, last = (_number(part, of.type.kind == MONEY, digits) for part in (low, high or low))
    except ValueError:
        raise ConfigError(
            f"`{value}` in the list `{of.name}` is no number",
            str(of.place),
            why=f"the list is of type {of.type}",
            fix=f"remove it{', or write low-high' if dash else ''}",
        ) from None
    return first, last


def _number(text: str, is_money: bool, digits: int) -> float:
    text = text.strip().replace("_", "")
    if is_money:
        return float(minor_units(text.partition(" ")[0], digits, signed=True))
    return float(text)


def code_ranges(of: ListDefinition) -> list[tuple[int, int, int]]:
    """Ranges of codes among `of.values` that are not written out: how many digits, low and high, both inside."""
    if of.type.kind != CATEGORY:
        return []
    found = (_RANGE.fullmatch(value) for value in sorted(v for v in of.values if "-" in v))
    return [(len(m[1]), int(m[1]), int(m[2])) for m in found if m and len(m[1]) == len(m[2])]


def contains(of: ListDefinition) -> Callable[[str], bool]:
    """Whether a text is among `of.values`; in a list of a category `3000-3299` holds all between of the same length."""
    ranges = code_ranges(of)
    if not ranges:  # asks the list, for a set would be copied on its way to another process
        return lambda text: text in of.values

    def answer(text: str) -> bool:
        if text in of.values:
            return True
        if not (text.isascii() and text.isdigit()):
            return False
        return any(n == len(text) and low <= int(text) <= high for n, low, high in ranges)

    return answer


def holds(of: ListDefinition, value: str | float, time_us: float | None) -> bool:
    """Whether a value is in a list at a time, its added rows included; None is no time."""
    if row_at(of, value, time_us) is not None:
        return True
    if of.rows:
        return False
    if isinstance(value, str):
        return contains(of)(value)
    return any(low <= value <= high for low, high in number_ranges(of.values, of))


def row_at(
    of: ListDefinition, value: str | float, time_us: float | None
) -> tuple[ListRow, Mapping[str, str]] | None:
    """The first row that holds for a value at a time and what stands in its columns; rows of the pack come first.

    None where no row does; a value of a list without columns and dates stands in no row.
    """
    for rows, columns in (
        (_about(of, of.rows, value), of.columns),
        (_about(of, of.added, value), ADDED_COLUMNS),
    ):
        for row in rows:
            if row.holds_at(time_us):
                return row, dict(zip(columns, row.texts, strict=False))
    return None


def _about(of: ListDefinition, rows: Sequence[ListRow], value: str | float) -> Iterable[ListRow]:
    """Those of `rows` whose value is, or covers, `value`."""
    if isinstance(value, str):
        return (
            of.by_value.get(value, ()) if rows is of.rows else (r for r in rows if r.value == value)
        )
    return (r for r in rows if (ends := _ends(r.value, of))[0] <= value <= ends[1])


def compared(when: Node) -> dict[str, tuple[Node, ...]]:
    """What a condition compares with each list by `in`, in the order of the text."""
    found: dict[str, dict[Node, None]] = {}
    for node in when.walk():
        if node.op == "in" and isinstance(node.value, str):
            found.setdefault(node.value.removeprefix("@"), {})[node.args[0]] = None
    return {name: tuple(nodes) for name, nodes in found.items()}


def spans(rows: Iterable[ListRow]) -> tuple[Span, ...]:
    """When any of `rows` holds: spans that neither touch nor overlap, the earliest first.

    >>> spans([ListRow("a", 1, 5), ListRow("a", 5, 7), ListRow("a", 9, None), ListRow("a", 3, 3)])
    ((1.0, 7.0), (9.0, inf))
    """
    found: list[Span] = []
    each = sorted(
        (
            -math.inf if r.from_us is None else float(r.from_us),
            math.inf if r.until_us is None else float(r.until_us),
        )
        for r in rows
    )
    for start, end in each:
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)


def _marks(of: ListDefinition) -> tuple[NDArray[np.uint64], list[str]]:
    """A number for each text of a list and the times at which it holds, sorted, and the texts in the same order."""
    if of.rows:  # `by_value` is made now, and not when the first title or the first added row asks
        by_value = of.by_value
        texts = [*by_value]
        said = texts
        if of.is_dated:
            said = [
                f"{text}\0{[(row.from_us, row.until_us) for row in by_value[text]]}"
                for text in texts
            ]
    else:
        texts = said = [*of.values]
    raw = b"".join(
        blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in said
    )
    marks = np.frombuffer(raw, np.uint64)
    order = np.argsort(marks)
    return marks[order], [texts[k] for k in order.tolist()]


class Listed:
    """The content of one list as tables ask for it; `change` adds to it while the engine runs.

    has_ranges : `texts` do not say it all, for a range of codes is not written out
    n_changes  : how often `change` was called

    What two contents of a list differ in is found by marks: 64 bits of a hash of each text and when it holds, sorted.
    They are made with the list, which another process may do, so that a reload compares 100,000 rows in milliseconds.
    """

    def __init__(self, of: ListDefinition) -> None:
        self.of = of
        self.is_dated = of.is_dated
        self.n_changes = 0
        self.added: dict[str, tuple[ListRow, ...]] = {}
        self.has_ranges = bool(code_ranges(of))
        self._contains = contains(of)
        self._marks, self._marked = _marks(of)
        self._apart: tuple[Listed, list[str]] | None = None  # found ahead

    def anew(self, of: ListDefinition) -> "Listed":
        """The same content for a list that holds the same, without what was added while the engine ran."""
        made = copy(self)
        made.of, made.is_dated, made.n_changes = of, of.is_dated, 0
        made.added, made._apart = {}, None  # noqa: SLF001
        return made

    def change(self, added: Mapping[str, Sequence[ListRow]]) -> None:
        """Say which rows are added for each of some values now; none takes them away."""
        self.n_changes += 1
        for value, rows in added.items():
            if rows:
                self.added[value] = tuple(rows)
            else:
                self.added.pop(value, None)
        self.is_dated = True

    @property
    def texts(self) -> Iterable[str]:
        """Every text that the list may hold at some time."""
        return self.of.values.union(self.added) if self.added else self.of.values

    def changed(self, before: "Listed") -> set[str]:
        """Texts about which another content of the list may have said something else."""
        if before.has_ranges or self.has_ranges or before.of.is_dated != self.of.is_dated:
            return {*before.texts, *self.texts}
        if self._apart is None or self._apart[0] is not before:
            for _ in self.compare_ahead(before):
                pass
        assert self._apart is not None
        (_, apart), self._apart = self._apart, None  # it holds on to the content before
        return {*before.added, *self.added, *apart}

    def compare_ahead(self, before: "Listed") -> Iterator[None]:
        """Do what takes long of `changed(before)`, some 20,000 texts a step; what is added meanwhile may change."""
        found: list[str] = []
        is_same = np.array_equal(self._marks, before._marks)  # noqa: SLF001
        for of, other in () if is_same else ((before, self), (self, before)):
            for first in range(0, len(of._marks), _COMPARED_MAX):  # noqa: SLF001
                found += of._beyond(other, first)  # noqa: SLF001
                yield
        self._apart = before, found

    def _beyond(self, other: "Listed", first: int) -> list[str]:
        """Some texts, from the place `first` on, of which the other content says nothing, or something else."""
        own = self._marks[first : first + _COMPARED_MAX]
        theirs = other._marks  # noqa: SLF001
        if not len(theirs):
            return self._marked[first : first + _COMPARED_MAX]
        places = np.minimum(np.searchsorted(theirs, own), len(theirs) - 1)
        return [self._marked[first + k] for k in np.flatnonzero(theirs[places] != own).tolist()]

    def spans(self, text: str) -> tuple[Span, ...]:
        """When a text is in the list."""
        if not self.of.rows:
            if self._contains(text):
                return (ALWAYS,)
            return spans(self.added[text]) if text in self.added else ()
        rows = self.of.by_value.get(text, ())
        added = self.added.get(text, ())
        return spans((*rows, *added)) if rows or added else ()

    def says(self, text: str) -> int:
        """NEVER, HOLDS or BY_TIME; dates that cover all time are dates, for an event without a time."""
        if not self.of.rows and self._contains(text):
            return HOLDS
        if not self.is_dated:
            return int(text in self.of.values)
        rows = (*self.of.by_value.get(text, ()), *self.added.get(text, ()))
        if not all(row.is_dated for row in rows):
            return HOLDS
        return BY_TIME if self.spans(text) else NEVER

    def ranges(self) -> list[tuple[float, float, float, float]]:
        """Of a list of numbers: low, high (both inside), from, until (not inside)."""
        of = self.of
        rows: Iterable[ListRow] = of.rows or map(ListRow, sorted(of.values))
        return [
            (*_ends(row.value, of), *span)
            for row in (*rows, *(row for value in sorted(self.added) for row in self.added[value]))
            for span in spans((row,))
        ]

    def row_at(
        self, value: str | float, time_us: float | None
    ) -> tuple[ListRow, Mapping[str, str]] | None:
        """As `row_at` of this module."""
        found = row_at(self.of, value, time_us)
        if found is not None or not self.added:
            return found
        rows = (
            self.added.get(value, ())
            if isinstance(value, str)
            else _about(self.of, [r for rows in self.added.values() for r in rows], value)
        )
        for row in rows:
            if row.holds_at(time_us):
                return row, dict(zip(ADDED_COLUMNS, row.texts, strict=False))
        return None
