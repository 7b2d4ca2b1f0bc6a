"""When each batch came, was decided, was durable and left: OUT/delivery.ndjson, by the wall clock, one line a batch.

    {"seq0":17,"n":3,"arrived":"2026-03-02T10:00:09.1Z","decided":"...","durable":"...","published":"..."}

`arrived` is that of the batch's first message, null for a recording. The log is what happened once, so it cannot be
derived again; it is sealed like a stream. What an engine that was killed had published without having noted it stands
with `"recovered":true` and the time at which recovery made sure of it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from config.errors import StateError
from engine.durable.disk import Disk, DiskFile
from engine.outcomes import rfc3339

STREAM: Final = "delivery"  # its name among the streams of a seal
FILE: Final = "delivery.ndjson"


class Delivery:
    """The log, opened for going on."""

    def __init__(
        self, disk: Disk, root: Path, *, sealed_bytes: int = 0, first_seq: int = 0
    ) -> None:
        """Cut a torn last line away; `StateError` if less is there than was sealed. `first_seq`: of the folder."""
        path = root / FILE
        self.seq_end = first_seq  # one past the last record noted
        size = disk.size(path)
        if max(size, 0) < sealed_bytes:
            raise StateError(
                f"`{FILE}` is shorter than what was sealed of it ({sealed_bytes} bytes)",
                str(path),
                why="the log of deliveries cannot be derived again, so somebody or something has cut it",
                fix="restore the file from a backup",
            )
        if size > 0:
            whole = _whole(disk, path, sealed_bytes, size)
            if whole < size:
                disk.truncate(path, whole)
            self.seq_end = max(first_seq, _seq_end(disk, path, whole))
        self._file: DiskFile = disk.append(path)

    def note(
        self,
        seq0: int,
        n: int,
        *,
        arrived_us: int,
        decided_us: int,
        durable_us: int,
        published_us: int,
    ) -> bytes:
        """Append the line of one batch and return it; `arrived_us` -1 for a recording."""
        arrived = f'"{rfc3339(arrived_us)}"' if arrived_us >= 0 else "null"
        line = (
            f'{{"seq0":{seq0},"n":{n},"arrived":{arrived},"decided":"{rfc3339(decided_us)}",'
            f'"durable":"{rfc3339(durable_us)}","published":"{rfc3339(published_us)}"}}\n'
        ).encode()
        return self._append(line, seq0 + n)

    def note_recovered(self, seq0: int, n: int, now_us: int) -> bytes:
        """Append the line of records that were published before the engine was killed, or by recovery."""
        told: Mapping[str, object] = {
            "seq0": seq0, "n": n, "recovered": True, "published": rfc3339(now_us)
        }  # fmt: skip
        return self._append(json.dumps(told, separators=(",", ":")).encode() + b"\n", seq0 + n)

    def _append(self, line: bytes, seq_end: int) -> bytes:
        self._file.write(line)
        self.seq_end = seq_end
        return line

    def length(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


def _whole(disk: Disk, path: Path, start: int, size: int) -> int:
    """How many bytes are whole lines that can be read, counted from `start`, where one begins."""
    end = start
    for line in disk.read(path, start, size - start).splitlines(keepends=True):
        if not line.endswith(b"\n") or _told(line) is None:
            break
        end += len(line)
    return end


def _seq_end(disk: Disk, path: Path, size: int) -> int:
    """One past the last record of the last line within `size` bytes."""
    start = max(0, size - 4_096)
    lines = disk.read(path, start, size - start).splitlines()
    told = _told(lines[-1]) if lines else None
    return 0 if told is None else told["seq0"] + told["n"]


def _told(line: bytes) -> dict[str, int] | None:
    try:
        told = json.loads(line)
        return told if told["seq0"] >= 0 and told["n"] >= 0 else None
    except (ValueError, KeyError, TypeError):
        return None
