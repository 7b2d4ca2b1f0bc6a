"""Transactions the core remembers: who came before, as what, with which features and scores.

One bounded store serves three questions: is this message a repeat (law 4), which transaction does a label or an update
mean, and what did the models see when it was decided. An entry is forgotten once core time has moved `horizon_us` past
the core time at which it came in; look-ups test that themselves, so that when the room is given back changes no result.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from engine.growing import grown

I8: TypeAlias = NDArray[np.int64]
Arrays: TypeAlias = dict[str, NDArray[Any]]
Texts: TypeAlias = tuple[str | None, ...]

APPLIED, LATE, UNSCORABLE = 0, 1, 2  # how an entry stands in the windows
NO_LABEL, GENUINE, FRAUD, WITHDRAWN = -1, 0, 1, 2
BLANK_ROWS = 256  # rows that are made ready at once: 11 columns are not filled at every batch
NOT_COUNTED = -1  # by the calibrations; else 1 as called fraud, 0 as not (engine/fates.py)
SEPARATOR = "\x1f"  # cannot stand in an id: ids refuse control characters
_MISSING = {
    "standing": APPLIED,
    "currency": 0,
    "label": NO_LABEL,
    "called": NOT_COUNTED,
    "decision": -1,
    "fact_digest": 0,
    "fact_seq": -1,
    "number": np.nan,
    "code": -1,
    "input": np.nan,
    "score": np.nan,
}


class Remembered:
    """Entries numbered from 0 in the order they came; `base` is the oldest still held.

    n_number, n_code : columns kept of each transaction, to give labels and updates what they refer to
    n_text           : columns of texts kept, as texts, for their codes mean nothing in the next batch
    n_input          : model inputs kept, float32 (what the models also score with)
    n_score          : models whose raw scores are kept, float32 (what combinations of them also score with)
    """

    def __init__(
        self,
        horizon_us: int,
        *,
        n_number: int,
        n_code: int,
        n_input: int,
        n_text: int = 0,
        n_score: int = 0,
    ) -> None:
        self.horizon_us = horizon_us
        self.base = 0
        self.end = 0
        self._blank = 0  # rows of the arrays before this one hold entries, or all columns missing
        self.entry_of: dict[str, int] = {}
        self._keys: list[str] = []  # identity of entry base + k
        self._no_texts: Texts = (None,) * n_text
        self._texts: list[Texts] = []  # of entry base + k, where any are kept
        self._facts: dict[
            tuple[int, int], int
        ] = {}  # (entry, digest) -> seq, from the second fact on
        self.arrays: Arrays = {
            "seq": np.empty(0, np.int64),
            "time_us": np.empty(0, np.int64),
            "core_us": np.empty(0, np.int64),
            "digest": np.empty(0, np.int64),
            "fact_digest": np.empty(0, np.int64),
            "fact_seq": np.empty(0, np.int64),
            "standing": np.empty(0, np.int8),
            "currency": np.empty(0, np.int16),
            "label": np.empty(0, np.int8),
            "called": np.empty(0, np.int8),
            "decision": np.empty(0, np.int8),
            "number": np.empty((0, n_number)),
            "code": np.empty((0, n_code), np.int32),
            "input": np.empty((0, n_input), np.float32),
            "score": np.empty((0, n_score), np.float32),
        }

    def __len__(self) -> int:
        return self.end - self.base

    def find(self, key: str, core_us: int) -> int:
        """Return the entry of identity `key` as known at core time `core_us`, or -1."""
        entry = self.entry_of.get(key, -1)
        if entry >= 0 and self.arrays["core_us"][entry - self.base] <= core_us - self.horizon_us:
            return -1
        return entry

    def rows(self, entries: I8) -> I8:
        """Rows of the arrays at which `entries` (n,) stand."""
        return entries - self.base

    def reserve(self, n: int) -> None:
        """Make room for `n` more entries, all columns missing; doubles where there is not enough."""
        needed, capacity = len(self) + n, len(self.arrays["seq"])
        if needed <= self._blank:
            return
        if needed > capacity:
            capacity = max(1 << 12, 2 * capacity, needed)
            for name in tuple(self.arrays):
                self.arrays[name] = grown(self.arrays.pop(name), len(self), capacity)
            self._blank = len(self)
        first = self._blank
        self._blank = min(max(needed, first + BLANK_ROWS), capacity)
        for name, missing in _MISSING.items():
            self.arrays[name][first : self._blank] = missing

    def add(self, key: str, seq: int, time_us: int, core_us: int, digest: int) -> int:
        """Enter one transaction with its facts. Needs `reserve` before."""
        entry = self.entry_of[key] = self.end
        facts = np.array([[seq], [time_us], [core_us]], np.int64)
        self.enter([key], facts[0], facts[1], facts[2], [digest])
        return entry

    def enter(
        self, keys: Sequence[str], seq: I8, time_us: I8, core_us: I8, digest: Sequence[int]
    ) -> None:
        """Write the facts (n,) of the next transactions, which `entry_of` knows already. Needs `reserve` before."""
        at = slice(self.end - self.base, self.end - self.base + len(keys))
        arrays = self.arrays
        arrays["seq"][at], arrays["time_us"][at], arrays["core_us"][at] = seq, time_us, core_us
        arrays["digest"][at] = digest
        self._keys += keys
        if self._no_texts:
            self._texts += [self._no_texts] * len(keys)
        self.end += len(keys)

    def texts(self, entry: int) -> Texts:
        """Texts kept of `entry`, one a column, None where it has none."""
        return self._texts[entry - self.base]

    def keep_texts(self, entry: int, texts: Texts) -> None:
        self._texts[entry - self.base] = texts

    def begin(self, core_us: int) -> None:
        """Take what came before core time had begun for as old as its beginning; else it would be forgotten there."""
        held = self.arrays["core_us"][: len(self)]
        held[held < core_us] = core_us

    def tell(self, entry: int, digest: int, seq: int) -> int:
        """Note a label or update about `entry`; return the seq at which the very same came before, or -1."""
        row, arrays = entry - self.base, self.arrays
        if arrays["fact_seq"][row] < 0:
            arrays["fact_digest"][row], arrays["fact_seq"][row] = digest, seq
            return -1
        if arrays["fact_digest"][row] == digest:
            return int(arrays["fact_seq"][row])
        first = self._facts.setdefault((entry, digest), seq)
        return first if first != seq else -1

    def forget(self, core_us: int) -> None:
        """Give back the room of entries that no look-up at `core_us` or later can find."""
        held = self.arrays["core_us"][: len(self)]
        gone = int(np.searchsorted(held, core_us - self.horizon_us, side="right"))
        if gone * 4 < len(self) or gone < 1 << 12:
            return
        for k in range(gone):
            if self.entry_of.get(self._keys[k]) == self.base + k:
                del self.entry_of[self._keys[k]]
        del self._keys[:gone], self._texts[:gone]
        for array in self.arrays.values():
            array[: len(self) - gone] = array[gone : len(self)].copy()
        self.base += gone
        self._blank = len(self)
        self._facts = {fact: seq for fact, seq in self._facts.items() if fact[0] >= self.base}

    def save(self, core_us: int, *, copied: bool = True) -> Arrays:
        """Everything a look-up at `core_us` or later can find; the same bytes however batches were cut.

        copied : False: numbers are views of the store, for whoever is done with them before the next batch
        """
        held = self.arrays["core_us"][: len(self)]
        gone = int(np.searchsorted(held, core_us - self.horizon_us, side="right"))
        keys = self._keys[gone:] if gone else self._keys
        saved = {name: array[gone : len(self)] for name, array in self.arrays.items()}
        if copied:
            saved = {name: array.copy() for name, array in saved.items()}
        saved["base"] = np.array([self.base + gone], np.int64)
        facts = sorted((e, d, s) for (e, d), s in self._facts.items() if e >= self.base + gone)
        saved["facts"] = np.array(facts, np.int64).reshape(-1, 3)
        saved["keys"] = np.frombuffer("\n".join(keys).encode(), np.uint8)
        texts = msgspec.json.encode(self._texts[gone:])
        saved["texts"] = np.frombuffer(texts, np.uint8)
        return saved

    def adopt(
        self, other: "Remembered", sources: Mapping[str, Sequence[int]], texts: Sequence[int]
    ) -> None:
        """Go on from the very entries of `other`, which must not be used any more.

        sources : of `number`, `code`, `input` and `score`: for each own column the same one of `other`, or -1
        texts   : likewise for texts
        """
        self.base, self.end, self.entry_of = other.base, other.end, other.entry_of
        self._blank = other._blank  # noqa: SLF001
        self._keys, self._facts = other._keys, other._facts  # noqa: SLF001
        for name, array in other.arrays.items():
            if name in sources and list(sources[name]) != list(range(array.shape[1])):
                self.arrays[name] = _picked(array, sources[name], _MISSING[name])
            else:
                self.arrays[name] = array
        self._texts = other._texts  # noqa: SLF001
        if list(texts) != list(range(len(other._no_texts))):  # noqa: SLF001
            old = other._texts or [()] * len(self)  # noqa: SLF001
            kept = [tuple(t[k] if k >= 0 else None for k in texts) for t in old]
            self._texts = kept if texts else []

    def take_texts(
        self, rows: I8, columns: Sequence[int], texts: Sequence[Sequence[str | None]]
    ) -> None:
        """Enter texts of the entries at `rows`, of some columns."""
        for row, found in zip(rows.tolist(), texts, strict=True):
            kept = list(self._texts[row])
            for column, text in zip(columns, found, strict=True):
                kept[column] = text
            self._texts[row] = tuple(kept)

    def load(self, saved: Arrays) -> None:
        """Take over what `save` gave; raise `StateError` if it holds other columns."""
        for name, array in self.arrays.items():
            if saved[name].shape[1:] != array.shape[1:]:
                raise StateError(
                    f"saved transactions hold {saved[name].shape[1:]} `{name}` columns, "
                    f"the configuration needs {array.shape[1:]}",
                    why="features and model inputs of a transaction are kept as they were decided",
                    fix="load with the configuration that saved, or start from the journal",
                )
        self.base = int(saved["base"][0])
        n = len(saved["seq"])
        self.arrays = {name: grown(saved[name], n, n) for name in self.arrays}
        text = saved["keys"].tobytes().decode()
        self._keys = text.split("\n") if len(saved["seq"]) else []
        self._texts = msgspec.json.decode(saved["texts"].tobytes(), type=list[Texts])
        self._facts = {(e, d): s for e, d, s in saved["facts"].tolist()}
        self.end = self.base + len(self._keys)
        self._blank = len(self)
        self.entry_of = dict(zip(self._keys, range(self.base, self.end), strict=True))


def _picked(array: NDArray[Any], sources: Sequence[int], missing: float) -> NDArray[Any]:
    """An array with other columns: those of `array` that `sources` names, missing where it says -1."""
    picked: NDArray[Any] = np.full((len(array), len(sources)), missing, array.dtype)
    for k, source in enumerate(sources):
        if source >= 0:
            picked[:, k] = array[:, source]
    return picked


def identity(account: str, transaction_id: str) -> str:
    """One text for the identity of a leg."""
    return f"{account}{SEPARATOR}{transaction_id}"


def identities(accounts: Sequence[str | None], ids: Sequence[str | None]) -> list[str]:
    """`identity` of each row; rows without one give the separator alone."""
    return [f"{a}{SEPARATOR}{t}" for a, t in zip(accounts, ids, strict=True)]
