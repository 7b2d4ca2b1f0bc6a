"""The thread that steps the partitions of a worker: whoever asks it is answered, whatever has become of it."""

import threading

import pytest

from engine.cluster.crew import Crew
from engine.cluster.lane import Lane
from engine.cluster.ports import FencedError, NotTakenError

WAIT_S = 60.0


class Steps:
    """A partition that does as it is told."""

    def __init__(self):
        self.error = None  # raised by the next step
        self.is_fenced = False
        self.is_closed = False
        self.is_handed_on = False
        self.lane = Lane("in", 0, lambda: None)
        self.n_steps = 0

    def step(self):
        self.n_steps += 1
        if self.error is not None:
            raise self.error
        return False

    def share(self, lists):
        pass

    def finish(self):
        if self.is_fenced:
            raise FencedError

    def tick_if_silent(self):
        pass

    def settle(self):
        if self.is_fenced:
            raise FencedError

    def hand_on(self):
        self.is_handed_on = True

    def close(self):
        self.is_closed = True


class Told:
    """A crew and what it says."""

    def __init__(self):
        self.partitions = {}
        self.lost = []
        self.failures = []
        self.failed = threading.Event()
        self.crew = Crew("in", self.take_over, self.lost.append, self.fails)

    def take_over(self, number, lane):
        return self.partitions.setdefault(number, Steps())

    def fails(self, error):
        self.failures.append(error)
        self.failed.set()

    def take(self, number):
        self.crew.take(number).result(WAIT_S)
        return self.partitions[number]


def test_what_ends_the_crew_is_told_and_answers_everybody():
    told = Told()
    error = RuntimeError("no space left")
    told.take(0).error = error
    assert told.failed.wait(WAIT_S)
    assert told.failures == [error]
    for future in (told.crew.settle(), told.crew.hand_on([0]), told.crew.stop()):
        with pytest.raises(RuntimeError, match="no space left"):
            future.result(WAIT_S)


def test_whoever_asks_a_crew_that_has_stopped_is_answered():
    """A rebalance may still be under way when a worker leaves; it must not wait for ever."""
    told = Told()
    partition = told.take(0)
    told.crew.stop().result(WAIT_S)
    assert partition.is_handed_on
    told.crew.settle().result(WAIT_S)
    told.crew.hand_on([0, 1]).result(WAIT_S)
    told.crew.stop().result(WAIT_S)
    with pytest.raises(NotTakenError):
        told.crew.take(1).result(WAIT_S)
    assert not told.failures


def test_an_answer_that_nobody_waits_for_any_more_harms_nobody():
    """A task of the loop that is cancelled cancels the future it waits for."""
    told = Told()
    gate = threading.Event()

    def slow(number, lane):
        assert gate.wait(WAIT_S)
        return told.partitions.setdefault(number, Steps())

    told.crew._take_over = slow
    first, second = told.crew.take(0), told.crew.take(1)
    assert second.cancel()
    gate.set()
    first.result(WAIT_S)
    told.crew.settle().result(WAIT_S)
    assert not told.failures
    told.crew.stop().result(WAIT_S)


def test_a_partition_that_is_not_taken_ends_nothing():
    told = Told()

    def refuses(number, lane):
        raise NotTakenError("no broker")

    told.crew._take_over = refuses
    with pytest.raises(NotTakenError, match="no broker"):
        told.crew.take(0).result(WAIT_S)
    told.crew.settle().result(WAIT_S)
    told.crew.stop().result(WAIT_S)
    assert not told.failures


def test_a_partition_that_turns_out_to_be_fenced_while_it_settles_is_told():
    """Or it would stay undecided if the group leaves it here."""
    told = Told()
    partition = told.take(0)
    partition.is_fenced = True
    told.crew.settle().result(WAIT_S)
    assert told.lost == [0]
    assert partition.is_closed
    told.crew.stop().result(WAIT_S)


def test_a_partition_that_is_held_is_not_stepped():
    """While it is not known whose it will be, it decides nothing that its next owner would decide again."""
    told = Told()
    partition = told.take(0)
    for _ in range(3):
        told.crew.settle().result(WAIT_S)
    assert partition.n_steps
    partition.lane.is_held = True
    told.crew.settle().result(WAIT_S)
    before = partition.n_steps
    for _ in range(3):
        told.crew.settle().result(WAIT_S)
    assert partition.n_steps == before
    told.crew.stop().result(WAIT_S)
    assert partition.is_handed_on
