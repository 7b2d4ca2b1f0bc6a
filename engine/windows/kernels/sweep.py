"""Memory of entities that are swept: what nothing can ask for any more goes, what is too large shrinks.

An entity makes room for itself when its segment is full (`make_room`); one that is idle never would. So a few entities
are swept at fixed multiples of seq, one after the other, round and round (`sweep` in slide.py).
"""

from numba import njit

from engine.windows.kernels.distinct import SEARCH, set_table
from engine.windows.kernels.extremes import SMALLEST
from engine.windows.kernels.layout import (
    CELL_OF,
    CELLS,
    CHAIN_ROW,
    CHAINS,
    CLASS,
    FADES,
    FROZENS,
    G_AT,
    G_LAG,
    G_LONGEST,
    GROUP_ROW,
    GROUPS,
    I4,
    I8,
    KEEP_EVENTS,
    LENGTH,
    N_HORIZONS,
    O_AT,
    ORDER_ROW,
    ORDERS,
    OWNER,
    POOL_FREE,
    S_SIZE,
    SLOT_FREE,
    TAIL,
    WIDTH,
    X_AT,
)
from engine.windows.kernels.memory import give_segment, move, n_dead, take_segment
from engine.windows.kernels.quantile import capacity, resize_order


@njit(cache=True)
def refit(record: I8, pool: I8, note: I8, h: int, first: int, words: int, klass: int) -> None:
    """Move what the record has in the pool to a segment of another class; there is room for it.

    record : (m,) int64  updated: start and size class, at `h`
    pool   : (m,) int64  updated
    note   : (s,) int64  updated
    h      : int         where they stand
    first  : int         the first word that is kept, from the start
    words  : int         how many are kept; 0 gives the segment back
    klass  : int         the new class, with room for `words`
    """
    start, to = record[h], 0
    if words:
        to = take_segment(pool, note, POOL_FREE, klass, 1)
        for w in range(words):
            pool[to + w] = pool[start + first + w]
    give_segment(pool, note, POOL_FREE, record[h + 1], 1, start)
    record[h], record[h + 1] = to, klass if words else 0


@njit(cache=True)
def trim(plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, core_us: int) -> None:
    """Drop what is no longer needed of one entity, and let what is left have segments that fit.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated; there is room
    r       : int  where the record begins; its state is of `core_us` - lateness or later; it has a segment
    core_us : int  core time

    O(events) if a segment is moved, else O(events dropped). BASE stays: it says that the entity is known.
    """
    n, klass = record[r + LENGTH], record[r + CLASS]
    gone = n_dead(plan, record, log, r, core_us)
    to_class = klass
    while to_class > 1 and n - gone <= 1 << (to_class - 1):
        to_class -= 1
    if gone == n:
        to_class = 0
    if to_class < klass:
        move(plan, record, log, note, r, gone, to_class)
    for o in range(plan[ORDERS], plan[ORDERS + 1], ORDER_ROW):
        h = r + plan[o + O_AT]
        values, to_class = record[h + 2], 2
        while values > capacity(to_class):
            to_class += 1
        if record[h + 1] and (values == 0 or to_class + 1 < record[h + 1]):
            resize_order(record, pool, note, h, to_class if values else 0)
    for x in range(plan[CHAINS], plan[CHAINS + 1], CHAIN_ROW):
        h = r + plan[x + X_AT]
        words, to_class = 2 * record[h + 3], SMALLEST
        while 4 * (words + 2) > 3 << to_class:
            to_class += 1
        if record[h + 1] and (words == 0 or to_class < record[h + 1]):
            refit(record, pool, note, h, 2 * record[h + 2], words, to_class)
            record[h + 2] = 0
    for g in range(plan[GROUPS], plan[GROUPS + 1], GROUP_ROW):
        h, lag, first = r + plan[g + G_AT], plan[g + G_LAG], record[r + TAIL + plan[g + G_LONGEST]]
        until = record[r + TAIL + lag] if lag >= 0 else record[r + LENGTH]
        to_class = 5
        while 4 * (record[h + 2] + 1) > 3 << to_class:
            to_class += 1
        if 2 * (until - first) <= SEARCH:
            to_class = 0
        if to_class + 1 < record[h + 1]:
            set_table(plan, record, log, pool, note, r, g, to_class, first, until)


@njit(cache=True)
def forgets(plan: I8) -> bool:
    """Whether an entity without events is as one never seen: nothing is over all, of last events, fading, a sample.

    plan : (p,) int64  read
    """
    over_all = plan[plan[CELL_OF] + plan[N_HORIZONS]] < plan[CELLS + 1]
    kept = plan[FROZENS] < plan[FROZENS + 1] or plan[FADES] < plan[FADES + 1]
    return not (over_all or kept or plan[KEEP_EVENTS] > 0 or plan[S_SIZE] > 0)


@njit(cache=True)
def give_slot(plan: I8, record: I8, note: I8, place: I4, slot: int) -> None:
    """Take its slot from an entity that has no events.

    plan   : (p,) int64  read
    record : (m,) int64  updated: the record is zeros afterwards, but for the list of free ones
    note   : (s,) int64  updated
    place  : (k,) int32  updated
    slot   : int         which one
    """
    width = plan[WIDTH]
    r = slot * width
    place[record[r + OWNER]] = 0
    for w in range(r, r + width):
        record[w] = 0
    record[r + OWNER] = ~note[SLOT_FREE]
    note[SLOT_FREE] = slot + 1
