"""Account take-over: somebody else gets into online banking, locks the owner out and pays the money away.

In life: credentials come from phishing, malware or a data leak; the codes from a SIM swap, a diverted telephone or a
false bank page. A payee is added and the balance leaves before the owner notices. Careful thieves let a waiting time
for new devices pass first. Source: FFIEC guidance on authentication (2021); FATF, Illicit Financial Flows from Cyber-
enabled Fraud (2023).

easy: password, telephone or SIM card is changed, a strange device signs in from abroad, a payee is added, and 55 to
90 % of the balance leaves within the hour in 1 to 3 payments. hard: after the change 20 to 40 hours pass, then 3 to 5
payments of 10 to 30 % of the balance go to 2 new payees over 1 to 2 days, from an address in China. One thief in
three acts on the owner's own device and address (malware, or a screen that the owner was made to share: half of these
show as remote access) and, knowing the password by then, changes nothing half of the time. One in three enters no
payee. Simplified: every payment goes through until the engine says otherwise; the owner does not fight back.
"""

from typing import Final

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import EASY, HARD, Kind, Variant
from replay.bank.population import DAY_US
from replay.bank.scene import HOUR_US, MINUTE_US, YUAN, Scene

LEAST: Final = 4_000 * YUAN  # not worth the trouble below


def _locks_out(scene: Scene, time_us: int, thief: dict[str, int]) -> None:
    """Some wrong guesses, then the owner's password, telephone or SIM card is changed."""
    for k in range(int(scene.rng.integers(0, 4))):
        scene.act(time_us - (k + 1) * 40_000_000, table.LOGIN_FAILED, scene.account, **thief)
    change = scene.rng.choice(
        [table.PASSWORD_RESET, table.PHONE_CHANGE, table.SIM_SWAP], p=[0.45, 0.3, 0.25]
    )
    where = {
        name: value for name, value in thief.items() if change != table.SIM_SWAP or name == "city"
    }
    scene.act(time_us, int(change), scene.account, **where)


def easy(scene: Scene) -> bool:
    room = scene.available(scene.account)
    if room < LEAST:
        return False
    thief, t_us = scene.stranger(scene.abroad()), scene.hour(1, 22)
    _locks_out(scene, t_us, thief)
    t_us += scene.pause(2 * MINUTE_US, 40 * MINUTE_US)
    scene.act(t_us, table.LOGIN, scene.account, **thief)
    n, n_payees = scene.count(1, 3), 1 + scene.is_so(0.25)
    for k in range(n_payees):
        t_us += scene.pause(MINUTE_US, 6 * MINUTE_US)
        scene.act(t_us, table.PAYEE_ADDED, scene.account, payee=scene.outsider(k), **thief)
    scene.pay(
        scene.spread(
            t_us + scene.pause(MINUTE_US, 8 * MINUTE_US),
            scene.pause(4 * MINUTE_US, 35 * MINUTE_US),
            n,
        ),
        scene.account,
        scene.parts(int(room * scene.share(0.57, 0.9)), n),
        scene.outsider() + np.arange(n) % n_payees,
        is_money=1,
        **thief,
    )
    return True


def hard(scene: Scene) -> bool:
    room = scene.available(scene.account)
    if room < LEAST:
        return False
    thief, t_us = scene.stranger(scene.elsewhere()), scene.hour(8, 22)
    if scene.is_so(1 / 3):
        thief = scene.home(scene.account)
        if scene.is_so(0.5):
            scene.act(t_us, table.REMOTE_ACCESS, scene.account, **thief)
        if scene.is_so(0.5):
            _locks_out(scene, t_us + 5 * MINUTE_US, thief)
    else:
        _locks_out(scene, t_us, thief)
    n, days = scene.count(3, 5), scene.days(1, 2)
    t_us += scene.pause(20 * HOUR_US, 40 * HOUR_US)
    share = scene.rng.uniform(0.105, min(0.3, 0.92 / n), n)
    pay_us = scene.spread(
        t_us + 20 * MINUTE_US, days * DAY_US - scene.pause(2 * HOUR_US, 14 * HOUR_US), n
    )
    for k in range(2):
        scene.enter(t_us + 2 * k * MINUTE_US, scene.account, scene.outsider(k), **thief)
    for each in pay_us:
        scene.act(
            int(each) - scene.pause(MINUTE_US, 15 * MINUTE_US), table.LOGIN, scene.account, **thief
        )
    scene.pay(
        pay_us,
        scene.account,
        scene.typed(room * share),
        scene.outsider() + np.arange(n) % 2,
        is_money=1,
        **thief,
    )
    return True


ACCOUNT_TAKEOVER = Kind(
    "account_takeover",
    False,
    lambda p, day: kinds.person(p, day) & kinds.holding(p, 9_000),
    (Variant(EASY, easy, 2, 2.0, 1.0), Variant(HARD, hard, 5, 4.0, 3.0)),
)
