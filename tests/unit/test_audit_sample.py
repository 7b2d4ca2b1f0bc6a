"""Cases just under a threshold: exactly those that fire once the number is moved, nearest first."""

import json
from decimal import Decimal

import pytest

from config.errors import ConfigError, InputError
from engine import cli
from replay.audit import sample
from replay.audit.records import END, Seqs
from tests.auditing import replayed

ALL = Seqs()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return replayed(tmp_path_factory.mktemp("sample"), 600, stops=2)


@pytest.fixture(scope="module")
def decided(folder):
    """Transaction id -> (seq, amount in fen, channel) of every decided payment, read from recording and decisions."""
    traffic = folder.parent / "traffic.ndjson"
    sent = {}
    for line in traffic.read_bytes().splitlines():
        record = json.loads(line)
        if record.get("kind") != "label":
            sent.setdefault(record["transaction_id"], record)
    found = {}
    for line in (folder / "decisions.ndjson").read_bytes().splitlines():
        decision = json.loads(line)
        record = sent[decision["transaction_id"]]
        try:
            amount = Decimal(record["amount"])
        except ArithmeticError:
            continue
        found[decision["transaction_id"]] = (decision["seq"], amount, record.get("channel"))
    return found


def seqs_of(answer):
    at = answer.sections[0].columns.index("seq")
    return [row[at] for row in answer.sections[0].rows]


def test_every_row_that_a_fifth_would_make_fire_is_there_and_no_other(folder, decided):
    """BIG-001: amount >= 900 CNY, not by web. A fifth below is 720."""
    answer = sample.report(folder, ALL, "BIG-001", Decimal("0.2"), most=10_000)
    expected = {
        seq for seq, amount, channel in decided.values() if 720 <= amount < 900 and channel != "web"
    }
    assert len(expected) > 30
    assert set(seqs_of(answer)) == expected
    assert answer.facts["near"] == len(expected)


def test_the_nearest_come_first_and_each_says_where_it_would_fire(folder, decided):
    answer = sample.report(folder, ALL, "BIG-001", Decimal("0.2"), most=10_000)
    amounts = {seq: amount for seq, amount, _ in decided.values()}
    short = [Decimal(str(row[0]).rstrip("%")) for row in answer.sections[0].rows]
    assert short == sorted(short)
    for row, seq in zip(answer.sections[0].rows, seqs_of(answer), strict=True):
        fires_at = Decimal(str(row[3]).removesuffix(" CNY").replace("_", ""))
        assert fires_at <= amounts[seq] < fires_at + 9, "steps are of a hundredth"
        assert row[1:3] == ("param big", "900 CNY")
        assert f"amount {amounts[seq]:.2f} CNY" in str(row[9])


def test_a_few_of_many_are_the_nearest_ones(folder):
    whole = sample.report(folder, ALL, "BIG-001", Decimal("0.2"), most=10_000)
    few = sample.report(folder, ALL, "BIG-001", Decimal("0.2"), most=5)
    assert few.sections[0].rows == whole.sections[0].rows[:5]
    assert few.sections[0].left_out == len(whole.sections[0].rows) - 5


def test_a_period_is_derived_from_the_snapshot_before_it(folder):
    whole = sample.report(folder, ALL, "BIG-001", Decimal("0.2"), most=10_000)
    part = sample.report(folder, Seqs(400, 500), "BIG-001", Decimal("0.2"), most=10_000)
    assert part.sections[0].rows == [
        row
        for row, seq in zip(whole.sections[0].rows, seqs_of(whole), strict=True)
        if 400 <= seq < 500
    ]


def test_counts_move_by_at_least_one_and_spans_of_windows_do_not(folder):
    answer = sample.report(folder, ALL, "FAST-002", Decimal("0.2"), most=10_000)
    assert answer.facts["near"] > 0
    assert {row[1:4] for row in answer.sections[0].rows} == {("when", "4", "3")}
    assert {row[0] for row in answer.sections[0].rows} == {"25.0%"}
    assert "Not moved, because they stand inside windows: feature fast_1h 1h" in answer.remarks[0]


def test_a_rule_that_is_not_there_and_a_share_that_is_none_are_refused(folder, capsys):
    with pytest.raises(ConfigError, match="there is no rule `NO-SUCH`"):
        sample.report(folder, ALL, "NO-SUCH", Decimal("0.2"), most=5)
    for text in ("0%", "x", "200%"):
        with pytest.raises(InputError, match="must be a share"):
            sample.share_of(text)
    assert sample.share_of("20%") == sample.share_of("0.2")
    assert END > 0
    command = ["audit", "sample", str(folder), "--rule", "BIG-001", "--records", "3"]
    assert cli.main(command) == 0
    assert "Just under BIG-001, nearest first" in capsys.readouterr().out
