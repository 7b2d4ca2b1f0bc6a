"""The typed expression tree: what the checker hands to the compiler, the oracle and the printers.

Names are resolved, macros, params and lets are put in place, every node has a type. No text is parsed here and
nothing is evaluated.

    op                           args          value
    const                        -             float (numbers, money in minor units, durations in us, times in us since
                                               1970, time of day in us since midnight), bool or str
    column                       -             its name: field, attribute ("account.opened_on"), feature, "model.score"
    and, or                      two or more
    not                          x
    == != < <= > >=              x, y          both numeric, or (== and != only) of one dictionary, or code and const
    in                           x             frozenset of str or of float, or a list's name as "@name"
    between                      x, low, high  both bounds belong to it; time of day wraps midnight
    missing                      x             true where x is missing; "is present" is not(missing)
    + - * /                      x, y
    neg                          x
    ??                           x, y
    if                           c, x, y
    contains, starts with,
    ends with, matches           x             the constant text
    call                         the args      function name, see rules/functions.py
    lookup                       key           table name
    at_least                     the args      how many must be true
    row                          x             "list.column", in templates only: what stands in that column of the row
                                               that holds for x at the time of the event
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

BOOL: Final = "bool"
NUMBER: Final = "number"
MONEY: Final = "money"
DURATION: Final = "duration"
TIME: Final = "time"
TIME_OF_DAY: Final = "time of day"
DATE: Final = "date"
TEXT: Final = "text"
CATEGORY: Final = "category"
ID: Final = "id"
FLAG: Final = "flag"
GEO: Final = "geo"
COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
CODED: Final = frozenset(
    {TEXT, CATEGORY, ID}
)  # live in the code plane; all others are float64 columns


@dataclass(frozen=True, slots=True)
class Type:
    """What a value is: `kind` is one of the constants above.

    `detail` is the currency of money, the domain of an id, the dictionary of a category or text (empty for
    constants), the calendar zone of a date; empty for the others. Two ids compare only inside one domain.
    """

    kind: str
    detail: str = ""

    @property
    def is_coded(self) -> bool:
        return self.kind in CODED

    def __str__(self) -> str:
        return f"{self.kind} of {self.detail}" if self.detail else self.kind


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of characters in one expression's text."""

    start: int
    end: int


Value = float | bool | str | int | frozenset[str] | frozenset[float] | None


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of an expression; see the table at the top of this module. `span` never takes part in equality."""

    op: str
    type: Type
    args: tuple["Node", ...] = ()
    value: Value = None
    span: Span | None = field(default=None, compare=False)
    _hash: int | None = field(default=None, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        """Worked out once: what the checks know of a tree stands in dicts, and they ask for its parts over and over."""
        if self._hash is None:
            found = hash((self.op, self.type, self.args, self.value))
            object.__setattr__(self, "_hash", found)
            return found
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the hash: texts hash otherwise in every process."""
        return Node, (self.op, self.type, self.args, self.value, self.span)

    def walk(self) -> Iterator["Node"]:
        """Every node of the tree in the order of the text, this one first."""
        yield self
        for part in self.args:
            yield from part.walk()

    def columns(self) -> tuple[str, ...]:
        """Names of the columns read, each once, in the order of the text."""
        names = (str(n.value) for n in self.walk() if n.op == "column")
        return tuple(dict.fromkeys(names))
