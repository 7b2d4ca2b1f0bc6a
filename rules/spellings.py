"""What people write in place of numbers, times and signs of the rule language, and what they mean by it."""

import re
from typing import Final

_UNITS: Final = {
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("week", "weeks"), "w"),
}
_TIMES: Final = {"k": 1_000, "thousand": 1_000, "million": 1_000_000, "mio": 1_000_000}
_PERCENT: Final = frozenset({"percent", "pct", "prozent"})
CURRENCIES: Final = {"RMB": "CNY", "YUA": "CNY", "STG": "GBP", "DOL": "USD"}
COMPARED: Final = {
    ("at", "least"): ">=",
    ("at", "most"): "<=",
    ("more", "than"): ">",
    ("greater", "than"): ">",
    ("less", "than"): "<",
    ("fewer", "than"): "<",
    ("equal", "to"): "==",
}
SIGNS: Final = {
    **dict.fromkeys("\u00a5\uffe5\u20ac\u00a3", "write the currency behind the amount: 5_000 CNY"),
    "\u4e07": "write the zeros: 50_000",
    "\uff1e": "write >",
    "\uff1c": "write <",
    "\uff1d": "write ==",
    "\uff0c": "write , between values, and between conditions",
    "\uff08": "write (",
    "\uff09": "write )",
    "\u4e14": "write and",
    "\u6216": "write or",
    "\u975e": "write not",
}


def counted(number: str, word: str) -> tuple[str, str]:
    """Say what a number and the word behind it mean: what is wrong, what to write; "" and "" when that is unknown.

    >>> counted("15", "min"), counted("5", "k")
    (('a duration is a number with a short unit', 'write 15m'), ('a number is written out', 'write 5_000'))
    """
    low = word.lower()
    if low in _UNITS:
        return "a duration is a number with a short unit", f"write {number}{_UNITS[low]}"
    if low in ("month", "months"):
        hint = f"write days: {_days(number, 30)}d; or over calendar month"
        return "a month has no fixed length", hint
    if low in ("year", "years"):
        hint = f'write days: {_days(number, 365)}d; of a date: age(x, "years") > {number}'
        return "a year has no fixed length", hint
    if low in _PERCENT:
        return "a percentage is written with its sign", f"write {number}%"
    if low in _TIMES:
        return "a number is written out", f"write {_product(number, _TIMES[low])}"
    return "", ""


def _product(number: str, times: int) -> str:
    value = float(number.replace("_", "")) * times
    return f"{value:_.0f}" if value == int(value) else f"{value}"


def _days(number: str, each: int) -> int:
    return round(float(number.replace("_", "")) * each)


def clock(text: str) -> str:
    """Return the time of day that `10pm`, `9:30 am` or `22.30` means, "" when there is none.

    >>> clock("10pm"), clock("12:15 am"), clock("22.30"), clock("25.30")
    ('22:00', '00:15', '22:30', '')
    """
    match = re.fullmatch(r"([0-9]{1,2})(?:[:.]([0-9]{2}))?\s*([ap]m)?", text.lower())
    if match is None:
        return ""
    hour, minute = int(match[1]), int(match[2] or 0)
    if match[3]:
        if not 1 <= hour <= 12:
            return ""
        hour = hour % 12 + (12 if match[3] == "pm" else 0)
    return f"{hour:02d}:{minute:02d}" if hour < 24 and minute < 60 else ""
