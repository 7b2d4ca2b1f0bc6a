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


@dataclass(slots=True)
class Admitted:
    """What the rows of a batch are, after core time, lateness and identity.

    core_us     : (n,) int64  core time once the row is accepted
    late        : (n,) bool   beyond the lateness: decided, not applied, not learned from
    entry       : (n,) int64  remembered transaction: its own, or the one it means; -1 none
    linked_from : (n,) int64  batch row with the newest columns of `entry`, for labels and updates; -1: in the store
    decided_at  : (n,) int64  batch row at which `entry` is decided, for labels and updates; -1: in an earlier batch
    links       : rows of labels and updates, ascending
    new         : rows of transactions to decide for the first time, ascending
    first_seq   : row -> seq of the first message, for duplicates
    repeats     : those of them that repeat a transaction, not a label or an update
    """

    core_us: I8
    late: NDArray[np.bool_]
    entry: I8
    linked_from: I8
    decided_at: I8
    links: list[int]
    new: list[int]
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
            [first + row for first, a in parts for row in a.links],
            [first + row for first, a in parts for row in a.new],
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
        out = Admitted(
            core_us=np.empty(n, np.int64),
            late=np.zeros(n, np.bool_),
            entry=np.full(n, -1, np.int64),
            linked_from=np.full(n, -1, np.int64),
            decided_at=np.full(n, -1, np.int64),
            links=[],
            new=[],
            first_seq={},
            repeats=set(),
        )
        kinds, times = batch.kind.tolist(), batch.event_time_us.tolist()
        keys = identities(batch.account, batch.transaction_id)
        digests = batch.digest
        arrivals = arrival_us.tolist() if arrival_us is not None else None
        core_of_row, now = [0] * n, self.core_us
        has_begun = now != NEVER
        newest_row: dict[int, int] = {}  # where the newest columns of an entry stand in this batch
        decided_row: dict[int, int] = {}
        for i in range(n):
            kind, time = kinds[i], times[i]
            if kind == TRANSACTION or (kind == DEAD and batch.dead[i].answerable):
                known = memory.find(keys[i], now)
                if known >= 0:
                    self._repeat(batch, out, i, known, digests[i])
                elif kind == DEAD:
                    entry = memory.add(keys[i], batch.seq0 + i, time, now, digests[i])
                    memory.arrays["standing"][entry - memory.base] = UNSCORABLE
                    out.entry[i] = entry
                else:
                    refusal = self._refuse_time(kind, time, now, arrivals[i] if arrivals else None)
                    if time < now - self.lateness_us:
                        out.late[i] = True
                    elif time > now and refusal is None:
                        now = time
                    entry = memory.add(keys[i], batch.seq0 + i, time, now, digests[i])
                    out.entry[i] = entry
                    if refusal is not None:
                        batch.bury(i, refusal)
                        memory.arrays["standing"][entry - memory.base] = UNSCORABLE
                    else:
                        if out.late[i]:
                            memory.arrays["standing"][entry - memory.base] = LATE
                        out.new.append(i)
                        newest_row[entry] = decided_row[entry] = i
            elif kind in (LABEL, UPDATE):
                refusal = self._refuse_time(kind, time, now, arrivals[i] if arrivals else None)
                known = memory.find(keys[i], now)
                if known < 0:
                    refusal = _unknown(batch, i)
                if refusal is not None:
                    batch.bury(i, refusal)
                elif self._seen_before(batch, out, i, known):
                    pass
                else:
                    if time >= 0:  # a label needs no time of its own
                        now = max(now, time)
                    out.entry[i] = known
                    out.linked_from[i] = newest_row.get(known, -1)
                    out.decided_at[i] = decided_row.get(known, -1)
                    out.links.append(i)
                    if kind == UPDATE:
                        newest_row[known] = i
            elif kind == ACTIVITY or (kind in (TICK, PROFILE) and time >= 0):
                refusal = self._refuse_time(kind, time, now, arrivals[i] if arrivals else None)
                if refusal is not None:
                    batch.bury(i, refusal)
                elif time < now - self.lateness_us:
                    out.late[i] = kind == ACTIVITY
                elif time > now:
                    now = time
            else:
                assert kind in (DEAD, COMMAND, PROFILE, TICK), kind
            core_of_row[i] = now
            if not has_begun and now != NEVER:
                memory.begin(now)
                has_begun = True
        out.core_us[:] = core_of_row
        self.core_us = now
        return out

    def _repeat(self, batch: Batch, out: Admitted, i: int, known: int, digest: int) -> None:
        """Answer a known identity: the same content is a duplicate, other content a dead letter."""
        row = known - self.remembered.base
        first_seq = int(self.remembered.arrays["seq"][row])
        if int(self.remembered.arrays["digest"][row]) == digest:
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

    def _seen_before(self, batch: Batch, out: Admitted, i: int, known: int) -> bool:
        """Whether this very label or update came before; then it is a duplicate and changes nothing."""
        first_seq = self.remembered.tell(known, batch.digest[i], batch.seq0 + i)
        if first_seq < 0:
            return False
        batch.kind[i] = DUPLICATE
        out.first_seq[i] = first_seq
        out.entry[i] = known
        return True

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
