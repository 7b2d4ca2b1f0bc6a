"""Streaming boosted trees: score rows, keep labelled ones in a bounded memory, and grow one tree after another from it.

A tree is an array in heap order: the children of node k are 2 k + 1 and 2 k + 2, inner nodes first. Where nothing was
worth a split stands `NEVER`, and every row goes to the first child. The last tree of the arrays is the one that grows.

Growing is cut into depth + 1 pieces of about a third of a millisecond, with labels in between, so that no row waits
for a whole tree. Rows that come in meanwhile wait for the next tree.
"""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.chance import chance
from models.kernels.exp_log import sigmoid

F4: TypeAlias = NDArray[np.float32]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I2: TypeAlias = NDArray[np.int16]
I8: TypeAlias = NDArray[np.int64]
U1: TypeAlias = NDArray[np.uint8]

MISSING = np.float32(-3e38)  # stands for NaN, which no array of the state may hold
NEVER = np.float32(3e38)  # a split that no value reaches
FAR = 1e38  # values further out count as if they lay there
OUTSIDE = -1  # node of a row that has no part in the growing tree
LABELS, KEPT, PHASE, BUILT, CUT, DUE = 0, 1, 2, 3, 4, 5  # places in `count`
SAMPLE = 2_048  # rows of the memory from which the cuts of an input are drawn
ROWS_MIN = 64  # rows in memory before the first tree
PIECE_LABELS_MIN = 8  # labels between two pieces of growing, at least
EAGER_LABELS = 1_024  # the first labels are all kept
STEP_MAX = 4.0  # log odds that a leaf may ask for before it is scaled by the learning rate
CURVATURE_MIN = 1e-4


@njit(cache=True, fastmath=False, error_model="numpy")
def as_stored(x: F8, row: F4) -> None:
    """Write one row of inputs as the trees see it: float32, infinite as +-1e38, missing as a number of its own.

    x   : (f,) float64  inputs, NaN missing
    row : (f,) float32  written
    """
    for j in range(x.shape[0]):
        row[j] = MISSING if np.isnan(x[j]) else np.float32(min(max(x[j], -FAR), FAR))


@njit(cache=True, fastmath=False, error_model="numpy")
def bin_of(value: np.float32, cut: F4, n_cuts: int) -> int:
    """Return 0 for a missing value, else 1 + the number of cuts that it reaches.

    value  : float32
    cut    : (c,) float32  rising; the first `n_cuts` count
    n_cuts : int
    """
    if value == MISSING:
        return 0
    low, high = 0, n_cuts
    while low < high:
        middle = (low + high) >> 1
        if value >= cut[middle]:
            low = middle + 1
        else:
            high = middle
    return low + 1


@njit(cache=True, fastmath=False, error_model="numpy")
def cut_again(j: int, memory: F4, filled: int, seed: int, cut: F4, n_cuts: I8, place: U1) -> None:
    """Place the cuts of one input anew, where its values in memory lie, and the rows between them.

    j      : int            input
    memory : (m, f) float32
    filled : int            rows in memory
    seed   : int            of the sample
    cut    : (f, c) float32 row j written
    n_cuts : (f,) int64     entry j written
    place  : (m, f) uint8   column j written: bins

    Every distinct value is a cut where there are few; else half of the cuts have equally many rows between them and
    half equally many distinct values, so that neither a pile of zeros nor a long tail takes them all.
    """
    some = np.empty(min(filled, SAMPLE), np.float32)
    n = 0
    for i in range(some.shape[0]):
        r = i if filled <= SAMPLE else int(chance(seed, i) * filled)
        if memory[r, j] != MISSING:
            some[n] = memory[r, j]
            n += 1
    value = np.sort(some[:n])
    distinct = np.empty(n, np.float32)
    d = 0
    for i in range(n):
        if i == 0 or value[i] != value[i - 1]:
            distinct[d] = value[i]
            d += 1
    room, used = cut.shape[1], 0
    if d <= room + 1:
        for i in range(1, d):
            cut[j, used] = distinct[i]
            used += 1
    else:
        half = room // 2
        chosen = np.empty(room, np.float32)
        for i in range(half):
            chosen[i] = value[((i + 1) * n) // (half + 1)]
        for i in range(room - half):
            chosen[half + i] = distinct[((i + 1) * d) // (room - half + 1)]
        chosen = np.sort(chosen)
        for i in range(room):
            if chosen[i] > distinct[0] and (used == 0 or chosen[i] != cut[j, used - 1]):
                cut[j, used] = chosen[i]
                used += 1
    n_cuts[j] = used
    for r in range(filled):
        place[r, j] = bin_of(memory[r, j], cut[j], used)


@njit(cache=True, fastmath=False, error_model="numpy")
def fall(row: F4, t: int, feature: I2, split: F4, missing_right: U1, depth: int) -> int:
    """Return the leaf of tree `t` that a row falls into.

    row     : (f,) float32   as stored
    t       : int
    feature : (trees + 1, inner) int16
    split   : (trees + 1, inner) float32  a row goes to the second child if its value is not below
    missing_right : (trees + 1, inner) uint8  1: a missing value goes there, too
    depth   : int
    """
    k = 0
    for _ in range(depth):
        v = row[feature[t, k]]
        k = 2 * k + 1 + (missing_right[t, k] if v == MISSING else v >= split[t, k])
    return k


@njit(cache=True, fastmath=False, error_model="numpy")
def begin_tree(
    t: int,
    filled: int,
    depth: int,
    seed: int,
    rows_share: float,
    memory: F4,
    fraud: I1,
    weight: F8,
    margin: F8,
    node: I2,
    feature: I2,
    split: F4,
    missing_right: U1,
    value: F8,
    pull: F8,
) -> None:
    """Clear the growing tree, draw the rows it will read, and write what each asks of it when tree `t` is gone.

    t       : int             the tree that it will replace
    filled  : int             rows in memory
    depth   : int
    seed    : int             of the draw
    rows_share : float        share of the rows that are drawn
    memory  : (m, f) float32
    fraud   : (m,) int8       labels
    weight  : (m,) float64    rows that a row stands for
    margin  : (m,) float64    log odds by all trees
    node    : (m,) int16      written: the rows drawn at the root, the others outside
    feature : (trees + 1, inner) int16    last tree written
    split   : (trees + 1, inner) float32  last tree written
    missing_right : (trees + 1, inner) uint8  last tree written
    value   : (trees + 1, nodes) float64
    pull    : (m, 2) float64  written: gradient and curvature of the log-likelihood
    """
    new = feature.shape[0] - 1
    for k in range(feature.shape[1]):
        feature[new, k], split[new, k], missing_right[new, k] = 0, NEVER, 0
    for r in range(filled):
        node[r] = 0 if chance(seed, r) < rows_share else OUTSIDE
        if node[r] == OUTSIDE:
            continue
        old = value[t, fall(memory[r], t, feature, split, missing_right, depth)]
        p = sigmoid(margin[r] - old)
        pull[r, 0] = weight[r] * (fraud[r] - p)
        pull[r, 1] = weight[r] * max(p * (1.0 - p), CURVATURE_MIN)


@njit(cache=True, fastmath=False, error_model="numpy")
def grow_level(
    level: int,
    filled: int,
    ridge: float,
    leaf_rows: int,
    place: U1,
    pull: F8,
    node: I2,
    cut: F4,
    n_cuts: I8,
    feature: I2,
    split: F4,
    missing_right: U1,
) -> None:
    """Split the nodes of one level of the growing tree where that gains most, and move the rows down.

    level     : int             0 is the root
    filled    : int             rows in memory
    ridge     : float           curvature that a leaf is taken to have beside its rows
    leaf_rows : int             rows that either side of a split must have
    place     : (m, f) uint8    bins
    pull      : (m, 2) float64
    node      : (m,) int16      updated in place
    cut       : (f, c) float32
    n_cuts    : (f,) int64
    feature   : (trees + 1, inner) int16    last tree written
    split     : (trees + 1, inner) float32  last tree written
    missing_right : (trees + 1, inner) uint8  last tree written

    Histograms of gradient, curvature and rows over the bins; the gain of a split is that of Chen and Guestrin 2016,
    doi:10.1145/2939672.2939785, equation 7. Missing values are tried on both sides. The first of equal gains wins.
    O(m f + 2^level f c), one allocation.
    """
    new, f, bins = feature.shape[0] - 1, place.shape[1], cut.shape[1] + 2
    first, width = (1 << level) - 1, 1 << level
    histogram = np.zeros((width, f, bins, 3))
    for r in range(filled):
        a = node[r] - first
        if a >= 0:
            gradient, curvature = pull[r, 0], pull[r, 1]
            for j in range(f):
                b = place[r, j]
                histogram[a, j, b, 0] += gradient
                histogram[a, j, b, 1] += curvature
                histogram[a, j, b, 2] += 1.0
    last = np.zeros(width, np.int64)  # the bin up to which rows go to the first child; 0: no split
    for a in range(width):
        all_g, all_h, all_n = 0.0, 0.0, 0.0
        for b in range(bins):
            all_g += histogram[a, 0, b, 0]
            all_h += histogram[a, 0, b, 1]
            all_n += histogram[a, 0, b, 2]
        if all_n < 2 * leaf_rows:
            continue
        alone, best = all_g * all_g / (all_h + ridge), 0.0
        for j in range(f):
            for side in range(2 if histogram[a, j, 0, 2] > 0.0 else 1):
                g = histogram[a, j, 0, 0] if side == 0 else 0.0
                h = histogram[a, j, 0, 1] if side == 0 else 0.0
                n = histogram[a, j, 0, 2] if side == 0 else 0.0
                for b in range(1, n_cuts[j] + 1):
                    g += histogram[a, j, b, 0]
                    h += histogram[a, j, b, 1]
                    n += histogram[a, j, b, 2]
                    if n < leaf_rows or all_n - n < leaf_rows:
                        continue
                    rest_g, rest_h = all_g - g, all_h - h
                    gain = g * g / (h + ridge) + rest_g * rest_g / (rest_h + ridge) - alone
                    if gain > best:
                        best, last[a] = gain, b
                        feature[new, first + a], split[new, first + a] = j, cut[j, b - 1]
                        missing_right[new, first + a] = side
    for r in range(filled):
        a = node[r] - first
        if a >= 0:
            b = place[r, feature[new, first + a]]
            right = missing_right[new, first + a] if b == 0 else b > last[a] > 0
            node[r] = 2 * node[r] + 1 + right


@njit(cache=True, fastmath=False, error_model="numpy")
def finish_tree(
    t: int,
    filled: int,
    depth: int,
    rate: float,
    ridge: float,
    memory: F4,
    pull: F8,
    node: I2,
    margin: F8,
    feature: I2,
    split: F4,
    missing_right: U1,
    value: F8,
) -> None:
    """Give every node of the growing tree its value, and put it in the place of tree `t`.

    t       : int             the tree to replace
    filled  : int             rows in memory
    depth   : int
    rate    : float           share of what its rows ask for that a leaf gives
    ridge   : float
    memory  : (m, f) float32
    pull    : (m, 2) float64
    node    : (m,) int16      leaves
    margin  : (m,) float64    updated in place
    feature : (trees + 1, inner) int16        tree `t` written
    split   : (trees + 1, inner) float32      tree `t` written
    missing_right : (trees + 1, inner) uint8  tree `t` written
    value   : (trees + 1, nodes) float64      tree `t` written: of inner nodes, too, for explanations
    """
    new, inner, nodes = feature.shape[0] - 1, feature.shape[1], value.shape[1]
    total = np.zeros((nodes, 2))
    for r in range(filled):
        margin[r] -= value[t, fall(memory[r], t, feature, split, missing_right, depth)]
        k = node[r]
        if k != OUTSIDE:
            total[k, 0] += pull[r, 0]
            total[k, 1] += pull[r, 1]
    for k in range(inner - 1, -1, -1):
        total[k, 0] = total[2 * k + 1, 0] + total[2 * k + 2, 0]
        total[k, 1] = total[2 * k + 1, 1] + total[2 * k + 2, 1]
    for k in range(inner):
        feature[t, k], split[t, k] = feature[new, k], split[new, k]
        missing_right[t, k] = missing_right[new, k]
    for k in range(nodes):
        step = total[k, 0] / (total[k, 1] + ridge)
        value[t, k] = rate * min(max(step, -STEP_MAX), STEP_MAX)
    for r in range(filled):
        margin[r] += value[t, fall(memory[r], t, feature, split, missing_right, depth)]


@njit(cache=True, fastmath=False, error_model="numpy")
def margin_of(
    row: F4,
    depth: int,
    feature: I2,
    split: F4,
    missing_right: U1,
    value: F8,
    node: I8,
    part: F8,
) -> float:
    """Return the sum of all trees for one row.

    row     : (f,) float32   as stored
    depth   : int
    feature : (trees + 1, inner) int16
    split   : (trees + 1, inner) float32
    missing_right : (trees + 1, inner) uint8
    value   : (trees + 1, nodes) float64
    node    : (trees,) int64     written: scratch
    part    : (f,) float64       added to: what each input adds; (0,) if nobody asks

    All trees fall one level at a time, so that the loads of a level overlap. O(trees * depth), no allocation.
    """
    trees = node.shape[0]
    for t in range(trees):
        node[t] = 0
    for _ in range(depth):
        for t in range(trees):
            k = node[t]
            v = row[feature[t, k]]
            below = 2 * k + 1 + (missing_right[t, k] if v == MISSING else v >= split[t, k])
            if part.shape[0] > 0:
                part[feature[t, k]] += value[t, below] - value[t, k]
            node[t] = below
    total = 0.0
    for t in range(trees):
        total += value[t, node[t]]
    return total


@njit(cache=True, fastmath=False, error_model="numpy")
def score_and_learn(
    x: F8,
    action: I1,
    label: I1,
    seed: int,
    prior: float,
    depth: int,
    period: int,
    rate: float,
    ridge: float,
    leaf_rows: int,
    rows_share: float,
    feature: I2,
    split: F4,
    missing_right: U1,
    value: F8,
    memory: F4,
    place: U1,
    cut: F4,
    n_cuts: I8,
    fraud: I1,
    weight: F8,
    margin: F8,
    node: I2,
    pull: F8,
    share: F8,
    count: I8,
    out: F8,
    part: F8,
) -> None:
    """Write each row's log odds of fraud; where the row brings a label, learn it afterwards.

    x       : (n, f) float64   inputs, NaN missing; of a label row: as they were when the row was decided
    action  : (n,) int8        0 leave the row alone, 1 and 3 score it, 2 score it and then learn its label
    label   : (n,) int8        of rows with action 2: 1 fraud, 0 genuine; any other value teaches nothing
    seed    : int              of what is drawn
    prior   : float            log odds before the first tree
    depth   : int              levels of a tree
    period  : int              labels a tree, once the memory is full; fewer before, as there is less to read
    rate    : float            share of what its rows ask for that a leaf gives
    ridge   : float            curvature that a leaf is taken to have beside its rows
    leaf_rows : int            rows that either side of a split must have
    rows_share : float         share of the memory that one tree reads
    feature : (trees + 1, inner) int16        state: inputs of the splits
    split   : (trees + 1, inner) float32      state: a row goes to the second child if its value is not below
    missing_right : (trees + 1, inner) uint8  state: 1 where a missing value goes there, too
    value   : (trees + 1, nodes) float64      state: log odds
    memory  : (m, f) float32   state: labelled rows, the oldest overwritten
    place   : (m, f) uint8     state: their bins
    cut     : (f, c) float32   state: where the bins of an input end
    n_cuts  : (f,) int64       state
    fraud   : (m,) int8        state: labels of the rows in memory
    weight  : (m,) float64     state: rows that each stands for
    margin  : (m,) float64     state: their log odds by the present trees
    node    : (m,) int16       state: where they stand in the growing tree
    pull    : (m, 2) float64   state: gradient and curvature that they ask of it
    share   : (1,) float64     state: share of frauds among the labels
    count   : (6,) int64       state: labels, rows kept, piece of the growing tree, trees built, rows at the last
                               cutting of all inputs, label at which the next piece is due
    out     : (n,) float64     written for actions 1, 2 and 3, elsewhere left alone
    part    : (n, f) float64   written for actions 1 and 3: what each input adds to `out`; (0, f) if nobody asks

    Rows are applied in order, so batch cuts change no bit. A score is O(trees * depth), a label
    O(m f depth / period) more.

    A genuine row is kept with probability (share of frauds + 3 times what the trees thought it was), and stands for as
    many as were not. Kept without the second term, the average precision was 0.67 instead of 0.71 (handbook, days
    before 115): the rows that look like fraud and are not are what there is to learn.
    """
    f, filled_max = x.shape[1], memory.shape[0]
    row, at, nobody = np.empty(f, np.float32), np.empty(feature.shape[0] - 1, np.int64), np.empty(0)
    for i in range(x.shape[0]):
        if action[i] == 0:
            continue
        as_stored(x[i], row)
        is_explained = part.shape[0] > 0 and action[i] != 2
        if is_explained:
            for j in range(f):
                part[i, j] = 0.0
        total = prior + margin_of(
            row,
            depth,
            feature,
            split,
            missing_right,
            value,
            at,
            part[i] if is_explained else nobody,
        )
        out[i] = total
        if action[i] != 2 or label[i] < 0 or label[i] > 1:
            continue
        count[LABELS] += 1
        share[0] += max(1.0 / (count[LABELS] + 1.0), 1e-5) * (label[i] - share[0])
        drawn = 1.0
        if label[i] == 0 and count[LABELS] > EAGER_LABELS:
            drawn = min(1.0, max(share[0], 1e-4) + 3.0 * sigmoid(total))
        if chance(seed, count[LABELS]) < drawn:
            r = count[KEPT] % filled_max
            count[KEPT] += 1
            for j in range(f):
                memory[r, j] = row[j]
                place[r, j] = bin_of(row[j], cut[j], n_cuts[j])
            fraud[r], weight[r], margin[r], node[r] = label[i], 1.0 / drawn, total, OUTSIDE
        filled = min(count[KEPT], filled_max)
        if count[LABELS] < count[DUE] or filled < ROWS_MIN:
            continue
        piece = period * filled // (filled_max * (depth + 1))
        count[DUE] = count[LABELS] + max(piece, PIECE_LABELS_MIN)
        t = count[BUILT] % at.shape[0]
        if count[PHASE] == 0:
            if filled >= 2 * count[CUT]:
                for j in range(f):
                    cut_again(j, memory, filled, count[BUILT], cut, n_cuts, place)
                count[CUT] = filled
            else:
                cut_again(count[BUILT] % f, memory, filled, count[BUILT], cut, n_cuts, place)
            begin_tree(
                t, filled, depth, seed + 1 + count[BUILT], rows_share, memory, fraud, weight, margin, node,
                feature, split, missing_right, value, pull,
            )  # fmt: skip
            count[PHASE] = 1
            continue
        grow_level(
            count[PHASE] - 1, filled, ridge, leaf_rows, place, pull, node, cut, n_cuts,
            feature, split, missing_right,
        )  # fmt: skip
        count[PHASE] += 1
        if count[PHASE] > depth:
            finish_tree(
                t, filled, depth, rate, ridge, memory, pull, node, margin,
                feature, split, missing_right, value,
            )  # fmt: skip
            count[PHASE] = 0
            count[BUILT] += 1
