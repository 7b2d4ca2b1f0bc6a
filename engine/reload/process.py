"""The process beside a running engine: both ends of the pipes between them.

`Beside` is the engine's end. It never blocks: what does not fit into a pipe waits, and only whole frames are given out.
`serve` is the other end, the main loop of the process; it ends when the engine does. A frame is its length, its kind
(a piece, or a JSON object) and its bytes. Between requests the process looks at the watched folder (watching.py).
"""

import contextlib
import gc
import json
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from engine.clock import SystemClock
from engine.durable.disk import RealDisk
from engine.framing import HEAD, PIECE, Told, write_frame
from engine.reload.watching import LOOK_EVERY_US, Watcher
from engine.reload.workshop import Lint, RunTests, Workshop, frames

READ_BYTES: Final = 1 << 16
PIPE_BYTES: Final = 1 << 20
NICENESS: Final = 5
CLEAN_AFTER_S: Final = 2.0  # of rest


class Helps(Protocol):
    """The engine's end: a process, or in tests the workshop itself."""

    @property
    def is_running(self) -> bool: ...

    def ask(self, request: Mapping[str, Any]) -> None:
        """Send a request; the answers come in order."""
        ...

    def take(self) -> bytes | Told | None:
        """The next piece or answer that has arrived; None if nothing has, yet or ever."""
        ...

    def stop(self) -> None: ...


class Beside:
    """A process that helps; started with the first request, and again after it has died."""

    def __init__(self, arguments: Sequence[str], files: Sequence[int] = ()) -> None:
        """Arguments of the interpreter: `-m`, a module, what it needs; descriptors of files that it gets."""
        self._arguments, self._files = list(arguments), tuple(files)
        self._process: subprocess.Popen[bytes] | None = None
        self._leaving: list[subprocess.Popen[bytes]] = []
        self._unsent = bytearray()
        self._arrived = bytearray()
        self._frames: deque[bytes | Told] = deque()

    @property
    def is_running(self) -> bool:
        return self._process is not None and (bool(self._frames) or self._process.poll() is None)

    def ask(self, request: Mapping[str, Any]) -> None:
        if self._process is None or self._process.poll() is not None:
            self._start()
        self._unsent += json.dumps(request).encode() + b"\n"
        self._send()

    def take(self) -> bytes | Told | None:
        if self._process is None:
            return None
        if self._unsent:
            self._send()
        if not self._frames:
            self._receive()
        return self._frames.popleft() if self._frames else None

    def stop(self) -> None:
        self.leave()
        while self._leaving:
            self._leaving.pop().wait()

    def leave(self) -> None:
        """Have the process end, and do not wait until it has given its memory back."""
        if self._process is not None:
            self._process.kill()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._leaving.append(self._process)
            self._process = None

    def _start(self) -> None:
        self.stop()
        self._unsent, self._arrived = bytearray(), bytearray()
        self._frames.clear()
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=self._files,
        )
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)

    def _send(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            n = os.write(self._process.stdin.fileno(), self._unsent)
        except (BlockingIOError, BrokenPipeError):  # full, or gone: `is_running` tells
            return
        del self._unsent[:n]

    def _receive(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            self._arrived += os.read(self._process.stdout.fileno(), READ_BYTES)
        except BlockingIOError:
            return
        at = 0
        while len(self._arrived) - at >= HEAD.size:
            n, kind = HEAD.unpack_from(self._arrived, at)
            if len(self._arrived) - at < HEAD.size + n:
                break
            content = bytes(self._arrived[at + HEAD.size : at + HEAD.size + n])
            self._frames.append(content if kind == PIECE else json.loads(content))
            at += HEAD.size + n
        del self._arrived[:at]


def serve(root: Path, run_tests: RunTests, lint: Lint) -> int:
    """Answer requests on standard input until it ends; returns the exit status."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if hasattr(os, "SCHED_BATCH"):  # it never takes a core from the engine at once
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    out = os.dup(1)
    os.dup2(2, 1)  # what anybody prints is for people
    _widen(out)
    workshop, clock = Workshop(RealDisk(), root, run_tests, lint), SystemClock()
    watcher: Watcher | None = None
    pending = bytearray()
    gc.disable()  # what a check makes is needed until it is done, and looking it through took a quarter of its time
    is_clean, quiet_s = True, 0.0
    while True:
        wait_s = LOOK_EVERY_US / 1e6 if watcher is not None else None if is_clean else CLEAN_AFTER_S
        readable, _, _ = select.select([0], [], [], wait_s)
        if not readable and not is_clean:
            quiet_s += wait_s or 0.0
            if quiet_s >= CLEAN_AFTER_S:
                gc.collect()
                is_clean = True
        if readable:
            is_clean, quiet_s = False, 0.0
            data = os.read(0, READ_BYTES)
            if not data:
                return 0
            pending += data
        while (end := pending.find(b"\n")) >= 0:
            request = json.loads(pending[:end])
            del pending[: end + 1]
            if request["do"] == "watch":
                watcher = Watcher(Path(request["folder"]), request["overrides"], request["config"])
            for frame in frames(workshop, request):
                write_frame(out, frame)
        if watcher is not None:
            found = watcher.look(clock.monotonic_ns() // 1_000)
            if found is not None:
                write_frame(out, found)


def _widen(pipe: int) -> None:
    """Give a pipe room, so that pieces wait in it and not in their sender, where the system can."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
