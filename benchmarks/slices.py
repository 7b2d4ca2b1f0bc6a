"""Works measured beside each other in slices: each is a process, one runs while the others are halted, in turns.

A shared host runs this machine up to a third slower for seconds on end, so works that run one after the other differ by
that much. In slices of half a second all of them get the same share of the slow seconds.

What a halted work had asked the system for, like a sync, is done by the system meanwhile: that hides at most one sync a
slice from its clock, and nothing from its processor time.
"""

import multiprocessing
import os
import signal
import time

SLICE_S = 0.5


class Work:
    """A process that begins halted; `call` gets a clock in seconds that stands while it is halted."""

    def __init__(self, call):
        context = multiprocessing.get_context("fork")
        self._halted_s = context.Value("d", 0.0, lock=False)
        self._answer, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=self._run, args=(call, sender), daemon=True)
        self._process.start()
        os.setpgid(self._process.pid, 0)  # to halt what it starts as well
        self._halt()
        sender.close()

    def _run(self, call, sender):
        sender.send(call(lambda: time.perf_counter() - self._halted_s.value))

    def _halt(self):
        os.killpg(self._process.pid, signal.SIGSTOP)
        self._halted_at = time.perf_counter()

    def go_on(self, seconds):
        """Run for so long; return whether it has its result."""
        self._halted_s.value += time.perf_counter() - self._halted_at
        os.killpg(self._process.pid, signal.SIGCONT)
        if self._answer.poll(seconds):
            return True
        self._halt()
        return False

    def result(self):
        """What it returned; ChildProcessError if it failed, which it has said itself on standard error."""
        try:
            return self._answer.recv()
        except EOFError:
            raise ChildProcessError("what was measured in slices failed") from None
        finally:
            self._process.join()

    def end(self):
        if self._process.is_alive():
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.join()


def in_slices(calls, slice_s=SLICE_S):
    """Run all of `calls`, name -> function of a clock, in turns in their order; name -> what each returned."""
    works, results = {}, {}
    try:
        for name, call in calls.items():
            works[name] = Work(call)
        while len(results) < len(works):
            for name, work in works.items():
                if name not in results and work.go_on(slice_s):
                    results[name] = work.result()
    finally:
        for work in works.values():
            work.end()
    return {name: results[name] for name in calls}
