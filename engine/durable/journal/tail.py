"""Tell the trace of a crash from damage at the end of the last segment.

A crash while a frame was being written leaves the end of the segment torn: the frame is short (killed process, full
disk), or has its full length with pages missing (power failure). Such a frame is dropped as a whole: it was never
durable, so no outcome of it has left, the source was not told to forget it, and gives it again. A byte that flips
later in a frame that was durable looks the same to a checksum, and dropping that one would lose records whose
outcomes are in the world. No checksum can tell the two apart; what can be known, tells:

1. A frame that is whole but has the wrong seq or names another predecessor was exchanged or put in. Never a crash.
2. Each frame says how much of the segment was durable when it was written. A frame behind the flaw that says so of the
   flawed one proves damage. A frame behind it that does not, was never durable either (two unsynced frames reach the
   disk in any order), and goes with it.
3. An orderly stop and a rotation write an `end` behind the last record and sync it, so after a stop every record has
   such a witness, and only the end itself, which holds nothing, can be dropped.
4. What is left is a flaw in the last frame after a crash. Outcomes tell how far things had got: whoever opens passes
   `must_reach_seq`, one past the highest seq that streams, delivery log, seals and snapshots speak of. A journal that
   ends before it, for whatever reason, is damaged or cut: `StateError`, nothing is dropped.

So a durable record is dropped only if its frame is the last one, was damaged after a crash and before the next start,
and nothing on disk speaks of it: then no outcome of it is on disk either, the source gives it again, and the seals say
that a tail was dropped (`recovered`). In `durability: flush` the same holds with "handed to the operating system" for
"durable": that covers killed processes; a power failure may then stop with `StateError`.
"""

from dataclasses import dataclass

from engine.durable.journal.frames import (
    FRAME_MAGIC,
    HEAD_BYTES,
    PIECE_BYTES,
    Flaw,
    Pieces,
    head_of,
)

DURABLE_BYTES = 8  # place of the field in a head


@dataclass(frozen=True, slots=True)
class Tail:
    """What stands behind the last whole frame: a frame that is being written, or the trace of a crash.

    segment : its file name      byte : where it begins      n_bytes : its length
    seq     : that it would have begun with                  what    : is wrong with it
    """

    segment: str
    byte: int
    seq: int
    n_bytes: int
    what: str


def could_be_a_crash(pieces: Pieces, flaw: Flaw) -> bool:
    """Whether a crash explains `flaw` (rules 1 to 3), which a walk over `pieces` has met."""
    if flaw.is_certain:
        return False
    for first in range(flaw.byte + 1, pieces.stop, PIECE_BYTES):
        piece = pieces.take(first, PIECE_BYTES + HEAD_BYTES)  # a head may reach over
        at = piece.find(FRAME_MAGIC)
        while at >= 0:
            head = head_of(piece, at)
            if head is not None and head[DURABLE_BYTES] > flaw.byte:
                return False
            at = piece.find(FRAME_MAGIC, at + 1)
    return True
