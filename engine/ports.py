"""What the runner asks of the world outside, with the guarantees that each side may rely on.

Two ports: a `Source` gives messages, a `Journal` makes them durable before anything leaves. Sources stand in
engine/brokers/, the journal in engine/durable/journal/. What leaves goes to an output folder
(engine/durable/output.py). One round:

    poll -> core.apply -> journal.append -> journal.sync -> out.write -> source.commit
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.models import Parameter
from engine.joined import Joined

I8: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Messages:
    """What one poll gave, in the order of the source; `lines` may be empty (nothing has arrived yet).

    lines      : the bytes of each message as they came, without the line end
    positions  : where each stands, for people and for resuming: `file:line` or `topic/partition@offset`
    arrival_us : (n,) int64  when a live source took each in, microseconds UTC; None for a recording
    joined     : the same lines in one piece, where somebody has put them together
    """

    lines: Sequence[bytes]
    positions: Sequence[str]
    arrival_us: I8 | None = None
    joined: Joined | None = None

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

    def resume_after(self, position: str) -> bytes | None:
        """Give next what follows `position` (one that this source gave). Called before the first poll, or never.

        Returns the message that stands there, so that another recording under the same name can be told; None from a
        source that cannot go back. Raises `InputError` if it does not have the position.
        """
        ...

    def commit(self, position: str) -> None:
        """Take note that everything up to `position` is durable on our side and need not be given again."""
        ...

    def close(self) -> None:
        """Let go of files and connections. Harmless when called twice."""
        ...


class Outlets(Protocol):
    """What carries outcomes of a live engine to other systems (engine/sinks/); a replay has none.

    It follows the streams of the output folder by itself, after they were written. Nothing here may wait.
    """

    def step(self) -> None:
        """Look after what carries."""
        ...

    def withhold(self, before_seq: int) -> None:
        """Let no command with a smaller seq leave any more, but those that lift something; asked before each step."""
        ...

    def take(self, n_max: int) -> list[tuple[str, bytes]]:
        """Answers that have come, as commands: position and line of up to `n_max`."""
        ...

    def done(self) -> None:
        """What `take` gave is durable. What is taken and never done comes again, after a crash."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether no answer is awaited."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a model is to be fitted to; nobody writes to its arrays.

    closed_us : core time, a multiple of `every`; (model, closed_us) names the set
    x         : (n, f) float32  inputs as they were when each transaction was decided, NaN missing
    label     : (n,) int8       1 fraud, 0 genuine
    weight    : (n,) float64    transactions that each row stands for
    """

    model: str
    kind: str
    params: Mapping[str, Parameter]
    seed: int
    closed_us: int
    x: NDArray[np.float32]
    label: NDArray[np.int8]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit has given: the state of the model, and the sha256 of the file that keeps it."""

    sha256: str
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class NotFitted:
    """No fit, and why. `may_come`: it is still being worked on, and asking again later makes sense."""

    why: str
    may_come: bool = False


class Fits(Protocol):
    """Who fits models anew beside the core (engine/fits/). The only port that the core itself knows.

    The same question gets the same answer for ever, whatever was killed between: an answer is durable before it is
    given. So outcomes that depend on it can be derived again.
    """

    def close(self, training: TrainingSet) -> None:
        """Begin to fit; returns at once. A newer set of the same model takes the place of an older one.

        May be called again with the same set, after a restart.
        """
        ...

    def take(self, model: str, closed_us: int, attempt: int) -> Fitted | NotFitted:
        """What became of the set that was closed at `closed_us`; asked for the `attempt`-th time, from 0.

        Waits where time means nothing (a recording). Raises `StateError` if an answer was given before, and cannot be
        given again as it was.
        """
        ...


SALT_BYTES = 16
LEAF_BYTES = 32


@dataclass(frozen=True, slots=True)
class Link:
    """What the chain of seals keeps of one run of input records: never a payload, only hashes.

    seq0, n : the records
    leaves  : n x 32 bytes  sha256(salt + line) of each record, in order
    about   : 32 bytes      sha256 of everything the journal keeps beside the payloads
    digest  : 32 bytes      hash of the frame in the journal, which names the one before it
    """

    seq0: int
    n: int
    leaves: bytes
    about: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run of input records as the journal keeps them: `seq0` is the seq of the first one.

    messages        : the records; empty if this is a configuration record
    source_position : where the source stands after them
    config          : the one configuration record (JSON), else None
    salts           : n x 16 bytes, those of erased records are zero
    erased          : row -> leaf of records whose payload was erased; their lines are empty
    about, digest   : as in `Link`; digest is b"" for a part of a frame
    """

    seq0: int
    messages: Messages
    source_position: str = ""
    config: bytes | None = None
    salts: bytes = b""
    erased: Mapping[int, bytes] = field(default_factory=dict)
    about: bytes = b""
    digest: bytes = b""

    def __len__(self) -> int:
        return len(self.messages) if self.config is None else 1

    @property
    def seq_end(self) -> int:
        return self.seq0 + len(self)

    @property
    def lines(self) -> Sequence[bytes]:
        """The bytes of every record, configuration records among them."""
        return self.messages.lines if self.config is None else (self.config,)

    def link(self) -> Link:
        """What a seal keeps of these records; computes the leaves. Whole frames only."""
        assert self.digest, "a part of a frame has no link"
        return Link(self.seq0, len(self), self.leaves(), self.about, self.digest)

    def leaves(self) -> bytes:
        """sha256(salt + line) of each record, n x 32 bytes."""
        return leaves_of(self.salts, self.lines, self.erased)


def leaves_of(salts: bytes, lines: Sequence[bytes], erased: Mapping[int, bytes]) -> bytes:
    """The leaves of records: `salts` n x 16 bytes; those of `erased` rows are taken as they are."""
    starts = range(0, len(salts), SALT_BYTES)
    found = [
        sha256(salts[k : k + SALT_BYTES] + line).digest()
        for k, line in zip(starts, lines, strict=True)
    ]
    for row, leaf in erased.items():
        found[row] = leaf
    return b"".join(found)


class Journal(Protocol):
    """Every input record, in the order of `seq`: what law 2 (crashes) and law 3 (replay) stand on.

    Ordered and gapless: `append` takes exactly the next `seq`; `read` gives them back without a gap, as the bytes,
    positions and arrival times they came with. Runs come back as they were appended.
    Durable: what was appended before a `sync` that has returned survives a killed process and, with
    `durability: sync`, a power failure. Nothing leaves before its input is durable.
    After a crash: a record that was being written is dropped as a whole (its source gives it again); a damaged one in
    the middle raises `StateError` naming segment, byte and seq, and nothing after it is believed.
    Full disk: `append` raises `StateError`; so does every later call but `close`, and opening again works.
    """

    def append(self, seq0: int, messages: Messages, source_position: str) -> Link:
        """Add records `seq0` .. `seq0 + n - 1` (n > 0); asserted to follow the last one.

        source_position : where the source stands after them; ticks and control files move no source, then it is
                          the position before
        Gives what `Sealer.add` takes.
        """
        ...

    def append_config(self, seq: int, record: bytes) -> Link:
        """Add one configuration record, JSON with `config`: the hash that is active from the next seq on."""
        ...

    def begin_sync(self) -> None:
        """Start making everything appended so far durable, in a thread if the journal is threaded."""
        ...

    def is_durable(self, within_us: int = 0) -> bool:
        """Whether `wait` would return at once, now or within that time."""
        ...

    def wait(self) -> None:
        """Return when what `begin_sync` covered is durable; raises `StateError` if it could not be made so."""
        ...

    def sync(self) -> None:
        """Return when everything appended so far is durable."""
        ...

    def read(self, seq0: int, seq_end: int = -1) -> Iterator[Recorded]:
        """The records `seq0` .. `seq_end - 1` in order (-1: to the last one); configuration records stand alone."""
        ...

    @property
    def first_seq(self) -> int:
        """The oldest record that is still kept; `seq_end` if there is none."""
        ...

    @property
    def seq_end(self) -> int:
        """One past the last record appended; all of them are durable when a journal has just been opened."""
        ...

    @property
    def source_position(self) -> str:
        """Where the source stands after the last record; "" for an empty journal."""
        ...

    @property
    def config(self) -> str:
        """The configuration that is active after the last record."""
        ...

    def close(self) -> None:
        """Sync, and let go of files. Harmless when called twice."""
        ...
