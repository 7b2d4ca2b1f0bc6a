"""A new feature that asks a list to which rows were added at runtime is as in an engine that always had it.

WEIR_CARRIES sets how many random streams are tried (default 16), WEIR_SEED where they begin.
"""

import os

import numpy as np
import pytest

from engine.backfill import ask, fill, splice
from engine.batch import TRANSACTION
from engine.carry import carry
from engine.core import Core
from engine.lists import GRID
from engine.ports import Messages, Recorded
from tests import factories
from tests.unit.test_carry import ALONE, configure  # noqa: F401 - a fixture
from tests.unit.test_list_rows import RULES, stream

STREAMS = int(os.environ.get("WEIR_CARRIES", "16"))
SEED = int(os.environ.get("WEIR_SEED", "0"))
N = 1_500
LISTS = "lists:\n  watch: {type: id, of: account, values: [W0]}\n"
NEW = """\
  listed_20m: count() by account over 20m where counterparty in @watch
  last_listed: last(counterparty) by account over all where counterparty in @watch
  often_20m: count() by counterparty over 20m where listed_20m > 20
"""
OLD = "  n_1h: count() by account over 1h\n"
NAMES = ("listed_20m", "last_listed", "often_20m")


def apply(core, lines, size=300):
    """What the new features are at every payment, and the core time there; nothing where the core has none."""
    found = {name: [] for name in NAMES if name in core.setup.pack.features}
    times = []
    for first in range(0, len(lines), size):
        part = lines[first : first + size]
        outcome = core.apply(part, ["x"] * len(part))
        paid = outcome.batch.kind == TRANSACTION
        times += outcome.admitted.core_us[paid].tolist()
        for name, values in found.items():
            place = core.layout[name]
            of = outcome.frame.code if place.is_code else outcome.frame.number
            values += of[place.row][paid].tolist()
    return {name: np.array(values) for name, values in found.items()}, np.array(times)


def back_filled(old, new, lines, first, cut):
    """An engine that went over to `new` at `cut`, its journal beginning at `first`."""
    core = Core(old)
    apply(core, lines[:cut])
    start = Core(old) if first else None
    if start is not None:
        apply(start, lines[:first])
    core, carried = carry(core, new)
    part = lines[first:cut]
    record = Recorded(first, Messages(part, ["x"] * len(part)))
    splice(core, carried, fill(ask(core, carried), new, [record], start))
    return core


@pytest.mark.parametrize("seed", range(SEED, SEED + STREAMS))
def test_a_new_feature_sees_what_was_in_the_list_when_it_was(configure, seed):  # noqa: F811
    """Rows of rules and of people, prolonged and removed; from the beginning of the journal, or from a snapshot."""
    rng = np.random.default_rng(seed)
    lines = [factories.line(message) for message in stream(rng, N)]
    rules = RULES.format(cap=1000).replace(" {listed_1h}", "")
    old, new = (configure(OLD + more + LISTS, rules=rules, models=ALONE) for more in ("", NEW))
    cut = int(rng.integers(GRID, N))
    first = int(rng.integers(1, cut)) if seed % 3 == 2 else 0
    core, always = back_filled(old, new, lines, first, cut), Core(new)
    apply(always, lines[:cut])
    always.seq += 1  # the configuration record
    got, times = apply(core, lines[cut:])
    want, _ = apply(always, lines[cut:])
    assert bool(core.warming.since_us) == bool(first)
    for name in NAMES:
        if first and name == "last_listed":
            continue  # `over all` needs what came before the snapshot
        warm = times >= core.warming.ready_us(name)
        np.testing.assert_equal(got[name][warm], want[name][warm])
    assert core.lists.all() == always.lists.all() != []
