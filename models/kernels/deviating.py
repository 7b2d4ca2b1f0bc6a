"""How far a value lies from its entity's own normal, compared with how far values usually lie from theirs."""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.exp_log import log
from models.kernels.moments import HUGE, deviations, moved

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]

USUAL = 4  # row of `normal` that holds the usual spread, in parts of the centre; above it the moments of distances
WIDE = 10.0  # a spread of more parts of the centre counts as so many when the usual one is learned


@njit(cache=True, fastmath=False, error_model="numpy")
def distance(
    value: float, centre: float, spread: float, usual: float, least: float, below: float
) -> float:
    """Return log(1 + |value - centre| / spread), NaN where there is no normal to compare with.

    value  : float  NaN missing
    centre : float  of the entity, NaN missing
    spread : float  of the entity, NaN missing; its sign is ignored
    usual  : float  spread of all entities, in parts of their centres
    least  : float  a spread of less than so many usual ones counts as so many
    below  : float  weight of a value under the centre, in [0, 1]

    Without a history the spread of one or two values is nearly 0 and everything would be far away: hence `least`.
    """
    if np.isnan(value) or np.isnan(centre):
        return np.nan
    v, c = min(max(value, -HUGE), HUGE), min(max(centre, -HUGE), HUGE)
    own = 0.0 if np.isnan(spread) else min(abs(spread), HUGE)
    wide = max(own, least * usual * abs(c))
    if wide <= 1e-100:
        return np.nan
    far = (v - c) / wide
    return log(1.0 + min(far if far >= 0.0 else -below * far, HUGE))


@njit(cache=True, fastmath=False, error_model="numpy")
def score_then_observe(
    x: F8,
    action: I1,
    least: float,
    below: float,
    reach: float,
    rows: float,
    normal: F8,
    out: F8,
    part: F8,
) -> None:
    """Write how unusually far each row's values lie from their centres, then learn what is usual, unless only scored.

    x      : (n, 3 g) float64  value, centre and spread of each of g groups, NaN missing
    action : (n,) int8         0 leave the row alone, 1 score and learn it, 2 and 3 score it
    least  : float             as in `distance`
    below  : float             as in `distance`
    reach  : float             deviations beyond which a distance counts as if it lay there
    rows   : float             memory, in rows
    normal : (5, g) float64    state: moments of the distances, and the usual spread
    out    : (n,) float64      written for actions 1, 2 and 3: the sum over the groups of z, and of z^2 / 2 above 0,
                               z being how many deviations a distance lies above the mean distance
    part   : (n, 3 g) float64  written for actions 1 and 3: what each group adds to `out`, at its value, and 0 for
                               centre and spread; (0, 3 g) if nobody asks

    A group that has no normal adds 0, as an average distance does. Rows in order, so batch cuts change no bit. O(g) a
    row, one small allocation a call.
    """
    groups = normal.shape[1]
    d = np.empty(groups)
    for i in range(x.shape[0]):
        if action[i] == 0:
            continue
        total = 0.0
        for g in range(groups):
            d[g] = distance(
                x[i, 3 * g], x[i, 3 * g + 1], x[i, 3 * g + 2], normal[USUAL, g], least, below
            )
            z = deviations(d[g], normal[1, g], normal[3, g], reach)
            said = z + 0.5 * z * z if z > 0.0 else z
            total += said
            if part.shape[0] > 0 and action[i] != 2:
                part[i, 3 * g] = said
                part[i, 3 * g + 1] = 0.0
                part[i, 3 * g + 2] = 0.0
        out[i] = total
        if action[i] != 1:
            continue
        for g in range(groups):
            centre, spread = abs(x[i, 3 * g + 1]), abs(x[i, 3 * g + 2])
            normal[0, g], normal[1, g], normal[2, g], normal[3, g] = moved(
                d[g], rows, normal[0, g], normal[1, g], normal[2, g], normal[3, g]
            )
            if centre > 0.0 and not np.isnan(spread):
                c, s = min(centre, HUGE), min(spread, HUGE)
                share = min(s / c, WIDE) if s < c * WIDE else WIDE
                rate = max(1.0 / (normal[0, g] + 1.0), 1.0 / rows)
                normal[USUAL, g] += rate * (share - normal[USUAL, g])
