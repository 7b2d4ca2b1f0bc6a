"""Findings for machines: JSON, annotations of GitHub, and SARIF 2.1.0.

Lines and columns count from 1 and the end is behind the last character, as people and all three formats have them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rules.check import codes
from rules.check.findings import Finding

FORMATS: Final = ("text", "json", "github", "sarif")
SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_COMMANDS: Final = {"error": "error", "warn": "warning", "info": "notice"}
_LEVELS: Final = {"error": "error", "warn": "warning", "info": "note"}


def as_json(findings: Sequence[Finding], summary: Mapping[str, object]) -> str:
    """One object: `findings`, and the `summary` with its counts."""
    found = [
        {
            "code": f.code,
            "severity": f.severity,
            "file": f.place.file,
            "line": f.place.line,
            "column": f.place.column,
            "end_line": f.end.line,
            "end_column": f.end.column,
            "message": f.message,
            "hint": f.hint,
        }
        for f in findings
    ]
    return json.dumps({"findings": found, "summary": dict(summary)}, ensure_ascii=False, indent=2)


def as_github(findings: Sequence[Finding]) -> str:
    """One workflow command a line, which GitHub shows beside the line of the file."""
    return "".join(_annotation(f) for f in findings)


def _annotation(f: Finding) -> str:
    properties = {
        "file": f.place.file,
        "line": f.place.line,
        "col": f.place.column,
        "endLine": f.end.line,
        "title": f"{f.code} {codes.PAGES[f.code].title}",
    }
    if f.end.line == f.place.line:  # GitHub refuses columns over several lines
        properties["endColumn"] = f.end.column
    listed = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    message = f"{f.message}: {f.hint}" if f.hint else f.message
    return f"::{_COMMANDS[f.severity]} {listed}::{_data(message)}\n"


def _data(text: str) -> str:
    """Escape what would end a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_sarif(findings: Sequence[Finding], version: str) -> str:
    """A SARIF log of one run; each code that was found is described as a rule of the tool."""
    found = sorted({f.code for f in findings})
    number = {code: i for i, code in enumerate(found)}
    driver: dict[str, Any] = {
        "name": "weir rules check",
        "version": version,
        "rules": [_described(code) for code in found],
    }
    results = [_result(f, number[f.code]) for f in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    log = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, ensure_ascii=False, indent=2)


def _described(code: str) -> dict[str, Any]:
    page = codes.PAGES[code]
    return {
        "id": code,
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": page.text or page.title},
        "help": {"text": f"weir rules check --explain {code}"},
        "defaultConfiguration": {"level": _LEVELS[page.severity]},
    }


def _result(f: Finding, number: int) -> dict[str, Any]:
    region = {
        "startLine": f.place.line,
        "startColumn": f.place.column,
        "endLine": f.end.line,
        "endColumn": f.end.column,
    }
    place = {"artifactLocation": {"uri": _uri(f.place.file)}, "region": region}
    return {
        "ruleId": f.code,
        "ruleIndex": number,
        "level": _LEVELS[f.severity],
        "message": {"text": f"{f.message}: {f.hint}" if f.hint else f.message},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    """A relative reference: what a path has that a URI must not, as percent codes."""
    from urllib.parse import quote

    return quote(file.replace("\\", "/"), safe="/-._~")
