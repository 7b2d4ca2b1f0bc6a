"""When snapshots are written, by whom, and what is removed afterwards.

A replay writes one in its own process every so many records; a live engine has a process beside it derive and write
them (snapshot_helper.py), so that no decision waits. Both are taken where the chain of seals has a link, and
both leave one at an orderly stop. The process beside compares every line it derives with those on disk on its way:
what it finds is told, and counted. It gets no more than half a processor (throttle.py). A large state it loads right
after a start, for which decisions have just waited: beside whoever takes gigabytes of memory they wait again.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.settings import Settings
from engine.clock import Clock
from engine.durable import snapshots
from engine.durable.disk import Disk
from engine.durable.journal import SegmentedJournal
from engine.durable.output import JOURNAL
from engine.durable.sealing import GRID, Sealing, sealed_before
from engine.durable.snapshots import Snapshot

SEQ_DIGITS: Final = 16  # of the name of a segment
LOOK_EVERY_US: Final = 200_000  # at the process beside
PERCENT: Final = 50  # of a processor for it
CAN_THROTTLE: Final = sys.platform == "linux"
PIPE_BYTES: Final = 1 << 16
STAYS_FROM_BYTES: Final = 1 << 28  # read again in 3 s; without any, a process holds 170 MB


class Helper:
    """The process beside a live engine, at most one. With a large state it stays for the next snapshot, and keeps it.

    stays_from : bytes of state from which it stays, and loads it before it is asked for a snapshot; a smaller one is
                 soon loaded
    """

    def __init__(self, root: Path, stays_from: int = STAYS_FROM_BYTES) -> None:
        self._root, self._stays_from = root, stays_from
        self._process: subprocess.Popen[bytes] | None = None
        self._told = bytearray()
        self.is_running = False  # at what it was asked for

    def prepare(self, state_bytes: int) -> None:
        """Have the newest snapshot loaded, if it is that large, for the next one to come from it."""
        if state_bytes >= self._stays_from:
            self._ask(b"load\n")

    def start(self, seq: int, kept: int, kept_from: int) -> None:
        """Have a snapshot written at `seq`, after all but the newest `kept` were removed.

        kept_from : segments of the journal that end before this seq are removed, too
        """
        self._ask(b"%d %d %d\n" % (seq, kept, kept_from))

    def _ask(self, request: bytes) -> None:
        if self._process is None:
            self._process = self._begin()
        assert self._process.stdin is not None
        self.is_running = True
        with contextlib.suppress(BrokenPipeError):  # it has ended: `result` says how
            self._process.stdin.write(request)
            self._process.stdin.flush()

    def result(self) -> dict[str, object] | None:
        """What it has told, once it has: a JSON object with `error` if it failed; None while it is at it."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        has_ended = process.poll() is not None
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(process.stdout.fileno(), PIPE_BYTES):
                self._told += piece
        if not has_ended and not self._told.endswith(b"\n"):
            return None
        try:
            found = dict(json.loads(self._told))
        except (TypeError, ValueError):
            found = {"error": f"it ended with status {process.returncode}"}
        self._told.clear()
        self.is_running = False
        if int(found.get("bytes", -1)) < self._stays_from:  # also where something went wrong
            self.stop()
        return found

    def stop(self) -> None:
        """End it; what it had begun to write is no snapshot."""
        self.is_running = False
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # a halted one hears nothing less
            self._process.communicate()
            self._process = None

    def _begin(self) -> "subprocess.Popen[bytes]":
        module = ["engine.durable.snapshot_helper", str(self._root)]
        if CAN_THROTTLE:
            module = ["engine.durable.throttle", str(PERCENT), *module]
        process = subprocess.Popen(  # noqa: S603 - our own module, and a folder
            [sys.executable, "-m", *module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        return process


@dataclass(slots=True)
class Keeper:
    """Snapshots of one run.

    sealing : the chain; None where none is kept: then snapshots are taken anywhere, and stand alone
    journal : whose oldest segments go when they are not needed any more
    helper  : writes them beside a live engine; None: they are written in this process

    The process beside removes old ones too, and old segments of the journal, before it writes: the file system takes a
    quarter of a second to let go of a gigabyte, and decisions would wait. So between two of them a live engine holds
    one more than `snapshots_kept`, and segments that the chain says have gone.
    """

    disk: Disk
    root: Path
    clock: Clock
    settings: Settings
    sealing: Sealing | None = None
    journal: SegmentedJournal | None = None
    helper: Helper | None = None
    newest_seq: int = 0
    failures: int = 0
    differences: int = 0
    _last_ns: int = 0
    _looked_ns: int = 0
    _newest_us: int = 0
    _core_us: int = -1

    def begin(self, seq: int) -> None:
        """Count from here on: at `seq` there is a snapshot, or the beginning."""
        self.newest_seq = seq
        self._last_ns = self.clock.monotonic_ns()
        self._newest_us = self.clock.now_us()

    @property
    def age_s(self) -> float:
        """Seconds since the newest snapshot was written, or since the start if it is older."""
        return (self.clock.now_us() - self._newest_us) / 1e6

    def is_due(self, seq: int, now_ns: int) -> bool:
        """Whether `keep` has something to do; asked between any two polls, so it is cheap."""
        if self.helper is None:
            is_link = self.sealing is None or seq % GRID == 0  # sealed as soon as no round is left
            return seq - self.newest_seq >= self.settings.snapshot_records and is_link
        return now_ns - self._looked_ns >= LOOK_EVERY_US * 1_000

    @property
    def is_here(self) -> bool:
        """Whether snapshots are written in this process, so that no round may be on its way."""
        return self.helper is None

    def keep(
        self, sync: Callable[[], None], take: Callable[[], Snapshot], now_ns: int, core_us: int
    ) -> None:
        """Write a snapshot, have one written, or see what has become of it.

        `sync` makes the streams durable, for one written here: the process beside syncs what its snapshot counts.
        """
        self._core_us = core_us
        if self.helper is None:
            self._write(sync, take)
            return
        self._looked_ns = now_ns
        if self.helper.is_running:
            told = self.helper.result()
            if told is not None:
                self._take_over(told)
        elif self.sealing is not None and now_ns - self._last_ns >= self._every_ns():
            self._last_ns = now_ns
            if self.sealing.seq_end > self.newest_seq:
                kept, kept_from = self.settings.snapshots_kept, self.sealing.kept_from
                self.helper.start(self.sealing.seq_end, kept, kept_from)

    def stop(self, sync: Callable[[], None], take: Callable[[], Snapshot]) -> None:
        """The orderly end: seal what is left, and write a snapshot that nothing comes after."""
        if self.helper is not None:
            self.helper.stop()
            self.helper = None
            for seq in snapshots.numbers(self.disk, self.root):
                if seq > self.newest_seq:  # written a moment ago, and not noted in the chain
                    snapshots.remove(self.disk, self.root, seq)
        if self.sealing is not None:
            self.sealing.seal()
        self._write(sync, take)

    def _every_ns(self) -> int:
        return self.settings.snapshot_every_us * 1_000

    def _write(self, sync: Callable[[], None], take: Callable[[], Snapshot]) -> None:
        sync()
        snapshot = take()
        if self.sealing is not None:
            self.sealing.settle()
            assert self.sealing.seq_end == snapshot.seq, "the chain has no link here"
        sha256 = snapshots.write(self.disk, self.root, snapshot)
        self._note(snapshot.seq, sha256)
        snapshots.prune(self.disk, self.root, self.settings.snapshots_kept)
        self._retire()

    def _take_over(self, told: dict[str, object]) -> None:
        """See what the process beside has to say about a snapshot."""
        if "loaded" in told:
            return
        seq, sha256, differences = (told.get(k) for k in ("seq", "sha256", "differences"))
        for difference in differences if isinstance(differences, list) else []:
            print(f"error: derived again, it is another line: {difference}", file=sys.stderr)
            self.differences += 1
        if isinstance(seq, int) and isinstance(sha256, dict) and not differences:
            self._note(seq, sha256)
            self._retire()
        elif not differences:
            print(f"warning: no snapshot was written: {told.get('error')}", file=sys.stderr)
            self.failures += 1

    def _note(self, seq: int, sha256: dict[str, str]) -> None:
        self.newest_seq, self._newest_us = seq, self.clock.now_us()
        if self.sealing is not None:
            self.sealing.note_snapshot(seq, sha256)

    def _retire(self) -> None:
        """Let segments of the journal go that are older than `journal_keep` and than the oldest snapshot."""
        cut_us = self._core_us - self.settings.journal_keep_us
        journal, sealing = self.journal, self.sealing
        if journal is None or sealing is None or cut_us <= 0:
            return
        oldest = snapshots.numbers(self.disk, self.root)[:1]
        before = min([sealed_before(self.disk, self.root, cut_us), *oldest])
        told = sealing.kept_from
        if going := [name for name in journal.retirable(before) if int(name[:SEQ_DIGITS]) >= told]:
            names = self.disk.names(self.root / JOURNAL)
            left = names[names.index(going[-1]) + 1]
            sealing.note_retired(going, int(left[:SEQ_DIGITS]))
        if self.helper is None:
            journal.retire(sealing.kept_from)
        else:  # the process beside removes them when it is asked for the next snapshot
            journal.allow_from(sealing.kept_from)
