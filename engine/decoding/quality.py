"""What is odd about fields, counted while they are decoded; engine/quality.py makes a report of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.state import Arrays
from engine.texts import load_texts, save_texts

UNKNOWN_MAX: Final = 64  # names of unknown fields that are counted one by one


PRESENT, INVALID, UNSEEN = range(3)


class Quality:
    """What was odd about the fields, counted; kept in snapshots, so that a resumed run counts the whole.

    counts  : (3, keys) int64  transactions that have each key; values that mean nothing and were left out; values
              outside `values` of the schema
    place   : key -> its column in `counts`
    unknown : fields that the schema does not have
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.place = {name: k for k, name in enumerate(names)}
        self.counts = np.zeros((3, len(self.names)), np.int64)
        self.n_transactions = 0
        self.unknown: dict[str, int] = {}
        self.unknown_other = 0  # rows with unknown fields beyond the first UNKNOWN_MAX names

    def add(self, which: int, key: str, n: int = 1) -> None:
        """Count a key of the schema; another one, such as of the envelope, is not counted."""
        place = self.place.get(key, -1)
        if place >= 0:
            self.counts[which, place] += n

    def _by_name(self, which: int) -> dict[str, int]:
        return dict(zip(self.names, self.counts[which].tolist(), strict=True))

    @property
    def present(self) -> dict[str, int]:
        """Transactions that have each key."""
        return self._by_name(PRESENT)

    @property
    def invalid(self) -> dict[str, int]:
        """Values of each key that mean nothing and were left out."""
        return self._by_name(INVALID)

    @property
    def unseen(self) -> dict[str, int]:
        """Values of each key outside `values` of the schema."""
        return self._by_name(UNSEEN)

    def save(self) -> Arrays:
        names = sorted(self.unknown)
        saved = {
            "fields": self.counts.copy(),
            "rows": np.array([self.n_transactions, self.unknown_other], np.int64),
            "unknown": np.array([self.unknown[n] for n in names], np.int64),
        }
        saved |= {f"field_{k}": v for k, v in save_texts(self.names).items()}
        return saved | {f"unknown_{k}": v for k, v in save_texts(names).items()}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        saved = load_texts({k: arrays[f"field_{k}"] for k in ("bytes", "end")})
        for name, column in zip(saved, arrays["fields"].T, strict=True):
            if name in self.place:
                self.counts[:, self.place[name]] = column
        self.n_transactions, self.unknown_other = arrays["rows"].tolist()
        names = load_texts({k: arrays[f"unknown_{k}"] for k in ("bytes", "end")})
        self.unknown = dict(zip(names, arrays["unknown"].tolist(), strict=True))
