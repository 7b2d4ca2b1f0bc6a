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
from dataclasses import replace
from typing import Any, Final

from engine.core import Compiled
from engine.setup import Setup

PROTOCOL: Final = 5
_LOCAL: Final = "<locals>"  # in the qualified name of a function that a function made


def for_running(setup: Setup) -> Setup:
    """The same configuration without what only people and tests read of it: it is smaller by half."""
    rules = tuple(replace(rule, tests=()) for rule in setup.pack.rules)
    return replace(setup, pack=replace(setup.pack, rules=rules))


class Sender:
    """Pickles a compiled configuration piece by piece."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._pickler = _Pickler(self._file, PROTOCOL)

    def pieces(self, compiled: Compiled) -> Iterator[bytes]:
        """Every piece; the last one is `compiled` itself."""
        pack = compiled.setup.pack
        parts: list[object] = [compiled.setup.schema, *pack.features.values(), *pack.rules]
        parts += [*compiled.ruleset.strata, compiled.layout, pack, compiled.setup]
        parts += [compiled.meanings, compiled.scoring, compiled.ruleset]
        for part in (*parts, compiled):
            self._file.seek(0)
            self._file.truncate()
            self._pickler.dump(part)
            yield self._file.getvalue()


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
    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, types.FunctionType) and _LOCAL in obj.__qualname__:
            cells = tuple(cell.cell_contents for cell in obj.__closure__ or ())
            code = marshal.dumps(obj.__code__)
            return _function, (obj.__module__, code, obj.__defaults__, cells)
        if isinstance(obj, types.MappingProxyType):
            return _proxy, (dict(obj),)
        return NotImplemented


def _function(
    module: str, code: bytes, defaults: tuple[Any, ...] | None, cells: tuple[Any, ...]
) -> types.FunctionType:
    __import__(module)
    made = marshal.loads(code)  # noqa: S302 - from our own child
    closure = tuple(types.CellType(value) for value in cells)
    return types.FunctionType(made, vars(sys.modules[module]), made.co_name, defaults, closure)


def _proxy(content: dict[Any, Any]) -> Mapping[Any, Any]:
    return types.MappingProxyType(content)
