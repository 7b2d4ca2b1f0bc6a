"""The demonstration's page, from files written by hand whose story is known."""

import json

import pytest

from config.errors import InputError
from replay import demo
from replay.truth import Mark, Truth

SENTENCES = {
    "ACCOUNT_TAKEOVER": "Money leaves soon after a change",
    "CARD_TESTING": "Tiny purchases first",
}


def mark(attempt, n, time, amount, *, honest=False, money=True, account="A1"):
    return Mark(
        attempt=attempt,
        typology=attempt.rsplit("-", 1)[0],
        is_honest=honest,
        transaction_id=f"t{n}",
        account=account,
        event_time=f"2026-03-02T{time}:00.000Z",
        amount=amount,
        is_money=money,
    )


def decision(n, time, answer="approve", account="A1", **more):
    line = {
        "seq": n,
        "transaction_id": f"t{n}",
        "event_time": f"2026-03-02T{time}:00Z",
        "account": account,
        "decision": answer,
        "score": 0 if answer == "approve" else 650,
        "models": {"champion": 0.5},
    }
    return line | more


def fired(rule, reason):
    return {
        "fired": [{"rule": rule, "version": 1, "reason": reason, "score": 650}],
        "reasons": [reason],
    }


TRUTH = Truth(
    (
        mark("card_testing-0001", 1, "10:00", "1.00", money=False),
        mark("card_testing-0001", 2, "10:01", "1.20", money=False),
        mark("card_testing-0001", 3, "10:09", "450.00"),
        mark("card_testing-0001", 4, "10:20", "550.00"),
        mark("card_testing-0002", 5, "11:00", "300.00", account="A2"),
        mark("account_takeover-0001", 6, "12:00", "5000.00", account="A3"),
        mark("payroll-0001", 7, "13:00", "2000.00", honest=True, money=False, account="A4"),
        mark("payroll-0001", 8, "13:01", "2000.00", honest=True, money=False, account="A4"),
        mark("holiday-0001", 9, "14:00", "20.00", honest=True, money=False, account="A5"),
    )
)
DECISIONS = (
    decision(1, "10:00"),
    decision(2, "10:01"),
    decision(3, "10:09", "review"),
    decision(
        4, "10:20", "decline", **fired("CARD-1", "CARD_TESTING"), alerts=["a-1"], commands=["c-1"]
    ),
    decision(5, "11:00", account="A2"),
    decision(
        6, "12:00", "hold", account="A3", **fired("ATO-1", "ACCOUNT_TAKEOVER"), alerts=["a-2"]
    ),
    decision(7, "13:00", account="A4"),
    decision(8, "13:01", "review", account="A4"),
    decision(9, "14:00", account="A5"),
    decision(10, "15:00", "decline", account="A1"),  # the owner's own, after the fraud
    decision(11, "09:00", "review", account="A3"),  # the owner's own, before it
    decision(12, "15:00", account="A6"),
)
ALERTS = (
    {
        "alert_id": "a-1",
        "kind": "rule",
        "title": "Card tested",
        "transaction_id": "t4",
        "account": "A1",
    },
    {"alert_id": "a-1", "kind": "update", "transaction_id": "t4", "account": "A1"},
    {
        "alert_id": "a-2",
        "kind": "rule",
        "title": "5,000.00 to a new payee",
        "transaction_id": "t6",
        "account": "A3",
    },
    {"alert_id": "a-3", "kind": "rule", "title": "x", "transaction_id": "t8", "account": "A4"},
    {"alert_id": "a-4", "kind": "rule", "title": "login", "transaction_id": None, "account": "A6"},
    {"alert_id": "a-5", "kind": "rule", "title": "login", "transaction_id": None, "account": "A3"},
    {"alert_id": "a-6", "kind": "operational", "title": "cap"},
)
COMMANDS = (
    {
        "command_id": "c-1",
        "verb": "restrict",
        "entity": {"card": "C1"},
        "level": "full_freeze",
        "expires_at": "2026-03-03T10:20:00Z",
    },
)
SUMMARY = {
    "speed": {
        "seconds": 3.21,
        "tx_per_second": 35_811,
        "batch_latency_ms": {"p50": 1.5, "p99": 4.0},
    },
    "memory_mb_max": 311.4,
}


@pytest.fixture
def folder(tmp_path):
    for name, lines in (("decisions", DECISIONS), ("alerts", ALERTS), ("commands", COMMANDS)):
        (tmp_path / f"{name}.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_each_kind_counts_attempts_catches_and_money_once(folder):
    kinds = {kind.typology: kind for kind in demo.read_story(folder, TRUTH).kinds}
    tested, taken = kinds["card_testing"], kinds["account_takeover"]
    assert (tested.n_attempts, tested.n_caught) == (2, 1)
    assert (tested.n_before, tested.delay_s) == (2, 540.0)
    assert (tested.at_stake, tested.stopped) == (130_000, 55_000)  # a review stops nothing
    assert (taken.n_attempts, taken.n_caught, taken.n_before, taken.stopped) == (1, 1, 0, 500_000)
    assert (kinds["payroll"].n_caught, kinds["holiday"].n_caught) == (1, 0)
    assert (kinds["payroll"].is_honest, tested.is_honest) == (True, False)


def test_false_alarms_are_told_apart_from_owners_disturbed_after_a_fraud(folder):
    story = demo.read_story(folder, TRUTH)
    assert (story.n_transactions, story.n_honest) == (12, 6)
    assert (story.n_honest_disturbed, story.n_victims_disturbed) == (3, 1)
    assert (story.n_alerts, story.n_alerts_false, story.n_commands) == (5, 2, 1)


def test_the_most_telling_decisions_are_the_largest_of_different_kinds(folder):
    telling = demo.read_story(folder, TRUTH).telling
    assert [t.mark.transaction_id for t in telling] == ["t6", "t4"]
    assert telling[1].titles == ("Card tested",)
    assert telling[1].commands[0].entity == {"card": "C1"}


def test_the_page_reads_as_on_record(folder, golden):
    golden("demo/page", demo.tell(demo.read_story(folder, TRUTH), SUMMARY, SENTENCES) + "\n")


def test_a_run_that_caught_nothing_says_so(tmp_path):
    for name in ("alerts", "commands"):
        (tmp_path / f"{name}.ndjson").write_text("")
    (tmp_path / "decisions.ndjson").write_text(json.dumps(decision(1, "10:00")) + "\n")
    page = demo.tell(demo.read_story(tmp_path, Truth(TRUTH.marks[:1])), {}, {})
    assert "No fraud was stopped by a rule." in page
    assert "never" in page
    assert page.endswith("What it cost: 1 transactions")


def test_a_damaged_file_is_named_with_its_line(folder):
    (folder / "alerts.ndjson").write_text('{"alert_id":"a-1","kind":"rule"}\n{"alert_id"\n')
    with pytest.raises(InputError, match=r"alerts\.ndjson:2: not a line of alerts\.ndjson"):
        demo.read_story(folder, TRUTH)
