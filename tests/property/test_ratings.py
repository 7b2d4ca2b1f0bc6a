"""Ratings of customers: the formula by an oracle of its own, changes at midnight only, and never by batching.

The oracle reads what came out (alerts, commands, resolutions) and who the customer of each transaction was, and counts
in plain Python with dicts; it shares no code with the engine.
"""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engine.carry import carry
from engine.core import Core
from tests import factories
from tests.unit.test_carry import ALONE, configure  # noqa: F401 - a fixture

BEGIN = datetime(2026, 3, 2, 10, tzinfo=UTC)
COMMON = """\
    version: 1
    owner: tests
    reason: CARD_TESTING
    on: payment
    mode: live
"""
RULES = f"""\
  - id: CARD-001
    name: Freezes
{COMMON}    severity: high
    when: amount > 950
    score: 0
    actions:
      - restrict: {{{{entity: card, level: full_freeze, for: 6h, max_per_hour: 1000}}}}
  - id: MANY-001
    name: Joins
{COMMON}    severity: critical
    when: amount between 700 and 800 and customer is not missing
    score: 0
    dedup: {{{{by: customer, for: 48h}}}}
    actions: [alert: {{{{queue: q, title: t}}}}]
  - id: ONE-001
    name: Alerts
{COMMON}    severity: high
    when: amount between 900 and 950 or amount > 10000
    score: 0
    actions: [alert: {{{{queue: q, title: t}}}}]
""".replace("{{", "{").replace("}}", "}")
SEES = f"""\
  - id: SEE-001
    name: Sees
{COMMON}    severity: low
    when: customer.rating >= 0
    score: customer.rating
    actions: [tag: {{name: seen}}]
"""
SETTINGS = "lateness: 1h\neffect: enforce\ndecisions: {evidence_score: 0, breakers: {}, automation_max: 30d, cool_down: 0s}\n"


def setup(configure, rules=RULES + SEES):  # noqa: F811
    return configure("  n_1h: count() by account over 1h\n", rules, models=ALONE, settings=SETTINGS)


def told(name, **more):
    return {"kind": "command", "command": name, "by": "anna", "reason": "asked", **more}


def iso(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def batch(core, messages):
    lines = [factories.line(m) for m in messages]
    return core.apply(lines, ["x"] * len(lines))


def lived(ready, rng, n=700):
    """A stream made while a core takes it, so that people can name cases and restrictions that there are."""
    core, found, now = Core(ready), [], BEGIN
    restrictions = []
    for k in range(n):
        now += timedelta(seconds=int(rng.choice([0, 30, 3_000, 20_000, 200_000], p=[.2, .3, .3, .18, .02])))  # fmt: skip
        chance = rng.random()
        cases = core.decider.cases
        if chance < 0.04 and cases:
            case = cases[int(rng.integers(0, len(cases)))]
            verdict = str(rng.choice(["fraud", "genuine", "genuine", "unclear"]))
            message = told("close", case_id=case.id, verdict=verdict)
        elif chance < 0.08 and restrictions:
            names = {"restriction_id": restrictions.pop(int(rng.integers(0, len(restrictions))))}
            names |= {"legal_basis": "law", "verdict": str(rng.choice(["mistaken", "justified"]))}
            first = told("release", **names)
            found.append(first)
            batch(core, [first])
            message = told("release", **names) | {"by": "bert"}
        elif chance < 0.10:
            level = str(rng.choice(["watch", "no_debit"]))
            who = f"C{rng.integers(0, 9)}"
            message = told("restrict", entity={"customer": who}, level=level, **{"for": "5h"})
        elif chance < 0.13:
            message = {"kind": "profile", "customer": "C1", "event_time": iso(now)}
        elif chance < 0.16 and found:  # a repeat, or a label nobody can use
            message = {"kind": "label", "transaction_id": "none", "account": "A", "label": "fraud"}
            message |= {"event_time": iso(now + timedelta(days=1))}
        else:
            late = timedelta(seconds=int(rng.choice([0, 0, 2_000, 90_000])))
            amount = rng.choice(["1.00", "720.00", "910.00", "960.00", "15000.00", "2000000.00"], p=[.5, .2, .1, .1, .06, .04])  # fmt: skip
            names = {"customer": f"C{rng.integers(0, 6)}"} if rng.random() < 0.9 else {}
            message = factories.message(
                transaction_id=f"t{k}", event_time=iso(now - late), amount=str(amount),
                card=f"K{rng.integers(0, 9)}", **names,
            )  # fmt: skip
        found.append(message)
        outcome = batch(core, [message])
        commands = map(json.loads, outcome.streams["commands"].splitlines())
        restrictions += [c["restriction_id"] for c in commands if c["verb"] == "restrict"]
    return found, core


def taken(ready, messages, sizes, restarts=False):
    core, streams, first = Core(ready), {}, 0
    while first < len(messages):
        n = next(sizes)
        outcome = batch(core, messages[first : first + n])
        for name, lines in outcome.streams.items():
            streams[name] = streams.get(name, b"") + lines
        first += n
        if restarts:
            saved, core = core.save(), Core(ready)
            core.load(saved)
    return core, streams


def always(n):
    while True:
        yield n


@pytest.mark.parametrize("seed", [1, 2])
def test_batching_and_restarts_stay_invisible(configure, seed):  # noqa: F811
    """The same bytes and state in batches of 1, 7, 64 and 4096 and across restarts, over many midnights."""
    ready = setup(configure)
    messages, _ = lived(ready, np.random.default_rng(seed))
    core, streams = taken(ready, messages, always(1))
    saved = core.save()
    assert core.decider.ratings.table()["low"] > 0
    rng = np.random.default_rng(seed)
    cuts = iter(lambda: int(rng.integers(1, 40)), 0)
    for sizes, restarts in ((always(7), False), (always(64), False), (always(4096), False), (cuts, True)):  # fmt: skip
        other, said = taken(ready, messages, sizes, restarts)
        assert said == streams
        again = other.save()
        assert again.keys() == saved.keys()
        assert [n for n in saved if saved[n].tobytes() != again[n].tobytes()] == []


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_a_rating_is_what_its_formula_says(configure, seed):  # noqa: F811
    ready = setup(configure)
    messages, core = lived(ready, np.random.default_rng(seed))
    _, streams = taken(ready, messages, always(256))
    book = Oracle(messages, streams)
    seen = book.run()
    decisions = [json.loads(d) for d in streams["decisions"].splitlines()]
    shown = {
        d["seq"]: next((f["score"] for f in d["fired"] if f["rule"] == "SEE-001"), None)
        for d in decisions
    }
    assert shown == {seq: seen[seq] for seq in shown}
    assert len({value for value in shown.values() if value}) > 20
    assert {
        rated.customer: rated.rating for rated in core.decider.ratings.all() if rated.rating
    } == {who: rating for who, rating in book.today.items() if rating}
    for rated in core.decider.ratings.all():
        assert (rated.alerts, rated.restrictions, rated.verdicts) == tuple(
            book.points[rated.customer][:3]
        )
        assert rated.trend[-1] == rated.rating


SEVERITY = {"MANY-001": 120_000, "ONE-001": 60_000}
LEVEL = {"watch": 20_000, "no_debit": 120_000, "full_freeze": 200_000}


class Oracle:
    """The book of points, kept from what came in and went out."""

    def __init__(self, messages, streams):
        self.messages = messages
        self.lines = {}
        for name in ("alerts", "commands", "resolutions"):
            for text in streams[name].splitlines():
                line = json.loads(text)
                self.lines.setdefault(line["seq"], []).append((name, line))
        self.points = {}  # customer -> [alerts, restrictions, verdicts, in the open case]
        self.today = {}
        self.cases = {}  # case -> customer
        self.of_restriction = {}  # id -> [customer, points]

    def midnight(self):
        for held in (*self.points.values(), *(x[1] for x in self.of_restriction.values())):
            held[:] = [p * 97716 // 100000 for p in held]
        for who, (a, r, v, _) in self.points.items():
            self.today[who] = 1000 * (a + r + v) // (a + r + v + 500_000)

    def run(self):
        """What each transaction saw."""
        seen, day, core = {}, None, None
        for seq, message in enumerate(self.messages):
            time = message.get("event_time")
            if time and message.get("kind") != "label":  # the labels are refused
                time = datetime.fromisoformat(time)
                core = max(core or time, time)
            while core is not None and day != core.date():
                if day is not None:
                    self.midnight()
                    day += timedelta(days=1)
                else:
                    day = core.date()
            who = message.get("customer") if "kind" not in message else None
            seen[seq] = float(self.today.get(who, 0)) if who else None
            for name, line in self.lines.get(seq, ()):
                self.note(name, line, message, who)
        return seen

    def note(self, name, line, message, who):
        if name == "alerts" and line["kind"] in ("rule", "update") and who:
            held = self.points.setdefault(who, [0, 0, 0, 0])
            if line["case_id"] not in self.cases:
                self.cases[line["case_id"]] = who
                held[3] = 0
            worth = float(line["amount"])
            steps = sum(worth >= bound for bound in (1e4, 1e5, 1e6, 1e7))
            points = SEVERITY[line["rule"]] * (4 + steps) // 4
            points = min(points // 10 if line["kind"] == "update" else points, 1_500_000 - held[0])
            held[0] += points
            held[3] += points
        if name == "commands" and line["verb"] == "restrict":
            owner = line["entity"].get("customer") or who
            if owner:
                held = self.points.setdefault(owner, [0, 0, 0, 0])
                points = min(LEVEL[line["level"]], 1_500_000 - held[1])
                held[1] += points
                self.of_restriction[line["restriction_id"]] = [owner, [points]]
        if (
            name == "resolutions"
            and line.get("kind") == "release"
            and line["verdict"] == "mistaken"
        ):
            owner, [points] = self.of_restriction.pop(line["restriction_id"], ["", [0]])
            if owner:
                self.points[owner][1] = max(0, self.points[owner][1] - points)
        if name == "resolutions" and line.get("kind") == "case" and line["outcome"] == "closed":
            owner = self.cases.get(line["case_id"])
            if owner:
                held = self.points[owner]
                if line["verdict"] == "fraud":
                    held[2] = min(held[2] + 600_000, 3_000_000)
                if line["verdict"] == "genuine":
                    held[0] = max(0, held[0] - held[3])
                held[3] = 0


def test_a_reload_keeps_ratings(configure):  # noqa: F811
    """The core that takes over rates as the one before would have, also where only the new rules read ratings."""
    ready, blind = setup(configure), setup(configure, RULES)
    messages, core = lived(ready, np.random.default_rng(6), n=200)
    other, _ = taken(blind, messages, always(50))
    seeing, _ = carry(other, ready)
    assert list(seeing.decider.ratings.all()) == list(core.decider.ratings.all())
    last = datetime.fromtimestamp(core.core_us / 1e6, UTC)
    more = [
        factories.message(transaction_id=f"m{k}", event_time=iso(last), customer=f"C{k}")
        for k in range(6)
    ]
    outcomes = [batch(one, more) for one in (seeing, core)]
    scores = [
        [f["score"] for line in o.streams["decisions"].splitlines() for f in json.loads(line)["fired"]]
        for o in outcomes
    ]  # fmt: skip
    assert scores[0] == scores[1]
    assert any(scores[0])


def test_somebody_quiet_is_forgotten(configure):  # noqa: F811
    """Points fade to nothing, and then nothing is kept; a rating is 0 for whoever was never seen, missing for nobody."""
    ready = setup(configure, RULES + SEES)
    core = Core(ready)
    jump = factories.message(transaction_id="a", event_time=iso(BEGIN), customer="C1", amount="910")
    batch(core, [jump])
    for k in range(1, 40):
        time = BEGIN + timedelta(days=29 * k)
        last = batch(
            core, [factories.message(transaction_id=f"t{k}", event_time=iso(time), customer="C1")]
        )
        rated = core.decider.ratings.of("C1")
        if rated is None:
            break
    assert k > 3
    assert "decide/rating/points" in core.save()
    assert core.save()["decide/rating/points"].size == 0
    [line] = last.streams["decisions"].splitlines()
    assert json.loads(line)["fired"][0]["score"] == 0
    nobody = batch(core, [factories.message(transaction_id="n", event_time=iso(time))])
    assert json.loads(nobody.streams["decisions"])["undecided"]
