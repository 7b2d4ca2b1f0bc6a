"""BLAKE2b with a digest of 8 bytes (RFC 7693), the same as hashlib's: 0.4 us for 300 bytes, without a call a row."""

import numpy as np
from numba import njit

from engine.scanning.kernels.words import U1, Word, load8

BLOCK = 128
_IV = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    np.uint64,
)  # fmt: skip
_SIGMA = 8 * np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
    ],
    np.int64,
)  # fmt: skip
_PARAMETERS = np.uint64(0x01010008)  # 8 bytes out, no key, one leaf
_R32, _R24, _R16, _R63 = np.uint64(32), np.uint64(24), np.uint64(16), np.uint64(63)
_L32, _L24, _L16, _L63 = np.uint64(32), np.uint64(40), np.uint64(48), np.uint64(1)


@njit(cache=True)
def _mix(a: Word, b: Word, c: Word, d: Word, x: Word, y: Word) -> tuple[Word, Word, Word, Word]:
    a = a + b + x
    d ^= a
    d = (d >> _R32) | (d << _L32)
    c = c + d
    b ^= c
    b = (b >> _R24) | (b << _L24)
    a = a + b + y
    d ^= a
    d = (d >> _R16) | (d << _L16)
    c = c + d
    b ^= c
    b = (b >> _R63) | (b << _L63)
    return a, b, c, d


@njit(cache=True)
def digest_of(text: U1, n: int) -> int:
    """The digest of n bytes as a signed word, little end first.

    text : (z,) uint8  read; bytes from n to the end of its block of 128 are written with zeros
    n    : int         how many bytes
    """
    end = max(BLOCK, (n + BLOCK - 1) // BLOCK * BLOCK)
    text[n:end] = 0
    h0, h1, h2, h3 = _IV[0] ^ _PARAMETERS, _IV[1], _IV[2], _IV[3]
    h4, h5, h6, h7 = _IV[4], _IV[5], _IV[6], _IV[7]
    for at in range(0, end, BLOCK):
        done = at + BLOCK
        v0, v1, v2, v3, v4, v5, v6, v7 = h0, h1, h2, h3, h4, h5, h6, h7
        v8, v9, v10, v11 = _IV[0], _IV[1], _IV[2], _IV[3]
        v12, v13 = _IV[4] ^ np.uint64(min(done, n)), _IV[5]
        v14, v15 = (~_IV[6] if done == end else _IV[6]), _IV[7]
        for k in range(12):
            s = _SIGMA[k % 10]
            v0, v4, v8, v12 = _mix(v0, v4, v8, v12, load8(text, at + s[0]), load8(text, at + s[1]))
            v1, v5, v9, v13 = _mix(v1, v5, v9, v13, load8(text, at + s[2]), load8(text, at + s[3]))
            v2, v6, v10, v14 = _mix(
                v2, v6, v10, v14, load8(text, at + s[4]), load8(text, at + s[5])
            )
            v3, v7, v11, v15 = _mix(
                v3, v7, v11, v15, load8(text, at + s[6]), load8(text, at + s[7])
            )
            v0, v5, v10, v15 = _mix(
                v0, v5, v10, v15, load8(text, at + s[8]), load8(text, at + s[9])
            )
            v1, v6, v11, v12 = _mix(
                v1, v6, v11, v12, load8(text, at + s[10]), load8(text, at + s[11])
            )
            v2, v7, v8, v13 = _mix(
                v2, v7, v8, v13, load8(text, at + s[12]), load8(text, at + s[13])
            )
            v3, v4, v9, v14 = _mix(
                v3, v4, v9, v14, load8(text, at + s[14]), load8(text, at + s[15])
            )
        h0 ^= v0 ^ v8
        h1 ^= v1 ^ v9
        h2 ^= v2 ^ v10
        h3 ^= v3 ^ v11
        h4 ^= v4 ^ v12
        h5 ^= v5 ^ v13
        h6 ^= v6 ^ v14
        h7 ^= v7 ^ v15
    return int(np.int64(h0))
