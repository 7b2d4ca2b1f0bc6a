"""What it costs to fill a new feature while transactions flow: `python -m benchmarks.fill_stall [--accounts 20000]`.

A real `weir run --watch` process takes `--per-account` payments of each account as fast as it can, then `RATE` a second
in an open loop. A pack is saved with three more window features and a rule that reads them: it goes live with the
features warming, the process beside derives their past from the journal, and the engine takes it over. Told are the
stall of that, as the engine says, and what transactions felt (delivery.ndjson against the time they were due), beside
those of seconds in which nothing happened. Then `weir audit verify` must find no difference.
"""

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.bench_reload import percentiles, seconds_of, status
from benchmarks.measuring import machine
from config.settings import BANK

RATE = 2_000
SPAN_S = 20 * 3_600  # of event time, in which the past lies
FEATURES = """\
features:
  fill_n24h: count() by account over 24h
  fill_s24h: sum(amount) by account over 24h
  fill_c24h: count_distinct(counterparty) by account over 24h
"""
RULE = """\
rules:
  - id: FILL-001
    name: Filled
    version: 1
    owner: bench
    severity: medium
    reason: ACCOUNT_TAKEOVER
    on: payment
    mode: live
    description: Reads what is filled.
    when: fill_n24h >= 1_000 and fill_s24h > 1 CNY and fill_c24h > 1
    score: 1
    actions:
      - alert: {queue: bench, title: "Filled"}
    dedup: {by: account, for: 6h}
"""


def payment(k: int, account: int, other: int, at: float) -> str:
    ms = round(at * 1000)
    return (
        f'{{"transaction_id":"t-{k}","account":"A{account}","counterparty":"B{other}","event_time":{ms},'
        f'"type":"payment","direction":"out","channel":"web","amount":"{1 + k % 900}.00","currency":"CNY"}}\n'
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--per-account", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/fill_stall"), help="scratch")
    arguments = parser.parse_args(argv)
    root: Path = arguments.folder
    shutil.rmtree(root, ignore_errors=True)
    bank, out = root / "bank", root / "out"
    root.mkdir(parents=True)
    shutil.copytree(BANK, bank)
    command = [sys.executable, "-m", "engine.cli", "run", "--config", str(bank)]
    command += ["--input", "-", "--out", str(out), "--watch"]
    log = (root / "run.log").open("wb")
    engine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
    pipe = engine.stdin
    assert pipe is not None
    rng = np.random.default_rng(3)
    n_past = arguments.accounts * arguments.per_account
    begin = time.time()
    accounts = rng.permutation(np.repeat(np.arange(arguments.accounts), arguments.per_account))
    others = rng.integers(0, arguments.accounts, n_past)
    for first in range(0, n_past, 5_000):
        rows = range(first, min(n_past, first + 5_000))
        at = [begin - SPAN_S + SPAN_S * k / n_past for k in rows]
        pipe.write("".join(map(payment, rows, accounts[rows], others[rows], at)).encode())
    pipe.flush()
    delivered = Delivered(out)
    while delivered.seq_end() < n_past:
        assert engine.poll() is None, (root / "run.log").read_text()
        time.sleep(0.2)
    print(f"{n_past:,} payments of {arguments.accounts:,} accounts in {time.time() - begin:.1f} s")
    stop, sent = threading.Event(), []
    begin = time.time() + 0.2

    def feed() -> None:
        k = 0
        while not stop.is_set():
            due = int((time.time() - begin) * RATE)
            if due <= k:
                time.sleep(0.0002)
                continue
            rows = range(k, due)
            lines = [
                payment(n_past + i, int(accounts[i % n_past]), i % 997, begin + i / RATE)
                for i in rows
            ]
            pipe.write("".join(lines).encode())
            pipe.flush()
            k = due
        sent.append(k)

    thread = threading.Thread(target=feed)
    thread.start()
    time.sleep(6.0)
    core = bank / "packs" / "aml-cn"
    (core / "fill.yaml").write_text(FEATURES + RULE)
    saved = time.time()
    live = filled = 0.0
    while not filled and time.time() < saved + 240:
        told = status(out)
        if not live and told.get("warming"):
            live = time.time()
        if "fill_stall_ms" in told.get("last", {}):
            filled = time.time()
        time.sleep(0.02)
    time.sleep(3.0)
    stop.set()
    thread.join()
    told = status(out)
    pipe.close()
    engine.wait(120)
    print(machine())
    assert filled, (root / "run.log").read_text()
    last = told["last"]
    print(
        f"save to live {live - saved:.2f} s, live to filled {filled - live:.2f} s, {RATE:,} tx/s meanwhile; "
        f"stall {last['fill_stall_ms']:.1f} ms: finishing the round {last['fill_settle_ms']:.1f}, "
        f"waiting {last['fill_wait_ms']:.1f} (answer {last['fill_answer_ms']:.1f}), "
        f"taking over {last['fill_splice_ms']:.1f}, of {last['fill_bytes'] / 1e6:.1f} MB"
    )
    seqs, at = delivered.all()
    due, ms = [], []
    for line in (out / "decisions.ndjson").open():
        decision = json.loads(line)
        k = int(decision["transaction_id"][2:]) - n_past
        if k >= 0:
            due.append(begin + k / RATE)
            ms.append(
                (at[np.searchsorted(seqs, decision["seq"], side="right") - 1] - due[-1]) * 1e3
            )
    assert len(due) == sent[0], (len(due), sent)
    dues, took = np.array(due), np.array(ms)
    print(f"nothing happens  {percentiles(took[(dues > begin + 2) & (dues < saved)])}")
    print(f"derived beside   {percentiles(took[(dues > live + 0.3) & (dues < filled - 1.0)])}")
    print(f"around the splice {percentiles(took[(dues > filled - 1.0) & (dues < filled + 0.3)])}")
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", "audit", "verify", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"audit verify: status {done.returncode}, {done.stdout.splitlines()[:1]}")
    return done.returncode


class Delivered:
    """The delivery log: which seq was published when."""

    def __init__(self, out: Path) -> None:
        self._path = out / "delivery.ndjson"

    def seq_end(self) -> int:
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, self._path.stat().st_size - 600))
                told = json.loads(file.read().rpartition(b"\n")[0].rpartition(b"\n")[2])
        except (OSError, ValueError):
            return 0
        return int(told["seq0"] + told["n"])

    def all(self) -> tuple[np.ndarray, np.ndarray]:
        told = [json.loads(line) for line in self._path.open()]
        return np.array([t["seq0"] for t in told]), np.array(
            [seconds_of(t["published"]) for t in told]
        )


if __name__ == "__main__":
    sys.exit(main())
