"""How a table of figures stands on a page: its columns, and the Markdown it becomes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the key in the result, what stands above it, and how a number is written."""

    key: str
    heading: str
    form: str = "{}"

    def cell(self, row):
        value = row[self.key]
        return "" if value is None else self.form.format(value)


@dataclass(frozen=True, slots=True)
class Section:
    """How the result of a bench stands on the page: `tables` has columns by the name of the list of rows."""

    title: str
    about: str
    tables: dict[str, tuple[Column, ...]]


HASH = Column("sha256", "result", "`{:.8}`")


def markdown(headings, rows):
    """A table; columns that hold numbers stand to the right."""
    right = [
        any(column) and all(cell[:1].isdigit() for cell in column if cell)
        for column in zip(*rows, strict=True)
    ]
    lines = [headings, ["--:" if r else "---" for r in right], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def few(value):
    """Three significant digits; more would not come again."""
    return f"{float(f'{value:.3g}'):,.10g}"
