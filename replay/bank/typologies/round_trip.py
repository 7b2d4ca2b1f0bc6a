"""Round trip: money goes from A to B to C and comes back to A, to look like turnover or to hide where it came from.

In life: firms and friends feign sales to win loans or invoices, or wash money in circles; the sum hardly changes,
nobody keeps it for long. Source: FATF, Trade-based Money Laundering (2006, 2020); PBOC's indicators of suspicious
transactions (money that is moved in and out within short time and matches in sum); the circles of AMLSim and IBM's
AML data sets.

easy: 30,000 to 200,000 yuan make 3 hops inside the bank within 24 hours, less 0 to 3 %, 2 or 3 times on following
days. hard: 4 hops over 3 to 5 days, each in one or two parts, less up to 8 %; in one circle out of three nobody
enters a payee. Both legs of each hop belong to the attempt. Simplified: all accounts are here, and all owners take
part; circles through other banks cannot be seen by one bank.
"""

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import EASY, HARD, Casting, Kind, Variant
from replay.bank.population import DAY_US
from replay.bank.scene import HOUR_US, MINUTE_US, YUAN, Scene
from replay.bank.table import I8

LEAST = 31_000  # yuan; the loss keeps every hop above 28,000


def _hop(scene: Scene, times: I8, payer: int, receiver: int, amount: I8, is_new: bool) -> None:
    me, first_us = scene.home(payer), int(times[0])
    scene.act(first_us - scene.pause(3 * MINUTE_US, 9 * MINUTE_US), table.LOGIN, payer, **me)
    if is_new:
        scene.enter(first_us - 2 * MINUTE_US, payer, receiver, **me)
    scene.move(times, payer, receiver, amount, is_money=1, **me)


def easy(scene: Scene) -> bool:
    room = 0.85 * scene.available(scene.account) / YUAN
    if room < LEAST or len(scene.others) < 2:
        return False
    scene.enters = True
    ring = [scene.account, *scene.others[:2].tolist()]
    n_rounds = min(scene.count(2, 3), scene.days(3, 3))
    total = float(scene.yuan(LEAST, min(200_000, room))[0])
    for turn in range(n_rounds):
        loss = 1 - scene.share(0.0, 0.03) / n_rounds / 3
        times = scene.spread(scene.hour(8, 13, turn), scene.pause(2 * HOUR_US, 9 * HOUR_US), 3)
        for k in range(3):
            amount = scene.typed(np.array([total])) if loss < 0.999 else np.array([int(total)])
            _hop(scene, times[k : k + 1], ring[k], ring[(k + 1) % 3], amount, turn == 0)
            total = float(amount[0]) * loss
    return True


def hard(scene: Scene) -> bool:
    room = 0.85 * scene.available(scene.account) / YUAN
    if room < LEAST or len(scene.others) < 3:
        return False
    ring = [scene.account, *scene.others[:3].tolist()]
    room = min(room, *(_stays(scene, each) for each in ring[1:]))
    if room < LEAST:
        return False
    total = float(scene.yuan(LEAST, min(200_000, room))[0])
    days = scene.days(3, 5)
    first_us = scene.hour(9, 15)
    n_parts = [scene.count(1, 2) for _ in ring]
    span_us = (days - 1) * DAY_US + scene.pause(2 * HOUR_US, 6 * HOUR_US)
    times = scene.awake(scene.spread(first_us, span_us, sum(n_parts)))
    times += np.arange(len(times)) * 5 * MINUTE_US  # nobody passes on what has not come yet
    for k, n in enumerate(n_parts):
        amount = scene.parts(int(total), n)
        _hop(scene, times[:n], ring[k], ring[(k + 1) % 4], amount, True)
        times = times[n:]
        total = float(amount.sum()) * (1 - scene.share(0.0, 0.015))
    return True


def _stays(scene: Scene, account: int) -> float:
    """Yuan that may lie on an account over night without its owner putting a part away, as the habits have it."""
    p = scene.population
    return (3.4 * float(p.income[p.customer[account]]) - float(scene.balance[account])) / YUAN


def _ring(casting: Casting) -> I8 | None:
    p = casting.population
    able = kinds.person(p, casting.day) & (p.customer != p.customer[casting.account])
    able &= p.n_cards > 0
    if casting.n[0] < 3:
        return casting.drawn(able)
    rich = 3.4 * p.income[p.customer] - p.balance > 60_000 * YUAN
    return casting.drawn(able & rich)


ROUND_TRIP = Kind(
    "round_trip",
    False,
    lambda p, day: kinds.alive(p, day) & kinds.holding(p, 50_000),
    (
        Variant(EASY, easy, 3, 15.0, 12.0, (2, 2)),
        Variant(HARD, hard, 6, 12.0, 8.0, (3, 3)),
    ),
    _ring,
)
