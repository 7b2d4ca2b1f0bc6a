"""A configuration for one of several partitions: limits are divided, and what is partial is refused or said."""

import json
import re

import pytest

from config.errors import ConfigError
from config.settings import load
from engine.app import Job, execute
from engine.brokers.files import FileSource
from engine.durable import config_store
from engine.durable.disk import RealDisk
from engine.setup import read_setup
from engine.worker import demand_accepted
from tests.auditing import small_bank, small_traffic

BY_CHANNEL = """\
rules:
  - id: CHANNEL-001
    name: Many on a channel
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: live
    features: {on_channel_1h: count() by channel over 1h}
    when: on_channel_1h >= 40
    score: 300
    actions:
      - alert: {queue: l1, title: "Busy {on_channel_1h}"}
"""


def bank(folder, *, cluster="", more=BY_CHANNEL, **settings):
    found = small_bank(folder, **settings)
    (found / "packs" / "one" / "more.yaml").write_text(more or "rules: []\n")
    if cluster:
        path = found / "weir.yaml"
        path.write_text(f"{path.read_text()}\ncluster: {{brokers: 'b:9092', {cluster}}}\n")
    return found


def limits(setup):
    return [a.max_per_hour for rule in setup.pack.rules for a in rule.actions if a.max_per_hour]


def test_limits_are_divided_by_the_partitions(tmp_path):
    folder = bank(tmp_path / "b", more="")
    path = folder / "weir.yaml"
    path.write_text(
        re.sub(r"max_holds_per_hour: 0", "max_holds_per_hour: 9", path.read_text(), count=1)
    )
    alone, shared = read_setup(folder), read_setup(folder, partitions=4)
    assert (limits(alone), limits(shared)) == ([20], [5])
    for setup, expected in ((alone, (9, 0, 50)), (shared, (2, 0, 12))):
        said = setup.configuration.settings.decisions
        found = (said.max_holds_per_hour, said.max_challenges_per_hour, said.breaker_minimum)
        assert found == expected
    assert alone.sha256 != shared.sha256
    assert alone.sha256 == read_setup(folder, partitions=1).sha256


def test_a_stored_configuration_is_for_as_many_partitions_as_before(tmp_path):
    setup = read_setup(bank(tmp_path / "b"), partitions=4)
    assert setup.partial == ("channel",)
    out = tmp_path / "out"
    out.mkdir()
    config_store.keep(RealDisk(), out, setup.configuration)
    again = config_store.stored(RealDisk(), out, setup.sha256)
    assert again.sha256 == setup.sha256
    assert again.partial == setup.partial
    assert limits(again) == limits(setup) == [5]


def test_what_is_partial_is_refused_unless_it_is_accepted(tmp_path):
    folder = bank(tmp_path / "b", cluster="prefix: w")
    setup = read_setup(folder, partitions=3)
    with pytest.raises(ConfigError, match="features by channel") as error:
        demand_accepted(setup, setup.configuration.settings.cluster)
    assert "weir rules check --cluster" in error.value.fix
    demand_accepted(read_setup(folder), setup.configuration.settings.cluster)
    for more in ("partial: accept", "local: [channel]"):
        folder = bank(tmp_path / more[:5], cluster=more)
        setup = read_setup(folder, partitions=3)
        demand_accepted(setup, setup.configuration.settings.cluster)


def test_every_decision_says_what_is_partial_and_no_embedded_one_does(tmp_path):
    folder = bank(tmp_path / "b", cluster="partial: accept")
    traffic = small_traffic(tmp_path / "traffic.ndjson", 150)
    found = {}
    for partitions in (1, 3):
        setup, out = read_setup(folder, partitions=partitions), tmp_path / f"out{partitions}"
        job = Job(setup, out, 64, inputs=("traffic",), quiet=True)
        execute(job, FileSource([traffic], setup.feed, setup.schema))
        lines = (out / "decisions.ndjson").read_bytes().splitlines()
        found[partitions] = [json.loads(line) for line in lines]
    assert len(found[1]) == len(found[3]) > 100
    assert {d["decision"] for d in found[3]} > {"approve"}
    assert all(d["partial"] == ["channel"] for d in found[3])
    assert not any("partial" in d for d in found[1])


def test_the_settings_of_a_cluster_are_checked(tmp_path):
    for wrong in ("key: device", "partial: maybe"):
        with pytest.raises(ConfigError, match=f"`{wrong.split(':')[0]}` must be"):
            load(bank(tmp_path / wrong[:4], cluster=wrong))
