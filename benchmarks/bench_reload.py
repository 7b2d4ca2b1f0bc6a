"""How a reload of 500 rules is felt by 5,000 transactions a second: `python -m benchmarks.bench_reload [--smoke]`.

A real `weir run --watch` process with `durability: sync` reads a pipe. The feed is an open loop: transaction i is due
at begin + i / rate and carries that time, whatever the engine does, so its latency is the time its decision was
published (delivery.ndjson) minus the time it was due: nothing that waits is left out. While it flows, rule files are
saved over and over. Then every transaction must have one decision, decided under the configuration of its seq, and
`weir audit verify` must find no difference.

    quiet      latency of transactions that were due in seconds without a reload
    reload     the same, due from the save until half a second after the new configuration decided
    save       from the last byte saved to the first decision under it, published
    accepted   from the end of its checks to the same (steps, the longest of them, and the swap: as the engine says)
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.measuring import machine
from config.settings import BANK

RULES, CLAUSES = 500, 3
RATE = 5_000
ACCOUNTS = 20_000
HOURS = (1, 6, 24)


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
            first = f"amount > {300 + bump + i} CNY"
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
    i = 0
    while i < n and not stop.is_set():
        due = min(n, int((time.time() - begin) * RATE))
        if i >= due:
            time.sleep(0.0002)
            continue
        lines = []
        for k in range(i, due):
            ms = int((begin + k / RATE) * 1_000_000)
            at = (
                time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1_000_000))
                + f".{ms % 1_000_000:06d}Z"
            )
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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="one reload, 12 seconds")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/bench_reload"), help="scratch")
    parser.add_argument("--reloads", type=int, default=5)
    arguments = parser.parse_args(argv)
    reloads = 1 if arguments.smoke else arguments.reloads
    root: Path = arguments.folder
    shutil.rmtree(root, ignore_errors=True)
    bank, out = root / "bank", root / "out"
    root.mkdir(parents=True)
    write_bank(bank, bump=0)
    command = [sys.executable, "-m", "engine.cli", "run", "--config", str(bank)]
    command += ["--input", "-", "--out", str(out), "--watch"]
    log = (root / "run.log").open("wb")
    engine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
    assert engine.stdin is not None
    until = time.time() + 60
    while not status(out) and time.time() < until:
        time.sleep(0.1)
    time.sleep(4.0)  # the process beside has looked at the folder once
    begin = time.time() + 0.5
    stop, sent = threading.Event(), []
    seconds = 1e9
    thread = threading.Thread(
        target=lambda: sent.append(feed(engine.stdin.fileno(), begin, min(seconds, 600), stop))
    )
    thread.start()
    time.sleep(4.0)
    saves, notes = [], []
    for k in range(1, reloads + 1):
        before = status(out)["active"]
        write_bank(bank, bump=k)
        saved = time.time()
        while status(out).get("active") == before and time.time() < saved + 30:
            time.sleep(0.05)
        saves.append(saved)
        notes.append(status(out)["last"])
        time.sleep(3.0)
    stop.set()
    thread.join()
    engine.stdin.close()
    engine.wait(60)
    n = sent[0]
    report(out, n, begin, saves, notes)
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", "audit", "verify", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if "difference" in line or "finding" in line]
    print(f"audit verify: status {done.returncode} {'; '.join(found[:2])}")
    return done.returncode


def report(out: Path, n: int, begin: float, saves: list[float], notes: list[dict]) -> None:
    """Join decisions and deliveries, and print what a transaction felt."""
    seq_of, due, config = [], [], []
    ranges = []
    for line in (out / "delivery.ndjson").open():
        told = json.loads(line)
        ranges.append((told["seq0"], told["n"], seconds_of(told["published"])))
    for line in (out / "decisions.ndjson").open():
        told = json.loads(line)
        seq_of.append(told["seq"])
        due.append(begin + int(told["transaction_id"][2:]) / RATE)
        config.append(told["config"])
    seqs, dues, configs = np.array(seq_of), np.array(due), np.array(config)
    assert len(seqs) == n, f"{n} were sent, {len(seqs)} decided"
    assert len(set(seqs.tolist())) == n
    starts = np.array([r[0] for r in ranges])
    when = np.array([r[2] for r in ranges])
    at = when[np.searchsorted(starts, seqs, side="right") - 1]
    ms = (at - dues) * 1e3
    changes = np.flatnonzero(configs[1:] != configs[:-1]) + 1
    print(machine())
    print(
        f"{RULES} rules x {CLAUSES} clauses beside the shipped ones, {RATE:,} tx/s open loop, {n:,} transactions"
    )
    print(
        f"decided {len(seqs):,}, lost {n - len(seqs)}, configurations {len(set(config))}, changes {len(changes)}"
    )
    quiet = np.ones(n, bool)
    quiet[dues < begin + 2.0] = False
    for saved, change, note in zip(saves, changes, notes, strict=True):
        live = at[change]
        mine = (dues >= saved) & (dues <= live + 0.5)
        quiet[mine | ((dues >= saved) & (dues <= live + 1.0))] = False
        swap = (dues >= live - 0.3) & (dues <= live + 0.2)
        print(
            f"reload: save to live {live - saved:5.2f} s, accepted to live {note['since_accepted_ms']:6.1f} ms, "
            f"{note['steps']} steps, longest {note['longest_step_ms']:.2f} ms, swap {note['swap_ms']:.2f} ms"
        )
        print(f"  from save to live  {percentiles(ms[mine])}")
        before = (dues >= saved - 0.6) & (dues <= saved - 0.1)  # as long, in the same second or two
        print(f"  around the swap    {percentiles(ms[swap])}")
        print(f"  just before a save {percentiles(ms[before])}")
    print(f"quiet                {percentiles(ms[quiet])}")


if __name__ == "__main__":
    sys.exit(main())
