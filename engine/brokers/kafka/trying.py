"""The two ends of a cluster that is tried out: a sender that keeps a pace, and a reader of what is committed."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from config.cluster import ClusterSettings
from engine.brokers.kafka.connecting import options
from engine.clock import Clock

EVERY_US = 10_000  # messages leave in such portions
POLL_MS = 100
STOP_S = 60.0
Heard: TypeAlias = Callable[[int, int, bytes], None]


async def publish(
    settings: ClusterSettings,
    messages: Iterable[tuple[bytes | None, bytes]],
    per_second: float,
    n_partitions: int,
    clock: Clock,
) -> int:
    """Send (key, message) at a pace; those without a key go to every partition.

    Returns when the broker has all of them. Gives how many messages were sent, each counted once.
    """
    began_ns, n = clock.monotonic_ns(), 0
    waiting: list[asyncio.Future[object]] = []
    async with AIOKafkaProducer(
        **options(settings), enable_idempotence=True, linger_ms=5
    ) as producer:
        for key, message in messages:
            ahead_us = n * 1e6 / per_second - (clock.monotonic_ns() - began_ns) / 1e3
            if ahead_us > EVERY_US:
                await asyncio.sleep(ahead_us / 1e6)
            if key is not None:
                waiting.append(await producer.send(settings.input, message, key=key))
            else:
                for number in range(n_partitions):
                    waiting.append(  # noqa: PERF401 - each has to be awaited
                        await producer.send(settings.input, message, partition=number)
                    )
            n += 1
        for future in waiting:
            await future
    return n


async def say(
    settings: ClusterSettings, topic: str, messages: Iterable[tuple[bytes, bytes]]
) -> None:
    """Send (key, message) to a slow topic; all of them are there when it returns."""
    async with AIOKafkaProducer(**options(settings), acks="all") as producer:
        for key, message in messages:
            await producer.send_and_wait(topic, message, key=key)


class Follower:
    """Reads a stream of outcomes from its beginning, in a thread, until it is stopped.

    heard : told of each record that is committed: partition, when the broker wrote it (ms), line
    """

    def __init__(
        self, settings: ClusterSettings, stream: str, n_partitions: int, heard: Heard
    ) -> None:
        self._settings, self._heard = settings, heard
        topic = settings.topic(stream)
        self._places = [TopicPartition(topic, number) for number in range(n_partitions)]
        self._stop = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read no more; return once it does not."""
        self._stop.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._read())
        except BaseException as error:  # noqa: BLE001 - whoever waits for lines must see it
            self.failure = error

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **options(self._settings),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        async with consumer:
            consumer.assign(self._places)
            while not self._stop.is_set():
                for place, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                    for record in records:
                        self._heard(place.partition, record.timestamp, record.value)
