"""`weir outlets`: carries commands and restrictions of a cluster out; see engine/cluster/carrier.py.

Start two for safety: one works, the other waits to take over.
"""

import asyncio
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from config import settings as configurations
from config.errors import ConfigError, demanding
from config.settings import Configuration
from engine.clock import SystemClock
from engine.cluster.carrier import Carrier, DisplacedError
from engine.cluster.health import Health
from engine.cluster.ports import NotTakenError
from engine.durable.disk import RealDisk
from engine.durable.encrypted_disk import unlocked
from engine.metrics import Metrics
from engine.sinks.outlets import demand_registry, demand_sink
from engine.starting import key_of

if TYPE_CHECKING:
    from engine.brokers.kafka.outcomes import KafkaOutcomes

FOLDER: Final = "outlets"  # in the folder that all workers see
LOOK_S: Final = 0.1


class Station:
    """Carries out whenever it is this process's turn; says how it stands."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.carrier: Carrier | None = None
        self.n_lives = 0
        self.failure = ""

    def numbers(self, kind: str) -> Mapping[str, float]:
        """What the present life counts; nothing while another process works."""
        carrier = self.carrier
        if carrier is None:
            return {}
        return {**carrier.numbers(kind), "restarts": float(max(0, self.n_lives - 1))}

    def unhealthy(self) -> str:
        """Why it should be started anew; "" if it should not."""
        carrier = self.carrier
        return carrier.stuck() if carrier is not None else ""

    def unready(self) -> str:
        """Why it could not take over at once; one that waits for its turn is ready."""
        return "it is leaving" if self.stop.is_set() else self.failure


def run(arguments: Namespace) -> int:
    """Carry out until SIGTERM or SIGINT."""
    configuration = configurations.load(arguments.config)
    settings = configuration.settings.cluster
    where = str(arguments.config / "weir.yaml")
    if settings is None:
        raise ConfigError(
            "`cluster` is not set",
            where,
            why="outlets of a cluster need to know where Kafka is; those of `weir run` start with it",
            fix="write cluster: {brokers: 127.0.0.1:9092}",
        )
    if configuration.settings.sink is None and configuration.settings.redis is None:
        raise ConfigError(
            "neither `sink` nor `redis` is set",
            where,
            why="there is nowhere to carry commands or restrictions to",
            fix="write sink: {webhook: ...} or redis: {url: ...}",
        )
    if configuration.settings.sink is not None:
        demand_sink(configuration.settings.sink)
    if configuration.settings.redis is not None:
        demand_registry(configuration, configuration.settings.redis)
    with demanding("Kafka", "kafka"):
        from engine.brokers.kafka.calm import Notes, calm
        from engine.brokers.kafka.outcomes import KafkaOutcomes
        from engine.brokers.kafka.topics import prepare
    clock = SystemClock()
    calm(Notes(clock))
    n = asyncio.run(prepare(settings))
    station = Station()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: station.stop.set())
    metrics = Metrics(clock)
    metrics.show_outlets(station)
    with ExitStack() as stack:
        if arguments.metrics_port:
            health = Health(
                arguments.metrics_host,
                arguments.metrics_port,
                station.unhealthy,
                station.unready,
                metrics.registry(),
            )
            stack.callback(health.close)
        broker = stack.enter_context(KafkaOutcomes(settings, n))
        while not station.stop.wait(LOOK_S):
            if broker.failure is not None:
                raise broker.failure
            if broker.leads:
                _live(station, broker, configuration, Path(arguments.out) / FOLDER)
    return 0


def _live(
    station: Station, broker: "KafkaOutcomes", configuration: Configuration, home: Path
) -> None:
    """One life, as long as it is this process's turn."""
    term = broker.terms
    try:
        disk = unlocked(RealDisk(), home, key_of(configuration.settings), begins=True)
        station.carrier = Carrier(broker, disk, home, configuration, SystemClock())
        station.n_lives += 1
        station.failure = ""
        print("note: outcomes are carried out by this process now", file=sys.stderr)
        station.carrier.run(
            lambda: station.stop.is_set() or not broker.leads or broker.terms != term
        )
    except (NotTakenError, DisplacedError) as error:
        if station.failure != str(error):
            print(f"warning: outcomes are not carried out: {error}", file=sys.stderr)
        station.failure = str(error)
        station.stop.wait(1.0)
    finally:
        station.carrier = None
