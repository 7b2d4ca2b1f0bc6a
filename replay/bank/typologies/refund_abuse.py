"""Refund abuse: a shop's terminal gives money back that was never paid, or more than was paid.

In life: staff key refunds to their own or a friend's card, or shops push stolen money out as refunds; buyers claim
the same goods twice. Source: ACFE on false refunds (register disbursement schemes); Visa and Mastercard rules that a
refund names its purchase.

easy: 4 to 7 refunds of 500 to 3,000 yuan within 2 days to one card, by one shop at which nothing was bought; the
purchases they name are unknown here. hard: at an online shop 3 or 4 purchases over a week are refunded with 103 to
180 % of their price. Simplified: the shop's side of the books is not shown, nor that a terminal gives back more than
it took that day.
"""

import numpy as np

from replay.bank import kinds
from replay.bank.kinds import EASY, HARD, Kind, Variant
from replay.bank.population import DAY_US
from replay.bank.scene import HOUR_US, MINUTE_US, YUAN, Scene
from replay.bank.table import I8

N_NUMBERS = 5_000_000  # a wrong reference is the number of somebody else's purchase, or of none
LEAST = 3_000 * YUAN


def easy(scene: Scene) -> bool:
    n, days = scene.count(4, 7), scene.days(1, 2)
    near = scene.merchants.by_city[
        scene.merchants.start[scene.city] : scene.merchants.start[scene.city + 1]
    ]
    shops: I8 = np.setdiff1d(near, scene.population.favourites[scene.account])
    scene.refund(
        scene.on_days(n, days, 10, 21) + np.arange(n) * 3 * MINUTE_US,
        scene.account,
        np.full(n, scene.rng.choice(shops)),
        scene.yuan(500, 3_000, n),
        scene.rng.integers(0, N_NUMBERS, n),
        is_money=1,
    )
    return True


def hard(scene: Scene) -> bool:
    if scene.available(scene.account) < LEAST:
        return False
    n, days = scene.count(3, 4), max(scene.days(6, 7), 3)
    shop = np.full(n, scene.online_shops(1, 0.0, is_dear=True)[0])
    most = 0.8 * scene.available(scene.account) / YUAN / n
    bought_us = scene.awake(scene.spread(scene.hour(9, 20), (days - 2) * DAY_US, n))
    paid = scene.prices(300, min(1_800, most), n)
    scene.buy_online(bought_us, np.full(n, scene.account), shop, paid)
    # on the day after, when the shop is at work
    midnight = (bought_us - scene.start_us) // DAY_US * DAY_US + scene.start_us
    back_us = midnight + DAY_US + (scene.rng.uniform(9, 20, n) * HOUR_US).astype(np.int64)
    # some are greedy, others take little more than they paid
    part = np.clip(scene.share(1.05, 1.7) * scene.rng.uniform(0.95, 1.05, n), 1.03, 1.8)
    more = (paid * part).astype(np.int64) + 1
    scene.refund(back_us, scene.account, shop, more, -2 - np.arange(n), is_money=1)
    return True


REFUND_ABUSE = Kind(
    "refund_abuse",
    False,
    lambda p, day: kinds.with_card(p, day) & kinds.holding(p, 6_500),
    (Variant(EASY, easy, 2, 5.5, 4.5), Variant(HARD, hard, 8, 7.0, 6.0)),
)
