"""The row loop: put events at their place, let windows slide, read features.

One call serves all features of one key over one batch. In-order rows (the rule) move the state of their entity
forward. A late row reads a copy of the state, corrected by what is newer than the row and by what has left since, and
is then put at its place; so no undo is needed and rows after it see it.

Arguments that all have: plan, record, log, pool, note as in layout.py; r, where the record begins.

Half of the time would go into waiting for memory, so it is asked for ahead: rows come by the dozen, and for each what
is known of its entity says where to look next. FAR rows ahead where its slot stands, NEAR where its events are.
"""

import numpy as np
from numba import njit
from numba.np.numpy_support import carray

from engine.windows.kernels.distinct import (
    count_distinct_at,
    enter_group,
    leave_window,
    renumber,
    take_from_group,
)
from engine.windows.kernels.exact import (
    SAFE,
    add_square,
    deviation,
    entropy,
    fixed_point,
    quotient,
)
from engine.windows.kernels.extremes import (
    enter_chain,
    extreme,
    leave_chain,
    renumber_chains,
    take_from_chain,
)
from engine.windows.kernels.fading import NOTHING, fade_in, fade_out, read_fade
from engine.windows.kernels.horizons import leaves_at, limit_of
from engine.windows.kernels.keys import NO_ROOM, mix, number_of_pair
from engine.windows.kernels.layout import (
    AMEND,
    AS_OF,
    AT,
    AT_FOLLOW,
    AT_HEAD,
    AT_LOG,
    AT_NOTE,
    AT_PAIRS,
    AT_PLACE,
    AT_PLAN,
    AT_POOL,
    AT_RECORD,
    AVG,
    B1,
    B_COLUMN,
    B_FILTER,
    BASE,
    BIT,
    BIT_ROW,
    BITS,
    C_CODED,
    C_ROW,
    C_SCALE,
    CELL_OF,
    CELL_ROW,
    CELLS,
    CHAIN_ENTER,
    CHAIN_LEAVE,
    CHAIN_ROW,
    CHAINS,
    CLASS,
    COLUMN,
    COLUMN_ROW,
    COLUMNS,
    CORE_US,
    COUNT,
    DISTINCT,
    E_AT,
    E_BIT,
    EARLIEST_ROW,
    EARLIESTS,
    ENTROPY,
    EVENT,
    EVENT_WIDTH,
    F8,
    F_CODED,
    F_COLUMN,
    F_FROZEN,
    F_LAG,
    F_LAG_TAIL,
    F_LEVEL,
    F_OP,
    F_OUT,
    F_P,
    F_Q,
    F_TAIL,
    FADED_AVG,
    FADED_COUNT,
    FADED_SUM,
    FADES,
    FEATURE_ROW,
    FEATURES,
    FIRST,
    FLAGS,
    G_AT,
    G_COLUMN,
    G_LAG,
    GROUP_ENTER,
    GROUP_LEAVE,
    GROUP_ROW,
    GROUPS,
    H_KIND,
    H_ROW,
    HOOK_OF,
    HOOK_ROW,
    HORIZONS,
    I1,
    I4,
    I8,
    KEEP_US,
    KEYS,
    KIND,
    L_AT,
    L_BIT,
    L_LAG,
    LAST,
    LATENESS_US,
    LATEST_ENTER,
    LATEST_ROW,
    LATESTS,
    LENGTH,
    LEVEL_ONE,
    LOG_FREE,
    LOW,
    MAX,
    META,
    MIN,
    MISSING,
    N_CALENDARS,
    N_HORIZONS,
    N_LEVELS,
    N_PAIRS,
    NEED_LOG,
    NEED_PAIRS,
    NEED_PLACES,
    NEED_POOL,
    NEED_RECORDS,
    NEVER,
    NEWEST,
    NEXT,
    O_AT,
    O_HORIZON,
    O_LAG,
    ORDER_ENTER,
    ORDER_LEAVE,
    ORDER_ROW,
    ORDERS,
    OWNER,
    PLACES,
    POOL_FREE,
    PRIORS,
    QUANTILE,
    READ,
    REASON,
    ROW,
    S_SIZE,
    SINCE_FIRST,
    SKIP,
    SLOT_FREE,
    SLOTS,
    START,
    STDDEV,
    SUM,
    SWEEP_AT,
    SWEEP_EVERY,
    SWEEP_ROWS,
    SWEEP_SLICE,
    SWEPT,
    TAIL,
    TIME,
    TOO_OLD,
    VALUE,
    WIDTH,
    WITH_SQUARES,
    X_AT,
    X_LAG,
    Z_AT,
)
from engine.windows.kernels.memory import count_until, make_room
from engine.windows.kernels.newest import read_newest
from engine.windows.kernels.places import codes_at, fetch, lent, pointer, words_at
from engine.windows.kernels.quantile import change_order, place_of, shift_order
from engine.windows.kernels.sketches import adjust, admit
from engine.windows.kernels.sweep import forgets, give_slot, trim

FAR, MIDDLE, NEAR = 24, 16, 8
AHEAD = 32  # of a sweep


@njit(inline="always")
def change_cells(
    plan: I8, log: I8, e: int, meta: int, first: int, end: int, acc: I8, a: int, sign: int
) -> None:
    """Add (`sign` 1) or take away (-1) the event at word `e` in the cells whose bit is set in `meta`."""
    for c in range(first, end, CELL_ROW):
        if (meta >> plan[c + BIT]) & 1:
            o = a + plan[c + AT]
            acc[o] += sign
            if plan[c + KIND]:
                v = log[e + VALUE + plan[c + COLUMN]]
                if v != MISSING:
                    acc[o + 1] += sign * (v >> 32)
                    acc[o + 2] += sign * (v & LOW)
                    if plan[c + KIND] == WITH_SQUARES:
                        add_square(acc, o + 3, v, sign)


@njit(inline="always")
def cross(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, h: int, first: int, end: int
) -> None:
    """Do what the hooks of horizon `h` ask when the events first .. end - 1 cross it, or arrive.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated
    r     : int  where the record begins
    h     : int  a horizon, or N_HORIZONS for arrival
    first : int  position of the first event
    end   : int  one past the last
    """
    low, high = plan[plan[HOOK_OF] + h], plan[plan[HOOK_OF] + h + 1]
    for at in range(first, end):
        for x in range(low, high, HOOK_ROW):
            kind, k = plan[x + H_KIND], plan[x + H_ROW]
            if kind == GROUP_ENTER:
                enter_group(plan, record, log, pool, note, r, k, at, at + 1)
            elif kind == GROUP_LEAVE:
                leave_window(plan, record, log, pool, note, r, k, at)
            elif kind == ORDER_ENTER:
                change_order(plan, record, log, pool, note, r, k, at, 1)
            elif kind == ORDER_LEAVE:
                change_order(plan, record, log, pool, note, r, k, at, -1)
            elif kind == CHAIN_ENTER:
                enter_chain(plan, record, log, pool, note, r, k, at, at + 1)
            elif kind == CHAIN_LEAVE:
                leave_chain(plan, record, pool, note, r, k, at)
            elif kind == LATEST_ENTER:
                e = (record[r + START] + at) * plan[EVENT_WIDTH]
                if (log[e + META] >> plan[k + L_BIT]) & 1:
                    record[r + plan[k + L_AT]] = 1 + record[r + BASE] + at


@njit(inline="always")
def advance(plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, time_us: int) -> None:
    """Move the state forward to `time_us`: let what is old enough leave (or enter, with a lag).

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated
    r       : int  where the record begins
    time_us : int  not before AS_OF

    Horizons go from short to long, so an event enters a lagged window before it can leave it. Amortised O(1) an event
    and horizon.
    """
    width, n, soonest = plan[EVENT_WIDTH], record[r + LENGTH], NEVER
    begin = record[r + START] * width
    end = begin + n * width
    for h in range(plan[N_HORIZONS]):
        horizon, tail = plan[plan[HORIZONS] + h], record[r + TAIL + h]
        e, limit = begin + tail * width, limit_of(plan, horizon, time_us)
        if e < end and log[e + TIME] <= limit:
            j, low, high = tail, plan[plan[CELL_OF] + h], plan[plan[CELL_OF] + h + 1]
            while e < end and log[e + TIME] <= limit:
                change_cells(plan, log, e, log[e + META], low, high, record, r, -1)
                j += 1
                e += width
            if plan[plan[HOOK_OF] + h] < plan[plan[HOOK_OF] + h + 1]:
                cross(plan, record, log, pool, note, r, h, tail, j)
            record[r + TAIL + h] = j
        if e < end:
            soonest = min(soonest, leaves_at(plan, horizon, log[e + TIME]))
    record[r + NEXT] = soonest
    record[r + AS_OF] = time_us


@njit(inline="always")
def n_swept(plan: I8, note: I8) -> int:
    """How many entities the next sweep looks at."""
    share = note[SLOTS] * plan[SWEEP_EVERY] // plan[SWEEP_ROWS]
    return int(min(note[SLOTS], max(plan[SWEEP_SLICE], share)))


@njit(cache=True)
def sweep(plan: I8, record: I8, log: I8, pool: I8, note: I8, place: I4) -> int:
    """Trim the next few entities; 0, or with nothing done what there is too little of, as REASON says it.

    SWEEP_SLICE entities, or more if a round of all would take more than SWEEP_ROWS rows. Those without events lose
    their slots where that is as if they had never been seen.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated
    place : (k,) int32  updated: 1 + the slot of each name, or 0
    """
    slots, width, event_width = note[SLOTS], plan[WIDTH], plan[EVENT_WIDTH]
    can_go = forgets(plan)
    structures = (plan[GROUPS + 1] - plan[GROUPS]) // GROUP_ROW
    structures += (plan[ORDERS + 1] - plan[ORDERS]) // ORDER_ROW
    structures += (plan[CHAINS + 1] - plan[CHAINS]) // CHAIN_ROW
    n, first = n_swept(plan, note), note[SWEPT]
    units, words = note[LOG_FREE], note[POOL_FREE]
    for k in range(first, first + n):
        r = k % slots * width
        if record[r + CLASS]:
            units += 1 << record[r + CLASS]
            words += structures * (16 * record[r + LENGTH] + 160)
            fetch(log, record[r + START] * event_width)
    if units * event_width > log.shape[0]:
        return NEED_LOG
    if structures and words > pool.shape[0]:
        return NEED_POOL
    oldest_us = note[CORE_US] - plan[LATENESS_US]
    for k in range(first, first + n):
        r = k % slots * width
        klass = record[r + CLASS]
        if klass == 0:
            continue
        is_small = klass == 1 or record[r + LENGTH] > 1 << (klass - 1)
        is_young = log[record[r + START] * event_width] > note[CORE_US] - plan[KEEP_US]
        if is_small and is_young and structures == 0:
            continue
        if oldest_us > record[r + AS_OF]:
            if oldest_us >= record[r + NEXT]:
                advance(plan, record, log, pool, note, r, oldest_us)
            record[r + AS_OF] = oldest_us
        trim(plan, record, log, pool, note, r, note[CORE_US])
        if can_go and record[r + CLASS] == 0:
            give_slot(plan, record, note, place, k % slots)
    note[SWEPT] = (first + n) % max(slots, 1)
    return 0


@njit(cache=True)
def enter_structures(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, at: int, sign: int
) -> None:
    """Put event `at`, wherever it stands, into the groups, sorted arrays and chains it belongs to, or take it out.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated
    r    : int  where the record begins
    at   : int  position of the event
    sign : int  1 in, -1 out
    """
    for g in range(plan[GROUPS], plan[GROUPS + 1], GROUP_ROW):
        lag = plan[g + G_LAG]
        until = record[r + TAIL + lag] if lag >= 0 else record[r + LENGTH]
        if sign < 0:
            take_from_group(plan, record, log, pool, note, r, g, at, until)
        elif at < until:
            enter_group(plan, record, log, pool, note, r, g, at, until)
    for o in range(plan[ORDERS], plan[ORDERS + 1], ORDER_ROW):
        lag = plan[o + O_LAG]
        until = record[r + TAIL + lag] if lag >= 0 else record[r + LENGTH]
        if record[r + TAIL + plan[o + O_HORIZON]] <= at < until:
            change_order(plan, record, log, pool, note, r, o, at, sign)
    for x in range(plan[CHAINS], plan[CHAINS + 1], CHAIN_ROW):
        lag = plan[x + X_LAG]
        until = record[r + TAIL + lag] if lag >= 0 else record[r + LENGTH]
        if sign < 0:
            take_from_chain(plan, record, log, pool, note, r, x, at, until)
        else:
            enter_chain(plan, record, log, pool, note, r, x, at, until)


@njit(cache=True)
def insert(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, at: int, time_us: int, meta: int, value: I8, i: int
) -> None:  # fmt: skip
    """Put an event between others, and into all state that its time belongs to; there is room for it.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated
    r       : int  where the record begins; AS_OF is not before `time_us`
    at      : int  position of the event
    time_us : int  its time
    meta    : int  its seq and mask, no flags
    value   : (V, n) int64  values of the batch, read
    i       : int  which row of them

    O(events displaced), and a look-up for each in each table.
    """
    width, n, start, base = (
        plan[EVENT_WIDTH],
        record[r + LENGTH],
        record[r + START],
        record[r + BASE],
    )
    for j in range(n - 1, at - 1, -1):
        e = (start + j) * width
        for w in range(e, e + width):
            log[w + width] = log[w]
        if plan[GROUPS] < plan[GROUPS + 1]:
            renumber(plan, record, log, pool, r, j, at)
    renumber_chains(plan, record, pool, r, at)
    e = (start + at) * width
    log[e + TIME], log[e + META] = time_us, meta
    for c in range(width - VALUE):
        log[e + VALUE + c] = value[c, i]
    record[r + LENGTH] = n + 1
    horizons, as_of_us = plan[N_HORIZONS], record[r + AS_OF]
    for h in range(horizons + 1):
        if h < horizons and time_us <= limit_of(plan, plan[plan[HORIZONS] + h], as_of_us):
            record[r + TAIL + h] += 1
        else:
            low, high = plan[plan[CELL_OF] + h], plan[plan[CELL_OF] + h + 1]
            change_cells(plan, log, e, meta, low, high, record, r, 1)
    for k in range(plan[LATESTS], plan[LATESTS + 1], LATEST_ROW):
        p, lag = r + plan[k + L_AT], plan[k + L_LAG]
        if record[p] - 1 >= base + at:
            record[p] += 1
        elif (meta >> plan[k + L_BIT]) & 1 and (lag < 0 or at < record[r + TAIL + lag]):
            record[p] = 1 + base + at
    for k in range(plan[EARLIESTS], plan[EARLIESTS + 1], EARLIEST_ROW):
        p = r + plan[k + E_AT]
        if record[p] > base + at:
            record[p] = base + at if (meta >> plan[k + E_BIT]) & 1 else record[p] + 1
    enter_structures(plan, record, log, pool, note, r, at, 1)
    fade_in(plan, record, log, r, at)
    record[r + NEXT] = 0


@njit(cache=True)
def replace(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, at: int, mask: int, value: I8, i: int
) -> None:
    """Give event `at` another mask and other values, as if it had always had them.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated
    r     : int  where the record begins
    at    : int  position of the event
    mask  : int  the new mask
    value : (V, n) int64  values of the batch, read
    i     : int  which row of them
    """
    width, base, horizons = plan[EVENT_WIDTH], record[r + BASE], plan[N_HORIZONS]
    e = (record[r + START] + at) * width
    for sign in (-1, 1):
        if sign < 0:
            enter_structures(plan, record, log, pool, note, r, at, -1)
            fade_out(plan, record, log, r, at)
        else:
            log[e + META] = (log[e + META] >> FLAGS) << FLAGS | mask
            for c in range(width - VALUE):
                log[e + VALUE + c] = value[c, i]
        for h in range(horizons + 1):
            if h == horizons or at >= record[r + TAIL + h]:
                low, high = plan[plan[CELL_OF] + h], plan[plan[CELL_OF] + h + 1]
                change_cells(plan, log, e, log[e + META], low, high, record, r, sign)
    enter_structures(plan, record, log, pool, note, r, at, 1)
    fade_in(plan, record, log, r, at)
    for k in range(plan[LATESTS], plan[LATESTS + 1], LATEST_ROW):
        p, lag, bit = r + plan[k + L_AT], plan[k + L_LAG], plan[k + L_BIT]
        if (mask >> bit) & 1:
            if record[p] < 1 + base + at and (lag < 0 or at < record[r + TAIL + lag]):
                record[p] = 1 + base + at
        elif record[p] == 1 + base + at:
            j, f = at - 1, e - width
            while j >= 0 and not (log[f + META] >> bit) & 1:
                j -= 1
                f -= width
            record[p] = 1 + base + j if j >= 0 else 0
    for k in range(plan[EARLIESTS], plan[EARLIESTS + 1], EARLIEST_ROW):
        p = r + plan[k + E_AT]
        if (mask >> plan[k + E_BIT]) & 1 and record[p] > base + at:
            record[p] = base + at


@njit(cache=True)
def amend(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, time_us: int, seq: int, mask: int, value: I8, i: int
) -> bool:  # fmt: skip
    """Replace the event (time_us, seq), or put it in if it was not stored; False if there is no room.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated
    r       : int  where the record begins; its state is of core time - lateness or later
    time_us : int  of the event; younger than anything that may be dropped
    seq     : int  of the event
    mask    : int  its new mask
    value   : (V, n) int64  values of the batch, read
    i       : int  which row of them
    """
    width, core_us = plan[EVENT_WIDTH], note[CORE_US]
    is_full = record[r + CLASS] == 0 or record[r + LENGTH] == 1 << record[r + CLASS]
    if mask and is_full and not make_room(plan, record, log, note, r, core_us):
        return False
    low, high = 0, record[r + LENGTH]
    while low < high:
        middle = (low + high) >> 1
        e = (record[r + START] + middle) * width
        if log[e] < time_us or (log[e] == time_us and log[e + META] >> FLAGS < seq):
            low = middle + 1
        else:
            high = middle
    e = (record[r + START] + low) * width
    is_there = low < record[r + LENGTH] and log[e] == time_us and log[e + META] >> FLAGS == seq
    if plan[S_SIZE]:
        mask = admit(plan, record, log, r, low, is_there, mask, seq, value[0, i])
    if is_there:
        replace(plan, record, log, pool, note, r, low, mask, value, i)
    elif mask:
        insert(plan, record, log, pool, note, r, low, time_us, seq << FLAGS | mask, value, i)
    return True


@njit(cache=True)
def rewind(plan: I8, record: I8, log: I8, pool: I8, r: int, time_us: int, acc: I8) -> None:
    """Copy the state as it was at a moment in the past, but for sorted arrays and pointers.

    plan, record, log, pool : (m,) int64  read
    r       : int  where the record begins
    time_us : int  the moment, before AS_OF
    acc     : (WIDTH,) int64  written

    O(events between the moment and AS_OF, and as many at the windows' far ends).
    """
    for w in range(plan[WIDTH]):
        acc[w] = record[r + w]
    width, start, n, horizons = (
        plan[EVENT_WIDTH],
        record[r + START],
        record[r + LENGTH],
        plan[N_HORIZONS],
    )
    at = count_until(plan, record, log, r, time_us)
    for h in range(horizons + 1):
        low, high = plan[plan[CELL_OF] + h], plan[plan[CELL_OF] + h + 1]
        if low == high:
            continue
        j, limit = -1, 0
        if h < horizons:
            j = record[r + TAIL + h] - 1
            limit = limit_of(plan, plan[plan[HORIZONS] + h], time_us)
        while j >= 0 and log[(start + j) * width] > limit:
            e = (start + j) * width
            change_cells(plan, log, e, log[e + META], low, high, acc, 0, 1)
            j -= 1
        for j in range(at, n):
            e = (start + j) * width
            change_cells(plan, log, e, log[e + META], low, high, acc, 0, -1)
    for g in range(plan[GROUPS], plan[GROUPS + 1], GROUP_ROW):
        count_distinct_at(plan, record, log, pool, r, g, time_us, acc)


@njit(inline="always")
def locate(plan: I8, record: I8, log: I8, r: int, f: int, time_us: int, is_late: bool) -> int:
    """Position of the first or last event of the window of feature `f`; -1: none, -2: it is a dropped one.

    plan, record, log : (m,) int64  read; record: where the next look for the first may begin is updated
    r       : int   where the record begins
    f       : int   row of FEATURES
    time_us : int   the moment
    is_late : bool  it is before AS_OF
    """
    width, base, tail, lag = (
        plan[EVENT_WIDTH],
        record[r + BASE],
        plan[f + F_TAIL],
        plan[f + F_LAG_TAIL],
    )
    first, until = 0, int(record[r + LENGTH])
    if is_late:
        until = count_until(plan, record, log, r, time_us - plan[f + F_LAG])
        if tail >= 0:
            limit = limit_of(plan, plan[plan[HORIZONS] + tail], time_us)
            first = count_until(plan, record, log, r, limit)
    else:
        if lag >= 0:
            until = int(record[r + TAIL + lag])
        if tail >= 0:
            first = int(record[r + TAIL + tail])
    z = plan[f + F_FROZEN]
    is_frozen = z >= 0 and record[r + plan[z + Z_AT]] == 1
    begin, k = record[r + START] * width + META, plan[f + F_P]
    if plan[f + F_OP] in (FIRST, SINCE_FIRST):
        if is_frozen:
            return -2
        bit, p = plan[k + E_BIT], r + plan[k + E_AT]
        j = first if is_late else max(first, int(record[p] - base))
        while j < until and not (log[begin + j * width] >> bit) & 1:
            j += 1
        if not is_late:
            record[p] = base + j
        return j if j < until else -1
    bit, j = plan[k + L_BIT], until - 1
    if is_late:
        while j >= first and not (log[begin + j * width] >> bit) & 1:
            j -= 1
    else:
        j = int(record[r + plan[k + L_AT]] - 1 - base)
    if j >= first:
        return j
    return -2 if is_frozen else -1


@njit(inline="always")
def read_far(
    plan: I8, record: I8, log: I8, pool: I8, r: int, f: int, time_us: int, is_late: bool, acc: I8, a: int
) -> tuple[float, int]:  # fmt: skip
    """The result of a feature that is no count or sum: as a number, and as a code.

    plan, record, log, pool : (m,) int64  read; record: see `locate`
    r       : int   where the record begins
    f       : int   row of FEATURES
    time_us : int   the moment
    is_late : bool  it is before AS_OF
    acc     : (m,) int64  where the accumulators are, read
    a       : int   and where the record begins there
    """
    op, p, q, column = plan[f + F_OP], a + plan[f + F_P], plan[f + F_Q], plan[f + F_COLUMN]
    if op == NEWEST:
        return read_newest(plan, record, log, r, f, time_us, is_late)
    if op in (FADED_COUNT, FADED_SUM, FADED_AVG):
        total, weight = read_fade(plan, record, log, r, f, time_us)
        if op == FADED_COUNT:
            return weight, -1
        if op == FADED_SUM:
            return total / np.float64(plan[f + F_LEVEL]), -1
        return total / weight / np.float64(plan[f + F_LEVEL]) if weight >= NOTHING else np.nan, -1
    scale = plan[plan[COLUMNS] + COLUMN_ROW * column + C_SCALE] if column >= 0 else 1
    if op in (AVG, STDDEV):
        n, high, low = acc[p], acc[p + 1], acc[p + 2]
        if q >= 0:
            n, high, low = n - acc[a + q], high - acc[a + q + 1], low - acc[a + q + 2]
        if n == 0:
            return np.nan, -1
        if op == AVG:
            return quotient(high, low, n * scale), -1
        s0, s1, s2, s3 = acc[p + 3], acc[p + 4], acc[p + 5], acc[p + 6]
        if q >= 0:
            q += a
            s0, s1, s2, s3 = s0 - acc[q + 3], s1 - acc[q + 4], s2 - acc[q + 5], s3 - acc[q + 6]
        return deviation(n, high, low, s0, s1, s2, s3, np.float64(scale)), -1
    if op in (QUANTILE, ENTROPY):
        h = r + plan[plan[f + F_P] + O_AT]
        n = record[h + 2]
        if n == 0:
            return np.nan, -1
        if op == ENTROPY:
            return entropy(n, record[h + 3]), -1
        rank = max((plan[f + F_LEVEL] * n + LEVEL_ONE - 1) // LEVEL_ONE, 1)
        value = pool[place_of(pool, record[h], record[h + 1], rank - 1)]
        return quotient(value >> 32, value & LOW, scale), -1
    if op in (MIN, MAX):
        value = extreme(plan, record, log, pool, r, f, time_us, is_late)
        return (np.nan if value == MISSING else quotient(value >> 32, value & LOW, scale)), -1
    j = locate(plan, record, log, r, f, time_us, is_late)
    if j == -1:
        return np.nan, -1
    if j == -2:
        z = r + plan[plan[f + F_FROZEN] + Z_AT] + (1 if op in (FIRST, SINCE_FIRST) else 3)
        at_us, value = record[z], record[z + 1]
    else:
        e = (record[r + START] + j) * plan[EVENT_WIDTH]
        at_us, value = log[e + TIME], log[e + VALUE + max(column, 0)] if column >= 0 else 0
    if op not in (FIRST, LAST):
        return np.float64(time_us - at_us), -1
    if plan[f + F_CODED]:
        return np.nan, value
    return quotient(value >> 32, value & LOW, scale), -1


@njit(inline="always")
def read(
    plan: I8, record: I8, log: I8, pool: I8, r: int, low: int, high: int, time_us: int, is_late: bool,
    acc: I8, a: int, number: F8, code: I4, i: int,
) -> None:  # fmt: skip
    """Write some features of row `i`.

    plan, record, log, pool : (m,) int64  read; record: see `locate`
    r       : int   where the record begins
    low     : int   row of the first feature
    high    : int   end of the last
    time_us : int   the moment
    is_late : bool  it is before AS_OF
    acc     : (m,) int64  where the accumulators are, read
    a       : int   and where the record begins there
    number  : (c, n) float64  written
    code    : (k, n) int32    written
    i       : int   the row
    """
    for f in range(low, high, FEATURE_ROW):
        op, p, q, out = plan[f + F_OP], a + plan[f + F_P], plan[f + F_Q], plan[f + F_OUT]
        if op == COUNT:
            n = acc[p]
            if q >= 0:
                n -= acc[a + q]
            number[out, i] = n
        elif op == SUM:
            h, l = acc[p + 1], acc[p + 2]
            if q >= 0:
                h, l = h - acc[a + q + 1], l - acc[a + q + 2]
            h += l >> 32
            if -SAFE < h < SAFE:
                whole = np.float64((h << 32) + (l & LOW))
                number[out, i] = whole if plan[f + F_LEVEL] == 1 else whole / plan[f + F_LEVEL]
            else:
                number[out, i] = quotient(h, l & LOW, plan[f + F_LEVEL])
        elif op == DISTINCT:
            n = acc[p]
            if q >= 0:
                n <<= acc[a + q]
            number[out, i] = n
        else:
            x, c = read_far(plan, record, log, pool, r, f, time_us, is_late, acc, a)
            if plan[f + F_CODED]:
                code[out, i] = c
            else:
                number[out, i] = x


@njit(cache=True)
def read_late(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, low: int, high: int, time_us: int,
    number: F8, code: I4, i: int,
) -> None:  # fmt: skip
    """Write some features of row `i` as of a moment before AS_OF; the state is afterwards as it was.

    plan, record, log, pool, note : (m,) int64  sorted arrays go back to the moment and forth again
    r       : int  where the record begins
    low     : int  row of the first feature
    high    : int  end of the last
    time_us : int  the moment
    number  : (c, n) float64  written
    code    : (k, n) int32    written
    i       : int  the row
    """
    if low == high:
        return
    acc = np.empty(plan[WIDTH], np.int64)
    rewind(plan, record, log, pool, r, time_us, acc)
    for o in range(plan[ORDERS], plan[ORDERS + 1], ORDER_ROW):
        shift_order(plan, record, log, pool, note, r, o, time_us, 1)
    read(plan, record, log, pool, r, low, high, time_us, True, acc, 0, number, code, i)
    for o in range(plan[ORDERS], plan[ORDERS + 1], ORDER_ROW):
        shift_order(plan, record, log, pool, note, r, o, time_us, -1)


@njit(cache=True)
def write_empty(plan: I8, number: F8, code: I4, i: int) -> None:
    """Write the features of a key of which nothing is known: counts and sums 0, the others missing.

    plan   : (p,) int64       read
    number : (c, n) float64   written
    code   : (k, n) int32     written
    i      : int              the row
    """
    for f in range(plan[PRIORS], plan[FEATURES + 1], FEATURE_ROW):
        op, out = plan[f + F_OP], plan[f + F_OUT]
        if op == NEWEST:
            op = plan[f + F_P]
        if plan[f + F_CODED]:
            code[out, i] = -1
        else:
            number[out, i] = 0.0 if op in (COUNT, SUM, DISTINCT, FADED_COUNT, FADED_SUM) else np.nan


@njit(inline="always")
def prepare(
    plan: I8, note: I8, pairs: I8, follow: I4, head: I4, number: F8, code: I4, filters: B1, action: I1, row: int,
    mask: I8, value: I8, name: I8,
) -> int:  # fmt: skip
    """Work out mask, values and name of rows `row`..; return one past the last that could be done.

    plan    : (p,) int64      read
    note, pairs, follow, head : updated, see keys.py
    number  : (c, n) float64  read
    code    : (k, n) int32    read
    filters : (F, n) bool     read
    action  : (n,) int8       read
    row     : int             where to begin
    mask    : (n,) int64      written; 0: nothing is to be stored
    value   : (V, n) int64    written
    name    : (n,) int64      written; -1: a key is missing, UNKNOWN: keys of which nothing is known
    """
    n = action.shape[0]
    for v in range((plan[COLUMNS + 1] - plan[COLUMNS]) // COLUMN_ROW):
        c = plan[COLUMNS] + COLUMN_ROW * v
        at, scale = plan[c + C_ROW], np.float64(plan[c + C_SCALE])
        if plan[c + C_CODED]:
            for i in range(row, n):
                value[v, i] = code[at, i] if code[at, i] >= 0 else MISSING
        else:
            for i in range(row, n):
                value[v, i] = fixed_point(number[at, i], scale)
    for i in range(row, n):
        mask[i] = 0
        name[i] = 0
    for b in range((plan[BITS + 1] - plan[BITS]) // BIT_ROW):
        f, v = plan[plan[BITS] + BIT_ROW * b + B_FILTER], plan[plan[BITS] + BIT_ROW * b + B_COLUMN]
        for i in range(row, n):
            mask[i] |= np.int64(filters[f, i]) << b
        if v >= 0:
            for i in range(row, n):
                if value[v, i] == MISSING:
                    mask[i] &= ~(1 << b)
    for k in range(plan[KEYS], plan[KEYS + 1]):
        for i in range(row, n):
            if code[plan[k], i] < 0:
                name[i] = -1
    for i in range(row, n):
        if name[i] < 0:
            continue
        s = int(code[plan[plan[KEYS]], i])
        adds = mask[i] != 0 and action[i] != SKIP and action[i] != READ
        for k in range(plan[KEYS] + 1, plan[KEYS + 1]):
            if s >= 0:
                pair, level = s << 32 | int(code[plan[k], i]), int(k - plan[KEYS] - 1)
                s = number_of_pair(note, pairs, follow, head, level, pair, adds)
        if s == NO_ROOM:
            return i
        name[i] = s
    return int(n)


@njit(cache=True)
def take_slot(plan: I8, record: I8, note: I8, place: I4, name: int) -> int:
    """Give an entity a slot; 1 + its number, or 0 with REASON set and nothing done if there is no room.

    plan   : (p,) int64  read
    record : (m,) int64  updated
    note   : (s,) int64  updated
    place  : (k,) int32  updated: 1 + the slot of each name, or 0
    name   : int         of the entity
    """
    width, slot = plan[WIDTH], note[SLOT_FREE] - 1
    if name >= place.shape[0]:
        note[REASON] = NEED_PLACES
        return 0
    if slot < 0:
        slot = note[SLOTS]
        if (slot + 1) * width > record.shape[0]:
            note[REASON] = NEED_RECORDS
            return 0
        note[SLOTS] = slot + 1
    else:
        note[SLOT_FREE] = ~record[slot * width + OWNER]
    record[slot * width + OWNER] = name
    place[name] = slot + 1
    note[PLACES] = max(note[PLACES], name + 1)
    return int(slot + 1)


@njit(inline="always")
def record_at(place: I4, name: int, width: int) -> int:
    """Where the record of an entity begins, -1 if it has none."""
    if 0 <= name < place.shape[0]:
        return int(place[name] - 1) * width if place[name] else -1
    return -1


@njit(inline="always")
def fetch_record(record: I8, r: int, width: int) -> None:
    """Ask for the record that begins at `r`, unless that is -1."""
    if r >= 0:
        for w in range(r, r + width, 8):
            fetch(record, w)
        fetch(record, r + width - 1)


@njit(inline="always")
def fetch_events(plan: I8, record: I8, log: I8, pool: I8, r: int) -> None:
    """Ask for what a row of the record at `r` will need beside the record.

    plan, record, log, pool : (m,) int64  read
    r : int  where the record begins
    """
    if record[r + LENGTH] == 0:
        return
    event_width = plan[EVENT_WIDTH]
    e = record[r + START] * event_width
    fetch(log, e + record[r + LENGTH] * event_width - 1)
    for h in range(r + TAIL, r + TAIL + plan[N_HORIZONS]):
        fetch(log, e + record[h] * event_width)
    for o in range(plan[ORDERS], plan[ORDERS + 1], ORDER_ROW):
        h = r + plan[o + O_AT]
        if record[h + 2]:
            fetch(pool, record[h] + (record[h + 2] >> 1))
    for x in range(plan[CHAINS], plan[CHAINS + 1], CHAIN_ROW):
        h = r + plan[x + X_AT]
        if record[h + 3]:
            fetch(pool, record[h] + 2 * (record[h + 2] + record[h + 3] - 1))


@njit(inline="always")
def fetch_values(plan: I8, record: I8, pool: I8, r: int, value: I8, i: int) -> None:
    """Ask for where the groups look up the values of a row.

    plan, record, pool : (m,) int64  read
    r     : int  where the record begins
    value : (V, n) int64  values of the batch, read
    i     : int  which row of them
    """
    for g in range(plan[GROUPS], plan[GROUPS + 1], GROUP_ROW):
        h = r + plan[g + G_AT]
        if record[h + 1]:
            q = mix(value[plan[g + G_COLUMN], i]) & ((1 << record[h + 1]) - 1)
            fetch(pool, record[h] + q)


@njit(cache=True)
def fetch_swept(plan: I8, record: I8, log: I8, note: I8, left: int) -> None:
    """Ask for what the next sweep looks at: records when it is AHEAD rows away, events at half that.

    plan, record, log, note : (m,) int64  read
    left : int  rows until then
    """
    for k in range(note[SWEPT], note[SWEPT] + n_swept(plan, note)):
        r = k % note[SLOTS] * plan[WIDTH]
        if left == AHEAD:
            fetch(record, r)
        else:
            fetch(log, record[r + START] * plan[EVENT_WIDTH])


@njit(inline="always")
def slide(
    number: F8, code: I4, filters: B1, seq: I8, time_us: I8, action: I1, original_seq: I8,
    logs: I8, k: int, scratch: I8,
) -> int:  # fmt: skip
    """Apply rows ROW.. of one event log in order and write their features; return the first row not done (n: all done).

    number       : (c, n) float64  columns of the batch, read; results are written
    code         : (k, n) int32    the same for codes
    filters      : (F, n) bool     read
    seq          : (n,) int64      increasing
    time_us      : (n,) int64      microseconds UTC, >= 0; at most LATENESS_US older than rows before (but for AMEND)
    action       : (n,) int8       SKIP, EVENT, READ, AMEND, PUT
    original_seq : (n,) int64      of AMEND
    logs         : (L, LOG_ROW) int64  addresses of state, read, see layout.py; what stands there is updated
    k            : int             which row of `logs`
    scratch      : (>= EVENT_WIDTH, >= n) int64  written

    State: record (slots * WIDTH,), one record a slot; log (events * EVENT_WIDTH,), segments of events; pool (words,),
    segments of tables, chains and sorted values; note, scalars; place, slots by name; pairs, follow, head: see keys.py.

    Stops before a row there is no room for; REASON says what to grow, and nothing of the row is applied but what its
    being reached implies anyway (the next call finds the same state). Equal times are ordered by seq. Cuts into
    batches change no bit of state or results.
    """
    plan = words_at(logs[k, AT_PLAN], logs[k, AT_PLAN + 1])
    record = words_at(logs[k, AT_RECORD], logs[k, AT_RECORD + 1])
    log = words_at(logs[k, AT_LOG], logs[k, AT_LOG + 1])
    pool = words_at(logs[k, AT_POOL], logs[k, AT_POOL + 1])
    note = words_at(logs[k, AT_NOTE], logs[k, AT_NOTE + 1])
    place = codes_at(logs[k, AT_PLACE], logs[k, AT_PLACE + 1])
    levels, n_pairs, row = logs[k, N_LEVELS], logs[k, N_PAIRS], logs[k, ROW]
    pairs = carray(pointer(logs[k, AT_PAIRS]), (levels, n_pairs), np.int64)
    follow = carray(pointer(logs[k, AT_FOLLOW]), (levels, n_pairs), np.int32)
    head = carray(pointer(logs[k, AT_HEAD]), (levels, n_pairs + 2), np.int32)
    n, width, event_width, horizons = seq.shape[0], plan[WIDTH], plan[EVENT_WIDTH], plan[N_HORIZONS]
    groups, orders = plan[GROUPS + 1] - plan[GROUPS], plan[ORDERS + 1] - plan[ORDERS]
    chains, fades = plan[CHAINS + 1] - plan[CHAINS], plan[FADES + 1] - plan[FADES]
    structures = groups // GROUP_ROW + orders // ORDER_ROW + chains // CHAIN_ROW
    all_cells, end_of_cells = plan[CELLS], plan[CELLS + 1]
    on_arrival = plan[plan[HOOK_OF] + horizons] < plan[plan[HOOK_OF] + horizons + 1]
    prior, others, features_end = plan[PRIORS], plan[FEATURES], plan[FEATURES + 1]
    calendars, is_sample = plan[N_CALENDARS], plan[S_SIZE] > 0
    shortest_us = plan[plan[HORIZONS] + calendars] if calendars < horizons else NEVER
    values = event_width - VALUE
    mask, name, value = scratch[0], scratch[1], scratch[2:]
    end = prepare(
        plan, note, pairs, follow, head, number, code, filters, action, row, mask, value, name
    )
    for i in range(row, end):
        if i + FAR < end and 0 <= name[i + FAR] < place.shape[0]:
            fetch(place, name[i + FAR])
        if i + MIDDLE < end:
            fetch_record(record, record_at(place, name[i + MIDDLE], width), width)
        if i + NEAR < end:
            r = record_at(place, name[i + NEAR], width)
            if r >= 0:
                fetch_events(plan, record, log, pool, r)
                if groups:
                    fetch_values(plan, record, pool, r, value, i + NEAR)
        act, t, m, s = action[i], time_us[i], mask[i], name[i]
        left = note[SWEEP_AT] - seq[i]
        if left in (AHEAD, AHEAD // 2):
            fetch_swept(plan, record, log, note, left)
        if left <= 0:
            note[REASON] = sweep(plan, record, log, pool, note, place)
            if note[REASON]:
                return i
            note[SWEEP_AT] = (seq[i] // plan[SWEEP_EVERY] + 1) * plan[SWEEP_EVERY]
        if act == SKIP:
            continue
        if act == AMEND:
            if t <= note[CORE_US] - plan[KEEP_US]:
                continue
        elif t > note[CORE_US]:
            note[CORE_US] = t
        elif t < note[CORE_US] - plan[LATENESS_US]:
            note[REASON] = TOO_OLD
            return i
        if s == -1:
            continue
        if act == READ:
            m = 0
        reads = act in (EVENT, READ)
        r = record_at(place, s, width)
        if m == 0 and (r < 0 or record[r + CLASS] + record[r + BASE] == 0):
            if reads:
                write_empty(plan, number, code, i)
            continue
        if r < 0:
            r = (take_slot(plan, record, note, place, s) - 1) * width
            if r < 0:
                return i
        if (
            structures
            and note[POOL_FREE] + structures * (16 * record[r + LENGTH] + 160) > pool.shape[0]
        ):
            note[REASON] = NEED_POOL
            return i
        moment = max(note[CORE_US] - plan[LATENESS_US], t) if act == AMEND else t
        is_late = moment < record[r + AS_OF]
        if not is_late:
            if moment >= record[r + NEXT]:
                advance(plan, record, log, pool, note, r, moment)
            record[r + AS_OF] = moment
        if is_sample:
            asked_us = moment if reads else record[r + AS_OF]
            adjust(plan, record, log, pool, note, r, asked_us)
        if act == AMEND:
            if not amend(plan, record, log, pool, note, r, t, original_seq[i], m, value, i):
                note[REASON] = NEED_LOG
                return i
            continue
        if m:
            is_full = record[r + CLASS] == 0 or record[r + LENGTH] == 1 << record[r + CLASS]
            if is_full and not make_room(plan, record, log, note, r, note[CORE_US]):
                note[REASON] = NEED_LOG
                return i
        seen = features_end if act == READ else others
        if is_late:
            if reads:
                read_late(plan, record, log, pool, note, r, prior, seen, t, number, code, i)
            if m:
                at = count_until(plan, record, log, r, t)
                if is_sample:
                    m = admit(plan, record, log, r, at, False, m, seq[i], value[0, i])
            if m:
                insert(plan, record, log, pool, note, r, at, t, seq[i] << FLAGS | m, value, i)
            if reads:
                read_late(plan, record, log, pool, note, r, seen, features_end, t, number, code, i)
            continue
        low, high = prior, seen
        for step in range(2):  # one place that reads, because it is compiled into this loop
            if step == 1 and m:
                at = record[r + LENGTH]
                if is_sample:
                    m = admit(plan, record, log, r, at, False, m, seq[i], value[0, i])
                e = (record[r + START] + at) * event_width
                log[e + TIME], log[e + META] = t, seq[i] << FLAGS | m
                for c in range(values):
                    log[e + VALUE + c] = value[c, i]
                record[r + LENGTH] = at + 1
                change_cells(plan, log, e, m, all_cells, end_of_cells, record, r, 1)
                if fades:
                    fade_in(plan, record, log, r, at)
                if on_arrival:
                    cross(plan, record, log, pool, note, r, horizons, at, at + 1)
                record[r + NEXT] = min(record[r + NEXT], t + shortest_us)
                for h in range(calendars):
                    next_us = leaves_at(plan, plan[plan[HORIZONS] + h], t)
                    record[r + NEXT] = min(record[r + NEXT], next_us)
            if reads and low < high:
                read(plan, record, log, pool, r, low, high, t, False, record, r, number, code, i)
            low, high = seen, features_end
    note[REASON] = NEED_PAIRS if end < n else 0
    return end


@njit(cache=True)
def ask(code: I4, logs: I8, k: int, n: int, step: int) -> None:
    """Ask for what the rows of a small batch need of one event log, if it has one key.

    code : (c, n) int32        read
    logs : (L, LOG_ROW) int64  addresses, read
    k    : int                 which log
    n    : int                 rows
    step : int                 0: where the slots stand, 1: records, 2: events
    """
    plan = words_at(logs[k, AT_PLAN], logs[k, AT_PLAN + 1])
    place = codes_at(logs[k, AT_PLACE], logs[k, AT_PLACE + 1])
    record = words_at(logs[k, AT_RECORD], logs[k, AT_RECORD + 1])
    log = words_at(logs[k, AT_LOG], logs[k, AT_LOG + 1])
    pool = words_at(logs[k, AT_POOL], logs[k, AT_POOL + 1])
    if plan[KEYS] + 1 < plan[KEYS + 1]:
        return
    for i in range(n):
        name = int(code[plan[plan[KEYS]], i])
        if not 0 <= name < place.shape[0]:
            continue
        if step == 0:
            fetch(place, name)
            continue
        r = record_at(place, name, plan[WIDTH])
        if step == 1:
            fetch_record(record, r, plan[WIDTH])
        elif r >= 0:
            fetch_events(plan, record, log, pool, r)


@njit(cache=True)
def slide_all(
    number: F8, code: I4, filters: B1, seq: I8, time_us: I8, action: I1, original_seq: I8, logs: I8, scratch: I8,
) -> int:  # fmt: skip
    """Apply the rows of a batch to all event logs of a stratum; return the log that needs room, or how many there are.

    number, code, filters, seq, time_us, action, original_seq, logs, scratch : see `slide`; ROW is 0 when all is done

    Of a small batch what the first rows need is asked for in all logs at once, so that they wait together.
    """
    n, count = seq.shape[0], logs.shape[0]
    if n < FAR:
        for step in range(3):
            for k in range(count):
                ask(lent(code), lent(logs), k, n, step)
    for k in range(count):
        if logs[k, ROW] == n:
            continue
        logs[k, ROW] = slide(
            lent(number), lent(code), lent(filters), lent(seq), lent(time_us), lent(action), lent(original_seq),
            lent(logs), k, lent(scratch),
        )  # fmt: skip
        if logs[k, ROW] < n:
            return k
    for k in range(count):
        logs[k, ROW] = 0
    return int(count)
