"""What those who carry outcomes of a cluster out are promised (engine/cluster/ports.py), in memory and on a broker."""

import asyncio
import contextlib
import itertools
import threading
import time

import pytest

from config.cluster import ClusterSettings
from config.errors import StateError
from tests.clustering import MemoryBroker, MemoryOutcomes, committed

WAIT_S, N = 180.0, 2
NUMBERS = itertools.count()  # of topic sets


class InMemory:
    """The twin."""

    def __init__(self):
        self.broker = MemoryBroker(N)

    def publish(self, partition, lines):
        publisher = self.broker.publisher(partition)
        publisher.publish({"commands": lines}, [], publisher.begin() + 1)

    @contextlib.contextmanager
    def outcomes(self):
        yield MemoryOutcomes(self.broker)

    def inputs(self, partition):
        return [record.line for record in self.broker.records(partition)]


class OnKafka:
    """Topics of their own on a real broker."""

    def __init__(self, kafka, prefix):
        from engine.brokers.kafka.topics import prepare

        self.settings = ClusterSettings(brokers=kafka.address, prefix=prefix, partitions=N)
        asyncio.run(prepare(self.settings))

    def publish(self, partition, lines):
        asyncio.run(self._publish(partition, lines))

    async def _publish(self, partition, lines):
        """In a transaction, after one that nobody may see."""
        from aiokafka import AIOKafkaProducer

        topic = self.settings.topic("commands")
        async with AIOKafkaProducer(
            bootstrap_servers=self.settings.brokers, transactional_id=f"p{partition}"
        ) as producer:
            await producer.begin_transaction()
            await producer.send(topic, b"never", partition=partition)
            await producer.flush()
            await producer.abort_transaction()
            async with producer.transaction():
                for line in lines:
                    await producer.send(topic, line, partition=partition)

    @contextlib.contextmanager
    def outcomes(self):
        from engine.brokers.kafka.outcomes import KafkaOutcomes

        with KafkaOutcomes(self.settings, N) as outcomes:
            yield outcomes

    def inputs(self, partition):
        found = asyncio.run(committed(self.settings.brokers, self.settings.input, N))
        return [record.value for record in found[partition]]


@pytest.fixture(params=["memory", "kafka"])
def system(request):
    if request.param == "memory":
        return InMemory()
    return OnKafka(request.getfixturevalue("kafka"), f"o{next(NUMBERS)}")


def read(tail, n):
    """The next `n` lines, waited for, and whether that is all."""
    found, end = [], time.monotonic() + WAIT_S
    while len(found) < n or tail.n_unread:
        assert time.monotonic() < end, found
        found += [line for _, line in tail.read(3)]
        time.sleep(0.002)
    assert [line for _, line in tail.read(3)] == []
    return found


def test_each_line_that_is_visible_comes_once_and_in_the_order_of_its_partition(system):
    system.publish(0, [b"a", b"b"])
    with system.outcomes() as outcomes:
        following = outcomes.follow(("commands",))
        one, two = following.tails["commands"]
        assert (one.n_unread > 0, two.n_unread) == (True, 0), "what is there is known at once"
        following.begin()
        assert read(one, 2) == [b"a", b"b"]
        system.publish(0, [b"c"])
        system.publish(1, [b"x", b"y", b"z", b"x"])
        assert (read(one, 1), read(two, 4)) == ([b"c"], [b"x", b"y", b"z", b"x"])
        following.close()


def test_a_tail_goes_on_where_another_stood(system):
    system.publish(1, [b"a", b"b", b"c"])
    with system.outcomes() as outcomes:
        following = outcomes.follow(("commands",))
        following.begin()
        tail = following.tails["commands"][1]
        end = time.monotonic() + WAIT_S
        while not (found := list(tail.read(2))):
            assert time.monotonic() < end
            time.sleep(0.002)
        at = tail.at
        following.close()
        again = outcomes.follow(("commands",))
        tail = again.tails["commands"][1]
        assert tail.holds(at, "")
        with pytest.raises(StateError, match="is not there"):
            tail.holds(at + 1_000, "")
        tail.at = at
        again.begin()
        assert [line for _, line in found] + read(tail, 3 - len(found)) == [b"a", b"b", b"c"]
        again.close()


def test_an_answer_stands_in_the_input_once_it_is_said_to(system):
    done = threading.Event()
    with system.outcomes() as outcomes:
        outcomes.answer(1, b"yes", done.set)
        assert done.wait(WAIT_S)
    assert (system.inputs(0), system.inputs(1)) == ([], [b"yes"])
