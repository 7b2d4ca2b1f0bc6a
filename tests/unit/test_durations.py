"""config/durations.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.durations import duration_text, duration_us
from config.errors import ConfigError

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("15m", 900),
        ("1h30m", 5_400),
        ("7d", 604_800),
        ("1w", 604_800),
        ("200d5m", 17_280_300),
    ],
)
def test_durations_read_as_people_write_them(text, seconds):
    assert duration_us(text) == seconds * SECOND


@pytest.mark.parametrize(
    "text", ["", "15", "m", "1.5h", "-3d", "3 d", "30m1h", "1h1h", "1y", "2mo", "1H", "٣d"]
)
def test_what_is_not_a_duration_is_refused(text):
    with pytest.raises(ConfigError):
        duration_us(text)


def test_the_message_says_what_to_write():
    with pytest.raises(ConfigError) as bare:
        duration_us("15")
    assert str(bare.value) == (
        "`15` is not a duration\n"
        "  why: a number alone does not say which unit it means\n"
        "  fix: write it like 15m, 7d or 1h30m"
    )
    with pytest.raises(ConfigError) as mixed:
        duration_us("30m1h")
    assert mixed.value.fix == "write 1h30m"


@given(st.integers(0, 10**16))
def test_text_reads_back_to_the_same_number(us):
    assert duration_us(duration_text(us)) == us
