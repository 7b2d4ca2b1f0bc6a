"""What profiles have set, into the rows of a batch: all attributes in one call.

A loop of numpy over the attributes took 10 us for each, whatever the batch held. Arrays of attributes come as their
addresses, for there are dozens, and each that is passed by itself takes 0.2 us; whoever calls keeps them alive.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import njit
from numba.np.numpy_support import carray
from numpy.typing import NDArray

from engine.windows.kernels.places import codes_at, pointer

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]

TRANSACTION, ACTIVITY = (
    1,
    2,
)  # as in engine/batch.py; said again so that its other readers do not make this compile
# Columns of a step: whether codes are filled, or numbers; row of that plane; row of the plane of codes with the entity;
# address and length of the attribute, (length,) int32 or float64 by entity.
CODED, ROW, ENTITY, ADDRESS, LENGTH = range(5)
STEP: Final = 5


@njit(cache=True)
def fill_rows(steps: I8, kind: I1, first: int, last: int, number: F8, code: I4) -> None:
    """Give transactions and activities the attributes of their entities, where they have no value of their own.

    steps  : (s, STEP) int64    read, in order: a step may read the entity that one before it has filled
    kind   : (n,) int8          read: what each row is
    first  : int                the first row
    last   : int                one past the last row
    number : (N, n) float64     updated; NaN is none
    code   : (C, n) int32       updated; below 0 is none

    O(s * n), no allocation.
    """
    for k in range(steps.shape[0]):
        row, of, size = steps[k, ROW], steps[k, ENTITY], steps[k, LENGTH]
        if steps[k, CODED]:
            codes = codes_at(steps[k, ADDRESS], size)
            for i in range(first, last):
                if kind[i] in (TRANSACTION, ACTIVITY) and code[row, i] < 0:
                    entity = code[of, i]
                    if 0 <= entity < size:
                        code[row, i] = codes[entity]
        else:
            numbers = carray(pointer(steps[k, ADDRESS]), (size,), np.float64)
            for i in range(first, last):
                if kind[i] in (TRANSACTION, ACTIVITY) and np.isnan(number[row, i]):
                    entity = code[of, i]
                    if 0 <= entity < size:
                        number[row, i] = numbers[entity]
