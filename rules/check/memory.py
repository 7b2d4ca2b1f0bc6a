"""What was proven about conditions, kept from one look at packs to the next by a process that looks often.

An answer of rules/check/logic.py follows from a condition and from what its names mean: fields of the schema, features
and tables. While all of these are the same so is the answer; as soon as one of them is not, everything is forgotten.
Findings are no part of it: they are made anew each time, for their places move.
"""

from collections.abc import Mapping
from typing import Final

from rules.check.logic import Logic
from rules.definitions import Feature, TableDefinition
from rules.tree import Node
from rules.types import SchemaLike

ANSWERS_MAX: Final = 300_000  # a pack of 500 rules takes about 20,000


class Memory:
    """Answers about the conditions of packs; `begin` before each look."""

    def __init__(self) -> None:
        self._world: object = None
        self._logics: dict[tuple[str, ...], Logic] = {}
        self._trees: dict[Node, Node] = {}
        self._begun: tuple[SchemaLike, Mapping[str, Feature], Mapping[str, TableDefinition]]

    @property
    def n_answers(self) -> int:
        """How much is kept."""
        return len(self._trees) + sum(logic.n_answers for logic in self._logics.values())

    def begin(
        self,
        schema: SchemaLike,
        features: Mapping[str, Feature],
        tables: Mapping[str, TableDefinition],
    ) -> None:
        """Say what names mean from now on, which forgets everything unless it is what they meant before."""
        meant = {name: (f.type, f.aggregate, f.expression) for name, f in features.items()}
        looked_up = {name: (t.key, t.type, t.values, t.default) for name, t in tables.items()}
        world = schema.columns, schema.event_types, schema.open_types, meant, looked_up
        if self._world != world or self.n_answers > ANSWERS_MAX:
            self._world, self._begun = world, (schema, dict(features), tables)
            self._logics, self._trees = {}, {}

    def logic(self, on: tuple[str, ...], *, only_on: bool = True) -> Logic:
        """Answers about conditions on events of some types; `only_on` where nothing else comes to them."""
        key = (*on, "" if only_on else "(any)")
        if key not in self._logics:
            schema, features, tables = self._begun
            self._logics[key] = Logic(schema, on, features, tables, only_on=only_on)
        return self._logics[key]

    def same(self, tree: Node) -> Node:
        """The first tree that was equal to `tree`: what is known of it is found at once."""
        return self._trees.setdefault(tree, tree)
