"""Mistakes planted in a file without any: each is found, with its code and exactly where it stands."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from config import marks
from rules.check.examples import HEAD
from rules.check.memory import Memory
from rules.definitions import Aggregate, Feature, Place, Window
from rules.tree import BOOL, NUMBER, Node, Type
from tests.linting import ANOTHER, SHIPPED, found, write

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


def test_what_was_proven_about_other_packs_changes_no_finding(tmp_path):
    """One memory for all files with mistakes, each after the other and after the file without any, in a mixed order."""
    memory, rng = Memory(), random.Random(5)
    texts = [BASE, *(text for _, text, _, _ in PLANTED)] * 2
    rng.shuffle(texts)
    n_kept = 0
    for k, text in enumerate(texts):
        folders = write(tmp_path / str(k), {"night/pack.yaml": HEAD, "night/night.yaml": text})
        before = memory.n_answers
        assert found(folders, memory=memory) == found(folders)
        n_kept += memory.n_answers > before > 0
    assert n_kept > len(texts) / 4  # what was known before was of use


def test_a_memory_forgets_what_followed_from_other_features_fields_or_tables():
    """The same condition, and what one of its names means is another thing."""
    number = Type(NUMBER)
    feature = Node("column", number, value="f")
    above = Node(">=", Type(BOOL), (feature, Node("const", number, value=0.0)))
    there = Node("not", Type(BOOL), (Node("missing", Type(BOOL), (feature,)),))
    count = Feature("f", number, Aggregate("count", ("account",), Window(1)), None, Place("", 1, 1))
    total = replace(count, aggregate=None, expression=Node("column", number, value="amount"))
    memory = Memory()
    answers = []
    for features in (count, total, count):
        memory.begin(SHIPPED, {"f": features}, {})
        logic = memory.logic(("payment",))
        assert logic is memory.logic(("payment",))
        answers.append(logic.implies(there, above))
    assert answers == [True, False, True]
    logic = memory.logic(("payment",))
    again = replace(count, place=Place("elsewhere.yaml", 7, 1), description="Moved")
    memory.begin(SHIPPED, {"f": again}, {})
    assert memory.logic(("payment",)) is logic
    memory.begin(ANOTHER, {"f": again}, {})
    assert memory.logic(("payment",)) is not logic


@pytest.mark.parametrize(
    ("old", "new", "code", "hint"),
    [
        ("      and night\n", "      and channel == \u300cweb\u300d\n", "WR115", 'write "web"'),
        ("      and night\n", "      and channel == \uff02web\uff02\n", "WR115", 'write "web"'),
        (
            "      and night\n",
            '      and night and merchant country == "DE"\n',
            "WR111",
            "join conditions by and, or; a name has no blank: merchant_country",
        ),
        (
            "    when: |\n      outgoing\n",
            "    when:\n      - outgoing\n    description: |\n      outgoing\n",
            "WR027",
            'write "when: |", then one condition a line, each but the first with and before it',
        ),
        (
            "  - id: NIGHT-001\n",
            "    id: NIGHT-001\n",
            "WR027",
            'write "- id: ...", and what belongs to it two blanks further in',
        ),
    ],
)
def test_the_hint_says_what_was_probably_meant(tmp_path, old, new, code, hint):
    assert BASE.count(old) == 1
    folders = write(tmp_path, {"p/pack.yaml": HEAD, "p/rules.yaml": BASE.replace(old, new)})
    assert hint in [f.hint for f in found(folders) if f.code == code]
