"""Did you mean: the known name nearest to a mistyped one."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Final

CHARS_MAX: Final = 100  # of a word that is looked for
KNOWN_MAX: Final = 2_000  # names looked through: a file may hold many mistakes


def distance(a: str, b: str) -> int:
    """Count the letters to insert, delete, replace or swap with a neighbour to turn `a` into `b`.

    >>> distance("hihg", "high"), distance("amuont", "amount"), distance("", "abc")
    (1, 1, 3)
    """
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row, last = row, [i] + [0] * len(b), before
        for j, y in enumerate(b, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                row[j] = min(row[j], last[j - 2] + 1)
    return row[-1]


@lru_cache(maxsize=2 * KNOWN_MAX)
def _letters(name: str) -> int:
    """Which letters occur in a name, one bit for all letters that have the last 6 bits of their number in common.

    An edit changes two of these bits at most: most names are told apart without counting edits.
    """
    found = 0
    for letter in name.lower():
        found |= 1 << (ord(letter) & 63)
    return found


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known name within two edits, or made of the same letters; "" when there is none.

    Short words need to be nearer: one edit up to four letters, so that `to` is not taken for `or`.

    >>> nearest("cash_chanels", ["cash_channels", "kiosks"]), nearest("x", ["y"])
    ('cash_channels', '')
    """
    best, best_distance = "", 3
    low, n_chars = word.lower(), len(word)
    if n_chars > CHARS_MAX:
        return ""
    letters = _letters(word)
    for name in islice(known, KNOWN_MAX):
        if abs(len(name) - n_chars) > 2 or (letters ^ _letters(name)).bit_count() > 4:
            continue
        d = 0 if name.lower() == low else distance(low, name.lower())
        if sorted(low) == sorted(name.lower()):
            d = min(d, 1)
        most = 2 if min(len(word), len(name)) > 4 else 1 if min(len(word), len(name)) > 1 else 0
        if d <= most and d < best_distance:
            best, best_distance = name, d
    return best


def did_you_mean(word: str, known: Iterable[str], quote: str = '"') -> str:
    """Say which known name was probably meant, as a hint; "" when none is near."""
    name = nearest(word, known)
    return f"did you mean {quote}{name}{quote}?" if name else ""
