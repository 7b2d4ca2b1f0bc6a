"""What rules ask about texts: equal to a constant, in a list, matches a pattern, its length, how similar it is.

Each question is a function from a text to its answer. Who asks them once per distinct text instead of once per event
is rules/code_tables.py.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.errors import ConfigError
from rules import patterns
from rules.definitions import ListDefinition
from rules.kernels import edit_distance
from rules.lists import contains

Answer: TypeAlias = Callable[[str], int | float | str]
Asked: TypeAlias = str | float | frozenset[str] | tuple[Any, ...] | None

TEXT_MAX: Final = 256  # characters of a text that patterns and similarity look at
BATCH_LOCAL: Final = "text"  # the one dictionary that begins anew with every batch
OWN: Final = "(rules)"  # the dictionary of texts that only the rule set itself knows


class DictionaryLike(Protocol):
    """A dictionary as rules see it: code k means `texts[k]`; texts are only ever added at the end.

    `code` gives the code of a text and adds it if it is new; `find` gives -1 then. `texts` stays the same object as
    long as codes keep their meaning.
    """

    @property
    def texts(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def code(self, text: str) -> int: ...

    def find(self, text: str) -> int: ...


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
    value : what the text is compared with; of a list, whether it holds the text at all, whenever that is
    """
    if kind == "==":
        return lambda text: text == value
    if kind == "in":
        if isinstance(value, str):
            return contains(lists[value.removeprefix("@")])
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
