"""Files that are written whole, such as snapshots, encrypted and authenticated: AES-256-GCM in chunks.

    file     =  part, part, ...              one part for each time the file was opened and written to
    part     =  8 bytes magic "WEIRENC1", 16 bytes salt (random), 8 bytes check, then chunks
    chunk    =  4 bytes length, its highest bit set if the file may end here; that many bytes, 16 bytes tag

The key of a part comes from the folder's key and the salt (HKDF-SHA256), so it is used for one part only; the nonce of
a chunk is its number within the part, the associated data are its 4 bytes. So chunks cannot be exchanged, left out or
put in, and a file that was cut ends with a chunk that says that it is not the last. A chunk is full, or ends where
somebody flushed.

The file says all of this itself: it may be renamed and copied, and another process may write one beside.
"""

import errno
import struct
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.durable.disk import DiskFile
from engine.durable.encryption import CHECK_BYTES, KEY_BYTES, NONCE_BYTES, SALT_BYTES, TAG_BYTES
from engine.durable.epochs import derived

MAGIC: Final = b"WEIRENC1"
PART_BYTES: Final = len(MAGIC) + SALT_BYTES + CHECK_BYTES
LENGTH: Final = struct.Struct("<I")
END: Final = 1 << 31  # flag in the length
CHUNK_BYTES: Final = 1 << 18


def _part_keys(key: bytes, salt: bytes) -> tuple[AESGCM, bytes]:
    both = derived(key, salt, b"weir file", KEY_BYTES + CHECK_BYTES)
    return AESGCM(both[:KEY_BYTES]), both[KEY_BYTES:]


def _nonce(number: int) -> bytes:
    return number.to_bytes(NONCE_BYTES, "big")


class ChunkFile:
    """Appends to a file in chunks; one part. A `DiskFile` for what was written, not for what stands on the disk."""

    def __init__(
        self, file: DiskFile, key: bytes, length: int, chance: Callable[[int], bytes]
    ) -> None:
        """`length`: bytes that the file holds already, decrypted."""
        self._file, self._key, self._chance = file, key, chance
        self._length = length
        self._pending = bytearray()
        self._gcm: AESGCM | None = None
        self._number = 0
        self._is_open = True

    def write(self, data: bytes) -> None:
        assert self._is_open, "written to after it was closed or could not be written"
        self._length += len(data)
        self._pending += data
        while len(self._pending) > CHUNK_BYTES:
            self._emit(bytes(self._pending[:CHUNK_BYTES]), 0)
            del self._pending[:CHUNK_BYTES]

    def _emit(self, text: bytes, flag: int) -> None:
        head = b""
        if self._gcm is None:
            salt = self._chance(SALT_BYTES)
            self._gcm, check = _part_keys(self._key, salt)
            head = MAGIC + salt + check
        length = LENGTH.pack(len(text) | flag)
        sealed = self._gcm.encrypt(_nonce(self._number), text, length)
        self._number += 1
        try:
            self._file.write(head + length + sealed)
        except OSError:
            self._is_open = False  # no number is used twice
            raise

    def tell(self) -> int:
        return self._length

    def flush(self) -> None:
        if self._pending and self._is_open:
            text = bytes(self._pending)
            self._pending.clear()
            self._emit(text, END)
        self._file.flush()

    def sync(self) -> None:
        self.flush()
        self._file.sync()

    def close(self) -> None:
        try:
            if self._is_open:
                self.flush()
        finally:
            self._is_open = False
            self._file.close()


@dataclass(frozen=True, slots=True)
class _Chunk:
    start: int  # of its first byte, decrypted
    length: int
    offset: int  # in the file, of its 4 bytes
    number: int
    gcm: AESGCM


class Chunked:
    """A file of chunks, open for reading.

    length   : bytes of it, decrypted
    is_plain : it is not encrypted at all; then it is `length` bytes as they stand
    """

    def __init__(self, file: IO[bytes], key: bytes, path: Path) -> None:
        """Read where chunks stand; what is wrong with the file is told when it is read."""
        self._file, self._key, self._path = file, key, path
        self._chunks: list[_Chunk] = []
        self._flaw = ""
        self.is_plain = file.read(len(MAGIC)) != MAGIC and file.seek(0, 2) > 0
        self.length = file.seek(0, 2) if self.is_plain else 0
        if not self.is_plain:
            self._index()
        self._starts = [chunk.start for chunk in self._chunks]

    def _index(self) -> None:
        file = self._file
        size, offset, number, told = file.seek(0, 2), 0, 0, END
        gcm: AESGCM | None = None
        while offset < size and not self._flaw:
            file.seek(offset)
            head = file.read(PART_BYTES if gcm is None else LENGTH.size)
            if head[: LENGTH.size] == MAGIC[: LENGTH.size] and told & END:
                head += file.read(PART_BYTES - len(head))
                gcm, number, offset = self._open_part(head), 0, offset + PART_BYTES
                told = 0  # a part has a chunk
                continue
            if gcm is None or len(head) < LENGTH.size:
                self._flaw = "it is cut"
                break
            (told,) = LENGTH.unpack(head)
            length = told & ~END
            end = offset + LENGTH.size + length + TAG_BYTES
            if end > size:
                self._flaw = "it is cut"
                break
            self._chunks.append(_Chunk(self.length, length, offset, number, gcm))
            self.length += length
            offset, number = end, number + 1
        if not told & END:
            self._flaw = self._flaw or "it is cut"

    def _open_part(self, head: bytes) -> AESGCM | None:
        salt = head[len(MAGIC) : len(MAGIC) + SALT_BYTES]
        if len(head) < PART_BYTES:
            self._flaw = "it is cut"
            return None
        gcm, check = _part_keys(self._key, salt)
        if not head.startswith(MAGIC) or check != head[-CHECK_BYTES:]:
            self._flaw = "it was encrypted with another key, or changed"
            return None
        return gcm

    def refuse_plain(self) -> None:
        """Let nothing be read of it if it is not encrypted: somebody has put it there."""
        if self.is_plain:
            self.is_plain, self.length, self._flaw = False, 0, "it is not encrypted"

    def read(self, start: int, length: int) -> bytes:
        """Up to `length` bytes from `start`; `OSError` if the file is not what was written."""
        if self.is_plain:
            self._file.seek(start)
            return self._file.read(length)
        if self._flaw:
            raise self._error(self._flaw)
        pieces = []
        k = max(0, bisect_right(self._starts, start) - 1)
        stop = min(self.length, start + length)
        while start < stop:
            chunk = self._chunks[k]
            text = self._decrypt(chunk)[start - chunk.start : stop - chunk.start]
            pieces.append(text)
            start, k = start + len(text), k + 1
        return b"".join(pieces)

    def _decrypt(self, chunk: _Chunk) -> bytes:
        self._file.seek(chunk.offset)
        head = self._file.read(LENGTH.size)
        sealed = self._file.read(chunk.length + TAG_BYTES)
        try:
            return chunk.gcm.decrypt(_nonce(chunk.number), sealed, head)
        except (InvalidTag, ValueError):
            raise self._error("it was changed after it was encrypted") from None

    def _error(self, what: str) -> OSError:
        return OSError(errno.EIO, f"it does not decrypt: {what}", str(self._path))

    def close(self) -> None:
        self._file.close()
