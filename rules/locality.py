"""Which features a cluster computes exactly: those whose keys never stand in two partitions.

A message goes to the partition of its key (`key` under `cluster` in weir.yaml). Everything of one account, or of one
customer, is seen by one engine; of a device or a merchant each engine sees a part, and a feature `by device` counts
that part only. `weir rules check --cluster` marks them. An exchange between the partitions that makes them exact would
take their keys out of `Locality.keys_of`, and nothing else would have to change.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from rules.definitions import Feature, Pack, Rule
from rules.tree import Node

# key of the messages -> what belongs to one key only
INSIDE: Final[Mapping[str, frozenset[str]]] = {
    "account": frozenset({"account", "card"}),
    "customer": frozenset({"customer", "account", "card"}),
}
NO_KEY: Final = "everything"  # stands for the key of an aggregate that has none


class Locality:
    """Of each feature, by which keys it counts no more than its own partition sees.

    key  : what messages are distributed by
    more : further fields whose values never stand in two partitions
    """

    def __init__(
        self, features: Mapping[str, Feature], key: str = "account", more: Collection[str] = ()
    ) -> None:
        self._features = features
        self._local = INSIDE[key] | frozenset(more)
        self._known: dict[str, frozenset[str]] = {}

    def is_local(self, field: str) -> bool:
        """Whether all events with one value of a field go to one partition; `account.customer` is a customer too."""
        return field in self._local or field.rpartition(".")[2] in self._local

    def keys_of(self, name: str) -> frozenset[str]:
        """The keys that make a feature partial, its own and those of what it reads; empty where it is exact."""
        known = self._known.get(name)
        if known is not None:
            return known
        feature = self._features.get(name)
        if feature is None:  # a field of the message
            return frozenset()
        found: frozenset[str] = frozenset()
        aggregate = feature.aggregate
        if aggregate is not None:
            if not any(map(self.is_local, aggregate.keys)):
                found = frozenset(aggregate.keys or (NO_KEY,))
            found |= self.of_trees((aggregate.argument, aggregate.where))
        found |= self.of_trees((feature.expression,))
        self._known[name] = found
        return found

    def of_trees(self, trees: Iterable[Node | None]) -> frozenset[str]:
        """The same of conditions and values."""
        names = {name for tree in trees if tree is not None for name in tree.columns()}
        return frozenset().union(*map(self.keys_of, names))

    def partial_inputs(self, rule: Rule) -> list[str]:
        """What a rule reads that is partial, by name."""
        names = {name for tree in trees_of(rule) for name in tree.columns()}
        return sorted(name for name in names if self.keys_of(name))


def trees_of(rule: Rule) -> Iterator[Node]:
    """What decides whether a rule fires, and with which score."""
    yield rule.when
    yield rule.score
    yield from (clause.when for clause in rule.exceptions)


def partial_keys(pack: Pack, locality: Locality, inputs: Iterable[str]) -> tuple[str, ...]:
    """The keys by which something that rules or models read is partial, by name; none where all of it is exact.

    inputs : what models read
    """
    found: set[str] = set()
    for rule in pack.rules:
        if rule.mode != "off":
            found |= locality.of_trees(trees_of(rule))
    for name in inputs:
        found |= locality.keys_of(name)
    return tuple(sorted(found))
