"""Integers wider than 64 bits, and the one rounding when a result is read.

A sum is `high * 2**32 + low`: each value adds its upper bits to `high` and its lower 32 to `low`, so 2**31 values of
up to 62 bits fit. A sum of squares is four sums of 32-bit limbs. Quotients are rounded once, to nearest, ties to
even; a standard deviation is rounded three times (radicand, root, quotient), within 2 units in the last place.
"""

import math

import numpy as np
from numba import njit

from engine.windows.kernels.layout import I8, LOW, MISSING
from models.kernels.exp_log import log

U = np.uint64
ONE, BITS11, HALF11 = np.uint64(1), np.uint64(2047), np.uint64(1024)
TOP, SH11, SH32, LOW_U = np.uint64(1 << 63), np.uint64(11), np.uint64(32), np.uint64(LOW)
SPLIT = 134217729.0  # 2**27 + 1, Veltkamp
SAFE = 1 << 20  # high limbs below this make totals below 2**52


@njit(cache=True)
def fixed_point(x: float, scale: float) -> int:
    """Nearest integer to x * scale, ties to even, as if the product were exact; MISSING if x is, or from 2**62 on.

    x     : float  any; NaN is missing
    scale : float  a power of ten from 1 to 10**9

    The rounding error of the product is computed (Dekker's product) to tell a tie from a near tie.
    """
    p = x * scale
    if not abs(p) < 4611686018427387904.0:
        return MISSING
    q = np.rint(p)
    if scale == 1.0 or x == 0.0:
        return int(q)
    c = SPLIT * x
    x1 = c - (c - x)
    x0 = x - x1
    c = SPLIT * scale
    s1 = c - (c - scale)
    s0 = scale - s1
    e = ((x1 * s1 - p) + x1 * s0 + x0 * s1) + x0 * s0
    if abs(p) >= 4503599627370496.0:  # whole already: the error decides
        down = math.floor(e)
        n = np.int64(p) + np.int64(down)
        if e - down > 0.5 or (e - down == 0.5 and n & 1):
            n += 1
        return int(n)
    if p - q == 0.5 and e > 0.0:
        q += 1.0
    elif p - q == -0.5 and e < 0.0:
        q -= 1.0
    return int(q)


@njit(cache=True)
def rounded(q: np.uint64, sticky: bool, exponent: int) -> float:
    """The float nearest to (q + something below 1 if `sticky`) * 2**exponent, ties to even.

    q        : uint64  its top bit is set
    sticky   : bool    there is more below the last bit
    exponent : int     far from the range of subnormal numbers
    """
    keep, rest = q >> SH11, q & BITS11
    if rest > HALF11 or (rest == HALF11 and (sticky or (keep & ONE) == ONE)):
        keep += ONE
    return math.ldexp(np.float64(keep), exponent + 11)


@njit(cache=True)
def quotient(high: int, low: int, divisor: int) -> float:
    """(high * 2**32 + low) / divisor, rounded once.

    high, low : int  limbs of the dividend, |high| < 2**61, 0 <= low < 2**63
    divisor   : int  1 <= divisor < 2**62
    """
    high += low >> 32
    low &= LOW
    if -SAFE < high < SAFE and divisor < 1 << 53:
        return np.float64((high << 32) + low) / np.float64(divisor)
    negative = high < 0
    if negative:  # two's complement of the pair
        high, low = (-high - 1, (1 << 32) - low) if low else (-high, 0)
    d, rest, q = U(divisor), U(0), U(0)
    sticky, exponent = False, 0
    for k in range(95, -1, -1):
        bit = U((high >> (k - 32)) & 1) if k >= 32 else U((low >> k) & 1)
        rest = rest + rest + bit
        one = rest >= d
        if one:
            rest -= d
        if q < TOP:
            q = q + q + (ONE if one else U(0))
        else:
            sticky = sticky or bool(one)
            exponent += 1
    if q == U(0) and rest == U(0):
        return 0.0
    while q < TOP:
        rest = rest + rest
        one = rest >= d
        if one:
            rest -= d
        q = q + q + (ONE if one else U(0))
        exponent -= 1
    x = rounded(q, sticky or bool(rest > U(0)), exponent)
    return -x if negative else x


@njit(cache=True)
def add_square(acc: I8, at: int, value: int, sign: int) -> None:
    """Add (`sign` 1) or take away (-1) value**2, as four limbs of 32 bits.

    acc   : (m,) int64  updated at `at` .. `at` + 3
    at    : int         the lowest limb
    value : int         |value| < 2**62
    sign  : int         1 or -1
    """
    a = U(abs(value))
    a0, a1 = a & LOW_U, a >> SH32
    p0, p1, p2 = a0 * a0, a0 * a1, a1 * a1
    mid = p1 + p1
    t = (p0 >> SH32) + (mid & LOW_U)
    s = (t >> SH32) + (mid >> SH32) + (p2 & LOW_U)
    acc[at] += sign * np.int64(p0 & LOW_U)
    acc[at + 1] += sign * np.int64(t & LOW_U)
    acc[at + 2] += sign * np.int64(s & LOW_U)
    acc[at + 3] += sign * np.int64((s >> SH32) + (p2 >> SH32))


@njit(cache=True)
def deviation(
    n: int, high: int, low: int, q0: int, q1: int, q2: int, q3: int, scale: float
) -> float:
    """Population standard deviation of n values from their exact sums; sqrt(n Q - S**2) / (n scale).

    n              : int    how many, >= 1
    high, low      : int    limbs of the sum S
    q0, q1, q2, q3 : int    sums of limbs of the squares, lowest first
    scale          : float  what the values were multiplied by
    """
    q1 += q0 >> 32
    q0 &= LOW
    q2 += q1 >> 32
    q1 &= LOW
    q3 += q2 >> 32
    q2 &= LOW
    high += low >> 32
    low &= LOW
    if q2 == 0 and q3 == 0 and q1 < 1 << 29 and np.float64(n) * np.float64((q1 << 32) + q0) < 4e18:
        s = (high << 32) + low  # |S| <= sqrt(n Q), so its square fits too
        return math.sqrt(np.float64(n * ((q1 << 32) + q0) - s * s)) / (np.float64(n) * scale)
    a, b = np.zeros(8, np.uint64), np.zeros(8, np.uint64)
    squares = (U(q0), U(q1), U(q2), U(q3 & LOW), U(q3 >> 32))
    carry = U(0)
    for k in range(5):
        t = squares[k] * U(n) + carry  # n < 2**31
        a[k], carry = t & LOW_U, t >> SH32
    a[5] = carry
    if high < 0:
        high, low = (-high - 1, (1 << 32) - low) if low else (-high, 0)
    part = (U(low), U(high & LOW), U(high >> 32))
    for i in range(3):
        carry = U(0)
        for k in range(3):
            t = part[i] * part[k] + b[i + k] + carry
            b[i + k], carry = t & LOW_U, t >> SH32
        b[i + 3] = carry
    borrow = U(0)
    for k in range(8):
        t = a[k] - b[k] - borrow
        a[k], borrow = t & LOW_U, (t >> SH32) & ONE
    top = 7
    while top >= 0 and a[top] == U(0):
        top -= 1
    if top < 0:
        return 0.0
    q, exponent, sticky = U(0), 0, False
    for k in range(32 * (top + 1) - 1, -1, -1):
        bit = (a[k >> 5] >> U(k & 31)) & ONE
        if q < TOP:
            q = q + q + bit
        else:
            sticky = sticky or bool(bit == ONE)
            exponent += 1
    while q < TOP:
        q = q + q
        exponent -= 1
    return math.sqrt(rounded(q, sticky, exponent)) / (np.float64(n) * scale)


@njit(cache=True)
def spread(n: int) -> int:
    """What `n` events of one value add to an entropy: n ln n in units of 2**-32, whole, so that it can be taken away.

    n : int  0 <= n < 2**26
    """
    return int(np.rint(np.float64(n) * log(np.float64(n)) * 4294967296.0)) if n > 1 else 0


@njit(cache=True)
def entropy(n: int, total: int) -> float:
    """Shannon's entropy in bits of `n` events, rounded to 1e-9; `total` is the sum of `spread` over their values.

    n     : int  1 <= n < 2**26
    total : int  see `spread`
    """
    nats = log(np.float64(n)) - np.float64(total) / (np.float64(n) * 4294967296.0)
    bits: float = np.rint(nats / 0.6931471805599453 * 1e9) / 1e9 + 0.0
    return bits
