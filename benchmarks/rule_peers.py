"""The same rules in other expression engines, for bench_rules.py: how long an event takes, and whether they agree.

A rule of ours is true, false, or undecided because a column is missing. None of these engines has the third value, so
it is spelt out: a clause that is false settles the rule, else a missing column makes it undecided. `fires` asks for
less, only whether a rule is true. Each engine is given the form it is quickest in:

    singly    one compiled expression for each rule, called with the columns that this rule reads
    together  one compiled expression for all rules, a list, called with the whole row; one mistake in one rule then
              takes all rules down, and nobody can be told apart in its errors

No engine takes more than one row at a time, so the size of a batch means nothing to them.
"""

import time
from importlib import import_module
from importlib.metadata import version

YES, NO, UNDECIDED = 1, 0, 2  # what an expression gives
FORMS = ("singly", "together")
JOBS = ("three values", "fires")


class Words:
    """How a language spells what is needed here; `there`, `absent` and `read` have the name of a column put in."""

    def __init__(
        self, and_, or_, not_, *, decimal, there="{} != null", absent="{} == null", read="{}"
    ):
        self.and_, self.or_, self.not_, self.decimal = and_, or_, not_, decimal
        self.there, self.absent, self.read = there, absent, read

    def number(self, x):
        return f"{x:.1f}" if self.decimal else f"{x:g}"

    def clause(self, node):
        column, constant = node.args
        return f"{self.read.format(column.value)} {node.op} {self.number(constant.value)}"

    def rule(self, when, job):
        """The text of a condition: comparisons joined by `and`."""
        clauses = {c: c.args[0].value for c in when.args}
        if job == "fires":
            guarded = (
                f"{self.there.format(n)}{self.and_}{self.clause(c)}" for c, n in clauses.items()
            )
            return self.and_.join(guarded)
        false = self.or_.join(
            f"({self.there.format(n)}{self.and_}{self.not_}({self.clause(c)}))"
            for c, n in clauses.items()
        )
        missing = self.or_.join(map(self.absent.format, clauses.values()))
        inner = f"(({missing}) ? {self.number(UNDECIDED)} : {self.number(YES)})"
        return f"(({false}) ? {self.number(NO)} : {inner})"


SYMBOLS = Words(" && ", " || ", "!", decimal=True)
HAS = Words(" && ", " || ", "!", decimal=True, there="has(e.{})", absent="!has(e.{})", read="e.{}")
ENGLISH = Words(" and ", " or ", "not ", decimal=False)


class Zen:
    """zen-engine: Rust, compiled expressions; the row is converted at every call."""

    package, words = "zen-engine", ENGLISH

    def __init__(self):
        self.zen = import_module("zen")

    def compile(self, text):
        return self.zen.compile_expression(text).evaluate

    @staticmethod
    def row(values):
        return values


class Cel:
    """common-expression-language: CEL in Rust."""

    package, words = "common-expression-language", SYMBOLS

    def __init__(self):
        self.cel = import_module("cel")

    def compile(self, text):
        return self.cel.compile(text).execute

    @staticmethod
    def row(values):
        return values


class CelPython:
    """cel-python: CEL in Python; `null` compares with nothing, so what is missing is left out."""

    package, words = "cel-python", HAS

    def __init__(self):
        self.celpy = import_module("celpy")
        self.environment = self.celpy.Environment()

    def compile(self, text):
        return self.environment.program(self.environment.compile(text)).evaluate

    def row(self, values):
        types = self.celpy.celtypes
        there = {k: types.DoubleType(v) for k, v in values.items() if v is not None}
        return {"e": types.MapType({types.StringType(k): v for k, v in there.items()})}


class RuleEngine:
    """rule-engine: Python."""

    package, words = "rule-engine", ENGLISH

    def __init__(self):
        self.engine = import_module("rule_engine")

    def compile(self, text):
        return self.engine.Rule(text).evaluate

    @staticmethod
    def row(values):
        return values


PEERS = (Zen, Cel, CelPython, RuleEngine)


def answers(found):
    return [int(x) for x in found]


def runs(peer, rules, rows, job, form):
    """A call that puts all rows through all rules, each a list of answers."""
    texts = [peer.words.rule(rule.when, job) for rule in rules]
    if form == "together":
        evaluate = peer.compile("[" + ", ".join(f"({text})" for text in texts) + "]")
        given = [peer.row(row) for row in rows]
        return lambda: [evaluate(row) for row in given]
    evaluate = [peer.compile(text) for text in texts]
    reads = [[c.args[0].value for c in rule.when.args] for rule in rules]
    if peer.words is HAS:  # a row is one value here, and rules may share it
        given = [peer.row(row) for row in rows]
        return lambda: [[e(row) for e in evaluate] for row in given]
    pairs = list(zip(evaluate, reads, strict=True))
    return lambda: [[e({c: row[c] for c in columns}) for e, columns in pairs] for row in rows]


def quickest_us(run, n_rows, seconds=1.0):
    """Microseconds a row of the quickest of the passes that fit into `seconds`, at least two."""
    best, began, n = float("inf"), time.perf_counter(), 0
    while n < 2 or time.perf_counter() - began < seconds:
        at = time.perf_counter()
        run()
        best, n = min(best, time.perf_counter() - at), n + 1
    return best / n_rows * 1e6


def compare(rules, rows, truth, true, false):
    """One row for each engine, job and form.

    rules : plain ones, comparisons of a number with a constant joined by `and`
    truth : (n_rules, n_rows) our own answers; `true` and `false` are two of its values, any other is undecided
    """
    numbers = {c.args[0].value for rule in rules for c in rule.when.args}
    rows = [{name: row[name] for name in sorted(numbers)} for row in rows]
    ours = {
        "three values": [[{true: YES, false: NO}.get(t, UNDECIDED) for t in column] for column in truth.T.tolist()],
        "fires": [[int(t == true) for t in column] for column in truth.T.tolist()],
    }  # fmt: skip
    found = []
    for make in PEERS:
        try:
            peer = make()
        except ImportError:
            continue
        for job in JOBS:
            for form in FORMS:
                run = runs(peer, rules, rows, job, form)
                same = [answers(row) for row in run()] == ours[job]
                found.append(
                    {
                        "engine": peer.package,
                        "version": version(peer.package),
                        "job": job,
                        "form": form,
                        "us_per_event": round(quickest_us(run, len(rows)), 2),
                        "agrees": same,
                    }
                )
    return found
