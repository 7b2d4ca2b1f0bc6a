"""Rule files as a tidy person writes them: keys in one order, expressions in one spelling, comments where they were.

    formatted(text, "rules/card.yaml", is_head=False)       the text of the file, put in order

Only expressions and the order of keys are written anew, by ranges of the source; all other characters stay. The result
is read again and compared with what was there: same keys, same values, same trees, same comments. A file with a
mistake in its YAML or in an expression is not touched. Layout of one expression: rules/layout.py; order of keys:
rules/language.py. Reading and writing files: replay/workbench/formatting.py.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from config import marks
from config.errors import ConfigError
from rules import language, layout
from rules.features import literal_tree
from rules.syntax import AggregateText, Problem, Tree, parse, parse_feature

_CONDITION: Final = "condition"
_EXPRESSIONS: Final = frozenset({_CONDITION, "expression", "number expression", "feature"})
_VALUES_OF: Final = frozenset({"rule", "param", "table", "restrict"})  # whose `value` is a quantity
_COMMENT: Final = re.compile(r"(?:(?<=[ \t\r\n])|\A)#[^\r\n]*")
_BLOCK_HEAD: Final = re.compile(r"[|>][-+0-9]*")
_INDICATORS: Final = tuple("!&*|>%@`\"'[]{},?:-#")


@dataclass(frozen=True, slots=True)
class _Text:
    """A scalar that is an expression: how it is read, and whether it stands inside `{...}` or `[...]`."""

    node: marks.TextNode
    kind: str
    column: int  # of its key, from 0
    in_flow: bool


@dataclass(frozen=True, slots=True)
class _Change:
    """`pieces` (texts, or ranges of the source) in place of a range of the source."""

    start: int
    end: int
    pieces: tuple[str | tuple[int, int], ...]


@dataclass(slots=True)
class _Plan:
    """What is to be changed in one file."""

    source: marks.Source
    changes: list[_Change] = field(default_factory=list)
    texts: list[_Text] = field(default_factory=list)


def formatted(text: str, file: str, *, is_head: bool) -> str:
    """The text of a rule file put in order; the same text where it is in order already.

    is_head : whether it is the pack.yaml. Raises `ConfigError` for a file with a mistake in its YAML or an expression,
    and for one whose result would not say the same, which is a mistake of ours.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    if text and not text.endswith(("\n", "\r")):
        text += newline
    for _ in range(3):  # a rewritten text can bring a line into another form once more
        result = _once(text, file, newline, is_head=is_head)
        if result == text:
            return result
        text = result
    return text


def _once(text: str, file: str, newline: str, *, is_head: bool) -> str:
    plan, root = _planned(text, file, is_head=is_head)
    for item in plan.texts:
        _rewrite(item, plan, newline)
    result = _render(plan)
    other, again = _planned(result, file, is_head=is_head)
    if not (
        _is_same(root, again, _by_node(plan), _by_node(other))
        and _comments(text, root) == _comments(result, again)
    ):
        raise ConfigError(
            "putting this file in order would change what it says",
            file,
            "this is a mistake of fmt; nothing was written",
            "leave the file as it is, and report it with the file",
        )
    return result


def _planned(text: str, file: str, *, is_head: bool) -> tuple[_Plan, marks.MapNode]:
    """Read a file: its root, its expressions, and how its keys move."""
    root, faults = marks.parse(text, file)
    if faults:
        raise faults[0].error()
    if not isinstance(root, marks.MapNode):
        raise ConfigError("a rule file is a mapping of keys to values", file)
    plan = _Plan(root.source)
    shape = language.PACK if is_head else language.SECTIONS
    _walk(root, shape, plan, in_flow=text[root.start : root.start + 1] == "{")
    return plan, root


# ---- which scalars are expressions, which mappings have an order


def _walk(node: marks.MapNode, shape: language.Shape, plan: _Plan, *, in_flow: bool) -> None:
    keys = {key.name: key for key in shape.keys}
    for name, value in node.items():
        key = keys.get(name.value)
        if key is not None:
            for item, at in _values(name, value, key):
                _one(item, at, key, shape, plan, in_flow=in_flow or _is_flow(value))
    _reorder(node, shape, plan)


def _values(
    name: marks.TextNode, value: marks.Node, key: language.Key
) -> Iterator[tuple[marks.Node, marks.TextNode]]:
    """The single values below a key, each with the key scalar nearest to it."""
    if isinstance(value, marks.MapNode) and key.form == language.NAMES:
        yield from ((inner, own) for own, inner in value.items())
    elif isinstance(value, marks.ListNode):
        yield from ((item, name) for item in value)
    else:
        yield value, name


def _one(
    node: marks.Node,
    name: marks.TextNode,
    key: language.Key,
    shape: language.Shape,
    plan: _Plan,
    *,
    in_flow: bool,
) -> None:
    if isinstance(node, marks.TextNode):
        kind = key.kind
        if kind == "value":
            is_quantity = shape.name in _VALUES_OF and not node.is_quoted
            kind = "expression" if is_quantity and literal_tree(node.value) is not None else ""
        if kind in _EXPRESSIONS and node.value.strip():
            column = name.source.position(name.start)[1] - 1
            item = _Text(node, kind, column, in_flow)
            _check(item)
            plan.texts.append(item)
    elif isinstance(node, marks.MapNode) and key.shapes:
        in_flow = in_flow or _is_flow(node)
        if key.form == language.TAGGED:
            for tag, inner in node.items():
                if tag.value in key.shapes and isinstance(inner, marks.MapNode):
                    inner_flow = in_flow or _is_flow(inner)
                    _walk(inner, language.SHAPES[tag.value], plan, in_flow=inner_flow)
        else:
            _walk(node, language.SHAPES[key.shapes[0]], plan, in_flow=in_flow)


def _check(item: _Text) -> None:
    _, problems = _read(item)
    if problems:
        first = problems[0]
        where = item.node.source.place(item.node.offset(first.span.start))
        raise ConfigError(first.what, where, fix=first.hint)


def _read(item: _Text) -> tuple[Tree | AggregateText, list[Problem]]:
    read = parse_feature if item.kind == "feature" else parse
    tree, problems = read(item.node.value)
    return tree, problems


def _is_flow(node: marks.Node) -> bool:
    return not isinstance(node, marks.TextNode) and node.source.text[
        node.start : node.start + 1
    ] in ("{", "[")


# ---- order of keys


def _reorder(node: marks.MapNode, shape: language.Shape, plan: _Plan) -> None:
    """Plan to move the entries of a mapping; keys that the shape does not know stay behind the one before them."""
    names = [key.value for key, _ in node.items()]
    wanted = _wanted(names, shape)
    if wanted == names:
        return
    if _is_flow(node):
        _reorder_flow(node, wanted, plan)
    else:
        _reorder_block(node, wanted, plan)


def _wanted(names: Sequence[str], shape: language.Shape) -> list[str]:
    order = {name: k for k, name in enumerate(language.order(shape))}
    ranks: dict[str, tuple[int, int]] = {}
    last = -1
    for k, name in enumerate(names):
        if name in order:
            last = order[name]
        # an event: when, the fields of the message, and last what is expected
        rank = (0 if order.get(name, 1) == 0 else 2 if name in order else 1) if shape.open else last
        ranks[name] = (rank * len(order) + order.get(name, 0) if shape.open else rank, k)
    return sorted(names, key=lambda name: ranks[name])


def _reorder_flow(node: marks.MapNode, wanted: Sequence[str], plan: _Plan) -> None:
    """Swap `key: value` pairs and leave what stands between them."""
    text = node.source.text
    ranges = {k.value: (k.start, _end(v)) for k, v in node.items()}
    is_bare = any(_end(v) <= k.end for k, v in node.items())  # `{a, b: 1}`
    if is_bare or _COMMENT.search(text, node.start, node.end):
        return
    old = list(ranges.values())
    pieces: list[str | tuple[int, int]] = []
    for k, name in enumerate(wanted):
        pieces.append(ranges[name])
        if k + 1 < len(old):
            pieces.append(text[old[k][1] : old[k + 1][0]])
    plan.changes.append(_Change(old[0][0], old[-1][1], tuple(pieces)))


def _reorder_block(node: marks.MapNode, wanted: Sequence[str], plan: _Plan) -> None:
    """Move whole entries with the comments above them; blank lines stay below what they follow."""
    source, text = node.source, node.source.text
    entries = list(node.items())
    column = source.position(entries[0][0].start)[1] - 1
    first_line = source.starts[source.position(entries[0][0].start)[0] - 1]
    inline = text[first_line : entries[0][0].start].strip()  # the dash of a list item
    if any(source.position(k.start)[1] - 1 != column for k, _ in entries):
        return
    starts = [entries[0][0].start]
    leads = [""]
    for (_, value), (key, _) in pairwise(entries):
        line = source.starts[source.position(key.start)[0] - 1]
        begin = _lead_start(text, _line_end(text, _end(value)), line, column)
        starts.append(begin)
        leads.append(text[begin:line])
    end = _line_end(text, _end(entries[-1][1]))
    end = _deeper_comments(text, end, column)
    bodies = {
        key.value: (key.start, starts[k + 1] if k + 1 < len(starts) else end)
        for k, (key, _) in enumerate(entries)
    }
    lead_of = {key.value: leads[k] for k, (key, _) in enumerate(entries)}
    pieces: list[str | tuple[int, int]] = []
    for k, name in enumerate(wanted):
        lead = lead_of[name]
        if k:
            pieces += [lead, " " * column]
        elif lead and inline:  # above the dash
            dash = text[first_line : entries[0][0].start]
            margin = dash[: len(dash) - len(dash.lstrip())]
            hoisted = "".join(margin + line.lstrip() for line in lead.splitlines(keepends=True))
            plan.changes.append(_Change(first_line, first_line, (hoisted,)))
        elif lead:
            pieces += [lead.lstrip(" "), " " * column]
        pieces.append(bodies[name])
    plan.changes.append(_Change(entries[0][0].start, end, tuple(pieces)))


def _lead_start(text: str, begin: int, end: int, column: int) -> int:
    """Where the comments begin that stand right above the line at `end` and are not indented deeper than `column`."""
    lines = text[begin:end].splitlines(keepends=True)
    at = end
    for line in reversed(lines):
        bare = line.lstrip(" ")
        if not bare.startswith("#") or len(line) - len(bare) > column:
            break
        at -= len(line)
    return at


def _deeper_comments(text: str, begin: int, column: int) -> int:
    """Past the comments that follow at `begin` and are indented deeper than `column`."""
    at = begin
    for match in re.compile(r"( *)#[^\r\n]*(?:\r\n|\r|\n|\Z)").finditer(text, begin):
        if match.start() != at or len(match[1]) <= column or not match[0]:
            break
        at = match.end()
    return at


def _line_end(text: str, at: int) -> int:
    """Behind the line break of the line that character `at - 1` stands on."""
    match = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)").match(text, at)
    assert match is not None
    if at and text[at - 1] in "\r\n":
        return at
    return match.end()


def _end(node: marks.Node) -> int:
    """Where the characters of a node end; YAML's own marks lie behind the comments that follow a block."""
    if _is_flow(node):
        return node.end
    if isinstance(node, marks.MapNode):
        return _end(list(node.values.values())[-1]) if node.values else node.end
    if isinstance(node, marks.ListNode):
        return _end(node.items[-1]) if node.items else node.end
    return _block_end(node) if node.style in ("|", ">") else node.end


def _block_end(node: marks.TextNode) -> int:
    """Behind the last line of a block that has characters, its line break included."""
    text = node.source.text
    at = end = _line_end(text, node.start)
    indent = -1
    for match in re.compile(r"( *)([^\r\n]*)(?:\r\n|\r|\n|\Z)").finditer(text, at):
        if match[2]:
            if indent < 0:
                indent = len(match[1])
                if indent <= _parent_indent(node):
                    break
            if len(match[1]) < indent:
                break
            end = match.end()
        if match.end() >= len(text):
            break
    return min(end, max(node.end, at))


def _parent_indent(node: marks.TextNode) -> int:
    line = node.source.line(node.position()[0])
    return len(line) - len(line.lstrip(" "))


# ---- expressions


def _rewrite(item: _Text, plan: _Plan, newline: str) -> None:
    node = item.node
    value, source = node.value, node.source
    is_block = node.style in ("|", ">")
    is_many = item.kind == _CONDITION and not item.in_flow and layout.n_clauses(value) > 1
    if is_many and node.style != ">":
        indent = " " * (item.column + 2)
        lines = layout.clauses(value, max(layout.WIDTH - len(indent), 40))
        head_end = node.start if is_block else node.end
        line_end = _line_end(source.text, node.start if is_block else node.end)
        rest = source.text[head_end:line_end].rstrip("\r\n")
        if is_block:
            head = _BLOCK_HEAD.match(rest)
            assert head is not None, rest
            rest = rest[head.end() :]
        body = newline.join(indent + line for line in lines)
        end = _block_end(node) if is_block else line_end
        new = f"|{rest.rstrip()}{newline}{body}{newline}"
        if source.text[node.start : end] != new:
            plan.changes.append(_Change(node.start, end, (new,)))
        return
    begin, _ = source.position(node.start)
    last, _ = source.position(max(node.end - 1, node.start))
    if is_block or begin != last or layout.has_comments(value):
        _in_place(item, plan)
        return
    new = layout.tidy(value)
    if new != value:
        written = _scalar(new, node.style, in_flow=item.in_flow)
        plan.changes.append(_Change(node.start, node.end, (written,)))


def _in_place(item: _Text, plan: _Plan) -> None:
    """Change single words where they stand: the lines of the author stay."""
    node = item.node
    for word in layout.spelling(item.node.value):
        start, end = node.offset(word.start), node.offset(max(word.end - 1, word.start)) + 1
        written = node.source.text[start:end]
        is_whole = end - start == word.end - word.start
        if word.kind != "end" and is_whole and written != word.text and "\\" not in written:
            if node.style in ("'", '"') and node.style in word.text + written:
                continue  # it would have to be written in another way
            plan.changes.append(_Change(start, end, (word.text,)))


def _scalar(value: str, style: str, *, in_flow: bool) -> str:
    """A one-line text as YAML, in the style it had if that can be."""
    if style == '"' and '"' not in value and "\\" not in value:
        return f'"{value}"'
    if not style and _is_plain(value, in_flow=in_flow):
        return value
    return "'" + value.replace("'", "''") + "'"


def _is_plain(value: str, *, in_flow: bool) -> bool:
    if value.startswith(_INDICATORS) and not re.match(r"-[^ ]", value):
        return False
    if ": " in value or " #" in value or value.endswith(":"):
        return False
    return not (in_flow and re.search(r"[,\[\]{}]", value))


# ---- writing and comparing


def _render(plan: _Plan) -> str:
    # an insertion stands before a range that begins there, a range before those inside it
    changes = sorted(plan.changes, key=lambda c: (c.start, c.start != c.end, -c.end))
    starts = [c.start for c in changes]
    text = plan.source.text

    def render(start: int, end: int, of: int) -> str:
        """The range with its changes, those behind number `of` in the sorted row."""
        out: list[str] = []
        at = start
        k = max(of + 1, bisect_left(starts, start))
        while k < len(changes) and changes[k].start < end:
            change = changes[k]
            if change.start < at or change.end > end:
                k += 1
                continue
            out.append(text[at : change.start])
            out += [p if isinstance(p, str) else render(*p, k) for p in change.pieces]
            at = change.end
            k += 1
        return "".join([*out, text[at:end]])

    return render(0, len(text), -1)


def _by_node(plan: _Plan) -> dict[int, _Text]:
    return {id(item.node): item for item in plan.texts}


def _is_same(a: marks.Node, b: marks.Node, of_a: dict[int, _Text], of_b: dict[int, _Text]) -> bool:
    """Whether two files hold the same keys and values, whatever their order; of expressions the same trees."""
    if isinstance(a, marks.TextNode) and isinstance(b, marks.TextNode):
        left, right = of_a.get(id(a)), of_b.get(id(b))
        if left is None or right is None:
            return left is right and a.value == b.value
        if layout.comments(a.value) != layout.comments(b.value):
            return False
        return _bare(_read(left)[0]) == _bare(_read(right)[0])
    if isinstance(a, marks.MapNode) and isinstance(b, marks.MapNode):
        return a.values.keys() == b.values.keys() and all(
            _is_same(a[key], b[key], of_a, of_b) for key in a
        )
    if isinstance(a, marks.ListNode) and isinstance(b, marks.ListNode):
        return len(a) == len(b) and all(
            _is_same(x, y, of_a, of_b) for x, y in zip(a, b, strict=True)
        )
    return False


def _bare(tree: Tree | AggregateText) -> object:
    """What a text says, without places."""
    if isinstance(tree, Tree):
        return tree
    w = tree.window
    window = None if w is None else (w.kind, w.width_us, w.lag_us, w.count, w.unit)
    return (tree.function, tree.args, tree.domain, tree.keys, window, tree.where, tree.prior)


def _comments(text: str, root: marks.Node) -> Counter[str]:
    """Every comment of a file; those inside blocks of text are part of the text."""
    parts: list[str] = []
    at = 0
    for start, end in sorted(_scalars(root)):
        if start > at:
            parts.append(text[at:start])
            parts.append("\n" if text[end - 1] in "\r\n" else "x")
        at = max(at, end)
    parts.append(text[at:])
    masked = "".join(parts)
    return Counter(match[0].rstrip() for match in _COMMENT.finditer(masked))


def _scalars(node: marks.Node) -> Iterable[tuple[int, int]]:
    """The ranges of the scalars of a file, of blocks without their first line."""
    if isinstance(node, marks.TextNode):
        if node.style in ("|", ">"):
            yield _line_end(node.source.text, node.start), _block_end(node)
        else:
            yield node.start, node.end
    elif isinstance(node, marks.ListNode):
        for item in node:
            yield from _scalars(item)
    else:
        for key, value in node.items():
            yield key.start, key.end
            yield from _scalars(value)
