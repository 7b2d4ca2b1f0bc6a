"""The interpreter that runs compiled rules, and the arithmetic that it may not take from libm.

`interpret` is the one kernel behind conditions, scores, filters, arguments and derived columns. A program is rows of
an instruction array (rules/compile.py writes them), so nothing is compiled when an analyst saves a rule. Instructions
stand outside, rows of the batch inside, in blocks of at most 256 rows: dispatch is paid once a block.

Truth is one int16 a row: 0 no, 32767 yes, anything between is missing and says *which* operand was missing. `and` is
min, `or` is max: leaves are numbered left to right under `and`, right to left under `or`, so the first operand that is
responsible survives for nothing. Numbers are float64 with NaN for missing, codes int32 with -1.

Sine, cosine, arc sine and logarithm are the polynomials of fdlibm (Sun Microsystems 1993) with + - * / and sqrt
only: libm gives other bits on other machines. No text is here; see rules/texts.py for tables over dictionary codes.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numba.np.numpy_support import carray
from numpy.typing import NDArray

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]
I2: TypeAlias = NDArray[np.int16]
I4: TypeAlias = NDArray[np.int32]
U4: TypeAlias = NDArray[np.uint32]
F8: TypeAlias = NDArray[np.float64]
B1: TypeAlias = NDArray[np.bool_]

TRUE: Final = 32_767
NO_RESULT: Final = -2  # in a plane of reasons: all operands are there, the arithmetic has no result
BLOCK: Final = 256
DOMAIN_AT, FILTERS_AT = 7, 8  # places in a job
LESS, EQUAL, GREATER = 1, 2, 4  # flags of a comparison: which outcomes make it true

# Opcodes. Operands in comments: p plane (truth), r register (number), c register (code); the target comes first.
# fmt: off
(
    # truth from the frame: the hot ones
    COMPARE_CONST,      # p, number row, constant; missing; flags
    COMPARE_COLUMNS,    # p, number row, number row; missing; flags
    IN,                 # p, code row, table; missing; 1 negated (the rest is for IN_DATED)
    BETWEEN_CONST,      # p, number row, constant (low; high next); missing; 1 negated + 2 wraps
    AND, OR,            # p, p
    SKIP_RULES,         # p, first of rules, how many of them; -, where to go on: if no row of the block is set
    RULE,               # p, rule: write the truth
    MISSING_NUMBER,     # p, number row; extra 1: missing is true, 0: present is true
    MISSING_CODE,       # p, code row; the same
    PLANE_CONST,        # p; extra: the value
    BLAME,              # p, first of operands, how many; missing: its number + which operand was missing
    RULES_ALL_OF,       # p and the next, place, how many rules; -, gate (p) or -1: see Builder.all_of
    # truth from registers
    COMPARE,            # p, r, r; missing; flags
    BETWEEN,            # p, r, r (low; high next); missing; 1 negated + 2 wraps
    IN_REGISTER,        # p, c, table; missing; 1 negated (the rest is for IN_DATED_REGISTER)
    IN_NUMBERS,         # p, r, constant (pairs low, high); missing; 1 negated + 2 * pairs
    EQUAL_CODE,         # p, c, c; missing; 1 negated
    MISSING_REGISTER,   # p, r; extra as above
    MISSING_CODED,      # p, c; extra as above
    DOMAIN,             # p; extra: mask of domains that are in
    # truth from truth, and which operand was missing
    SELECT_PLANE,       # p (condition, replaced), p, p
    COALESCE_PLANE,     # p, p: keep the first unless it is missing and the second is not
    COUNT_CLEAR,        # p and the next two: trues, missing ones, first missing
    COUNT,              # p as above, p: count one more
    AT_LEAST,           # p as above, how many, of how many; -; 1 negated
    WHY,                # p, first of operands, how many; missing: 0 where all are there, else missing + which
    WHY_FIRST,          # p, p: keep the first unless it is 0, or says "no result" and the second knows better
    WHY_KEEP,           # p, r: 0 where r is there
    WHY_KEEP_CODE,      # p, c: the same
    WHY_COMPUTED,       # p, r: NO_RESULT where r is missing and p is 0
    WHY_SELECT,         # p, p, p; -, truth plane: what the branch says, or what the condition says
    WHY_TRUTH,          # p: 0 where true
    FILL,               # p, p; missing: where the first is -1 take the second; what NO_RESULT stands for
    FILTER,             # p, filter row: write whether true
    FIRST_TRUE,         # p, rule; extra: write extra if true and nothing is written yet
    # numbers
    LOAD,               # r, number row
    CONST,              # r, constant
    COPY,               # r, r
    ADD, SUB, MUL, DIV, # r, r: in place, for LLVM does not vectorise a loop whose target may be an operand
    MOD, MIN, MAX,      # r, r: in place
    NEG, ABS, FLOOR, ROUND, LOG,                # r in place
    HOUR, WEEKDAY, LOCAL_TIME, DATE,            # r in place, zone
    AGE,                # r in place (event time; the other next), zone; -; 0 years 1 months 2 days
    DISTANCE,           # r in place (first of four)
    TABLE,              # r, c, table
    SELECT,             # r, r: in place, the second where p (extra) is false, missing where p is
    COALESCE,           # r, r: in place
    TRUTH_NUMBER,       # r, p
    STORE,              # r, number row; extra 1: only where the column is missing
    # codes
    LOAD_CODE,          # c, code row
    CONST_CODE,         # c, place of the code
    MAP,                # c, c, table
    SELECT_CODE,        # c, c: in place; p (extra)
    COALESCE_CODE,      # c, c: in place
    STORE_CODE,         # c, code row; extra as in STORE
    # truth of lists whose rows hold for a time only
    IN_DATED,           # p, code row, table; missing; 1 negated + 2 * (place of the time row and of the times)
    IN_DATED_REGISTER,  # p, c, table; missing; the same
    IN_NUMBERS_DATED,   # p, r, place of the time row and of the ranges; missing; 1 negated
) = range(71)
# fmt: on

_DAY_US: Final = 86_400_000_000
_HOUR_US: Final = 3_600_000_000
_TIME_MAX: Final = (
    9.0e15  # about the year 2255; beyond that a float64 no longer holds every microsecond
)

_LADDER = np.array([512, 256, 128, 64, 32, 16, 8, 4, 2, 1])
_UP = 2.0 ** _LADDER.astype(np.float64)
_DOWN = 2.0 ** -_LADDER.astype(np.float64)
_RADIAN: Final = 0.017453292519943295
_EARTH_KM: Final = 6371.0088  # mean radius, IUGG


@njit(cache=True, fastmath=False, error_model="numpy")
def log(x: float) -> float:
    """Return the natural logarithm, NaN unless 0 < x < inf; within 1 ulp.

    x : float64  any

    fdlibm e_log.c; the exponent is taken out by multiplying with powers of two, which is exact.
    """
    if not 0.0 < x < np.inf:
        return np.nan
    k = 0
    if x < 2.2250738585072014e-308:
        x *= 18014398509481984.0
        k = -54
    if x >= 2.0:
        for j in range(10):
            if x >= _UP[j]:
                x *= _DOWN[j]
                k += _LADDER[j]
    elif x < 1.0:
        for j in range(10):
            if x < 2.0 * _DOWN[j]:
                x *= _UP[j]
                k -= _LADDER[j]
    if x > 1.4142135623730951:
        x *= 0.5
        k += 1
    f = x - 1.0
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
    tail = s * (half + (odd + even)) + k * 1.90821492927058770002e-10
    return float(k * 6.93147180369123816490e-01 - ((half - tail) - f))


@njit(cache=True, fastmath=False, error_model="numpy")
def _sine(x: float) -> float:
    """Return the sine of `x` radians, |x| <= pi / 4.

    x : float64  radians
    """
    z = x * x
    r = 8.33333333332248946124e-03 + z * (
        -1.98412698298579493134e-04
        + z
        * (
            2.75573137070700676789e-06
            + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)
        )
    )
    return x + z * x * (-1.66666666666666324348e-01 + z * r)


@njit(cache=True, fastmath=False, error_model="numpy")
def _cosine(x: float) -> float:
    """Return the cosine of `x` radians, |x| <= pi / 4.

    x : float64  radians
    """
    z = x * x
    r = z * (
        4.16666666666666019037e-02
        + z
        * (
            -1.38888888888741095749e-03
            + z
            * (
                2.48015872894767294178e-05
                + z
                * (
                    -2.75573143513906633035e-07
                    + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)
                )
            )
        )
    )
    half = 0.5 * z
    w = 1.0 - half
    return w + (((1.0 - w) - half) + z * r)


@njit(cache=True, fastmath=False, error_model="numpy")
def sine_degrees(x: float) -> float:
    """Return the sine of an angle in degrees; the reduction is exact, hence no error near multiples of 90.

    x : float64  degrees, |x| <= 180
    """
    a = abs(x)
    if a > 90.0:
        a = 180.0 - a
    s = _sine(a * _RADIAN) if a <= 45.0 else _cosine((90.0 - a) * _RADIAN)
    return -s if x < 0.0 else s


@njit(cache=True, fastmath=False, error_model="numpy")
def _arc_part(z: float) -> float:
    """Return (asin(x) - x) / x for z = x * x, x <= 0.5: the rational function of fdlibm e_asin.c.

    z : float64  0 <= z <= 0.25
    """
    p = z * (
        1.66666666666666657415e-01
        + z
        * (
            -3.25565818622400915405e-01
            + z
            * (
                2.01212532134862925881e-01
                + z
                * (
                    -4.00555345006794114027e-02
                    + z * (7.91534994289814532176e-04 + z * 3.47933107596021167570e-05)
                )
            )
        )
    )
    q = 1.0 + z * (
        -2.40339491173441421878e00
        + z
        * (
            2.02094576023350569471e00
            + z * (-6.88283971605453293030e-01 + z * 7.70381505559019352791e-02)
        )
    )
    return p / q


@njit(cache=True, fastmath=False, error_model="numpy")
def arc_sine(x: float) -> float:
    """Return the arc sine in radians; within 2 ulp.

    x : float64  0 <= x <= 1
    """
    if x <= 0.5:
        return x + x * _arc_part(x * x)
    z = (1.0 - x) * 0.5
    s = float(np.sqrt(z))
    return 1.57079632679489655800 - (2.0 * (s + s * _arc_part(z)) - 6.12323399573676603587e-17)


@njit(cache=True, fastmath=False, error_model="numpy")
def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance in km (haversine), NaN for what is no place on Earth.

    lat1 : float64  degrees, -90..90
    lon1 : float64  degrees, -180..180
    lat2 : float64  degrees, -90..90
    lon2 : float64  degrees, -180..180
    """
    if not (abs(lat1) <= 90.0 and abs(lat2) <= 90.0 and abs(lon1) <= 180.0 and abs(lon2) <= 180.0):
        return np.nan
    across = sine_degrees((lat2 - lat1) * 0.5)
    along = sine_degrees((lon2 - lon1) * 0.5)
    both = sine_degrees(90.0 - abs(lat1)) * sine_degrees(90.0 - abs(lat2))
    a = across * across + both * (along * along)
    return float(2.0 * _EARTH_KM * arc_sine(min(1.0, np.sqrt(a))))


@njit(cache=True, fastmath=False)
def edit_distance(a: U4, b: U4) -> int:
    """Return how many edits make `b` of `a`: insert, delete, replace, swap two neighbours.

    a : (m,) uint32  code points
    b : (n,) uint32  code points

    Optimal string alignment: no part is edited twice. O(m n) time, three rows of memory.
    """
    m, n = a.shape[0], b.shape[0]
    rows = np.empty((3, n + 1), np.int64)
    for j in range(n + 1):
        rows[0, j] = j
    for i in range(1, m + 1):
        now, last, before = i % 3, (i - 1) % 3, (i - 2) % 3
        rows[now, 0] = i
        for j in range(1, n + 1):
            same = a[i - 1] == b[j - 1]
            best = rows[last, j - 1] + (0 if same else 1)
            best = min(best, rows[last, j] + 1, rows[now, j - 1] + 1)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                best = min(best, rows[before, j - 2] + 1)
            rows[now, j] = best
    return int(rows[m % 3, n])


@njit(cache=True, fastmath=False)
def _offset_place(reals: F8, zone: int, time_us: float) -> int:
    """Return how many transitions of the zone lie at or before a time.

    reals   : (q,) float64  constants; a zone is n, n transitions, n + 1 offsets
    zone    : int           where the zone stands in `reals`
    time_us : float64       microseconds UTC
    """
    low, high = 0, int(reals[zone])
    while low < high:
        middle = (low + high) // 2
        if reals[zone + 1 + middle] <= time_us:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, fastmath=False)
def _local_us(reals: F8, zone: int, time_us: float) -> int:
    """Return the wall clock at a time, as microseconds since 1970 on that clock.

    reals   : (q,) float64  see `_offset_place`
    zone    : int           where the zone stands in `reals`
    time_us : float64       microseconds UTC, finite, |time_us| < 9e15
    """
    at = _offset_place(reals, zone, time_us)
    return int(np.floor(time_us)) + int(reals[zone + 1 + int(reals[zone]) + at])


@njit(cache=True, fastmath=False)
def _midnight_us(reals: F8, zone: int, time_us: float) -> float:
    """Return the instant at which the local day of a time began, microseconds UTC.

    reals   : (q,) float64  see `_offset_place`
    zone    : int           where the zone stands in `reals`
    time_us : float64       microseconds UTC, finite, |time_us| < 9e15

    Where the clock jumps over midnight the day begins with the jump; where it strikes twice, at the first.
    """
    n = int(reals[zone])
    offsets = zone + 1 + n
    at = _offset_place(reals, zone, time_us)
    wall = int(np.floor(time_us)) + int(reals[offsets + at])
    wall -= wall % _DAY_US
    while at > 0 and wall < reals[zone + at] + max(reals[offsets + at - 1], reals[offsets + at]):
        at -= 1
    return float(wall - reals[offsets + at])


@njit(cache=True, fastmath=False)
def _civil(day: int) -> tuple[int, int, int]:
    """Return year, month and day of the month of a day of the Gregorian calendar.

    day : int64  days since 1970-01-01

    H. Hinnant, chrono-compatible low-level date algorithms, civil_from_days.
    """
    z = day + 719_468
    era = z // 146_097
    of_era = z - era * 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    mday = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year + era * 400 + (1 if month <= 2 else 0), month, mday


@njit(cache=True, fastmath=False)
def _age(later_us: int, earlier_us: int, unit: int) -> float:
    """Return how many whole years (0), months (1) or days (2) lie between two dates.

    later_us   : int64  wall clock, microseconds
    earlier_us : int64  wall clock, microseconds
    unit       : int64  0, 1 or 2
    """
    later, earlier = later_us // _DAY_US, earlier_us // _DAY_US
    if unit == 2:
        return float(later - earlier)
    y2, m2, d2 = _civil(later)
    y1, m1, d1 = _civil(earlier)
    months = (y2 - y1) * 12 + m2 - m1 - (1 if d2 < d1 else 0)
    return float(months if unit == 1 else months // 12)


@njit(cache=True, fastmath=False)
def _holds_at(reals: F8, begin: int, code: int, time_us: float) -> int:
    """Return whether a text is in a list at a time: 1 or 0.

    reals   : (q,) float64  constants; times are n, then n rows of code, from, until (not inside), ascending
    begin   : int           where the times stand in `reals`
    code    : int           of the text
    time_us : float64       microseconds UTC; NaN is no time, at which nothing holds that has an end or a beginning

    Two rows of one code neither touch nor overlap. O(log n + rows of the code).
    """
    n = int(reals[begin])
    first = begin + 1
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if reals[first + 3 * middle] < code:
            low = middle + 1
        else:
            high = middle
    while low < n and reals[first + 3 * low] == code:
        if reals[first + 3 * low + 1] <= time_us < reals[first + 3 * low + 2]:
            return 1
        low += 1
    return 0


@njit(cache=True, fastmath=False)
def _is_inside(reals: F8, begin: int, x: float, time_us: float) -> bool:
    """Return whether a number is in a list at a time.

    reals   : (q,) float64  constants; ranges are n, then n rows of low, high (both inside), from, until (not inside)
    begin   : int           where the ranges stand in `reals`
    x       : float64       the number; NaN is in no range
    time_us : float64       microseconds UTC; NaN is no time, at which only rows without dates hold

    O(n).
    """
    for k in range(int(reals[begin])):
        at = begin + 1 + 4 * k
        if reals[at] <= x <= reals[at + 1]:
            start, end = reals[at + 2], reals[at + 3]
            if start <= time_us < end or (start == -np.inf and end == np.inf):
                return True
    return False


def scratch_bytes(n_plane: int, n_number: int, n_code: int) -> int:
    """Return how much scratch memory a program with so many planes and registers needs, in bytes."""
    return BLOCK * (8 * n_number + 4 * n_code + 2 * n_plane) + 6


def _pointer(_typing: Any, _address: Any) -> Any:
    """Say how to make a pointer of a number, in LLVM."""

    def pointer(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.inttoptr(given[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.int64), pointer


_memory: Any = intrinsic(_pointer)  # the memory at an address, for `carray`

# The only explicit signature: helpers are compiled into their callers, and each one loaded by itself at import
# would cost some 20 ms of every command's start.
_SIGNATURE = "int64(int64[::1], float64[:,::1], int32[:,::1], int16[:,::1])"


@njit(_SIGNATURE, cache=True, fastmath=False, error_model="numpy")
def interpret(job: I8, number: F8, category: I4, truth: I2) -> int:
    """Run a program over every row of a frame; return how often a rule fired in a block, 0 if none did.

    job      : (9,) int64      what is the same for each batch, prepared once; see below
    number   : (c, n) float64  number columns of the frame, rows last; read, and written by STORE
    category : (k, n) int32    code columns of the frame; read, and written by STORE_CODE
    truth    : (r, n) int16    written by RULE, SKIP_RULES, RULES_ALL_OF and FIRST_TRUE

    An array costs some 40 ns to hand over, a new one in here as much, and a batch of one row takes half a microsecond:
    so a job has addresses. It is: where the tables are, the instructions, how many, truth planes, number registers,
    code registers, scratch memory (`scratch_bytes`), domain and filters. The tables are six numbers, ever at the same
    address: where `ints` begins and how long it is, the same of `reals` and `flags`.

    Instructions are (m, 6) int32: opcode, target, a, b, missing, extra; see the opcodes above. `ints`, int32, has lists
    of operands and rules, where tables begin, codes of constants, code tables; `reals`, float64, constants, zones and
    number tables; `flags`, int8, truth tables over codes: 0, 1, or -1 missing. Domain, (n,) int8, is what a row is to
    DOMAIN; filters, (f, n) bool, are written by FILTER; address 0 where these do not occur.

    Tables over codes stand in `ints`, `reals` or `flags` from place `ints[table]` on: the answer for missing, then
    for code 0, 1, ... A code must be below the number of texts at the last `refresh`. Operands in lists: a number
    row, or -1 - code row. Each row depends on itself alone. No views (`x = number[a]`) anywhere: a view costs two
    atomic counts, 5 times the work at batch 1. Rows are indexed by unsigned numbers, for signed ones are tested for
    being negative, and no loop with such a test vectorises (4 times slower); nor does one that compares and joins at
    once. O(m n); allocates nothing.
    """
    n = number.shape[1]
    tables = carray(_memory(job[0]), 6, np.int64)
    ints = carray(_memory(tables[0]), tables[1], np.int32)
    reals = carray(_memory(tables[2]), tables[3], np.float64)
    flags = carray(_memory(tables[4]), tables[5], np.int8)
    n_instruction, n_plane, n_number, n_code, scratch = job[2], job[3], job[4], job[5], job[6]
    code = carray(_memory(job[1]), (n_instruction, 6), np.int32)
    reg = carray(_memory(scratch), (n_number, BLOCK), np.float64)
    scratch += 8 * BLOCK * n_number
    creg = carray(_memory(scratch), (n_code, BLOCK), np.int32)
    scratch += 4 * BLOCK * n_code
    plane = carray(_memory(scratch), (n_plane, BLOCK), np.int16)
    scratch += 2 * BLOCK * n_plane
    pick = carray(
        _memory(scratch), 3, np.int16
    )  # a branch on each answer costs three times as much
    domain = carray(_memory(job[DOMAIN_AT]), n, np.int8)
    filters = carray(_memory(job[FILTERS_AT]), (1, n), np.bool_)
    fired = 0
    for lo in range(0, n, BLOCK):
        m = min(BLOCK, n - lo)
        # Unsigned: numba tests signed indices for being negative, and such loops do not vectorise.
        base = np.uint64(lo)
        pc = 0
        while pc < code.shape[0]:
            op, to, a, b, extra = code[pc, 0], code[pc, 1], code[pc, 2], code[pc, 3], code[pc, 5]
            missing = np.int16(code[pc, 4])
            pc += 1
            if op == COMPARE_CONST:
                less = np.int16(TRUE if extra & 1 else 0)
                equal = np.int16(TRUE if extra & 2 else 0)
                more = np.int16(TRUE if extra & 4 else 0)
                y0 = reals[b]
                for i in range(m):
                    x0 = number[a, base + np.uint64(i)]
                    plane[to, i] = (
                        less if x0 < y0 else (equal if x0 == y0 else (more if x0 > y0 else missing))
                    )
            elif op == COMPARE_COLUMNS:
                less = np.int16(TRUE if extra & 1 else 0)
                equal = np.int16(TRUE if extra & 2 else 0)
                more = np.int16(TRUE if extra & 4 else 0)
                for i in range(m):
                    x1, y1 = number[a, base + np.uint64(i)], number[b, base + np.uint64(i)]
                    plane[to, i] = (
                        less if x1 < y1 else (equal if x1 == y1 else (more if x1 > y1 else missing))
                    )
            elif op == IN:
                at = ints[b] + 1
                pick[0] = missing
                pick[1] = TRUE if extra & 1 else 0
                pick[2] = 0 if extra & 1 else TRUE
                for i in range(m):
                    plane[to, i] = pick[
                        np.uint64(1 + flags[np.uint64(at + category[a, base + np.uint64(i)])])
                    ]
            elif op == RULES_ALL_OF:
                place = np.uint64(a)
                for _ in range(b):
                    rule, end = (
                        np.uint64(ints[place]),
                        place + np.uint64(4 * ints[place + np.uint64(1)] + 2),
                    )
                    place += np.uint64(2)
                    if m == 1:  # in a register: a third of the time of loops that run once
                        left = TRUE if extra < 0 else int(plane[extra, 0])
                        while place < end and left != 0:
                            x0 = number[np.uint64(ints[place]), base]
                            y0 = reals[np.uint64(ints[place + np.uint64(1)])]
                            outcome = int(x0 < y0) | int(x0 == y0) << 1 | int(x0 > y0) << 2
                            answer = TRUE if outcome & ints[place + np.uint64(3)] else 0
                            left = min(left, answer if outcome else ints[place + np.uint64(2)])
                            place += np.uint64(4)
                        truth[rule, base] = left
                        fired += int(left == TRUE)
                    else:
                        first = place
                        while place < end:
                            row, y0 = ints[place], reals[ints[place + np.uint64(1)]]
                            missing, asked = (
                                np.int16(ints[place + np.uint64(2)]),
                                ints[place + np.uint64(3)],
                            )
                            less = np.int16(TRUE if asked & LESS else 0)
                            equal = np.int16(TRUE if asked & EQUAL else 0)
                            more = np.int16(TRUE if asked & GREATER else 0)
                            now = to if place == first else to + 1
                            for i in range(m):
                                x0 = number[row, base + np.uint64(i)]
                                plane[now, i] = (
                                    less
                                    if x0 < y0
                                    else (equal if x0 == y0 else (more if x0 > y0 else missing))
                                )
                            other = extra if place == first else now
                            if other >= 0:
                                for i in range(m):
                                    plane[to, i] = min(plane[to, i], plane[other, i])
                            top = np.int16(0)
                            for i in range(m):
                                top = max(top, plane[to, i])
                            if top == 0:
                                break
                            place += np.uint64(4)
                        for i in range(m):
                            truth[rule, base + np.uint64(i)] = plane[to, i]
                        fired += int(top == TRUE)
                    place = end
            elif op == AND:
                for i in range(m):
                    plane[to, i] = min(plane[to, i], plane[a, i])
            elif op == OR:
                for i in range(m):
                    plane[to, i] = max(plane[to, i], plane[a, i])
            elif op == SKIP_RULES:
                some = np.int16(0)
                for i in range(m):
                    some |= plane[to, i]
                if some == 0:
                    for k in range(b):
                        rule = ints[a + k]
                        for i in range(m):
                            truth[rule, base + np.uint64(i)] = 0
                    pc = extra
            elif op == RULE:
                top = np.int16(0)
                for i in range(m):
                    truth[a, base + np.uint64(i)] = plane[to, i]
                    top = max(top, plane[to, i])
                fired += 1 if top == TRUE else 0
            elif op == BETWEEN_CONST:
                low, high = reals[b], reals[b + 1]
                yes = np.int16(0 if extra & 1 else TRUE)
                no = np.int16(TRUE if extra & 1 else 0)
                wraps = extra & 2 and low > high
                for i in range(m):
                    x2 = number[a, base + np.uint64(i)]
                    inside = (x2 >= low or x2 <= high) if wraps else (low <= x2 <= high)
                    plane[to, i] = missing if x2 != x2 else (yes if inside else no)  # noqa: PLR0124
            elif op == MISSING_NUMBER:
                yes, no = np.int16(TRUE if extra else 0), np.int16(0 if extra else TRUE)
                for i in range(m):
                    plane[to, i] = yes if np.isnan(number[a, base + np.uint64(i)]) else no
            elif op == MISSING_CODE:
                yes, no = np.int16(TRUE if extra else 0), np.int16(0 if extra else TRUE)
                for i in range(m):
                    plane[to, i] = yes if category[a, base + np.uint64(i)] < 0 else no
            elif op == PLANE_CONST:
                for i in range(m):
                    plane[to, i] = np.int16(extra)
            elif op == BLAME:
                for i in range(m):
                    if plane[to, i] == missing:
                        k = 0
                        while k < b:
                            at = ints[a + k]
                            if at >= 0:
                                if np.isnan(number[at, base + np.uint64(i)]):
                                    break
                            elif category[-1 - at, base + np.uint64(i)] < 0:
                                break
                            k += 1
                        plane[to, i] = np.int16(missing + k)
            elif op == COMPARE:
                less = np.int16(TRUE if extra & 1 else 0)
                equal = np.int16(TRUE if extra & 2 else 0)
                more = np.int16(TRUE if extra & 4 else 0)
                for i in range(m):
                    x3, y3 = reg[a, i], reg[b, i]
                    plane[to, i] = (
                        less if x3 < y3 else (equal if x3 == y3 else (more if x3 > y3 else missing))
                    )
            elif op == BETWEEN:
                yes = np.int16(0 if extra & 1 else TRUE)
                no = np.int16(TRUE if extra & 1 else 0)
                for i in range(m):
                    x4, low, high = reg[a, i], reg[b, i], reg[b + 1, i]
                    if np.isnan(x4) or np.isnan(low) or np.isnan(high):
                        plane[to, i] = missing
                    elif extra & 2 and low > high:
                        plane[to, i] = yes if x4 >= low or x4 <= high else no
                    else:
                        plane[to, i] = yes if low <= x4 <= high else no
            elif op == IN_REGISTER:
                at = ints[b] + 1
                yes = np.int16(0 if extra & 1 else TRUE)
                no = np.int16(TRUE if extra & 1 else 0)
                for i in range(m):
                    answer = flags[np.uint64(at + creg[a, i])]
                    plane[to, i] = missing if answer < 0 else (yes if answer else no)
            elif op == IN_NUMBERS:
                yes = np.int16(0 if extra & 1 else TRUE)
                no = np.int16(TRUE if extra & 1 else 0)
                for i in range(m):
                    x5 = reg[a, i]
                    found = False
                    for k in range(extra >> 1):
                        if reals[b + 2 * k] <= x5 <= reals[b + 2 * k + 1]:
                            found = True
                            break
                    plane[to, i] = missing if np.isnan(x5) else (yes if found else no)
            elif op == EQUAL_CODE:
                yes = np.int16(0 if extra else TRUE)
                no = np.int16(TRUE if extra else 0)
                for i in range(m):
                    c1, c2 = creg[a, i], creg[b, i]
                    plane[to, i] = missing if c1 < 0 or c2 < 0 else (yes if c1 == c2 else no)
            elif op == MISSING_REGISTER:
                yes, no = np.int16(TRUE if extra else 0), np.int16(0 if extra else TRUE)
                for i in range(m):
                    plane[to, i] = yes if np.isnan(reg[a, i]) else no
            elif op == MISSING_CODED:
                yes, no = np.int16(TRUE if extra else 0), np.int16(0 if extra else TRUE)
                for i in range(m):
                    plane[to, i] = yes if creg[a, i] < 0 else no
            elif op == DOMAIN:
                for i in range(m):
                    plane[to, i] = np.int16(
                        TRUE if (extra >> domain[base + np.uint64(i)]) & 1 else 0
                    )
            elif op == SELECT_PLANE:
                for i in range(m):
                    state = plane[to, i]
                    if state == TRUE:
                        plane[to, i] = plane[a, i]
                    elif state == 0:
                        plane[to, i] = plane[b, i]
            elif op == COALESCE_PLANE:
                for i in range(m):
                    state, other = plane[to, i], plane[a, i]
                    if 0 < state < TRUE and not 0 < other < TRUE:
                        plane[to, i] = other
            elif op == COUNT_CLEAR:
                for i in range(m):
                    plane[to, i] = 0
                    plane[to + 1, i] = 0
                    plane[to + 2, i] = 0
            elif op == COUNT:
                for i in range(m):
                    state = plane[a, i]
                    if state == TRUE:
                        plane[to, i] += np.int16(1)
                    elif state != 0:
                        plane[to + 1, i] += np.int16(1)
                        if plane[to + 2, i] == 0:
                            plane[to + 2, i] = state
            elif op == AT_LEAST:
                yes = np.int16(0 if extra else TRUE)
                no = np.int16(TRUE if extra else 0)
                for i in range(m):
                    if plane[to, i] >= a:
                        plane[to, i] = yes
                    elif plane[to, i] + plane[to + 1, i] < a:
                        plane[to, i] = no
                    else:
                        plane[to, i] = plane[to + 2, i]
            elif op == WHY:
                for i in range(m):
                    why = np.int16(0)
                    for k in range(b):
                        at = ints[a + k]
                        if at >= 0:
                            if np.isnan(number[at, base + np.uint64(i)]):
                                why = np.int16(missing + k)
                                break
                        elif category[-1 - at, base + np.uint64(i)] < 0:
                            why = np.int16(missing + k)
                            break
                    plane[to, i] = why
            elif op == WHY_FIRST:
                for i in range(m):
                    state = plane[to, i]
                    if state == 0 or (state == NO_RESULT and plane[a, i] != 0):
                        plane[to, i] = plane[a, i]
            elif op == WHY_KEEP:
                for i in range(m):
                    if not np.isnan(reg[a, i]):
                        plane[to, i] = 0
            elif op == WHY_KEEP_CODE:
                for i in range(m):
                    if creg[a, i] >= 0:
                        plane[to, i] = 0
            elif op == WHY_COMPUTED:
                for i in range(m):
                    if plane[to, i] == 0 and np.isnan(reg[a, i]):
                        plane[to, i] = np.int16(NO_RESULT)
            elif op == WHY_SELECT:
                for i in range(m):
                    state = plane[extra, i]
                    if state == TRUE:
                        plane[to, i] = plane[a, i]
                    elif state == 0:
                        plane[to, i] = plane[b, i]
                    else:
                        plane[to, i] = state
            elif op == WHY_TRUTH:
                for i in range(m):
                    if plane[to, i] == TRUE:
                        plane[to, i] = 0
            elif op == FILL:
                for i in range(m):
                    if plane[to, i] == -1:
                        state = plane[a, i]
                        plane[to, i] = missing if state == NO_RESULT else state
            elif op == FILTER:
                for i in range(m):
                    filters[a, base + np.uint64(i)] = plane[to, i] == TRUE
            elif op == FIRST_TRUE:
                for i in range(m):
                    if plane[to, i] == TRUE and truth[a, base + np.uint64(i)] == 0:
                        truth[a, base + np.uint64(i)] = np.int16(extra)
            elif op == LOAD:
                for i in range(m):
                    reg[to, i] = number[a, base + np.uint64(i)]
            elif op == CONST:
                y6 = reals[a]
                for i in range(m):
                    reg[to, i] = y6
            elif op == COPY:
                for i in range(m):
                    reg[to, i] = reg[a, i]
            elif op == ADD:
                for i in range(m):
                    z = reg[to, i] + reg[a, i]
                    reg[to, i] = z if abs(z) < np.inf else np.nan
            elif op == SUB:
                for i in range(m):
                    z = reg[to, i] - reg[a, i]
                    reg[to, i] = z if abs(z) < np.inf else np.nan
            elif op == MUL:
                for i in range(m):
                    z = reg[to, i] * reg[a, i]
                    reg[to, i] = z if abs(z) < np.inf else np.nan
            elif op == DIV:
                for i in range(m):
                    z = reg[to, i] / reg[a, i]
                    reg[to, i] = z if abs(z) < np.inf else np.nan
            elif op == MOD:
                for i in range(m):
                    y7 = reg[a, i]
                    reg[to, i] = np.nan if y7 == 0.0 else reg[to, i] % y7
            elif op == MIN:
                for i in range(m):
                    x8, y8 = reg[to, i], reg[a, i]
                    z = y8 if y8 < x8 else x8  # noqa: FURB136 - as Python, ties keep x
                    reg[to, i] = np.nan if np.isnan(y8) else z
            elif op == MAX:
                for i in range(m):
                    x8, y8 = reg[to, i], reg[a, i]
                    z = y8 if y8 > x8 else x8  # noqa: FURB136
                    reg[to, i] = np.nan if np.isnan(y8) else z
            elif op == NEG:
                for i in range(m):
                    reg[to, i] = -reg[to, i]
            elif op == ABS:
                for i in range(m):
                    reg[to, i] = abs(reg[to, i])
            elif op == FLOOR:
                for i in range(m):
                    reg[to, i] = np.floor(reg[to, i])
            elif op == ROUND:
                for i in range(m):
                    reg[to, i] = np.rint(reg[to, i])
            elif op == LOG:
                for i in range(m):
                    reg[to, i] = log(reg[to, i])
            elif HOUR <= op <= DATE:
                for i in range(m):
                    x9 = reg[to, i]
                    if not abs(x9) < _TIME_MAX:
                        reg[to, i] = np.nan
                    elif op == DATE:
                        reg[to, i] = _midnight_us(reals, a, x9)
                    else:
                        wall = _local_us(reals, a, x9)
                        if op == HOUR:
                            reg[to, i] = wall % _DAY_US // _HOUR_US
                        elif op == WEEKDAY:
                            reg[to, i] = (wall // _DAY_US + 3) % 7 + 1
                        else:
                            reg[to, i] = wall % _DAY_US
            elif op == AGE:
                for i in range(m):
                    x9, y9 = reg[to, i], reg[to + 1, i]
                    if abs(x9) < _TIME_MAX and abs(y9) < _TIME_MAX:
                        later, earlier = _local_us(reals, a, x9), _local_us(reals, a, y9)
                        reg[to, i] = _age(later, earlier, extra)
                    else:
                        reg[to, i] = np.nan
            elif op == DISTANCE:
                for i in range(m):
                    reg[to, i] = distance_km(
                        reg[to, i], reg[to + 1, i], reg[to + 2, i], reg[to + 3, i]
                    )
            elif op == TABLE:
                at = ints[b] + 1
                for i in range(m):
                    reg[to, i] = reals[np.uint64(at + creg[a, i])]
            elif op == SELECT:
                for i in range(m):
                    state = plane[extra, i]
                    if state != TRUE:
                        reg[to, i] = reg[a, i] if state == 0 else np.nan
            elif op == COALESCE:
                for i in range(m):
                    if np.isnan(reg[to, i]):
                        reg[to, i] = reg[a, i]
            elif op == TRUTH_NUMBER:
                for i in range(m):
                    state = plane[a, i]
                    reg[to, i] = 1.0 if state == TRUE else (0.0 if state == 0 else np.nan)
            elif op == STORE:
                for i in range(m):
                    if extra == 0 or np.isnan(number[a, base + np.uint64(i)]):
                        number[a, base + np.uint64(i)] = reg[to, i]
            elif op == LOAD_CODE:
                for i in range(m):
                    creg[to, i] = category[a, base + np.uint64(i)]
            elif op == CONST_CODE:
                for i in range(m):
                    creg[to, i] = ints[a]
            elif op == MAP:
                at = ints[b] + 1
                for i in range(m):
                    creg[to, i] = ints[np.uint64(at + creg[a, i])]
            elif op == SELECT_CODE:
                for i in range(m):
                    state = plane[extra, i]
                    if state != TRUE:
                        creg[to, i] = creg[a, i] if state == 0 else -1
            elif op == COALESCE_CODE:
                for i in range(m):
                    if creg[to, i] < 0:
                        creg[to, i] = creg[a, i]
            elif op == STORE_CODE:
                for i in range(m):
                    if extra == 0 or category[a, base + np.uint64(i)] < 0:
                        category[a, base + np.uint64(i)] = creg[to, i]
            elif IN_DATED <= op <= IN_DATED_REGISTER:
                at, begin = ints[b] + 1, ints[(extra >> 1) + 1]
                time = ints[extra >> 1]
                yes = np.int16(0 if extra & 1 else TRUE)
                no = np.int16(TRUE if extra & 1 else 0)
                for i in range(m):
                    c = creg[a, i] if op == IN_DATED_REGISTER else category[a, base + np.uint64(i)]
                    answer = flags[np.uint64(at + c)]
                    if answer == 2:
                        answer = _holds_at(reals, begin, c, number[time, base + np.uint64(i)])
                    plane[to, i] = missing if answer < 0 else (yes if answer else no)
            elif op == IN_NUMBERS_DATED:
                time, begin = ints[b], ints[b + 1]
                yes = np.int16(0 if extra & 1 else TRUE)
                no = np.int16(TRUE if extra & 1 else 0)
                for i in range(m):
                    x5 = reg[a, i]
                    found = _is_inside(reals, begin, x5, number[time, base + np.uint64(i)])
                    plane[to, i] = missing if np.isnan(x5) else (yes if found else no)
    return fired


# The machine code itself: there is one signature, and numba's look at the types of the arguments costs 0.1 us a call.
_compiled: Any = interpret.overloads[interpret.signatures[0]]
run: Callable[[I8, F8, I4, I2], int] = _compiled.entry_point
