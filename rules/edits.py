"""The nodes of a rule with one text replaced or one item left out; nothing is written to a file.

For what reads a rule again as somebody might have written it: numbers moved, conditions deleted, actions dropped.
"""

from collections.abc import Sequence

from config import marks
from rules.tree import Span

Path = Sequence[str | int]  # keys of mappings and places in lists, from the rule down


def at_path(node: marks.Node, path: Path) -> marks.Node:
    """The node that `path` leads to; it must be there."""
    for step in path:
        if isinstance(node, marks.MapNode):
            node = node[str(step)]
        else:
            assert isinstance(node, marks.ListNode), path
            node = node.items[int(step)]
    return node


def replaced(rule: marks.MapNode, path: Path, span: Span, text: str) -> marks.MapNode:
    """The rule with `text` in place of a part of the scalar at `path`."""
    inner = at_path(rule, path)
    assert isinstance(inner, marks.TextNode), path
    found = _put(rule, path, with_text(inner, span, text))
    assert isinstance(found, marks.MapNode), path
    return found


def without(rule: marks.MapNode, path: Path) -> marks.MapNode:
    """The rule without the item of a list at `path`."""
    found = _put(rule, path, None)
    assert isinstance(found, marks.MapNode), path
    return found


def with_text(node: marks.TextNode, span: Span, text: str) -> marks.TextNode:
    """The scalar with `text` in place of a part of its value."""
    value = node.value[: span.start] + text + node.value[span.end :]
    return marks.TextNode(node.source, node.start, node.end, value, node.style)


def _put(node: marks.Node, path: Path, other: marks.Node | None) -> marks.Node:
    """`node` with `other` at the end of `path`; None leaves the item of a list out."""
    step, rest = path[0], path[1:]
    if isinstance(node, marks.MapNode):
        key = str(step)
        inner = _put(node[key], rest, other) if rest else other
        assert inner is not None, path
        values = {**node.values, key: inner}
        return marks.MapNode(node.source, node.start, node.end, node.keys, values)
    assert isinstance(node, marks.ListNode), path
    place = int(step)
    put = _put(node.items[place], rest, other) if rest else other
    items = [*node.items[:place], *([put] if put is not None else []), *node.items[place + 1 :]]
    return marks.ListNode(node.source, node.start, node.end, items)
