"""The guide for analysts: what it shows can be copied, and what it says of mistakes is what they get."""

import argparse
import re
import shutil
from pathlib import Path

import pytest

from config import schema
from config.rates import read as read_rates
from config.settings import BANK
from engine.cli import main
from engine.setup import read_setup
from replay.workbench import cli, ruletests
from rules import pack, reference
from rules.check.findings import ERROR, WARN
from rules.check.lint import lint

TEXT = reference.PLACE.with_name("GUIDE.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```yaml (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(.+?)` \| (WR[0-9]{3}) (.+?) \| `(.+?)` \|$", re.MULTILINE)
AS_OF_US = 1_772_323_200_000_000  # 2026-03-01
RULE = """
rules:
  - id: A-1
    name: a
    owner: o
    severity: high
    reason: MANY_PAYMENTS
    on: payment
    mode: shadow
    score: 1
    when: |
      CONDITION
"""


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """The packs of the bank, and the one of the guide beside them."""
    bank = tmp_path_factory.mktemp("guide")
    shutil.copytree(BANK / "lists", bank / "lists")
    folder = bank / "packs"
    shutil.copytree(BANK / "packs" / "core", folder / "core")
    for name, text in BLOCK.findall(TEXT):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        assert not path.exists(), name
        path.write_text(text, encoding="utf-8")
    return folder


def read(path: Path) -> pack.Loaded:
    rates = read_rates(BANK / "rates.yaml")
    return pack.load([path], schema.read(BANK / "schema.yaml"), rates)


def test_every_example_is_free_of_findings(packs):
    found = read(packs / "mine")
    everything = lint(found, schema.read(BANK / "schema.yaml"), AS_OF_US)
    own = [f for f in everything if "/mine/" in f.place.file and f.severity in (ERROR, WARN)]
    assert [f"{f.place} {f.code} {f.message}" for f in own] == []
    assert found.pack is not None
    own = [rule for rule in found.pack.rules if rule.pack == "mine"]
    assert len(own) == 8
    assert all(len(rule.tests) >= 1 for rule in own)


def test_every_example_is_in_the_order_that_fmt_writes(packs, capsys):
    assert main(["rules", "fmt", "--check", str(packs / "mine")]) == 0, capsys.readouterr().out


def test_every_example_passes_its_tests(packs):
    results, untested = ruletests.run([packs / "mine"], BANK)
    assert [(r.rule, r.test, f.place, f.got) for r in results for f in r.failures] == []
    assert not untested
    assert {r.rule for r in results} == {
        rule.id
        for rule in read_setup(BANK, pack_paths=[packs / "mine"]).pack.rules
        if rule.pack == "mine"
    }


@pytest.mark.parametrize("row", ROW.findall(TEXT), ids=lambda row: row[0])
def test_a_mistake_gets_the_answer_that_the_guide_gives(packs, tmp_path, row):
    wrong, code, message, right = row
    shutil.copytree(packs.parent, tmp_path, dirs_exist_ok=True)
    mine = tmp_path / "packs" / "mine"
    for condition, codes in ((wrong, [(code, message)]), (right, [])):
        (mine / "tried.yaml").write_text(RULE.replace("CONDITION", condition), encoding="utf-8")
        found = [f for f in read(mine).findings if f.is_error]
        assert [(f.code, f.message) for f in found] == codes, condition


def test_there_are_rows_of_mistakes():
    assert len(ROW.findall(TEXT)) == 10


def test_every_command_of_the_guide_exists_with_its_options():
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    (group,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    (verbs,) = (
        a for a in group.choices["rules"]._actions if isinstance(a, argparse._SubParsersAction)
    )
    calls = re.findall(r"weir rules ([a-z]+)([^`\n]*)", TEXT)
    assert len(calls) >= 12
    for verb, rest in calls:
        assert verb in verbs.choices, verb
        known = {o for a in verbs.choices[verb]._actions for o in a.option_strings}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (verb, rest)
