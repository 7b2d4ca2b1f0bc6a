"""A pack as the checks look at it: its rules, its texts with their typed trees, and who names what.

A finding must stand where somebody can mend it. What a macro or let stands for was put in place while types were
checked, and all of it points at the name; so a part of a condition whose text is one name is looked at as a whole here,
and macros are looked at where they are written.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from config import marks
from rules.check.findings import Finding, at_span
from rules.check.logic import Logic
from rules.check.memory import Memory
from rules.definitions import Action, Feature, ListDefinition, Rule
from rules.features import Source
from rules.overrides import narrow_begin
from rules.pack import Loaded, Workshop
from rules.rule_files import Draft
from rules.tree import BOOL, Node, Span, Type
from rules.types import SchemaLike

_NAME: Final = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_.]*")
_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_WORD: Final = re.compile(r"""["][^"\n]*["]|['][^'\n]*[']|[@$]?[A-Za-z_][A-Za-z0-9_.]*""")
_SENTENCES: Final = frozenset({"title", "template", "why", "approved_by", "description", "owner"})


@dataclass(slots=True)
class Names:
    """What a text names: features, macros, lets and fields; params; lists."""

    words: set[str] = field(default_factory=set)
    params: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)

    def add(self, text: str) -> None:
        for word in _WORD.findall(text):
            if word[0] == "@":
                self.lists.add(word[1:])
            elif word[0] == "$":
                self.params.add(word[1:])
            elif word[0] not in "\"'":
                self.words.add(word)

    def add_template(self, text: str) -> None:
        for hole in _HOLE.finditer(text):
            self.add(hole[1])

    def add_any(self, node: marks.Node, key: str = "") -> None:
        """Everything that is named somewhere below a node; sentences for people name by their holes only."""
        if isinstance(node, marks.MapNode):
            for name, value in node.items():
                self.add_any(value, name.value)
        elif isinstance(node, marks.ListNode):
            for item in node:
                self.add_any(item, key)
        elif key in _SENTENCES:
            self.add_template(node.value)
        else:
            self.add(node.value)
            self.lists.add(node.value)


@dataclass(frozen=True, slots=True)
class Text:
    """One expression of a file with its typed tree.

    what : condition, exception, score, let, macro, feature (the expression or the `where` of one)
    on   : the event types on which it is evaluated; empty for any
    narrow : of a condition that a pack on top has narrowed: what that pack says; its spans lie behind those of `node`
    """

    what: str
    name: str
    node: marks.TextNode
    tree: Node
    on: tuple[str, ...]
    rule: "RuleView | None" = None
    narrow: marks.TextNode | None = None

    def placed(self, span: Span) -> tuple[marks.TextNode, Span]:
        """The text that a part stands in, and its place there."""
        begin = narrow_begin(self.node)
        if self.narrow is None or span.start < begin:
            return self.node, span
        return self.narrow, Span(span.start - begin, span.end - begin)

    def source(self, span: Span | None) -> str:
        """The text of a part, its blanks made one."""
        if span is None:
            return ""
        node, span = self.placed(span)
        return " ".join(node.value[span.start : span.end].split())

    def line(self, span: Span) -> int:
        node, span = self.placed(span)
        return node.source.position(node.offset(span.start))[0]

    def is_name(self, node: Node) -> bool:
        """Whether a part is written as one name: a macro, a let, a flag, a param."""
        return _NAME.fullmatch(self.source(node.span)) is not None

    def parts(self, node: Node, op: str) -> list[Node]:
        """The parts that `and` (or `or`) joins, through brackets but not into macros."""
        if node.op != op or self.is_name(node):
            return [node]
        return [part for arg in node.args for part in self.parts(arg, op)]

    def at(
        self, code: str, node: Node, what: str, hint: str = "", *, severity: str = ""
    ) -> Finding:
        text, span = self.placed(node.span or Span(0, len(self.node.value)))
        return at_span(code, text, span, what, hint, severity=severity)


@dataclass
class RuleView:
    """A rule, what its file says, whether an error stands in it, and its condition without places."""

    rule: Rule
    draft: Draft
    is_broken: bool
    when: Node
    texts: list[Text] = field(default_factory=list)

    @property
    def map(self) -> marks.MapNode | None:
        return self.draft.reader.map

    def key(self, key: str) -> marks.Node:
        return self.draft.reader.key(key)

    @property
    def id_node(self) -> marks.Node:
        return (
            self.map["id"] if self.map is not None and "id" in self.map else self.draft.reader.node
        )

    def exceptions(self) -> Iterator[tuple[int, marks.MapNode]]:
        """The exceptions that could be read, with their place in `rule.exceptions`."""
        node = self.map.get("exceptions") if self.map is not None else None
        items = node.items if isinstance(node, marks.ListNode) else []
        read = [i for i in items if isinstance(i, marks.MapNode)]
        if len(read) == len(self.rule.exceptions):
            yield from enumerate(read)

    @cached_property
    def columns(self) -> frozenset[str]:
        return frozenset(self.rule.when.columns())

    @cached_property
    def on(self) -> frozenset[str]:
        return frozenset(self.rule.on)

    @cached_property
    def asks(self) -> frozenset[tuple[object, ...]]:
        """What the rule does, without the words it does it with."""
        return frozenset(_done(action) for action in self.rule.actions)


class PackView:
    """Everything the checks need of packs that were read, errors or not.

    used : names of features that somebody outside of the packs reads, such as a model
    cost : says of a feature what its state takes ("38 MB"), "" when that is not known
    memory : what looks at other packs have proven
    """

    def __init__(
        self,
        loaded: Loaded,
        schema: SchemaLike,
        as_of_us: int,
        used: frozenset[str] = frozenset(),
        cost: Callable[[str], str] = lambda _: "",
        memory: Memory | None = None,
    ) -> None:
        assert loaded.workshop is not None
        self.loaded, self.schema, self.as_of_us = loaded, schema, as_of_us
        self.used, self.cost = used, cost
        self.workshop: Workshop = loaded.workshop
        self.names = self.workshop.head.names
        self.lists: Mapping[str, ListDefinition] = self.workshop.head.scope.lists
        self.tables = self.workshop.head.scope.tables
        self.features: dict[str, Feature] = dict(self.names.features)
        for part in self.workshop.drafts:
            self.features.update(part.names.features)
        self._memory = Memory() if memory is None else memory
        self._memory.begin(schema, self.features, self.tables)
        self._errors: dict[str, list[int]] = {}
        for finding in loaded.findings:
            if finding.is_error:
                self._errors.setdefault(finding.place.file, []).append(finding.place.line)
        pairs = zip(self.workshop.rules, self.workshop.drafts, strict=True)
        self.rules = [self._view(rule, part) for rule, part in pairs]

    def logic(self, on: tuple[str, ...], *, only_on: bool = True) -> Logic:
        """Answers about conditions on events of some types; `only_on` where nothing else comes to them."""
        return self._memory.logic(on, only_on=only_on)

    def has_error(self, node: marks.Node) -> bool:
        lines = self._errors.get(node.source.file)
        if not lines:
            return False
        first = node.source.position(node.start)[0]
        last = node.source.position(max(node.start, node.end - 1))[0]
        return any(first <= line <= last for line in lines)

    def is_doubtful(self, text: Text) -> bool:
        """Whether an error stands in a text: what stands in for it decides nothing."""
        nodes = (text.node, text.narrow)
        return any(self.has_error(node) for node in nodes if node is not None)

    def _view(self, rule: Rule, part: Draft) -> RuleView:
        view = RuleView(rule, part, self.has_error(part.reader.node), self._memory.same(rule.when))
        when = view.map.get("when") if view.map is not None else None
        if isinstance(when, marks.TextNode):
            text = self._text("condition", rule.id, when, rule.when, rule.on, view, part.narrow)
            view.texts.append(text)
        for i, item in view.exceptions():
            node = item.get("when")
            if isinstance(node, marks.TextNode):
                clause = rule.exceptions[i]
                view.texts.append(
                    self._text("exception", clause.id, node, clause.when, rule.on, view)
                )
        for name, source in part.names.sources.items():
            if source.kind == "let":
                found = part.names.resolve(name, Span(0, 0))
                if found is not None:
                    view.texts.append(
                        self._text("let", name, source.text, found.node, rule.on, view)
                    )
        return view

    def _text(
        self,
        what: str,
        name: str,
        node: marks.TextNode,
        tree: Node,
        on: tuple[str, ...],
        rule: RuleView | None = None,
        narrow: marks.TextNode | None = None,
    ) -> Text:
        text = Text(what, name, node, tree, on, rule, narrow)
        if not self.is_doubtful(text):
            return text
        return replace(text, tree=_doubtful(text, tree))

    @cached_property
    def texts(self) -> list[Text]:
        """Every condition and value of the packs that was typed."""
        found = [text for view in self.rules for text in view.texts]
        for name, source in self.names.sources.items():
            if source.kind == "macro":
                typed = self.names.resolve(name, Span(0, 0))
                if typed is not None:
                    found.append(
                        self._text("macro", name, source.text, typed.node, self.on_of(name))
                    )
            else:
                found += self._of_feature(name, source)
        for view in self.rules:
            for name, source in view.draft.names.sources.items():
                if source.kind == "feature":
                    found += self._of_feature(name, source)
        return found

    def _of_feature(self, name: str, source: Source) -> list[Text]:
        feature = self.features.get(name)
        if feature is None:
            return []
        tree = feature.expression
        if feature.aggregate is not None:
            tree = feature.aggregate.where
        return [] if tree is None else [self._text("feature", name, source.text, tree, ())]

    # ---- who names what

    @cached_property
    def mentions(self) -> dict[str, Names]:
        """Of every macro, feature and let of the pack (own ones of rules as "RULE name"), what it names."""
        found = {}
        for name, source in self.names.sources.items():
            found[name] = Names()
            found[name].add(source.text.value)
        return found

    @cached_property
    def rule_names(self) -> list[Names]:
        """Of each rule, everything that its file names."""
        found = []
        for view in self.rules:
            names = Names()
            if view.map is not None:
                for key, node in view.map.items():
                    if key.value not in _SILENT:
                        names.add_any(node)
                    if key.value in ("features", "let") and isinstance(node, marks.MapNode):
                        names.words -= set(node.keys)
            if view.draft.narrow is not None:
                names.add(view.draft.narrow.value)
            found.append(names)
        return found

    @cached_property
    def reached(self) -> dict[str, set[int]]:
        """Name of a macro or feature of the pack -> the rules (by number) that need it, directly or through others."""
        found: dict[str, set[int]] = {}
        for i, names in enumerate(self.rule_names):
            seen: set[str] = set()
            stack = list(names.words & self.mentions.keys())
            while stack:
                name = stack.pop()
                if name not in seen:
                    seen.add(name)
                    stack += self.mentions[name].words & self.mentions.keys()
            for name in seen:
                found.setdefault(name, set()).add(i)
        return found

    def on_of(self, name: str) -> tuple[str, ...]:
        """The event types of the rules that need a macro; empty for any when a feature needs it too."""
        types = {t for i in self.reached.get(name, ()) for t in self.rules[i].rule.on}
        return tuple(sorted(types))


_SILENT: Final = frozenset(
    {"id", "name", "version", "owner", "severity", "reason", "on", "mode", "description", "purpose"}
    | {"references", "tests", "params", "effective"}
)


def _done(a: Action) -> tuple[object, ...]:
    bounds = (a.method, a.for_us, a.then, a.code, a.entity, a.level, a.channels, a.amount_minor)
    return (a.kind, a.queue, *bounds, a.template, a.to, a.tag, a.list_name, a.report, a.by)


def _doubtful(text: Text, node: Node) -> Node:
    """Replace what stands in for a mistake (it counts as true) by something of which nothing is known."""
    if node.op == "const" and node.type.kind == BOOL:
        if text.source(node.span) in ("true", "false"):
            return node
        return Node("unknown", Type(BOOL), (), str(node.span), node.span)
    args = tuple(_doubtful(text, arg) for arg in node.args)
    return node if args == node.args else Node(node.op, node.type, args, node.value, node.span)
