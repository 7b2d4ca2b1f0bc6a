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

from engine.kernels.lines import FIXED_BYTES, LITERAL, NUMBER_BYTES, NUMBER_MAX, write_lines
from engine.outcomes import decision_text, model_order, quoted
from engine.patterns import Pattern
from engine.verdict import DecideInputs

B1: TypeAlias = NDArray[np.bool_]
I8: TypeAlias = NDArray[np.int64]
U1: TypeAlias = NDArray[np.uint8]

FEW: Final = (
    8  # rows below which a loop costs less than numpy's calls (3 us a row against 25 us a batch)
)


class QuietLines:
    """Write decisions; the memory they are written to is kept from batch to batch."""

    def __init__(self) -> None:
        self._out: U1 = np.empty(1 << 16, np.uint8)
        self._names: tuple[str, ...] | None = (
            None  # of the models of the last batch, and what stands before scores
        )
        self._keys = _laid_out([])

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
        rows, names = np.flatnonzero(quiet), model_order(inputs.models)
        given = {row: line.encode() for row, line in lines.items()}
        odd = rows if 0 < len(rows) < FEW else _odd(inputs, quiet, rows, names)
        for row in odd.tolist():
            pattern = patterns[which[row]]
            given[row] = decision_text(
                int(inputs.seq[row]),
                inputs.transaction_id[row],
                int(inputs.event_time_us[row]),
                inputs.account[row],
                [(name, float(inputs.models[name][row])) for name in names],
                pattern.head,
                pattern.tail,
            ).encode()
        if len(odd) == len(rows) and len(quiet):  # an empty batch warms the kernel up
            return b"".join(given[row] for row in sorted(given))
        made = quiet
        if len(odd):
            made = quiet.copy()
            made[odd] = False
        if given:
            told = made.copy()
            told[list(given)] = True
            rows = np.flatnonzero(told)
        return self._run(inputs, rows, made, which, patterns, given, names)

    def _run(
        self,
        inputs: DecideInputs,
        rows: I8,
        made: B1,
        which: I8,
        patterns: Sequence[Pattern],
        given: Mapping[int, bytes],
        names: tuple[str, ...],
    ) -> bytes:
        """Have the kernel write `rows`; those of them in `made` from columns, the others are `given`."""
        pattern = np.where(made[rows], which[rows], LITERAL) if given else which[rows]
        scores = np.empty((len(names), len(rows)))
        for k, name in enumerate(names):
            scores[k] = inputs.models[name][rows]
        is_made = made.tolist()
        ids, id_end = _laid_out_texts(compress(inputs.transaction_id, is_made))
        accounts, account_end = _laid_out_texts(compress(inputs.account, is_made))
        literals, literal_end = _laid_out([given[row] for row in sorted(given)])
        if self._names != names:
            self._names, self._keys = names, _laid_out(_keys(names))
        keys, key_end = self._keys
        heads_and_tails = [text.encode() for p in patterns for text in (p.head, p.tail)]
        texts, text_end = _laid_out(heads_and_tails)
        n_bytes = np.array(list(map(len, heads_and_tails))).reshape(-1, 2).sum(axis=1)
        room = (FIXED_BYTES + NUMBER_BYTES * len(names) + len(keys)) * len(rows)
        room += len(ids) + len(accounts) + len(literals) + int(n_bytes[which[rows]].sum())
        if len(self._out) < room:
            self._out = np.empty(room + room // 4, np.uint8)
        length = write_lines(
            inputs.seq[rows], inputs.event_time_us[rows], pattern, literals, literal_end, ids, id_end,
            accounts, account_end, scores, keys, key_end, texts, text_end, self._out,
        )  # fmt: skip
        return self._out[:length].tobytes()


def _odd(inputs: DecideInputs, quiet: B1, rows: I8, names: Sequence[str]) -> I8:
    """Those of `rows` that Python has to write: an id that needs an escape, or none; a score that is very large."""
    found = np.zeros(len(rows), np.bool_)
    for name in names:
        size = np.abs(inputs.models[name][rows])
        found |= (size >= NUMBER_MAX) & (size < np.inf)
    is_quiet = quiet.tolist()
    for column in (inputs.transaction_id, inputs.account):
        texts = list(compress(column, is_quiet))
        if not _goes_as_it_is(texts):
            found |= [not _goes_as_it_is([text]) for text in texts]
    return rows[found]


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
    whole = np.frombuffer("".join(pieces).encode(), np.uint8)
    return whole, np.fromiter(accumulate(map(len, pieces)), np.int64, len(pieces))


def _laid_out(pieces: Sequence[bytes]) -> tuple[U1, I8]:
    """Pieces one behind the other, and where each ends."""
    whole = np.frombuffer(b"".join(pieces), np.uint8)
    return whole, np.fromiter(accumulate(map(len, pieces)), np.int64, len(pieces))
