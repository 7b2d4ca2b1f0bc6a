"""Honest days of the generated bank: who does what, when, for how much, and that the rows fit together."""

import datetime as dt

import numpy as np
import pytest

from replay.bank import calendar, places, table
from replay.bank.habits import Habits, Trip
from replay.bank.habits.today import N_NEW_PAYEES, NEW_PAYEES
from replay.bank.merchants import (
    CASH_MACHINE,
    CATEGORIES,
    CLOTHING,
    ELECTRONICS,
    FAST_FOOD,
    GROCERIES,
    LOCAL_TRANSPORT,
    RESTAURANTS,
    TERMINALS_MAX,
)
from replay.bank.population import (
    DAY_US,
    ELDERLY,
    ORDINARY,
    PAYROLL_BUREAU,
    PUBLIC,
    SMALL_BUSINESS,
    SPARE,
    STUDENT,
    Population,
    make_population,
)
from replay.bank.table import Table

HOUR_US = 3_600_000_000
DAYS = 28
FIRST = dt.date(2026, 4, 20)  # with Labour Day, 1 to 5 May, and a worked Saturday, the 9th


def _start(day: dt.date) -> int:
    return int(np.datetime64(day, "us").astype(np.int64)) - 8 * HOUR_US


class Lived:
    """A month of a bank, with balances kept as the recording keeps them."""

    def __init__(self, accounts: int, days: int, first: dt.date, seed: int = 5) -> None:
        self.first = first
        self.bank: Population = make_population(seed, accounts, 4.0, _start(first))
        self.balance_at_first = self.bank.balance.copy()
        habits, self.per_day = Habits(self.bank, seed, days), []
        acts = []
        for day in range(days):
            rows, activities = habits.day(day)
            moved = np.where(rows["is_in"] == 1, rows["amount_cny"], -rows["amount_cny"])
            moved[rows["status"] == table.DECLINED] = 0
            np.add.at(self.bank.balance, rows["account"], moved)
            self.per_day.append(rows)
            acts.append(activities)
        self.rows, self.acts = Table.joined(self.per_day), Table.joined(acts)
        self.day = (self.rows["time_us"] - self.bank.start_us) // DAY_US
        self.hour = (self.rows["time_us"] - self.bank.start_us) % DAY_US // HOUR_US
        merchant = self.rows["merchant"]
        self.category = np.where(merchant >= 0, self.bank.merchants.category[merchant], -1)
        self.segment = self.bank.account_segment[self.rows["account"]]

    def on(self, day: dt.date) -> np.ndarray:
        return self.day == (day - self.first).days


@pytest.fixture(scope="module")
def lived() -> Lived:
    return Lived(2_500, DAYS, FIRST)


def test_accounts_make_as_many_transactions_as_was_asked_for(lived: Lived):
    assert lived.rows.n / lived.bank.n_accounts / DAYS == pytest.approx(4.0, rel=0.1)
    assert 0.4 < lived.acts.n / lived.bank.n_accounts / DAYS < 1.2


def test_a_day_depends_on_seed_and_number_alone():
    bank = make_population(2, 300, 4.0, _start(FIRST))
    straight = [Habits(bank, 2, 9).day(day) for day in range(5)]
    alone = Habits(bank, 2, 9).day(4)
    for was, now in zip(straight[4], alone, strict=True):
        assert all(np.array_equal(was[name], now[name]) for name in was.columns)
    other = Habits(bank, 3, 9).day(4)[0]
    assert other.n != alone[0].n or not np.array_equal(other["amount"], alone[0]["amount"])


def test_rows_lie_within_their_day(lived: Lived):
    for day, rows in enumerate(lived.per_day):
        first_us = lived.bank.start_us + day * DAY_US
        assert ((rows["time_us"] >= first_us) & (rows["time_us"] < first_us + DAY_US)).all()


def test_no_amount_is_zero_or_less_and_yuan_are_worth_themselves(lived: Lived):
    rows = lived.rows
    assert (rows["amount"] > 0).all()
    assert (rows["amount_cny"] > 0).all()
    is_yuan = rows["currency"] == table.CNY
    assert (rows["amount"][is_yuan] == rows["amount_cny"][is_yuan]).all()
    for code, name in enumerate(table.CURRENCIES[1:], 1):
        mine = rows["currency"] == code
        unit = 1 if name == "JPY" else 100
        yuan = rows["amount"][mine] / unit * places.CNY_PER_UNIT[code]
        assert mine.any()
        assert rows["amount_cny"][mine] / 100 == pytest.approx(yuan, abs=0.01)
    assert 0.001 < (~is_yuan).mean() < 0.02


def test_every_number_in_a_row_names_something_that_exists(lived: Lived):
    bank, rows = lived.bank, lived.rows
    n, shops = bank.n_accounts, bank.merchants
    sizes = {
        "type": len(table.TYPES),
        "account": n,
        "currency": len(table.CURRENCIES),
        "is_in": 2,
        "status": len(table.STATUSES),
        "channel": len(table.CHANNELS),
        "entry_mode": len(table.ENTRY_MODES),
        "auth_method": len(table.AUTH_METHODS),
        "merchant": len(shops.city),
        "device": SPARE + 16 * bank.n_customers,
        "ip_country": len(places.COUNTRIES),
        "counterparty_country": len(places.COUNTRIES),
        "city": len(places.CITIES),
        "purpose": len(table.PURPOSES),
    }
    needed = {"type", "account", "currency", "is_in", "status", "channel"}
    for name, size in sizes.items():
        assert rows[name].max() < size, name
        assert rows[name].min() >= (0 if name in needed else -1), name
    carded = rows["card"] >= 0
    assert (rows["card"][carded] // 2 == rows["account"][carded]).all()
    assert (rows["card"][carded] % 2 < bank.n_cards[rows["account"][carded]]).all()
    assert (
        carded == np.isin(rows["type"], [table.CARD_AUTH]) | (rows["channel"] == table.ATM)
    ).all()
    party = rows["counterparty"]
    assert ((party < n) | (party >= table.OUTSIDE)).all()
    assert (party < table.OUTSIDE + (1 << 31)).all()
    assert (party != rows["account"]).all()
    assert (rows["original"] == -1).all()
    assert (rows["attempt"] == -1).all()


def test_purchases_at_counters_happen_where_the_shop_and_its_terminal_stand(lived: Lived):
    shops, rows = lived.bank.merchants, lived.rows
    here = rows["channel"] == table.POS
    merchant, terminal = rows["merchant"][here], rows["terminal"][here]
    assert (shops.city[merchant] == rows["city"][here]).all()
    assert (terminal // TERMINALS_MAX == merchant).all()
    assert (terminal % TERMINALS_MAX < shops.n_terminals[merchant]).all()
    machine = np.isin(rows["channel"], [table.ATM, table.ATM_DEPOSIT])
    assert (rows["terminal"][machine] >= CASH_MACHINE).all()
    online = rows["channel"] == table.ONLINE
    assert (shops.city[rows["merchant"][online]] == -1).all()
    assert (rows["terminal"][online] == -1).all()
    no_device, no_address = rows["device"][online] < 0, rows["ip"][online] < 0
    # old apps, and shops that pass nothing on
    assert 0.02 < no_device.mean() < 0.06
    assert 0.01 < no_address.mean() < 0.05
    assert (no_address == (rows["ip_country"][online] < 0)).all()


def test_owners_act_on_their_own_devices(lived: Lived):
    bank = lived.bank
    for drawn in (lived.rows, lived.acts):
        by_device = np.flatnonzero(drawn["device"] >= 0)
        device, account = drawn["device"][by_device], drawn["account"][by_device]
        who = np.where(device >= SPARE, (device - SPARE) // 16, device // 3)
        is_joint = who == bank.joint[account]
        owner = bank.customer[account]
        is_partners = ~is_joint & (device % 3 == 1) & (device < PUBLIC)
        is_partners &= (who == bank.partner[owner]) | (
            (bank.joint[account] >= 0) & (who == bank.partner[bank.joint[account]])
        )
        is_partners &= who != owner
        in_public = (device >= PUBLIC) & (device < SPARE)
        assert ((who == owner) | is_joint | is_partners | in_public).all()
        assert 0.0005 < is_partners.mean() < 0.03
        assert 0.0005 < in_public.mean() < 0.03
        users = [len(set(owner[device == each])) for each in np.unique(device[in_public])]
        assert max(users) >= 3
        assert 0 < is_joint.mean() < 0.1


def test_people_meet_devices_that_the_bank_has_not_seen_a_few_times_a_year(lived: Lived):
    """Borrowed for days, or a browser without its cookies; each for some days or weeks, few of them enrolled."""
    rows, acts = lived.rows, lived.acts
    device = np.concatenate([rows["device"], acts["device"]])
    spare = np.unique(device[device >= SPARE])
    devices_a_year = len(spare) / lived.bank.n_customers * 365 / DAYS
    assert 1.0 < devices_a_year < 5.0
    online = rows["channel"] == table.ONLINE
    assert 0.01 < (rows["device"][online] >= SPARE).mean() < 0.12
    enrolled = np.isin(spare, acts["device"][acts["type"] == table.DEVICE_ENROLLED])
    assert 0.05 < enrolled.mean() < 0.4
    lent = rows["device"] >= SPARE
    lent &= (rows["device"] - SPARE) % 16 >= 8
    for each in np.unique(rows["device"][lent]).tolist():
        assert np.ptp(lived.day[rows["device"] == each]) <= 10


def test_purchases_come_in_errands(lived: Lived):
    """About a third follow another of the same card within half an hour; chance alone would leave a twentieth."""
    rows = lived.rows
    for channel in (table.POS, table.ONLINE):
        mine = (rows["channel"] == channel) & (rows["type"] == table.CARD_AUTH)
        account, time_us = rows["account"][mine], rows["time_us"][mine]
        order = np.lexsort((time_us, account))
        gap = np.diff(time_us[order])
        soon = (np.diff(account[order]) == 0) & (gap <= HOUR_US // 2)
        assert 0.15 < soon.mean() < 0.45
        shop = rows["merchant"][mine][order]
        assert 0.3 < (shop[1:] != shop[:-1])[soon].mean() < 0.98
        run = np.diff(np.flatnonzero(np.append(~soon, True)))
        assert run.max() <= 16


def test_dormant_accounts_do_nothing_and_receive_nothing(lived: Lived):
    dormant = np.flatnonzero(lived.bank.is_dormant)
    assert len(dormant)
    assert not np.isin(lived.rows["account"], dormant).any()
    assert not np.isin(lived.rows["counterparty"], dormant).any()
    assert not np.isin(lived.acts["account"], dormant).any()


def test_people_eat_at_noon_and_in_the_evening_and_shop_online_at_night(lived: Lived):
    def share(mask: np.ndarray, first: int, last: int) -> float:
        return float(((lived.hour[mask] >= first) & (lived.hour[mask] <= last)).mean())

    meals = np.isin(lived.category, [FAST_FOOD, RESTAURANTS]) & (lived.rows["terminal"] >= 0)
    assert share(meals, 11, 13) > 1.6 * share(meals, 14, 16)
    assert share(meals, 17, 19) > 1.8 * share(meals, 14, 16)
    assert share(meals, 1, 4) < 0.03
    online = lived.rows["channel"] == table.ONLINE
    assert share(online, 20, 22) > 1.5 * share(online, 14, 16)
    transport = lived.category == LOCAL_TRANSPORT
    assert share(transport, 6, 8) > 1.5 * share(transport, 11, 13)
    assert share(lived.rows["channel"] == table.BRANCH_CASH, 9, 17) == 1.0


def test_weekends_and_holidays_change_what_is_bought(lived: Lived):
    def per_day(category: int, days: list[dt.date]) -> float:
        counts = [((lived.category == category) & lived.on(day)).sum() for day in days]
        return float(np.mean(counts))

    every = [FIRST + dt.timedelta(days=k) for k in range(DAYS)]
    plain = [d for d in every if d.weekday() < 5 and not calendar.look_up(d).holiday]
    weekend = [d for d in every if d.weekday() >= 5 and not calendar.is_working_day(d)]
    feast = [d for d in every if calendar.look_up(d).holiday == "labour day"]
    assert len(feast) == 5
    assert per_day(LOCAL_TRANSPORT, weekend) < 0.75 * per_day(LOCAL_TRANSPORT, plain)
    assert per_day(LOCAL_TRANSPORT, feast) < 0.55 * per_day(LOCAL_TRANSPORT, plain)
    assert per_day(RESTAURANTS, weekend) > 1.1 * per_day(RESTAURANTS, plain)
    assert per_day(RESTAURANTS, feast) > 1.25 * per_day(RESTAURANTS, plain)


def test_wages_come_on_paydays_and_are_spent_in_the_days_after(lived: Lived):
    wages = (lived.rows["type"] == table.SALARY) & (lived.rows["is_in"] == 1)
    paid = {(FIRST + dt.timedelta(days=int(k))).isoformat() for k in np.unique(lived.day[wages])}
    # 25 April is a Saturday, and 10 May a Sunday after a worked Saturday
    assert paid == {"2026-04-24", "2026-04-30", "2026-05-09", "2026-05-15"}
    owner = lived.bank.customer[lived.rows["account"]]
    at_15th = (lived.bank.payday[owner] == 15) & (lived.segment == ORDINARY)
    bought = at_15th & (lived.rows["type"] == table.CARD_AUTH)
    before = sum((bought & lived.on(dt.date(2026, 5, day))).sum() for day in (12, 13, 14))
    after = sum((bought & lived.on(dt.date(2026, 5, day))).sum() for day in (15, 16, 17))
    assert after > 1.15 * before


@pytest.mark.parametrize(
    ("category", "low", "middle_least", "middle_most", "high"),
    [
        (GROCERIES, 3, 20, 60, 250),
        (RESTAURANTS, 10, 40, 130, 500),
        (CLOTHING, 20, 90, 300, 1_200),
        (ELECTRONICS, 60, 400, 2_000, 8_000),
        (LOCAL_TRANSPORT, 1, 2, 6, 20),
    ],
)
def test_things_cost_what_they_cost_in_yuan(
    lived: Lived, category: int, low: int, middle_least: int, middle_most: int, high: int
):
    here = (lived.category == category) & (lived.rows["currency"] == table.CNY)
    yuan = np.percentile(lived.rows["amount_cny"][here] / 100, [3, 50, 97])
    assert low <= yuan[0], CATEGORIES[category].name
    assert middle_least <= yuan[1] <= middle_most, CATEGORIES[category].name
    assert yuan[2] <= high, CATEGORIES[category].name


def test_segments_live_differently(lived: Lived):
    def share(segment: int, mask: np.ndarray) -> float:
        mine = lived.segment == segment
        return float((mine & mask).sum() / mine.sum())

    cash = lived.rows["type"] == table.CASH_WITHDRAWAL
    online = lived.rows["channel"] == table.ONLINE
    late = (lived.hour >= 22) | (lived.hour < 3)
    assert share(ELDERLY, cash) > 3 * share(ORDINARY, cash)
    assert share(ELDERLY, online) < 0.6 * share(ORDINARY, online)
    assert share(STUDENT, online) > 1.2 * share(ORDINARY, online)
    assert share(STUDENT, late) > 1.5 * share(ORDINARY, late) > 3 * share(ELDERLY, late)
    auth = lived.rows["type"] == table.CARD_AUTH
    spent = {
        segment: np.median(lived.rows["amount_cny"][auth & (lived.segment == segment)])
        for segment in range(4)
    }
    assert spent[1] > 1.5 * spent[ORDINARY] > 1.5 * spent[STUDENT]
    takings = (lived.rows["entry_mode"] == table.QR) & (lived.rows["is_in"] == 1)
    assert share(SMALL_BUSINESS, takings) > 0.6
    assert not (takings & (lived.segment != SMALL_BUSINESS)).any()


def test_small_firms_bring_their_takings_to_the_bank(lived: Lived):
    deposits = lived.rows["type"] == table.CASH_DEPOSIT
    by_firm = deposits & (lived.segment == SMALL_BUSINESS)
    assert by_firm.sum() > 0.6 * deposits.sum()
    yuan = lived.rows["amount_cny"][by_firm] / 100
    assert ((yuan >= 500) & (yuan <= 30_000)).mean() > 0.93
    machine = deposits & (lived.rows["channel"] == table.ATM_DEPOSIT)
    assert (lived.rows["amount_cny"][machine] <= 20_000 * 100).all()


def test_what_one_account_of_the_bank_pays_another_arrives_there_seconds_later(lived: Lived):
    rows, inside = lived.rows, (lived.rows["counterparty"] >= 0)
    inside &= rows["counterparty"] < table.OUTSIDE
    legs: dict[tuple[int, int, int], list[int]] = {}
    for k in np.flatnonzero(inside & (rows["is_in"] == 1)).tolist():
        key = (int(rows["counterparty"][k]), int(rows["account"][k]), int(rows["amount"][k]))
        legs.setdefault(key, []).append(int(rows["time_us"][k]))
    sent = np.flatnonzero(inside & (rows["is_in"] == 0) & (rows["status"] != table.DECLINED))
    assert len(sent) > 1_000
    assert sum(map(len, legs.values())) == len(sent)
    for k in sent.tolist():
        key = (int(rows["account"][k]), int(rows["counterparty"][k]), int(rows["amount"][k]))
        gaps = [us - int(rows["time_us"][k]) for us in legs[key]]
        assert any(0 <= gap <= 10_000_000 for gap in gaps)


def test_payroll_bureaus_collect_what_they_pay_out(lived: Lived):
    mine = lived.segment == PAYROLL_BUREAU
    wages = mine & (lived.rows["type"] == table.SALARY) & (lived.rows["is_in"] == 0)
    collected = mine & (lived.rows["purpose"] == table.FOR_INVOICE) & (lived.rows["is_in"] == 1)
    assert wages.any()
    for account in np.unique(lived.rows["account"][wages]).tolist():
        own = lived.rows["account"] == account
        paid = lived.rows["amount"][wages & own].sum()
        assert lived.rows["amount"][collected & own].sum() == pytest.approx(paid, rel=0.15)
        for day in np.unique(lived.day[wages & own]).tolist():
            today = lived.day == day
            last_in = lived.rows["time_us"][collected & own & today].max()
            assert last_in < lived.rows["time_us"][wages & own & today].min()


def test_a_login_comes_before_what_is_paid_by_device_and_the_payee_before_the_first_payment(
    lived: Lived,
):
    rows, acts = lived.rows, lived.acts
    paid = np.isin(rows["type"], [table.PAYMENT, table.TRANSFER]) & (rows["is_in"] == 0)
    paid &= rows["device"] >= 0
    key = {}
    for k in np.flatnonzero(acts["type"] == table.LOGIN).tolist():
        key.setdefault((int(acts["account"][k]), int(acts["device"][k])), []).append(
            int(acts["time_us"][k])
        )
    for k in np.flatnonzero(paid).tolist():
        logins = key[int(rows["account"][k]), int(rows["device"][k])]
        assert any(0 < int(rows["time_us"][k]) - us <= 601_000_000 for us in logins)
    added = np.flatnonzero(acts["type"] == table.PAYEE_ADDED)
    by_hand = np.flatnonzero(np.isin(rows["type"], [table.PAYMENT, table.TRANSFER]))
    first = {int(rows["counterparty"][k]): k for k in by_hand[::-1].tolist()}
    assert 0.01 < len(added) / paid.sum() < 0.06
    new = paid & (rows["counterparty"] >= NEW_PAYEES)
    new &= rows["counterparty"] < NEW_PAYEES + N_NEW_PAYEES
    # the others are paid once, by code or at a telephone number, and entered nowhere
    assert 0.58 < np.isin(rows["counterparty"][new], acts["payee"][added]).mean() < 0.72
    for k in added.tolist():
        payment = first[int(acts["payee"][k])]
        assert rows["account"][payment] == acts["account"][k]
        assert rows["time_us"][payment] > acts["time_us"][k]


def test_honest_people_forget_passwords_and_change_telephones_but_rarely(lived: Lived):
    alive = (lived.bank.is_dormant == 0).sum() * DAYS
    counts = np.bincount(lived.acts["type"], minlength=len(table.ACTIVITIES)) / alive
    assert counts[table.LOGIN] > 0.3
    assert 0.01 < counts[table.LOGIN_FAILED] / counts[table.LOGIN] < 0.06
    for kind in (table.PASSWORD_RESET, table.DEVICE_ENROLLED, table.LIMIT_CHANGE):
        assert 0 < counts[kind] < 0.003
    calls = lived.acts["duration_s"][lived.acts["type"] == table.PHONE_SESSION]
    assert len(calls)
    assert (calls > 0).all()
    assert ((lived.acts["duration_s"] >= 0) == (lived.acts["type"] == table.PHONE_SESSION)).all()


def test_few_transactions_are_declined(lived: Lived):
    assert 0.006 < (lived.rows["status"] == table.DECLINED).mean() < 0.025


def test_balances_neither_run_away_nor_run_out(lived: Lived):
    alive = lived.bank.is_dormant == 0
    before = np.median(lived.balance_at_first[alive])
    assert 0.5 * before < np.median(lived.bank.balance[alive]) < 1.6 * before
    assert (lived.bank.balance[alive] < 0).mean() < 0.02


def test_orders_online_jump_when_everybody_has_a_sale():
    bank = make_population(8, 1_500, 4.0, _start(dt.date(2026, 11, 2)))
    habits = Habits(bank, 8, 12)

    def orders(day: int) -> int:
        return int((habits.day(day)[0]["channel"] == table.ONLINE).sum())

    assert orders(9) > 1.7 * orders(2)  # Wednesday the eleventh, and the week before


def test_travellers_pay_abroad_in_the_money_of_the_place_after_the_flight():
    bank = make_population(9, 600, 12.0, _start(FIRST))
    usual = np.flatnonzero((bank.n_cards == 2) & (bank.account_segment == ORDINARY))
    alone, with_partner = (int(a) for a in usual[:2])
    trips = (
        Trip(0, alone, 2, 8, places.TOKYO, partner_stays=False),
        Trip(1, with_partner, 1, 9, places.PARIS, partner_stays=True),
    )
    habits = Habits(bank, 9, 12, trips)
    days = [habits.day(day)[0] for day in range(12)]
    for day, rows in enumerate(days):
        at_counter = np.isin(rows["channel"], [table.POS, table.ATM])
        mine = at_counter & (rows["account"] == alone)
        if day in (2, 8):
            assert not mine.any()
        elif 2 < day < 8:
            assert (rows["city"][mine] == places.TOKYO).all()
            assert (rows["currency"][mine] == table.JPY).all()
            assert (rows["attempt"][mine] == 0).all()
        else:
            assert (rows["city"][mine] == bank.account_city[alone]).all()
            assert (rows["attempt"][mine] == -1).all()
    rows = Table.joined(days[2:9])
    family = (rows["account"] == with_partner) & np.isin(rows["channel"], [table.POS])
    first, second = family & (rows["card"] % 2 == 0), family & (rows["card"] % 2 == 1)
    assert (rows["city"][first] == places.PARIS).all()
    assert (rows["currency"][first] == table.EUR).all()
    assert (rows["city"][second] == bank.account_city[with_partner]).all()
    assert (rows["attempt"][second] == -1).all()
    assert first.any()
    assert second.any()


def test_nobody_is_in_two_cities_on_one_day(lived: Lived):
    rows = lived.rows
    at_place = np.isin(rows["channel"], [table.POS, table.ATM, table.BRANCH_CASH])
    at_place &= rows["card"] >= 0
    owner = lived.bank.customer[rows["account"][at_place]]
    seen = np.unique(np.stack([owner, lived.day[at_place], rows["city"][at_place]]), axis=1)
    who_when = np.unique(seen[:2], axis=1)
    assert seen.shape == (3, who_when.shape[1])
    away = seen[2] != lived.bank.city[seen[0]]
    assert 0.005 < away.mean() < 0.08
    # and between two cities lies at least a day on the way
    place = {(int(c), int(d)): int(city) for c, d, city in seen.T}
    neighbours = [(place[c, d], place[c, d + 1]) for c, d in place if (c, d + 1) in place]
    assert len(neighbours) > 10_000
    assert all(today == tomorrow for today, tomorrow in neighbours)


def test_nobody_gives_most_of_what_they_have_to_somebody_new():
    bank = make_population(13, 4_000, 4.0, _start(FIRST))
    bank.balance[:] = 60_000  # six hundred yuan each
    rows, acts = Habits(bank, 13, 3).day(1)
    new = acts["payee"][acts["type"] == table.PAYEE_ADDED]
    private = bank.is_legal[bank.customer[rows["account"]]] == 0
    paid = np.flatnonzero(np.isin(rows["counterparty"], new) & private)
    assert len(paid) > 20
    assert (rows["amount"][paid] <= 12_000).all()
