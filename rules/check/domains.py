"""Sets of values that a part of a condition can have: unions of intervals of numbers, and sets of words.

Both know how to meet, to complement and whether they are empty. A value that is missing is in no set; `Facts` of
rules/check/logic.py hold that apart.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Interval = tuple[float, bool, float, bool]  # low, low belongs to it, high, high belongs to it


@dataclass(frozen=True, slots=True)
class Numbers:
    """A union of intervals: disjoint, not empty, in rising order. `inf` never belongs to one."""

    parts: tuple[Interval, ...]

    @property
    def is_empty(self) -> bool:
        return not self.parts

    @property
    def low(self) -> float:
        """The greatest lower bound; not to be asked of the empty set."""
        return self.parts[0][0]

    @property
    def high(self) -> float:
        return self.parts[-1][2]

    def meet(self, other: "Numbers") -> "Numbers":
        """The numbers in both.

        >>> between(0, 5).meet(beyond(3, closed=False)) == Numbers(((3, False, 5, True),))
        True
        """
        found = []
        for low, at_low, high, at_high in self.parts:
            for low_, at_low_, high_, at_high_ in other.parts:
                a = max((low, not at_low), (low_, not at_low_))
                b = min((high, at_high), (high_, at_high_))
                if a[0] < b[0] or (a[0] == b[0] and not a[1] and b[1]):
                    found.append((a[0], not a[1], b[0], b[1]))
        return Numbers(tuple(found))

    def complement(self) -> "Numbers":
        """The numbers that are not in it."""
        found: list[Interval] = []
        at: tuple[float, bool] = (-math.inf, False)
        for low, at_low, high, at_high in self.parts:
            if at[0] < low or (at[0] == low and at[1] and not at_low):
                found.append((at[0], at[1], low, not at_low))
            at = (high, not at_high)
        if at[0] < math.inf:
            found.append((at[0], at[1], math.inf, False))
        return Numbers(tuple(found))

    def whole(self) -> "Numbers":
        """The same for a value that is a whole number: above 4 is from 5 on."""
        found = []
        for low, at_low, high, at_high in self.parts:
            a, b = low, high
            if math.isfinite(low):
                a = math.ceil(low) if at_low or low != math.floor(low) else low + 1
            if math.isfinite(high):
                b = math.floor(high) if at_high or high != math.floor(high) else high - 1
            if a <= b:
                found.append((float(a), math.isfinite(a), float(b), math.isfinite(b)))
        return Numbers(tuple(found))


@dataclass(frozen=True, slots=True)
class Words:
    """A set of words, or (`inside` false) all words but these."""

    words: frozenset[str]
    inside: bool = True

    @property
    def is_empty(self) -> bool:
        return self.inside and not self.words

    def meet(self, other: "Words") -> "Words":
        if self.inside and other.inside:
            return Words(self.words & other.words)
        if self.inside:
            return Words(self.words - other.words)
        if other.inside:
            return Words(other.words - self.words)
        return Words(self.words | other.words, inside=False)

    def complement(self) -> "Words":
        return Words(self.words, not self.inside)


Values = Numbers | Words

ANY_NUMBER: Final = Numbers(((-math.inf, False, math.inf, False),))
ANY_WORD: Final = Words(frozenset(), inside=False)
NOT_NEGATIVE: Final = Numbers(((0.0, True, math.inf, False),))


def point(value: float) -> Numbers:
    return Numbers(((value, True, value, True),))


def points(values: Iterable[float]) -> Numbers:
    return Numbers(tuple((v, True, v, True) for v in sorted(set(values))))


def beyond(low: float, *, closed: bool) -> Numbers:
    return Numbers(((low, closed, math.inf, False),))


def below(high: float, *, closed: bool) -> Numbers:
    return Numbers(((-math.inf, False, high, closed),))


def between(low: float, high: float) -> Numbers:
    """From `low` to `high`, both included; empty when they are in the wrong order."""
    return Numbers(((low, True, high, True),)) if low <= high else Numbers(())


def compared(op: str, value: float) -> Numbers:
    """The numbers x for which `x op value` is true."""
    if op == "==":
        return point(value)
    if op == "!=":
        return point(value).complement()
    if op in ("<", "<="):
        return below(value, closed=op == "<=")
    return beyond(value, closed=op == ">=")


def meet(a: Values, b: Values) -> Values:
    """The values in both; of sets of two kinds, which a typed tree never compares, the first."""
    if isinstance(a, Numbers):
        return a.meet(b) if isinstance(b, Numbers) else a
    return a.meet(b) if isinstance(b, Words) else a
