"""Running mean and spread of columns, row by row, with a bounded memory and a bounded say for a single wild value."""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

F8: TypeAlias = NDArray[np.float64]

COUNT, MEAN, VARIANCE, INVERSE = 0, 1, 2, 3  # rows of the `moments` arrays
WILD = 100.0  # standard deviations; what lies further out counts as if it lay there
HUGE = 1e100  # beyond it squares would leave float64


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def moved(
    x: float, rows: float, count: float, mean: float, variance: float, inverse: float
) -> tuple[float, float, float, float]:
    """Return count, mean, variance and 1 / deviation after one more value; as they were if it is missing.

    x        : float  the value; NaN is missing, infinite counts as +-1e100
    rows     : float  memory: the newest value weighs 1 / min(count, rows)
    count    : float  values so far
    mean     : float
    variance : float  population variance
    inverse  : float  1 / deviation, 0 without spread

    The mean of everything while there are fewer than `rows` values, exponential afterwards. A value more than 100
    deviations out is pulled in to there: one garbled amount must not blind a column for weeks. A deviation under 1e-9
    of the mean is rounding, not spread. No branch. West 1979, doi:10.1145/359146.359153.
    """
    known = not np.isnan(x)
    reach = WILD / inverse if inverse > 0.0 else 2.0 * HUGE
    d = min(max(min(max(x, -HUGE), HUGE) - mean, -reach), reach)
    rate = max(1.0 / (count + 1.0), 1.0 / rows)
    mean_new = mean + rate * d
    variance_new = (1.0 - rate) * (variance + rate * d * d)
    has_spread = variance_new > 1e-18 * mean_new * mean_new
    inverse_new = 1.0 / np.sqrt(variance_new) if has_spread else 0.0
    return (
        count + 1.0 if known else count,
        mean_new if known else mean,
        variance_new if known else variance,
        inverse_new if known else inverse,
    )


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def deviations(x: float, mean: float, inverse: float, reach: float) -> float:
    """Return how many deviations `x` lies from the mean, within +-`reach`; 0 where missing or without spread.

    x       : float  the value, NaN missing
    mean    : float
    inverse : float  1 / deviation, 0 without spread
    reach   : float  positive
    """
    z = min(max((min(max(x, -HUGE), HUGE) - mean) * inverse, -reach), reach)
    return 0.0 if np.isnan(x) else z


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def observe(value: F8, rows: float, moments: F8) -> None:
    """Take one row into the running moments of its columns, each as `moved` does it.

    value   : (f,) float64    the row, NaN missing
    rows    : float           memory
    moments : (4, f) float64  updated in place: values seen, mean, variance, 1 / deviation

    One pass, no allocation, vectorised.
    """
    for j in range(value.shape[0]):
        moments[COUNT, j], moments[MEAN, j], moments[VARIANCE, j], moments[INVERSE, j] = moved(
            value[j],
            rows,
            moments[COUNT, j],
            moments[MEAN, j],
            moments[VARIANCE, j],
            moments[INVERSE, j],
        )


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def standardise(value: F8, moments: F8, reach: float, out: F8) -> None:
    """Write how many deviations each column lies from its mean, within +-`reach`; 0 where missing or without spread.

    value   : (f,) float64    the row, NaN missing
    moments : (4, f) float64  as `observe` leaves it
    reach   : float           deviations; positive
    out     : (f,) float64    written

    One pass, no allocation, vectorised.
    """
    for j in range(value.shape[0]):
        out[j] = deviations(value[j], moments[MEAN, j], moments[INVERSE, j], reach)
