"""Messages of slow topics into the input, each once: what a worker does beside deciding, in its broker's loop.

A label that stood there twice would do no harm, but an order of people would: so what is written and how far the slow
topic was read are one transaction. Its id is that of the partition of the slow topic (PREFIX-slow-TOPIC-N): whoever is
given the partition ends what the one before had under way, and only then looks where to go on. Faust's agents keep
their place apart from what they send, hence a group of its own, PREFIX-slow.

Keys are kept, so a message goes to the partition of its account. Headers are not: nobody outside writes ticks.
"""

import asyncio
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from config.cluster import ClusterSettings
from engine.brokers.kafka.calm import Notes
from engine.brokers.kafka.connecting import METADATA_MS, options
from engine.brokers.kafka.final import final_offset

POLL_MS = 200
AGAIN_S = 1.0
CLOSE_S = 5.0
RECORDS_MAX = 500  # of one transaction
TRANSACTION_MS = 15_000
BEGIN_S = 60.0  # of one partition; aiokafka asks for ever, in silence, while the broker ends what was under way


class SlowTopics:
    """Runs until it is cancelled; several workers share the partitions."""

    def __init__(self, settings: ClusterSettings, notes: Notes) -> None:
        self._settings, self._notes = settings, notes
        self._producers: dict[TopicPartition, AIOKafkaProducer] = {}
        self._lock = asyncio.Lock()  # a rebalance waits for a transaction, and a transaction for it
        self._term = 0  # counts rebalances
        self.failure: Exception | None = None  # of the last

    async def run(self) -> None:
        while True:
            try:
                await self._copy()
            except (KafkaError, TimeoutError, OSError) as error:
                what = f"note: slow topics wait: {type(error).__name__}: {error}"
                self._notes.say("slow topics", what)
                await asyncio.sleep(AGAIN_S)

    async def _copy(self) -> None:
        """Be a member of the group, and write what comes, until something fails: then everything begins anew."""
        session_ms = round(self._settings.session_s * 1e3)
        consumer = AIOKafkaConsumer(
            **options(self._settings),
            group_id=self._group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            metadata_max_age_ms=METADATA_MS,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 4,
        )
        await consumer.start()
        try:
            consumer.subscribe(self._settings.slow, listener=_Owned(self, consumer))
            while True:
                found = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)
                if self.failure is not None:  # what was found may have been written already
                    error, self.failure = self.failure, None
                    raise error
                term = self._term
                for place, records in found.items():
                    async with self._lock:
                        if self._term == term:  # else they are fetched again, by whoever has them
                            await self._write(place, records)
        finally:
            await consumer.stop()
            await self.close()

    @property
    def _group(self) -> str:
        return f"{self._settings.prefix}-slow"

    async def _write(self, place: TopicPartition, records: Sequence[Any]) -> None:
        try:
            await self._transact(place, records, records[-1].offset + 1)
        except MessageSizeTooLargeError as error:
            if len(records) > 1:
                for record in records:
                    await self._write(place, [record])
                return
            upto = records[0].offset + 1
            print(
                f"warning: {place.topic}/{place.partition}@{upto - 1} is too large for {self._settings.input}, "
                f"and is left where it stands: {error}",
                file=sys.stderr,
            )
            await self._transact(place, (), upto)

    async def _transact(self, place: TopicPartition, records: Iterable[Any], upto: int) -> None:
        """One transaction: these messages, and that everything below `upto` was read."""
        producer = self._producers[place]
        async with producer.transaction():
            sent = [
                await producer.send(self._settings.input, record.value, key=record.key)
                for record in records
            ]
            await asyncio.gather(*sent)
            await producer.send_offsets_to_transaction({place: upto}, self._group)

    async def take(self, consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> None:
        """Become the one who writes what stands in `places`: end what anybody else has under way, then look where."""
        async with self._lock:
            try:
                for place, offset in (await self._begin(places)).items():
                    consumer.seek(place, offset)
            finally:
                # What was fetched until now may have been written by the one before: it counts no more, and is fetched
                # again, for all are sought in this very moment. A partition that was sought while the next were still
                # being begun lost what was fetched from it meanwhile.
                self._term += 1

    async def _begin(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """A producer for each, and what comes next there."""
        offsets = {}
        admin = AIOKafkaAdminClient(**options(self._settings))
        await admin.start()
        try:
            for place in places:
                async with asyncio.timeout(BEGIN_S):
                    self._producers[place] = self._producer(place)
                    await self._producers[place].start()
                    offsets[place], _ = await final_offset(admin, self._group, place)
        finally:
            await admin.close()
        return offsets

    def _producer(self, place: TopicPartition) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **options(self._settings),
            transactional_id=f"{self._settings.prefix}-slow-{place.topic}-{place.partition}",
            transaction_timeout_ms=TRANSACTION_MS,
            acks="all",
        )

    async def close(self) -> None:
        """Write nothing any more."""
        async with self._lock:
            self._term += 1
            while self._producers:
                _, producer = self._producers.popitem()
                with suppress(TimeoutError, KafkaError):
                    await asyncio.wait_for(producer.stop(), CLOSE_S)


class _Owned(ConsumerRebalanceListener):
    """Passes on what the group says."""

    def __init__(self, slow: SlowTopics, consumer: AIOKafkaConsumer) -> None:
        self._slow, self._consumer = slow, consumer

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 - as aiokafka has it
        await self._slow.close()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        try:
            await self._slow.take(self._consumer, assigned)
        except (KafkaError, TimeoutError, OSError) as error:  # aiokafka would only log it
            self._slow.failure = error
