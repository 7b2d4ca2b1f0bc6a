"""The fraud desk at a terminal: every verb against a running engine, and what can be looked at without one."""

import csv
import io
import json

import pytest

from engine import cli
from tests.auditing import small_bank
from tests.running import Live

KEYS = {"WEIR_KEY_LI": "l" * 32, "WEIR_KEY_WU": "w" * 32, "WEIR_KEY_MA": "m" * 32}
PEOPLE = """\
signatures: required
people:
  li: {name: Li An, roles: [analyst], keys: {li-1: {key_env: WEIR_KEY_LI}}}
  wu: {name: Wu Bo, roles: [supervisor], keys: {wu-1: {key_env: WEIR_KEY_WU}}}
  ma: {name: Ma Ning, roles: [duty_officer], keys: {ma-1: {key_env: WEIR_KEY_MA}}}
  op: {name: Olga Pi, roles: [operator]}
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """An engine that enforces, with people who must sign, after three payments that restrict their accounts."""
    folder = tmp_path_factory.mktemp("desk")
    bank = small_bank(folder / "bank", effect="enforce")
    (bank / "people.yaml").write_text(PEOPLE)
    with Live(bank, folder / "out", **KEYS) as live:
        for n, amount in ((1, "950.00"), (2, "950.00"), (3, "990.00"), (4, "10.00")):
            live.send(f"A{n}", amount)
        live.until(lambda: len(live.decided()) == 4)
        yield live


@pytest.fixture
def weir(live, capsys, monkeypatch):
    """Run a verb on the engine's folder: status, output (of `--json` as an object) and errors."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)

    def run(group, verb, *rest, by="", out=None):
        who = ["--by", by, "--reason", "a test"] if by else []
        argv = [group, verb, str(out or live.out), *rest, *who]
        status = cli.main([*argv, "--json"])
        told, errors = capsys.readouterr()
        return status, json.loads(told) if told.strip() else None, errors

    return run


def in_force(weir, *entity):
    return weir("account", "show", *entity)[1]["in_force"]


def test_an_account_is_shown_restricted_and_released(weir, live):
    [one] = in_force(weir, "A1")
    assert (one["level"], one["state"], one["by"]) == ("limit", "sent", "BIG-001")
    status, told, _ = weir(
        "account", "restrict", "A4", "--level", "no_debit", "--for", "2h", by="li"
    )
    assert (status, told["ok"], told["state"]) == (0, True, "sent")
    assert [r["level"] for r in in_force(weir, "A4")] == ["no_debit"]
    status, told, _ = weir("account", "restrict", "--card", "C9", "--level", "limit", "--amount", "250.00",
                           "--for", "1d", "--channel", "web", by="wu")  # fmt: skip
    assert status == 0
    assert [(r["amount"], r["channels"]) for r in in_force(weir, "--card", "C9")] == [
        (25_000, "web")
    ]
    status, told, _ = weir("account", "release", "A4", by="li")
    assert (status, told["ok"]) == (1, False)
    assert "legal_basis" in told["what"]
    status, told, _ = weir("account", "release", "A4", "--legal-basis", "contract", by="li")
    assert (status, told["state"]) == (0, "released")
    report = weir("account", "show", "A4")[1]
    assert report["in_force"] == []
    assert [(r["state"], r["released_by"]) for r in report["ended"]] == [("released", "li")]


def test_a_full_freeze_takes_two_people(weir):
    weir("account", "restrict", "A5", "--level", "full_freeze", "--for", "2h", by="li")
    basis = ("--legal-basis", "contract")
    assert weir("account", "release", "A5", *basis, by="li")[1]["awaiting"] == "a second person"
    assert weir("account", "release", "A5", *basis, by="li")[0] == 1
    assert weir("account", "release", "A5", *basis, by="wu")[1]["state"] == "released"


def test_several_restrictions_are_not_released_by_mistake(weir):
    for level in ("no_debit", "no_credit"):
        weir("account", "restrict", "A6", "--level", level, "--for", "2h", by="li")
    status, _, errors = weir("account", "release", "A6", "--legal-basis", "x", by="li")
    assert status == 2
    assert "2 restrictions are in force" in errors
    assert "name one with --id, or add --all" in errors
    [first, second] = in_force(weir, "A6")
    assert (
        weir("account", "release", "A6", "--id", first["id"], "--legal-basis", "x", by="li")[0] == 0
    )
    assert [r["id"] for r in in_force(weir, "A6")] == [second["id"]]


def test_night_duty_lifts_alone_and_somebody_else_signs(weir):
    weir("account", "restrict", "A7", "--level", "full_freeze", "--for", "2h", by="li")
    [one] = in_force(weir, "A7")
    told = weir("account", "release", "A7", "--legal-basis", "x", "--emergency", by="ma")[1]
    assert told["state"] == "released"
    assert weir("restrictions", "countersign", one["id"], by="wu")[1]["is_late"] is False


def test_appeals_are_opened_and_decided(weir):
    weir("account", "restrict", "A8", "--level", "no_debit", "--for", "2h", by="li")
    [one] = in_force(weir, "A8")
    opened = weir("restrictions", "appeal", one["id"], by="li")[1]
    told = weir(
        "restrictions",
        "decide-appeal",
        opened["appeal_id"],
        "granted",
        "--legal-basis",
        "x",
        by="wu",
    )[1]
    assert told["decision"] == "granted"
    assert in_force(weir, "A8") == []


def test_what_a_rule_did_is_released_after_a_dry_run(weir):
    since = ("--since", "2026-01-01T00:00:00Z")
    status, _, errors = weir("restrictions", "release-rule", "BIG-001", by="wu")
    assert (status, "--since" in errors) == (2, True)
    dry = weir("restrictions", "release-rule", "BIG-001", *since, by="wu")[1]
    assert dry["dry_run"] is True
    assert dry["count"] == 3
    listed = weir("restrictions", "list", "--rule", "BIG-001")[1]
    assert [r["id"] for r in listed["in_force"]] == sorted(
        dry["restrictions"], key=[r["id"] for r in listed["in_force"]].index
    )
    told = weir(
        "restrictions",
        "release-rule",
        "BIG-001",
        "--token",
        dry["token"],
        "--legal-basis",
        "x",
        by="wu",
    )[1]
    assert told["released"] == 3
    assert weir("restrictions", "list", "--rule", "BIG-001")[1]["in_force"] == []
    ended = weir("restrictions", "list", "--rule", "BIG-001", "--all")[1]["ended"]
    assert [r["state"] for r in ended] == ["released"] * 3


def test_cases_are_listed_assigned_and_closed_and_verdicts_become_labels(weir, live, capsys):
    found = weir("alerts", "list")[1]["cases"]
    assert [c["money"] for c in found][:1] == ["990.00"], "the highest priority first"
    assert [c["priority"] for c in found][:1] == ["2970.00"]
    case = found[0]["case"]
    shown = weir("alerts", "show", case)[1]
    assert {a["rule"] for a in shown["alerts"]} == {"BIG-001"}
    assert weir("alerts", "show", shown["alerts"][0]["alert"])[1]["facts"]["case"] == case
    assert weir("alerts", "assign", case, "--to", "wu", by="li")[1]["owner"] == "wu"
    assert [c["case"] for c in weir("alerts", "list", "--owner", "wu")[1]["cases"]] == [case]
    before = len(live.lines("delivery"))
    status, told, errors = weir("alerts", "close", case, "--verdict", "fraud", by="wu")
    assert (status, told["labels"], errors) == (0, 1, "")
    live.until(lambda: len(live.lines("delivery")) > before)  # written after the answer
    assert [
        c["verdict"] if "verdict" in c else c["state"]
        for c in weir("alerts", "list", "--state", "closed")[1]["cases"]
    ] == ["closed"]
    assert weir("alerts", "show", case)[1]["facts"]["verdict"] == "fraud"
    assert weir("alerts", "close", case, "--verdict", "fraud", by="wu")[0] == 1
    assert cli.main(["alerts", "export", str(live.out), "--reveal"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["state"] for row in rows if row["case_id"] == case} == {"closed"}
    assert {row["account"] for row in rows if row["case_id"] == case} == {"A3"}
    assert len(rows) == len(live.lines("alerts"))


def test_a_held_transaction_is_resolved(weir, live):
    """A payment above the limit of its account is held."""
    weir("account", "restrict", "B1", "--level", "no_debit", "--for", "2h", by="li")
    held = live.send("B1", "20.00")
    live.until(lambda: held in live.decided())
    assert live.decided()[held]["decision"] == "hold"
    told = weir("transaction", "resolve", held, "approve", "--account", "B1", by="li")[1]
    assert told["outcome"] == "approve"
    status, told, _ = weir("transaction", "resolve", held, "decline", "--account", "B1", by="li")
    assert (status, told["ok"]) == (1, False)
    assert weir("transaction", "challenge-passed", held, "--account", "B1", by="li")[0] == 1


def test_one_person_stops_what_is_sent_and_two_let_it_go_on(weir, live):
    assert weir("mode", "show")[1]["facts"]["effect"] == "enforce"
    assert weir("mode", "observe", by="wu")[1]["effect"] == "observe"
    assert weir("mode", "show")[1]["facts"]["effect"] == "observe"
    weir("account", "restrict", "A9", "--level", "no_debit", "--for", "2h", by="li")
    assert live.lines("commands")[-1]["effect"] == "observe"
    assert weir("mode", "enforce", by="wu")[1]["awaiting"] == "a second person"
    assert weir("mode", "enforce", by="ma")[1]["effect"] == "enforce"
    assert weir("mode", "show")[1]["facts"]["effect"] == "enforce"


def test_who_cannot_sign_gives_no_orders(weir, monkeypatch):
    status, _, errors = weir("mode", "observe", by="op")
    assert (status, "orders must be signed, and `op` has no key" in errors) == (2, True)
    monkeypatch.delenv("WEIR_KEY_LI")
    status, _, errors = weir(
        "account", "restrict", "A1", "--level", "watch", "--for", "1h", by="li"
    )
    assert (status, "the secret of a key cannot be read" in errors) == (2, True)
    status, _, errors = weir(
        "account",
        "restrict",
        "A1",
        "--level",
        "watch",
        "--for",
        "1h",
        "--sign-with",
        "wu-1",
        by="li",
    )
    assert (status, "`li` has no key called `wu-1`" in errors) == (2, True)
    monkeypatch.setenv("WEIR_KEY_LI", "x" * 32)
    status, told, _ = weir("account", "restrict", "A1", "--level", "watch", "--for", "1h", by="li")
    assert (status, "the signature does not match" in told["what"]) == (1, True)


def test_a_folder_without_an_engine_is_shown_and_takes_no_orders(weir, live, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(live.out, copy)
    assert weir("account", "show", "A1", out=copy)[0] == 0
    assert weir("alerts", "list", out=copy)[0] == 0
    assert weir("mode", "show", out=copy)[1]["facts"]["engine"] == "not running"
    status, _, errors = weir("mode", "observe", by="wu", out=copy)
    assert status == 2
    assert "no engine is running on this output folder" in errors
    assert not list((copy / "control").glob("*mode*.json"))


def test_one_entity_is_named_not_none_and_not_two(weir):
    status, _, errors = weir("account", "show")
    assert (status, "one entity must be named" in errors) == (2, True)
    status, _, errors = weir("account", "show", "A1", "--card", "C1")
    assert (status, "not 2" in errors) == (2, True)


def test_people_read_tables(live, capsys, weir):
    weir("account", "restrict", "A1", "--level", "watch", "--for", "1h", by="li")
    assert cli.main(["account", "show", str(live.out), "A1", "--reveal"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("In force: ")
    assert "watch" in text
    argv = ["account", "release", str(live.out), "A1", "--all", "--by", "li", "--reason", "r"]
    assert cli.main(argv) == 1
    assert "refused: `legal_basis` is missing" in capsys.readouterr().err


def test_a_cell_is_no_formula_for_a_spreadsheet():
    from replay.audit.tables import harmless

    assert harmless("=1+1") == "'=1+1"
    assert harmless("@x") == "'@x"
    assert harmless(None) == ""
    assert harmless(17) == "17"
