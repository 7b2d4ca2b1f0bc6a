"""One honest day of the whole bank: every kind of everyday life, drawn at once for all accounts."""

from typing import Final

import numpy as np

from replay.bank.habits import bills, cards, cash, firms, own_money, payments
from replay.bank.habits.sessions import sessions
from replay.bank.habits.today import MISSING, Lives, Today
from replay.bank.habits.travel import Journeys, Trip
from replay.bank.population import DAY_US, Population
from replay.bank.table import Table

UNSAID: Final = 0.05  # of the orders online and the payments by hand


def _unsaid(today: Today, rows: Table) -> None:
    """Leave out the device, the address or both: old apps do, and call centres, and shops that pass nothing on.

    Written into the columns of `rows`.
    """
    said = rows["device"] >= 0
    said &= rows["ip"] >= 0
    index = np.flatnonzero(said)
    share = today.rng(MISSING).random(len(index))
    rows["device"][index[share < 0.75 * UNSAID]] = -1
    no_address = index[(share >= 0.5 * UNSAID) & (share < UNSAID)]
    rows["ip"][no_address] = -1
    rows["ip_country"][no_address] = -1


class Habits:
    """Draws what happens anyway, day after day.

    A day depends on the seed, its number, the journeys, and the balances as they are when it is drawn; on no other
    day. Accounts that are dormant have no rows at all.
    """

    def __init__(
        self, population: Population, seed: int, days: int, trips: tuple[Trip, ...] = ()
    ) -> None:
        self._lives = Lives(population, seed)
        self._journeys = Journeys(population, seed, days, trips)

    def day(self, day: int) -> tuple[Table, Table]:
        """Transactions and activities of a local day, 0 being the first, in no order and within that day."""
        today = Today.of(self._lives, day, self._journeys.on(day))
        rows = Table.joined(
            [
                cards.at_counters(today),
                cards.online(today),
                cash.withdrawals(today),
                cash.deposits(today),
                payments.between_people(today),
                payments.topups(today),
                own_money.own_transfers(today),
                bills.wages(today),
                bills.bills(today),
                firms.firms(today),
            ]
        )
        acts = sessions(today, rows)
        _unsaid(today, rows)
        for drawn in (rows, acts):
            end_us = today.start_us + DAY_US - 1_000
            drawn.columns["time_us"] = np.clip(drawn["time_us"], today.start_us, end_us)
        return rows, acts
