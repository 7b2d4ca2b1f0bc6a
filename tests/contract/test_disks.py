"""Every disk keeps the same promises: that of the machine, and those in memory that tests break on purpose."""

from pathlib import Path

import numpy as np
import pytest

from engine.disk import RealDisk
from tests.journaling import MemoryDisk
from tests.simulation.disk import SimDisk

DISKS = {
    "real": RealDisk,
    "memory": MemoryDisk,
    "simulated": lambda: SimDisk(np.random.default_rng(1)),
}


@pytest.fixture(params=DISKS.values(), ids=DISKS)
def place(request, tmp_path):
    """A disk and a folder on it."""
    disk = request.param()
    folder = tmp_path / "out" if request.param is RealDisk else Path("out")
    disk.make_folder(folder)
    disk.make_folder(folder)
    return disk, folder


def write(disk, path, *pieces):
    """A file with these pieces in it."""
    file = disk.create(path)
    for piece in pieces:
        file.write(piece)
    file.flush()
    file.sync()
    file.close()


class TestEveryDisk:
    def test_appends_and_reads_any_part(self, place):
        disk, folder = place
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

    def test_creates_empty_and_append_creates_what_is_not_there(self, place):
        disk, folder = place
        write(disk, folder / "a", b"old")
        disk.create(folder / "a").close()
        disk.append(folder / "b").close()
        assert disk.size(folder / "a") == disk.size(folder / "b") == 0
        assert disk.size(folder / "c") == -1

    def test_cuts_and_goes_on_there(self, place):
        disk, folder = place
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

    def test_what_is_missing_is_an_os_error(self, place):
        disk, folder = place
        for call in (disk.read, disk.open, lambda path: disk.truncate(path, 0)):
            with pytest.raises(OSError, match=r"none|No such|\[Errno"):
                call(folder / "none")

    def test_opens_for_reading_as_numpy_does(self, place):
        disk, folder = place
        write(disk, folder / "a", np.arange(4).tobytes())
        with disk.open(folder / "a") as file:
            file.seek(8)
            assert np.frombuffer(file.read(8), np.int64).tolist() == [1]
