"""A small seeded bank: some weeks of canonical events with a few frauds of known kind and honest look-alikes.

It is a toy to show and test the engine with, not evidence of quality: habits are simple, fraud is far more frequent
than in life, and what fraudsters do does not react to what the engine decides. Who acts stands in
replay/population.py, what they do in replay/habits.py, what is done to them in replay/typologies.py.
"""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import zstandard
from numpy.typing import NDArray

from config.errors import ConfigError
from replay import table
from replay.habits import Habits, Trip
from replay.lines import Renderer, account_text, times, transaction_text
from replay.population import DAY_US, N_HOME_CITIES, Population, make_population
from replay.table import I8, Table
from replay.truth import Mark, Truth, truth_path
from replay.typologies import HOUR_US, MINUTE_US, TYPOLOGIES, Scene, Typology

N_HOLIDAY_CITIES: Final = 5
LATENESS_US: Final = (
    15 * MINUTE_US
)  # as shipped; what is delayed on purpose stays below, what is late lies above


def generate(
    path: Path,
    *,
    accounts: int = 1_000,
    days: int = 28,
    rate: float = 4.0,
    seed: int = 1,
    start: str = "2026-03-02",
    attempts: int | None = None,
    out_of_order: float = 0.01,
    late: float = 0.0,
    duplicates: float = 0.0,
    bad_lines: float = 0.0,
) -> Truth:
    """Write a recording to `path` and the truth beside it (`NAME.truth.ndjson`); the same seed gives the same bytes.

    accounts     : how many; a tenth are second accounts of one customer
    days         : from `start`, a date, 00:00 UTC; fraud begins after a third of them, a week at most
    rate         : transactions an account makes a day on average
    attempts     : per typology and kind of look-alike; without it, one per 7,000 days lived by accounts, at least two
    out_of_order : share of transactions that arrive up to 14 minutes after their event time
    late         : share that arrives 16 to 90 minutes after it, which is beyond the shipped lateness
    duplicates   : share whose line arrives a second time within six hours
    bad_lines    : lines that cannot be read, as a share of the transactions

    The suffix of `path` chooses the form: .ndjson, .ndjson.gz or .ndjson.zst. Lines stand in the order of arrival.
    Memory is bounded by one day of traffic. Byte identity holds for one version of numpy.
    """
    _check_name(path)
    _check(
        accounts, days, rate, {"out_of_order": out_of_order, "late": late, "duplicates": duplicates}
    )
    start_us = int(np.datetime64(start, "us").astype(np.int64))
    population = make_population(seed, accounts, rate, start_us)
    per_kind = max(2, round(accounts * days / 7_000)) if attempts is None else attempts
    recording = _Recording(population, seed, days, _plan(population, seed, days, per_kind))
    noise = _Noise(out_of_order, late, duplicates, bad_lines)
    with _opened(path) as file:
        for lines in recording.days_of_lines(noise):
            file.write(b"".join(lines))
    truth = Truth(tuple(recording.marks), recording.n_lines, recording.n_transactions)
    truth.write(truth_path(path))
    return truth


class Writable(Protocol):
    """What lines are written to."""

    def write(self, data: bytes, /) -> int: ...


@dataclass(frozen=True, slots=True)
class _Noise:
    """What goes wrong on the way, as shares of the transactions."""

    out_of_order: float
    late: float
    duplicates: float
    bad_lines: float


@dataclass(slots=True)
class _Attempt:
    """One planned attempt; `day` moves on while there is no opportunity."""

    number: int
    typology: Typology
    name: str
    account: int
    day: int


@dataclass(slots=True)
class _Queue:
    """Lines that wait for their moment of arrival."""

    arrival_us: list[I8] = field(default_factory=list)
    lines: list[NDArray[Any]] = field(default_factory=list)

    def put(self, arrival_us: I8, lines: NDArray[Any]) -> None:
        self.arrival_us.append(arrival_us)
        self.lines.append(lines)

    def take(self, until_us: int | None) -> list[bytes]:
        """Remove and return what arrives before `until_us` (everything, if None), in order of arrival."""
        if not self.lines:
            return []
        arrival_us, lines = np.concatenate(self.arrival_us), np.concatenate(self.lines)
        order = np.argsort(arrival_us, kind="stable")
        n = len(order) if until_us is None else int(np.count_nonzero(arrival_us < until_us))
        self.arrival_us, self.lines = [arrival_us[order[n:]]], [lines[order[n:]]]
        return [line + b"\n" for line in lines[order[:n]]]


def _check_name(path: Path) -> None:
    if not path.name.endswith((".ndjson", ".ndjson.gz", ".ndjson.zst")):
        raise ConfigError(
            f"the name of the file must end in .ndjson, .ndjson.gz or .ndjson.zst, was {path.name}",
            "weir generate",
            "the name says what a file is, and what reads it goes by that",
            "name it day.ndjson",
        )


def _check(accounts: int, days: int, rate: float, shares: dict[str, float]) -> None:
    if accounts < 50 or days < 3:
        raise ConfigError(
            f"`accounts` must be 50 or more and `days` 3 or more, were {accounts} and {days}",
            "weir generate",
            "each kind of attempt needs victims of its own and days to unfold",
            "ask for more accounts or days",
        )
    if not 0.2 <= rate <= 100:
        raise ConfigError(
            f"`rate` must lie in [0.2, 100], was {rate}",
            "weir generate",
            "it is the number of transactions an account makes a day on average",
            "for more traffic ask for more accounts",
        )
    for name, share in shares.items():
        if not 0.0 <= share <= 0.5:
            raise ConfigError(
                f"`{name}` must lie in [0, 0.5], was {share}",
                "weir generate",
                "it is a share of the transactions",
                f"give `{name}` as a fraction, 0.01 for one in a hundred",
            )


def _plan(population: Population, seed: int, days: int, per_kind: int) -> list[_Attempt]:
    """Give every attempt a day and a victim of its own; kinds that run out of victims get fewer attempts."""
    rng = np.random.default_rng([seed, 2])
    is_free = np.ones(population.n_accounts, np.bool_)
    planned: list[_Attempt] = []
    first_day = min(7, days // 3)
    for typology in TYPOLOGIES:
        eligible = np.flatnonzero(typology.eligible(population) & is_free)
        victims = rng.permutation(eligible)[:per_kind]
        is_free[victims] = False
        last_day = max(first_day + 1, days - typology.days)
        for k, (account, day) in enumerate(
            zip(
                victims.tolist(), rng.integers(first_day, last_day, per_kind).tolist(), strict=False
            )
        ):
            name = f"{typology.name}-{k + 1:04d}"
            planned.append(_Attempt(len(planned), typology, name, account, day))
    return planned


def _trips(population: Population, seed: int, plan: list[_Attempt], days: int) -> tuple[Trip, ...]:
    rng = np.random.default_rng([seed, 3])
    return tuple(
        Trip(
            attempt=attempt.number,
            account=attempt.account,
            first_day=attempt.day,
            last_day=min(attempt.day + int(rng.integers(4, 8)), days),
            city=N_HOME_CITIES + int(rng.integers(0, N_HOLIDAY_CITIES)),
            partner_stays=bool(population.n_cards[attempt.account] > 1 and rng.random() < 0.5),
        )
        for attempt in plan
        if attempt.typology.stage is None
    )


class _Recording:
    """Draws the traffic day by day and keeps what reaches beyond a day: balances, later rows, waiting lines."""

    def __init__(self, population: Population, seed: int, days: int, plan: list[_Attempt]) -> None:
        self._population, self._seed, self._days, self._plan = population, seed, days, plan
        self._end_us = population.start_us + days * DAY_US
        self._habits = Habits(population, seed, _trips(population, seed, plan, days))
        self._renderer = Renderer(population)
        self._later: list[Table] = []
        self._later_activity: list[Table] = []
        self._queue = _Queue()
        self._is_honest = np.array(
            [a.typology.is_honest for a in plan] + [True]
        )  # -1 is the last: no attempt
        self._delay_us = self._label_delays()
        self.marks: list[Mark] = []
        self.n_lines = 0
        self.n_transactions = 0

    def days_of_lines(self, noise: _Noise) -> Iterator[list[bytes]]:
        """The lines of each day, then the stragglers."""
        first = [line + b"\n" for line in self._renderer.profiles()]
        self.n_lines += len(first)
        yield first
        for day in range(self._days):
            transactions, activities = self._draw(day)
            self._queue.put(activities["time_us"], self._renderer.activities(activities))
            self._render(day, transactions, noise)
            yield self._counted(self._queue.take(self._population.start_us + (day + 1) * DAY_US))
        yield self._counted(self._queue.take(None))

    def _counted(self, lines: list[bytes]) -> list[bytes]:
        self.n_lines += len(lines)
        return lines

    def _label_delays(self) -> I8:
        """How long after the fact the victim of each attempt tells; -1: never. Median two days, at most 30."""
        rng = np.random.default_rng([self._seed, 4])
        hours = np.clip(np.exp(rng.normal(np.log(48.0), 1.0, len(self._plan))), 3.0, 720.0)
        is_told = rng.random(len(self._plan)) < 0.9
        return np.append(np.where(is_told, (hours * HOUR_US).astype(np.int64), -1), -1)

    def _draw(self, day: int) -> tuple[Table, Table]:
        """Transactions and activities of the day in order of event time."""
        honest, activities = self._habits.day(day)
        self._later.append(honest)
        self._later_activity.append(activities)
        for attempt in self._plan:
            if attempt.day == day and attempt.typology.stage is not None:
                self._stage(attempt, attempt.typology.stage, day, honest)
        day_end_us = self._population.start_us + (day + 1) * DAY_US
        transactions, self._later = _split(self._later, day_end_us)
        activities, self._later_activity = _split(self._later_activity, day_end_us)
        return transactions, activities

    def _stage(
        self, attempt: _Attempt, stage: Callable[[Scene], bool], day: int, honest: Table
    ) -> None:
        scene = Scene(
            population=self._population,
            rng=np.random.default_rng([self._seed, 5, attempt.number, day]),
            attempt=attempt.number,
            account=attempt.account,
            start_us=self._population.start_us + day * DAY_US,
            balance=self._population.balance,
            honest=honest,
        )
        if stage(scene):
            self._later += scene.transactions
            self._later_activity += scene.activities
        else:
            attempt.day += 1

    def _render(self, day: int, rows: Table, noise: _Noise) -> None:
        number = self.n_transactions + np.arange(rows.n)
        self.n_transactions += rows.n
        before = self._book(rows)
        lines = self._renderer.transactions(rows, number, before)
        rng = np.random.default_rng([self._seed, 6, day])
        fate = rng.random(rows.n)
        delay_us = np.where(
            fate < noise.late,
            rng.integers(LATENESS_US + MINUTE_US, 90 * MINUTE_US, rows.n),
            np.where(
                fate < noise.late + noise.out_of_order,
                rng.integers(1_000_000, LATENESS_US - MINUTE_US, rows.n),
                0,
            ),
        )
        arrival_us = rows["time_us"] + delay_us
        self._queue.put(arrival_us, lines)
        again = np.flatnonzero(rng.random(rows.n) < noise.duplicates)
        pause_us = rng.integers(1_000_000, 6 * HOUR_US, len(again))
        self._queue.put(arrival_us[again] + pause_us, lines[again])
        broken = np.flatnonzero(rng.random(rows.n) < noise.bad_lines)
        damaged = np.empty(len(broken), object)
        damaged[:] = [
            _damaged(lines[i], kind)
            for i, kind in zip(broken, rng.integers(0, 7, len(broken)), strict=True)
        ]
        self._queue.put(arrival_us[broken], damaged)
        self._mark(rows, number)
        self._aftermath(day, rows, number)

    def _book(self, rows: Table) -> I8:
        """Cents on the account before each row; brings the balances up to date.

        Refused authorisations move nothing. What is taken back later stays booked: a simplification.
        """
        balance, account = self._population.balance, rows["account"]
        moved = np.where(rows["is_in"] == 1, rows["amount"], -rows["amount"])
        moved[rows["status"] == table.DECLINED] = 0
        order = np.argsort(account, kind="stable")
        total = np.cumsum(moved[order])
        prior = total - moved[order]
        first = np.searchsorted(account[order], account[order])
        before = np.empty(rows.n, np.int64)
        before[order] = balance[account[order]] + prior - prior[first]
        np.add.at(balance, account, moved)
        return before

    def _mark(self, rows: Table, number: I8) -> None:
        index = np.flatnonzero(rows["attempt"] >= 0)
        for i, time in zip(index.tolist(), times(rows["time_us"][index]), strict=True):
            attempt, amount = self._plan[int(rows["attempt"][i])], int(rows["amount"][i])
            self.marks.append(
                Mark(
                    attempt=attempt.name,
                    typology=attempt.typology.name,
                    is_honest=attempt.typology.is_honest,
                    transaction_id=transaction_text(int(number[i])),
                    account=account_text(int(rows["account"][i])),
                    event_time=time,
                    amount=f"{amount // 100}.{amount % 100:02d}",
                    is_money=bool(rows["is_money"][i]),
                )
            )

    def _aftermath(self, day: int, rows: Table, number: I8) -> None:
        """Schedule what follows from the rows of a day: labels, reversals, refunds. Nothing after the last day."""
        rng = np.random.default_rng([self._seed, 7, day])
        chance = rng.random((3, rows.n))
        time_us, account, attempt = rows["time_us"], rows["account"], rows["attempt"]
        fraud = ~self._is_honest[attempt]
        delay_us = np.where(
            fraud, self._delay_us[attempt], rng.integers(24 * HOUR_US, 7 * 24 * HOUR_US, rows.n)
        )
        checked = chance[0] < np.where(attempt >= 0, 0.3, 0.02)
        labelled = np.flatnonzero(
            np.where(fraud, delay_us > 0, checked) & (time_us + delay_us < self._end_us)
        )
        arrival_us = (time_us + delay_us)[labelled]
        is_fraud = fraud[labelled].astype(np.int64)
        self._queue.put(
            arrival_us,
            self._renderer.labels(arrival_us, number[labelled], account[labelled], is_fraud),
        )
        bought = (
            (rows["type"] == table.CARD_AUTH) & (attempt < 0) & (rows["status"] != table.DECLINED)
        )
        pause_us = rng.integers(2 * HOUR_US, 20 * HOUR_US, rows.n)
        undone = np.flatnonzero(bought & (chance[1] < 0.004) & (time_us + pause_us < self._end_us))
        arrival_us = (time_us + pause_us)[undone]
        self._queue.put(
            arrival_us, self._renderer.reversals(arrival_us, number[undone], account[undone])
        )
        is_returned = bought & (rows["merchant"] >= 0)
        is_returned &= (chance[1] >= 0.004) & (chance[2] < 0.008)
        returned = rows.take(is_returned)
        back_us = rng.integers(DAY_US, 9 * DAY_US, returned.n)
        self._later.append(
            Table.transactions(
                returned.n,
                time_us=returned["time_us"] + back_us,
                type=table.REFUND,
                account=returned["account"],
                card=returned["card"],
                amount=returned["amount"],
                is_in=1,
                status=table.BOOKED,
                channel=returned["channel"],
                merchant=returned["merchant"],
                original=number[is_returned],
            )
        )


def _split(tables: list[Table], until_us: int) -> tuple[Table, list[Table]]:
    """What happens before `until_us`, to the millisecond and in order of time, and the rest."""
    rows = Table.joined(tables)
    rows.columns["time_us"] = rows["time_us"] // 1_000 * 1_000
    now = rows["time_us"] < until_us
    today = rows.take(now)
    return today.take(np.argsort(today["time_us"], kind="stable")), [rows.take(~now)]


def _damaged(line: bytes, kind: int) -> bytes:
    """One of seven ways in which messages arrive broken."""
    if kind == 0:
        return line[: len(line) // 2]
    if kind == 1:
        return line.replace(b'"amount":"', b'"amount":"12,', 1)
    if kind == 2:
        return line.replace(b'"event_time":"20', b'"event_time":"yesterday 20', 1)
    if kind == 3:
        return line.replace(b'"account":', b'"konto":', 1)
    if kind == 4:
        return line.replace(b'"currency":"EUR"', b'"currency":"\xff\xfe"', 1)
    if kind == 5:
        return line.replace(b'"event_time":"2', b'"event_time":"9', 1)
    return b"not json at all"


@contextmanager
def _opened(path: Path) -> Iterator[Writable]:
    """A file to write lines to, compressed as the suffix says, without time or name in its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile(
                filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0
            ) as packed:
                yield packed
        elif path.suffix == ".zst":
            with zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as stream:
                yield stream
        else:
            yield raw
