"""Banknotes: from machines and counters, and back into the bank."""

from typing import Final

import numpy as np

from replay.bank import places, table
from replay.bank.habits.today import CASH, Today
from replay.bank.merchants import ERRANDS, MALLS, cash_machine
from replay.bank.population import PAYROLL_BUREAU, SMALL_BUSINESS, STUDENT
from replay.bank.table import Table

_AT_MACHINES: Final = 0.015  # share of an account's rows
_MACHINE_MOST: Final = 20_000  # yuan that a machine takes at a time


def withdrawals(today: Today) -> Table:
    """Cash machines at home and away, and the counter, where the elderly fetch their pension."""
    return Table.joined([_at_machines(today), _at_branches(today)])


def _at_machines(today: Today) -> Table:
    p, lives, where = today.population, today.lives, today.where
    rng = today.rng(CASH)
    often = p.per_day * _AT_MACHINES * today.eagerness * np.where(lives.is_elderly, 3.0, 1.0)
    often = np.where(p.account_segment == STUDENT, 0.3 * often, often)
    often *= (p.n_cards > 0) & ~where.is_on_the_way & lives.is_private
    account = today.accounts(rng, often)
    n = len(account)
    share, pick, fate = rng.random((3, n))
    city = where.city[account]
    second = (p.n_cards[account] > 1) & (share < 0.2) & ~where.partner_stays[account]
    yuan = 700.0 * lives.levels[account, 1] * np.exp(0.75 * rng.standard_normal(n))
    fen = np.clip(np.rint(yuan / 100.0), 1, 50).astype(np.int64) * 10_000
    fen = np.where(fen > p.balance[account], 10_000, fen)
    declined = (fen > p.balance[account]) | (fate < 0.012)  # or a wrong PIN
    currency = places.COUNTRY_CURRENCY[places.CITY_COUNTRY[city]]
    note = np.where(currency == table.JPY, 1_000, np.where(currency == table.THB, 10_000, 1_000))
    foreign, _ = places.in_currency(fen, currency)
    notes = np.maximum(foreign // note, 1) * note  # machines give banknotes
    worth = np.rint(notes * places.FEN_PER_MINOR[currency]).astype(np.int64)
    is_home = currency == table.CNY
    return Table.transactions(
        n,
        time_us=today.moments(rng, account, ERRANDS),
        type=table.CASH_WITHDRAWAL,
        account=account,
        card=2 * account + second,
        amount=np.where(is_home, fen, notes),
        currency=currency,
        amount_cny=np.where(is_home, fen, worth),
        status=np.where(declined, table.DECLINED, table.REQUESTED),
        channel=table.ATM,
        entry_mode=table.CHIP,
        auth_method=table.PIN,
        terminal=cash_machine(city, pick),
        city=city,
        attempt=where.attempt[account],
    )


def _at_branches(today: Today) -> Table:
    p, lives = today.population, today.lives
    rng = today.rng(CASH + 40)
    open_ = 1.0 if today.date.is_working_day else 0.3 if not today.date.holiday else 0.1
    often = np.where(lives.is_elderly, 0.014, 0.0014) * open_ * today.eagerness**2
    often *= lives.is_private & (p.balance > 200_000) & (today.where.city == p.account_city)
    account = today.accounts(rng, often)
    n = len(account)
    yuan = 0.003 * lives.income[account] * np.exp(0.8 * rng.standard_normal(n))
    most = p.balance[account] * 0.8 / 10_000
    fen = np.clip(np.rint(yuan / 100.0), 5, np.maximum(most, 5)).astype(np.int64) * 10_000
    return Table.transactions(
        n,
        time_us=today.between(rng, n, 9.0, 16.8),
        type=table.CASH_WITHDRAWAL,
        account=account,
        amount=np.minimum(fen, 20_000_000),
        status=table.BOOKED,
        channel=table.BRANCH_CASH,
        city=p.account_city[account],
    )


def deposits(today: Today) -> Table:
    """Takings of small firms after closing time, and now and then something from a drawer or a wedding."""
    return Table.joined([_takings(today), _savings(today)])


def _takings(today: Today) -> Table:
    p, lives, rng = today.population, today.lives, today.rng(CASH + 20)
    # a third of the small firms take cash worth carrying to the bank, the same ones every day
    takes_cash = (p.account_segment == SMALL_BUSINESS) & (np.arange(p.n_accounts) % 3 == 0)
    often = 0.55 if today.date.is_working_day else 0.3
    account = today.accounts(rng, np.where(takes_cash & lives.is_alive, often, 0.0))
    n = len(account)
    yuan = lives.income[account] / 100.0 * 0.03 * np.exp(0.75 * rng.standard_normal(n))
    yuan = np.clip(yuan, 500.0, 60_000.0)
    machine = (rng.random(n) < 0.55) & (yuan < _MACHINE_MOST)
    step = np.where(machine, 100.0, 10.0)
    fen = (np.maximum(np.rint(yuan / step), 1.0) * step * 100.0).astype(np.int64)
    return Table.transactions(
        n,
        time_us=np.where(
            machine, today.between(rng, n, 17.5, 22.5), today.between(rng, n, 9.0, 17.0)
        ),
        type=table.CASH_DEPOSIT,
        account=account,
        amount=fen,
        is_in=1,
        status=table.BOOKED,
        channel=np.where(machine, table.ATM_DEPOSIT, table.BRANCH_CASH),
        terminal=np.where(machine, cash_machine(p.account_city[account], rng.random(n)), -1),
        city=p.account_city[account],
    )


def _savings(today: Today) -> Table:
    p, lives, rng = today.population, today.lives, today.rng(CASH + 30)
    often = 0.0022 * (2.5 if today.date.holiday == "spring festival" else 1.0)
    likely = lives.is_alive & (p.account_segment != PAYROLL_BUREAU)
    likely &= today.where.city == p.account_city
    account = today.accounts(rng, np.where(likely, often, 0.0))
    n = len(account)
    yuan = np.clip(2_600.0 * np.exp(0.95 * rng.standard_normal(n)), 200.0, 40_000.0)
    sold = rng.random(n) < 0.03  # a car, or what lay in the house for years
    yuan = np.where(sold, rng.uniform(20_000.0, 150_000.0, n), yuan)
    machine = (rng.random(n) < 0.6) & (yuan < _MACHINE_MOST)
    fen = np.maximum(np.rint(yuan / 100.0), 1.0).astype(np.int64) * 10_000
    return Table.transactions(
        n,
        time_us=np.where(
            machine, today.moments(rng, account, MALLS), today.between(rng, n, 9.0, 16.8)
        ),
        type=table.CASH_DEPOSIT,
        account=account,
        amount=fen,
        is_in=1,
        status=table.BOOKED,
        channel=np.where(machine, table.ATM_DEPOSIT, table.BRANCH_CASH),
        terminal=np.where(machine, cash_machine(p.account_city[account], rng.random(n)), -1),
        city=p.account_city[account],
    )
