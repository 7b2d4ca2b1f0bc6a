"""What follows from transactions: clearing, reversals, bookings, refunds, challenges; labels stand in verdicts.py.

Core banking in a recording does not react to what the engine decides: what was requested is cleared all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from replay.bank import places, table
from replay.bank.merchants import (
    CATEGORIES,
    CLOTHING,
    DEPARTMENT_STORES,
    ELECTRONICS,
    FUEL,
    HOTELS,
    JEWELLERS,
    RESTAURANTS,
    TRAVEL_AGENCIES,
)
from replay.bank.population import DAY_US, FRESH, Flags, Population
from replay.bank.table import F8, I8, UPDATE_COLUMNS, Column, Table
from replay.bank.verdicts import HOUR_US, MINUTE_US, Attempt, Verdicts, typology_names

__all__ = ["Aftermath", "Followers", "typology_names"]

SECOND_US: Final = 1_000_000
_STREAM: Final = 2_000
_REVERSED: Final = 0.004  # shares of the card authorisations
_CANCELLED: Final = 0.001
_UNCLEARED: Final = 0.012  # never heard of again
_NIGHTS: Final = (0.76, 0.94)  # share cleared in the first night, and in the first two of three
_N_BATCHES: Final = 6  # files of acquirers, one after the other from one o'clock on
_BATCH_US: Final = 29 * MINUTE_US
_BOOKED: Final = 0.55  # shares of the requested payments that core banking speaks of again
_REFUSED: Final = 0.003
_RETURNED: Final[F8] = np.full(len(CATEGORIES), 0.007)  # share of purchases given back
_RETURNED[[CLOTHING, DEPARTMENT_STORES, ELECTRONICS]] = (0.055, 0.035, 0.03)
_RETURNED[[TRAVEL_AGENCIES, HOTELS, JEWELLERS]] = 0.02
_OTHER_AMOUNT: Final[F8] = np.full(len(CATEGORIES), 0.075)  # share cleared with another amount
_OTHER_AMOUNT[[FUEL, HOTELS]] = (0.5, 0.35)


@dataclass(frozen=True, slots=True)
class Followers:
    """What follows from the transactions of a day, on that day or later; all of it inside the recording."""

    updates: Table
    labels: Table
    activities: Table
    transactions: Table


class Aftermath:
    """Decides what follows, day by day; a day depends on the seed, its number and its rows only."""

    def __init__(
        self, population: Population, seed: int, days: int, attempts: Sequence[Attempt]
    ) -> None:
        self._population, self._seed = population, seed
        self._end_us = population.start_us + days * DAY_US
        self._verdicts = Verdicts(population, seed, days, attempts)

    def of(self, day: int, rows: Table, number: I8) -> Followers:
        """What follows from `rows`, the transactions of local day `day`, whose numbers are `number` (n,)."""
        rng = np.random.default_rng([self._seed, _STREAM, day])
        auth = np.flatnonzero(
            (rows["type"] == table.CARD_AUTH) & (rows["status"] <= table.APPROVED)
        )
        undone, cancelled, cleared = _fates(rng, len(auth))
        updates = Table.joined(
            [
                _taken_back(rng, rows, number, auth[undone], cancelled[undone]),
                self._clearing(rng, day, rows, number, auth[cleared]),
                _bookings(rng, rows, number),
            ]
        )
        refunds = self._refunds(rng, rows, number, auth[cleared])
        challenges = self._challenges(rng, rows)
        return Followers(
            updates=updates.take(np.flatnonzero(updates["arrival_us"] < self._end_us)),
            labels=self._verdicts.of(day, rows, number),
            activities=challenges.take(np.flatnonzero(challenges["time_us"] < self._end_us)),
            transactions=refunds.take(np.flatnonzero(refunds["time_us"] < self._end_us)),
        )

    def _clearing(
        self, rng: np.random.Generator, day: int, rows: Table, number: I8, index: I8
    ) -> Table:
        """Bookings of card purchases in batches between one and four at night, one to three nights later."""
        n = len(index)
        merchant = rows["merchant"][index]
        share = rng.random(n)
        night = 1 + (share > _NIGHTS[0]) + (share > _NIGHTS[1])
        midnight = self._population.start_us + (day + night) * DAY_US
        batch = merchant % _N_BATCHES
        within = rng.integers(0, 8 * MINUTE_US // 1_000, n) * 1_000
        return Table.of(
            UPDATE_COLUMNS,
            n,
            arrival_us=midnight + HOUR_US + batch * _BATCH_US + within,
            number=number[index],
            account=rows["account"][index],
            status=table.UPDATED_BOOKED,
            amount=self._net(rng, rows, index),
            currency=rows["currency"][index],
        )

    def _net(self, rng: np.random.Generator, rows: Table, index: I8) -> I8:
        """What is cleared: mostly what was authorised; pumps and hotels learn the sum later, guests abroad tip."""
        shops, merchant = self._population.merchants, rows["merchant"][index]
        known = merchant >= 0
        category = shops.category[merchant]
        abroad = shops.country[merchant] != places.CN
        tips = known & abroad & (category == RESTAURANTS) & (shops.city[merchant] >= 0)
        fate, factor = rng.random((2, len(index)))
        other = known & (fate < np.where(tips, 0.6, _OTHER_AMOUNT[category]))
        changed = np.where(
            tips,
            1.08 + 0.12 * factor,
            np.where(
                category == FUEL,
                0.55 + 0.55 * factor,  # a flat sum was authorised
                np.where(category == HOTELS, 0.75 + 0.6 * factor, 0.5 + 0.48 * factor),
            ),
        )
        amount = rows["amount"][index]
        return np.where(other, np.maximum(np.rint(amount * changed), 1.0), amount).astype(np.int64)

    def _refunds(self, rng: np.random.Generator, rows: Table, number: I8, index: I8) -> Table:
        """Purchases of everyday life given back days later, in full or in part, as transactions of their own."""
        index = index[(rows["attempt"][index] < 0) & (rows["merchant"][index] >= 0)]
        merchant = rows["merchant"][index]
        is_online = rows["channel"][index] == table.ONLINE
        chance = _RETURNED[self._population.merchants.category[merchant]]
        chance = np.where(is_online, 1.4 * chance, chance)
        returned = np.flatnonzero(rng.random(len(index)) < chance)
        bought, n = rows.take(index[returned]), len(returned)
        part = np.where(rng.random(n) < 0.75, 1.0, rng.uniform(0.2, 0.9, n))
        amount = np.maximum((bought["amount"] * part).astype(np.int64), 1)
        worth = np.maximum((bought["amount_cny"] * part).astype(np.int64), 1)
        midnight = (bought["time_us"] - self._population.start_us) // DAY_US * DAY_US
        later = rng.integers(1, 13, n) * DAY_US + rng.integers(9 * HOUR_US, 21 * HOUR_US, n)
        return Table.transactions(
            n,
            time_us=self._population.start_us + midnight + later,
            type=table.REFUND,
            account=bought["account"],
            card=bought["card"],
            amount=amount,
            currency=bought["currency"],
            amount_cny=worth,
            is_in=1,
            status=table.BOOKED,
            channel=bought["channel"],
            merchant=bought["merchant"],
            terminal=bought["terminal"],
            city=bought["city"],
            original=number[index[returned]],
        )

    def _challenges(self, rng: np.random.Generator, rows: Table) -> Table:
        """The bank asks back after some purchases on screens and large payments; owners mostly pass."""
        by_hand = (rows["device"] >= 0) & (rows["is_in"] == 0) & (rows["status"] <= table.APPROVED)
        bought = by_hand & (rows["entry_mode"] == table.ECOMMERCE)
        paid = by_hand & (rows["type"] == table.PAYMENT)
        large = rows["amount_cny"] > 50_000
        chance: F8 = np.where(bought, np.where(large, 0.10, 0.015), 0.0)
        chance += np.where(paid, np.where(rows["amount_cny"] > 500_000, 0.08, 0.004), 0.0)
        asked = rows.take(np.flatnonzero(rng.random(rows.n) < chance))
        stranger = self._verdicts.fraud[asked["attempt"]] & (asked["device"] >= FRESH)
        passed: Flags = rng.random(asked.n) < np.where(stranger, 0.35, 0.94)
        sent_us = asked["time_us"] + rng.integers(500, 5_000, asked.n) * 1_000
        done_us = sent_us + rng.integers(8, 90, asked.n) * SECOND_US
        same = {
            name: asked[name]
            for name in ("account", "device", "ip", "ip_country", "city", "attempt")
        }
        answer = np.where(passed, table.CHALLENGE_PASSED, table.CHALLENGE_FAILED)
        return Table.joined(
            [
                Table.activities(asked.n, time_us=sent_us, type=table.CHALLENGE_SENT, **same),
                Table.activities(asked.n, time_us=done_us, type=answer, **same),
            ]
        )


def _fates(rng: np.random.Generator, n: int) -> tuple[Flags, Flags, Flags]:
    """Which of `n` authorisations are undone, which of these as cancelled, and which are cleared."""
    fate = rng.random(n)
    undone = fate < _REVERSED + _CANCELLED
    return undone, fate < _CANCELLED, ~undone & (fate < 1.0 - _UNCLEARED)


def _taken_back(
    rng: np.random.Generator, rows: Table, number: I8, index: I8, cancelled: Flags
) -> Table:
    """Minutes to a day later: shops reverse, customers cancel."""
    pause = rng.integers(2, 20 * 60, len(index)) * MINUTE_US
    arrival_us = rows["time_us"][index] + np.where(cancelled, pause // 20, pause)
    status = np.where(cancelled, table.UPDATED_CANCELLED, table.UPDATED_REVERSED)
    return _updates(rows, number, index, arrival_us, status)


def _bookings(rng: np.random.Generator, rows: Table, number: I8) -> Table:
    """Some payments are said to be booked minutes after they were requested; a few are refused."""
    kinds = (table.PAYMENT, table.TRANSFER, table.TOPUP, table.STANDING_ORDER, table.DIRECT_DEBIT)
    sent = (rows["is_in"] == 0) & (rows["status"] == table.REQUESTED)
    fate = rng.random(rows.n)
    index = np.flatnonzero(sent & (fate < _BOOKED + _REFUSED) & np.isin(rows["type"], kinds))
    refused = fate[index] < _REFUSED
    arrival_us = rows["time_us"][index] + rng.integers(20, 15 * 60, len(index)) * SECOND_US
    status = np.where(refused, table.UPDATED_REFUSED, table.UPDATED_BOOKED)
    return _updates(rows, number, index, arrival_us, status)


def _updates(rows: Table, number: I8, index: I8, arrival_us: I8, status: Column) -> Table:
    return Table.of(
        UPDATE_COLUMNS,
        len(index),
        arrival_us=arrival_us,
        number=number[index],
        account=rows["account"][index],
        status=status,
        currency=rows["currency"][index],
    )
