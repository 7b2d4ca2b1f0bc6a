"""Where a name stands in the two planes of columns that kernels read: numbers and codes.

`number` is (c, n) float64 with NaN for missing: money in minor units, durations and times in microseconds, flags as
0 and 1. `code` is (k, n) int32 with -1 for missing: ids, categories and texts through a dictionary. Rows of the
planes are columns of the batch, so that a column is contiguous.
"""

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.schema import RATING
from rules.tree import Type

F8: TypeAlias = NDArray[np.float64]
I4: TypeAlias = NDArray[np.int32]


_CONVERTED: Final = re.compile(r'convert\(([a-z0-9_.]+), "([A-Z]{3})"\)')


def converted(field: str, currency: str) -> str:
    """Name the column that holds a field of money in another currency: as a rule asks for it.

    >>> converted("amount", "USD"), conversion('convert(amount, "USD")'), conversion("amount")
    ('convert(amount, "USD")', ('amount', 'USD'), None)
    """
    return f'convert({field}, "{currency}")'


def is_given(name: str) -> bool:
    """Whether the engine itself gives a column, when rules are asked: what models say, and the customer's rating.

    >>> is_given("model.score"), is_given("customer.rating"), is_given("customer.segment")
    (True, True, False)
    """
    return name == RATING or name.startswith("model.")


def conversion(name: str) -> tuple[str, str] | None:
    """Return field and currency of a column that `converted` has named, None for any other."""
    found = _CONVERTED.fullmatch(name)
    return (found[1], found[2]) if found else None


@dataclass(frozen=True, slots=True)
class Place:
    """A column: which plane, which row of it, its type, and for codes the dictionary that explains them."""

    is_code: bool
    row: int
    type: Type
    dictionary: str = ""


@dataclass(slots=True)
class Layout:
    """Every column a configuration needs, each with its place; grows while a configuration is compiled."""

    places: dict[str, Place] = field(default_factory=dict)
    n_number: int = 0
    n_code: int = 0

    def add(self, name: str, type_: Type, dictionary: str = "") -> Place:
        """Give `name` a place, or return the one it has (asserted to be of the same type)."""
        known = self.places.get(name)
        if known is not None:
            assert known.type == type_, (name, known.type, type_)
            return known
        if type_.is_coded:
            place = Place(True, self.n_code, type_, dictionary or type_.detail or name)
            self.n_code += 1
        else:
            place = Place(False, self.n_number, type_)
            self.n_number += 1
        self.places[name] = place
        return place

    def __getitem__(self, name: str) -> Place:
        return self.places[name]

    def __contains__(self, name: str) -> bool:
        return name in self.places


@dataclass(slots=True)
class Frame:
    """The columns of one batch of `n` rows, laid out by `layout`; everything missing at first."""

    layout: Layout
    n: int
    number: F8
    code: I4

    def __post_init__(self) -> None:
        # The interpreter takes it for granted; looking at each call would cost it a tenth of its time for one row.
        assert self.number.flags.c_contiguous
        assert self.code.flags.c_contiguous

    @classmethod
    def empty(cls, layout: Layout, n: int) -> "Frame":
        number = np.empty((max(layout.n_number, 1), n))
        code = np.empty((max(layout.n_code, 1), n), np.int32)
        number.fill(np.nan)  # np.full took twice as long for a few rows
        code.fill(-1)
        return cls(layout, n, number, code)

    def column(self, name: str) -> F8 | I4:
        """The (n,) column `name`, a view that may be written."""
        place = self.layout[name]
        if place.is_code:
            codes: I4 = self.code[place.row]
            return codes
        numbers: F8 = self.number[place.row]
        return numbers
