"""What an explanation says of a condition is what the interpreter decided, for random expressions and missing values.

WEIR_EXPLAINED sets how many expressions (200), each over 24 rows with their own pattern of missing values.
"""

import os
import random
from collections import Counter

from rules.definitions import TableDefinition
from rules.explain import Evaluator, leaves
from rules.render import text_of
from tests.listing import NOWHERE, definitions
from tests.oracles import random_trees as trees
from tests.property.test_interpreter import Compiled

EXPRESSIONS = int(os.environ.get("WEIR_EXPLAINED", "200"))
ROWS, PER_PROGRAM = 24, 20
LISTS = definitions(trees.LISTS)
TABLES = {
    name: TableDefinition(name, "c0", trees.NUMBER, values, default, NOWHERE)
    for name, (values, default) in trees.TABLES.items()
}


def evaluator(row, zone):
    return Evaluator(row.get, LISTS, TABLES, zone)


def groups(seed, depth=4):
    """Conditions compiled together, their zone, and rows."""
    rng = random.Random(seed)
    for group in range(-(-EXPRESSIONS // PER_PROGRAM)):
        conditions = [trees.truth(rng, rng.randint(0, depth)) for _ in range(PER_PROGRAM)]
        zone = trees.ZONES[group % len(trees.ZONES)]
        rows = [trees.row(rng, rng.choice([0.0, 0.1, 0.4])) for _ in range(ROWS)]
        yield conditions, Compiled(conditions, [], [], zone), zone, rows


def test_an_explanation_agrees_with_the_interpreter_and_blames_the_same_column():
    """Truth, and the column behind an undecided one; the clause on top says the same as the bare truth."""
    seen = Counter()
    for conditions, compiled, zone, rows in groups(11):
        truth, _ = compiled.run(rows)
        for rule, tree in enumerate(conditions):
            for i, row in enumerate(rows):
                expected = compiled.says(rule, int(truth[rule, i]))
                explain = evaluator(row, zone)
                got, because = explain.truth(tree)
                assert (got, because or None) == expected, (text_of(tree), row)
                clause = explain.clause(tree)
                assert (clause.truth, clause.because or None) == expected, (text_of(tree), row)
                seen[got] += 1
    assert min(seen.values()) > 0.05 * sum(seen.values()), seen


def test_numbers_and_texts_agree_with_the_interpreter_bit_for_bit():
    rng = random.Random(12)
    for group in range(max(EXPRESSIONS // 40, 1)):
        numbers = [trees.number(rng, rng.randint(0, 4)) for _ in range(10)]
        texts = [trees.text(rng, rng.randint(0, 3)) for _ in range(5)]
        zone = trees.ZONES[group % len(trees.ZONES)]
        compiled = Compiled([], numbers, texts, zone)
        rows = [trees.row(rng, 0.2) for _ in range(ROWS)]
        _, frame = compiled.run(rows)
        for k, tree in enumerate((*numbers, *texts)):
            for i, row in enumerate(rows):
                got = evaluator(row, zone).value(tree)
                assert got == compiled.stored_value(k, frame, i), (text_of(tree), row)


def test_each_clause_says_what_its_own_text_means():
    """The parts of a clause are themselves conditions; what each says holds for the interpreter too."""
    for conditions, _, zone, rows in groups(13, depth=3):
        parts = {
            part
            for tree in conditions
            for part in tree.walk()
            if part.type.kind == "bool" and part.op in ("and", "or", "not", "at_least")
        }
        inner = sorted({c for tree in parts for c in tree.args if c.type.kind == "bool"}, key=repr)
        if not inner:
            continue
        compiled = Compiled(inner, [], [], zone)
        truth, _ = compiled.run(rows)
        said = {tree: k for k, tree in enumerate(inner)}
        for tree in parts:
            for i, row in enumerate(rows):
                clause = evaluator(row, zone).clause(tree)
                for node, part in zip(tree.args, clause.parts, strict=False):
                    if node in said and clause.op == tree.op:
                        expected = compiled.says(said[node], int(truth[said[node], i]))[0]
                        assert part.truth == expected, (text_of(node), row)


def test_a_flip_turns_the_condition_when_the_interpreter_is_asked():
    """Put the value into the row and run the compiled program again: what fired does not, what did not fires."""
    n_tried = 0
    for conditions, compiled, zone, rows in groups(14, depth=3):
        before, _ = compiled.run(rows)
        for rule, tree in enumerate(conditions):
            changed, places = [], []
            for i, row in enumerate(rows):
                for flip in evaluator(row, zone).flips(tree)[:3]:
                    changed.append(row | {flip.column: flip.value})
                    places.append(i)
            if not changed:
                continue
            after, _ = compiled.run(changed)
            for k, i in enumerate(places):
                fired = compiled.says(rule, int(before[rule, i]))[0] is True
                fires = compiled.says(rule, int(after[rule, k]))[0] is True
                assert fired != fires, (text_of(tree), rows[i], changed[k])
            n_tried += len(changed)
    assert n_tried > 200


def test_every_comparison_of_a_column_with_a_constant_has_a_flip():
    """Whether it holds or not, and whatever it compares; only undecided ones may be left without a number."""
    rng = random.Random(15)
    for _ in range(300):
        left, right = trees.column(rng.choice(trees.NUMBERS)), trees.const(rng.choice((0.0, 1.0)))
        tree = trees.Node(rng.choice(trees.COMPARISONS), trees.BOOL, (left, right))
        row = trees.row(rng, 0.3)
        explain = evaluator(row, "UTC")
        flips = explain.flips(tree)
        assert flips, (text_of(tree), row)
        leaf = next(iter(leaves(explain.clause(tree))))
        assert leaf.flip == flips[0]
