"""Types, units and names: an untyped tree of rules/syntax.py becomes a typed `Node` of rules/tree.py.

What happens on the way, so that nothing behind it has to:
- macros, params and lets are put in place as trees; features and fields become `column` nodes;
- literals become numbers: money in minor units, durations and times in microseconds, percent as a share;
- a bare number beside money means the pack's currency; amounts in two currencies never meet, `convert` makes one of
  them a column in the other;
- `not in`, `not between`, `is present` become `not` around the positive form (missing stays missing either way);
- a flag used as a condition becomes `flag == 1`;
- `??` and `if` over ids, categories and texts are moved outwards until they choose between conditions or numbers,
  so that the code plane holds columns and constants only, under at most lower() or upper().

An error is reported once: what it makes unknowable gets the type `unknown`, which fits everywhere.
"""

import ipaddress
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from config import money
from config.errors import ConfigError
from config.schema import RATING
from rules import patterns, spellings
from rules.check.suggest import did_you_mean, nearest
from rules.columns import conversion, converted, is_given
from rules.definitions import ListDefinition, TableDefinition
from rules.functions import (
    AT_LEAST,
    CONVERT,
    CONVERT_EXAMPLE,
    FUNCTIONS,
    REFUSED,
    SAME,
    Function,
    result_kind,
    written_out,
)
from rules.spellings import CURRENCIES
from rules.syntax import AGGREGATES, Tree
from rules.tree import (
    BOOL,
    CATEGORY,
    DATE,
    DURATION,
    FLAG,
    GEO,
    ID,
    MONEY,
    NUMBER,
    TEXT,
    TIME,
    TIME_OF_DAY,
    Node,
    Span,
    Type,
)

UNKNOWN: Final = "unknown"  # after an error; never in a finished tree
SIZE_MAX: Final = 2_000  # nodes of one expression with its macros in place
MINUTE_US: Final = 60_000_000

_UNKNOWN: Final = Type(UNKNOWN)
_BOOL: Final = Type(BOOL)
_NUMBER: Final = Type(NUMBER)
_SCALARS: Final = frozenset({NUMBER, GEO})
_INSTANTS: Final = frozenset({TIME, DATE})
_TRUTHS: Final = frozenset({BOOL, FLAG})
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_STRING_OPS: Final = frozenset({"contains", "starts with", "ends with", "matches"})


class Column(Protocol):
    """What the language needs to know about a column of the schema (config/schema.py has it)."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def domain(self) -> str: ...
    @property
    def allowed(self) -> tuple[str, ...]: ...
    @property
    def closed(self) -> bool: ...
    @property
    def required(self) -> bool: ...
    @property
    def required_for(self) -> Collection[str]: ...
    @property
    def derived(self) -> str: ...
    @property
    def dated(self) -> bool: ...
    @property
    def in_books(self) -> bool: ...
    @property
    def messages(self) -> Collection[str]: ...


class SchemaLike(Protocol):
    """The event schema: columns by name, attributes included, and event types with their kind."""

    @property
    def columns(self) -> Mapping[str, Column]: ...
    @property
    def event_types(self) -> Mapping[str, str]: ...
    @property
    def open_types(self) -> bool: ...


class Report(Protocol):
    """Takes one finding about a part of the text that is being checked."""

    def __call__(
        self, code: str, span: Span, what: str, hint: str = "", *, severity: str = ""
    ) -> None: ...


def column_type(column: Column, currency: str) -> Type:
    """Return the type of a column of the schema."""
    if column.kind == MONEY:
        return Type(MONEY, currency)
    return Type(column.kind, column.domain)


def is_label(column: Column) -> bool:
    """Tell whether only labels carry the column."""
    return column.name == "label" or set(column.messages) == {"label"}


@dataclass(frozen=True, slots=True)
class Named:
    """What a name of the pack stands for: a tree to put in place, or a feature's column."""

    node: Node
    size: int = 1


def _nothing(_: str, __: Span) -> Named | None:
    return None


@dataclass(slots=True)
class Scope:
    """What names mean in one expression.

    resolve   : a let, feature or macro by name; None when there is none. Reports circles itself
    known     : names that `resolve` knows, for suggestions
    elsewhere : name -> what to say when it exists but not here ("belongs to rule X")
    params    : of the rule; None where there are none
    reads     : what may be read beside event fields: "models", "labels", "reasons" (texts for templates)
    currencies: that the configuration has rates for; what `convert` may name
    compared  : list -> what the rule's condition compares with it by `in`; for templates
    """

    schema: SchemaLike
    currency: str
    zone: ZoneInfo
    resolve: Callable[[str, Span], Named | None] = _nothing
    known: Callable[[], Iterable[str]] = tuple
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, ListDefinition] = field(default_factory=dict)
    list_places: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, TableDefinition] = field(default_factory=dict)
    params: Mapping[str, Node] | None = None
    reads: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    compared: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)


class Checker:
    """Types one text. `size` counts the nodes made, those of macros included."""

    def __init__(self, text: str, scope: Scope, report: Report) -> None:
        self.text, self.scope, self.report = text, scope, report
        self.size = 0
        self.money_literals: set[int] = set()  # where bare numbers were taken as money

    # ---- entry points

    def condition(self, tree: Tree) -> Node:
        """Type a text that must be true or false."""
        return self.truth(tree, self.check(tree))

    def quantity(self, tree: Tree, kinds: Collection[str], wanted: str) -> Node:
        """Type a text that must be of one of `kinds`, called `wanted` in messages."""
        node = self.check(tree)
        if node.type.kind not in kinds and node.type.kind != UNKNOWN:
            self.report("WR120", tree.span, f"{self.says(tree, node)}, {wanted} is wanted here")
            return self.unknown(tree.span)
        return node

    def check(self, tree: Tree) -> Node:
        """Type any tree."""
        self.size += 1
        op = tree.op
        if op in _LITERALS:
            return self.literal(tree)
        if op in ("and", "or"):
            parts = tuple(self.truth(t, self.check(t)) for t in tree.args)
            return Node(op, _BOOL, parts, span=tree.span)
        if op == "not":
            return self.negation(self.truth(tree.args[0], self.check(tree.args[0])), tree.span)
        if op in _COMPARISONS:
            return self.compare(op, tree)
        if op in ("+", "-", "*", "/"):
            return self.arithmetic(op, tree)
        positive = op.removeprefix("not_")
        simple = {
            "name": self.name,
            "param": self.param,
            "minus": self.minus,
            "??": self.default,
            "if": self.choice,
            "call": self.call,
            "lookup": self.lookup,
            "in": self.member,
            "between": self.between,
            "is_missing": self.missing,
            "is_present": self.missing,
        }
        if positive in simple:
            node = simple[positive](tree)
        elif positive in _STRING_OPS:
            node = self.string_op(positive, tree)
        elif op == "list":
            what = f'a list can only follow "in", found @{tree.value}'
            self.report("WR113", tree.span, what, f"write x in @{tree.value}")
            return self.unknown(tree.span)
        else:
            assert op == "error", op
            return self.unknown(tree.span)
        if positive != op or op == "is_present":
            node = self.negation(node, tree.span)
        if self.size > SIZE_MAX:
            what = f"with its macros in place the expression has more than {SIZE_MAX:,} parts"
            self.report("WR117", tree.span, what, "split it into features")
            self.size = -(10**9)  # once
            return self.unknown(tree.span)
        return node

    # ---- little tools

    def unknown(self, span: Span) -> Node:
        return Node("const", _UNKNOWN, span=span)

    def negation(self, node: Node, span: Span) -> Node:
        return node if node.type.kind == UNKNOWN else Node("not", _BOOL, (node,), span=span)

    def source(self, tree: Tree) -> str:
        text = " ".join(self.text[tree.span.start : tree.span.end].split())
        return text if len(text) <= 60 else text[:57] + "..."

    def says(self, tree: Tree, node: Node) -> str:
        """Describe a part and its type, as in `channel is text (pos, atm, web, ...)`."""
        if tree.op == "percent":
            return f"{self.source(tree)} is a share ({node.value:g} of 1)"
        return f"{self.source(tree)} is {self.kind_of(node)}"

    def kind_of(self, node: Node) -> str:
        kind, detail = node.type.kind, node.type.detail
        if kind == CATEGORY and node.op == "column":
            allowed = self.allowed(node)
            few = ", ".join(allowed[:3]) + (", ..." if len(allowed) > 3 else "")
            return f"text ({few})" if allowed else "text"
        return {
            ID: f"an id ({detail})",
            MONEY: f"money ({detail})",
            NUMBER: "a number",
            GEO: "a number",
            DURATION: "a duration",
            TIME: "a time",
            DATE: "a date",
            TIME_OF_DAY: "a time of day",
            BOOL: "a condition",
            FLAG: "a flag (true or false)",
        }.get(kind, "text")

    def allowed(self, node: Node) -> tuple[str, ...]:
        column = self.scope.schema.columns.get(str(node.value)) if node.op == "column" else None
        if column is not None:
            return column.allowed
        return ()

    def truth(self, tree: Tree, node: Node) -> Node:
        """Make a condition of a node, or report that it is none."""
        kind = node.type.kind
        if kind in (BOOL, UNKNOWN):
            return node
        if kind == FLAG:
            one = Node("const", node.type, value=1.0, span=tree.span)
            return Node("==", _BOOL, (node, one), span=tree.span)
        hint = {
            ID: "write for instance: is present",
            TEXT: f'compare it: {self.source(tree)} == "..."',
            CATEGORY: f'compare it: {self.source(tree)} == "..."',
        }.get(kind, f"compare it: {self.source(tree)} > 0" if kind == NUMBER else "")
        self.report("WR128", tree.span, f"{self.says(tree, node)}, not a condition", hint)
        return self.unknown(tree.span)

    def lift(self, node: Node, make: Callable[[Node], Node]) -> Node:
        """Apply `make` to each value that a coded node can choose."""
        if node.op == "if" and node.type.is_coded:
            condition, a, b = node.args
            left, right = self.lift(a, make), self.lift(b, make)
            self.size += 1
            kind = left.type if right.op == "const" else right.type
            return Node("if", kind, (condition, left, right), span=node.span)
        return make(node)

    # ---- literals and names

    def literal(self, tree: Tree) -> Node:
        value, kind = self.literal_value(tree)
        if kind.kind == UNKNOWN:
            return self.unknown(tree.span)
        return Node("const", kind, value=value, span=tree.span)

    def literal_value(self, tree: Tree) -> tuple[float | bool | str, Type]:
        op, text = tree.op, tree.value
        if op == "num":
            return float(text), _NUMBER
        if op == "percent":
            return float(Decimal(text) / 100), _NUMBER
        if op == "duration":
            return float(text), Type(DURATION)
        if op == "string":
            return text, Type(TEXT)
        if op in ("true", "false"):
            return op == "true", _BOOL
        if op == "timeofday":
            hours, minutes = (int(part) for part in text.split(":"))
            if hours > 23 or minutes > 59:
                self.report("WR116", tree.span, f"{text} is no time of day", "from 00:00 to 23:59")
                return 0.0, _UNKNOWN
            return float((hours * 60 + minutes) * MINUTE_US), Type(TIME_OF_DAY)
        if op == "date":
            us = date_us(text, self.scope.zone)
            if us is None:
                self.report("WR116", tree.span, f"{text} is no date of the years 1900 to 2200")
                return 0.0, _UNKNOWN
            return float(us), Type(DATE, self.scope.zone.key)
        assert op == "money", op
        minor = self.minor(tree, Decimal(text), tree.unit)
        return (0.0, _UNKNOWN) if minor is None else (minor, Type(MONEY, tree.unit))

    def minor(self, tree: Tree, amount: Decimal, currency: str) -> float | None:
        """Convert major to minor units of a currency, exactly, or report why not."""
        ours = self.scope.currency
        try:
            digits = money.exponent(currency)
        except ConfigError:
            meant = CURRENCIES.get(currency, currency)
            hint = did_you_mean(meant, (ours, *money.EXPONENTS), "")
            self.report("WR122", tree.span, f"{currency} is not an ISO 4217 currency", hint)
            return None
        scaled = amount.scaleb(digits)
        written = -int(amount.as_tuple().exponent)
        if written > digits:  # also 3.000, which some people write for three thousand
            what = f"{currency} has {digits} decimals, {self.source(tree)} has more"
            hint = ""
            if scaled == scaled.to_integral_value():
                hint = f"write {amount:.{digits}f} {currency}"
                if written == 3:
                    hint += f", or {int(amount * 1_000):_} {currency}"
            self.report("WR122", tree.span, what, hint)
            return None
        if abs(scaled) > money.MINOR_MAX:
            self.report("WR122", tree.span, "the amount is larger than 2**53 minor units")
            return None
        return float(scaled)

    def name(self, tree: Tree) -> Node:
        name = tree.value
        node = self.named(tree, name)
        if node is not None:
            return node
        hint, guess = self.unknown_name(name)
        kind = "field" if "." not in name else "attribute"
        self.report("WR101", tree.span, f'unknown {kind} "{name}"', hint)
        # The guess lends its type, so that the rest of the expression is checked too.
        return (self.named(tree, guess) if guess else None) or self.unknown(tree.span)

    def named(self, tree: Tree, name: str) -> Node | None:
        found = self.scope.resolve(name, tree.span)
        if found is not None:
            self.size += found.size
            return self.allowed_here(tree, name, found.node)
        if name.startswith("model."):
            return self.model(tree, name)
        if name == RATING and "customer" in self.scope.schema.columns:
            return self.rating(tree)
        column = self.scope.schema.columns.get(name)
        if column is None:
            return None
        if is_label(column) and "labels" not in self.scope.reads:
            what = f'"{name}" is a verdict that arrives later'
            hint = "only the where of a feature can look at labels"
            self.report("WR108", tree.span, what, hint)
            return self.unknown(tree.span)
        return Node("column", column_type(column, self.scope.currency), value=name, span=tree.span)

    def allowed_here(self, tree: Tree, name: str, node: Node) -> Node:
        """Put a macro or let in place, unless it reads what this text must not."""
        if node.op != "column":
            for read in node.columns():
                column = self.scope.schema.columns.get(read)
                if column is not None and is_label(column) and "labels" not in self.scope.reads:
                    what = f'"{name}" reads {read}, a verdict that arrives later'
                    hint = "only the where of a feature can look at labels"
                    self.report("WR108", tree.span, what, hint)
                    return self.unknown(tree.span)
                if is_given(read) and "models" not in self.scope.reads:
                    what = f'"{name}" reads {read}, which only rules can'
                    self.report("WR107", tree.span, what)
                    return self.unknown(tree.span)
        return respan(node, tree.span)

    def model(self, tree: Tree, name: str) -> Node:
        if "models" not in self.scope.reads:
            self.report("WR107", tree.span, f"{name} cannot be read here", "only rules read models")
            return self.unknown(tree.span)
        if name == "model.top_reasons":
            if "reasons" in self.scope.reads:
                return Node("column", Type(TEXT, "text"), value=name, span=tree.span)
            what = "model.top_reasons is text for people"
            self.report("WR120", tree.span, what, "it can stand in templates only")
            return self.unknown(tree.span)
        return Node("column", _NUMBER, value=name, span=tree.span)

    def rating(self, tree: Tree) -> Node:
        if "models" not in self.scope.reads:
            hint = "only rules read ratings, for they follow from what rules did"
            self.report("WR107", tree.span, f"{RATING} cannot be read here", hint)
            return self.unknown(tree.span)
        return Node("column", _NUMBER, value=RATING, span=tree.span)

    def unknown_name(self, name: str) -> tuple[str, str]:
        """Return what to say about a name nobody knows, and the known name it may be a slip of."""
        scope = self.scope
        if name in scope.elsewhere:
            return scope.elsewhere[name], ""
        if name in (scope.params or {}):
            return f"write ${name} for the param", ""
        if name in scope.lists:
            return f"write in @{name} for the list", ""
        if name in scope.tables:
            return f"write {name}[{scope.tables[name].key}] for the table", ""
        given = (RATING,) if "customer" in scope.schema.columns else ()
        guess = nearest(name, chain(scope.known(), scope.schema.columns, given))
        if guess:
            return f'did you mean "{guess}"?', guess
        for column in scope.schema.columns.values():
            if name in column.allowed:
                return f'write "{name}" if the text is meant', ""
        return "", ""

    def param(self, tree: Tree) -> Node:
        params = self.scope.params
        if params is None:
            self.report("WR102", tree.span, f"${tree.value}: only rules have params")
            return self.unknown(tree.span)
        if tree.value not in params:
            guess = nearest(tree.value, params)
            hint = f"did you mean ${guess}?" if guess else "add it to the params of this rule"
            self.report("WR102", tree.span, f"unknown param ${tree.value}", hint)
            return self.unknown(tree.span)
        return respan(params[tree.value], tree.span)

    # ---- comparing

    def compare(self, op: str, tree: Tree) -> Node:
        left, right = tree.args
        a, b = self.check(left), self.check(right)
        if UNKNOWN in (a.type.kind, b.type.kind):
            return self.unknown(tree.span) if a.op == b.op == "const" else self.doubtful(tree)
        if a.type.is_coded or b.type.is_coded:
            return self.compare_texts(op, tree, a, b)
        pair = self.unify(left, a, right, b)
        if pair is None:
            self.misfit(tree.span, left, a, right, b)
            return self.doubtful(tree)
        a, b = pair
        if BOOL in (a.type.kind, b.type.kind):
            return self.compare_truths(op, tree, a, b)
        return Node(op, _BOOL, (a, b), span=tree.span)

    def doubtful(self, tree: Tree) -> Node:
        """Stand in for a condition that could not be typed, so that only one error is reported."""
        return Node("const", _BOOL, value=True, span=tree.span)

    def compare_truths(self, op: str, tree: Tree, a: Node, b: Node) -> Node:
        """`flag == true` and the like; other comparisons of conditions say less than and, or, not."""
        if op in ("==", "!=") and "const" in (a.op, b.op):
            value, other = (a, b) if a.op == "const" else (b, a)
            return other if bool(value.value) == (op == "==") else self.negation(other, tree.span)
        what = "two conditions cannot be compared"
        self.report("WR120", tree.span, what, "write (a and b) or (not a and not b)")
        return self.doubtful(tree)

    def compare_texts(self, op: str, tree: Tree, a: Node, b: Node) -> Node:
        left, right = tree.args
        if not (a.type.is_coded and b.type.is_coded) or op not in ("==", "!="):
            if a.type.is_coded and b.type.is_coded:
                what = f"{self.says(left, a)}, which has no order"
                hint = "texts compare by == and != only"
            else:
                what = f"{self.says(left, a)}, {self.says(right, b)}"
                hint = self.mismatch_hint(left, a, right, b) if op in ("==", "!=") else ""
            self.report("WR120", tree.span, what, hint)
            return self.doubtful(tree)
        if not self.same_words(tree, left, a, right, b):
            return self.doubtful(tree)
        if b.op == "const":
            return self.lift(a, lambda x: self.equal(op, x, b, tree.span))
        return self.lift(b, lambda y: self.lift(a, lambda x: self.equal(op, x, y, tree.span)))

    def equal(self, op: str, x: Node, y: Node, span: Span) -> Node:
        if x.op == y.op == "const":
            return Node("const", _BOOL, value=(x.value == y.value) == (op == "=="), span=span)
        if x.op == "const":
            x, y = y, x
        if y.op != "const" and "call" in (x.op, y.op):
            what = "the result of lower() or upper() compares with a written text only"
            self.report("WR120", span, what)
        return Node(op, _BOOL, (x, y), span=span)

    def same_words(self, tree: Tree, left: Tree, a: Node, right: Tree, b: Node) -> bool:
        """Tell whether two coded nodes speak of the same things, or report why not."""
        if a.type.kind == TEXT and not a.type.detail:
            left, a, right, b = right, b, left, a
        if b.type.kind == TEXT and not b.type.detail:
            if b.op == "const":
                self.check_value(right, a, str(b.value))
            return True
        if a.type == b.type:
            return True
        code = "WR121" if a.type.kind == b.type.kind == ID else "WR120"
        what = f"{self.says(left, a)}, {self.says(right, b)}"
        hint = "ids compare only with ids of their own kind" if code == "WR121" else ""
        self.report(code, tree.span, what, hint)
        return False

    def check_value(self, tree: Tree, node: Node, value: str) -> None:
        """Report a text that the schema does not list for the column it is compared with."""
        if node.op == "if":
            for part in node.args[1:]:
                self.check_value(tree, part, value)
            return
        allowed = self.allowed(node) if node.type.kind == CATEGORY else ()
        if not allowed or value in allowed or tree.op != "string":
            return
        column = self.scope.schema.columns[str(node.value)]
        guess = nearest(value, allowed)
        hint = f'did you mean "{guess}"?' if guess else "known: " + ", ".join(allowed[:12])
        # An open category may get a new value any day; only a probable slip is an error then.
        closed = column.closed or bool(guess)
        what = f'{column.name} is never "{value}" by the schema'
        self.report("WR123", tree.span, what, hint, severity="" if closed else "warn")

    def misfit(self, span: Span, left: Tree, a: Node, right: Tree, b: Node, more: str = "") -> None:
        """Report two sides that do not fit, and what was probably meant; `more` follows what they are."""
        what = f"{self.says(left, a)}, {self.says(right, b)}{more}"
        code, at = "WR120", span
        if _are_two_currencies(a, b):
            code = "WR122"
            at = next((t.span for t, n in ((right, b), (left, a)) if n.op == "const"), span)
        self.report(code, at, what, self.mismatch_hint(left, a, right, b))

    def currency_hint(self, a: Node, b: Node) -> str:
        """Say how two amounts come to one currency: by converting the field that one of them is."""
        for x, y in ((a, b), (b, a)):
            if x.op == "column":
                name, _ = conversion(str(x.value)) or (str(x.value), "")
                if name not in self.scope.schema.columns:
                    return f"convert the amount inside {name}, as in sum({CONVERT_EXAMPLE})"
                if y.type.detail == self.scope.currency:
                    return f"{name} is in {y.type.detail} by itself"
                if y.type.detail in self.scope.currencies:
                    return f"write {converted(name, y.type.detail)}"
        return f"write the amount in {self.scope.currency}"

    def mismatch_hint(self, left: Tree, a: Node, right: Tree, b: Node) -> str:
        """Say what was probably meant by a comparison whose sides do not fit."""
        if _are_two_currencies(a, b):
            return self.currency_hint(a, b)
        for x, tree in ((a, right), (b, left)):
            if x.type.kind == MONEY and x.type.detail != self.scope.currency and tree.op == "num":
                return f"write {self.source(tree)} {x.type.detail}"
        for word, x, tree, y in ((left, a, right, b), (right, b, left, a)):
            literal = self.source(tree)
            if x.type.is_coded and tree.op == "num":
                return f'write "{literal}"'
            if y.type.kind != NUMBER:
                continue
            if x.type.kind == DURATION and tree.op == "num":
                return f"write {literal}h, or in_hours({self.source(word)})"
            if x.type.kind == TIME_OF_DAY and tree.op == "num":
                clock = spellings.clock(literal)
                return f"write {clock}" if clock else "write for instance 22:00"
        return ""

    def unify(self, left: Tree, a: Node, right: Tree, b: Node) -> tuple[Node, Node] | None:
        """Give two values one type, or None where they have none in common."""
        x, y = a.type.kind, b.type.kind
        if UNKNOWN in (x, y):
            return a, b
        if x in _TRUTHS and y in _TRUTHS:
            return self.truth(left, a), self.truth(right, b)
        ours = Type(MONEY, self.scope.currency)
        if a.type == ours and y == NUMBER:
            other = self.as_money(right, b)
            return None if other is None else (a, other)
        if b.type == ours and x == NUMBER:
            other = self.as_money(left, a)
            return None if other is None else (other, b)
        if a.type.is_coded and b.type.is_coded:
            free_a, free_b = (n.type.kind == TEXT and not n.type.detail for n in (a, b))
            return (a, b) if free_a or free_b or a.type == b.type else None
        if x in _INSTANTS and y in _INSTANTS:
            return self.as_day(left, a, b), self.as_day(right, b, a)
        if x == y == MONEY and a.type != b.type:
            return None
        if x == y or (x in _SCALARS and y in _SCALARS):
            return a, b
        return None

    def as_day(self, tree: Tree, node: Node, other: Node) -> Node:
        """A plain day in a message is midnight UTC: take a written date so beside such a column."""
        column = self.scope.schema.columns.get(str(other.value)) if other.op == "column" else None
        if column is None or not column.dated or tree.op != "date":
            return node
        us = date_us(tree.value, ZoneInfo("UTC"))
        return node if us is None else replace(node, value=float(us))

    def as_money(self, tree: Tree, node: Node) -> Node | None:
        """Take bare numbers as amounts of the pack's currency; None for anything that is computed."""
        kind = Type(MONEY, self.scope.currency)
        if node.op == "const":
            if tree.op == "percent":
                return None
            if tree.op == "num":
                self.money_literals.add(tree.span.start)
                amount = Decimal(tree.value)
            else:
                amount = Decimal(repr(node.value))
            minor = self.minor(tree, amount, self.scope.currency)
            return (
                self.unknown(tree.span) if minor is None else replace(node, type=kind, value=minor)
            )
        trees: tuple[Tree, ...] = tree.args
        if node.op in ("+", "-", "neg", "??") and len(trees) == len(node.args):
            parts = [self.as_money(t, n) for t, n in zip(trees, node.args, strict=True)]
        elif node.op == "if" and tree.op == "if":
            parts = [node.args[0], *(self.as_money(trees[i], node.args[i]) for i in (1, 2))]
        else:
            return None
        known = tuple(p for p in parts if p is not None)
        return replace(node, type=kind, args=known) if len(known) == len(parts) else None

    # ---- sets, ranges, missing, texts

    def member(self, tree: Tree) -> Node:
        word, *members = tree.args
        x = self.check(word)
        if len(members) == 1 and members[0].op == "list":
            return self.in_list(tree, word, x, members[0])
        values: set[str] = set()
        numbers: set[float] = set()
        for item in members:
            y = self.check(item)
            if UNKNOWN in (x.type.kind, y.type.kind):
                continue
            if x.type.is_coded and y.type.kind == TEXT:
                self.check_value(item, x, str(y.value))
                values.add(str(y.value))
                continue
            pair = None if x.type.is_coded else self.unify(word, x, item, y)
            if pair is None or pair[1].type.kind == BOOL:
                self.misfit(item.span, word, x, item, y)
            elif isinstance(pair[1].value, float):
                numbers.add(pair[1].value)
        if x.type.kind == UNKNOWN:
            return self.doubtful(tree)
        found: frozenset[str] | frozenset[float] = frozenset(values)
        if not x.type.is_coded:
            found = frozenset(numbers)
        return self.lift(x, lambda n: self.inside(n, found, tree.span))

    def inside(self, x: Node, values: frozenset[str] | frozenset[float], span: Span) -> Node:
        if x.op == "const" and x.type.is_coded:
            return Node("const", _BOOL, value=x.value in values, span=span)
        return Node("in", _BOOL, (x,), values, span)

    def in_list(self, tree: Tree, word: Tree, x: Node, member: Tree) -> Node:
        name = member.value
        found = self.known_list(name, member.span)
        if found is None or x.type.kind == UNKNOWN or not self.fits_list(tree, word, x, found):
            return self.doubtful(tree)
        # A written text stays a question too: what the list holds is data, and changes while the engine runs.
        return self.lift(x, lambda n: Node("in", _BOOL, (n,), f"@{name}", tree.span))

    def known_list(self, name: str, span: Span) -> ListDefinition | None:
        """A list by name, or None after a report."""
        scope = self.scope
        found = scope.lists.get(name)
        if found is None:
            guess = nearest(name, scope.lists)
            where = scope.list_places.get(guess, "")
            near = f"did you mean @{guess}{f' ({where})' if where else ''}?" if guess else ""
            hint = near or "lists are defined under lists:"
            self.report("WR103", span, f"unknown list @{name}", hint)
        return found

    def fits_list(self, tree: Tree, word: Tree, x: Node, found: ListDefinition) -> bool:
        """Tell whether a value can be in a list, or report at `tree` why it cannot."""
        free = {x.type.kind, found.type.kind} <= {TEXT, CATEGORY} and TEXT in (
            x.type.kind,
            found.type.kind,
        )
        number = {x.type.kind, found.type.kind} <= _SCALARS
        if x.type != found.type and not free and not number:
            detail = found.type.detail
            theirs = {ID: f"ids ({detail})", CATEGORY: f"values of {detail}", TEXT: "texts"}.get(
                found.type.kind, "numbers"
            )
            code = "WR121" if x.type.kind == found.type.kind == ID else "WR120"
            what = f"{self.says(word, x)}, @{found.name} is a list of {theirs}"
            self.report(code, tree.span, what)
            return False
        return True

    def between(self, tree: Tree) -> Node:
        word, *bounds = tree.args
        x = self.check(word)
        out: list[Node] = []
        for bound in bounds:
            y = self.check(bound)
            pair = None if x.type.is_coded or y.type.is_coded else self.unify(word, x, bound, y)
            if pair is None or pair[0].type.kind == BOOL:
                if UNKNOWN not in (x.type.kind, y.type.kind):
                    self.misfit(bound.span, word, x, bound, y)
                return self.doubtful(tree)
            x, y = pair
            out.append(y)
        if UNKNOWN in (x.type.kind, out[0].type.kind, out[1].type.kind):
            return self.doubtful(tree)
        low, high = (n.value for n in out)
        if (
            isinstance(low, float)
            and isinstance(high, float)
            and out[0].op == out[1].op == "const"
            and low > high
            and x.type.kind != TIME_OF_DAY
        ):
            a, b = (self.source(t) for t in bounds)
            span = Span(bounds[0].span.start, bounds[1].span.end)
            self.report("WR125", span, f"{a} is larger than {b}", f"write between {b} and {a}")
        return Node("between", _BOOL, (x, *out), span=tree.span)

    def missing(self, tree: Tree) -> Node:
        x = self.check(tree.args[0])
        if x.type.kind == UNKNOWN:
            return self.doubtful(tree)

        def make(n: Node) -> Node:
            if n.op == "const":
                return Node("const", _BOOL, value=False, span=tree.span)
            return Node("missing", _BOOL, (n,), span=tree.span)

        return self.lift(x, make)

    def string_op(self, op: str, tree: Tree) -> Node:
        word, pattern = tree.args
        x, y = self.check(word), self.check(pattern)
        if y.op != "const" or y.type.kind not in (TEXT, UNKNOWN):
            what = f'"{op}" needs a written text, {self.says(pattern, y)}'
            hint = f'write "{self.source(pattern)}"' if pattern.op in ("name", "num") else ""
            self.report("WR120", pattern.span, what, hint)
            return self.doubtful(tree)
        if UNKNOWN in (x.type.kind, y.type.kind):
            return self.doubtful(tree)
        if x.type.kind not in (TEXT, CATEGORY):
            hint = ""
            if x.type.kind == ID:
                hint = "an id has no parts; compare it by ==, in, is missing"
                if x.type.detail == "ip":
                    hint = 'write ip_in(ip, "10.0.0.0/8")'
            self.report("WR120", word.span, f"{self.says(word, x)}, a text is wanted here", hint)
            return self.doubtful(tree)
        text = str(y.value)
        if op == "matches":
            problem = patterns.refuse(text)
            if problem:
                self.report("WR130", pattern.span, problem[0], problem[1])
                return self.doubtful(tree)
        elif not text:
            self.report("WR131", pattern.span, f'every text {op} ""')
        return self.lift(x, lambda n: Node(op, _BOOL, (n,), text, tree.span))

    # ---- calculating

    def minus(self, tree: Tree) -> Node:
        x = self.check(tree.args[0])
        if x.type.kind == UNKNOWN:
            return x
        if x.type.kind not in (NUMBER, GEO, MONEY, DURATION):
            self.report("WR120", tree.span, f"{self.says(tree.args[0], x)} and has no negative")
            return self.unknown(tree.span)
        if x.op == "const":
            assert isinstance(x.value, float)
            return replace(x, value=-x.value, span=tree.span)
        return Node("neg", x.type, (x,), span=tree.span)

    def arithmetic(self, op: str, tree: Tree) -> Node:
        left, right = tree.args
        a, b = self.check(left), self.check(right)
        if UNKNOWN in (a.type.kind, b.type.kind):
            return self.unknown(tree.span)
        if {a.type.kind, b.type.kind} == {MONEY, NUMBER} and op in ("+", "-"):
            pair = self.unify(left, a, right, b)
            a, b = pair or (a, b)
        elif op == "/" and (a.type.kind, b.type.kind) == (NUMBER, MONEY):
            a = self.as_money(left, a) or a
        kind = _result(op, a.type, b.type)
        if kind is None:
            self.misfit(tree.span, left, a, right, b, f": {_WHY[op]}")
            return self.unknown(tree.span)
        if op == "/" and b.op == "const" and b.value == 0.0:
            self.report("WR131", right.span, "a division by zero is always missing")
        return Node(op, kind, (a, b), span=tree.span)

    def default(self, tree: Tree) -> Node:
        left, right = tree.args
        a, b = self.check(left), self.check(right)
        pair = self.unify(left, a, right, b)
        if pair is None:
            what = f"{self.says(left, a)}, its default {self.says(right, b)}"
            code = "WR122" if _are_two_currencies(a, b) else "WR120"
            self.report(code, tree.span, what, self.mismatch_hint(left, a, right, b))
            return a
        a, b = pair
        if UNKNOWN in (a.type.kind, b.type.kind):
            return a if b.type.kind == UNKNOWN else b
        if a.op == "const":
            return a
        if not a.type.is_coded:
            return Node("??", a.type, (a, b), span=tree.span)
        if b.op == "const":
            self.check_value(right, a, str(b.value))
        absent = self.lift(a, lambda n: self.absent(n, tree.span))
        return Node("if", _wider(a, b), (absent, b, a), span=tree.span)

    def absent(self, node: Node, span: Span) -> Node:
        if node.op == "const":
            return Node("const", _BOOL, value=False, span=span)
        return Node("missing", _BOOL, (node,), span=span)

    def choice(self, tree: Tree) -> Node:
        question, left, right = tree.args
        condition = self.truth(question, self.check(question))
        a, b = self.check(left), self.check(right)
        pair = self.unify(left, a, right, b)
        if pair is None:
            self.misfit(tree.span, left, a, right, b, ": both branches need one type")
            return self.unknown(tree.span)
        a, b = pair
        if UNKNOWN in (condition.type.kind, a.type.kind, b.type.kind):
            return a if b.type.kind == UNKNOWN else b
        return Node("if", _wider(a, b), (condition, a, b), span=tree.span)

    # ---- functions and tables

    def call(self, tree: Tree) -> Node:
        name = tree.value
        if name == AT_LEAST:
            return self.at_least(tree)
        if name == CONVERT:
            return self.conversion(tree)
        function = FUNCTIONS.get(name)
        args = tuple(self.check(t) for t in tree.args if t.op != "list")
        if function is None:
            self.unknown_function(tree)
            return self.unknown(tree.span)
        n, most = len(tree.args), function.n_max
        if n < function.n_min or (most is not None and n > most) or len(args) != n:
            what = f"{name} is called as {function.signature}"
            self.report("WR124", tree.span, what, f"for instance {function.example}")
            return self.unknown(tree.span)
        fitted = [self.argument(function, i, tree, args) for i in range(n)]
        nodes = tuple(x for x in fitted if x is not None)
        if len(nodes) != n or any(x.type.kind == UNKNOWN for x in nodes):
            return self.unknown(tree.span)
        kind = result_kind(function, n)
        result = nodes[0].type if kind == SAME else Type(kind)
        if kind == SAME and result.kind == GEO:
            result = _NUMBER
        if kind == DATE:
            result = Type(DATE, self.scope.zone.key)
        meant = written_out(name, nodes, tree.span)
        return meant if meant is not None else self.lift_call(name, result, nodes, tree.span)

    def lift_call(self, name: str, kind: Type, args: tuple[Node, ...], span: Span) -> Node:
        chosen = next((i for i, a in enumerate(args) if a.op == "if" and a.type.is_coded), -1)
        if chosen >= 0:
            front, back = args[:chosen], args[chosen + 1 :]
            return self.lift(
                args[chosen], lambda n: self.lift_call(name, kind, (*front, n, *back), span)
            )
        if all(a.op == "const" and a.type.kind == TEXT for a in args):
            text = str(args[0].value)
            if name in ("lower", "upper"):
                value = text.lower() if name == "lower" else text.upper()
                return Node("const", kind, value=value, span=span)
            if name == "length":
                return Node("const", kind, value=float(len(text)), span=span)
        if name in ("lower", "upper", "length", "similarity") and "call" in {
            a.op for a in args if a.type.is_coded
        }:
            self.report("WR124", span, f"{name} takes a field, not a computed text")
            return self.unknown(span)
        return Node("call", kind, args, name, span)

    def argument(
        self, function: Function, i: int, call: Tree, args: tuple[Node, ...]
    ) -> Node | None:
        wanted, tree, node = function.parameter(i), call.args[i], args[i]
        if node.type.kind == UNKNOWN:
            return node
        if wanted.same:
            pair = self.unify(call.args[0], args[0], tree, node)
            if pair is not None and pair[0].type == args[0].type:
                node = pair[1]
            elif pair is not None:  # min(0, amount): the first one is the bare number
                what = "put the amount first"
                self.report("WR124", call.span, f"{self.says(tree, node)}", what)
                return None
            else:
                self.misfit(tree.span, call.args[0], args[0], tree, node)
                return None
        fits = node.type.kind in wanted.kinds
        if fits and wanted.domain and node.type.kind == ID and node.type.detail != wanted.domain:
            fits = False
        if not fits:
            what = f"{self.says(tree, node)}, which is no {wanted.name} for {function.signature}"
            self.report("WR124", tree.span, what, f"for instance {function.example}")
            return None
        if wanted.literal and not self.written(function, wanted.choices, tree, node):
            return None
        return node

    def written(self, function: Function, choices: tuple[str, ...], tree: Tree, node: Node) -> bool:
        """Check an argument that must be a constant."""
        if node.op != "const":
            hint = f"for instance {function.example}"
            self.report("WR124", tree.span, f"{self.source(tree)} must be written out", hint)
            return False
        if choices and node.value not in choices:
            what = f'"{node.value}" is not one of {", ".join(choices)}'
            self.report("WR124", tree.span, what, did_you_mean(str(node.value), choices))
            return False
        if function.name == "ip_in":
            try:
                ipaddress.ip_network(str(node.value))
            except ValueError as error:
                hint = 'write for instance "10.0.0.0/8"'
                self.report("WR124", tree.span, f"not a network: {error}", hint)
                return False
        return True

    def unknown_function(self, tree: Tree) -> None:
        name = tree.value
        head = Span(tree.span.start, tree.span.start + len(name))
        if name in REFUSED:
            self.report("WR106", head, *REFUSED[name])
        elif name in AGGREGATES:
            what = f"{name} is an aggregate, which only a feature can be"
            self.report("WR106", head, what, "write it under features: and use its name here")
        elif self.scope.resolve(name, head) is not None or name in self.scope.schema.columns:
            self.report("WR106", head, f"{name} is not a function", "leave the brackets out")
        elif name in self.scope.tables:
            what = f"{name} is a table"
            self.report("WR106", head, what, f"write {name}[{self.scope.tables[name].key}]")
        else:
            known = (*FUNCTIONS, AT_LEAST, CONVERT)
            guess = nearest(name, known)
            hint = f"did you mean {guess}?" if guess else "known: " + ", ".join(sorted(known))
            self.report("WR106", head, f"unknown function {name}", hint)

    def conversion(self, tree: Tree) -> Node:
        """Type `convert(amount, "USD")`: a column of its own, of money in that currency."""
        if len(tree.args) != 2:
            what = f"{CONVERT} is called with an amount and a currency"
            self.report("WR124", tree.span, what, f"for instance {CONVERT_EXAMPLE}")
            return self.unknown(tree.span)
        source, target = tree.args
        x = self.check(source)
        currency = self.currency(target)
        if not currency or x.type.kind == UNKNOWN:
            return self.unknown(tree.span) if not currency else self.of_money(currency, tree.span)
        column = self.scope.schema.columns.get(str(x.value)) if x.op == "column" else None
        if x.type.kind != MONEY:
            what = f"{self.says(source, x)}, {CONVERT} wants an amount"
            self.report("WR124", source.span, what, f"for instance {CONVERT_EXAMPLE}")
        elif column is None:
            what = f"{CONVERT} wants a field of the message, {self.source(source)} is computed"
            hint = f"convert what it is computed from, as in sum({CONVERT_EXAMPLE})"
            self.report("WR124", source.span, what, hint)
        elif currency == x.type.detail:
            return respan(x, tree.span)
        else:
            kind = Type(MONEY, currency)
            return Node("column", kind, value=converted(column.name, currency), span=tree.span)
        return self.of_money(currency, tree.span)

    def of_money(self, currency: str, span: Span) -> Node:
        """Stand in for an amount that could not be typed, so that what is beside it is checked all the same."""
        return Node("column", Type(MONEY, currency), value=CONVERT, span=span)

    def currency(self, tree: Tree) -> str:
        """Return the currency that `convert` names, or "" after a report."""
        scope = self.scope
        known = {scope.currency, *scope.currencies}
        if tree.op != "string":
            what = f"{self.source(tree)} must be a currency that is written out"
            self.report("WR124", tree.span, what, f"for instance {CONVERT_EXAMPLE}")
            return ""
        name: str = tree.value
        if name in known:
            return name
        if name not in money.EXPONENTS:
            hint = did_you_mean(name.upper(), (*sorted(known), *money.EXPONENTS), "")
            self.report("WR122", tree.span, f"{name} is not an ISO 4217 currency", hint)
        elif scope.currencies:
            what = f"the configuration has no rates for {name}"
            hint = "there are rates for " + ", ".join(sorted(scope.currencies))
            self.report("WR122", tree.span, what, hint)
        else:
            what = f"{CONVERT} needs exchange rates, and there are none here"
            self.report("WR122", tree.span, what, "name a table under `rates:` in weir.yaml")
        return ""

    def at_least(self, tree: Tree) -> Node:
        count, *conditions = tree.args or (tree,)
        parts = tuple(self.truth(t, self.check(t)) for t in conditions)
        n = int(count.value) if count.op == "num" and count.value.isdigit() else 0
        if not 1 <= n <= len(parts):
            what = "at_least is called with a whole number and at least as many conditions"
            self.report("WR124", tree.span, what, "for instance at_least(2, a, b, c)")
            return self.doubtful(tree)
        return Node(AT_LEAST, _BOOL, parts, n, tree.span)

    def lookup(self, tree: Tree) -> Node:
        key = self.check(tree.args[0])
        table = self.scope.tables.get(tree.value)
        if table is None:
            head = Span(tree.span.start, tree.span.start + len(tree.value))
            hint = did_you_mean(tree.value, self.scope.tables, "")
            self.report("WR102", head, f"unknown table {tree.value}", hint)
            return self.unknown(tree.span)
        column = self.scope.schema.columns.get(table.key)
        wanted = column_type(column, self.scope.currency) if column is not None else key.type
        free = key.type.kind == TEXT and not key.type.detail
        if key.type.kind != UNKNOWN and key.type != wanted and not free:
            what = f"{self.says(tree.args[0], key)}, table {table.name} is keyed by {table.key}"
            self.report("WR120", tree.args[0].span, what, f"write {table.name}[{table.key}]")
            return self.unknown(tree.span)
        if key.type.kind == UNKNOWN:
            return self.unknown(tree.span)

        def make(n: Node) -> Node:
            if n.op == "const":
                value = table.values.get(str(n.value), table.default)
                return Node("const", table.type, value=value, span=tree.span)
            return Node("lookup", table.type, (n,), table.name, tree.span)

        return self.lift(key, make)


_LITERALS: Final = frozenset(
    {"num", "percent", "money", "duration", "timeofday", "date", "string", "true", "false"}
)
_WHY: Final = {
    "+": "they cannot be added",
    "-": "they cannot be subtracted",
    "*": "they cannot be multiplied",
    "/": "they cannot be divided",
}


def _result(op: str, a: Type, b: Type) -> Type | None:
    """Return the type of a calculation, None where it has no meaning."""
    x = NUMBER if a.kind == GEO else a.kind
    y = NUMBER if b.kind == GEO else b.kind
    if x == y == NUMBER:
        return _NUMBER
    if op in ("+", "-") and a == b and x in (MONEY, DURATION):
        return a
    if op == "-" and x in _INSTANTS and y in _INSTANTS:
        return Type(DURATION)
    if op in ("+", "-") and x in _INSTANTS and y == DURATION:
        return Type(TIME)
    if op == "+" and x == DURATION and y in _INSTANTS:
        return Type(TIME)
    if op in ("*", "/") and x in (MONEY, DURATION) and y == NUMBER:
        return a
    if op == "*" and x == NUMBER and y in (MONEY, DURATION):
        return b
    if op == "/" and a == b and x in (MONEY, DURATION):
        return _NUMBER
    return None


def _are_two_currencies(a: Node, b: Node) -> bool:
    return a.type.kind == b.type.kind == MONEY and a.type != b.type


def _wider(a: Node, b: Node) -> Type:
    """Return the type of a choice between two: of a column and a written text, that of the column."""
    if a.type.kind == TEXT and not a.type.detail:
        return b.type
    if {a.type.kind, b.type.kind} == {NUMBER, GEO}:
        return _NUMBER
    if {a.type.kind, b.type.kind} == {TIME, DATE}:
        return Type(TIME)
    return a.type


def respan(node: Node, span: Span) -> Node:
    """Let a tree from another text point at the place where its name stands."""
    args = tuple(respan(a, span) for a in node.args)
    return Node(node.op, node.type, args, node.value, span)


def date_us(text: str, zone: ZoneInfo) -> int | None:
    """Return midnight of an ISO date in `zone`, in microseconds since 1970; None for what is none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    if not 1900 <= day.year <= 2200 or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return None
    # A zone can skip midnight (Brazil in its summers): the day then begins at the first instant it has.
    start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    since = start - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000


def is_finite(node: Node) -> bool:
    """Tell whether every constant of a tree is a finite number or no number at all."""
    return all(
        math.isfinite(n.value)
        for n in node.walk()
        if n.op == "const" and isinstance(n.value, float)
    )
