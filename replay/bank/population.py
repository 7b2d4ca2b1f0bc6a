"""Who the generated bank's traffic is about: customers, their accounts and cards, and the habits of each.

Everything is drawn once from the seed. What the customers do day by day stands in replay/bank/habits, what is done to
them in replay/bank/typologies, the shops in merchants.py, the cities in places.py.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from replay.bank.calendar import LAST_WORKING_DAY
from replay.bank.merchants import Merchants, make_merchants, zipf_rank
from replay.bank.places import HOME_SHARE, N_HOME_CITIES
from replay.bank.table import F8, I8, OUTSIDE

Flags: TypeAlias = NDArray[np.bool_]
DAY_US: Final = 86_400_000_000
SEGMENTS: Final = (
    "ordinary",
    "high_net_worth",
    "student",
    "elderly",
    "small_business",
    "payroll_bureau",
)
ORDINARY, HIGH_NET_WORTH, STUDENT, ELDERLY, SMALL_BUSINESS, PAYROLL_BUREAU = range(6)
SEGMENT_SHARE: Final[F8] = np.array([0.66, 0.04, 0.10, 0.14, 0.055, 0.005])
PRODUCTS: Final = ("current", "savings", "business")
CURRENT, SAVINGS, BUSINESS = range(3)
N_FAVOURITES_HERE: Final = 12
N_FAVOURITES_ONLINE: Final = 6
N_FAVOURITES: Final = N_FAVOURITES_HERE + N_FAVOURITES_ONLINE
N_PAYEES: Final = (
    6  # accounts that are paid again and again; the first is the landlord (or supplier)
)
DEVICES_A_CUSTOMER: Final = (
    3  # numbers 3 c (phone), 3 c + 1 (computer or tablet), 3 c + 2 (the phone after it)
)
PUBLIC: Final = 150_000_000  # from here on 4,096 a city: computers that many people use
SPARE: Final = 200_000_000  # from here on sixteen a customer: forgetful browsers, borrowed devices
FRESH: Final = 500_000_000  # devices and addresses from here on belong to attempts
# Activity of an account by segment of its owner, relative to the bank's average.
_ACTIVITY: Final[F8] = np.array([1.05, 1.25, 0.75, 0.48, 2.2, 0.4])
_INCOME_MEDIAN: Final[F8] = np.array([8_600.0, 72_000.0, 3_000.0, 4_300.0, 65_000.0, 900_000.0])
_INCOME_SIGMA: Final[F8] = np.array([0.38, 0.45, 0.25, 0.30, 0.75, 0.50])
_INCOME_LOW: Final[F8] = np.array([4_500.0, 40_000.0, 1_500.0, 2_000.0, 15_000.0, 300_000.0])
_INCOME_HIGH: Final[F8] = np.array([30_000.0, 200_000.0, 4_500.0, 9_000.0, 600_000.0, 5e6])
MEAN_ROW_FEN: Final = 8_000.0  # spent at shops per row of an account, at spending level 1
TYPICAL_FEN: Final = 5_000.0  # `amount_typical` at spending level 1


@dataclass(frozen=True, slots=True)
class Population:
    """Customers (c), accounts (n) and shops. Money in fen. Account a < c is the main account of customer a."""

    start_us: int  # of the recording, local midnight, UTC
    n_accounts: int
    n_customers: int
    # one entry a customer
    segment: I8  # index into SEGMENTS
    is_legal: I8  # 1: a firm
    birth_year: I8  # -1: a firm
    is_vulnerable: I8
    partner: I8  # customer with the same household, -1: none known
    city: I8  # home, index into places.CITIES
    income: I8  # a month: wage, pension, allowance, or takings of a firm
    payday: I8  # day of the month that income arrives on; calendar.LAST_WORKING_DAY
    hour: F8  # middle of the day they are up, local
    # one entry an account
    customer: I8
    joint: I8  # second owner, customer or -1
    other: I8  # another account of the same owner, -1: none
    product: I8  # index into PRODUCTS; cards belong to current and business accounts
    account_segment: I8  # of the owner
    account_city: I8  # of the owner
    opened_us: I8
    is_dormant: I8  # nobody has touched it for long
    last_active_us: I8  # last movement before the recording
    n_cards: I8  # cards of account a: numbers 2 a and 2 a + 1
    per_day: F8  # transactions expected on an ordinary day
    amount_typical: F8  # what a purchase costs in a shop where others pay 50 yuan
    rent: I8  # a month, 0: pays none
    balance: I8  # at the start; the recording keeps it up to date
    favourites: I8  # (n, N_FAVOURITES) shops at home, then online
    payees: I8  # (n, N_PAYEES) counterparties, below OUTSIDE inside the bank
    employer: I8  # who pays the income of a main account, counterparty; -1: nobody
    merchants: Merchants

    def own_device(self, customer: I8 | int, k: int = 0) -> I8 | int:
        """Number of a customer's phone (k 0), computer (1) or next phone (2)."""
        return DEVICES_A_CUSTOMER * customer + k


def make_population(seed: int, n_accounts: int, rate: float, start_us: int) -> Population:
    """Draw `n_accounts` accounts that make `rate` transactions a day on average; four fifths are main accounts."""
    rng = np.random.default_rng([seed, 0])
    c = max(n_accounts * 4 // 5, 1)
    merchants = make_merchants(rng, max(400, c // 5))
    segment = _segments(rng, c)
    city = rng.choice(N_HOME_CITIES, c, p=HOME_SHARE / HOME_SHARE.sum())
    is_legal = (segment >= SMALL_BUSINESS).astype(np.int64)
    birth_year = _birth_years(rng, segment, _year(start_us))
    partner = _partners(rng, segment, city, birth_year)
    income = _incomes(rng, segment)
    payday = _paydays(rng, segment)

    customer = np.concatenate([np.arange(c), rng.integers(0, c, n_accounts - c)])
    is_main = np.arange(n_accounts) < c
    owner = segment[customer]
    product = np.where(owner >= SMALL_BUSINESS, BUSINESS, CURRENT)
    product = np.where(
        ~is_main & (product == CURRENT) & (rng.random(n_accounts) < 0.65), SAVINGS, product
    )
    joint = np.where(
        (product != BUSINESS) & (rng.random(n_accounts) < np.where(is_main, 0.06, 0.15)),
        partner[customer],
        -1,
    )
    other = np.full(n_accounts, -1)
    other[customer[c:]] = np.arange(c, n_accounts)  # of several the last
    other[c:] = customer[c:]
    age_days, is_dormant, quiet_days = _ages(rng, n_accounts, is_main)
    per_day = rng.gamma(4.0, 0.25, n_accounts) * _ACTIVITY[owner]
    per_day *= np.where(product == SAVINGS, 0.06, np.where(is_main, 1.0, 0.5))
    per_day = np.where(is_dormant, 0.0, np.maximum(per_day, 0.02))
    per_day *= rate / max(per_day.mean(), 1e-9)
    rent = _rents(rng, owner, income[customer], is_main)
    typical = _levels(rng, per_day, income[customer], rent, is_main) * TYPICAL_FEN
    months = np.where(is_main, rng.uniform(0.6, 3.0, n_accounts), rng.uniform(0.5, 8.0, n_accounts))
    months = np.where(owner >= SMALL_BUSINESS, 0.35 * months, months)
    return Population(
        start_us=start_us,
        n_accounts=n_accounts,
        n_customers=c,
        segment=segment,
        is_legal=is_legal,
        birth_year=birth_year,
        is_vulnerable=((segment == ELDERLY) & (rng.random(c) < 0.08)).astype(np.int64),
        partner=partner,
        city=city,
        income=income,
        payday=payday,
        hour=_hours(rng, segment),
        customer=customer,
        joint=joint,
        other=other,
        product=product,
        account_segment=owner,
        account_city=city[customer],
        opened_us=start_us - (age_days * DAY_US).astype(np.int64),
        is_dormant=is_dormant.astype(np.int64),
        last_active_us=start_us - (quiet_days * DAY_US).astype(np.int64),
        n_cards=np.where(product == SAVINGS, 0, 1 + (rng.random(n_accounts) < 0.25)),
        per_day=per_day,
        amount_typical=typical,
        rent=rent,
        balance=(income[customer] * months).astype(np.int64) // 100 * 100 + 100_000,
        favourites=_favourites(rng, merchants, city[customer]),
        payees=_payees(rng, customer, partner, segment, is_dormant),
        employer=_employers(rng, n_accounts, segment, is_main),
        merchants=merchants,
    )


def _year(time_us: int) -> int:
    return int(np.datetime64(time_us, "us").astype("datetime64[Y]").astype(np.int64)) + 1970


def _segments(rng: np.random.Generator, c: int) -> I8:
    """Exact shares, so that the smallest bank has one customer of every segment."""
    counts = np.maximum(np.floor(SEGMENT_SHARE * c).astype(np.int64), 1)
    rest = np.full(max(c - int(counts[1:].sum()), 0), ORDINARY)
    return rng.permutation(np.concatenate([rest, np.repeat(np.arange(1, 6), counts[1:])])[:c])


def _birth_years(rng: np.random.Generator, segment: I8, year: int) -> I8:
    low = np.array([24, 35, 18, 62, 0, 0])[segment]
    high = np.array([60, 72, 26, 90, 1, 1])[segment]
    age = low + np.floor((high - low) * rng.beta(1.4, 1.8, len(segment)))
    return np.where(segment >= SMALL_BUSINESS, -1, year - age.astype(np.int64))


def _partners(rng: np.random.Generator, segment: I8, city: I8, birth_year: I8) -> I8:
    """Pair about half of the adults with somebody of their segment, city and age."""
    partner = np.full(len(segment), -1)
    marriable = np.isin(segment, [ORDINARY, HIGH_NET_WORTH, ELDERLY])
    willing = np.flatnonzero(marriable & (rng.random(len(segment)) < 0.55))
    order = willing[np.lexsort((birth_year[willing], city[willing], segment[willing]))]
    first, second = order[:-1:2], order[1::2]
    fits = (city[first] == city[second]) & (segment[first] == segment[second])
    partner[first[fits]], partner[second[fits]] = second[fits], first[fits]
    return partner


def _incomes(rng: np.random.Generator, segment: I8) -> I8:
    yuan = _INCOME_MEDIAN[segment] * np.exp(rng.normal(0.0, _INCOME_SIGMA[segment]))
    yuan = np.clip(yuan, _INCOME_LOW[segment], _INCOME_HIGH[segment])
    return np.round(yuan).astype(np.int64) * 100


def _paydays(rng: np.random.Generator, segment: I8) -> I8:
    wage = rng.choice([10, 15, 25, LAST_WORKING_DAY], len(segment), p=[0.30, 0.28, 0.20, 0.22])
    allowance = rng.integers(1, 6, len(segment))
    pension = rng.choice([10, 15, 18], len(segment), p=[0.25, 0.55, 0.20])
    return np.where(segment == STUDENT, allowance, np.where(segment == ELDERLY, pension, wage))


def _hours(rng: np.random.Generator, segment: I8) -> F8:
    middle = np.array([14.5, 15.0, 17.5, 10.5, 14.0, 12.0])[segment]
    return np.clip(rng.normal(middle, 1.3), 7.0, 22.0)


def _ages(rng: np.random.Generator, n: int, is_main: Flags) -> tuple[F8, Flags, F8]:
    """Days since each account was opened, whether it sleeps, and days since it last moved."""
    fate = rng.random(n)
    age = np.where(fate < 0.04, rng.uniform(3.0, 90.0, n), rng.gamma(2.2, 800.0, n) + 90.0)
    is_dormant = fate > 0.98
    age = np.where(is_dormant, np.maximum(age, rng.uniform(820.0, 3_500.0, n)), age)
    is_dormant &= is_main | (rng.random(n) < 0.9)
    quiet = np.minimum(rng.exponential(np.where(is_main, 1.2, 12.0)), age)
    slept = rng.uniform(210.0, 780.0, n)
    return age, is_dormant, np.where(is_dormant, slept, quiet)


def _rents(rng: np.random.Generator, owner: I8, income: I8, is_main: Flags) -> I8:
    chance = np.array([0.50, 0.15, 0.0, 0.05, 0.60, 1.0])[owner]
    pays = is_main & (rng.random(len(owner)) < chance)
    yuan = np.clip(income / 100 * rng.uniform(0.18, 0.34, len(owner)), 1_500, 6_000)
    yuan = np.where(owner >= HIGH_NET_WORTH, yuan * rng.uniform(1.0, 1.8, len(owner)), yuan)
    return np.where(pays, np.round(yuan / 50) * 5_000, 0).astype(np.int64)


def _levels(rng: np.random.Generator, per_day: F8, income: I8, rent: I8, is_main: Flags) -> F8:
    """What each pays relative to others for the like, so that most of the income is spent at shops in a month."""
    budget = np.maximum(np.where(is_main, 0.62, 0.25) * income - rent, 0.2 * income)
    level = budget / np.maximum(30.4 * per_day * MEAN_ROW_FEN, 1.0)
    level *= np.exp(rng.normal(0.0, 0.15, len(per_day)))
    # nobody's noodles cost a tenth or ten times of what others pay
    clipped: F8 = np.clip(level, 0.3, 4.0)
    return clipped


def _favourites(rng: np.random.Generator, merchants: Merchants, city: I8) -> I8:
    n = len(city)
    here = merchants.anywhere_in(
        np.repeat(city, N_FAVOURITES_HERE), rng.random(n * N_FAVOURITES_HERE) * 0.97
    ).reshape(n, N_FAVOURITES_HERE)
    online = merchants.online[
        zipf_rank(rng.random((n, N_FAVOURITES_ONLINE)), len(merchants.online))
    ]
    return np.concatenate([here, online], axis=1)


def _payees(
    rng: np.random.Generator, customer: I8, partner: I8, segment: I8, is_dormant: Flags
) -> I8:
    """Landlords and most others bank elsewhere; a third of the friends here; the partner comes second."""
    n, c = len(customer), len(partner)
    payees = OUTSIDE + rng.integers(0, 6 * n + 600, (n, N_PAYEES))
    friend = rng.integers(0, c, (n, N_PAYEES))
    here = rng.random((n, N_PAYEES)) < 0.33
    friend[:, 1] = np.where(partner >= 0, partner, 0)[customer]
    here[:, 1] = (partner >= 0)[customer]
    here[:, 0] = False
    # a dormant account is one that nobody pays
    here &= (friend != customer[:, None]) & (segment[friend] < SMALL_BUSINESS)
    return np.where(here & ~is_dormant[friend], friend, payees)


def _employers(rng: np.random.Generator, n: int, segment: I8, is_main: Flags) -> I8:
    """Firms that bank elsewhere, or for a fifth of the workers one of the bank's payroll bureaus."""
    c = len(segment)
    bureaus = np.flatnonzero(segment == PAYROLL_BUREAU)
    firm = OUTSIDE + (1 << 30) + (rng.random(c) ** 2 * max(c // 12, 5)).astype(np.int64)
    pension = OUTSIDE + (1 << 30) + (1 << 29) + rng.integers(0, 3, c)
    family = OUTSIDE + (1 << 30) + (1 << 28) + np.arange(c)
    by_bureau = (segment == ORDINARY) & (rng.random(c) < 0.20)
    payer = np.where(by_bureau, rng.choice(bureaus, c), firm)
    payer = np.where(segment == ELDERLY, pension, payer)
    payer = np.where(segment == STUDENT, family, payer)
    payer = np.where(segment >= SMALL_BUSINESS, -1, payer)
    employer = np.full(n, -1)
    employer[:c] = payer
    return np.where(is_main, employer, -1)
