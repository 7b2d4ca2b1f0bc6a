"""Which features share which event log, in which order: the shape of saved windows.

State of a log is laid out by the features it was built for, in their order. A configuration that goes on from the state
of another one keeps the logs it finds, whatever order it would have chosen itself; features that have gone leave a gap
in their log (nothing enters it any more, and nobody reads it), and new ones form logs of their own. No result depends
on the shape; the bytes of saved state do, so it is saved with them.

What a feature is to its log is said by meaning, never by places in a layout or by names, for these move when anything
else in a configuration changes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from engine.state import Arrays
from engine.windows.tables import GONE, split
from rules.columns import Place
from rules.definitions import Aggregate, Window
from rules.ruleset import WindowSpec
from rules.tree import NUMBER, Type

_PARTS: Final = frozenset(
    {"keys", "window", "argument", "where"}
)  # of an aggregate, said otherwise
GAP: Final = "~gap"  # begins the name of a feature that has gone


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """What a window feature is, independent of where its columns stand.

    feature            : digest of everything that its values depend on
    filter, argument   : the same for its domain and condition, and for its argument ("" for none)
    keys               : names of the key columns, sorted
    window, options    : of its aggregate, as in rules/definitions.py
    coded, decimals    : of its argument
    The latter are enough to lay out the log again when the feature itself has gone.
    """

    feature: str
    filter: str
    argument: str
    keys: tuple[str, ...]
    window: Window
    options: dict[str, str | int | float | bool]
    coded: bool = False
    decimals: int = 0


class Slot(msgspec.Struct, frozen=True):
    """The place of one feature in its log; `gone` if nothing has entered it since some configuration."""

    meaning: Meaning
    gone: bool = False


class LogShape(msgspec.Struct, frozen=True):
    """One event log."""

    name: str
    slots: tuple[Slot, ...]


Shape = tuple[LogShape, ...]
Namer = Callable[[WindowSpec], Meaning]


class Arranged(NamedTuple):
    """One event log of a configuration: its shape, and its features with places; names of gaps begin with GAP."""

    shape: LogShape
    specs: list[WindowSpec]


def meaning_of(spec: WindowSpec, feature: str, filter_: str, argument: str) -> Meaning:
    """The meaning of `spec`, given the digests of what it stands for."""
    aggregate = spec.aggregate
    named = {f.name: getattr(aggregate, f.name) for f in fields(aggregate)}
    return Meaning(
        feature=feature,
        filter=filter_,
        argument=argument,
        keys=tuple(sorted(set(aggregate.keys))),
        window=aggregate.window,
        options={name: value for name, value in named.items() if name not in _PARTS},
        coded=spec.argument is not None and spec.argument.is_code,
        decimals=spec.decimals,
    )


def by_place(spec: WindowSpec) -> Meaning:
    """The meaning of a feature of which nothing is known but its places: good within one layout."""
    argument = spec.argument
    where = "" if argument is None else f"{int(argument.is_code)}:{argument.row}"
    digest = f"{spec.aggregate} {spec.filter} {where} {spec.decimals}"
    return meaning_of(spec, digest, str(spec.filter), where)


def arrange(specs: Sequence[WindowSpec], namer: Namer, shape: Shape = ()) -> list[Arranged]:
    """Sort features into event logs: first those of `shape` that still hold one, then new logs for the others."""
    meanings = {spec.name: namer(spec) for spec in specs}
    alike = _with_one_place_each(specs, meanings)
    waiting: dict[str, list[WindowSpec]] = {}
    for spec in alike:
        waiting.setdefault(meanings[spec.name].feature, []).append(spec)
    filters = {meanings[spec.name].filter: spec.filter for spec in alike}
    places = {meanings[s.name].argument: s.argument for s in alike if s.argument is not None}
    arranged: list[Arranged] = []
    for log in shape:
        slots: list[Slot] = []
        held: list[WindowSpec] = []
        for k, slot in enumerate(log.slots):
            known = waiting.get(slot.meaning.feature) if not slot.gone else None
            slots.append(Slot(slot.meaning, gone=not known))
            held.append(known.pop(0) if known else _gap(k, slot.meaning, filters, places))
        if not all(slot.gone for slot in slots):
            arranged.append(Arranged(LogShape(log.name, tuple(slots)), held))
    left = {spec.name for rest in waiting.values() for spec in rest}
    taken = {log.shape.name for log in arranged}
    by_log: dict[tuple[tuple[str, ...], str], list[WindowSpec]] = {}
    for spec in alike:
        if spec.name in left:
            meaning = meanings[spec.name]
            last = meaning.filter if meaning.window.last else ""
            by_log.setdefault((meaning.keys, last), []).append(spec)
    for (keys, last), together in by_log.items():
        for some in split(together):
            name = _free_name("+".join(keys) + (".last" if last else ""), taken)
            taken.add(name)
            log_shape = LogShape(name, tuple(Slot(meanings[spec.name]) for spec in some))
            arranged.append(Arranged(log_shape, some))
    return arranged


def fits(shape: LogShape, other: LogShape) -> bool:
    """Whether the state of a log of shape `other` is that of one of `shape`: the same slots, and none filled again."""
    return len(shape.slots) == len(other.slots) and all(
        a.meaning == b.meaning and (a.gone or not b.gone)
        for a, b in zip(shape.slots, other.slots, strict=True)
    )


def encode(shape: Shape) -> Arrays:
    """A shape as an array of bytes."""
    return {"shape": np.frombuffer(msgspec.json.encode(shape), np.uint8).copy()}


def decode(array: NDArray[Any]) -> Shape:
    """The shape that `encode` gave; `StateError` if it is none."""
    try:
        return msgspec.json.decode(array.tobytes(), type=Shape)
    except msgspec.DecodeError as error:
        raise StateError(
            f"the shape of the saved windows cannot be read: {error}",
            why="without it nobody can say what their words mean",
            fix="go on from the snapshot before, or replay the journal",
        ) from None


def _with_one_place_each(
    specs: Sequence[WindowSpec], meanings: dict[str, Meaning]
) -> list[WindowSpec]:
    """Features whose conditions or arguments mean the same read the same place, however they were written."""
    filters: dict[str, int] = {}
    places: dict[str, Place] = {}
    alike = []
    for spec in specs:
        meaning, argument = meanings[spec.name], spec.argument
        row = filters.setdefault(meaning.filter, spec.filter)
        if argument is not None:
            argument = places.setdefault(meaning.argument, argument)
        alike.append(WindowSpec(spec.name, spec.aggregate, row, argument, spec.decimals, spec.out))
    return alike


def _gap(k: int, meaning: Meaning, filters: dict[str, int], places: dict[str, Place]) -> WindowSpec:
    """Stand in for slot `k` of a feature that has gone: the same words in the log, and nothing enters them.

    Filters and columns that nobody else has get numbers from GONE on, one for each meaning, so that gaps share what
    the features shared.
    """
    row = filters.setdefault(meaning.filter, GONE + len(filters))
    place = None
    if meaning.argument:
        place = places.setdefault(
            meaning.argument, Place(meaning.coded, GONE + len(places), Type(NUMBER))
        )
    aggregate = Aggregate(keys=meaning.keys, window=meaning.window, **meaning.options)  # type: ignore[arg-type]
    out = Place(False, -1, Type(NUMBER))
    return WindowSpec(f"{GAP} {k}", aggregate, row, place, meaning.decimals, out)


def _free_name(stem: str, taken: Iterable[str]) -> str:
    known = set(taken)
    return next(name for k in range(len(known) + 1) if (name := f"{stem}.{k}") not in known)
