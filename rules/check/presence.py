"""Which columns are certainly there when a condition is true.

A key that can be missing while a rule fires would throw all those matches into one, or none (WR310).
"""

from collections.abc import Collection, Mapping

from rules.definitions import Feature
from rules.tree import COMPARE, Node
from rules.types import SchemaLike

Names = frozenset[str]
_NONE: Names = frozenset()


class Presence:
    """Answers for the conditions of one pack. A feature that has a value has its keys."""

    def __init__(self, features: Mapping[str, Feature]) -> None:
        self.features = features
        self._known: dict[str, Names] = {}

    def if_true(self, node: Node) -> Names:
        """Return the columns that are present whenever `node` is true."""
        op, args = node.op, node.args
        if op == "and":
            return _NONE.union(*(self.if_true(a) for a in args))
        if op == "or":
            return _common([self.if_true(a) for a in args])
        if op == "not":
            return self.if_false(args[0])
        if op == "at_least":
            return (
                _NONE.union(*(self.if_true(a) for a in args)) if node.value == len(args) else _NONE
            )
        if op == "if":
            return self.if_known(args[0]) | _common([self.if_true(a) for a in args[1:]])
        if op in COMPARE:
            return self.if_known(node) | self._defaults(node)
        return _NONE if op in ("missing", "??", "const") else self.if_known(node)

    def _defaults(self, node: Node) -> Names:
        """`(x ?? 30d) <= 24h` is false where x is missing: the condition needs x after all."""
        left, right = node.args
        found = _NONE
        for side, other, flip in ((left, right, False), (right, left, True)):
            if side.op != "??" or side.args[1].op != "const" or other.op != "const":
                continue
            a, b = side.args[1].value, other.value
            if isinstance(a, float) and isinstance(b, float):
                pair = (b, a) if flip else (a, b)
                if not COMPARE[node.op](*pair):
                    found |= self.if_known(side.args[0])
        return found

    def if_false(self, node: Node) -> Names:
        """Return the columns that are present whenever `node` is false."""
        op, args = node.op, node.args
        if op == "or":
            return _NONE.union(*(self.if_false(a) for a in args))
        if op == "and":
            return _common([self.if_false(a) for a in args])
        if op == "not":
            return self.if_true(args[0])
        if op == "missing":
            return self.if_known(args[0])
        if op in ("if", "at_least", "??", "const"):
            return _NONE
        return self.if_known(node)

    def if_known(self, node: Node) -> Names:
        """Return the columns that are present whenever `node` is not missing."""
        op, args = node.op, node.args
        if op == "column":
            return self._column(str(node.value))
        if op in ("and", "or", "at_least", "missing", "lookup", "const"):
            return _NONE
        if op == "??":
            return _common([self.if_known(a) for a in args])
        if op == "if":
            return self.if_known(args[0]) | _common([self.if_known(a) for a in args[1:]])
        return _NONE.union(*(self.if_known(a) for a in args))

    def _column(self, name: str) -> Names:
        feature = self.features.get(name)
        if feature is None:
            entity = name.partition(".")[0]
            return frozenset({name, entity})
        if name not in self._known:
            self._known[name] = frozenset({name})
            if feature.aggregate is not None:
                self._known[name] |= frozenset(feature.aggregate.keys)
            elif feature.expression is not None:
                self._known[name] |= self.if_known(feature.expression)
        return self._known[name]


def _common(parts: list[Names]) -> Names:
    return parts[0].intersection(*parts[1:]) if parts else _NONE


def can_be_missing(name: str, on: Collection[str], schema: SchemaLike) -> list[str]:
    """Return the event types of `on` on which the schema does not demand the column."""
    column = schema.columns.get(name)
    if column is None:
        return list(on)
    return [
        t
        for t in on
        if t not in column.required_for
        and not (column.required and schema.event_types.get(t, "transaction") == "transaction")
    ]
