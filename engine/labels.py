"""What a batch teaches the models: verdicts as they arrive, and silence where settings say that it speaks.

Supervised models learn from the inputs as they were at decision time, which engine/remembered.py keeps. Here is only
which rows teach what; engine/scoring.py puts it in order with the rows that are scored.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.admission import Admitted
from engine.batch import LABEL, TRANSACTION, Batch
from engine.remembered import APPLIED, FRAUD, GENUINE, NO_LABEL, WITHDRAWN, Remembered
from models.protocol import LEARN, PEEK, SCORE

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]
F4: TypeAlias = NDArray[np.float32]

VERDICTS = {"genuine": GENUINE, "fraud": FRAUD, "withdrawn": WITHDRAWN}


@dataclass(slots=True)
class Lesson:
    """What each row is to the models.

    inputs  : (n, f) float32  of each row; of a label row, those of its transaction at decision time
    action  : (n,) int8       see models/protocol.py
    verdict : (n,) int8       of label rows: 0 genuine, 1 fraud; elsewhere any
    assumed : row before which a transaction is learned as genuine, (m,) int64 ascending, and its inputs (m, f)
    """

    inputs: F4
    action: I1
    verdict: I1
    assumed: tuple[I8, F4]


class Labels:
    """Turn the labels of a batch into lessons, and note them with their transactions.

    assume_after_us : core time after which a transaction without a label is learned as genuine; None: never
    """

    def __init__(self, memory: Remembered, assume_after_us: int | None) -> None:
        self._memory = memory
        self._assume_after_us = assume_after_us

    def read(self, batch: Batch, admitted: Admitted, inputs: F4, core_before_us: int) -> Lesson:
        """Say what each row teaches; `inputs` is completed in place, `core_before_us` is core time before the batch."""
        kind, memory = batch.kind, self._memory
        assumed = self._assume_genuine(batch, admitted, inputs, core_before_us)
        action = np.zeros(batch.n, np.int8)
        action[kind == TRANSACTION] = SCORE
        action[(kind == TRANSACTION) & admitted.late] = PEEK
        verdict = np.full(batch.n, -1, np.int8)
        labels = np.flatnonzero(kind == LABEL)
        if len(labels):
            verdict[labels] = [VERDICTS[_label(batch, i)] for i in labels.tolist()]
            standing = memory.arrays["standing"][memory.rows(admitted.entry[labels])]
            teaches = labels[(standing == APPLIED) & (verdict[labels] <= FRAUD)]
            action[teaches] = LEARN
            here = admitted.decided_at[teaches]
            inputs[teaches[here >= 0]] = inputs[here[here >= 0]]
            stored = teaches[here < 0]
            inputs[stored] = memory.arrays["input"][memory.rows(admitted.entry[stored])]
            memory.arrays["label"][memory.rows(admitted.entry[labels])] = verdict[labels]
        return Lesson(inputs, action, verdict, assumed)

    def _assume_genuine(
        self, batch: Batch, admitted: Admitted, inputs: F4, core_before_us: int
    ) -> tuple[I8, F4]:
        """Transactions without a label whose time is up: the row at which it is, and what the models saw of each."""
        none = np.empty(0, np.int64), inputs[:0]
        if self._assume_after_us is None or not batch.n:
            return none
        memory = self._memory
        held = memory.arrays["core_us"][: len(memory)]
        until = np.array([core_before_us, admitted.core_us[-1]]) - self._assume_after_us
        start, stop = np.searchsorted(held, until, side="right").tolist()
        at = np.arange(start, stop)
        unlabelled = memory.arrays["label"][at] == NO_LABEL
        at = at[unlabelled & (memory.arrays["standing"][at] == APPLIED)]
        row = np.searchsorted(admitted.core_us, held[at] + self._assume_after_us, side="left")
        labels = (i for i in reversed(admitted.links) if batch.kind[i] == LABEL)
        first_label = {int(admitted.entry[i]): i for i in labels}
        in_time = [
            first_label.get(place + memory.base, batch.n) >= due
            for place, due in zip(at.tolist(), row.tolist(), strict=True)
        ]
        at, row = at[in_time], row[in_time]
        if not len(at):
            return none
        x = memory.arrays["input"][at]
        here = {int(admitted.entry[i]): i for i in admitted.new}
        for k, place in enumerate(at.tolist()):
            if (new := here.get(place + memory.base)) is not None:
                x[k] = inputs[new]
        return row, x


def _label(batch: Batch, row: int) -> str:
    record = batch.records[row]
    assert record is not None, "decode gives a label row its record"
    return str(record.label)
