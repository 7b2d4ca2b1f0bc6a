"""Count what models said of transactions whose label is in: histograms of log odds, and log loss in whole numbers."""

from typing import Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.exp_log import log

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]

BINS: Final = 128  # of log odds ...
PER_UNIT: Final = 4.0  # ... so many to one unit ...
REACH: Final = 16.0  # ... from minus this to plus this; beyond, the outermost ones
LEAST: Final = 1e-7  # a probability nearer to 0 or 1 counts as if it were this far off
MILLIONTHS: Final = 1e6
THOUSANDTHS: Final = 1e3


@njit(cache=True, fastmath=False, error_model="numpy")
def compare(
    said: F8,
    label: I1,
    slot: int,
    is_tried: I1,
    first: int,
    second: int,
    count: I4,
    loss: I8,
    tried: I4,
    tried_loss: I8,
    paired: I8,
) -> None:
    """Add each label, and what every model had said of its transaction, to what is kept of its day and of the trial.

    said     : (n, m) float64  probability of fraud by each model; NaN: it had said nothing
    label    : (n,) int8       1 fraud, 0 genuine; rows with any other value are left out
    slot     : int             place of the day in `count`; 0 <= slot < d
    is_tried : (n,) int8       1: the row also counts for the trial
    first    : int             model on trial; -1 none
    second   : int             model that it is compared with
    count    : (d, m, 2, 128) int32  state: rows by day, model, label and bin of log odds
    loss     : (d, m) int64    state: log loss, summed in millionths
    tried    : (m, 2, 128) int32  state: as `count`, of the trial
    tried_loss : (m,) int64    state: as `loss`, of the trial
    paired   : (3,) int64      state: rows of which both had said something, sum of the differences of their log loss
                               (first minus second) in thousandths, sum of their squares in millionths

    Whole numbers only, so neither order nor batch cuts change a bit. O(m) a row, no allocation.
    """
    n, m = said.shape
    for i in range(n):
        y = label[i]
        if y < 0 or y > 1:
            continue
        of_first, of_second = np.nan, np.nan
        for k in range(m):
            p = said[i, k]
            if not p == p:  # noqa: PLR0124, SIM201  NaN
                continue
            p = min(max(p, LEAST), 1.0 - LEAST)
            z = (log(p / (1.0 - p)) + REACH) * PER_UNIT
            b = min(max(int(np.floor(z)), 0), BINS - 1)
            nats = -log(p if y == 1 else 1.0 - p)
            millionths = np.int64(np.floor(nats * MILLIONTHS + 0.5))
            count[slot, k, y, b] += 1
            loss[slot, k] += millionths
            if is_tried[i] == 1:
                tried[k, y, b] += 1
                tried_loss[k] += millionths
            if k == first:
                of_first = nats
            if k == second:
                of_second = nats
        if is_tried[i] == 1 and of_first == of_first and of_second == of_second:  # noqa: PLR0124
            apart = np.int64(np.floor((of_first - of_second) * THOUSANDTHS + 0.5))
            paired[0] += 1
            paired[1] += apart
            paired[2] += apart * apart
