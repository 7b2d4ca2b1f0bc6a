"""One event log: the plan of the features of one key, the arrays of their state, and how these grow.

State lies in a few large arrays. They are reserved, not filled: the system gives memory to a page when it is first
written, so growing up to the reserved size copies nothing. Where a machine grants less (strict overcommit), less is
reserved, and what outgrows it is copied to twice the size.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from engine.state import Arrays
from engine.windows.kernels import layout as at
from engine.windows.kernels.keys import chain_pairs, number_of_pair
from engine.windows.kernels.layout import I4, I8
from engine.windows.kernels.slide import slide_all
from engine.windows.tables import Builder

if TYPE_CHECKING:
    from engine.windows.plan import Rows
    from rules.columns import Frame, Layout
    from rules.ruleset import WindowSpec

RESERVED_BYTES = 4 << 30  # address space of one large array, at most
PAGE = 1 << 18  # words of a large page
AHEAD_ROWS = 256  # after so many rows one large page is asked for ahead of need


class State(NamedTuple):
    """The arrays of one event log, as kernels take them (engine/windows/kernels/slide.py)."""

    record: I8
    log: I8
    pool: I8
    note: I8
    pairs: I8
    follow: I4
    head: I4
    place: I4


class Feature(NamedTuple):
    """A feature of an event log: its bit in the mask of events, and which of their values is its argument, or -1."""

    spec: "WindowSpec"
    bit: int
    column: int


def reserve(words: int, reserved_bytes: int) -> I8:
    """Zeros, at least `words` of them, and as many as the system grants up to `reserved_bytes`."""
    wanted = max(words, reserved_bytes // 8)
    while True:
        try:
            return np.zeros(wanted, np.int64)
        except MemoryError:
            if wanted == words:
                raise
            wanted = max(words, wanted // 2)


# Words of `where` that say where the state stands.
_OF_STATE = np.array(
    [k + j for k in (at.AT_RECORD, at.AT_LOG, at.AT_POOL, at.AT_NOTE, at.AT_PLACE) for j in (0, 1)]
    + [at.AT_PAIRS, at.AT_FOLLOW, at.AT_HEAD, at.N_LEVELS, at.N_PAIRS]
)


class EventLog:
    """Plan and state of the features that share a key and fit into the flags of one event."""

    def __init__(
        self,
        keys: Sequence[str],
        specs: Sequence["WindowSpec"],
        layout: "Layout",
        kept_us: int,
        lateness_us: int,
        zone: str,
        *,
        sweep: tuple[int, int, int],
        reserved_bytes: int = RESERVED_BYTES,
        gaps: frozenset[str] = frozenset(),
        nothing: tuple[int, int, int] = (-1, -1, -1),
    ) -> None:
        """Lay out the features of one key; `gaps` have gone, and read `nothing` (engine/windows/tables.py)."""
        self.keys = tuple(keys)
        self.reserved_bytes = reserved_bytes
        builder = Builder(specs, lateness_us, gaps)
        self.plan: I8 = builder.build(keys, layout, kept_us, lateness_us, zone, sweep, nothing)
        self.features = {
            spec.name: Feature(spec, *builder.parts(spec)[:2])
            for spec in specs
            if spec.name not in gaps
        }
        self.width = int(self.plan[at.WIDTH])
        self.event_width = int(self.plan[at.EVENT_WIDTH])
        self.levels = len(keys) - 1
        self.where: I8 = np.zeros(at.LOG_ROW, np.int64)
        self.state = self._nothing()

    def _nothing(self) -> State:
        """State in which nothing has happened yet."""
        pairs = max(self.reserved_bytes // 64, 2) if self.levels else 0
        uses_pool = self.plan[at.GROUPS] < self.plan[at.CHAINS + 1]
        return State(
            reserve(self.width, self.reserved_bytes),
            reserve(2 * self.event_width, self.reserved_bytes),
            reserve(1, self.reserved_bytes) if uses_pool else np.zeros(0, np.int64),
            np.zeros(at.PAIRS + 2 * self.levels, np.int64),
            np.zeros((self.levels, pairs), np.int64),
            np.zeros((self.levels, pairs), np.int32),
            np.zeros((self.levels, pairs + 2), np.int32),
            np.zeros(max(self.reserved_bytes // 64, 2), np.int32),
        )

    @property
    def state(self) -> State:
        """The arrays of this log; whoever replaces them makes `where` point to the new ones."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        for place, array in (
            (at.AT_PLAN, self.plan),
            (at.AT_RECORD, state.record),
            (at.AT_LOG, state.log),
            (at.AT_POOL, state.pool),
            (at.AT_NOTE, state.note),
            (at.AT_PLACE, state.place),
        ):
            self.where[[place, place + 1]] = array.ctypes.data, len(array)
        pairs, follow, head = (a.ctypes.data for a in (state.pairs, state.follow, state.head))
        self.where[[at.AT_PAIRS, at.AT_FOLLOW, at.AT_HEAD]] = pairs, follow, head
        self.where[[at.N_LEVELS, at.N_PAIRS]] = state.pairs.shape

    def stand_at(self, where: I8) -> None:
        """Keep the addresses of state in `where`, (LOG_ROW,) int64, from now on."""
        where[:] = self.where
        self.where = where

    def make_room(self) -> None:
        """Make room for what the kernel stopped for."""
        reason = int(self.state.note[at.REASON])
        row = int(self.where[at.ROW])
        assert reason != at.TOO_OLD, f"row {row} is older than the lateness allows"
        self._grow(reason)

    def _grow(self, reason: int) -> None:
        """Double what the kernel stopped for."""
        state = self.state
        if reason == at.NEED_RECORDS:
            self.state = state._replace(record=self._with_room(state.record, 2 * len(state.record)))
        elif reason == at.NEED_LOG:
            self.state = state._replace(log=self._with_room(state.log, 2 * len(state.log)))
        elif reason == at.NEED_POOL:
            self.state = state._replace(pool=self._with_room(state.pool, 2 * len(state.pool)))
        elif reason == at.NEED_PLACES:
            self.state = state._replace(place=np.pad(state.place, (0, len(state.place))))
        else:
            assert reason == at.NEED_PAIRS, reason
            more = state.pairs.shape[1]
            self.state = state._replace(
                pairs=np.pad(state.pairs, ((0, 0), (0, more))),
                follow=np.pad(state.follow, ((0, 0), (0, more))),
                head=np.pad(state.head, ((0, 0), (0, more))),
            )

    def _with_room(self, array: I8, words: int) -> I8:
        larger = reserve(words, self.reserved_bytes)
        larger[: len(array)] = array
        return larger

    def adopt(self, other: "EventLog") -> None:
        """Go on from the very state of `other`, a log with the same slots; that one must not be used any more."""
        same = (self.keys, self.width, self.event_width, self.levels)
        assert same == (other.keys, other.width, other.event_width, other.levels), self.keys
        self._state, self.reserved_bytes = other.state, other.reserved_bytes
        self.where[_OF_STATE] = other.where[_OF_STATE]  # found out once: messages wait meanwhile

    # For people who look closer (engine/windows/inside.py); nothing here is on the way of a decision.

    def slot_of(self, codes: Sequence[int]) -> int:
        """The slot of the entity that the codes of `keys` name, in their order; -1 if nothing is known of it."""
        name, state = codes[0], self.state
        tables = state.note, state.pairs, state.follow, state.head
        for level, code in enumerate(codes[1:]):
            if name >= 0 and code >= 0:
                name = number_of_pair(*tables, level, name << 32 | code, False)
        known = min(codes) >= 0 and 0 <= name < len(state.place)
        return int(state.place[name]) - 1 if known else -1

    def record_of(self, slot: int) -> I8:
        """(WIDTH,) the record of a slot, see layout.py; a view that nobody may write to."""
        return self.state.record[slot * self.width : (slot + 1) * self.width]

    def events_of(self, slot: int) -> I8:
        """(n, EVENT_WIDTH) the events held of a slot, ordered by (time, seq), see layout.py; a view to be read only."""
        record = self.record_of(slot)
        first, n = int(record[at.START]), int(record[at.LENGTH])
        width = self.event_width
        return self.state.log[first * width : (first + n) * width].reshape(n, width)

    def save(self) -> Arrays:
        """What was ever used of each array; the same rows give the same bytes, however they were cut."""
        return {name: array.copy() for name, array in self.used().items()}

    def used(self) -> Arrays:
        """The same as views of the state, for whoever copies them before the next batch."""
        note = self.state.note
        used: Arrays = {
            "record": self.state.record[: int(note[at.SLOTS]) * self.width],
            "log": self.state.log[: int(note[at.LOG_FREE]) * self.event_width],
            "pool": self.state.pool[: int(note[at.POOL_FREE])],
            "note": note,
            "place": self.state.place[: int(note[at.PLACES])],
        }
        for level in range(self.levels):
            count = int(note[at.PAIRS + 2 * level])
            used[f"pairs{level}"] = self.state.pairs[level, :count]
        return used

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `save` gave; raise `StateError` if it is of other features."""
        state = self._nothing()
        levels = [f"pairs{level}" for level in range(self.levels)]
        fits = (
            set(arrays) == {"record", "log", "pool", "note", "place", *levels}
            and len(arrays["note"]) == len(state.note)
            and len(arrays["record"]) == int(arrays["note"][at.SLOTS]) * self.width
            and len(arrays["log"]) == int(arrays["note"][at.LOG_FREE]) * self.event_width
            and len(arrays["pool"]) == int(arrays["note"][at.POOL_FREE])
            and len(arrays["place"]) == int(arrays["note"][at.PLACES])
        )
        if not fits:
            raise StateError(
                f"the saved windows by {', '.join(self.keys)} do not fit",
                why="they are of other features than those of this configuration, or damaged",
                fix="start with the configuration that wrote them, or from the journal",
            )
        pairs = max([state.pairs.shape[1], *(len(arrays[name]) for name in levels)])
        shape = self.levels, pairs
        places = max(len(state.place), len(arrays["place"]))
        self.state = state = state._replace(
            record=self._with_room(arrays["record"], len(arrays["record"])),
            log=self._with_room(arrays["log"], len(arrays["log"])),
            pool=self._with_room(arrays["pool"], len(arrays["pool"]))
            if len(state.pool)
            else state.pool,
            pairs=np.zeros(shape, np.int64),
            follow=np.zeros(shape, np.int32),
            head=np.zeros((self.levels, pairs + 2), np.int32),
            place=np.zeros(places, np.int32),
        )
        state.note[:] = arrays["note"]
        state.place[: len(arrays["place"])] = arrays["place"]
        for level, name in enumerate(levels):
            state.pairs[level, : len(arrays[name])] = arrays[name]
            chain_pairs(state.note, state.pairs, state.follow, state.head, level)


class Together:
    """The event logs of a stratum, for one kernel call a batch: a call for each took longer than the work of a row."""

    def __init__(self, logs: Sequence[EventLog]) -> None:
        self.logs = logs
        self.table: I8 = np.zeros((len(logs), at.LOG_ROW), np.int64)
        for log, where in zip(logs, self.table, strict=True):
            log.stand_at(where)
        self._widest = max((log.event_width for log in logs), default=0)
        self._scratch: I8 = np.zeros((self._widest, 0), np.int64)
        self._rows = 0  # since the last page that was had ahead
        self._had = np.zeros((len(logs), 3), np.int64)  # words of which the pages are had

    def apply(self, frame: "Frame", filters: NDArray[np.bool_], rows: "Rows") -> None:
        """Apply the rows in order and write the results into the frame."""
        scratch = self.scratch(len(rows.seq))
        while True:
            k = slide_all(
                frame.number, frame.code, filters,
                rows.seq, rows.time_us, rows.action, rows.original_seq, self.table, scratch,
            )  # fmt: skip
            if k == len(self.logs):
                break
            self.logs[k].make_room()
        self._rows += len(rows.seq)
        if self._rows >= AHEAD_ROWS:
            self._rows = 0
            self._have_a_page()

    def _have_a_page(self) -> None:
        """Write to the next page of one large array, so that several arrays do not need theirs in the same batch.

        A large page takes milliseconds, and arrays that grow alike need theirs at once. Nothing is used behind the end.
        """
        for log, had in zip(self.logs, self._had, strict=True):
            note, state = log.state.note, log.state
            used = (
                int(note[at.SLOTS]) * log.width,
                int(note[at.LOG_FREE]) * log.event_width,
                int(note[at.POOL_FREE]),
            )
            for j, array in enumerate((state.record, state.log, state.pool)):
                end = max(int(had[j]), used[j])
                if used[j] > PAGE // 2 and end < used[j] + PAGE and end + PAGE < len(array):
                    array[end + PAGE] = 0
                    had[j] = end + PAGE
                    return

    def scratch(self, n: int) -> I8:
        """Memory that kernels write to while they apply `n` rows."""
        if self._scratch.shape[1] < n:
            self._scratch = np.zeros((self._widest, n), np.int64)
        return self._scratch
