"""A weighted mean of what other models say, each first brought to log odds by labels, weighted by what that explains.

No member sees another one here: their scores repeat each other nearly, and weights that are fitted together then turn
on noise (a filter over all members at once gave all weight to one of two equals, and could not take it back when that
one broke).
"""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.exp_log import log, sigmoid
from models.kernels.linear import CURVATURE_MIN, moved_by
from models.kernels.moments import COUNT, INVERSE, observe, standardise

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

LEVEL, SLOPE = 0, 1  # rows of `line`
VAR_LEVEL, COVAR, VAR_SLOPE = 0, 1, 2  # rows of `doubt`
LOSS, BASE = 0, 1  # rows of `score`
HEARD = 100.0  # labelled scores of a member before it has a say: until then its mean and deviation are chance


@njit(cache=True, fastmath=False, error_model="numpy")
def is_heard(x: float, count: float, inverse: float) -> bool:
    """Return whether a member has something to say: a score, enough of them before, and not always the same.

    x       : float  its raw score, NaN missing
    count   : float  labelled scores so far
    inverse : float  1 / deviation, 0 without spread
    """
    return not np.isnan(x) and count >= HEARD and inverse > 0.0


@njit(cache=True, fastmath=False, error_model="numpy")
def hear(
    x: F8, moments: F8, line: F8, score: F8, constant: float, reach: float, alone: float,
    z: F8, said: F8, part: F8,
) -> None:  # fmt: skip
    """Write what every member adds to the log odds of one row.

    x        : (m,) float64    raw scores, NaN missing
    moments  : (4, m) float64  of the labelled ones
    line     : (2, m) float64  level and slope of the log odds over the standardised score
    score    : (2, m) float64  loss of each member, and of saying the share of frauds instead
    constant : float           log odds of a row of which nothing is known
    reach    : float           deviations beyond which a score counts as if it lay there
    alone    : float           log odds that a member may go beyond all others
    z        : (m,) float64    written: standardised scores
    said     : (m,) float64    written: log odds by each member alone
    part     : (m,) float64    written: weight times what it said, limited, above `constant`

    The weight of a member is the square of the share of loss that it saves; those of the members that are heard sum to
    1. O(m), no allocation.
    """
    m = x.shape[0]
    standardise(x, moments, reach, z)
    low1, low2, high1, high2 = 0.0, 0.0, 0.0, 0.0  # the two furthest out on each side
    whole, heard = 0.0, 0
    for j in range(m):
        said[j] = line[LEVEL, j] + line[SLOPE, j] * z[j]
        part[j] = 0.0
        if is_heard(x[j], moments[COUNT, j], moments[INVERSE, j]):
            saved = max(1.0 - score[LOSS, j] / score[BASE, j], 1e-3)
            part[j] = saved * saved
            whole += part[j]
            heard += 1
            above = said[j] - constant
            high2 = max(high2, min(above, high1))
            high1 = max(high1, above)
            low2 = min(low2, max(above, low1))
            low1 = min(low1, above)
    for j in range(m):
        if part[j] > 0.0:
            above = said[j] - constant
            if heard > 1:
                highest = high2 if above == high1 else high1
                lowest = low2 if above == low1 else low1
                above = max(min(above, highest + alone), lowest - alone)
            part[j] *= above / whole


@njit(cache=True, fastmath=False, error_model="numpy")
def learn_line(
    j: int, z: float, said: float, label: int, keep: float, width: float, line: F8, doubt: F8
) -> None:
    """Take one label into the line of one member.

    j     : int             the member
    z     : float           its standardised score
    said  : float           what the line made of it
    label : int             0 or 1
    keep  : float           what a label leaves of the evidence before it; in (0, 1]
    width : float           variance of level and slope about which nothing is known
    line  : (2, m) float64  column j updated in place; the slope does not become negative
    doubt : (3, m) float64  column j updated in place: variance of the level, covariance, variance of the slope

    One step of the filter of models/kernels/linear.py with two columns.
    """
    p = sigmoid(said)
    gain_level = doubt[VAR_LEVEL, j] + doubt[COVAR, j] * z
    gain_slope = doubt[COVAR, j] + doubt[VAR_SLOPE, j] * z
    variance = max(gain_level + gain_slope * z, 0.0)
    curvature = max(p * (1.0 - p), CURVATURE_MIN)
    step = moved_by(said, p, label, variance, curvature)
    shrink = curvature / (1.0 + curvature * variance)
    line[LEVEL, j] += gain_level * step
    line[SLOPE, j] = max(line[SLOPE, j] + gain_slope * step, 0.0)
    # the floor keeps the matrix positive whatever rounding did; the ceiling, what is never moved within bounds
    level = min(max((doubt[VAR_LEVEL, j] - gain_level * gain_level * shrink) / keep, 1e-9), width)
    slope = min(max((doubt[VAR_SLOPE, j] - gain_slope * gain_slope * shrink) / keep, 1e-9), width)
    most = 0.99 * np.sqrt(level * slope)
    covariance = (doubt[COVAR, j] - gain_level * gain_slope * shrink) / keep
    doubt[VAR_LEVEL, j], doubt[VAR_SLOPE, j] = level, slope
    doubt[COVAR, j] = min(max(covariance, -most), most)


@njit(cache=True, fastmath=False, error_model="numpy")
def score_and_learn(
    x: F8,
    action: I1,
    label: I1,
    constant: float,
    reach: float,
    alone: float,
    keep: float,
    width: float,
    rows: float,
    fade: float,
    moments: F8,
    line: F8,
    doubt: F8,
    score: F8,
    share: F8,
    seen: I8,
    out: F8,
    part: F8,
) -> None:
    """Write each row's log odds of fraud; where the row brings a label, learn it afterwards.

    x        : (n, m) float64  raw scores of the members, NaN missing; of a label row: as they were at its decision
    action   : (n,) int8       0 leave the row alone, 1 and 3 score it, 2 score it and then learn its label
    label    : (n,) int8       of rows with action 2: 1 fraud, 0 genuine; any other value teaches nothing
    constant : float           log odds of a row of which nothing is known
    reach    : float           deviations beyond which a score counts as if it lay there
    alone    : float           log odds that a member may go beyond all others
    keep     : float           what a label leaves of the evidence for a line; in (0, 1]
    width    : float           variance of level and slope about which nothing is known
    rows     : float           memory of the means and deviations, in labels
    fade     : float           what a fraud leaves of the losses before it; in (0, 1]
    moments  : (4, m) float64  state: of the members' scores
    line     : (2, m) float64  state: level and slope of each member's log odds
    doubt    : (3, m) float64  state: their variances and covariance
    score    : (2, m) float64  state: fading loss of each member, and of saying the share of frauds instead
    share    : (1,) float64    state: share of frauds
    seen     : (1,) int64      state: labels so far
    out      : (n,) float64    written for actions 1, 2 and 3, elsewhere left alone
    part     : (n, m) float64  written for actions 1 and 3: what each member adds to `out`; (0, m) if nobody asks

    Rows are applied in order, so batch cuts change no bit. O(m) a row, one allocation a call.
    """
    m = x.shape[1]
    scratch = np.empty((3, m))
    z, said, added = scratch[0], scratch[1], scratch[2]
    for i in range(x.shape[0]):
        if action[i] == 0:
            continue
        hear(x[i], moments, line, score, constant, reach, alone, z, said, added)
        total = constant
        for j in range(m):
            total += added[j]
        out[i] = total
        if part.shape[0] > 0 and action[i] != 2:
            for j in range(m):
                part[i, j] = added[j]
        if action[i] != 2 or label[i] < 0 or label[i] > 1:
            continue
        usual = min(max(share[0], 1e-6), 1.0 - 1e-6)
        base = -log(usual if label[i] == 1 else 1.0 - usual)
        for j in range(m):
            if is_heard(x[i, j], moments[COUNT, j], moments[INVERSE, j]):
                p = sigmoid(said[j])
                if label[i] == 1:
                    score[LOSS, j] *= fade
                    score[BASE, j] *= fade
                score[LOSS, j] -= log(p if label[i] == 1 else 1.0 - p)
                score[BASE, j] += base
                learn_line(j, z[j], said[j], label[i], keep, width, line, doubt)
        seen[0] += 1
        share[0] += max(1.0 / (seen[0] + 1.0), 1.0 / rows) * (label[i] - share[0])
        observe(x[i], rows, moments)
