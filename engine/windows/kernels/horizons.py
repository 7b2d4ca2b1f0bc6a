"""Where a window begins: a length before the moment, or with the local day, week or month that the moment is in.

A horizon is one number of the plan. A positive one is a length in microseconds; a negative one is minus the word where
a table of periods begins: how many instants, their mean distance, the instants, the last of them `NEVER`.
"""

from numba import njit

from engine.windows.kernels.layout import I8


@njit(cache=True)
def period_of(plan: I8, table: int, time_us: int) -> int:
    """Word of the plan with the instant at which the period of `time_us` begins; the next word is where it ends.

    plan    : (p,) int64  read
    table   : int         word where the table of periods begins
    time_us : int         microseconds UTC, 1970 to 2200

    Periods are nearly of one length, so the mean distance leads beside the place: O(1).
    """
    first, last = table + 2, table + plan[table]
    w = min(max(first + (time_us - plan[first]) // plan[table + 1], first), last)
    while w > first and plan[w] > time_us:
        w -= 1
    while w < last and plan[w + 1] <= time_us:
        w += 1
    return int(w)


@njit(inline="always")
def limit_of(plan: I8, horizon: int, time_us: int) -> int:
    """The latest moment that lies outside of the horizon, seen from `time_us`."""
    if horizon > 0:
        return int(time_us - horizon)
    return int(plan[period_of(plan, -horizon, time_us)] - 1)


@njit(inline="always")
def leaves_at(plan: I8, horizon: int, time_us: int) -> int:
    """The first moment at which what happened at `time_us` lies outside of the horizon."""
    if horizon > 0:
        return int(time_us + horizon)
    return int(plan[period_of(plan, -horizon, time_us) + 1])
