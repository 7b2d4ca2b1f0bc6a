"""Tables in files, read as rows in blocks: CSV and foreign NDJSON; Parquet stands in engine/brokers/parquet.py.

Also their order by time. Whoever wants it, of a file that does not have it, holds the whole table.
"""

import csv
import io
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.errors import InputError
from engine.brokers.mapping import UNREAD, Column, Mapper, Moments, Rows
from engine.brokers.packed import BLOCK_BYTES, Splitter, open_packed

I8: TypeAlias = NDArray[np.int64]

BLOCK_ROWS: Final = 32_768
CSV_LINES: Final = 100  # of one row, whose texts may hold line ends
CSV_ROWS: Final = 4_096  # a row is a list of texts: larger blocks fall out of the cache, 2.7 us a row instead of 1.6


class Table:
    """A file of rows. `names` are its columns; `is_loose`: rows may have others or lack some (JSON)."""

    is_loose = False
    n_rows = 0  # 0: not known beforehand

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, list(names)

    def read(self, names: Sequence[str]) -> Iterator[Rows]:
        """Read the columns `names`, in blocks, from the start."""
        raise NotImplementedError


class CsvTable(Table):
    def __init__(self, path: Path) -> None:
        with self._text(path) as stream:
            header = self._records(path, stream).header()
        if not header:
            raise InputError("the file has no header", str(path), fix="name the columns in line 1")
        super().__init__(path, header)

    @staticmethod
    def _text(path: Path) -> IO[str]:
        # bytes that are not UTF-8 travel through, and become a dead letter where they end up
        return io.TextIOWrapper(
            io.BufferedReader(open_packed(path), BLOCK_BYTES),
            encoding="utf-8-sig",
            errors="surrogateescape",
            newline="",
        )

    @staticmethod
    def _records(path: Path, stream: IO[str]) -> "_CsvRecords":
        return _CsvRecords(stream, "\t" if ".tsv" in path.suffixes else ",")

    def read(self, names: Sequence[str]) -> Iterator[Rows]:
        with self._text(self.path) as stream:
            records = self._records(self.path, stream)
            records.header()
            width, rows = len(self.names), [[""]]
            wanted = {name: self.names.index(name) for name in names}
            while rows:
                rows, numbers = records.read(CSV_ROWS, width)
                if [] in rows:  # blank lines
                    numbers = [number for row, number in zip(rows, numbers, strict=True) if row]
                    kept = [row for row in rows if row]
                else:
                    kept = rows
                if not kept:
                    continue
                if set(map(len, kept)) != {
                    width
                }:  # too short: the rest is missing; too long: left out
                    kept = [(row + [""] * width)[:width] for row in kept]
                columns: dict[str, Column] = {
                    n: [row[i] for row in kept] for n, i in wanted.items()
                }
                yield Rows(columns, numbers, is_typed=False)


class _CsvRecords:
    """Rows of a CSV file, each with the number of the line it ends in.

    A quote that is never closed would swallow all lines up to the next one. So several lines are one row only to the
    letter of RFC 4180, and with as many fields as there are columns; else the first line stands alone, and the others
    are read again.
    """

    def __init__(self, stream: IO[str], delimiter: str) -> None:
        csv.field_size_limit(1 << 24)
        self._stream, self._delimiter = stream, delimiter
        self._again: deque[str] = deque()
        self._taken: list[str] = []  # lines of the row being read
        self._n_lines = 0
        self._reader = self._new_reader()

    def header(self) -> list[str]:
        """The first row; empty if there is none."""
        row: list[str] = next(self._reader, [])
        self._close()
        return row

    def read(self, n_rows: int, width: int) -> tuple[list[list[str]], list[int]]:
        """The next rows, at most `n_rows`, of a table of `width` columns; none at the end."""
        rows: list[list[str]] = []
        numbers: list[int] = []
        while len(rows) < n_rows:
            try:
                for row in itertools.islice(self._reader, n_rows - len(rows)):
                    if len(self._taken) > 1:
                        self._check(width)
                    rows.append(row)
                    numbers.append(self._close())
                break
            except csv.Error:
                rows.append(self._first_alone())
                numbers.append(self._close())
        return rows, numbers

    def _new_reader(self) -> Any:
        return csv.reader(self._lines(), delimiter=self._delimiter)

    def _lines(self) -> Iterator[str]:
        taken = self._taken
        for line in itertools.chain(self._read_again(), self._stream):
            taken.append(line)
            if len(taken) > CSV_LINES:
                raise csv.Error
            yield line

    def _read_again(self) -> Iterator[str]:
        while self._again:
            yield self._again.popleft()

    def _check(self, width: int) -> None:
        """Raise `csv.Error` unless the lines taken are a row to the letter of RFC 4180, of `width` fields."""
        [row] = csv.reader(self._taken, delimiter=self._delimiter, strict=True)
        if len(row) != width:
            raise csv.Error

    def _first_alone(self) -> list[str]:
        """The first line of what was taken, as a row; the others will be read again."""
        first, *others = self._taken
        self._again.extendleft(reversed(others))
        self._taken[1:] = []
        self._reader = self._new_reader()
        try:
            return next(csv.reader([first], delimiter=self._delimiter))
        except csv.Error:
            return [""]

    def _close(self) -> int:
        """End the row; the number of its last line."""
        self._n_lines += len(self._taken)
        self._taken.clear()
        return self._n_lines


class JsonTable(Table):
    """Foreign NDJSON: names are keys, or paths such as `merchant.id` into nested objects."""

    is_loose = True

    def __init__(self, path: Path, line_bytes: int) -> None:
        super().__init__(path, ())
        self.line_bytes = line_bytes

    def read(self, names: Sequence[str]) -> Iterator[Rows]:
        splitter, number = Splitter(self.line_bytes), 1
        with open_packed(self.path) as stream:
            for block in itertools.chain(iter(lambda: stream.read(BLOCK_BYTES), b""), (None,)):
                lines = splitter.rest() if block is None else splitter.split(block)
                if lines:
                    yield self._rows(lines, names, number)
                number += len(lines)

    @staticmethod
    def _rows(lines: list[bytes], names: Sequence[str], number: int) -> Rows:
        objects: list[dict[str, Any]] = []
        raw: dict[int, bytes] = {}
        for i, line in enumerate(lines):
            try:
                found = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found = None
            if not isinstance(found, dict):
                found, raw[i] = {}, line
            objects.append(found)
        columns: dict[str, Column] = {}
        for name in names:
            columns[name] = [_inside(found, name) for found in objects]
        return Rows(columns, range(number, number + len(lines)), raw)


def _inside(found: Any, name: str) -> Any:
    if name in found or "." not in name:
        value = found.get(name)
    else:
        value = found
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    return json_text(value) if isinstance(value, (dict, list)) else value


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def in_time(table: Table, mapper: Mapper) -> Iterator[Rows]:
    """Rows by time, then by id. A first pass over the times alone tells whether the file must be held as a whole."""
    names = mapper.time.sources if mapper.time is not None else ()
    newest, is_sorted = UNREAD, True
    for rows in table.read(names):
        us = mapper.times(rows)
        us = us[us != UNREAD]
        if len(us):
            is_sorted &= bool(us[0] >= newest and (np.diff(us) >= 0).all())
            newest = int(us[-1])
    if not is_sorted:
        whole = concatenate(list(table.read(mapper.names)))
        order = time_order(whole, mapper)
        for start in range(0, len(order), BLOCK_ROWS):
            yield take(whole, order[start : start + BLOCK_ROWS])
        return
    held: Rows | None = None  # rows of the newest moment so far: more of it may follow
    for rows in table.read(mapper.names):
        if held is not None:
            rows = concatenate([held, rows])
        us = filled(mapper.times(rows))
        order = time_order(rows, mapper)
        n_sure = int(np.searchsorted(us, us[-1], side="left"))
        if n_sure:
            yield take(rows, order[:n_sure])
        held = take(rows, order[n_sure:])
    if held is not None:
        yield held


def time_order(rows: Rows, mapper: Mapper) -> I8:
    """Order by (time, id); rows without a time stay with the one before."""
    return np.lexsort((mapper.ids(rows), filled(mapper.times(rows))))


def filled(us: I8) -> I8:
    """Times, those of rows without one taken from the row before."""
    known = np.where(us != UNREAD, np.arange(len(us)), 0)
    return us[np.maximum.accumulate(known)]


def concatenate(parts: Sequence[Rows]) -> Rows:
    """Several runs of rows as one."""
    if not parts:
        return Rows({}, [])
    columns: dict[str, Column] = {}
    for name in parts[0].columns:
        pieces = [part.columns[name] for part in parts]
        first = pieces[0]
        if isinstance(first, Moments):
            columns[name] = Moments(np.concatenate([p.us for p in pieces]), first.aware)  # type: ignore[union-attr]
        else:
            columns[name] = list(itertools.chain.from_iterable(pieces))  # type: ignore[arg-type]
    numbers = list(itertools.chain.from_iterable(part.numbers for part in parts))
    raw: dict[int, bytes] = {}
    start = 0
    for part in parts:
        raw |= {start + i: line for i, line in part.raw.items()}
        start += len(part)
    return Rows(columns, numbers, raw, is_typed=parts[0].is_typed)


def take(rows: Rows, order: I8) -> Rows:
    """The rows `order`, in that order."""
    at = order.tolist()
    columns: dict[str, Column] = {
        name: values[order] if isinstance(values, Moments) else [values[i] for i in at]
        for name, values in rows.columns.items()
    }
    raw = {k: rows.raw[i] for k, i in enumerate(at) if i in rows.raw} if rows.raw else {}
    return Rows(columns, [rows.numbers[i] for i in at], raw, rows.is_typed)
