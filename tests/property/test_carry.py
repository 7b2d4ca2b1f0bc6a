"""A running engine goes over to another configuration: what did not change is as in an engine that had it all the time.

WEIR_CARRIES sets how many random pairs of packs are tried (default 16), WEIR_SEED where they begin.
"""

import os
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from config.errors import ConfigError
from engine.backfill import ask, fill, splice
from engine.batch import ACTIVITY, TRANSACTION
from engine.carry import KEPT, carry
from engine.ports import Messages, Recorded
from tests.declaring import (
    Case,
    Declarer,
    Streamer,
    core_for,
    feature_text,
    line,
    plain,
    write_configuration,
)
from tests.oracles.features import Aggregate, names_in

PAIRS = int(os.environ.get("WEIR_CARRIES", "16"))
SEED = int(os.environ.get("WEIR_SEED", "0"))
MESSAGES = 160


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("carry")
    write_configuration(path)
    return path


def read_by(feature):
    """Fields and features that a declaration reads."""
    if isinstance(feature, Aggregate):
        return names_in((0, feature.argument, feature.where))
    return names_in(feature.expression)


class Pair:
    """Two packs that have something in common, a stream, and where the engine goes over."""

    def __init__(self, seed):
        rng = self.rng = np.random.default_rng(seed)
        declarer = Declarer(rng)
        self.before = declarer.declare()
        self.after = self.changed(declarer)
        self.lateness = int(rng.choice([0, declarer.base // 2, declarer.base]))
        self.zone = str(rng.choice(["UTC", "Europe/Berlin"]))
        both = {**self.before, **{f"x{n}": f for n, f in self.after.items()}}
        streamer = Streamer(rng, both, declarer.base, self.lateness)
        # How far back an update reaches features without a window depends on the others of their key.
        self.has_updates = rng.random() < 0.5
        messages = [
            m for m in streamer.messages(2 * MESSAGES) if self.has_updates or m["kind"] != "update"
        ]
        self.lines = [line(rng, message) for message in messages[:MESSAGES]]
        self.cut = int(rng.integers(1, MESSAGES))
        self.seed = seed

    def changed(self, declarer):
        """Another pack: some features gone, some changed, some new, one renamed, in another order."""
        rng, after = self.rng, {}
        read = {n for f in self.before.values() for n in read_by(f)}
        for name, feature in self.before.items():
            chance = rng.random()
            if chance < 0.15 and isinstance(feature, Aggregate) and feature.width:
                width = declarer.pick([w for w in declarer.widths if w > feature.lag])
                after[name] = replace(feature, width=width)
            elif chance < 0.25 and isinstance(feature, Aggregate):
                after[name], kind = declarer.aggregate()  # changed; often something else altogether
                declarer.kinds.pop(name, None)
                if kind:
                    declarer.kinds[name] = kind
            elif chance < 0.45 and name not in read:
                declarer.kinds.pop(name, None)  # gone
            elif chance < 0.55 and name not in read:
                after[f"renamed_{name}"] = feature
                declarer.kinds.pop(name, None)
            else:
                after[name] = feature
        for k in range(int(rng.integers(0, 4))):
            if k and rng.random() < 0.3 and (computed := declarer.computed()):
                after[f"new{k}"] = computed[0]
            else:
                after[f"new{k}"] = declarer.aggregate()[0]
        names = list(after)
        rng.shuffle(names)
        return {name: after[name] for name in names}

    def core(self, folder, declared):
        return core_for(folder, Case(declared, [], [], self.lateness, zone=self.zone))

    def described(self):
        lines = [f"seed {self.seed}, cut at {self.cut}, lateness {self.lateness}"]
        for title, declared in (("before", self.before), ("after", self.after)):
            lines += [title, *(f"  {n}: {feature_text(f)}" for n, f in declared.items())]
        return "\n".join(lines)


def settled(seed, folder):
    """A pair whose packs can both be compiled: a change may leave a feature that others read of another kind."""
    for k in range(50):
        pair = Pair(seed * 50 + k)
        try:
            pair.core(folder, pair.after)
        except ConfigError:
            continue
        return pair
    raise AssertionError(seed)


def seen(core, lines, names, cuts=()):
    """What the core says of each line: features by name, or None where none are read."""
    found = []
    for a, b in pairwise([0, *sorted(cuts), len(lines)]):
        if a == b:
            continue
        outcome = core.apply(lines[a:b], [f"x:{i}" for i in range(a, b)])
        columns = {name: plain(core, outcome.frame, name) for name in names}
        for i, kind in enumerate(outcome.batch.kind.tolist()):
            is_read = kind in (TRANSACTION, ACTIVITY)
            row = {name: column[i] for name, column in columns.items()}
            core_us = int(outcome.admitted.core_us[i])
            found.append((core_us, row) if is_read else None)
    return found


def went_over(pair, folder, *, refill=False):
    """A core that went over at the cut, what became of it, and what it said of the lines after it."""
    old = pair.core(folder, pair.before)
    seen(old, pair.lines[: pair.cut], ())
    core, carried = carry(old, pair.core(folder, pair.after).setup)
    if refill:
        carried = splice(core, carried, filled(pair, core, carried))
    return core, carried


def filled(pair, core, carried, start=None, first=0, last=None):
    """The answer of a side core over the lines before the cut; up to `last`, with a record at the cut."""
    records = [recorded(pair, first, first, pair.cut)]
    if last is not None:
        records.append(Recorded(pair.cut, Messages([], []), config=b"{}"))
        records.append(recorded(pair, pair.cut + 1, pair.cut, last))
    return fill(ask(core, carried), core.setup, records, start)


def recorded(pair, seq, first, last):
    lines = pair.lines[first:last]
    return Recorded(seq, Messages(lines, [f"x:{i}" for i in range(len(lines))]))


def always(pair, folder):
    """What an engine says that had the new configuration from the beginning."""
    return seen(pair.core(folder, pair.after), pair.lines, pair.after)[pair.cut :]


def check(pair, got, want, is_due):
    """Compare the features that are due; return how many values that were."""
    n = 0
    odd = {name for name, f in pair.after.items() if pair.has_updates and has_no_window(f)}
    odd = {name for name in pair.after if reads(pair, name) & odd}
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        assert (g is None) == (w is None), i
        for name in w[1] if w else ():
            if name in odd or not is_due(name, w[0]):
                continue
            n += 1
            assert same(pair.after[name], g[1][name], w[1][name]), (
                f"line {pair.cut + i}, feature {name}: {g[1][name]}, must be {w[1][name]}\n"
                f"{pair.described()}\n{pair.lines[pair.cut + i]}"
            )
    return n


def has_no_window(feature):
    return isinstance(feature, Aggregate) and not (
        feature.width or feature.calendar or feature.last
    )


def same(feature, got, want):
    """Equal; what fades up to 1e-9 of itself."""
    if isinstance(feature, Aggregate) and feature.half and None not in (got, want):
        return abs(got - want) <= 1e-9 * abs(want) + 1e-15
    return got == want


def reads(pair, name):
    """A feature and all that it reads."""
    found, waiting = set(), [name]
    while waiting:
        one = waiting.pop()
        if one in pair.after and one not in found:
            found.add(one)
            waiting += read_by(pair.after[one])
    return found


@pytest.mark.parametrize("seed", range(SEED, SEED + PAIRS))
def test_what_did_not_change_is_as_if_the_engine_had_not_changed(seed, folder):
    """Every feature that means the same in both packs, whatever its name, at every message after the change."""
    pair = settled(seed, folder)
    core, carried = went_over(pair, folder)
    untouched = {n for n in pair.after if not reads(pair, n) & set(carried.fresh)}
    assert {n for n, what in carried.features.items() if what == KEPT} <= untouched
    cuts = pair.rng.integers(0, MESSAGES - pair.cut, 3).tolist()
    got = seen(core, pair.lines[pair.cut :], pair.after, cuts)
    check(pair, got, always(pair, folder), lambda name, _: name in untouched)


@pytest.mark.parametrize("seed", range(SEED, SEED + PAIRS))
def test_a_back_filled_feature_is_as_if_it_had_always_been_there(seed, folder):
    """Every feature of the new pack, at every message after the change: values, not bytes."""
    pair = settled(seed, folder)
    core, carried = went_over(pair, folder, refill=True)
    assert carried.fresh == ()
    assert core.warming.since_us == {}
    got = seen(core, pair.lines[pair.cut :], pair.after)
    check(pair, got, always(pair, folder), lambda *_: True)


@pytest.mark.parametrize("seed", range(SEED, SEED + PAIRS))
def test_a_feature_that_is_warm_is_as_if_it_had_always_been_there(seed, folder):
    """Without the journal: from the core time on at which rules may act on it.

    Not so what settings call warm after a while (`over all`, the last N, what fades), nor labels of payments that came
    before the change, for what these need was not kept.
    """
    pair = settled(seed, folder)
    core, carried = went_over(pair, folder)
    ready = {name: core.warming.ready_us(name) for name in pair.after}
    never = {n for n in carried.fresh if about_labels(pair.after[n]) or not pair.after[n].width}

    def is_due(name, core_us):
        return core_us >= ready[name] and not reads(pair, name) & never

    got = seen(core, pair.lines[pair.cut :], pair.after)
    check(pair, got, always(pair, folder), is_due)


@pytest.mark.parametrize("seed", range(SEED, SEED + PAIRS, 2))
def test_a_journal_that_does_not_reach_back_fills_from_its_oldest_snapshot(seed, folder):
    """New features warm up from the core time of that snapshot, and what they read with them."""
    pair = settled(seed, folder)
    core, carried = went_over(pair, folder)
    start = pair.core(folder, pair.before)
    first = int(pair.rng.integers(0, pair.cut))
    seen(start, pair.lines[:first], ())
    begin_us, fresh = start.core_us, carried.fresh
    carried = splice(core, carried, filled(pair, core, carried, start, first))
    assert carried.filled_from == first
    assert set(core.warming.since_us) <= set(fresh)
    assert all(since_us >= begin_us for since_us in core.warming.since_us.values())
    never = {n for n in fresh if about_labels(pair.after[n]) or not pair.after[n].width}
    ready = {name: core.warming.ready_us(name) for name in pair.after}

    def is_due(name, core_us):
        return core_us >= ready[name] and not reads(pair, name) & never

    got = seen(core, pair.lines[pair.cut :], pair.after)
    check(pair, got, always(pair, folder), is_due)


def about_labels(feature):
    return feature.domain == "label" or "label" in names_in((0, feature.where))


@pytest.mark.parametrize("seed", range(SEED, SEED + PAIRS, 4))
def test_a_carried_core_that_was_saved_and_loaded_goes_on_as_if_nothing_had_happened(seed, folder):
    """A fresh core of the new configuration takes the shape of its windows from what was saved."""
    pair = settled(seed, folder)
    core, _ = went_over(pair, folder)
    saved = core.save()
    other = pair.core(folder, pair.after)
    other.load(saved)
    assert bytes_of(other) == {n: (a.dtype.str, a.tobytes()) for n, a in saved.items()}
    lines = pair.lines[pair.cut :]
    assert seen(core, lines, pair.after) == seen(other, lines, pair.after, [len(lines) // 2])
    assert bytes_of(core) == bytes_of(other)


def bytes_of(core):
    return {name: (a.dtype.str, a.tobytes()) for name, a in core.save().items()}


@pytest.mark.parametrize("seed", range(SEED, SEED + PAIRS, 4))
def test_there_and_back_again_is_the_same_for_what_never_changed(seed, folder):
    """A, B, then A: features of both are whole; those that B lacked begin anew or are back-filled."""
    pair = settled(seed, folder)
    core, _ = went_over(pair, folder)
    half = (pair.cut + MESSAGES) // 2
    seen(core, pair.lines[pair.cut : half], ())
    back, again = carry(core, pair.core(folder, pair.before).setup)
    answer = filled(pair, back, again, last=half)
    pair.before, pair.after, pair.cut = pair.after, pair.before, half
    untouched = {n for n in pair.after if not reads(pair, n) & set(again.fresh)}
    if pair.seed % 2:
        again = splice(back, again, answer)
        untouched = set(pair.after)
    got = seen(back, pair.lines[half:], pair.after)
    check(pair, got, always(pair, folder), lambda name, _: name in untouched)
