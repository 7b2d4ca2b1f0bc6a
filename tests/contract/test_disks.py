"""Every disk keeps the same promises: that of the machine, and those in memory that tests break on purpose."""

from pathlib import Path

import numpy as np
import pytest

from engine.clock import ManualClock
from engine.durable.disk import RealDisk
from engine.durable.encrypted_disk import unlocked
from engine.durable.gentle_disk import GentleDisk
from tests.journaling import MemoryDisk
from tests.simulation.disk import SimDisk

DISKS = {
    "real": RealDisk,
    "gentle": lambda: GentleDisk(ManualClock()),
    "memory": MemoryDisk,
    "simulated": lambda: SimDisk(np.random.default_rng(1)),
}
ENCRYPTED = {f"encrypted on {name}": make for name, make in DISKS.items()}
KEY = bytes(range(32))


class Stream:
    """Every file of an encrypted disk taken for a stream: the names of tests with an ending put to them."""

    def __init__(self, disk, folder):
        self.disk, self.folder = disk, folder

    def __truediv__(self, name):
        return self.folder / f"{name}.ndjson"


def made(make, tmp_path):
    """A disk and an empty folder on it, outside of which nothing is touched."""
    disk = make()
    folder = tmp_path / "out" if isinstance(disk, RealDisk) else Path("out")
    disk.make_folder(folder)
    disk.make_folder(folder)
    return disk, folder


def encrypted(make, tmp_path):
    disk, root = made(make, tmp_path)
    return unlocked(disk, root, KEY, begins=True), root


@pytest.fixture(params=[*DISKS, *ENCRYPTED])
def place(request, tmp_path):
    """A disk and a folder on it; an encrypted disk keeps such files in chunks."""
    if request.param in DISKS:
        return made(DISKS[request.param], tmp_path)
    disk, root = encrypted(ENCRYPTED[request.param], tmp_path)
    disk.make_folder(root / "snapshots")
    return disk, root / "snapshots"


@pytest.fixture(params=[*DISKS, *ENCRYPTED, *(f"streams {name}" for name in ENCRYPTED)])
def any_place(request, tmp_path):
    """The same, and encrypted disks with streams, which are never renamed."""
    name = request.param.removeprefix("streams ")
    make = DISKS.get(name) or ENCRYPTED[name]
    if name in DISKS:
        return made(make, tmp_path)
    disk, root = encrypted(make, tmp_path)
    if name == request.param:
        disk.make_folder(root / "snapshots")
        return disk, root / "snapshots"
    return disk, Stream(disk, root)


def write(disk, path, *pieces):
    """A file with these pieces in it."""
    file = disk.create(path)
    for piece in pieces:
        file.write(piece)
    file.flush()
    file.sync()
    file.close()


class TestEveryDisk:
    def test_appends_and_reads_any_part(self, any_place):
        disk, folder = any_place
        path = folder / "a"
        write(disk, path, b"012", b"345")
        file = disk.append(path)
        assert file.tell() == 6
        file.write(b"6789")
        file.flush()
        assert file.tell() == disk.size(path) == 10
        file.close()
        file.close()
        assert disk.read(path) == b"0123456789"
        assert disk.read(path, 4) == b"456789"
        assert disk.read(path, 4, 3) == b"456"
        assert disk.read(path, 8, 9) == b"89"
        assert disk.read(path, 10) == b""

    def test_creates_empty_and_append_creates_what_is_not_there(self, any_place):
        disk, folder = any_place
        write(disk, folder / "a", b"old")
        disk.create(folder / "a").close()
        disk.append(folder / "b").close()
        assert disk.size(folder / "a") == disk.size(folder / "b") == 0
        assert disk.size(folder / "c") == -1

    def test_cuts_and_goes_on_there(self, any_place):
        disk, folder = any_place
        path = folder / "a"
        write(disk, path, b"0123456789")
        disk.truncate(path, 4)
        file = disk.append(path)
        assert file.tell() == 4
        file.write(b"xy")
        file.close()
        assert disk.read(path) == b"0123xy"

    def test_names_are_sorted_replaced_and_removed(self, place):
        disk, folder = place
        assert disk.names(folder / "none") == []
        for name in ("b", "a", "c"):
            write(disk, folder / name, name.encode())
        assert disk.names(folder) == ["a", "b", "c"]
        disk.rename(folder / "a", folder / "b")
        disk.sync_folder(folder)
        assert disk.names(folder) == ["b", "c"]
        assert disk.read(folder / "b") == b"a"
        disk.remove(folder / "c")
        disk.remove(folder / "c")
        assert disk.names(folder) == ["b"]

    def test_a_folder_is_renamed_and_removed_with_what_is_in_it(self, place):
        disk, folder = place
        disk.make_folder(folder / "x")
        write(disk, folder / "x" / "a", b"1")
        disk.rename(folder / "x", folder / "y")
        assert disk.read(folder / "y" / "a") == b"1"
        disk.remove(folder / "y")
        assert disk.names(folder) == []

    def test_what_is_missing_is_an_os_error(self, any_place):
        disk, folder = any_place
        for call in (disk.read, disk.open, lambda path: disk.truncate(path, 0)):
            with pytest.raises(OSError, match=r"none|No such|\[Errno"):
                call(folder / "none")

    def test_opens_for_reading_as_numpy_does(self, any_place):
        disk, folder = any_place
        write(disk, folder / "a", np.arange(4).tobytes())
        with disk.open(folder / "a") as file:
            file.seek(8)
            assert np.frombuffer(file.read(8), np.int64).tolist() == [1]
