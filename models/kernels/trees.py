"""Half-space trees: score a row by the mass that the trees remember around it, then count it.

All trees walk down one level at a time, so that the loads of a level overlap, and only leaves are counted: tree by tree
with every node counted took 2.6 times as long (25 trees of depth 8, 20 inputs). What a path adds up to is worked out
once a window for every node, so that a row looks at one number a tree.
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

FIRST = 64  # rows of the first window: what is scored before it is scored blindly
SMALL = 10  # a path ends below a node with less than a tenth of the tree's mass


@njit(cache=True, fastmath=False, error_model="numpy")
def into_box(x: F8, moments: F8, reach: float, both: F8, box: F8) -> None:
    """Bring one row into the unit cube in which the splits were drawn: the inputs as they are, then their logarithms.

    x       : (f,) float64      inputs, NaN missing
    moments : (4, 2 f) float64  moments of the inputs and of their signed logarithms
    reach   : float             deviations from the mean to a face of the cube
    both    : (2 f,) float64    written: the inputs and their signed logarithms
    box     : (2 f,) float64    written, in [0, 1]; the mean, a missing value and a constant input stand at 0.5

    O(f), no allocation.
    """
    f = x.shape[0]
    for j in range(f):
        both[j] = x[j]
        both[f + j] = x[j] if np.isnan(x[j]) else signed_log1p(min(max(x[j], -HUGE), HUGE))
    standardise(both, moments, reach, box)
    for j in range(2 * f):
        box[j] = 0.5 + box[j] * (0.5 / reach)


@njit(cache=True, fastmath=False, error_model="numpy")
def turn(leaf: I4, fade: int, scale: int, mass: I8, worth: I8, seen: I8) -> None:
    """Add the window that was counted to the mass, fade what is older, and work out what each node is worth.

    leaf  : (trees, leaves) int32   rows of this window in each leaf; read, then set to 0
    fade  : int                     windows after which mass has faded to a third; 1 keeps nothing but this window
    scale : int                     mass of one row
    mass  : (trees, leaves) int64   updated: faded mass of the leaves
    worth : (trees, inner + leaves) int64  written: what a path through the node adds up to, were every further split
                                    to halve the mass; at a leaf, what it does add up to
    seen  : (3,) int64              updated: rows in the window being counted, windows so far, mass of all trees

    A path adds mass * 2**depth of its nodes, and none below a node with less than a tenth of the tree's mass.
    O(trees * leaves), once a window.
    """
    trees, leaves = leaf.shape
    inner, depth = leaves - 1, 0
    while (1 << depth) < leaves:
        depth += 1
    held, path = np.zeros(inner + leaves, np.int64), np.zeros(inner + leaves, np.int64)
    is_over = np.zeros(inner + leaves, np.bool_)
    seen[0] = 0
    seen[1] += 1
    seen[2] = 0
    for t in range(trees):
        for k in range(leaves):
            mass[t, k] += leaf[t, k] * scale - mass[t, k] // fade
            held[inner + k] = mass[t, k]
            leaf[t, k] = 0
        for k in range(inner - 1, -1, -1):
            held[k] = held[2 * k + 1] + held[2 * k + 2]
        seen[2] += held[0]
        path[0], is_over[0], worth[t, 0] = held[0], False, held[0] * (depth + 1)
        k = 1
        for d in range(1, depth + 1):
            for _ in range(1 << d):
                above = (k - 1) // 2
                is_over[k] = is_over[above] or held[above] * SMALL < held[0]
                if is_over[k]:
                    path[k] = path[above]
                    worth[t, k] = worth[t, above]
                else:
                    path[k] = path[above] + (held[k] << d)
                    stays = held[k] * SMALL >= held[0]
                    worth[t, k] = path[k] + ((held[k] << d) * (depth - d) if stays else 0)
                k += 1


@njit(cache=True, fastmath=False, error_model="numpy")
def score_then_count(
    x: F8,
    action: I1,
    feature: I4,
    split: F8,
    window: int,
    fade: int,
    scale: int,
    reach: float,
    rows: float,
    moments: F8,
    mass: I8,
    worth: I8,
    leaf: I4,
    seen: I8,
    out: F8,
    part: F8,
) -> None:
    """Write each row's anomaly score in [0, 1] (1: rare), then count the row unless it is only scored.

    x       : (n, f) float64   inputs, NaN missing
    action  : (n,) int8        0 leave the row alone, 1 score and count it, 2 and 3 score it
    feature : (trees, inner) int32    place in the cube that each inner node looks at: an input, or f + an input for its
                               logarithm; children of node k are 2 k + 1 and 2 k + 2
    split   : (trees, inner) float64  a row goes to the second child if its place in the cube is not below
    window  : int              rows after which the counted window joins the mass; the first has 64 at most
    fade    : int              windows after which mass has faded to a third
    scale   : int              mass of one row
    reach   : float            deviations from the mean to a face of the cube
    rows    : float            memory of means and deviations, in rows
    moments : (4, 2 f) float64 state: moments of the inputs and of their signed logarithms
    mass    : (trees, leaves) int64   state: faded mass of the leaves
    worth   : (trees, inner + leaves) int64  state: what `turn` worked out
    leaf    : (trees, leaves) int32   state: leaf counts of the window being counted
    seen    : (3,) int64       state: rows in that window, windows so far, mass of all trees
    out     : (n,) float64     written for actions 1, 2 and 3 (0 before the first window is full), elsewhere left alone
    part    : (n, f) float64   written for actions 1 and 3: what each input adds to `out`, compared with a row whose
                               every split halves the mass; (0, f) if nobody asks

    Whole numbers until the division, so the sum has no order. They fit int64 for window * fade * trees * scale *
    2**(depth + 1) < 2**62. Rows in order, so batch cuts change no bit. What a step from a node to its child changes in
    the worth is due to the input that was split on. O(trees * depth) a row, O(trees * leaves) once a window, a few
    small allocations a call. Tan, Ting and Liu 2011, ijcai.org/Proceedings/11/Papers/254.pdf. We differ in the scaling
    inside, in the mass that fades instead of vanishing with its window, and in where a missing value goes (to the
    middle of its range).
    """
    trees, inner = feature.shape
    f = x.shape[1]
    depth = 0
    while (1 << depth) <= inner:
        depth += 1
    node, less = np.empty(trees, np.int64), np.empty(f, np.int64)
    scratch = np.empty((2, 2 * f))
    both, box = scratch[0], scratch[1]
    for i in range(x.shape[0]):
        if action[i] == 0:
            continue
        into_box(x[i], moments, reach, both, box)
        most = seen[2] * ((2 << depth) - 1)
        for t in range(trees):
            node[t] = 0
        if part.shape[0] > 0 and action[i] != 2:
            for j in range(f):
                less[j] = 0
            for _ in range(depth):
                for t in range(trees):
                    k = node[t]
                    at = feature[t, k]
                    node[t] = 2 * k + 1 + (box[at] >= split[t, k])
                    less[at - f * (at >= f)] += worth[t, node[t]] - worth[t, k]
            for j in range(f):
                part[i, j] = -less[j] / most if most else 0.0
        else:
            for _ in range(depth):
                for t in range(trees):
                    k = node[t]
                    node[t] = 2 * k + 1 + (box[feature[t, k]] >= split[t, k])
        total = 0
        for t in range(trees):
            total += worth[t, node[t]]
        out[i] = 1.0 - total / most if most else 0.0
        if action[i] != 1:
            continue
        for t in range(trees):
            leaf[t, node[t] - inner] += 1
        observe(both, rows, moments)
        seen[0] += 1
        if seen[0] == window or (seen[1] == 0 and seen[0] == FIRST):
            turn(leaf, fade, scale, mass, worth, seen)
