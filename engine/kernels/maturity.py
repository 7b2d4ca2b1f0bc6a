"""Count decisions by day and answer, and first verdicts by age; engine/maturity.py says what for."""

from typing import Final, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

DAY_US: Final = 86_400_000_000
FRAUD: Final = (
    1  # as in engine/remembered.py, said again so that others there do not make this compile anew
)


@njit(cache=True)
def count(
    core_us: I8, decision: I1, first: I8, verdict_of: I1, entry: I8, answer_of: I8, edge: I8,
    maturity_us: int, base: int, kept_decision: I1, kept_us: I8,
    day: I8, decided: I8, verdict: I8, mature: I8, fraud: I8, told: I8,
) -> None:  # fmt: skip
    """Count the decisions and the first verdicts of a batch, row by row: a new day ends the count of an old one.

    core_us       : (n,) int64  core time of each row
    decision      : (n,) int8   severity, -1 none
    first         : (k,) int64  rows of labels that bring the first verdict of their transaction, rising
    verdict_of    : (n,) int8   what those rows say; the store may have a later verdict of the same batch
    entry         : (n,) int64  the remembered transaction of each row, -1 none
    answer_of     : (d,) int64  answer that each severity is
    edge          : (a,) int64  ages, rising
    maturity_us   : int         age up to which a verdict counts as mature
    base          : int         entry that stands in row 0 of the store
    kept_decision : (m,) int8   the store: severity of each decision, -1 none
    kept_us       : (m,) int64  the store: core time of each
    day           : (D,) int64  updated in place: the day of each slot
    decided       : (D, 4) int64  updated in place: decisions by day and answer; a new day begins with 0
    verdict       : (D, 4, a + 1) int64  likewise: first verdicts by age, too
    mature        : (D, 4) int64  likewise: those that are mature
    fraud         : (D, 4) int64  likewise: those that say fraud
    told          : (4,) int64  updated in place: first verdicts by answer, of days that are no longer kept, too

    O(n + k a), no allocation.
    """
    n_days, n_first = day.shape[0], 0
    for i in range(decision.shape[0]):
        if decision[i] >= 0 and core_us[i] >= 0:
            today = core_us[i] // DAY_US
            slot = today % n_days
            if day[slot] != today:
                day[slot] = today
                decided[slot], verdict[slot], mature[slot], fraud[slot] = 0, 0, 0, 0
            decided[slot, answer_of[decision[i]]] += 1
        if n_first == first.shape[0] or first[n_first] != i:
            continue
        n_first += 1
        at = entry[i] - base
        if kept_decision[at] < 0:
            continue
        answer = answer_of[kept_decision[at]]
        told[answer] += 1
        today = kept_us[at] // DAY_US
        slot = today % n_days
        if day[slot] != today:
            continue
        age_us, k = core_us[i] - kept_us[at], 0
        while k < edge.shape[0] and edge[k] < age_us:
            k += 1
        verdict[slot, answer, k] += 1
        mature[slot, answer] += age_us <= maturity_us
        fraud[slot, answer] += verdict_of[i] == FRAUD
