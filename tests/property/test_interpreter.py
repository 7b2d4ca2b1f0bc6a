"""The interpreter agrees with a naive walk over the tree, for random expressions and random missing values.

WEIR_EXPRESSIONS sets how many (300; the long run is 20000), each over 64 rows with their own pattern of missing values.
"""

import math
import os
import random
from collections import Counter

import numpy as np
import pytest

from engine.entities import Dictionaries
from rules.code_tables import Tables
from rules.columns import Frame, Layout
from rules.compile import Builder, Context
from rules.definitions import TableDefinition
from rules.kernels import RULE, TRUE
from tests.listing import NOWHERE, definitions
from tests.oracles import expressions as oracle
from tests.oracles import random_trees as trees

EXPRESSIONS = int(os.environ.get("WEIR_EXPRESSIONS", "300"))
ROWS = 64
PER_PROGRAM = 20


class Compiled:
    """A handful of random trees in one program, so that registers and tables of one could disturb another."""

    def __init__(self, conditions, numbers, texts, zone):
        self.layout = Layout()
        lookups = {
            name: TableDefinition(name, "c0", trees.NUMBER, values, default, NOWHERE)
            for name, (values, default) in trees.TABLES.items()
        }
        self.tables = self.make_tables()
        builder = Builder(Context(self.place, self.layout, self.tables, lookups, zone))
        self.names = []
        for rule, tree in enumerate(conditions):
            builder.begin([tree])
            plane = builder.truth(tree)
            builder.emit(RULE, plane, rule)
            builder.release(plane)
            self.names.append(builder.names)
        self.stored = []
        for tree in (*numbers, *texts):
            dictionary = builder.dictionary(tree)
            if dictionary in ("text", "(rules)"):
                dictionary = f"made {len(self.stored)}"
            place = self.layout.add(f"~stored {len(self.stored)}", tree.type, dictionary)
            builder.begin([tree])
            builder.store(tree, place)
            self.stored.append(place)
        self.program = builder.build()
        self.n_rules = len(conditions)
        self.tables.seal()
        self.dictionaries = Dictionaries()
        self.tables.refresh(self.dictionaries)

    def make_tables(self):
        return Tables(definitions(trees.LISTS))

    def place(self, name):
        return self.layout.add(name, trees.TYPES[name])

    def frame(self, rows):
        """Encode rows of Python values."""
        frame = Frame.empty(self.layout, len(rows))
        self.dictionaries.renew()
        for name, place in self.layout.places.items():
            if name.startswith("~"):
                continue
            values = [row[name] for row in rows]
            if place.is_code:
                frame.code[place.row] = self.dictionaries[place.dictionary].encode(values)
            else:
                frame.number[place.row] = [math.nan if x is None else x for x in values]
        self.tables.refresh(self.dictionaries)
        return frame

    def run(self, rows):
        frame = self.frame(rows)
        truth = np.empty((max(self.n_rules, 1), len(rows)), np.int16)
        self.program.run(frame, truth=truth)
        return truth, frame

    def says(self, rule, state):
        """Truth and reason as the oracle gives them."""
        if state in (0, TRUE):
            return bool(state), None
        return None, self.names[rule][state - 1]

    def stored_value(self, k, frame, row):
        place = self.stored[k]
        if not place.is_code:
            x = float(frame.number[place.row, row])
            return None if math.isnan(x) else x
        code = frame.code[place.row, row]
        return None if code < 0 else self.dictionaries[place.dictionary].texts[code]


def test_agrees_with_a_naive_walk_bit_for_bit_and_blames_the_same_column():
    """Truth, the column behind a missing truth, numbers and texts are those of the oracle, row by row."""
    rng, seen = random.Random(7), Counter()
    for group in range(-(-EXPRESSIONS // PER_PROGRAM)):
        conditions = [trees.truth(rng, rng.randint(0, 4)) for _ in range(PER_PROGRAM - 6)]
        numbers = [trees.number(rng, rng.randint(0, 4)) for _ in range(4)]
        texts = [trees.text(rng, rng.randint(0, 3)) for _ in range(2)]
        zone = trees.ZONES[group % len(trees.ZONES)]
        world = oracle.World(trees.LISTS, trees.TABLES, zone)
        compiled = Compiled(conditions, numbers, texts, zone)
        rows = [trees.row(rng, rng.choice([0.0, 0.1, 0.4])) for _ in range(ROWS)]
        truth, frame = compiled.run(rows)
        for rule, tree in enumerate(conditions):
            for i, row in enumerate(rows):
                expected = oracle.truth(tree, row, world)
                got = compiled.says(rule, int(truth[rule, i]))
                assert got == expected, (tree, row, got, expected)
                seen[got[0]] += 1
        for k, tree in enumerate((*numbers, *texts)):
            for i, row in enumerate(rows):
                expected = oracle.value(tree, row, world)[0]
                got = compiled.stored_value(k, frame, i)
                assert got == expected, (tree, row, got, expected)
                seen["value" if got is not None else "no value"] += 1
    assert min(seen.values()) > 0.02 * sum(seen.values()), seen
    if EXPRESSIONS > 300:
        print(f"\nagrees on {sum(seen.values()):,} cases: {dict(seen)}")


@pytest.mark.parametrize("cut", [1, 7, 300])
def test_cutting_a_batch_never_changes_an_answer(cut):
    """Rows depend on themselves alone: 600 rows at once, or in pieces, around the block of 256."""
    rng = random.Random(cut)
    conditions = [trees.truth(rng, 4) for _ in range(30)]
    numbers = [trees.number(rng, 4) for _ in range(10)]
    compiled = Compiled(conditions, numbers, [], "Europe/Berlin")
    rows = [trees.row(rng, 0.2) for _ in range(600)]
    truth, frame = compiled.run(rows)
    whole = frame.number[[p.row for p in compiled.stored]]
    for lo in range(0, 600, cut):
        part, piece = compiled.run(rows[lo : lo + cut])
        np.testing.assert_array_equal(part, truth[:, lo : lo + cut])
        stored = piece.number[[p.row for p in compiled.stored]]
        np.testing.assert_array_equal(stored, whole[:, lo : lo + cut])


def test_a_text_that_comes_later_is_answered_as_one_that_was_always_there():
    """Tables grow with their dictionaries, also past their room: rows one by one are as all rows at once."""
    rng = random.Random(3)
    conditions = [trees.about_text(rng, 3) for _ in range(60)]
    grown, whole = (Compiled(conditions, [], [], "UTC") for _ in range(2))
    rows = [
        trees.row(rng, 0.1) | {"c0": f"{rng.choice(['red', '31', 'Blue'])}{i}"} for i in range(400)
    ]
    at_once, _ = whole.run(rows)
    for i, row in enumerate(rows):
        truth, _ = grown.run([row])
        for rule in range(len(conditions)):
            assert grown.says(rule, int(truth[rule, 0])) == whole.says(rule, int(at_once[rule, i]))
