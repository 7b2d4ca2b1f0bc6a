"""Run a module as a process that takes no more than a share of a processor.

    python -m engine.durable.throttle PERCENT MODULE [ARGUMENT ...]

Priorities decide who runs first, not how much all of them take; but a container has a quota of processor time, and a
guest costs its host more than it is told, so that whoever uses up what there is brings everybody to a halt: beside a
process of the lowest priority that loaded 1.3 GB at full speed, decisions waited up to 180 ms until the next tenth of a
second began, on a guest with two processors of which it had one. At half speed these halts were gone.

So the process is halted (SIGSTOP) for as long as it is ahead of its share, some milliseconds each time. It ends when
this one ends, however that is; this one ends when it does, with its status, or when whoever started this one is gone.
"""

import os
import signal
import subprocess
import sys
from typing import Final

from engine.clock import SystemClock, spent_us

EVERY_US: Final = 5_000  # between two looks at a process that works
REST_US: Final = 25_000  # and at one that does nothing
IDLE: Final = 0.02  # share of a processor that is nothing


def main(percent: str, *module: str) -> int:
    """Run it to its end; its status, or minus the number of the signal that ended it."""
    parent, share, clock = os.getppid(), int(percent) / 100, SystemClock()
    process = subprocess.Popen([sys.executable, "-m", *module])  # noqa: S603 - a module of ours
    rest_us = EVERY_US
    while process.poll() is None:
        if os.getppid() != parent:
            process.kill()
            break
        try:
            before_us = spent_us(process.pid)
            clock.sleep_us(rest_us)
            took_us = spent_us(process.pid) - before_us
        except OSError:  # it has just ended
            clock.sleep_us(EVERY_US)
            continue
        is_ahead = took_us > share * rest_us
        rest_us = EVERY_US if took_us > IDLE * rest_us else REST_US
        if is_ahead:
            process.send_signal(signal.SIGSTOP)
            clock.sleep_us(int(took_us / share - took_us))
            process.send_signal(signal.SIGCONT)
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
