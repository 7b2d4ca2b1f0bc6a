"""What a batch teaches the models: verdicts as they arrive, and silence where settings say that it speaks.

Supervised models learn from the inputs as they were at decision time, which engine/remembered.py keeps. Here is only
which rows teach what; engine/scoring.py puts it in order with the rows that are scored.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.admission import Admitted
from engine.batch import LABEL, Batch
from engine.fates import Counting, Fates
from engine.kernels.lessons import teach
from engine.remembered import APPLIED, FRAUD, GENUINE, NO_LABEL, WITHDRAWN, Remembered

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]
F4: TypeAlias = NDArray[np.float32]

NO_ROWS = np.empty(0, np.int64)
VERDICTS = {"genuine": GENUINE, "fraud": FRAUD, "withdrawn": WITHDRAWN}


@dataclass(slots=True)
class Past:
    """What transactions scored when they were decided, for the rows at which they are learned from.

    row   : (k,) int64      ascending
    score : (k, s) float32  raw, of each model in the order of scoring; NaN none
    here  : (k,) int64      row at which the transaction is decided in this very batch; -1: earlier, `score` says all
    now_us : (k,) int64     core time at which it is learned
    """

    row: I8
    score: F4
    here: I8
    now_us: I8


@dataclass(slots=True)
class Lesson:
    """What each row is to the models.

    inputs  : (n, f) float32  of each row; of a label row, those of its transaction at decision time
    action  : (n,) int8       see models/protocol.py
    verdict : (n,) int8       of label rows: 0 genuine, 1 fraud; elsewhere any
    taught  : of the rows with LEARN
    assumed : of transactions learned as genuine, each before its `row`; `assumed_inputs` (m, f) float32 are theirs
    fates   : what calibrations learn
    first   : (k,) int64      rows of labels that bring the first verdict on their transaction
    """

    inputs: F4
    action: I1
    verdict: I1
    taught: Past
    assumed: Past
    assumed_inputs: F4
    fates: Fates
    first: I8


class Labels:
    """Turn the labels of a batch into lessons, and note them with their transactions.

    assume_after_us : core time after which a transaction without a label is learned as genuine; None: never
    maturity_us     : after which one without a label counts as not called fraud, to calibrations only
    """

    def __init__(self, memory: Remembered, assume_after_us: int | None, maturity_us: int) -> None:
        self._memory = memory
        self._counting = Counting(memory, maturity_us)
        self._assume_after_us = assume_after_us

    def read(self, batch: Batch, admitted: Admitted, inputs: F4, core_before_us: int) -> Lesson:
        """Say what each row teaches; `inputs` is completed in place, `core_before_us` is core time before the batch."""
        memory, arrays, n = self._memory, self._memory.arrays, batch.n
        assumed, assumed_inputs = self._assume_genuine(batch, admitted, inputs, core_before_us)
        verdict = np.empty(n, np.int8)
        verdict.fill(-1)
        for row, word in batch.verdicts.items():
            verdict[row] = VERDICTS.get(word, -1)
        action, taught, first = np.empty(n, np.int8), np.empty(n, np.int64), np.empty(n, np.int64)
        n_taught, n_first = teach(
            batch.kind,
            admitted.late,
            verdict,
            admitted.entry,
            admitted.decided_at,
            inputs,
            memory.base,
            arrays["standing"],
            arrays["label"],
            arrays["input"],
            action,
            taught,
            first,
        )
        rows = taught[:n_taught]
        past = self._past(admitted, rows, admitted.entry[rows], admitted.decided_at[rows])
        fates = self._counting.read(batch, admitted, verdict, core_before_us)
        return Lesson(
            inputs, action, verdict, past, assumed, assumed_inputs, fates, first[:n_first]
        )

    def _past(self, admitted: Admitted, row: I8, entry: I8, here: I8) -> Past:
        """What the transactions `entry` (k,) scored; those decided at `here` >= 0 have no score in the store yet."""
        score = self._memory.arrays["score"][self._memory.rows(entry)]
        return Past(row, score, here, admitted.core_us[row])

    def _assume_genuine(
        self, batch: Batch, admitted: Admitted, inputs: F4, core_before_us: int
    ) -> tuple[Past, F4]:
        """Transactions without a label whose time is up: the row at which it is, and what the models saw of each."""
        memory = self._memory
        none = Past(NO_ROWS, memory.arrays["score"][:0], NO_ROWS, NO_ROWS), inputs[:0]
        if self._assume_after_us is None or not batch.n:
            return none
        held = memory.arrays["core_us"][: len(memory)]
        until = np.array([core_before_us, admitted.core_us[-1]]) - self._assume_after_us
        start, stop = np.searchsorted(held, until, side="right").tolist()
        at = np.arange(start, stop)
        unlabelled = memory.arrays["label"][at] == NO_LABEL
        at = at[unlabelled & (memory.arrays["standing"][at] == APPLIED)]
        row = np.searchsorted(admitted.core_us, held[at] + self._assume_after_us, side="left")
        labels = (i for i in admitted.links[::-1].tolist() if batch.kind[i] == LABEL)
        first_label = {int(admitted.entry[i]): i for i in labels}
        in_time = [
            first_label.get(place + memory.base, batch.n) >= due
            for place, due in zip(at.tolist(), row.tolist(), strict=True)
        ]
        at, row = at[in_time], row[in_time]
        if not len(at):
            return none
        x = memory.arrays["input"][at]
        decided_at = {int(admitted.entry[i]): i for i in admitted.new.tolist()}
        entries = at + memory.base
        here = np.array([decided_at.get(entry, -1) for entry in entries.tolist()], np.int64)
        x[here >= 0] = inputs[here[here >= 0]]
        return self._past(admitted, row, entries, here), x
