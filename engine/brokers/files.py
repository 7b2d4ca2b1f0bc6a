"""Files, folders' worth of them, and standard input as a `Source`: NDJSON, CSV and Parquet, plain or compressed.

Our own NDJSON passes line by line as it stands. Everything else goes through a feed (engine/brokers/mapping.py): rows
become messages, in the order of the file or of time, and verdicts that stand in the rows become labels that arrive
later, merged in between. Positions are `name:line` (`name:row` in Parquet, both from 1), with `#label` behind the
verdict of a row, where `name` is the file's, with as much of its folder as tells two files apart.

Memory: one block of a file, and the verdicts that are not due yet; the whole table only where a feed wants the order of
time and a file does not have it.
"""

import csv
import gzip
import io
import itertools
import json
import os
import select
import sys
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from numpy.typing import NDArray

from config.errors import InputError
from config.feeds import ENVELOPE, Feed, Target
from config.schema import Schema, near
from engine.brokers.mapping import UNREAD, Column, Mapped, Mapper, Moments, Rows
from engine.clock import Clock
from engine.ports import Messages

I8: TypeAlias = NDArray[np.int64]

BLOCK_BYTES: Final = 1 << 20
BLOCK_ROWS: Final = 32_768
CSV_ROWS: Final = 4_096  # a row is a list of texts: larger blocks fall out of the cache, 2.7 us a row instead of 1.6
STDIN: Final = "-"
_TEXT_ENDINGS: Final = (".ndjson", ".jsonl", ".json")
_TABLE_ENDINGS: Final = (".csv", ".tsv", ".parquet")
_PACKED: Final = (".gz", ".zst")
ZSTD_BYTES: Final = 1 << 12  # unpacked at once; of these even a bomb makes no more than 128 MB
DAMAGED: Final = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)


@dataclass(slots=True)
class Piece:
    """Messages in their final order, and where each stands."""

    lines: list[bytes]
    positions: list[str]


class FileSource:
    """Recorded files, one after the other, as a `Source`.

    feed       : how the files name things
    delay_us   : when verdicts inside rows arrive; None: as the feed says
    clock      : given for a live source: arrivals are stamped, events ahead of it are refused
    line_bytes : of a longer line only so much and one byte is kept, which is enough to refuse it
    """

    def __init__(
        self,
        paths: Sequence[Path],
        feed: Feed,
        schema: Schema,
        *,
        delay_us: int | None = None,
        clock: Clock | None = None,
        line_bytes: int = 1 << 20,
    ) -> None:
        for path in paths:
            if not path.is_file():
                raise InputError(f"there is no file {path}", fix="correct the path of the input")
            _is_text(path)  # or refuses the name, before anything is begun
        self.paths, self.feed, self.schema = list(paths), feed, schema
        self.is_live = clock is not None
        self.clock = clock
        self.line_bytes = line_bytes
        self.names = short_names(self.paths)
        self.mapper = Mapper(feed, schema, delay_us)
        self.bytes_total = sum(path.stat().st_size for path in self.paths)
        self.bytes_done = 0
        self._waiting = _Waiting()
        self._pieces = self._read_all()
        self._piece, self._at = Piece([], []), 0

    @property
    def records_total(self) -> int | None:
        """How many messages there will be at most, where the files say so; for a progress bar."""
        if any(_ending(path) != ".parquet" for path in self.paths):
            return None
        try:
            rows: int = sum(pq.read_metadata(path).num_rows for path in self.paths)
        except DAMAGED:  # told when it is read
            return None
        return 2 * rows if self.feed.label else rows

    def poll(self, rows_max: int, wait_us: int) -> Messages | None:  # noqa: ARG002 - a file never waits
        """Return the next messages, at most `rows_max`; None at the end."""
        while self._at >= len(self._piece.lines):
            following = next(self._pieces, None)
            if following is None:
                return None
            self._piece, self._at = following, 0
        start, stop = self._at, min(self._at + rows_max, len(self._piece.lines))
        self._at = stop
        arrival = None
        if self.clock is not None:
            arrival = np.full(stop - start, self.clock.now_us(), np.int64)
        return Messages(self._piece.lines[start:stop], self._piece.positions[start:stop], arrival)

    def resume_after(self, position: str) -> bytes:
        if position.rpartition(":")[0] in self.names:
            for piece in self._pieces:
                if position in piece.positions:
                    self._piece, self._at = piece, piece.positions.index(position) + 1
                    return piece.lines[self._at - 1]
        raise _lost(position)

    def commit(self, position: str) -> None:
        """Files need no commit: they are there the next time."""

    def close(self) -> None:
        self._pieces.close()

    # ------------------------------------------------------------ files to pieces

    def _read_all(self) -> Generator[Piece, None, None]:
        for path, name in zip(self.paths, self.names, strict=True):
            done = self.bytes_done
            try:
                if _is_text(path) and self.feed.is_canonical:
                    yield from self._read_lines(path, name)
                else:
                    yield from self._read_table(path, name)
            except DAMAGED as error:
                raise damaged(path, error) from None
            self.bytes_done = done + path.stat().st_size
        rest = self._waiting.due(np.iinfo(np.int64).max)
        if rest.lines:
            yield Piece(rest.lines, rest.positions)

    def _read_lines(self, path: Path, name: str) -> Iterator[Piece]:
        number, before = 0, self.bytes_done
        with open_packed(path) as stream:
            splitter = Splitter(self.line_bytes)
            for block in iter(lambda: stream.read(BLOCK_BYTES), b""):
                lines = splitter.split(block)
                self.bytes_done = before + stream.tell_packed()
                yield self._numbered(lines, name, number)
                number += len(lines)
            yield self._numbered(splitter.rest(), name, number)

    def _numbered(self, lines: list[bytes], name: str, start: int) -> Piece:
        if start == 0 and lines:
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")  # byte order mark
        return Piece(lines, [f"{name}:{k}" for k in range(start + 1, start + len(lines) + 1)])

    # ------------------------------------------------------------ tables

    def _read_table(self, path: Path, name: str) -> Iterator[Piece]:
        table = _table(path, self.feed, self.schema, self.line_bytes)
        mapper = self.mapper
        if not self.feed.targets:  # our names, in a table: every column that the schema has
            mapper = Mapper(_identity(self.feed, table.names, self.schema), self.schema)
        lacking = [n for n in mapper.names if n not in table.names]
        if lacking and not table.is_loose:
            raise InputError(
                f"the file has no column `{lacking[0]}`, which the feed `{self.feed.name}` reads",
                str(path),
                fix=near(lacking[0], table.names),
            )
        size, n_done = path.stat().st_size, 0
        before = self.bytes_done
        chunks = table.read(mapper.names)
        if self.feed.order == "time":
            chunks = in_time(table, mapper)
        for rows in chunks:
            mapped = mapper.map(rows)
            n_done += len(rows)
            if table.n_rows:
                self.bytes_done = before + size * n_done // table.n_rows
            yield self._merge(mapped, rows, name)

    def _merge(self, mapped: Mapped, rows: Rows, name: str) -> Piece:
        """Put the labels that are due between the rows; a label due at the moment of a row stands before it."""
        numbers = rows.numbers
        positions = [f"{name}:{number}" for number in numbers]
        if self.feed.label is None:
            return Piece(mapped.lines, positions)
        told = mapped.label_rows
        marks = [f"{positions[i]}#label" for i in told.tolist()]
        if not positions:
            return Piece([], [])
        times = np.maximum.accumulate(mapped.us)  # a row without a time stands with the one before
        old = self._waiting.due(int(times[-1]))
        new = _Labels(mapped.label_us, mapped.label_lines, marks)
        is_due = new.us <= times[-1]
        self._waiting.add(new.at(np.flatnonzero(~is_due)))
        new = new.at(np.flatnonzero(is_due))
        place = np.searchsorted(times, new.us, side="left")
        place = np.maximum(place, told[is_due] + 1)  # never before its own transaction
        place = np.concatenate([np.searchsorted(times, old.us, side="left"), place])
        if not len(place):
            return Piece(mapped.lines, positions)
        key = np.concatenate([2 * place, 2 * np.arange(len(positions)) + 1])
        order = np.argsort(key, kind="stable").tolist()
        lines = old.lines + new.lines + mapped.lines
        where = old.positions + new.positions + positions
        return Piece([lines[k] for k in order], [where[k] for k in order])


@dataclass(slots=True)
class _Labels:
    """Labels by the time at which they arrive."""

    us: I8
    lines: list[bytes]
    positions: list[str]

    def at(self, rows: I8) -> "_Labels":
        chosen = rows.tolist()
        return _Labels(
            self.us[rows], [self.lines[k] for k in chosen], [self.positions[k] for k in chosen]
        )


class _Waiting:
    """Labels that have not arrived yet, in blocks as they came: taking the due ones never copies the others' block."""

    def __init__(self) -> None:
        self._blocks: list[_Labels] = []

    def add(self, labels: _Labels) -> None:
        if len(labels.us):
            self._blocks.append(labels.at(np.argsort(labels.us, kind="stable")))

    def due(self, us: int) -> _Labels:
        """Take out what arrives at `us` or before, in the order of arrival."""
        taken: list[_Labels] = []
        left: list[_Labels] = []
        for block in self._blocks:
            n = int(np.searchsorted(block.us, us, side="right"))
            if n:
                taken.append(_Labels(block.us[:n], block.lines[:n], block.positions[:n]))
            if n < len(block.us):
                rest = (
                    block if not n else _Labels(block.us[n:], block.lines[n:], block.positions[n:])
                )
                left.append(rest)
        self._blocks = left
        times = np.concatenate([np.empty(0, np.int64), *(block.us for block in taken)])
        lines = list(itertools.chain.from_iterable(block.lines for block in taken))
        positions = list(itertools.chain.from_iterable(block.positions for block in taken))
        found = _Labels(times, lines, positions)
        if (np.diff(times) >= 0).all():
            return found
        return found.at(np.argsort(times, kind="stable"))


def in_time(table: "Table", mapper: Mapper) -> Iterator[Rows]:
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


# ---------------------------------------------------------------- kinds of tables


class Table:
    """A file of rows. `names` are its columns; `is_loose`: rows may have others or lack some (JSON)."""

    is_loose = False
    n_rows = 0  # 0: not known beforehand

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, list(names)

    def read(self, names: Sequence[str]) -> Iterator[Rows]:
        """Read the columns `names`, in blocks, from the start."""
        raise NotImplementedError


class ParquetTable(Table):
    def __init__(self, path: Path) -> None:
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"not a Parquet file: {error}", str(path)) from None
        super().__init__(path, file.schema_arrow.names)
        self.n_rows = file.metadata.num_rows

    def read(self, names: Sequence[str]) -> Iterator[Rows]:
        number = 1
        for batch in batches(self.path, names, BLOCK_ROWS):
            columns = {name: _arrow(batch.column(name)) for name in names}
            yield Rows(columns, range(number, number + batch.num_rows))
            number += batch.num_rows


def batches(path: Path, names: Sequence[str], rows: int) -> Iterator[Any]:
    """Columns of a Parquet file, `rows` rows at a time; raise `InputError` where its bytes are damaged."""
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(rows, columns=list(names))
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: Exception) -> InputError:
    """What is told of a file that cannot be read to its end."""
    return InputError(
        f"the file is damaged: {error}",
        str(path),
        why="it ends early or has changed bytes",
        fix="copy it again; everything before the damage has been processed",
    )


def _arrow(array: Any) -> Column:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _arrow(array.dictionary_decode())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = (
            array.cast(pa.timestamp("us"))
            if pa.types.is_date(kind) or kind.tz is None
            else array.cast(pa.timestamp("us", "UTC"))
        )
        us = stamps.cast(pa.int64()).fill_null(UNREAD)
        is_aware = pa.types.is_timestamp(kind) and kind.tz is not None
        return Moments(us.to_numpy(zero_copy_only=False).astype(np.int64), is_aware)
    if array.null_count == 0 and (pa.types.is_integer(kind) or pa.types.is_float64(kind)):
        values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
        return values
    if pa.types.is_floating(kind) and not pa.types.is_float64(kind):
        # shortest decimal of the narrow float, not of its widened twin
        return [None if v is None else float(str(np.float32(v))) for v in array.to_pylist()]
    if pa.types.is_decimal(kind):
        return [None if v is None else format(v, "f") for v in array.to_pylist()]
    plain: list[Any] = array.to_pylist()
    return plain


class CsvTable(Table):
    def __init__(self, path: Path) -> None:
        with self._text(path) as stream:
            header: list[str] = next(self._reader(path, stream), [])
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
    def _reader(path: Path, stream: IO[str]) -> Any:
        csv.field_size_limit(1 << 24)
        return csv.reader(stream, delimiter="\t" if ".tsv" in path.suffixes else ",")

    def read(self, names: Sequence[str]) -> Iterator[Rows]:
        with self._text(self.path) as stream:
            reader = self._reader(self.path, stream)
            next(reader)
            width, rows = len(self.names), [[""]]
            wanted = {name: self.names.index(name) for name in names}
            while rows:
                rows, numbers = self._block(reader)
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

    @staticmethod
    def _block(reader: Any) -> tuple[list[list[str]], list[int]]:
        rows: list[list[str]] = []
        numbers: list[int] = []
        while len(rows) < CSV_ROWS:
            try:
                for row in itertools.islice(reader, CSV_ROWS - len(rows)):
                    rows.append(row)
                    numbers.append(reader.line_num)
                break
            except csv.Error:  # a row that is no CSV: nothing of it can be used
                rows.append([""])
                numbers.append(reader.line_num)
        return rows, numbers


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


def _table(path: Path, feed: Feed, schema: Schema, line_bytes: int) -> Table:
    ending = _ending(path)
    if ending == ".parquet":
        return ParquetTable(path)
    if ending in (".csv", ".tsv"):
        return CsvTable(path)
    table = JsonTable(path, line_bytes)
    if not feed.targets:
        table.names = [*ENVELOPE, *schema.keys]
    return table


def _identity(feed: Feed, names: Sequence[str], schema: Schema) -> Feed:
    """The feed of a table whose columns have our names."""
    ours = [n for n in names if n in schema.keys or n in ENVELOPE]
    targets = tuple(Target(n, (n,)) for n in ours if n not in feed.constants)
    return replace(feed, targets=targets, lateness_us=None, label=None, ignore=frozenset())


# ---------------------------------------------------------------- bytes to lines


class Splitter:
    """Blocks of bytes to lines; of a line longer than `line_bytes` that many bytes and one more are kept."""

    def __init__(self, line_bytes: int) -> None:
        self.line_bytes = line_bytes
        self._tail = b""

    def split(self, block: bytes) -> list[bytes]:
        """Lines that `block` ends; what follows the last line end waits for the next block."""
        first, *others = block.split(b"\n")
        room = self.line_bytes + 1 - len(self._tail)
        self._tail += first[: max(room, 0)]
        if not others:
            return []
        lines = [self._tail, *others]
        self._tail = lines.pop()[: self.line_bytes + 1]
        return lines

    def rest(self) -> list[bytes]:
        """What stands after the last line end, as a line if there is anything."""
        last, self._tail = self._tail, b""
        return [last] if last else []


def _ending(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _is_text(path: Path) -> bool:
    ending = _ending(path)
    if ending in _TEXT_ENDINGS:
        return True
    if ending in _TABLE_ENDINGS:
        return False
    raise InputError(
        f"the name of the file does not say what it is: {path.name}",
        fix="name it .ndjson, .csv or .parquet; the first two also with .gz or .zst behind",
    )


class _Frames:
    """Unpacks zstd frames one after the other; `ZstdError` where the file ends inside one, which their reader hides."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._unpacker = zstandard.ZstdDecompressor()
        self._frame: Any = None
        self._left = b""  # read, and belongs to the next frame
        self._ready = b""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end; all of them where it is below zero."""
        size = size if size >= 0 else sys.maxsize
        parts, n = [self._ready], len(self._ready)
        while n < size and (part := self._unpack()) is not None:
            parts.append(part)
            n += len(part)
        found = b"".join(parts)
        self._ready = found[size:]
        return found[:size]

    def _unpack(self) -> bytes | None:
        data = self._left or self._packed.read(ZSTD_BYTES)
        if not data:
            if self._frame is not None:
                raise zstandard.ZstdError("it ends in the middle of a frame")
            return None
        if self._frame is None:
            self._frame = self._unpacker.decompressobj()
        part: bytes = self._frame.decompress(data)
        self._left = self._frame.unused_data
        if self._frame.eof:
            self._frame = None
        return part


class open_packed(io.RawIOBase):  # noqa: N801 - used like `open`
    """A file for reading bytes, unpacked where its first bytes say that it is packed."""

    def __init__(self, path: Path) -> None:
        try:
            self._packed = path.open("rb")
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", str(path)) from None
        head = self._packed.read(4)
        self._packed.seek(0)
        self._stream: Any = self._packed
        if head[:2] == b"\x1f\x8b":
            self._stream = gzip.GzipFile(fileobj=self._packed)
        elif head == b"\x28\xb5\x2f\xfd":
            self._stream = _Frames(self._packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        found: bytes = self._stream.read(size)
        return found

    def tell_packed(self) -> int:
        """How many bytes of the file itself have been read."""
        return self._packed.tell()

    def close(self) -> None:
        self._packed.close()
        super().close()


def short_names(paths: Sequence[Path]) -> list[str]:
    """Name of each file, with the fewest folders that tell them all apart."""
    for depth in range(1, max((len(p.parts) for p in paths), default=1) + 1):
        names = ["/".join(p.parts[-depth:]) for p in paths]
        if len(set(names)) == len(names):
            return names
    raise InputError(
        "a file is named twice",
        why="its transactions would all be repeats, and positions could not be told apart",
        fix="name each file once",
    )


def _lost(position: str) -> InputError:
    return InputError(
        f"the input does not have the position {position}, after which to go on",
        why="the output folder was written from other files, or they have changed",
        fix="give the same files in the same order as before",
    )


# ---------------------------------------------------------------- standard input


class StreamSource:
    """Lines of our own NDJSON from a pipe: what has arrived is given at once.

    Cannot go back: after a restart the sender sends again what was not answered, and repeats are harmless (law 4).
    """

    is_live = True

    def __init__(self, descriptor: int, clock: Clock, *, line_bytes: int = 1 << 20) -> None:
        self._descriptor, self._clock = descriptor, clock
        self._splitter = Splitter(line_bytes)
        self._lines: list[bytes] = []
        self._is_open = True
        self._number = 0

    def poll(self, rows_max: int, wait_us: int) -> Messages | None:
        """Return the next lines; none if nothing arrives within `wait_us`; None once the other side has closed."""
        if not self._lines and self._is_open:
            ready, _, _ = select.select([self._descriptor], [], [], max(wait_us, 0) / 1e6)
            if ready:
                block = os.read(self._descriptor, BLOCK_BYTES)
                self._is_open = bool(block)
                self._lines = self._splitter.split(block) if block else self._rest()
        if not self._lines and not self._is_open:
            return None
        lines, self._lines = self._lines[:rows_max], self._lines[rows_max:]
        first = self._number + 1
        self._number += len(lines)
        positions = [f"{STDIN}:{k}" for k in range(first, self._number + 1)]
        return Messages(lines, positions, np.full(len(lines), self._clock.now_us(), np.int64))

    def _rest(self) -> list[bytes]:
        """What followed the last line end; half a message, whose sender has died, was not sent yet."""
        rest = self._splitter.rest()
        if rest and _is_half(rest[0]):
            print(
                f"note: the input ends in the middle of message {self._number + 1}, which is not taken: send it again",
                file=sys.stderr,
            )
            return []
        return rest

    def resume_after(self, position: str) -> None:
        """Number on; the sender decides what comes. What stood at `position` is gone."""
        number = position.rpartition(":")[2]
        self._number = int(number) if number.isdigit() else 0

    def commit(self, position: str) -> None:
        """A pipe keeps nothing."""

    def close(self) -> None:
        """The descriptor belongs to whoever opened it."""


def _is_half(line: bytes) -> bool:
    """Whether `line`, which no line end closes, is the beginning of a message and no more."""
    if not line.lstrip().startswith(b"{"):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False
