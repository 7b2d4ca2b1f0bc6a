"""One spelling for each expression, and a clause a line."""

import pytest

from rules import layout
from rules.syntax import parse

SPELLINGS = [
    ("amount>=1000", "amount >= 1_000"),
    ("amount >= 1000000.50 EUR", "amount >= 1_000_000.50 EUR"),
    ("amount >= 1_0000EUR", "amount >= 10_000 EUR"),
    ("a = 1 AND b <> 2 Or !c", "a == 1 and b != 2 or not c"),
    ("a === 1 && b !== 2 || c", "a == 1 and b != 2 or c"),
    ("a ≤ 5 and b ≥ 5 and c ≠ 5", "a <= 5 and b >= 5 and c != 5"),
    ("a =< 5 and b => 5", "a <= 5 and b >= 5"),
    ("a == null and b != null", "a is missing and b is present"),
    ("a is null and b is not null", "a is missing and b is present"),
    ("a is not missing and b is not present", "a is present and b is missing"),
    ("channel in ['a',\"b\"]", 'channel in ["a", "b"]'),
    ("name == 'say \"no\"'", "name == 'say \"no\"'"),
    ("name == 'x'", 'name == "x"'),
    ("x  not   in @vips", "x not in @vips"),
    ("a . b [ c ] > f ( x , - 1 )", "a.b[c] > f(x, -1)"),
    ("- a - - b * ( - 3 ) > 1", "-a - -b * (-3) > 1"),
    ("a ?? - 3 > -$p", "a ?? -3 > -$p"),
    ("at_least ( 2 , a , b )", "at_least(2, a, b)"),
    ("if a>1 then 2 else -3", "if a > 1 then 2 else -3"),
    ("NOT ( a )", "not (a)"),
    ("mcc == 0012", "mcc == 0012"),
    ("t between 22:00 AND 06:00", "t between 22:00 and 06:00"),
    ("x > 2026 and d == 2026-01-31", "x > 2_026 and d == 2026-01-31"),
]


@pytest.mark.parametrize(("written", "tidy"), SPELLINGS, ids=[w for w, _ in SPELLINGS])
def test_each_accepted_spelling_has_one_way_to_be_written(written, tidy):
    """The tree stays the same, and what is tidy stays as it is."""
    assert layout.tidy(written) == tidy
    assert layout.tidy(tidy) == tidy
    before, problems = parse(written)
    assert not problems
    assert parse(tidy)[0] == before


def test_a_feature_keeps_its_brackets_apart_from_its_words():
    text = "count( ) of transaction by card over 1h where ( a||b ) prior"
    assert layout.tidy(text) == "count() of transaction by card over 1h where (a or b) prior"


def test_a_clause_a_line_with_the_word_in_front():
    assert layout.clauses("a and (b or c) and x between 1 and 5 and not d") == [
        "a",
        "and (b or c)",
        "and x between 1 and 5",
        "and not d",
    ]
    assert layout.clauses("a and b or c") == ["a and b", "or c"]
    assert layout.clauses("if a then b else c and d") == ["if a then b else c and d"]


def test_a_bracket_that_is_too_wide_is_opened():
    text = "aaaa and not (bbbbbbbbbb > 1 or (cccccccccc > 1 and dddddddddd > 1) or e)"
    assert layout.clauses(text, 38) == [
        "aaaa",
        "and not (",
        "  bbbbbbbbbb > 1",
        "  or (",
        "    cccccccccc > 1",
        "    and dddddddddd > 1",
        "  )",
        "  or e",
        ")",
    ]


def test_comments_keep_their_word_or_their_line():
    text = "# first\na # at a\n# before b\nand b >  # why 5\n 5\n# last\n"
    lines = layout.clauses(text)
    assert lines == ["# first", "a  # at a", "# before b", "and b >  # why 5", "  5", "# last"]
    assert layout.clauses("\n".join(lines)) == lines
    assert layout.comments(text) == ["# first", "# at a", "# before b", "# why 5", "# last"]
