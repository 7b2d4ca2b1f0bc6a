"""Merchant compromise: the card numbers that an online shop lost are all spent at another shop.

In life: a script on the payment page of a shop (Magecart) or a stolen database yields thousands of card numbers; they
are sold in lots and cashed at shops that belong to the buyers or check little. Banks look for the common point of
purchase. Source: Visa's common-point-of-purchase advisories; PCI SSC on e-skimming; RiskIQ on Magecart (2018).

Every victim first buys at the compromised shop, an everyday purchase that carries no mark. One to three days after
the last of them the numbers are used. easy: 20 to 32 cards are spent (600 to 2,400 yuan) at one other shop within an
hour from 3 to 5 devices. hard: 9 to 14 cards (150 to 1,800 yuan) over 6 to 12 hours at 2 shops, each card from a
device of its own. Simplified: victims are regulars of the shop, one purchase each; the shop at which they spend has
honest customers too.
"""

import numpy as np

from replay.bank import kinds, table
from replay.bank.kinds import EASY, HARD, Casting, Kind, Variant
from replay.bank.population import DAY_US, N_FAVOURITES_HERE, Population
from replay.bank.scene import HOUR_US, MINUTE_US, YUAN, Scene
from replay.bank.table import I8

LEAST = 2_600 * YUAN


def _shops(p: Population, account: int) -> I8:
    """Online shops that the account buys at again and again."""
    online: I8 = np.unique(p.favourites[account, N_FAVOURITES_HERE:])
    return online


def regulars(casting: Casting) -> I8 | None:
    """Customers with a card who share one of the online shops of the first."""
    p = casting.population
    able = kinds.with_card(p, casting.day) & kinds.holding(p, 3_500)
    for shop in casting.rng.permutation(_shops(p, casting.account)).tolist():
        found = casting.drawn(able & (p.favourites[:, N_FAVOURITES_HERE:] == shop).any(axis=1))
        if found is not None:
            return found
    return None


def _lost(scene: Scene, n_most: int, days: int) -> tuple[I8, int, int]:
    """Let the victims buy at the shop over `days`; the victims, the shop, and when its numbers are sold."""
    p = scene.population
    common = set(_shops(p, scene.account).tolist())
    for other in scene.others.tolist():
        common &= set(_shops(p, other).tolist())
    shop = int(scene.rng.choice(sorted(common)))
    account = np.concatenate([[scene.account], scene.others])
    account = np.array(
        [a for a in account.tolist() if scene.available(a) >= LEAST][:n_most], np.int64
    )
    n = len(account)
    if n:
        times, price = scene.on_days(n, days, 9, 23), float(p.merchants.price[shop])
        paid = scene.prices(0.5 * price, 2 * price, n)
        scene.buy_online(scene.rng.permutation(times), account, np.full(n, shop), paid, attempt=-1)
    return account, shop, scene.start_us + days * DAY_US


def _elsewhere(scene: Scene, n: int, shop: int) -> I8:
    """`n` online shops with honest customers, but not the one that lost the numbers."""
    shops = scene.online_shops(n + 1, 0.0, is_dear=True)
    chosen: I8 = shops[shops != shop][:n]
    return chosen


def easy(scene: Scene) -> bool:
    account, shop, sold_us = _lost(scene, scene.count(20, 32), scene.days(1, 2))
    n = len(account)
    if n < 20:
        return False
    first_us = sold_us + scene.pause(6 * HOUR_US, 40 * HOUR_US)
    device = scene.device() + np.arange(n) % scene.count(3, 5)
    scene.purchase(
        scene.spread(first_us, scene.pause(25 * MINUTE_US, 58 * MINUTE_US), n),
        account,
        np.full(n, _elsewhere(scene, 1, shop)[0]),
        scene.prices(600, 2_400, n),
        is_money=1,
        auth_method=table.NONE,
        **(scene.stranger(scene.abroad()) | {"device": device, "ip": device}),
    )
    return True


def hard(scene: Scene) -> bool:
    account, shop, sold_us = _lost(scene, scene.count(9, 14), scene.days(2, 3))
    n = len(account)
    if n < 9:
        return False
    first_us = sold_us + scene.pause(8 * HOUR_US, 40 * HOUR_US)
    is_seen = scene.rng.random(n) > 0.2  # of some the shops pass nothing on
    device = np.where(is_seen, scene.device() + np.arange(n), -1)
    who = scene.stranger(scene.abroad())
    country = np.where(is_seen, who["ip_country"], -1)
    scene.purchase(
        scene.spread(first_us, scene.pause(6 * HOUR_US, 12 * HOUR_US), n),
        account,
        scene.rng.choice(_elsewhere(scene, 2, shop), n),
        scene.prices(150, 1_800, n),
        is_money=1,
        auth_method=table.NONE,
        **(who | {"device": device, "ip": device, "ip_country": country}),
    )
    return True


MERCHANT_COMPROMISE = Kind(
    "merchant_compromise",
    False,
    lambda p, day: kinds.with_card(p, day) & kinds.holding(p, 3_500),
    (
        Variant(EASY, easy, 5, 26.0, 22.0, (21, 40)),
        Variant(HARD, hard, 6, 11.5, 9.5, (10, 19)),
    ),
    regulars,
)
