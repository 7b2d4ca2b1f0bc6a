"""Texts to codes, for all dictionaries, by their bytes: spans get codes without becoming texts first.

The texts themselves (engine/texts.py) are what is saved and what everybody reads by code. The table follows from them:
it takes in those it has not met, adds to them what is new, and begins again when they have become different ones.

Twice as many slots are filled little by little, a part with each call, before there are too few: all at once held up
the batch at 4 million texts for 60 to 90 ms.
"""

from collections.abc import Mapping, Sequence
from operator import is_
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from engine.clock import random_bytes
from engine.growing import grown
from engine.scanning.kernels.codes import DOMAIN_BITS, END, NEW, USED, encode, enter, find
from engine.scanning.kernels.layout import SIZE_BITS
from engine.texts import SPARE_BYTES, Texts

U1: TypeAlias = NDArray[np.uint8]
U8: TypeAlias = NDArray[np.uint64]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]

PIECE: Final = 1 << 16  # texts that are taken in at once
CLEARED: Final = 1 << 15  # slots of the next table that are made ready with a call, at least
ENTERED: Final = 1 << 12  # words of records that are entered there, at least
_NO_WORDS: Final[U8] = np.zeros(0, np.uint64)
_SIZE: Final = (1 << SIZE_BITS) - 1
_ALONE: Final = np.zeros(1, np.int64)
_NOWHERE: Final = np.full(1, -1, np.int64)
_SPARE: Final = bytes(SPARE_BYTES)


class TextTable:
    """Codes by dictionary and text. Memory: 40 to 75 bytes a text of 10, beside its own."""

    def __init__(self) -> None:
        # of this process only: who knew it could choose ids that all fall into one place. Codes do not depend on it
        self._seed = np.uint64(int.from_bytes(random_bytes(8), "little"))
        self._domains: dict[str, int] = {}
        self._begin()

    def _begin(self) -> None:
        self._texts: dict[str, Texts] = {}  # those that the table stands for
        self._names: Sequence[str] = ()  # of the last call, with what was found out about them
        self._domain = np.zeros(0, np.int64)
        self._held: Sequence[Texts] = ()
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
        raw, one = np.frombuffer(_SPARE, np.uint8), np.full((1, 1), -1, np.int64)  # without a text
        self.encode(_SPARE, one, [], one[0], np.empty((1, 1), np.int32), [])
        enter(self._words.view(np.uint8), self._words, 0, 0, self._seed, self._slots)
        find(raw, 0, 0, self._seed, self._slots, self._words)

    def encode(
        self,
        data: bytes,
        spans: I8,
        names: Sequence[str],
        plane: I8,
        code: I4,
        texts: Sequence[Texts],
    ) -> None:
        """Write the codes of spans; those of new texts are the next ones, and the texts are added.

        data  : 8 bytes more than the spans reach       spans : (n, k ...) see kernels/codes.py
        names : dictionary of each column (k,)          plane : (k,) row of `code` for each column, -1 for none
        texts : (k,) every column's dictionary
        """
        if names is not self._names or not all(map(is_, texts, self._held)):
            self.follow(dict(zip(names, texts, strict=True)))
            self._names, self._held = names, texts
            self._domain = np.array([self._number_of(name) for name in names], np.int64)
        raw = np.frombuffer(data, np.uint8)
        found = self._enter(raw, spans, self._domain, plane, code)
        if found:
            self._add(np.concatenate(found), data, texts)

    def _add(self, new: I8, data: bytes, texts: Sequence[Texts]) -> None:
        """Add new texts, (n, 2) column and span, to the dictionaries of the columns."""
        of: dict[int, tuple[Texts, list[bytes]]] = {}
        columns = [
            of.setdefault(number, (held, []))[1]
            for number, held in zip(self._domain.tolist(), texts, strict=True)
        ]
        for k, span in zip(new[:, 0].tolist(), new[:, 1].tolist(), strict=True):
            first = span >> SIZE_BITS
            columns[k].append(data[first : first + (span & _SIZE)])
        for number, (held, pieces) in of.items():
            if pieces:
                held.extend(pieces)
                assert len(held) == self._n_codes[number], "somebody else has added texts"
        self._get_ready(len(new))

    def encode_texts(self, values: Sequence[str | None], name: str, texts: Texts) -> I4:
        """The same for texts of one dictionary: codes (n,) of `values` in their order, -1 for None."""
        pieces = [b"" if value is None else value.encode() for value in values]
        sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
        spans = _spans(np.cumsum(sizes) - sizes, sizes)
        if None in values:
            spans[[k for k, value in enumerate(values) if value is None]] = -1
        code: I4 = np.full((1, len(pieces)), -1, np.int32)
        data = b"".join((*pieces, _SPARE))
        self.encode(data, spans[:, None], (name,), _ALONE, code, (texts,))
        found: I4 = code[0]
        return found

    def find(self, value: str, name: str, texts: Texts) -> int:
        """The code of a text in one dictionary, or -1 if it is not there."""
        if self._texts.get(name) is not texts:
            self.follow({name: texts})
        piece = value.encode()
        if len(piece) > _SIZE:
            return -1
        raw, number = np.frombuffer(piece + _SPARE, np.uint8), self._domains[name]
        return find(raw, len(piece), number, self._seed, self._slots, self._words)

    def follow(self, texts: Mapping[str, Texts]) -> None:
        """Take in what dictionaries, by name, hold already: 100 ns a text.

        Raises `StateError` if one of them has a text twice.
        """
        if any(self._texts.get(name, held) is not held for name, held in texts.items()):
            self._begin()
        self._texts.update(texts)
        more = {name: len(held) - self._n_taken(name) for name, held in texts.items()}
        self._grow(sum(more.values()), 0)  # at once, or what was entered is entered again
        for name, held in texts.items():
            if more[name]:
                self._take(name, held)

    def _take(self, name: str, held: Texts) -> None:
        """Enter the texts of a dictionary that the table has not met yet."""
        n_known, n = self._n_taken(name), len(held)
        _, _, size = held.stretch(n_known, n)
        self._grow(0, int((2 + (size >> 3)).sum()))
        domain, code = np.array([self._domains[name]], np.int64), np.empty((1, 1), np.int32)
        for first in range(n_known, n, PIECE):
            raw, begin, size = held.stretch(first, min(first + PIECE, n))
            self._enter(raw, _spans(begin, size)[:, None], domain, _NOWHERE, code)
        if self._n_taken(name) != n:
            self._begin()
            raise StateError(f"the saved dictionary `{name}` has a text twice")

    def _enter(self, raw: U1, spans: I8, domain: I8, plane: I8, code: I4) -> list[I8]:
        """Write the codes of spans, and give new texts the next ones; pieces (n, 2) of those: column and span."""
        found: list[I8] = []
        row, n, width = 0, len(spans), len(domain)
        room = max(width, min(spans.size, 4_096))
        while row < n:
            new = np.empty((room, 2), np.int64)
            self._note[NEW] = 0
            row = encode(
                raw, spans, domain, plane, row, self._seed, self._slots, self._words, self._note,
                self._n_codes, code, new,
            )  # fmt: skip
            if self._note[NEW]:
                found.append(new[: self._note[NEW]])
            if row < n:
                sizes = np.maximum(spans[row, :width], 0) & _SIZE
                self._grow(width, int((2 + (sizes >> 3)).sum()))
        assert self._note[END] <= len(self._words), "a record was written where there is no room"
        return found

    def _n_taken(self, name: str) -> int:
        """Texts of a dictionary that are in the table."""
        number = self._number_of(name)
        return int(self._n_codes[number])

    def _number_of(self, name: str) -> int:
        number = self._domains.setdefault(name, len(self._domains))
        assert number < 1 << DOMAIN_BITS, "more dictionaries than a record can name"
        if number >= len(self._n_codes):
            more = np.zeros(2 * number, np.int64)
            more[: len(self._n_codes)] = self._n_codes
            self._n_codes = more
        return number

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


def _spans(begin: I8, size: I8) -> I8:
    """Where texts stand, as kernels/codes.py reads it."""
    assert not len(size) or int(size.max()) <= _SIZE, "a text longer than any message"
    return begin << SIZE_BITS | size
