"""What the runner asks of the world outside, with the guarantees that each side may rely on.

Two ports: a `Source` gives messages, a `Journal` makes them durable before anything leaves. Sources stand in
engine/brokers/; the journal comes with "Durability and audit" and has its place in engine/runner.py. What leaves goes
to an output folder (engine/output.py). One round:

    poll -> core.apply -> journal.append -> journal.sync -> out.write -> source.commit
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

I8: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Messages:
    """What one poll gave, in the order of the source; `lines` may be empty (nothing has arrived yet).

    lines      : the bytes of each message as they came, without the line end
    positions  : where each stands, for people and for resuming: `file:line` or `topic/partition@offset`
    arrival_us : (n,) int64  when a live source took each in, microseconds UTC; None for a recording
    """

    lines: Sequence[bytes]
    positions: Sequence[str]
    arrival_us: I8 | None = None

    def __len__(self) -> int:
        return len(self.lines)


class Source(Protocol):
    """Where messages come from.

    Ordered: yes. Two polls in a row, or one larger poll, give the same messages in the same order, and so does a
    second run from the same position. Which messages share a poll means nothing (law 1).
    At least once: after a crash messages are given again from the last committed position; none is left out. The
    core makes repeats harmless (law 4), the journal makes them unnecessary: a runner resumes after the last position
    that the journal holds.
    Bad input: a message that cannot be read is given like any other, as the bytes it has. Only a source that cannot be
    read at all raises `InputError`.
    """

    is_live: bool  # True: arrival times are stamped, and events ahead of the clock are refused

    def poll(self, rows_max: int, wait_us: int) -> Messages | None:
        """Up to `rows_max` messages, at once if any are there, else after at most `wait_us`; None at the end.

        A recording ends; a live source never returns None. No message is held back to fill a batch.
        """
        ...

    def resume_after(self, position: str) -> None:
        """Give next what follows `position` (one that this source gave). Called before the first poll, or never.

        Raises `InputError` if the source does not reach back, or is not the one that gave the position.
        """
        ...

    def commit(self, position: str) -> None:
        """Take note that everything up to `position` is durable on our side and need not be given again."""
        ...

    def close(self) -> None:
        """Let go of files and connections. Harmless when called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run of input records as the journal keeps them: `seq0` is the seq of the first one."""

    seq0: int
    messages: Messages

    @property
    def seq_end(self) -> int:
        return self.seq0 + len(self.messages)


class Journal(Protocol):
    """Every input record, in the order of `seq`: what law 2 (crashes) and law 3 (replay) stand on.

    Ordered and gapless: `append` takes exactly the next `seq`; `read` gives them back without a gap, as the bytes,
    positions and arrival times they came with. How records were grouped into batches is not kept.
    Durable: what was appended before a `sync` that has returned survives a killed process and, with
    `durability: sync`, a power failure. Nothing leaves before its input is durable.
    After a crash: a record that was being written is dropped as a whole (its source gives it again); a damaged one in
    the middle raises `StateError` naming segment and byte, and nothing after it is believed.
    """

    def append(self, seq0: int, messages: Messages) -> None:
        """Add records `seq0` .. `seq0 + n - 1`; asserted to follow the last one."""
        ...

    def sync(self) -> None:
        """Return when everything appended so far is durable."""
        ...

    def read(self, seq0: int) -> Iterator[Recorded]:
        """All durable records from `seq0` on, in order."""
        ...

    @property
    def seq_end(self) -> int:
        """One past the last durable record; 0 for an empty journal."""
        ...

    def last_position(self) -> str:
        """Where the last durable record stood in its source; "" for an empty journal."""
        ...

    def close(self) -> None:
        """Sync, and let go of files. Harmless when called twice."""
        ...
