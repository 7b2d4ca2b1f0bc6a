"""Tests inside a rule: a timeline of events, with value lists and `every` already expanded.

Running them is replay/workbench/ruletests.py's work.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Final

from config import marks
from config import rates as tables
from config.errors import ConfigError
from config.money import EXPONENTS
from config.schema import RATING
from rules import language
from rules.check.suggest import did_you_mean
from rules.columns import is_given
from rules.definitions import Entry, ListDefinition, ListRow, RuleTest, TestEvent
from rules.reader import Findings, Reader, cut_by_comma, place
from rules.syntax import duration_us
from rules.tables import inline_rows
from rules.tree import MONEY
from rules.types import Scope

EVENTS_MAX: Final = 10_000  # of one test, after expansion
# What a message may have beside the fields of the schema.
ENVELOPE: Final = frozenset(
    {"kind", "transaction_id", "update_id", "activity_id", "role", "currency", "status", "command"}
)
_MONEY: Final = re.compile(r"-?[0-9][0-9_]*(?:\.[0-9]+)? ([A-Z]{3})")
# Digits with anything else than a sign, a point and a currency around them.
_NO_AMOUNT: Final = re.compile(
    r"(?!-?(?:[0-9][0-9_]*)?(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?: [A-Z]{3})?$)(?=.*[0-9]).*",
    re.DOTALL,
)
_OWN: Final = language.order(language.EVENT)


class Tests:
    """Reads the tests of one rule."""

    def __init__(self, findings: Findings, scope: Scope) -> None:
        self.findings, self.scope = findings, scope

    def read(self, items: Iterable[marks.Node]) -> tuple[RuleTest, ...]:
        return tuple(t for t in (self._one(item) for item in items) if t is not None)

    def _one(self, item: marks.Node) -> RuleTest | None:
        r = Reader(item, self.findings, "a test", language.TEST)
        if r.map is None:
            return None
        name = r.text("name")
        start = r.instant("start", self.scope.zone)
        defaults = self._fields(r.get("defaults"), "defaults")
        events: list[TestEvent] = []
        latest = 0
        for node in r.items("events"):
            found = self._event(node, defaults)
            if found and found[0].at_us < latest:
                what = "this event is earlier than one above it, so it would come late"
                self.findings.at("WR502", node, what, "write events in the order of their times")
            latest = max(latest, found[0].at_us if found else 0)
            events += found
            if len(events) > EVENTS_MAX:
                self.findings.at("WR026", node, f"a test has at most {EVENTS_MAX:_} events")
                break
        lists = {
            key.value: self._rows_of(self.scope.lists[key.value], value)
            for key, value in r.entries("lists")
            if self._known_list(key)
        }
        profiles = tuple(self._profile(node) for node in r.items("profiles"))
        rates = self._rates(r)
        r.done()
        return RuleTest(name, start or 0, tuple(events), lists, profiles, place(item), rates)

    def _rates(self, r: Reader) -> dict[str, Fraction] | None:
        """Read `rates: {USD: 7.00}`: what one dollar costs in the pack's currency, all through the test."""
        found: dict[str, Fraction] = {}
        for key, value in r.entries("rates", names=False):
            try:
                found |= tables.prices([(key, value)], self.scope.currency)
            except ConfigError as error:
                self.findings.at("WR122", key, error.what, error.fix)
        return found if r.map is not None and "rates" in r.map else None

    def _rows_of(self, of: ListDefinition, node: marks.Node) -> tuple[ListRow, ...]:
        """What a list holds during the test: values, and rows with validity and columns beside them."""
        content = inline_rows(node, of.type, self.findings, self.scope)
        told = (dict(zip(content.columns, row.texts, strict=True)) for row in content.rows)
        return tuple(
            replace(row, texts=tuple(texts.get(name, "") for name in of.columns))
            for row, texts in zip(content.rows, told, strict=True)
        )

    def _known_list(self, key: marks.TextNode) -> bool:
        if key.value in self.scope.lists:
            return True
        hint = did_you_mean(key.value, self.scope.lists, "")
        self.findings.at("WR103", key, f"unknown list {key.value}", hint)
        return False

    def _fields(self, node: marks.Node | None, called: str) -> dict[str, Entry]:
        if node is None:
            return {}
        if not isinstance(node, marks.MapNode):
            self.findings.at("WR027", node, f"{called} is a mapping of fields to values")
            return {}
        return {k.value: self._entry(k, v) for k, v in node.items() if self._known_field(k, node)}

    def _known_field(self, key: marks.TextNode, node: marks.MapNode) -> bool:
        name, columns = key.value, self.scope.schema.columns
        if name in columns or name in ENVELOPE or is_given(name):
            return True
        known = (*columns, *ENVELOPE, *_OWN, "model.score", RATING)
        hint = cut_by_comma(node, name) or did_you_mean(name, known)
        self.findings.at("WR101", key, f'unknown field "{name}"', hint)
        return False

    def _entry(self, key: marks.TextNode, node: marks.Node) -> Entry:
        column = self.scope.schema.columns.get(key.value)
        if isinstance(node, marks.TextNode):
            named = _MONEY.fullmatch(node.value)
            ours = self.scope.currency
            if named is not None and column is not None and column.in_books and named[1] != ours:
                what = f"{key.value} is in {ours}, {node.value} is not"
                self.findings.at("WR122", node, what, f"write the amount in {ours}")
            elif named is not None and column is not None and column.kind == MONEY:
                self._known_currency(node, named[1])
            if (
                column is not None
                and column.closed
                and column.allowed
                and node.value not in column.allowed
            ):
                what = f'{key.value} is never "{node.value}" by the schema'
                self.findings.at("WR123", node, what, did_you_mean(node.value, column.allowed))
            elif key.value == "type" and node.value not in self.scope.schema.event_types:
                types = self.scope.schema.event_types
                if guess := did_you_mean(node.value, types):
                    what = f'the schema knows no event type "{node.value}"'
                    self.findings.at("WR306", node, what, guess)
            elif column is not None and column.kind == MONEY and _NO_AMOUNT.fullmatch(node.value):
                what = f'{key.value} "{node.value}" is not an amount'
                hint = f"write for instance 1_000 {ours} or 99.90"
                self.findings.at("WR122", node, what, hint)
            return node.value
        if isinstance(node, marks.ListNode):
            return tuple(self._entry(key, item) for item in node)
        return {k.value: self._entry(k, v) for k, v in node.items()}

    def _known_currency(self, node: marks.TextNode, currency: str) -> None:
        if currency not in EXPONENTS:
            hint = did_you_mean(currency, (self.scope.currency, *EXPONENTS), "")
            self.findings.at("WR122", node, f"{currency} is not an ISO 4217 currency", hint)

    def _profile(self, node: marks.Node) -> dict[str, Entry]:
        """Read a profile message; its fields are attributes, which the decoder checks."""
        if not isinstance(node, marks.MapNode):
            self.findings.at("WR027", node, "a profile is a mapping of fields to values")
            return {}
        return {k.value: self._entry(k, v) for k, v in node.items()}

    def _event(self, node: marks.Node, defaults: Mapping[str, Entry]) -> list[TestEvent]:
        r = Reader(node, self.findings, "an event", language.EVENT)
        if r.map is None:
            return []
        at_us = self._at(r)
        every = r.duration("every")
        expect = r.word("expect", "quiet")
        features = self._expected_features(r)
        actions = self._expected_actions(r)
        own = {
            k.value: self._entry(k, v)
            for k, v in r.map.items()
            if k.value not in _OWN and self._known_field(k, r.map)
        }
        rows = self._rows(r, {**defaults, **own}, node)
        if "every" in r.map and len(rows) == 1:
            what = '"every" needs a list of values to go through'
            self.findings.at(
                "WR022", r.key("every"), what, "write for instance merchant: [M1, M2, M3]"
            )
        return [
            TestEvent(at_us + i * every, fields, expect, features, actions, place(node))
            for i, fields in enumerate(rows)
        ]

    def _at(self, r: Reader) -> int:
        node = r.scalar("at")
        if node is None:
            return 0
        us = duration_us(node.value.removeprefix("+"))
        if us is None:
            what = f'at "{node.value}" is not a duration after the start'
            self.findings.at("WR025", node, what, "write for instance +0m, +3h or +200d5m")
            return 0
        return us

    def _rows(
        self, r: Reader, fields: dict[str, Entry], node: marks.Node
    ) -> list[dict[str, Entry]]:
        """Expand lists of values: the i-th event takes the i-th value of each."""
        sizes = {len(v) for v in fields.values() if isinstance(v, tuple)}
        if not sizes:
            return [fields]
        if len(sizes) > 1 or 0 in sizes:
            what = "the lists of values of an event need one length"
            self.findings.at("WR027", node, what)
            return [fields]
        if r.map is not None and "every" not in r.map:
            what = 'a list of values needs "every:", the time between two of them'
            self.findings.at("WR022", node, what, "write for instance every: 1m")
        n = min(sizes.pop(), EVENTS_MAX + 1)  # one too many is reported
        return [
            {k: v[i] if isinstance(v, tuple) else v for k, v in fields.items()} for i in range(n)
        ]

    def _expected_features(self, r: Reader) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        entries = r.entries("expect_features")
        known = (
            tuple(self.scope.known()) if entries else ()
        )  # 300 names, and most events expect none
        for key, value in entries:
            if key.value not in known:
                hint = did_you_mean(key.value, known, "")
                self.findings.at("WR101", key, f'unknown feature "{key.value}"', hint)
            elif isinstance(value, marks.TextNode):
                found[key.value] = value.value
            else:
                self.findings.at("WR027", value, "a feature is expected to be one value")
        return found

    def _expected_actions(self, r: Reader) -> tuple[str, ...] | None:
        if r.get("expect_actions") is None:
            return None
        out = []
        for node in r.texts("expect_actions"):
            kinds = language.ACTION_KINDS
            if node.value in kinds:
                out.append(node.value)
            else:
                what = f'action "{node.value}" is not one of {", ".join(kinds)}'
                self.findings.at("WR021", node, what, did_you_mean(node.value, kinds))
        return tuple(out)
