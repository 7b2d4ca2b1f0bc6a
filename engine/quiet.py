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
from engine.outcomes import decision_text, is_plain, model_order, quoted
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
        odd = rows if 0 < len(rows) < FEW else _odd(inputs, rows, names)
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
        made = quiet.copy()
        made[odd] = False
        told = made.copy()
        told[list(given)] = True
        return self._run(inputs, np.flatnonzero(told), made, which, patterns, given, names)

    def _run(
        self,
        inputs: DecideInputs,
        rows: I8,
        made: B1,
        which: I8,
        patterns: Sequence[Pattern],
        given: Mapping[int, bytes],
        names: Sequence[str],
    ) -> bytes:
        """Have the kernel write `rows`; those of them in `made` from columns, the others are `given`."""
        pattern = np.where(made[rows], which[rows], LITERAL)
        scores = np.empty((len(names), len(rows)))
        for k, name in enumerate(names):
            scores[k] = inputs.models[name][rows]
        is_made = made.tolist()
        ids, id_end = _laid_out(_encoded(compress(inputs.transaction_id, is_made)))
        accounts, account_end = _laid_out(_encoded(compress(inputs.account, is_made)))
        literals, literal_end = _laid_out([given[row] for row in sorted(given)])
        commas = ("", *("," for _ in names[1:]))
        keys, key_end = _laid_out(
            [f"{c}{quoted(name)}:".encode() for c, name in zip(commas, names, strict=False)]
        )
        heads_and_tails = [text.encode() for p in patterns for text in (p.head, p.tail)]
        texts, text_end = _laid_out(heads_and_tails)
        n_bytes = np.diff(text_end, prepend=0).reshape(-1, 2).sum(axis=1)
        each = FIXED_BYTES + NUMBER_BYTES * len(names) + len(keys)
        room = each * len(rows) + len(ids) + len(accounts) + len(literals)
        room += int(n_bytes[which[rows]].sum())
        if len(self._out) < room:
            self._out = np.empty(room + room // 4, np.uint8)
        length = write_lines(
            inputs.seq[rows], inputs.event_time_us[rows], pattern, literals, literal_end, ids, id_end,
            accounts, account_end, scores, keys, key_end, texts, text_end, self._out,
        )  # fmt: skip
        return self._out[:length].tobytes()


def _odd(inputs: DecideInputs, rows: I8, names: Sequence[str]) -> I8:
    """Those of `rows` that Python has to write: an id that needs an escape, or none; a score that is very large."""
    found = np.zeros(len(rows), np.bool_)
    for name in names:
        column = inputs.models[name][rows]
        found |= (np.abs(column) >= NUMBER_MAX) & np.isfinite(column)
    places = rows.tolist()
    for column_of in (inputs.transaction_id, inputs.account):
        texts = [column_of[row] for row in places]
        if not _goes_as_it_is(texts):
            found |= [not _goes_as_it_is([text]) for text in texts]
    return rows[found]


def _goes_as_it_is(texts: Sequence[str | None]) -> bool:
    """Whether each may stand between quotes as it is, a byte a character."""
    return is_plain(texts) and all(map(str.isascii, texts))  # type: ignore[arg-type]


def _encoded(texts: "compress[str | None]") -> list[bytes]:
    return [text.encode() for text in texts if text is not None]


def _laid_out(pieces: Sequence[bytes]) -> tuple[U1, I8]:
    """Pieces one behind the other, and where each ends."""
    whole = np.frombuffer(b"".join(pieces), np.uint8)
    return whole, np.fromiter(accumulate(map(len, pieces)), np.int64, len(pieces))
