"""Honest money that looks like fraud or laundering: collected, passed on, sent round, very large, or abroad."""

import numpy as np

from replay.bank import kinds, places, table
from replay.bank.calendar import date_of, paid_on
from replay.bank.kinds import Casting, Eligible, Flags, Kind, Variant
from replay.bank.merchants import RESTAURANTS
from replay.bank.population import DAY_US, ORDINARY, PAYROLL_BUREAU, SAVINGS, Population
from replay.bank.scene import HOUR_US, MINUTE_US, YUAN, Scene
from replay.bank.table import I8, OUTSIDE

SMALL_FIRMS = OUTSIDE + 1_666_000_000  # who pay a second wage
N_SMALL_FIRMS = 400_000
SUPPORT_DAYS = 12  # within which the next wage must come
GIFTS = np.array([200, 300, 400, 500, 600, 800, 888, 1_000, 1_200, 1_600, 1_800, 2_000], np.int64)


def wedding_collection(scene: Scene) -> bool:
    """Like a mule: 15 to 60 guests give lucky sums within two days; part goes to the restaurant and the family."""
    account, n = scene.account, int(scene.rng.integers(15, 61))
    days = scene.days(1, 2)
    times = scene.on_days(n, days, 9, 22)
    odds = np.array([6, 3, 4, 8, 9, 8, 5, 8, 2, 2, 2, 2], np.float64)
    amount = scene.rng.choice(GIFTS, n, p=odds / odds.sum()) * YUAN
    scene.receive(times, account, amount, scene.strangers(n), purpose=table.FOR_WEDDING)
    feast_us, total = scene.hour(11, 21, days), int(amount.sum())
    shops = scene.merchants
    near = shops.of_category(RESTAURANTS, city=scene.city)
    near = (
        near if len(near) else shops.by_city[shops.start[scene.city] : shops.start[scene.city + 1]]
    )
    bill = np.array([int(total * scene.share(0.15, 0.35))])
    scene.purchase(
        np.array([feast_us]),
        account,
        scene.rng.choice(near, 1),
        bill,
        entry_mode=table.CHIP,
        auth_method=table.PIN,
    )
    later_us = scene.later(feast_us, 10 * HOUR_US, 40 * HOUR_US)
    scene.session(later_us, account)
    fen = int(scene.typed(np.array([total * scene.share(0.15, 0.35)]))[0])
    scene.send(later_us, account, fen, scene.friend(account), purpose=table.FOR_GIFT)
    return True


def crowd_purchase(scene: Scene) -> bool:
    """Like a mule: the leader of a buying group collects small sums and pays nearly all to the usual supplier."""
    account, n = scene.account, int(scene.rng.integers(8, 26))
    supplier = int(scene.population.payees[account, 0])
    before_us = scene.hour(9, 20)
    scene.session(before_us, account)
    scene.send(before_us, account, int(scene.yuan(100, 300)[0]), supplier, attempt=-1)
    day, n_days = scene.days(4, 7) - 1, scene.days(1, 2)
    price = scene.rng.integers(30, 300, 2) * YUAN - scene.rng.choice([0, 10, 20, 50], 2)
    amount = price[scene.rng.integers(0, 2, n)] * scene.rng.integers(1, 3, n)
    times = day * DAY_US + scene.on_days(n, n_days, 13 if day == 0 else 8, 21)
    times = np.maximum(times, before_us + 30 * MINUTE_US)
    scene.receive(times, account, amount, scene.strangers(n), purpose=table.FOR_GOODS)
    pay_us = scene.later(int(times[-1]), 20 * MINUTE_US, 2 * HOUR_US)
    scene.session(pay_us, account)
    fen = int(scene.typed(np.array([float(amount.sum()) * scene.share(0.8, 0.97)]))[0])
    scene.send(pay_us, account, fen, supplier, purpose=table.FOR_GOODS)
    return True


def _paydays(p: Population, first: int, last: int) -> dict[int, int]:
    """The paydays that fall on days `first` to `last` of the recording, and on which of them first."""
    found: dict[int, int] = {}
    for day in range(last, first - 1, -1):
        found |= dict.fromkeys(paid_on(date_of(p.start_us + day * DAY_US)), day)
    return found


def family_support(scene: Scene) -> bool:
    """Like a salary mule: of the wage of the month more than half goes on at once, to the same relative as ever."""
    p, account = scene.population, scene.account
    today = int((scene.start_us - p.start_us) // DAY_US)
    payday = _paydays(p, today + 3, today + SUPPORT_DAYS - 1).get(int(p.payday[scene.customer]))
    if payday is None:
        return False
    relative, before_us = int(p.payees[account, 1]), scene.hour(9, 21)
    scene.session(before_us, account)
    scene.send(before_us, account, int(scene.yuan(50, 300)[0]), relative, attempt=-1)
    pay_us = scene.hour(12, 22, payday - today)
    scene.session(pay_us, account)
    wage = float(p.income[scene.customer])
    fen = int(scene.typed(np.array([wage * scene.share(0.5, 0.8)]))[0])
    scene.send(pay_us, account, fen, relative, purpose=table.FOR_LIVING)
    return True


def two_jobs(scene: Scene) -> bool:
    """Like a salary mule: wages from a second, small firm; the money stays, but for some housekeeping."""
    account, days = scene.account, scene.days(10, 14)
    firm = SMALL_FIRMS + int(scene.rng.integers(0, N_SMALL_FIRMS))
    n = int(scene.rng.integers(1, 3))
    times = scene.on_days(n, days, 9, 16) if n > 1 else np.array([scene.hour(9, 16)])
    wage = scene.yuan(2_500, 8_000, n)
    more = {"type": table.SALARY, "purpose": table.FOR_SALARY}
    scene.receive(times, account, wage, firm, **more)
    pay_us = scene.later(int(times[-1]), 4 * HOUR_US, 40 * HOUR_US)
    scene.session(pay_us, account)
    fen = int(scene.typed(np.array([float(wage[-1]) * scene.share(0.1, 0.25)]))[0])
    scene.send(pay_us, account, fen, scene.friend(account))
    return True


def loan_repaid(scene: Scene) -> bool:
    """Like a round trip: a friend is lent money and gives the same back after one to three weeks."""
    account = scene.account
    room = 0.5 * scene.available(account) / YUAN
    if room < 4_500 or not len(scene.others):
        return False
    friend, days = int(scene.others[0]), scene.days(7, 20)
    sum_ = int(scene.yuan(4_000, min(60_000.0, room), 1, (0.7, 0.3, 0.0, 0.0))[0])
    t_us = scene.hour(9, 21)
    scene.session(t_us, account, friend)
    scene.send(t_us, account, sum_, friend, purpose=table.FOR_LOAN)
    n, back_us = int(scene.rng.integers(1, 3)), max(scene.hour(9, 21, days - 1), t_us + HOUR_US)
    halves = [sum_] if n == 1 else [sum_ // 2, sum_ - sum_ // 2]
    for k, fen in enumerate(halves):
        at_us = back_us + k * scene.pause(5 * MINUTE_US, 40 * MINUTE_US)
        scene.session(at_us, friend, account if k == 0 else -1)
        scene.send(at_us, friend, fen, account, purpose=table.FOR_LOAN)
    return True


def savings_move(scene: Scene) -> bool:
    """Like a round trip: between the own accounts, there and back after some days."""
    account = scene.account
    room = 0.7 * scene.available(account) / YUAN
    if room < 3_500 or not len(scene.others):
        return False
    other, days = int(scene.others[0]), scene.days(2, 6)
    sum_ = int(scene.yuan(3_000, min(80_000.0, room), 1, (0.9, 0.1, 0.0, 0.0))[0])
    t_us = scene.hour(8, 22)
    scene.session(t_us, account)
    scene.send(t_us, account, sum_, other, type=table.TRANSFER)
    back_us = max(scene.hour(8, 22, days - 1), t_us + HOUR_US)
    scene.session(back_us, other)
    part = (
        sum_ if scene.is_so(0.5) else int(sum_ * scene.share(0.3, 0.8)) // (100 * YUAN) * 100 * YUAN
    )
    scene.send(back_us, other, max(part, 100 * YUAN), account, type=table.TRANSFER)
    return True


def house_purchase(scene: Scene) -> bool:
    """Like a take-over or a drain: most of the balance to somebody new; planned for days, and paid in the branch."""
    account, room = scene.account, scene.available(scene.account)
    if room < 40_000 * YUAN:
        return False
    seller, added_us = scene.outsider(), scene.hour(9, 21)
    scene.session(added_us, account, seller)
    pay_us = scene.hour(9, 16.5, max(scene.days(3, 5) - 1, 0))
    if pay_us < added_us:
        pay_us = added_us + 3 * MINUTE_US
    fen = int(room * scene.share(0.6, 0.95)) // (1_000 * YUAN) * 1_000 * YUAN
    in_branch = {"device": -1, "ip": -1, "ip_country": -1}
    scene.send(
        pay_us, account, fen, seller, channel=table.BRANCH, auth_method=table.PIN, **in_branch
    )
    return True


def tuition(scene: Scene) -> bool:
    """Like fraud abroad: parents pay a university in another country, once a term."""
    account, room = scene.account, scene.available(scene.account)
    if room < 25_000 * YUAN:
        return False
    country = int(scene.rng.choice([places.GB, places.US, places.HK, places.SG, places.DE]))
    currency = places.COUNTRY_CURRENCY[country]
    school, added_us = scene.outsider(), scene.hour(9, 21)
    scene.session(added_us, account, school)
    pay_us = scene.hour(9, 17, max(scene.days(2, 3) - 1, 0))
    if pay_us < added_us:
        pay_us = added_us + 5 * MINUTE_US
    fen = scene.yuan(15_000, min(150_000.0, 0.8 * room / YUAN), 1)
    billed, worth = places.in_currency(fen, np.array([currency]))
    scene.session(pay_us, account)
    scene.pay(
        np.array([pay_us]),
        account,
        billed,
        school,
        amount_cny=worth,
        currency=int(currency),
        counterparty_country=country,
        purpose=table.FOR_TUITION,
        **(scene.home(account, 1) | {"channel": table.WEB, "auth_method": table.SMS}),
    )
    return True


def _other_own(casting: Casting) -> I8 | None:
    p, me = casting.population, casting.account
    other = int(p.other[me])
    return np.array([other]) if other >= 0 and casting.free[other] else None


def _friend_here(casting: Casting) -> I8 | None:
    """A payee who banks here; else anybody."""
    p, me = casting.population, casting.account
    able = kinds.person(p, casting.day) & casting.free & (p.customer != p.customer[me])
    payees = p.payees[me, 1:]
    close = [int(a) for a in payees[payees < OUTSIDE] if able[a]]
    return np.array(close[:1]) if close else casting.drawn(able)


def _persons(yuan: float, years: tuple[int, int] = (0, 200)) -> Eligible:
    def eligible(p: Population, day: int) -> Flags:
        fitting = (kinds.age(p) >= years[0]) & (kinds.age(p) < years[1]) & (p.n_cards > 0)
        return np.asarray(kinds.person(p, day) & fitting & kinds.holding(p, yuan))

    return eligible


def _supporters(p: Population, day: int) -> Flags:
    """Employees whose next wage comes soon after the day."""
    soon = list(_paydays(p, day + 4, day + SUPPORT_DAYS - 1))
    employed = (p.account_segment == ORDINARY) & (p.employer >= 0)
    return np.asarray(kinds.person(p, day) & employed & np.isin(p.payday[p.customer], soon))


def _savers(p: Population, day: int) -> Flags:
    has_other = p.other >= 0
    awake = p.is_dormant[np.maximum(p.other, 0)] == 0
    main = (p.product != SAVINGS) & (p.account_segment != PAYROLL_BUREAU)
    return np.asarray(kinds.alive(p, day) & has_other & awake & main & kinds.holding(p, 6_000))


def _owners(p: Population, day: int) -> Flags:
    old = kinds.account_days(p, day) > 700
    return np.asarray(_persons(55_000, (25, 75))(p, day) & old)


def _kind(name: str, stage: kinds.Staged, eligible: Eligible, days: int, n_rows: float) -> Kind:
    return Kind(name, True, eligible, (Variant("", stage, days, n_rows, n_rows),))


KINDS = (
    _kind("wedding_collection", wedding_collection, _persons(2_000, (22, 45)), 5, 39.9),
    _kind("crowd_purchase", crowd_purchase, _persons(2_000, (22, 70)), 9, 17.5),
    _kind("family_support", family_support, _supporters, SUPPORT_DAYS, 1.4),
    _kind("two_jobs", two_jobs, _persons(1_000, (20, 60)), 14, 2.8),
    Kind(
        "loan_repaid",
        True,
        _persons(12_000),
        (Variant("", loan_repaid, 20, 5.0, 5.0, (1, 1)),),
        _friend_here,
    ),
    Kind(
        "savings_move",
        True,
        _savers,
        (Variant("", savings_move, 7, 4.0, 4.0, (1, 1)),),
        _other_own,
    ),
    _kind("house_purchase", house_purchase, _owners, 5, 1.0),
    _kind("tuition", tuition, _persons(35_000, (38, 62)), 3, 1.0),
)
