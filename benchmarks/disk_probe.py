"""What the disk does to everybody: a process that overwrites and syncs 512 bytes, over and over, beside a measurement.

    python -m benchmarks.disk_probe FILE     until SIGTERM; then its samples on standard output

It reads nothing, allocates nothing and holds no more than one small write in flight: a stall that it sees as well comes
from the disk or from who shares it. Its syncs are told beside what was measured, never subtracted from it.
"""

import os
import signal
import subprocess
import sys
import time
from array import array

import numpy as np

BYTES = 512
EVERY_S = 0.02


class DiskProbe:
    """Runs on the disk of `folder` while a block runs; asked after it."""

    def __init__(self, folder):
        self._file = folder / "probe"
        self._samples = np.empty((0, 2), np.int64)

    def __enter__(self):
        command = [sys.executable, "-m", "benchmarks.disk_probe", str(self._file)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_):
        self._process.terminate()
        told, _ = self._process.communicate()
        self._file.unlink(missing_ok=True)
        self._samples = np.frombuffer(told, np.int64).reshape(-1, 2)

    def longest_ms(self, start_us, end_us):
        """The longest sync that ended within these microseconds of the wall clock; None if none did."""
        ended_us, took_ns = self._samples.T
        took_ns = took_ns[(ended_us >= start_us) & (ended_us < end_us)]
        return float(took_ns.max()) / 1e6 if len(took_ns) else None


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
        samples.extend((time.time_ns() // 1_000, took))
    os.close(number)
    sys.stdout.buffer.write(samples.tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
