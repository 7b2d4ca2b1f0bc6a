"""A case that is closed with a verdict: its labels become records of a live engine, each once, whatever dies meanwhile."""

import json

import numpy as np
import pytest

from engine.cases import PAID
from engine.clock import ManualClock
from engine.core import Core
from engine.durable.journal import read_journal
from engine.durable.output import JOURNAL
from tests import factories
from tests.simulation.disk import Crash, SimDisk
from tests.unit.test_carry import ALONE, configure  # noqa: F401 - a fixture
from tests.unit.test_recovery import NOW_US, Sent, run

RULES = """\
  - id: SEE-001
    name: Sees
    version: 1
    owner: tests
    severity: high
    reason: CARD_TESTING
    on: payment
    mode: live
    when: amount > 5
    score: 0
    actions: [alert: {queue: q, title: t}]
"""
N = 3


def close(case, **more):
    about = {"kind": "command", "command": "close", "by": "a", "reason": "b", "case_id": case}
    return about | {"verdict": "fraud"} | more


def paid(k, **more):
    more = {"type": "payment", "customer": "C1", "amount": "9.00"} | more
    return factories.message(transaction_id=f"t{k}", event_time=NOW_US // 1000 + k, **more)


def case_of(core):
    [case] = core.decider.cases
    return case.id


@pytest.fixture
def setup(configure):  # noqa: F811
    return configure("  n_1h: count() by account over 1h\n", RULES, models=ALONE)


def test_a_crash_at_any_step_loses_no_label_and_repeats_none(setup, tmp_path):
    """The world stops at each change of the disk; whatever was lost, three labels are on record in the end."""
    clock, root = ManualClock(NOW_US), tmp_path / "out"
    payments = [factories.line(paid(k)) for k in range(N)]
    core = Core(setup)
    core.apply(payments, ["x"] * N)
    sent = [*payments, factories.line(close(case_of(core))), factories.line(paid(N, amount="1.00"))]
    calm = SimDisk(np.random.default_rng(0))
    run(calm, root, setup, Sent(sent, 2, clock))
    stopped = 0
    for at in range(1, calm.steps + 1):
        disk = SimDisk(np.random.default_rng(at))
        disk.crash_at = at
        with pytest.raises(Crash):
            run(disk, root, setup, Sent(sent, 2, clock))
        disk.restart(power_loss=bool(at % 2))
        engine = run(disk, root, setup, Sent(sent, 2, clock))
        journal = read_journal(disk, root / JOURNAL)
        records = [
            (position, json.loads(line))
            for block in journal.read(0)
            for position, line in zip(block.messages.positions, block.messages.lines, strict=True)
        ]
        labels = [line for position, line in records if position.startswith(PAID)]
        assert [(told["transaction_id"], told["label"]) for told in labels] == [
            (f"t{k}", "fraud") for k in range(N)
        ], at
        closed = [k for k, (_, line) in enumerate(records) if line.get("command") == "close"]
        stopped += closed != []
        assert engine.runner.core.decider.owed == []
        assert disk.read(root / "dead_letters.ndjson") == b""
    assert stopped == calm.steps


def test_models_learn_from_a_verdict(setup):
    """What a verdict owes is what a label message is, byte for byte of what is learned."""
    core, other = Core(setup), Core(setup)
    for one in (core, other):
        one.apply([factories.line(paid(k)) for k in range(N)], ["x"] * N)
    order = close(case_of(core), verdict="genuine", verdicts={"t1": "fraud", "t2": "unclear"})
    core.apply([factories.line(order)], ["x"])
    owed = list(core.decider.owed)
    assert [(told["transaction_id"], told["label"]) for told in owed] == [
        ("t0", "genuine"),
        ("t1", "fraud"),
    ]
    core.apply([factories.line(told) for told in owed], [PAID] * 2)
    assert core.decider.owed == []
    labels = [{"kind": "label", "account": "A1", "transaction_id": t, "label": v} for t, v in
              (("t0", "genuine"), ("t1", "fraud"))]  # fmt: skip
    other.apply([factories.line(told) for told in labels], ["x"] * 2)
    mine, theirs = core.scoring.save(), other.scoring.save()
    assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)
    before = Core(setup)
    assert any(mine[name].tobytes() != before.scoring.save()[name].tobytes() for name in mine)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
def test_batching_stays_invisible(setup, size):
    """A journal with a verdict and its labels, cut anyhow, gives the same state, with what is owed."""
    core = Core(setup)
    rows = [(factories.line(paid(k)), "x") for k in range(N)]
    core.apply([line for line, _ in rows], ["x"] * N)
    rows.append((factories.line(close(case_of(core))), "x"))
    core.apply([rows[-1][0]], ["x"])
    rows += [(factories.line(told), PAID + "x") for told in core.decider.owed[:2]]
    for line, position in rows[N + 1 :]:
        core.apply([line], [position])
    assert len(core.decider.owed) == 1
    again = Core(setup)
    for first in range(0, len(rows), size):
        lines, positions = zip(*rows[first : first + size], strict=True)
        again.apply(lines, positions)
    mine, theirs = core.save(), again.save()
    assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)


# ---------------------------------------------------------------- challenges end in the stream, too


@pytest.mark.parametrize(
    ("type_", "outcome"), [("challenge_passed", "approve"), ("challenge_failed", "decline")]
)
def test_an_activity_ends_the_challenge_it_is_about(configure, type_, outcome):  # noqa: F811
    rules = RULES.replace("alert: {queue: q, title: t}", "challenge: {method: sms}")
    core = Core(configure("  n_1h: count() by account over 1h\n", rules, models=ALONE))
    core.apply([factories.line(paid(0))], ["x"])
    about = {"kind": "activity", "type": type_, "event_time": NOW_US // 1000 + 1, "account": "A1"}
    others = [
        about | {"original_transaction_id": "t9"},
        about | {"original_transaction_id": "t0", "account": "A2"},
        about | {"original_transaction_id": "t0", "type": "login"},
        about,
    ]
    core.apply([factories.line(told) for told in others], ["x"] * len(others))
    [held] = core.decider.held
    assert held.outcome == "pending"
    twice = core.apply([factories.line(about | {"original_transaction_id": "t0"})] * 2, ["x"] * 2)
    [line] = map(json.loads, twice.streams["resolutions"].splitlines())
    assert (line["transaction_id"], line["outcome"], line["reason"]) == ("t0", outcome, type_)
    [repeat] = map(
        json.loads, core.apply([factories.line(paid(0))], ["x"]).streams["duplicates"].splitlines()
    )
    assert repeat["outcome"] == outcome


def test_an_activity_ends_no_hold(configure):  # noqa: F811
    rules = RULES.replace("alert: {queue: q, title: t}", "hold: {for: 1h, then: decline}")
    core = Core(configure("  n_1h: count() by account over 1h\n", rules, models=ALONE))
    core.apply([factories.line(paid(0))], ["x"])
    about = {"kind": "activity", "type": "challenge_passed", "account": "A1"}
    about |= {"event_time": NOW_US // 1000 + 1, "original_transaction_id": "t0"}
    core.apply([factories.line(about)], ["x"])
    assert [held.outcome for held in core.decider.held] == ["pending"]
