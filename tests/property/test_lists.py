"""Lists whose rows hold for a time, rows that come and go while the engine runs, and tables that outlive a reload.

WEIR_LISTS sets how many random sets of conditions are tried (40).
"""

import math
import os
import random
from dataclasses import replace
from itertools import pairwise

import numpy as np

from rules import code_tables
from rules.code_tables import Tables
from rules.definitions import ListRow
from rules.explain import Evaluator
from rules.lists import Listed, holds, row_at, spans
from tests.listing import definition, definitions
from tests.oracles import expressions as oracle
from tests.oracles import random_trees as trees
from tests.property.test_interpreter import Compiled
from tests.property.test_rules_explain import TABLES

SETS = int(os.environ.get("WEIR_LISTS", "40"))
DAY = 10**15
VALUES = {
    "category": ("red", "blue", "Green", "green", "3000", "3150", "never"),
    "number": ("1", "-1", "0-2", "3"),
}


LOWER = trees.Node("call", trees.TEXT, (trees.column("c0"),), "lower")


def event(rng, missing):
    """A row whose time is often exactly where others begin or end to hold."""
    found = trees.row(rng, missing)
    if rng.random() < 0.5:
        found["event_time"] = rng.randint(-1, 8) * DAY / 2
    return found


def some_row(rng, kind):
    start, end = (rng.choice([None, *(k * DAY // 2 for k in range(-1, 8))]) for _ in range(2))
    return rng.choice(VALUES[kind]), start, end


def some_lists(rng):
    """The lists of the trees with other content; some of them without any dates."""
    found = {}
    for name, (kind, _) in trees.LISTS.items():
        rows = [some_row(rng, kind) for _ in range(rng.randint(0, 6))]
        is_dated = rng.random() < 0.6
        found[name] = (kind, tuple(rows) if is_dated else tuple(value for value, *_ in rows))
    return found


def about_lists(rng, n):
    """Conditions that are often about lists."""
    return [trees.truth(rng, 2) if rng.random() < 0.3 else listed(rng) for _ in range(n)]


def listed(rng):
    if rng.random() < 0.3:
        tree = trees.Node("in", trees.BOOL, (trees.number(rng, 1),), rng.choice(["@few", "@spans"]))
    else:
        text = rng.choice([trees.text, lambda *_: trees.column("c0"), lambda *_: LOWER])(rng, 2)
        tree = trees.Node("in", trees.BOOL, (text,), rng.choice(["@colours", "@seen"]))
    return trees.Node("not", trees.BOOL, (tree,)) if rng.random() < 0.3 else tree


class Listing(Compiled):
    """Compiled conditions over lists of this test's own."""

    def __init__(self, conditions, lists, zone="UTC"):
        self.lists = lists
        super().__init__(conditions, [], [], zone)

    def make_tables(self):
        return Tables(definitions(self.lists))


def agrees(compiled, conditions, rows, lists):
    world = oracle.World(lists, trees.TABLES, "UTC")
    truth, _ = compiled.run(rows)
    for rule, tree in enumerate(conditions):
        for i, row in enumerate(rows):
            expected = oracle.truth(tree, row, world)
            assert compiled.says(rule, int(truth[rule, i])) == expected, (tree, row)


def test_rows_that_come_and_go_while_the_engine_runs_count_as_if_the_list_had_them():
    """Lists without dates get dates that way; the walk of an explanation sees the same rows."""
    rng = random.Random(21)
    for _ in range(SETS):
        conditions, lists = about_lists(rng, 8), some_lists(rng)
        compiled = Listing(conditions, lists)
        rows = [event(rng, 0.1) for _ in range(24)]
        if rng.random() < 0.7:
            agrees(compiled, conditions, rows, lists)
        added = {name: {} for name in lists}
        for _ in range(4):
            name = rng.choice(list(lists))
            kind, _ = lists[name]
            changed = {}
            for value, start, end in (some_row(rng, kind) for _ in range(rng.randint(1, 3))):
                held = changed.get(value, added[name].get(value, ()))
                changed[value] = (*held, ListRow(value, start, end))
            if added[name] and rng.random() < 0.5:
                changed[rng.choice(list(added[name]))] = ()
            added[name] |= changed
            compiled.tables.change(name, changed)
            now = {
                name: (kind, (*members, *((r.value, r.from_us, r.until_us) for v in added[name].values() for r in v)))
                for name, (kind, members) in lists.items()
            }  # fmt: skip
            agrees(compiled, conditions, rows, now)
        shown = {
            name: replace(definition(name, *content), added=tuple(r for v in added[name].values() for r in v))
            for name, content in lists.items()
        }  # fmt: skip
        world = oracle.World(now, trees.TABLES, "UTC")
        for tree in conditions:
            for row in rows[:8]:
                got, because = Evaluator(row.get, shown, TABLES, "UTC").truth(tree)
                assert (got, because or None) == oracle.truth(tree, row, world), (tree, row)


def test_tables_taken_over_answer_as_new_ones():
    """After a reload with other lists, and other conditions: what was answered before is what would be answered now."""
    rng = random.Random(22)
    for _ in range(SETS):
        conditions, before = about_lists(rng, 8), some_lists(rng)
        old = Listing(conditions, before)
        rows = [event(rng, 0.1) for _ in range(24)]
        old.run(rows)
        after = {n: c if rng.random() < 0.4 else some_lists(rng)[n] for n, c in before.items()}
        others = [*rng.sample(conditions, 5), *about_lists(rng, 3)]
        new = Listing(others, after)
        for name in old.dictionaries:
            if name != "text":
                new.dictionaries[name].adopt(old.dictionaries[name])
        new.tables.adopt(old.tables, new.dictionaries)
        agrees(new, others, rows, after)
        agrees(new, others, [event(rng, 0.1) for _ in range(8)], after)


def some_added(rng, lists):
    """Rows that come to a list, or go: a name, and what `change` is told."""
    name = rng.choice(list(lists))
    found = {}
    for value, start, end in (some_row(rng, lists[name][0]) for _ in range(3)):
        row = ListRow(value) if rng.random() < 0.5 else ListRow(value, start, end)
        found[value] = (row,) if rng.random() < 0.6 else ()
    return name, found


def test_answers_copied_ahead_follow_what_happens_until_they_are_taken_over(monkeypatch):
    """While they are copied, step by step, the old tables go on: texts are new, and rows of lists come and go."""
    monkeypatch.setattr(code_tables, "_COPIED_MAX", 2)
    rng = random.Random(26)
    n_steps = 0
    for _ in range(SETS):
        conditions, before = about_lists(rng, 8), some_lists(rng)
        old = Listing(conditions, before)
        old.run([event(rng, 0.1) for _ in range(24)])
        after = {n: c if rng.random() < 0.6 else some_lists(rng)[n] for n, c in before.items()}
        others = [*rng.sample(conditions, 6), *about_lists(rng, 2)]
        new = Listing(others, after)
        added = {name: {} for name in before}
        for _ in range(rng.randint(0, 2)):
            name, changed = some_added(rng, before)
            added[name] |= changed
            old.tables.change(name, changed)
        n_texts = {name: len(d.texts) for name, d in old.dictionaries.items()}
        for _ in new.tables.copy_ahead(old.tables):
            n_steps += 1
            assert {name: len(d.texts) for name, d in old.dictionaries.items()} == n_texts
            if rng.random() < 0.3:
                name, changed = some_added(rng, before)
                added[name] |= changed
                old.tables.change(name, changed)
            if rng.random() < 0.3:
                old.run([event(rng, 0.1) | {"c0": f"new {n_steps}"} for _ in range(3)])
                n_texts = {name: len(d.texts) for name, d in old.dictionaries.items()}
        for name in old.dictionaries:
            if name != "text":
                new.dictionaries[name].adopt(old.dictionaries[name])
        for name, rows in added.items():  # in the order of engine/carry.py
            new.tables.change(name, {value: held for value, held in rows.items() if held})
        new.tables.adopt(old.tables, new.dictionaries)
        now = {
            name: (
                kind,
                (
                    *members,
                    *(
                        (r.value, r.from_us, r.until_us)
                        for held in added[name].values()
                        for r in held
                    ),
                ),
            )
            for name, (kind, members) in after.items()
        }
        agrees(new, others, [event(rng, 0.1) for _ in range(24)], now)
    assert n_steps > 2 * SETS


def test_answers_stay_their_own_while_dictionaries_grow_after_a_reload():
    """Room that was made ahead is room for all that is promised: no table writes its answers over the next one."""
    conditions = [
        trees.Node("in", trees.BOOL, (text,), name)
        for name in ("@seen", "@colours")
        for text in (trees.column("c0"), LOWER)
    ]
    lists = {
        **trees.LISTS,
        "seen": ("category", ("text 0", "text 2")),
        "colours": ("category", ("Text 1",)),
    }
    rng = random.Random(27)
    rows = [trees.row(rng, 0.0) | {"c0": text} for text in (None, "text 0", "Text 1", "text 2")]
    old, new = Listing(conditions, lists), Listing(conditions, lists)
    agrees(old, conditions, rows, lists)

    def grow(compiled, n):
        colours = compiled.dictionaries["colour"]
        while len(colours.texts) < n:
            colours.code(f"grown {len(colours.texts)}")
            compiled.tables.refresh(compiled.dictionaries)

    grow(old, 400)
    for _ in new.tables.copy_ahead(old.tables):
        pass
    grow(old, 440)
    for name in old.dictionaries:
        if name != "text":
            new.dictionaries[name].adopt(old.dictionaries[name])
    new.tables.adopt(old.tables, new.dictionaries)
    grow(new, 600)
    agrees(new, conditions, rows, lists)


def test_a_long_dictionary_is_searched_for_the_members_of_a_list():
    """Ten thousand texts and a list of a few thousand, some dated: as if each text had been asked about."""
    rng = random.Random(23)
    members = [
        f"{k}" if rng.random() < 0.5 else (f"{k}", k * DAY, rng.choice([None, 3 * DAY]))
        for k in rng.sample(range(20_000), 3_000)
    ]
    lists = {**trees.LISTS, "seen": ("category", tuple(members))}
    tree = trees.Node("in", trees.BOOL, (trees.column("c0"),), "@seen")
    compiled = Listing([tree], lists)
    for text in rng.sample(range(20_000), 10_000):
        compiled.dictionaries["colour"].code(str(text))
    world = oracle.World(lists, trees.TABLES, "UTC")
    rows = [trees.row(rng, 0.0) | {"c0": str(rng.randrange(20_000))} for _ in range(400)]
    truth, _ = compiled.run(rows)
    found = [compiled.says(0, int(t))[0] for t in truth[0]]
    assert found == [oracle.truth(tree, row, world)[0] for row in rows]
    assert True in found


def test_spans_say_when_any_row_holds():
    rng = random.Random(24)
    for _ in range(300):
        rows = [ListRow(*some_row(rng, "category")) for _ in range(rng.randint(0, 6))]
        merged = spans(rows)
        assert all(a[1] < b[0] for a, b in pairwise(merged))
        for time in (*(k * DAY / 4 for k in range(-4, 18)), -1e17, 1e17):
            inside = any(start <= time < end for start, end in merged)
            assert inside == any(row.holds_at(time) for row in rows)
        if rows and any(not row.is_dated for row in rows):
            assert merged == ((-math.inf, math.inf),)


def test_the_row_that_is_shown_is_one_that_holds():
    """The first in the order of the list, those of the pack before those that were added."""
    rng = random.Random(25)
    for _ in range(200):
        rows = [some_row(rng, "category") for _ in range(6)]
        of = replace(
            definition("x", "category", tuple(rows)),
            columns=("n",),
            rows=tuple(ListRow(*row, (str(k),)) for k, row in enumerate(rows)),
            added=(ListRow("red", None, 2 * DAY, ("rule R-1", "T1")),),
        )
        for time in (None, 0.0, DAY * 1.5, DAY * 9.0):
            wanted = [
                str(k) for k, row in enumerate(rows) if row[0] == "red" and oracle.holds(row, time)
            ]
            found = row_at(of, "red", time)
            if wanted:
                assert found[1] == {"n": wanted[0]}
            elif time is not None and time < 2 * DAY:
                assert found[1] == {"source": "rule R-1", "reference": "T1"}
            else:
                assert found is None
            assert holds(of, "red", time) == (found is not None)
            listed = Listed(replace(of, added=()))
            listed.change({"red": of.added})
            assert listed.row_at("red", time) == found


def test_what_is_laid_out_anew_is_what_was_there():
    """Blocks and tables grow in any order."""
    rng = random.Random(26)
    conditions, lists = about_lists(rng, 20), some_lists(rng)
    grown = Listing(conditions, lists)
    rows = [trees.row(rng, 0.1) | {"c0": str(rng.choice(["red", k]))} for k in range(300)]
    at_once, _ = Listing(conditions, lists).run(rows)
    for i, row in enumerate(rows):
        one, _ = grown.run([row])
        np.testing.assert_array_equal(one[:, 0], at_once[:, i])
