"""Checks of single expressions (WR201, WR202, WR204, WR205, WR206, WR211).

Always or never true, parts that add nothing, negations of what can be missing, and the like. What is claimed was
proven (rules/check/logic.py).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rules.check.findings import Finding
from rules.check.logic import Logic
from rules.check.presence import can_be_missing
from rules.check.views import PackView, Text
from rules.overrides import narrow_begin
from rules.syntax import AggregateText, parse, parse_feature
from rules.tree import BOOL, GEO, NUMBER, Node, Span, Type

CONDITIONS: Final = frozenset({"condition", "exception", "macro"})
_ONLY_PRESENT: Final = "write: is present, if only that is meant"
_TRUE: Final = Node("const", Type(BOOL), value=True)
_ORDERED: Final = frozenset({"<", "<=", "==", "!=", ">=", ">"})
_INEXACT_CALLS: Final = frozenset({"log", "distance_km", "similarity", "in_hours", "in_days"})
_INEXACT_AGGREGATES: Final = frozenset(
    {"avg", "stddev", "entropy", "decayed_count", "decayed_sum", "decayed_avg"}
)


def check(view: PackView) -> Iterator[Finding]:
    for text in view.texts:
        yield from mixed(text)
        if text.what == "feature" and not view.is_doubtful(text):
            yield from uncounted(text, view)
        if text.what == "macro" and not text.on:
            continue  # used nowhere, which is a finding of its own
        logic = view.logic(text.on, only_on=text.what != "macro")
        if text.what in CONDITIONS and text.tree.type.kind == BOOL:
            is_clean = not view.is_doubtful(text)  # what stands in for a mistake decides nothing
            sure = list(decided(text, logic)) if is_clean else []
            yield from sure or redundant(text, logic)
            if not sure and text.what != "exception":
                yield from negated(text, logic, view)
        if text.what != "feature":
            yield from needless(text, logic)
            yield from inexact(text, view)
            yield from shares(text, view)


# ---- WR201, WR202


def decided(text: Text, logic: Logic) -> Iterator[Finding]:
    """Conditions, and parts of them, that are always or never true (WR201)."""
    tree = text.tree
    if tree.op == "const" or text.is_name(tree) or _asks(tree):
        return
    if text.what == "exception" and logic.always_true(tree):
        return  # that is WR304
    parts = text.parts(tree, "and")
    if logic.never_true(tree):
        yield _never(text, logic, tree, parts)
        return
    if logic.always_true(tree):
        what = "this is always true" + (": the rule fires on every event" if _fires(text) else "")
        yield text.at("WR201", tree, what, "say what must be special about the event")
        return
    if logic.is_never(logic.form(tree, "false")):
        yield text.at("WR201", tree, "this is true whatever the value", _ONLY_PRESENT)
        return
    for op in ("and", "or"):
        parts = text.parts(tree, op)
        for part in parts if len(parts) > 1 else ():
            if part.op in ("const", "unknown") or text.is_name(part) or _asks(part):
                continue
            if op == "or":  # a part that is always true would make the whole so
                if logic.never_true(part):
                    what = f'"{_short(text, part)}" is never true'
                    yield text.at("WR201", part, what, "leave it out")
            elif logic.is_never(logic.form(part, "false")):
                what = f'"{_short(text, part)}" is true whatever the value'
                hint = _ONLY_PRESENT
                if logic.always_true(part):
                    what, hint = (
                        f'"{_short(text, part)}" is always true',
                        "leave it out, or correct it",
                    )
                yield text.at("WR201", part, what, hint)


def _fires(text: Text) -> bool:
    return text.what == "condition"


def _never(text: Text, logic: Logic, tree: Node, parts: list[Node]) -> Finding:
    """Name the part, or the two parts, that make it impossible."""
    more = ": the rule can never fire" if _fires(text) else ""
    for part in parts:
        if logic.never_true(part):
            return text.at("WR201", part, f'"{_short(text, part)}" is never true{more}')
    for i, part in enumerate(parts):
        for before in parts[:i]:
            if logic.is_never(logic.form(part, "true"), logic.form(before, "true")):
                what = f'"{_short(text, part)}" excludes {_where(text, part, before)}{more}'
                return text.at("WR201", part, what, "correct one of the two")
    return text.at("WR201", tree, f"this is never true{more}")


def redundant(text: Text, logic: Logic) -> Iterator[Finding]:
    """Parts that another part implies (WR202)."""
    if text.is_name(text.tree):
        return
    yield from _redundant(text, logic, text.tree)


def _redundant(text: Text, logic: Logic, node: Node) -> Iterator[Finding]:
    op = node.op
    if op not in ("and", "or") or text.is_name(node):
        return
    parts = text.parts(node, op)
    spoken: set[int] = set()
    for i, part in enumerate(parts):
        if part.op in ("const", "unknown") or _asks(part):
            continue
        names = set(part.columns())
        others = [j for j in range(len(parts)) if j != i and j not in spoken]
        near = [j for j in others if names & set(parts[j].columns())]
        for j in near:
            a, b = (parts[j], part) if op == "and" else (part, parts[j])
            if logic.implies(a, b) and (j < i or not logic.implies(b, a)):
                spoken.add(i)
                word = "already implied by" if op == "and" else "covered by"
                what = f'"{_short(text, part)}" is {word} {_where(text, part, parts[j])}'
                yield text.at("WR202", part, what, _leave_out(op))
                break
        else:
            if len(near) > 1 and op == "and":
                rest = Node("and", part.type, tuple(parts[j] for j in near))
                if logic.implies(rest, part):
                    spoken.add(i)
                    what = f'"{_short(text, part)}" is already implied by the other conditions'
                    yield text.at("WR202", part, what, _leave_out(op))
    for part in parts:
        yield from _redundant(text, logic, part)


def _leave_out(op: str) -> str:
    return "leave it out" if op == "and" else "leave it out: it never makes a difference"


def _asks(part: Node) -> bool:
    """`x is missing` and `x is present` are looked at elsewhere (WR205)."""
    return part.op == "missing" or _is_guard(part)


def _is_guard(part: Node) -> bool:
    """`x is present` says on purpose what other parts may need anyway; so does a choice of such."""
    if part.op == "or":
        return all(map(_is_guard, part.args))
    return part.op == "not" and part.args[0].op == "missing"


def _where(text: Text, part: Node, other: Node) -> str:
    assert part.span is not None
    assert other.span is not None
    line = text.line(other.span)
    files = [text.placed(span)[0].source.file for span in (other.span, part.span)]
    if files[0] != files[1]:
        return f"{files[0]}:{line}"
    if line != text.line(part.span):
        return f"line {line}"
    return f'"{_short(text, other)}"'


def _short(text: Text, node: Node) -> str:
    source = text.source(node.span)
    return source if len(source) <= 60 else source[:57] + "..."


# ---- WR204


def negated(text: Text, logic: Logic, view: PackView) -> Iterator[Finding]:
    """Negations of what can be missing, where nothing says what is meant then (WR204)."""
    for site in _sites(text, text.tree):
        said = False
        for column in _read(site):
            absent = can_be_missing(str(column.value), text.on, view.schema)
            if said or not absent or logic.never_missing(column):
                continue
            lacks = logic.missing(column)
            if not logic.is_never(logic.form(text.tree, "true"), lacks):
                continue  # it can fire without the field: somebody has thought of it
            without = _replaced(text.tree, site, _TRUE)
            if logic.is_never(logic.form(without, "true"), lacks):
                continue  # the field is wanted for another reason too
            yield _negation(text, site, column, absent)
            said = True


def uncounted(text: Text, view: PackView) -> Iterator[Finding]:
    """Negations in the `where` of a feature: an event without the field is not counted, whatever was meant."""
    feature = view.features.get(text.name)
    counted = feature.aggregate if feature is not None else None
    if counted is None or counted.domain == "label":
        return
    kinds = {counted.domain} if counted.domain != "event" else {"transaction", "activity"}
    types = tuple(name for name, kind in view.schema.event_types.items() if kind in kinds)
    where = text.tree
    on = tuple(t for t in types if not view.logic((t,)).never_true(where))
    if on:
        yield from negated(replace(text, on=on), view.logic(on), view)


def _negation(text: Text, site: Node, column: Node, absent: list[str]) -> Finding:
    name = str(column.value)
    optional = "is optional"
    if len(absent) < len(text.on):
        optional += f" on {' and '.join(absent)}" if len(absent) < 4 else " on most event types"
    then = f"{text.name} is not true"
    if text.what == "condition":
        then = "this rule will not fire"
    elif text.what == "feature":
        then = f"{text.name} does not count the event"
    source = text.source(site.span)
    what = f"{name} {optional}; when it is missing {then}"
    return text.at("WR204", site, what, f"if it should, write: ({name} is missing or {source})")


def _sites(text: Text, node: Node) -> Iterator[Node]:
    """The outermost negations that are written in this text."""
    if node.op == "not":
        if node.args[0].op != "missing":
            yield node
        return
    if node.op == "!=":
        yield node
        return
    if text.is_name(node):
        return
    for arg in node.args:
        yield from _sites(text, arg)


def _read(node: Node) -> Iterator[Node]:
    """The columns that a negation reads for their values, each once."""
    seen: set[str] = set()
    stack = [node]
    while stack:
        part = stack.pop(0)
        if part.op == "missing":
            continue
        if part.op == "column" and str(part.value) not in seen:
            seen.add(str(part.value))
            yield part
        stack.extend(part.args)


def _replaced(node: Node, old: Node, new: Node) -> Node:
    """The same tree with one part, this very one, replaced."""
    if node is old:
        return new
    args = tuple(_replaced(arg, old, new) for arg in node.args)
    if all(a is b for a, b in zip(args, node.args, strict=True)):
        return node
    return Node(node.op, node.type, args, node.value, node.span)


# ---- WR205


def needless(text: Text, logic: Logic) -> Iterator[Finding]:
    """Questions whether something is missing that never is (WR205)."""
    for node in _written(text, text.tree):
        if node.op == "missing" and logic.never_missing(node.args[0]):
            is_question = "present" not in text.source(node.span).split()[-1:]
            word, truth = ("missing", "false") if is_question else ("present", "true")
            name = _short(text, node.args[0])
            what = f'{name} is never missing{_on(text)}, so "{name} is {word}" is always {truth}'
            yield text.at("WR205", node, what, "leave it out")
        choice = node.op == "if" and node.args[0].op == "missing" and node.args[0].span == node.span
        if node.op == "??" or choice:
            left = node.args[0].args[0] if choice else node.args[0]
            if logic.never_missing(left):
                name = _short(text, left)
                what = f"{name} is never missing{_on(text)}, so what stands behind ?? is never used"
                yield text.at("WR205", node, what, f"write {name}")


def _on(text: Text) -> str:
    return f" on {' and '.join(text.on)}" if text.on and text.what != "macro" else ""


def _written(text: Text, node: Node, parent: Node | None = None) -> Iterator[Node]:
    """Every part that is written in this text: not what a name of it stands for."""
    if parent is not None and node.args and text.is_name(node):
        return
    yield node
    if node.op == "if" and node.args[0].op == "missing" and node.args[0].span == node.span:
        yield from (p for arg in node.args[1:] for p in _written(text, arg, node))
        return
    for arg in node.args:
        yield from _written(text, arg, node)


# ---- WR206


def inexact(text: Text, view: PackView) -> Iterator[Finding]:
    """Numbers with rounding in them that are compared for equality (WR206)."""
    for node in _written(text, text.tree):
        if node.op not in ("==", "!=") or node.args[0].type.is_coded:
            continue
        for side in node.args:
            if is_inexact(side, view):
                name = _short(text, side)
                what = f"{name} is calculated and hardly ever exactly the same number twice"
                hint = f"write {name} between a little less and a little more"
                yield text.at("WR206", node, what, hint)
                break


def is_inexact(node: Node, view: PackView) -> bool:
    """Whether a number comes out of a calculation that rounds."""
    if node.op == "column":
        name = str(node.value)
        feature = view.features.get(name)
        if feature is None:
            return name.startswith("model.") or node.type.kind == GEO
        if feature.aggregate is not None:
            return feature.aggregate.function in _INEXACT_AGGREGATES
        return feature.expression is not None and is_inexact(feature.expression, view)
    if node.op == "call":
        return node.value in _INEXACT_CALLS
    if node.op == "/":
        return node.type.kind == NUMBER
    if node.op in ("+", "-", "*", "neg", "??", "if"):
        return any(is_inexact(arg, view) for arg in node.args)
    return False


def shares(text: Text, view: PackView) -> Iterator[Finding]:
    """A number of events compared with a percentage (WR211)."""
    for node in text.tree.walk():
        if node.op not in _ORDERED or text.is_name(node):
            continue
        for one, other in (node.args, node.args[::-1]):
            share = text.source(other.span)
            if other.op != "const" or not share.endswith("%") or one.op != "column":
                continue
            feature = view.features.get(str(one.value))
            if feature is None or feature.aggregate is None:
                continue
            if feature.aggregate.function in ("count", "count_distinct"):
                what = f"{text.source(one.span)} counts, and {share} is {other.value:g}"
                hint = f"write a whole number, or a share: {text.source(one.span)} / all of them"
                yield text.at("WR211", node, what, hint)


def mixed(text: Text) -> Iterator[Finding]:
    """`and` and `or` side by side without brackets (WR206)."""
    yield from _mixed(text, text.node.value, 0)
    if text.narrow is not None:
        yield from _mixed(text, text.narrow.value, narrow_begin(text.node))


def _mixed(text: Text, written: str, begin: int) -> Iterator[Finding]:
    if " or" not in written.replace("\n", " ") or "and" not in written:
        return
    read = parse_feature if text.what == "feature" else parse
    found, _ = read(written)
    tree = found.where if isinstance(found, AggregateText) else found
    for node in tree.walk() if tree is not None else ():
        if node.op != "or":
            continue
        for arg in node.args:
            if arg.op == "and" and not _is_bracketed(written, arg.span):
                source = " ".join(written[arg.span.start : arg.span.end].split())
                what = '"and" and "or" stand side by side; "and" binds closer, which readers miss'
                span = Span(arg.span.start + begin, arg.span.end + begin)
                part = Node("and", Type(BOOL), span=span)
                yield text.at("WR206", part, what, f"write ({source})")


def _is_bracketed(text: str, span: Span) -> bool:
    return text[: span.start].rstrip().endswith("(") and text[span.end :].lstrip().startswith(")")
