"""engine/clock.py."""

import pytest

from engine.clock import ManualClock, SystemClock


def test_a_manual_clock_moves_only_when_it_is_told_to_or_sleeps():
    clock = ManualClock(now_us=1_000_000)
    assert (clock.now_us(), clock.monotonic_ns()) == (1_000_000, 0)
    clock.advance_us(5)
    clock.sleep_us(10)
    clock.sleep_us(-3)
    assert (clock.now_us(), clock.monotonic_ns()) == (1_000_015, 15_000)
    with pytest.raises(AssertionError):
        clock.advance_us(-1)


def test_durations_do_not_notice_a_jump_of_the_wall_clock():
    clock = ManualClock(now_us=1_000_000)
    clock.jump_to_us(10)
    assert (clock.now_us(), clock.monotonic_ns()) == (10, 0)


def test_the_system_clock_counts_microseconds_since_1970_and_never_runs_back():
    clock = SystemClock()
    assert 1_600_000_000 < clock.now_us() / 1e6 < 7_258_118_400
    before = clock.monotonic_ns()
    clock.sleep_us(0)
    assert clock.monotonic_ns() >= before
