"""Columns that rows take over from the transactions they mean, and columns that are kept for them.

The frame has a row a column, the store a row a transaction: taking a block of rows column by column leaves both in the
cache. numpy's indexing, a column at a time over all rows, took ten times as long.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

F4: TypeAlias = NDArray[np.float32]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]

BLOCK: Final = 64  # rows; their columns in the store are 16 KB or so


@njit(cache=True)
def take_over(
    number: F8, code: I4, column: I8, kept_in: I8, coded: I8, coded_in: I8,
    row: I8, source: I8, at: I8, kept: F8, kept_code: I4,
) -> None:  # fmt: skip
    """Fill what rows have none of: from an earlier row of the batch, or from the store.

    number    : (N, n) float64  columns of the batch, updated in place; NaN is none
    code      : (C, n) int32    likewise; below 0 is none
    column    : (a,) int64      rows of `number` that are filled
    kept_in   : (a,) int64      where the store keeps each
    coded     : (b,) int64      rows of `code` that are filled
    coded_in  : (b,) int64      where the store keeps each
    row       : (k,) int64      columns of the frame, ascending: an update of an update comes after it
    source    : (k,) int64      row of the batch that each takes from, before it; -1 the store
    at        : (k,) int64      row of the store that each takes from
    kept      : (m, A) float64  the store, read
    kept_code : (m, B) int32    the store, read

    O(k * (a + b)), no allocation.
    """
    for first in range(0, row.shape[0], BLOCK):
        last = min(first + BLOCK, row.shape[0])
        for j in range(column.shape[0]):
            c, d = column[j], kept_in[j]
            for i in range(first, last):
                if np.isnan(number[c, row[i]]):
                    number[c, row[i]] = kept[at[i], d] if source[i] < 0 else number[c, source[i]]
        for j in range(coded.shape[0]):
            c, d = coded[j], coded_in[j]
            for i in range(first, last):
                if code[c, row[i]] < 0:
                    code[c, row[i]] = kept_code[at[i], d] if source[i] < 0 else code[c, source[i]]


@njit(cache=True)
def keep_columns(
    number: F8, code: I4, column: I8, coded: I8, row: I8, at: I8, kept: F8, kept_code: I4
) -> None:
    """Write columns of rows of the batch to the store.

    number    : (N, n) float64  columns of the batch, read
    code      : (C, n) int32    likewise
    column    : (A,) int64      rows of `number` that are kept, in the order of the store
    coded     : (B,) int64      rows of `code` that are kept, in the order of the store
    row       : (k,) int64      columns of the frame
    at        : (k,) int64      row of the store that each goes to; of equal ones the last counts
    kept      : (m, A) float64  the store, written
    kept_code : (m, B) int32    the store, written

    O(k * (A + B)), no allocation.
    """
    for first in range(0, row.shape[0], BLOCK):
        last = min(first + BLOCK, row.shape[0])
        for j in range(column.shape[0]):
            for i in range(first, last):
                kept[at[i], j] = number[column[j], row[i]]
        for j in range(coded.shape[0]):
            for i in range(first, last):
                kept_code[at[i], j] = code[coded[j], row[i]]


@njit(cache=True)
def keep_decided(
    new: I8, entry: I8, base: int, inputs: F4, score: F4, decision: I1,
    kept_input: F4, kept_score: F4, kept_decision: I1,
) -> None:  # fmt: skip
    """Write what models and rules said of the rows of a batch to the store.

    new       : (t,) int64    rows decided for the first time: inputs and scores of these
    entry     : (n,) int64    the remembered transaction of each row, -1 none
    base      : int           entry that stands in row 0 of the store
    inputs    : (n, f) float32  of the models
    score     : (n, s) float32  raw; (0, s): there are none yet, nor decisions
    decision  : (n,) int8     severity of every row that was answered, else -1
    kept_input : (m, f) float32  the store, written
    kept_score : (m, s) float32  the store, written
    kept_decision : (m,) int8    the store, written

    O(n (f + s)), no allocation.
    """
    for row in new:
        at = entry[row] - base
        for j in range(inputs.shape[1]):
            kept_input[at, j] = inputs[row, j]
        if score.shape[0]:
            for j in range(score.shape[1]):
                kept_score[at, j] = score[row, j]
    for row in range(decision.shape[0]):
        if decision[row] >= 0:
            kept_decision[entry[row] - base] = decision[row]
