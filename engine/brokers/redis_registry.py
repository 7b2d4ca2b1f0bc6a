"""The restriction registry in Redis, as it is written: versioned, fenced, one round trip for many entities.

    PREFIX:DOMAIN:ID     JSON {"seq": N, "restrictions": [...]}, seq first; expires with the last of them
    PREFIX:writer        the run that may write; gone if Redis was emptied
    PREFIX:complete      the run, once everything in force has been written; absent while that is not so

A value is set by a script that compares: nothing is written by another run than `writer` names, and no value replaces
one of a higher seq, unless what stands there is another run's. So whatever comes late, from a process that was thought
dead or a connection that hung, changes nothing. What nobody is restricted by any more is left as an empty list for an
hour, for the same reason.

The connection is held by hand: a client that reconnects by itself would hide that Redis was restarted from an old
snapshot. Whoever gets a `RegistryError` closes, opens anew, and writes everything again.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.outlets import RedisSettings

EMPTY_MS: Final = 3_600_000  # how long an empty list stays
SCAN_COUNT: Final = 1_000
SET_IF_NEWER: Final = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return -1 end
local held = redis.call('GET', KEYS[1])
if held and ARGV[5] == '0' then
  local seq = string.match(held, '^{"seq":(%d+)')
  if seq and tonumber(seq) > tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
return 1
"""


class RegistryError(Exception):
    """Redis could not be reached, or did not do what it was asked."""


class FencedError(RegistryError):
    """Another run writes this registry, or nobody does because it was emptied."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in the registry about one entity. expires_ms : when its key ends, milliseconds since 1970 UTC."""

    domain: str
    entity: str
    seq: int
    value: bytes
    expires_ms: int


class RedisRegistry:
    """One connection to Redis. Every call may raise `RegistryError`, and after one only `close` makes sense."""

    def __init__(self, settings: RedisSettings, run: str, password: str = "") -> None:
        self._run, self._prefix = run, settings.prefix
        timeout_s = settings.timeout_us / 1e6
        try:
            self._client = redis.Redis.from_url(
                settings.url,
                username=settings.user or None,
                password=password or None,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                client_name="weir-registry",
            )
            pool: Any = self._client.connection_pool  # whose connections have no types
            self._connection = pool.make_connection()
            self._connection.connect()
        except (redis.RedisError, OSError) as error:
            raise RegistryError(_said(error)) from None
        [self._script] = self._ask([("SCRIPT", "LOAD", SET_IF_NEWER)])

    @property
    def _writer_key(self) -> str:
        return f"{self._prefix}:writer"

    @property
    def _complete_key(self) -> str:
        return f"{self._prefix}:complete"

    def key(self, domain: str, entity: str) -> str:
        """Where an entity stands."""
        return f"{self._prefix}:{domain}:{entity}"

    def writer(self) -> str:
        """The run that may write; "" if there is none."""
        [found] = self._ask([("GET", self._writer_key)])
        return _text(found)

    def begin(self) -> bool:
        """From here on this run writes, and the registry is not complete until `complete`.

        Returns whether everything that stands there is surely this run's: seqs of another say nothing beside ours.
        """
        complete, *_ = self._ask(
            [
                ("GET", self._complete_key),
                ("DEL", self._complete_key),
                ("SET", self._writer_key, self._run),
            ]
        )
        return _text(complete) == self._run

    def complete(self) -> None:
        """Everything in force has been written."""
        self._ask([("SET", self._complete_key, self._run)])

    def write(self, entries: Sequence[Entry], *, replaces: bool = False) -> int:
        """Write entries, in one round trip; how many were not older than what stood there. `FencedError`.

        replaces : whatever stood there
        """
        found = self._ask(
            [
                (
                    *("EVALSHA", self._script, 2, self.key(entry.domain, entry.entity)),
                    *(self._writer_key, self._run, entry.seq, entry.value, entry.expires_ms),
                    int(replaces),
                )
                for entry in entries
            ]
        )
        if -1 in found:
            raise FencedError("another run writes this registry, or it was emptied")
        return found.count(1)

    def entities(self) -> Iterator[tuple[str, str]]:
        """Domain and id of every entity that has a key."""
        cursor = "0"
        while True:
            [(told, keys)] = self._ask(
                [("SCAN", cursor, "MATCH", f"{self._prefix}:*", "COUNT", SCAN_COUNT)]
            )
            for key in keys:
                domain, mark, entity = _text(key)[len(self._prefix) + 1 :].partition(":")
                if mark:
                    yield domain, entity
            cursor = _text(told)
            if cursor == "0":
                return

    def close(self) -> None:
        self._connection.disconnect()
        self._client.close()

    def _ask(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send all commands, then read all answers."""
        connection = self._connection
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            answers = [connection.read_response() for _ in commands]
        except (redis.RedisError, OSError) as error:
            raise RegistryError(_said(error)) from None
        return answers


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _text(found: Any) -> str:
    return (
        found.decode("utf-8", "surrogateescape") if isinstance(found, bytes) else str(found or "")
    )


def looked_up(settings: RedisSettings, entities: Sequence[tuple[str, str]]) -> list[Any] | None:
    """What other systems do: restrictions on each (domain, id), in one round trip; None while they are not complete."""
    keys = [f"{settings.prefix}:complete", *(f"{settings.prefix}:{d}:{id_}" for d, id_ in entities)]
    with redis.Redis.from_url(settings.url) as client:
        complete, *found = client.mget(keys)
    return [json.loads(v)["restrictions"] if v else [] for v in found] if complete else None
