"""What carries outcomes of a cluster out: commands to core banking, restrictions to Redis, for all partitions at once.

The same outbox, sinks and registry as beside an embedded engine (engine/sinks/), which follow topics in place of files.
Answers of core banking go into the input, into the partition that gave the command, and count once they stand there.
Whether commands may still leave is what each partition says of its mode, in its alerts.

One process does it at a time. Where two do, because one was thought dead, nothing happens twice and nothing is
overtaken: each sends a command of a lane only when the one before it was answered, under keys that core banking knows
again; and Redis lets only the one write that came last.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from config.errors import StateError
from config.outlets import SinkSettings
from config.reasons import MODE_SWITCHED
from config.settings import Configuration
from engine.clock import Clock, random_bytes
from engine.cluster.ports import Following, Outcomes
from engine.cluster.topic_tail import TopicTail
from engine.durable.disk import Disk
from engine.restrictions import ALL
from engine.sinks import dispatching, outlets
from engine.sinks.dispatching import Dispatcher
from engine.sinks.tail import read_state, write_state

if TYPE_CHECKING:
    from engine.sinks.following import Alarm as RegistryAlarm
    from engine.sinks.following import Follower

COMMANDS, ALERTS = "commands", "alerts"
MODES: Final = "modes.json"
FILL: Final = 5_000  # lines of a partition looked at in one go
LOOK_S: Final = 0.02
KEEP_EVERY_US: Final = 10_000_000
STOP_S: Final = 60.0
STUCK_S: Final = 300.0
_SWITCHED: Final = MODE_SWITCHED.encode()


class _Alert(msgspec.Struct):
    seq: int
    reason: str = ""
    effect: str = ""


class Modes:
    """From which seq on each partition lets commands leave, as its alerts say."""

    def __init__(self, tails: Sequence[TopicTail], disk: Disk, path: Path) -> None:
        self._tails, self._disk, self._path = tails, disk, path
        self._decode = msgspec.json.Decoder(_Alert).decode
        self.before = [0] * len(tails)
        state = read_state(disk, path)
        for k, tail in enumerate(tails):
            if tail.name in state and tail.holds(state[tail.name][0], ""):
                tail.at, self.before[k] = state[tail.name]

    @property
    def n_unread(self) -> int:
        """Alerts that have not been looked at."""
        return sum(tail.n_unread for tail in self._tails)

    def fill(self) -> list[int]:
        """Take in what has come; the partitions that say something else now."""
        changed = []
        for k, tail in enumerate(self._tails):
            before = self.before[k]
            for _, line in tail.read(FILL):
                if _SWITCHED in line:
                    alert = self._decode(line)
                    if alert.reason == MODE_SWITCHED:
                        self.before[k] = ALL if alert.effect == "observe" else alert.seq
            if self.before[k] != before:
                changed.append(k)
        return changed

    def keep(self) -> None:
        """Write down what they say and how far they were read; durable when it returns."""
        told = zip(self._tails, self.before, strict=True)
        write_state(self._disk, self._path, {tail.name: [tail.at, n] for tail, n in told})


class Carrier:
    """One life of it: opened where the one before stood, and over when `run` returns.

    home : where the places are kept; on storage that the next one sees
    """

    def __init__(
        self, broker: Outcomes, disk: Disk, home: Path, configuration: Configuration, clock: Clock
    ) -> None:
        self._broker, self._clock = broker, clock
        self._stop, self._wake = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        self._streams: list[Following] = []
        self._work: list[Callable[[], None]] = []
        self._status: dict[str, Mapping[str, Any]] = {}
        self._confirmed: deque[int] = deque()
        self._seen_ns: dict[str, int] = {}  # when each thread came round last
        settings = configuration.settings
        disk.make_folder(home)
        try:
            if settings.sink is not None:
                self._open_sink(disk, home, settings.sink)
            if settings.redis is not None:
                self._open_registry(disk, home, configuration)
        except BaseException:
            self._close()
            raise

    def _open_sink(self, disk: Disk, home: Path, settings: SinkSettings) -> None:
        sinks = dispatching.open_sinks(settings, self._clock)
        tails = self._follow()
        modes = Modes(tails[ALERTS], disk, home / MODES)
        boxes = [
            dispatching.open_outbox(
                tail, disk, home / f"outbox-{tail.partition:04d}.json", settings
            )
            for tail in tails[COMMANDS]
        ]
        dispatcher = Dispatcher(boxes, sinks, settings, self._clock, self._wake.set)
        self._work.append(lambda: self._deliver(dispatcher, modes, dispatching.Alarm(settings)))

    def _open_registry(self, disk: Disk, home: Path, configuration: Configuration) -> None:
        from engine.sinks import following  # needs the client of Redis
        from engine.sinks.registry import FILE, Followed, Streams

        settings, schema = configuration.settings.redis, str(configuration.schema_path)
        assert settings is not None
        tails = self._follow()
        streams = [Streams(*both) for both in zip(tails[COMMANDS], tails[ALERTS], strict=True)]
        followed = Followed(streams, disk, home / FILE, run=random_bytes(8).hex())
        follower = following.follower_of(followed, settings, schema, self._clock)
        self._work.append(lambda: self._register(follower, following.Alarm()))

    def _follow(self) -> Mapping[str, Sequence[TopicTail]]:
        streams = self._broker.follow((COMMANDS, ALERTS))
        self._streams.append(streams)
        return streams.tails

    # Running

    def run(self, is_over: Callable[[], bool]) -> None:
        """Carry out until it is over. Raises what ended it before, `StateError` if others write the registry."""
        threads = [threading.Thread(target=self._guard, args=(w,), daemon=True) for w in self._work]
        try:
            for streams in self._streams:
                streams.begin()
            for thread in threads:
                thread.start()
            while not is_over() and self._failure is None:
                self._failure = next((s.failure for s in self._streams if s.failure), None)
                self._stop.wait(LOOK_S)
        finally:
            self._stop.set()
            self._wake.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join(STOP_S)
            self._close()
        if self._failure is not None:
            raise self._failure

    def numbers(self, kind: str) -> Mapping[str, float]:
        """What is counted; from any thread."""
        status = dict(self._status.get(kind, {}))
        status["unread_records"] = status.pop("unread_bytes", 0)  # of a topic
        return {k: float(v) for k, v in status.items() if isinstance(v, (int, float))}

    def stuck(self) -> str:
        """Who has given no sign for long; "" if nobody. From any thread."""
        now_ns = self._clock.monotonic_ns()
        for who, seen_ns in self._seen_ns.copy().items():
            if now_ns - seen_ns > STUCK_S * 1e9:
                return f"the {who} has given no sign for {(now_ns - seen_ns) / 1e9:.0f} s"
        return ""

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            self._failure = error

    def _close(self) -> None:
        for streams in self._streams:
            streams.close()

    def _deliver(self, dispatcher: Dispatcher, modes: Modes, alarm: dispatching.Alarm) -> None:
        for k, box in enumerate(dispatcher.outboxes):
            box.withhold(modes.before[k], dispatcher.now_us())
        is_caught_up, kept_us = False, dispatcher.now_us()
        while not self._stop.is_set():
            self._wake.clear()
            for k in modes.fill():
                dispatcher.withhold(modes.before[k], k)
            is_caught_up |= not modes.n_unread
            wait_s = LOOK_S
            if is_caught_up:  # nothing leaves that was withheld while nobody looked
                while self._confirmed:
                    dispatcher.confirm(self._confirmed.popleft())
                for told in dispatcher.step():
                    self._answer(**told)
                wait_s = dispatcher.wait_us() / 1e6
            now_us = dispatcher.now_us()
            if now_us - kept_us >= KEEP_EVERY_US:
                modes.keep()
                kept_us = now_us
            self._seen_ns[outlets.SINK] = self._clock.monotonic_ns()
            self._status[outlets.SINK] = status = dispatcher.status()
            alarm.look(status, now_us)
            self._wake.wait(wait_s)
        modes.keep()
        dispatcher.close()

    def _answer(self, n: int, k: int, record: Mapping[str, Any]) -> None:
        """Tell partition `k` what core banking says."""
        line = orjson.dumps({"kind": "command", **record}, option=orjson.OPT_SORT_KEYS)

        def done() -> None:
            self._confirmed.append(n)
            self._wake.set()

        self._broker.answer(k, line, done)

    def _register(self, follower: "Follower", alarm: "RegistryAlarm") -> None:
        while not self._stop.is_set():
            has_more = follower.step()
            self._seen_ns[outlets.REGISTRY] = self._clock.monotonic_ns()
            self._status[outlets.REGISTRY] = status = follower.status()
            alarm.look(status, follower.now_us())
            if follower.is_displaced:
                raise DisplacedError(
                    "the registry of restrictions was taken over by another process",
                    why="only one may write it",
                    fix="if it was no other `weir outlets` of this cluster, give each its own `prefix` under `redis`",
                )
            self._stop.wait(0 if has_more else LOOK_S)
        follower.close()


def path_of(tail: TopicTail) -> str:
    """Where the place of an outbox is kept."""
    return f"outbox-{tail.partition:04d}.json"


class DisplacedError(StateError):
    """Somebody else writes the registry now."""
