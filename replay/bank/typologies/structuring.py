"""Structuring: cash is paid in in parts that each stay below what must be reported.

In life: takings of crime are split over days, branches, machines and helpers, so that no deposit reaches the limit.
Source: PBOC order 2016-3 (cash of 50,000 yuan a customer and day is reported, and splitting is a reason for
suspicion); FATF typologies reports on cash; 31 USC 5324 for the American twin.

easy: 4 to 7 deposits of 40,000 to 49,900 yuan into one account within 3 days, in one city. hard: 4 to 6 of 15,000 to
49,000 over 5 to 8 days in several cities, over counters and at machines (machines take up to 30,000 at once), with
two accounts of a customer where there are two. Simplified: helpers who are customers themselves are left out; several
deposits of one day together do pass the reporting limit, as in life.
"""

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import EASY, HARD, Casting, Kind, Variant
from replay.bank.population import SAVINGS, STUDENT, Population
from replay.bank.scene import MINUTE_US, YUAN, Scene
from replay.bank.table import I8

MACHINE_MOST = 30_000 * YUAN


def notes(scene: Scene, low: float, high: float, n: int) -> I8:
    """Sums of banknotes: mostly whole hundreds, over a counter also tens."""
    step = np.where(scene.rng.random(n) < 0.85, 100, 10) * YUAN
    sums: I8 = (scene.rng.uniform(low * YUAN, high * YUAN, n) / step).astype(np.int64) * step
    return sums


def easy(scene: Scene) -> bool:
    n, days = scene.count(4, 7), scene.days(1, 3)
    times = scene.on_days(n, days, 9, 16.5) + np.arange(n) * 4 * MINUTE_US
    channel = np.full(n, table.BRANCH_CASH)
    scene.deposit(
        times,
        scene.account,
        notes(scene, 40_000, 49_901, n),
        channel,
        np.full(n, scene.city),
        is_money=1,
    )
    return True


def hard(scene: Scene) -> bool:
    n, days = scene.count(4, 6), scene.days(5, 8)
    times = scene.on_days(n, days, 9, 16.5) + np.arange(n) * 4 * MINUTE_US
    amount = notes(scene, 15_000, 49_001, n)
    at_machine = (amount <= MACHINE_MOST) & (scene.rng.random(n) < 0.7)
    amount = np.where(at_machine, amount // (100 * YUAN) * (100 * YUAN), amount)
    nearby = np.append(scene.in_china(scene.city, 1, 1_100), scene.city)
    cities = scene.rng.choice(nearby, scene.count(2, 3))
    account = np.full(n, scene.account)
    if len(scene.others):
        account[scene.rng.random(n) < 0.45] = scene.others[0]
    channel = np.where(at_machine, table.ATM_DEPOSIT, table.BRANCH_CASH)
    scene.deposit(times, account, amount, channel, np.sort(scene.rng.choice(cities, n)), is_money=1)
    return True


def own_second(casting: Casting) -> I8 | None:
    """The other account of the owner, if there is one and it is free."""
    p = casting.population
    other = int(p.other[casting.account])
    usable = other >= 0 and casting.free[other] and p.is_dormant[other] == 0
    return np.array([other] if usable and casting.n[1] else [], np.int64)


def _eligible(p: Population, day: int) -> kinds.Flags:
    return np.asarray(
        kinds.person(p, day) & (p.account_segment != STUDENT) & (p.product != SAVINGS)
    )


STRUCTURING = Kind(
    "structuring",
    False,
    _eligible,
    (Variant(EASY, easy, 3, 5.5, 4.5), Variant(HARD, hard, 8, 5.0, 4.0, (0, 1))),
    own_second,
)
