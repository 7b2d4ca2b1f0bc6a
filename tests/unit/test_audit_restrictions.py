"""Restrictions as an auditor sees them: how long they really lasted, who ended them, and whether they were right."""

import pytest

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
    assert rows(folder)["r-1"]["why"] is None


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
