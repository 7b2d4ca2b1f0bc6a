"""Partitions that change hands, on a broker in memory: what becomes visible is what one embedded engine would say."""

import json

import numpy as np
import pytest

from engine.clock import SystemClock
from engine.cluster.lane import Lane
from engine.cluster.partition import STREAMS, take_over
from engine.cluster.ports import FencedError
from engine.cluster.shared_lists import Shared
from engine.durable import snapshots
from engine.durable.disk import RealDisk
from engine.setup import read_setup
from replay.audit import verify
from tests.auditing import small_bank, small_traffic
from tests.clustering import MemoryBroker, embedded

N = 600
KEY = bytes(range(32)).hex()


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return small_bank(tmp_path_factory.mktemp("cluster") / "bank", durability="flush")


@pytest.fixture
def broker(tmp_path):
    broker = MemoryBroker()
    for line in small_traffic(tmp_path / "traffic.ndjson", N).read_bytes().splitlines():
        broker.write(line)
    return broker


class Owner:
    def __init__(self, broker, bank, root):
        self.broker = broker
        self.lane = Lane("in", 0, lambda: None)
        setup = read_setup(bank)
        publisher = broker.publisher()
        self.partition = take_over(
            root, 0, self.lane, publisher, setup, SystemClock(), helper=False
        )

    def work(self, until, rng=None):
        """Take what is there, up to the offset `until`, in odd portions."""
        records = self.broker.records()
        while self.lane.next_offset < min(until, len(records)):
            at = self.lane.next_offset
            n = 50 if rng is None else int(rng.integers(1, 90))
            self.lane.put(
                records[max(0, at - 3) : min(at + n, until)]
            )  # some again, as after a rebalance
            while self.partition.step():
                pass

    def wake(self, until, rng):
        """Go on as if nothing had happened."""
        self.work(until, rng)
        self.partition.settle()

    def forget(self):
        """Let go in the middle of things, as far as the disk is concerned."""
        self.partition.close()


@pytest.mark.parametrize("seed", range(6))
def test_owners_are_invisible(broker, bank, tmp_path, seed):
    """Handed on, killed or only asleep, at random offsets: every outcome once, and in order."""
    rng = np.random.default_rng(seed)
    asleep = []
    until = 0
    while until < len(broker.records()):
        owner = Owner(broker, bank, tmp_path / "out")
        until += int(rng.integers(1, 250))
        owner.work(until, rng)
        match rng.integers(3):
            case 0:
                owner.partition.hand_on()
            case 1:
                owner.forget()
            case 2:
                asleep.append(owner)
        if asleep and asleep[0] is not owner and rng.random() < 0.5:
            with pytest.raises(FencedError):
                asleep[0].wake(len(broker.records()), rng)
    owner = Owner(broker, bank, tmp_path / "out")
    owner.work(len(broker.records()))
    owner.partition.hand_on()
    for one in asleep:
        one.partition.close()
    expected = embedded(bank, broker.records(), tmp_path / "embedded")
    assert expected["alerts"], "the traffic sets something off"
    for stream in STREAMS:
        assert broker.lines(stream) == expected[stream], stream


def test_every_owner_can_be_verified(broker, bank, tmp_path):
    """The folder of each owner proves what that owner did, beginning at the snapshot it took over."""
    for until in (200, 420, N + 50):
        owner = Owner(broker, bank, tmp_path / "out")
        owner.work(until)
        owner.partition.hand_on()
    for number in (1, 2, 3):
        report = verify.report(tmp_path / "out" / "p0000" / f"{number:06d}")
        assert report.is_fine, report.as_text()
    second = tmp_path / "out" / "p0000" / "000002"
    chain = second / "seals.ndjson"
    lines = chain.read_bytes().splitlines(keepends=True)
    assert b'"begun":200' in lines[0]
    chain.write_bytes(lines[0].replace(b'"begun":200', b'"begun":201') + b"".join(lines[1:]))
    assert not verify.report(second).is_fine


def test_an_owner_that_let_go_leaves_what_a_killed_one_leaves(broker, bank, tmp_path):
    """A journal that says it was stopped in order, and a chain that does not, would look like a forgery."""
    for until in (0, 130):
        owner = Owner(broker, bank, tmp_path / "out")
        owner.work(until)
        owner.forget()
    home = tmp_path / "out" / "p0000"
    for number in (1, 2):
        report = verify.report(home / f"{number:06d}")
        assert "stopped in order" not in report.as_text()
    decisions = home / "000002" / "decisions.ndjson"
    decisions.write_bytes(decisions.read_bytes()[:-5])  # as a kill in the middle of a line
    Owner(broker, bank, tmp_path / "out").forget()
    [told] = [r for r in verify.report(home / "000002").remarks if "owner of a partition" in r]
    assert told.endswith("000003.")
    assert "weir run" not in verify.report(home / "000002").as_text(), "nobody goes on with it"


def test_a_snapshot_ahead_of_what_is_visible_is_passed_over(broker, bank, tmp_path):
    """What its owner decided since, and never published, must become visible all the same."""
    first = Owner(broker, bank, tmp_path / "out")
    first.work(200)
    broker.upto[0] = 150  # the last transactions were lost with their owner
    told = {s: len(lines) for s, lines in broker.visible[0].items()}
    first.partition.engine.runner.end()
    first.partition.close()
    folder = tmp_path / "out" / "p0000" / "000001"
    assert max(snapshots.numbers(RealDisk(), folder)) == 200
    second = Owner(broker, bank, tmp_path / "out")
    assert second.lane.next_offset <= 150
    second.work(200)
    second.partition.hand_on()
    assert len(broker.lines("decisions")) > told["decisions"]


def test_silence_lets_time_go_on(bank, tmp_path):
    """A tick comes through the topic, or the next owner could not derive what it made expire."""
    broker = MemoryBroker()
    owner = Owner(broker, bank, tmp_path / "out")
    owner.partition._seen_ns -= 2_000_000_000
    owner.partition.tick_if_silent()
    owner.partition.tick_if_silent()
    [record] = broker.records()
    assert record.line.startswith(b'{"kind":"tick"')
    owner.work(1)
    owner.partition.hand_on()
    core = owner.partition.engine.runner.core
    assert core.core_us == json.loads(record.line)["event_time"] * 1_000
    assert broker.lines("dead_letters") == []


def test_a_tick_from_outside_is_none(bank, tmp_path):
    """Whoever writes one into the topic, or sends a file whose name sounds like one, does not turn the clock."""
    broker = MemoryBroker()
    broker.write(b'{"kind":"tick","event_time":1893456000000}')
    owner = Owner(broker, bank, tmp_path / "out")
    owner.work(1)
    owner.partition.hand_on()
    [letter] = broker.lines("dead_letters")
    assert json.loads(letter)["reason"] == "unknown_kind"


@pytest.mark.parametrize("first", ["encrypted", "plain"])
def test_an_encrypted_owner_begins_where_another_stood(broker, tmp_path, monkeypatch, first, capfd):
    """With the key of the settings; one who has none, or another, derives everything anew and says why."""
    monkeypatch.setenv("WEIR_TEST_KEY", KEY)
    folders = {
        "encrypted": small_bank(tmp_path / "e", encryption="{key_env: WEIR_TEST_KEY}"),
        "plain": small_bank(tmp_path / "p", durability="flush"),
    }
    owners = [folders[first], folders["encrypted"], folders["encrypted"]]
    for bank, until in zip(owners, (250, 400, N + 50), strict=True):
        owner = Owner(broker, bank, tmp_path / "out")
        begun = owner.lane.next_offset
        owner.work(until)
        owner.partition.hand_on()
    assert begun == 400, "where the one before stopped, not derived anew"
    said = capfd.readouterr().err
    assert "passed over" not in said
    home = tmp_path / "out" / "p0000"
    report = verify.report(home / "000003", key=bytes.fromhex(KEY))
    assert report.is_fine, report.as_text()
    for path in (home / "000003").rglob("*"):
        if path.is_file() and "control" not in path.parts:
            assert b'"account": "A' not in path.read_bytes(), path
    assert len(broker.lines("decisions")) == len(
        embedded(folders["plain"], broker.records(), tmp_path / "embedded")["decisions"]
    )
    monkeypatch.setenv("WEIR_TEST_KEY", "11" * 32)
    for bank, why in ((folders["plain"], "no key is given"), (owners[1], "the key is not the one")):
        owner = Owner(broker, bank, tmp_path / "out")
        if first == "encrypted":
            assert owner.lane.next_offset == 0
        assert why in capfd.readouterr().err
        owner.partition.close()


WATCHED = """\
lists:
  watched: {type: id, of: account, values: [A99]}
rules:
  - id: WATCHED-001
    name: Watched
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: account in @watched
    score: 300
    actions:
      - alert: {queue: l1, title: "Watched"}
"""


def test_a_shared_list_changes_at_one_position_of_the_input(broker, tmp_path):
    """Rows come and go as records; an owner that begins behind them decides as the one before."""
    bank = small_bank(tmp_path / "bank", durability="flush")
    (bank / "packs" / "one" / "watched.yaml").write_text(WATCHED)
    traffic = broker.records()[:600]
    del broker.inputs[0][:]
    versions = iter(
        [
            {"watched": Shared("1", frozenset({"A01", "A02"}))},
            {"watched": Shared("2", frozenset({"A02", "A03"}))},
            {"watched": Shared("3", frozenset())},
        ]
    )
    for first in range(0, len(traffic), 200):
        for record in traffic[first : first + 200]:
            broker.write(record.line)
        owner = Owner(broker, bank, tmp_path / "out")
        owner.work(len(broker.records()))
        shared = next(versions)
        owner.partition.share(shared)
        owner.partition.share(shared)  # nothing new
        (owner.partition.hand_on if first else owner.forget)()
    owner = Owner(broker, bank, tmp_path / "out")
    owner.work(len(broker.records()))
    core = owner.partition.engine.runner.core
    assert not core.lists.standing("watched", "redis", core.core_us)
    owner.partition.hand_on()
    said = [json.loads(r.line) for r in broker.records() if b'"by": "redis"' in r.line]
    told = [(o["command"], o["value"]) for o in said]
    assert told == [
        *(("list_add", "A01"), ("list_add", "A02")),
        *(("list_remove", "A01"), ("list_add", "A03")),
        *(("list_remove", "A02"), ("list_remove", "A03")),
    ]
    expected = embedded(bank, broker.records(), tmp_path / "embedded")
    for stream in STREAMS:
        assert broker.lines(stream) == expected[stream], stream
    fired = {json.loads(d)["account"] for d in broker.lines("decisions") if b"WATCHED-001" in d}
    assert fired == {"A01", "A02", "A03"}


def test_another_configuration_counts_from_the_next_owner_on(broker, tmp_path):
    """Every transaction is decided once, and says under which configuration."""
    bank = small_bank(tmp_path / "bank", durability="flush")
    seen = []
    for until, score in ((300, 600), (N + 50, 650)):
        rules = bank / "packs" / "one" / "rules.yaml"
        rules.write_text(rules.read_text().replace("score: 600", f"score: {score}"))
        owner = Owner(broker, bank, tmp_path / "out")
        owner.work(until)
        seen.append(owner.partition.engine.runner.core.config)
        owner.partition.hand_on()
    decisions = [json.loads(line) for line in broker.lines("decisions")]
    configs = [d["config"] for d in decisions]
    assert list(dict.fromkeys(configs)) == seen
    assert len({(d["account"], d["transaction_id"]) for d in decisions}) == len(decisions)
    expected = embedded(bank, broker.records(), tmp_path / "embedded")
    assert len(expected["decisions"]) == len(decisions)
