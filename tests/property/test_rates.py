"""Laws of conversion: a column is what long division gives, amount by amount, whatever stands beside it."""

import datetime as dt
import itertools
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from config import marks, rates
from config.money import MINOR_MAX
from engine.exchange import fill_column
from tests.oracles import exchange

CURRENCIES = ["CNY", "USD", "EUR", "JPY", "KWD", "CLF"]
DAYS = st.dates(dt.date(2025, 1, 1), dt.date(2025, 2, 28))
PRICES = st.one_of(
    st.integers(1, 10**6).map(lambda n: f"{n // 10_000}.{n % 10_000:04d}"),
    st.integers(1, 10**24 - 1).map(lambda n: f"{n // 10**12}.{n % 10**12:012d}"),
    st.sampled_from(["1", "2", "0.5", "0.25", "8", "0.000000000001", "999999999999"]),
)
TABLES = st.dictionaries(
    DAYS,
    st.one_of(
        st.fixed_dictionaries(dict.fromkeys(CURRENCIES[1:], PRICES)),
        st.dictionaries(st.sampled_from(CURRENCIES[1:]), PRICES, min_size=1),
    ),
    min_size=1,
    max_size=5,
).map(lambda found: sorted(found.items()))
AMOUNTS = st.one_of(
    st.integers(-1_000_000, 1_000_000), st.integers(-MINOR_MAX, MINOR_MAX), st.integers(-9, 9)
)
START = dt.datetime(2025, 1, 2, tzinfo=dt.UTC)
TIMES = st.integers(0, 100 * 86_400).map(lambda s: START + dt.timedelta(seconds=s))


def table_of(entries, valid_days):
    """The table as a file would have it, in the zone of Shanghai."""
    lines = [
        f"  - {{from: {day}, " + ", ".join(f"{c}: {p}" for c, p in prices.items()) + "}"
        for day, prices in entries
    ]
    head = f"rates: t\nversion: 1\nsource: s\nbase: CNY\ntimezone: Asia/Shanghai\nvalid_for: {valid_days}d\n"
    text = "\n".join([head + "entries:", *lines, ""])
    node, faults = marks.parse(text, "t")
    assert not faults
    return rates.build(node)


def column(table, source, target, rows, times):
    """The amounts as the core fills a column with them, a missing one before; None where there is none."""
    ours = np.array([np.nan, *(minor for minor, _ in rows)])
    out = np.zeros(len(ours))
    factors = table.factors(source, target)
    fill_column(table, (source, target), factors, ours, np.array([0, *times], np.int64), out)
    assert np.isnan(out[0])
    return [None if np.isnan(amount) else int(amount) for amount in out[1:].tolist()]


def kept(amounts):
    return [
        amount if amount is not None and abs(amount) <= MINOR_MAX else None for amount in amounts
    ]


@given(
    TABLES,
    st.integers(1, 60),
    st.sampled_from(list(itertools.product(CURRENCIES, CURRENCIES))),
    st.lists(st.tuples(AMOUNTS, TIMES), min_size=1, max_size=12),
)
def test_a_column_is_converted_as_long_division_says(entries, valid_days, pair, rows):
    table = table_of(entries, valid_days)
    source, target = pair
    wanted = [
        exchange.converted(
            entries, "CNY", minor, source, target, at, offset_hours=8, valid_days=valid_days
        )
        for minor, at in rows
    ]
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    times = [(at - epoch) // dt.timedelta(microseconds=1) for _, at in rows]
    assert [
        table.convert(minor, source, target, time)
        for (minor, _), time in zip(rows, times, strict=True)
    ] == wanted
    minor = np.array([minor for minor, _ in rows], np.int64)
    out, is_known, is_large = table.converted(minor, source, target, np.array(times, np.int64))
    for amount, known, large, exact in zip(
        out.tolist(), is_known.tolist(), is_large.tolist(), wanted, strict=True
    ):
        assert known == (exact is not None)
        assert large == (exact is not None and abs(exact) > MINOR_MAX)
        assert amount == (exact if known and not large else 0)
    assert column(table, source, target, rows, times) == kept(wanted)


@given(PRICES, PRICES, st.lists(AMOUNTS, min_size=1, max_size=12))
def test_an_amount_of_any_size_is_exact_at_any_price(price, wanted, amounts):
    """Products beyond 64 bits included."""
    table = rates.Rates.constant("CNY", {"USD": Fraction(price), "JPY": Fraction(wanted)})
    constant = [(dt.date(2025, 1, 1), {"USD": price, "JPY": wanted})]
    for source, target in (("USD", "CNY"), ("CNY", "JPY"), ("USD", "JPY")):
        exact = [
            exchange.converted(constant, "CNY", amount, source, target, START, valid_days=999)
            for amount in amounts
        ]
        out, _, is_large = table.converted(
            np.array(amounts, np.int64), source, target, np.zeros(len(amounts), np.int64)
        )
        assert is_large.tolist() == [abs(amount) > MINOR_MAX for amount in exact]
        assert out.tolist() == [0 if abs(amount) > MINOR_MAX else amount for amount in exact]
        rows, times = [(amount, START) for amount in amounts], [0] * len(amounts)
        assert column(table, source, target, rows, times) == kept(exact)
