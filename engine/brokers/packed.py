"""Files as bytes, plain or compressed, and blocks of bytes as lines."""

import gzip
import io
import sys
import zlib
from pathlib import Path
from typing import IO, Any, Final

import zstandard

from config.errors import InputError

BLOCK_BYTES: Final = 1 << 20
ZSTD_BYTES: Final = 1 << 12  # unpacked at once; of these even a bomb makes no more than 128 MB
DAMAGED: Final = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)


def damaged(path: Path, error: Exception) -> InputError:
    """What is told of a file that cannot be read to its end."""
    return InputError(
        f"the file is damaged: {error}",
        str(path),
        why="it ends early or has changed bytes",
        fix="copy it again; a run goes on where it stopped",
    )


class Splitter:
    """Blocks of bytes to lines; of a line longer than `line_bytes` that many bytes and one more are kept."""

    def __init__(self, line_bytes: int) -> None:
        self.line_bytes = line_bytes
        self._tail = b""

    def split(self, block: bytes) -> list[bytes]:
        """Lines that `block` ends; what follows the last line end waits for the next block."""
        first, *others = block.split(b"\n")
        room = self.line_bytes + 1 - len(self._tail)
        self._tail += first[: max(room, 0)]
        if not others:
            return []
        lines = [self._tail, *others]
        self._tail = lines.pop()[: self.line_bytes + 1]
        return lines

    def rest(self) -> list[bytes]:
        """What stands after the last line end, as a line if there is anything."""
        last, self._tail = self._tail, b""
        return [last] if last else []


class _Frames:
    """Unpacks zstd frames one after the other; `ZstdError` where the file ends inside one, which their reader hides."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._unpacker = zstandard.ZstdDecompressor()
        self._frame: Any = None
        self._left = b""  # read, and belongs to the next frame
        self._ready = b""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end; all of them where it is below zero."""
        size = size if size >= 0 else sys.maxsize
        parts, n = [self._ready], len(self._ready)
        while n < size and (part := self._unpack()) is not None:
            parts.append(part)
            n += len(part)
        found = b"".join(parts)
        self._ready = found[size:]
        return found[:size]

    def _unpack(self) -> bytes | None:
        data = self._left or self._packed.read(ZSTD_BYTES)
        if not data:
            if self._frame is not None:
                raise zstandard.ZstdError("it ends in the middle of a frame")
            return None
        if self._frame is None:
            self._frame = self._unpacker.decompressobj()
        part: bytes = self._frame.decompress(data)
        self._left = self._frame.unused_data
        if self._frame.eof:
            self._frame = None
        return part


class open_packed(io.RawIOBase):  # noqa: N801 - used like `open`
    """A file for reading bytes, unpacked where its first bytes say that it is packed."""

    def __init__(self, path: Path) -> None:
        try:
            self._packed = path.open("rb")
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", str(path)) from None
        head = self._packed.read(4)
        self._packed.seek(0)
        self._stream: Any = self._packed
        if head[:2] == b"\x1f\x8b":
            self._stream = gzip.GzipFile(fileobj=self._packed)
        elif head == b"\x28\xb5\x2f\xfd":
            self._stream = _Frames(self._packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        found: bytes = self._stream.read(size)
        return found

    def tell_packed(self) -> int:
        """How many bytes of the file itself have been read."""
        return self._packed.tell()

    def close(self) -> None:
        self._packed.close()
        super().close()
