"""Declared approximations (`approx: 2%`): the log of a key holds a sample of its events, and windows run over that.

Each event has a *level*, k with probability 2**-(k + 1), that follows from a fixed hash: of its value for distinct
counts, so that all events of a value go or stay together; of its seq for quantiles. Seen from the newest event, the
log is cut into *layers*: layer 0 holds as many as S_SIZE values (or events) and all of them, layer 1 the next S_SIZE
among those of level 1 and more, and so on, each layer twice as sparse and twice as long. So whatever the length of a
window, what lies in it of the level that its oldest event asks for is a uniform sample of at least S_SIZE, and a log
holds S_SIZE * log2(values / S_SIZE) events instead of all.

The record says which level is *active*, that of the oldest event in the window; events of that level and more carry
the bit of the filter, and everything exact (distinct.py, quantile.py, late rows, updates) runs over these and knows
nothing of samples. A distinct count is that of the sample times 2**level. As long as a window holds no more than
S_SIZE values (or events), level 0 is active and results are exact.

Standard error: at level k over N values, sqrt((2**k - 1) / N) <= 1 / sqrt(S_SIZE) of the count; of a quantile at q, its
rank is off by sqrt(q * (1 - q)) / sqrt(S_SIZE) or less. Hashes are integers and layers are cut by counting, so results
are the same bits everywhere and however rows are cut.

Of a value only SAME events are kept where they crowd (older than any late row: of all; else of each sixteenth of the
lateness), so many repetitions take no place either; an update that takes away more of one value than that makes it
count as gone. Events younger than a lag are in no window yet, so nobody knows how densely to sample them: they stay.

Source: Gibbons and Tirthapura, Distributed streams algorithms for sliding windows, SPAA 2002,
doi:10.1145/564870.564880. Layers differ: there a queue a level holds newest events, here one log in order of time.
"""

import numpy as np
from numba import njit

from engine.windows.kernels.distinct import enter_group, set_table
from engine.windows.kernels.horizons import limit_of
from engine.windows.kernels.keys import mix
from engine.windows.kernels.layout import (
    AS_OF,
    D_AT,
    DISTINCT_ROW,
    DISTINCTS,
    EVENT_WIDTH,
    FLAGS,
    GROUP_ROW,
    GROUPS,
    HORIZONS,
    I8,
    LATENESS_US,
    LAYER,
    LAYER_TOP,
    LENGTH,
    META,
    N_HORIZONS,
    O_AT,
    ORDER_ROW,
    ORDERS,
    PASSES,
    S_AT,
    S_BY_VALUE,
    S_HORIZON,
    S_LAG,
    S_SIZE,
    START,
    TAIL,
    TIME,
    VALUE,
)
from engine.windows.kernels.memory import count_until
from engine.windows.kernels.quantile import change_order

SAME = 4  # events of one value that are kept where they crowd
SLOTS = 16  # parts of the lateness in which events crowd


@njit(cache=True)
def level_of(identity: int) -> int:
    """Level of a value or seq: k with probability 2**-(k + 1). The upper bits of the hash; tables use the lower ones.

    identity : int  any
    """
    h, level = mix(mix(identity) + 1), 0
    while level < LAYER_TOP and not (h >> (62 - level)) & 1:
        level += 1
    return level


@njit(cache=True)
def layer_at(record: I8, log: I8, r: int, position: int, width: int) -> int:
    """Layer of an event; 0 past the newest.

    record   : (m,) int64  read
    log      : (m,) int64  read
    r        : int         where the record begins
    position : int         of the event
    width    : int         words of an event
    """
    if position >= record[r + LENGTH]:
        return 0
    meta = log[(record[r + START] + position) * width + META]
    return int((meta >> LAYER) & LAYER_TOP)


@njit(cache=True)
def admit(
    plan: I8, record: I8, log: I8, r: int, at: int, is_there: bool, mask: int, seq: int, value: int
) -> int:
    """The mask with which an event is to be stored at a position; 0 or without PASSES if it is not to be.

    plan, record, log : (m,) int64  read
    r        : int   where the record begins
    at       : int   position of the event, or of the one it will stand before
    is_there : bool  it is stored already; then it keeps its layer
    mask     : int   1 if it passes the filter, else 0
    seq      : int   of the event
    value    : int   of the event

    An event takes the layer of the next newer one, and comes in only if its level belongs there.
    """
    layer = layer_at(record, log, r, at, plan[EVENT_WIDTH])
    level = level_of(value if plan[S_BY_VALUE] else seq)
    if mask == 0 or level < layer:
        return layer << LAYER if is_there else 0
    return int(layer << LAYER | PASSES | (level >= record[r + plan[S_AT]]))


@njit(cache=True)
def thin(plan: I8, record: I8, log: I8, r: int) -> None:
    """Cut the log of an entity into layers anew, and drop the events that their layer has no use for.

    plan, record, log : (m,) int64  read and, but for plan, updated; tables and sorted values are stale afterwards
    r : int  where the record begins

    O(events of the entity), a scratch table.
    """
    width, n, start = plan[EVENT_WIDTH], record[r + LENGTH], record[r + START]
    lag, until, lag_us = plan[S_LAG], n, 0
    if lag >= 0:
        until, lag_us = record[r + TAIL + lag], plan[plan[HORIZONS] + lag]
    settled_us = record[r + AS_OF] - lag_us - plan[LATENESS_US]
    slot_us, by_value, size = plan[LATENESS_US] // SLOTS + 1, plan[S_BY_VALUE], 4
    while by_value and size < 2 * until:
        size *= 2
    seen = np.zeros((size, 3), np.int64)  # 1 + position, slot, events kept there; of each value
    layer, n_layer = 0, 0
    for j in range(until - 1, -1, -1):
        e = (start + j) * width
        meta = log[e + META]
        if (meta >> LAYER) & LAYER_TOP > layer:
            layer, n_layer = int((meta >> LAYER) & LAYER_TOP), 0
        log[e + META] = meta & ~PASSES
        identity = log[e + VALUE] if by_value else meta >> FLAGS
        if not meta & PASSES or level_of(identity) < layer:
            continue
        is_new = True
        if by_value:
            q = mix(identity) & (size - 1)
            while seen[q, 0] and log[(start + seen[q, 0] - 1) * width + VALUE] != identity:
                q = (q + 1) & (size - 1)
            is_new = seen[q, 0] == 0
            slot = log[e + TIME] // slot_us if log[e + TIME] > settled_us else -1
            if is_new or seen[q, 1] != slot:
                seen[q, 0], seen[q, 1], seen[q, 2] = j + 1, slot, 0
            if seen[q, 2] == SAME:
                continue
            seen[q, 2] += 1
        log[e + META] = meta & ~(LAYER_TOP << LAYER) | layer << LAYER
        n_layer += is_new
        if n_layer == plan[S_SIZE] and layer < LAYER_TOP:
            layer, n_layer = layer + 1, 0
    to = 0
    tails = record[r + TAIL : r + TAIL + plan[N_HORIZONS]].copy()
    for j in range(n):
        e = (start + j) * width
        for h in range(plan[N_HORIZONS]):
            if tails[h] == j:
                record[r + TAIL + h] = to
        if j >= until or log[e + META] & PASSES:
            for w in range(width):
                log[(start + to) * width + w] = log[e + w]
            to += 1
    for h in range(plan[N_HORIZONS]):
        if tails[h] == n:
            record[r + TAIL + h] = to
    record[r + LENGTH] = to


@njit(cache=True)
def activate(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, until: int, level: int
) -> None:
    """Let the events of a level and more be those that count; build tables and sorted values from them.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated; there is room in the pool
    r     : int  where the record begins
    until : int  one past the newest event in the window's reach
    level : int  the level

    O(events of the entity), and a look-up for each that counts.
    """
    width, first = plan[EVENT_WIDTH], record[r + TAIL + plan[S_HORIZON]]
    record[r + plan[S_AT]] = level
    for j in range(record[r + LENGTH]):
        e = (record[r + START] + j) * width
        meta = log[e + META]
        identity = log[e + VALUE] if plan[S_BY_VALUE] else meta >> FLAGS
        counts = meta & PASSES and level_of(identity) >= level
        log[e + META] = meta >> LAYER << LAYER | (1 if counts else 0)
    for g in range(plan[GROUPS], plan[GROUPS + 1], GROUP_ROW):
        set_table(plan, record, log, pool, note, r, g, 0, 0, 0)
        for d in range(plan[DISTINCTS], plan[DISTINCTS + 1], DISTINCT_ROW):
            record[r + plan[d + D_AT]] = 0
        for j in range(first, until):
            enter_group(plan, record, log, pool, note, r, g, j, j + 1)
    for o in range(plan[ORDERS], plan[ORDERS + 1], ORDER_ROW):
        record[r + plan[o + O_AT] + 2] = 0
        for j in range(first, until):
            change_order(plan, record, log, pool, note, r, o, j, 1)


@njit(cache=True)
def adjust(plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, time_us: int) -> None:
    """Before a row of the entity: thin its log if that has grown, and activate the level that its window asks for.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated; there is room in the pool
    r       : int  where the record begins; its state has been moved forward
    time_us : int  the moment that will be read

    A late row may ask for another level than the state is at. Amortised O(1) an event.
    """
    h, first = r + plan[S_AT], record[r + TAIL + plan[S_HORIZON]]
    until = record[r + TAIL + plan[S_LAG]] if plan[S_LAG] >= 0 else record[r + LENGTH]
    is_thinned = until - first >= max(record[h + 1], 2 * plan[S_SIZE])
    if is_thinned:
        thin(plan, record, log, r)
        first = record[r + TAIL + plan[S_HORIZON]]
        until = record[r + TAIL + plan[S_LAG]] if plan[S_LAG] >= 0 else record[r + LENGTH]
        record[h + 1] = (until - first) + (until - first) // 4 + plan[S_SIZE] // 2
    if time_us < record[r + AS_OF]:
        limit = limit_of(plan, plan[plan[HORIZONS] + plan[S_HORIZON]], time_us)
        first = count_until(plan, record, log, r, limit)
    level = layer_at(record, log, r, first, plan[EVENT_WIDTH])
    if is_thinned or level != record[h]:
        activate(plan, record, log, pool, note, r, until, level)
