"""Outcomes of one partition out, exactly once: the `Publisher` that the desk of its worker carries out."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from engine.brokers.kafka.desk import Desk, Place, Said
from engine.cluster.ports import FencedError, NotTakenError, Own

Result = TypeVar("Result")


class KafkaPublisher:
    """A `Publisher`; called from another thread than that of the desk's loop, which does the work."""

    def __init__(self, desk: Desk, partition: int) -> None:
        self._desk = desk
        self._place = Place(partition)

    def begin(self) -> int:
        try:
            self._wait(self._desk.claim(self._place))
        except (KafkaError, TimeoutError) as error:
            self.close()
            raise NotTakenError(f"{type(error).__name__}: {error}") from None
        return self._place.visible

    def publish(
        self, outcomes: Mapping[str, Sequence[bytes]], own: Sequence[Own], upto: int
    ) -> None:
        if self._place.is_fenced:
            raise FencedError
        n = sum(len(lines) for lines in outcomes.values()) + len(own) + 1
        self._place.n_said += n
        self._place.said.append(Said(outcomes, own, upto, n))
        self._desk.wake()

    @property
    def backlog(self) -> int:
        return self._place.n_said - self._place.n_done

    async def keep(self) -> None:
        """In the loop, after the desk has let everything go: claim the partition again."""
        await self._desk.keep(self._place)

    def settle(self) -> None:
        self._wait(self._desk.settle(self._place))

    def close(self) -> None:
        self._wait(self._close())

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._desk.loop).result()

    async def _close(self) -> None:
        self._desk.drop(self._place)
