"""What a rule does, as a digest: two rules of one digest decide alike, however their files are written.

    behaviour(rule, pack)      64 hexadecimal digits; rules.lock, `weir rules diff` and reloading compare them
    Behaviours(pack)           the same for many rules of one pack: each feature is worked out once
    Behaviours(pack).parts(r)  a digest for each part (when, score, actions, ...), to tell which of them differ

Counted: the typed trees with macros, params and lets in place, what the features in them aggregate, the content of
tables, the names of lists. Not counted: comments, layout, the order of keys, the spelling of operators and numbers,
the names of features and params, descriptions, owners, tests, places; whether the rule is live; the version, which
stands for the digest; and the content of lists, which is data that changes every day.

`a and b` counts as `b and a`, `x > y` as `y < x`. Otherwise two ways of writing one condition are two behaviours: a
digest may say "changed" too often, and never "the same" wrongly.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Final

from rules.definitions import Action, ExceptionClause, Feature, Pack, Rule, Template
from rules.tree import DATE, TIME_OF_DAY, Node

FORM: Final = (
    1  # goes up when the digests of unchanged rules change, so that a lock knows it cannot compare
)
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "severity": ("severity",),
    "reason": ("reason",),
    "on": ("on",),
    "when": ("when",),
    "score": ("score",),
    "actions": ("actions",),
    "dedup": ("dedup_by", "dedup_for_us"),
    "effective": ("effective_from_us", "effective_until_us"),
    "rollout": ("rollout_percent", "rollout_by"),
    "exceptions": ("exceptions",),
    "if_undecided": ("if_undecided",),
}  # what a rule file calls a part -> the fields of `Rule` that hold it
_SILENT: Final[Mapping[type, frozenset[str]]] = {
    Action: frozenset({"place", "asked"}),
    ExceptionClause: frozenset({"place", "why", "approved_by"}),
    Feature: frozenset({"name", "place", "owner", "description", "text"}),
    Template: frozenset({"text"}),
}  # fields that change nothing the engine does
_SETS: Final = frozenset({"on", "keys"})  # fields whose order means nothing
_CLAUSES: Final = frozenset({"and", "or"})
_EITHER_WAY: Final = frozenset({"==", "!=", "at_least"})
_TURNED: Final[Mapping[str, str]] = {">": "<", ">=": "<="}


def behaviour(rule: Rule, pack: Pack) -> str:
    """Digest what `rule` of `pack` does: sha256 as 64 hexadecimal digits."""
    return Behaviours(pack).of(rule)


def whole(parts: Mapping[str, str]) -> str:
    """What a rule does, digested from its `Behaviours.parts`."""
    return _digest(*(f"{name}={digest}" for name, digest in parts.items()))


class Behaviours:
    """The behaviours of the rules of one pack."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._features: dict[str, str] = {}

    def of(self, rule: Rule) -> str:
        """Digest what a rule does: sha256 as 64 hexadecimal digits."""
        return whole(self.parts(rule))

    def parts(self, rule: Rule) -> dict[str, str]:
        """Digest each part of a rule by its name in a file, in the order of `PARTS`; all 64 digits each."""
        return {
            part: _digest(*(self._field(name, getattr(rule, name)) for name in names))
            for part, names in PARTS.items()
        }

    def _node(self, node: Node) -> str:
        """A tree as text, every name in it with what it means."""
        op, value = node.op, node.value
        if op == "column":
            return f"({op} {node.type} {self._column(str(value))})"
        if op in _CLAUSES:
            return f"({op} {' '.join(sorted(self._flat(node)))})"
        texts = [self._node(arg) for arg in node.args]
        if op in _EITHER_WAY:
            texts.sort()
        elif op in _TURNED:
            op, texts = _TURNED[op], texts[::-1]
        zone = ""
        if op == "call" or node.type.kind in (TIME_OF_DAY, DATE):
            zone = self._pack.timezone
        shown = repr(value)
        if op == "in" and isinstance(value, str):
            shown = f"{value} {self._list(value.removeprefix('@'))}"
        elif op == "lookup":
            shown = self._table(str(value))
        elif isinstance(value, frozenset):
            shown = repr(sorted(value, key=repr))
        return f"({op} {node.type} {zone} {shown} {' '.join(texts)})"

    def _flat(self, node: Node) -> set[str]:
        """The clauses of `a and (b and c)`, each once."""
        found: set[str] = set()
        for arg in node.args:
            found |= self._flat(arg) if arg.op == node.op else {self._node(arg)}
        return found

    def _column(self, name: str) -> str:
        feature = self._pack.features.get(name)
        if feature is None:
            return name
        if name not in self._features:
            self._features[name] = f"feature:{_digest(self._text(feature))}"
        return self._features[name]

    def _list(self, name: str) -> str:
        known = self._pack.lists.get(name)
        return str(known.type) if known is not None else ""

    def _table(self, name: str) -> str:
        table = self._pack.tables[name]
        return repr((str(table.type), sorted(table.values.items()), table.default))

    def _text(self, value: object) -> str:
        """Any part of a definition as text."""
        if value is None or isinstance(value, str | int | float | frozenset):  # the commonest kinds
            return (
                repr(value) if not isinstance(value, frozenset) else repr(sorted(value, key=repr))
            )
        if isinstance(value, Node):
            return self._node(value)
        if isinstance(value, tuple):
            return f"[{','.join(map(self._text, value))}]"
        if not is_dataclass(value) or isinstance(value, type):
            return repr(value)
        names = _counted(type(value))
        parts = [f"{name}={self._field(name, getattr(value, name))}" for name in names]
        return f"{type(value).__name__}({','.join(parts)})"

    def _field(self, name: str, value: object) -> str:
        if name in _SETS and isinstance(value, tuple):
            value = tuple(sorted(set(value)))
        zone = f"@{self._pack.timezone}" if name == "calendar" and value else ""
        return self._text(value) + zone


@cache
def _counted(kind: type) -> tuple[str, ...]:
    """The fields of a definition that count."""
    silent = _SILENT.get(kind, frozenset())
    return tuple(f.name for f in fields(kind) if f.name not in silent)


def _digest(*parts: str) -> str:
    """A digest of texts, each told from its neighbours."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
