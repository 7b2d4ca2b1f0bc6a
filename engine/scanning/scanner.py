"""One call for the messages of a batch: bytes in, columns and spans out."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.scanning.kernels.layout import PRESENT, SIZE_BITS, UNSEEN
from engine.scanning.kernels.scan import scan
from engine.scanning.plan import Plan
from rules.columns import Frame

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]
U1: TypeAlias = NDArray[np.uint8]

FEW = 16  # so many values are faster one by one than through numpy
SIZE_MASK = (1 << SIZE_BITS) - 1


class Scan:
    """What was read of `lines`; rows of kind 0 are left to engine/decoding/, and nothing of them is here.

    kind          : (n,) int8                event_time_us : (n,) int64  -1 for none
    spans         : (n, columns of the plan) where texts stand in `raw`, see kernels/codes.py
    digest        : (n,) int64               frame         : given; its numbers are written where a row was taken
    present       : field, transactions that have it, other kinds too where it is an unknown key
    unseen        : field, values outside its list
    taken         : rows that are not left
    """

    def __init__(self, plan: Plan, lines: Sequence[bytes], frame: Frame, bytes_max: int) -> None:
        n = len(lines)
        self.plan, self.frame = plan, frame
        self.text = b"\n".join((*lines, bytes(plan.spare)))
        self.raw = np.frombuffer(self.text, np.uint8)
        start = np.zeros(n + 1, np.int64)
        np.cumsum(np.fromiter(map(len, lines), np.int64, n) + 1, out=start[1:])
        self.kind: I1 = np.empty(n, np.int8)
        self.event_time_us: I8 = np.empty(n, np.int64)
        self.digest: I8 = np.empty(n, np.int64)
        self.spans: I8 = np.empty((n, len(plan.column)), np.int64)
        counts = np.zeros((2, len(plan.names)), np.int64)
        scan(
            self.raw, start, bytes_max, plan.field, plan.bound, plan.words, plan.table, plan.types, plan.needs,
            plan.need_of, plan.guess, frame.number, self.kind, self.event_time_us, self.spans, self.digest, counts,
        )  # fmt: skip
        self._decoded = ""
        self.taken = int(np.count_nonzero(self.kind))
        self._counts = counts

    @property
    def present(self) -> list[tuple[str, int]]:
        return self._counted(PRESENT)

    @property
    def unseen(self) -> list[tuple[str, int]]:
        return self._counted(UNSEEN)

    def _counted(self, which: int) -> list[tuple[str, int]]:
        found = np.flatnonzero(self._counts[which])
        names = self.plan.names
        return [
            (names[f], n)
            for f, n in zip(found.tolist(), self._counts[which][found].tolist(), strict=True)
        ]

    def _letters(self) -> str:
        """A letter a byte: only ASCII is taken, whatever else there is."""
        if not self._decoded:
            self._decoded = self.text.decode("ascii" if self.text.isascii() else "latin-1")
        return self._decoded

    def texts(self, key: str) -> list[str | None]:
        """The texts of a key, None where there is none, or where the row is left."""
        if key not in self.plan.column:
            return [None] * len(self.spans)
        spans = self.spans[:, self.plan.column[key]]
        if len(spans) < FEW:
            return [self.piece(span) if span >= 0 else None for span in spans.tolist()]
        text = self._letters()
        first, size = spans >> SIZE_BITS, spans & SIZE_MASK
        if spans.min(initial=0) >= 0:
            pairs = zip(first.tolist(), (first + size).tolist(), strict=True)
            return [text[a:b] for a, b in pairs]
        triples = zip(spans.tolist(), first.tolist(), (first + size).tolist(), strict=True)
        return [text[a:b] if span >= 0 else None for span, a, b in triples]

    def some_texts(self, key: str, rows: I8 | None = None) -> dict[int, str]:
        """The same by row, for keys that few rows have; None: every row that has it."""
        if key not in self.plan.column:
            return {}
        spans = self.spans[:, self.plan.column[key]]
        at = np.flatnonzero(spans >= 0) if rows is None else rows
        return {
            row: self.piece(span)
            for row, span in zip(at.tolist(), spans[at].tolist(), strict=True)
            if span >= 0
        }

    def piece(self, span: int) -> str:
        """The text of a span in `text`."""
        first = span >> SIZE_BITS
        return self.text[first : first + (span & SIZE_MASK)].decode()

    def with_rows(
        self, keys: Sequence[str], values: Iterable[tuple[int, int, str]]
    ) -> tuple[I8, U1]:
        """The spans of `keys`, with further texts (row, column, text) in them; and the bytes that they stand in."""
        spans = np.full((len(self.spans), len(keys)), -1, np.int64)
        for k, key in enumerate(keys):
            if key in self.plan.column:
                spans[:, k] = self.spans[:, self.plan.column[key]]
        pieces, at = [], len(self.text)
        for row, k, text in values:
            pieces.append(text.encode())
            spans[row, k] = at << SIZE_BITS | len(pieces[-1])
            at += len(pieces[-1])
        return spans, np.frombuffer(b"".join((self.text, *pieces, bytes(8))), np.uint8)


def piece(raw: U1, span: int) -> str:
    """The text of a span."""
    first = span >> SIZE_BITS
    return raw[first : first + (span & SIZE_MASK)].tobytes().decode()
