"""What rules ask about texts, answered once per distinct text instead of once per event.

Ids, categories and texts reach the interpreter as dictionary codes. Every question about them - equal to a constant,
in a list, matches a pattern, its length, a row of a look-up table, its lower case - is a table over the codes of one
dictionary. `Tables` owns all tables of a rule set, next to its constants, in three flat arrays, and extends them when
a dictionary has grown. Nothing here knows expressions (rules/compile.py) or batches (rules/ruleset.py).
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.errors import ConfigError
from config.money import exponent, minor_units
from rules import patterns
from rules.definitions import ListDefinition
from rules.kernels import edit_distance
from rules.tree import MONEY

I1: TypeAlias = NDArray[np.int8]
I4: TypeAlias = NDArray[np.int32]
F8: TypeAlias = NDArray[np.float64]
Answer: TypeAlias = Callable[[str], int | float | str]
Asked: TypeAlias = str | float | frozenset[str] | tuple[Any, ...] | None

TEXT_MAX: Final = 256  # characters of a text that patterns and similarity look at
BATCH_LOCAL: Final = "text"  # the one dictionary that begins anew with every batch
OWN: Final = "(rules)"  # the dictionary of texts that only the rule set itself knows
_ROOM_MIN: Final = 64  # codes for which a new table has room


class DictionaryLike(Protocol):
    """A dictionary as rules see it: code k means `texts[k]`; texts are only ever added at the end.

    `code` gives the code of a text and adds it if it is new. `texts` stays the same object as long
    as codes keep their meaning.
    """

    @property
    def texts(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def code(self, text: str) -> int: ...


class _OwnDictionary:
    """Texts that stand in rules, or are made by rules, but in no field."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._codes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def code(self, text: str) -> int:
        code = self._codes.setdefault(text, len(self.texts))
        if code == len(self.texts):
            self.texts.append(text)
        return code


def _points(text: str) -> NDArray[np.uint32]:
    folded = text.casefold()[:TEXT_MAX]
    return np.frombuffer(bytearray(folded.encode("utf-32-le", "surrogatepass")), np.uint32)


@lru_cache(maxsize=1 << 16)
def similarity(a: str, b: str) -> float:
    """Return 1 - edits / length of the longer, case folded; texts are compared up to 256 characters.

    >>> similarity("Jon Smith", "john smith"), similarity("", "")
    (0.9, 1.0)
    """
    x, y = _points(a), _points(b)
    longer = max(len(x), len(y))
    return 1.0 - edit_distance(x, y) / longer if longer else 1.0


def in_rollout(rule_id: str, percent: float, key: str) -> bool:
    """Say whether a key belongs to a rollout; raising `percent` only ever adds keys."""
    digest = blake2b(f"{rule_id}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < percent / 100.0 * 2.0**64


def number_ranges(values: Iterable[str], of: ListDefinition) -> list[tuple[float, float]]:
    """Return the content of a list of numbers, each a range; `a-b` is one, inclusive; money in minor units."""
    digits = exponent(of.type.detail) if of.type.kind == MONEY and of.type.detail else 0
    found = []
    for value in sorted(values):
        low, dash, high = value.partition("-") if not value.startswith("-") else (value, "", "")
        try:
            ends = [_number(part, of.type.kind == MONEY, digits) for part in (low, high or low)]
        except ValueError:
            raise ConfigError(
                f"`{value}` in the list `{of.name}` is no number",
                str(of.place),
                why=f"the list is of type {of.type}",
                fix=f"remove it{', or write low-high' if dash else ''}",
            ) from None
        found.append((ends[0], ends[1]))
    return found


def _number(text: str, is_money: bool, digits: int) -> float:
    text = text.strip().replace("_", "")
    if is_money:
        return float(minor_units(text.partition(" ")[0], digits, signed=True))
    return float(text)


_RANGE = re.compile(r"(\d+)-(\d+)")


def _in_list(of: ListDefinition) -> Answer:
    """Exact members; in a list of a category `3000-3299` holds all numbers between, of the same length."""
    members = of.values
    ranges = []
    if of.type.kind == "category":
        found = (_RANGE.fullmatch(value) for value in sorted(members))
        ranges = [(len(m[1]), int(m[1]), int(m[2])) for m in found if m and len(m[1]) == len(m[2])]
    if not ranges:
        return members.__contains__

    def answer(text: str) -> bool:
        if text in members:
            return True
        if not (text.isascii() and text.isdigit()):
            return False
        return any(n == len(text) and low <= int(text) <= high for n, low, high in ranges)

    return answer


def _in_network(network: str) -> Answer:
    try:
        of = ipaddress.ip_network(network, strict=False)
    except ValueError:
        raise ConfigError(
            f"`{network}` is no network",
            why="ip_in wants an IPv4 or IPv6 network in CIDR notation",
            fix='write it like "10.0.0.0/8"',
        ) from None

    def answer(text: str) -> bool:
        try:
            return ipaddress.ip_address(text) in of
        except ValueError:
            return False

    return answer


def _pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern that cannot run away; the check of a pack has refused others long before."""
    problem = patterns.refuse(pattern)
    if problem:
        raise ConfigError(f"pattern `{pattern}` cannot be used", why=problem[0], fix=problem[1])
    return re.compile(pattern)


def question(kind: str, value: Asked, lists: Mapping[str, ListDefinition]) -> Answer:
    """Return the function from a text to its answer.

    kind  : == in contains, starts with, ends with, matches, ip_in, rollout (truth); length, lookup, similarity
            (numbers); text (the text itself)
    value : what the text is compared with
    """
    if kind == "==":
        return lambda text: text == value
    if kind == "in":
        if isinstance(value, str):
            return _in_list(lists[value.removeprefix("@")])
        assert isinstance(value, frozenset)
        return value.__contains__
    if kind == "lookup":
        assert isinstance(value, tuple)
        known: dict[str, float] = dict(value[0])
        default: float = value[1]
        return lambda text: known.get(text, default)
    if kind == "rollout":
        assert isinstance(value, tuple)
        rule_id, percent = value
        return lambda text: in_rollout(rule_id, percent, text)
    if kind == "length":
        return len
    if kind == "text":
        return str
    assert isinstance(value, str), (kind, value)
    if kind == "contains":
        return lambda text: value in text
    if kind == "starts with":
        return lambda text: text.startswith(value)
    if kind == "ends with":
        return lambda text: text.endswith(value)
    if kind == "matches":
        search = _pattern(value).search
        return lambda text: search(text[:TEXT_MAX]) is not None
    if kind == "ip_in":
        return _in_network(value)
    assert kind == "similarity", kind
    return lambda text: similarity(text, value)


_CASES: Final[Mapping[str, Callable[[str], str]]] = {"lower": str.lower, "upper": str.upper}


def recased(text: str, cases: Sequence[str]) -> str:
    """Apply `lower` and `upper` in turn."""
    for case in cases:
        text = _CASES[case](text)
    return text


def _after(cases: Sequence[str], answer: Answer) -> Answer:
    if not cases:
        return answer
    return lambda text: answer(recased(text, cases))


@dataclass(slots=True)
class _Table:
    """One table: where `ints` says it begins, what it says of a text, and of none (`missing`)."""

    plane: str  # "flags", "reals" or "ints"
    handle: int
    answer: Answer
    missing: float
    target: str | None = None  # of a code table: the dictionary of its answers


@dataclass(slots=True)
class _Watched:
    """A dictionary and the tables over its codes: how many codes are filled in, for how many there is room."""

    name: str
    tables: list[_Table] = field(default_factory=list)
    dictionary: DictionaryLike | None = None
    texts: Sequence[str] = ()  # of the dictionary; another object when it was loaded or begun anew
    filled: int = 0
    room: int = _ROOM_MIN


class Tables:
    """Constants, operand lists and code tables of a rule set, as the three arrays that the interpreter reads.

    Ask for places while compiling, `seal` once, `refresh` whenever dictionaries may have grown. The same question over
    the same dictionary is one table.
    """

    def __init__(self, lists: Mapping[str, ListDefinition]) -> None:
        self.lists = lists
        self._ints: list[int] = []
        self._reals: list[float] = []
        self._constants: dict[tuple[str, ...], int] = {}
        self._texts: dict[tuple[str, str], int] = {}  # (dictionary, text) -> place of its code
        self._known: dict[tuple[Any, ...], int] = {}
        self._watched: dict[str, _Watched] = {}
        self.own = _OwnDictionary()
        self.ints: I4 = np.zeros(1, np.int32)
        self.reals: F8 = np.zeros(1)
        self.flags: I1 = np.zeros(1, np.int8)

    def constants(self, *values: float) -> int:
        """Return the place in `reals` from which `values` stand."""
        key = tuple(map(float.hex, map(float, values)))  # -0.0 and 0.0 are two constants
        at = self._constants.get(key)
        if at is None:
            at = len(self._reals)
            self._constants[key] = at
            self._reals += values
        return at

    def whole(self, values: Sequence[int]) -> int:
        """Return the place in `ints` from which `values` stand."""
        self._ints += values
        return len(self._ints) - len(values)

    def text(self, text: str, dictionary: str) -> int:
        """Return the place in `ints` where the code of a constant text will stand; it is added if unknown."""
        key = (dictionary, text)
        if key not in self._texts:
            self._texts[key] = self.whole([-1])
            self._watch(dictionary)
        return self._texts[key]

    def flag(
        self, dictionary: str, cases: Sequence[str], kind: str, value: Asked, missing: int = -1
    ) -> int:
        """Return the handle of a truth table."""
        return self._add("flags", dictionary, cases, kind, value, missing)

    def real(
        self, dictionary: str, cases: Sequence[str], kind: str, value: Asked, missing: float
    ) -> int:
        """Return the handle of a number table."""
        return self._add("reals", dictionary, cases, kind, value, missing)

    def code(self, dictionary: str, cases: Sequence[str], target: str) -> int:
        """Return the handle of a table from codes of one dictionary to codes of another, `cases` applied."""
        self._watch(target)
        return self._add("ints", dictionary, cases, "text", None, -1, target)

    def _watch(self, dictionary: str) -> _Watched:
        return self._watched.setdefault(dictionary, _Watched(dictionary))

    def _add(
        self,
        plane: str,
        dictionary: str,
        cases: Sequence[str],
        kind: str,
        value: Asked,
        missing: float,
        target: str | None = None,
    ) -> int:
        key = (plane, dictionary, tuple(cases), kind, value, repr(missing), target)
        if key not in self._known:
            self._known[key] = self.whole([0])
            answer = _after(cases, question(kind, value, self.lists))
            table = _Table(plane, self._known[key], answer, missing, target)
            self._watch(dictionary).tables.append(table)
        return self._known[key]

    def seal(self) -> None:
        """Lay out the arrays; no table or constant may be added later."""
        self._lay_out()

    def answers(self, handle: int, codes: I4) -> I1:
        """Look up the codes in a truth table, outside the interpreter."""
        found: I1 = self.flags[self.ints[handle] + 1 + codes]
        return found

    def texts(self, dictionary: str) -> Sequence[str]:
        """Texts of a watched dictionary at the last refresh."""
        return self._watched[dictionary].texts

    def watch(self, dictionary: str) -> None:
        """Ask that `texts` know a dictionary."""
        self._watch(dictionary)

    def refresh(self, dictionaries: Mapping[str, DictionaryLike]) -> None:
        """Fill in the codes that are new since the last call; costs next to nothing when there are none.

        Call it once after compiling, before anything is encoded, and after every encode: constants that rules may
        write into columns are added to their dictionaries by the first call.
        """
        for watched in self._watched.values():
            dictionary = self.own if watched.name == OWN else dictionaries[watched.name]
            if dictionary.texts is not watched.texts or watched.name == BATCH_LOCAL:
                watched.dictionary, watched.texts = dictionary, dictionary.texts
                self._begin_anew(watched)
        grew = True
        while grew:  # a table of lower cases may add texts to a dictionary that other tables cover
            grew = False
            for watched in self._watched.values():
                n = len(watched.texts)
                if n != watched.filled and watched.tables:
                    self._fill(watched, n)
                    grew = True

    def _begin_anew(self, watched: _Watched) -> None:
        """Forget what was filled in for one dictionary, and look up the constants that must stand in it."""
        assert watched.dictionary is not None
        watched.filled = 0
        for (name, text), at in self._texts.items():
            if name == watched.name:
                self._ints[at] = self.ints[at] = watched.dictionary.code(text)
        for other in self._watched.values():
            if any(table.target == watched.name for table in other.tables):
                other.filled = 0

    def _fill(self, watched: _Watched, n: int) -> None:
        """Extend the tables over one dictionary to its first `n` codes."""
        if n > watched.room:
            watched.room = max(2 * watched.room, n + n // 4)
            self._lay_out()
        first = watched.filled if watched.filled < n else 0
        new = watched.texts[first:n]
        for table in watched.tables:
            begin = int(self.ints[table.handle]) + 1 + first
            if table.target is not None:
                code = self._target(table.target).code
                codes = [code(str(table.answer(text))) for text in new]
                self.ints[begin : begin + len(new)] = codes
            elif table.plane == "flags":
                self.flags[begin : begin + len(new)] = [table.answer(text) for text in new]
            else:
                self.reals[begin : begin + len(new)] = [table.answer(text) for text in new]
        watched.filled = n

    def _target(self, name: str) -> DictionaryLike:
        found = self._watched[name].dictionary
        assert found is not None, name
        return found

    def _lay_out(self) -> None:
        """Give every table its room behind the constants, keeping what is filled in."""
        sizes = {"flags": 1, "reals": len(self._reals) + 1, "ints": len(self._ints) + 1}
        begins = []
        for watched in self._watched.values():
            for table in watched.tables:
                begins.append((table, sizes[table.plane], watched.filled))
                sizes[table.plane] += watched.room + 1
        ints = np.full(sizes["ints"], -1, np.int32)
        reals = np.full(sizes["reals"], np.nan)
        flags = np.full(sizes["flags"], -1, np.int8)
        ints[: len(self._ints)] = self._ints
        reals[: len(self._reals)] = self._reals
        planes: dict[str, NDArray[Any]] = {"flags": flags, "reals": reals, "ints": ints}
        for table, begin, filled in begins:
            old: NDArray[Any] = getattr(self, table.plane)
            new: NDArray[Any] = planes[table.plane]
            before = self._ints[table.handle]
            if filled:
                new[begin + 1 : begin + 1 + filled] = old[before + 1 : before + 1 + filled]
            new[begin] = table.missing
            self._ints[table.handle] = begin
            ints[table.handle] = begin
        self.ints, self.reals, self.flags = ints, reals, flags
