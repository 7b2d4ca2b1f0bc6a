"""The online logistic model: score rows and learn their labels, one after the other, in one call.

An input stands in several columns, so that a model that is linear in them can bend: as it is, as its signed logarithm,
from two places on more steeply (hinges) in either, in products with other inputs, and whether it is missing. All but
the last go through running means and deviations, so that counts, minor units, microseconds and shares come out alike.

Columns of `weight` and `covariance`, k = 6 f + g (g - 1) / 2 + 1: inputs as they are, their logarithms, the hinges of
`HINGES` (each for all inputs), products of the first g logarithms, the constant.

First-order steps lost clearly (figures in models/logistic.py): the windows of one key over 1, 7 and 30 days are nearly
the same column, and only a step that knows their covariance tells them apart within weeks.
"""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.chance import chance
from models.kernels.exp_log import sigmoid, signed_log1p
from models.kernels.moments import HUGE, observe, standardise

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

SHARE, WEIGHT, DOUBT = 0, 1, 2  # rows of `absent`
CURVATURE_MIN = 1e-4  # p (1 - p) of a row that is certain; keeps certain rows from teaching nothing
TIDY_LABELS = 1024
RAW_HINGES = (1.0, 4.0)  # deviations from the mean of the input
LOG_HINGES = (0.0, 1.0)  # deviations from the mean of its logarithm
COLUMNS = 2 + len(RAW_HINGES) + len(LOG_HINGES)  # of an input, without products
PRODUCT_REACH = 3.0  # deviations beyond which a factor stays where it is
PRODUCT_SCALE = (
    0.1  # a product may be as far out as both factors together: it starts with a smaller say
)
SUSPICION = 100.0  # how much more often a genuine row is learned, the more it looked like fraud
SURE = 8.0  # log odds beyond which no step carries a row that was on the other side
SEED = 1


@njit(cache=True, fastmath=False, error_model="numpy")
def spread_out(
    x: F8,
    raw: F8,
    log: F8,
    absent: F8,
    reach: float,
    crossed: int,
    column: F8,
    gap: F8,
    t: F8,
    near: F8,
) -> None:
    """Turn one row of inputs into the columns of the model.

    x       : (f,) float64    inputs, NaN missing
    raw     : (4, f) float64  moments of the inputs
    log     : (4, f) float64  moments of their signed logarithms
    absent  : (3, f) float64  share of rows in which the input was missing (the other rows are not read)
    reach   : float           deviations beyond which a column stays where it is
    crossed : int             g, the inputs that stand in products: the first ones; 0 <= g <= f
    column  : (k,) float64    written
    gap     : (f,) float64    written: 1 - share where the input is missing, - share where it is not
    t       : (f,) float64    written: the signed logarithms
    near    : (f,) float64    written: factors of the products

    A missing input stands at its mean everywhere. O(k), no allocation.
    """
    f = x.shape[0]
    for j in range(f):
        t[j] = x[j] if np.isnan(x[j]) else signed_log1p(min(max(x[j], -HUGE), HUGE))
        gap[j] = (1.0 if np.isnan(x[j]) else 0.0) - absent[SHARE, j]
    standardise(x, raw, reach, column[:f])
    standardise(t, log, reach, column[f : 2 * f])
    for j in range(f):
        column[2 * f + j] = max(0.0, column[j] - RAW_HINGES[0])
        column[3 * f + j] = max(0.0, column[j] - RAW_HINGES[1])
        column[4 * f + j] = max(0.0, column[f + j] - LOG_HINGES[0])
        column[5 * f + j] = max(0.0, column[f + j] - LOG_HINGES[1])
        near[j] = min(max(column[f + j], -PRODUCT_REACH), PRODUCT_REACH)
    c = COLUMNS * f
    for a in range(1, crossed):
        factor = PRODUCT_SCALE * near[a]
        for b in range(a):
            column[c + b] = factor * near[b]
        c += a
    column[c] = 1.0


@njit(cache=True, fastmath=False, error_model="numpy")
def share_out(column: F8, weight: F8, gap: F8, absent: F8, crossed: int, part: F8) -> None:
    """Write what each input adds to the margin; the two inputs of a product get half of it each.

    column  : (k,) float64    as `spread_out` leaves it
    weight  : (k,) float64
    gap     : (f,) float64    as `spread_out` leaves it
    absent  : (3, f) float64
    crossed : int             g
    part    : (f,) float64    written; sums to the margin without the weight of the constant

    O(k), no allocation.
    """
    f = gap.shape[0]
    for j in range(f):
        part[j] = (
            (weight[j] * column[j] + weight[f + j] * column[f + j])
            + (weight[2 * f + j] * column[2 * f + j] + weight[3 * f + j] * column[3 * f + j])
            + (weight[4 * f + j] * column[4 * f + j] + weight[5 * f + j] * column[5 * f + j])
            + absent[WEIGHT, j] * gap[j]
        )
    c = COLUMNS * f
    for a in range(1, crossed):
        total = 0.0
        for b in range(a):
            half = 0.5 * weight[c + b] * column[c + b]
            part[b] += half
            total += half
        part[a] += total
        c += a


@njit(cache=True, fastmath=False, error_model="numpy")
def dot(a: F8, b: F8) -> float:
    """Return the inner product, summed in four interleaved lanes: an order of its own, the same on every CPU.

    a : (k,) float64
    b : (k,) float64

    Four sums that do not wait for each other: a third of the time of one sum at k = 41.
    """
    k = a.shape[0]
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    whole = k - k % 4
    for j in range(0, whole, 4):
        s0 += a[j] * b[j]
        s1 += a[j + 1] * b[j + 1]
        s2 += a[j + 2] * b[j + 2]
        s3 += a[j + 3] * b[j + 3]
    for j in range(whole, k):
        s0 += a[j] * b[j]
    return (s0 + s1) + (s2 + s3)


@njit(cache=True, fastmath=False, error_model="numpy")
def times_symmetric(matrix: F8, vector: F8, out: F8) -> None:
    """Write `matrix` times `vector`, four rows of the symmetric matrix at a time.

    matrix : (k, k) float64  symmetric
    vector : (k,) float64
    out    : (k,) float64    written

    Rows instead of columns, so that the inner loop runs along memory and needs no sum across lanes. O(k^2).
    """
    k = vector.shape[0]
    for b in range(k):
        out[b] = 0.0
    whole = k - k % 4
    for a in range(0, whole, 4):
        v0, v1, v2, v3 = vector[a], vector[a + 1], vector[a + 2], vector[a + 3]
        for b in range(k):
            out[b] += (matrix[a, b] * v0 + matrix[a + 1, b] * v1) + (
                matrix[a + 2, b] * v2 + matrix[a + 3, b] * v3
            )
    for a in range(whole, k):
        for b in range(k):
            out[b] += matrix[a, b] * vector[a]


@njit(cache=True, fastmath=False, error_model="numpy")
def moved_by(margin: float, p: float, label: int, variance: float, curvature: float) -> float:
    """Return the surprise of a label over 1 + curvature * variance: what the gain is multiplied with.

    margin    : float  log odds before the step
    p         : float  the same as a probability
    label     : int    0 or 1
    variance  : float  of the margin, times what the row stands for; not negative
    curvature : float  of the likelihood, for one row; positive

    A step that crosses even odds ends at +-`SURE` at most. Where the model was sure and wrong, far out, curvature is
    next to nothing and variance large: unbounded, one garbled amount, labelled genuine, threw its margin from 30 to
    -300 and every large amount with it. (The exact root of the step, by Newton's method, learns too slowly at first.)
    """
    step = (label - p) / (1.0 + curvature * variance)
    over = margin + variance * step
    if label == 1 and margin < 0.0 and over > SURE:
        return (SURE - margin) / variance
    if label == 0 and margin > 0.0 and over < -SURE:
        return (-SURE - margin) / variance
    return step


@njit(cache=True, fastmath=False, error_model="numpy")
def forget(covariance: F8, keep: float, doubt: float) -> None:
    """Let evidence fade a little, within limits, and undo what rounding did to the symmetry.

    covariance : (k, k) float64  updated in place: divided by `keep`, then limited
    keep       : float           in (0, 1]: what is left of the evidence
    doubt      : float           no variance may exceed it

    Forgetting lets the variance of a column that nothing moves grow without end, and its first move would then throw
    the model off: rows and columns over the limit are scaled back, which keeps the matrix positive. O(k^2).
    """
    k = covariance.shape[0]
    for a in range(k):
        for b in range(a + 1):
            mean = (covariance[a, b] + covariance[b, a]) * 0.5 / keep
            covariance[a, b] = mean
            covariance[b, a] = mean
    for a in range(k):
        if covariance[a, a] > doubt:
            shrink = np.sqrt(doubt / covariance[a, a])
            for b in range(k):
                covariance[a, b] *= shrink
                covariance[b, a] *= shrink


@njit(cache=True, fastmath=False, error_model="numpy")
def score_and_learn(
    x: F8,
    action: I1,
    label: I1,
    crossed: int,
    reach: float,
    stiffness: float,
    keep: float,
    doubt: float,
    rows: float,
    genuine_share: float,
    raw: F8,
    log: F8,
    absent: F8,
    weight: F8,
    covariance: F8,
    seen: I8,
    out: F8,
    part: F8,
) -> None:
    """Write each row's log odds of fraud; where the row brings a label, learn it afterwards.

    x          : (n, f) float64  inputs, NaN missing; of a label row: as they were when the row was decided
    action     : (n,) int8       0 leave the row alone, 1 and 3 score it, 2 score it and then learn its label
    label      : (n,) int8       of rows with action 2: 1 fraud, 0 genuine; any other value teaches nothing
    crossed    : int             g, the inputs that stand in products: the first ones; 0 <= g <= f
    reach      : float           deviations beyond which a column stays where it is
    stiffness  : float           share of a label's evidence that later labels have to outweigh; in (0, 1]
    keep       : float           what 1,024 further labels leave of the evidence; in (0, 1]
    doubt      : float           variance of a weight about which nothing is known
    rows       : float           memory of the means and deviations, in labels
    genuine_share : float        share of unsuspicious genuine rows that are learned; in (0, 1]
    raw        : (4, f) float64  state: moments of the inputs
    log        : (4, f) float64  state: moments of their signed logarithms
    absent     : (3, f) float64  state: share missing, weight of being missing, its variance
    weight     : (k,) float64    state
    covariance : (k, k) float64  state: of the weights; symmetric, positive
    seen       : (1,) int64      state: labels so far
    out        : (n,) float64    written for actions 1, 2 and 3, elsewhere left alone
    part       : (n, f) float64  written for actions 1 and 3: what each input adds to `out`; (0, f) if nobody asks

    Rows are applied in order, so batch cuts change no bit. O(k) a score, O(k^2) a label that is learned, two
    allocations a call.

    Genuine rows are a hundred to one and nearly all say the same: of those that looked genuine (probability p) only
    `genuine_share` (1 + 100 p) are learned, drawn by the number of the label, and each counts for as many as it stands
    for (Fithian and Hastie 2014, doi:10.1214/14-AOS1220). Learning 3 % instead of all costs 0.002 of average precision.

    A Kalman filter on the logistic likelihood, that is Newton's method one row at a time: Fahrmeir 1992,
    doi:10.1080/01621459.1992.10475232, section 3. We differ in `stiffness` (1 would be his), in the forgetting, in the
    draw, and in keeping the weights of missing inputs apart from the others (their covariances count as 0).
    """
    n, f = x.shape
    k = weight.shape[0]
    scratch = np.empty((2, k))
    column, gain = scratch[0], scratch[1]
    small = np.empty((3, f))
    gap, t, near = small[0], small[1], small[2]
    for i in range(n):
        if action[i] == 0:
            continue
        spread_out(x[i], raw, log, absent, reach, crossed, column, gap, t, near)
        margin = dot(weight, column) + dot(absent[WEIGHT], gap)
        out[i] = margin
        if part.shape[0] > 0 and action[i] != 2:
            share_out(column, weight, gap, absent, crossed, part[i])
        if action[i] != 2 or label[i] < 0 or label[i] > 1:
            continue
        p = sigmoid(margin)
        drawn = 1.0 if label[i] == 1 else min(1.0, genuine_share * (1.0 + SUSPICION * p))
        if chance(SEED, seen[0]) < drawn:
            times_symmetric(covariance, column, gain)
            variance = dot(gain, column)
            for j in range(f):
                variance += absent[DOUBT, j] * gap[j] * gap[j]
            curvature = max(p * (1.0 - p), CURVATURE_MIN) * stiffness
            spread = max(variance, 0.0) / drawn
            step = moved_by(margin, p, label[i], spread, curvature) / drawn
            shrink = curvature / (drawn * (1.0 + curvature * spread))
            for a in range(k):
                weight[a] += gain[a] * step
                less = gain[a] * shrink
                for b in range(k):
                    covariance[a, b] -= less * gain[b]
            for j in range(f):
                move = absent[DOUBT, j] * gap[j]
                absent[WEIGHT, j] += move * step
                absent[DOUBT, j] -= move * move * shrink
        rate = max(1.0 / (seen[0] + 1.0), 1.0 / rows)
        for j in range(f):
            absent[SHARE, j] += rate * gap[j]
        observe(x[i], rows, raw)
        observe(t, rows, log)
        seen[0] += 1
        if seen[0] % TIDY_LABELS == 0:
            forget(covariance, keep, doubt)
            for j in range(f):
                absent[DOUBT, j] = min(absent[DOUBT, j] / keep, doubt)
