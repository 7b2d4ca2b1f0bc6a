"""The packs that come with Weir are in order: nothing to find, every rule shown firing and keeping quiet."""

from pathlib import Path

import pytest

import config
from config import schema, settings
from rules import pack as packs

BANK = Path(config.__file__).parent / "bank"
HANDBOOK = BANK.parent.parent / "benchmarks" / "handbook"
FOLDERS = {
    "core": (BANK, BANK / "packs" / "core"),
    "handbook": (HANDBOOK, HANDBOOK / "packs" / "handbook"),
}


def load(name):
    folder, path = FOLDERS[name]
    return packs.load([path], schema.read(folder / "schema.yaml"))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_shipped_pack_checks_without_a_finding(name):
    assert [f"{f.place} {f.code} {f.message}" for f in load(name).findings] == []


@pytest.mark.parametrize("rule", load("core").pack.rules, ids=lambda rule: rule.id)
def test_every_core_rule_is_shown_firing_and_quiet_and_says_whose_it_is(rule):
    expectations = {event.expect for test in rule.tests for event in test.events}
    assert {"fires", "quiet"} <= expectations
    assert rule.owner
    assert rule.actions


@pytest.mark.parametrize("name", FOLDERS)
def test_models_read_what_the_pack_and_the_schema_offer(name):
    folder, _ = FOLDERS[name]
    loaded, fields = load(name).pack, schema.read(folder / "schema.yaml").columns
    models = settings.read_models(folder / "models.yaml")
    assert set(models.inputs) <= {*loaded.features, *fields}


def test_the_handbook_pack_is_as_large_as_the_bench_claims():
    """15 features and more over several keys, 25 rules of two to four clauses."""
    pack = load("handbook").pack
    keys = {f.aggregate.keys for f in pack.features.values() if f.aggregate}
    assert len(pack.features) >= 15
    assert keys == {("customer",), ("terminal",), ("customer", "terminal")}
    assert len(pack.rules) == 25
    for rule in pack.rules:
        assert rule.mode == "live"
        assert rule.when.op == "and"
        assert 2 <= len(rule.when.args) <= 4
