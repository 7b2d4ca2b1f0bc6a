"""Lists and tables of a pack: content is data, read and checked here."""

import csv
import io
import re
from pathlib import Path
from typing import Final

from config import marks
from config.errors import ConfigError
from rules import language
from rules.check.suggest import did_you_mean, nearest
from rules.definitions import ListDefinition, TableDefinition
from rules.reader import Findings, Reader, Text, place
from rules.syntax import parse
from rules.tree import CATEGORY, DURATION, ID, MONEY, NUMBER, TEXT, Node, Type
from rules.types import UNKNOWN, Checker, Scope

RANGE_MAX: Final = 100_000  # values that one `3000-3299` may stand for
_RANGE: Final = re.compile(r"([0-9]+)-([0-9]+)")
_VALIDITY: Final = ("valid_from", "valid_until")


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
    values: set[str] = set()
    origin = ""
    if (file_node is None) == (inline is None):
        findings.at("WR022", key, f'list {key.value} needs either "file:" or "values:"')
    elif file_node is not None:
        path = _find(root, file_node.value)
        origin = file_node.value
        if path is None:
            findings.at("WR009", file_node, f"there is no file {file_node.value} in the pack")
        else:
            values = _read_csv(path, file_node, findings, kind)
    else:
        for item in r.scalars(inline, "values"):
            _check_value(item, kind, findings, scope)
            values |= _expand(item.value, kind, item, findings)
    r.done()
    return ListDefinition(
        key.value, kind, frozenset(values), place(key), origin, owner, review
    ), path


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
    """Look in the pack, then in the configuration folder around it; never outside of both."""
    for base in (root, root.parent.parent):
        path = base / name
        if path.is_file() and path.resolve().is_relative_to(base.resolve()):
            return path
    return None


def _read_csv(path: Path, node: marks.TextNode, findings: Findings, kind: Type) -> set[str]:
    """Read the first column under its heading."""
    try:
        text = marks.read_text(path, node.value)
    except ConfigError as error:
        findings.at("WR009", node, f"{node.value} {error.what}", error.fix)
        return set()
    rows = csv.reader(io.StringIO(text))
    heading = [h.strip() for h in next(rows, [])]
    if not heading:
        findings.at(
            "WR007", node, f"{node.value} has no heading", "the first line names the columns"
        )
        return set()
    dated = [i for i, h in enumerate(heading) if h in _VALIDITY]
    values: set[str] = set()
    for row in rows:
        if not row or not row[0].strip():
            continue
        if any(i < len(row) and row[i].strip() for i in dated):
            what = f"{node.value}: rows that hold for a time only are not in this version"
            findings.at("WR028", node, what, "leave valid_from and valid_until empty")
            dated = []
        values |= _expand(row[0].strip(), kind, node, findings)
    return values


def _expand(value: str, kind: Type, node: marks.Node, findings: Findings) -> set[str]:
    """Write out a range of codes such as 3000-3299, leading zeros kept."""
    match = _RANGE.fullmatch(value) if kind.kind in (CATEGORY, NUMBER) else None
    if match is None:
        if kind.kind == NUMBER and not re.fullmatch(r"-?[0-9][0-9_]*(\.[0-9]+)?", value):
            findings.at("WR026", node, f'"{value}" is not a number')
            return set()
        return {value.replace("_", "") if kind.kind == NUMBER else value}
    low, high = int(match[1]), int(match[2])
    if low > high or high - low >= RANGE_MAX:
        findings.at(
            "WR026",
            node,
            f"{value} is not a range of at most {RANGE_MAX:_} values, the lower first",
        )
        return set()
    width = len(match[1]) if kind.kind == CATEGORY and len(match[1]) == len(match[2]) else 0
    return {str(n).zfill(width) for n in range(low, high + 1)}


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
