"""`weir rules check` as a person calls it: what it prints, and the exit status that scripts rely on."""

import json

import pytest

from engine.cli import main
from rules.check.examples import HEAD, rule
from tests.linting import write

ODD = 'when: amount > 500 EUR and country != "DE"\n'
WRONG = "id: R-2\nwhen: amuont > 500 EUR\n"
OVER = "id: R-3\neffective: {from: 2026-01-01, until: 2026-03-01}\n"


@pytest.fixture
def check(tmp_path, capsys, monkeypatch):
    """Check a pack of rules; return exit status, standard output and error."""

    def run(*options, rules=(ODD,)):
        files = {f"p/{k}.yaml": rule(text) for k, text in enumerate(rules)}
        write(tmp_path, {"p/pack.yaml": HEAD, **files})
        monkeypatch.chdir(tmp_path)
        status = main(["rules", "check", "p", *options])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_warnings_alone_are_no_failure_but_when_they_are_to_count(check):
    assert check()[0] == 0
    assert check("--strict")[0] == 1
    assert check(rules=(ODD, WRONG))[0] == 1


def test_the_last_line_counts_and_says_where_to_read_more(check):
    _, out, _ = check(rules=(ODD, WRONG))
    last = out.splitlines()[-1]
    assert last.startswith("2 rules, 0 features, 0 lists: 1 error, 1 warning.")
    assert last.endswith("weir rules check --explain WR101")


def test_dates_are_compared_with_the_day_that_is_named(check):
    assert "WR305" in check("--as-of", "2026-03-09", rules=(OVER,))[1]
    assert "WR305" not in check("--as-of", "2026-02-09", rules=(OVER,))[1]


@pytest.mark.parametrize(
    "options",
    [("--as-of", "soon"), ("--explain", "WR20A"), ("--rule", "R-9"), ("--config", "none")],
)
def test_what_cannot_run_says_why_and_exits_with_2(check, options):
    status, out, err = check(*options)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")


def test_no_pack_and_a_folder_without_one_cannot_be_checked(check, capsys):
    assert main(["rules", "check"]) == 2
    assert main(["rules", "check", "nowhere"]) == 2
    assert capsys.readouterr().out == ""


def test_one_rule_can_be_looked_at_alone(check):
    status, out, _ = check("--rule", "R-1", rules=(ODD, WRONG))
    assert status == 0
    assert "WR204" in out
    assert "WR101" not in out


def test_a_page_is_printed_without_a_pack(capsys):
    assert main(["rules", "check", "--explain", "wr203"]) == 0
    assert capsys.readouterr().out.startswith("WR203  ")


def test_json_counts_and_says_what_rules_cost(check):
    read = json.loads(check("--format", "json")[1])
    assert read["summary"]["warnings"] == 1
    assert read["summary"]["ns_per_event_of_rule"]["R-1"] > 0
    assert {f["code"] for f in read["findings"]} == {"WR204", "WR334"}


def test_sarif_and_github_say_the_same_places(check):
    (run,) = json.loads(check("--format", "sarif")[1])["runs"]
    regions = {r["ruleId"]: r["locations"][0]["physicalLocation"]["region"] for r in run["results"]}
    line = regions["WR204"]["startLine"]
    assert f"line={line},col={regions['WR204']['startColumn']}" in check("--format", "github")[1]


def test_costs_are_told_on_request(check):
    assert "WR401" not in check()[1]
    assert "WR401" in check("--cost")[1]


def test_kernels_are_not_imported_unless_memory_is_asked_for(tmp_path):
    """An editor runs this on every save: numba alone would take longer than the check."""
    import subprocess
    import sys

    write(tmp_path, {"p/pack.yaml": HEAD, "p/r.yaml": rule(ODD)})
    code = (
        "import sys; from engine.cli import main; status = main(['rules', 'check', 'p']); "
        "print('numba' in sys.modules, status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False 0"
