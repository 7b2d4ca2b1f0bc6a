"""Count the values of many columns by range, and keep a thin even sample of them: what drift is seen by."""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.exp_log import log

F4: TypeAlias = NDArray[np.float32]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]

ROWS, HELD, STRIDE = 0, 1, 2  # places of `seen`
SAID, WAS = 0, 1  # rows of `sums`
FRAUD, FRAUD_AFTER_ALL, GENUINE_AFTER_ALL = 1, 2, 3  # as in calibrate.py


@njit(cache=True, fastmath=False, error_model="numpy")
def count_rows(x: F4, row: I8, edge: F4, count: I8, sample: F4, seen: I8) -> None:
    """Count the values of some rows by range, and sample the rows evenly.

    x      : (n, s) float32  columns; NaN missing
    row    : (k,) int64      which rows, ascending
    edge   : (s, e) float32  rising; NaN: the column has no ranges yet
    count  : (s, 2 e + 2) int64    updated in place: values below, at and between the edges, then the missing ones
    sample : (m, s) float32  updated in place: every STRIDE-th row; thinned to every second when full
    seen   : (3,) int64      updated in place: rows, rows in `sample`, stride

    Rows in order, so batch cuts change nothing. O(s e) a row, no allocation. A value at an edge has a range of its
    own, so that a column of few values, or of one, shows the next.
    """
    e, m = edge.shape[1], sample.shape[0]
    for i in range(row.shape[0]):
        r = row[i]
        if seen[ROWS] % seen[STRIDE] == 0:
            if seen[HELD] == m:
                for h in range(m // 2):
                    for j in range(x.shape[1]):
                        sample[h, j] = sample[2 * h, j]
                seen[HELD] = m // 2
                seen[STRIDE] *= 2
            if seen[ROWS] % seen[STRIDE] == 0:
                for j in range(x.shape[1]):
                    sample[seen[HELD], j] = x[r, j]
                seen[HELD] += 1
        seen[ROWS] += 1
        for j in range(x.shape[1]):
            v = x[r, j]
            # over all edges, without a branch: 7 ns for 16; a search among them 7, with branches 11 to 20
            below, up_to = np.int32(0), np.int32(0)
            for k in range(e):
                below += np.int32(edge[j, k] < v)
                up_to += np.int32(edge[j, k] <= v)
            count[j, 2 * e + 1 if np.isnan(v) else below + up_to] += 1


@njit(cache=True, fastmath=False, error_model="numpy")
def add_up(label: I1, now_us: I8, since_us: int, said: F8, sums: F8) -> None:
    """Add what calibrations said of transactions, and what became of them.

    label    : (c,) int8   what became of each, as in models/kernels/calibrate.py
    now_us   : (c,) int64  core time at which each fate was known
    since_us : int         what was known before does not count
    said     : (c, s) float64  probability by each model; NaN: it had said nothing
    sums     : (2, s) float64  updated in place: what was said of fates that were new, and frauds among them

    One after the other, so batch cuts change no bit. O(c s), no allocation.
    """
    for j in range(label.shape[0]):
        if now_us[j] < since_us:
            continue
        change = 1.0 if label[j] in (FRAUD, FRAUD_AFTER_ALL) else 0.0
        if label[j] == GENUINE_AFTER_ALL:
            change = -1.0
        for k in range(said.shape[1]):
            if np.isnan(said[j, k]):
                continue
            if label[j] <= FRAUD:
                sums[SAID, k] += said[j, k]
            sums[WAS, k] += change


@njit(cache=True, fastmath=False, error_model="numpy")
def most_alike(now: I8, past: I4, at: I8, floor: float) -> tuple[float, int]:
    """Return the smallest stability index of a block against some of the blocks before, and which that is.

    now   : (b,) int64     counts of the block by range
    past  : (h, b) int32   counts of blocks before
    at    : (k,) int64     which of them to look at; those without a row are passed over
    floor : float          a share below it counts as that much

    The population stability index is the sum over ranges of (p - q) log(p / q); infinite and -1 if there is no block.
    O(k b), no allocation.
    """
    n, best, which = 0, np.inf, -1
    for r in range(now.shape[0]):
        n += now[r]
    for k in range(at.shape[0]):
        m, total = 0, 0.0
        for r in range(now.shape[0]):
            m += past[at[k], r]
        if m == 0 or n == 0:
            continue
        for r in range(now.shape[0]):
            p, q = max(now[r] / n, floor), max(past[at[k], r] / m, floor)
            if p != q:
                total += (p - q) * log(p / q)
        if total < best:
            best, which = total, at[k]
    return best, which
