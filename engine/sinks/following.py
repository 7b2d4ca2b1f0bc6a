"""The process that writes the restriction registry: `python -m engine.sinks.following`, started by a live engine.

It follows the streams and writes what has changed, once it has read what is there. While Redis is down it says so, and
looks again at most a second later; then it writes everything that is in force, and empties what is not: so whatever
Redis has forgotten, or remembers from before, is right again. The engine never waits for it, nor reads the registry.
"""

import os
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from config import schema as schemas
from config.errors import ConfigError, WeirError
from config.outlets import RedisSettings
from config.pseudonyms import KEY_ENV, Pseudonyms, read_key
from engine.brokers.redis_registry import (
    EMPTY_MS,
    Entry,
    FencedError,
    RedisRegistry,
    RegistryError,
)
from engine.clock import Clock, SystemClock
from engine.durable.disk import Disk
from engine.sinks.registry import FILE, Followed, streams_of
from engine.sinks.serving import Ear, encryption_of, open_disk

LOOK_EVERY_US: Final = 20_000
BEAT_EVERY_US: Final = 500_000  # look whether Redis was emptied
KEEP_EVERY_US: Final = 10_000_000
TELL_EVERY_US: Final = 500_000
WARN_EVERY_US: Final = 60_000_000
AGAIN_FIRST_US: Final = 50_000
AGAIN_MAX_US: Final = 1_000_000
BATCH: Final = 500  # entities in one round trip


class Follower:
    """Brings one Redis up to date, and keeps it so. `step` waits for Redis, at most its timeout."""

    def __init__(
        self,
        followed: Followed,
        open_registry: Callable[[], RedisRegistry],
        shown: Callable[[str, str], str],
        clock: Clock,
    ) -> None:
        self.followed = followed
        self._open, self._shown, self._clock = open_registry, shown, clock
        self._registry: RedisRegistry | None = None
        self._has_written = False  # in this life: who writes now beside us does it against us
        self._has_caught_up = False
        self.is_displaced = False  # somebody does, and we write no more
        self._again_us, self._wait_us = 0, AGAIN_FIRST_US
        self._beat_us = self._kept_us = self._behind_us = self.now_us()
        self.counts = {"writes": 0, "failed": 0, "rebuilds": 0}
        self.failure = ""

    def now_us(self) -> int:
        return self._clock.monotonic_ns() // 1_000

    @property
    def is_right(self) -> bool:
        """Whether Redis holds all that the streams say."""
        return (
            self._registry is not None
            and not self.followed.changed
            and not self.followed.n_unread
            and not self.failure
        )

    def step(self) -> bool:
        """Read, write, look after the connection; whether there may be more to do at once."""
        has_read = self.followed.fill()
        now_us = self.now_us()
        if now_us - self._kept_us >= KEEP_EVERY_US:
            self.followed.keep()
            self._kept_us = now_us
        # a registry made anew from half of the streams would free whom the other half restricts
        self._has_caught_up |= not self.followed.n_unread
        if now_us < self._again_us or not self._has_caught_up:
            return has_read
        try:
            self._bring_up()
        except RegistryError as error:
            self._lose(error)
            return False
        if self.is_right:
            self._behind_us = self.now_us()
        return has_read or bool(self.followed.changed)

    def _bring_up(self) -> None:
        if self._registry is None:
            self._rebuild(self._open())
        registry = self._registry
        assert registry is not None
        if self.followed.changed:
            self._write(registry)
        elif self.now_us() - self._beat_us >= BEAT_EVERY_US:
            if registry.writer() != self.followed.run:
                raise FencedError("another run writes this registry, or it was emptied")
            self._beat_us = self.now_us()
        self.failure, self._wait_us = "", AGAIN_FIRST_US

    def _rebuild(self, registry: RedisRegistry) -> None:
        """Write everything that is in force, and empty what is not; then the registry is complete."""
        followed = self.followed
        try:
            replaces = not self._claim(registry)
            strays = set(registry.entities())
            strays -= {(d, self._shown(d, entity)) for d, entity in followed.in_force()}
            until_ms = self._clock.now_us() // 1_000 + EMPTY_MS
            empty = b'{"seq":%d,"restrictions":[]}' % followed.seq
            followed.all_changed()
            while followed.changed:
                self._write(registry, replaces=replaces)
            for batch in _batches(sorted(strays)):
                entries = [Entry(*key, followed.seq, empty, until_ms) for key in batch]
                registry.write(entries, replaces=replaces)
            registry.complete()
        except RegistryError:
            registry.close()
            raise
        self._registry = registry
        self._beat_us = self.now_us()
        self.counts["rebuilds"] += 1

    def _claim(self, registry: RedisRegistry) -> bool:
        """Become the one that writes, unless another came while we were writing; whether all that is there is ours."""
        if registry.writer() not in ("", self.followed.run) and self._has_written:
            self.is_displaced = True
            raise RegistryError(
                "another engine has taken this registry over: give each its own `prefix`"
            )
        is_ours = registry.begin()
        self._has_written = True
        return is_ours

    def _write(self, registry: RedisRegistry, *, replaces: bool = False) -> None:
        batch = list(islice(self.followed.changed.items(), BATCH))
        now_ms = self._clock.now_us() // 1_000
        entries = [self.followed.entry(e, self._shown, now_ms) for e, _ in batch]
        registry.write(entries, replaces=replaces)
        for entity, seq in batch:
            self.followed.written(entity, seq)
        self.counts["writes"] += len(batch)

    def _lose(self, error: RegistryError) -> None:
        """Redis is not to be had: forget the connection, and wait before the next."""
        if self._registry is not None:
            self._registry.close()
            self._registry = None
        self.counts["failed"] += 1
        self.failure = str(error)
        self._again_us = self.now_us() + self._wait_us
        self._wait_us = min(2 * self._wait_us, AGAIN_MAX_US)

    def status(self) -> dict[str, Any]:
        """What an operator may want to know."""
        return {
            "waiting": len(self.followed.changed),
            "unread_bytes": self.followed.n_unread,
            "lag_s": 0.0 if self.is_right else (self.now_us() - self._behind_us) / 1e6,
            "failure": self.failure,
            **self.counts,
        }

    def close(self) -> None:
        """Keep the place, and let go."""
        self.followed.keep()
        if self._registry is not None:
            self._registry.close()


def _batches(entities: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    for start in range(0, len(entities), BATCH):
        yield entities[start : start + BATCH]


def names_of(settings: RedisSettings, schema_path: str) -> Callable[[str, str], str]:
    """How an entity is named in its key: as it is, or by its pseudonym; `ConfigError` without a key for that."""
    if not settings.pseudonyms:
        return lambda _domain, entity: entity
    key = read_key()
    if key is None:
        raise ConfigError(
            f"`pseudonyms` is true, and {KEY_ENV} is not set",
            why="without the key nobody could look a pseudonym up",
            fix=f"set {KEY_ENV} for the engine and for those who look up",
        )
    book = Pseudonyms(schemas.read(Path(schema_path)), key)
    return lambda domain, entity: (
        book.of(domain, entity) if book.is_personal_domain(domain) else entity
    )


def read_password(settings: RedisSettings) -> str:
    """The password, "" without one; `ConfigError` if the variable is not set."""
    if not settings.password_env:
        return ""
    password = os.environ.get(settings.password_env, "")
    if not password:
        raise ConfigError(
            f"`password_env` names {settings.password_env}, which is not set",
            why="Redis asks for the password of the user",
            fix="set it for the engine, or correct weir.yaml",
        )
    return password


def open_follower(
    disk: Disk, root: Path, settings: RedisSettings, schema_path: str, clock: Clock
) -> Follower:
    """The follower of an output folder; `ConfigError` if a secret is missing."""
    followed = Followed([streams_of(disk, root)], disk, root / FILE)
    return follower_of(followed, settings, schema_path, clock)


def follower_of(
    followed: Followed, settings: RedisSettings, schema_path: str, clock: Clock
) -> Follower:
    """A follower that brings the Redis of `settings` up to date; `ConfigError` if a secret is missing."""
    password, shown = read_password(settings), names_of(settings, schema_path)
    return Follower(followed, lambda: RedisRegistry(settings, followed.run, password), shown, clock)


class Alarm:
    """Say on standard error that Redis is behind, now and then, and that it is over."""

    def __init__(self) -> None:
        self._said_us: int | None = None

    def look(self, status: dict[str, Any], now_us: int) -> None:
        if not status["failure"]:
            if self._said_us is not None:
                print("note: the registry of restrictions is right again", file=sys.stderr)
            self._said_us = None
        elif self._said_us is None or now_us - self._said_us >= WARN_EVERY_US:
            self._said_us = now_us
            print(
                f"warning: the registry of restrictions in Redis is behind; decisions are not touched: "
                f"{status['failure']}",
                file=sys.stderr,
            )


def main() -> int:
    """Follow until the engine has gone."""
    ear = Ear()
    begin, requests = ear.begin()
    root, clock = Path(begin["root"]), SystemClock()
    try:
        settings = msgspec.convert(begin["settings"], RedisSettings)
        disk = open_disk(root, *encryption_of(begin))
        follower = open_follower(disk, root, settings, begin["schema"], clock)
    except WeirError as error:
        print(f"error: the registry of restrictions is not written: {error}", file=sys.stderr)
        return 2
    alarm, told_us, told = Alarm(), 0, dict[str, Any]()
    while not any("stop" in request for request in requests):
        has_more = follower.step()
        status, now_us = follower.status(), follower.now_us()
        if status != told and now_us - told_us >= TELL_EVERY_US:
            ear.tell({"status": status})
            alarm.look(status, now_us)
            told, told_us = status, now_us
        requests = ear.listen(0.0 if has_more else LOOK_EVERY_US / 1e6)
    follower.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
