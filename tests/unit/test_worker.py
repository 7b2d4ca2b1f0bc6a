"""A worker's own view of itself: whether it lives, whether it is ready, and what it shows."""

from types import SimpleNamespace

import pytest

pytest.importorskip("aiokafka", reason="aiokafka is missing: pip install 'weir-fraud[kafka]'")

from config.cluster import ClusterSettings
from engine.brokers.kafka.app import STUCK_S, Worker
from engine.cluster.lane import Lane


class Hands:
    """A clock that stands where it is put."""

    now_ns = 0

    def monotonic_ns(self):
        return self.now_ns

    def now_us(self):
        return self.now_ns // 1_000


@pytest.fixture
def worker(tmp_path):
    return Worker(ClusterSettings(brokers="127.0.0.1:9"), tmp_path, lambda *_: None, clock=Hands())


def crew(*numbers, seen_ns=0):
    lanes = {number: Lane("weir.input", number, lambda: None) for number in numbers}
    return SimpleNamespace(lanes=lanes, seen_ns=seen_ns, waiting=lambda: dict.fromkeys(lanes, 2))


def test_it_is_ready_once_all_its_partitions_are_open(worker):
    assert "has not joined" in worker.unready()
    worker.crew, worker._ours = crew(1), {1, 4}
    assert worker.unready() == "being taken over: partition 4"
    worker.crew = crew(1, 4)
    assert worker.unready() == ""
    worker.crew, worker._ours = crew(), set()  # more workers than partitions
    assert worker.unready() == ""
    worker._is_leaving = True
    assert "leaving" in worker.unready()


def test_it_is_unhealthy_once_it_has_failed_or_gives_no_sign(worker):
    assert worker.unhealthy() == ""
    worker._clock.now_ns = int((STUCK_S + 1) * 1e9)
    assert worker.unhealthy().startswith("the loop has given no sign")
    worker._beat_ns = worker._clock.now_ns
    worker.crew = crew()
    assert worker.unhealthy().startswith("the crew has given no sign")
    worker.crew.seen_ns = worker._clock.now_ns
    assert worker.unhealthy() == ""
    worker.failure = RuntimeError("no space")
    assert worker.unhealthy() == "the worker has failed: no space"


def test_it_shows_its_partitions(worker):
    worker.crew, worker._ours = crew(1), {1, 4}
    shown = worker.metrics.present
    assert shown("weir_partition_open") == {"1": 1.0, "4": 0.0}
    assert shown("weir_partition_waiting_lines") == {"1": 2.0}
