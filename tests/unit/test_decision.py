"""Decisions: bands, actions, what is missing, and the exact bytes of a line."""

import json

import numpy as np
import pytest

from config.decisions import DecisionSettings
from config.errors import ConfigError
from engine.batch import Dead
from engine.outcomes import (
    dead_letter_line,
    number_text,
    quoted,
    rfc3339,
)
from engine.verdict import NO_DECISION
from tests.deciding import (
    CONFIG,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    START,
    Bench,
    action,
    alert,
    fires,
    loose,
    restrict,
    rule,
)

EXAMPLE = (
    '{"seq":17,"transaction_id":"t-17","event_time":"2026-03-02T10:00:09Z","account":"A1","decision":"hold","score":612,'
    '"models":{"champion":0.91,"anomaly":0.77},"fired":[{"rule":"CARD-TEST-001","version":3,"reason":"CARD_TESTING","score":450}],'
    '"shadow":[],"excepted":[],"suppressed":[],"undecided":[["TRAVEL-001","field7"]],"reasons":["CARD_TESTING"],'
    '"contributions":[["amount_vs_usual_30d",0.41]],"restrictions":[],"alerts":["%s"],"commands":["%s"],"late":false,'
    '"hold":{"until":"2026-03-03T10:00:09Z","then":"review"},"config":"' + CONFIG + '"}\n'
)


def test_a_decision_line_reads_as_the_design_prints_it():
    """The example of design.md section 5, but for ids, 162 points of another rule, and the end of the hold."""
    bench = Bench(
        rule("CARD-TEST-001", alert(), restrict(), action("hold"), reason="CARD_TESTING"),
        rule("TRAVEL-001", if_undecided=(162.0, "")),
    )
    bench.seq = 17
    row = fires("CARD-TEST-001", at=9 * SECOND, points={"CARD-TEST-001": 450.0})
    row["truth"]["TRAVEL-001"] = 7
    row["models"] = {"anomaly": 0.77, "champion": 0.91}
    bench.batch([row])
    [alert_line], [command_line] = bench.lines("alerts"), bench.lines("commands")
    text = EXAMPLE % (alert_line["alert_id"], command_line["command_id"])
    text = text.replace('["CARD_TESTING"]', '["CARD_TESTING","UNDECIDED"]')
    assert bench.streams["decisions"].decode() == text


def test_a_quiet_row_is_approved_with_nothing_to_tell():
    bench = Bench(rule("A"))
    bench.batch([fires()])
    [line] = bench.lines("decisions")
    assert line["decision"] == "approve"
    assert line["score"] == 0
    assert line["contributions"] == line["reasons"] == line["fired"] == []


@pytest.mark.parametrize(
    ("points", "decision"),
    [(299.999999, "approve"), (300, "review"), (599.5, "review"), (600, "challenge"), (850, "hold"), (1000, "hold"), (4000, "hold"), (-50, "approve")],
)  # fmt: skip
def test_bands_hold_their_lower_end_and_the_last_also_its_upper(points, decision):
    bench = Bench(rule("A"))
    bench.batch([fires("A", points={"A": points})])
    [line] = bench.lines("decisions")
    assert line["decision"] == decision
    assert line["score"] == min(max(points, 0), 1000)


@pytest.mark.parametrize(("combine", "score"), [("sum", 700), ("max", 400), ("noisy_or", 580)])
def test_scores_combine_as_the_pack_says(combine, score):
    bench = Bench(rule("A"), rule("B"), combine=combine)
    bench.batch([fires("A", "B", points={"A": 400.0, "B": 300.0})])
    assert bench.lines("decisions")[0]["score"] == score


@pytest.mark.parametrize(
    ("kind", "decision"),
    [("alert", "approve"), ("challenge", "challenge"), ("hold", "hold"), ("decline", "decline"), ("tag", "approve"), ("notify", "approve")],
)  # fmt: skip
def test_the_decision_is_at_least_what_an_action_asks_for(kind, decision):
    bench = Bench(rule("A", action(kind)))
    bench.batch([fires("A")])
    assert bench.decisions() == [decision]


def test_the_most_severe_of_band_and_actions_counts():
    bench = Bench(rule("A", action("challenge")), rule("B", action("hold")))
    bench.batch([fires("A", "B", points={"A": 10.0}), fires("A", points={"A": 900.0})])
    assert bench.decisions() == ["hold", "hold"]


@pytest.mark.parametrize(
    ("type_", "decision"), [("card_auth", "decline"), ("payment", "hold"), ("refund", "hold")]
)
def test_freezing_an_entity_of_the_transaction_blocks_the_transaction(type_, decision):
    bench = Bench(rule("A", restrict("card")))
    bench.batch([fires("A", type=type_)])
    assert bench.decisions() == [decision]


def test_watching_an_entity_does_not_block_the_transaction():
    bench = Bench(rule("A", restrict("card", "watch")))
    bench.batch([fires("A"), fires()])
    assert bench.decisions() == ["approve", "approve"]
    watched = bench.lines("commands")[0]["restriction_id"]
    assert [line["restrictions"] for line in bench.lines("decisions")] == [[], [watched]]


def test_a_shadow_rule_is_recorded_and_has_no_effect():
    bench = Bench(rule("A", action("hold"), alert(), restrict(), mode="shadow"))
    bench.batch([fires("A", points={"A": 900.0})])
    [line] = bench.lines("decisions")
    assert (line["decision"], line["score"], line["fired"]) == ("approve", 0, [])
    assert line["shadow"] == [{"rule": "A", "version": 3, "reason": "R_A", "score": 900}]
    assert bench.streams["alerts"] == bench.streams["commands"] == b""


def test_a_rule_outside_its_rollout_or_warming_behaves_as_shadow():
    for bench, row in (
        (Bench(rule("A", action("hold"), restrict())), fires("A", outside=["A"])),
        (Bench(rule("A", action("hold"), restrict()), warming=["A"]), fires("A")),
    ):
        bench.batch([row])
        [line] = bench.lines("decisions")
        assert line["decision"] == "approve"
        assert [entry["rule"] for entry in line["shadow"]] == ["A"]
        assert bench.streams["commands"] == b""


def test_an_excepted_rule_names_its_exception_and_counts_nothing():
    bench = Bench(rule("A", action("hold"), exceptions=("EX-1", "EX-2")))
    bench.batch([fires("A", points={"A": 900.0}, excepted={"A": 2})])
    [line] = bench.lines("decisions")
    assert (line["decision"], line["score"], line["excepted"]) == ("approve", 0, [["A", "EX-2"]])


def test_an_undecided_rule_names_the_missing_field():
    bench = Bench(rule("A"), rule("B"))
    bench.batch(
        [{"account": "A1", "truth": {"A": 4, "B": 9}}, {"account": "A1", "truth": {"B": 9}}]
    )
    assert [line["undecided"] for line in bench.lines("decisions")] == [
        [["A", "field4"], ["B", "field9"]],
        [["B", "field9"]],
    ]
    assert bench.decided.counts["undecided"] == {"A": 1, "B": 2}


def test_if_undecided_says_what_a_missing_field_means():
    bench = Bench(rule("A", if_undecided=(350.0, "challenge")), rule("B", if_undecided=(700.0, "")))
    bench.batch([{"truth": {"A": 1}}, {"truth": {"B": 1}}, {"truth": {"A": 1}, "outside": ["A"]}])
    lines = bench.lines("decisions")
    assert [line["decision"] for line in lines] == ["challenge", "challenge", "approve"]
    assert [line["score"] for line in lines] == [350, 700, 0]
    assert [line["reasons"] for line in lines] == [["UNDECIDED"], ["UNDECIDED"], []]


def test_rollout_decides_for_undecided_rows_one_by_one():
    bench = Bench(rule("A", if_undecided=(100.0, ""), rollout_by="card", rollout_percent=50.0))
    bench.batch([{"truth": {"A": 1}, "outside": ["A"] * (i % 2)} for i in range(6)])
    assert [line["score"] for line in bench.lines("decisions")] == [100, 0, 100, 0, 100, 0]


def test_a_score_that_misses_a_field_counts_nothing_and_marks_the_rule():
    bench = Bench(rule("A"))
    bench.batch([fires("A", points={"A": float("nan")})])
    assert bench.lines("decisions")[0]["fired"][0]["score"] == 0
    assert bench.decided.counts["degraded"] == {"A": 1}


def test_reasons_stand_in_the_order_of_rules_then_the_engines_own_each_once():
    bench = Bench(rule("B", reason="X"), rule("A", reason="Y"), rule("C", reason="X"))
    bench.batch([fires("A", "B", "C", foreign=True, late=True)])
    assert bench.lines("decisions")[0]["reasons"] == ["Y", "X", "FX_RATE_MISSING", "LATE"]


def test_money_without_a_rate_is_at_least_reviewed():
    bench = Bench(rule("A"))
    bench.batch([fires(foreign=True), fires()])
    assert bench.decisions() == ["review", "approve"]


def test_a_late_row_is_decided_and_says_so():
    bench = Bench(rule("A"))
    bench.batch([fires(), fires(late=True, at=-DAY)])
    assert [line["late"] for line in bench.lines("decisions")] == [False, True]


def test_a_dead_but_readable_transaction_gets_the_fallback_of_its_type():
    settings = DecisionSettings(fallback={"card_auth": "decline"})
    bench = Bench(rule("A"), settings=settings)
    dead = {"kind": "dead", "account": "A1", "id": "t-x", "unscorable": "card_auth"}
    bench.batch([fires(), dead, dead | {"unscorable": "payment"}, {"kind": "dead"}])
    first, *rest = bench.lines("decisions")
    assert [line["decision"] for line in rest] == ["decline", "review"]
    assert rest[0]["reasons"] == ["UNSCORABLE"]
    assert rest[0]["models"] == {}
    assert list(first) == list(rest[0])
    assert bench.decided.decision.tolist() == [0, 4, 1, -1]


def test_a_dead_transaction_of_a_frozen_account_stays_blocked():
    bench = Bench(rule("A", restrict("account")), settings=loose(fallback_otherwise="approve"))
    dead = {"kind": "dead", "account": "A1", "unscorable": "card_auth"}
    bench.batch([fires("A"), dead, dead | {"account": "A2"}])
    assert bench.decisions() == ["hold", "decline", "approve"]


def test_a_duplicate_is_answered_with_its_first_decision_and_decided_no_more():
    bench = Bench(rule("A", action("hold")))
    bench.batch([fires("A"), {"kind": "duplicate", "id": "t-0", "account": "A1", "first": 0}])
    bench.batch([{"kind": "duplicate", "id": "t-0", "account": "A1", "first": 0}])
    assert len(bench.lines("decisions")) == 1
    same = {"transaction_id": "t-0", "account": "A1", "first_seq": 0, "decision": "hold"}
    same |= {"outcome": "pending"}
    assert bench.lines("duplicates") == [{"seq": 1, **same}, {"seq": 2, **same}]


def test_a_repeated_label_has_no_decision_to_repeat():
    bench = Bench(rule("A"))
    bench.known[0] = NO_DECISION
    bench.batch([fires(), {"kind": "duplicate", "account": "A1", "first": 0}])
    assert bench.lines("duplicates")[0]["decision"] is None


def test_activities_alert_and_restrict_but_get_no_decision():
    bench = Bench(rule("A", alert(), restrict("device"), action("hold"), action("tag", tag="ring")))
    bench.batch(
        [
            {"kind": "activity", "id": None, "device": "D1", "truth": {"A": True}},
            {"device": "D1", "type": "payment"},
        ]
    )
    assert bench.decisions() == ["hold"]
    [raised] = bench.lines("alerts")
    assert raised["tags"] == ["ring"]
    assert bench.lines("decisions")[0]["reasons"] == ["RESTRICTED"]


def test_a_model_alone_causes_at_most_a_challenge():
    settings = DecisionSettings(models_alone={"review": 0.8, "hold": 0.95})
    bench = Bench(rule("A"), settings=settings)
    scores = [0.79, 0.8, 0.95]
    bench.batch(
        [fires(models={"champion": score}) for score in scores]
        + [fires("A", models={"champion": 0.95})]
    )
    assert bench.decisions() == ["approve", "review", "challenge", "hold"]
    assert bench.lines("decisions")[1]["reasons"] == ["MODEL_SCORE"]


def test_without_the_setting_a_model_alone_causes_nothing():
    bench = Bench(rule("A"))
    bench.batch([fires(models={"champion": 1.0})])
    assert bench.decisions() == ["approve"]


@pytest.mark.parametrize("n", [1, 40])
@pytest.mark.parametrize("text", ['a"b', "a\\b", "ü\u2028", "tab\t", "plain", "\x7f", None])
def test_ids_are_written_as_json_whatever_stands_in_them(text, n):
    """In a small batch, which is written row by row, and in one that is written by columns."""
    bench = Bench(rule("A"))
    bench.batch([fires(id=text, account="A1"), *(fires(id="t", account=text) for _ in range(n))])
    lines = bench.lines("decisions")
    assert lines[0]["transaction_id"] == text
    assert [line["account"] for line in lines] == ["A1"] + [text] * n


def test_models_stand_champion_first_whatever_the_order_of_the_dict():
    bench = Bench(rule("A"))
    bench.batch([fires(models={"b": 0.5, "champion": 0.5, "a": float("nan")})])
    text = bench.streams["decisions"].decode()
    assert '"models":{"champion":0.5,"a":null,"b":0.5}' in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.91, "0.91"), (0.0, "0.0"), (1.0, "1.0"), (0.00005, "0.00005"), (0.000001, "0.000001"), (0.1234564, "0.123456"), (-0.25, "-0.25"),
     (-1e-9, "0.0"), (12.5, "12.5"), (1e20, "100000000000000000000.0"), (float("nan"), "null"), (float("inf"), "null")],
)  # fmt: skip
def test_numbers_have_at_most_six_decimals_and_no_exponent(value, text):
    assert number_text(value) == text


def test_times_have_the_decimals_they_need():
    times = np.array(
        [START, START + 120_000, START + 1, 0, START + 59 * SECOND + 23 * HOUR + 59 * MINUTE]
    )
    texts = [rfc3339(t) for t in times.tolist()]
    assert [np.datetime64(t[:-1], "us").astype(np.int64) for t in texts] == times.tolist()
    assert texts[:3] == [
        "2026-03-02T10:00:00Z",
        "2026-03-02T10:00:00.120Z",
        "2026-03-02T10:00:00.000001Z",
    ]


def test_half_a_surrogate_pair_is_escaped():
    assert json.loads(quoted("\ud800")) == "\ud800"


def test_a_dead_letter_keeps_the_bytes_that_came():
    dead = Dead("bad_json", "what", "fix")
    assert json.loads(dead_letter_line(3, "day1.ndjson:4", dead, b'{"a":'))["message"] == '{"a":'
    assert (
        json.loads(dead_letter_line(3, "day1.ndjson:4", dead, b"\xff"))["message_base64"] == "/w=="
    )


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"ack_timeout": "0s"}, "`ack_timeout` must be longer than 0s"),
        ({"automation_max": "31d"}, "`automation_max` must not exceed `automation_span`, was 31d in 30d"),
        ({"blocked": {"payment": "review"}}, "`blocked` must be challenge, hold or decline, was review for payment"),
        ({"max_holds_per_hour": -1}, "`max_holds_per_hour` must not be negative, was -1"),
    ],
)  # fmt: skip
def test_settings_out_of_bounds_are_refused(wrong, what):
    with pytest.raises(ConfigError) as caught:
        DecisionSettings(**wrong)
    assert caught.value.what == what
