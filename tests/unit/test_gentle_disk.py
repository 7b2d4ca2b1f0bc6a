"""The disk of the process beside: little at a time, and nobody else loses what it takes away."""

import ctypes
import mmap
import os

import numpy as np
import pytest

from engine.clock import ManualClock
from engine.durable import gentle_disk, snapshots
from engine.durable.disk import share
from engine.durable.gentle_disk import CUT_BYTES, PIECE_BYTES, REST_US, GentleDisk

SIZE = 5 * PIECE_BYTES + 17


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def rests(clock):
    """How many rests were taken since the last time this was asked."""
    seen = [clock.monotonic_ns()]

    def count():
        seen.append(clock.monotonic_ns())
        return (seen[-1] - seen[-2]) // (REST_US * 1_000)

    return count


def test_rests_after_every_piece_written_and_read(clock, rests, tmp_path):
    disk, path, data = GentleDisk(clock), tmp_path / "a", os.urandom(SIZE)
    file = disk.create(path)
    file.write(data[:7])
    assert rests() == 0
    file.write(data[7:])
    assert rests() == 5
    file.close()
    assert disk.read(path) == data
    assert rests() == 5
    with disk.open(path) as opened:
        assert opened.read() == data
    assert rests() >= 4
    with disk.open(path) as opened:
        assert b"".join(iter(lambda: opened.read(100_000), b"")) == data
    assert rests() >= 4


def test_syncs_every_piece_before_the_next(clock, tmp_path, monkeypatch):
    synced, lengths = gentle_disk.RealFile.sync, []

    def sync(file):
        lengths.append(file.tell())
        synced(file)

    monkeypatch.setattr(gentle_disk.RealFile, "sync", sync)
    file = GentleDisk(clock).append(tmp_path / "a")
    file.write(bytes(PIECE_BYTES - 1))
    file.write(bytes(2 * PIECE_BYTES))
    file.close()
    assert lengths == [PIECE_BYTES, 2 * PIECE_BYTES]


def n_cached(path):
    """Pages of a file that stand in the page cache, by mincore(2); asking brings none of them in."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        found = np.zeros(-(-len(mapping) // mmap.PAGESIZE), np.uint8)
        where = np.frombuffer(mapping, np.uint8)
        size = ctypes.c_size_t(len(mapping))
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.mincore(
            ctypes.c_void_p(where.ctypes.data), size, found.ctypes.data_as(ctypes.c_char_p)
        )
        del where
    assert not failed, os.strerror(ctypes.get_errno())
    return int((found & 1).sum())


@pytest.fixture
def cached(tmp_path):
    """`n_cached`, where the system tells, and the file system can do without its cache."""
    path = tmp_path / "probe"
    path.write_bytes(bytes(SIZE))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        try:
            assert n_cached(path) == -(-SIZE // mmap.PAGESIZE)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        except (AttributeError, OSError) as error:
            pytest.skip(f"nobody can tell here what is cached: {error!r}")
    if n_cached(path):
        pytest.skip("this file system keeps all in memory")
    return n_cached


def test_keeps_nothing_in_the_page_cache(clock, cached, tmp_path):
    disk, path = GentleDisk(clock), tmp_path / "a"
    file = disk.create(path)
    for part in range(6):
        file.write(bytes(PIECE_BYTES - part))  # no piece ends where a page does
    file.sync()
    file.close()
    assert cached(path) == 0
    assert len(disk.read(path)) == 6 * PIECE_BYTES - 15
    assert cached(path) == 0
    with disk.open(path) as opened:
        while opened.read(77_777):
            pass
    assert cached(path) == 0


def test_cuts_a_large_file_before_it_goes(clock, rests, tmp_path):
    folder = large(tmp_path / "5")
    GentleDisk(clock).remove(folder)
    assert list(tmp_path.iterdir()) == []
    assert rests() == (3 if can_tell(tmp_path) else 0)


def test_a_file_with_another_name_stays_what_it_is(clock, tmp_path):
    """A folder that began where another stood shares the state with it."""
    folder = large(tmp_path / "5")
    (tmp_path / "6").mkdir()
    share(GentleDisk(clock), folder / "state", tmp_path / "6" / "state")
    GentleDisk(clock).remove(folder)
    assert (tmp_path / "6" / "state").stat().st_size == 4 * CUT_BYTES


def test_whoever_reads_the_file_reads_it_to_the_end(clock, rests, tmp_path):
    folder = large(tmp_path / "5")
    with (folder / "state").open("rb") as reader:
        GentleDisk(clock).remove(folder)
        assert os.fstat(reader.fileno()).st_size == 4 * CUT_BYTES
    assert rests() == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_of_a_removal_goes_with_the_next(clock, tmp_path, monkeypatch):
    """From the first cut on the folder has no name of a snapshot."""

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    large(tmp_path / snapshots.FOLDER / "5")
    monkeypatch.setattr(gentle_disk, "_is_alone", lambda _: True)  # where the system cannot tell
    disk = GentleDisk(clock)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed_at(os.fsync, killed, 2))
        with pytest.raises(Killed):
            disk.remove(tmp_path / snapshots.FOLDER / "5")
    assert snapshots.numbers(disk, tmp_path) == []
    assert len(disk.names(tmp_path / snapshots.FOLDER)) == 1
    snapshots.prune(disk, tmp_path, 1)
    assert disk.names(tmp_path / snapshots.FOLDER) == []


def killed_at(call, killed, k):
    """The function `call`, of which the call number `k` is the last."""
    left = [k]

    def counted(*arguments):
        left[0] -= 1
        return call(*arguments) if left[0] else killed()

    return counted


def can_tell(folder):
    """Whether the system says here that a file is open elsewhere; else nothing is cut."""
    with (folder / "probe").open("w+b") as file:
        return gentle_disk._is_alone(file.fileno())


def large(folder):
    """A folder with a file that is too large to go at once; it has holes, so it takes no room."""
    folder.mkdir(parents=True)
    with (folder / "state").open("wb") as file:
        file.truncate(4 * CUT_BYTES)
    return folder
