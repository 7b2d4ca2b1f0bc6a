"""One HTML page that needs nothing else: headings, tables, figures, plots; light, dark and on paper.

Cells and texts are escaped unless they are `Markup`, which only this folder makes. No script, no font, no picture and
no address of anything else: the page can be filed, mailed and opened where there is no network.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, NamedTuple, TypeAlias

from replay.report import svg
from replay.report.style import STYLE

COLOURS: Final = ("c1", "c2", "c3", "c4", "c5", "review", "challenge", "hold", "decline")


class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


Part: TypeAlias = tuple[str, str, Markup]  # of a page: its anchor, its title, its body


class Column(NamedTuple):
    """A column of a table: its heading, and whether it holds numbers."""

    name: str
    is_number: bool = False


def text(value: object) -> Markup:
    """A value as HTML; nothing is a dash."""
    if isinstance(value, Markup):
        return value
    return Markup(escape("-" if value is None or value == "" else str(value)))


def table(
    columns: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    caption: str = "",
    empty: str = "Nothing.",
    total: bool = False,
    narrow: bool = False,
) -> Markup:
    """A table; the first cell of a row is its heading. Without rows the sentence `empty`.

    total  : the last row sums
    narrow : no wider than it must be
    """
    heads = [c if isinstance(c, Column) else Column(text(c) if c else "") for c in columns]
    body = list(rows)
    if not body:
        return note(empty)
    parts = ['<div class="scroll">', '<table class="narrow">' if narrow else "<table>"]
    if caption:
        parts.append(f"<caption>{text(caption)}</caption>")
    if any(c.name for c in heads):
        parts.append("<thead><tr>")
        parts += [
            f'<th scope="col"{_class(c)}>{text(c.name) if c.name else ""}</th>' for c in heads
        ]
        parts.append("</tr></thead>")
    parts.append("<tbody>")
    for number, row in enumerate(body, 1):
        parts.append('<tr class="total">' if total and number == len(body) else "<tr>")
        for place, (cell, column) in enumerate(zip(row, heads, strict=True)):
            tag = '<th scope="row"' if place == 0 else "<td"
            end = "</th>" if place == 0 else "</td>"
            parts.append(f"{tag}{_class(column)}>{text(cell)}{end}")
        parts.append("</tr>")
    parts.append("</tbody></table></div>")
    return Markup("".join(parts))


def _class(column: Column) -> str:
    return ' class="n"' if column.is_number else ""


def n(name: str) -> Column:
    """A column of numbers."""
    return Column(name, is_number=True)


def note(sentence: str) -> Markup:
    """A sentence where there is nothing to show."""
    return Markup(f'<p class="empty">{text(sentence)}</p>')


def paragraph(sentence: object, kind: str = "") -> Markup:
    return Markup(f'<p class="{kind}">{text(sentence)}</p>' if kind else f"<p>{text(sentence)}</p>")


def figure(title: str, plot: str, beside: str = "") -> Markup:
    """A plot under its title, and what stands beside it."""
    return Markup(f"<figure><figcaption>{text(title)}</figcaption>{plot}{beside}</figure>")


def folded(title: str, body: str) -> Markup:
    """A part that is shown when somebody asks."""
    return Markup(f"<details><summary>{text(title)}</summary>{body}</details>")


def pair(*parts: str) -> Markup:
    """Parts beside each other where there is room."""
    return Markup('<div class="pair">' + "".join(f"<div>{p}</div>" for p in parts) + "</div>")


def cards(entries: Iterable[tuple[str, str, str]]) -> Markup:
    """The figures that matter most: name, value, what it is compared with."""
    body = "".join(
        f'<div class="card"><span>{text(name)}</span><b>{text(value)}</b>'
        f"<span>{text(more) if more else ''}</span></div>"
        for name, value, more in entries
    )
    return Markup(f'<div class="cards">{body}</div>')


def section(id_: str, title: str, *parts: str) -> Part:
    """A part of the page: its anchor, its title, and its body."""
    body = "".join(part for part in parts if part)
    return id_, title, Markup(f'<section id="{id_}"><h2>{text(title)}</h2>{body}</section>')


def in_bar(part: float | None, colour: str = "c1") -> Markup:
    """A share as a small bar; nothing where it is unknown."""
    return Markup("" if part is None else svg.inline_bar(part, colour)) or Markup("&nbsp;")


def page(
    title: str,
    head: str,
    sections: Sequence[Part],
    foot: str,
) -> str:
    """The whole page. `head` and `foot` are HTML."""
    colours = "".join(
        f"rect.{c}, circle.{c} {{ fill: var(--{c}) }} path.{c} {{ stroke: var(--{c}) }}"
        for c in COLOURS
    )
    links = "".join(f'<a href="#{id_}">{text(name)}</a>' for id_, name, _ in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}{colours}</style>\n</head>\n<body>\n<main>\n"
        f"<header>{head}<nav>{links}</nav></header>\n"
        + "\n".join(body for _, _, body in sections)
        + f"\n<footer>{foot}</footer>\n</main>\n</body>\n</html>\n"
    )
