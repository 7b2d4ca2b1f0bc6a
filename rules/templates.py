"""Texts with holes: `{expr}` and `{expr|format}` of alert titles and notes to typed templates.

`{{` and `}}` are braces. Columns of lists (`{@list.column}`) are not in this version.
"""

from collections.abc import Callable
from typing import Final

from rules.check.suggest import did_you_mean
from rules.definitions import Template
from rules.syntax import Problem, Tree, parse
from rules.tree import CODED, DURATION, GEO, MONEY, NUMBER, Node, Span, Type
from rules.types import UNKNOWN, Checker, Report, Scope

FORMATS: Final = ("round", "percent", "last4")
_FITS: Final = {
    "round": frozenset({NUMBER, GEO, MONEY, DURATION}),
    "percent": frozenset({NUMBER}),
    "last4": CODED,
}


def read(
    text: str, scope: Scope, report: Report, problems: Callable[[list[Problem], Checker], None]
) -> Template:
    """Read a template; what is wrong with it is reported at its place in `text`."""
    parts: list[str | tuple[Node, str]] = [""]
    at = 0
    while at < len(text):
        two = text[at : at + 2]
        if two in ("{{", "}}"):
            parts[-1] = f"{parts[-1]}{two[0]}"
            at += 2
        elif text[at] == "{":
            end = _closing(text, at)
            if end < 0:
                report(
                    "WR126", Span(at, at + 1), 'this "{" is never closed', "write {{ for a brace"
                )
                break
            parts += [_hole(text, at + 1, end, scope, report, problems), ""]
            at = end + 1
        elif text[at] == "}":
            report("WR126", Span(at, at + 1), '"}" closes nothing', "write }} for a brace")
            at += 1
        else:
            parts[-1] = f"{parts[-1]}{text[at]}"
            at += 1
    return Template(tuple(parts), text)


def _closing(text: str, start: int) -> int:
    """Find the brace that closes a hole, braces inside quoted texts left out."""
    quote = ""
    for i in range(start + 1, len(text)):
        if quote:
            quote = "" if text[i] == quote else quote
        elif text[i] in "\"'":
            quote = text[i]
        elif text[i] == "}":
            return i
        elif text[i] == "{":
            return -1
    return -1


def _hole(
    text: str,
    start: int,
    end: int,
    scope: Scope,
    report: Report,
    problems: Callable[[list[Problem], Checker], None],
) -> tuple[Node, str]:
    inner = text[start:end]
    body, bar, form = inner.rpartition("|") if "|" in _outside_quotes(inner) else (inner, "", "")
    form = form.strip()
    unknown = Node("const", Type(UNKNOWN), span=Span(start, end))
    if not body.strip():
        report("WR126", Span(start - 1, end + 1), "a hole needs an expression", "write {amount}")
        return unknown, ""
    if body.lstrip().startswith("@"):
        report("WR119", Span(start, end), "columns of lists are not in this version")
        return unknown, ""
    # The text in front becomes blanks, so that every span of the hole is one of the template.
    padded = " " * start + body
    tree, found = parse(padded)
    checker = Checker(padded, scope, report)
    problems(found, checker)
    if found and tree.op == "error":
        return unknown, ""
    node = checker.check(tree)
    if bar:
        form = _format(form, Span(end - len(inner.rpartition("|")[2]), end), tree, node, checker)
    return node, form


def _format(form: str, span: Span, tree: Tree, node: Node, checker: Checker) -> str:
    if form not in FORMATS:
        what = f'"{form}" is not a format; there are {", ".join(FORMATS)}'
        checker.report("WR126", span, what, did_you_mean(form, FORMATS))
        return ""
    if node.type.kind not in _FITS[form] and node.type.kind != UNKNOWN:
        checker.report("WR126", span, f"{checker.says(tree, node)}, which has no format {form}")
        return ""
    return form


def _outside_quotes(text: str) -> str:
    out, quote = "", ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        else:
            out += c
    return out.replace("||", "")
