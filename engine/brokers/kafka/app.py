"""A worker of the cluster: Faust says which partitions are ours, the crew decides what is in them.

    assigned -> taken over by the crew (fence, newest snapshot) -> fetched from where it stands -> batches to its lane
    revoked  -> everything that was taken is decided and visible; who keeps the partition goes on, another takes it over
    SIGTERM  -> partitions are finished, each leaves a snapshot, then the worker leaves the group

Faust's agents write the slow topics into the input topic, under their keys.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP

from config.cluster import ClusterSettings
from engine.brokers.kafka.bulk import BulkApp
from engine.brokers.kafka.connecting import options
from engine.brokers.kafka.publisher import KafkaPublisher
from engine.cluster.crew import Crew
from engine.cluster.lane import Lane
from engine.cluster.partition import Partition
from engine.cluster.ports import Publisher

RECORDS_MAX = 4_096  # of one fetch of a partition
SESSION_S = 10.0
AGAIN_S = 1.0
TakeOver = Callable[[int, Lane, Publisher], Partition]


class Worker:
    """The application, and what connects it with the crew."""

    def __init__(self, settings: ClusterSettings, out: Path, take_over: TakeOver) -> None:
        self._settings, self._take_over = settings, take_over
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ours: set[int] = set()
        self.crew: Crew | None = None
        self.app = BulkApp(
            f"{settings.prefix}-workers",
            broker=f"kafka://{settings.brokers.replace(',', ';')}",
            store="memory://",
            datadir=str(out / "faust"),
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            broker_max_poll_records=RECORDS_MAX,
            broker_session_timeout=SESSION_S,
            broker_heartbeat_interval=SESSION_S / 4,
            web_enabled=False,
            **_credentials(settings),
        )
        self.app.input_topic = settings.input
        self.app.lanes = lambda: self.crew.lanes if self.crew is not None else {}
        topic = self.app.topic(settings.input, value_type=bytes, value_serializer="raw")
        self.app.agent(topic, name="input")(_never)
        for name in settings.slow:
            self._republish(name)
        self.app.on_partitions_assigned.connect(self._assigned)
        self.app.on_partitions_revoked.connect(self._revoked)
        self.app.on_before_shutdown.connect(self._leave)

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; gives the exit status."""
        worker = self.app.Worker(loglevel="WARN", redirect_stdouts=False, blocking_timeout=60.0)
        worker.execute_from_commandline()
        return 0

    def _republish(self, name: str) -> None:
        """Write each message of a slow topic into the input topic, under its key."""
        source = self.app.topic(name, key_type=bytes, value_type=bytes, value_serializer="raw")
        target = self.app.topic(
            self._settings.input, key_type=bytes, value_type=bytes, value_serializer="raw"
        )

        async def republish(stream: AsyncIterator[Any]) -> None:
            async for event in stream.events():  # type: ignore[attr-defined]
                await target.send(key=event.message.key, value=event.value)

        self.app.agent(source, name=f"republish-{name}")(republish)

    async def _assigned(self, _app: Any, assigned: set[TP], **_: Any) -> None:
        self._loop = asyncio.get_running_loop()
        if self.crew is None:
            self.crew = Crew(self._settings.input, self._open, self._lost)
        now = {tp.partition for tp in assigned if tp.topic == self._settings.input}
        gone, new = self._ours - now, now - self._ours
        self._ours = now
        if gone:
            await asyncio.wrap_future(self.crew.hand_on(gone))
        for number in sorted(new):
            self.app.add_future(self._begin(number))

    async def _begin(self, number: int) -> None:
        """Have a partition opened, then fetched from where it stands."""
        assert self.crew is not None
        lane = await asyncio.wrap_future(self.crew.take(number))
        tp = TP(self._settings.input, number)
        while number in self._ours:
            try:  # in the middle of a rebalance a partition cannot be sought yet
                if tp in self.app.consumer.assignment():
                    await self.app.consumer.seek_wait({tp: lane.next_offset})
                    self.crew.feed(number, lane)
                    return
            except (KafkaError, TimeoutError):
                pass
            await asyncio.sleep(AGAIN_S / 10)

    async def _revoked(self, *_: Any, **_more: Any) -> None:
        if self.crew is not None:
            await asyncio.wrap_future(self.crew.settle())

    async def _leave(self, *_: Any, **_more: Any) -> None:
        if self.crew is not None:
            await asyncio.wrap_future(self.crew.stop())

    def _open(self, number: int, lane: Lane) -> Partition:
        assert self._loop is not None
        return self._take_over(number, lane, KafkaPublisher(self._settings, number, self._loop))

    def _lost(self, number: int) -> None:
        """A partition was fenced, or its transaction failed: if it is still ours, it is taken over again."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(
            lambda: self.app.add_future(self._again(number)) if number in self._ours else None
        )

    async def _again(self, number: int) -> None:
        await asyncio.sleep(AGAIN_S)
        if number in self._ours:
            print(f"note: partition {number} is taken over again", file=sys.stderr)
            await self._begin(number)


async def _never(stream: AsyncIterator[Any]) -> None:
    """Subscribe the worker to the input topic; no message comes this way."""
    async for value in stream:
        raise AssertionError(f"a message took the slow path: {value[:40]!r}")


def _credentials(settings: ClusterSettings) -> dict[str, Any]:
    from faust import SASLCredentials, SSLCredentials

    given = options(settings)
    context = given.get("ssl_context")
    if settings.protocol.startswith("SASL"):
        return {
            "broker_credentials": SASLCredentials(
                username=settings.user,
                password=given["sasl_plain_password"],
                mechanism=settings.mechanism,
                ssl_context=context,
            )
        }
    return {"broker_credentials": SSLCredentials(context)} if context is not None else {}
