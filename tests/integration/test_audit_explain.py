"""`weir audit explain` over a whole run of the shipped bank: what it says is what was decided, and nobody is named."""

import html.parser
import json
import random
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.pseudonyms import KEY_ENV, is_pseudonym
from config.settings import BANK
from engine import cli
from engine.core import Core
from engine.durable.disk import RealDisk
from engine.durable.rederive import Rederivation
from engine.setup import read_setup
from engine.verdict import combined as of_the_engine
from replay.audit import explain, page, prose
from replay.audit.evidence import Taken
from replay.audit.ruling import Ruling, combined
from replay.audit.veil import PLAIN
from rules.explain import Evaluator, frame_reader
from rules.titles import shown_number
from tests.auditing import replayed, small_bank, small_traffic
from tests.banking import shipped_setup, traffic

KEY = "a secret that is long enough"
PLAIN_ID = re.compile(r"\b[AKCD]0{2,}[0-9]+\b")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Three days of a small bank, decided by the shipped configuration, with a journal and two snapshots."""
    folder = tmp_path_factory.mktemp("explain")
    lines = traffic(folder, 5, accounts=120, days=3)
    recording = folder / "bank.ndjson"
    recording.write_bytes(b"".join(line + b"\n" for line in lines))
    out = folder / "out"
    assert cli.main(["replay", str(recording), "--config", str(BANK), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def decisions(out):
    return [json.loads(line) for line in (out / "decisions.ndjson").read_bytes().splitlines()]


def loud(decisions, n=4):
    """Decisions with something to tell: fired rules first."""
    return sorted(decisions, key=lambda d: (-len(d["fired"]), -len(d["undecided"]), d["seq"]))[:n]


def asked(out, *arguments, capsys):
    capsys.readouterr()
    status = cli.main(["audit", "explain", str(out), *arguments])
    return status, capsys.readouterr().out


def document(out, seq, rule="", n_events=5):
    again = Rederivation(RealDisk(), out)
    return explain.explain(again, out, seq, explain.Asked(rule, n_events), PLAIN)


def test_the_explanation_of_what_fired_says_what_the_decision_says(out, decisions):
    """Rules, scores, reasons and the decision itself, each put together again, agree with the line on record."""
    for decision in loud(decisions):
        told = document(out, decision["seq"])
        assert told["decision"] == decision
        assert told["how"]["agrees"] or "CAP_REACHED" in decision["reasons"]
        assert told["how"]["score"] == pytest.approx(decision["score"])
        fired = {rule["id"] for rule in told["rules"] if rule["outcome"] == "fired"}
        assert fired >= {f["rule"] for f in decision["fired"]}
        undecided = {r["id"]: r["because"] for r in told["rules"] if r["outcome"] == "undecided"}
        assert undecided == dict(decision["undecided"])
        assert set(told["sentences"]) == set(decision["reasons"])
        assert not [note for note in told["notes"] if "WARNING" in note]


def test_every_rule_is_explained_as_the_engine_decided_it(out, decisions):
    """A walk through a few hundred records in memory: no rule is explained otherwise, no decision adds up otherwise."""
    rng = random.Random(3)
    again = Rederivation(RealDisk(), out)
    again.start(0)
    picked = set(rng.sample([d["seq"] for d in decisions], 60)) | {
        d["seq"] for d in loud(decisions, 20)
    }
    for seq in sorted(picked):
        again.run_to(seq)
        (recorded,) = again.journal.read(seq, seq + 1)
        taken = Taken(seq, recorded.messages.lines[0], recorded.messages.positions[0])
        outcome = again.core.apply([taken.line], [taken.position])
        told = explain.document(again.core, again.setup, taken, outcome, explain.Asked())
        assert not [note for note in told["notes"] if "WARNING" in note], seq
        in_force = bool(told["decision"]["restrictions"])  # their commands are not known here
        capped = "CAP_REACHED" in told["decision"]["reasons"]
        assert told["how"]["agrees"] or in_force or capped, seq


def test_events_behind_a_feature_lead_back_to_their_messages(out, decisions):
    """A count is as many events, a sum is what they add up to, and each names the record that it came from."""
    journal = Rederivation(RealDisk(), out).journal
    lines = {r.seq0 + k: m for r in journal.read(0) for k, m in enumerate(r.messages.lines)}
    pack = shipped_setup().pack
    n = 0
    for decision in loud(decisions):
        told = document(out, decision["seq"], n_events=-1)
        for feature in told["features"]:
            aggregate = pack.features[feature["name"]].aggregate
            if "events" not in feature or aggregate is None or feature.get("n_dropped"):
                continue
            assert feature["n_more"] == 0
            if aggregate.function == "count":
                assert feature["number"] == feature["n_events"], feature["name"]
            if aggregate.function == "count_distinct":
                assert feature["number"] == len(feature["different"]), feature["name"]
            for event in feature["events"]:
                line = json.loads(lines[event["seq"]])
                value = feature["keys"].get("account")
                if value is not None and "account" in line:
                    assert line["account"] == value
                if event["value"] and aggregate.argument.value == "amount":
                    minor = round(float(line["amount"]) * 100)
                    if line["currency"] == "CNY":
                        assert event["value"] == shown_number(
                            minor, aggregate.argument.type, "", "UTC"
                        )
                n += 1
    assert n > 20


def test_a_change_that_is_claimed_changes_the_decision(out, decisions):
    """The nearest change of a field of the message: send it so, and the engine decides as was said."""
    tried = 0
    for decision in loud(decisions, 12):
        again = Rederivation(RealDisk(), out)
        again.start(decision["seq"])
        again.run_to(decision["seq"])
        (recorded,) = again.journal.read(decision["seq"], decision["seq"] + 1)
        line = recorded.messages.lines[0]
        state = again.core.save()
        outcome = again.core.apply([line], ["x"])
        taken = Taken(decision["seq"], line, "x")
        told = explain.document(again.core, again.setup, taken, outcome, explain.Asked())
        for change in told["changes"]:
            if change["column"].startswith("model.") or not told["how"]["agrees"]:
                continue
            core = Core(again.setup)
            core.load(state)
            value = changed_value(again.core, change, outcome)
            if value is None:
                continue
            got = forced(core, line, change["column"], value)
            assert got == change["decision"], (decision["seq"], change)
            tried += 1
    assert tried > 0


def changed_value(core, change, outcome):
    """The number in a change's words, as the frame holds it; None for what is no plain number."""
    read = frame_reader(outcome.frame, 0, core.dictionaries)
    rules = Ruling(core, shipped_setup(), outcome, Evaluator.of_pack(core.ruleset.pack, read))
    for flip in rules._candidates():
        if flip.text == change["what"] and isinstance(flip.value, float):
            return flip.value
    return None


def forced(core, line, column, value):
    """What the core decides if a column of the frame had this value just before the rules looked."""
    outcome = core.apply([line], ["x"], forced={column: value})
    return json.loads(outcome.streams["decisions"])["decision"]


def test_the_words_read_without_names_and_the_call_is_on_record(
    out, decisions, capsys, monkeypatch
):
    monkeypatch.setenv(KEY_ENV, KEY)
    decision = loud(decisions, 1)[0]
    status, text = asked(out, decision["transaction_id"], capsys=capsys)
    assert status == 0
    assert decision["decision"].upper() in text
    assert not PLAIN_ID.search(text), PLAIN_ID.search(text)
    access = (out / "access.ndjson").read_bytes().splitlines()
    assert json.loads(access[-1])["verb"] == "explain"
    status, text = asked(out, decision["transaction_id"], "--reveal", capsys=capsys)
    assert decision["account"] in text
    access = (out / "access.ndjson").read_bytes().splitlines()
    assert json.loads(access[-1])["arguments"]["reveal"] is True


def test_without_a_key_names_are_hidden(out, decisions, capsys, monkeypatch):
    monkeypatch.delenv(KEY_ENV, raising=False)
    _, text = asked(out, loud(decisions, 1)[0]["transaction_id"], "--format", "json", capsys=capsys)
    told = json.loads(text)
    assert told["decision"]["account"] == "hidden"
    assert not PLAIN_ID.search(text)


def test_one_rule_is_explained_though_it_did_not_fire(out, decisions, capsys, monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)
    quiet = next(d for d in decisions if not d["fired"] and not d["undecided"])
    _, text = asked(
        out,
        "--seq",
        str(quiet["seq"]),
        "--rule",
        "CARD-TEST-001",
        "--format",
        "json",
        capsys=capsys,
    )
    told = json.loads(text)
    (rule,) = told["rules"]
    assert rule["id"] == "CARD-TEST-001"
    assert rule["outcome"] in ("did not fire", "does not apply")
    assert is_pseudonym(told["decision"]["account"])


class Page(html.parser.HTMLParser):
    """Notes tags left open, and everything that would be fetched from somewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br"):
            self.open.append(tag)
        named = dict(attributes)
        self.fetched += [v for k, v in named.items() if k in ("src", "href", "data", "action")]

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open and self.open.pop() != tag:
                pass


def test_the_page_is_one_file_without_anything_from_elsewhere(out, decisions):
    told = document(out, loud(decisions, 1)[0]["seq"])
    told["rules"][0]["name"] = "<script>alert(1)</script>"
    text = page.as_page(told)
    parser = Page()
    parser.feed(text)
    assert parser.fetched == []
    assert parser.open == []
    assert "<script" not in text
    assert "url(" not in text
    assert "@import" not in text
    assert "size: A4" in text
    for sentences in told["sentences"].values():
        for language in ("en", "zh"):
            if language in sentences["analyst"]:
                assert sentences["analyst"][language] in text


def test_columns_of_the_text_are_straight_with_chinese_in_them():
    rows = list(prose.aligned([("一二", "x"), ("abc", "y")], ""))
    assert [prose.width_of(row[: row.index(c)]) for row, c in zip(rows, "xy", strict=True)] == [
        6,
        6,
    ]


@pytest.mark.parametrize("combine", ["sum", "max", "noisy_or"])
def test_scores_combine_as_in_the_engine(combine):
    pack = replace(shipped_setup().pack, combine=combine)
    rng = random.Random(1)
    for _ in range(50):
        scores = [rng.uniform(-100, 700) for _ in range(rng.randrange(5))]
        assert combined(pack, scores) == of_the_engine(combine, scores)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["t-nobody"], "there is no decision on transaction `t-nobody`"),
        ([], "name one record"),
        (["--seq", "0", "--rule", "NO-SUCH-1"], "there is no rule `NO-SUCH-1`"),
        (["--seq", "99999999"], "is not in the journal"),
    ],
)
def test_what_cannot_be_explained_says_why(out, arguments, says, capsys, monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)
    assert cli.main(["audit", "explain", str(out), *arguments]) == 2
    assert says in capsys.readouterr().err


def test_a_decision_that_was_changed_is_not_passed_over(out, decisions, tmp_path):
    copy = Path(shutil.copytree(out, tmp_path / "copy"))
    decision = loud(decisions, 1)[0]
    path = copy / "decisions.ndjson"
    old = b'{"seq":%d,' % decision["seq"]
    text = path.read_bytes()
    at = text.index(b'"score":', text.index(old))
    path.write_bytes(text[:at] + b'"score":1,"was":' + text[at + 8 :])
    told = document(copy, decision["seq"])
    assert any("not the one derived again" in note for note in told["notes"])


def test_every_kind_of_record_can_be_explained(tmp_path):
    """Late ones, repeats, labels, broken messages: each gives a document, as text and as a page."""
    out = replayed(tmp_path / "run", 500)
    again = Rederivation(RealDisk(), out)
    again.start(0)
    seen = set()
    for seq in range(again.journal.seq_end):
        (recorded,) = again.journal.read(seq, seq + 1)
        taken = Taken(seq, recorded.messages.lines[0], recorded.messages.positions[0])
        outcome = again.core.apply([taken.line], [taken.position])
        kind = int(outcome.batch.kind[0]), bool(outcome.admitted.late[0])
        if kind in seen and seq % 25:
            continue
        seen.add(kind)
        told = explain.document(again.core, again.setup, taken, outcome, explain.Asked())
        assert not [note for note in told["notes"] if "WARNING" in note], seq
        assert prose.as_text(told)
        assert page.as_page(told)
        json.dumps(told)
        if told["decision"] is not None and not told["decision"]["restrictions"]:
            reasons = told["decision"]["reasons"]
            assert told["how"]["agrees"] or {"CAP_REACHED", "UNSCORABLE"} & set(reasons), seq
    assert len(seen) >= 5, seen


def test_an_approximated_feature_says_that_single_events_are_not_held(tmp_path):
    """What is held of it is a sample; events of a sample would look like all there were."""
    bank = small_bank(tmp_path / "bank")
    rules = bank / "packs" / "one" / "rules.yaml"
    text = rules.read_text().replace(
        "{fast_1h: count() by account over 1h}",
        "{fast_1h: {is: count_distinct(transaction_id) by account over 1h, approx: 5%}}",
    )
    rules.write_text(text)
    core = Core(read_setup(bank))
    lines = small_traffic(tmp_path / "t.ndjson", 60).read_bytes().splitlines()
    core.apply(lines[:-1], [f"x:{i}" for i in range(len(lines) - 1)])
    taken = Taken(len(lines) - 1, lines[-1], "x")
    outcome = core.apply([taken.line], ["x"])
    told = explain.document(core, read_setup(bank), taken, outcome, explain.Asked("FAST-002"))
    (feature,) = [f for f in told["features"] if f["name"] == "fast_1h"]
    assert "events" not in feature
    assert "a sample of its events" in feature["note"]
    assert "standard error 5%" in feature["words"]


LISTED = """\
  - id: SEEN-004
    name: A payee that people or rules have listed
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: counterparty in @watch
    score: 300
    actions:
      - alert: {queue: l1, title: "Listed"}
  - id: WATCH-005
    name: The payee of a huge payment
    version: 1
    owner: payments
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: amount >= 990 CNY
    score: 100
    actions:
      - list_add: {list: watch, value: counterparty, for: 24h, max_per_hour: 20}
lists:
  watch: {type: id, of: account, values: [W0]}
"""


def paid(k, to, amount="5.00", **more):
    at = datetime(2026, 3, 2, 10, tzinfo=UTC) + timedelta(seconds=k)
    return {
        "transaction_id": f"t-{k}",
        "account": f"A{k % 50:02d}",
        "counterparty": to,
        "event_time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "type": "payment",
        "direction": "out",
        "amount": amount,
        "currency": "CNY",
    } | more


def test_a_row_that_was_added_is_told_with_who_added_it_and_when(tmp_path, capsys):
    """One that a rule has added, one that a person has, and one of the file, through the command line."""
    bank = small_bank(tmp_path / "bank")
    rules = bank / "packs" / "one" / "rules.yaml"
    rules.write_text(rules.read_text() + LISTED)
    order = {"kind": "command", "command": "list_add", "list": "watch", "value": "P2", "for": "2h"}
    messages = [
        paid(0, "P1", "990.00"),
        order | {"by": "anna", "reason": "police", "reference": "PD-7"},
        *(paid(k, "P9") for k in range(2, 256)),
        paid(256, "P1"),
        paid(257, "P2"),
        paid(258, "W0"),
    ]
    path, out = tmp_path / "t.ndjson", tmp_path / "out"
    path.write_bytes(b"".join(json.dumps(m).encode() + b"\n" for m in messages))
    assert cli.main(["replay", str(path), "--config", str(bank), "--out", str(out)]) == 0
    for seq, wanted in [
        (256, ("source rule WATCH-005, reference t-0, reason TEST, valid_from 2026-03-02T10:00:00Z, "
              "valid_until 2026-03-03T10:00:00Z (added at seq 0, counts from seq 256)")),
        (257, ("source anna, reference PD-7, reason police, valid_from 2026-03-02T10:00:00Z, "
              "valid_until 2026-03-02T12:00:00Z (added at seq 1, counts from seq 256)")),
        (258, "@watch: counterparty hidden (written in the pack, line "),
    ]:  # fmt: skip
        status, told = asked(out, "--seq", str(seq), capsys=capsys)
        assert status == 0
        assert wanted in " ".join(told.split()), told


def test_an_exception_ends_on_the_day_that_people_wrote(tmp_path):
    """Midnight in Shanghai is the day before in UTC."""
    bank = small_bank(tmp_path / "bank")
    core = Core(read_setup(bank))
    line = json.dumps(paid(0, "P1", "950.00", channel="mobile")).encode()
    outcome = core.apply([line], ["x"])
    told = explain.document(core, read_setup(bank), Taken(0, line, "x"), outcome, explain.Asked())
    (rule,) = [rule for rule in told["rules"] if rule["id"] == "BIG-001"]
    assert [e["expires"] for e in rule["exceptions"]] == ["2027-12-31"]
    assert "until 2027-12-31\n" in prose.as_text(told)
