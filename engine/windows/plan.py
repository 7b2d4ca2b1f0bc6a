"""The window features of one stratum: sorted into event logs by key, each run by one kernel call a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from engine.batch import AMEND, EVENT, PUT, READ, SKIP
from engine.state import Arrays, prefixed, under
from engine.windows.events import RESERVED_BYTES, EventLog, Together
from engine.windows.tables import UPDATES_US, keep_us, log_of, split

if TYPE_CHECKING:
    from rules.columns import Frame, Layout
    from rules.ruleset import WindowSpec

__all__ = ["AMEND", "EVENT", "PUT", "READ", "SKIP", "Rows", "Windows"]

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]
SWEEP = 64, 16, 1 << 20  # each entity once in four times as many rows as there are, or in a million


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


class Windows:
    """Exact aggregates over sliding windows, for all features of one stratum.

    An event counts in a window (e.time - w, e.time - lag] of its key if it came no later than e; ties in time are
    ordered by seq. A calendar window begins with the day, week or month of `zone` that e is in. A missing key makes a
    feature missing, a missing argument is skipped. Numbers are taken in fixed point. An `AMEND` reaches features over
    all as long as its event is younger than core time minus the longest window of its key and the lateness (a calendar
    window counts 8 hours more than its usual length); windows have no use for older ones. It reaches `over last N
    events` for `updates_us` and the lateness: N events before that stay as they were, so that nothing has to be kept
    for ever.

    At every multiple sweep[0] of seq, sweep[1] entities of each key are looked at, one after the other, round and
    round (or more, so that a round takes sweep[2] rows at most): what no window needs any more is dropped, and their
    memory shrinks to what they need. That changes no result.
    """

    def __init__(
        self,
        specs: Sequence["WindowSpec"],
        layout: "Layout",
        lateness_us: int,
        zone: str,
        *,
        updates_us: int = UPDATES_US,
        sweep: tuple[int, int, int] = SWEEP,
        reserved_bytes: int = RESERVED_BYTES,
    ) -> None:
        by_log: dict[tuple[tuple[str, ...], int], list[WindowSpec]] = {}
        for spec in specs:
            by_log.setdefault(log_of(spec), []).append(spec)
        self.logs: dict[str, EventLog] = {}
        for (keys, last), together in by_log.items():
            kept_us = keep_us(together, lateness_us, updates_us)
            kind = f"last{last}." if last >= 0 else ""
            for part, some in enumerate(split(together)):
                self.logs[f"{'+'.join(keys)}.{kind}{part}"] = EventLog(
                    keys,
                    some,
                    layout,
                    kept_us,
                    lateness_us,
                    zone,
                    sweep=sweep,
                    reserved_bytes=reserved_bytes,
                )
        self.together = Together(tuple(self.logs.values()))

    def apply(self, frame: "Frame", filters: NDArray[np.bool_], rows: Rows) -> None:
        """Apply the rows in order; write each feature's result into the frame, for EVENT and READ rows."""
        self.together.apply(frame, filters, rows)

    def save(self) -> Arrays:
        """Arrays that depend on the rows applied and on nothing else."""
        arrays: Arrays = {}
        for name, log in self.logs.items():
            arrays |= prefixed(name, log.save())
        return arrays

    def load(self, arrays: Mapping[str, NDArray[np.int64]]) -> None:
        """Go on from what `save` gave; raise `StateError` if it belongs to other features."""
        names = {name.rpartition("/")[0] for name in arrays}
        if names != set(self.logs):
            raise StateError(
                "the saved windows are by other keys than those of this configuration",
                why=f"saved: {', '.join(sorted(names))}; configured: {', '.join(sorted(self.logs))}",
                fix="restart from the configuration that wrote them, or rebuild from the journal",
            )
        for name, log in self.logs.items():
            log.load(under(arrays, name))
