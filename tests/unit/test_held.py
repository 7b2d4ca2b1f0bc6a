"""Challenges and holds: each has an end, one line each, and a repeat of the transaction is told of it."""

import json

import pytest

from tests.deciding import HOUR, MINUTE, SECOND, Bench, action, command, fires, loose, rule

TICK = {"kind": "tick", "id": None}
HOLD = {"for_us": 2 * HOUR, "then": "decline"}
WHO = {"by": "ann", "reason": "called the customer"}


def about(seq=0, account="A1"):
    return {"account": account, "transaction_id": f"t-{seq}"}


def again(seq=0, **more):
    return {"kind": "duplicate", "id": f"t-{seq}", "account": "A1", "first": seq} | more


def test_a_decision_says_how_long_and_what_then():
    bench = Bench(
        rule("A", action("hold", **HOLD)),
        rule("B", action("hold", for_us=3 * HOUR, then="release")),
        rule("C", action("challenge", method="app", for_us=MINUTE)),
        rule("D", action("challenge", method="sms")),
        rule("E", action("decline", code="59")),
        rule("F", action("decline", code="62")),
        rule("G", action("decline")),
    )
    for ids in (["A"], ["A", "B"], ["C", "D"], ["D"], ["E", "F"], ["G"], [], ["A", "D"]):
        bench.batch([fires(*ids, at=0)])
    keys = ("hold", "challenge", "decline")
    assert [{k: line[k] for k in keys if k in line} for line in bench.lines("decisions")] == [
        {"hold": {"until": "2026-03-02T12:00:00Z", "then": "decline"}},
        {"hold": {"until": "2026-03-02T13:00:00Z", "then": "decline"}},
        {"challenge": {"method": "app", "until": "2026-03-02T10:01:00Z", "then": "decline"}},
        {"challenge": {"method": "sms", "until": "2026-03-02T10:15:00Z", "then": "decline"}},
        {"decline": {"code": "59"}},
        {},
        {},
        {"hold": {"until": "2026-03-02T12:00:00Z", "then": "decline"}},
    ]
    text = bench.streams["decisions"].splitlines()[0].decode()
    assert '"late":false,"hold":{' in text
    assert json.loads(text)["config"].startswith("sha256:")


def test_a_band_holds_for_as_long_as_settings_say():
    settings = loose(hold_for="30m", hold_then="release")
    bench = Bench(rule("A"), settings=settings)
    bench.batch([fires("A", at=0, points={"A": 900.0})])
    assert bench.lines("decisions")[0]["hold"]["until"] == "2026-03-02T10:30:00Z"
    bench.batch([TICK | {"at": 30 * MINUTE}])
    assert bench.lines("resolutions")[0]["outcome"] == "approve"


@pytest.mark.parametrize(
    ("then", "outcome"), [("release", "approve"), ("review", "review"), ("decline", "decline")]
)
@pytest.mark.parametrize("cuts", [(), (1, 2, 3)])
def test_a_hold_ends_by_time_as_its_rule_says(then, outcome, cuts):
    bench = Bench(rule("A", action("hold", for_us=HOUR, then=then)))
    rows = [fires("A", at=0), again(), again() | {"at": HOUR - 1}, TICK | {"at": HOUR + MINUTE}]
    bench.run([*rows, again() | {"at": HOUR + MINUTE}], cuts)
    [line] = bench.lines("resolutions")
    assert line == {
        "seq": 3,
        "transaction_id": "t-0",
        "account": "A1",
        "first_seq": 0,
        "decision": "hold",
        "outcome": outcome,
        "by": "expiry",
        "reason": "nobody ended the hold in time",
        "since": "2026-03-02T10:00:00Z",
        "until": "2026-03-02T11:00:00Z",
        "lasted_s": 3600.0,
        "core_time": "2026-03-02T11:00:00Z",
    }
    told = [line["outcome"] for line in bench.lines("duplicates")]
    assert told == ["pending", "pending", outcome]
    assert {line["decision"] for line in bench.lines("duplicates")} == {"hold"}


def test_a_person_decides_a_held_transaction_once():
    bench = Bench(rule("A", action("hold", **HOLD)))
    approve = command("resolve", **WHO, **about(), outcome="approve")
    bench.batch([fires("A", at=0), approve, approve | {"at": MINUTE}, TICK | {"at": 3 * HOUR}])
    assert [answer["ok"] for answer in bench.answers] == [True, False]
    assert bench.answers[0]["outcome"] == "approve"
    assert bench.answers[1]["what"] == "the transaction has its outcome already: approve"
    [line] = bench.lines("resolutions")
    assert (line["outcome"], line["by"], line["reason"]) == ("approve", *WHO.values())


def test_what_is_over_with_review_waits_for_a_person():
    bench = Bench(rule("A", action("hold", for_us=HOUR, then="review")))
    decline = command("resolve", **WHO, **about(), outcome="decline")
    bench.batch([fires("A", at=0), TICK | {"at": 2 * HOUR}, decline, again()])
    assert [line["outcome"] for line in bench.lines("resolutions")] == ["review", "decline"]
    assert bench.lines("duplicates")[0]["outcome"] == "decline"


@pytest.mark.parametrize(
    ("name", "outcome"), [("challenge_passed", "approve"), ("challenge_failed", "decline")]
)
def test_a_challenge_ends_when_core_banking_says_so(name, outcome):
    bench = Bench(rule("A", action("challenge", for_us=MINUTE)))
    bench.batch([fires("A", at=0), command(name, **about()), TICK | {"at": HOUR}])
    [line] = bench.lines("resolutions")
    assert (line["outcome"], line["by"], line["decision"]) == (outcome, "core_banking", "challenge")


def test_a_challenge_that_nobody_answers_is_declined():
    bench = Bench(rule("A", action("challenge")))
    bench.batch([fires("A", at=0), TICK | {"at": 15 * MINUTE - 1}, TICK | {"at": 15 * MINUTE}])
    [line] = bench.lines("resolutions")
    assert (line["seq"], line["outcome"], line["by"]) == (2, "decline", "expiry")


def test_an_outcome_is_forgotten_in_the_end():
    bench = Bench(rule("A", action("hold", for_us=HOUR)), settings=loose(outcomes_kept="1d"))
    bench.batch([fires("A", at=0), TICK | {"at": 25 * HOUR - 1}, again(), TICK | {"at": 25 * HOUR}])
    bench.batch([again()])
    assert [line.get("outcome") for line in bench.lines("duplicates")] == ["review", None]
    assert bench.decider.held == []


def test_approved_and_reviewed_transactions_wait_for_nothing():
    bench = Bench(rule("A"))
    bench.batch([fires(), fires("A", points={"A": 400.0}), again(1) | {"at": 9 * SECOND}])
    assert bench.decisions() == ["approve", "review"]
    assert "outcome" not in bench.lines("duplicates")[0]
    assert bench.decider.held == []


def test_what_waits_goes_on_waiting_after_a_restart():
    rows = [fires("A", at=0), TICK | {"at": HOUR}, again(), TICK | {"at": 2 * HOUR}, again()]
    calm = Bench(rule("A", action("hold", **HOLD))).run(rows)
    broken = Bench(rule("A", action("hold", **HOLD))).run(rows[:2]).restart().run(rows[2:])
    assert broken.streams == calm.streams


def test_an_identity_that_is_used_again_after_it_was_forgotten_stands_for_the_new_one():
    """Transactions are remembered for a time (`remember`); the old outcome ends without touching the new hold."""
    settings = loose(outcomes_kept="1d")
    bench = Bench(rule("A", action("hold", for_us=HOUR)), settings=settings)
    twice = {"id": "t-0"}
    bench.batch([fires("A", at=0, **twice), fires("A", at=24 * HOUR + HOUR // 2, **twice)])
    bench.batch([TICK | {"at": 25 * HOUR}])
    bench.batch([command("resolve", **WHO, **about(), outcome="approve")])
    assert bench.answers[0]["ok"] is True
    assert [held.seq for held in bench.decider.held] == [1]
