"""What a partition asks of a broker. tests/contract/test_cluster_ports.py holds every implementation to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine.cluster.topic_tail import TopicTail


class Record(NamedTuple):  # made three times as fast as a frozen dataclass, once for every message
    """One message of the input topic. `written_us` is the broker's time, so every owner sees the same."""

    offset: int
    line: bytes
    written_us: int
    owed: str = ""  # the source of a label that a verdict gave; "" for what came from outside
    is_tick: bool = False  # the partition's own


@dataclass(frozen=True, slots=True)
class Own:
    """A message that the partition writes into its own input: a tick, or a label that a verdict gave."""

    line: bytes
    owed: str = ""
    is_tick: bool = False


class FencedError(Exception):
    """Somebody else publishes for this partition now: whatever is here is stale, and must be let go."""


class NotTakenError(Exception):
    """The partition was not taken over, through no fault of its own: the broker cannot be spoken with at the moment."""


class Publisher(Protocol):
    """Makes outcomes of one partition visible, each exactly once to whoever reads what is committed.

    At most one publisher of a partition is not fenced: the one whose `begin` came last. Nothing that a fenced one says
    becomes visible any more. Order: that of the calls.
    """

    def begin(self) -> int:
        """Fence whoever was before; return the input offset from which on outcomes are not visible yet.

        Blocks until what was under way has become visible or never will. `NotTakenError` if there is no broker to ask.
        """
        ...

    def publish(
        self, outcomes: Mapping[str, Sequence[bytes]], own: Sequence[Own], upto: int
    ) -> None:
        """Have lines of streams become visible, together with the fact that this holds for every offset below `upto`.

        Does not wait. Raises `FencedError`, from this call or a later one, if somebody else has begun.
        """
        ...

    @property
    def backlog(self) -> int:
        """Lines on their way."""
        ...

    def settle(self) -> None:
        """Return when everything is visible; `FencedError` if it never will be."""
        ...

    def close(self) -> None:
        """Let go; what is on its way may be lost, and is published by the next owner."""
        ...


class Following(Protocol):
    """Streams of outcomes of every partition, read from where each tail stands once `begin` is called.

    What is committed only, each line once, in the order of its partition. `failure` : why nothing more comes, if so
    """

    tails: Mapping[str, Sequence[TopicTail]]  # by stream; by partition
    failure: BaseException | None

    def begin(self) -> None: ...

    def close(self) -> None: ...


class Outcomes(Protocol):
    """What those who carry outcomes out ask of a broker."""

    def follow(self, streams: Sequence[str]) -> Following:
        """Open streams. `NotTakenError` if there is no broker to ask."""
        ...

    def answer(self, partition: int, line: bytes, done: Callable[[], None]) -> None:
        """Write a message into the input; `done` is called, from any thread, once it cannot be lost. Does not wait."""
        ...
