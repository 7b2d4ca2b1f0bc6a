"""Silencing a finding where it stands: with a reason, once, and only what may be silenced."""

import pytest

from rules.check import examples
from tests.linting import found, said, write

WHEN = 'when: |\n  amount > 500 EUR\n{}  and country != "DE"\n'


def check(tmp_path, text):
    return found(write(tmp_path, examples.built(examples.Example("", ""), text)))


@pytest.mark.parametrize(
    "comment",
    [
        "# weir rules: allow WR204 - book transfers have no country",
        "#weir rules:allow WR204: book transfers have no country",
        "  #  weir rules: allow WR204 \u2013 book transfers have no country  ",
        "# weir rules: allow WR204 book transfers have no country",
    ],
)
def test_a_comment_on_the_line_above_silences_inside_a_condition(comment, tmp_path):
    assert [f.code for f in check(tmp_path, WHEN.format(""))] == ["WR204"]
    assert check(tmp_path, WHEN.format(f"  {comment}\n")) == []


def test_several_allows_may_stand_above_one_another(tmp_path):
    text = 'when: amount > 9 EUR and amount > 5 EUR and country != "DE"\n'
    assert {f.code for f in check(tmp_path, text)} == {"WR202", "WR204"}
    both = "# weir rules: allow WR204 - a\n# weir rules: allow WR202 - b\n"
    assert check(tmp_path, both + text) == []


def test_without_a_reason_the_allow_is_what_is_found(tmp_path):
    assert [f.code for f in check(tmp_path, WHEN.format("  # weir rules: allow WR204\n"))] == [
        "WR011"
    ]
    assert [f.code for f in check(tmp_path, WHEN.format("  # weir rules: allow WR204 -\n"))] == [
        "WR011"
    ]


def test_an_allow_two_lines_above_or_of_another_code_silences_nothing(tmp_path):
    far = WHEN.replace("|\n", "|\n  # weir rules: allow WR204 - far away\n").format("")
    assert sorted(f.code for f in check(tmp_path, far)) == ["WR010", "WR204"]
    other = WHEN.format("  # weir rules: allow WR202 - another one\n")
    assert sorted(f.code for f in check(tmp_path, other)) == ["WR010", "WR204"]


def test_an_error_cannot_be_allowed(tmp_path):
    text = "# weir rules: allow WR101 - I know better\nwhen: amuont > 5 EUR\n"
    assert sorted(f.code for f in check(tmp_path, text)) == ["WR012", "WR101"]


@pytest.mark.parametrize("written", ["WR999 - x", "", "because"])
def test_an_allow_that_names_no_code_is_found_at_its_place(written, tmp_path):
    findings = check(tmp_path, f"  # weir rules: allow {written}\nwhen: amount > 500 EUR\n")
    (code, _, column) = said(findings)[0]
    assert (len(findings), code, column) == (1, "WR012", 7)
