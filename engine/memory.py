"""Whether the process keeps to its memory budget: it warns at 80 %, and beyond it the run stops in order.

Nothing is ever cut to stay within a budget: a window that forgets on its own would decide wrongly in silence. So what
is left is to stop between two batches, with a snapshot, and to say what takes the memory. Looking at the process is not
deterministic, and no part of the core: a run that was stopped goes on from its snapshot with the same outcomes.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from config.errors import StateError
from config.memory import size_text
from engine.windows.events import EventLog
from engine.windows.plan import Windows
from engine.windows.tables import UPDATES_US, keep_us
from engine.windows.usage import logs_of, total_used_bytes, usage, used_bytes

WARN_AT: Final = 0.8
CALM_AT: Final = 0.7  # below it, the next warning is news again
LOOK_EVERY = 1_024  # records between two looks
_STATM = Path("/proc/self/statm")


class Stops(Protocol):
    """What the runner asks after each batch."""

    is_set: bool


class Holds(Protocol):
    """The part of a core that is looked at."""

    seq: int
    windows: list[Windows]


def resident_bytes() -> int:
    """Memory that the system has given to this process; 0 where it does not say so cheaply."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


@dataclass(slots=True)
class MemoryGuard:
    """An observer of the runner. Beyond the budget it asks for an orderly stop; `check` then raises.

    budget   : bytes; None: nothing is looked at
    is_over  : the budget was exceeded at some look
    used     : bytes at the last look: what the process holds, or what windows use where that is not known
    """

    core: Holds
    budget: int | None
    stop: Stops | None = None
    resident: Callable[[], int] = lambda: resident_bytes()  # noqa: PLW0108  (looked up when asked)
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)
    used: int = 0
    warnings: int = 0
    _looked_at: int = field(default=-LOOK_EVERY)
    _is_high: bool = False
    is_over: bool = False

    def __call__(self, _outcome: object) -> None:
        """Look, if enough records have come since the last time."""
        if self.budget is None or self.is_over:
            return
        if self.core.seq - self._looked_at >= LOOK_EVERY:
            self.look()

    def look(self) -> None:
        """Compare what is used with the budget: warn, or ask to stop."""
        assert self.budget is not None
        self._looked_at = self.core.seq
        self.used = max(self.resident(), total_used_bytes(self.core.windows))
        if self.used > self.budget:
            self.is_over = True
            if self.stop is not None:
                self.stop.is_set = True
        elif self.used >= WARN_AT * self.budget and not self._is_high:
            self._is_high = True
            self.warnings += 1
            self.say(
                f"warning: {size_text(self.used)} of memory in use, {self.used / self.budget:.0%} of "
                f"`memory_budget` {size_text(self.budget)}; at 100 % the engine stops in order. {self._most()}"
            )
        elif self.used < CALM_AT * self.budget:
            self._is_high = False

    def check(self) -> None:
        """Raise `StateError` if the run was stopped because of the budget."""
        if not self.is_over:
            return
        assert self.budget is not None
        raise StateError(
            f"{size_text(self.used)} of memory in use at seq {self.core.seq}, `memory_budget` is "
            f"{size_text(self.budget)}: stopped in order, the snapshot is written",
            why=f"{self._most()}; nothing is cut in silence",
            fix="raise `memory_budget` and go on in the same folder; or shorten the window of that feature",
        )

    def _most(self) -> str:
        """Which log takes most, and which of its features keeps its events longest."""
        logs = logs_of(self.core.windows)
        windows = sum(map(used_bytes, logs.values()))
        if not logs:
            return "There are no window features"
        name = max(logs, key=lambda n: used_bytes(logs[n]))
        log, found = logs[name], usage(logs[name])
        return (
            f"Windows use {size_text(windows)}, most of it the log {name} with {size_text(found.used_bytes)}: "
            f"{found.entities:,} entities of {8 * log.width} B, {found.events:,} events of "
            f"{8 * log.event_width} B and the room between, {found.values:,} values; its events are kept because "
            f"of feature `{keeper(log)}`"
        )


def keeper(log: EventLog) -> str:
    """The feature of a log because of which its events are kept that long; of several the first."""
    specs = [feature.spec for feature in log.features.values()]
    return max(specs, key=lambda spec: keep_us([spec], 0, UPDATES_US)).name
