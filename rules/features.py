"""Names of a pack that stand for expressions: macros, features, lets. Typed when first used, each once.

A feature may read other features and macros, in any order of files; a circle is reported at the name that closes it.
An aggregate is checked here too: argument, keys, window, domain.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from config import marks
from rules.check.suggest import did_you_mean, nearest
from rules.definitions import Aggregate, Feature, Window
from rules.reader import Findings, Text, place
from rules.syntax import AGGREGATES, AggregateText, Tree, parse, parse_feature
from rules.tree import (
    BOOL,
    CATEGORY,
    DURATION,
    FLAG,
    GEO,
    ID,
    MONEY,
    NUMBER,
    TIME,
    Node,
    Span,
    Type,
)
from rules.types import UNKNOWN, Checker, Named, Scope, column_type, is_label

DECAYED: Final = frozenset({"decayed_count", "decayed_sum", "decayed_avg"})
APPROXIMATED: Final = frozenset({"count_distinct", "quantile"})
_NUMERIC: Final = frozenset({NUMBER, MONEY, DURATION})
_NO_ARGUMENT: Final = frozenset({"count", "decayed_count", "time_since_first", "time_since_last"})
_SEEN: Final = frozenset({"first", "last", "time_since_first", "time_since_last"})
_DAY_US: Final = 86_400_000_000
LEVELS_MAX: Final = 20  # of names that are made of names
LAST_MAX: Final = 1_000  # events that a feature may look at one by one
CALENDAR_US: Final = {"day": _DAY_US, "week": 7 * _DAY_US, "month": 31 * _DAY_US}


@dataclass(slots=True)
class Source:
    """A macro, feature or let as it stands in a file: the text, and for a feature what its long form adds.

    `owner_rule` is the rule that a feature or let belongs to, "" for those of the pack.
    """

    kind: str  # macro, feature or let
    name: str
    key: marks.TextNode
    text: marks.TextNode
    scope: Scope
    owner_rule: str = ""
    owner: str = ""
    description: str = ""
    warm_after_us: int | None = None
    approx: float = 0.0  # declared standard error, 0 for none
    approx_node: marks.TextNode | None = None


@dataclass(slots=True)
class Names:
    """The macros and features of a pack, or the lets and features of one rule on top of them (`outer`)."""

    findings: Findings
    retention_us: int
    outer: "Names | None" = None
    sources: dict[str, Source] = field(default_factory=dict)
    features: dict[str, Feature] = field(default_factory=dict)
    _typed: dict[str, Named] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _levels: dict[str, int] = field(default_factory=dict)

    def known(self) -> Iterable[str]:
        yield from self.sources
        if self.outer is not None:
            yield from self.outer.known()

    def add(self, source: Source) -> bool:
        """Take a definition in; a second one of the same name is reported and left out."""
        first = self.find(source.name)
        if first is not None:
            where = first.key.place()
            what = f'{source.kind} "{source.name}" has the name of the {first.kind} at {where}'
            self.findings.at(
                "WR105", source.key, what, "names are shared by the whole pack: rename one"
            )
            return False
        if source.name in source.scope.schema.columns:
            what = f'{source.kind} "{source.name}" has the name of a field'
            self.findings.at("WR105", source.key, what, "rename it")
            return False
        self.sources[source.name] = source
        return True

    def find(self, name: str) -> Source | None:
        found = self.sources.get(name)
        return found or (self.outer.find(name) if self.outer is not None else None)

    def resolve(self, name: str, span: Span) -> Named | None:
        """Return what a name stands for, typed; used as `Scope.resolve`."""
        if name not in self.sources:
            return self.outer.resolve(name, span) if self.outer is not None else None
        if name not in self._typed:
            if name in self._open:
                return self._circle(name)
            if len(self._open) >= LEVELS_MAX:
                return self._too_deep(self.sources[name])
            self._open.append(name)
            typed = self._type(self.sources[name])
            self._open.pop()
            self._typed.setdefault(name, typed)
        return self._typed[name]

    def level(self, name: str) -> int:
        """On how many names, one made of the next, a name rests; 0 for a field."""
        if name in self.sources:
            return self._levels.get(name, 0)
        return self.outer.level(name) if self.outer is not None else 0

    def _rests_on(self, found: Tree | AggregateText) -> int:
        return 1 + max(map(self.level, _names_in(found)), default=0)

    def _too_deep(self, source: Source) -> Named:
        what = f"{source.kind} {source.name} rests on more than {LEVELS_MAX} names, one made of the next"
        self.findings.at("WR117", source.key, what, "make it of fields, or of fewer names")
        return Named(Node("const", Type(UNKNOWN)))

    def type_all(self) -> None:
        for name in self.sources:
            self.resolve(name, Span(0, 0))

    def _circle(self, name: str) -> Named:
        chain = [*self._open[self._open.index(name) :], name]
        source = self.sources[name]
        what = f"{source.kind} {name} needs its own value: {' -> '.join(chain)}"
        self.findings.at("WR104", source.key, what, "take one of them out of the circle")
        broken = Named(Node("const", Type(UNKNOWN)))
        for part in chain:
            self._typed[part] = broken
        return broken

    def _type(self, source: Source) -> Named:
        text = Text(source.text, self.findings)
        written = source.text.value
        if source.kind == "feature":
            found, problems = parse_feature(written)
        else:
            found, problems = parse(written)
        checker = Checker(written, source.scope, text)
        self._check_approx(source, found)
        for name in _names_in(found):
            checker.scope.resolve(name, found.span)
        self._levels[source.name] = self._rests_on(found)
        if self._levels[source.name] > LEVELS_MAX:
            return self._too_deep(source)
        if isinstance(found, AggregateText):
            feature = aggregate(found, source, checker, self.retention_us)
            text.problems(problems, checker.money_literals, source.scope.currency)
            return self._feature(source, feature, text)
        node = checker.check(found)
        text.problems(problems, checker.money_literals, source.scope.currency)
        if source.kind == "feature":
            if node.type.is_coded and node.op != "column":
                what = "a feature computes a number or a condition, not a text"
                text("WR120", found.span, what)
            feature = _plain_feature(source, node)
            return self._feature(source, feature, text)
        if text.n_errors:
            return Named(
                Node("const", Type(UNKNOWN) if node.type.kind != BOOL else node.type, value=True)
            )
        return Named(node, checker.size)

    def _check_approx(self, source: Source, found: AggregateText | Tree) -> None:
        """Report an approximation of what has none."""
        if source.approx_node is None:
            return
        hint = "leave approx out; it is for count_distinct and quantile over a window"
        if not isinstance(found, AggregateText):
            what = f"{source.name} is computed from what is known, there is nothing to approximate"
        elif found.window is not None and found.window.kind == "last":
            what = "the last events are looked at one by one, there is nothing to approximate"
        elif found.function in APPROXIMATED or found.function not in AGGREGATES:
            return
        elif found.function == "entropy":
            what = "entropy is exact and has no approximation"
        else:
            what = f"{found.function} is exact anyway, at the cost of a counter"
        self.findings.at("WR132", source.approx_node, what, hint)

    def _feature(self, source: Source, feature: Feature | None, text: Text) -> Named:
        if feature is None or text.n_errors or feature.type.kind == UNKNOWN:
            kind = feature.type if feature is not None else Type(UNKNOWN)
            if kind.kind == UNKNOWN:
                return Named(Node("const", kind))
            return Named(Node("column", kind, value=source.name))
        self.features[source.name] = feature
        return Named(Node("column", feature.type, value=source.name))


def _names_in(found: Tree | AggregateText) -> list[str]:
    """The names that a macro or feature reads."""
    trees: list[Tree] = [found] if isinstance(found, Tree) else list(found.args)
    if isinstance(found, AggregateText) and found.where is not None:
        trees.append(found.where)
    return [t.value for tree in trees for t in tree.walk() if t.op == "name"]


def _plain_feature(source: Source, node: Node) -> Feature:
    kind = Type(FLAG) if node.type.kind == BOOL else node.type
    return Feature(
        source.name,
        kind,
        None,
        node,
        place(source.key),
        source.owner,
        source.description,
        source.warm_after_us,
        source.text.value.strip(),
    )


def aggregate(
    found: AggregateText, source: Source, checker: Checker, retention_us: int
) -> Feature | None:
    """Check an aggregate part by part; None when it cannot be given a type."""
    report, name = checker.report, found.function
    if name not in AGGREGATES:
        hint = did_you_mean(name, AGGREGATES, "") or "known: " + ", ".join(sorted(AGGREGATES))
        report("WR124", found.function_span, f"unknown aggregate {name}", hint)
        return None
    half_life_us = 0
    if name in DECAYED:
        half_life_us = _half_life(found, checker)
        found = replace(found, args=found.args[:-1])
    argument, level = _argument(found, checker)
    keys = _keys(found, checker)
    window = _window(found, checker, retention_us)
    where, domain = _where(found, source, checker)
    if window is None:
        return None
    kind = _result(name, argument)
    if kind.kind == UNKNOWN:
        return None
    prior = found.prior or (found.window is not None and found.window.lag_us is not None)
    built = Aggregate(
        name, keys, window, domain, argument, level, where, prior, half_life_us, source.approx
    )
    return replace(_plain_feature(source, Node("const", kind)), aggregate=built, expression=None)


def _half_life(found: AggregateText, checker: Checker) -> int:
    """The half-life of a decayed aggregate, its last argument; 1 after a report."""
    node = checker.check(found.args[-1]) if found.args else None
    if node is not None and node.op == "const" and node.type.kind == DURATION:
        assert isinstance(node.value, float)
        if node.value >= 1:
            return int(node.value)
    example = (
        "decayed_count(7d)"
        if found.function == "decayed_count"
        else f"{found.function}(amount, 7d)"
    )
    span = found.args[-1].span if found.args else found.function_span
    what = f"{found.function} ends with a half-life, a written duration"
    checker.report("WR124", span, what, f"write for instance {example}")
    return 1


def _argument(found: AggregateText, checker: Checker) -> tuple[Node | None, float]:
    """Type the argument, and the level of a quantile."""
    name, report = found.function, checker.report
    wanted = 0 if name in _NO_ARGUMENT else 2 if name == "quantile" else 1
    if len(found.args) != wanted:
        example = {
            "quantile": "quantile(amount, 95%)",
            "count_distinct": "count_distinct(merchant)",
            "entropy": "entropy(mcc)",
            "count": "count(), or count_distinct(x) for different values",
        }.get(name, f"{name}()" if not wanted else f"{name}(amount)")
        number = ("no value", "one value", "a value and a level")[wanted]
        report("WR124", found.function_span, f"{name} takes {number}", f"write {example}")
        return Node("const", Type(UNKNOWN)), 0.0
    if not wanted:
        return None, 0.0
    tree = found.args[0]
    node = checker.check(tree)
    kind = node.type.kind
    if kind in (BOOL, FLAG):
        what = f"{checker.says(tree, node)}, {name} wants a value"
        report(
            "WR124", tree.span, what, f"count with where: count() ... where {checker.source(tree)}"
        )
        return Node("const", Type(UNKNOWN)), 0.0
    if name in ("count_distinct", "entropy"):
        fits, what = (
            kind in (ID, CATEGORY) and node.op == "column",
            "an id or category field is wanted here",
        )
    elif name in ("first", "last"):
        fits = kind in (NUMBER, MONEY, DURATION, TIME, GEO) or (
            kind in (ID, CATEGORY) and node.op == "column"
        )
        what = "a number, amount, time, or an id or category field is wanted here"
    elif name in ("min", "max"):
        fits, what = kind in (*_NUMERIC, GEO, TIME), "a number, amount or time is wanted here"
    else:
        fits, what = kind in (*_NUMERIC, GEO), "a number, amount or duration is wanted here"
    if not fits and kind != UNKNOWN:
        report("WR124", tree.span, f"{checker.says(tree, node)}, {what}")
        return Node("const", Type(UNKNOWN)), 0.0
    if node.op == "const" and kind != UNKNOWN:
        report(
            "WR131",
            tree.span,
            f"{checker.source(tree)} is the same for every event",
            "name a field",
        )
    return node, _level(found, checker) if name == "quantile" else 0.0


def _level(found: AggregateText, checker: Checker) -> float:
    tree = found.args[1]
    node = checker.check(tree)
    if (
        node.op == "const"
        and node.type.kind == NUMBER
        and isinstance(node.value, float)
        and 0 < node.value <= 1
    ):
        return node.value
    what = "the level of a quantile is a written number above 0 and up to 1"
    checker.report("WR124", tree.span, what, "write for instance 95%")
    return 0.0


def _keys(found: AggregateText, checker: Checker) -> tuple[str, ...]:
    names: list[str] = []
    for tree in found.keys:
        name = key_name(tree.value, tree.span, checker)
        if name in names:
            checker.report("WR129", tree.span, f'the key "{name}" stands here twice')
        elif name:
            names.append(name)
    return tuple(names)


def key_name(name: str, span: Span, checker: Checker) -> str:
    """Return the name of an id or category field, or "" after a report."""
    columns = checker.scope.schema.columns
    column = columns.get(name)
    if column is None:
        keys = [n for n, c in columns.items() if c.kind in (ID, CATEGORY)]
        guess = nearest(name, keys)
        hint = f'did you mean "{guess}"?' if guess else ""
        if checker.scope.resolve(name, span) is not None:
            hint = "a key is a field of the message, not a feature or macro"
        checker.report("WR101", span, f'unknown field "{name}"', hint)
        return guess
    if column.kind not in (ID, CATEGORY) or is_label(column):
        node = Node("column", column_type(column, checker.scope.currency), value=name)
        what = f"{name} is {checker.kind_of(node)}"
        checker.report("WR129", span, what, "keys are id or category fields")
        return ""
    return name


def _window(found: AggregateText, checker: Checker, retention_us: int) -> Window | None:
    report, text = checker.report, found.window
    if found.function in DECAYED:
        if text is not None:
            what = f"{found.function} has a half-life and no window"
            report("WR127", text.span, what, "leave out: over ...")
        return Window(None)
    if text is None:
        if not any(c in checker.text for c in (" over ", "over\n")):
            what = f"{found.function} needs a window"
            report("WR127", found.function_span, what, "write for instance: over 30d")
        return None
    if text.kind == "last":
        if text.lag_us is not None:
            what = "over last events has no until"
            report("WR127", text.span, what, "leave until out, or write a duration")
        if not 0 < text.count <= LAST_MAX:
            what = f"over last {text.count} events: from 1 to {LAST_MAX:,} can be looked at"
            report("WR127", text.span, what, "write a duration for more")
        return Window(None, last=text.count)
    if text.kind == "calendar":
        width_us = CALENDAR_US[text.unit]
        if text.lag_us is not None:
            what = f"over calendar {text.unit} has no until"
            hint = f"leave until out, or write a duration such as {width_us // _DAY_US}d"
            report("WR127", text.span, what, hint)
        if width_us > retention_us:
            _too_long(text.span, checker, retention_us)
        return Window(width_us, calendar=text.unit)
    if text.kind == "all":
        if found.function not in _SEEN:
            what = f"{found.function} over all would grow without bound"
            report("WR127", text.span, what, "over all is for first, last and time_since_...")
        if text.lag_us is not None:
            report("WR127", text.span, "over all has no until", "write a duration")
        return Window(None)
    if text.width_us <= 0:
        report("WR310", text.span, "the window is empty")
    if text.width_us > retention_us:
        _too_long(text.span, checker, retention_us)
    if text.lag_us is not None and text.lag_us >= text.width_us > 0:
        what = "until lies outside the window, which is always empty"
        report("WR310", text.span, what, "the lag must be shorter than the window")
    return Window(text.width_us, text.lag_us or 0)


def _too_long(span: Span, checker: Checker, retention_us: int) -> None:
    what = f"the window is longer than the retention of the pack ({retention_us // _DAY_US}d)"
    checker.report("WR310", span, what, "shorten it, or raise retention: in pack.yaml")


def _where(found: AggregateText, source: Source, checker: Checker) -> tuple[Node | None, str]:
    """Type the condition; one that reads a label makes the feature range over labels."""
    domain = found.domain or "event"
    if found.where is None:
        return None, domain
    scope = checker.scope
    checker.scope = replace(scope, reads=scope.reads | {"labels"})
    node = checker.condition(found.where)
    checker.scope = scope
    columns = scope.schema.columns
    labels = [name for name in node.columns() if name in columns and is_label(columns[name])]
    if labels:
        if found.domain in ("transaction", "activity"):
            plural = {"transaction": "transactions", "activity": "activities"}[found.domain]
            what = f"{source.name} ranges over {plural}, which have no {labels[0]}"
            checker.report("WR124", found.where.span, what, f"leave out: of {found.domain}")
        domain = "label"
    return node, domain


def _result(name: str, argument: Node | None) -> Type:
    if argument is not None and argument.type.kind == UNKNOWN:
        return Type(UNKNOWN)
    if name in ("count", "count_distinct", "entropy", "decayed_count"):
        return Type(NUMBER)
    if name.startswith("time_since"):
        return Type(DURATION)
    assert argument is not None
    return (
        Type(NUMBER)
        if argument.type.kind == GEO and name not in ("first", "last")
        else argument.type
    )


def scope_of(names: Names, base: Scope, **more: object) -> Scope:
    """Return a scope that resolves through `names`."""
    return replace(base, resolve=names.resolve, known=names.known, **more)  # type: ignore[arg-type]


def literal_tree(text: str) -> Tree | None:
    """Return the tree of a written value with an optional minus, None for anything else."""
    tree, problems = parse(text)
    inner = tree.args[0] if tree.op == "minus" else tree
    plain = {"num", "money", "percent", "duration", "timeofday", "date", "string", "true", "false"}
    return tree if not problems and inner.op in plain else None
