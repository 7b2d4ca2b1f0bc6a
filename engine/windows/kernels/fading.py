"""Decayed sums and counts: an event of age a weighs 2**-(a / half-life). Floats, the only ones among the windows.

A *fade* keeps count, sum and weight as of its newest event, and the same of dropped events as of the last of those, so
that what was ever added can be added up anew from the events kept. That is done where taking away would leave mostly
rounding: when an update takes away what weighed most, and for a late row whose past weighs little beside what came
since. Results depend on the order of rows (in the last digits), never on how they are cut into batches.
"""

import numpy as np
from numba import njit

from engine.windows.kernels.distinct import word_of
from engine.windows.kernels.layout import (
    F_P,
    FADE_ROW,
    FADES,
    I8,
    LENGTH,
    META,
    TIME,
    VALUE,
    Y_AT,
    Y_BIT,
    Y_COLUMN,
    Y_HALF,
)
from engine.windows.kernels.memory import count_until, decay

LITTLE = 2.0**-16  # of what was there: less is left to rounding
NOTHING = 2.0**-50  # a weight that is no longer one


@njit(inline="always")
def value_of(plan: I8, log: I8, y: int, e: int) -> float:
    """The value that the event at word `e` adds to fade `y`."""
    column = plan[y + Y_COLUMN]
    return np.float64(log[e + VALUE + column]) if column >= 0 else 0.0


@njit(cache=True)
def add_up(
    plan: I8, record: I8, log: I8, r: int, y: int, until: int, time_us: int
) -> tuple[float, float]:
    """Sum and weight of fade `y` at a moment, from the dropped events and positions 0 .. until - 1.

    plan, record, log : (m,) int64  read
    r       : int  where the record begins
    y       : int  row of FADES
    until   : int  one past the newest event
    time_us : int  the moment, not before any of them

    O(events kept).
    """
    h, half, kept = r + plan[y + Y_AT], plan[y + Y_HALF], record.view(np.float64)
    d = decay(time_us - record[h + 4], half)
    total, weight = kept[h + 5] * d, kept[h + 6] * d
    for j in range(until):
        e = word_of(plan, record, r, j)
        if (log[e + META] >> plan[y + Y_BIT]) & 1:
            d = decay(time_us - log[e + TIME], half)
            total += d * value_of(plan, log, y, e)
            weight += d
    return total, weight


@njit(cache=True)
def fade_in(plan: I8, record: I8, log: I8, r: int, at: int) -> None:
    """Add event `at`, wherever it stands, to the fades it belongs to.

    plan, record, log : (m,) int64  read; record: updated
    r  : int  where the record begins
    at : int  position of the event

    Adds up anew what `fade_out` could not take away.
    """
    kept = record.view(np.float64)
    e = word_of(plan, record, r, at)
    time_us = log[e + TIME]
    for y in range(plan[FADES], plan[FADES + 1], FADE_ROW):
        h, half = r + plan[y + Y_AT], plan[y + Y_HALF]
        is_in = (log[e + META] >> plan[y + Y_BIT]) & 1
        record[h] += is_in
        if record[h + 1] < 0:
            record[h + 1] = ~record[h + 1]
            if record[h] == 0:
                record[h + 1], kept[h + 2], kept[h + 3] = 0, 0.0, 0.0
                continue
            newest_us = max(record[h + 1], time_us)
            total, weight = add_up(plan, record, log, r, y, record[r + LENGTH], newest_us)
            record[h + 1], kept[h + 2], kept[h + 3] = newest_us, total, weight
        elif is_in:
            v, ref_us = value_of(plan, log, y, e), record[h + 1]
            if time_us >= ref_us:
                d = decay(time_us - ref_us, half)
                kept[h + 2], kept[h + 3] = kept[h + 2] * d + v, kept[h + 3] * d + 1.0
                record[h + 1] = time_us
            else:
                d = decay(ref_us - time_us, half)
                kept[h + 2] += v * d
                kept[h + 3] += d


@njit(cache=True)
def fade_out(plan: I8, record: I8, log: I8, r: int, at: int) -> None:
    """Take event `at` out of the fades it belongs to; `fade_in` of what stands there then must follow.

    plan, record, log : (m,) int64  read; record: updated
    r  : int  where the record begins
    at : int  position of the event
    """
    kept = record.view(np.float64)
    e = word_of(plan, record, r, at)
    for y in range(plan[FADES], plan[FADES + 1], FADE_ROW):
        h, half = r + plan[y + Y_AT], plan[y + Y_HALF]
        if not (log[e + META] >> plan[y + Y_BIT]) & 1:
            continue
        d = decay(record[h + 1] - log[e + TIME], half)
        total, weight = kept[h + 2] - d * value_of(plan, log, y, e), kept[h + 3] - d
        is_little = weight < LITTLE * kept[h + 3] or abs(total) < LITTLE * abs(kept[h + 2])
        record[h] -= 1
        kept[h + 2], kept[h + 3] = total, weight
        if is_little:
            record[h + 1] = ~record[h + 1]


@njit(cache=True)
def read_fade(plan: I8, record: I8, log: I8, r: int, f: int, time_us: int) -> tuple[float, float]:
    """Sum and weight that feature `f` asks for, at a moment that may lie before the newest event.

    plan, record, log : (m,) int64  read
    r       : int  where the record begins
    f       : int  row of FEATURES
    time_us : int  the moment, at most the lateness before AS_OF

    O(events newer than the moment), seldom O(events kept).
    """
    y, kept = plan[f + F_P], record.view(np.float64)
    h, half = r + plan[y + Y_AT], plan[y + Y_HALF]
    n, ref_us, total, weight = record[h], record[h + 1], kept[h + 2], kept[h + 3]
    if ref_us <= time_us:
        d = decay(time_us - ref_us, half)
        return total * d, weight * d
    until = count_until(plan, record, log, r, time_us)
    for j in range(until, record[r + LENGTH]):
        e = word_of(plan, record, r, j)
        if (log[e + META] >> plan[y + Y_BIT]) & 1:
            d = decay(ref_us - log[e + TIME], half)
            total -= d * value_of(plan, log, y, e)
            weight -= d
            n -= 1
    if n == 0:
        return 0.0, 0.0
    if weight < LITTLE * kept[h + 3] or abs(total) < LITTLE * abs(kept[h + 2]):
        return add_up(plan, record, log, r, y, until, time_us)
    d = decay(ref_us - time_us, half)
    return total / d, weight / d
