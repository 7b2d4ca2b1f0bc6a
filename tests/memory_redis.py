"""A Redis in memory, as far as the restriction registry goes; tests/contract/test_registries.py holds it to a real one."""

import json

from engine.brokers.redis_registry import FencedError, RegistryError


class MemoryRedis:
    """The server: keys with an end, that dies, comes back as it was saved, or empty. now_ms : its clock."""

    def __init__(self, now_ms):
        self.now_ms, self.held, self.saved, self.life, self.is_up = now_ms, {}, {}, 0, True

    def live(self):
        """Keys that have not ended: key -> value."""
        return {k: v for k, (v, end) in self.held.items() if end is None or end > self.now_ms()}

    def save(self):
        self.saved = dict(self.held)

    def kill(self):
        self.is_up = False

    def start(self):
        """Come back with what was saved last, as a real one does; connections from before are dead."""
        if not self.is_up:
            self.held, self.is_up, self.life = dict(self.saved), True, self.life + 1

    def empty(self):
        self.held = {}

    def open(self, run, prefix="weir:r"):
        return MemoryRegistry(self, run, prefix)


class MemoryRegistry:
    """The twin of engine/brokers/redis_registry.py: RedisRegistry."""

    def __init__(self, server, run, prefix):
        self._server, self._run, self._prefix, self._life = server, run, prefix, server.life
        self._is_closed = False
        self._reach()

    def _reach(self):
        if not self._server.is_up or self._life != self._server.life or self._is_closed:
            raise RegistryError("nobody there")
        return self._server.live()

    def key(self, domain, entity):
        return f"{self._prefix}:{domain}:{entity}"

    def writer(self):
        return self._reach().get(f"{self._prefix}:writer", "")

    def begin(self):
        complete = self._reach().get(f"{self._prefix}:complete")
        self._server.held.pop(f"{self._prefix}:complete", None)
        self._server.held[f"{self._prefix}:writer"] = (self._run, None)
        return complete == self._run

    def complete(self):
        self._reach()
        self._server.held[f"{self._prefix}:complete"] = (self._run, None)

    def write(self, entries, *, replaces=False):
        found = [self._write(self._reach(), entry, replaces) for entry in entries]
        if -1 in found:
            raise FencedError("another run writes this registry, or it was emptied")
        return found.count(1)

    def _write(self, live, entry, replaces):
        if live.get(f"{self._prefix}:writer") != self._run:
            return -1
        key = self.key(entry.domain, entry.entity)
        if not replaces and key in live and json.loads(live[key])["seq"] > entry.seq:
            return 0
        self._server.held[key] = (entry.value, entry.expires_ms)
        return 1

    def entities(self):
        for key in sorted(self._reach()):
            domain, mark, entity = key.removeprefix(f"{self._prefix}:").partition(":")
            if key.startswith(f"{self._prefix}:") and mark:
                yield domain, entity

    def close(self):
        self._is_closed = True
