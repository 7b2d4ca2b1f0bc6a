"""A compiled configuration on its way from the process that compiled it to the engine, in pieces of a millisecond.

Reading 500 rules from one pickle would hold the engine up for tens of milliseconds. So the parts are pickled one after
the other by one pickler: each piece refers to what the pieces before it brought, and the last is the whole. Pieces stay
in the memory of two processes of one program, parent and child; nothing of the kind is ever written into a file.

A list that holds what it held is not sent at all: the receiver takes what it has. Of a long one that has changed, sets,
lists and look-ups grow piece by piece, for to make one of 100,000 texts takes as long as ten pieces.

Answers of rules to texts (rules/texts.py) are functions made by functions, which pickle refuses; they travel as their
code and what they hold on to. Both ends are the same interpreter.
"""

import copy
import io
import marshal
import pickle
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from engine.core import Compiled, Core
from engine.meanings import Meanings, WorkedOut
from engine.setup import Setup
from rules.definitions import (
    Action,
    ExceptionClause,
    Feature,
    ListDefinition,
    Place,
    Rule,
    Template,
)
from rules.lists import Listed
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


class _Here:
    """Stands for what the receiver has: the first piece of all, to which others refer.

    meanings : what was worked out about the active configuration, which the engine needs to compare with
    contents : of its lists, by name; put in by the receiver
    """

    def __init__(self, meanings: WorkedOut | None) -> None:
        self.meanings = meanings
        self.contents: dict[str, Listed] = {}


class _Growing:
    """The parts of one list that take long to make: they travel empty, and grow."""

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.rows: list[object] = []
        self.by_value: dict[str, object] = {}
        self.marked: list[str] = []


class _More:
    """A piece that has something be put into what is growing."""

    def __init__(self, into: object, part: object) -> None:
        self.into, self.part = into, part


class Sender:
    """Pickles a compiled configuration piece by piece.

    same   : names of lists that hold what those of the receiver's active configuration hold
    active : what was worked out about that configuration, if the receiver is to know it
    """

    def __init__(self, same: frozenset[str] = frozenset(), active: Meanings | None = None) -> None:
        self._file = io.BytesIO()
        self._here = _Here(None if active is None else active.worked_out)
        self._pickler = _Pickler(self._file, self._here, same)
        self._same = same

    def pieces(self, compiled: Compiled) -> Iterator[bytes]:
        """Every piece; the last one is `compiled` itself."""
        pack = compiled.setup.pack
        parts: list[object] = [self._here, compiled.setup.schema]
        parts += [*pack.features.values(), *pack.rules]
        for of in pack.lists.values():
            parts += [*self._of_list(of), of]
        for content in compiled.ruleset.contents:
            parts += [*self._of_content(content), content]
        parts += [*compiled.ruleset.strata, compiled.layout, pack, compiled.setup]
        parts += [compiled.meanings, compiled.scoring, compiled.ruleset]
        for part in (*parts, compiled):
            self._file.seek(0)
            self._file.truncate()
            self._pickler.dump(part)
            yield self._file.getvalue()

    def _of_list(self, of: ListDefinition) -> Iterator[object]:
        """The content of a long list, some of it at a time."""
        if of.name in self._same or len(of.values) <= TEXTS_MAX:
            return
        growing = self._pickler.growing[of.name] = _Growing()
        values = [*of.values]
        for first in range(0, len(values), TEXTS_MAX):
            yield _More(growing.values, values[first : first + TEXTS_MAX])
        for first in range(0, len(of.rows), ROWS_MAX):
            yield _More(growing.rows, of.rows[first : first + ROWS_MAX])
        if "by_value" in vars(of):
            found = [*of.by_value.items()]
            for first in range(0, len(found), ROWS_MAX):
                yield _More(growing.by_value, dict(found[first : first + ROWS_MAX]))

    def _of_content(self, content: Listed) -> Iterator[object]:
        growing = self._pickler.growing.get(content.of.name)
        if growing is not None:
            marked = vars(content)["_marked"]
            for first in range(0, len(marked), TEXTS_MAX):
                yield _More(growing.marked, marked[first : first + TEXTS_MAX])


class Receiver:
    """Puts the pieces of one `Sender` together again, for an engine that runs `active`."""

    def __init__(self, active: Core | None = None) -> None:
        self._active = active
        self._pieces = _Pieces()
        self._unpickler = pickle.Unpickler(self._pieces)  # noqa: S301 - from our own child

    def take(self, piece: bytes) -> object:
        """What the piece is; of the last one a `Compiled`."""
        self._pieces.give(piece)
        found = self._unpickler.load()
        if isinstance(found, _Here) and self._active is not None:
            found.contents = {content.of.name: content for content in self._active.ruleset.contents}
            if found.meanings is not None:
                self._active.meanings.take_over(found.meanings)
        return found


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
    def __init__(self, file: io.BytesIO, here: _Here, same: frozenset[str]) -> None:
        super().__init__(file, PROTOCOL)
        self._here, self._same = here, same
        self.growing: dict[str, _Growing] = {}  # by name of the list
        self._names: dict[type, tuple[str, ...]] = {}  # of the fields of plain dataclasses

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        names = self._names.get(kind)
        if names is None:
            names = self._names[kind] = _plain_fields(kind)
        if names:
            return kind, tuple(getattr(obj, name) for name in names)
        if kind is _More:
            return _grow, (obj.into, obj.part)
        if kind is ListDefinition:
            return self._list(obj)
        if kind is Listed:
            return self._content(obj)
        if isinstance(obj, types.FunctionType) and _LOCAL in obj.__qualname__:
            cells = tuple(cell.cell_contents for cell in obj.__closure__ or ())
            code = marshal.dumps(obj.__code__)
            return _function, (obj.__module__, code, obj.__defaults__, cells)
        if isinstance(obj, types.MappingProxyType):
            return _proxy, (dict(obj),)
        return NotImplemented

    def _list(self, of: ListDefinition) -> Any:
        if of.name in self._same:
            return _list_here, (self._here, of.name, of.place, of.origin, of.owner, of.review_by_us)
        growing = self.growing.get(of.name)
        if growing is None:
            return NotImplemented
        state = {**vars(of), "values": growing.values, "rows": growing.rows}
        if "by_value" in state:
            state["by_value"] = growing.by_value
        return _list, (state,)

    def _content(self, content: Listed) -> Any:
        if content.of.name in self._same:
            return _content_here, (self._here, content.of)
        growing = self.growing.get(content.of.name)
        if growing is None:
            return NotImplemented
        return _content, ({**vars(content), "_marked": growing.marked},)


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


def _grow(into: Any, part: Any) -> object:
    (into.extend if isinstance(into, list) else into.update)(part)
    return into


def _list(state: dict[str, Any]) -> ListDefinition:
    made = object.__new__(ListDefinition)
    whole = {"values": frozenset(state["values"]), "rows": tuple(state["rows"])}
    vars(made).update({**state, **whole})
    return made


def _list_here(
    here: _Here, name: str, place: Place, origin: str, owner: str, review_by_us: int | None
) -> ListDefinition:
    made = copy.copy(here.contents[name].of)  # with its rows by value
    told = {"place": place, "origin": origin, "owner": owner, "review_by_us": review_by_us}
    vars(made).update(told)
    return made


def _content(state: dict[str, Any]) -> Listed:
    made = object.__new__(Listed)
    vars(made).update(state)
    return made


def _content_here(here: _Here, of: ListDefinition) -> Listed:
    return here.contents[of.name].anew(of)


def _proxy(content: dict[Any, Any]) -> Mapping[Any, Any]:
    return types.MappingProxyType(content)
