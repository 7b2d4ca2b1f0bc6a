"""What rules/check/logic.py claims about conditions, against rows: a claim that one row refutes would be a lie to the analyst.

The rows are judged by tests/oracles/expressions.py, which knows nothing of sets, facts or branches.
"""

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.check.logic import Logic, implies, relation
from rules.definitions import Aggregate, Feature, TableDefinition, Window
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


def put(node, name, by):
    """The same tree with another column in the place of one."""
    if node.op == "column" and node.value == name:
        return by
    return Node(node.op, node.type, tuple(put(a, name, by) for a in node.args), node.value)


@settings(deadline=None)
@given(st.integers(0, 2**48))
def test_what_is_proven_holds_for_features_that_are_expressions_and_counts(seed):
    """Rows carry what an expression gives, and whole numbers from 0 on for a count whose key is there."""
    rng = random.Random(seed)
    share, odd = random_trees.number(rng, 2), random_trees.truth(rng, 2)
    count = Aggregate("count", ("ip",), Window(3_600_000_000))
    features = {
        "share": Feature("share", random_trees.NUMBER, None, share, HERE),
        "odd": Feature("odd", Type("flag"), None, odd, HERE),
        "seen": Feature("seen", random_trees.NUMBER, count, None, HERE),
    }
    columns = {name: Node("column", f.type, value=name) for name, f in features.items()}
    a, b = (
        put(put(put(random_trees.truth(rng, 2), "n0", columns["share"]), "f0", columns["odd"]), "n1", columns["seen"])
        for _ in range(2)
    )  # fmt: skip
    if rng.random() < 0.4:
        a, b = both(a, b), rng.choice([a, b])
    logic = Logic(SCHEMA, features=features, tables=TABLES)
    claims = [
        (logic.implies(a, b), lambda row: not is_true(a, row) or is_true(b, row)),
        (logic.never_true(a), lambda row: not is_true(a, row)),
        (logic.always_true(b), lambda row: is_true(b, row)),
        (logic.never_missing(b), lambda row: truth(b, row, WORLD)[0] is not None),
    ]
    for row in rows(rng):
        row["share"] = value(share, row, WORLD)[0]
        fact = truth(odd, row, WORLD)[0]
        row["odd"] = None if fact is None else float(fact)
        row["seen"] = None if row["ip"] is None else float(rng.randint(0, 3))
        for is_claimed, holds in claims:
            assert not is_claimed or holds(row), (a, b, features, row)


def test_what_features_are_is_used():
    """Counts are whole and not negative; an expression is what it says; a multiple of it is larger still."""
    features = {
        "seen": Feature(
            "seen", random_trees.NUMBER, Aggregate("count", ("ip",), Window(1)), None, HERE
        )
    }
    seen, n2 = Node("column", random_trees.NUMBER, value="seen"), random_trees.column("n2")

    def compare(op, x, k):
        y = k if isinstance(k, Node) else random_trees.const(float(k))
        return Node(op, BOOL, (x, y))

    def times(k):
        return Node("*", random_trees.NUMBER, (random_trees.const(float(k)), seen))

    logic = Logic(SCHEMA, features=features)
    assert logic.implies(compare(">", seen, 4), compare(">=", seen, 5))
    assert logic.never_true(compare("<", seen, 0))
    assert logic.implies(compare(">", n2, times(3)), compare(">", n2, times(2)))
    assert not logic.implies(compare(">", n2, times(2)), compare(">", n2, times(3)))
    assert logic.implies(
        compare(">", seen, 4),
        Node("not", BOOL, (Node("missing", BOOL, (random_trees.column("ip"),)),)),
    )
