"""The recording of a bank, day by day: what happens is drawn, numbered and booked, and told in order of arrival.

A day is drawn as tables, kept as tables while it waits for its moment, and rendered in slices as it is written, so that
memory is bounded by about one day of traffic, however long the recording.

Balances: a declined transaction moves nothing. What is reversed later stays booked, and clearing with another amount
moves no difference: both are simplifications, and the balance is context to the engine, not its books.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np

from config.money import major_text
from replay.bank import kernels, table
from replay.bank.messages import (
    ACTIVITY,
    EVENTS,
    KIND_NAMES,
    LABEL,
    PROFILES,
    TRANSACTION,
    UPDATE,
    Columns,
    account_text,
    customer_text,
    transaction_text,
)
from replay.bank.plan import Attempt
from replay.bank.population import DAY_US, Population
from replay.bank.scene import Scene
from replay.bank.table import I8, Table
from replay.bank.truth import Mark
from replay.bank.writer import N_DAMAGES, SLICE_ROWS, MessageFile, Slice

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
LATENESS_US: Final = (
    15 * MINUTE_US
)  # as shipped; what is delayed on purpose stays below, what is late lies above
Tables: TypeAlias = list[Table]


class Everyday(Protocol):
    """What happens anyway (habits.Habits)."""

    def day(self, day: int) -> tuple[Table, Table]:
        """Transactions and activities of a local day, in any order."""
        ...


class Following(Protocol):
    """What follows from transactions (aftermath.Followers)."""

    @property
    def updates(self) -> Table: ...
    @property
    def labels(self) -> Table: ...
    @property
    def activities(self) -> Table: ...
    @property
    def transactions(self) -> Table: ...


class Consequences(Protocol):
    """Decides what follows (aftermath.Aftermath)."""

    def of(self, day: int, rows: Table, number: I8) -> Following:
        """What follows from the transactions of a day, on that day or later."""
        ...


@dataclass(frozen=True, slots=True)
class Noise:
    """What goes wrong on the way, as shares of the transactions; see `generate`."""

    out_of_order: float = 0.0
    late: float = 0.0
    duplicates: float = 0.0
    bad_lines: float = 0.0


class Recording:
    """Draws a bank's traffic day by day and writes it; keeps what reaches beyond a day: balances, and what waits.

    n_lines, n_by_kind : what has been written, broken lines included only in the first
    marks              : transactions of attempts so far
    """

    def __init__(
        self,
        population: Population,
        seed: int,
        days: int,
        attempts: Sequence[Attempt],
        everyday: Everyday,
        consequences: Consequences,
        noise: Noise,
    ) -> None:
        self._population, self._seed, self._days, self._attempts = population, seed, days, attempts
        self._everyday, self._consequences, self._noise = everyday, consequences, noise
        self._columns = Columns(population)
        self._by_day: dict[int, list[Attempt]] = {}
        for attempt in attempts:
            if attempt.stage is not None:
                self._by_day.setdefault(attempt.day, []).append(attempt)
        self._later: Tables = []
        self._later_activity: Tables = []
        self._waiting: dict[int, Tables] = {kind: [] for kind in EVENTS}
        self._purchases: dict[int, list[int]] = {}  # of attempts, in order of time
        self._n_updates = 0
        self._n_bad = 0
        self._n_of = np.zeros(len(KIND_NAMES), np.int64)
        self.n_transactions = 0
        self.marks: list[Mark] = []

    @property
    def n_lines(self) -> int:
        return int(self._n_of.sum()) + self._n_bad

    @property
    def n_by_kind(self) -> dict[str, int]:
        """Messages written of each kind, second copies included."""
        counts: dict[str, int] = {}
        for name, n in zip(KIND_NAMES, self._n_of.tolist(), strict=True):
            counts[name] = counts.get(name, 0) + n
        return counts

    def begin(self, file: MessageFile) -> None:
        """Write what is known about customers, accounts and cards."""
        profiles = self._columns.profiles()
        for kind in PROFILES:
            rows = profiles[kind]
            for start in range(0, rows.n, SLICE_ROWS):
                part = _rows(rows, start, start + SLICE_ROWS)
                columns = {kind: self._columns.of(kind, part)}
                file.write(Slice(np.full(part.n, kind), np.arange(part.n), columns))
            self._n_of[kind] += rows.n

    def record(self, day: int, file: MessageFile) -> None:
        """Draw a day and write what arrives before it ends; after the last day, what is still on its way."""
        transactions, activities = self._draw(day)
        self._number(transactions)
        self._mark(transactions)
        following = self._consequences.of(day, transactions, transactions["number"])
        self._disturb(day, transactions)
        self._follow(following, transactions)
        more, self._later_activity = _split(self._later_activity, self._end_of(day))
        for rows in (activities, more):
            self._waiting[ACTIVITY].append(_with(rows, arrival_us=rows["time_us"]))
        del transactions, activities, more, following
        self._emit(file, self._end_of(day), is_last=day == self._days - 1)

    def _end_of(self, day: int) -> int:
        return self._population.start_us + (day + 1) * DAY_US

    # ------------------------------------------------------------ a day

    def _draw(self, day: int) -> tuple[Table, Table]:
        """Transactions and activities of the day in order of event time."""
        honest, activities = self._everyday.day(day)
        for attempt in self._by_day.pop(day, []):
            self._stage(attempt, day, honest)
        self._later.append(honest)
        self._later_activity.append(activities)
        del honest, activities
        transactions, self._later = _split(self._later, self._end_of(day))
        todays, self._later_activity = _split(self._later_activity, self._end_of(day))
        for rows in (transactions, todays):
            assert not rows.n or rows["time_us"][0] >= self._end_of(day - 1), (
                "of a day that is over"
            )
        return transactions, todays

    def _stage(self, attempt: Attempt, day: int, honest: Table) -> None:
        """Put an attempt on stage; where it finds no opportunity, it tries again the next day."""
        assert attempt.stage is not None
        scene = Scene(
            population=self._population,
            rng=np.random.default_rng([self._seed, 5, attempt.number, day]),
            attempt=attempt.number,
            account=attempt.account,
            start_us=self._population.start_us + day * DAY_US,
            balance=self._population.balance,
            honest=honest,
            others=np.array(attempt.others, np.int64),
            end_us=self._end_of(self._days - 1),
            is_modest=attempt.is_modest,
        )
        if attempt.stage(scene):
            self._later += scene.transactions
            self._later_activity += scene.activities
        else:
            attempt.day = day + 1
            self._by_day.setdefault(day + 1, []).append(attempt)

    def _number(self, rows: Table) -> None:
        """Give the transactions their numbers, refunds theirs of what they give back, and book."""
        number = self.n_transactions + np.arange(rows.n)
        self.n_transactions += rows.n
        mine = rows["attempt"] >= 0
        for i in np.flatnonzero(mine & (rows["type"] == table.CARD_AUTH)).tolist():
            self._purchases.setdefault(int(rows["attempt"][i]), []).append(int(number[i]))
        for i in np.flatnonzero(rows["original"] <= -2).tolist():
            bought = self._purchases[int(rows["attempt"][i])]
            rows["original"][i] = bought[-2 - int(rows["original"][i])]
        moved = np.where(rows["is_in"] == 1, rows["amount_cny"], -rows["amount_cny"])
        moved[rows["status"] == table.DECLINED] = 0
        before = np.empty(rows.n, np.int64)
        kernels.book(rows["account"], moved, self._population.balance, before)
        rows.columns |= {"number": number, "before": before}

    def _mark(self, rows: Table) -> None:
        index = np.flatnonzero(rows["attempt"] >= 0)
        for i, time in zip(index.tolist(), _times(rows["time_us"][index]), strict=True):
            attempt, account = self._attempts[int(rows["attempt"][i])], int(rows["account"][i])
            self.marks.append(
                Mark(
                    attempt=attempt.name,
                    typology=attempt.typology,
                    is_honest=attempt.is_honest,
                    variant=attempt.variant,
                    transaction_id=transaction_text(int(rows["number"][i])),
                    account=account_text(account),
                    customer=customer_text(int(self._population.customer[account])),
                    event_time=time,
                    amount=major_text(int(rows["amount_cny"][i]), 2),
                    is_money=bool(rows["is_money"][i]),
                )
            )

    def _follow(self, following: Following, rows: Table) -> None:
        """Let what follows wait for its day; nothing is told of a transaction before that itself has arrived."""
        self._later.append(following.transactions)
        self._later_activity.append(following.activities)
        for kind, told in ((UPDATE, following.updates), (LABEL, following.labels)):
            arrived_us = rows["arrival_us"][told["number"] - rows["number"][0]] if told.n else _NONE
            soonest = np.maximum(told["arrival_us"], arrived_us + SECOND_US)
            self._waiting[kind].append(_with(told, arrival_us=soonest))
        number = self._n_updates + np.arange(following.updates.n)
        self._n_updates += following.updates.n
        self._waiting[UPDATE][-1].columns["update"] = number

    # ------------------------------------------------------------ on the way

    def _disturb(self, day: int, rows: Table) -> None:
        """Let the transactions of a day wait for their arrival: some late, some twice, some also in a broken copy."""
        noise, rng = self._noise, np.random.default_rng([self._seed, 6, day])
        fate = rng.random(rows.n)
        delay_us = np.where(
            fate < noise.late,
            rng.integers(LATENESS_US + MINUTE_US, 90 * MINUTE_US, rows.n),
            np.where(
                fate < noise.late + noise.out_of_order,
                rng.integers(SECOND_US, LATENESS_US - MINUTE_US, rows.n),
                0,
            ),
        )
        rows.columns |= {
            "arrival_us": rows["time_us"] + delay_us,
            "damage": np.full(rows.n, -1),
        }
        again = rows.take(np.flatnonzero(rng.random(rows.n) < noise.duplicates))
        pause_us = rng.integers(SECOND_US, 6 * HOUR_US, again.n)
        again.columns["arrival_us"] = again["arrival_us"] + pause_us
        broken = rows.take(np.flatnonzero(rng.random(rows.n) < noise.bad_lines))
        broken.columns["damage"] = rng.integers(0, N_DAMAGES, broken.n)
        self._waiting[TRANSACTION] += [rows, again, broken]

    def _emit(self, file: MessageFile, until_us: int, *, is_last: bool) -> None:
        """Write what arrives before `until_us` in order of arrival; of what waits, transactions also later at last."""
        due: dict[int, Table] = {}
        for kind in EVENTS:
            limit = _FOREVER if is_last and kind == TRANSACTION else until_us
            due[kind], self._waiting[kind] = _split(self._waiting[kind], limit, "arrival_us")
            if is_last:
                self._waiting[kind] = []
        arrival = np.concatenate([due[kind].columns.get("arrival_us", _NONE) for kind in _TOLD])
        kinds = np.repeat(np.array(_TOLD), [due[kind].n for kind in _TOLD])
        order = np.argsort(arrival, kind="stable")
        kinds = kinds[order]
        del arrival, order
        done = dict.fromkeys(EVENTS, 0)
        for start in range(0, len(kinds), SLICE_ROWS):
            self._write(file, kinds[start : start + SLICE_ROWS], due, done)

    def _write(
        self, file: MessageFile, kinds: I8, due: Mapping[int, Table], done: dict[int, int]
    ) -> None:
        """Write the next messages, of these kinds; `done` counts how many of each are."""
        row = np.empty(len(kinds), np.int64)
        columns: dict[int, Mapping[str, I8]] = {}
        damaged: dict[int, int] = {}
        for kind in np.unique(kinds).tolist():
            at = np.flatnonzero(kinds == kind)
            part = _rows(due[kind], done[kind], done[kind] + len(at))
            done[kind] += len(at)
            row[at] = np.arange(len(at))
            columns[kind] = self._columns.of(kind, part)
            self._n_of[kind] += len(at)
            if kind == TRANSACTION:
                broken = np.flatnonzero(part["damage"] >= 0)
                damaged = dict(
                    zip(at[broken].tolist(), part["damage"][broken].tolist(), strict=True)
                )
                self._n_of[kind] -= len(broken)
                self._n_bad += len(broken)
        file.write(Slice(kinds, row, columns, damaged))


_FOREVER: Final = 1 << 62
_NONE: Final[I8] = np.empty(0, np.int64)
_TOLD: Final = (ACTIVITY, TRANSACTION, UPDATE, LABEL)  # the order of messages of the same moment


def _with(rows: Table, **columns: I8) -> Table:
    return Table(rows.n, rows.columns | columns)


def _rows(rows: Table, start: int, stop: int) -> Table:
    return Table(
        min(stop, rows.n) - start, {name: c[start:stop] for name, c in rows.columns.items()}
    )


def _split(tables: Tables, until_us: int, name: str = "time_us") -> tuple[Table, Tables]:
    """What happens before `until_us`, to the millisecond and in order of time, and the rest.

    The tables are emptied: column by column the new ones take the place of the old, so that a day is held but once.
    """
    if not tables:
        return Table(0, {}), []
    parts = [part for part in tables if part.n] or tables[:1]
    time_us = np.concatenate([part[name] for part in parts]) // 1_000 * 1_000
    is_due = time_us < until_us
    now, later = np.flatnonzero(is_due), np.flatnonzero(~is_due)
    now = now[np.argsort(time_us[now], kind="stable")]
    due: dict[str, I8] = {}
    rest: dict[str, I8] = {}
    for column in list(parts[0].columns):
        whole = np.concatenate([part.columns.pop(column) for part in parts])
        whole = time_us if column == name else whole
        due[column], rest[column] = whole[now], whole[later]
    return Table(len(now), due), [Table(len(later), rest)] if len(later) else []


def _times(time_us: I8) -> list[str]:
    """RFC 3339 in UTC with milliseconds."""
    instant = time_us.astype("datetime64[us]").astype("datetime64[ms]")
    return [f"{text}Z" for text in np.datetime_as_string(instant).tolist()]
