"""What the conditions of rules cost an event (WR401): a sum over the operations that are left after sharing.

Rules that ask the same question share its answer: an operation that stands in several rules is computed once, and each
of them is told its share. The constants were measured one by one (`python -m benchmarks.calibrate_rules`, one core of a
shared machine, batches of 256); they tell dear rules from cheap ones and promise nothing. What windows cost is another
estimate (engine/windows/costs.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from rules.check.findings import Finding, at_node
from rules.definitions import Rule
from rules.pack import Loaded
from rules.tree import Node

# Nanoseconds an event of each operation.
NANOSECONDS: Final[Mapping[str, float]] = {
    "rule": 0.3,  # its result, whatever it asks
    "compare": 0.1,
    "member": 0.5,
    "logic": 0.1,
    "arithmetic": 1.1,
    "text": 0.5,
    "call": 0.2,
    "calendar": 38.0,
    "distance": 118.0,
    "lookup": 0.4,
}
_KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "between"), "compare"),
    **dict.fromkeys(("and", "or", "not", "missing", "at_least", "if", "??"), "logic"),
    **dict.fromkeys(("+", "-", "*", "/", "neg"), "arithmetic"),
    **dict.fromkeys(("contains", "starts with", "ends with", "matches"), "text"),
    "in": "member",
    "lookup": "lookup",
    "call": "call",
}
_CALENDAR: Final = frozenset({"hour", "weekday", "local_time", "date", "age"})


@dataclass(frozen=True)
class Costs:
    """Nanoseconds an event, in all and of each rule; what rules share is divided between them."""

    total_ns: float
    of_rule: Mapping[str, float]
    loaded: Loaded = field(repr=False)

    def findings(self) -> Iterator[Finding]:
        """One info for each rule (WR401)."""
        if self.loaded.workshop is None:
            return
        for part in self.loaded.workshop.drafts:
            if part.id in self.of_rule:
                node = part.reader.map["id"] if part.reader.map is not None else part.reader.node
                what = f"rule {part.id} takes about {self.of_rule[part.id]:.0f} ns an event, windows not counted"
                yield at_node("WR401", node, what)


def of(loaded: Loaded) -> Costs:
    """Estimate what the rules that were read cost; rules that are off cost nothing."""
    rules = loaded.workshop.rules if loaded.workshop is not None else ()
    found = of_rules(rules)
    return Costs(sum(found.values()), found, loaded)


def of_rules(rules: Iterable[Rule]) -> dict[str, float]:
    """Nanoseconds an event of each rule that is not off, what they share divided between them."""
    rules = tuple(r for r in rules if r.mode != "off")
    own = [_operations(rule) for rule in rules]
    n_readers: dict[Node, int] = {}
    for operations in own:
        for node in operations:
            n_readers[node] = n_readers.get(node, 0) + 1
    return {
        rule.id: NANOSECONDS["rule"] + sum(cost(n) / n_readers[n] for n in operations)
        for rule, operations in zip(rules, own, strict=True)
    }


def _operations(rule: Rule) -> dict[Node, None]:
    """The operations of a rule's condition, score and exceptions, each once."""
    trees = (rule.when, rule.score, *(e.when for e in rule.exceptions))
    return {n: None for tree in trees for n in tree.walk() if n.op in _KINDS}


def cost(node: Node) -> float:
    """Nanoseconds an event of one operation without its arguments."""
    if node.op == "call" and node.value in _CALENDAR:
        return NANOSECONDS["calendar"]
    if node.op == "call" and node.value == "distance_km":
        return NANOSECONDS["distance"]
    return NANOSECONDS[_KINDS[node.op]] * max(1, len(node.args) - 1)
