"""The JSON Schema of rule files, for editors: completion, a word on each key, and wrong keys underlined while typing.

Made from the table of the language (rules/language.py) and the bank's event schema, which knows event types and fields.
It is draft-07, the newest that yaml-language-server validates by. An editor sees what YAML makes of a value (`5` is a
number, `2%` a text), so each kind admits all of these. What an expression says is not looked into: that does
`weir rules check`, whose word counts.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from config.decisions import RESTRICTABLE
from config.schema import Column, Schema
from rules import language
from rules.embedded_tests import ENVELOPE
from rules.language import LIST, NAMES, ONE, SOME, TAGGED, Key, Shape
from rules.reader import ID, NAME
from rules.tree import CATEGORY
from rules.tree import ID as ID_KIND

Json: TypeAlias = dict[str, Any]
DRAFT: Final = "http://json-schema.org/draft-07/schema#"
PLACE: Final = ".weir/schema.json"  # inside a pack
_SCALAR: Final = ["string", "number", "boolean"]
_DURATION: Final = r"^\s*([0-9]+(ms|s|m|h|d|w))+\s*$"
_DAY: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = "[0-9]{2}:[0-9]{2}"
_PATTERNS: Final[dict[str, str]] = {
    "name": f"^{NAME.pattern}$",
    "id": f"^{ID.pattern}$",
    "duration": _DURATION,
    "offset": _DURATION.replace(r"^\s*", r"^\s*\+?"),
    "date or time": rf"^{_DAY}([T ]{_CLOCK}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?(Z|[+-]{_CLOCK}))?$",
    "percent": r"^\s*[0-9]{1,3}(\.[0-9]+)?\s*%\s*$",
    "rollout": r"^\s*[0-9]{1,3}(\.[0-9]+)?%\s+by\s+[a-z_][a-z0-9_.]*\s*$",
    "due": r"^\s*([0-9]{1,3}\s+working\s+days?|([0-9]+(ms|s|m|h|d|w))+)\s*$",
    "list": r"^@?[a-z][a-z0-9_]*$",
    "currency": "^[A-Z]{3}$",
    "pack": r"^[a-z][a-z0-9_-]*(@\^[0-9]+(\.[0-9]+)*)?$",
}


def json_schema(schema: Schema) -> Json:
    """The schema of any YAML file of a pack whose events follow `schema`."""
    return _Maker(schema).whole()


class _Maker:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        columns = schema.columns
        self.fields = [n for n, c in columns.items() if c.kind in (ID_KIND, CATEGORY)]
        self.entities = [
            n for n, c in columns.items() if c.kind == ID_KIND and c.domain in RESTRICTABLE
        ]

    def whole(self) -> Json:
        pack = self.mapping(language.PACK)
        head = [k.name for k in language.PACK.keys if k.name not in language.SECTIONS]
        # The head stands in pack.yaml only, which is the file that names the pack.
        pack["required"] = []
        pack["dependencies"] = {
            "pack": [k.name for k in language.PACK.keys if k.is_wanted],
            **{name: ["pack"] for name in head if name != "pack"},
        }
        return {
            "$schema": DRAFT,
            "title": f"Weir rule files, language {language.VERSION}",
            **pack,
            "definitions": {
                name: self.mapping(shape)
                for name, shape in language.SHAPES.items()
                if name not in ("pack", "file")
            },
        }

    def mapping(self, shape: Shape) -> Json:
        """A mapping by its shape; in place of it a bare value where the shape has a short form."""
        keys = [key for key in shape.keys if key.since <= language.VERSION]
        made: Json = {
            "type": "object",
            "description": shape.doc,
            "properties": {key.name: self.entry(key) for key in keys},
            "required": [key.name for key in keys if key.is_wanted],
            "additionalProperties": False,
        }
        if shape.open == "field value":
            made["properties"] = {**self.message(), **made["properties"]}
            made["patternProperties"] = {r"^(model\.|customer\.rating$)": {"type": "number"}}
        elif shape.open:
            made["additionalProperties"] = True
        return made

    def entry(self, key: Key) -> Json:
        """What stands under one key."""
        value = self.value(key)
        text = f"{key.doc}\n\nFor example: {key.name}: {key.example}" if key.example else key.doc
        if key.form == TAGGED:
            tagged = {name: self.value_of((name,), "") for name in key.shapes}
            item: Json = {
                "type": "object",
                "properties": tagged,
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            }
            return {"description": text, "type": "array", "items": item}
        if key.form == ONE:
            return {"description": text, **value}
        if key.form == LIST:
            return {"description": text, "type": "array", "items": value}
        if key.form == SOME:
            return {"description": text, "anyOf": [value, {"type": "array", "items": value}]}
        assert key.form == NAMES, key.form
        return {"description": text, "type": ["object", "null"], "additionalProperties": value}

    def value(self, key: Key) -> Json:
        return self.value_of(key.shapes, key.kind, key.words)

    def value_of(self, shapes: Iterable[str], kind: str, words: Iterable[str] = ()) -> Json:
        """One value: of a kind, or a mapping of one of the shapes, or its short form."""
        ways: list[Json] = [self.scalar(kind, words)] if kind else []
        for name in shapes:
            ways.append(self.ref(name))
            short = language.SHAPES[name].short
            if short and not kind:
                ways.append(self.value(language.SHAPES[name].key(short)))
        return ways[0] if len(ways) == 1 else {"anyOf": ways}

    @staticmethod
    def ref(shape: str) -> Json:
        return {"$ref": f"#/definitions/{shape.replace(' ', '%20')}"}

    def scalar(self, kind: str, words: Iterable[str]) -> Json:
        if kind == "word":
            return _words(words, closed=True)
        if kind == "event":
            return _words(self.schema.event_types, closed=not self.schema.open_types)
        if kind == "field":
            return _words(self.fields, closed=True)
        if kind == "entity":
            return _words(self.entities, closed=True)
        if kind == "channel":
            column = self.schema.columns.get("channel")
            return _words(column.allowed if column is not None else (), closed=bool(column))
        if kind in _PATTERNS:
            return {"type": "string", "pattern": _PATTERNS[kind]}
        if kind == "whole number":
            return _number("^[0-9][0-9_]*$", "integer")
        if kind == "number":
            return _number(r"^-?[0-9][0-9_]*(\.[0-9]+)?$", "number")
        if kind == "values":
            return {"type": "array", "items": {"anyOf": [{"type": _SCALAR}, self.ref("row")]}}
        if kind == "anything":
            return {}
        return {"type": _SCALAR}

    def message(self) -> Json:
        """What a message in a test may have, each a value or a list of values to go through."""
        envelope = {name: self.field(None) for name in sorted(ENVELOPE)}
        return envelope | {name: self.field(c) for name, c in self.schema.columns.items()}

    def field(self, column: Column | None) -> Json:
        one: Json = {"type": _SCALAR}
        if column is not None and column.name == "type":
            one = _words(self.schema.event_types, closed=not self.schema.open_types)
        elif column is not None and column.allowed:
            one = _words(column.allowed, closed=column.closed)
        made: Json = {"anyOf": [one, {"type": "array", "items": one}, {"type": "object"}]}
        if column is not None and column.description:
            made["description"] = column.description
        return made


def _words(words: Iterable[str], *, closed: bool) -> Json:
    """One of some words, as YAML reads them; where others may stand too, these are only proposed."""
    allowed: list[str | int | bool] = list(words)
    allowed += [int(w) for w in allowed if isinstance(w, str) and w.isdecimal() and w[0] != "0"]
    allowed += [w == "true" for w in allowed if w in ("true", "false")]
    if closed and allowed:
        return {"enum": allowed}
    return {"anyOf": [{"enum": allowed}, {"type": _SCALAR}]} if allowed else {"type": _SCALAR}


def _number(pattern: str, kind: str) -> Json:
    """A number, or one whose digits are grouped by underscores, which YAML takes for a text."""
    return {"anyOf": [{"type": kind}, {"type": "string", "pattern": pattern}]}


def with_association(settings: Mapping[str, Any]) -> Json:
    """The settings of an editor that name the schema for the files of a pack, all else as it was."""
    known = settings.get("yaml.schemas")
    schemas = dict(known) if isinstance(known, Mapping) else {}
    schemas.setdefault(f"./{PLACE}", ["*.yaml", "*.yml"])
    return {**settings, "yaml.schemas": schemas}
