"""Latency from due to durable decision at fixed rates, open loop, and the highest rate that keeps p99 within 5 ms.

    python -m benchmarks.bench_latency [--smoke] [--json]

A real `weir run` on one core, `durability: sync`, goes on with a folder that holds two weeks of the canonical stream;
this process sends from the other core. replay/speed/latency.py says how: the schedule is fixed before the first message
is sent, latency counts from when a transaction was due, and percentiles are those of all samples, so nothing that waits
is left out. Each rate is a start of its own, after 2,000 transactions that do not count. A rate is sent in turns with
the others, three times; told is the turn with the median p99, and the p99 of all turns.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import measuring
from replay.speed import latency

SECONDS, SMOKE_SECONDS = 8.0, 2.0
TURNS = 3
P99_MS, P999_MS = 5.0, 20.0
AT = 5_000  # tx/s, where the limits are set


def main(argv=None):
    given = measuring.arguments(
        __doc__, argv, real=200_000, smoke=5_000, of="transactions of history"
    )
    if hasattr(os, "sched_setaffinity"):  # engine and load need a core each
        os.sched_setaffinity(0, latency.ALL)
    rates = (1_000, AT) if given.is_smoke else latency.RATES
    turns = 1 if given.is_smoke else TURNS
    seconds = SMOKE_SECONDS if given.is_smoke else SECONDS
    with tempfile.TemporaryDirectory() as name:
        found = latency.measure(
            Path(name),
            rates=rates * turns,
            seconds=seconds,
            history=given.n,
            limit_ms=None if given.is_smoke else P99_MS,
            say=lambda text: print(text, file=sys.stderr),
        )
    rows = []
    for rate in sorted({seen.rate for seen in found}):
        of = sorted((seen for seen in found if seen.rate == rate), key=lambda seen: seen.at(99.0))
        told = of[(len(of) - 1) // 2].told()
        rows.append(told | {"turns": len(of), "p99_of_turns": shown(of)})
    at = [seen for seen in found if seen.rate == AT]
    fastest = latency.fastest_of(found, P99_MS)
    limits = [
        {"what": f"p99 at {AT:,} tx/s, ms", "limit": P99_MS, "found": median(at, 99.0)},
        {"what": f"p99.9 at {AT:,} tx/s, ms", "limit": P999_MS, "found": median(at, 99.9)},
    ]
    return measuring.report(
        given,
        f"canonical, {given.n:,} transactions of history, then {seconds:g} s at each rate into `weir run`, "
        "durability sync; load from another core",
        rows,
        limits=limits,
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
