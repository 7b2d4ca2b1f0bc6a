"""The bytes of quiet decisions: texts and numbers of whole columns into one buffer.

What a line looks like is said once more in `decision_text` of engine/outcomes.py; a test holds both to the same bytes.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engine.scanning.kernels.words import copy

F8: TypeAlias = NDArray[np.float64]
I8: TypeAlias = NDArray[np.int64]
U1: TypeAlias = NDArray[np.uint8]

NUMBER_MAX: Final = 1e9  # numbers from here on are written by Python
NUMBER_BYTES: Final = 17  # at most: -999999999.999999
FIXED_BYTES: Final = 150  # of a line at most: its own words, seq and time
SPARE: Final = bytes(8)  # must stand behind what is copied, which is done 8 bytes at a time
LITERAL: Final = -1  # pattern of a row whose line is given as it is; may be empty
ZERO: Final = 48  # "0"
DAY_US: Final = 86_400_000_000


def _bytes(text: str) -> U1:
    return np.frombuffer(text.encode() + SPARE, np.uint8)


SEQ = _bytes('{"seq":')
ID = _bytes(',"transaction_id":"')
TIME = _bytes('","event_time":')
ACCOUNT = _bytes(',"account":"')
HEAD = _bytes('",')
MODELS = _bytes(',"models":{')
TAIL = _bytes("},")
NULL = _bytes("null")


@njit(cache=True)
def put_digits(out: U1, at: int, value: int, width: int) -> int:
    """Write an integer in at least `width` digits; return where it ends.

    out   : (b,) uint8  written
    at    : int         where it begins
    value : int         >= 0
    width : int         filled up with zeros
    """
    n, rest = 1, value
    while rest >= 10:
        rest //= 10
        n += 1
    n = max(n, width)
    for k in range(n - 1, -1, -1):
        out[at + k] = ZERO + value % 10
        value //= 10
    return at + n


@njit(cache=True)
def put_number(out: U1, at: int, value: float) -> int:
    """Write a number in at most 6 decimals and at least one; return where it ends.

    out   : (b,) uint8  written
    at    : int         where it begins
    value : float       rounded to 6 decimals; below 1e9, or not finite: null
    """
    if not np.isfinite(value):
        return copy(NULL, 0, 4, out, at)
    millionths = int(np.rint(abs(value) * 1e6))
    if value < 0.0 and millionths > 0:
        out[at] = 45  # "-"
        at += 1
    at = put_digits(out, at, millionths // 1_000_000, 1)
    out[at] = 46  # "."
    end = put_digits(out, at + 1, millionths % 1_000_000, 6)
    while out[end - 1] == ZERO and end > at + 2:
        end -= 1
    return end


@njit(cache=True)
def put_time(out: U1, at: int, time_us: int) -> int:
    """Write a time as RFC 3339 in UTC, with no more decimals than it needs (0, 3 or 6); return where it ends.

    out     : (b,) uint8  written
    at      : int         where it begins
    time_us : int         microseconds since 1970, UTC; >= 0

    The date from the day: Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    """
    day, rest = time_us // DAY_US, time_us % DAY_US
    shifted = day + 719_468  # days since 0000-03-01
    era, of_era = shifted // 146_097, shifted % 146_097
    of_era_year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * of_era_year + of_era_year // 4 - of_era_year // 100)
    month = (5 * of_year + 2) // 153  # from March
    date = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = of_era_year + era * 400 + (1 if month <= 2 else 0)
    at = put_digits(out, at, year, 4)
    out[at] = 45
    at = put_digits(out, at + 1, month, 2)
    out[at] = 45
    at = put_digits(out, at + 1, date, 2)
    out[at] = 84  # "T"
    at = put_digits(out, at + 1, rest // 3_600_000_000, 2)
    out[at] = 58  # ":"
    at = put_digits(out, at + 1, rest // 60_000_000 % 60, 2)
    out[at] = 58
    at = put_digits(out, at + 1, rest // 1_000_000 % 60, 2)
    us = rest % 1_000_000
    if us:
        out[at] = 46
        at = (
            put_digits(out, at + 1, us, 6)
            if us % 1_000
            else put_digits(out, at + 1, us // 1_000, 3)
        )
    out[at] = 90  # "Z"
    return at + 1


@njit(cache=True)
def copy_piece(pieces: U1, ends: I8, k: int, out: U1, at: int) -> int:
    """Copy one of several pieces that stand one behind the other; return where it ends.

    pieces : (p,) uint8  read, up to 7 bytes beyond
    ends   : (q,) int64  where each ends
    k      : int         which of them
    out    : (b,) uint8  written, up to 7 bytes beyond
    at     : int         where it begins
    """
    start = ends[k - 1] if k else 0
    return int(copy(pieces, start, ends[k] - start, out, at))


@njit(cache=True)
def write_lines(
    seq: I8, time_us: I8, pattern: I8, given: U1, given_end: I8, ids: U1, id_end: I8, accounts: U1, account_end: I8,
    scores: F8, keys: U1, key_end: I8, texts: U1, text_end: I8, out: U1,
) -> int:  # fmt: skip
    """Write the lines of n rows; return how many bytes they have.

    seq         : (n,) int64
    time_us     : (n,) int64    microseconds UTC; below 0 none
    pattern     : (n,) int64    which head and tail; LITERAL: the line is the next of `given`
    given       : (g,) uint8    lines that are copied as they are, one behind the other
    given_end   : (l,) int64    where each ends
    ids         : (i,) uint8    of the other rows, one behind the other; need no escape
    id_end      : (q,) int64    where each ends
    accounts    : (a,) uint8    likewise
    account_end : (q,) int64
    scores      : (s, n) float64  rounded to 6 decimals, below 1e9; not finite: null
    keys        : (k,) uint8    what stands before each score
    key_end     : (s,) int64
    texts       : (t,) uint8    head and tail of each pattern, one behind the other
    text_end    : (2 p,) int64  where each ends
    out         : (b,) uint8    written; long enough, and SPARE behind it

    What is copied has SPARE behind it, too. O(bytes), no allocation. Byte by byte it took twice as long.
    """
    at, n_given, n_made = 0, 0, 0
    for i in range(seq.shape[0]):
        if pattern[i] == LITERAL:
            at = copy_piece(given, given_end, n_given, out, at)
            n_given += 1
            continue
        at = put_digits(out, copy(SEQ, 0, SEQ.shape[0] - 8, out, at), seq[i], 1)
        at = copy(ID, 0, ID.shape[0] - 8, out, at)
        at = copy_piece(ids, id_end, n_made, out, at)
        at = copy(TIME, 0, TIME.shape[0] - 8, out, at)
        if time_us[i] >= 0:
            out[at] = 34  # a quote
            at = put_time(out, at + 1, time_us[i])
            out[at] = 34
            at += 1
        else:
            at = copy(NULL, 0, 4, out, at)
        at = copy(ACCOUNT, 0, ACCOUNT.shape[0] - 8, out, at)
        at = copy_piece(accounts, account_end, n_made, out, at)
        n_made += 1
        at = copy(HEAD, 0, HEAD.shape[0] - 8, out, at)
        k = 2 * pattern[i]
        at = copy_piece(texts, text_end, k, out, at)
        at = copy(MODELS, 0, MODELS.shape[0] - 8, out, at)
        for j in range(scores.shape[0]):
            at = copy_piece(keys, key_end, j, out, at)
            at = put_number(out, at, scores[j, i])
        at = copy(TAIL, 0, TAIL.shape[0] - 8, out, at)
        at = copy_piece(texts, text_end, k + 1, out, at)
    return at
