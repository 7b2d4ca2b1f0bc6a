"""Numbers as people read them: thousands set apart, units beside them, no more digits than they mean."""

from typing import Final

from config.money import major_text

NONE: Final = "-"
COUNT, MONEY, SHARE, SCORE, SECONDS = "count", "money", "share", "score", "seconds"


def count(n: float | None) -> str:
    """A number of things.

    >>> count(1234567), count(None)
    ('1,234,567', '-')
    """
    return NONE if n is None else f"{n:,.0f}"


def share(part: float | None) -> str:
    """A part of a whole; small ones keep two digits.

    >>> share(0.5), share(0.00312), share(0.0000042), share(0.0), share(1.0), share(None)
    ('50.0%', '0.31%', '0.00042%', '0%', '100%', '-')
    """
    if part is None:
        return NONE
    percent = 100 * part
    if percent in (0.0, 100.0):
        return f"{percent:.0f}%"
    if percent >= 10:
        return f"{percent:.1f}%"
    if percent >= 0.01:
        return f"{percent:.2f}%"
    return f"{float(f'{percent:.2g}'):f}".rstrip("0") + "%"


def money(minor: int | None, digits: int, currency: str) -> str:
    """An amount in major units, all decimals, and its currency.

    >>> money(123456789, 2, "CNY"), money(None, 2, "CNY"), money(-5, 0, "JPY")
    ('1,234,567.89 CNY', '-', '-5 JPY')
    """
    if minor is None:
        return NONE
    whole, point, part = major_text(abs(minor), digits).partition(".")
    sign = "-" if minor < 0 else ""
    return f"{sign}{int(whole):,}{point}{part} {currency}".rstrip()


def score(value: float | None) -> str:
    """A probability or a statistic, three digits that mean something.

    >>> score(0.12345), score(0.00001234), score(12.5), score(None)
    ('0.123', '0.0000123', '12.5', '-')
    """
    if value is None:
        return NONE
    if value == 0 or abs(value) >= 0.001:
        return f"{value:.3g}"
    return f"{float(f'{value:.3g}'):.12f}".rstrip("0")


def seconds(value: float | None) -> str:
    """A duration in the unit that fits.

    >>> seconds(0.00042), seconds(0.0317), seconds(2.5), seconds(400), seconds(8_000), seconds(200_000), seconds(None)
    ('0.42 ms', '32 ms', '2.5 s', '6.7 min', '2.2 h', '2.3 d', '-')
    """
    if value is None:
        return NONE
    steps = (
        (1.0, 1e3, "ms"),
        (120.0, 1.0, "s"),
        (7_200.0, 1 / 60, "min"),
        (172_800.0, 1 / 3_600, "h"),
    )
    found = [(factor, unit) for limit, factor, unit in steps if value < limit]
    factor, unit = found[0] if found else (1 / 86_400, "d")
    return f"{_two_digits(value * factor)} {unit}"


def _two_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def change(now: float | None, then: float | None) -> str:
    """How much more or less than before; a growth from nothing has no percentage.

    >>> change(12, 10), change(5, 10), change(3, 0), change(7, 7), change(1, None), change(2000, 1)
    ('+20%', '-50%', 'new', '=', '-', 'x2,000')
    >>> change(9_990, 10_000)
    '-0.1%'
    """
    if now is None or then is None:
        return NONE
    if now == then:
        return "="
    if not then:
        return "new"
    if now / then >= 10:
        return f"x{now / then:,.0f}"
    percent = 100 * (now / then - 1)
    return f"{percent:+.0f}%" if abs(percent) >= 1 else f"{percent:+.2g}%"


def of(part: int, whole: int) -> float | None:
    """A share; None of nothing."""
    return part / whole if whole else None


def decimal(amount: str | None, currency: str) -> str:
    """An amount that is decimal text, with thousands set apart and its currency.

    >>> decimal("1234567.80", "CNY"), decimal("-5", "JPY"), decimal(None, "CNY")
    ('1,234,567.80 CNY', '-5 JPY', '-')
    """
    if amount is None:
        return NONE
    whole, point, part = amount.removeprefix("-").partition(".")
    sign = "-" if amount.startswith("-") else ""
    return f"{sign}{int(whole):,}{point}{part} {currency}".rstrip()
