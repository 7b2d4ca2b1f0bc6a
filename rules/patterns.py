"""Regular expressions that a rule file may contain: the part of RE2's syntax on which `re` cannot run away.

A pattern is refused when `re` could need exponential time on it (a repeated group in which
something repeats, is optional or has alternatives), or when it is not regular at all
(back-references, look-around). What remains is polynomial at worst, and both the pattern and the
text are cut short; `matches` runs once per distinct text, never per event.
"""

import re
import warnings
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any, Final

PATTERN_CHARS_MAX: Final = 200
OPEN_REPEATS_MAX: Final = 3
WAYS_MAX: Final = 1_000  # through alternatives and bounded repeats together; `re` may try them all
_REPEATS: Final = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
_REFUSED: Final = {
    sre.GROUPREF: "back references",
    sre.GROUPREF_EXISTS: "conditions on groups",
    sre.ASSERT: "look-ahead and look-behind",
    sre.ASSERT_NOT: "look-ahead and look-behind",
    sre.ATOMIC_GROUP: "atomic groups",
    sre.POSSESSIVE_REPEAT: "possessive repeats",
}


def refuse(pattern: str) -> tuple[str, str] | None:
    """Say why a pattern is refused and what to do, or None when it may run."""
    if len(pattern) > PATTERN_CHARS_MAX:
        return f"a pattern has at most {PATTERN_CHARS_MAX} characters", "split it with or"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python will read in another way some day
            tree = _parser.parse(pattern)
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        return f"not a pattern: {error}", 'for instance "^AB[0-9]+$"'
    counts = [0]
    problem = _walk(tree, counts, repeated=False)
    if problem:
        return problem
    if counts[0] > OPEN_REPEATS_MAX:
        return (
            f"a pattern has at most {OPEN_REPEATS_MAX} open-ended repeats, this one {counts[0]}",
            "give the repeats an upper bound, or split it with and",
        )
    if _ways(tree) > WAYS_MAX:
        return (
            f"alternatives and optional parts give more than {WAYS_MAX:,} ways through the pattern",
            "split it with and, or use classes such as [ab]",
        )
    return None


def _ways(part: Any) -> int:
    """In how many ways the alternatives and bounded repeats of a pattern can be gone through; open repeats apart."""
    ways = 1
    for op, value in part:
        if op is sre.BRANCH:
            ways *= sum(map(_ways, value[1]))
        elif op is sre.SUBPATTERN:
            ways *= _ways(value[3])
        elif op in _REPEATS:
            low, high, inner = value
            ways *= _ways(inner) * (1 if high == sre.MAXREPEAT else high - low + 1)
        if ways > WAYS_MAX:
            break
    return ways


def _walk(part: Any, counts: list[int], *, repeated: bool) -> tuple[str, str] | None:
    for op, value in part:
        if op in _REFUSED:
            return f"{_REFUSED[op]} are not allowed in patterns", "write two conditions"
        if op in _REPEATS:
            low, high, inner = value
            if high == sre.MAXREPEAT or high > 20:
                if repeated:
                    return "a repeat inside a repeat can take forever", "write it without nesting"
                counts[0] += high == sre.MAXREPEAT
            elif repeated and low != high:
                return "a repeat inside a repeat can take forever", "write it without nesting"
            many = high == sre.MAXREPEAT or high > 1
            if many and _has_branch(inner):
                return (
                    "alternatives inside a repeat can take forever",
                    "use a class such as [ab] instead of (a|b)",
                )
            problem = _walk(inner, counts, repeated=repeated or many)
        elif op is sre.SUBPATTERN:
            problem = _walk(value[3], counts, repeated=repeated)
        elif op is sre.BRANCH:
            found = (_walk(p, counts, repeated=repeated) for p in value[1])
            problem = next((p for p in found if p), None)
        else:
            problem = None
        if problem:
            return problem
    return None


def _has_branch(part: Any) -> bool:
    for op, value in part:
        if op is sre.BRANCH:
            return True
        if op is sre.SUBPATTERN and _has_branch(value[3]):
            return True
        if op in _REPEATS and _has_branch(value[2]):
            return True
    return False
