"""Throughput of the whole engine: NDJSON on disk to decisions on disk, one process on one core, durability on.

The clock runs from the first read until every decision, seal and journal block of the recording is synced to disk;
kernels and configuration are loaded before, the snapshot of an orderly stop comes after. Beside it: what the same bytes
cost to decode and nothing else, and how often this disk can sync.
"""

import contextlib
import gc
import hashlib
import os
import resource
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from config.feeds import CANONICAL, Feed
from engine.app import memory_mb_max
from engine.brokers.files import FileSource
from engine.clock import Clock, SystemClock
from engine.durable.disk import RealDisk
from engine.durable.holding import only_writer
from engine.garbage import rare_collection
from engine.metrics import Metrics
from engine.progress import Progress
from engine.setup import Setup
from engine.starting import open_engine

STAGES: Final = (
    "decode",
    "admit",
    "attributes",
    "windows",
    "models",
    "rules",
    "decide",
    "remember",
    "journal",
    "sync",
    "write",
    "seal",
    "observe",
)  # in their order; what engine/metrics.py has beside them is shown after them
ELSE: Final = "reading and the rest"  # what is in no stage: cutting lines, the loop
DECODE_ROWS: Final = 2_048
SYNC_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Run:
    """What one pass over a recording took.

    seconds, cpu_seconds : on the clock, and of the processor with all threads
    stage_s              : seconds by stage; they add up to `seconds`
    sha256               : of decisions.ndjson
    written              : bytes on disk afterwards, by name: journal, decisions.ndjson ...; snapshots left out
    """

    transactions: int
    messages: int
    batches: int
    seconds: float
    cpu_seconds: float
    stage_s: dict[str, float]
    sha256: str
    memory_mb: float
    written: dict[str, int]

    @property
    def tx_per_second(self) -> float:
        return self.transactions / self.seconds

    @property
    def cpu_us(self) -> float:
        """Processor time a transaction."""
        return self.cpu_seconds / self.transactions * 1e6


def pin() -> int:
    """Keep this process on the last core it may use, where the system can; return how many it may use then."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        return 1
    return os.cpu_count() or 1


def processor_s() -> float:
    """Seconds of the processor that this process has used, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def canonical_source(paths: Sequence[Path], setup: Setup) -> FileSource:
    """A recording in our own NDJSON."""
    return FileSource(list(paths), Feed(CANONICAL), setup.schema)


def once(setup: Setup, source: FileSource, out: Path) -> Run:
    """Decide all of `source` into `out`, an empty folder, as a replay does."""
    clock: Clock = SystemClock()
    metrics = Metrics(clock)
    with contextlib.ExitStack() as stack:
        stack.callback(source.close)
        stack.enter_context(only_writer(out))
        rows_max = setup.configuration.settings.rows_max
        engine = open_engine(
            RealDisk(), out, source, setup, clock, metrics=metrics, rows_max=rows_max
        )
        stack.callback(engine.close)
        runner = engine.runner
        runner.core.warm_up()
        stack.enter_context(rare_collection())
        progress = stack.enter_context(Progress(None, "msg", quiet=True))
        began_cpu, began_ns = processor_s(), clock.monotonic_ns()
        runner.begin(progress)
        while runner.step():
            pass
        runner.settle()
        engine.out.sync()
        seconds = (clock.monotonic_ns() - began_ns) / 1e9
        cpu_seconds = processor_s() - began_cpu
        counts = runner.totals.counts
        stage_s = metrics.sums("weir_stage_seconds")
        batches = round(metrics.sums("weir_batch_rows", observations=True).get("", 0.0))
        runner.end()
    with (out / "decisions.ndjson").open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Run(
        sum(counts.get("decisions", {}).values()),
        counts["messages"]["all"],
        batches,
        seconds,
        cpu_seconds,
        ordered(stage_s) | {ELSE: seconds - sum(stage_s.values())},
        sha256,
        memory_mb_max(),
        sizes(out),
    )


def sizes(out: Path) -> dict[str, int]:
    """Bytes of what a run wrote, by name of file or folder; snapshots and configuration left out."""
    found: dict[str, int] = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).parts[0]
        if path.is_file() and name not in ("snapshots", "config"):
            found[name] = found.get(name, 0) + path.stat().st_size
    return found


def ordered(stage_s: dict[str, float]) -> dict[str, float]:
    """Stages in the order in which a batch goes through them."""
    names = [name for name in STAGES if name in stage_s]
    return {name: stage_s[name] for name in (*names, *(n for n in stage_s if n not in names))}


# ---------------------------------------------------------------- limits


class Message(msgspec.Struct):
    """What decode-only reads: the fields of the canonical stream."""

    kind: str | None = None
    transaction_id: str | None = None
    event_time: str | None = None
    account: str | None = None
    customer: str | None = None
    card: str | None = None
    device: str | None = None
    counterparty: str | None = None
    merchant: str | None = None
    terminal: str | None = None
    amount: str | float | None = None
    currency: str | None = None
    type: str | None = None
    direction: str | None = None
    status: str | None = None
    channel: str | None = None
    entry_mode: str | None = None
    mcc: str | None = None
    country: str | None = None
    balance_before: str | float | None = None
    label: str | None = None
    source: str | None = None


def decode_only(lines: Sequence[bytes], kind: type[msgspec.Struct] = Message) -> float:
    """Messages a second through msgspec into `kind` and nothing else; batches are kept, nobody collects garbage."""
    clock = SystemClock()
    decode = msgspec.json.Decoder(kind).decode
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    began_ns = clock.monotonic_ns()
    for first in range(0, len(lines), DECODE_ROWS):
        kept = [decode(line) for line in lines[first : first + DECODE_ROWS]]
    took_ns = clock.monotonic_ns() - began_ns
    if was_on:
        gc.enable()
    del kept
    return len(lines) / took_ns * 1e9


def sync_ms(folder: Path, *, n_bytes: int = SYNC_BYTES, seconds: float = 1.0) -> list[float]:
    """How long this disk takes to make so many more bytes of a growing file durable, each time; milliseconds."""
    clock, block, path = SystemClock(), bytes(n_bytes), folder / "sync.probe"
    sync = getattr(os, "fdatasync", os.fsync)
    took: list[float] = []
    with path.open("wb", buffering=0) as file:
        began_ns = clock.monotonic_ns()
        while not took or clock.monotonic_ns() - began_ns < seconds * 1e9:
            at_ns = clock.monotonic_ns()
            file.write(block)
            sync(file.fileno())
            took.append((clock.monotonic_ns() - at_ns) / 1e6)
    path.unlink()
    return took


def syncs_per_second(folder: Path, seconds: float = 1.0) -> float:
    """How often this disk makes another 64 KB of a growing file durable."""
    took = sync_ms(folder, seconds=seconds)
    return len(took) / max(sum(took), 1e-9) * 1e3


# ---------------------------------------------------------------- as told


def profile(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Microseconds a transaction and share of each stage, medians over runs."""
    names = list(runs[0].stage_s)
    us = {
        name: statistics.median(r.stage_s.get(name, 0.0) / r.transactions * 1e6 for r in runs)
        for name in names
    }
    whole = sum(us.values())
    return [{"stage": name, "us": us[name], "share": us[name] / whole} for name in names]
