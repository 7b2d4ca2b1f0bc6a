"""Packs made of texts and what the checks find in them, against the shipped schema and one day."""

from datetime import UTC, datetime
from pathlib import Path

from config import schema as config_schema
from rules import pack
from rules.check.findings import Finding
from rules.check.lint import lint
from tests.ruling import of_another_bank

SHIPPED = config_schema.read(
    Path(__file__).parents[1] / "config" / "bank" / "schema.yaml", "schema.yaml"
)
ANOTHER = of_another_bank(SHIPPED)
AS_OF_US = int(datetime(2026, 3, 9, tzinfo=UTC).timestamp() * 1e6)
NO_LOCK = "WR334"  # said of every pack that nobody has locked


def write(folder: Path, files: dict[str, str]) -> list[Path]:
    """Write files of packs, the first part of a path is the pack; return the folders, the first one first."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return list(dict.fromkeys(folder / name.split("/")[0] for name in files))


def found(folders: list[Path], *, schema=ANOTHER, as_of_us=AS_OF_US, **more):
    """Everything but the note that there is no lock."""
    loaded = pack.load(folders, schema)
    return [f for f in lint(loaded, schema, as_of_us, **more) if f.code != NO_LOCK]


def said(findings: list[Finding]) -> list[tuple[str, int, int]]:
    """Code, line and column of each."""
    return [(f.code, f.place.line, f.place.column) for f in findings]


def underlined(finding: Finding) -> str:
    """The text over the carets; of a finding over several lines its first line."""
    end = finding.end.column if finding.end.line == finding.place.line else len(finding.line) + 1
    return finding.line[finding.place.column - 1 : end - 1]
