"""What comes and goes by itself, month after month: wages, pensions, rent, utilities, loans, interest, fees."""

from typing import Final

import numpy as np

from replay.bank import table
from replay.bank.calendar import debited_on, paid_on
from replay.bank.habits.today import BILLS, UTILITIES, WAGES, Today
from replay.bank.population import (
    CURRENT,
    ELDERLY,
    ORDINARY,
    PAYROLL_BUREAU,
    SMALL_BUSINESS,
    STUDENT,
    Flags,
)
from replay.bank.table import I8, OUTSIDE, Table

_CLIENTS: Final = OUTSIDE + 1_900_000_000  # of payroll bureaus, eight each
_WORKERS: Final = OUTSIDE + 1_950_000_000  # who are paid by them and bank elsewhere, 64 each
_INTEREST: Final = 0.0005 / 4  # a quarter of the yearly rate on money at call


def wages(today: Today) -> Table:
    """Wages, pensions and allowances; of payroll bureaus also what they collect and pay out for it."""
    p, lives, rng = today.population, today.lives, today.rng(WAGES)
    due = np.isin(p.payday[p.customer], paid_on(today.date.date))
    account = np.flatnonzero(due & lives.is_alive & (p.employer >= 0))
    segment = p.account_segment[account]
    n = len(account)
    fen = lives.income[account] * np.where(segment == ELDERLY, 1.0, rng.uniform(0.97, 1.03, n))
    fen = np.where(segment == STUDENT, np.rint(fen / 10_000) * 10_000, np.rint(fen))
    from_family = segment == STUDENT
    received = Table.transactions(
        n,
        time_us=np.where(
            from_family, today.between(rng, n, 11.0, 22.0), today.between(rng, n, 9.1, 11.0)
        ),
        type=np.where(from_family, table.PAYMENT, table.SALARY),
        account=account,
        amount=fen.astype(np.int64),
        is_in=1,
        status=table.BOOKED,
        channel=table.FILE,
        counterparty=p.employer[account],
        purpose=np.where(from_family, table.FOR_LIVING, table.FOR_SALARY),
    )
    by_bureau = np.flatnonzero(p.employer[account] < OUTSIDE)
    return Table.joined([received, *_wage_runs(today, rng, received.take(by_bureau))])


def _wage_runs(today: Today, rng: np.random.Generator, paid: Table) -> list[Table]:
    """The bureaus' side of `paid`: the clients' money, then a file of wages, some of them to other banks."""
    p, lives = today.population, today.lives
    bureau = paid["counterparty"]
    started = np.unique(bureau)
    others = np.repeat(started, rng.integers(4, 30, len(started)))
    seat = np.arange(len(others)) - np.searchsorted(others, others)
    elsewhere = np.clip(8_600.0 * np.exp(0.38 * rng.standard_normal(len(others))), 4_500, 30_000)
    run = Table.transactions(
        paid.n + len(others),
        time_us=np.concatenate(
            [
                paid["time_us"] - rng.integers(1_000, 9_000, paid.n) * 1_000,
                today.between(rng, len(others), 9.1, 9.6),
            ]
        ),
        type=table.SALARY,
        account=np.concatenate([bureau, others]),
        amount=np.concatenate([paid["amount"], np.rint(elsewhere * 100).astype(np.int64)]),
        status=table.REQUESTED,
        channel=table.FILE,
        counterparty=np.concatenate([paid["account"], _WORKERS + others * 64 + seat]),
        purpose=table.FOR_SALARY,
    )
    total = np.zeros(p.n_accounts, np.int64)
    np.add.at(total, run["account"], run["amount"])
    n_clients = rng.integers(2, 7, len(started))
    client_of = np.repeat(started, n_clients)
    seat = np.arange(len(client_of)) - np.searchsorted(client_of, client_of)
    share = total[client_of] / np.repeat(n_clients, n_clients) * rng.uniform(0.96, 1.12, len(seat))
    collected = Table.transactions(
        len(client_of),
        time_us=today.between(rng, len(client_of), 7.2, 8.9),
        type=table.PAYMENT,
        account=client_of,
        amount=np.maximum(share.astype(np.int64), 100),
        is_in=1,
        status=table.BOOKED,
        channel=table.FILE,
        counterparty=_CLIENTS + client_of * 8 + seat,
        purpose=table.FOR_INVOICE,
    )
    awake = lives.is_alive  # a dormant bureau's staff is paid from elsewhere in its name
    return [collected.take(awake[collected["account"]]), run.take(awake[run["account"]])]


def bills(today: Today) -> Table:
    """Rent, mortgages, utilities, telephones, taxes; interest and fees."""
    due = debited_on(today.date.date)
    parts = [
        _rent(today, due),
        *(_debited(today, due, kind) for kind in range(4)),
        _fees(today, due),
        _loans(today),
    ]
    if (today.date.date.month % 3, today.date.date.day) == (0, 21):
        parts.append(_interest(today))
    return Table.joined(parts)


def _debit(today: Today, stream: int, account: I8, fen: I8, counterparty: I8, type_: int) -> Table:
    p, rng = today.population, today.rng(BILLS + stream)
    return Table.transactions(
        len(account),
        time_us=today.between(rng, len(account), 5.0, 9.0),
        type=type_,
        account=account,
        amount=fen,
        status=np.where(fen > p.balance[account], table.DECLINED, table.REQUESTED),
        channel=table.FILE,
        counterparty=counterparty,
        purpose=table.FOR_RENT if type_ == table.STANDING_ORDER else -1,
    )


def _rent(today: Today, due: tuple[int, ...]) -> Table:
    p, lives = today.population, today.lives
    day = 1 + np.arange(p.n_accounts) * 7 % 11
    account = np.flatnonzero(lives.is_alive & (p.rent > 0) & np.isin(day, due))
    return _debit(today, 40, account, p.rent[account], p.payees[account, 0], table.STANDING_ORDER)


def _debited(today: Today, due: tuple[int, ...], kind: int) -> Table:
    """0 electricity, gas and water; 1 telephone; 2 mortgage; 3 taxes of firms."""
    p, lives = today.population, today.lives
    number = np.arange(p.n_accounts)
    day = (8 + number * 5 % 13, 1 + number % 6, 18 + number % 5, np.full_like(number, 15))[kind]
    lot = number * 2_654_435_761 // 11 % 100
    agreed: Flags = lives.is_main & lives.is_alive
    if kind == 0:
        agreed &= (p.account_segment != STUDENT) & (lot < 70)
    elif kind == 1:
        agreed &= lot % 20 < 17
    elif kind == 2:
        agreed &= (p.account_segment == ORDINARY) & (p.rent == 0) & (lot < 55)
    else:
        agreed &= p.account_segment == SMALL_BUSINESS
    account = np.flatnonzero(agreed & np.isin(day, due))
    rng = today.rng(BILLS + 50 + kind)
    spread = np.exp(0.35 * rng.standard_normal(len(account)))
    # cold and hot months cost more
    season = 1.35 if today.date.date.month in (1, 2, 7, 8, 12) else 1.0
    fen = (
        160.0 * season * lives.levels[account, 1] * spread,
        20.0 + 45.0 * spread,
        # the same every month: no chance in it
        np.clip(lives.income[account] / 100 * (0.22 + 0.001 * lot[account]), 1_800, 9_000),
        lives.income[account] / 100 * 0.018 * spread,
    )[kind]
    counterparty = UTILITIES + 4 * p.account_city[account] + kind
    if kind == 2:
        counterparty = np.full(len(account), -1)
    return _debit(
        today,
        kind + 41,
        account,
        np.rint(fen * 100).astype(np.int64),
        counterparty,
        table.DIRECT_DEBIT,
    )


def _fees(today: Today, due: tuple[int, ...]) -> Table:
    p, lives = today.population, today.lives
    number = np.arange(p.n_accounts)
    pays = lives.is_alive & (p.product == CURRENT) & (number % 4 == 1) & (12 in due)
    account = np.flatnonzero(pays)
    return Table.transactions(
        len(account),
        time_us=today.between(today.rng(BILLS + 60), len(account), 0.5, 2.0),
        type=table.FEE,
        account=account,
        amount=np.where(account % 8 == 1, 200, 300),
        status=table.BOOKED,
        channel=table.FILE,
    )


def _interest(today: Today) -> Table:
    p, lives = today.population, today.lives
    fen = (np.maximum(p.balance, 0) * _INTEREST).astype(np.int64)
    account = np.flatnonzero(lives.is_alive & (fen > 0))
    return Table.transactions(
        len(account),
        time_us=today.between(today.rng(BILLS + 61), len(account), 0.1, 3.0),
        type=table.INTEREST,
        account=account,
        amount=fen[account],
        is_in=1,
        status=table.BOOKED,
        channel=table.FILE,
    )


def _loans(today: Today) -> Table:
    """A loan is paid out now and then."""
    p, lives, rng = today.population, today.lives, today.rng(BILLS + 62)
    often = 0.0001 if today.date.is_working_day else 0.0
    likely = lives.is_main & lives.is_alive & (p.account_segment != PAYROLL_BUREAU)
    account = today.accounts(rng, np.where(likely & (p.account_segment != STUDENT), often, 0.0))
    part = rng.integers(1, 13, len(account)) * lives.income[account] // 2
    return Table.transactions(
        len(account),
        time_us=today.between(rng, len(account), 9.0, 17.0),
        type=table.LOAN_PAYOUT,
        account=account,
        amount=np.clip(part // 100_000 * 100_000, 500_000, 50_000_000),
        is_in=1,
        status=table.BOOKED,
        channel=table.FILE,
        purpose=table.FOR_LOAN,
    )
