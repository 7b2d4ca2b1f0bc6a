"""What durability costs: the journal, a restart, a snapshot beside a live run, a verification.

    python -m benchmarks.bench_durability [--smoke] [--json]

- Journal: the same replay with `durability` none, flush and sync, beside each other in slices (slices.py), from the
  first poll to the end of the source, on three feeds; the canonical one is the workload by which throughput is told.
  Journal, delivery log and chain of seals are on or off together.
- Restart: N accounts are touched twice under 40 features over 5 keys, the engine stops, its files are dropped from the
  memory of the system, and a new process goes on until one more decision is written; then it is killed.
- Live: a process sends messages at a fixed rate to that engine, each when it is due. In turns nothing is written
  beside, and a snapshot is. Latency is from when a message was due to when its outcome was written. What a snapshot
  adds is told against the mean of the calm windows before and after it, so a drift of the machine cancels out. The
  time after the start in which the process beside loads the state is a window of its own, to which no limit applies.
  A probe beside it tells what the host did to everybody in each window (host_probe.py). On a file system in memory,
  where a sync costs nothing, what is left is what the snapshot itself delays.
- Verify: N transactions of one UTC day are replayed; then verified as that day, whole and by the chain alone.

Replays and verifications have one core. Restart and live run have all: there is a process beside, and one that sends.
Figures are medians of turns; limits are those of the issue.
"""

import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import bench_handbook, durable, measuring
from benchmarks.host_probe import HostProbe
from benchmarks.measuring import HANDBOOK, MEMORY
from benchmarks.slices import in_slices

KINDS = ("none", "flush", "sync")
TURNS, SMOKE_TURNS = 2, 1
JOURNAL_TURNS = 5
RATE = 2_000  # messages a second of the live run
REST_S, SMOKE_REST_S = 30.0, 2.0
LIVE_TURNS = 3  # in each place
JOURNAL_COST, RESTART_S, STALL_MS, VERIFY_TIMES, CHAIN_TIMES = 0.15, 10.0, 20.0, 1.0, 20.0
BANK_DAYS, SMOKE_BANK_DAYS = 12, 3
DAY = "2026-01-01"


class Spent(NamedTuple):
    """Seconds on the clock and of the processor, all threads of this process."""

    clock: float
    cpu: float


class Stopwatch:
    """Runs from when it is made; `clock` gives seconds."""

    def __init__(self, clock=time.perf_counter):
        self._clock = clock
        self._began = self._now()

    def _now(self):
        return Spent(self._clock(), time.process_time())

    def stop(self):
        return Spent(*(now - began for now, began in zip(self._now(), self._began, strict=True)))


def watched(source, clock):
    """The source, and a list that gets what was spent from its first poll to its end."""
    poll, running, done = source.poll, [], []

    class Watched(type(source)):
        def poll(self, rows_max, wait_us):
            if not running:
                running.append(Stopwatch(clock))
            messages = poll(rows_max, wait_us)
            if messages is None and not done:
                done.append(running[0].stop())
            return messages

    source.__class__ = Watched
    return source, done


def replay(setup, recording, out, durability, clock=time.perf_counter):
    """Replay once; what was spent, the summary, and the hash of the decisions."""
    from config.feeds import CANONICAL, Feed
    from engine.app import Job, execute
    from engine.brokers.files import FileSource

    source, done = watched(FileSource([recording], Feed(CANONICAL), setup.schema), clock)
    rows_max = setup.configuration.settings.rows_max
    job = Job(setup, out, rows_max, inputs=(recording.name,), durability=durability, quiet=True)
    summary = execute(job, source)
    with (out / "decisions.ndjson").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return done[0], summary, digest


def size_of(folder, pattern="*"):
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


# ---------------------------------------------------------------- journal


def journal(name, setup, recording, folder, n_turns):
    """One row a durability, and the cost of each as medians over turns; the hash of the decisions."""
    warm = folder / f"{name}-warm"
    replay(setup, recording, warm, "flush")
    remove(warm)
    spent = {kind: [] for kind in KINDS}
    digests, bytes_ = set(), {}
    for turn in range(n_turns):
        first = turn % len(KINDS)
        kinds = KINDS[first:] + KINDS[:first]
        outs = {kind: folder / f"{name}-{turn}-{kind}" for kind in kinds}
        found = in_slices(
            {kind: partial(replay, setup, recording, out, kind) for kind, out in outs.items()}
        )
        for kind, (took, _, digest) in found.items():
            out = outs[kind]
            spent[kind].append(took)
            digests.add(digest)
            bytes_[kind] = size_of(out / "journal") if kind != "none" else None
            remove(out)
    assert len(digests) == 1, f"{name}: durability changed what was decided"
    summary = found["none"][1]
    n = sum(summary["decisions"].values())
    n_messages = summary["messages"]["all"]
    rows = []
    for kind in KINDS:
        pairs = list(zip(spent[kind], spent["none"], strict=True))
        rows.append(
            {
                "feed": name,
                "durability": kind,
                "transactions": n,
                "messages": n_messages,
                "tx_per_second": round(n / statistics.median(s.clock for s in spent[kind])),
                "cpu_us": statistics.median(s.cpu for s in spent[kind]) / n_messages * 1e6,
                "cost": statistics.median(s.clock / base.clock - 1 for s, base in pairs),
                "cpu_cost": statistics.median(s.cpu / base.cpu - 1 for s, base in pairs),
                "journal_bytes": bytes_[kind] / n_messages if bytes_[kind] else None,
            }
        )
    return rows, digests.pop()


def remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


# ---------------------------------------------------------------- restart and live


def forget(folder):
    """Have the system drop what it holds of the files in memory, where it can be asked to."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in (path for path in folder.rglob("*") if path.is_file()):
        number = os.open(path, os.O_RDONLY)
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(number)


def restarts(folder, n_turns):
    """What a restart takes, each part as the median over turns."""
    told = []
    for _ in range(n_turns):
        forget(folder)
        told.append(durable.call("restart", folder, time.perf_counter()))
        assert told[-1]["decided"] == 1, told[-1]
    return {name: statistics.median(each[name] for each in told) for name in told[0]}


def fits(folder, built):
    """Whether a live run has room in memory: three times the folder, and the engine twice."""
    if not MEMORY.is_dir():
        return False
    lines = Path("/proc/meminfo").read_text().splitlines()
    (available,) = (line.split()[1] for line in lines if line.startswith("MemAvailable"))
    need = 3 * size_of(folder) + 2e6 * built["memory_mb"]
    return need < min(1_024 * int(available), shutil.disk_usage(MEMORY).free)


def lives(folder, built, rest_s, n_turns):
    """The rows of `latencies` on the disk and in memory, each going on with a copy of the same folder."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        copy = Path(name) / "live" if fits(folder, built) else None
        if copy:
            shutil.copytree(folder, copy)
        else:
            print("live, memory: not measured, it does not fit", file=sys.stderr)
        rows = []
        for place, root in {"disk": folder, "memory": copy}.items():
            if root:
                with HostProbe(root) as probe:
                    told = durable.call("live", root, RATE, rest_s, n_turns)
                rows += latencies(place, told, root / "latency.npy", probe)
    return rows


QUANTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "slowest": 100.0}
CALM, LOADING, BESIDE = (
    "nothing beside",
    "after the start: the state is loaded beside",
    "a snapshot beside",
)
ADDED = "what a snapshot adds, median"


def latencies(place, told, path, probe):
    """A row a window, in order, and last what snapshots add: medians over those; ms.

    delayed : decisions that took over `STALL_MS` more than the slowest of a calm window, median over those
    sync_ms, taken_ms : what the host did meanwhile, by the probe
    """
    at_us, took_us = np.load(path).T
    windows, calm_from, turns = [], told["settled_us"], told["turns"]
    if told["is_loading"]:
        (_, loaded_us), *turns = turns
        windows, calm_from = [(LOADING, calm_from, loaded_us)], loaded_us
    n_before = len(windows)
    for start, end in turns:
        windows += [(CALM, calm_from, start), (BESIDE, start, end)]
        calm_from = end
    windows.append((CALM, calm_from, int(at_us[-1])))
    rows, seen = [], []
    for what, start, end in windows:
        took_ms = took_us[(at_us >= start) & (at_us < end)] / 1e3
        row = {"place": place, "what": what, "seconds": (end - start) / 1e6}
        row["decisions"] = len(took_ms)
        row |= {name: float(np.percentile(took_ms, p)) for name, p in QUANTILES.items()}
        row["sync_ms"] = probe.longest_sync_ms(start, end)
        row["taken_ms"] = probe.taken_ms(start, end)
        rows.append(row)
        seen.append(took_ms)
    calm_ms = statistics.median(row["slowest"] for row in rows if row["what"] == CALM)
    for row, took_ms in zip(rows, seen, strict=True):
        row["delayed"] = int((took_ms > calm_ms + STALL_MS).sum())
    each = rows[n_before:]
    added = {"place": place, "what": ADDED}
    added |= dict.fromkeys(("seconds", "decisions", "sync_ms", "taken_ms"))
    for name in (*QUANTILES, "delayed"):
        added[name] = statistics.median(
            beside[name] - (before[name] + after[name]) / 2
            for before, beside, after in zip(each[:-2:2], each[1::2], each[2::2], strict=True)
        )
    return [*rows, added]


def live_limits(rows):
    """What a snapshot may add, and what it did, in each place."""
    for place in dict.fromkeys(row["place"] for row in rows):
        here = [row for row in rows if row["place"] == place]
        for name, told in (("p99.9", "p99.9"), ("slowest", "slowest decision")):
            yield f"{told}, {BESIDE}, {place}, ms more", STALL_MS, here[-1][name]
        beside = [row["delayed"] for row in here if row["what"] == BESIDE]
        over = f"over {STALL_MS:g} ms above the slowest of a calm window"
        yield f"decisions beside {len(beside)} snapshots, {place}, {over}", 0, sum(beside)


# ---------------------------------------------------------------- verify


def verify(folder, n, n_accounts, n_turns):
    """One row for each way to go over a day, and the hash of the decisions."""
    from replay.audit import verify as audit

    setup = durable.configure(folder / "config")
    recording = folder / "day.ndjson"
    durable.write(recording, durable.payments(n, n_accounts, span_us=durable.DAY_US))
    spent = {what: [] for what in ("replay, none", "replay, sync", "verify", "chain alone")}
    for turn in range(n_turns):
        out = folder / f"none-{turn}"
        took = Stopwatch()
        _, _, digest = replay(setup, recording, out, "none")
        spent["replay, none"].append(took.stop())
        remove(out)
        out = folder / f"sync-{turn}"
        took = Stopwatch()
        _, _, again = replay(setup, recording, out, "sync")
        spent["replay, sync"].append(took.stop())
        assert again == digest, "durability changed what was decided"
        for what, chain_only in (("verify", False), ("chain alone", True)):
            took = Stopwatch()
            found = audit.report(out, day=DAY, chain_only=chain_only)
            spent[what].append(took.stop())
            assert found.is_fine, found.headline
            assert chain_only or found.facts["decisions"] == n, found.facts
        remove(out)
    rows = []
    for what, turns in spent.items():
        pairs = list(zip(spent["replay, sync"], turns, strict=True))
        rows.append(
            {
                "what": what,
                "seconds": statistics.median(s.clock for s in turns),
                "cpu_seconds": statistics.median(s.cpu for s in turns),
                "times": statistics.median(base.clock / s.clock for base, s in pairs),
                "cpu_times": statistics.median(base.cpu / s.cpu for base, s in pairs),
            }
        )
    return rows, digest


# ---------------------------------------------------------------- all of it


def main(argv=None):
    given = measuring.arguments(__doc__, argv, real=1_000_000, smoke=20_000, of="accounts")
    from config.settings import BANK
    from engine.setup import read_setup
    from replay.generate import generate
    from replay.speed import workload

    n_turns = SMOKE_TURNS if given.is_smoke else TURNS
    n_journal = SMOKE_TURNS if given.is_smoke else JOURNAL_TURNS
    n_handbook, n_bank = max(given.n * 3 // 10, 20_000), max(given.n // 200, 300)
    days = SMOKE_BANK_DAYS if given.is_smoke else BANK_DAYS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        handbook, of = bench_handbook.prepare(folder, n_handbook)
        bank, canonical = folder / "bank.ndjson", folder / "canonical.ndjson"
        generate(bank, accounts=n_bank, days=days, seed=5)
        workload.write(canonical, workload.stream(given.n))
        feeds = {
            "handbook": (HANDBOOK, handbook),
            "bank": (BANK, bank),
            "canonical": (workload.configure(folder / "config"), canonical),
        }
        rows, digests = [], []
        for feed, (config, recording) in feeds.items():
            found, digest = journal(feed, read_setup(config), recording, folder, n_journal)
            rows += found
            digests.append(digest)
    with tempfile.TemporaryDirectory() as name:
        verified, day_hash = verify(Path(name), given.n, max(given.n // 5, 1_000), min(n_turns, 3))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built = durable.call("build", folder, given.n)
        restarted = restarts(folder, min(n_turns, 3))
        rest_s = SMOKE_REST_S if given.is_smoke else REST_S
        n_live = SMOKE_TURNS if given.is_smoke else LIVE_TURNS
        live = lives(folder, built, rest_s, n_live)
    cost = {(row["feed"], row["durability"]): row for row in rows}
    by = {row["what"]: row for row in verified}
    limits = [
        *(
            (
                f"cost of the journal, {feed}, share of the {what}",
                JOURNAL_COST,
                cost[feed, "sync"][key],
            )
            for feed in feeds
            for what, key in (("clock", "cost"), ("processor", "cpu_cost"))
        ),
        ("restart to first decision, s", RESTART_S, restarted["first_decision_s"]),
        *live_limits(live),
        ("verify, times the speed of the replay", VERIFY_TIMES, by["verify"]["times"]),
        ("chain alone, times the speed of the replay", CHAIN_TIMES, by["chain alone"]["times"]),
    ]
    return measuring.report(
        given,
        f"{of}, {n_handbook:,} transactions; a bank of {n_bank:,} accounts over {days} days, shipped packs; "
        f"{given.n:,} of the canonical workload; "
        f"{given.n:,} accounts touched twice, {len(durable.FORTY)} features over 5 keys; "
        f"{given.n:,} transactions of a day",
        rows,
        restart=[{"what": what, "found": found} for what, found in parts(built, restarted)],
        delays=live,
        verify=verified,
        limits=[{"what": what, "limit": a, "found": b} for what, a, b in limits],
        rate=RATE,
        turns=n_turns,
        accounts=built["accounts"],
        snapshot_mb=built["snapshot_bytes"] / 1e6,
        restart_s=restarted["first_decision_s"],
        sha256=hashlib.sha256("".join((*digests, day_hash)).encode()).hexdigest()[:16],
    )


def parts(built, restarted):
    """What the restart table tells, in the order in which things happen."""
    yield "state.npz, MB", built["snapshot_bytes"] / 1e6
    yield "arrays out of the core, s", built["save_s"]
    yield "written and synced, s", built["write_s"]
    yield "process begun, all imported, s", restarted["imported_s"]
    yield "snapshot read and checked, s", restarted["read_s"]
    yield "state loaded, s", restarted["load_s"]
    yield "opened, s since the start", restarted["opened_s"]
    yield "  texts in the table, kernels loaded, s", restarted["warm_up_s"]
    yield "first decision written, s since the start", restarted["first_decision_s"]
    yield "memory of the process at most, MB", restarted["memory_mb"]


if __name__ == "__main__":
    sys.exit(main())
