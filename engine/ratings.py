"""The risk rating of each customer: what has come together against somebody, fading from day to day.

A rating is 1000 * points / (points + 500), whole, 0 to 1000, of three kinds of points:

    alerts        each alert a rule raises: low 10, medium 25, high 60, critical 120; a quarter more for each power of
                  ten that the amount reaches from 10,000 on, in the pack's currency, at most twice as many; a match
                  that joins an alert a tenth of that. At most 1,500.
    restrictions  each restriction imposed on the customer, or on something of a transaction of the customer: watch 20,
                  limit and amount_hold 60, no_debit and no_credit 120, full_freeze 200. At most 1,500.
    verdicts      each case of the customer that is closed as fraud: 600. At most 3,000.

A case closed as genuine takes back the alert points that came in since it was opened; a restriction released as
mistaken takes back its own. Of all points 97.716 % stay from one UTC day to the next: half are left after 30 days. The
rating that rules read (`customer.rating`) is that of the last midnight of core time, so a customer has one all day.
Classes: low below 250, medium below 600, high from 600 on. The bounds let nobody stay high for good because one rule
went wild.

Points are whole thousandths and every step is integer arithmetic, so a rating can be followed with pencil and paper. A
verdict that comes as a label alone says nothing here: it tells of a transaction, and its customer may be the victim.
Customers whose rating has been 0 for 30 days are forgotten.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.restrictions import DictionaryLike
from engine.state import Arrays, under
from engine.texts import load_texts, save_texts

I4: TypeAlias = NDArray[np.int32]
U2: TypeAlias = NDArray[np.uint16]
F8: TypeAlias = NDArray[np.float64]
B1: TypeAlias = NDArray[np.bool_]

DAY_US: Final = 86_400_000_000
TREND_DAYS: Final = 30
THOUSANDTHS: Final = 1_000
STAYS: Final = 97_716  # of 100,000 a day
OF: Final = 100_000
HALF: Final = 500 * THOUSANDTHS  # points that make a rating of 500
NOTHING_LEFT_DAYS: Final = 800  # after which no points can be left
MEDIUM: Final = 250
HIGH: Final = 600
CLASSES: Final = ("low", "medium", "high")
ALERTS, RESTRICTIONS, VERDICTS, OPEN = range(4)  # OPEN: those of ALERTS that the open case holds
BOUNDS: Final = (1_500 * THOUSANDTHS, 1_500 * THOUSANDTHS, 3_000 * THOUSANDTHS)
OF_SEVERITY: Final[Mapping[str, int]] = {"low": 10, "medium": 25, "high": 60, "critical": 120}
OF_LEVEL: Final[Mapping[str, int]] = {
    "watch": 20, "limit": 60, "amount_hold": 60, "no_debit": 120, "no_credit": 120, "full_freeze": 200,
}  # fmt: skip
OF_FRAUD: Final = 600
MONEY_FROM: Final = 10_000  # of the major unit
MONEY_STEPS: Final = 4

Kept: TypeAlias = tuple[
    str, str, int, int
]  # restriction, customer, its points, the day they are of


@dataclass(frozen=True, slots=True)
class Rated:
    """One customer. Points are thousandths, as they are now; the rating is that of the last midnight.

    trend : of the last 30 days, the oldest first, today's last
    """

    customer: str
    rating: int
    alerts: int
    restrictions: int
    verdicts: int
    trend: tuple[int, ...]

    @property
    def class_(self) -> str:
        return class_of(self.rating)


def class_of(rating: int) -> str:
    """Low, medium or high.

    >>> [class_of(r) for r in (0, 249, 250, 600)]
    ['low', 'low', 'medium', 'high']
    """
    return CLASSES[(rating >= MEDIUM) + (rating >= HIGH)]


def alert_points(severity: str, amount_minor: int, digits: int) -> int:
    """Points of an alert, thousandths; `digits` are the decimals of the currency.

    >>> alert_points("high", 999_999, 2), alert_points("high", 1_000_000, 2), alert_points("high", 10**15, 2)
    (60000, 75000, 120000)
    """
    steps, bound = 0, MONEY_FROM * 10**digits
    while steps < MONEY_STEPS and abs(amount_minor) >= bound:
        steps, bound = steps + 1, bound * 10
    return OF_SEVERITY[severity] * THOUSANDTHS * (MONEY_STEPS + steps) // MONEY_STEPS


def faded(points: int, days: int) -> int:
    """What is left of points after whole days."""
    for _ in range(min(days, NOTHING_LEFT_DAYS)):
        points = points * STAYS // OF
        if not points:
            break
    return points


class Ratings:
    """Ratings of all customers somebody had something against; others have 0.

    dictionary : codes of customers; None where messages name none, and nobody is rated
    """

    def __init__(self, dictionary: DictionaryLike | None, digits: int) -> None:
        self._dictionary = dictionary
        self._digits = digits
        self._clear(-1)

    def _clear(self, day: int, room: int = 0) -> None:
        self._day = day  # UTC day that everything stands at
        self._texts: list[str | None] = []  # by place; None: forgotten
        self._places: dict[str, int] = {}
        self._codes = np.full(room, -1, np.int32)
        self._points = np.zeros((4, room), np.int64)
        self._trend = np.zeros((TREND_DAYS, room), np.uint16)  # row: day modulo 30
        self._restrictions: dict[str, tuple[str, int, int]] = {}
        self._of_code = np.zeros(0, np.uint16)  # today's rating by code of the customer
        self._without_code: set[int] = set()

    # ---- what happens

    def alerted(
        self,
        customer: str,
        severity: str,
        amount_minor: int,
        now_us: int,
        *,
        joins: bool,
        opens: bool,
    ) -> None:
        """A rule has raised an alert, or `joins` one; `opens` a case with it."""
        at = self._place(customer, now_us)
        if opens:
            self._points[OPEN, at] = 0
        points = alert_points(severity, amount_minor, self._digits) // (10 if joins else 1)
        self._points[OPEN, at] += self._add(at, ALERTS, points)

    def restricted(self, id_: str, customer: str, level: str, now_us: int) -> None:
        """A restriction was imposed that concerns the customer."""
        at = self._place(customer, now_us)
        points = self._add(at, RESTRICTIONS, OF_LEVEL[level] * THOUSANDTHS)
        if points:
            self._restrictions[id_] = (customer, points, self._day)

    def mistaken(self, id_: str, now_us: int) -> None:
        """A restriction was released as a mistake: what is left of its points goes."""
        self.roll(now_us)
        customer, points, day = self._restrictions.pop(id_, ("", 0, 0))
        at = self._places.get(customer)
        if at is not None:
            left = int(self._points[RESTRICTIONS, at]) - faded(points, self._day - day)
            self._points[RESTRICTIONS, at] = max(0, left)

    def closed(self, customer: str, verdict: str, now_us: int) -> None:
        """A case of the customer was closed: fraud, genuine or unclear."""
        if verdict == "fraud":
            self._add(self._place(customer, now_us), VERDICTS, OF_FRAUD * THOUSANDTHS)
        self.roll(now_us)
        at = self._places.get(customer)
        if at is not None:
            if verdict == "genuine":
                left = int(self._points[ALERTS, at]) - int(self._points[OPEN, at])
                self._points[ALERTS, at] = max(0, left)
            self._points[OPEN, at] = 0

    def _add(self, at: int, kind: int, points: int) -> int:
        """Add points up to the bound of their kind; return how many were."""
        added = max(0, min(points, BOUNDS[kind] - int(self._points[kind, at])))
        self._points[kind, at] += added
        return added

    def _place(self, customer: str, now_us: int) -> int:
        self.roll(now_us)
        at = self._places.get(customer)
        if at is None:
            at = self._places[customer] = len(self._texts)
            self._texts.append(customer)
            if at >= len(self._codes):
                self._make_room(2 * at + 64)
            self._enter(at, customer)
        return at

    def _make_room(self, size: int) -> None:
        n = len(self._codes)
        self._codes = np.concatenate([self._codes, np.full(size - n, -1, np.int32)])
        self._points = np.pad(self._points, ((0, 0), (0, size - n)))
        self._trend = np.pad(self._trend, ((0, 0), (0, size - n)))

    def _enter(self, at: int, customer: str) -> None:
        """Look up the code of a customer; a person may name one whom no row has brought yet."""
        code = -1 if self._dictionary is None else self._dictionary.find(customer)
        self._codes[at] = code
        if code < 0:
            self._without_code.add(at)
            return
        self._without_code.discard(at)
        if code >= len(self._of_code):
            grown = np.zeros(2 * code + 64, np.uint16)
            grown[: len(self._of_code)] = self._of_code
            self._of_code = grown
        self._of_code[code] = self._today[at]

    # ---- days

    @property
    def _today(self) -> U2:
        today: U2 = self._trend[self._day % TREND_DAYS]
        return today

    @property
    def next_us(self) -> int:
        """Core time of the next midnight; the least possible before the first event."""
        return (self._day + 1) * DAY_US if self._day >= 0 else 0

    def roll(self, now_us: int) -> None:
        """Let the days pass up to core time `now_us`; nearly always there is nothing to do."""
        if now_us < 0 or now_us < (self._day + 1) * DAY_US:
            return
        day = now_us // DAY_US
        if self._day < 0 or not self._places:
            self._day = day
            return
        if day - self._day > NOTHING_LEFT_DAYS:
            self._clear(day)
            return
        for _ in range(day - self._day):
            self._pass_day()
        self._forget()

    def _pass_day(self) -> None:
        self._day += 1
        points = self._points
        points *= STAYS
        points //= OF
        total = points[ALERTS] + points[RESTRICTIONS] + points[VERDICTS]
        today = (1_000 * total // (total + HALF)).astype(np.uint16)
        self._trend[self._day % TREND_DAYS] = today
        known = self._codes >= 0
        self._of_code[self._codes[known]] = today[known]

    def _forget(self) -> None:
        """Let go whoever has had 0 for all the days of the trend."""
        n = len(self._texts)
        gone = np.flatnonzero(~self._trend[:, :n].any(axis=0))
        for at in gone.tolist():
            customer = self._texts[at]
            if customer is not None and not self._is_new(at):
                self._texts[at] = None
                del self._places[customer]
                self._points[:, at], self._codes[at] = 0, -1
                self._without_code.discard(at)
        self._restrictions = {
            id_: held
            for id_, held in self._restrictions.items()
            if held[0] in self._places and held[2] > self._day - NOTHING_LEFT_DAYS
        }
        if len(self._texts) > 2 * len(self._places) + 1_024:
            self.load(self.save(), self.kept())

    def _is_new(self, at: int) -> bool:
        """Whether somebody without any rating yet will have one."""
        total = int(self._points[:OPEN, at].sum())
        return 1_000 * total >= total + HALF

    # ---- what others read

    def fill(self, column: F8, codes: I4, rows: B1) -> None:
        """Write the rating of the customers `codes` (n,) into the `rows` (n,) that name one."""
        for at in sorted(self._without_code):
            customer = self._texts[at]
            assert customer is not None, at
            self._enter(at, customer)
        rows = rows & (codes >= 0)
        inside = rows & (codes < len(self._of_code))
        column[rows] = 0.0
        column[inside] = self._of_code[codes[inside]]

    def of(self, customer: str) -> Rated | None:
        """The rating of one customer with its parts; None for one nobody has anything against."""
        at = self._places.get(customer)
        return self._rated(customer, at) if at is not None else None

    def all(self) -> Iterator[Rated]:
        """Every customer that is rated, in the order in which they came."""
        for customer, at in self._places.items():
            yield self._rated(customer, at)

    def _rated(self, customer: str, at: int) -> Rated:
        order = (np.arange(TREND_DAYS) + self._day + 1) % TREND_DAYS
        alerts, restrictions, verdicts = self._points[:OPEN, at].tolist()
        return Rated(
            customer=customer,
            rating=int(self._today[at]),
            alerts=alerts,
            restrictions=restrictions,
            verdicts=verdicts,
            trend=tuple(self._trend[order, at].tolist()),
        )

    def table(self) -> dict[str, object]:
        """How many customers are in each class, and how many changed theirs within 30 days; no names."""
        if self._day < 0:
            return {}
        at = np.fromiter(self._places.values(), np.int64, len(self._places))
        now, before = (
            np.searchsorted([MEDIUM, HIGH], self._trend[day % TREND_DAYS, at], side="right")
            for day in (self._day, self._day + 1)
        )
        counts = np.bincount(now, minlength=len(CLASSES)).tolist()
        return {
            "day": day_text(self._day),
            **dict(zip(CLASSES, counts, strict=True)),
            "risen": int((now > before).sum()),
            "fallen": int((now < before).sum()),
        }

    # ---- what outlives a batch

    def kept(self) -> list[Kept]:
        """Restrictions whose points can still be taken back."""
        return [(id_, *rest) for id_, rest in self._restrictions.items()]

    def save(self) -> Arrays:
        """Everything but `kept`; nothing before the first event."""
        if self._day < 0:
            return {}
        at = np.fromiter(self._places.values(), np.int64, len(self._places))
        saved = {f"rating/customer/{k}": v for k, v in save_texts(list(self._places)).items()}
        saved["rating/day"] = np.array([self._day], np.int64)
        saved["rating/points"] = self._points[:, at]
        saved["rating/trend"] = self._trend[:, at]
        return saved

    def load(self, saved: Mapping[str, NDArray[Any]], kept: Iterable[Kept] = ()) -> None:
        """Take over what `save` and `kept` gave; dictionaries are loaded before."""
        held, kept = under(saved, "rating"), list(kept)
        self._clear(-1)
        if "day" not in held:
            return
        texts = load_texts(under(held, "customer"))
        self._clear(int(held["day"][0]), len(texts))
        self._points, self._trend = held["points"].copy(), held["trend"].copy()
        self._texts.extend(texts)
        self._places = {customer: at for at, customer in enumerate(texts)}
        for at, customer in enumerate(texts):
            self._enter(at, customer)
        self._restrictions = {id_: (customer, points, day) for id_, customer, points, day in kept}

    def follows(self, other: "Ratings") -> bool:
        """Whether the codes of customers mean the same in both."""
        ours, theirs = self._dictionary, other._dictionary  # noqa: SLF001
        return (ours is None) == (theirs is None) and (
            ours is None or theirs is None or ours.texts is theirs.texts
        )

    def adopt(self, other: "Ratings") -> None:
        """Go on from the very state of `other`, over the same dictionary; it must not be used any more."""
        for name in (
            *("_day", "_texts", "_places", "_codes", "_points", "_trend", "_restrictions"),
            *("_of_code", "_without_code"),
        ):
            setattr(self, name, getattr(other, name))


def day_text(day: int) -> str:
    """A UTC day since 1970 as text.

    >>> day_text(20_000)
    '2024-10-04'
    """
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()
