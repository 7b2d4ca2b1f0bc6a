"""What a sink promises: it takes one command, and says what became of it."""

from dataclasses import dataclass
from typing import Final, Protocol

TAKEN: Final = "taken"  # it has it; an answer may come later, as an event
ACKNOWLEDGED: Final = "acknowledged"  # it has carried it out, now or before
REJECTED: Final = "rejected"  # it never will
AGAIN: Final = "again"  # nobody knows, or not now


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an attempt. `after_us`: the sink asked not to be tried again before."""

    outcome: str
    why: str = ""
    after_us: int = 0


class Sink(Protocol):
    """Where commands go. At least once: the same command may come again, with the same key, and must count once."""

    def send(self, command_id: str, key: str, body: bytes) -> Answer:
        """Deliver one command; never raises for what the other side does. One thread at a time."""
        ...

    def give_up(self) -> None:
        """End an attempt that takes too long; called from another thread."""
        ...

    def close(self) -> None: ...
