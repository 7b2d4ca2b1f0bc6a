"""Texts to codes: one table of bytes for all dictionaries (engine/scanning/codes.py).

The table is open addressed. A slot holds 1 + the place of a record in its low 40 bits and the upper 24 bits of the
hash above them. A record is one word (code, domain, bytes of the text) and the text, filled up with zero bytes.
"""

import numpy as np
from numba import njit

from engine.scanning.kernels.layout import I4, SIZE_BITS
from engine.scanning.kernels.words import I8, U1, U8, Word, first_bytes, hash_of, load8

USED, END, NEW = 0, 1, 2  # of `note`: slots in use, words in use, new texts of this call
DOMAIN_BITS = 12
PLACE_BITS = 40
_PLACE = np.uint64((1 << PLACE_BITS) - 1)
_SIZE = (1 << SIZE_BITS) - 1


@njit(cache=True)
def same_text(raw: U1, a: int, size: int, words: U8, at: int) -> bool:
    """Whether the bytes from raw[a] on are those of a record.

    raw   : (z,) uint8   read, up to 7 bytes beyond
    a     : int          first byte
    size  : int          how many
    words : (w,) uint64  read: records
    at    : int          first word of the text
    """
    while size >= 8:
        if load8(raw, a) != words[at]:
            return False
        a, at, size = a + 8, at + 1, size - 8
    return bool(size == 0 or first_bytes(load8(raw, a), size) == words[at])


@njit(cache=True)
def slot_of(raw: U1, a: int, size: int, domain: int, h: Word, slots: U8, words: U8) -> int:
    """The slot of a text; an empty one, where it would stand, if no record has it.

    raw    : (z,) uint8   read, up to 7 bytes beyond
    a      : int          first byte
    size   : int          how many
    domain : int          number of the dictionary
    h      : uint64       hash of both
    slots  : (s,) uint64  read: s a power of two, one empty at least
    words  : (w,) uint64  read: records
    """
    mask = slots.shape[0] - 1
    head = np.uint64(domain << SIZE_BITS | size)
    q = np.int64(h) & mask
    while slots[q] != np.uint64(0):
        slot = slots[q]
        if (slot ^ h) >> np.uint64(PLACE_BITS) == np.uint64(0):
            at = int(np.int64(slot & _PLACE)) - 1
            if words[at] & np.uint64(0xFFFFFFFF) == head and same_text(raw, a, size, words, at + 1):
                break
        q = (q + 1) & mask
    return int(q)


@njit(inline="always")
def _code_at(slot: Word, words: U8) -> int:
    return int(np.int64(words[np.int64(slot & _PLACE) - 1] >> np.uint64(32)))


@njit(cache=True)
def find(raw: U1, size: int, domain: int, seed: Word, slots: U8, words: U8) -> int:
    """The code of a text, or -1 if it has none.

    raw    : (z,) uint8   read: the text, and 8 bytes more
    size   : int          its bytes
    domain : int          number of the dictionary
    seed   : uint64       of the hash
    slots  : (s,) uint64  read: s a power of two, one empty at least
    words  : (w,) uint64  read: records
    """
    h = hash_of(raw, 0, size, seed + np.uint64(domain))
    q = slot_of(raw, 0, size, domain, h, slots, words)
    return _code_at(slots[q], words) if slots[q] != np.uint64(0) else -1


@njit(cache=True)
def encode(
    raw: U1,
    spans: I8,
    domain: I8,
    plane: I8,
    row: int,
    seed: Word,
    slots: U8,
    words: U8,
    note: I8,
    n_codes: I8,
    code: I4,
    new: I8,
) -> int:
    """Write the codes of spans, row by row; new texts get the next ones. Return the first row that has no room.

    raw     : (z,) uint8      read: what spans stand in, and 8 bytes more
    spans   : (n, k + x) int64  read: first byte and size (layout.py), -1 for none; x columns are not asked for
    domain  : (k,) int64      read: dictionary of each column
    plane   : (k,) int64      read: row of `code` for each column, -1 for none
    row     : int             where to begin
    seed    : uint64          of the hash
    slots   : (s,) uint64     updated: s a power of two
    words   : (w,) uint64     updated: records
    note    : (3,) int64      updated
    n_codes : (domains,) int64  updated: the next code of each dictionary
    code    : (m, n) int32    written where there is a span
    new     : (x, 2) int64    written: column and span of each new text, in order
    """
    mask = slots.shape[0] - 1
    n, width = spans.shape[0], domain.shape[0]
    for i in range(row, n):
        if 2 * (note[USED] + width) > mask or note[NEW] + width > new.shape[0]:
            return i
        need = 0
        for k in range(width):
            need += 2 + ((max(spans[i, k], 0) & _SIZE) >> 3)
        if note[END] + need > words.shape[0]:
            return i
        for k in range(width):
            span = spans[i, k]
            if span < 0:
                continue
            a, size = span >> SIZE_BITS, span & _SIZE
            h = hash_of(raw, a, a + size, seed + np.uint64(domain[k]))
            q = slot_of(raw, a, size, domain[k], h, slots, words)
            if slots[q] != np.uint64(0):
                found = _code_at(slots[q], words)
            else:
                found, at = int(n_codes[domain[k]]), int(note[END])
                slots[q] = (h & ~_PLACE) | np.uint64(at + 1)
                words[at] = np.uint64(found) << np.uint64(32) | np.uint64(
                    domain[k] << SIZE_BITS | size
                )
                at += 1
                while size >= 8:
                    words[at] = load8(raw, a)
                    a, at, size = a + 8, at + 1, size - 8
                if size:
                    words[at] = first_bytes(load8(raw, a), size)
                    at += 1
                n_codes[domain[k]] += 1
                note[USED] += 1
                note[END] = at
                new[note[NEW], 0], new[note[NEW], 1] = k, span
                note[NEW] += 1
            if plane[k] >= 0:
                code[plane[k], i] = found
    return int(n)


@njit(cache=True)
def enter(raw: U1, words: U8, at: int, end: int, seed: Word, slots: U8) -> int:
    """Put records into slots that hold none of them, as for growth; where the first begins that was left.

    raw   : (8 w,) uint8  read: the bytes of `words`
    words : (w,) uint64   read: records
    at    : int           where the first record begins
    end   : int           records that begin from here on are left
    seed  : uint64        of the hash
    slots : (s,) uint64   updated; zeros before the first call, s a power of two
    """
    mask = slots.shape[0] - 1
    while at < end:
        head = int(np.int64(words[at] & np.uint64(0xFFFFFFFF)))
        size = head & _SIZE
        a = 8 * (at + 1)
        h = hash_of(raw, a, a + size, seed + np.uint64(head >> SIZE_BITS))
        q = np.int64(h) & mask
        while slots[q] != np.uint64(0):
            q = (q + 1) & mask
        slots[q] = (h & ~_PLACE) | np.uint64(at + 1)
        at += 1 + ((size + 7) >> 3)
    return at
