"""Workers on a real Kafka broker: killed, stopped, halted, and without their broker; what readers see is exact."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
import zlib

import msgspec
import pytest

from config.cluster import ClusterSettings
from engine.cli import main
from engine.cluster.partition import STREAMS
from tests.auditing import small_bank, small_traffic
from tests.clustering import committed, embedded, local_kafka, needs_kafka

pytestmark = needs_kafka

PARTITIONS, N = 3, 900
WAIT_S = 180.0


def clustered(folder, kafka, prefix):
    """A bank whose workers find this broker, under topics of their own."""
    bank = small_bank(folder, durability="flush")
    path = bank / "weir.yaml"
    section = f"brokers: '{kafka.address}', prefix: {prefix}, partitions: {PARTITIONS}"
    path.write_text(path.read_text() + f"\ncluster: {{{section}}}\n")
    return bank, ClusterSettings(brokers=kafka.address, prefix=prefix, partitions=PARTITIONS)


class Workers:
    """Processes of `weir worker`, by number."""

    def __init__(self, bank, out):
        self.bank, self.out, self.processes = bank, out, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for number in list(self.processes):
            self.end(number, signal.SIGKILL)

    def start(self, number, *, piped=False):
        command = [sys.executable, "-m", "engine.cli", "worker", "--config", str(self.bank)]
        with self.log(number).open("ab") as log:
            self.processes[number] = subprocess.Popen(
                [*command, "--out", str(self.out)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.PIPE if piped else log,
                env={**os.environ, "PYTHONFAULTHANDLER": "1"},
            )

    def log(self, number):
        return self.out.parent / f"worker{number}.log"

    def end(self, number, by):
        process = self.processes.pop(number)
        process.send_signal(by)
        try:
            return process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # with where it stands
            process.wait()
            pytest.fail(f"worker {number} does not end\n{self.log(number).read_text()[-6000:]}")

    def halt(self, number):
        self.processes[number].send_signal(signal.SIGSTOP)

    def wake(self, number):
        self.processes[number].send_signal(signal.SIGCONT)

    def logs(self):
        return "\n".join(
            self.log(number).read_text()[-2000:] for number in range(3) if self.log(number).exists()
        )


async def send(settings, lines):
    """Publish `lines`, those of an account always into the same partition."""
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=settings.brokers) as producer:
        for line in lines:
            at = line.find(b'"account": "')
            key = line[at + 12 : at + 15]
            await producer.send(
                settings.input, line, key=key, partition=zlib.crc32(key) % PARTITIONS
            )


def read(settings, topic):
    """Everything that is committed in a topic: records by partition."""
    return asyncio.run(committed(settings.brokers, topic, PARTITIONS))


def visible(settings, stream):
    records = read(settings, settings.topic(stream))
    return {number: [record.value for record in some] for number, some in records.items()}


def until_decided(settings, n, workers):
    """Wait until readers see `n` decisions or more."""
    end = time.monotonic() + WAIT_S
    while sum(map(len, visible(settings, "decisions").values())) < n:
        assert time.monotonic() < end, workers.logs()
        time.sleep(0.3)


def check(bank, settings, folder):
    """Every stream of every partition is what one engine makes of the same records; returns the decisions seen."""
    from engine.brokers.kafka.bulk import record_of

    inputs = read(settings, settings.input)
    seen = {stream: visible(settings, stream) for stream in STREAMS}
    for number, found in inputs.items():
        records = [record_of(r) for r in found]
        out = folder / f"embedded{number}"
        expected = embedded(bank, records, out, settings.input, number, PARTITIONS)
        for stream in STREAMS:
            assert seen[stream][number] == expected[stream][: len(seen[stream][number])], stream
        assert len(seen["decisions"][number]) == len(expected["decisions"])
    return seen["decisions"]


def transactions(lines):
    return len({line for line in lines if b'"amount"' in line})


def test_nothing_is_lost_and_nothing_seen_twice(kafka, tmp_path):
    """Three workers come, are killed, stopped and halted; readers of what is committed see each outcome once."""
    bank, settings = clustered(tmp_path / "bank", kafka, "storm")
    lines = small_traffic(tmp_path / "traffic.ndjson", N).read_bytes().splitlines()
    parts = [lines[k * len(lines) // 5 : (k + 1) * len(lines) // 5] for k in range(5)]
    with Workers(bank, tmp_path / "out") as workers:
        workers.start(0)
        workers.start(1)
        until_decided(settings_ready(settings), 0, workers)
        asyncio.run(send(settings, parts[0]))
        until_decided(settings, 1, workers)
        workers.end(0, signal.SIGKILL)
        asyncio.run(send(settings, parts[1]))
        workers.start(2)
        until_decided(settings, transactions(parts[0]) // 2, workers)
        assert workers.end(1, signal.SIGTERM) == 0, workers.logs()
        asyncio.run(send(settings, parts[2]))
        workers.start(0)
        until_decided(settings, transactions(parts[0] + parts[1]), workers)
        workers.halt(2)
        asyncio.run(send(settings, parts[3]))
        until_decided(settings, transactions(parts[0] + parts[1] + parts[2] + parts[3]), workers)
        workers.wake(2)
        asyncio.run(send(settings, parts[4]))
        until_decided(settings, transactions(lines), workers)
        for number in list(workers.processes):
            workers.end(number, signal.SIGTERM)
    decisions = check(bank, settings, tmp_path)
    assert sum(map(len, decisions.values())) >= transactions(lines)


def settings_ready(settings):
    """The settings, once the topics are there."""
    from engine.brokers.kafka.topics import prepare

    asyncio.run(prepare(settings))
    return settings


def test_the_broker_comes_back(tmp_path):
    """A broker that is killed and started again loses nothing, and workers go on by themselves."""
    with local_kafka(tmp_path / "kafka") as kafka:
        bank, settings = clustered(tmp_path / "bank", kafka, "back")
        lines = small_traffic(tmp_path / "traffic.ndjson", 300).read_bytes().splitlines()
        settings_ready(settings)
        with Workers(bank, tmp_path / "out") as workers:
            workers.start(0)
            asyncio.run(send(settings, lines[:150]))
            until_decided(settings, transactions(lines[:150]), workers)
            kafka.kill()
            time.sleep(1)
            kafka.start()
            asyncio.run(send(settings, lines[150:]))
            until_decided(settings, transactions(lines), workers)
            assert workers.end(0, signal.SIGTERM) == 0, workers.logs()
        check(bank, settings, tmp_path)


def test_where_kafka_is_must_be_said(tmp_path):
    bank = small_bank(tmp_path / "bank")
    command = [sys.executable, "-m", "engine.cli", "worker", "--config", str(bank), "--out", "o"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 2
    assert "`cluster` is not set" in done.stderr


def test_a_worker_that_cannot_write_ends_and_says_why(kafka, tmp_path):
    """A worker whose crew has ended would hold its partitions and decide nothing."""
    bank, settings = clustered(tmp_path / "bank", kafka, "full")
    lines = small_traffic(tmp_path / "traffic.ndjson", 300).read_bytes().splitlines()
    settings_ready(settings)
    with Workers(bank, tmp_path / "out") as workers:
        workers.start(0, piped=True)
        process = workers.processes[0]
        asyncio.run(send(settings, lines[:150]))
        until_decided(settings, transactions(lines[:150]), workers)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, 1))  # as a disk that is full
        asyncio.run(send(settings, lines[150:]))
        said = process.communicate(timeout=WAIT_S)[1].decode()
        assert process.returncode == 2, said
        assert "error: " in said
        assert "fix: " in said


def test_dead_letters_go_back_to_where_they_stood(kafka, tmp_path, capsys):
    """Listed from the topic; sent into the partition of their account, and only if that is asked for."""
    bank, settings = clustered(tmp_path / "bank", kafka, "poison")
    settings_ready(settings)
    letter = {"seq": 1, "reason": "wrong_field", "what": "", "fix": "mend it", "answered": False}
    told = [letter | {"position": f"poison.input/{n}@7", "message": f'{{"n":{n}}}'} for n in (0, 2)]
    told.append(told[0] | {"reason": "id_conflict"})
    topic = settings.topic("dead_letters")

    async def publish():
        from aiokafka import AIOKafkaProducer

        async with AIOKafkaProducer(bootstrap_servers=settings.brokers) as producer:
            for record in told:
                await producer.send(topic, json.dumps(record).encode(), partition=0)

    asyncio.run(publish())
    where = ["--cluster", "--config", str(bank)]
    assert main(["dead-letters", "list", *where]) == 0
    assert "       2  wrong_field" in capsys.readouterr().out
    assert main(["dead-letters", "redrive", *where]) == 1
    assert not any(read(settings, settings.input).values())
    assert main(["dead-letters", "redrive", *where, "--reason", "wrong_field", "--send"]) == 0
    found = {n: [r.value for r in some] for n, some in read(settings, settings.input).items()}
    assert found == {0: [b'{"n":0}'], 1: [], 2: [b'{"n":2}']}


def test_a_broker_that_does_not_answer_is_said_in_a_line(tmp_path, capsys, monkeypatch):
    from engine.brokers.kafka import topics
    from engine.brokers.kafka.local import free_port

    monkeypatch.setattr(topics, "PATIENCE_S", 0.5)
    bank = small_bank(tmp_path / "bank")
    path = bank / "weir.yaml"
    path.write_text(f"{path.read_text()}\ncluster: {{brokers: '127.0.0.1:{free_port()}'}}\n")
    where = ["--config", str(bank)]
    assert main(["worker", *where, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert "note: no broker answers" in told[0]
    assert told.count(told[0]) == 1
    assert any(line.startswith("error: ") and "no broker answers" in line for line in told[1:])
    assert main(["dead-letters", "list", "--cluster", *where]) == 2
    assert "no broker answers" in capsys.readouterr().err


async def send_slowly(settings, topic, lines):
    """Publish messages about accounts into a slow topic: all into its one partition, each under its account."""
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=settings.brokers) as producer:
        for line in lines:
            await producer.send(topic, json.dumps(line).encode(), key=line["account"].encode())


async def standing(settings):
    """Who copies slow topics, how far each was copied, and what readers of the input do not see yet.

    Nobody has a partition: the group; nobody goes on: a taking or a transaction; all was read: messages were lost.
    """
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient

    names = [settings.input, *settings.slow]
    places = [TopicPartition(name, number) for name in names for number in range(PARTITIONS)]
    ends = []
    for level in ("read_uncommitted", "read_committed"):
        async with AIOKafkaConsumer(
            bootstrap_servers=settings.brokers, isolation_level=level
        ) as consumer:
            ends.append(await consumer.end_offsets(places))
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.brokers)
    await admin.start()
    try:
        groups = await admin.describe_consumer_groups([f"{settings.prefix}-slow"])
        upto = await admin.list_consumer_group_offsets(f"{settings.prefix}-slow")
    finally:
        await admin.close()
    lines = [
        f"{place.topic}/{place.partition}: end {ends[0][place]}, stable end {ends[1][place]}, "
        f"copied up to {upto[place].offset if place in upto else None}"
        for place in places
    ]
    return "\n".join([*lines, *map(str, groups)])


COPY = """
import asyncio, json, sys
from config.cluster import ClusterSettings
from engine.brokers.kafka.calm import Notes
from engine.brokers.kafka.slow import SlowTopics
from engine.clock import SystemClock
async def run():
    await SlowTopics(ClusterSettings(**json.loads(sys.argv[1])), Notes(SystemClock())).run()
asyncio.run(run())
"""


def test_what_people_say_in_a_slow_topic_reaches_its_partition_once(kafka, tmp_path):
    """Orders about 30 accounts; what copies them is killed in the middle, again and again; then a worker goes on.

    An order that stood in the input twice would count twice. Whoever sends transactions puts those of an account into
    the partition that Kafka's own partitioner names, and so does the copy.
    """
    from aiokafka.partitioner import murmur2

    bank, settings = clustered(tmp_path / "bank", kafka, "slow")
    path = bank / "weir.yaml"
    path.write_text(
        path.read_text().replace("prefix: slow,", "prefix: slow, slow: [people, desk],")
    )
    settings = msgspec.structs.replace(settings, slow=("people", "desk"))
    settings_ready(settings)
    order = {
        "kind": "command",
        "command": "restrict",
        "level": "no_debit",
        "for": "2h",
        "by": "ann",
    }
    said = [
        order | {"entity": {"account": f"A{n % 30}"}, "account": f"A{n % 30}", "reason": str(n)}
        for n in range(4_000)
    ]

    def n_copied():  # ticks have no key
        found = read(settings, settings.input).values()
        return sum(record.key is not None for records in found for record in records)

    told = json.dumps(msgspec.to_builtins(settings))
    asyncio.run(send_slowly(settings, "people", said[:3_000]))
    asyncio.run(send_slowly(settings, "desk", said[3_000:]))
    for k in range(3):
        before, end = n_copied(), time.monotonic() + WAIT_S
        copying = subprocess.Popen([sys.executable, "-c", COPY, told])
        while k < 2 and n_copied() == before:
            assert copying.poll() is None
            assert time.monotonic() < end
        copying.kill()  # the last before it has begun, or in the middle of that
        copying.wait()
    with Workers(bank, tmp_path / "out") as workers:
        workers.start(0)
        asyncio.run(send_slowly(settings, "people", said[:1]))  # the same order, given again
        end = time.monotonic() + WAIT_S
        while n_copied() <= len(said):
            assert time.monotonic() < end, f"{asyncio.run(standing(settings))}\n{workers.logs()}"
            time.sleep(0.2)
        assert workers.end(0, signal.SIGTERM) == 0, workers.logs()
    found = {}
    for number, records in read(settings, settings.input).items():
        for record in records:
            line = json.loads(record.value)
            if line["kind"] != "tick":
                assert murmur2(record.key) % 2**31 % PARTITIONS == number
                found.setdefault(line["account"], []).append(int(line["reason"]))
    for account, numbers in found.items():
        of = [int(line["reason"]) for line in said if line["account"] == account]
        again = [0] if account == "A0" else []
        assert [n for n in numbers if n < 3_000] == [n for n in of if n < 3_000] + again
        assert [n for n in numbers if n >= 3_000] == [n for n in of if n >= 3_000]


async def say(settings, place, what):
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=settings.brokers) as producer:
        await producer.send_and_wait(place.topic, what, key=b"A1", partition=place.partition)


async def copied(settings, copying, last):
    """What was copied besides when all of `last` was."""
    task = asyncio.create_task(copying.run())
    found, end = [], time.monotonic() + WAIT_S
    while not last <= set(found):
        assert not task.done(), task.exception()
        assert time.monotonic() < end, found
        records = await committed(settings.brokers, settings.input, PARTITIONS)
        found = [record.value for some in records.values() for record in some]
    task.cancel()
    await asyncio.wait([task])
    return [what for what in found if what not in last]


async def copied_around_taking(settings, monkeypatch, meanwhile):
    """What was copied from a slow topic, but for the number that each partition is told when all are taken.

    meanwhile : awaited once, with the consumer and the partitions in the order of taking, while the second is being
                taken; if it fails, "before" is said to the last, which has not been begun
    """
    from aiokafka.errors import KafkaError

    from engine.brokers.kafka import slow
    from engine.brokers.kafka.calm import Notes
    from engine.brokers.kafka.topics import prepare
    from engine.clock import SystemClock

    final_offset, begun, late = slow.final_offset, [], []

    class Copying(slow.SlowTopics):
        async def take(self, consumer, places):
            places = list(places)

            async def looking(admin, group, place):
                begun.append(place)
                if len(begun) == 2:
                    await meanwhile(consumer, places)
                return await final_offset(admin, group, place)

            monkeypatch.setattr(slow, "final_offset", looking)
            try:
                await super().take(consumer, places)
            except (KafkaError, TimeoutError):
                late.append(asyncio.create_task(say(settings, places[-1], b"before")))
                raise
            await asyncio.gather(*late)
            for place in places:
                await say(settings, place, b"%d" % place.partition)

    await prepare(settings)
    await committed(settings.brokers, settings.slow[0], PARTITIONS)  # its partitions have leaders
    last = {b"%d" % number for number in range(PARTITIONS)}
    return await copied(settings, Copying(settings, Notes(SystemClock())), last)


def test_what_is_said_while_slow_topics_are_being_taken_is_copied(kafka, monkeypatch):
    """A message of the first partition, fetched while the second was being taken, once vanished."""
    settings = ClusterSettings(
        brokers=kafka.address, prefix="taking", partitions=PARTITIONS, slow=("taking.said",)
    )

    async def meanwhile(consumer, places):
        await say(settings, places[0], b"before")
        while not await consumer.position(places[0]):  # noqa: ASYNC110 - aiokafka has no event
            await asyncio.sleep(0.01)

    assert asyncio.run(copied_around_taking(settings, monkeypatch, meanwhile)) == [b"before"]


@pytest.mark.parametrize("why", ["the coordinator is moving", "nobody answers"])
def test_slow_topics_that_could_not_be_taken_are_taken_again(kafka, monkeypatch, why):
    """What is fetched from them before that is not written: nobody has looked where to go on."""
    from aiokafka.errors import KafkaError

    from engine.brokers.kafka import slow

    prefix = why.replace(" ", "-")
    settings = ClusterSettings(
        brokers=kafka.address, prefix=prefix, partitions=PARTITIONS, slow=(f"{prefix}.said",)
    )
    # who is looking when it fails looks until the message comes
    monkeypatch.setattr(slow, "POLL_MS", 30_000)
    begin_s = slow.BEGIN_S
    monkeypatch.setattr(slow, "BEGIN_S", 10.0)

    async def meanwhile(*_):
        monkeypatch.setattr(slow, "BEGIN_S", begin_s)
        if why == "nobody answers":
            await asyncio.Event().wait()
        raise KafkaError(why)

    assert asyncio.run(copied_around_taking(settings, monkeypatch, meanwhile)) == [b"before"]


def test_a_slow_topic_that_appears_is_copied(kafka, monkeypatch):
    """A broker that was just started anew may tell of no topics."""
    from engine.brokers.kafka import slow
    from engine.brokers.kafka.calm import Notes
    from engine.brokers.kafka.topics import prepare
    from engine.clock import SystemClock

    monkeypatch.setattr(slow, "METADATA_MS", 200)
    settings = ClusterSettings(
        brokers=kafka.address, prefix="late", partitions=PARTITIONS, slow=("late.said",)
    )

    class Copying(slow.SlowTopics):
        async def take(self, consumer, places):
            places = list(places)
            await super().take(consumer, places)
            if not places:
                await prepare(settings)
            for place in places:
                await say(settings, place, b"%d" % place.partition)

    async def run():
        await prepare(msgspec.structs.replace(settings, slow=()))
        last = {b"%d" % number for number in range(PARTITIONS)}
        return await copied(settings, Copying(settings, Notes(SystemClock())), last)

    assert asyncio.run(run()) == []


def test_a_worker_waits_for_a_broker_that_is_being_started(tmp_path, monkeypatch):
    """One that gave up at once would have to be started by hand after every broker."""
    from engine.brokers.kafka import topics

    monkeypatch.setattr(topics, "PATIENCE_S", 600.0)  # as long as a slow machine may need
    with local_kafka(tmp_path / "kafka") as broker:
        settings = ClusterSettings(brokers=broker.address, prefix="late", partitions=2)
        broker.kill()

        async def both():
            asking = asyncio.create_task(topics.prepare(settings))
            await asyncio.sleep(0)
            await asyncio.to_thread(broker.start)
            return await asking

        assert asyncio.run(both()) == 2
