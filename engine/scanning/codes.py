"""The texts of dictionaries as bytes in one table, so that spans get their codes without becoming texts first.

The dictionaries (engine/entities.py) are what is saved and what everybody else reads. The table follows from them: it
takes in what others have added to them, and begins again when they have become different ones.
"""

from collections.abc import Mapping, Sequence
from operator import is_
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.clock import random_bytes
from engine.scanning.kernels.codes import DOMAIN_BITS, END, NEW, USED, encode, enter
from engine.scanning.kernels.layout import SIZE_BITS

U1: TypeAlias = NDArray[np.uint8]
U8: TypeAlias = NDArray[np.uint64]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]

PIECE: Final = 1 << 16  # texts that are taken in at once


class TextTable:
    """Codes by the bytes of texts, for all dictionaries. Memory: about 60 bytes a text of 10."""

    def __init__(self) -> None:
        # of this process only: who knew it could choose ids that all fall into one place. Codes do not depend on it
        self._seed = np.uint64(int.from_bytes(random_bytes(8), "little"))
        self._domains: dict[str, int] = {}
        self._begin()

    def _begin(self) -> None:
        self._texts: dict[str, list[str]] = {}  # those that the table stands for
        self._names: Sequence[str] = ()  # of the last call, with what was found out about them
        self._domain = np.zeros(0, np.int64)
        self._held: list[list[str]] = []
        self._n_held = -1
        self._slots: U8 = np.zeros(1 << 10, np.uint64)
        self._words: U8 = np.zeros(1 << 12, np.uint64)
        self._note = np.zeros(3, np.int64)
        self._n_codes = np.zeros(max(16, 2 * len(self._domains)), np.int64)

    def warm_up(self) -> None:
        """Load or compile the kernels."""
        raw, one = (
            np.frombuffer(bytes(8), np.uint8),
            np.full((1, 1), -1, np.int64),
        )  # row without a text
        self.encode(raw, one, [], one[0], np.empty((1, 1), np.int32), [])
        enter(self._words.view(np.uint8), self._words, 0, self._seed, self._slots.copy())

    def encode(
        self,
        raw: U1,
        spans: I8,
        names: Sequence[str],
        plane: I8,
        code: I4,
        texts: list[list[str]],
    ) -> list[list[int]]:
        """Write the codes of spans; return column and span of new texts, in order, for the caller to add to `texts`.

        raw   : bytes, 8 more than the spans reach      spans : (n, k ...) see kernels/codes.py
        names : dictionary of each column (k,)          plane : (k,) row of `code` for each column, -1 for none
        texts : (k,) every column's dictionary: texts by code; must hold the new ones before the next call
        """
        if not self._is_known(names, texts):
            self._follow(dict(zip(names, texts, strict=True)))
            self._names, self._held = names, texts
            self._domain = np.array([self._number_of(name) for name in names], np.int64)
            self._n_held = sum(map(len, texts))
        domain = self._domain
        found: list[list[int]] = []
        row, n = 0, len(spans)
        room = max(len(names), min(spans.size, 4_096))
        while row < n:
            new = np.empty((room, 2), np.int64)
            self._note[NEW] = 0
            row = encode(
                raw, spans, domain, plane, row, self._seed, self._slots, self._words, self._note,
                self._n_codes, code, new,
            )  # fmt: skip
            found += new[: self._note[NEW]].tolist()
            if row < n:
                sizes = np.maximum(spans[row, : len(names)], 0) & ((1 << SIZE_BITS) - 1)
                self._grow(len(names), int((2 + (sizes >> 3)).sum()))
        assert self._note[END] <= len(self._words), "a record was written where there is no room"
        if found:
            self._n_held = int(self._n_codes[domain].sum())
        return found

    def _is_known(self, names: Sequence[str], texts: list[list[str]]) -> bool:
        """Whether these are the dictionaries of the last call, and nobody has added to them."""
        return (
            names is self._names
            and all(map(is_, texts, self._held))
            and sum(map(len, texts)) == self._n_held
        )

    def _number_of(self, name: str) -> int:
        number = self._domains.setdefault(name, len(self._domains))
        assert number < 1 << DOMAIN_BITS, "more dictionaries than a record can name"
        if number >= len(self._n_codes):
            grown = np.zeros(2 * number, np.int64)
            grown[: len(self._n_codes)] = self._n_codes
            self._n_codes = grown
        return number

    def _follow(self, texts: Mapping[str, list[str]]) -> None:
        """Take in what others have added to the dictionaries."""
        if any(self._texts.get(name, held) is not held for name, held in texts.items()):
            self._begin()
        for name, held in texts.items():
            self._texts[name] = held
            number = self._number_of(name)
            while self._n_codes[number] < len(held):
                first = int(self._n_codes[number])
                self._take(name, held[first : first + PIECE])

    def _take(self, name: str, texts: Sequence[str]) -> None:
        pieces = [text.encode() for text in texts]
        sizes = np.array([len(piece) for piece in pieces], np.int64)
        raw = np.frombuffer(b"".join(pieces) + bytes(8), np.uint8)
        spans = (np.cumsum(sizes) - sizes) << SIZE_BITS | sizes
        assert not len(sizes) or int(sizes.max()) < 1 << SIZE_BITS, "a text longer than any message"
        nowhere = np.empty((1, 1), np.int32)
        before = int(self._n_codes[self._number_of(name)])
        alone = np.full(1, -1, np.int64)
        domain = np.array([self._number_of(name)], np.int64)
        row = 0
        while row < len(pieces):
            new = np.empty((len(pieces), 2), np.int64)
            self._note[NEW] = 0
            row = encode(
                raw, spans[:, None], domain, alone, row, self._seed, self._slots, self._words, self._note,
                self._n_codes, nowhere, new,
            )  # fmt: skip
            if row < len(pieces):
                self._grow(1, int(2 + (sizes[row] >> 3)))
        assert self._n_codes[domain[0]] == before + len(pieces), "a dictionary has a text twice"

    def _grow(self, n_slots: int, n_words: int) -> None:
        """Make room for so many more texts, and words of records."""
        if self._note[END] + n_words > len(self._words):
            grown: U8 = np.zeros(2 * len(self._words) + n_words, np.uint64)
            grown[: self._note[END]] = self._words[: self._note[END]]
            self._words = grown
        if 2 * (self._note[USED] + n_slots) > len(self._slots) - 1:
            size = 2 * len(self._slots)
            while 2 * (self._note[USED] + n_slots) > size - 1:
                size *= 2
            slots: U8 = np.zeros(size, np.uint64)
            enter(self._words.view(np.uint8), self._words, int(self._note[END]), self._seed, slots)
            self._slots = slots
