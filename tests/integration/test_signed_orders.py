"""Signed orders in a running engine: judged once at the door, and derived again by somebody who has no secret."""

import json
import shutil

import pytest

from config.settings import BANK
from engine import cli
from engine.progress import Progress
from engine.runner import StopRequest
from engine.setup import read_setup
from engine.signing import sign
from tests.unit.test_control import Engine, answer, drop, pay

SECRET = "a secret of more than 16 bytes"
PEOPLE = """
signatures: required
people:
  a.li: {name: Li An, roles: [analyst], keys: {a.li-1: {key_env: WEIR_TEST_A_LI}}}
  b.wu: {name: Wu Bo, roles: [auditor], keys: {b.wu-1: {key_env: WEIR_TEST_A_LI}}}
"""
RESTRICT = {
    "kind": "command",
    "command": "restrict",
    "entity": {"account": "A1"},
    "level": "no_debit",
    "for": "24h",
    "by": "a.li",
    "reason": "called by the police",
}


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """An output folder whose engine has taken a signed, an unsigned and a forged order, and one of an auditor."""
    monkeypatch.setenv("WEIR_TEST_A_LI", SECRET)
    shutil.copytree(BANK, tmp_path / "bank", ignore=shutil.ignore_patterns("rules.lock"))
    (tmp_path / "bank" / "people.yaml").write_text(PEOPLE)
    root = tmp_path / "out"
    engine = Engine(root, [[pay(1)], None, [pay(2)]])
    signed = sign(RESTRICT, "a.li-1", SECRET.encode(), "2026-03-02T10:00:09Z", "n1")
    auditor = sign(
        RESTRICT | {"by": "b.wu"}, "b.wu-1", SECRET.encode(), "2026-03-02T10:00:09Z", "n2"
    )
    forged = RESTRICT | {"door": {"by": "a.li", "key": "a.li-1", "nonce": "n9"}}
    orders = {"a": signed, "b": RESTRICT, "c": signed | {"level": "watch"}, "d": auditor}
    for name, order in {**orders, "e": forged, "f": signed}.items():
        drop(engine.control, f"{name}.json", order)
    opened = engine.open(setup=read_setup(tmp_path / "bank"))
    with StopRequest() as stop, Progress(None, "msg") as progress:
        opened.runner.run(progress, stop)
    opened.summarise({})
    opened.close()
    streams = {
        path.stem: [json.loads(line) for line in path.read_bytes().splitlines()]
        for path in root.glob("*.ndjson")
    }
    monkeypatch.delenv("WEIR_TEST_A_LI")
    return root, streams


def test_only_a_signed_order_of_somebody_with_the_role_counts(ran):
    root, streams = ran
    control = root / "control"
    told = {name: answer(control, name) for name in "abcdef"}
    assert {name: one.get("what") for name, one in told.items()} == {
        "a": None,
        "b": "the order is not signed",
        "c": "the order is refused: the signature does not match the order",
        "d": "`b.wu` may not restrict",
        "e": "the order is not signed",
        "f": "this signature has been used before",
    }
    assert [line["level"] for line in streams["commands"]] == ["no_debit"]
    assert streams["decisions"][-1]["restrictions"] == [told["a"]["restriction_id"]]


def test_an_auditor_without_any_secret_derives_the_same(ran, capsys):
    root, _ = ran
    assert cli.main(["audit", "verify", str(root)]) == 0, capsys.readouterr().out


def test_the_secret_stands_nowhere_in_the_folder(ran):
    root, _ = ran
    files = [path for path in root.rglob("*") if path.is_file()]
    assert any(path.name == "people.yaml" for path in files), "who may do what is kept"
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert json.loads((root / "control" / "a.answer").read_text())["ok"]
