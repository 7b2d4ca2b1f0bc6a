"""What messages may say: their kinds, the keys beside those of the schema, and how values are written in JSON."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from engine.batch import (
    ACTIVITY,
    COMMAND,
    CONFIG,
    KIND_NAMES,
    LABEL,
    PROFILE,
    TICK,
    TRANSACTION,
    UPDATE,
)

Record: TypeAlias = Any  # the struct made from the schema: one attribute a key, None where absent

BYTES_MAX: Final = 1 << 20
ID_MAX: Final = 256  # characters of an id or a category value
# positions of the records that the runner makes itself
INTERNAL: Final = frozenset({"tick", "config"})
TICKED: Final = "(tick) "  # how the position of a tick begins that came through a topic
ENVELOPE: Final = ("kind", "update_id", "activity_id", "role")
ORIGINAL: Final = "original_transaction_id"
LABEL_KEYS: Final = ("transaction_id", "account", "event_time", "label")
KINDS: Final[Mapping[str | None, int]] = {
    None: TRANSACTION,
    "transaction": TRANSACTION,
    "activity": ACTIVITY,
    "label": LABEL,
    "update": UPDATE,
    "profile": PROFILE,
    "command": COMMAND,
}
INTERNAL_KINDS: Final[Mapping[str, int]] = {"tick": TICK, "config": CONFIG}

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what msgspec raises
_TEXT = Annotated[str, Meta(min_length=1, max_length=ID_MAX)]
WIRE: Final[Mapping[str, Any]] = {
    "id": _TEXT,
    "category": _TEXT,
    "text": str,
    "money": str | int | float,
    "number": float,
    "geo": float,
    "duration": str | int | float,
    "time": str | int,
    "flag": bool,
}
SHAPES: Final[Mapping[str, str]] = {
    "id": f"a text of 1 to {ID_MAX} characters",
    "category": f"a text of 1 to {ID_MAX} characters",
    "text": "a text",
    "money": 'a decimal such as "12.50"',
    "number": "a number",
    "geo": "a number of degrees",
    "duration": "a number of seconds, or a text such as 1h30m",
    "time": "an RFC 3339 text with offset, or epoch milliseconds",
    "flag": "true or false",
}


def with_article(kind: int) -> str:
    """The name of a kind, such as "an update"."""
    name = KIND_NAMES[kind]
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def is_internal(position: str) -> bool:
    """Whether the engine made the record that stands there."""
    return position in INTERNAL or position.startswith(TICKED)
