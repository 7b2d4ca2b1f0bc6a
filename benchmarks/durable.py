"""Configuration, traffic and processes for bench_durability.py.

    python -m benchmarks.durable build FOLDER N      an output folder after traffic that touches N accounts twice
    python -m benchmarks.durable restart FOLDER T    go on with it until one more decision is written, then be killed
    python -m benchmarks.durable live FOLDER RATE S K   go on with it at a fixed rate, K snapshots, S seconds between

Each prints one JSON object. The configuration has the 40 features of benchmarks/windowing.py over 5 keys, two models
that learn and five rules; the traffic one payment after the other, every entity drawn evenly, which no cache likes.
"""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from array import array
from pathlib import Path

import numpy as np

from benchmarks.windowing import DAY_US, FORTY, HOUR_US

BATCH = 4_096
SETTLE_US = 5_000_000  # of a live run, until all is as it stays
AFTER_US = (
    1_000_000  # what the engine does once the process beside has ended belongs to the snapshot
)
SEND_S = 600  # how long messages are sent at most
START_US = 1_767_225_600_000_000  # 2026-01-01
SPAN_US = 14 * DAY_US
ENTITIES = {"card": 1.0, "device": 1.2, "merchant": 0.05, "customer": 0.9}  # of each account
LINE = (
    b'{"transaction_id":"%s","event_time":%d,"account":"A%07d","card":"K%07d","device":"D%07d","merchant":"M%05d",'
    b'"customer":"C%07d","amount":"%d.%02d","currency":"CNY","type":"payment","direction":"out","status":"booked",'
    b'"counterparty":"P%07d","channel":"app"}'
)
SETTINGS = "packs: [packs/forty]\nfeed: canonical\nremember: 30d\nsnapshot_records: 1000000000\n"
PACK = """
pack: forty
version: 1.0.0
language: 1
currency: CNY
timezone: UTC
retention: 30d
max_freezes_per_hour: 20
decision:
  combine: sum
  bands: [{from: 0, to: 300, do: approve}, {from: 300, to: 1000, do: review}]
reasons: {BENCH: Something a bench looks for}
"""
RULES = (
    "account_sum_1d > 4500 CNY and account_count_3d > 3",
    "card_sum_1h > 1900 CNY and device_count_1h > 2",
    "merchant_avg_1d > 700 CNY and amount > 990 CNY",
    "customer_count_3d > 16 and amount > 980 CNY",
    "model.score > 0.99 and amount > 990 CNY",
)
MODELS = """
champion: fraud
seed: 1
models:
  fraud: {kind: logistic, inputs: [amount, account_sum_1d, card_avg_7d, device_count_3d, customer_sum_1h]}
  anomaly: {kind: half_space_trees, inputs: [amount, account_count_1h, card_sum_1d, merchant_count_1h]}
"""


def feature(wanted):
    """Name and text of a feature of benchmarks/windowing.py, as a pack declares it."""
    width = (
        f"{wanted.width // DAY_US}d" if wanted.width >= DAY_US else f"{wanted.width // HOUR_US}h"
    )
    prior = " prior" if wanted.prior else ""
    text = f"{wanted.function}({wanted.argument or ''}) of transaction by {wanted.key} over {width}{prior}"
    return f"{wanted.key}_{wanted.function}_{width}", text


def configure(folder):
    """Write the configuration into `folder` and read it."""
    from config.settings import BANK
    from engine.setup import read_setup

    pack = folder / "packs" / "forty"
    (pack / "rules").mkdir(parents=True)
    (folder / "schema.yaml").write_bytes((BANK / "schema.yaml").read_bytes())
    (folder / "weir.yaml").write_text(SETTINGS)
    (folder / "models.yaml").write_text(MODELS)
    (pack / "pack.yaml").write_text(PACK)
    features = [": ".join(feature(wanted)) for wanted in FORTY]
    (pack / "features.yaml").write_text("\n  ".join(["features:", *features]) + "\n")
    rules = [
        f"  - {{id: BENCH-{k:03d}, name: A rule, version: 1, owner: bench, severity: low, reason: BENCH, "
        f'on: payment, mode: live, when: "{when}", score: 100}}\n'
        for k, when in enumerate(RULES)
    ]
    (pack / "rules" / "bench.yaml").write_text("rules:\n" + "".join(rules))
    return read_setup(folder)


def payments(n, n_accounts, *, first=0, start_us=START_US, span_us=SPAN_US, names=None):
    """`n` messages at even distances over `span_us`; every account is touched n // n_accounts times or once more.

    names : (n,) ids of the transactions as bytes; else they are numbered from `first`
    """
    rng = np.random.default_rng((3, first))
    turns = [rng.permutation(n_accounts) for _ in range(-(-n // n_accounts))]
    account = np.concatenate(turns)[:n].tolist()
    others = [rng.integers(0, max(20, int(k * n_accounts)), n).tolist() for k in ENTITIES.values()]
    amount, cents = rng.integers(1, 1_000, n).tolist(), rng.integers(0, 100, n).tolist()
    payee = rng.integers(0, n_accounts, n).tolist()
    time_ms = ((start_us + np.arange(n) * (span_us / n)) // 1_000).astype(np.int64).tolist()
    ids = names or [b"t%d" % k for k in range(first, first + n)]
    return map(LINE.__mod__, zip(ids, time_ms, account, *others, amount, cents, payee, strict=True))


def write(path, lines):
    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in lines)


def call(*argv):
    """One of the processes below, on every core that this one may use; what it told."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.durable", *map(str, argv)],
        stdout=subprocess.PIPE,
        check=False,
        preexec_fn=unpin,  # no thread is running yet
    )
    told = done.stdout.splitlines()
    assert told, f"benchmarks.durable {argv[0]} told nothing, status {done.returncode}"
    return json.loads(told[-1])


def unpin():
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def engine_on(folder, source, **options):
    """An engine on FOLDER/out with the configuration in FOLDER/config, as `weir run` opens it."""
    from engine.clock import SystemClock
    from engine.durable.disk import RealDisk
    from engine.setup import read_setup
    from engine.starting import open_engine

    setup = read_setup(folder / "config")
    return open_engine(
        RealDisk(), folder / "out", source(setup), setup, SystemClock(), rows_max=BATCH, **options
    )


def run(engine):
    """Run it as `weir run` does."""
    from engine.garbage import rare_collection
    from engine.progress import Progress
    from engine.runner import StopRequest

    with rare_collection(), StopRequest() as stop, Progress(None, "msg", quiet=True) as progress:
        engine.runner.run(progress, stop)


class Stopwatch:
    """Seconds on the clock that some functions took, by name; they are wrapped where others look them up."""

    def __init__(self):
        self.seconds = {}

    def wrap(self, owner, name, label):
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*args, **kwargs):
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.perf_counter() - began
                self.seconds[label] = self.seconds.get(label, 0.0) + took

        setattr(owner, name, timed)


# ---------------------------------------------------------------- processes


def build(folder, n_accounts):
    """Touch every account twice; leave the folder with a journal and the snapshot of an orderly stop."""
    from config.feeds import CANONICAL, Feed
    from engine.app import memory_mb_max
    from engine.brokers.files import FileSource
    from engine.core import Core
    from engine.durable import snapshots

    configure(folder / "config")
    traffic = folder / "traffic.ndjson"
    write(traffic, payments(2 * n_accounts, n_accounts))
    watch = Stopwatch()
    engine = engine_on(folder, lambda setup: FileSource([traffic], Feed(CANONICAL), setup.schema))
    watch.wrap(Core, "save", "save")
    watch.wrap(snapshots, "write", "write")
    began, began_cpu = time.perf_counter(), time.process_time()
    run(engine)
    took, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    core = engine.runner.core
    engine.close()
    traffic.unlink()
    state = folder / "out" / "snapshots" / f"{core.seq:016d}" / snapshots.STATE
    told = {
        "messages": core.seq,
        "accounts": len(core.dictionaries["account"].texts),
        "seconds": took,
        "cpu_seconds": cpu,
        "snapshot_bytes": state.stat().st_size,
        "save_s": watch.seconds["save"],
        "write_s": watch.seconds["write"],
        "memory_mb": memory_mb_max(),
    }
    print(json.dumps(told))


def restart(folder, began):
    """Open the folder, decide one payment, and say when what was done, in seconds since `began`."""
    from engine.app import memory_mb_max
    from engine.brokers.files import StreamSource
    from engine.clock import SystemClock
    from engine.core import Core
    from engine.durable import snapshots

    watch = Stopwatch()
    watch.wrap(snapshots, "read", "read")
    watch.wrap(Core, "load", "load")
    there, here = os.pipe()
    (line,) = payments(1, 1, names=[b"again%d" % time.time_ns()], start_us=START_US + SPAN_US)
    os.write(here, line + b"\n")
    imported = time.perf_counter() - began

    def written(outcome):
        said = time.perf_counter() - began
        decided = int((outcome.decided.decision >= 0).sum())
        told = {
            "decided": decided,
            "imported_s": imported,
            "opened_s": opened,
            "warm_up_s": warm - opened,
            "first_decision_s": said,
        }
        told |= {f"{name}_s": seconds for name, seconds in watch.seconds.items()}
        print(json.dumps(told | {"memory_mb": memory_mb_max()}), flush=True)
        engine.runner.keeper.helper.stop()
        os.kill(os.getpid(), signal.SIGKILL)  # no snapshot: the next restart has the same to do

    engine = engine_on(folder, lambda _setup: StreamSource(there, SystemClock()), helper=True)
    opened = time.perf_counter() - began
    engine.runner.core.warm_up()
    warm = time.perf_counter() - began
    engine.runner.watchers = (written,)
    run(engine)


def live(folder, rate, seconds, rounds):
    """Latency of each decision, from when its message was due to when its outcome was written.

    A process sends `rate` messages a second, each when it is due, whatever the engine does. The process beside loads
    the state. Then in turns nothing is written beside for `seconds`, and the process writes a snapshot; after the last
    one nothing again. Leaves FOLDER/latency.npy, a row a decision, microseconds: when its outcome was written, and how
    long after it was due.
    """
    from engine import starting
    from engine.brokers.files import StreamSource
    from engine.clock import SystemClock
    from engine.durable.keeping import Helper

    clock = SystemClock()
    there, here = os.pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])  # it may come too early
    sender = os.fork()
    if sender == 0:
        os.close(there)
        with contextlib.suppress(BrokenPipeError):
            send(here, rate)
        os._exit(0)
    os.close(here)
    due_us, written_us, turns = array("q"), array("q"), []
    at_rest, at_work = (1 << 50), 1

    class Watched(Helper):
        """Says when the process beside runs."""

        def _ask(self, request):
            nonlocal rest_from
            rest_from = 0
            turns.append([clock.now_us(), 0])
            super()._ask(request)

        def result(self):
            told = super().result()
            if told is not None:
                assert "bytes" in told, told
                turns[-1][1] = clock.now_us() + AFTER_US
                begin_rest(turns[-1][1])
            return told

    class Every:
        """Settings of the run but for how often a snapshot is due."""

        snapshot_every_us = at_rest

        def __getattr__(self, name):
            return getattr(settings, name)

    starting.Helper = Watched
    engine = engine_on(folder, lambda _setup: StreamSource(there, clock), helper=True)
    runner, keeper = engine.runner, engine.runner.keeper
    settings = keeper.settings
    keeper.settings = every = Every()
    rest_from = 0

    def begin_rest(now_us):
        nonlocal rest_from
        rest_from = now_us
        every.snapshot_every_us = at_rest

    def written(outcome):
        now_us = clock.now_us()
        due = [int(name) for name in outcome.batch.transaction_id if name]  # a tick has none
        due_us.extend(due)
        written_us.extend([now_us] * len(due))
        if rest_from and now_us - rest_from >= seconds * 1_000_000:
            if len(turns) - is_loading < rounds:
                every.snapshot_every_us = at_work
            else:  # the snapshot of a stop is not measured here: the folder stays as a kill leaves it
                at_us = np.array(written_us, np.int64)
                took_us = at_us - np.array(due_us, np.int64)
                np.save(folder / "latency.npy", np.column_stack([at_us, took_us]))
                told = {"turns": turns, "is_loading": is_loading, "settled_us": settled_us}
                print(json.dumps(told), flush=True)
                os.kill(sender, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)

    runner.core.warm_up()
    runner.watchers = (written,)
    settled_us = clock.now_us() + SETTLE_US  # first, what was sent meanwhile is caught up with
    is_loading = bool(turns)
    if not is_loading:
        begin_rest(settled_us)
    os.kill(sender, signal.SIGUSR1)
    run(engine)


def send(pipe, rate):
    """Write messages, each named by when it was due, microseconds; begins at a SIGUSR1."""
    n, first = rate * SEND_S, 0
    start_us, span_us = START_US + SPAN_US, SEND_S * 1_000_000
    lines = list(payments(n, n, names=[b"%s"] * n, start_us=start_us, span_us=span_us))
    signal.sigwait([signal.SIGUSR1])
    begin_us = time.time_ns() // 1_000
    while first < n:
        passed = time.time_ns() // 1_000 - begin_us
        due = min(n, passed * rate // 1_000_000)
        if due > first:
            names = (b"%d" % (begin_us + k * 1_000_000 // rate) for k in range(first, due))
            rows = zip(lines[first:due], names, strict=True)
            os.write(pipe, b"".join(line % name + b"\n" for line, name in rows))
            first = due
        time.sleep(0.0005)


def main(argv):
    name, folder, *rest = argv
    if name == "build":
        build(Path(folder), int(rest[0]))
    elif name == "restart":
        restart(Path(folder), float(rest[0]))
    else:
        live(Path(folder), int(rest[0]), float(rest[1]), int(rest[2]))


if __name__ == "__main__":
    main(sys.argv[1:])
