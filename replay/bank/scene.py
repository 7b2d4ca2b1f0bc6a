"""One attempt while it is put on stage: who plays, what they can pay, and the rows that it adds to the traffic.

Typologies and look-alikes write through these methods, so that their rows have the same fields as everyday ones. A
scene adds; it never changes what happens anyway. Amounts are fen unless a name says yuan.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from replay.bank import places, table
from replay.bank.habits.today import N_STRANGERS, STRANGERS
from replay.bank.merchants import Merchants, cash_machine
from replay.bank.population import DAY_US, DEVICES_A_CUSTOMER, FRESH, Population
from replay.bank.table import F8, I8, OUTSIDE, Column, Table

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
YUAN: Final = 100  # fen
N_FRESH: Final = 64  # new devices, addresses and accounts elsewhere that an attempt may use
KIOSK: Final = 490_000_000  # devices that stand in branches; the list branch_kiosks names them
N_KIOSKS: Final = 20
_STEPS: Final = (100 * YUAN, 10 * YUAN, YUAN, 1)  # what people round to, coarse to fine
_ROUND: Final = (0.3, 0.3, 0.25, 0.15)  # how often a sum that somebody types in is that round
_PRICED: Final = (0.05, 0.15, 0.4, 0.4)  # how often a price is
_NOBODY: Final = np.empty(0, np.int64)
_DENS: Final = (
    places.PHNOM_PENH,
    places.BANGKOK,
    places.HONG_KONG,
    places.LAGOS,
    places.SAO_PAULO,
    places.NEW_YORK,
    places.LONDON,
    places.SINGAPORE,
)
_DEN_SHARE: Final = (0.24, 0.18, 0.14, 0.12, 0.12, 0.08, 0.07, 0.05)


@dataclass(slots=True)
class Scene:
    """One attempt on the local day it begins, and the rows it adds, on that day or later ones."""

    population: Population
    rng: np.random.Generator
    attempt: int  # number of the attempt
    account: int  # whose account it begins with
    start_us: int  # of the day, local midnight
    balance: I8  # (n_accounts) fen, at the start of the day
    honest: Table  # what happens on that day anyway, not in order
    others: I8 = field(default_factory=_NOBODY.copy)  # further accounts kept free for the attempt
    end_us: int = 1 << 62  # of the recording; later rows are lost
    is_modest: bool = False  # a tiny bank: few legs rather than many
    destination: int = -1  # city of the journey that the attempt is part of
    enters: bool | None = (
        None  # whether payees are entered before they are paid; None: not decided yet
    )
    transactions: list[Table] = field(default_factory=list)
    activities: list[Table] = field(default_factory=list)

    # who and what

    @property
    def merchants(self) -> Merchants:
        return self.population.merchants

    @property
    def customer(self) -> int:
        return int(self.population.customer[self.account])

    def city_of(self, account: int) -> int:
        return int(self.population.account_city[account])

    @property
    def city(self) -> int:
        """Where the owner of the account lives."""
        return self.city_of(self.account)

    def device(self, k: int = 0) -> int:
        """A device nobody has seen before; the k-th of this attempt."""
        assert 0 <= k < N_FRESH
        return FRESH + self.attempt * N_FRESH + k

    ip = device  # addresses that were never seen are numbered alike

    def outsider(self, k: int = 0) -> int:
        """An account of another bank that nobody here has paid before; the k-th of this attempt."""
        assert 0 <= k < N_FRESH
        return OUTSIDE + (1 << 32) + self.attempt * N_FRESH + k

    def own_device(self, account: int, k: int = 0) -> int:
        """A device of the owner: 0 the phone, 1 computer or tablet, 2 the next phone."""
        return DEVICES_A_CUSTOMER * int(self.population.customer[account]) + k

    def home(self, account: int, k: int = 0) -> dict[str, int]:
        """Columns of somebody at home with an own device."""
        return {
            "device": self.own_device(account, k),
            "ip": int(self.population.customer[account]),
            "ip_country": places.CN,
            "city": self.city_of(account),
        }

    def stranger(self, city: int, k: int = 0) -> dict[str, int]:
        """Columns of somebody in `city` with a device never seen before.

        In China every second one sits behind an address of the mobile network, as honest customers do; other
        addresses were never seen either.
        """
        ip = self.ip(k)
        if places.CITY_COUNTRY[city] == places.CN and self.is_so(0.5):
            share = np.array([self.rng.random()])
            shared = places.mobile_address(np.array([city]), share, self.population.n_customers)
            ip = int(shared[0])
        return {
            "device": self.device(k),
            "ip": ip,
            "ip_country": int(places.CITY_COUNTRY[city]),
            "city": city,
        }

    def unseen(self, who: dict[str, Any]) -> dict[str, Any]:
        """`who`, or nobody: one thief in five buys where the shop passes on neither device nor address."""
        nowhere = {"device": -1, "ip": -1, "ip_country": -1}
        return who | nowhere if self.is_so(0.2) else who

    def friend(self, account: int) -> int:
        """Somebody whom the owner pays now and then: a payee, but not the landlord."""
        return int(self.rng.choice(self.population.payees[account, 1:]))

    def strangers(self, n: int) -> I8:
        """Different people who bank elsewhere, and may well be customers of everybody else's."""
        return STRANGERS + self.rng.choice(N_STRANGERS, n, replace=False)

    def available(self, account: int) -> int:
        """Fen that the attempt may count on: the balance without what leaves on that day anyway."""
        mine = (self.honest["account"] == account) & (self.honest["is_in"] == 0)
        return int(self.balance[account]) - int(self.honest["amount_cny"][mine].sum())

    # how many, how much, when

    def count(self, low: int, high: int) -> int:
        """A number from `low` to `high`; of the lower third in a tiny bank."""
        return int(
            self.rng.integers(low, (low + (high - low) // 3 if self.is_modest else high) + 1)
        )

    def is_so(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)

    def share(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def yuan(self, low: float, high: float, n: int = 1, round_: Sequence[float] = _ROUND) -> I8:
        """`n` sums of `low` to `high` yuan as people type them, in fen: some round, some not."""
        return self._rounded(self.rng.uniform(low * YUAN, high * YUAN, n), round_, low, high)

    def prices(self, low: float, high: float, n: int = 1) -> I8:
        """`n` prices of `low` to `high` yuan, small ones more often, in fen."""
        drawn = np.exp(self.rng.uniform(np.log(low * YUAN), np.log(high * YUAN), n))
        return self._rounded(drawn, _PRICED, low, high)

    def _rounded(self, fen: F8, round_: Sequence[float], low: float, high: float) -> I8:
        step = np.array(_STEPS)[self.rng.choice(len(_STEPS), len(fen), p=round_)]
        rounded = np.rint(fen / step) * step
        within = (rounded >= low * YUAN) & (rounded <= high * YUAN)
        chosen: I8 = np.where(within, rounded, fen).astype(np.int64)
        return chosen

    def parts(self, total: int, n: int) -> I8:
        """Cut `total` fen into `n` uneven parts, each as people type it; together a little less than `total`."""
        weight = self.rng.uniform(0.6, 1.4, n)
        return self.typed(total * weight / weight.sum())

    def hour(self, earliest: float, latest: float, day: int = 0) -> int:
        """A moment between these hours, `day` days after the first."""
        return self.start_us + day * DAY_US + int(self.rng.uniform(earliest, latest) * HOUR_US)

    def pause(self, shortest_us: float, longest_us: float) -> int:
        return int(self.rng.uniform(shortest_us, longest_us))

    def spread(self, first_us: int, span_us: int, n: int) -> I8:
        """`n` moments with uneven gaps, the first at `first_us`, the last `span_us` later."""
        gaps = self.rng.uniform(0.3, 1.7, max(n - 1, 0))
        ends = np.concatenate([[0.0], np.cumsum(gaps)])
        moments: I8 = first_us + (span_us * ends / max(ends[-1], 1e-9)).astype(np.int64)
        return moments

    def awake(self, time_us: I8) -> I8:
        """Moments (n,) in order, those of the dead of night put off to the morning."""
        since_us = (time_us - self.start_us) % DAY_US
        morning_us = self.rng.uniform(7, 10, len(time_us)) * HOUR_US
        moved = np.where(since_us < 6.5 * HOUR_US, time_us - since_us + morning_us, time_us)
        return np.sort(moved.astype(np.int64))

    def later(self, time_us: int, shortest_us: float, longest_us: float) -> int:
        """A moment after a pause, at an hour when people are awake."""
        return int(self.awake(np.array([time_us + self.pause(shortest_us, longest_us)]))[0])

    def days(self, low: int, high: int) -> int:
        """How many days to take: `low` to `high`, but no longer than the recording goes on."""
        left = int((self.end_us - self.start_us) // DAY_US)
        return max(1, min(int(self.rng.integers(low, high + 1)), left))

    def on_days(self, n: int, days: int, earliest: float, latest: float) -> I8:
        """`n` moments in order, spread over `days` days between these hours; the first and last day have one."""
        day = np.sort(self.rng.integers(0, days, n))
        day[-1], day[0] = days - 1, 0
        hour = self.rng.uniform(earliest, latest, n)
        return np.sort(self.start_us + day * DAY_US + (hour * HOUR_US).astype(np.int64))

    def typed(self, fen: F8) -> I8:
        """Sums of about `fen` (n,), a little less, as people type them."""
        step = np.array(_STEPS)[self.rng.choice(len(_STEPS), len(fen), p=_ROUND)]
        step = np.where(step * 50 > fen, 1, step)
        floored: I8 = (np.floor(fen / step) * step).astype(np.int64)
        return floored

    # where

    def abroad(self) -> int:
        """A city that stolen cards and passwords are used from."""
        return int(self.rng.choice(_DENS, p=_DEN_SHARE))

    def elsewhere(self) -> int:
        """A Chinese city, now and then the own one."""
        return int(
            self.rng.choice(places.N_HOME_CITIES, p=places.HOME_SHARE / places.HOME_SHARE.sum())
        )

    def in_china(self, far_from: int, low_km: float, high_km: float) -> I8:
        """Chinese cities that far from a city."""
        cities = np.arange(places.N_DOMESTIC_CITIES)
        km = distance_km(np.full(len(cities), far_from), cities)
        return cities[(km >= low_km) & (km <= high_km)]

    def online_shops(self, n: int, foreign: float, *, is_dear: bool = False) -> I8:
        """`n` different online shops, a share of about `foreign` of them abroad; fewer if there are not so many.

        is_dear : only of the dearer third, for sums that would be odd at a grocer's
        """
        here, abroad = self.merchants.online, self.merchants.foreign_online
        if is_dear:
            here, abroad = self._dearer(here), self._dearer(abroad)
        k = min(int(self.rng.binomial(n, foreign)), len(abroad))
        chosen = self.rng.choice(here, min(n - k, len(here)), replace=False)
        return self.rng.permutation(
            np.concatenate([chosen, self.rng.choice(abroad, k, replace=False)])
        )

    def _dearer(self, shops: I8) -> I8:
        """The third of `shops` with the highest prices."""
        order = np.argsort(self.merchants.price[shops], kind="stable")
        return shops[order[len(shops) * 2 // 3 :]]

    def counters(self, n: int, city: int, *, is_dear: bool = False) -> I8:
        """`n` shops with a counter in `city`, the busy ones more often; of the dearer third only, or any."""
        if is_dear:
            start = self.merchants.start
            near = self.merchants.by_city[start[city] : start[city + 1]]
            dear: I8 = self.rng.choice(self._dearer(near), n)
            return dear
        return self.merchants.anywhere_in(np.full(n, city), self.rng.random(n))

    def usual_prices(self, shops: I8) -> I8:
        """What is paid at each of `shops` (m,) on an ordinary day, in fen."""
        yuan = self.merchants.price[shops] * np.exp(self.rng.normal(0.0, 0.4, len(shops)))
        return np.concatenate([self.prices(max(0.8 * each, 1), 1.2 * each + 1) for each in yuan])

    # what they do

    def act(self, time_us: int, type_: int, account: int, **more: int) -> None:
        """Add one activity of an account."""
        self.activities.append(
            Table.activities(
                1, time_us=time_us, type=type_, account=account, attempt=self.attempt, **more
            )
        )

    def enter(self, time_us: int, account: int, payee: int, **who: int) -> None:
        """Add `payee` before it is paid; in one attempt out of three nobody does.

        They pay by code, by telephone number or from a chat, where nothing needs to be entered.
        """
        if self.enters is None:
            self.enters = self.is_so(2 / 3)
        if self.enters:
            self.act(time_us, table.PAYEE_ADDED, account, payee=payee, **who)

    def unsay(self, chance: float) -> None:
        """Leave out the device or the address of a share of the rows that carry both, as everyday rows do."""
        for rows in self.transactions:
            index = np.flatnonzero((rows["device"] >= 0) & (rows["ip"] >= 0))
            share = self.rng.random(len(index))
            rows["device"][index[share < 0.75 * chance]] = -1
            no_address = index[(share >= 0.5 * chance) & (share < chance)]
            rows["ip"][no_address] = -1
            rows["ip_country"][no_address] = -1

    def session(self, time_us: int, account: int, payee: int = -1, **who: int) -> None:
        """Add what comes before a payment at `time_us`: a login, and `payee` when it is added first."""
        who = who or self.home(account)
        login_us = time_us - self.pause(90 * SECOND_US, 10 * MINUTE_US)
        self.act(login_us, table.LOGIN, account, **who)
        if payee >= 0:
            added_us = login_us + int((time_us - login_us) * self.rng.uniform(0.3, 0.9))
            self.act(added_us, table.PAYEE_ADDED, account, payee=payee, **who)

    def purchase(
        self, time_us: I8, account: I8 | int, merchant: I8, amount: I8, **more: Column | int
    ) -> None:
        """Add card authorisations of `amount` fen, billed in the currency of each shop.

        Shops without a counter sell online; at a counter `city` and terminal are those of the shop. `more` sets or
        replaces columns. Amounts abroad are worth what the rate makes of them, a rounding away from `amount`.
        """
        n, shops = len(time_us), self.merchants
        account = np.broadcast_to(np.asarray(account, np.int64), (n,))
        currency = shops.currency[merchant]
        billed, worth = places.in_currency(amount, currency)
        online = shops.city[merchant] < 0
        terminal = shops.terminal(merchant, self.rng.random(n))
        columns: dict[str, Any] = {
            "status": table.REQUESTED,
            "card": 2 * account,
            "channel": np.where(online, table.ONLINE, table.POS),
            "entry_mode": np.where(
                online, table.ECOMMERCE, self.rng.choice([table.CHIP, table.CONTACTLESS], n)
            ),
            "terminal": np.where(online, -1, terminal),
            "city": np.where(online, self.population.account_city[account], shops.city[merchant]),
        }
        columns["auth_method"] = np.where(
            online, table.SMS, np.where(columns["entry_mode"] == table.CHIP, table.PIN, table.NONE)
        )
        self._add(
            n,
            time_us,
            table.CARD_AUTH,
            account,
            amount=billed,
            amount_cny=worth,
            currency=currency,
            merchant=merchant,
            **(columns | more),
        )

    def buy_online(
        self, time_us: I8, account: I8 | int, merchant: I8, amount: I8, **more: Column | int
    ) -> None:
        """Add purchases at online shops that the owner of each account makes at home, on the own telephone."""
        account = np.broadcast_to(np.asarray(account, np.int64), (len(time_us),))
        owner = self.population.customer[account]
        foreign = self.merchants.country[merchant] != places.CN
        own: dict[str, Column | int] = {
            "device": DEVICES_A_CUSTOMER * owner,
            "ip": owner,
            "ip_country": places.CN,
            "auth_method": np.where(foreign, table.THREE_D_SECURE, table.SMS),
        }
        self.purchase(time_us, account, merchant, amount, **(own | more))

    def pay(
        self,
        time_us: I8,
        account: I8 | int,
        amount: I8,
        counterparty: I8 | int,
        **more: Column | int,
    ) -> None:
        """Add payments that leave the account, from the app; `more` says from which device, and what is different."""
        n = len(time_us)
        # a stranger has no finger and no face, only what was stolen
        is_strange = np.asarray(more.get("device", -1)) >= FRESH
        auth_method = np.where(
            is_strange,
            self.rng.choice([table.PASSWORD, table.SMS], n),
            self.rng.choice([table.BIOMETRIC, table.PASSWORD], n, p=[0.65, 0.35]),
        )
        columns: dict[str, Any] = {"channel": table.MOBILE, "type": table.PAYMENT}
        columns |= {"auth_method": auth_method} | more
        self._add(
            n,
            time_us,
            columns.pop("type"),
            account,
            amount=amount,
            status=table.REQUESTED,
            counterparty=counterparty,
            **columns,
        )

    def receive(
        self,
        time_us: I8,
        account: I8 | int,
        amount: I8,
        counterparty: I8 | int,
        **more: Column | int,
    ) -> None:
        """Add payments that reach the account, in files of the clearing house; `more` may say another type."""
        columns: dict[str, Any] = {"channel": table.FILE, "type": table.PAYMENT} | more
        self._add(
            len(time_us),
            time_us,
            columns.pop("type"),
            account,
            amount=amount,
            is_in=1,
            status=table.BOOKED,
            counterparty=counterparty,
            **columns,
        )

    def move(
        self, time_us: I8, payer: I8 | int, receiver: I8 | int, amount: I8, **more: Column | int
    ) -> None:
        """Add payments between accounts of the bank, both legs; `more` belongs to the payer's."""
        self.pay(time_us, payer, amount, receiver, **more)
        delay_us = 1_000 * self.rng.integers(1_000, 9_000, len(time_us))
        shared = {name: more[name] for name in ("type", "purpose", "attempt") if name in more}
        self.receive(time_us + delay_us, receiver, amount, payer, **shared)

    def send(
        self, time_us: int, account: int, amount: int, payee: int, **more: Column | int
    ) -> None:
        """Add one payment of the owner, with both legs if the payee banks here."""
        columns: dict[str, Any] = self.home(account) | more
        time, fen = np.array([time_us]), np.array([amount])
        if payee < OUTSIDE:
            self.move(time, account, payee, fen, **columns)
        else:
            self.pay(time, account, fen, payee, **columns)

    def deposit(
        self,
        time_us: I8,
        account: I8 | int,
        amount: I8,
        channel: I8,
        city: I8,
        **more: Column | int,
    ) -> None:
        """Add cash that is paid in, over the counter of a branch or at a machine."""
        n = len(time_us)
        at_machine = channel == table.ATM_DEPOSIT
        self._add(
            n,
            time_us,
            table.CASH_DEPOSIT,
            account,
            amount=amount,
            is_in=1,
            status=table.BOOKED,
            channel=channel,
            city=city,
            terminal=np.where(at_machine, cash_machine(city, self.rng.random(n)), -1),
            **more,
        )

    def withdraw(self, time_us: I8, account: int, amount: I8, city: int, **more: int) -> None:
        """Add cash taken from machines in `city`."""
        n = len(time_us)
        self._add(
            n,
            time_us,
            table.CASH_WITHDRAWAL,
            account,
            amount=amount,
            status=table.REQUESTED,
            channel=table.ATM,
            card=2 * account,
            entry_mode=table.CHIP,
            auth_method=table.PIN,
            terminal=cash_machine(np.full(n, city), self.rng.random(n)),
            city=city,
            **more,
        )

    def refund(
        self, time_us: I8, account: int, merchant: I8, amount: I8, original: I8, **more: int
    ) -> None:
        """Add refunds in yuan to the first card of the account; see `original` of replay/bank/table.py."""
        n, shops = len(time_us), self.merchants
        online = shops.city[merchant] < 0
        self._add(
            n,
            time_us,
            table.REFUND,
            account,
            amount=amount,
            is_in=1,
            status=table.BOOKED,
            card=2 * account,
            merchant=merchant,
            terminal=np.where(online, -1, shops.terminal(merchant, self.rng.random(n))),
            channel=np.where(online, table.ONLINE, table.POS),
            city=np.where(online, self.city_of(account), shops.city[merchant]),
            original=original,
            **more,
        )

    def _add(
        self, n: int, time_us: I8, type_: Column | int, account: I8 | int, **more: Any
    ) -> None:
        columns = {"attempt": self.attempt} | more
        self.transactions.append(
            Table.transactions(n, time_us=time_us, type=type_, account=account, **columns)
        )


def distance_km(a: I8, b: I8) -> F8:
    """Great-circle distance of cities `a` (n,) and `b` (n,) on a sphere of 6,371 km."""
    lat_a, lat_b = np.radians(places.CITY_LAT[a]), np.radians(places.CITY_LAT[b])
    half = np.radians(places.CITY_LON[b] - places.CITY_LON[a]) / 2
    chord = np.sin((lat_b - lat_a) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin(half) ** 2
    far: F8 = 2 * 6_371.0 * np.arcsin(np.sqrt(chord))
    return far
