"""How values read inside an alert's title: `450.00 EUR`, `2d 4h`, `95%`, `missing`.

For people only: nothing computes with these texts. Which value stands in which hole is the rule set's business.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from config.money import exponent, major_text
from rules.calendar import zone
from rules.tree import BOOL, DATE, DURATION, FLAG, MONEY, TIME, TIME_OF_DAY, Type

MISSING: Final = "missing"
_UNITS: Final = (
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def shown_text(text: str, form: str) -> str:
    """Show a text; `last4` keeps its end only.

    >>> shown_text("4929123412341234", "last4")
    '1234'
    """
    return text[-4:] if form == "last4" else text


def shown_number(value: float, kind: Type, form: str, timezone: str) -> str:
    """Show a number of the frame as what it is; `form` is "", round, percent or last4.

    >>> shown_number(45_000.0, Type(MONEY, "EUR"), "", "UTC")
    '450.00 EUR'
    >>> shown_number(0.95312, Type("number"), "percent", "UTC")
    '95.3%'
    >>> shown_number(float("nan"), Type(TIME), "", "UTC")
    'missing'
    """
    if value != value:  # noqa: PLR0124 - the shortest test for NaN
        return MISSING
    text = _shown(value, kind, form, timezone)
    return text[-4:] if form == "last4" else text


def _shown(value: float, kind: Type, form: str, timezone: str) -> str:
    if form == "percent":
        return f"{_short(value * 100.0, 1)}%"
    if kind.kind == MONEY:
        digits = exponent(kind.detail)
        if form == "round":
            return f"{round(value / 10**digits)} {kind.detail}"
        return f"{major_text(round(value), digits)} {kind.detail}"
    if kind.kind == DURATION:
        return _duration(value, 1 if form == "round" else 2)
    if kind.kind == TIME:
        return (_EPOCH + timedelta(microseconds=round(value))).strftime("%Y-%m-%dT%H:%M:%SZ")
    if kind.kind == DATE:
        at = _EPOCH + timedelta(microseconds=round(value))
        return at.astimezone(zone(kind.detail or timezone)).date().isoformat()
    if kind.kind == TIME_OF_DAY:
        minutes = int(value) // 60_000_000
        return f"{minutes // 60:02d}:{minutes % 60:02d}"
    if kind.kind in (FLAG, BOOL):
        return "true" if value else "false"
    return str(round(value)) if form == "round" else _short(value, 4)


def _short(value: float, digits: int) -> str:
    """A number without needless digits: whole ones exactly, others to `digits` decimals or figures."""
    if abs(value) >= 1e15:
        return f"{value:.3g}"
    if value == int(value):
        return str(int(value))
    text = f"{value:.{digits}f}" if abs(value) >= 1.0 else f"{value:.{max(digits, 2)}g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _duration(value: float, parts: int) -> str:
    rest = abs(round(value))
    out: list[str] = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count and (unit != "ms" or not out):
            out.append(f"{count}{unit}")
        elif out:  # 2d 0h 5m reads as 2d
            break
    return ("-" if value < 0 else "") + (" ".join(out[:parts]) or "0s")
