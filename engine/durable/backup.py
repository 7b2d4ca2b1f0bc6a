"""`weir backup` and `weir restore`: a copy of an output folder that can be gone on with, and the proof that it can.

A backup may be taken while the engine runs. Files are copied in an order in which each speaks only of what is copied
after it, cut at the length it had: snapshots, seals, delivery log, streams, list of keys, journal, configurations, fits
of models. So the copy is what a kill between two instants would have left, and starting from it goes on like starting
after that kill. What is encrypted is copied as it stands: no key is needed, and the copy is as safe as the folder.

A restore checks every byte against the backup's list. With `--drill` it also decides records again from the restored
journal and compares every line: some (from the newest snapshot on) or all. What was done, how long it took and what it
proved is written down: backup.json in the copy, restore.json in the restored folder.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from config.errors import InputError, StateError
from engine.clock import Clock, SystemClock
from engine.durable import config_store, snapshots
from engine.durable.comparing import Comparison
from engine.durable.delivery import FILE as DELIVERY_FILE
from engine.durable.disk import BLOCK_BYTES, Disk, RealDisk
from engine.durable.epochs import FILE as KEYS_FILE
from engine.durable.output import CONTROL, JOURNAL, MODELS, STREAMS, OutputFolder
from engine.durable.rederive import Rederivation
from engine.durable.seals import NAME as SEALS_FILE
from engine.durable.seals import check_streams, read_seals
from engine.fits.records import NAME as FITS_FILE
from engine.outcomes import rfc3339
from engine.progress import Progress
from engine.starting import key_of

BACKUP_FILE: Final = "backup.json"
RESTORE_FILE: Final = "restore.json"
SOME, ALL = "some", "all"
DIFFERENCES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Copied:
    """A file of a backup: its name inside the folder, its length and hash."""

    name: str
    n_bytes: int
    sha256: str


def back_up(disk: Disk, source: Path, target: Path, clock: Clock) -> dict[str, Any]:
    """Copy the output folder `source` to the new folder `target`; return what backup.json says.

    Raises `InputError` if there is no run in `source`, or `target` holds something.
    """
    if not OutputFolder(source, disk).is_used():
        raise InputError(
            f"there is no run in {source}", fix="name the output folder of a run or replay"
        )
    _check_empty(disk, target)
    began_ns = clock.monotonic_ns()
    copied = [
        _copy(disk, source, target, name, stop) for name, stop in _files(disk, source) if stop >= 0
    ]
    chain = read_seals(disk, target)
    told = {
        "at": rfc3339(clock.now_us()),
        "seconds": _seconds(clock, began_ns),
        "bytes": sum(file.n_bytes for file in copied),
        "sealed_seq": chain.seq_end,
        "root": chain.root,
        "files": {file.name: [file.n_bytes, file.sha256] for file in copied},
    }
    _write(disk, target / BACKUP_FILE, told)
    return told


def restore(
    disk: Disk, source: Path, target: Path, clock: Clock, *, drill: str = ""
) -> dict[str, Any]:
    """Copy the backup `source` to the new folder `target`, check it, and return what restore.json says.

    drill : "some" decides again what came after the newest snapshot, "all" everything the journal holds; "" nothing

    Raises `StateError` if the copy is not what was backed up. Differences that a drill finds are told, not raised.
    """
    told = _read_list(disk, source)
    _check_empty(disk, target)
    began_ns = clock.monotonic_ns()
    for name, (n_bytes, wanted) in told["files"].items():
        copied = _copy(disk, source, target, name, n_bytes)
        if (copied.n_bytes, copied.sha256) != (n_bytes, wanted):
            raise StateError(
                f"`{name}` is not what was backed up",
                str(source),
                why=f"by backup.json it has {n_bytes} bytes and another hash: the copy was damaged or changed",
                fix=f"restore an older backup, elsewhere: {target} holds a part of this one",
            )
    disk.make_folder(target / CONTROL)
    done: dict[str, Any] = {
        "at": rfc3339(clock.now_us()),
        "backup_at": told["at"],
        "root": told["root"],
        "seconds_to_copy": _seconds(clock, began_ns),
        "bytes": told["bytes"],
        "files": len(told["files"]),
    }
    if drill:
        done["drill"] = prove(disk, target, clock, drill)
    _write(disk, target / RESTORE_FILE, done)
    return done


def prove(disk: Disk, root: Path, clock: Clock, records: str) -> dict[str, Any]:
    """Decide records again from the journal of `root`, compare every line, and return what that proved."""
    began_ns = clock.monotonic_ns()
    chain = read_seals(disk, root)
    config = chain.seals[-1].config if chain.seals else ""
    key = None
    if config:
        key = key_of(config_store.stored(disk, root, config).configuration.settings)
    again = Rederivation(disk, root, key=key)
    disk = again.disk
    end = again.journal.seq_end
    again.start(end, snapshots=records != ALL)
    seconds_to_load = _seconds(clock, began_ns)
    start = again.snapshot
    comparison = Comparison(disk, root, start.lengths if start else {})
    first, core_before_us = again.core.seq, again.core.core_us
    began_ns = clock.monotonic_ns()
    differences: list[str] = []
    with Progress(end - first, "rows") as progress:
        for block, outcome in again.outcomes():
            progress.advance(len(block))
            if outcome is not None:
                differences += map(str, comparison.differences(outcome.streams))
            if len(differences) >= DIFFERENCES_MAX:
                break
    differences += map(str, comparison.beyond() if len(differences) < DIFFERENCES_MAX else ())
    differences += [f"{f.file} byte {f.byte}: {f.what}" for f in check_streams(disk, root, chain)]
    return {
        "records": again.core.seq - first,
        "of": end,
        "from_seq": first,
        "from_core_time": rfc3339(core_before_us) if core_before_us >= 0 else None,
        "to_core_time": rfc3339(again.core.core_us) if again.core.core_us >= 0 else None,
        "lines_bytes": sum(comparison.at.values()) - sum((start.lengths if start else {}).values()),
        "sealed_seq": chain.seq_end,
        "torn": dict(comparison.torn),
        "differences": differences[:DIFFERENCES_MAX],
        "skipped_snapshots": [error.what for error in again.skipped],
        "seconds_to_load": seconds_to_load,
        "seconds_to_derive": _seconds(clock, began_ns),
    }


def _files(disk: Disk, root: Path) -> Iterator[tuple[str, int]]:
    """Name and length of every file to copy, in an order in which each speaks only of later ones; see above.

    Lengths are asked for when it is a file's turn, so what is copied later is never shorter than what speaks of it.
    """
    for seq in snapshots.numbers(disk, root):
        folder = f"{snapshots.FOLDER}/{seq:016d}"
        for name in (snapshots.STATE, snapshots.MANIFEST):
            yield f"{folder}/{name}", disk.size(root / folder / name)
    yield SEALS_FILE, _whole_lines(disk, root / SEALS_FILE)
    length = _whole_lines if disk.size(root / KEYS_FILE) < 0 else _size
    yield DELIVERY_FILE, length(disk, root / DELIVERY_FILE)
    for name in (*(f"{stream}.ndjson" for stream in STREAMS), "access.ndjson", "summary.json"):
        yield name, disk.size(root / name)
    yield KEYS_FILE, _whole_lines(disk, root / KEYS_FILE)
    for name in disk.names(root / JOURNAL):
        yield f"{JOURNAL}/{name}", disk.size(root / JOURNAL / name)
    for config in disk.names(root / config_store.FOLDER):
        if not config.startswith("."):
            yield from _below(disk, root, f"{config_store.FOLDER}/{config}")
    yield f"{MODELS}/{FITS_FILE}", disk.size(root / MODELS / FITS_FILE)
    for name in disk.names(root / MODELS):
        if not name.startswith(".") and name != FITS_FILE:
            yield f"{MODELS}/{name}", disk.size(root / MODELS / name)


def _below(disk: Disk, root: Path, folder: str) -> Iterator[tuple[str, int]]:
    for name in disk.names(root / folder):
        inner = f"{folder}/{name}"
        size = disk.size(root / inner)
        if size >= 0:
            yield inner, size
        else:
            yield from _below(disk, root, inner)


def _whole_lines(disk: Disk, path: Path) -> int:
    """Length of a file up to its last line end; -1 if it is not there."""
    size = disk.size(path)
    if size <= 0:
        return size
    start = max(0, size - BLOCK_BYTES)
    return start + disk.read(path, start, size - start).rfind(b"\n") + 1


def _size(disk: Disk, path: Path) -> int:
    return disk.size(path)


def _copy(disk: Disk, source: Path, target: Path, name: str, stop: int) -> Copied:
    """Copy the first `stop` bytes of a file; a snapshot that went meanwhile is copied as nothing."""
    digest, at = sha256(), 0
    path = target / name
    disk.make_folder(path.parent)
    file = disk.create(path)
    while at < stop:
        try:
            block = disk.read(source / name, at, min(BLOCK_BYTES, stop - at))
        except FileNotFoundError:
            break
        if not block:
            break
        file.write(block)
        digest.update(block)
        at += len(block)
    file.sync()
    file.close()
    disk.sync_folder(path.parent)
    return Copied(name, at, digest.hexdigest())


def _check_empty(disk: Disk, target: Path) -> None:
    if disk.names(target) or disk.size(target) >= 0:
        raise InputError(
            f"{target} holds something already",
            why="two runs in one folder could not be told apart",
            fix="name a new folder",
        )


def _read_list(disk: Disk, source: Path) -> dict[str, Any]:
    try:
        told = json.loads(disk.read(source / BACKUP_FILE))
        names = [Path(name) for name in told["files"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"there is no backup in {source}: {error}",
            why=f"a backup has a {BACKUP_FILE}, which lists what it holds",
            fix="name a folder that `weir backup` has written",
        ) from None
    if any(name.is_absolute() or ".." in name.parts for name in names):
        raise InputError(f"{source / BACKUP_FILE} lists files outside of the backup")
    found: dict[str, Any] = told
    return found


def _write(disk: Disk, path: Path, told: dict[str, Any]) -> None:
    file = disk.create(path)
    file.write(json.dumps(told, indent=1, sort_keys=True).encode() + b"\n")
    file.sync()
    file.close()
    disk.sync_folder(path.parent)


def _seconds(clock: Clock, began_ns: int) -> float:
    return round((clock.monotonic_ns() - began_ns) / 1e9, 3)


def run_backup(arguments: Namespace) -> int:
    """The command `weir backup`."""
    told = back_up(RealDisk(), arguments.out, arguments.to, SystemClock())
    print(
        f"{len(told['files'])} files, {told['bytes']:,} bytes in {told['seconds']} s; "
        f"sealed up to seq {told['sealed_seq']}, root {told['root']}"
    )
    return 0


def run_restore(arguments: Namespace) -> int:
    """The command `weir restore`; status 1 if the drill finds a difference."""
    drill = (ALL if arguments.all else SOME) if arguments.drill or arguments.all else ""
    done = restore(RealDisk(), arguments.from_, arguments.out, SystemClock(), drill=drill)
    print(f"{done['files']} files, {done['bytes']:,} bytes in {done['seconds_to_copy']} s")
    proved = done.get("drill")
    if proved is None:
        return 0
    print(
        f"{proved['records']:,} of {proved['of']:,} records decided again, {proved['lines_bytes']:,} bytes of lines "
        f"compared: {len(proved['differences'])} differences; {proved['seconds_to_load']} s to load, "
        f"{proved['seconds_to_derive']} s to derive"
    )
    if not proved["records"]:
        print(
            "note: nothing came after the newest snapshot, so no decision was proved; --all decides everything again",
            file=sys.stderr,
        )
    for difference in proved["differences"]:
        print(f"error: {difference}", file=sys.stderr)
    return 1 if proved["differences"] else 0
