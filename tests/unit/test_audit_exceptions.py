"""What did not take its usual course: every kind is counted, periods cut by core time, nobody is named."""

import collections
import json

import pytest

from config.errors import InputError
from config.settings import BANK
from engine import cli
from replay.audit import exceptions, records, veil
from replay.audit.records import Seqs
from tests.auditing import HOUR, START, decision, write


@pytest.fixture
def folder(tmp_path):
    """A folder with one of each kind, and three hours of decisions."""
    return write(
        tmp_path,
        decisions=[
            decision(0),
            decision(1, excepted=[["R1", "EX-1"]], suppressed=[["R2", "s-1"]]),
            decision(2, HOUR, undecided=[["R3", "lat"], ["R4", "lat"]]),
            decision(3, HOUR, reasons=["CAP_REACHED"], decision="review"),
            decision(5, HOUR - 5, late=True, reasons=["LATE"]),
            decision(6, 2 * HOUR, reasons=["UNSCORABLE"], decision="review"),
            decision(7, 2 * HOUR, reasons=["FX_RATE_MISSING"], decision="review"),
            decision(9, 3 * HOUR, suppressed=[["R2", "s-1"]]),
        ],
        alerts=[
            {"alert_id": "a", "kind": "rule", "seq": 3, "rule": "R9"},
            {
                "alert_id": "a-1",
                "kind": "operational",
                "seq": 3,
                "reason": "CAP_REACHED",
                "title": "Limit reached: 72h in 30d by automation on account A3; and so on",
                "core_time": "2026-03-02T11:00:00Z",
                "cap": "automation:account:A3",
            },
            {
                "kind": "suppressed",
                "seq": 4,
                "rule": "R2",
                "suppression_id": "s-1",
                "account": "A4",
            },
        ],
        dead_letters=[
            {
                "seq": 8,
                "position": "x:9",
                "reason": "wrong_amount",
                "what": "`amount` of `A8`, was 1",
            }
        ],
        duplicates=[{"seq": 4, "transaction_id": "t-1", "account": "A1", "first_seq": 1}],
    )


def counts(report):
    return {name: n for name, n in report.facts.items() if n}


def test_every_kind_is_counted_by_rule_and_reason(folder):
    report = exceptions.report(folder, Seqs(), most=9)
    expected = {"excepted": 1, "suppressed": 3, "undecided": 2, "capped": 1, "late": 1}
    expected |= {"unscorable": 1, "no_rate": 1, "dead_letter": 1, "duplicate": 1}
    assert counts(report) == expected
    table = {row[:3]: row[3] for row in report.sections[0].rows}
    assert table["suppressed", "R2", "s-1"] == 3
    assert table["undecided", "R4", "lat"] == 1
    assert table["dead_letter", "wrong_amount", ""] == 1
    assert report.sections[1].rows[0][2] == "automation:account:A3"


def test_a_period_is_one_of_core_time_and_a_late_row_counts_when_it_came(folder):
    """Row 5 happened before 11:00 and came after: core time was 11:00 by then."""
    seqs = records.seqs_of(folder, START + HOUR, START + 2 * HOUR)
    assert (seqs.first, seqs.end) == (2, 6)
    report = exceptions.report(folder, seqs, most=9)
    assert counts(report) == {
        "undecided": 2,
        "capped": 1,
        "late": 1,
        "duplicate": 1,
        "suppressed": 1,
    }
    assert records.seqs_of(folder, *records.period_us("2026-03-03", "", "")).first == records.END


def test_rows_left_out_are_still_counted(folder):
    report = exceptions.report(folder, Seqs(), most=1)
    suppressed = next(s for s in report.sections if s.key == "suppressed")
    assert (len(suppressed.rows), suppressed.left_out) == (1, 2)
    assert "... and 2 more: --records all shows them" in report.as_text()


def test_no_personal_value_is_shown_unless_revealed(folder, capsys, monkeypatch):
    stored = folder / "config" / "ab"
    stored.mkdir(parents=True)
    (stored / "schema.yaml").write_bytes((BANK / "schema.yaml").read_bytes())
    monkeypatch.delenv("WEIR_PSEUDONYM_KEY", raising=False)
    assert cli.main(["audit", "exceptions", str(folder)]) == 0
    hidden = capsys.readouterr().out
    assert not [account for account in ("A1", "A2", "A3", "A4", "A8") if account in hidden]
    assert "Personal values are hidden" in hidden
    monkeypatch.setenv("WEIR_PSEUDONYM_KEY", "x" * 32)
    cli.main(["audit", "exceptions", str(folder)])
    shown = capsys.readouterr().out
    assert "p-" in shown
    assert not [account for account in ("A1", "A2", "A3", "A4", "A8") if account in shown]
    cli.main(["audit", "exceptions", str(folder), "--reveal"])
    revealed = capsys.readouterr().out
    assert all(account in revealed for account in ("A1", "A2", "A3", "A4", "A8"))
    calls = [json.loads(line) for line in (folder / "access.ndjson").read_text().splitlines()]
    assert [call["arguments"].get("reveal", False) for call in calls] == [False, False, True]


def test_a_line_that_is_no_record_is_named(folder):
    with (folder / "decisions.ndjson").open("a") as file:
        file.write("{broken\n")
    with pytest.raises(InputError, match=r"decisions\.ndjson:9: the line cannot be read"):
        exceptions.report(folder, Seqs(), most=1, veil=veil.PLAIN)


@pytest.mark.parametrize("options", [["--day", "monday"], ["--day", "2026-03-02", "--to", "2027"]])
def test_a_period_that_is_none_is_refused(folder, options, capsys):
    assert cli.main(["audit", "exceptions", str(folder), *options]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_counts_are_those_of_a_generated_day(tmp_path, capsys):
    """Over the folder of a real replay, counted again from the lines by other means."""
    generated, out = tmp_path / "day.ndjson", tmp_path / "out"
    faults = ["--late", "0.02", "--duplicates", "0.02", "--bad-lines", "0.01"]
    size = ["--accounts", "60", "--days", "3", "--seed", "3"]
    assert cli.main(["generate", "--out", str(generated), *size, *faults]) == 0
    assert cli.main(["replay", str(generated), "--out", str(out)]) == 0
    capsys.readouterr()
    assert cli.main(["audit", "exceptions", str(out), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    expected = collections.Counter()
    for line in (out / "decisions.ndjson").read_text().splitlines():
        record = json.loads(line)
        for kind in ("excepted", "suppressed", "undecided"):
            expected[kind] += len(record[kind])
        expected["late"] += record["late"]
    expected["dead_letter"] = len((out / "dead_letters.ndjson").read_text().splitlines())
    expected["duplicate"] = len((out / "duplicates.ndjson").read_text().splitlines())
    assert min(expected[kind] for kind in ("late", "dead_letter", "duplicate")) > 0
    assert {k: told["facts"][k] for k in expected} == dict(expected)
