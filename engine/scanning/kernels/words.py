"""Bytes, eight at a time: load, store, compare, hash, find the end of a JSON string.

Whoever calls keeps eight readable bytes after the last one; a word may reach over the end of what it is loaded for.
"""

from typing import Any, TypeAlias

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

U1: TypeAlias = NDArray[np.uint8]
U8: TypeAlias = NDArray[np.uint64]
I8: TypeAlias = NDArray[np.int64]
Word: TypeAlias = np.uint64

tools: Any = cgutils

ONES, TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
QUOTES, SLASHES = np.uint64(0x22 * 0x0101010101010101), np.uint64(0x5C * 0x0101010101010101)
SPACES = np.uint64(0x20 * 0x0101010101010101)
FACTOR, FACTOR_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xD6E8FEB86659FD93)
HALF = np.uint64(32)
ONE = np.uint64(1)


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """A pointer to the word that begins at byte `at` of an array."""
    data = context.make_array(kind)(context, builder, array).data
    word = tools.ir.IntType(64).as_pointer()
    return builder.bitcast(builder.gep(data, [at]), word)


def _load8(_typing: Any, raw: Any, _at: Any) -> Any:
    """The 8 bytes from (raw, at) on, little end first, in one load that need not be aligned."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], args[0], args[1]), align=1)

    return types.uint64(raw, types.int64), generate


def _store8(_typing: Any, raw: Any, _at: Any, _word: Any) -> Any:
    """Write the word (raw, at, word) the same way."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _place(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], place, align=1)
        return context.get_dummy_value()

    return types.void(raw, types.int64, types.uint64), generate


def _low_zeros(_typing: Any, _word: Any) -> Any:
    """How many zero bits end a word that is not 0."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], tools.true_bit)

    return types.int64(types.uint64), generate


load8: Any = intrinsic(_load8)
store8: Any = intrinsic(_store8)
low_zeros: Any = intrinsic(_low_zeros)


@njit(inline="always")
def first_bytes(word: Word, n: int) -> Word:
    """The first 0 < n < 8 bytes of a word, the others zero."""
    return word & ((ONE << np.uint64(8 * n)) - ONE)


@njit(cache=True)
def hash_of(raw: U1, a: int, b: int, seed: Word) -> Word:
    """64-bit hash of bytes; who does not know the seed cannot choose texts that collide.

    raw  : (z,) uint8  read, up to 7 bytes beyond b
    a, b : int         first byte, and one past the last
    seed : uint64      of the process, or of the domain
    """
    h = seed ^ (np.uint64(b - a) * FACTOR)
    h ^= h >> HALF
    while a + 8 <= b:
        h = (h ^ load8(raw, a)) * FACTOR
        h ^= h >> HALF
        a += 8
    if a < b:
        h = (h ^ first_bytes(load8(raw, a), b - a)) * FACTOR
        h ^= h >> HALF
    h = (h ^ seed) * FACTOR_2
    return h ^ (h >> HALF)


@njit(cache=True)
def same(raw: U1, a: int, names: U1, at: int, n: int) -> bool:
    """Whether n bytes from raw[a] and from names[at] on are equal.

    raw   : (z,) uint8  read, up to 7 bytes beyond
    a     : int         first byte
    names : (y,) uint8  read, up to 7 bytes beyond
    at    : int         first byte
    n     : int         how many
    """
    k = 0
    while k + 8 <= n:
        if load8(raw, a + k) != load8(names, at + k):
            return False
        k += 8
    return k == n or first_bytes(load8(raw, a + k) ^ load8(names, at + k), n - k) == np.uint64(0)


@njit(cache=True)
def string_end(raw: U1, p: int) -> int:
    """Position of the quote that closes a JSON string; -1 if an escape, a control or a non-ASCII byte comes first.

    raw : (z,) uint8  read; a line end after the message stops the search
    p   : int         first byte of the text
    """
    while True:
        w = load8(raw, p)
        quote, slash = w ^ QUOTES, w ^ SLASHES
        odd = ((quote - ONES) & ~quote) | ((slash - ONES) & ~slash) | ((w - SPACES) & ~w) | w
        odd &= TOPS  # right up to the first byte that is marked, which is all that is asked
        if odd != np.uint64(0):
            end = p + (low_zeros(odd) >> 3)
            return end if raw[end] == 34 else -1
        p += 8


@njit(cache=True)
def copy(raw: U1, a: int, n: int, out: U1, to: int) -> int:
    """Copy n bytes, and up to 7 more; return the place after the n.

    raw : (z,) uint8  read, up to 7 bytes beyond
    a   : int         first byte
    n   : int         how many
    out : (y,) uint8  written, up to 7 bytes beyond
    to  : int         where
    """
    for k in range(0, n, 8):
        store8(out, to + k, load8(raw, a + k))
    return to + n
