"""Why decode makes a message a dead letter: the reasons, and the letters that need nothing but the message."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from config.schema import Column
from engine.batch import Dead
from engine.decoding.messages import SHAPES, UNREADABLE
from engine.scrub import DEPTH_MAX, MARK, nesting

# Every reason that decode gives, and what it means; engine/admission.py has more.
REASONS: Final[Mapping[str, str]] = {
    "empty_line": "there is no message",
    "too_large": "the message has more bytes than `message_bytes_max`",
    "unreadable_secret": "the message cannot be read, and may hold what must never be stored",
    "bad_utf8": "the message is not UTF-8",
    "nested_too_deep": f"more than {DEPTH_MAX} brackets are open at once",
    "malformed_json": "the message is not JSON",
    "not_an_object": "the message is JSON, but no object",
    "unknown_kind": "`kind` is none that the engine knows",
    "unknown_type": "the schema is closed, and does not list the event type",
    "wrong_kind": "the event type belongs to another kind of message",
    "missing_field": "a field that the message needs is absent",
    "wrong_field": "a field that the message needs has a value that means nothing",
    "wrong_amount": "a required amount is no plain decimal that the currency can hold",
    "wrong_time": "a required time is no time",
    "unknown_currency": "`currency` is no ISO 4217 code",
}

_HINTS: Final[Mapping[str, str]] = {
    "money": ", not below zero, with no more decimals than its currency, at most 2**53 minor units",
    "time": ", between 1970 and 2199",
}
_WRONG_REASON: Final[Mapping[str, str]] = {"currency": "unknown_currency", "type": "unknown_type"}
_WRONG_REASON_OF_KIND: Final[Mapping[str, str]] = {"money": "wrong_amount", "time": "wrong_time"}


class _Withheld(msgspec.Struct, forbid_unknown_fields=True):
    """What stands in for a message that must not be written as it came."""

    withheld: tuple[Literal["too_large", "unreadable_secret"], int]


def unreadable(line: bytes, bytes_max: int) -> Dead | None:
    """Why a line cannot be read whatever the schema says, if so; syntax is found later."""
    if not line.strip(b" \t\r\n"):
        return Dead(
            "empty_line", "the line is empty", "send one JSON object a line, and no empty lines"
        )
    if line.startswith(MARK):
        return _withheld_dead(line, bytes_max)
    if not line.isascii():
        try:
            line.decode()
        except UnicodeDecodeError as error:
            what = f"byte {error.start} is not UTF-8"
            return Dead("bad_utf8", what, "encode messages as UTF-8")
    if nesting(line, DEPTH_MAX) > DEPTH_MAX:
        what = f"more than {DEPTH_MAX} brackets are open at once"
        return Dead("nested_too_deep", what, "send flat objects; nested fields are ignored anyway")
    return None


def _withheld_dead(line: bytes, bytes_max: int) -> Dead | None:
    try:
        reason, n_bytes = msgspec.json.decode(line, type=_Withheld).withheld
    except UNREADABLE:
        return None
    if reason == "too_large":
        what = f"the message has {n_bytes} bytes, at most {bytes_max} are read"
        return Dead(reason, what, "split it, or raise `message_bytes_max` in weir.yaml")
    what = "the message cannot be read, and may hold what must never be stored, so it was not kept"
    return Dead(reason, what, "send valid JSON, without the fields of `never_store`")


def wrong_dead(key: str, column: Column | None, why: str) -> Dead:
    """The letter of a message that needs `key`; `column`: what it is in the schema, None in the envelope."""
    kind = column.kind if column is not None else "id"
    reason = _WRONG_REASON.get(key) or _WRONG_REASON_OF_KIND.get(kind, "wrong_field")
    fix = f"send {SHAPES[kind]}{_HINTS.get(kind, '')}"
    if key == "currency":
        fix = "send the three letters of ISO 4217, such as EUR"
    elif column is not None and column.closed:
        fix = f"send one of {', '.join(column.allowed[:12])}"
    return Dead(reason, f"`{key}` means nothing: {why}", fix)
