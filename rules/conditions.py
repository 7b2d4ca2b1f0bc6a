"""The single conditions of a rule, each with its place: what its `and` and `or` join, down to the last.

They stand in `when`, in exceptions, in lets and own features of the rule, and in those macros and features of the pack
that no other rule uses. For trying what a rule's tests notice (replay/workbench/mutation.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from config import marks
from rules.definitions import Place
from rules.features import Source
from rules.syntax import AggregateText, Tree, parse, parse_feature, tokens
from rules.tree import Span

KEEPS_ALL, KEEPS_NONE = "true", "false"  # what an `and`, an `or` reads where a part was deleted
_JOINS: Final = frozenset({"and", "or", "not", "if"})
_TESTS: Final = frozenset(
    {"==", "!=", "<", "<=", ">", ">=", "in", "not_in", "between", "not_between"}
    | {"is_missing", "is_present", "contains", "starts with", "ends with", "matches"}
    | {"not_contains", "not_starts with", "not_ends with", "not_matches"}
)
_EXPRESSIONS: Final = ("when", "narrow", "score", "let", "features", "exceptions", "actions")


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of a rule's logic.

    called  : "when", "exception EX-1", "let fast", "feature n_5m", "macro tiny"
    path    : from the rule to the text it stands in; () where `name`, a macro or feature of the pack, says which text
    neutral : the truth that its `and` or `or` does not feel, "" where it has none (behind `if`)
    """

    called: str
    text: str
    place: Place
    path: tuple[str | int, ...]
    name: str
    span: Span
    neutral: str


def conditions_of(rule: marks.MapNode) -> list[Condition]:
    """The conditions inside a rule that has been read without an error, in the order of the file."""
    found: list[Condition] = []
    for called, path, node, is_condition in _texts(rule):
        tree, _ = parse_feature(node.value) if path[0] == "features" else parse(node.value)
        found += _conditions(called, path, "", node, tree, is_condition=is_condition)
    return sorted(found, key=lambda c: (c.place.line, c.place.column))


def conditions_of_name(source: Source) -> list[Condition]:
    """The conditions of a macro or feature of the pack."""
    node = source.text
    tree, _ = parse_feature(node.value) if source.kind == "feature" else parse(node.value)
    called = f"{source.kind} {source.name}"
    return _conditions(called, (), source.name, node, tree, is_condition=source.kind == "macro")


def only_used_by(
    rules: Mapping[str, marks.MapNode], names: Mapping[str, Source]
) -> dict[str, list[Source]]:
    """For each rule the macros and features of the pack that decide when it fires and that no other rule reads."""
    reads = {name: _words([source.text]) & names.keys() for name, source in names.items()}
    used: dict[str, set[str]] = {name: set() for name in names}
    for rule_id, node in rules.items():
        for name in _closure(_words(_scalars(node, _EXPRESSIONS)), reads):
            used[name].add(rule_id)
    deciding = ("when", "narrow", "let", "features", "exceptions")
    return {
        rule_id: [
            names[name]
            for name in sorted(_closure(_words(_scalars(node, deciding)), reads))
            if used[name] == {rule_id}
        ]
        for rule_id, node in rules.items()
    }


def _closure(words: Iterable[str], reads: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    left = [word for word in words if word in reads]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += reads[name]
    return found


def _words(nodes: Iterable[marks.TextNode]) -> set[str]:
    return {t.text for node in nodes for t in tokens(node.value) if t.kind == "word"}


def _scalars(node: marks.Node, keys: Iterable[str] = ()) -> Iterator[marks.TextNode]:
    if isinstance(node, marks.TextNode):
        yield node
    elif isinstance(node, marks.ListNode):
        for item in node:
            yield from _scalars(item)
    else:
        for key in keys or node:
            if key in node:
                yield from _scalars(node[key])


def _texts(
    rule: marks.MapNode,
) -> Iterator[tuple[str, tuple[str | int, ...], marks.TextNode, bool]]:
    """Where conditions may stand in a rule: what it is called, path, text, whether it is a condition as a whole."""
    for part in ("when", "narrow"):  # `narrow` is there where a pack on top has narrowed the rule
        text = rule.get(part)
        if isinstance(text, marks.TextNode):
            yield part, (part,), text, True
    for section in ("let", "features"):
        node = rule.get(section)
        for key, value in node.items() if isinstance(node, marks.MapNode) else ():
            called = f"{section.removesuffix('s')} {key.value}"
            if isinstance(value, marks.TextNode):
                yield called, (section, key.value), value, False
            elif isinstance(value, marks.MapNode):
                inner = value.get("is")
                if isinstance(inner, marks.TextNode):
                    yield called, (section, key.value, "is"), inner, False
    exceptions = rule.get("exceptions")
    for k, item in enumerate(exceptions if isinstance(exceptions, marks.ListNode) else ()):
        if isinstance(item, marks.MapNode):
            name, inner = item.get("id"), item.get("when")
            if isinstance(inner, marks.TextNode):
                called = (
                    f"exception {name.value}" if isinstance(name, marks.TextNode) else "exception"
                )
                yield called, ("exceptions", k, "when"), inner, True


def _conditions(
    called: str,
    path: tuple[str | int, ...],
    name: str,
    node: marks.TextNode,
    tree: Tree | AggregateText,
    *,
    is_condition: bool,
) -> list[Condition]:
    parts: list[tuple[Tree, str]] = []
    if isinstance(tree, AggregateText):
        parts += [part for x in tree.args for part in _inside(x)]
        if tree.where is not None:
            parts += _parts(tree.where, KEEPS_ALL)
    elif is_condition or tree.op in _JOINS - {"if"} or tree.op in _TESTS or _is_at_least(tree):
        parts += _parts(tree, KEEPS_ALL)
    else:
        parts += _inside(tree)
    found = []
    for part, neutral in parts:
        span = part.span
        line, column = node.source.position(node.offset(span.start))
        text = " ".join(node.value[span.start : span.end].split())
        at = Place(node.source.file, line, column)
        found.append(Condition(called, text, at, path, name, span, neutral))
    return found


def _parts(tree: Tree, neutral: str) -> Iterator[tuple[Tree, str]]:
    """The tests that a condition is joined from."""
    if tree.op in ("and", "or"):
        for arg in tree.args:
            yield from _parts(arg, KEEPS_ALL if tree.op == "and" else KEEPS_NONE)
    elif tree.op == "not" and (tree.args[0].op in _JOINS or _is_at_least(tree.args[0])):
        yield from _parts(tree.args[0], KEEPS_NONE if neutral == KEEPS_ALL else KEEPS_ALL)
    elif tree.op == "if":
        yield from _parts(tree.args[0], "")
        for arg in tree.args[1:]:
            yield from _parts(arg, neutral)
    elif _is_at_least(tree):
        for arg in tree.args[1:]:
            yield from _parts(arg, KEEPS_NONE)
    else:
        yield tree, neutral
        yield from _inside(tree)


def _inside(tree: Tree) -> Iterator[tuple[Tree, str]]:
    """The conditions that choose between values inside a calculation."""
    args = tree.args
    if tree.op == "if":
        yield from _parts(args[0], "")
        args = args[1:]
    for arg in args:
        yield from _inside(arg)


def _is_at_least(tree: Tree) -> bool:
    return tree.op == "call" and tree.value == "at_least"
