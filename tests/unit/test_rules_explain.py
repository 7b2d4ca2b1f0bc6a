"""How a rule is explained: clauses with their values, what is undecided and why, what would turn it."""

from zoneinfo import ZoneInfo

import pytest

from rules.definitions import ListDefinition
from rules.explain import Evaluator, leaves, open_clauses
from rules.render import declaration, in_words, text_of
from rules.syntax import parse, parse_feature
from rules.tree import Node, Type
from rules.types import Checker, Named, Scope
from tests.banking import shipped_setup
from tests.ruling import HERE, typed

LISTS = {"cash": ListDefinition("cash", Type("category", "channel"), frozenset({"atm"}), HERE)}
ROW = {"amount": 45_000.0, "channel": "web", "type": "payment", "n_items": 3.0}


def condition(text):
    node, found = typed(text)
    assert not found, found
    return node


def explain(text, row=None):
    tree = condition(text)
    return Evaluator((ROW | (row or {})).get, LISTS, {}, "Europe/Berlin").clause(tree)


def flips(text, row=None):
    tree = condition(text)
    return Evaluator((ROW | (row or {})).get, LISTS, {}, "Europe/Berlin").flips(tree)


def test_each_clause_shows_its_values_and_its_truth():
    clause = explain('amount >= 200 EUR and channel == "atm"')
    assert [(c.text, c.truth) for c in clause.parts] == [
        ("amount >= 200.00 EUR", True),
        ('channel == "atm"', False),
    ]
    assert [o.shown for c in clause.parts for o in c.operands] == ["450.00 EUR", "web"]
    assert clause.truth is False


def test_an_undecided_clause_names_the_column_that_is_missing():
    clause = explain("amount > 2 * balance_before and amount > 1 EUR")
    assert (clause.truth, clause.because) == (None, "balance_before")
    assert clause.parts[0].flip.text == "balance_before would have to be known"
    shown = [(o.text, o.shown) for o in clause.parts[0].operands]
    assert ("balance_before", "missing") in shown


def test_an_expression_shows_its_own_value_and_those_of_its_columns():
    clause = explain("n_items * 2 > 5")
    assert [(o.text, o.shown) for o in clause.operands] == [("n_items * 2", "6"), ("n_items", "3")]


@pytest.mark.parametrize(
    ("text", "says", "value"),
    [
        ("amount >= 200 EUR", "amount would have to be less than 200.00 EUR", 19_999.0),
        ("amount > 450 EUR", "amount would have to be more than 450.00 EUR", 45_001.0),
        ("amount <= 450 EUR", "amount would have to be more than 450.00 EUR", 45_001.0),
        ("amount == 1 EUR", "amount would have to be 1.00 EUR", 100.0),
        ("100 EUR < amount", "amount would have to be at most 100.00 EUR", 10_000.0),
        ('channel == "atm"', 'channel would have to be "atm"', "atm"),
        ("channel is present", "channel would have to be missing", None),
        ('channel in ["atm", "pos"]', 'channel would have to be one of ["atm", "pos"]', "atm"),
        (
            "amount between 1 EUR and 400 EUR",
            "amount would have to be between 1.00 EUR and 400.00 EUR",
            40_000.0,
        ),
    ],
)
def test_a_flip_names_the_value_that_would_turn_the_clause(text, says, value):
    (flip,) = flips(text)
    assert (flip.text, flip.value) == (says, value)


def test_only_a_clause_that_stands_alone_in_the_way_can_turn_an_and():
    """Two clauses are false: no single change makes the rule fire, and none is claimed."""
    assert flips("amount > 500 EUR and n_items > 5") == ()
    assert [f.column for f in flips("amount > 500 EUR and n_items > 1")] == ["amount"]


def test_the_nearest_flip_stands_first():
    found = flips("amount < 451 EUR or n_items == 1", {"amount": 45_100.0})
    assert [f.column for f in found] == ["amount", "n_items"]


def test_open_clauses_count_how_far_a_rule_was_from_firing():
    clause = explain("amount > 500 EUR and (n_items > 5 or (n_items > 7 and amount > 1 EUR))")
    assert [c.text for c in open_clauses(clause)] == ["amount > 500.00 EUR", "n_items > 5"]
    assert len(list(leaves(clause))) == 4


def test_a_negated_test_reads_as_people_write_it():
    assert explain("channel not in @cash").text == "channel not in @cash"
    assert explain("country is present").text == "country is present"
    assert explain("not (amount > 1 EUR and n_items > 1)").op == "not"


# ---- every shipped rule and feature, as text and back


def scope():
    setup = shipped_setup()
    pack = setup.pack

    def resolve(name, _span):
        feature = pack.features.get(name)
        return None if feature is None else Named(Node("column", feature.type, value=name))

    return Scope(
        setup.schema,
        pack.currency,
        ZoneInfo(pack.timezone),
        resolve,
        lists=pack.lists,
        tables=pack.tables,
        params={},
        reads=frozenset({"models", "labels"}),
        currencies=frozenset({"USD", "CNY"}),
    )


def read_back(text):
    tree, problems = parse(text)
    found = []
    checker = Checker(text, scope(), lambda code, *a, **k: found.append((code, a)))
    node = checker.check(tree)
    node = checker.truth(tree, node) if node.type.kind in ("bool", "flag") else node
    assert not [p for p in problems if p.code != "WR206"], (text, problems)
    assert not found, text
    return node


@pytest.mark.parametrize("rule", shipped_setup().pack.rules, ids=lambda r: r.id)
def test_the_text_of_every_shipped_condition_reads_back_as_the_same_tree(rule):
    assert read_back(text_of(rule.when, shipped_setup().pack.timezone)) == rule.when


def test_the_declaration_of_every_shipped_feature_reads_back():
    pack = shipped_setup().pack
    for feature in pack.features.values():
        text = declaration(feature, pack.timezone)
        found, problems = parse_feature(text)
        assert not [p for p in problems if p.code != "WR206"], (text, problems)
        if feature.expression is not None:
            assert read_back(text) == feature.expression, text
        else:
            assert found.function == feature.aggregate.function
            assert [t.value for t in found.keys] == list(feature.aggregate.keys)
            if feature.aggregate.where is not None:
                where = text[text.index(" where ") + 7 :].removesuffix(" prior")
                assert read_back(where) == feature.aggregate.where


def test_a_feature_is_said_in_words():
    features = shipped_setup().pack.features
    assert in_words(features["tiny_shops_1h"], "Asia/Shanghai").startswith(
        "how many different values of merchant in transactions with the same card, in the 1h up to the event, where"
    )
    assert in_words(features["new_at_shop"]) == "computed: shop_age < 1d"
    assert "from 60d to 1d before the event" in in_words(features["auths_60d"])
