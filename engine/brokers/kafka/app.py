"""A worker of the cluster: Faust says which partitions are ours, the crew decides what is in them.

    assigned -> taken over by the crew (fence, newest snapshot) -> fetched from where it stands -> batches to its lane
    revoked  -> everything that was taken is decided and visible; who keeps the partition goes on, another takes it over
    SIGTERM  -> partitions are finished, each leaves a snapshot, then the worker leaves the group
    failure  -> what ends the crew (a full disk, a broken invariant) ends the worker: others take its partitions

Beside that it writes its share of the slow topics into the input (slow.py).
"""

import asyncio
import faulthandler
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.types import TP

from config.cluster import ClusterSettings
from config.errors import StateError
from engine.brokers.kafka.bulk import BulkApp
from engine.brokers.kafka.calm import Notes, calm
from engine.brokers.kafka.connecting import METADATA_MS, options, reaching
from engine.brokers.kafka.desk import Desk
from engine.brokers.kafka.publisher import KafkaPublisher
from engine.brokers.kafka.slow import SlowTopics
from engine.clock import Clock, SystemClock
from engine.cluster.crew import Crew
from engine.cluster.lane import Lane
from engine.cluster.partition import Partition
from engine.cluster.ports import NotTakenError, Publisher
from engine.cluster.shared_lists import Shared
from engine.garbage import leaving_out, rare_collection
from engine.metrics import Metrics

RECORDS_MAX = 4_096  # of one fetch of a partition
AGAIN_S = 1.0
BEAT_S = 1.0
STUCK_S = 300.0  # without a sign of life of the loop or the crew; opening a large partition takes some seconds
LEAVE_S = 300.0  # after SIGTERM; what is not published by then is published by the next owners
EXIT_STUCK = 3
# How long the loop waits for the thread that decides, at every answer of a broker; there are five to a transaction.
SWITCH_S = 0.0005
TakeOver = Callable[[int, Lane, Publisher], Partition]


class Worker:
    """The application, and what connects it with the crew."""

    def __init__(
        self,
        settings: ClusterSettings,
        out: Path,
        take_over: TakeOver,
        metrics: Metrics | None = None,
        clock: Clock | None = None,
        shared: Callable[[], Mapping[str, Shared]] = dict,
    ) -> None:
        self._shared = shared
        self._settings, self._take_over = settings, take_over
        self._clock = SystemClock() if clock is None else clock
        self._notes = Notes(self._clock)
        self.metrics = Metrics(self._clock) if metrics is None else metrics
        self._beat_ns = self._clock.monotonic_ns()
        self._is_leaving = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ours: set[int] = set()
        self.crew: Crew | None = None
        self._desk: Desk | None = None
        self._slow: asyncio.Task[None] | None = None
        self._publishers: dict[int, KafkaPublisher] = {}
        self.failure: BaseException | None = None  # what ended the crew
        self.app = BulkApp(
            f"{settings.prefix}-workers",
            broker=f"kafka://{settings.brokers.replace(',', ';')}",
            store="memory://",
            datadir=str(out / "faust"),
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            broker_max_poll_records=RECORDS_MAX,
            broker_session_timeout=settings.session_s,
            broker_heartbeat_interval=settings.session_s / 4,
            consumer_metadata_max_age_ms=METADATA_MS,
            web_enabled=False,
            **_credentials(settings),
        )
        self.app.input_topic = settings.input
        self.app.lanes = lambda: self.crew.lanes if self.crew is not None else {}
        self.app.stopping = self._stopping
        topic = self.app.topic(settings.input, value_type=bytes, value_serializer="raw")
        self.app.agent(topic, name="input")(_never)
        self.app.on_partitions_assigned.connect(self._assigned)
        self.app.on_partitions_revoked.connect(self._revoked)
        self.app.on_before_shutdown.connect(self._leave)
        self.app.timer(interval=BEAT_S)(self._beat)
        self._show()

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; gives the exit status. Raises what ended the crew, if something did."""
        # without Faust's detector of a blocked loop: its alarm raises wherever the main thread is, and 2 s of delay are
        # enough for it after a minute; `unhealthy` tells of a loop that is stuck
        worker = self.app.Worker(loglevel="WARN", redirect_stdouts=False)
        calm(self._notes)
        status: int | str | None = 0
        before_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            with rare_collection():
                worker.execute_from_commandline()
        except SystemExit as over:
            status = over.code
        finally:
            sys.setswitchinterval(before_s)
        if self.failure is not None:
            raise self.failure
        if status and isinstance(self.app.crash_reason, KafkaConnectionError):
            with reaching(self._settings):
                raise self.app.crash_reason
        return int(status or 0)

    def unhealthy(self) -> str:
        """Why this worker should be started anew; "" if it should not. From any thread."""
        if self.failure is not None:
            return f"the worker has failed: {self.failure}"
        now_ns = self._clock.monotonic_ns()
        seen = {"the loop": self._beat_ns}
        if self.crew is not None and not self._is_leaving:
            seen["the crew"] = self.crew.seen_ns
        for who, seen_ns in seen.items():
            if now_ns - seen_ns > STUCK_S * 1e9:
                return f"{who} has given no sign for {(now_ns - seen_ns) / 1e9:.0f} s"
        return ""

    def unready(self) -> str:
        """Why this worker does not decide everything that is its own at the moment; "" if it does. From any thread."""
        if self._is_leaving:
            return "the worker is leaving"
        if self.crew is None:
            return "the worker has not joined its group yet"
        opening = sorted(self._ours - self.crew.lanes.keys())
        if opening:
            return f"being taken over: partition {', '.join(map(str, opening))}"
        return ""

    async def _beat(self) -> None:
        self._beat_ns = self._clock.monotonic_ns()

    def _stopping(self) -> None:
        self._is_leaving = True
        _end_in_time()

    def _show(self) -> None:
        """Have the metrics mirror what is ours."""

        def of_lanes(read: Callable[[int, Lane], float]) -> dict[str, float]:
            lanes = dict(self.crew.lanes) if self.crew is not None else {}
            return {str(number): read(number, lane) for number, lane in sorted(lanes.items())}

        def lag(number: int, lane: Lane) -> float:
            behind: int = self.app.consumer.lag(TP(self._settings.input, number))
            return behind + len(lane)

        def are_open() -> dict[str, float]:
            lanes = self.crew.lanes if self.crew is not None else {}
            return {str(number): float(number in lanes) for number in sorted(self._ours)}

        def waiting() -> dict[str, float]:
            told = self.crew.waiting() if self.crew is not None else {}
            return {str(number): float(n) for number, n in sorted(told.items())}

        self.metrics.show_worker(are_open, lambda: of_lanes(lag), waiting)

    async def _assigned(self, _app: Any, assigned: set[TP], **_: Any) -> None:
        self._loop = asyncio.get_running_loop()
        if self.crew is None:
            self.crew = Crew(
                self._settings.input,
                self._open,
                self._lost,
                self._failed,
                self._clock,
                self._shared,
            )
            self._desk = Desk(self._settings, self._loop)
            if self._settings.slow:
                self._slow = self._loop.create_task(SlowTopics(self._settings, self._notes).run())
                self._slow.add_done_callback(self._slow_ended)
        self.metrics.rebalanced()
        now = {tp.partition for tp in assigned if tp.topic == self._settings.input}
        gone, new = self._ours - now, now - self._ours
        self._ours = now
        for number in sorted(now - new):
            self.app.add_future(self._keep(number))
        if gone:
            await asyncio.wrap_future(self.crew.hand_on(gone))
        for number in sorted(new):
            self.app.add_future(self._begin(number))

    async def _begin(self, number: int) -> None:
        """Have a partition opened, then fetched from where it stands."""
        assert self.crew is not None
        began_ns = self._clock.monotonic_ns()
        try:
            lane = await asyncio.wrap_future(self.crew.take(number))
        except NotTakenError as error:
            if number in self._ours and not self.app.should_stop:
                self._notes.say(
                    f"taking {number}", f"note: partition {number} is not taken yet: {error}"
                )
                self.app.add_future(self._again(number))
            return
        tp = TP(self._settings.input, number)
        while number in self._ours:
            try:  # in the middle of a rebalance a partition cannot be sought yet
                if tp in self.app.consumer.assignment():
                    if not await self._has_all(tp, lane):
                        return
                    await self.app.consumer.seek_wait({tp: lane.next_offset})
                    self.crew.feed(number, lane)
                    took_s = (self._clock.monotonic_ns() - began_ns) / 1e9
                    self.metrics.took_over(took_s)
                    return
            except (KafkaError, TimeoutError):
                pass
            await asyncio.sleep(AGAIN_S / 10)

    async def _keep(self, number: int) -> None:
        """Go on with a partition that stays ours: claim again what `_revoked` let go."""
        assert self.crew is not None
        if number in self._publishers:
            await self._publishers[number].keep()
        if number in self.crew.lanes:
            self.crew.lanes[number].is_held = False

    async def _has_all(self, tp: TP, lane: Lane) -> bool:
        """Whether the topic still has what comes next; if retention has removed it, the worker ends."""
        first = (await self.app.consumer.earliest_offsets(tp))[tp]
        if first > lane.next_offset > 0:
            self._failed(gap(tp, lane.next_offset, first))
            return False
        if first > lane.next_offset:
            print(f"note: partition {tp.partition} begins at offset {first}", file=sys.stderr)
        return True

    async def _revoked(self, *_: Any, **_more: Any) -> None:
        """Until it is known who has what: all is visible, nothing more is decided, nobody fences this worker."""
        if self.crew is None or self._desk is None:
            return
        for lane in self.crew.lanes.values():
            lane.is_held = True
        await asyncio.wrap_future(self.crew.settle())
        await self._desk.release()

    def _slow_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    async def _leave(self, *_: Any, **_more: Any) -> None:
        if self._slow is not None:
            self._slow.cancel()
            await asyncio.wait([self._slow])
        if (
            self.crew is not None
        ):  # if it fails, `_failed` knows; the rest has to be stopped all the same
            await asyncio.wait([asyncio.wrap_future(self.crew.stop())])
        if self._desk is not None:
            await self._desk.stop()

    def _open(self, number: int, lane: Lane) -> Partition:
        assert self._desk is not None
        self._publishers[number] = KafkaPublisher(self._desk, number)
        with leaving_out():
            return self._take_over(number, lane, self._publishers[number])

    def _lost(self, number: int) -> None:
        """A partition was fenced, or its transaction failed: if it is still ours, it is taken over again."""
        self.metrics.lost_partition()
        self._tell(
            lambda: self.app.add_future(self._again(number)) if number in self._ours else None
        )

    def _failed(self, error: BaseException) -> None:
        """The crew has ended: so does the worker, for nothing is decided any more while the group counts on it."""
        self.failure = error
        self._tell(lambda: self.app.add_future(self._crash(error)))

    async def _crash(self, error: BaseException) -> None:
        await self.app.crash(error)

    def _tell(self, what: Callable[[], object]) -> None:
        """Have something done by the loop; nothing where it is closed already."""
        assert self._loop is not None
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what)

    async def _again(self, number: int) -> None:
        await asyncio.sleep(AGAIN_S)
        if number in self._ours:
            self._notes.say(f"again {number}", f"note: partition {number} is taken over again")
            await self._begin(number)


def _end_in_time() -> None:
    """Have a worker that cannot leave, such as one without a broker, ended some time after it was asked to."""
    end = threading.Timer(LEAVE_S, _end_stuck)
    end.daemon = True
    end.start()


def _end_stuck() -> None:
    """Nothing is lost that the topic holds."""
    print("error: the worker does not end in order; it is ended", file=sys.stderr)
    faulthandler.dump_traceback()
    os._exit(EXIT_STUCK)


def gap(tp: TP, wanted: int, first: int) -> StateError:
    """Retention was shorter than the workers were away."""
    return StateError(
        f"records from offset {wanted} on are gone, the topic begins at {first}",
        f"{tp.topic}/{tp.partition}",
        why="what they held was never decided, and every window would lack it in silence",
        fix="write those messages into the topic again, remove the folder of this partition to begin anew with what is "
        "there, and give the topic a longer retention.ms",
    )


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
