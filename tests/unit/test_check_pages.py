"""Each page of `weir rules check --explain` shows what is wrong and what is right, and both are so."""

import pytest

from config.errors import ConfigError
from rules.check import examples, pages
from rules.check.codes import PAGES
from tests.linting import found, write

RUN = sorted(code for code, example in examples.EXAMPLES.items() if example.runs)
NEVER_FOUND_AGAIN = {"WR119"}  # its number is kept: a code never gets another meaning


@pytest.mark.parametrize("code", RUN)
def test_the_wrong_example_is_found_and_nothing_else(code, tmp_path):
    example = examples.EXAMPLES[code]
    findings = found(write(tmp_path, examples.built(example, example.wrong)))
    assert {f.code for f in findings} == {code}, findings


@pytest.mark.parametrize("code", RUN)
def test_in_the_right_example_nothing_is_found(code, tmp_path):
    example = examples.EXAMPLES[code]
    assert found(write(tmp_path, examples.built(example, example.right))) == []


def test_every_code_has_a_page_with_text_and_both_examples():
    assert set(examples.EXAMPLES) == set(PAGES) - NEVER_FOUND_AGAIN
    for code, page in PAGES.items():
        assert len(page.text) > 20, code
        assert page.title, code


def test_a_page_says_what_why_wrong_right_and_how_to_silence_it(golden):
    golden("check/page", pages.page("wr204"))
    assert "cannot be silenced" in pages.page("WR101")


def test_a_code_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(ConfigError) as error:
        pages.page("WR20A")
    assert error.value.fix.startswith("did you mean")
