"""Which rows of a batch need a look, in one pass over what rules say of them; engine/survey.py says why."""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

B1: TypeAlias = NDArray[np.bool_]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I2: TypeAlias = NDArray[np.int16]
I8: TypeAlias = NDArray[np.int64]

# Said again here, so that other readers of these constants do not make the kernels compile anew.
TRANSACTION, ACTIVITY = 1, 2  # kinds of rows, as in engine/batch.py
FIRES = 32767  # truth of a rule that fires, as in engine/verdict.py


@njit(cache=True)
def look(
    truth: I2, kind: I1, foreign: B1, late: B1, flagged: B1, score: F8, least: float, withheld: I8, whole: bool,
    peak: I2, loud: B1, missing: B1, undecided: I8, touched: B1,
) -> tuple[int, int, int]:  # fmt: skip
    """Find the loud rows, the rows in which rules are undecided and nothing else is to be told, and count both.

    truth     : (r, n) int16  what each rule says of each row: 0 nothing, `FIRES`, else the number of what it misses
    kind      : (n,) int8     what each row is
    foreign   : (n,) bool     money in a currency without a rate
    late      : (n,) bool     beyond the lateness
    flagged   : (n,) bool     the row names somebody who is restricted; (0,): none does
    score     : (n,) float64  of the champion, NaN none; (0,): it never decides alone
    least     : float         score from which it does
    withheld  : (w,) int64    rules that may be withheld although they are undecided
    whole     : bool          every transaction is loud
    peak      : (n,) int16    scratch
    loud      : (n,) bool     written
    missing   : (n,) bool     written
    undecided : (r,) int64    written: transactions and activities in which each rule is undecided
    touched   : (r,) bool     written: rules that say anything in any row
    Returns how many rows are loud, how many missing, and in how many cases a rule is undecided.

    O(r n), no allocation.
    """
    n = kind.shape[0]
    peak[:] = 0
    cases = 0
    for k in range(truth.shape[0]):
        said = count = 0
        for i in range(n):
            state = truth[k, i]
            peak[i] = max(peak[i], state)
            said |= state
            count += state not in (0, FIRES) and kind[i] in (TRANSACTION, ACTIVITY)
        touched[k], undecided[k] = said != 0, count
        cases += count
    n_loud = n_missing = 0
    for i in range(n):
        is_transaction = kind[i] == TRANSACTION
        is_loud = kind[i] in (TRANSACTION, ACTIVITY) and peak[i] == FIRES
        if is_transaction:
            is_loud |= whole or foreign[i] or late[i]
            is_loud |= flagged.shape[0] > 0 and flagged[i]
            is_loud |= score.shape[0] > 0 and score[i] >= least
            for k in withheld:
                is_loud |= truth[k, i] != 0
        loud[i] = is_loud
        missing[i] = is_transaction and not is_loud and peak[i] > 0
        n_loud += is_loud
        n_missing += missing[i]
    return n_loud, n_missing, cases


@njit(cache=True)
def note_times(
    core_us: I8, counted: B1, time: I8, total: I8, first: int, end: int, before: int
) -> tuple[int, int]:
    """Note after each core time how many rows were counted up to it; return where that ends, and how many there are.

    core_us : (n,) int64  core time of each row, never falling
    counted : (n,) bool   rows that count
    time    : (m,) int64  written: core times, each once
    total   : (m,) int64  written: how many rows up to the last of that time
    first   : int         the oldest entry in use
    end     : int         one past the newest; m - end >= n
    before  : int         how many were counted before

    O(n), no allocation.
    """
    for i in range(core_us.shape[0]):
        if not counted[i]:
            continue
        before += 1
        if end == first or time[end - 1] != core_us[i]:
            time[end] = core_us[i]
            end += 1
        total[end - 1] = before
    return end, before
