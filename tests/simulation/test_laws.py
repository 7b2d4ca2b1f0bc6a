"""The laws of the core, over generated traffic through the configuration that ships.

Reproduce one failure with `pytest -k 'laws and [3]'`; WEIR_SEEDS asks for more seeds.
"""

import os

import msgspec
import numpy as np
import pytest

from engine.batch import KIND_NAMES
from tests import banking

SEEDS = range(int(os.environ.get("WEIR_SEEDS", "3")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("traffic")


@pytest.fixture(scope="module")
def calm(folder):
    """Per seed: the stream, its outcomes in batches of 4,096, and the state afterwards."""
    found = {}
    for seed in SEEDS:
        lines = banking.traffic(folder, seed)
        core = banking.fresh_core()
        outcomes = banking.feed(core, lines, banking.every(4096, len(lines)))
        found[seed] = (lines, outcomes, banking.state_bytes(core))
    return found


def test_the_stream_has_everything_in_it(calm):
    """A law that is tested on traffic without late rows or labels says little."""
    lines, outcomes, _ = calm[0]
    core = banking.fresh_core()
    outcome = core.apply(lines, ["x"] * len(lines))
    kinds = {KIND_NAMES[k] for k in np.unique(outcome.batch.kind)}
    assert kinds >= {"dead", "transaction", "activity", "label", "update", "profile", "duplicate"}
    assert outcome.admitted.late.any()
    assert (outcome.admitted.linked_from >= 0).any()
    for stream in ("decisions", "alerts", "commands", "dead_letters", "duplicates"):
        assert outcomes[stream], stream


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rows", [7, 64])
def test_batching_is_invisible(calm, seed, rows):
    """Law 1: other batches, the same bytes and the same state."""
    lines, outcomes, state = calm[seed]
    core = banking.fresh_core()
    assert banking.feed(core, lines, banking.every(rows, len(lines))) == outcomes
    assert banking.state_bytes(core) == state


def test_batches_of_one_row_are_invisible_too(calm):
    """Law 1, for a stream as a live engine sees it at night; the first thousand rows."""
    lines = calm[0][0][:1000]
    whole, single = banking.fresh_core(), banking.fresh_core()
    assert banking.feed(whole, lines, []) == banking.feed(single, lines, banking.every(1, 1000))
    assert banking.state_bytes(whole) == banking.state_bytes(single)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_core_that_was_saved_and_loaded_goes_on_as_if_nothing_had_happened(calm, seed):
    """Law 3: at random places the core is replaced by a new one that loads its state."""
    lines, outcomes, state = calm[seed]
    rng = np.random.default_rng(seed)
    core, whole, at = banking.fresh_core(), dict.fromkeys(banking.STREAMS, b""), 0
    while at < len(lines):
        stop = min(len(lines), at + int(rng.integers(1, 900)))
        part = banking.feed(core, lines[at:stop], [], start=at)
        for stream in banking.STREAMS:
            whole[stream] += part[stream]
        saved, at = core.save(), stop
        core = banking.fresh_core()
        core.load(saved)
    assert whole == outcomes
    assert banking.state_bytes(core) == state


@pytest.mark.parametrize("seed", SEEDS)
def test_repeats_change_nothing(calm, seed):
    """Law 4: every transaction, label and update a second time at once: the same decisions but for `seq`."""
    lines, outcomes, _ = calm[seed]
    twice = [line for line in lines for _ in range(1 + _has_identity(line))]
    got = banking.feed(banking.fresh_core(), twice, banking.every(500, len(twice)))
    assert _without_seq(got["decisions"]) == _without_seq(outcomes["decisions"])
    assert got["duplicates"].count(b"\n") > len(lines) // 2


def _has_identity(line):
    try:
        message = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    kind = message.get("kind", "transaction") if isinstance(message, dict) else ""
    return kind in ("transaction", "label", "update")


def _without_seq(lines):
    kept = []
    for line in lines.splitlines():
        decision = msgspec.json.decode(line)
        for name in ("alerts", "commands", "restrictions"):  # ids hold the seq of their cause
            decision[name] = len(decision[name])
        decision.pop("seq")
        kept.append(decision)
    return kept


def test_silence_teaches_in_its_own_time(calm):
    """With `assume_genuine_after` unlabelled transactions are learned, and batches stay invisible."""
    lines = calm[0][0]
    cores = [banking.assuming_core("3d") for _ in range(2)]
    whole = banking.feed(cores[0], lines, banking.every(4096, len(lines)))
    cut = banking.feed(cores[1], lines, banking.every(61, len(lines)))
    assert whole == cut
    assert banking.state_bytes(cores[0]) == banking.state_bytes(cores[1])
    assert whole["decisions"] != calm[0][1]["decisions"], "nothing was learned"
