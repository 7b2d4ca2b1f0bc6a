"""A broker, workers in processes of their own, traffic and readers, for bench_cluster.py and chaos_cluster.py."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import zlib

WAIT_S = 300.0
LOOK_S = 0.2
FILL_BYTES = 1 << 18


def cluster(folder, address, prefix, n_partitions, **settings):
    """Let the configuration in `folder` find the broker, with `settings` of weir.yaml beside; its cluster settings."""
    from config.cluster import ClusterSettings

    path = folder / "weir.yaml"
    lines = [f"{name}: {value}" for name, value in settings.items()]
    where = f"brokers: '{address}', prefix: {prefix}, partitions: {n_partitions}"
    where += ", partial: accept" if n_partitions > 1 else ""
    path.write_text("\n".join([path.read_text(), *lines, f"cluster: {{{where}}}", ""]))
    return ClusterSettings(brokers=address, prefix=prefix, partitions=n_partitions)


async def topics(settings):
    """Create the topics; of a decision the broker says when it was written, by its own clock."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    from engine.brokers.kafka.topics import prepare

    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        stamped = {"message.timestamp.type": "LogAppendTime"}
        name = settings.topic("decisions")
        await admin.create_topics([NewTopic(name, settings.partitions, 1, topic_configs=stamped)])
    finally:
        await admin.close()
    await prepare(settings)


def partition_of(key, settings):
    return zlib.crc32(key) % settings.partitions


async def fill(settings, keyed):
    """Write (key, line) pairs into the input as fast as it goes; how many went into each partition."""
    from aiokafka import AIOKafkaProducer

    counts = [0] * settings.partitions
    async with AIOKafkaProducer(
        bootstrap_servers=settings.brokers, max_batch_size=FILL_BYTES, request_timeout_ms=120_000
    ) as producer:
        batches = [producer.create_batch() for _ in counts]
        sent = []

        async def send(number):
            batches[number].close()
            sent.append(
                await producer.send_batch(batches[number], settings.input, partition=number)
            )
            batches[number] = producer.create_batch()

        for key, line in keyed:
            number = partition_of(key, settings)
            if batches[number].append(key=key, value=line, timestamp=None) is None:
                await send(number)
                batches[number].append(key=key, value=line, timestamp=None)
            counts[number] += 1
        for number, batch in enumerate(batches):
            if batch.record_count():
                await send(number)
        await asyncio.gather(*sent)
    return counts


class Workers:
    """Processes by number, each with its log beside OUT."""

    def __init__(self, config, out):
        self.config, self.out = config, out
        self.processes = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for number in list(self.processes):
            self.end(number, signal.SIGKILL)

    def start(self, number, *command):
        """Start `weir worker`, or another command."""
        command = command or (
            *("-m", "engine.cli", "worker", "--config", str(self.config)),
            *("--out", str(self.out)),
        )
        with self.log(number).open("ab") as log:
            self.processes[number] = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONFAULTHANDLER": "1"},
            )

    def log(self, number):
        return self.out.parent / f"worker{number}.log"

    def logs(self):
        return "\n".join(
            f"== {path.name}\n{path.read_text()[-3000:]}"
            for path in sorted(self.out.parent.glob("worker*.log"))
        )

    def end(self, number, by):
        """Send a signal and wait; the exit status. One that does not end says where it stands, and is an error."""
        process = self.processes.pop(number)
        process.send_signal(by)
        try:
            return process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait()
            raise AssertionError(f"worker {number} does not end\n{self.logs()}") from None

    def assert_alive(self):
        for number, process in self.processes.items():
            assert process.poll() is None, f"worker {number} has ended\n{self.logs()}"


class Reader:
    """Looks at the broker from outside, as a reader of what is committed. One loop, one consumer."""

    def __init__(self, settings):
        self.settings = settings

    async def __aenter__(self):
        from aiokafka import AIOKafkaConsumer
        from aiokafka.admin import AIOKafkaAdminClient

        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.brokers,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=10_000,
        )
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.brokers)
        await self._consumer.start()
        await self._admin.start()
        return self

    async def __aexit__(self, *_):
        await self._consumer.stop()
        await self._admin.close()

    def _places(self, topic):
        from aiokafka import TopicPartition

        return [TopicPartition(topic, number) for number in range(self.settings.partitions)]

    async def ends(self, topic):
        """The offset up to which each partition of `topic` can be read."""
        found = await self._consumer.end_offsets(self._places(topic))
        return [found[place] for place in self._places(topic)]

    async def published(self):
        """The input offset of each partition up to which outcomes are visible."""
        places = self._places(self.settings.input)
        group = f"{self.settings.prefix}-published"
        found = await self._admin.list_consumer_group_offsets(group, partitions=places)
        return [max(0, found[place].offset) if place in found else 0 for place in places]

    async def until(self, is_done, workers, *, look_s=LOOK_S, wait_s=WAIT_S):
        """Wait until `is_done()` says so, as long as all workers live."""
        from aiokafka.errors import KafkaError

        end = time.monotonic() + wait_s
        while True:
            with contextlib.suppress(KafkaError):  # the broker may be away for a moment
                if await is_done():
                    return
            workers.assert_alive()
            assert time.monotonic() < end, f"nothing goes on\n{workers.logs()}"
            await asyncio.sleep(look_s)

    async def until_published(self, upto, workers, **limits):
        """Wait until everything below these input offsets is decided and visible."""

        async def is_done():
            return all(a >= b for a, b in zip(await self.published(), upto, strict=True))

        await self.until(is_done, workers, **limits)

    async def read(self, topic):
        """All that can be read in a topic: records by partition."""
        places = self._places(topic)
        found = {place.partition: [] for place in places}
        self._consumer.assign(places)
        await self._consumer.seek_to_beginning(*places)
        ends = await self._consumer.end_offsets(places)
        while any([await self._consumer.position(place) < ends[place] for place in places]):
            for place, records in (await self._consumer.getmany(timeout_ms=200)).items():
                found[place.partition] += records
        return found


def differences(config, settings, inputs, seen, folder):
    """Compare what is visible with what one embedded engine makes of the same records in the same order.

    inputs : records of the input topic by partition          seen : lines by stream and partition

    Returns what differs, in words, and how many lines were compared of each stream.
    """
    from engine.app import Job, execute
    from engine.brokers.kafka.bulk import record_of
    from engine.cluster.partition import STREAMS
    from engine.setup import read_setup
    from tests.clustering import Recorded

    found, counts = [], dict.fromkeys(STREAMS, 0)
    for number, records in inputs.items():
        out = folder / f"embedded{number}"
        setup = read_setup(config, partitions=settings.partitions)
        rows_max = setup.configuration.settings.rows_max
        job = Job(setup, out, rows_max, inputs=("topic",), durability="none", quiet=True)
        lane = [record_of(r) for r in records]
        execute(job, Recorded(lane, settings.input, number))
        for stream in STREAMS:
            path = out / f"{stream}.ndjson"
            expected = path.read_bytes().splitlines() if path.exists() else []
            lines = seen[stream][number]
            counts[stream] += len(lines)
            if lines != expected:
                at = next(
                    (k for k, (a, b) in enumerate(zip(lines, expected, strict=False)) if a != b),
                    min(len(lines), len(expected)),
                )
                found.append(
                    f"partition {number}, {stream}: {len(lines)} lines are visible, {len(expected)} are right; "
                    f"line {at} is the first that differs:\n  {lines[at : at + 1]}\n  {expected[at : at + 1]}"
                )
    return found, counts
