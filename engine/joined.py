"""The lines of a batch in one piece: what reads every byte of them need not go from object to object."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

I8: TypeAlias = NDArray[np.int64]

SPARE = bytes(8)


@dataclass(frozen=True, slots=True)
class Joined:
    """Lines that stand one behind the other; a line may hold line feeds itself.

    text    : the lines, a line feed behind each, then 8 bytes or more that mean nothing: whoever reads by words may
    length  : (n,) int64  bytes of each line
    n_bytes : of `text` without what stands behind the last line
    """

    text: bytes
    length: I8
    n_bytes: int

    @property
    def first(self) -> I8:
        """Where each line begins in `text`: (n,) int64, bytes."""
        step = self.length + 1
        return np.cumsum(step) - step


def join(lines: Sequence[bytes], spare: bytes = SPARE) -> Joined:
    """Put lines together; `spare` is what stands behind them, 8 bytes or more."""
    text = b"\n".join((*lines, spare))
    length = np.fromiter(map(len, lines), np.int64, len(lines))
    return Joined(text, length, max(0, len(text) - len(spare) - 1))
