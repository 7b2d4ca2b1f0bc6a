"""Outcomes of a cluster, for the one process of several that carries them out (engine/cluster/carrier.py).

Who it is, the consumer group PREFIX-outlets decides: whoever is given partition 0 of the commands reads all partitions,
of all streams, by a consumer without a group. The others wait. Offsets are kept by who reads, not by Kafka.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from config.cluster import ClusterSettings
from config.errors import StateError
from engine.brokers.kafka.connecting import options
from engine.cluster.ports import NotTakenError
from engine.cluster.topic_tail import TopicTail

POLL_MS = 100
AGAIN_S = 1.0
CLOSE_S = 5.0
LEADING = 0  # the partition of the commands that says who carries out
Result = TypeVar("Result")


class KafkaOutcomes:
    """Implements `Outcomes`, in a loop in a thread of its own, while it is entered.

    leads : whether this process is the one
    terms : how often it has become that
    """

    def __init__(self, settings: ClusterSettings, n_partitions: int) -> None:
        self._settings, self._n = settings, n_partitions
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka", daemon=True)
        self._producer: AIOKafkaProducer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.leads, self.terms = False, 0
        self.failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._begin())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def follow(self, streams: Sequence[str]) -> "KafkaFollowing":
        try:
            return self._wait(self._follow(streams))
        except (KafkaError, TimeoutError) as error:
            raise NotTakenError(f"{type(error).__name__}: {error}") from None

    def answer(self, partition: int, line: bytes, done: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(self._spawn, self._answer(partition, line, done))

    def call(self, work: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Have the loop do something."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.call(work).result()

    # ------------------------------------------------------------ in the loop

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)  # a task that nobody holds may be collected
        task.add_done_callback(self._tasks.discard)

    async def _begin(self) -> None:
        self._producer = AIOKafkaProducer(
            **options(self._settings), acks="all", enable_idempotence=True
        )
        await self._producer.start()
        self._spawn(self._belong())

    async def _end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._producer is not None:
            with suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(self._producer.stop(), CLOSE_S)

    async def _belong(self) -> None:
        """Be a member of the group, whatever becomes of the connection."""
        try:
            while True:
                try:
                    await self._be_member()
                except (KafkaError, OSError):
                    self.leads = False
                    await asyncio.sleep(AGAIN_S)
        except Exception as error:  # noqa: BLE001 - whoever waits for the lead must hear of it
            self.failure = error
        finally:
            self.leads = False

    async def _be_member(self) -> None:
        session_ms = round(self._settings.session_s * 1e3)
        member = AIOKafkaConsumer(
            **options(self._settings),
            group_id=f"{self._settings.prefix}-outlets",
            enable_auto_commit=False,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 4,
        )
        await member.start()
        try:
            member.subscribe([self._settings.topic("commands")], listener=_Lead(self, member))
            while True:  # of what is assigned nothing is fetched; being asked keeps the membership
                await member.getmany(timeout_ms=POLL_MS)
        finally:
            await member.stop()

    async def _follow(self, streams: Sequence[str]) -> "KafkaFollowing":
        consumer = AIOKafkaConsumer(
            **options(self._settings),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
        )
        try:
            await consumer.start()
            places = {
                TopicPartition(self._settings.topic(stream), number): stream
                for stream in streams
                for number in range(self._n)
            }
            consumer.assign(list(places))
            begins = await consumer.beginning_offsets(list(places))
            ends = await consumer.end_offsets(list(places))
        except BaseException:
            await consumer.stop()
            raise
        tails = {p: TopicTail(p.topic, p.partition, begins[p], ends[p]) for p in places}
        named = {s: [tail for p, tail in tails.items() if places[p] == s] for s in streams}
        return KafkaFollowing(self, consumer, tails, named)

    async def _answer(self, partition: int, line: bytes, done: Callable[[], None]) -> None:
        assert self._producer is not None
        while True:
            try:
                await self._producer.send_and_wait(self._settings.input, line, partition=partition)
                break
            except (
                KafkaError
            ):  # it may stand there all the same: an answer that is told twice changes nothing
                await asyncio.sleep(AGAIN_S)
        done()


class _Lead(ConsumerRebalanceListener):
    """Notes who leads."""

    def __init__(self, outcomes: KafkaOutcomes, member: AIOKafkaConsumer) -> None:
        self._outcomes, self._member = outcomes, member

    async def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 - as aiokafka has it
        self._outcomes.leads = False

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._member.pause(*assigned)
        if any(place.partition == LEADING for place in assigned):
            self._outcomes.terms += 1
            self._outcomes.leads = True


class KafkaFollowing:
    """Implements `Following`."""

    def __init__(
        self,
        outcomes: KafkaOutcomes,
        consumer: AIOKafkaConsumer,
        tails: Mapping[TopicPartition, TopicTail],
        named: Mapping[str, Sequence[TopicTail]],
    ) -> None:
        self._outcomes, self._consumer, self._by_place = outcomes, consumer, tails
        self.tails = named
        self.failure: BaseException | None = None
        self._task: Future[None] | None = None

    def begin(self) -> None:
        self._task = self._outcomes.call(self._run())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._outcomes.call(self._consumer.stop()).result()

    async def _run(self) -> None:
        for place, tail in self._by_place.items():
            self._consumer.seek(place, tail.at)
        while True:
            try:
                await self._fetch()
            except OffsetOutOfRangeError as error:
                self.failure = _gone(error)
                return
            except KafkaError:
                await asyncio.sleep(AGAIN_S)
            except Exception as error:  # noqa: BLE001 - whoever follows must hear of it
                self.failure = error
                return

    async def _fetch(self) -> None:
        """Hand over what has come; of what nobody reads for the moment nothing more is fetched."""
        open_ = [place for place, tail in self._by_place.items() if not tail.is_full]
        if not open_:
            await asyncio.sleep(POLL_MS / 1e3)
            return
        found = await self._consumer.getmany(*open_, timeout_ms=POLL_MS)
        for place, tail in self._by_place.items():
            lines = [(r.offset, r.value) for r in found.get(place, ())]
            at = await self._consumer.position(place)
            tail.put(lines, at, self._consumer.last_stable_offset(place) or 0)


def _gone(error: OffsetOutOfRangeError) -> StateError:
    return StateError(
        f"outcomes that were not read yet are gone: {error}",
        why="commands that nobody carried out, or the end of a restriction, would be missing in silence",
        fix="start again, which tells where; give the topics a longer retention.ms",
    )
