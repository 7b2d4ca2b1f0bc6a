"""Values of messages to numbers, a whole column at a time: amounts, times, durations, numbers.

Each quantity has an exact reader of one value, which is the definition, and a fast reader of a column for values as
banks usually send them. What the fast reader does not take for granted it gives to the exact one, value by value; a
property test holds the two together. Nothing here knows fields, only values, none of which is None.

    read_X(values, ...) -> (array (n,), wrong)     wrong: position in values -> what is wrong with it
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.durations import duration_us
from config.errors import ConfigError
from config.money import MINOR_MAX, minor_units

F8: TypeAlias = NDArray[np.float64]
I8: TypeAlias = NDArray[np.int64]
B1: TypeAlias = NDArray[np.bool_]
Wrong: TypeAlias = dict[int, str]

START_US: Final = 0  # 1970-01-01
END_US: Final = 7_258_118_400_000_000  # 2200-01-01
DATED_START_US: Final = -2_208_988_800_000_000  # 1900-01-01, for dates of birth
SPAN_US_MAX: Final = MINOR_MAX  # of a duration: 285 years
FEW: Final = 8  # so many values are read one by one: a numpy call costs as much as a value
DIGITS_SURE: Final = (
    15  # a float that equals a decimal of at most so many digits has no shorter one
)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_US = dt.timedelta(microseconds=1)


# ---------------------------------------------------------------- money


def read_money(
    values: Sequence[str | float], digits: int, *, signed: bool = False
) -> tuple[I8, Wrong]:
    """Exact minor units of amounts in a currency with `digits` decimals."""
    if len(values) >= FEW:
        kinds = set(map(type, values))
        floats = None
        if kinds == {str}:
            floats = _plain_decimals(values, signed)  # type: ignore[arg-type]
        elif kinds <= {int, float}:
            try:
                floats = np.array(values, np.float64)
            except OverflowError:  # an integer of 400 digits
                floats = None
        if floats is not None:
            return _money_of_floats(values, floats, digits, signed)
    return _one_by_one(values, lambda value: minor_units(value, digits, signed=signed))


def _plain_decimals(values: Sequence[str], signed: bool) -> F8 | None:
    """Floats of decimal texts, or None if any of them is not plainly [-]digits[.digits] of at most 15 digits."""
    if max(map(len, values)) > DIGITS_SURE + 1:
        return None
    text = ",".join(values)
    if not text.isascii():
        return None
    raw = text.encode()
    if signed and b"-" in raw:  # a minus is fine before the first digit, and only there
        raw = raw.replace(b",-", b",").removeprefix(b"-")
    if raw.translate(None, b"0123456789.,") or raw.count(b",") != len(values) - 1:
        return None
    if b",." in raw or b".," in raw or raw[:1] == b"." or raw[-1:] == b".":
        return None
    try:
        return np.fromiter(map(float, values), np.float64, len(values))
    except ValueError:  # an empty text, or one with two points
        return None


def _money_of_floats(
    values: Sequence[str | float], floats: F8, digits: int, signed: bool
) -> tuple[I8, Wrong]:
    """Minor units of floats that are decimals of at most 15 digits; all others are read exactly."""
    scale = 10.0**digits
    limit = 10.0**DIGITS_SURE
    scaled = np.rint(np.clip(floats, -limit, limit) * scale)
    sure = (np.abs(scaled) < limit) & (scaled / scale == floats)
    if not signed:
        sure &= ~np.signbit(floats)
    minor = np.where(sure, scaled, 0).astype(np.int64)
    if sure.all():
        return minor, {}
    doubtful = np.flatnonzero(~sure).tolist()
    few, wrong = _one_by_one(
        [values[i] for i in doubtful], lambda value: minor_units(value, digits, signed=signed)
    )
    minor[doubtful] = few
    return minor, {doubtful[k]: why for k, why in wrong.items()}


# ---------------------------------------------------------------- time


def time_us(value: str | int, *, dated: bool = False) -> int:
    """Microseconds UTC of an RFC 3339 text with offset, or of epoch milliseconds; ValueError with a reason.

    `dated`: a plain date (midnight UTC) will do too, and the years begin with 1900.
    """
    if isinstance(value, str):
        try:
            if dated and len(value) == 10:
                day = msgspec.convert(value, dt.date)
                moment = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
            else:
                moment = msgspec.convert(value, dt.datetime)
        except msgspec.ValidationError:
            raise ValueError("not a time like 2026-03-02T10:00:09Z") from None
        if moment.tzinfo is None:
            raise ValueError("a time without an offset")
        us = (moment - _EPOCH) // _US
    else:
        us = value * 1_000
    if not (DATED_START_US if dated else START_US) <= us < END_US:
        raise ValueError(f"outside the years {1900 if dated else 1970} to 2199")
    return us


def read_times(values: Sequence[str | int], *, dated: bool = False) -> tuple[I8, Wrong]:
    """Microseconds UTC of times, each as `time_us` reads it."""
    if len(values) < FEW:
        return _one_by_one(values, lambda value: time_us(value, dated=dated))
    kinds = set(map(type, values))
    out = np.full(len(values), -1, np.int64)
    if kinds == {int}:
        try:
            milliseconds = np.array(values, np.int64)
        except OverflowError:
            return _one_by_one(values, lambda value: time_us(value, dated=dated))
        sure = (milliseconds >= 0) & (milliseconds < END_US // 1_000)
        out[sure] = milliseconds[sure] * 1_000
    elif kinds == {str}:
        _texts_to_times(values, out)  # type: ignore[arg-type]
    if (out >= 0).all():
        return out, {}
    doubtful = np.flatnonzero(out < 0).tolist()
    few, wrong = _one_by_one(
        [values[i] for i in doubtful], lambda value: time_us(value, dated=dated)
    )
    out[doubtful] = few
    return out, {doubtful[k]: why for k, why in wrong.items()}


def _texts_to_times(values: Sequence[str], out: I8) -> None:
    """Write the times whose text is YYYY-MM-DDThh:mm:ss[.1-6 digits](Z|+hh:mm) to `out`, -1 elsewhere."""
    lengths = set(map(len, values))
    if len(lengths) == 1:
        _equal_texts_to_times(values, lengths.pop(), out)
        return
    length_of = np.fromiter(map(len, values), np.int64, len(values))
    for length in lengths:
        at = np.flatnonzero(length_of == length)
        few = np.full(len(at), -1, np.int64)
        _equal_texts_to_times([values[i] for i in at.tolist()], length, few)
        out[at] = few


_DATE_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])
_YEAR_DAYS = np.array([(dt.date(y, 1, 1) - dt.date(1970, 1, 1)).days for y in range(1970, 2201)])
_MONTH_DAYS = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])
_MONTH_LENGTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0])


def _equal_texts_to_times(values: Sequence[str], length: int, out: I8) -> None:
    if not 20 <= length <= 32:
        return
    text = "".join(values)
    if not text.isascii():
        return
    raw = np.frombuffer(text.encode(), np.uint8).reshape(len(values), length).T.copy()
    digit = raw - 48  # wraps below "0"
    sure = (digit[_DATE_DIGITS] <= 9).all(axis=0)
    for at, mark in ((4, 45), (7, 45), (10, 84), (13, 58), (16, 58)):  # - - T : :
        sure &= raw[at] == mark
    number = digit.astype(np.int64)
    year = number[0] * 1_000 + number[1] * 100 + number[2] * 10 + number[3]
    month, day = number[5] * 10 + number[6], number[8] * 10 + number[9]
    hour, minute = number[11] * 10 + number[12], number[14] * 10 + number[15]
    second = number[17] * 10 + number[18]
    sure &= (year >= 1970) & (year < 2200) & (month >= 1) & (month <= 12) & (day >= 1)
    sure &= (hour <= 23) & (minute <= 59) & (second <= 59)
    year, month = np.where(sure, year, 1970), np.where(sure, month, 1)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    sure &= day <= _MONTH_LENGTH[month] + (leap & (month == 2))
    days = _YEAR_DAYS[year - 1970] + _MONTH_DAYS[month] + (leap & (month > 2)) + day - 1
    us = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000
    rest, is_rest = _fraction_and_offset(raw, number, length)
    us += rest
    sure &= is_rest & (us >= START_US) & (us < END_US)
    out[sure] = us[sure]


def _fraction_and_offset(raw: NDArray[np.uint8], number: I8, length: int) -> tuple[I8, B1]:
    """What stands after the seconds, as microseconds to add, and where it is well formed."""
    zulu, us = _fraction(raw, number, length - 1)
    zulu &= raw[length - 1] == 90
    if length < 25:
        return us, zulu
    sign = raw[length - 6]
    places = number[[length - 5, length - 4, length - 2, length - 1]]
    hours, minutes = places[0] * 10 + places[1], places[2] * 10 + places[3]
    plain, fraction_us = _fraction(raw, number, length - 6)
    plain &= ((sign == 43) | (sign == 45)) & (raw[length - 3] == 58)
    plain &= ((places >= 0) & (places <= 9)).all(axis=0) & (hours <= 23) & (minutes <= 59)
    offset_us = (hours * 60 + minutes) * 60_000_000
    shifted = fraction_us + np.where(sign == 43, -offset_us, offset_us)
    return np.where(zulu, us, shifted), zulu | plain


def _fraction(raw: NDArray[np.uint8], number: I8, end: int) -> tuple[B1, I8]:
    """Whether places 19 to `end` are nothing, or a point and 1 to 6 digits; and their microseconds."""
    n = raw.shape[1]
    us = np.zeros(n, np.int64)
    if end == 19:
        return np.ones(n, np.bool_), us
    if not 21 <= end <= 26:
        return np.zeros(n, np.bool_), us
    sure = raw[19] == 46
    for at, unit in zip(range(20, end), (100_000, 10_000, 1_000, 100, 10, 1), strict=False):
        sure &= (number[at] >= 0) & (number[at] <= 9)
        us += number[at] * unit
    return sure, us


# ---------------------------------------------------------------- durations, numbers


def span_us(value: str | float) -> int:
    """Microseconds of a number of seconds or a text such as 1h30m; ValueError with a reason."""
    if isinstance(value, str):
        if len(value) > 40:
            raise ValueError("not a duration like 90s or 1h30m")
        try:
            us = duration_us(value)
        except ConfigError:
            raise ValueError("not a duration like 90s or 1h30m") from None
    else:
        try:
            us = round(float(value) * 1e6)
        except OverflowError:
            us = MINOR_MAX + 1
    if abs(us) > SPAN_US_MAX:
        raise ValueError("longer than 285 years")
    return us


def read_spans(values: Sequence[str | float]) -> tuple[I8, Wrong]:
    """Microseconds of durations, each as `span_us` reads it."""
    return _one_by_one(values, span_us)


def read_numbers(
    values: Sequence[float], decimals: int, low: float | None, high: float | None
) -> tuple[F8, Wrong]:
    """Check numbers: inside `low` to `high`, and small enough to be kept as integers of `decimals` decimals."""
    numbers = np.array(values, np.float64)
    limit = MINOR_MAX / 10.0**decimals
    reasons: list[tuple[B1, str]] = [(~(np.abs(numbers) <= limit), f"larger than {limit:.4g}")]
    if low is not None:
        reasons.append((numbers < low, f"below {low:g}"))
    if high is not None:
        reasons.append((numbers > high, f"above {high:g}"))
    wrong: Wrong = {}
    for mask, why in reasons:
        if mask.any():
            wrong |= dict.fromkeys(np.flatnonzero(mask).tolist(), why)
    return numbers, wrong


def _one_by_one(values: Sequence[Any], read: Callable[[Any], int]) -> tuple[I8, Wrong]:
    out, wrong = np.zeros(len(values), np.int64), Wrong()
    for i, value in enumerate(values):
        try:
            out[i] = read(value)
        except ValueError as error:
            wrong[i] = str(error)
    return out, wrong
