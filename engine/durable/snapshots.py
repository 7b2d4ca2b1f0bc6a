"""Snapshots: the state of the core at one `seq`, so that going on need not decide everything again.

    snapshots/SEQ/state.npz        every array of the core
    snapshots/SEQ/manifest.json    format, seq, configuration, where streams and source stood, sha256 of state.npz, and
                                   the versions it was decided with

Written whole or not at all: a temporary name, synced, renamed. A snapshot is a shortcut, never the truth: the journal
is. So one that is broken is skipped for the one before it, and nothing here decides which one may be used
(engine/durable/rederive.py).
"""

import hashlib
import io
import json
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from config.errors import StateError
from engine.durable.disk import Disk, DiskFile, copy, sha256_of, share
from engine.durable.encrypted_disk import EncryptedDisk, beneath
from engine.versions import software

Told = TypeVar("Told")

FOLDER: Final = "snapshots"
PICKLED: Final = (
    "/estimator"  # ends the names of arrays that hold pickles of other libraries (models/adapters)
)
STATE, MANIFEST = "state.npz", "manifest.json"
TEMPORARY: Final = re.compile(r"\.[0-9]+\..+")  # a snapshot not whole yet, or being removed
MANIFESTED: Final = ("seq", "records", "position", "orderly", "config", "lengths", "totals")
FORMAT: Final = 2  # of the manifest; 2 added the hash of the state
VIEW_BYTES: Final = 1 << 23  # larger arrays are not copied out of what was read
SYNC_BYTES: Final = (
    1 << 24
)  # written between two syncs: a large one would hold up those of the journal
READ_BYTES: Final = 1 << 22  # hashed while the next are read
ZIP_HEADER_BYTES: Final = (
    30  # of a member, before its name; the lengths of name and extra field stand in it
)
ZIP_LENGTHS_AT: Final = 26
NPY_HEADER_BYTES: Final = 4_096  # more than the header of any array without fields has


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of the core at `seq`, and where the world around it stood then."""

    seq: int
    records: int  # records taken from the source so far
    position: str  # where the last of them stood in the source
    orderly: bool  # written at a stop, nothing came after it
    config: str  # sha256 of the configuration
    lengths: Mapping[str, int]  # bytes of each stream
    totals: Mapping[str, Any]  # what the summary has added up
    arrays: dict[str, NDArray[Any]]


def write(disk: Disk, root: Path, snapshot: Snapshot) -> dict[str, str]:
    """Write `snapshot` into the output folder `root`; return the sha256 of its files, for the chain of seals.

    These are hashes of what stands on the disk, so that the chain can be checked without a key.
    """
    temporary = _begin(disk, root, snapshot.seq)
    state = _Hashing(disk.create(temporary / STATE))
    np.savez(state, allow_pickle=False, **snapshot.arrays)
    state.sync()
    state.close()
    manifest = {
        "format": FORMAT,
        "seq": snapshot.seq,
        "records": snapshot.records,
        "position": snapshot.position,
        "orderly": snapshot.orderly,
        "config": snapshot.config,
        "lengths": dict(snapshot.lengths),
        "totals": snapshot.totals,
        "software": software(),
        "sha256": {STATE: state.sha256()},
    }
    pickled = sorted(name for name in snapshot.arrays if name.endswith(PICKLED))
    if pickled:
        manifest["pickled"] = pickled
    return _finish(disk, root, manifest)


def adopt(disk: Disk, root: Path, source: Disk, before: Path, seq: int) -> dict[str, str]:
    """Let the snapshot of `seq` in the folder `before` stand in `root` too, which begins there.

    source : through which `before` is read, `disk` : through which `root` is; of two that encrypt the key is one

    Returns the sha256 of its files as `write` does. The state is the same file where the file system can have that.
    Raises `StateError` if the snapshot is of another format; `checked` says whether it is damaged.
    """
    found = _told(source, before, seq, lambda _disk, _folder, manifest: manifest)
    temporary = _begin(disk, root, seq)
    old, new = before / FOLDER / _name(seq) / STATE, temporary / STATE
    if isinstance(source, EncryptedDisk) == isinstance(disk, EncryptedDisk):
        share(beneath(disk), old, new)  # an encrypted file says all that is needed to read it
    else:
        copy(source, old, disk, new)
    return _finish(disk, root, {**found, "lengths": {}, "orderly": False})


def _begin(disk: Disk, root: Path, seq: int) -> Path:
    """An empty folder for a snapshot, under a name that is none."""
    temporary = root / FOLDER / f".{_name(seq)}.new"
    disk.remove(temporary)
    disk.make_folder(temporary)
    return temporary


def _finish(disk: Disk, root: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Write the manifest beside the state, and give the folder its name; the sha256 of both files."""
    seq = manifest["seq"]
    folder = root / FOLDER
    target, temporary = folder / _name(seq), folder / f".{_name(seq)}.new"
    text = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    file = disk.create(temporary / MANIFEST)
    file.write(text)
    file.sync()
    file.close()
    disk.sync_folder(temporary)
    disk.remove(target)
    disk.rename(temporary, target)
    disk.sync_folder(folder)
    return {
        STATE: stored_sha256(disk, target / STATE, manifest["sha256"][STATE]),
        MANIFEST: stored_sha256(disk, target / MANIFEST, hashlib.sha256(text).hexdigest()),
    }


def numbers(disk: Disk, root: Path) -> list[int]:
    """The seqs of all snapshots, in ascending order, broken ones included."""
    return sorted(int(name) for name in disk.names(root / FOLDER) if name.isdecimal())


def read(disk: Disk, root: Path, seq: int) -> Snapshot:
    """Read one snapshot; `StateError` if it is damaged or of another format."""
    return _told(disk, root, seq, _read)


def show(disk: Disk, root: Path, seq: int, look: Callable[[str, NDArray[Any]], None]) -> Snapshot:
    """Show each array of a snapshot to `look`, in memory that the next one is read into; the rest of it.

    `StateError` as for `read`; `look` may have seen arrays before that is known.
    """
    return _told(disk, root, seq, partial(_shown, look))


def checked(disk: Disk, root: Path, seq: int) -> Snapshot:
    """One snapshot without its arrays, whose bytes are those that were written; `StateError` as for `read`."""
    return _told(disk, root, seq, _checked)


def position(disk: Disk, root: Path, seq: int) -> str:
    """Where the source stood at one snapshot, without its state; `StateError` as for `read`."""
    return _told(disk, root, seq, lambda _disk, _folder, manifest: str(manifest["position"]))


def _told(
    disk: Disk, root: Path, seq: int, take: Callable[[Disk, Path, Mapping[str, Any]], Told]
) -> Told:
    """What `take` finds in a snapshot whose format is ours."""
    folder = root / FOLDER / _name(seq)
    try:
        manifest = json.loads(disk.read(folder / MANIFEST))
        written_format = manifest["format"]
        if written_format == FORMAT:
            return take(disk, folder, manifest)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise StateError(
            f"the snapshot cannot be read: {error}",
            str(folder),
            why="a damaged state would give other decisions than before",
            fix=f"remove {folder.name} to go on from the one before it, or replay into an empty folder",
        ) from None
    raise StateError(
        f"the snapshot has format {written_format}, this version reads {FORMAT}",
        str(folder),
        fix="go on with the version that wrote it, or replay into an empty folder",
    )


def usable(disk: Disk, root: Path, seq_max: int = -1) -> Iterator[Snapshot | StateError]:
    """Snapshots at or before `seq_max` (-1: all), newest first; for a broken one, what is wrong with it."""
    for seq in reversed(numbers(disk, root)):
        if seq_max < 0 or seq <= seq_max:
            try:
                yield read(disk, root, seq)
            except StateError as error:
                yield error


def newest_bytes(disk: Disk, root: Path) -> int:
    """How large the state in the newest snapshot is, as it stands on the disk; -1 if there is none."""
    found = numbers(disk, root)[-1:]
    return max((disk.size(root / FOLDER / _name(seq) / STATE) for seq in found), default=-1)


def prune(disk: Disk, root: Path, kept: int) -> None:
    """Remove all but the newest `kept`, and what a killed write has left behind."""
    folder = root / FOLDER
    for seq in numbers(disk, root)[:-kept]:
        remove(disk, root, seq)
    for name in disk.names(folder):
        if TEMPORARY.fullmatch(name):
            disk.remove(folder / name)


def remove(disk: Disk, root: Path, seq: int) -> None:
    """Remove one snapshot."""
    disk.remove(root / FOLDER / _name(seq))


def _name(seq: int) -> str:
    return f"{seq:016d}"


def _checked(disk: Disk, folder: Path, manifest: Mapping[str, Any]) -> Snapshot:
    if sha256_of(disk, folder / STATE) != manifest["sha256"][STATE]:
        raise ValueError(f"{STATE} is not what was written, by its sha256")
    return Snapshot(**{name: manifest[name] for name in MANIFESTED}, arrays={})


def _read(disk: Disk, folder: Path, manifest: Mapping[str, Any]) -> Snapshot:
    """Each array has memory of its own, so that they can be let go of one by one."""
    arrays: dict[str, NDArray[Any]] = {}
    _go_over(disk, folder, manifest, arrays.__setitem__)
    return Snapshot(**{name: manifest[name] for name in MANIFESTED}, arrays=arrays)


def _shown(
    look: Callable[[str, NDArray[Any]], None],
    disk: Disk,
    folder: Path,
    manifest: Mapping[str, Any],
) -> Snapshot:
    """Fresh memory for every array took a tenth of a verification, on a guest whose host has to find it first."""
    _go_over(disk, folder, manifest, look, reuses=True)
    return Snapshot(**{name: manifest[name] for name in MANIFESTED}, arrays={})


def _go_over(
    disk: Disk,
    folder: Path,
    manifest: Mapping[str, Any],
    look: Callable[[str, NDArray[Any]], None],
    *,
    reuses: bool = False,
) -> None:
    """Give `look` every array of the state, of which nobody may write to large ones; then check the SHA-256.

    As np.load does, but it reads and checks every byte once more, piece by piece: 1.3 GB took twice as long. The hash
    is taken while the rest is read.

    reuses : an array stands in the memory of those before it
    """
    with disk.open(folder / STATE) as file, ThreadPoolExecutor(1) as beside:
        with zipfile.ZipFile(file) as archive:
            items = sorted(archive.infolist(), key=lambda item: item.header_offset)
        reading = _Reading(file, beside, reuses=reuses)
        for item in items:
            reading.take(item.header_offset - reading.at)  # what stands behind the member before
            lengths = struct.unpack_from("<HH", reading.take(ZIP_HEADER_BYTES).data, ZIP_LENGTHS_AT)
            reading.take(sum(lengths))
            look(item.filename.removesuffix(".npy"), _array(reading.take(item.file_size), item))
        reading.take(reading.size - reading.at)
    if reading.digest.hexdigest() != manifest["sha256"][STATE]:
        raise ValueError(f"{STATE} is not what was written, by its sha256")


class _Reading:
    """A file from its beginning to its end, piece by piece; `digest` is complete once `beside` has ended."""

    def __init__(self, file: IO[bytes], beside: ThreadPoolExecutor, *, reuses: bool) -> None:
        self._file, self._beside, self._reuses = file, beside, reuses
        self._held = np.empty(0, np.uint8)
        self._hashing: list[Future[None]] = []  # pieces of what it holds
        self.size = file.seek(0, os.SEEK_END)
        self.at = file.seek(0)
        self.digest = hashlib.sha256()

    def take(self, n: int) -> NDArray[np.uint8]:
        """The next `n` bytes; `ValueError` if there are not so many."""
        if not 0 <= n <= self.size - self.at:
            raise ValueError(f"{n} bytes are asked for at {self.at} of {self.size}")
        wait(self._hashing)
        self._hashing.clear()
        if n > len(self._held) or not self._reuses:
            self._held = np.empty(n, np.uint8)
        data = self._held[:n]
        left = data.data
        while left:
            n_read = self._file.readinto(left[:READ_BYTES])  # type: ignore[attr-defined]
            if not n_read:
                raise ValueError("it was cut while it was read")
            piece = self._beside.submit(self.digest.update, left[:n_read])
            if self._reuses:
                self._hashing.append(piece)
            left = left[n_read:]
        data.flags.writeable = False
        self.at += n
        return data


def _array(data: NDArray[np.uint8], item: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, behind its header."""
    if item.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{item.filename} is compressed, which no snapshot is")
    head = io.BytesIO(data[:NPY_HEADER_BYTES].tobytes())
    if npy.read_magic(head) != (1, 0):
        raise ValueError(f"{item.filename} is an array of another format than those written here")
    shape, is_fortran, dtype = npy.read_array_header_1_0(head)
    n = int(np.prod(shape, dtype=np.int64))
    array = np.frombuffer(data, dtype, n, head.tell())
    array = array.reshape(shape, order="F" if is_fortran else "C")
    return array if array.nbytes >= VIEW_BYTES else array.copy()


def stored_sha256(disk: Disk, path: Path, plain: str) -> str:
    """The hash of a file as it stands on the disk; that is `plain`, its hash as it reads, if nothing is encrypted."""
    inner = beneath(disk)
    if inner is disk:
        return plain
    return sha256_of(inner, path)


class _Hashing:
    """A file as numpy writes archives to it: hashed on the way, and synced piece by piece."""

    def __init__(self, file: DiskFile) -> None:
        self._file, self._digest, self._unsynced = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        raw = bytes(data)
        self._file.write(raw)
        self._digest.update(raw)
        self._unsynced += len(raw)
        if self._unsynced >= SYNC_BYTES:
            self.sync()
        return len(raw)

    def read(self, _size: int = -1) -> bytes:  # numpy takes for a file only what can be read
        raise OSError("opened for writing")

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def sync(self) -> None:
        self._file.sync()
        self._unsynced = 0

    def close(self) -> None:
        self._file.close()

    def sha256(self) -> str:
        return self._digest.hexdigest()
