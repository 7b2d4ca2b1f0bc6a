"""Who the generated traffic is about: customers, accounts, cards, devices, merchants, and the habits of each.

Everything is drawn once from the seed, as arrays with one entry an account (or merchant). What they do day by day
stands in replay/generate.py, what is done to them in replay/typologies.py.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from replay.table import F8, I8

DAY_US: Final = 86_400_000_000
SEGMENTS: Final = ("retail", "student", "private", "sme")
RETAIL, STUDENT, PRIVATE, SME = range(4)
# name, country, latitude, longitude, share of customers living there; the last eight are where people travel
CITIES: Final = (
    ("Berlin", "DE", 52.52, 13.40, 0.22),
    ("Hamburg", "DE", 53.55, 9.99, 0.13),
    ("Munich", "DE", 48.14, 11.58, 0.13),
    ("Cologne", "DE", 50.94, 6.96, 0.11),
    ("Leipzig", "DE", 51.34, 12.37, 0.08),
    ("Vienna", "AT", 48.21, 16.37, 0.11),
    ("Amsterdam", "NL", 52.37, 4.90, 0.11),
    ("Paris", "FR", 48.86, 2.35, 0.11),
    ("Palma", "ES", 39.57, 2.65, 0.0),
    ("Antalya", "TR", 36.90, 30.70, 0.0),
    ("Athens", "GR", 37.98, 23.73, 0.0),
    ("Bangkok", "TH", 13.75, 100.50, 0.0),
    ("Dubai", "AE", 25.20, 55.27, 0.0),
    ("New York", "US", 40.71, -74.01, 0.0),
    ("Sao Paulo", "BR", -23.55, -46.63, 0.0),
    ("Lagos", "NG", 6.52, 3.38, 0.0),
)
N_HOME_CITIES: Final = 8
COUNTRY: Final = tuple(city[1] for city in CITIES)
# category code, share of merchants, what a purchase there costs relative to the customer's habit
CATEGORIES: Final = (
    ("5411", 0.28, 1.0),  # groceries
    ("5812", 0.22, 1.1),  # restaurants
    ("5541", 0.10, 2.2),  # fuel
    ("5912", 0.08, 0.9),  # pharmacies
    ("5651", 0.10, 2.4),  # clothing
    ("5732", 0.06, 5.0),  # electronics
    ("5815", 0.10, 0.5),  # digital goods
    ("4722", 0.06, 6.0),  # travel
)
N_FAVOURITES_HERE: Final = 10
N_FAVOURITES_ONLINE: Final = 4
N_FAVOURITES: Final = N_FAVOURITES_HERE + N_FAVOURITES_ONLINE
N_PAYEES: Final = 6  # accounts a customer pays again and again; the first is the landlord


@dataclass(frozen=True, slots=True)
class Merchants:
    """Shops; `by_city[start[c]:start[c + 1]]` are those with terminals in city c, `online` those without."""

    city: I8  # (m,) -1 online
    category: I8  # (m,) index into CATEGORIES
    country_city: I8  # (m,) the city whose country the shop is registered in
    by_city: I8
    start: I8
    online: I8

    def anywhere_in(self, city: I8, share: F8) -> I8:
        """One shop for each `city`, picked by `share` in [0, 1), the low ones most often."""
        count = self.start[city + 1] - self.start[city]
        return self.by_city[self.start[city] + (share * share * count).astype(np.int64)]


@dataclass(frozen=True, slots=True)
class Population:
    """One entry an account, unless said otherwise. Money in cents."""

    start_us: int  # of the recording
    n_accounts: int
    n_customers: int
    customer: I8  # owner of the account
    segment: I8  # of the customer
    city: I8  # home
    opened_us: I8
    is_dormant: I8  # nobody touches it
    n_cards: I8
    transactions_per_day: F8
    amount_typical: F8  # cents: median purchase at a shop of relative cost 1
    hour: F8  # middle of the customer's day
    income: I8  # a month
    rent: I8
    payday: I8  # day of the month
    balance: I8  # at the start; the generator keeps it up to date
    favourites: I8  # (n_accounts, N_FAVOURITES) merchants
    payees: I8  # (n_accounts, N_PAYEES) numbers of accounts outside the bank
    employer: I8
    birth_year: I8  # of the customer
    merchants: Merchants


def make_merchants(rng: np.random.Generator, n: int) -> Merchants:
    """Draw `n` shops, at least four with terminals in every city and a quarter of them online."""
    n_online = max(n // 4, 8)
    home = np.array([city[4] for city in CITIES])
    city = np.concatenate(
        [
            np.tile(np.arange(len(CITIES)), 4),
            rng.choice(len(CITIES), max(n - n_online - 4 * len(CITIES), 0), p=home),
            np.full(n_online, -1),
        ]
    )
    by_city = np.argsort(city, kind="stable")[n_online:]
    shares = np.array([category[1] for category in CATEGORIES])
    return Merchants(
        city=city,
        category=rng.choice(len(CATEGORIES), len(city), p=shares),
        country_city=np.where(city < 0, rng.integers(0, len(CITIES), len(city)), city),
        by_city=by_city,
        start=np.searchsorted(city[by_city], np.arange(len(CITIES) + 1)),
        online=np.flatnonzero(city < 0),
    )


def make_population(seed: int, n_accounts: int, rate: float, start_us: int) -> Population:
    """Draw `n_accounts` accounts whose owners make `rate` transactions a day on average."""
    rng = np.random.default_rng([seed, 0])
    n_customers = n_accounts - n_accounts // 10
    customer = np.concatenate(
        [
            np.arange(n_customers),
            rng.integers(0, n_customers, n_accounts - n_customers),
        ]
    )
    merchants = make_merchants(rng, max(120, n_accounts // 4))
    home = np.array([city[4] for city in CITIES])
    segment = rng.choice(4, n_customers, p=[0.80, 0.08, 0.04, 0.08])[customer]
    city = rng.choice(len(CITIES), n_customers, p=home)[customer]
    relative = np.array([1.0, 0.6, 3.0, 2.0])[segment]
    per_day = np.maximum(rng.gamma(4.0, 0.25, n_accounts) * rate, 0.2)
    typical = 900.0 * relative * np.exp(rng.normal(0.0, 0.35, n_accounts))
    rent = (np.array([75_000, 38_000, 190_000, 160_000])[segment]) * rng.uniform(
        0.7, 1.4, n_accounts
    )
    # purchases cost about 2.5 x the median (their spread, and the dearer shops); most of what comes in is spent
    income = 1.15 * (30.4 * per_day * 2.5 * typical + 1.4 * rent)
    age_days = np.where(
        rng.random(n_accounts) < 0.06,
        rng.uniform(5, 80, n_accounts),
        rng.uniform(200, 5_000, n_accounts),
    )
    is_dormant = (np.arange(n_accounts) < n_customers) & (rng.random(n_accounts) < 0.02)
    is_dormant &= age_days > 800
    favourites = np.concatenate(
        [
            merchants.anywhere_in(
                np.repeat(city, N_FAVOURITES_HERE), rng.random(n_accounts * N_FAVOURITES_HERE)
            ).reshape(n_accounts, N_FAVOURITES_HERE),
            merchants.online[
                (
                    rng.random((n_accounts, N_FAVOURITES_ONLINE)) ** 1.5 * len(merchants.online)
                ).astype(np.int64)
            ],
        ],
        axis=1,
    )
    return Population(
        start_us=start_us,
        n_accounts=n_accounts,
        n_customers=n_customers,
        customer=customer,
        segment=segment,
        city=city,
        opened_us=start_us - (age_days * DAY_US).astype(np.int64),
        is_dormant=is_dormant.astype(np.int64),
        n_cards=1 + (rng.random(n_accounts) < 0.25),
        transactions_per_day=np.where(is_dormant, 0.0, per_day),
        amount_typical=typical,
        hour=np.clip(rng.normal(14.0, 2.0, n_accounts), 8.0, 21.0),
        income=income.astype(np.int64),
        rent=rent.astype(np.int64),
        payday=rng.integers(24, 29, n_accounts),
        balance=(income * rng.uniform(0.8, 3.0, n_accounts)).astype(np.int64),
        favourites=favourites,
        payees=rng.integers(0, 4 * n_accounts, (n_accounts, N_PAYEES)),
        employer=rng.integers(0, max(n_accounts // 20, 5), n_accounts),
        birth_year=rng.integers(1938, 2006, n_customers)[customer],
        merchants=merchants,
    )
