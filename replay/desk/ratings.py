"""`weir account ratings`: every customer's rating, where it comes from, and how it moved within 30 days.

The ratings are state of the core (engine/ratings.py), and stand in no stream. So the newest snapshot is taken and the
journal behind it decided again, up to its last durable record: the same whether an engine runs on the folder or not,
and as it was decided, under the configuration of that time. Ratings change at midnight of core time; points are those
of now.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from config.errors import InputError
from engine.durable.disk import RealDisk
from engine.durable.output import JOURNAL
from engine.durable.rederive import Rederivation
from engine.outcomes import rfc3339
from engine.ratings import THOUSANDTHS, Rated, Ratings, class_of
from replay.audit.tables import Cell, Report, Section
from replay.audit.veil import Veil

COLUMNS: Final = (
    *("customer", "class", "rating", "before", "change", "was"),
    *("alerts", "restrictions", "verdicts", "trend"),
)
BARS: Final = " ▁▂▃▄▅▆▇█"
TOP: Final = 1_000  # no rating reaches it


def ratings_of(root: Path, key: bytes | None = None) -> tuple[Ratings, int, int]:
    """The ratings of an output folder, its next seq, and core time in microseconds UTC (-1: before any event)."""
    disk = RealDisk()
    if not disk.names(root / JOURNAL):
        raise InputError(
            "the folder has no journal",
            str(root),
            why="ratings are state of the engine, and are derived again from its journal",
            fix="run with `durability: sync` or `flush`",
        )
    again = Rederivation(disk, root, key=key)
    again.start(again.journal.seq_end)
    again.run_to(again.journal.seq_end)
    core = again.core
    return core.decider.ratings, core.seq, core.core_us


def order_of(*, movers: bool) -> Callable[[Rated], tuple[int, int, str]]:
    """How customers are sorted: the highest rating first, or whoever moved most within 30 days."""
    if movers:
        return lambda one: (-abs(_change(one)), -one.rating, one.customer)
    return lambda one: (-one.rating, -_points(one), one.customer)


def report(
    ratings: Ratings,
    veil: Veil,
    *,
    core_us: int = -1,
    class_: str = "",
    customer: str = "",
    movers: bool = False,
    limit: int = 50,
    as_text: bool = True,
) -> Report:
    """Customers that somebody has something against, `limit` of them.

    class_   : only those of this class
    customer : only this one
    movers   : whoever moved most first, and nobody who has not
    as_text  : the trend as bars; else as numbers, the oldest day first
    """
    chosen = [
        one
        for one in ratings.all()
        if class_ in ("", one.class_)
        and customer in ("", one.customer)
        and (_change(one) or not movers)
    ]
    if customer and not chosen:
        return Report(headline="Nobody has anything against that customer: the rating is 0, low.")
    chosen.sort(key=order_of(movers=movers))
    section = Section("ratings", "Movers" if movers else "Ratings", COLUMNS)
    for one in chosen[:limit]:
        row: tuple[Cell, ...] = (
            veil.value("customer", one.customer),
            one.class_,
            one.rating,
            one.trend[0],
            _change(one),
            class_of(one.trend[0]),
            *(points // THOUSANDTHS for points in (one.alerts, one.restrictions, one.verdicts)),
            bars(one.trend) if as_text else " ".join(map(str, one.trend)),
        )
        section.rows.append(row)
    facts: dict[str, Cell] = {}
    for name, told in ratings.table().items():
        facts[name] = told if isinstance(told, int | str) else str(told)
    if core_us >= 0:
        facts["core time"] = rfc3339(core_us)
    told_more = len(chosen) - len(section.rows)
    remarks = [f"... and {told_more:,} more: --limit shows them"] if told_more > 0 else []
    return Report([section], facts=facts, remarks=remarks)


def bars(trend: tuple[int, ...]) -> str:
    """A rating day by day, for people; a blank is 0.

    >>> bars((0, 1, 250, 600, 999))
    ' ▁▂▅█'
    """
    steps = len(BARS) - 1
    return "".join(BARS[-(-rating * steps // TOP)] if rating else BARS[0] for rating in trend)


def _change(one: Rated) -> int:
    return one.rating - one.trend[0]


def _points(one: Rated) -> int:
    return one.alerts + one.restrictions + one.verdicts
