"""Impossible travel: a copy of the card is used far away while its owner is at home.

In life: cards are skimmed at machines or tills and copied; chips that are not checked online, or data relayed from a
telephone, let the copy work in another place at nearly the same time. Source: card schemes' geo-velocity rules; EMVCo
on relay attacks.

easy: after a purchase at home, chip or contactless, the card is used 2 to 4 times on another continent 25 to 100
minutes later. hard: 1 or 2 uses in a Chinese city 800 to 2,000 km away within 20 to 120 minutes, so that some could
nearly have flown. Simplified: the copy shows the same entry modes as the card; whose use is the false one is known
from the start.
"""

import numpy as np

from replay.bank import kinds, places, table
from replay.bank.kinds import EASY, HARD, Kind, Variant
from replay.bank.scene import HOUR_US, MINUTE_US, YUAN, Scene
from replay.bank.table import I8

OTHER_CONTINENTS = (
    places.PARIS,
    places.FRANKFURT,
    places.LONDON,
    places.NEW_YORK,
    places.SAO_PAULO,
    places.LAGOS,
)


def _last_use(scene: Scene) -> tuple[int, int] | None:
    """When and where the owner last held the card to a terminal on that day; None: not that day, or too late."""
    rows = scene.honest
    here = (rows["account"] == scene.account) & (rows["card"] == 2 * scene.account)
    here &= np.isin(rows["entry_mode"], [table.CHIP, table.CONTACTLESS])
    here &= (rows["status"] != table.DECLINED) & (rows["time_us"] < scene.start_us + 21 * HOUR_US)
    found = np.flatnonzero(here)
    if not len(found):
        return None
    last = found[np.argmax(rows["time_us"][found])]
    return int(rows["time_us"][last]), int(rows["city"][last])


def _spend(scene: Scene, time_us: I8, city: int, low: float, high: float) -> None:
    n, room = len(time_us), 0.8 * scene.available(scene.account) / YUAN
    shops = scene.counters(n, city, is_dear=True)
    scene.purchase(
        time_us,
        scene.account,
        shops,
        scene.prices(low, max(min(high, room / n), low + 1), n),
        is_money=1,
    )


def easy(scene: Scene) -> bool:
    used = _last_use(scene)
    if used is None or scene.available(scene.account) < 1_600 * YUAN:
        return False
    n = scene.count(2, 4)
    first_us = used[0] + scene.pause(25 * MINUTE_US, 100 * MINUTE_US)
    times = scene.spread(first_us, (n - 1) * scene.pause(5 * MINUTE_US, 30 * MINUTE_US), n)
    _spend(scene, times, int(scene.rng.choice(OTHER_CONTINENTS)), 300, 4_000)
    return True


def hard(scene: Scene) -> bool:
    used = _last_use(scene)
    if used is None or scene.available(scene.account) < 1_000 * YUAN:
        return False
    cities = scene.in_china(used[1], 800, 2_000)
    if not len(cities):
        return False
    n = scene.count(1, 2)
    first_us = used[0] + scene.pause(20 * MINUTE_US, 118 * MINUTE_US)
    times = scene.spread(first_us, (n - 1) * scene.pause(4 * MINUTE_US, 25 * MINUTE_US), n)
    _spend(scene, times, int(scene.rng.choice(cities)), 200, 3_000)
    return True


IMPOSSIBLE_TRAVEL = Kind(
    "impossible_travel",
    False,
    lambda p, day: kinds.with_card(p, day) & (p.per_day > 3.0) & kinds.holding(p, 6_000),
    (Variant(EASY, easy, 2, 3.0, 2.0), Variant(HARD, hard, 2, 1.5, 1.0)),
)
