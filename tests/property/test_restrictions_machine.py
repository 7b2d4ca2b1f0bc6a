"""Random lives of restrictions: decisions, answers of core banking, people, orders, time and crashes, in any order.

The oracle is a book of its own, kept from commands, answers and alerts alone, in plain Python; it shares no code with the
engine. After each step it must hold that

    no restriction is without an end and a reason, whoever imposed it
    automation stays within its caps, its breaker and its hours on each entity
    a step touches the restrictions it names, and no other
    the state of each restriction is one that may follow its last one
    what is released or withdrawn reaches core banking, or somebody hears of it again and again
    under observe nothing of ours binds anybody outside but what core banking has confirmed, and what it is told to lift
    what waits has one end, and a repeat is told the outcome of that moment
    a rule that is switched off restricts nothing until it is on again, or its time is over
    a case is closed once, and its verdict is owed as a label for each of its transactions, once
    a crash changes nothing: a twin that never crashed says the same bytes
    whatever dies, the engine, the process that follows it, or Redis: once all are back the registry in Redis is what
        the core holds to be sent and in force, no more and no less
    nothing that could send a command is part of the stage: under `observe` every new command says so

WEIR_MACHINE_RUNS sets how many lives are lived (150; 10,000 by night).
"""

import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition
from hypothesis.stateful import rule as step

from config.people import People, Person
from engine.clock import ManualClock
from engine.sinks.following import Follower
from engine.sinks.registry import ALERTS, COMMANDS, FILE, Followed, streams_of
from tests.deciding import (
    HOUR,
    MINUTE,
    START,
    Bench,
    action,
    alert,
    command,
    fires,
    loose,
    restrict,
    rule,
)
from tests.memory_redis import MemoryRedis
from tests.simulation.disk import SimDisk

RUNS = int(os.environ.get("WEIR_MACHINE_RUNS", "150"))
ENTITIES = ("account", "card", "customer", "device", "merchant", "terminal")
LEVELS = ("watch", "limit", "amount_hold", "no_debit", "no_credit", "full_freeze")
IN_FORCE = {"observed", "sent", "active", "timed_out"}
MAY_FOLLOW = {
    None: {"observed", "sent"},
    "observed": {"expired", "released", "rejected"},
    "sent": {"active", "timed_out", "rejected", "expired", "released", "observed"},
    "timed_out": {"active", "rejected", "expired", "released", "observed"},
    "active": {"rejected", "expired", "released"},
}
RULES = (
    rule("CARD", restrict("card", "full_freeze", hours=2, per_hour=3)),
    rule("ACCT", restrict("account", "no_debit", hours=3, per_hour=3)),
    rule("DEVI", restrict("device", "limit", hours=1, per_hour=3, amount_minor=500)),
    rule("SHOP", restrict("merchant", "watch", hours=5, per_hour=9)),
    rule("HOLD", action("hold", for_us=HOUR, then="decline")),
    rule("CHAL", action("challenge", for_us=5 * MINUTE)),
    rule("LOOK", alert(), dedup=("customer",), dedup_hours=3),
)
HOURS = {"CARD": 2, "ACCT": 3, "DEVI": 1, "SHOP": 5}
PEOPLE = People(
    people={
        "ann": Person(name="Ann", roles=("analyst",)),
        "bob": Person(name="Bob", roles=("supervisor",)),
        "eve": Person(name="Eve", roles=("duty_officer",)),
        "leo": Person(name="Leo", roles=("legal",)),
        "cbs": Person(name="Core banking", roles=("core_banking",)),
    }
)
SETTINGS = loose(
    automation_max="6h",
    automation_span="24h",
    cool_down="1h",
    breaker_minimum=5,
    breaker_window="2h",
    ack_timeout="10m",
    outcomes_kept="12h",
)
TICK = {"kind": "tick", "id": None}
OUT = Path("out")
PERSON = st.sampled_from(["ann", "bob", "eve", "leo"])
GAP = st.sampled_from([0, 1, MINUTE, 9 * MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, 25 * HOUR])


def time_of(text):
    from datetime import datetime, timedelta

    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (datetime.fromisoformat(text) - epoch) // timedelta(microseconds=1)


class Lives(RuleBasedStateMachine):
    """One engine that crashes now and then, one that never does, and the book that both are held to."""

    @initialize(effect=st.sampled_from(["enforce", "enforce", "observe"]))
    def begin(self, effect):
        make = lambda: Bench(  # noqa: E731
            *RULES, settings=SETTINGS, effect=effect, people=PEOPLE, max_freezes_per_hour=5
        )
        self.effect, self.may_enforce = effect, effect == "enforce"
        self.bench, self.calm = make(), make()
        self.at = 0
        self.told = {"commands": 0, "alerts": 0, "resolutions": 0, "decisions": 0, "duplicates": 0}
        self.states = {}  # restriction -> state, as the engine says it
        self.imposed = {}  # restriction -> its command
        self.withdrawn = {}  # restriction -> the command that withdrew it
        self.ended = {}  # restriction -> (how, core time)
        self.unheard = {}  # released and sent, not acknowledged: restriction -> when the next alarm is due
        self.held = {}  # transaction -> outcome
        self.cases = {}  # case -> its transactions
        self.closed = set()
        self.owed = []  # (transaction, label)
        self.off = {}  # rule -> until when
        self.appeals = {}  # appeal -> restriction
        self.meant = set()
        self.disk, self.clock = SimDisk(np.random.default_rng(0)), ManualClock(START)
        self.redis = MemoryRedis(lambda: self.clock.now_us() // 1_000)
        self.written = {COMMANDS: 0, ALERTS: 0}
        self.write_streams()
        self.follow()
        self.feed([fires(at=0)])

    # ---- steps

    def feed(self, rows, meant=()):
        """Give rows to both; then read what the first has said, and hold it to the book."""
        self.meant = set(meant)
        before = dict(self.states)
        for bench in (self.bench, self.calm):
            bench.batch(rows)
        now = START + self.at
        news = {name: self.bench.lines(name)[n:] for name, n in self.told.items()}
        self.told = {name: self.told[name] + len(lines) for name, lines in news.items()}
        for line in news["commands"]:
            self.note_command(line)
        for line in news["alerts"]:
            self.note_alarm(line)
        for line in news["resolutions"]:
            if line.get("kind") is None:
                self.note_outcome(line)
        for line in news["decisions"]:
            if line["decision"] in ("hold", "challenge"):
                detail = line[line["decision"]]
                assert time_of(detail["until"]) > now - 1
                self.held[line["transaction_id"]] = "pending"
        for line in news["duplicates"]:
            assert line.get("outcome") in (self.held.get(line["transaction_id"]), None)
        self.compare(before)
        self.write_streams()

    # ---- the registry in Redis

    def write_streams(self):
        """What leaves the engine, as far as the follower reads it."""
        self.clock.jump_to_us(START + self.at)
        for name, n in self.written.items():
            text = self.bench.streams.get(name.removesuffix(".ndjson"), b"")
            file = self.disk.append(OUT / name)
            file.write(text[n:])
            file.close()
            self.written[name] = len(text)

    def follow(self):
        """A new process follows the folder; the one before has ended without a word."""
        followed = Followed([streams_of(self.disk, OUT)], self.disk, OUT / FILE)
        open_registry = lambda: self.redis.open(followed.run)  # noqa: E731
        self.follower = Follower(followed, open_registry, lambda _domain, id_: id_, self.clock)

    def bring_up(self):
        """Let the follower work until it says that all is right."""
        for _ in range(100):
            self.clock.advance_us(10_000)
            if not self.follower.step() and self.follower.is_right:
                return
        raise AssertionError(self.follower.status())

    def compare_registry(self):
        found = {}
        live = self.redis.live()
        for key, value in live.items():
            if key.count(":") > 2 and (told := json.loads(value)["restrictions"]):
                found[tuple(key.split(":")[2:])] = sorted(one["id"] for one in told)
        wanted = {}
        for one in self.bench.decider.restrictions:
            if one.is_in_force and one.effect == "enforce":
                wanted.setdefault((one.domain, one.entity), []).append(one.id)
        assert found == {entity: sorted(ids) for entity, ids in wanted.items()}
        assert live["weir:r:complete"] == self.follower.followed.run

    @step(how=st.sampled_from(["dies", "is emptied"]), returns=st.booleans())
    def redis_suffers(self, how, returns):
        """It comes back as it was saved, long ago; or is emptied while the connection holds."""
        if how == "dies":
            self.redis.kill()
        elif self.redis.is_up:
            self.redis.empty()
        if returns:
            self.all_are_back_and_the_registry_is_right()

    @step(n=st.integers(0, 3), ends=st.sampled_from(["killed", "in order", "goes on"]))
    def the_follower_works(self, n, ends):
        for _ in range(n):
            self.clock.advance_us(10_000)
            self.follower.step()
        if self.redis.is_up:
            self.redis.save()
        if ends == "in order":
            self.follower.close()
        if ends != "goes on":
            self.follow()

    @step()
    def all_are_back_and_the_registry_is_right(self):
        self.redis.start()
        self.clock.advance_us(2_000_000)
        self.bring_up()
        self.compare_registry()

    def note_command(self, line):
        id_, verb = line["restriction_id"], line["verb"]
        assert time_of(line["expires_at"]) > time_of(line["started_at"])
        assert line["reason"]
        assert line["author"]
        if verb == "restrict":
            assert id_ not in self.imposed, "one restriction, one id"
            assert line["effect"] == self.effect
            self.imposed[id_] = line
            if line["rule"]:
                assert self.off.get(line["rule"], 0) <= time_of(line["started_at"]), "switched off"
            return
        assert id_ not in self.ended, "a restriction ends once"
        if line.get("withdrawn"):
            assert self.effect == "observe", "only the switch withdraws"
            assert line["effect"] == self.imposed[id_]["effect"] == "enforce"
            assert id_ not in self.withdrawn
            self.withdrawn[id_] = line
            self.unheard[id_] = time_of(line["core_time"]) + 10 * MINUTE
            return
        was_sent = "observe" if id_ in self.withdrawn else self.imposed[id_]["effect"]
        assert line["effect"] == was_sent, "what was sent is also lifted"
        self.ended[id_] = verb, time_of(line["core_time"])
        if verb == "release":
            assert line["released_by"]
            assert line["legal_basis"]
            if line["effect"] == "enforce":
                self.unheard[id_] = time_of(line["core_time"]) + 10 * MINUTE

    def note_alarm(self, line):
        if line["kind"] in ("rule", "update"):
            assert line["case_id"] not in self.closed, "nothing joins what nobody looks at"
            self.cases.setdefault(line["case_id"], set()).add(line["transaction_id"])
        if line["reason"] == "RELEASE_NOT_ACKNOWLEDGED":
            assert line["restriction_id"] in self.unheard
            self.unheard[line["restriction_id"]] = time_of(line["core_time"]) + HOUR

    def note_outcome(self, line):
        id_ = line["transaction_id"]
        assert self.held[id_] in ("pending", "review"), "one end each"
        self.held[id_] = line["outcome"]

    def compare(self, before):
        """States follow each other as they may, and only where this step or its time has something to do with it."""
        now = START + self.at
        states = {r.id: r.state for r in self.bench.decider.restrictions}
        for id_, state in states.items():
            was = before.get(id_)
            if state != was:
                seen = [was]
                edges = {r.id: r for r in self.bench.decider.restrictions}[id_].edges
                walked = [s for s, _, _ in edges if s != "proposed"]
                start = walked.index(was) + 1 if was in walked else 0
                for one in walked[start:]:
                    assert one in MAY_FOLLOW[seen[-1]], (seen, one)
                    seen.append(one)
                by_time = {"timed_out", "expired"}
                assert id_ in self.meant or set(seen[1:]) <= by_time or was is None
            if state in IN_FORCE:
                assert time_of(self.imposed[id_]["expires_at"]) > now, "in force beyond its end"
                assert id_ not in self.ended
        for id_, was in before.items():
            if id_ not in states:
                assert was not in IN_FORCE or id_ in self.ended, "forgotten while in force"
        self.states = states

    @step(gap=GAP)
    def pass_time(self, gap):
        self.at += gap
        self.feed([TICK | {"at": self.at}])

    @step(
        ids=st.lists(st.sampled_from([r.id for r in RULES]), max_size=3, unique=True),
        n=st.integers(0, 3),
        gap=st.sampled_from([0, 0, 1, MINUTE]),
        copies=st.integers(1, 4),
    )
    def transact(self, ids, n, gap, copies):
        self.at += gap
        names = {name: f"{name}{n}" for name in ENTITIES}
        rows = [fires(*ids, at=self.at, **names) for _ in range(copies)]
        self.feed(rows)

    @precondition(lambda self: self.told["decisions"] > 0)
    @step(data=st.data())
    def repeat(self, data):
        first = data.draw(st.sampled_from(self.bench.lines("decisions")))
        row = {"kind": "duplicate", "id": first["transaction_id"], "account": first["account"]}
        self.feed([row | {"first": first["seq"], "at": self.at}])
        line = self.bench.lines("duplicates")[-1]
        assert line["decision"] == first["decision"]

    def one(self, data):
        return data.draw(st.sampled_from(sorted(self.imposed)))

    @precondition(lambda self: self.imposed)
    @step(data=st.data(), name=st.sampled_from(["acknowledge", "acknowledge", "reject"]))
    def core_banking_answers(self, data, name):
        """By the id of a command, old or new, once or twice; or by that of the restriction."""
        id_ = self.one(data)
        known = [
            c["command_id"] for c in self.bench.lines("commands") if c["restriction_id"] == id_
        ]
        by_command = data.draw(st.sampled_from([None, *known]))
        meant = {"command_id": by_command} if by_command else {"restriction_id": id_}
        before = self.states.get(id_)
        self.feed([command(name, by="cbs", reason="x", **meant)], [id_])
        answer = self.bench.answers[-1]
        lifts = [
            c["command_id"]
            for c in self.bench.lines("commands")
            if c["restriction_id"] == id_ and c["verb"] == "release" and c["effect"] == "enforce"
        ]
        is_lift = lifts and by_command in (None, lifts[-1])
        if answer["ok"] and name == "acknowledge" and is_lift:
            self.unheard.pop(id_, None)
        if answer["ok"] and name == "reject" and before in IN_FORCE and not is_lift:
            assert self.states[id_] == "rejected"

    @precondition(lambda self: self.imposed)
    @step(data=st.data(), by=PERSON, at_night=st.booleans(), order=st.sampled_from(["", "AZ 9"]))
    def release(self, data, by, at_night, order):
        id_ = self.one(data)
        words = {"by": by, "reason": "called", "legal_basis": "law"}
        restriction = {r.id: r for r in self.bench.decider.restrictions}.get(id_)
        asked = set(restriction.released_by) if restriction else set()
        before = self.states.get(id_)
        released = command("release", restriction_id=id_, order=order, emergency=at_night, **words)
        self.feed([released], [id_])
        answer, line = self.bench.answers[-1], self.imposed[id_]
        if answer["ok"] and self.states[id_] == "released":
            assert before in IN_FORCE
            if line["order"]:
                assert by == "leo"
                assert order
            elif line["level"] == "full_freeze":
                assert (at_night and by == "eve") or asked - {by}

    @precondition(lambda self: self.imposed)
    @step(data=st.data(), by=PERSON, name=st.sampled_from(["countersign", "appeal"]))
    def sign_or_appeal(self, data, by, name):
        id_ = self.one(data)
        before = dict(self.states)
        self.feed([command(name, by=by, reason="x", restriction_id=id_)])
        assert self.states == before
        answer = self.bench.answers[-1]
        if answer["ok"] and name == "appeal":
            self.appeals[answer["appeal_id"]] = id_

    @step(by=PERSON, entity=st.sampled_from(ENTITIES), n=st.integers(0, 3),
          level=st.sampled_from(LEVELS), hours=st.sampled_from([1, 5, 100]),
          order=st.sampled_from(["", "AZ 1"]))  # fmt: skip
    def restrict(self, by, entity, n, level, hours, order):
        amount = {"amount": "5.00"} if level in ("limit", "amount_hold") else {}
        more = {"entity": {entity: f"{entity}{n}"}, "level": level, "for": f"{hours}h"}
        known = set(self.imposed)
        self.feed([command("restrict", by=by, reason="seen", order=order, **more, **amount)])
        assert self.bench.answers[-1]["ok"] == ((by == "leo") == bool(order))
        assert len(set(self.imposed) - known) == self.bench.answers[-1]["ok"]

    @step(rule_id=st.sampled_from(sorted(HOURS)), by=st.sampled_from(["bob", "eve"]),
          other=st.sampled_from(["bob", "eve"]))  # fmt: skip
    def release_rule(self, rule_id, by, other):
        words = {"reason": "wild", "legal_basis": "law", "rule": rule_id}
        self.feed([command("release_rule", by=by, since="2026-03-02", **words)])
        shown = self.bench.answers[-1]
        in_force = {i for i, s in self.states.items() if s in IN_FORCE}
        assert set(shown["restrictions"]) == {
            i for i in in_force if self.imposed[i]["rule"] == rule_id
        }
        do = {"dry_run": False, "token": shown["token"]}
        self.feed([command("release_rule", by=other, **words, **do)], shown["restrictions"])
        answer = self.bench.answers[-1]
        alone = by == other and "full_freeze" in shown["levels"]
        assert answer["ok"] == (not alone)
        if answer["ok"]:
            assert answer["restrictions"] == shown["restrictions"]
            assert all(self.states[i] == "released" for i in shown["restrictions"])

    @precondition(lambda self: self.held)
    @step(data=st.data(), name=st.sampled_from(["challenge_passed", "challenge_failed", "resolve"]))
    def settle(self, data, name):
        id_ = data.draw(st.sampled_from(sorted(self.held)))
        line = next(d for d in self.bench.lines("decisions") if d["transaction_id"] == id_)
        by = "ann" if name == "resolve" else "cbs"
        about = {"transaction_id": id_, "account": line["account"], "outcome": "approve"}
        was = self.held[id_]
        self.feed([command(name, by=by, reason="x", **about)])
        if self.bench.answers[-1]["ok"]:
            assert was in ("pending", "review")
            assert self.held[id_] == ("decline" if name == "challenge_failed" else "approve")

    @precondition(lambda self: self.cases)
    @step(data=st.data(), verdict=st.sampled_from(["fraud", "genuine", "unclear"]))
    def close(self, data, verdict):
        id_ = data.draw(st.sampled_from(sorted(self.cases)))
        self.feed([command("close", by="ann", reason="looked", case_id=id_, verdict=verdict)])
        answer = self.bench.answers[-1]
        assert answer["ok"] == (id_ not in self.closed)
        self.closed.add(id_)
        if answer["ok"] and verdict != "unclear":
            labels = [(told["transaction_id"], told["label"]) for told in answer["labels"]]
            assert sorted(labels) == sorted((t, verdict) for t in self.cases[id_])
            self.owed += labels

    @precondition(lambda self: self.owed)
    @step(n=st.integers(1, 3))
    def pay(self, n):
        n = min(n, len(self.owed))
        for bench in (self.bench, self.calm):
            bench.decider.pay(n)
        del self.owed[:n]

    @step(rule_id=st.sampled_from(sorted(HOURS)), name=st.sampled_from(["rule_off", "rule_on"]),
          hours=st.sampled_from([1, 5, 24, 25]), by=PERSON)  # fmt: skip
    def switch_rule(self, rule_id, name, hours, by):
        more = {"for": f"{hours}h"} if name == "rule_off" else {}
        self.feed([command(name, by=by, reason="wild", rule=rule_id, **more)])
        if self.bench.answers[-1]["ok"]:
            assert hours <= 24 or name == "rule_on"
            until = START + self.at + hours * HOUR
            self.off[rule_id] = max(self.off.get(rule_id, 0), until) if name == "rule_off" else 0

    @precondition(lambda self: self.appeals)
    @step(data=st.data(), by=PERSON, decision=st.sampled_from(["granted", "refused"]))
    def decide_appeal(self, data, by, decision):
        appeal = data.draw(st.sampled_from(sorted(self.appeals)))
        id_ = self.appeals[appeal]
        before = self.states.get(id_)
        words = {"by": by, "reason": "heard", "legal_basis": "law", "decision": decision}
        self.feed([command("decide_appeal", appeal_id=appeal, **words)], [id_])
        if self.bench.answers[-1]["ok"]:
            del self.appeals[appeal]
        if self.states.get(id_) != before:
            assert decision == "granted"
            assert not self.imposed[id_]["order"]

    @step(effect=st.sampled_from(["observe", "enforce"]), by=st.sampled_from(["bob", "eve"]))
    def switch(self, effect, by):
        was, before = self.effect, dict(self.states)
        unconfirmed = {i for i, s in before.items() if s in ("sent", "timed_out")}
        if effect == "observe":
            self.effect = effect
        self.feed([command("mode", by=by, reason="x", effect=effect)], unconfirmed)
        answer = self.bench.answers[-1]
        if effect == "observe" and was == "enforce":
            assert set(answer["withdrawn"]) == unconfirmed
            assert all(self.states[i] == "observed" for i in unconfirmed)
        else:
            assert self.states == before, "nothing comes back"
        if answer["ok"]:
            assert answer["effect"] == "observe" or self.may_enforce
            self.effect = answer["effect"]

    @step(kept=st.booleans())
    def crash(self, kept):
        """The engine takes the follower along, which had written down where it stood just before, or long ago."""
        self.bench.restart()
        if kept:
            self.follower.followed.keep()
        self.follow()
        self.redis.start()
        self.bring_up()
        self.compare_registry()

    # ---- what must hold

    @invariant()
    def the_twin_that_never_crashed_says_the_same(self):
        assert self.bench.streams == self.calm.streams
        assert self.bench.answers == self.calm.answers
        owed = [(told["transaction_id"], told["label"]) for told in self.bench.decider.owed]
        assert owed == self.owed
        saved = [bench.decider.save() for bench in (self.bench, self.calm)]
        assert saved[0].keys() == saved[1].keys()
        assert all(saved[0][name].tobytes() == saved[1][name].tobytes() for name in saved[0])

    @invariant()
    def what_binds_somebody_outside_is_confirmed_or_may_still_leave(self):
        """What is sent was put out since the last switch to enforce, or core banking has confirmed it."""
        before = self.bench.decider.withheld_before
        if self.effect == "observe":
            assert before > 10**9
        for id_, state in self.states.items():
            if state in ("sent", "timed_out"):
                assert self.imposed[id_]["seq"] >= before

    @invariant()
    def automation_stays_within_its_bounds(self):
        ours = [line for line in self.imposed.values() if line["rule"]]
        begun = {name: [] for name in (*HOURS, "freeze", "breaker")}
        spans = {}
        for line in ours:
            at, id_ = time_of(line["started_at"]), line["restriction_id"]
            begun[line["rule"]].append(at)
            if line["level"] in ("no_debit", "full_freeze"):
                begun["freeze"].append(at)
            if line["level"] != "watch":
                begun["breaker"].append(at)
                end = min(self.ended.get(id_, ("", 2**62))[1], time_of(line["expires_at"]))
                spans.setdefault(str(line["entity"]), []).append((at, end))
        limits = {"CARD": 3, "ACCT": 3, "DEVI": 3, "SHOP": 9, "freeze": 5}
        for name, limit in limits.items():
            for t in begun[name]:
                assert sum(t - HOUR < u <= t for u in begun[name]) <= limit, name
        for t in begun[
            "breaker"
        ]:  # there are never enough transactions for 2 % to be more than five
            assert sum(t - 2 * HOUR < u <= t for u in begun["breaker"]) <= 5
        for of_entity in spans.values():
            for _, last in of_entity:
                edges = sorted({e for span in of_entity for e in span} | {last - 24 * HOUR, last})
                covered = sum(
                    b - a
                    for a, b in pairwise(edges)
                    if last - 24 * HOUR <= a and b <= last and any(s <= a and b <= e for s, e in of_entity)
                )  # fmt: skip
                rejected = {
                    line["restriction_id"]
                    for line in ours
                    if self.states.get(line["restriction_id"]) == "rejected"
                }
                assert covered <= 6 * HOUR or rejected

    @invariant()
    def every_release_reaches_core_banking_or_somebody_hears_of_it(self):
        now = START + self.at
        for id_, due in self.unheard.items():
            if time_of(self.imposed[id_]["expires_at"]) > due:
                assert due > now, f"the alarm about {id_} was due"

    def teardown(self):
        """Answers come until the end, so that nothing was left hanging by the way the test stopped."""
        if hasattr(self, "bench"):
            self.at += 30 * 24 * HOUR
            self.feed([TICK | {"at": self.at}])
            assert not [r for r in self.bench.decider.restrictions if r.is_in_force]
            self.all_are_back_and_the_registry_is_right()


class TestLives(Lives.TestCase):
    settings = settings(
        max_examples=RUNS,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
