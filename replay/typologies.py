"""What is done to the accounts: attempts at fraud of known kind, and honest events that look like them.

Each function stages one attempt from the day it begins, into a `Scene`. It may write rows of later days too. An attempt
that finds no opportunity that day returns False and is tried again the next day.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from replay import table
from replay.population import DAY_US, PRIVATE, RETAIL, SME, Population
from replay.table import I8, Table

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
N_FRESH: Final = 64  # new devices, addresses and payees an attempt may use
BANGKOK, DUBAI, NEW_YORK, SAO_PAULO, LAGOS = range(11, 16)


@dataclass(slots=True)
class Scene:
    """One attempt on the day it begins, and the rows it adds."""

    population: Population
    rng: np.random.Generator
    attempt: int  # number of the attempt
    account: int  # whose account it begins with
    start_us: int  # of the day
    balance: I8  # (n_accounts) cents, at the start of the day
    honest: Table  # what happens on that day anyway, not in order
    transactions: list[Table] = field(default_factory=list)
    activities: list[Table] = field(default_factory=list)

    def device(self, k: int = 0) -> int:
        """A device nobody has seen before; the k-th of this attempt."""
        return 2 * self.population.n_customers + self.attempt * N_FRESH + k

    def ip(self, k: int = 0) -> int:
        return self.population.n_customers + self.attempt * N_FRESH + k

    def outsider(self, k: int = 0) -> int:
        """An account outside the bank that nobody has paid before."""
        return 50_000_000 + self.attempt * N_FRESH + k

    def own_device(self, account: int) -> int:
        return 2 * int(self.population.customer[account])

    def card(self, account: int) -> int:
        return 2 * account

    def hour(self, earliest: float, latest: float) -> int:
        """A moment between these hours of the day."""
        return self.start_us + int(self.rng.uniform(earliest, latest) * HOUR_US)

    def pause(self, shortest_us: int, longest_us: int) -> int:
        return int(self.rng.integers(shortest_us, longest_us))

    def cents(self, low: int, high: int, n: int = 1) -> I8:
        return self.rng.integers(low, high, n)

    def act(self, time_us: int, type_: int, account: int, device: int, ip: int) -> None:
        """Add one account activity."""
        self.activities.append(
            Table.activities(
                1,
                time_us=time_us,
                type=type_,
                account=account,
                device=device,
                ip=ip,
                city=int(self.population.city[account]),
            )
        )

    def auths(self, time_us: I8, account: I8 | int, amount: I8, **more: I8 | int) -> None:
        """Add card authorisations."""
        self.transactions.append(
            Table.transactions(
                len(time_us),
                time_us=time_us,
                type=table.CARD_AUTH,
                account=account,
                card=2 * np.asarray(account),
                amount=amount,
                status=table.REQUESTED,
                attempt=self.attempt,
                **more,
            )
        )

    def pay(
        self, time_us: I8, account: I8 | int, amount: I8, counterparty: I8 | int, **more: I8 | int
    ) -> None:
        """Add payments that leave the account."""
        self.transactions.append(
            Table.transactions(
                len(time_us),
                time_us=time_us,
                type=table.PAYMENT,
                account=account,
                amount=amount,
                status=table.REQUESTED,
                counterparty=counterparty,
                attempt=self.attempt,
                **({"channel": table.MOBILE} | more),
            )
        )

    def receive(self, time_us: I8, account: int, amount: I8, counterparty: I8) -> None:
        """Add payments that reach the account."""
        self.transactions.append(
            Table.transactions(
                len(time_us),
                time_us=time_us,
                type=table.PAYMENT,
                account=account,
                amount=amount,
                is_in=1,
                status=table.BOOKED,
                counterparty=counterparty,
                channel=table.FILE,
                attempt=self.attempt,
            )
        )

    def online(self, n: int, city: int, k: int = 0) -> dict[str, I8 | int]:
        """Columns of `n` purchases at different online shops from a strange device in `city`."""
        return {
            "channel": table.ONLINE,
            "entry_mode": table.ECOMMERCE,
            "merchant": self.rng.choice(self.population.merchants.online, n, replace=False),
            "device": self.device(k),
            "ip": self.ip(k),
            "city": city,
        }


def _shares(rng: np.random.Generator, total: int, n: int) -> I8:
    """Cut `total` cents into `n` uneven parts."""
    weight = rng.uniform(0.6, 1.4, n)
    parts: I8 = np.floor(total * weight / weight.sum()).astype(np.int64)
    return parts


def _from(scene: Scene, first_us: int, n: int, shortest_us: int, longest_us: int) -> I8:
    """Times of `n` events, the first at `first_us`, with uneven gaps."""
    gaps = scene.rng.integers(shortest_us, longest_us, n)
    gaps[0] = 0
    return first_us + np.cumsum(gaps)


def card_testing(scene: Scene) -> bool:
    """Many small online purchases try whether a stolen card works; then it is spent."""
    n_small, n_large = int(scene.rng.integers(6, 12)), int(scene.rng.integers(1, 4))
    first_us, city = scene.hour(1, 22), int(scene.rng.choice([NEW_YORK, SAO_PAULO, LAGOS]))
    small_us = _from(scene, first_us, n_small, 30_000_000, 2 * MINUTE_US)
    online = min(n_small, len(scene.population.merchants.online))
    scene.auths(
        small_us[:online], scene.account, scene.cents(50, 480, online), **scene.online(online, city)
    )
    large_us = _from(
        scene,
        int(small_us[-1]) + scene.pause(MINUTE_US, 8 * MINUTE_US),
        n_large,
        MINUTE_US,
        4 * MINUTE_US,
    )
    scene.auths(
        large_us,
        scene.account,
        scene.cents(35_000, 120_000, n_large),
        is_money=1,
        **scene.online(n_large, city),
    )
    return True


def account_takeover(scene: Scene) -> bool:
    """Credentials or phone are changed, a payee is added, and the balance leaves for it."""
    if scene.balance[scene.account] < 250_000:
        return False
    t_us, account = scene.hour(6, 20), scene.account
    change = int(scene.rng.choice([table.PASSWORD_RESET, table.PHONE_CHANGE, table.SIM_SWAP]))
    scene.act(t_us, change, account, scene.device(), scene.ip())
    t_us += scene.pause(2 * MINUTE_US, 20 * MINUTE_US)
    scene.act(t_us, table.LOGIN, account, scene.device(), scene.ip())
    t_us += scene.pause(MINUTE_US, 60 * MINUTE_US)
    scene.act(t_us, table.PAYEE_ADDED, account, scene.device(), scene.ip())
    n = int(scene.rng.integers(1, 4))
    total = int(scene.balance[account] * scene.rng.uniform(0.55, 0.9))
    scene.pay(
        _from(
            scene, t_us + scene.pause(MINUTE_US, 30 * MINUTE_US), n, 2 * MINUTE_US, 40 * MINUTE_US
        ),
        account,
        _shares(scene.rng, total, n),
        scene.outsider(),
        device=scene.device(),
        ip=scene.ip(),
        is_money=1,
    )
    return True


def impossible_travel(scene: Scene) -> bool:
    """A copy of a card is used on another continent soon after its owner used it at home."""
    mine = scene.honest["account"] == scene.account
    here = (
        mine & (scene.honest["entry_mode"] >= 0) & (scene.honest["entry_mode"] != table.ECOMMERCE)
    )
    here &= (scene.honest["card"] == scene.card(scene.account)) & (
        scene.honest["status"] != table.DECLINED
    )
    here &= scene.honest["time_us"] < scene.start_us + 20 * HOUR_US
    if not here.any():
        return False
    last_us = int(scene.honest["time_us"][here].max())
    city = int(scene.rng.choice([BANGKOK, DUBAI, NEW_YORK, SAO_PAULO, LAGOS]))
    n = int(scene.rng.integers(2, 5))
    merchant = scene.population.merchants.anywhere_in(np.full(n, city), scene.rng.random(n))
    scene.auths(
        _from(
            scene,
            last_us + scene.pause(25 * MINUTE_US, 100 * MINUTE_US),
            n,
            5 * MINUTE_US,
            30 * MINUTE_US,
        ),
        scene.account,
        scene.cents(9_000, 60_000, n),
        channel=table.POS,
        entry_mode=table.CHIP,
        merchant=merchant,
        terminal=merchant * 4,
        city=city,
        is_money=1,
    )
    return True


def structuring(scene: Scene) -> bool:
    """Cash is paid in just under the amount that would be reported, several times within days."""
    n = int(scene.rng.integers(4, 8))
    t_us = _from(scene, scene.hour(9, 12), n, 3 * HOUR_US, 15 * HOUR_US)
    scene.transactions.append(
        Table.transactions(
            n,
            time_us=t_us,
            type=table.CASH_DEPOSIT,
            account=scene.account,
            amount=10 * scene.cents(91_000, 99_900, n),
            is_in=1,
            status=table.BOOKED,
            channel=scene.rng.choice([table.BRANCH_CASH, table.ATM_DEPOSIT], n),
            city=int(scene.population.city[scene.account]),
            attempt=scene.attempt,
        )
    )
    return True


def dormant_drain(scene: Scene) -> bool:
    """An account that nobody touched for years is opened from a strange device and emptied."""
    t_us, account = scene.hour(7, 20), scene.account
    scene.act(t_us, table.LOGIN, account, scene.device(), scene.ip())
    n = int(scene.rng.integers(2, 5))
    total = int(scene.balance[account] * scene.rng.uniform(0.88, 0.98))
    first_us = t_us + scene.pause(2 * MINUTE_US, 60 * MINUTE_US)
    scene.pay(
        _from(scene, first_us, n, 10 * MINUTE_US, 300 * MINUTE_US),
        account,
        _shares(scene.rng, total, n),
        scene.outsider(),
        device=scene.device(),
        ip=scene.ip(),
        is_money=1,
    )
    return True


def mule(scene: Scene) -> bool:
    """Many strangers pay into a young account, and nearly all of it leaves within hours."""
    account, n_in = scene.account, int(scene.rng.integers(6, 11))
    in_us = _from(scene, scene.hour(7, 11), n_in, 5 * MINUTE_US, 40 * MINUTE_US)
    amount = scene.cents(30_000, 95_000, n_in)
    scene.receive(in_us, account, amount, scene.outsider(8) + np.arange(n_in))
    n_out = int(scene.rng.integers(1, 4))
    total = int(amount.sum() * scene.rng.uniform(0.92, 0.99))
    login_us = int(in_us[-1]) + scene.pause(10 * MINUTE_US, 90 * MINUTE_US)
    scene.act(
        login_us,
        table.LOGIN,
        account,
        scene.own_device(account),
        int(scene.population.customer[account]),
    )
    scene.pay(
        _from(scene, login_us + 3 * MINUTE_US, n_out, 5 * MINUTE_US, 60 * MINUTE_US),
        account,
        _shares(scene.rng, total, n_out),
        scene.outsider() + np.arange(n_out) % 2,
        device=scene.own_device(account),
        ip=int(scene.population.customer[account]),
        is_money=1,
    )
    return True


def shared_device(scene: Scene) -> bool:
    """One device signs in to many accounts with bought passwords and sends a little from each."""
    population, n = scene.population, int(scene.rng.integers(8, 13))
    able = np.flatnonzero((scene.balance > 60_000) & (population.is_dormant == 0))
    account = scene.rng.choice(able, min(n, len(able)), replace=False)
    account[0] = scene.account
    login_us = _from(scene, scene.hour(6, 12), len(account), 10 * MINUTE_US, 6 * HOUR_US)
    for k, each in enumerate(account):
        scene.act(int(login_us[k]), table.LOGIN, int(each), scene.device(), scene.ip())
    scene.pay(
        login_us + scene.rng.integers(MINUTE_US, 8 * MINUTE_US, len(account)),
        account,
        scene.cents(12_000, 55_000, len(account)),
        scene.outsider() + np.arange(len(account)) % 3,
        device=scene.device(),
        ip=scene.ip(),
        is_money=1,
    )
    return True


def merchant_compromise(scene: Scene) -> bool:
    """The card numbers an online shop lost are all spent at one other shop within the hour."""
    population, n = scene.population, int(scene.rng.integers(18, 32))
    alive = np.flatnonzero(population.is_dormant == 0)
    account = scene.rng.choice(alive, min(n, len(alive)), replace=False)
    account[0] = scene.account
    t_us = _from(scene, scene.hour(2, 22), len(account), 20_000_000, 3 * MINUTE_US)
    columns = scene.online(1, int(scene.rng.choice([NEW_YORK, SAO_PAULO, LAGOS])))
    columns["device"] = scene.device() + np.arange(len(account)) % 5
    columns["ip"] = scene.ip() + np.arange(len(account)) % 5
    scene.auths(t_us, account, scene.cents(6_000, 24_000, len(account)), is_money=1, **columns)
    return True


def velocity_burst(scene: Scene) -> bool:
    """A stolen card is used at shop after shop, as often as it will go through."""
    n = int(scene.rng.integers(12, 22))
    online = min(n, len(scene.population.merchants.online))
    scene.auths(
        _from(scene, scene.hour(0, 22), online, 15_000_000, 50_000_000),
        scene.account,
        scene.cents(2_000, 9_000, online),
        is_money=1,
        **scene.online(online, int(scene.rng.choice([NEW_YORK, DUBAI, LAGOS]))),
    )
    return True


def payroll(scene: Scene) -> bool:
    """Honest: a firm collects from its customers and pays all its staff within minutes."""
    account, n = scene.account, int(scene.rng.integers(15, 35))
    salary = scene.cents(110_000, 320_000, n)
    n_in = int(scene.rng.integers(2, 5))
    first_us = scene.hour(7, 9)
    scene.receive(
        _from(scene, first_us, n_in, 5 * MINUTE_US, 30 * MINUTE_US),
        account,
        _shares(scene.rng, int(salary.sum() * 1.05), n_in),
        scene.outsider(48) + np.arange(n_in),
    )
    scene.pay(
        _from(scene, first_us + 3 * HOUR_US, n, 500_000, 5_000_000),
        account,
        salary,
        scene.outsider() + np.arange(n),
        channel=table.FILE,
    )
    return True


def new_phone(scene: Scene) -> bool:
    """Honest: a new telephone, then a large payment to somebody known and a small one to somebody new."""
    population, account = scene.population, scene.account
    t_us, ip = scene.hour(8, 18), int(population.customer[account])
    scene.act(t_us, table.PHONE_CHANGE, account, scene.own_device(account), ip)
    scene.act(t_us + 9 * MINUTE_US, table.DEVICE_ENROLLED, account, scene.device(), ip)
    scene.act(t_us + 30 * MINUTE_US, table.LOGIN, account, scene.device(), ip)
    scene.act(t_us + 32 * MINUTE_US, table.PAYEE_ADDED, account, scene.device(), ip)
    scene.pay(
        _from(scene, t_us + 34 * MINUTE_US, 2, 5 * MINUTE_US, 3 * HOUR_US),
        account,
        np.array([scene.cents(1_500, 12_000)[0], population.rent[account]], np.int64),
        np.array([scene.outsider(), population.payees[account, 1]], np.int64),
        device=scene.device(),
        ip=ip,
    )
    return True


def shop_takings(scene: Scene) -> bool:
    """Honest: a shop pays in its takings every evening, of any size, once or twice near the limit."""
    n = int(scene.rng.integers(4, 7))
    amount = 10 * scene.cents(15_000, 88_000, n)
    amount[int(scene.rng.integers(0, n))] = 10 * scene.cents(90_500, 99_500)[0]
    evening_us = scene.start_us + 17 * HOUR_US + np.arange(n) * DAY_US
    scene.transactions.append(
        Table.transactions(
            n,
            time_us=evening_us + scene.rng.integers(0, 2 * HOUR_US, n),
            type=table.CASH_DEPOSIT,
            account=scene.account,
            amount=amount,
            is_in=1,
            status=table.BOOKED,
            channel=table.BRANCH_CASH,
            city=int(scene.population.city[scene.account]),
            attempt=scene.attempt,
        )
    )
    return True


Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def _active(p: Population) -> Flags:
    return np.asarray((p.is_dormant == 0) & (p.transactions_per_day > 1.0))


def _young(p: Population) -> Flags:
    return np.asarray((p.start_us - p.opened_us < 60 * DAY_US) & (p.segment == RETAIL))


@dataclass(frozen=True, slots=True)
class Typology:
    """A kind of attempt: who can be its victim (or culprit), and how many days it may take."""

    name: str
    is_honest: bool
    stage: (
        Callable[[Scene], bool] | None
    )  # None: the habits themselves do it, see replay/generate.py
    eligible: Callable[[Population], Flags]
    days: int = 1


TYPOLOGIES: Final = (
    Typology("card_testing", False, card_testing, _active),
    Typology("account_takeover", False, account_takeover, _active),
    Typology("impossible_travel", False, impossible_travel, _active, 2),
    Typology("structuring", False, structuring, lambda p: _active(p) & (p.segment == RETAIL), 4),
    Typology("dormant_drain", False, dormant_drain, lambda p: p.is_dormant == 1, 2),
    Typology("mule", False, mule, _young),
    Typology("shared_device", False, shared_device, _active, 3),
    Typology("merchant_compromise", False, merchant_compromise, _active),
    Typology("velocity_burst", False, velocity_burst, _active),
    Typology("family_holiday", True, None, lambda p: _active(p) & (p.segment != SME), 8),
    Typology("payroll", True, payroll, lambda p: _active(p) & (p.segment == SME)),
    Typology("new_phone", True, new_phone, lambda p: _active(p) & (p.segment != PRIVATE)),
    Typology("shop_takings", True, shop_takings, lambda p: _active(p) & (p.segment == SME), 7),
)
