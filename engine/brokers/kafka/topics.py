"""The topics of a cluster."""

import asyncio
import sys

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from config.cluster import ClusterSettings
from config.errors import StateError
from engine.brokers.kafka.connecting import options, reaching
from engine.cluster.partition import STREAMS

TRIES, WAIT_S = 50, 0.2
PATIENCE_S = 60.0  # for a broker that is started anew; workers that end meanwhile would all have to be started too
OUTCOME_BYTES_MAX = (
    8_388_608  # of a message; an alert or a dead letter may quote a message of a megabyte
)


async def prepare(settings: ClusterSettings) -> int:
    """Create what is missing, where that is allowed; return how many partitions the input has.

    Raises `StateError` if a topic is missing and may not be created, or if an outcome topic has another number of
    partitions than the input (outcomes stand in the partition that their input stood in), or if no broker answers
    within a minute.
    """
    admin = await _reach(settings)
    try:
        wanted = [settings.input, *(settings.topic(stream) for stream in STREAMS), *settings.slow]
        there = set(await admin.list_topics())
        missing = [name for name in wanted if name not in there]
        if missing and not settings.create:
            raise StateError(
                f"there is no topic {missing[0]}",
                settings.brokers,
                why="`create: false` leaves that to those who run the brokers",
                fix=f"create {', '.join(missing)}, or set `create: true` under `cluster`",
            )
        if missing:
            made = await admin.create_topics([_new(settings, name) for name in missing])
            for name, code, *_ in made.topic_errors:
                if code and not isinstance(for_code(code)(), TopicAlreadyExistsError):
                    raise StateError(
                        f"the topic {name} could not be created: {for_code(code).__name__}",
                        settings.brokers,
                        fix="ask who runs the brokers",
                    )
        numbers = await _numbers(admin, wanted)
    finally:
        await admin.close()
    numbers = {name: number for name, number in numbers.items() if name not in settings.slow}
    n = numbers[settings.input]
    for name, number in numbers.items():
        if number != n:
            raise StateError(
                f"{name} has {number} partitions, {settings.input} has {n}",
                settings.brokers,
                why="outcomes stand in the partition that their input stood in",
                fix=f"give {name} {n} partitions",
            )
    return n


async def _reach(settings: ClusterSettings) -> AIOKafkaAdminClient:
    """A client of a broker that answers; `StateError` if none does in time."""
    tries = int(PATIENCE_S / WAIT_S)
    for left in reversed(range(tries + 1)):
        admin = AIOKafkaAdminClient(**options(settings))
        try:
            with reaching(settings):
                await admin.start()
        except StateError as error:
            await admin.close()
            if not left:
                raise
            if left == tries:
                print(f"note: {error.what}; it is asked for {PATIENCE_S:.0f} s", file=sys.stderr)
            await asyncio.sleep(WAIT_S)
        else:
            return admin
    raise AssertionError


def _new(settings: ClusterSettings, name: str) -> NewTopic:
    is_outcome = name in {settings.topic(stream) for stream in STREAMS}
    configs = {"max.message.bytes": str(OUTCOME_BYTES_MAX)} if is_outcome else {}
    return NewTopic(name, settings.partitions, settings.replicas, topic_configs=configs)


async def _numbers(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Partitions of each topic; what was created a moment ago is told a moment later."""
    for _ in range(TRIES):
        found = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics(names)}
        if all(found.get(name) for name in names):
            break
        await asyncio.sleep(WAIT_S)
    return {name: found.get(name, 0) for name in names}
