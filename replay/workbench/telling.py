"""What a rule made of one event of a test, part by part: the table below a failed expectation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.core import Core, Outcome
from rules.definitions import Rule
from rules.explain import Clause, Evaluator, frame_reader
from rules.syntax import Tree, parse
from rules.titles import MISSING
from rules.tree import Node

TRUTHS: Final = {True: "true", False: "false", None: "undecided"}


@dataclass(frozen=True, slots=True)
class Line:
    """One part of a condition as written, what it said, and the values that it read."""

    level: int
    text: str
    truth: str
    values: str


def tell(core: Core, rule: Rule, outcome: Outcome) -> tuple[str, tuple[Line, ...]]:
    """The event on the last row in a line (time, type, amount), and the condition of `rule` over it."""
    row = outcome.batch.n - 1
    read = frame_reader(outcome.frame, row, core.dictionaries)
    evaluator = Evaluator.of_pack(core.ruleset.pack, read)
    places = core.layout.places
    shown = (
        core.text_of(name, outcome.frame, row)
        for name in ("event_time", "type", "amount")
        if name in places
    )
    words = [text for text in shown if text != MISSING]
    tree, _ = parse(rule.text)
    return "  ".join(words), tuple(_lines(rule, tree, rule.when, evaluator, 0))


def _lines(rule: Rule, tree: Tree, node: Node, evaluator: Evaluator, level: int) -> Iterator[Line]:
    """One line a part; the parts of a bracket one level further in. Macros are not taken apart."""
    if tree.op == "and" == node.op and len(tree.args) == len(node.args) and level == 0:
        for part, inner in zip(tree.args, node.args, strict=True):
            yield from _lines(rule, part, inner, evaluator, level)
        return
    text = " ".join(rule.text[tree.span.start : tree.span.end].split())
    clause = evaluator.clause(node)
    is_joined = tree.op in ("and", "or") and tree.op == node.op and len(tree.args) == len(node.args)
    values = "" if is_joined else ", ".join(_values(clause, text))
    if clause.truth is None and clause.because:
        values = values or f"{clause.because} = missing"
    yield Line(level, text, TRUTHS[clause.truth], values)
    if is_joined:
        for part, inner in zip(tree.args, node.args, strict=True):
            yield from _lines(rule, part, inner, evaluator, level + 1)


def _values(clause: Clause, text: str) -> list[str]:
    """`name = value` of each column that a clause read; of a macro all that its parts read."""
    found: dict[str, None] = {}
    for part in _leaves(clause):
        for operand in part.operands:
            if operand.column or not part.parts:
                found[f"{operand.text} = {operand.shown}"] = None
    return [value for value in found if value != f"{text} = true"]


def _leaves(clause: Clause) -> Iterator[Clause]:
    yield clause
    for part in clause.parts:
        yield from _leaves(part)
