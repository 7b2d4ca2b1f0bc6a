"""Who writes an output folder: one process at a time, told by a lock that ends with the process."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from config.errors import StateError


@contextlib.contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """Hold the output folder against other processes; the hold ends with the process, however that ends."""
    if sys.platform == "win32":  # folders cannot be locked there
        yield
        return
    import fcntl

    root.mkdir(parents=True, exist_ok=True)
    number = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(
                "another engine is writing this output folder",
                str(root),
                why="two writers would tear each other's lines",
                fix="stop that one first (SIGTERM stops it in order), or name another folder",
            ) from None
        yield
    finally:
        os.close(number)


def is_being_written(root: Path) -> bool:
    """Whether an engine holds the output folder at this moment."""
    if sys.platform == "win32" or not root.is_dir():
        return False
    import fcntl

    number = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False
