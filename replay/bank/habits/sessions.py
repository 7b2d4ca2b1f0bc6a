"""What customers do without moving money: logins, mistakes, new phones, new payees, calls."""

from typing import Final

import numpy as np

from replay.bank import table
from replay.bank.habits.today import (
    BY_COMPUTER,
    CHANGES,
    MINUTE_US,
    N_NEW_PAYEES,
    NEW_PAYEES,
    SECOND_US,
    SESSIONS,
    Today,
)
from replay.bank.merchants import SCREENS
from replay.bank.population import DAY_US, SPARE
from replay.bank.table import F8, I8, Table

_LOGINS: Final = 0.42  # a day, of those who bank by phone
_FAILED: Final = 0.03  # of the logins
# of the payments to new payees: paid once, by code, by telephone number or from a chat, so that nobody is entered
_UNENTERED: Final = 0.35
_ENROLLED: Final = 0.6  # of the new telephones; the others are used without asking
_ENROLLED_LOAN: Final = 0.2  # of the borrowed devices
# a day and main account; honest people do these things too
_RARE: Final = (
    (table.PASSWORD_RESET, 0.0006),
    (table.PHONE_CHANGE, 0.00025),
    (table.SIM_SWAP, 0.00004),
    (table.LIMIT_CHANGE, 0.0007),
    (table.REMOTE_ACCESS, 0.00004),
    (table.CARD_ISSUED, 0.0003),
)
_CALLS: Final = 0.004  # seen during a session, a day and main account


def sessions(today: Today, rows: Table) -> Table:
    """All activities of the day; `rows` are its transactions, some of which need a login or a new payee before."""
    return Table.joined(
        [*_around(today, rows), _idle(today), _rare(today), _calls(today), _new_phones(today)]
    )


def _around(today: Today, rows: Table) -> list[Table]:
    """The login before payments by phone or computer, and the payee before the first payment to it."""
    rng = today.rng(SESSIONS)
    by_hand = np.isin(rows["type"], (table.PAYMENT, table.TRANSFER)) & (rows["is_in"] == 0)
    index = np.flatnonzero(by_hand & (rows["device"] >= 0))
    paid = {
        name: rows[name][index]
        for name in ("time_us", "account", "device", "ip", "ip_country", "city", "counterparty")
    }
    n = len(index)
    login_us = paid["time_us"] - rng.integers(60, 600, n) * SECOND_US
    login_us = np.maximum(login_us, today.start_us)
    new = np.flatnonzero(
        (paid["counterparty"] >= NEW_PAYEES) & (paid["counterparty"] < NEW_PAYEES + N_NEW_PAYEES)
    )
    new = new[rng.random(len(new)) >= _UNENTERED]
    added_us = login_us[new] + (
        (paid["time_us"][new] - login_us[new]) * rng.uniform(0.3, 0.9, len(new))
    ).astype(np.int64)
    same = {name: paid[name] for name in ("account", "device", "ip", "ip_country", "city")}
    logins = Table.activities(n, time_us=login_us, type=table.LOGIN, **same)
    added = Table.activities(
        len(new),
        time_us=added_us,
        type=table.PAYEE_ADDED,
        payee=paid["counterparty"][new],
        **{name: column[new] for name, column in same.items()},
    )
    return [logins, added, _failures(rng, logins)]


def _failures(rng: np.random.Generator, logins: Table) -> Table:
    """A wrong password half a minute before."""
    failed = logins.take(np.flatnonzero(rng.random(logins.n) < _FAILED))
    failed.columns["type"] = np.full(failed.n, table.LOGIN_FAILED)
    failed.columns["time_us"] = failed["time_us"] - rng.integers(8, 50, failed.n) * SECOND_US
    return failed


def _acts(today: Today, rng: np.random.Generator, type_: I8 | int, account: I8) -> Table:
    """Activities of owners on their own devices, at hours when people look at screens."""
    owner = today.owner(rng, account)
    n = len(account)
    by_computer = rng.random(n) < BY_COMPUTER
    return Table.activities(
        n,
        time_us=np.maximum(today.moments(rng, account, SCREENS), today.start_us + MINUTE_US),
        type=type_,
        account=account,
        device=today.device(rng, owner, by_computer),
        ip=today.address(rng, account, owner, 0.6),
        ip_country=today.country(account),
        city=today.where.city[account],
    )


def _idle(today: Today) -> Table:
    """Logins to look at the balance; more of them around payday."""
    p, lives, rng = today.population, today.lives, today.rng(SESSIONS + 20)
    mobile = lives.is_mobile[p.customer] & lives.is_alive
    often: F8 = np.where(mobile, _LOGINS * today.eagerness, 0.01 * lives.is_alive)
    account = today.accounts(rng, np.where(lives.is_main, often, 0.35 * often))
    logins = _acts(today, rng, table.LOGIN, account)
    return Table.joined([logins, _failures(rng, logins)])


def _rare(today: Today) -> Table:
    lives, rng = today.lives, today.rng(CHANGES)
    likely = (lives.is_main & lives.is_alive).astype(np.float64)
    drawn = [(type_, today.accounts(rng, likely * often)) for type_, often in _RARE]
    account = np.concatenate([each for _, each in drawn])
    type_ = np.repeat([each for each, _ in drawn], [len(each) for _, each in drawn])
    return _acts(today, rng, type_, account)


def _calls(today: Today) -> Table:
    """Telephone calls during a session: mostly short, now and then an hour with the family."""
    lives, rng = today.lives, today.rng(CHANGES + 20)
    likely = lives.is_main & lives.is_private & lives.is_mobile[today.population.customer]
    account = today.accounts(rng, np.where(likely, _CALLS, 0.0))
    calls = _acts(today, rng, table.PHONE_SESSION, account)
    seconds = 200.0 * np.exp(1.1 * rng.standard_normal(calls.n))
    calls.columns["duration_s"] = np.clip(seconds, 5.0, 7_200.0).astype(np.int64)
    return calls


def _new_phones(today: Today) -> Table:
    """Devices that are enrolled: next phones on the day before they are used, and of borrowed ones a few."""
    p, lives, rng = today.population, today.lives, today.rng(CHANGES + 30)
    share = rng.random(p.n_customers)
    is_next = (lives.new_phone_on == today.day) & (share < _ENROLLED)
    is_lent = today.is_borrowed_first & (share < _ENROLLED_LOAN) & (today.borrowed >= SPARE)
    owner = np.flatnonzero((is_next | is_lent) & lives.is_alive[: p.n_customers])
    enrolled = _acts(today, rng, table.DEVICE_ENROLLED, owner)
    enrolled.columns["device"] = np.where(is_next[owner], 3 * owner + 2, today.borrowed[owner])
    enrolled.columns["ip"] = owner
    late = today.start_us + DAY_US - 1
    login = enrolled.take(np.arange(enrolled.n))
    login.columns["type"] = np.full(login.n, table.LOGIN)
    login.columns["time_us"] = np.minimum(login["time_us"] + 2 * MINUTE_US, late)
    assert (p.customer[owner] == owner).all()
    return Table.joined([enrolled, login])
