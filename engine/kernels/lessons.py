"""What a batch teaches the models and tells the calibrations, row by row in order; engine/labels.py says what it means.

Masks and sorts of numpy took some 60 calls a batch, whatever was in it.
"""

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

B1: TypeAlias = NDArray[np.bool_]
F4: TypeAlias = NDArray[np.float32]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

# Said again here, so that other readers of these constants do not make the kernels compile anew.
TRANSACTION, LABEL = 1, 3  # kinds of rows, as in engine/batch.py
SCORE, LEARN, PEEK = 1, 2, 3  # what a model does with a row, as in models/protocol.py
APPLIED, NO_LABEL, GENUINE, FRAUD = 0, -1, 0, 1  # as in engine/remembered.py
NOT_COUNTED = -1
FRAUD_AFTER_ALL, GENUINE_AFTER_ALL = 2, 3  # as in models/kernels/calibrate.py


@njit(cache=True)
def teach(
    kind: I1, late: B1, verdict: I1, entry: I8, decided_at: I8, inputs: F4,
    base: int, standing: I1, label: I1, kept: F4, action: I1, taught: I8, first: I8,
) -> tuple[int, int]:  # fmt: skip
    """Say what each row is to the models, and note labels; return how many teach, and how many say a first verdict.

    kind       : (n,) int8   what each row is
    late       : (n,) bool   beyond the lateness
    verdict    : (n,) int8   of labels: 0 genuine, 1 fraud, 2 withdrawn; else any
    entry      : (n,) int64  the remembered transaction, -1 none
    decided_at : (n,) int64  of labels: the row at which it is decided, -1 earlier
    inputs     : (n, f) float32  updated in place: a label that teaches gets those of its transaction
    base       : int         entry that stands in row 0 of the store
    standing   : (m,) int8   the store: how each transaction stands
    label      : (m,) int8   the store, updated in place: the newest verdict
    kept       : (m, f) float32  the store: inputs as they were when each was decided
    action     : (n,) int8   written
    taught     : (n,) int64  written: rows with LEARN, ascending
    first      : (n,) int64  written: rows of labels that are the first to say fraud or genuine, ascending

    O(n + f) and f for each lesson, no allocation.
    """
    n_taught = n_first = 0
    for i in range(kind.shape[0]):
        action[i] = 0
        if kind[i] == TRANSACTION:
            action[i] = PEEK if late[i] else SCORE
        elif kind[i] == LABEL and entry[i] >= 0:
            at = entry[i] - base
            if standing[at] == APPLIED and verdict[i] <= FRAUD:
                action[i] = LEARN
                taught[n_taught] = i
                n_taught += 1
                for j in range(inputs.shape[1]):
                    here = decided_at[i]
                    inputs[i, j] = inputs[here, j] if here >= 0 else kept[at, j]
            if verdict[i] <= FRAUD and label[at] != FRAUD and label[at] != GENUINE:
                first[n_first] = i
                n_first += 1
            label[at] = verdict[i]
    return n_taught, n_first


@njit(cache=True)
def count_fates(
    kind: I1, verdict: I1, entry: I8, core_us: I8, new: I8, core_before_us: int, maturity_us: int,
    base: int, length: int, kept_us: I8, standing: I1, called: I1, score: F4,
) -> tuple[I8, I1, F4, I8, I8, I8]:  # fmt: skip
    """Count each transaction once, by verdict or silence, and put right what turns; return `Fates`, field by field.

    kind           : (n,) int8   what each row is
    verdict        : (n,) int8   of labels: 0 genuine, 1 fraud, 2 withdrawn; else any
    entry          : (n,) int64  the remembered transaction, -1 none
    core_us        : (n,) int64  core time, never falling
    new            : (t,) int64  rows whose transaction is decided here, ascending like their entries
    core_before_us : int         core time before the batch
    maturity_us    : int         after which silence speaks
    base           : int         entry that stands in row 0 of the store
    length         : int         rows of the store in use
    kept_us        : (m,) int64  the store: core time of each decision, never falling
    standing       : (m,) int8   the store: how each transaction stands
    called         : (m,) int8   the store, updated in place: as what each was counted
    score          : (m, s) float32  the store: raw scores as decided

    O(n + silences), and log m. Silence comes before the verdict of its row: it was due when core time came there.
    """
    n = kind.shape[0]
    silent = np.searchsorted(kept_us[:length], core_before_us - maturity_us, side="right")
    last_us = core_us[n - 1] - maturity_us if n else core_before_us - maturity_us
    end = np.searchsorted(kept_us[:length], last_us, side="right")
    n_labels = 0
    for i in range(n):
        n_labels += kind[i] == LABEL and entry[i] >= 0
    room = max(end - silent, 0) + n_labels
    row, at = np.empty(room, np.int64), np.empty(room, np.int64)
    label = np.empty(room, np.int8)
    c = 0
    for i in range(n if room else 0):
        while silent < end and kept_us[silent] + maturity_us <= core_us[i]:
            if standing[silent] == APPLIED and called[silent] == NOT_COUNTED:
                called[silent] = 0
                row[c], at[c], label[c] = i, silent, GENUINE
                c += 1
            silent += 1
        if kind[i] != LABEL or entry[i] < 0 or standing[entry[i] - base] != APPLIED:
            continue
        k = entry[i] - base
        before, after = called[k], np.int8(verdict[i] == FRAUD)
        if before == after:
            continue
        called[k] = after
        row[c], at[c], label[c] = i, k, after
        if before != NOT_COUNTED:
            label[c] = FRAUD_AFTER_ALL if after else GENUINE_AFTER_ALL
        c += 1
    said, here = np.empty((c, score.shape[1]), np.float32), np.full(c, -1, np.int64)
    decided_us, now_us = np.empty(c, np.int64), np.empty(c, np.int64)
    first_new = entry[new[0]] - base if new.shape[0] else length
    for j in range(c):
        said[j] = score[at[j]]
        decided_us[j], now_us[j] = kept_us[at[j]], core_us[row[j]]
        if at[j] >= first_new:
            low, high = 0, new.shape[0]
            while low < high:
                middle = (low + high) // 2
                if entry[new[middle]] - base < at[j]:
                    low = middle + 1
                else:
                    high = middle
            if low < new.shape[0] and entry[new[low]] - base == at[j]:
                here[j] = new[low]
    return row[:c], label[:c], said, here, decided_us, now_us
