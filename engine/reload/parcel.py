"""A compiled configuration on its way from the process that compiled it to the engine, in pieces of a millisecond.

Reading 500 rules from one pickle would hold the engine up for tens of milliseconds. So the parts are pickled one after
the other by one pickler: each piece refers to what the pieces before it brought, and the last is the whole. Pieces stay
in the memory of two processes of one program, parent and child; nothing of the kind is ever written into a file.

Answers of rules to texts (rules/texts.py) are functions made by functions, which pickle refuses; they travel as their
code and what they hold on to. Both ends are the same interpreter.
"""

import io
import marshal
import pickle
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from engine.core import Compiled
from engine.setup import Setup
from rules.definitions import Action, ExceptionClause, Feature, ListDefinition, Rule, Template
from rules.tree import Node

PROTOCOL: Final = 5
TEXTS_MAX, ROWS_MAX = 5_000, 1_000  # of a list in one piece
_LOCAL: Final = "<locals>"  # in the qualified name of a function that a function made
# Modules whose frozen dataclasses hold nothing that holds on to them: they are made anew from their fields, which is
# four times as fast as filling in an empty one.
_PLAIN: Final = frozenset({"rules.definitions", "rules.columns", "rules.tree", "config.schema"})


def for_running(setup: Setup) -> Setup:
    """The same configuration without what only people and tests read of it: it is smaller by two thirds."""
    shared = _Shared()
    pack = replace(
        setup.pack,
        rules=tuple(map(shared.rule, setup.pack.rules)),
        features={name: shared.feature(of) for name, of in setup.pack.features.items()},
    )
    derived = {name: shared.node(tree) for name, tree in setup.derived.items()}
    return replace(setup, pack=pack, derived=derived)


class _Shared:
    """Leaves the places of words out of trees; what is the same then is one object, and travels once."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Node] = {}

    def rule(self, rule: Rule) -> Rule:
        return replace(
            rule,
            when=self.node(rule.when),
            score=self.node(rule.score),
            actions=tuple(map(self._action, rule.actions)),
            exceptions=tuple(map(self._exception, rule.exceptions)),
            params=(),
            tests=(),
        )

    def feature(self, feature: Feature) -> Feature:
        aggregate = feature.aggregate
        if aggregate is not None:
            argument, where = map(self._maybe, (aggregate.argument, aggregate.where))
            aggregate = replace(aggregate, argument=argument, where=where)
        return replace(feature, aggregate=aggregate, expression=self._maybe(feature.expression))

    def node(self, node: Node) -> Node:
        args = tuple(map(self.node, node.args))
        # by the text of the value: 0.0 is equal to -0.0 and to false, and means something else
        key = (node.op, node.type, tuple(map(id, args)), type(node.value), repr(node.value))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Node(node.op, node.type, args, node.value)
        return found

    def _action(self, action: Action) -> Action:
        title = action.title
        if title is not None:
            parts = [p if isinstance(p, str) else (self.node(p[0]), p[1]) for p in title.parts]
            title = Template(tuple(parts), title.text)
        return replace(action, title=title, value=self._maybe(action.value))

    def _maybe(self, node: Node | None) -> Node | None:
        return None if node is None else self.node(node)

    def _exception(self, clause: ExceptionClause) -> ExceptionClause:
        return replace(clause, when=self.node(clause.when))


class Sender:
    """Pickles a compiled configuration piece by piece."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._pickler = _Pickler(self._file, PROTOCOL)

    def pieces(self, compiled: Compiled) -> Iterator[bytes]:
        """Every piece; the last one is `compiled` itself."""
        pack = compiled.setup.pack
        parts: list[object] = [compiled.setup.schema, *pack.features.values(), *pack.rules]
        parts += [part for of in pack.lists.values() for part in _of_list(of)]
        parts += [
            *compiled.ruleset.contents,
            *compiled.ruleset.strata,
            compiled.layout,
            pack,
            compiled.setup,
        ]
        parts += [compiled.meanings, compiled.scoring, compiled.ruleset]
        for part in (*parts, compiled):
            self._file.seek(0)
            self._file.truncate()
            self._pickler.dump(part)
            yield self._file.getvalue()


def _of_list(of: ListDefinition) -> Iterator[object]:
    """The content of a long list, some of it at a time."""
    if len(of.values) <= TEXTS_MAX:
        return
    values = [*of.values]
    for first in range(0, len(values), TEXTS_MAX):
        yield frozenset(values[first : first + TEXTS_MAX])
    for first in range(0, len(of.rows), ROWS_MAX):
        yield of.rows[first : first + ROWS_MAX]
    if "by_value" in vars(of):
        found = [*of.by_value.values()]
        for first in range(0, len(found), TEXTS_MAX):
            yield found[first : first + TEXTS_MAX]
        yield of.by_value
    yield of.values
    yield of.rows
    yield of


class Receiver:
    """Puts the pieces of one `Sender` together again."""

    def __init__(self) -> None:
        self._pieces = _Pieces()
        self._unpickler = pickle.Unpickler(self._pieces)  # noqa: S301 - from our own child

    def take(self, piece: bytes) -> object:
        """What the piece is; of the last one a `Compiled`."""
        self._pieces.give(piece)
        return self._unpickler.load()


class _Pieces:
    """A file that holds one piece at a time: an unpickler must not see a new file, or it would forget."""

    def __init__(self) -> None:
        self._piece, self._at = b"", 0

    def give(self, piece: bytes) -> None:
        assert self._at == len(self._piece), "a piece was not read to its end"
        self._piece, self._at = piece, 0

    def read(self, n: int = -1) -> bytes:
        stop = len(self._piece) if n < 0 else self._at + n
        found, self._at = self._piece[self._at : stop], min(stop, len(self._piece))
        return found

    def readline(self) -> bytes:
        stop = self._piece.find(b"\n", self._at) + 1
        return self.read(stop - self._at if stop else -1)


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self._names: dict[type, tuple[str, ...]] = {}  # of the fields of plain dataclasses

    def reducer_override(self, obj: object) -> Any:
        kind = type(obj)
        names = self._names.get(kind)
        if names is None:
            names = self._names[kind] = _plain_fields(kind)
        if names:
            return kind, tuple(getattr(obj, name) for name in names)
        if isinstance(obj, types.FunctionType) and _LOCAL in obj.__qualname__:
            cells = tuple(cell.cell_contents for cell in obj.__closure__ or ())
            code = marshal.dumps(obj.__code__)
            return _function, (obj.__module__, code, obj.__defaults__, cells)
        if isinstance(obj, types.MappingProxyType):
            return _proxy, (dict(obj),)
        return NotImplemented


def _plain_fields(kind: type) -> tuple[str, ...]:
    """What a plain dataclass is made from, in order; nothing for any other type."""
    if kind.__module__ not in _PLAIN or not is_dataclass(kind) or "__slots__" not in vars(kind):
        return ()  # without slots it may know more than its fields, such as a list its rows by value
    is_frozen = kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    known = fields(kind)
    is_made = all((f.init and not f.kw_only) or f.name == "_hash" for f in known)
    if not is_frozen or not is_made or hasattr(kind, "__post_init__"):
        return ()
    return tuple(f.name for f in known if f.init)


def _function(
    module: str, code: bytes, defaults: tuple[Any, ...] | None, cells: tuple[Any, ...]
) -> types.FunctionType:
    __import__(module)
    made = marshal.loads(code)  # noqa: S302 - from our own child
    closure = tuple(types.CellType(value) for value in cells)
    return types.FunctionType(made, vars(sys.modules[module]), made.co_name, defaults, closure)


def _proxy(content: dict[Any, Any]) -> Mapping[Any, Any]:
    return types.MappingProxyType(content)
