"""What differs between two stored configurations, as the people who edit them would say it.

rules        by id, wherever they stand: added, removed, changed with the versions and the lines that changed
lists        row by row
other YAML   key by key; an item of a list that has an `id` or a `name` goes by it
the rest     line by line
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config import marks
from config.errors import ConfigError

OVERRIDES: Final = "overrides.json"  # what the command line replaced
_YAML: Final = frozenset({".yaml", ".yml"})
_NAMES: Final = ("id", "name")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `before` and `after` are None where there was, or is, nothing."""

    file: str
    what: str  # key, rule, row or line
    kind: str  # added, removed, changed
    before: str | None = None
    after: str | None = None
    lines: tuple[str, ...] = ()  # of a rule: "- old" and "+ new"


def between(old: Path, new: Path) -> list[Change]:
    """Every difference between two stored configurations; files in the order of their names, then rules."""
    olds, news = _files(old), _files(new)
    found: list[Change] = []
    rules: tuple[dict[str, _Rule], dict[str, _Rule]] = ({}, {})
    for name in sorted({*olds, *news}):
        before, after = olds.get(name), news.get(name)
        if (
            before == after
        ):  # its rules too: one that stays is no change, one that moves is in another file too
            continue
        if Path(name).suffix in _YAML:
            flat = [_flat(name, text, of) for text, of in zip((before, after), rules, strict=True)]
            found += _keys(name, *flat)
        else:
            found += _rows(name, before, after)
    found += _rules(*rules)
    told = {change.file for change in found} | {
        rule.file
        for of in rules
        for id_, rule in of.items()
        if rules[0].get(id_) != rules[1].get(id_)
    }
    return found + [
        Change(name, "(comments, order or layout)", "changed")
        for name in sorted({*olds, *news} - told)
        if olds.get(name) != news.get(name)
    ]


@dataclass(frozen=True, slots=True)
class _Rule:
    file: str
    version: str
    text: str


def _files(folder: Path) -> dict[str, bytes]:
    """Every file; of the overrides without the hashes of the others, which are compared themselves."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    if OVERRIDES in found:
        found[OVERRIDES] = b"".join(
            row
            for row in found[OVERRIDES].splitlines(keepends=True)
            if not any(row.lstrip().startswith(f'"{name}":'.encode()) for name in found)
        )
    return found


def _flat(name: str, content: bytes | None, rules: dict[str, _Rule]) -> dict[str, str]:
    """Key -> value of a YAML file; its rules go to `rules` instead. A file that is no YAML is one value."""
    if content is None:
        return {}
    text = content.decode("utf-8", "replace")
    try:
        node, _ = marks.parse(text, name)
    except ConfigError:
        return {"(text)": text}
    if not isinstance(node, marks.MapNode):
        return {"(text)": text} if text.strip() else {}
    flat: dict[str, str] = {}
    for key, value in node.items():
        if key.value == "rules" and isinstance(value, marks.ListNode):
            for rule in value:
                id_ = _named(rule)
                if id_ and isinstance(rule, marks.MapNode):
                    version = rule.get("version")
                    shown = version.value if isinstance(version, marks.TextNode) else ""
                    rules[id_] = _Rule(name, shown, _text(rule))
        else:
            flat |= dict(_leaves(value, key.value))
    return flat


def _leaves(node: marks.Node, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, marks.MapNode):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key.value}")
        if not len(node):
            yield path, "{}"
    elif isinstance(node, marks.ListNode):
        names = [_named(item) for item in node]
        if all(names) and len(set(names)) == len(names) and names:
            for name, item in zip(names, node, strict=True):
                yield from _leaves(item, f"{path}[{name}]")
        else:
            yield path, " ".join(_text(node).split())
    else:
        yield path, node.value


def _named(node: marks.Node) -> str:
    """What an item of a list is called; "" if it has no name."""
    if isinstance(node, marks.MapNode):
        for key in _NAMES:
            value = node.get(key)
            if isinstance(value, marks.TextNode):
                return value.value
    return ""


def _text(node: marks.Node) -> str:
    """The lines of a node as they stand in its file, with the indentation of the first."""
    return node.source.text[node.start : node.end].rstrip()


def _keys(name: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key), new.get(key)
        if before != after:
            yield Change(name, key, _kind(before, after), before, after)


def _rows(name: str, before: bytes | None, after: bytes | None) -> Iterator[Change]:
    """Lines taken out and put in, wherever they stand: the order of a list means nothing."""
    old, new = (
        (content or b"").decode("utf-8", "replace").splitlines() for content in (before, after)
    )
    for row in dict.fromkeys(old):
        if row not in set(new):
            yield Change(name, "row", "removed", before=row)
    for row in dict.fromkeys(new):
        if row not in set(old):
            yield Change(name, "row", "added", after=row)


def _rules(old: Mapping[str, _Rule], new: Mapping[str, _Rule]) -> Iterator[Change]:
    for id_ in sorted({*old, *new}):
        before, after = old.get(id_), new.get(id_)
        if before is None or after is None:
            rule = after or before
            assert rule is not None
            one, other = (None if r is None else f"version {r.version}" for r in (before, after))
            yield Change(rule.file, f"rule {id_}", _kind(before, after), one, other)
        elif before.text != after.text or before.file != after.file:
            lines = difflib.unified_diff(
                before.text.splitlines(), after.text.splitlines(), lineterm="", n=0
            )
            changed = tuple(
                f"{line[0]} {line[1:].strip()}"
                for line in lines
                if line[:1] in "+-" and not line.startswith(("+++", "---"))
            )
            yield Change(
                after.file,
                f"rule {id_}",
                "changed",
                f"version {before.version}",
                f"version {after.version}"
                + (", not raised" if after.version == before.version else ""),
                changed,
            )


def _kind(before: object, after: object) -> str:
    if before is None:
        return "added"
    return "removed" if after is None else "changed"
