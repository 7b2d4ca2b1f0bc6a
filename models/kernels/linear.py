"""The online logistic model: score rows and learn their labels, one after the other, in one call.

An input stands in several columns, so that a model that is linear in them can bend: as it is, as its signed logarithm,
from two places on more steeply (hinges) in either, in products with other inputs, and whether it is missing. All but
the last go through running means and deviations, so that counts, minor units, microseconds and shares come out alike.

Columns of `weight` and `covariance`, k = 6 f + g (g - 1) / 2 + 1: inputs as they are, their logarithms, the hinges of
`RAW_HINGES` and `LOG_HINGES` (each for all inputs), products of the first g logarithms, the constant. With `bends` 1
there are no hinges, with 0 no logarithms either. A score writes no column; only the few labels that are learned do.

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
LANES = 8  # float64 in a vector of AVX-512
SURE = 8.0  # log odds beyond which no step carries a row that was on the other side
SEED = 1


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def columns_of(bends: int) -> int:
    """Return in how many columns an input stands, without products.

    bends : int  0 as it is, 1 its logarithm too, 2 hinges too
    """
    return 1 if bends == 0 else 2 if bends == 1 else COLUMNS


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def padded(n: int) -> int:
    """Return `n` rounded up to whole vectors: the last 7 of 15 values, one by one, take longer than the first 8.

    n : int  not negative
    """
    return (n + LANES - 1) // LANES * LANES


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def prepare(
    x: F8,
    moments: F8,
    absent: F8,
    reach: float,
    needs_log: bool,
    values: F8,
    value: F8,
    t: F8,
    z: F8,
    gap: F8,
) -> None:
    """Standardise one row of inputs and their logarithms.

    x         : (f,) float64      inputs, NaN missing
    moments   : (4, 2 w) float64  moments of the inputs, then of their signed logarithms; w = padded(f)
    absent    : (3, w) float64    share of rows in which the input was missing (the other rows are not read)
    reach     : float             deviations beyond which an input stays where it is
    needs_log : bool              False: logarithms are left alone
    values    : (2 w,) float64    written: the inputs, then their signed logarithms; NaN in the padding, never touched
    value     : (w,) float64      the first half of `values`
    t         : (w,) float64      the second half
    z         : (2 w,) float64    written: `values` in deviations, 0 where missing and in the padding
    gap       : (w,) float64      written: 1 - share where the input is missing, - share where it is not

    O(f), no allocation.
    """
    for j in range(x.shape[0]):
        value[j] = x[j]
    for j in range(value.shape[0]):
        gap[j] = (1.0 if np.isnan(value[j]) else 0.0) - absent[SHARE, j]
    if needs_log:
        for j in range(value.shape[0]):
            v = value[j]
            t[j] = v if np.isnan(v) else signed_log1p(min(max(v, -HUGE), HUGE))
    standardise(values, moments, reach, z)


@njit(cache=True, fastmath=False, error_model="numpy")
def lay_out(weight: F8, f: int, crossed: int, bends: int, held: F8, cross: F8) -> None:
    """Copy weights to where `add_up` wants them: whole vectors, and 0 for what is no column.

    weight  : (k,) float64
    f       : int             inputs
    crossed : int             g, the inputs that stand in products: the first ones; 0 <= g <= f
    bends   : int             0 inputs as they are, 1 logarithms too, 2 hinges too
    held    : (3, 2 w) float64  written where there is a column: inputs and logarithms, nearer hinges, farther hinges
    cross   : (g or more, w) float64  written: of the product of each two, on both sides of the diagonal

    O(k), no allocation.
    """
    w = held.shape[1] // 2
    for j in range(f):
        held[0, j] = weight[j]
        if bends > 0:
            held[0, w + j] = weight[f + j]
        if bends > 1:
            held[1, j], held[2, j] = weight[2 * f + j], weight[3 * f + j]
            held[1, w + j], held[2, w + j] = weight[4 * f + j], weight[5 * f + j]
    c = columns_of(bends) * f
    for a in range(1, crossed):
        for b in range(a):
            cross[a, b] = cross[b, a] = weight[c + b]
        c += a


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def add_up(
    z: F8,
    bent: F8,
    gap: F8,
    held: F8,
    hinge: F8,
    cross: F8,
    absent: F8,
    sums: F8,
    of_log: F8,
    near: F8,
    part: F8,
) -> None:
    """Write what each input adds to the margin; the two inputs of a product get half of it each.

    z      : (2 w,) float64    as `prepare` leaves it
    bent   : (w,) float64      its second half
    gap    : (w,) float64      as `prepare` leaves it
    held   : (3, 2 w) float64  as `lay_out` leaves it
    hinge  : (2, 2 w) float64  where the nearer and the farther hinge of each column lie
    cross  : (c, w) float64    as `lay_out` leaves it, c divisible by 4
    absent : (3, w) float64    weights of being missing; 0 in the padding
    sums   : (2 w,) float64    scratch
    of_log : (w,) float64      its second half
    near   : (w,) float64      written: `bent`, pulled in for the products
    part   : (w,) float64      written; with the weight of the constant it sums to the margin

    The columns of `spread_out` times their weights without writing them anywhere: few loops over whole vectors, for
    each one that begins costs as much as 30 additions. O(k), no allocation.
    """
    for j in range(z.shape[0]):
        sums[j] = held[0, j] * z[j] + (
            held[1, j] * max(0.0, z[j] - hinge[0, j]) + held[2, j] * max(0.0, z[j] - hinge[1, j])
        )
    w = gap.shape[0]
    for j in range(w):
        part[j] = (sums[j] + of_log[j]) + absent[WEIGHT, j] * gap[j]
    if cross.shape[0] > 0:
        for j in range(w):
            near[j] = min(max(bent[j], -PRODUCT_REACH), PRODUCT_REACH)
            sums[j] = 0.0
        for a in range(0, cross.shape[0], 4):
            n0, n1, n2, n3 = near[a], near[a + 1], near[a + 2], near[a + 3]
            for j in range(w):
                sums[j] += (n0 * cross[a, j] + n1 * cross[a + 1, j]) + (
                    n2 * cross[a + 2, j] + n3 * cross[a + 3, j]
                )
        for j in range(w):
            part[j] += 0.5 * PRODUCT_SCALE * near[j] * sums[j]


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def spread_out(z: F8, bent: F8, near: F8, f: int, crossed: int, bends: int, column: F8) -> None:
    """Write one row in the columns of the model.

    z       : (2 w,) float64  as `prepare` leaves it
    bent    : (w,) float64  its second half
    near    : (w,) float64  as `add_up` leaves it
    f       : int           inputs
    crossed : int           g, the inputs that stand in products: the first ones; 0 <= g <= f
    bends   : int           0 inputs as they are, 1 logarithms too, 2 hinges too
    column  : (k + LANES,) float64  the first k written, the others no longer what they were

    Blocks are written from the first to the last in whole vectors: what one writes beyond its end, the next one
    overwrites. O(k), no allocation.
    """
    w = bent.shape[0]
    for j in range(w):
        column[j] = z[j]
    if bends > 0:
        for j in range(w):
            column[f + j] = bent[j]
    if bends > 1:
        for j in range(w):
            column[2 * f + j] = max(0.0, z[j] - RAW_HINGES[0])
        for j in range(w):
            column[3 * f + j] = max(0.0, z[j] - RAW_HINGES[1])
        for j in range(w):
            column[4 * f + j] = max(0.0, bent[j] - LOG_HINGES[0])
        for j in range(w):
            column[5 * f + j] = max(0.0, bent[j] - LOG_HINGES[1])
    c = columns_of(bends) * f
    for a in range(1, crossed):
        factor = PRODUCT_SCALE * near[a]
        for b in range(a):
            column[c + b] = factor * near[b]
        c += a
    column[c] = 1.0


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def total(part: F8) -> float:
    """Return the sum of whole vectors, in an order of its own: the same on every CPU.

    part : (w,) float64  w divisible by LANES
    """
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(0, part.shape[0], LANES):
        s0 += part[j]
        s1 += part[j + 1]
        s2 += part[j + 2]
        s3 += part[j + 3]
        s4 += part[j + 4]
        s5 += part[j + 5]
        s6 += part[j + 6]
        s7 += part[j + 7]
    return ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))


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


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
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
    bends: int,
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
    bends      : int             0 inputs as they are, 1 their logarithms too, 2 hinges too
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

    Rows are applied in order, so batch cuts change no bit. O(k) a score, O(k^2) a label that is learned, a few
    allocations a call. State is worked on in padded copies, so that all loops over inputs are whole vectors.

    Genuine rows are a hundred to one and nearly all say the same: of those that looked genuine (probability p) only
    `genuine_share` (1 + 100 p) are learned, drawn by the number of the label, and each counts for as many as it stands
    for (Fithian and Hastie 2014, doi:10.1214/14-AOS1220). Learning 3 % instead of all costs 0.002 of average precision.

    A Kalman filter on the logistic likelihood, that is Newton's method one row at a time: Fahrmeir 1992,
    doi:10.1080/01621459.1992.10475232, section 3. We differ in `stiffness` (1 would be his), in the forgetting, in the
    draw, and in keeping the weights of missing inputs apart from the others (their covariances count as 0).
    """
    n, f = x.shape
    k, w = weight.shape[0], padded(f)
    needs_log = bends > 0 or crossed > 0
    wide_column, gain = np.empty(k + LANES), np.empty(k)
    column = wide_column[:k]
    scratch = np.zeros((6, w))
    own_absent, gap, near, added = scratch[:3], scratch[3], scratch[4], scratch[5]
    own_absent[:, :f] = absent
    twice = np.zeros((12, 2 * w))
    moments, held, hinge = twice[:4], twice[4:7], twice[7:9]
    values, z, sums = twice[9], twice[10], twice[11]
    value, t, bent, of_log = values[:w], values[w:], z[w:], sums[w:]
    values[:] = np.nan
    moments[:, :f] = raw
    moments[:, w : w + f] = log
    for j in range(2):
        hinge[j, :w] = RAW_HINGES[j]
        hinge[j, w:] = LOG_HINGES[j]
    cross = np.zeros(((crossed + 3) // 4 * 4, w))
    lay_out(weight, f, crossed, bends, held, cross)
    for i in range(n):
        if action[i] == 0:
            continue
        prepare(x[i], moments, own_absent, reach, needs_log, values, value, t, z, gap)
        add_up(z, bent, gap, held, hinge, cross, own_absent, sums, of_log, near, added)
        margin = total(added) + weight[k - 1]
        out[i] = margin
        if part.shape[0] > 0 and action[i] != 2:
            for j in range(f):
                part[i, j] = added[j]
        if action[i] != 2 or label[i] < 0 or label[i] > 1:
            continue
        p = sigmoid(margin)
        drawn = 1.0 if label[i] == 1 else min(1.0, genuine_share * (1.0 + SUSPICION * p))
        if chance(SEED, seen[0]) < drawn:
            spread_out(z, bent, near, f, crossed, bends, wide_column)
            times_symmetric(covariance, column, gain)
            variance = dot(gain, column)
            for j in range(f):
                variance += own_absent[DOUBT, j] * gap[j] * gap[j]
            curvature = max(p * (1.0 - p), CURVATURE_MIN) * stiffness
            spread = max(variance, 0.0) / drawn
            step = moved_by(margin, p, label[i], spread, curvature) / drawn
            shrink = curvature / (drawn * (1.0 + curvature * spread))
            for a in range(k):
                weight[a] += gain[a] * step
                less = gain[a] * shrink
                for b in range(k):
                    covariance[a, b] -= less * gain[b]
            lay_out(weight, f, crossed, bends, held, cross)
            for j in range(f):
                move = own_absent[DOUBT, j] * gap[j]
                own_absent[WEIGHT, j] += move * step
                own_absent[DOUBT, j] -= move * move * shrink
        rate = max(1.0 / (seen[0] + 1.0), 1.0 / rows)
        for j in range(w):
            own_absent[SHARE, j] += rate * gap[j]
        observe(values, rows, moments)
        seen[0] += 1
        if seen[0] % TIDY_LABELS == 0:
            forget(covariance, keep, doubt)
            for j in range(f):
                own_absent[DOUBT, j] = min(own_absent[DOUBT, j] / keep, doubt)
    raw[:] = moments[:, :f]
    log[:] = moments[:, w : w + f]
    absent[:] = own_absent[:, :f]
