"""The reference of the language is up to date, and every example on it is right."""

import pytest

from config import schema
from config.settings import BANK
from engine.cli import main
from rules import functions, language, pack, reference, syntax
from rules.check.codes import PAGES
from rules.explain import Evaluator

HEAD = """
pack: p
version: 1.0.0
language: 1
currency: CNY
timezone: Asia/Shanghai
retention: 400d
decision: {combine: sum, bands: [{from: 0, to: 1000, do: approve}]}
reasons: {R: a}
lists:
  kiosks: {type: id, of: device, values: [D1]}
rules:
  - id: A-1
    name: a
    owner: o
    severity: high
    reason: R
    on: payment
    mode: live
    score: 1
    when: |
"""


def read(tmp_path, condition, features=""):
    text = f"{HEAD}      {condition}\n{features}"
    (tmp_path / "pack.yaml").write_text(text, encoding="utf-8")
    columns = schema.read(BANK / "schema.yaml")
    from config.rates import read as read_rates

    return pack.load([tmp_path], columns, read_rates(BANK / "rates.yaml"))


def test_the_page_in_the_repository_is_up_to_date():
    written = reference.PLACE.read_text(encoding="utf-8")
    assert written == reference.reference(), "run weir rules reference --write"


def test_the_page_is_printed_and_written(capsys, tmp_path, monkeypatch):
    assert main(["rules", "reference"]) == 0
    assert capsys.readouterr().out == reference.reference()
    monkeypatch.setattr(reference, "PLACE", tmp_path / "R.md")
    assert main(["rules", "reference", "--write"]) == 0
    assert (tmp_path / "R.md").read_text(encoding="utf-8") == reference.reference()


def test_every_key_function_aggregate_and_code_is_on_the_page():
    page = reference.reference()
    for shape in language.SHAPES.values():
        for key in language.order(shape):
            assert f"| {key} |" in page or f"| **{key}** " in page, (shape.name, key)
    assert all(f"`{f.signature}`" in page for f in functions.FUNCTIONS.values())
    assert {row[0] for row in reference.AGGREGATES} == set(syntax.AGGREGATES)
    assert all(f"| {code} |" in page for code in PAGES)


def test_links_inside_the_page_lead_somewhere():
    import re

    page = reference.reference()
    titles = {line.lstrip("# ").replace(" ", "-") for line in page.splitlines() if line[:1] == "#"}
    links = re.findall(r"\]\(#([^)]*)\)", page)
    assert links
    assert set(links) <= titles


def test_the_page_begins_each_row_of_a_table_with_as_many_cells_as_its_head():
    n = 0
    for line in reference.reference().splitlines():
        if not line.startswith("|"):
            n = 0
            continue
        cells = line.replace("\\|", "").count("|")
        assert n in (0, cells), line
        n = cells


@pytest.mark.parametrize("example", [x for _, x, _ in reference.OPERATORS])
def test_an_example_of_an_operator_is_a_condition(tmp_path, example):
    found = read(tmp_path, example)
    assert not [str(f.message) for f in found.findings if f.is_error]


@pytest.mark.parametrize("row", reference.AGGREGATES, ids=lambda row: row[0])
def test_an_example_of_an_aggregate_is_a_feature(tmp_path, row):
    found = read(tmp_path, "f is present", f"features:\n  f: {row[1]}\n")
    assert not [str(f.message) for f in found.findings if f.is_error]
    assert row[1].startswith(f"{row[0]}(")


@pytest.mark.parametrize("row", reference.LITERALS, ids=lambda row: row[0])
def test_a_literal_is_read_as_its_kind(row):
    tree, problems = syntax.parse(row[1])
    assert not problems
    kinds = {"number": "num", "share": "percent", "amount": "money", "time of day": "timeofday"}
    kinds |= {"text": "string", "truth": "true"}
    assert tree.op == kinds.get(row[0], row[0])


@pytest.mark.parametrize("row", reference.MISSING, ids=lambda row: row[0])
def test_what_the_page_says_of_missing_values_is_what_the_evaluator_says(tmp_path, row):
    expression, said, _ = row
    found = read(tmp_path, expression)
    assert found.pack is not None, [f.message for f in found.findings]
    values = {"amount": 1000.0, "type": "payment"}
    evaluator = Evaluator.of_pack(found.pack, values.get)
    truth, _ = evaluator.truth(found.pack.rules[0].when)
    assert truth is {"true": True, "false": False, "missing": None}[said]
