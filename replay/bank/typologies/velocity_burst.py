"""Velocity burst: a stolen card is used at shop after shop, as often as it will go through.

In life: whoever holds a number that works knows that it will be blocked soon, and buys what sells again (vouchers,
top-ups, game items) in medium sums that ask for no second factor. Source: card schemes' velocity checks; Wolfsberg
Group on prepaid and stored-value cards.

easy: 12 to 22 online purchases of 150 to 900 yuan at different shops within 15 minutes. hard: 7 to 10 of 60 to 700
within 1.5 hours, nearly all at shops in China, one in five where shops pass on neither device nor address. What the
account does not cover is declined. Simplified: amounts do not fall when one is declined; one device, one card.
"""

from typing import Any

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import EASY, HARD, Kind, Variant
from replay.bank.scene import MINUTE_US, YUAN, Scene
from replay.bank.table import I8

LEAST = 2_500 * YUAN


def _spend(
    scene: Scene, times: I8, who: dict[str, Any], low: float, high: float, foreign: float
) -> None:
    n = len(times)
    amount = scene.prices(low, high, n)
    covered = np.cumsum(amount) <= 0.95 * scene.available(scene.account)
    scene.purchase(
        times,
        scene.account,
        scene.online_shops(n, foreign),
        amount,
        status=np.where(covered, table.REQUESTED, table.DECLINED),
        auth_method=table.NONE,
        is_money=covered,
        **who,
    )


def easy(scene: Scene) -> bool:
    if scene.available(scene.account) < LEAST:
        return False
    n, span_us = scene.count(12, 22), scene.pause(6 * MINUTE_US, 14.5 * MINUTE_US)
    _spend(
        scene,
        scene.spread(scene.hour(0, 23.5), span_us, n),
        scene.stranger(scene.abroad()),
        150,
        900,
        0.35,
    )
    return True


def hard(scene: Scene) -> bool:
    if scene.available(scene.account) < LEAST:
        return False
    n, span_us = scene.count(7, 10), scene.pause(35 * MINUTE_US, 88 * MINUTE_US)
    city = scene.abroad() if scene.is_so(0.5) else scene.elsewhere()
    who = scene.unseen(scene.stranger(city))
    _spend(scene, scene.spread(scene.hour(0, 22), span_us, n), who, 60, 700, 0.1)
    return True


VELOCITY_BURST = Kind(
    "velocity_burst",
    False,
    lambda p, day: kinds.with_card(p, day) & kinds.holding(p, 6_000),
    (Variant(EASY, easy, 1, 17.0, 13.5), Variant(HARD, hard, 1, 8.5, 7.5)),
)
