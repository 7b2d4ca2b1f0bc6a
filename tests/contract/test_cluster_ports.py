"""What every publisher of a partition promises (engine/cluster/ports.py), in memory and on a real broker."""

import asyncio
import threading
import time

import pytest

from config.cluster import ClusterSettings
from engine.cluster.ports import FencedError, Own
from tests.clustering import MemoryBroker, committed

WAIT_S = 180.0


class InMemory:
    """The twin."""

    def __init__(self):
        self.broker = MemoryBroker()

    def publisher(self):
        return self.broker.publisher()

    def lines(self, stream):
        return self.broker.lines(stream)

    def inputs(self):
        return [(record.line, record.owed, record.is_tick) for record in self.broker.records()]


class OnKafka:
    """A topic set of its own on a real broker; publishers are called from here and work in a loop of another thread."""

    def __init__(self, kafka, prefix):
        from engine.brokers.kafka.topics import prepare

        self.settings = ClusterSettings(brokers=kafka.address, prefix=prefix, partitions=1)
        self.loop, self.desks = asyncio.new_event_loop(), []
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run(prepare(self.settings))

    def publisher(self):
        """Of a worker of its own."""
        from engine.brokers.kafka.desk import Desk
        from engine.brokers.kafka.publisher import KafkaPublisher

        self.desks.append(Desk(self.settings, self.loop))
        return KafkaPublisher(self.desks[-1], 0)

    def close(self):
        for desk in self.desks:
            asyncio.run_coroutine_threadsafe(desk.stop(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)

    def read(self, topic):
        return asyncio.run(committed(self.settings.brokers, topic, 1))[0]

    def lines(self, stream):
        return [record.value for record in self.read(self.settings.topic(stream))]

    def inputs(self):
        from engine.brokers.kafka.bulk import record_of

        records = map(record_of, self.read(self.settings.input))
        return [(record.line, record.owed, record.is_tick) for record in records]


@pytest.fixture(params=["memory", "kafka"])
def system(request):
    if request.param == "memory":
        yield InMemory()
        return
    prefix = "c" + str(abs(hash(request.node.name)) % 10_000)
    on_kafka = OnKafka(request.getfixturevalue("kafka"), prefix)
    yield on_kafka
    on_kafka.close()


def test_nothing_is_visible_at_the_beginning(system):
    publisher = system.publisher()
    assert publisher.begin() == 0
    assert system.lines("decisions") == []
    publisher.close()


def test_what_is_said_becomes_visible_once_in_order_and_with_its_offset(system):
    publisher = system.publisher()
    publisher.begin()
    publisher.publish(
        {"decisions": [b"a", b"b"], "alerts": [b"x"]}, [Own(b"tick", is_tick=True)], 3
    )
    publisher.publish({"decisions": [b"c"]}, [Own(b"label", "case-1")], 7)
    publisher.settle()
    assert publisher.backlog == 0
    sees(lambda: system.lines("decisions"), [b"a", b"b", b"c"])
    sees(lambda: system.lines("alerts"), [b"x"])
    sees(system.inputs, [(b"tick", "", True), (b"label", "case-1", False)])
    publisher.close()
    other = system.publisher()
    assert other.begin() == 7
    other.close()


def test_whoever_begins_fences_who_was_before(system):
    """What a fenced one says is never seen, now or later."""
    first, second = system.publisher(), system.publisher()
    first.begin()
    first.publish({"decisions": [b"a"]}, [], 1)
    first.settle()
    assert second.begin() == 1
    with pytest.raises(FencedError):
        until_fenced(first)
    second.publish({"decisions": [b"b"]}, [], 2)
    second.settle()
    sees(lambda: system.lines("decisions"), [b"a", b"b"])
    first.close()
    second.close()


def sees(ask, wanted):
    """Readers see what is committed a moment later, and nothing else before."""
    end = time.monotonic() + WAIT_S
    while (seen := ask()) != wanted and time.monotonic() < end:
        assert seen == wanted[: len(seen)]
        time.sleep(0.05)
    assert seen == wanted


def until_fenced(publisher):
    """Go on as if nothing had happened."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        publisher.publish({"decisions": [b"stale"]}, [], 9)
        publisher.settle()
