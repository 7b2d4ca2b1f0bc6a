"""Lists and tables of a pack: content is data, read and checked here."""

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from config import marks
from rules import language, list_files
from rules.check.suggest import did_you_mean, nearest
from rules.definitions import ListDefinition, TableDefinition
from rules.list_files import AGAIN_HINT, VALIDITY, Content, again, expanded, validity_meant
from rules.reader import Findings, Reader, Text, place
from rules.syntax import parse
from rules.tree import CATEGORY, DURATION, ID, MONEY, NUMBER, TEXT, Node, Type
from rules.types import UNKNOWN, Checker, Scope

_CONFIGURATION: Final = ("weir.yaml", "schema.yaml")  # a folder with one of these
_RANGE: Final = re.compile(r"([0-9]+)-([0-9]+)")


def read_list(
    key: marks.TextNode, node: marks.Node, findings: Findings, scope: Scope, root: Path
) -> tuple[ListDefinition | None, Path | None]:
    """Return a list and the file its content came from, if any."""
    r = Reader(node, findings, f"list {key.value}", language.LIST_OF)
    if r.map is None:
        return None, None
    kind = _list_type(r, findings, scope)
    owner = r.text("owner")
    review = r.instant("review_by", scope.zone)
    r.text("description")
    file_node, inline = r.scalar("file"), r.get("values")
    path: Path | None = None
    origin = ""
    content = Content()
    if (file_node is None) == (inline is None):
        findings.at("WR022", key, f'list {key.value} needs either "file:" or "values:"')
    elif file_node is not None:
        path = _find(root, file_node.value)
        origin = file_node.value
        if path is None:
            findings.at("WR009", file_node, f"there is no file {file_node.value} in the pack")
        else:
            content = list_files.read(path, file_node, findings, kind, scope.zone)
    elif inline is not None:
        content = inline_rows(inline, kind, findings, scope)
    r.done()
    rows = tuple(content.rows) if content.columns or content.is_dated else ()
    definition = ListDefinition(
        key.value,
        kind,
        frozenset(row.value for row in content.rows),
        place(key),
        origin,
        owner,
        review,
        tuple(content.columns),
        rows,
        content.is_dated,
    )
    return definition, path


def inline_rows(node: marks.Node, kind: Type, findings: Findings, scope: Scope) -> Content:
    """Read values, and rows such as `{value: A1, valid_until: 2026-05-01, reference: ...}` beside them."""
    content = Content()
    if not isinstance(node, marks.ListNode):
        findings.at("WR027", node, '"values" is a list of values')
        return content
    items: list[tuple[Sequence[str], int | None, int | None, dict[str, str]]] = []
    seen: dict[tuple[object, ...], set[str]] = {}  # values by what else their rows say
    for item in node:
        if isinstance(item, marks.ListNode):
            hint = "write a value, or {value: A1, valid_until: 2026-05-01}"
            findings.at("WR027", item, "a list in a list", hint)
            continue
        value, start, end = item, None, None
        more: dict[str, str] = {}
        if isinstance(item, marks.MapNode):
            r = Reader(item, findings, "a row of a list", language.ROW)
            given = r.scalar("value")
            start, end = r.instant("valid_from", scope.zone), r.instant("valid_until", scope.zone)
            if start is not None and end is not None and start >= end:
                what = '"valid_until" must be later than "valid_from"'
                findings.at("WR340", r.key("valid_until"), what)
            for name, cell in item.items():
                if name.value in ("value", *VALIDITY):
                    continue
                if guess := validity_meant(name.value):
                    what = f"{name.value} would be read as plain text"
                    findings.at("WR340", name, what, f"did you mean {guess}?")
                elif isinstance(cell, marks.TextNode):
                    more[name.value] = " ".join(cell.value.split())
                else:
                    findings.at("WR027", cell, f'"{name.value}" is a text')
            if given is None:
                continue
            value = given
        assert isinstance(value, marks.TextNode)
        _check_value(value, kind, findings, scope)
        try:
            written = expanded(value.value, kind)
        except ValueError as error:
            findings.at("WR026", value, str(error))
            continue
        items.append((written, start, end, more))
        alike = seen.setdefault((start, end, *more.values()), set())
        if twice := next((text for text in written if text in alike), ""):
            findings.at("WR343", value, again(twice), AGAIN_HINT)
        alike.update(written)
    content.columns = list(dict.fromkeys(name for *_, more in items for name in more))
    for written, start, end, more in items:
        told = tuple(more.get(name, "") for name in content.columns)
        for text in written:
            content.add(text, start, end, told)
    return content


def _list_type(r: Reader, findings: Findings, scope: Scope) -> Type:
    word = r.word("type", "id")
    node = r.scalar("of", wanted=word in ("id", "category"))
    if word in ("text", "number") or node is None:
        return Type({"text": TEXT, "number": NUMBER}.get(word, UNKNOWN))
    columns = scope.schema.columns
    wanted = ID if word == "id" else CATEGORY
    fits = {c.domain for c in columns.values() if c.kind == wanted}
    column = columns.get(node.value)
    if node.value in fits:
        return Type(wanted, node.value)
    if column is not None and column.kind == wanted:
        return Type(wanted, column.domain)
    called = "an id" if wanted == ID else "a category"
    findings.at(
        "WR101",
        node,
        f'"{node.value}" is not {called} of the schema',
        did_you_mean(node.value, fits),
    )
    return Type(UNKNOWN)


def _find(root: Path, name: str) -> Path | None:
    """Look in the pack, then in the configuration folder around it; never outside of both.

    A folder is a configuration by what lies in it. A pack may stand anywhere, and of what lies around it then only
    `lists/` is its business: `/srv/pack` has the whole disk around it.
    """
    around = root.absolute().parent.parent
    is_configuration = any((around / kind).is_file() for kind in _CONFIGURATION)
    for base, inside in ((root, root), (around, around if is_configuration else around / "lists")):
        path = base / name
        with contextlib.suppress(OSError):  # a name that no file can have
            if path.is_file() and path.resolve().is_relative_to(inside.resolve()):
                return path
    return None


def _check_value(item: marks.TextNode, kind: Type, findings: Findings, scope: Scope) -> None:
    if kind.kind != CATEGORY or _RANGE.fullmatch(item.value):
        return
    of = [
        c for c in scope.schema.columns.values() if c.kind == CATEGORY and c.domain == kind.detail
    ]
    allowed = [v for c in of for v in c.allowed]
    if not allowed or item.value in allowed or any(not c.allowed for c in of):
        return
    guess = nearest(item.value, allowed)
    severity = "" if guess or all(c.closed for c in of) else "warn"
    hint = f'did you mean "{guess}"?' if guess else ""
    what = f'{kind.detail} is never "{item.value}" by the schema'
    findings.at("WR123", item, what, hint, severity=severity)


def read_table(
    key: marks.TextNode, node: marks.Node, findings: Findings, scope: Scope
) -> TableDefinition | None:
    """Return a table; its values are numbers, amounts or durations, all of one kind."""
    r = Reader(node, findings, f"table {key.value}", language.TABLE)
    if r.map is None:
        return None
    column_node = r.scalar("key")
    column = scope.schema.columns.get(column_node.value) if column_node is not None else None
    if column_node is not None and (column is None or column.kind not in (ID, CATEGORY)):
        known = [n for n, c in scope.schema.columns.items() if c.kind in (ID, CATEGORY)]
        what = f'"{column_node.value}" is not an id or category of the schema'
        findings.at("WR101", column_node, what, did_you_mean(column_node.value, known))
    entries = r.entries("values", names=False)
    values: dict[str, float] = {}
    kinds: list[Type] = []
    for name, item in entries:
        if column is not None and column.allowed and name.value not in column.allowed:
            guess = nearest(name.value, column.allowed)
            what = f'{column.name} is never "{name.value}" by the schema'
            severity = "" if guess or column.closed else "warn"
            findings.at(
                "WR123", name, what, f'did you mean "{guess}"?' if guess else "", severity=severity
            )
        found = _number(item, findings, scope)
        if found is not None and isinstance(found.value, float):
            values[name.value] = found.value
            kinds.append(found.type)
    default_node = r.scalar("default")
    default = _number(default_node, findings, scope) if default_node is not None else None
    if default is not None:
        kinds.append(default.type)
    r.text("owner")
    r.text("description")
    r.done()
    if len(set(kinds)) > 1:
        findings.at("WR120", key, f"the values of table {key.value} are of several types")
    if column_node is None or not kinds:
        return None
    given = default.value if default is not None and isinstance(default.value, float) else 0.0
    return TableDefinition(key.value, column_node.value, kinds[0], values, given, place(key))


def _number(node: marks.Node, findings: Findings, scope: Scope) -> Node | None:
    if not isinstance(node, marks.TextNode):
        findings.at("WR027", node, "a table holds written numbers, amounts or durations")
        return None
    text = Text(node, findings)
    tree, problems = parse(node.value)
    checker = Checker(node.value, scope, text)
    found = checker.quantity(
        tree, (NUMBER, MONEY, DURATION), "a written number, amount or duration"
    )
    text.problems(problems, (), scope.currency)
    if found.op != "const" and not text.n_errors:
        text("WR026", tree.span, "a written value is wanted here")
        return None
    return None if found.type.kind == UNKNOWN else found
