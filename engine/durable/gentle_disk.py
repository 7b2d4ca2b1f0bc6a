"""The disk of the machine, for a process beside a live engine: little at a time, and a rest after it.

The engine syncs its journal before each decision leaves, and that waits for whatever the same disk was asked before.
Beside a process that appends 1.5 kB and syncs every 3 ms (ext4, a virtual disk), over 800 MB; longest is the longest
sync, which took 8 to 14 ms with nothing beside:

    read in one go        half of the syncs over 30 ms, longest 57 ms     1 MB and 5 ms of rest   longest 15 ms
    written, 16 MB a sync  p99 22 ms, longest 86 ms, 175 ms at the end     1 MB and 5 ms of rest   longest 5.5 ms
    unlinked              longest 43 ms                                   cut by 16 MB before     longest 5.0 ms

So a gigabyte takes some 8 s each way, which nobody waits for.

What was written or read is not kept in the page cache. Nobody reads it again soon, and fresh memory for a gigabyte is
not free on a guest whose host has to find it first: beside three snapshots each, the slowest decisions took 98, 27 and
14 ms with it, and 61, 14 and 24, then 19, 23 and 20 ms without (13 to 27 with nothing beside).
"""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from engine.clock import Clock
from engine.durable.disk import RealDisk, RealFile

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE_BYTES: Final = 1 << 20  # read or written between two rests
REST_US: Final = 5_000  # at least; else as long as the piece took
CUT_BYTES: Final = 1 << 24  # given back to the file system at once
GOING: Final = ".going"  # ends the name of what is being removed


class Pace:
    """Rests of whoever uses the disk."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._n_bytes = self._took_ns = 0

    @property
    def now_ns(self) -> int:
        return self._clock.monotonic_ns()

    def add(self, n_bytes: int, began_ns: int) -> None:
        """Count bytes whose reading or writing began at `began_ns`, and rest when it is time to."""
        self._n_bytes += n_bytes
        self._took_ns += self.now_ns - began_ns
        if self._n_bytes >= PIECE_BYTES:
            self._clock.sleep_us(max(REST_US, self._took_ns // 1_000))
            self._n_bytes = self._took_ns = 0


class GentleDisk(RealDisk):
    """A `RealDisk` that takes its time. For one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._pace = clock, Pace(clock)

    def create(self, path: Path) -> RealFile:
        return _GentleFile(path, "wb", self._pace)

    def append(self, path: Path) -> RealFile:
        return _GentleFile(path, "ab", self._pace)

    def open(self, path: Path) -> IO[bytes]:
        return io.BufferedReader(_GentleReader(path, self._pace))

    def read(self, path: Path, start: int = 0, length: int = -1) -> bytes:
        with _GentleReader(path, self._pace) as file:
            size = max(0, os.fstat(file.fileno()).st_size - start)
            found = bytearray(size if length < 0 else min(length, size))
            file.seek(start)
            view, n_read = memoryview(found), 0
            while n := file.readinto(view[n_read:]):
                n_read += n
        view.release()
        del found[n_read:]
        return bytes(found)

    def remove(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            going = path.with_name(f".{path.name.removeprefix('.').removesuffix(GOING)}{GOING}")
            if going != path:  # from here on nobody finds it
                super().remove(going)
                self.rename(path, going)
                self.sync_folder(going.parent)
            for file in going.rglob("*"):
                self._cut(file)
            path = going
        self._cut(path)
        super().remove(path)

    def _cut(self, path: Path) -> None:
        """Give the bytes of a file back piece by piece, if nobody else has it under another name, or open."""
        size = self.size(path)
        if size <= CUT_BYTES:
            return
        with path.open("r+b", buffering=0) as file:
            number = file.fileno()
            if os.fstat(number).st_nlink > 1 or not _is_alone(number):
                return
            while size > CUT_BYTES:
                size -= CUT_BYTES
                began_ns = self._pace.now_ns
                file.truncate(size)
                os.fsync(number)
                self._pace.add(CUT_BYTES, began_ns)


def _is_alone(number: int) -> bool:
    """Whether nobody else has this file open; False where the system cannot tell."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    fcntl.fcntl(
        number, fcntl.F_SETLEASE, fcntl.F_UNLCK
    )  # a signal would come with the next opening
    return True


def _forget(number: int, start: int, length: int) -> None:
    """Take a part of a file out of the page cache, as far as it is on the disk already."""
    if hasattr(os, "posix_fadvise"):
        before = min(start, PIECE_BYTES)  # the cache has blocks that reach over from there
        with suppress(OSError):
            os.posix_fadvise(number, start - before, length + before, os.POSIX_FADV_DONTNEED)


class _GentleFile(RealFile):
    """Every piece is on the disk before the next is written: there is never more than one to be waited for."""

    def __init__(self, path: Path, mode: str, pace: Pace) -> None:
        super().__init__(path, mode)
        self._pace, self._unsynced = pace, 0

    def write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            piece = left[: PIECE_BYTES - self._unsynced]
            began_ns = self._pace.now_ns
            super().write(piece)
            self._unsynced += len(piece)
            if self._unsynced >= PIECE_BYTES:
                self.sync()
            self._pace.add(len(piece), began_ns)
            left = left[len(piece) :]

    def sync(self) -> None:
        super().sync()
        _forget(self._file.fileno(), self._length - self._unsynced, self._unsynced)
        self._unsynced = 0


class _GentleReader(io.FileIO):
    """Reads at most a piece at once."""

    def __init__(self, path: Path, pace: Pace) -> None:
        super().__init__(path)
        self._pace = pace

    def readinto(self, buffer: "WriteableBuffer") -> int:
        began_ns = self._pace.now_ns
        n_read = super().readinto(memoryview(buffer).cast("B")[:PIECE_BYTES]) or 0
        self._rest(n_read, began_ns)
        return n_read

    def read(self, size: int | None = -1) -> bytes:
        began_ns = self._pace.now_ns
        found = (
            super().read(PIECE_BYTES if size is None or size < 0 else min(size, PIECE_BYTES)) or b""
        )
        self._rest(len(found), began_ns)
        return found

    def readall(self) -> bytes:
        return b"".join(iter(self.read, b""))

    def _rest(self, n_read: int, began_ns: int) -> None:
        _forget(self.fileno(), self.tell() - n_read, n_read)
        self._pace.add(n_read, began_ns)
