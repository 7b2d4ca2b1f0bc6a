"""Lengths of time as people write them in YAML and on the command line: `15m`, `1h30m`, `7d`, `250ms`.

One spelling everywhere: settings, feeds, packs and options read it the same way. Months and years are missing on
purpose, for they have no fixed length.
"""

import re
from functools import lru_cache

from config.errors import ConfigError

UNITS_US = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_WHOLE = re.compile(r"(?:[0-9]+(?:w|d|h|ms|us|m|s))+")
_PART = re.compile(r"([0-9]+)(w|d|h|ms|us|m|s)")


@lru_cache(maxsize=1_024)  # a setting is asked for at every hold, as people write it
def duration_us(text: str) -> int:
    """Microseconds of a duration such as `1h30m`; a ConfigError if `text` is none.

    Units stand from large to small, each at most once; whole numbers only, so that nothing is rounded.

    >>> duration_us("15m"), duration_us("1h30m"), duration_us("0s")
    (900000000, 5400000000, 0)
    """
    if not _WHOLE.fullmatch(text):
        raise ConfigError(
            f"`{text}` is not a duration",
            why="a number alone does not say which unit it means"
            if re.fullmatch(r"[0-9]+", text)
            else "a duration is whole numbers with units: w, d, h, m, s, ms, us",
            fix="write it like 15m, 7d or 1h30m",
        )
    parts = _PART.findall(text)
    sizes = [UNITS_US[unit] for _, unit in parts]
    if sizes != sorted(set(sizes), reverse=True):
        raise ConfigError(
            f"`{text}` is not a duration",
            why="units stand from large to small, each at most once",
            fix=f"write {duration_text(sum(int(n) * UNITS_US[unit] for n, unit in parts))}",
        )
    return sum(int(n) * UNITS_US[unit] for n, unit in parts)


def duration_text(duration_us: int) -> str:
    """The shortest spelling that `duration_us` reads back to the same number.

    >>> duration_text(5_400_000_000), duration_text(0), duration_text(1_001)
    ('1h30m', '0s', '1ms1us')
    """
    assert duration_us >= 0, duration_us
    out, rest = "", duration_us
    for unit, size in UNITS_US.items():
        if unit == "w" and rest % size:
            continue  # people say 30d, not 4w2d
        n, rest = divmod(rest, size)
        out += f"{n}{unit}" if n else ""
    return out or "0s"
