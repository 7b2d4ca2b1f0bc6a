"""Configurations that are proposed, approved and swapped in while everything breaks: laws 2 and 3 hold.

Reproduce one failure with `pytest -k 'reloads and [17]'`; WEIR_CRASHES asks for more seeds, WEIR_SEED for others.
"""

import json
import os

import pytest

from engine import starting
from engine.durable import config_store
from engine.durable.journal import read_journal
from engine.reload.filler import Filler
from engine.runner import Runner
from replay.audit import verify
from tests.reloading import Inside, InsideFilling
from tests.simulation import weather
from tests.simulation.test_crashes import calm_again, check_commands, records
from tests.simulation.weather import ROOT, World

SEEDS = int(os.environ.get("WEIR_CRASHES", "16"))
FIRST = int(os.environ.get("WEIR_SEED", "0"))
PEOPLE = ("m.keller", "s.aydin", "M. Keller")


@pytest.fixture(scope="module")
def configurations(tmp_path_factory):
    return weather.setups(tmp_path_factory.mktemp("weather"))


@pytest.fixture(autouse=True)
def short_grid(monkeypatch):
    weather.shorten_the_grid(monkeypatch)


class Proposing(World):
    """A live world in which people propose configurations, approve and reject them, at any moment."""

    def __post_init__(self):
        super().__post_init__()
        self.is_live = self.has_commands = True
        self.reloads = False  # no start brings another configuration
        self.helps = lambda disk: Inside(disk, ROOT)
        self.fills = lambda disk: InsideFilling(disk, ROOT, self.key)

    def drop_command(self):
        for _ in range(int(self.rng.integers(1, 4))):
            self.drop(self.command())

    def command(self):
        setup = self.setups[int(self.rng.integers(len(self.setups)))]
        by = str(self.rng.choice(PEOPLE))
        what = {"config": setup.sha256, "by": by, "reason": "tried"}
        if self.rng.random() < 0.7:
            folder = str(setup.configuration.folder) if self.rng.random() < 0.9 else "/nowhere"
            return {"command": "activate", "folder": folder, **what}
        return {"command": str(self.rng.choice(["approve", "reject_proposal"])), **what}

    def drop(self, command):
        name = f"c{len(self.dropped):03d}"
        self.dropped[name] = json.dumps(command).encode()
        folder = ROOT / "control"
        self.disk.make_folder(folder)
        file = self.disk.create(folder / f".{name}")
        file.write(self.dropped[name])
        file.sync()
        self.disk.rename(folder / f".{name}", folder / f"{name}.json")
        self.disk.sync_folder(folder)

    def live(self):
        """The operator starts the engine with what was active last, as far as the journal tells."""
        if configs(self):
            active = config_store.stored(self.disk, ROOT, configs(self)[-1])
            known = {setup.sha256: setup for setup in self.setups}
            self.setup = known.get(active.sha256, active)
        return super().live()


def configs(world):
    """Hashes of the configurations that were active, in order; one whose past was filled in stands there twice."""
    journal = read_journal(world.disk, ROOT / "journal", world.key)
    if not journal.segments:
        return []
    brought = (block.config for block in journal.read(journal.first_seq))
    found = [json.loads(record)["config"] for record in brought if record is not None]
    return [journal.segments[0].header.config, *found]


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_reloads_and_crashes_are_invisible(configurations, seed):
    """Whatever breaks while configurations come in: nothing is lost, and every record is decided by one of them."""
    world = Proposing(seed, configurations)
    world.run()
    kept = records(world)
    assert [seq for seq, *_ in kept] == list(range(len(kept))), "the journal has a gap"
    taken = [(position, line) for _, position, line, _ in kept if str(position).startswith("in:")]
    given = [(f"in:{k + 1}", line) for k, line in enumerate(world.lines)]
    assert taken == given, world.lives
    assert world.streams() == calm_again(world), world.lives
    check_commands(world, kept)
    report = verify.report(ROOT, disk=world.disk, key=world.key)
    assert report.is_fine, (report.as_text(), world.lives)


def test_configurations_do_come_in(configurations):
    """Simulations in which nothing goes live prove nothing; killed engines must be among them."""
    changes = [0, 0]
    for seed in range(6):
        world = Proposing(2_000 + seed, configurations)
        world.run()
        changes["killed" in world.lives or "power" in world.lives] += len(configs(world)) - 1
    assert min(changes) > 0 or changes[1] > 3, changes


def test_what_comes_in_is_filled_while_the_engine_runs_and_at_starts(configurations, monkeypatch):
    """Both must be among the simulations, or they prove nothing."""
    found = {"running": 0, "starting": 0, "refused": 0}

    def counted(what, method):
        def call(*arguments):
            found[what] += 1
            return method(*arguments)

        return call

    monkeypatch.setattr(Runner, "note_config", counted("running", Runner.note_config))
    monkeypatch.setattr(starting, "_refill", counted("starting", starting._refill))
    monkeypatch.setattr(Filler, "_give_up", counted("refused", Filler._give_up))
    for seed in range(48):
        Proposing(2_000 + seed, configurations).run()
        if found["running"] > 3 and found["starting"]:
            break
    assert found["running"] > 3, found
    assert found["starting"] > 0, found
    assert found["refused"] == 0, found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The same three configurations, each of which asks for approval."""
    folder = tmp_path_factory.mktemp("guarded")
    found = weather.setups.__wrapped__(folder)
    for setup in found:
        path = setup.configuration.folder / "weir.yaml"
        path.write_text(path.read_text().replace("approval: none", "approval: required"))
    return tuple(weather.read_setup(setup.configuration.folder) for setup in found)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS // 2))
def test_nothing_goes_live_without_a_second_person(guarded, seed):
    """Whatever is proposed and killed, by whom and when: each configuration record names two people."""
    world = Proposing(seed, guarded, n_messages=60)
    about = {"config": guarded[1].sha256, "folder": str(guarded[1].configuration.folder)}
    world.drop({"command": "activate", "by": "m.keller", **about})
    world.drop({"command": "approve", "by": "M. Keller", **about})
    for _ in range(3):
        world.drop_command()
    world.run()
    for _, position, line, _ in records(world):
        told = json.loads(line) if position is None else {}
        if told and "filled_at" not in told["evidence"]:
            assert told["by"] in PEOPLE
            names = {told["by"], told["approved_by"]}
            assert names in ({"m.keller", "s.aydin"}, {"M. Keller", "s.aydin"}), told
    assert world.streams() == calm_again(world), world.lives
