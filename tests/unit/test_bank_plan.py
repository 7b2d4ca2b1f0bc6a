"""The plan of attempts: how many, who, when; and that it makes as much fraud as was asked for."""

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest

from replay.bank import table
from replay.bank.habits import Habits
from replay.bank.lookalikes import LOOKALIKES
from replay.bank.plan import make_plan, trips
from replay.bank.population import make_population
from replay.bank.scene import Scene
from replay.bank.table import Table
from replay.bank.typologies import TYPOLOGIES

DAY = 86_400_000_000
MIDNIGHT = 1_772_380_800_000_000  # 2026-03-02 in Shanghai
NAMES = {kind.name for kind in TYPOLOGIES}
VARIANTS = {(name, variant) for name in NAMES for variant in ("easy", "hard")}


def recorded(seed, n_accounts, days, share=0.0006):
    """Play a plan with everyday life: (population, plan, rows of each attempt, number of all rows, days of staging)."""
    population = make_population(seed, n_accounts, 4.0, MIDNIGHT)
    plan = make_plan(population, seed, days, share)
    habits = Habits(population, seed, days, trips(plan))
    waiting = {attempt.number: attempt.day for attempt in plan if attempt.stage is not None}
    later, n_rows, marks = [], 0, []
    for day in range(days):
        honest, _ = habits.day(day)
        for number in [number for number, due in waiting.items() if due == day]:
            attempt = plan[number]
            scene = Scene(
                population=population,
                rng=np.random.default_rng([seed, 5, number, day]),
                attempt=number,
                account=attempt.account,
                start_us=MIDNIGHT + day * DAY,
                balance=population.balance,
                honest=honest,
                others=np.array(attempt.others, np.int64),
                end_us=MIDNIGHT + days * DAY,
                is_modest=attempt.is_modest,
            )
            if attempt.stage(scene):
                later += scene.transactions
                waiting[number] = -1
            else:
                assert not scene.transactions
                waiting[number] = day + 1
        rows = Table.joined([honest, *later])
        now = rows["time_us"] < MIDNIGHT + (day + 1) * DAY
        later, rows = [rows.take(~now)], rows.take(now)
        moved = np.where(rows["is_in"] == 1, rows["amount_cny"], -rows["amount_cny"])
        moved[rows["status"] == table.DECLINED] = 0
        np.add.at(population.balance, rows["account"], moved)
        n_rows += rows.n
        marks.append(rows.take(rows["attempt"] >= 0))
    return population, plan, Table.joined(marks), n_rows


@pytest.fixture(scope="module")
def bank():
    return recorded(3, 5_000, 60)


def fraud_rows(plan, marks):
    is_fraud = np.array([not attempt.is_honest for attempt in plan])
    return marks.take(is_fraud[marks["attempt"]])


def spans(plan):
    """(account, first day, last day, attempt) of everybody in every attempt."""
    return [(a, at.day, at.day + at.days - 1, at) for at in plan for a in at.accounts]


def test_fraud_is_about_the_share_that_was_asked_for(bank):
    _, plan, marks, n_rows = bank
    share = fraud_rows(plan, marks).n / n_rows
    assert 0.0002 <= share <= 0.001
    assert share == pytest.approx(0.0006, rel=0.12)


@pytest.mark.parametrize("share", [0.0002, 0.001])
def test_more_fraud_is_more_attempts(share):
    population = make_population(3, 12_500, 4.0, MIDNIGHT)
    plan = make_plan(population, 3, 60, share)
    rows = {(k.name, v.name): v.n_rows for k in TYPOLOGIES for v in k.variants}
    planned = sum(rows[a.typology, a.variant] for a in plan if not a.is_honest)
    assert planned / (population.per_day.sum() * 60) == pytest.approx(share, rel=0.05)
    assert not plan[0].is_modest


def test_every_typology_has_as_many_easy_as_hard_attempts_and_every_look_alike_is_there(bank):
    _, plan, marks, _ = bank
    count = Counter((a.typology, a.variant) for a in plan)
    assert {key for key in count if key[1]} == VARIANTS
    easy_and_hard = np.array([[count[name, "easy"], count[name, "hard"]] for name in NAMES])
    assert (abs(easy_and_hard[:, 0] - easy_and_hard[:, 1]) <= 1).all()
    assert np.ptp(easy_and_hard) <= 2
    assert {a.typology for a in plan if a.is_honest} == {kind.name for kind in LOOKALIKES}
    n_fraud = sum(not a.is_honest for a in plan)
    assert len(plan) - n_fraud == pytest.approx(2 * n_fraud, rel=0.05)
    seen = {plan[k].name for k in set(marks["attempt"].tolist())}
    assert len(seen) > 0.95 * len(plan)


def test_a_demo_has_every_variant_and_stays_below_a_tenth_of_a_percent():
    """Three weeks of 2,000 customers."""
    for seed in (1, 2, 3):
        _, plan, marks, n_rows = recorded(seed, 2_500, 21)
        rows = fraud_rows(plan, marks)
        seen = {(plan[k].typology, plan[k].variant) for k in set(rows["attempt"].tolist())}
        assert len(VARIANTS - seen) <= 1  # one may lack its opportunity
        assert {name for name, _ in seen} == NAMES
        assert rows.n / n_rows <= 0.001


def test_ten_days_of_a_few_hundred_accounts_have_every_typology():
    population = make_population(8, 600, 4.0, MIDNIGHT)
    plan = make_plan(population, 8, 10)
    assert {a.typology for a in plan} >= NAMES
    assert all(a.is_modest for a in plan)
    assert max(Counter(a.typology for a in plan if not a.is_honest).values()) == 2


def test_nobody_is_in_two_attempts_at_once(bank):
    _, plan, _, _ = bank
    of = {}
    for account, first, last, attempt in spans(plan):
        for other_first, other_last, other in of.setdefault(account, []):
            assert last < other_first or other_last < first, (attempt.name, other.name)
        of[account].append((first, last, attempt))
    accounts = [account for account, *_ in spans(plan)]
    assert len(set(accounts)) == len(accounts)  # with so many accounts nobody is needed twice


def test_where_a_bank_is_too_small_accounts_rest_between_two_attempts():
    population = make_population(4, 150, 40.0, MIDNIGHT)
    plan = make_plan(population, 4, 90)
    of = {}
    for account, first, last, _ in spans(plan):
        of.setdefault(account, []).append((first, last))
    twice = [sorted(each) for each in of.values() if len(each) > 1]
    assert twice
    assert all(b[0] - a[1] > 10 for each in twice for a, b in itertools.pairwise(each))


def test_rows_of_attempts_belong_to_the_accounts_that_were_kept_free_or_to_those_they_pay(bank):
    _, plan, marks, _ = bank
    for attempt in plan:
        rows = marks.take(marks["attempt"] == attempt.number)
        paid = set(rows["counterparty"][rows["is_in"] == 0].tolist())
        assert set(rows["account"].tolist()) <= {*attempt.accounts, *paid}


def test_fraud_begins_after_a_week_or_a_third_of_the_days_and_has_room(bank):
    _, plan, marks, _ = bank
    assert min(a.day for a in plan) >= 7
    assert all(a.day + a.days <= 60 for a in plan)
    assert marks["time_us"].min() >= MIDNIGHT + 7 * DAY
    short = make_plan(make_population(3, 1_000, 4.0, MIDNIGHT), 3, 12)
    assert min(a.day for a in short) >= 4
    days = [a.day for a in plan if a.days == 1]
    assert np.ptp(days) > 35  # spread over the whole recording


def test_the_same_seed_gives_the_same_plan_and_another_one_another():
    population = make_population(3, 2_500, 4.0, MIDNIGHT)
    once, again, other = (make_plan(population, seed, 30) for seed in (3, 3, 4))

    def told(plan):
        return [(a.name, a.accounts, a.day, a.trip) for a in plan]

    assert told(once) == told(again)
    assert told(once) != told(other)


def test_names_and_numbers_are_unique_and_say_what_an_attempt_is(bank):
    _, plan, _, _ = bank
    assert [a.number for a in plan] == list(range(len(plan)))
    assert len({a.name for a in plan}) == len(plan)
    for a in plan:
        kind, k = a.name.rsplit("-", 1)
        assert len(k) == 4
        assert kind == (f"{a.typology}-{a.variant}" if a.variant else a.typology)
        assert a.is_honest == (not a.variant) == (a.typology not in NAMES)


def test_without_fraud_there_are_no_attempts():
    population = make_population(3, 500, 4.0, MIDNIGHT)
    assert make_plan(population, 3, 30, 0.0) == []


def test_a_kind_for_which_nobody_is_left_is_missing():
    population = make_population(3, 1_000, 4.0, MIDNIGHT)
    awake = dataclasses.replace(population, is_dormant=np.zeros_like(population.is_dormant))
    kinds = {a.typology for a in make_plan(awake, 3, 30)}
    assert {"dormant_drain", "returnee"}.isdisjoint(kinds)
    assert NAMES - kinds == {"dormant_drain"}


def test_mules_are_young_on_the_day_they_begin(bank):
    population, plan, _, _ = bank
    for a in plan:
        if a.typology == "mule":
            age = (MIDNIGHT + a.day * DAY - population.opened_us[a.account]) / DAY
            assert (age < 60) if a.variant == "easy" else (60 <= age < 401)


def test_an_attempt_that_finds_no_opportunity_leaves_nothing_behind():
    """Victims without money are left out; when too few are left, their everyday purchases are not made either."""
    population = make_population(3, 2_500, 4.0, MIDNIGHT)
    plan = make_plan(population, 3, 30)
    attempt = next(a for a in plan if a.typology == "merchant_compromise")
    for rich, is_staged in ((population.n_accounts, True), (0, False)):
        balance = np.where(np.arange(population.n_accounts) < rich, population.balance, 0)
        balance[[attempt.account, *attempt.others[:3]]] = 10_000_00
        scene = Scene(
            population=population,
            rng=np.random.default_rng(2),
            attempt=attempt.number,
            account=attempt.account,
            start_us=MIDNIGHT,
            balance=balance,
            honest=Table.transactions(0),
            others=np.array(attempt.others, np.int64),
        )
        assert attempt.stage(scene) == is_staged
        assert bool(scene.transactions) == is_staged


def test_journeys_are_those_of_the_plan_and_fit_their_attempts(bank):
    population, plan, marks, _ = bank
    made = trips(plan)
    assert {plan[trip.attempt].typology for trip in made} == {"family_holiday", "business_trip"}
    for trip in made:
        attempt = plan[trip.attempt]
        assert (trip.account, trip.first_day) == (attempt.account, attempt.day)
        assert trip.first_day < trip.last_day <= attempt.day + 8
        rows = marks.take(marks["attempt"] == trip.attempt)
        assert set(rows["account"].tolist()) <= set(attempt.accounts)
        assert len(set(population.customer[list(attempt.accounts)])) == 1
