"""One honest day of the whole bank: every kind of everyday life, drawn at once for all accounts."""

import numpy as np

from replay.bank.habits import bills, cards, cash, firms, own_money, payments
from replay.bank.habits.sessions import sessions
from replay.bank.habits.today import Lives, Today
from replay.bank.habits.travel import Journeys, Trip
from replay.bank.population import DAY_US, Population
from replay.bank.table import Table


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
        for drawn in (rows, acts):
            end_us = today.start_us + DAY_US - 1_000
            drawn.columns["time_us"] = np.clip(drawn["time_us"], today.start_us, end_us)
        return rows, acts
