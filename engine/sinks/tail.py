"""Follow a stream of outcomes from a place on, whole lines only, and keep small states beside it.

Two kinds: `FolderTail` is a file of an output folder, and places are bytes; engine/cluster/topic_tail.py is a partition
of a topic, and places are offsets. A place in a file is kept with the 16 bytes before it: a folder that was restored
from a backup may hold other lines, or fewer, and then the follower begins again at byte 0 and repeats itself, which
whoever listens can bear.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from engine.clock import random_bytes
from engine.durable.disk import Disk

READ_BYTES: Final = 1 << 18
LINE_BYTES_MAX: Final = 1 << 24  # no line of ours comes near
ANCHOR_BYTES: Final = 16


class Tail(Protocol):
    """The lines of one stream, in order, as they come; each once, and none is left out.

    name : tells it apart from others that are followed together
    at   : where the next line begins; set only to what it was once, before anything is read
    """

    name: str
    at: int

    @property
    def n_unread(self) -> int:
        """What is there and has not been read yet: bytes of a file, records of a topic."""
        ...

    def read(self, n_max: int) -> Iterator[tuple[int, bytes]]:
        """Up to `n_max` lines that are there: where each begins, and its bytes without the end. Never waits."""
        ...

    def anchor(self, at: int) -> str:
        """What stands before `at`, so that the place can be told again."""
        ...

    def holds(self, at: int, anchor: str) -> bool:
        """Whether `at`, kept with `anchor`, can be gone on from; if not, everything that is there is read again."""
        ...


class FolderTail:
    """A stream of an output folder."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self.name, self.at = path.name, 0
        self._disk, self._path = disk, path

    @property
    def n_unread(self) -> int:
        return max(0, self._disk.size(self._path) - self.at)

    def read(self, n_max: int) -> Iterator[tuple[int, bytes]]:
        n, size = 0, READ_BYTES
        while n < n_max and self.n_unread:
            data = self._disk.read(self._path, self.at, size)
            end = data.rfind(b"\n")
            if end < 0:
                if len(data) < size or size >= LINE_BYTES_MAX:
                    return  # the rest of the line has not been written yet
                size *= 4
                continue
            for line in data[:end].split(b"\n"):
                start = self.at
                self.at += len(line) + 1
                yield start, line
                n += 1
                if n == n_max:
                    return

    def anchor(self, at: int) -> str:
        start = max(0, at - ANCHOR_BYTES)
        return self._disk.read(self._path, start, at - start).hex() if at else ""

    def holds(self, at: int, anchor: str) -> bool:
        return 0 <= at <= max(0, self._disk.size(self._path)) and self.anchor(at) == anchor


def read_state(disk: Disk, path: Path) -> dict[str, Any]:
    """What `write_state` wrote; empty if there is nothing, or nothing that can be read."""
    if disk.size(path) < 0:
        return {}
    try:
        told = json.loads(disk.read(path))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def write_state(disk: Disk, path: Path, state: Mapping[str, Any]) -> None:
    """Write a small state whole or not at all; durable when it returns."""
    # two may write in a cluster, of which one was thought dead: neither into the file of the other
    temporary = path.with_name(f".{path.name}.{random_bytes(4).hex()}.new")
    file = disk.create(temporary)
    file.write(json.dumps(state, separators=(",", ":")).encode() + b"\n")
    file.sync()
    file.close()
    disk.rename(temporary, path)
    disk.sync_folder(path.parent)
