"""Follow a journal that is being written: what has come since, without reading again what came before."""

from collections.abc import Iterator

from engine.durable.disk import Disk
from engine.durable.journal.frames import END, Pieces, Walk
from engine.durable.journal.reader import JournalReader, part, recorded
from engine.durable.journal.segments import Segment
from engine.ports import Recorded


class Following:
    """The records of a journal from one seq on, as they come.

    seq : of the next record to be given
    """

    def __init__(self, disk: Disk, reader: JournalReader, seq: int) -> None:
        """`reader` is used alone from now on; it must hold `seq`, or end there."""
        self._disk, self._reader, self.seq = disk, reader, seq
        self._at: tuple[Segment, int, int, bytes] | None = None  # segment, byte, seq, digest

    def read(self, seq_end: int) -> Iterator[Recorded]:
        """The records before `seq_end` that are there and were not given yet; to be read to the end.

        What is being written in this moment comes with a later call. Raises `StateError` for damage.
        """
        if self._at is None:
            self._begin()
        while self._at is not None and self.seq < seq_end:
            segment, offset, seq, previous = self._at
            walk = Walk(Pieces(self._disk, segment.path, offset), seq, previous)
            for frame in walk:
                self._at = segment, walk.offset, walk.seq, walk.previous
                if frame.kind != END and frame.seq_end > self.seq:
                    payload, about = self._reader.decode(segment, frame)
                    whole = recorded(frame, payload, about)
                    first, self.seq = max(frame.seq0, self.seq), frame.seq_end
                    yield part(whole, first, frame.seq_end)
                if self.seq >= seq_end:
                    return
            if not walk.is_ended or not self._begin_next(walk.seq):
                return

    def _begin(self) -> None:
        """Begin with the segment that holds the next record."""
        self._reader.refresh()
        holding = [s for s in self._reader.segments if s.first_seq <= self.seq]
        if holding:
            segment = holding[-1]
            self._at = segment, segment.n_bytes, segment.first_seq, segment.digest

    def _begin_next(self, seq: int) -> bool:
        """Go on with the segment that begins with `seq`; whether it is there."""
        self._reader.refresh()
        for segment in self._reader.segments:
            if segment.first_seq == seq:
                self._at = segment, segment.n_bytes, segment.first_seq, segment.digest
                return True
        return False
