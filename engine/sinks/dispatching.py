"""The process that delivers commands: `python -m engine.sinks.dispatching`, started by a live engine.

One thread decides (outbox, pipes, the watch over attempts), `in_flight` threads send. What core banking answers goes to
the engine as records numbered `n`; a command is settled when the engine says that the record is in its journal. So an
answer is never lost: whatever is killed, the command is sent again, core banking knows its key, and answers again.
"""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import msgspec

from config.durations import duration_text
from config.errors import WeirError
from config.outlets import SinkSettings
from engine.clock import Clock, SystemClock, random_bytes
from engine.durable.disk import Disk
from engine.sinks.file import FileSink
from engine.sinks.outbox import FILE, STREAM, Outbox, Pending
from engine.sinks.serving import Ear, encryption_of, open_disk, read_secret
from engine.sinks.sink import ACKNOWLEDGED, AGAIN, REJECTED, Answer, Sink
from engine.sinks.tail import FolderTail, Tail
from engine.sinks.webhook import Webhook

LOOK_EVERY_US: Final = 20_000
KEEP_EVERY_US: Final = 200_000
TELL_EVERY_US: Final = 500_000
WARN_EVERY_US: Final = 60_000_000
UNCONFIRMED_MAX: Final = 1_024
ANSWERED: Final = frozenset({"restrict", "release"})  # verbs whose answer the engine waits for
BY: Final = "core_banking"


@dataclass(slots=True, eq=False)
class Attempt:
    """A command on its way, by thread `worker`."""

    outbox: Outbox
    pending: Pending
    worker: int
    until_us: int
    gave_up: bool = False


class Dispatcher:
    """Everything but the pipes; `step` never waits.

    outboxes : of one engine, or of each partition of a cluster
    """

    def __init__(
        self,
        outboxes: Sequence[Outbox],
        sinks: list[Sink],
        settings: SinkSettings,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self.outboxes = outboxes
        self._sinks, self._settings, self._clock, self._wake = sinks, settings, clock, wake
        self._work: list[SimpleQueue[tuple[str, str, bytes] | None]] = [
            SimpleQueue() for _ in sinks
        ]
        self._done: deque[tuple[int, Answer]] = deque()
        self._idle = list(range(len(sinks)))
        self._on_way: dict[int, Attempt] = {}
        self._unconfirmed: dict[int, tuple[Outbox, Pending]] = {}
        self._n = 0
        self._kept_us = 0
        self._first = 0  # of the outboxes, whose turn it is
        self.counts = {"delivered": 0, "failed": 0, "rejected": 0, "withheld": 0}
        self.newest_failure = ""
        for worker in range(len(sinks)):
            threading.Thread(target=self._send, args=(worker,), daemon=True).start()

    def now_us(self) -> int:
        return self._clock.monotonic_ns() // 1_000

    @property
    def is_idle(self) -> bool:
        """Whether everything that stands in the streams is settled."""
        return not any(len(outbox) or outbox.n_unread for outbox in self.outboxes)

    def confirm(self, n: int) -> None:
        """The engine has record `n` in its journal."""
        settled = self._unconfirmed.pop(n, None)
        if settled is not None:
            outbox, pending = settled
            outbox.settle(pending, self.now_us())

    def withhold(self, before_seq: int, k: int = 0) -> None:
        """Let no command of outbox `k` with a smaller seq leave any more, but those that lift something."""
        self.outboxes[k].withhold(before_seq, self.now_us())

    def step(self) -> list[dict[str, Any]]:
        """Take answers in, send what is due, keep the places; return what to tell the engine of outbox `k`."""
        now_us = self.now_us()
        told = []
        while self._done:
            record = self._take(*self._done.popleft(), now_us)
            if record is not None:
                told.append(record)
        for outbox in self.outboxes:
            outbox.fill(now_us)
        while self._idle and len(self._unconfirmed) < UNCONFIRMED_MAX:
            found = self._next(now_us)
            if found is None:
                break
            outbox, pending = found
            if outbox.is_withheld(pending) or outbox.is_needless(pending):
                told += self._drop(outbox, pending, now_us)
                continue
            worker = self._idle.pop()
            until_us = now_us + self._settings.timeout_us
            self._on_way[worker] = Attempt(outbox, pending, worker, until_us)
            self._work[worker].put((pending.command_id, pending.key, pending.body))
        for attempt in self._on_way.values():
            if not attempt.gave_up and now_us > attempt.until_us:
                attempt.gave_up = True
                self._sinks[attempt.worker].give_up()
        if now_us - self._kept_us >= KEEP_EVERY_US:
            self.keep()
            self._kept_us = now_us
        return told

    def _next(self, now_us: int) -> tuple[Outbox, Pending] | None:
        """A command whose turn it is, of each outbox in turn."""
        n = len(self.outboxes)
        for k in range(n):
            outbox = self.outboxes[(self._first + k) % n]
            pending = outbox.take(now_us)
            if pending is not None:
                self._first = (self._first + k + 1) % n
                return outbox, pending
        return None

    def keep(self) -> None:
        """Write down how far everything has got."""
        for outbox in self.outboxes:
            outbox.keep()

    def wait_us(self) -> int:
        """How long nothing has to be done, unless somebody wakes us."""
        now_us = self.now_us()
        dues_us = [us for outbox in self.outboxes if (us := outbox.next_due_us()) is not None]
        if not dues_us or not self._idle:
            return LOOK_EVERY_US
        return max(0, min(LOOK_EVERY_US, min(dues_us) - now_us))

    def status(self) -> dict[str, Any]:
        """What an operator may want to know."""
        return {
            "waiting": sum(map(len, self.outboxes)),
            "unread_bytes": sum(outbox.n_unread for outbox in self.outboxes),
            "oldest_s": max(outbox.oldest_us(self.now_us()) for outbox in self.outboxes) / 1e6,
            "seen": sum(outbox.n_seen for outbox in self.outboxes),
            "idle": self.is_idle,
            "failure": self.newest_failure,
            **self.counts,
        }

    def _take(self, worker: int, answer: Answer, now_us: int) -> dict[str, Any] | None:
        """What became of an attempt; the record that the engine must journal before it counts, if there is one."""
        attempt = self._on_way.pop(worker)
        outbox, pending = attempt.outbox, attempt.pending
        self._idle.append(worker)
        if answer.outcome == AGAIN:
            self.counts["failed"] += 1
            self.newest_failure = answer.why
            outbox.retry(pending, now_us, answer.after_us)
            return None
        self.counts["delivered"] += 1
        if answer.outcome == REJECTED:
            self.counts["rejected"] += 1
            print(
                f"warning: core banking rejected {pending.verb} {pending.command_id}: {answer.why}",
                file=sys.stderr,
            )
        is_news = answer.outcome in (ACKNOWLEDGED, REJECTED) and pending.verb in ANSWERED
        if not is_news:
            outbox.settle(pending, now_us)
            return None
        record = {"command": "acknowledge", "command_id": pending.command_id, "by": BY}
        if answer.outcome == REJECTED:
            record |= {"command": "reject", "reason": answer.why}
        return self._tell(outbox, pending, record)

    def _drop(self, outbox: Outbox, pending: Pending, now_us: int) -> list[dict[str, Any]]:
        """A command does not leave: it is withheld, or lifts what core banking has never heard of."""
        record = {"command": "withheld", "command_id": pending.command_id, "by": BY}
        record |= {"reason": "the mode was observe before it was sent"}
        if outbox.is_withheld(pending):
            self.counts["withheld"] += 1
            outbox.drop(pending)
        elif pending.verb not in ANSWERED:
            outbox.settle(pending, now_us)
            return []
        else:
            record |= {"command": "acknowledge", "reason": "what it lifts was never sent"}
        return [self._tell(outbox, pending, record)]

    def _tell(self, outbox: Outbox, pending: Pending, record: dict[str, Any]) -> dict[str, Any]:
        """What the engine must journal before `pending` is settled."""
        self._n += 1
        self._unconfirmed[self._n] = outbox, pending
        return {"n": self._n, "k": self.outboxes.index(outbox), "record": record}

    def _send(self, worker: int) -> None:
        while True:
            what = self._work[worker].get()
            if what is None:
                self._sinks[worker].close()
                return
            answer = self._sinks[worker].send(*what)
            self._done.append((worker, answer))
            self._wake()

    def close(self) -> None:
        """Keep the places, and let the threads end."""
        self.keep()
        for queue in self._work:
            queue.put(None)


def open_sinks(settings: SinkSettings, clock: Clock) -> list[Sink]:
    """One sink a thread; `ConfigError` if its secret cannot be had."""
    if settings.file:
        return [FileSink(Path(settings.file))]
    secret = read_secret(settings.key_env, settings.key_file)
    return [
        Webhook(
            settings.webhook, secret, settings.timeout_us, clock.now_us, ca_file=settings.ca_file
        )
        for _ in range(settings.in_flight)
    ]


def open_outbox(
    tail: Tail, disk: Disk, path: Path, settings: SinkSettings, *, is_alone: bool = True
) -> Outbox:
    """The outbox of a stream of commands, see there."""
    return Outbox(
        tail,
        disk,
        path,
        retry_first_us=settings.retry_first_us,
        retry_max_us=settings.retry_max_us,
        seed=int.from_bytes(random_bytes(8), "big"),
        is_alone=is_alone,
    )


class Alarm:
    """Say on standard error that commands wait too long, now and then, and that it is over."""

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings
        self._said_us: int | None = None

    def look(self, status: dict[str, Any], now_us: int) -> None:
        oldest_us = round(status["oldest_s"] * 1e6)
        if oldest_us < self._settings.alarm_after_us:
            if self._said_us is not None:
                print("note: commands reach core banking again", file=sys.stderr)
            self._said_us = None
        elif self._said_us is None or now_us - self._said_us >= WARN_EVERY_US:
            self._said_us = now_us
            waited = duration_text(oldest_us // 1_000_000 * 1_000_000)
            print(
                f"warning: {status['waiting']} commands do not reach core banking, the oldest for {waited}: "
                f"{status['failure'] or 'no answer'}",
                file=sys.stderr,
            )


def main() -> int:
    """Deliver until the engine has gone."""
    ear = Ear()
    begin, requests = ear.begin()
    settings = msgspec.convert(begin["settings"], SinkSettings)
    root = Path(begin["root"])
    clock = SystemClock()
    try:
        sinks = open_sinks(settings, clock)
        disk = open_disk(root, *encryption_of(begin))
        outbox = open_outbox(FolderTail(disk, root / STREAM), disk, root / FILE, settings)
    except WeirError as error:
        print(f"error: commands are not delivered: {error}", file=sys.stderr)
        return 2
    if outbox.began_again:
        print(
            "note: the folder is not as the outbox knew it: commands are delivered again, with the same keys",
            file=sys.stderr,
        )
    dispatcher = Dispatcher([outbox], sinks, settings, clock, ear.wake)
    dispatcher.withhold(int(begin.get("withheld_before", 0)))
    alarm, told_us = Alarm(settings), 0
    told: dict[str, Any] = {}
    while True:
        for request in requests:
            if "stop" in request:
                dispatcher.close()
                os._exit(0)  # threads that wait for somebody must not keep the process
            if "withhold" in request:
                dispatcher.withhold(int(request["withhold"]))
            else:
                dispatcher.confirm(int(request["done"]))
        for record in dispatcher.step():
            ear.tell(record)
        now_us = dispatcher.now_us()
        status = dispatcher.status()
        if status != told and (now_us - told_us >= TELL_EVERY_US or status["idle"]):
            ear.tell({"status": status})
            alarm.look(status, now_us)
            told, told_us = status, now_us
        requests = ear.listen(dispatcher.wait_us() / 1e6)


if __name__ == "__main__":
    sys.exit(main())
