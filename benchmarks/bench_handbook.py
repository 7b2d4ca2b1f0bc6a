"""Throughput on the handbook feed: natural features, 25 rules, both models learning, NDJSON in, decisions on disk.

    python benchmarks/bench_handbook.py [--transactions N] [--runs N] [--json]

One process pinned to one core where the machine allows. The feed is turned into NDJSON before the clock starts; every
transaction is followed a week later by its label, so the engine takes two messages for each transaction that counts.
Beside it, in the same run: decode only (msgspec into a struct of the same fields, kept in batches of 2,048, gc off).
The hash over decisions.ndjson says what was computed: a fast wrong answer is no answer. Without the recording a
generated one of the same shape is used, and says so.
"""

import argparse
import gc
import hashlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SHARED = Path(os.environ.get("WEIR_SHARED", ROOT.parent / "shared"))
RECORDING = SHARED / "data" / "handbook" / "transactions_raw.parquet"
SMOKE, REAL = 50_000, 400_000
BATCH = 2_048


class Message(msgspec.Struct):
    """What decode-only reads."""

    kind: str | None = None
    transaction_id: str | None = None
    event_time: str | None = None
    account: str | None = None
    customer: str | None = None
    card: str | None = None
    terminal: str | None = None
    amount: str | float | None = None
    currency: str | None = None
    type: str | None = None
    label: str | None = None


def prepare(folder, n):
    """Write the first `n` transactions of the feed, with the labels that arrive among them, as NDJSON."""
    from engine.brokers.files import FileSource
    from engine.setup import read_setup

    setup = read_setup(HERE / "handbook")
    path = folder / "feed.ndjson"
    if RECORDING.is_file():
        source = FileSource([RECORDING], setup.feed, setup.schema)
        of = "handbook"
    else:
        source = FileSource([synthetic(folder, n)], setup.feed, setup.schema)
        of = "generated (no handbook recording found)"
    seen = 0
    with path.open("wb") as out:
        while seen < n and (messages := source.poll(BATCH, 0)) is not None:
            for line in messages.lines:
                is_label = b'"kind":"label"' in line
                if not is_label and seen == n:
                    continue
                seen += not is_label
                out.write(line + b"\n")
    source.close()
    return path, of


def synthetic(folder, n, seed=1):
    """A recording of the handbook's shape: about 10,000 transactions a day, 1 % fraud by amount or terminal."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    second = np.sort(rng.integers(0, max(1, n // 9_600) * 86_400, n))
    terminal = rng.integers(0, 10_000, n)
    fraud = (rng.random(n) < 0.003) | ((terminal % 400 == 0) & (rng.random(n) < 0.9))
    amount = np.round(rng.gamma(2.0, 27.0, n) * np.where(fraud, 3, 1), 2)
    columns = {
        "TRANSACTION_ID": np.arange(n),
        "TX_DATETIME": np.datetime64("2018-04-01", "us") + second.astype("timedelta64[s]"),
        "CUSTOMER_ID": rng.integers(0, 5_000, n).astype(str),
        "TERMINAL_ID": terminal.astype(str),
        "TX_AMOUNT": amount,
        "TX_FRAUD": fraud.astype(np.int64),
    }
    path = folder / "synthetic.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def decode_only(path):
    """Seconds to decode every message into a struct, batches kept."""
    lines = path.read_bytes().splitlines()
    decode = msgspec.json.Decoder(Message).decode
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    for a in range(0, len(lines), BATCH):
        kept = [decode(line) for line in lines[a : a + BATCH]]
    took = time.perf_counter() - began
    gc.enable()
    del kept
    return took, len(lines)


def run(path, folder, k):
    """One replay; return (summary, hash of the decisions)."""
    from config import feeds
    from engine.app import Job, execute
    from engine.brokers.files import FileSource
    from engine.setup import read_setup

    setup = read_setup(HERE / "handbook")
    out = folder / f"run{k}"
    source = FileSource([path], feeds.Feed(feeds.CANONICAL), setup.schema)
    job = Job(setup, out, setup.configuration.settings.rows_max, inputs=(path.name,), quiet=True)
    summary = execute(job, source)
    with (out / "decisions.ndjson").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return summary, digest


def machine():
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    return f"{cpu}, {os.cpu_count()} cores shared, one used, Python {platform.python_version()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--transactions", type=int, default=SMOKE, help=f"smoke {SMOKE:,}, real {REAL:,}"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, of = prepare(folder, arguments.transactions)
        for k in range(arguments.runs):
            decode_s, n_messages = decode_only(path)
            summary, digest = run(path, folder, k)
            speed = summary["speed"]
            rows.append(
                {
                    "tx_per_second": speed["tx_per_second"],
                    "messages_per_second": speed["messages_per_second"],
                    "decode_only_messages_per_second": round(n_messages / decode_s),
                    "memory_mb_max": summary["memory_mb_max"],
                    "decisions_sha256": digest,
                }
            )
    assert len({row["decisions_sha256"] for row in rows}) == 1, "runs differ"
    median = {
        key: statistics.median(row[key] for row in rows)
        for key in rows[0]
        if key != "decisions_sha256"
    }
    result = {
        "workload": f"{of}, {arguments.transactions:,} transactions, {n_messages:,} messages",
        "machine": machine(),
        "runs": rows,
        "median": median,
    }
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"{result['workload']}\n{result['machine']}")
    print(f"{'':8s}{'tx/s':>10s}{'msg/s':>10s}{'decode only':>14s}{'of it':>8s}{'MB':>8s}")
    for label, row in [*((f"run {k + 1}", r) for k, r in enumerate(rows)), ("median", median)]:
        share = row["messages_per_second"] / row["decode_only_messages_per_second"]
        print(
            f"{label:8s}{row['tx_per_second']:>10,.0f}{row['messages_per_second']:>10,.0f}"
            f"{row['decode_only_messages_per_second']:>14,.0f}{share:>8.1%}{row['memory_mb_max']:>8,.0f}"
        )
    print(f"decisions sha256 {rows[0]['decisions_sha256']}")


if __name__ == "__main__":
    sys.exit(main())
