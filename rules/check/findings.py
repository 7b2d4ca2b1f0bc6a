"""A finding: what is wrong where, under which code, and what to write instead; and how findings read as text."""

from collections.abc import Iterable
from dataclasses import dataclass

from config import marks
from rules.check import codes
from rules.definitions import Place
from rules.tree import Span

ERROR, WARN = "error", "warn"
LINE_CHARS_MAX = 1_000  # a longer source line is not shown: each finding would bring a copy of it


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say about a pack. `end` is the place behind the last character, `line` the source line."""

    code: str
    severity: str
    place: Place
    end: Place
    message: str
    hint: str = ""
    line: str = ""

    @property
    def is_error(self) -> bool:
        return self.severity == ERROR


def place(source: marks.Source, offset: int) -> Place:
    return Place(source.file, *source.position(offset))


def at_node(
    code: str, node: marks.Node, message: str, hint: str = "", *, severity: str = ""
) -> Finding:
    """Make a finding about a whole YAML node; of a collection its first line."""
    end = node.end
    first = node.source.position(node.start)[0]
    if node.source.position(end)[0] != first or getattr(node, "style", "") in ("|", ">"):
        end = node.start + 1
    return at_range(code, node.source, node.start, end, message, hint, severity=severity)


def at_span(
    code: str, node: marks.TextNode, span: Span, message: str, hint: str = "", *, severity: str = ""
) -> Finding:
    """Make a finding about a part of the text that a YAML scalar holds."""
    start = node.offset(span.start)
    end = start + 1
    if span.end > span.start:
        last = node.offset(span.end - 1)
        end = last + _width(node, last)
    return at_range(code, node.source, start, end, message, hint, severity=severity)


def _width(node: marks.TextNode, at: int) -> int:
    """How many characters of the file one character of a scalar takes there: an escape several."""
    text = node.source.text
    if node.style == '"' and text[at] == "\\":
        return {"x": 4, "u": 6, "U": 10}.get(text[at + 1 : at + 2], 2)
    return 2 if node.style == "'" and text.startswith("''", at) else 1


def at_range(
    code: str,
    source: marks.Source,
    start: int,
    end: int,
    message: str,
    hint: str = "",
    *,
    severity: str = "",
) -> Finding:
    here, there = place(source, start), place(source, max(end, start + 1))
    line = source.line(here.line)
    if len(line) > LINE_CHARS_MAX:
        line = ""
    return Finding(code, severity or codes.severity(code), here, there, message, hint, line)


FAULT_CODES = {
    "syntax": "WR001",
    "tab": "WR002",
    "duplicate": "WR003",
    "anchor": "WR004",
    "quote": "WR006",
    "empty": "WR007",
    "documents": "WR008",
}


def of_fault(fault: marks.Fault) -> Finding:
    """Turn a fault of the YAML reader into a finding."""
    return at_range(
        FAULT_CODES[fault.kind],
        fault.source,
        fault.start,
        fault.end,
        fault.what,
        fault.fix or fault.why,
    )


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Return each finding once, by file, place and code."""
    return sorted(
        dict.fromkeys(findings),
        key=lambda f: (f.place.file, f.place.line, f.place.column, f.code, f.message),
    )


def as_text(findings: Iterable[Finding]) -> str:
    """Print findings for people: place, severity, code, message, and the source line with carets."""
    known = list(findings)
    width = max((len(str(f.place)) for f in known), default=0)
    return "".join(_lines(f, width) for f in known)


def _lines(finding: Finding, width: int) -> str:
    head = f"{finding.place!s:<{width}} {finding.severity:<5} {finding.code}  {finding.message}\n"
    if not finding.line.strip():
        return head + (f"    {finding.hint}\n" if finding.hint else "")
    number = f"{finding.place.line:>3}"
    end = finding.end.column if finding.end.line == finding.place.line else len(finding.line) + 1
    n_carets = max(min(end, len(finding.line) + 1) - finding.place.column, 1)
    lead = "".join("\t" if c == "\t" else " " for c in finding.line[: finding.place.column - 1])
    carets = f"{' ' * len(number)} | {lead}{'^' * n_carets} {finding.hint}".rstrip()
    return f"{head}{number} | {finding.line}\n{carets}\n"
