"""Laws 2 and 3 in all weathers: whatever breaks on the way, the outcomes on disk are those of a calm day.

Reproduce one failure with `pytest -k 'crashes and [17]'`; WEIR_CRASHES asks for more seeds, WEIR_SEED for others.
"""

import json
import os

import numpy as np
import pytest

from engine.core import Core
from engine.durable import snapshots
from engine.durable.encrypted_disk import unlocked
from engine.durable.output import STREAMS, stream_path
from engine.durable.rederive import Rederivation
from engine.fits.records import RecordedFits
from replay.audit import verify
from tests.fitting import Unrecorded
from tests.simulation import weather
from tests.simulation.weather import GRID, ROOT, World

SEEDS = int(os.environ.get("WEIR_CRASHES", "24"))
FIRST = int(os.environ.get("WEIR_SEED", "0"))


@pytest.fixture(scope="module")
def configurations(tmp_path_factory):
    return weather.setups(tmp_path_factory.mktemp("weather"))


@pytest.fixture(autouse=True)
def short_grid(monkeypatch):
    weather.shorten_the_grid(monkeypatch)


def records(world):
    """What the journal holds: seq, position, line, arrival; configuration records as None."""
    again = Rederivation(world.disk, ROOT, key=world.key)
    found = []
    for block in again.journal.read(0):
        if block.config is not None:
            found.append((block.seq0, None, block.config, None))
            continue
        arrival_us = block.messages.arrival_us
        for row, line in enumerate(block.messages.lines):
            at = None if arrival_us is None else int(arrival_us[row])
            found.append((block.seq0 + row, block.messages.positions[row], line, at))
    return found


def answers(world):
    """What became of the sets that were fitted beside: of a live engine, that depends on when it asked."""
    return RecordedFits.of(unlocked(world.disk, ROOT, world.key), ROOT)


def calm(world):
    """Outcomes of one core that nothing happened to, over what the journal holds; without reloads only."""
    core, whole = Core(world.setups[0]), dict.fromkeys(STREAMS, b"")
    core.refits.connect(answers(world) if world.is_live else Unrecorded())
    kept = records(world)
    for k in range(0, len(kept), 50):
        part = kept[k : k + 50]
        lines, positions = [r[2] for r in part], [r[1] for r in part]
        arrival_us = np.array([r[3] for r in part], np.int64) if world.is_live else None
        outcome = core.apply(lines, positions, arrival_us)
        for stream in STREAMS:
            whole[stream] += outcome.streams.get(stream, b"")
    return whole


def calm_again(world):
    """The same where configurations changed: derived from nothing, in one go."""
    again, whole = Rederivation(world.disk, ROOT, key=world.key), dict.fromkeys(STREAMS, b"")
    again.start(snapshots=False)
    for _, outcome in again.outcomes():
        for stream in STREAMS if outcome else ():
            whole[stream] += outcome.streams.get(stream, b"")
    return whole


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_crashes_are_invisible(configurations, seed):
    """Law 2: every message is taken once and in order, and every stream is what an undisturbed engine writes."""
    world = World(seed, configurations)
    world.run()
    kept = records(world)
    assert [seq for seq, *_ in kept] == list(range(len(kept))), "the journal has a gap"
    taken = [(position, line) for _, position, line, _ in kept if str(position).startswith("in:")]
    given = [(f"in:{k + 1}", line) for k, line in enumerate(world.lines)]
    assert taken == given, world.lives
    assert world.streams() == (calm_again(world) if world.reloads else calm(world)), world.lives
    check_commands(world, kept)
    report = verify.report(ROOT, disk=world.disk, key=world.key)
    assert report.is_fine, (report.as_text(), world.lives)
    if world.is_encrypted:
        report = verify.report(ROOT, disk=world.disk, chain_only=True)
        assert report.is_fine, (report.as_text(), world.lives)
        assert b"transaction_id" not in world.disk.read(stream_path(ROOT, "decisions"))


def check_commands(world, kept):
    """Each command was taken once; a file that was taken is renamed and answered with the seq it got."""
    commands = [
        (seq, position) for seq, position, *_ in kept if str(position).startswith("control/")
    ]
    names = [position.removeprefix("control/") for _, position in commands]
    assert len(names) == len(set(names)), "a command was taken twice"
    folder = ROOT / "control"
    standing = set(world.disk.names(folder))
    for name in world.dropped:
        assert (name in names) != (f"{name}.json" in standing), (name, world.lives)
    for seq, position in commands:
        name = position.removeprefix("control/")
        assert f"{name}.taken" in standing
        assert json.loads(world.disk.read(folder / f"{name}.answer"))["seq"] == seq


def test_the_weather_is_bad(configurations):
    """Simulations in which nothing breaks prove nothing."""
    ends, fits = [], []
    for seed in range(12):
        world = World(1_000 + seed, configurations)
        world.run()
        ends += world.lives
        fits += [a.skipped or "fitted" for a in answers(world).answers()]
    assert {"fitted", "the fit failed: there was no reason"} <= set(fits), fits
    assert {"killed", "power", "full", "stopped", "done"} <= set(ends), ends


def test_a_replay_leaves_snapshots_on_its_way(configurations, monkeypatch):
    """Without them a recording that is long enough could never be gone on with faster than it is killed."""
    written = []
    write = snapshots.write

    def noted(disk, root, snapshot):
        written.append(snapshot.seq)
        return write(disk, root, snapshot)

    monkeypatch.setattr(snapshots, "write", noted)
    world = World(0, configurations, n_messages=400, is_calm=True)
    world.run()
    assert world.lives == ["done"]
    assert written[:-1] == list(range(GRID, written[-1], GRID))
