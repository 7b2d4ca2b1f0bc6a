"""Honest purchases that look like fraud with cards: tiny ones, many, far away, all at once, or given back."""

import numpy as np

from replay.bank import kinds, places, table
from replay.bank.kinds import Casting, Eligible, Flags, Journey, Kind, Variant
from replay.bank.merchants import CLOTHING, DIGITAL_MEDIA, ELECTRONICS, GAMES, LOCAL_TRANSPORT
from replay.bank.population import DAY_US, ELDERLY, N_FAVOURITES_HERE, STUDENT, Population
from replay.bank.scene import HOUR_US, MINUTE_US, YUAN, Scene
from replay.bank.table import I8


def _online(scene: Scene, *categories: int) -> I8:
    """Chinese online shops of these kinds; any, if there are none."""
    found = np.concatenate([scene.merchants.of_category(each) for each in categories])
    return found if len(found) else scene.merchants.online


def app_trials(scene: Scene) -> bool:
    """Like card testing: three or four subscriptions in a day, then a telephone; own device, confirmed by SMS."""
    if scene.available(scene.account) < 4_000 * YUAN:
        return False
    n, first_us = int(scene.rng.integers(3, 5)), scene.hour(9, 14)
    media = _online(scene, DIGITAL_MEDIA, GAMES)
    trials = scene.rng.choice(media, min(n, len(media)), replace=False)
    times = scene.spread(first_us, scene.pause(1 * HOUR_US, 6 * HOUR_US), len(trials))
    scene.buy_online(times, scene.account, trials, scene.prices(6, 30, len(trials)))
    phone_us = int(times[-1]) + scene.pause(20 * MINUTE_US, 3 * HOUR_US)
    shop = scene.rng.choice(_online(scene, ELECTRONICS), 1)
    most = min(6_000.0, 0.9 * scene.available(scene.account) / YUAN)
    scene.buy_online(np.array([phone_us]), scene.account, shop, scene.prices(2_000, most))
    return True


def cross_border_shopping(scene: Scene) -> bool:
    """Like card testing and stolen numbers: orders at foreign shops, from home and with the second factor."""
    if scene.available(scene.account) < 2_500 * YUAN:
        return False
    n, days = int(scene.rng.integers(2, 6)), scene.days(1, 3)
    shops = scene.online_shops(n, 1.0)
    most = min(1_500.0, 0.6 * scene.available(scene.account) / YUAN / n)
    times = scene.on_days(n, days, 19, 23.5)
    scene.buy_online(times, scene.account, shops, scene.prices(80, most, n))
    return True


def shopping_spree(scene: Scene) -> bool:
    """Like a velocity burst: six to ten orders in an evening, at usual shops and from the own telephone."""
    if scene.available(scene.account) < 3_500 * YUAN:
        return False
    n = int(scene.rng.integers(6, 11))
    usual = scene.population.favourites[scene.account, N_FAVOURITES_HERE:]
    most = min(600.0, 0.8 * scene.available(scene.account) / YUAN / n)
    times = scene.spread(scene.hour(19, 21), scene.pause(2 * HOUR_US, 2.9 * HOUR_US), n)
    on_file = scene.rng.random(n) < 0.4
    scene.buy_online(
        times,
        scene.account,
        scene.rng.choice(usual, n),
        scene.prices(30, most, n),
        entry_mode=np.where(on_file, table.ON_FILE, table.ECOMMERCE),
        auth_method=np.where(on_file, table.NONE, table.SMS),
    )
    return True


def transit_day(scene: Scene) -> bool:
    """Like a velocity burst or card testing: six to twelve fares of a few yuan, contactless, across the own city."""
    n, shops = int(scene.rng.integers(6, 13)), scene.merchants
    lines = shops.of_category(LOCAL_TRANSPORT, city=scene.city)
    if not len(lines):
        lines = shops.by_city[shops.start[scene.city] : shops.start[scene.city + 1]]
    scene.purchase(
        scene.spread(scene.hour(7, 8.5), scene.pause(9 * HOUR_US, 14 * HOUR_US), n),
        scene.account,
        scene.rng.choice(lines, n),
        scene.rng.integers(2, 10, n) * YUAN,
        entry_mode=table.CONTACTLESS,
        auth_method=table.NONE,
    )
    return True


def clothes_returns(scene: Scene) -> bool:
    """Like refund abuse: five to eight things ordered at one shop, three to five given back, in full and not more."""
    n, days = int(scene.rng.integers(5, 9)), scene.days(1, 3)
    most = min(500.0, 0.7 * scene.available(scene.account) / YUAN / n)
    if most < 90:
        return False
    shop = np.full(n, scene.rng.choice(_online(scene, CLOTHING)))
    times = scene.on_days(n, days, 18, 23.5) + np.arange(n) * MINUTE_US
    paid = scene.prices(80, most, n)
    scene.buy_online(times, scene.account, shop, paid)
    back = np.sort(scene.rng.choice(n, min(int(scene.rng.integers(3, 6)), n - 1), replace=False))
    left_us = max(scene.end_us - int(times[-1]) - HOUR_US, 2 * DAY_US)
    wait = scene.rng.uniform(2, max(min(9, left_us / DAY_US), 2.1), len(back)).astype(np.int64)
    midnight = (times[back] - scene.start_us) // DAY_US * DAY_US + scene.start_us
    back_us = (
        midnight + wait * DAY_US + (scene.rng.uniform(9, 20, len(back)) * HOUR_US).astype(np.int64)
    )
    scene.refund(back_us, scene.account, shop[back], paid[back], -2 - back)
    return True


def flash_sale(scene: Scene) -> bool:
    """Like a merchant compromise: 30 to 80 customers at one shop within the hour, each with the own telephone."""
    account = np.concatenate([[scene.account], scene.others])
    account = account[: int(scene.rng.integers(30, 81))]
    prices = scene.prices(39, 899, 3)  # three things are on sale
    bought = prices[scene.rng.integers(0, 3, len(account))]
    able = np.array([scene.available(int(a)) for a in account]) > bought
    account, bought = account[able], bought[able]
    if len(account) < 25:
        return False
    n = len(account)
    start_us, shop = scene.hour(10, 20), scene.rng.choice(scene.merchants.online)
    minutes = np.minimum(scene.rng.exponential(14.0, n), 58.0)  # most come at once
    times = start_us + np.sort((minutes * MINUTE_US).astype(np.int64))
    scene.buy_online(times, account, np.full(n, shop), bought)
    return True


def business_trip(scene: Scene) -> bool:
    """Like impossible travel: at home in the morning, after a flight of two to four hours in another city.

    The journey itself is one of the habits; the two ends of its first day are shown here.
    """
    first, later = scene.share(6.5, 9), scene.share(5, 9)
    for hour, city in ((first, scene.city), (first + later, scene.destination)):
        shop = scene.counters(1, city)
        at_us = np.array([scene.start_us + int(hour * HOUR_US)])
        price = np.minimum(scene.usual_prices(shop), 300 * YUAN)
        scene.purchase(at_us, scene.account, shop, price)
    return True


def _on_business(rng: np.random.Generator, population: Population, account: int) -> Journey:
    home = int(population.account_city[account])
    away = (home + int(rng.integers(1, places.N_HOME_CITIES))) % places.N_HOME_CITIES
    return Journey(away, int(rng.integers(2, 5)), partner_stays=True)


def _on_holiday(rng: np.random.Generator, population: Population, account: int) -> Journey:
    """A week abroad, sometimes with the second card left at home."""
    cities = (places.HONG_KONG, places.BANGKOK, places.TOKYO, places.SINGAPORE, places.PARIS)
    stays = bool(population.n_cards[account] > 1 and rng.random() < 0.5)
    return Journey(int(rng.choice(cities)), int(rng.integers(5, 9)), stays)


def _buyers(casting: Casting) -> I8 | None:
    p = casting.population
    return casting.drawn(kinds.with_card(p, casting.day) & kinds.holding(p, 1_500))


def _wallet(casting: Casting) -> I8 | None:
    """The owner's other accounts: whoever travels takes all cards along."""
    p, me = casting.population, casting.account
    own = np.flatnonzero((p.customer == p.customer[me]) & (np.arange(p.n_accounts) != me))
    return own if casting.free[own].all() else None


def _cardholders(yuan: float) -> Eligible:
    return lambda p, day: kinds.with_card(p, day) & kinds.holding(p, yuan)


def _travellers(p: Population, day: int) -> Flags:
    away = (p.account_segment != STUDENT) & (p.account_segment != ELDERLY) & (p.per_day > 2.0)
    return np.asarray(kinds.with_card(p, day) & away & kinds.holding(p, 6_000))


KINDS = (
    Kind("app_trials", True, _cardholders(6_000), (Variant("", app_trials, 1, 4.5, 4.5),)),
    Kind(
        "cross_border_shopping",
        True,
        _cardholders(4_000),
        (Variant("", cross_border_shopping, 3, 3.5, 3.5),),
    ),
    Kind("shopping_spree", True, _cardholders(5_000), (Variant("", shopping_spree, 1, 8.0, 8.0),)),
    Kind("transit_day", True, _cardholders(500), (Variant("", transit_day, 1, 9.0, 9.0),)),
    Kind(
        "clothes_returns",
        True,
        _cardholders(4_000),
        (Variant("", clothes_returns, 12, 10.5, 10.5),),
    ),
    Kind(
        "flash_sale",
        True,
        _cardholders(1_500),
        (Variant("", flash_sale, 1, 53.0, 53.0, (29, 79)),),
        _buyers,
    ),
    Kind(
        "family_holiday",
        True,
        _travellers,
        (Variant("", None, 9, 12.0, 12.0),),
        _wallet,
        journey=_on_holiday,
    ),
    Kind(
        "business_trip",
        True,
        _travellers,
        (Variant("", business_trip, 5, 8.0, 8.0),),
        _wallet,
        journey=_on_business,
    ),
)
