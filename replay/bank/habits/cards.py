"""Purchases: at counters with card, telephone or QR code, and online; at home and on journeys.

A QR payment and a card in a telephone are card authorisations with that entry mode, as the bank behind them sees it.
"""

from typing import Final

import numpy as np

from replay.bank import places, table
from replay.bank.habits.today import COUNTERS, SCREENS_ONLINE, SECOND_US, Today
from replay.bank.merchants import (
    CATEGORIES,
    CATEGORY_DAY,
    CATEGORY_SIGMA,
    CLOTHING,
    COURSES,
    DEPARTMENT_STORES,
    FUEL,
    HOSPITALS,
    HOTELS,
    JEWELLERS,
    LOCAL_TRANSPORT,
    RAILWAYS,
    RESTAURANTS,
    SCREENS,
    TAXIS,
    TRAVEL_AGENCIES,
    zipf_rank,
)
from replay.bank.population import (
    DAY_US,
    N_FAVOURITES_HERE,
    N_FAVOURITES_ONLINE,
    STUDENT,
    Flags,
)
from replay.bank.table import F8, I8, Table

AT_COUNTER: Final = 0.52  # share of an account's rows on an average day
ONLINE: Final = 0.20
_BUSINESS: Final = 0.07  # firms sell more than they buy
_COUNTER_MAX: Final = 1.6  # the greatest factor of any category; drawn first, thinned afterwards
_DECLINED: Final = 0.013  # for reasons that have nothing to do with fraud or money
_LARGEST: Final = 6_000_000  # fen
# how the price level of the customer bears on the category: 0 not at all, 1 a little, 2 in full
_ELASTIC: Final[I8] = np.full(len(CATEGORIES), 1, np.int64)
_ELASTIC[[HOTELS, JEWELLERS, COURSES, TRAVEL_AGENCIES]] = 2
_ELASTIC[[LOCAL_TRANSPORT, HOSPITALS, RAILWAYS, TAXIS]] = 0
# Purchases come in errands: some of one, some of several shops of a street or parts of one order, minutes apart.
_ERRAND: Final[F8] = np.array([0.84, 0.08, 0.045, 0.02, 0.015])  # of 1, 2, 3, 4, 5 purchases
_ERRAND_MEAN: Final = float(_ERRAND @ np.arange(1, 6))
_SAME_SHOP: Final = 0.4  # of the orders that follow another: the rest of it, or something forgotten
_WEEKDAY: Final = (0.95, 0.94, 0.95, 0.97, 1.08, 1.18, 1.08)


def _appetite(today: Today) -> F8:
    """(categories,) visits to counters today relative to an average day."""
    date = today.date
    factor: F8 = np.full(len(CATEGORIES), _WEEKDAY[date.weekday])
    if not date.is_working_day:
        factor[[RESTAURANTS, CLOTHING, DEPARTMENT_STORES]] = 1.25
        factor[[LOCAL_TRANSPORT, HOSPITALS]] = 0.55
    if date.is_long_holiday:
        factor[[RESTAURANTS, HOTELS, FUEL]] = 1.55
        factor[LOCAL_TRANSPORT] = 0.35
    if date.holiday == "spring festival":
        factor *= 0.7  # many shops are closed and many customers with their families
    factor[HOTELS] *= 0.5  # few sleep in a hotel where they live
    return factor


def _amounts(rng: np.random.Generator, today: Today, account: I8, merchant: I8, share: F8) -> I8:
    """Fen of each purchase; two in five are of whole yuan, some end in ninety."""
    p, lives = today.population, today.lives
    category = p.merchants.category[merchant]
    spread = np.exp(CATEGORY_SIGMA[category] * rng.standard_normal(len(account)))
    fen = 100.0 * p.merchants.price[merchant] * lives.levels[account, _ELASTIC[category]] * spread
    whole = np.maximum(np.rint(fen / 100.0), 1.0) * 100.0
    rounded = np.where(
        (share < 0.40) | (category == LOCAL_TRANSPORT),
        whole,
        np.where(share < 0.52, np.maximum(whole - 10.0, 90.0), np.maximum(np.rint(fen), 50.0)),
    )
    return np.minimum(rounded, _LARGEST).astype(np.int64)


def _afford(share: F8, amount: I8, balance: I8) -> tuple[I8, Flags]:
    """Who cannot pay mostly asks for less, else is declined; and some are declined for other reasons."""
    over = amount > balance
    less = over & (share < 0.8) & (balance > 2_000)
    smaller = np.maximum((balance * (0.05 + 0.3 * share)).astype(np.int64), 100)
    return np.where(less, smaller, amount), (over & ~less) | (share > 1.0 - _DECLINED)


def _errands(today: Today, rng: np.random.Generator, per_day: F8) -> tuple[I8, I8]:
    """Accounts (n,), one for each of `per_day` (n_accounts,) purchases, and which errand (n,) each belongs to."""
    account = today.accounts(rng, per_day / _ERRAND_MEAN)
    size = 1 + np.searchsorted(np.cumsum(_ERRAND)[:-1], rng.random(len(account)), side="right")
    return np.repeat(account, size), np.repeat(np.arange(len(account)), size)


def _leads(errand: I8) -> I8:
    """Index of the first row of each row's errand; rows of an errand lie together."""
    first = np.ones(len(errand), np.bool_)
    first[1:] = errand[1:] != errand[:-1]
    leader: I8 = np.maximum.accumulate(np.where(first, np.arange(len(errand)), 0))
    return leader


def _together(today: Today, rng: np.random.Generator, time_us: I8, leads: I8) -> I8:
    """`time_us`, but what follows in an errand comes within half an hour of its first purchase, on the same day."""
    n = len(time_us)
    gap_us = rng.integers(40, 30 * 60, n) * SECOND_US
    follows = leads < np.arange(n)
    moment = time_us[leads] + np.where(follows, gap_us, 0)
    return np.where(moment < today.start_us + DAY_US, moment, time_us[leads] - gap_us)


def at_counters(today: Today) -> Table:
    """Purchases at terminals."""
    p, lives, where, rng = today.population, today.lives, today.where, today.rng(COUNTERS)
    often = p.per_day * AT_COUNTER * _COUNTER_MAX * today.eagerness
    often = np.where(lives.is_firm, _BUSINESS * often, often)
    often = np.where((p.n_cards > 0) & ~where.is_on_the_way, often, 0.0)
    account, errand = _errands(today, rng, often)
    pick, thin = rng.random((2, len(account)))
    second = (p.n_cards[account] > 1) & (rng.random(len(account)) < 0.35)
    city = np.where(
        second & where.partner_stays[account], p.account_city[account], where.city[account]
    )
    away = city != p.account_city[account]
    usual = ~away & (rng.random(len(account)) < 0.82)
    merchant = np.where(
        usual,
        p.favourites[account, zipf_rank(pick, N_FAVOURITES_HERE)],
        p.merchants.anywhere_in(city, pick),
    )
    category = p.merchants.category[merchant]
    open_ = thin * _COUNTER_MAX < _appetite(today)[category]
    # in a strange city people eat, travel and sleep
    open_ |= away & np.isin(category, (RESTAURANTS, HOTELS)) & (thin < 0.9)
    kept = np.flatnonzero(open_)
    account, merchant, city, away = account[kept], merchant[kept], city[kept], away[kept]
    n, leads = len(account), _leads(errand[kept])
    mode, share, fate, till = rng.random((4, n))
    entry = _entry_modes(today, account, away, mode, city)
    amount, declined = _afford(
        fate, _amounts(rng, today, account, merchant, share), p.balance[account]
    )
    currency = p.merchants.currency[merchant]
    foreign, worth = places.in_currency(amount, currency)
    by_phone = entry >= table.WALLET
    owner = today.owner(rng, account)
    time_us = today.moments(rng, account, CATEGORY_DAY[p.merchants.category[merchant]])
    return Table.transactions(
        n,
        time_us=_together(today, rng, time_us, leads),
        type=table.CARD_AUTH,
        account=account,
        card=2 * account + second[kept],
        amount=np.where(currency == table.CNY, amount, foreign),
        currency=currency,
        amount_cny=np.where(currency == table.CNY, amount, worth),
        status=np.where(declined, table.DECLINED, table.REQUESTED),
        channel=table.POS,
        entry_mode=entry,
        auth_method=np.where(
            by_phone,
            table.BIOMETRIC,
            np.where((entry == table.CHIP) | (amount > 100_000), table.PIN, table.NONE),
        ),
        merchant=merchant,
        terminal=p.merchants.terminal(merchant, till),
        device=np.where(by_phone, today.phone(owner), -1),
        city=city,
        attempt=np.where(away, where.attempt[account], -1),
    )


def _entry_modes(today: Today, account: I8, away: Flags, mode: F8, city: I8) -> I8:
    """QR codes first in China, cards abroad; the elderly keep to chip and PIN more often."""
    home = table.QR
    at_home = np.where(
        mode < 0.46,
        home,
        np.where(
            mode < 0.60,
            table.WALLET,
            np.where(mode < 0.86, table.CONTACTLESS, table.CHIP),
        ),
    )
    old = np.where(mode < 0.24, home, np.where(mode < 0.45, table.CONTACTLESS, table.CHIP))
    abroad = np.where(
        mode < 0.12, table.WALLET, np.where(mode < 0.55, table.CONTACTLESS, table.CHIP)
    )
    is_foreign = away & (city >= places.N_DOMESTIC_CITIES)
    elderly = today.lives.is_elderly[account]
    return np.where(is_foreign, abroad, np.where(elderly, old, at_home)).astype(np.int64)


def online(today: Today) -> Table:
    """Purchases on screens, most of them at the usual shops, a few abroad."""
    p, lives, where, rng = today.population, today.lives, today.where, today.rng(SCREENS_ONLINE)
    feast = 2.2 if today.date.is_feast else 1.1 if today.date.weekday >= 5 else 0.95
    often = p.per_day * ONLINE * feast * today.eagerness
    often = np.where(lives.is_firm, _BUSINESS * often, often)
    taste = np.array([1.0, 1.1, 1.45, 0.35, 1.0, 1.0])[p.account_segment]
    account, errand = _errands(today, rng, np.where(p.n_cards > 0, often * taste, 0.0))
    n, leads = len(account), _leads(errand)
    pick, kind, mode, share, fate = rng.random((5, n))
    # who orders twice within minutes does it on one device, and often at one shop
    mode = mode[leads]
    again = np.where(rng.random(n) < _SAME_SHOP, leads, np.arange(n))
    pick, kind = pick[again], kind[again]
    shops = p.merchants
    is_foreign = kind > np.where(p.account_segment[account] == STUDENT, 0.985, 0.975)
    merchant = np.where(
        kind < 0.72,
        p.favourites[account, N_FAVOURITES_HERE + zipf_rank(pick, N_FAVOURITES_ONLINE)],
        shops.online[zipf_rank(pick, len(shops.online))],
    )
    merchant = np.where(
        is_foreign, shops.foreign_online[zipf_rank(pick, len(shops.foreign_online))], merchant
    )
    amount, declined = _afford(
        fate, _amounts(rng, today, account, merchant, share), p.balance[account]
    )
    currency = shops.currency[merchant]
    foreign, worth = places.in_currency(amount, currency)
    owner = today.owner(rng, account)[leads]
    by_computer = mode > 0.88
    on_file = (mode < 0.30) & (kind < 0.72)  # a shop they know keeps the card
    return Table.transactions(
        n,
        time_us=_together(today, rng, today.moments(rng, account, SCREENS), leads),
        type=table.CARD_AUTH,
        account=account,
        card=2 * account + ((p.n_cards[account] > 1) & (pick < 0.3)),
        amount=np.where(currency == table.CNY, amount, foreign),
        currency=currency,
        amount_cny=np.where(currency == table.CNY, amount, worth),
        status=np.where(declined, table.DECLINED, table.REQUESTED),
        channel=table.ONLINE,
        entry_mode=np.where(on_file, table.ON_FILE, table.ECOMMERCE),
        auth_method=np.where(
            on_file, table.NONE, np.where(is_foreign, table.THREE_D_SECURE, table.SMS)
        ),
        merchant=merchant,
        device=today.device(rng, owner, by_computer)[leads],
        ip=today.address(rng, account, owner, 0.6)[leads],
        ip_country=today.country(account),
        city=where.city[account],
        attempt=where.attempt[account],
    )
