"""Alerts: one case per rule and entity, suppressions, and what people close."""

from config.decisions import DecisionSettings
from rules.definitions import Template
from rules.tree import Node, Type
from tests.deciding import DAY, HOUR, MINUTE, Bench, action, alert, command, fires, restrict, rule

TICK = {"kind": "tick", "id": None}


def test_an_alert_says_which_rule_matched_what():
    bench = Bench(rule("A", alert("cards-l1", "Card testing"), dedup=["card"]))
    bench.batch([fires("A", at=0)])
    [line] = bench.lines("alerts")
    assert line.pop("alert_id") == bench.lines("decisions")[0]["alerts"][0]
    assert line.pop("case_id") == bench.decider.cases[0].id
    assert line == {
        "kind": "rule",
        "seq": 0,
        "rule": "A",
        "version": 3,
        "reason": "R_A",
        "severity": "high",
        "entity": {"card": "C1"},
        "transaction_id": "t-0",
        "account": "A1",
        "event_time": "2026-03-02T10:00:00Z",
        "amount": "123.45",
        "currency": "EUR",
        "queue": "cards-l1",
        "title": "Card testing",
    }


def test_later_matches_join_the_open_alert_until_its_time_is_over():
    bench = Bench(rule("A", alert(), dedup=["card"], dedup_hours=6))
    bench.batch([fires("A", at=at) for at in (0, HOUR, 6 * HOUR - 1, 6 * HOUR)])
    lines = bench.lines("alerts")
    assert [line["kind"] for line in lines] == ["rule", "update", "update", "rule"]
    assert [line.get("count") for line in lines] == [None, 2, 3, None]
    assert lines[2]["amount_total"] == "370.35"
    assert (
        lines[0]["alert_id"] == lines[1]["alert_id"] == lines[2]["alert_id"] != lines[3]["alert_id"]
    )
    assert [m[2] for m in bench.matches] == ["fires", "deduplicated", "deduplicated", "fires"]
    assert [line["alerts"] for line in bench.lines("decisions")] == [
        [line["alert_id"]] for line in lines
    ]


def test_other_entities_and_other_rules_are_other_cases():
    bench = Bench(rule("A", alert(), dedup=["card"]), rule("B", alert(), dedup=["card"]))
    bench.batch([fires("A"), fires("A", card="C2"), fires("B")])
    assert len({line["alert_id"] for line in bench.lines("alerts")}) == 3


def test_a_match_without_the_entity_stands_alone():
    bench = Bench(rule("A", alert(), dedup=["card"]))
    bench.batch([fires("A", card=None), fires("A", card=None)])
    assert [line["kind"] for line in bench.lines("alerts")] == ["rule", "rule"]


def test_without_dedup_each_match_is_an_alert():
    bench = Bench(rule("A", alert()))
    bench.batch([fires("A"), fires("A")])
    assert len({line["alert_id"] for line in bench.lines("alerts")}) == 2


def test_two_queues_get_an_alert_each():
    bench = Bench(rule("A", alert("one"), alert("two"), dedup=["card"]))
    bench.batch([fires("A"), fires("A")])
    assert [line.get("queue") for line in bench.lines("alerts")] == ["one", "two", None, None]
    assert len(bench.lines("decisions")[1]["alerts"]) == 2


def test_a_resolved_alert_takes_no_more_matches():
    bench = Bench(rule("A", alert(), dedup=["card"]))
    bench.batch([fires("A")])
    id_ = bench.lines("alerts")[0]["alert_id"]
    done = command("resolve", alert_id=id_, by="ann", reason="was me", outcome="genuine")
    bench.batch([done, fires("A"), done])
    assert [line["kind"] for line in bench.lines("alerts")] == ["rule", "rule"]
    [line] = bench.lines("resolutions")
    assert (line["alert_id"], line["outcome"], line["by"], line["seq"]) == (
        id_,
        "genuine",
        "ann",
        1,
    )
    assert [answer["ok"] for answer in bench.answers] == [True, False]


def test_the_end_of_an_old_group_leaves_the_next_one_open():
    bench = Bench(rule("A", alert(), dedup=["card"], dedup_hours=6))
    bench.batch([fires("A", at=0)])
    done = command("resolve", alert_id=bench.lines("alerts")[0]["alert_id"], by="ann", reason="x")
    bench.batch([done, fires("A", at=HOUR), fires("A", at=6 * HOUR + MINUTE)])
    assert [line["kind"] for line in bench.lines("alerts")] == ["rule", "rule", "update"]


def test_an_alert_nobody_resolves_is_dropped_in_the_end():
    bench = Bench(rule("A", alert()), settings=DecisionSettings(alerts_kept="2d"))
    bench.batch([fires("A", at=0), TICK | {"at": 2 * DAY}])
    bench.batch(
        [command("resolve", alert_id=bench.lines("alerts")[0]["alert_id"], by="a", reason="b")]
    )
    assert bench.answers[0]["ok"] is False


def test_an_alert_that_still_takes_matches_is_kept():
    settings = DecisionSettings(alerts_kept="2d")
    bench = Bench(rule("A", alert(), dedup=["card"], dedup_hours=72), settings=settings)
    bench.batch([fires("A", at=0), fires("A", at=DAY), TICK | {"at": 3 * DAY - 1}])
    done = command("resolve", alert_id=bench.lines("alerts")[0]["alert_id"], by="a", reason="b")
    twin = Bench(rule("A", alert(), dedup=["card"], dedup_hours=72), settings=settings)
    twin.batch([fires("A", at=0), fires("A", at=DAY), TICK | {"at": 3 * DAY}])
    for each in (bench, twin):
        each.batch([done])
    assert bench.answers[0]["ok"] is True
    assert twin.answers[0]["ok"] is False


def test_a_title_can_name_what_moved_the_model():
    hole = (Node("column", Type("text"), value="model.top_reasons"), "")
    titled = action("alert", queue="q", title=Template(("because ", hole, ""), ""))
    bench = Bench(rule("A", titled))
    bench.batch([fires("A")])
    assert bench.lines("alerts")[0]["title"] == "because amount_vs_usual_30d"


def suppress(**more):
    return command("suppress", rule="A", entity={"card": "C1"}, by="ann", reason="known", **more)


def test_a_suppressed_rule_keeps_its_match_on_record_and_does_nothing():
    bench = Bench(rule("A", alert(), action("hold"), restrict()))
    bench.batch([fires(at=0), suppress(until="2026-03-02T11:00:00Z")])
    id_ = bench.answers[0]["suppression_id"]
    rows = [fires("A", at=1, points={"A": 900.0}), fires("A", at=2, card="C2"), fires("A", at=HOUR)]
    bench.batch(rows)
    lines = bench.lines("decisions")[1:]
    assert [line["decision"] for line in lines] == ["approve", "hold", "hold"]
    assert [line["suppressed"] for line in lines] == [[["A", id_]], [], []]
    assert lines[0]["score"] == 0
    assert len(bench.lines("alerts")) == 2


def test_a_suppressed_match_of_an_activity_is_on_record_too():
    bench = Bench(rule("A", alert()))
    bench.batch([fires(at=0), suppress(until="2026-03-03")])
    bench.batch([{"kind": "activity", "id": None, "card": "C1", "truth": {"A": True}}])
    [line] = bench.lines("alerts")
    assert (line["kind"], line["suppression_id"]) == (
        "suppressed",
        bench.answers[0]["suppression_id"],
    )


def test_shadow_matches_raise_no_alert():
    bench = Bench(rule("A", alert(), mode="shadow"))
    bench.batch([fires("A")])
    assert bench.streams["alerts"] == b""
    assert bench.matches == [(0, "A", "shadow")]


def test_what_happened_is_counted():
    bench = Bench(
        rule("A", alert(), restrict(level="watch"), dedup=["card"]), rule("B", mode="shadow")
    )
    bench.batch([fires("A"), fires("A", "B"), fires()])
    assert bench.decided.counts == {
        "decisions": {"approve": 3},
        "fired": {"A": 2},
        "shadow": {"B": 1},
        "alerts": {"rule": 1, "update": 1},
        "commands": {"restrict": 1},
    }
