"""Derived lines against those on disk, byte for byte: what differs, and from where on a stream is only a torn tail.

Recovery, the snapshot process and restore drills compare what a core derives with what was given out. A crash may leave
the end of a stream short, or, after a power failure, full of what was never written; that is no difference but a tail,
and what belongs there is known. Anything else is a difference, and it names the record.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.errors import StateError
from engine.durable.disk import Disk
from engine.durable.output import STREAMS, stream_path


@dataclass(frozen=True, slots=True)
class Difference:
    """A line on disk that is not the one derived.

    seq            : of the record; -1 where the line on disk belongs to none
    field          : the first field that differs; "" where the line as a whole does
    derived, found : that field, or the whole line, as JSON; "" where there is none. May hold personal data.
    offset         : where the line begins in its stream, bytes
    """

    stream: str
    seq: int
    field: str
    derived: str
    found: str
    offset: int

    def __str__(self) -> str:
        """For logs: values are shown where they are numbers, for those name nobody."""
        where = f"{self.stream} seq {self.seq}" if self.seq >= 0 else self.stream
        if not self.derived:
            return f"{where}: a line on disk that nothing gives"
        if not self.found:
            return f"{where}: a line is missing on disk"
        if not self.field:
            return f"{where}: another line"
        both = (self.derived, self.found)
        is_number = all(text.lstrip("-").replace(".", "", 1).isdecimal() for text in both)
        values = f", on disk {self.found}, derived {self.derived}" if is_number else ""
        return f"{where} field `{self.field}`{values}"

    def error(self, root: Path) -> StateError:
        """As an error that stops a start."""
        return StateError(
            f"what was given out is not what the journal gives again: {self}",
            f"{stream_path(root, self.stream)} byte {self.offset}",
            why="the line was changed after it was written, or journal, snapshot or configuration were",
            fix="compare with a backup (`weir audit verify` tells which part was changed), or go on in another folder",
        )


class Comparison:
    """The streams of one output folder, read along with what is derived.

    at   : bytes of each stream that have been compared so far
    torn : streams that end before what is derived, or hold nothing legible from there on -> where that begins
    """

    def __init__(self, disk: Disk, root: Path, lengths: Mapping[str, int]) -> None:
        self._disk, self._root = disk, root
        self.at = {stream: lengths.get(stream, 0) for stream in STREAMS}
        self.torn: dict[str, int] = {}

    def differences(self, derived: Mapping[str, bytes]) -> Iterator[Difference]:
        """Compare the next lines of every stream; a stream that is torn is compared no further."""
        for stream, lines in derived.items():
            if not lines:
                continue
            start = self.at[stream]
            self.at[stream] = start + len(lines)
            if stream in self.torn:
                continue
            path = stream_path(self._root, stream)
            found = self._disk.read(path, start, len(lines)) if self._disk.size(path) > 0 else b""
            if found == lines:
                continue
            n_same = _common(found, lines)
            line_start = lines.rfind(b"\n", 0, n_same) + 1
            if self._is_tail(path, start + n_same, start + line_start):
                self.torn[stream] = start + n_same
            else:
                yield self._difference(stream, start + line_start, lines[line_start:])

    def beyond(self) -> Iterator[Difference]:
        """Lines behind everything that was derived; a tail that holds none is noted in `torn`."""
        for stream, end in self.at.items():
            path = stream_path(self._root, stream)
            if stream in self.torn or self._disk.size(path) <= end:
                continue
            if self._is_tail(path, end, end):
                self.torn[stream] = end
            else:
                yield self._difference(stream, end, b"")

    def _is_tail(self, path: Path, end: int, line_start: int) -> bool:
        """Whether nothing that anybody wrote stands behind `line_start`, but for part of a line, up to `end`."""
        if self._disk.size(path) <= end:
            return True
        return not any(_is_line(line) for line in self._disk.read(path, line_start).split(b"\n"))

    def _difference(self, stream: str, offset: int, derived: bytes) -> Difference:
        path = stream_path(self._root, stream)
        found = self._disk.read(path, offset, 1 << 20).partition(b"\n")[0]
        wanted = derived.partition(b"\n")[0]
        mine, theirs = _object(wanted), _object(found)
        told = mine.get("seq", theirs.get("seq"))
        seq = told if isinstance(told, int) else -1
        if mine and theirs:
            for name in {**mine, **theirs}:
                if mine.get(name, ...) != theirs.get(name, ...):
                    return Difference(
                        stream, seq, name, _text(mine, name), _text(theirs, name), offset
                    )
        return Difference(stream, seq, "", wanted.decode(), found.decode(errors="replace"), offset)


def _common(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _object(line: bytes) -> dict[str, object]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _is_line(line: bytes) -> bool:
    return line.startswith(b"{") and bool(_object(line))


def _text(told: dict[str, object], name: str) -> str:
    return json.dumps(told[name]) if name in told else ""
