"""Money between people: to payees long known or new, from friends, abroad."""

from typing import Final

import numpy as np

from replay.bank import places, table
from replay.bank.habits.today import (
    MINUTE_US,
    OWN_MONEY,
    PAYMENTS,
    WALLETS,
    Today,
    nice_amounts,
    second_legs,
)
from replay.bank.merchants import ALL_DAY, SCREENS
from replay.bank.population import (
    HIGH_NET_WORTH,
    N_PAYEES,
    SMALL_BUSINESS,
    STUDENT,
    Population,
)
from replay.bank.table import F8, I8, OUTSIDE, Table

_TO_PAYEES: Final = 0.085  # shares of an account's rows
_FROM_FRIENDS: Final = 0.045
_TOPUPS: Final = 0.04
_NEW: Final = 0.05  # of the payments to people
_ABROAD: Final = np.array([0.0002, 0.004, 0.0003, 0.0001, 0.0, 0.0])  # a day, by segment
_ABROAD_TO: Final = (places.US, places.GB, places.HK, places.JP, places.DE, places.SG)
_FEN_A_YUAN: Final = 100


def between_people(today: Today) -> Table:
    """Payments to payees, what the bank's own accounts receive from them, and from friends who bank elsewhere."""
    sent = _sent(today)
    return Table.joined(
        [sent, second_legs(today.rng(PAYMENTS + 20), sent), _received(today), _abroad(today)]
    )


def _people_amounts(rng: np.random.Generator, today: Today, account: I8) -> I8:
    """Fen: mostly round, lucky numbers on feast days more often than else."""
    n = len(account)
    share, pick = rng.random((2, n))
    yuan = 190.0 * today.lives.levels[account, 2] * np.exp(1.0 * rng.standard_normal(n))
    step = np.where(yuan > 2_000.0, 500.0, np.where(yuan > 150.0, 50.0, 10.0))
    step = np.where(share < 0.25, 0.1, step)
    fen = np.rint(np.maximum(np.rint(yuan / step), 1.0) * step * _FEN_A_YUAN).astype(np.int64)
    lucky = nice_amounts()
    is_gift = share > (0.55 if today.date.holiday == "spring festival" else 0.94)
    mixed: I8 = np.where(
        is_gift, lucky[(pick * len(lucky)).astype(np.int64)], np.minimum(fen, 5_000_000)
    )
    return mixed


def _sent(today: Today) -> Table:
    p, lives, rng = today.population, today.lives, today.rng(PAYMENTS)
    often = p.per_day * _TO_PAYEES * today.eagerness * lives.is_current
    if today.date.holiday == "spring festival":
        often = often * 1.8
    account = today.accounts(rng, often)
    n = len(account)
    pick, new, way, fate = rng.random((4, n))
    is_new = new < _NEW
    payee = np.where(
        is_new, today.new_payees(n), p.payees[account, 1 + (pick * (N_PAYEES - 1)).astype(np.int64)]
    )
    fen = _people_amounts(rng, today, account)
    # most of what is paid to the family is more than a share of a dinner
    fen = np.where((payee == p.payees[account, 1]) & ~is_new, 2 * fen, fen)
    # nobody gives most of what they have to somebody they never paid before
    can = p.balance[account] * np.where(is_new, 2, 5) // 10
    short = fen > can
    fen = np.where(short, np.maximum(can // 1_000 * 1_000, 1_000), fen)
    owner = today.owner(rng, account)
    at_branch = (way > 0.80) & ~lives.is_mobile[owner]
    at_branch &= today.where.city[account] == p.account_city[account]
    by_computer = (way > 0.90) & ~at_branch
    time_us = np.where(
        at_branch, today.between(rng, n, 9.0, 16.8), today.moments(rng, account, ALL_DAY)
    )
    purpose = np.where(pick < 0.2, table.FOR_LIVING, np.where(pick > 0.93, table.FOR_GIFT, -1))
    return Table.transactions(
        n,
        # late enough for a login and the new payee to come first on the same day
        time_us=np.maximum(time_us, today.start_us + 20 * MINUTE_US),
        type=table.PAYMENT,
        account=account,
        amount=fen,
        status=np.where(
            (p.balance[account] < 1_500) | (fate < 0.004), table.DECLINED, table.REQUESTED
        ),
        channel=np.where(at_branch, table.BRANCH, np.where(by_computer, table.WEB, table.MOBILE)),
        auth_method=np.where(
            at_branch,
            table.PIN,
            np.where(by_computer, table.SMS, np.where(way < 0.65, table.BIOMETRIC, table.PASSWORD)),
        ),
        counterparty=payee,
        device=np.where(at_branch, -1, today.device(rng, owner, by_computer)),
        ip=np.where(at_branch, -1, today.address(rng, account, owner, 0.62)),
        ip_country=np.where(at_branch, -1, today.country(account)),
        city=today.where.city[account],
        purpose=purpose,
    )


def _received(today: Today) -> Table:
    """From friends and family who bank elsewhere: mostly the payees themselves."""
    p, lives, rng = today.population, today.lives, today.rng(PAYMENTS + 30)
    often = p.per_day * _FROM_FRIENDS * lives.is_current
    account = today.accounts(rng, often)
    n = len(account)
    known = p.payees[account, rng.integers(1, N_PAYEES, n)]
    stranger = (known < OUTSIDE) | (rng.random(n) < 0.25)
    return Table.transactions(
        n,
        time_us=today.moments(rng, account, ALL_DAY),
        type=table.PAYMENT,
        account=account,
        amount=_people_amounts(rng, today, account),
        is_in=1,
        status=table.BOOKED,
        channel=table.FILE,
        counterparty=np.where(stranger, today.strangers(rng, n), known),
    )


def _abroad(today: Today) -> Table:
    """Fees and keep of children who study abroad, purchases of firms; and what exporters are paid."""
    p, lives, rng = today.population, today.lives, today.rng(OWN_MONEY + 50)
    often = np.where(lives.is_main & lives.is_alive, _ABROAD[p.account_segment], 0.0)
    if not today.date.is_working_day:
        often = often * 0.2
    exporters = (p.account_segment == SMALL_BUSINESS) & (np.arange(p.n_accounts) % 16 == 5)
    trade = np.where(exporters & lives.is_alive & today.date.is_working_day, 0.12, 0.0)
    account = np.concatenate([today.accounts(rng, often), today.accounts(rng, trade)])
    n, is_trade = len(account), p.account_segment[account] == SMALL_BUSINESS
    is_in = is_trade & (rng.random(n) < 0.7)
    # one partner or school each, so that the second payment goes where the first did
    country = np.array(_ABROAD_TO)[_lot(p, account, len(_ABROAD_TO))]
    currency = places.COUNTRY_CURRENCY[country]
    base = np.where(is_trade, 0.06 * lives.income[account], 0.25 * lives.income[account])
    fen = np.clip(base * np.exp(0.6 * rng.standard_normal(n)), 80_000, 15_000_000).astype(np.int64)
    fen = np.where(is_in, fen, np.minimum(fen, np.maximum(p.balance[account] // 2, 50_000)))
    unit = places.MINOR_PER_UNIT[currency] * np.where(currency == table.JPY, 1_000, 50)
    amount, _ = places.in_currency(fen, currency)
    amount = np.maximum(np.rint(amount / unit).astype(np.int64), 1) * unit
    out = ~is_in
    owner = p.customer[account]
    return Table.transactions(
        n,
        time_us=today.between(rng, n, 9.0, 17.5),
        type=table.PAYMENT,
        account=account,
        amount=amount,
        currency=currency,
        amount_cny=np.rint(amount * places.FEN_PER_MINOR[currency]).astype(np.int64),
        is_in=is_in,
        status=np.where(
            is_in,
            table.BOOKED,
            np.where(fen > p.balance[account], table.DECLINED, table.REQUESTED),
        ),
        channel=np.where(out, table.WEB, table.FILE),
        auth_method=np.where(out, table.SMS, -1),
        counterparty=OUTSIDE + 1_800_000_000 + account,
        counterparty_country=country,
        device=np.where(out, 3 * owner + 1, -1),
        ip=np.where(out, owner, -1),
        ip_country=np.where(out, places.CN, -1),
        city=p.account_city[account],
        purpose=np.where(
            is_trade,
            table.FOR_INVOICE,
            np.where(
                p.account_segment[account] == HIGH_NET_WORTH, table.FOR_TUITION, table.FOR_LIVING
            ),
        ),
    )


def _lot(population: Population, account: I8, n: int) -> I8:
    """A number below `n` that belongs to the account for good."""
    return (account * 2_654_435_761 + population.n_accounts) // 7 % n


def topups(today: Today) -> Table:
    """Money put into a wallet on the telephone."""
    p, lives, rng = today.population, today.lives, today.rng(OWN_MONEY + 60)
    share: F8 = np.array([1.0, 0.6, 1.5, 0.25, 0.0, 0.0])[p.account_segment]
    account = today.accounts(rng, p.per_day * _TOPUPS * share * today.eagerness * lives.is_current)
    n = len(account)
    owner = today.owner(rng, account)
    base = np.where(p.account_segment[account] == STUDENT, 60.0, 130.0)
    yuan = base * lives.levels[account, 1] * np.exp(0.8 * rng.standard_normal(n))
    step = np.where(yuan > 500.0, 100.0, np.where(yuan > 60.0, 50.0, 10.0))
    fen = (np.clip(np.rint(yuan / step), 1, 100) * step * _FEN_A_YUAN).astype(np.int64)
    poor = fen > p.balance[account]
    fen = np.where(poor, 1_000, fen)
    return Table.transactions(
        n,
        time_us=today.moments(rng, account, SCREENS),
        type=table.TOPUP,
        account=account,
        amount=fen,
        status=np.where(fen > p.balance[account], table.DECLINED, table.REQUESTED),
        channel=table.MOBILE,
        auth_method=table.BIOMETRIC,
        counterparty=WALLETS + p.customer[account] % 2,
        device=today.phone(owner),
        ip=today.address(rng, account, owner, 0.5),
        ip_country=today.country(account),
        city=today.where.city[account],
    )
