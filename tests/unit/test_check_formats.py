"""Findings for machines: what GitHub, SARIF readers and scripts get."""

import json
import re

import pytest

from config import marks
from rules.check import formats
from rules.check.findings import Finding, at_range
from rules.definitions import Place

SOURCE = marks.Source.of(
    "line one\nwhen: a, b: 100% of \u00e4\u00df\n", "packs/a b,c:1/r\u00fcles.yaml"
)
FOUND = [
    at_range("WR204", SOURCE, 15, 16, "a: 50% of x,\nsecond line", "write: x"),
    at_range("WR101", SOURCE, 9, 29, "unknown \u00e4"),
    Finding("WR334", "info", Place("p.yaml", 1, 1), Place("p.yaml", 2, 3), "no lock", ""),
]


def test_github_gets_one_escaped_command_a_finding():
    lines = formats.as_github(FOUND).splitlines()
    assert lines[0] == (
        "::warning file=packs/a b%2Cc%3A1/r\u00fcles.yaml,line=2,col=7,endLine=2,"
        "title=WR204 A negation of what can be missing,endColumn=8::a: 50%25 of x,%0Asecond line: write: x"
    )
    assert lines[1].startswith("::error file=")
    assert lines[2].startswith("::notice file=p.yaml,line=1,col=1,endLine=2,title=")
    assert "endColumn" not in lines[2]
    assert len(lines) == 3


@pytest.mark.parametrize("text", ["%0A", "a\r\nb", "::error::x", "100%", ",:,", "\u2028"])
def test_github_commands_read_back_as_what_was_said(text):
    """Undone as the runner undoes it: one line, and nothing of the text is a command of its own."""
    found = at_range("WR204", marks.Source.of("x", text.replace("\r\n", "_")), 0, 1, text)
    (line,) = formats.as_github([found]).rstrip("\n").split("\n")
    head, _, message = line[2:].partition("::")
    assert unescaped(message) == text
    properties = dict(p.split("=", 1) for p in head.partition(" ")[2].split(","))
    assert unescaped(properties["file"]) == found.place.file


def unescaped(text):
    for code, sign in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, sign)
    return text


def test_sarif_has_what_its_standard_requires():
    log = json.loads(formats.as_sarif(FOUND, "1.2.3"))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    assert driver["version"] == "1.2.3"
    ids = [rule["id"] for rule in driver["rules"]]
    assert ids == sorted(set(ids))
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["message"]["text"]
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        assert re.fullmatch(r"[\w\-.~%/]+", physical["artifactLocation"]["uri"], re.ASCII)
        region = physical["region"]
        assert all(isinstance(n, int) and n >= 1 for n in region.values())
        start, end = ((region[f"{k}Line"], region[f"{k}Column"]) for k in ("start", "end"))
        assert start < end
    assert run["columnKind"] == "unicodeCodePoints"


def test_json_holds_every_finding_and_the_summary():
    read = json.loads(formats.as_json(FOUND, {"errors": 1}))
    assert read["summary"] == {"errors": 1}
    assert read["findings"][1] == {
        "code": "WR101", "severity": "error", "file": SOURCE.file, "line": 2, "column": 1,
        "end_line": 2, "end_column": 21, "message": "unknown \u00e4", "hint": "",
    }  # fmt: skip
