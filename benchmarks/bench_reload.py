"""How a reload of 500 rules is felt by 5,000 transactions a second: `python -m benchmarks.bench_reload`.

    python -m benchmarks.bench_reload [--smoke] [--json] [--bank]

A real `weir run --watch` process with `durability: sync` reads a pipe. It runs the shipped features and rules, 500
rules more, and two models, a linear one and half-space trees: what a reload costs does not depend on slow models.
`--bank` has all seven shipped models instead. The feed is an open loop: transaction i is due at begin + i / rate and
carries that time, whatever the engine does, so its latency is the time its decision was published (delivery.ndjson)
minus the time it was due: nothing that waits is left out. While it flows, rule files are saved over and over. Then
every transaction must have one decision, decided under the configuration of its seq, and `weir audit verify` must find
no difference.

    save       from the last byte saved to the first decision under it, published
    accepted   from the end of its checks to the same (steps, the longest of them, and the swap: as the engine says)
    p999, max  latency of transactions due from the save until 0.2 s after the new configuration has decided: all of
               checking, receiving and the swap
    calm       the same in five half seconds before the save, while nothing is reloaded: medians, and the worst
    more       p99.9 of the first, less the median of the calm half seconds; syncing the journal is in both
    gap        the longest time between two batches that were published; sync the longest that a batch was synced
    probe      the longest sync of a process that overwrites 512 bytes 50 times a second, on the same file system, and
    taken      the most processor time that the host took for others within a quarter of a second: what was done to
               everybody (host_probe.py); both are told beside the rest, never subtracted
    fired      the share of all transactions for which a rule fired

Every second reload changes nothing but 100 rows of a list of 100,000. All of it runs twice: on disk, and on a file
system in memory, where a sync costs nothing, so that what is left is our own work.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks import measuring
from benchmarks.host_probe import HostProbe
from benchmarks.measuring import MEMORY
from config.settings import BANK

RULES, CLAUSES = 500, 3
RATE = 5_000
ACCOUNTS = 20_000
HOURS = (1, 6, 24)
LISTED, CHANGED = 100_000, 100  # rows of a list, and how many are others in each reload of it
CALM, WINDOW_S = 5, 0.5


def write_list(folder: Path, *, bump: int) -> None:
    """The rows of a long list, and on the first call the rule that asks about it."""
    first = bump * CHANGED
    rows = "".join(f"dev-{k}\n" for k in range(first, first + LISTED))
    (folder / "lists" / "many.csv").write_text("value\n" + rows)
    pack = folder / "packs" / "many"
    if not (pack / "lists.yaml").exists():
        (pack / "lists.yaml").write_text(
            "lists:\n  many_seen: {file: lists/many.csv, type: id, of: device, owner: bench}\n"
        )
        (pack / "rules" / "listed.yaml").write_text(
            "rules:\n  - id: LISTED-1\n    name: Listed\n    version: 1\n    owner: bench\n"
            "    severity: medium\n    reason: ACCOUNT_TAKEOVER\n    on: payment\n    mode: live\n"
            "    when: device in @many_seen and amount > 4_990 CNY\n    score: 5\n    actions:\n"
            '      - alert: {queue: bench, title: "Listed"}\n    dedup: {by: account, for: 6h}\n'
        )


def write_models(folder: Path) -> None:
    """Two of the shipped models, with their words."""
    path = folder / "models.yaml"
    head, _, rest = path.read_text().partition("\nmodels:\n")
    kept = [part for part in rest.split("\n\n") if "  linear:" in part or "  rare:" in part]
    assert len(kept) == 2, "models.yaml has changed"
    head = head.replace("champion: fraud", "champion: linear")
    path.write_text(head + "\nmodels:\n" + "\n\n".join(kept) + "\n")


def write_bank(folder: Path, *, bump: int) -> None:
    """The shipped configuration and a pack of 500 rules of 3 clauses; `bump` of them have another first clause."""
    if not folder.exists():
        shutil.copytree(BANK, folder)
        settings = folder / "weir.yaml"
        text = settings.read_text().replace("packs/aml-cn]", "packs/aml-cn, packs/many]")
        assert "packs/many" in text
        settings.write_text(text)
    pack = folder / "packs" / "many"
    (pack / "rules").mkdir(parents=True, exist_ok=True)
    (pack / "pack.yaml").write_text("pack: many\nversion: 1.0.0\nlanguage: 1\n")
    features = [
        f'  many_n{h}h: count() by account over {h}h where type == "payment"\n'
        f'  many_s{h}h: sum(amount) by account over {h}h where type == "payment"\n'
        f"  many_c{h}h: count_distinct(counterparty) by account over {h}h\n"
        for h in HOURS
    ]
    (pack / "features.yaml").write_text("features:\n" + "".join(features))
    rng = np.random.default_rng(1)
    rules = ["rules:\n"]
    for i in range(RULES):
        h = int(rng.choice(HOURS))
        first = f"amount > {int(rng.integers(20_000, 400_000))} CNY"
        second = f"many_n{h}h >= {int(rng.integers(2, 40))}"
        third = [
            'channel in ["web", "mobile"]',
            f"many_c{h}h > {int(rng.integers(3, 60))}",
            f"many_s{h}h > {int(rng.integers(100_000, 900_000))} CNY",
            f'device == "dev-{i}"',
        ][int(rng.integers(4))]
        if i < bump % 100:
            first = f"amount > {20_300 + bump + i} CNY"  # more than anybody pays: alerts are another bench
        rules.append(
            f"  - id: MANY-{i:04d}\n    name: Generated rule {i}\n    version: {1 + bump}\n    owner: bench\n"
            f"    severity: medium\n    reason: ACCOUNT_TAKEOVER\n    on: payment\n    mode: live\n"
            f"    description: Generated.\n    when: |\n      {first}\n      and {second}\n      and {third}\n"
            f"    score: {int(rng.integers(1, 40))}\n    actions:\n"
            f'      - alert: {{queue: bench, title: "Generated {i}: {{amount}}"}}\n'
            f"    dedup: {{by: account, for: 6h}}\n"
        )
    (pack / "rules" / "many.yaml").write_text("".join(rules))


def feed(pipe, begin: float, seconds: float, stop: threading.Event) -> int:
    """Write transactions at their time, whatever happens; return how many."""
    rng = np.random.default_rng(2)
    n = int(RATE * seconds)
    account, other = rng.integers(0, ACCOUNTS, n), rng.integers(0, ACCOUNTS, n)
    fen = rng.integers(100, 500_000, n)
    second, shown = -1, ""  # to write it out once a second is a third of the work
    i = 0
    while i < n and not stop.is_set():
        due = min(n, int((time.time() - begin) * RATE))
        if i >= due:
            time.sleep(0.0002)
            continue
        lines = []
        for k in range(i, due):
            ms = int((begin + k / RATE) * 1_000_000)
            if ms // 1_000_000 != second:
                second = ms // 1_000_000
                shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            at = f"{shown}.{ms % 1_000_000:06d}Z"
            lines.append(
                f'{{"transaction_id":"t-{k}","account":"A{account[k]}","counterparty":"A{other[k]}","event_time":"{at}",'
                f'"type":"payment","direction":"out","channel":"web","device":"dev-{other[k]}",'
                f'"amount":"{fen[k] // 100}.{fen[k] % 100:02d}","currency":"CNY"}}\n'
            )
        os.write(pipe, "".join(lines).encode())
        i = due
    return i


def seconds_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def status(out: Path) -> dict:
    try:
        return json.loads((out / "control" / "active.status").read_text())
    except (OSError, ValueError):
        return {}


def percentiles(ms: np.ndarray) -> str:
    if not len(ms):
        return "none"
    p50, p99, p999 = np.percentile(ms, [50, 99, 99.9])
    return f"p50 {p50:7.2f}  p99 {p99:7.2f}  p99.9 {p999:7.2f}  max {ms.max():7.2f} ms  ({len(ms):,} tx)"


def main(argv: list[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    is_bank = "--bank" in words
    words = [word for word in words if word != "--bank"]
    given = measuring.arguments(__doc__, words, real=6, smoke=2, of="reloads")
    if hasattr(os, "sched_setaffinity"):  # feed, engine and the process beside need more than one
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
    rows, found = [], []
    for where, top in (("disk", None), ("memory", MEMORY)):
        if top is not None and not top.is_dir():
            continue
        with tempfile.TemporaryDirectory(dir=top) as folder:
            more, told = run(Path(folder), given.n, is_bank=is_bank)
        rows += [{"on": where, **row} for row in more]
        found.append({"on": where, **told})
    limits = (
        ("save to live, s", 5.0, "save_s"),
        ("accepted to live, ms", 250.0, "accepted_ms"),
        ("p99.9 around the reload, ms more than in calm windows", 20.0, "more_ms"),
    )
    places = [(run_["on"], changed) for run_ in found for changed in ("rules", "list")]
    summary = [
        {
            "what": f"{what}, {changed}, {'on ' if where == 'disk' else 'in '}{where}",
            "limit": limit,
            "found": round(
                float(
                    np.median([r[key] for r in rows if (r["on"], r["changed"]) == (where, changed)])
                ),
                2,
            ),
        }
        for where, changed in places
        for what, limit, key in limits
    ]
    sent = " and ".join(f"{run_['transactions']:,}" for run_ in found)
    workload = (
        f"{RULES} rules of {CLAUSES} clauses beside the shipped ones, "
        f"{'all shipped models' if is_bank else 'two models'}, {RATE:,} tx/s open loop into `weir run --watch`, "
        f"durability sync; {sent} transactions, "
        f"a rule fired for {max(run_['fired'] for run_ in found):.1%}"
    )
    return measuring.report(given, workload, rows, limits=summary, runs=found)


def run(root: Path, reloads: int, *, is_bank: bool) -> tuple[list[dict], dict]:
    """Save rule files over and over while transactions flow; a row for each reload, and what holds of all of them."""
    bank, out = root / "bank", root / "out"
    write_bank(bank, bump=0)
    write_list(bank, bump=0)
    if not is_bank:
        write_models(bank)
    command = [sys.executable, "-m", "engine.cli", "run", "--config", str(bank)]
    command += ["--input", "-", "--out", str(out), "--watch"]
    with (root / "run.log").open("wb") as log:
        engine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
    assert engine.stdin is not None
    until = time.time() + 60
    while not status(out) and time.time() < until:
        time.sleep(0.1)
    time.sleep(4.0)  # the process beside has looked at the folder once
    begin = time.time() + 0.5
    with HostProbe(root) as probe:
        stop, sent = threading.Event(), []
        pipe = engine.stdin.fileno()
        thread = threading.Thread(target=lambda: sent.append(feed(pipe, begin, 600, stop)))
        thread.start()
        time.sleep(4.0)
        saves, notes = [], []
        for k in range(1, reloads + 1):
            before = status(out)["active"]
            if k % 2:
                write_bank(bank, bump=k)
            else:
                write_list(bank, bump=k)
            saved = time.time()
            while status(out).get("active") == before and time.time() < saved + 120:
                time.sleep(0.05)
            saves.append(saved)
            notes.append(status(out)["last"])
            time.sleep(2.0 + CALM * WINDOW_S)  # calm again, and measured so before the next save
        stop.set()
        thread.join()
        engine.stdin.close()
        engine.wait(60)
    rows, fired = felt(out, sent[0], begin, saves, notes, probe)
    verify = [sys.executable, "-m", "engine.cli", "audit", "verify", str(out)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return rows, {"transactions": sent[0], "lost": 0, "differences": 0, "fired": round(fired, 5)}


def felt(
    out: Path, n: int, begin: float, saves: list[float], notes: list[dict], probe: HostProbe
) -> tuple[list[dict], float]:
    """Join decisions and deliveries: what was felt around each reload, and in the half seconds before its save.

    Returns a row for each reload, and the share of transactions for which a rule fired.
    """
    seq_of, due, config = [], [], []
    n_fired = 0
    ranges = []
    for line in (out / "delivery.ndjson").open():
        told = json.loads(line)
        times = [seconds_of(told[name]) for name in ("published", "decided", "durable")]
        ranges.append((told["seq0"], told["n"], *times))
    for line in (out / "decisions.ndjson").open():
        told = json.loads(line)
        seq_of.append(told["seq"])
        due.append(begin + int(told["transaction_id"][2:]) / RATE)
        config.append(told["config"])
        n_fired += bool(told["fired"])
    seqs, dues, configs = np.array(seq_of), np.array(due), np.array(config)
    assert len(seqs) == n == len(set(seq_of)), f"{n} were sent, {len(seqs)} decided"
    starts, when, decided, durable = (np.array([r[k] for r in ranges]) for k in (0, 2, 3, 4))
    at = when[np.searchsorted(starts, seqs, side="right") - 1]
    ms = (at - dues) * 1e3

    def felt_ms(q: float, first: float, last: float) -> float:
        inside = ms[(dues >= first) & (dues <= last)]
        assert len(inside), f"the feed fell behind: this machine is too busy for {RATE:,} tx/s"
        return float(np.percentile(inside, q))

    def gap_ms(first: float, last: float) -> float:
        """The longest time between two batches that were published."""
        inside = when[(when >= first) & (when <= last)]
        return float(np.diff(inside, prepend=first, append=last).max() * 1e3)

    def sync_ms(first: float, last: float) -> float:
        inside = (when >= first) & (when <= last)
        return float((durable - decided)[inside].max(initial=0.0) * 1e3)

    def probe_ms(first: float, last: float) -> float:
        return probe.longest_sync_ms(int(first * 1e6), int(last * 1e6)) or 0.0

    def taken_ms(first: float, last: float) -> float:
        return probe.taken_ms(int(first * 1e6), int(last * 1e6)) or 0.0

    changes = np.flatnonzero(configs[1:] != configs[:-1]) + 1
    rows = []
    for k, (saved, change, note) in enumerate(zip(saves, changes, notes, strict=True), 1):
        live = float(at[change])
        during = saved, live + 0.2
        ends = [saved - 0.1 - i * WINDOW_S for i in range(CALM)]
        calm = [(end - WINDOW_S, end) for end in ends]
        calm999, calm_max = ([felt_ms(q, *window) for window in calm] for q in (99.9, 100.0))
        rows.append(
            {
                "reload": k,
                "changed": "rules" if k % 2 else "list",
                "save_s": round(live - saved, 2),
                "accepted_ms": note["since_accepted_ms"],
                "steps": note["steps"],
                "longest_step_ms": note["longest_step_ms"],
                "swap_ms": note["swap_ms"],
                "p999_ms": round(felt_ms(99.9, *during), 1),
                "calm_p999_ms": round(float(np.median(calm999)), 1),
                "more_ms": round(felt_ms(99.9, *during) - float(np.median(calm999)), 1),
                "max_ms": round(felt_ms(100.0, *during), 1),
                "calm_max_ms": round(float(np.median(calm_max)), 1),
                "calm_worst_ms": round(max(calm_max), 1),
                "gap_ms": round(gap_ms(*during), 1),
                "calm_gap_ms": round(float(np.median([gap_ms(*w) for w in calm])), 1),
                "sync_ms": round(sync_ms(*during), 1),
                "calm_sync_ms": round(float(np.median([sync_ms(*w) for w in calm])), 1),
                "probe_ms": round(probe_ms(*during), 1),
                "calm_probe_ms": round(float(np.median([probe_ms(*w) for w in calm])), 1),
                "taken_ms": taken_ms(*during),
                "calm_taken_ms": float(np.median([taken_ms(*w) for w in calm])),
            }
        )
    return rows, n_fired / n


if __name__ == "__main__":
    sys.exit(main())
