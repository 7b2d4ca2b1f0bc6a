"""Condition and feature text to trees: what is read, what is refused, and what to write instead."""

import pytest

from rules.syntax import AggregateText, duration_us, parse, parse_feature
from rules.tree import Span


def shown(tree):
    value = f":{tree.value}{tree.unit}" if tree.value else ""
    return tree.op + value + (f"({', '.join(map(shown, tree.args))})" if tree.args else "")


def problems_of(text, read=parse):
    return [(p.code, text[p.span.start : p.span.end], p.what, p.hint) for p in read(text)[1]]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a or b and not c", "or(name:a, and(name:b, not(name:c)))"),
        ("a and b and c", "and(name:a, name:b, name:c)"),
        ("not a == 1", "not(==(name:a, num:1))"),
        ("a - b - c * -d / 2", "-(-(name:a, name:b), /(*(name:c, minus(name:d)), num:2))"),
        ("-a ?? b * 2", "*(minus(??(name:a, name:b)), num:2)"),
        ("x not in [1, 2]", "not_in(name:x, num:1, num:2)"),
        (
            "t between 22:00 and 06:00 and b",
            "and(between(name:t, timeofday:22:00, timeofday:06:00), name:b)",
        ),
        ("1 + if a then b else c + 2", "+(num:1, if(name:a, name:b, +(name:c, num:2)))"),
        ("account.opened_on is present", "is_present(name:account.opened_on)"),
        ("t[k] > 1_000.50 EUR # note", ">(lookup:t(name:k), money:1000.50EUR)"),
        ("purpose not starts with 'x'", "not_starts with(name:purpose, string:x)"),
        ("d > 1h30m", ">(name:d, duration:5400000000)"),
    ],
)
def test_an_expression_reads_as_the_grammar_says(text, tree):
    """Precedence, negated forms and literals."""
    found, problems = parse(text)
    assert problems == []
    assert shown(found) == tree


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a = 1 AND b <> 2", "a == 1 and b != 2"),
        ("a && !b || c", "a and not b or c"),
        ("x = null Or y != NULL", "x is missing or y is present"),
        ("x is not missing", "x is present"),
        ("a ≥ 5 and b ≠ 2", "a >= 5 and b != 2"),
        ("500EUR < a", "500 EUR < a"),
        ("a\u00a0> 5", "a > 5"),
    ],
)
def test_spellings_of_other_languages_are_taken_as_meant(text, canonical):
    """There is no assignment, so `=` cannot be misread."""
    assert problems_of(text) == []
    assert parse(text)[0] == parse(canonical)[0]


@pytest.mark.parametrize(
    ("text", "code", "part", "what", "hint"),
    [
        ("a > 1,000", "WR110", "1,000", "a number cannot contain a comma", "write 1_000"),
        ("a > 1.000,50", "WR110", "1.000,50", "a number cannot contain a comma", "write 1_000.50"),
        ("a > 0,95", "WR110", "0,95", "a number cannot contain a comma", "write 0.95"),
        ("a > 1,000 EUR", "WR110", "1,000", "a number cannot contain a comma", "write 1_000 EUR"),
        (
            "5 <= a <= 9",
            "WR112",
            "5 <= a <= 9",
            "comparisons cannot be chained",
            "write a between 5 and 9",
        ),
        (
            "5 < a < 9",
            "WR112",
            "5 < a < 9",
            "comparisons cannot be chained",
            "write a between 5 and 9 (both ends belong to it)",
        ),
        (
            "a == b == c",
            "WR112",
            "a == b == c",
            "comparisons cannot be chained",
            "write a == b and b == c",
        ),
        (
            'x in ("a", "b")',
            "WR113",
            '("a", "b")',
            "a list of values stands in square brackets",
            'write ["a", "b"]',
        ),
        (
            "x in cash",
            "WR113",
            "cash",
            '"in" needs a list, found "cash"',
            "write in @cash for the list of that name",
        ),
        (
            "x in [a, 1]",
            "WR113",
            "a",
            'a list holds numbers and texts, found "a"',
            'write "a" if the text is meant',
        ),
        ("a % 2 == 0", "WR114", "%", "% is not an operator", "write mod(a, b)"),
        ("a > 80 %", "WR114", "80 %", "a percentage has no blank inside", "write 80%"),
        ("a > 24 h", "WR116", "24 h", "a duration has no blank or point inside", "write 24h"),
        ("a > 1.5h", "WR116", "1.5h", "a duration has no blank or point inside", "write 90m"),
        ("a > 500 eur", "WR111", "500 eur", "a currency is written in capitals", "write 500 EUR"),
        ("EUR 500 < a", "WR111", "EUR 500", "the currency follows the amount", "write 500 EUR"),
        (
            "Amount > 5",
            "WR111",
            "Amount",
            'names are lower case, was "Amount"',
            'write amount, or "Amount" if the text is meant',
        ),
        ('a == "x', "WR115", '"x', "this text has no closing quote on its line", ""),
        (
            "a == \u201cx\u201d",
            "WR115",
            "\u201cx\u201d",
            "a text stands between straight quotes",
            'write "x"',
        ),
        ("(a and b", "WR118", "(", 'this "(" is never closed', 'add ")"'),
        ("a)", "WR118", ")", '")" closes nothing that is open', ""),
        ("a >", "WR118", "", "a value is wanted here, found the end", ""),
        (
            "a > > 5",
            "WR111",
            ">",
            'a value is wanted here, found ">"',
            "a comparison needs a value on both sides",
        ),
        ("a b", "WR111", "b", '"b" cannot follow here', "join conditions by and, or"),
        (
            "a is 5",
            "WR111",
            "5",
            '"is" needs missing or present, found "5"',
            "to compare values write ==",
        ),
        ("", "WR111", "", "a condition or value is wanted here", ""),
        (
            "a ; b",
            "WR114",
            ";",
            '";" has no meaning here',
            "remove it; conditions are joined by and, or",
        ),
        (
            "if a b else c",
            "WR111",
            "b",
            '"if" needs "then", found "b"',
            "write if condition then value else value",
        ),
        (
            "a is missing is present",
            "WR111",
            "is",
            '"is" cannot follow here',
            "join conditions by and, or",
        ),
        (
            "not a == 1 in [2]",
            "WR111",
            "in",
            '"in" cannot follow here',
            "join conditions by and, or",
        ),
    ],
)
def test_what_is_refused_says_what_to_write(text, code, part, what, hint):
    """The first problem of each text: code, the characters it is about, message and fix."""
    assert problems_of(text)[0] == (code, part, what, hint)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a > 1,000 and b", "a > 1_000 and b"),
        ("5 < a < 9", "5 < a and a < 9"),
        ('x in ("a", "b")', 'x in ["a", "b"]'),
        ("Amount > 5", "amount > 5"),
        ("a > 1,000 EUR", "a > 1_000 EUR"),
        ("(a and b", "a and b"),
    ],
)
def test_a_refused_spelling_is_still_read_as_meant(text, canonical):
    """So that its neighbours are typed and checked in the same run."""
    assert parse(text)[0] == parse(canonical)[0]


def test_several_errors_of_one_expression_are_found_at_once():
    """Reading goes on behind the next and/or, inside and outside of brackets."""
    text = "a > 1,000 and b > > 2 and (5 < e < 9 or c d) and f in (1)"
    assert [p[:2] for p in problems_of(text)] == [
        ("WR110", "1,000"), ("WR111", ">"), ("WR112", "5 < e < 9"), ("WR118", "d"), ("WR113", "(1)"),
    ]  # fmt: skip


def test_limits_are_errors_with_a_way_out():
    """4,096 characters, 200 parts, 40 levels."""
    for text in (
        "a" * 5_000,
        " + ".join(["a"] * 101),
        "(" * 60 + "a" + ")" * 60,
        "not " * 60 + "a",
    ):
        found = problems_of(text)
        assert [p[0] for p in found] == ["WR117"], text[:20]
        assert found[0][3] == "split it into macros or features"
    assert problems_of(" and ".join(["a"] * 150)) == []
    assert problems_of("(" * 38 + "a" + ")" * 38) == []


def test_commas_separate_inside_calls_and_lists():
    """`max(1,000)` has two arguments; only outside of brackets of their own is a comma part of a number."""
    assert problems_of("max(1,200) in [1,200]") == []


def test_spans_point_at_the_characters():
    """Every node knows its part of the text."""
    text = "amount > 500 EUR and channel in @cash"
    tree, _ = parse(text)
    assert [text[t.span.start : t.span.end] for t in tree.walk()] == [
        text, "amount > 500 EUR", "amount", "500 EUR", "channel in @cash", "channel", "@cash",
    ]  # fmt: skip
    assert tree.span == Span(0, len(text))


def test_an_aggregate_and_a_function_of_one_name_are_told_apart():
    """`max(x) by` is an aggregate, `max(a, b)` a function of two values."""
    assert isinstance(parse_feature("max(x) by a over 1h")[0], AggregateText)
    assert shown(parse_feature("max(a, b) / 2")[0]) == "/(call:max(name:a, name:b), num:2)"
    assert shown(parse_feature("(a + b) / c")[0]) == "/(+(name:a, name:b), name:c)"


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        (
            "count() > 5",
            'an aggregate needs "by" and a key, found ">"',
            "write for instance: by account",
        ),
        ("count() by", "a key is wanted here, found the end", ""),
        ("count() by a over 30 m", 'a window is wanted here, found "30"', "write 30m"),
        (
            "count() by a over 5d until yesterday",
            '"until" needs a duration, found "yesterday"',
            "write for instance: until 1d ago",
        ),
        (
            "count() by a over 5d until 1d",
            '"until" needs "ago"',
            "write for instance: until 1d ago",
        ),
        (
            "count() of payments by a over 1d",
            'of what? found "payments"',
            "write transaction, activity or label",
        ),
        (
            "count() by a over 5d prior where b",
            '"where" cannot follow here',
            "the order is: by, over, where, prior",
        ),
    ],
)
def test_a_wrong_aggregate_says_which_part_is_wrong(text, what, hint):
    """The first problem names the part and shows how it is written."""
    assert problems_of(text, parse_feature)[0][2:] == (what, hint)


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1h30m", 5_400_000_000),
        ("400d", 34_560_000_000_000),
        ("5ms", 5_000),
        ("5", None),
        ("h", None),
    ],
)
def test_durations_are_whole_numbers_of_units(text, us):
    """Anything else is none."""
    assert duration_us(text) == us


@pytest.mark.parametrize(
    ("text", "hint", "canonical"),
    [
        ("t > 10pm", "write 22:00", "t > 22:00"),
        ("t > 9:30 am", "write 09:30", "t > 09:30"),
        ("n > 5'000", "write 5_000", "n > 5_000"),
        ("n is at least $many", "write >= in place of is at least", "n >= $many"),
        ("n is less than 3 and x", "write < in place of is less than", "n < 3 and x"),
        ("n is empty", "write is missing", "n is missing"),
        ("n is not empty", "write is missing", "n is present"),
    ],
)
def test_a_spelling_of_people_is_read_as_meant(text, hint, canonical):
    """One finding that says what to write, and none that follows from it."""
    tree, problems = parse(text)
    assert [p.hint for p in problems] == [hint]
    assert tree == parse(canonical)[0]


@pytest.mark.parametrize(
    ("text", "part", "hint"),
    [
        ("d > 15 min", "15 min", "write 15m"),
        ("d > 30 days", "30 days", "write 30d"),
        ("a > 65 years", "65 years", 'write days: 23725d; of a date: age(x, "years") > 65'),
        ("s > 80 percent", "80 percent", "write 80%"),
        ("n > 5k and x", "5k", "write 5_000"),
        ("n > 5 000", "5 000", "write 5_000"),
        ("n > \u00a55000", "\u00a5", "write the currency behind the amount: 5_000 CNY"),
        ("n > 5\u4e07", "\u4e07", "write the zeros: 50_000"),
        ("n \uff1e 5", "\uff1e", "write >"),
        ("a \u4e14 b", "\u4e14", "write and"),
    ],
)
def test_a_number_with_words_is_told_what_to_write(text, part, hint):
    problem = parse(text)[1][0]
    assert (text[problem.span.start : problem.span.end], problem.hint) == (part, hint)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("count() of transaction where x by account over 1h", "write for instance: by account; the order is: by, over, where, prior"),
        ("count() by account over 10 minutes where x", "write 10m"),
        ("count() by account over 1 month", "write days: 30d; or over calendar month"),
    ],
)  # fmt: skip
def test_a_window_in_words_is_told_what_to_write(text, hint):
    assert parse_feature(text)[1][0].hint == hint
