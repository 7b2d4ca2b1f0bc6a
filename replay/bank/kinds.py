"""What a kind of attempt is: a name, who can be in it, and its variants. What the plan chooses from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from replay.bank.population import DAY_US, Population
from replay.bank.scene import YUAN, Scene
from replay.bank.table import I8

Flags: TypeAlias = NDArray[np.bool_]
Eligible: TypeAlias = Callable[[Population, int], Flags]  # (population, day) -> (n_accounts)
Staged: TypeAlias = Callable[[Scene], bool]  # False: no opportunity on that day
EASY: Final = "easy"
HARD: Final = "hard"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which a kind of attempt goes.

    days        : local days it may reach over, the first included
    n_rows      : transactions it adds on average, those of everyday life that it needs not counted
    n_rows_modest : the same in a tiny bank, see `Scene.is_modest`
    n_others    : accounts besides the first that it wants kept free: at least, at most
    eligible    : who can be in it, on top of what the kind asks
    """

    name: str
    stage: Staged | None  # None: the habits make the journey, and there is nothing else
    days: int
    n_rows: float
    n_rows_modest: float
    n_others: tuple[int, int] = (0, 0)
    eligible: Eligible | None = None


@dataclass(frozen=True, slots=True)
class Casting:
    """What the plan knows when it looks for further accounts of an attempt."""

    population: Population
    rng: np.random.Generator
    day: int
    free: Flags  # (n_accounts) not in any other attempt at that time
    account: int
    n: tuple[int, int]  # at least, at most

    def drawn(self, able: Flags) -> I8 | None:
        """Some of the free accounts that are `able`; None when there are too few."""
        able = able & self.free
        able[self.account] = False
        found = np.flatnonzero(able)
        if len(found) < self.n[0]:
            return None
        taken: I8 = self.rng.permutation(found)[: self.n[1]]
        return taken


def _nobody(_casting: Casting) -> I8 | None:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Journey:
    """Where the owner of an account goes, for how long; the first day and the last are spent on the way."""

    city: int
    days: int
    partner_stays: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """A typology of fraud, or a kind of honest event that looks like one."""

    name: str
    is_honest: bool
    eligible: Eligible
    variants: tuple[Variant, ...]
    cast: Callable[[Casting], I8 | None] = _nobody
    journey: Callable[[np.random.Generator, Population, int], Journey] | None = None


# who can be in it


def age(p: Population) -> I8:
    """Years of the owner of each account at the start of the recording."""
    year = int(np.datetime64(p.start_us, "us").astype("datetime64[Y]").astype(np.int64)) + 1970
    years: I8 = year - p.birth_year[p.customer]
    return years


def account_days(p: Population, day: int) -> I8:
    """Days since each account was opened; below zero for those that are still to be opened."""
    days: I8 = (p.start_us + day * DAY_US - p.opened_us) // DAY_US
    return days


def alive(p: Population, day: int = 0) -> Flags:
    """In everyday use."""
    return np.asarray((p.is_dormant == 0) & (p.per_day > 0.5) & (account_days(p, day) > 2))


def person(p: Population, day: int = 0) -> Flags:
    """In everyday use, of a natural person."""
    return np.asarray(alive(p, day) & (p.is_legal[p.customer] == 0))


def with_card(p: Population, day: int = 0) -> Flags:
    return np.asarray(person(p, day) & (p.n_cards > 0))


def holding(p: Population, yuan: float) -> Flags:
    """With at least that much when the recording starts, and, where it is in use, an income that keeps it there."""
    keeps = (p.is_dormant == 1) | (p.income[p.customer] >= 0.8 * yuan * YUAN)
    return np.asarray((p.balance >= yuan * YUAN) & keeps)
