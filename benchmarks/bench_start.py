"""Seconds until a `weir` command has answered, kernels compiled before: `python -m benchmarks.bench_start [--smoke]`.

Each command is started anew, in turns with the others and with an interpreter that does nothing; medians over turns.
`run` starts an engine on an empty folder, reads nothing and stops. Modules are those that the command imported, kernels
says whether numba was among them: commands that decide nothing do without.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import measuring
from config.settings import BANK

LIMIT_S = 1.5
COMMANDS = {
    "python -c pass": (),
    "weir --help": ("--help",),
    "weir rules check": ("rules", "check", str(BANK / "packs" / "core")),
    "weir rules fmt --check": ("rules", "fmt", "--check", str(BANK / "packs" / "core")),
    "weir audit verify": ("audit", "verify", "{out}"),
    "weir account show": ("account", "show", "{out}", "A1"),
    "weir replay, one transaction": ("replay", "{one}", "--out", "{new}"),
    "weir run, nothing to read": ("run", "--input", "{none}", "--out", "{new}"),
}
ONE = (
    '{"transaction_id":"t1","event_time":"2026-03-02T10:00:00Z","account":"A1","amount":"1.00",'
    '"currency":"CNY","type":"payment","direction":"out"}\n'
)


def main(argv=None):
    given = measuring.arguments(__doc__, argv, real=7, smoke=2, of="turns")
    took = {name: [] for name in COMMANDS}
    cpu = {name: [] for name in COMMANDS}
    imported = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "one.ndjson").write_text(ONE)
        (folder / "none.ndjson").touch()
        assert call(COMMANDS["weir replay, one transaction"], folder, "out") == 0
        for k, words in enumerate(COMMANDS.values()):  # kernels and modules are compiled after this
            assert call(words, folder, f"first-{k}") == 0, words
        for turn in range(given.n):
            for k, (what, words) in enumerate(COMMANDS.items()):
                began, began_cpu = time.perf_counter(), children_s()
                status = call(words, folder, f"new-{turn}-{k}")
                took[what].append(time.perf_counter() - began)
                cpu[what].append(children_s() - began_cpu)
                assert status == 0, f"{what}: status {status}"
        for k, (what, words) in enumerate(COMMANDS.items()):
            imported[what] = modules(words, folder, f"seen-{k}")
    rows = [
        {
            "command": what,
            "seconds": statistics.median(seconds),
            "slowest_s": max(seconds),
            "cpu_s": statistics.median(cpu[what]),
            "modules": len(imported[what]),
            "kernels": "numba" in imported[what],
        }
        for what, seconds in took.items()
    ]
    return measuring.report(
        given,
        f"commands of `weir`, started {given.n} times in turns, kernel cache warm",
        rows,
        limit_s=LIMIT_S,
    )


def children_s():
    """Seconds of the processor that processes started here have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def command(words, folder, new):
    places = {
        "{out}": folder / "out",
        "{new}": folder / new,
        "{one}": folder / "one.ndjson",
        "{none}": folder / "none.ndjson",
    }
    return [str(places.get(word, word)) for word in words]


def call(words, folder, new):
    argv = ["-m", "engine.cli", *command(words, folder, new)] if words else ["-c", "pass"]
    done = subprocess.run(
        [sys.executable, *argv], capture_output=True, check=False, cwd=folder, env=environment()
    )
    return done.returncode


def modules(words, folder, new):
    """Names of the packages and modules that a command imports."""
    argv = ["-m", "engine.cli", *command(words, folder, new)] if words else ["-c", "pass"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *argv], capture_output=True, text=True, check=False, cwd=folder,
        env=environment(),
    )  # fmt: skip
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


def environment():
    """Ours, with this tree first; compiled modules are kept, as they are wherever Weir is installed."""
    here = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return here | {"PYTHONPATH": str(measuring.ROOT)}


if __name__ == "__main__":
    sys.exit(main())
