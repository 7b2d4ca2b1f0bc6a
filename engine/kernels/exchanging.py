"""A column of money in another currency; two dozen calls of numpy took 50 us a batch, whatever was in it."""

from typing import Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

F8: TypeAlias = NDArray[np.float64]
I8: TypeAlias = NDArray[np.int64]

SURE: Final = 1 << 62  # products below it are exact
MINOR_MAX: Final = 1 << 53  # as in config/money.py
NO_RATE: Final = 0
INEXACT: Final = -1  # a factor that does not fit


@njit(cache=True)
def exchange(minor: F8, time_us: I8, starts_us: I8, over: I8, under: I8, out: F8, left: I8) -> int:
    """Convert amounts, each at the rate of its own time; return how many are left to exact arithmetic.

    minor     : (n,) float64  read: minor units of the one currency, whole numbers; NaN is none
    time_us   : (n,) int64    read: microseconds UTC
    starts_us : (s,) int64    read, ascending: from when each factor holds; the first is before all times
    over      : (s,) int64    read: numerator of each factor; NO_RATE; INEXACT
    under     : (s,) int64    read: denominator of each, below SURE / 2
    out       : (n,) float64  written: minor units of the other currency, rounded half to even; NaN without a rate, or
                where there are more than MINOR_MAX
    left      : (n,) int64    written: the rows that are left; theirs in `out` mean nothing

    O(n log s), no allocation.
    """
    n_left = 0
    for i in range(minor.shape[0]):
        out[i] = np.nan
        if np.isnan(minor[i]):
            continue
        s = np.searchsorted(starts_us, time_us[i], side="right") - 1
        if over[s] == NO_RATE:
            continue
        amount = np.int64(minor[i])
        if over[s] == INEXACT or abs(amount) >= SURE // over[s]:
            left[n_left] = i
            n_left += 1
            continue
        whole = amount * over[s] // under[s]
        twice = 2 * (amount * over[s] - whole * under[s])
        if twice > under[s] or (twice == under[s] and whole % 2 == 1):
            whole += 1
        if abs(whole) <= MINOR_MAX:
            out[i] = whole
    return n_left
