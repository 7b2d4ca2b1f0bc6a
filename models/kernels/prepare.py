"""Inputs of any unit brought near +-1, for estimators that were not written for raw columns."""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.exp_log import signed_log1p
from models.kernels.moments import HUGE, observe, standardise

F8: TypeAlias = NDArray[np.float64]


@njit(cache=True, fastmath=False, error_model="numpy")
def prepare(x: F8, moments: F8, reach: float, out: F8) -> None:
    """Write the signed logarithms of one row in deviations from their running means; 0 where missing.

    x       : (f,) float64    inputs, NaN missing
    moments : (4, f) float64  moments of the inputs' signed logarithms
    reach   : float           deviations beyond which an input counts as if it lay there
    out     : (f,) float64    written

    O(f), no allocation.
    """
    for j in range(x.shape[0]):
        out[j] = x[j] if np.isnan(x[j]) else signed_log1p(min(max(x[j], -HUGE), HUGE))
    standardise(out, moments, reach, out)


@njit(cache=True, fastmath=False, error_model="numpy")
def take_in(x: F8, rows: float, moments: F8) -> None:
    """Take one row into the running moments that `prepare` reads.

    x       : (f,) float64    inputs, NaN missing
    rows    : float           memory
    moments : (4, f) float64  updated in place: moments of the inputs' signed logarithms

    O(f), one allocation.
    """
    t = np.empty(x.shape[0])
    for j in range(x.shape[0]):
        t[j] = x[j] if np.isnan(x[j]) else signed_log1p(min(max(x[j], -HUGE), HUGE))
    observe(t, rows, moments)
