"""Recorded traffic at a pace, and only a part of it: sources around a source."""

from collections.abc import Sequence

import msgspec

from config.errors import ConfigError, InputError
from engine.clock import Clock
from engine.ports import Messages, Source
from engine.quantities import read_times

BLOCK_ROWS = 4_096  # messages fetched at a time while pacing
_NOTHING = Messages([], [])


def factor_of(text: str) -> float | None:
    """Read `max`, `10x` or `1x`: how many times as fast as the clock; None for as fast as it goes."""
    if text == "max":
        return None
    try:
        factor = float(text.removesuffix("x"))
    except ValueError:
        factor = 0.0
    if not text.endswith("x") or not 0 < factor < float("inf"):
        raise ConfigError(
            f"`--speed` must be max or a multiple such as 10x, was {text}",
            fix="write max for as fast as it goes, 1x for the pace of the recording",
        )
    return factor


class _Timed(msgspec.Struct):
    event_time: str | int | None = None


_DECODE = msgspec.json.Decoder(_Timed).decode


def event_time_us(line: bytes) -> int | None:
    """When a message says it happened; None where it does not, or cannot be read (a dead letter, later)."""
    try:
        time = _DECODE(line).event_time
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if time is None:
        return None
    times, wrong = read_times([time])
    return None if wrong else int(times[0])


class _Around:
    """What sources around a source have in common."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.is_live = source.is_live

    def resume_after(self, position: str) -> bytes | None:
        return self._source.resume_after(position)

    def commit(self, position: str) -> None:
        self._source.commit(position)

    def close(self) -> None:
        self._source.close()


class Paced(_Around):
    """A source that gives each message when it is due: time passes `factor` times as fast as the clock.

    The first message with a time is due at once, the others as much later as they happened later; what took longer is
    caught up. A message without a time is due with the one before it, and so is one that lies more than `jump_us_max`
    ahead: nobody waits for a year 2099 that will be refused.
    """

    def __init__(self, source: Source, factor: float, clock: Clock, jump_us_max: int) -> None:
        super().__init__(source)
        self._factor, self._clock, self._jump_us_max = factor, clock, jump_us_max
        self._waiting = _NOTHING
        self._due_us: list[int] = []  # of each waiting message, by the clock; ascending
        self._began: tuple[int, int] | None = None  # event time and clock at the first event
        self._newest_us = 0

    def poll(self, rows_max: int, wait_us: int) -> Messages | None:
        """Return what is due, after at most `wait_us`; nothing if nothing is."""
        if not self._due_us:
            following = self._source.poll(BLOCK_ROWS, wait_us)
            if following is None or not len(following):
                return following
            self._waiting, self._due_us = following, [self._due(x) for x in following.lines]
        now_us = self._clock.monotonic_ns() // 1_000
        if self._due_us[0] > now_us:
            self._clock.sleep_us(min(self._due_us[0] - now_us, wait_us))
            now_us = self._clock.monotonic_ns() // 1_000
        n = 0
        while n < min(len(self._due_us), rows_max) and self._due_us[n] <= now_us:
            n += 1
        ready = _picked(self._waiting, range(n))
        self._waiting = _picked(self._waiting, range(n, len(self._waiting)))
        self._due_us = self._due_us[n:]
        return ready

    def _due(self, line: bytes) -> int:
        now_us = self._clock.monotonic_ns() // 1_000
        time_us = event_time_us(line)
        if self._began is None:
            if time_us is None:
                return now_us
            self._began, self._newest_us = (time_us, now_us), time_us
        elif time_us is not None and time_us <= self._newest_us + self._jump_us_max:
            self._newest_us = max(self._newest_us, time_us)
        first_us, began_us = self._began
        return began_us + int((self._newest_us - first_us) / self._factor)


class Between(_Around):
    """A source that leaves out events before `from_us` or at or after `to_us`; messages without a time stay."""

    def __init__(self, source: Source, from_us: int | None, to_us: int | None) -> None:
        super().__init__(source)
        self._from_us, self._to_us = from_us, to_us

    def poll(self, rows_max: int, wait_us: int) -> Messages | None:
        while True:
            messages = self._source.poll(rows_max, wait_us)
            if messages is None or not len(messages):
                return messages
            kept = [i for i, line in enumerate(messages.lines) if self._is_inside(line)]
            if kept:
                return _picked(messages, kept)

    def _is_inside(self, line: bytes) -> bool:
        time_us = event_time_us(line)
        if time_us is None:
            return True
        after = self._from_us is None or time_us >= self._from_us
        return after and (self._to_us is None or time_us < self._to_us)


def _picked(messages: Messages, rows: Sequence[int]) -> Messages:
    arrival_us = messages.arrival_us[list(rows)] if messages.arrival_us is not None else None
    return Messages(
        [messages.lines[i] for i in rows], [messages.positions[i] for i in rows], arrival_us
    )


def check_order(from_us: int | None, to_us: int | None) -> None:
    """Refuse a range that holds nothing."""
    if from_us is not None and to_us is not None and from_us >= to_us:
        raise InputError("`--to` is not after `--from`", fix="swap them; --to itself is left out")
