"""Arrays that grow without being copied, so that no batch waits for the copying.

A store that doubles by copying is cheap in the mean, but the one batch that brings it there pays for all: at 5,000
transactions a second 43, 59 and 186 ms of processor after 13, 26 and 52 seconds. Linux can let a mapping grow where it
is, or move its pages by their table (mremap), in 0.2 ms. Elsewhere, and where somebody still holds the old array, it is
copied as before.
"""

import mmap
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[Any]

CAN_MAP: Final = hasattr(mmap, "MAP_PRIVATE") and hasattr(mmap, "MAP_ANONYMOUS")


def grown(rows: Rows, n_used: int, capacity: int) -> Rows:
    """An array of `capacity` rows that begins with the first `n_used` of `rows`; what stands behind means nothing.

    `rows` must not be used any more. Give the last reference away (`grown(held.pop(name), ...)`), else it is copied.
    """
    shape, dtype, before = (capacity, *rows.shape[1:]), rows.dtype, rows.shape
    n_bytes = prod(shape) * dtype.itemsize
    mapping = _mapping_of(rows)
    if mapping is not None and n_bytes:
        del rows
        try:
            mapping.resize(n_bytes)
        except (BufferError, OSError, SystemError, ValueError):  # held elsewhere, or no mremap here
            rows = np.frombuffer(mapping, dtype).reshape(before)
        else:
            return np.frombuffer(mapping, dtype).reshape(shape)
    new: Rows = np.empty(shape, dtype)
    if CAN_MAP and n_bytes:
        new = np.frombuffer(_mapped(n_bytes), dtype).reshape(shape)
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


def _mapped(n_bytes: int) -> mmap.mmap:
    """Memory of this process alone; of a shared mapping what has grown could not be touched."""
    mapping = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # as numpy does with large arrays
        mapping.madvise(mmap.MADV_HUGEPAGE)
    return mapping
