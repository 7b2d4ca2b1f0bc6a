"""The only place where durable files are touched: journal, seals, streams and snapshots write through a `Disk`.

`RealDisk` is the one of the machine. The simulator (tests/simulation/) has one that forgets what was not synced, tears
writes and runs full, and the same code must get along with both. Whoever holds a promise about durability names the
call it stands on: `flush` for a killed process, `sync` and `sync_folder` for a power failure.

Not here: reading recordings (engine/brokers/) and configuration, which nobody writes while running.
"""

import os
import shutil
import stat
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Final, Protocol

BLOCK_BYTES: Final = 1 << 20  # read at once


class DiskFile(Protocol):
    """A file that only grows. One writer.

    After an `OSError` from `write` the file may hold any part of what was being written, and nothing may be appended
    to it any more; whoever opens it next cuts it back.
    """

    def write(self, data: bytes) -> None:
        """Append all of `data`; raises `OSError` (a full disk is `ENOSPC`)."""
        ...

    def tell(self) -> int:
        """Length of the file with everything written, bytes."""
        ...

    def flush(self) -> None:
        """Hand everything to the operating system: from here on it survives a killed process."""
        ...

    def sync(self) -> None:
        """Return when everything written is on the disk: it survives a power failure.

        May be called from another thread while nobody writes. After an `OSError` it is unknown what is on the disk,
        and a second call would prove nothing (the kernel forgets failed pages): stop, open again, look.
        """
        ...

    def close(self) -> None:
        """Flush and let go. Harmless when called twice."""
        ...


class Disk(Protocol):
    """Files and folders by path. A new, renamed or removed name is durable after `sync_folder` of its folder."""

    def create(self, path: Path) -> DiskFile:
        """A new file, or the one that is there emptied."""
        ...

    def append(self, path: Path) -> DiskFile:
        """A file to go on with at its end; created if absent."""
        ...

    def open(self, path: Path) -> IO[bytes]:
        """A file for reading, seekable."""
        ...

    def read(self, path: Path, start: int = 0, length: int = -1) -> bytes:
        """Up to `length` bytes from `start` (-1: to the end); fewer where the file ends."""
        ...

    def size(self, path: Path) -> int:
        """Length of a file in bytes; -1 if it is not there, or is no plain file (a folder, a pipe)."""
        ...

    def truncate(self, path: Path, length: int) -> None:
        """Cut a file back to `length` bytes; durable when it returns."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or folder another name in one step, replacing a file that has it."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with everything in it; nothing happens if it is not there."""
        ...

    def names(self, folder: Path) -> list[str]:
        """What stands in a folder, sorted; empty if there is no such folder."""
        ...

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it; nothing happens if it is there."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Return when the names in a folder are on the disk."""
        ...


class RealFile:
    """Unbuffered: a buffer that could not be written to a full disk would be written later, behind a cut."""

    def __init__(self, path: Path, mode: str) -> None:
        self._file = path.open(mode, buffering=0)
        self._length = self._file.seek(0, os.SEEK_END)

    def write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            written = self._file.write(left) or 0
            self._length += written
            left = left[written:]

    def tell(self) -> int:
        return self._length

    def flush(self) -> None:
        pass

    def sync(self) -> None:
        _sync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class RealDisk:
    """The disk of the machine. Raises `OSError` as the operating system does."""

    def create(self, path: Path) -> RealFile:
        return RealFile(path, "wb")

    def append(self, path: Path) -> RealFile:
        return RealFile(path, "ab")

    def open(self, path: Path) -> IO[bytes]:
        return path.open("rb")

    def read(self, path: Path, start: int = 0, length: int = -1) -> bytes:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            if length < 0:
                return file.read() or b""
            pieces = []
            while length > 0 and (piece := file.read(length)):
                pieces.append(piece)
                length -= len(piece)
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def size(self, path: Path) -> int:
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return -1
        return found.st_size if stat.S_ISREG(found.st_mode) else -1

    def truncate(self, path: Path, length: int) -> None:
        with path.open("r+b", buffering=0) as file:
            file.truncate(length)
            _sync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def names(self, folder: Path) -> list[str]:
        try:
            return sorted(entry.name for entry in folder.iterdir())
        except FileNotFoundError:
            return []

    def make_folder(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)

    def sync_folder(self, path: Path) -> None:
        if sys.platform == "win32":  # a folder cannot be opened there
            return
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def share(disk: Disk, old: Path, new: Path) -> None:
    """Let `new` hold what `old` does, both durable; neither may be written to any more.

    Where the file system can, it is the same file under two names: a gigabyte takes no time.
    """
    if isinstance(disk, RealDisk):
        with suppress(OSError):  # another file system, or one without such names
            os.link(old, new)
            return
    copy(disk, old, disk, new)


def copy(source: Disk, old: Path, disk: Disk, new: Path) -> None:
    """Let `new` hold on `disk` what `old` holds on `source`; durable when it returns."""
    file = disk.create(new)
    with source.open(old) as reading:
        while block := reading.read(BLOCK_BYTES):
            file.write(block)
    file.sync()
    file.close()


def sha256_of(disk: Disk, path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal, read piece by piece."""
    running = sha256()
    block = memoryview(bytearray(BLOCK_BYTES))  # one for all: fresh memory took a tenth of the time
    with disk.open(path) as file:
        while n := file.readinto(block):  # type: ignore[attr-defined]
            running.update(block[:n])
    return running.hexdigest()


def _sync(number: int) -> None:
    """Bring a file to the disk: its bytes and its length, not its times, which nobody reads back."""
    if sys.platform == "darwin":  # fsync only reaches the drive's cache there
        import fcntl

        fcntl.fcntl(number, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(number)
    else:
        os.fsync(number)
