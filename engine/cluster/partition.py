"""One partition: taken over from whoever had it last, decided by an ordinary engine, published, handed on.

Every owner has a folder of its own, OUT/p0003/000007: journal, chain, streams, snapshots, as of an embedded run. It
begins at the newest snapshot of any owner before (engine/durable/beginning.py) and derives from the topic what came
since; outcomes that are visible already are written into its streams, and not published again. The one before may be
dead, or only asleep: what it still writes is in its folder, and what it publishes is fenced.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from config.errors import StateError
from engine.admission import NEVER
from engine.cases import PAID
from engine.clock import Clock
from engine.cluster.lane import Lane, offset_of
from engine.cluster.ports import Own, Publisher
from engine.cluster.shared_lists import Shared, orders
from engine.core import Outcome
from engine.durable import snapshots
from engine.durable.beginning import begin
from engine.durable.disk import RealDisk
from engine.durable.encrypted_disk import unlocked
from engine.durable.output import STREAMS as STREAMS_OF_A_FOLDER
from engine.metrics import Metrics
from engine.progress import Progress
from engine.setup import Setup
from engine.starting import Engine, key_of, open_engine

STREAMS = tuple(  # answers of core banking come to an embedded engine only
    stream for stream in STREAMS_OF_A_FOLDER if stream != "answers"
)
BACKLOG_MAX = 20_000  # lines on their way out; beyond it nothing more is decided
TICK_AFTER_NS = 1_000_000_000
SHARE_AGAIN_NS = 10_000_000_000
# of a dead letter; topics take a megabyte, and a message grows when it is quoted
LINE_BYTES_MAX = 900_000


class Partition:
    """Open and running; made by `take_over`."""

    def __init__(
        self, engine: Engine, lane: Lane, publisher: Publisher, clock: Clock, published: int
    ) -> None:
        self.engine, self.lane = engine, lane
        self._publisher, self._clock = publisher, clock
        self._published = published
        self._seen_ns = clock.monotonic_ns()
        self._shared: Mapping[str, Shared] = {}  # as it was compared last, and when
        self._shared_ns = 0
        self._n_owed = len(engine.runner.core.decider.owed)
        engine.runner.watchers += (self._publish,)
        engine.runner.begin(Progress(None, "msg", quiet=True))

    @property
    def backlog(self) -> int:
        """Lines on their way to readers."""
        return self._publisher.backlog

    def step(self) -> bool:
        """Decide a batch of what has arrived; whether there was anything. `FencedError` if it is not ours any more."""
        if self._publisher.backlog > BACKLOG_MAX:
            return False
        n_before = len(self.lane)
        self.engine.runner.step()
        if n_before:
            self._seen_ns = self._clock.monotonic_ns()
        return n_before > 0

    def finish(self) -> None:
        """Have what is decided leave, if nothing more has arrived that could be decided meanwhile."""
        if not len(self.lane):
            self.engine.runner.settle()

    def tick_if_silent(self) -> None:
        """Let core time go on where nothing arrives, so that things expire: as a record, like everything."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._seen_ns < TICK_AFTER_NS:
            return
        self._seen_ns = now_ns
        tick = b'{"kind":"tick","event_time":%d}' % (self._clock.now_us() // 1_000)
        self._publisher.publish({}, [Own(tick, is_tick=True)], self._upto())

    def share(self, lists: Mapping[str, Shared]) -> None:
        """Have lists become what is shared: the differences go through the input, like everything.

        Once when something has changed, and again from time to time: an owner may begin before orders of the last.
        """
        core, now_ns = self.engine.runner.core, self._clock.monotonic_ns()
        if not lists or core.core_us == NEVER:  # before the first event nothing is added
            return
        is_due = now_ns - self._shared_ns >= SHARE_AGAIN_NS and not len(self.lane)
        if lists is self._shared and not is_due:
            return
        self._shared, self._shared_ns = lists, now_ns
        self.engine.runner.settle()  # what is decided goes out before `_upto` says that it has
        own = [
            own
            for name in sorted(lists)
            for own in orders(core.lists, name, lists[name], core.core_us)
        ]
        if own:
            self._publisher.publish({}, own, self._upto())

    def settle(self) -> None:
        """Return when everything that was taken is decided and visible."""
        self.engine.runner.settle()
        self._publisher.settle()

    def hand_on(self) -> None:
        """Finish, and leave a snapshot for the next owner."""
        self.settle()
        runner = self.engine.runner
        runner.end()
        totals = {
            group: dict(sorted(counts.items())) for group, counts in runner.totals.counts.items()
        }
        self.engine.summarise(
            {
                "config": runner.core.config,
                "position": runner.position,
                "stopped": "handed on",
                **totals,
            }
        )
        self._publisher.close()
        self.engine.close()

    def close(self) -> None:
        """Let go in the middle of things, as a kill would: somebody else goes on."""
        self._publisher.close()
        if self.engine.runner.ledger is not None:
            self.engine.runner.ledger.journal.abandon()
        self.engine.close()

    def _publish(self, outcome: Outcome) -> None:
        """Have the outcomes of a batch become visible, with what the core wants to come back to it."""
        upto = offset_of(outcome.batch.position[-1]) + 1
        owed = self.engine.runner.core.decider.owed
        n_paid = 0
        if self._n_owed:
            n_paid = sum(position.startswith(PAID) for position in outcome.batch.position)
        new = owed[self._n_owed - n_paid :]
        self._n_owed = len(owed)
        if upto <= self._published:
            return  # visible since its last owner
        own = [Own(msgspec.json.encode(label), label["source"]) for label in new]
        lines = {
            stream: data.splitlines()
            for stream, data in outcome.streams.items()
            if data and stream in STREAMS
        }
        if "dead_letters" in lines:
            lines["dead_letters"] = [without_message(line) for line in lines["dead_letters"]]
        self._publisher.publish(lines, own, upto)
        self._published = upto

    def _upto(self) -> int:
        return max(self._published, offset_of(self.engine.runner.position) + 1)


def without_message(line: bytes) -> bytes:
    """A dead letter that a topic can take: of a very large one only where its message stands in the input.

    Else the transaction that publishes it would fail for ever, and the partition would stand still.
    """
    if len(line) <= LINE_BYTES_MAX:
        return line
    record = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    kept = {name: value for name, value in record.items() if not name.startswith("message")}
    return msgspec.json.encode({**kept, "message_bytes": len(line)})


def take_over(
    root: Path,
    partition: int,
    lane: Lane,
    publisher: Publisher,
    setup: Setup,
    clock: Clock,
    *,
    durability: str = "",
    helper: bool = True,
    metrics: Metrics | None = None,
) -> Partition:
    """Become the owner of `partition`: fence the one before, go on where its newest snapshot stands."""
    published = publisher.begin()
    lane.cut_at = published
    disk = RealDisk()
    home = root / f"p{partition:04d}"
    owners = sorted(name for name in disk.names(home) if name.isdecimal())
    here = home / f"{int(owners[-1]) + 1 if owners else 1:06d}"
    disk.make_folder(here)
    key = key_of(setup.configuration.settings)
    _begin(disk, key, here, [home / name for name in owners], published)
    engine = open_engine(
        disk,
        here,
        lane,
        setup,
        clock,
        metrics=Metrics(clock) if metrics is None else metrics.part(),
        durability=durability,
        helper=helper,
    )
    engine.runner.core.warm_up()
    return Partition(engine, lane, publisher, clock, published)


def _begin(
    disk: RealDisk, key: bytes | None, here: Path, owners: list[Path], published: int
) -> None:
    """Let `here` go on behind the newest snapshot that reads, of any owner; from nothing if there is none.

    One that lies ahead of what is visible is passed over: what it decided since then would be published by nobody.
    """
    found = [(seq, folder) for folder in owners for seq in snapshots.numbers(disk, folder)]
    for seq, folder in sorted(found, reverse=True):
        try:
            source = unlocked(disk, folder, key)
            if offset_of(snapshots.position(source, folder, seq)) < published:
                begin(unlocked(disk, here, key, begins=True), here, source, folder, seq)
                return
        except StateError as error:  # one before it is as good: the topic has the rest
            print(
                f"note: a snapshot is passed over: {error.what} ({folder}, {seq})", file=sys.stderr
            )
