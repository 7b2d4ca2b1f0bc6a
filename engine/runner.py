"""Run a core over a source: poll, apply, journal, write, count, until the source ends or somebody asks to stop.

The runner is the shell: the only place where batches, the clock, files and the core meet. What a batch means is decided
in engine/core.py alone, so nothing here can change an outcome. A round:

    poll -> core.apply(k) -> journal.append(k), begin_sync -> [ poll -> core.apply(k+1) ] -> wait
         -> write the streams of k -> control files, source.commit -> delivery log -> seals

Nothing leaves before its input is durable, and the next batch is decided meanwhile. If nothing more has arrived, a
round is finished at once; so is one of a live source that is durable, or will be in no time: it would wait until the
whole next batch is decided. A batch never crosses a multiple of `GRID`: there the chain of seals has its links.
"""

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from config.errors import WeirError
from engine.backfill import LATER
from engine.carry import Ahead, Carried, hand_over
from engine.cases import PAID
from engine.clock import Clock
from engine.control import Control, ControlFile
from engine.core import Core, Outcome
from engine.durable.delivery import STREAM as DELIVERY
from engine.durable.delivery import Delivery
from engine.durable.journal import SegmentedJournal
from engine.durable.keeping import Keeper
from engine.durable.output import JOURNAL, OutputFolder
from engine.durable.sealing import GRID, Sealing
from engine.durable.snapshots import Snapshot
from engine.durations import Durations
from engine.metrics import Metrics, Watch
from engine.outcomes import rfc3339
from engine.ports import Link, Messages, Outlets, Source
from engine.progress import Progress
from engine.totals import Totals, answer_of

TICK_AFTER_US = (
    1_000_000  # a live source that is silent that long gets a tick, so that things expire
)
WAIT_US = (
    10_000  # how long one poll of a live source may wait; commands are looked for between polls
)
CONTROL_EVERY_US = 200_000
OUTLETS_EVERY_US = 10_000
ANSWERS_MAX = 256  # of core banking, journaled at once
DRAIN_US = 10_000_000  # at the end of the input, for answers that are still to come
SOON_US = 500  # a good disk syncs a small batch in less
COMMANDS_MAX = 32  # taken at once: each is renamed and answered with 5 ms of syncing, and transactions wait meanwhile

Observer: TypeAlias = Callable[[Outcome], None]
Follower: TypeAlias = Callable[[Core], None]


class Steps(Protocol):
    """What brings other configurations in (engine/reload/controller.py)."""

    @property
    def is_busy(self) -> bool:
        """Whether it wants to be asked again at once."""
        ...

    @property
    def needs_restart(self) -> bool:
        """Whether the engine has to stop, because messages must be read otherwise from now on."""
        ...

    def step(self, runner: "Runner") -> None:
        """Do a little, between two batches."""
        ...

    def stop(self) -> None: ...


class StopRequest:
    """Turn SIGINT and SIGTERM into an orderly stop after the batch at hand; a second one stops at once."""

    def __init__(self) -> None:
        self.is_set = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.is_set = True
        signal.signal(number, self._before[number])


@dataclass(slots=True)
class Ledger:
    """What makes a run durable and provable. All of it, or none (`durability: none`)."""

    journal: SegmentedJournal
    sealing: Sealing
    delivery: Delivery

    def close(self) -> None:
        """The orderly end of the journal, and of the files."""
        self.journal.close()
        self.sealing.close()
        self.delivery.close()


@dataclass(slots=True)
class Round:
    """A batch that was decided, on its way to being durable and written."""

    outcome: Outcome
    n: int
    position: str  # where the source stood after it
    core_us: int
    began_ns: int
    arrived_us: int
    decided_us: int
    watch: Watch
    link: Link | None
    files: Sequence[tuple[ControlFile, Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class Change:
    """A configuration record on its way to being durable; what is decided under it waits behind it like any round."""

    link: Link
    seq: int
    config: str
    core_us: int
    at_us: int  # wall clock


@dataclass(slots=True)
class Runner:
    """One core, one source, one output folder.

    ledger    : journal, seals and delivery log; None: nothing of the kind is kept
    keeper    : writes snapshots when it is time
    observers : look at each outcome after it was written (feature files, evaluation); never change it. With them a
                round is finished before the next is decided, for texts live as long as their batch
    watchers  : told of each outcome after it was written; the next batch may be decided by then
    reloader  : brings other configurations in; None: the configuration stays what it is
    followers : told of the core that takes the place of `core`: whoever holds on to it must be among them
    outlets   : what carries commands out, and core banking's answers in; only with a live source
    """

    core: Core
    source: Source
    out: OutputFolder
    clock: Clock
    metrics: Metrics
    rows_max: int
    keeper: Keeper
    ledger: Ledger | None = None
    control: Control | None = None
    observers: tuple[Observer, ...] = ()
    watchers: tuple[Observer, ...] = ()
    reloader: Steps | None = None
    followers: tuple[Follower, ...] = ()
    outlets: Outlets | None = None
    totals: Totals = field(default_factory=Totals)
    resumed_from: Totals = field(default_factory=Totals)
    records: int = 0
    position: str = ""
    written_seq: int = 0  # one past the last record whose outcomes have left
    _written: str = ""  # position after the last round that was finished
    _pending: "Round | Change | None" = None
    _took: Durations = field(default_factory=Durations)  # of each batch, read to written
    _progress: Progress = field(default_factory=lambda: Progress(None, "msg", quiet=True))
    _seen_ns: int = 0  # when messages, commands and answers were taken, or looked for, last
    _control_ns: int = 0
    _outlets_ns: int = 0

    @property
    def lag_records(self) -> int:
        """Records that are decided, and whose outcomes have not left yet."""
        return self.core.seq - self.written_seq

    @property
    def sealed_seq(self) -> int:
        """Records before this one are in the chain of seals."""
        return self.ledger.sealing.seq_end if self.ledger is not None else 0

    def segment_bytes(self) -> list[int]:
        """Length of each segment of the journal."""
        folder, disk = self.out.root / JOURNAL, self.out.disk
        return [disk.size(folder / name) for name in disk.names(folder)]

    def latency_ms(self) -> dict[str, float]:
        """Percentiles of the time a batch took from being read to being written, milliseconds."""
        named = {"p50": 50.0, "p99": 99.0, "max": 100.0} if self._took.n else {}
        return {name: round(self._took.percentile_ms(p), 3) for name, p in named.items()}

    def run(self, progress: Progress, stop: StopRequest) -> None:
        """Run until the source ends or `stop` is set; then leave a snapshot that the next run goes on from.

        Raises `StateError` when something cannot be made durable (a full disk); nothing has left then that the journal
        does not hold, and the next start goes on.
        """
        self.begin(progress)
        while not stop.is_set and self.step():
            pass
        self.end(stop)

    def begin(self, progress: Progress) -> None:
        """Before the first `step`."""
        self._progress = progress
        assert self.outlets is None or self.source.is_live, "a replay sends nothing"
        self._seen_ns = self._control_ns = self._outlets_ns = self.clock.monotonic_ns()
        self._pay(progress)

    def step(self) -> bool:
        """Take what has arrived, and look after everything else once; whether there can be more."""
        progress = self._progress
        messages = self._poll(progress)
        now_ns = self.clock.monotonic_ns()
        if messages is None:
            return False
        if len(messages):
            self._seen_ns = now_ns
            self.position = messages.positions[-1]
            self._take(messages, progress)
        else:  # nothing more has arrived: what is decided leaves now
            self._finish(progress)
            if self.source.is_live and now_ns - self._seen_ns >= TICK_AFTER_US * 1_000:
                self._seen_ns = now_ns
                self._take(self._tick(), progress)
        if self.control and now_ns - self._control_ns >= CONTROL_EVERY_US * 1_000:
            self._control_ns = now_ns
            self._take_commands(progress)
        if self.outlets and now_ns - self._outlets_ns >= OUTLETS_EVERY_US * 1_000:
            self._outlets_ns = now_ns
            self._take_answers(self.outlets, progress)
        self._keep(progress, now_ns)
        if self.reloader is not None:
            self.reloader.step(self)
            return not self.reloader.needs_restart
        return True

    def end(self, stop: StopRequest | None = None) -> None:
        """After the last `step`: everything leaves, and a snapshot stays; `stop` ends the waiting for answers."""
        progress = self._progress
        while self.control and self._take_commands(progress):
            pass
        self._finish(progress)
        if self.outlets is not None and not (self.reloader and self.reloader.needs_restart):
            self._drain(self.outlets, progress, stop)
        with self.out.guarded():
            self.keeper.stop(self.out.sync, lambda: self.snapshot(orderly=True))

    @property
    def _is_reloading(self) -> bool:
        return self.reloader is not None and self.reloader.is_busy

    def inject(self, command: Mapping[str, Any], position: str) -> Mapping[str, object]:
        """Have a command of the engine itself become a record; it is durable, and done, when its answer returns."""
        line = json.dumps({"kind": "command", **command}, sort_keys=True).encode()
        now_us = np.array([self.clock.now_us()], np.int64)
        outcome = self._take(Messages([line], [position], now_us), self._progress)
        self._finish(self._progress)
        return answer_of(outcome, 0)

    def go_over(self, core: Core, about: Mapping[str, Any], ahead: Ahead | None = None) -> Carried:
        """Go on with `core`, which is empty and has the shapes of the present one, after a configuration record.

        about : what the record says beside the configuration and what became of its parts (engine/carry.py)
        ahead : what `look_ahead` has worked out for the two cores

        The one place where a run changes its core. `StateError` if the record cannot be written: then nothing has been
        decided under the new configuration, and the next start goes on under the old one.
        """
        assert self.ledger is not None, "without a journal nobody could tell what decided what"
        self._finish(self._progress)
        carried = hand_over(self.core, core, ahead)
        self.core = core
        with self.out.guarded():
            evidence = carried.evidence()
            if core.warming.unfilled:
                evidence["fills"] = LATER
            change = append_config(self.ledger, core, self.clock, about, evidence)
        self._pending = change
        self.keeper.settings = core.setup.configuration.settings
        for follow in self.followers:
            follow(core)
        return carried

    def settle(self) -> None:
        """Finish the round on its way, if there is one: everything that was decided is durable, and has left."""
        self._finish(self._progress)

    def note_config(self, about: Mapping[str, Any], evidence: Mapping[str, object]) -> None:
        """Write another record of the active configuration, which the core has taken in."""
        assert self.ledger is not None, "without a journal nobody could tell what was filled"
        assert self._pending is None, "a record in the middle of a round"
        with self.out.guarded():
            self._pending = append_config(self.ledger, self.core, self.clock, about, evidence)

    def snapshot(self, *, orderly: bool) -> Snapshot:
        """The state of everything at this moment, when no round is on its way; of use until the next batch."""
        assert self._pending is None, "a snapshot in the middle of a round"
        return Snapshot(
            seq=self.core.seq,
            records=self.records,
            position=self.position,
            orderly=orderly,
            config=self.core.config,
            lengths=self.out.lengths(),
            totals=self.totals.counts,
            arrays=self.core.save(copied=False),
        )

    def _poll(self, progress: Progress) -> Messages | None:
        """The next messages; while a round is on its way only those that are there already."""
        try:
            hurries = self._pending is not None or self._is_reloading
            return self.source.poll(self._room(), 0 if hurries else WAIT_US)
        except WeirError:  # the source ends here, but what came before it counts
            self._finish(progress)
            raise

    def _room(self) -> int:
        return min(self.rows_max, GRID - self.core.seq % GRID)

    def _take(
        self, messages: Messages, progress: Progress, files: Sequence[ControlFile] = ()
    ) -> Outcome:
        """Decide a batch and begin to make it durable; meanwhile, and first, the one before it is finished."""
        began_ns = self.clock.monotonic_ns()
        if self.source.is_live and self.ledger and self.ledger.journal.is_durable(SOON_US):
            self._finish(progress)
        watch = self.metrics.watch()
        seq0 = self.core.seq
        outcome = self.core.apply(
            messages.lines, messages.positions, messages.arrival_us, lap=watch.lap
        )
        decided_us = self.clock.now_us()
        arrival_us = messages.arrival_us
        answers = [(file, answer_of(outcome, row)) for row, file in enumerate(files)]
        self._finish(progress)
        watch.restart()
        link = None
        if self.ledger is not None:  # what must never be stored is gone from the lines by now
            batch = outcome.batch
            stored = Messages(batch.lines, messages.positions, arrival_us, batch.joined)
            journal = self.ledger.journal
            with self.out.guarded():
                self.ledger.sealing.settle_for(seq0 + len(messages))
                link = journal.append(seq0, stored, self.position)
                journal.begin_sync()
            watch.lap("journal")
        self._pending = Round(
            outcome,
            len(messages),
            self.position,
            self.core.core_us,
            began_ns,
            -1 if arrival_us is None else int(arrival_us[0]),
            decided_us,
            watch,
            link,
            answers,
        )
        if self.ledger is None or self.observers:
            self._finish(progress)
        self._pay(progress)
        return outcome

    def _pay(self, progress: Progress) -> None:
        """Take in the labels that verdicts of cases have given; those of a crash are still owed after it."""
        while self.source.is_live and (owed := self.core.decider.owed[: self._room()]):
            about = [json.dumps(label, sort_keys=True).encode() for label in owed]
            positions = [f"{PAID}{label['source']}" for label in owed]
            now_us = np.full(len(owed), self.clock.now_us(), np.int64)
            self._take(Messages(about, positions, now_us), progress)

    def _finish(self, progress: Progress) -> None:
        """Wait until the round on its way is durable; write its outcomes, answers and log, and count it."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        if isinstance(pending, Change):
            assert self.ledger is not None
            with self.out.guarded():
                finish_config(self.ledger, pending, self.clock)
            self.written_seq += 1
            return
        outcome, watch = pending.outcome, pending.watch
        watch.restart()
        with self.out.guarded():
            if self.ledger is not None:
                self.ledger.journal.wait()
                watch.lap("sync")
            durable_us = self.clock.now_us()
            self.out.write(outcome.streams)
            if self.source.is_live:
                self.out.flush()
            for file, answer in pending.files:
                assert self.control is not None
                self.control.finish(file, answer)
            self._commit(pending.position)
            watch.lap("write")
            if self.ledger is not None:
                self._log(self.ledger, pending, durable_us)
                watch.lap("seal")
        self._count(pending)
        watch.lap("observe")
        progress.advance(pending.n)

    def _commit(self, position: str) -> None:
        if position != self._written:
            self.source.commit(position)
            self._written = position

    def _log(self, ledger: Ledger, done: Round, durable_us: int) -> None:
        """The delivery log and the chain of seals."""
        batch = done.outcome.batch
        line = ledger.delivery.note(
            batch.seq0,
            done.n,
            arrived_us=done.arrived_us,
            decided_us=done.decided_us,
            durable_us=durable_us,
            published_us=self.clock.now_us(),
        )
        assert done.link is not None
        streams = {**done.outcome.streams, DELIVERY: line}
        ledger.sealing.add(done.link, streams, done.core_us)

    def _count(self, done: Round) -> None:
        self.written_seq += done.n
        self._took.add(self.clock.monotonic_ns() - done.began_ns)
        self.records += done.n
        self.totals.add(done.outcome)
        self.metrics.count(done.outcome.counts, done.n)
        for observe in (*self.observers, *self.watchers):
            observe(done.outcome)

    def _keep(self, progress: Progress, now_ns: int) -> None:
        """Have a snapshot written if it is time."""
        if not self.keeper.is_due(self.core.seq, now_ns):
            return
        if self.keeper.is_here:
            self._finish(progress)
        with self.out.guarded():
            take = lambda: self.snapshot(orderly=False)  # noqa: E731
            self.keeper.keep(self.out.sync, take, now_ns, self.core.core_us)

    def _tick(self) -> Messages:
        now_us = self.clock.now_us()
        line = b'{"kind":"tick","event_time":%d}' % (now_us // 1_000)
        return Messages([line], ["tick"], np.array([now_us], np.int64))

    def _take_commands(self, progress: Progress) -> bool:
        """Take what was dropped into control/; whether there was anything."""
        assert self.control is not None
        if self.control.door is not None:  # a reload may name other people
            self.control.door.people = self.core.setup.configuration.people
        files = self.control.take(min(self._room(), COMMANDS_MAX))
        if not files:
            return False
        now_us = self.clock.now_us()
        messages = Messages(
            [file.line for file in files],
            [file.position for file in files],
            np.full(len(files), now_us, np.int64),
        )
        self._take(messages, progress, files)
        self._finish(progress)  # people wait for the answer
        return True

    def _take_answers(self, outlets: Outlets, progress: Progress) -> None:
        """Take what core banking has answered; it is told that each is durable before it counts."""
        outlets.withhold(self.core.decider.withheld_before)
        outlets.step()
        answers = outlets.take(min(self._room(), ANSWERS_MAX))
        if not answers:
            return
        now_us = np.full(len(answers), self.clock.now_us(), np.int64)
        positions, lines = zip(*answers, strict=True)
        self._take(Messages(lines, positions, now_us), progress)
        self._finish(progress)
        outlets.done()

    def _drain(self, outlets: Outlets, progress: Progress, stop: StopRequest | None) -> None:
        """Wait a while for answers to the last commands; what has none by then is delivered after the next start."""
        until_ns = self.clock.monotonic_ns() + DRAIN_US * 1_000
        while not (stop and stop.is_set) and self.clock.monotonic_ns() < until_ns:
            self._take_answers(outlets, progress)
            if outlets.is_idle:
                break
            self.clock.sleep_us(OUTLETS_EVERY_US)


def append_config(
    ledger: Ledger,
    core: Core,
    clock: Clock,
    about: Mapping[str, Any],
    evidence: Mapping[str, object],
) -> Change:
    """Write the record that `core`, which has taken it in and no other since, decides from here on; begin to sync."""
    now_us = clock.now_us()
    told = dict(about)
    found = {**told.pop("evidence", {}), **evidence}
    at = rfc3339(now_us)
    record = {"kind": "config", "config": core.config, "at": at, **told, "evidence": found}
    seq = core.seq - 1
    ledger.sealing.settle_for(seq + 1)
    link = ledger.journal.append_config(seq, json.dumps(record, sort_keys=True).encode())
    ledger.journal.begin_sync()
    return Change(link, seq, core.config, core.core_us, now_us)


def finish_config(ledger: Ledger, change: Change, clock: Clock) -> None:
    """Wait until a configuration record is durable, and cover it by the chain."""
    ledger.journal.wait()
    done_us, at_us = clock.now_us(), change.at_us
    line = ledger.delivery.note(
        change.seq, 1, arrived_us=at_us, decided_us=at_us, durable_us=done_us, published_us=done_us
    )
    ledger.sealing.config = change.config
    ledger.sealing.add(change.link, {DELIVERY: line}, change.core_us)
