"""The pages with figures say what the benchmarks found, and nothing else."""

import json

import pytest

from benchmarks import goals, pages, results
from benchmarks.headlines import HEADLINES
from benchmarks.sections import SECTIONS
from tests.style.sources import ROOT

ANEW = "write it anew: python -m benchmarks.results --pages"
HEAD = ("bench", "workload", "is_smoke", "machine", "cores", "load", "date", "took_s", "rows")


def test_the_page_of_results_is_made_of_the_files_of_results():
    assert (ROOT / "RESULTS.md").read_text(encoding="utf-8") == pages.page(pages.read()), ANEW


def test_the_numbers_of_the_readme_are_made_of_the_files_of_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count(pages.BEGIN) == text.count(pages.END) == 1
    assert text == pages.with_numbers(text, pages.read()), ANEW


def test_every_bench_has_its_place_on_the_page_and_its_file_of_results():
    benches = {
        path.stem.removeprefix("bench_") for path in (ROOT / "benchmarks").glob("bench_*.py")
    }
    files = {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    assert benches == set(SECTIONS) == set(HEADLINES) == files


@pytest.mark.parametrize("name", SECTIONS)
def test_every_result_says_on_what_and_when_it_was_measured(name):
    result = pages.read()[name]
    assert not [key for key in HEAD if result.get(key) in (None, "", [])]
    assert result["bench"] == name


def test_a_changed_figure_changes_both_pages():
    found = pages.read()
    page, numbers = pages.page(found), pages.numbers(found)
    found["handbook"]["median"]["tx_per_second"] *= 2
    assert pages.page(found) != page
    assert pages.numbers(found) != numbers


def test_a_smoke_run_is_marked_and_never_replaces_a_real_one(tmp_path):
    real = pages.read()["rules"] | {"is_smoke": False, "took_s": 1.0}
    smoke = real | {"is_smoke": True, "took_s": 2.0}
    path = tmp_path / "rules.json"
    for run, is_kept in ((smoke, True), (real, True), (smoke, False), (real, True)):
        assert results.keep("rules", run, tmp_path) == is_kept
    assert json.loads(path.read_text(encoding="utf-8")) == real
    for text in (pages.page, pages.numbers):
        assert pages.SMOKE in text({"rules": smoke})
        assert pages.SMOKE not in text({"rules": real})


@pytest.mark.parametrize(
    ("first", "then", "found", "reached"),
    [
        (40_000, 100_000, 39_999, "no"),
        (40_000, 100_000, 40_000, "first"),
        (40_000, 100_000, 100_000, "then"),
        (5, 1, 5.1, "no"),
        (5, 1, 5.0, "first"),
        (5, 1, 0.9, "then"),
        (10, None, 9, "no"),
        (10, None, 11, "first"),
        (0, 50_000, 1, "no"),
        (0, 50_000, 50_000, "then"),
    ],
)
def test_a_number_to_reach_is_reached_from_the_side_it_comes_from(first, then, found, reached):
    assert goals.Goal("", first, then, "", "", lambda _: None).reached(found) == reached


def test_every_number_to_reach_is_found_in_the_result_it_names():
    found = pages.read()
    missing = [g.what for g in goals.GOALS if g.bench in found and g.find(found[g.bench]) is None]
    assert not missing
    smoke = {name: result | {"is_smoke": True} for name, result in found.items()}
    assert {row[4] for row in goals.rows(smoke)} == {""}
