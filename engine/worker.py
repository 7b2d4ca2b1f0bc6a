"""`weir worker`: one of many engines on a Kafka topic; see engine/cluster/ and engine/brokers/kafka/."""

import asyncio
import contextlib
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path

from config.cluster import ACCEPT, ClusterSettings
from config.errors import ConfigError, demanding
from engine.clock import SystemClock
from engine.cluster.health import Health
from engine.cluster.lane import Lane
from engine.cluster.partition import Partition, take_over
from engine.cluster.ports import Publisher
from engine.cluster.shared_lists import BY, Shared
from engine.core import Core
from engine.metrics import Metrics
from engine.setup import Setup, read_setup


def demand_accepted(setup: Setup, settings: ClusterSettings) -> None:
    """Raise `ConfigError` if partitions see a part of what rules or models read, and nobody has accepted that."""
    if setup.partial and settings.partial != ACCEPT:
        raise ConfigError(
            f"rules or models read features by {', '.join(setup.partial)}, which stand in several partitions",
            str(setup.configuration.folder),
            why=f"messages are distributed by {settings.key}: each partition would see a part, and decide by it",
            fix="see them with weir rules check --cluster; then change them, name what never stands in two partitions "
            "under `local`, or write `partial: accept` under `cluster`: every decision says so then",
        )


def _shared(
    setup: Setup, settings: ClusterSettings, stack: contextlib.ExitStack
) -> Callable[[], Mapping[str, Shared]]:
    """Lists as they stand in Redis, looked at while the stack is open; `ConfigError` if they cannot be had."""
    if not settings.lists:
        return dict
    where, configuration = str(setup.configuration.folder / "weir.yaml"), setup.configuration
    if configuration.settings.redis is None:
        raise ConfigError(
            "`lists` needs `redis`",
            where,
            why="shared lists stand there",
            fix="write redis: {url: redis://127.0.0.1:6379/0}, or leave `lists` out",
        )
    people = configuration.people
    if people.people and not (people.has(BY, "list_add") and people.has(BY, "list_remove")):
        raise ConfigError(
            f"`{BY}` may not change lists",
            where,
            why=f"rows of shared lists are orders of `{BY}`, and people.yaml says who may give them",
            fix=f"name `{BY}` there, with a role that may change lists",
        )
    with demanding("Redis", "redis"):
        from engine.brokers.redis_lists import RedisLists
        from engine.sinks.following import read_password
    redis = configuration.settings.redis
    lists = RedisLists(redis, settings.lists, setup.pack.lists, read_password(redis))
    lists.start()
    stack.callback(lists.stop)
    return lambda: lists.latest


def run(arguments: Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    setup = read_setup(arguments.config, compares_locks=True)
    settings = setup.configuration.settings.cluster
    if settings is None:
        raise ConfigError(
            "`cluster` is not set",
            str(arguments.config / "weir.yaml"),
            why="a worker needs to know where Kafka is",
            fix="write cluster: {brokers: 127.0.0.1:9092}",
        )
    with demanding("Kafka", "kafka"):
        from engine.brokers.kafka.app import Worker
        from engine.brokers.kafka.topics import prepare
    n = asyncio.run(prepare(settings))
    print(f"{settings.input}: {n} partitions", file=sys.stderr)
    if n > 1:  # limits are divided by them, and features may be partial
        setup = read_setup(arguments.config, partitions=n)
    demand_accepted(setup, settings)
    Core(setup).warm_up()  # what has to be compiled is, before a partition waits for it
    clock, root = SystemClock(), Path(arguments.out)
    metrics = Metrics(clock)

    def own(number: int, lane: Lane, publisher: Publisher) -> Partition:
        partition = take_over(root, number, lane, publisher, setup, clock, metrics=metrics)
        print(f"partition {number} from offset {lane.next_offset}", file=sys.stderr)
        return partition

    root.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        worker = Worker(settings, root, own, metrics, clock, _shared(setup, settings, stack))
        if arguments.metrics_port:
            registry = metrics.registry()
            health = Health(
                arguments.metrics_host,
                arguments.metrics_port,
                worker.unhealthy,
                worker.unready,
                registry,
            )
            stack.callback(health.close)
        return worker.run()
