"""What rules/check/logic.py claims about conditions, against rows: a claim that one row refutes would be a lie to the analyst.

The rows are judged by tests/oracles/expressions.py, which knows nothing of sets, facts or branches.
"""

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.check.logic import Logic, implies, relation
from rules.definitions import TableDefinition
from rules.tree import Node, Type
from tests.oracles import random_trees
from tests.oracles.expressions import World, truth, value
from tests.ruling import HERE, Column, Schema

BOOL = Type("bool")
N_ROWS = 60


@dataclass(frozen=True)
class Bounded(Column):
    low: float | None = None
    high: float | None = None


SCHEMA = Schema(
    {
        **{n: Bounded(n, "number", low=-2.0, high=3.0) for n in random_trees.NUMBERS},
        **{n: Column(n, t.kind, t.detail) for n, t in random_trees.TYPES.items() if n[0] != "n"},
        "c1": Column("c1", "category", "colour", random_trees.TEXTS["c1"], closed=True),
    }
)
WORLD = World(random_trees.LISTS, random_trees.TABLES, "Europe/Berlin")
TABLES = {
    name: TableDefinition(name, "c0", Type("number"), values, default, HERE)
    for name, (values, default) in random_trees.TABLES.items()
}


def rows(rng, n=N_ROWS):
    return [random_trees.row(rng, rng.choice([0.0, 0.2, 0.6])) for _ in range(n)]


def is_true(node, row):
    return truth(node, row, WORLD)[0] is True


def both(a, b):
    return Node("and", BOOL, (a, b))


def either(a, b):
    return Node("or", BOOL, (a, b))


def no(a):
    return Node("not", BOOL, (a,))


def pushed(node):
    """The same condition with every `not` at its leaves: what de Morgan says, which holds for missing too."""
    if node.op == "not":
        inner = node.args[0]
        if inner.op == "not":
            return pushed(inner.args[0])
        if inner.op in ("and", "or"):
            other = "or" if inner.op == "and" else "and"
            return Node(other, BOOL, tuple(pushed(no(a)) for a in inner.args))
        return no(pushed(inner))
    if node.op in ("and", "or"):
        return Node(node.op, BOOL, tuple(map(pushed, node.args)))
    return node


def loosened(rng, node):
    """A condition that is true wherever `node` is: one bound moved out, one clause less, one alternative more."""
    column = random_trees.column("n1")
    if node.op in ("<", "<=") and node.args[1].op == "const":
        further = Node("const", node.args[1].type, value=float(node.args[1].value) + 1.0)
        return Node(rng.choice(["<", "<="]), BOOL, (node.args[0], further))
    if node.op in (">", ">=") and node.args[1].op == "const":
        return (
            Node(node.op, BOOL, (node.args[0], Node("neg", node.args[1].type, (node.args[1],))))
            if float(node.args[1].value) > 0
            else node
        )
    if node.op == "and":
        return Node("and", BOOL, tuple(rng.sample(node.args, len(node.args) - 1)))
    return either(node, Node("missing", BOOL, (column,)))


@settings(deadline=None)
@given(st.integers(0, 2**48))
def test_no_row_refutes_what_is_proven_of_random_conditions(seed):
    """implies, never true, always true, never missing: each claim against every row."""
    rng = random.Random(seed)
    depth = rng.randint(0, 3)
    a, b = random_trees.truth(rng, depth), random_trees.truth(rng, depth)
    if rng.random() < 0.3:
        a, b = both(a, b), rng.choice([a, b, either(b, a)])
    logic = Logic(SCHEMA, tables=TABLES)
    claims = [
        (logic.implies(a, b), lambda row: not is_true(a, row) or is_true(b, row)),
        (logic.implies(b, a), lambda row: not is_true(b, row) or is_true(a, row)),
        (logic.never_true(a), lambda row: not is_true(a, row)),
        (logic.always_true(a), lambda row: is_true(a, row)),
        (logic.never_missing(a), lambda row: truth(a, row, WORLD)[0] is not None),
    ]
    for row in rows(rng):
        for is_claimed, holds in claims:
            assert not is_claimed or holds(row), (a, b, row)


@settings(deadline=None)
@given(st.integers(0, 2**48))
def test_the_clauses_of_a_condition_cover_every_row_that_makes_it_true(seed):
    """A row that makes the condition true fits one of its clauses, in presence at least."""
    rng = random.Random(seed)
    node = random_trees.truth(rng, 2)
    clauses = Logic(SCHEMA, tables=TABLES).clauses(node)
    if clauses is None:
        return
    for row in rows(rng):
        if is_true(node, row):
            assert any(fits(clause, row) for clause in clauses), (node, row)


def fits(clause, row):
    for subject, domain in clause.items():
        parts = [subject] if isinstance(subject, Node) else []
        for part in parts:
            absent = value(part, row, WORLD)[0] is None
            if absent != (type(domain).__name__ == "_Missing"):
                return False
    return True


@settings(deadline=None)
@given(st.integers(0, 2**48))
def test_a_relation_holds_on_every_row(seed):
    rng = random.Random(seed)
    old, new = random_trees.truth(rng, 2), random_trees.truth(rng, 2)
    if rng.random() < 0.6:
        new = rng.choice([both(old, new), either(old, new), pushed(old), loosened(rng, old)])
    said = relation(old, new, SCHEMA)
    for row in rows(rng):
        was, now = is_true(old, row), is_true(new, row)
        if said in ("same", "wider"):
            assert now or not was, (old, new, row)
        if said in ("same", "narrower"):
            assert was or not now, (old, new, row)


@pytest.mark.parametrize(
    "make",
    [
        lambda rng, a, b: (both(a, b), a),
        lambda rng, a, b: (a, either(b, a)),
        lambda rng, a, b: (no(no(a)), a),
        lambda rng, a, b: (no(both(a, b)), either(no(a), no(b))),
        lambda rng, a, b: (a, pushed(a)),
        lambda rng, a, b: (a, loosened(rng, a)),
        lambda rng, a, b: (Node("if", BOOL, (a, b, b)), b),
        lambda rng, a, b: (a, Node("at_least", BOOL, (a, b), 1)),
        lambda rng, a, b: (Node("at_least", BOOL, (a, b), 2), both(b, a)),
        lambda rng, a, b: (Node("??", BOOL, (a, b)), either(a, b)),
    ],
)
def test_most_of_what_is_so_by_construction_is_proven(make):
    """At least nineteen in twenty pairs of small conditions that follow from each other are recognised."""
    rng = random.Random(7)
    proven = 0
    for _ in range(200):
        a, b = random_trees.truth(rng, 1), random_trees.truth(rng, 1)
        first, second = make(rng, a, b)
        proven += implies(first, second, SCHEMA)
    assert proven >= 190, proven
