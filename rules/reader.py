"""Typed access to the nodes of a rule file that reports what is wrong and goes on.

A `Reader` wraps one mapping. Each call asks for one key; which keys there are, which must be there and which words may
stand under them says rules/language.py. `done` reports keys that mean nothing. Values that are wrong are reported once
and come back as a harmless default, so that one run finds every error of a pack.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from config import marks
from rules import language
from rules.check.findings import Finding, at_node, at_span
from rules.check.suggest import did_you_mean
from rules.definitions import Place
from rules.syntax import Problem, duration_us
from rules.tree import Span
from rules.types import date_us

NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
UNKNOWN_MAX: Final = 100  # keys of one mapping that are reported
ID: Final = re.compile(r"[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*")


@dataclass(slots=True)
class Findings:
    """Collects what is found; `failed` says whether an error is among it since a mark."""

    all: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        self.all.append(finding)

    def at(
        self, code: str, node: marks.Node, message: str, hint: str = "", *, severity: str = ""
    ) -> None:
        self.add(at_node(code, node, message, hint, severity=severity))

    @property
    def n_errors(self) -> int:
        return sum(f.is_error for f in self.all)


def place(node: marks.Node) -> Place:
    return Place(node.source.file, *node.position())


class Text:
    """A scalar with an expression inside: findings about spans of it land at their place in the file."""

    def __init__(self, node: marks.TextNode, findings: Findings) -> None:
        self.node, self.findings = node, findings
        self.n_errors = 0

    def __call__(
        self, code: str, span: Span, what: str, hint: str = "", *, severity: str = ""
    ) -> None:
        finding = at_span(code, self.node, span, what, hint, severity=severity)
        self.n_errors += finding.is_error
        self.findings.add(finding)

    def problems(
        self, problems: Sequence[Problem], money_literals: Collection[int], currency: str
    ) -> None:
        """Report what the parser found, with the currency where a bare number was meant as money."""
        if problems and self.comment_swallowed(problems):
            return
        for p in problems:
            hint = p.hint
            if p.code == "WR110" and p.span.start in money_literals:
                hint += f" ({currency}, the pack currency, is assumed)"
            self(p.code, p.span, p.what, hint)

    def comment_swallowed(self, problems: Sequence[Problem]) -> bool:
        """Recognise `when: mcc == "12 #3"`: to YAML the rest from ` #` on is a comment."""
        source, end = self.node.source, self.node.end
        rest = re.compile(r"[ \t]+#[^\r\n]*").match(source.text, end)
        if self.node.style or rest is None:
            return False
        if not any(
            p.code in ("WR115", "WR118") and p.span.end >= len(self.node.value) - 1
            for p in problems
        ):
            return False
        what = "to YAML a blank and # begin a comment, which swallowed the rest of this expression"
        self(
            "WR005", Span(0, len(self.node.value)), what, "put the expression into a block after |"
        )
        return True


# What people write for words of the language that look nothing like them.
_MEANT: Final = {
    **dict.fromkeys([("mode", "on"), ("mode", "yes"), ("mode", "active")], "live"),
    **dict.fromkeys([("mode", "test"), ("mode", "silent")], "shadow"),
    **dict.fromkeys([("expect", "yes"), ("expect", "true")], "fires"),
    **dict.fromkeys([("expect", "no"), ("expect", "false")], "quiet"),
}


class Reader:
    """One mapping of a file, read as `shape` says.

    `called` names it in messages: "rule", "freeze", "list vip_travellers". `wanted` of the methods says whether the
    absence of a key is reported; unless it is given, the table decides.
    """

    def __init__(
        self, node: marks.Node, findings: Findings, called: str, shape: language.Shape
    ) -> None:
        self.node, self.findings, self.called, self.shape = node, findings, called, shape
        self.map: marks.MapNode | None = node if isinstance(node, marks.MapNode) else None
        self.asked: set[str] = set()
        self._missed: set[str] = set()
        if self.map is None:
            what = f"{called} is a mapping of keys to values, this is none"
            findings.at("WR027", node, what, f"its keys: {', '.join(language.order(shape))}")

    def get(self, key: str, *, wanted: bool | None = None) -> marks.Node | None:
        """Return the node under `key`, None when it is not there, which is reported once where the key is wanted."""
        known = self.shape.key(key)
        self.asked.add(key)
        node = self.map.get(key) if self.map is not None else None
        wanted = known.is_wanted if wanted is None else wanted
        if node is None and wanted and self.map is not None and key not in self._missed:
            self._missed.add(key)
            self.findings.at("WR022", self.map, f'{self.called} needs "{key}:"')
        return node

    def key(self, key: str) -> marks.Node:
        """Return the node of the key itself, for findings about it."""
        return self.map.keys[key] if self.map is not None and key in self.map.keys else self.node

    def scalar(self, key: str, *, wanted: bool | None = None) -> marks.TextNode | None:
        node = self.get(key, wanted=wanted)
        if node is None or isinstance(node, marks.TextNode):
            if node is not None and not node.value.strip():
                self.findings.at("WR022", self.key(key), f'"{key}:" is empty')
                return None
            return node
        hint = ""
        if isinstance(node, marks.ListNode):
            hint = f'write "{key}: |", then one condition a line, each but the first with and before it'
            if key != "when":
                hint = "write one text, without the dash"
        self.findings.at("WR027", node, f'"{key}" is a text, not a {_shape(node)}', hint)
        return None

    def text(self, key: str, default: str = "", *, wanted: bool | None = None) -> str:
        node = self.scalar(key, wanted=wanted)
        return " ".join(node.value.split()) if node is not None else default

    def word(self, key: str, default: str = "", *, wanted: bool | None = None) -> str:
        """Return one of the words of the table; another one is reported with the nearest."""
        choices = self._of_kind(key, "word").words
        node = self.scalar(key, wanted=wanted)
        if node is None:
            return default
        if node.value in choices:
            return node.value
        what = f'{key} "{node.value}" is not one of {", ".join(choices)}'
        meant = _MEANT.get((key, node.value.lower()), node.value)
        self.findings.at("WR021", node, what, did_you_mean(meant, choices))
        return default

    def _of_kind(self, key: str, kind: str) -> language.Key:
        """The entry of the table; asking for a value of another kind than it says is a mistake of ours."""
        known = self.shape.key(key)
        assert known.kind == kind, f"{self.shape.name}.{key} is {known.kind}, not {kind}"
        return known

    def duration(self, key: str, default: int = 0, *, wanted: bool | None = None) -> int:
        self._of_kind(key, "duration")
        node = self.scalar(key, wanted=wanted)
        if node is None:
            return default
        us = duration_us(node.value)
        if us is None:
            hint = "write for instance 30m, 24h, 90d or 1h30m"
            self.findings.at("WR025", node, f'{key} "{node.value}" is not a duration', hint)
            return default
        return us

    def whole(
        self,
        key: str,
        default: int,
        *,
        low: int = 0,
        high: int = 10**9,
        wanted: bool | None = None,
    ) -> int:
        self._of_kind(key, "whole number")
        node = self.scalar(key, wanted=wanted)
        if node is None:
            return default
        digits = node.value.replace("_", "")
        if re.fullmatch(r"[0-9]{1,12}", digits) and low <= int(digits) <= high:
            return int(digits)
        bounds = f"from {low} to {high:_}" if high < 10**9 else f"of at least {low}"
        self.findings.at("WR026", node, f'{key} is a whole number {bounds}, was "{node.value}"')
        return default

    def number(self, key: str, default: float, *, wanted: bool | None = None) -> float:
        self._of_kind(key, "number")
        node = self.scalar(key, wanted=wanted)
        if node is None:
            return default
        try:
            value = Decimal(node.value.replace("_", ""))
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite():
            self.findings.at("WR026", node, f'{key} is a number, was "{node.value}"')
            return default
        return float(value)

    def texts(self, key: str, *, wanted: bool | None = None) -> list[marks.TextNode]:
        """Return one text or a list of texts as a list."""
        node = self.get(key, wanted=wanted)
        if isinstance(node, marks.TextNode):
            return [node] if self.scalar(key) is not None else []
        return self.scalars(node, key)

    def scalars(self, node: marks.Node | None, key: str) -> list[marks.TextNode]:
        if node is None:
            return []
        if not isinstance(node, marks.ListNode):
            self.findings.at("WR027", node, f'"{key}" is a text or a list of texts')
            return []
        out = []
        for item in node:
            if isinstance(item, marks.TextNode):
                out.append(item)
            else:
                self.findings.at("WR027", item, f'"{key}" holds texts, this is a {_shape(item)}')
        return out

    def items(self, key: str, *, wanted: bool | None = None) -> list[marks.Node]:
        """Return the items of a list."""
        node = self.get(key, wanted=wanted)
        if node is None:
            return []
        if isinstance(node, marks.ListNode):
            return node.items
        hint = ""
        if isinstance(node, marks.MapNode) and (first := next(iter(node.keys.values()), None)):
            hint = f'write "- {first.value}: ...", and what belongs to it two blanks further in'
        self.findings.at("WR027", node, f'"{key}" is a list: each item begins with "- "', hint)
        return []

    def entries(self, key: str, *, names: bool = True) -> list[tuple[marks.TextNode, marks.Node]]:
        """Return the entries of a mapping of names."""
        node = self.get(key)
        if node is None or (isinstance(node, marks.TextNode) and not node.value):
            return []
        if not isinstance(node, marks.MapNode):
            self.findings.at("WR027", node, f'"{key}" is a mapping of names')
            return []
        found = []
        for name, value in node.items():
            if names and not NAME.fullmatch(name.value):
                what = f'"{name.value}" is not a name'
                hint = "names are small letters, digits and underscores, and begin with a letter"
                self.findings.at("WR023", name, what, hint)
            else:
                found.append((name, value))
        return found

    def instant(self, key: str, zone: ZoneInfo, *, wanted: bool | None = None) -> int | None:
        """Return a date (its midnight in `zone`) or a time with offset, in microseconds since 1970."""
        self._of_kind(key, "date or time")
        node = self.scalar(key, wanted=wanted)
        if node is None:
            return None
        us = instant_us(node.value, zone)
        if us is None:
            hint = "write 2026-03-02 or 2026-03-02T10:00:00Z"
            self.findings.at(
                "WR024", node, f'{key} "{node.value}" is not a date or time with offset', hint
            )
        return us

    def not_yet(self, *keys: str) -> None:
        """Declare keys that the language knows and this version does not."""
        for key in keys:
            self.asked.add(key)
            if self.map is not None and key in self.map.keys:
                self.findings.at("WR028", self.map.keys[key], f'"{key}" is not in this version')

    def done(self) -> None:
        """Report every key that the table does not know, or that means nothing beside the others."""
        if self.map is None:
            return
        known = language.order(self.shape)
        n_unknown = 0
        for name in self.map.keys.values():
            key = name.value
            if key not in self.shape:
                n_unknown += 1
                if n_unknown > UNKNOWN_MAX:  # the rest is of the same kind
                    break
                hint = did_you_mean(key, known, "") or "known: " + ", ".join(known)
                hint = cut_by_comma(self.map, key) or hint
                self.findings.at("WR020", name, f'{self.called} has no key "{key}"', hint)
            elif self.shape.key(key).since > language.VERSION:
                self.findings.at("WR028", name, f'"{key}" is not in this version')
            elif key not in self.asked:
                what = f'"{key}" means nothing here beside the other keys of {self.called}'
                self.findings.at("WR020", name, what, "leave it out")


def cut_by_comma(node: marks.MapNode, key: str) -> str:
    """Say what to write where `key` is the rest of a value with a comma, as in `{why: six, because}`; else ""."""
    names = list(node)
    i = names.index(key)
    rest, before = node[key], node.get(names[i - 1]) if i else None
    if not isinstance(rest, marks.TextNode) or rest.value or not isinstance(before, marks.TextNode):
        return ""
    if "," not in node.source.text[before.end : node.keys[key].start]:
        return ""
    if re.fullmatch("[0-9]{1,3}", before.value) and re.match(r"[0-9]{3}\b", key):
        return f"a comma ends a value inside {{...}}: write {names[i - 1]}: {before.value}_{key}"
    told = f'{names[i - 1]}: "{before.value}, {key}"'
    return f"a comma ends a value inside {{...}}: write {told}"


def _shape(node: marks.Node) -> str:
    return "list" if isinstance(node, marks.ListNode) else "mapping"


def instant_us(text: str, zone: ZoneInfo) -> int | None:
    """Read `2026-03-02` (midnight in `zone`) or an RFC 3339 time with offset; None for anything else."""
    day = date_us(text, zone)
    if day is not None:
        return day
    if not re.fullmatch(
        r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})", text
    ):
        return None
    try:
        since = datetime.fromisoformat(text).astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):  # no such day, or its UTC lies beyond the years 1 to 9999
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
