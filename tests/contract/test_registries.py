"""Every registry keeps the same promises: the one in Redis, and its twin in memory that the state machine uses."""

import json
import time

import pytest

from config.outlets import RedisSettings
from engine.brokers.redis_registry import Entry, FencedError, RedisRegistry, RegistryError
from engine.clock import SystemClock
from tests.memory_redis import MemoryRedis
from tests.redis_server import Redis, needs_redis


def now_ms():
    return SystemClock().now_us() // 1_000


class Real:
    """A real server, asked like the twin."""

    def __init__(self, server):
        self.server = server

    def open(self, run):
        return RedisRegistry(RedisSettings(url=self.server.url, timeout="30s"), run)

    def live(self):
        keys = self.server.ask("KEYS", "*")
        found = {key: self.server.ask("GET", key) for key in keys}
        # A key may end between the two questions.
        return {key: value for key, value in found.items() if value is not None}

    def save(self):
        self.server.ask("SAVE")

    def kill(self):
        self.server.kill()

    def start(self):
        self.server.start()

    def empty(self):
        self.server.ask("FLUSHALL")


@pytest.fixture(params=["memory", pytest.param("redis", marks=needs_redis)])
def server(request, tmp_path):
    if request.param == "memory":
        yield MemoryRedis(now_ms)
        return
    with Redis(tmp_path, "--dbfilename", "saved.rdb") as redis:
        yield Real(redis)


def entry(name, seq, *ids, domain="account", ends_ms=None):
    value = {"seq": seq, "restrictions": [{"id": id_} for id_ in ids]}
    text = json.dumps(value, separators=(",", ":")).encode()
    return Entry(domain, name, seq, text, now_ms() + 60_000 if ends_ms is None else ends_ms)


def held(server):
    """What stands there: restrictions by entity."""
    return {
        key.removeprefix("weir:r:"): [one["id"] for one in json.loads(value)["restrictions"]]
        for key, value in server.live().items()
        if key.count(":") > 2
    }


def test_only_the_writer_writes_and_only_what_is_not_older(server):
    first, second = server.open("one"), server.open("two")
    assert first.writer() == ""
    with pytest.raises(FencedError):
        first.write([entry("A", 1, "r-1")])
    first.begin()
    assert second.writer() == "one"
    assert first.write([entry("A", 5, "r-5"), entry("B:1", 3), entry("A", 4)]) == 2
    assert first.write([entry("A", 5)]) == 1, "the same again, as after a crash"
    with pytest.raises(FencedError):
        second.write([entry("A", 9, "r-9")])
    assert held(server) == {"account:A": [], "account:B:1": []}
    second.begin()
    with pytest.raises(FencedError):
        first.write([entry("A", 9, "r-9")])
    assert second.write([entry("A", 9, "r-9")]) == 1
    assert held(server)["account:A"] == ["r-9"]


def test_complete_says_who_and_begin_takes_it_back(server):
    one = server.open("one")
    one.begin()
    assert "weir:r:complete" not in server.live()
    one.complete()
    assert server.live()["weir:r:complete"] == "one"
    one.begin()
    assert "weir:r:complete" not in server.live()


def test_entities_are_listed_whatever_their_ids_look_like(server):
    one = server.open("one")
    one.begin()
    one.complete()
    names = [("account", "A"), ("card", "4:5:6"), ("customer", "ö K")]
    one.write([entry(name, 1, domain=domain) for domain, name in names])
    assert sorted(one.entities()) == names


def test_what_another_run_has_left_is_told_and_replaced(server):
    """Its seqs say nothing beside ours; `begin` says whether there may be any."""
    one, two = server.open("one"), server.open("two")
    assert not one.begin()
    one.write([entry("A", 9, "r-9")])
    one.complete()
    assert one.begin(), "complete, and by the same"
    assert not one.begin(), "begun, and never completed"
    one.complete()
    assert not two.begin()
    assert two.write([entry("A", 1, "r-1")]) == 0
    assert two.write([entry("A", 1, "r-1")], replaces=True) == 1
    assert held(server) == {"account:A": ["r-1"]}
    with pytest.raises(FencedError):
        one.write([entry("A", 10, "r-9")], replaces=True)


def test_a_key_ends_when_it_should(server):
    one = server.open("one")
    one.begin()
    soon_ms = now_ms() + 60
    one.write([entry("A", 1, "r-1", ends_ms=soon_ms), entry("B", 1, "r-2", ends_ms=1)])
    assert "account:B" not in held(server)
    end = time.monotonic() + 120.0
    while "account:A" in held(server):
        assert time.monotonic() < end
    assert now_ms() >= soon_ms
    assert one.write([entry("A", 0, "r-0")]) == 1, "what has ended is no longer newer"


def test_whoever_was_connected_when_it_died_must_open_anew_and_finds_what_was_saved(server):
    one = server.open("one")
    one.begin()
    one.write([entry("A", 1, "r-1")])
    server.save()
    one.write([entry("A", 2), entry("B", 2, "r-2")])
    server.kill()
    with pytest.raises(RegistryError):
        one.writer()
    with pytest.raises(RegistryError):
        server.open("one")
    server.start()
    with pytest.raises(RegistryError):
        one.write([entry("A", 3)])
    again = server.open("one")
    assert again.writer() == "one"
    assert held(server) == {"account:A": ["r-1"]}
    server.empty()
    assert again.writer() == ""
    with pytest.raises(FencedError):
        again.write([entry("A", 3)])
