"""Card testing: tiny purchases show which stolen card numbers work, then those are spent.

In life: card numbers are bought in bulk or guessed, and scripts try them at shops with weak checks (donations,
digital goods), with sums nobody notices; a part is refused. What goes through is spent on goods that sell again.
Source: Visa's advisories on account testing and enumeration attacks; Stripe's and Adyen's pages on card testing.

easy: 6 to 12 purchases of 1 to 30 yuan at different online shops within 30 minutes, from one strange device abroad,
some refused, then 1 to 3 of 2,000 to 9,000 yuan. hard: 3 to 5 of 1 to 80 over 4 to 20 hours, half of them at foreign
shops, each perhaps from another device, then 1 or 2 of 300 to 3,000, as the owner might spend; one in five where
shops pass on neither device nor address. Simplified: one card an attempt; guessing of numbers that do not exist is
left out.
"""

from typing import Any

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import EASY, HARD, Kind, Variant
from replay.bank.scene import HOUR_US, MINUTE_US, YUAN, Scene


def _status(scene: Scene, n: int, chance: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The first try goes through, others are refused now and then."""
    refused = scene.rng.random(n) < chance
    refused[0] = False
    return np.where(refused, table.DECLINED, table.REQUESTED)


def _spend(
    scene: Scene,
    first_us: int,
    n: int,
    low: float,
    high: float,
    foreign: float,
    who: dict[str, Any],
) -> None:
    """`n` purchases of `low` to `high` yuan, as far as the account covers them."""
    most = min(high, 0.9 * scene.available(scene.account) / YUAN / n)
    scene.purchase(
        scene.spread(first_us, scene.pause(2 * MINUTE_US, 12 * MINUTE_US) * (n - 1), n),
        scene.account,
        scene.online_shops(n, foreign, is_dear=True),
        scene.prices(low, most, n),
        is_money=1,
        auth_method=table.NONE,
        **who,
    )


def easy(scene: Scene) -> bool:
    n_large = min(
        scene.count(1, 3), int(0.9 * scene.available(scene.account) / (2_000.0 * YUAN * 1.1))
    )
    if n_large < 1:
        return False
    n_small, first_us, city = scene.count(6, 12), scene.hour(0, 22), scene.abroad()
    span_us = scene.pause(8 * MINUTE_US, 28 * MINUTE_US)
    scene.purchase(
        scene.spread(first_us, span_us, n_small),
        scene.account,
        scene.online_shops(n_small, 0.5),
        scene.prices(1, 30, n_small),
        status=_status(scene, n_small, 0.25),
        auth_method=table.NONE,
        **scene.stranger(city),
    )
    _spend(
        scene,
        first_us + span_us + scene.pause(MINUTE_US, 25 * MINUTE_US),
        n_large,
        2_000,
        9_000,
        0.4,
        scene.stranger(scene.abroad()),
    )
    return True


def hard(scene: Scene) -> bool:
    n_large = min(
        scene.count(1, 2), int(0.9 * scene.available(scene.account) / (300.0 * YUAN * 1.1))
    )
    if n_large < 1:
        return False
    n_small, first_us = scene.count(3, 5), scene.hour(0, 23)
    span_us = scene.pause(4 * HOUR_US, 20 * HOUR_US)
    device = scene.device() + scene.rng.integers(0, 3, n_small)
    who = scene.unseen(scene.stranger(scene.abroad()))
    scene.purchase(
        scene.spread(first_us, span_us, n_small),
        scene.account,
        scene.online_shops(n_small, 0.5),
        scene.prices(1, 80, n_small),
        status=_status(scene, n_small, 0.1),
        auth_method=table.NONE,
        **(who if who["device"] == -1 else who | {"device": device, "ip": device}),
    )
    _spend(
        scene,
        first_us + span_us + scene.pause(10 * MINUTE_US, 3 * HOUR_US),
        n_large,
        300,
        3_000,
        0.5,
        who,
    )
    return True


CARD_TESTING = Kind(
    "card_testing",
    False,
    lambda p, day: kinds.with_card(p, day) & kinds.holding(p, 9_000),
    (Variant(EASY, easy, 2, 11.0, 8.0), Variant(HARD, hard, 3, 5.5, 4.0)),
)
