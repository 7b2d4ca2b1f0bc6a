"""Dormant drain: an account that nobody has touched for long is opened by a stranger and emptied.

In life: insiders or heirs' acquaintances know which accounts sleep, or their passwords come from an old leak; nobody
looks at the statements. Source: internal-fraud reports of supervisors (dormant accounts are a classic of the ACFE's
cases); Chinese banks' own rules on accounts without movement for six months.

easy: a strange device signs in, and 2 to 5 payments to new payees take 88 to 98 % within a day. hard: somebody of the
household uses the device that is enrolled (half of them), or a new one at a domestic address is enrolled; a payment
of a few yuan tries the way, then 3 to 5 parts of 15 to 30 % of the balance leave over 3 to 5 days, to payees that one
in three never entered. Simplified: no owner comes back meanwhile; branch staff who help are not shown.
"""

from typing import Final

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import EASY, HARD, Flags, Kind, Variant
from replay.bank.population import DAY_US, Population
from replay.bank.scene import HOUR_US, MINUTE_US, YUAN, Scene

LEAST: Final = 2_000 * YUAN
QUIET_DAYS: Final = 185


def easy(scene: Scene) -> bool:
    room = scene.available(scene.account)
    if room < LEAST:
        return False
    city = scene.abroad() if scene.is_so(0.4) else scene.elsewhere()
    thief, t_us, n = scene.stranger(city), scene.hour(1, 22), scene.count(2, 5)
    scene.act(t_us, table.LOGIN, scene.account, **thief)
    n_payees = scene.count(1, 2)
    for k in range(n_payees):
        t_us += scene.pause(MINUTE_US, 8 * MINUTE_US)
        scene.act(t_us, table.PAYEE_ADDED, scene.account, payee=scene.outsider(k), **thief)
    t_us += scene.pause(MINUTE_US, 40 * MINUTE_US)
    scene.pay(
        scene.spread(t_us, scene.pause(20 * MINUTE_US, 18 * HOUR_US), n),
        scene.account,
        scene.parts(int(room * scene.share(0.89, 0.98)), n),
        scene.outsider() + np.arange(n) % n_payees,
        is_money=1,
        **thief,
    )
    return True


def hard(scene: Scene) -> bool:
    room = scene.available(scene.account)
    if room < LEAST:
        return False
    city = scene.city if scene.is_so(0.6) else scene.elsewhere()
    thief, t_us, n = scene.stranger(city), scene.hour(9, 19), scene.count(3, 5)
    days = scene.days(3, 5)
    is_enrolled = scene.is_so(0.5)
    if is_enrolled:
        thief = scene.home(scene.account)
    scene.act(t_us, table.LOGIN, scene.account, **thief)
    if not is_enrolled:
        soon_us = t_us + scene.pause(MINUTE_US, 9 * MINUTE_US)
        scene.act(soon_us, table.DEVICE_ENROLLED, scene.account, **thief)
    t_us += scene.pause(10 * MINUTE_US, 2 * HOUR_US)
    n_payees = scene.count(1, 3)
    trial = np.array([t_us + 4 * MINUTE_US])
    share = scene.rng.uniform(0.155, min(0.3, 0.95 / n), n)
    parts_us = scene.spread(
        t_us + scene.pause(5 * HOUR_US, 20 * HOUR_US),
        (days - 1) * DAY_US - scene.pause(0, 9 * HOUR_US),
        n,
    )
    for k in range(n_payees):
        at_us = t_us if k == 0 else int(parts_us[k]) - 5 * MINUTE_US
        scene.enter(at_us, scene.account, scene.outsider(k), **thief)
    for each in parts_us:
        scene.act(
            int(each) - scene.pause(6 * MINUTE_US, 20 * MINUTE_US),
            table.LOGIN,
            scene.account,
            **thief,
        )
    scene.pay(trial, scene.account, scene.prices(1, 20), scene.outsider(), **thief)
    scene.pay(
        parts_us,
        scene.account,
        scene.typed(room * share),
        scene.outsider() + np.minimum(np.arange(n), n_payees - 1),
        is_money=1,
        **thief,
    )
    return True


def asleep(p: Population, _day: int) -> Flags:
    """Nobody has moved anything for half a year when the recording starts."""
    return np.asarray(
        (p.is_dormant == 1)
        & (p.start_us - p.last_active_us > QUIET_DAYS * DAY_US)
        & (p.is_legal[p.customer] == 0)
    )


DORMANT_DRAIN = Kind(
    "dormant_drain",
    False,
    lambda p, day: asleep(p, day) & kinds.holding(p, 2_200),
    (Variant(EASY, easy, 2, 3.5, 2.5), Variant(HARD, hard, 6, 5.0, 4.0)),
)
