"""The window features of one stratum: sorted into event logs by key, each run by one kernel call a batch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from engine.batch import AMEND, EVENT, PUT, READ, SKIP
from engine.state import Arrays, prefixed, under
from engine.windows.events import RESERVED_BYTES, EventLog, Together
from engine.windows.rows import Rows
from engine.windows.shape import GAP, Namer, Shape, arrange, by_place, decode, encode, fits
from engine.windows.tables import GONE, UPDATES_US, keep_us
from rules.tree import CATEGORY, NUMBER, Type

if TYPE_CHECKING:
    from rules.columns import Frame, Layout
    from rules.ruleset import WindowSpec

__all__ = ["AMEND", "EVENT", "PUT", "READ", "SKIP", "Rows", "Windows"]

SWEEP = 64, 16, 1 << 19  # each entity once in four times as many rows as there are, or in 500,000


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

    shape : which feature stands in which log (engine/windows/shape.py); saved with the state, and taken from it
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
        namer: Namer = by_place,
        shape: Shape = (),
        n_filters: int = -1,
        in_steps: bool = False,
    ) -> None:
        """Lay out the features.

        namer     : says what each feature means, so that saved state can be told from that of other features
        shape     : of the state that this one will go on from; empty: as suits these features
        n_filters : rows of the filters that `apply` is given; only needed with a shape or a load
        in_steps  : the caller goes through `lay_out(shape)` before anything else
        """
        self._specs, self._layout, self._lateness_us, self._zone = specs, layout, lateness_us, zone
        self._updates_us, self._sweep, self._reserved_bytes = updates_us, sweep, reserved_bytes
        self._namer, self._n_filters = namer, n_filters
        self.shape: Shape = shape
        self.logs: dict[str, EventLog] = {}
        if not in_steps:
            self._lay_out(shape)

    def _lay_out(self, shape: Shape) -> None:
        for _ in self.lay_out(shape):
            pass

    def lay_out(self, shape: Shape) -> Iterator[None]:
        """Make the event logs, empty, a step each: for whoever must not be held up (`in_steps`)."""
        arranged = arrange(self._specs, self._namer, shape)
        yield
        self.shape = tuple(log.shape for log in arranged)
        self.logs = {}
        self._has_gaps = any(slot.gone for log in self.shape for slot in log.slots)
        nothing = self._nothing() if self._has_gaps else (-1, -1, -1)
        for log, specs in arranged:
            gaps = frozenset(spec.name for spec in specs if spec.name.startswith(GAP))
            self.logs[log.name] = EventLog(
                log.slots[0].meaning.keys,
                specs,
                self._layout,
                keep_us(specs, self._lateness_us, self._updates_us),
                self._lateness_us,
                self._zone,
                sweep=self._sweep,
                reserved_bytes=self._reserved_bytes,
                gaps=gaps,
                nothing=nothing,
            )
            yield
        self.together = Together(tuple(self.logs.values()))

    def _nothing(self) -> tuple[int, int, int]:
        """What gaps read: the filter after the last, and two columns that nobody writes."""
        assert 0 <= self._n_filters < GONE, "how many filters there are must be known"
        number = self._layout.add("~nothing", Type(NUMBER))
        code = self._layout.add("~nobody", Type(CATEGORY, "~nobody"))
        return self._n_filters, number.row, code.row

    def apply(self, frame: "Frame", filters: NDArray[np.bool_], rows: Rows) -> None:
        """Apply the rows in order; write each feature's result into the frame, for EVENT and READ rows."""
        if self._has_gaps:
            assert len(filters) == self._n_filters, (len(filters), self._n_filters)
            filters = np.vstack([filters, np.zeros((1, filters.shape[1]), np.bool_)])
        self.together.apply(frame, filters, rows)

    def adopt(self, other: "Windows") -> frozenset[str]:
        """Go on from the very state of `other` wherever it has the same log; return the names of logs that stay empty.

        `other` must not be used any more. Whatever its configuration is: logs are compared by what they mean.
        """
        waiting = {log.name: log for log in other.shape}
        empty = []
        for log in self.shape:
            known = [waiting[log.name]] if log.name in waiting else []
            known += [one for one in waiting.values() if one.name != log.name]
            found = next((one for one in known if fits(log, one)), None)
            if found is None:
                empty.append(log.name)
            else:
                self.logs[log.name].adopt(other.logs[found.name])
                del waiting[found.name]
        return frozenset(empty)

    def save(self, *, copied: bool = True) -> Arrays:
        """Arrays that depend on the shape and the rows applied and on nothing else; not `copied`: as views of them."""
        arrays: Arrays = encode(self.shape)
        for name, log in self.logs.items():
            arrays |= prefixed(name, log.save() if copied else log.used())
        return arrays

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `save` gave, in its shape; raise `StateError` if it belongs to other features."""
        shape = decode(arrays["shape"])
        if shape != self.shape:
            arranged = arrange(self._specs, self._namer, shape)
            if shape != tuple(log.shape for log in arranged):
                saved, own = _meanings(shape), _meanings(self.shape)
                raise StateError(
                    "the saved windows are of other features than those of this configuration",
                    why=f"{len(saved - own)} of the saved ones are not configured, {len(own - saved)} of the "
                    "configured ones are not saved",
                    fix="restart from the configuration that wrote them, or rebuild from the journal",
                )
            self._lay_out(shape)
        for name, log in self.logs.items():
            log.load(under(arrays, name))


def _meanings(shape: Shape) -> set[str]:
    return {slot.meaning.feature for log in shape for slot in log.slots if not slot.gone}
