"""The plan of a recording: which attempts there are, who is in them, when they begin, in which variant.

Fraud is a small share of the traffic and look-alikes are twice as many attempts, spread over all kinds. The plan is
made before anything happens, from the seed alone; an attempt that finds no opportunity on its day is tried on the
next one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from replay.bank.habits.everyday import UNSAID
from replay.bank.habits.travel import Trip
from replay.bank.kinds import Casting, Flags, Kind, Variant
from replay.bank.lookalikes import LOOKALIKES
from replay.bank.population import Population
from replay.bank.scene import Scene
from replay.bank.table import I8
from replay.bank.typologies import TYPOLOGIES

FRAUD_SHARE: Final = 0.0006
LOOKALIKES_A_FRAUD: Final = 2
_STREAM: Final = 200
_N_TRIES: Final = 25  # days to look at before an attempt is given up
_REST_DAYS: Final = (
    10  # between two attempts on one account, where a bank is so small that it needs two
)


@dataclass(slots=True)
class Attempt:
    """One planned attempt. `day` moves on while `stage` says that there is no opportunity; `stage` None: a journey."""

    number: int
    name: str  # account_takeover-hard-0003
    typology: str
    is_honest: bool
    variant: str  # easy, hard, or "" for what is honest
    account: int
    day: int  # local day on which it begins, 0 is the first of the recording
    stage: Callable[[Scene], bool] | None
    others: tuple[int, ...] = ()  # further accounts kept free for it
    days: int = 1  # local days it may reach over
    is_modest: bool = False  # of a tiny bank: few legs rather than many
    trip: Trip | None = None  # the journey that the habits make for it

    @property
    def accounts(self) -> tuple[int, ...]:
        return (self.account, *self.others)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Puts an attempt on stage with what the plan knows about it; leaves no row behind where it cannot."""

    act: Callable[[Scene], bool]
    destination: int

    def __call__(self, scene: Scene) -> bool:
        scene.destination = self.destination
        if self.act(scene):
            scene.unsay(UNSAID)
            return True
        scene.transactions.clear()
        scene.activities.clear()
        return False


class _Diary:
    """Which accounts are taken, and when."""

    def __init__(self, n_accounts: int) -> None:
        self._never = np.ones(n_accounts, np.bool_)
        self._spans: list[tuple[I8, int, int]] = []

    def take(self, accounts: Sequence[int], first: int, last: int) -> None:
        index = np.array(accounts, np.int64)
        self._never[index] = False
        self._spans.append((index, first, last))

    def never(self) -> Flags:
        """Accounts in no attempt at all."""
        return self._never.copy()

    def free(self, first: int, last: int) -> Flags:
        """Accounts in no attempt from some days before `first` to some days after `last`."""
        free = np.ones(len(self._never), np.bool_)
        for index, begun, ended in self._spans:
            if begun <= last + _REST_DAYS and ended >= first - _REST_DAYS:
                free[index] = False
        return free


def make_plan(
    population: Population, seed: int, days: int, fraud_share: float = FRAUD_SHARE
) -> list[Attempt]:
    """Plan the attempts of a recording of `days` local days; the same arguments give the same plan.

    fraud_share : of all transactions, that belong to fraud, about; 0: no attempts at all, not even honest ones

    Each variant of each typology is there once at least, however small the bank, with fewer legs where that alone
    comes near the share. Attempts for which nobody is left (no dormant account, no young one) are missing.
    """
    if fraud_share <= 0.0:
        return []
    rng = np.random.default_rng([seed, _STREAM])
    wanted = fraud_share * float(population.per_day.sum()) * days
    pairs = [(kind, variant) for kind in TYPOLOGIES for variant in kind.variants]
    is_modest = wanted < 1.2 * sum(variant.n_rows for _, variant in pairs)
    fraud = _counts(rng, pairs, wanted, is_modest=is_modest)
    n_alike = max(LOOKALIKES_A_FRAUD * sum(fraud), len(LOOKALIKES))
    alike = np.full(len(LOOKALIKES), n_alike // len(LOOKALIKES))
    alike[rng.permutation(len(LOOKALIKES))[: n_alike % len(LOOKALIKES)]] += 1
    roles = [(*pair, n) for pair, n in zip(pairs, fraud, strict=True)]
    roles += [(k, k.variants[0], int(n)) for k, n in zip(LOOKALIKES, alike, strict=True)]
    return _Planner(population, rng, days, is_modest).cast(roles)


def _counts(
    rng: np.random.Generator, pairs: list[tuple[Kind, Variant]], wanted: float, *, is_modest: bool
) -> list[int]:
    """How many attempts of each variant make about `wanted` rows: as many of each, and some of one more."""
    rows = np.array([v.n_rows_modest if is_modest else v.n_rows for _, v in pairs])
    counts = np.full(len(pairs), max(int(wanted // rows.sum()), 1))
    left = wanted - float((counts * rows).sum())
    for k in rng.permutation(len(pairs)):
        if rows[k] <= left:
            counts[k] += 1
            left -= rows[k]
    return [int(n) for n in counts]


class _Planner:
    """Finds days and accounts for attempts, those that few accounts can be in first."""

    def __init__(
        self, population: Population, rng: np.random.Generator, days: int, is_modest: bool
    ) -> None:
        self._population, self._rng, self._days, self._is_modest = population, rng, days, is_modest
        self._first = min(7, days // 3)
        self._diary = _Diary(population.n_accounts)
        self._planned: list[Attempt] = []

    def cast(self, roles: list[tuple[Kind, Variant, int]]) -> list[Attempt]:
        scarce = [int(self._able(kind, variant, self._first).sum()) for kind, variant, _ in roles]
        needed = [(v.n_others[0] + 1) * n for _, v, n in roles]
        order = sorted(range(len(roles)), key=lambda k: (scarce[k] / needed[k], k))
        # once each before any a second time, so that the last kind is not left without anybody
        for turn in range(max(n for _, _, n in roles)):
            for k in order:
                kind, variant, n = roles[k]
                if turn < n:
                    self._place(kind, variant, turn + 1)
        return self._planned

    def _able(self, kind: Kind, variant: Variant, day: int) -> Flags:
        able = kind.eligible(self._population, day)
        return able & variant.eligible(self._population, day) if variant.eligible else able

    def _place(self, kind: Kind, variant: Variant, k: int) -> None:
        # a few days are left for attempts that do not find their opportunity at once
        last = max(self._days - variant.days - min(4, self._days // 14), self._first)
        for turn in range(_N_TRIES):
            day = int(self._rng.integers(self._first, last + 1))
            end = day + variant.days - 1
            free = self._diary.never() if turn < _N_TRIES // 2 else self._diary.free(day, end)
            able = np.flatnonzero(self._able(kind, variant, day) & free)
            if not len(able):
                continue
            account = int(self._rng.choice(able))
            others = kind.cast(
                Casting(self._population, self._rng, day, free, account, variant.n_others)
            )
            if others is not None:
                self._add(kind, variant, k, account, tuple(others.tolist()), day)
                return

    def _add(
        self, kind: Kind, variant: Variant, k: int, account: int, others: tuple[int, ...], day: int
    ) -> None:
        number, trip = len(self._planned), None
        if kind.journey is not None:
            goes = kind.journey(self._rng, self._population, account)
            last = min(day + goes.days - 1, self._days)
            trip = Trip(number, account, day, last, goes.city, goes.partner_stays)
        act, stage = variant.stage, None
        if act is not None:
            stage = _Stage(act, trip.city if trip is not None else -1)
        self._diary.take((account, *others), day, day + variant.days - 1)
        self._planned.append(
            Attempt(
                number=number,
                name="-".join([kind.name, *filter(None, [variant.name]), f"{k:04d}"]),
                typology=kind.name,
                is_honest=kind.is_honest,
                variant=variant.name,
                account=account,
                day=day,
                stage=stage,
                others=others,
                days=variant.days,
                is_modest=self._is_modest,
                trip=trip,
            )
        )


def trips(attempts: Sequence[Attempt]) -> tuple[Trip, ...]:
    """The journeys that the habits make for the plan."""
    return tuple(attempt.trip for attempt in attempts if attempt.trip is not None)
