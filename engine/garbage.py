"""Have Python look for circles of garbage less often, and never among what is there already.

Batches make hundreds of thousands of objects and no circles, while a look through everything that a core of 500 rules
holds takes 110 to 290 ms, which transactions wait for. 80,000 records of the bank: 3.2 s instead of 3.55. Starting an
engine makes 170,000 objects that stay and some 9,000 in circles; 380 looks found these in 0.1 of 2 s, and one more at
its end took another 0.1 to find 135. But a core that is done with is a circle of up to gigabytes: who runs a second one
in the same process (backtests, benches) looks first.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

COLLECT_EVERY: Final = 50_000  # objects made between two looks
_runs_ended = [0]  # blocks of `rare_collection` in this process


def leave_at_exit() -> None:
    """Have the end of this process look for no garbage: that took 0.35 s after a run that had read nothing."""
    atexit.unregister(gc.freeze)  # once is enough, however many commands one process runs
    atexit.register(gc.freeze)


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Look less often until the block ends."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def leaving_out() -> Iterator[None]:
    """Leave out what a block makes, as `rare_collection` does with what is there; what has become garbage is found."""
    gc.unfreeze()
    try:
        yield
    finally:
        gc.freeze()


@contextmanager
def rare_collection() -> Iterator[None]:
    """Look less often until the block ends, and never at what is there when it begins."""
    is_outermost = gc.get_freeze_count() == 0
    if is_outermost:
        if _runs_ended[0]:
            gc.collect()
        gc.freeze()
    try:
        with seldom_collected():
            yield
    finally:
        if is_outermost:
            gc.unfreeze()
            _runs_ended[0] += 1
