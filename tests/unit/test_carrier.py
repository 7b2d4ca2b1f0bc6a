"""What carries outcomes of a cluster out, on a broker in memory: when commands may leave, and what a new life does."""

import json
import threading
import time

import pytest

from config import settings as configurations
from config.errors import StateError
from engine.clock import SystemClock
from engine.cluster.carrier import MODES, Carrier, DisplacedError
from engine.cluster.topic_tail import TopicTail
from engine.durable.disk import RealDisk
from engine.durable.encrypted_disk import unlocked
from engine.outcomes import rfc3339
from engine.sinks import outlets
from engine.sinks.following import Follower
from engine.sinks.registry import Followed, Streams
from tests.auditing import small_bank
from tests.clustering import MemoryBroker, MemoryOutcomes
from tests.core_banking import command
from tests.memory_redis import MemoryRedis
from tests.redis_server import Redis, needs_redis

WAIT_S = 120.0


class Cluster:
    """Two partitions whose commands go into a file."""

    def __init__(self, folder, **sections):
        bank, self.home, self.spool = small_bank(folder / "bank"), folder / "home", folder / "spool"
        sections = sections or {"sink": {"file": str(self.spool)}}
        with (bank / "weir.yaml").open("a") as file:
            file.writelines(f"\n{name}: {json.dumps(told)}" for name, told in sections.items())
        self.configuration = configurations.load(bank)
        self.broker = MemoryBroker(2)

    def publish(self, partition, stream, *lines):
        publisher = self.broker.publisher(partition)
        upto = publisher.begin()
        publisher.publish({stream: [json.dumps(line).encode() for line in lines]}, [], upto)

    def carrier(self):
        return Carrier(
            MemoryOutcomes(self.broker), RealDisk(), self.home, self.configuration, SystemClock()
        )

    def live(self, until, carrier=None):
        """A life that ends in order once something is so."""
        carrier, end = carrier or self.carrier(), time.monotonic() + WAIT_S

        def is_over():
            assert time.monotonic() < end, carrier.numbers(outlets.SINK)
            return until(carrier)

        carrier.run(is_over)

    @property
    def left(self):
        """Ids of what has left."""
        lines = self.spool.read_bytes().splitlines() if self.spool.exists() else []
        return [json.loads(line)["command_id"] for line in lines]


def switched(effect, seq):
    return {"reason": "MODE_SWITCHED", "effect": effect, "seq": seq}


def settled(carrier):
    """Whether everything that is there has become of something."""
    return bool(carrier._status) and carrier._status[outlets.SINK]["idle"]


def test_what_a_partition_withheld_while_nobody_looked_does_not_leave(tmp_path):
    """Each partition for itself, from the seq on that its alert names; a new life knows what the one before has read."""
    cluster = Cluster(tmp_path)
    cluster.publish(0, "commands", command(1, "A"))
    cluster.publish(1, "commands", command(2, "B"))
    cluster.publish(0, "alerts", switched("observe", 3))
    cluster.live(settled)
    assert cluster.left == ["c-2"]
    assert json.loads((cluster.home / MODES).read_bytes())["alerts/0"][0] == 1
    lifting = command(5, "A", verb="release") | {"restriction_id": "r-1"}
    cluster.publish(0, "commands", command(4, "A"), lifting)
    cluster.live(settled)
    assert cluster.left == ["c-2", "c-5"], "whether the restriction ever left is not known"
    cluster.publish(0, "commands", command(6, "A"))
    cluster.publish(0, "alerts", switched("enforce", 8))
    cluster.publish(0, "commands", command(9, "A"))
    cluster.live(settled)
    assert cluster.left == ["c-2", "c-5", "c-9"]
    answers = [json.loads(record.line) for record in cluster.broker.records(0)]
    assert [(a["command"], a["command_id"]) for a in answers] == [
        ("withheld", f"c-{n}") for n in (1, 4, 6)
    ]
    assert not cluster.broker.records(1)


def test_a_topic_that_has_lost_what_comes_next_ends_it(tmp_path):
    """Beginning with what is there would hide that commands were never carried out."""
    cluster = Cluster(tmp_path)
    cluster.publish(0, "commands", command(1, "A"), command(2, "A"))
    cluster.live(settled)
    cluster.broker.visible[0].clear()
    with pytest.raises(StateError, match="what follows offset 2 is not there"):
        cluster.carrier()


def test_numbers_tell_how_far_it_is(tmp_path):
    cluster = Cluster(tmp_path)
    cluster.publish(1, "commands", command(1, "A"), command(2, "B"))
    carrier = cluster.carrier()
    cluster.live(settled, carrier)
    told = carrier.numbers(outlets.SINK)
    assert (told["delivered"], told["waiting"], told["unread_records"]) == (2, 0, 0)
    assert carrier.stuck() == ""
    carrier._seen_ns["sink"] -= 10**12
    assert carrier.stuck().startswith("the sink has given no sign for 1")


def test_an_entity_of_two_partitions_is_right_whatever_their_seqs_are(tmp_path):
    """Seqs of partitions have nothing to do with each other, and Redis refuses what looks older."""
    now_us = SystemClock().now_us()
    times = {"started_at": rfc3339(now_us), "expires_at": rfc3339(now_us + 36 * 10**8)}
    streams = [Streams(TopicTail("c", n, 0, 0), TopicTail("a", n, 0, 0)) for n in range(2)]
    followed = Followed(streams, RealDisk(), tmp_path / "registry.json", run="one life")
    server = MemoryRedis(lambda: SystemClock().now_us() // 1_000)
    follower = Follower(
        followed, lambda: server.open("one life"), lambda _, id_: id_, SystemClock()
    )

    def held():
        end = time.monotonic() + WAIT_S
        while follower.step() or not follower.is_right:
            assert time.monotonic() < end, follower.status()
        told = json.loads(server.live()["weir:r:merchant:M1"])
        return [one["id"] for one in told["restrictions"]]

    def say(partition, line):
        tail = streams[partition].commands
        at = tail.at
        tail.put([(at, json.dumps(line).encode())], at + 1, at + 1)

    about = times | {"entity": {"merchant": "M1"}}
    say(0, command(1_000, "") | about)
    assert held() == ["r-1000"]
    say(0, command(1_001, "", verb="release") | about | {"restriction_id": "r-1000"})
    assert held() == []
    say(1, command(5, "") | about)
    assert held() == ["r-5"]
    say(1, command(6, "", verb="expired") | about | {"restriction_id": "r-5"})
    say(0, command(1_002, "") | about)
    assert held() == ["r-1002"]


@needs_redis
def test_what_is_kept_is_encrypted_where_the_settings_say_so(tmp_path):
    """It names who is restricted; and a next life goes on from it."""
    (tmp_path / "redis").mkdir()
    with Redis(tmp_path / "redis") as redis:
        cluster = Cluster(tmp_path, redis={"url": redis.url, "timeout": "30s"})
        now_us = SystemClock().now_us()
        times = {"started_at": rfc3339(now_us), "expires_at": rfc3339(now_us + 36 * 10**8)}
        cluster.publish(1, "commands", command(1, "ACCOUNT-NO-1") | times)
        for _ in range(2):
            disk = unlocked(RealDisk(), cluster.home, bytes(32), begins=True)
            carrier = Carrier(
                MemoryOutcomes(cluster.broker),
                disk,
                cluster.home,
                cluster.configuration,
                SystemClock(),
            )
            cluster.live(lambda _: redis.ask("GET", "weir:r:complete") is not None, carrier)
            assert "r-1" in redis.ask("GET", "weir:r:account:ACCOUNT-NO-1")
            redis.ask("FLUSHALL")
    kept = [path for path in cluster.home.rglob("*") if path.is_file()]
    assert kept
    assert not any(b"ACCOUNT-NO" in path.read_bytes() for path in kept)


@needs_redis
def test_of_two_that_write_the_registry_the_one_that_came_first_ends(tmp_path):
    """It cannot know whether what it has read is still all; whoever came later has read everything."""
    (tmp_path / "redis").mkdir()
    with Redis(tmp_path / "redis") as redis:
        cluster = Cluster(tmp_path, redis={"url": redis.url, "timeout": "30s"})
        first, second, over = cluster.carrier(), cluster.carrier(), threading.Event()
        ended = []

        def work():
            try:
                cluster.live(lambda _: over.is_set(), first)
            except DisplacedError as error:
                ended.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        end = time.monotonic() + WAIT_S
        while redis.ask("GET", "weir:r:complete") is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        cluster.live(lambda _: not thread.is_alive(), second)
        over.set()
        thread.join(WAIT_S)
        assert len(ended) == 1


def test_lines_that_nobody_reads_yet_are_bounded_and_marks_of_transactions_are_passed():
    tail = TopicTail("t", 0, 5, 9)
    assert (tail.at, tail.n_unread, tail.is_full) == (5, 4, False)
    tail.put([(5, b"a"), (7, b"b")], 9, 9)
    assert tail.n_unread == 2
    assert list(tail.read(1)) == [(5, b"a")]
    assert tail.at == 6
    assert list(tail.read(9)) == [(7, b"b")]
    assert (tail.at, tail.n_unread) == (9, 0), "8 held the end of a transaction"
    tail.put([(n, b"x") for n in range(9, 20_009)], 20_009, 20_009)
    assert tail.is_full
