"""The bytes of a journal segment, format 1. All numbers are little-endian.

    segment  =  segment header, frame, frame, ...          one file, named by its first seq: 0000000000004096.wj

Segment header:

    8   magic "WEIRJNL1"        4   length of the JSON        4   crc32 of the JSON
    ..  JSON  {"config": active at its start, "encryption": null | {"check": hex, "cipher": .., "salt": hex},
               "first_seq": n, "format": 1, "position": of the source at its start,
               "previous": hex digest at the end of the segment before it (zeros: none),
               "weir": its version and those of what it computes with (engine/versions.py)}

Frame: a head of 72 bytes, then the body.

    4   magic "WjF1"
    1   kind         1 messages   2 one configuration record   3 end (no body: everything before it is durable)
    1   flags        bit 0: some of its records were erased
    2   zero
    4   n            records in it
    4   length       bytes of the body
    4   crc32        of the body
    8   seq0         seq of its first record; of an end, the next seq
    8   durable_bytes  that much of the segment was durable when the frame was written
    32  previous     digest of the frame before it; of the first one, sha256 of the segment header
    4   crc32        of the 68 bytes before

    digest of a frame  =  sha256(head + body); of one with erased records, the digest it had before, which stands in
                          the first 32 bytes of its body: erasing breaks no chain
    body               =  [32 bytes digest, if erased] + payload (engine/durable/journal/records.py)
                          or, encrypted, + 12 bytes nonce + AES-256-GCM(payload) + 16 bytes tag; associated data are
                          kind, flags, n, seq0

What the parts are for. The two checksums find accidents, and tell a damaged head (its length means nothing) from a
damaged body (its length is known). `previous` finds frames and segments that were exchanged, removed or put in, also
by somebody who computes checksums; what happened to the last frame is for the seals to say (engine/durable/seals.py).
`durable_bytes` tells a frame that a crash tore from one that was damaged later (tail.py). An end stands
where a segment was closed, by rotation or by an orderly stop; after a stop, frames may follow it.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from config.errors import StateError
from engine.durable.disk import Disk

FORMAT: Final = 1
MAGIC: Final = b"WEIRJNL1"
PRELUDE: Final = struct.Struct("<8sII")
HEADER_BYTES_MAX: Final = 1 << 20
FRAME_MAGIC: Final = b"WjF1"
HEAD: Final = struct.Struct("<4sBBHIIIQQ32s")
CHECKED_BYTES: Final = HEAD.size
CRC: Final = struct.Struct("<I")
HEAD_BYTES: Final = CHECKED_BYTES + CRC.size
DIGEST_BYTES: Final = 32
NOTHING: Final = bytes(DIGEST_BYTES)  # the digest before the first segment
PIECE_BYTES: Final = 1 << 20  # read at once; a frame may be larger

MESSAGES: Final = 1
CONFIG: Final = 2
END: Final = 3
ERASED: Final = 1  # flag
BOUND: Final = struct.Struct("<BBIQ")  # kind, flags, n, seq0: what encryption binds a payload to


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment says of itself; `salt` and `check` are empty if it is not encrypted."""

    first_seq: int
    config: str
    position: str
    previous: bytes
    weir: str
    salt: bytes = b""
    check: bytes = b""

    def encode(self) -> bytes:
        encryption = {
            "check": self.check.hex(),
            "cipher": "AES-256-GCM",
            "salt": self.salt.hex(),
        }
        fields = {
            "config": self.config,
            "encryption": encryption if self.salt else None,
            "first_seq": self.first_seq,
            "format": FORMAT,
            "position": self.position,
            "previous": self.previous.hex(),
            "weir": self.weir,
        }
        text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
        return PRELUDE.pack(MAGIC, len(text), crc32(text)) + text


def header_length(data: bytes) -> int:
    """Bytes of the segment header that `data` begins with; -1 if it does not begin with one."""
    if len(data) < PRELUDE.size:
        return -1
    magic, length, _ = PRELUDE.unpack_from(data)
    return PRELUDE.size + length if magic == MAGIC and length <= HEADER_BYTES_MAX else -1


def decode_header(data: bytes, where: str) -> SegmentHeader | None:
    """Read a segment header that is exactly `data`; None if it is damaged. `StateError` for another format."""
    if header_length(data) != len(data):
        return None
    text = data[PRELUDE.size :]
    if crc32(text) != PRELUDE.unpack_from(data)[2]:
        return None
    try:
        fields = json.loads(text)
        if fields["format"] != FORMAT:
            raise StateError(
                f"the journal has format {fields['format']}, this version reads {FORMAT}",
                where,
                fix="read it with the version that wrote it: " + str(fields.get("weir")),
            )
        return _header(fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _header(fields: Mapping[str, Any]) -> SegmentHeader:
    encryption = fields["encryption"] or {"check": "", "salt": ""}
    return SegmentHeader(
        int(fields["first_seq"]),
        str(fields["config"]),
        str(fields["position"]),
        bytes.fromhex(fields["previous"]),
        str(fields["weir"]),
        bytes.fromhex(encryption["salt"]),
        bytes.fromhex(encryption["check"]),
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it stands in a segment, checked but not decoded.

    offset : of its head in the segment       digest : what the next frame names
    stored : sha256 of its bytes as they stand; differs from `digest` when records were erased
    """

    kind: int
    flags: int
    n: int
    seq0: int
    durable_bytes: int
    offset: int
    digest: bytes
    stored: bytes
    body: bytes

    @property
    def seq_end(self) -> int:
        return self.seq0 + self.n

    @property
    def is_erased(self) -> bool:
        return bool(self.flags & ERASED)

    @property
    def payload(self) -> bytes:
        """The body without the digest that an erased frame begins with."""
        return self.body[DIGEST_BYTES:] if self.is_erased else self.body

    def bound(self) -> bytes:
        """Associated data of the encryption."""
        return BOUND.pack(self.kind, self.flags, self.n, self.seq0)


def encode_frame(
    kind: int, flags: int, n: int, seq0: int, durable_bytes: int, previous: bytes, body: bytes
) -> bytes:
    """Head and body of one frame."""
    head = HEAD.pack(
        FRAME_MAGIC, kind, flags, 0, n, len(body), crc32(body), seq0, durable_bytes, previous
    )
    return b"".join((head, CRC.pack(crc32(head)), body))


@dataclass(slots=True)
class Flaw:
    """Where a walk through a segment had to stop before its end.

    is_certain : no crash leaves this behind: the frame is whole, but it is not the one that belongs here
    """

    byte: int
    seq: int
    what: str
    is_certain: bool


class Pieces:
    """The bytes of a file from `start` to where it ended when this was made (`stop`), a piece in memory at a time."""

    def __init__(self, disk: Disk, path: Path, start: int) -> None:
        self.start, self.stop = start, max(start, disk.size(path))
        self._disk, self._path = disk, path
        self._at, self._held = start, b""

    def take(self, at: int, n: int) -> bytes:
        """`n` bytes from byte `at` of the file, fewer where it ends."""
        n = min(n, self.stop - at)
        if n <= 0:
            return b""
        if not self._at <= at <= at + n <= self._at + len(self._held):
            self._held = b""  # not twice as much
            self._at, left = at, self.stop - at
            self._held = self._disk.read(self._path, at, min(max(n, PIECE_BYTES), left))
        first = at - self._at
        return self._held[first : first + n]


@dataclass(slots=True)
class Walk:
    """Frame by frame through a segment, checking each; stops at its end or at the first flaw.

    pieces   : of the file; begin at a frame
    seq      : that the next frame must begin with           previous : digest that it must name
    offset   : of the next frame in the file                 is_ended : the last frame was an end
    """

    pieces: Pieces
    seq: int
    previous: bytes
    offset: int = field(init=False)
    is_ended: bool = False
    flaw: Flaw | None = None

    def __post_init__(self) -> None:
        self.offset = self.pieces.start

    def __iter__(self) -> Iterator[Frame]:
        while self.offset < self.pieces.stop:
            found = self._check(self.offset)
            if isinstance(found, Flaw):
                self.flaw = found
                return
            self.offset += HEAD_BYTES + len(found.body)
            self.seq = found.seq_end
            self.previous = found.digest
            self.is_ended = found.kind == END
            yield found

    def _check(self, at: int) -> Frame | Flaw:
        head = self.pieces.take(at, HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            return self._flaw(f"a frame begins here and ends after {len(head)} bytes")
        fields = head_of(head, 0)
        if fields is None:
            return self._flaw("no frame begins here: its magic or checksum does not match")
        _, kind, flags, _, n, length, crc, seq0, durable_bytes, previous = fields
        body = self.pieces.take(at + HEAD_BYTES, length)
        if len(body) < length:
            return self._flaw(f"the frame should have {length} bytes of body, has {len(body)}")
        if crc32(body) != crc:
            return self._flaw("the body of the frame does not match its checksum")
        if seq0 != self.seq:
            return self._flaw(f"the frame begins with seq {seq0}", is_certain=True)
        if previous != self.previous:
            return self._flaw("the frame before this one is not the one it names", is_certain=True)
        if not _makes_sense(kind, flags, n, body):
            return self._flaw(f"a frame of kind {kind}, flags {flags}, n {n}", is_certain=True)
        digest = sha256(head)
        digest.update(body)
        stored = digest.digest()
        named = body[:DIGEST_BYTES] if flags & ERASED else stored
        return Frame(kind, flags, n, seq0, durable_bytes, at, named, stored, body)

    def _flaw(self, what: str, *, is_certain: bool = False) -> Flaw:
        return Flaw(self.offset, self.seq, what, is_certain)


def head_of(data: bytes, at: int) -> tuple[Any, ...] | None:
    """The fields of the head at `at` (see `HEAD`), None if none stands there whole."""
    if len(data) - at < HEAD_BYTES or data[at : at + len(FRAME_MAGIC)] != FRAME_MAGIC:
        return None
    if crc32(data[at : at + CHECKED_BYTES]) != CRC.unpack_from(data, at + CHECKED_BYTES)[0]:
        return None
    return HEAD.unpack_from(data, at)


def _makes_sense(kind: int, flags: int, n: int, body: bytes) -> bool:
    if kind == END:
        return not (flags or n or body)
    if flags & ERASED:
        return kind == MESSAGES and flags == ERASED and n > 0 and len(body) > DIGEST_BYTES
    return not flags and (n > 0 if kind == MESSAGES else kind == CONFIG and n == 1)
