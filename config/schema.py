"""The event schema: which fields a message may have, what they mean, and which of them a bank needs.

    name -> Column           what rules, windows and models read: fields, attributes (`account.opened_on`), derived ones
    event type -> kind       payment is a transaction, login an activity
    never_store              keys that are removed from a message before anything is written

A schema is a file that a bank edits (config/bank/schema.yaml says each key by example). Not here: how a message is
decoded (engine/decoding/), and how foreign names become these names (config/feeds.py).
"""

import difflib
import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from config import marks
from config.errors import ConfigError

KINDS: Final = ("id", "category", "money", "number", "duration", "time", "text", "flag", "geo")
DEGREES: Final = ("lat", "lon")  # what a `geo` field may hold
EVENTS: Final = frozenset({"transaction", "activity"})
DECIMALS: Final = 6  # of a number whose `scale` is not given; of degrees too: a tenth of a metre
DECIMALS_MAX: Final = 9
IN_BOOKS: Final = (
    "books"  # `in: books`: money in the currency of the packs, whatever the message is in
)

# What the engine itself reads, and as what; a schema may add to these fields, not take them away.
NEEDED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "transaction_id": "id",
        "event_time": "time",
        "account": "id",
        "amount": "money",
        "currency": "category",
        "type": "category",
    }
)
# Keys that belong to the envelope of a message, whatever the schema says.
RESERVED: Final = frozenset({"kind", "update_id", "activity_id", "role", "model", "seq", "command"})
VERDICTS: Final = ("fraud", "genuine", "withdrawn")
RATING: Final = "customer.rating"  # given by the engine when rules are asked, 0 to 1000; no attribute of a profile
ENTITIES: Final = ("card", "account", "customer")  # what a profile may describe, the nearest first

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Column:
    """One thing that can be known about an event; plain data, for every room.

    name         : as in the message, the rules and the output; attributes have the entity before a point
    kind         : one of KINDS
    domain       : of an id what it identifies (account, device, ...); of a category the dictionary that it shares; of a
                   text "text"
    allowed      : the values that are expected, in the order of the file; empty when any
    closed       : a value outside `allowed` is wrong; otherwise it is kept, and counted as unseen
    required     : a transaction without it is a dead letter
    required_for : event types whose messages need it
    decimals     : fixed point of a number, `scale` in the file
    derived      : expression that gives the value where a message has none; "" otherwise
    sources      : attributes that fill the field where a message has none, tried in this order
    signed       : of money: may be below zero (a balance)
    in_books     : of money: in the currency of the packs, whatever the `currency` of the message; attributes are
    dated        : of a time: may be a plain date (midnight UTC), from the year 1900 on
    low, high    : of a number or a geo: what it may not fall below or rise above
    messages     : kinds of message that carry it
    """

    name: str
    kind: str
    domain: str = ""
    allowed: tuple[str, ...] = ()
    closed: bool = False
    required: bool = False
    required_for: tuple[str, ...] = ()
    decimals: int = 0
    derived: str = ""
    sources: tuple[str, ...] = ()
    personal: bool = False
    signed: bool = False
    in_books: bool = False
    dated: bool = False
    low: float | None = None
    high: float | None = None
    messages: frozenset[str] = EVENTS
    description: str = ""

    @property
    def entity(self) -> str:
        """Of an attribute the field whose entity has it, else ""."""
        return self.name.partition(".")[0] if "." in self.name else ""

    @property
    def key(self) -> str:
        """The key that holds it in a message."""
        return self.name.rpartition(".")[2]


LABEL: Final = Column(  # the verdict of a label; in every schema, whether the file lists it or not
    "label", "category", "label", VERDICTS, closed=True, messages=frozenset({"label"})
)


@dataclass(frozen=True, slots=True)
class Schema:
    """A checked schema.

    columns     : every column by name, fields in the order of the file, then attributes
    event_types : event type -> "transaction" or "activity"
    open_types  : a type outside `event_types` is kept, and counted as unseen; otherwise a dead letter
    never_store : keys of messages that must not reach a disk, as written in the file
    keys        : key of a message -> the column that says what it means
    """

    name: str
    version: str
    columns: Mapping[str, Column]
    event_types: Mapping[str, str]
    open_types: bool = True
    never_store: tuple[str, ...] = ()
    file: str = ""
    keys: Mapping[str, Column] = field(init=False)

    def __post_init__(self) -> None:
        keys: dict[str, Column] = {}
        for column in self.columns.values():  # fields stand before attributes, and win
            keys.setdefault(column.key, column)
        object.__setattr__(self, "keys", MappingProxyType(keys))

    @property
    def personal(self) -> frozenset[str]:
        """Names of the columns with personal data."""
        return frozenset(c.name for c in self.columns.values() if c.personal)

    @property
    def attributes(self) -> Mapping[str, tuple[Column, ...]]:
        """Entity -> its attributes."""
        found: dict[str, tuple[Column, ...]] = {}
        for column in self.columns.values():
            if column.entity:
                found[column.entity] = (*found.get(column.entity, ()), column)
        return found

    def kind_of(self, event_type: str) -> str:
        """Kind of message of an event type; `transaction` for one that is not listed."""
        return self.event_types.get(event_type, "transaction")


class _FieldFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A field as it stands in the file. A number where a text is wanted cannot happen: YAML gives texts."""

    type: str
    domain: str = ""
    of: str = ""
    values: list[str] = []
    closed: bool = False
    required: bool = False
    required_for: list[str] = []
    scale: int | None = None
    derived: str = ""
    source: list[str] | str = msgspec.field(default_factory=list, name="from")
    personal: bool = False
    signed: bool = False
    currency: str = msgspec.field(default="", name="in")
    date: bool = False
    range: list[float] = []
    messages: list[str] = []
    description: str = ""


class _TypesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    transaction: list[str]
    activity: list[str] = []
    open: bool = True


_KEYS: Final = ("schema", "version", "event_types", "fields", "attributes", "never_store")


def read(path: Path, shown: str = "") -> Schema:
    """Read a schema; raise ConfigError with file, line and column at the first thing that is wrong."""
    return build(marks.read(path, shown))


def build(root: marks.MapNode) -> Schema:
    """Check a schema that was read and put it together."""
    for key in root.keys.values():
        if key.value not in _KEYS:
            raise ConfigError(f"unknown key `{key.value}`", key.place(), fix=near(key.value, _KEYS))
    for name in ("schema", "event_types", "fields"):
        if name not in root:
            raise ConfigError(f"`{name}` is missing", root.place(), fix=f"add `{name}:`")
    types_node = root["event_types"]
    types = marks.convert(types_node, _TypesFile)
    event_types = _event_types(types, types_node)
    columns: dict[str, Column] = {}
    nodes: dict[str, marks.Node] = {}
    for key, node in _entries(root["fields"]):
        columns[key.value] = _column(key, node, "", event_types, types.open)
        nodes[key.value] = node
    if "attributes" in root:
        for entity, block in _entries(root["attributes"]):
            _check_entity(entity, columns)
            for key, node in _entries(block):
                column = _column(key, node, entity.value, event_types, types.open)
                if column.name == RATING:
                    raise ConfigError(
                        f"`{RATING}` is given by the engine",
                        key.place(),
                        why="rules that read it would not know which of the two they mean",
                        fix="give the attribute another name, such as `risk_class`",
                    )
                columns[column.name], nodes[column.name] = column, node
    columns.setdefault(LABEL.name, LABEL)
    nodes.setdefault(LABEL.name, root["fields"])
    for name, column in columns.items():
        _check_links(column, columns, nodes[name])
    _check_needed(columns, root["fields"], nodes)
    never = marks.convert(root["never_store"], list[str]) if "never_store" in root else []
    for name in never:
        if name in columns:
            fix = "take it out of one of the two"
            raise ConfigError(
                f"`{name}` is a field, and must never be stored",
                root["never_store"].place(),
                fix=fix,
            )
    head = {k: root[k] for k in ("schema", "version") if k in root}
    texts = {k: marks.convert(v, str) for k, v in head.items()}
    return Schema(
        texts["schema"],
        texts.get("version", ""),
        MappingProxyType(columns),
        MappingProxyType(event_types),
        types.open,
        tuple(never),
        root.source.file,
    )


def _entries(node: marks.Node) -> Iterable[tuple[marks.TextNode, marks.Node]]:
    if not isinstance(node, marks.MapNode):
        raise ConfigError("a mapping of names is wanted here", node.place())
    return node.items()


def _event_types(types: _TypesFile, node: marks.Node) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, names in (("transaction", types.transaction), ("activity", types.activity)):
        for name in names:
            if name in found:
                raise ConfigError(f"the event type `{name}` stands here twice", node.place())
            found[name] = kind
    return found


def _column(
    key: marks.TextNode,
    node: marks.Node,
    entity: str,
    event_types: Mapping[str, str],
    open_types: bool,
) -> Column:
    """Check one field by itself."""
    taken = key.value in RESERVED or keyword.iskeyword(key.value)
    if not _NAME.fullmatch(key.value) or taken:
        raise ConfigError(
            f"`{key.value}` cannot be the name of a field",
            key.place(),
            why="a field is small letters, digits and underscores, no word of a language, and not one of "
            + ", ".join(sorted(RESERVED)),
            fix="rename it; a feed file maps foreign names",
        )
    if (
        isinstance(node, marks.TextNode) and not node.is_quoted
    ):  # `device: id` is short for {type: id}
        kind = node.value
        spec = _FieldFile(type=kind)
    else:
        spec = marks.convert(node, _FieldFile)
        kind = spec.type
    if kind not in KINDS:
        raise ConfigError(f"unknown type `{kind}`", node.place(), fix=near(kind, KINDS))
    _check_options(spec, node)
    for name in spec.required_for:
        if name not in event_types:
            raise ConfigError(
                f"`required_for` names the event type `{name}`, which is not listed",
                node.place(),
                fix=near(name, tuple(event_types)),
            )
    low, high = spec.range or (None, None)
    if kind == "geo" and not spec.range:
        reach = 90.0 if key.value.endswith("lat") else 180.0
        low, high = -reach, reach
    domain = {"id": spec.domain or key.value, "category": spec.of or key.value, "text": "text"}
    decimals = spec.scale if spec.scale is not None else DECIMALS
    allowed = tuple(spec.values)
    if key.value == "type" and not entity:
        allowed = tuple(event_types)
    return Column(
        name=f"{entity}.{key.value}" if entity else key.value,
        kind=kind,
        domain=domain.get(kind, ""),
        allowed=allowed,
        closed=spec.closed or (key.value == "type" and not entity and not open_types),
        required=spec.required,
        required_for=tuple(spec.required_for),
        decimals=decimals if kind in ("number", "geo") else 0,
        derived=" ".join(spec.derived.split()),
        sources=(spec.source,) if isinstance(spec.source, str) else tuple(spec.source),
        personal=spec.personal,
        signed=spec.signed,
        in_books=kind == "money" and (spec.currency == IN_BOOKS or bool(entity)),
        dated=spec.date,
        low=low,
        high=high,
        messages=frozenset({"profile"} if entity else spec.messages or EVENTS),
        description=" ".join(spec.description.split()),
    )


def _check_options(spec: _FieldFile, node: marks.Node) -> None:
    """Refuse an option that the type gives no meaning."""
    of_type = {
        "domain": ("id",), "of": ("category",), "values": ("category",), "closed": ("category",),
        "scale": ("number",), "signed": ("money",), "currency": ("money",), "date": ("time",),
        "range": ("number", "geo"),
    }  # fmt: skip
    for option, kinds in of_type.items():
        given = getattr(spec, option)
        if given not in ("", [], False, None) and spec.type not in kinds:
            option = "in" if option == "currency" else option
            raise ConfigError(
                f"`{option}` means nothing for a {spec.type}",
                node.place(),
                fix=f"remove it; it belongs to the type {' or '.join(kinds)}",
            )
    if spec.scale is not None and not 0 <= spec.scale <= DECIMALS_MAX:
        raise ConfigError(
            f"`scale` must lie in [0, {DECIMALS_MAX}], was {spec.scale}",
            node.place(),
            why="sums of the number are kept as integers of that many decimals",
        )
    if spec.range and (len(spec.range) != 2 or not spec.range[0] < spec.range[1]):
        raise ConfigError("`range` is two numbers, the lower first", node.place())
    if spec.currency not in ("", "currency", IN_BOOKS):
        raise ConfigError(
            f"`in` must be currency or {IN_BOOKS}, was {spec.currency}",
            node.place(),
            why="an amount is in the currency that the message names, or in that of the packs",
            fix="leave it out for the currency of the message",
        )
    if spec.derived and (spec.required or spec.source):
        raise ConfigError(
            "a derived field cannot be required or come `from` an attribute as well",
            node.place(),
            why="it is computed wherever a message does not have it",
            fix="keep one of them",
        )
    if spec.closed and not spec.values:
        raise ConfigError("`closed` needs `values`", node.place(), fix="list what is allowed")
    kinds_known = {"transaction", "activity", "label", "update"}
    for kind in spec.messages:
        if kind not in kinds_known:
            raise ConfigError(
                f"unknown kind of message `{kind}`",
                node.place(),
                fix=near(kind, sorted(kinds_known)),
            )


def _check_entity(key: marks.TextNode, columns: Mapping[str, Column]) -> None:
    if key.value not in ENTITIES:
        raise ConfigError(
            f"`{key.value}` cannot have attributes", key.place(), fix=near(key.value, ENTITIES)
        )
    if key.value not in columns or columns[key.value].kind != "id":
        raise ConfigError(
            f"`{key.value}` has attributes but is no field of type id",
            key.place(),
            fix=f"add `{key.value}: {{type: id}}` to `fields`",
        )


def _check_links(column: Column, columns: Mapping[str, Column], node: marks.Node) -> None:
    """What `from` names must exist and mean the same; one key of a message has one meaning."""
    for name in column.sources:
        source = columns.get(name)
        if source is None or not source.entity:
            known = [n for n, c in columns.items() if c.entity]
            raise ConfigError(
                f"`{column.name}` comes from `{name}`, which is no attribute",
                node.place(),
                fix=near(name, known),
            )
        if (source.kind, source.domain) != (column.kind, column.domain):
            raise ConfigError(
                f"`{column.name}` is {_says(column)}, but comes from `{name}`, which is {_says(source)}",
                node.place(),
                why="what fills a field must be of the same type",
            )
    twin = next((c for c in columns.values() if c.key == column.key and c is not column), None)
    if (
        column.entity
        and twin is not None
        and (twin.kind, twin.domain) != (column.kind, column.domain)
    ):
        raise ConfigError(
            f"`{column.name}` is {_says(column)}, but `{twin.name}` is {_says(twin)}",
            node.place(),
            why="one key has one meaning in every message",
            fix="give the attribute another name, or the same type",
        )


def _says(column: Column) -> str:
    return f"{column.kind} of {column.domain}" if column.domain else column.kind


def _check_needed(
    columns: Mapping[str, Column], fields: marks.Node, nodes: Mapping[str, marks.Node]
) -> None:
    for name, kind in NEEDED.items():
        if name not in columns:
            raise ConfigError(
                f"the field `{name}` is missing",
                fields.place(),
                why="the engine cannot tell transactions apart, in time or in money, without it",
                fix=f"add `{name}: {{type: {kind}, required: true}}`",
            )
        column = columns[name]
        if column.kind != kind or not column.required:
            raise ConfigError(
                f"`{name}` must be `type: {kind}` and `required: true`", nodes[name].place()
            )
    label = columns["label"]
    if (label.kind, label.domain, label.allowed) != (LABEL.kind, LABEL.domain, VERDICTS):
        raise ConfigError(
            "`label` must be a category with the values " + ", ".join(VERDICTS),
            nodes["label"].place(),
        )
    for name in ENTITIES:
        if name in columns and columns[name].domain != name:
            raise ConfigError(f"`{name}` must be an id of the domain `{name}`", nodes[name].place())


def near(word: str, known: Iterable[str]) -> str:
    """Advise: the known word that looks most like `word`, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return "known: " + ", ".join(f"`{n}`" for n in names)
