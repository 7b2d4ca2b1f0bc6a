"""Restrictions: in force from the next row, one id each, bounded, ended by time or by people."""

import pytest

from config.decisions import DecisionSettings
from engine.outcomes import rfc3339
from engine.restrictions import demands
from tests.deciding import (
    DAY,
    HOUR,
    MINUTE,
    START,
    Bench,
    action,
    command,
    fires,
    restrict,
    rule,
)

TICK = {"kind": "tick", "id": None}


def test_every_order_is_answered_on_record_in_the_order_of_the_stream():
    bench, id_ = frozen()
    orders = [command("release", by="ann", reason="x", restriction_id=id_), command("nonsense")]
    bench.run([*orders, fires(), command("resolve", by="ann", reason="x", alert_id="a-9")], (2,))
    assert bench.lines("answers") == bench.answers
    assert [told["seq"] for told in bench.answers] == [1, 2, 4]
    assert [told["ok"] for told in bench.answers] == [False] * 3


def frozen(effect="observe", settings=None, **more):
    """A bench whose rule A has just frozen card C1, and the id of that restriction."""
    bench = Bench(rule("A", restrict("card", **more)), effect=effect, settings=settings)
    bench.batch([fires("A", at=0)])
    return bench, bench.lines("commands")[0]["restriction_id"]


def release(id_, by, **more):
    return (
        command("release", restriction_id=id_, by=by, reason="customer called", legal_basis="T&C 7")
        | {"at": HOUR}
        | more
    )


def test_a_restriction_is_in_force_from_the_next_row():
    bench = Bench(rule("A", restrict("card", "no_debit")))
    bench.batch([fires(), fires("A"), fires(), fires(card="C2")])
    assert bench.decisions() == ["approve", "hold", "hold", "approve"]
    lines = bench.lines("decisions")
    assert lines[1]["reasons"] == ["R_A"]
    assert lines[1]["restrictions"] == []
    assert lines[2]["reasons"] == ["RESTRICTED"]
    assert lines[2]["restrictions"] == [bench.lines("commands")[0]["restriction_id"]]


def test_a_command_says_what_to_do_until_when_and_why():
    bench, id_ = frozen("enforce")
    [line] = bench.lines("commands")
    assert line.pop("command_id").startswith("c-")
    assert line == {
        "key": f"{id_}:restrict:1",
        "verb": "restrict",
        "restriction_id": id_,
        "entity": {"card": "C1"},
        "level": "full_freeze",
        "amount_minor": None,
        "channels": [],
        "started_at": rfc3339(START),
        "expires_at": rfc3339(START + DAY),
        "reason": "R_A",
        "rule": "A",
        "author": "rule A",
        "order": None,
        "released_by": [],
        "source": "t-0",
        "effect": "enforce",
        "seq": 0,
        "core_time": rfc3339(START),
    }


def test_it_expires_at_the_first_record_whose_core_time_reaches_the_end():
    bench, id_ = frozen(hours=1)
    bench.batch([fires(at=HOUR - 1), TICK | {"at": HOUR}, fires(at=HOUR + 1)])
    assert bench.decisions() == ["hold", "hold", "approve"]
    expired = bench.lines("commands")[1]
    assert (expired["verb"], expired["key"], expired["seq"]) == ("expired", f"{id_}:expired:2", 2)
    assert expired["core_time"] == expired["expires_at"] == rfc3339(START + HOUR)


def test_the_row_that_reaches_the_end_is_free_already():
    bench, _ = frozen(hours=1)
    bench.batch([fires(at=HOUR)])
    assert bench.decisions()[-1] == "approve"


def test_one_restriction_never_touches_another():
    bench = Bench(
        rule("A", restrict("card", hours=1)), rule("B", restrict("card", "no_debit", hours=2))
    )
    bench.batch(
        [fires("A", "B", at=0), TICK | {"at": HOUR}, fires(at=HOUR + 1), TICK | {"at": 2 * HOUR}]
    )
    a, b = (line["restriction_id"] for line in bench.lines("commands")[:2])
    assert bench.lines("decisions")[1]["restrictions"] == [b]
    assert [line["restriction_id"] for line in bench.lines("commands")[2:]] == [a, b]


def test_the_same_restriction_is_not_repeated_while_it_stands():
    bench = Bench(rule("A", restrict("card", hours=2), dedup=["card"], dedup_hours=1))
    times = [0, MINUTE, HOUR + MINUTE, 2 * HOUR + MINUTE]
    bench.batch([fires("A", at=at) for at in times])
    assert bench.decisions() == ["hold"] * 4
    assert [line["verb"] for line in bench.lines("commands")] == ["restrict", "expired", "restrict"]


@pytest.mark.parametrize(
    ("level", "incoming", "amount", "channel", "expected"),
    [
        ("watch", False, 1e9, None, False),
        ("limit", False, 100.0, None, False),
        ("limit", False, 100.5, None, True),
        ("limit", False, float("nan"), None, True),
        ("limit", True, 1e9, None, False),
        ("amount_hold", False, 101.0, None, True),
        ("amount_hold", False, 99.0, None, False),
        ("no_debit", False, 1.0, None, True),
        ("no_debit", True, 1.0, None, False),
        ("no_credit", False, 1.0, None, False),
        ("no_credit", True, 1.0, None, True),
        ("full_freeze", True, 1.0, None, True),
        ("full_freeze", False, 1.0, "web", True),
        ("full_freeze", False, 1.0, "branch", False),
    ],
)
def test_each_level_demands_what_it_says(level, incoming, amount, channel, expected):
    channels = ("web", "app") if channel else ()
    assert (
        demands(level, 100, channels, incoming=incoming, amount_minor=amount, channel=channel)
        is expected
    )


def test_a_missing_channel_is_any_channel():
    assert demands("no_debit", 0, ("web",), incoming=False, amount_minor=1.0, channel=None)


def test_without_a_direction_the_type_says_whether_money_comes_in():
    bench = Bench(rule("A", restrict("account", "no_debit")))
    bench.batch(
        [
            fires("A"),
            fires(type="cash_deposit", direction=None),
            fires(type="payment", direction=None),
        ]
    )
    assert bench.decisions() == ["hold", "approve", "hold"]


def test_over_the_cap_of_a_rule_a_freeze_becomes_review_and_operations_hear_once_an_hour():
    bench = Bench(rule("A", restrict("card", per_hour=2)))
    bench.batch(
        [fires("A", card=f"C{i}", at=i * MINUTE) for i in range(6)]
        + [
            fires("A", card="C9", at=HOUR),
            fires("A", card="C10", at=HOUR + 1),
            fires("A", card="C11", at=HOUR + 2),
        ]
    )
    assert bench.decisions() == ["hold"] * 2 + ["review"] * 4 + ["hold"] + ["review"] * 2
    assert bench.lines("decisions")[2]["reasons"] == ["R_A", "CAP_REACHED"]
    alarms = bench.lines("alerts")
    assert [(a["kind"], a["reason"], a["seq"]) for a in alarms] == [
        ("operational", "CAP_REACHED", 2)
    ]
    assert bench.lines("decisions")[2]["alerts"] == [alarms[0]["alert_id"]]
    bench.batch(
        [
            fires("A", card="C12", at=HOUR + 2 * MINUTE - 1),
            fires("A", card="C13", at=HOUR + 2 * MINUTE - 1),
            fires("A", card="C14", at=HOUR + 2 * MINUTE),
        ]
    )
    assert len(bench.lines("commands")) == 4  # one more room since minute 1 slid out
    assert [a["seq"] for a in bench.lines("alerts")] == [2, 11]


def test_the_breaker_of_the_pack_stands_above_the_caps_of_rules():
    bench = Bench(rule("A", restrict("card")), rule("B", restrict("card")), max_freezes_per_hour=3)
    bench.batch([fires("AB"[i % 2], card=f"C{i}") for i in range(6)])
    assert bench.decisions() == ["hold"] * 3 + ["review"] * 3


def test_watching_does_not_count_against_the_breaker():
    bench = Bench(rule("A", restrict("card", "watch")), max_freezes_per_hour=1)
    bench.batch([fires("A", card=f"C{i}") for i in range(4)])
    assert len(bench.lines("commands")) == 4


def test_holds_and_challenges_have_breakers_of_their_own():
    settings = DecisionSettings(max_holds_per_hour=2, max_challenges_per_hour=1)
    bench = Bench(rule("A", action("hold")), rule("B", action("challenge")), settings=settings)
    bench.batch([fires("A"), fires("A"), fires("A"), fires("B"), fires("B")])
    assert bench.decisions() == ["hold", "hold", "review", "challenge", "review"]


def test_a_breaker_never_opens_a_frozen_account():
    settings = DecisionSettings(max_holds_per_hour=1)
    bench = Bench(rule("A", restrict("card")), rule("B", action("hold")), settings=settings)
    bench.batch([fires("A"), fires("B"), fires("B"), fires("B")])
    assert bench.decisions() == ["hold"] * 4


def test_automation_restricts_an_entity_at_most_72_hours_in_30_days():
    bench = Bench(
        rule("A", restrict("card", hours=48)), rule("B", restrict("card", "no_debit", hours=48))
    )
    bench.batch([
        fires("A", at=0), fires("B", at=24 * HOUR), fires("A", at=100 * HOUR), fires("A", at=30 * DAY - 1),
        fires("A", at=30 * DAY),
    ])  # fmt: skip
    verbs = [(line["verb"], line["rule"]) for line in bench.lines("commands")]
    assert verbs == [
        ("restrict", "A"),
        ("restrict", "B"),
        ("expired", "A"),
        ("expired", "B"),
        ("restrict", "A"),
    ]
    assert bench.lines("decisions")[2]["reasons"] == ["R_A", "CAP_REACHED"]
    assert bench.lines("commands")[-1]["seq"] == 4


def test_a_release_gives_automation_its_hours_back():
    for hours, verbs in ((72, []), (36, ["restrict"])):  # 1 h and 72 h are too much
        bench = Bench(
            rule("A", restrict("card", "no_debit", hours=hours)),
            rule("B", restrict("card", "no_debit", hours=hours)),
        )
        bench.batch([fires("A", at=0)])
        id_ = bench.lines("commands")[0]["restriction_id"]
        bench.batch([TICK | {"at": HOUR}, release(id_, "ann"), fires("B", at=2 * HOUR)])
        assert [line["verb"] for line in bench.lines("commands")] == ["restrict", "release", *verbs]


def test_caps_are_off_where_only_the_wish_of_a_rule_counts():
    settings = DecisionSettings(caps=False)
    bench = Bench(
        rule("A", restrict("card", per_hour=1, hours=100)),
        settings=settings,
        max_freezes_per_hour=1,
    )
    bench.batch([fires("A", card=f"C{i}") for i in range(3)])
    assert bench.decisions() == ["hold"] * 3
    assert all(line["expires_at"] for line in bench.lines("commands"))


def test_an_entity_that_the_message_does_not_name_cannot_be_frozen_but_the_row_is_blocked():
    bench = Bench(rule("A", restrict("card")))
    bench.batch([fires("A", card=None)])
    assert bench.decisions() == ["hold"]
    assert bench.lines("decisions")[0]["reasons"] == ["R_A", "ENTITY_MISSING"]
    assert bench.streams["commands"] == b""


def test_acknowledging_makes_it_active_and_keeps_it_from_timing_out():
    bench, id_ = frozen("enforce")
    ack = command("acknowledge", command_id=bench.lines("commands")[0]["command_id"])
    bench.batch([ack, TICK | {"at": HOUR}])
    assert bench.answers == [
        {"seq": 1, "command": "acknowledge", "ok": True, "restriction_id": id_, "state": "active"}
    ]
    assert bench.streams["alerts"] == b""


def test_a_command_nobody_acknowledges_is_an_alarm_and_stays_in_force():
    bench, id_ = frozen("enforce")
    bench.batch([TICK | {"at": 10 * MINUTE - 1}, TICK | {"at": 10 * MINUTE}, fires(at=11 * MINUTE)])
    [alarm] = bench.lines("alerts")
    assert (alarm["reason"], alarm["seq"], alarm["restriction_id"]) == ("NOT_ACKNOWLEDGED", 2, id_)
    assert bench.decisions()[-1] == "hold"
    bench.batch([command("acknowledge", restriction_id=id_)])
    assert bench.answers[-1]["state"] == "active"


def test_what_is_only_observed_never_times_out():
    bench, _ = frozen("observe")
    bench.batch([TICK | {"at": HOUR}])
    assert bench.streams["alerts"] == b""


def test_a_rejected_restriction_is_no_longer_in_force():
    bench, id_ = frozen("enforce")
    bench.batch(
        [command("reject", restriction_id=id_, by="core", reason="account closed"), fires()]
    )
    assert bench.decisions()[-1] == "approve"
    assert bench.lines("alerts")[0]["reason"] == "COMMAND_REJECTED"
    assert [line["verb"] for line in bench.lines("commands")] == ["restrict"]


def test_one_person_lifts_a_lesser_restriction():
    bench, id_ = frozen(level="no_debit")
    bench.batch([fires(), release(id_, "ann"), fires()])
    assert bench.decisions()[1:] == ["hold", "approve"]
    assert bench.lines("commands")[-1]["released_by"] == ["ann"]


def test_two_different_people_lift_a_full_freeze():
    bench, id_ = frozen()
    bench.batch(
        [release(id_, "ann"), fires(), release(id_, "ann"), fires(), release(id_, "bob"), fires()]
    )
    assert bench.decisions()[1:] == ["hold", "hold", "approve"]
    assert [answer["ok"] for answer in bench.answers] == [True, False, True]
    assert bench.answers[0]["awaiting"] == "a second person"
    assert bench.lines("commands")[-1]["released_by"] == ["ann", "bob"]
    assert bench.lines("commands")[-1]["key"] == f"{id_}:release:2"


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (release("r-nope", "ann"), "no restriction is known as `r-nope`"),
        (command("release", by="ann", reason="x"), "no restriction is named"),
        (release("", ""), "`by` is missing"),
        (command("release", restriction_id="r", by="ann"), "`reason` is missing"),
        (command("mode", by="ann", reason="b", effect="enforce"), "the settings say `effect: observe`"),
        (command("rule_off", by="ann", reason="b", rule="Z"), "there is no rule `Z`"),
        (command("rule_off", by="ann", reason="b", rule="A", **{"for": "25h"}), "a rule is off for at most 24h, was 25h"),
        (command("rule_on", by="ann", reason="b", rule="A"), "the rule `A` is not switched off"),
        (command("challenge_passed", account="A1", transaction_id="t-9"), "no transaction `t-9` of account `A1` is held or challenged"),
        (command("resolve", by="ann", reason="b", account="A1", transaction_id="t-0"), "`outcome` of a transaction is approve or decline, was none"),
        (command("decide_appeal", by="ann", reason="b", appeal_id="v-1", decision="granted"), "no appeal `v-1` is open"),
        (command("release_rule", by="ann", reason="b", rule="A", dry_run=False, token="t-1"), "no dry run of A has the token `t-1`"),
        (command("release", restriction_id=7, by="ann"), "Expected `str`, got `int` - at `$.restriction_id`"),
        (command("explode"), "there is no command `explode`"),
        (command("restrict", by="a", reason="b", entity={"card": "C1"}, level="no_debit"), "a restriction needs `for` or `expires_at`, one of them"),
        (command("restrict", by="a", reason="b", entity={"shoe": "C1"}, level="no_debit"), "`entity` names a shoe, which the engine does not look at"),
        (command("restrict", by="a", reason="b", entity={"card": "C1"}, level="limit", **{"for": "1h"}), "level limit needs an `amount`"),
        (command("restrict", by="a", reason="b", entity={"card": "C1"}, level="no_debit", **{"for": "1x"}), "`1x` is not a duration"),
        (command("resolve", by="a", reason="b", alert_id="a-1"), "no alert `a-1` is open"),
        (command("suppress", by="a", reason="b", rule="Z", entity={"card": "C1"}, until="2027-01-01"), "there is no rule `Z`"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_answered_with_the_reason(wrong, what):
    bench, _ = frozen()
    before = bench.decider.save()["state"].tobytes()
    bench.batch([wrong])
    assert bench.answers[0]["ok"] is False
    assert bench.answers[0]["what"] == what
    assert bench.answers[0]["fix"]
    assert bench.decider.save()["state"].tobytes() == before


def test_a_person_restricts_an_entity_outside_the_caps():
    bench = Bench(rule("A", restrict("card")), max_freezes_per_hour=1)
    order = {
        "by": "ann",
        "reason": "fraud call",
        "entity": {"card": "C1"},
        "level": "no_debit",
        "for": "90d",
    }
    bench.batch([fires("A", card="C9"), command("restrict", **order), fires(), fires(card="C2")])
    assert bench.decisions() == ["hold", "hold", "approve"]
    assert bench.lines("commands")[-1]["author"] == "ann"


def test_an_account_can_be_restricted_before_any_message_names_it():
    bench = Bench(rule("A"))
    order = {
        "by": "ann",
        "reason": "x",
        "entity": {"account": "A7"},
        "level": "limit",
        "amount": "100.00",
        "for": "1h",
    }
    bench.batch([fires(), command("restrict", **order)])
    bench.batch([fires(account="A7", amount=10_000.0), fires(account="A7", amount=10_001.0)])
    assert bench.decisions() == ["approve", "approve", "hold"]


def test_an_entity_restricted_early_is_found_once_the_engine_restarts():
    bench = Bench(rule("A"))
    order = {"by": "ann", "reason": "x", "entity": {"card": "C7"}, "level": "no_debit", "for": "1h"}
    bench.batch([fires(), command("restrict", **order)])
    bench.restart().batch([fires(card="C7"), fires(card="C8")])
    assert bench.decisions()[1:] == ["hold", "approve"]


def test_an_order_of_an_authority_falls_by_order_only():
    bench = Bench(rule("A"))
    order = {
        "by": "ann",
        "reason": "court",
        "entity": {"card": "C1"},
        "level": "no_debit",
        "for": "1d",
        "order": "AZ 1",
    }
    bench.batch([fires(), command("restrict", **order)])
    id_ = bench.answers[0]["restriction_id"]
    by_order = command(
        "release", restriction_id=id_, by="bob", reason="court", order="AZ 2", legal_basis="court"
    )
    bench.batch([release(id_, "bob"), fires(), by_order, fires()])
    assert [answer["ok"] for answer in bench.answers] == [True, False, True]
    assert bench.decisions() == ["approve", "hold", "approve"]


def test_before_the_first_event_nothing_can_be_restricted():
    bench = Bench(rule("A"))
    bench.core_us = -1
    bench.batch(
        [
            command(
                "restrict",
                by="a",
                reason="b",
                entity={"card": "C1"},
                level="watch",
                **{"for": "1h"},
            )
        ]
    )
    assert bench.answers[0]["what"] == "no event has told the engine what time it is"


def test_a_list_addition_and_a_notification_are_commands_too():
    from rules.tree import ID, Node, Type

    value = Node("column", Type(ID, "card"), value="card")
    adding = action("list_add", list_name="hot_cards", value=value, for_us=HOUR, max_per_hour=1)
    bench = Bench(rule("A", adding, action("notify", template="hello", to="customer")))
    bench.batch([fires("A", at=0), fires("A", at=1)])
    first, note, again = bench.lines("commands")
    assert (first["verb"], first["list"], first["value"]) == ("list_add", "hot_cards", "C1")
    assert first["expires_at"] == rfc3339(START + HOUR)
    assert (note["verb"], note["to"], again["verb"]) == ("notify", "customer", "notify")
    assert bench.lines("decisions")[0]["commands"] == [first["command_id"], note["command_id"]]
    assert bench.lines("decisions")[1]["reasons"] == ["R_A", "CAP_REACHED"]


def test_what_is_saved_goes_on_as_if_nothing_had_happened():
    rows = [fires("A", at=i * MINUTE, card=f"C{i % 3}") for i in range(8)]
    calm = Bench(rule("A", restrict("card", hours=1, per_hour=2), dedup=["card"])).run(rows)
    broken = Bench(rule("A", restrict("card", hours=1, per_hour=2), dedup=["card"])).run(rows[:4])
    broken.restart().run(rows[4:])
    assert broken.streams == calm.streams
    assert broken.decider.save()["state"].tobytes() == calm.decider.save()["state"].tobytes()


def test_what_ended_is_forgotten_after_the_span_of_automation():
    bench, id_ = frozen(hours=1)
    bench.batch([TICK | {"at": HOUR}, TICK | {"at": 30 * DAY + HOUR - 1}])
    bench.batch([command("acknowledge", restriction_id=id_)])
    bench.batch([TICK | {"at": 30 * DAY + HOUR}, command("acknowledge", restriction_id=id_)])
    assert [answer["ok"] for answer in bench.answers] == [True, False]
    assert bench.decider._registry.all() == []


@pytest.mark.parametrize(
    "entity", ["account", "card", "customer", "device", "merchant", "terminal"]
)
@pytest.mark.parametrize("level", ["watch", "limit", "amount_hold", "no_debit", "no_credit", "full_freeze"])  # fmt: skip
def test_every_level_of_every_entity_lives_its_whole_life(entity, level):
    """Imposed by a rule, sent, acknowledged, demanding what it demands, and over at its end with a command each."""
    amount = {"amount_minor": 500} if level in ("limit", "amount_hold") else {}
    asks = restrict(entity, level, hours=1, **amount)
    bench = Bench(rule("A", asks), effect="enforce")
    names = {name: f"{name}1" for name in ("account", "card", "customer", "device", "merchant", "terminal")}  # fmt: skip
    bench.batch([fires("A", at=0, **names)])
    [command_line] = bench.lines("commands")
    assert command_line["entity"] == {entity: f"{entity}1"}
    ack = command("acknowledge", command_id=command_line["command_id"])
    out, into = (fires(at=MINUTE, direction=way, **names) for way in ("out", "in"))
    other = fires(at=MINUTE, **names | {entity: "other"})
    bench.batch([ack, out, into, other, out | {"at": HOUR}])
    blocked = {"watch": (0, 0), "no_credit": (0, 1), "full_freeze": (1, 1)}.get(level, (1, 0))
    told = ["hold" if is_blocked else "approve" for is_blocked in blocked]
    assert bench.decisions()[1:] == [*told, "approve", "approve"]
    assert [line["verb"] for line in bench.lines("commands")] == ["restrict", "expired"]
    [known] = bench.decider.restrictions
    states = [state for state, _, _ in known.edges]
    assert states == ["proposed", "sent", "active", "expired"]
