"""Arrays in a file without a name that two processes have open: in memory where the system can (Linux).

So what a process beside needs, or gives, is copied once and never stands on a disk in plain.
"""

import mmap
import os
import tempfile
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.framing import Told
from engine.state import Arrays

ALIGNED: Final = 4_096


def new_file() -> int:
    """A file without a name, in memory where the system can; its descriptor."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("weir", 0)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def put(file: int, arrays: Mapping[str, NDArray[Any]]) -> Told:
    """Write arrays into a file from its beginning; returns where each stands."""
    places: list[tuple[str, str, list[int], int]] = []
    at = 0
    for name, array in arrays.items():
        places.append((name, array.dtype.str, list(array.shape), at))
        at += -(-array.nbytes // ALIGNED) * ALIGNED
    if os.fstat(file).st_size < max(at, ALIGNED):
        os.ftruncate(file, max(at, ALIGNED))
    with mmap.mmap(file, max(at, ALIGNED)) as memory:
        for (_, _, _, offset), array in zip(places, arrays.values(), strict=True):
            if array.nbytes:
                flat = np.frombuffer(memory, array.dtype, array.size, offset)
                flat[:] = array.reshape(-1)
                del flat
    return {"answer": places, "bytes": max(at, ALIGNED)}


def warm(file: int, n_bytes: int) -> None:
    """Have the system give the file its memory before transactions wait for it."""
    held = os.fstat(file).st_size
    wanted = -(-n_bytes * 5 // 4 // ALIGNED) * ALIGNED
    if held >= n_bytes or not wanted:
        return
    os.ftruncate(file, wanted)
    with mmap.mmap(file, wanted) as memory:
        pages = np.frombuffer(memory, np.uint8)[::ALIGNED]
        pages[:] = 0
        del pages


def taken(file: int, told: Mapping[str, Any]) -> Arrays:
    """The arrays that `put` has written: views of the file, read and never written."""
    memory = mmap.mmap(file, told["bytes"], access=mmap.ACCESS_READ)
    found: Arrays = {}
    for name, dtype, shape, offset in told["answer"]:
        n = int(np.prod(shape))
        found[name] = np.frombuffer(memory, np.dtype(dtype), n, offset).reshape(shape)
    return found
