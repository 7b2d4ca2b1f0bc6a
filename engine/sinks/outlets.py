"""The engine's end of the processes that follow its streams: starts them, takes what they tell, starts dead ones again.

Nothing here waits: pipes that are full or empty are asked again later. What core banking has answered comes out of
`take` as commands, which the runner puts into the journal like any other record; `done` says that it has.
"""

import contextlib
import importlib.util
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from config.errors import ConfigError
from config.outlets import RedisSettings, SinkSettings
from config.settings import Configuration, Settings
from engine.clock import Clock
from engine.durable.disk import RealDisk
from engine.reload.process import Beside
from engine.sinks.outbox import FILE as OUTBOX_FILE
from engine.sinks.outbox import STREAM
from engine.sinks.serving import read_secret

SINK, REGISTRY = "sink", "registry"
MODULES: Final[Mapping[str, str]] = {
    SINK: "engine.sinks.dispatching",
    REGISTRY: "engine.sinks.following",
}
POSITION: Final = "outbox/"  # of the records that tell what core banking has answered
AGAIN_FIRST_US: Final = 500_000
AGAIN_MAX_US: Final = 30_000_000
STOP_US: Final = 2_000_000  # for a process to write down where it stands


def demand_sink(sink: SinkSettings) -> None:
    """Raise `ConfigError` if a secret that commands are signed with is missing."""
    if sink.webhook:
        read_secret(sink.key_env, sink.key_file)


def demand_registry(configuration: Configuration, redis: RedisSettings) -> None:
    """Raise `ConfigError` if a secret of the registry is missing, or the client library."""
    if importlib.util.find_spec("redis") is None:
        raise ConfigError(
            "`redis` is set, and the client for it is not installed",
            why="the registry of restrictions is written with it",
            fix="pip install 'weir-fraud[redis]', or take `redis` out of weir.yaml",
        )
    from engine.sinks.following import names_of, read_password

    names_of(redis, str(configuration.schema_path.resolve()))
    read_password(redis)


class Outlet:
    """One process beside the engine."""

    def __init__(self, kind: str, request: Mapping[str, Any], clock: Clock) -> None:
        self.kind, self.request = kind, dict(request)
        self._withheld_before = 0
        self.status: dict[str, Any] = {}
        self.records: deque[tuple[int, dict[str, Any]]] = deque()
        self.n_starts = 0
        self._clock = clock
        self._process = Beside(["-m", MODULES[kind]])
        self._next_us = 0

    def _now_us(self) -> int:
        return self._clock.monotonic_ns() // 1_000

    def step(self) -> None:
        """Start the process if it is not running, and take what it has told."""
        if not self._process.is_running:
            now_us = self._now_us()
            if now_us < self._next_us:
                return
            if self.n_starts:
                print(f"warning: the process of the {self.kind} starts again", file=sys.stderr)
            wait_us = min(AGAIN_MAX_US, AGAIN_FIRST_US << min(self.n_starts, 16))
            self._next_us = now_us + wait_us
            self.n_starts += 1
            self.records.clear()  # numbers of the one that died; the new one asks core banking again
            self._process.ask(self.request | {"withheld_before": self._withheld_before})
        while (told := self._process.take()) is not None:
            assert isinstance(told, dict), told
            if "record" in told:
                self.records.append((int(told["n"]), told["record"]))
            else:
                self.status = told["status"]

    def tell(self, what: Mapping[str, Any]) -> None:
        """Send something to the process, if it is running."""
        if self._process.is_running:
            self._process.ask(what)

    def withhold(self, before_seq: int) -> None:
        """Tell the process, now and whenever it starts, which commands may no longer leave."""
        if before_seq != self._withheld_before:
            self._withheld_before = before_seq
            self.tell({"withhold": before_seq})

    def stop(self, *, waits: bool = True) -> None:
        """End it; waits : let it write down where it stands first, which saves repetitions."""
        if waits and self._process.is_running:
            with contextlib.suppress(OSError):
                self._process.ask({"stop": True})
            until_us = self._now_us() + STOP_US
            while self._process.is_running and self._now_us() < until_us:
                while self._process.take() is not None:
                    pass
                self._clock.sleep_us(5_000)
        self._process.stop()


class Outlets:
    """Everything that carries outcomes out of one live engine."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root, self._clock = root, clock
        self._outlets: dict[str, Outlet] = {}
        self._given: list[tuple[Outlet, int]] = []

    def configure(self, configuration: Configuration) -> None:
        """Run what its settings ask for: at the start, and when another configuration has become active.

        Raises `ConfigError` if a secret or the client library is missing.
        """
        wanted = self._wanted(configuration)
        for kind in (SINK, REGISTRY):
            outlet, request = self._outlets.get(kind), wanted.get(kind)
            if outlet is not None and outlet.request == request:
                continue
            if outlet is not None:
                del self._outlets[kind]
                outlet.stop(waits=False)  # messages wait meanwhile
            if request is not None:
                self._outlets[kind] = Outlet(kind, request, self._clock)

    def _wanted(self, configuration: Configuration) -> dict[str, dict[str, Any]]:
        settings = configuration.settings
        key = settings.encryption
        base = {
            "root": str(self._root),
            "key_env": key.key_env if key is not None else None,
            "key_file": key.key_file if key is not None else None,
        }
        wanted: dict[str, dict[str, Any]] = {}
        sink, redis = settings.sink, settings.redis
        # what was sent once must be released for real, whatever the settings say by now
        sends = settings.effect == "enforce" or RealDisk().size(self._root / OUTBOX_FILE) >= 0
        if sink is not None and sends:
            demand_sink(sink)
            wanted[SINK] = {**base, "settings": msgspec.to_builtins(sink)}
        if redis is not None:
            demand_registry(configuration, redis)
            schema = str(configuration.schema_path.resolve())
            wanted[REGISTRY] = {**base, "schema": schema, "settings": msgspec.to_builtins(redis)}
        return wanted

    def notes(self, settings: Settings) -> Sequence[str]:
        """What people should know about the start."""
        if settings.effect == "enforce" and settings.sink is None:
            return (
                (
                    "warning: `effect` is enforce and no `sink` is set: commands stay in commands.ndjson, "
                    "and whoever carries them out must read them there"
                ),
            )
        return ()

    # What the runner asks

    def step(self) -> None:
        """Look after the processes; never waits."""
        for outlet in self._outlets.values():
            outlet.step()

    def withhold(self, before_seq: int) -> None:
        """Let no command with a smaller seq leave any more, but those that lift something."""
        sink = self._outlets.get(SINK)
        if sink is not None:
            sink.withhold(before_seq)

    def take(self, n_max: int) -> list[tuple[str, bytes]]:
        """Up to `n_max` answers of core banking: position and line of each."""
        sink = self._outlets.get(SINK)
        given: list[tuple[str, bytes]] = []
        while sink is not None and sink.records and len(given) < n_max:
            n, record = sink.records.popleft()
            self._given.append((sink, n))
            line = orjson.dumps({"kind": "command", **record}, option=orjson.OPT_SORT_KEYS)
            given.append((f"{POSITION}{record['command_id']}", line))
        return given

    def done(self) -> None:
        """What `take` gave is in the journal."""
        for outlet, n in self._given:
            outlet.tell({"done": n})
        self._given.clear()

    @property
    def is_idle(self) -> bool:
        """Whether every command has been answered."""
        sink = self._outlets.get(SINK)
        if sink is None:
            return True
        has_seen = sink.status.get("seen") == max(0, RealDisk().size(self._root / STREAM))
        return has_seen and bool(sink.status.get("idle")) and not sink.records

    def numbers(self, kind: str) -> Mapping[str, float]:
        """What the process of `kind` counts, and how often it was started again; empty if there is none."""
        outlet = self._outlets.get(kind)
        if outlet is None:
            return {}
        found = {k: float(v) for k, v in outlet.status.items() if isinstance(v, (int, float))}
        return found | {"restarts": float(max(0, outlet.n_starts - 1))}

    def stop(self) -> None:
        for outlet in self._outlets.values():
            outlet.stop()
        self._outlets.clear()
