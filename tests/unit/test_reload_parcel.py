"""A compiled configuration in pieces: the core that is put together from it is the one that would have been built."""

import math
import os
import pickletools
import subprocess
import sys
from dataclasses import replace

import pytest

from config.settings import BANK
from engine.carry import carry, hand_over
from engine.core import Compiled, Core
from engine.decision import Decider
from engine.reload.parcel import Receiver, Sender, for_running
from engine.setup import read_setup
from rules.definitions import ListRow
from rules.tree import NUMBER, Node, Span, Type
from tests import banking


@pytest.fixture(scope="module")
def setup():
    return read_setup(BANK)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    return banking.traffic(tmp_path_factory.mktemp("traffic"), 4, accounts=120, days=4)[:3000]


def sent(core):
    """What arrives when a compiled core is sent."""
    receiver = Receiver()
    for piece in Sender().pieces(core.compiled()):
        found = receiver.take(piece)
    assert isinstance(found, Compiled)
    return found


def assembled(compiled, shapes=()):
    *steps, core = Core.in_steps(compiled, shapes)
    assert steps == [None] * len(steps)
    return core


def decide(core, lines):
    """Outcomes and state after `lines`, in batches of 500."""
    streams = b""
    for first in range(0, len(lines), 500):
        part = lines[first : first + 500]
        outcome = core.apply(part, [f"in:{first + k}" for k in range(len(part))])
        streams += b"".join(outcome.streams[name] for name in sorted(outcome.streams))
    return streams, {name: array.tobytes() for name, array in core.save().items()}


def test_the_core_from_pieces_decides_and_saves_the_same_bytes(setup, lines):
    expected = decide(Core(setup), lines)
    assert len(expected[0]) > 100_000
    assert decide(assembled(sent(Core(for_running(setup)))), lines) == expected


def test_a_core_from_pieces_is_handed_the_state_as_a_carried_one_is(setup, lines):
    half = len(lines) // 2
    cores = [Core(setup), Core(setup)]
    for core in cores:
        decide(core, lines[:half])
    carried, told = carry(cores[0], setup)
    shapes = [windows.shape for windows in cores[1].windows]
    compiled = sent(Core(for_running(setup), shapes=shapes))
    handed = assembled(compiled, shapes)
    assert hand_over(cores[1], handed).evidence() == told.evidence()
    assert decide(handed, lines[half:]) == decide(carried, lines[half:])


def test_another_process_compiles_the_same(setup, lines):
    """With another seed of its hashes, as every process has."""
    program = (
        "import sys; from config.settings import BANK; from engine.core import Core; "
        "from engine.reload.parcel import Sender, for_running; from engine.setup import read_setup\n"
        "for piece in Sender().pieces(Core(for_running(read_setup(BANK))).compiled()):\n"
        "    sys.stdout.buffer.write(len(piece).to_bytes(4, 'big') + piece)\n"
    )
    answers = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        receiver, rest = Receiver(), done.stdout
        while rest:
            n = int.from_bytes(rest[:4], "big")
            found, rest = receiver.take(rest[4 : 4 + n]), rest[4 + n :]
        answers.append(decide(assembled(found), lines[:1500]))
    assert answers[0] == answers[1] == decide(Core(setup), lines[:1500])


def test_no_piece_takes_long_to_read(setup):
    """None says much: each rule and feature comes alone, and later pieces refer to them. Arrays cost no time."""
    pieces = list(Sender().pieces(Core(for_running(setup)).compiled()))
    said = [sum(1 for _ in pickletools.genops(piece)) for piece in pieces]
    assert max(said) < sum(said) / 4
    assert len(pieces) > len(setup.pack.rules) + len(setup.pack.features)


def test_equal_trees_travel_once_and_unequal_ones_apart(setup):
    """A zero below nothing is equal to zero, and divides otherwise."""
    number = Type(NUMBER)
    column = Node("column", number, (), "amount", Span(0, 6))
    again = Node("column", number, (), "amount", Span(3, 9))
    zeros = [Node("/", number, (column, Node("const", number, (), x))) for x in (0.0, -0.0)]
    assert zeros[0] == zeros[1]
    rule = replace(setup.pack.rules[0], when=zeros[0], score=zeros[1])
    other = replace(setup.pack.rules[1], when=again)
    pack = replace(setup.pack, rules=(rule, other))
    first, second = for_running(replace(setup, pack=pack)).pack.rules
    assert first.when.args[0] is second.when
    assert [math.copysign(1, tree.args[1].value) for tree in (first.when, first.score)] == [1, -1]
    assert second.when == again


def test_tests_of_rules_stay_at_home(setup):
    assert any(rule.tests for rule in setup.pack.rules)
    found = sent(Core(for_running(setup)))
    assert not any(rule.tests for rule in found.setup.pack.rules)
    assert found.setup.sha256 == setup.sha256


def test_what_was_done_is_handed_over_as_if_it_had_been_saved_and_loaded(setup, lines, monkeypatch):
    """Alerts, cases, restrictions, ratings: the same bytes at once and after more of the stream."""
    half = len(lines) // 2
    cores = [Core(setup), Core(setup)]
    for core in cores:
        decide(core, lines[:half])
    saved = cores[0].decider.save()
    assert cores[0].decider.cases
    handed, _ = carry(cores[0], setup)
    now = handed.decider.save()
    assert {k: v.tobytes() for k, v in now.items()} == {k: v.tobytes() for k, v in saved.items()}
    with monkeypatch.context() as patched:
        patched.setattr(
            Decider, "adopt", lambda self, other, actions: self.load(other.save(), actions)
        )
        loaded, _ = carry(cores[1], setup)
    assert decide(handed, lines[half:]) == decide(loaded, lines[half:])


def test_what_a_list_holds_comes_in_parts_and_is_not_looked_through_again(setup):
    """Rows by value were found by whoever compiled; messages would wait while it is done once more."""
    rows = tuple(ListRow(f"D{k}", 1, None, (f"R{k}",)) for k in range(12_000))
    name = next(iter(setup.pack.lists))
    one = setup.pack.lists[name]
    listed = replace(
        one, rows=rows, values=frozenset(r.value for r in rows), columns=("ref",), is_dated=True
    )
    pack = replace(setup.pack, lists={**setup.pack.lists, name: listed})
    core = Core(for_running(replace(setup, pack=pack)))
    assert "by_value" in vars(listed)
    pieces = list(Sender().pieces(core.compiled()))
    receiver = Receiver()
    for piece in pieces:
        found = receiver.take(piece)
    came = found.setup.pack.lists[name]
    assert came == listed
    assert vars(came)["by_value"] == listed.by_value
    said = [sum(1 for _ in pickletools.genops(piece)) for piece in pieces]
    assert max(said) < sum(said) / 4


def with_list(setup, rows=(), values=(), owner="bank"):
    """The same setup with another content of its first list."""
    name = next(iter(setup.pack.lists))
    values = frozenset(values) or frozenset(row.value for row in rows)
    is_dated = any(row.is_dated for row in rows)
    columns = ("ref",) if rows else ()
    of = setup.pack.lists[name]
    listed = replace(
        of, rows=tuple(rows), values=values, columns=columns, is_dated=is_dated, owner=owner
    )
    pack = replace(setup.pack, lists={**setup.pack.lists, name: listed})
    return name, replace(setup, pack=pack)


def received(sender, setup, active=None):
    pieces = list(sender.pieces(Core(for_running(setup)).compiled()))
    receiver = Receiver(active)
    for piece in pieces:
        found = receiver.take(piece)
    return found, pieces


def test_a_list_that_holds_what_it_held_is_not_sent(setup):
    """Its owner is, and what was added to it while the engine ran is not taken for a part of it."""
    rows = [ListRow(f"D{k}", 1, None, (f"R{k}",)) for k in range(6_000)]
    name, before = with_list(setup, rows)
    _, now = with_list(setup, rows, owner="fraud desk")
    assert now.pack.lists[name].holds_as(before.pack.lists[name])
    active = Core(before)
    active.ruleset.change_lists({name: {"X1": [ListRow("X1")]}})
    found, pieces = received(Sender(frozenset({name})), now, active)
    assert not any(b"D4321" in piece for piece in pieces)
    came = found.setup.pack.lists[name]
    assert (came, came.owner) == (now.pack.lists[name], "fraud desk")
    (content,) = [c for c in found.ruleset.contents if c.of.name == name]
    assert content.of is came
    assert (content.added, content.says("D4321"), content.says("X1")) == ({}, 2, 0)
    assert [c.added for c in active.ruleset.contents if c.of.name == name] != [{}]


@pytest.mark.parametrize("is_dated", [True, False])
def test_a_long_list_that_changed_grows_piece_by_piece(setup, is_dated):
    values = [f"D{k}" for k in range(12_000)]
    rows = [ListRow(v, 1, None, (v,)) for v in values] if is_dated else []
    name, now = with_list(setup, rows, values)
    found, pieces = received(Sender(), now)
    came = found.setup.pack.lists[name]
    assert came == now.pack.lists[name]
    assert type(came.values) is frozenset
    (content,) = [c for c in found.ruleset.contents if c.of.name == name]
    assert content.says("D11999") == (2 if is_dated else 1)
    assert content.changed(next(c for c in Core(setup).ruleset.contents if c.of.name == name)) > {
        *values
    }
    opcodes = [sum(1 for _ in pickletools.genops(piece)) for piece in pieces]
    assert max(opcodes) < sum(opcodes) / 4


def test_what_two_contents_differ_in_is_found_ahead_or_at_once(setup):
    name, one = with_list(setup, values=[f"D{k}" for k in range(45_000)])
    _, two = with_list(setup, values=[f"D{k}" for k in range(100, 45_100)])
    before, now, ahead = (
        next(c for c in Core(s).ruleset.contents if c.of.name == name) for s in (one, two, two)
    )
    assert len(list(ahead.compare_ahead(before))) > 2, "in steps"
    before.change({"X1": [ListRow("X1")]})
    expected = {"X1", *(f"D{k}" for k in (*range(100), *range(45_000, 45_100)))}
    assert now.changed(before) == ahead.changed(before) == expected


def test_what_was_worked_out_about_the_active_configuration_comes_along(setup):
    """To work it out takes the engine 100 ms at 500 rules."""
    helper, active = Core(setup).meanings, Core(setup)
    assert len(list(helper.work_out())) > 2, "a few at a time"
    received(Sender(active=helper), setup, active)
    assert active.meanings.worked_out == helper.worked_out
    assert len(active.meanings.worked_out[1]) == len(setup.pack.rules)
