"""A backtest counts what a replay decides, whatever it reads from; a sweep is many backtests at once."""

import json
from dataclasses import asdict, replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from config.errors import ConfigError, InputError, StateError
from engine import cli
from engine.brokers.files import FileSource
from engine.clock import SystemClock
from engine.durable.disk import RealDisk
from engine.outcomes import rfc3339
from engine.ports import Messages
from engine.progress import Progress
from engine.runner import StopRequest
from engine.setup import read_setup
from engine.starting import open_engine
from replay.workbench import backtest_text, backtesting, manifests, traffic
from replay.workbench.backtesting import Question, Sweep
from replay.workbench.scorecard import card
from replay.workbench.tally import Tally
from replay.workbench.traffic import Lane, Piece
from replay.workbench.verdicts import LabelBook
from tests import backtesting as slow
from tests.auditing import HOUR, START


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A recording, its configuration, and a replay of it."""
    folder = tmp_path_factory.mktemp("backtest")
    config = slow.bank(folder / "bank")
    recording = slow.traffic(folder / "traffic.ndjson")
    out = slow.replay(recording, config, folder / "out")
    question = Question(
        packs=(config / "packs" / "one",), config=config, inputs=(recording,), as_written=True
    )
    return folder, config, recording, out, question


def figures(answer):
    return {each.rule: each for each in answer.card.rules}


def ask(question, **more):
    return backtesting.answer(replace(question, **more), quiet=True)


@pytest.fixture(scope="module")
def answered(ran):
    return ask(ran[-1])


def same_as_told(found, wanted):
    assert found.keys() == set(slow.IDS)
    for rule, of_rule in wanted.items():
        mine = found[rule]
        assert mine.matches == len(of_rule["matches"]), rule
        assert mine.outside == len(of_rule["outside"]), rule
        assert mine.excepted == len(of_rule["excepted"]), rule
        assert mine.undecided == dict(of_rule["undecided"]), rule
        assert mine.frauds == of_rule["frauds"], rule
        assert mine.recall == pytest.approx(of_rule["recall"], abs=0), rule
        assert mine.value_caught == of_rule["value_caught"], rule


def test_it_counts_what_a_replay_of_the_same_pack_decides(ran, answered):
    """Matches, what lay outside a rollout, excepted, undecided with the field, frauds and their worth."""
    _, _, recording, out, _ = ran
    wanted = slow.told(out, recording)
    same_as_told(figures(answered), wanted)
    assert all(of_rule["matches"] for of_rule in wanted.values())
    assert wanted["BIG-001"]["excepted"]
    assert wanted["CHAN-002"]["outside"]
    assert wanted["CHAN-002"]["undecided"]["channel"] > 0
    assert wanted["BIG-001"]["frauds"] > 0
    decided = json.loads((out / "summary.json").read_bytes())["decisions"]
    unscorable = sum(1 for m in slow.messages(recording) if m.get("amount") == "a lot")
    assert sum(answered.card.decisions.values()) == sum(decided.values()) - unscorable


def test_every_transaction_that_fired_is_the_one_that_fired_then(ran):
    """Not only as many: the very transactions, rule by rule."""
    _, config, recording, out, _ = ran
    setup = read_setup(config)
    setup, core = traffic.prepared(setup, setup.pack)
    tally = Tally(core, frozenset(slow.IDS), keeps_ids=True)
    traffic.drive(
        [Lane(setup, core, tally)], traffic.Files([recording], setup), LabelBook(), quiet=True
    )
    matches, _ = tally.finish()
    for rule, of_rule in slow.told(out, recording).items():
        k = [r.id for r in tally.rules].index(rule)
        for outcome, name in ((0, "matches"), (1, "excepted"), (3, "outside")):
            seqs = matches.seq[(matches.rule == k) & (matches.outcome == outcome)].tolist()
            assert {tally.transaction_ids[seq] for seq in seqs} == of_rule[name], (rule, name)


def test_alerts_are_grouped_as_the_engine_groups_them(ran, answered):
    """One alert a group, with fraud if one of its transactions was; rules that raise none in shadow count too."""
    _, _, recording, out, _ = ran
    verdict = {
        m["transaction_id"]: m["label"] == "fraud"
        for m in slow.messages(recording)
        if m.get("kind") == "label"
    }
    for rule, groups in slow.alerts(out).items():
        mine = figures(answered)[rule]
        assert mine.alerts == len(groups), rule
        assert mine.fraud == sum(any(verdict.get(i) for i in group) for group in groups), rule
        assert mine.other == mine.alerts - mine.fraud
        assert mine.precision == pytest.approx(mine.fraud / mine.alerts)
    assert figures(answered)["BIG-001"].alerts < figures(answered)["BIG-001"].matches
    assert figures(answered)["FAST-003"].alerts > 0


def test_overlap_and_what_no_live_rule_caught(ran, answered):
    """Of the frauds of a rule, those on which no other live rule fired; a shadow rule catches nothing."""
    _, _, recording, out, _ = ran
    wanted = slow.told(out, recording)
    live = {"BIG-001", "CHAN-002", "LIST-004"}
    verdict = {
        m["transaction_id"]: m["label"] == "fraud"
        for m in slow.messages(recording)
        if m.get("kind") == "label"
    }
    for rule, of_rule in wanted.items():
        others = {o: wanted[o]["matches"] & of_rule["matches"] for o in live - {rule}}
        mine = figures(answered)[rule]
        assert mine.overlap == {o: len(shared) for o, shared in others.items() if shared}
        fresh = of_rule["matches"].difference(*others.values())
        assert mine.not_already[0] == sum(bool(verdict.get(i)) for i in fresh)
    assert any(figures(answered)[r].not_already[0] for r in slow.IDS)


def test_a_journal_gives_what_its_recording_gives(ran, answered):
    """Same answer, byte for byte, from the output folder and from the file, with and without a period."""
    _, _, _, out, question = ran
    of_journal = ask(question, inputs=(), out=out)
    assert backtesting.encoded(of_journal.as_dict()) == backtesting.encoded(answered.as_dict())
    period = {"from_us": START + 20 * HOUR, "to_us": START + 50 * HOUR}
    one, other = ask(question, **period), ask(question, inputs=(), out=out, config=None, **period)
    assert backtesting.encoded(one.as_dict()) == backtesting.encoded(other.as_dict())
    assert 0 < one.card.n_events < answered.card.n_events


def test_a_period_counts_its_own_events_over_full_windows(ran):
    """From a time on: as the whole replay decided those events; up to a time: as a replay that ends there."""
    folder, config, recording, _, question = ran
    from_us, to_us = START + 20 * HOUR, START + 50 * HOUR
    cut = slow.replay(recording, config, folder / "cut", "--to", rfc3339(to_us))
    found = ask(question, from_us=from_us, to_us=to_us)
    same_as_told(figures(found), slow.told(cut, recording, rfc3339(from_us)))
    assert found.card.first_us >= from_us
    assert found.card.last_us < to_us
    assert found.card.days == pytest.approx(30 / 24)


def test_as_if_live_a_shadow_rule_acts(ran, answered):
    """Holds of a rule in shadow are asked for only where it runs as if live; its matches are the same."""
    _, _, _, _, question = ran
    live = figures(ask(question, as_written=False))["FAST-003"]
    shadow = figures(answered)["FAST-003"]
    assert (live.matches, live.alerts, live.mode) == (shadow.matches, shadow.alerts, "shadow")
    assert shadow.actions == {}
    assert live.actions == {"hold": live.matches}


def test_actions_are_counted_within_their_caps(ran, answered):
    """Restrictions put out as commands, challenges of each match, hours in which operations heard of a cap."""
    _, _, _, out, _ = ran
    commands = [json.loads(x) for x in (out / "commands.ndjson").read_bytes().splitlines()]
    imposed = [c for c in commands if c["verb"] == "restrict" and c["rule"] == "BIG-001"]
    thin = (out / "decisions.ndjson").read_text().count("EVIDENCE_THIN")
    said = [json.loads(x) for x in (out / "alerts.ndjson").read_bytes().splitlines()]
    alarms = [a for a in said if a.get("cap") == "BIG-001:2"]
    mine = figures(answered)["BIG-001"]
    freezes = sum(c["level"] == "full_freeze" for c in imposed)
    wanted = {
        "challenge": mine.matches,
        "freeze": freezes,
        "restrict limit": len(imposed) - freezes,
    }
    assert mine.actions == {name: many for name, many in wanted.items() if many}
    assert wanted["restrict limit"]
    assert answered.card.together.capped["evidence"] == thin > 0
    assert mine.cap_hours == {"BIG-001:2": len(alarms)}
    assert alarms


def test_a_sweep_is_as_many_backtests_side_by_side(ran, answered):
    """Each variant has the figures of a pack that says so; the current value is the rule itself."""
    folder, _, _, _, question = ran
    big = Sweep.of("BIG-001.params.big=500 CNY,700 CNY,950 CNY")
    fast = Sweep.of("FAST-003.params.n=2,3,4")
    swept = ask(question, sweeps=(big, fast))
    assert [each.rule for each in swept.card.rules] == ["BIG-001", "FAST-003"]
    told = {}
    for sweep, variants in swept.sweeps:
        for variant in variants:
            text = slow.RULES.replace("big: 700 CNY", f"big: {variant.value}")
            if sweep is fast:
                text = slow.RULES.replace("n: 3}", f"n: {variant.value}}}")
            pack = slow.pack(folder / f"{sweep.param}-{variant.value[0]}", text)
            alone = figures(ask(question, packs=(pack,)))[sweep.rule]
            for name in backtesting.SWEPT:
                assert getattr(variant.figures, name) == getattr(alone, name), (variant.value, name)
            told[sweep.param, variant.value] = variant.figures.matches, variant.is_current
    assert told["big", "500 CNY"][0] > told["big", "700 CNY"][0] > told["big", "950 CNY"][0] > 0
    assert told["n", "2"][0] > told["n", "3"][0] > told["n", "4"][0]
    assert [key for key, (_, current) in told.items() if current] == [
        ("big", "700 CNY"),
        ("n", "3"),
    ]
    assert asdict(figures(swept)["BIG-001"]) == asdict(figures(answered)["BIG-001"])


def test_a_swept_param_may_stand_in_features_over_features(ran):
    """Each variant has its own features, with those that they read."""
    folder, _, _, _, question = ran
    text = slow.RULES.replace(
        "features: {fast_1h: count() by account over 1h}",
        "features: {large_1h: count() by account over 1h where amount > $floor, fast_1h: large_1h + 1}",
    ).replace("params: {n: 3}", "params: {n: 3, floor: 100 CNY}")
    swept = ask(
        question,
        packs=(slow.pack(folder / "chained", text),),
        sweeps=(Sweep.of("FAST-003.params.floor=100 CNY,300 CNY,600 CNY"),),
    )
    told = []
    for variant in swept.sweeps[0][1]:
        floor = text.replace("floor: 100 CNY", f"floor: {variant.value}")
        pack = slow.pack(folder / f"chained-{variant.value[0]}", floor)
        alone = figures(ask(question, packs=(pack,)))["FAST-003"]
        assert variant.figures.matches == alone.matches
        assert variant.figures.alerts == alone.alerts
        told.append(alone.matches)
    assert told[0] > told[1] > told[2]


def test_a_param_of_another_kind_is_refused(ran):
    """With the file's own words: a sweep is checked like a rule."""
    *_, question = ran
    for text, said in (
        ("BIG-001.params.big=5d", "cannot be the value"),
        ("BIG-001.params.bug=500 CNY", "has no param"),
        ("BIG-009.params.big=500 CNY", "no rule"),
        ("BIG-001.big=500 CNY", "--sweep"),
    ):
        with pytest.raises(ConfigError, match=said):
            ask(question, sweeps=(Sweep.of(text),))


def test_alerts_are_split_by_a_field(ran, answered):
    """Every alert in one segment; a field that no rule reads will do, one that is a number will not."""
    *_, question = ran
    found = figures(ask(question, segment="channel"))
    for mine in found.values():
        assert sum(n for _, n in mine.segments.values()) == mine.alerts
        assert sum(bad for bad, _ in mine.segments.values()) == mine.fraud
    assert set(found["CHAN-002"].segments) == {"pos", "web"}
    assert "missing" in found["FAST-003"].segments
    accounts = figures(ask(question, segment="account", rules=("LIST-004",)))["LIST-004"]
    assert set(accounts.segments) == {"A01", "A02"}
    with pytest.raises(InputError, match="amount"):
        ask(question, segment="amount")


def test_the_last_verdict_counts_and_a_file_of_labels_adds_to_them(ran, answered):
    """Corrected and withdrawn verdicts are no frauds; a file may say more, and may take back, in three formats."""
    folder, _, recording, _, question = ran
    verdict = {
        (m["account"], m["transaction_id"]): m["label"] == "fraud"
        for m in slow.messages(recording)
        if m.get("kind") == "label"
    }
    assert False in verdict.values()
    payments = {
        (m["account"], m["transaction_id"]) for m in slow.messages(recording) if m.get("type")
    }
    fresh = sorted(payments - verdict.keys())[:30]
    taken_back = sorted(k for k, is_fraud in verdict.items() if is_fraud and k in payments)[:3]
    rows = [(*key, "fraud") for key in fresh] + [(*key, "genuine") for key in taken_back]
    names = ("account", "transaction_id", "label")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / "labels.parquet")
    text = ",".join(names) + "\n" + "".join(f"{','.join(row)}\n" for row in rows)
    (folder / "labels.csv").write_text(text)
    lines = [json.dumps(dict(zip(names, row, strict=True)) | {"kind": "label"}) for row in rows]
    (folder / "labels.ndjson").write_text("\n".join(lines))
    answers = [
        ask(question, labels=folder / f"labels.{end}") for end in ("parquet", "csv", "ndjson")
    ]
    assert len({backtesting.encoded(each.as_dict()) for each in answers}) == 1
    quarantined = sum(
        1
        for m in slow.messages(recording)
        if m.get("amount") == "a lot" and (m["account"], m["transaction_id"]) in fresh
    )
    assert answers[0].card.n_frauds == answered.card.n_frauds + 30 - quarantined - 3


def test_an_older_verdict_of_a_file_does_not_replace_a_newer_one(ran, answered):
    """A file with times is held against the times of the recording."""
    folder, _, recording, _, question = ran
    label = next(m for m in slow.messages(recording) if m.get("kind") == "label")
    header = "account,transaction_id,label,event_time\n"
    counts = []
    for time in ("2026-01-01T00:00:00Z", "2026-12-01T00:00:00Z"):
        row = f"{label['account']},{label['transaction_id']},fraud,{time}\n"
        (folder / "timed.csv").write_text(header + row)
        counts.append(ask(question, labels=folder / "timed.csv").card.n_frauds)
    assert counts == [answered.card.n_frauds, answered.card.n_frauds + 1]


def test_labels_that_take_their_time_are_said_to(tmp_path, ran):
    """Maturity: the end of the recording less the age at which nearly all verdicts of fraud had come."""
    _, _, _, _, question = ran
    lines = []
    for k in range(100):
        at = START + k * HOUR
        about = {"transaction_id": f"t-{k}", "account": "A01"}
        lines.append(
            (
                at,
                {
                    **about,
                    "event_time": rfc3339(at),
                    "type": "payment",
                    "amount": "10.00",
                    "currency": "CNY",
                    "direction": "out",
                },
            )
        )
        if k % 5 == 0 and k < 70:
            late = at + 30 * HOUR
            lines.append(
                (late, {**about, "kind": "label", "label": "fraud", "event_time": rfc3339(late)})
            )
    path = tmp_path / "slow.ndjson"
    path.write_text("".join(json.dumps(m) + "\n" for _, m in sorted(lines, key=lambda x: x[0])))
    found = ask(question, inputs=(path,)).card
    assert found.n_frauds == 14
    assert found.mature_to_us == START + 99 * HOUR - 30 * HOUR
    assert found.last_us == START + 99 * HOUR


def test_lists_are_those_of_the_time(ran):
    """Until the list changes the old rows count, from then on the new ones; a drafted list stays as it is."""
    _, config, recording, _, _ = ran
    lines = [line for line in recording.read_bytes().splitlines() if b'"label"' not in line][:600]
    setup = read_setup(config)
    first = setup.pack.lists["watched"]
    second = replace(first, values=frozenset({"A05"}))

    class Changing:
        total, n_read = None, 0

        def pieces(self):
            yield Piece(Messages([], []), lists={"watched": first})
            yield Piece(Messages(lines[:300], ["x"] * 300))
            yield Piece(Messages([], []), lists={"watched": second})
            yield Piece(Messages(lines[300:], ["x"] * 300))

    for drafted in (frozenset(), frozenset({"watched"})):
        prepared, core = traffic.prepared(setup, setup.pack)
        tally = Tally(core, {"LIST-004"}, keeps_ids=True)
        traffic.drive([Lane(prepared, core, tally, drafted)], Changing(), LabelBook(), quiet=True)
        matches, _ = tally.finish()
        mine = matches.rule == slow.IDS.index("LIST-004")
        fired = {tally.transaction_ids[seq] for seq in matches.seq[mine].tolist()}
        wanted = {}
        for place, line in enumerate(lines):
            message = json.loads(line)
            watched = {"A05"} if place >= 300 and not drafted else {"A01", "A02"}
            if message["amount"] != "a lot" and message["transaction_id"] not in wanted:
                wanted[message["transaction_id"]] = message["account"] in watched
        assert fired == {id_ for id_, is_watched in wanted.items() if is_watched}


def run_on(out, recording, config):
    """Run what the file has by now, under a configuration."""
    setup = read_setup(config)
    source = FileSource([recording], setup.feed, setup.schema)
    engine = open_engine(RealDisk(), out, source, setup, SystemClock())
    with StopRequest() as stop, Progress(None, "records", quiet=True) as progress:
        engine.runner.run(progress, stop)
    engine.close()


def test_a_journal_brings_the_lists_of_its_time_along(tmp_path, ran):
    """A list that changed while the engine ran counts as it was at each record; a draft of it counts throughout."""
    _, _, recording, _, question = ran
    lines = recording.read_bytes().splitlines(keepends=True)
    config, path, out = slow.bank(tmp_path / "bank"), tmp_path / "in.ndjson", tmp_path / "out"
    path.write_bytes(b"".join(lines[:600]))
    run_on(out, path, config)
    pack = slow.pack(config / "packs" / "one", watched="account\nA02\nA09\n")
    path.write_bytes(b"".join(lines))
    run_on(out, path, config)
    of_journal = {"inputs": (), "out": out, "config": None, "rules": ("LIST-004",)}
    wanted = slow.told(out, recording)["LIST-004"]
    mine = figures(ask(question, packs=(pack,), **of_journal))["LIST-004"]
    assert (mine.matches, mine.frauds) == (len(wanted["matches"]), wanted["frauds"])
    throughout = figures(ask(question, packs=(pack,), inputs=(recording,), config=config))
    assert throughout["LIST-004"].matches != mine.matches
    drafted = slow.pack(tmp_path / "draft", watched="account\nA11\n")
    of_draft = figures(ask(question, packs=(drafted,), **of_journal))["LIST-004"]
    of_file = figures(ask(question, packs=(drafted,), inputs=(recording,)))["LIST-004"]
    assert of_draft.matches == of_file.matches > 0


def test_scores_are_combined_as_decisions_combine_them(ran, answered):
    """The distribution of scores is that of the decisions of a replay."""
    _, _, _, out, _ = ran
    steps = {}
    for line in (out / "decisions.ndjson").read_bytes().splitlines():
        decision = json.loads(line)
        if "UNSCORABLE" in decision["reasons"]:
            continue
        step = -1 if not decision["score"] else min(int(decision["score"] // 100) * 100, 900)
        steps[step] = steps.get(step, 0) + 1
    assert answered.card.scores_shadow == steps
    assert answered.card.scores != steps


def test_a_manifest_repeats_a_backtest_and_notices_other_inputs(tmp_path, ran, capsys):
    """Same files, same result, exit 0; a changed pack is refused by name."""
    _, _, recording, _, _ = ran
    config = slow.bank(tmp_path / "bank")
    where = tmp_path / "manifest.json"
    command = ["rules", "backtest", str(config / "packs" / "one"), "--config", str(config)]
    command += ["--input", str(recording), "--sweep", "BIG-001.params.big=500 CNY,700 CNY"]
    command += ["--segment", "type", "--manifest", str(where)]
    assert cli.main([*command, "--format", "json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert cli.main(["rules", "backtest", "--again", str(where), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    manifest = json.loads(where.read_bytes())
    assert manifest["result_sha256"] == first["result_sha256"]
    where.write_text(json.dumps(manifest | {"result_sha256": "sha256:00"}))
    assert cli.main(["rules", "backtest", "--again", str(where)]) == 1
    slow.pack(config / "packs" / "one", watched="account\nA07\n")
    assert cli.main(["rules", "backtest", "--again", str(where)]) == 2
    assert "watched.csv is not what it was" in capsys.readouterr().err
    with pytest.raises(InputError, match="no manifest"):
        manifests.read(recording)
    question = manifest["question"]
    for wrong in (
        {"question": question | {"from_us": "x"}},
        {"question": question | {"sweeps": [7]}},
        {"question": question | {"packs": "p"}},
        {"read": 7},
        {"read": {"files": 7, "inputs": []}},
    ):
        where.write_text(json.dumps(manifest | wrong))
        with pytest.raises(InputError, match="no manifest"):
            manifests.read(where)


def test_what_cannot_be_run_is_said(tmp_path, ran):
    """No traffic, two kinds of it, a folder without a journal, a period that holds nothing."""
    _, _, _, out, question = ran
    with pytest.raises(InputError, match="no traffic"):
        ask(question, inputs=())
    with pytest.raises(InputError, match="two sources"):
        ask(question, out=out)
    with pytest.raises(StateError, match="no journal"):
        ask(question, inputs=(), out=tmp_path)
    late = ask(question, from_us=START + 10_000 * HOUR)
    assert (late.card.n_events, late.card.together.alerts) == (0, 0)


def test_what_was_matched_is_named(ran, answered):
    """Id, time and amount of each decision in which a replay says that the rule fired, and as many frauds."""
    lines = (ran[3] / "decisions.ndjson").read_text().splitlines()
    decided = [d for d in map(json.loads, lines) if "BIG-001" in [f["rule"] for f in d["fired"]]]
    found = answered.examples.of("BIG-001")
    assert [(e["transaction_id"], e["event_time"]) for e in found] == [
        (d["transaction_id"], d["event_time"]) for d in decided
    ]
    sent = {m.get("transaction_id"): m for m in map(json.loads, ran[2].read_text().splitlines())
            if "amount" in m}  # fmt: skip
    assert all(float(e["amount"]) == float(sent[e["transaction_id"]]["amount"]) for e in found)
    frauds = {e["transaction_id"] for e in found if e["label"] == "fraud"}
    assert len(frauds) == figures(answered)["BIG-001"].frauds > 0
    assert len(answered.examples.of("BIG-001", 2)) == 2
    assert answered.examples.of("NONE-001") == []


def test_the_text_says_what_an_analyst_must_know(ran, capsys, tmp_path):
    """Estimates, maturity, undecided with the field, sweep with the current value marked."""
    _, config, recording, _, _ = ran
    command = ["rules", "backtest", str(config / "packs" / "one"), "--config", str(config)]
    command += ["--input", str(recording), "--manifest", str(tmp_path / "m.json")]
    assert cli.main([*command, "--sweep", "FAST-003.params.n=2,3", "--rule", "CHAN-002"]) == 0
    text = capsys.readouterr().out
    for part in (
        "channel",
        "missing",
        "FAST-003 (shadow)",
        "Counts are estimates",
        "labelled frauds",
        "Sweep FAST-003.params.n:  2 ",
        "* current",
        "would as if live ask for",
        "CHAN-002",
        "  the first 10 of ",
        "  no fraud known",
        "Packs that ran together: test ",
        "as if live: the rules asked about act",
    ):
        assert part in text, part
    assert "BIG-001 " not in text.split("Decisions")[0].replace("overlap: BIG-001", "")


def test_a_card_of_nothing_is_a_card(ran):
    """A tally that saw nothing gives zeros, not an error."""
    _, config, _, _, _ = ran
    setup = read_setup(config)
    _, core = traffic.prepared(setup, setup.pack)
    found = card(Tally(core, slow.IDS), setup.pack, LabelBook(), tested=slow.IDS, modes={})
    assert (found.n_events, found.together.recall, found.scores) == (0, None, {-1: 0})


def test_each_clause_is_counted_alone_and_with_those_before_it(ran, answered):
    """And nothing else of the answer changes."""
    *_, question = ran
    found = ask(question, clauses=True)
    assert found.card.as_dict() == answered.card.as_dict()
    first, second = found.clauses["BIG-001"]
    assert (first.text, second.text) == (
        "amount >= $big",
        'channel != "web" or channel is missing',
    )
    sent = [m for m in slow.messages(ran[2]) if m.get("kind", "transaction") == "transaction"]
    read = [m for m in sent if str(m["amount"]).replace(".", "").isdigit()]
    ids = {(m["account"], m["transaction_id"]): m for m in read}  # a repeat is one
    assert len(ids) == answered.card.n_payments
    big = [m for m in ids.values() if float(m["amount"]) >= 700]
    both = [m for m in big if m.get("channel") != "web"]
    assert (first.alone, first.so_far) == (len(big), len(big))
    assert second.so_far == len(both) > 0
    assert second.alone > second.so_far
    big_001 = figures(answered)["BIG-001"]
    assert second.so_far == big_001.matches + big_001.excepted
    (web,) = found.clauses["CHAN-002"]
    assert web.undecided == figures(answered)["CHAN-002"].n_undecided > 0
    shown = backtest_text.text_of(found, 1.0)
    assert "clause by clause:" in shown
    assert manifests.digest(found) != manifests.digest(answered)


def test_the_clause_that_leaves_nothing_is_marked(ran, tmp_path):
    *_, question = ran
    when = 'when: amount >= $big and channel == "fax" and counterparty == "none"'
    rules = slow.RULES.replace(
        'when: amount >= $big and (channel != "web" or channel is missing)', when
    )
    assert rules != slow.RULES
    question = replace(question, packs=(slow.pack(tmp_path, rules),), rules=("BIG-001",))
    assert "stops it with: --clauses" in backtest_text.text_of(ask(question), 1.0)
    lines = backtest_text.text_of(ask(question, clauses=True), 1.0).splitlines()
    marked = [line for line in lines if "nothing is left" in line]
    assert len(marked) == 1
    assert 'channel == "fax"' in marked[0]


def test_decisions_without_a_rule_are_those_of_a_pack_without_it(ran, answered, tmp_path):
    *_, question = ran
    found = ask(question, rules=("BIG-001",), without=True)
    off = slow.RULES.replace("    mode: live\n", "    mode: off\n", 1)
    other = ask(question, packs=(slow.pack(tmp_path, off),), rules=("FAST-003",))
    assert found.without == other.card.decisions
    assert found.without != found.card.decisions == answered.card.decisions
    assert "Without it:" in backtest_text.text_of(found, 1.0)


def test_variants_of_a_sweep_add_no_points(ran, answered):
    *_, question = ran
    swept = ask(question, sweeps=(Sweep.of("BIG-001.params.big=1 CNY,300 CNY"),))
    assert (swept.card.scores, swept.card.scores_shadow) == (
        answered.card.scores,
        answered.card.scores_shadow,
    )


def test_a_rule_that_only_reports_catches_nothing_for_others(ran, answered, tmp_path):
    *_, question = ran
    reporting = slow.RULES + (
        "  - id: TOLD-005\n    name: Told\n    version: 1\n    owner: payments\n    severity: medium\n"
        "    reason: TEST\n    on: payment\n    mode: live\n    when: amount > 1 CNY\n    score: 0\n"
        '    actions:\n      - report: {kind: large, to: pboc, title: "Told", by: account, due: 5 working days}\n'
    )
    found = ask(question, packs=(slow.pack(tmp_path, reporting),))
    before, now = figures(answered)["BIG-001"], figures(found)["BIG-001"]
    assert now.reporting == {"TOLD-005": now.matches}
    assert (now.overlap, now.not_already) == (before.overlap, before.not_already)
    assert "rules that only report: TOLD-005" in backtest_text.text_of(found, 1.0)
    assert "reporting" not in answered.as_dict()["rules"][0]
