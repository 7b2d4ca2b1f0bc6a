"""The restriction registry in a real Redis: what stands there, who may write it, and what a lost Redis costs."""

import json
import time

import pytest

from config.errors import ConfigError
from config.outlets import RedisSettings
from engine.brokers.redis_registry import Entry, FencedError, RedisRegistry, RegistryError
from engine.clock import SystemClock
from engine.durable.disk import RealDisk
from engine.outcomes import rfc3339
from engine.sinks.following import open_follower
from tests.core_banking import command, write
from tests.redis_server import Redis, needs_redis

pytestmark = needs_redis
WAIT_S = 120.0
HOUR_US = 3_600_000_000


@pytest.fixture
def redis(tmp_path):
    folder = tmp_path / "redis"
    folder.mkdir()
    with Redis(folder) as server:
        yield server


@pytest.fixture
def root(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def restrict(n, account, *, hours=5, **more):
    now_us = SystemClock().now_us()
    times = {"started_at": rfc3339(now_us), "expires_at": rfc3339(now_us + round(hours * HOUR_US))}
    return (
        command(n, account) | times | {"amount_minor": None, "channels": [], "order": None} | more
    )


def ended(n, account, of, verb="release"):
    return command(n, account, verb=verb) | {"restriction_id": f"r-{of}"}


def follower(root, redis, **more):
    settings = RedisSettings(url=redis.url, timeout="1s", **more)
    return open_follower(RealDisk(), root, settings, "", SystemClock())


def until_right(one, wait_s=WAIT_S):
    end = time.monotonic() + wait_s
    while one.step() or not one.is_right:
        assert time.monotonic() < end, one.status()
        time.sleep(0.002)


def looked_up(redis, *keys):
    """Ids of the restrictions on each entity, in one round trip as the README says."""
    found = redis.ask("MGET", *[f"weir:r:{key}" for key in keys])
    return [None if v is None else [r["id"] for r in json.loads(v)["restrictions"]] for v in found]


def test_account_card_and_customer_are_looked_up_in_one_round_trip(root, redis):
    card = restrict(2, "") | {
        "entity": {"card": "C7"},
        "level": "limit",
        "amount_minor": 10_000,
        "channels": ["web"],
    }
    write(root / "commands.ndjson", [restrict(1, "A1"), card, restrict(3, "A1", hours=9)])
    one = follower(root, redis)
    until_right(one)
    assert looked_up(redis, "account:A1", "card:C7", "customer:K3") == [
        ["r-1", "r-3"],
        ["r-2"],
        None,
    ]
    told = json.loads(redis.ask("GET", "weir:r:card:C7"))
    assert told["seq"] == 2
    [restriction] = told["restrictions"]
    assert restriction == {
        "id": "r-2", "level": "limit", "amount_minor": 10_000, "channels": ["web"],
        "started_at": card["started_at"], "expires_at": card["expires_at"],
    }  # fmt: skip
    assert redis.ask("GET", "weir:r:complete") == one.followed.run


def test_the_key_ends_with_the_last_of_its_restrictions(root, redis):
    write(
        root / "commands.ndjson",
        [restrict(1, "A1", hours=5), restrict(2, "A1", hours=2), restrict(3, "A2", hours=-1)],
    )
    until_right(follower(root, redis))
    assert 4.9 * 3_600 < redis.ask("TTL", "weir:r:account:A1") <= 5 * 3_600
    assert looked_up(redis, "account:A2") == [None], "it was over before it was written"


def test_releases_expiries_and_rejections_remove_only_their_restriction(root, redis):
    write(root / "commands.ndjson", [restrict(n, "A1") for n in (1, 2, 3, 4)])
    one = follower(root, redis)
    until_right(one)
    write(root / "commands.ndjson", [ended(5, "A1", 1), ended(6, "A1", 2, "expired")], "ab")
    rejected = {"alert_id": "a", "reason": "COMMAND_REJECTED", "restriction_id": "r-3", "seq": 7}
    write(root / "alerts.ndjson", [rejected])
    until_right(one)
    assert looked_up(redis, "account:A1") == [["r-4"]]
    write(root / "commands.ndjson", [ended(8, "A1", 4)], "ab")
    until_right(one)
    assert looked_up(redis, "account:A1") == [[]]
    assert 0 < redis.ask("TTL", "weir:r:account:A1") <= 3_600, "what nobody is restricted by goes"


def test_what_is_only_observed_binds_nobody_outside(root, redis):
    write(root / "commands.ndjson", [restrict(1, "A1", effect="observe")])
    until_right(follower(root, redis))
    assert looked_up(redis, "account:A1") == [None]


def test_a_rejection_that_is_read_before_the_restriction_counts(root, redis):
    rejected = {"alert_id": "a", "reason": "COMMAND_REJECTED", "restriction_id": "r-3", "seq": 7}
    write(root / "alerts.ndjson", [rejected])
    one = follower(root, redis)
    until_right(one)
    write(root / "commands.ndjson", [restrict(3, "A1")])
    until_right(one)
    assert looked_up(redis, "account:A1") == [None]


def test_a_late_write_changes_nothing(root, redis):
    """From a process that was thought dead: older than what stands there, or of another run."""
    write(root / "commands.ndjson", [restrict(1, "A1"), ended(9, "A1", 1)])
    one = follower(root, redis)
    until_right(one)
    settings = RedisSettings(url=redis.url)
    late = RedisRegistry(settings, one.followed.run)
    until_ms = SystemClock().now_us() // 1_000 + 60_000
    old = Entry("account", "A1", 1, b'{"seq":1,"restrictions":[{"id":"r-1"}]}', until_ms)
    write(root / "commands.ndjson", [restrict(10, "A2"), ended(11, "A2", 10)], "ab")
    until_right(one)
    older = Entry("account", "A2", 10, b'{"seq":10,"restrictions":[{"id":"r-10"}]}', until_ms)
    assert late.write([older]) == 0
    assert looked_up(redis, "account:A2") == [[]]
    stranger = RedisRegistry(settings, "somebody else")
    with pytest.raises(FencedError):
        stranger.write([old])
    late.close()
    stranger.close()


def test_an_emptied_redis_is_filled_again(root, redis):
    """The connection holds, and nothing is to be written: only the look at its own mark tells."""
    write(root / "commands.ndjson", [restrict(n, f"A{n}") for n in range(1, 30)])
    one = follower(root, redis)
    until_right(one)
    redis.ask("FLUSHALL")
    end = time.monotonic() + WAIT_S
    while looked_up(redis, "account:A29") != [["r-29"]]:
        assert time.monotonic() < end
        one.step()
        time.sleep(0.002)
    until_right(one)
    assert redis.ask("GET", "weir:r:complete") == one.followed.run


def test_a_redis_that_came_back_with_an_old_state_is_put_right(tmp_path, root):
    """It was saved, then somebody was released and somebody restricted, then it died: the save knows neither."""
    folder = tmp_path / "saved"
    folder.mkdir()
    with Redis(folder, "--dbfilename", "old.rdb") as redis:
        write(root / "commands.ndjson", [restrict(1, "A1"), restrict(2, "A2")])
        one = follower(root, redis)
        until_right(one)
        redis.ask("SAVE")
        write(root / "commands.ndjson", [ended(3, "A1", 1), restrict(4, "A3")], "ab")
        until_right(one)
        redis.kill()
        redis.start()
        assert looked_up(redis, "account:A1", "account:A3") == [["r-1"], None], (
            "it remembers the save"
        )
        end = time.monotonic() + WAIT_S
        while looked_up(redis, "account:A1", "account:A2", "account:A3") != [[], ["r-2"], ["r-4"]]:
            assert time.monotonic() < end
            one.step()
            time.sleep(0.002)


def test_a_down_redis_is_a_growing_backlog_and_then_nothing_is_missing(root, redis):
    one = follower(root, redis)
    until_right(one)
    redis.kill()
    for n in range(1, 40):
        write(root / "commands.ndjson", [restrict(n, f"A{n}")], "ab")
        one.step()
    status = one.status()
    assert status["waiting"] == 39
    assert status["failure"]
    assert status["lag_s"] > 0
    redis.start()
    until_right(one)
    assert looked_up(redis, *[f"account:A{n}" for n in range(1, 40)]) == [
        [f"r-{n}"] for n in range(1, 40)
    ]
    assert one.status()["waiting"] == 0


def test_a_start_goes_on_from_its_shortcut_and_finds_what_ended_meanwhile(root, redis):
    write(root / "commands.ndjson", [restrict(n, f"A{n}") for n in range(1, 6)])
    one = follower(root, redis)
    until_right(one)
    one.close()
    write(root / "commands.ndjson", [ended(7, "A1", 1), restrict(8, "A8")], "ab")
    two = follower(root, redis)
    assert two.followed.run == one.followed.run
    assert two.followed.n_unread < 1_000
    until_right(two)
    assert looked_up(redis, "account:A1", "account:A2", "account:A8") == [[], ["r-2"], ["r-8"]]


def test_a_start_without_its_shortcut_reads_everything_and_takes_the_registry_over(root, redis):
    write(root / "commands.ndjson", [restrict(1, "A1"), ended(2, "A1", 1), restrict(3, "A3")])
    one = follower(root, redis)
    until_right(one)
    (root / "registry.json").unlink()
    two = follower(root, redis)
    assert two.followed.run != one.followed.run
    until_right(two)
    assert looked_up(redis, "account:A1", "account:A3") == [[], ["r-3"]]
    write(root / "commands.ndjson", [restrict(4, "A4")], "ab")
    end = time.monotonic() + WAIT_S
    while "give each its own" not in one.status()["failure"]:
        assert time.monotonic() < end, "it fights"
        one.step()
        time.sleep(0.002)
    until_right(two)
    assert looked_up(redis, "account:A4") == [["r-4"]]


def test_keys_hold_pseudonyms_where_the_settings_say_so(root, redis, monkeypatch):
    from config.pseudonyms import KEY_ENV, Pseudonyms
    from config.schema import read
    from config.settings import BANK

    write(root / "commands.ndjson", [restrict(1, "A1")])
    settings = RedisSettings(url=redis.url, pseudonyms=True)
    path = str(BANK / "schema.yaml")
    monkeypatch.delenv(KEY_ENV, raising=False)
    with pytest.raises(ConfigError, match="`pseudonyms` is true"):
        open_follower(RealDisk(), root, settings, path, SystemClock())
    monkeypatch.setenv(KEY_ENV, "k" * 32)
    until_right(open_follower(RealDisk(), root, settings, path, SystemClock()))
    book = Pseudonyms(read(BANK / "schema.yaml"), b"k" * 32)
    name = book.of("account", "A1") if book.is_personal_domain("account") else "A1"
    assert looked_up(redis, f"account:{name}") == [["r-1"]]


def test_a_password_is_asked_for_and_never_stands_in_a_file(tmp_path, root, monkeypatch):
    folder = tmp_path / "guarded"
    folder.mkdir()
    server = Redis(folder, "--requirepass", "tell nobody")
    monkeypatch.setattr(server, "ask", lambda *_: "PONG")
    with server:
        settings = RedisSettings(url=server.url, password_env="WEIR_REDIS_PASSWORD")
        with pytest.raises(ConfigError, match="password_env"):
            open_follower(RealDisk(), root, settings, "", SystemClock())
        said = "refused"
        end = time.monotonic() + WAIT_S
        while "refused" in said.lower():  # it has not started yet
            assert time.monotonic() < end
            with pytest.raises(RegistryError) as error:
                RedisRegistry(settings, "run", "wrong")
            said = str(error.value)
            time.sleep(0.01)
        assert "password" in said
        monkeypatch.setenv("WEIR_REDIS_PASSWORD", "tell nobody")
        write(root / "commands.ndjson", [restrict(1, "A1")])
        until_right(open_follower(RealDisk(), root, settings, "", SystemClock()))
