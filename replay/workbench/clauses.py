"""Which clause of a rule stops it: each clause alone, and all up to it, as rules of their own in the same pass.

They run in shadow beside the rule they are taken from and do nothing. What they held for is counted, not gathered: a
clause such as `outgoing` holds for most of the traffic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from config import marks
from replay.workbench.tally import Counts
from rules.definitions import Rule
from rules.overrides import located
from rules.tree import Node

ALONE: Final = "~alone"  # behind the id of a rule and before the number of a clause; no id has one
SO_FAR: Final = "~so-far"


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause and the events of its rule.

    alone     : for which it holds, whatever the others say
    so_far    : for which it holds together with all clauses before it
    undecided : of which it says nothing, because something is missing
    """

    text: str
    alone: int
    so_far: int
    undecided: int

    def facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("text", "alone", "so_far", "undecided")}


def parts_of(rule: Rule) -> tuple[Node, ...]:
    """What `and` joins in the condition of a rule, in order."""
    return rule.when.args if rule.when.op == "and" else (rule.when,)


def apart(rules: Sequence[Rule]) -> list[Rule]:
    """For each clause of some rules: it alone, and it with those before it, each as a rule that does nothing."""
    found = []
    for rule in rules:
        parts = parts_of(rule)
        for k, part in enumerate(parts):
            together = parts[: k + 1]
            so_far = replace(rule.when, args=together) if k else part
            for mark, when in ((ALONE, part), (SO_FAR, so_far)):
                found.append(
                    replace(
                        rule,
                        id=f"{rule.id}{mark}{k}",
                        mode="shadow",
                        when=when,
                        actions=(),
                        exceptions=(),
                        if_undecided=None,
                        rollout_percent=100.0,
                        rollout_by="",
                        tests=(),
                    )
                )
    return found


def counted(
    rules: Sequence[Rule], nodes: Mapping[str, marks.MapNode], counts: Counts
) -> dict[str, list[Clause]]:
    """What the clauses of each rule held for, once everything is taken; `nodes`: the rules as they were read."""
    undecided: dict[str, int] = {}
    for (id_, _), many in counts.undecided.items():
        undecided[id_] = undecided.get(id_, 0) + many
    return {
        rule.id: [
            Clause(
                _text(nodes[rule.id], part),
                counts.held[f"{rule.id}{ALONE}{k}"],
                counts.held[f"{rule.id}{SO_FAR}{k}"],
                undecided.get(f"{rule.id}{ALONE}{k}", 0),
            )
            for k, part in enumerate(parts_of(rule))
        ]
        for rule in rules
    }


def _text(node: marks.MapNode, part: Node) -> str:
    assert part.span is not None
    text, span = located(node, part.span)
    return " ".join(text.value[span.start : span.end].split())


def lines(clauses: Sequence[Clause]) -> list[str]:
    """The clauses of one rule as a table; the first with which nothing is left is marked."""
    shown = [f"  clause by clause:{'alone':>12s}{'so far':>12s}{'undecided':>12s}"]
    is_over = False
    for k, clause in enumerate(clauses, 1):
        end = "   <- nothing is left" if not clause.so_far and not is_over else ""
        is_over = is_over or not clause.so_far
        counts = f"{clause.alone:>12,d}{clause.so_far:>12,d}{clause.undecided:>12,d}"
        shown.append(f"  {k:>15d}. {counts}   {clause.text}{end}")
    return shown
