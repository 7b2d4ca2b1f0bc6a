"""Every configuration that was ever active in an output folder, by content hash: OUT/config/HASH/.

A record can be decided again only with the configuration it was decided with, so a configuration is stored before the
first record under it is journaled, and nothing ever removes one. The locks of its packs are kept with it as they were
then; they are no part of the hash, for they change no outcome.
"""

import json
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from config.settings import Configuration
from engine.durable.disk import Disk, DiskFile, RealDisk
from engine.durable.encrypted_disk import beneath
from engine.setup import OVERRIDES_FILE, Setup, read_stored_with, stored_overrides
from rules.pack import Loaded

FOLDER: Final = "config"
SYNCED_AT_ONCE: Final = 16  # files
TEMPORARY: Final = re.compile(r"\.[0-9a-f]{64}\.new")  # the name of one that is not whole yet


def keep(disk: Disk, root: Path, configuration: Configuration) -> None:
    """Store `configuration` in the output folder `root`, whole or not at all; one that is there stays as it is."""
    folder = root / FOLDER
    for name in disk.names(folder):
        if TEMPORARY.fullmatch(name):  # what a killed start has left
            disk.remove(folder / name)
    target = folder / configuration.sha256
    if disk.size(target / OVERRIDES_FILE) >= 0:
        return
    temporary = folder / f".{configuration.sha256}.new"
    kept = {**configuration.files, **configuration.beside}
    files = {name: path.read_bytes() for name, (path, _) in kept.items()}
    overrides = json.dumps(stored_overrides(configuration), indent=1, sort_keys=True)
    files[OVERRIDES_FILE] = overrides.encode() + b"\n"
    written = []
    for name, content in files.items():
        disk.make_folder((temporary / name).parent)
        file = disk.create(temporary / name)
        file.write(content)
        written.append(file)
    _sync_all(disk, written)
    for inner in sorted({(temporary / name).parent for name in files}):
        disk.sync_folder(inner)
    disk.remove(target)  # what a version without overrides.json has left
    disk.rename(temporary, target)
    disk.sync_folder(folder)


def _sync_all(disk: Disk, files: Sequence[DiskFile]) -> None:
    """Have all files on the disk, and close them; side by side, for one after the other 50 take most of a second."""
    if isinstance(beneath(disk), RealDisk):
        with ThreadPoolExecutor(SYNCED_AT_ONCE) as pool:
            for _ in pool.map(lambda file: file.sync(), files):
                pass
    else:  # in the simulator their order is part of what a seed says
        for file in files:
            file.sync()
    for file in files:
        file.close()


def stored(disk: Disk, root: Path, sha256: str) -> Setup:
    """Read the configuration `sha256` (with or without `sha256:` before it); `StateError` if it is not as it was."""
    return stored_with(disk, root, sha256)[0]


def stored_with(disk: Disk, root: Path, sha256: str) -> tuple[Setup, Loaded]:
    """The same, and what reading its packs gave."""
    folder = root / FOLDER / sha256.removeprefix("sha256:")
    if isinstance(beneath(disk), RealDisk):
        return read_stored_with(folder)
    with tempfile.TemporaryDirectory() as elsewhere:  # settings and packs are read from real files
        copy = Path(elsewhere) / folder.name
        told = disk.read(folder / OVERRIDES_FILE)
        for name in (OVERRIDES_FILE, *json.loads(told)["files"]):
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(disk.read(folder / name))
        return read_stored_with(copy)
