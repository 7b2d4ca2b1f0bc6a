"""Recorded traffic at a pace, and only a part of it."""

from collections.abc import Callable, Sequence

import msgspec

from config.errors import ConfigError, InputError
from engine.clock import Clock
from engine.ports import Messages, Source
from engine.quantities import read_times

SLEEP_US_MAX = 200_000  # a stop is noticed that soon


class Pace:
    """Let core time pass `factor` times as fast as the clock; called with core time after each batch.

    Core time begins with the first event: before, it is below 0 and nothing is waited for.
    """

    def __init__(self, factor: float, clock: Clock) -> None:
        self._factor, self._clock = factor, clock
        self._began: tuple[int, int] | None = None  # core time and clock at the first batch

    def __call__(self, core_us: int, is_stopped: Callable[[], bool]) -> None:
        if core_us < 0:
            return
        now_us = self._clock.monotonic_ns() // 1_000
        if self._began is None:
            self._began = (core_us, now_us)
        core_began_us, began_us = self._began
        due_us = began_us + int((core_us - core_began_us) / self._factor)
        while now_us < due_us and not is_stopped():
            self._clock.sleep_us(min(due_us - now_us, SLEEP_US_MAX))
            now_us = self._clock.monotonic_ns() // 1_000


def pace_of(text: str, clock: Clock) -> Pace | None:
    """Read `max`, `10x` or `1x`; None for as fast as it goes."""
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
    return Pace(factor, clock)


class _Timed(msgspec.Struct):
    event_time: str | int | None = None


class Between:
    """A source that leaves out events before `from_us` or at or after `to_us`; messages without a time stay."""

    def __init__(self, source: Source, from_us: int | None, to_us: int | None) -> None:
        self._source = source
        self._from_us, self._to_us = from_us, to_us
        self._decoder = msgspec.json.Decoder(_Timed)
        self.is_live = source.is_live

    def poll(self, rows_max: int, wait_us: int) -> Messages | None:
        while True:
            messages = self._source.poll(rows_max, wait_us)
            if messages is None or not len(messages):
                return messages
            kept = [i for i, line in enumerate(messages.lines) if self._is_inside(line)]
            if kept:
                return _picked(messages, kept)

    def resume_after(self, position: str) -> None:
        self._source.resume_after(position)

    def commit(self, position: str) -> None:
        self._source.commit(position)

    def close(self) -> None:
        self._source.close()

    def _is_inside(self, line: bytes) -> bool:
        try:
            time = self._decoder.decode(line).event_time
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # dead letters, later
            return True
        if time is None:
            return True
        times, wrong = read_times([time])
        if wrong:
            return True
        after = self._from_us is None or int(times[0]) >= self._from_us
        return after and (self._to_us is None or int(times[0]) < self._to_us)


def _picked(messages: Messages, rows: Sequence[int]) -> Messages:
    arrival_us = messages.arrival_us[list(rows)] if messages.arrival_us is not None else None
    return Messages(
        [messages.lines[i] for i in rows], [messages.positions[i] for i in rows], arrival_us
    )


def check_order(from_us: int | None, to_us: int | None) -> None:
    """Refuse a range that holds nothing."""
    if from_us is not None and to_us is not None and from_us >= to_us:
        raise InputError("`--to` is not after `--from`", fix="swap them; --to itself is left out")
