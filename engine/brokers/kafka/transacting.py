"""A producer whose transactions go on as soon as the broker lets them.

    what the transaction holds: partitions, and the group of the offsets     two requests, one behind the other
    lines
    offsets
    commit

Requests of one connection are carried out in their order, so the first two need not wait for each other. Lines wait for
their partitions, offsets and commit for all that comes before: the broker looks up the transaction of what is written,
refuses it while the transaction is being changed, and cannot look up the same one twice at once (KIP-890); what was
refused would be sent again 100 ms later. Of lines and offsets that were sent at once every fifth was.

Everything here reaches into aiokafka, whose version is pinned.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ConcurrentTransactions, for_code
from aiokafka.producer import sender
from aiokafka.structs import OffsetAndMetadata

# The broker says that a transaction is committed a few ms before it takes the next one; aiokafka would wait for 20 ms.
# Transactions back to back, on a loaded machine: 65 ms each with 20 ms, 43 with 2.
CONCURRENT_S = 0.002
sender.BACKOFF_OVERRIDE = CONCURRENT_S


class Producer(AIOKafkaProducer):
    """Transactional. Between begin and commit: `announce`, then `send_batch` for what was announced."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        theirs: Any = vars(self)["_sender"]
        self._sender: Any = _Sender(
            self.client,
            acks=theirs._acks,  # noqa: SLF001
            txn_manager=self._txn_manager,
            message_accumulator=self._message_accumulator,
            retry_backoff_ms=round(theirs._retry_backoff * 1_000),  # noqa: SLF001
            request_timeout_ms=theirs._request_timeout_ms,  # noqa: SLF001
        )

    def announce(
        self,
        places: Iterable[TopicPartition],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        group: str,
    ) -> "asyncio.Future[None]":
        """Say all that the transaction will hold; done when `offsets` of `group` are part of it."""
        for place in places:
            self._txn_manager.maybe_add_partition_to_txn(place)
        told: asyncio.Future[None] = self._txn_manager.add_offsets_to_txn(dict(offsets), group)
        return told


class _Sender(sender.Sender):
    async def _do_add_partitions_to_txn(self, tps: set[TopicPartition]) -> bool:
        adding = [super()._do_add_partitions_to_txn(tps)]
        group = self._txn_manager.consumer_group_to_add()
        if group is not None:
            adding.append(self._do_add_offsets_to_txn(group))
        return all(await asyncio.gather(*adding))

    async def _do_txn_offset_commit(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group_id: str
    ) -> None:
        await self._message_accumulator.flush()
        await super()._do_txn_offset_commit(offsets, group_id)

    async def _do_add_offsets_to_txn(self, group_id: str) -> bool:
        node = await self._find_coordinator(
            sender.CoordinationType.TRANSACTION, self._txn_manager.transactional_id
        )
        added: bool = await _AddOffsets(self, group_id).do(node)
        return added


class _AddOffsets(sender.AddOffsetsToTxnHandler):
    def handle_response(self, resp: Any) -> float | None:
        if for_code(resp.error_code) is ConcurrentTransactions:
            return CONCURRENT_S
        wait_s: float | None = super().handle_response(resp)
        return wait_s
