"""Decisions of a batch as bytes: quiet rows by the thousand through a kernel, the others as they were written before.

Most decisions are quiet: approved, nothing fired, nothing restricted. Their lines differ in seq, ids, time and scores;
what else they say is one of few patterns (engine/patterns.py). Made of Python strings, column by column, a line took
3 us or more.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, compress
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.kernels.lines import FIXED_BYTES, LITERAL, NUMBER_BYTES, NUMBER_MAX, SPARE, write_lines
from engine.outcomes import decision_text, model_order, quoted
from engine.patterns import Pattern
from engine.verdict import DecideInputs

B1: TypeAlias = NDArray[np.bool_]
I8: TypeAlias = NDArray[np.int64]
U1: TypeAlias = NDArray[np.uint8]

ALL: Final = slice(None)
FEW: Final = (
    8  # rows below which a loop costs less than numpy's calls (3 us a row against 25 us a batch)
)


class QuietLines:
    """Write decisions; the memory they are written to is kept, and what stands in every line until it changes."""

    def __init__(self) -> None:
        self._out: U1 = np.empty(1 << 16, np.uint8)
        self._models: tuple[str, ...] | None = None  # whose scores the last batch had
        self._names: tuple[str, ...] = ()  # of these in the order of a line
        self._keys = _laid_out([])  # what stands before each score
        self._patterns: Sequence[Pattern] = ()
        self._texts = _laid_out([])  # their heads and tails
        self._n_bytes = np.empty(0, np.int64)  # of head and tail of each

    def write(
        self,
        inputs: DecideInputs,
        quiet: B1,
        which: I8,
        patterns: Sequence[Pattern],
        lines: Mapping[int, str],
    ) -> bytes:
        """Lines of all rows that have one, in order.

        quiet : (n,) bool   rows that are quiet      which : (n,) int64  pattern of each
        lines : row -> line of the others
        """
        self._prepare(tuple(inputs.models), patterns)
        given = {row: line.encode() for row, line in lines.items()}
        made = quiet.tolist()
        rows = list(compress(range(len(made)), made))
        odd = rows if 0 < len(rows) < FEW else self._odd(inputs, rows)
        for row in odd:
            pattern = patterns[which[row]]
            given[row] = decision_text(
                int(inputs.seq[row]),
                inputs.transaction_id[row],
                int(inputs.event_time_us[row]),
                inputs.account[row],
                [(name, float(inputs.models[name][row])) for name in self._names],
                pattern.head,
                pattern.tail,
            ).encode()
            made[row] = False
        if len(odd) == len(rows) and made:  # an empty batch warms the kernel up
            return b"".join(given[row] for row in sorted(given))
        return self._run(inputs, made, which, given)

    def _prepare(self, models: tuple[str, ...], patterns: Sequence[Pattern]) -> None:
        """Lay out what stands in every line, where it is not what the last batch had."""
        if self._models != models:
            self._models, self._names = models, model_order(models)
            self._keys = _laid_out(_keys(self._names))
        if self._patterns != patterns:
            self._patterns = patterns
            heads_and_tails = [text.encode() for p in patterns for text in (p.head, p.tail)]
            self._texts = _laid_out(heads_and_tails)
            self._n_bytes = np.array(list(map(len, heads_and_tails))).reshape(-1, 2).sum(axis=1)

    def _odd(self, inputs: DecideInputs, rows: list[int]) -> list[int]:
        """Those of `rows` that Python has to write: an id that needs an escape, or none; a score that is very large."""
        odd: set[int] = set()
        for column in (inputs.transaction_id, inputs.account):
            texts = list(map(column.__getitem__, rows))
            if not _goes_as_it_is(texts):
                pairs = zip(rows, texts, strict=True)
                odd |= {row for row, text in pairs if not _goes_as_it_is([text])}
        for name in self._names:
            size = np.abs(inputs.models[name])
            if np.count_nonzero(size >= NUMBER_MAX):
                large = np.flatnonzero((size >= NUMBER_MAX) & (size < np.inf)).tolist()
                odd |= set(rows) & set(large)
        return sorted(odd)

    def _run(
        self, inputs: DecideInputs, made: list[bool], which: I8, given: Mapping[int, bytes]
    ) -> bytes:
        """Have the kernel write the rows that are `made`, from columns, and those that are `given`."""
        n, names, pattern = len(made), self._names, which
        rows: I8 | slice = ALL
        if given or not all(made):
            told = np.array(made, np.bool_)
            told[list(given)] = True
            rows = some = np.flatnonzero(told)
            n, pattern = len(some), np.where(made, which, LITERAL)[some]
        scores = np.empty((len(names), n))
        for k, name in enumerate(names):
            scores[k] = inputs.models[name][rows]
        ids, id_end = _laid_out_texts(compress(inputs.transaction_id, made))
        accounts, account_end = _laid_out_texts(compress(inputs.account, made))
        literals, literal_end = _laid_out([given[row] for row in sorted(given)])
        (keys, key_end), (texts, text_end) = self._keys, self._texts
        room = len(SPARE) + (FIXED_BYTES + NUMBER_BYTES * len(names) + len(keys)) * n
        room += len(ids) + len(accounts) + len(literals)
        room += (
            int(self._n_bytes[which[rows]].sum())
            if len(self._n_bytes) > 1
            else n * int(self._n_bytes[0])
        )
        if len(self._out) < room:
            self._out = np.empty(room + room // 4, np.uint8)
        length = write_lines(
            inputs.seq[rows], inputs.event_time_us[rows], pattern, literals, literal_end, ids, id_end,
            accounts, account_end, scores, keys, key_end, texts, text_end, self._out,
        )  # fmt: skip
        return self._out[:length].tobytes()


def _goes_as_it_is(texts: Sequence[str | None]) -> bool:
    """Whether each may stand between quotes as it is, a byte a character."""
    try:
        whole = "".join(texts)  # type: ignore[arg-type]
    except TypeError:  # a None among them
        return False
    return whole.isascii() and whole.isprintable() and '"' not in whole and "\\" not in whole


def _keys(names: Sequence[str]) -> list[bytes]:
    """What stands before each score."""
    return [f"{',' if k else ''}{quoted(name)}:".encode() for k, name in enumerate(names)]


def _laid_out_texts(texts: "compress[str | None]") -> tuple[U1, I8]:
    """ASCII texts one behind the other, and where each ends."""
    pieces = [text for text in texts if text is not None]
    whole = np.frombuffer("".join(pieces).encode() + SPARE, np.uint8)
    return whole, np.fromiter(accumulate(map(len, pieces)), np.int64, len(pieces))


def _laid_out(pieces: Sequence[bytes]) -> tuple[U1, I8]:
    """Pieces one behind the other, and where each ends."""
    whole = np.frombuffer(b"".join((*pieces, SPARE)), np.uint8)
    return whole, np.fromiter(accumulate(map(len, pieces)), np.int64, len(pieces))
