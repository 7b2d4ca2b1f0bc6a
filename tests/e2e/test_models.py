"""`weir models`: a running engine is asked, a folder is derived, and both say the same; orders are records."""

import json

import pytest

from engine import cli
from tests.auditing import small_bank
from tests.running import Live

KEYS = {"WEIR_KEY_WU": "w" * 32}
PEOPLE = """\
signatures: required
people:
  wu: {name: Wu Bo, roles: [supervisor], keys: {wu-1: {key_env: WEIR_KEY_WU}}}
"""
MODELS = """\
champion: fraud
models:
  fraud: {kind: logistic, inputs: [amount]}
  other: {kind: logistic, inputs: [amount]}
  dark: {kind: half_space_trees, inputs: [amount], role: shadow}
"""
N = 130


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """An engine after payments that were all looked into, every tenth a fraud."""
    folder = tmp_path_factory.mktemp("models")
    bank = small_bank(folder / "bank")
    (bank / "people.yaml").write_text(PEOPLE)
    (bank / "models.yaml").write_text(MODELS)
    with Live(bank, folder / "out", **KEYS) as live:
        for n in range(N):
            id_ = live.send("A1", "900.00" if n % 10 == 0 else "5.00")
            verdict = "fraud" if n % 10 == 0 else "genuine"
            live.send("A1", kind="label", transaction_id=id_, label=verdict, amount=None, type=None)
        live.until(lambda: len(live.decided()) == N)
        yield live


@pytest.fixture
def weir(live, capsys, monkeypatch):
    """Run a verb of `weir models`: status, what it printed as JSON, and errors."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)

    def run(verb, *rest, by=""):
        who = ["--by", by, "--reason", "a test"] if by else []
        status = cli.main(["models", verb, str(live.out), *rest, *who, "--json"])
        told, errors = capsys.readouterr()
        return status, json.loads(told) if told.strip() else None, errors

    return run


def test_models_are_listed_shown_promoted_and_frozen_and_the_folder_says_the_same(
    weir, live, capsys
):
    status, told, _ = weir("list")
    assert status == 0
    assert told["facts"]["champion"] == "fraud"
    assert [(m["model"], m["role"], m["learning"]) for m in told["models"]] == [
        ("fraud", "champion", "online"), ("other", "challenger", "online"), ("dark", "shadow", "online"),
    ]  # fmt: skip
    assert [m["known"] for m in told["models"]] == [N, N, None]
    status, told, _ = weir("promote", "dark", by="wu")
    assert (status, told["what"]) == (1, "`dark` is a shadow")
    status, told, _ = weir("promote", "other", by="wu")
    assert (status, told["state"], told["before"]) == (0, "champion", "fraud")
    status, told, _ = weir("freeze", "fraud", by="wu")
    assert (status, told["state"]) == (0, "frozen")
    asked = weir("list")[1], weir("card", "other")[1]
    card = asked[1]
    assert card["facts"]["role"] == "champion"
    assert card["facts"]["learned from"].startswith(f"{N} labels, {N // 10} of fraud, from ")
    assert card["reads"] == [{"name": "amount", "what_it_is": "field of the message"}]
    [change] = card["changes"]
    assert (change["champion"], change["before"], change["by"]) == ("other", "fraud", "wu")
    assert sum(row["transactions"] for row in card["calibration"]) == N
    assert any("does badly" in remark for remark in card["remarks"])
    assert weir("card", "othr")[0] == 2
    live.stop()
    derived = weir("list")[1], weir("card", "other")[1]
    for told in (*asked, *derived):
        del told["facts"]["core time"]  # a live engine ticks
    assert derived == asked
    assert cli.main(["models", "card", str(live.out), "fraud"]) == 0
    assert "frozen by wu at " in capsys.readouterr().out
    status, _, errors = weir("unfreeze", "fraud", by="wu")
    assert status == 2
    assert "no engine is running" in errors
