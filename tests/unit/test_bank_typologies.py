"""Attempts at fraud and honest look-alikes: each leaves the rows its description promises, and can be paid for."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from replay.bank import places, table
from replay.bank.habits import Habits
from replay.bank.kinds import Casting, Kind, Variant
from replay.bank.lookalikes import LOOKALIKES
from replay.bank.plan import make_plan
from replay.bank.population import ELDERLY, FRESH, make_population
from replay.bank.scene import KIOSK, N_KIOSKS, Scene
from replay.bank.table import OUTSIDE, Table
from replay.bank.typologies import TYPOLOGIES

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
YUAN = 100
MIDNIGHT = 1_772_380_800_000_000  # 2026-03-02 in Shanghai
N_ACCOUNTS, DAYS, DAY_0 = 3_000, 60, 12
N_TIMES = 8
ATTEMPT = 77
FRAUDS = [(kind, variant) for kind in TYPOLOGIES for variant in kind.variants]
HONEST = [(kind, kind.variants[0]) for kind in LOOKALIKES if kind.variants[0].stage is not None]
IDS = [f"{kind.name}-{variant.name}" for kind, variant in FRAUDS]
# What an attempt leaves: rows, and hours from the first to the last, at least and at most.
PROMISED = {
    "card_testing-easy": ((7, 15), (0.1, 2)),
    "card_testing-hard": ((4, 7), (4, 24)),
    "account_takeover-easy": ((1, 3), (0, 1)),
    "account_takeover-hard": ((3, 5), (8, 48)),
    "elderly_persuaded-easy": ((1, 4), (0, 2.5)),
    "elderly_persuaded-hard": ((2, 4), (0, 74)),
    "impossible_travel-easy": ((2, 4), (0, 1.5)),
    "impossible_travel-hard": ((1, 2), (0, 0.5)),
    "structuring-easy": ((4, 7), (0, 72)),
    "structuring-hard": ((4, 6), (72, 192)),
    "dormant_drain-easy": ((2, 5), (0.3, 24)),
    "dormant_drain-hard": ((4, 6), (24, 120)),
    "mule-easy": ((7, 16), (0.5, 12)),
    "mule-hard": ((7, 14), (3, 72)),
    "salary_mule-easy": ((8, 12), (48, 340)),
    "salary_mule-hard": ((6, 9), (12, 390)),
    "shared_device-easy": ((8, 12), (2, 24)),
    "shared_device-hard": ((4, 5), (12, 122)),
    "merchant_compromise-easy": ((20, 32), (0.3, 1)),
    "merchant_compromise-hard": ((9, 14), (6, 12)),
    "velocity_burst-easy": ((12, 22), (0.1, 0.25)),
    "velocity_burst-hard": ((7, 10), (0.5, 1.5)),
    "round_trip-easy": ((12, 18), (18, 72)),
    "round_trip-hard": ((8, 16), (36, 132)),
    "refund_abuse-easy": ((4, 7), (0, 48)),
    "refund_abuse-hard": ((6, 8), (72, 192)),
}


@dataclass
class Played:
    """One attempt after it was staged."""

    scene: Scene
    everyday: Table  # rows that the attempt needs and that carry no mark
    rows: Table  # marked ones, in order of time
    acts: Table

    def of(self, **equal):
        """Marked rows where each column equals."""
        keep = np.ones(self.rows.n, bool)
        for name, value in equal.items():
            keep &= self.rows[name] == value
        return self.rows.take(keep)

    def act(self, type_):
        return self.acts.take(self.acts["type"] == type_)

    @property
    def balance(self):
        return int(self.scene.balance[self.scene.account])


@pytest.fixture(scope="module")
def bank():
    """A population, and what it does anyway on the day when everything is staged."""
    population = make_population(5, N_ACCOUNTS, 4.0, MIDNIGHT)
    habits = Habits(population, 5, DAYS, ())
    return population, habits.day(DAY_0)[0]


def eligible(kind: Kind, variant: Variant, population):
    able = kind.eligible(population, DAY_0)
    return np.flatnonzero(able & variant.eligible(population, DAY_0) if variant.eligible else able)


def staged(bank, kind, variant, seed, account=None, *, is_modest=False):
    """Stage one attempt; None: the account had no opportunity."""
    population, honest = bank
    rng = np.random.default_rng([9, seed])
    account = int(rng.choice(eligible(kind, variant, population))) if account is None else account
    free = np.ones(population.n_accounts, bool)
    others = kind.cast(Casting(population, rng, DAY_0, free, account, variant.n_others))
    if others is None:
        return None
    scene = Scene(
        population=population,
        rng=rng,
        attempt=ATTEMPT,
        account=account,
        start_us=MIDNIGHT + DAY_0 * DAY,
        balance=population.balance.copy(),
        honest=honest,
        others=others,
        end_us=MIDNIGHT + DAYS * DAY,
        is_modest=is_modest,
        destination=places.N_HOME_CITIES - 1,
    )
    if not variant.stage(scene):
        return None
    rows = Table.joined(scene.transactions)
    rows = rows.take(np.argsort(rows["time_us"], kind="stable"))
    acts = Table.joined([*scene.activities, Table.activities(0)])
    mine = rows["attempt"] == ATTEMPT
    return Played(scene, rows.take(~mine), rows.take(mine), acts)


@pytest.fixture(scope="module")
def played(bank):
    """Every kind some times: {(name, variant): attempts}."""
    found = {}
    for kind, variant in [*FRAUDS, *HONEST]:
        tried = (staged(bank, kind, variant, seed) for seed in range(400))
        some = []
        for each in tried:
            if each is not None:
                some.append(each)
            if len(some) == N_TIMES:
                break
        found[kind.name, variant.name] = some
    return found


def span(rows):
    return int(rows["time_us"].max() - rows["time_us"].min())


def strange(rows):
    return rows["device"] >= FRESH


def test_there_are_thirteen_typologies_in_two_variants_and_some_twenty_kinds_of_look_alikes():
    assert len(TYPOLOGIES) == 13
    assert all([v.name for v in kind.variants] == ["easy", "hard"] for kind in TYPOLOGIES)
    assert not any(kind.is_honest for kind in TYPOLOGIES)
    assert all(kind.is_honest for kind in LOOKALIKES)
    assert len({kind.name for kind in (*TYPOLOGIES, *LOOKALIKES)}) == 13 + 24


@pytest.mark.parametrize("name", IDS)
def test_an_attempt_leaves_as_many_rows_in_as_long_a_time_as_promised(played, name):
    (low, high), (shortest, longest) = PROMISED[name]
    for each in played[tuple(name.split("-"))]:
        assert low <= each.rows.n <= high
        assert shortest * HOUR <= span(each.rows) <= longest * HOUR
        assert each.rows["is_money"].any()


@pytest.mark.parametrize(("kind", "variant"), FRAUDS, ids=IDS)
@pytest.mark.parametrize("is_modest", [False, True])
def test_the_plan_knows_how_many_rows_an_attempt_has_on_average(bank, kind, variant, is_modest):
    drawn = [staged(bank, kind, variant, 500 + seed, is_modest=is_modest) for seed in range(90)]
    rows = [each.rows.n for each in drawn if each is not None]
    promised = variant.n_rows_modest if is_modest else variant.n_rows
    assert len(rows) > 20
    assert np.mean(rows) == pytest.approx(promised, rel=0.12, abs=0.4)


@pytest.mark.parametrize(
    ("kind", "variant"), [*FRAUDS, *HONEST], ids=[*IDS, *(k.name for k, _ in HONEST)]
)
def test_attempts_begin_on_their_day_in_their_accounts_and_can_be_paid(played, kind, variant):
    """No row before the day; rows on the accounts that were kept free, or on those that are paid; no overdraft."""
    some = played[kind.name, variant.name]
    assert len(some) == N_TIMES
    for each in some:
        scene = each.scene
        rows = Table.joined([each.rows, each.everyday])
        rows = rows.take(np.argsort(rows["time_us"], kind="stable"))
        for drawn in (rows, each.acts):
            assert not drawn.n or drawn["time_us"].min() >= scene.start_us
        last_us = rows["time_us"].max()
        assert last_us < scene.start_us + (variant.days + 2) * DAY
        cast = {scene.account, *scene.others.tolist()}
        payers = set(rows["account"][rows["is_in"] == 0].tolist())
        assert payers <= cast
        moved = np.where(rows["is_in"] == 1, rows["amount_cny"], -rows["amount_cny"])
        moved[rows["status"] == table.DECLINED] = 0
        for payer in payers:
            mine = rows["account"] == payer
            assert scene.balance[payer] + np.cumsum(moved[mine]).min() >= 0


@pytest.mark.parametrize(
    ("kind", "variant"), [*FRAUDS, *HONEST], ids=[*IDS, *(k.name for k, _ in HONEST)]
)
def test_rows_carry_the_fields_that_everyday_rows_of_their_type_carry(bank, played, kind, variant):
    """Which fields are there, by type, channel and direction; chance decides none of it."""
    population, _ = bank
    day = Table.joined([Habits(population, 5, DAYS, ()).day(d)[0] for d in (8, 13, 24)])
    optional = {"purpose", "counterparty_country", "attempt", "is_money", "original", "entry_mode"}
    names = [name for name in table.TRANSACTION_COLUMNS if name not in optional]

    def shapes(rows):
        keys = np.stack([rows["type"], rows["channel"], rows["is_in"]], axis=1).tolist()
        present = np.stack([rows[name] >= 0 for name in names], axis=1).tolist()
        return set(zip(map(tuple, keys), map(tuple, present), strict=True))

    known = shapes(day)
    known_keys = {key for key, _ in known}
    for each in played[kind.name, variant.name]:
        for key, present in shapes(each.rows):
            if key[0] == table.REFUND:  # everyday refunds are made by the aftermath
                at_counter = key[1] == table.POS
                has = dict(zip(names, present, strict=True))
                assert has["card"]
                assert has["merchant"]
                assert has["city"]
                assert has["terminal"] == at_counter
                assert not has["device"]
            else:
                assert key in known_keys
                assert (key, present) in known, (key, dict(zip(names, present, strict=True)))


def test_honest_people_sleep_and_counters_and_shops_are_open_by_day(played):
    """Look-alikes between six and midnight; branches from nine to five; refunds when shops are at work."""
    hours = []
    for (name, variant), some in played.items():
        for each in some:
            hour = (each.rows["time_us"] - MIDNIGHT) % DAY / HOUR
            if not variant:
                hours.extend(hour.tolist())
                assert (hour >= 6).all(), name
            cash = np.isin(each.rows["channel"], [table.BRANCH_CASH, table.BRANCH])
            assert ((hour[cash] >= 8.9) & (hour[cash] <= 17.1)).all()
            back = each.rows["type"] == table.REFUND
            assert ((hour[back] >= 8.9) & (hour[back] <= 21.5)).all()
    assert np.ptp(hours) > 15


def test_legs_inside_the_bank_come_in_pairs(played):
    """What one account of the bank pays to another is received there, all of it, seconds later, in the same attempt."""
    n_pairs = 0
    for some in played.values():
        for each in some:
            for rows in (each.rows, each.everyday):
                out = rows.take((rows["is_in"] == 0) & (rows["counterparty"] >= 0))
                out = out.take(out["counterparty"] < OUTSIDE)
                come = rows.take((rows["is_in"] == 1) & (rows["counterparty"] >= 0))
                come = come.take(come["counterparty"] < OUTSIDE)
                sent = Counter(zip(out["account"], out["counterparty"], out["amount"], strict=True))
                got = Counter(
                    zip(come["counterparty"], come["account"], come["amount"], strict=True)
                )
                assert sent == got
                n_pairs += out.n
    assert n_pairs > 100


def test_the_same_seed_stages_the_same_attempt_and_another_seed_another(bank):
    for kind, variant in [*FRAUDS, *HONEST]:
        drawn = [staged(bank, kind, variant, seed) for seed in (*range(12), *range(12))]
        tables = [None if each is None else each.rows.columns for each in drawn]
        for one, two in zip(tables[:12], tables[12:], strict=True):
            assert (one is None) == (two is None)
            assert one is None or all((one[name] == two[name]).all() for name in one)
        times = [tuple(t["time_us"]) for t in tables[:12] if t is not None]
        sums = [tuple(t["amount"]) for t in tables[:12] if t is not None]
        assert len(set(times)) == len(times), kind.name
        assert len(set(sums)) > 0.6 * len(sums), kind.name


@pytest.mark.parametrize(
    "names",
    [
        ("account_takeover", "elderly_persuaded", "dormant_drain"),
        ("mule", "shared_device"),
        ("merchant_compromise", "velocity_burst"),
    ],
)
def test_amounts_are_neither_all_round_nor_all_odd(played, names):
    """Of the sums that thieves type and the prices they pay, some are whole hundreds or tens and some have fen."""
    some = [e.rows for n in names for v in ("easy", "hard") for e in played[n, v]]
    fen = np.concatenate([rows["amount"][rows["currency"] == table.CNY] for rows in some])
    assert 0.1 < np.mean(fen % (10 * YUAN) == 0) < 0.75
    assert 0.05 < np.mean(fen % YUAN != 0) < 0.75


def test_an_account_without_money_is_no_opportunity(bank):
    population, honest = bank
    poor = np.zeros_like(population.balance)
    for name in ("account_takeover", "elderly_persuaded", "velocity_burst", "round_trip"):
        kind = next(kind for kind in TYPOLOGIES if kind.name == name)
        for variant in kind.variants:
            account = int(eligible(kind, variant, population)[0])
            others = np.array([1, 2, 3])
            scene = Scene(
                population, np.random.default_rng(1), 1, account, MIDNIGHT, poor, honest, others
            )
            assert not variant.stage(scene)


def test_a_third_of_the_hard_attempts_pay_without_entering_a_payee_first(bank):
    """By code or telephone number; easy ones enter everybody, and nobody enters some payees of an attempt only."""
    entered = {}
    for name in ("account_takeover", "elderly_persuaded", "dormant_drain", "shared_device"):
        kind = next(kind for kind in TYPOLOGIES if kind.name == name)
        for variant in kind.variants:
            for each in (staged(bank, kind, variant, 1_500 + seed) for seed in range(40)):
                if each is not None:
                    added = set(each.act(table.PAYEE_ADDED)["payee"].tolist())
                    assert not added or set(each.rows["counterparty"].tolist()) <= added
                    entered.setdefault(variant.name, []).append(bool(added))
    assert all(entered["easy"])
    assert 0.55 < np.mean(entered["hard"]) < 0.8


def test_a_third_of_the_hard_take_overs_happen_on_the_owners_own_device(bank):
    kind = next(kind for kind in TYPOLOGIES if kind.name == "account_takeover")
    some = [staged(bank, kind, kind.variants[1], 1_500 + seed) for seed in range(90)]
    own = [not strange(each.rows).any() for each in some if each is not None]
    assert 0.2 < np.mean(own) < 0.5


def test_thieves_in_china_share_the_addresses_of_mobile_networks(bank):
    """Half of them, with honest customers; abroad nobody does."""
    population, honest = bank
    scene = Scene(population, np.random.default_rng(1), 1, 5, MIDNIGHT, population.balance, honest)
    here = np.array([scene.stranger(k % places.N_HOME_CITIES)["ip"] for k in range(300)])
    shared = (here >= places.MOBILE_ADDRESS) & (here < FRESH)
    assert 0.4 < shared.mean() < 0.6
    assert (here[~shared] >= FRESH).all()
    assert np.isin(here[shared], honest["ip"]).mean() > 0.1
    assert all(scene.stranger(places.LONDON)["ip"] >= FRESH for _ in range(20))


def test_what_old_apps_leave_out_is_left_out_of_attempts_too(bank):
    population, honest = bank
    scene = Scene(population, np.random.default_rng(1), 1, 5, MIDNIGHT, population.balance, honest)
    n = 4_000
    scene.buy_online(np.arange(n) + MIDNIGHT, 5, np.full(n, 3), np.full(n, 500))
    scene.unsay(0.1)
    rows = scene.transactions[0]
    no_device, no_address = rows["device"] < 0, rows["ip"] < 0
    assert 0.055 < no_device.mean() < 0.095
    assert 0.03 < no_address.mean() < 0.07
    assert 0.08 < (no_device | no_address).mean() < 0.12
    assert (no_address == (rows["ip_country"] < 0)).all()


# ------------------------------------------------------------ each typology


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_card_testing_tries_tiny_sums_at_different_shops_then_spends(played, variant):
    for each in played["card_testing", variant]:
        tiny, large = each.of(is_money=0), each.of(is_money=1)
        assert (tiny["amount_cny"] <= (31 if variant == "easy" else 81) * YUAN).all()
        low, high = (2_000, 9_000) if variant == "easy" else (300, 3_000)
        assert (large["amount_cny"] >= low * YUAN * 0.98).all()
        assert (large["amount_cny"] <= high * YUAN * 1.02).all()
        assert tiny["time_us"].max() < large["time_us"].min()
        assert len(set(tiny["merchant"])) == tiny.n
        assert strange(each.rows).all() or (variant == "hard" and (each.rows["device"] < 0).all())
        assert set(each.rows["card"]) == {2 * each.scene.account}
        if variant == "easy":
            assert span(tiny) <= 30 * MINUTE
        else:
            assert 4 * HOUR <= span(tiny) <= 20 * HOUR
    shops = played["card_testing", variant][0].scene.population.merchants
    tried = np.concatenate([e.of(is_money=0)["merchant"] for e in played["card_testing", variant]])
    assert 0.2 < (shops.country[tried] != places.CN).mean() < 0.8
    tries = [e.of(is_money=0) for e in played["card_testing", "easy"]]
    assert 0.05 < np.mean(np.concatenate([t["status"] for t in tries]) == table.DECLINED) < 0.45


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_account_takeover_changes_adds_and_takes(played, variant):
    changes = (table.PASSWORD_RESET, table.PHONE_CHANGE, table.SIM_SWAP)
    for each in played["account_takeover", variant]:
        change = each.acts.take(np.isin(each.acts["type"], changes))
        paid, added = each.rows, each.act(table.PAYEE_ADDED)
        first = paid["time_us"].min()
        is_strange = strange(paid)
        assert is_strange.all() or (variant == "hard" and not is_strange.any())
        assert change.n == 1 or not is_strange.any()
        if added.n:
            assert set(paid["counterparty"]) <= set(added["payee"])
            assert added["time_us"].min() < first
        else:
            assert variant == "hard"
        begun = change if change.n else each.acts
        waited = int(first - begun["time_us"].min())
        share = paid["amount"] / each.scene.available(each.scene.account)
        if variant == "easy":
            assert waited < 2 * HOUR
            assert (paid["ip_country"] != places.CN).all()
            login = each.act(table.LOGIN)["time_us"].min()
            assert paid["time_us"].max() - login < 1.1 * HOUR
            assert 0.55 <= share.sum() <= 0.9
        else:
            assert waited > 20 * HOUR or not change.n
            assert waited < 42 * HOUR
            assert (paid["ip_country"] == places.CN).all()
            assert ((share >= 0.1) & (share <= 0.3)).all()
            assert share.sum() < 0.95
            assert len(set(paid["counterparty"])) == 2


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_the_elderly_pay_themselves_while_or_after_somebody_calls(played, variant):
    for each in played["elderly_persuaded", variant]:
        p, paid, calls = each.scene.population, each.rows, each.act(table.PHONE_SESSION)
        assert p.account_segment[each.scene.account] == ELDERLY
        assert set(paid["device"]) == {3 * int(p.customer[each.scene.account])}
        share = paid["amount"] / each.scene.available(each.scene.account)
        before = paid["time_us"][:, None] - calls["time_us"][None, :]
        heard = (before > 0) & (before < 2.2 * HOUR)
        assert heard[0].any()
        added = each.act(table.PAYEE_ADDED)
        assert added.n or variant == "hard"
        assert not added.n or set(paid["counterparty"]) <= set(added["payee"])
        if variant == "easy":
            assert heard.any(axis=1).all()
            assert 20 * 60 <= calls["duration_s"].max() <= 90 * 60
            assert each.act(table.REMOTE_ACCESS).n == 1
            assert each.act(table.LIMIT_CHANGE).n == 1
            assert 0.3 <= share.sum() <= 0.95
        else:
            assert 8 * 60 <= calls["duration_s"].max() <= 25 * 60
            assert each.act(table.REMOTE_ACCESS).n == 0
            assert ((share >= 0.08) & (share <= 0.25)).all()


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_impossible_travel_is_faster_than_any_flight(bank, played, variant):
    _, honest = bank
    kind = next(kind for kind in TYPOLOGIES if kind.name == "impossible_travel")
    chosen = next(v for v in kind.variants if v.name == variant)
    more = [staged(bank, kind, chosen, 900 + seed) for seed in range(60)]
    some = [each for each in more if each is not None] + played["impossible_travel", variant]
    assert len(some) > 20
    for each in some:
        mine = (honest["account"] == each.scene.account) & np.isin(
            honest["entry_mode"], [table.CHIP, table.CONTACTLESS]
        )
        before = honest["time_us"][mine]
        last = before[before < each.rows["time_us"][0]].max()
        waited = each.rows["time_us"][0] - last
        city = int(each.rows["city"][0])
        home = int(honest["city"][mine][np.argmax(before == last)])
        assert (each.rows["city"] == city).all()
        assert (each.rows["terminal"] >= 0).all()
        assert np.isin(each.rows["entry_mode"], [table.CHIP, table.CONTACTLESS]).all()
        km = haversine(places.CITIES[home], places.CITIES[city])
        if variant == "easy":
            assert 0 < waited <= 100 * MINUTE
            assert km > 4_000
        else:
            assert 0 < waited <= 120 * MINUTE
            assert 800 <= km <= 2_000
            assert places.CITY_COUNTRY[city] == places.CN


def haversine(a, b):
    """Great-circle distance by the law of cosines."""
    one, two = np.radians(a.lat), np.radians(b.lat)
    turn = np.radians(a.lon - b.lon)
    return 6_371 * np.arccos(np.sin(one) * np.sin(two) + np.cos(one) * np.cos(two) * np.cos(turn))


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_structuring_stays_below_the_limit_in_whole_banknotes(played, variant):
    for each in played["structuring", variant]:
        rows = each.rows
        assert (rows["type"] == table.CASH_DEPOSIT).all()
        assert (rows["amount"] % (10 * YUAN) == 0).all()
        low, high = (40_000, 49_900) if variant == "easy" else (15_000, 49_000)
        assert (rows["amount"] >= low * YUAN).all()
        assert (rows["amount"] <= high * YUAN).all()
        owner = each.scene.population.customer[rows["account"]]
        assert len(set(owner)) == 1
        if variant == "easy":
            assert len(set(rows["account"])) == 1
    if variant == "hard":
        some = played["structuring", "hard"]
        assert np.mean([len(set(e.rows["city"])) > 1 for e in some]) > 0.4
        channels = Counter(c for e in some for c in e.rows["channel"].tolist())
        assert set(channels) == {table.BRANCH_CASH, table.ATM_DEPOSIT}


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_dormant_drain_wakes_an_old_account_and_empties_it(played, variant):
    for each in played["dormant_drain", variant]:
        p, account = each.scene.population, each.scene.account
        assert p.start_us - p.last_active_us[account] > 180 * DAY
        money = each.of(is_money=1)
        share = money["amount"] / each.balance
        assert (money["counterparty"] >= OUTSIDE).all()
        if variant == "easy":
            assert strange(each.rows).all()
            assert 0.88 <= share.sum() <= 0.98
        else:
            assert each.rows["amount"][0] <= 20 * YUAN
            assert each.act(table.DEVICE_ENROLLED).n == int(strange(each.rows).any())
            assert ((share >= 0.15) & (share <= 0.3)).all()


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_a_mule_collects_from_strangers_and_passes_nearly_all_on(played, variant):
    for each in played["mule", variant]:
        account = each.scene.account
        age = (each.scene.start_us - each.scene.population.opened_us[account]) / DAY
        come = each.of(account=account, is_in=1)
        gone = each.of(account=account, is_in=0)
        senders = len(set(come["counterparty"]))
        passed = gone["amount"].sum() / come["amount"].sum()
        least = (2_000 if variant == "easy" else 400) * YUAN
        assert ((come["amount"] >= least) & (come["amount"] <= 9_000 * YUAN)).all()
        assert senders == come.n
        assert come["time_us"].max() < gone["time_us"].min()
        assert (gone["is_money"] == 1).all()
        if variant == "easy":
            assert age < 60
            assert 6 <= senders <= 11
            assert 1 <= gone.n <= 3
            assert 0.92 <= passed <= 0.99
        else:
            assert 60 <= age < 401
            assert 4 <= senders <= 6
            assert 3 <= gone.n <= 6
            assert 0.72 <= passed <= 0.92
    hard = [e.rows for e in played["mule", "hard"]]
    assert any((rows["type"] == table.CASH_WITHDRAWAL).any() for rows in hard)
    both = [e for v in ("easy", "hard") for e in played["mule", v]]
    assert any(len(set(e.rows["account"])) > 1 for e in both)


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_a_salary_mule_forwards_wages_of_unknown_firms_less_a_commission(played, variant):
    for each in played["salary_mule", variant]:
        come, gone = each.of(is_in=1), each.of(is_in=0)
        assert (come["type"] == table.SALARY).all()
        assert len(set(come["counterparty"])) == come.n
        assert ((come["amount"] >= 4_000 * YUAN) & (come["amount"] <= 15_000 * YUAN)).all()
        parts = 1 if variant == "easy" else 2
        assert come.n in ((4, 5, 6) if variant == "easy" else (2, 3))
        assert gone.n == parts * come.n
        kept = 1 - gone["amount"].sum() / come["amount"].sum()
        assert 0.03 <= kept <= 0.11
        if variant == "easy":
            wait = gone["time_us"] - come["time_us"]
            assert (wait < 24 * HOUR).all()
    countries = [
        country
        for v in ("easy", "hard")
        for e in played["salary_mule", v]
        for country in e.of(is_in=0)["counterparty_country"].tolist()
    ]
    assert -1 in countries  # as everyday payments inside China, it names no country
    assert any(country > places.CN for country in countries)
    assert places.CN not in countries


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_one_strange_device_pays_from_many_accounts(played, variant):
    for each in played["shared_device", variant]:
        assert len(set(each.rows["device"])) == 1
        assert strange(each.rows).all()
        assert len(set(each.rows["account"])) == each.rows.n
        assert ((each.rows["amount"] >= 500 * YUAN) & (each.rows["amount"] <= 4_000 * YUAN)).all()
        payees = len(set(each.rows["counterparty"]))
        assert payees == (3 if variant == "easy" else each.rows.n)
        logged_in = each.act(table.LOGIN)
        assert set(logged_in["account"]) == set(each.rows["account"])
        assert set(logged_in["device"]) == set(each.rows["device"])


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_victims_of_a_merchant_compromise_all_bought_at_one_shop_before(played, variant):
    for each in played["merchant_compromise", variant]:
        before, rows = each.everyday, each.rows
        assert len(set(before["merchant"])) == 1
        shop = int(before["merchant"][0])
        assert set(before["account"]) == set(rows["account"])
        assert before["time_us"].max() < rows["time_us"].min()
        assert (before["attempt"] == -1).all()
        assert not strange(before).any()
        p = each.scene.population
        assert (p.favourites[before["account"]] == shop).any(axis=1).all()
        assert shop not in set(rows["merchant"])
        assert len(set(rows["merchant"])) <= (1 if variant == "easy" else 2)
        hidden = int((rows["device"] < 0).sum())
        assert hidden <= (0 if variant == "easy" else rows.n // 2)
        n_devices = len(set(rows["device"])) + max(hidden - 1, 0)
        assert n_devices == rows.n if variant == "hard" else 3 <= n_devices <= 5
        low, high = (600, 2_400) if variant == "easy" else (150, 1_800)
        assert ((rows["amount"] >= low * YUAN) & (rows["amount"] <= high * YUAN)).all()


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_a_velocity_burst_goes_from_shop_to_shop_until_the_money_is_gone(played, variant):
    for each in played["velocity_burst", variant]:
        rows = each.rows
        assert len(set(rows["merchant"])) == rows.n
        assert len(set(rows["device"])) == 1
        low, high = (148, 905) if variant == "easy" else (58, 705)
        yuan = rows["amount_cny"] / YUAN
        assert ((yuan >= low) & (yuan <= high)).all()
        refused = rows["status"] == table.DECLINED
        assert (refused == (rows["is_money"] == 0)).all()


def test_what_the_account_does_not_cover_is_declined(bank):
    """With little more than the least, most of a burst is refused, and what is not can be paid."""
    population, honest = bank
    kind = next(kind for kind in TYPOLOGIES if kind.name == "velocity_burst")
    account = int(eligible(kind, kind.variants[0], population)[0])
    quiet = honest.take(honest["account"] != account)
    balance = np.full_like(population.balance, 2_600 * YUAN)
    scene = Scene(population, np.random.default_rng(1), 1, account, MIDNIGHT, balance, quiet)
    assert kind.variants[0].stage(scene)
    rows = Table.joined(scene.transactions)
    paid = rows["status"] == table.REQUESTED
    assert 0 < paid.sum() < rows.n
    assert rows["amount_cny"][paid].sum() <= 2_600 * YUAN


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_a_round_trip_comes_back_to_where_it_began(played, variant):
    for each in played["round_trip", variant]:
        out = each.of(is_in=0)
        hops = 3 if variant == "easy" else 4
        ring = list(dict.fromkeys(out["account"].tolist()))
        assert len(ring) == hops
        follows = dict(zip(ring, [*ring[1:], ring[0]], strict=True))
        assert [follows[a] for a in out["account"].tolist()] == out["counterparty"].tolist()
        sums = {a: int(out["amount"][out["account"] == a].sum()) for a in ring}
        first, last = sums[ring[0]], sums[ring[-1]]
        assert 0.9 * first <= last <= first
        rounds = out.n // 3 if variant == "easy" else 1
        assert (rounds in (2, 3)) if variant == "easy" else (4 <= out.n <= 8)
        assert 28_000 * YUAN <= first / rounds <= 200_000 * YUAN


@pytest.mark.parametrize("variant", ["easy", "hard"])
def test_refund_abuse_gives_back_what_was_never_paid_or_more_than_was(played, variant):
    for each in played["refund_abuse", variant]:
        back, bought = each.of(type=table.REFUND), each.of(type=table.CARD_AUTH)
        assert len(set(each.rows["merchant"])) == 1
        assert set(each.rows["card"]) == {2 * each.scene.account}
        assert (back["is_money"] == 1).all()
        if variant == "easy":
            assert not bought.n
            assert ((back["amount"] >= 500 * YUAN) & (back["amount"] <= 3_000 * YUAN)).all()
            assert (back["original"] >= 0).all()
            p = each.scene.population
            assert int(back["merchant"][0]) not in set(p.favourites[each.scene.account].tolist())
        else:
            bought = bought.take(np.argsort(bought["time_us"], kind="stable"))
            named = bought.take(-2 - back["original"])
            ratio = back["amount"] / named["amount"]
            assert ((ratio >= 1.03) & (ratio <= 1.81)).all()
            assert (back["time_us"] > named["time_us"]).all()


# ------------------------------------------------------------ what is honest


def test_look_alikes_use_own_devices_at_home_or_a_kiosk(played):
    for kind, variant in HONEST:
        for each in played[kind.name, variant.name]:
            rows = Table.joined([each.rows, each.everyday])
            rows = rows.take(rows["device"] >= 0)
            kiosk = (rows["device"] >= KIOSK) & (rows["device"] < KIOSK + N_KIOSKS)
            assert not strange(rows).any()
            assert kiosk.all() if kind.name == "branch_kiosk" else not kiosk.any()
            p = each.scene.population
            owner = rows["device"] // 3
            known = (owner == p.customer[rows["account"]]) | kiosk
            assert known.all() or kind.name == "family_tablet"
            assert not each.rows["is_money"].any()
            assert (rows["ip_country"] == places.CN).all()


def test_honest_refunds_are_in_full_and_of_something_bought(played):
    for each in played["clothes_returns", ""]:
        bought, back = each.of(type=table.CARD_AUTH), each.of(type=table.REFUND)
        named = bought.take(-2 - back["original"])
        assert (named["amount"] == back["amount"]).all()
        assert len(set(named["time_us"])) == back.n < bought.n
        assert (named["time_us"] < back["time_us"]).all()


def test_what_a_wedding_brings_mostly_stays_and_what_a_returnee_takes_is_little(played):
    for each in played["wedding_collection", ""]:
        come, gone = each.of(is_in=1, account=each.scene.account), each.of(is_in=0)
        assert 15 <= come.n <= 60
        assert (come["amount"] % (1 * YUAN) == 0).all()
        assert gone["amount"].sum() <= 0.7 * come["amount"].sum()
    for each in played["returnee", ""]:
        assert each.of(is_in=0)["amount"].sum() <= 0.2 * each.balance


def test_payees_of_look_alikes_that_must_be_known_were_paid_before(played):
    """The bank can only call known what it has seen."""
    for name in ("elderly_family", "crowd_purchase", "family_support", "new_phone"):
        for each in played[name, ""]:
            out = each.of(is_in=0)
            large = out.take(np.array([np.argmax(out["amount"])]))
            before = each.everyday
            assert int(large["counterparty"][0]) in set(before["counterparty"].tolist())
            assert before["time_us"].max() < large["time_us"][0]


def test_a_business_trip_leaves_time_for_the_flight(played):
    for each in played["business_trip", ""]:
        here, there = each.rows["city"].tolist()
        km = haversine(places.CITIES[here], places.CITIES[there]) if here != there else 0.0
        hours = span(each.rows) / HOUR
        assert km / hours < 700


def test_a_journey_is_made_by_the_habits_and_has_no_stage(bank):
    population, _ = bank
    plan = make_plan(population, 5, DAYS)
    away = [a for a in plan if a.typology == "family_holiday"]
    assert away
    assert all(a.stage is None and a.trip and a.trip.account == a.account for a in away)
    assert all(places.CITY_COUNTRY[a.trip.city] != places.CN for a in away)
