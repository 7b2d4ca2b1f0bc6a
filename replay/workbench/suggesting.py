"""What test would notice a change that no test noticed, in a line: an event that differs from a firing one there."""

from collections.abc import Sequence

from engine.core import Core, Outcome
from engine.setup import Setup
from replay.workbench import ruletests
from replay.workbench.mutants import ACTION, EXCEPTION, Mutant
from rules.conditions import KEEPS_NONE, Condition
from rules.definitions import Rule
from rules.explain import Evaluator, frame_reader, shown_value
from rules.tree import Node


def suggest(setup: Setup, rule: Rule, unnoticed: Sequence[Mutant]) -> None:
    """Put into each mutant the event that is missing from the tests."""
    if not unnoticed:
        return
    seen = _at_first_match(setup, rule)
    for mutant in unnoticed:
        mutant.hint = _hint(setup, rule, mutant, seen)


def _hint(setup: Setup, rule: Rule, mutant: Mutant, seen: Evaluator | None) -> str:
    condition = mutant.condition
    if seen is None:
        return "a test with an event that fires"
    if mutant.kind == ACTION:
        asked = dict.fromkeys(a.asked or a.kind for a in rule.actions)
        return f"the firing one with expect_actions: [{', '.join(asked)}]"
    if mutant.kind == EXCEPTION:
        return "the firing one where the exception holds, expect: excepted"
    assert condition is not None, mutant
    if condition.called.startswith("exception"):
        return f"the excepted one where only {condition.text} does not hold, expect: fires"
    if condition.called != "when":
        return (
            f"an earlier event that differs from one of the test only in {condition.text}, "
            "and what fires then no longer does (or does now)"
        )
    if condition.neutral == KEEPS_NONE:
        return f"one that fires only because {condition.text}, expect: fires"
    return _turned(setup, rule, condition, seen)


def _turned(setup: Setup, rule: Rule, condition: Condition, seen: Evaluator) -> str:
    """The firing event with the one value that makes a condition untrue."""
    node = _node_at(rule.when, condition)
    flip = seen.clause(node).flip if node is not None else None
    if flip is None:
        return f"the firing one where only {condition.text} does not hold, no expect"
    if flip.is_exact and flip.column in setup.schema.columns:
        kind = next(n.type for n in rule.when.walk() if n.op == "column" and n.value == flip.column)
        if flip.value is None:
            return f"the firing one with {flip.column} left out, no expect"
        shown = shown_value(kind, flip.value, setup.pack.timezone)
        return f"the firing one with {flip.column}: {shown}, no expect"
    return f"the firing one, but {flip.text.replace('would have to be', 'is')}, no expect"


def _node_at(when: Node, condition: Condition) -> Node | None:
    return next((n for n in when.walk() if n.span == condition.span), None)


def _at_first_match(setup: Setup, rule: Rule) -> Evaluator | None:
    """The row that first fires in the tests of a rule."""
    found: list[Evaluator] = []

    def look(core: Core, outcome: Outcome, happened: str) -> None:
        if happened == ruletests.FIRES and not found:
            read = frame_reader(outcome.frame, outcome.batch.n - 1, core.dictionaries)
            # what was read is kept: the next event overwrites the frame
            columns = {name: read(name) for name in outcome.frame.layout.places}
            found.append(Evaluator.of_pack(setup.pack, columns.get))

    for test in rule.tests:
        ruletests.run_test(setup, rule, test, look)
        if found:
            return found[0]
    return None
