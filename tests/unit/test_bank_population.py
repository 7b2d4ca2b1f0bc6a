"""Who lives in the generated bank, where they shop, and what the calendar says."""

import datetime as dt
from collections import Counter

import numpy as np
import pytest

from replay.bank import calendar, places, table
from replay.bank.merchants import (
    CATEGORIES,
    HOSPITALS,
    JEWELLERS,
    Merchants,
    zipf_rank,
)
from replay.bank.population import (
    CURRENT,
    DAY_US,
    ELDERLY,
    HIGH_NET_WORTH,
    ORDINARY,
    PAYROLL_BUREAU,
    SAVINGS,
    SEGMENTS,
    SMALL_BUSINESS,
    STUDENT,
    Population,
    make_population,
)

START_US = 1_772_380_800_000_000  # 2 March 2026 in Shanghai


@pytest.fixture(scope="module")
def bank() -> Population:
    return make_population(11, 5_000, 4.0, START_US)


def _arrays(population: Population) -> dict[str, np.ndarray]:
    own = {name: getattr(population, name) for name in Population.__slots__ if name != "merchants"}
    shops = {f"shop_{name}": getattr(population.merchants, name) for name in Merchants.__slots__}
    return {name: np.asarray(array) for name, array in (own | shops).items()}


def test_one_seed_always_makes_the_same_bank_and_another_seed_another():
    first, again = (_arrays(make_population(3, 400, 4.0, START_US)) for _ in range(2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    other = _arrays(make_population(4, 400, 4.0, START_US))
    different = {name for name in first if not np.array_equal(first[name], other[name])}
    assert different >= {"segment", "city", "income", "balance", "payees", "favourites", "per_day"}


def test_segments_have_the_shares_that_were_asked_for(bank: Population):
    shares = np.bincount(bank.segment, minlength=6) / bank.n_customers
    assert shares == pytest.approx([0.66, 0.04, 0.10, 0.14, 0.055, 0.005], abs=0.001)
    assert bank.n_accounts == pytest.approx(1.25 * bank.n_customers)


@pytest.mark.parametrize("seed", range(4))
def test_the_smallest_bank_has_a_customer_of_every_segment(seed: int):
    small = make_population(seed, 50, 4.0, START_US)
    assert set(small.segment.tolist()) == set(range(len(SEGMENTS)))


def test_every_number_in_the_population_names_something_that_exists(bank: Population):
    c, n, shops = bank.n_customers, bank.n_accounts, len(bank.merchants.city)
    assert (bank.customer[:c] == np.arange(c)).all()
    assert ((bank.customer >= 0) & (bank.customer < c)).all()
    for column in (bank.joint, bank.partner):
        assert ((column >= -1) & (column < c)).all()
    assert ((bank.favourites >= 0) & (bank.favourites < shops)).all()
    for column in (bank.payees, bank.employer[bank.employer >= 0]):
        assert ((column < n) | (column >= table.OUTSIDE)).all()
        assert (column >= 0).all()
        assert (column < table.OUTSIDE + (1 << 31)).all()
    assert (bank.city < places.N_HOME_CITIES).all()
    assert (bank.account_segment == bank.segment[bank.customer]).all()
    assert (bank.account_city == bank.city[bank.customer]).all()


def test_partners_are_partners_of_each_other_and_joint_owners_are_partners(bank: Population):
    paired = np.flatnonzero(bank.partner >= 0)
    assert (bank.partner[bank.partner[paired]] == paired).all()
    shared = bank.joint >= 0
    assert shared.mean() > 0.02
    assert (bank.joint[shared] == bank.partner[bank.customer[shared]]).all()
    other = np.flatnonzero(bank.other >= 0)
    assert (bank.customer[bank.other[other]] == bank.customer[other]).all()
    assert (bank.other[other] != other).all()


def test_dormant_accounts_are_few_and_old_and_nobody_pays_them(bank: Population):
    dormant = bank.is_dormant == 1
    assert 0.012 < dormant.mean() < 0.028
    assert (bank.opened_us[dormant] < START_US - 800 * DAY_US).all()
    assert (bank.last_active_us[dormant] < START_US - 200 * DAY_US).all()
    assert (bank.last_active_us >= bank.opened_us).all()
    assert (bank.last_active_us <= START_US).all()
    assert (bank.per_day[dormant] == 0.0).all()
    assert not dormant[bank.payees[bank.payees < table.OUTSIDE]].any()


def test_about_four_accounts_in_a_hundred_are_younger_than_ninety_days(bank: Population):
    assert 0.03 < (bank.opened_us > START_US - 90 * DAY_US).mean() < 0.05
    assert (bank.opened_us < START_US).all()


def test_people_earn_and_are_as_old_as_their_segment_says(bank: Population):
    yuan, age = bank.income / 100, 2026 - bank.birth_year

    def spread(segment: int) -> tuple[float, float]:
        low, high = np.percentile(yuan[bank.segment == segment], [2, 98])
        return float(low), float(high)

    assert spread(ORDINARY)[0] >= 4_000
    assert spread(ORDINARY)[1] <= 25_000
    assert spread(HIGH_NET_WORTH)[0] >= 40_000
    assert spread(HIGH_NET_WORTH)[1] <= 200_000
    assert ((age >= 18) & (age <= 26))[bank.segment == STUDENT].all()
    assert (age >= 62)[bank.segment == ELDERLY].all()
    firms = np.isin(bank.segment, [SMALL_BUSINESS, PAYROLL_BUREAU])
    assert (bank.birth_year[firms] == -1).all()
    assert (firms == (bank.is_legal == 1)).all()
    rents = bank.rent[(bank.rent > 0) & (bank.account_segment == ORDINARY)] / 100
    assert ((rents >= 1_500) & (rents <= 6_000)).all()


def test_only_savings_accounts_have_no_card(bank: Population):
    assert ((bank.n_cards == 0) == (bank.product == SAVINGS)).all()
    assert bank.n_cards.max() == 2
    assert (bank.product[: bank.n_customers] != SAVINGS).all()
    assert (bank.per_day[bank.product == SAVINGS].mean()) < 0.2 * bank.per_day[
        bank.product == CURRENT
    ].mean()


def test_busy_shops_come_first_as_zipf_has_it():
    rank = zipf_rank(np.linspace(0.0, 1.0, 400_000, endpoint=False), 50)
    visits = np.bincount(rank, minlength=50)
    assert len(visits) == 50
    harmonic = sum(1.0 / (k + 1) for k in range(50))
    for k in (1, 4, 20, 49):
        assert visits[k] / 400_000 == pytest.approx(1.0 / (k + 1) / harmonic, rel=0.2)
    # what the first has more than its due is what the integral has more than the sum
    assert visits[0] / visits[9] == pytest.approx(10.0, rel=0.35)


def test_shops_are_where_they_say_and_every_home_city_has_a_hospital_and_a_jeweller():
    shops = make_population(5, 50, 4.0, START_US).merchants
    for city in range(len(places.CITIES)):
        here = shops.by_city[shops.start[city] : shops.start[city + 1]]
        assert len(here) >= 12
        assert (shops.city[here] == city).all()
        assert (shops.country[here] == places.CITIES[city].country).all()
    for city in range(places.N_HOME_CITIES):
        assert len(shops.of_category(HOSPITALS, city=city)) > 0
        assert len(shops.of_category(JEWELLERS, city=city)) > 0
    assert (shops.country[shops.online] == places.CN).all()
    assert (shops.country[shops.foreign_online] != places.CN).all()
    assert len(shops.online) >= 48
    assert len(shops.foreign_online) >= 24
    assert (shops.category < len(CATEGORIES)).all()
    assert sorted(
        np.concatenate([shops.by_city, shops.online, shops.foreign_online]).tolist()
    ) == list(range(len(shops.city)))


def test_no_two_shops_share_a_terminal(bank: Population):
    shops = bank.merchants
    merchant = np.repeat(shops.by_city, 64)
    share = np.tile(np.linspace(0.0, 1.0, 64, endpoint=False), len(shops.by_city))
    owners: dict[int, int] = {}
    for terminal, owner in zip(
        shops.terminal(merchant, share).tolist(), merchant.tolist(), strict=True
    ):
        assert owners.setdefault(terminal, owner) == owner
    used = Counter(owners.values())
    assert {used[m] for m in used} == {2, 3, 4}


def test_money_in_another_currency_is_worth_what_it_says_to_half_a_minor_unit():
    fen = np.array([100, 123_456, 7, 5_000_000], np.int64)
    for currency, name in enumerate(table.CURRENCIES):
        amount, worth = places.in_currency(fen, np.full(4, currency))
        digits = 1 if name == "JPY" else 100
        for k in range(4):
            exact = fen[k] / 100 / places.CNY_PER_UNIT[currency] * digits
            assert abs(amount[k] - exact) <= 0.5 or amount[k] == 1
            assert worth[k] == pytest.approx(
                amount[k] * places.CNY_PER_UNIT[currency] * 100 / digits, abs=0.51
            )


@pytest.mark.parametrize(
    ("day", "holiday", "is_worked"),
    [
        ("2026-02-14", "", True),  # a Saturday worked for the week of spring
        ("2026-02-17", "spring festival", False),  # new year of the horse
        ("2026-02-24", "", True),
        ("2026-05-05", "labour day", False),
        ("2026-05-09", "", True),
        ("2026-05-10", "", False),
        ("2026-09-25", "mid-autumn", False),
        ("2026-10-08", "", True),
        ("2025-10-08", "national day", False),
        ("2025-10-11", "", True),
        ("2027-02-06", "spring festival", False),
    ],
)
def test_the_calendar_knows_public_holidays_and_worked_weekends(
    day: str, holiday: str, is_worked: bool
):
    found = calendar.look_up(dt.date.fromisoformat(day))
    assert (found.holiday, found.is_working_day) == (holiday, is_worked)


def test_what_is_due_in_a_month_is_paid_once_and_never_on_a_free_day():
    day, paid, debited = dt.date(2026, 1, 1), Counter[tuple[int, int]](), Counter[int]()
    while day < dt.date(2027, 1, 1):
        for due in calendar.paid_on(day):
            assert calendar.is_working_day(day)
            paid[day.month, due] += 1
        for due in calendar.debited_on(day):
            assert calendar.is_working_day(day)
            debited[due] += 1
        day += dt.timedelta(days=1)
    # wages are paid early, at most once a month each; those of January's holidays fall into December
    for payday in (10, 15, 18, 25, calendar.LAST_WORKING_DAY):
        assert [paid[month, payday] for month in range(1, 13)] == [1] * 12
    assert all(debited[due] == 12 for due in range(4, 27))


def test_wages_due_on_sunday_come_on_the_working_day_before():
    assert 10 in calendar.paid_on(dt.date(2026, 5, 9))  # a worked Saturday
    assert 15 in calendar.paid_on(dt.date(2026, 3, 13))
    assert calendar.LAST_WORKING_DAY in calendar.paid_on(dt.date(2026, 2, 28))
    assert calendar.LAST_WORKING_DAY in calendar.paid_on(dt.date(2026, 1, 30))
    assert calendar.LAST_WORKING_DAY not in calendar.paid_on(dt.date(2026, 1, 29))


def test_a_day_begins_at_midnight_in_shanghai():
    before = np.datetime64("2026-03-01T15:59:59.999", "us").astype(np.int64)
    assert calendar.date_of(int(before)) == dt.date(2026, 3, 1)
    assert calendar.date_of(int(before) + 1_000) == dt.date(2026, 3, 2)
