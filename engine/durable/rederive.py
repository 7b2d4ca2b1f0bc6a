"""Derive again what an output folder says: the one driver of a core over a journal.

Recovery, verify, explain, the snapshot process, restore drills and exports come through here, so that they all mean the
same by "again": the newest usable snapshot or nothing, then the journal record by record, each with the configuration
that was active at it (law 3). Nothing is written, and nothing is compared: that is for those who ask.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from engine.backfill import reconfigure
from engine.core import Core, Outcome
from engine.durable import config_store, snapshots
from engine.durable.disk import Disk
from engine.durable.encrypted_disk import unlocked
from engine.durable.journal import read_journal
from engine.durable.output import JOURNAL
from engine.durable.sealing import GRID
from engine.durable.snapshots import Snapshot
from engine.fits.records import RecordedFits
from engine.ports import SALT_BYTES, Messages, Recorded
from engine.progress import Progress
from engine.setup import Setup


class ConfigRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration record of the journal: from the record after it on, `config` decides.

    by, at   : who brought it (who proposed it, else the user of the operating system), and when (wall clock)
    approved_by, reason : who approved it, where somebody did, and what it was proposed for
    evidence : what became of rules, features and models (engine/carry.py), and `filled`: whether what is new was
               computed from the journal (engine/backfill.py)
    """

    kind: str = "config"
    config: str
    by: str = ""
    approved_by: str = ""
    at: str = ""
    reason: str = ""
    evidence: dict[str, Any] = {}


class Rederivation:
    """A core on its way through the journal of the output folder `root`. Reads only; the run may still be going on.

    disk      : through which the folder is read, decrypted where it is encrypted
    core      : the state before the record `core.seq`, which is the next to be applied
    setup     : the configuration active there
    position  : where the source stood then
    snapshot  : what it started from; None: from nothing
    skipped   : what was wrong with newer snapshots
    fits      : the fits of models, as they are on record

    known gives configurations that need not be read again, by their `sha256:...`; vouched the sha256 of manifests of
    snapshots that may be used, by seq (None: any that is not broken); let_go gets the arrays of a snapshot once they
    are loaded, as the last who holds them.
    """

    core: Core
    setup: Setup

    def __init__(
        self,
        disk: Disk,
        root: Path,
        *,
        key: bytes | None = None,
        known: Mapping[str, Setup] | None = None,
        vouched: Mapping[int, str] | None = None,
        let_go: Callable[[dict[str, NDArray[Any]]], None] = dict.clear,
    ) -> None:
        self.disk, self._root, self._key = unlocked(disk, root, key), root, key
        self.journal = read_journal(disk, root / JOURNAL, key)
        self._setups = dict(known or {})
        self.fits = RecordedFits.of(self.disk, root)
        self._vouched, self._let_go = vouched, let_go
        self.position = ""
        self.snapshot: Snapshot | None = None
        self.skipped: list[StateError] = []

    def start(self, seq: int = 0, *, snapshots: bool = True) -> None:
        """Stand at the newest usable snapshot at or before `seq`, else at the beginning of the journal.

        Raises `StateError` if there is neither. After it, `run_to(seq)` gets to `seq` itself.
        """
        self.skipped = []
        if snapshots and self._start_from_snapshot(min(seq, self.journal.seq_end)):
            return
        if self.journal.first_seq > 0:
            first = self.skipped[0] if self.skipped else None
            raise StateError(
                f"the journal begins at seq {self.journal.first_seq}, and no snapshot from there on can be used",
                str(self._root),
                why=str(first.what)
                if first
                else "what came before it was removed by `journal_keep`",
                fix="restore the snapshots of the folder from a backup",
            )
        self.setup = self.setup_of(self.opening_config)
        self.core = Core(self.setup)
        self.core.refits.connect(self.fits)
        self.snapshot, self.position = None, ""

    @property
    def opening_config(self) -> str:
        """The configuration that the oldest record of the journal was decided under; "" for an empty journal."""
        segments = self.journal.segments
        return segments[0].header.config if segments else ""

    def setup_of(self, config: str) -> Setup:
        """The configuration with this hash; `StateError` if the folder does not have it as it was."""
        found = self._setups.get(config)
        if found is None:
            found = self._setups[config] = config_store.stored(self.disk, self._root, config)
        return found

    def outcomes(
        self, seq_end: int = -1, rows_max: int = GRID
    ) -> Iterator[tuple[Recorded, Outcome | None]]:
        """Apply the records up to `seq_end` (-1: all there are), in blocks of at most `rows_max` rows.

        Gives each block with its outcome; None for a configuration record, after which `core` and `setup` are others.
        Blocks need not be the batches of the run, and never cross a multiple of `GRID`. May be called again to go on.
        """
        for block in blocks(self.journal.read(self.core.seq, seq_end), rows_max):
            assert block.seq0 == self.core.seq, (block.seq0, self.core.seq)
            outcome = None
            if block.config is not None:
                self._reconfigure(block)
            else:
                messages = block.messages
                outcome = self.core.apply(messages.lines, messages.positions, messages.arrival_us)
            self.position = block.source_position
            yield block, outcome

    def run_to(self, seq: int) -> None:
        """Apply what comes before `seq`, so that it is the next record, with a progress bar.

        Raises `StateError` if the journal ends before.
        """
        with Progress(max(0, seq - self.core.seq), "rows") as progress:
            for block, _ in self.outcomes(seq):
                progress.advance(len(block))
        if self.core.seq != seq:
            raise StateError(
                f"the journal ends at seq {self.core.seq}, asked for was {seq}", str(self._root)
            )

    def _start_from_snapshot(self, seq_max: int) -> bool:
        for found in snapshots.usable(self.disk, self._root, seq_max):
            if isinstance(found, StateError):
                self.skipped.append(found)
                continue
            if found.seq < self.journal.first_seq:
                return False  # older ones do not reach the journal either
            try:
                self._check_vouched(found.seq)
                setup = self.setup_of(found.config)
                core = Core(setup)
                core.refits.connect(self.fits)
                core.load(found.arrays)
            except StateError as error:
                self.skipped.append(error)
                continue
            self.core, self.setup = core, setup
            self.snapshot, self.position = replace(found, arrays={}), found.position
            self._let_go(found.arrays)
            return True
        return False

    def _check_vouched(self, seq: int) -> None:
        """Refuse a snapshot whose hashes agree with each other, but not with the chain of seals."""
        if self._vouched is None:
            return
        folder = self._root / snapshots.FOLDER / f"{seq:016d}"
        path = folder / snapshots.MANIFEST
        plain = sha256(self.disk.read(path)).hexdigest()
        if snapshots.stored_sha256(self.disk, path, plain) != self._vouched.get(seq):
            raise StateError(
                "the snapshot is not the one that the chain of seals names",
                str(folder),
                why="it was written anew, and nobody vouches for the state in it",
                fix="find out who changed it: weir audit verify",
            )

    def _reconfigure(self, record: Recorded) -> None:
        """Go on under the configuration that a record of the journal brings, with what it says was done."""
        assert record.config is not None
        told = msgspec.json.decode(record.config, type=ConfigRecord)
        self.setup = self.setup_of(told.config)
        self.core, _ = reconfigure(
            self.disk, self._root, self.core, self.setup, key=self._key, told=told.evidence
        )


def blocks(records: Iterable[Recorded], rows_max: int) -> Iterator[Recorded]:
    """The same records in blocks: small runs joined, large ones cut, configuration records alone.

    A live engine at night journals record by record; applied so, they would take fifty times as long (law 1 says that
    it makes no difference). A block holds at most `rows_max` rows, all with an arrival time or all without, and none
    crosses a multiple of `GRID`.
    """
    held: list[Recorded] = []
    n_held = 0
    position = ""
    for whole in records:
        rest: Recorded | None = whole
        if held and (whole.config is not None or not _agree(held[0], whole)):
            yield _joined(held)
            held, n_held = [], 0
        if whole.config is not None:
            position = whole.source_position
            yield whole
            continue
        while rest is not None:
            seq0 = held[0].seq0 if held else rest.seq0
            room = min(rows_max, GRID - seq0 % GRID) - n_held
            part, rest = _cut(rest, room, position)
            held.append(part)
            n_held += len(part)
            if n_held == min(rows_max, GRID - seq0 % GRID):
                yield _joined(held)
                held, n_held = [], 0
        position = whole.source_position
    if held:
        yield _joined(held)


def _agree(one: Recorded, other: Recorded) -> bool:
    return (one.messages.arrival_us is None) == (other.messages.arrival_us is None)


def _cut(record: Recorded, n: int, position: str) -> tuple[Recorded, Recorded | None]:
    """The first `n` rows and the rest; before its last row the source stood where it stood before the record."""
    if n >= len(record):
        return record, None
    return (
        _rows(record, 0, n, position),
        _rows(record, n, len(record), record.source_position),
    )


def _rows(record: Recorded, first: int, last: int, position: str) -> Recorded:
    messages = record.messages
    arrival_us = messages.arrival_us
    rows = slice(first, last)
    return replace(
        record,
        seq0=record.seq0 + first,
        messages=Messages(
            messages.lines[rows],
            messages.positions[rows],
            None if arrival_us is None else arrival_us[rows],
        ),
        source_position=position,
        salts=record.salts[first * SALT_BYTES : last * SALT_BYTES],
        erased={row - first: leaf for row, leaf in record.erased.items() if first <= row < last},
        digest=b"",
    )


def _joined(parts: list[Recorded]) -> Recorded:
    if len(parts) == 1:
        return parts[0]
    arrivals = [p.messages.arrival_us for p in parts]
    first = parts[0].seq0
    return replace(
        parts[0],
        messages=Messages(
            [line for p in parts for line in p.messages.lines],
            [position for p in parts for position in p.messages.positions],
            None if arrivals[0] is None else np.concatenate([a for a in arrivals if a is not None]),
        ),
        source_position=parts[-1].source_position,
        salts=b"".join(p.salts for p in parts),
        erased={p.seq0 - first + row: leaf for p in parts for row, leaf in p.erased.items()},
        digest=b"",
    )
