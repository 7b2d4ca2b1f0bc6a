"""Programs, code tables and rule sets: examples and edges. Random expressions are in property/test_interpreter.py."""

import math
import pickle
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from config.errors import ConfigError
from config.schema import Column, Schema
from engine.entities import Dictionaries
from rules import kernels
from rules.columns import Frame, Layout
from rules.definitions import (
    Action,
    Aggregate,
    ExceptionClause,
    Feature,
    ListDefinition,
    Pack,
    Place,
    Rule,
    TableDefinition,
    Template,
    Window,
)
from rules.functions import written_out
from rules.ruleset import TRUE, Ruleset
from rules.texts import in_rollout, question, similarity
from rules.titles import shown_number
from rules.tree import Node, Span, Type
from tests.oracles import expressions as oracle

BOOL, NUMBER, MONEY, TEXT = Type("bool"), Type("number"), Type("money", "EUR"), Type("text")
DURATION = Type("duration")
HERE = Place("rules.yaml", 1, 1)
NAN = math.nan
COLUMNS = {
    "event_time": "time", "type": "category", "amount": "money", "x": "number", "y": "number", "flag": "flag",
    "country": "category", "home": "category", "account": "id", "card": "id", "purpose": "text", "opened": "time",
    "age_of_account": "duration", "model_": "number",
}  # fmt: skip


def schema():
    domains = {"country": "country", "home": "country", "purpose": "text"}
    columns = {
        name: Column(
            name,
            kind,
            domains.get(name, name) if kind in ("id", "category", "text") else "",
            decimals=3 if name == "x" else 0,
        )
        for name, kind in COLUMNS.items()
    }
    return Schema("test", "1", columns, {"payment": "transaction", "login": "activity"})


def col(name):
    kind = COLUMNS.get(name, "number")
    detail = {"money": "EUR", "time": "", "number": "", "flag": "", "duration": ""}.get(kind)
    if detail is None:
        detail = schema().columns[name].domain
    return Node("column", Type(kind, detail), value=name)


def const(value):
    kind = BOOL if isinstance(value, bool) else TEXT if isinstance(value, str) else NUMBER
    return Node("const", kind, value=value if isinstance(value, bool | str) else float(value))


def op(name, *args, value=None, kind=BOOL):
    nodes = tuple(a if isinstance(a, Node) else const(a) for a in args)
    return Node(name, kind, nodes, value)


def call(name, *args, kind=NUMBER):
    return op("call", *args, value=name, kind=kind)


def rule(when, rule_id="R-1", score=None, **more):
    about = {"on": (), "mode": "live"} | more
    return Rule(
        rule_id, "", 1, "", "high", "X", about.pop("on"), about.pop("mode"), when, score or const(100), about.pop("actions", ()),
        HERE, **about,
    )  # fmt: skip


def feature(name, kind=NUMBER, *, expression=None, **aggregate):
    found = None
    if expression is None:
        about = {"function": "count", "keys": ("account",), "window": Window(10**9)} | aggregate
        found = Aggregate(**about)
    return Feature(name, kind, found, expression, HERE)


def pack(*rules, features=(), lists=(), timezone="UTC"):
    table = TableDefinition("weight", "country", NUMBER, {"DE": 2.0}, 0.5, HERE)
    return Pack(
        "test", "1", Path(), "EUR", timezone, 0, "sum", (), {}, {f.name: f for f in features},
        {of.name: of for of in lists}, {"weight": table}, tuple(rules),
    )  # fmt: skip


class Bench:
    """A rule set and its dictionaries, fed with rows of Python values."""

    def __init__(self, *rules, derived=None, **more):
        self.layout, self.dictionaries = Layout(), Dictionaries()
        self.ruleset = Ruleset.compile(pack(*rules, **more), schema(), self.layout, derived)
        self.ruleset.refresh(self.dictionaries)

    def frame(self, *rows):
        frame = Frame.empty(self.layout, len(rows))
        self.dictionaries.renew()
        for name, place in self.layout.places.items():
            values = [row.get(name) for row in rows]
            if place.is_code:
                frame.code[place.row] = self.dictionaries[place.dictionary].encode(values)
            else:
                frame.number[place.row] = [NAN if v is None else v for v in values]
        self.ruleset.refresh(self.dictionaries)
        return frame

    def judge(self, *rows):
        return self.ruleset.judge(self.frame(*rows))

    def says(self, row):
        """Truth of the first rule: False, True, or the name of what is missing."""
        state = int(self.judge(row).truth[0, 0])
        return bool(state) if state in (0, TRUE) else self.ruleset.because(0, state)

    def value(self, row, name="out"):
        frame = self.frame(row)
        self.ruleset.expressions(-1, frame)
        place = self.layout[name]
        if place.is_code:
            code = frame.code[place.row, 0]
            return None if code < 0 else self.dictionaries[place.dictionary].texts[code]
        found = frame.number[place.row, 0]
        return None if np.isnan(found) else found


def value_of(tree, row, **more):
    return Bench(features=[feature("out", tree.type, expression=tree)], **more).value(row)


X, Y = col("x"), col("y")


class TestMissing:
    """Section 3.3 of the rule language, line by line."""

    @pytest.mark.parametrize(
        ("tree", "row", "expected"),
        [
            (op("<", X, 5), {}, "x"),
            (op("!=", X, 5), {}, "x"),
            (op("==", X, Y), {"x": 1.0}, "y"),
            (op("between", X, 1, Y), {"x": 0.0}, "y"),
            (op("in", col("country"), value=frozenset({"DE"})), {}, "country"),
            (op("not", op("in", col("country"), value=frozenset({"DE"}))), {}, "country"),
            (op("in", X, value=frozenset({1.0})), {}, "x"),
            (op("and", op(">", X, 1), op(">", Y, 1)), {"x": 0.0}, False),
            (op("and", op(">", X, 1), op(">", Y, 1)), {"y": 0.0}, False),
            (op("and", op(">", X, 1), op(">", Y, 1)), {"x": 2.0}, "y"),
            (op("and", op(">", X, 1), op(">", Y, 1)), {}, "x"),
            (op("or", op(">", X, 1), op(">", Y, 1)), {"y": 2.0}, True),
            (op("or", op(">", X, 1), op(">", Y, 1)), {"y": 0.0}, "x"),
            (op("or", op(">", X, 1), op(">", Y, 1)), {}, "x"),
            (op("not", op(">", X, 1)), {}, "x"),
            (op("missing", X), {}, True),
            (op("not", op("missing", col("country"))), {}, False),
            (op(">", op("??", X, Y, kind=NUMBER), 1), {"y": 2.0}, True),
            (op(">", op("??", X, Y, kind=NUMBER), 1), {}, "x"),
            (op("if", op(">", X, 1), op(">", Y, 1), True), {"x": 0.0}, True),
            (op("if", op(">", X, 1), op(">", Y, 1), True), {"x": 2.0}, "y"),
            (op("if", op(">", X, 1), op(">", Y, 1), True), {}, "x"),
            (op(">", op("/", X, Y, kind=NUMBER), 1), {"x": 1.0, "y": 0.0}, "(no result)"),
            (op(">", op("/", X, Y, kind=NUMBER), 1), {"y": 0.0}, "x"),
            (op(">", call("log", X), 1), {"x": 0.0}, "(no result)"),
            (op(">", op("*", X, 1e300, kind=NUMBER), 1), {"x": 1e300}, "(no result)"),
            (op(">", op("lookup", col("country"), value="weight", kind=NUMBER), 1), {}, False),
            (op(">", op("lookup", col("country"), value="weight", kind=NUMBER), 1), {"country": "DE"}, True),
            (op("at_least", op(">", X, 1), op(">", Y, 1), True, value=1), {}, True),
            (op("at_least", op(">", X, 1), op(">", Y, 1), True, value=2), {}, "x"),
            (op("at_least", op(">", X, 1), op(">", Y, 1), True, value=3), {"y": 0.0}, False),
            (col("flag"), {"flag": 0.0}, False),
            (op("not", col("flag")), {}, "flag"),
            (op("==", col("country"), ""), {"country": ""}, True),
            (op("==", col("country"), col("home")), {"country": "DE"}, "home"),
            (op("!=", col("country"), col("home")), {"country": "DE", "home": "FR"}, True),
            (op("contains", call("lower", col("purpose"), kind=TEXT), value="rent"), {"purpose": "RENT 3"}, True),
        ],
    )  # fmt: skip
    def test_every_construct_answers_yes_no_or_the_column_that_is_missing(
        self, tree, row, expected
    ):
        assert Bench(rule(tree)).says(row) == expected

    def test_a_time_of_day_wraps_around_midnight_and_nothing_else_does(self):
        night = [const(h * 3.6e9) for h in (22, 6)]
        at = call("local_time", col("event_time"), kind=Type("time of day"))
        bench = Bench(rule(op("between", at, *night)), timezone="Europe/Berlin")
        assert bench.says({"event_time": 1_767_301_200e6}) is True  # 22:00 in Berlin, 21:00 UTC
        assert bench.says({"event_time": 1_767_276_000e6}) is False  # 15:00
        assert Bench(rule(op("between", X, 22, 6))).says({"x": 23.0}) is False

    def test_the_compare_of_a_constant_with_a_column_is_turned_around(self):
        assert Bench(rule(op("<", 5, X))).says({"x": 6.0}) is True
        assert Bench(rule(op("not", op("<=", 5, X)))).says({"x": 5.0}) is False


class TestRules:
    def test_other_types_and_dates_are_a_no_even_if_fields_are_missing(self):
        when = op(">", X, 1)
        bench = Bench(rule(when, on=("payment",), effective_from_us=100, effective_until_us=200))
        rows = [
            {"type": kind, "event_time": at}
            for kind, at in [("payment", 100.0), ("login", 100.0), (None, 100.0), ("payment", 99.0), ("payment", 200.0)]
        ]  # fmt: skip
        truth = bench.judge(*rows).truth[0]
        assert bench.ruleset.because(0, truth[0]) == "x"
        assert truth[1:].tolist() == [0, 0, 0, 0]

    def test_rules_that_are_off_are_left_out_and_the_others_keep_their_order(self):
        bench = Bench(rule(op(">", X, 1), "A", mode="off"), rule(op(">", X, 2), "B"), rule(X, "C"))
        assert [r.id for r in bench.ruleset.rules] == ["B", "C"]
        assert bench.judge({"x": 3.0}).truth[:, 0].tolist() == [TRUE, TRUE]

    def test_the_first_exception_that_holds_counts_until_it_expires(self):
        def clause(name, when, until):
            return ExceptionClause(name, when, "", "", until, HERE)

        bench = Bench(
            rule(op(">", X, 0), exceptions=(clause("A", op(">", Y, 5), 1_000), clause("B", op(">", Y, 1), 50))),
            rule(op(">", X, 100), "R-2", exceptions=(clause("C", op(">", X, 0), 1_000),)),
        )  # fmt: skip
        cases = [(9, 10, 1), (2, 10, 2), (2, 50, 0), (0, 10, 0), (None, 10, 0), (9, 1_000, 0)]
        rows = [{"x": 1.0, "y": y, "event_time": float(at)} for y, at, _ in cases]
        found = bench.judge(*rows)
        assert found.excepted[0].tolist() == [expected for _, _, expected in cases]
        assert found.excepted[1].tolist() == [0] * len(cases)  # did not fire

    def test_scores_are_constants_or_expressions_and_missing_ones_are_nan(self):
        score = op(
            "-", call("round", op("*", 1000, col("model.score"), kind=NUMBER)), 500, kind=NUMBER
        )
        bench = Bench(rule(op(">", X, 0), score=score), rule(op(">", X, 1), "R-2", score=const(7)))
        rows = [{"x": 2.0, "model.score": 0.9205}, {"x": 2.0}, {"x": -1.0}]
        found = bench.judge(*rows)
        np.testing.assert_array_equal(found.score[0, :2], [420.0, NAN])
        assert found.score[1, 0] == 7.0
        assert bench.ruleset.model_columns == {"model.score"}

    def test_raising_a_rollout_only_adds_keys(self):
        keys = [f"card {i}" for i in range(2_000)]
        inside = [{k for k in keys if in_rollout("R-1", p, k)} for p in (10, 25, 50, 100)]
        assert all(a < b for a, b in pairwise(inside))
        assert len(inside[1]) == pytest.approx(500, abs=80)
        assert inside[0] != {k for k in keys if in_rollout("R-2", 10, k)}

    def test_outside_the_rollout_a_rule_says_so_where_it_fires_or_cannot_decide(self):
        bench = Bench(rule(op(">", X, 0), rollout_percent=25.0, rollout_by="card"), rule(X, "R-2"))
        rows = [{"x": 1.0, "card": f"card {i}"} for i in range(40)] + [{"x": 1.0}]
        inside = bench.judge(*rows).in_rollout
        assert inside[0].tolist() == [in_rollout("R-1", 25, f"card {i}") for i in range(40)] + [
            False
        ]
        assert inside[1].all()
        assert bench.judge({"x": -1.0}).in_rollout is None

    def test_needs_are_the_schema_columns_that_anything_reads(self):
        title = Template(("on ", (col("home"), "")), "")
        alert = Action("alert", HERE, queue="q", title=title, entity="card")
        total = feature("total", MONEY, function="sum", argument=col("amount"))
        bench = Bench(
            rule(op("<", X, Node("column", MONEY, value="total")), actions=(alert,)),
            features=[total],
        )
        expected = {"x", "home", "card", "amount", "account", "type", "event_time"}
        assert bench.ruleset.needs == expected

    @pytest.mark.parametrize("cut", [1, 7, 64])
    def test_cutting_a_batch_changes_no_judgement(self, cut):
        rng = random.Random(cut)
        bench = Bench(
            rule(op("and", op(">", X, 1), op("==", col("country"), "DE")), "A", on=("payment",)),
            rule(op(">", op("+", X, Y, kind=NUMBER), 2), "B", score=op("*", X, 10, kind=NUMBER),
                 exceptions=(ExceptionClause("E", op(">", Y, 1), "", "", 10**15, HERE),)),
            rule(op("or", op("<", Y, 0), op(">", X, 2)), "C", rollout_percent=50.0, rollout_by="card"),
        )  # fmt: skip
        rows = [
            {
                "type": "login" if i < 300 else rng.choice(["payment", "login"]),
                "x": rng.choice([None, 0.0, 1.0, 2.0, 3.0]),
                "y": rng.choice([None, -1.0, 0.0, 1.0, 2.0]),
                "country": rng.choice([None, "DE", "FR"]),
                "card": f"c{rng.randrange(9)}",
                "event_time": 5.0,
            }
            for i in range(700)
        ]
        whole = bench.judge(*rows)
        fires = whole.truth == TRUE
        assert fires.any(axis=1).all()
        for lo in range(0, len(rows), cut):
            part, at = bench.judge(*rows[lo : lo + cut]), slice(lo, lo + cut)
            np.testing.assert_array_equal(part.truth, whole.truth[:, at])
            np.testing.assert_array_equal(part.excepted, whole.excepted[:, at])
            np.testing.assert_array_equal(
                part.score[fires[:, at]], whole.score[:, at][fires[:, at]]
            )
            inside = (
                part.in_rollout if part.in_rollout is not None else np.ones_like(part.truth, bool)
            )
            live = part.truth != 0
            np.testing.assert_array_equal(inside[live], whole.in_rollout[:, at][live])


class TestComparisons:
    """Rules that are comparisons with constants and nothing else: one instruction evaluates all of them."""

    def test_they_agree_with_a_naive_walk_whatever_the_size_of_a_batch(self):
        """Truth and the column that is missing, with and without a gate, around the block of 256 rows."""
        rng = random.Random(11)

        def comparison():
            column, constant = rng.choice([X, Y, col("amount"), col("flag")]), rng.randrange(-1, 2)
            sides = (column, const(constant)) if rng.random() < 0.7 else (const(constant), column)
            return op(rng.choice(["<", "<=", "==", "!=", ">=", ">"]), *sides)

        rules = []
        for r in range(60):
            clauses = [comparison() for _ in range(rng.randrange(1, 5))]
            when = op("and", *clauses) if len(clauses) > 1 else clauses[0]
            if r % 6 == 5:  # one among them that is more than comparisons
                when = op("or", when, op("missing", Y))
            more = {"effective_from_us": 10} if r % 4 == 3 else {}
            rules.append(rule(when, f"R-{r}", on=(("payment",), ())[r % 3 == 0], **more))
        bench, world = Bench(*rules), oracle.World()
        codes = bench.ruleset._conditions.code[:, 0].tolist()
        assert codes.count(kernels.RULES_ALL_OF) == 4  # with and without `on` and a date
        assert codes.count(kernels.RULE) == 10
        values = [None, *map(float, range(-1, 2))]
        rows = [
            {name: rng.choice(values) for name in ("x", "y", "amount", "flag")}
            | {"type": rng.choice(["payment", "login"]), "event_time": rng.choice([5.0, 15.0])}
            for _ in range(514)
        ]
        whole = bench.judge(*rows).truth
        said = set()
        for r, of in enumerate(rules):
            for i, row in enumerate(rows):
                state, why = oracle.truth(of.when, row, world)
                if (of.on and row["type"] not in of.on) or row["event_time"] < (
                    of.effective_from_us or 0
                ):
                    state, why = False, None
                got = int(whole[r, i])
                settled = (
                    (bool(got), None) if got in (0, TRUE) else (None, bench.ruleset.because(r, got))
                )
                assert settled == (state, why), (of, row)
                said.add(settled)
        assert len(said) == 6
        conditions = pickle.loads(pickle.dumps(bench.ruleset._conditions))
        bench.ruleset._conditions.code[:] = bench.ruleset._conditions.tables.ints[:] = 0
        moved = np.empty_like(whole)
        conditions.run(bench.frame(*rows), moved)
        np.testing.assert_array_equal(moved, whole)
        bench.ruleset._conditions = conditions
        for cut in (1, 3, 257):
            parts = [bench.judge(*rows[lo : lo + cut]).truth for lo in range(0, len(rows), cut)]
            np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


class TestFeatures:
    def test_strata_follow_what_features_read(self):
        """A window over a feature comes after it, an expression as soon as all it reads is there."""
        base = feature("base")
        ratio = feature(
            "ratio", expression=op("/", Node("column", NUMBER, value="base"), 2, kind=NUMBER)
        )
        over = feature("over", where=op(">", Node("column", NUMBER, value="ratio"), 1))
        plain = feature("plain", expression=op("+", X, 1, kind=NUMBER))
        bench = Bench(features=[over, ratio, plain, base])
        assert [[w.name for w in s.windows] for s in bench.ruleset.strata] == [["base"], ["over"]]
        frame = bench.frame({"x": 1.0, "base": 4.0})
        bench.ruleset.expressions(-1, frame)
        assert frame.column("plain")[0] == 2.0
        assert np.isnan(frame.column("ratio")[0])
        bench.ruleset.expressions(0, frame)
        assert frame.column("ratio")[0] == 2.0
        assert bench.ruleset.filters(1, frame, np.array([1], np.int8)).tolist() == [[True]]

    def test_filters_let_in_the_domain_where_the_condition_is_true_and_each_stands_once(self):
        where = op(">", X, 1)
        bench = Bench(
            features=[
                feature("a", where=where),
                feature("b", where=where, function="sum", argument=col("amount")),
                feature("c", domain="label"),
                feature("d", domain="activity", where=where),
            ]
        )
        rows = [{"x": 2.0}, {"x": 0.0}, {}, {"x": 2.0}, {"x": 2.0}, {"x": 2.0}]
        domain = np.array([1, 1, 1, 2, 3, 0], np.int8)
        filters = bench.ruleset.filters(0, bench.frame(*rows), domain)
        specs = {w.name: w for w in bench.ruleset.strata[0].windows}
        assert specs["a"].filter == specs["b"].filter
        assert filters[specs["a"].filter].tolist() == [True, False, False, True, False, False]
        assert filters[specs["c"].filter].tolist() == [False, False, False, False, True, False]
        assert filters[specs["d"].filter].tolist() == [False, False, False, True, False, False]

    def test_an_argument_is_the_column_itself_or_one_that_filters_write(self):
        half = op("/", X, 2, kind=NUMBER)
        bench = Bench(
            features=[
                feature("own", function="sum", argument=X),
                feature("money", MONEY, function="sum", argument=col("amount")),
                feature("made", function="avg", argument=half),
                feature("again", function="sum", argument=half),
                feature("words", function="count_distinct", argument=col("purpose")),
            ]
        )
        specs = {w.name: w for w in bench.ruleset.strata[0].windows}
        assert specs["own"].argument == bench.layout["x"]
        assert [specs[n].decimals for n in ("own", "money", "made")] == [3, 0, 6]
        assert specs["made"].argument == specs["again"].argument
        frame = bench.frame({"x": 3.0, "purpose": "rent"})
        bench.ruleset.filters(0, frame, np.array([1], np.int8))
        assert frame.number[specs["made"].argument.row, 0] == 1.5
        words = specs["words"].argument
        assert words.dictionary not in ("text", "purpose")  # codes of `text` end with the batch
        assert list(bench.dictionaries[words.dictionary].texts) == ["rent"]

    def test_the_same_window_under_two_names_is_one(self):
        bench = Bench(features=[feature("a"), feature("b"), feature("c", prior=True)])
        assert [w.name for w in bench.ruleset.strata[0].windows] == ["a", "c"]
        assert bench.layout["a"] == bench.layout["b"]

    def test_derived_fields_fill_gaps_only_and_in_the_order_they_need(self):
        later = op("*", col("age_of_account"), 2, kind=NUMBER)
        derived = {
            "y": later,
            "age_of_account": op("-", col("event_time"), col("opened"), kind=DURATION),
        }
        bench = Bench(derived=derived)
        frame = bench.frame(
            {"event_time": 9.0, "opened": 4.0},
            {"event_time": 9.0, "age_of_account": 1.0},
            {"y": 7.0},
        )
        bench.ruleset.derive(frame)
        np.testing.assert_array_equal(frame.column("age_of_account"), [5.0, 1.0, NAN])
        np.testing.assert_array_equal(frame.column("y"), [10.0, 2.0, 7.0])

    def test_texts_can_be_chosen_and_constants_enter_the_dictionary_before_any_row(self):
        tree = op("??", col("country"), "none", kind=col("country").type)
        bench = Bench(features=[feature("out", tree.type, expression=tree)])
        assert list(bench.dictionaries["country"].texts) == ["none"]
        assert bench.value({"country": "DE"}) == "DE"
        assert bench.value({}) == "none"

    def test_a_recased_text_has_a_dictionary_of_its_own(self):
        tree = call("lower", col("purpose"), kind=TEXT)
        bench = Bench(features=[feature("out", TEXT, expression=tree)])
        assert [bench.value({"purpose": p}) for p in ("Rent", "RENT", "x", None)] == [
            "rent",
            "rent",
            "x",
            None,
        ]
        assert list(bench.dictionaries["out"].texts) == ["rent", "x"]


class TestTexts:
    def test_a_list_of_categories_may_hold_ranges_and_one_of_numbers_too(self):
        codes = ListDefinition(
            "mcc", Type("category", "mcc"), frozenset({"7995", "3000-3299"}), HERE
        )
        answer = question("in", "@mcc", {"mcc": codes})
        assert [t for t in ("7995", "3000", "3150", "3299", "3300", "315", "3000-3299") if answer(t)] == [
            "7995", "3000", "3150", "3299", "3000-3299",
        ]  # fmt: skip
        few = ListDefinition("few", NUMBER, frozenset({"-1", "2-3.5", "1_000"}), HERE)
        bench = Bench(rule(op("in", X, value="@few")), lists=[few])
        assert [bench.says({"x": float(x)}) for x in (-1, 2, 3.4, 1000, 1)] == [True] * 4 + [False]

    def test_a_list_of_numbers_with_something_else_says_where(self):
        few = ListDefinition("few", NUMBER, frozenset({"many"}), HERE)
        with pytest.raises(ConfigError, match="`many` in the list `few` is no number") as caught:
            Bench(rule(op("in", X, value="@few")), lists=[few])
        assert caught.value.where == "rules.yaml:1:1"

    @pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(?<!a)b", "(a+)+", "a" * 201])
    def test_patterns_that_can_run_away_are_refused(self, pattern):
        with pytest.raises(ConfigError, match="cannot be used"):
            Bench(rule(op("matches", col("purpose"), value=pattern)))

    def test_tables_follow_a_dictionary_that_was_loaded_anew(self):
        """A restart puts other texts behind the same codes."""
        bench = Bench(rule(op("==", col("country"), "DE")))
        assert bench.says({"country": "FR"}) is False
        saved = Dictionaries()
        saved["country"].encode(["DE"])
        bench.dictionaries.load(saved.save())
        assert bench.says({"country": "DE"}) is True

    def test_texts_of_a_batch_are_forgotten_with_the_batch(self):
        bench = Bench(rule(op("starts with", col("purpose"), value="rent")))
        assert [bench.says({"purpose": p}) for p in ("rent 1", "gift", "rent 2")] == [
            True,
            False,
            True,
        ]

    def test_refresh_answers_new_texts_only(self):
        """The cost of a batch does not grow with the dictionary: each text is asked about once."""
        asked = []
        bench = Bench(rule(op("==", col("country"), "DE")))
        table = bench.ruleset._tables._watched["country"].tables[0]
        answer = table.answer
        table.answer = lambda text: asked.append(text) or answer(text)
        for i in range(200):
            bench.judge({"country": f"c{i // 2}"})
        assert asked == [f"c{i}" for i in range(100)]

    def test_similarity_counts_edits_and_swaps_whatever_the_case(self):
        assert similarity("Jon Smith", "john smith") == 0.9
        assert similarity("ab", "ba") == 0.5
        assert similarity("", "") == 1.0
        assert similarity("", "abc") == 0.0
        assert similarity("x" * 100_000, "y" * 100_000) == 0.0  # looked at up to 256 characters

    def test_similarity_of_two_columns_and_of_a_chosen_text(self):
        assert (
            value_of(
                call("similarity", col("purpose"), col("home")), {"purpose": "ab", "home": "aB"}
            )
            == 1.0
        )
        either = op("??", col("home"), "abcd", kind=col("home").type)
        tree = call("similarity", col("purpose"), either)
        assert value_of(tree, {"purpose": "abce"}) == 0.75
        assert value_of(tree, {}) is None
        bench = Bench(rule(op(">", tree, 0.5)))
        assert bench.says({"home": "x"}) == "purpose"


class TestArithmetic:
    def test_log_is_within_one_unit_in_the_last_place(self):
        rng = random.Random(1)
        values = [math.exp(rng.uniform(-740, 709)) for _ in range(5_000)]
        values += [1 + rng.uniform(-0.5, 0.5) for _ in range(5_000)] + [
            5e-324,
            2.0**-1022,
            1.0,
            1.7e308,
        ]
        for x in values:
            assert abs(kernels.log(x) - math.log(x)) <= math.ulp(math.log(x)), x
        assert all(math.isnan(kernels.log(x)) for x in (0.0, -1.0, math.inf, NAN))

    def test_sine_and_arc_sine_are_within_two_units_in_the_last_place(self):
        rng = random.Random(2)
        for x in [rng.uniform(-180, 180) for _ in range(5_000)]:
            exact = math.sin(math.radians(x))
            reduction = 4e-16 * abs(math.cos(math.radians(x)) * math.radians(x))  # of math.radians
            assert abs(kernels.sine_degrees(x) - exact) <= 2 * math.ulp(exact) + reduction, x
        assert [kernels.sine_degrees(x) for x in (0.0, 90.0, 180.0, -90.0)] == [0.0, 1.0, 0.0, -1.0]
        for x in [rng.random() for _ in range(5_000)] + [0.0, 0.5, 1.0]:
            assert abs(kernels.arc_sine(x) - math.asin(x)) <= 2 * math.ulp(math.asin(x)), x

    def test_distances_are_those_of_the_textbook(self):
        rng = random.Random(3)
        for _ in range(3_000):
            a, c = rng.uniform(-90, 90), rng.uniform(-90, 90)
            b, d = rng.uniform(-180, 180), rng.uniform(-180, 180)
            p, q, r, s = map(math.radians, (a, b, c, d))
            h = math.sin((r - p) / 2) ** 2 + math.cos(p) * math.cos(r) * math.sin((s - q) / 2) ** 2
            if h < 0.999:  # near the antipodes the textbook itself is ill-conditioned
                exact = 2 * 6371.0088 * math.asin(math.sqrt(h))
                assert kernels.distance_km(a, b, c, d) == pytest.approx(exact, rel=1e-12)
        assert kernels.distance_km(0.0, 0.0, 0.0, 180.0) == pytest.approx(math.pi * 6371.0088)
        assert math.isnan(kernels.distance_km(90.1, 0.0, 0.0, 0.0))

    @pytest.mark.parametrize(
        ("x", "y", "expected"), [(1.0, 3.0, 0.25), (0.0, 3.0, 0.0), (2.0, 0.0, 1.0), (0.0, 0.0, None), (None, 1.0, None)]
    )  # fmt: skip
    def test_a_share_is_of_both_together_and_missing_where_there_is_nothing(self, x, y, expected):
        row = {name: v for name, v in (("x", x), ("y", y)) if v is not None}
        assert value_of(written_out("share", (X, Y), Span(0, 1)), row) == expected

    @pytest.mark.parametrize(
        ("seconds", "hours"), [(7_200.0, 2.0), (1.0, 1 / 3_600), (0.5, 1 / 3_600), (0.0, 1 / 3_600)]
    )
    def test_two_places_at_once_are_very_fast_and_not_missing(self, seconds, hours):
        """A plain distance / in_hours(0s) is missing, and a rule about speed would stay quiet."""
        apart = const(seconds * 1e6)
        tree = written_out("speed_kmh", (X, Y, const(0.0), const(90.0), apart), Span(0, 1))
        km = kernels.distance_km(10.0, 20.0, 0.0, 90.0)
        found = value_of(tree, {"x": 10.0, "y": 20.0})
        assert found == pytest.approx(km / hours)
        assert value_of(tree, {"x": 10.0}) is None

    def test_a_dear_call_that_occurs_twice_in_a_rule_is_computed_once(self):
        km = call("distance_km", X, Y, 1, 2)
        bench = Bench(rule(op("and", op(">", km, 300), op(">", op("/", km, X, kind=NUMBER), 9))))
        codes = bench.ruleset._conditions.code[:, 0].tolist()
        assert codes.count(kernels.DISTANCE) == 1
        assert bench.says({"x": 50.0, "y": 8.0}) is True

    @pytest.mark.parametrize(
        ("zone", "at", "expected"),
        [
            ("Europe/Berlin", "2026-03-29T00:30:00", (1.0, 7.0, "2026-03-28T23:00:00")),
            ("Europe/Berlin", "2026-03-29T01:00:00", (3.0, 7.0, "2026-03-28T23:00:00")),
            ("Asia/Kathmandu", "2026-03-29T18:15:00", (0.0, 1.0, "2026-03-29T18:15:00")),
            ("America/Havana", "2026-03-08T06:00:00", (2.0, 7.0, "2026-03-08T05:00:00")),  # no midnight that day
            ("UTC", "1969-12-31T23:59:59", (23.0, 3.0, "1969-12-31T00:00:00")),
        ],
    )  # fmt: skip
    def test_clocks_follow_the_packs_zone_over_every_change(self, zone, at, expected):
        def us(text):
            return float(np.datetime64(text, "us").astype(np.int64))

        row = {"event_time": us(at)}
        found = [
            value_of(call(n, col("event_time")), row, timezone=zone)
            for n in ("hour", "weekday", "date")
        ]
        assert found == [expected[0], expected[1], us(expected[2])]

    def test_age_counts_whole_calendar_units(self):
        def age(unit, born, at):
            row = {
                n: float(np.datetime64(t, "us").astype(np.int64))
                for n, t in (("opened", born), ("event_time", at))
            }
            return value_of(call("age", col("opened"), *unit), row)

        assert age(["years"], "2000-02-29", "2018-02-28T23:59:59") == 17.0
        assert age(["years"], "2000-02-29", "2018-03-01") == 18.0
        assert age(["months"], "2026-01-31", "2026-02-28") == 0.0
        assert age(["days"], "2026-01-31T23:00:00", "2026-02-01T01:00:00") == 1.0
        assert age([], "2026-01-31T23:00:00", "2026-02-01T01:00:00") == 7_200e6


class TestTitles:
    def test_a_title_shows_money_durations_ids_and_what_is_missing(self):
        since = Node("column", DURATION, value="since")
        ratio = op("/", X, Y, kind=NUMBER)
        parts = (
            "Card ", (col("card"), "last4"), ": ", (col("amount"), ""), " after ", (since, ""), ", ",
            (ratio, "percent"), " of ", (Y, "round"), ", ", (col("home"), ""), ", ",
            (Node("column", Type("text", "text"), value="model.top_reasons"), ""),
        )  # fmt: skip
        title = Template(parts, "")
        alert = Action("alert", HERE, title=title)
        bench = Bench(rule(X, actions=(alert,)), features=[feature("since", DURATION)])
        row = {
            "card": "4929123412341234",
            "amount": 45_000.0,
            "since": 187_200e6,
            "x": 2.0,
            "y": 2.1,
        }
        frame = bench.frame({}, row)
        shown = bench.ruleset.text(
            title, frame, 1, bench.dictionaries, {"model.top_reasons": "night"}
        )
        assert shown == "Card 1234: 450.00 EUR after 2d 4h, 95.2% of 2, missing, night"
        assert bench.ruleset.text(title, frame, 0, bench.dictionaries).count("missing") == 7

    @pytest.mark.parametrize(
        ("value", "kind", "form", "expected"),
        [
            (45_050.0, MONEY, "", "450.50 EUR"),
            (45_050.0, MONEY, "round", "450 EUR"),
            (450.0, Type("money", "JPY"), "", "450 JPY"),
            (10_800e6, DURATION, "", "3h"),
            (0.0, DURATION, "", "0s"),
            (-90e6, DURATION, "", "-1m 30s"),
            (187_500e6, DURATION, "round", "2d"),
            (250e3, DURATION, "", "250ms"),
            (5.0, NUMBER, "", "5"),
            (0.9199, NUMBER, "", "0.9199"),
            (1234.56789, NUMBER, "", "1234.5679"),
            (2.5, NUMBER, "round", "2"),
            (1.0, Type("flag"), "", "true"),
            (81_000e6, Type("time of day"), "", "22:30"),
            (1_767_301_200e6, Type("time"), "", "2026-01-01T21:00:00Z"),
            (1_767_308_400e6, Type("date", "Europe/Berlin"), "", "2026-01-02"),
        ],
    )
    def test_numbers_read_as_what_they_are(self, value, kind, form, expected):
        assert shown_number(value, kind, form, "UTC") == expected
