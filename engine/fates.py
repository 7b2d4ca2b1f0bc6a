"""What became of each transaction, told once to the calibrations: by its verdict, or by silence when it is mature.

A model learns from verdicts alone. A probability cannot: in a bank nearly all verdicts are about frauds, and what is
honest among those is forty times too much among all. So every applied transaction counts once, as called fraud or not:
when its first verdict arrives, or without one once core time has moved `maturity` past it. A verdict that comes later,
turns or is withdrawn puts the count right. `called` of engine/remembered.py holds what each counts as.

"Not called fraud" is a fact, not a guess about the payment; the probability is that of being called fraud.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.admission import Admitted
from engine.batch import LABEL, Batch
from engine.remembered import APPLIED, FRAUD, NOT_COUNTED, Remembered
from models.kernels.calibrate import FRAUD_AFTER_ALL, GENUINE_AFTER_ALL

F4: TypeAlias = NDArray[np.float32]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

SILENCE = -1  # in place of a verdict
NO_ROWS = np.empty(0, np.int64)


@dataclass(slots=True)
class Fates:
    """What a batch tells the calibrations, in order.

    row   : (c,) int64      ascending; each is told before its row is scored
    label : (c,) int8       see models/kernels/calibrate.py
    score : (c, s) float32  raw scores as decided, of each model in the order of scoring; NaN none
    here  : (c,) int64      row at which the transaction is decided in this very batch; -1: earlier, `score` says all
    decided_us, now_us : (c,) int64  core time of the decision, and at which the fate is told
    """

    row: I8
    label: I1
    score: F4
    here: I8
    decided_us: I8
    now_us: I8

    def decided(self, kept: F4) -> F4:
        """Raw scores (c, s) as decided; `kept` (n, s) are those of this batch."""
        is_here = self.here >= 0
        if not is_here.any():
            return self.score
        score = self.score.copy()
        score[is_here] = kept[self.here[is_here]]
        return score


class Counting:
    """Count each transaction once, and put right what changes."""

    def __init__(self, memory: Remembered, maturity_us: int) -> None:
        self._memory, self._maturity_us = memory, maturity_us

    def read(self, batch: Batch, admitted: Admitted, verdict: I1, core_before_us: int) -> Fates:
        """Return what the batch tells.

        verdict        : (n,) int8  of label rows: as in engine/remembered.py
        core_before_us : core time before the batch
        """
        row, entry, said = self._events(batch, admitted, verdict, core_before_us)
        memory, called = self._memory, self._memory.arrays["called"]
        if not len(row):
            none = np.empty(0, np.int8)
            return Fates(row, none, memory.arrays["score"][row], row, row, row)
        # silence comes before a verdict of the same row: it was due when core time came there
        order = np.lexsort((said != SILENCE, row, entry))
        row, entry, said = row[order], entry[order], said[order]
        at = memory.rows(entry)
        first = np.ones(len(at), np.bool_)  # of its transaction in this batch
        first[1:] = entry[1:] != entry[:-1]
        # Silence counts a transaction as not called unless it has been counted; verdicts count whatever was before.
        after = np.where(said == SILENCE, np.maximum(called[at], 0), said == FRAUD).astype(np.int8)
        tells = (said != SILENCE) | first
        last = np.maximum.accumulate(np.where(tells, np.arange(len(at)), -1))
        after = after[last]
        before = np.where(first, called[at], np.concatenate([after[:1], after[:-1]]))
        ends = np.ones(len(at), np.bool_)
        ends[:-1] = first[1:]
        called[at[ends]] = after[ends]
        label = np.where(before == NOT_COUNTED, after, after - before + FRAUD_AFTER_ALL - 1)
        label[(before != NOT_COUNTED) & (after < before)] = GENUINE_AFTER_ALL
        news = np.flatnonzero(before != after)
        news = news[np.lexsort((entry[news], said[news] != SILENCE, row[news]))]
        here = np.full(len(news), -1, np.int64)
        decided = admitted.new
        if len(decided):
            newest = admitted.entry[decided]  # ascending, the last of the store
            place = np.searchsorted(newest, entry[news])
            place = np.minimum(place, len(newest) - 1)
            is_new = newest[place] == entry[news]
            here[is_new] = decided[place[is_new]]
        return Fates(
            row[news],
            label[news].astype(np.int8),
            memory.arrays["score"][at[news]],
            here,
            memory.arrays["core_us"][at[news]],
            admitted.core_us[row[news]],
        )

    def _events(
        self, batch: Batch, admitted: Admitted, verdict: I1, core_before_us: int
    ) -> tuple[I8, I8, I1]:
        """Verdicts and silences: rows, entries and what was said; of applied transactions, in no order."""
        memory, arrays = self._memory, self._memory.arrays
        if not batch.n:
            return NO_ROWS, NO_ROWS, np.empty(0, np.int8)
        held = arrays["core_us"][: len(memory)]
        until = np.array([core_before_us, admitted.core_us[-1]]) - self._maturity_us
        start, stop = np.searchsorted(held, until, side="right").tolist()
        silent = np.arange(start, stop)
        silent = silent[
            (arrays["called"][silent] == NOT_COUNTED) & (arrays["standing"][silent] == APPLIED)
        ]
        due = np.searchsorted(admitted.core_us, held[silent] + self._maturity_us, side="left")
        labels = np.flatnonzero((batch.kind == LABEL) & (admitted.entry >= 0))
        at = memory.rows(admitted.entry[labels])
        labels = labels[(arrays["standing"][at] == APPLIED) & (verdict[labels] >= 0)]
        return (
            np.concatenate([due, labels]),
            np.concatenate([silent + memory.base, admitted.entry[labels]]),
            np.concatenate([np.full(len(silent), SILENCE, np.int8), verdict[labels]]),
        )


class Sequence:
    """The order in which a calibration meets a batch: a fate is told before the row at which it stands.

    Places count fates first, then rows.

    whole : (c + n,) int64  places in order; None: they are in order as they stand, and fates alone always are
    """

    def __init__(self, n: int, fates: Fates) -> None:
        self.fates = fates
        self.whole: I8 | None = None
        if len(fates.row):
            due = np.concatenate([2 * fates.row, 2 * np.arange(n) + 1])
            self.whole = np.argsort(due, kind="stable")
