"""Run a core over a source: poll, apply, journal, write, count, until the source ends or somebody asks to stop.

The runner is the shell: the only place where batches, the clock, files and the core meet. What a batch means is decided
in engine/core.py alone, so nothing here can change an outcome.
"""

import copy
import signal
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Self, TypeAlias

import numpy as np

from config.errors import StateError
from engine.batch import KIND_NAMES
from engine.clock import Clock
from engine.control import Control, named
from engine.core import Core, Outcome
from engine.metrics import Metrics
from engine.output import OutputFolder, Snapshot
from engine.ports import Journal, Messages, Source
from engine.progress import Progress

TICK_AFTER_US = (
    1_000_000  # a live source that is silent that long gets a tick, so that things expire
)
WAIT_US = (
    10_000  # how long one poll of a live source may wait; commands are looked for between polls
)
CONTROL_EVERY_US = 200_000

Observer: TypeAlias = Callable[[Outcome], None]


@dataclass(slots=True)
class Totals:
    """What a run adds up; kept in snapshots, so that the summary of a resumed run is of the whole."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        for group, counts in outcome.counts.items():
            target = self.counts.setdefault(group, {})
            for name, n in counts.items():
                if n:
                    target[name] = target.get(name, 0) + n


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
class Runner:
    """One core, one source, one output folder.

    observers : look at each outcome after it was written (feature files, evaluation); never change it
    """

    core: Core
    source: Source
    out: OutputFolder
    clock: Clock
    metrics: Metrics
    rows_max: int
    journal: Journal | None = None
    control: Control | None = None
    observers: tuple[Observer, ...] = ()
    totals: Totals = field(default_factory=Totals)
    resumed_from: Totals = field(default_factory=Totals)
    records: int = 0
    position: str = ""
    # seconds of each batch, read to written
    _took_s: "array[float]" = field(default_factory=lambda: array("d"))

    def latency_ms(self) -> dict[str, float]:
        """Percentiles of the time a batch took from being read to being written, milliseconds."""
        if not self._took_s:
            return {}
        took_ms = np.frombuffer(self._took_s) * 1e3
        named = {"p50": 50.0, "p99": 99.0, "max": 100.0}
        return {name: round(float(np.percentile(took_ms, p)), 3) for name, p in named.items()}

    def resume(self, snapshot: Snapshot) -> None:
        """Go on from `snapshot`: state, totals and the place in the source. Before `run`."""
        config = self.core.config
        if snapshot.config != config:
            raise StateError(
                f"the output folder was written with configuration {snapshot.config[:19]}..., "
                f"given was {config[:19]}...",
                str(self.out.root),
                why="a day decided under two configurations needs a configuration record between them",
                fix="go on with the same --config and options, or write into another folder",
            )
        self.core.load(snapshot.arrays)
        self.totals = Totals(snapshot.totals)
        self.resumed_from = copy.deepcopy(self.totals)
        self.records = snapshot.records
        self.position = snapshot.position
        if self.position:
            self.source.resume_after(self.position)

    def run(self, progress: Progress, stop: StopRequest) -> None:
        """Run until the source ends or `stop` is set; then leave a snapshot that the next run goes on from."""
        last_seen_ns = last_control_ns = self.clock.monotonic_ns()
        while not stop.is_set:
            messages = self.source.poll(self.rows_max, WAIT_US)
            now_ns = self.clock.monotonic_ns()
            if messages is None:
                break
            if len(messages):
                last_seen_ns = now_ns
                self._take(messages, progress)
                self.position = messages.positions[-1]
                self.source.commit(self.position)
            elif self.source.is_live and now_ns - last_seen_ns >= TICK_AFTER_US * 1_000:
                last_seen_ns = now_ns
                self._take(self._tick(), progress)
            if self.control and now_ns - last_control_ns >= CONTROL_EVERY_US * 1_000:
                last_control_ns = now_ns
                self._take_commands(progress)
        if self.control:
            self._take_commands(progress)
        self.out.save(self.snapshot(orderly=True))

    def snapshot(self, *, orderly: bool) -> Snapshot:
        """The state of everything at this moment, between two batches."""
        return Snapshot(
            seq=self.core.seq,
            records=self.records,
            position=self.position,
            orderly=orderly,
            config=self.core.config,
            lengths=self.out.lengths(),
            totals=self.totals.counts,
            arrays=self.core.save(),
        )

    def _take(self, messages: Messages, progress: Progress) -> Outcome:
        """One round: journal, apply, write, count."""
        began_ns = self.clock.monotonic_ns()
        watch = self.metrics.watch()
        seq0 = self.core.seq
        outcome = self.core.apply(
            messages.lines, messages.positions, messages.arrival_us, lap=watch.lap
        )
        if self.journal is not None:  # what must never be stored is gone from the lines by now
            stored = Messages(outcome.batch.lines, messages.positions, messages.arrival_us)
            self.journal.append(seq0, stored, messages.positions[-1])
            self.journal.sync()
            watch.lap("journal")
        self.out.write(outcome.streams)
        if self.source.is_live:
            self.out.flush()
        watch.lap("write")
        self._took_s.append((self.clock.monotonic_ns() - began_ns) / 1e9)
        self.records += len(messages)
        self.totals.add(outcome)
        self.metrics.count(outcome.counts, len(messages))
        for observe in self.observers:
            observe(outcome)
        watch.lap("observe")
        progress.advance(len(messages))
        return outcome

    def _tick(self) -> Messages:
        now_us = self.clock.now_us()
        line = b'{"kind":"tick","event_time":%d}' % (now_us // 1_000)
        return Messages([line], ["tick"], np.array([now_us], np.int64))

    def _take_commands(self, progress: Progress) -> None:
        assert self.control is not None
        files = [named(file) for file in self.control.take()]
        if not files:
            return
        now_us = self.clock.now_us()
        positions = [f"control/{file.path.stem}" for file in files]
        lines = [file.line for file in files]
        arrival_us = np.full(len(files), now_us, np.int64)
        outcome = self._take(Messages(lines, positions, arrival_us), progress)
        self.out.flush()
        for row, file in enumerate(files):
            self.control.answer(file, _answer(outcome, row))


def _answer(outcome: Outcome, row: int) -> Mapping[str, object]:
    """What to tell whoever dropped in the message at `row`; it need not have been a command."""
    answer = outcome.answers.get(row)
    if answer is not None:
        return answer
    batch = outcome.batch
    head = {"seq": batch.seq0 + row, "command": None}
    dead = batch.dead.get(row)
    if dead is None:
        return head | {"ok": True, "kind": KIND_NAMES[batch.kind[row]]}
    return head | {"ok": False, "what": dead.what, "why": dead.reason, "fix": dead.fix}
