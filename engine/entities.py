"""Texts as codes, and what is known about accounts, customers and cards beside their events.

A dictionary gives every new text the next code, in the order in which rows bring them; so the codes, and with them all
state that is indexed by code, are the same however the stream is cut into batches. Attributes are what `profile`
messages have set, one array per attribute, indexed by the code of the entity.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.schema import Column, Schema
from engine.batch import Batch, Profile
from engine.kernels.attributes import STEP, fill_rows
from engine.state import Arrays, prefixed, under
from engine.texts import Texts
from rules import tree
from rules.columns import Layout
from rules.tree import Type

if TYPE_CHECKING:
    from engine.scanning.codes import TextTable

I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]

CODED = frozenset({"id", "category", "text"})
FEW: Final = 8  # so many texts are faster one by one than through numpy


class Dictionary:
    """Codes of one domain, from 0 without a gap. Memory: 60 to 96 bytes a text of 10, and it never shrinks."""

    def __init__(self, name: str, of: "Dictionaries") -> None:
        self.name = name
        self.texts = Texts()
        self._of = of

    def __len__(self) -> int:
        return len(self.texts)

    def code(self, text: str) -> int:
        """Code of `text`; a new text gets the next one."""
        found = self.find(text)
        if found < 0:
            (found,) = self._of.table.encode_texts([text], self.name, self.texts).tolist()
        return found

    def find(self, text: str) -> int:
        """Code of `text`, or -1 if no row has brought it yet."""
        return self._of.table.find(text, self.name, self.texts)

    def encode(self, values: Iterable[str | None]) -> I4:
        """Codes (n,) of `values` in their order, -1 for None."""
        values = list(values)
        if len(values) > FEW:
            return self._of.table.encode_texts(values, self.name, self.texts)
        return np.array([-1 if text is None else self.code(text) for text in values], np.int32)

    def adopt(self, other: "Dictionary") -> None:
        """Go on from the very codes of `other`."""
        self.texts = other.texts


class _Codes(dict[str | None, int]):
    """Text -> code; asking for a new text gives it the next one. None is -1."""

    def __init__(self) -> None:
        super().__init__({None: -1})
        self.texts: list[str] = []

    def __missing__(self, text: str) -> int:
        code = self[text] = len(self.texts)
        self.texts.append(text)
        return code


class PassingDictionary:
    """Codes of the texts of one batch, from 0 without a gap."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._codes = _Codes()
        self.texts = self._codes.texts

    def __len__(self) -> int:
        return len(self.texts)

    def code(self, text: str) -> int:
        """Code of `text`; a new text gets the next one."""
        return self._codes[text]

    def find(self, text: str) -> int:
        """Code of `text`, or -1 if no row has brought it yet."""
        return self._codes.get(text, -1)

    def encode(self, values: Iterable[str | None]) -> I4:
        """Codes (n,) of `values` in their order, -1 for None."""
        return np.fromiter(map(self._codes.__getitem__, values), np.int32)


class Dictionaries(Mapping[str, Dictionary | PassingDictionary]):
    """Every dictionary by name; asking for one that is not there makes an empty one.

    `text` is different: decode replaces it at every batch, it is never saved, and its codes mean nothing afterwards.
    """

    def __init__(self) -> None:
        self._all: dict[str, Dictionary | PassingDictionary] = {}
        self._table: TextTable | None = None

    @property
    def table(self) -> "TextTable":
        """Codes by their texts: not state, but derived from it."""
        if self._table is None:
            from engine.scanning.codes import TextTable

            self._table = TextTable()
        return self._table

    def __getitem__(self, name: str) -> Dictionary | PassingDictionary:
        found = self._all.get(name)
        if found is None:
            found = self.renew() if name == tree.TEXT else Dictionary(name, self)
            self._all[name] = found
        return found

    def kept(self, name: str) -> Dictionary:
        """The dictionary `name`, which is not `text`."""
        found = self[name]
        assert isinstance(found, Dictionary), f"`{name}` is not kept"
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def renew(self) -> PassingDictionary:
        """Replace the dictionary `text` by an empty one."""
        found = self._all[tree.TEXT] = PassingDictionary(tree.TEXT)
        return found

    def adopt(self, other: "Dictionaries") -> None:
        """Go on from the very codes of `other`, which must not be used any more; what it does not have begins empty."""
        for name in {*self._all, *other} - {tree.TEXT}:
            self.kept(name).adopt(other.kept(name))
        self._table = other._table  # noqa: SLF001

    def all_kept(self) -> list[Dictionary]:
        """Those that outlive a batch, by name."""
        found = [held for _, held in sorted(self._all.items())]
        return [held for held in found if isinstance(held, Dictionary)]

    def save(self, *, copied: bool = True) -> Arrays:
        """Arrays `NAME/bytes` and `NAME/end`, by name; empty dictionaries leave no trace.

        copied : False: views, for whoever is done with them before the next batch
        """
        saved: Arrays = {}
        for held in self.all_kept():
            if len(held):
                saved |= prefixed(held.name, held.texts.save(copied=copied))
        return saved

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `save` gave; dictionaries that others hold on to stay the same objects.

        Raises `StateError` if a dictionary has a text twice.
        """
        names = {key.rpartition("/")[0] for key in arrays}
        for name in {*(held.name for held in self.all_kept()), *names}:
            texts = Texts.of(under(arrays, name)) if name in names else Texts()
            self.kept(name).texts = texts
        self.follow()

    def follow(self) -> None:
        """Take the texts that were loaded into the table, if it does not have them; `StateError` as for `load`."""
        self.table.follow({held.name: held.texts for held in self.all_kept()})


# ---------------------------------------------------------------- attributes


def place_sources(schema: Schema, layout: Layout) -> None:
    """Give a place to the ids without which the placed attributes, and fields filled from them, cannot be found."""
    waiting = [schema.columns[name] for name in layout.places if name in schema.columns]
    while waiting:
        column = waiting.pop()
        names = (column.name, *column.sources) if column.entity else column.sources
        for entity in dict.fromkeys(name.partition(".")[0] for name in names):
            if entity not in layout:
                layout.add(entity, Type(tree.ID, schema.columns[entity].domain))
                waiting.append(schema.columns[entity])


class Attributes:
    """What profiles have set, and the filling of events with it.

    An event takes an attribute as it stands after all messages before the event, whatever their times. A field that
    is present in the event wins over the attribute. Memory: 4 or 8 bytes an attribute and entity with a profile.
    """

    def __init__(self, schema: Schema, layout: Layout) -> None:
        self.layout = layout
        place_sources(schema, layout)
        self._columns = {c.name: c for c in schema.columns.values() if c.entity}
        self._arrays: dict[str, NDArray[Any]] = {
            name: np.full(0, *_missing(c)) for name, c in self._columns.items()
        }
        self._filled = _in_order(schema)
        self._n_set = 0
        self._steps: I8 | None = None  # None where an array has taken another's place
        self._n_places = 0  # that the layout had then

    def fill(self, batch: Batch) -> None:
        """Apply the batch's profiles in their order, and fill every event with what stands at its row."""
        start = 0
        for profile in batch.profiles:
            self._fill_rows(batch, start, profile.row)
            self._apply(profile)
            start = profile.row
        self._fill_rows(batch, start, batch.n)

    def _apply(self, profile: Profile) -> None:
        for name, value in profile.values:
            array = self._arrays[name]
            if profile.code >= len(array):
                fill, dtype = _missing(self._columns[name])
                grown: NDArray[Any] = np.full(
                    max(1 << 10, 2 * len(array), profile.code + 1), fill, dtype
                )
                grown[: len(array)] = array
                array = self._arrays[name] = grown
                self._steps = None
            array[profile.code] = value
            self._n_set += 1

    def _fill_rows(self, batch: Batch, start: int, stop: int) -> None:
        if batch.n and (self._n_set == 0 or start == stop):  # an empty batch warms the kernel up
            return
        if self._steps is None or self._n_places != len(self.layout.places):
            self._steps, self._n_places = self._lay_out(), len(self.layout.places)
        frame = batch.frame
        fill_rows(self._steps, batch.kind, start, stop, frame.number, frame.code)

    def _lay_out(self) -> I8:
        """What is filled from what, (s, STEP) int64 as engine/kernels/attributes.py reads it, with addresses."""
        places, steps = self.layout.places, []
        for column, sources in self._filled:
            place = places.get(column.name)
            for name in sources if place is not None else ():
                array, entity = self._arrays[name], places[name.partition(".")[0]]
                assert place is not None
                assert place.is_code == (array.dtype == np.int32), name
                steps.append((place.is_code, place.row, entity.row, array.ctypes.data, len(array)))
        return np.array(steps, np.int64).reshape(-1, STEP)

    def save(self) -> Arrays:
        """One array per attribute that was ever set, up to the last entity that has it."""
        saved: Arrays = {}
        for name, array in self._arrays.items():
            held = np.flatnonzero(array >= 0 if array.dtype == np.int32 else ~np.isnan(array))
            if len(held):
                saved[name] = array[: held[-1] + 1].copy()
        return saved

    def adopt(self, other: "Attributes", names: Iterable[str]) -> None:
        """Go on from the very values of `other`, which must not be used any more, of the attributes `names`."""
        for name in names:
            self._arrays[name] = other._arrays[name]  # noqa: SLF001
        self._steps = None
        self._n_set = sum(len(array) for array in self._arrays.values())

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Enter whole attributes, as `save` gives them."""
        for name, array in arrays.items():
            self._arrays[name] = array.copy()
            self._n_set += len(array)
        self._steps = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every attribute of the schema."""
        return tuple(self._columns)

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `save` gave. Attributes that the schema no longer has are dropped."""
        for name, column in self._columns.items():
            self._arrays[name] = (
                arrays[name].copy() if name in arrays else np.full(0, *_missing(column))
            )
        self._n_set = sum(name in self._columns for name in arrays)
        self._steps = None


def _missing(column: Column) -> tuple[float, type]:
    return (-1, np.int32) if column.kind in CODED else (np.nan, np.float64)


def _in_order(schema: Schema) -> list[tuple[Column, tuple[str, ...]]]:
    """Columns that attributes fill, each after the ids it is found by: customer before customer.segment."""
    waiting = [c for c in schema.columns.values() if c.sources]
    order: list[tuple[Column, tuple[str, ...]]] = []
    while waiting:
        names = {c.name for c in waiting}
        ready = [
            c for c in waiting if not names & {s.partition(".")[0] for s in c.sources} - {c.name}
        ]
        ready = ready or waiting  # a ring of entities: the order of the file
        order += [(column, column.sources) for column in ready]
        waiting = [c for c in waiting if c not in ready]
    order += [(c, (c.name,)) for c in schema.columns.values() if c.entity]
    return order
