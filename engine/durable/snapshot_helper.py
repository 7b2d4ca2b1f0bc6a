"""The process beside a live engine that writes its snapshots: `python -m engine.durable.snapshot_helper OUT --seq N`.

It loads the newest snapshot, takes the journal in up to `N` as recovery would, compares every line that it derives with
those on disk, and writes the snapshot of `N`. So the engine never stops for it, and all that was given out is checked
again within minutes, by another process and from the bytes that are really on the disk. At the lowest priority, and
reading, writing and removing little at a time (gentle_disk.py), it leaves the engine its processor and its disk.

Tells one JSON object on standard output: `seq` and `sha256` of the files, or `error`; `differences` if it found any:
then no snapshot is written, for state and outcomes do not belong together.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from config.errors import WeirError
from engine.clock import SystemClock
from engine.durable import config_store, snapshots
from engine.durable.comparing import Comparison
from engine.durable.disk import Disk
from engine.durable.gentle_disk import GentleDisk
from engine.durable.output import STREAMS, stream_path
from engine.durable.rederive import Rederivation
from engine.durable.seals import read_seals
from engine.durable.snapshots import Snapshot
from engine.setup import Setup
from engine.starting import key_of
from engine.totals import Totals

NICENESS: Final = 19
DIFFERENCES_MAX: Final = 20  # told; after the first, most are consequences


def follow(
    disk: Disk,
    root: Path,
    seq: int,
    *,
    known: dict[str, Setup] | None = None,
    is_orphan: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Write the snapshot of `seq`, all of which is durable, and return what to tell about it."""
    config = read_seals(disk, root).seals[-1].config
    key = key_of(config_store.stored(disk, root, config).configuration.settings)
    again = Rederivation(disk, root, key=key, known=known)
    disk = again.disk
    again.start(seq)
    start = again.snapshot
    comparison = Comparison(disk, root, start.lengths if start else {})
    totals = Totals.copy_of(start.totals if start else {})
    records = start.records if start else 0
    differences: list[str] = []
    for block, outcome in again.outcomes(seq):
        if outcome is None:
            continue
        records += len(block)
        totals.add(outcome)
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
        file = disk.append(stream_path(root, stream))
        file.sync()
        file.close()
    sha256 = snapshots.write(
        disk,
        root,
        Snapshot(
            seq=seq,
            records=records,
            position=again.position,
            orderly=False,
            config=again.core.config,
            lengths=comparison.at,
            totals=totals.counts,
            arrays=again.core.save(),
        ),
    )
    return {"seq": seq, "sha256": sha256}


def main() -> int:
    """Follow once; status 0 if a snapshot was written."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.durable.snapshot_helper", description=__doc__
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="output folder of the engine")
    parser.add_argument("--seq", type=int, required=True, metavar="N", help="where to take it")
    parser.add_argument(
        "--keep", type=int, required=True, metavar="N", help="first remove all older ones but N"
    )
    arguments = parser.parse_args()
    engine = os.getppid()
    _stand_back()
    disk = GentleDisk(SystemClock())
    try:
        snapshots.prune(disk, arguments.out, arguments.keep)
        told = follow(disk, arguments.out, arguments.seq, is_orphan=lambda: os.getppid() != engine)
    except (WeirError, OSError, MemoryError) as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    with contextlib.suppress(BrokenPipeError):  # the engine has gone
        print(json.dumps(told), flush=True)
    return 0 if "seq" in told else 1


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
