"""`weir worker`: one of many engines on a Kafka topic; see engine/cluster/ and engine/brokers/kafka/."""

import asyncio
import contextlib
import sys
from argparse import Namespace
from pathlib import Path

from config.cluster import ACCEPT, ClusterSettings
from config.errors import ConfigError
from engine.clock import SystemClock
from engine.cluster.health import Health
from engine.cluster.lane import Lane
from engine.cluster.partition import Partition, take_over
from engine.cluster.ports import Publisher
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
    try:
        from engine.brokers.kafka.app import Worker
        from engine.brokers.kafka.topics import prepare
    except ImportError as error:
        raise ConfigError(
            f"what speaks with Kafka is not installed: {error}",
            fix="pip install 'weir-fraud[kafka]'",
        ) from None
    n = asyncio.run(prepare(settings))
    print(f"{settings.input}: {n} partitions", file=sys.stderr)
    if n > 1:  # limits are divided by them, and features may be partial
        setup = read_setup(arguments.config, partitions=n)
    demand_accepted(setup, settings)
    clock, root = SystemClock(), Path(arguments.out)
    metrics = Metrics(clock)

    def own(number: int, lane: Lane, publisher: Publisher) -> Partition:
        partition = take_over(root, number, lane, publisher, setup, clock, metrics=metrics)
        print(f"partition {number} from offset {lane.next_offset}", file=sys.stderr)
        return partition

    root.mkdir(parents=True, exist_ok=True)
    worker = Worker(settings, root, own, metrics, clock)
    with contextlib.ExitStack() as stack:
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
