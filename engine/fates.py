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
from engine.batch import Batch
from engine.kernels.lessons import count_fates
from engine.remembered import Remembered

F4: TypeAlias = NDArray[np.float32]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]


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


class Counting:
    """Count each transaction once, and put right what changes."""

    def __init__(self, memory: Remembered, maturity_us: int) -> None:
        self._memory, self._maturity_us = memory, maturity_us

    def read(self, batch: Batch, admitted: Admitted, verdict: I1, core_before_us: int) -> Fates:
        """Return what the batch tells.

        verdict        : (n,) int8  of label rows: as in engine/remembered.py
        core_before_us : core time before the batch
        """
        memory, arrays = self._memory, self._memory.arrays
        told = count_fates(
            batch.kind,
            verdict,
            admitted.entry,
            admitted.core_us,
            admitted.new,
            core_before_us,
            self._maturity_us,
            memory.base,
            len(memory),
            arrays["core_us"],
            arrays["standing"],
            arrays["called"],
            arrays["score"],
        )
        return Fates(*told)
