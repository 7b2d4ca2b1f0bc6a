"""The journal: every input record, durable before anything of it leaves, and readable for as long as it is kept.

    frames.py    the bytes of a segment, format 1: header, frames, digests that name each other
    records.py   the bytes of a payload: lines, positions, arrival times, salts
    segments.py  the files of the folder, and that none is missing
    tail.py      what stands at the end: the trace of a crash, or damage
    reader.py    `read_journal`: everything checked, nothing skipped in silence
    following.py `Following`: what is being written, as it comes
    writer.py    `open_journal`: append, sync, rotate, retire
    erasing.py   payloads out, chain intact

A journal proves that nobody changed its middle; that nobody changed its end, or wrote it anew with all its hashes, is
for the seals and for a root that was kept elsewhere (engine/durable/seals.py).
"""

from pathlib import Path

from engine.durable.disk import Disk
from engine.durable.journal.erasing import ErasedFrame
from engine.durable.journal.following import Following
from engine.durable.journal.frames import Frame
from engine.durable.journal.reader import JournalReader
from engine.durable.journal.segments import Segment
from engine.durable.journal.tail import Tail
from engine.durable.journal.writer import SEGMENT_BYTES, SegmentedJournal, open_journal

__all__ = [
    "SEGMENT_BYTES",
    "ErasedFrame",
    "Following",
    "Frame",
    "JournalReader",
    "Segment",
    "SegmentedJournal",
    "Tail",
    "open_journal",
    "read_journal",
]


def read_journal(
    disk: Disk,
    folder: Path,
    key: bytes | None = None,
    *,
    kept_from: int | None = None,
    keeps_last: bool = False,
) -> JournalReader:
    """Open a journal read only, also while an engine writes it; see `JournalReader`.

    kept_from : the oldest seq that must be there; None: not checked here (`engine.durable.seals.check_journal` does)
    """
    return JournalReader(disk, folder, key=key, kept_from=kept_from, keeps_last=keeps_last)
