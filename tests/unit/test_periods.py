"""Days, weeks and months of time zones, minute by minute, and the windows that begin with them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from engine.windows.calendar import kept_us, period_starts
from tests.oracles.windows import Declared, Row
from tests.windowing import Runner

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000


def us(text, zone="UTC", fold=0):
    at = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return (at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("zone", "begin", "days"),
    [
        ("UTC", "1970-01-01", 9),
        ("Asia/Shanghai", "2026-02-25", 9),
        ("Europe/Berlin", "2023-03-22", 9),
        ("Europe/Berlin", "2023-10-26", 9),
        ("America/Sao_Paulo", "2018-11-02", 4),
        ("America/St_Johns", "1990-10-25", 9),
        ("America/Havana", "2022-11-02", 9),
        ("Pacific/Apia", "2011-12-27", 9),
        ("Australia/Lord_Howe", "2023-03-30", 5),
        ("Antarctica/Vostok", "2023-12-15", 6),
        ("Africa/Cairo", "2014-09-22", 5),
        ("Asia/Kathmandu", "1985-12-29", 6),
    ],
)
def test_a_day_begins_at_the_first_minute_that_bears_its_date_and_never_ends_twice(
    zone, begin, days
):
    starts = period_starts(zone, "day")
    at, latest = us(begin + "T12:00"), date.min
    for minute in range(at, at + days * DAY, MINUTE):
        here = datetime.fromtimestamp(minute // 10**6, ZoneInfo(zone)).date()
        is_new = here > latest and latest > date.min
        latest = max(latest, here)
        assert (minute in starts[np.searchsorted(starts, minute) :][:1]) == is_new, (
            datetime.fromtimestamp(minute // 10**6, UTC)
        )


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(("unit", "is_first"), [("week", "weekday"), ("month", "day")])
def test_weeks_begin_with_mondays_and_months_with_their_first(zone, unit, is_first):
    days, starts = period_starts(zone, "day"), period_starts(zone, unit)
    assert set(starts.tolist()) <= set(days.tolist())
    for start in starts[1:2000:7].tolist():
        day = datetime.fromtimestamp(start // 10**6, ZoneInfo(zone))
        assert (day.weekday() == 0) if is_first == "weekday" else (day.day == 1)
    longest = {"week": 7 * DAY, "month": 31 * DAY}[unit] + HOUR
    assert np.diff(starts[:-1]).max() <= longest
    assert us("2200-12-31") - starts[-2] < longest


@pytest.mark.parametrize(
    "zone", ["UTC", "Antarctica/Vostok", "Antarctica/Casey", "Antarctica/Troll", "Pacific/Apia"]
)
def test_no_period_is_longer_than_what_is_kept_for_it(zone):
    for unit in ("day", "week", "month"):
        assert np.diff(period_starts(zone, unit)[:-1]).max() <= kept_us(unit)


def counts(unit, zone, times, lateness=0, **more):
    rows = [
        Row(k, time, "event", {"account": 0, "device": None, "payee": None},
            {"amount": 1.0, "ratio": None, "fine": None, "merchant": None}, [True] * 5)
        for k, time in enumerate(times)
    ]  # fmt: skip
    feature = Declared("count", ("account",), 31 * DAY, calendar=unit, **more)
    return [r[0] for r in Runner([feature], lateness, zone).feed(rows)]


def test_the_day_holds_what_came_since_local_midnight_and_not_a_microsecond_before():
    midnight = us("2026-03-02T00:00", "Asia/Shanghai")
    assert midnight == us("2026-03-01T16:00")
    times = [midnight - 1, midnight, midnight + 1, midnight + DAY - 1, midnight + DAY]
    assert counts("day", "Asia/Shanghai", times) == [1, 1, 2, 3, 1]


@pytest.mark.parametrize(("day", "hours"), [("2023-03-26", 23), ("2023-10-29", 25)])
def test_a_day_on_which_clocks_change_is_as_long_as_it_is(day, hours):
    first = us(day + "T00:00", "Europe/Berlin")
    times = [first + k * HOUR for k in range(hours + 1)]
    assert counts("day", "Europe/Berlin", times) == [*range(1, hours + 1), 1]


def test_prior_leaves_out_the_row_and_a_late_row_sees_its_own_day():
    midnight = us("2026-03-02T00:00", "Asia/Shanghai")
    times = [midnight - 5, midnight, midnight + 7, midnight - 3, midnight + 8]
    assert counts("day", "Asia/Shanghai", times, 100, prior=True) == [0, 0, 1, 1, 2]
    assert counts("day", "Asia/Shanghai", times, 100) == [1, 1, 2, 2, 3]


def test_an_idle_key_starts_anew_with_the_next_month():
    first = us("2026-03-01T00:00", "Asia/Shanghai")
    times = [
        first + 2 * HOUR,
        first + 30 * DAY,
        first + 31 * DAY - 1,
        first + 31 * DAY,
        first + 70 * DAY,
    ]
    assert counts("month", "Asia/Shanghai", times) == [1, 2, 3, 1, 1]
