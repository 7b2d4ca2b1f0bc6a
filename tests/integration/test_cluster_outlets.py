"""`weir outlets` on a real broker and a real Redis: killed, doubled, and started again; what arrives is exact."""

import asyncio
import collections
import json
import os
import random
import signal
import subprocess
import sys
import time

from config.cluster import ClusterSettings
from engine.clock import SystemClock
from engine.outcomes import rfc3339
from tests.auditing import small_bank
from tests.clustering import committed, needs_kafka
from tests.core_banking import SECRET, Bank, command, unreliable
from tests.redis_server import Redis, needs_redis

pytestmark = [needs_kafka, needs_redis]

PARTITIONS, WAIT_S = 2, 180.0
HOUR_US = 3_600_000_000


class Outlets:
    """Processes of `weir outlets` on one folder."""

    def __init__(self, bank, out):
        self.bank, self.out, self.processes = bank, out, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self.processes:
            self.end(signal.SIGKILL)

    def start(self):
        command = [sys.executable, "-m", "engine.cli", "outlets", "--config", str(self.bank)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*command, "--out", str(self.out)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "WEIR_SINK_KEY": SECRET.decode()},
            )
        self.processes.append(process)

    @property
    def log(self):
        return self.out.parent / "outlets.log"

    def end(self, by):
        """The first of them."""
        process = self.processes.pop(0)
        process.send_signal(by)
        return process.wait(WAIT_S)

    def until(self, holds):
        end = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < end, self.log.read_text()[-4000:]
            for process in self.processes:
                assert process.poll() is None, self.log.read_text()[-4000:]
            time.sleep(0.05)


def story(n, seed):
    """Lines of commands and alerts of each partition: restrictions that begin, end, and are rejected."""
    chance, now_us = random.Random(seed), SystemClock().now_us()
    times = {"started_at": rfc3339(now_us), "expires_at": rfc3339(now_us + 9 * HOUR_US)}
    told = [[], []]
    open_ = [[], []]
    for seq in range(n):
        of = chance.randrange(PARTITIONS)
        shared = chance.random() < 0.2  # what stands in several partitions
        entity = {"merchant": "M1"} if shared else {"account": f"A{of}{chance.randrange(6)}"}
        if open_[of] and chance.random() < 0.4:
            before = open_[of].pop(chance.randrange(len(open_[of])))
            id_ = before["restriction_id"]
            if chance.random() < 0.3:
                alert = {"reason": "COMMAND_REJECTED", "restriction_id": id_, "seq": seq}
                told[of].append(("alerts", alert))
                continue
            about = {"restriction_id": id_, "entity": before["entity"], "key": f"{id_}:release:2"}
            line = command(seq, "", verb="release") | about | {"command_id": f"c-{of}-{seq}"}
        else:
            id_ = f"r-{of}-{seq}"
            about = {"entity": entity, "restriction_id": id_, "key": f"{id_}:restrict:1"}
            line = command(seq, "") | times | about | {"command_id": f"c-{of}-{seq}"}
            open_[of].append(line)
        told[of].append(("commands", line))
    return told


async def publish(settings, told):
    """As workers do, in transactions; between them some that never became visible."""
    from aiokafka import AIOKafkaProducer

    for number, lines in enumerate(told):
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.brokers,
            transactional_id=f"{settings.prefix}-{number}",
        )
        async with producer:
            for k in range(0, len(lines), 7):
                for is_kept in (False, True) if k % 2 else (True,):
                    await producer.begin_transaction()
                    for stream, line in lines[k : k + 7]:
                        text = json.dumps(line | ({} if is_kept else {"key": "never"})).encode()
                        await producer.send(settings.topic(stream), text, partition=number)
                    await (producer.commit_transaction if is_kept else producer.abort_transaction)()


def folded(settings):
    """Who is restricted, as the topics say: ids by entity, and every command that must arrive."""
    read = lambda stream: asyncio.run(  # noqa: E731
        committed(settings.brokers, settings.topic(stream), PARTITIONS)
    )
    commands = [json.loads(r.value) for some in read("commands").values() for r in some]
    alerts = [json.loads(r.value) for some in read("alerts").values() for r in some]
    over = {c["restriction_id"] for c in commands if c["verb"] != "restrict"}
    over |= {a["restriction_id"] for a in alerts}
    held = collections.defaultdict(list)
    for one in commands:
        if one["verb"] == "restrict" and one["restriction_id"] not in over:
            [(domain, id_)] = one["entity"].items()
            held[f"{domain}:{id_}"].append(one["restriction_id"])
    return {entity: sorted(ids) for entity, ids in held.items()}, commands


def registered(redis):
    """Who is restricted, as Redis says; None while it is not complete."""
    if redis.ask("GET", "weir:r:complete") is None:
        return None
    found = {}
    for key in redis.ask("KEYS", "weir:r:*:*"):
        value = redis.ask("GET", key)
        ids = [one["id"] for one in json.loads(value)["restrictions"]] if value else []
        if ids:
            found[key.removeprefix("weir:r:")] = sorted(ids)
    return found


def answers(settings):
    """Ids of commands whose acknowledgement stands in the input, by partition."""
    found = asyncio.run(committed(settings.brokers, settings.input, PARTITIONS))
    lines = {number: [json.loads(r.value) for r in some] for number, some in found.items()}
    assert all(one["command"] == "acknowledge" for some in lines.values() for one in some)
    return {number: {one["command_id"] for one in some} for number, some in lines.items()}


def lanes(commands):
    found = collections.defaultdict(list)
    for one in commands:
        of = one["command_id"].split("-")[1]
        found[of, *one["entity"].items()].append(one["key"])
    return found


def test_each_command_counts_once_and_the_registry_is_what_the_topics_say(kafka, tmp_path):
    """Killed, started again, doubled, one of the two killed; the broker dies once, core banking fails now and then."""
    from engine.brokers.kafka.topics import prepare

    bank = small_bank(tmp_path / "bank", durability="flush")
    settings = ClusterSettings(brokers=kafka.address, prefix="out", partitions=PARTITIONS)
    asyncio.run(prepare(settings))
    (tmp_path / "redis").mkdir()
    with (
        Bank(unreliable(3), hang_s=0.5) as core_banking,
        Redis(tmp_path / "redis") as redis,
        Outlets(bank, tmp_path / "out") as outlets,
    ):
        quick = {"timeout": "1s", "retry_first": "10ms", "retry_max": "200ms", "in_flight": 4}
        sections = {
            "cluster": {"brokers": kafka.address, "prefix": "out", "partitions": PARTITIONS},
            "sink": {"webhook": core_banking.url, "key_env": "WEIR_SINK_KEY", **quick},
            "redis": {"url": redis.url, "timeout": "30s"},
        }
        with (bank / "weir.yaml").open("a") as file:
            file.writelines(f"\n{name}: {json.dumps(told)}" for name, told in sections.items())
        told = story(150, seed=5)
        parts = [
            [some[k * len(some) // 3 : (k + 1) * len(some) // 3] for some in told] for k in range(3)
        ]
        asyncio.run(publish(settings, parts[0]))
        outlets.start()
        outlets.until(lambda: len(core_banking.effective) >= 15)
        outlets.end(signal.SIGKILL)
        asyncio.run(publish(settings, parts[1]))
        wanted, _ = folded(settings)
        outlets.start()
        outlets.until(lambda: registered(redis) == wanted)
        kafka.kill()
        kafka.start()
        outlets.start()
        outlets.until(lambda: len(core_banking.effective) >= 60)
        outlets.end(signal.SIGKILL)
        asyncio.run(publish(settings, parts[2]))
        wanted, commands = folded(settings)
        outlets.until(lambda: registered(redis) == wanted)
        outlets.until(lambda: len(core_banking.effective) >= len(commands))
        outlets.until(lambda: sum(map(len, answers(settings).values())) >= len(commands))
        assert outlets.end(signal.SIGTERM) == 0
        effective = list(core_banking.effective)
        assert not core_banking.unsigned
        assert registered(redis) == wanted
    assert wanted["merchant:M1"], "an entity of two partitions"
    assert lanes(effective) == lanes(commands), "each once, none overtaken"
    for number, ids in answers(settings).items():
        told_there = {c["command_id"] for c in commands if f"c-{number}-" in c["command_id"]}
        assert ids == told_there
