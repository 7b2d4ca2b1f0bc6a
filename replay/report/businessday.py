"""Business days and hours in the bank's time zone, from times as the streams write them (RFC 3339, UTC)."""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from config.errors import InputError

MINUTE: Final = 16  # characters of 2026-03-02T10:00
KNOWN_MAX: Final = 200_000  # minutes remembered; a year has 525,600


class Calendar:
    """Local days and hours of a zone. A day is that of the event, whatever its length when clocks change."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self._known: dict[str, tuple[str, int]] = {}

    def at(self, time: str) -> tuple[str, int]:
        """The local day and hour (0 to 23) of a time in UTC.

        >>> Calendar(ZoneInfo("Asia/Shanghai")).at("2026-03-01T16:02:12.724Z")
        ('2026-03-02', 0)
        """
        minute = time[:MINUTE]
        found = self._known.get(minute)
        if found is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            local = datetime.fromisoformat(minute).replace(tzinfo=UTC).astimezone(self.zone)
            found = self._known[minute] = local.date().isoformat(), local.hour
        return found

    def day(self, time: str) -> str:
        """The local day of a time in UTC."""
        return self.at(time)[0]

    def local(self, time: str) -> str:
        """A time in UTC as people of the bank read it, to the minute.

        >>> Calendar(ZoneInfo("Asia/Shanghai")).local("2026-03-01T16:02:12.724Z")
        '2026-03-02 00:02'
        """
        at = datetime.fromisoformat(time).astimezone(self.zone)
        return f"{at:%Y-%m-%d %H:%M}"

    def end_of(self, day: str) -> datetime:
        """The instant at which a local day is over."""
        after = date.fromisoformat(day) + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=self.zone)


def before(day: str, n: int) -> str:
    """The day `n` days before.

    >>> before("2026-03-02", 7)
    '2026-02-23'
    """
    return (date.fromisoformat(day) - timedelta(days=n)).isoformat()


def checked(day: str) -> str:
    """`day` if it is one; else `InputError`."""
    try:
        if date.fromisoformat(day).isoformat() == day:
            return day
    except ValueError:
        pass
    raise InputError(f"--day must be a date, was {day}", fix="write it like 2026-03-02")
