"""What is said of a broker that is away."""

import logging

import pytest

pytest.importorskip("aiokafka", reason="aiokafka is missing: pip install 'weir-fraud[kafka]'")

from engine.brokers.kafka.calm import Notes, calm
from engine.clock import ManualClock

MINUTE_US = 60_000_000


@pytest.fixture(autouse=True)
def logger():
    logger = logging.getLogger("aiokafka")
    before = logger.handlers, logger.propagate
    yield logger
    logger.handlers, logger.propagate = before


def test_the_same_is_said_once_a_minute_and_then_with_how_often(capsys):
    clock = ManualClock()
    notes = Notes(clock)
    for n in range(100):
        notes.say("p1", f"partition 1 waits: {n}")
    notes.say("p2", "partition 2 waits")
    assert capsys.readouterr().err == "partition 1 waits: 0\npartition 2 waits\n"
    clock.advance_us(MINUTE_US)
    notes.say("p1", "partition 1 waits")
    assert capsys.readouterr().err == "partition 1 waits (and 99 times since it was said last)\n"


def test_a_client_that_tries_again_and_again_says_so_once(capsys):
    calm(Notes(ManualClock()))
    log = logging.getLogger("aiokafka.conn")
    for n in range(50):
        log.error("Unable connect to node with id %s: %s", n, "refused")
        log.info("trying")
    log.error("Failed fetch messages", exc_info=OSError("no route"))
    assert capsys.readouterr().err == (
        "kafka: error: Unable connect to node with id 0: refused\n"
        "kafka: error: Failed fetch messages: OSError('no route')\n"
    )
