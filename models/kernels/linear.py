"""The online logistic model: score rows and learn their labels, one after the other, in one call.

An input stands in three columns: as it is, as its signed logarithm, and whether it is missing. The first two go
through running means and deviations, so that counts, minor units, microseconds and shares all come out near +-1.

Columns of `weight` and `covariance`, k = 2 f + 1: inputs as they are, their logarithms, the constant.

First-order steps lost clearly (figures in models/logistic.py): the windows of one key over 1, 7 and 30 days are nearly
the same column, and only a step that knows their covariance tells them apart within weeks.
"""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.exp_log import sigmoid, signed_log1p
from models.kernels.moments import HUGE, observe, standardise

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

SHARE, WEIGHT, DOUBT = 0, 1, 2  # rows of `absent`
CURVATURE_MIN = 1e-4  # p (1 - p) of a row that is certain; keeps certain rows from teaching nothing
TIDY_LABELS = 1024


@njit(cache=True, fastmath=False, error_model="numpy")
def spread_out(
    x: F8, raw: F8, log: F8, absent: F8, reach: float, column: F8, gap: F8, t: F8
) -> None:
    """Turn one row of inputs into the columns of the model.

    x      : (f,) float64    inputs, NaN missing
    raw    : (4, f) float64  moments of the inputs
    log    : (4, f) float64  moments of their signed logarithms
    absent : (3, f) float64  share of rows in which the input was missing (the other rows are not read)
    reach  : float           deviations beyond which a column stays where it is
    column : (2 f + 1,) float64  written
    gap    : (f,) float64    written: 1 - share where the input is missing, - share where it is not
    t      : (f,) float64    written: the signed logarithms

    A missing input stands at its mean in both columns. O(f), no allocation.
    """
    f = x.shape[0]
    for j in range(f):
        t[j] = x[j] if np.isnan(x[j]) else signed_log1p(min(max(x[j], -HUGE), HUGE))
        gap[j] = (1.0 if np.isnan(x[j]) else 0.0) - absent[SHARE, j]
    standardise(x, raw, reach, column[:f])
    standardise(t, log, reach, column[f : 2 * f])
    column[2 * f] = 1.0


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
def tidy(covariance: F8, absent: F8, keep: float, doubt: float) -> None:
    """Forget a little, within limits, and undo what rounding did to the symmetry.

    covariance : (k, k) float64  updated in place: divided by `keep`, then limited
    absent     : (3, f) float64  its last row likewise
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
    for j in range(absent.shape[1]):
        absent[DOUBT, j] = min(absent[DOUBT, j] / keep, doubt)


@njit(cache=True, fastmath=False, error_model="numpy")
def score_and_learn(
    x: F8,
    action: I1,
    label: I1,
    reach: float,
    stiffness: float,
    keep: float,
    doubt: float,
    rows: float,
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
    reach      : float           deviations beyond which a column stays where it is
    stiffness  : float           share of a label's evidence that later labels have to outweigh; in (0, 1]
    keep       : float           what 1,024 further labels leave of the evidence; in (0, 1]
    doubt      : float           variance of a weight about which nothing is known
    rows       : float           memory of the means and deviations, in labels
    raw        : (4, f) float64  state: moments of the inputs
    log        : (4, f) float64  state: moments of their signed logarithms
    absent     : (3, f) float64  state: share missing, weight of being missing, its variance
    weight     : (2 f + 1,) float64  state
    covariance : (2 f + 1, 2 f + 1) float64  state: of the weights; symmetric, positive
    seen       : (1,) int64      state: labels learned
    out        : (n,) float64    written for actions 1, 2 and 3, elsewhere left alone
    part       : (n, f) float64  written for actions 1 and 3: what each input adds to `out`; (0, f) if nobody asks

    Rows are applied in order, so batch cuts change no bit. O(f) a score, O(f^2) a label, one allocation a call.
    A Kalman filter on the logistic likelihood, that is Newton's method one row at a time: Fahrmeir 1992,
    doi:10.1080/01621459.1992.10475232, section 3. We differ in `stiffness` (1 would be his), in the forgetting, and in
    keeping the weights of missing inputs apart from the others (their covariances count as 0).
    """
    n, f = x.shape
    k = 2 * f + 1
    scratch = np.empty((2, k))
    column, gain = scratch[0], scratch[1]
    small = np.empty((2, f))
    gap, t = small[0], small[1]
    for i in range(n):
        if action[i] == 0:
            continue
        spread_out(x[i], raw, log, absent, reach, column, gap, t)
        margin = dot(weight, column) + dot(absent[WEIGHT], gap)
        out[i] = margin
        if part.shape[0] > 0 and action[i] != 2:
            for j in range(f):
                part[i, j] = (
                    weight[j] * column[j]
                    + weight[f + j] * column[f + j]
                    + absent[WEIGHT, j] * gap[j]
                )
        if action[i] != 2 or label[i] < 0 or label[i] > 1:
            continue
        p = sigmoid(margin)
        times_symmetric(covariance, column, gain)
        variance = dot(gain, column)
        for j in range(f):
            variance += absent[DOUBT, j] * gap[j] * gap[j]
        curvature = max(p * (1.0 - p), CURVATURE_MIN) * stiffness
        whole = 1.0 + curvature * max(variance, 0.0)
        step, shrink = (label[i] - p) / whole, curvature / whole
        for a in range(k):
            weight[a] += gain[a] * step
            less = gain[a] * shrink
            for b in range(k):
                covariance[a, b] -= less * gain[b]
        rate = max(1.0 / (seen[0] + 1.0), 1.0 / rows)
        for j in range(f):
            pull = absent[DOUBT, j] * gap[j]
            absent[WEIGHT, j] += pull * step
            absent[DOUBT, j] -= pull * pull * shrink
            absent[SHARE, j] += rate * gap[j]
        observe(x[i], rows, raw)
        observe(t, rows, log)
        seen[0] += 1
        if seen[0] % TIDY_LABELS == 0:
            tidy(covariance, absent, keep, doubt)
