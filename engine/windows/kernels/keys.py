"""Numbers for pairs of keys: linear hashing, one bucket more a pair, so that no insertion ever rebuilds a table.

A key of three columns is a pair of a pair and a code, one level after the other. Pairs are numbered in order of
appearance, so the numbers follow from the rows alone; chains are rebuilt on load.
"""

import numpy as np
from numba import njit

from engine.windows.kernels.layout import I4, I8, PAIRS

UNKNOWN, NO_ROOM = -2, -3


@njit(inline="always")
def mix(value: int) -> int:
    """Spread the bits of `value` over 63."""
    h = np.uint64(value) * np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(32)
    h *= np.uint64(0xD6E8FEB86659FD93)
    return int((h ^ (h >> np.uint64(32))) & np.uint64(0x7FFFFFFFFFFFFFFF))


@njit(cache=True)
def number_of_pair(
    note: I8, pairs: I8, follow: I4, head: I4, level: int, pair: int, add: bool
) -> int:
    """The number of `pair`; if it is new, the next one, or UNKNOWN if not to `add` it, or NO_ROOM.

    note   : (s,) int64       updated
    pairs  : (levels, p) int64  updated: the pair of each number
    follow : (levels, p) int32  updated: 1 + the next pair of the same bucket
    head   : (levels, p + 2) int32  updated: 1 + the first pair of each bucket
    level  : int              which table
    pair   : int              first * 2**32 + second
    add    : bool             give a new pair a number

    O(1) expected; one chain is split in two for each new pair.
    """
    at = PAIRS + 2 * level
    count, top, h = note[at], max(note[at + 1], 1), mix(pair)
    b = h & (2 * top - 1)
    if b > count:
        b &= top - 1
    p = head[level, b]
    while p:
        if pairs[level, p - 1] == pair:
            return int(p - 1)
        p = follow[level, p - 1]
    if not add:
        return UNKNOWN
    if count >= pairs.shape[1]:
        return NO_ROOM
    pairs[level, count] = pair
    follow[level, count] = head[level, b]
    head[level, b] = count + 1
    new = (
        count + 1
    )  # the bucket that comes with this pair takes its share of the one it splits from
    if new >= 2 * top:
        top *= 2
    note[at], note[at + 1] = count + 1, top
    p, kept, moved = head[level, new - top], 0, 0
    while p:
        after = follow[level, p - 1]
        if mix(pairs[level, p - 1]) & (2 * top - 1) == new:
            follow[level, p - 1] = moved
            moved = p
        else:
            follow[level, p - 1] = kept
            kept = p
        p = after
    head[level, new - top], head[level, new] = kept, moved
    return int(count)


@njit(cache=True)
def chain_pairs(note: I8, pairs: I8, follow: I4, head: I4, level: int) -> None:
    """Put all pairs of a level into their chains, as after a load.

    note   : (s,) int64         read: how many pairs there are
    pairs  : (levels, p) int64  read: the pair of each number
    follow : (levels, p) int32  written
    head   : (levels, p + 2) int32  written, zeros before
    level  : int                which table
    """
    count, top = note[PAIRS + 2 * level], max(note[PAIRS + 2 * level + 1], 1)
    for p in range(count):
        b = mix(pairs[level, p]) & (2 * top - 1)
        if b > count:
            b &= top - 1
        follow[level, p] = head[level, b]
        head[level, b] = p + 1
