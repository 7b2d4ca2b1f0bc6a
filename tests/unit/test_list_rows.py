"""Rows that rules and people add to lists while the engine runs: from when, until when, by whom, and never by batching."""

import json
from datetime import datetime, timedelta

import numpy as np
import pytest

from engine.backfill import ask, fill, splice
from engine.carry import carry
from engine.core import Core
from engine.lists import GRID, counts_from
from engine.ports import Messages, Recorded
from rules.explain import Evaluator, frame_reader
from tests import factories
from tests.unit.test_carry import ALONE, configure  # noqa: F401 - a fixture
from tests.unit.test_carry import rule as carrying

FEATURES = """\
  listed_1h: count() by account over 1h where counterparty in @watch
lists:
  watch: {{type: id, of: account, values: [W0{row}]}}
  sizes: {{type: number, values: [7]}}
"""
RULES = """\
  - id: ADD-001
    name: Adds
    version: 1
    owner: tests
    severity: high
    reason: CARD_TESTING
    on: payment
    mode: live
    when: amount > 900
    score: 100
    actions:
      - list_add: {{list: watch, value: counterparty, for: 30m, max_per_hour: {cap}}}
  - id: SEE-001
    name: Sees
    version: 1
    owner: tests
    severity: high
    reason: CARD_TESTING
    on: payment
    mode: live
    when: counterparty in @watch
    score: 100
    actions:
      - alert: {{queue: q, title: "{{@watch.source}} {{@watch.reference}} {{listed_1h}}"}}
    exceptions:
      - {{id: EX-1, when: amount > 800 and counterparty in @watch, why: w, approved_by: b, expires: 2027-01-01}}
"""


def setup(configure, rules=RULES, cap=1000, row=""):  # noqa: F811
    return configure(FEATURES.format(row=row), rules=rules.format(cap=cap), models=ALONE)


def only_people(rules=RULES):
    """Rules of which none adds to a list."""
    return rules[rules.index("  - id: SEE-001") :]


def paid(k, second, to="X1", amount="1.00", **more):
    hour, rest = divmod(second, 3600)
    time = f"2026-03-02T{10 + hour:02d}:{rest // 60:02d}:{rest % 60:02d}Z"
    return factories.message(
        transaction_id=f"t{k}", event_time=time, counterparty=to, amount=amount, **more
    )


def told(name, **more):
    return {"kind": "command", "command": name, "by": "anna", "reason": "asked", **more}


def run(core, messages, size=4096):
    """Apply in batches of a size; decisions, titles and answers."""
    decisions, titles, answers = [], [], []
    for first in range(0, len(messages), size):
        lines = [factories.line(m) for m in messages[first : first + size]]
        outcome = core.apply(lines, ["x"] * len(lines))
        decisions += [json.loads(d) for d in outcome.streams["decisions"].splitlines()]
        titles += [json.loads(a)["title"] for a in outcome.streams["alerts"].splitlines()]
        answers += [answer for _, answer in sorted(outcome.answers.items())]
    return decisions, titles, answers


def seen(decisions):
    """Seqs at which SEE-001 fired."""
    return [d["seq"] for d in decisions if any(f["rule"] == "SEE-001" for f in d["fired"])]


def stream(rng, n=1500):
    """Payments, some of which put their counterparty on the list, updates, and orders of people."""
    found, second = [], 0
    for k in range(n):
        second += int(rng.integers(0, 8))
        to = f"X{rng.integers(0, 6)}"
        chance = rng.random()
        if chance < 0.01:
            found.append(told("list_add", list="watch", value=to, **{"for": "10m"}))
        elif chance < 0.015:
            found.append(told("list_remove", list="watch", value=to))
        elif chance < 0.03 and k > 50:
            of = int(rng.integers(0, k - 1))
            found.append(
                {
                    "kind": "update",
                    "update_id": f"u{k}",
                    "transaction_id": f"t{of}",
                    "account": "A1",
                }
                | {"event_time": paid(k, second)["event_time"], "status": "booked"}
            )
        else:
            late = int(rng.integers(0, 200)) if rng.random() < 0.1 else 0
            amount = "950.00" if rng.random() < 0.02 else str(rng.integers(1, 850))
            found.append(paid(k, max(second - late, 0), to, amount))
    return found


@pytest.mark.parametrize("size", [1, 7, 64, 300])
@pytest.mark.parametrize("rules", [RULES, only_people()], ids=["rules add", "people add"])
def test_batching_stays_invisible(configure, rules, size):  # noqa: F811
    """The same bytes out and the same state, whole or in pieces, whoever adds."""
    messages = [factories.line(m) for m in stream(np.random.default_rng(5))]
    ready = setup(configure, rules)

    def all_of(size):
        core, streams = Core(ready), {}
        for first in range(0, len(messages), size):
            lines = messages[first : first + size]
            outcome = core.apply(lines, ["x"] * len(lines))
            for name, more in outcome.streams.items():
                streams[name] = streams.get(name, b"") + more
        return core, streams, core.save()

    whole, streams, state = all_of(4096)
    _, others, other_state = all_of(size)
    assert streams == others
    assert state.keys() == other_state.keys()
    assert all(state[k].tobytes() == other_state[k].tobytes() for k in state)  # NaN is NaN
    assert whole.lists.all()
    assert b"SEE-001" in streams["alerts"]


def test_a_row_counts_from_the_next_multiple_of_256_until_its_end(configure):  # noqa: F811
    """Rules, features and exceptions see it from there on; the end is exact, by the event's own time."""
    core = Core(setup(configure))
    first = [paid(0, 0, "X1", "950.00"), *(paid(k, 1, "X1") for k in range(1, GRID + 2))]
    decisions, titles, _ = run(core, first)
    assert seen(decisions) == [GRID, GRID + 1]
    assert titles == ["rule ADD-001 t0 1", "rule ADD-001 t0 2"]
    at_end = [paid(900, 1799, "X1"), paid(901, 1800, "X1"), paid(902, 1799, "X1")]
    decisions, _, _ = run(core, at_end)
    assert seen(decisions) == [GRID + 2, GRID + 4]
    (row,) = core.lists.all()
    assert (row.by, row.reference, row.reason) == ("rule ADD-001", "t0", "CARD_TESTING")


def test_what_happened_before_a_row_was_added_was_not_in_the_list(configure):  # noqa: F811
    core = Core(setup(configure))
    run(core, [paid(0, 600, "X1", "950.00"), *(paid(k, 600, "X2") for k in range(1, GRID))])
    decisions, _, _ = run(core, [paid(800, 599, "X1"), paid(801, 600, "X1")])
    assert seen(decisions) == [GRID + 1]


def test_adding_again_prolongs(configure):  # noqa: F811
    core = Core(setup(configure))
    again = [paid(0, 0, "X1", "950.00"), paid(1, 600, "X1", "950.00")]
    run(core, [*again, *(paid(k, 600, "X2") for k in range(2, GRID))])
    decisions, _, _ = run(core, [paid(800, 2399, "X1"), paid(801, 2400, "X1")])
    assert seen(decisions) == [GRID]
    (row,) = core.lists.all()
    assert (row.until_us - row.from_us, row.prolonged) == (2_400_000_000, 1)


def test_a_cap_bounds_what_a_rule_adds(configure):  # noqa: F811
    core = Core(setup(configure, cap=2))
    run(core, [paid(k, 0, f"X{k}", "950.00") for k in range(5)])
    run(core, [paid(9 + k, 0, "Y") for k in range(GRID)])
    assert [row.value for row in core.lists.all()] == ["X0", "X1"]


def test_people_add_and_remove_and_are_answered(configure):  # noqa: F811
    """An order names its end; a row of the file is changed in the file; what waits counts as done for the next order."""
    core = Core(setup(configure, only_people()))
    run(core, [paid(0, 0)])
    orders = [
        told("list_add", list="watch", value="X5", until="2026-03-02T11:00:00Z", reference="PD-7"),
        told("list_add", list="watch", value="X6", **{"for": "1h"}),
        told("list_remove", list="watch", value="X6"),
        told("list_remove", list="watch", value="X6"),
        told("list_remove", list="watch", value="W0"),
        told("list_add", list="wacth", value="X5", **{"for": "1h"}),
        told("list_add", list="watch", value="X5"),
        told("list_add", list="watch", value="X5", until="2026-03-02T09:00:00Z"),
        told("list_add", list="watch", value=" ", **{"for": "1h"}),
        told("list_add", list="sizes", value="few", **{"for": "1h"}),
        told("list_add", list="sizes", value="3-5", **{"for": "1h"}),
    ]
    _, _, answers = run(core, orders)
    said = [a["state"] if a["ok"] else a["what"] for a in answers]
    assert said == [
        "added",
        "added",
        "removed",
        "no row for X6 was added to `watch` at runtime, or it has ended",
        "no row for W0 was added to `watch` at runtime, or it has ended",
        "there is no list `wacth`",
        "a row of a list needs `until` or `for`, one of them",
        "the row would be over at 2026-03-02T09:00:00Z",
        "`value` is empty",
        '"few" is not a number',
        "added",
    ]
    assert answers[0]["counts_from_seq"] == GRID == counts_from(1)
    assert answers[4]["fix"] == "change the list itself and activate it"
    decisions, titles, _ = run(
        core, [paid(k, 2, "X5" if k % 100 else "X6") for k in range(12, 400)]
    )
    assert seen(decisions)[0] == GRID
    assert len(seen(decisions)) == 400 - GRID - 1
    assert titles[0] == "anna PD-7 1"
    removed = [
        *(told("list_remove", list="watch", value="X5"),),
        *(paid(k, 9, "X5") for k in range(400, 800)),
    ]
    decisions, _, _ = run(core, removed)
    assert seen(decisions) == list(range(401, 512))
    (row, other) = core.lists.all()
    assert (row.list, row.value) == ("sizes", "3-5")
    assert (other.removed_by, other.removed_for) == ("anna", "asked")


def test_rows_are_saved_and_go_over_to_another_configuration(configure):  # noqa: F811
    """What counts and what waits; a list of another kind takes nothing over."""
    ready = setup(configure)
    messages = [paid(0, 0, "X1", "950.00"), *(paid(k, 1, "X2") for k in range(1, 300))]
    messages += [paid(300, 2, "X3", "950.00"), paid(301, 2)]
    old, calm = Core(ready), Core(ready)
    run(old, messages)
    run(calm, messages)
    restored = Core(ready)
    restored.load(old.save())
    rest = [paid(k, 3, f"X{k % 4}") for k in range(302, 700)]
    expected = run(calm, rest)
    assert run(restored, rest) == expected
    assert restored.save()["lists/state"].tobytes() == calm.save()["lists/state"].tobytes()
    new, carried = carry(old, setup(configure, row=", W1"))
    assert carried.fresh == ()
    found = seen(run(new, rest)[0])
    assert {d for d in found if d < 512} == {303 + k for k in range(209) if (302 + k) % 4 == 1}
    assert {d for d in found if d >= 512} == {
        303 + k for k in range(209, 398) if (302 + k) % 4 in (1, 3)
    }
    other = FEATURES.format(row="").replace(
        "type: id, of: account, values: [W0]", "type: id, of: card, values: [W0]"
    )
    rules = RULES.replace("counterparty", "card").format(cap=5)
    changed, _ = carry(
        new, configure(other.replace("counterparty", "card"), rules=rules, models=ALONE)
    )
    assert changed.lists.all() == []


def test_a_core_that_loads_an_older_state_forgets_what_was_added_since(configure):  # noqa: F811
    core = Core(setup(configure))
    before = core.save()
    run(core, [paid(0, 0, "X1", "950.00"), *(paid(k, 1, "X2") for k in range(1, 300))])
    assert core.lists.all()
    core.load(before)
    assert core.lists.all() == []
    assert seen(run(core, [paid(k, 1, "X1") for k in range(300)])[0]) == []


def test_ended_rows_are_dropped_once_nothing_can_ask_for_them(configure):  # noqa: F811
    """At the first change after no window and no update reaches back to them, which is told; until then they are found."""
    core = Core(setup(configure))
    run(core, [paid(0, 0, "X1", "950.00"), *(paid(k, 1, "X2") for k in range(1, GRID))])
    assert core.setup.pack.retention_us == 400 * 86_400_000_000
    end = datetime.fromisoformat("2026-03-02T10:30:00Z")

    def add(value, time):
        at = {"event_time": time.strftime("%Y-%m-%dT%H:%M:%SZ")}
        n = core.seq
        run(core, [paid(n, 0, value, "950.00") | at])
        run(core, [paid(n + 1 + j, 0, "X2") | at for j in range(GRID)])
        return [row.value for row in core.lists.all()]

    for k in range(1, 14):  # core time jumps by 30 days at most
        run(core, [paid(10_000 + k, 0) | {"event_time": f"{end + timedelta(29 * k):%FT%TZ}"}])
    assert add("X4", end + timedelta(days=400) - timedelta(seconds=1)) == ["X1", "X4"]
    assert core.lists.forgotten_us == {}
    assert add("X5", end + timedelta(days=400)) == ["X4", "X5"]
    assert core.lists.forgotten_us == {"watch": int(end.timestamp()) * 10**6}
    again = Core(core.setup)
    again.load(core.save())
    assert again.lists.forgotten_us == core.lists.forgotten_us
    assert again.save()["lists/state"].tobytes() == core.save()["lists/state"].tobytes()


def test_what_a_list_has_forgotten_a_new_feature_does_not_know(configure):  # noqa: F811
    """One that reaches back further is warming from there on, and what does not ask the list is whole."""
    old = setup(configure)
    more = "  ever: last(amount) by account over all where counterparty in @watch\n"
    new = configure(
        FEATURES.format(row="").replace(
            "lists:", f"{more}  newest: last(amount) by account over all\nlists:"
        ),
        rules=RULES.format(cap=9),
        models=ALONE,
    )
    core = Core(old)
    lines = [factories.line(paid(k, k, "X1")) for k in range(9)]
    core.apply(lines, ["x"] * 9)
    core.lists.forgotten_us["watch"] = 77
    core, carried = carry(core, new)
    record = Recorded(0, Messages(lines, ["x"] * 9))
    splice(core, carried, fill(ask(core, carried), new, [record]))
    assert core.warming.since_us == {"ever": 77}


def test_a_batch_that_was_cut_comes_back_whole(configure):  # noqa: F811
    """Everything in an outcome is that of the same batch uncut: here a rule could add, and never does."""
    rules = RULES.replace("when: amount > 900\n", "when: amount > 900_000\n")
    messages = [m for m in stream(np.random.default_rng(8), 700) if m.get("kind") != "command"]
    messages += [*messages[30:35], {"kind": "transaction"}]
    messages += [factories.label(transaction_id="t699"), factories.label(transaction_id="t3")]
    lines = [factories.line(m) for m in messages]
    cut, uncut = (
        Core(setup(configure, which)).apply(lines, [f"x:{k}" for k in range(len(lines))])
        for which in (rules, only_people(rules))
    )
    for of in ("kind", "event_time_us", "foreign", "lines", "transaction_id", "dead", "objects"):
        np.testing.assert_equal(getattr(cut.batch, of), getattr(uncut.batch, of))
    for of in ("core_us", "late", "entry", "links", "new", "first_seq", "repeats"):
        np.testing.assert_equal(getattr(cut.admitted, of), getattr(uncut.admitted, of))
    np.testing.assert_equal(cut.frame.column("listed_1h"), uncut.frame.column("listed_1h"))
    np.testing.assert_equal(cut.judgement.truth[1:], uncut.judgement.truth)
    np.testing.assert_equal(cut.scores, uncut.scores)
    np.testing.assert_equal(cut.decided.decision, uncut.decided.decision)
    assert [m.row for m in cut.decided.matches] == [m.row for m in uncut.decided.matches]
    assert (cut.counts, cut.answers) == (uncut.counts, uncut.answers)
    assert cut.streams["dead_letters"] == uncut.streams["dead_letters"]
    assert cut.admitted.first_seq


def test_a_list_is_evidence_only_while_it_holds_the_counterparty(configure):  # noqa: F811
    """Rows with dates, and rows that were added: both by the time of the event."""
    actions = "      - restrict: {entity: account, level: no_debit, for: 1h, max_per_hour: 99}\n"
    adds = RULES[: RULES.index("  - id: SEE-001")].format(cap=9)
    features = FEATURES.format(row=", {value: W1, valid_until: 2026-03-02T10:30:00Z}")
    ready = configure(
        features,
        rules=adds + carrying(when="amount == 7", actions=actions),
        models=ALONE,
        settings="lateness: 1h\ndecisions: {evidence_lists: [watch]}",
    )
    core = Core(ready)
    run(core, [paid(0, 0, "X1", "950.00"), *(paid(k, 1, "X2") for k in range(1, GRID))])
    asked = [("W0", 1900), ("W1", 1799), ("W1", 1800), ("X1", 1799), ("X1", 1800), ("X2", 5)]
    lines = [
        factories.line(paid(500 + k, second, to, "7.00", account=f"A{k}"))
        for k, (to, second) in enumerate(asked)
    ]
    commands = core.apply(lines, ["x"] * len(lines)).streams["commands"].splitlines()
    held = [json.loads(command)["entity"]["account"] for command in commands]
    assert held == ["A0", "A1", "A3"]


def test_the_walk_of_an_explanation_sees_rows_that_were_added(configure):  # noqa: F811
    """What is true of a row of the stream is what the interpreter said of it, and the row found is the one that held."""
    core = Core(setup(configure))
    run(core, [paid(0, 0, "X1", "950.00"), *(paid(k, 1, "X2") for k in range(1, GRID))])
    (rule,) = (r for r in core.setup.pack.rules if r.id == "SEE-001")
    for second, holds in ((1799, True), (1800, False)):
        outcome = core.apply([factories.line(paid(700 + second, second, "X1"))], ["x"])
        read = frame_reader(outcome.frame, 0, core.dictionaries)
        pack = core.setup.pack
        assert Evaluator.of_pack(pack, read, lists=core.lists.now()).rule_truth(rule) is holds
        assert Evaluator.of_pack(pack, read).rule_truth(rule) is False
        added = core.lists.find("watch", "X1", read("event_time"))
        assert (added.by if added else "") == ("rule ADD-001" if holds else "")
