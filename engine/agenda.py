"""What has to happen at a core time: expiry, timeouts, the end of groups and suppressions.

Core time moves with the records only, so what is due happens at the first record whose core time reaches it, in the
order (due time, kind, id); where batches are cut plays no part. An entry is never taken back: whoever handles it looks
whether it still means anything.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Final

EXPIRE: Final = 0  # a restriction
TIME_OUT: Final = 1  # a command that nobody acknowledged
CLOSE: Final = 2  # a group of matches
UNSUPPRESS: Final = 3
FORGET: Final = 4  # a restriction that ended long ago
DROP: Final = 5  # an alert that nobody resolved
CONFIRM: Final = 6  # a release that nobody acknowledged
LAPSE: Final = 7  # a challenge or hold
OUTLIVE: Final = 8  # the outcome of one
SIGN: Final = 9  # a second signature that is missing
AGE: Final = 11  # a case that nobody closed
FORGIVE: Final = 10  # a request, dry run or nonce that no longer counts

Entry = tuple[int, int, str]  # due time in microseconds UTC, kind, id


class Agenda:
    """Entries by due time."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._heap = sorted(entries)

    @property
    def next_us(self) -> int | None:
        """When the next entry is due."""
        return self._heap[0][0] if self._heap else None

    def add(self, due_us: int, kind: int, id_: str) -> None:
        heapq.heappush(self._heap, (due_us, kind, id_))

    def take(self, now_us: int) -> Iterator[Entry]:
        """Remove and give what is due at `now_us`, also what is added meanwhile."""
        while self._heap and self._heap[0][0] <= now_us:
            yield heapq.heappop(self._heap)

    def adopt(self, other: "Agenda") -> None:
        """Go on from the very entries of `other`, which must not be used any more."""
        self._heap = other._heap  # noqa: SLF001

    def entries(self) -> list[Entry]:
        """Everything, in order: the same list however it came to be."""
        return sorted(self._heap)
