"""Quotients whose divisor can be 0 where a condition wants a large quotient (WR210).

x / 0 has no value, so `refunds / purchases > 50%` is not true for whoever never bought anything: the worst case.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rules.check.findings import Finding
from rules.check.logic import Logic
from rules.check.views import PackView, Text
from rules.definitions import Aggregate
from rules.tree import BOOL, Node, Type

_CONDITIONS: Final = frozenset({"condition", "macro"})
_TALLIES: Final = frozenset({"count", "count_distinct", "sum"})  # 0 where there was nothing
_LARGE: Final = {">": 0, ">=": 0, "<": 1, "<=": 1}  # the side on which a large quotient is wanted


def check(view: PackView) -> Iterator[Finding]:
    for text in view.texts:
        if text.what in _CONDITIONS and text.tree.type.kind == BOOL and not view.is_doubtful(text):
            if text.what == "macro" and not text.on:
                continue  # used nowhere, which is a finding of its own
            yield from _unguarded(text, view.logic(text.on, only_on=text.what != "macro"), view)


def _unguarded(text: Text, logic: Logic, view: PackView) -> Iterator[Finding]:
    bounded = {n.args[1 - _LARGE[n.op]] for n in text.tree.walk() if n.op in _LARGE}
    for site in _sites(text, text.tree):
        large = site.args[_LARGE[site.op]]
        if large in bounded:
            continue  # a quotient that must not be too large either: 0 would be
        divided = _quotient(large, view)
        if divided is None:
            continue
        above, below = divided
        if not _can_be_zero(below, view) or _is_part(above, below, view):
            continue
        zero = logic.form(
            Node("==", Type(BOOL), (below, Node("const", below.type, value=0.0))), "true"
        )
        if logic.is_never(logic.form(_put(text.tree, site, True), "true"), zero):
            continue  # something else asks for a divisor
        if not logic.is_never(logic.form(_put(text.tree, site, False), "true"), zero):
            continue  # it can be true without the quotient
        yield _finding(text, site, large, above, below)


def _finding(text: Text, site: Node, large: Node, above: Node, below: Node) -> Finding:
    shown = text.source(large.span)
    is_written = large.op == "/" and not text.is_name(large)
    divisor = text.source(below.span) if is_written else str(below.value or "")
    what = f"{divisor or 'the divisor'} can be 0, then {shown} is missing and this is not true, however large the rest"
    if not is_written:
        return text.at("WR210", site, what, "compare products instead, or say what holds for 0")
    other = site.args[1 - _LARGE[site.op]]
    op = site.op if _LARGE[site.op] == 0 else {"<": ">", "<=": ">="}[site.op]
    product = f"{_bracketed(text.source(other.span))} * {_bracketed(divisor)}"
    hint = f"write {text.source(above.span)} {op} {product}, or add {divisor} > 0 if that is meant"
    return text.at("WR210", site, what, hint)


def _bracketed(source: str) -> str:
    return f"({source})" if " " in source and not source.startswith("(") else source


def _sites(text: Text, node: Node) -> Iterator[Node]:
    """The comparisons that are written in this text and help it to be true."""
    if node.op in _LARGE:
        yield node
    elif node.op in ("and", "or", "at_least") and not text.is_name(node):
        for arg in node.args:
            yield from _sites(text, arg)


def _quotient(node: Node, view: PackView) -> tuple[Node, Node] | None:
    """What is divided by what: by the node, or by the feature that it names."""
    if node.op == "/":
        return node.args[0], node.args[1]
    feature = view.features.get(str(node.value)) if node.op == "column" else None
    if feature is not None and feature.expression is not None and feature.expression.op == "/":
        return feature.expression.args[0], feature.expression.args[1]
    return None


def _can_be_zero(node: Node, view: PackView) -> bool:
    """Whether nothing need have happened for it to be 0: counts and sums, added or multiplied.

    A field that is 0, such as a balance, is something that the message says.
    """
    if node.op == "column":
        feature = view.features.get(str(node.value))
        if feature is None:
            return False
        if feature.aggregate is not None:
            return feature.aggregate.function in _TALLIES
        return feature.expression is not None and _can_be_zero(feature.expression, view)
    if node.op in ("+", "??"):
        return all(_can_be_zero(arg, view) for arg in node.args)
    return node.op == "*" and any(_can_be_zero(arg, view) for arg in node.args)


def _is_part(above: Node, below: Node, view: PackView) -> bool:
    """Whether what is counted above is counted below as well: with nothing below there is nothing above."""
    if below.op == "+":
        return any(above == arg or _is_part(above, arg, view) for arg in below.args)
    a, b = _tally(above, view), _tally(below, view)
    if a is None or b is None or (a.keys, a.domain) != (b.keys, b.domain):
        return False
    if a.prior != b.prior or not _is_inside(a, b):
        return False
    if b.function == "sum" and b.argument != a.argument:
        return False
    return b.where is None or (
        a.where is not None and view.logic((), only_on=False).implies(a.where, b.where)
    )


def _is_inside(a: Aggregate, b: Aggregate) -> bool:
    x, y = a.window, b.window
    if x == y:
        return True
    if x.calendar or y.calendar or x.last or y.last or x.lag_us != y.lag_us:
        return False
    return y.width_us is None or (x.width_us is not None and x.width_us <= y.width_us)


def _tally(node: Node, view: PackView) -> Aggregate | None:
    feature = view.features.get(str(node.value)) if node.op == "column" else None
    aggregate = feature.aggregate if feature is not None else None
    return aggregate if aggregate is not None and aggregate.function in _TALLIES else None


def _put(node: Node, old: Node, truth: bool) -> Node:
    """The same tree with one part, this very one, taken as true or false."""
    if node is old:
        return Node("const", Type(BOOL), value=truth)
    args = tuple(_put(arg, old, truth) for arg in node.args)
    if all(a is b for a, b in zip(args, node.args, strict=True)):
        return node
    return replace(node, args=args)
