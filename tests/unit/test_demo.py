"""What a run did about known frauds, from files written by hand whose story is known; and the page about it."""

import json

import pytest

from config.errors import ConfigError, InputError
from replay import demo
from replay.bank.truth import Mark, Truth
from replay.replaying import show_demo
from replay.story import read_story
from rules.definitions import Reason

SENTENCES = {
    "ACCOUNT_TAKEOVER": Reason({"en": "Money leaves soon after a change"}, {"en": "Please call."}),
    "CARD_TESTING": Reason({"en": "Tiny purchases first"}),
}
PACKS = {"CARD-1": "core", "ATO-1": "fraud-cn", "LOGIN-1": "fraud-cn"}


def mark(attempt, n, time, amount, *, honest=False, money=True, account="A1"):
    parts = attempt.split("-")
    return Mark(
        attempt=attempt,
        typology=parts[0],
        variant=parts[1] if len(parts) == 3 else "",
        is_honest=honest,
        customer=account.replace("A", "K"),
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


def login(alert, account, time):
    return {
        "alert_id": alert,
        "kind": "rule",
        "rule": "LOGIN-1",
        "title": "login",
        "transaction_id": None,
        "account": account,
        "event_time": time,
    }


TRUTH = Truth(
    (
        mark("card_testing-easy-0001", 1, "10:00", "1.00", money=False),
        mark("card_testing-easy-0001", 2, "10:01", "1.20", money=False),
        mark("card_testing-easy-0001", 3, "10:09", "450.00"),
        mark("card_testing-easy-0001", 4, "10:20", "550.00"),
        mark("card_testing-easy-0002", 5, "11:00", "300.00", account="A2"),
        mark("account_takeover-hard-0001", 6, "12:00", "5000.00", account="A3"),
        mark("payroll-0001", 7, "13:00", "2000.00", honest=True, money=False, account="A4"),
        mark("payroll-0001", 8, "13:01", "2000.00", honest=True, money=False, account="A4"),
        mark("card_testing-hard-0001", 13, "16:00", "700.00", account="A6"),
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
    decision(8, "13:01", "review", account="A4", alerts=["a-3"]),
    decision(9, "14:00", account="A5"),
    decision(10, "15:00", "decline", account="A1"),  # the owner's own, after the fraud
    decision(11, "09:00", "review", account="A3"),  # the owner's own, before it
    decision(12, "15:00", account="A6"),
    decision(13, "16:00", account="A6"),
)
ALERTS = (
    {
        "alert_id": "a-1",
        "kind": "rule",
        "rule": "CARD-1",
        "title": "Card tested",
        "transaction_id": "t4",
        "account": "A1",
    },
    {
        "alert_id": "a-1",
        "kind": "update",
        "rule": "CARD-1",
        "transaction_id": "t10",
        "account": "A1",
    },
    {
        "alert_id": "a-2",
        "kind": "rule",
        "rule": "ATO-1",
        "title": "5,000.00 to a new payee",
        "transaction_id": "t6",
        "account": "A3",
    },
    {
        "alert_id": "a-3",
        "kind": "rule",
        "rule": "ATO-1",
        "title": "x",
        "transaction_id": "t8",
        "account": "A4",
    },
    login("a-4", "A6", "2026-03-02T09:00:00Z"),
    login("a-5", "A3", "2026-02-28T09:00:00Z"),  # too long before the attempt
    login("a-7", "A7", "2026-03-02T09:00:00Z"),
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
REPORTS = (
    {"report_id": "r-1", "kind": "large_cash", "revision": 1},
    {"report_id": "r-1", "kind": "large_cash", "revision": 2},
    {"report_id": "r-2", "kind": "large_cash", "revision": 1},
)
SUMMARY = {
    "speed": {
        "seconds": 3.21,
        "tx_per_second": 35_811,
        "batch_latency_ms": {"p50": 1.5, "p99": 4.0},
    },
    "memory_mb_max": 311.4,
}


FILES = (
    ("decisions", DECISIONS),
    ("alerts", ALERTS),
    ("commands", COMMANDS),
    ("reports", REPORTS),
)


@pytest.fixture
def folder(tmp_path):
    for name, lines in FILES:
        (tmp_path / f"{name}.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_each_kind_counts_attempts_catches_and_money_once(folder):
    kinds = {(kind.typology, kind.variant): kind for kind in read_story(folder, TRUTH).kinds}
    tested, taken = kinds["card_testing", "easy"], kinds["account_takeover", "hard"]
    assert (tested.n_attempts, tested.n_alerted, tested.n_disturbed) == (2, 1, 1)
    assert (tested.n_before, tested.delay_s) == (2, 540.0)
    assert (tested.at_stake, tested.stopped) == (130_000, 55_000)  # a review stops nothing
    assert (taken.n_attempts, taken.n_alerted, taken.n_before, taken.stopped) == (1, 1, 0, 500_000)
    assert (kinds["payroll", ""].n_alerted, kinds["payroll", ""].n_disturbed) == (1, 1)
    assert (kinds["holiday", ""].n_alerted, kinds["holiday", ""].n_disturbed) == (0, 0)
    assert (kinds["payroll", ""].is_honest, tested.is_honest) == (True, False)


def test_an_alert_on_a_login_within_a_day_before_the_attempt_counts_for_it(folder):
    kinds = {(kind.typology, kind.variant): kind for kind in read_story(folder, TRUTH).kinds}
    hard = kinds["card_testing", "hard"]
    assert (hard.n_alerted, hard.n_disturbed) == (1, 0)
    without = [a for a in ALERTS if a["alert_id"] not in ("a-2", "a-4")]
    (folder / "alerts.ndjson").write_text("".join(json.dumps(a) + "\n" for a in without))
    kinds = {(kind.typology, kind.variant): kind for kind in read_story(folder, TRUTH).kinds}
    assert kinds["card_testing", "hard"].n_alerted == 0
    assert kinds["account_takeover", "hard"].n_alerted == 0  # its login was two days earlier


def test_false_alarms_are_told_apart_from_owners_disturbed_after_a_fraud(folder):
    story = read_story(folder, TRUTH)
    assert (story.n_transactions, story.n_honest) == (13, 6)
    assert (story.n_honest_alerted, story.n_honest_disturbed, story.n_victims_disturbed) == (
        2,
        3,
        1,
    )
    assert (story.n_alerts, story.n_alerts_false, story.n_commands) == (6, 2, 1)


def test_what_each_pack_alone_would_have_alerted_is_told(folder):
    story = read_story(folder, TRUTH, PACKS)
    kinds = {(kind.typology, kind.variant): kind.n_by_pack for kind in story.kinds}
    assert kinds["card_testing", "easy"] == {"core": 1, "fraud-cn": 0}
    assert kinds["card_testing", "hard"] == {"core": 0, "fraud-cn": 1}
    assert kinds["payroll", ""] == {"core": 0, "fraud-cn": 1}
    assert story.n_honest_by_pack == {"core": 1, "fraud-cn": 1}
    assert story.as_dict()["kinds"][0]["n_by_pack"] == {"core": 0, "fraud-cn": 1}


def test_a_report_is_counted_once_whatever_its_revisions(folder):
    assert read_story(folder, TRUTH).reports == {"large_cash": 2}


def test_the_most_telling_decisions_are_the_largest_of_different_kinds(folder):
    telling = read_story(folder, TRUTH).telling
    assert [t.mark.transaction_id for t in telling] == ["t6", "t4"]
    assert telling[1].titles == ("Card tested",)
    assert telling[1].commands[0].entity == {"card": "C1"}


def test_the_page_reads_as_on_record(folder, golden):
    golden("demo/page", demo.tell(read_story(folder, TRUTH), SUMMARY, SENTENCES) + "\n")


def test_the_customer_reads_one_sentence_and_the_neutral_one_where_a_reason_must_not_be_told(
    folder,
):
    told = {
        "ACCOUNT_TAKEOVER": Reason({"en": "Money leaves"}, {"en": "Your payee was reported."}),
        "MULE": Reason({"en": "Money passes"}, {"en": "A routine review."}, tell=False),
    }
    both = fired("ATO-1", "ACCOUNT_TAKEOVER") | {"reasons": ["ACCOUNT_TAKEOVER", "MULE"]}
    line = decision(6, "12:00", "hold", account="A3", alerts=["a-2"], **both)
    (folder / "decisions.ndjson").write_text(json.dumps(line) + "\n")
    page = demo.tell(read_story(folder, TRUTH), SUMMARY, told)
    assert page.count("the customer reads") == 1
    assert "the customer reads: A routine review." in page
    assert "reported" not in page


def test_a_run_that_caught_nothing_says_so(tmp_path):
    for name in ("alerts", "commands", "reports"):
        (tmp_path / f"{name}.ndjson").write_text("")
    (tmp_path / "decisions.ndjson").write_text(json.dumps(decision(1, "10:00")) + "\n")
    page = demo.tell(read_story(tmp_path, Truth(TRUTH.marks[:1])), {}, {})
    assert "No fraud was stopped by a rule." in page
    assert "never" in page
    assert page.endswith("What it cost: 1 transactions")


def test_attempts_of_which_nothing_was_decided_are_not_counted_as_missed(folder):
    """A run that was stopped, or that looked at some days only, has not overlooked what it never saw."""
    unseen = mark("mule-easy-0009", 99, "23:00", "9.00"), mark("holiday-0009", 98, "23:00", "9.00")
    whole, more = read_story(folder, TRUTH), read_story(folder, Truth(TRUTH.marks + unseen))
    assert more == whole


def test_a_damaged_file_is_named_with_its_line(folder):
    (folder / "alerts.ndjson").write_text('{"alert_id":"a-1","kind":"rule"}\n{"alert_id"\n')
    with pytest.raises(InputError, match=r"alerts\.ndjson:2: not a line of alerts\.ndjson"):
        read_story(folder, TRUTH)


def test_an_impossible_wish_leaves_the_earlier_run_in_place(tmp_path):
    kept = tmp_path / "run" / "decisions.ndjson"
    kept.parent.mkdir()
    kept.write_text("{}\n")
    with pytest.raises(ConfigError, match="`seed` must be 0 or more"):
        show_demo(tmp_path, accounts=60, days=3, seed=-1)
    assert kept.exists()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="no demo has written"):
        show_demo(tmp_path, accounts=60, days=3, seed=1)
    assert kept.exists()
