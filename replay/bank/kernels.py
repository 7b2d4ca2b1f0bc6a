"""Compiled loops of the generator: columns to text, and account balances."""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

I8: TypeAlias = NDArray[np.int64]
U1: TypeAlias = NDArray[np.uint8]

# Forms of a field; messages.py says what each looks like. DAY, DEGREES and SIGNED may lie below zero;
# DEGREES, FLAG and INTEGER stand without quotes.
DAY, DEGREES, SIGNED, MONEY, TEXT, NUMBER, ACCOUNT, TIME, ADDRESS, FLAG, INTEGER = range(11)

MISSING = -(
    1 << 63
)  # no value, in forms that may lie below zero; in the others anything below zero says so
OUTSIDE = 1 << 40  # as table.OUTSIDE: account numbers from here on belong to other banks
MOBILE, FRESH = (
    100_000_000,
    500_000_000,
)  # where the numbers of two further kinds of addresses begin
CHUNK = 8  # bytes that are copied at a time; texts are followed by as many that may be read, lines overwritten
DAY_US = 86_400_000_000

_PAIRS = np.frombuffer("".join(f"{k:02d}" for k in range(100)).encode(), np.uint8)
_HUNDRED, _DOUBLE, _ONE = np.uint64(100), np.uint64(2), np.uint64(1)
_QUOTE, _POINT, _MINUS, _COMMA, _OPEN, _CLOSE, _LINE = 34, 46, 45, 44, 123, 125, 10


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def _put(out: U1, at: int, pool: U1, start: int, length: int) -> int:
    """Copy `length` bytes of `pool` to `out`, in whole chunks: what stands behind is overwritten by what follows."""
    done = 0
    while done < length:
        for k in range(CHUNK):
            # unsigned: numba then need not ask whether the index counts from the end, a third of the time
            out[np.uint64(at + done + k)] = pool[np.uint64(start + done + k)]
        done += CHUNK
    return at + length


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def _padded(out: U1, at: int, value: int, width: int) -> int:
    """Write `value` >= 0 with at least `width` digits, two at a time: each pair is a long way for a divider."""
    n = 1
    bound = 10
    while n < 19 and value >= bound:
        n += 1
        bound *= 10
    n = max(n, width)
    rest = np.uint64(value)
    k = n
    while k >= 2:
        shorter = rest // _HUNDRED
        pair = (rest - shorter * _HUNDRED) * _DOUBLE
        k -= 2
        out[np.uint64(at + k)] = _PAIRS[pair]
        out[np.uint64(at + k + 1)] = _PAIRS[pair + _ONE]
        rest = shorter
    if k == 1:
        out[np.uint64(at)] = _PAIRS[rest * _DOUBLE + _ONE]
    return at + n


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def _two(out: U1, at: int, value: int) -> int:
    """Write `value` in [0, 100) with two digits."""
    pair = np.uint64(value) * _DOUBLE
    out[np.uint64(at)] = _PAIRS[pair]
    out[np.uint64(at + 1)] = _PAIRS[pair + _ONE]
    return at + 2


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def _decimal(out: U1, at: int, value: int, digits: int) -> int:
    """Write `value` with its last `digits` behind a point, and no point if there are none."""
    if value < 0:
        out[at] = _MINUS
        at += 1
        value = -value
    if digits == 0:
        return _padded(out, at, value, 1)
    scale = 1
    for _ in range(digits):
        scale *= 10
    whole = value // scale
    at = _padded(out, at, whole, 1)
    out[at] = _POINT
    return _padded(out, at + 1, value - whole * scale, digits)


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def _date(out: U1, at: int, day: int) -> int:
    """Write the date of a day since 1970 (also before it), YYYY-MM-DD. After Howard Hinnant, civil_from_days."""
    z = day + 719_468
    era = z // 146_097
    doe = z - era * 146_097
    yoe = (doe - doe // 1_460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    year = yoe + era * 400 + (1 if month <= 2 else 0)
    at = _padded(out, at, year, 4)
    out[at] = _MINUS
    at = _two(out, at + 1, month)
    out[at] = _MINUS
    return _two(out, at + 1, doy - (153 * mp + 2) // 5 + 1)


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def _time(out: U1, at: int, time_us: int) -> int:
    """Write a time in UTC, YYYY-MM-DDThh:mm:ss.mmmZ."""
    day = time_us // DAY_US
    milli = (time_us - day * DAY_US) // 1_000
    at = _date(out, at, day)
    out[at] = 84
    second = milli // 1_000
    minute = second // 60
    hour = minute // 60
    at = _two(out, at + 1, hour)
    out[at] = 58
    at = _two(out, at + 1, minute - 60 * hour)
    out[at] = 58
    at = _two(out, at + 1, second - 60 * minute)
    out[at] = _POINT
    at = _padded(out, at + 1, milli - 1_000 * second, 3)
    out[at] = 90
    return at + 1


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def _address(out: U1, at: int, number: int) -> int:
    """Write an address: homes in 10.0.0.0/8, mobile networks in 240.0.0.0/8, fresh ones in 100.64.0.0/10."""
    if number < MOBILE:
        whole = (10 << 24) + number % (1 << 24)
    elif number < FRESH:
        whole = (240 << 24) + (number - MOBILE) % (1 << 24)
    else:
        whole = (100 << 24) + (64 << 16) + (number - FRESH) % (1 << 22)
    at = _padded(out, at, whole >> 24, 1)
    out[at] = _POINT
    at = _padded(out, at + 1, (whole >> 16) & 255, 1)
    out[at] = _POINT
    at = _padded(out, at + 1, (whole >> 8) & 255, 1)
    out[at] = _POINT
    return _padded(out, at + 1, whole & 255, 1)


@njit(cache=True, fastmath=False, error_model="numpy", forceinline=True)
def _value(
    out: U1,
    at: int,
    form: int,
    value: int,
    width: int,
    pool: U1,
    text: int,
    start: I8,
    length: I8,
) -> int:
    """Write one value without the quotes around it."""
    if form == TEXT:
        return _put(out, at, pool, start[text + value], length[text + value])
    if form == NUMBER:
        at = _put(out, at, pool, start[text], length[text])
        return _padded(out, at, value, width)
    if form == ACCOUNT:
        if value < OUTSIDE:
            out[at] = 65
            return _padded(out, at + 1, value + 1, 7)
        out[at] = 88
        return _padded(out, at + 1, value - OUTSIDE, 10)
    if form == TIME:
        return _time(out, at, value)
    if form == DAY:
        return _date(out, at, value)
    if form <= MONEY:
        return _decimal(out, at, value, width)
    if form == ADDRESS:
        return _address(out, at, value)
    if form == FLAG:
        return _put(out, at, pool, start[text + value], length[text + value])
    return _padded(out, at, value, 1)


@njit(cache=True, fastmath=False, error_model="numpy")
def render_lines(
    kind: I8,
    row: I8,
    values: I8,
    column: I8,
    first: I8,
    form: I8,
    key: I8,
    width: I8,
    scale: I8,
    digits: I8,
    text: I8,
    pool: U1,
    start: I8,
    length: I8,
    out: U1,
    end: I8,
) -> int:
    """Write one JSON object a message, each on a line of its own; return how many bytes were written.

    kind   : (n,) int64      what each message is, in [0, k)
    row    : (n,) int64      where its values stand in the columns of its kind
    values : (v,) int64      all columns, one after the other
    column : (f,) int64      where in `values` each field's column begins
    first  : (k + 1,) int64  fields of kind i are those from first[i] to first[i + 1], in the order of the line
    form   : (f,) int64      DAY .. INTEGER
    key    : (f,) int64      number of the text that stands before the value, from its comma to its opening quote
    width  : (f,) int64      NUMBER: least number of digits; MONEY, SIGNED, DEGREES: digits behind the point
    scale  : (f,) int64      MONEY: field of the same kind whose value picks from `digits`; -1: as `width` says
    digits : (c,) int64      digits behind the point by currency
    text   : (f,) int64      TEXT: number of the text of value 0; NUMBER: number of the prefix
    pool   : (p,) uint8      all texts, each followed by at least CHUNK bytes that may be read
    start  : (t,) int64      where in `pool` each text begins
    length : (t,) int64      its bytes
    out    : (m,) uint8      written; room for the longest line of each kind, and CHUNK bytes more
    end    : (n,) int64      written: where in `out` each line ends, its line end included

    A value below zero is left out with its key (DAY, DEGREES and SIGNED: MISSING is). O(bytes), no allocation.
    """
    at = 0
    for i in range(kind.shape[0]):
        k, r = kind[i], row[i]
        opened = at
        for f in range(first[k], first[k + 1]):
            value = values[column[f] + r]
            what = form[f]
            if value < 0 and (what > SIGNED or value == MISSING):
                continue
            at = _put(out, at, pool, start[key[f]], length[key[f]])
            places = width[f]
            if scale[f] >= 0:
                places = digits[values[column[scale[f]] + r]]
            at = _value(out, at, what, value, places, pool, text[f], start, length)
            if what < FLAG and what != DEGREES:
                out[at] = _QUOTE
                at += 1
        if at == opened:
            out[at] = _COMMA
            at += 1
        out[opened] = _OPEN
        out[at] = _CLOSE
        out[at + 1] = _LINE
        at += 2
        end[i] = at
    return at


@njit(cache=True, fastmath=False, error_model="numpy")
def render_values(
    values: I8,
    form: int,
    places: I8,
    pool: U1,
    text: int,
    start: I8,
    length: I8,
    out: U1,
    end: I8,
) -> int:
    """Write the values of one column one behind the other, as they stand between quotes; return how many bytes.

    values : (n,) int64      one field; values that are left out in `render_lines` are written as nothing
    form   : int             DAY .. INTEGER
    places : (n,) int64      of each row, as `width` of `render_lines`
    pool   : (p,) uint8      all texts
    text   : int             TEXT: number of the text of value 0; NUMBER: number of the prefix
    start  : (t,) int64      where in `pool` each text begins
    length : (t,) int64      its bytes
    out    : (m,) uint8      written
    end    : (n + 1,) int64  written: where each value begins, and last where it ends

    O(bytes), no allocation.
    """
    at = 0
    end[0] = 0
    for i in range(values.shape[0]):
        value = values[i]
        if value >= 0 or (form <= SIGNED and value != MISSING):
            at = _value(out, at, form, value, places[i], pool, text, start, length)
        end[i + 1] = at
    return at


@njit(cache=True, fastmath=False, error_model="numpy")
def book(account: I8, moved: I8, balance: I8, before: I8) -> None:
    """Book movements in order, and say what was on the account before each.

    account : (n,) int64  row of the account
    moved   : (n,) int64  fen, below zero: out of the account
    balance : (a,) int64  fen, updated in place
    before  : (n,) int64  written, fen

    O(n), no allocation.
    """
    for i in range(account.shape[0]):
        before[i] = balance[account[i]]
        balance[account[i]] += moved[i]
