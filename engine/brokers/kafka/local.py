"""A real Kafka broker on this machine, for the demo, the tests and the benchmarks: no container engine is needed.

Its jars come through Maven (org.apache.kafka:kafka_2.13 and what it needs, 46 MB, once, into the user's cache folder);
Java 17 runs it in KRaft mode, broker and controller in one process, on 127.0.0.1.

    WEIR_KAFKA_JARS    a folder that holds the jars already
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from config.errors import StateError
from engine.clock import SystemClock, random_bytes

VERSION = "3.9.1"
WAIT_S, MAVEN_S = (
    300.0,
    600.0,
)  # it takes 3 s; on a busy machine much more, and one that fails ends at once
LOOK_EVERY_US = 50_000
# As Kafka's own start script has it: the serial collector halted the broker for 50 to 90 ms every few seconds, this one
# for 14 to 22.
_JVM = ("-Xmx384m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:MetaspaceSize=96m")
_POM = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>weir</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def missing() -> str:
    """What this machine lacks for a broker of its own; "" if nothing."""
    if shutil.which("java") is None:
        return "Java 17 is missing: apt-get install openjdk-17-jre-headless"
    if _jars() is None and shutil.which("mvn") is None:
        return "the jars of Kafka are missing, and Maven to fetch them: apt-get install maven"
    return ""


def fetch() -> Path:
    """The folder of the jars, fetched if need be; `StateError` if they cannot be had."""
    found = _jars()
    if found is not None:
        return found
    target = _cached()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        (folder / "pom.xml").write_text(_POM)
        command = ["mvn", "-q", "-B", _COPY, f"-DoutputDirectory={folder / 'jars'}"]
        try:
            done = subprocess.run(  # noqa: S603 - a program of the machine, and our own words
                command, cwd=folder, capture_output=True, text=True, timeout=MAVEN_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _unfetched(str(error)) from None
        if done.returncode:
            raise _unfetched((done.stdout + done.stderr).strip()[-400:])
        shutil.rmtree(target, ignore_errors=True)
        (folder / "jars").rename(target)
    return target


def _unfetched(why: str) -> StateError:
    return StateError(
        "the jars of Kafka could not be fetched",
        why=why,
        fix="look whether Maven works here, or let WEIR_KAFKA_JARS name a folder that holds them",
    )


def _cached() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "weir" / f"kafka-{VERSION}"


def _jars() -> Path | None:
    named = os.environ.get("WEIR_KAFKA_JARS")
    folder = Path(named) if named else _cached()
    return folder if any(folder.glob("kafka_2.13-*.jar")) else None


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class LocalKafka:
    """A broker with its logs in `folder`; `kill` is SIGKILL, and `start` goes on with what is on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._controller = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return when it answers; `StateError` if it does not in time."""
        jars = fetch()
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        is_new = not properties.exists()
        properties.write_text(self._properties())
        if is_new:
            told = ["format", "-t", random_bytes(11).hex(), "-c", str(properties)]
            self._java(jars, "kafka.tools.StorageTool", told).wait(WAIT_S)
        self._process = self._java(jars, "kafka.Kafka", [str(properties)])
        clock = SystemClock()
        end_ns = clock.monotonic_ns() + int(WAIT_S * 1e9)
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=1),
            ):
                return
            if self._process.poll() is not None or clock.monotonic_ns() > end_ns:
                raise StateError(
                    "Kafka does not start",
                    str(self.folder / "broker.log"),
                    fix="read its log; Java 17 is needed",
                )
            clock.sleep_us(LOOK_EVERY_US)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def _java(self, jars: Path, name: str, told: list[str]) -> "subprocess.Popen[bytes]":
        with (self.folder / "broker.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - a program of the machine, and our own words
                ["java", *_JVM, "-cp", f"{jars}/*", name, *told],  # noqa: S607
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _properties(self) -> str:
        return f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self._controller}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={self.folder / "logs"}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=16777216
"""
