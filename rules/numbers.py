"""The numbers in a rule's logic, each with its place, and what the same rule reads with one of them moved by a fifth.

Numbers are amounts, durations, shares and counts: values of params, literals of `when`, of lets and of the rule's own
features, windows included. Not here: dates and times of day, which are no quantities, and what stands in scores,
actions and exceptions alone, which decides nothing about when a rule fires.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from config import marks
from config.durations import duration_text
from config.money import exponent
from rules import edits
from rules.definitions import Place
from rules.syntax import Token, duration_us, tokens
from rules.tree import Span

FIFTH: Final = Decimal("0.2")
KINDS: Final = frozenset({"num", "int", "money", "percent", "duration"})


@dataclass(frozen=True, slots=True)
class Number:
    """One number of one rule. `path` leads from the rule to the text it stands in, `span` is its place in that text."""

    called: str  # param large, when, let km, feature n_5m
    text: str  # as written
    place: Place
    path: tuple[str, ...]
    span: Span
    kind: str
    digits: str
    unit: str = ""

    def moved(self, *, up: bool, share: Decimal = FIFTH) -> str | None:
        """The number a fifth (or `share`) larger or smaller, as a person would write it; None if it stays the same.

        Counts move by at least 1 and never below 0, amounts by at least their smallest unit.
        """
        if self.kind == "duration":
            us = duration_us(self.digits)
            assert us is not None, self
            step = int(us * share)
            return duration_text(us + step if up else us - step) if step else None
        value = Decimal(self.digits)
        if self.kind == "int":
            step_of = max(Decimal(1), _rounded(value * share, 0))
        elif self.kind == "money":
            digits = exponent(self.unit)
            step_of = max(Decimal(1).scaleb(-digits), _rounded(value * share, digits))
        else:
            step_of = value * share
        if not step_of or (value == 0 and self.kind != "int"):
            return None
        other = value + step_of if up else value - step_of
        if other < 0:
            return None
        text = f"{other.normalize():,f}".replace(",", "_")
        return text + {"money": f" {self.unit}", "percent": "%"}.get(self.kind, "")


def numbers_of(rule: marks.MapNode) -> list[Number]:
    """Every number of a rule that has been read without an error, in the order of the file."""
    texts = dict(_texts(rule))
    used = {t.text for text in texts.values() for t in tokens(text.value) if t.kind == "param"}
    exceptions = rule.get("exceptions")
    for item in exceptions if isinstance(exceptions, marks.ListNode) else ():
        when = item.get("when") if isinstance(item, marks.MapNode) else None
        if isinstance(when, marks.TextNode):
            used |= {t.text for t in tokens(when.value) if t.kind == "param"}
    found = []
    for path, node in texts.items():
        called = f"{path[0].removesuffix('s')} {path[1]}" if len(path) > 1 else path[0]
        if path[0] == "params" and (path[1] not in used or not _is_quantity(node)):
            continue
        found += [_number(called, path, node, t) for t in tokens(node.value) if t.kind in KINDS]
    return sorted(found, key=lambda n: (n.place.line, n.place.column))


def changed(rule: marks.MapNode, number: Number, text: str) -> marks.MapNode:
    """The rule with `text` in place of one of its numbers."""
    return edits.replaced(rule, number.path, number.span, text)


def _texts(rule: marks.MapNode) -> Iterator[tuple[tuple[str, ...], marks.TextNode]]:
    """Where numbers may stand: path and text."""
    for part in ("when", "narrow"):  # `narrow` is there where a pack on top has narrowed the rule
        text = rule.get(part)
        if isinstance(text, marks.TextNode):
            yield (part,), text
    for section, inside in (("params", "value"), ("let", ""), ("features", "is")):
        node = rule.get(section)
        for key, value in node.items() if isinstance(node, marks.MapNode) else ():
            if isinstance(value, marks.MapNode):
                long = value.get(inside)
                if isinstance(long, marks.TextNode):
                    yield (section, key.value, inside), long
            elif isinstance(value, marks.TextNode):
                yield (section, key.value), value


def _is_quantity(node: marks.TextNode) -> bool:
    """Whether a param is a number, with or without a minus; in quotes it is a text."""
    kinds = [t.kind for t in tokens(node.value) if t.kind != "end" and t.text != "-"]
    return not node.is_quoted and len(kinds) == 1 and kinds[0] in KINDS


def _number(called: str, path: tuple[str, ...], node: marks.TextNode, token: Token) -> Number:
    line, column = node.source.position(node.offset(token.span.start))
    written = node.value[token.span.start : token.span.end]
    return Number(
        called,
        " ".join(written.split()),
        Place(node.source.file, line, column),
        path,
        token.span,
        token.kind,
        token.text,
        token.unit,
    )


def _rounded(value: Decimal, digits: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)
