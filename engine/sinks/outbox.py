"""The outbox: which commands of commands.ndjson still have to reach core banking, in which order, and when next.

At least once: a command is settled only once it was answered and the engine has its answer in the journal; what was
not is sent again after a crash, with the same key. In order: commands about one entity (or, without an entity, one
account) form a lane, and the next one of a lane leaves when the one before it is settled; lanes do not wait for each
other. A failure is followed by a wait that doubles up to a bound, of which a random part (up to half) is left out, so
that lanes that failed together do not come back together.

Only commands that say `effect: enforce` are sent, and of those from before the mode became observe only what lifts
something (`withhold`). What a withheld command would have restricted needs no release either, if it surely never left:
it came while this process ran, and was never tried. Memory is bounded: `WINDOW` commands are known at a time; beyond
that, reading waits. A file keeps the place: {"at", "anchor", "high", "open"} says that everything before `at` is
settled, and between `at` and `high` everything but what begins at `open`. So says every state that was ever written,
and one that comes late, from a process that was thought dead, costs repetitions at most.

No clock, no threads, no network here: engine/sinks/dispatching.py has them.
"""

import heapq
import random
from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.durable.disk import Disk
from engine.sinks.tail import Tail, read_state, write_state

FILE: Final = "outbox.json"
STREAM: Final = "commands.ndjson"
WINDOW: Final = 50_000
FILL: Final = 1_000  # lines looked at in one go
DOUBLINGS_MAX: Final = 30
LIFTING: Final = frozenset({"release", "expired"})  # verbs that free somebody


class _Line(msgspec.Struct):
    """What the outbox reads of a command."""

    command_id: str
    key: str
    verb: str
    effect: str = "observe"
    seq: int = 0
    restriction_id: str = ""
    entity: dict[str, str] = {}
    account: str | None = None


@dataclass(slots=True, eq=False)
class Pending:
    """A command that is not settled."""

    start: int  # where its line begins
    body: bytes  # the line, as the engine wrote it
    command_id: str
    key: str
    verb: str
    restriction_id: str
    lane: str
    seq: int
    seen_us: int  # monotonic
    attempts: int = 0


class Outbox:
    """Commands of one stream that are not settled yet. Times are microseconds of one monotonic clock of the caller.

    path     : where the place is kept
    is_alone : nobody else can be delivering the same stream
    """

    def __init__(
        self,
        tail: Tail,
        disk: Disk,
        path: Path,
        *,
        retry_first_us: int,
        retry_max_us: int,
        seed: int,
        window: int = WINDOW,
        is_alone: bool = True,
    ) -> None:
        self._tail, self._disk, self._path = tail, disk, path
        self._retry_first_us, self._retry_max_us = retry_first_us, retry_max_us
        self._chance = random.Random(seed)  # noqa: S311 - spreads attempts, guards nothing
        self._window = window
        self._decode = msgspec.json.Decoder(_Line).decode
        state = read_state(disk, self._path)
        self._high, self._open = 0, frozenset[int]()
        self.began_again = False
        if state:
            at, high = int(state.get("at", 0)), int(state.get("high", 0))
            if self._tail.holds(at, str(state.get("anchor", ""))):
                self._tail.at, self._high = at, high
                self._open = frozenset(state.get("open", ()))
            else:
                self.began_again = True
        self._written = state
        # what stands before that may have left in another life
        self._fresh_from = self._tail.at + self._tail.n_unread if is_alone else None
        self._withheld_before = 0
        self._never_left: set[str] = set()  # restrictions
        self._pending: dict[int, Pending] = {}  # by start, in order
        self._lanes: dict[str, deque[Pending]] = {}
        self._due: list[
            tuple[int, int]
        ] = []  # (when, start) of the first of each lane not on its way
        self._settled_high = self._high

    # What there is

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def n_unread(self) -> int:
        """What stands in the stream and has not been looked at, see `Tail`."""
        return self._tail.n_unread

    @property
    def n_seen(self) -> int:
        """How far the stream has been looked at."""
        return self._tail.at

    def oldest_us(self, now_us: int) -> int:
        """How long the oldest command has been waiting; 0 if none is."""
        first = next(iter(self._pending.values()), None)
        return now_us - first.seen_us if first is not None else 0

    def fill(self, now_us: int) -> None:
        """Take in what was added to the stream, as long as there is room."""
        room = min(FILL, self._window - len(self._pending))
        if room <= 0:
            return
        for start, text in self._tail.read(room):
            if start < self._high and start not in self._open:
                continue
            line = self._decode(text)
            if line.effect != "enforce":
                continue
            of = line.entity or {"account": line.account or ""}
            lane = "\x1f".join((*of.keys(), *of.values()))
            pending = Pending(
                start,
                text,
                line.command_id,
                line.key,
                line.verb,
                line.restriction_id,
                lane,
                line.seq,
                now_us,
            )
            self._pending[start] = pending
            waiting = self._lanes.setdefault(lane, deque())
            waiting.append(pending)
            if len(waiting) == 1:
                heapq.heappush(self._due, (now_us, start))

    # What is to be done

    def next_due_us(self) -> int | None:
        """When the next command may leave; None if none waits for its turn."""
        return self._due[0][0] if self._due else None

    def take(self, now_us: int) -> Pending | None:
        """A command whose turn it is; it is on its way until `settle` or `retry`."""
        if not self._due or self._due[0][0] > now_us:
            return None
        _, start = heapq.heappop(self._due)
        pending = self._pending[start]
        pending.attempts += 1
        return pending

    def withhold(self, before_seq: int, now_us: int) -> None:
        """Let no command with a smaller seq leave any more, but those that lift something."""
        self._withheld_before = before_seq
        if not before_seq:
            return
        self._due = [  # whose turn it is not to leave, need not wait for it
            (now_us if self.is_withheld(self._pending[start]) else due_us, start)
            for due_us, start in self._due
        ]
        heapq.heapify(self._due)

    def is_withheld(self, pending: Pending) -> bool:
        """Whether a command must not leave."""
        return pending.seq < self._withheld_before and pending.verb not in LIFTING

    def drop(self, pending: Pending) -> None:
        """A command that was taken does not leave; it is on its way until that is settled."""
        is_fresh = self._fresh_from is not None and pending.start >= self._fresh_from
        if pending.attempts == 1 and is_fresh and pending.restriction_id:
            self._never_left.add(pending.restriction_id)

    def is_needless(self, pending: Pending) -> bool:
        """Whether a command would lift what surely never left."""
        return pending.verb in LIFTING and pending.restriction_id in self._never_left

    def settle(self, pending: Pending, now_us: int) -> None:
        """Core banking has answered, and that is durable; the next of its lane may leave."""
        del self._pending[pending.start]
        self._settled_high = max(self._settled_high, pending.start + 1)
        lane = self._lanes[pending.lane]
        first = lane.popleft()
        assert first is pending, "a lane was overtaken"
        if lane:
            heapq.heappush(self._due, (now_us, lane[0].start))
        else:
            del self._lanes[pending.lane]

    def retry(self, pending: Pending, now_us: int, after_us: int = 0) -> int:
        """An attempt has failed: wait before the next, at least `after_us`; return when it is."""
        doublings = min(pending.attempts - 1, DOUBLINGS_MAX)
        wait_us = min(self._retry_max_us, self._retry_first_us << doublings)
        wait_us = max(round(wait_us * self._chance.uniform(0.5, 1.0)), after_us)
        if self.is_withheld(pending):
            wait_us = 0
        heapq.heappush(self._due, (now_us + wait_us, pending.start))
        return now_us + wait_us

    # What is kept

    def state(self) -> dict[str, Any]:
        """What is kept."""
        at = next(iter(self._pending), self._tail.at)
        high = max(at, self._settled_high)
        unsettled = list(takewhile(lambda start: start < high, self._pending))
        return {"at": at, "anchor": self._tail.anchor(at), "high": high, "open": unsettled}

    def keep(self) -> None:
        """Write down how far everything has got, if that has changed; durable when it returns."""
        state = self.state()
        if state != self._written:
            write_state(self._disk, self._path, state)
            self._written = state
