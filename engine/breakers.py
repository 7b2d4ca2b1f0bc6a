"""Breakers: automation may freeze, hold, challenge or decline at most a share of the transactions of the last minutes.

Both counts slide over core time and are exact: an action or a transaction at t counts for those in t .. t + window, the
end not included. Quiet transactions are counted by column, a few array operations a batch, and never one by one.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.decisions import Verb
from engine.kernels.survey import note_times

I8: TypeAlias = NDArray[np.int64]

MILLION: Final = 1_000_000
ROOM: Final = 64  # entries a fresh log has room for


@dataclass(frozen=True, slots=True)
class Full:
    """A breaker without room: the numbers behind it."""

    verb: str
    taken: int  # actions in the window
    limit: int
    transactions: int  # in the window, this one included


class Breakers:
    """What automation has done of late, beside how many transactions there were.

    shares  : verb -> the share of transactions it may concern
    minimum : as many of each verb are allowed in a window whatever the share
    """

    def __init__(self, shares: Mapping[Verb, float], minimum: int, window_us: int) -> None:
        self._ppm: dict[str, int] = {verb: round(share * MILLION) for verb, share in shares.items()}
        self._minimum = minimum
        self._window_us = window_us
        self._taken: dict[str, deque[int]] = {}
        self._time = np.empty(ROOM, np.int64)  # core times at which there were transactions
        self._count = np.empty(ROOM, np.int64)  # transactions up to the last of that time
        self._first = self._end = 0  # of the entries in use
        self._before = 0  # transactions before the first entry
        self._total = 0
        self._total_before_batch = 0
        self._of_batch: I8 | None = None
        self._is_counted: NDArray[np.bool_] | None = None

    def see(self, core_us: I8, transactions: NDArray[np.bool_]) -> None:
        """Count the transactions of a batch before its rows are decided.

        core_us      : (n,) int64  core time of each row; never falls
        transactions : (n,) bool
        """
        self._total_before_batch = self._total
        self._is_counted, self._of_batch = transactions, None
        if not self._ppm:
            return
        self._make_room(len(core_us))
        self._end, self._total = note_times(
            core_us, transactions, self._time, self._count, self._first, self._end, self._total
        )

    def full(self, verb: str, row: int, now_us: int) -> Full | None:
        """The numbers, if one more action of `verb` at `row` of the batch would be too many; None if it has room."""
        ppm = self._ppm.get(verb)
        if ppm is None:
            return None
        taken = self._taken.get(verb) or deque()
        while taken and taken[0] <= now_us - self._window_us:
            taken.popleft()
        if len(taken) < self._minimum:
            return None
        n = self._transactions(row, now_us)
        limit = max(self._minimum, ppm * n // MILLION)
        return Full(verb, len(taken), limit, n) if len(taken) >= limit else None

    def take(self, verb: str, now_us: int) -> None:
        """Count an action; the caller has asked for room."""
        if verb in self._ppm:
            self._taken.setdefault(verb, deque()).append(now_us)

    def _transactions(self, row: int, now_us: int) -> int:
        """Transactions of the window that ends with `row` of the batch."""
        assert self._is_counted is not None
        if self._of_batch is None:
            self._of_batch = np.cumsum(self._is_counted)
        used = self._time[self._first : self._end]
        gone = int(np.searchsorted(used, now_us - self._window_us, side="right"))
        before = int(self._count[self._first + gone - 1]) if gone else self._before
        return self._total_before_batch + int(self._of_batch[row]) - before

    def _make_room(self, n: int) -> None:
        """Let go of what left the window, and see that `n` more entries fit."""
        if self._end + n <= len(self._time):
            return
        used = self._time[self._first : self._end]
        if len(used):
            gone = int(np.searchsorted(used, used[-1] - self._window_us, side="right"))
            if gone:
                self._before = int(self._count[self._first + gone - 1])
                self._first += gone
        kept = slice(self._first, self._end)
        held = self._end - self._first
        size = max(ROOM, 2 * (held + n))
        for name in ("_time", "_count"):
            grown = np.empty(size, np.int64)
            grown[:held] = getattr(self, name)[kept]
            setattr(self, name, grown)
        self._first, self._end = 0, held

    def save(self) -> dict[str, I8]:
        """The transactions of the newest window, as (k,) times and how many there were at each."""
        times, count = self._time[self._first : self._end], self._count[self._first : self._end]
        at = np.diff(count, prepend=self._before)
        if len(times):
            kept = times > times[-1] - self._window_us
            times, at = times[kept], at[kept]
        return {"breaker_time_us": times.copy(), "breaker_count": at.astype(np.int64)}

    def taken(self) -> list[tuple[str, list[int]]]:
        return [(verb, list(times)) for verb, times in sorted(self._taken.items())]

    def restore(
        self, saved: Mapping[str, NDArray[Any]], taken: Iterable[tuple[str, list[int]]]
    ) -> None:
        """Take over what `save` and `taken` gave."""
        self._taken = {verb: deque(times) for verb, times in taken}
        times, at = saved["breaker_time_us"], saved["breaker_count"]
        self._time, self._count = times.astype(np.int64), np.cumsum(at, dtype=np.int64)
        self._first, self._end, self._before = 0, len(times), 0
        self._total = int(self._count[-1]) if len(times) else 0
