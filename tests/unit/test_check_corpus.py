"""Mistakes planted in a file without any: each is found, with its code and exactly where it stands."""

from pathlib import Path

import pytest

from config import marks
from rules.check.examples import HEAD
from tests.linting import found, write

HERE = Path(__file__).parents[1] / "corpus"
BASE = (HERE / "base.yaml").read_text(encoding="utf-8")
BEGIN, END = "\u2039", "\u203a"


def planted():
    """Code, the file with the mistake in it, and line and column of its first and behind its last character."""
    node, _ = marks.parse((HERE / "mistakes.yaml").read_text(encoding="utf-8"), "mistakes.yaml")
    for item in node:
        text = BASE
        for pair in item["change"]:
            old, new = (part.value for part in pair)
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        begin = text.index(BEGIN)
        end = text.index(END) - 1
        clean = text.replace(BEGIN, "").replace(END, "")
        yield item["code"].value, clean, place(clean, begin), place(clean, end)


def place(text, offset):
    before = text[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


PLANTED = list(planted())


def check(folder, text):
    return found(write(folder, {"night/pack.yaml": HEAD, "night/night.yaml": text}))


def test_the_file_without_mistakes_has_no_findings(tmp_path):
    assert check(tmp_path, BASE) == []


def test_there_are_many_mistakes_of_many_kinds():
    assert len(PLANTED) >= 50
    assert len({code for code, *_ in PLANTED}) >= 50


@pytest.mark.parametrize(
    ("code", "text", "begin", "end"), PLANTED, ids=[f"{c}-{n}" for n, (c, *_) in enumerate(PLANTED)]
)
def test_a_planted_mistake_is_found_where_it_stands(code, text, begin, end, tmp_path):
    findings = check(tmp_path, text)
    places = [
        (f.code, (f.place.line, f.place.column), (f.end.line, f.end.column)) for f in findings
    ]
    assert (code, begin, end) in places, findings
