"""`weir rules explain RULE --event T --out OUT`: what the rule said then, in words, as `weir audit explain` finds it."""

import json

import pytest

from engine.cli import main
from tests.auditing import replayed


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("event")
    return replayed(folder, 250), folder / "bank"


@pytest.fixture(scope="module")
def fired(whole):
    """A decision in which the rule about big payments fired."""
    lines = (whole[0] / "decisions.ndjson").read_text().splitlines()
    return next(d for d in map(json.loads, lines) if "BIG-001" in [f["rule"] for f in d["fired"]])


def asked(whole, capsys, *arguments):
    out, bank = whole
    capsys.readouterr()
    status = main(["rules", "explain", *arguments, "--out", str(out), "--config", str(bank)])
    return status, capsys.readouterr()


def case(fired):
    return ["--event", fired["transaction_id"], "--account", fired["account"], "--by", "t.hill"]


def test_each_clause_is_in_words_with_its_value_and_what_would_turn_it(whole, fired, capsys):
    status, said = asked(whole, capsys, "BIG-001", *case(fired), "--reveal")
    assert status == 0
    assert fired["decision"] in said.out.splitlines()[0]
    assert "BIG-001 v1  FIRED" in said.out
    assert "the amount is at least 900 CNY" in said.out
    assert "to turn it: amount would have to be less than 900.00 CNY" in said.out
    assert "FAST-002" not in said.out


def test_the_document_agrees_with_the_audit(whole, fired, capsys):
    _, said = asked(whole, capsys, "BIG-001", *case(fired), "--reveal", "--format", "json")
    told = json.loads(said.out)
    given = ["--rule", "BIG-001", "--seq", str(fired["seq"]), "--reveal", "--format", "json"]
    assert main(["audit", "explain", str(whole[0]), *given]) == 0
    audited = json.loads(capsys.readouterr().out)
    (rule,) = audited["rules"]
    assert told["same_as_now"]
    assert told["decision"] == audited["decision"] == fired
    assert [c["truth"] for c in told["rule"]["clauses"]] == [c["truth"] for c in rule["clauses"]]
    assert [c["written"] for c in told["rule"]["clauses"]] == [c["text"] for c in rule["clauses"]]
    assert told["rule"]["flips"] == rule["flips"]


def test_who_asked_is_on_record(whole, fired, capsys):
    asked(whole, capsys, "BIG-001", *case(fired))
    last = json.loads((whole[0] / "access.ndjson").read_text().splitlines()[-1])
    assert last["by"] == "t.hill"
    assert "BIG-001" in json.dumps(last)


def test_a_rule_that_reads_otherwise_now_is_told_as_it_was(whole, fired, capsys, tmp_path):
    import shutil

    out, bank = whole
    shutil.copytree(bank, tmp_path / "bank")
    path = tmp_path / "bank" / "packs" / "one" / "rules.yaml"
    path.write_text(path.read_text().replace("amount >= $big and", "amount > $big and", 1))
    status, said = asked((out, tmp_path / "bank"), capsys, "BIG-001", *case(fired), "--reveal")
    assert status == 0
    assert "The rule reads otherwise now" in said.out
    assert "amount >= 900.00 CNY" in said.out


def test_without_a_configuration_the_rule_is_that_of_the_folder(whole, fired, capsys):
    given = ["BIG-001", *case(fired), "--reveal", "--out", str(whole[0])]
    assert main(["rules", "explain", *given]) == 0
    said = capsys.readouterr().out
    assert "The rule reads otherwise now" not in said
    assert "the amount is at least 900 CNY" in said


def test_a_name_that_no_pack_knows_may_be_in_a_pack_of_ones_own(capsys):
    assert main(["rules", "explain", "MINE-ABROAD-001"]) == 2
    told = capsys.readouterr().err
    assert "there is no feature or rule `MINE-ABROAD-001`" in told
    assert "weir rules explain MINE-ABROAD-001 PACK" in told


def test_a_rule_that_was_not_there_is_said_to_be_missing(whole, fired, capsys):
    status, said = asked(whole, capsys, "BIG-009", *case(fired))
    assert status != 0
    assert "there is no rule `BIG-009` that was in use then" in said.err
