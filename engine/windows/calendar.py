"""Days, weeks and months of a time zone as instants, so that a kernel needs a look-up and no calendar.

A day begins at the first instant that bears its date, and what has begun does not end again: where clocks go back from
00:01 to 23:01, the second 23:30 belongs to the day that had begun. A date that a zone never had (Samoa left out 30
December 2011) begins and ends at once. So periods never overlap and follow on each other without gaps.
"""

from datetime import date
from functools import lru_cache
from typing import Final

import numpy as np

from engine.windows.kernels.layout import I8, NEVER
from rules.calendar import zone_numbers

UNITS: Final = ("day", "week", "month")
_DAY_US: Final = 86_400_000_000
_LONGEST_US: Final = {"day": _DAY_US, "week": 7 * _DAY_US, "month": 31 * _DAY_US}
_CLOCKS_US: Final = 8 * 3_600_000_000  # Vostok put its clocks back by 7 hours in 2023; see the test
_FIRST: Final = np.datetime64("1969-11-01")  # before 1970-01-01 in every zone and unit
_LAST: Final = np.datetime64("2200-12-31")
_MONDAY: Final = date(1969, 11, 3).toordinal() - date(1970, 1, 1).toordinal()


@lru_cache(maxsize=64)
def period_starts(zone: str, unit: str) -> I8:
    """When the days, weeks (Mondays) or months of an IANA zone begin, ascending, from 1969-11 to 2200-12.

    (n,) int64, microseconds UTC; the last is `NEVER`. Raise `ConfigError` for an unknown zone. Not to be written to.
    """
    first, last = _FIRST.astype("M8[D]").astype(int), _LAST.astype("M8[D]").astype(int)
    if unit == "day":
        days = np.arange(first, last + 1)
    elif unit == "week":
        days = np.arange(_MONDAY, last + 1, 7)
    else:
        assert unit == "month", unit
        months = np.arange(_FIRST.astype("M8[M]"), _LAST.astype("M8[M]") + 1)
        days = months.astype("M8[D]").astype(np.int64)
    numbers = zone_numbers(zone)
    n = int(numbers[0])
    changes = np.array(numbers[1 : n + 1], np.int64)
    offsets = np.array(numbers[n + 1 :], np.int64)
    # Between two changes local time grows with UTC; `reached` is the latest local time up to the end of each stretch.
    reached = np.maximum.accumulate(np.append(changes, NEVER) + offsets)
    midnight = days * _DAY_US
    stretch = np.searchsorted(reached, midnight, side="right")
    begins = np.append(-NEVER, changes)
    starts = np.maximum(midnight - offsets[stretch], begins[stretch])
    starts = np.append(starts, NEVER).astype(np.int64)
    starts.flags.writeable = False
    return starts


def kept_us(unit: str) -> int:
    """How long what happened may belong to a period: its usual greatest length, and what clocks may be put back."""
    return _LONGEST_US[unit] + _CLOCKS_US
