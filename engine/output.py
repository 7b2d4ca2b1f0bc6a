"""An output folder: the streams of outcomes, snapshots, the configuration that was active, and the summary.

    decisions.ndjson     one line a transaction, in order      alerts.ndjson   commands.ndjson   resolutions.ndjson
    dead_letters.ndjson  what could not be read, and why       reports.ndjson  duplicates.ndjson answers.ndjson
    snapshots/           state of the core, newest last        config/         every version that was active
    control/             commands dropped in by people         summary.json

A snapshot remembers how long each stream was when it was taken: going on from it cuts the streams back to that length
and derives the rest again, so a killed process leaves nothing twice. Journal and chained log come with "Durability and
audit"; until then a stream from standard input can only be gone on with after an orderly stop.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from config.settings import Configuration

STREAMS = (
    "decisions",
    "alerts",
    "commands",
    "resolutions",
    "reports",
    "dead_letters",
    "duplicates",
    "answers",
)
FOLDERS = ("snapshots", "control", "config")
FORMAT = 1  # of the snapshot manifest


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of the core at `seq`, and where the world around it stood then."""

    seq: int
    records: int  # records taken from the source so far
    position: str  # where the last of them stood in the source
    orderly: bool  # written at a stop, nothing came after it
    config: str  # sha256 of the configuration
    lengths: dict[str, int]  # bytes of each stream
    totals: dict[str, Any]  # what the summary has added up
    arrays: dict[str, NDArray[Any]]


class OutputFolder:
    """The files of one run. One process writes; anybody may read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[str, IO[bytes]] = {}

    @staticmethod
    def is_used(root: Path) -> bool:
        """Whether a run has written here before."""
        return (root / "decisions.ndjson").exists() or (root / "snapshots").exists()

    def open(self, snapshot: Snapshot | None) -> None:
        """Open the streams: empty ones, or cut back to where `snapshot` was taken."""
        for name in FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for stream in STREAMS:
            path = self.root / f"{stream}.ndjson"
            length = snapshot.lengths.get(stream, 0) if snapshot else 0
            file = path.open("r+b" if path.exists() else "w+b")
            if path.stat().st_size < length:
                raise StateError(
                    f"`{path.name}` is shorter than the snapshot says ({length} bytes)",
                    str(path),
                    why="lines that were already given out are missing",
                    fix="restore the file from a backup, or replay into an empty folder",
                )
            file.truncate(length)
            file.seek(length)
            self._files[stream] = file

    def holds_more_than(self, snapshot: Snapshot | None) -> bool:
        """Whether lines were given out after `snapshot` was taken."""
        lengths = snapshot.lengths if snapshot else {}
        paths = ((stream, self.root / f"{stream}.ndjson") for stream in STREAMS)
        return any(p.exists() and p.stat().st_size > lengths.get(s, 0) for s, p in paths)

    def write(self, streams: Mapping[str, bytes]) -> None:
        """Append the outcomes of one batch; whole lines only."""
        for stream, lines in streams.items():
            if lines:
                self._files[stream].write(lines)

    def flush(self) -> None:
        for file in self._files.values():
            file.flush()

    def keep_config(self, configuration: Configuration) -> None:
        """Store every file of the configuration under its hash, so that the day can be decided again."""
        folder = self.root / "config" / configuration.sha256
        for name, (path, _) in configuration.files.items():
            kept = folder / name
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept)

    def save(self, snapshot: Snapshot) -> None:
        """Write a snapshot whole or not at all: temporary name, fsync, rename; then drop the one before the last."""
        self.flush()
        for file in self._files.values():
            os.fsync(file.fileno())
        folder = self.root / "snapshots"
        target = folder / f"{snapshot.seq:016d}"
        temporary = folder / f".{snapshot.seq:016d}.new"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        with (temporary / "state.npz").open("wb") as file:
            np.savez(file, allow_pickle=False, **snapshot.arrays)
            file.flush()
            os.fsync(file.fileno())
        manifest = {
            "format": FORMAT,
            "seq": snapshot.seq,
            "records": snapshot.records,
            "position": snapshot.position,
            "orderly": snapshot.orderly,
            "config": snapshot.config,
            "lengths": snapshot.lengths,
            "totals": snapshot.totals,
        }
        with (temporary / "manifest.json").open("w") as text:
            json.dump(manifest, text, indent=1, sort_keys=True)
            text.flush()
            os.fsync(text.fileno())
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
        for old in sorted(p for p in folder.iterdir() if not p.name.startswith("."))[:-2]:
            shutil.rmtree(old)

    def lengths(self) -> dict[str, int]:
        """Bytes written to each stream so far."""
        return {stream: file.tell() for stream, file in self._files.items()}

    def newest(self) -> Snapshot | None:
        """Read the newest snapshot that is whole; None if there is none. A damaged one raises `StateError`."""
        folder = self.root / "snapshots"
        names = sorted(p for p in folder.glob("[0-9]*")) if folder.exists() else []
        if not names:
            return None
        path = names[-1]
        try:
            manifest = json.loads((path / "manifest.json").read_bytes())
            written_format = manifest["format"]
            if written_format == FORMAT:
                return _read_snapshot(path, manifest)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise StateError(
                f"the snapshot cannot be read: {error}",
                str(path),
                why="a damaged state would give other decisions than before",
                fix=f"remove {path.name} to go on from the one before it, or replay into an empty folder",
            ) from None
        raise StateError(
            f"the snapshot has format {written_format}, this version reads {FORMAT}",
            str(path),
            fix="go on with the version that wrote it, or replay into an empty folder",
        )

    def summarise(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json, by rename."""
        temporary = self.root / ".summary.json.new"
        temporary.write_text(json.dumps(summary, indent=2, sort_keys=True) + "\n")
        temporary.rename(self.root / "summary.json")

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}


def _read_snapshot(path: Path, manifest: Mapping[str, Any]) -> Snapshot:
    with np.load(path / "state.npz", allow_pickle=False) as arrays:
        state = {name: arrays[name] for name in arrays.files}
    return Snapshot(
        manifest["seq"],
        manifest["records"],
        manifest["position"],
        manifest["orderly"],
        manifest["config"],
        manifest["lengths"],
        manifest["totals"],
        state,
    )
