"""What models read of the rows of a batch, and what they say of them, into every place where it is wanted."""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

F4: TypeAlias = NDArray[np.float32]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

LEARN = 2  # as in models/protocol.py; what a model says before a lesson is not said of the row


@njit(cache=True, fastmath=False, error_model="numpy")
def read_inputs(number: F8, place: I8, out: F4) -> None:
    """Write the inputs of each row; beyond float32 is infinite, and models read that as missing.

    number : (f, n) float64  columns of the batch
    place  : (k,) int64      those that are read
    out    : (n, k) float32  written

    O(n k), no allocation.
    """
    for i in range(out.shape[0]):
        for j in range(place.shape[0]):
            out[i, j] = np.float32(number[place[j], i])


@njit(cache=True, fastmath=False, error_model="numpy")
def tell(
    raw: F8, action: I1, order: I8, k: int, at: int, told: F8, kept: F4, column: F8, number: F8
) -> None:
    """Write the raw scores of the rows, as they are, as they are kept, and rounded to 6 decimals.

    raw    : (N,) float64  in the order of processing; NaN none
    action : (N,) int8     what each turn was
    order  : (N,) int64    the row of each turn, from n on none; (0,): turn i is row i
    k      : int           the model
    at     : int           its column in the frame, -1 none
    told   : (n,) float64  written; NaN where a row has none
    kept   : (n, s) float32  column `k` is written; beyond float32 is infinite
    column : (n,) float64  written: rounded
    number : (f, n) float64  row `at` is written: rounded

    O(N), no allocation. Rounded as numpy does it: times a million, to the nearest even, divided by a million.
    """
    n = told.shape[0]
    for i in range(raw.shape[0]):
        row = order[i] if order.shape[0] else i
        if row >= n:
            continue
        score = np.nan if action[i] == LEARN else raw[i]
        told[row], kept[row, k] = score, np.float32(score)
        column[row] = np.rint(score * 1e6) / 1e6
        if at >= 0:
            number[at, row] = column[row]
