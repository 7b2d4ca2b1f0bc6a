"""Rows that rules and people add to lists while the engine runs: when they count, until when, and who added them.

A row that is added, prolonged or removed at one seq counts from the next multiple of 256 on. Windows and rules work on
whole columns, so the core cuts a batch there, but only where something can have been added (`cuts`); that the cut
stands at a seq keeps batching invisible. From then on the row holds for events from the core time of its adding up to
its end, both judged by the event's own time, like a row with dates in a file (rules/lists.py).

Adding a value again prolongs it. Removing ends it at the core time of the order: what happened before was in the list.
A row that has ended is kept as long as transactions are remembered, for an update asks again about the time of its
transaction, and as long as windows reach back, for a new feature is computed from the journal as if it had always been
there (`orders`, engine/backfill.py); it is dropped at the first change after that. Rows of files are changed in the
file.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from itertools import takewhile
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.errors import InputError, StateError
from engine.batch import COMMAND, Batch
from rules.check.suggest import did_you_mean
from rules.definitions import ListDefinition, ListRow, Pack
from rules.list_files import expanded
from rules.lists import contains, holds, row_at
from rules.tree import NUMBER

GRID: Final = 256  # seq from which to which nothing that is added counts
COMMANDS: Final = frozenset({"list_add", "list_remove"})
VALUES_MAX: Final = 1_000  # of a range that a person adds

Changes: TypeAlias = dict[str, dict[str, list[ListRow]]]  # list -> value -> all rows added for it


class Step(NamedTuple):
    """One order that made a row what it is: at which seq and core time, and the end that it asked for."""

    seq: int
    at_us: int
    until_us: int
    removes: bool


class Added(msgspec.Struct, kw_only=True):
    """One added row.

    from_us, until_us : event times that it holds for, the end not included
    seq       : at which it was added first; it counts from the next multiple of 256 on
    by        : `rule ID` or a person          reference : the transaction that set a rule off, or what a person gave
    prolonged : how often it was added again   removed_by, removed_for : who ended it early, and why
    steps     : the orders that made it so, by seq
    """

    list: str
    value: str
    from_us: int
    until_us: int
    seq: int
    by: str
    reason: str
    reference: str = ""
    prolonged: int = 0
    removed_by: str = ""
    removed_for: str = ""
    steps: tuple[Step, ...] = ()

    @property
    def row(self) -> ListRow:
        return ListRow(self.value, self.from_us, self.until_us, (self.by, self.reference))


class Order(msgspec.Struct, kw_only=True):
    """Something that will count from the next multiple of 256 on: a row to add, or one to remove."""

    row: Added
    removes: bool = False


class _State(msgspec.Struct, kw_only=True):
    """Everything that outlives a batch, in canonical order."""

    rows: list[Added]
    waiting: list[Order]
    forgotten_us: dict[str, int] = {}


def counts_from(seq: int, grid: int = GRID) -> int:
    """The seq from which on something counts that is added at `seq`.

    >>> counts_from(0), counts_from(255), counts_from(256)
    (256, 256, 512)
    """
    return (seq // grid + 1) * grid


class Lists:
    """Added rows of one configuration. `kept_us`: how long after its end a row is kept.

    grid         : seq from which to which nothing that is added counts; 1 in rule tests, which go event by event
    forgotten_us : of each list that has lost rows so: event time from which it still knows all
    """

    def __init__(self, pack: Pack, kept_us: int = 0) -> None:
        self.grid = GRID
        self._lists = pack.lists
        self._kept_us = kept_us
        self._rules_add = any(
            action.kind == "list_add"
            for rule in pack.rules
            if rule.mode != "off"
            for action in rule.actions
        )
        self._rows: dict[str, dict[str, list[Added]]] = {}
        self._ends: list[tuple[float, str, str]] = []  # a heap: when to look at which value again
        self._waiting: list[Order] = []  # by seq
        self.version = 0  # grows with every change of what counts
        self.forgotten_us: dict[str, int] = {}

    # What rules and people ask for

    def add(
        self,
        name: str,
        value: str,
        added_us: int,
        until_us: int,
        seq: int,
        *,
        by: str,
        reason: str,
        reference: str = "",
    ) -> None:
        """Add a value from core time `added_us` on, or prolong it; it counts from the next multiple of 256 on."""
        row = Added(
            list=name,
            value=value,
            from_us=added_us,
            until_us=until_us,
            seq=seq,
            by=by,
            reason=reason,
            reference=reference,
        )
        self._waiting.append(Order(row=row))

    def remove(self, name: str, value: str, now_us: int, seq: int, *, by: str, reason: str) -> None:
        """End a row that was added, at core time `now_us`."""
        row = Added(
            list=name, value=value, from_us=now_us, until_us=now_us, seq=seq, by=by, reason=reason
        )
        self._waiting.append(Order(row=row, removes=True))

    def values(self, name: str, value: str) -> Sequence[str]:
        """The values that a person means: one, or those of a range; raise `InputError` where the list takes none."""
        of = self._lists.get(name)
        if of is None:
            raise InputError(
                f"there is no list `{name}`",
                fix=did_you_mean(name, self._lists)
                or f"name one of {', '.join(sorted(self._lists)) or 'none'}",
            )
        text = value.strip()
        try:
            found = expanded(text, of.type) if text else ()
        except ValueError as error:
            raise InputError(str(error), fix="correct the value") from None
        if not found:
            raise InputError("`value` is empty", fix="name the value")
        if len(found) > VALUES_MAX:
            raise InputError(
                f"{text} stands for {len(found):,} values",
                why=f"an order adds or removes at most {VALUES_MAX:,}",
                fix="write the range into the file of the list",
            )
        return found

    def demand_added(self, name: str, values: Iterable[str], now_us: int) -> None:
        """Raise `InputError` unless every value is in the list by a row that was added and has not ended."""
        for value in values:
            if self._stands(name, value, now_us):
                continue
            of = self._lists[name]
            is_written = of.type.kind != NUMBER and contains(of)(value)
            raise InputError(
                f"no row for {value} was added to `{name}` at runtime, or it has ended",
                why=f"the row of {of.origin or 'the pack'} is changed there" if is_written else "",
                fix="change the list itself and activate it"
                if is_written
                else "name another value",
            )

    def _stands(self, name: str, value: str, now_us: int) -> bool:
        """Whether a value is added once all that waits is done."""
        found = any(row.until_us > now_us for row in self._rows.get(name, {}).get(value, ()))
        for order in self._waiting:
            if (order.row.list, order.row.value) == (name, value):
                found = not order.removes
        return found

    def standing(self, name: str, by: str, now_us: int) -> set[str]:
        """Values of a list that `by` has added and that have not ended, once all that waits is done."""
        found = {
            value
            for value, held in self._rows.get(name, {}).items()
            if any(row.by == by and row.until_us > now_us for row in held)
        }
        for order in self._waiting:
            if order.row.list == name and order.removes:
                found.discard(order.row.value)
            elif order.row.list == name and order.row.by == by:
                found.add(order.row.value)
        return found

    # What the core does at its cuts

    def cuts(self, batch: Batch) -> list[int]:
        """Rows of a decoded batch before which it must be cut, ascending; none nearly always."""
        first, last = batch.seq0, batch.seq0 + batch.n
        if self._rules_add:
            return [seq - first for seq in range(counts_from(first, self.grid), last, self.grid)]
        if not self._waiting and not batch.objects:
            return []
        near = takewhile(lambda order: order.row.seq < last, self._waiting)
        seqs = {counts_from(order.row.seq, self.grid) for order in near}
        seqs |= {
            counts_from(first + row, self.grid)
            for row, said in batch.objects.items()
            if batch.kind[row] == COMMAND
            and isinstance(name := said.get("command"), str)
            and name in COMMANDS
        }
        return sorted(seq - first for seq in seqs if first < seq < last)

    def settle(self, seq: int, core_us: int) -> Changes:
        """Let count what counts from `seq` on; return what has changed, for the tables of the rules."""
        if not self._waiting:
            return {}
        due = [*takewhile(lambda o: counts_from(o.row.seq, self.grid) <= seq, self._waiting)]
        if not due:
            return {}
        self.version += 1
        self._waiting = self._waiting[len(due) :]
        changed: dict[tuple[str, str], None] = {}
        for order in due:
            row = order.row
            changed[row.list, row.value] = None
            held = self._rows.setdefault(row.list, {}).setdefault(row.value, [])
            step = Step(row.seq, row.from_us, row.until_us, order.removes)
            heappush(self._ends, (row.until_us, row.list, row.value))
            if order.removes:
                _end(held, row, step)
                heappush(self._ends, (-math.inf, row.list, row.value))  # it may never have held
            elif held and row.from_us <= held[-1].until_us:
                held[-1].until_us = max(held[-1].until_us, row.until_us)
                held[-1].prolonged += 1
                held[-1].steps += (step,)
            else:
                row.steps = (step,)
                held.append(row)
        changed |= self._forget(core_us - self._kept_us)
        changes: Changes = {}
        for name, value in changed:
            rows = self._rows.get(name, {}).get(value, [])
            changes.setdefault(name, {})[value] = [row.row for row in rows]
        return changes

    def _forget(self, before_us: int) -> dict[tuple[str, str], None]:
        """Drop rows that ended before a time, and those that never held; return where."""
        gone: dict[tuple[str, str], None] = {}
        while self._ends and self._ends[0][0] <= before_us:
            _, name, value = heappop(self._ends)
            held = self._rows.get(name, {}).get(value, [])
            kept = [row for row in held if row.until_us > max(before_us, row.from_us)]
            for row in held:
                if row.from_us < row.until_us <= before_us:
                    self.forgotten_us[name] = max(self.forgotten_us.get(name, 0), row.until_us)
            if len(kept) < len(held):
                gone[name, value] = None
            if kept:
                self._rows[name][value] = kept
            elif name in self._rows:
                self._rows[name].pop(value, None)
        self._rows = {name: values for name, values in self._rows.items() if values}
        return gone

    # What others read

    def all(self) -> list[Added]:
        """Every row that counts, by list, value and time."""
        return [
            row
            for _, values in sorted(self._rows.items())
            for _, held in sorted(values.items())
            for row in held
        ]

    def holds(self, name: str, value: str, time_us: float | None) -> bool:
        """Whether a text is in a list at a time, by a row of the pack or one that was added and counts."""
        if holds(self._lists[name], value, time_us):
            return True
        return any(row.row.holds_at(time_us) for row in self._rows.get(name, {}).get(value, ()))

    def find(self, name: str, value: str | float, time_us: float | None) -> Added | None:
        """The added row that holds for a value at a time."""
        of = self._lists[name]
        for held in self._rows.get(name, {}).values():
            for row in held:
                alone = replace(of, values=frozenset(), rows=(), added=(row.row,))
                if row_at(alone, value, time_us) is not None:
                    return row
        return None

    def now(self) -> Mapping[str, ListDefinition]:
        """The lists of the pack with the rows that are added to them."""
        added: dict[str, list[ListRow]] = {}
        for row in self.all():
            added.setdefault(row.list, []).append(row.row)
        return {
            name: replace(of, added=tuple(added[name])) if name in added else of
            for name, of in self._lists.items()
        }

    def orders(self) -> list[Order]:
        """What made all rows that count what they are, by seq; an engine that is to `expect` them comes to the same."""
        found = [
            Order(
                row=Added(
                    list=row.list,
                    value=row.value,
                    from_us=step.at_us,
                    until_us=step.until_us,
                    seq=step.seq,
                    by=row.by,
                    reason=row.reason,
                    reference=row.reference,
                ),
                removes=step.removes,
            )
            for row in self.all()
            for step in row.steps
        ]
        return sorted(found, key=lambda order: order.row.seq)

    def expect(self, orders: Iterable[Order]) -> None:
        """Have orders count once the stream gets there; by seq, none before those that wait."""
        self._waiting += [order for order in orders if order.row.list in self._lists]

    def everything(self) -> Changes:
        """All rows, for tables that know none."""
        changes: Changes = {}
        for row in self.all():
            changes.setdefault(row.list, {}).setdefault(row.value, []).append(row.row)
        return changes

    # What outlives a batch

    def save(self) -> dict[str, NDArray[np.uint8]]:
        """Everything that outlives a batch; nothing where nothing was ever added."""
        if not self._rows and not self._waiting and not self.forgotten_us:
            return {}
        forgotten_us = dict(sorted(self.forgotten_us.items()))
        state = _State(rows=self.all(), waiting=self._waiting, forgotten_us=forgotten_us)
        return {"state": np.frombuffer(msgspec.msgpack.encode(state), np.uint8).copy()}

    def load(self, saved: Mapping[str, NDArray[Any]]) -> Changes:
        """Take over what `save` gave, but for lists that the pack has not; return what has changed, for the tables."""
        changes: Changes = {
            name: {value: [] for value in values} for name, values in self._rows.items()
        }
        self._rows, self._waiting, self._ends, self.forgotten_us = {}, [], [], {}
        if saved:
            self._restore(saved)
        for name, values in self.everything().items():
            changes.setdefault(name, {}).update(values)
        return changes

    def _restore(self, saved: Mapping[str, NDArray[Any]]) -> None:
        try:
            state = msgspec.msgpack.decode(saved["state"].tobytes(), type=_State)
        except (msgspec.DecodeError, KeyError) as error:
            raise StateError(
                f"the saved rows of lists cannot be read: {error}",
                fix="go on from the snapshot before, or replay the journal",
            ) from None
        for row in state.rows:
            if row.list in self._lists:
                self._rows.setdefault(row.list, {}).setdefault(row.value, []).append(row)
        self._ends = [(row.until_us, row.list, row.value) for row in state.rows]
        heapify(self._ends)
        self._waiting = [order for order in state.waiting if order.row.list in self._lists]
        self.forgotten_us = {n: us for n, us in state.forgotten_us.items() if n in self._lists}

    def adopt(self, other: "Lists") -> Changes:
        """Go on from the rows of another configuration, those of lists that are the same kind here."""
        self.load(other.save())
        gone = {
            name
            for name, of in self._lists.items()
            if name in other._lists and other._lists[name].type != of.type  # noqa: SLF001
        }
        self._rows = {name: rows for name, rows in self._rows.items() if name not in gone}
        self.forgotten_us = {n: us for n, us in self.forgotten_us.items() if n not in gone}
        self._waiting = [order for order in self._waiting if order.row.list not in gone]
        return self.everything()


def _end(held: list[Added], by: Added, step: Step) -> None:
    """End the rows of a value that still hold; one that has not begun to hold is as good as never added."""
    for row in held:
        if row.until_us > by.from_us:
            row.until_us = by.from_us
            row.steps += (step,)
            row.removed_by, row.removed_for = by.by, by.reason
