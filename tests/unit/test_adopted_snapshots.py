"""A snapshot that stands in two folders: of the owner that wrote it, and of the one that goes on from it."""

import numpy as np
import pytest

from config.errors import StateError
from engine.durable import snapshots
from engine.durable.disk import RealDisk
from engine.durable.snapshots import Snapshot
from tests.journaling import MemoryDisk

ARRAYS = {"core": np.arange(5), "large": np.arange(100_000, dtype=np.float64)}


@pytest.fixture(params=["the disk of the machine", "a disk that cannot link"])
def disk(request):
    return RealDisk() if "machine" in request.param else MemoryDisk()


def written(disk, folder):
    snapshot = Snapshot(40, 41, "in/0@39", True, "sha256:ab", {"decisions": 7}, {"n": {}}, ARRAYS)
    return snapshots.write(disk, folder, snapshot)


def test_an_adopted_snapshot_outlives_the_one_it_came_from(disk, tmp_path):
    """Its state is the same; streams begin anew, and its owner may lose what it has."""
    before, here = tmp_path / "before", tmp_path / "here"
    hashes = written(disk, before)
    assert snapshots.checked(disk, before, 40).position == "in/0@39"
    adopted = snapshots.adopt(disk, here, disk, before, 40)
    assert adopted[snapshots.STATE] == hashes[snapshots.STATE]
    assert adopted[snapshots.MANIFEST] != hashes[snapshots.MANIFEST]
    snapshots.remove(disk, before, 40)
    found = snapshots.read(disk, here, 40)
    assert (found.seq, found.records, found.position, found.config) == (
        40,
        41,
        "in/0@39",
        "sha256:ab",
    )
    assert (found.orderly, found.lengths, found.totals) == (False, {}, {"n": {}})
    assert found.arrays.keys() == ARRAYS.keys()
    assert all((found.arrays[name] == array).all() for name, array in ARRAYS.items())


def test_a_damaged_snapshot_is_found_without_reading_its_arrays(disk, tmp_path):
    written(disk, tmp_path)
    path = tmp_path / snapshots.FOLDER / f"{40:016d}" / snapshots.STATE
    data = disk.read(path)
    file = disk.create(path)
    file.write(data[:-1] + bytes([data[-1] ^ 1]))
    file.close()
    with pytest.raises(StateError, match="not what was written"):
        snapshots.checked(disk, tmp_path, 40)
