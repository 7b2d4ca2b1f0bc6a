"""What follows from transactions of the generated bank: clearing, refunds, challenges, and labels that come late."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import pytest

from replay.bank import places, table
from replay.bank.aftermath import Aftermath, Followers, typology_names
from replay.bank.habits import Habits
from replay.bank.merchants import FUEL
from replay.bank.population import DAY_US, Population, make_population
from replay.bank.table import Table

START_US = 1_772_380_800_000_000  # 2 March 2026 in Shanghai
HOUR_US = 3_600_000_000
DAYS = 8
LONG = 200  # days that the recordings of labels are taken to last, so that all of them arrive


@dataclass
class Plan:
    """What the aftermath reads of an attempt."""

    typology: str
    is_honest: bool
    day: int


@dataclass
class Told:
    """Transactions of some days, numbered, and what followed."""

    bank: Population
    rows: Table
    following: Followers


def _joined(parts: list[Followers]) -> Followers:
    names = ("updates", "labels", "activities", "transactions")
    return Followers(*(Table.joined([getattr(part, name) for part in parts]) for name in names))


@pytest.fixture(scope="module")
def told() -> Told:
    bank = make_population(6, 1_500, 4.0, START_US)
    habits, aftermath = Habits(bank, 6, DAYS), Aftermath(bank, 6, LONG, [])
    days, parts, n = [], [], 0
    for day in range(DAYS):
        rows = habits.day(day)[0]
        parts.append(aftermath.of(day, rows, n + np.arange(rows.n)))
        n += rows.n
        days.append(rows)
    return Told(bank, Table.joined(days), _joined(parts))


def _since_midnight(time_us: np.ndarray) -> np.ndarray:
    return (time_us - START_US) % DAY_US


def _attempt_rows(attempts: list[Plan], rows_each: int = 3, *, device: int = -1) -> Table:
    """Rows of attempts, a minute apart at noon of their day; every one has an account of its own."""
    n = len(attempts) * rows_each
    attempt = np.repeat(np.arange(len(attempts)), rows_each)
    day = np.array([plan.day for plan in attempts])[attempt]
    return Table.transactions(
        n,
        time_us=START_US
        + day * DAY_US
        + 12 * HOUR_US
        + np.tile(np.arange(rows_each), len(attempts)) * 60_000_000,
        type=table.CARD_AUTH,
        account=attempt % 100,
        card=2 * (attempt % 100),
        amount=90_000,
        status=table.REQUESTED,
        channel=table.ONLINE,
        entry_mode=table.ECOMMERCE,
        merchant=0,
        device=device,
        attempt=attempt,
    )


def _labels_of(attempts: list[Plan], days: int = LONG, **more: int) -> tuple[Table, Table]:
    bank = make_population(1, 200, 4.0, START_US)
    rows = _attempt_rows(attempts, **more)
    return rows, Aftermath(bank, 4, days, attempts).of(0, rows, np.arange(rows.n)).labels


# --------------------------------------------------------------- updates


def test_card_purchases_are_cleared_at_night_within_three_nights(told: Told):
    rows, updates = told.rows, told.following.updates
    is_card = rows["type"][updates["number"]] == table.CARD_AUTH
    cleared = updates.take(is_card & (updates["status"] == table.UPDATED_BOOKED))
    at = _since_midnight(cleared["arrival_us"])
    assert ((at >= HOUR_US) & (at < 4 * HOUR_US)).all()
    asked = rows["time_us"][cleared["number"]]
    nights = (cleared["arrival_us"] - START_US) // DAY_US - (asked - START_US) // DAY_US
    share = np.bincount(nights, minlength=4) / cleared.n
    assert share[0] == 0
    assert set(np.unique(nights).tolist()) == {1, 2, 3}
    assert share[1] > 0.7
    # in batches: the minutes in which anything arrives are few
    minutes = np.unique(at // 60_000_000)
    assert len(minutes) < 70


def test_nothing_is_cleared_that_was_declined_and_nothing_twice(told: Told):
    rows, updates = told.rows, told.following.updates
    asked = (rows["type"] == table.CARD_AUTH) & (rows["status"] != table.DECLINED)
    touched = updates.take(rows["type"][updates["number"]] == table.CARD_AUTH)
    assert asked[touched["number"]].all()
    assert max(Counter(touched["number"].tolist()).values()) == 1
    assert 0.97 < touched.n / asked.sum() < 1.0
    assert (rows["account"][updates["number"]] == updates["account"]).all()
    assert (rows["currency"][updates["number"]] == updates["currency"]).all()
    assert (updates["arrival_us"] > rows["time_us"][updates["number"]]).all()


def test_nine_in_ten_are_cleared_as_authorised_and_fuel_up_or_down(told: Told):
    rows, updates = told.rows, told.following.updates
    cleared = updates.take(updates["amount"] >= 0)
    asked = rows["amount"][cleared["number"]]
    assert 0.86 < (cleared["amount"] == asked).mean() < 0.95
    assert (cleared["amount"] > 0).all()
    fuel = told.bank.merchants.category[rows["merchant"][cleared["number"]]] == FUEL
    assert (cleared["amount"] < asked)[fuel].mean() > 0.2
    assert (cleared["amount"] > asked)[fuel].any()


def test_guests_abroad_tip_and_nobody_tips_at_home():
    bank = make_population(1, 200, 4.0, START_US)
    shops = bank.merchants
    restaurants = np.array(
        [shops.of_category(3, city=places.NEW_YORK)[0], shops.of_category(3, city=0)[0]]
    )
    rows = Table.transactions(
        4_000,
        time_us=START_US + 12 * HOUR_US,
        type=table.CARD_AUTH,
        account=0,
        card=0,
        amount=10_000,
        amount_cny=10_000,
        status=table.REQUESTED,
        channel=table.POS,
        merchant=np.tile(restaurants, 2_000),
        attempt=-1,
    )
    updates = Aftermath(bank, 1, LONG, []).of(0, rows, np.arange(4_000)).updates
    booked = updates.take(updates["amount"] >= 0)
    more = booked["amount"] > 10_000
    abroad = booked["number"] % 2 == 0
    assert 0.5 < more[abroad].mean() < 0.7
    assert not more[~abroad].any()
    assert booked["amount"].max() <= 12_000


def test_few_purchases_are_reversed_or_cancelled_within_a_day(told: Told):
    rows, updates = told.rows, told.following.updates
    undone = updates.take(np.isin(updates["status"], [1, 2]))
    asked = (rows["type"] == table.CARD_AUTH) & (rows["status"] != table.DECLINED)
    assert 0.002 < (undone["status"] == table.UPDATED_REVERSED).sum() / asked.sum() < 0.007
    assert (undone["status"] == table.UPDATED_CANCELLED).any()
    assert (undone["arrival_us"] - rows["time_us"][undone["number"]] < DAY_US).all()
    assert (undone["amount"] == -1).all()


def test_some_payments_are_booked_minutes_later_and_a_few_refused(told: Told):
    rows, updates = told.rows, told.following.updates
    paid = updates.take(rows["type"][updates["number"]] == table.PAYMENT)
    asked = (rows["type"] == table.PAYMENT) & (rows["status"] == table.REQUESTED)
    assert asked[paid["number"]].all()
    assert (rows["is_in"][paid["number"]] == 0).all()
    assert 0.5 < (paid["status"] == table.UPDATED_BOOKED).sum() / asked.sum() < 0.6
    assert 0 < (paid["status"] == table.UPDATED_REFUSED).sum() < 0.01 * asked.sum()
    wait = paid["arrival_us"] - rows["time_us"][paid["number"]]
    assert ((wait > 0) & (wait <= 15 * 60_000_000)).all()


# --------------------------------------------------------------- refunds and challenges


def test_refunds_give_back_no_more_than_was_paid_to_the_card_that_paid(told: Told):
    rows, refunds = told.rows, told.following.transactions
    assert (refunds["type"] == table.REFUND).all()
    assert (refunds["is_in"] == 1).all()
    bought = rows.take(refunds["original"])
    for name in ("account", "card", "merchant", "currency"):
        assert (refunds[name] == bought[name]).all()
    assert (refunds["amount"] <= bought["amount"]).all()
    assert (refunds["amount"] > 0).all()
    assert (bought["status"] != table.DECLINED).all()
    full = refunds["amount"] == bought["amount"]
    assert 0.65 < full.mean() < 0.85
    assert (refunds["amount_cny"] == bought["amount_cny"])[full].all()
    wait = refunds["time_us"] - bought["time_us"]
    assert ((wait > 0) & (wait < 14 * DAY_US)).all()
    shops = (rows["type"] == table.CARD_AUTH) & (rows["status"] != table.DECLINED)
    assert 0.008 < refunds.n / shops.sum() < 0.018
    # what was reversed is not refunded too
    undone = told.following.updates.take(np.isin(told.following.updates["status"], [1, 2]))
    assert not np.isin(refunds["original"], undone["number"]).any()


def test_every_question_is_answered_on_the_device_that_was_asked(told: Told):
    acts = told.following.activities
    half = acts.n // 2
    assert half
    asked = np.bincount(acts["type"], minlength=len(table.ACTIVITIES))
    assert asked[table.CHALLENGE_SENT] == half
    assert asked[table.CHALLENGE_PASSED] > 0.88 * half
    assert asked[table.CHALLENGE_PASSED] + asked[table.CHALLENGE_FAILED] == half
    times = defaultdict(list)
    for k in np.flatnonzero(acts["type"] == table.CHALLENGE_SENT).tolist():
        times[acts["account"][k], acts["device"][k], acts["ip"][k]].append(acts["time_us"][k])
    for k in np.flatnonzero(acts["type"] != table.CHALLENGE_SENT).tolist():
        sent = times[acts["account"][k], acts["device"][k], acts["ip"][k]]
        assert any(0 < acts["time_us"][k] - us < 100_000_000 for us in sent)


def test_thieves_mostly_fail_where_owners_mostly_pass():
    attempts = [Plan("card_testing", False, 0) for _ in range(2_000)]
    bank = make_population(1, 200, 4.0, START_US)
    for device, least, most in ((700_000_000, 0.25, 0.45), (0, 0.88, 1.0)):
        rows = _attempt_rows(attempts, device=device)
        acts = Aftermath(bank, 4, LONG, attempts).of(0, rows, np.arange(rows.n)).activities
        counts = np.bincount(acts["type"], minlength=len(table.ACTIVITIES))
        passed = counts[table.CHALLENGE_PASSED] / counts[table.CHALLENGE_SENT]
        assert least < passed < most


# --------------------------------------------------------------- labels


def test_frauds_are_reported_late_by_victims_and_one_in_seven_never():
    attempts = [Plan("account_takeover", False, 5) for _ in range(2_000)]
    rows, labels = _labels_of(attempts)
    fraud = labels.take(labels["label"] == table.FRAUD)
    reported = np.unique(rows["attempt"][fraud["number"]])
    assert 0.82 < len(reported) / 2_000 < 0.88
    delay = (fraud["arrival_us"] - rows["time_us"][fraud["number"]]) / DAY_US
    assert 2.0 < np.median(delay) < 5.0
    assert delay.min() > 0.05
    assert delay.max() < 122
    assert (delay > 14).mean() > 0.03
    sources = np.bincount(fraud["source"], minlength=4) / fraud.n
    assert sources[table.CUSTOMER] > 0.6
    assert sources[table.CHARGEBACK] == 0
    assert sources[table.POLICE] > 0.1
    # all rows of one victim are reported together
    first, last = {}, {}
    for us, k in zip(fraud["arrival_us"].tolist(), fraud["number"].tolist(), strict=True):
        attempt = int(rows["attempt"][k])
        first[attempt] = min(first.get(attempt, us), us)
        last[attempt] = max(last.get(attempt, us), us)
    assert max(last[a] - first[a] for a in first) < HOUR_US
    assert Counter(rows["attempt"][fraud["number"]].tolist()).most_common()[-1][1] == 3


def test_cards_are_charged_back_weeks_later_and_laundering_is_found_by_the_police():
    kinds = [Plan("card_testing", False, 1), Plan("mule", False, 1)] * 1_000
    rows, labels = _labels_of(kinds)
    fraud = labels.take(labels["label"] == table.FRAUD)
    is_card = rows["attempt"][fraud["number"]] % 2 == 0
    charged = fraud["source"] == table.CHARGEBACK
    assert 0.3 < charged[is_card].mean() < 0.5
    assert not charged[~is_card].any()
    days = (fraud["arrival_us"] - rows["time_us"][fraud["number"]])[charged] / DAY_US
    assert ((days >= 20) & (days <= 92)).all()
    assert 30 < np.median(days) < 80
    by_police = fraud["source"] == table.POLICE
    assert 0.3 < by_police[~is_card].mean() < 0.5
    assert not by_police[is_card].any()


def test_a_typology_is_told_for_three_in_five_and_it_is_the_right_one():
    kinds = [Plan("velocity_burst", False, 1), Plan("mule", False, 1), Plan("x", True, 1)] * 600
    assert typology_names(kinds) == ("mule", "velocity_burst")
    rows, labels = _labels_of(kinds)
    fraud = labels.take(labels["label"] == table.FRAUD)
    told = fraud["typology"] >= 0
    assert 0.55 < told.mean() < 0.65
    right = np.where(rows["attempt"][fraud["number"]] % 3 == 0, 1, 0)
    assert (fraud["typology"][told] == right[told]).all()
    assert (labels["typology"][labels["label"] != table.FRAUD] == -1).all()


def test_look_alikes_are_never_called_fraud_and_a_third_are_checked():
    attempts = [Plan("wedding_collection", True, 2) for _ in range(1_000)]
    rows, labels = _labels_of(attempts)
    assert (labels["label"] == table.GENUINE).all()
    assert (labels["source"] == table.ANALYST).all()
    assert 0.25 < len(np.unique(rows["attempt"][labels["number"]])) / 1_000 < 0.35


def test_some_verdicts_are_put_right_by_a_later_one():
    attempts = [Plan("account_takeover", False, 1) for _ in range(2_000)]
    _, labels = _labels_of(attempts, rows_each=1)
    verdicts: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for us, number, label in zip(
        *(labels[name].tolist() for name in ("arrival_us", "number", "label")), strict=True
    ):
        verdicts[number].append((us, label))
    twice = [[label for _, label in sorted(found)] for found in verdicts.values() if len(found) > 1]
    assert 0.02 < len(twice) / 2_000 < 0.06
    assert all(found == [table.GENUINE, table.FRAUD] for found in twice)


def test_under_one_in_a_hundred_everyday_transactions_is_checked_and_disputes_end_well(told: Told):
    labels = told.following.labels
    counts = Counter(labels["number"].tolist())
    once = labels.take([counts[number] == 1 for number in labels["number"].tolist()])
    assert (once["label"] == table.GENUINE).all()
    assert 0.005 < once.n / told.rows.n < 0.01
    disputed = labels.take(labels["label"] == table.FRAUD)
    assert 0 < disputed.n < 0.0008 * told.rows.n
    for number, us in zip(
        disputed["number"].tolist(), disputed["arrival_us"].tolist(), strict=True
    ):
        mine = (labels["number"] == number) & (labels["label"] != table.FRAUD)
        assert (labels["arrival_us"][mine] > us).any()
        assert told.rows["type"][number] == table.CARD_AUTH
    at = _since_midnight(once["arrival_us"])
    assert ((at >= 9 * HOUR_US) & (at <= 18 * HOUR_US)).all()
    assert (labels["arrival_us"] > told.rows["time_us"][labels["number"]]).all()
    assert (labels["account"] == told.rows["account"][labels["number"]]).all()


# --------------------------------------------------------------- all


def test_nothing_follows_after_the_recording_ends():
    bank = make_population(6, 300, 4.0, START_US)
    rows = Habits(bank, 6, 4).day(2)[0]
    attempts = [Plan("mule", False, 2)] * 20
    following = Aftermath(bank, 6, 4, attempts).of(2, rows, np.arange(rows.n))
    end_us = START_US + 4 * DAY_US
    for drawn, name in (
        (following.updates, "arrival_us"),
        (following.labels, "arrival_us"),
        (following.activities, "time_us"),
        (following.transactions, "time_us"),
    ):
        assert drawn.n
        assert (drawn[name] < end_us).all()


def test_one_seed_always_has_the_same_aftermath_and_another_seed_another():
    bank = make_population(6, 300, 4.0, START_US)
    rows = Habits(bank, 6, 4).day(2)[0]

    def labels(seed: int) -> tuple[Table, Table]:
        following = Aftermath(bank, seed, LONG, []).of(2, rows, np.arange(rows.n))
        return following.labels, following.updates

    for was, now, other in zip(labels(1), labels(1), labels(2), strict=True):
        assert all(np.array_equal(was[name], now[name]) for name in was.columns)
        assert not np.array_equal(was["number"], other["number"])
