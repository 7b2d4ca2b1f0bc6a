"""Half-space trees: score a row against the last full window, then count it.

All trees walk down one level at a time, so that the loads of a level overlap, and only leaves are counted: tree by tree
with every node counted took 2.6 times as long (25 trees of depth 8, 20 inputs).
"""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.exp_log import signed_log1p
from models.kernels.moments import HUGE, observe, standardise

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]


@njit(cache=True, fastmath=False, error_model="numpy")
def into_box(x: F8, moments: F8, reach: float, t: F8, box: F8) -> None:
    """Bring one row into the unit cube in which the splits were drawn.

    x       : (f,) float64    inputs, NaN missing
    moments : (4, f) float64  moments of the inputs' signed logarithms
    reach   : float           deviations from the mean to a face of the cube
    t       : (f,) float64    written: the signed logarithms
    box     : (f,) float64    written, in [0, 1]; the mean, a missing value and a constant input stand at 0.5

    O(f), no allocation.
    """
    for j in range(x.shape[0]):
        t[j] = x[j] if np.isnan(x[j]) else signed_log1p(min(max(x[j], -HUGE), HUGE))
    standardise(t, moments, reach, box)
    for j in range(x.shape[0]):
        box[j] = 0.5 + box[j] * (0.5 / reach)


@njit(cache=True, fastmath=False, error_model="numpy")
def turn(mass: I4, leaf: I4, seen: I8) -> None:
    """Let the window that was being counted become the one that scores.

    mass : (trees, inner + leaves) int32  written: all nodes, added up from the leaves
    leaf : (trees, leaves) int32          read, then set to 0
    seen : (2,) int64                     updated: rows in the window being counted, full windows so far

    O(trees * leaves), once a window.
    """
    inner = leaf.shape[1] - 1
    for t in range(leaf.shape[0]):
        for k in range(inner + 1):
            mass[t, inner + k] = leaf[t, k]
            leaf[t, k] = 0
        for k in range(inner - 1, -1, -1):
            mass[t, k] = mass[t, 2 * k + 1] + mass[t, 2 * k + 2]
    seen[0] = 0
    seen[1] += 1


@njit(cache=True, fastmath=False, error_model="numpy")
def score_then_count(
    x: F8,
    action: I1,
    feature: I4,
    split: F8,
    window: int,
    limit: int,
    reach: float,
    rows: float,
    moments: F8,
    mass: I4,
    leaf: I4,
    seen: I8,
    out: F8,
) -> None:
    """Write each row's anomaly score in [0, 1] (1: rare), then count the row unless it is only scored.

    x       : (n, f) float64   inputs, NaN missing
    action  : (n,) int8        0 leave the row alone, 1 score and count it, 2 and 3 score it
    feature : (trees, inner) int32    input of each inner node; children of node k are 2 k + 1 and 2 k + 2
    split   : (trees, inner) float64  a row goes to the second child if its place in the cube is not below
    window  : int              rows after which the counted window becomes the one that scores
    limit   : int              a path stops adding below a node with less mass than this
    reach   : float            deviations from the mean to a face of the cube
    rows    : float            memory of means and deviations, in rows
    moments : (4, f) float64   state: moments of the inputs' signed logarithms
    mass    : (trees, inner + leaves) int32  state: masses of the last full window, all nodes
    leaf    : (trees, leaves) int32   state: leaf counts of the window being counted
    seen    : (2,) int64       state: rows in that window, and full windows so far
    out     : (n,) float64     written for actions 1, 2 and 3 (0 while no window is full), elsewhere left alone

    A tree adds mass * 2**depth along the path: integers until the division, so the sum has no order. They fit int64 for
    window * trees < 2**40. Rows in order, so batch cuts change no bit. O(trees * depth) a row, O(trees * leaves) once a
    window, two small allocations a call. Tan, Ting and Liu 2011, ijcai.org/Proceedings/11/Papers/254.pdf. We differ in
    the scaling inside, and in where a missing value goes (to the middle of its range).
    """
    trees, inner = feature.shape
    depth = 0
    while (1 << depth) <= inner:
        depth += 1
    most = trees * window * ((2 << depth) - 1)
    node, open_ = np.empty(trees, np.int64), np.empty(trees, np.int64)
    t_box = np.empty((2, x.shape[1]))
    logs, box = t_box[0], t_box[1]
    for i in range(x.shape[0]):
        if action[i] == 0:
            continue
        into_box(x[i], moments, reach, logs, box)
        total = 0
        for t in range(trees):
            node[t], open_[t] = 0, 1
        for d in range(depth):
            for t in range(trees):
                k = node[t]
                m = np.int64(mass[t, k])
                total += (m * open_[t]) << d
                open_[t] &= m >= limit
                node[t] = 2 * k + 1 + (box[feature[t, k]] >= split[t, k])
        for t in range(trees):
            total += (np.int64(mass[t, node[t]]) * open_[t]) << depth
        out[i] = 1.0 - total / most if seen[1] else 0.0
        if action[i] != 1:
            continue
        for t in range(trees):
            leaf[t, node[t] - inner] += 1
        observe(logs, rows, moments)
        seen[0] += 1
        if seen[0] == window:
            turn(mass, leaf, seen)


@njit(cache=True, fastmath=False, error_model="numpy")
def blame(
    x: F8,
    feature: I4,
    split: F8,
    window: int,
    limit: int,
    reach: float,
    moments: F8,
    mass: I4,
    out: F8,
) -> None:
    """Write what each input adds to one row's score, compared with a row whose every split halves the mass.

    x       : (f,) float64     inputs of the row, NaN missing
    feature : (trees, inner) int32    as in `score_then_count`, like all that follow
    split   : (trees, inner) float64
    window  : int
    limit   : int
    reach   : float
    moments : (4, f) float64
    mass    : (trees, inner + leaves) int32  of a full window
    out     : (f,) float64     written; sums with 1 - (depth + 1) / (2**(depth + 1) - 1) to the score

    Going from a node to its child changes mass * 2**depth by nothing if the split halves the mass; what it does
    change, there and on all levels below, is due to the input that was split on. Where a path stops adding, the rest
    of it is due to the split above. O(trees * depth).
    """
    trees, inner = feature.shape
    depth = 0
    while (1 << depth) <= inner:
        depth += 1
    most = trees * window * ((2 << depth) - 1)
    t_box = np.empty((2, x.shape[0]))
    into_box(x, moments, reach, t_box[0], t_box[1])
    less = np.zeros(x.shape[0], np.int64)
    for t in range(trees):
        k, at = 0, np.int64(mass[t, 0])
        for d in range(depth):
            if mass[t, k] < limit:
                break
            j = feature[t, k]
            below = 2 * k + 1 + (t_box[1, j] >= split[t, k])
            at_below = np.int64(mass[t, below]) << (d + 1)
            less[j] += (at_below - at) * (depth - d)
            if mass[t, below] < limit and d + 1 < depth:
                less[j] -= at_below * (depth - d - 1)  # the levels under `below` add nothing at all
            k, at = below, at_below
    for j in range(x.shape[0]):
        out[j] = -less[j] / most
