"""A small schema and packs on disk, for tests of the rule language."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from config import schema as config_schema
from rules import pack
from rules.definitions import ListDefinition, Place, TableDefinition
from rules.syntax import parse
from rules.tree import Node, Type
from rules.types import Checker, Named, Scope

HERE = Place("test.yaml", 1, 1)


@dataclass(frozen=True)
class Column:
    """The least that rules need to know about a column."""

    name: str
    kind: str
    domain: str = ""
    allowed: tuple[str, ...] = ()
    closed: bool = False
    required: bool = False
    required_for: tuple[str, ...] = ()
    derived: str = ""
    dated: bool = False
    in_books: bool = False
    messages: frozenset[str] = frozenset({"transaction", "activity"})


@dataclass(frozen=True)
class Schema:
    columns: dict[str, Column] = field(default_factory=dict)
    event_types: dict[str, str] = field(default_factory=dict)
    open_types: bool = True


CHANNELS = ("pos", "atm", "web", "mobile", "branch_cash", "atm_deposit")
COLUMNS = (
    Column("event_time", "time", required=True),
    Column(
        "type", "category", "type", ("payment", "card_auth", "login"), closed=True, required=True
    ),
    Column("account", "id", "account", required=True),
    Column("counterparty", "id", "account"),
    Column("payee", "id", "account"),
    Column("customer", "id", "customer"),
    Column("card", "id", "card", required_for=("card_auth",)),
    Column("device", "id", "device"),
    Column("merchant", "id", "merchant"),
    Column("ip", "id", "ip"),
    Column("amount", "money", required=True),
    Column("balance_before", "money"),
    Column("direction", "category", "direction", ("in", "out"), closed=True),
    Column("status", "category", "status", ("booked", "declined", "requested")),
    Column("channel", "category", "channel", CHANNELS),
    Column("mcc", "category", "mcc"),
    Column("country", "category", "country"),
    Column("merchant_country", "category", "country"),
    Column("segment", "category", "segment", ("retail", "private")),
    Column("purpose", "text", "text"),
    Column("name", "text", "text"),
    Column("n_items", "number"),
    Column("duration", "duration"),
    Column("lat", "geo"),
    Column("lon", "geo"),
    Column("is_new", "flag"),
    Column("account_age", "duration", derived="event_time - account.opened_on"),
    Column("account.opened_on", "time", dated=True),
    Column(
        "label",
        "category",
        "label",
        ("fraud", "genuine"),
        closed=True,
        messages=frozenset({"label"}),
    ),
)
SCHEMA = Schema(
    {c.name: c for c in COLUMNS},
    {"payment": "transaction", "card_auth": "transaction", "login": "activity"},
)

HEAD = """
pack: test
version: 1.0.0
language: 1
currency: EUR
timezone: Europe/Berlin
retention: 400d
decision:
  combine: sum
  bands: [{from: 0, to: 500, do: approve}, {from: 500, to: 1000, do: review}]
reasons: {TEST: A reason for tests}
"""
RULE = """
rules:
  - id: R-1
    name: A rule
    version: 1
    owner: tests
    severity: high
    reason: TEST
    on: payment
    mode: live
    when: amount > 500 EUR
    score: 100
"""


def scope(**more) -> Scope:
    """What names mean in a test: two lists, a table, two params, one feature, one macro."""
    lists = {
        "vips": ListDefinition("vips", Type("id", "customer"), frozenset({"K1"}), HERE),
        "cash": ListDefinition("cash", Type("category", "channel"), frozenset({"atm"}), HERE),
    }
    tables = {
        "limits": TableDefinition("limits", "segment", Type("number"), {"retail": 0.5}, 0.9, HERE)
    }
    named = {
        "sum_1h": Named(Node("column", Type("money", "EUR"), value="sum_1h")),
        "n_1h": Named(Node("column", Type("number"), value="n_1h")),
        "seen": Named(Node("column", Type("duration"), value="seen")),
        "outgoing": Named(
            Node(
                "==",
                Type("bool"),
                (
                    Node("column", Type("category", "direction"), value="direction"),
                    Node("const", Type("text"), value="out"),
                ),
            ),
            3,
        ),
    }
    values = {
        "schema": SCHEMA,
        "currency": "EUR",
        "zone": ZoneInfo("Europe/Berlin"),
        "resolve": lambda name, _: named.get(name),
        "known": lambda: named,
        "lists": lists,
        "tables": tables,
        "params": {
            "floor": Node("const", Type("money", "EUR"), value=100_00.0),
            "n": Node("const", Type("number"), value=5.0),
        },
        "reads": frozenset({"models"}),
    }
    return Scope(**{**values, **more})


def typed(text: str, where: Scope | None = None):
    """Type one expression; return the node and what was reported: (code, part, message, hint)."""
    found = []

    def report(code, span, what, hint="", *, severity=""):
        found.append(
            (code + (f" {severity}" if severity else ""), text[span.start : span.end], what, hint)
        )

    tree, problems = parse(text)
    assert not problems, problems
    return Checker(text, where or scope(), report).check(tree), found


def shown(node: Node) -> str:
    """Print a typed tree, constants as they are computed with."""
    if node.op == "const":
        return repr(node.value)
    head = node.op
    if node.op == "column":
        return str(node.value)
    if node.value is not None:
        value = sorted(node.value) if isinstance(node.value, frozenset) else node.value
        head += f" {value}"
    return f"{head}({', '.join(map(shown, node.args))})"


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write a pack; `pack.yaml` is HEAD unless given."""
    for name, text in {"pack.yaml": HEAD, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def load(folder: Path, files: dict[str, str], schema: Schema = SCHEMA) -> pack.Loaded:
    return pack.load([write(folder, files)], schema)


def of_another_bank(schema: config_schema.Schema) -> config_schema.Schema:
    """The schema for packs that know other segments than ours, such as the samples of the specification."""
    segment = replace(schema.columns["segment"], allowed=())
    return replace(schema, columns={**schema.columns, "segment": segment})


def said(loaded: pack.Loaded) -> list[tuple[str, int, int, str]]:
    """List findings as (code, line, column, message)."""
    return [(f.code, f.place.line, f.place.column, f.message) for f in loaded.findings]
