"""The canonical workload of design.md section 6: throughput with everything on, beside two limits and other builds.

    python -m benchmarks.bench_canonical [--smoke] [--json]

NDJSON on disk to decisions on disk, one process on one core, `durability: sync`; replay/speed says what the stream and
the configuration are and when the clock runs. Every run is a process of its own that decides 4,000 other transactions
first; canonical and canonical+forest take turns, and all runs of one must give the same decisions (sha256). Decode only
is msgspec into a Struct over the same bytes, batches of 2,048 kept, no garbage collection, after each pair of runs.

The peers get the first part of the same stream, in turns with Weir on the same part; benchmarks/canonical_peers.py is
the obvious Python build. Before that, untimed, both go over a smaller stream and every window feature and every rule
that reads no model is compared: in order all must be equal, or the bench fails; with the rows out of order that the
stream has, the share of feature values that the peer has wrong is told. DuckDB recomputes the window features alone
(benchmarks/canonical_duckdb.py), once a micro-batch of a small stream in order; its values are compared too, and
those that differ are told: it does not know the order of events of one moment.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import canonical_duckdb, canonical_peers, measuring
from replay.speed import throughput, workload

RUNS, PEER_RUNS = 3, 3
PEER_ROWS, SMOKE_PEER_ROWS = 30_000, 3_000
CHECKED_ROWS = 10_000
WARM_ROWS = 4_000
RECOMPUTED, SMOKE_RECOMPUTED = (20_000, 1_000), (2_000, 500)  # transactions, messages in a batch
TIMED_BATCHES = 2


def one(folder, config, stream):
    """In a process of its own: one run, told as JSON."""
    from engine.setup import read_setup

    setup = read_setup(folder / config)
    warm = folder / f"warm-{os.getpid()}.ndjson"
    workload.write(warm, workload.stream(WARM_ROWS, seed=5))
    for path in (warm, folder / stream):
        source = throughput.canonical_source([path], setup)
        with tempfile.TemporaryDirectory(dir=folder) as out:
            run = throughput.once(setup, source, Path(out) / "out")
    warm.unlink()
    told = {name: getattr(run, name) for name in run.__slots__}
    print(json.dumps(told))


def measured(folder, config, stream):
    command = [sys.executable, "-m", "benchmarks.bench_canonical", "--one"]
    done = subprocess.run(
        [*command, str(folder), config, stream],
        stdout=subprocess.PIPE,
        check=True,
        cwd=measuring.ROOT,
    )
    return throughput.Run(**json.loads(done.stdout.splitlines()[-1]))


def rows_of(folder, n_runs):
    """Runs of both configurations in turns; one row a run, and all runs by configuration."""
    lines = (folder / "stream.ndjson").read_bytes().splitlines()
    runs, rows = {"canonical": [], "canonical+forest": []}, []
    for turn in range(n_runs):
        pair = []
        for name, found in runs.items():
            run = measured(folder, name, "stream.ndjson")
            found.append(run)
            pair.append((name, run))
        decode = throughput.decode_only(lines)
        for name, run in pair:
            rows.append(
                {
                    "workload": name,
                    "run": turn + 1,
                    "tx_per_second": round(run.tx_per_second),
                    "messages_per_second": round(run.messages / run.seconds),
                    "cpu_us": run.cpu_us,
                    "memory_mb": run.memory_mb,
                    "decode_only_messages_per_second": round(decode),
                    "share_of_decode_only": run.messages / run.seconds / decode,
                    "sha256": run.sha256[:16],
                }
            )
    for name, found in runs.items():
        assert len({run.sha256 for run in found}) == 1, f"{name}: runs differ"
    return sorted(rows, key=lambda row: row["workload"]), runs


# ---------------------------------------------------------------- the obvious Python build


def by_hand(config, lines, out):
    """Seconds and transactions of the obvious build over `lines`, decisions written to `out`."""
    build, n = canonical_peers.Build(config), 0
    with out.open("wb") as file:
        began = time.perf_counter()
        for line in lines:
            if (decision := build.take(line)) is not None:
                file.write(decision)
                n += 1
        took = time.perf_counter() - began
    return took, n


def ours_of(folder, lines):
    """What Weir makes of `lines`: its window features, a dict a transaction, its decisions, and its setup."""
    import pyarrow.parquet as pq

    from engine.app import Job, execute
    from engine.setup import read_setup
    from replay.features import FeatureFile

    path = folder / "check.ndjson"
    workload.write(path, lines)
    setup = read_setup(folder / "canonical")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        out, table = Path(name) / "out", Path(name) / "features.parquet"
        job = Job(setup, out, 4_096, inputs=(path.name,), quiet=True)
        files = []

        def observe(core):
            files.append(FeatureFile(table, core))
            return (files[0].__enter__(),)

        execute(job, throughput.canonical_source([path], setup), observe=observe)
        files[0].__exit__(None, None, None)
        decisions = [json.loads(line) for line in (out / "decisions.ndjson").open()]
        return pq.read_table(table).to_pylist(), decisions, setup


def compare(folder, n, *, orderly):
    """How many window features and rules both have, and how many differ, over a stream of `n` transactions."""
    lines = workload.stream(n, orderly=orderly)
    ours, decisions, setup = ours_of(folder, lines)
    build = canonical_peers.Build(folder / "canonical", with_models=False)
    units = units_of(setup)
    reads_models = {rule.id for rule in setup.pack.rules if rule.reason == "MODEL"}
    found = {"features": 0, "features_different": 0, "rules": 0, "rules_different": 0}
    rows = iter(zip(ours, decisions, strict=True))
    for line in lines:
        told = build.take(line)
        if told is None:
            continue
        ours_row, decision = next(rows)
        row = build.row
        assert row["transaction_id"] == ours_row["transaction_id"] == decision["transaction_id"]
        for name, unit in units.items():
            found["features"] += 1
            found["features_different"] += not same(ours_row[name], row[name], unit)
        fired = {f["rule"] for f in decision["fired"]} - reads_models
        theirs = set(json.loads(told)["fired"]) - reads_models
        found["rules"] += len(setup.pack.rules) - len(reads_models)
        found["rules_different"] += len(fired ^ theirs)
    assert next(rows, None) is None
    return found


def units_of(setup):
    """What to divide the peer's value of each feature by: fen into yuan, microseconds into seconds."""
    units = {}
    for name, feature in setup.pack.features.items():
        function = feature.aggregate.function
        is_money = function in ("sum", "avg", "stddev", "max", "quantile")
        units[name] = 100 if is_money else 1_000_000 if function.startswith("time_") else 1
    return units


def same(ours, theirs, unit):
    if ours is None or theirs is None:
        return ours is theirs
    return math.isclose(ours, theirs / unit, rel_tol=1e-9, abs_tol=1e-9)


def beside(folder, n, n_runs):
    """One row for the obvious build, in turns with Weir over the same messages."""
    lines, n_seen = [], 0
    for line in (folder / "stream.ndjson").open("rb"):
        if n_seen == n:
            break
        n_seen += b'"kind"' not in line[:8]
        lines.append(line.rstrip(b"\n"))
    workload.write(folder / "part.ndjson", lines)
    pairs = []
    for _ in range(n_runs):
        took, n_decided = by_hand(folder / "canonical", lines, folder / "by_hand.ndjson")
        ours = measured(folder, "canonical", "part.ndjson")
        assert n_decided == ours.transactions, (n_decided, ours.transactions)
        pairs.append((n_decided / took, ours.tx_per_second))
    return {
        "peer": "the obvious Python build",
        "transactions": n_decided,
        "peer_tx_per_second": round(statistics.median(theirs for theirs, _ in pairs)),
        "tx_per_second": round(statistics.median(ours for _, ours in pairs)),
        "times": statistics.median(ours / theirs for theirs, ours in pairs),
        "note": canonical_peers.NOTE,
    }


# ---------------------------------------------------------------- recomputation


def recomputed(folder, n, batch):
    """One row for DuckDB, over all micro-batches of a small stream; Weir decides the same messages, with everything on.

    The last batches are timed, when windows are full; all features of all batches are compared.
    """
    lines = workload.stream(n, orderly=True)
    workload.write(folder / "small.ndjson", lines)
    theirs, us, _ = canonical_duckdb.recompute(folder / "canonical", lines, batch, TIMED_BATCHES)
    ours, _, setup = ours_of(folder, lines)
    different = sum(
        not same(row[name], value, unit)
        for name, unit in units_of(setup).items()
        for row, value in zip(ours, theirs[name], strict=True)
    )
    run = measured(folder, "canonical", "small.ndjson")
    return {
        "peer": f"DuckDB, recomputed a batch of {batch:,}",
        "transactions": n,
        "peer_tx_per_second": round(1e6 / us),
        "tx_per_second": round(run.tx_per_second),
        "times": run.tx_per_second * us / 1e6,
        "compared": len(ours) * len(theirs),
        "different": different,
        "wrong_out_of_order": None,
        "note": canonical_duckdb.NOTE.format(batch=batch),
    }


# ---------------------------------------------------------------- all of it


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["--one"]:
        one(Path(argv[1]), *argv[2:])
        return 0
    given = measuring.arguments(
        __doc__, argv, real=workload.N, smoke=workload.SMOKE, of="transactions"
    )
    try:
        import duckdb  # noqa: F401
        import river  # noqa: F401
    except ImportError:
        print(
            "bench_canonical needs river and DuckDB: pip install -e '.[adapters]'", file=sys.stderr
        )
        return measuring.EXIT_MISSING
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for variant in ("canonical", "canonical+forest"):
            workload.configure(folder / variant, forest="forest" in variant)
        in_order = compare(folder, min(given.n, CHECKED_ROWS), orderly=True)
        assert not in_order["features_different"] + in_order["rules_different"], in_order
        as_it_comes = compare(folder, min(given.n, CHECKED_ROWS), orderly=False)
        workload.write(folder / "stream.ndjson", workload.stream(given.n))
        rows, runs = rows_of(folder, 1 if given.is_smoke else RUNS)
        peer = beside(
            folder,
            SMOKE_PEER_ROWS if given.is_smoke else PEER_ROWS,
            1 if given.is_smoke else PEER_RUNS,
        )
        other = recomputed(folder, *(SMOKE_RECOMPUTED if given.is_smoke else RECOMPUTED))
        syncs = throughput.syncs_per_second(folder)
        size = (folder / "stream.ndjson").stat().st_size
    peer |= {
        "compared": in_order["features"] + in_order["rules"],
        "different": in_order["features_different"] + in_order["rules_different"],
        "wrong_out_of_order": as_it_comes["features_different"] / as_it_comes["features"],
    }
    of = runs["canonical"][0]
    return measuring.report(
        given,
        f"{given.n:,} generated transactions, {of.messages:,} messages, {max(given.n // 5, 200):,} accounts; "
        "47 features over 5 keys, 50 rules, two models learning, journal synced and sealed",
        rows,
        peers=[peer, other],
        profile=[
            {"workload": name, **row}
            for name, found in runs.items()
            for row in throughput.profile(found)
        ],
        median={
            name: {
                "tx_per_second": statistics.median(run.tx_per_second for run in found),
                "cpu_us": statistics.median(run.cpu_us for run in found),
            }
            for name, found in runs.items()
        },
        syncs_per_second=round(syncs),
        rows_in_a_batch=round(of.messages / of.batches),
        message_bytes=size / of.messages,
        decision_bytes=of.written["decisions.ndjson"] / of.transactions,
        journal_bytes=of.written["journal"] / of.messages,
        sha256=of.sha256[:16],
    )


if __name__ == "__main__":
    sys.exit(main())
