"""Money that stays with its owner: between own accounts, to and from other banks, into savings.

This is also what keeps balances from running away: who has too little fetches some from an account elsewhere, who has
much more than a few months' income puts it where it earns interest. Both look at the balance at the start of the day.
"""

from typing import Final

import numpy as np

from replay.bank import table
from replay.bank.habits.today import OWN_ELSEWHERE, OWN_MONEY, Today, second_legs
from replay.bank.merchants import ALL_DAY
from replay.bank.population import PAYROLL_BUREAU, SAVINGS, SMALL_BUSINESS, Flags
from replay.bank.table import F8, I8, Table

_LOW: Final = 0.22  # months of income below which the owner fetches money
_HIGH: Final[F8] = np.array(
    [3.5, 4.0, 3.0, 5.0, 0.9, 1.5]
)  # by segment: months above which it is put away


def own_transfers(today: Today) -> Table:
    """Transfers between accounts of one owner."""
    inside = _saved(today)
    return Table.joined(
        [inside, second_legs(today.rng(OWN_MONEY + 1), inside), _refilled(today), _put_away(today)]
    )


def _transfer(
    today: Today,
    rng: np.random.Generator,
    account: I8,
    fen: I8,
    counterparty: I8,
    *,
    is_in: Flags | int,
) -> Table:
    owner = today.population.customer[account]
    out = np.broadcast_to(np.asarray(is_in) == 0, (len(account),))
    return Table.transactions(
        len(account),
        time_us=today.moments(rng, account, ALL_DAY),
        type=table.TRANSFER,
        account=account,
        amount=fen,
        is_in=is_in,
        status=np.where(out, table.REQUESTED, table.BOOKED),
        channel=np.where(out, table.MOBILE, table.FILE),
        auth_method=np.where(out, table.BIOMETRIC, -1),
        counterparty=counterparty,
        device=np.where(out, today.phone(owner), -1),
        ip=np.where(out, today.address(rng, account, owner, 0.7), -1),
        ip_country=np.where(out, today.country(account), -1),
        city=today.where.city[account],
    )


def _saved(today: Today) -> Table:
    """From the main account to the other one after payday; back from there when money is short."""
    p, lives, rng = today.population, today.lives, today.rng(OWN_MONEY)
    has_other = lives.is_alive & (p.other >= 0)
    has_other &= lives.is_alive[np.maximum(p.other, 0)]
    is_rich = p.balance > lives.income // 2
    often = np.where(
        has_other & lives.is_main & is_rich, 0.05 * np.maximum(today.eagerness - 0.85, 0.0) * 4, 0.0
    )
    account = today.accounts(rng, np.minimum(often, 0.2))
    is_short = has_other & lives.is_main & (p.balance < _LOW * lives.income)
    short = np.flatnonzero(is_short & (rng.random(p.n_accounts) < 0.4))
    source = p.other[short]
    able = p.balance[source] > 100_000
    short, source = short[able], source[able]
    from_ = np.concatenate([account, source])
    to = np.concatenate([p.other[account], short])
    n = len(from_)
    part = rng.uniform(0.05, 0.25, n)
    fen = np.minimum(part * lives.income[from_], 0.6 * p.balance[from_])
    fen = np.maximum(fen // 10_000, 1.0).astype(np.int64) * 10_000
    return _transfer(today, rng, from_, fen, to, is_in=0)


def _refilled(today: Today) -> Table:
    """Own money from another bank, by those who have little left."""
    p, lives, rng = today.population, today.lives, today.rng(OWN_MONEY + 2)
    needs = lives.is_alive & (p.product != SAVINGS) & (p.balance < _LOW * lives.income)
    account = np.flatnonzero(needs & (rng.random(p.n_accounts) < 0.6))
    n = len(account)
    part = rng.uniform(0.2, 0.6, n) * np.where(lives.is_main[account], 1.0, 0.4)
    fen = np.maximum(part * lives.income[account] // 50_000, 1.0).astype(np.int64) * 50_000
    counterparty = OWN_ELSEWHERE + p.customer[account]
    return _transfer(today, rng, account, fen, counterparty, is_in=1)


def _put_away(today: Today) -> Table:
    """What is not needed, to the own account at another bank or into a fund."""
    p, lives, rng = today.population, today.lives, today.rng(OWN_MONEY + 3)
    limit = _HIGH[p.account_segment] * np.where(p.product == SAVINGS, 3.0, 1.0)
    much = lives.is_alive & (p.balance > limit * lives.income)
    chance = np.where(p.account_segment >= SMALL_BUSINESS, 0.35, 0.12)
    chance = np.where(p.account_segment == PAYROLL_BUREAU, 0.1, chance)
    account = np.flatnonzero(much & (rng.random(p.n_accounts) < chance))
    fen = p.balance[account] * rng.uniform(0.2, 0.5, len(account))
    rounded = np.maximum(fen // 100_000, 1.0).astype(np.int64) * 100_000
    return _transfer(today, rng, account, rounded, OWN_ELSEWHERE + p.customer[account], is_in=0)
