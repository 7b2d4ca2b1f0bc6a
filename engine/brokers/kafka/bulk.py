"""Whole fetched batches out of a Faust worker, before its streams see them: 60 times as many messages a second.

Everything here reaches into Faust: `_wait_next_records`, `_getmany`, `_create_worker_consumer`, `_read_offset`,
`seek_to_committed`, `_new_transport`. The version is pinned, and tests/integration/test_kafka.py fails when Faust
changes under it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import faust
from aiokafka.consumer.fetcher import Fetcher
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from engine.brokers.kafka.desk import OWED, TICKED
from engine.cluster.lane import Lane
from engine.cluster.ports import Record

IDLE_S, FETCH_S = 0.01, 0.1
# At 1,000 messages a second and 8 partitions: p99 to the decision 148 ms with 5 ms, 110 with 10, 83 to 114 with 15.
GATHER_MS, GATHER_EACH_MS, GATHER_MS_MAX = 5, 2, 20  # at least, for each partition, at most
GATHER_BYTES = 1 << 16
PATIENCE_MS = 1_500  # of a fetch where nothing comes


class GatheringFetcher(Fetcher):
    """While records come, the broker gathers them for a moment before it answers.

    Else every fetch brings two or three, and each costs worker and broker as much as one of a hundred. What it brings
    is decided partition by partition, so more of them gather for longer.
    """

    is_gathering = False  # the next fetch follows one that brought something

    def _get_actions_per_node(self, assignment: Any) -> Any:
        gather_ms = min(GATHER_MS_MAX, max(GATHER_MS, GATHER_EACH_MS * len(assignment.tps)))
        told = (GATHER_BYTES, gather_ms) if self.is_gathering else (1, PATIENCE_MS)
        self._fetch_min_bytes, self._fetch_max_wait_ms = told
        actions = super()._get_actions_per_node(assignment)
        if actions[0]:
            self.is_gathering = False
        return actions

    async def fetched_records(self, *told: Any, **more: Any) -> Any:
        # the fetch that this makes room for is put together after it returns
        records = await super().fetched_records(*told, **more)
        self.is_gathering |= bool(records)
        return records


class BulkThread(driver.AIOKafkaConsumerThread):
    """Faust's fetching thread, which sees what is committed only: a fenced worker's ticks never were."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - Faust sets it for its own transactions only
        return consumer

    async def on_start(self) -> None:
        await super().on_start()
        assert self._consumer is not None
        self._consumer._fetcher.__class__ = GatheringFetcher  # noqa: SLF001


class BulkConsumer(driver.Consumer):
    """Faust's consumer: records of the input topic go to the lanes of open partitions, others to its streams."""

    def _new_consumer_thread(self) -> BulkThread:
        return BulkThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - as Faust has it
    ) -> Any:
        """Fetch nothing for a partition that is being opened, or whose engine is behind."""
        app = self.app
        wanted = {
            tp
            for tp in active_partitions or ()
            if tp.topic != app.input_topic or app.wants(tp.partition)
        }
        if not wanted:
            await asyncio.sleep(IDLE_S)
            return {}
        # a partition that is opened meanwhile is fetched the next time
        return await super()._getmany(wanted, min(timeout, FETCH_S))

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - as Faust has it
        app = self.app
        records, active = await super()._wait_next_records(timeout)
        for tp in [tp for tp in records or () if tp.topic == app.input_topic]:
            batch = records.pop(tp)
            self._read_offset[tp] = batch[-1].offset
            lane = app.lanes().get(tp.partition)
            if lane is not None:
                lane.put([record_of(r) for r in batch])
        return records, active

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """After a rebalance: partitions that are still ours go on where their lanes are, not where a group stood."""
        offsets = dict(await super().seek_to_committed())
        ours = {
            tp: lane.next_offset
            for number, lane in self.app.lanes().items()
            if (tp := TP(self.app.input_topic, number)) in self.assignment()
        }
        if ours:
            await self.seek_wait(ours)
        return {**offsets, **ours}

    def lag(self, tp: TP) -> int:
        """Records that are in a partition and not fetched yet, as the last fetch told; 0 before the first."""
        consumer = self._thread._consumer  # noqa: SLF001 - Faust has its own only for its transactions
        told = consumer._subscription.subscription if consumer is not None else None  # noqa: SLF001
        state = told.assignment.state_value(tp) if told is not None and told.assignment else None
        if state is None or state.highwater is None or not state.has_valid_position:
            return 0
        return max(0, int(state.highwater) - int(state.position))


def record_of(record: Any) -> Record:
    """Whatever stands in a topic: without a value it is an empty message, which becomes a dead letter.

    record : as aiokafka reads it
    """
    if not record.headers:
        return Record(record.offset, record.value or b"", record.timestamp * 1_000)
    owed = next((value for name, value in record.headers if name == OWED), None) or b""
    return Record(
        record.offset,
        record.value or b"",
        record.timestamp * 1_000,
        owed.decode(errors="replace"),
        any(name == TICKED for name, _ in record.headers),
    )


class BulkTransport(driver.Transport):
    """Faust's Kafka, with that consumer."""

    Consumer = BulkConsumer


class BulkApp(faust.App):
    """A Faust application with a bulk lane for `input_topic`.

    lanes    : the lanes of partitions that are open, by number
    stopping : told once that the application begins to stop
    """

    input_topic: str
    lanes: Callable[[], Mapping[int, Lane]]
    stopping: Callable[[], None]

    async def on_stop(self) -> None:
        self.stopping()
        await super().on_stop()

    def wants(self, partition: int) -> bool:
        """Whether a partition can take more."""
        lane = self.lanes().get(partition)
        return lane is not None and not lane.is_full

    def _new_transport(self) -> BulkTransport:
        return BulkTransport(self.conf.broker_consumer, self)
