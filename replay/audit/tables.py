"""What an audit verb answers: a few sections of rows, for people as aligned text, for machines as JSON."""

import csv
import io
import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Cell: TypeAlias = str | int | float | bool | None


@dataclass(slots=True)
class Section:
    """Rows of one kind; `key` names them in JSON. `left_out` rows exist and are not shown."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    left_out: int = 0

    def as_text(self) -> str:
        """Heading, then one aligned line a row; numbers stand right."""
        n = len(self.rows) + self.left_out
        head = f"{self.title}: {n:,}" if n else f"{self.title}: none"
        if not self.rows:
            return head
        table = [self.columns, *(tuple(map(cell_text, row)) for row in self.rows)]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
        right = [
            all(isinstance(row[i], int | float) or row[i] is None for row in self.rows)
            for i in range(len(self.columns))
        ]
        lines = [head]
        for row in table:
            cells = [
                text.rjust(w) if r else text.ljust(w)
                for text, w, r in zip(row, widths, right, strict=True)
            ]
            lines.append("  " + "  ".join(cells).rstrip())
        if self.left_out:
            lines.append(f"  ... and {self.left_out:,} more: --records all shows them")
        return "\n".join(lines)


@dataclass(slots=True)
class Report:
    """A headline, facts, sections, then remarks. `is_fine` False: the check found something (exit code 1)."""

    sections: list[Section] = field(default_factory=list)
    facts: dict[str, Cell] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    is_fine: bool = True
    headline: str = ""

    def as_text(self) -> str:
        width = max(map(len, self.facts), default=0)
        facts = "\n".join(
            f"{name:{width}s}  {fact_text(value)}" for name, value in self.facts.items()
        )
        parts = [
            self.headline,
            facts,
            *(s.as_text() for s in self.sections),
            "\n".join(self.remarks),
        ]
        return "\n\n".join(part for part in parts if part)

    def as_dict(self) -> dict[str, Any]:
        """Facts, sections as lists of objects under their keys, remarks."""
        document: dict[str, Any] = {"fine": self.is_fine, "facts": self.facts}
        if self.headline:
            document = {"headline": self.headline, **document}
        for section in self.sections:
            names = [column.replace(" ", "_") for column in section.columns]
            document[section.key] = [dict(zip(names, row, strict=True)) for row in section.rows]
        left_out = {section.key: section.left_out for section in self.sections if section.left_out}
        return document | {"left_out": left_out, "remarks": self.remarks}

    def write(self, form: str) -> str:
        """The report as `form` (text, json or csv) wants it."""
        if form == "json":
            return json.dumps(self.as_dict(), ensure_ascii=False)
        return self.as_csv() if form == "csv" else self.as_text()

    def as_csv(self) -> str:
        """The first section with its heading; no cell that a spreadsheet takes for a formula."""
        if not self.sections:
            return ""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.sections[0].columns)
        for row in self.sections[0].rows:
            writer.writerow([cell if isinstance(cell, int) else harmless(cell) for cell in row])
        return text.getvalue().rstrip("\n")


def harmless(cell: object) -> str:
    """A cell that no spreadsheet takes for a formula.

    >>> harmless("=1+1"), harmless(None), harmless("A 1")
    ("'=1+1", '', 'A 1')
    """
    text = "" if cell is None else str(cell)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def cell_text(cell: Cell) -> str:
    """A cell for people; numbers as they are, for most of them are seqs."""
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return str(cell)


def fact_text(cell: Cell) -> str:
    """A fact for people: counts with thousands set apart."""
    is_count = isinstance(cell, int) and not isinstance(cell, bool)
    return f"{cell:,}" if is_count else cell_text(cell)
