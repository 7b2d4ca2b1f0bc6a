"""Minor units: exact in, exact out, and a reason for what is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.money import EXPONENTS, exponent, major_text, minor_units


@pytest.mark.parametrize(
    ("code", "digits"), [("JPY", 0), ("CNY", 2), ("EUR", 2), ("KWD", 3), ("CLF", 4), ("ISK", 0)]
)
def test_exponents_are_those_of_iso_4217(code, digits):
    assert exponent(code) == digits


def test_every_code_is_three_capital_letters():
    assert all(len(c) == 3 and c.isupper() and c.isalpha() for c in EXPONENTS)
    assert len(EXPONENTS) == 167


def test_an_unknown_currency_names_the_likely_one():
    with pytest.raises(ConfigError) as caught:
        exponent("eur")
    assert str(caught.value) == (
        "unknown currency `eur`\n"
        "  why: the minor unit of an amount follows from its ISO 4217 code, three capital letters\n"
        "  fix: did you mean `EUR`?"
    )


@pytest.mark.parametrize(
    ("value", "digits", "minor"),
    [
        ("12", 2, 1200), ("7.000", 0, 7), (12, 2, 1200), (0, 2, 0), (0.5, 2, 50), (19.99, 2, 1999),
        ("00.10", 2, 10), (1e15, 0, 10**15), (123456789.125, 3, 123456789125), (0.1, 2, 10),
        ("9007199254740992", 0, 1 << 53), ("90071992547409.92", 2, 1 << 53), (3.0, 0, 3),
        ("0.10", 1, 1), (1.1, 2, 110), (70368744177664.01, 2, 7036874417766402),
    ],
)  # fmt: skip
def test_plain_decimals_are_exact(value, digits, minor):
    assert minor_units(value, digits) == minor


@pytest.mark.parametrize(
    "value",
    ["", ".", "1.", ".5", "-1", "+1", "1e5", "1_0", " 1", "1 ", "1,5", "٣", "1.2.3", "NaN", "inf",
     -1, -0.0, -0.5, 1e16, 1e-5, float("nan"), float("inf"), True, "9007199254740993", "0.001",
     0.001, "9" * 5000, "1" + "0" * 17],
)  # fmt: skip
def test_anything_else_is_refused(value):
    with pytest.raises(ValueError):
        minor_units(value, 2 if value != "9007199254740993" else 0)


def test_a_signed_amount_may_be_below_zero():
    assert minor_units("-12.5", 2, signed=True) == -1250
    assert minor_units(-3, 0, signed=True) == -3
    with pytest.raises(ValueError):
        minor_units("--3", 0, signed=True)


@given(st.integers(0, 1 << 53), st.integers(0, 4))
def test_what_is_written_reads_back(minor, digits):
    """Text and back, and the oracle `decimal` agrees about the value."""
    text = major_text(minor, digits)
    assert minor_units(text, digits) == minor
    assert Decimal(text) == Decimal(minor).scaleb(-digits)
