"""Numbers and times in plain spelling; anything else is refused, and read by engine/quantities.py instead."""

import numpy as np
from numba import njit

from engine.scanning.kernels.words import U1

POWERS = np.array([10**k for k in range(19)], np.int64)
DIGITS_MAX = 15  # a float that equals a decimal of at most so many digits has no shorter one
NO_TIME = -(1 << 62)
END_US = 7_258_118_400_000_000  # 2200-01-01
DATED_START_US = -2_208_988_800_000_000  # 1900-01-01
DAY_US = 86_400_000_000

_PLACES = np.array([100_000, 10_000, 1_000, 100, 10, 1], np.int64)


@njit(cache=True)
def decimal(raw: U1, p: int) -> tuple[int, int, int, bool, bool]:
    """Read [-]digits[.digits]: where it ends (-1: it is none), magnitude, decimals, is it negative, is it JSON.

    The magnitude is the number without its point, -1 if it has more than 15 digits.

    raw : (z,) uint8  read up to the first byte that does not belong to it
    p   : int         first byte
    """
    negative = raw[p] == 45
    if negative:
        p += 1
    first, v, used = p, 0, 0
    while 48 <= raw[p] <= 57:
        v = int(v * 10 + (np.int64(raw[p]) - 48))
        used += v > 0
        if used > DIGITS_MAX:
            v = 1 << 30  # whatever comes, it has too many digits, and must not wrap
            used = 1 << 20
        p += 1
    if p == first:
        return -1, 0, 0, False, False
    is_json = raw[first] != 48 or p == first + 1
    decimals = 0
    if raw[p] == 46:
        p += 1
        point = p
        while 48 <= raw[p] <= 57:
            v = int(v * 10 + (np.int64(raw[p]) - 48))
            used += v > 0
            if used > DIGITS_MAX:
                v = 1 << 30
                used = 1 << 20
            p += 1
        decimals = p - point
        if decimals == 0:
            return -1, 0, 0, False, False
    if used > DIGITS_MAX or decimals > DIGITS_MAX:
        v = -1
    return p, v, decimals, negative, is_json


@njit(cache=True)
def minor_units(v: int, decimals: int, digits: int) -> int:
    """Minor units of a magnitude, -1 if the currency cannot hold it.

    v        : int  magnitude without its point, at most 15 digits
    decimals : int  how many of them stand after the point, at most 15
    digits   : int  decimals of the currency
    """
    if decimals <= digits:
        factor = POWERS[digits - decimals]
        return v * factor if v <= (1 << 53) // factor else -1
    unit = POWERS[decimals - digits]
    return v // unit if v % unit == 0 and v // unit <= 1 << 53 else -1


@njit(cache=True)
def digits_at(raw: U1, a: int, n: int) -> int:
    """The n digits at raw[a] as a number; very negative if one of them is no digit.

    raw : (z,) uint8  read
    a   : int         first byte
    n   : int         how many
    """
    v = 0
    for k in range(a, a + n):
        d = int(np.int64(raw[k]) - 48)
        v = v * 10 + d if 0 <= d <= 9 else -(1 << 50)
    return v


@njit(cache=True)
def day_at(raw: U1, a: int) -> int:
    """Days since 1970 of YYYY-MM-DD, years 1900 to 2199; NO_TIME if it is none.

    raw : (z,) uint8  read
    a   : int         first byte
    """
    if raw[a + 4] != 45 or raw[a + 7] != 45:
        return NO_TIME
    y, m, d = digits_at(raw, a, 4), digits_at(raw, a + 5, 2), digits_at(raw, a + 8, 2)
    if y < 1900 or y >= 2200 or m < 1 or m > 12 or d < 1:
        return NO_TIME
    is_leap = y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)
    last = 30 + ((m + (m >> 3)) & 1)
    if m == 2:
        last = 29 if is_leap else 28
    if d > last:
        return NO_TIME
    y -= m <= 2
    year = y % 400
    days = (y // 400) * 146_097 + year * 365 + year // 4 - year // 100
    return days + (153 * ((m + 9) % 12) + 2) // 5 + d - 1 - 719_468


@njit(cache=True)
def moment(raw: U1, a: int, b: int, dated: bool) -> int:
    """Microseconds since 1970 UTC of YYYY-MM-DDThh:mm:ss[.1-6 digits](Z|+hh:mm), or NO_TIME if it is not plainly one.

    raw   : (z,) uint8  read
    a, b  : int         first byte, and one past the last
    dated : bool        a plain date will do too, and the years begin with 1900
    """
    if b - a == 10 and dated:
        day = day_at(raw, a)
        return NO_TIME if day == NO_TIME else day * DAY_US
    if b - a < 20 or raw[a + 10] != 84 or raw[a + 13] != 58 or raw[a + 16] != 58:
        return NO_TIME
    day = day_at(raw, a)
    h, m, s = digits_at(raw, a + 11, 2), digits_at(raw, a + 14, 2), digits_at(raw, a + 17, 2)
    if day == NO_TIME or h < 0 or h > 23 or m < 0 or m > 59 or s < 0 or s > 59:
        return NO_TIME
    p, us = a + 19, 0
    if raw[p] == 46:
        p += 1
        first = p
        while 48 <= raw[p] <= 57:
            if p - first == 6:
                return NO_TIME
            us += (np.int64(raw[p]) - 48) * _PLACES[p - first]
            p += 1
        if p == first:
            return NO_TIME
    offset = 0
    if p + 1 == b and raw[p] == 90:
        pass
    elif p + 6 == b and (raw[p] == 43 or raw[p] == 45) and raw[p + 3] == 58:
        hours, minutes = digits_at(raw, p + 1, 2), digits_at(raw, p + 4, 2)
        if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
            return NO_TIME
        offset = (hours * 60 + minutes) * (60 if raw[p] == 43 else -60)
    else:
        return NO_TIME
    us += (day * 86_400 + h * 3_600 + m * 60 + s - offset) * 1_000_000
    return us if (DATED_START_US if dated else 0) <= us < END_US else NO_TIME
