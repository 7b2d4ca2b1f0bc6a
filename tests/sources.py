"""Sources for tests that have their messages already."""

import numpy as np

from engine.ports import Messages


class Sent:
    """A recording that goes on after any position, or with a clock live traffic; `cut` messages a poll."""

    def __init__(self, lines, cut=64, clock=None):
        self.lines, self.cut, self.at, self.clock = lines, cut, 0, clock
        self.is_live = clock is not None

    def poll(self, rows_max, wait_us):
        part = self.lines[self.at : self.at + min(rows_max, self.cut)]
        first, self.at = self.at + 1, self.at + len(part)
        if not part:
            return None
        arrived = np.full(len(part), self.clock.now_us(), np.int64) if self.clock else None
        return Messages(part, [f"sent:{k}" for k in range(first, self.at + 1)], arrived)

    def resume_after(self, position):
        self.at = int(position.rpartition(":")[2])

    def commit(self, position):
        pass

    def close(self):
        pass
