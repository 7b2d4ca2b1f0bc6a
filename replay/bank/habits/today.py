"""What all kinds of everyday life share on one day: the people as they are, where they are, and what day it is."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from replay.bank import places, table
from replay.bank.calendar import Date, date_of, look_up
from replay.bank.habits.travel import Whereabouts
from replay.bank.merchants import HOURS
from replay.bank.population import (
    DAY_US,
    ELDERLY,
    PUBLIC,
    SAVINGS,
    SMALL_BUSINESS,
    SPARE,
    TYPICAL_FEN,
    Flags,
    Population,
)
from replay.bank.table import F8, I8, OUTSIDE, Column, Table

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
# Random streams, a hundred for each kind of life, so that a change to one kind leaves the others as they were.
(
    COUNTERS,
    SCREENS_ONLINE,
    CASH,
    PAYMENTS,
    OWN_MONEY,
    WAGES,
    BILLS,
    FIRMS,
    SESSIONS,
    CHANGES,
    MISSING,
) = range(1_000, 2_100, 100)
# Ranges of honest accounts outside the bank; see also population.py for landlords, friends and employers.
STRANGERS: Final = OUTSIDE + 300_000_000
N_STRANGERS: Final = 200_000_000
NEW_PAYEES: Final = OUTSIDE + 600_000_000
N_NEW_PAYEES: Final = 400_000_000
UTILITIES: Final = OUTSIDE + 1_650_000_000  # four a city
WALLETS: Final = OUTSIDE + 1_660_000_000
TAX_OFFICE: Final = OUTSIDE + 1_661_000_000  # one a city
OWN_ELSEWHERE: Final = OUTSIDE + 1_700_000_000  # the account that customer c has at another bank
_N_QUANTILES: Final = 4_096
# What people do with devices that no rule should take for theft.
BY_COMPUTER: Final = 0.12  # of the sessions
_FORGETFUL: Final = (
    0.35  # of the customers: their browser deletes its cookies every one to four months
)
_LOAN_DAYS: Final = (
    60  # in that many days a third of the customers use a borrowed device for one to ten days
)
_BORROWS: Final = 0.35
_BORROWED: Final = 0.6  # of the sessions of these days
_IN_PUBLIC: Final = 0.25  # of these devices
_OF_PARTNER: Final = 0.3


def _hour_table() -> F8:
    """(profiles, quantiles) hours of the day, so that a random quantile gives a moment of that profile."""
    share = (np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES
    edges = np.arange(25.0)
    rows = []
    for profile in HOURS:
        total = np.concatenate([[0.0], np.cumsum(profile)])
        rows.append(np.interp(share, total / total[-1], edges))
    return np.array(rows)


HOUR_TABLE: Final = _hour_table()


class Lives:
    """What does not change during a recording and is cheaper to keep than to work out again every day."""

    def __init__(self, population: Population, seed: int) -> None:
        p = self.population = population
        self.seed = seed
        segment = p.account_segment
        self.is_alive: Flags = p.is_dormant == 0
        self.is_firm: Flags = segment >= SMALL_BUSINESS
        self.is_private: Flags = self.is_alive & ~self.is_firm
        self.is_main: Flags = np.arange(p.n_accounts) < p.n_customers
        self.is_current: Flags = self.is_private & (p.product != SAVINGS)
        self.is_elderly: Flags = segment == ELDERLY
        level = p.amount_typical / TYPICAL_FEN
        # prices that are the same for everybody, that rise a little with wealth, and that rise in full
        self.levels: F8 = np.stack([np.ones(p.n_accounts), level**0.7, level], axis=1)
        self.shift_us: I8 = ((p.hour[p.customer] - 14.5) * 0.5 * HOUR_US).astype(np.int64)
        self.income: I8 = p.income[p.customer]
        rng = np.random.default_rng([seed, 102])
        # phones live for two and a half years
        self.new_phone_on: I8 = rng.geometric(1.0 / 900.0, p.n_customers)
        own = np.random.default_rng([seed, 103])
        # days after which the browser has forgotten who it is; never, for most
        self.forgets_every: I8 = np.where(
            own.random(p.n_customers) < _FORGETFUL,
            own.integers(30, 120, p.n_customers),
            np.int64(1) << 40,
        )
        self.shifted: I8 = own.integers(0, _LOAN_DAYS, p.n_customers)
        # the elderly bank at the counter more often than others do
        self.is_mobile: Flags = rng.random(p.n_customers) < np.where(
            p.segment == ELDERLY, 0.55, 0.97
        )

    def rng(self, stream: int, day: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream, day])


@dataclass(frozen=True, slots=True)
class Today:
    """One local day; `start_us` is its midnight."""

    lives: Lives
    day: int
    start_us: int
    date: Date
    where: Whereabouts
    eagerness: F8  # (n_accounts) how much more or less than on average is spent today: after payday, with a full purse
    borrowed: I8  # (n_customers) device that somebody else lent them for some days, -1: none
    is_borrowed_first: Flags  # (n_customers) and today is the first of these days

    @classmethod
    def of(cls, lives: Lives, day: int, where: Whereabouts) -> "Today":
        p = lives.population
        start_us = p.start_us + day * DAY_US
        date = look_up(date_of(start_us))
        since = (date.date.day - np.minimum(p.payday, 30)) % 30
        eager = (0.94 + 0.50 * np.exp(-np.arange(30) / 2.5))[since]
        # who has little left goes out less
        thrift = np.clip(0.55 + 0.9 * p.balance / lives.income, 0.55, 1.1)
        borrowed, is_first = _borrowed(lives, day)
        eagerness = eager[p.customer] * thrift
        return cls(lives, day, start_us, date, where, eagerness, borrowed, is_first)

    @property
    def population(self) -> Population:
        return self.lives.population

    def rng(self, stream: int) -> np.random.Generator:
        return self.lives.rng(stream, self.day)

    def accounts(self, rng: np.random.Generator, per_day: F8) -> I8:
        """Accounts (rows of the population), each as often as chance says for its rate (n_accounts,)."""
        return np.repeat(np.arange(len(per_day)), rng.poisson(per_day))

    def moments(self, rng: np.random.Generator, account: I8, profile: Column | int) -> I8:
        """Times of today, one for each `account`, as the hours `profile` and the owner's own clock have them."""
        n = len(account)
        quantile = rng.integers(0, _N_QUANTILES, n)
        since_us = (HOUR_TABLE[profile, quantile] * HOUR_US).astype(np.int64)
        since_us += rng.integers(0, 30_000, n) * 1_000 + self.lives.shift_us[account]
        moment: I8 = self.start_us + since_us % DAY_US
        return moment

    def between(self, rng: np.random.Generator, n: int, earliest: float, latest: float) -> I8:
        """`n` times of today between two hours, even."""
        return self.start_us + (rng.uniform(earliest, latest, n) * HOUR_US).astype(np.int64)

    def owner(self, rng: np.random.Generator, account: I8) -> I8:
        """Who of the owners acts: of a joint account the second one does two times in five."""
        p = self.population
        joint = p.joint[account]
        return np.where((joint >= 0) & (rng.random(len(account)) < 0.4), joint, p.customer[account])

    def phone(self, customer: I8) -> I8:
        return 3 * customer + 2 * (self.lives.new_phone_on[customer] < self.day)

    def computer(self, customer: I8) -> I8:
        """The computer, or what the bank takes it for since its browser deleted its cookies."""
        times = (self.day + self.lives.shifted[customer]) // self.lives.forgets_every[customer]
        forgot: I8 = SPARE + 16 * customer + times % 8
        return np.where(times > 0, forgot, 3 * customer + 1)

    def device(self, rng: np.random.Generator, customer: I8, by_computer: Flags) -> I8:
        """What each customer acts with: the own telephone or computer, or something borrowed."""
        own = np.where(by_computer, self.computer(customer), self.phone(customer))
        lent = self.borrowed[customer]
        return np.where((lent >= 0) & (rng.random(len(customer)) < _BORROWED), lent, own)

    def address(self, rng: np.random.Generator, account: I8, owner: I8, at_home: float) -> I8:
        """Home address of the owner in a share of cases, else one of the mobile network where they are."""
        share = rng.random(len(account))
        city = self.where.city[account]
        mobile = places.mobile_address(
            city, (share - at_home) / (1.0 - at_home) % 1.0, self.population.n_customers
        )
        is_home = (share < at_home) & (city == self.population.account_city[account])
        return np.where(is_home, owner, mobile)

    def country(self, account: I8) -> I8:
        """Index into places.COUNTRIES of where the owner is."""
        return places.CITY_COUNTRY[self.where.city[account]]

    def strangers(self, rng: np.random.Generator, n: int) -> I8:
        return STRANGERS + rng.integers(0, N_STRANGERS, n)

    def new_payees(self, n: int) -> I8:
        """Accounts outside the bank that nobody has paid before."""
        first = self.day * 2 * self.population.n_accounts
        return NEW_PAYEES + (first + np.arange(n)) % N_NEW_PAYEES


def _borrowed(lives: Lives, day: int) -> tuple[I8, Flags]:
    """Which device each customer has on loan on a day, and who has it from that day on.

    The computer of the partner, one that many people use at work or in a library, a telephone while the own one is
    repaired: drawn once for every `_LOAN_DAYS` of each customer, so that no day has to remember another.
    """
    p = lives.population
    n = p.n_customers
    turn, since = np.divmod(day + lives.shifted, _LOAN_DAYS)
    first, last, lent = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.bool_)
    kind, which = np.zeros(n), np.zeros(n)
    for each in np.unique(turn).tolist():
        rng = np.random.default_rng([lives.seed, 104, each])
        share = rng.random((5, n))
        mine = turn == each
        lent[mine] = share[0, mine] < _BORROWS
        first[mine] = (share[1, mine] * (_LOAN_DAYS - 10)).astype(np.int64)
        last[mine] = first[mine] + (share[2, mine] * 10).astype(np.int64)
        kind[mine], which[mine] = share[3, mine], share[4, mine]
    has = lent & (since >= first) & (since <= last)
    device = SPARE + 16 * np.arange(n) + 8 + turn % 8
    public = PUBLIC + 4_096 * p.city + (which * min(1 + n // 1_500, 4_096)).astype(np.int64)
    device = np.where(kind < _IN_PUBLIC, public, device)
    device = np.where((kind > 1.0 - _OF_PARTNER) & (p.partner >= 0), 3 * p.partner + 1, device)
    return np.where(has, device, -1), has & (since == first)


def second_legs(rng: np.random.Generator, rows: Table) -> Table:
    """What the bank's own accounts receive from `rows` of other own accounts, seconds later."""
    legs = rows.take(
        np.flatnonzero(
            (rows["counterparty"] >= 0)
            & (rows["counterparty"] < OUTSIDE)
            & (rows["is_in"] == 0)
            & (rows["status"] != table.DECLINED)
        )
    )
    return Table.transactions(
        legs.n,
        time_us=legs["time_us"] + rng.integers(1_000, 9_000, legs.n) * 1_000,
        type=legs["type"],
        account=legs["counterparty"],
        counterparty=legs["account"],
        amount=legs["amount"],
        is_in=1,
        status=table.BOOKED,
        channel=table.FILE,
        purpose=legs["purpose"],
    )


@lru_cache(maxsize=1)
def nice_amounts() -> I8:
    """Gifts of money are of lucky numbers, in fen: six and eight, and what sounds like "I love you"."""
    return np.array([66, 88, 99, 166, 188, 200, 520, 600, 666, 800, 888, 1_314], np.int64) * 100
