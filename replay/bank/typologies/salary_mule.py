"""Salary mule: "wages" from firms that nobody knows come in and are passed on less a commission.

In life: adverts promise part-time work as "payment agent" or "order brusher"; what looks like wages is the money of
victims, and the agent forwards it, partly abroad, keeping a few per cent. Source: Europol's EMMA campaigns on money
mules; Ministry of Public Security on part-time "brushing" (shuadan) and "running points" (paofen).

easy: a young-ish account gets 4 to 6 wages of 4,000 to 15,000 yuan from small unknown firms within two weeks, each
forwarded the same day less 3 to 10 % to a new payee, partly abroad. hard: 2 or 3 wages, forwarded in two parts within
two days, one part perhaps to somebody whom the agent pays anyway, and in one account out of three without a payee
being entered. Simplified: the agent is a customer in good faith or not, which no row shows; firms never pay anybody
else here.
"""

import numpy as np

from replay.bank import kinds, places, table
from replay.bank.kinds import EASY, HARD, Flags, Kind, Variant
from replay.bank.population import DAY_US, ORDINARY, STUDENT, Population
from replay.bank.scene import HOUR_US, MINUTE_US, Scene
from replay.bank.table import OUTSIDE

ABROAD = (places.HK, places.KH, places.TH)


def _wages(
    scene: Scene, n: int, days: int
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]:
    """Times and amounts of `n` wages on different days."""
    day = np.sort(scene.rng.choice(max(days, n), n, replace=False))
    times = scene.start_us + day * DAY_US + (scene.rng.uniform(8, 15, n) * HOUR_US).astype(np.int64)
    amount = scene.yuan(4_000, 15_000, n)
    scene.receive(
        times,
        scene.account,
        amount,
        scene.outsider(8) + np.arange(n),
        type=table.SALARY,
        channel=table.FILE,
        purpose=table.FOR_SALARY,
    )
    return times, amount


def _forward(scene: Scene, at_us: int, amount: int, payee: int, is_new: bool, country: int) -> None:
    me = scene.home(scene.account)
    scene.act(at_us - 3 * MINUTE_US, table.LOGIN, scene.account, **me)
    if is_new:
        scene.enter(at_us - MINUTE_US, scene.account, payee, **me)
    scene.pay(
        np.array([at_us]),
        scene.account,
        scene.typed(np.array([float(amount)])),
        payee,
        counterparty_country=country,
        is_money=1,
        **me,
    )


def easy(scene: Scene) -> bool:
    scene.enters = True
    n = scene.count(4, 6)
    times, amount = _wages(scene, n, scene.days(9, 14))
    n_payees = scene.count(2, n)
    country = [int(scene.rng.choice(ABROAD)) if scene.is_so(0.3) else -1 for _ in range(n)]
    for k in range(n):
        payee = min(k, n_payees - 1)
        kept = scene.share(0.031, 0.08)  # what is typed is a little less still
        at_us = int(times[k]) + scene.pause(30 * MINUTE_US, 8 * HOUR_US)
        is_new = k < n_payees
        _forward(
            scene, at_us, int(amount[k] * (1 - kept)), scene.outsider(payee), is_new, country[payee]
        )
    return True


def hard(scene: Scene) -> bool:
    n = scene.count(2, 3)
    times, amount = _wages(scene, n, scene.days(8, 14))
    country = [int(scene.rng.choice(ABROAD)) if scene.is_so(0.2) else -1 for _ in range(2)]
    friends = scene.population.payees[scene.account, 1:]
    friends = friends[friends >= OUTSIDE]
    known = int(scene.rng.choice(friends)) if len(friends) and scene.is_so(1 / 3) else -1
    for k in range(n):
        kept, cut = scene.share(0.031, 0.08), scene.share(0.35, 0.65)
        at_us = int(times[k]) + scene.pause(2 * HOUR_US, 10 * HOUR_US)
        for part, share in enumerate((cut, 1 - cut)):
            payee = part if scene.is_so(0.8) else 0
            is_friend = payee == 1 and known >= 0
            is_new = (k == 0 or scene.is_so(0.1)) and not is_friend
            _forward(
                scene,
                at_us,
                int(amount[k] * (1 - kept) * share),
                known if is_friend else scene.outsider(payee),
                is_new,
                -1 if is_friend else country[payee],
            )
            at_us = scene.later(at_us, 5 * HOUR_US, 30 * HOUR_US)
    return True


def _eligible(p: Population, day: int) -> Flags:
    """Young people, and accounts that are not old."""
    years, days = kinds.age(p), kinds.account_days(p, day)
    fitting = np.isin(p.account_segment, [ORDINARY, STUDENT]) & (years < 40) & (days >= 10)
    return np.asarray(kinds.person(p, day) & fitting & (days < 700))


SALARY_MULE = Kind(
    "salary_mule",
    False,
    _eligible,
    (Variant(EASY, easy, 14, 10.0, 8.0), Variant(HARD, hard, 14, 7.5, 6.0)),
)
