"""The files of a journal folder: which segments there are, and whether they follow each other without a gap.

What is checked here costs two small reads a segment, so it is done whenever a journal is opened: names, headers, that
each closed segment ends with its end, and that the next one names that end. What stands between is checked when it is
read (engine/durable/journal/reader.py).
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from config.errors import StateError
from engine.durable.disk import Disk
from engine.durable.journal.frames import (
    END,
    HEAD_BYTES,
    NOTHING,
    PRELUDE,
    SegmentHeader,
    decode_header,
    head_of,
    header_length,
)

NAME = re.compile(r"([0-9]{16})[.]wj")
NEW = ".new"  # behind the name of a segment that is being rewritten (engine/durable/journal/erasing.py)
FIRST_READ_BYTES = 4_096
FIX = "restore this folder from a backup; `weir audit verify` lists everything that is damaged"


@dataclass(frozen=True, slots=True)
class Segment:
    """One file: `n_bytes` of header, whose sha256 is `digest`, then frames."""

    path: Path
    header: SegmentHeader
    n_bytes: int
    digest: bytes

    @property
    def first_seq(self) -> int:
        return self.header.first_seq


@dataclass(frozen=True, slots=True)
class Survey:
    """The segments in order, and the file that a crash left behind while the next one was begun (or None)."""

    segments: list[Segment]
    remains: Path | None
    strangers: list[str]  # names in the folder that are no segments


def damage(path: Path, byte: int, seq: int, what: str, fix: str = FIX) -> StateError:
    """The error for damage at `byte` of a segment, where the record `seq` begins."""
    return StateError(
        f"the journal is damaged: {what}",
        f"{path}@{byte}, seq {seq}",
        why="outcomes derived from another input than the recorded one could not be proven",
        fix=fix,
    )


def place_of(error: StateError) -> tuple[Path, int, int]:
    """File, byte and seq of an error that `damage` made; byte and seq are 0 for another one."""
    path, byte, seq = re.fullmatch(r"(.*?)(?:@([0-9]+), seq ([0-9]+))?", error.where).groups()  # type: ignore[union-attr]
    return Path(path), int(byte or 0), int(seq or 0)


def name_of(first_seq: int) -> str:
    return f"{first_seq:016d}.wj"


def first_seqs(disk: Disk, folder: Path) -> list[int]:
    """The first seq of each segment, in order, by the names alone; that of one barely begun is among them."""
    return [int(name[1]) for name in map(NAME.fullmatch, disk.names(folder)) if name]


def retirable(disk: Disk, folder: Path, before_seq: int) -> list[str]:
    """Names of the oldest segments that hold nothing from `before_seq` on; never the last one."""
    begins = first_seqs(disk, folder)
    return [name_of(first) for first, after in pairwise(begins) if after <= before_seq]


def survey(disk: Disk, folder: Path, kept_from: int | None) -> Survey:
    """Look at every segment; `kept_from` is the oldest seq that must be there (None: any). Raises `StateError`."""
    names = disk.names(folder)
    found = [name for name in names if NAME.fullmatch(name)]
    strangers = [name for name in names if not NAME.fullmatch(name)]
    segments: list[Segment] = []
    remains = None
    for name in found:
        segment = _read(disk, folder / name)
        if segment is not None:
            segments.append(segment)
        elif name == found[-1] and _is_barely_begun(disk, folder / name):
            remains = folder / name
        else:
            seq = int(name[:16])
            raise damage(folder / name, 0, seq, "the header of the segment does not read")
    if segments:
        _check_first(segments[0], kept_from)
    for before, after in pairwise(segments):
        _check_neighbours(disk, before, after)
    return Survey(segments, remains, strangers)


def _read(disk: Disk, path: Path) -> Segment | None:
    """A segment by its header; None if that is damaged."""
    data = disk.read(path, 0, FIRST_READ_BYTES)
    length = header_length(data)
    if length > len(data):
        data = disk.read(path, 0, length)
    data = data[: max(length, 0)]
    header = decode_header(data, str(path))
    if header is None:
        return None
    if path.name != name_of(header.first_seq):
        what = f"the segment says that it begins with seq {header.first_seq}"
        raise damage(path, PRELUDE.size, int(path.name[:16]), what)
    return Segment(path, header, length, sha256(data).digest())


def _is_barely_begun(disk: Disk, path: Path) -> bool:
    """Whether a crash may have left this behind while a segment was begun: its header is synced before any frame."""
    if disk.size(path) > FIRST_READ_BYTES:
        return False
    data = disk.read(path)
    return not any(head_of(data, at) for at in range(len(data) - HEAD_BYTES + 1))


def _check_first(segment: Segment, kept_from: int | None) -> None:
    if kept_from is not None and segment.first_seq > kept_from:
        raise damage(
            segment.path.parent / name_of(kept_from),
            0,
            kept_from,
            f"the segments before {segment.path.name} are missing, seq {kept_from} should be there",
        )
    if segment.first_seq == 0 and segment.header.previous != NOTHING:
        raise damage(segment.path, 0, 0, "the first segment names one before it")


def _check_neighbours(disk: Disk, before: Segment, after: Segment) -> None:
    """The last frame of `before` is an end, and the one that `after` names."""
    at = disk.size(before.path) - HEAD_BYTES
    data = disk.read(before.path, max(at, 0), HEAD_BYTES)
    head = head_of(data, 0) if at >= before.n_bytes else None
    if head is None or head[1] != END:
        what = "the segment does not end with an end: it was cut, lengthened or changed there"
        raise damage(before.path, max(at, 0), after.first_seq, what)
    if head[7] != after.first_seq:
        what = f"the segments between {before.path.name} and {after.path.name} are missing"
        raise damage(before.path.parent / name_of(head[7]), 0, head[7], what)
    if sha256(data).digest() != after.header.previous:
        what = f"it names another end than that of {before.path.name}"
        raise damage(after.path, 0, after.first_seq, what)
