"""Law 2 with real processes and a real SIGKILL, at random moments of a replay of the shipped configuration.

WEIR_KILLS asks for more kills (default 4), WEIR_KILL_TRANSACTIONS for a longer recording. A replay that got through is
compared byte by byte with one that nobody disturbed, and audited; then the next one begins, until enough were killed.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from config.settings import BANK
from engine.durable.output import STREAMS, OutputFolder, stream_path
from replay.audit import verify
from replay.generate import generate

KILLS = int(os.environ.get("WEIR_KILLS", "4"))
TRANSACTIONS = int(os.environ.get("WEIR_KILL_TRANSACTIONS", "12000"))
SEED = int(os.environ.get("WEIR_SEED", "1"))
DAYS = 10
SNAPSHOT_RECORDS = 16_384 if TRANSACTIONS < 100_000 else 65_536


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """The shipped configuration with more frequent snapshots."""
    folder = tmp_path_factory.mktemp("kills") / "bank"
    shutil.copytree(BANK, folder)
    path = folder / "weir.yaml"
    text, n = re.subn(
        r"^snapshot_records:.*$",
        f"snapshot_records: {SNAPSHOT_RECORDS}",
        path.read_text(),
        flags=re.MULTILINE,
    )
    assert n == 1
    text, n = re.subn(r"^snapshot_every:.*$", "snapshot_every: 10s", text, flags=re.MULTILINE)
    assert n == 1
    path.write_text(text)
    return folder


@pytest.fixture(scope="module")
def traffic(bank):
    path = bank.parent / "traffic.ndjson"
    accounts = round(TRANSACTIONS / DAYS / 4)
    generate(
        path, accounts=accounts, days=DAYS, rate=4.0, seed=SEED, late=0.01, duplicates=0.01, bad_lines=0.001
    )  # fmt: skip
    return path


def command(verb, traffic, bank, out):
    weir = [sys.executable, "-m", "engine.cli"]
    if verb == "run":
        return [*weir, "run", "--input", str(traffic), "--config", str(bank), "--out", str(out)]
    # as the engine itself judges it: a kill may come between its first file and decisions.ndjson
    resume = ["--resume"] if OutputFolder(out).is_used() else []
    return [*weir, "replay", str(traffic), "--config", str(bank), "--out", str(out), *resume]


def started(verb, traffic, bank, out):
    log = (out.parent / f"{out.name}.log").open("ab")
    return subprocess.Popen(
        command(verb, traffic, bank, out), stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )


def streams(out):
    return {stream: stream_path(out, stream).read_bytes() for stream in STREAMS}


def test_kills_are_invisible(bank, traffic):
    """Whenever it was killed, what is on disk in the end is what an undisturbed replay writes, byte for byte."""
    rng = np.random.default_rng(SEED)
    calm = bank.parent / "calm"
    began = time.monotonic()
    assert started("replay", traffic, bank, calm).wait() == 0
    took_s = time.monotonic() - began
    expected = streams(calm)
    killed = finished = 0
    derived = 0
    while killed < KILLS:
        out = bank.parent / f"storm{finished}"
        verb = "run" if finished % 2 else "replay"
        while True:
            process = started(verb, traffic, bank, out)
            until = killed < KILLS
            wait_s = float(rng.uniform(0.5, min(took_s, 12.0))) if until else None
            try:
                status = process.wait(wait_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
                continue
            log = (bank.parent / f"{out.name}.log").read_text()
            assert status == 0, log[-2000:]
            break
        finished += 1
        derived += log.count("were decided again")
        got = streams(out)
        for stream in STREAMS:
            assert got[stream] == expected[stream], (stream, out)
        report = verify.report(out, chain_only=killed < KILLS)
        assert report.is_fine, report.as_text()
        shutil.rmtree(out)
    assert derived or KILLS < 20, "no start had anything to derive again"
    print(
        f"\n{killed} kills, {finished} replays, {len(expected['decisions'].splitlines()):,} decisions each"
    )
