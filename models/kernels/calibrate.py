"""From a raw score to a probability by a monotone broken line in log odds, learned from what became of payments."""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.exp_log import sigmoid
from models.kernels.moments import COUNT, INVERSE, MEAN, VARIANCE, deviations, moved

F4: TypeAlias = NDArray[np.float32]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

CURVATURE_MIN = 1e-6
SLOPE_MAX = 3.0  # a score that is high where nothing is fraud must not drive the line out of float64 elsewhere
KEPT_MIN = 0.5  # no single lesson makes more than half of the evidence fade
# what a lesson says; the last two put right what was learned before
GENUINE, FRAUD, FRAUD_AFTER_ALL, GENUINE_AFTER_ALL = 0, 1, 2, 3
N, SAID, WAS = 0, 1, 2  # rows of `told`


@njit(cache=True, fastmath=False, error_model="numpy")
def pieces(z: float, knot: F8, out: F8) -> None:
    """Write the constant and how far `z` reaches into each segment of the line, counted from the first knot.

    z    : float            place on the axis of the knots
    knot : (m,) float64     rising
    out  : (m + 2,) float64  written: 1, then below the first knot (negative), between the knots, above the last

    O(m), no allocation.
    """
    m = knot.shape[0]
    out[0] = 1.0
    out[1] = min(z - knot[0], 0.0)
    for s in range(m - 1):
        out[s + 2] = min(max(z - knot[s], 0.0), knot[s + 1] - knot[s])
    out[m + 1] = max(z - knot[m - 1], 0.0)


@njit(cache=True, fastmath=False, error_model="numpy")
def calibrate_and_learn(
    raw: F8,
    action: I1,
    label: I1,
    knot: F8,
    edge: F8,
    by_moments: bool,
    reach: float,
    slope_min: float,
    stiffness: float,
    frauds: float,
    doubt: F8,
    rows: float,
    moments: F8,
    line: F8,
    covariance: F8,
    told: F8,
    seen: I8,
    out: F8,
) -> None:
    """Write each row's probability of fraud; where the row is a lesson, learn it afterwards.

    raw        : (n,) float64  raw scores; NaN: there is none, and the row is left alone. Of a lesson: as it was decided
    action     : (n,) int8     0 leave the row alone, 1 and 3 calibrate it, 2 calibrate it and learn its label
    label      : (n,) int8     of rows with action 2: 0 genuine, 1 fraud; 2 counted as genuine and is fraud after all,
                               3 the other way; any other value teaches nothing
    knot       : (m,) float64  where the line may bend, rising
    edge       : (b - 1,) float64  probabilities between which `told` keeps its sums, rising
    by_moments : bool          knots are deviations from the running mean of raw scores, not raw scores
    reach      : float         the axis ends at +- this; beyond it the line is level
    slope_min  : float         no slope may fall below it; positive, so that the order of rows is kept; none exceeds 3
    stiffness  : float         share of a lesson's evidence that later ones have to outweigh; in (0, 1]
    frauds     : float         memory, in expected frauds: evidence fades with each by 1 / frauds
    doubt      : (m + 2,) float64  variance of the constant and of each slope while nothing is known
    rows       : float         memory of the mean and deviation, in rows with action 1
    moments    : (4, 1) float64    state: moments of the raw scores of rows with action 1
    line       : (m + 2,) float64  state: log odds at the first knot, then the slopes
    covariance : (m + 2, m + 2) float64  state: of `line`
    told       : (3, b) float64    state: lessons, probabilities said before each and frauds among them, by probability;
                                   they fade like the evidence
    seen       : (1,) int64    state: lessons learned
    out        : (n,) float64  written for actions 1, 2 and 3, elsewhere left alone

    Rows in order, so batch cuts change no bit. O(m) a row, O(m^2) a lesson, one allocation a call. The filter of
    models/kernels/linear.py with slopes held above `slope_min`; one segment would be Platt scaling (Platt 1999). The
    likelihood is linear in the label, so a verdict that turns moves the line by its gain alone and adds no evidence.
    """
    n, k, b = raw.shape[0], line.shape[0], told.shape[1]
    scratch = np.empty((2, k))
    piece, gain = scratch[0], scratch[1]
    for i in range(n):
        if action[i] == 0 or np.isnan(raw[i]):
            continue
        z = min(max(raw[i], -reach), reach)
        if by_moments:
            z = deviations(raw[i], moments[MEAN, 0], moments[INVERSE, 0], reach)
        pieces(z, knot, piece)
        margin = 0.0
        for a in range(k):
            margin += line[a] * piece[a]
        p = sigmoid(margin)
        out[i] = p
        if action[i] == 1 and by_moments:
            moments[COUNT, 0], moments[MEAN, 0], moments[VARIANCE, 0], moments[INVERSE, 0] = moved(
                raw[i],
                rows,
                moments[COUNT, 0],
                moments[MEAN, 0],
                moments[VARIANCE, 0],
                moments[INVERSE, 0],
            )
        if action[i] != 2 or label[i] < GENUINE or label[i] > GENUINE_AFTER_ALL:
            continue
        seen[0] += 1
        variance = 0.0
        for a in range(k):
            gain[a] = 0.0
            for c in range(k):
                gain[a] += covariance[a, c] * piece[c]
            variance += gain[a] * piece[a]
        at = 0
        while at < b - 1 and p >= edge[at]:
            at += 1
        curvature = max(p * (1.0 - p), CURVATURE_MIN) * stiffness
        whole = 1.0 + curvature * max(variance, 0.0)
        if label[i] >= FRAUD_AFTER_ALL:
            turned = 1.0 if label[i] == FRAUD_AFTER_ALL else -1.0
            told[WAS, at] = max(told[WAS, at] + turned, 0.0)
            for a in range(k):
                line[a] += gain[a] * turned / whole
        else:
            keep = max(1.0 - p / frauds, KEPT_MIN)
            for c in range(b):
                told[N, c] *= keep
                told[SAID, c] *= keep
                told[WAS, c] *= keep
            told[N, at] += 1.0
            told[SAID, at] += p
            told[WAS, at] += label[i]
            step, shrink = (label[i] - p) / whole, curvature / whole
            for a in range(k):
                line[a] += gain[a] * step
                # both halves computed alike keep the matrix symmetric
                for c in range(a + 1):
                    less = (covariance[a, c] - gain[a] * gain[c] * shrink) / keep
                    covariance[a, c] = less
                    covariance[c, a] = less
        # A slope that is held takes the others along as far as they depend on it. Clamping alone loses that part of
        # the step: after a fall of the base rate from 10 to 1 % it still said 2.2 % six memories later.
        for a in range(1, k):
            held = min(max(line[a], slope_min), SLOPE_MAX)
            if held != line[a]:
                lift = (held - line[a]) / covariance[a, a]
                for c in range(k):
                    line[c] += covariance[a, c] * lift
        for a in range(1, k):
            line[a] = min(max(line[a], slope_min), SLOPE_MAX)
        for a in range(k):  # no variance grows past where it began
            if covariance[a, a] > doubt[a]:
                down = np.sqrt(doubt[a] / covariance[a, a])
                for c in range(k):
                    covariance[a, c] *= down
                    covariance[c, a] *= down


@njit(cache=True, fastmath=False, error_model="numpy")
def calibrate_in_turn(
    raw: F8, action: I1, decided: F4, which: int, label: I1, row: I8, here: I8, learns: bool,
    knot: F8, edge: F8, by_moments: bool, reach: float, slope_min: float, stiffness: float, frauds: float,
    doubt: F8, rows: float, moments: F8, line: F8, covariance: F8, told: F8, seen: I8, said: F8, out: F8,
) -> None:  # fmt: skip
    """Write each row's probability of fraud; learn what became of others on the way, each before the row it stands at.

    raw        : (n,) float64  raw scores of the rows; NaN: there is none
    action     : (n,) int8     of each row, as in `calibrate_and_learn`; none of those with a score is 2
    decided    : (c, s) float32  raw scores of those others, as decided, by several models
    which      : int           the column of `decided` and `said` that is meant
    label      : (c,) int8     what became of them, as in `calibrate_and_learn`
    row        : (c,) int64    the row that each comes before, ascending
    here       : (c,) int64    the row of `raw` that each is, rounded to float32; -1: `decided` has its score
    learns     : bool          False: nothing is learned, of rows neither
    knot       : (m,) float64  this and what follows as in `calibrate_and_learn`
    edge       : (b - 1,) float64
    by_moments : bool
    reach      : float
    slope_min  : float
    stiffness  : float
    frauds     : float
    doubt      : (m + 2,) float64
    rows       : float
    moments    : (4, 1) float64
    line       : (m + 2,) float64
    covariance : (m + 2, m + 2) float64
    told       : (3, b) float64
    seen       : (1,) int64
    said       : (c, s) float64  written in column `which`: the probability just before each was learned, NaN none
    out        : (n,) float64  written, NaN without a score; of length 0: the rows are not wanted, and left out

    As `calibrate_and_learn` over both in their order; five allocations a call.
    """
    n, c = out.shape[0], row.shape[0]
    value, turn = np.empty(n + c), np.empty(n + c, np.int8)
    meaning, probability = np.zeros(n + c, np.int8), np.full(n + c, np.nan)
    j = 0
    for i in range(n + c):
        if j < c and (row[j] <= i - j or i - j >= n):
            value[i] = decided[j, which] if here[j] < 0 else np.float32(raw[here[j]])
            turn[i], meaning[i] = 2 if learns else 3, label[j]
            j += 1
        else:
            value[i] = raw[i - j]
            turn[i] = action[i - j] if learns else 3
    calibrate_and_learn(
        value, turn, meaning, knot, edge, by_moments, reach, slope_min, stiffness, frauds, doubt, rows,
        moments, line, covariance, told, seen, probability,
    )  # fmt: skip
    j = 0
    for i in range(n + c):
        if j < c and (row[j] <= i - j or i - j >= n):
            said[j, which] = probability[i]
            j += 1
        else:
            out[i - j] = probability[i]
