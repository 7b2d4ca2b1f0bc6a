"""Works in slices: one runs at a time, its clock stands while it is halted, and a failure is told."""

import os
import time
from itertools import pairwise
from multiprocessing import active_children

import pytest

from benchmarks.slices import in_slices

BUSY_S = 0.5


def busy(clock):
    """Be busy for a while of the given clock; when that began and ended for everybody, and what both clocks say."""
    began, here = clock(), time.perf_counter()
    moments = []
    while clock() < began + BUSY_S:
        moments.append(time.perf_counter())
    return moments, clock() - began, time.perf_counter() - here


def test_one_runs_at_a_time_and_its_clock_stands_while_it_is_halted():
    found = in_slices({"a": busy, "b": busy}, slice_s=0.02)
    assert list(found) == ["a", "b"]
    for _, by_clock, by_everybody in found.values():
        assert by_clock >= BUSY_S
        assert by_everybody > by_clock * 1.5  # the other ran meanwhile
    merged = sorted((at, name) for name, (moments, _, _) in found.items() for at in moments)
    switches = sum(a[1] != b[1] for a, b in pairwise(merged))
    assert 2 <= switches <= 100, "slices, not the turns of the scheduler"


def test_each_is_a_process_and_results_come_back_by_name():
    found = in_slices({name: lambda _, name=name: (name, os.getpid()) for name in "xyz"})
    assert [said for said, _ in found.values()] == ["x", "y", "z"]
    assert len({pid for _, pid in found.values()} | {os.getpid()}) == 4


def test_a_failure_is_told_and_no_process_stays_behind(capfd):
    before = active_children()

    def fails(_):
        raise ValueError("not today")

    with pytest.raises(ChildProcessError):
        in_slices({"waits": lambda _: time.sleep(60), "fails": fails}, slice_s=0.02)
    assert "not today" in capfd.readouterr().err
    assert active_children() == before
