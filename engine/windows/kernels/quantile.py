"""Exact quantiles and entropies: the values of a window kept sorted, one array an entity and window.

Nearest rank over a sorted array is a look-up; an event that enters or leaves shifts what is larger. Several levels of
one window share the array. Equal values stand together, so how often a value occurs is a look-up too, and an entropy
follows from how those numbers change.

From TIERED on an array is cut into blocks of about the square root of its size, all full but the last, each a ring
that may begin anywhere: what a shift pushes out of one block is a word that the next takes at its beginning, so it
moves O(sqrt(n)) words and not n, and a rank is still found at once (tiered vectors: Goodrich and Kloss, Tiered vectors,
WADS 1999, doi:10.1007/3-540-48447-7_21). Before the blocks stand two words for each: where its ring begins, and its
first value, so that a search looks at one block.
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

TIERED = 9  # size class of a segment; smaller ones are one block: shifting 200 words takes less than 40 blocks


@njit(inline="always")
def block_class(klass: int) -> int:
    """Size class of the blocks of a segment; that of the segment if it is one block."""
    return (klass + 1) >> 1 if klass >= TIERED else klass


@njit(inline="always")
def blocks_of(klass: int) -> int:
    """How many blocks a segment of this class has; 0 if it is one, without words before it."""
    return 1 << (klass - block_class(klass)) if klass >= TIERED else 0


@njit(inline="always")
def capacity(klass: int) -> int:
    """How many values fit into a segment."""
    return (1 << klass) - 2 * blocks_of(klass)


@njit(inline="always")
def place_of(pool: I8, start: int, klass: int, k: int) -> int:
    """Word of the pool where the value of rank `k` + 1 stands."""
    if klass < TIERED:
        return start + k
    b = block_class(klass)
    block = k >> b
    ring = start + 2 * blocks_of(klass) + (block << b)
    return int(ring + ((pool[start + 2 * block] + k) & ((1 << b) - 1)))


@njit(cache=True)
def first_not_below(pool: I8, start: int, klass: int, n: int, value: int) -> int:
    """How many of the `n` sorted values at `start` are below `value`.

    pool  : (m,) int64  read
    start : int         where the segment begins
    klass : int         its size class
    n     : int         how many
    value : int         what is looked for
    """
    low, high = 0, n
    if klass >= TIERED:
        b = block_class(klass)
        block, blocks = 0, (n + (1 << b) - 1) >> b
        while block < blocks:
            middle = (block + blocks) >> 1
            if pool[start + 2 * middle + 1] < value:
                block = middle + 1
            else:
                blocks = middle
        if block == 0:
            return 0
        low, high = (block - 1) << b, min(block << b, n)
    while low < high:
        middle = (low + high) >> 1
        if pool[place_of(pool, start, klass, middle)] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def resize_order(record: I8, pool: I8, note: I8, h: int, klass: int) -> None:
    """Move the sorted values at `h` of the record into a segment of another class, or give theirs back if `klass` is 0.

    record : (m,) int64  updated: start and size class
    pool   : (m,) int64  updated; there is room
    note   : (s,) int64  updated
    h      : int         where the array stands in the record
    klass  : int         the new class, with room for all
    """
    start, old, n, to = record[h], record[h + 1], record[h + 2], 0
    if klass:
        to = take_segment(pool, note, POOL_FREE, klass, 1)
        for w in range(to, to + 2 * blocks_of(klass)):
            pool[w] = 0
        size = 1 << block_class(klass)
        for k in range(n):
            value = pool[place_of(pool, start, old, k)]
            pool[place_of(pool, to, klass, k)] = value
            if klass >= TIERED and k & (size - 1) == 0:
                pool[to + 2 * (k >> block_class(klass)) + 1] = value
    if old:
        give_segment(pool, note, POOL_FREE, old, 1, start)
    record[h], record[h + 1] = to, klass


@njit(cache=True)
def put_in(pool: I8, start: int, klass: int, n: int, k: int, value: int) -> None:
    """Put a value at rank `k` + 1 of `n`; there is room.

    pool  : (m,) int64  updated
    start : int         where the segment begins
    klass : int         its size class
    n     : int         how many values there are
    k     : int         how many stand before it
    value : int         the value
    """
    if klass < TIERED:
        for w in range(start + n, start + k, -1):
            pool[w] = pool[w - 1]
        pool[start + k] = value
        return
    b = block_class(klass)
    size, low, last = 1 << b, start + 2 * blocks_of(klass), n >> b
    block, at, end = k >> b, k & (size - 1), n & (size - 1)
    head, base = pool[start + 2 * block], low + (block << b)
    out = 0
    if block < last:
        end = size - 1
        out = pool[base + ((head + end) & (size - 1))]
    for j in range(end, at, -1):
        pool[base + ((head + j) & (size - 1))] = pool[base + ((head + j - 1) & (size - 1))]
    pool[base + ((head + at) & (size - 1))] = value
    if at == 0:
        pool[start + 2 * block + 1] = value
    for c in range(block + 1, last + 1):
        head = (pool[start + 2 * c] - 1) & (size - 1)
        w = low + (c << b) + head
        pool[start + 2 * c], pool[start + 2 * c + 1] = head, out
        out, pool[w] = pool[w], out


@njit(cache=True)
def take_out(pool: I8, start: int, klass: int, n: int, k: int) -> None:
    """Take the value of rank `k` + 1 out of `n`.

    pool  : (m,) int64  updated
    start : int         where the segment begins
    klass : int         its size class
    n     : int         how many values there are
    k     : int         how many stand before it
    """
    if klass < TIERED:
        for w in range(start + k, start + n - 1):
            pool[w] = pool[w + 1]
        return
    b = block_class(klass)
    size, low, last = 1 << b, start + 2 * blocks_of(klass), (n - 1) >> b
    block, at, end = k >> b, k & (size - 1), (n - 1) & (size - 1)
    head, base = pool[start + 2 * block], low + (block << b)
    if block < last:
        end = size - 1
    for j in range(at, end):
        pool[base + ((head + j) & (size - 1))] = pool[base + ((head + j + 1) & (size - 1))]
    if at == 0:
        pool[start + 2 * block + 1] = pool[base + head]
    hole = base + ((head + end) & (size - 1))
    for c in range(block + 1, last + 1):
        w = low + (c << b) + pool[start + 2 * c]
        pool[hole] = pool[w]
        hole = w
        head = (pool[start + 2 * c] + 1) & (size - 1)
        pool[start + 2 * c], pool[start + 2 * c + 1] = head, pool[low + (c << b) + head]


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

    O(log n) to find the place, O(sqrt(n)) words to shift.
    """
    e = (record[r + START] + at) * plan[EVENT_WIDTH]
    if not (log[e + META] >> plan[o + O_BIT]) & 1:
        return
    value, h = log[e + VALUE + plan[o + O_COLUMN]], r + plan[o + O_AT]
    n = record[h + 2]
    if sign > 0 and (record[h + 1] == 0 or n == capacity(record[h + 1])):
        resize_order(record, pool, note, h, max(record[h + 1] + 1, 2))
    start, klass = record[h], record[h + 1]
    k = first_not_below(pool, start, klass, n, value)
    if plan[o + O_SPREAD]:
        same = first_not_below(pool, start, klass, n, value + 1) - k
        record[h + 3] += spread(same + sign) - spread(same)
    if sign > 0:
        put_in(pool, start, klass, n, k, value)
    else:
        take_out(pool, start, klass, n, k)
    record[h + 2] = n + sign


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
