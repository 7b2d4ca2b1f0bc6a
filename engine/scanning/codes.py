"""The texts of dictionaries as bytes in one table, so that spans get their codes without becoming texts first.

The dictionaries (engine/entities.py) are what is saved and what everybody else reads. The table follows from them: it
takes in what others have added to them, and begins again when they have become different ones.

Twice as many slots are filled little by little, a part with each call, before there are too few: all at once held up
the batch at 4 million texts for 60 to 90 ms.
"""

from collections.abc import Mapping, Sequence
from operator import is_
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.clock import random_bytes
from engine.growing import grown
from engine.scanning.kernels.codes import DOMAIN_BITS, END, NEW, USED, encode, enter
from engine.scanning.kernels.layout import SIZE_BITS

U1: TypeAlias = NDArray[np.uint8]
U8: TypeAlias = NDArray[np.uint64]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]

PIECE: Final = 1 << 16  # texts that are taken in at once
CLEARED: Final = 1 << 15  # slots of the next table that are made ready with a call, at least
ENTERED: Final = 1 << 12  # words of records that are entered there, at least
_NO_WORDS: Final[U8] = np.zeros(0, np.uint64)


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
        self._next: U8 | None = None  # twice as many
        self._cleared = self._entered = (
            0  # slots of it that are zero or filled, words of records that are in it
        )
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
        enter(self._words.view(np.uint8), self._words, 0, 0, self._seed, self._slots)

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
            self.follow(dict(zip(names, texts, strict=True)))
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
            self._get_ready(len(found))
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

    def follow(self, texts: Mapping[str, list[str]]) -> None:
        """Take in what others have added to dictionaries, by name: 200 ns a text."""
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
        n_used = int(self._note[END])
        if n_used + n_words > len(self._words):
            words, self._words = self._words, _NO_WORDS  # the last reference is given away
            self._words = grown(words, n_used, 2 * len(words) + n_words)
        while 2 * (self._note[USED] + n_slots) > len(self._slots) - 1:
            self._fill_next(2 * len(self._slots), n_used)

    def _get_ready(self, n_new: int) -> None:
        """After so many new texts: do a part of what makes room for twice as many.

        Slots double when half of them are in use. From three eighths on the next ones are made ready, in the time of a
        sixteenth as many texts, then filled, likewise.
        """
        n_used, n_slots = int(self._note[USED]), len(self._slots)
        if 8 * n_used > 3 * n_slots:
            words_each = int(self._note[END]) // n_used + 1
            self._fill_next(max(CLEARED, 36 * n_new), max(ENTERED, 9 * n_new * words_each))

    def _fill_next(self, n_slots: int, n_words: int) -> None:
        """Clear so many slots of the next table, if any are left, then enter so many words; use it once all are in."""
        if self._next is None:
            self._next = np.empty(2 * len(self._slots), np.uint64)
            self._cleared = self._entered = 0
        if self._cleared < len(self._next):
            self._next[self._cleared : self._cleared + n_slots] = 0
            self._cleared += n_slots
            if self._cleared < len(self._next):
                return
        end = int(self._note[END])
        self._entered = enter(
            self._words.view(np.uint8), self._words, self._entered, min(end, self._entered + n_words),
            self._seed, self._next,
        )  # fmt: skip
        if self._entered >= end:
            self._slots, self._next = self._next, None
