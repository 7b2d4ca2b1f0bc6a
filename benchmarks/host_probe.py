"""What the host does to everybody: a process that overwrites and syncs 512 bytes, over and over, beside a measurement.

    python -m benchmarks.host_probe FILE     until SIGTERM; then its samples on standard output

It allocates nothing and holds no more than one small write in flight: a stall that it sees as well comes from the disk
or from who shares it. On a virtual machine it also notes the processor time that the host has taken for others ("steal"
in /proc/stat). Both are told beside what was measured, never subtracted from it.
"""

import os
import signal
import subprocess
import sys
import time
from array import array
from pathlib import Path

import numpy as np

BYTES = 512
EVERY_S = 0.02
TAKEN_WITHIN_US = 250_000
STAT = Path("/proc/stat")
STEAL = 8  # of the words of its first line


class HostProbe:
    """Runs on the disk of `folder` while a block runs; asked after it. Times are microseconds of the wall clock."""

    def __init__(self, folder):
        self._file = folder / "probe"
        self._samples = np.empty((0, 3), np.int64)

    def __enter__(self):
        command = [sys.executable, "-m", "benchmarks.host_probe", str(self._file)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_):
        self._process.terminate()
        told, _ = self._process.communicate()
        self._file.unlink(missing_ok=True)
        self._samples = np.frombuffer(told, np.int64).reshape(-1, 3)

    def longest_sync_ms(self, start_us, end_us):
        """The longest sync that ended in between; None if none did."""
        ended_us, took_ns, _ = self._samples.T
        took_ns = took_ns[(ended_us >= start_us) & (ended_us < end_us)]
        return float(took_ns.max()) / 1e6 if len(took_ns) else None

    def taken_ms(self, start_us, end_us):
        """The most processor time that the host took within a quarter of a second in between; None if not known."""
        at_us, _, taken_us = self._samples.T
        inside = (at_us >= start_us) & (at_us < end_us)
        at_us, taken_us = at_us[inside], taken_us[inside]
        if not len(at_us) or taken_us[0] < 0:
            return None
        first = np.searchsorted(at_us, at_us - TAKEN_WITHIN_US)
        return float((taken_us - taken_us[first]).max()) / 1e3


def taken_us():
    """Processor time that the host has taken so far, of all cores; -1 where the system does not tell."""
    try:
        with STAT.open() as file:
            ticks = int(file.readline().split()[STEAL])
    except (OSError, IndexError):
        return -1
    return ticks * 1_000_000 // os.sysconf("SC_CLK_TCK")


def main(path):
    samples = array("q")
    is_over = []
    signal.signal(signal.SIGTERM, lambda *_: is_over.append(True))
    number = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(number, bytes(BYTES))
    os.fsync(number)
    while not is_over:
        time.sleep(EVERY_S)
        began = time.perf_counter_ns()
        os.pwrite(number, bytes(BYTES), 0)
        os.fdatasync(number)
        took = time.perf_counter_ns() - began
        samples.extend((time.time_ns() // 1_000, took, taken_us()))
    os.close(number)
    sys.stdout.buffer.write(samples.tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
