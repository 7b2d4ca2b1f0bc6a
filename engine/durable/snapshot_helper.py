"""The process beside a live engine that writes its snapshots: `python -m engine.durable.snapshot_helper OUT`.

It loads the newest snapshot, takes the journal in as recovery would, compares every line that it derives with those on
disk, and writes a snapshot where it is asked to. So the engine never stops for it, and all that was given out is
checked again within minutes, by another process and from the bytes that are really on the disk. At the lowest priority,
and reading, writing and removing little at a time (gentle_disk.py), it leaves the engine its processor and its disk.

It can stay, and go on from its own state for the next one. Loading that again took most of the processor time of a
snapshot, and memory that comes and goes is not free either: on a guest that gives its host back what is free, 3.9 GB
let go of at once held decisions up for 250 to 490 ms, two seconds later.

Each line on standard input is a request. `SEQ KEEP FROM`: remove all but the newest KEEP snapshots, and the segments of
the journal that end before FROM, of which the chain of seals says already that they have gone; then write the snapshot
of SEQ, all of which is durable; answered on standard output by one JSON object: `seq`, `sha256` of the files, `bytes`
of the state; or `error`; `differences` if it found any: then no snapshot is written, for state and outcomes do not
belong together. `load`: load the newest snapshot, for requests to come; answered by `loaded`, its seq, and `bytes`; -1
and `error` if that failed. It ends with its input, and after an answer that says that something went wrong.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from config.errors import WeirError
from engine.clock import Clock, SystemClock
from engine.durable import config_store, snapshots
from engine.durable.comparing import Comparison
from engine.durable.disk import Disk
from engine.durable.gentle_disk import GOING, GentleDisk
from engine.durable.journal.segments import retirable
from engine.durable.output import JOURNAL, STREAMS, stream_path
from engine.durable.rederive import Rederivation
from engine.durable.seals import read_seals
from engine.durable.snapshots import Snapshot
from engine.garbage import seldom_collected
from engine.setup import Setup
from engine.starting import key_of
from engine.totals import Totals

LOAD: Final = "load\n"  # as a request
NICENESS: Final = 19
DIFFERENCES_MAX: Final = 20  # told; after the first, most are consequences
LET_GO_BYTES_PER_US: Final = 100  # 100 MB a second


class Follower:
    """A core that follows the journal of `root` from snapshot to snapshot. Reads all it needs from `disk`.

    let_go : gets the arrays of the snapshot that it begins from once they are loaded, as the last who holds them
    """

    def __init__(
        self,
        disk: Disk,
        root: Path,
        *,
        known: dict[str, Setup] | None = None,
        let_go: Callable[[dict[str, NDArray[Any]]], None] = dict.clear,
    ) -> None:
        config = read_seals(disk, root).seals[-1].config
        key = key_of(config_store.stored(disk, root, config).configuration.settings)
        self._root = root
        self._again = Rederivation(disk, root, key=key, known=known, let_go=let_go)
        self._comparison: Comparison | None = None
        self._totals, self._records = Totals(), 0

    def load(self) -> dict[str, Any]:
        """Stand at the newest snapshot, and return what to tell about it."""
        self._load(self._again.journal.seq_end)
        n_bytes = snapshots.newest_bytes(self._again.disk, self._root)
        return {"loaded": self._again.core.seq, "bytes": n_bytes}

    def _load(self, seq: int) -> Comparison:
        """Stand at the newest snapshot at or before `seq`, else at the beginning."""
        again = self._again
        again.start(seq)
        start = again.snapshot
        self._totals = Totals.copy_of(start.totals if start else {})
        self._records = start.records if start else 0
        self._comparison = Comparison(again.disk, self._root, start.lengths if start else {})
        return self._comparison

    def snapshot(self, seq: int, is_orphan: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """Write the snapshot of `seq`, all of which is durable, and return what to tell about it.

        Each `seq` is larger than the one before. After an answer without `seq` this is of no use any more.
        """
        again, root = self._again, self._root
        if self._comparison is None:
            comparison = self._load(seq)
        else:
            again.journal.refresh()
            comparison = self._comparison
        differences: list[str] = []
        for block, outcome in again.outcomes(seq):
            if outcome is None:
                continue
            self._records += len(block)
            self._totals.add(outcome)
            differences += map(str, comparison.differences(outcome.streams))
            if len(differences) >= DIFFERENCES_MAX:
                break
        differences += [f"{stream}: lines are missing" for stream in comparison.torn]
        if differences:
            return {"differences": differences[:DIFFERENCES_MAX]}
        assert again.core.seq == seq, (again.core.seq, seq)
        if is_orphan():
            return {"error": "the engine has gone, and its successor does not know of this process"}
        for stream in STREAMS:  # lines that a snapshot counts must not be lost after it
            file = again.disk.append(stream_path(root, stream))
            file.sync()
            file.close()
        arrays = again.core.save(copied=False)
        sha256 = snapshots.write(
            again.disk,
            root,
            Snapshot(
                seq=seq,
                records=self._records,
                position=again.position,
                orderly=False,
                config=again.core.config,
                lengths=comparison.at,
                totals=self._totals.counts,
                arrays=arrays,
            ),
        )
        return {"seq": seq, "sha256": sha256, "bytes": sum(a.nbytes for a in arrays.values())}


def main() -> int:
    """Answer requests; status 0 if each of them got its snapshot."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.durable.snapshot_helper", description=__doc__
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="output folder of the engine")
    root: Path = parser.parse_args().out
    parent = os.getppid()
    _stand_back()
    clock = SystemClock()
    disk = GentleDisk(clock)
    follower = cache(partial(Follower, disk, root, let_go=partial(_let_go, clock)))
    with seldom_collected():
        for request in sys.stdin:
            told: dict[str, Any] = {"loaded": -1} if request == LOAD else {}
            try:
                if request == LOAD:
                    told = follower().load()
                else:
                    seq, kept, kept_from = map(int, request.split())
                    retire(disk, root, kept_from)
                    snapshots.prune(disk, root, kept)
                    told = follower().snapshot(seq, is_orphan=lambda: os.getppid() != parent)
            except (WeirError, OSError, MemoryError) as error:
                told["error"] = f"{type(error).__name__}: {error}"
            with contextlib.suppress(BrokenPipeError):  # the engine has gone
                print(json.dumps(told), flush=True)
            if "bytes" not in told:
                return 1
    return 0


def retire(disk: Disk, root: Path, kept_from: int) -> None:
    """Have the segments of the journal that end before `kept_from` removed with the snapshots.

    The last of a file takes its time, and a part of one would be damage to whoever reads the journal.
    """
    folder, going = root / JOURNAL, root / snapshots.FOLDER
    for name in retirable(disk, folder, kept_from):
        disk.make_folder(going)
        disk.rename(folder / name, going / f".{name}{GOING}")
        disk.sync_folder(folder)


def _let_go(clock: Clock, arrays: dict[str, NDArray[Any]]) -> None:
    """Give memory back little at a time, as everything else here."""
    while arrays:
        _, array = arrays.popitem()
        rest_us = array.nbytes // LET_GO_BYTES_PER_US
        del array
        clock.sleep_us(rest_us)


def _stand_back() -> None:
    """Run only when nobody else wants the processor.

    A process of niceness 19 finishes its slice before one that wakes on its core: a sleep of 2 ms there took 6 ms more
    at p90 and 26 at p99, and 1.9 and 17 beside an idle one, which is what it took beside nothing (2.0 and 14).
    """
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):  # forbidden here: nice is the next best
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    sys.exit(main())
