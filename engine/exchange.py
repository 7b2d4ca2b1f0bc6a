"""Money in several currencies, where it takes more than one message: updates, and columns in another currency.

Decode converts the amounts of transactions and activities to the books' currency at the rate of their time. The money
of an update is in the currency of its transaction unless it names its own, and converted at the rate of the time of
that transaction; both are known here only. `convert(amount, "USD")` of a rule is a column that stands here too: what
the message says, in its own currency, goes to the other in one step, with one rounding. Not here: the rates and how
they are applied (config/rates.py).
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.money import MINOR_MAX, exponent
from config.rates import Rates
from config.schema import Schema
from engine.admission import Admitted
from engine.batch import UPDATE, Batch
from engine.kernels.exchanging import exchange
from engine.remembered import Remembered
from rules.columns import Layout
from rules.tree import MONEY

F8: TypeAlias = NDArray[np.float64]
I8: TypeAlias = NDArray[np.int64]
Conversions: TypeAlias = Mapping[str, tuple[str, str]]

_LETTERS = 26


class Exchange:
    """Converts money between currencies, for one configuration.

    books       : the currency of the packs
    rates       : None: only the books' own currency is known
    conversions : columns to fill, name -> (column of money, currency)
    """

    def __init__(
        self,
        schema: Schema,
        layout: Layout,
        books: str,
        rates: Rates | None,
        conversions: Conversions,
    ) -> None:
        self._books, self._layout = books, layout
        self._rates = rates or Rates.constant(books, {})
        self._conversions = conversions
        self._factors: dict[str, tuple[I8, I8, I8]] = {}  # of each target, once it is asked for
        columns = schema.columns.values()
        self._keys = [c.key for c in columns if c.kind == MONEY and not c.in_books]
        self._placed = [(key, layout[key].row) for key in self._keys if key in layout]
        self._money = np.array(
            [place.row for place in layout.places.values() if place.type.kind == MONEY], np.int64
        )
        self._unknown: list[
            tuple[int, int]
        ] = []  # cells that an update leaves missing, whatever was there

    def convert_updates(self, batch: Batch, admitted: Admitted, memory: Remembered) -> None:
        """Put the money of updates in other currencies into the frame; missing where there is no rate."""
        self._unknown.clear()
        updates = _updates(batch, admitted)
        if not len(updates):
            return
        at = memory.rows(admitted.entry[updates])
        stored = memory.arrays["currency"][at].tolist()
        times = memory.arrays["time_us"][at].tolist()
        for row, kept, time_us in zip(updates.tolist(), stored, times, strict=True):
            source = int(admitted.linked_from[row])
            before = batch.currencies.get(source) if source >= 0 else _unpacked(kept)
            if before in (None, self._books) and batch.is_scanned(row):
                continue  # it names the books' currency or none, which is the same then
            record = batch.records[row]
            assert record is not None, "decode gives an update row its record"
            currency = record.currency
            if currency is None:  # then decode took the books' for granted
                currency = before
                if currency is not None:
                    self._read_again(batch, row, currency)
            if currency is not None and currency != self._books:
                batch.currencies[row] = currency
                self._convert_update(batch, row, currency, time_us)

    def _read_again(self, batch: Batch, row: int, currency: str) -> None:
        """Take the digits of the message for units of `currency`; an amount that has too many of them is missing."""
        record = batch.records[row]
        digits = exponent(currency) - exponent(self._books)
        for key in self._keys:
            value = getattr(record, key)
            if value is None:
                continue
            units, rest = divmod(value * 10 ** max(digits, 0), 10 ** max(-digits, 0))
            setattr(record, key, None if rest else units)
            if rest:
                for name in (key, *(n for n, (of, _) in self._conversions.items() if of == key)):
                    if name in self._layout:
                        self._leave_missing(batch, row, self._layout[name].row)

    def _convert_update(self, batch: Batch, row: int, currency: str, time_us: int) -> None:
        for key, place in self._placed:
            minor = getattr(batch.records[row], key)
            if minor is None:
                continue
            amount = self._rates.convert(minor, currency, self._books, time_us)
            if amount is None:
                batch.foreign[row] = True
            if amount is None or abs(amount) > MINOR_MAX:
                self._leave_missing(batch, row, place)
            else:
                batch.frame.number[place, row] = amount

    def _leave_missing(self, batch: Batch, row: int, place: int) -> None:
        """An update has changed this amount, and what it is now cannot be said: it is not what it was before."""
        batch.frame.number[place, row] = np.nan
        if batch.kind[row] == UPDATE:
            self._unknown.append((place, row))

    def fill(self, batch: Batch, admitted: Admitted, memory: Remembered) -> None:
        """Fill the columns of `convert`, once derived fields are there and before updates take over what they lack."""
        if not self._conversions:
            return
        times = batch.event_time_us
        updates = _updates(batch, admitted)
        if len(updates):
            times = times.copy()
            times[updates] = memory.arrays["time_us"][memory.rows(admitted.entry[updates])]
        for name, (field, target) in self._conversions.items():
            place = self._layout[name].row
            ours, out = batch.frame.number[self._layout[field].row], batch.frame.number[place]
            if target not in self._factors:
                self._factors[target] = self._rates.factors(self._books, target)
            pair = self._books, target
            fill_column(self._rates, pair, self._factors[target], ours, times, out)
            if field in self._keys:
                for row, currency in batch.currencies.items():
                    self._fill_one(batch, row, (field, currency, target), place, int(times[row]))

    def _fill_one(
        self, batch: Batch, row: int, how: tuple[str, str, str], place: int, time_us: int
    ) -> None:
        """Convert what the message of a row says straight from its own currency; `how`: field, from, to."""
        record, (field, currency, target) = batch.records[row], how
        minor = getattr(record, field) if record is not None else None
        if minor is None:
            return
        amount = self._rates.convert(minor, currency, target, time_us)
        if amount is not None and abs(amount) <= MINOR_MAX:
            batch.frame.number[place, row] = amount
        else:
            self._leave_missing(batch, row, place)

    def guard(self, batch: Batch) -> None:
        """Close the cells that updates leave missing, so that nothing is taken over into them; until `release`."""
        for place, row in self._unknown:
            batch.frame.number[place, row] = np.inf

    def release(self, batch: Batch, admitted: Admitted) -> None:
        """Make those cells missing again, and what later updates of the batch took over from them."""
        if self._unknown:
            rows = admitted.links
            cells = np.ix_(self._money, rows)
            values = batch.frame.number[cells]
            batch.frame.number[cells] = np.where(np.isinf(values), np.nan, values)

    def keep(self, batch: Batch, admitted: Admitted, memory: Remembered) -> None:
        """Keep the currencies of new transactions, and of those that an update has changed."""
        if not batch.currencies and not len(
            admitted.links
        ):  # none is what is kept of the new ones anyhow
            return
        currency = np.zeros(batch.n, np.int16)
        for row, name in batch.currencies.items():
            currency[row] = _packed(name)
        for rows in (admitted.new, _updates(batch, admitted)):
            memory.arrays["currency"][memory.rows(admitted.entry[rows])] = currency[rows]


def fill_column(
    rates: Rates, pair: tuple[str, str], factors: tuple[I8, I8, I8], ours: F8, times: I8, out: F8
) -> None:
    """Convert a column of money, each amount at the rate of its own time, with one rounding.

    pair    : the currency of `ours`, and the one wanted     factors : what `rates` says of the two at all times
    ours    : (n,) float64  minor units, NaN where there are none
    times   : (n,) int64    microseconds UTC
    out     : (n,) float64  written; NaN too without a rate, and beyond 2**53 units
    """
    left = np.empty(len(ours), np.int64)
    n_left = exchange(ours, times, *factors, out, left)
    for row in left[:n_left].tolist():  # products beyond 64 bits
        amount = rates.convert(int(ours[row]), *pair, int(times[row]))
        assert amount is not None, "only what has a rate is left"
        out[row] = amount if abs(amount) <= MINOR_MAX else np.nan


def _updates(batch: Batch, admitted: Admitted) -> I8:
    """Rows of updates, ascending."""
    links = admitted.links
    return links[batch.kind[links] == UPDATE] if len(links) else links


def _packed(currency: str | None) -> int:
    """Three letters as a number that fits an int16; 0 for none.

    >>> _unpacked(_packed("CNY")), _unpacked(_packed("ZZZ")), _unpacked(_packed(None))
    ('CNY', 'ZZZ', None)
    """
    number = 0
    for letter in currency or "":
        number = number * _LETTERS + ord(letter) - ord("A")
    return number + 1 if currency else 0


def _unpacked(number: int) -> str | None:
    if not number:
        return None
    rest, letters = number - 1, ""
    for _ in range(3):
        rest, letter = divmod(rest, _LETTERS)
        letters = chr(ord("A") + letter) + letters
    return letters
