"""Features that come in while the engine runs get their past: from the process beside, else at the next start."""

import json
import shutil

import pytest

from engine.durable.journal import read_journal
from engine.setup import read_setup
from replay.audit import verify
from tests.auditing import small_bank
from tests.reloading import InsideFilling
from tests.simulation.weather import ROOT
from tests.unit.test_reload_controller import World, about

FEATURES = "features: {fast_1h: count() by account over 1h"
SPENT = f"{FEATURES}, spent_9d: sum(amount) by account over 9d"
ADDRESSES = f"{FEATURES}, seen_9d: count() by ip over 9d"


class Filling(World):
    """A world with what derives the past."""

    filler = None

    def run(self, happenings=(), n=200, **more):
        return super().run(happenings, n, fills=self.fill, **more)

    def fill(self, disk):
        self.filler = self.make_filler(disk)
        return self.filler

    def make_filler(self, disk):
        return InsideFilling(disk, ROOT)

    def records(self):
        journal = read_journal(self.disk, ROOT / "journal")
        return [json.loads(r.config) for r in journal.read(0) if r.config is not None]

    def status(self):
        return json.loads(self.disk.read(ROOT / "control" / "active.status"))

    def is_whole(self):
        report = verify.report(ROOT, disk=self.disk)
        assert report.is_fine, report.as_text()


@pytest.fixture
def setup(tmp_path):
    return read_setup(small_bank(tmp_path / "bank"))


@pytest.fixture
def with_features(tmp_path):
    """Another configuration with more features, and a rule that reads the new one."""

    def make(text):
        folder = tmp_path / f"with{len(text)}"
        shutil.copytree(tmp_path / "bank", folder)
        path = folder / "packs" / "one" / "rules.yaml"
        name = text.rpartition(", ")[2].partition(":")[0]
        old = path.read_text()
        assert old.count(FEATURES) == old.count("when: fast_1h >= 4") == 1
        new = old.replace(FEATURES, text).replace("fast_1h >= 4", f"fast_1h >= 4 or {name} >= 9")
        path.write_text(new)
        return read_setup(folder)

    return make


def test_a_feature_that_comes_in_is_filled_while_the_engine_runs(setup, with_features, tmp_path):
    world = Filling(setup, tmp_path)
    other = with_features(SPENT)
    core = world.run({9: lambda: world.tell(**about(other))})
    assert core.config == other.sha256
    swap, filled = (record["evidence"] for record in world.records())
    assert (swap["filled_from"], swap["warming"], swap["fills"]) == (None, ["spent_9d"], "later")
    assert (filled["filled_from"], filled["filled"], filled["warming"]) == (0, ["spent_9d"], [])
    assert (core.warming.since_us, bool(core.warming.unfilled)) == ({}, False)
    assert world.status()["filling"] == ""
    world.is_whole()


def test_codes_that_others_got_meanwhile_leave_it_to_the_next_start(setup, with_features, tmp_path):
    """Addresses were read by nobody: those of the past and those of today begin their codes at once."""
    world = Addresses(setup, tmp_path)
    other = with_features(ADDRESSES)
    core = world.run({9: lambda: world.tell(**about(other))})
    assert core.warming.unfilled.features == ("seen_9d",)
    assert "start `weir run` again" in world.status()["filling"]
    assert "given their codes to others" in world.status()["filling"]
    told = world.status()["warming_until"], world.status()["rules_warming"]
    assert list(told[0]) == ["seen_9d"]
    assert list(told[1].values()) == list(told[0].values()), "the rule waits for what it reads"
    assert len(world.records()) == 1
    world.is_whole()
    world.setup = other
    core = world.run(n=260)
    evidence = world.records()[1]["evidence"]
    assert (evidence["filled_from"], evidence["filled"]) == (0, ["seen_9d"])
    assert core.warming.since_us == {}
    assert any("have their past" in note for note in world.engine.notes)
    world.is_whole()


class Addresses(Filling):
    """Payments come from addresses, the first ones from others than today's."""

    def written(self, lines):
        found = [line.replace(b'"device": "D', b'"ip": "10.0.0.') for line in lines]
        old = [line.replace(b'"10.0.0.', b'"10.9.9.') for line in found[:20]]
        assert old != found[:20]
        return old + found[20:]


class Dying(InsideFilling):
    """Dies when it is asked to follow."""

    is_running = property(lambda self: not any(r["do"] == "follow" for r in self.requests))

    def take(self):
        return None


def test_a_process_that_dies_leaves_it_to_the_next_start(setup, with_features, tmp_path):
    world = Filling(setup, tmp_path)
    world.make_filler = lambda disk: Dying(disk, ROOT)
    core = world.run({9: lambda: world.tell(**about(with_features(SPENT)))})
    assert core.warming.unfilled.features == ("spent_9d",)
    assert "has died" in world.status()["filling"]
    world.is_whole()


def test_another_configuration_meanwhile_takes_what_waits_along(setup, with_features, tmp_path):
    """The second comes before the first is filled: then both are, at once."""
    world = Filling(setup, tmp_path)
    world.make_filler = lambda disk: Slow(disk, ROOT)
    more = with_features(SPENT + ", paid_8d: count() by account over 8d")
    happenings = {
        9: lambda: world.tell(**about(with_features(SPENT))),
        25: lambda: world.tell(**about(more)),
    }
    world.run(happenings)
    last = world.records()[-1]["evidence"]
    assert last["filled"] == ["paid_8d", "spent_9d"]
    assert [r["evidence"].get("fills") for r in world.records()] == ["later", "later", None]
    world.is_whole()


class Slow(InsideFilling):
    """Has no answer about the first configuration."""

    n_begun = 0

    def ask(self, request):
        self.n_begun += request["do"] == "begin"
        super().ask(request)

    def take(self):
        return super().take() if self.n_begun > 1 else None
