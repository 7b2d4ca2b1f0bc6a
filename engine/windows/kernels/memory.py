"""Segments: power-of-two pieces of an arena, free ones on a list by size class; and room for one more event.

Growing an entity moves its segment to one twice as large, so the work is spread over the events; the arena itself is
reserved address space and is not copied (engine/windows/events.py).
"""

import numpy as np
from numba import njit

from engine.windows.kernels.layout import (
    BASE,
    CLASS,
    EVENT_WIDTH,
    FADE_ROW,
    FADES,
    FROZEN_ROW,
    FROZENS,
    I8,
    KEEP_EVENTS,
    KEEP_US,
    LENGTH,
    LOG_FREE,
    META,
    N_HORIZONS,
    START,
    TAIL,
    TIME,
    VALUE,
    Y_AT,
    Y_BIT,
    Y_COLUMN,
    Y_HALF,
    Z_AT,
    Z_BIT,
    Z_COLUMN,
)
from models.kernels.exp_log import exp

LN_2 = 0.6931471805599453


@njit(cache=True)
def take_segment(arena: I8, note: I8, free: int, klass: int, width: int) -> int:
    """Start of a free segment of 2**klass units, or -1 if the arena is exhausted.

    arena : (m,) int64  read: a free segment's first word is 1 + the next free one
    note  : (s,) int64  updated
    free  : int         LOG_FREE or POOL_FREE
    klass : int         0 <= klass < 62
    width : int         words of a unit
    """
    to = note[free + klass + 1] - 1
    if to >= 0:
        note[free + klass + 1] = arena[to * width]
    elif (note[free] + (1 << klass)) * width <= arena.shape[0]:
        to = note[free]
        note[free] += 1 << klass
    return int(to)


@njit(cache=True)
def give_segment(arena: I8, note: I8, free: int, klass: int, width: int, start: int) -> None:
    """Put a segment on the free list of its class.

    arena : (m,) int64  written: the first word of the segment
    note  : (s,) int64  updated
    free  : int         LOG_FREE or POOL_FREE
    klass : int         of the segment
    width : int         words of a unit
    start : int         of the segment, in units
    """
    arena[start * width] = note[free + klass + 1]
    note[free + klass + 1] = start + 1


@njit(cache=True)
def decay(age_us: int, half_us: int) -> float:
    """What an event weighs: 2**-(age / half-life), 0 from 1,000 half-lives on.

    age_us  : int  microseconds, >= 0
    half_us : int  microseconds, > 0
    """
    x = np.float64(age_us) / np.float64(half_us)
    return exp(-LN_2 * x) if x < 1000.0 else 0.0


@njit(cache=True)
def freeze(plan: I8, record: I8, log: I8, r: int, gone: int) -> None:
    """Remember first and last of the events about to be dropped, and what they weigh, for features over all.

    plan   : (p,) int64  read
    record : (m,) int64  updated
    log    : (m,) int64  read
    r      : int         where the record begins
    gone   : int         events 0 .. gone - 1 will be dropped
    """
    for j in range(gone):
        e = (record[r + START] + j) * plan[EVENT_WIDTH]
        for z in range(plan[FROZENS], plan[FROZENS + 1], FROZEN_ROW):
            if (log[e + META] >> plan[z + Z_BIT]) & 1:
                at, c = r + plan[z + Z_AT], plan[z + Z_COLUMN]
                value = log[e + VALUE + c] if c >= 0 else 0
                if record[at] == 0:
                    record[at], record[at + 1], record[at + 2] = 1, log[e + TIME], value
                record[at + 3], record[at + 4] = log[e + TIME], value
        for y in range(plan[FADES], plan[FADES + 1], FADE_ROW):
            if (log[e + META] >> plan[y + Y_BIT]) & 1:
                at, c, kept = r + plan[y + Y_AT] + 4, plan[y + Y_COLUMN], record.view(np.float64)
                d = decay(log[e + TIME] - record[at], plan[y + Y_HALF])
                kept[at + 1] *= d
                if c >= 0:
                    kept[at + 1] += np.float64(log[e + VALUE + c])
                kept[at + 2] = kept[at + 2] * d + 1.0
                record[at] = log[e + TIME]


@njit(cache=True)
def make_room(plan: I8, record: I8, log: I8, note: I8, r: int, core_us: int) -> bool:
    """Leave room for one more event of a full segment; False, with nothing done, if the arena is exhausted.

    plan    : (p,) int64  read
    record  : (m,) int64  updated
    log     : (m,) int64  updated
    note    : (s,) int64  updated
    r       : int         where the record begins; its state must be of `core_us` - lateness or later
    core_us : int         core time

    Drops what no window and no late row can still ask for if that is a quarter, into a smaller segment if most is
    gone; else moves to a segment twice as large. Amortised O(1) an event. KEEP_EVENTS events of the first bit stay,
    counted from the newest that nothing can change any more: so those that something may are beside them, not among.
    """
    width, n, klass = plan[EVENT_WIDTH], record[r + LENGTH], record[r + CLASS]
    start, gone, limit = record[r + START], 0, core_us - plan[KEEP_US]
    while gone < n and log[(start + gone) * width] <= limit:
        gone += 1
    kept = 0
    while gone > 0 and kept < plan[KEEP_EVENTS]:
        gone -= 1
        kept += log[(start + gone) * width + META] & 1
    if 4 * gone < n or n == 0:
        gone, to_class = 0, max(klass + 1, 2)
    elif 8 * (n - gone) <= n and klass > 3:
        to_class = klass - 2
    else:
        to_class = klass
    to = start
    if to_class != klass:
        to = take_segment(log, note, LOG_FREE, to_class, width)
        if to < 0:
            return False
    if gone and (plan[FROZENS] < plan[FROZENS + 1] or plan[FADES] < plan[FADES + 1]):
        freeze(plan, record, log, r, gone)
    shift = (start + gone - to) * width
    if shift:
        for w in range(to * width, (to + n - gone) * width):
            log[w] = log[w + shift]
    if to_class != klass and klass:
        give_segment(log, note, LOG_FREE, klass, width, start)
    record[r + START], record[r + CLASS] = to, to_class
    record[r + LENGTH] = n - gone
    record[r + BASE] += gone
    for h in range(r + TAIL, r + TAIL + plan[N_HORIZONS]):
        record[h] -= gone
    return True


@njit(cache=True)
def count_until(plan: I8, record: I8, log: I8, r: int, limit_us: int) -> int:
    """How many events have time <= limit_us: the position of the first that has not.

    plan     : (p,) int64  read
    record   : (m,) int64  read
    log      : (m,) int64  read
    r        : int         where the record begins
    limit_us : int         microseconds
    """
    width, start = plan[EVENT_WIDTH], record[r + START]
    low, high = 0, record[r + LENGTH]
    while low < high:
        middle = (low + high) >> 1
        if log[(start + middle) * width] <= limit_us:
            low = middle + 1
        else:
            high = middle
    return low
