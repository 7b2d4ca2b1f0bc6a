"""What the benchmarks share: their arguments, the core they run on, the machine line, and how a result is told.

A result is one object; `--json` prints it on one line, RESULTS.md is made of it (benchmarks/pages.py):

    workload, is_smoke          what was measured; whether at a size that only shows that the bench runs
    machine, cores, load, date  on what and when; load is what else was running as it began, in processes a core
    rows                        one flat object for each line of the table
    sha256                      over what was computed, where there is such a thing
"""

import argparse
import datetime as dt
import json
import os
from pathlib import Path

from replay.speed.machine import machine

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("WEIR_SHARED") or ROOT.parent / "shared")
RECORDING = SHARED / "data" / "handbook" / "transactions_raw.parquet"
HANDBOOK = ROOT / "benchmarks" / "handbook"  # the configuration for it
MEMORY = Path("/dev/shm")  # a file system in memory, where there is one
CORES = 1
EXIT_MISSING = 3  # what the bench needs is not on this machine


def arguments(doc, argv, *, real, smoke, of):
    """Read the command line and pin this process; `.n` is how many `of` to measure."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help=f"{smoke:,} {of}: does it run at all?")
    size.add_argument("--size", type=int, default=real, metavar="N", help=f"{of}; {real:,}")
    parser.add_argument("--json", action="store_true", help="print one JSON object, not a table")
    given = parser.parse_args(argv)
    given.n = smoke if given.smoke else given.size
    given.is_smoke = given.n < real
    given.load = round(os.getloadavg()[0] / (os.cpu_count() or 1), 1)
    pin()
    return given


def pin():
    """Keep this process on the last core it may use, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def report(given, workload, rows, **more):
    """Print the result of a bench as `given` asks; return the exit status."""
    result = {
        "workload": workload,
        "is_smoke": given.is_smoke,
        "machine": machine(),
        "cores": CORES,
        "load": given.load,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "rows": rows,
        **more,
    }
    print(json.dumps(result) if given.json else text(result))
    return 0


HEAD = ("bench", "workload", "is_smoke", "machine", "cores", "load", "date", "took_s")


def text(result):
    """A result as a person reads it on a terminal."""
    head = f"{result['workload']}\none core of: {result['machine']}; load {result['load']} a core"
    rest = {k: v for k, v in result.items() if k not in HEAD and k != "rows"}
    lines = [head, aligned(result["rows"])]
    for name, value in rest.items():
        is_table = isinstance(value, list) and value and isinstance(value[0], dict)
        lines.append(f"{name}\n{aligned(value)}" if is_table else f"{name}: {shown(value)}")
    return "\n".join(lines)


def aligned(rows):
    """Flat objects with the same keys as a table."""
    names = list(rows[0])
    cells = [names, *([shown(row[name]) for name in names] for row in rows)]
    width = [max(map(len, column)) for column in zip(*cells, strict=True)]
    is_text = [isinstance(rows[0][name], str) for name in names]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if left else cell.rjust(w)
            for cell, w, left in zip(line, width, is_text, strict=True)
        ).rstrip()
        for line in cells
    )


def shown(value):
    """Four significant digits of a float, thousands apart; a hash cut short."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(each)}" for name, each in value.items())
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)[:64]
