"""Desks of two workers on a real broker: who may publish for which partition, and who is fenced by whom."""

import asyncio

import pytest

from tests.clustering import committed

pytest.importorskip("aiokafka")

from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from config.cluster import ClusterSettings
from engine.brokers.kafka import desk as desk_module
from engine.brokers.kafka.desk import Desk, Place, Said
from engine.brokers.kafka.topics import prepare
from engine.cluster.ports import FencedError, NotTakenError

PARTITIONS = 2


@pytest.fixture
def settings(kafka, request):
    prefix = request.node.name.replace("_", "-")[:40]
    found = ClusterSettings(brokers=kafka.address, prefix=prefix, partitions=PARTITIONS)
    asyncio.run(prepare(found))
    return found


def say(desk, place, line, upto):
    """As a publisher does, from its own thread."""
    place.n_said += 1
    place.said.append(Said({"decisions": [line]}, [], upto, 1))
    desk.wake()


def seen(settings):
    found = asyncio.run(committed(settings.brokers, settings.topic("decisions"), PARTITIONS))
    return [[record.value for record in found[number]] for number in range(PARTITIONS)]


async def two_desks(settings):
    loop = asyncio.get_running_loop()
    return Desk(settings, loop), Desk(settings, loop)


def test_what_was_let_go_in_good_order_fences_nobody(settings):
    """Partition 1 changes hands; partition 0 stays, and goes on where it was."""

    async def change_hands():
        first, second = await two_desks(settings)
        stays, goes, comes = Place(0), Place(1), Place(1)
        await first.claim(stays)
        await first.claim(goes)
        say(first, stays, b"a", 1)
        say(first, goes, b"x", 5)
        await first.settle(stays)
        await first.settle(goes)
        await first.release()
        say(first, stays, b"b", 2)  # waits
        with pytest.raises(FencedError):
            await first.settle(stays)
        await second.claim(comes)
        assert comes.visible == 5
        say(second, comes, b"y", 6)
        await second.settle(comes)
        await first.keep(stays)
        await first.settle(stays)
        say(first, stays, b"c", 3)
        await first.settle(stays)
        await first.keep(goes)  # somebody else has gone on with it
        assert goes.is_fenced
        await first.stop()
        await second.stop()

    asyncio.run(change_hands())
    assert seen(settings) == [[b"a", b"b", b"c"], [b"x", b"y"]]


def test_whoever_takes_a_partition_that_was_not_let_go_fences_its_desk_everywhere(settings):
    """A worker that was thought dead wakes up: nothing that it says is ever seen, of any partition."""

    async def wake_up():
        first, second = await two_desks(settings)
        asleep, beside, taken = Place(0), Place(1), Place(0)
        await first.claim(asleep)
        await first.claim(beside)
        say(first, asleep, b"a", 1)
        await first.settle(asleep)
        await second.claim(taken)
        assert taken.visible == 1
        say(first, asleep, b"stale", 2)
        say(first, beside, b"stale", 2)
        for place in (asleep, beside):
            with pytest.raises(FencedError):
                await first.settle(place)
        say(second, taken, b"b", 2)
        await second.settle(taken)
        again = Place(1)
        await first.claim(again)  # under a new name
        say(first, again, b"x", 1)
        await first.settle(again)
        await first.stop()
        await second.stop()

    asyncio.run(wake_up())
    assert seen(settings) == [[b"a", b"b"], [b"x"]]


def test_a_desk_that_died_in_the_middle_of_a_transaction_is_not_waited_for(settings, monkeypatch):
    """Its transaction would stay open for ten minutes."""
    monkeypatch.setattr(desk_module, "TRANSACTION_MS", 600_000)

    async def die():
        first, second = await two_desks(settings)
        dead, taken = Place(0), Place(0)
        await first.claim(dead)
        say(first, dead, b"a", 1)
        await first.settle(dead)
        await first._producer.begin_transaction()
        await first._producer.send_offsets_to_transaction(
            {TopicPartition(settings.input, 0): OffsetAndMetadata(7, first._name)}, first._group
        )
        await second.claim(taken)
        assert taken.visible == 1
        say(second, taken, b"b", 2)
        await second.settle(taken)
        await first.stop()
        await second.stop()

    asyncio.run(die())
    assert seen(settings) == [[b"a", b"b"], []]


def test_requests_of_a_transaction_wait_for_what_the_broker_needs_first(settings):
    """One that comes too early is refused, and sent again 100 ms later: nothing else would tell."""
    began, ended = [], []

    async def publish():
        desk, place = Desk(settings, asyncio.get_running_loop()), Place(0)
        await desk.claim(place)
        client = desk._producer.client
        send = client.send

        async def noted(node, request, **more):
            name = type(request).__name__.removesuffix("Request")
            began.append((name, len(ended)))
            try:
                return await send(node, request, **more)
            finally:
                ended.append(name)

        client.send = noted
        for k in range(3):
            say(desk, place, b"%d" % k, k + 1)
            await desk.settle(place)
        await desk.stop()

    asyncio.run(publish())
    assert sum(name == "EndTxn" for name, _ in began) >= 3
    at_once = 0
    for name, n_before in began:
        last = next((e for e in reversed(ended[:n_before]) if e != "FindCoordinator"), "EndTxn")
        since = ended[:n_before][::-1]
        heard = set(since[: since.index("EndTxn")] if "EndTxn" in since else since)
        if name == "Produce":  # the group may still be on its way: which answer is first is chance
            assert "AddPartitionsToTxn" in heard
        elif name == "TxnOffsetCommit":
            assert {"AddPartitionsToTxn", "AddOffsetsToTxn", "Produce"} <= heard
        elif name == "EndTxn":  # again if the broker was not ready for it
            assert last in ("TxnOffsetCommit", "EndTxn")
        elif name == "AddOffsetsToTxn":
            at_once += last == "EndTxn"
    assert at_once  # it did not wait for the partitions
    assert seen(settings) == [[b"0", b"1", b"2"], []]


@pytest.mark.parametrize("seed", range(3))
def test_of_many_that_claim_at_once_one_publishes(settings, seed):
    """However claims cross: one line after the other, each offset once."""

    async def cross():
        loop = asyncio.get_running_loop()
        desks = [Desk(settings, loop) for _ in range(4)]

        async def work(desk):
            told = []
            for _ in range(3):
                place = Place(0)
                try:
                    await desk.claim(place)
                    upto = place.visible + 1
                    say(desk, place, b"%d" % upto, upto)
                    await desk.settle(place)
                    told.append(upto)
                except (FencedError, NotTakenError, KafkaError):
                    desk.drop(place)
            return told

        told = await asyncio.gather(*map(work, desks))
        for desk in desks:
            await desk.stop()
        return sorted(upto for some in told for upto in some)

    told = asyncio.run(cross())
    lines = seen(settings)[0]
    assert lines == [b"%d" % (k + 1) for k in range(len(lines))]
    assert len(set(told)) == len(told)
    assert set(told) <= {int(line) for line in lines}
