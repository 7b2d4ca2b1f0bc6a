"""exp, log and what is made of them, from + - * / alone: the same bits on every CPU, which libm does not promise.

Scalar functions for kernels to call; LLVM folds them into loops over features and vectorises them there, because
none has a branch. Powers of two are made and read through the bits of a float64.
"""

import numpy as np
from numba import njit

LOG2_E = 1.4426950408889634
LN2_HI = 6.93147180369123816490e-01  # its last 21 bits are zero: a small integer times it is exact
LN2_LO = 1.90821492927058770002e-10
EXPONENT_MAX = 708.0  # e to it is still a normal float64, as is e to its negative
SQRT2_BITS = 0x3FF6A09E667F3BCD  # the bits of sqrt(2)
MANTISSA = 0x000FFFFFFFFFFFFF
ONE_BITS = 0x3FF0000000000000


@njit(cache=True, fastmath=False, error_model="numpy")
def exp(x: float) -> float:
    """Return e to the power of `x`, which is first clamped to +-708: never 0, never infinite.

    x : float  finite; NaN gives an unspecified finite number

    Within 1 unit in the last place of the true value. Cephes' rational approximation (Moshier, exp.c) after Cody and
    Waite's range reduction; the power of two is put into the exponent bits.
    """
    x = min(max(x, -EXPONENT_MAX), EXPONENT_MAX)
    k: float = np.floor(x * LOG2_E + 0.5)
    r = (x - k * LN2_HI) - k * LN2_LO
    rr = r * r
    p = r * ((1.26177193074810590878e-4 * rr + 3.02994407707441961300e-2) * rr + 1.0)
    q = (
        (3.00198505138664455042e-6 * rr + 2.52448340349684104192e-3) * rr
        + 2.27265548208155028766e-1
    ) * rr + 2.0
    power: float = np.int64((np.int64(k) + 1023) << 52).view(np.float64)
    return (1.0 + 2.0 * (p / (q - p))) * power


@njit(cache=True, fastmath=False, error_model="numpy")
def log(x: float) -> float:
    """Return the natural logarithm of a positive `x`.

    x : float  positive, finite, not subnormal; anything else gives an unspecified number

    Within 1 unit in the last place of the true value. The method of fdlibm's e_log.c (Sun, 1993) without its short
    cuts, so that there is no branch.
    """
    bits = np.float64(x).view(np.int64)
    # counted so that the mantissa lies in [sqrt(1/2), sqrt(2)), where the series converges fast on both sides of 1
    k = (bits - SQRT2_BITS + (np.int64(1) << 52)) >> 52
    f = np.int64(bits - (k << 52)).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = z * (
        6.666666666666735130e-01
        + w
        * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))
    )
    even = w * (
        3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01)
    )
    half = 0.5 * f * f
    kf = np.float64(k)
    return kf * LN2_HI - ((half - (s * (half + odd + even) + kf * LN2_LO)) - f)


@njit(cache=True, fastmath=False, error_model="numpy")
def signed_log1p(x: float) -> float:
    """Return log(1 + |x|) with the sign of `x`: nearly x itself below 1, a logarithm above, for both signs.

    x : float  finite; NaN gives NaN

    What 1 + |x| rounds away is put back to first order, so that small ratios keep their digits.
    """
    a = abs(x)
    u = 1.0 + a
    y = log(u) + (a - (u - 1.0)) / u
    return y if x >= 0.0 else -y if x < 0.0 else x


@njit(cache=True, fastmath=False, error_model="numpy")
def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)), strictly between 0 and 1.

    x : float  finite; beyond +-36 it is as at +-36, where the next float64 towards 1 would be 1
    """
    return 1.0 / (1.0 + exp(-min(max(x, -36.0), 36.0)))
