"""Two packs over the same traffic: what a diff says is the difference of two replays."""

import json

import pytest

from engine import cli
from engine.setup import read_setup
from replay.workbench import diff_traffic
from replay.workbench.backtesting import load
from tests import backtesting as slow

NEW = (
    slow.RULES.replace("big: 700 CNY", "big: 500 CNY")
    .replace('channel in ["web", "pos"]', 'channel == "web"')
    .replace("max_per_hour: 1}", "max_per_hour: 5}")
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Replays of one recording under an old and a new pack, and what a diff says about it."""
    folder = tmp_path_factory.mktemp("diff")
    config = slow.bank(folder / "bank")
    recording = slow.traffic(folder / "traffic.ndjson", n=800)
    packs = [config / "packs" / "one", slow.pack(folder / "new", NEW, "account\nA02\nA03\n")]
    outs = [
        slow.replay(recording, config, folder / f"out{k}", "--pack", str(pack))
        for k, pack in enumerate(packs)
    ]
    setup = read_setup(config)
    old, new = (load([pack], setup).pack for pack in packs)

    def ask(against):
        more = dict.fromkeys(("from_us", "to_us", "labels"))
        question = diff_traffic.question_of(against, config=config, feed="", **more)
        return diff_traffic.effects(old, new, slow.IDS, question, quiet=True)

    return config, recording, packs, outs, ask


def test_before_and_after_are_those_of_two_replays(ran):
    """Alerts, frauds, money; events that newly match or no longer do, with the frauds among them."""
    _, recording, _, outs, ask = ran
    told = [slow.told(out, recording) for out in outs]
    groups = [slow.alerts(out) for out in outs]
    verdict = {
        m["transaction_id"]: m["label"] == "fraud"
        for m in slow.messages(recording)
        if m.get("kind") == "label"
    }
    by_rule = {effect.rule: effect for effect in ask(recording).rules}
    for rule in slow.IDS:
        effect = by_rule[rule]
        before, after = (each[rule]["matches"] for each in told)
        assert (effect.gained, effect.lost) == (len(after - before), len(before - after)), rule
        assert effect.frauds_gained == sum(bool(verdict.get(i)) for i in after - before)
        assert effect.frauds_lost == sum(bool(verdict.get(i)) for i in before - after)
        for figures, wanted in zip((effect.old, effect.new), told, strict=True):
            assert figures.frauds == wanted[rule]["frauds"]
            assert figures.value_caught == wanted[rule]["value_caught"]
        if rule != "FAST-003":
            assert [effect.old.alerts, effect.new.alerts] == [len(each[rule]) for each in groups]
        new_ids = {e.transaction_id for e in effect.examples if e.is_new}
        old_ids = {e.transaction_id for e in effect.examples if not e.is_new}
        assert new_ids <= after - before
        assert old_ids <= before - after
        assert len(new_ids) == min(5, effect.gained)
        assert len(old_ids) == min(5, effect.lost)
        assert all(e.is_fraud == bool(verdict.get(e.transaction_id)) for e in effect.examples)
    assert by_rule["BIG-001"].gained > 0 == by_rule["BIG-001"].lost
    assert by_rule["CHAN-002"].lost > 0 == by_rule["CHAN-002"].gained
    assert by_rule["LIST-004"].gained > 0 < by_rule["LIST-004"].lost
    assert by_rule["FAST-003"].gained == by_rule["FAST-003"].lost == 0


def test_caps_and_actions_are_those_of_each_pack(ran):
    """Restrictions that each pack would have put out, and the hours in which its cap was reached."""
    _, recording, _, outs, ask = ran
    effect = next(e for e in ask(recording).rules if e.rule == "BIG-001")
    for figures, out in zip((effect.old, effect.new), outs, strict=True):
        commands = [json.loads(x) for x in (out / "commands.ndjson").read_bytes().splitlines()]
        limits = [c for c in commands if (c["verb"], c.get("level")) == ("restrict", "limit")]
        said = [json.loads(x) for x in (out / "alerts.ndjson").read_bytes().splitlines()]
        assert figures.actions["restrict limit"] == len(limits)
        hours = sum(a.get("cap") == "BIG-001:2" for a in said)
        assert figures.cap_hours == ({"BIG-001:2": hours} if hours else {})
    assert effect.old.actions["restrict limit"] < effect.new.actions["restrict limit"]


def test_a_journal_says_what_its_recording_says(ran):
    """The lists of the journal's time are those of the old pack; the new pack's are drafted and stay."""
    _, recording, _, outs, ask = ran
    assert ask(outs[0]).as_dict() == ask(recording).as_dict()


def test_the_command_says_it_in_words(ran, capsys):
    config, recording, packs, _, _ = ran
    command = ["rules", "diff", *map(str, packs), "--config", str(config)]
    assert cli.main([*command, "--against", str(recording)]) == 0
    text = capsys.readouterr().out
    for part in ("strictly wider", "newly match", "(narrower", "@watched   +1 -1 rows   + A03   - A01",
                 "the same rule over other lists", "Counts are estimates", "value caught"):  # fmt: skip
        assert part in text, part
