"""Latency from due to durable decision at fixed rates, open loop, and the highest rate that keeps p99 within 5 ms.

    python -m benchmarks.bench_latency [--smoke] [--json]

A real `weir run` on one core, `durability: sync`, goes on with a folder that holds two weeks of the canonical stream;
this process sends from the other core. replay/speed/latency.py says how: the schedule is fixed before the first message
is sent, latency counts from when a transaction was due, and percentiles are those of all samples, so nothing that waits
is left out. Each rate is a start of its own, after 2,000 transactions that do not count; rates up to 5,000 tx/s take
turns three times, told is the turn with the median p99.

A decision is durable when the disk says so, so the disk is measured alone in the same run (4 KB appended and synced,
over and over), and all is done once more on a file system in memory, where a sync costs nothing: what is left there is
what the engine adds, and what a disk with a protected cache would show.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import measuring
from benchmarks.measuring import MEMORY
from replay.speed import latency

SECONDS, SMOKE_SECONDS = 5.0, 2.0
TURNS = 3
P99_MS, P999_MS = 5.0, 20.0
AT = 5_000  # tx/s, where the limits are set


def main(argv=None):
    given = measuring.arguments(
        __doc__, argv, real=200_000, smoke=5_000, of="transactions of history"
    )
    if hasattr(os, "sched_setaffinity"):  # engine and load need a core each
        os.sched_setaffinity(0, latency.ALL)
    seconds = SMOKE_SECONDS if given.is_smoke else SECONDS
    rows, limits, disks, fastest = [], [], [], {}
    for place, parent in (("disk", None), ("memory", MEMORY if MEMORY.is_dir() else None)):
        if place == "memory" and parent is None:
            continue
        rates = (AT,) if given.is_smoke else (1_000, AT)
        if not given.is_smoke:
            rates = rates * TURNS + latency.RATES[2:] if place == "disk" else latency.RATES
        with tempfile.TemporaryDirectory(dir=parent) as name:
            disks.append({"place": place, **latency.disk(Path(name))})
            found = latency.measure(
                Path(name),
                rates=rates,
                seconds=seconds,
                history=given.n,
                limit_ms=None if given.is_smoke else P99_MS,
                say=lambda text, place=place: print(f"{place}: {text}", file=sys.stderr),
            )
        for rate in sorted({seen.rate for seen in found}):
            of = sorted((s for s in found if s.rate == rate), key=lambda seen: seen.at(99.0))
            turns = {"turns": len(of), "p99_of_turns": shown(of)}
            rows.append({"place": place, **of[(len(of) - 1) // 2].told(), **turns})
        at = [seen for seen in found if seen.rate == AT]
        limits += [
            {"what": f"p{p:g} at {AT:,} tx/s, {place}, ms", "limit": ms, "found": median(at, p)}
            for p, ms in ((99.0, P99_MS), (99.9, P999_MS))
        ]
        fastest[place] = latency.fastest_of(found, P99_MS)
    return measuring.report(
        given,
        f"canonical, {given.n:,} transactions of history, then {seconds:g} s at each rate into `weir run`, "
        "durability sync; load from another core",
        rows,
        limits=limits,
        disks=disks,
        fastest_tx_per_second=fastest,
        p99_limit_ms=P99_MS,
        seconds=seconds,
    )


def median(found, percentile):
    return round(statistics.median(seen.at(percentile) for seen in found), 3)


def shown(found):
    return ", ".join(f"{seen.at(99.0):.1f}" for seen in found)


if __name__ == "__main__":
    sys.exit(main())
