"""Files, folders' worth of them, and standard input as a `Source`: NDJSON, CSV and Parquet, plain or compressed.

Our own NDJSON passes line by line as it stands. Everything else goes through a feed (engine/brokers/mapping.py): rows
become messages, in the order of the file or of time, and verdicts that stand in the rows become labels that arrive
later, merged in between. Positions are `name:line` (`name:row` in Parquet, both from 1), with `#label` behind the
verdict of a row, where `name` is the file's, with as much of its folder as tells two files apart.

Memory: one block of a file, and the verdicts that are not due yet; the whole table only where a feed wants the order of
time and a file does not have it.
"""

import contextlib
import itertools
import json
import os
import select
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.errors import InputError
from config.feeds import ENVELOPE, Feed, Target
from config.schema import Schema, near
from engine.brokers.mapping import Mapped, Mapper, Rows
from engine.brokers.packed import BLOCK_BYTES, DAMAGED, Splitter, damaged, open_packed
from engine.brokers.tables import CsvTable, JsonTable, Table, in_time
from engine.clock import Clock
from engine.ports import Messages

I8: TypeAlias = NDArray[np.int64]

STDIN: Final = "-"
_TEXT_ENDINGS: Final = (".ndjson", ".jsonl", ".json")
_TABLE_ENDINGS: Final = (".csv", ".tsv", ".parquet")
_PACKED: Final = (".gz", ".zst")


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
            if not path.exists():
                raise InputError(f"there is no file {path}", fix="correct the path of the input")
            if not path.is_file():
                raise InputError(
                    "the input is a folder or a device",
                    str(path),
                    why="a run that stops goes on in a file where it was",
                    fix="name files; what comes from a pipe goes in with weir run --input -",
                )
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
        from engine.brokers.parquet import rows_of  # slow to load, and most runs read none

        try:
            rows = sum(map(rows_of, self.paths))
        except InputError:  # told when it is read
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


def _table(path: Path, feed: Feed, schema: Schema, line_bytes: int) -> Table:
    ending = _ending(path)
    if ending == ".parquet":
        from engine.brokers.parquet import ParquetTable

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
        _widen(descriptor)
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


def _widen(descriptor: int) -> None:
    """Let a pipe hold what is read at once, where the system can: 64 KB are batches of 200, 40 us a message, not 26."""
    with contextlib.suppress(ImportError, AttributeError, OSError):  # no pipe, not Linux, not ours
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, BLOCK_BYTES)


def _is_half(line: bytes) -> bool:
    """Whether `line`, which no line end closes, is the beginning of a message and no more."""
    if not line.lstrip().startswith(b"{"):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False
