"""What is odd about fields, counted while they are decoded; engine/quality.py makes a report of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.entities import load_texts, save_texts
from engine.state import Arrays

UNKNOWN_MAX: Final = 64  # names of unknown fields that are counted one by one


class Quality:
    """What was odd about the fields, counted; kept in snapshots, so that a resumed run counts the whole.

    present : per key, transactions that have it            invalid : values that mean nothing and were left out
    unseen  : values outside `values` of the schema         unknown : fields that the schema does not have
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.n_transactions = 0
        self.present = dict.fromkeys(names, 0)
        self.invalid = dict.fromkeys(names, 0)
        self.unseen = dict.fromkeys(names, 0)
        self.unknown: dict[str, int] = {}
        self.unknown_other = 0  # rows with unknown fields beyond the first UNKNOWN_MAX names

    def save(self) -> Arrays:
        counts = [[d[n] for n in self.names] for d in (self.present, self.invalid, self.unseen)]
        names = sorted(self.unknown)
        saved = {
            "fields": np.array(counts, np.int64),
            "rows": np.array([self.n_transactions, self.unknown_other], np.int64),
            "unknown": np.array([self.unknown[n] for n in names], np.int64),
        }
        saved |= {f"field_{k}": v for k, v in save_texts(self.names).items()}
        return saved | {f"unknown_{k}": v for k, v in save_texts(names).items()}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        saved = load_texts({k: arrays[f"field_{k}"] for k in ("bytes", "end")})
        for counts, row in zip(
            (self.present, self.invalid, self.unseen), arrays["fields"].tolist(), strict=True
        ):
            counts.update({n: c for n, c in zip(saved, row, strict=True) if n in counts})
        self.n_transactions, self.unknown_other = arrays["rows"].tolist()
        names = load_texts({k: arrays[f"unknown_{k}"] for k in ("bytes", "end")})
        self.unknown = dict(zip(names, arrays["unknown"].tolist(), strict=True))
