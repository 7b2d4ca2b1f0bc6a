"""Drift: columns whose values are no longer spread as they were, seen block by block."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.kernels import drift as kernels
from models.protocol import Given, State
from models.state import copied, put_back

N_EDGES: Final = 16
N_SAMPLE: Final = 256
HISTORY: Final = 21  # blocks
APART: Final = 7  # blocks: with this many in between or more, so that a weekend meets a weekend
FLOOR: Final = 1e-3  # a share below it counts as that much
NOT_DRAWN: Final = -1  # blocks of a column without ranges


@dataclass(frozen=True, slots=True)
class Drifted:
    """One column that has drifted: the medians and shares of missing values, then and now."""

    column: int
    statistic: float
    median_before: float
    median_now: float
    missing_before: float
    missing_now: float


class Drift:
    """Compare how the values of each column are spread in a block of rows with the blocks of one to three weeks before.

    A block is closed from outside, once a day as shipped. Its statistic is the population stability index, that is the
    sum over ranges of (p - q) log(p / q), against the *most similar* of the blocks that lie 7 to 21 blocks back: a
    Sunday is compared with Sundays without anybody saying what a week is, a slow change is seen once three weeks make
    it large, and noise has many chances to look like something that was there. At `threshold` the column has drifted;
    its history then begins anew, so that one drift is one alarm.

    Ranges are drawn at the seventeenths of a sample of the block before its history begins; missing values are a range.
    Memory 4 KB a column; 0.2 us a row of 20 columns. It does not see columns that change
    together while each stays as it was, and says nothing in the first week.

    Measured on 120 days of 8,000 amounts that differ by hour and by weekday, nothing else (false alarms per million
    rows): this 0 (0 on 148 days of 18 features of the handbook, too), river's ADWIN 235 to 321, Page-Hinkley 255: they
    tell the night from the day. A median 3 times as large, a spread of 1.8 times, 5 % or 12 % missing: one alarm after
    1 day, a median 1.5 times as large after 2, one that creeps to 3 times within 20 days after 9.
    """

    def __init__(self, n_columns: int, *, threshold: float = 0.15, rows_min: int = 500) -> None:
        self.threshold, self.rows_min = threshold, rows_min
        self.statistic: NDArray[np.float64] = np.full(n_columns, np.nan)  # of the last block
        self._state: State = {
            "edge": np.full((n_columns, N_EDGES), np.nan, np.float32),
            "count": np.zeros((n_columns, 2 * N_EDGES + 2), np.int64),
            "sample": np.full((N_SAMPLE, n_columns), np.nan, np.float32),
            "seen": np.array([0, 0, 1], np.int64),
            "past": np.zeros((HISTORY, n_columns, 2 * N_EDGES + 2), np.int32),
            "median": np.full((HISTORY, n_columns), np.nan, np.float32),
            "blocks": np.full(n_columns, NOT_DRAWN, np.int64),  # in the history of each
            "statistic": self.statistic,
        }

    @property
    def rows(self) -> int:
        """Rows of the block that is being counted."""
        return int(self._state["seen"][kernels.ROWS])

    def observe(self, x: NDArray[np.float32], row: NDArray[np.int64]) -> None:
        """Count the rows `row` (k,) of `x` (n, s) into the present block."""
        s = self._state
        kernels.count_rows(x, row, s["edge"], s["count"], s["sample"], s["seen"])

    def close(self) -> list[Drifted]:
        """End the block; return the columns that have drifted. A block with too few rows goes on instead."""
        s = self._state
        if self.rows < self.rows_min:
            return []
        held = s["sample"][: s["seen"][kernels.HELD]]
        found = [each for j in range(len(self.statistic)) if (each := self._close(j, held[:, j]))]
        s["count"][:] = 0
        s["sample"][:] = np.nan
        s["seen"][:] = 0, 0, 1
        return found

    def _close(self, j: int, sample: NDArray[np.float32]) -> Drifted | None:
        s, now = self._state, self._state["count"][j]
        known = np.sort(sample[~np.isnan(sample)])
        median = known[len(known) // 2] if len(known) else np.float32(np.nan)
        n = int(s["blocks"][j])
        self.statistic[j] = np.nan
        if n == NOT_DRAWN:
            self._begin(j, known)
            return None
        back = np.arange(APART, min(n, HISTORY) + 1)
        index, nearest = kernels.most_alike(now, s["past"][:, j], (n - back) % HISTORY, FLOOR)
        if nearest >= 0:
            self.statistic[j] = index
            if index >= self.threshold:
                before = s["past"][nearest, j]
                missing = [float(each[-1] / each.sum()) for each in (before, now)]
                medians = [float(s["median"][nearest, j]), float(median)]
                self._begin(j, known)
                return Drifted(j, index, *medians, *missing)
        s["past"][n % HISTORY, j], s["median"][n % HISTORY, j] = now, median
        s["blocks"][j] += 1
        return None

    def _begin(self, j: int, known: NDArray[np.float32]) -> None:
        """Begin the history of a column: its ranges are drawn anew, at the even shares of sorted values."""
        s = self._state
        s["past"][:, j], s["median"][:, j], s["blocks"][j] = 0, np.nan, 0
        s["edge"][j] = np.inf  # out of reach, where there are fewer
        if len(known):
            at = (np.arange(1, N_EDGES + 1) * len(known)) // (N_EDGES + 1)
            places = np.unique(known[at])
            s["edge"][j, : len(places)] = places

    def save(self) -> State:
        return copied(self._state)

    def load(self, arrays: Given) -> None:
        put_back(self._state, arrays, "drift")
