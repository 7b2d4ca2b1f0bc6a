"""Money is an integer in the smallest unit of its currency; this module says how small, and reads and writes it.

Rates and conversion are not here: they are part of a configuration, with a date and a version.
"""

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from config.errors import ConfigError

MINOR_MAX: Final = (
    1 << 53
)  # a float64 column holds every integer up to here, and sums of them stay exact

_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN"
    " BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP"
    " GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT"
    " LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN"
    " NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE"
    " SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES"
    " WST XAD XCD XCG YER ZAR ZMW ZWG"
)
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"

EXPONENTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        code: digits
        for digits, codes in ((0, _ZERO), (2, _TWO), (3, _THREE), (4, _FOUR))
        for code in codes.split()
    }
)


def exponent(currency: str) -> int:
    """How many decimal digits the minor unit of an ISO 4217 `currency` has; `ConfigError` if unknown."""
    digits = EXPONENTS.get(currency)
    if digits is None:
        close = difflib.get_close_matches(currency.upper(), EXPONENTS, n=1, cutoff=0.6)
        raise ConfigError(
            f"unknown currency `{currency}`",
            why="the minor unit of an amount follows from its ISO 4217 code, three capital letters",
            fix=f"did you mean `{close[0]}`?" if close else "write an ISO 4217 code, such as `EUR`",
        )
    return digits


def minor_units(value: str | float, digits: int, *, signed: bool = False) -> int:
    """Exact minor units of a string of plain digits, or of a number through its shortest decimal.

    `ValueError`, with a reason that fits after "was ...: ", for anything else: signs (unless `signed`), exponents,
    blanks, more decimals than the currency has, more than 2**53 units.

    >>> minor_units("19.90", 2), minor_units(0.1, 2), minor_units("7.000", 0)
    (1990, 10, 7)
    """
    text = value if isinstance(value, str) else repr(value)
    negative = signed and text.startswith("-")
    whole, point, part = text[negative:].partition(".")
    plain = (
        whole.isascii() and whole.isdigit() and ((part.isascii() and part.isdigit()) or not point)
    )
    if not plain or isinstance(value, bool):
        raise ValueError(
            "an amount is plain digits, with a point before the decimals if there are any"
        )
    kept = part.rstrip("0")
    if len(kept) > digits:
        raise ValueError(f"the currency has {digits} decimals")
    if len(whole.lstrip("0")) + digits > 17:  # before int(): a megabyte of digits costs seconds
        raise ValueError("more than 2**53 minor units")
    units = int(whole + kept + "0" * (digits - len(kept)))
    if units > MINOR_MAX:
        raise ValueError("more than 2**53 minor units")
    return -units if negative else units


def major_text(minor: int, digits: int) -> str:
    """`minor` units as decimal text in major units, all decimals shown.

    >>> major_text(1990, 2), major_text(-5, 3), major_text(7, 0)
    ('19.90', '-0.005', '7')
    """
    if digits == 0:
        return str(minor)
    whole, part = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole}.{part:0{digits}d}"
