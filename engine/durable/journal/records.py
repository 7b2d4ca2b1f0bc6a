"""The payload of a frame: input records with everything that is kept beside them. Bytes in, bytes out; no files.

Format 1, all numbers little-endian:

    1   flags        bit 0: what follows the salts is one zstd frame      bit 1: lines are joined by line feeds
    4   n_erased     4  length of the front      4  length of front and back together, unpacked
    4 * n_erased     rows that were erased (their lines are empty, their salts zero), then 32 * n_erased their leaves
    16 * n           salts, random
    front            1 kind   8 seq0   4 n   1 flags (bit 0: arrival times, bit 1: positions are joined by line feeds)
                     4 length of positions   4 length of the source's position
                     [8 * n arrival times, microseconds UTC]  [4 * n lengths of positions]  positions, source's position
    back             [4 * n lengths of lines]  lines

    about  =  sha256(front): what erasing must not touch
    leaf   =  sha256(salt + line)

Texts and lines are joined by line feeds whenever none of them holds one, else each has its length: joining and
splitting cost a tenth of slicing. Runs of positions (`file:17`, `file:18`) are left to zstd, which brings them to 0.6
bytes each; finding the runs in Python cost three times as much and saved less than the salts spend.
Texts are UTF-8 with surrogates passed through, since the name of a file may be any bytes.
"""

import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import numpy as np
import zstandard

from engine.joined import Joined, join
from engine.ports import I8, LEAF_BYTES, SALT_BYTES

PAYLOAD: Final = struct.Struct("<BIII")
FRONT: Final = struct.Struct("<BQIBII")
PACKED: Final = 1
LINES_JOINED: Final = 2
HAS_ARRIVAL: Final = 1
POSITIONS_JOINED: Final = 2
LINE_FEED: Final = 10
FEW_BYTES: Final = 4_096


class _Local(threading.local):
    """One a thread, for it must not be shared; making one costs as much as reading a record three times."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor()


_LOCAL: Final = _Local()


@dataclass(frozen=True, slots=True)
class Payload:
    """Input records as a frame keeps them; fields as in `Recorded`."""

    lines: Sequence[bytes]
    positions: Sequence[str]
    arrival_us: I8 | None
    source_position: str
    salts: bytes
    erased: Mapping[int, bytes]


def new_compressor() -> zstandard.ZstdCompressor:
    """What `encode` compresses with; one thread may use it.

    zstd at level 1, and it forgets sooner where a text stood: on messages that is a fifth faster and up to a sixth
    smaller, for what repeats has been near. Failed: levels 2 and 3 (slower, no smaller), negative ones and longer
    steps (half the ratio), matches of 5 and 6 bytes (slower and larger).
    """
    given = zstandard.ZstdCompressionParameters.from_level(
        1, window_log=18, hash_log=11, min_match=7
    )
    return zstandard.ZstdCompressor(compression_params=given)


def encode(
    payload: Payload,
    kind: int,
    seq0: int,
    compressor: zstandard.ZstdCompressor,
    joined: Joined | None = None,
) -> tuple[bytes, bytes]:
    """The bytes of a payload and its `about` (32 bytes). One record or more, below 4 GiB together.

    joined : the lines in one piece, where they have been put together before
    """
    front = _front(payload, kind, seq0)
    joined = joined or join(payload.lines)
    text = memoryview(joined.text)[: joined.n_bytes]
    flags = 0
    if _feeds(text) == len(payload.lines) - 1:
        flags |= LINES_JOINED
        plain = b"".join((front, text))
    else:
        plain = b"".join((front, joined.length.astype("<u4").tobytes(), *payload.lines))
    rest = compressor.compress(plain)
    if len(rest) < len(plain):
        flags |= PACKED
    else:
        rest = plain
    head = PAYLOAD.pack(flags, len(payload.erased), len(front), len(plain))
    rows = np.array(list(payload.erased), "<u4").tobytes()
    leaves = b"".join(payload.erased.values())
    return b"".join((head, rows, leaves, payload.salts, rest)), sha256(front).digest()


def _front(payload: Payload, kind: int, seq0: int) -> bytes:
    texts = payload.positions
    flags = POSITIONS_JOINED
    positions = "\n".join(texts).encode("utf-8", "surrogatepass")
    lengths = b""
    if _feeds(positions) != len(texts) - 1:
        flags = 0
        each = [text.encode("utf-8", "surrogatepass") for text in texts]
        lengths = np.array([len(text) for text in each], "<u4").tobytes()
        positions = b"".join(each)
    arrival = b""
    if payload.arrival_us is not None:
        flags |= HAS_ARRIVAL
        arrival = payload.arrival_us.astype("<i8", copy=False).tobytes()
        assert len(arrival) == 8 * len(texts)
    source = payload.source_position.encode("utf-8", "surrogatepass")
    head = FRONT.pack(kind, seq0, len(texts), flags, len(positions), len(source))
    return b"".join((head, arrival, lengths, positions, source))


def decode(data: bytes, kind: int, seq0: int, n: int) -> tuple[Payload, bytes]:
    """What `encode` was given, and its `about`. Raises `ValueError` if `data` is not such a payload, to the byte."""
    try:
        return _decode(data, kind, seq0, n)
    except (struct.error, zstandard.ZstdError, OverflowError, MemoryError) as error:
        raise ValueError(f"its payload cannot be read: {error}") from None


def _decode(data: bytes, kind: int, seq0: int, n: int) -> tuple[Payload, bytes]:
    flags, n_erased, front_length, plain_length = PAYLOAD.unpack_from(data)
    at = PAYLOAD.size
    rows = np.frombuffer(data, "<u4", n_erased, at).tolist()
    at += 4 * n_erased
    leaves = [data[k : k + LEAF_BYTES] for k in range(at, at + LEAF_BYTES * n_erased, LEAF_BYTES)]
    at += LEAF_BYTES * n_erased
    salts = data[at : at + SALT_BYTES * n]
    plain = data[at + SALT_BYTES * n :]
    if flags & PACKED:
        plain = _LOCAL.decompressor.decompress(
            plain, max_output_size=plain_length, allow_extra_data=False
        )
    joined = bool(flags & LINES_JOINED)
    if len(plain) != plain_length or len(salts) != SALT_BYTES * n or flags > PACKED + LINES_JOINED:
        raise ValueError("the lengths in its payload do not add up")
    lines = _split(plain, front_length, plain_length, n, joined=joined)
    positions, arrival_us, source_position = _read_front(plain[:front_length], kind, seq0, n)
    erased = dict(zip(rows, leaves, strict=True))
    if any(row >= n or lines[row] for row in rows):
        raise ValueError("an erased record still has bytes")
    payload = Payload(lines, positions, arrival_us, source_position, salts, erased)
    return payload, sha256(plain[:front_length]).digest()


def _read_front(front: bytes, kind: int, seq0: int, n: int) -> tuple[list[str], I8 | None, str]:
    *told, flags, positions_length, source_length = FRONT.unpack_from(front)
    if told != [kind, seq0, n] or flags > HAS_ARRIVAL + POSITIONS_JOINED:
        raise ValueError(f"it says that it holds kind, seq, n {told}")
    at = FRONT.size
    arrival_us = None
    if flags & HAS_ARRIVAL:
        arrival_us = np.frombuffer(front, "<i8", n, at).astype(
            np.int64
        )  # a copy that may be written
        at += 8 * n
    stop = len(front) - source_length
    joined = bool(flags & POSITIONS_JOINED)
    if stop - positions_length != at + (0 if joined else 4 * n):
        raise ValueError("the lengths in its front do not add up")
    source = front[stop:].decode("utf-8", "surrogatepass")
    if joined:
        positions = front[at:stop].decode("utf-8", "surrogatepass").split("\n")
        if len(positions) != n:
            raise ValueError(f"it has {len(positions)} positions for {n} records")
        return positions, arrival_us, source
    texts = _split(front, at, stop, n, joined=False)
    return [text.decode("utf-8", "surrogatepass") for text in texts], arrival_us, source


def _feeds(data: bytes | memoryview) -> int:
    """How many line feeds there are; `bytes.count` of a single byte takes ten times as long, but begins at once."""
    if len(data) < FEW_BYTES:
        return bytes(data).count(b"\n")
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == LINE_FEED))


def _split(data: bytes, at: int, stop: int, n: int, *, joined: bool) -> list[bytes]:
    """The `n` pieces that fill data[at:stop]: between line feeds, or by the lengths that stand before them."""
    if joined:
        pieces = data[at:stop].split(b"\n")
        if len(pieces) != n:
            raise ValueError(f"it has {len(pieces)} lines for {n} records")
        return pieces
    ends = at + 4 * n + np.cumsum(np.frombuffer(data, "<u4", n, at), dtype=np.int64)
    if ends[-1] != stop:
        raise ValueError("the lengths of its lines do not add up")
    starts = [at + 4 * n, *ends[:-1].tolist()]
    return [data[a:b] for a, b in zip(starts, ends.tolist(), strict=True)]
