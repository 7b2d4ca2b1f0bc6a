"""Quantiles of many numbers in bounded memory: each is counted in a range 1 % wide, zero and the signs apart.

A quantile is then right to within 1 %, whatever came and in whatever order; the least and the greatest are exact.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

STEP: Final = math.log(1.01)
LEAST: Final = 1e-9  # what is nearer to zero counts as zero
HELD: Final = 8_192  # numbers that wait to be counted together


class Spread:
    """Numbers, each with a weight.

    >>> spread = Spread()
    >>> for value in (0.0, 1.0, 2.0, 1000.0):
    ...     spread.add(value)
    >>> spread.n, spread.least, spread.most, spread.quantile(1.0), spread.quantile(0.25)
    (4, 0.0, 1000.0, 1000.0, 0.0)
    """

    def __init__(self) -> None:
        self._n = 0
        self._least, self._most = math.inf, -math.inf
        self._bins: dict[int, int] = {}
        self._values: list[float] = []
        self._weights: list[int] = []

    def add(self, value: float, weight: int = 1) -> None:
        """Count a finite number `weight` times."""
        self._values.append(value)
        self._weights.append(weight)
        if len(self._values) >= HELD:
            self._count()

    @property
    def n(self) -> int:
        """How many numbers, by weight."""
        self._count()
        return self._n

    @property
    def least(self) -> float | None:
        """The least number, exactly; None of nothing."""
        return self._least if self.n else None

    @property
    def most(self) -> float | None:
        """The greatest number, exactly; None of nothing."""
        return self._most if self.n else None

    def quantile(self, q: float) -> float | None:
        """The number that the share `q` of all are not above; None of nothing."""
        self._count()
        if not self._n:
            return None
        if q >= 1.0:
            return self._most
        left = q * self._n
        found = 0
        for found in sorted(self._bins):
            left -= self._bins[found]
            if left <= 0:
                break
        if not found:
            return 0.0
        middle = math.copysign(LEAST * math.exp((abs(found) - 0.5) * STEP), found)
        return min(max(middle, self._least), self._most)

    def _count(self) -> None:
        if not self._values:
            return
        values = np.array(self._values)
        weights = np.array(self._weights, np.int64)
        self._values.clear()
        self._weights.clear()
        self._n += int(weights.sum())
        self._least = min(self._least, float(values.min()))
        self._most = max(self._most, float(values.max()))
        for place, n in zip(*_summed(values, weights), strict=True):
            self._bins[place] = self._bins.get(place, 0) + n


def _summed(values: NDArray[np.float64], weights: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """The ranges that values fall into, and the weight in each."""
    size = np.abs(values)
    place = np.ceil(np.log(np.maximum(size, LEAST) / LEAST) / STEP).astype(np.int64)
    place = np.where(size <= LEAST, 0, np.maximum(place, 1)) * np.sign(values).astype(np.int64)
    places, back = np.unique(place, return_inverse=True)
    sums = np.zeros(len(places), np.int64)
    np.add.at(sums, back, weights)
    return places.tolist(), sums.tolist()
