"""What each row of a batch is to the windows, in one pass; a mask of numpy for each case took ten times as long."""

from numba import njit

from engine.windows.kernels.layout import AMEND, B1, EVENT, I1, I8, PUT, READ

# Kinds of rows, as in engine/batch.py; said again here so that its other readers do not make this kernel compile anew.
TRANSACTION, ACTIVITY, LABEL, UPDATE = range(1, 5)
AS_TRANSACTION, AS_ACTIVITY, AS_LABEL = 1, 2, 3  # to the domain of a feature; 0 is nothing
APPLIED = 0  # how a remembered transaction stands, as in engine/remembered.py


@njit(cache=True)
def describe(
    kind: I1, event_us: I8, late: B1, core_us: I8, entry: I8, never: int, seq0: int,
    base: int, kept_standing: I1, kept_seq: I8, kept_us: I8,
    domain: I1, action: I1, seq: I8, time_us: I8, original_seq: I8,
) -> None:  # fmt: skip
    """Write what each row is, and at what time.

    kind          : (n,) int8    what each row is
    event_us      : (n,) int64   its event time
    late          : (n,) bool    beyond the lateness
    core_us       : (n,) int64   core time at it
    entry         : (n,) int64   the remembered transaction, -1 none
    never         : int          core time before the first event
    seq0          : int          seq of row 0
    base          : int          entry that stands in row 0 of the store
    kept_standing : (m,) int8    the store: how each transaction stands
    kept_seq      : (m,) int64   the store: its seq
    kept_us       : (m,) int64   the store: its event time
    domain        : (n,) int8    written: see AS_TRANSACTION
    action        : (n,) int8    written, as those below: see `Rows` of engine/windows/rows.py
    seq           : (n,) int64   written
    time_us       : (n,) int64   written
    original_seq  : (n,) int64   written

    O(n), no allocation.
    """
    for i in range(kind.shape[0]):
        what = kind[i]
        domain[i] = action[i] = 0
        seq[i], time_us[i], original_seq[i] = seq0 + i, event_us[i], -1
        if what in (TRANSACTION, ACTIVITY):
            domain[i] = AS_TRANSACTION if what == TRANSACTION else AS_ACTIVITY
            action[i] = READ if late[i] else EVENT
            if late[i]:
                time_us[i] = core_us[i]
        elif what == LABEL:
            domain[i] = AS_LABEL
            if core_us[i] != never:
                action[i], time_us[i] = PUT, core_us[i]
        elif what == UPDATE:
            domain[i] = AS_TRANSACTION
            at = entry[i] - base
            if entry[i] >= 0 and kept_standing[at] == APPLIED:
                action[i], time_us[i], original_seq[i] = AMEND, kept_us[at], kept_seq[at]
