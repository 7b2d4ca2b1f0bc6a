"""config/rates.py: what a table says when, and what is refused, with file, line and column."""

import datetime as dt
import hashlib
import shutil
from fractions import Fraction

import numpy as np
import pytest

from config import rates, settings
from config.errors import ConfigError
from config.money import MINOR_MAX
from config.settings import BANK

SHIPPED = ["CNY", "USD", "EUR", "HKD", "JPY", "THB", "GBP", "SGD", "KRW", "AUD"]
HEAD = "rates: test\nversion: 1\nsource: made up\nbase: CNY\n"
TABLE = (
    HEAD
    + """\
timezone: Asia/Shanghai
valid_for: 40d
entries:
  - {from: 2026-01-01, USD: 7.00, JPY: 0.05}
  - {from: 2026-02-01, USD: 6.99}
"""
)


def us(text):
    """Microseconds of a time such as 2026-01-01T00:00 (UTC)."""
    at = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def read(tmp_path, text):
    (tmp_path / "rates.yaml").write_text(text, encoding="utf-8")
    return rates.read(tmp_path / "rates.yaml", "rates.yaml")


def test_a_rate_holds_from_local_midnight_until_the_next_one_of_its_currency(tmp_path):
    table = read(tmp_path, TABLE)
    before, first = us("2025-12-31T15:59:59.999999"), us("2025-12-31T16:00")
    assert (table.rate("USD", before), table.rate("USD", first)) == (None, 7)
    second = us("2026-01-31T16:00")
    assert (table.rate("USD", second - 1), table.rate("USD", second)) == (7, Fraction("6.99"))
    assert table.rate("JPY", second) == Fraction("0.05")  # the second entry does not name it


def test_a_table_that_nobody_keeps_up_runs_out(tmp_path):
    """Each currency by itself, `valid_for` after the day of its newest rate."""
    table = read(tmp_path, TABLE)
    last_yen = us("2026-02-09T16:00")
    assert (table.rate("JPY", last_yen - 1), table.rate("JPY", last_yen)) == (
        Fraction("0.05"),
        None,
    )
    last_dollar = us("2026-03-12T16:00")
    assert table.rate("USD", last_dollar - 1) == Fraction("6.99")
    assert table.rate("USD", last_dollar) is None
    assert table.rate("CNY", last_dollar) == 1


def test_a_table_without_a_zone_begins_its_days_at_midnight_utc(tmp_path):
    table = read(tmp_path, TABLE.replace("timezone: Asia/Shanghai\n", ""))
    assert table.rate("USD", us("2026-01-01T00:00") - 1) is None
    assert table.rate("USD", us("2026-01-01T00:00")) == 7


def test_halves_go_to_the_even_side_and_nothing_else_is_rounded():
    table = rates.Rates.constant("CNY", {"USD": Fraction("0.5")})
    assert [table.convert(n, "USD", "CNY", 0) for n in (1, 3, 5, -1, -3)] == [0, 2, 2, 0, -2]
    column, known, large = table.converted(np.array([1, 3, 5, -1, -3]), "USD", "CNY", np.zeros(5))
    assert (column.tolist(), known.all(), large.any()) == ([0, 2, 2, 0, -2], True, False)


def test_an_amount_goes_through_the_base_in_one_step():
    """0.335 dollars of 0.07 yuan each: rounding on the way would lose them."""
    table = rates.Rates.constant("CNY", {"USD": Fraction(7), "JPY": Fraction("0.05")})
    assert table.convert(1, "JPY", "USD", 0) == 1  # 0.05 / 7 dollars are 0.714 cents
    assert table.convert(1, "JPY", "CNY", 0) == 5
    assert table.convert(table.convert(1, "JPY", "CNY", 0), "CNY", "USD", 0) == 1


def test_the_same_currency_needs_no_rate():
    table = rates.Rates.constant("CNY", {})
    assert table.convert(123, "ISK", "ISK", 0) == 123
    assert table.convert(123, "ISK", "CNY", 0) is None


def test_more_than_the_largest_amount_is_told():
    table = rates.Rates.constant("CNY", {"USD": Fraction(7)})
    amounts = np.array([MINOR_MAX, MINOR_MAX // 7, 1])
    column, known, large = table.converted(amounts, "USD", "CNY", np.zeros(3, np.int64))
    assert large.tolist() == [True, False, False]
    assert column.tolist() == [0, MINOR_MAX // 7 * 7, 7]
    assert known.all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("base: CNY", "bass: CNY", "rates.yaml:4:1: unknown key `bass`\n  fix: did you mean `base`?"),
        ("base: CNY\n", "", "rates.yaml:1:1: `base` is missing"),
        ("base: CNY", "base: CNZ", "rates.yaml:4:7: unknown currency `CNZ`"),
        ("valid_for: 40d", "valid_for: 40", "rates.yaml:6:12: `valid_for` must be a duration, was 40"),
        ("valid_for: 40d", "valid_for: 4h", "rates.yaml:6:12: `valid_for` must lie in [1d, 3650d], was 4h"),
        ("Asia/Shanghai", "Asia/Shangri", "rates.yaml:5:11: `Asia/Shangri` is not a time zone"),
        ("2026-02-01", "2026-01-01", "rates.yaml:9:12: the day of this entry does not follow the one before it"),
        ("2026-02-01", "2026-02-30", "rates.yaml:9:12: `from` must be a day of the years 1970 to 2199, was 2026-02-30"),
        ("2026-02-01", "2026-W06-7", "rates.yaml:9:12: `from` must be a day of the years 1970 to 2199, was 2026-W06-7"),
        ("USD: 6.99", "USB: 6.99", "rates.yaml:9:24: unknown currency `USB`"),
        ("USD: 6.99", "CNY: 6.99", "rates.yaml:9:24: `CNY` has a rate in itself"),
        ("USD: 6.99", "USD: 0.00", "rates.yaml:9:29: the rate of `USD` must be a decimal above zero, was 0.00"),
        ("USD: 6.99", "USD: 6,99", "rates.yaml:9:"),
        ("USD: 6.99", "USD: 1e3", "rates.yaml:9:29: the rate of `USD` must be a decimal above zero, was 1e3"),
        (", USD: 6.99", "", "rates.yaml:9:5: the entry has no rates"),
        ("{from: 2026-02-01, USD: 6.99}", "now", "rates.yaml:9:5: an entry is a day and its rates"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_told_at_its_place(tmp_path, old, new, message):
    assert old in TABLE
    head, _, tail = TABLE.rpartition(old)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, head + new + tail)
    assert str(caught.value).startswith(message)


def test_the_table_that_ships_covers_thirty_months_and_says_that_it_is_made_up():
    table = rates.read(BANK / "rates.yaml")
    assert table.currencies == set(SHIPPED)
    assert "not official" in table.source
    for month in range(30):
        at = us(f"{2025 + month // 12}-{month % 12 + 1:02d}-15T00:00")
        assert all(table.rate(currency, at) is not None for currency in table.currencies)
    assert table.rate("USD", us("2024-12-31T15:59")) is None
    assert table.rate("USD", us("2027-09-01T00:00")) is None


def test_other_rates_are_another_configuration(tmp_path):
    """The hash that decisions carry changes with the table; a table that is not there is refused."""
    folder = tmp_path / "bank"
    shutil.copytree(BANK, folder)
    before = settings.load(folder)
    path = folder / "rates.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("7.2990", "7.2991"), encoding="utf-8")
    after = settings.load(folder)
    assert before.sha256 != after.sha256
    assert after.files["rates.yaml"][1] == hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    with pytest.raises(ConfigError, match="there is no table of rates"):
        settings.load(folder)
    (folder / "weir.yaml").write_text("rates: ../rates.yaml\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="`rates` must name a file of this folder"):
        settings.load(folder)
