"""What `weir rules test --mutate` changes in a rule: one thing at a time, as a person might by mistake.

Numbers are moved by a fifth, down and up; each single condition is deleted, and negated; each exception and each action
is dropped. Conditions stand in `when`, in exceptions, lets and own features, and in those macros and features of the
pack that only this rule uses. A change that the language refuses is none; nor is one that provably says the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from config import marks
from rules import edits
from rules.behaviour import behaviour
from rules.conditions import Condition, conditions_of, conditions_of_name
from rules.definitions import Feature, Pack, Place, Rule
from rules.features import Source
from rules.numbers import Number, changed, numbers_of
from rules.pack import Workshop

DOWN, UP = 0, 1
NUMBER, CONDITION, EXCEPTION, ACTION = "number", "condition", "exception", "action"
KINDS: Final = (NUMBER, CONDITION, EXCEPTION, ACTION)
_SIDES: Final = ((DOWN, False), (UP, True))


@dataclass(slots=True)
class Mutant:
    """One change to a rule. `noticed` is None while no test has run over it."""

    kind: str
    called: str
    text: str  # what was changed, as written
    place: Place
    change: str  # "800 CNY", "deleted", "negated", "dropped"
    noticed: bool | None = None
    condition: Condition | None = None
    hint: str = ""  # what test would notice it


@dataclass(slots=True)
class Trial:
    """One number and what it was moved to, down and up; None where it cannot be moved that way."""

    number: Number
    sides: list[Mutant | None] = field(default_factory=lambda: [None, None])

    @property
    def moved(self) -> list[str | None]:
        """What it was moved to, down and up."""
        return [m.change if m is not None else None for m in self.sides]

    @property
    def noticed(self) -> list[bool | None]:
        """Whether a test noticed, down and up."""
        return [m.noticed if m is not None else None for m in self.sides]

    @property
    def is_pinned(self) -> bool:
        """Whether moving it is noticed at least one way."""
        return any(self.noticed)

    @property
    def is_pinned_both_ways(self) -> bool:
        """Whether moving it is noticed each way that it can be moved."""
        return self.is_pinned and False not in self.noticed


@dataclass(frozen=True, slots=True)
class Variant:
    """A mutant as a rule that runs. `features` are those that differ from the pack's."""

    mutant: Mutant
    rule: Rule
    features: Mapping[str, Feature]


@dataclass(slots=True)
class Mutants:
    """All changes to one rule; `n_same` were left out, for they say what the rule says."""

    trials: list[Trial] = field(default_factory=list)
    others: list[Mutant] = field(default_factory=list)
    variants: list[Variant] = field(default_factory=list)
    n_same: int = 0


class Maker:
    """Makes the mutants of the rules of a pack."""

    def __init__(self, pack: Pack, workshop: Workshop) -> None:
        self._pack, self._workshop = pack, workshop

    def mutants(self, rule: Rule, own: Sequence[Source]) -> Mutants:
        """Everything that can be changed in a rule; `own` are the names of the pack that only this rule uses."""
        node = self._workshop.nodes[rule.id]
        made = Mutants()
        for number in numbers_of(node):
            trial = Trial(number)
            made.trials.append(trial)
            for side, up in _SIDES:
                text = number.moved(up=up)
                if text is not None:
                    where = (number.called, number.text, number.place)
                    trial.sides[side] = self._make(
                        made, rule, NUMBER, where, text, changed(node, number, text)
                    )
        for mutant in (*self._conditions(made, rule, node, own), *self._drops(made, rule, node)):
            if mutant is not None:
                made.others.append(mutant)
        return made

    def _conditions(
        self, made: Mutants, rule: Rule, node: marks.MapNode, own: Sequence[Source]
    ) -> Iterator[Mutant | None]:
        found: list[tuple[Condition, marks.TextNode | None]] = [
            (c, None) for c in conditions_of(node)
        ]
        found += [(c, source.text) for source in own for c in conditions_of_name(source)]
        for condition, text in found:
            for change, words in _changes(condition, text, node):
                names, other = {}, node
                if text is not None:
                    names[condition.name] = edits.with_text(text, condition.span, words)
                else:
                    other = edits.replaced(node, condition.path, condition.span, words)
                where = (condition.called, condition.text, condition.place)
                mutant = self._make(made, rule, CONDITION, where, change, other, names)
                if mutant is not None:
                    mutant.condition = condition
                yield mutant

    def _drops(self, made: Mutants, rule: Rule, node: marks.MapNode) -> Iterator[Mutant | None]:
        for section, kind in (("exceptions", EXCEPTION), ("actions", ACTION)):
            items = node.get(section)
            for k, item in enumerate(items if isinstance(items, marks.ListNode) else ()):
                called, text = kind, "an action"
                if isinstance(item, marks.MapNode):
                    name = item.get("id") if kind == EXCEPTION else None
                    text = name.value if isinstance(name, marks.TextNode) else " ".join(item)
                where = (called, text, Place(item.source.file, *item.position()))
                other = edits.without(node, (section, k))
                yield self._make(made, rule, kind, where, "dropped", other)

    def _make(
        self,
        made: Mutants,
        rule: Rule,
        kind: str,
        where: tuple[str, str, Place],
        change: str,
        node: marks.MapNode,
        names: Mapping[str, marks.TextNode] | None = None,
    ) -> Mutant | None:
        """The rule with one change; None where the language refuses it, or it says the same."""
        remade = self._workshop.remake(node, names)
        if remade is None:
            return None
        other, features = remade
        known = self._pack.features
        differ = {k: f for k, f in features.items() if known.get(k) != f}
        if self._is_same(rule, other, differ):
            made.n_same += 1
            return None
        mutant = Mutant(kind, *where, change)
        made.variants.append(Variant(mutant, other, differ))
        return mutant

    def _is_same(self, rule: Rule, other: Rule, features: Mapping[str, Feature]) -> bool:
        """Whether a change provably changes nothing: `not (a is missing)` for `a is present`."""
        return behaviour(rule, self._pack) == behaviour(
            other, replace(self._pack, features={**self._pack.features, **features})
        )


def _changes(
    condition: Condition, text: marks.TextNode | None, rule: marks.MapNode
) -> Iterator[tuple[str, str]]:
    """What is written in place of a condition: nothing (its neutral truth), and its opposite."""
    if condition.neutral:
        yield "deleted", condition.neutral
    node = text if text is not None else edits.at_path(rule, condition.path)
    assert isinstance(node, marks.TextNode), condition
    yield "negated", f"not ({node.value[condition.span.start : condition.span.end]})"
