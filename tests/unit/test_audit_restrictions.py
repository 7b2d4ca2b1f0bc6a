"""Restrictions as an auditor sees them: how long they really lasted, who ended them, and whether they were right."""

import pytest

from replay.audit.explain import _of_restrictions
from replay.audit.inputs import Inputs, Order
from replay.audit.records import Seqs
from replay.audit.restrictions import COLUMNS, report
from tests.auditing import HOUR, START, decision, restrict, write


@pytest.fixture
def folder(tmp_path):
    """Five restrictions: expired, released, rejected, overdue and in force, one of a person."""
    released = restrict(5, "r-2", 2 * HOUR, verb="release", released_by=["a.li", "b.wu"])
    return write(
        tmp_path,
        decisions=[
            decision(0),
            decision(1, 10, restrictions=["r-1"]),
            decision(2, 20, restrictions=["r-1", "r-2"]),
            decision(4, 3 * HOUR),
        ],
        commands=[
            restrict(0, "r-1", hours=1),
            {"command_id": "c-n", "verb": "notify", "seq": 0, "core_time": "2026-03-02T10:00:00Z"},
            restrict(1, "r-2", 10, entity={"account": "A1"}),
            restrict(3, "r-1", HOUR, verb="expired", expires_at="2026-03-02T11:00:00Z"),
            restrict(3, "r-3", HOUR, rule=None, author="a.li"),
            released,
            restrict(4, "r-4", 2 * HOUR),
            restrict(4, "r-5", 2 * HOUR),
        ],
        alerts=[
            {
                "seq": 4,
                "kind": "operational",
                "reason": "COMMAND_REJECTED",
                "core_time": "2026-03-02T12:30:00Z",
                "title": "core rejected full_freeze of card C1: closed",
                "restriction_id": "r-3",
            },
            {
                "seq": 4,
                "kind": "operational",
                "reason": "NOT_ACKNOWLEDGED",
                "core_time": "2026-03-02T12:10:00Z",
                "title": "not acknowledged",
                "restriction_id": "r-4",
            },
        ],
    )


INPUTS = Inputs(
    is_known=True,
    labels={("A0", "t-0"): "genuine", ("A1", "t-1"): "fraud"},
    orders=[
        Order(5, {"command": "release", "command_id": "c-r-2-restrict", "by": "a.li", "reason": "called"}, "x"),
        Order(6, {"command": "release", "restriction_id": "r-2", "by": "b.wu", "reason": "id shown"}, "x"),
        Order(7, {"command": "release", "restriction_id": "r-1", "by": "x", "reason": "no"}, "x", {"ok": False}),
    ],
)  # fmt: skip


def rows(folder, inputs=INPUTS, seqs=None):
    answer = report(folder, seqs or Seqs(), inputs)
    return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in answer.sections[0].rows}


def test_each_restriction_tells_how_it_ended_and_how_long_it_lasted(folder):
    found = rows(folder)
    told = {id_: (row["how"], row["ended"], row["lasted"]) for id_, row in found.items()}
    assert told == {
        "r-1": ("expired", "2026-03-02T11:00:00Z", "1h"),
        "r-2": ("released", "2026-03-02T12:00:00Z", "1h59m59s"),
        "r-3": ("rejected", "2026-03-02T12:30:00Z", "1h30m"),
        "r-4": ("in force, not acknowledged in time", None, "1h"),
        "r-5": ("in force", None, "1h"),
    }
    assert (found["r-1"]["on"], found["r-1"]["entity"], found["r-1"]["imposed by"]) == (
        "card",
        "C1",
        "CARD-001",
    )
    assert found["r-3"]["imposed by"] == "a.li"


def test_a_release_names_both_people_and_what_each_of_them_said(folder):
    row = rows(folder)["r-2"]
    assert row["released by"] == "a.li, b.wu"
    assert row["why"] == "a.li: called; b.wu: id shown"
    assert rows(folder)["r-3"]["why"] == "core rejected full_freeze of card C1: closed"


def test_an_order_that_was_refused_explains_nothing(folder):
    assert rows(folder)["r-1"]["why"] == "its time was over"


def test_verdicts_are_those_of_the_labels_that_came_later(folder):
    found = rows(folder)
    assert [found[id_]["verdict"] for id_ in ("r-1", "r-2", "r-4")] == [
        "genuine",
        "fraud",
        "none yet",
    ]
    assert found["r-3"]["verdict"] is None  # a person's: no transaction led to it
    assert [found["r-1"][k] for k in ("touched", "fraud", "genuine")] == [2, 1, 0]


def test_without_a_journal_verdicts_are_unknown_not_absent(folder):
    answer = report(folder, Seqs(), Inputs())
    assert rows(folder, Inputs())["r-1"]["verdict"] is None
    assert "There is no journal" in answer.remarks[0]


def test_a_period_takes_the_restrictions_that_began_in_it(folder):
    assert list(rows(folder, seqs=Seqs(1, 4))) == ["r-2", "r-3"]
    assert START  # of the folder: 10:00


def test_a_release_that_is_stuck_or_unsigned_is_named(tmp_path):
    """Both are alarms of the engine; the report says so for as long as it is printed."""

    def alarm(reason, id_):
        told = {
            "seq": 2,
            "kind": "operational",
            "reason": reason,
            "title": "x",
            "restriction_id": id_,
        }
        return told | {"core_time": "2026-03-03T10:00:00Z"}

    out = write(
        tmp_path,
        decisions=[decision(0), decision(1, 10)],
        commands=[
            restrict(0, "r-1"),
            restrict(0, "r-2"),
            restrict(1, "r-1", 10, verb="release", released_by=["n.ma"]),
            restrict(1, "r-2", 10, verb="release", released_by=["a.li", "b.wu"]),
        ],
        alerts=[
            alarm("SECOND_SIGNATURE_MISSING", "r-1"),
            alarm("RELEASE_NOT_ACKNOWLEDGED", "r-2"),
            alarm("RELEASE_REJECTED", "r-2"),
        ],
    )
    found = {id_: row["how"] for id_, row in rows(out).items()}
    assert found == {
        "r-1": "released, second signature missing",
        "r-2": "released, not carried out in time",
    }
    [remark] = report(out, Seqs(), INPUTS).remarks
    assert remark.endswith("within 24 h: r-1")


def told(seq, kind=None, **more):
    about = {"seq": seq, "by": "b.wu", "reason": "looked", "core_time": "2026-03-02T12:00:00Z"}
    return about | ({"kind": kind} if kind else {}) | more


def test_everything_that_touched_a_restriction_is_named_in_order(tmp_path):
    """Appeals, signatures, what became of the transaction, its alert and its case, orders of authorities, the switch."""
    about = {"restriction_id": "r-1"}
    out = write(
        tmp_path,
        decisions=[decision(0), decision(1)],
        commands=[
            restrict(0, "r-1"),
            restrict(1, "r-2"),
            restrict(1, "r-3", rule=None, author="leo", order="AZ 1"),
            restrict(9, "r-1", verb="release", withdrawn=True, withdrawn_by="b.wu"),
            restrict(20, "r-3", verb="release", released_by=["leo"]),
        ],
        alerts=[
            {"seq": 0, "kind": "rule", "reason": "X", "alert_id": "a-0", "case_id": "k-0"},
            {"seq": 1, "kind": "rule", "reason": "X", "alert_id": "a-1", "case_id": "k-1"},
        ],
        resolutions=[
            told(10, "appeal", outcome="open", **about),
            told(11, "appeal", outcome="refused", **about),
            told(12, "countersignature", is_late=True, **about),
            told(13, first_seq=0, outcome="approve", transaction_id="t-0"),
            told(14, alert_id="a-0", outcome=None),
            told(15, "case", case_id="k-1", outcome="closed", verdict="genuine"),
            told(16, "command", command_id="c-r-1-restrict", outcome="withheld", **about),
            told(20, "release", restriction_id="r-3", by=["leo"], order="AZ 9", outcome="released"),
        ],
    )
    found = rows(out, Inputs())
    assert found["r-1"]["how"] == "in force, withdrawn from core banking"
    assert found["r-1"]["why"] == (
        "withdrawn from core banking by b.wu; appeal by b.wu: looked; appeal refused by b.wu: looked; "
        "signed for late by b.wu: looked; transaction approve by b.wu: looked; alert resolved by b.wu: looked; "
        "command withheld by b.wu: looked"
    )
    assert found["r-2"]["why"] == "case closed as genuine by b.wu: looked"
    assert found["r-3"]["why"] == "leo: looked (order AZ 9)", "a person's: no transaction led to it"


def test_what_a_rule_did_and_somebody_released_as_a_whole_is_explained(tmp_path):
    out = write(
        tmp_path,
        decisions=[decision(0)],
        commands=[
            restrict(0, "r-1"),
            restrict(5, "r-1", HOUR, verb="release", released_by=["a.li", "b.wu"]),
        ],
    )
    record = {"command": "release_rule", "rule": "CARD-001", "by": "b.wu", "reason": "gone wild"}
    answers = [
        {"ok": True, "dry_run": True, "count": 1, "restrictions": ["r-1"]},
        {"ok": True, "released": 1, "restrictions": ["r-1"]},
    ]
    orders = [Order(4 + k, record, "x", answer) for k, answer in enumerate(answers)]
    assert rows(out, Inputs(is_known=True, orders=orders))["r-1"]["why"] == "b.wu: gone wild"


def test_explaining_a_transaction_tells_what_became_of_its_restriction(tmp_path):
    about = {"restriction_id": "r-1"}
    out = write(
        tmp_path,
        commands=[
            restrict(0, "r-1"),
            restrict(0, "r-9", entity={"card": "C9"}),
            restrict(3, "r-1", verb="release", withdrawn=True, withdrawn_by="b.wu"),
            restrict(8, "r-1", verb="expired"),
            restrict(8, "r-9", verb="expired"),
        ],
        alerts=[{"seq": 5, "kind": "operational", "title": "release of card C1 is stuck", **about}],
        resolutions=[told(4, "appeal", outcome="open", **about), told(4, "appeal", outcome="x")],
    )
    veil = type(
        "Veil", (), {"inside": lambda _self, text, about: text.replace(about["card"], "*")}
    )()
    found = _of_restrictions(out, ["c-r-1-restrict", "c-of-a-notice"], veil)
    assert [(line["seq"], line["kind"], line["what"]) for line in found] == [
        (3, "restriction", "full_freeze r-1: withdrawn by b.wu"),
        (4, "resolution", "r-1: kind appeal, outcome open, by b.wu, reason looked"),
        (5, "alarm", "r-1: release of card * is stuck"),
        (8, "restriction", "full_freeze r-1: expired"),
    ]
