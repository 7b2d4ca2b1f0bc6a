"""Before the first message everything is there that it would wait for, and nothing is decided otherwise for it."""

import pytest

from config.settings import BANK
from engine.core import Core
from engine.scanning.codes import TextTable
from engine.setup import read_setup
from tests.auditing import small_bank, small_traffic

HALF = 150


@pytest.fixture(scope="module")
def setups(tmp_path_factory):
    return [read_setup(BANK), read_setup(small_bank(tmp_path_factory.mktemp("bank") / "bank"))]


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    path = small_traffic(tmp_path_factory.mktemp("traffic") / "t.ndjson", 2 * HALF)
    return path.read_bytes().splitlines()


def state(core):
    return {name: array.tobytes() for name, array in core.save().items()}


def positions(lines):
    return [f"t.ndjson:{k}" for k in range(len(lines))]


@pytest.mark.parametrize("which", [0, 1], ids=["shipped", "small"])
def test_warming_up_leaves_state_as_it_is(setups, lines, which):
    core = Core(setups[which])
    for part in ([], lines[:HALF], lines[HALF:]):
        core.apply(part, positions(part))
        before = state(core)
        core.warm_up()
        assert state(core) == before


def test_the_first_batch_after_a_restart_does_not_wait_for_all_texts_there_are(
    setups, lines, monkeypatch
):
    taken = []
    take = TextTable._take
    monkeypatch.setattr(
        TextTable, "_take", lambda self, name, held: (taken.extend(held), take(self, name, held))
    )
    before, core = Core(setups[1]), Core(setups[1])
    before.apply(lines, positions(lines))
    taken.clear()
    core.load(before.save())
    core.decoder.scan_min = 1
    core.warm_up()
    texts = [text for held in core.dictionaries.values() for text in held.texts]
    assert len(texts) > 20  # accounts and more
    assert sorted(taken) == sorted(texts)
    core.apply(lines[:HALF], positions(lines[:HALF]))
    core.apply(lines[:HALF], positions(lines[:HALF]))
    assert len(taken) == len(texts), "nothing was new"
