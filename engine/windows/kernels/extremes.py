"""Exact minima and maxima: which events no later one outdoes.

A *chain* is the events of one bit, up to one lag, that no later event of it equals or exceeds, oldest first: their
values fall strictly, so the extreme of a window is the value of the first one inside, whatever its length, and one
chain serves all windows. A new event ends the chain of those it outdoes; each is put in and taken out once, so it is
O(1) amortised however long windows are. An entry is two words of the pool, BASE + position and the value; minima are
maxima of negated values.
"""

from numba import njit

from engine.windows.kernels.distinct import word_of
from engine.windows.kernels.horizons import limit_of
from engine.windows.kernels.layout import (
    BASE,
    CHAIN_ROW,
    CHAINS,
    F_LAG,
    F_P,
    F_TAIL,
    HORIZONS,
    I8,
    META,
    MISSING,
    POOL_FREE,
    TAIL,
    VALUE,
    X_AT,
    X_BIT,
    X_COLUMN,
    X_LONGEST,
    X_SIGN,
)
from engine.windows.kernels.memory import count_until, give_segment, take_segment

SMALLEST = 3  # size class of a segment: 4 entries


@njit(cache=True)
def make_chain_room(record: I8, pool: I8, note: I8, h: int, more: int) -> None:
    """Let `more` entries fit behind the last one.

    record : (m,) int64  updated: start, size class, entries gone from the front, entries; at `h`
    pool   : (m,) int64  updated
    note   : (s,) int64  updated
    h      : int         where the chain stands in the record
    more   : int         how many

    Moves entries to the front, or to a segment of another size. Amortised O(1) an entry.
    """
    start, klass, gone, n = record[h], record[h + 1], record[h + 2], record[h + 3]
    if klass and 2 * (gone + n + more) <= 1 << klass:
        return
    to, to_class = start, max(klass, SMALLEST)
    while 8 * (n + more) > 3 << to_class:
        to_class += 1
    if 16 * (n + more) <= 1 << to_class and to_class > SMALLEST:
        to_class -= 1
    if to_class != klass:
        to = take_segment(pool, note, POOL_FREE, to_class, 1)
    for w in range(2 * n):
        pool[to + w] = pool[start + 2 * gone + w]
    if to_class != klass and klass:
        give_segment(pool, note, POOL_FREE, klass, 1, start)
    record[h], record[h + 1], record[h + 2] = to, to_class, 0


@njit(cache=True)
def enter_chain(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, x: int, at: int, until: int
) -> None:
    """Put event `at`, wherever it stands, into chain `x`; entries of newer events are renumbered already.

    plan, record, log, pool, note : (m,) int64  read and, but for plan and log, updated
    r     : int  where the record begins
    x     : int  row of CHAINS
    at    : int  position of the event
    until : int  one past the newest position in the chain's reach
    """
    e = word_of(plan, record, r, at)
    first = record[r + TAIL + plan[x + X_LONGEST]]
    if not first <= at < until or not (log[e + META] >> plan[x + X_BIT]) & 1:
        return
    h, name = r + plan[x + X_AT], record[r + BASE] + at
    value = plan[x + X_SIGN] * log[e + VALUE + plan[x + X_COLUMN]]
    n = record[h + 3]
    w = record[h] + 2 * record[h + 2]
    k = n
    while k > 0 and pool[w + 2 * k - 2] > name:
        k -= 1
    if k < n and pool[w + 2 * k + 1] >= value:
        return
    low = k
    while low > 0 and pool[w + 2 * low - 1] <= value:
        low -= 1
    if low == k:
        make_chain_room(record, pool, note, h, 1)
        w = record[h] + 2 * record[h + 2]
        for j in range(2 * n - 1, 2 * k - 1, -1):
            pool[w + j + 2] = pool[w + j]
    elif low < k - 1:
        shift = 2 * (k - low - 1)
        for j in range(2 * k, 2 * n):
            pool[w + j - shift] = pool[w + j]
    pool[w + 2 * low], pool[w + 2 * low + 1] = name, value
    record[h + 3] = n + 1 - (k - low)


@njit(cache=True)
def leave_chain(plan: I8, record: I8, pool: I8, note: I8, r: int, x: int, at: int) -> None:
    """Take event `at`, the oldest inside the longest window, out of chain `x` if it is an entry.

    plan, record, pool, note : (m,) int64  read and, but for plan, updated
    r  : int  where the record begins
    x  : int  row of CHAINS
    at : int  position of the event
    """
    h = r + plan[x + X_AT]
    if record[h + 3] == 0 or pool[record[h] + 2 * record[h + 2]] != record[r + BASE] + at:
        return
    record[h + 2] += 1
    record[h + 3] -= 1
    if record[h + 3] == 0:
        record[h + 2] = 0
        if record[h + 1] > SMALLEST:
            give_segment(pool, note, POOL_FREE, record[h + 1], 1, record[h])
            record[h], record[h + 1] = 0, 0


@njit(cache=True)
def take_from_chain(
    plan: I8, record: I8, log: I8, pool: I8, note: I8, r: int, x: int, at: int, until: int
) -> None:
    """Undo `enter_chain` of event `at`: those it outdid, and nothing else did, become entries again.

    plan, record, log, pool, note : (m,) int64  read and, but for plan and log, updated
    r     : int  where the record begins
    x     : int  row of CHAINS
    at    : int  position of the event
    until : int  one past the newest position in the chain's reach

    O(events since the entry before).
    """
    first, base = record[r + TAIL + plan[x + X_LONGEST]], record[r + BASE]
    if not first <= at < until:
        return
    h = r + plan[x + X_AT]
    n, w = record[h + 3], record[h] + 2 * record[h + 2]
    k = 0
    while k < n and pool[w + 2 * k] != base + at:
        k += 1
    if k == n:
        return
    bit, word, sign = plan[x + X_BIT], VALUE + plan[x + X_COLUMN], plan[x + X_SIGN]
    before = pool[w + 2 * k - 2] - base if k > 0 else first - 1
    after = pool[w + 2 * k + 3] if k < n - 1 else MISSING
    found, best = 0, after
    for j in range(at - 1, before, -1):
        e = word_of(plan, record, r, j)
        if (log[e + META] >> bit) & 1 and sign * log[e + word] > best:
            found, best = found + 1, sign * log[e + word]
    if found > 1:
        make_chain_room(record, pool, note, h, found - 1)
        w = record[h] + 2 * record[h + 2]
        for j in range(2 * n - 1, 2 * k + 1, -1):
            pool[w + j + 2 * found - 2] = pool[w + j]
    elif found == 0:
        for j in range(2 * k + 2, 2 * n):
            pool[w + j - 2] = pool[w + j]
    record[h + 3] = n - 1 + found
    best = after
    for j in range(at - 1, before, -1):
        e = word_of(plan, record, r, j)
        if (log[e + META] >> bit) & 1 and sign * log[e + word] > best:
            best = sign * log[e + word]
            found -= 1
            pool[w + 2 * (k + found)], pool[w + 2 * (k + found) + 1] = base + j, best


@njit(cache=True)
def renumber_chains(plan: I8, record: I8, pool: I8, r: int, at: int) -> None:
    """Follow the events from position `at` on, all moved by one, in every chain.

    plan, record, pool : (m,) int64  read and, but for pool, not changed
    r  : int  where the record begins
    at : int  the first position that moved
    """
    for x in range(plan[CHAINS], plan[CHAINS + 1], CHAIN_ROW):
        h = r + plan[x + X_AT]
        w = record[h] + 2 * record[h + 2]
        k = record[h + 3] - 1
        while k >= 0 and pool[w + 2 * k] >= record[r + BASE] + at:
            pool[w + 2 * k] += 1
            k -= 1


@njit(cache=True)
def first_entry(record: I8, pool: I8, h: int, name: int) -> int:
    """Word of the first entry of the chain at `h` that is not before `name`; -1 if none is.

    record, pool : (m,) int64  read
    h            : int         where the chain stands in the record
    name         : int         BASE + position
    """
    n, w = record[h + 3], record[h] + 2 * record[h + 2]
    if n == 0:
        return -1
    if pool[w] >= name:
        return int(w)
    low, high = 1, n
    while low < high:
        middle = (low + high) >> 1
        if pool[w + 2 * middle] < name:
            low = middle + 1
        else:
            high = middle
    return int(w + 2 * low) if low < n else -1


@njit(cache=True)
def best_between(
    plan: I8, record: I8, log: I8, r: int, x: int, first: int, until: int, best: int
) -> int:
    """The largest of `best` and the signed values at positions first .. until - 1.

    plan, record, log : (m,) int64  read
    r     : int  where the record begins
    x     : int  row of CHAINS
    first : int  oldest position
    until : int  one past the newest
    best  : int  MISSING for none
    """
    bit, word, sign = plan[x + X_BIT], VALUE + plan[x + X_COLUMN], plan[x + X_SIGN]
    for j in range(first, until):
        e = word_of(plan, record, r, j)
        if (log[e + META] >> bit) & 1:
            best = max(best, sign * log[e + word])
    return int(best)


@njit(cache=True)
def extreme(
    plan: I8, record: I8, log: I8, pool: I8, r: int, f: int, time_us: int, is_late: bool
) -> int:
    """The minimum or maximum that feature `f` asks for; MISSING if its window is empty.

    plan, record, log, pool : (m,) int64  read
    r       : int   where the record begins
    f       : int   row of FEATURES
    time_us : int   the moment
    is_late : bool  it is before AS_OF

    Of now: a look into the chain. Of the past: what has left since is looked at, and the chain serves for the rest,
    unless what it names is newer than the moment; then the whole window is looked at.
    """
    x = plan[f + F_P]
    h, base = r + plan[x + X_AT], record[r + BASE]
    if not is_late:
        w = first_entry(record, pool, h, base + record[r + TAIL + plan[f + F_TAIL]])
        return int(plan[x + X_SIGN] * pool[w + 1]) if w >= 0 else MISSING
    limit = limit_of(plan, plan[plan[HORIZONS] + plan[f + F_TAIL]], time_us)
    first = count_until(plan, record, log, r, limit)
    until = count_until(plan, record, log, r, time_us - plan[f + F_LAG])
    known = min(max(first, record[r + TAIL + plan[x + X_LONGEST]]), until)
    best = best_between(plan, record, log, r, x, first, known, MISSING)
    w = first_entry(record, pool, h, base + known)
    if w >= 0 and pool[w] < base + until:
        best = max(best, pool[w + 1])
    else:
        best = best_between(plan, record, log, r, x, known, until, best)
    return int(plan[x + X_SIGN] * best) if best != MISSING else MISSING
