"""What the customers of the generated bank do on an ordinary day: purchases, payments, cash, salaries, logins.

All rows of a day are drawn at once. Hours are UTC, and every day has the same hours but for a quieter weekend.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from replay import table
from replay.population import (
    CATEGORIES,
    DAY_US,
    N_FAVOURITES_HERE,
    N_FAVOURITES_ONLINE,
    N_PAYEES,
    SME,
    Population,
)
from replay.table import F8, I8, Table

HOUR_US: Final = 3_600_000_000
MINUTE_US: Final = 60_000_000
CASH_MACHINE: Final = 10_000_000  # terminal numbers from here on dispense cash
N_NEW_PAYEES_A_DAY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Trip:
    """A journey of the card(s) of an account, from the first day to the last, both spent travelling."""

    attempt: int
    account: int
    first_day: int
    last_day: int
    city: int
    partner_stays: bool


def weekday(day_us: int) -> int:
    """0 is Monday; 1970-01-01 was a Thursday."""
    return int(day_us // DAY_US + 3) % 7


def day_of_month(day_us: int) -> int:
    return int(np.datetime64(day_us, "us").astype("datetime64[D]").item().day)


class Habits:
    """Draws what happens anyway, day after day."""

    def __init__(self, population: Population, seed: int, trips: tuple[Trip, ...]) -> None:
        self._population, self._seed, self._trips = population, seed, trips
        self._cost = np.array([category[2] for category in CATEGORIES])

    def day(self, day: int) -> tuple[Table, Table]:
        """Transactions and activities of the day, in no order."""
        rng = np.random.default_rng([self._seed, 1, day])
        day_us = self._population.start_us + day * DAY_US
        quiet = 0.75 if weekday(day_us) == 6 else 1.1 if weekday(day_us) >= 4 else 1.0
        purchases = self._travelled(self._purchases(rng, day_us, quiet), day, rng)
        payments = self._payments(rng, day_us, day, quiet)
        tables = [purchases, payments, self._cash(rng, day_us), self._monthly(rng, day_us)]
        return Table.joined(tables), self._logins(rng, day_us, payments)

    def _moments(self, rng: np.random.Generator, day_us: int, account: I8) -> I8:
        hour = (rng.normal(self._population.hour[account], 3.3)) % 24.0
        return day_us + (hour * HOUR_US).astype(np.int64)

    def _accounts(self, rng: np.random.Generator, per_day: F8) -> I8:
        return np.repeat(np.arange(self._population.n_accounts), rng.poisson(per_day))

    def _purchases(self, rng: np.random.Generator, day_us: int, quiet: float) -> Table:
        p = self._population
        account = self._accounts(rng, p.transactions_per_day * 0.9 * quiet)
        n = len(account)
        online, usual = rng.random(n) < 0.25, rng.random(n) < 0.85
        is_cash = ~online & (rng.random(n) < 0.04)
        pick, pick_online = rng.random(n), rng.random(n)
        merchant = np.where(
            online,
            np.where(
                usual,
                p.favourites[
                    account,
                    N_FAVOURITES_HERE + (pick_online**1.5 * N_FAVOURITES_ONLINE).astype(np.int64),
                ],
                p.merchants.online[(pick_online * len(p.merchants.online)).astype(np.int64)],
            ),
            np.where(
                usual,
                p.favourites[account, (pick**1.7 * N_FAVOURITES_HERE).astype(np.int64)],
                p.merchants.anywhere_in(p.city[account], pick),
            ),
        )
        cost = self._cost[p.merchants.category[merchant]]
        cents = p.amount_typical[account] * cost * np.exp(rng.normal(0.0, 0.75, n))
        amount = np.maximum(cents.astype(np.int64), 50)
        amount = np.where(rng.random(n) < 0.3, np.maximum(amount // 100 * 100, 100), amount)
        amount = np.where(is_cash, 2_000 * rng.integers(1, 13, n), amount)
        chip = rng.random(n) < 0.35
        terminal = np.where(is_cash, CASH_MACHINE + p.city[account] * 8, merchant * 4)
        second_card = (p.n_cards[account] > 1) & (rng.random(n) < 0.4)
        device = 2 * p.customer[account] + (rng.random(n) < 0.1)
        return Table.transactions(
            n,
            time_us=self._moments(rng, day_us, account),
            type=table.CARD_AUTH,
            account=account,
            card=2 * account + second_card,
            amount=amount,
            status=np.where(rng.random(n) < 0.012, table.DECLINED, table.REQUESTED),
            channel=np.where(online, table.ONLINE, np.where(is_cash, table.ATM, table.POS)),
            entry_mode=np.where(
                online, table.ECOMMERCE, np.where(chip, table.CHIP, table.CONTACTLESS)
            ),
            merchant=np.where(is_cash, -1, merchant),
            terminal=np.where(online, -1, terminal + rng.integers(0, 3, n)),
            device=np.where(online, device, -1),
            ip=np.where(online, p.customer[account], -1),
            city=p.city[account],
        )

    def _travelled(self, purchases: Table, day: int, rng: np.random.Generator) -> Table:
        """Move what travellers buy to where they are, a little dearer; on the way they buy nothing at a counter."""
        keep = np.ones(purchases.n, np.bool_)
        for trip in self._trips:
            if not trip.first_day <= day <= trip.last_day:
                continue
            rows = (purchases["account"] == trip.account) & (
                purchases["entry_mode"] != table.ECOMMERCE
            )
            if trip.partner_stays:
                rows &= purchases["card"] == 2 * trip.account
            if day in (trip.first_day, trip.last_day):
                keep &= ~rows
                continue
            index = np.flatnonzero(rows)
            city = np.full(len(index), trip.city)
            shop = self._population.merchants.anywhere_in(city, rng.random(len(index)))
            is_cash = purchases["merchant"][index] < 0
            purchases["merchant"][index] = np.where(is_cash, -1, shop)
            purchases["terminal"][index] = np.where(is_cash, CASH_MACHINE + city * 8, shop * 4)
            purchases["city"][index] = city
            purchases["attempt"][index] = trip.attempt
            purchases["amount"][index] = purchases["amount"][index] * 3 // 2
        return purchases.take(keep)

    def _payments(self, rng: np.random.Generator, day_us: int, day: int, quiet: float) -> Table:
        p = self._population
        account = self._accounts(rng, p.transactions_per_day * 0.1 * quiet)
        n = len(account)
        is_new = rng.random(n) < 0.06
        known = p.payees[account, rng.integers(1, N_PAYEES, n)]
        stranger = 100_000_000 + (day % 800) * N_NEW_PAYEES_A_DAY + np.arange(n)
        amount = 4.5 * p.amount_typical[account] * np.exp(rng.normal(0.0, 0.8, n))
        return Table.transactions(
            n,
            time_us=np.maximum(self._moments(rng, day_us, account), day_us + 10 * MINUTE_US),
            type=table.PAYMENT,
            account=account,
            amount=np.maximum(amount.astype(np.int64), 100),
            status=table.REQUESTED,
            channel=np.where(rng.random(n) < 0.65, table.MOBILE, table.WEB),
            counterparty=np.where(is_new, stranger, known),
            device=2 * p.customer[account] + (rng.random(n) < 0.15),
            ip=p.customer[account],
            city=p.city[account],
        )

    def _cash(self, rng: np.random.Generator, day_us: int) -> Table:
        """Takings of small firms, and now and then something from a drawer."""
        p = self._population
        account = self._accounts(
            rng, np.where(p.is_dormant == 1, 0.0, np.where(p.segment == SME, 0.25, 0.003))
        )
        n = len(account)
        return Table.transactions(
            n,
            time_us=day_us + (rng.uniform(8.0, 18.0, n) * HOUR_US).astype(np.int64),
            type=table.CASH_DEPOSIT,
            account=account,
            amount=500 * rng.integers(20, 1_200, n),
            is_in=1,
            status=table.BOOKED,
            channel=np.where(rng.random(n) < 0.6, table.BRANCH_CASH, table.ATM_DEPOSIT),
            city=p.city[account],
        )

    def _monthly(self, rng: np.random.Generator, day_us: int) -> Table:
        """Salaries that come in, rents that go out, and invoices paid to small firms."""
        p, date = self._population, day_of_month(day_us)
        alive = p.is_dormant == 0
        paid = np.flatnonzero(alive & (p.payday == date))
        renting = np.flatnonzero(alive & (np.arange(p.n_accounts) % 3 + 1 == date))
        invoiced = self._accounts(rng, np.where(alive & (p.segment == SME), 0.6, 0.0))
        n = len(paid) + len(renting) + len(invoiced)
        is_rent = np.repeat([False, True, False], [len(paid), len(renting), len(invoiced)])
        account = np.concatenate([paid, renting, invoiced])
        invoice = (p.income[invoiced] * rng.uniform(0.01, 0.08, len(invoiced))).astype(np.int64)
        payer = np.concatenate(
            [
                10_000_000 + p.employer[paid],
                p.payees[renting, 0],
                20_000_000 + rng.integers(0, 50 * p.n_accounts, len(invoiced)),
            ]
        )
        return Table.transactions(
            n,
            time_us=day_us + (rng.uniform(4.0, 9.0, n) * HOUR_US).astype(np.int64),
            type=table.PAYMENT,
            account=account,
            amount=np.concatenate([p.income[paid], p.rent[renting], np.maximum(invoice, 100)]),
            is_in=np.where(is_rent, 0, 1),
            status=np.where(is_rent, table.REQUESTED, table.BOOKED),
            channel=table.FILE,
            counterparty=payer,
            city=p.city[account],
        )

    def _logins(self, rng: np.random.Generator, day_us: int, payments: Table) -> Table:
        """One before each payment, some for nothing, the payee before a first payment, rare honest changes."""
        p = self._population
        is_new = np.flatnonzero(payments["counterparty"] >= 100_000_000)
        before = payments["time_us"] - rng.integers(MINUTE_US, 5 * MINUTE_US, payments.n)
        idle = self._accounts(rng, np.where(p.is_dormant == 1, 0.0, 0.25))
        reset = self._accounts(rng, np.where(p.is_dormant == 1, 0.0, 0.002))
        account = np.concatenate([payments["account"], payments["account"][is_new], idle, reset])
        n = len(account)
        changes = np.where(rng.random(len(reset)) < 0.8, table.PASSWORD_RESET, table.PHONE_CHANGE)
        return Table.activities(
            n,
            time_us=np.concatenate(
                [
                    before,
                    (before[is_new] + payments["time_us"][is_new]) // 2,
                    self._moments(rng, day_us, idle),
                    self._moments(rng, day_us, reset),
                ]
            ),
            type=np.concatenate(
                [
                    np.full(payments.n, table.LOGIN),
                    np.full(len(is_new), table.PAYEE_ADDED),
                    np.full(len(idle), table.LOGIN),
                    changes,
                ]
            ),
            account=account,
            device=np.concatenate(
                [
                    payments["device"],
                    payments["device"][is_new],
                    2 * p.customer[idle],
                    2 * p.customer[reset],
                ]
            ),
            ip=p.customer[account],
            city=p.city[account],
        )
