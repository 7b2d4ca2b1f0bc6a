"""Shared lists in Redis: looked at every second, read whole when their version has changed.

    PREFIX:NAME            a set of the values
    PREFIX:NAME:version    any text; whoever changes the set changes it too, in the same transaction (MULTI)

A list without a version is not shared, and one that has lost its version stays as it was: a Redis that was emptied
takes no list away. The engine never waits for Redis.
"""

import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Final

import redis

from config.outlets import RedisSettings
from engine.cluster.shared_lists import Shared

EVERY_S: Final = 1.0
VALUES_MAX: Final = (
    10_000  # a value is an input record of each partition; longer lists belong into files
)


class RedisLists:
    """`latest` is another mapping whenever something has changed; for any thread."""

    def __init__(
        self, settings: RedisSettings, prefix: str, names: Iterable[str], password: str = ""
    ) -> None:
        timeout_s = settings.timeout_us / 1e6
        self._client = redis.Redis.from_url(
            settings.url,
            username=settings.user or None,
            password=password or None,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            client_name="weir-lists",
        )
        self._prefix, self._names = prefix, sorted(names)
        self.latest: Mapping[str, Shared] = {}
        self._said: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lists", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more; return once it does not."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._client.close()

    def look(self) -> None:
        """Read what has changed. Raises `redis.RedisError` if Redis cannot be asked; then `latest` stays."""
        versions = self._client.mget([f"{self._prefix}:{name}:version" for name in self._names])
        found = dict(self.latest)
        for name, version in zip(self._names, versions, strict=True):
            if version is None or (name in found and found[name].version == _text(version)):
                continue
            with self._client.pipeline(transaction=True) as both:
                both.get(f"{self._prefix}:{name}:version")
                both.smembers(f"{self._prefix}:{name}")
                version, values = both.execute()
            if version is not None and self._is_short(name, len(values)):
                found[name] = Shared(_text(version), frozenset(map(_text, values)))
        if found != self.latest:
            self.latest = found

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
                self._said.discard("down")
            except (redis.RedisError, OSError) as error:
                self._say("down", f"shared lists stay as they are: Redis: {error}")
            self._stop.wait(EVERY_S)

    def _is_short(self, name: str, n: int) -> bool:
        if n > VALUES_MAX:
            what = f"{name} has {n:,} values in Redis, at most {VALUES_MAX:,} are shared: put it into a file"
            self._say(name, what)
        return n <= VALUES_MAX

    def _say(self, about: str, what: str) -> None:
        """On standard error, once."""
        if about not in self._said:
            self._said.add(about)
            print(f"warning: {what}", file=sys.stderr)


def swap(
    settings: RedisSettings, prefix: str, name: str, version: str, values: Iterable[str]
) -> None:
    """Have a shared list become `values`, in one transaction; whoever looks after a list does it like this."""
    with redis.Redis.from_url(settings.url) as client, client.pipeline(transaction=True) as both:
        both.delete(f"{prefix}:{name}")
        both.sadd(f"{prefix}:{name}", *values)
        both.set(f"{prefix}:{name}:version", version)
        both.execute()


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
