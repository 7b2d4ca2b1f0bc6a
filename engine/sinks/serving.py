"""The other end of the pipes of a process beside the engine: what it is told, what it tells, and that it ends in time.

A process beside ends when the engine does: when its standard input ends, at once and whatever is on its way. Signals
that a terminal sends to everybody are left to the engine.
"""

import contextlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any, Final

from config.errors import ConfigError
from engine.durable.disk import Disk, RealDisk
from engine.framing import Told, write_frame

READ_BYTES: Final = 1 << 16
NICENESS: Final = 5
SECRET_MIN: Final = 16


class Ear:
    """Requests on standard input, and answers on standard output, which nobody else may write to."""

    def __init__(self) -> None:
        if hasattr(os, "nice"):
            os.nice(NICENESS)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        self._out = os.dup(1)
        os.dup2(2, 1)  # what anybody prints is for people
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        os.set_blocking(self._wake_w, False)
        self._arrived = bytearray()

    def wake(self) -> None:
        """End a `listen` that waits; may be called from any thread."""
        with contextlib.suppress(BlockingIOError):  # it will wake anyway
            os.write(self._wake_w, b"x")

    def begin(self) -> tuple[Told, list[Told]]:
        """What the process is to do, once it is told, and what was asked right after; ends one told too late.

        A first request without `settings` was meant for the process before, which has just died.
        """
        requests: list[Told] = []
        while not requests:
            requests = self.listen(60.0)
        if "settings" not in requests[0]:
            sys.exit(2)
        return requests[0], requests[1:]

    def listen(self, wait_s: float) -> list[Told]:
        """Requests that have arrived, after at most `wait_s`; ends the process when the engine has gone."""
        readable, _, _ = select.select([0, self._wake_r], [], [], max(0.0, wait_s))
        if self._wake_r in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_r, READ_BYTES)
        if 0 not in readable:
            return []
        data = os.read(0, READ_BYTES)
        if not data:
            os._exit(0)  # threads that wait for somebody must not keep the process
        self._arrived += data
        *whole, rest = self._arrived.split(b"\n")
        self._arrived = bytearray(rest)
        return [json.loads(line) for line in whole]

    def tell(self, what: Told) -> None:
        """Tell the engine; ends the process when nobody listens any more."""
        try:
            write_frame(self._out, what)
        except BrokenPipeError:
            os._exit(0)


def open_disk(root: Path, key_env: str, key_file: str) -> Disk:
    """Through what an output folder is read; a key only where it is encrypted."""
    if not key_env and not key_file:
        return RealDisk()
    from engine.durable.encrypted_disk import unlocked
    from engine.durable.encryption import read_key

    return unlocked(RealDisk(), root, read_key(key_env, key_file))


def read_secret(env: str, file: str) -> bytes:
    """A secret from environment variable `env` or from `file`; `ConfigError` if it cannot be had."""
    where = f"environment {env}" if env else file
    try:
        text = os.environ[env] if env else Path(file).read_text("utf-8")
    except (KeyError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the secret cannot be read",
            where,
            why="it is not set" if isinstance(error, KeyError) else str(error),
            fix="put it there, or correct weir.yaml",
        ) from None
    secret = text.strip().encode()
    if len(secret) < SECRET_MIN:
        raise ConfigError(
            f"the secret has {len(secret)} bytes, at least {SECRET_MIN} are needed",
            where,
            why="a short one can be guessed",
            fix="make one with: openssl rand -hex 32",
        )
    return secret


def encryption_of(told: dict[str, Any]) -> tuple[str, str]:
    """Where the key of the folder stands, as the engine tells a process beside it."""
    return str(told.get("key_env") or ""), str(told.get("key_file") or "")
