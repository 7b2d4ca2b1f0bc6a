"""Texts with holes: `{expr}` and `{expr|format}` of alert titles and notes to typed templates.

`{{` and `}}` are braces. `{@list.column}` shows what stands in a column of the row of a list that holds at the event's
time: for the field that the rule's own condition compares by `in @list`, or for another, `{@list.column of field}`.
"""

import re
from collections.abc import Callable
from typing import Final

from rules.check.suggest import did_you_mean
from rules.definitions import ListDefinition, Template
from rules.lists import ADDED_COLUMNS
from rules.render import text_of
from rules.syntax import CHARS_MAX, Problem, Tree, parse
from rules.tree import CODED, DURATION, GEO, MONEY, NUMBER, TEXT, Node, Span, Type
from rules.types import UNKNOWN, Checker, Report, Scope

FORMATS: Final = ("round", "percent", "last4")
_ROW: Final = re.compile(
    r"\s*@(?P<list>[A-Za-z0-9_]+)\.(?P<column>[^\s{}|]+)(?:\s+of\s+(?P<of>\S.*?))?\s*", re.DOTALL
)
_DOUBLED: Final = re.compile(r"\{\{\s*([a-z_][a-z0-9_.]*)\s*\}\}")
_FITS: Final = {
    "round": frozenset({NUMBER, GEO, MONEY, DURATION}),
    "percent": frozenset({NUMBER}),
    "last4": CODED,
}


def read(
    text: str, scope: Scope, report: Report, problems: Callable[[list[Problem], Checker], None]
) -> Template:
    """Read a template; what is wrong with it is reported at its place in `text`."""
    if len(text) > CHARS_MAX:
        what = f"a template has at most {CHARS_MAX:,} characters, this one has {len(text):,}"
        report("WR117", Span(0, 1), what, "shorten it")
        text = ""
    parts: list[str | tuple[Node, str]] = [""]
    at = 0
    while at < len(text):
        two = text[at : at + 2]
        if doubled := _DOUBLED.match(text, at):
            what = "two braces show a brace, not the value"
            hint = f"write {{{doubled[1]}}}"
            report("WR126", Span(at, doubled.end()), what, hint, severity="warn")
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
            node, form = _hole(text, at + 1, end, scope, report, problems)
            parts += [(node, form), ""]
            if text[end + 1 : end + 2] == "%" and (form == "percent" or node.op == "/"):
                inner = text[at + 1 : end].partition("|")[0].strip()
                what = "a share is shown as 0.53, with the format percent as 53%"
                hint = f"write {{{inner}|percent}} without the sign"
                report("WR126", Span(at, end + 2), what, hint, severity="warn")
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
        return _row(text, Span(start, end), body, form, scope, report, problems)
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


def _row(
    text: str,
    span: Span,
    body: str,
    form: str,
    scope: Scope,
    report: Report,
    problems: Callable[[list[Problem], Checker], None],
) -> tuple[Node, str]:
    """Read `@list.column` or `@list.column of field`."""
    unknown = Node("const", Type(UNKNOWN), span=span)
    checker = Checker(text, scope, report)
    match = _ROW.fullmatch(body)
    if match is None:
        what = f'"{body.strip()}" names no column of a list'
        report("WR341", span, what, "write for instance {@police_accounts.reference}")
        return unknown, ""
    name, column = match["list"], match["column"]
    found = checker.known_list(name, _part(span, match, "list"))
    if found is None:
        return unknown, ""
    known = dict.fromkeys((*found.columns, *ADDED_COLUMNS))
    if column not in known:
        hint = did_you_mean(column, known, "") or f"known: {', '.join(known)}"
        report("WR341", _part(span, match, "column"), f'@{name} has no column "{column}"', hint)
        return unknown, ""
    if column not in found.columns and found.values:
        what = f"the rows of @{name} have no {column}: only those that are added at runtime show it"
        hint = f"give {found.origin or 'the list'} a column {column}"
        if found.columns:
            hint += f", or show {' or '.join(found.columns)}"
        report("WR341", _part(span, match, "column"), what, hint, severity="warn")
    if match["of"] is not None:
        at = span.start + match.start("of")
        padded = " " * at + match["of"]
        tree, wrong = parse(padded)
        inner = Checker(padded, scope, report)
        problems(wrong, inner)
        node = inner.check(tree)
        if node.type.kind == UNKNOWN or not inner.fits_list(tree, tree, node, found):
            return unknown, ""
    else:
        looked_up = scope.compared.get(name, ())
        if len(looked_up) != 1:
            what = f"the condition of the rule compares nothing with @{name}"
            if looked_up:
                what = f"the condition compares {_several(looked_up)} with @{name}"
            of = text_of(looked_up[0]) if looked_up else _example(found, scope)
            report("WR342", span, what, f"say which: {{@{name}.{column} of {of}}}")
            return unknown, ""
        node = looked_up[0]
    shown = Node("row", Type(TEXT), (node,), f"{name}.{column}", span)
    if form and form not in FORMATS:
        what = f'"{form}" is not a format; there are {", ".join(FORMATS)}'
        report("WR126", span, what, did_you_mean(form, FORMATS))
    elif form and form != "last4":
        report("WR126", span, f"@{name}.{column} is text, which has no format {form}")
    return shown, form if form == "last4" else ""


def _part(span: Span, match: re.Match[str], group: str) -> Span:
    return Span(span.start + match.start(group), span.start + match.end(group))


def _several(nodes: tuple[Node, ...]) -> str:
    texts = list(map(text_of, nodes))
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def _example(found: ListDefinition, scope: Scope) -> str:
    """A field that could be in the list."""
    columns = scope.schema.columns.values()
    fits = (c.name for c in columns if (c.kind, c.domain) == (found.type.kind, found.type.detail))
    return next(fits, "counterparty")


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
