"""Fill what came in without its past while the engine runs: rules that read it are in shadow until then.

    a core that is warming  ->  the process beside gets question and dictionaries, a few at a time
      ->  takes the journal in, and follows it  ->  when it is close, the engine finishes its round at seq T and waits
      ->  the process catches up to T, its answer is spliced in, and a record of the same configuration says so

Dictionaries grow at their ends only, so what stood in them when it began can be sent later. The process beside goes no
further than it is told, for with every step it is told which rows count in lists by then. What cannot be filled stays
warming, and the next start fills it before it takes anything in (engine/starting.py).
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from config.errors import StateError
from engine.backfill import ask, evidence_of, splice, waiting
from engine.clock import Clock
from engine.core import Core
from engine.framing import Told
from engine.proposals import ENGINE
from engine.reload import filling
from engine.reload.board import Board
from engine.reload.process import Beside
from engine.sharing import new_file, taken
from engine.state import Arrays

TEXTS_SENT: Final = 2_048  # between two batches
CLOSE: Final = 256  # records behind, so that the rest is a matter of milliseconds
ROUNDS_MAX: Final = 200  # of following without coming closer than that
WAIT_US: Final = (
    5_000_000  # for the rest, while transactions wait; a process that needs longer is let go of
)
PAUSE_US: Final = 200
RESTART: Final = "start `weir run` again to fill them from the journal"


class Fills(Protocol):
    """The engine's end of the process that derives the past."""

    @property
    def is_running(self) -> bool: ...

    def ask(self, request: Mapping[str, Any]) -> None: ...

    def take(self) -> bytes | Told | None: ...

    def arrays(self, told: Told) -> Arrays:
        """The answer that `told` announces."""
        ...

    def leave(self) -> None:
        """Have the process end, without waiting for it."""
        ...

    def stop(self) -> None: ...


class Runs(Protocol):
    """The part of a runner that is needed."""

    core: Core

    @property
    def written_seq(self) -> int:
        """Records before it are durable."""
        ...

    def settle(self) -> None:
        """Finish the round that is on its way."""
        ...

    def note_config(self, about: Mapping[str, Any], evidence: Mapping[str, object]) -> None:
        """Write a record of the configuration that is active already; the core has taken it in."""
        ...


class FillingProcess(Beside):
    """The process, and the file that its answers stand in."""

    def __init__(self, root: Path) -> None:
        self._file = new_file()
        super().__init__(["-m", "engine.reload.filling", str(root), str(self._file)], (self._file,))

    def arrays(self, told: Told) -> Arrays:
        return taken(self._file, told)

    def stop(self) -> None:
        super().stop()
        if self._file >= 0:
            os.ftruncate(self._file, 0)


class Filler:
    """One engine's filling of what is missing; `step` between any two batches.

    state : for people; "" when there is nothing to fill
    last  : figures of the last splice
    """

    def __init__(self, helper: Fills, clock: Clock, board: Board) -> None:
        self._helper, self._clock, self._board = helper, clock, board
        self._core: Core | None = None  # that it is about
        self._is_over = False  # for this core
        self._unsent: list[tuple[str, int, int]] = []  # dictionary, from, to
        self._is_following = False
        self._lists_version = self._orders_seq = -1
        self._forgotten: dict[str, int] = {}
        self._rounds = 0
        self.state = ""
        self.last: dict[str, float] = {}

    def step(self, runner: Runs) -> None:
        """Do a little of what is to be done."""
        core = runner.core
        if core is not self._core:
            self._begin(core)
        if self._is_over:
            return
        if self._unsent:
            self._send_texts(core)
            return
        if not self._helper.is_running:
            self._give_up(core, "the process that derives it has died")
            return
        if not self._is_following:
            self._is_following = True
            self._follow(runner)
            return
        told = self._helper.take()
        if told is None:
            return
        assert isinstance(told, dict), "pieces are for configurations"
        if "failed" in told:
            self._give_up(core, str(told["failed"]))
        elif "at" in told:
            self._rounds += 1
            if core.seq - told["at"] <= CLOSE:
                self._splice(runner)
            elif self._rounds > ROUNDS_MAX:
                self._give_up(core, "the process that derives it cannot keep up with the stream")
            else:
                self._follow(runner)

    def stop(self) -> None:
        """Let go of the process beside."""
        self._helper.stop()

    def _begin(self, core: Core) -> None:
        """Look at a core that has come in."""
        if self._core is not None and not self._is_over:
            self._helper.leave()
        self._core, self._unsent, self._is_following, self._rounds = core, [], False, 0
        self._is_over = not core.warming.unfilled
        self.state = "" if self._is_over else "being derived from the journal"
        if self._is_over:
            return
        question = ask(core, waiting(core), with_texts=False)
        self._lists_version, self._orders_seq = core.lists.version, _last_order(core)
        self._forgotten = dict(core.lists.forgotten_us)
        request = {"do": "begin", "config": core.config}
        self._helper.ask({**request, "question": filling.question_of(question)})
        for held in core.dictionaries.all_kept():
            n = len(held)
            pieces = range(0, n, TEXTS_SENT)
            self._unsent += [(held.name, k, min(k + TEXTS_SENT, n)) for k in pieces]
        self._unsent.reverse()

    def _send_texts(self, core: Core) -> None:
        name, first, last = self._unsent.pop()
        texts = core.dictionaries.kept(name).texts[first:last]
        self._helper.ask({"do": "texts", "dictionary": name, "texts": texts})

    def _follow(self, runner: Runs) -> None:
        orders = self._new_orders(runner.core)
        request = {"do": "follow", "to": runner.written_seq, "orders": filling.orders_of(orders)}
        self._helper.ask(request)

    def _new_orders(self, core: Core) -> list[Any]:
        """What made rows of lists count since the last time."""
        if core.lists.version == self._lists_version:
            return []
        self._lists_version = core.lists.version
        orders = [order for order in core.lists.orders() if order.row.seq > self._orders_seq]
        self._orders_seq = max([self._orders_seq, *(order.row.seq for order in orders)])
        return orders

    def _splice(self, runner: Runs) -> None:
        """Have the rest derived and take it over; transactions wait meanwhile."""
        core, began_ns = runner.core, self._clock.monotonic_ns()
        runner.settle()
        settled_ns = self._clock.monotonic_ns()
        orders = filling.orders_of(self._new_orders(core))
        forgotten = dict(core.lists.forgotten_us)
        request = {"do": "answer", "seq": core.seq + 1, "orders": orders}
        self._helper.ask({**request, "forgotten": forgotten})
        told = self._wait()
        if told is None or "failed" in told:
            why = "the rest took too long" if told is None else str(told["failed"])
            self._give_up(core, why)
            return
        answered_ns = self._clock.monotonic_ns()
        asked = waiting(core)
        core.seq += 1
        try:
            self._check_lists(core)
            filled = splice(core, asked, self._helper.arrays(told))
        except StateError as error:
            core.seq -= 1
            self._give_up(core, f"{error.what}; {error.why}")
            return
        spliced_ns = self._clock.monotonic_ns()
        runner.note_config({"by": ENGINE, "reason": "filled"}, evidence_of(core, asked, filled))
        self._helper.leave()
        self._is_over, self.state = True, ""
        self.last = {
            "fill_settle_ms": round((settled_ns - began_ns) / 1e6, 3),
            "fill_wait_ms": round((answered_ns - settled_ns) / 1e6, 3),
            "fill_splice_ms": round((spliced_ns - answered_ns) / 1e6, 3),
            "fill_stall_ms": round((self._clock.monotonic_ns() - began_ns) / 1e6, 3),
            "fill_bytes": told.get("bytes", 0),
            "fill_answer_ms": told.get("took_ms", 0.0),
        }
        self._board.last |= self.last
        self._board.note(
            f"{len(asked.fresh)} features have their past since seq {core.seq - 1}, "
            f"derived from seq {filled.filled_from} on"
        )
        self._show(core)

    def _check_lists(self, core: Core) -> None:
        """Refuse where whoever derives it again would know less than the process beside was told."""
        if core.lists.forgotten_us != self._forgotten:
            raise StateError("rows of lists that had ended were forgotten meanwhile")

    def _wait(self) -> Told | None:
        until_ns = self._clock.monotonic_ns() + WAIT_US * 1_000
        while self._clock.monotonic_ns() < until_ns:
            told = self._helper.take()
            if isinstance(told, dict) and ("answer" in told or "failed" in told):
                return told
            if told is None:
                if not self._helper.is_running:
                    return None
                self._clock.sleep_us(PAUSE_US)
        return None

    def _give_up(self, core: Core, why: str) -> None:
        """Leave it as it is until the next start."""
        self._is_over = True
        self._helper.leave()
        self.state = f"not filled: {why}; {RESTART}"
        names = ", ".join(sorted(core.warming.unfilled.features)) or "what is kept of transactions"
        self._board.note(f"{names}: {self.state}")
        self._show(core)

    def _show(self, core: Core) -> None:
        self._board.filling = self.state
        self._board.show(core, self._board.phases)


def _last_order(core: Core) -> int:
    return max((order.row.seq for order in core.lists.orders()), default=-1)


def can_fill() -> bool:
    """Whether processes can share a file that was opened before they began."""
    return sys.platform != "win32"
