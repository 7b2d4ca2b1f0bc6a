"""Texts as bytes: many of them in two arrays, with no object for each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from engine.growing import grown
from engine.state import Arrays

U1: TypeAlias = NDArray[np.uint8]
I8: TypeAlias = NDArray[np.int64]

SPARE_BYTES: Final = 8  # readable behind the last text: kernels load whole words
PIECE: Final = 1 << 14  # texts that are decoded at once
FEW: Final = 16  # so many are faster one by one than through numpy
_FIRST: Final = 1 << 12  # texts that there is room for in the beginning


class Texts(Sequence[str]):
    """Texts by number from 0, added at the end only. Memory: their UTF-8 bytes, and 8 more for each.

    A text is decoded when it is asked for: 350 ns, 140 ns each for many at once.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._n = 0
        self._raw: U1 = np.zeros(8 * _FIRST, np.uint8)
        self._end: I8 = np.zeros(_FIRST, np.int64)  # of text k - 1, so where text k begins
        self._look()
        self.extend([text.encode() for text in texts])

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "Texts":
        """What `save` or `save_texts` gave."""
        texts, raw, ends = cls(), arrays["bytes"], arrays["end"]
        texts._make_room(len(ends), len(raw))
        texts._raw[: len(raw)] = raw
        texts._end[1 : len(ends) + 1] = ends
        texts._n = len(ends)
        return texts

    def __reduce__(self) -> tuple[Any, ...]:
        return Texts.of, (self.save(),)

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            numbers = range(self._n)[at]
            if len(numbers) > FEW and numbers.step == 1:
                return self._cut(numbers.start, numbers.stop)
            return [self._text(k) for k in numbers]
        if not -self._n <= at < self._n:
            raise IndexError(f"text {at} of {self._n}")
        return self._text(at % self._n)

    def __iter__(self) -> Iterator[str]:
        for first in range(0, self._n, PIECE):
            yield from self._cut(first, min(first + PIECE, self._n))

    def extend(self, pieces: Sequence[bytes]) -> None:
        """Add texts, each as its UTF-8 bytes."""
        sizes, n = list(map(len, pieces)), self._n
        first = self._ends[n]
        ends = list(accumulate(sizes, initial=first))
        self._make_room(n + len(sizes), ends[-1])
        self._bytes[first : ends[-1]] = b"".join(pieces)
        self._end[n : n + len(ends)] = ends
        self._n += len(sizes)

    def stretch(self, first: int, last: int) -> tuple[U1, I8, I8]:
        """Texts `first` to `last` as they stand: all bytes, 8 more than are used, where each begins, and its size.

        Arrays (z,) uint8, (last - first,) and (last - first,) int64, good until texts are added.
        """
        ends = self._end[first : last + 1]
        return self._raw, ends[:-1], np.diff(ends)

    def save(self, *, copied: bool = True) -> Arrays:
        """The same arrays as `save_texts` makes; views where not `copied`, good until texts are added."""
        saved: Arrays = {
            "bytes": self._raw[: self._ends[self._n]],
            "end": self._end[1 : self._n + 1],
        }
        return {name: array.copy() for name, array in saved.items()} if copied else saved

    def _text(self, at: int) -> str:
        ends = self._ends
        return str(self._bytes[ends[at] : ends[at + 1]], "utf-8")

    def _cut(self, first: int, last: int) -> list[str]:
        return _cut(self._raw, self._end[first : last + 1])

    def _make_room(self, n: int, n_bytes: int) -> None:
        """For `n` texts of `n_bytes` in all."""
        if n >= len(self._end):
            self._end = grown(self._end, self._n + 1, 2 * n)
            self._look()
        if n_bytes + SPARE_BYTES > len(self._raw):
            self._raw = grown(self._raw, self._ends[self._n], 2 * n_bytes + SPARE_BYTES)
            self._look()

    def _look(self) -> None:
        """Single numbers and bytes are read, and written, faster than through numpy."""
        self._bytes, self._ends = self._raw.data, self._end.data


def save_texts(texts: Iterable[str]) -> Arrays:
    """Texts as two arrays: their UTF-8 bytes, and where each ends."""
    pieces = [text.encode() for text in texts]
    return {
        "bytes": np.frombuffer(b"".join(pieces), np.uint8).copy(),
        "end": np.cumsum([len(p) for p in pieces], dtype=np.int64),
    }


def load_texts(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """What `save_texts` was given."""
    return _cut(arrays["bytes"], np.concatenate([[0], arrays["end"]]))


def _cut(raw: U1, ends: I8) -> list[str]:
    """Texts between one end and the next; `ends` (n + 1,) begins with where the first begins."""
    first, ends = int(ends[0]), ends - ends[0]
    part = raw[first : first + int(ends[-1])].tobytes()
    if part.isascii():  # a byte a letter: cut the text, and decode once
        text = part.decode()
        return [text[a:b] for a, b in pairwise(ends.tolist())]
    return [part[a:b].decode() for a, b in pairwise(ends.tolist())]
