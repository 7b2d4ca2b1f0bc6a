"""Clusters for tests: the ports of a broker in memory, a real one where this machine can run it, and what is right."""

import threading

import pytest

from engine.app import Job, execute
from engine.cluster.lane import Lane
from engine.cluster.partition import STREAMS
from engine.cluster.ports import FencedError, Record
from engine.cluster.topic_tail import TopicTail
from engine.setup import read_setup

WRITTEN_US = 2_000_000_000_000_000  # after every event of these tests


class MemoryBroker:
    """One input topic, outcomes, and who may publish them. What is published is visible at once, and whole."""

    def __init__(self, n_partitions=1):
        self.inputs = [[] for _ in range(n_partitions)]
        self.visible = [{} for _ in range(n_partitions)]  # stream -> lines
        self.upto = [0] * n_partitions
        self.owner = [0] * n_partitions
        self.lock = threading.RLock()

    def write(self, line, partition=0, owed="", is_tick=False):
        with self.lock:
            records = self.inputs[partition]
            records.append(Record(len(records), line, WRITTEN_US, owed, is_tick))

    def records(self, partition=0):
        with self.lock:
            return list(self.inputs[partition])

    def lines(self, stream, partition=0):
        with self.lock:
            return list(self.visible[partition].get(stream, []))

    def publisher(self, partition=0):
        return MemoryPublisher(self, partition)


class MemoryPublisher:
    backlog = 0

    def __init__(self, broker, partition):
        self.broker, self.partition, self.number = broker, partition, 0

    def begin(self):
        with self.broker.lock:
            self.broker.owner[self.partition] += 1
            self.number = self.broker.owner[self.partition]
            return self.broker.upto[self.partition]

    def publish(self, outcomes, own, upto):
        with self.broker.lock:
            self.settle()
            for stream, lines in outcomes.items():
                self.broker.visible[self.partition].setdefault(stream, []).extend(lines)
            self.broker.upto[self.partition] = upto
            for message in own:
                self.broker.write(message.line, self.partition, message.owed, message.is_tick)

    def settle(self):
        with self.broker.lock:
            if self.broker.owner[self.partition] != self.number:
                raise FencedError

    def close(self):
        pass


class MemoryOutcomes:
    """Those who carry outcomes of a `MemoryBroker` out ask this one. What is visible is there at the next look."""

    def __init__(self, broker):
        self.broker = broker

    def follow(self, streams):
        return MemoryFollowing(self.broker, streams)

    def answer(self, partition, line, done):
        self.broker.write(line, partition)
        done()


class MemoryFollowing:
    failure = None

    def __init__(self, broker, streams):
        self.broker, self.over = broker, threading.Event()
        self.tails = {
            stream: [
                TopicTail(stream, number, 0, len(broker.lines(stream, number)))
                for number in range(len(broker.inputs))
            ]
            for stream in streams
        }
        self.thread = threading.Thread(target=self._run, daemon=True)

    def begin(self):
        self.thread.start()

    def _run(self):
        at = {id(tail): tail.at for tails in self.tails.values() for tail in tails}
        while not self.over.wait(0.002):
            for stream, tails in self.tails.items():
                for tail in tails:
                    lines = self.broker.lines(stream, tail.partition)
                    first, at[id(tail)] = at[id(tail)], len(lines)
                    tail.put(list(enumerate(lines))[first:], len(lines), len(lines))

    def close(self):
        self.over.set()
        if self.thread.is_alive():
            self.thread.join()


class Recorded:
    """The records of a partition as a recording that ends."""

    is_live = False

    def __init__(self, records, topic, partition):
        self.lane = Lane(topic, partition, lambda: None)
        self.lane.put(records)

    def poll(self, rows_max, wait_us):
        messages = self.lane.poll(rows_max, wait_us)
        return messages if len(messages) else None

    def resume_after(self, position):
        self.lane.resume_after(position)

    def commit(self, position):
        pass

    def close(self):
        pass


def embedded(bank, records, out, topic="in", partition=0, partitions=1):
    """What the embedded engine makes of the same records in the same order: lines by stream.

    partitions : of the cluster; limits are divided by them
    """
    setup = read_setup(bank, partitions=partitions)
    execute(Job(setup, out, 64, inputs=("topic",), quiet=True), Recorded(records, topic, partition))
    return {s: (out / f"{s}.ndjson").read_bytes().splitlines() for s in STREAMS}


async def committed(brokers, topic, n_partitions):
    """Everything that readers of what is committed see in a topic: records by partition."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    places = [TopicPartition(topic, number) for number in range(n_partitions)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    found = {number: [] for number in range(n_partitions)}
    async with consumer:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                found[place.partition] += records
    return found


def missing_kafka():
    try:
        from engine.brokers.kafka.local import missing
    except ImportError:
        return "aiokafka is missing: pip install 'weir-fraud[kafka]'"
    return missing()


def local_kafka(folder):
    """A broker to be entered; the test is skipped where its jars cannot be had."""
    from config.errors import StateError
    from engine.brokers.kafka.local import LocalKafka, fetch

    try:
        fetch()
    except StateError as error:
        pytest.skip(" ".join(str(error).split()))
    return LocalKafka(folder)


needs_kafka = pytest.mark.skipif(bool(missing_kafka()), reason=missing_kafka() or "there is one")
