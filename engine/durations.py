"""How long something took, over and over: percentiles of any number of durations in memory that does not grow."""

import math
from typing import Final

import numpy as np

STEP: Final = 1.01  # from one bucket to the next: a percentile is right to within 1 %
_SCALE: Final = 1.0 / math.log(STEP)
_BUCKETS: Final = int(math.log(1e13) * _SCALE) + 1  # up to 10^13 ns, almost three hours


class Durations:
    """A histogram whose buckets grow geometrically, as HdrHistogram's nearly do; 24 KB. The largest is kept exactly."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._max_ns = 0
        self.n = 0

    def add(self, duration_ns: int) -> None:
        """Count one; below 1 ns it counts as 1 ns."""
        bucket = int(math.log(duration_ns) * _SCALE) if duration_ns > 1 else 0
        self._counts[min(bucket, _BUCKETS - 1)] += 1
        self._max_ns = max(self._max_ns, duration_ns)
        self.n += 1

    def percentile_ms(self, percentile: float) -> float:
        """The duration that so many percent do not exceed (nearest rank), ms; 100 is exact. 0 if there is none."""
        if percentile >= 100.0 or not self.n:
            return self._max_ns / 1e6
        rank = max(1, math.ceil(self.n * percentile / 100.0))
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        middle_ns: float = STEP ** (bucket + 0.5)
        return min(middle_ns, float(self._max_ns)) / 1e6
