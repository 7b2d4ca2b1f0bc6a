"""Time zones as arrays that a kernel can search: when the offset from UTC changes, and to what.

The rules of the zones come from the `tzdata` package, never from the machine, so that two machines agree about every
hour; its version belongs in the run manifest.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from config.errors import ConfigError

_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2201, 1, 1, tzinfo=UTC)
_STEP = timedelta(
    days=4
)  # no zone changed its offset and changed it back within 4 days; see the test
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000


def shown_day(us: int, zone_name: str) -> str:
    """A time in a zone, for people: the date alone where it is midnight.

    >>> shown_day(1_772_380_800_000_000, "Asia/Shanghai"), shown_day(1_772_380_800_000_000, "UTC")
    ('2026-03-02', '2026-03-01 16:00:00+00:00')
    """
    at = (_EPOCH + us * _MICROSECOND).astimezone(zone(zone_name))
    return (
        at.isoformat(sep=" ")
        if us % _SECOND_US or (at.hour, at.minute, at.second) != (0, 0, 0)
        else str(at.date())
    )


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """Return the zone `name` of the tzdata package; a `ConfigError` if there is none."""
    try:
        at = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
        with at.open("rb") as file:
            return ZoneInfo.from_file(file, key=name)
    except (OSError, ValueError):
        raise ConfigError(
            f"unknown time zone `{name}`",
            why="local times follow the IANA database, which has no zone of this name",
            fix="write a name such as `Europe/Berlin` or `UTC`",
        ) from None


@lru_cache(maxsize=64)
def zone_numbers(name: str) -> tuple[float, ...]:
    """Return the zone for a kernel: n, n transitions (us UTC), n + 1 offsets (us), from 1900 to 2200."""
    of = zone(name)

    def offset(at: datetime) -> timedelta:
        found = at.astimezone(of).utcoffset()
        assert found is not None
        return found

    transitions: list[datetime] = []
    at, now = _FIRST, offset(_FIRST)
    offsets = [now]
    while at < _LAST:
        after = at + _STEP
        then = offset(after)
        if then != now:
            low, high = at, after
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                if offset(middle) == now:
                    low = middle
                else:
                    high = middle
            transitions.append(high)
            offsets.append(then)
            now = then
        at = after
    return (
        float(len(transitions)),
        *(float((t - _EPOCH) // _MICROSECOND) for t in transitions),
        *(float(o // _MICROSECOND) for o in offsets),
    )
