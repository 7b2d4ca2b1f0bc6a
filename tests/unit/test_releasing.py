"""People with roles lift restrictions: two for a full freeze, one at night, all that a rule did, and appeals."""

import pytest

from config.people import People, Person
from tests.deciding import DAY, HOUR, MINUTE, Bench, alert, command, fires, loose, restrict, rule

TICK = {"kind": "tick", "id": None}
PEOPLE = People(
    people={
        "ann": Person(name="Ann", roles=("analyst",)),
        "bob": Person(name="Bob", roles=("supervisor",)),
        "eve": Person(name="Eve", roles=("duty_officer",)),
        "leo": Person(name="Leo", roles=("legal",)),
        "ada": Person(name="Ada", roles=("auditor",)),
        "cbs": Person(name="Core banking", roles=("core_banking",)),
    }
)


def frozen(effect="enforce", *, people=PEOPLE, **more):
    """A bench whose rule A has just restricted card C1, and the id of that restriction."""
    bench = Bench(rule("A", restrict("card", **more)), effect=effect, people=people)
    bench.batch([fires("A", at=0)])
    return bench, bench.lines("commands")[0]["restriction_id"]


def said(name, by, **more):
    return command(name, **{"by": by, "reason": "customer called", "legal_basis": "T&C 7"} | more)


def reasons(bench):
    return [line["reason"] for line in bench.lines("alerts")]


# ---------------------------------------------------------------- releases


def test_a_release_puts_on_record_who_why_what_was_wrong_and_how_long_it_lasted():
    bench, id_ = frozen()
    first = said("release", "ann", restriction_id=id_, discounted=["A"], verdict="mistaken")
    bench.batch([TICK | {"at": HOUR}, first, said("release", "bob", restriction_id=id_)])
    [line] = bench.lines("resolutions")
    assert line == {
        "seq": 3,
        "kind": "release",
        "restriction_id": id_,
        "outcome": "released",
        "rule": "A",
        "by": ["ann", "bob"],
        "reason": "customer called",
        "legal_basis": "T&C 7",
        "order": None,
        "discounted": ["A"],
        "verdict": "mistaken",
        "started_at": "2026-03-02T10:00:00Z",
        "lasted_s": 3600.0,
        "second_signature": None,
        "core_time": "2026-03-02T11:00:00Z",
    }
    assert bench.lines("commands")[-1]["legal_basis"] == "T&C 7"


@pytest.mark.parametrize(
    ("order", "what"),
    [
        (said("release", "zoe"), "nobody is known as `zoe`"),
        (said("release", "ada"), "`ada` may not release"),
        (said("release", "cbs"), "`cbs` may not release"),
        (said("restrict", "ada", entity={"card": "C2"}, level="watch", **{"for": "1h"}), "`ada` may not restrict"),
        (said("restrict", "ann", order="AZ 1", entity={"card": "C2"}, level="watch", **{"for": "1h"}), "`ann` may not restrict order"),
        (said("acknowledge", "ann"), "`ann` may not acknowledge"),
        (said("rule_on", "ann", rule="A"), "`ann` may not rule on"),
        (said("mode", "ann", effect="observe"), "`ann` may not observe"),
        (said("release_rule", "ann", rule="A", since="2026-03-02"), "`ann` may not release rule"),
        (said("release", "ann", legal_basis=""), "`legal_basis` is missing"),
    ],
)  # fmt: skip
def test_who_has_not_the_role_changes_nothing(order, what):
    bench, id_ = frozen(level="no_debit")
    before = bench.decider.save()["state"].tobytes()
    order["command"].setdefault("restriction_id", id_)
    bench.batch([order])
    assert (bench.answers[0]["ok"], bench.answers[0]["what"]) == (False, what)
    assert bench.decider.save()["state"].tobytes() == before


def test_an_order_is_imposed_and_lifted_by_the_legal_role_with_an_order_number():
    bench, _ = frozen()
    where = {"entity": {"card": "C2"}, "level": "full_freeze", "for": "90d"}
    bench.batch([said("restrict", "leo", order="AZ 1", **where)])
    id_ = bench.answers[0]["restriction_id"]
    tries = [
        said("release", "bob", restriction_id=id_, order="AZ 2"),
        said("release", "leo", restriction_id=id_),
        said("release", "leo", restriction_id=id_, order="AZ 2"),
        said("release", "leo", restriction_id=id_, order="AZ 2"),
    ]
    bench.batch(tries)
    assert [answer["ok"] for answer in bench.answers[1:]] == [False, False, True, False]
    assert bench.answers[3]["awaiting"] == "a second person", "a full freeze, order or not"


def test_at_night_one_duty_officer_lifts_at_once_and_a_second_person_signs_in_time():
    bench, id_ = frozen()
    lift = said("release", "eve", restriction_id=id_, emergency=True)
    early = said("countersign", "bob", restriction_id=id_)
    bench.batch([early, said("release", "ann", restriction_id=id_, emergency=True), lift, fires()])
    assert [answer["ok"] for answer in bench.answers] == [False, False, True]
    assert bench.answers[2]["state"] == "released"
    assert bench.decisions()[-1] == "approve"
    assert bench.lines("resolutions")[0]["second_signature"] == "awaited"
    sign = [said("countersign", by, restriction_id=id_) for by in ("eve", "bob", "bob")]
    bench.batch([TICK | {"at": HOUR}, *sign, TICK | {"at": 2 * DAY}])
    assert [answer["ok"] for answer in bench.answers[3:]] == [False, True, False]
    assert "SECOND_SIGNATURE_MISSING" not in reasons(bench)
    assert bench.lines("resolutions")[1]["by"] == "bob"


def test_a_second_signature_that_does_not_come_is_an_alarm():
    bench, id_ = frozen("observe")
    bench.batch([said("release", "eve", restriction_id=id_, emergency=True)])
    bench.batch([TICK | {"at": DAY - 1}])
    assert reasons(bench) == []
    bench.batch([TICK | {"at": DAY}])
    assert reasons(bench) == ["SECOND_SIGNATURE_MISSING"]
    bench.batch([said("countersign", "bob", restriction_id=id_) | {"at": DAY}])
    assert bench.answers[-1]["ok"] is True


def test_without_people_nobody_lifts_a_full_freeze_alone():
    bench, id_ = frozen(people=None)
    bench.batch([said("release", "eve", restriction_id=id_, emergency=True)])
    assert bench.answers[0]["what"] == "nobody has night duty"


# ---------------------------------------------------------------- core banking


def test_a_release_nobody_acknowledges_is_an_alarm_again_and_again_until_it_is():
    bench, id_ = frozen(level="no_debit")
    bench.batch([said("acknowledge", "cbs", restriction_id=id_)])
    bench.batch([TICK | {"at": HOUR}, said("release", "ann", restriction_id=id_)])
    assert bench.answers[-1]["state"] == "released"
    late = [TICK | {"at": HOUR + 10 * MINUTE - 1}, TICK | {"at": HOUR + 10 * MINUTE}]
    bench.batch([*late, TICK | {"at": 2 * HOUR + 10 * MINUTE}])
    assert reasons(bench) == ["RELEASE_NOT_ACKNOWLEDGED"] * 2
    bench.batch([said("acknowledge", "cbs", restriction_id=id_), TICK | {"at": 20 * HOUR}])
    assert bench.answers[-1]["release"] == "acknowledged"
    assert len(bench.lines("alerts")) == 2


def test_an_alarm_that_was_due_is_raised_even_if_nothing_arrived_until_the_end():
    bench, id_ = frozen(level="no_debit", hours=1)
    bench.batch([said("release", "ann", restriction_id=id_), TICK | {"at": 2 * HOUR}])
    assert reasons(bench) == ["RELEASE_NOT_ACKNOWLEDGED"]
    bench.batch([TICK | {"at": 9 * HOUR}])
    assert len(bench.lines("alerts")) == 1


def test_a_late_acknowledgement_of_the_imposition_is_not_one_of_the_release():
    bench, id_ = frozen(level="no_debit")
    imposed = bench.lines("commands")[0]["command_id"]
    bench.batch([said("release", "ann", restriction_id=id_)])
    bench.batch([said("acknowledge", "cbs", command_id=imposed), TICK | {"at": HOUR}])
    assert reasons(bench) == ["RELEASE_NOT_ACKNOWLEDGED"]


def test_a_rejected_release_is_an_alarm_and_stays_one():
    bench, id_ = frozen(level="no_debit")
    bench.batch([said("release", "ann", restriction_id=id_)])
    bench.batch([said("reject", "cbs", restriction_id=id_), TICK | {"at": HOUR}])
    assert reasons(bench) == ["RELEASE_REJECTED", "RELEASE_NOT_ACKNOWLEDGED"]
    bench.batch([TICK | {"at": 23 * HOUR}, TICK | {"at": 24 * HOUR}, TICK | {"at": 48 * HOUR}])
    assert len(bench.lines("alerts")) == 3, "core banking has lifted it by itself at its end"


def test_the_life_of_a_restriction_is_told_step_by_step():
    bench, id_ = frozen(level="no_debit")
    bench.batch([TICK | {"at": 10 * MINUTE}, said("acknowledge", "cbs", restriction_id=id_)])
    bench.batch([said("release", "ann", restriction_id=id_)])
    [restriction] = bench.decider.restrictions
    assert [state for state, _, _ in restriction.edges] == [
        "proposed", "sent", "timed_out", "active", "released",
    ]  # fmt: skip
    watched, _ = frozen("observe")
    assert watched.decider.restrictions[0].state == "observed"


# ---------------------------------------------------------------- modes and switches


def test_one_person_stops_what_is_sent_and_two_let_it_go_on():
    bench, id_ = frozen(level="no_debit")
    bench.batch([said("acknowledge", "cbs", restriction_id=id_)])
    bench.batch([said("mode", "bob", effect="observe"), fires("A", card="C2")])
    bench.batch([said("release", "ann", restriction_id=id_)])
    effects = [(line["verb"], line["effect"]) for line in bench.lines("commands")]
    assert effects == [("restrict", "enforce"), ("restrict", "observe"), ("release", "enforce")]
    back = [said("mode", by, effect="enforce") for by in ("bob", "bob", "eve")]
    bench.restart().batch([*back, fires("A", card="C3")])
    assert [answer.get("awaiting") for answer in bench.answers[3:]] == ["a second person"] * 2 + [
        None
    ]
    assert bench.lines("commands")[-1]["effect"] == "enforce"
    assert reasons(bench) == ["MODE_SWITCHED"] * 2


def back_to_enforce(bench):
    bench.batch([said("mode", by, effect="enforce") for by in ("bob", "eve")])
    assert bench.decider.effect == "enforce"


@pytest.mark.parametrize("is_overdue", [False, True])
def test_what_core_banking_has_not_confirmed_is_withdrawn_when_the_mode_becomes_observe(is_overdue):
    """It may have arrived, so a release follows it; for us it goes on, and its end is for nobody but us."""
    bench, id_ = frozen(level="no_debit")
    bench.batch([TICK | {"at": (9, 11)[is_overdue] * MINUTE}])
    bench.batch([said("mode", "bob", effect="observe"), fires("A")])
    assert bench.answers[-1]["withdrawn"] == [id_]
    _, lifting = bench.lines("commands")
    assert (lifting["verb"], lifting["effect"]) == ("release", "enforce")
    assert (lifting["withdrawn"], lifting["withdrawn_by"]) == (True, "bob")
    assert "1 restrictions withdrawn" in bench.lines("alerts")[-1]["title"]
    [restriction] = bench.decider.restrictions
    assert [s for s, _, _ in restriction.edges][-1] == restriction.state == "observed"
    assert restriction.is_in_force
    assert bench.decisions()[-1] != "approve", "our own decisions still heed it"
    bench.batch([TICK | {"at": 24 * HOUR}])
    assert [(c["verb"], c["effect"]) for c in bench.lines("commands")[2:]] == [
        ("expired", "observe")
    ]


def test_a_withdrawal_is_awaited_like_a_release():
    bench, id_ = frozen(level="no_debit")
    imposed = bench.lines("commands")[0]["command_id"]
    bench.batch([said("mode", "bob", effect="observe")])
    lifting = bench.lines("commands")[1]["command_id"]
    bench.batch([said("acknowledge", "cbs", command_id=imposed), TICK | {"at": HOUR}])
    assert bench.decider.restrictions[0].state == "observed", "it came too late"
    assert reasons(bench) == ["MODE_SWITCHED", "RELEASE_NOT_ACKNOWLEDGED"]
    bench.batch([said("acknowledge", "cbs", command_id=lifting), TICK | {"at": 20 * HOUR}])
    assert bench.answers[-1]["release"] == "acknowledged"
    assert len(bench.lines("alerts")) == 2
    bench.batch([said("release", "ann", restriction_id=id_)])
    assert bench.lines("commands")[-1]["effect"] == "observe", "core banking has lifted it before"


def test_back_to_enforce_brings_nothing_back_and_the_next_match_is_a_new_restriction():
    bench, id_ = frozen(level="no_debit")
    bench.batch([said("mode", "bob", effect="observe"), fires("A"), fires("A", card="C9")])
    back_to_enforce(bench.restart())
    assert [c["verb"] for c in bench.lines("commands")] == ["restrict", "release", "restrict"]
    assert bench.decider.withheld_before == bench.seq - 1
    bench.batch([fires("A"), fires("A")])
    news = bench.lines("commands")[3:]
    assert [(c["verb"], c["effect"]) for c in news] == [("restrict", "enforce")]
    assert news[0]["restriction_id"] != id_


def test_what_was_confirmed_stands_when_the_mode_becomes_observe():
    bench, id_ = frozen(level="no_debit")
    bench.batch([said("acknowledge", "cbs", restriction_id=id_)])
    bench.batch([said("mode", "bob", effect="observe")])
    assert bench.answers[-1]["withdrawn"] == []
    assert bench.decider.restrictions[0].state == "active"
    assert bench.decider.withheld_before > 10**9
    assert bench.restart().decider.withheld_before > 10**9


@pytest.mark.parametrize("size", [1, 2, 64])
def test_a_configuration_that_observes_withdraws_like_an_order(size):
    """Settings change between two records; the first record behind them settles it, however batches are cut."""
    bench, id_ = frozen(level="no_debit")
    saved = bench.decider.save()
    observing = Bench(rule("A", restrict(level="no_debit")), effect="observe", people=PEOPLE)
    observing.seq, observing.core_us = bench.seq, bench.core_us
    for name, texts in bench.dictionaries.items():
        observing.dictionaries[name].texts = texts.texts
    observing.decider.load(saved)
    rows = [TICK | {"at": MINUTE}, TICK | {"at": MINUTE}, fires("A", at=MINUTE)]
    observing.run(rows, range(size, 3, size))
    [lifting] = observing.lines("commands")
    assert (lifting["verb"], lifting["seq"]) == ("release", bench.seq)
    assert lifting["restriction_id"] == id_
    assert reasons(observing) == ["MODE_SWITCHED"]
    bench.decider.load(observing.decider.save())
    assert bench.decider.withheld_before > 10**9, "nothing has been decided since"
    bench.seq, bench.core_us, bench.streams = observing.seq, observing.core_us, {}
    bench.batch([TICK | {"at": MINUTE}] * 2)
    assert bench.decider.withheld_before == bench.seq - 2
    assert reasons(bench) == ["MODE_SWITCHED"]


def test_what_was_withheld_is_on_record():
    bench, id_ = frozen(level="no_debit")
    imposed = bench.lines("commands")[0]["command_id"]
    bench.batch([said("mode", "bob", effect="observe")])
    bench.batch([said("withheld", "cbs", command_id=c) for c in (imposed, "c-notice", "")])
    assert [answer["ok"] for answer in bench.answers[1:]] == [True, True, False]
    told = [(r["kind"], r["command_id"], r["restriction_id"]) for r in bench.lines("resolutions")]
    assert told == [("command", imposed, id_), ("command", "c-notice", None)]


def test_who_agrees_too_late_has_to_ask_anew():
    bench, _ = frozen()
    both = [said("mode", by, effect="enforce") for by in ("bob", "eve")]
    bench.batch([said("mode", "bob", effect="observe"), both[0], TICK | {"at": DAY + 1}, both[1]])
    assert bench.answers[-1]["awaiting"] == "a second person"
    assert bench.decider.effect == "observe"


@pytest.mark.parametrize("cuts", [(), range(1, 7)])
def test_a_rule_is_off_at_once_for_everybody_and_its_matches_stay_on_record(cuts):
    bench = Bench(rule("A", alert(), restrict()), people=PEOPLE)
    rows = [
        fires("A", at=0, card="C0"),
        said("rule_off", "ann", rule="A", **{"for": "1h"}),
        fires("A", at=MINUTE, card="C1"),
        fires("A", at=HOUR, card="C2"),
        said("rule_off", "ann", rule="A"),
        said("rule_on", "bob", rule="A"),
        fires("A", at=HOUR, card="C3"),
    ]
    bench.run(rows, cuts)
    assert bench.decisions() == ["hold", "approve", "hold", "hold"]
    off = bench.answers[0]["suppression_id"]
    assert bench.lines("decisions")[1]["suppressed"] == [["A", off]]
    titles = [line["title"] for line in bench.lines("alerts") if line["kind"] == "operational"]
    assert [title.split(":")[0].split(" until")[0] for title in titles] == [
        "ann switched A off",
        "A is on again",
        "ann switched A off",
        "bob switched A on again",
    ]
    assert bench.decider.suppressions == []


@pytest.mark.parametrize("cuts", [(), range(1, 6)])
def test_a_rule_that_is_off_asks_for_nothing_when_it_cannot_be_decided_either(cuts):
    undecided = {"truth": {"A": 3}}
    bench = Bench(rule("A", if_undecided=(400.0, "")), people=PEOPLE)
    rows = [
        fires(at=0) | undecided,
        said("rule_off", "ann", rule="A", **{"for": "1m"}),
        fires(at=1) | undecided,
        fires(at=MINUTE) | undecided,
    ]
    bench.run(rows, [c for c in cuts if c < 4])
    assert bench.decisions() == ["review", "approve", "review"]
    line = bench.lines("decisions")[1]
    assert line["undecided"] == [["A", "field3"]]
    assert line["suppressed"] == [["A", bench.answers[0]["suppression_id"]]]
    assert line["score"] == 0


def test_a_pack_suppresses_a_rule_for_one_entity_until_a_time_of_the_event():
    from rules.definitions import Place, Suppression

    until_us = bench_time(HOUR)
    one = Suppression("A", "card", "C1", until_us, "known", "ann", "core", Place("x", 1, 1))
    bench = Bench(rule("A", restrict()), suppressions=(one,))
    late = fires("A", at=HOUR - 1, card="C1", late=True)
    bench.batch([fires("A", at=0), fires("A", at=0, card="C2"), fires("A", at=HOUR), late])
    assert bench.decisions() == ["approve", "hold", "hold", "hold"]
    [[rule_id, id_]] = bench.lines("decisions")[0]["suppressed"]
    assert (rule_id, id_[:2]) == ("A", "s-")
    assert bench.lines("decisions")[3]["suppressed"] == [["A", id_]]


def bench_time(at):
    from tests.deciding import START

    return START + at


# ---------------------------------------------------------------- all that a rule did


def test_all_that_a_rule_did_is_released_after_a_dry_run_and_nothing_else():
    bench = Bench(
        rule("A", restrict("card", per_hour=99)), rule("B", restrict("card", per_hour=99)),
        people=PEOPLE, effect="enforce", settings=loose(cool_down="0s"),
    )  # fmt: skip
    bench.batch([fires("A", at=0, card="C0"), fires("A", "B", at=HOUR, card="C1")])
    ask = said("release_rule", "bob", rule="A", since="2026-03-02T10:30:00Z")
    bench.batch([ask, fires("A", at=HOUR, card="C2")])
    shown = bench.answers[0]
    assert (shown["count"], shown["levels"]) == (1, {"full_freeze": 1})
    do = {"rule": "A", "dry_run": False, "token": shown["token"]}
    bench.batch([said("release_rule", "bob", **do), said("release_rule", "eve", **do)])
    bench.batch([said("release_rule", "eve", **do)])
    assert [answer["ok"] for answer in bench.answers[1:]] == [False, True, False]
    assert bench.answers[2]["restrictions"] == shown["restrictions"]
    released = [line for line in bench.lines("commands") if line["verb"] == "release"]
    assert [line["released_by"] for line in released] == [["bob", "eve"]]
    assert bench.lines("resolutions")[0]["discounted"] == ["A"]
    bench.batch([fires(card="C0"), fires(card="C1"), fires(card="C2")])
    assert bench.decisions()[-3:] == ["hold", "hold", "hold"], "C1 stays frozen by B"


def test_lesser_restrictions_of_a_rule_are_released_by_one_person():
    bench, _ = frozen(level="no_debit")
    bench.batch([said("release_rule", "bob", rule="A", since="2026-03-02")])
    do = {"rule": "A", "dry_run": False, "token": bench.answers[0]["token"]}
    bench.batch([said("release_rule", "bob", **do), fires()])
    assert bench.answers[1]["released"] == 1
    assert bench.decisions()[-1] == "approve"


def test_a_dry_run_of_one_rule_releases_nothing_of_another():
    bench, _ = frozen(level="no_debit")
    bench.batch([said("release_rule", "bob", rule="A", since="2026-03-02")])
    do = {"dry_run": False, "token": bench.answers[0]["token"]}
    bench.batch([said("release_rule", "bob", rule="B", **do), fires()])
    assert bench.answers[1]["ok"] is False
    assert bench.answers[1]["what"] == f"no dry run of B has the token `{do['token']}`"
    assert bench.decisions()[-1] != "approve"


# ---------------------------------------------------------------- appeals


def test_an_appeal_is_opened_by_one_person_and_decided_by_another():
    bench, id_ = frozen(level="no_debit")
    bench.batch([said("appeal", "bob", restriction_id=id_)])
    appeal = {"appeal_id": bench.answers[0]["appeal_id"], "decision": "granted"}
    bench.batch([said("decide_appeal", by, **appeal) for by in ("ann", "bob")])
    assert [answer["ok"] for answer in bench.answers[1:]] == [False, False]
    bench, id_ = frozen(level="no_debit")
    bench.batch([said("appeal", "ann", restriction_id=id_)])
    appeal = {"appeal_id": bench.answers[0]["appeal_id"], "decision": "granted"}
    bench.batch([said("decide_appeal", "bob", **appeal, verdict="mistaken"), fires()])
    assert bench.decisions()[-1] == "approve"
    kinds = [(line["kind"], line["outcome"]) for line in bench.lines("resolutions")]
    assert kinds == [("appeal", "open"), ("release", "released"), ("appeal", "granted")]


def test_a_refused_appeal_leaves_everything_and_a_granted_one_is_one_of_two_words():
    for decision, state in (("refused", "sent"), ("granted", "released")):
        bench, id_ = frozen()
        bench.batch([said("release", "ann", restriction_id=id_)])
        bench.batch([said("appeal", "ann", restriction_id=id_)])
        appeal = {"appeal_id": bench.answers[1]["appeal_id"], "decision": decision}
        bench.restart().batch([said("decide_appeal", "bob", **appeal)])
        assert bench.decider.restrictions[0].state == state
