"""`make cluster-demo`: a real Kafka broker and a real Redis on this machine, two workers, one of them killed.

    python -m engine.cluster_demo [--out DIR] [--customers N] [--days N] [--rate N]

A process of its own publishes generated traffic; another reads what is committed, as core banking would. In the middle
one worker gets SIGKILL. At the end every transaction has exactly one decision, what people have ordered stands in Redis
and has reached core banking, and the table says how long the partitions of the dead worker waited for the other one.
Needs Java 17 or newer and redis-server; no container engine.
"""

import argparse
import asyncio
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from config.cluster import ClusterSettings
from config.errors import ConfigError, StateError, WeirError
from config.outlets import RedisSettings
from config.settings import BANK
from engine.clock import Clock, SystemClock

PARTITIONS: Final = 8
PREFIX: Final = "demo"
SESSION: Final = "6s"
KAFKA: Final = "kafka"  # the folder of the broker
PEOPLE: Final = "demo.people"  # a slow topic
SPOOL: Final = "to_core_banking.ndjson"
SHANGHAI: Final = timezone(timedelta(hours=8))
LISTS: Final = "demo:lists"
LIST: Final = "police_listed_accounts"
LISTED: Final = ("A0000001", "A0000002", "A0000003")
WAIT_S: Final = 300.0  # for anything; on a quiet machine seconds
LOOK_US: Final = 100_000
ACCOUNT: Final = re.compile(rb'"account":"([^"]*)"')
TRANSACTION: Final = re.compile(rb'"transaction_id":"([^"]*)"')
IS_TRANSACTION: Final = b'"kind":"transaction"'
OPEN: Final = re.compile(r'^weir_partition_open\{partition="(\d+)"\} 1\.0', re.MULTILINE)


def main(argv: Sequence[str] | None = None) -> int:
    """Show it; 0 if nothing was lost and nothing seen twice, 1 if something was, 2 if it cannot run here."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m engine.cluster_demo")
    parser.add_argument("--out", type=Path, default=Path("out/cluster-demo"), metavar="DIR")
    parser.add_argument("--customers", type=int, default=400, metavar="N")
    parser.add_argument("--days", type=int, default=6, metavar="N")
    parser.add_argument("--rate", type=float, default=800.0, metavar="N", help="messages a second")
    parser.add_argument("--publish", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    try:
        if arguments.publish is not None:
            return _publish(arguments.out, arguments.publish, arguments.rate)
        return Demo(arguments).run()
    except WeirError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _check_is_demo(root: Path) -> None:
    """Refuse a folder that holds something but no earlier demonstration, which would be removed."""
    if root.exists() and not (
        (root / KAFKA).is_dir() or (root.is_dir() and not any(root.iterdir()))
    ):
        raise ConfigError(
            "no demonstration has written what is here",
            str(root),
            why="the folder is removed before one begins",
            fix="name another folder with --out, or move it away",
        )


def missing() -> str:
    """What this machine lacks; "" if nothing."""
    try:
        from engine.brokers.kafka.local import missing as missing_kafka
    except ImportError:
        return "aiokafka and faust are missing: pip install 'weir-fraud[kafka]'"
    if importlib.util.find_spec("redis") is None:
        return "the client of Redis is missing: pip install 'weir-fraud[redis]'"
    if shutil.which("redis-server") is None:
        return "redis-server is missing: apt-get install redis-server"
    return missing_kafka()


class Demo:
    """One showing, in a folder that is made anew."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.root = arguments, arguments.out.resolve()
        self.clock: Clock = SystemClock()
        self.began_ns = self.clock.monotonic_ns()
        self.seen: Counter[tuple[bytes, bytes]] = Counter()  # decisions that readers see
        self.decided_ms: dict[int, list[int]] = {number: [] for number in range(PARTITIONS)}

    def run(self) -> int:
        lacks = missing()
        if lacks:
            raise ConfigError("the demonstration cannot run here", why=lacks, fix="install that")
        _check_is_demo(self.root)
        from engine.brokers.kafka.local import LocalKafka
        from engine.brokers.kafka.topics import prepare
        from engine.brokers.kafka.trying import Follower
        from engine.brokers.redis_lists import swap

        shutil.rmtree(self.root, ignore_errors=True)
        (self.root / KAFKA).mkdir(parents=True)
        with ExitStack() as stack:
            traffic, expected = self._traffic()
            self._say("starting Kafka (KRaft) and Redis")
            kafka = stack.enter_context(LocalKafka(self.root / KAFKA))
            redis = self._redis(stack)
            settings = self._bank(kafka.address, redis)
            asyncio.run(prepare(settings))
            workers = [self._worker(stack, number) for number in range(2)]
            outlets = self._outlets(stack)
            self._until(lambda: all(len(w.partitions()) > 0 for w in workers), workers)
            self._until(lambda: sum(len(w.partitions()) for w in workers) == PARTITIONS, workers)
            shares = [sorted(w.partitions()) for w in workers]
            self._say(f"two workers decide {PARTITIONS} partitions: {shares[0]} and {shares[1]}")
            follower = Follower(settings, "decisions", PARTITIONS, self._hear)
            stack.callback(follower.stop)
            sender = self._sender(stack, traffic)
            self._say(
                f"publishing {len(expected):,} transactions among {_lines(traffic):,} messages"
            )
            self._until(lambda: len(self.seen) * 3 >= len(expected), workers, sender)
            moved = sorted(workers[1].partitions())
            swap(RedisSettings(url=redis), LISTS, LIST, "1", LISTED)
            workers[1].process.kill()
            killed_ms = self.clock.now_us() // 1_000
            workers[1].process.wait()
            self._say(f"killed worker 1 with {len(self.seen):,} decisions visible; it had {moved}")
            alive = workers[:1]
            self._until(lambda: len(alive[0].partitions()) == PARTITIONS, alive, sender)
            self._say(f"worker 0 has all {PARTITIONS} partitions")
            self._until(lambda: _listing(settings) == PARTITIONS, alive, sender)
            self._say(
                f"{len(LISTED)} accounts put on @{LIST} in Redis are in the input of all {PARTITIONS} partitions"
            )
            self._until(lambda: sender.poll() is not None, alive)
            self._until(lambda: self.seen.keys() >= expected, alive)
            self._restrict(settings, RedisSettings(url=redis), [*alive, outlets])
            status = workers[0].end()
            follower.stop()
        return self._table(expected, moved, killed_ms, status)

    def _say(self, what: str) -> None:
        took_s = (self.clock.monotonic_ns() - self.began_ns) / 1e9
        print(f"{took_s:6.1f} s  {what}", flush=True)

    def _traffic(self) -> tuple[Path, set[tuple[bytes, bytes]]]:
        """A generated recording, and the transactions in it by account and id."""
        path, arguments = self.root / "traffic.ndjson", self.arguments
        self._say(f"generating {arguments.days} days of {arguments.customers} customers")
        size = ["--customers", str(arguments.customers), "--days", str(arguments.days)]
        # of the last days: a restriction that is over by the clock stands in no Redis
        today = datetime.fromtimestamp(self.clock.now_us() / 1e6, SHANGHAI).date()
        size += ["--start", str(today - timedelta(days=arguments.days))]
        told, nowhere = [*size, "--out", str(path)], subprocess.DEVNULL
        _python("engine.cli", "generate", *told, stdout=nowhere, stderr=nowhere).wait()
        if not path.exists():
            raise StateError("no traffic was generated", str(path), fix="try weir generate by hand")
        with path.open("rb") as file:
            lines = [line for line in file if IS_TRANSACTION in line]
        return path, {_identity(line) for line in lines}

    def _redis(self, stack: ExitStack) -> str:
        from engine.brokers.kafka.local import free_port

        port = free_port()
        with (self.root / "redis.log").open("wb") as log:
            command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
            process = subprocess.Popen(  # noqa: S603 - a program of the machine, and our own words
                [*command, "--dir", str(self.root)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        stack.callback(_end, process)
        return f"redis://127.0.0.1:{port}/0"

    def _bank(self, brokers: str, redis: str) -> ClusterSettings:
        """The configuration that ships, for this cluster."""
        bank = self.root / "bank"
        shutil.copytree(BANK, bank)
        cluster = {
            "brokers": brokers,
            "prefix": PREFIX,
            "partitions": PARTITIONS,
            "partial": "accept",
            "lists": LISTS,
            "slow": [PEOPLE],
            "session": SESSION,
        }
        path = bank / "weir.yaml"
        path.write_text(path.read_text().replace("\neffect: observe", "\neffect: enforce"))
        with path.open("a") as file:
            file.write(f"\nsink: {json.dumps({'file': str(self.root / SPOOL)})}\n")
            file.write(f"\ncluster: {json.dumps(cluster)}\n")
            file.write(f"redis: {json.dumps({'url': redis})}\n")
        return ClusterSettings(**cluster)  # type: ignore[arg-type]

    def _worker(self, stack: ExitStack, number: int) -> "Process":
        from engine.brokers.kafka.local import free_port

        port = free_port()
        told = ["--config", str(self.root / "bank"), "--out", str(self.root / "out")]
        log = self.root / f"worker{number}.log"
        with log.open("wb") as file:
            process = _python(
                "engine.cli", "worker", *told, "--metrics-port", str(port), stdout=file, stderr=file
            )
        stack.callback(_end, process)
        return Process(process, port, log)

    def _outlets(self, stack: ExitStack) -> "Process":
        told = ["--config", str(self.root / "bank"), "--out", str(self.root / "out")]
        log = self.root / "outlets.log"
        with log.open("wb") as file:
            process = _python("engine.cli", "outlets", *told, stdout=file, stderr=file)
        stack.callback(_end, process)
        return Process(process, 0, log)

    def _restrict(
        self, settings: ClusterSettings, redis: RedisSettings, processes: "Sequence[Process]"
    ) -> None:
        """A person restricts accounts, through a slow topic; wait until Redis and core banking know."""
        from engine.brokers.kafka.trying import say
        from engine.brokers.redis_registry import looked_up

        orders = [(account.encode(), json.dumps(_order(account)).encode()) for account in LISTED]
        asyncio.run(say(settings, PEOPLE, orders))
        keys = [("account", account) for account in LISTED]

        def is_known() -> bool:
            found, spool = looked_up(redis, keys), self.root / SPOOL
            lines = spool.read_text().splitlines() if spool.exists() else []
            delivered = [line for line in lines if '"m.keller"' in line]
            return found is not None and all(found) and len(delivered) == len(LISTED)

        self._until(is_known, processes)
        self._say(
            f"{len(LISTED)} accounts restricted by a person, through {PEOPLE}: Redis and core banking have them"
        )

    def _sender(self, stack: ExitStack, traffic: Path) -> "subprocess.Popen[bytes]":
        told = ["--out", str(self.root), "--publish", str(traffic), "--rate"]
        process = _python("engine.cluster_demo", *told, str(self.arguments.rate))
        stack.callback(_end, process)
        return process

    def _hear(self, partition: int, written_ms: int, line: bytes) -> None:
        self.seen[_identity(line)] += 1
        self.decided_ms[partition].append(written_ms)

    def _until(
        self,
        is_so: Callable[[], bool],
        workers: "Sequence[Process]",
        sender: "subprocess.Popen[bytes] | None" = None,
    ) -> None:
        """Wait; `StateError` if that takes too long, or if a process that should live has ended."""
        end_ns = self.clock.monotonic_ns() + int(WAIT_S * 1e9)
        while not is_so():
            for worker in workers:
                if worker.process.poll() is not None:
                    raise StateError("a worker has ended", str(worker.log), fix="read its log")
            if sender is not None and sender.poll():
                raise StateError("the sender has failed", str(self.root), fix="read what it said")
            if self.clock.monotonic_ns() > end_ns:
                raise StateError(
                    f"nothing came of it in {WAIT_S:.0f} s",
                    str(self.root),
                    why=f"{len(self.seen):,} decisions are visible",
                    fix="read the logs there; a busy machine needs a lower --rate",
                )
            self.clock.sleep_us(LOOK_US)

    def _table(
        self, expected: set[tuple[bytes, bytes]], moved: Sequence[int], killed_ms: int, status: int
    ) -> int:
        lost = expected - self.seen.keys()
        twice = sum(n > 1 for n in self.seen.values())
        again = [
            min(after) - killed_ms
            for number in moved
            if (after := [ms for ms in self.decided_ms[number] if ms > killed_ms])
        ]
        rows = [
            ("published", f"{len(expected):,} transactions"),
            ("decided", f"{len(self.seen.keys() & expected):,}"),
            ("seen twice", f"{twice:,}"),
            ("lost", f"{len(lost):,}"),
            ("moved partitions", f"{len(moved)} of {PARTITIONS}"),
            ("decide again after", _spread_s(again)),
            ("worker 0, SIGTERM", f"exit status {status}"),
        ]
        print()
        for name, value in rows:
            print(f"  {name:<20} {value}")
        owners = self.root / "out" / f"p{moved[0]:04d}"
        if owners.is_dir():
            last = max(owners.iterdir())
            print(
                f"\n  what the last owner of a partition did can be proven: weir audit verify {last}"
            )
        return 1 if lost or twice or status else 0


class Process:
    """A worker that runs."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def partitions(self) -> set[int]:
        """Those that it decides at the moment, as its metrics say; none while it does not answer."""
        try:
            url = f"http://127.0.0.1:{self.port}/metrics"
            with urllib.request.urlopen(url, timeout=10) as page:
                return {int(number) for number in OPEN.findall(page.read().decode())}
        except (urllib.error.URLError, OSError):
            return set()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


def _publish(root: Path, traffic: Path, rate: float) -> int:
    """The sender: a process of its own, as core banking is."""
    from config.settings import SETTINGS_FILE, read_settings
    from engine.brokers.kafka.trying import publish

    settings = read_settings(root / "bank" / SETTINGS_FILE).cluster
    assert settings is not None
    asyncio.run(publish(settings, _keyed(traffic), rate, PARTITIONS, SystemClock()))
    return 0


def _keyed(traffic: Path) -> Iterator[tuple[bytes | None, bytes]]:
    """Messages under their account; what has none (profiles of customers and cards) concerns every partition."""
    with traffic.open("rb") as file:
        for line in file:
            found = ACCOUNT.search(line)
            yield (found[1] if found else None, line.rstrip(b"\n"))


def _order(account: str) -> dict[str, object]:
    about = {"kind": "command", "command": "restrict", "entity": {"account": account}}
    why = {"by": "m.keller", "reason": "the police have asked"}
    return {**about, "level": "no_debit", "for": "48h", **why}


def _identity(line: bytes) -> tuple[bytes, bytes]:
    account, transaction = ACCOUNT.search(line), TRANSACTION.search(line)
    return (account[1] if account else b"", transaction[1] if transaction else b"")


def _listing(settings: ClusterSettings) -> int:
    """In how many partitions everything that was put on the list has become a record."""
    from engine.brokers.kafka.letters import read

    orders = [line for line in asyncio.run(read(settings, "input")) if b'"list_add"' in line]
    return min(sum(f'"{value}"'.encode() in line for line in orders) for value in LISTED)


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _spread_s(took_ms: Sequence[int]) -> str:
    if not took_ms:
        return "nothing was left to decide there"
    return f"{min(took_ms) / 1e3:.1f} to {max(took_ms) / 1e3:.1f} s, of which {SESSION} until Kafka calls a worker dead"


def _python(
    module: str, *told: str, stdout: object = None, stderr: object = None
) -> "subprocess.Popen[bytes]":
    process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", module, *told],
        stdin=subprocess.DEVNULL,
        stdout=stdout,  # type: ignore[call-overload]
        stderr=stderr,
    )
    return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


if __name__ == "__main__":
    sys.exit(main())
