"""Aggregates over the last N events of a key: N events are looked at when they are asked for.

Features over the last events of one filter have an event log of their own, so that what is stored is what counts, and
N events stay in it however old they are (`make_room`). No state is kept beside them.
"""

import numpy as np
from numba import njit

from engine.windows.kernels.exact import add_square, deviation, entropy, quotient, spread
from engine.windows.kernels.layout import (
    AVG,
    C_SCALE,
    COLUMN_ROW,
    COLUMNS,
    COUNT,
    DISTINCT,
    ENTROPY,
    EVENT_WIDTH,
    F_CODED,
    F_COLUMN,
    F_LEVEL,
    F_P,
    F_Q,
    FIRST,
    I8,
    LENGTH,
    LEVEL_ONE,
    LOW,
    MAX,
    META,
    MIN,
    MISSING,
    QUANTILE,
    SINCE_FIRST,
    SINCE_LAST,
    START,
    STDDEV,
    SUM,
    TIME,
    VALUE,
)
from engine.windows.kernels.memory import count_until


@njit(cache=True)
def over_values(op: int, values: I8, n: int, level: int, scale: int) -> float:
    """An aggregate of `n` values, oldest first; NaN for missing.

    op     : int         SUM, AVG, STDDEV, DISTINCT, QUANTILE, ENTROPY, FIRST, MIN, MAX, else LAST
    values : (m,) int64  updated: sorted for DISTINCT, QUANTILE and ENTROPY
    n      : int         how many count
    level  : int         of a quantile, in billionths
    scale  : int         what the values were multiplied by

    O(n), O(n log n) where they are sorted.
    """
    if op == DISTINCT:
        values[:n].sort()
        found = 0
        for k in range(n):
            found += k == 0 or values[k] != values[k - 1]
        return np.float64(found)
    if n == 0:
        return 0.0 if op == SUM else np.nan
    if op in (SUM, AVG, STDDEV):
        high, low = 0, 0
        squares = np.zeros(4, np.int64)
        for k in range(n):
            high += values[k] >> 32
            low += values[k] & LOW
            if op == STDDEV:
                add_square(squares, 0, values[k], 1)
        if op == STDDEV:
            s0, s1, s2, s3 = int(squares[0]), int(squares[1]), int(squares[2]), int(squares[3])
            return deviation(n, high, low, s0, s1, s2, s3, np.float64(scale))
        return quotient(high, low, scale if op == SUM else n * scale)
    if op == ENTROPY:
        values[:n].sort()
        total, same = 0, 0
        for k in range(n):
            same = same + 1 if k > 0 and values[k] == values[k - 1] else 1
            total += spread(same) - spread(same - 1)
        return entropy(n, total)
    value = values[n - 1]
    if op == FIRST:
        value = values[0]
    elif op == QUANTILE:
        values[:n].sort()
        value = values[max((level * n + LEVEL_ONE - 1) // LEVEL_ONE, 1) - 1]
    elif op == MIN:
        value = values[:n].min()
    elif op == MAX:
        value = values[:n].max()
    return quotient(value >> 32, value & LOW, scale)


@njit(cache=True)
def read_newest(
    plan: I8, record: I8, log: I8, r: int, f: int, time_us: int, is_late: bool
) -> tuple[float, int]:
    """The result of a feature over the last events: as a number, and as a code.

    plan, record, log : (m,) int64  read
    r       : int   where the record begins
    f       : int   row of FEATURES; F_P is what is asked for, F_Q of how many events
    time_us : int   the moment
    is_late : bool  it is before AS_OF
    """
    op, wanted, column, width = plan[f + F_P], plan[f + F_Q], plan[f + F_COLUMN], plan[EVENT_WIDTH]
    j = count_until(plan, record, log, r, time_us) if is_late else record[r + LENGTH]
    values = np.empty(wanted, np.int64)
    n, seen, oldest_us, newest_us = 0, 0, np.int64(0), np.int64(0)
    while j > 0 and seen < wanted:
        j -= 1
        e = (record[r + START] + j) * width
        if not log[e + META] & 1:
            continue
        if seen == 0:
            newest_us = log[e + TIME]
        oldest_us = log[e + TIME]
        seen += 1
        if column >= 0 and log[e + VALUE + column] != MISSING:
            n += 1
            values[wanted - n] = log[e + VALUE + column]
    if op == COUNT:
        return np.float64(seen), -1
    if op in (SINCE_FIRST, SINCE_LAST):
        if seen == 0:
            return np.nan, -1
        return np.float64(time_us - (oldest_us if op == SINCE_FIRST else newest_us)), -1
    values = values[wanted - n :]
    if plan[f + F_CODED]:
        if n == 0:
            return np.nan, -1
        return np.nan, values[0] if op == FIRST else values[n - 1]
    scale = plan[plan[COLUMNS] + COLUMN_ROW * column + C_SCALE]
    return over_values(op, values, n, plan[f + F_LEVEL], scale), -1
