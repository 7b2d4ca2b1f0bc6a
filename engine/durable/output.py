"""An output folder: the streams of outcomes that grow in it, and the summary.

    decisions.ndjson     one line a transaction, in order      alerts.ndjson   commands.ndjson   resolutions.ndjson
    dead_letters.ndjson  what could not be read, and why       reports.ndjson  duplicates.ndjson answers.ndjson
    journal/             every input, durable before its outcome leaves        (engine/durable/journal/)
    seals.ndjson         the chain over inputs and outcomes                    (engine/durable/seals.py)
    delivery.ndjson      when each batch came and left, by the wall clock      (engine/durable/delivery.py)
    snapshots/           state of the core, newest last                        (engine/durable/snapshots.py)
    config/              every configuration that was active                   (engine/durable/config_store.py)
    models/              every fit of a model that is fitted anew              (engine/fits/records.py)
    control/             commands dropped in by people                         (engine/control.py)
    encryption.ndjson    how streams are encrypted, if they are               (engine/durable/epochs.py)
    outbox.json          which commands core banking has answered          (engine/sinks/)
    registry.json        how far the registry in Redis has got              (engine/sinks/)
    summary.json         what the last run added up
    report.html          the page about it, where one was asked for             (replay/report/)

The streams are outcomes: the same bytes for the same input and configuration, whatever was killed on the way. Where
they stand after a crash is for engine/durable/recovery.py to find out; this module only appends.
"""

import errno
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from config.errors import StateError
from engine.durable import config_store, snapshots
from engine.durable.disk import Disk, DiskFile, RealDisk

STREAMS: Final = (
    "decisions",
    "alerts",
    "commands",
    "resolutions",
    "reports",
    "dead_letters",
    "duplicates",
    "answers",
)
JOURNAL: Final = "journal"
CONTROL: Final = "control"
MODELS: Final = "models"
FOLDERS: Final = (JOURNAL, snapshots.FOLDER, CONTROL, config_store.FOLDER, MODELS)
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG})
FILES: Final = (
    "delivery.ndjson",
    "seals.ndjson",
    "access.ndjson",
    "encryption.ndjson",
    "summary.json",
    "outbox.json",
    "registry.json",
    "report.html",
)


def stream_path(root: Path, stream: str) -> Path:
    """Where the lines of `stream` stand."""
    return root / f"{stream}.ndjson"


class OutputFolder:
    """The streams of one run. One process writes; anybody may read."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root
        self.disk: Disk = RealDisk() if disk is None else disk
        self._files: dict[str, DiskFile] = {}
        self._unsynced: set[str] = set()

    def is_used(self) -> bool:
        """Whether a run has written here before."""
        disk, root = self.disk, self.root
        return (
            disk.size(stream_path(root, "decisions")) >= 0
            or bool(disk.names(root / snapshots.FOLDER))
            or bool(disk.names(root / JOURNAL))
        )

    def prepare(self) -> None:
        """Make the folders."""
        for name in FOLDERS:
            self.disk.make_folder(self.root / name)

    def open(self, lengths: Mapping[str, int]) -> None:
        """Open the streams behind their first `lengths` bytes (0 where not named); what stands behind is cut off."""
        self.check(lengths)
        self.prepare()
        for stream in STREAMS:
            path, length = stream_path(self.root, stream), lengths.get(stream, 0)
            if self.disk.size(path) > length:
                self.disk.truncate(path, length)
            self._files[stream] = self.disk.append(path)
        self._unsynced = set(STREAMS)  # recovery may have written to any of them
        self.disk.sync_folder(self.root)

    def check(self, lengths: Mapping[str, int]) -> None:
        """Raise `StateError` if a stream is shorter than `lengths` says."""
        for stream, length in lengths.items():
            path = stream_path(self.root, stream)
            if max(0, self.disk.size(path)) < length:
                raise StateError(
                    f"`{path.name}` is shorter than the snapshot says ({length} bytes)",
                    str(path),
                    why="lines that were already given out are missing",
                    fix="restore the file from a backup, or replay into an empty folder",
                )

    def holds_more_than(self, lengths: Mapping[str, int]) -> bool:
        """Whether lines were given out behind `lengths`."""
        sizes = {s: self.disk.size(stream_path(self.root, s)) for s in STREAMS}
        return any(size > lengths.get(stream, 0) for stream, size in sizes.items())

    def write(self, streams: Mapping[str, bytes]) -> None:
        """Append the outcomes of one batch; whole lines only."""
        for stream, lines in streams.items():
            if lines:
                self._files[stream].write(lines)
                self._unsynced.add(stream)

    def flush(self) -> None:
        """Let go of what a killed process would lose."""
        for stream in self._unsynced:
            self._files[stream].flush()

    def sync(self) -> None:
        """Return when what was written survives a power failure; before `open`, all that is there."""
        self.syncing()()

    def syncing(self) -> Callable[[], None]:
        """What `sync` has to do at this moment, for whoever does it beside what is written next."""
        if not self._files:
            return self._sync_what_is_there
        files = [self._files[stream] for stream in sorted(self._unsynced)]
        self._unsynced.clear()

        def sync() -> None:
            for file in files:
                file.sync()

        return sync

    def _sync_what_is_there(self) -> None:
        for path in (stream_path(self.root, stream) for stream in STREAMS):
            if self.disk.size(path) >= 0:
                file = self.disk.append(path)
                file.sync()
                file.close()

    def lengths(self) -> dict[str, int]:
        """Bytes written to each stream so far."""
        return {stream: file.tell() for stream, file in self._files.items()}

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Say what happened where the disk cannot be written; the journal has its own words for it."""
        try:
            yield
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise StateError(
                f"the output folder cannot be written: {error.strerror or error}",
                str(error.filename or self.root),
                why="what the journal holds and the streams do not is written at the next start",
                fix="make room on that disk, or repair it, and start again: the run goes on where it stopped",
            ) from error

    def summarise(self, summary: Mapping[str, Any]) -> str:
        """Write summary.json, by rename; return its sha256."""
        temporary = self.root / ".summary.json.new"
        content = json.dumps(summary, indent=2, sort_keys=True).encode() + b"\n"
        file = self.disk.create(temporary)
        file.write(content)
        file.sync()
        file.close()
        self.disk.rename(temporary, self.root / "summary.json")
        self.disk.sync_folder(self.root)
        return sha256(content).hexdigest()

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}
