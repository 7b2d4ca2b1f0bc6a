"""A process that gets a share of a processor: how much it takes, and that neither outlives the other."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from config.kernel_cache import ROOT
from engine.durable import throttle

BUSY = """
import time
while time.process_time() < {}:
    pass
"""
ENDLESS = "print(__import__('os').getpid(), flush=True)" + BUSY.format("1e9")
ENDS_WITHIN_S = 60


def command(percent, folder, code):
    """A module with this code, by its arguments and environment."""
    (folder / "inside.py").write_text(code)
    path = os.pathsep.join([str(ROOT), str(folder)])
    asked = [sys.executable, "-m", throttle.__name__, str(percent), "inside"]
    return asked, {**os.environ, "PYTHONPATH": path}


def is_gone(pid):
    """Whether a process has ended, or does within a while."""
    until = time.monotonic() + ENDS_WITHIN_S
    while time.monotonic() < until:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            with contextlib.suppress(OSError), Path(f"/proc/{pid}/stat").open() as file:
                if file.read().rpartition(")")[2].split()[0] != "Z":
                    time.sleep(0.05)
                    continue
        return True
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="the processor time of another process")
def test_it_takes_no_more_than_its_share(tmp_path):
    """Others on the machine can only make it less."""
    asked, environment = command(25, tmp_path, BUSY.format(1.0))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(asked, env=environment, check=True)
    took_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert 1.0 <= spent_s < 0.35 * took_s


@pytest.mark.parametrize(
    ("code", "status"), [("", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 247)]
)  # fmt: skip
def test_it_ends_as_the_module_ends(tmp_path, code, status):
    asked, environment = command(50, tmp_path, code)
    assert subprocess.run(asked, env=environment, check=False).returncode == status


def test_requests_and_answers_pass_through(tmp_path):
    asked, environment = command(
        50, tmp_path, "for line in __import__('sys').stdin: print(line * 2)"
    )
    done = subprocess.run(
        asked, env=environment, check=True, input="again ", capture_output=True, text=True
    )
    assert done.stdout == "again again \n"


def test_it_ends_with_whoever_started_it(tmp_path):
    """The engine is killed, and nobody is left to tell."""
    asked, environment = command(50, tmp_path, ENDLESS)
    starts = f"import subprocess, time; subprocess.Popen({asked!r}); time.sleep(600)"
    engine = subprocess.Popen(
        [sys.executable, "-c", starts], env=environment, stdout=subprocess.PIPE
    )
    pid = int(engine.stdout.readline())
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    assert is_gone(pid)
    engine.stdout.close()
