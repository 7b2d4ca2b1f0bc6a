"""Commands appended to a file, one line each, durable before the next leaves.

Whoever reads the file answers with `acknowledge` and `reject` events. After a crash a line may stand there twice, with
the same key, and a torn one may stand before it.
"""

import os
import threading
from pathlib import Path

from engine.sinks.sink import AGAIN, TAKEN, Answer


class FileSink:
    """Appends to `path`; shared by all threads of a dispatcher."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def send(self, command_id: str, key: str, body: bytes) -> Answer:  # noqa: ARG002 - both stand in the line
        try:
            with self._lock, self._path.open("ab+", buffering=0) as file:
                torn = False
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    torn = file.read(1) != b"\n"
                line = b"\n" * torn + body + b"\n"
                if file.write(line) != len(line):
                    return Answer(AGAIN, f"{self._path}: the disk is full")
                os.fsync(file.fileno())
        except OSError as error:
            return Answer(AGAIN, f"{self._path}: {error.strerror or error}")
        return Answer(TAKEN)

    def give_up(self) -> None:
        pass

    def close(self) -> None:
        pass
