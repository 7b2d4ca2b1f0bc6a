"""Exact quantiles and entropies: the values of a window kept sorted, one array an entity and window.

Nearest rank over a sorted array is a look-up; an event that enters or leaves shifts what is larger. Several levels of
one window share the array. Equal values stand together, so how often a value occurs is a look-up too, and an entropy
follows from how those numbers change.
"""

from numba import njit

from engine.windows.kernels.exact import spread
from engine.windows.kernels.horizons import limit_of
from engine.windows.kernels.layout import (
    EVENT_WIDTH,
    HORIZONS,
    I8,
    LENGTH,
    META,
    O_AT,
    O_BIT,
    O_COLUMN,
    O_HORIZON,
    O_LAG,
    O_SPREAD,
    POOL_FREE,
    START,
    TAIL,
    VALUE,
)
from engine.windows.kernels.memory import count_until, give_segment, take_segment


@njit(cache=True)
def first_not_below(pool: I8, start: int, n: int, value: int) -> int:
    """How many of the `n` sorted values at `start` are below `value`.

    pool  : (m,) int64  read
    start : int         where the values begin
    n     : int         how many
    value : int         what is looked for
    """
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if pool[start + middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def change_order(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, o: int, at: int, sign: int
) -> None:
    """Add (`sign` 1) the value of event `at` to the sorted array `o`, or take it out (-1).

    plan, record, log, pool, note : (m,) int64  read and, but for plan and log, updated
    r    : int  where the record begins
    o    : int  row of ORDERS
    at   : int  position of the event
    sign : int  1 or -1

    O(log n) to find the place, O(n) words to shift.
    """
    e = (record[r + START] + at) * plan[EVENT_WIDTH]
    if not (log[e + META] >> plan[o + O_BIT]) & 1:
        return
    value, h = log[e + VALUE + plan[o + O_COLUMN]], r + plan[o + O_AT]
    start, klass, n = record[h], record[h + 1], record[h + 2]
    k = start + first_not_below(pool, start, n, value)
    if plan[o + O_SPREAD]:
        same = first_not_below(pool, start, n, value + 1) + start - k
        record[h + 3] += spread(same + sign) - spread(same)
    if sign < 0:
        for j in range(k, start + n - 1):
            pool[j] = pool[j + 1]
        record[h + 2] = n - 1
        return
    if klass == 0 or n == 1 << klass:
        larger = max(klass + 1, 2)
        to = take_segment(pool, note, POOL_FREE, larger, 1)
        for j in range(n):
            pool[to + j] = pool[start + j]
        if klass:
            give_segment(pool, note, POOL_FREE, klass, 1, start)
        record[h], record[h + 1] = to, larger
        k += to - start
        start = to
    for j in range(start + n, k, -1):
        pool[j] = pool[j - 1]
    pool[k] = value
    record[h + 2] = n + 1


@njit(cache=True)
def shift_order(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, o: int, time_us: int, sign: int
) -> None:
    """Turn the sorted array `o` into that of a moment in the past (`sign` 1), or back again (-1).

    plan, record, log, pool, note : (m,) int64  read and, but for plan and log, updated
    r       : int  where the record begins
    o       : int  row of ORDERS
    time_us : int  the moment, before AS_OF
    sign    : int  1 there, -1 back

    What was newer goes, what has left since comes back: O(events between the moment and AS_OF).
    """
    tail, head, lag_us = record[r + TAIL + plan[o + O_HORIZON]], record[r + LENGTH], 0
    if plan[o + O_LAG] >= 0:
        head, lag_us = record[r + TAIL + plan[o + O_LAG]], plan[plan[HORIZONS] + plan[o + O_LAG]]
    horizon = plan[plan[HORIZONS] + plan[o + O_HORIZON]]
    first = count_until(plan, record, log, r, limit_of(plan, horizon, time_us))
    until = count_until(plan, record, log, r, time_us - lag_us)
    for j in range(max(until, tail), head):
        change_order(plan, record, log, pool, note, r, o, j, -sign)
    for j in range(first, min(tail, until)):
        change_order(plan, record, log, pool, note, r, o, j, sign)
