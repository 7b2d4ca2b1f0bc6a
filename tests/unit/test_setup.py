"""A configuration read as a whole: whose lateness holds, what the hash covers, how errors in packs are told."""

import re
import shutil

import pytest

from config.errors import ConfigError
from config.settings import BANK
from engine.admission import NEVER
from engine.core import Core
from engine.setup import read_setup
from tests import factories

MINUTE_US = 60_000_000


@pytest.fixture
def bank(tmp_path):
    """A copy of the shipped configuration, to be edited."""
    shutil.copytree(BANK, tmp_path / "bank")
    return tmp_path / "bank"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_lateness_is_that_of_the_option_else_of_the_feed_else_of_the_settings(bank):
    assert read_setup(bank).lateness_us == 15 * MINUTE_US
    feed = bank / "feeds" / "canonical.yaml"
    feed.write_text(feed.read_text() + "\nlateness: 3m\n")
    assert read_setup(bank).lateness_us == 3 * MINUTE_US
    assert read_setup(bank, lateness="1h").lateness_us == 60 * MINUTE_US


def test_batch_rows_are_no_part_of_the_hash_and_what_changes_outcomes_is(bank):
    plain = read_setup(bank).sha256
    assert read_setup(bank, rows_max=7).sha256 == plain
    assert read_setup(bank, lateness="1h").sha256 != plain
    edit(bank / "models.yaml", "\nmodels:", "\n# a remark\nmodels:")
    assert read_setup(bank).sha256 != plain


def test_errors_in_packs_are_told_with_their_places(bank):
    path = bank / "packs" / "core" / "features.yaml"
    edit(path, "bought_here_90d:      sum(amount)", "bought_here_90d:      sum(amuont)")
    lines = path.read_text().splitlines()
    (line, column), *_ = [
        (n, t.find("amuont") + 1) for n, t in enumerate(lines, 1) if "amuont" in t
    ]
    with pytest.raises(ConfigError) as error:
        read_setup(bank)
    assert str(error.value).replace(str(bank), "BANK").splitlines() == [
        "the rules have 1 error",
        f'  why: BANK/packs/core/features.yaml:{line}:{column} WR101 unknown field "amuont"',
        "  fix: see them in full with: weir rules check BANK/packs/core",
    ]


def test_the_pack_that_has_the_error_is_named(bank, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "pack.yaml").write_text("pack: mine\nversion: 1.0.0\nextends: core\n")
    (mine / "r.yaml").write_text("features:\n  f: count() by accuont over 1h\n")
    packs = [bank / "packs" / "core", mine]
    with pytest.raises(ConfigError, match=rf"weir rules check {mine}$"):
        read_setup(bank, pack_paths=packs)


def test_a_model_that_reads_what_is_not_there_is_refused(bank):
    path = bank / "models.yaml"
    setup = read_setup(bank)
    head, key, entries = path.read_text().partition("\nmodels:\n")
    known = setup.configuration.models.inputs[1]  # a feature that nothing else in the file names
    path.write_text(head + key + re.sub(rf"\b{known}\b", "no_such_feature", entries))
    with pytest.raises(
        ConfigError, match="model input `no_such_feature` is neither a feature nor a field"
    ):
        Core(read_setup(bank))


# ---------------------------------------------------------------- history_from


def warm(bank, *messages):
    """Whether each rule that reads a feature of 48 hours may act, at each row."""
    core = Core(read_setup(bank))
    outcome = core.apply([factories.line(m) for m in messages], ["x"] * len(messages))
    inside = outcome.judgement.in_rollout
    names = [rule.id for rule in core.ruleset.rules]
    return core, names, inside


def test_a_fresh_engine_takes_its_history_as_complete(bank):
    core, _, inside = warm(bank, factories.message())
    assert (core.warming.rule_us == NEVER).all()
    assert inside is None or inside.all()


def test_rules_are_in_shadow_until_their_features_have_their_history(bank):
    """history_from 1 March: a 30 minute window is warm half an hour later, 400 days after `warm_after`."""
    edit(bank / "weir.yaml", "# history_from: 2026-01-01", "history_from: 2026-03-01")
    core = Core(read_setup(bank))
    limit_us = read_setup(bank).configuration.settings.warm_after_us
    start_us = read_setup(bank).configuration.settings.history_from_us
    warm_us = dict(
        zip([r.id for r in core.ruleset.rules], core.warming.rule_us.tolist(), strict=True)
    )
    assert max(warm_us.values()) == start_us + limit_us
    assert min(warm_us.values()) >= start_us
    rule = max(warm_us, key=warm_us.get)
    row = [r.id for r in core.ruleset.rules].index(rule)
    times = [
        "2026-03-01T00:00:00Z",
        "2026-03-29T00:00:00Z",
        "2026-04-04T23:59:59.999999Z",
        "2026-04-05T00:00:00Z",
    ]
    for k, time in enumerate(times):
        message = factories.message(transaction_id=f"t{k}", event_time=time)
        inside = core.apply([factories.line(message)], ["x"]).judgement.in_rollout
        is_warm = True if inside is None else bool(inside[row, 0])
        assert is_warm == (k == 3), time


def test_before_the_first_event_nothing_is_warm(bank):
    edit(bank / "weir.yaml", "# history_from: 2026-01-01", "history_from: 2026-03-01")
    core = Core(read_setup(bank))
    outcome = core.apply([b"{", factories.line(factories.message(amount="-1"))], ["x", "x"])
    assert len(outcome.streams["decisions"].splitlines()) == 1


def test_a_pack_that_is_tried_need_not_declare_what_the_models_read(tmp_path):
    """The shared sample pack failed on this; its tests set model scores themselves."""
    pack = tmp_path / "small"
    pack.mkdir()
    (pack / "pack.yaml").write_text(
        "pack: small\nversion: 1.0.0\nlanguage: 1\ncurrency: EUR\ntimezone: UTC\nretention: 400d\n"
        "decision:\n  combine: sum\n  bands: [{from: 0, to: 500, do: approve}, {from: 500, to: 1000, do: review}]\n"
        "reasons: {BIG: A large amount}\n"
    )
    (pack / "rules.yaml").write_text(
        "rules:\n  - id: BIG-001\n    name: Big\n    version: 1\n    owner: me\n    severity: low\n    reason: BIG\n"
        "    on: payment\n    mode: live\n    when: amount > 100 EUR\n    score: 10\n"
        '    actions: [{alert: {queue: q, title: "Big"}}]\n'
    )
    setup = read_setup(BANK, pack_paths=[pack])
    models = setup.configuration.models.models
    assert models["linear"].inputs == ("amount",)
    assert any("device_age" in note for note in setup.notes)
    # amount, its centre and its spread are one thing: without the last two the model is nothing
    assert "apart" not in models
    assert models["anomaly"].of == ("rare", "lonely")
    assert any("`apart` is left out" in note for note in setup.notes)
    Core(setup).warm_up()
    assert read_setup(BANK).notes == ()
