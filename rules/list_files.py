"""CSV files with the rows of a list: the value first, when the row holds, and further columns of text.

    account,valid_from,valid_until,source,reference,category
    A1,2026-03-01,2026-09-01T00:00:00+08:00,police,PD-2026-17,mule

The first line names the columns; the first column is the value, whatever its name. `valid_from` and `valid_until` may
be empty, a date is its midnight in the pack's zone. Every faulty row is a finding at its place in the file itself.
"""

import contextlib
import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from config import marks
from config.errors import ConfigError
from rules.check.findings import at_range
from rules.check.suggest import nearest
from rules.definitions import ListRow
from rules.reader import Findings, instant_us
from rules.tree import CATEGORY, NUMBER, Type

VALIDITY: Final = ("valid_from", "valid_until")
RANGE_MAX: Final = 100_000  # values that one `3000-3299` may stand for
BYTES_MAX: Final = 256 * 1024 * 1024
COLUMNS_MAX: Final = (
    100  # a file with more is something else, and every finding looks its heading through
)
AGAIN_SHOWN: Final = 5  # values of a file that stand in it twice
AGAIN_HINT: Final = "take one of the two out"
_RANGE: Final = re.compile(r"([0-9]+)-([0-9]+)")
_LOOSE_RANGE: Final = re.compile(r"([0-9]+)\s*[-\u2010-\u2015\u2212]\s*([0-9]+)")
_VALUE: Final = re.compile(r"#.*|[0-9][0-9 .,_-]*")  # no name of a column looks so
# What people call the times that a row holds from and until, and would otherwise believe to have written.
_STARTS: Final = frozenset(
    {"from", "start", "starts", "since", "begin", "start_date", "valid_since"}
)
_ENDS: Final = frozenset(
    {"until", "to", "end", "ends", "expires", "expiry", "end_date", "expiry_date", "valid_to"}
)
_VALUE_NAMES: Final = frozenset({"value", "values", "id"})
SHAPES_MAX: Final = 20  # rows that the heading is compared with
_NUMBER: Final = r"[0-9][0-9_]*(?:\.[0-9]+)?"
_NUMBERS: Final = re.compile(rf"(-?{_NUMBER})(?:-({_NUMBER}))?")


@dataclass(slots=True)
class Content:
    """What a list holds: `columns` beside the value, and rows."""

    columns: list[str] = field(default_factory=list)
    rows: list[ListRow] = field(default_factory=list)
    is_dated: bool = False
    values: set[str] = field(default_factory=set)
    known: set[ListRow] | None = None  # every row, once a value has come twice

    def knows(
        self, values: Iterable[str], start: int | None, end: int | None, texts: tuple[str, ...]
    ) -> str:
        """The first of some values that a row so far has already, with the same texts and times; "" for none."""
        again = [value for value in values if value in self.values]
        if again and self.known is None:
            self.known = set(self.rows)
        return next((v for v in again if ListRow(v, start, end, texts) in (self.known or ())), "")

    def add(self, value: str, start: int | None, end: int | None, texts: tuple[str, ...]) -> None:
        row = ListRow(value, start, end, texts)
        self.rows.append(row)
        self.values.add(value)
        if self.known is not None:
            self.known.add(row)
        self.is_dated |= start is not None or end is not None


def validity_meant(name: str) -> str:
    """Return valid_from or valid_until if a column is probably meant to be one of them, else "".

    >>> validity_meant("valid_form"), validity_meant("Expires"), validity_meant("source")
    ('valid_from', 'valid_until', '')
    """
    word = name.lower().replace(" ", "_")
    if word in _STARTS:
        return VALIDITY[0]
    return VALIDITY[1] if word in _ENDS else nearest(word, VALIDITY)


def _shape(text: str) -> str:
    """Letters by case and number, digits as one: values of a list look alike, its heading does not.

    >>> _shape("K-12345"), _shape("customer_2")
    ('A-9', 'aaaaaaaa_9')
    """
    kinds = (
        "9" if c.isdigit() else "A" if c.isupper() else "a" if c.isalpha() else c for c in text
    )
    return re.sub("9+", "9", "".join(kinds))


def expanded(value: str, kind: Type) -> Sequence[str]:
    """Write out a range of codes such as 3000-3299, leading zeros kept; a range of numbers stays one.

    Raises ValueError that says what is wrong.

    >>> expanded("0998-1001", Type(CATEGORY))
    ['0998', '0999', '1000', '1001']
    """
    if kind.kind == NUMBER:
        numbers = _NUMBERS.fullmatch(value)
        if numbers is None:
            raise ValueError(f'"{value}" is not a number')
        if numbers[2] is not None and _float(numbers[1]) > _float(numbers[2]):
            raise ValueError(f"{value} is not a range: the lower number comes first")
        return (value.replace("_", ""),)
    match = _RANGE.fullmatch(value) if kind.kind == CATEGORY else None
    if match is None:
        if kind.kind == CATEGORY and (loose := _LOOSE_RANGE.fullmatch(value)):
            raise ValueError(f'"{value}" is read as one code; a range is {loose[1]}-{loose[2]}')
        return (value,)
    low, high = int(match[1]), int(match[2])
    if low > high or high - low >= RANGE_MAX:
        raise ValueError(f"{value} is not a range of at most {RANGE_MAX:_} values, the lower first")
    width = len(match[1]) if len(match[1]) == len(match[2]) else 0
    return [str(n).zfill(width) for n in range(low, high + 1)]


def _float(text: str) -> float:
    return float(text.replace("_", ""))


def read(
    path: Path, node: marks.TextNode, findings: Findings, kind: Type, zone: ZoneInfo
) -> Content:
    """Return the rows of a file that `node` names; what is wrong with it is reported."""
    try:
        text = marks.read_text(path, node.value, BYTES_MAX)
    except ConfigError as error:
        findings.at("WR009", node, f"{node.value} {error.what}", error.fix)
        return Content()
    reading = _Reading(text, node, findings, kind, zone)
    reading.read()
    return reading.content


class _Reading:
    """One file, row by row."""

    def __init__(
        self, text: str, node: marks.TextNode, findings: Findings, kind: Type, zone: ZoneInfo
    ) -> None:
        self._text, self._node, self._findings = text, node, findings
        self._kind, self._zone = kind, zone
        self._source: marks.Source | None = None
        self._instants: dict[str, int | None] = {"": None}
        self._first_line = 1  # of the row being read
        self._n_again = 0
        self.content = Content()

    def read(self) -> None:
        rows = csv.reader(io.StringIO(self._text, newline=""), strict=True)
        try:
            heading = [h.strip() for h in next(rows, [])]
            if not any(heading):
                what = f"{self._node.value} has no heading"
                self._findings.at("WR007", self._node, what, "the first line names the columns")
                return
            if len(heading) > COLUMNS_MAX:
                what = (
                    f"the heading names {len(heading):,} columns, a list has at most {COLUMNS_MAX}"
                )
                self._say(COLUMNS_MAX, what, "leave out what no rule and no title reads")
                return
            self._check_heading(heading)
            texts = [k for k, name in enumerate(heading) if k and name not in VALIDITY]
            dates = [heading.index(name) if name in heading[1:] else -1 for name in VALIDITY]
            self.content.columns = [heading[k] for k in texts]
            self._first_line = rows.line_num + 1
            for row in rows:
                self._row(row, heading, texts, dates)
                self._first_line = rows.line_num + 1
        except csv.Error as error:
            what = f"the row cannot be read: {error}"
            self._say(
                0, what, 'a text with a comma or quote stands in quotes, "" for a quote in it'
            )

    def _check_heading(self, heading: Sequence[str]) -> None:
        if len(heading) == 1 and (apart := re.search(r"[;\t|]", heading[0])):
            what = f"{heading[0]!r} is one column: a comma stands between columns"
            self._say(0, what, f"write , in place of {apart[0]!r}")
        elif (k := self._no_name(heading)) >= 0:
            what = f"the first line names the columns, and {heading[k]} is no name"
            named = self._kind.detail or "value"
            more = ",valid_from,valid_until" if k else ""
            self._say(k, what, f"write a heading above it, such as: {named}{more}")
        for k, name in enumerate(heading):
            if not name:
                self._say(k, "a column without a name", "name every column in the first line")
            elif name in heading[:k]:
                self._say(k, f"two columns are named {name}", "rename one of them")
            elif k and name not in VALIDITY and (guess := validity_meant(name)):
                self._say(k, f"{name} would be read as plain text", f"did you mean {guess}?")
            elif not k and name in VALIDITY:
                self._say(k, f"the first column is the value, not {name}", "put the value first")

    def _no_name(self, heading: Sequence[str]) -> int:
        """Which cell of the first line is a value rather than a name, -1 for none: the file has no heading then."""
        for k, name in enumerate(heading):
            if _VALUE.fullmatch(name) or instant_us(name, self._zone) is not None:
                return k
        first = heading[0]
        has_digit = re.search("[0-9]", first) is not None
        if first.lower() in {*_VALUE_NAMES, self._kind.detail}:
            return -1
        if first == first.lower() and not has_digit:
            return -1
        if has_digit and first != first.lower():
            return 0  # A17, K9000012
        rows = csv.reader(io.StringIO(self._text, newline=""))
        alike: list[bool] = []
        with contextlib.suppress(csv.Error):  # which the reading of the rows tells
            below = (row[0].strip() for row in itertools.islice(rows, 1, SHAPES_MAX) if row)
            alike = [_shape(value) == _shape(first) for value in below if value]
        if any(alike) and (has_digit or all(alike)):
            return 0
        return -1

    def _row(
        self, row: list[str], heading: Sequence[str], texts: list[int], dates: list[int]
    ) -> None:
        if not any(map(str.strip, row)):
            return
        n = len(heading)
        if len(row) > n:
            if any(map(str.strip, row[n:])):
                hint = "put a text with a comma into quotes"
                self._say(n, f"the row has {len(row)} cells, the heading names {n}", hint)
                return
            row = row[:n]
        row = [cell.strip() for cell in row] + [""] * (n - len(row))
        if not row[0]:
            self._say(0, f"the row has no {heading[0]}", "write the value, or remove the row")
            return
        try:
            values = expanded(row[0], self._kind)
        except ValueError as error:
            self._say(
                0, str(error), "write a number, or low-high" if self._kind.kind == NUMBER else ""
            )
            return
        found = [self._instant(row, k, heading) for k in dates]
        if None in found:
            return
        (_, start), (_, end) = (pair for pair in found if pair is not None)
        if start is not None and end is not None and start >= end:
            what = f"valid_until {row[dates[1]]} is not later than valid_from {row[dates[0]]}"
            self._say(
                dates[1], what, "the row holds from valid_from up to, not including, valid_until"
            )
            return
        told = tuple(row[k] for k in texts)
        if again := self.content.knows(values, start, end, told):
            self._say_again(again)
        for value in values:
            self.content.add(value, start, end, told)

    def _instant(
        self, row: Sequence[str], k: int, heading: Sequence[str]
    ) -> tuple[str, int | None] | None:
        """The time in a cell, None in place of the pair after a report."""
        text = row[k] if k >= 0 else ""
        if text not in self._instants:
            us = instant_us(text, self._zone)
            if us is None:
                what = f'{heading[k]} "{text}" is not a date or time with offset'
                self._say(k, what, "write 2026-03-02 or 2026-03-02T10:00:00Z")
                return None
            self._instants[text] = us
        return text, self._instants[text]

    def _say_again(self, value: str) -> None:
        """Report a value that stands in an earlier row, the first few times."""
        self._n_again += 1
        if self._n_again <= AGAIN_SHOWN:
            more = " (further ones are not told)" if self._n_again == AGAIN_SHOWN else ""
            self._say(0, again(value) + more, AGAIN_HINT, code="WR343")

    def _say(self, k: int, what: str, hint: str = "", *, code: str = "WR340") -> None:
        """Report something about cell `k` of the row being read."""
        if self._source is None:
            self._source = marks.Source.of(self._text, self._node.value)
        source = self._source
        line = min(self._first_line, len(source.starts))
        start, end = cell_span(self._text, source.starts[line - 1], k)
        self._findings.add(at_range(code, source, start, end, what, hint))


def again(value: str) -> str:
    """What is said of a value that stands in a list twice."""
    return f"{value} stands in the list already"


def cell_span(text: str, start: int, k: int) -> tuple[int, int]:
    """Where cell `k` of the row that begins at `start` stands, its quotes included; the end of the row if it has none.

    >>> [cell_span('a,"b,""c",d', 0, k) for k in range(3)]
    [(0, 1), (2, 9), (10, 11)]
    """
    at, in_quotes = start, False
    for i in range(start, len(text) + 1):
        c = text[i] if i < len(text) else "\n"
        if c == '"':
            in_quotes = not in_quotes
        elif i == len(text) or (not in_quotes and c in ",\r\n"):
            if k == 0 or c != ",":
                return at, max(i, at + 1)
            k, at = k - 1, i + 1
    return start, start + 1
