"""Throughput on the handbook feed: natural features, 25 rules, both models learning, NDJSON in, decisions on disk.

    python -m benchmarks.bench_handbook [--smoke] [--json]

One process pinned to one core where the machine allows, three runs. The feed is turned into NDJSON before the clock
starts; every transaction is followed a week later by its label, so the engine takes two messages for each that counts.
Beside it, in the same run: decode only (msgspec into a struct of the same fields, kept in batches of 2,048, gc off).
The hash over decisions.ndjson says what was computed: a fast wrong answer is no answer. Without the recording a
generated one of the same shape is used, and says so.
"""

import hashlib
import statistics
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np

from benchmarks import measuring
from benchmarks.measuring import HANDBOOK, RECORDING

RUNS = 3
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

    setup = read_setup(HANDBOOK)
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


def run(path, folder, k):
    """One replay; return (summary, hash of the decisions)."""
    from config import feeds
    from engine.app import Job, execute
    from engine.brokers.files import FileSource
    from engine.setup import read_setup

    setup = read_setup(HANDBOOK)
    out = folder / f"run{k}"
    source = FileSource([path], feeds.Feed(feeds.CANONICAL), setup.schema)
    job = Job(setup, out, setup.configuration.settings.rows_max, inputs=(path.name,), quiet=True)
    summary = execute(job, source)
    with (out / "decisions.ndjson").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return summary, digest


def does():
    """What the configuration asks of the engine."""
    from engine.setup import read_setup

    setup = read_setup(HANDBOOK)
    known = setup.configuration
    return (
        f"{len(setup.pack.features)} features, {len(setup.pack.rules)} rules, "
        f"{len(known.models.models)} models learning, batches of {known.settings.rows_max:,}"
    )


def main(argv=None):
    from replay.speed.throughput import decode_only

    given = measuring.arguments(__doc__, argv, real=400_000, smoke=75_000, of="transactions")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, of = prepare(folder, given.n)
        lines = path.read_bytes().splitlines()
        for k in range(RUNS):
            decode = decode_only(lines, Message)
            summary, digest = run(path, folder, k)
            speed = summary["speed"]
            rows.append(
                {
                    "run": k + 1,
                    "tx_per_second": speed["tx_per_second"],
                    "messages_per_second": speed["messages_per_second"],
                    "batch_ms_p50": speed["batch_latency_ms"]["p50"],
                    "batch_ms_p99": speed["batch_latency_ms"]["p99"],
                    "decode_only_messages_per_second": round(decode),
                    "share_of_decode_only": speed["messages_per_second"] / decode,
                    "decisions_sha256": digest[:16],
                }
            )
    assert len({row["decisions_sha256"] for row in rows}) == 1, "runs differ"
    return measuring.report(
        given,
        f"{of}, first {given.n:,} transactions, {len(lines):,} messages, labels 7 days late; {does()}",
        rows,
        median={
            name: statistics.median(row[name] for row in rows)
            for name, value in rows[0].items()
            if name != "run" and not isinstance(value, str)
        },
        sha256=rows[0]["decisions_sha256"],
    )


if __name__ == "__main__":
    sys.exit(main())
