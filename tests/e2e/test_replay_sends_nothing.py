"""A replay sends nothing to anybody: what carries commands out is absent from it, not muted.

The same configuration (`effect: enforce`, a webhook, a Redis) over the same traffic: `weir run` delivers each command,
`weir replay` records the same commands and opens no connection. It has nothing to open one with: no module of replay/
imports the room that could (the import contract in pyproject.toml says the same), and the runner refuses one.
"""

import json
import socket
import subprocess
import sys

import pytest

from engine import cli
from engine.brokers.files import FileSource
from engine.clock import ManualClock
from engine.durable.disk import RealDisk
from engine.progress import Progress
from engine.runner import StopRequest
from engine.setup import read_setup
from engine.starting import open_engine
from tests.auditing import small_bank, small_traffic
from tests.core_banking import SECRET, Bank

ALL_OF_REPLAY = """
import importlib, pkgutil, sys
import replay
for module in pkgutil.walk_packages(replay.__path__, "replay."):
    importlib.import_module(module.name)
print(sorted(name for name in sys.modules if name.startswith(("engine.sinks", "engine.live", "redis"))))
"""


@pytest.fixture
def bank(monkeypatch):
    monkeypatch.setenv("WEIR_SINK_KEY", SECRET.decode())
    with Bank() as bank:
        yield bank


@pytest.fixture
def traffic(tmp_path):
    return small_traffic(tmp_path / "traffic.ndjson", 400)


def configured(tmp_path, bank, redis):
    """A bank that enforces, with every way out there is."""
    port = redis.getsockname()[1]
    return small_bank(
        tmp_path / "bank",
        effect="enforce",
        sink=f'{{webhook: "{bank.url}", key_env: WEIR_SINK_KEY}}',
        redis=f'{{url: "redis://127.0.0.1:{port}/0"}}',
    )


def commands(out):
    return [json.loads(line) for line in (out / "commands.ndjson").read_bytes().splitlines()]


def test_a_run_delivers_and_a_replay_of_the_same_records_and_sends_nothing(tmp_path, bank, traffic):
    with socket.create_server(("127.0.0.1", 0)) as redis:
        redis.settimeout(0)
        folder = configured(tmp_path, bank, redis)
        live, replayed = tmp_path / "live", tmp_path / "replayed"
        arguments = ["--config", str(folder), "--out"]
        assert cli.main(["replay", str(traffic), *arguments, str(replayed)]) == 0
        assert any(told["effect"] == "enforce" for told in commands(replayed))
        assert bank.requests == []
        with pytest.raises(BlockingIOError):
            redis.accept()
        assert not (replayed / "outbox.json").exists()
        assert not (replayed / "registry.json").exists()
        assert cli.main(["run", "--input", str(traffic), *arguments, str(live)]) == 0
        redis.accept()[0].close()
    restricting = [told["command_id"] for told in commands(live) if told["verb"] == "restrict"]
    assert restricting
    delivered = [told["command_id"] for told in bank.effective if told["verb"] == "restrict"]
    assert sorted(delivered) == sorted(restricting)
    assert [
        told["command_id"] for told in commands(replayed) if told["verb"] == "restrict"
    ] == restricting


def test_no_module_of_replay_can_reach_what_carries_outcomes_out():
    """In a process of its own, so that nobody else has imported it."""
    found = subprocess.run(
        [sys.executable, "-c", ALL_OF_REPLAY], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_a_runner_over_a_recording_refuses_one(tmp_path, traffic):
    setup = read_setup(small_bank(tmp_path / "bank"))
    source = FileSource([traffic], setup.feed, setup.schema)
    assert not source.is_live
    engine = open_engine(RealDisk(), tmp_path / "out", source, setup, ManualClock(), threaded=False)
    engine.runner.outlets = object()
    try:
        with pytest.raises(AssertionError, match="a replay sends nothing"):
            engine.runner.run(Progress(None, "msg", quiet=True), StopRequest())
    finally:
        engine.close()
