"""One call for the messages of a batch: bytes in, columns and spans out."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.batch import TRANSACTION
from engine.decoding.quality import Quality
from engine.joined import join
from engine.scanning.kernels.layout import COUNTS, PRESENT, SIZE_BITS, SPANNED, TAKEN
from engine.scanning.kernels.scan import scan
from engine.scanning.plan import Plan
from rules.columns import Frame

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]
U1: TypeAlias = NDArray[np.uint8]

FEW = 64  # so many values are faster one by one than through numpy
SIZE_MASK = (1 << SIZE_BITS) - 1


class Scan:
    """What was read of `lines`; rows of kind 0 are left to engine/decoding/, and nothing of them is here.

    kind          : (n,) int8                event_time_us : (n,) int64  -1 for none
    spans         : (n, columns of the plan) where texts stand in `raw`, see kernels/codes.py
    digest        : (n,) int64               frame         : given; its numbers are written where a row was taken
    counts        : (COUNTS, width of the plan) int64  by field: transactions that have it (other kinds too where it is
                    an unknown key), values outside its list; by column: rows with a text; by kind: rows
    taken         : rows that are not left
    """

    def __init__(
        self,
        plan: Plan,
        lines: Sequence[bytes],
        frame: Frame,
        bytes_max: int,
        taken_min: int,
        totals: I8,
    ) -> None:
        """Read the messages.

        bytes_max : longer ones are left
        totals    : the counts of engine/decoding/quality.py; updated if at least `taken_min` rows were taken
        """
        n = len(lines)
        self.plan, self.frame = plan, frame
        self.joined = join(lines, plan.spare)
        self.text = self.joined.text
        raw = np.frombuffer(self.text, np.uint8)
        self.kind: I1 = np.empty(n, np.int8)
        self.event_time_us: I8 = np.empty(n, np.int64)
        self.digest: I8 = np.empty(n, np.int64)
        self.spans: I8 = np.empty((n, len(plan.column)), np.int64)
        self.counts = np.zeros((COUNTS, plan.width), np.int64)
        scan(
            raw, self.joined.length, bytes_max, plan.field, plan.bound, plan.words, plan.table, plan.types, plan.needs,
            plan.need_of, plan.guess, frame.number, self.kind, self.event_time_us, self.spans, self.digest, self.counts,
            taken_min, totals,
        )  # fmt: skip
        self._decoded = ""
        self._spanned = self.counts[SPANNED].tolist()
        self.kinds: list[int] = self.counts[TAKEN].tolist()
        self.taken = sum(self.kinds)

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
            text, piece = self.text, self.piece
            return [piece(text, span) if span >= 0 else None for span in spans.tolist()]
        letters = self._letters()
        first, size = spans >> SIZE_BITS, spans & SIZE_MASK
        if spans.min(initial=0) >= 0:
            pairs = zip(first.tolist(), (first + size).tolist(), strict=True)
            return [letters[a:b] for a, b in pairs]
        triples = zip(spans.tolist(), first.tolist(), (first + size).tolist(), strict=True)
        return [letters[a:b] if span >= 0 else None for span, a, b in triples]

    def some_texts(self, key: str, rows: I8 | None = None) -> dict[int, str]:
        """The same by row, for keys that few rows have; None: every row that has it."""
        column = self.plan.column.get(key, -1)
        if column < 0 or not self._spanned[column]:
            return {}
        spans = self.spans[:, column]
        at = np.flatnonzero(spans >= 0) if rows is None else rows
        return {
            row: self.piece(self.text, span)
            for row, span in zip(at.tolist(), spans[at].tolist(), strict=True)
            if span >= 0
        }

    @staticmethod
    def piece(text: bytes, span: int) -> str:
        """The text of a span."""
        first = span >> SIZE_BITS
        return text[first : first + (span & SIZE_MASK)].decode()

    def count_into(self, quality: Quality) -> None:
        """Count the transactions, and the fields of the rows that the schema does not have."""
        plan, counts = self.plan, self.counts
        quality.n_transactions += self.kinds[TRANSACTION]
        strange = plan.names[plan.n_struct :]
        if strange:
            found = counts[PRESENT, plan.n_struct : len(plan.names)].tolist()
            for name, count in zip(strange, found, strict=True):
                if count:
                    quality.unknown[name] = quality.unknown.get(name, 0) + count

    def with_rows(
        self, keys: Sequence[str], values: Iterable[tuple[int, int, str]]
    ) -> tuple[I8, bytes]:
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
        return spans, b"".join((self.text, *pieces, bytes(8)))
