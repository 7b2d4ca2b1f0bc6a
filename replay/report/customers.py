"""Customers at risk when a day ended: how many are in each class of ratings, and who moved most.

Ratings are state of the engine and stand in no stream, so the newest snapshot before the end of the day is taken, and
the journal behind it decided again. They change at midnight UTC of core time.
"""

import sys
from typing import Final

import msgspec

from config import kernel_cache
from engine.durable.disk import RealDisk
from engine.durable.rederive import Rederivation
from engine.ratings import CLASSES, TREND_DAYS, Rated, class_of
from replay.report.folder import Folder

SHOWN: Final = 10
YESTERDAY, LAST_WEEK = 1, 7


class Customer(msgspec.Struct, frozen=True):
    """One customer, as it may be shown; the rating today, the day before, and a week before."""

    customer: str | None
    class_: str = msgspec.field(name="class")
    rating: int
    yesterday: int
    last_week: int


class Customers(msgspec.Struct, frozen=True, kw_only=True):
    """`classes`: class -> customers today, the day before, a week before; of those whose rating is above 0."""

    classes: dict[str, tuple[int, int, int]]
    risen: int  # into a higher class since yesterday
    fallen: int
    top: list[Customer]


def customers_at(folder: Folder, seq: int, *, key: bytes | None) -> Customers | None:
    """The ratings before record `seq`; None where the folder has no journal to derive them from."""
    if folder.journal is None:
        return None
    if kernel_cache.is_cold("engine"):
        print(
            "compiling kernels, once for this version and machine: a minute or two ...",
            file=sys.stderr,
        )
    again = Rederivation(RealDisk(), folder.root, key=key)
    seq = min(max(seq, again.journal.first_seq), again.journal.seq_end)
    again.start(seq)
    again.run_to(seq)
    rated = sorted(again.core.decider.ratings.all(), key=_order)
    counts: dict[str, tuple[int, int, int]] = {}
    for name in reversed(CLASSES):
        n = [
            sum((now := _ago(one, days)) > 0 and class_of(now) == name for one in rated)
            for days in (0, YESTERDAY, LAST_WEEK)
        ]
        counts[name] = n[0], n[1], n[2]
    return Customers(
        classes=counts,
        risen=sum(_place(one, 0) > _place(one, YESTERDAY) for one in rated),
        fallen=sum(_place(one, 0) < _place(one, YESTERDAY) for one in rated),
        top=[
            Customer(
                folder.veil.value("customer", one.customer),
                one.class_,
                one.rating,
                _ago(one, YESTERDAY),
                _ago(one, LAST_WEEK),
            )
            for one in rated[:SHOWN]
            if one.rating
        ],
    )


def _order(one: Rated) -> tuple[int, str]:
    return -one.rating, one.customer


def _ago(one: Rated, days: int) -> int:
    """The rating so many days before."""
    return one.trend[TREND_DAYS - 1 - days]


def _place(one: Rated, days: int) -> int:
    return CLASSES.index(class_of(_ago(one, days)))
