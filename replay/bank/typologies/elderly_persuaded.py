"""Elderly persuaded on the phone: the customer pays, on the own device, because somebody on the line makes them.

In life: callers pose as police, as the prosecutor, as customer service or as a grandchild in need. They keep the
victim on the line, have a screen-sharing app installed, raise the limit, and dictate a "safe account". Source:
Ministry of Public Security, lists of frequent telecom frauds (false police, false customer service, false
investment); the Law on Combating Telecom and Online Fraud (2022) obliges banks to watch for it.

The bank's app sees a call when the customer does something in it: `phone_session` comes with the length so far, and
once more when the call ends. easy: a call of 22 to 90 minutes, remote access, a payee is added, the limit is raised,
and 1 to 4 payments take 30 to 95 % of the balance during the call or within an hour after it. hard: calls of 8 to 25
minutes, no remote access, 2 to 4 payments of 8 to 25 % of the balance to new payees over 1 to 3 days; one in three is
told to pay by telephone number, so that no payee is entered. Simplified: victims always pay; landline calls, which no
app sees, are left out.
"""

from typing import Final

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import EASY, HARD, Kind, Variant
from replay.bank.population import ELDERLY
from replay.bank.scene import MINUTE_US, YUAN, Scene

LEAST: Final = 4_000 * YUAN


def _call(scene: Scene, start_us: int, minutes: float, seen: float) -> int:
    """A call that the app sees after `seen` of its `minutes` and at its end; when it was seen first."""
    me = scene.home(scene.account)
    seen_us = start_us + int(seen * MINUTE_US)
    scene.act(seen_us, table.LOGIN, scene.account, **me)
    for length in (seen, minutes):
        scene.act(
            start_us + int(length * MINUTE_US) + 1_000_000,
            table.PHONE_SESSION,
            scene.account,
            duration_s=int(length * 60),
            **me,
        )
    return seen_us


def easy(scene: Scene) -> bool:
    room = scene.available(scene.account)
    if room < LEAST:
        return False
    me, start_us = scene.home(scene.account), scene.hour(8.5, 18)
    minutes = scene.share(22, 90)
    t_us = _call(scene, start_us, minutes, scene.share(max(20.0, 0.5 * minutes), minutes - 1))
    end_us = start_us + int(minutes * MINUTE_US)
    for activity in (table.REMOTE_ACCESS, table.PAYEE_ADDED, table.LIMIT_CHANGE):
        t_us += scene.pause(0.5 * MINUTE_US, 4 * MINUTE_US)
        payee = {"payee": scene.outsider()} if activity == table.PAYEE_ADDED else {}
        scene.act(t_us, activity, scene.account, **me, **payee)
    n = scene.count(1, 4)
    t_us += scene.pause(MINUTE_US, 5 * MINUTE_US)
    last_us = max(end_us + scene.pause(2 * MINUTE_US, 60 * MINUTE_US), t_us + 6 * MINUTE_US)
    scene.pay(
        scene.spread(t_us, (last_us - t_us) * (n - 1) // n, n),
        scene.account,
        scene.parts(int(room * scene.share(0.32, 0.95)), n),
        scene.outsider(),
        is_money=1,
        **me,
    )
    return True


def hard(scene: Scene) -> bool:
    room = scene.available(scene.account)
    if room < LEAST:
        return False
    me, n, days = scene.home(scene.account), scene.count(2, 4), scene.days(1, 3)
    share = scene.rng.uniform(0.085, min(0.25, 0.9 / n), n)
    pay_us = scene.on_days(n, days, 9, 19)
    pay_us += np.arange(n) * 40 * MINUTE_US  # two payments of a day are not of the same minute
    n_payees = scene.count(1, n)
    for k in range(n):
        at_us = int(pay_us[k])
        if k == 0 or scene.is_so(0.7):
            minutes = scene.share(8, 25)
            seen = scene.share(max(7.0, 0.6 * minutes), minutes)
            _call(scene, at_us - int((seen + scene.share(3, 12)) * MINUTE_US), minutes, seen)
        else:
            scene.act(at_us - 3 * MINUTE_US, table.LOGIN, scene.account, **me)
        if k < n_payees:
            entered_us = at_us - scene.pause(0.5 * MINUTE_US, 2 * MINUTE_US)
            scene.enter(entered_us, scene.account, scene.outsider(k), **me)
    scene.pay(
        pay_us,
        scene.account,
        scene.typed(room * share),
        scene.outsider() + np.minimum(np.arange(n), n_payees - 1),
        is_money=1,
        **me,
    )
    return True


ELDERLY_PERSUADED = Kind(
    "elderly_persuaded",
    False,
    lambda p, day: kinds.person(p, day) & (p.account_segment == ELDERLY) & kinds.holding(p, 6_500),
    (Variant(EASY, easy, 1, 2.5, 1.5), Variant(HARD, hard, 3, 3.0, 2.0)),
)
