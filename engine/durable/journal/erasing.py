"""Take payloads out of a journal without breaking its chain: what the law asks for, and an auditor can still check.

An erased record keeps its leaf, sha256(salt + line); without the salt nobody can find out the line by trying. Its frame
keeps the digest that the next one names. What is left of the frame is then held by the seal (leaves and `about`), and
by the line that says what was erased, which names the sha256 of the frame as it stands now.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from config.errors import StateError
from engine.durable.disk import Disk
from engine.durable.journal.frames import BOUND, CONFIG, ERASED, HEAD_BYTES, Frame, encode_frame
from engine.durable.journal.reader import JournalReader
from engine.durable.journal.records import encode, new_compressor
from engine.durable.journal.segments import NEW, Segment
from engine.ports import LEAF_BYTES, SALT_BYTES, leaves_of


@dataclass(frozen=True, slots=True)
class ErasedFrame:
    """A frame that was rewritten: its seq range, the records erased this time, sha256 of its bytes as they stand."""

    seq0: int
    n: int
    erased: tuple[int, ...]
    stored: bytes


def rewrite(
    disk: Disk,
    reader: JournalReader,
    seqs: Sequence[int],
    note: Callable[[list[ErasedFrame]], None],
    chance: Callable[[int], bytes],
) -> list[ErasedFrame]:
    """Erase the records `seqs` (in closed segments): first all new files, then `note`, then all names."""
    wanted = set(seqs)
    found: list[ErasedFrame] = []
    renames: list[tuple[Path, Path]] = []
    try:
        for segment, after in pairwise(reader.segments):
            here = {seq for seq in wanted if segment.first_seq <= seq < after.first_seq}
            if here:
                temporary = segment.path.with_name(segment.path.name + NEW)
                renames.append((temporary, segment.path))
                found += _write(disk, reader, segment, temporary, here, chance)
                wanted -= here
        if wanted:
            raise _not_there(reader, min(wanted), "no such record is kept")
        if found:
            note(found)
        for temporary, path in renames:
            disk.rename(temporary, path)
    except OSError as error:
        raise StateError(
            f"nothing was erased: {error.strerror or error}",
            str(reader.folder),
            why="a segment is written anew before it takes the place of the old one",
            fix="make room for one segment on that disk and erase again",
        ) from error
    finally:
        for temporary, _ in renames:
            with suppress(OSError):
                disk.remove(temporary)
    if renames:
        disk.sync_folder(reader.folder)
    return found


def _write(
    disk: Disk,
    reader: JournalReader,
    segment: Segment,
    temporary: Path,
    seqs: set[int],
    chance: Callable[[int], bytes],
) -> list[ErasedFrame]:
    """Write the segment without the payloads of `seqs` to a file beside it, durably."""
    old = disk.read(segment.path)
    found: list[ErasedFrame] = []
    file = disk.create(temporary)
    try:
        file.write(old[: segment.n_bytes])
        previous = segment.digest
        for frame in reader.frames_of(segment):
            here = tuple(seq for seq in range(frame.seq0, frame.seq_end) if seq in seqs)
            piece = old[frame.offset : frame.offset + HEAD_BYTES + len(frame.body)]
            if here:
                piece = _erased(reader, segment, frame, here, previous, chance)
                found.append(ErasedFrame(frame.seq0, frame.n, here, sha256(piece).digest()))
            file.write(piece)
            previous = frame.digest
        file.flush()
        file.sync()
    finally:
        file.close()
    return found


def _erased(
    reader: JournalReader,
    segment: Segment,
    frame: Frame,
    seqs: tuple[int, ...],
    previous: bytes,
    chance: Callable[[int], bytes],
) -> bytes:
    """The bytes of `frame` without the payloads of `seqs`."""
    if frame.kind == CONFIG:
        raise _not_there(reader, frame.seq0, "it is a configuration record")
    payload, about = reader.decode(segment, frame)
    leaves = leaves_of(payload.salts, payload.lines, payload.erased)
    lines, salts, erased = list(payload.lines), bytearray(payload.salts), dict(payload.erased)
    for row in (seq - frame.seq0 for seq in seqs):
        lines[row] = b""
        salts[SALT_BYTES * row : SALT_BYTES * (row + 1)] = bytes(SALT_BYTES)
        erased[row] = leaves[LEAF_BYTES * row : LEAF_BYTES * (row + 1)]
    left = replace(payload, lines=lines, salts=bytes(salts), erased=erased)
    body, same = encode(left, frame.kind, frame.seq0, new_compressor())
    assert same == about, "erasing must not touch what stands beside the payloads"
    if segment.header.salt:
        bound = BOUND.pack(frame.kind, ERASED, frame.n, frame.seq0)
        body = reader.cipher(segment).encrypt(body, bound, chance)
    return encode_frame(
        frame.kind,
        ERASED,
        frame.n,
        frame.seq0,
        frame.durable_bytes,
        previous,
        frame.digest + body,
    )


def _not_there(reader: JournalReader, seq: int, why: str) -> StateError:
    return StateError(
        f"seq {seq} cannot be erased, and nothing was: {why}",
        str(reader.folder),
        fix="`weir audit explain` finds the seq of a transaction",
    )
