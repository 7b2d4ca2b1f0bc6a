"""An isolation forest that is grown anew, one tree after the other, from a sample of what was seen.

The trees lie in arrays of full binary trees; a branch that ends early goes on to the left without a split, so that all
trees walk down together, one level at a time, without a test for the end.
"""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.chance import chance
from models.kernels.exp_log import exp, signed_log1p
from models.kernels.moments import HUGE

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]

ABSENT = 1e300  # stands for a missing value in the pool, and for a split that no value reaches
FIRST = 64  # rows after which the first trees are grown


@njit(cache=True, fastmath=False, error_model="numpy")
def between(low: float, high: float, u: float, is_log: bool) -> float:
    """Return a place between two values, `u` of the way; of the way between their logarithms if `is_log`.

    low    : float  finite
    high   : float  finite, above `low`
    u      : float  in [0, 1)
    is_log : bool

    The middle where rounding would leave the open interval; `low` where there is nothing in between.
    """
    if is_log:
        a, b = signed_log1p(low), signed_log1p(high)
        c = a + (b - a) * u
        at = exp(abs(c)) - 1.0
        at = at if c >= 0.0 else -at
    else:
        at = low + (high - low) * u
    if not low < at < high:
        at = low + (high - low) * 0.5
    return at if low < at < high else low


@njit(cache=True, fastmath=False, error_model="numpy")
def grow(
    pool: F8,
    rows: int,
    sample: int,
    length: F8,
    is_log: bool,
    seed: int,
    seen: I8,
    feature: I4,
    split: F8,
    worth: F8,
) -> None:
    """Grow one tree anew from a sample of the pool: random inputs, random places between the least and the greatest.

    pool    : (r, f) float64  rows seen, in no order; 1e300 missing
    rows    : int             how many of them are filled, at least 1
    sample  : int             rows to grow from
    length  : (sample + 1,) float64   mean path that so many rows still have before them
    is_log  : bool            places are drawn between logarithms
    seed    : int
    seen    : (2,) int64      its second is updated: random numbers drawn so far
    feature : (inner,) int32  written: input, or f + input to look at its negative
    split   : (inner,) float64  written: a row goes to the second child if what is looked at is not below
    worth   : (inner + leaves,) float64  written: depth of the node, and the mean path that its rows still have

    Missing values go where more of the others go: always to the first child, so a split whose right side is heavier is
    written down for the negative input. O(sample * depth), more where inputs are constant; a few allocations.
    Liu, Ting and Zhou 2008, doi:10.1109/ICDM.2008.17.
    """
    inner, f = feature.shape[0], pool.shape[1]
    n = min(sample, rows)
    row = np.arange(rows)
    for a in range(n):
        b = a + int(chance(seed, seen[1]) * (rows - a))
        seen[1] += 1
        row[a], row[b] = row[b], row[a]
    begin, end = np.zeros(2 * inner + 1, np.int64), np.zeros(2 * inner + 1, np.int64)
    depth = np.zeros(2 * inner + 1)
    inputs = np.arange(f)
    end[0] = n
    for k in range(inner):
        a, b = begin[k], end[k]
        worth[k] = depth[k] + length[b - a]
        feature[k], split[k] = 0, ABSENT
        first, second, middle = 2 * k + 1, 2 * k + 2, b
        if b - a > 1 and (k == 0 or split[(k - 1) // 2] != ABSENT):
            for tried in range(f):  # inputs in random order, until one is not constant here
                drawn = tried + int(chance(seed, seen[1]) * (f - tried))
                seen[1] += 1
                inputs[tried], inputs[drawn] = inputs[drawn], inputs[tried]
                j = inputs[tried]
                low, high = HUGE, -HUGE
                for p in range(a, b):
                    value = pool[row[p], j]
                    if value < ABSENT:
                        low, high = min(low, value), max(high, value)
                if low >= high:
                    continue
                at = between(low, high, chance(seed, seen[1]), is_log)
                seen[1] += 1
                if at == low:
                    continue
                below, known = 0, 0
                for p in range(a, b):
                    value = pool[row[p], j]
                    known += value < ABSENT
                    below += value < at
                is_turned = 2 * below < known
                feature[k], split[k] = (f + j, -at) if is_turned else (j, at)
                middle = a
                for p in range(a, b):
                    value = pool[row[p], j]
                    seeing = -value if is_turned else value
                    if value == ABSENT or seeing < split[k]:
                        row[p], row[middle] = row[middle], row[p]
                        middle += 1
                break
        begin[first], end[first], begin[second], end[second] = a, middle, middle, b
        is_split = split[k] != ABSENT
        depth[first] = depth[k] + is_split
        depth[second] = depth[first]
    for k in range(inner, 2 * inner + 1):
        worth[k] = depth[k] + length[end[k] - begin[k]]


@njit(cache=True, fastmath=False, error_model="numpy")
def score_then_sample(
    x: F8,
    action: I1,
    sample: int,
    every: int,
    memory: float,
    seed: int,
    length: F8,
    pool: F8,
    feature: I4,
    split: F8,
    worth: F8,
    seen: I8,
    out: F8,
    part: F8,
) -> None:
    """Write each row's anomaly score in [0, 1] (1: soon isolated), then perhaps keep the row, unless only scored.

    x       : (n, f) float64  inputs, NaN missing
    action  : (n,) int8       0 leave the row alone, 1 score and learn it, 2 and 3 score it
    sample  : int             rows that a tree is grown from
    every   : int             rows after which the oldest tree is grown anew
    memory  : float           rows that the pool looks back
    seed    : int
    length  : (sample + 1,) float64   mean path that so many rows still have before them
    pool    : (r, f) float64  state: rows seen, in no order; 1e300 missing
    feature : (trees, inner) int32      state, as in `grow`
    split   : (trees, inner) float64    state
    worth   : (trees, inner + leaves) float64  state
    seen    : (2,) int64      state: rows learned, random numbers drawn
    out     : (n,) float64    written for actions 1, 2 and 3 (0 before the first trees), elsewhere left alone
    part    : (n, f) float64  written for actions 1 and 3: what each input adds to `out`; (0, f) if nobody asks

    All trees are grown when 64 rows were seen and whenever these have doubled, until the pool is full; from then on a
    row replaces one of the pool with the chance that makes a row stay as long as `memory` more rows, on average.
    Every other tree splits between logarithms. What a step from a node to its child changes in the worth is due to the
    input that was split on. Rows in order, so batch cuts change no bit. O(trees * depth) a row, and O(sample * depth)
    for each `every` rows.
    """
    trees, inner = feature.shape
    f = x.shape[1]
    depth = 0
    while (1 << depth) <= inner:
        depth += 1
    most = trees * (depth + length[sample])
    node, less = np.empty(trees, np.int64), np.empty(f)
    seeing = np.empty(2 * f)
    room = pool.shape[0]
    for i in range(x.shape[0]):
        if action[i] == 0:
            continue
        for j in range(f):
            value = min(max(x[i, j], -HUGE), HUGE) if not np.isnan(x[i, j]) else x[i, j]
            seeing[j], seeing[f + j] = value, -value
        for t in range(trees):
            node[t] = 0
        if part.shape[0] > 0 and action[i] != 2:
            for j in range(f):
                less[j] = 0.0
            for _ in range(depth):
                for t in range(trees):
                    k = node[t]
                    at = feature[t, k]
                    node[t] = 2 * k + 1 + (seeing[at] >= split[t, k])
                    less[at - f * (at >= f)] += worth[t, node[t]] - worth[t, k]
            for j in range(f):
                part[i, j] = -less[j] / most
        else:
            for _ in range(depth):
                for t in range(trees):
                    k = node[t]
                    node[t] = 2 * k + 1 + (seeing[feature[t, k]] >= split[t, k])
        total = 0.0
        for t in range(trees):
            total += worth[t, node[t]]
        out[i] = 1.0 - total / most if seen[0] >= FIRST else 0.0
        if action[i] != 1:
            continue
        n = seen[0]
        place = n
        if n >= room:
            place = room
            if chance(seed, seen[1]) * min(n + 1.0, memory) < room:
                place = int(chance(seed, seen[1] + 1) * room)
            seen[1] += 2
        if place < room:
            for j in range(f):
                pool[place, j] = ABSENT if np.isnan(seeing[j]) else seeing[j]
        n += 1
        seen[0] = n
        first, last = trees, trees
        if n >= FIRST and n <= room and (n & (n - 1)) == 0:
            first, last = 0, trees
        elif n >= FIRST and n % every == 0:
            first = (n // every) % trees
            last = first + 1
        for t in range(first, last):
            grow(
                pool,
                min(n, room),
                sample,
                length,
                t % 2 == 1,
                seed,
                seen,
                feature[t],
                split[t],
                worth[t],
            )
