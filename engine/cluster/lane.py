"""The messages of one partition, handed over in whole batches by the broker's thread, as a `Source` of a runner."""

import threading
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from engine.cases import PAID
from engine.cluster.ports import Record
from engine.decoding.messages import TICKED
from engine.ports import Messages

FULL = 50_000  # records; beyond it nothing more is fetched


class Lane:
    """One partition's queue. `put` is called by the broker's thread, everything else by the engine's.

    Positions are `topic/partition@offset`; those of ticks and of labels that a verdict gave say so in front, as in a
    journal.
    `is_live` is false: the engine takes in nothing that the topic does not hold, or another owner could not derive it.
    """

    is_live = False

    def __init__(self, topic: str, partition: int, wake: Callable[[], None]) -> None:
        self._prefix = f"{topic}/{partition}@"
        self._wake = wake
        self._lock = threading.Lock()
        self._batches: deque[Sequence[Record]] = deque()
        self._at = 0  # in the oldest batch
        self._n = 0
        self.next_offset = 0  # of what `put` takes; what lies before it is passed over
        self.is_held = False  # nothing of it is decided for now; the crew looks
        self.cut_at = -1  # no poll gives records from both sides of this offset

    def put(self, records: Sequence[Record]) -> None:
        """Take what was fetched, in order of offsets. What came before is passed over: a rebalance fetches it again."""
        with self._lock:
            fresh = [r for r in records if r.offset >= self.next_offset]
            if fresh:
                self._batches.append(fresh)
                self._n += len(fresh)
                self.next_offset = fresh[-1].offset + 1
        self._wake()

    @property
    def is_full(self) -> bool:
        return self._n >= FULL

    def __len__(self) -> int:
        return self._n

    def poll(self, rows_max: int, wait_us: int) -> Messages:  # noqa: ARG002 - the crew waits, for all its lanes
        """The next records, of as many fetches as there is room for; none is waited for.

        A fetch of a few records costs a round like one of thousands: an engine that is behind would stay behind.
        """
        taken: list[Record] = []
        with self._lock:
            while self._batches and len(taken) < rows_max:
                batch = self._batches[0]
                stop = min(self._at + rows_max - len(taken), len(batch))
                first = taken[0] if taken else batch[self._at]
                if first.offset < self.cut_at <= batch[stop - 1].offset:
                    stop = next(k for k in range(self._at, stop) if batch[k].offset >= self.cut_at)
                if stop == self._at:  # the cut lies between two fetches
                    break
                taken += batch[self._at : stop]
                self._at = stop
                if stop == len(batch):
                    self._batches.popleft()
                    self._at = 0
            self._n -= len(taken)
        return Messages(
            [record.line for record in taken],
            [self.position(record) for record in taken],
            np.array([record.written_us for record in taken], np.int64),
        )

    def position(self, record: Record) -> str:
        """Where it stands, for people and for going on."""
        place = f"{self._prefix}{record.offset}"
        if record.is_tick:
            return f"{TICKED}{place}"
        return f"{PAID}{record.owed} {place}" if record.owed else place

    def resume_after(self, position: str) -> None:
        """Go on behind `position`; what stands there is not read again, for offsets never change hands."""
        self.next_offset = offset_of(position) + 1

    def commit(self, position: str) -> None:
        """Nothing: the publisher says how far things are."""

    def close(self) -> None:
        """Nothing is held."""


def offset_of(position: str) -> int:
    """The offset in a position of a lane; -1 for "", before the first record."""
    return int(position.rpartition("@")[2]) if position else -1
