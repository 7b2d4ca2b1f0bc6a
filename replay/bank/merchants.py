"""Shops of the generated bank: what they sell, where, at what price level, and how many people go there.

Popularity follows Zipf's law with exponent 1 inside a city and among online shops: the shop of rank r is visited about
1/r as often as the first. Category codes are real merchant category codes; shares and prices are judgement.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from replay.bank import table
from replay.bank.places import (
    CITIES,
    CITY_COUNTRY,
    CITY_PRICE,
    CN,
    COUNTRY_CURRENCY,
    DE,
    FR,
    GB,
    HK,
    HOME_SHARE,
    JP,
    N_HOME_CITIES,
    SG,
    US,
)
from replay.bank.table import F8, I8

TERMINALS_MAX: Final = 4  # terminals of merchant m: numbers 4 m to 4 m + n_terminals[m] - 1
CASH_MACHINE: Final = 50_000_000  # terminal numbers from here on are cash machines, 64 a city
N_CASH_MACHINES: Final = 64


class Category(NamedTuple):
    """What a kind of shop is like."""

    mcc: str
    name: str
    share: float  # of the shops with a counter
    share_online: float
    price: float  # CNY: median purchase
    sigma: float  # of the logarithm of amounts
    day: int  # index into HOURS: when people go there


# Relative visits an hour of the local day, 0 to 23. The first is for whatever has no hours of its own.
HOURS: Final = np.array(
    [
        [2, 1, 1, 1, 1, 2, 5, 8, 9, 9, 10, 12, 13, 10, 9, 9, 9, 11, 13, 14, 14, 12, 8, 4],
        [1, 0, 0, 0, 0, 1, 5, 9, 7, 4, 6, 18, 24, 9, 4, 3, 5, 14, 26, 22, 13, 8, 4, 2],  # meals
        [0, 0, 0, 0, 0, 1, 6, 10, 11, 10, 9, 8, 6, 5, 6, 7, 10, 14, 15, 12, 8, 4, 2, 1],  # errands
        [0, 0, 0, 0, 1, 4, 14, 24, 20, 9, 5, 5, 6, 6, 5, 6, 9, 22, 21, 12, 7, 6, 4, 2],  # to work
        [0, 0, 0, 0, 0, 0, 0, 1, 3, 7, 10, 10, 9, 10, 12, 13, 13, 12, 12, 14, 13, 7, 1, 0],  # malls
        [8, 4, 2, 1, 1, 1, 2, 4, 6, 8, 9, 10, 13, 11, 9, 9, 9, 9, 10, 14, 19, 22, 20, 14],  # online
        [1, 0, 0, 0, 0, 1, 3, 10, 18, 19, 17, 9, 4, 8, 15, 14, 10, 5, 3, 2, 2, 1, 1, 1],  # clinics
        [1, 0, 0, 0, 0, 1, 4, 10, 9, 8, 9, 9, 9, 8, 8, 8, 9, 12, 13, 10, 7, 4, 3, 2],  # on the road
    ],
    np.float64,
)
ALL_DAY, MEALS, ERRANDS, COMMUTE, MALLS, SCREENS, CLINICS, ROADS = range(8)

CATEGORIES: Final = (
    Category("5411", "groceries", 0.200, 0.13, 54.0, 0.65, ERRANDS),
    Category("5499", "convenience", 0.180, 0.00, 17.0, 0.60, ALL_DAY),
    Category("5814", "fast food", 0.170, 0.17, 25.0, 0.45, MEALS),
    Category("5812", "restaurants", 0.115, 0.00, 100.0, 0.65, MEALS),
    Category("4111", "local transport", 0.090, 0.00, 4.0, 0.40, COMMUTE),
    Category("4121", "taxis", 0.030, 0.10, 24.0, 0.55, COMMUTE),
    Category("5541", "fuel", 0.036, 0.00, 260.0, 0.35, ROADS),
    Category("5912", "pharmacies", 0.048, 0.03, 50.0, 0.70, ERRANDS),
    Category("5651", "clothing", 0.036, 0.12, 240.0, 0.60, MALLS),
    Category("5732", "electronics", 0.008, 0.022, 1_600.0, 0.80, MALLS),
    Category("5311", "department stores", 0.025, 0.20, 105.0, 0.85, MALLS),
    Category("5815", "digital media", 0.000, 0.10, 22.0, 0.50, SCREENS),
    Category("5816", "games", 0.000, 0.06, 28.0, 0.80, SCREENS),
    Category("4112", "railways", 0.000, 0.03, 190.0, 0.70, SCREENS),
    Category("4722", "travel agencies", 0.001, 0.010, 850.0, 0.75, SCREENS),
    Category("7011", "hotels", 0.012, 0.010, 450.0, 0.55, ALL_DAY),
    Category("8062", "hospitals", 0.012, 0.00, 260.0, 0.90, CLINICS),
    Category("8299", "courses", 0.002, 0.008, 600.0, 0.85, SCREENS),
    Category("7832", "cinemas", 0.018, 0.00, 72.0, 0.40, MALLS),
    Category("7230", "hairdressers", 0.015, 0.00, 75.0, 0.60, MALLS),
    Category("5944", "jewellers", 0.002, 0.00, 2_200.0, 0.80, MALLS),
)
(
    GROCERIES,
    CONVENIENCE,
    FAST_FOOD,
    RESTAURANTS,
    LOCAL_TRANSPORT,
    TAXIS,
    FUEL,
    PHARMACIES,
    CLOTHING,
    ELECTRONICS,
    DEPARTMENT_STORES,
    DIGITAL_MEDIA,
    GAMES,
    RAILWAYS,
    TRAVEL_AGENCIES,
    HOTELS,
    HOSPITALS,
    COURSES,
    CINEMAS,
    HAIRDRESSERS,
    JEWELLERS,
) = range(21)
CATEGORY_PRICE: Final[F8] = np.array([category.price for category in CATEGORIES])
CATEGORY_SIGMA: Final[F8] = np.array([category.sigma for category in CATEGORIES])
CATEGORY_DAY: Final[I8] = np.array([category.day for category in CATEGORIES], np.int64)
_FOREIGN_SHOPS: Final = (
    (US, 0.35),
    (HK, 0.20),
    (JP, 0.15),
    (SG, 0.08),
    (GB, 0.08),
    (DE, 0.08),
    (FR, 0.06),
)


@dataclass(frozen=True, slots=True)
class Merchants:
    """One entry a shop; in `by_city[start[c]:start[c + 1]]`, `online` and `foreign_online` the busiest come first."""

    city: I8  # (m,) -1: online only
    category: I8  # (m,) index into CATEGORIES
    country: I8  # (m,) index into COUNTRIES, where it is registered
    currency: I8  # (m,) index into table.CURRENCIES, what it bills in
    price: F8  # (m,) CNY: median purchase, with the price level of the place and of the shop
    n_terminals: I8  # (m,) 2 to 4; 0 online
    by_city: I8
    start: I8  # (cities + 1,)
    online: I8  # registered in China
    foreign_online: I8

    def anywhere_in(self, city: I8, share: F8) -> I8:
        """One shop for each `city` (n,), picked by `share` (n,) in [0, 1), the busy ones most often."""
        first = self.start[city]
        shops: I8 = self.by_city[first + zipf_rank(share, self.start[city + 1] - first)]
        return shops

    def of_category(self, category: int, *, city: int | None = None) -> I8:
        """The shops of a category: those with a counter in `city`, or the Chinese online shops; may be empty."""
        shops = (
            self.online if city is None else self.by_city[self.start[city] : self.start[city + 1]]
        )
        found: I8 = shops[self.category[shops] == category]
        return found

    def terminal(self, merchant: I8, share: F8) -> I8:
        """A terminal of each `merchant` (n,) with a counter, picked by `share` (n,) in [0, 1)."""
        return TERMINALS_MAX * merchant + (share * self.n_terminals[merchant]).astype(np.int64)


def zipf_rank(share: F8, count: I8 | int) -> I8:
    """Turn `share` (n,) in [0, 1) into ranks in [0, count) with odds of about 1 / (rank + 1)."""
    return ((np.asarray(count) + 1.0) ** share).astype(np.int64) - 1


def cash_machine(city: I8, share: F8) -> I8:
    """Terminal number of a cash machine in each `city` (n,), picked by `share` (n,) in [0, 1)."""
    return CASH_MACHINE + city * N_CASH_MACHINES + zipf_rank(share, N_CASH_MACHINES)


def _spread_categories(rng: np.random.Generator, shares: F8, count: int) -> I8:
    """Categories of `count` shops in order of popularity: every stretch of them is mixed as `shares` say.

    Where there is room the least popular shops are one of each kind, so that no larger city lacks a hospital.
    """
    turn = (np.arange(count) * 0.618_033_988_75 + rng.random()) % 1.0  # of low discrepancy
    edge = np.cumsum(shares / shares.sum())
    category = np.minimum(np.searchsorted(edge, turn, side="right"), len(shares) - 1)
    kinds = np.flatnonzero(shares > 0.0)
    if count >= 2 * len(kinds):
        category[count - len(kinds) :] = kinds
    return category


def make_merchants(rng: np.random.Generator, n: int) -> Merchants:
    """Draw about `n` shops: at least 40 in every home city, 12 elsewhere, 48 Chinese and 24 foreign ones online."""
    n_online, n_foreign = max(n // 8, 48), max(n // 24, 24)
    n_here = max(n - n_online - n_foreign, 0)
    counts = np.full(len(CITIES), 12)
    counts[:N_HOME_CITIES] = np.maximum(np.round(HOME_SHARE * n_here), 40).astype(np.int64)
    counts[N_HOME_CITIES:] += n_here // 100
    city = np.concatenate(
        [np.repeat(np.arange(len(CITIES)), counts), np.full(n_online + n_foreign, -1)]
    )
    with_counter = np.array([category.share for category in CATEGORIES])
    without = np.array([category.share_online for category in CATEGORIES])
    category = np.concatenate(
        [_spread_categories(rng, with_counter, int(count)) for count in counts]
        + [_spread_categories(rng, without, n_online), _spread_categories(rng, without, n_foreign)]
    )
    n_counter = int(counts.sum())
    names, weights = zip(*_FOREIGN_SHOPS, strict=True)
    country = np.concatenate(
        [
            CITY_COUNTRY[city[:n_counter]],
            np.full(n_online, CN),
            rng.choice(np.array(names), n_foreign, p=weights),
        ]
    )
    currency = COUNTRY_CURRENCY[country]
    # some foreign online shops bill their Chinese customers in yuan
    currency[n_counter + n_online :][rng.random(n_foreign) < 0.15] = table.CNY
    level = np.where(city < 0, 1.0, CITY_PRICE[city]) * np.exp(rng.normal(0.0, 0.18, len(city)))
    return Merchants(
        city=city,
        category=category,
        country=country,
        currency=currency,
        price=CATEGORY_PRICE[category] * level,
        n_terminals=np.where(city < 0, 0, rng.integers(2, TERMINALS_MAX + 1, len(city))),
        by_city=np.arange(n_counter),
        start=np.concatenate([[0], np.cumsum(counts)]),
        online=np.arange(n_counter, n_counter + n_online),
        foreign_online=np.arange(n_counter + n_online, len(city)),
    )
