"""What the summary says of the data: counted by hand over a small day, however it is cut."""

import json

import pytest

from engine import quality
from engine.core import Core
from engine.runner import Totals
from tests.abroad import message, rule, setup, update

RULES = rule("amount > 5")
PAID = {"amount": "1.00", "currency": "CNY"}
LATE = message("02T09:00:00", "late", **PAID)
DAY = [
    message("02T10:00:00", "t1", **PAID, channel="pos", segment="ordinary"),
    message("02T10:00:01", "t2", **PAID, channel="pigeon", segment="private"),
    message("02T10:00:02", "t3", **PAID, channel=5, direction="sideways"),
    message("02T10:00:02", "t3", **PAID, channel=5, direction="sideways"),  # a repeat
    LATE,
    message("02T10:00:03", "t4", amount="1.005", currency="CNY"),  # dead, but readable
    b"no json",
    message("02T10:00:04", "r1", **PAID, type="refund", original_transaction_id="t1"),
    message("02T10:00:05", "r2", **PAID, type="refund", original_transaction_id="t9"),
    message("02T10:00:06", "r3", **PAID, type="refund", original_transaction_id="r4"),  # before r4
    message("02T10:00:07", "r4", **PAID, type="refund", original_transaction_id="t1"),
    message("02T10:00:08", "r5", **PAID, type="refund", original_transaction_id="t1", account="A2"),
    message("02T10:00:09", None, kind="activity", type="challenge_sent", original_transaction_id="t2"),
    message("02T10:00:10", None, kind="activity", type="challenge_sent", original_transaction_id="t0"),
    update("02T11:00:00", "u1", "t1", status="booked"),
    update("02T11:00:00", "u1", "t1", status="booked"),  # a repeat
    update("02T11:00:01", "u2", "t9", status="booked"),
    json.dumps({"kind": "label", "transaction_id": "t1", "account": "A1", "label": "fraud"}).encode(),
    json.dumps({"kind": "label", "transaction_id": "t9", "account": "A1", "label": "fraud"}).encode(),
    json.dumps({"kind": "label", "transaction_id": "t1", "account": "A1", "label": "maybe"}).encode(),
]  # fmt: skip
COLUMNS = ("read", *quality.FLAWS)


@pytest.fixture
def found(tmp_path):
    """The quality of DAY, cut into batches of `n`."""
    made = setup(tmp_path / "bank", RULES)

    def go(n, lines=DAY):
        core, totals = Core(made), Totals()
        for k in range(0, len(lines), n):
            part = lines[k : k + n]
            totals.add(core.apply(part, ["x"] * len(part)))
        return quality.of_run("canonical", made.schema, core.decoder.quality, totals.counts)

    return go


@pytest.mark.parametrize("n", [100, 1, 7])
def test_every_kind_says_how_many_were_read_and_what_became_of_them(found, n):
    messages = found(n)["messages"]
    assert {kind: tuple(counts[c] for c in COLUMNS) for kind, counts in messages.items()} == {
        #                read late duplicates dead unlinked
        "unreadable":   (1, 0, 0, 1, 0),
        "transaction":  (11, 1, 1, 1, 3),  # r2, r3, r5
        "activity":     (2, 0, 0, 0, 1),
        "label":        (3, 0, 0, 2, 1),
        "update":       (3, 0, 1, 1, 1),
    }  # fmt: skip


@pytest.mark.parametrize("n", [100, 1])
def test_every_field_says_how_often_it_is_there_and_means_something(found, n):
    whole = found(n)
    fields = whole["fields"]
    assert whole["transactions"] == 11
    assert fields["amount"] == {"present": 11, "missing": 0, "invalid": 1, "unseen": 0}
    assert fields["channel"] == {"present": 4, "missing": 7, "invalid": 2, "unseen": 1}
    assert fields["direction"] == {"present": 11, "missing": 0, "invalid": 2, "unseen": 0}
    assert fields["segment"] == {"present": 2, "missing": 9, "invalid": 0, "unseen": 1}
    assert fields["merchant"] == {"present": 0, "missing": 11, "invalid": 0, "unseen": 0}
    assert fields["label"] == {"invalid": 1, "unseen": 0}  # no field of transactions


def test_the_table_shows_what_there_is_something_to_say_about(found):
    """What is always missing is no news; what is wrong comes first, then what is rarely missing."""
    assert quality.table(found(100)).splitlines() == [
        "messages                          read        late  duplicates        dead    unlinked",
        "  unreadable                         1           0           0           1           0",
        "  transaction                       11           1           1           1           3",
        "  activity                           2           0           0           0           1",
        "  label                              3           0           0           2           1",
        "  update                             3           0           1           1           1",
        "fields                         missing     invalid      unseen",
        "  channel                       63.64%           2           1",
        "  direction                      0.00%           2           0",
        "  amount                         0.00%           1           0",
        "  label                                          1           0",
        "  segment                       81.82%           0           1",
        "  original_transaction_id       54.55%           0           0",
    ]


def test_a_clean_day_needs_no_table(found):
    assert quality.table(found(9, DAY[:1])) == ""
    assert quality.table(found(9, [])) == ""


def test_unlinked_messages_have_a_metric(tmp_path):
    from engine.metrics import Metrics

    core = Core(setup(tmp_path / "bank", RULES))
    metrics = Metrics()
    metrics.count(core.apply(DAY, ["x"] * len(DAY)).counts, len(DAY))
    seen = metrics.snapshot()
    assert seen["weir_unlinked_total"] == {"transaction": 3, "activity": 1, "label": 1, "update": 1}
    assert seen["weir_late_total"] == {"": 1}
    assert sum(seen["weir_messages_total"].values()) == len(DAY)
