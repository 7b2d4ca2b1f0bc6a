"""What a field, feature, rule or expression means, as a digest: two of one digest mean the same in two configurations.

A name means nothing by itself: a feature is what it aggregates, a condition what the fields and features in it are,
all the way down. So a feature keeps its state when it is renamed, or when its file is laid out anew. A list is its name
and type, whatever rows it has today: a condition is evaluated when its event comes, so what was counted was in the list
then, as with rows that rules add while the engine runs. A list that gets another row costs no feature its history.

Not part of a meaning: descriptions, owners, places in files; and the table of exchange rates, for an amount was what
it was at the rate of its day.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Final, TypeAlias

from engine.setup import Setup
from engine.windows.shape import Meaning, meaning_of
from rules.columns import conversion
from rules.definitions import Aggregate, Feature, Place, Rule, RuleTest
from rules.ruleset import WindowSpec
from rules.tree import DATE, MONEY, TIME_OF_DAY, Node

_SILENT: Final = frozenset(
    {"place", "origins", "tests", "text", "description", "purpose", "references", "owner"}
    | {"params", "span"}
)  # parts of a definition that change nothing the engine does

STEP: Final = 8  # rules or the like that are worked out at once, a millisecond or two
# Meanings by name: of columns, rules, window features and the content of lists.
WorkedOut: TypeAlias = tuple[dict[str, str], dict[str, str], dict[str, Meaning], dict[str, str]]


class Meanings:
    """The meanings of one configuration; each is worked out once."""

    def __init__(self, setup: Setup) -> None:
        self._pack, self._schema, self._derived = setup.pack, setup.schema, setup.derived
        self._columns: dict[str, str] = {}
        self._rules: dict[str, str] = {}
        self._specs: dict[str, Meaning] = {}
        self._lists: dict[str, str] = {}

    @property
    def worked_out(self) -> WorkedOut:
        """Everything that has been asked for, for whoever has the same configuration."""
        return self._columns, self._rules, self._specs, self._lists

    def take_over(self, found: WorkedOut) -> None:
        """Know what somebody else has worked out about the same configuration."""
        columns, rules, specs, lists = found
        self._columns |= columns
        self._rules |= rules
        self._specs |= specs
        self._lists |= lists

    def work_out(self) -> Iterator[None]:
        """Work out every rule, feature and list, a few a step, so that nobody waits for it later."""
        asked: list[tuple[dict[str, str], str, Callable[[], str]]] = [
            *((self._rules, rule.id, partial(self.rule, rule)) for rule in self._pack.rules),
            *((self._columns, name, partial(self.column, name)) for name in self._pack.features),
            *((self._lists, name, partial(self.list_content, name)) for name in self._pack.lists),
        ]
        n = 0
        for known, name, work_out in asked:
            if name not in known:
                work_out()
                n += 1
                if n % STEP == 0:
                    yield

    def column(self, name: str) -> str:
        """The meaning of a field, attribute, feature or `convert(...)`; of anything else its name."""
        if name not in self._columns:
            self._columns[name] = self._column(name)
        return self._columns[name]

    def node(self, node: Node) -> str:
        """The meaning of an expression or condition."""
        value: object = node.value
        if node.op == "column":
            value = self.column(str(value))
        elif node.op == "in" and isinstance(value, str):
            value = (value, str(self._pack.lists[value.removeprefix("@")].type))
        elif node.op == "lookup":
            table = self._pack.tables[str(value)]
            value = (str(table.type), tuple(sorted(table.values.items())), table.default)
        elif isinstance(value, frozenset):
            value = tuple(sorted(value, key=repr))
        is_local = node.op == "call" or node.type.kind in (TIME_OF_DAY, DATE)
        zone = self._pack.timezone if is_local else ""
        return _digest(node.op, str(node.type), repr(value), zone, *map(self.node, node.args))

    def list_content(self, name: str) -> str:
        """What a list holds; no part of any other meaning."""
        if name not in self._lists:
            self._lists[name] = self._list_content(name)
        return self._lists[name]

    def _list_content(self, name: str) -> str:
        of = self._pack.lists[name]
        rows = [(r.value, r.from_us, r.until_us, *r.texts) for r in of.rows]
        content = sorted(map(repr, rows)) if rows else sorted(of.values)
        return _digest(name, str(of.type), *of.columns, *content)

    def rule(self, rule: Rule) -> str:
        """The meaning of a rule: everything that may change what it does or says."""
        if rule.id not in self._rules:
            self._rules[rule.id] = self._anything(rule)
        return self._rules[rule.id]

    def spec(self, spec: WindowSpec) -> Meaning:
        """What a window feature is to its event log."""
        if spec.name not in self._specs:
            self._specs[spec.name] = self._spec(spec)
        return self._specs[spec.name]

    def _spec(self, spec: WindowSpec) -> Meaning:
        aggregate, argument = spec.aggregate, spec.argument
        where = self.node(aggregate.where) if aggregate.where is not None else ""
        given = ""
        if argument is not None and aggregate.argument is not None:
            given = _digest(self.node(aggregate.argument), argument.dictionary, str(spec.decimals))
        digest = _digest(self._aggregate(aggregate), given)
        return meaning_of(spec, digest, _digest(aggregate.domain, where), given)

    def _column(self, name: str) -> str:
        feature = self._pack.features.get(name)
        if feature is not None:
            return self._feature(feature)
        column = self._schema.columns.get(name)
        if column is not None:
            parts = [name, column.kind, column.domain, str(column.decimals), str(column.in_books)]
            if column.kind == MONEY:
                parts.append(self._pack.currency)
            if column.entity:
                parts.append(self._schema.columns[column.entity].domain)
            parts += [self.column(source) for source in column.sources]
            if name in self._derived:
                parts.append(self.node(self._derived[name]))
            return _digest("field", *parts)
        asked = conversion(name)
        if asked is not None:
            return _digest("convert", self.column(asked[0]), asked[1])
        return _digest("name", name)

    def _feature(self, feature: Feature) -> str:
        if feature.aggregate is not None:
            return _digest(str(feature.type), self._aggregate(feature.aggregate))
        assert feature.expression is not None, feature.name
        return _digest(str(feature.type), self.node(feature.expression))

    def _aggregate(self, aggregate: Aggregate) -> str:
        keys = sorted(self.column(name) for name in set(aggregate.keys))
        zone = self._pack.timezone if aggregate.window.calendar else ""
        named = [
            (f.name, getattr(aggregate, f.name)) for f in fields(aggregate) if f.name != "keys"
        ]
        return _digest(zone, *keys, *(f"{n}={self._anything(v)}" for n, v in named))

    def _anything(self, value: object) -> str:
        """The meaning of a part of a definition."""
        if isinstance(value, Node):
            return self.node(value)
        if isinstance(value, (Place, RuleTest)):
            return ""
        if is_dataclass(value):
            named = [(f.name, getattr(value, f.name)) for f in fields(value)]
            parts = [f"{n}={self._anything(v)}" for n, v in named if n not in _SILENT]
            return _digest(type(value).__name__, *parts)
        if isinstance(value, tuple):
            return _digest(*map(self._anything, value))
        if isinstance(value, Mapping):
            return _digest(*(f"{k}={self._anything(v)}" for k, v in sorted(value.items())))
        return repr(value)


def _digest(*parts: str) -> str:
    """A digest of texts, each told from its neighbours."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]
