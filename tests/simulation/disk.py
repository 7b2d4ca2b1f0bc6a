"""A disk in memory that breaks on purpose: it forgets what was not synced, tears writes, runs full and stops the world.

What it promises is what POSIX promises and no more. Bytes are safe once `sync` has returned, names once `sync_folder`
has. A killed process loses nothing that was written; a power failure loses any tail of what was not synced, may leave
zeros or rubbish where a page had been allocated but not written, and undoes the newest names that were not synced.
"""

import errno
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np


class Crash(BaseException):
    """The process is gone at this instant; nothing may catch it on the way."""


@dataclass(eq=False)
class Inode:
    """A file's bytes, and how many of them survive a power failure."""

    data: bytearray
    synced: int = 0


class Names:
    """Which path stands for which file; folders are paths without one."""

    def __init__(self) -> None:
        self.files: dict[Path, Inode] = {}
        self.folders: set[Path] = set()

    def copy(self) -> "Names":
        other = Names()
        other.files, other.folders = dict(self.files), set(self.folders)
        return other

    def put(self, path: Path, inode: Inode) -> None:
        self.files[path] = inode

    def make(self, path: Path) -> None:
        self.folders |= {path, *path.parents}

    def move(self, old: Path, new: Path) -> None:
        self.drop(new)
        if old in self.files:
            self.files[new] = self.files.pop(old)
            return
        for path in [p for p in self.files if old in p.parents]:
            self.files[new / path.relative_to(old)] = self.files.pop(path)
        for path in [p for p in self.folders if p == old or old in p.parents]:
            self.folders.discard(path)
            self.folders.add(new / path.relative_to(old))

    def drop(self, path: Path) -> None:
        self.files.pop(path, None)
        for below in [p for p in self.files if path in p.parents]:
            del self.files[below]
        self.folders -= {p for p in self.folders if p == path or path in p.parents}


class SimFile:
    """One open file of a `SimDisk`."""

    def __init__(self, disk: "SimDisk", inode: Inode) -> None:
        self._disk, self._inode, self._life = disk, inode, disk.life

    def write(self, data: bytes) -> None:
        self._disk.check_life(self._life)
        self._disk.before_write(self._inode, data)
        self._inode.data += data

    def tell(self) -> int:
        return len(self._inode.data)

    def flush(self) -> None:
        self._disk.check_life(self._life)

    def sync(self) -> None:
        self._disk.check_life(self._life)
        self._disk.step()
        self._inode.synced = len(self._inode.data)

    def close(self) -> None:
        pass


class SimDisk:
    """Implements engine.durable.disk.Disk over a dictionary.

    Every call that changes something is a step. `crash_at` is the step that stops the world (in a write: after a part
    of it); `full_at` the step from which writes fail with a full disk, until `free` is called.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.steps = 0
        self.life = 0  # raised at each restart; files opened before are dead
        self.crash_at = -1
        self.full_at = -1
        self.syncs = 0
        self._names, self._durable = Names(), Names()
        self._pending: list[tuple[set[Path], Callable[[Names], None]]] = []

    # what breaks

    def step(self) -> None:
        """Count a change; stop the world if it is the one to stop at."""
        self.steps += 1
        if self.steps == self.crash_at:
            raise Crash

    def before_write(self, inode: Inode, data: bytes) -> None:
        """Let a write fail where it must: a part of it stands in the file then."""
        part = int(self.rng.integers(0, len(data) + 1))
        if 0 <= self.full_at <= self.steps:
            inode.data += data[:part]
            raise OSError(errno.ENOSPC, "No space left on device")
        try:
            self.step()
        except Crash:
            inode.data += data[:part]
            raise

    def check_life(self, life: int) -> None:
        assert life == self.life, "a file of an earlier life is used"

    def free(self) -> None:
        self.full_at = -1

    def restart(self, *, power_loss: bool) -> None:
        """What a new process finds after the old one is gone."""
        self.life += 1
        self.crash_at = self.full_at = -1
        if not power_loss:
            return
        for _, change in self._pending[: int(self.rng.integers(0, len(self._pending) + 1))]:
            change(self._durable)
        self._pending = []
        self._names = self._durable.copy()
        for inode in self._names.files.values():
            self._lose_tail(inode)

    def _lose_tail(self, inode: Inode) -> None:
        unsynced = len(inode.data) - inode.synced
        if unsynced <= 0:
            return
        kept = inode.synced + int(self.rng.integers(0, unsynced + 1))
        del inode.data[kept:]
        if kept > inode.synced and self.rng.random() < 0.3:  # a page that was never written
            hole = int(self.rng.integers(inode.synced, kept))
            length = kept - hole
            rubbish = self.rng.random() < 0.3
            inode.data[hole:] = self.rng.bytes(length) if rubbish else bytes(length)
        inode.synced = len(inode.data)

    # engine.durable.disk.Disk

    def create(self, path: Path) -> SimFile:
        self.step()
        inode = Inode(bytearray())
        self._change({path.parent}, lambda names: names.put(path, inode))
        return SimFile(self, inode)

    def append(self, path: Path) -> SimFile:
        found = self._names.files.get(path)
        return self.create(path) if found is None else SimFile(self, found)

    def open(self, path: Path) -> IO[bytes]:
        return io.BytesIO(bytes(self._file(path).data))

    def read(self, path: Path, start: int = 0, length: int = -1) -> bytes:
        data = self._file(path).data
        return bytes(data[start:] if length < 0 else data[start : start + length])

    def size(self, path: Path) -> int:
        found = self._names.files.get(path)
        return -1 if found is None else len(found.data)

    def truncate(self, path: Path, length: int) -> None:
        self.step()
        inode = self._file(path)
        del inode.data[length:]
        inode.data += bytes(length - len(inode.data))
        inode.synced = len(inode.data)

    def rename(self, old: Path, new: Path) -> None:
        self.step()
        self._change({old.parent, new.parent}, lambda names: names.move(old, new))

    def remove(self, path: Path) -> None:
        self.step()
        self._change({path.parent}, lambda names: names.drop(path))

    def names(self, folder: Path) -> list[str]:
        inside = {p for p in (*self._names.files, *self._names.folders) if p.parent == folder}
        return sorted(p.name for p in inside if p != folder)

    def make_folder(self, path: Path) -> None:
        if path not in self._names.folders:
            self.step()
            self._change({path, path.parent}, lambda names: names.make(path))

    def sync_folder(self, path: Path) -> None:
        """Names in `path` are safe, and so is every change of names that came before the newest of them."""
        self.step()
        touching = [k for k, (folders, _) in enumerate(self._pending) if path in folders]
        end = touching[-1] + 1 if touching else 0
        for _, change in self._pending[:end]:
            change(self._durable)
        del self._pending[:end]

    def _change(self, folders: set[Path], change: Callable[[Names], None]) -> None:
        change(self._names)
        self._pending.append((folders, change))

    def _file(self, path: Path) -> Inode:
        found = self._names.files.get(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return found
