"""Read flat JSON messages into columns and spans; a row with anything unusual is left, with kind 0 and no trace.

The definition is engine/decoding/: a row that this kernel takes means exactly what it means there, and nothing about
it is wrong. What is left: escapes, nesting, bytes beyond ASCII, exponents, more than 15 digits, a key twice, unknown
keys that are not counted yet, amounts in other currencies than the books', and every error.

Time: a message is read once from left to right, 8 bytes a load; the key after a key is guessed to be the one that
followed it last time, and compared, not trusted. Byte by byte took twice as long.
"""

import numpy as np
from numba import njit

from engine.scanning.kernels.hashing import BLOCK, digest_of
from engine.scanning.kernels.layout import (
    CLOSED,
    CURRENCY,
    DATED,
    DIGITS,
    DURATION,
    EXPECTED,
    F8,
    FIRST_NEED,
    FLAG,
    FLAGS,
    HAS_LIST,
    I1,
    ID,
    ID_BYTES_MAX,
    IS_TIME,
    KINDS,
    KNOWN,
    LAST_NEED,
    LISTED,
    MEANT_FOR,
    MONEY,
    NAME,
    NO_LIST,
    NUMBER,
    NUMBER_WIRE,
    OF_LABEL,
    PRESENT,
    SIGNED,
    SIZE,
    SIZE_BITS,
    SPAN,
    SPANNED,
    TAKEN,
    TEXT,
    TIME,
    TYPES,
    UNKNOWN,
    UNSEEN,
    WIRE,
)
from engine.scanning.kernels.values import (
    END_US,
    NO_TIME,
    POWERS,
    decimal,
    minor_units,
    moment,
)
from engine.scanning.kernels.words import I8, U1, copy, hash_of, same, store8, string_end

TRANSACTION, ACTIVITY, LABEL = 1, 2, 3  # as in engine/batch.py
MINOR_MAX = 1 << 53
TINY = 1e-4  # smaller numbers than this may be written with an exponent


@njit(cache=True)
def blank(raw: U1, p: int) -> int:
    """First place from p on that is no blank inside a line.

    raw : (z,) uint8  read
    p   : int         where to begin
    """
    while raw[p] == 32 or raw[p] == 9 or raw[p] == 13:
        p += 1
    return p


@njit(cache=True)
def look_up(raw: U1, a: int, b: int, domain: int, table: I8, names: U1) -> int:
    """Number of a word in a domain, or -1.

    raw    : (z,) uint8   read
    a, b   : int          first byte of the word, and one past the last
    domain : int          0 keys, 1 + f values of field f
    table  : (t, 5) int64 read: hash, domain or -1, place in names, bytes, number; t a power of two
    names  : (y,) uint8   read
    """
    h = np.int64(hash_of(raw, a, b, np.uint64(domain)))
    q = h & (table.shape[0] - 1)
    while table[q, 1] >= 0:
        if (
            table[q, 0] == h
            and table[q, 1] == domain
            and table[q, 3] == b - a
            and same(raw, a, names, table[q, 2], b - a)
        ):
            return int(table[q, 4])
        q = (q + 1) & (table.shape[0] - 1)
    return -1


@njit(cache=True)
def write_digits(v: int, width: int, out: U1, to: int) -> int:
    """Write a number of at least `width` digits; return the place after it.

    v     : int         not negative
    width : int         zeros before it if it has fewer digits
    out   : (y,) uint8  written
    to    : int         where
    """
    n, rest = 1, v // 10
    while rest:
        n += 1
        rest //= 10
    n = max(n, width)
    for k in range(to + n - 1, to - 1, -1):
        out[k] = 48 + v % 10
        v //= 10
    return to + n


@njit(cache=True)
def write_number(v: int, decimals: int, negative: bool, out: U1, to: int) -> int:
    """Write a float as msgspec does: no zeros at the end but one after the point; return the place after it.

    v        : int         magnitude without its point
    decimals : int         how many digits stand after the point
    negative : bool        below zero
    out      : (y,) uint8  written
    to       : int         where
    """
    if negative:
        out[to] = 45
        to += 1
    while decimals > 0 and v % 10 == 0:
        v //= 10
        decimals -= 1
    to = write_digits(v // POWERS[decimals], 1, out, to)
    out[to] = 46
    return write_digits(v % POWERS[decimals], max(decimals, 1), out, to + 1)


@njit(cache=True)
def scan(
    raw: U1,
    length: I8,
    bytes_max: int,
    field: I8,
    bound: F8,
    names: U1,
    table: I8,
    types: I8,
    needs: I8,
    need_of: I8,
    guess: I8,
    number: F8,
    kind: I1,
    event_time_us: I8,
    spans: I8,
    digest: I8,
    counts: I8,
    taken_min: int,
    totals: I8,
) -> None:
    """Read messages.

    raw           : (z,) uint8      read: messages, each with a line end after it, and SPARE bytes after the last
    length        : (n,) int64      read: bytes of each, without the line end
    bytes_max     : int             longer messages are left
    field         : (f + 1, WIDTH) int64  read: a row a key (layout.py), and one that stands for the beginning
    bound         : (f, 3) float64  read: of numbers the largest magnitude, the lowest and the highest value
    names         : (y,) uint8      read: words of the schema
    table         : (t, 5) int64    read: the words, for `look_up`
    types         : (u, 4) int64    read: a row an event type (layout.py)
    needs         : (v,) int64      read: fields that something needs; -1 is one that no message has had yet
    need_of       : (kinds, 4) int64  read: parts of `needs`, from and to: all of them, then at least one of them
    guess         : (f + 1,) int64  updated: the key that followed each key, the last time
    number        : (c, n) float64  written in rows that are taken; NaN before
    kind          : (n,) int8       written: 0 in rows that are left
    event_time_us : (n,) int64      written in rows that are taken
    spans         : (n, k) int64    written: where the texts of codes stand, -1 for none
    digest        : (n,) int64      written in rows that are taken: 0 for kinds without one
    counts        : (COUNTS, f) int64  updated: transactions that have each field; values of it outside its list; rows
                    with a text in each column of `spans`; rows taken of each kind
    taken_min     : int             so many rows must be taken for `totals` to count them
    totals        : (3, keys) int64  updated: the first and last row by the keys of the schema, as in
                    engine/decoding/quality.py
    """
    n, n_fields = kind.shape[0], field.shape[0] - 1
    seen = np.zeros(n_fields, np.int64)  # 1 + the row that has the key
    has = np.zeros(n_fields, np.int64)  # 1 + the row that has a value for it
    order = np.empty(n_fields, np.int64)
    first, last = np.zeros(n_fields, np.int64), np.zeros(n_fields, np.int64)
    value = np.zeros(
        n_fields, np.int64
    )  # minor units, microseconds, magnitude, or number in a list
    decimals = np.zeros(n_fields, np.int64)
    is_negative = np.zeros(n_fields, np.bool_)
    real = np.zeros(n_fields, np.float64)
    start, longest = (
        np.zeros(n + 1, np.int64),
        0,
    )  # where each message begins, and where the next one would
    for i in range(n):
        start[i + 1] = start[i] + length[i] + 1
        longest = max(longest, length[i] + 1)
    text = np.empty(longest + names.shape[0] + 48 * n_fields + 2 * BLOCK, np.uint8)
    for i in range(n):
        kind[i] = 0
        spans[i] = -1
        end, stamp, n_seen, before = start[i + 1] - 1, i + 1, 0, n_fields
        p = blank(raw, start[i])
        if raw[p] != 123 or end - start[i] > bytes_max:
            continue
        p = blank(raw, p + 1)
        is_whole, is_of_label, is_strange, is_tiny = False, True, False, False
        what, type_ = TRANSACTION, -1
        while True:  # a key and its value; leaving the loop leaves the row, unless it is whole
            if raw[p] != 34:
                break
            f = guess[before]
            if same(raw, p, names, field[f, NAME], field[f, SIZE]):
                p += field[f, SIZE]
            else:
                b = string_end(raw, p + 1)
                if b < 0:
                    break
                f = look_up(raw, p + 1, b, 0, table, names)
                if f < 0:
                    break
                guess[before] = f
                p = blank(raw, b + 1)
                if raw[p] != 58:
                    break
                p += 1
            if seen[f] == stamp:
                break
            seen[f] = stamp
            order[n_seen] = f
            n_seen += 1
            before = f
            wire, flags = field[f, WIRE], field[f, FLAGS]
            is_of_label &= (flags & OF_LABEL) != 0
            p = blank(raw, p)
            c = raw[p]
            if c == 34:
                a = p + 1
                b = string_end(raw, a)
                if b < 0 or b - a >= 1 << SIZE_BITS:
                    break
                p = b + 1
                if wire == ID:
                    if b == a or b - a > ID_BYTES_MAX:
                        break
                    listed = field[f, LISTED]
                    if listed != NO_LIST:
                        found = look_up(raw, a, b, 1 + f, table, names)
                        value[f] = found
                        if listed == KINDS:
                            what = found
                            is_strange |= found < 0
                        elif listed == CURRENCY:
                            is_strange |= found < 1
                        elif listed == TYPES:
                            type_ = found
                            value[f] = types[found, EXPECTED] - 1 if found >= 0 else -1
                        if value[f] < 0 and flags & CLOSED:
                            break
                elif wire == MONEY:
                    q, v, places, negative, _ = decimal(raw, a)
                    if q != b or v < 0:
                        break
                    if negative and (v == 0 or not flags & SIGNED):
                        break
                    v = minor_units(v, places, field[f, DIGITS])
                    if v < 0:
                        break
                    value[f] = -v if negative else v
                elif wire == TIME:
                    value[f] = moment(raw, a, b, (flags & DATED) != 0)
                    if value[f] == NO_TIME:
                        break
                elif wire not in (TEXT, UNKNOWN):
                    break
                has[f], first[f], last[f] = stamp, a, b
            elif c == 110:
                if raw[p + 1] != 117 or raw[p + 2] != 108 or raw[p + 3] != 108:
                    break
                p += 4
                if wire == UNKNOWN:
                    has[f] = stamp
            elif c in {116, 102}:
                if c == 116:
                    if raw[p + 1] != 114 or raw[p + 2] != 117 or raw[p + 3] != 101:
                        break
                    p += 4
                else:
                    if raw[p + 1] != 97 or raw[p + 2] != 108 or raw[p + 3] != 115:
                        break
                    if raw[p + 4] != 101:
                        break
                    p += 5
                if wire not in (FLAG, UNKNOWN):
                    break
                has[f] = stamp
                real[f] = 1.0 if c == 116 else 0.0
            else:
                p, v, places, negative, is_json = decimal(raw, p)
                if p < 0 or not is_json or (v < 0 and wire != UNKNOWN):
                    break
                if negative and v == 0:  # minus zero
                    break
                if wire == MONEY:
                    if negative and not flags & SIGNED:
                        break
                    v = minor_units(v, places, field[f, DIGITS])
                    if v < 0:
                        break
                    value[f] = -v if negative else v
                elif wire == TIME:
                    if negative or places or v >= END_US // 1_000:
                        break
                    value[f] = v * 1_000
                elif wire in (NUMBER_WIRE, DURATION):
                    x = np.float64(v) / np.float64(POWERS[places])
                    if negative:
                        x = -x
                    if wire == DURATION:
                        x = np.rint(x * 1e6)
                        if abs(x) > MINOR_MAX:
                            break
                        value[f] = np.int64(x)
                    else:
                        if not abs(x) <= bound[f, 0] or x < bound[f, 1] or x > bound[f, 2]:
                            break
                        is_tiny |= bool(v != 0 and abs(x) < TINY)
                        value[f], decimals[f], is_negative[f] = v, places, negative
                    real[f] = x
                elif wire != UNKNOWN:
                    break
                has[f] = stamp
            p = blank(raw, p)
            if raw[p] == 44:
                p = blank(raw, p + 1)
                continue
            is_whole = raw[p] == 125 and blank(raw, p + 1) == end
            break
        if not is_whole or is_strange or (what == LABEL and not is_of_label):
            continue
        # what the kind and the type need
        lacks = False
        for k in range(need_of[what, 0], need_of[what, 1]):
            lacks |= needs[k] < 0 or has[needs[k]] != stamp
        if need_of[what, 2] < need_of[what, 3]:
            lacks_all = True
            for k in range(need_of[what, 2], need_of[what, 3]):
                lacks_all &= needs[k] < 0 or has[needs[k]] != stamp
            lacks |= lacks_all
        if (what in (TRANSACTION, ACTIVITY)) and type_ >= 0:
            lacks |= types[type_, MEANT_FOR] != 0 and types[type_, MEANT_FOR] != what
            for k in range(types[type_, FIRST_NEED], types[type_, LAST_NEED]):
                lacks |= needs[k] < 0 or has[needs[k]] != stamp
        if lacks or (is_tiny and what != ACTIVITY):
            continue
        # the row is taken
        kind[i] = what
        counts[TAKEN, what] += 1
        event_time_us[i] = -1
        for k in range(n_seen):
            f = order[k]
            if has[f] != stamp:
                continue
            wire = field[f, WIRE]
            if what == TRANSACTION or wire == UNKNOWN:
                counts[PRESENT, f] += 1
            if field[f, FLAGS] & HAS_LIST and value[f] < 0:
                counts[UNSEEN, f] += 1
            place = field[f, NUMBER]
            if place >= 0:
                if wire in (NUMBER_WIRE, FLAG):
                    number[place, i] = real[f]
                else:
                    number[place, i] = np.float64(value[f])
            if field[f, FLAGS] & IS_TIME:
                event_time_us[i] = value[f]
            if field[f, SPAN] >= 0:
                spans[i, field[f, SPAN]] = first[f] << SIZE_BITS | (last[f] - first[f])
                counts[SPANNED, field[f, SPAN]] += 1
        digest[i] = 0
        if what == ACTIVITY:
            continue
        # what was decoded, as JSON: the keys in the order of the struct, values in their exact form
        text[0] = 123
        to = 1
        for f in range(1 if what == TRANSACTION else 0, n_fields):
            wire = field[f, WIRE]
            if has[f] != stamp or wire == UNKNOWN:
                continue
            if to > 1:
                text[to] = 44
                to += 1
            to = copy(names, field[f, NAME], field[f, SIZE], text, to)
            if wire in (ID, TEXT):
                to = copy(raw, first[f] - 1, last[f] - first[f] + 2, text, to)
            elif wire == NUMBER_WIRE:
                to = write_number(value[f], decimals[f], is_negative[f], text, to)
            elif wire == FLAG:
                word = np.uint64(0x65757274) if real[f] > 0 else np.uint64(0x65736C6166)
                store8(text, to, word)  # true, false
                to += 4 if real[f] > 0 else 5
            else:
                if value[f] < 0:
                    text[to] = 45
                    to += 1
                to = write_digits(abs(value[f]), 1, text, to)
        text[to] = 125
        digest[i] = digest_of(text, to + 1)
    if counts[TAKEN].sum() >= taken_min:
        for f in range(n_fields):
            if field[f, KNOWN] >= 0:
                totals[0, field[f, KNOWN]] += counts[PRESENT, f]
                totals[2, field[f, KNOWN]] += counts[UNSEEN, f]
