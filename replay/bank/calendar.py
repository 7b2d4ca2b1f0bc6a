"""The Chinese year as the generated bank sees it: public holidays, working weekend days, shopping feasts, paydays.

2025 and 2026 follow the arrangements that the State Council published for those years, as far as we know them. Those of
2027 were not published when this was written: the holidays then are assumed on the statutory days, with the usual week
in spring and in October, and without the weekend days that are usually worked in exchange.
Local time is UTC+8 all year: China keeps no summer time.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

LOCAL_US: Final = 8 * 3_600_000_000  # local time is ahead of UTC by this
LAST_WORKING_DAY: Final = 31  # a payday of this number is the last working day of the month
_DAY: Final = timedelta(days=1)
# name, first day, last day
HOLIDAYS: Final = (
    ("new year", date(2025, 1, 1), date(2025, 1, 1)),
    ("spring festival", date(2025, 1, 28), date(2025, 2, 4)),
    ("qingming", date(2025, 4, 4), date(2025, 4, 6)),
    ("labour day", date(2025, 5, 1), date(2025, 5, 5)),
    ("dragon boat", date(2025, 5, 31), date(2025, 6, 2)),
    ("national day", date(2025, 10, 1), date(2025, 10, 8)),  # with mid-autumn
    ("new year", date(2026, 1, 1), date(2026, 1, 3)),
    ("spring festival", date(2026, 2, 15), date(2026, 2, 23)),
    ("qingming", date(2026, 4, 4), date(2026, 4, 6)),
    ("labour day", date(2026, 5, 1), date(2026, 5, 5)),
    ("dragon boat", date(2026, 6, 19), date(2026, 6, 21)),
    ("mid-autumn", date(2026, 9, 25), date(2026, 9, 27)),
    ("national day", date(2026, 10, 1), date(2026, 10, 7)),
    ("new year", date(2027, 1, 1), date(2027, 1, 3)),
    ("spring festival", date(2027, 2, 5), date(2027, 2, 12)),
    ("qingming", date(2027, 4, 3), date(2027, 4, 5)),
    ("labour day", date(2027, 5, 1), date(2027, 5, 5)),
    ("dragon boat", date(2027, 6, 9), date(2027, 6, 9)),
    ("mid-autumn", date(2027, 9, 15), date(2027, 9, 15)),
    ("national day", date(2027, 10, 1), date(2027, 10, 7)),
)
WORKED_WEEKENDS: Final = frozenset(
    {
        date(2025, 1, 26),
        date(2025, 2, 8),
        date(2025, 4, 27),
        date(2025, 9, 28),
        date(2025, 10, 11),
        date(2026, 1, 4),
        date(2026, 2, 14),
        date(2026, 2, 28),
        date(2026, 5, 9),
        date(2026, 9, 20),
        date(2026, 10, 10),
    }
)
_HOLIDAY: Final = {
    first + k * _DAY: name for name, first, last in HOLIDAYS for k in range((last - first).days + 1)
}
_LONG: Final = ("spring festival", "labour day", "national day")


@dataclass(frozen=True, slots=True)
class Date:
    """A local day and what is special about it."""

    date: date
    weekday: int  # 0 is Monday
    holiday: str  # its name, or ""
    is_working_day: bool
    is_feast: bool  # 11.11 or 6.18 and the evening before, when shops online discount everything

    @property
    def is_long_holiday(self) -> bool:
        return self.holiday in _LONG


def date_of(day_us: int) -> date:
    """The local day that holds the moment `day_us`, microseconds since the epoch, UTC."""
    return date(1970, 1, 1) + timedelta(days=(day_us + LOCAL_US) // 86_400_000_000)


def look_up(day: date) -> Date:
    """Say what is special about a day; years without known holidays have none."""
    holiday = _HOLIDAY.get(day, "")
    is_working = not holiday and (day.weekday() < 5 or day in WORKED_WEEKENDS)
    feast = (day.month, day.day) in {(11, 10), (11, 11), (6, 17), (6, 18)}
    return Date(day, day.weekday(), holiday, is_working, feast)


def is_working_day(day: date) -> bool:
    return look_up(day).is_working_day


def paid_on(day: date) -> tuple[int, ...]:
    """The paydays (days of the month) that are paid on `day`: due dates on free days are paid on the one before."""
    if not is_working_day(day):
        return ()
    due = [day]
    while not is_working_day(due[-1] + _DAY):
        due.append(due[-1] + _DAY)
    days = [each.day for each in due if each.day != LAST_WORKING_DAY]
    if (due[-1] + _DAY).month != day.month:
        days.append(LAST_WORKING_DAY)
    return tuple(days)


def debited_on(day: date) -> tuple[int, ...]:
    """The days of the month whose direct debits and standing orders run on `day`: free days wait for the next."""
    if not is_working_day(day):
        return ()
    due = [day]
    while not is_working_day(due[-1] - _DAY):
        due.append(due[-1] - _DAY)
    return tuple(each.day for each in due)
