"""SHA-256 (FIPS 180-4) of many short messages side by side: what hashlib gives, without a call a message.

hashlib took 0.47 us for a message of 160 bytes and its salt, most of it to be called, to put the two together and to
give a digest back. Here a step is taken for `LANES` messages at once, in vector registers: 0.15 us with AVX-512, 0.23
with AVX2 (engine/durable/leaves.py; hashlib had the SHA instructions of the processor).
Failed: words filled in with a call a message (0.1 us more: references are counted), the next words one after the other
over all lanes (0.2 us more: what may overlap is checked each time), 16 lanes (a tenth slower).
"""

from typing import Any, Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engine.scanning.kernels.words import load8

U1: TypeAlias = NDArray[np.uint8]
U4: TypeAlias = NDArray[np.uint32]
I8: TypeAlias = NDArray[np.int64]
Word: TypeAlias = Any  # uint32

LANES: Final = 64  # 32 bits each: four registers of AVX-512, eight of AVX2
SALT: Final = 16  # bytes
SPARE: Final = 8  # bytes that may be read behind what is hashed
BLOCK: Final = 64  # bytes

_START = np.array(
    [
        0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
    ],
    np.uint32,
)  # fmt: skip
_K = np.array(
    [
        0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
        0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
        0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
        0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
        0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
        0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
        0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
        0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
    ],
    np.uint32,
)  # fmt: skip


@njit(inline="always")
def _turn(x: Word, n: int) -> Word:
    """Rotate to the right."""
    return np.uint32((x >> np.uint32(n)) | (x << np.uint32(32 - n)))


@njit(inline="always")
def _swap(x: Word) -> Word:
    """Exchange big and little end of the low 32 bits."""
    x = np.uint32(x)
    inner = ((x >> np.uint32(8)) & np.uint32(0xFF00)) | ((x & np.uint32(0xFF00)) << np.uint32(8))
    return np.uint32((x >> np.uint32(24)) | inner | (x << np.uint32(24)))


@njit(inline="always")
def _round(a: Word, b: Word, c: Word, d: Word, e: Word, f: Word, g: Word, h: Word, x: Word) -> Any:
    """What becomes of d and h; the others only change their names. `x`: constant and word of the round."""
    t = np.uint32(h + (_turn(e, 6) ^ _turn(e, 11) ^ _turn(e, 25)) + (g ^ (e & (f ^ g))) + x)
    u = (_turn(a, 2) ^ _turn(a, 13) ^ _turn(a, 22)) + ((a & b) | (c & (a | b)))
    return np.uint32(d + t), np.uint32(t + u)


@njit(inline="always")
def _next(w0: Word, w1: Word, w9: Word, w14: Word) -> Word:
    """The word 16 rounds after `w0`."""
    near = _turn(w1, 7) ^ _turn(w1, 18) ^ (w1 >> np.uint32(3))
    far = _turn(w14, 17) ^ _turn(w14, 19) ^ (w14 >> np.uint32(10))
    return np.uint32(w0 + w9 + near + far)


@njit(inline="always")
def _blocks(length: int) -> int:
    """How many blocks salt, message, the bit behind it and its length fill."""
    return (SALT + length + 8) // BLOCK + 1


@njit(cache=True)
def _sixteen_rounds(state: U4, word: U4, k: U4) -> None:
    """Sixteen rounds of every lane.

    state : (8 LANES,) uint32   a to h, updated in place
    word  : (16 LANES,) uint32  read
    k     : (16,) uint32        constants of the rounds
    """
    k0, k1, k2, k3, k4, k5, k6, k7 = k[0], k[1], k[2], k[3], k[4], k[5], k[6], k[7]
    k8, k9, k10, k11, k12, k13, k14, k15 = k[8], k[9], k[10], k[11], k[12], k[13], k[14], k[15]
    for j in range(LANES):
        a, b, c, d = state[j], state[LANES + j], state[2 * LANES + j], state[3 * LANES + j]
        e, f, g, h = (
            state[4 * LANES + j],
            state[5 * LANES + j],
            state[6 * LANES + j],
            state[7 * LANES + j],
        )
        d, h = _round(a, b, c, d, e, f, g, h, k0 + word[j])
        c, g = _round(h, a, b, c, d, e, f, g, k1 + word[LANES + j])
        b, f = _round(g, h, a, b, c, d, e, f, k2 + word[2 * LANES + j])
        a, e = _round(f, g, h, a, b, c, d, e, k3 + word[3 * LANES + j])
        h, d = _round(e, f, g, h, a, b, c, d, k4 + word[4 * LANES + j])
        g, c = _round(d, e, f, g, h, a, b, c, k5 + word[5 * LANES + j])
        f, b = _round(c, d, e, f, g, h, a, b, k6 + word[6 * LANES + j])
        e, a = _round(b, c, d, e, f, g, h, a, k7 + word[7 * LANES + j])
        d, h = _round(a, b, c, d, e, f, g, h, k8 + word[8 * LANES + j])
        c, g = _round(h, a, b, c, d, e, f, g, k9 + word[9 * LANES + j])
        b, f = _round(g, h, a, b, c, d, e, f, k10 + word[10 * LANES + j])
        a, e = _round(f, g, h, a, b, c, d, e, k11 + word[11 * LANES + j])
        h, d = _round(e, f, g, h, a, b, c, d, k12 + word[12 * LANES + j])
        g, c = _round(d, e, f, g, h, a, b, c, k13 + word[13 * LANES + j])
        f, b = _round(c, d, e, f, g, h, a, b, k14 + word[14 * LANES + j])
        e, a = _round(b, c, d, e, f, g, h, a, k15 + word[15 * LANES + j])
        state[j] = a
        state[LANES + j] = b
        state[2 * LANES + j] = c
        state[3 * LANES + j] = d
        state[4 * LANES + j] = e
        state[5 * LANES + j] = f
        state[6 * LANES + j] = g
        state[7 * LANES + j] = h


@njit(cache=True)
def _next_words(word: U4) -> None:
    """The words of the next sixteen rounds of every lane, in the place of those of the last (16 LANES,)."""
    for j in range(LANES):
        w0, w1, w2, w3 = word[j], word[LANES + j], word[2 * LANES + j], word[3 * LANES + j]
        w4, w5, w6, w7 = (
            word[4 * LANES + j],
            word[5 * LANES + j],
            word[6 * LANES + j],
            word[7 * LANES + j],
        )
        w8, w9, w10, w11 = (
            word[8 * LANES + j],
            word[9 * LANES + j],
            word[10 * LANES + j],
            word[11 * LANES + j],
        )
        w12, w13, w14, w15 = (
            word[12 * LANES + j],
            word[13 * LANES + j],
            word[14 * LANES + j],
            word[15 * LANES + j],
        )
        w0 = _next(w0, w1, w9, w14)
        w1 = _next(w1, w2, w10, w15)
        w2 = _next(w2, w3, w11, w0)
        w3 = _next(w3, w4, w12, w1)
        w4 = _next(w4, w5, w13, w2)
        w5 = _next(w5, w6, w14, w3)
        w6 = _next(w6, w7, w15, w4)
        w7 = _next(w7, w8, w0, w5)
        w8 = _next(w8, w9, w1, w6)
        w9 = _next(w9, w10, w2, w7)
        w10 = _next(w10, w11, w3, w8)
        w11 = _next(w11, w12, w4, w9)
        w12 = _next(w12, w13, w5, w10)
        w13 = _next(w13, w14, w6, w11)
        w14 = _next(w14, w15, w7, w12)
        w15 = _next(w15, w0, w8, w13)
        word[j] = w0
        word[LANES + j] = w1
        word[2 * LANES + j] = w2
        word[3 * LANES + j] = w3
        word[4 * LANES + j] = w4
        word[5 * LANES + j] = w5
        word[6 * LANES + j] = w6
        word[7 * LANES + j] = w7
        word[8 * LANES + j] = w8
        word[9 * LANES + j] = w9
        word[10 * LANES + j] = w10
        word[11 * LANES + j] = w11
        word[12 * LANES + j] = w12
        word[13 * LANES + j] = w13
        word[14 * LANES + j] = w14
        word[15 * LANES + j] = w15


@njit(cache=True)
def _fill(word: U4, b: int, salt: U1, text: U1, start: I8, length: I8, row: I8) -> None:
    """Write the words of block `b` of up to `LANES` messages: salt, what is left of the message, and the padding.

    word   : (16 LANES,) uint32  written
    others : as in `digest_each`; `row`: that of each lane

    All lanes in one call: a call a message took as long as hashing it.
    """
    for j in range(row.shape[0]):
        i = row[j]
        left = SALT + length[i] - BLOCK * b  # bytes of salt and message from this block on
        at = (
            start[i] - SALT + BLOCK * b
        )  # where they would stand, had each message its salt before it
        k = 0
        if b == 0:
            for k in range(SALT // 4):
                word[k * LANES + j] = _swap(load8(salt, SALT * i + 4 * k))
            k = SALT // 4
        n_whole = min(left >> 2, 16)
        while k < n_whole:
            word[k * LANES + j] = _swap(load8(text, at + 4 * k))
            k += 1
        if (
            k < 16 and left >= 0
        ):  # the message ends in this word, or before it: a one behind its last bit
            bits = np.uint64(8 * (left & 3))
            rest = load8(text, at + 4 * k) & ((np.uint64(1) << bits) - np.uint64(1))
            word[k * LANES + j] = _swap(rest | (np.uint64(0x80) << bits))
            k += 1
        while k < 16:
            word[k * LANES + j] = 0
            k += 1
        if left + 9 <= BLOCK:  # the last block ends with how many bits there are
            word[15 * LANES + j] = 8 * (SALT + length[i])


@njit(cache=True)
def digest_each(salt: U1, text: U1, start: I8, length: I8, order: I8, out: U4) -> None:
    """Write sha256(salt + message) of each row.

    salt   : (16 n + 8,) uint8  read; `SPARE` bytes behind the last one may be anything
    text   : (z + 8,) uint8     read; messages, and `SPARE` bytes
    start  : (n,) int64         where the message of each row begins in `text`
    length : (n,) int64         its bytes, below 2**28
    order  : (m,) int64         rows that are hashed; shorter ones first, or lanes wait for the longest
    out    : (n, 8) uint32      written: the bytes of the digests, as they stand in memory

    O(blocks of 64 bytes); allocates 9 KB.
    """
    word, state = np.zeros(16 * LANES, np.uint32), np.empty(8 * LANES, np.uint32)
    total = np.empty(8 * LANES, np.uint32)
    n_blocks, mask = np.zeros(LANES, np.int64), np.zeros(LANES, np.uint32)
    for first in range(0, order.shape[0], LANES):
        n = min(LANES, order.shape[0] - first)
        most = 0
        for j in range(n):
            n_blocks[j] = _blocks(length[order[first + j]])
            most = max(most, n_blocks[j])
        for k in range(8):
            for j in range(LANES):
                total[k * LANES + j] = _START[k]
        for b in range(most):
            _fill(word, b, salt, text, start, length, order[first : first + n])
            state[:] = total
            _sixteen_rounds(state, word, _K[:16])
            for t in range(16, 64, 16):
                _next_words(word)
                _sixteen_rounds(state, word, _K[t : t + 16])
            for j in range(LANES):
                mask[j] = -np.int64(b < n_blocks[j])
            for k in range(8):
                for j in range(LANES):
                    total[k * LANES + j] += state[k * LANES + j] & mask[j]
        for j in range(n):
            row = order[first + j]
            for k in range(8):
                out[row, k] = _swap(total[k * LANES + j])
