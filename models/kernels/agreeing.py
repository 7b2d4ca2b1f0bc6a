"""The consensus of detectors: each says how surprised it is, in the same unit, and none may shout the others down."""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.kernels.chance import chance
from models.kernels.exp_log import log
from models.kernels.moments import HUGE

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

FIRST = 32  # scores of a member before it is heard
BEYOND = 20.0  # how far above all scores seen a score may count, in distances from the median to the highest


@njit(cache=True, fastmath=False, error_model="numpy")
def first_not_below(known: F8, n: int, value: float) -> int:
    """Return how many of the first `n` values are less than `value`.

    known : (r,) float64  the first `n` rising
    n     : int
    value : float         not NaN
    """
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if known[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, fastmath=False, error_model="numpy")
def surprise(known: F8, n: int, value: float) -> float:
    """Return minus the logarithm of the share of a member's scores that lie above `value`: 0 for the least of them.

    known : (r,) float64  scores of the member, the first `n` rising
    n     : int           at least 1
    value : float         not NaN

    Between two scores linear in the rank; scores that are equal share their middle rank, so that one that never
    changes says log 2 and nothing else. Above all of them it grows with the logarithm of the distance, by 3 at most.
    """
    at = first_not_below(known, n, value)
    if at < n and known[at] == value:
        low, high = at, n  # the first score above: the run of equal ones may be long
        while low < high:
            middle = (low + high) // 2
            if known[middle] <= value:
                low = middle + 1
            else:
                high = middle
        rank = 0.5 * (at + low)
    elif at == 0:
        rank = -0.5
    elif at == n:
        top, middle = known[n - 1], known[n // 2]
        far = (value - top) / (top - middle) if top > middle else BEYOND
        return log(n + 1.0) + log(1.0 + min(far, BEYOND))
    else:
        rank = at - 0.5 + (value - known[at - 1]) / (known[at] - known[at - 1])
    return log((n + 1.0) / (n + 0.5 - rank))


@njit(cache=True, fastmath=False, error_model="numpy")
def put_in(known: F8, n: int, gone: int, value: float) -> None:
    """Put a score into its place among rising ones; the one at `gone` leaves.

    known : (r,) float64  updated; the first `n` rising before, and after (n + 1 of them if `gone` is n)
    n     : int
    gone  : int           0 <= gone <= n, below r
    value : float         not NaN
    """
    at = first_not_below(known, n, value)
    if at > gone:
        for k in range(gone, at - 1):
            known[k] = known[k + 1]
        known[at - 1] = value
    else:
        for k in range(gone, at, -1):
            known[k] = known[k - 1]
        known[at] = value


@njit(cache=True, fastmath=False, error_model="numpy")
def agree(
    x: F8,
    action: I1,
    alone: float,
    memory: float,
    seed: int,
    known: F8,
    seen: I8,
    out: F8,
    part: F8,
) -> None:
    """Write each row's mean surprise over the members that have a score, then let the scores into what is known.

    x      : (n, m) float64  raw scores of the members, NaN absent, infinite as +-1e100
    action : (n,) int8       0 leave the row alone, 1 score and learn it, 2 and 3 score it
    alone  : float           how far the most surprised member may lie above the next, where there are three or more
    memory : float           scores of a member that `known` looks back
    seed   : int
    known  : (m, r) float64  state: scores of each member, rising
    seen   : (2, m) int64    state: how many of them there are; scores seen of each member
    out    : (n,) float64    written for actions 1, 2 and 3; 0 where no member has a say
    part   : (n, m) float64  written for actions 1 and 3: what each member adds to `out`; (0, m) if nobody asks

    A member has a say after 32 scores. Rows in order, so batch cuts change no bit. O(m log r) a row, and O(r) where a
    score enters: by chance r / memory of them, as in models/kernels/isolation.py. One small allocation a call.
    """
    n, m = x.shape
    room = known.shape[1]
    say = np.empty(m)
    for i in range(n):
        if action[i] == 0:
            continue
        heard, first, second = 0, 0.0, 0.0
        for j in range(m):
            say[j] = 0.0
            if np.isnan(x[i, j]) or seen[0, j] < FIRST:
                continue
            heard += 1
            say[j] = surprise(known[j], seen[0, j], min(max(x[i, j], -HUGE), HUGE))
            if say[j] > first:
                first, second = say[j], first
            elif say[j] > second:
                second = say[j]
        limit = second + alone if heard > 2 else first
        total = 0.0
        for j in range(m):
            say[j] = min(say[j], limit) / max(heard, 1)
            total += say[j]
            if part.shape[0] > 0 and action[i] != 2:
                part[i, j] = say[j]
        out[i] = total
        if action[i] != 1:
            continue
        for j in range(m):
            if np.isnan(x[i, j]):
                continue
            value = min(max(x[i, j], -HUGE), HUGE)
            drawn = 2 * (seen[1, j] * m + j)
            seen[1, j] += 1
            if seen[0, j] < room:
                put_in(known[j], seen[0, j], seen[0, j], value)
                seen[0, j] += 1
            elif chance(seed, drawn) * min(1.0 * seen[1, j], memory) < room:
                put_in(known[j], room, int(chance(seed, drawn + 1) * room), value)
