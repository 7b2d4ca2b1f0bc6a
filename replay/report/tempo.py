"""How fast a run was, by the clock of the machine: messages and latency over time, from OUT/delivery.ndjson.

Time is cut into at most `SLICES` equal parts; while more comes, two of them become one, so memory stays the same
however long the run. Latency of a message is that of its batch: from the arrival of the batch's first message to its
leaving, durable; of a recording, where nothing arrives, from the decision to that.
"""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from config.settings import instant_us
from replay.report.folder import Folder
from replay.report.spread import Spread

SLICES: Final = 120
FEW: Final = 10
WIDTH_US: Final = 100_000  # of a part at first


class _Batch(msgspec.Struct):
    n: int
    published: str
    arrived: str | None = None
    decided: str | None = None


@dataclass(slots=True)
class Tempo:
    """The whole. `is_live`: latencies count from arrival, else from the decision.

    latency   : over everything, in seconds, by message
    recovered : messages that left before a crash, or were written out after it
    """

    start_us: int = -1
    width_us: int = WIDTH_US
    messages: int = 0
    batches: int = 0
    recovered: int = 0
    is_live: bool = False
    latency: Spread = field(default_factory=Spread)
    slices: dict[int, "Part"] = field(default_factory=dict)

    def note(self, at_us: int, n: int, latency_s: float | None) -> None:
        if self.start_us < 0:
            self.start_us = at_us
        self.messages += n
        self.batches += 1
        place = max(0, at_us - self.start_us) // self.width_us
        while place >= SLICES:
            self._widen()
            place //= 2
        part = self.slices.get(place)
        if part is None:
            part = self.slices[place] = Part()
        part.messages += n
        if latency_s is not None:
            part.n_timed += n
            part.total_s += latency_s * n
            part.most_s = max(part.most_s, latency_s)
            self.latency.add(latency_s, n)

    def _widen(self) -> None:
        old, self.slices = self.slices, {}
        self.width_us *= 2
        for place, part in sorted(old.items()):
            kept = self.slices.get(place // 2)
            if kept is None:
                self.slices[place // 2] = part
            else:
                kept.join(part)

    def settle(self) -> None:
        """Have no more parts than batches: a plot of gaps says nothing."""
        while len(self.parts()) > max(FEW, self.batches):
            self._widen()

    def parts(self) -> list["Part"]:
        """Every part from the first to the last, those in which nothing left too."""
        return [self.slices.get(place, Part()) for place in range(max(self.slices, default=-1) + 1)]


@dataclass(slots=True)
class Part:
    """One part of the time: messages that left in it, and the latencies of those that have one, in seconds."""

    messages: int = 0
    n_timed: int = 0
    total_s: float = 0.0
    most_s: float = 0.0

    @property
    def mean_s(self) -> float | None:
        return self.total_s / self.n_timed if self.n_timed else None

    def join(self, other: "Part") -> None:
        self.messages += other.messages
        self.n_timed += other.n_timed
        self.total_s += other.total_s
        self.most_s = max(self.most_s, other.most_s)


def read(folder: Folder) -> Tempo:
    """Read the log of deliveries; empty where there is none."""
    tempo = Tempo()
    for batch in folder.lines("delivery", _Batch):
        at_us = instant_us("published", batch.published)
        since = batch.arrived or batch.decided
        if since is None:
            tempo.recovered += batch.n
        tempo.is_live |= batch.arrived is not None
        latency_s = None if since is None else max(0, at_us - instant_us("since", since)) / 1e6
        tempo.note(at_us, batch.n, latency_s)
    tempo.settle()
    return tempo
