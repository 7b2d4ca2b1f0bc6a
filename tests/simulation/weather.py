"""A small world that breaks on purpose, everything in it drawn from one integer.

Traffic, batch cuts, crashes in the middle of any change of the disk, torn writes, power failures that forget what was
not synced, full disks, repeated and late deliveries, other configurations, jumping clocks, commands of people, models
that are fitted beside, late or not at all. The engine under it is the real one, on the disk of tests/simulation/disk.py and without threads.
"""

import copy
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from config.errors import StateError
from config.settings import EncryptionSettings
from engine import runner
from engine.clock import ManualClock
from engine.durable import keeping, rederive, sealing
from engine.durable.encrypted_disk import unlocked
from engine.durable.output import STREAMS, stream_path
from engine.outcomes import rfc3339
from engine.ports import Messages
from engine.progress import Progress
from engine.setup import read_setup
from engine.starting import open_engine
from tests.auditing import MODELS, START, small_bank
from tests.fitting import Chance
from tests.simulation.disk import Crash, SimDisk

ROOT = Path("out")
GRID = 32  # between two seals; 4,096 outside
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
KEY = bytes(range(32))


FITTED = (
    "  beside: {{kind: boosted, inputs: [fast_1h, amount], params: {{trees: 4, leaves: {leaves}}},\n"
    "           refit: {{every: 12h, train: 20d, delay: 1h, frauds_min: 1}}}}\nmaturity: 1h\n"
)


def shorten_the_grid(monkeypatch):
    """Seals and snapshots every few records, so that a short stream has many of them."""
    for module in (sealing, runner, rederive, keeping):
        monkeypatch.setattr(module, "GRID", GRID)
    defaults = rederive.Rederivation.outcomes.__defaults__
    monkeypatch.setattr(rederive.Rederivation.outcomes, "__defaults__", (defaults[0], GRID))


@functools.cache
def setups(folder):
    """Three configurations of one bank: as it is, with another threshold and a new feature, with a rule less."""
    first = small_bank(folder / "first", snapshots_kept="3")
    second = small_bank(folder / "second", snapshots_kept="3")
    third = small_bank(folder / "third", snapshots_kept="3")
    rules = second / "packs" / "one" / "rules.yaml"
    text = rules.read_text()
    changed = text.replace("big: 900 CNY", "big: 700 CNY").replace(
        "features: {fast_1h: count() by account over 1h}",
        "features: {fast_1h: count() by account over 1h, many_6h: sum(amount) by account over 6h}",
    )
    changed = changed.replace("when: fast_1h >= 4", "when: fast_1h >= 4 or many_6h >= 2_000 CNY")
    assert changed.count("many_6h") == 2
    assert "700 CNY" in changed
    rules.write_text(changed)
    rules = third / "packs" / "one" / "rules.yaml"
    rules.write_text(text[: text.index("  - id: TOLD-003")])
    for path, leaves in ((first, 3), (second, 4), (third, 3)):
        (path / "models.yaml").write_text(MODELS + FITTED.format(leaves=leaves))
    found = []
    for path in (first, second, third):
        setup = read_setup(path)
        for name, value in (("snapshot_records", GRID), ("segment_bytes", 8_192)):
            msgspec.structs.force_setattr(setup.configuration.settings, name, value)
        found.append(setup)
    return tuple(found)


def encrypted(setups):
    """The same configurations with a key, which no file of theirs tells: so their hashes are the same."""
    key_file = setups[0].configuration.folder.parent / "key"
    key_file.write_text(KEY.hex())
    named = EncryptionSettings(key_file=str(key_file))
    found = []
    for setup in setups:
        settings = copy.copy(setup.configuration.settings)
        msgspec.structs.force_setattr(settings, "encryption", named)
        found.append(replace(setup, configuration=replace(setup.configuration, settings=settings)))
    return tuple(found)


def traffic(rng, n):
    """`n` messages and more: payments of few accounts, repeats, late, broken and reordered ones, updates, labels."""
    lines, at_us = [], START
    known = []
    while len(lines) < n:
        at_us += int(rng.exponential(rng.choice([MINUTE_US, 20 * MINUTE_US, 3 * HOUR_US])))
        account, what = f"A{int(rng.integers(6))}", rng.random()
        record = {"account": account, "event_time": rfc3339(at_us // 1000 * 1000)}
        if what < 0.72 or not known:
            record |= {
                "transaction_id": f"t-{len(lines)}",
                "type": "payment",
                "direction": "out",
                "amount": f"{int(rng.integers(1, 120_000)) / 100:.2f}",
                "currency": "CNY",
                "device": f"D{int(rng.integers(4))}",
                "note": rng.bytes(int(rng.integers(0, 200))).hex(),
            }
            if rng.random() < 0.1:
                record["channel"] = str(rng.choice(["web", "mobile"]))
            if rng.random() < 0.08:
                late_us = at_us - int(rng.integers(1, 8 * 60)) * MINUTE_US
                record["event_time"] = rfc3339(late_us // 1000 * 1000)
            if rng.random() < 0.04:
                record["amount"] = "a lot"
            else:
                known.append((record["transaction_id"], account))
        elif what < 0.8:
            id_, account = known[int(rng.integers(len(known)))]
            record |= {"kind": "label", "label": str(rng.choice(["fraud", "genuine"]))}
            record |= {"transaction_id": id_, "account": account}
        elif what < 0.88:
            id_, account = known[int(rng.integers(len(known)))]
            status = str(rng.choice(["booked", "reversed"]))
            record |= {"kind": "update", "update_id": f"u-{len(lines)}", "status": status}
            record |= {"transaction_id": id_, "account": account, "amount": "12.00"}
        elif what < 0.95:
            record |= {"kind": "activity", "type": "login", "customer": "K1"}
        else:
            record |= {"kind": "profile", "customer": f"K{int(rng.integers(3))}"}
        lines.append(json.dumps(record).encode())
        if rng.random() < 0.05:
            lines.append(lines[int(rng.integers(len(lines)))])
        if rng.random() < 0.02:
            lines.append(rng.bytes(20).replace(b"\n", b""))
    return lines


class Sender:
    """A source that gives what is there in uneven helpings, and goes on after any position."""

    def __init__(self, lines, rng, clock, *, is_live):
        self.lines, self.rng, self.clock, self.is_live = lines, rng, clock, is_live
        self.at = 0
        self.committed = 0

    def poll(self, rows_max, wait_us):
        self.clock.advance_us(int(self.rng.integers(0, 800_000)))
        if self.rng.random() < 0.03:
            jump_us = int(self.rng.integers(-HOUR_US, HOUR_US))
            self.clock.jump_to_us(self.clock.now_us() + jump_us)
        if self.at >= len(self.lines):
            return None
        if self.is_live and self.rng.random() < 0.2:
            return Messages([], [], np.zeros(0, np.int64))
        n = int(min(rows_max, self.rng.integers(1, 40)))
        first, self.at = self.at, min(len(self.lines), self.at + n)
        positions = [f"in:{k + 1}" for k in range(first, self.at)]
        arrival_us = np.full(len(positions), self.clock.now_us(), np.int64)
        return Messages(
            self.lines[first : self.at], positions, arrival_us if self.is_live else None
        )

    def resume_after(self, position):
        self.at = int(position.rpartition(":")[2])

    def commit(self, position):
        number = int(position.rpartition(":")[2])
        assert number > self.committed or self.is_live, "committed twice"
        self.committed = number

    def close(self):
        pass


class NeverStop:
    """Nobody asks to stop; or, at a random round, somebody does."""

    def __init__(self, rounds):
        self.rounds = rounds

    @property
    def is_set(self):
        self.rounds -= 1
        return self.rounds < 0


@dataclass
class World:
    """One seed: what goes in, what breaks, and what is on the disk afterwards."""

    seed: int
    setups: tuple
    n_messages: int = 120
    is_calm: bool = False  # nothing breaks, and a recording is read at full speed
    lives: list[str] = field(default_factory=list)  # how each life of the engine ended
    helps: Callable | None = None  # what checks configurations that are proposed while it runs
    fills: Callable | None = None  # what derives the past of features that come in so

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)
        self.disk = SimDisk(self.rng)
        self.clock = ManualClock(START)
        self.lines = traffic(self.rng, self.n_messages)
        self.is_live = bool(self.rng.random() < 0.5)
        self.durability = "sync" if self.rng.random() < 0.7 else "flush"
        self.reloads = bool(self.rng.random() < 0.4)
        self.has_commands = self.is_live and bool(self.rng.random() < 0.6)
        self.dropped = {}
        self.is_encrypted = bool(np.random.default_rng([self.seed, 1]).random() < 0.4)
        self.key = KEY if self.is_encrypted else None
        if self.is_encrypted:
            self.setups = encrypted(self.setups)
        if self.is_calm:
            self.is_live = self.reloads = self.has_commands = False
        self.setup = self.setups[0]
        self.fitters = Chance(np.random.default_rng([self.seed, 2]))

    def drop_command(self):
        """A person moves a command into control/, on a disk that keeps it."""
        name = f"c{len(self.dropped)}"
        command = {
            "command": "restrict",
            "entity": {"account": f"A{int(self.rng.integers(6))}"},
            "level": "watch",
            "for": "2h",
            "by": "m.keller",
            "reason": f"a call about {name}",
        }
        self.dropped[name] = json.dumps(command).encode()
        folder = ROOT / "control"
        self.disk.make_folder(folder)
        file = self.disk.create(folder / f".{name}")
        file.write(self.dropped[name])
        file.sync()
        self.disk.rename(folder / f".{name}", folder / f"{name}.json")
        self.disk.sync_folder(folder)

    def live(self):
        """Let the engine live until it ends, is stopped, is killed, or cannot write; say how it ended."""
        disk, rng = self.disk, self.rng
        if self.has_commands and rng.random() < 0.7:
            self.drop_command()
        if self.reloads and rng.random() < 0.4:
            self.setup = self.setups[int(rng.integers(len(self.setups)))]
        fate = rng.random()
        if len(self.lives) >= 8 or self.is_calm:
            fate = 1.0
        within = int(rng.choice([12, 60, 200]))
        if fate < 0.65:
            disk.crash_at = disk.steps + 1 + int(rng.integers(within))
        elif fate < 0.8:
            disk.full_at = disk.steps + int(rng.integers(within))
        rounds = int(rng.integers(1, 12)) if 0.8 <= fate < 0.9 else 1 << 30
        sender = Sender(self.lines, rng, self.clock, is_live=self.is_live)
        try:
            engine = open_engine(
                disk,
                ROOT,
                sender,
                self.setup,
                self.clock,
                durability=self.durability,
                threaded=False,
                control=self.is_live,
                rows_max=int(rng.choice([1, 7, 64])),
                helps=self.helps,
                fills=self.fills,
                fitters=self.fitters,
            )
            try:
                engine.runner.run(Progress(None, "msg", quiet=True), NeverStop(rounds))
                engine.summarise({"lives": len(self.lives)})
            finally:
                if disk.crash_at < 0 or disk.steps < disk.crash_at:
                    engine.close()
        except Crash:
            power = self.durability == "sync" and bool(rng.random() < 0.5)
            ended = "power" if power else "killed"
            disk.restart(power_loss=power)
        except StateError as error:
            if disk.full_at < 0:
                raise AssertionError(f"refused without reason: {self.lives}") from error
            ended = "full"
            disk.restart(power_loss=False)
        else:
            ended = "stopped" if sender.at < len(self.lines) else "done"
            disk.restart(power_loss=self.durability == "sync" and bool(rng.random() < 0.3))
        self.lives.append(ended)
        return ended

    def run(self):
        """Live until the input is through and nothing was in the way."""
        while self.live() != "done":
            assert len(self.lives) < 40, self.lives

    def streams(self):
        """What stands on the disk, by stream."""
        disk = unlocked(self.disk, ROOT, self.key)
        return {s: disk.read(stream_path(ROOT, s)) for s in STREAMS}
