"""Feeds: how a source of messages names and writes things, and what they are called here.

A feed file maps foreign names and shapes onto the schema, so that everything behind it sees one language. This module
reads and checks such files; what is done with them stands in engine/brokers/.

    fields     ours: theirs; or {field: theirs, values: {theirs: ours}}; several of theirs are joined by "-"
    constants  ours: a text that every row gets
    time       format (rfc3339, epoch_ms, epoch_s, local, or a strptime pattern), and the zone of times without offset
    amount     unit (major, minor), sign (unsigned; negative_out, negative_in: the sign gives the direction), noisy
               (true: the amounts were computed as binary floats, and 85.64999999999999 means 85.65)
    order      file (as the rows stand), time (by time, then by id)
    lateness   how far a row may lie behind the newest one and still count; instead of the setting
    label      a column with verdicts: each becomes a label message, `delay` after its transaction
    ignore     their fields that are known, and not wanted
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from config import marks
from config.durations import duration_us
from config.errors import ConfigError
from config.schema import NEEDED, VERDICTS, Schema, near

CANONICAL: Final = "canonical"
FORMATS: Final = ("rfc3339", "epoch_ms", "epoch_s", "local")
UNITS: Final = ("major", "minor")
SIGNS: Final = ("unsigned", "negative_out", "negative_in")
ORDERS: Final = ("file", "time")
ENVELOPE: Final = ("kind", "update_id", "activity_id", "role")


@dataclass(frozen=True, slots=True)
class Target:
    """How one of our fields is made: from `sources` (joined by "-"), translated by `values` where that knows them."""

    name: str
    sources: tuple[str, ...]
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """A column of labels. Values in neither list, and empty ones, are no label."""

    field: str
    fraud: frozenset[str]
    genuine: frozenset[str]
    delay_us: int


@dataclass(frozen=True, slots=True)
class Feed:
    """A checked feed. Without `targets` the names are ours already."""

    name: str
    targets: tuple[Target, ...] = ()
    constants: Mapping[str, str] = field(default_factory=dict)
    time_format: str = "rfc3339"
    zone: str = ""
    amount_unit: str = "major"
    amount_sign: str = "unsigned"
    amount_noisy: bool = False
    order: str = "file"
    lateness_us: int | None = None
    label: Verdicts | None = None
    ignore: frozenset[str] = frozenset()

    @property
    def is_canonical(self) -> bool:
        """Whether messages can be taken as they are."""
        shaped = self.time_format == "rfc3339" and self.amount_unit == "major"
        plain = self.amount_sign == "unsigned" and self.order == "file" and not self.amount_noisy
        return shaped and plain and not (self.targets or self.constants or self.label)


class _TimeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str = "rfc3339"
    zone: str = ""


class _AmountFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    unit: str = "major"
    sign: str = "unsigned"
    noisy: bool = False


class _LabelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    field: str
    fraud: list[str]
    genuine: list[str] = []
    delay: str


class _TargetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    field: str | list[str]
    values: dict[str, str] = {}


_KEYS: Final = (
    "feed", "fields", "constants", "time", "amount", "order", "lateness", "label", "ignore",
)  # fmt: skip


def find(folder: Path, name: str, schema: Schema) -> Feed:
    """Read the feed `name` of a configuration; `canonical` is there even without a file."""
    path = folder / f"{name}.yaml"
    if path.is_file():
        return read(path, schema)
    if name == CANONICAL:
        return Feed(CANONICAL)
    known = sorted({CANONICAL, *(p.stem for p in folder.glob("*.yaml"))})
    raise ConfigError(f"there is no feed `{name}` in {folder}", fix=near(name, known))


def read(path: Path, schema: Schema, shown: str = "") -> Feed:
    """Read a feed file; raise ConfigError with file, line and column at the first thing that is wrong."""
    return build(marks.read(path, shown), schema)


def build(root: marks.MapNode, schema: Schema) -> Feed:
    """Check a feed that was read and put it together."""
    for key in root.keys.values():
        if key.value not in _KEYS:
            raise ConfigError(f"unknown key `{key.value}`", key.place(), fix=near(key.value, _KEYS))
    if "feed" not in root:
        raise ConfigError("`feed` is missing", root.place(), fix="add `feed: NAME`")
    targets = _targets(root, schema)
    constants = _constants(root, schema)
    _check_complete(root, targets, constants)
    time_format, zone = _time(root)
    amount = marks.convert(root["amount"], _AmountFile) if "amount" in root else _AmountFile()
    if "amount" in root:
        _one_of(root["amount"], "unit", amount.unit, UNITS)
        _one_of(root["amount"], "sign", amount.sign, SIGNS)
    order = marks.convert(root["order"], str) if "order" in root else "file"
    if "order" in root:
        _one_of(root["order"], "order", order, ORDERS)
    return Feed(
        marks.convert(root["feed"], str),
        targets,
        constants,
        time_format,
        zone,
        amount.unit,
        amount.sign,
        amount.noisy,
        order,
        _duration(root["lateness"]) if "lateness" in root else None,
        _label(root["label"], targets) if "label" in root else None,
        frozenset(marks.convert(root["ignore"], list[str]) if "ignore" in root else ()),
    )


def _one_of(node: marks.Node, key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"`{key}` cannot be `{value}`", node.place(), fix=near(value, known))


def _duration(node: marks.Node) -> int:
    try:
        return duration_us(marks.convert(node, str))
    except ConfigError as error:
        raise ConfigError(error.what, node.place(), error.why, error.fix) from None


def _check_name(key: marks.TextNode, schema: Schema) -> None:
    if key.value in ENVELOPE or key.value in schema.keys:
        return
    raise ConfigError(
        f"`{key.value}` is no field of the schema", key.place(), fix=near(key.value, schema.keys)
    )


def _targets(root: marks.MapNode, schema: Schema) -> tuple[Target, ...]:
    if "fields" not in root:
        return ()
    node = root["fields"]
    if not isinstance(node, marks.MapNode):
        raise ConfigError("`fields` is a mapping, ours: theirs", node.place())
    found = []
    for key, entry in node.items():
        _check_name(key, schema)
        if isinstance(entry, marks.MapNode):
            spec = marks.convert(entry, _TargetFile)
        else:
            spec = _TargetFile(field=marks.convert(entry, str | list[str]))  # type: ignore[arg-type]
        sources = (spec.field,) if isinstance(spec.field, str) else tuple(spec.field)
        if not sources or "" in sources:
            raise ConfigError(f"`{key.value}` names no field of theirs", entry.place())
        column = schema.keys.get(key.value)
        if len(sources) > 1 and (column is None or column.kind not in ("id", "category", "text")):
            raise ConfigError(
                f"`{key.value}` cannot be joined from several fields",
                entry.place(),
                why="only texts can stand one after the other",
            )
        found.append(Target(key.value, sources, spec.values))
    return tuple(found)


def _constants(root: marks.MapNode, schema: Schema) -> Mapping[str, str]:
    if "constants" not in root:
        return {}
    node = root["constants"]
    values = marks.convert(node, dict[str, str])
    assert isinstance(node, marks.MapNode)
    for key in node.keys.values():
        _check_name(key, schema)
        if key.value in schema.keys and schema.keys[key.value].kind not in (
            "id",
            "category",
            "text",
        ):
            raise ConfigError(
                f"`{key.value}` cannot be a constant", key.place(), why="only texts can be constant"
            )
    return values


def _check_complete(
    root: marks.MapNode, targets: tuple[Target, ...], constants: Mapping[str, str]
) -> None:
    """A field has one origin, and a feed of transactions that renames has all that each of them needs."""
    names = {t.name for t in targets}
    for key in sorted(names & constants.keys()):
        raise ConfigError(f"`{key}` is a field and a constant", root["constants"].place())
    if not targets or constants.get("kind", "transaction") != "transaction" or "kind" in names:
        return
    for name in NEEDED:
        if name not in names and name not in constants:
            raise ConfigError(
                f"nothing gives `{name}`",
                root["fields"].place(),
                why="every transaction would be a dead letter",
                fix=f"name their field for `{name}` under `fields`, or a constant under `constants`",
            )


def _time(root: marks.MapNode) -> tuple[str, str]:
    spec = marks.convert(root["time"], _TimeFile) if "time" in root else _TimeFile()
    if "time" not in root:
        return spec.format, spec.zone
    node = root["time"]
    if "%" not in spec.format:
        _one_of(node, "format", spec.format, FORMATS)
    has_offset = spec.format in ("rfc3339", "epoch_ms", "epoch_s") or "%z" in spec.format
    if not has_offset and not spec.zone:
        raise ConfigError(
            f"times in the format `{spec.format}` have no offset, and the feed has no zone",
            node.place(),
            why="10:00 is another moment in every zone",
            fix="add `zone: UTC`, or a zone such as `Europe/Berlin`",
        )
    if has_offset and spec.zone:
        raise ConfigError(
            f"times in the format `{spec.format}` carry their offset, a zone means nothing",
            node.place(),
            fix="remove `zone`, or use the format `local`",
        )
    try:
        ZoneInfo(spec.zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"unknown zone `{spec.zone}`", node.place(), fix="write a zone such as `Europe/Berlin`"
        ) from None
    return spec.format, spec.zone


def _label(node: marks.Node, targets: tuple[Target, ...]) -> Verdicts:
    spec = marks.convert(node, _LabelFile)
    assert isinstance(node, marks.MapNode)
    both = sorted(set(spec.fraud) & set(spec.genuine))
    if both:
        raise ConfigError(f"`{both[0]}` means {VERDICTS[0]} and {VERDICTS[1]}", node.place())
    if not targets:
        raise ConfigError(
            "`label` needs `fields`",
            node.place(),
            why="verdicts stand in the rows of foreign tables; our own labels are messages",
        )
    delay_us = _duration(node["delay"])
    return Verdicts(spec.field, frozenset(spec.fraud), frozenset(spec.genuine), delay_us)
