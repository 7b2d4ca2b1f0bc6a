"""Reports to an authority: which matches are one report, its revision, and by when it is due.

One report for each kind, entities (`by`) and local calendar day of the event; every further match of that day is
another line with the same report id and the next revision. What belongs to a report does not depend on what was
decided, and nothing withholds one but an exception, a suppression or shadow mode, which stay on record in the decision.

The day is that of the event, also for a row that comes late. Days are remembered for `KEPT_DAYS` after their end; a
row that is later than that, and one that misses an entity, is a report of its own: none is lost, and no number is used
twice.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from engine.lists import Lists
from engine.outcomes import short_id
from rules.definitions import Action

KEPT_DAYS: Final = 31
SATURDAY: Final = 5
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Reported(msgspec.Struct, kw_only=True):
    """One report of a day that is still remembered."""

    day: str
    id: str
    revision: int  # of its newest line


class ReportBook:
    """The reports of the last days, by day and id."""

    def __init__(self) -> None:
        self._days: dict[str, dict[str, int]] = {}

    def number(
        self,
        kind: str,
        entity: Sequence[tuple[str, str | None]],
        day: date,
        *,
        seq: int,
        now: date,
    ) -> tuple[str, int]:
        """Id and revision of the next line about `entity` (field, value) on `day`; `now` is the day of core time."""
        self._forget(now)
        parts = [part for field, text in entity for part in (field, text or "")]
        if day + KEPT_DAYS * _DAY < now or any(text is None for _, text in entity):
            return short_id("p-", kind, *parts, day.isoformat(), seq), 1
        report_id = short_id("p-", kind, *parts, day.isoformat())
        reports = self._days.setdefault(day.isoformat(), {})
        reports[report_id] = reports.get(report_id, 0) + 1
        return report_id, reports[report_id]

    def save(self) -> list[Reported]:
        """Everything held, by day and id."""
        return [
            Reported(day=day, id=id_, revision=revision)
            for day, reports in sorted(self._days.items())
            for id_, revision in sorted(reports.items())
        ]

    def restore(self, reported: Iterable[Reported]) -> None:
        """Take over what `save` gave."""
        self._days = {}
        for report in reported:
            self._days.setdefault(report.day, {})[report.id] = report.revision

    def adopt(self, other: "ReportBook") -> None:
        """Go on from everything that `other` holds, which must not be used any more."""
        self._days = other._days  # noqa: SLF001

    def _forget(self, now: date) -> None:
        """Drop days that nothing can be added to any more; looked at when a report is written, however rows are cut."""
        oldest = (now - KEPT_DAYS * _DAY).isoformat()
        for day in [day for day in self._days if day < oldest]:
            del self._days[day]


class Calendar:
    """Local days of a pack, and the working days that its lists make of them."""

    def __init__(self, lists: Lists, zone: ZoneInfo) -> None:
        self._zone = zone
        self._lists = lists

    def day(self, time_us: int) -> date:
        """The local day of a time, microseconds UTC."""
        return (_EPOCH + timedelta(microseconds=time_us)).astimezone(self._zone).date()

    def due_by(self, action: Action, day: date, time_us: int) -> date:
        """The last day on which a report about `day` is in time, by what lists say at `time_us`, that of the event.

        n working days: the n-th one after the day. A duration counts from the day's local midnight.
        """
        if not action.due_working_days:
            midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local days, whatever their length
            return (midnight + timedelta(microseconds=action.for_us)).date()
        left = action.due_working_days
        while left:
            day += _DAY
            left -= self.is_working(action, day, time_us)
        return day

    def is_working(self, action: Action, day: date, time_us: int) -> bool:
        """Monday to Friday but holidays, and the weekend days that a list makes up for them."""
        text = day.isoformat()
        if action.workdays and self._lists.holds(action.workdays, text, time_us):
            return True
        is_holiday = bool(action.holidays) and self._lists.holds(action.holidays, text, time_us)
        return day.weekday() < SATURDAY and not is_holiday
