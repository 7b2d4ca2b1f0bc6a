"""A worker of the cluster on a real Kafka broker: how fast beside a plain Faust agent, how late, how it fails over.

    python -m benchmarks.bench_cluster [--smoke] [--json] [--only throughput|latency|rebalance ...]

One broker on this machine, its cores shared by broker, workers and this process. The configuration is that of
bench_durability.py: 40 features over 5 keys, two models that learn, five rules; every entity drawn evenly.

- Throughput: the input topic is filled, then one worker is started; from the first decision that the broker has
  written to the last, by the broker's clock. `weir worker` publishes in transactions and keeps its journal; the plain
  agents (benchmarks/faust_peer.py) keep nothing and publish at least once. With one partition all of them, and the
  embedded engine, must say the same, byte for byte.
- Latency: a process of its own sends RATE transactions a second, each when it is due, whatever the worker does, and
  another reads what is committed. From when a transaction was due to when its decision was read. Once with the journal
  of the worker synced, and once with `durability: flush`: a worker that loses its folder derives it from the topic.
- Rebalance: N accounts have state in 8 partitions. Two workers share them, at RATE transactions a second; one is
  killed. For each partition that moved: from the kill to the first decision on a transaction that was sent after it.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import logging
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import clustered, durable, measuring
from benchmarks.clustered import Reader, Workers

PARTS = ("throughput", "latency", "rebalance")
PARTITIONS = 8
RATE = 1_000  # transactions a second
TIMES, TX_PER_SECOND, P99_MS, REBALANCE_S = 10.0, 20_000, 50.0, 15.0
SIZES = {  # transactions or seconds: real, smoke
    "worker": (400_000, 8_000),
    "one": (12_000, 500),
    "take": (24_000, 1_000),
    "score": (24_000, 1_000),
    "latency_s": (30, 3),
    "behind": (60_000, 1_000),
}
PLAIN = {
    "one": "plain Faust agent, `async for`",
    "take": "plain Faust agent, `take`",
    "score": "plain Faust agent, `take`, sends nothing",
}
KILL_S = 45  # of traffic around the kill
FIRST_S = 5  # of the latency run, not counted: the worker takes its first batches
KEY = re.compile(rb'"account":"([^"]*)"')
CONFIG = re.compile(rb'"config":"[^"]*"')  # names the brokers, so it differs from case to case


def keyed(lines):
    return ((KEY.search(line)[1], line) for line in lines)


class Case:
    """A prefix of its own on the broker, a configuration, an output folder."""

    def __init__(self, root, address, name, n_partitions, **settings):
        self.folder = root / name
        self.folder.mkdir()
        durable.configure(self.folder / "config")
        self.config, self.out = self.folder / "config", self.folder / "out"
        self.settings = clustered.cluster(self.config, address, name, n_partitions, **settings)
        asyncio.run(clustered.topics(self.settings))

    def fill(self, lines):
        return asyncio.run(clustered.fill(self.settings, keyed(lines)))

    def workers(self):
        return Workers(self.config, self.out)


# ---------------------------------------------------------------- throughput


def drained(case, lines, kind):
    """Have `lines` decided by one process; what the decisions topic holds then, by partition."""
    upto = case.fill(lines)

    async def wait_and_read(workers):
        async with Reader(case.settings) as reader:
            if kind == "worker":
                await reader.until_published(upto, workers)
            else:
                await reader.until(lambda: is_through(reader), workers)
            return await reader.read(case.settings.topic("decisions"))

    async def is_through(reader):
        if kind != "score":
            return sum(await reader.ends(case.settings.topic("decisions"))) >= sum(upto)
        records = (await reader.read(case.settings.topic("decisions")))[0]
        return bool(records) and int(records[-1].value) >= sum(upto)

    with case.workers() as workers:
        command = ("-m", "benchmarks.faust_peer", str(case.config), kind)
        workers.start(0, *(command if kind != "worker" else ()))
        found = asyncio.run(wait_and_read(workers))
        workers.end(0, signal.SIGTERM if kind == "worker" else signal.SIGKILL)
    return found


def rate_of(found, kind):
    """Transactions a second, from the first write of the broker to the last, and how many were counted."""
    at_ms = np.sort([r.timestamp for records in found.values() for r in records])
    if kind == "score":
        [records] = found.values()
        n, began = int(records[-1].value) - int(records[0].value), records[0].timestamp
        return n / max(1, records[-1].timestamp - began) * 1e3, n
    n = int((at_ms > at_ms[0]).sum())
    return n / max(1, at_ms[-1] - at_ms[0]) * 1e3, n


def throughput(root, address, sizes):
    """One row a way to run; the hash of the decisions of one partition, and what differs from the embedded engine."""
    n_worker = sizes["worker"]
    lines = list(durable.payments(n_worker, max(1_000, n_worker // 4)))
    rows, hashes = [], {}
    for kind in (*PLAIN, "worker", "worker"):
        n_partitions = PARTITIONS if any(r["way"].startswith("weir") for r in rows) else 1
        what = PLAIN.get(kind, f"weir worker, {n_partitions} partition{'s' * (n_partitions > 1)}")
        case = Case(root, address, f"through-{kind}-{n_partitions}", n_partitions)
        some = lines[: sizes[kind]]
        found = drained(case, some, kind)
        rate, counted = rate_of(found, kind)
        rows.append({"way": what, "transactions": len(some), "counted": counted})
        rows[-1]["tx_per_second"] = round(rate)
        if kind != "score":
            values = [
                CONFIG.sub(b"", record.value) for records in found.values() for record in records
            ]
            assert len(values) == len(some), (what, len(values), len(some))
            hashes[kind, n_partitions] = values
    exact = hashes["worker", 1]
    for kind in ("one", "take"):
        assert hashes[kind, 1] == exact[: sizes[kind]], f"{kind} decides something else"
    embedded = folder_decisions(root / "through-worker-1" / "config", lines, root / "embedded")
    assert exact == embedded, "the worker decides something else than the embedded engine"
    best = max(row["tx_per_second"] for row in rows[:2])
    for row in rows:
        row["times"] = row["tx_per_second"] / best
    return rows, hashlib.sha256(b"\n".join(exact)).hexdigest()[:16]


def folder_decisions(config, lines, folder):
    """What `weir replay` decides on the same messages."""
    from config.feeds import CANONICAL, Feed
    from engine.app import Job, execute
    from engine.brokers.files import FileSource
    from engine.setup import read_setup

    folder.mkdir()
    setup = read_setup(config)
    durable.write(folder / "in.ndjson", lines)
    source = FileSource([folder / "in.ndjson"], Feed(CANONICAL), setup.schema)
    rows_max = setup.configuration.settings.rows_max
    execute(Job(setup, folder / "out", rows_max, inputs=("in",), quiet=True), source)
    return CONFIG.sub(b"", (folder / "out" / "decisions.ndjson").read_bytes()).splitlines()


# ---------------------------------------------------------------- sending and reading at a rate


def beside(name, settings, *told):
    where = [settings.brokers, settings.prefix, str(settings.partitions)]
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bench_cluster", "--beside", name, *where]
        + [str(value) for value in told],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


async def send(settings, rate, seconds, n_accounts, first):
    """Send messages, each named by when it was due, microseconds since the epoch."""
    from aiokafka import AIOKafkaProducer

    n = rate * seconds
    lines = list(
        durable.payments(n, n_accounts, first=first, names=[b"%s"] * n, **later(first, seconds))
    )
    async with AIOKafkaProducer(bootstrap_servers=settings.brokers) as producer:
        await producer.partitions_for(settings.input)
        begin_us, k = time.time_ns() // 1_000 + 500_000, 0
        while k < n:
            due = min(n, (time.time_ns() // 1_000 - begin_us) * rate // 1_000_000)
            for j in range(k, due):
                key = KEY.search(lines[j])[1]
                line = lines[j] % (b"%d" % (begin_us + j * 1_000_000 // rate))
                number = clustered.partition_of(key, settings)
                await producer.send(settings.input, line, key=key, partition=number)
            k = max(k, due)
            await asyncio.sleep(0.0005)


def later(first, seconds):
    start_us = durable.START_US + durable.SPAN_US + first
    return {"start_us": start_us, "span_us": seconds * 1_000_000}


async def watch(settings, n):
    """Read `n` decisions as they become visible: partition, when due, when read, microseconds; `.` at the beginning."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    places = [TopicPartition(settings.topic("decisions"), k) for k in range(settings.partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.brokers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )
    async with consumer:
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        for place in places:
            await consumer.position(place)
        print(".", flush=True)
        end = time.monotonic() + clustered.WAIT_S
        seen = []
        while len(seen) < n and time.monotonic() < end:
            found = await consumer.getmany(timeout_ms=100)
            now_us = time.time_ns() // 1_000
            for place, records in found.items():
                seen += [(place.partition, due_us(r.value), now_us) for r in records]
    print(json.dumps(seen))


def due_us(decision):
    at = decision.index(b'"transaction_id":"') + 18
    return int(decision[at : decision.index(b'"', at)])


# ---------------------------------------------------------------- latency


def latency(root, address, seconds, n_partitions, durability):
    """One row: from when a transaction was due to when its decision was read, milliseconds."""
    name = f"latency-{n_partitions}-{durability}"
    case = Case(root, address, name, n_partitions, durability=durability)
    with case.workers() as workers:
        upto = case.fill(durable.payments(4_000, 2_000))  # warm
        workers.start(0)
        asyncio.run(until_published(case, upto, workers))
        reading = beside("watch", case.settings, RATE * seconds)
        assert reading.stdout.readline() == b".\n"
        sending = beside("send", case.settings, RATE, seconds, 50_000, 1)
        told, _ = reading.communicate()
        sending.communicate()
        workers.end(0, signal.SIGTERM)
    seen = np.array(json.loads(told), np.int64)
    assert len(seen) == RATE * seconds, (len(seen), workers.logs())
    counted = seen[:, 1] >= seen[:, 1].min() + min(FIRST_S, seconds // 2) * 1_000_000
    took_ms = (seen[counted, 2] - seen[counted, 1]) / 1e3
    named = {f"p{p}": float(np.percentile(took_ms, float(p))) for p in ("50", "99", "99.9")}
    row = {"partitions": n_partitions, "durability": durability, "rate": RATE}
    row["transactions"] = int(counted.sum())
    return row | named | {"slowest": float(took_ms.max())}


async def until_published(case, upto, workers, **limits):
    async with Reader(case.settings) as reader:
        await reader.until_published(upto, workers, **limits)


# ---------------------------------------------------------------- rebalance


def rebalance(root, address, n_accounts, behind):
    """Kill one of two workers; seconds of every partition that moved, and what they are made of."""
    case = Case(root, address, "rebalance", PARTITIONS, durability="flush")
    upto = case.fill(durable.payments(n_accounts, n_accounts))
    began = time.perf_counter()
    with case.workers() as workers:
        workers.start(0)
        asyncio.run(until_published(case, upto, workers, look_s=1.0))
        built_s = time.perf_counter() - began
        assert workers.end(0, signal.SIGTERM) == 0, workers.logs()  # leaves snapshots
        stopped_s = time.perf_counter() - began - built_s
        again = time.perf_counter()
        workers.start(0)
        workers.start(1)
        owned = asyncio.run(until_shared(case, workers))
        shared_s = time.perf_counter() - again
        lines = list(durable.payments(behind, n_accounts, first=n_accounts, **later(1, 60)))
        more = case.fill(lines)
        upto = [a + b for a, b in zip(upto, more, strict=True)]
        asyncio.run(until_published(case, upto, workers))
        reading = beside("watch", case.settings, RATE * KILL_S)
        assert reading.stdout.readline() == b".\n"
        sending = beside("send", case.settings, RATE, KILL_S, 50_000, 2)
        time.sleep(8)
        killed_us = time.time_ns() // 1_000
        workers.end(1, signal.SIGKILL)
        told, _ = reading.communicate()
        sending.communicate()
        log = workers.log(0).read_text()
    seen = np.array(json.loads(told), np.int64)
    pauses = {}
    for number in range(PARTITIONS):
        mine = seen[(seen[:, 0] == number) & (seen[:, 1] >= killed_us)]
        assert len(mine), f"partition {number} decides no more\n{log[-3000:]}"
        pauses[number] = (mine[:, 2].min() - killed_us) / 1e6
    assert len(seen) == RATE * KILL_S, len(seen)
    moved = [pauses[number] for number in owned[1]]
    rows = [
        {"what": "worker killed: moved partitions decide again, s, slowest", "found": max(moved)},
        {"what": "the same, the first of them", "found": min(moved)},
        {
            "what": "partitions that stayed: longest pause, s",
            "found": max(pauses[number] for number in owned[0]),
        },
        {"what": "stopped in order: snapshots of all partitions left, s", "found": stopped_s},
        {"what": "two workers started: all partitions taken over, s", "found": shared_s},
        {"what": "accounts built through Kafka, s", "found": built_s},
        {"what": "records to derive again, of all partitions", "found": sum(more)},
    ]
    return rows, max(moved)


async def until_shared(case, workers):
    """Wait until the two workers have half of the partitions each, all open; which."""

    async def is_shared():
        owned.clear()
        for number in (0, 1):
            owned[number] = owned_by(workers.processes[number].pid)
        return all(len(some) == PARTITIONS // 2 for some in owned.values()) and not (
            owned[0] & owned[1]
        )

    owned = {}
    async with Reader(case.settings) as reader:
        await reader.until(is_shared, workers)
    return owned


def owned_by(pid):
    """Which partitions a worker has: those in whose folders it holds files open."""
    owned = set()
    for number in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found = re.search(r"/p(\d{4})/\d{6}/", str(number.readlink()))
            owned |= {int(found[1])} if found else set()
    return owned


# ---------------------------------------------------------------- all of it


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["--beside"]:
        return beside_main(argv[1:])
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    chosen, rest = parser.parse_known_args(argv)
    given = measuring.arguments(__doc__, rest, real=1_000_000, smoke=8_000, of="accounts")
    durable.unpin()  # and with it the broker and all workers
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # new topics have no leader yet
    from tests.clustering import missing_kafka

    lacking = missing_kafka()
    if lacking:
        print(lacking, file=sys.stderr)
        return measuring.EXIT_MISSING
    from engine.brokers.kafka.local import LocalKafka

    sizes = {name: both[given.is_smoke] for name, both in SIZES.items()}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with LocalKafka(root / "kafka") as kafka:
            parts = {}
            if "throughput" in chosen.only:
                parts["throughput"] = throughput(root, kafka.address, sizes)
            if "latency" in chosen.only:
                parts["latency"] = [
                    latency(root, kafka.address, sizes["latency_s"], n, durability)
                    for n in (1, PARTITIONS)
                    for durability in ("sync", "flush")
                ]
            if "rebalance" in chosen.only:
                parts["rebalance"] = rebalance(root, kafka.address, given.n, sizes["behind"])
    return tell(given, parts)


def tell(given, parts):
    rows, more, limits = [], {}, []
    if "throughput" in parts:
        rows, more["sha256"] = parts["throughput"]
        worker = rows[3]
        limits += [
            ("worker, times the better plain agent, at least", TIMES, worker["times"]),
            ("worker, Kafka to Kafka, tx/s, at least", TX_PER_SECOND, worker["tx_per_second"]),
        ]
    if "latency" in parts:
        more["latency"] = parts["latency"]
        limits += [
            (
                f"p99, {row['partitions']} partitions, {row['durability']}, ms, at most",
                P99_MS,
                row["p99"],
            )
            for row in parts["latency"]
        ]
    if "rebalance" in parts:
        more["rebalance"], slowest = parts["rebalance"]
        limits.append(("moved partitions decide again, s, at most", REBALANCE_S, slowest))
    return measuring.report(
        given,
        f"40 features over 5 keys, 2 models learning, 5 rules; {given.n:,} accounts at the rebalance",
        rows or [{"way": "not asked for"}],
        limits=[{"what": what, "limit": a, "found": b} for what, a, b in limits],
        rate=RATE,
        cores=2,
        **more,
    )


def beside_main(argv):
    from config.cluster import ClusterSettings

    name, brokers, prefix, n_partitions, *told = argv
    settings = ClusterSettings(brokers=brokers, prefix=prefix, partitions=int(n_partitions))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run({"send": send, "watch": watch}[name](settings, *map(int, told)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
