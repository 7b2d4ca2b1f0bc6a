"""The process beside a live engine at an orderly stop: it holds nothing up, and leaves nothing that the chain does not know."""

import os
import signal
import subprocess
import sys

import pytest

from config.settings import BANK
from engine import starting
from engine.clock import ManualClock
from engine.durable import snapshots
from engine.durable.disk import RealDisk
from engine.durable.journal import read_journal
from engine.durable.keeping import Helper, Keeper
from engine.durable.seals import Note, check_journal, read_seals
from engine.progress import Progress
from engine.runner import StopRequest
from engine.setup import read_setup
from engine.starting import open_engine
from tests.auditing import small_bank, small_traffic
from tests.running import answer_of
from tests.sources import Sent

NOW_US = 1_775_000_000_000_000  # after the last of the traffic


def test_a_halted_process_does_not_hold_up_the_stop(tmp_path):
    helper = Helper(tmp_path)
    helper._process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
    )  # fmt: skip
    helper._process.stdout.readline()
    os.kill(helper._process.pid, signal.SIGSTOP)
    os.waitpid(helper._process.pid, os.WUNTRACED)  # it has come to a halt
    signal.alarm(20)  # ends the test run, where the stop hangs
    helper.stop()
    signal.alarm(0)
    assert not helper.is_running


def test_a_snapshot_finished_at_the_moment_of_the_stop_does_not_stay_unnoted(tmp_path):
    """The process beside has renamed it, and the engine had not looked yet; verify would find a stranger."""
    disk = RealDisk()
    settings = read_setup(BANK).configuration.settings
    keeper = Keeper(disk, tmp_path, ManualClock(0), settings, helper=Helper(tmp_path))
    keeper.begin(5)
    for seq in (5, 7):
        snapshots.write(disk, tmp_path, at(seq))
    keeper.stop(lambda: None, lambda: at(9))
    assert snapshots.numbers(disk, tmp_path) == [5, 9]


def at(seq):
    return snapshots.Snapshot(seq, seq, "", False, "", {}, {}, {})


def test_old_snapshots_are_removed_by_the_process_beside(tmp_path):
    """Letting go of a gigabyte takes the file system a quarter of a second, which no decision shall wait for."""
    for seq in (5, 7, 9):
        snapshots.write(RealDisk(), tmp_path, at(seq))
    helper = Helper(tmp_path)
    helper.start(11, 2, 0)
    assert "error" in answer_of(helper)  # there is no run to follow
    assert helper._process is None
    assert snapshots.numbers(RealDisk(), tmp_path) == [7, 9]


def opened(root, bank, lines, **more):
    return open_engine(
        RealDisk(), root, Sent(lines), bank, ManualClock(NOW_US), threaded=False, **more
    )


def run(engine):
    with StopRequest() as stop, Progress(None, "msg") as progress:
        engine.runner.run(progress, stop)
    engine.close()


@pytest.fixture(scope="module")
def six_days(tmp_path_factory):
    """A configuration whose segments are small, and traffic of six days."""
    folder = tmp_path_factory.mktemp("six")
    bank = small_bank(
        folder / "bank", segment_bytes="65536", journal_keep="2d", snapshot_records="4096"
    )
    lines = small_traffic(folder / "t.ndjson", 5_000, days=6.0).read_bytes().splitlines()
    return read_setup(bank), lines


@pytest.fixture
def run_out(six_days, tmp_path, monkeypatch):
    """An output folder after an orderly stop from which nothing has gone yet."""
    bank, lines = six_days
    with monkeypatch.context() as patched:
        patched.setattr(Keeper, "_retire", lambda keeper: None)
        run(opened(tmp_path / "out", bank, lines))
    return tmp_path / "out"


def segments(root):
    return RealDisk().names(root / "journal")


def is_sound(root, kept_from):
    """Whether the chain says that the journal begins there, and finds it so."""
    chain = read_seals(RealDisk(), root)
    reader = read_journal(RealDisk(), root / "journal", kept_from=chain.kept_from)
    return chain.kept_from == kept_from and check_journal(chain, reader, leaves=True) == []


def test_segments_that_are_old_enough_go_with_a_snapshot(six_days, run_out, tmp_path):
    root, before = tmp_path / "other", segments(run_out)
    run(opened(root, *six_days))
    left = segments(root)
    assert 1 < len(left) < len(before)
    assert left == before[-len(left) :]
    assert is_sound(root, int(left[0][:16]))


class Beside:
    """Stands in for the process: notes what it was asked for."""

    is_running = False

    def __init__(self, root):
        self.asked = []

    def prepare(self, state_bytes):
        pass

    def start(self, *asked):
        self.asked.append(asked)

    def stop(self):
        pass


def test_beside_a_live_engine_they_go_with_the_next_snapshot(six_days, run_out, monkeypatch):
    """Letting go of 64 MB takes the file system 17 ms; the engine says that they go, and waits for none of them."""
    monkeypatch.setattr(starting, "Helper", Beside)
    engine = opened(run_out, six_days[0], [], helper=True)
    keeper, before = engine.runner.keeper, segments(run_out)
    *_, number = there = snapshots.numbers(RealDisk(), run_out)
    keeper._core_us = engine.runner.core.core_us
    for _ in range(2):
        keeper._take_over({"seq": number, "sha256": {}, "bytes": 1})
    assert segments(run_out) == before
    notes = [line for line in read_seals(RealDisk(), run_out).lines if isinstance(line, Note)]
    told = [note.fields["retired"] for note in notes if note.kind == "retired"]
    assert len(told) == 1, "said once, however often it is looked at"
    kept_from = int(before[before.index(told[0][1]) + 1][:16])
    assert is_sound(run_out, kept_from)
    keeper.newest_seq = 0
    every_ns = keeper.settings.snapshot_every_us * 1_000
    keeper.keep(None, None, keeper._last_ns + every_ns, keeper._core_us)
    kept = keeper.settings.snapshots_kept
    assert keeper.helper.asked == [(number, kept, kept_from)]
    helper = Helper(run_out)
    helper.start(number, kept, kept_from)
    answer_of(helper)
    helper.stop()
    left = segments(run_out)
    assert int(left[0][:16]) == kept_from
    assert left == before[-len(left) :]
    assert is_sound(run_out, kept_from)
    assert RealDisk().names(run_out / "snapshots") == [f"{seq:016d}" for seq in there]
    engine.close()
