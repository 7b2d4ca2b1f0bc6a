"""What windows must know about each row of a batch that has been admitted."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.admission import NEVER, Admitted
from engine.batch import Batch
from engine.remembered import Remembered
from engine.windows.kernels.rows import describe

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """What windows must know about each row of a batch.

    seq          : (n,) int64  increasing
    time_us      : (n,) int64  event time; core time for READ and PUT, the original's event time for AMEND
    action       : (n,) int8   SKIP; EVENT: put in and read; READ: read as if `prior`, put nothing in; AMEND: replace
                   the event (time_us, original_seq) by this row; PUT: put in without reading
    original_seq : (n,) int64  of AMEND, else -1
    """

    seq: I8
    time_us: I8
    action: I1
    original_seq: I8


def rows_of(batch: Batch, admitted: Admitted, memory: Remembered) -> tuple[Rows, I1]:
    """Return what each row of a batch is to the windows, and to the domain of a feature.

    The domain (n,) int8 is 1 for transactions and updates, 2 for activities, 3 for labels, else 0. An update amends
    only what windows hold; a label is put in at core time, whatever its own time, once core time has begun.
    """
    kept = memory.arrays
    seq, time_us, original_seq = np.empty((3, batch.n), np.int64)
    domain, action = np.empty((2, batch.n), np.int8)
    describe(
        batch.kind, batch.event_time_us, admitted.late, admitted.core_us, admitted.entry, NEVER, batch.seq0,
        memory.base, kept["standing"], kept["seq"], kept["time_us"],
        domain, action, seq, time_us, original_seq,
    )  # fmt: skip
    return Rows(seq, time_us, action, original_seq), domain
