"""The controller beside an engine in memory: what becomes of proposals when helpers die, folders change, disks differ."""

import gc
import json

import numpy as np
import pytest

from engine.clock import ManualClock
from engine.durable.holding import is_being_written
from engine.progress import Progress
from engine.reload.controller import TRIES
from engine.setup import read_setup
from engine.starting import open_engine
from tests.auditing import START, small_bank
from tests.reloading import Inside
from tests.simulation.disk import SimDisk
from tests.simulation.weather import ROOT, NeverStop, Sender, traffic


class Told:
    """A sender that lets something happen before each of its helpings."""

    is_live = True

    def __init__(self, sender, happenings):
        self.sender, self.happenings = sender, dict(happenings)
        self.n = 0

    def poll(self, rows_max, wait_us):
        self.n += 1
        if self.n in self.happenings:
            self.happenings[self.n]()
        return self.sender.poll(rows_max, wait_us)

    def __getattr__(self, name):
        return getattr(self.sender, name)


class World:
    """One engine on a disk in memory, with the workshop inside."""

    def __init__(self, setup, tmp_path, run_tests=lambda _s, _r: (0, [])):
        self.setup, self.disk, self.clock = (
            setup,
            SimDisk(np.random.default_rng(1)),
            ManualClock(START),
        )
        self.helper, self.run_tests, self.n = None, run_tests, 0

    def help(self, disk):
        self.helper = Inside(disk, ROOT, self.run_tests)
        self.helper.dies_at = self.dies_at
        return self.helper

    dies_at = ()

    def written(self, lines):
        return lines

    def tell(self, **command):
        self.n += 1
        folder = ROOT / "control"
        self.disk.make_folder(folder)
        file = self.disk.create(folder / f"c{self.n}.json")
        file.write(json.dumps(command).encode())
        file.close()

    def run(self, happenings=(), n=200, **more):
        rng = np.random.default_rng(5)
        lines = self.written(traffic(rng, n))
        sender = Told(Sender(lines, rng, self.clock, is_live=True), happenings)
        self.engine = open_engine(
            self.disk,
            ROOT,
            sender,
            self.setup,
            self.clock,
            durability="sync",
            threaded=False,
            control=True,
            rows_max=7,
            helps=self.help,
            **more,
        )
        self.engine.runner.run(Progress(None, "msg", quiet=True), NeverStop(1 << 30))
        self.reloader = self.engine.runner.reloader
        self.engine.summarise({})
        self.engine.close()
        return self.engine.runner.core

    def answer(self, number):
        return json.loads(self.disk.read(ROOT / "control" / f"c{number}.answer"))


@pytest.fixture
def setup(tmp_path):
    return read_setup(small_bank(tmp_path / "bank"))


@pytest.fixture
def other(tmp_path):
    folder = small_bank(tmp_path / "other")
    path = folder / "packs" / "one" / "rules.yaml"
    path.write_text(path.read_text().replace("900 CNY", "400 CNY"))
    return read_setup(folder)


def about(setup, **more):
    folder = str(setup.configuration.folder)
    return {"command": "activate", "config": setup.sha256, "folder": folder, "by": "m.k", **more}


def test_a_proposal_goes_live_between_two_batches(setup, other, tmp_path):
    world = World(setup, tmp_path)
    core = world.run({3: lambda: world.tell(**about(other))})
    assert core.config == other.sha256
    assert world.answer(1)["state"] == "approved"
    assert (world.reloader.n_reloads, world.reloader.n_refused, world.reloader.n_waiting) == (
        1,
        0,
        0,
    )


def test_a_helper_that_dies_is_started_again(setup, other, tmp_path):
    world = World(setup, tmp_path)
    world.dies_at = (1, 3)
    core = world.run({3: lambda: world.tell(**about(other))})
    assert core.config == other.sha256
    assert [request["do"] for request in world.helper.asked][:2] == ["check", "check"]


def test_a_configuration_that_kills_every_helper_is_refused(setup, other, tmp_path):
    world = World(setup, tmp_path)
    world.dies_at = range(1, 100)
    core = world.run({3: lambda: world.tell(**about(other))})
    assert core.config == setup.sha256
    (refused,) = core.proposals.ended
    assert (refused.state, refused.ended_by) == ("rejected", "weir")
    assert f"died {TRIES} times" in refused.why


def test_files_that_changed_after_they_were_proposed_are_refused(setup, other, tmp_path):
    path = other.configuration.folder / "packs" / "one" / "rules.yaml"

    def happens(world):
        world.tell(**about(other))
        path.write_text(path.read_text().replace("400 CNY", "300 CNY"))

    world = World(setup, tmp_path)
    core = world.run({3: lambda: happens(world)})
    assert core.config == setup.sha256
    assert "no longer those that were proposed" in core.proposals.ended[0].why
    names = world.disk.names(ROOT / "config")
    assert names == [setup.configuration.sha256], "what was refused was stored"


def test_files_that_change_while_they_are_stored_are_refused(setup, other, tmp_path, monkeypatch):
    """What is compiled is what stands in the store, and that is what its hash says."""
    from engine.durable import config_store

    keep = config_store.keep
    path = other.configuration.folder / "packs" / "one" / "rules.yaml"

    def and_saved(disk, root, configuration):
        path.write_text(path.read_text().replace("400 CNY", "300 CNY"))
        keep(disk, root, configuration)

    world = World(setup, tmp_path)

    def happens():
        monkeypatch.setattr(config_store, "keep", and_saved)
        world.tell(**about(other))

    core = world.run({3: happens})
    assert core.config == setup.sha256
    assert "saved anew in this moment" in core.proposals.ended[0].why
    assert world.disk.names(ROOT / "config") == [setup.configuration.sha256]


def test_tests_of_changed_rules_run_and_of_others_do_not(setup, other, tmp_path):
    ran = []

    def run_tests(_setup, rules):
        ran.extend(rule.id for rule in rules)
        return 3, ["rules.yaml:9:1: BIG-001, `a test`: expected fires, got quiet"]

    world = World(setup, tmp_path, run_tests)
    core = world.run({3: lambda: world.tell(**about(other))})
    assert core.config == setup.sha256
    assert ran == ["BIG-001"]
    assert "1 of 3 tests" in core.proposals.ended[0].why
    assert "expected fires" in core.proposals.ended[0].why


def test_what_was_put_together_before_its_tests_failed_is_let_go(setup, other, tmp_path):
    """It was sent while its tests ran."""
    world = World(setup, tmp_path, lambda _s, _r: (1, ["it fails"]))
    seen = []

    class Slow(Inside):
        """Answers that the check is over only after a while."""

        n = 0

        def take(self):
            frame = super().take()
            if isinstance(frame, dict) and "ok" in frame:
                self.held = frame
                frame = None
            if frame is None and getattr(self, "held", None):
                self.n += 1
                (work,) = world.engine.runner.reloader._work.values()
                seen.append((work.ahead is not None, gc.isenabled(), work.is_busy))
                if self.n > 3 and work.ahead is not None:
                    frame, self.held = self.held, None
            return frame

    world.help = lambda disk: Slow(disk, ROOT, world.run_tests)
    core = world.run({3: lambda: world.tell(**about(other))}, n=400)
    assert core.config == setup.sha256
    assert "it fails" in core.proposals.ended[0].why
    assert seen[-1] == (True, False, False), "it was ready, and waited without haste"
    assert gc.isenabled()
    assert (world.reloader.n_refused, world.reloader.is_busy) == (1, False)


def test_what_has_to_be_approved_is_sent_once_it_is(tmp_path):
    setups = []
    for name, amount in (("one", "900 CNY"), ("two", "400 CNY")):
        path = small_bank(tmp_path / name, approval="required") / "packs" / "one" / "rules.yaml"
        path.write_text(path.read_text().replace("900 CNY", amount))
        setups.append(read_setup(tmp_path / name))
    world = World(setups[0], tmp_path)
    approval = {"command": "approve", "config": setups[1].sha256, "by": "h.wu"}
    core = world.run(
        {3: lambda: world.tell(**about(setups[1])), 12: lambda: world.tell(**approval)}, n=400
    )
    assert core.config == setups[1].sha256, world.answer(2)
    asked = [(request["do"], request.get("send")) for request in world.helper.asked]
    assert asked == [("check", False), ("send", None)]


TESTS = """\
    tests:
      - name: a big one
        start: 2026-03-02T10:00:00Z
        defaults: {type: payment, account: A1, channel: pos, currency: CNY}
        events: [{at: +0m, amount: 950 CNY, expect: fires}]
    exceptions:
"""


@pytest.mark.parametrize(
    ("expects", "tried"),
    [("expect: quiet", ["BIG-001"]), ("expect: fires", [])],
    ids=["other tests", "other words"],
)
def test_tests_that_changed_run_though_the_rule_did_not(tmp_path, expects, tried):
    ran = []

    def run_tests(_setup, rules):
        ran.extend(rule.id for rule in rules)
        return len(rules), []

    setups = []
    for name, head, expected in (("one", "", "expect: fires"), ("two", "# lower\n", expects)):
        path = small_bank(tmp_path / name) / "packs" / "one" / "rules.yaml"
        tests = TESTS.replace("expect: fires", expected)
        path.write_text(head + path.read_text().replace("    exceptions:\n", tests, 1))
        setups.append(read_setup(tmp_path / name))
    world = World(setups[0], tmp_path, run_tests)
    core = world.run({3: lambda: world.tell(**about(setups[1]))})
    assert core.config == setups[1].sha256
    assert ran == tried


@pytest.mark.parametrize("name", ["durability", "encryption"])
def test_what_a_folder_was_begun_with_stays(setup, tmp_path, name):
    value = {"durability": "flush", "encryption": "{key_env: WEIR_KEY}"}[name]
    changed = read_setup(small_bank(tmp_path / "changed", **{name: value}))
    world = World(setup, tmp_path)
    core = world.run({3: lambda: world.tell(**about(changed))})
    assert core.config == setup.sha256
    assert f"`{name}` cannot be changed while the engine runs" in core.proposals.ended[0].why


def test_messages_that_are_read_otherwise_stop_the_engine_in_order(setup, tmp_path):
    """The source was opened with the feed of before; the next start opens it with that of today."""
    folder = small_bank(tmp_path / "shaped", feed="shaped")
    (folder / "feeds" / "shaped.yaml").write_text("feed: shaped\nconstants: {channel: pos}\n")
    shaped = read_setup(folder)
    world = World(setup, tmp_path)
    core = world.run({3: lambda: world.tell(**about(shaped))})
    assert (core.config, world.reloader.needs_restart) == (shaped.sha256, True)
    taken = core.seq
    status = json.loads(world.disk.read(ROOT / "control" / "active.status"))
    assert any("start it again" in note for note in status["notes"])
    world.setup = shaped
    core = world.run()
    assert world.reloader.needs_restart is False
    assert core.config == shaped.sha256
    assert core.seq > taken + 50, "it goes on behind what was taken"


def test_what_a_watched_save_may_not_do_is_told(setup, tmp_path):
    """The user of the operating system is no analyst: the save is not proposed, and that is said."""
    path = setup.configuration.folder / "people.yaml"
    path.write_text("people:\n  a.li: {name: Li An, roles: [analyst]}\n")
    world = World(read_setup(setup.configuration.folder), tmp_path)
    found = {"found": "sha256:" + "ab" * 32, "folder": "/etc/weir"}

    class Watching(Inside):
        def take(self):
            told, self.told = getattr(self, "told", found), None
            return told or super().take()

    world.help = lambda disk: Watching(disk, ROOT)
    core = world.run(watched="/etc/weir")
    assert core.proposals.live == []
    status = json.loads(world.disk.read(ROOT / "control" / "active.status"))
    assert (status["unsigned"]["who"], status["unsigned"]["config"]) == ("a.li", found["found"])
    assert any("waits for somebody to propose it" in note for note in status["notes"])


def test_what_was_open_when_the_engine_stopped_is_taken_up_again(setup, other, tmp_path):
    """A proposal without a helper stays open; the next start has one."""
    world = World(setup, tmp_path)
    helps, world.help = world.help, None
    core = world.run({3: lambda: world.tell(**about(other))}, n=60)
    assert [p.config for p in core.proposals.live] == [other.sha256]
    world.help = helps
    core = world.run(n=200)
    assert core.config == other.sha256


def test_commands_of_the_engine_itself_are_records(setup, other, tmp_path):
    world = World(setup, tmp_path, lambda _s, _r: (1, ["it fails"]))
    core = world.run({3: lambda: world.tell(**about(other))})
    again = open_engine(
        world.disk,
        ROOT,
        Sender([], np.random.default_rng(1), world.clock, is_live=True),
        setup,
        world.clock,
        durability="sync",
        threaded=False,
    )
    told = again.runner.core.proposals.ended
    assert told == core.proposals.ended
    assert told[0].ended_by == "weir"
    assert not is_being_written(ROOT)


def test_large_state_is_handed_over_and_not_copied(setup, other, tmp_path):
    world = World(setup, tmp_path)
    seen = []

    def look():
        core = world.engine.runner.core
        seen.append(core.remembered.arrays["number"])
        seen.append({name: log.state.log for name, log in core.windows[0].logs.items()})
        world.tell(**about(other))

    core = world.run({3: look})
    assert core.config == other.sha256
    assert any(log.state.log is seen[1][name] for name, log in core.windows[0].logs.items())
