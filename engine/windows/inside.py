"""The events inside one window: what a feature was computed from, for people who ask why.

Features are computed by kernels that slide; nothing of that is repeated here. This looks the events up in the log of
the key, picks those that the declaration names, and hands them out with their seq, so that each leads back to the
message it came from. A copy is made, state is only read. Not on the way of any decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.windows import calendar
from engine.windows.events import EventLog, Feature
from engine.windows.kernels import layout as at
from engine.windows.plan import Windows

if TYPE_CHECKING:
    from rules.definitions import Window

I8: TypeAlias = NDArray[np.int64]
F8: TypeAlias = NDArray[np.float64]
B1: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What is still known of events that no window needs any more: of all that are older than those held."""

    first_us: int
    first_value: float
    last_us: int
    last_value: float


@dataclass(frozen=True, slots=True)
class Inside:
    """The events of one window at one moment, oldest first.

    after_us    : what happened then or before lies outside; None: the window has no beginning
    until_us    : what happened later lies outside
    seq         : (k,) int64    of the message that put the event there
    time_us     : (k,) int64    event time, microseconds UTC; of a label the time it arrived
    value       : (k,) float64  the argument: a number as the feature reads it, or a code; NaN where there is none
    counts      : (k,) bool     False where the argument is missing, so that the function skips the event
    n_dropped   : events of this key that are no longer held, whatever filter they passed; only of windows without a
                  beginning, others hold all of theirs
    forgotten   : of features over all that say something about the first or the last event
    """

    after_us: int | None
    until_us: int
    seq: I8
    time_us: I8
    value: F8
    counts: B1
    n_dropped: int = 0
    forgotten: Forgotten | None = None

    def __len__(self) -> int:
        return len(self.seq)


def find(windows: Sequence[Windows], name: str) -> tuple[EventLog, Feature] | None:
    """The log of a window feature of a core, and the feature's place in it; None for what is no window."""
    for stratum in windows:
        for log in stratum.logs.values():
            if name in log.features:
                return log, log.features[name]
    return None


def inside(
    log: EventLog,
    feature: Feature,
    codes: Mapping[str, int],
    time_us: int,
    seq: int,
    zone: str,
    *,
    is_put_in: bool = True,
) -> Inside | None:
    """The events that `feature` was computed from, for the row `seq` at `time_us`; None if one of its keys is missing.

    codes     : code of each key column in that row, -1 for missing
    zone      : of the pack, for days, weeks and months
    is_put_in : False if the row itself did not enter windows (a late one): it sees what `prior` sees

    Call it after the row was applied and before the next one: later rows may change what is held.
    """
    names = [codes[name] for name in log.keys]
    if min(names) < 0:
        return None
    aggregate = feature.spec.aggregate
    window = aggregate.window
    after_us = _after_us(window, time_us, zone)
    until_us = time_us - window.lag_us
    slot = log.slot_of(names)
    events = log.events_of(slot) if slot >= 0 else np.zeros((0, log.event_width), np.int64)
    times, seqs = events[:, at.TIME], events[:, at.META] >> at.FLAGS
    chosen = ((events[:, at.META] >> feature.bit) & 1).astype(np.bool_)
    chosen &= times <= until_us
    if after_us is not None:
        chosen &= times > after_us
    sees_itself = is_put_in and not aggregate.prior and not window.lag_us
    chosen &= (seqs <= seq) if sees_itself else (seqs < seq)
    rows = np.flatnonzero(chosen)
    if window.last:
        rows = rows[-window.last :]
    value, counts = _values(log, feature, events[rows])
    has_no_beginning = after_us is None
    dropped = int(log.record_of(slot)[at.BASE]) if slot >= 0 and has_no_beginning else 0
    return Inside(
        after_us,
        until_us,
        seqs[rows],
        times[rows].copy(),
        value,
        counts,
        dropped,
        _forgotten(log, feature, slot) if dropped else None,
    )


def _after_us(window: "Window", time_us: int, zone: str) -> int | None:
    """The latest moment outside of the window; None if it has no beginning."""
    if window.calendar:
        starts = calendar.period_starts(zone, window.calendar)
        return int(starts[np.searchsorted(starts, time_us, side="right") - 1]) - 1
    return None if window.width_us is None else time_us - window.width_us


def _values(log: EventLog, feature: Feature, events: I8) -> tuple[F8, B1]:
    """The argument of each event, and whether it has one."""
    if feature.column < 0:
        return np.full(len(events), np.nan), np.ones(len(events), np.bool_)
    held = events[:, at.VALUE + feature.column]
    counts = held != at.MISSING
    return np.where(counts, _unscaled(log, feature, held), np.nan), counts


def _unscaled(log: EventLog, feature: Feature, held: I8) -> F8:
    row = int(log.plan[at.COLUMNS]) + at.COLUMN_ROW * feature.column
    return held / float(log.plan[row + at.C_SCALE])


def _forgotten(log: EventLog, feature: Feature, slot: int) -> Forgotten | None:
    """The first and the last of the dropped events that passed the filter, where a feature needs them."""
    plan, record = log.plan, log.record_of(slot)
    for z in range(int(plan[at.FROZENS]), int(plan[at.FROZENS + 1]), at.FROZEN_ROW):
        if (plan[z + at.Z_BIT], plan[z + at.Z_COLUMN]) != (feature.bit, feature.column):
            continue
        p = int(plan[z + at.Z_AT])
        known, first_us, first, last_us, last = record[p : p + 5].tolist()
        if not known:
            return None
        values = [np.nan, np.nan]
        if feature.column >= 0:
            values = _unscaled(log, feature, np.array([first, last])).tolist()
        return Forgotten(first_us, values[0], last_us, values[1])
    return None
