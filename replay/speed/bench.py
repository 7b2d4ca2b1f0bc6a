"""`weir bench`: how fast this machine is with the canonical workload, or with a recording of yours."""

import json
import os
import statistics
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config.errors import ConfigError, StateError
from engine.brokers.files import FileSource
from engine.setup import Setup, read_setup
from replay.speed import latency, throughput, workload
from replay.speed.machine import machine
from replay.speed.throughput import Run

WARM_UP: int = 4_000  # transactions decided before the clock starts


def run(arguments: Namespace) -> int:
    """Run the command; the result is printed as tables or as one JSON object."""
    check(arguments)
    cores = throughput.pin() if not arguments.latency else os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as name:
        measure = latencies if arguments.latency else throughputs
        result = measure(arguments, Path(name))
    result = {"machine": machine(), "cores": cores} | result
    if arguments.json:
        print(json.dumps(result))
    else:
        print(table(result, with_profile=arguments.profile))
    return 0


def check(arguments: Namespace) -> None:
    """Raise `ConfigError` for wishes that do not go together."""
    where = "weir bench"
    if bool(arguments.input) != (arguments.config is not None):
        raise ConfigError(
            "`--input` and `--config` go together",
            where,
            "a recording means something under the configuration that it was made for only",
            "give both, or neither for the canonical workload",
        )
    if arguments.latency and arguments.input:
        raise ConfigError(
            "`--latency` does not go with `--input`",
            where,
            "messages get the time at which they are sent, which only the canonical stream can be given",
            "leave --input and --config out",
        )
    for name, least in (("size", 1_000), ("runs", 1)):
        if getattr(arguments, name) < least:
            raise ConfigError(
                f"`--{name}` must be at least {least:,}, was {getattr(arguments, name)}",
                where,
                "less than that says nothing",
                f"leave --{name} out",
            )


# ---------------------------------------------------------------- throughput


def throughputs(arguments: Namespace, folder: Path) -> dict[str, Any]:
    """Measure throughput; medians over runs, which must all decide the same."""
    if arguments.input:
        setup = read_setup(arguments.config, feed=arguments.feed)
        paths = list(arguments.input)
        what = f"{', '.join(map(str, paths))} under {arguments.config}"
    else:
        setup = read_setup(workload.configure(folder / "config", forest=arguments.forest))
        paths = [folder / "stream.ndjson"]
        workload.write(paths[0], workload.stream(arguments.size))
        what = named(arguments.size, arguments.forest)
        warm_up(setup, folder)
    runs = []
    for k in range(arguments.runs):
        print(f"run {k + 1} of {arguments.runs} ...", file=sys.stderr)
        source = FileSource(paths, setup.feed, setup.schema)
        runs.append(throughput.once(setup, source, folder / f"run{k}"))
        remove(folder / f"run{k}")
    found = told(runs)
    if not arguments.input:
        lines = paths[0].read_bytes().splitlines()
        found["decode_only_messages_per_second"] = round(throughput.decode_only(lines))
        rate = found["messages_per_second"] / found["decode_only_messages_per_second"]
        found["share_of_decode_only"] = round(rate, 4)
    found["syncs_per_second"] = round(throughput.syncs_per_second(folder))
    return {"workload": what} | found


def named(n: int, forest: bool) -> str:
    """The canonical workload in a line."""
    name = "canonical+forest" if forest else "canonical"
    return f"{name}: {n:,} transactions, {n // 20:,} activities, labels for 2 %, {max(n // 5, 200):,} accounts"


def warm_up(setup: Setup, folder: Path) -> None:
    """Decide a little of another stream, so that what only happens once has happened."""
    path = folder / "warm.ndjson"
    workload.write(path, workload.stream(WARM_UP, seed=5))
    throughput.once(setup, throughput.canonical_source([path], setup), folder / "warm")
    remove(folder / "warm")


def remove(folder: Path) -> None:
    """Make room for the next run."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def told(runs: Sequence[Run]) -> dict[str, Any]:
    """Medians over `runs`; `StateError` if two of them decided otherwise."""
    if len({run.sha256 for run in runs}) > 1:
        raise StateError(
            "two runs over the same recording decided differently",
            "weir bench",
            "the same input and configuration give the same bytes; a speed that breaks this is no speed",
            "run weir doctor, and report what it says",
        )
    of = runs[0]
    seconds = statistics.median(run.seconds for run in runs)
    return {
        "transactions": of.transactions,
        "messages": of.messages,
        "runs": [round(run.tx_per_second) for run in runs],
        "tx_per_second": round(of.transactions / seconds),
        "messages_per_second": round(of.messages / seconds),
        "cpu_us": round(statistics.median(run.cpu_us for run in runs), 3),
        "memory_mb": round(max(run.memory_mb for run in runs)),
        "sha256": of.sha256,
        "profile": throughput.profile(runs),
    }


# ---------------------------------------------------------------- latency


def latencies(arguments: Namespace, folder: Path) -> dict[str, Any]:
    """Measure latency at each rate that is asked for."""
    rates = arguments.rates or list(latency.RATES)
    rows = latency.measure(
        folder,
        rates=rates,
        seconds=arguments.seconds,
        history=arguments.size,
        say=lambda text: print(text, file=sys.stderr),
    )
    if arguments.histogram is not None:
        latency.write_histograms(arguments.histogram, rows)
    return {
        "workload": f"{named(arguments.size, forest=False)} as history, then {arguments.seconds:g} s at each rate",
        "latency": [row.told() for row in rows],
        "sync_ms": latency.disk(folder),
    }


# ---------------------------------------------------------------- as people read it


def table(result: dict[str, Any], *, with_profile: bool) -> str:
    """The result as aligned lines."""
    lines = [result["workload"], f"{result['cores']} core(s) of {result['machine']}", ""]
    if "latency" in result:
        alone = ", ".join(f"{name} {ms:.2f}" for name, ms in result["sync_ms"].items())
        shown = latency.lines(result["latency"])
        return "\n".join([*lines, *shown, "", f"this disk alone, sync of 4 KB: {alone} ms"])
    single = ", ".join(f"{n:,}" for n in result["runs"])
    lines += [
        f"throughput     {result['tx_per_second']:,} tx/s (runs: {single})",
        f"               {result['messages_per_second']:,} messages/s",
        f"processor      {result['cpu_us']:.2f} us a transaction, all threads",
        f"memory         {result['memory_mb']:,} MB at most",
        f"decisions      {result['transactions']:,}, sha256 {result['sha256'][:16]}",
    ]
    if "decode_only_messages_per_second" in result:
        lines.append(
            f"decode only    {result['decode_only_messages_per_second']:,} messages/s (msgspec into a Struct); "
            f"this run made {result['share_of_decode_only']:.1%} of it"
        )
    lines.append(f"disk           {result['syncs_per_second']:,} syncs of 64 KB a second")
    if with_profile:
        lines += ["", f"{'stage':22} {'us/tx':>8} {'share':>7}"]
        lines += [
            f"{row['stage']:22} {row['us']:8.2f} {row['share']:7.1%}" for row in result["profile"]
        ]
        lines.append(f"{'all':22} {sum(row['us'] for row in result['profile']):8.2f}")
    return "\n".join(lines)
