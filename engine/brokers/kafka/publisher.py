"""Outcomes of one partition into Kafka, each visible exactly once to readers of what is committed.

Lines, what the core sends itself, and the offset up to which this is true go into one transaction; the offset stands as
that of a consumer group of its own, PREFIX-published. The transactional id is that of the partition, so whoever begins
fences who was before, and a transaction that was under way is ended by the broker before `begin` returns.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.producer import sender

from config.cluster import ClusterSettings
from engine.brokers.kafka.connecting import options
from engine.cluster.ports import FencedError, NotTakenError, Own

OWED = "owed"  # the header that names the source of a label which a verdict gave
TICKED = "tick"  # the header of a tick
LINES_MAX = 10_000  # of one transaction
BATCH_BYTES = 1 << 18
TRANSACTION_MS = 15_000  # a worker that is halted for longer than that has lost its transaction
TRIES, AGAIN_S = 150, 0.2
# The broker says that a transaction is committed a few ms before it takes the next one; aiokafka would wait for 20 ms.
# Transactions back to back, on a loaded machine: 65 ms each with 20 ms, 43 with 2.
CONCURRENT_S = 0.002
sender.BACKOFF_OVERRIDE = CONCURRENT_S
CLOSE_S = 5.0  # what a fenced producer still holds will never go out
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Said:
    outcomes: Mapping[str, Sequence[bytes]]
    own: Sequence[Own]
    upto: int
    n: int


class KafkaPublisher:
    """A `Publisher`; called from another thread than that of `loop`, which does the work."""

    def __init__(
        self, settings: ClusterSettings, partition: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._settings, self._partition, self._loop = settings, partition, loop
        self._said: deque[_Said] = deque()
        self._producer: AIOKafkaProducer | None = None
        self._pump: asyncio.Task[None] | None = None
        self._more, self._done = asyncio.Event(), asyncio.Event()
        self._n = 0
        self._is_fenced = False

    def begin(self) -> int:
        try:
            return self._wait(self._begin())
        except (KafkaError, TimeoutError) as error:
            self.close()
            raise NotTakenError(f"{type(error).__name__}: {error}") from None

    def publish(
        self, outcomes: Mapping[str, Sequence[bytes]], own: Sequence[Own], upto: int
    ) -> None:
        if self._is_fenced:
            raise FencedError
        n = sum(len(lines) for lines in outcomes.values()) + len(own)
        self._n += n + 1
        self._said.append(_Said(outcomes, own, upto, n + 1))
        self._loop.call_soon_threadsafe(self._more.set)

    @property
    def backlog(self) -> int:
        return self._n

    def settle(self) -> None:
        self._wait(self._settle())

    def close(self) -> None:
        self._wait(self._close())

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # ------------------------------------------------------------ in the loop

    async def _begin(self) -> int:
        settings = self._settings
        self._producer = AIOKafkaProducer(
            **options(settings),
            transactional_id=f"{settings.prefix}-{self._partition}",
            transaction_timeout_ms=TRANSACTION_MS,
            acks="all",
            max_batch_size=BATCH_BYTES,
        )
        await self._producer.start()
        place = TopicPartition(settings.input, self._partition)
        admin = AIOKafkaAdminClient(**options(settings))
        await admin.start()
        try:
            found = await self._published(admin, place)
        finally:
            await admin.close()
        self._pump = self._loop.create_task(self._run())
        told = found.get(place)
        return max(0, told.offset) if told is not None else 0

    async def _published(self, admin: AIOKafkaAdminClient, place: TopicPartition) -> Any:
        """What the group has committed; a broker that has just started finds its coordinator a moment later."""
        for left in reversed(range(TRIES)):
            try:
                return await admin.list_consumer_group_offsets(self._group, partitions=[place])
            except KafkaError as error:
                if not (error.retriable and left):
                    raise
                await asyncio.sleep(AGAIN_S)
        raise AssertionError

    @property
    def _group(self) -> str:
        return f"{self._settings.prefix}-published"

    async def _run(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._said and not self._is_fenced:
                taken = [self._said.popleft()]
                n = taken[0].n
                while self._said and n + self._said[0].n <= LINES_MAX:
                    taken.append(self._said.popleft())
                    n += taken[-1].n
                try:
                    await self._commit(taken)
                finally:
                    self._n -= n
                    self._done.set()

    async def _commit(self, taken: Sequence[_Said]) -> None:
        """One transaction. If it fails, this publisher is done: whoever begins next sees how far things are."""
        producer = self._producer
        assert producer is not None
        place = TopicPartition(self._settings.input, self._partition)
        try:
            await producer.begin_transaction()
            await self._send(producer, taken)
            # not before the lines are written: the broker looks up the transaction of each, and while it is being
            # changed it refuses them, and they are sent again 100 ms later
            await producer.send_offsets_to_transaction({place: taken[-1].upto}, self._group)
            await producer.commit_transaction()
        except (
            Exception
        ) as error:  # whatever it was: what is here is stale, and nobody may wait for it
            self._is_fenced = True
            if not isinstance(error, KafkaError):
                raise

    async def _send(self, producer: AIOKafkaProducer, taken: Sequence[_Said]) -> None:
        lines: dict[str, list[tuple[bytes, list[tuple[str, bytes]]]]] = {}
        for said in taken:
            for stream, some in said.outcomes.items():
                lines.setdefault(self._settings.topic(stream), []).extend((s, []) for s in some)
            for own in said.own:
                headers = [(OWED, own.owed.encode())] if own.owed else []
                headers += [(TICKED, b"")] if own.is_tick else []
                lines.setdefault(self._settings.input, []).append((own.line, headers))
        sent: list[asyncio.Future[Any]] = []

        async def send(topic: str, batch: Any) -> None:
            batch.close()
            future = await producer.send_batch(batch, topic, partition=self._partition)
            future.add_done_callback(_heard)
            sent.append(future)

        for topic, messages in lines.items():
            batch = producer.create_batch()
            for line, headers in messages:
                if batch.append(key=None, value=line, timestamp=None, headers=headers) is None:
                    await send(topic, batch)
                    batch = producer.create_batch()
                    batch.append(key=None, value=line, timestamp=None, headers=headers)
            await send(topic, batch)
        await asyncio.gather(*sent)

    async def _settle(self) -> None:
        while self._n and not self._is_fenced:
            self._done.clear()
            await self._done.wait()
        if self._is_fenced:
            raise FencedError

    async def _close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        if self._producer is not None:
            producer, self._producer = self._producer, None
            with suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(producer.stop(), CLOSE_S)


def _heard(future: "asyncio.Future[Any]") -> None:
    """Take note of a failure that the transaction around it has told already."""
    if not future.cancelled():
        future.exception()
