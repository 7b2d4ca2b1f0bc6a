"""Which rows of a batch count, when, and for which earlier transaction: core time, lateness, repeats, links.

The only stage that walks over rows in Python for every row: each row's answer depends on the core time that the rows
before it have set. Windows, models and rules run over whole columns afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.batch import (
    ACTIVITY,
    COMMAND,
    DEAD,
    DUPLICATE,
    LABEL,
    PROFILE,
    TICK,
    TRANSACTION,
    UPDATE,
    Batch,
    Dead,
)
from engine.remembered import (
    LATE,
    UNSCORABLE,
    Remembered,
    identities,
)

I8: TypeAlias = NDArray[np.int64]
NEVER = np.iinfo(np.int64).min // 4  # core time before the first event; leaves room for differences
FOREVER = np.iinfo(np.int64).max // 4
NO_ROWS = np.empty(0, np.int64)


@dataclass(slots=True)
class Admitted:
    """What the rows of a batch are, after core time, lateness and identity.

    core_us     : (n,) int64  core time once the row is accepted
    late        : (n,) bool   beyond the lateness: decided, not applied, not learned from
    entry       : (n,) int64  remembered transaction: its own, or the one it means; -1 none
    linked_from : (n,) int64  batch row with the newest columns of `entry`, for labels and updates; -1: in the store
    decided_at  : (n,) int64  batch row at which `entry` is decided, for labels and updates; -1: in an earlier batch
    links       : (l,) int64  rows of labels and updates, ascending
    new         : (t,) int64  rows of transactions to decide for the first time, ascending
    first_seq   : row -> seq of the first message, for duplicates
    repeats     : those of them that repeat a transaction, not a label or an update
    """

    core_us: I8
    late: NDArray[np.bool_]
    entry: I8
    linked_from: I8
    decided_at: I8
    links: I8
    new: I8
    first_seq: dict[int, int]
    repeats: set[int]

    @classmethod
    def joined(cls, parts: Sequence[tuple[int, "Admitted"]]) -> "Admitted":
        """What the rows of a batch are that was admitted in parts, each with its first row."""

        def moved(rows: I8, first: int) -> I8:
            return np.where(rows >= 0, rows + first, rows)

        return cls(
            np.concatenate([a.core_us for _, a in parts]),
            np.concatenate([a.late for _, a in parts]),
            np.concatenate([a.entry for _, a in parts]),
            np.concatenate([moved(a.linked_from, first) for first, a in parts]),
            np.concatenate([moved(a.decided_at, first) for first, a in parts]),
            np.concatenate([first + a.links for first, a in parts]),
            np.concatenate([first + a.new for first, a in parts]),
            {first + row: seq for first, a in parts for row, seq in a.first_seq.items()},
            {first + row for first, a in parts for row in a.repeats},
        )


class Admission:
    """Core time and the identity of transactions.

    lateness_us : how far a row may lie behind core time and still be applied
    jump_us_max : how far a row of a recording may lie ahead of core time; more is a dead letter
    future_us_max : how far a row of a live source may lie ahead of its arrival
    """

    def __init__(
        self, remembered: Remembered, *, lateness_us: int, jump_us_max: int, future_us_max: int
    ) -> None:
        self.remembered = remembered
        self.lateness_us = lateness_us
        self.jump_us_max = jump_us_max
        self.future_us_max = future_us_max
        self.core_us = NEVER

    def admit(self, batch: Batch, arrival_us: I8 | None) -> Admitted:
        """Decide each row's standing in order; rows that fail become dead letters or duplicates in `batch`.

        arrival_us : (n,) int64  when a live source took each message in; None for a recording
        """
        n, memory = batch.n, self.remembered
        memory.reserve(n)
        late = np.zeros(n, np.bool_)
        core_us, entry, linked_from, decided_at = facts = np.empty((4, n), np.int64)
        facts[1:] = -1
        out = Admitted(core_us, late, entry, linked_from, decided_at, NO_ROWS, NO_ROWS, {}, set())
        kinds, times = batch.kind.tolist(), batch.event_time_us.tolist()
        keys = identities(batch.account, batch.transaction_id)
        arrivals = None if arrival_us is None else arrival_us.tolist()
        came = _Came(batch, memory, keys)
        entry_of, rows, first, passed = memory.entry_of, came.rows, came.first, came.core_us.append
        enter, next_entry = entry_of.setdefault, first
        links: list[tuple[int, int, int, int]] = []  # row, entry, linked_from, decided_at
        newest_row: dict[int, int] = {}  # of entries that an update of this batch has changed
        now, limit = self.core_us, self._limit(self.core_us)
        for i, (kind, time, key) in enumerate(zip(kinds, times, keys, strict=True)):
            before = now
            if arrivals is not None:
                limit = arrivals[i] + self.future_us_max
            if kind == TRANSACTION and time <= limit and enter(key, next_entry) == next_entry:
                if time > now:  # most rows
                    now = time
                elif time < now - self.lateness_us:
                    out.late[i] = True
                    memory.arrays["standing"][next_entry - memory.base] = LATE
                next_entry += 1
                rows.append(i)
            elif kind == TRANSACTION or (kind == DEAD and batch.dead[i].answerable):
                known = came.find(key, now)
                if known >= 0:
                    self._repeat(batch, out, came, i, known)
                else:
                    refusal = None
                    if time > limit and kind == TRANSACTION:
                        refusal = self._refuse_time(
                            kind, time, now, arrivals[i] if arrivals else None
                        )
                    place = next_entry - memory.base
                    now = self._admit_oddity(batch, out, i, now, refusal, place)
                    entry_of[key] = next_entry
                    next_entry += 1
                    rows.append(i)
            elif kind in (LABEL, UPDATE):
                known = came.find(key, now)
                refusal = _unknown(batch, i) if known < 0 else None
                if time > limit and known >= 0:
                    refusal = self._refuse_time(kind, time, now, arrivals[i] if arrivals else None)
                if refusal is not None:
                    batch.bury(i, refusal)
                elif (first_seq := came.tell(known, i)) >= 0:
                    batch.kind[i] = DUPLICATE
                    out.first_seq[i] = first_seq
                    out.entry[i] = known
                else:
                    if time > now and time >= 0:  # a label needs no time of its own
                        now = time
                    decided = came.decided_at(known)
                    links.append((i, known, newest_row.get(known, decided), decided))
                    if kind == UPDATE:
                        newest_row[known] = i
            elif kind == ACTIVITY or (kind in (TICK, PROFILE) and time >= 0):
                if time > limit:
                    refusal = self._refuse_time(kind, time, now, arrivals[i] if arrivals else None)
                    assert refusal is not None
                    batch.bury(i, refusal)
                elif time > now:
                    now = time
                elif time < now - self.lateness_us:
                    out.late[i] = kind == ACTIVITY
            else:
                assert kind in (DEAD, COMMAND, PROFILE, TICK), kind
            passed(now)
            if now != before:
                limit = now + self.jump_us_max
                if before == NEVER:
                    came.begun_us = now
        core_us[:] = came.core_us
        if links:
            about = np.array(links, np.int64).T
            out.links = about[0].copy()
            facts[1:, out.links] = about[1:]
        entered = came.settle(out)
        out.new = entered[batch.kind[entered] == TRANSACTION]
        self.core_us = now
        return out

    def _limit(self, now: int) -> int:
        """The time beyond which a row of a recording is refused, at core time `now`."""
        return now + self.jump_us_max if now != NEVER else FOREVER

    def _admit_oddity(
        self, batch: Batch, out: Admitted, i: int, now: int, refusal: Dead | None, place: int
    ) -> int:
        """Give standing to a new transaction that is dead, refused, or known from long ago; core time after it.

        place : its row of the store
        """
        standing, time = self.remembered.arrays["standing"], int(batch.event_time_us[i])
        if batch.kind[i] == DEAD:
            standing[place] = UNSCORABLE
            return now
        if time < now - self.lateness_us:
            out.late[i] = True
            standing[place] = LATE
        elif refusal is None:
            now = max(now, time)
        if refusal is not None:
            batch.bury(i, refusal)
            standing[place] = UNSCORABLE
        return now

    def _repeat(self, batch: Batch, out: Admitted, came: "_Came", i: int, known: int) -> None:
        """Answer a known identity: the same content is a duplicate, other content a dead letter."""
        first_seq, digest = came.first_of(known)
        if digest == batch.digest[i]:
            batch.kind[i] = DUPLICATE
            batch.dead.pop(i, None)
            out.first_seq[i] = first_seq
            out.repeats.add(i)
            out.entry[i] = known
        else:
            batch.bury(
                i,
                Dead(
                    "id_conflict",
                    f"transaction `{batch.transaction_id[i]}` of account `{batch.account[i]}` came "
                    f"before with other content, as seq {first_seq}",
                    "send a correction as kind `update`, or give the new transaction its own id",
                    answerable=False,
                ),
            )

    def _refuse_time(self, kind: int, time: int, now: int, arrival: int | None) -> Dead | None:
        """Why a time cannot be true, if it cannot: ahead of the clock (live), or a jump (recorded)."""
        if arrival is not None:
            if time > arrival + self.future_us_max:
                return Dead(
                    "time_ahead",
                    f"`event_time` lies {_seconds(time - arrival)} ahead of its arrival",
                    f"correct the sender's clock; at most {_seconds(self.future_us_max)} is accepted",
                    answerable=kind == TRANSACTION,
                )
        elif time > now + self.jump_us_max and now != NEVER:
            return Dead(
                "time_jump",
                f"`event_time` lies {_seconds(time - now)} after the newest event before it",
                f"correct the time, or raise `jump_max` (now {_seconds(self.jump_us_max)}) in weir.yaml "
                "if the recording has such a gap",
                answerable=kind == TRANSACTION,
            )
        return None


class _Came:
    """Transactions that this batch has brought: facts of theirs are written at its end, all at once.

    rows    : of their messages, in order; the first is entry `first`
    core_us : core time after each row of the batch so far
    begun_us : core time at which it has begun in this batch; NEVER: before, or not yet
    """

    __slots__ = (
        "_batch", "_came_us", "_entry_of", "_fact_digest", "_fact_seq", "_keys", "_memory",
        "begun_us", "core_us", "first", "rows",
    )  # fmt: skip

    def __init__(self, batch: Batch, memory: Remembered, keys: Sequence[str]) -> None:
        self._batch, self._memory, self._entry_of = batch, memory, memory.entry_of
        self._keys = keys  # identity of each row
        arrays = (
            memory.arrays
        )  # cells of views are read and written twice as fast as those of arrays
        self._came_us = arrays["core_us"].data
        self._fact_seq = arrays["fact_seq"].data
        self._fact_digest = arrays["fact_digest"].data
        self.first = memory.end
        self.rows: list[int] = []
        self.core_us: list[int] = []
        self.begun_us = NEVER

    def find(self, key: str, now: int) -> int:
        """The entry of identity `key` as known at core time `now`, or -1; what `Remembered.find` says of it later."""
        entry, memory = self._entry_of.get(key, -1), self._memory
        if entry < 0:
            return -1
        if entry >= self.first:
            came_us = self.core_us[self.rows[entry - self.first]]
        else:
            came_us = self._came_us[entry - memory.base]
        return -1 if max(came_us, self.begun_us) <= now - memory.horizon_us else entry

    def tell(self, entry: int, i: int) -> int:
        """Note the label or update of row `i` about `entry`; the seq at which the very same came before, or -1."""
        at, batch = entry - self._memory.base, self._batch
        if self._fact_seq[at] < 0:
            self._fact_digest[at], self._fact_seq[at] = batch.digest[i], batch.seq0 + i
            return -1
        return self._memory.tell(entry, batch.digest[i], batch.seq0 + i)

    def first_of(self, entry: int) -> tuple[int, int]:
        """Seq and digest of the first message of a transaction."""
        if entry >= self.first:
            row = self.rows[entry - self.first]
            return self._batch.seq0 + row, self._batch.digest[row]
        arrays, at = self._memory.arrays, entry - self._memory.base
        return int(arrays["seq"][at]), int(arrays["digest"][at])

    def decided_at(self, entry: int) -> int:
        """Row of this batch at which a transaction is decided, -1 if it is not."""
        row = self.rows[entry - self.first] if entry >= self.first else -1
        return row if row >= 0 and self._batch.kind[row] == TRANSACTION else -1

    def settle(self, out: Admitted) -> I8:
        """Write the facts of all; return their rows."""
        batch, memory = self._batch, self._memory
        rows = np.array(self.rows, np.int64)
        if len(rows):
            memory.enter(
                list(map(self._keys.__getitem__, self.rows)),
                batch.seq0 + rows,
                batch.event_time_us[rows],
                out.core_us[rows],
                list(map(batch.digest.__getitem__, self.rows)),
            )
            out.entry[rows] = np.arange(self.first, memory.end)
        if self.begun_us != NEVER:
            memory.begin(self.begun_us)
        return rows


def _unknown(batch: Batch, i: int) -> Dead:
    """The dead letter of a label or an update for a transaction nobody remembers."""
    return Dead(
        "unknown_transaction",
        f"no transaction `{batch.transaction_id[i]}` of account `{batch.account[i]}` is remembered",
        "send it after its transaction, with the same account, within `remember` of weir.yaml",
        answerable=False,
    )


def _seconds(us: int) -> str:
    days, rest = divmod(us // 1_000_000, 86_400)
    return f"{days} d {rest} s" if days else f"{rest} s"
