"""Lists in a real Redis: read when their version changes, and kept when Redis is away or emptied."""

import pytest

from config.outlets import RedisSettings
from tests.redis_server import Redis, needs_redis

pytestmark = needs_redis


@pytest.fixture
def server(tmp_path):
    with Redis(tmp_path) as found:
        yield found


@pytest.fixture
def lists(server):
    from engine.brokers.redis_lists import RedisLists

    found = RedisLists(RedisSettings(url=server.url), "w:lists", ["mules", "watched"])
    yield found
    found.stop()


def swap(server, name, version, *values):
    server.ask("DEL", f"w:lists:{name}")
    for value in values:
        server.ask("SADD", f"w:lists:{name}", value)
    server.ask("SET", f"w:lists:{name}:version", version)


def shown(lists):
    return {name: (of.version, sorted(of.values)) for name, of in lists.latest.items()}


def test_a_list_is_read_when_its_version_changes(server, lists):
    lists.look()
    assert shown(lists) == {}
    swap(server, "mules", "1", "A1", "A2")
    lists.look()
    assert shown(lists) == {"mules": ("1", ["A1", "A2"])}
    before = lists.latest
    server.ask("SADD", "w:lists:mules", "A3")  # not told yet
    lists.look()
    assert lists.latest is before
    swap(server, "mules", "2", "A3")
    swap(server, "watched", "x")
    lists.look()
    assert shown(lists) == {"mules": ("2", ["A3"]), "watched": ("x", [])}


def test_a_redis_that_is_away_or_emptied_takes_no_list_away(server, lists):
    import redis

    swap(server, "mules", "1", "A1")
    lists.look()
    server.ask("FLUSHALL")
    lists.look()
    assert shown(lists) == {"mules": ("1", ["A1"])}
    server.kill()
    with pytest.raises(redis.RedisError):
        lists.look()
    assert shown(lists) == {"mules": ("1", ["A1"])}


def test_a_list_that_is_too_long_stays_as_it_was(server, lists, monkeypatch, capsys):
    from engine.brokers import redis_lists

    monkeypatch.setattr(redis_lists, "VALUES_MAX", 2)
    swap(server, "mules", "1", "A1", "A2", "A3")
    lists.look()
    lists.look()
    assert shown(lists) == {}
    assert capsys.readouterr().err.count("put it into a file") == 1
