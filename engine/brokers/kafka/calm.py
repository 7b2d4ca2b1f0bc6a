"""What is said of a broker that is away: once a minute, not at each of many attempts a second."""

import logging
import sys
from typing import Final

from engine.clock import Clock

EVERY_NS: Final = 60_000_000_000


class Notes:
    """Tells people on standard error. From any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, tuple[int, int]] = {}  # about what -> when, and how often since

    def say(self, about: str, what: str) -> None:
        """Say `what`, unless something about the same was said within a minute."""
        now_ns = self._clock.monotonic_ns()
        said_ns, n = self._said.get(about, (now_ns - EVERY_NS, 0))
        if now_ns - said_ns < EVERY_NS:
            self._said[about] = said_ns, n + 1
            return
        self._said[about] = now_ns, 0
        print(what + f" (and {n:,} times since it was said last)" * bool(n), file=sys.stderr)


class _Handler(logging.Handler):
    """What a library logs, as notes: about the same is what has the same text but for its values."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(logging.WARNING)
        self._notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        what = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            what += f": {record.exc_info[1]!r}"
        self._notes.say(f"{record.name} {record.msg}", f"kafka: {record.levelname.lower()}: {what}")


def calm(notes: Notes) -> None:
    """Have the client of Kafka say what it has to say through `notes`."""
    logger = logging.getLogger("aiokafka")
    logger.handlers, logger.propagate = [_Handler(notes)], False
