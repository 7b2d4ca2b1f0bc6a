"""What a group has committed, where that is final: with no transaction under way that would change it.

aiokafka asks in an old version of the protocol, in which a broker may tell of a time before a transaction that is
committed already. Kafka has the question since 2.5 (KIP-447).
"""

import asyncio
from typing import ClassVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

UNSTABLE = 88  # an offset of a transaction that is not complete; aiokafka has no name for it
TRIES, AGAIN_S = 1_500, 0.02


class _Answer(Response):
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = _Answer
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("group", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(Int32)),
                ("tags", TaggedFields),
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class _FinalOffset(Request[_Question]):
    API_KEY: ClassVar[int] = 9

    def __init__(self, group: str, place: TopicPartition, is_final: bool) -> None:
        self._group, self._place, self._is_final = group, place, is_final

    def build(self, request_struct_class: type[_Question]) -> _Question:
        topics: list[object] = [(self._place.topic, [self._place.partition], {})]
        return request_struct_class(self._group, topics, self._is_final, {})


async def final_offset(
    admin: AIOKafkaAdminClient, group: str, place: TopicPartition, *, is_final: bool = True
) -> tuple[int, str]:
    """The offset that `group` has committed, 0 if none, and the word beside it.

    Waits while a transaction is under way that may change it, if it is to be final, and for a broker that has just
    started to find its coordinator. Raises `KafkaError`.
    """
    for left in reversed(range(TRIES)):
        try:
            coordinator = await admin.find_coordinator(group)
            told = await admin._send_request(_FinalOffset(group, place, is_final), coordinator)  # noqa: SLF001 - it has no other way
            code = told.error_code
            if not code:
                [(_, [(_, offset, _, word, code, _)], _)] = told.topics
            if not code:
                return max(0, offset), word or ""
            if code != UNSTABLE or not left:
                raise for_code(code)
        except KafkaError as error:
            if not left or not error.retriable:
                raise
        await asyncio.sleep(AGAIN_S)
    raise AssertionError
