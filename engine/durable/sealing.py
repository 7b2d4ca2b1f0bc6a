"""When the chain of seals gets a line, and what has to be on the disk before.

A seal is written at every multiple of `GRID` seq, at the first batch boundary after the end of a UTC day of core time,
and at an orderly stop (seals.py says what stands in one). Streams and delivery log are synced first, so that a
seal never speaks of bytes that a power failure takes away.

That takes ten syncs, which no decision waits for: a seal is drawn where it is due, and written while the next batch is
decided, however large that is. The next line of the chain waits for it, and so does the journal where it would pass the
next multiple of `GRID`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from engine.durable.aside import Aside
from engine.durable.disk import Disk
from engine.durable.seals import NAME, Sealer
from engine.outcomes import rfc3339
from engine.ports import Link

GRID: Final = 4_096  # no batch crosses a multiple of so many seq
SECOND: Final = 19  # characters of a time up to its seconds, which compare as texts
LOOK_BYTES: Final = (
    1 << 18
)  # among so many there is a seal, unless notes about large erasures stand there


class Sealing:
    """A chain that is being gone on with.

    syncing  : gives what makes streams and delivery log, as they are at that moment, durable
    threaded : write seals beside what follows, else where somebody waits for them
    """

    def __init__(
        self,
        sealer: Sealer,
        config: str,
        syncing: Callable[[], Callable[[], None]],
        *,
        threaded: bool,
    ) -> None:
        self._sealer, self._syncing = sealer, syncing
        self._writing = Aside("sealing", threaded=threaded)
        self.config = config  # active for what is added
        self._seq_end = sealer.seq_end
        last = sealer.last
        self._time = last.core_time if last else ""

    @property
    def seq_end(self) -> int:
        """One past the last record whose seal is known to be durable."""
        return self._seq_end

    @property
    def covered_end(self) -> int:
        """One past the last record that the next seal will cover."""
        return self._sealer.covered_end

    @property
    def lengths(self) -> Mapping[str, int]:
        """How far each stream is covered, bytes."""
        return self._sealer.lengths

    @property
    def dropped(self) -> int:
        """Bytes of an unfinished last line that a crash had left."""
        return self._sealer.dropped

    def add(self, link: Link, streams: Mapping[str, bytes], core_us: int) -> None:
        """Cover records and what was written for them; seal if it is time. `core_us`: core time after them."""
        if self._writing.is_done():
            self.settle()
        self._sealer.add(link, {name: data for name, data in streams.items() if data})
        self.seal_if_due(core_us)

    def cover(self, streams: Mapping[str, bytes]) -> None:
        """Cover bytes alone, of records that were or will be covered."""
        self._sealer.cover(streams)

    def link(self, link: Link) -> None:
        """Cover records alone."""
        self._sealer.add(link, {})

    def seal_if_due(self, core_us: int) -> None:
        """Seal at a multiple of `GRID`, or where a day has ended."""
        before, self._time = self._time, rfc3339(core_us) if core_us >= 0 else ""
        day = before[:10]
        is_over = bool(day) and self._time[:10] > day
        if is_over or self._sealer.covered_end % GRID == 0:
            self._begin(day if is_over else None)

    def seal(self) -> None:
        """Seal what is not yet, at an orderly stop; durable when it returns."""
        if self._sealer.covered_end > self._sealer.seq_end:
            self._begin(None)
        self.settle()

    def settle(self) -> None:
        """Return when the seal on its way, if there is one, is durable; raises what its writing raised."""
        self._writing.wait()
        self._seq_end = self._sealer.seq_end

    def settle_for(self, seq_end: int) -> None:
        """`settle` before the journal reaches `seq_end`, if that is too far behind what is sealed."""
        if seq_end > furthest_unsealed(self._seq_end):
            self.settle()

    def _begin(self, closes_day: str | None) -> None:
        self.settle()
        sync = self._syncing()
        write = self._sealer.draw(config=self.config, core_time=self._time, closes_day=closes_day)

        def seal() -> None:
            sync()
            write()

        self._writing.begin(seal)

    def note_snapshot(self, seq: int, sha256: Mapping[str, str]) -> None:
        """Say that there is a snapshot now, and the hashes of its files."""
        self._note("snapshot", seq, sha256=dict(sha256))

    def note_file(self, name: str, sha256: str) -> None:
        """Say what a file that was replaced holds now."""
        self._note("file", name, sha256=sha256)

    def note_recovered(self, told: Mapping[str, Any]) -> None:
        """Say what a start after a crash did."""
        self._note("recovered", dict(told))

    @property
    def kept_from(self) -> int:
        """The oldest seq that the journal keeps."""
        return self._sealer.kept_from

    def note_retired(self, segments: list[str], kept_from: int) -> None:
        """Say that segments of the journal go. Before they go."""
        self.settle()
        self._sealer.note_retired(segments, kept_from)

    def _note(self, kind: str, value: object, **more: object) -> None:
        self.settle()
        self._sealer.note(kind, value, **more)

    def close(self) -> None:
        """Let go of the files; what is on its way is written before, in a thread."""
        self._writing.stop()
        self._sealer.close()


def furthest_unsealed(sealed_end: int) -> int:
    """How far the journal may reach when the chain ends before `sealed_end`: to the multiple after the one due next."""
    return (sealed_end // GRID + 2) * GRID


def sealed_before(disk: Disk, root: Path, core_us: int) -> int:
    """One past the last record sealed at a core time before `core_us`; 0 if there is none. Reads a few lines only."""
    path, limit = root / NAME, rfc3339(core_us)[:SECOND]
    low, high, found = 0, max(0, disk.size(path)), 0
    while low < high:  # lines that begin before `low` are older, those from `high` on are not
        middle = (low + high) // 2
        seal = _seal_from(disk, path, middle, high)
        if seal is None:
            high = middle
        elif seal["core_time"][:SECOND] < limit:
            found = seal["seq0"] + seal["n"]
            low = seal["byte"] + 1
        else:
            high = middle
    return found


def _seal_from(disk: Disk, path: Path, start: int, stop: int) -> dict[str, Any] | None:
    """The first seal whose line begins in `start` .. `stop` - 1, with `byte`: where it begins."""
    offset = max(0, start - 1)  # a line begins at `start` only if the one before ends there
    data = disk.read(path, offset, LOOK_BYTES)
    at = data.find(b"\n") + 1 if start else 0
    while 0 <= at < stop - offset and (end := data.find(b"\n", at)) >= 0:
        told = orjson.loads(data[at:end])
        if "seal" in told and told["core_time"]:
            return {**told, "byte": offset + at}
        at = end + 1
    return None
