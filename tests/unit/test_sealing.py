"""When seals are written: beside what follows, in order, never too far behind the journal."""

import threading

import pytest

from engine.durable.sealing import GRID, Sealing
from engine.durable.seals import Note, Seal, Sealer, read_seals
from tests.journaling import CONFIG, FOLDER, MemoryDisk, messages, opened

ROOT = FOLDER.parent


class Chain:
    """A chain over a journal of ticks; `sync` is what a seal has to wait for."""

    def __init__(self, sync, *, threaded):
        self.disk = MemoryDisk()
        self.journal = opened(self.disk)
        self.sealing = Sealing(Sealer(self.disk, ROOT), CONFIG, lambda: sync, threaded=threaded)

    def add(self, n):
        seq = self.journal.seq_end
        self.sealing.add(self.journal.append(seq, messages([b"x"] * n, seq + 1), "p"), {}, 0)

    def written(self):
        return read_seals(self.disk, ROOT).lines


def test_a_seal_that_waits_for_the_disk_holds_nothing_up():
    go = threading.Event()
    chain = Chain(lambda: go.wait(60), threaded=True)
    chain.add(GRID)
    chain.add(7)
    assert chain.written() == []
    assert (chain.sealing.seq_end, chain.sealing.covered_end) == (0, GRID + 7)
    go.set()
    chain.sealing.settle()
    [seal] = chain.written()
    assert (seal.seq0, seal.seq_end, chain.sealing.seq_end) == (0, GRID, GRID)
    chain.sealing.seal()
    assert [seal.seq_end for seal in chain.written()] == [GRID, GRID + 7]
    chain.sealing.close()


def test_streams_are_durable_before_a_seal_speaks_of_them():
    seen = []
    chain = Chain(lambda: seen.append(len(chain.written())), threaded=False)
    for _ in range(3):
        chain.add(GRID)
    chain.sealing.settle()
    assert seen == [0, 1, 2]
    assert len(chain.written()) == 3


def test_the_journal_waits_for_a_seal_before_it_is_too_far_behind_it():
    chain = Chain(lambda: None, threaded=False)
    chain.add(GRID)
    chain.sealing.settle_for(2 * GRID)
    assert chain.written() == []
    chain.sealing.settle_for(2 * GRID + 1)
    assert len(chain.written()) == 1


def test_the_next_line_of_the_chain_waits_for_the_seal_before_it():
    chain = Chain(lambda: None, threaded=False)
    chain.add(GRID)
    chain.sealing.note_file("summary.json", "ab")
    chain.add(GRID)
    chain.sealing.note_recovered({"derived": 1})
    chain.add(GRID)
    chain.sealing.note_retired(["a", "b"], GRID)
    assert [type(line) for line in chain.written()] == [Seal, Note, Seal, Note, Seal, Note]


def test_a_seal_that_is_done_is_known_at_the_next_records():
    done = threading.Event()
    chain = Chain(done.set, threaded=True)
    chain.add(GRID)
    chain.sealing.settle()
    chain.add(GRID)
    assert chain.sealing._writing.is_done(within_us=60_000_000)
    chain.add(1)
    assert chain.sealing.seq_end == 2 * GRID
    assert len(chain.written()) == 2
    chain.sealing.close()


@pytest.mark.parametrize("threaded", [True, False])
def test_a_disk_that_cannot_sync_is_told_and_nothing_is_sealed(threaded):
    def fail():
        raise OSError(5, "Input/output error")

    chain = Chain(fail, threaded=threaded)
    chain.add(GRID)
    with pytest.raises(OSError, match="Input/output"):
        chain.sealing.settle()
    assert chain.written() == []
    chain.sealing.close()
