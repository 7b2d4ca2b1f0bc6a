"""Reports to an authority: what is one report, when it is due, and that no decision depends on it."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest

from engine.reports import KEPT_DAYS
from rules.check.findings import as_text
from rules.definitions import ListDefinition, ListRow
from rules.tree import Node, Type
from tests.deciding import (
    DAY,
    HOUR,
    PLACE,
    Bench,
    alert,
    command,
    fires,
    report,
    rule,
)
from tests.ruling import RULE, load

WEEK = ["2026-03-02", "2026-03-06", "2026-03-08"]  # a Monday, a Friday, a Sunday


def cash(*ids, at=0, customer="K1", **more):
    return fires(*ids, at=at, customer=customer, **more)


def known(bench):
    """Day, revision and customer of every line, and which lines share an id, by the first of them."""
    lines = bench.lines("reports")
    first = {}
    for i, line in enumerate(lines):
        first.setdefault(line["report_id"], i)
    return [
        (line["day"], line["revision"], line["entity"]["customer"], first[line["report_id"]])
        for line in lines
    ]


def test_a_line_says_everything_an_authority_and_an_auditor_ask_for():
    bench = Bench(rule("CASH-001", report(by=["customer", "direction"])))
    bench.batch([cash("CASH-001")])
    (line,) = bench.lines("reports")
    assert list(line) == [
        "report_id",
        "revision",
        "kind",
        "to",
        "rule",
        "version",
        "seq",
        "transaction_id",
        "account",
        "entity",
        "event_time",
        "day",
        "amount",
        "currency",
        "title",
        "reason",
        "due_by",
    ]
    assert line.pop("report_id").startswith("p-")
    assert line == {
        "revision": 1,
        "kind": "large_cash",
        "to": "pboc",
        "rule": "CASH-001",
        "version": 3,
        "seq": 0,
        "transaction_id": "t-0",
        "account": "A1",
        "entity": {"customer": "K1", "direction": "out"},
        "event_time": "2026-03-02T10:00:00Z",
        "day": "2026-03-02",
        "amount": "123.45",
        "currency": "EUR",
        "title": "a title",
        "reason": "R_CASH-001",
        "due_by": "2026-03-09",
    }
    assert bench.decided.counts["reports"] == {"large_cash": 1}


def test_matches_of_one_day_and_entity_are_revisions_of_one_report():
    """Another customer, direction, kind or day is another report."""
    bench = Bench(
        rule("A", report(by=["customer"])), rule("B", report("cross_border", by=["customer"]))
    )
    bench.run(
        [
            cash("A"),
            cash("A", at=HOUR),
            cash("A", at=HOUR, customer="K2"),
            cash("B", at=2 * HOUR),
            cash("A", at=14 * HOUR - 1),
            cash("A", at=14 * HOUR),
        ]
    )
    assert known(bench) == [
        ("2026-03-02", 1, "K1", 0),
        ("2026-03-02", 2, "K1", 0),
        ("2026-03-02", 1, "K2", 2),
        ("2026-03-02", 1, "K1", 3),
        ("2026-03-02", 3, "K1", 0),
        ("2026-03-03", 1, "K1", 5),
    ]


def test_two_rules_of_one_kind_write_one_report():
    """A single large deposit and a day's sum of small ones are one fact to the authority."""
    bench = Bench(rule("A", report()), rule("B", report()))
    bench.batch([cash("A", "B")])
    assert [(line["rule"], line["revision"]) for line in bench.lines("reports")] == [
        ("A", 1),
        ("B", 2),
    ]
    assert len({line["report_id"] for line in bench.lines("reports")}) == 1


def test_the_day_is_the_local_one():
    """10:00 UTC is 18:00 in Shanghai; six hours later the next day has begun there."""
    bench = Bench(rule("A", report()), timezone="Asia/Shanghai")
    bench.run([cash("A"), cash("A", at=6 * HOUR - 1), cash("A", at=6 * HOUR)])
    assert [day for day, *_ in known(bench)] == ["2026-03-02", "2026-03-02", "2026-03-03"]


def test_a_late_row_counts_for_its_own_day():
    bench = Bench(rule("A", report()))
    bench.run([cash("A"), cash("A", at=DAY), cash("A", at=HOUR, late=True)])
    assert known(bench)[2] == ("2026-03-02", 2, "K1", 0)
    assert bench.lines("reports")[2]["due_by"] == "2026-03-09"


def test_a_row_later_than_anything_is_remembered_stands_alone():
    """Days are forgotten a month after their end; nothing is lost and no number is given twice."""
    bench = Bench(rule("A", report()))
    far = (KEPT_DAYS + 1) * DAY
    bench.run([cash("A"), cash("A", at=far), cash("A", late=True), cash("A", late=True)])
    lines = bench.lines("reports")
    assert [line["revision"] for line in lines] == [1, 1, 1, 1]
    assert len({line["report_id"] for line in lines}) == 4
    assert len(bench.decider._books.reports.save()) == 1
    near = Bench(rule("A", report()))
    near.run([cash("A"), cash("A", at=far - DAY), cash("A", late=True)])
    assert known(near)[2] == ("2026-03-02", 2, "K1", 0)


def test_a_match_that_misses_an_entity_stands_alone():
    """Two unknown customers are not one customer."""
    bench = Bench(rule("A", report()))
    bench.batch([cash("A", customer=None), cash("A", customer=None)])
    assert known(bench) == [("2026-03-02", 1, None, 0), ("2026-03-02", 1, None, 1)]


def test_a_rule_that_only_reports_leaves_every_byte_of_the_decision_alone():
    """No score, no reason, no alert, no entry in `fired`: the authority's interest is not the customer's risk."""
    bench = Bench(rule("A", report()))
    bench.batch([cash("A")])
    silent = Bench(rule("A", report()))
    silent.batch([cash()])
    assert bench.streams["decisions"] == silent.streams["decisions"]
    assert (bench.streams["alerts"], bench.streams["commands"]) == (b"", b"")
    assert bench.matches == [(0, "A", "fires")]
    assert "fired" not in bench.decided.counts


def test_a_rule_that_also_weighs_is_listed_and_reports():
    """With an alert or a score it is a rule like others, and every match reports, also one that joins the alert."""
    bench = Bench(
        rule("A", alert(), report(), dedup=["customer"]),
        rule("B", report(), score=Node("const", Type("number"), value=400.0)),
    )
    bench.batch([cash("A"), cash("A"), cash("B", points={"B": 400.0})])
    assert [len(line["fired"]) for line in bench.lines("decisions")] == [1, 1, 1]
    assert bench.decisions() == ["approve", "approve", "review"]
    assert len(bench.lines("alerts")) == 2
    assert [line["revision"] for line in bench.lines("reports")] == [1, 2, 3]


def test_a_model_alone_stays_alone_beside_a_report():
    """A report is no second opinion: the model may not do more because of it."""
    from config.decisions import DecisionSettings

    settings = DecisionSettings(models_alone={"hold": 0.9})
    bench = Bench(rule("A", report()), settings=settings)
    bench.batch([cash("A", models={"champion": 0.95}), cash(models={"champion": 0.95})])
    assert bench.decisions() == ["challenge", "challenge"]


def test_what_withholds_a_report_stays_on_record():
    """Exceptions, suppressions, shadow and roll-out: no line, and the decision says why."""
    bench = Bench(
        rule("A", report(), exceptions=["EX-1"]),
        rule("B", report(), mode="shadow"),
        rule("C", report(), rollout_by="card", rollout_percent=50.0),
    )
    suppress = command(
        "suppress",
        rule="A",
        entity={"customer": "K2"},
        until="2026-03-03T00:00:00Z",
        by="ann",
        reason="r",
    )
    bench.batch(
        [
            cash("A", excepted={"A": 1}),
            cash("B"),
            cash("C", outside=["C"]),
            suppress,
            cash("A", customer="K2"),
        ]
    )
    assert bench.answers[0]["ok"], bench.answers
    assert bench.lines("reports") == []
    first, second, third, last = bench.lines("decisions")
    assert first["excepted"] == [["A", "EX-1"]]
    assert [s["rule"] for s in second["shadow"]] == ["B"]
    assert [s["rule"] for s in third["shadow"]] == ["C"]
    assert [rule_id for rule_id, _ in last["suppressed"]] == ["A"]


def test_a_repeated_transaction_reports_once():
    bench = Bench(rule("A", report()))
    bench.batch([cash("A")])
    bench.batch([{"kind": "duplicate", "id": "t-0", "account": "A1", "first": 0}])
    assert len(bench.lines("reports")) == 1


def test_an_activity_can_be_reported():
    bench = Bench(rule("A", report(by=["account"])))
    bench.batch([{"kind": "activity", "id": None, "account": "A1", "truth": {"A": True}}])
    (line,) = bench.lines("reports")
    assert (line["transaction_id"], line["amount"]) == (None, None)


def test_revisions_go_on_after_a_restart():
    bench = Bench(rule("A", report()))
    bench.batch([cash("A"), cash("A", customer="K2")])
    bench.restart()
    bench.batch([cash("A"), cash("A", at=HOUR, late=True)])
    assert [line["revision"] for line in bench.lines("reports")] == [1, 1, 2, 3]


# ---- when it is due


def days(*texts):
    return ListDefinition("d", Type("text"), frozenset(texts), PLACE)


def due(day, n=0, *, holidays=(), workdays=(), for_us=0):
    """When a report about `day` is due, as its line says."""
    lists = {"holidays": days(*holidays), "workdays": days(*workdays)}
    asked = report(
        due_working_days=n, holidays="holidays", workdays="workdays", for_us=for_us
    )  # fmt: skip
    bench = Bench(rule("A", asked), timezone="Asia/Shanghai", lists=lists)
    bench.batch([cash("A", at=(date.fromisoformat(day) - date(2026, 3, 2)).days * DAY)])
    return bench.lines("reports")[0]["due_by"]


def naive(day, n, holidays, workdays):
    """Collect working days one after the other."""
    at, found = date.fromisoformat(day), []
    while len(found) < n:
        at += timedelta(days=1)
        off = at.strftime("%a") in ("Sat", "Sun") or str(at) in holidays
        if not off or str(at) in workdays:
            found.append(str(at))
    return found[-1]


@pytest.mark.parametrize("day", WEEK)
@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_working_days_leave_out_weekends_and_holidays_and_take_in_made_up_days(day, n):
    """Golden Week and the Saturdays that make up for it move a date; an oracle counts them one by one."""
    holidays = ["2026-03-09", "2026-03-10", "2026-03-14"]
    workdays = ["2026-03-07", "2026-03-15", "2026-03-10"]
    assert due(day, n) == naive(day, n, [], [])
    assert due(day, n, holidays=holidays) == naive(day, n, holidays, [])
    assert due(day, n, workdays=workdays) == naive(day, n, [], workdays)
    assert due(day, n, holidays=holidays, workdays=workdays) == naive(day, n, holidays, workdays)


def test_a_day_is_a_holiday_while_its_row_holds():
    """What the list says at the time of the event, which is 10:00 UTC on 2 March."""
    at = 1_772_445_600_000_000

    def listed(*rows):
        values = frozenset(row.value for row in rows)
        return ListDefinition("d", Type("text"), values, PLACE, rows=rows, is_dated=True)

    for start, end, expected in [
        (at, None, "2026-03-04"),
        (at + 1, None, "2026-03-03"),
        (None, at + 1, "2026-03-04"),
        (None, at, "2026-03-03"),
    ]:
        lists = {"holidays": listed(ListRow("2026-03-03", start, end)), "workdays": listed()}
        asked = report(due_working_days=1, holidays="holidays", workdays="workdays")
        bench = Bench(rule("A", asked), lists=lists)
        bench.batch([cash("A", at=0)])
        assert bench.lines("reports")[0]["due_by"] == expected
        lists = {"holidays": listed(), "workdays": listed(ListRow("2026-03-07", start, end))}
        bench = Bench(rule("A", replace(asked, due_working_days=5)), lists=lists)
        bench.batch([cash("A", at=0)])
        made_up = "2026-03-07" if expected == "2026-03-04" else "2026-03-09"
        assert bench.lines("reports")[0]["due_by"] == made_up


def test_a_duration_counts_from_the_midnight_at_which_the_day_begins():
    assert due("2026-03-06", for_us=DAY) == "2026-03-07"
    assert due("2026-03-06", for_us=10 * DAY) == "2026-03-16"
    assert due("2026-03-06", for_us=23 * HOUR) == "2026-03-06"


# ---- in a rule file

REPORT = "report: {kind: large_cash, to: pboc, due: 5 working days, by: [customer], title: a}"


def ruled(tmp_path, line, extra="", score=False):
    text = RULE if score else RULE.replace("    score: 100\n", "")
    lists = 'lists:\n  days: {values: ["2026-10-01"], type: text}\n  odd: {values: ["1 Oct"], type: text}\n'
    return load(
        tmp_path, {"r.yaml": f"{text}    actions:\n      - {line}\n{extra}", "l.yaml": lists}
    )


def test_a_rule_that_only_reports_needs_no_score(tmp_path):
    line = REPORT.replace("}", ", holidays: days, workdays: '@days'}").replace(
        "title: a", 'title: "{amount} in"'
    )
    loaded = ruled(tmp_path, line)
    assert loaded.pack is not None, as_text(loaded.findings)
    (only,) = loaded.pack.rules
    (asked,) = only.actions
    assert only.only_reports
    assert (asked.kind, asked.asked, asked.report, asked.to) == (
        "report",
        "report",
        "large_cash",
        "pboc",
    )
    assert (asked.by, asked.due_working_days, asked.for_us) == (("customer",), 5, 0)
    assert (asked.holidays, asked.workdays) == ("days", "days")
    assert asked.title.text == "{amount} in"
    other = ruled(tmp_path, REPORT.replace("5 working days", "36h"), score=True).pack.rules[0]
    assert not other.only_reports
    assert (other.actions[0].due_working_days, other.actions[0].for_us) == (0, 36 * HOUR)


@pytest.mark.parametrize(
    ("old", "new", "code", "message"),
    [
        ("large_cash", "Large-Cash", "WR023", '"Large-Cash" is not a kind of report'),
        ("kind: large_cash, ", "", "WR022", 'report needs "kind:"'),
        ("to: pboc, ", "", "WR022", 'report needs "to:"'),
        ("due: 5 working days, ", "", "WR022", 'report needs "due:"'),
        ("by: [customer], ", "", "WR022", 'report needs "by:"'),
        (", title: a", "", "WR022", 'report needs "title:"'),
        ("5 working days", "5 workdays", "WR025", 'due "5 workdays" says no time'),
        ("5 working days", "0 working days", "WR025", 'due "0 working days" says no time'),
        ("5 working days", "0s", "WR025", 'due "0s" says no time'),
        ("5 working days", "3651d", "WR025", 'due "3651d" is more than ten years'),
        ("5 working days", "99999999d", "WR025", 'due "99999999d" is more than ten years'),
        ("[customer]", "[custmer]", "WR101", 'unknown field "custmer"'),
        ("[customer]", "[amount]", "WR129", "amount is no id or category"),
        ("title: a", 'title: "{amuont}"', "WR101", 'unknown field "amuont"'),
        ("title: a", "title: a, holidays: holidys", "WR103", "unknown list @holidys"),
        ("title: a", "title: a, workdays: odd", "WR024", '@odd holds "1 Oct", which is not a date'),
        ("5 working days, by: [customer]", "5d, by: [customer], holidays: days", "WR020",
         '"holidays" has a meaning for working days only'),
        ("title: a", "title: a, queue: l1", "WR020", 'report has no key "queue"'),
    ],
)  # fmt: skip
def test_a_wrong_report_is_shown(tmp_path, old, new, code, message):
    loaded = ruled(tmp_path, REPORT.replace(old, new))
    assert [(f.code, f.message) for f in loaded.findings] == [(code, message)]
    assert loaded.findings[0].place.line == 13


def test_alerts_are_not_grouped_where_there_are_none(tmp_path):
    loaded = ruled(tmp_path, REPORT, "    dedup: {by: account, for: 6h}\n")
    assert [(f.code, f.message) for f in loaded.findings] == [
        ("WR020", "a rule that only reports has no alerts to group")
    ]


def test_a_score_is_still_wanted_beside_other_actions(tmp_path):
    loaded = ruled(tmp_path, f"{REPORT}\n      - tag: big")
    assert [(f.code, f.message) for f in loaded.findings] == [("WR022", 'rule R-1 needs "score:"')]


def test_lines_are_json_of_one_line_each():
    bench = Bench(rule("A", report()))
    bench.batch([cash("A"), cash("A")])
    assert [json.loads(text)["seq"] for text in bench.streams["reports"].splitlines()] == [0, 1]
