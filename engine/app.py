"""Run a job from beginning to end, and say what ran: `weir run` and `weir replay` come through here.

How an engine is put on an output folder stands in engine/starting.py; this is what a command adds: clock and disk of
the machine, signals, a progress bar, the summary.
"""

import contextlib
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import kernel_cache
from config.errors import StateError
from engine.clock import SystemClock
from engine.core import Core
from engine.durable.disk import RealDisk
from engine.durable.holding import only_writer
from engine.durable.output import OutputFolder
from engine.garbage import rare_collection
from engine.memory import MemoryGuard
from engine.metrics import Metrics
from engine.ports import Source
from engine.progress import Progress
from engine.quality import FLAWS, of_run, table
from engine.reload.filler import FillingProcess, can_fill
from engine.reload.process import Beside
from engine.runner import Observer, StopRequest
from engine.setup import Setup
from engine.starting import Engine, open_engine
from engine.windows import budget, usage


def memory_mb_max() -> float:
    """Most memory this program has held so far, MB (10^6 bytes); without what its starter held, where that shows."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1_024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def summarise(
    setup: Setup,
    totals: dict[str, dict[str, int]],
    before: dict[str, dict[str, int]],
    *,
    seconds: float,
    warm_up_seconds: float,
    latency_ms: dict[str, float],
    inputs: Sequence[str],
) -> dict[str, Any]:
    """The summary of a run as it stands in summary.json.

    totals are of the whole, `before` of what an earlier run had done of it: the speed is that of this run. seconds
    covers reading to writing; warm_up_seconds is what came before it (kernels, configuration). tx_per_second counts
    transactions only.
    """
    decided = sum(totals.get("decisions", {}).values()) - sum(before.get("decisions", {}).values())
    read = totals.get("messages", {}).get("all", 0) - before.get("messages", {}).get("all", 0)
    return {
        "config": setup.sha256,
        "pack": {"name": setup.pack.name, "version": setup.pack.version},
        "packs": [{"name": p.name, "version": p.version} for p in setup.pack.members],
        "inputs": list(inputs),
        **{
            group: dict(sorted(counts.items()))
            for group, counts in sorted(totals.items())
            if group not in FLAWS  # they stand under `quality`
        },
        "speed": {
            "seconds": round(seconds, 3),
            "warm_up_seconds": round(warm_up_seconds, 3),
            "tx_per_second": round(decided / seconds) if seconds > 0 else 0,
            "messages_per_second": round(read / seconds) if seconds > 0 else 0,
            "batch_latency_ms": latency_ms,
        },
        "memory_mb_max": round(memory_mb_max(), 1),
    }


@dataclass(slots=True)
class Job:
    """One run or replay, described: what `execute` needs beside the source."""

    setup: Setup
    out: Path
    rows_max: int
    inputs: tuple[str, ...]
    resume: bool = False  # go on with what the folder holds
    rewinds: bool = True  # the source can give again what came before
    is_live: bool = False  # takes commands from OUT/control/; a process beside writes snapshots
    durability: str = ""  # in place of the setting
    metrics_port: int = 0
    quiet: bool = False  # no progress bar, no notes
    total: int | None = None  # records, for the progress bar
    reload_helper: str = (
        ""  # module whose process checks configurations that are proposed while the engine runs
    )
    watched: str = ""  # folder whose changes are proposed


def execute(
    job: Job,
    source: Source,
    *,
    observe: Callable[[Core], Sequence[Observer]] = lambda _core: (),
    attach: Callable[[Engine, contextlib.ExitStack], None] = lambda _engine, _stack: None,
) -> dict[str, Any]:
    """Run `source` through a core into the output folder of `job`; return the summary, which is written there too.

    attach : told of the engine before it runs; what it leaves on the stack is undone in the end

    Raises `StateError` if the folder holds another run and `resume` is not set, cannot be gone on with, or is being
    written by another process.
    """
    clock = SystemClock()
    began_ns = clock.monotonic_ns()
    if OutputFolder(job.out).is_used() and not job.resume:
        raise StateError(
            "the output folder holds another run",
            str(job.out),
            why="two runs in one folder could not be told apart, or verified",
            fix="name an empty folder, or add --resume to go on with that run",
        )
    if not job.quiet and kernel_cache.is_cold("engine"):
        print(
            "compiling kernels, once for this version and machine: a minute or two ...",
            file=sys.stderr,
        )
    budget.refuse(job.setup)
    metrics = Metrics(clock)
    with contextlib.ExitStack() as stack:
        stack.callback(source.close)
        stack.enter_context(only_writer(job.out))
        engine = open_engine(
            RealDisk(),
            job.out,
            source,
            job.setup,
            clock,
            metrics=metrics,
            durability=job.durability,
            helper=job.is_live,
            control=job.is_live,
            may_reconfigure=job.is_live,
            rewinds=job.rewinds,
            rows_max=job.rows_max,
            observe=observe,
            helps=(lambda _: Beside(["-m", job.reload_helper, str(job.out)]))
            if job.reload_helper
            else None,
            fills=(lambda _: FillingProcess(job.out)) if job.reload_helper and can_fill() else None,
            watched=job.watched,
        )
        stack.callback(engine.close)
        runner = engine.runner
        guard = MemoryGuard(runner.core, engine.setup.configuration.settings.memory_budget_bytes)
        runner.watchers = (guard,)
        metrics.show_memory(runner.core, guard)

        def follow(core: Core) -> None:
            guard.core, guard.budget = core, core.setup.configuration.settings.memory_budget_bytes
            metrics.show_memory(core, guard)

        runner.followers += (follow,)
        for note in () if job.quiet else (*engine.notes, *_from_where(job, runner.position)):
            print(note, file=sys.stderr)
        runner.core.warm_up()
        attach(engine, stack)
        if job.metrics_port:
            metrics.serve(job.metrics_port)
        warm_ns = clock.monotonic_ns()
        stack.enter_context(rare_collection())
        with StopRequest() as stop, Progress(job.total, "msg", quiet=job.quiet) as progress:
            guard.stop = stop
            runner.run(progress, stop)
        setup = runner.core.setup  # another one may have become active
        summary = summarise(
            setup,
            runner.totals.counts,
            runner.resumed_from.counts,
            seconds=(clock.monotonic_ns() - warm_ns) / 1e9,
            warm_up_seconds=(warm_ns - began_ns) / 1e9,
            latency_ms=runner.latency_ms(),
            inputs=job.inputs,
        )
        summary["quality"] = of_run(
            setup.feed.name,
            setup.schema,
            runner.core.decoder.quality,
            runner.totals.counts,
        )
        summary["windows"] = usage.as_summary(
            usage.usages(runner.core.windows), runner.core.core_us
        )
        if fits := engine.fits.figures():
            summary["fits"] = fits
        if ratings := runner.core.decider.ratings.table():
            summary["ratings"] = ratings
        if stop.is_set:
            by = "by the memory budget" if guard.is_over else "by a signal"
            summary["stopped"] = f"{by}, before the end of the input"
        elif runner.reloader is not None and runner.reloader.needs_restart:
            summary["stopped"] = "for another way to read messages; start it again"
        engine.summarise(summary)
        guard.check()
    return summary


def _from_where(job: Job, position: str) -> Sequence[str]:
    """Tell whoever sends through a pipe where to go on: what this engine has durable need not come again."""
    if job.rewinds or not position:
        return ()
    number = position.rpartition(":")[2]
    said = (
        f"note: message {number} of this input was the last one taken; send again what comes after it. "
        "Sending more again is harmless: repeats are answered with their first decision"
    )
    return (said,)


def summary_table(summary: dict[str, Any]) -> str:
    """The summary for people: a few lines of aligned numbers."""
    speed = summary["speed"]
    rows = [
        ("stopped", summary.get("stopped", "")),
        ("messages", _counts(summary.get("messages", {}), skip="all")),
        ("decisions", _counts(summary.get("decisions", {}))),
        ("rules fired", _counts(summary.get("fired", {}), most=6)),
        ("reports", _counts(summary.get("reports", {}), most=6)),
        ("undecided", _counts(summary.get("undecided", {}), most=6)),
        ("dead letters", _counts(summary.get("dead_letters", {}), most=6)),
        ("unknown fields", _counts(summary["quality"]["unknown_fields"], most=6)),
        (
            "speed",
            (
                f"{speed['tx_per_second']:,} tx/s, {speed['messages_per_second']:,} messages/s,"
                f" {speed['seconds']:,.1f} s (after {speed['warm_up_seconds']:.1f} s of warm-up)"
            ),
        ),
        (
            "batch latency",
            ", ".join(f"{k} {v:.2f} ms" for k, v in speed["batch_latency_ms"].items()),
        ),
        ("windows", usage.as_line(summary["windows"])),
        ("memory", f"{summary['memory_mb_max']:,.0f} MB at most"),
    ]
    shown = "\n".join(f"{name:14s} {text}" for name, text in rows if text)
    quality = table(summary["quality"])
    return f"{shown}\n\n{quality}" if quality else shown


def _counts(counts: dict[str, int], most: int = 12, skip: str = "") -> str:
    ordered = sorted(
        ((n, name) for name, n in counts.items() if name != skip), key=lambda p: (-p[0], p[1])
    )
    shown = ", ".join(f"{name} {n:,}" for n, name in ordered[:most])
    return shown + (f", {len(ordered) - most} more" if len(ordered) > most else "")
