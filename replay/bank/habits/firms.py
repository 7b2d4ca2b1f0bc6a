"""Small firms: what customers pay them by QR code and invoice, suppliers, and wages."""

from typing import Final

import numpy as np

from replay.bank import places, table
from replay.bank.calendar import paid_on
from replay.bank.habits.today import FIRMS, MINUTE_US, Today, second_legs
from replay.bank.merchants import MALLS, MEALS
from replay.bank.population import N_PAYEES, SMALL_BUSINESS
from replay.bank.table import F8, I8, OUTSIDE, Table

_TAKEN: Final = 0.74  # shares of an account's rows
_SUPPLIED: Final = 0.085
_INVOICED: Final = 0.03
_NEW: Final = 0.04
_CUSTOMERS: Final = OUTSIDE + 2_000_000_000  # who are sent invoices, eight a firm


def firms(today: Today) -> Table:
    """All rows that only firms have."""
    paid = Table.joined([_suppliers(today), _staff(today)])
    return Table.joined(
        [
            _takings(today),
            _invoices(today),
            paid,
            second_legs(today.rng(FIRMS + 9), paid),
        ]
    )


def _alive(today: Today) -> F8:
    p = today.population
    return np.where((p.account_segment == SMALL_BUSINESS) & today.lives.is_alive, p.per_day, 0.0)


def _takings(today: Today) -> Table:
    """QR payments of passers-by, and of the bank's own customers nobody keeps track; weekends are the best days."""
    p, lives, rng = today.population, today.lives, today.rng(FIRMS)
    busy = (0.9, 0.9, 0.92, 0.95, 1.08, 1.25, 1.1)[today.date.weekday]
    busy *= 0.6 if today.date.holiday == "spring festival" else 1.2 if today.date.holiday else 1.0
    account = today.accounts(rng, _alive(today) * _TAKEN * busy)
    n = len(account)
    # three quarters of the takings of a month in so many payments; the same firm sells dear or cheap things
    mean_fen = 0.72 * lives.income[account] / np.maximum(30.4 * _TAKEN * p.per_day[account], 1.0)
    fen = mean_fen * np.exp(0.9 * rng.standard_normal(n) - 0.4)
    fen = np.where(rng.random(n) < 0.6, np.maximum(np.rint(fen / 100.0), 1.0) * 100.0, fen)
    is_kitchen = account % 5 < 2
    return Table.transactions(
        n,
        time_us=today.moments(rng, account, np.where(is_kitchen, MEALS, MALLS)),
        type=table.PAYMENT,
        account=account,
        amount=np.clip(fen, 100.0, 5_000_000.0).astype(np.int64),
        is_in=1,
        status=table.BOOKED,
        channel=table.MOBILE,
        entry_mode=table.QR,
        counterparty=today.strangers(rng, n),
        city=p.account_city[account],
        purpose=table.FOR_GOODS,
    )


def _invoices(today: Today) -> Table:
    lives, rng = today.lives, today.rng(FIRMS + 1)
    account = today.accounts(rng, _alive(today) * _INVOICED * float(today.date.is_working_day))
    n = len(account)
    fen = lives.income[account] * 0.035 * np.exp(0.8 * rng.standard_normal(n))
    regular = _CUSTOMERS + 8 * account + rng.integers(0, 8, n)
    return Table.transactions(
        n,
        time_us=today.between(rng, n, 9.0, 18.0),
        type=table.PAYMENT,
        account=account,
        amount=np.maximum(np.rint(fen / 1_000), 10.0).astype(np.int64) * 1_000,
        is_in=1,
        status=table.BOOKED,
        channel=table.FILE,
        counterparty=np.where(rng.random(n) < 0.8, regular, today.strangers(rng, n)),
        purpose=table.FOR_INVOICE,
    )


def _outgoing(
    today: Today, rng: np.random.Generator, account: I8, fen: I8, payee: I8, purpose: int
) -> Table:
    """Payments that the owner makes at the computer, in working hours."""
    p, n = today.population, len(account)
    owner = p.customer[account]
    can = np.maximum(p.balance[account] * 6 // 10, 0)
    fen = np.minimum(fen, np.maximum(can // 1_000 * 1_000, 10_000))
    by_phone = rng.random(n) < 0.35
    return Table.transactions(
        n,
        time_us=np.maximum(today.between(rng, n, 8.5, 18.5), today.start_us + 20 * MINUTE_US),
        type=table.PAYMENT,
        account=account,
        amount=fen,
        status=np.where(fen > p.balance[account], table.DECLINED, table.REQUESTED),
        channel=np.where(by_phone, table.MOBILE, table.WEB),
        auth_method=np.where(by_phone, table.BIOMETRIC, table.PASSWORD),
        counterparty=payee,
        device=np.where(by_phone, today.phone(owner), 3 * owner + 1),
        ip=owner,
        ip_country=places.CN,
        city=p.account_city[account],
        purpose=purpose,
    )


def _suppliers(today: Today) -> Table:
    p, lives, rng = today.population, today.lives, today.rng(FIRMS + 2)
    often = _alive(today) * _SUPPLIED * (1.25 if today.date.is_working_day else 0.4)
    account = today.accounts(rng, often)
    n = len(account)
    mean_fen = 0.55 * lives.income[account] / np.maximum(30.4 * _SUPPLIED * p.per_day[account], 1.0)
    fen = mean_fen * np.exp(0.9 * rng.standard_normal(n) - 0.4)
    rounded = np.maximum(np.rint(fen / 1_000), 5.0).astype(np.int64) * 1_000
    is_new = rng.random(n) < _NEW
    known = p.payees[account, 1 + (rng.random(n) ** 1.5 * (N_PAYEES - 1)).astype(np.int64)]
    # numbers of new payees are shared with those of private customers: these begin half way
    new = today.new_payees(n) + p.n_accounts
    return _outgoing(today, rng, account, rounded, np.where(is_new, new, known), table.FOR_INVOICE)


def _staff(today: Today) -> Table:
    """One to three wages a month, paid to the same people."""
    p, lives, rng = today.population, today.lives, today.rng(FIRMS + 3)
    due = np.isin(p.payday[p.customer], paid_on(today.date.date)) & lives.is_main
    boss = np.flatnonzero(due & (_alive(today) > 0.0))
    staff = np.minimum(lives.income[boss] // 3_000_000, 3)
    account = np.repeat(boss, staff)
    seat = np.arange(len(account)) - np.searchsorted(account, account)
    person = p.payees[account, N_PAYEES - 1 - seat]
    fen = np.clip(lives.income[account] // 10, 400_000, 900_000) // 10_000 * 10_000
    return _outgoing(today, rng, account, fen, person, table.FOR_SALARY)
