"""Go on after a stop or a crash: where everything stands, once what was lost has been derived again.

    1. The newest usable snapshot that the chain of seals reaches, else nothing at all; broken ones are skipped.
    2. The journal from there to its end, record by record, each under its configuration.
    3. Every derived line is compared with the bytes on disk. A torn tail is completed; a difference stops the start,
       and so do lines that the journal does not explain: what was given out is never changed in silence.
    4. Renaming and answers of control files, lines of the delivery log and seals that are missing are made up for.

Then the source goes on after `position`. Killed in the middle of this, the next start does the same again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import msgspec

from config.errors import StateError
from engine.clock import Clock
from engine.control import PREFIX, Control
from engine.core import Core, Outcome
from engine.durable.comparing import Comparison
from engine.durable.delivery import STREAM as DELIVERY
from engine.durable.delivery import Delivery
from engine.durable.disk import Disk, DiskFile
from engine.durable.encrypted_disk import EncryptedDisk
from engine.durable.output import STREAMS, stream_path
from engine.durable.rederive import Rederivation
from engine.durable.sealing import Sealing
from engine.ports import Recorded
from engine.setup import Setup
from engine.totals import Totals, answer_of

TAIL_BYTES: Final = (
    1 << 16
)  # read from the end of a stream to find its last line; doubled until one is found


@dataclass(slots=True)
class Recovered:
    """Where a run goes on.

    records   : messages taken from the source so far, ticks and control files included
    position  : the source goes on after it; "" at the beginning
    lengths   : bytes of each stream that the journal explains; all of them are there
    n_derived : records that were decided again
    completed : streams whose torn tail was written again -> bytes
    skipped   : what was wrong with newer snapshots
    """

    core: Core
    setup: Setup
    totals: Totals
    records: int
    position: str
    lengths: dict[str, int]
    n_derived: int = 0
    completed: dict[str, int] = field(default_factory=dict)
    skipped: list[StateError] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        """What people should know about it, a line each."""
        for error in self.skipped:
            yield f"warning: a snapshot is skipped: {error.what} ({error.where})"
        if self.completed:
            torn = ", ".join(f"{stream} {n} bytes" for stream, n in sorted(self.completed.items()))
            yield f"note: written again after a crash: {torn}"
        if self.n_derived:
            yield f"note: {self.n_derived:,} records were decided again from the journal and compared"


def reached(disk: Disk, root: Path) -> int:
    """One past the highest seq that any stream speaks of: so far the journal must reach."""
    return 1 + max((_last_seq(disk, stream_path(root, stream)) for stream in STREAMS), default=-1)


def recover(
    disk: Disk,
    root: Path,
    clock: Clock,
    *,
    known: Mapping[str, Setup],
    key: bytes | None,
    vouched: Mapping[int, str],
    sealing: Sealing,
    delivery: Delivery,
    control: Control,
) -> Recovered:
    """Bring the output folder to where its journal ends; the journal is open for writing and durable.

    vouched : sha256 of the manifests of snapshots, by seq; one with another is skipped like a broken one

    Raises `StateError` if what is on disk is not what the journal gives again, or if there is neither a usable
    snapshot nor a journal from the beginning.
    """
    again = Rederivation(disk, root, key=key, known=known, vouched=vouched)
    again.start(sealing.seq_end)
    start = again.snapshot
    found = Recovered(
        again.core,
        again.setup,
        Totals.copy_of(start.totals if start else {}),
        start.records if start else 0,
        again.position,
        dict(start.lengths) if start else {},
        skipped=again.skipped,
    )
    _check_lengths(disk, root, found.lengths)
    comparison = Comparison(disk, root, found.lengths)
    unsealed = _Unsealed(again, sealing)
    unfinished = _Unfinished(delivery.seq_end)
    sealed = dict(sealing.lengths) if isinstance(disk, EncryptedDisk) else {}
    with _Tails(disk, root, sealed) as tails:
        for block, outcome in again.outcomes():
            found.n_derived += len(block)
            if outcome is None:
                unsealed.take(block, {}, comparison.at)
                continue
            for difference in comparison.differences(outcome.streams):
                raise difference.error(root)
            for stream, at in comparison.torn.items():
                tails.complete(stream, at, comparison.at[stream], outcome.streams.get(stream, b""))
            unsealed.take(block, outcome.streams, comparison.at)
            found.records += len(block)
            found.totals.add(outcome)
            unfinished.look(block, outcome)
        for difference in comparison.beyond():
            raise difference.error(root)
        for stream, at in comparison.torn.items():
            tails.complete(stream, at, comparison.at[stream], b"")
        found.completed = tails.completed
    found.core, found.setup, found.position = again.core, again.setup, again.position
    found.lengths = comparison.at
    for position, (line, answer) in unfinished.files.items():
        control.catch_up(position, line, answer, again.core.decoder.scrubber.scrub)
    if delivery.seq_end < found.core.seq:
        noted = delivery.seq_end
        line = delivery.note_recovered(noted, found.core.seq - noted, clock.now_us())
        sealing.cover({DELIVERY: line})
    unsealed.close()
    return found


class _Unsealed:
    """Records and lines that no seal covers yet, given to the chain again as whole frames of the journal.

    A seal waits for the next block or for `close`: the last one must cover the delivery line of the recovery too, for
    no other may follow.
    """

    def __init__(self, again: Rederivation, sealing: Sealing) -> None:
        self._again, self._sealing = again, sealing
        self._sealed = dict(sealing.lengths)  # bytes of each stream that the last seal covers
        self._due_us: int | None = None  # core time after what was covered last

    def take(self, block: Recorded, streams: Mapping[str, bytes], at: Mapping[str, int]) -> None:
        """Cover what `block` and its lines, which end at `at` in their streams, hold beyond the last seal."""
        first = max(block.seq0, self._sealing.covered_end)
        if first >= block.seq_end:
            return
        self.close()
        for frame in self._again.journal.read(first, block.seq_end):
            self._sealing.link(frame.link())
        for stream, lines in streams.items():
            n_new = min(len(lines), at[stream] - self._sealed.get(stream, 0))
            if n_new > 0:
                self._sealing.cover({stream: lines[len(lines) - n_new :]})
        self._sealing.config = self._again.core.config
        self._due_us = self._again.core.core_us

    def close(self) -> None:
        """Seal what was covered, if it is time."""
        if self._due_us is not None:
            self._sealing.seal_if_due(self._due_us)
        self._due_us = None


class _Unfinished:
    """Control files among the records that no line of the delivery log speaks of: they may not be answered yet."""

    def __init__(self, seq_done: int) -> None:
        self._seq_done = seq_done
        self.files: dict[
            str, tuple[bytes, Mapping[str, object]]
        ] = {}  # by position; the last one counts

    def look(self, block: Recorded, outcome: Outcome) -> None:
        if block.seq_end <= self._seq_done:
            return
        for row, position in enumerate(block.messages.positions):
            if position.startswith(PREFIX) and block.seq0 + row >= self._seq_done:
                line = block.messages.lines[row]
                self.files[position] = (line, answer_of(outcome, row))


class _Tails:
    """Streams that ended too early, being written again.

    sealed : of encrypted streams, bytes that must stay as they stand: written again they are under another key, and
             the seals have hashes of what stood there
    """

    def __init__(self, disk: Disk, root: Path, sealed: Mapping[str, int]) -> None:
        self._disk, self._root, self._sealed = disk, root, sealed
        self._files: dict[str, DiskFile] = {}
        self.completed: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def complete(self, stream: str, torn_at: int, end: int, lines: bytes) -> None:
        """Write what is missing of `lines`, which end at byte `end`; the stream is whole up to `torn_at`."""
        file = self._files.get(stream)
        if file is None:
            path = stream_path(self._root, stream)
            if torn_at < self._sealed.get(stream, 0):
                raise StateError(
                    f"`{path.name}` ends, or cannot be read, before what was sealed of it",
                    f"{path} byte {torn_at}",
                    why="it is encrypted: what is written again would not be the bytes that were sealed",
                    fix="restore the file from a backup, or go on in another folder",
                )
            if self._disk.size(path) > torn_at:
                self._disk.truncate(path, torn_at)
            file = self._files[stream] = self._disk.append(path)
            self.completed[stream] = 0
        missing = lines[len(lines) - (end - file.tell()) :] if end > file.tell() else b""
        if missing:
            file.write(missing)
            self.completed[stream] += len(missing)


def _check_lengths(disk: Disk, root: Path, lengths: Mapping[str, int]) -> None:
    """Refuse a stream that is shorter than it was at the snapshot: it was synced then."""
    for stream, length in lengths.items():
        path = stream_path(root, stream)
        if max(0, disk.size(path)) < length:
            raise StateError(
                f"`{path.name}` is shorter than the snapshot says ({length} bytes)",
                str(path),
                why="lines that were already given out are missing",
                fix="restore the file from a backup, or replay into an empty folder",
            )


def _last_seq(disk: Disk, path: Path) -> int:
    """The `seq` of the last line that has one, -1 without any. A torn or rubbish tail is passed over."""
    size = disk.size(path)
    length = TAIL_BYTES
    while size > 0:
        start = max(0, size - length)
        lines = disk.read(path, start, size - start).split(b"\n")
        for line in reversed(lines if start == 0 else lines[1:]):
            try:
                told = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if isinstance(told, dict) and isinstance(told.get("seq"), int):
                return int(told["seq"])
        if start == 0:
            break
        length *= 4
    return -1
