"""What an amount is worth in another currency, by whole numbers and long division only.

A table is a list of (day, {currency: decimal text}); `at` is a datetime in UTC.
"""

import datetime as dt

EXPONENTS = {"CNY": 2, "USD": 2, "EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}


def in_force(table, currency, at, *, offset_hours, valid_days):
    """The decimal text of a currency's newest rate, if it is not older than `valid_days`."""
    newest = None
    for day, prices in table:
        start = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
        start -= dt.timedelta(hours=offset_hours)
        if currency in prices and start <= at and (newest is None or start > newest[0]):
            newest = (start, prices[currency])
    if newest is None or at >= newest[0] + dt.timedelta(days=valid_days):
        return None
    return newest[1]


def parts(text):
    """A decimal as whole number over a power of ten."""
    whole, _, decimals = text.partition(".")
    return int(whole + decimals), 10 ** len(decimals)


def rounded(over, under):
    """over / under to the nearest whole number, halves to the even one; long division on the size, then the sign."""
    whole, rest = abs(over) // under, abs(over) % under
    if 2 * rest > under or (2 * rest == under and whole % 2 == 1):
        whole += 1
    return -whole if over < 0 else whole


def converted(table, base, minor, source, target, at, *, offset_hours=0, valid_days=35):
    """Minor units of `target`, or None where a rate is missing."""
    if source == target:
        return minor
    prices = []
    for currency in (source, target):
        text = "1"
        if currency != base:
            text = in_force(table, currency, at, offset_hours=offset_hours, valid_days=valid_days)
        if text is None:
            return None
        prices.append(parts(text))
    (over, over_scale), (under, under_scale) = prices
    numerator = minor * over * under_scale * 10 ** EXPONENTS[target]
    return rounded(numerator, under * over_scale * 10 ** EXPONENTS[source])
