"""Cases: one a customer, worst first, closed with a verdict that comes back as labels."""

from config.decisions import DecisionSettings
from tests.deciding import DAY, HOUR, Bench, alert, command, fires, rule

TICK = {"kind": "tick", "id": None}
WHO = {"by": "ann", "reason": "called"}


def bench(**more):
    rules = (
        rule("A", alert(), dedup=["card"]),
        rule("B", alert("l2"), severity="critical"),
        rule("C", alert(), severity="low"),
    )
    return Bench(*rules, **more)


def test_all_alerts_about_a_customer_are_one_case_and_others_are_others():
    b = bench()
    b.batch(
        [
            fires("A", customer="K1"),
            fires("A", customer="K1", card="C2", account="A2"),
            fires("A", "B", customer="K1"),
            fires("A", customer="K2", card="C3"),
            fires("A", card="C4"),
        ]
    )
    ids = [line["case_id"] for line in b.lines("alerts")]
    assert [ids.index(one) for one in ids] == [0, 0, 0, 0, 4, 5]
    first = b.decider.cases[0]
    assert (first.field, first.entity, first.count, first.money_minor) == (
        "customer",
        "K1",
        4,
        4 * 12_345,
    )
    assert (first.rules, len(first.alerts)) == (("A", "B"), 3)
    assert first.transactions == (("A1", "t-0"), ("A2", "t-1"), ("A1", "t-2"))
    assert [(c.field, c.entity) for c in b.decider.cases[1:] if c.field == "account"] == [
        ("account", "A1")
    ]


def test_the_worst_with_the_most_money_stand_first():
    b = bench()
    b.batch(
        [
            fires("C", customer="K1", amount=900_00.0),
            fires("B", customer="K2", amount=300_00.0),
            fires("A", customer="K3", amount=200_00.0),
        ]
    )
    assert [(c.entity, c.priority_minor) for c in b.decider.cases] == [
        ("K2", 4 * 300_00),
        ("K1", 900_00),
        ("K3", 3 * 200_00),
    ]


def test_a_case_is_assigned_and_closed_with_labels_for_its_transactions():
    b = bench()
    b.batch([fires("A", customer="K1", at=0), fires("B", customer="K1", at=0)])
    case = b.decider.cases[0].id
    close = command("close", **WHO, case_id=case, verdict="fraud", verdicts={"t-1": "genuine"})
    assign = command("assign", **WHO, case_id=case, to="bob")
    b.batch([TICK | {"at": HOUR}, assign, close, close, fires("A", customer="K1", at=HOUR)])
    assigned, closed, again = b.answers
    assert assigned["owner"] == "bob"
    about = {"kind": "label", "account": "A1", "source": f"case {case}"}
    assert closed["labels"] == [
        about | {"transaction_id": "t-0", "label": "fraud"},
        about | {"transaction_id": "t-1", "label": "genuine"},
    ]
    assert again["what"] == f"no case `{case}` is open"
    lines = b.lines("resolutions")
    assert [(line["kind"], line["outcome"], line["age_s"]) for line in lines] == [
        ("case", "assigned", 3600.0),
        ("case", "closed", 3600.0),
    ]
    assert (lines[1]["verdict"], lines[1]["owner"]) == ("fraud", "bob")
    last = b.lines("alerts")[-1]
    assert last["kind"] == "rule", "its alerts are resolved, so that a new match is a new alert"
    assert last["case_id"] != case


def test_an_unclear_verdict_teaches_nothing_and_strange_transactions_are_refused():
    b = bench()
    b.batch([fires("A", customer="K1")])
    case = b.decider.cases[0].id
    close = {"case_id": case, "verdict": "unclear"}
    b.batch([command("close", **WHO, **close, verdicts={"t-9": "fraud"})])
    b.batch([command("close", **WHO, **close)])
    assert b.answers[0]["what"] == "the case holds no transaction `t-9`"
    assert b.answers[1]["labels"] == []


def test_a_case_that_nobody_closes_is_dropped_with_its_alerts():
    b = bench(settings=DecisionSettings(alerts_kept="2d"))
    b.batch([fires("A", at=0), fires("A", at=DAY), TICK | {"at": 3 * DAY - 1}])
    assert len(b.decider.cases) == 1
    b.batch([TICK | {"at": 3 * DAY}])
    assert b.decider.cases == []


def test_cases_go_on_after_a_restart():
    rows = [fires("A", customer=f"K{i % 2}", card=f"C{i}", at=i * HOUR) for i in range(6)]
    broken = bench().run(rows[:3]).restart().run(rows[3:])
    calm = bench().run(rows)
    assert broken.streams == calm.streams
    assert broken.decider.cases == calm.decider.cases
