"""What people find out later: labels that arrive after the fact, late, incomplete and sometimes wrong.

Victims of cards complain, or their banks charge back weeks later; other victims call or go to the police; laundering is
found by analysts and by the police. One attempt in seven is never found out. Analysts also look at honest traffic, most
of all at what resembles fraud, and some first verdicts are put right by a second.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from replay.bank import table
from replay.bank.population import DAY_US, Population
from replay.bank.table import I8, LABEL_COLUMNS, Column, Table

HOUR_US: Final = 3_600_000_000
MINUTE_US: Final = 60_000_000
_STREAM: Final = 2_100
_NEVER: Final = 0.15  # share of the attempts that nobody ever reports
_TYPOLOGY_TOLD: Final = 0.60
_MEDIAN_HOURS: Final = 72.0
_SIGMA: Final = 1.2
_LONGEST_HOURS: Final = 100 * 24.0  # and up to a fifth more for some victims
_CHECKED: Final = 0.007  # share of everyday transactions that an analyst finds in order
_LOOKED_INTO: Final = 0.30  # share of the look-alikes
_FIRST_WRONG: Final = 0.04  # share of the frauds that were called genuine at first
_DISPUTED: Final = (
    0.0003  # share of honest card payments that the customer does not recognise at first
)
_CARDS: Final = (
    "card_testing",
    "impossible_travel",
    "merchant_compromise",
    "refund_abuse",
    "velocity_burst",
)
_LAUNDERING: Final = ("structuring", "mule", "salary_mule", "round_trip")
# odds of each source, in the order of table.SOURCES: analyst, customer, chargeback, police
_CARD_ODDS: Final = (0.05, 0.55, 0.40, 0.0)
_LAUNDERING_ODDS: Final = (0.55, 0.05, 0.0, 0.40)
_VICTIM_ODDS: Final = (0.10, 0.72, 0.0, 0.18)


class Attempt(Protocol):
    """What of a planned attempt is read here."""

    @property
    def typology(self) -> str: ...
    @property
    def is_honest(self) -> bool: ...
    @property
    def day(self) -> int: ...


def typology_names(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    """Names that labels may give, the index of each being its code: those of the frauds among `attempts`, sorted."""
    return tuple(sorted({each.typology for each in attempts if not each.is_honest}))


class Verdicts:
    """Draws the labels on the transactions of a day.

    fraud : (attempts + 1,) whether the rows of an attempt are fraud; the last entry stands for everyday life, code -1
    """

    def __init__(
        self, population: Population, seed: int, days: int, attempts: Sequence[Attempt]
    ) -> None:
        self._start_us, self._seed, self._attempts = population.start_us, seed, attempts
        self._end_us = population.start_us + days * DAY_US
        rng = np.random.default_rng([seed, _STREAM])
        names, n = typology_names(attempts), len(attempts)
        fate, told, wrong = rng.random((3, n))
        hours = _MEDIAN_HOURS * np.exp(_SIGMA * rng.standard_normal(n))
        source = np.array([_source(rng, each.typology) for each in attempts], np.int64)
        late = source == table.CHARGEBACK
        hours = np.where(late, rng.uniform(25.0, 75.0, n) * 24.0, hours)
        self._delay_us = (np.clip(hours, 3.0, _LONGEST_HOURS) * HOUR_US).astype(np.int64)
        self._source = source
        self.fraud = np.append([not each.is_honest for each in attempts], [False]).astype(np.bool_)
        self._is_found = (fate >= _NEVER) & self.fraud[:-1]
        self._is_looked_into = (fate < _LOOKED_INTO) & ~self.fraud[:-1]
        self._is_wrong_first = self._is_found & (wrong < _FIRST_WRONG)
        code = {name: k for k, name in enumerate(names)}
        self._typology = np.array(
            [
                code[each.typology] if share < _TYPOLOGY_TOLD and not each.is_honest else -1
                for each, share in zip(attempts, told.tolist(), strict=True)
            ],
            np.int64,
        )

    def of(self, day: int, rows: Table, number: I8) -> Table:
        """Labels on `rows`, whose numbers are `number` (n,): those that arrive before the recording ends."""
        rng = np.random.default_rng([self._seed, _STREAM, day])
        labels = Table.joined(
            [
                *self._on_attempts(rng, rows, number),
                *self._on_everyday(rng, rows, number),
            ]
        )
        return labels.take(np.flatnonzero(labels["arrival_us"] < self._end_us))

    def _on_attempts(self, rng: np.random.Generator, rows: Table, number: I8) -> list[Table]:
        index = np.flatnonzero(rows["attempt"] >= 0)
        attempt = rows["attempt"][index]
        found = self._is_found[attempt]
        told = index[found]
        when = self._reported(rng, rows.take(told))
        fraud = _labels(
            rows,
            number,
            told,
            when,
            table.FRAUD,
            source=self._source[attempt[found]],
            typology=self._typology[attempt[found]],
        )
        wrong = self._is_wrong_first[attempt[found]]
        early = rows["time_us"][told[wrong]] + rng.integers(HOUR_US // 4, HOUR_US, int(wrong.sum()))
        genuine_first = _labels(
            rows, number, told[wrong], early, table.GENUINE, source=table.ANALYST
        )
        looked = index[self._is_looked_into[attempt]]
        after = _office_hours(rng, rows["time_us"][looked], 1, 4)
        checked = _labels(rows, number, looked, after, table.GENUINE, source=table.ANALYST)
        return [fraud, genuine_first, checked]

    def _reported(self, rng: np.random.Generator, rows: Table) -> I8:
        """When each row of an attempt is reported: all of a victim's together, different victims at different times."""
        attempt = rows["attempt"]
        day = np.array([self._attempts[k].day for k in attempt.tolist()], np.int64)
        lot = (attempt * 2_654_435_761 + rows["account"] * 40_503) % 10_007 / 10_007
        delay_us = (self._delay_us[attempt] * (0.8 + 0.4 * lot)).astype(np.int64)
        reported = self._start_us + (day + 1) * DAY_US + delay_us
        # nobody reports what is still to come
        soonest = rows["time_us"] + 2 * HOUR_US
        told_us: I8 = np.maximum(reported, soonest) + rng.integers(0, 20 * MINUTE_US, rows.n)
        return told_us

    def _on_everyday(self, rng: np.random.Generator, rows: Table, number: I8) -> list[Table]:
        everyday = (rows["attempt"] < 0) & (rows["type"] != table.INTEREST)
        everyday &= rows["type"] != table.FEE
        fate = rng.random(rows.n)
        checked = np.flatnonzero(everyday & (fate < _CHECKED))
        after = _office_hours(rng, rows["time_us"][checked], 0, 7)
        is_auth = everyday & (rows["type"] == table.CARD_AUTH)
        disputed = np.flatnonzero(is_auth & (fate > 1.0 - _DISPUTED))
        first = rows["time_us"][disputed] + rng.integers(DAY_US, 20 * DAY_US, len(disputed))
        second = _office_hours(rng, first, 2, 15)
        taken_back = rng.random(len(disputed)) < 0.2
        verdict = np.where(taken_back, table.WITHDRAWN, table.GENUINE)
        source = np.where(taken_back, table.CUSTOMER, table.ANALYST)
        return [
            _labels(rows, number, checked, after, table.GENUINE, source=table.ANALYST),
            _labels(rows, number, disputed, first, table.FRAUD, source=table.CUSTOMER),
            _labels(rows, number, disputed, second, verdict, source=source),
        ]


def _source(rng: np.random.Generator, typology: str) -> int:
    odds = _VICTIM_ODDS
    if typology in _CARDS:
        odds = _CARD_ODDS
    elif typology in _LAUNDERING:
        odds = _LAUNDERING_ODDS
    return int(rng.choice(len(odds), p=odds))


def _office_hours(rng: np.random.Generator, time_us: I8, fewest: int, most: int) -> I8:
    """Moments between nine and six, local, some days after `time_us` and never before it."""
    midnight = (time_us + 8 * HOUR_US) // DAY_US * DAY_US - 8 * HOUR_US
    day = rng.integers(fewest, most + 1, len(time_us))
    moment = midnight + day * DAY_US + rng.integers(9 * HOUR_US, 18 * HOUR_US, len(time_us))
    return np.where(moment > time_us + 5 * MINUTE_US, moment, moment + DAY_US)


def _labels(
    rows: Table, number: I8, index: I8, arrival_us: I8, label: Column | int, **more: Column | int
) -> Table:
    return Table.of(
        LABEL_COLUMNS,
        len(index),
        arrival_us=arrival_us,
        number=number[index],
        account=rows["account"][index],
        label=label,
        **more,
    )
