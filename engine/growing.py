"""Arrays that grow without being copied, so that no batch waits for the copying.

A store that doubles by copying is cheap in the mean, but the one batch that brings it there pays for all: at 5,000
transactions a second 43, 59 and 186 ms of processor after 13, 26 and 52 seconds. So an array stands at the beginning of
more address space than it needs, which costs nothing until it is written to. What has outgrown that too is moved by its
page table (mremap): 0.2 ms where large pages can be had, but 40, 100 and 200 ms at 32,768, 65,536 and 131,072
transactions on a guest that could not. Elsewhere, and where somebody still holds the old array, it is copied.
"""

import mmap
import platform
import sys
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[Any]

RESERVED_BYTES: Final = 4 << 30  # address space of one array, where the system grants it
CAN_MAP: Final = hasattr(mmap, "MAP_PRIVATE") and hasattr(mmap, "MAP_ANONYMOUS")
# MAP_NORESERVE, which Python names from 3.13 on: what is only reserved is not promised, or a fork, which promises all
# of it again, is refused.
USUAL: Final = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")
UNPROMISED: Final = getattr(mmap, "MAP_NORESERVE", 0x4000 if USUAL else 0)


def grown(rows: Rows, n_used: int, capacity: int) -> Rows:
    """An array of `capacity` rows that begins with the first `n_used` of `rows`; what stands behind means nothing.

    `rows` must not be used any more. Give the last reference away (`grown(held.pop(name), ...)`), else it is copied
    where it has outgrown its address space.
    """
    shape, dtype, before = (capacity, *rows.shape[1:]), rows.dtype, rows.shape
    n_bytes = prod(shape) * dtype.itemsize
    mapping = _mapping_of(rows)
    if mapping is not None and n_bytes:
        if n_bytes <= len(mapping):
            return _first(mapping, shape, dtype)
        del rows
        try:
            mapping.resize(n_bytes)
        except (BufferError, OSError, SystemError, ValueError):  # held elsewhere, or no mremap here
            rows = _first(mapping, before, dtype)
        else:
            return _first(mapping, shape, dtype)
    new: Rows = np.empty(shape, dtype)
    if CAN_MAP and n_bytes:
        new = _first(_mapped(n_bytes), shape, dtype)
    new[:n_used] = rows[:n_used]
    return new


def _mapping_of(rows: Rows) -> mmap.mmap | None:
    """The mapping that an array of `grown` stands in."""
    held: object = rows
    while isinstance(held, np.ndarray):
        held = held.base
    if isinstance(held, memoryview) and isinstance(held.obj, mmap.mmap):
        return held.obj
    return None


def _first(mapping: mmap.mmap, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Rows:
    """The array at the beginning of a mapping."""
    return np.frombuffer(mapping, dtype, prod(shape)).reshape(shape)


def _mapped(n_bytes: int) -> mmap.mmap:
    """Memory of this process alone, at least `n_bytes`; of a shared mapping what has grown could not be touched."""
    room, flags = max(n_bytes, RESERVED_BYTES), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | UNPROMISED
    while True:
        try:
            mapping = mmap.mmap(-1, room, flags=flags)
        except OSError:  # so much is not granted
            if room == n_bytes:
                raise
            room = max(n_bytes, room // 2)
        else:
            break
    if hasattr(mmap, "MADV_HUGEPAGE"):  # as numpy does with large arrays
        mapping.madvise(mmap.MADV_HUGEPAGE)
    return mapping
