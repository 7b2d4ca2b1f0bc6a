"""How much memory there may be, and what traffic it is for: sizes as people write them, and the expected scale.

    memory_budget: 16 GB
    expected:
      accounts: 1000000
      events_per_day: {payment: 3000000, card_auth: 1500000, login: 2000000}     # or one number
      entities: {card: 1200000, "account, payee": 9000000}                       # where it is not `accounts`

What follows from it for a pack is worked out in engine/windows/budget.py.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from config.errors import ConfigError

UNITS = {
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
PARTNERS = 10  # a pair of keys: so many partners an entity, where the settings do not say
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]i?B)")


def size_bytes(text: str) -> int:
    """Bytes of a size such as `16 GB` (10^9) or `16 GiB` (2^30); a ConfigError if `text` is none.

    >>> size_bytes("16 GB"), size_bytes("1.5GiB")
    (16000000000, 1610612736)
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(
            f"`{text}` is not a size",
            why="a size is a number with a unit: " + ", ".join(UNITS),
            fix="write it like 16 GB",
        )
    return round(float(found[1]) * UNITS[found[2]])


def size_text(n_bytes: float) -> str:
    """A size as people read it, three figures.

    >>> size_text(16_000_000_000), size_text(1_234_567), size_text(999)
    ('16 GB', '1.23 MB', '999 B')
    """
    for unit in ("TB", "GB", "MB", "KB"):
        if n_bytes >= 0.9995 * UNITS[unit]:
            value = n_bytes / UNITS[unit]
            return (
                f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {unit}".replace(
                    ".00 ", " "
                ).replace(".0 ", " ")
            )
    return f"{n_bytes:.0f} B"


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The traffic that memory is estimated for.

    accounts       : how many there are; any other key is taken to have as many, unless `entities` says otherwise
    events_per_day : transactions and activities, as one number or by event type; labels beside them as `label`
    entities       : how many by key, "card", or by several, "account, payee"
    """

    accounts: int
    events_per_day: int | dict[str, int]
    entities: dict[str, int] = {}

    def __post_init__(self) -> None:
        by_type = self.events_per_day
        counts: Mapping[str, int] = by_type if isinstance(by_type, dict) else {"all": by_type}
        named = {
            "accounts": self.accounts,
            **{f"entities.{name}": n for name, n in self.entities.items()},
            **{f"events_per_day.{name}": n for name, n in counts.items()},
        }
        for name, n in named.items():
            if not 0 <= n <= 10**13:
                raise ConfigError(
                    f"`expected` {name} must lie in [0, 10^13], was {n}",
                    why="memory is estimated for that many",
                    fix="write a count, such as 1000000",
                )

    def n_entities(self, keys: Sequence[str]) -> int:
        """How many entities a key has, or several keys together.

        >>> Expected(accounts=100, events_per_day=5, entities={"card": 150}).n_entities(["card", "merchant"])
        1500
        """
        for name, n in self.entities.items():
            if sorted(part.strip() for part in name.split(",")) == sorted(keys):
                return n
        singles = [self.entities.get(key, self.accounts) for key in keys]
        return max(singles) * (PARTNERS if len(keys) > 1 else 1)
