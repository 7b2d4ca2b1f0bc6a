"""The desk of a worker: one transaction after the other, each over all of its partitions; and who publishes for which.

A transaction costs some ten requests and writes of the broker, however few lines are in it: one for each of eight
partitions took more of two cores than deciding did. What fences a worker that was thought dead:

- Every partition has a transactional id, `PREFIX-N`. Whoever claims the partition begins it anew, so of two that claim
  it at once only the later one can finish.
- A claim reads up to where outcomes are visible, and the name of the desk that stands beside. It fences that desk:
  begins the id of that name anew, so what the desk has under way is visible or never will be. Then it reads again.
- Then the claim is committed under `PREFIX-N`: the same offset, with the name of the desk that claims.

A desk publishes only for partitions under its name, and writes its name with every offset. So whoever may publish for a
partition is the one desk that is named there, and the next owner fences that one before anything else.

A desk that lets partitions go in good order writes no name, and is not fenced: it goes on with others.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalOperation, KafkaError
from aiokafka.structs import OffsetAndMetadata

from config.cluster import ClusterSettings
from engine.brokers.kafka.connecting import options
from engine.brokers.kafka.final import final_offset
from engine.brokers.kafka.transacting import Producer
from engine.clock import random_bytes
from engine.cluster.ports import FencedError, NotTakenError, Own

OWED = "owed"  # the header that names the source of a label which a verdict gave
TICKED = "tick"  # the header of a tick
LINES_MAX = 10_000  # of one transaction, but for its last part
BATCH_BYTES = 1 << 18
TRANSACTION_MS = 15_000  # a worker that is halted for longer than that has lost its transaction
LINGER_S = 0.002
CLOSE_S = 5.0  # what a fenced producer still holds will never go out


@dataclass(frozen=True, slots=True)
class Said:
    """What a publisher was told at once; `n` for the backlog."""

    outcomes: Mapping[str, Sequence[bytes]]
    own: Sequence[Own]
    upto: int
    n: int


@dataclass(slots=True)
class Place:
    """One partition at the desk. `said` and `n_said` are written by another thread, everything else by the loop.

    visible     : the input offset from which on outcomes are not visible yet
    n_said      : lines that were said, and `n_done` those that are visible or never will be
    is_released : what is said waits until the partition is claimed again
    is_fenced   : what is said will never be visible
    """

    number: int
    said: "deque[Said]" = field(default_factory=deque)
    visible: int = 0
    n_said: int = 0
    n_done: int = 0
    is_released: bool = False
    is_fenced: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def fence(self) -> None:
        """Nothing more goes out from here."""
        self.is_fenced = True
        self.done.set()


class Desk:
    """Everything but `wake` is called in the loop, whose thread is not the publishers'."""

    def __init__(self, settings: ClusterSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._settings, self.loop = settings, loop
        self._name = ""
        self._producer: Producer | None = None
        self._pump: asyncio.Task[None] | None = None
        self._held: dict[int, Place] = {}
        self._gone: set[str] = set()  # names of desks that are fenced; none is ever used again
        self._more = asyncio.Event()
        self._opening, self._transacting = asyncio.Lock(), asyncio.Lock()

    def wake(self) -> None:
        """There is something to publish; from any thread."""
        self.loop.call_soon_threadsafe(self._more.set)

    async def claim(self, place: Place) -> None:
        """Hold a partition and learn what is visible of it; fences whoever had it. `NotTakenError`, `KafkaError`."""
        before = self._held.pop(place.number, None)
        if before is not None and before is not place:
            before.fence()
        name = await self._open()
        at = TopicPartition(self._settings.input, place.number)
        lock = self._new_producer(f"{self._settings.prefix}-{place.number}")
        admin = AIOKafkaAdminClient(**options(self._settings))
        try:
            await lock.start()
            await admin.start()
            async with self._transacting:  # a partition that was ours: what is under way is done
                pass
            # not final: a desk that is dead has left a transaction open, which ends when that desk is fenced
            _, holder = await final_offset(admin, self._group, at, is_final=False)
            visible, now = await self._fenced_and_final(admin, at, holder)
            while now not in (
                "",
                name,
                holder,
            ):  # it was told a moment late who had claimed it last
                holder = now
                visible, now = await self._fenced_and_final(admin, at, holder)
            await lock.begin_transaction()
            await lock.send_offsets_to_transaction(
                {at: OffsetAndMetadata(visible, name)}, self._group
            )
            await lock.commit_transaction()
        finally:
            await _stop(lock)
            await admin.close()
        if self._name != name or place.is_fenced:
            raise NotTakenError("the desk has failed, or the partition was closed meanwhile")
        place.visible, place.is_released = visible, False
        self._held[place.number] = place
        self._more.set()

    async def keep(self, place: Place) -> None:
        """Claim again what was released; if somebody has published meanwhile, what is here is stale: it is fenced."""
        if place.is_fenced or not place.is_released:
            return
        before = place.visible
        try:
            await self.claim(place)
        except (NotTakenError, KafkaError, TimeoutError):
            self.drop(place)
        if place.visible != before:
            self.drop(place)

    async def settle(self, place: Place) -> None:
        """Return when all that was said is visible; `FencedError` if it never will be, or the partition is let go."""
        while place.n_done < place.n_said and not (place.is_fenced or place.is_released):
            place.done.clear()
            await place.done.wait()
        if place.is_fenced or place.n_done < place.n_said:
            raise FencedError

    async def release(self) -> None:
        """Let everything go that is held: whoever claims it next does not fence this desk. Nothing is published then.

        What places still have to say waits: for a claim, or until it is dropped.
        """
        async with self._transacting:
            held, self._held = self._held, {}
            for place in held.values():
                place.is_released = True
                place.done.set()
            if held:
                await self._commit(held, [], "")

    def drop(self, place: Place) -> None:
        """Nothing more goes out for this partition; its name stays until somebody claims it."""
        if self._held.get(place.number) is place:
            del self._held[place.number]
        place.said.clear()
        place.fence()

    async def stop(self) -> None:
        """Hold nothing, and leave the broker."""
        self._fail({})
        if self._pump is not None:
            self._pump.cancel()
        if self._producer is not None:
            await _stop(self._producer)
            self._producer = None

    # ------------------------------------------------------------ transactions

    @property
    def _group(self) -> str:
        return f"{self._settings.prefix}-published"

    def _new_producer(self, name: str) -> Producer:
        return Producer(
            **options(self._settings),
            transactional_id=name,
            transaction_timeout_ms=TRANSACTION_MS,
            acks="all",
            max_batch_size=BATCH_BYTES,
        )

    async def _open(self) -> str:
        """The name under which this desk publishes; a new one after a failure."""
        async with self._opening:
            if not self._name:
                if self._producer is not None:
                    await _stop(self._producer)
                name = f"{self._settings.prefix}-desk-{random_bytes(8).hex()}"
                producer = self._new_producer(name)
                try:
                    await producer.start()
                except BaseException:
                    await _stop(producer)
                    raise
                self._producer, self._name = producer, name
                if self._pump is None or self._pump.done():
                    self._pump = self.loop.create_task(self._run())
            return self._name

    async def _fenced_and_final(
        self, admin: AIOKafkaAdminClient, at: TopicPartition, holder: str
    ) -> tuple[int, str]:
        if holder not in ("", self._name):
            await self._fence(holder)
        return await final_offset(admin, self._group, at)

    async def _fence(self, name: str) -> None:
        if name in self._gone:
            return
        other = self._new_producer(name)
        try:
            await other.start()
        finally:
            await _stop(other)
        self._gone.add(name)

    async def _run(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            if (
                len(self._held) > 1
            ):  # partitions that were decided in one round leave in one transaction
                await asyncio.sleep(LINGER_S)
            while True:
                async with self._transacting:
                    taken = self._take()
                    if not taken:
                        break
                    await self._commit(
                        {place.number: place for place, _ in taken}, taken, self._name
                    )

    def _take(self) -> list[tuple[Place, Said]]:
        """What waits of all partitions that are held, one of each in turn."""
        taken: list[tuple[Place, Said]] = []
        n = 0
        while n < LINES_MAX and (waiting := [p for p in self._held.values() if p.said]):
            for place in waiting:
                taken.append((place, place.said.popleft()))
                n += taken[-1][1].n
        return taken

    async def _commit(
        self, places: Mapping[int, Place], taken: Sequence[tuple[Place, Said]], name: str
    ) -> None:
        """One transaction: lines, and up to where each partition is visible. If it fails, all that is held is lost.

        What is here is stale then: whoever claims a partition next, this worker or another, sees how far it is.
        """
        upto = {place.number: place.visible for place in places.values()}
        upto |= {place.number: said.upto for place, said in taken}
        offsets = {
            TopicPartition(self._settings.input, number): OffsetAndMetadata(offset, name)
            for number, offset in upto.items()
        }
        producer = self._producer
        assert producer is not None
        try:
            await producer.begin_transaction()
            await self._send(producer, taken, offsets)
            await producer.commit_transaction()
        except Exception as error:  # whatever it was: nobody may wait for it
            self._fail(places)
            if not isinstance(
                error, KafkaError | IllegalOperation
            ):  # the second from one that is fenced already
                raise
            return
        for place in places.values():
            place.visible = upto[place.number]
        for place, said in taken:
            place.n_done += said.n
            place.done.set()

    def _fail(self, places: Mapping[int, Place]) -> None:
        held, self._held, self._name = self._held, {}, ""
        for place in (*held.values(), *places.values()):
            place.fence()

    async def _send(
        self,
        producer: Producer,
        taken: Sequence[tuple[Place, Said]],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
    ) -> None:
        lines: dict[TopicPartition, list[tuple[Sequence[bytes], list[tuple[str, bytes]]]]] = {}
        for place, said in taken:
            for stream, some in said.outcomes.items():
                at = TopicPartition(self._settings.topic(stream), place.number)
                lines.setdefault(at, []).append((some, []))
            for own in said.own:
                headers = [(OWED, own.owed.encode())] if own.owed else []
                headers += [(TICKED, b"")] if own.is_tick else []
                at = TopicPartition(self._settings.input, place.number)
                lines.setdefault(at, []).append(([own.line], headers))
        sent: list[asyncio.Future[Any]] = [producer.announce(lines, offsets, self._group)]
        sent[0].add_done_callback(_heard)

        async def send(at: TopicPartition, batch: Any) -> None:
            batch.close()
            future = await producer.send_batch(batch, at.topic, partition=at.partition)
            future.add_done_callback(_heard)
            sent.append(future)

        for at, messages in lines.items():
            batch = producer.create_batch()
            for some, headers in messages:
                for line in some:
                    if batch.append(key=None, value=line, timestamp=None, headers=headers) is None:
                        await send(at, batch)
                        batch = producer.create_batch()
                        batch.append(key=None, value=line, timestamp=None, headers=headers)
            await send(at, batch)
        await asyncio.gather(*sent)


async def _stop(producer: Producer) -> None:
    with suppress(TimeoutError, KafkaError):
        await asyncio.wait_for(producer.stop(), CLOSE_S)


def _heard(future: "asyncio.Future[Any]") -> None:
    """Take note of a failure that the transaction around it has told already."""
    if not future.cancelled():
        future.exception()
