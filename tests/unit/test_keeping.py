"""The process beside a live engine at an orderly stop: it holds nothing up, and leaves nothing that the chain does not know."""

import os
import signal
import subprocess
import sys

from config.settings import BANK
from engine.clock import ManualClock
from engine.durable import snapshots
from engine.durable.disk import RealDisk
from engine.durable.keeping import Helper, Keeper
from engine.setup import read_setup
from tests.running import answer_of


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
    helper.start(11, 2)
    assert "error" in answer_of(helper)  # there is no run to follow
    assert helper._process is None
    assert snapshots.numbers(RealDisk(), tmp_path) == [7, 9]
