"""The only wall clock. Nothing else in Weir asks the machine for the time, sleeps, or stamps a record.

The deterministic core never sees a clock at all: a live shell stamps arrivals and inserts ticks with one, a replay
paces itself with one, metrics measure with one. tests/style/test_determinism.py keeps every other module away from
`time` and `datetime.now`.
"""

import os
import time
from typing import Protocol


def random_bytes(n: int) -> bytes:
    """`n` bytes of chance, for salts and nonces that must not be guessed; they reach no outcome.

    Here because the same check that keeps clocks out of other modules keeps dice out of them.
    """
    return os.urandom(n)


def spent_us(pid: int) -> int:
    """Processor time of another process, microseconds, all of its threads; `OSError` if it is gone. Linux alone.

    Its clock is named as in clock_getcpuclockid(3).
    """
    return time.clock_gettime_ns((~pid << 3) | 2) // 1_000


class Clock(Protocol):
    """What the shells ask. `SystemClock` is the machine's; `ManualClock` stands still until a test moves it."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC. May jump when the machine's clock is set; never for durations."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment. Never goes back; only differences mean anything."""
        ...

    def sleep_us(self, duration_us: int) -> None:
        """Return after `duration_us`, at once if that is not positive."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def monotonic_ns(self) -> int:
        return time.perf_counter_ns()

    def sleep_us(self, duration_us: int) -> None:
        if duration_us > 0:
            time.sleep(duration_us / 1e6)


class ManualClock:
    """A clock that tests move. Sleeping moves it too, so that nothing ever waits."""

    def __init__(self, now_us: int = 0) -> None:
        self._now_us = now_us
        self._slept_ns = 0

    def now_us(self) -> int:
        return self._now_us

    def monotonic_ns(self) -> int:
        return self._slept_ns

    def sleep_us(self, duration_us: int) -> None:
        self.advance_us(max(0, duration_us))

    def advance_us(self, duration_us: int) -> None:
        """Let `duration_us` pass for both notions of time."""
        assert duration_us >= 0, (
            "time does not go back; set another clock for a jump of the wall clock"
        )
        self._now_us += duration_us
        self._slept_ns += duration_us * 1_000

    def jump_to_us(self, now_us: int) -> None:
        """Set the wall clock, forwards or back, as an operator or NTP would; durations do not notice."""
        self._now_us = now_us
