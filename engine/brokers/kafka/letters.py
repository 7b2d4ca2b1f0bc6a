"""Reading a stream of outcomes to its present end, and messages into the input again: for people, not for workers."""

from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from config.cluster import ClusterSettings
from config.errors import StateError
from engine.brokers.kafka.connecting import options, reaching

POLL_MS = 200


async def read(settings: ClusterSettings, stream: str) -> list[bytes]:
    """Every line of a stream that is committed now, partition by partition, in order.

    Raises `StateError` if the topic is not there, or no broker answers.
    """
    topic = settings.topic(stream)
    n = await _partitions(settings, topic)
    consumer = AIOKafkaConsumer(
        **options(settings),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(n)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: dict[TopicPartition, list[bytes]] = {place: [] for place in places}
        waiting = set(places)
        while waiting:
            for place, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                found[place] += [r.value for r in records if r.offset < ends[place]]
            waiting = {p for p in waiting if await consumer.position(p) < ends[p]}
        return [line for place in places for line in found[place]]
    finally:
        await consumer.stop()


async def _partitions(settings: ClusterSettings, topic: str) -> int:
    admin = AIOKafkaAdminClient(**options(settings))
    with reaching(settings):
        await admin.start()
    try:
        there = await admin.list_topics()
        found = await admin.describe_topics([topic]) if topic in there else []
    finally:
        await admin.close()
    if not found:
        raise StateError(
            f"there is no topic {topic}",
            settings.brokers,
            fix="correct `prefix` and `brokers` under `cluster`, or start a worker, which creates it",
        )
    return len(found[0]["partitions"])


async def send(settings: ClusterSettings, messages: Sequence[tuple[int, bytes]]) -> None:
    """Write (partition, message) into the input topic; all of them are there when it returns."""
    async with AIOKafkaProducer(**options(settings), acks="all") as producer:
        waiting = [
            await producer.send(settings.input, message, partition=partition)
            for partition, message in messages
        ]
        for future in waiting:
            await future
