"""Arrays that grow keep what they hold, on Linux without a copy."""

import mmap
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from engine import growing
from engine.growing import _mapping_of, grown
from engine.remembered import Remembered


@pytest.mark.parametrize("shape", [(), (3,), (0,)])
@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.int64])
def test_what_was_held_is_held_after_growing(shape, dtype):
    held = {"a": np.empty((0, *shape), dtype)}
    known = np.empty((0, *shape), dtype)
    rng = np.random.default_rng(1)
    for capacity in (1, 7, 5_000, 40_000, 300_000):
        n = len(known)
        held["a"] = grown(held.pop("a"), n, capacity)
        assert held["a"].shape == (capacity, *shape)
        assert held["a"].dtype == dtype
        assert np.array_equal(held["a"][:n], known)
        held["a"][n:] = rng.integers(0, 100, (capacity - n, *shape))  # all of it can be written
        known = held["a"].copy()


@pytest.mark.skipif(sys.platform != "linux", reason="memory that grows where it is needs mremap")
@pytest.mark.parametrize("reserved_bytes", [0, 1 << 20, 1 << 28])
def test_memory_grows_where_it_is(monkeypatch, reserved_bytes):
    """Within the address space that was reserved, and beyond it."""
    monkeypatch.setattr(growing, "RESERVED_BYTES", reserved_bytes)
    held = {"a": grown(np.arange(10), 10, 1_000)}
    mapping = _mapping_of(held["a"])
    for capacity in (10_000, 1_000_000):
        held["a"] = grown(held.pop("a"), 10, capacity)
        assert mapping is not None
        assert _mapping_of(held["a"]) is mapping, "copied"
        assert held["a"][:10].tolist() == list(range(10))
        held["a"][10:] = 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is copied")
def test_memory_within_what_was_reserved_does_not_move():
    held = {"a": grown(np.arange(10), 10, 1_000)}
    address = held["a"].ctypes.data
    held["a"] = grown(held.pop("a"), 10, 1_000_000)
    assert held["a"].ctypes.data == address


@pytest.mark.skipif(sys.platform != "linux", reason="what a fork is promised is Linux's")
def test_a_process_with_much_room_can_fork():
    """All arrays of a core together reserve more than the machine has."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    held = [
        grown(np.arange(10), 10, 1_000) for _ in range(2 + 2 * memory // growing.RESERVED_BYTES)
    ]
    done = subprocess.run([sys.executable, "-c", ""], preexec_fn=lambda: None, check=False)
    assert done.returncode == 0
    assert all(len(rows) == 1_000 for rows in held)


@pytest.mark.skipif(not growing.CAN_MAP, reason="elsewhere it is copied")
def test_less_address_space_than_was_asked_for_is_enough(monkeypatch):
    """A system that grants little (`ulimit -v`, strict overcommit) gives what is needed now."""
    granted = []

    def mapped(number, length, flags):
        if length > 1 << 20:
            raise OSError("so much is not granted")
        granted.append(length)
        return mmap.mmap(number, length, flags=flags)

    monkeypatch.setattr(growing, "mmap", SimpleNamespace(**{**vars(mmap), "mmap": mapped}))
    monkeypatch.setattr(growing, "_mapping_of", lambda _: None)
    assert grown(np.arange(10), 10, 1_000)[:10].tolist() == list(range(10))
    assert granted == [1 << 20]


def test_an_array_that_somebody_still_holds_is_copied_beyond_its_room(monkeypatch):
    monkeypatch.setattr(growing, "RESERVED_BYTES", 0)
    held = {"a": grown(np.arange(10), 10, 1_000)}
    view = held["a"][2:5]
    held["a"] = grown(held.pop("a"), 10, 100_000)
    held["a"][2:5] = -1
    assert view.tolist() == [2, 3, 4]


@pytest.mark.skipif(sys.platform != "linux", reason="memory that grows where it is needs mremap")
def test_the_store_of_transactions_grows_without_a_copy_and_keeps_its_columns():
    memory = Remembered(10**15, n_number=3, n_code=2, n_input=4, n_score=2)
    for k in range(5_000):
        memory.reserve(1)
        entry = memory.add(f"t{k}", k, k, k, k)
        memory.arrays["number"][entry] = k
        if k == 100:
            mappings = {name: _mapping_of(array) for name, array in memory.arrays.items()}
    names = list(memory.arrays)
    assert len(memory.arrays["seq"]) > 4_096
    assert all(_mapping_of(memory.arrays[name]) is mappings[name] for name in names), "copied"
    assert memory.arrays["number"][:5_000, 2].tolist() == list(range(5_000))
    again = Remembered(10**15, n_number=3, n_code=2, n_input=4, n_score=2)
    assert list(again.arrays) == names
    saved = memory.save(0)
    again.load(saved)
    loaded = {name: _mapping_of(array) for name, array in again.arrays.items()}
    again.reserve(1)
    assert all(_mapping_of(again.arrays[name]) is loaded[name] for name in names), (
        "copied after a restart"
    )
    assert all(
        np.array_equal(saved[name], again.save(0)[name], equal_nan=saved[name].dtype.kind == "f")
        for name in saved
    )
