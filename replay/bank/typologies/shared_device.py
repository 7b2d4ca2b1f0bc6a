"""Shared device: one machine works through many accounts with bought passwords and sends a little from each.

In life: lists of passwords are tried by script, and the accounts that open are skimmed, below the sum that asks for a
second factor. Source: OWASP on credential stuffing; Europol IOCTA on account farms.

easy: one device signs in to 8 to 12 accounts within a day and pays 500 to 4,000 yuan from each to 3 payees. hard: 4
or 5 accounts over 2 to 5 days, each to a payee of its own, which one thief in three never enters, from an address in
China. Simplified: every password works at the first go, and the device is not disguised.
"""

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import EASY, HARD, Casting, Kind, Variant
from replay.bank.population import DAY_US
from replay.bank.scene import HOUR_US, MINUTE_US, YUAN, Scene
from replay.bank.table import I8

LEAST = 1_500 * YUAN


def _able(scene: Scene, n: int) -> I8:
    """The first account and those of the others that have money, `n` at most."""
    able = [scene.account, *scene.others.tolist()]
    return np.array([a for a in able if scene.available(a) >= LEAST][:n], np.int64)


def _skim(scene: Scene, account: I8, times: I8, payee: I8, thief: dict[str, int]) -> None:
    room = np.array([scene.available(int(a)) for a in account]) / YUAN
    amount = np.concatenate([scene.yuan(500, min(4_000, 0.8 * each)) for each in room])
    for k, each in enumerate(account.tolist()):
        at_us = int(times[k])
        scene.act(at_us - scene.pause(2 * MINUTE_US, 9 * MINUTE_US), table.LOGIN, each, **thief)
        entered_us = at_us - scene.pause(20_000_000, 100_000_000)
        scene.enter(entered_us, each, int(payee[k]), **thief)
    scene.pay(times, account, amount, payee, is_money=1, **thief)


def easy(scene: Scene) -> bool:
    account = _able(scene, scene.count(8, 12))
    if len(account) < 8:
        return False
    scene.enters = True
    city = scene.abroad() if scene.is_so(0.5) else scene.elsewhere()
    first_us, n = scene.hour(1, 10), len(account)
    times = scene.spread(first_us, scene.pause(2 * HOUR_US, 12 * HOUR_US), n)
    _skim(scene, account, times, scene.outsider() + np.arange(n) % 3, scene.stranger(city))
    return True


def hard(scene: Scene) -> bool:
    account = _able(scene, scene.count(4, 5))
    if len(account) < 4:
        return False
    n, days = len(account), scene.days(2, 5)
    span_us = (days - 1) * DAY_US + scene.pause(-4 * HOUR_US, 8 * HOUR_US)
    times = scene.spread(scene.hour(8, 14), max(span_us, 3 * HOUR_US), n)
    _skim(scene, account, times, scene.outsider() + np.arange(n), scene.stranger(scene.elsewhere()))
    return True


def _victims(casting: Casting) -> I8 | None:
    p = casting.population
    return casting.drawn(kinds.person(p, casting.day) & kinds.holding(p, 2_500))


SHARED_DEVICE = Kind(
    "shared_device",
    False,
    lambda p, day: kinds.person(p, day) & kinds.holding(p, 2_500),
    (
        Variant(EASY, easy, 1, 10.0, 8.5, (9, 15)),
        Variant(HARD, hard, 5, 4.5, 4.0, (4, 8)),
    ),
    _victims,
)
