"""Journeys: the ones the plan asks for (look-alikes), and the ordinary ones that nobody has to explain.

On the first and the last day a traveller is on the way and pays nothing at a counter, so that every journey leaves time
for the flight. In between the travelling card is used where the traveller is.
"""

from dataclasses import dataclass

import numpy as np

from replay.bank.calendar import date_of, look_up
from replay.bank.places import (
    BANGKOK,
    HONG_KONG,
    LONDON,
    N_DOMESTIC_CITIES,
    NEW_YORK,
    PARIS,
    SINGAPORE,
    TOKYO,
)
from replay.bank.population import DAY_US, Flags, Population
from replay.bank.table import I8

_STREAM = 101
_FAR = (HONG_KONG, BANGKOK, TOKYO, SINGAPORE, PARIS, LONDON, NEW_YORK)


@dataclass(frozen=True, slots=True)
class Trip:
    """A journey of the card(s) of an account, from the first day to the last, both spent travelling."""

    attempt: int
    account: int
    first_day: int
    last_day: int
    city: int
    partner_stays: bool  # and uses the second card at home


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the owner of each account is on one day, (n,) each."""

    city: I8
    attempt: I8  # of the look-alike that the journey belongs to, -1
    is_on_the_way: Flags
    partner_stays: Flags


class Journeys:
    """All journeys of a recording. Whoever travels takes the cards of all their accounts along."""

    def __init__(
        self, population: Population, seed: int, days: int, trips: tuple[Trip, ...]
    ) -> None:
        self._population = population
        customer, first, last, city = _ordinary(population, seed, days)
        asked = np.array([population.customer[trip.account] for trip in trips], np.int64)
        others = ~np.isin(customer, asked)
        self._customer = np.append(customer[others], asked)
        self._first = np.append(first[others], [t.first_day for t in trips]).astype(np.int64)
        self._last = np.append(last[others], [t.last_day for t in trips]).astype(np.int64)
        self._city = np.append(city[others], [t.city for t in trips]).astype(np.int64)
        n = int(others.sum())
        self._attempt = np.append(np.full(n, -1), [t.attempt for t in trips]).astype(np.int64)
        self._stays = np.append(np.zeros(n), [t.partner_stays for t in trips]).astype(np.bool_)

    def on(self, day: int) -> Whereabouts:
        """Where everybody is on a day; of two journeys of one customer at a time the later in the list counts."""
        p, n = self._population, self._population.n_customers
        now = np.flatnonzero((self._first <= day) & (day <= self._last))
        customer = self._customer[now]
        city, attempt = p.city.copy(), np.full(n, -1)
        on_the_way, stays = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        city[customer], attempt[customer] = self._city[now], self._attempt[now]
        stays[customer] = self._stays[now]
        moving = customer[(self._first[now] == day) | (self._last[now] == day)]
        on_the_way[moving], city[moving], attempt[moving] = True, p.city[moving], -1
        of = p.customer
        return Whereabouts(city[of], attempt[of], on_the_way[of], stays[of])


def _ordinary(population: Population, seed: int, days: int) -> tuple[I8, I8, I8, I8]:
    """Customer, first day, last day, city of journeys: one in some 80 days each, far more on long holidays."""
    rng = np.random.default_rng([seed, _STREAM])
    segment = population.segment
    often = np.array([1.0, 3.0, 0.8, 0.4, 0.6, 0.0])[segment] / 80.0
    often = np.where(population.is_dormant[: population.n_customers] == 1, 0.0, often)
    parts: list[I8] = []
    for day in range(-6, days):
        date = look_up(date_of(population.start_us + day * DAY_US))
        pull = 3.0 if date.is_long_holiday else 1.5 if date.weekday == 4 else 0.8
        left = np.flatnonzero(rng.random(population.n_customers) < often * pull)
        stay = rng.integers(2, 5, len(left)) + 2 * int(date.is_long_holiday)
        fate = rng.random(len(left))
        abroad = np.array([0.08, 0.35, 0.05, 0.04, 0.10, 0.0])[segment[left]]
        far = rng.choice(
            _FAR,
            len(left),
            p=[0.42, 0.18, 0.17, 0.11, 0.05, 0.04, 0.03],
        )
        # domestic flights and trains go to the other home cities and to the two that live on visitors
        near = rng.integers(0, N_DOMESTIC_CITIES, len(left))
        city = np.where(fate < abroad, far, near)
        stay = np.where(fate < abroad, stay + 2, stay)
        parts.append(np.stack([left, np.full(len(left), day), day + stay, city]))
    customer, first, last, city = np.concatenate(parts, axis=1)
    keep = city != population.city[customer]
    return customer[keep], first[keep], last[keep], city[keep]
