"""One partition of a topic of outcomes, followed like a stream of an output folder (engine/sinks/tail.py)."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence

from config.errors import StateError

FULL = 20_000  # lines; beyond it nothing more is fetched


class TopicTail:
    """A `Tail` whose places are offsets. `put` is called by the broker's thread, everything else by who follows.

    begin, end : the offsets that the topic had when it was opened, of what is committed
    """

    def __init__(self, topic: str, partition: int, begin: int, end: int) -> None:
        self.name, self.at = f"{topic}/{partition}", begin
        self.partition = partition
        self._begin, self._opened_end = begin, end
        self._lines: deque[tuple[int, bytes]] = deque()
        self._lock = threading.Lock()
        self._fetched, self._end = -1, end

    def put(self, lines: Sequence[tuple[int, bytes]], fetched: int, end: int) -> None:
        """Take (offset, line) in order. fetched : nothing before it will come any more; end : of what is committed."""
        with self._lock:
            self._lines.extend(lines)
            self._fetched, self._end = fetched, max(fetched, end)

    @property
    def is_full(self) -> bool:
        return len(self._lines) >= FULL

    @property
    def n_unread(self) -> int:
        with self._lock:
            return len(self._lines) + self._end - max(self._fetched, self.at)

    def read(self, n_max: int) -> Iterator[tuple[int, bytes]]:
        for _ in range(n_max):
            with self._lock:
                if not self._lines:  # what marks the end of a transaction takes an offset, too
                    self.at = max(self.at, self._fetched)
                    return
                offset, line = self._lines.popleft()
                self.at = offset + 1
            yield offset, line

    def anchor(self, at: int) -> str:  # noqa: ARG002 - what stands at an offset never changes
        return ""

    def holds(self, at: int, anchor: str) -> bool:  # noqa: ARG002
        """True. Raises `StateError` if the topic has lost what comes next: beginning again would not bring it back."""
        if self._begin <= at <= self._opened_end:
            return True
        raise StateError(
            f"what follows offset {at} is not there: the topic begins at {self._begin} and ends at {self._opened_end}",
            self.name,
            why="commands that nobody carried out, or the end of a restriction, would be missing in silence",
            fix="look there what was missed; then remove the folder `outlets` to go on with what the topics hold, and "
            "give them a longer retention.ms",
        )
