"""Control totals: what agrees, and each way that sender and journal can differ, named."""

import json
from decimal import Decimal

import pytest

from config.errors import InputError
from engine import cli
from engine.durable.disk import RealDisk
from engine.durable.journal import open_journal
from engine.ports import Messages
from replay.audit.inputs import open_recorded
from replay.audit.reconcile import Total, read_totals, report
from tests.auditing import decision, write

DAY = "2026-03-02"


def message(amount="10.00", at="10:00:00Z", day=DAY, **more):
    told = {"event_time": f"{day}T{at}", "amount": amount, "currency": "CNY"}
    return told | {"direction": "out", "type": "payment"} | more


@pytest.fixture
def folder(tmp_path):
    """Three decided (one at night in Shanghai), one repeat, one dead letter with amount, one without, one label."""
    messages = [
        message(),
        message("0.50", currency="USD", type="card_auth"),
        message("20.25", "17:00:00Z"),
        message(),
        message("7.00", type="transfer"),
        {"event_time": f"{DAY}T11:00:00Z", "currency": "CNY", "direction": "out", "type": "transfer"},
        {"kind": "label", "event_time": f"{DAY}T11:00:00Z", "label": "fraud"},
        message("99.00", day="2026-03-03"),
    ]  # fmt: skip
    journal = open_journal(
        RealDisk(), tmp_path / "journal", opening_config="sha256:ab", durability="flush", key=None
    )
    lines = [json.dumps(m).encode() for m in messages]
    journal.append(0, Messages(lines, [f"x:{i}" for i in range(len(lines))]), "x:7")
    journal.close()
    return write(
        tmp_path,
        decisions=[decision(0), decision(1), decision(2), decision(7)],
        duplicates=[{"seq": 3, "transaction_id": "t", "account": "A", "first_seq": 0}],
        dead_letters=[{"seq": 4, "reason": "x"}, {"seq": 5, "reason": "x"}],
    )


def compared(folder, *totals):
    answer = report(folder, DAY, list(totals), open_recorded(folder))
    groups = answer.sections[0]
    return answer, [dict(zip(groups.columns, row, strict=True)) for row in groups.rows]


def test_a_group_that_was_decided_whole_agrees(folder):
    answer, [row] = compared(folder, Total(day=DAY, count=1, sum=Decimal("0.5"), currency="USD"))
    assert row["verdict"] == "agrees"
    assert (row["sent"], row["decided"], row["missing"], row["sum found"]) == (1, 1, 0, "0.50")
    assert answer.facts["groups that differ"] == 0


def test_repeats_count_once_and_dead_letters_are_named(folder):
    total = Total(day=DAY, count=4, sum=Decimal("37.25"), currency="CNY")
    _, [row] = compared(folder, total)
    assert (row["decided"], row["duplicate"], row["dead letter"]) == (2, 1, 2)
    assert row["verdict"] == "2 arrived, could not be taken"
    answer, _ = compared(folder, total, Total(day=DAY, count=1, currency="USD"))
    assert answer.is_fine


@pytest.mark.parametrize(
    ("total", "verdict"),
    [
        (Total(day=DAY, count=4, type="payment"), "2 sent, never arrived"),
        (Total(day=DAY, count=3, type="payment"),
         "1 sent, never arrived, unless the feed counted repeats: 1 came"),
        (Total(day=DAY, count=1, type="payment"), "1 arrived, never sent"),
        (Total(day=DAY, count=2, type="payment", sum=Decimal(30)), "the sum is off by +0.25"),
        (Total(day=DAY, count=2, type="transfer", sum=Decimal(9)),
         "the sum is off by -2.00; 1 dead letters have no amount; 2 arrived, could not be taken"),
    ],
)  # fmt: skip
def test_each_difference_is_named(folder, total, verdict):
    answer, [row] = compared(folder, total)
    assert row["verdict"] == verdict
    assert not answer.is_fine


def test_the_day_is_that_of_the_zone_that_the_total_names(folder):
    _, [row] = compared(folder, Total(day=DAY, count=1, type="payment", zone="Asia/Shanghai"))
    assert (row["decided"], row["duplicate"], row["verdict"]) == (1, 1, "agrees")


def test_what_no_total_covers_is_named(folder):
    answer, _ = compared(folder, Total(day=DAY, count=1, currency="USD"))
    assert not answer.is_fine
    assert answer.sections[1].rows == [
        ("CNY", "out", "payment", "UTC", 3),
        ("CNY", "out", "transfer", "UTC", 2),
    ]


def test_totals_are_read_from_lines_of_json_and_from_csv(tmp_path):
    one, two = tmp_path / "t.ndjson", tmp_path / "t.csv"
    one.write_text(f'{{"day":"{DAY}","count":3,"sum":"9.50","currency":"CNY"}}\n\n')
    two.write_text(f"day,count,sum,currency,type\n{DAY},3,9.50,CNY,\n")
    first, second = read_totals([one, two])
    assert first == second
    assert str(first.sum) == "9.50"


@pytest.mark.parametrize(
    "line",
    ['{"day":"2026-03-02"}', '{"day":"2026-03-02","count":1,"amont":1}', "[]", "{",
     '{"day":"2026-03-02","count":1,"zone":"Mars/Base"}', '{"day":"yesterday","count":1}'],
)  # fmt: skip
def test_a_line_that_is_no_total_is_refused(tmp_path, line):
    path = tmp_path / "t.ndjson"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match="control total"):
        read_totals([path])


def test_the_command_says_1_where_something_differs(folder, capsys):
    totals = folder / "t.ndjson"
    totals.write_text(f'{{"day":"{DAY}","count":9}}\n')
    assert cli.main(["audit", "reconcile", str(folder), "--day", DAY, "--totals", str(totals)]) == 1
    assert "4 sent, never arrived" in capsys.readouterr().out
    assert cli.main(["audit", "reconcile", str(folder), "--day", DAY]) == 0
    assert "Nothing was compared" in capsys.readouterr().out


def test_totals_that_say_nothing_about_the_day_are_no_agreement(folder, capsys):
    totals = folder / "t.ndjson"
    totals.write_text('{"day":"2026-03-04","count":9}\n')
    assert cli.main(["audit", "reconcile", str(folder), "--day", DAY, "--totals", str(totals)]) == 2
    assert f"say nothing about {DAY}" in capsys.readouterr().err
