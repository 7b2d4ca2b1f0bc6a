"""Latency of a live engine, open loop: what is due is sent when it is due, whatever the engine does.

A real `weir run` with `durability: sync` goes on with a folder that holds two weeks of the canonical stream, a copy of
the same one for each rate, and reads a pipe. This process is the load: transaction k is due at begin + k / rate, a
schedule that is fixed before the first is sent, and its latency is the time its decision was published (in
delivery.ndjson: its input durable, its line written) minus the time it was due. When the engine falls behind, or the
pipe is full, or the sender is late, what waits is counted with all its waiting: no coordinated omission.

Percentiles are those of all samples, sorted: a run has at most some hundred thousand, so nothing is gained by
the buckets of an HdrHistogram, which exist because a recorder cannot keep everything. The file that
`write_histograms` leaves is in its text format (.hgrm), which its plotters read.
"""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from engine.clock import Clock, SystemClock
from replay.speed import throughput, workload

RATES: Final = (1_000, 5_000, 20_000, 50_000)  # transactions a second
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 99.99)
WARM_ROWS, WARM_RATE = 2_000, 1_000  # sent before the clock starts
PIPE_BYTES: Final = 1 << 20
PAUSE_US: Final = 100  # between two looks at the schedule
PREPARE_US: Final = 6  # a message, for making lines before the first is due; generous
WAIT_S: Final = 300  # for an engine that has fallen behind
BEHIND_MS: Final = 1_000.0  # latency at the end of a run from which on the engine did not keep up

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Latency:
    """What was seen at one rate.

    latency_ms  : (n,) float64  of each transaction, in order of being due
    sent_ms     : (n,) float64  how late each was sent
    seconds     : from the first one due to the last one published
    loud        : share of them that was not simply approved; the same people paying again within seconds raise it
    """

    rate: int
    latency_ms: F8
    sent_ms: F8
    seconds: float
    batches: int
    loud: float = 0.0

    def at(self, percentile: float) -> float:
        """Exact percentile of all latencies, ms: the smallest that so many percent do not exceed."""
        return nearest_rank(np.sort(self.latency_ms), percentile)

    @property
    def keeps_up(self) -> bool:
        """Whether the engine was with the load at the end: the last twentieth did not wait long."""
        last = self.latency_ms[-max(len(self.latency_ms) // 20, 1) :]
        return float(np.median(last)) < BEHIND_MS

    def told(self) -> dict[str, Any]:
        """As a flat row."""
        n, in_order = len(self.latency_ms), np.sort(self.latency_ms)
        return {
            "rate": self.rate,
            "transactions": n,
            "keeps_up": self.keeps_up,
            "published_per_second": round(n / self.seconds),
            "rows_per_batch": round(n / self.batches, 1),
            "loud": round(self.loud, 4),
            **{f"p{p:g}": round(nearest_rank(in_order, p), 3) for p in PERCENTILES},
            "max": round(float(in_order[-1]), 3),
            "sender_late_p99": round(nearest_rank(np.sort(self.sent_ms), 99.0), 3),
        }


def nearest_rank(in_order: F8, percentile: float) -> float:
    """The smallest of the sorted values that at least so many percent do not exceed."""
    return float(in_order[max(int(np.ceil(len(in_order) * percentile / 100)) - 1, 0)])


def measure(
    folder: Path,
    *,
    rates: Sequence[int] = RATES,
    seconds: float = 10.0,
    history: int = workload.N // 5,
    limit_ms: float | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> list[Latency]:
    """Build a folder with `history` transactions in `folder`, then send at each rate for so many `seconds`.

    limit_ms : then also look for the highest rate whose p99 stays within it, in a few more runs
    """
    clock = SystemClock()
    config, begun = workload.configure(folder / "config"), folder / "history"
    say(f"a history of {history:,} transactions ...")
    build(config, begun, history, clock)
    found = []

    def at(rate: int) -> Latency:
        say(f"{rate:,} tx/s for {seconds:g} s ...")
        n = max(round(rate * seconds), 100)
        out = folder / "out"
        copytree(begun, out)
        os.sync()  # or the disk would still be busy with the copy
        seen = once(config, out, rate=rate, n=n, history=history, clock=clock)
        rmtree(out)
        found.append(seen)
        return seen

    for rate in rates:
        at(rate)
    if limit_ms is not None:
        low = fastest_of(found, limit_ms)
        above = [seen.rate for seen in found if seen.rate > low]
        high = min(above, default=low)
        while low and high > low * 1.25:
            rate = round((low * high) ** 0.5 / 500) * 500
            if not low < rate < high:
                break
            low, high = (rate, high) if at(rate).at(99.0) <= limit_ms else (low, rate)
    return found


def fastest_of(found: Sequence[Latency], limit_ms: float) -> int:
    """The highest rate whose p99, median over its runs, stayed within the limit; 0 for none."""
    p99 = {rate: [s.at(99.0) for s in found if s.rate == rate] for rate in {s.rate for s in found}}
    return max((rate for rate, ms in p99.items() if float(np.median(ms)) <= limit_ms), default=0)


def disk(folder: Path) -> dict[str, float]:
    """Percentiles of what the disk alone takes to sync another 4 KB, ms: no durable decision can be quicker."""
    took = np.sort(throughput.sync_ms(folder, n_bytes=4_096, seconds=2.0))
    return {f"p{p:g}": round(nearest_rank(took, p), 3) for p in (50.0, 99.0, 99.9)}


def build(config: Path, out: Path, n: int, clock: Clock) -> None:
    """Replay `n` transactions of two weeks that end now."""
    recording = out.parent / "history.ndjson"
    start_us = clock.now_us() // 1_000 * 1_000 - workload.DAYS * workload.DAY_US
    workload.write(recording, workload.stream(n, start_us=start_us))
    command = [sys.executable, "-m", "engine.cli", "replay", str(recording)]
    command += ["--config", str(config), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own module
    recording.unlink()
    if done.returncode:
        raise StateError("the history could not be replayed", str(out), why=done.stderr[-2_000:])


def once(config: Path, out: Path, *, rate: int, n: int, history: int, clock: Clock) -> Latency:
    """Start `weir run` on the folder, send `n` transactions at `rate`, stop it, and read what was felt."""
    delivery, decisions = out / "delivery.ndjson", out / "decisions.ndjson"
    before = delivery.stat().st_size, decisions.stat().st_size
    command = [sys.executable, "-m", "engine.cli", "run", "--config", str(config)]
    command += ["--input", "-", "--out", str(out)]
    engine_core, sender_core = cores()
    with (out.parent / "run.log").open("ab") as log:
        engine = subprocess.Popen(  # noqa: S603  our own module
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: keep_on(engine_core),  # noqa: PLW1509  no thread is running
        )
    assert engine.stdin is not None
    pipe = engine.stdin.fileno()
    try:
        keep_on(sender_core)
        widen(pipe)
        warm = ready(pipe, decisions, before[1], history, clock)
        prepared_us = clock.now_us() + 500_000 + n * PREPARE_US
        due_us = prepared_us + (np.arange(n) * (1e6 / rate)).astype(np.int64)
        lines, when_us, is_transaction = workload.live(due_us, first=warm, history=history)
        sent_us = send(pipe, lines, when_us, clock)[is_transaction]
        wait_for(lambda: grown(decisions, before[1]) >= warm + n, engine, clock)
        engine.stdin.close()
        engine.wait(WAIT_S)
    finally:
        engine.kill()
        engine.wait()
        keep_on(None)
    if engine.returncode:
        told = (out.parent / "run.log").read_text(encoding="utf-8")[-2_000:]
        raise StateError("the engine failed under load", str(out), why=told)
    published_us, batches, loud = felt(delivery, decisions, before, warm, n)
    latency_ms = (published_us - due_us) / 1e3
    seconds = float(published_us.max() - due_us[0]) / 1e6
    return Latency(rate, latency_ms, (sent_us - due_us) / 1e3, seconds, batches, loud)


def cores() -> tuple[int | None, int | None]:
    """A core for the engine and another one for the load, where the system can; None: wherever there is room."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    there = sorted(os.sched_getaffinity(0))
    return there[-1], there[0]


ALL: Final = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def keep_on(core: int | None) -> None:
    """Keep this process on one core, or on all that it had."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, ALL if core is None else {core})


def widen(pipe: int) -> None:
    """Let the pipe hold more than the 64 KB it has, where the system can: a sender is not to wait for a reader."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def ready(pipe: int, decisions: Path, size: int, history: int, clock: Clock) -> int:
    """Send the first messages and return, once they are decided, how many there were."""
    due_us = clock.now_us() + (np.arange(WARM_ROWS) * (1e6 / WARM_RATE)).astype(np.int64)
    lines, when_us, _ = workload.live(due_us, first=0, history=history)
    send(pipe, lines, when_us, clock)
    wait_for(lambda: grown(decisions, size) >= WARM_ROWS, None, clock)
    return WARM_ROWS


def send(
    pipe: int, lines: Sequence[bytes], when_us: NDArray[np.int64], clock: Clock
) -> NDArray[np.int64]:
    """Write each line when it is due, or as soon after as the pipe takes it; return when each was written."""
    sent_us = np.empty(len(lines), np.int64)
    done = 0
    while done < len(lines):
        now_us = clock.now_us()
        due = int(np.searchsorted(when_us, now_us, side="right"))
        if due > done:
            os.write(pipe, b"\n".join(lines[done:due]) + b"\n")
            sent_us[done:due] = now_us
            done = due
        else:
            clock.sleep_us(PAUSE_US)
    return sent_us


def wait_for(
    holds: Callable[[], bool], engine: "subprocess.Popen[bytes] | None", clock: Clock
) -> None:
    """Return when `holds`, or when the engine has ended; `StateError` after a long time."""
    until_us = clock.now_us() + WAIT_S * 1_000_000
    while not holds() and (engine is None or engine.poll() is None):
        if clock.now_us() > until_us:
            raise StateError(
                f"the engine has not caught up within {WAIT_S} s", "weir bench --latency"
            )
        clock.sleep_us(50_000)


def grown(path: Path, size: int) -> int:
    """Lines in a file after its first `size` bytes."""
    with path.open("rb") as file:
        file.seek(size)
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def felt(
    delivery: Path, decisions: Path, before: tuple[int, int], first: int, n: int
) -> tuple[NDArray[np.int64], int, float]:
    """When the decisions of the transactions numbered from `first` on were published; in how many batches; loud ones.

    The last is the share that was not simply approved.
    """
    seq0, published = [], []
    for line in after(delivery, before[0]):
        told = json.loads(line)
        seq0.append(told["seq0"])
        published.append(round(datetime.fromisoformat(told["published"]).timestamp() * 1e6))
    starts, at_us = np.array(seq0), np.array(published)
    seq, n_loud = np.full(n, -1, np.int64), 0
    for line in after(decisions, before[1]):
        told = json.loads(line)
        number = int(told["transaction_id"][2:]) - first
        if 0 <= number < n:
            assert seq[number] < 0, "decided twice"
            seq[number] = told["seq"]
            n_loud += told["decision"] != "approve"
    assert (seq >= 0).all(), f"{int((seq < 0).sum())} transactions have no decision"
    batch = np.searchsorted(starts, seq, side="right") - 1
    return at_us[batch], len(np.unique(batch)), n_loud / n


def after(path: Path, size: int) -> list[bytes]:
    """The lines of a file after its first `size` bytes."""
    with path.open("rb") as file:
        file.seek(size)
        return file.read().splitlines()


# ---------------------------------------------------------------- as people and plotters read it


def lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows of `Latency.told` as aligned lines, milliseconds."""
    names = [f"p{p:g}" for p in PERCENTILES] + ["max"]
    head = f"{'tx/s':>8} {'published/s':>12} {'rows/batch':>11} " + " ".join(
        f"{n:>9}" for n in names
    )
    found = [head + "   ms from due to published"]
    for row in rows:
        shown = " ".join(f"{row[name]:9.2f}" for name in names)
        text = f"{row['rate']:8,} {row['published_per_second']:12,} {row['rows_per_batch']:11.1f} {shown}"
        found.append(text if row["keeps_up"] else f"{text}   falls behind")
    return found


def write_histograms(path: Path, found: Sequence[Latency]) -> None:
    """One NAME-RATE.hgrm a rate, in the text format of HdrHistogram, milliseconds."""
    for seen in found:
        in_order, n = np.sort(seen.latency_ms), len(seen.latency_ms)
        text = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}\n"]
        share = 0.0
        while (1.0 - share) * n > 1.0:
            rank = max(int(np.ceil(share * n)), 1)
            text.append(
                f"{in_order[rank - 1]:12.3f} {share:14.12f} {rank:10d} {1 / (1 - share):14.2f}\n"
            )
            share += (1.0 - share) / 10
        text.append(f"{in_order[-1]:12.3f} {1:14.12f} {n:10d}\n")
        text.append(
            f"#[Mean    = {in_order.mean():12.3f}, StdDeviation   = {in_order.std():12.3f}]\n"
        )
        text.append(f"#[Max     = {in_order[-1]:12.3f}, Total count    = {n:12d}]\n")
        path.with_name(f"{path.stem}-{seen.rate}.hgrm").write_text("".join(text), encoding="utf-8")
