"""Exchange rates: a dated table of prices in one base currency, and exact conversion of minor units by it.

    table = rates.read(Path("config/bank/rates.yaml"))
    table.converted(minor, "USD", "CNY", time_us)      a column of amounts, each at the rate of its own time

A rate holds from the midnight of its day (in the zone of the table) until the table has a newer one of that currency,
and at most `valid_for` long: a table that nobody keeps up runs out, it does not go stale in silence. A rate is a
decimal and stays one: an amount is multiplied and divided exactly, through the base where neither currency is the base,
and rounded once, half to even. Not here: which amounts are converted, and when (engine/decoding/checker.py,
engine/money.py).
"""

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from config import marks
from config.durations import duration_us
from config.errors import ConfigError
from config.money import EXPONENTS, MINOR_MAX, exponent
from config.schema import near

I8: TypeAlias = NDArray[np.int64]
B1: TypeAlias = NDArray[np.bool_]

VALID_FOR: Final = "35d"  # a monthly table may be four days late
VALID_BOUNDS: Final = ("1d", "3650d")
_KEYS: Final = ("rates", "version", "source", "base", "timezone", "valid_for", "entries")
_ALWAYS_US: Final = -(1 << 62)
_SURE: Final = 1 << 62  # products below it fit an int64
_RATE: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one day's line of a table says: from `from_us` on (microseconds UTC), units of the base for one of each."""

    from_us: int
    price: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """A table of rates.

    base      : the currency that prices are in; one of it costs one of it at all times
    currencies: all that the table knows at some time, `base` among them
    Between two of `_starts_us` nothing changes: there `_prices` holds what is valid, currency -> units of the base.
    """

    name: str
    version: str
    source: str
    base: str
    currencies: frozenset[str]
    _starts_us: I8
    _prices: tuple[Mapping[str, Fraction], ...]
    _factors: dict[tuple[int, str, str], Fraction | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        base: str,
        entries: Sequence[Entry],
        *,
        name: str = "",
        version: str = "",
        source: str = "",
        valid_for_us: int | None = None,
    ) -> "Rates":
        """Make a table of entries in any order; `valid_for_us` None: a rate holds until the next one, however long."""
        entries = sorted(entries, key=lambda entry: entry.from_us)
        changes = {entry.from_us for entry in entries} | {_ALWAYS_US}
        if valid_for_us is not None:
            changes |= {entry.from_us + valid_for_us for entry in entries}
        starts = sorted(changes)
        until_us = math.inf if valid_for_us is None else valid_for_us
        newest: dict[str, tuple[int, Fraction]] = {}  # of each currency: from when, and the price
        prices, waiting = [], list(reversed(entries))
        for start in starts:
            while waiting and waiting[-1].from_us <= start:
                entry = waiting.pop()
                newest |= {name: (entry.from_us, price) for name, price in entry.price.items()}
            valid = {
                name: price
                for name, (from_us, price) in newest.items()
                if start - from_us < until_us
            }
            prices.append(MappingProxyType({**valid, base: Fraction(1)}))
        known = frozenset({base}.union(*(entry.price for entry in entries)))
        return cls(name, version, source, base, known, np.array(starts, np.int64), tuple(prices))

    @classmethod
    def constant(cls, base: str, price: Mapping[str, Fraction]) -> "Rates":
        """Make a table whose rates never change; for tests."""
        return cls.of(base, [Entry(_ALWAYS_US, price)])

    def rate(self, currency: str, at_us: int) -> Fraction | None:
        """Units of the base for one unit of `currency` at a time; None where no rate is valid."""
        return self._prices[self._segment(at_us)].get(currency)

    def convert(self, minor: int, source: str, target: str, at_us: int) -> int | None:
        """Minor units of `target` for `minor` units of `source`; None without a rate.

        This is the definition: exact, then rounded once, half to even. The same currency needs no rate.

        >>> table = Rates.constant("CNY", {"USD": Fraction("7.25"), "JPY": Fraction("0.05")})
        >>> table.convert(100, "USD", "CNY", 0), table.convert(100, "USD", "JPY", 0)
        (725, 145)
        """
        factor = self._factor(self._segment(at_us), source, target)
        return None if factor is None else round(minor * factor)

    def converted(self, minor: I8, source: str, target: str, time_us: I8) -> tuple[I8, B1, B1]:
        """Convert a column, each amount at the rate of its own time.

        minor   : (n,) int64  minor units of `source`, at most 2**53 either way
        time_us : (n,) int64  microseconds UTC

        Returns (amount, is_known, is_large): (n,) int64 minor units of `target`, 0 where there is none; (n,) bool
        whether a rate is valid; (n,) bool whether the result has more than 2**53 units, so that it cannot be kept.
        """
        n = len(minor)
        is_large = np.zeros(n, np.bool_)
        if source == target:
            return minor, np.ones(n, np.bool_), is_large
        out, is_known = np.zeros(n, np.int64), np.zeros(n, np.bool_)
        segments = np.searchsorted(self._starts_us, time_us, side="right") - 1
        for segment in np.unique(segments).tolist():
            factor = self._factor(segment, source, target)
            if factor is None:
                continue
            at = segments == segment
            amounts, large = _times(minor[at], factor)
            out[at], is_large[at], is_known[at] = amounts, large, True
        return out, is_known, is_large

    def factors(self, source: str, target: str) -> tuple[I8, I8, I8]:
        """What minor units of `source` are multiplied with to be such of `target`, over time.

        Returns (from when, microseconds UTC, ascending; numerator, 0 without a rate, -1 where one of the two is too
        large to multiply with; denominator), (s,) int64 each.
        """
        over, under = np.zeros(len(self._prices), np.int64), np.ones(len(self._prices), np.int64)
        for segment in range(len(self._prices)):
            factor = self._factor(segment, source, target)
            if factor is not None:
                fits = factor.numerator < _SURE and 2 * factor.denominator < _SURE
                over[segment] = factor.numerator if fits else -1
                under[segment] = factor.denominator if fits else 1
        return self._starts_us, over, under

    def _segment(self, at_us: int) -> int:
        return int(np.searchsorted(self._starts_us, at_us, side="right")) - 1

    def _factor(self, segment: int, source: str, target: str) -> Fraction | None:
        """What minor units of `source` are multiplied with; None where one of the two has no rate."""
        if source == target:
            return Fraction(1)
        key = (segment, source, target)
        if key not in self._factors:
            price, wanted = (self._prices[segment].get(name) for name in (source, target))
            factor = None
            if price is not None and wanted is not None:
                digits = exponent(target) - exponent(source)
                factor = price / wanted * Fraction(10) ** digits
            self._factors[key] = factor
        return self._factors[key]


def _times(minor: I8, factor: Fraction) -> tuple[I8, B1]:
    """Products rounded half to even, and which of them are too large (0 there)."""
    over, under = factor.numerator, factor.denominator
    peak = int(np.abs(minor).max(initial=0))
    if peak * over < _SURE and 2 * under < _SURE:
        whole, rest = np.divmod(minor * over, under)
        twice = 2 * rest
        whole += (twice > under) | ((twice == under) & (whole % 2 == 1))
        is_large = np.abs(whole) > MINOR_MAX
        return np.where(is_large, 0, whole), is_large
    exact = [round(amount * factor) for amount in minor.tolist()]
    large = np.array([abs(amount) > MINOR_MAX for amount in exact], np.bool_)
    kept = [0 if too else amount for amount, too in zip(exact, large.tolist(), strict=True)]
    return np.array(kept, np.int64), large


# ---------------------------------------------------------------- the file


def read(path: Path, shown: str = "") -> Rates:
    """Read a table of rates; raise ConfigError with file, line and column at the first thing that is wrong."""
    return build(marks.read(path, shown))


def build(root: marks.MapNode) -> Rates:
    """Check a table that was read and put it together."""
    for key in root.keys.values():
        if key.value not in _KEYS:
            raise ConfigError(f"unknown key `{key.value}`", key.place(), fix=near(key.value, _KEYS))
    for name in ("rates", "version", "source", "base", "entries"):
        if name not in root:
            raise ConfigError(
                f"`{name}` is missing",
                root.place(),
                why="an amount that was converted is only as good as the rates, and decisions outlive them",
                fix=f"add `{name}:`",
            )
    texts = {k: marks.convert(root[k], str) for k in ("rates", "version", "source")}
    base = _currency(root["base"])
    valid_for_us = _valid_for_us(root)
    zone = _zone(root.get("timezone"))
    entries: list[Entry] = []
    lines = root["entries"]
    if not isinstance(lines, marks.ListNode) or not len(lines):
        raise ConfigError(
            "`entries` is a list of days with their rates",
            lines.place(),
            fix="write a line such as `- {from: 2026-01-01, USD: 6.99}`",
        )
    for node in lines:
        entry = _entry(node, base, zone)
        if entries and entry.from_us <= entries[-1].from_us:
            raise ConfigError(
                "the day of this entry does not follow the one before it",
                _day_node(node).place(),
                why="of two rates for one day only one can be right",
                fix="sort the entries by `from`, one for each day",
            )
        entries.append(entry)
    return Rates.of(
        base,
        entries,
        name=texts["rates"],
        version=texts["version"],
        source=" ".join(texts["source"].split()),
        valid_for_us=valid_for_us,
    )


def prices(items: Iterable[tuple[marks.TextNode, marks.Node]], base: str) -> dict[str, Fraction]:
    """Read `CURRENCY: decimal` pairs, each the price of one unit in `base`; ConfigError at what is none."""
    found: dict[str, Fraction] = {}
    for key, node in items:
        currency = _currency(key)
        if currency == base:
            raise ConfigError(
                f"`{currency}` has a rate in itself",
                key.place(),
                why=f"rates are prices in `{base}`",
                fix="take it out",
            )
        text = node.value if isinstance(node, marks.TextNode) else ""
        price = Fraction(text) if _RATE.fullmatch(text) else Fraction(0)
        if price == 0:
            raise ConfigError(
                f"the rate of `{currency}` must be a decimal above zero, was {text or 'no text'}",
                node.place(),
                why="rates are kept exactly as they are written, up to 12 digits on each side of the point",
                fix=f"write what one {currency} costs in {base}, such as 6.9903",
            )
        found[currency] = price
    return found


def _entry(node: marks.Node, base: str, zone: ZoneInfo) -> Entry:
    day = _day_node(node)
    text = day.value if isinstance(day, marks.TextNode) else ""
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        date = None
    if date is None or date.isoformat() != text or not 1970 <= date.year < 2200:
        raise ConfigError(
            f"`from` must be a day of the years 1970 to 2199, was {text or 'no text'}",
            day.place(),
            fix="write it like 2026-03-02",
        )
    start = dt.datetime(date.year, date.month, date.day, tzinfo=zone).astimezone(dt.UTC)
    assert isinstance(node, marks.MapNode), "it has a `from`"
    pairs = [(key, value) for key, value in node.items() if key.value != "from"]
    if not pairs:
        raise ConfigError("the entry has no rates", node.place(), fix="add some, such as USD: 6.99")
    return Entry((start - _EPOCH) // dt.timedelta(microseconds=1), prices(pairs, base))


def _day_node(node: marks.Node) -> marks.Node:
    if not isinstance(node, marks.MapNode) or "from" not in node:
        raise ConfigError(
            "an entry is a day and its rates",
            node.place(),
            fix="write it like `- {from: 2026-01-01, USD: 6.99}`",
        )
    return node["from"]


def _currency(node: marks.Node) -> str:
    code = node.value if isinstance(node, marks.TextNode) else ""
    if code not in EXPONENTS:
        try:
            exponent(code)
        except ConfigError as error:
            raise ConfigError(error.what, node.place(), error.why, error.fix) from None
    return code


def _valid_for_us(root: marks.MapNode) -> int:
    node = root.get("valid_for")
    if node is None:
        return duration_us(VALID_FOR)
    text = marks.convert(node, str)
    low, high = VALID_BOUNDS
    try:
        value_us = duration_us(text)
    except ConfigError as error:
        raise ConfigError(
            f"`valid_for` must be a duration, was {text}", node.place(), error.why, error.fix
        ) from None
    if not duration_us(low) <= value_us <= duration_us(high):
        raise ConfigError(
            f"`valid_for` must lie in [{low}, {high}], was {text}",
            node.place(),
            why="it is how long the newest rate of a currency goes on when nobody adds another",
            fix="make it a little longer than the table's usual step",
        )
    return value_us


def _zone(node: marks.Node | None) -> ZoneInfo:
    if node is None:
        return ZoneInfo("UTC")
    text = marks.convert(node, str)
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            f"`{text}` is not a time zone", node.place(), fix="write one such as Asia/Shanghai"
        ) from None
