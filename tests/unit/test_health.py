"""What a worker says over HTTP: alive, ready, its numbers."""

import urllib.error
import urllib.request

import pytest

from config.errors import InputError
from engine.cluster.health import Health
from engine.metrics import Metrics


def ask(health, path):
    """Status and text."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health.port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def worker():
    class Worker:
        unhealthy = unready = ""

    return Worker()


@pytest.fixture
def health(worker):
    metrics = Metrics()
    metrics.add("weir_rebalances_total", 3)
    part = metrics.part()
    part.count({"decisions": {"approve": 2}}, 2)
    part.mirror("weir_core_time_seconds", lambda: {"": 7.0})
    found = Health(
        "127.0.0.1", 0, lambda: worker.unhealthy, lambda: worker.unready, metrics.registry()
    )
    yield found
    found.close()


def test_it_says_whether_it_lives_and_whether_it_is_ready(health, worker):
    assert ask(health, "/health") == ask(health, "/ready") == (200, "ok\n")
    worker.unready = "being taken over: partition 3"
    assert ask(health, "/health")[0] == 200
    assert ask(health, "/ready") == (503, "being taken over: partition 3\n")
    worker.unready, worker.unhealthy = "", "the worker has failed: no space"
    assert ask(health, "/health") == ask(health, "/ready") == (503, f"{worker.unhealthy}\n")
    assert ask(health, "/nothing")[0] == 404


def test_its_numbers_are_those_of_all_its_partitions(health):
    page = ask(health, "/metrics")[1]
    assert 'weir_decisions_total{decision="approve"} 2.0' in page
    assert "weir_rebalances_total 3.0" in page
    assert "weir_core_time_seconds 7.0" not in page  # of one partition: not the worker's


def test_a_port_that_is_taken_is_refused(health):
    with pytest.raises(InputError, match="cannot be opened"):
        Health("127.0.0.1", health.port, str, str, Metrics().registry())
