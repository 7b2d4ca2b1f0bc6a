"""Exact distinct counts: which event is the *last* that carries its value.

A *group* is the events of one bit whose values are told apart, up to one lag. An event that is no longer the last of
its value is flagged superseded; the distinct count of a window is the number of its events that are not, whatever its
length, so one look-up serves all windows of the group. Small entities are searched through; from SEARCH events on an
entity has a table of its own, open-addressed: words name the last event of each value, and the value itself is read
from the event, so a value costs 8 bytes and the table grows with its entity, never all at once.

The name of an event is 1 + (BASE + position), in the lower NAME_BITS of a word. Above them stands how many positions
before it the value was seen last: 0 for not known, NONE for not in the window. A late row takes back what is newer than
itself, and follows these links to what counted before: it looks at the events between its moment and now, at those that
have left since, and at no others.
"""

import numpy as np
from numba import njit

from engine.windows.kernels.horizons import limit_of
from engine.windows.kernels.keys import mix
from engine.windows.kernels.layout import (
    BASE,
    D_AT,
    D_GROUP,
    D_HORIZON,
    DISTINCT_ROW,
    EVENT_WIDTH,
    G_AT,
    G_BIT,
    G_COLUMN,
    G_END,
    G_FIRST,
    G_FLAG,
    G_LAG,
    G_LONGEST,
    GROUP_ROW,
    GROUPS,
    HORIZONS,
    I8,
    LENGTH,
    META,
    POOL_FREE,
    START,
    TAIL,
    TIME,
    VALUE,
)
from engine.windows.kernels.memory import count_until, give_segment, take_segment

NAME_BITS = 40
NAME = (1 << NAME_BITS) - 1
NONE = (1 << 22) - 1
SEARCH = 16  # events; a table of fewer values is slower than looking at all of them


@njit(inline="always")
def word_of(plan: I8, record: I8, r: int, position: int) -> int:
    """Where event `position` of the record at `r` begins in the log."""
    return int(record[r + START] + position) * int(plan[EVENT_WIDTH])


@njit(inline="always")
def entry_of(name: int, gap: int) -> int:
    """A word of a table: a name, and how far back the value was seen last."""
    return name | (gap if gap < NONE else 0) << NAME_BITS


@njit(inline="always")
def none_before(name: int) -> int:
    """A word of a table: a name, and that the value was not in the window before."""
    return name | NONE << NAME_BITS


@njit(cache=True)
def find_value(plan: I8, record: I8, log: I8, pool: I8, r: int, g: int, value: int) -> int:
    """Place in the pool of the entry whose event carries `value`, or of the free place where it belongs.

    plan, record, log, pool : (m,) int64  read
    r     : int  where the record begins; group `g` has a table
    g     : int  the group
    value : int  what is looked for
    """
    start, top = record[r + plan[g + G_AT]], (1 << record[r + plan[g + G_AT] + 1]) - 1
    word = VALUE + plan[g + G_COLUMN] - (1 + record[r + BASE]) * plan[EVENT_WIDTH]
    word += record[r + START] * plan[EVENT_WIDTH]
    q = mix(value) & top
    while pool[start + q] and log[(pool[start + q] & NAME) * plan[EVENT_WIDTH] + word] != value:
        q = (q + 1) & top
    return int(start + q)


@njit(cache=True)
def find_entry(plan: I8, record: I8, pool: I8, r: int, g: int, value: int, name: int) -> int:
    """Place in the pool of the entry of event `name`, known to be there; no event is read.

    plan, record, pool : (m,) int64  read
    r     : int  where the record begins; group `g` has a table
    g     : int  the group
    value : int  of the entry's event
    name  : int  of the event
    """
    start, top = record[r + plan[g + G_AT]], (1 << record[r + plan[g + G_AT] + 1]) - 1
    q = mix(value) & top
    while pool[start + q] & NAME != name:
        q = (q + 1) & top
    return int(start + q)


@njit(cache=True)
def set_table(
    plan: I8,
    record: I8,
    log: I8,
    pool: I8,
    note: I8,
    r: int,
    g: int,
    klass: int,
    first: int,
    until: int,
) -> None:
    """Give group `g` a table of 2**klass words with the last events of its values, or none if `klass` is 0.

    A table that it has is moved; else positions first .. until - 1 are looked at.

    plan, record, log, pool, note : (m,) int64  read and, but for plan and log, updated
    r     : int  where the record begins
    g     : int  the group
    klass : int  size class of the new table
    first : int  positions first .. until - 1 are those in the group
    until : int  see `first`
    """
    h = r + plan[g + G_AT]
    old, old_class = record[h], record[h + 1]
    record[h], record[h + 1], record[h + 2] = 0, klass, 0
    if klass:
        to = take_segment(pool, note, POOL_FREE, klass, 1)
        record[h] = to
        for q in range(to, to + (1 << klass)):
            pool[q] = 0
        bit, flag, word = plan[g + G_BIT], plan[g + G_FLAG], VALUE + plan[g + G_COLUMN]
        of_table = old_class > 0
        for j in range(old if of_table else first, old + (1 << old_class) if of_table else until):
            entry = pool[j] if of_table else 1 + record[r + BASE] + j
            if entry == 0:
                continue
            e = word_of(plan, record, r, (entry & NAME) - 1 - record[r + BASE])
            meta = log[e + META]
            if of_table or ((meta >> bit) & 1 and not (meta >> flag) & 1):
                pool[find_value(plan, record, log, pool, r, g, log[e + word])] = entry
                record[h + 2] += 1
    if old_class:
        give_segment(pool, note, POOL_FREE, old_class, 1, old)


@njit(cache=True)
def drop_entry(plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, g: int, q: int) -> None:
    """Free place `q` and move back what it had pushed on, so that look-ups need no tombstones.

    plan, record, log, pool, note : (m,) int64  read and, but for plan and log, updated
    r : int  where the record begins
    g : int  the group
    q : int  place in the pool
    """
    h = r + plan[g + G_AT]
    start, top = record[h], (1 << record[h + 1]) - 1
    record[h + 2] -= 1
    if record[h + 2] == 0:
        set_table(plan, record, log, pool, note, r, g, 0, 0, 0)
        return
    q -= start
    z = q
    while True:
        z = (z + 1) & top
        entry = pool[start + z]
        if entry == 0:
            break
        e = word_of(plan, record, r, (entry & NAME) - 1 - record[r + BASE])
        home = mix(log[e + VALUE + plan[g + G_COLUMN]]) & top
        if (z - home) & top >= (z - q) & top:
            pool[start + q] = entry
            q = z
    pool[start + q] = 0


@njit(cache=True)
def search(
    plan: I8, record: I8, log: I8, r: int, g: int, value: int, first: int, until: int
) -> int:
    """Newest of the positions first .. until - 1 that is in group `g` and carries `value`; -1 if none does.

    plan, record, log : (m,) int64  read
    r     : int  where the record begins
    g     : int  the group
    value : int  what is looked for
    first : int  oldest position
    until : int  one past the newest position
    """
    bit, word, width = plan[g + G_BIT], VALUE + plan[g + G_COLUMN], plan[EVENT_WIDTH]
    e = word_of(plan, record, r, until)
    for j in range(until - 1, first - 1, -1):
        e -= width
        if log[e + word] == value and (log[e + META] >> bit) & 1:
            return j
    return -1


@njit(cache=True)
def enter_group(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, g: int, at: int, until: int
) -> None:
    """Count event `at` in group `g`; its flag is clear. One look-up, whatever the number of windows.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated
    r     : int  where the record begins
    g     : int  the group
    at    : int  position of the event
    until : int  one past the newest position in the group, the event included
    """
    e = word_of(plan, record, r, at)
    if not (log[e + META] >> plan[g + G_BIT]) & 1:
        return
    first = record[r + TAIL + plan[g + G_LONGEST]]
    if at < first:
        return
    h, base, flag = r + plan[g + G_AT], record[r + BASE], 1 << plan[g + G_FLAG]
    value = log[e + VALUE + plan[g + G_COLUMN]]
    klass = record[h + 1]
    if klass == 0 and until - first > SEARCH:
        klass = 5
    elif klass and 4 * (record[h + 2] + 1) > 3 << klass:
        klass += 1
    if klass != record[h + 1]:
        log[e + META] |= flag  # keeps the event out of the table that is built now
        set_table(plan, record, log, pool, note, r, g, klass, first, until)
        log[e + META] ^= flag
    q, last = -1, -1
    if klass:
        q = find_value(plan, record, log, pool, r, g, value)
        if pool[q]:
            last = (pool[q] & NAME) - 1 - base
    else:
        last = search(plan, record, log, r, g, value, at + 1, until)
        if last < 0:
            last = search(plan, record, log, r, g, value, first, at)
    if last > at:
        log[e + META] |= flag
        if q >= 0 and 0 < last - at < pool[q] >> NAME_BITS:
            pool[q] = entry_of(1 + base + last, last - at)
        return
    for d in range(plan[g + G_FIRST], plan[g + G_END], DISTINCT_ROW):
        tail = record[r + TAIL + plan[d + D_HORIZON]]
        if last < tail <= at:
            record[r + plan[d + D_AT]] += 1
    if last >= 0:
        log[word_of(plan, record, r, last) + META] |= flag
    if q >= 0:
        pool[q] = entry_of(1 + base + at, at - last) if last >= 0 else none_before(1 + base + at)
        if last < 0:
            record[h + 2] += 1


@njit(cache=True)
def leave_window(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, d: int, at: int
) -> None:
    """Take event `at`, the oldest inside, out of the window `d` of its group.

    plan, record, log, pool, note : (m,) int64  read and, but for plan and log, updated
    r  : int  where the record begins
    d  : int  row of DISTINCTS
    at : int  position of the event
    """
    g = plan[d + D_GROUP]
    e = word_of(plan, record, r, at)
    meta = log[e + META]
    if (meta >> plan[g + G_BIT]) & 1 and not (meta >> plan[g + G_FLAG]) & 1:
        record[r + plan[d + D_AT]] -= 1
        if plan[d + D_HORIZON] == plan[g + G_LONGEST] and record[r + plan[g + G_AT] + 1]:
            value, entry = log[e + VALUE + plan[g + G_COLUMN]], 1 + record[r + BASE] + at
            q = find_entry(plan, record, pool, r, g, value, entry)
            drop_entry(plan, record, log, pool, note, r, g, q)


@njit(cache=True)
def take_from_group(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, g: int, at: int, until: int
) -> None:
    """Undo `enter_group` of event `at`, wherever it stands; its flag is clear afterwards.

    plan, record, log, pool, note : (m,) int64  read and, but for plan, updated
    r     : int  where the record begins
    g     : int  the group
    at    : int  position of the event
    until : int  one past the newest position in the group

    Looks back for the event that is the last of the value instead: O(events of the group).
    """
    e, flag = word_of(plan, record, r, at), 1 << plan[g + G_FLAG]
    first = record[r + TAIL + plan[g + G_LONGEST]]
    if not first <= at < until or not (log[e + META] >> plan[g + G_BIT]) & 1:
        return
    h, value = r + plan[g + G_AT], log[e + VALUE + plan[g + G_COLUMN]]
    if log[e + META] & flag:
        log[e + META] ^= flag
        if record[h + 1]:  # what the last one leads back to may have been this
            pool[find_value(plan, record, log, pool, r, g, value)] &= NAME
        return
    before = search(plan, record, log, r, g, value, first, at)
    for d in range(plan[g + G_FIRST], plan[g + G_END], DISTINCT_ROW):
        tail = record[r + TAIL + plan[d + D_HORIZON]]
        if before < tail <= at:
            record[r + plan[d + D_AT]] -= 1
    if before >= 0:
        log[word_of(plan, record, r, before) + META] ^= flag
    if record[h + 1]:
        q = find_entry(plan, record, pool, r, g, value, 1 + record[r + BASE] + at)
        if before >= 0:
            pool[q] = 1 + record[r + BASE] + before
        else:
            drop_entry(plan, record, log, pool, note, r, g, q)


@njit(cache=True)
def renumber(plan: I8, record: I8, log: I8, pool: I8, r: int, position: int, at: int) -> None:
    """Follow event `position`, just copied to `position` + 1, in every table; tails are still the old ones.

    plan, record, log, pool : (m,) int64  read and, but for pool, not changed
    r        : int  where the record begins
    position : int  where the event stood; entries of newer ones are renumbered already
    at       : int  the oldest position that moves
    """
    e = word_of(plan, record, r, position)
    meta = log[e + META]
    for g in range(plan[GROUPS], plan[GROUPS + 1], GROUP_ROW):
        lag = plan[g + G_LAG]
        until = record[r + TAIL + lag] if lag >= 0 else record[r + LENGTH]
        if (
            record[r + plan[g + G_AT] + 1]
            and record[r + TAIL + plan[g + G_LONGEST]] <= position < until
            and (meta >> plan[g + G_BIT]) & 1
            and not (meta >> plan[g + G_FLAG]) & 1
        ):
            name, value = 1 + record[r + BASE] + position, log[e + VALUE + plan[g + G_COLUMN]]
            q = find_entry(plan, record, pool, r, g, value, name)
            gap = pool[q] >> NAME_BITS
            pool[q] += 1
            if 0 < gap < NONE and position - gap < at:
                pool[q] = entry_of(name + 1, gap + 1)


@njit(cache=True)
def last_before(
    plan: I8, record: I8, log: I8, pool: I8, r: int, g: int, value: int, until: int
) -> int:
    """Newest position before `until`, in the longest window of group `g` as it is, that carries `value`; -1 if none.

    plan, record, log, pool : (m,) int64  read
    r     : int  where the record begins; group `g` has a table
    g     : int  the group
    value : int  what is looked for
    until : int  a position in the window

    O(1), unless the value was seen twice since: then back to where it was seen before.
    """
    entry = pool[find_value(plan, record, log, pool, r, g, value)]
    if entry == 0:
        return -1
    first = record[r + TAIL + plan[g + G_LONGEST]]
    position, gap = (entry & NAME) - 1 - record[r + BASE], entry >> NAME_BITS
    if position >= until:
        if gap == NONE:
            return -1
        position = position - gap if gap else until
        if position >= until:
            position = search(plan, record, log, r, g, value, first, until)
    return int(position) if position >= first else -1


@njit(cache=True)
def count_distinct_at(
    plan: I8, record: I8, log: I8, pool: I8, r: int, g: int, time_us: int, acc: I8
) -> None:
    """Count the windows of group `g` as of a moment in the past: what is newer goes, what has left since comes back.

    plan, record, log, pool : (m,) int64  read
    r       : int  where the record begins
    g       : int  the group
    time_us : int  the moment, before AS_OF
    acc     : (m,) int64  a copy of the record; updated at D_AT of each window

    O(events between the moment and AS_OF, and as many at the windows' far ends); a group without a table is looked
    through. An event that is the last of its value as of the moment counts in the windows that reach back to it.
    """
    bit, word, horizons = plan[g + G_BIT], VALUE + plan[g + G_COLUMN], plan[HORIZONS]
    lag, flag = plan[g + G_LAG], plan[g + G_FLAG]
    end, lag_us = record[r + LENGTH], 0
    if lag >= 0:
        end, lag_us = record[r + TAIL + lag], plan[horizons + lag]
    until = count_until(plan, record, log, r, time_us - lag_us)
    kept = record[r + TAIL + plan[g + G_LONGEST]]  # what is older has left the longest window
    far = limit_of(plan, plan[horizons + plan[g + G_LONGEST]], time_us)
    first = count_until(plan, record, log, r, far)
    has_table = record[r + plan[g + G_AT] + 1] > 0
    if not has_table:
        kept, end = until, until
    for d in range(plan[g + G_FIRST], plan[g + G_END], DISTINCT_ROW):
        p, tail = plan[d + D_AT], record[r + TAIL + plan[d + D_HORIZON]]
        if not has_table:
            acc[p] = 0
            continue
        limit = limit_of(plan, plan[horizons + plan[d + D_HORIZON]], time_us)
        j = min(tail, until) - 1
        while j >= kept and log[word_of(plan, record, r, j) + TIME] > limit:
            meta = log[word_of(plan, record, r, j) + META]
            acc[p] += (meta >> bit) & ~(meta >> flag) & 1
            j -= 1
    for j in range(max(until, kept), end):
        e = word_of(plan, record, r, j)
        if not (log[e + META] >> bit) & 1 or (log[e + META] >> flag) & 1:
            continue
        before = last_before(plan, record, log, pool, r, g, log[e + word], until)
        for d in range(plan[g + G_FIRST], plan[g + G_END], DISTINCT_ROW):
            acc[plan[d + D_AT]] -= j >= record[r + TAIL + plan[d + D_HORIZON]]
            if before >= 0:
                limit = limit_of(plan, plan[horizons + plan[d + D_HORIZON]], time_us)
                before_us = log[word_of(plan, record, r, before) + TIME]
                acc[plan[d + D_AT]] += before_us > limit
    size = 4
    while size < 2 * (min(kept, until) - first):
        size *= 2
    seen = np.zeros(size, np.int64)  # 1 + position, of values among those that have left
    for j in range(min(kept, until) - 1, first - 1, -1):
        e = word_of(plan, record, r, j)
        if not (log[e + META] >> bit) & 1:
            continue
        value = log[e + word]
        q = mix(value) & (size - 1)
        while seen[q] and log[word_of(plan, record, r, seen[q] - 1) + word] != value:
            q = (q + 1) & (size - 1)
        if seen[q]:
            continue
        seen[q] = j + 1
        if has_table and last_before(plan, record, log, pool, r, g, value, until) >= 0:
            continue
        for d in range(plan[g + G_FIRST], plan[g + G_END], DISTINCT_ROW):
            limit = limit_of(plan, plan[horizons + plan[d + D_HORIZON]], time_us)
            acc[plan[d + D_AT]] += log[e + TIME] > limit
