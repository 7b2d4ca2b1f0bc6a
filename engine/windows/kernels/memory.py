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
    MISSING,
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

FREE = MISSING  # + class: the first word of a free segment, and of no other; then 1 + the next and the one before
LN_2 = 0.6931471805599453


@njit(cache=True)
def link(arena: I8, note: I8, free: int, klass: int, width: int, start: int) -> None:
    """Put a segment at the head of the free list of its class.

    arena : (m,) int64  updated: the first words of free segments
    note  : (s,) int64  updated
    free  : int         LOG_FREE or POOL_FREE
    klass : int         of the segment
    width : int         words of a unit
    start : int         of the segment, in units
    """
    head = note[free + klass + 1]
    arena[start * width] = FREE + klass
    arena[start * width + 1], arena[start * width + 2] = head, 0
    if head:
        arena[(head - 1) * width + 2] = start + 1
    note[free + klass + 1] = start + 1


@njit(cache=True)
def unlink(arena: I8, note: I8, free: int, klass: int, width: int, start: int) -> None:
    """Take a segment out of the free list of its class.

    arena : (m,) int64  updated: the first words of free segments
    note  : (s,) int64  updated
    free  : int         LOG_FREE or POOL_FREE
    klass : int         of the segment
    width : int         words of a unit
    start : int         of the segment, in units
    """
    after, before = arena[start * width + 1], arena[start * width + 2]
    arena[start * width] = 0
    if before:
        arena[(before - 1) * width + 1] = after
    else:
        note[free + klass + 1] = after
    if after:
        arena[(after - 1) * width + 2] = before


@njit(cache=True)
def give_segment(arena: I8, note: I8, free: int, klass: int, width: int, start: int) -> None:
    """Put a segment on the free list of its class, or of a larger one, with the free ones beside it.

    arena : (m,) int64  updated: the first words of free segments
    note  : (s,) int64  updated
    free  : int         LOG_FREE or POOL_FREE
    klass : int         of the segment
    width : int         words of a unit
    start : int         of the segment, in units

    Segments begin at multiples of their size, so the other half of twice the segment is one too, or is cut in parts.
    """
    other = start ^ (1 << klass)
    while other + (1 << klass) <= note[free] and arena[other * width] == FREE + klass:
        unlink(arena, note, free, klass, width, other)
        start = min(start, other)
        klass += 1
        other = start ^ (1 << klass)
    link(arena, note, free, klass, width, start)


@njit(cache=True)
def take_segment(arena: I8, note: I8, free: int, klass: int, width: int) -> int:
    """Start of a free segment of 2**klass units, or -1, with nothing done, if the arena is exhausted.

    arena : (m,) int64  updated: the first words of free segments
    note  : (s,) int64  updated
    free  : int         LOG_FREE or POOL_FREE
    klass : int         1 <= klass < 62; three words or more
    width : int         words of a unit

    The smallest free one that is large enough, halved until it fits; else a new one at the end. It ends at most twice
    its size behind the end before.
    """
    j, size = klass, 1 << klass
    while 1 << j <= note[free] and note[free + j + 1] == 0:
        j += 1
    if 1 << j <= note[free]:
        to = note[free + j + 1] - 1
        unlink(arena, note, free, j, width, to)
    else:
        to = (note[free] + size - 1) // size * size
        if (to + size) * width > arena.shape[0]:
            return -1
        while note[free] < to:
            j, start = 0, note[free]
            while not (start >> j) & 1:
                j += 1
            note[free] = start + (1 << j)
            give_segment(arena, note, free, j, width, start)
        note[free] = to + size
        j = klass
    while j > klass:
        j -= 1
        link(arena, note, free, j, width, to + (1 << j))
    arena[to * width] = 0
    return int(to)


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
def n_dead(plan: I8, record: I8, log: I8, r: int, core_us: int) -> int:
    """How many of the oldest events no window and no late row can still ask for.

    plan, record, log : (m,) int64  read
    r       : int  where the record begins
    core_us : int  core time

    KEEP_EVENTS events of the first bit stay, counted from the newest that nothing can change any more: so those that
    something may are beside them, not among. O(what is returned).
    """
    width, n, start = plan[EVENT_WIDTH], record[r + LENGTH], record[r + START]
    gone, limit = 0, core_us - plan[KEEP_US]
    while gone < n and log[(start + gone) * width] <= limit:
        gone += 1
    kept = 0
    while gone > 0 and kept < plan[KEEP_EVENTS]:
        gone -= 1
        kept += log[(start + gone) * width + META] & 1
    return int(gone)


@njit(cache=True)
def move(plan: I8, record: I8, log: I8, note: I8, r: int, gone: int, to_class: int) -> bool:
    """Drop the `gone` oldest events, into a segment of another class; False, with nothing done, if there is no room.

    plan     : (p,) int64  read
    record   : (m,) int64  updated
    log      : (m,) int64  updated
    note     : (s,) int64  updated
    r        : int         where the record begins; what is dropped has left every horizon
    gone     : int         how many
    to_class : int         size class, the present one to stay; 0 for none, when nothing is left
    """
    width, n, klass, start = (
        plan[EVENT_WIDTH],
        record[r + LENGTH],
        record[r + CLASS],
        record[r + START],
    )
    to = start
    if to_class == 0:
        to = 0
    elif to_class != klass:
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
def make_room(plan: I8, record: I8, log: I8, note: I8, r: int, core_us: int) -> bool:
    """Leave room for one more event of a full segment; False, with nothing done, if the arena is exhausted.

    plan    : (p,) int64  read
    record  : (m,) int64  updated
    log     : (m,) int64  updated
    note    : (s,) int64  updated
    r       : int         where the record begins; its state must be of `core_us` - lateness or later
    core_us : int         core time

    Drops what is dead if that is a sixteenth, into a smaller segment if most is gone; else moves to a segment twice as
    large. Amortised O(1) an event.
    """
    n, klass = record[r + LENGTH], record[r + CLASS]
    gone, to_class = n_dead(plan, record, log, r, core_us), klass
    if 16 * gone < n or n == 0:
        gone, to_class = 0, klass + 1
    elif 8 * (n - gone) <= n and klass > 3:
        to_class = klass - 2
    return bool(move(plan, record, log, note, r, gone, to_class))


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
