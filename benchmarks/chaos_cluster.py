"""Does a cluster survive: workers killed, stopped, halted, and a broker that goes away, under load, round after round.

    python -m benchmarks.chaos_cluster [--rounds 50] [--seed 1] [--workers 3] [--rate 400] [--minutes N]

A process of its own publishes generated traffic at a fixed rate: payments, repeats, late and broken messages, labels.
Every round waits until something is decided, then does one of four things to a worker or the broker, as the seed says:
SIGKILL, SIGTERM, SIGSTOP for longer than the group waits for a member, or SIGKILL of the broker; what ended is started
again. Afterwards the input topic is the truth, and must hold:

- every transaction that was published is decided, whatever happened;
- a reader of what is committed sees every line of every stream once, in order, and as one embedded engine makes it of
  the same records of the same partition.

The exit status is 1 if not. Nothing is timed; how long a round takes depends on what else the machine does.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks import clustered, measuring
from benchmarks.clustered import Reader, Workers

KINDS = ("kill", "term", "pause", "broker")
SHORT_S, PAUSE_S, AWAY_S = (
    (0.5, 4.0),
    (12.0, 20.0),
    (0.5, 6.0),
)  # between rounds, halted, broker away
ACCOUNTS = 2_000


class Chaos:
    """One cluster, and what is done to it."""

    def __init__(self, kafka, workers, seed, n_workers):
        self.kafka, self.workers, self.n_workers = kafka, workers, n_workers
        self.dice = random.Random(seed)
        self.done = Counter()
        self.next_number = 0

    def more(self):
        """Start workers until there are as many as there should be."""
        while len(self.workers.processes) < self.n_workers:
            self.workers.start(self.next_number)
            self.next_number += 1

    async def round(self):
        """Do something; returns what."""
        self.assert_alive()
        kind = self.dice.choice(KINDS)
        victim = self.dice.choice(sorted(self.workers.processes))
        if kind == "broker":
            self.kafka.kill()
            await asyncio.sleep(self.dice.uniform(*AWAY_S))
            self.kafka.start()
        elif kind == "pause":
            self.workers.processes[victim].send_signal(signal.SIGSTOP)
            await asyncio.sleep(self.dice.uniform(*PAUSE_S))
            self.workers.processes[victim].send_signal(signal.SIGCONT)
        else:
            self.end(victim, kind)
            if self.dice.random() < 0.3:  # one less for a while
                await asyncio.sleep(self.dice.uniform(*SHORT_S))
        self.more()
        self.done[kind] += 1
        await asyncio.sleep(self.dice.uniform(*SHORT_S))
        return kind

    def end(self, victim, kind):
        status = self.workers.end(victim, signal.SIGKILL if kind == "kill" else signal.SIGTERM)
        fine = (0, -signal.SIGTERM)  # the second where it had not begun to work yet
        self.done["gave up"] += kind == "term" and status not in fine

    def assert_alive(self):
        """Start what has ended by itself, as a supervisor would, and count it."""
        ended = [k for k, process in self.workers.processes.items() if process.poll() is not None]
        for number in ended:
            self.workers.processes.pop(number)
        self.done["gave up"] += len(ended)
        self.more()

    def logs(self):
        return self.workers.logs()


async def feed(settings, traffic, rate):
    """Publish the messages of the file, those of an account into the same partition; on whatever happens, again.

    With idempotence every message is in the topic once; without, the engine would see a repeat, which is harmless too.
    """
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(
        bootstrap_servers=settings.brokers, enable_idempotence=True, request_timeout_ms=600_000
    )
    async with producer:
        began, sent = time.monotonic(), []
        with traffic.open("rb") as file:
            for k, text in enumerate(file):
                line = text.rstrip(b"\n")
                at = line.find(b'"account": "')
                key = line[at + 12 : line.index(b'"', at + 12)] if at >= 0 else b"nobody"
                number = clustered.partition_of(key, settings)
                sent.append(await producer.send(settings.input, line, key=key, partition=number))
                await asyncio.sleep(max(0.0, began + k / rate - time.monotonic()))
                if len(sent) >= 10_000:
                    await asyncio.gather(*sent)
                    sent.clear()
        await asyncio.gather(*sent)


def write_traffic(path, n, seed):
    """`n` messages of many accounts: payments, repeats, late and broken ones, labels."""
    from tests.auditing import small_traffic

    small_traffic(path, n, seed)
    dice = random.Random(seed)
    names = [b"A%05d" % dice.randrange(ACCOUNTS) for _ in range(n + 1)]
    lines = path.read_bytes().splitlines()
    renamed = []
    for line in lines:  # twenty accounts would leave most of the partitions empty
        at = line.find(b'"transaction_id": "t-')
        number = int(line[at + 21 : line.index(b'"', at + 21)])
        place = line.index(b'"account": "') + 12
        end = line.index(b'"', place)
        renamed.append(line[:place] + names[number] + line[end:])
    path.write_bytes(b"\n".join(renamed) + b"\n")


def configure(folder, kafka, prefix, n_partitions):
    """A small bank whose restrictions, cases and models all do something."""
    from tests.auditing import small_bank

    config = small_bank(folder, durability="flush", snapshot_every="60s")
    return config, clustered.cluster(config, kafka.address, prefix, n_partitions)


async def storm(chaos, settings, traffic, given):
    """All rounds, while traffic is published; then everything is waited for, and read."""
    where = [settings.brokers, settings.prefix, str(settings.partitions)]
    command = [sys.executable, "-m", "benchmarks.chaos_cluster", "--feed", str(traffic), *where]
    feeding = subprocess.Popen([*command, str(given.rate)])  # noqa: ASYNC220 - nothing runs yet
    began, decided = time.monotonic(), 0
    async with Reader(settings) as reader:

        async def look():
            nonlocal decided
            decided = sum(await reader.published())
            return True

        async def goes_on():
            nonlocal decided
            before, decided = decided, sum(await reader.published())
            return decided > before

        async def is_done():
            return all(a >= b for a, b in zip(await reader.published(), upto, strict=True))

        try:
            for number in range(given.rounds):
                if time.monotonic() - began > given.minutes * 60:
                    break
                await reader.until(look, chaos)
                await reader.until(goes_on, chaos)
                kind = await chaos.round()
                print(f"round {number + 1}: {kind}, {time.monotonic() - began:.0f} s", flush=True)
            assert feeding.poll() is None, "the traffic ended before the rounds did"
        finally:
            feeding.send_signal(signal.SIGTERM)  # what was sent is what counts
            feeding.wait()
        upto = await reader.ends(settings.input)
        await reader.until(is_done, chaos)
    for number in list(chaos.workers.processes):
        chaos.end(number, "term")


async def seen(settings):
    """What a reader of what is committed sees: inputs as far as they are decided, and lines of all streams."""
    from engine.cluster.partition import STREAMS

    async with Reader(settings) as reader:
        inputs = await reader.read(settings.input)
        streams = {}
        for stream in STREAMS:
            records = await reader.read(settings.topic(stream))
            streams[stream] = {k: [r.value for r in some] for k, some in records.items()}
        upto = await reader.published()
    for number, records in inputs.items():  # workers go on to write ticks until they end
        inputs[number] = [record for record in records if record.offset < upto[number]]
    return inputs, streams


def check(config, settings, inputs, streams, folder):
    """What is wrong, in words; and counts of lines."""
    wrong, counts = clustered.differences(config, settings, inputs, streams, folder)
    decisions = [line for lines in streams["decisions"].values() for line in lines]
    if len(set(decisions)) != len(decisions):
        wrong.append(f"{len(decisions) - len(set(decisions))} decisions are visible twice")
    return wrong, counts


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # the broker goes away, and that is told
    if argv[:1] == ["--feed"]:
        return feed_main(argv[1:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--rate", type=int, default=400, help="messages a second")
    parser.add_argument("--minutes", type=float, default=1e9, help="no new round after so many")
    parser.add_argument("--keep", type=Path, help="an empty folder for logs and outputs")
    given = parser.parse_args(argv)
    from tests.clustering import missing_kafka

    lacking = missing_kafka()
    if lacking:
        print(lacking, file=sys.stderr)
        return measuring.EXIT_MISSING
    from engine.brokers.kafka.local import LocalKafka

    with contextlib.ExitStack() as stack:
        root = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        root.mkdir(parents=True, exist_ok=True)
        kafka = stack.enter_context(LocalKafka(root / "kafka"))
        config, settings = configure(root / "bank", kafka, "chaos", given.partitions)
        asyncio.run(clustered.topics(settings))
        traffic = root / "traffic.ndjson"
        write_traffic(traffic, given.rounds * given.rate * 30, given.seed)
        workers = stack.enter_context(Workers(config, root / "out"))
        chaos = Chaos(kafka, workers, given.seed, given.workers)
        chaos.more()
        began = time.monotonic()
        asyncio.run(storm(chaos, settings, traffic, given))
        took_s = time.monotonic() - began
        inputs, streams = asyncio.run(seen(settings))
        wrong, counts = check(config, settings, inputs, streams, root)
    n = sum(map(len, inputs.values()))
    gave_up = chaos.done.pop("gave up", 0)
    done = ", ".join(f"{count} {kind}" for kind, count in sorted(chaos.done.items()))
    print(f"{chaos.done.total()} rounds in {took_s:.0f} s: {done}; {gave_up} workers gave up")
    print(f"{n:,} records in {given.partitions} partitions; visible: {counts}")
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    print(
        "every line once, in order, and as the embedded engine makes it" if not wrong else "WRONG"
    )
    return 1 if wrong else 0


def feed_main(argv):
    from config.cluster import ClusterSettings

    traffic, brokers, prefix, n_partitions, rate = argv
    settings = ClusterSettings(brokers=brokers, prefix=prefix, partitions=int(n_partitions))
    asyncio.run(feed(settings, Path(traffic), int(rate)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
