"""A page about a recording says what a plain count of its messages says, whatever the form of the file."""

import gzip
import itertools
import json
import math
import os
from collections import Counter, defaultdict
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from config.errors import InputError
from engine.cli import main
from replay.bank.describe import Bins, describe, page
from replay.bank.truth import Truth
from replay.generate import generate

SHANGHAI = ZoneInfo("Asia/Shanghai")
SMALL = {"accounts": 250, "days": 6, "seed": 3, "late": 0.01}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One recording in three forms, with the truth beside it."""
    folder = tmp_path_factory.mktemp("bank")
    for suffix in ("ndjson", "ndjson.zst", "parquet"):
        generate(folder / f"bank.{suffix}", **SMALL)
    return folder


@pytest.fixture(scope="module")
def messages(folder):
    return [json.loads(line) for line in (folder / "bank.ndjson").read_bytes().splitlines()]


def instant(message):
    return datetime.fromisoformat(message["event_time"])


def close(found, values, share):
    """A quantile of bins is one of `values` near that rank, to a quarter of a percent."""
    exact = sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
    return found == pytest.approx(exact, rel=0.003)


@pytest.mark.parametrize("suffix", ["ndjson.zst", "parquet"])
def test_the_form_of_the_file_makes_no_difference(folder, suffix):
    plain, other = (page(describe(folder / f"bank.{s}")) for s in ("ndjson", suffix))
    assert plain.splitlines()[1:] == other.splitlines()[1:]


def test_messages_and_parties_are_counted(folder, messages):
    found = describe(folder / "bank.ndjson")
    names = {"update": "status", "label": "label"}
    assert found.by_type == Counter(
        (m["kind"], m.get(names.get(m["kind"], "type"), "")) for m in messages
    )
    assert found.n_lines == len(messages)
    for party, seen in found.parties.items():
        assert seen == {m[party] for m in messages if party in m}


def test_amounts_are_those_of_each_type_and_currency(folder, messages):
    amounts = defaultdict(list)
    for m in messages:
        if m["kind"] == "transaction":
            amounts[m["type"], m["currency"]].append(float(m["amount"]))
    found = describe(folder / "bank.ndjson").amounts
    assert found.keys() == amounts.keys()
    for key, values in amounts.items():
        assert found[key].n == len(values)
        assert found[key].greatest == max(values)
        for share in (0.1, 0.5, 0.95, 1.0):
            assert close(found[key].quantile(share), values, share), (key, share)


def test_hours_and_weekdays_are_local(folder, messages):
    found = describe(folder / "bank.ndjson")
    local = [instant(m).astimezone(SHANGHAI) for m in messages if m["kind"] == "transaction"]
    assert dict(enumerate(found.hours.tolist())) == {
        h: sum(t.hour == h for t in local) for h in range(24)
    }
    assert found.weekdays.tolist() == [sum(t.weekday() == d for t in local) for d in range(7)]
    half = describe(folder / "bank.ndjson", zone="Asia/Kolkata")
    there = [t.astimezone(ZoneInfo("Asia/Kolkata")) for t in local]
    assert half.hours.tolist() == [sum(t.hour == h for t in there) for h in range(24)]


def test_what_is_behind_the_newest_before_it_is_out_of_order(folder, messages):
    found, newest, behind = describe(folder / "bank.ndjson"), None, []
    for m in messages:
        if m["kind"] == "transaction":
            newest = max(newest or instant(m), instant(m))
            behind.append((newest - instant(m)).total_seconds())
    assert found.behind_s.n == sum(b > 0 for b in behind) > 0
    assert found.behind_s.greatest == max(behind)
    assert found.n_late == sum(b > 900 for b in behind) > 0


def test_gaps_are_between_transactions_of_one_account(tmp_path, messages):
    """In order of time: rows that arrive out of order are left aside here."""
    of_account, lines, newest = defaultdict(list), [], None
    for m in messages:
        if m["kind"] == "transaction":
            if newest is not None and instant(m) < newest:
                continue
            newest = instant(m)
            of_account[m["account"]].append(newest)
            lines.append(json.dumps(m))
    (tmp_path / "a.ndjson").write_text("\n".join(lines))
    gaps = [
        (b - a).total_seconds()
        for times in of_account.values()
        for a, b in itertools.pairwise(times)
    ]
    gaps = [gap for gap in gaps if gap > 0]
    found = describe(tmp_path / "a.ndjson").gaps_s
    assert found.n == len(gaps)
    for share in (0.1, 0.5, 0.9):
        assert close(found.quantile(share), gaps, share)


def test_delays_of_labels_are_counted_from_their_transactions(folder, messages):
    found = describe(folder / "bank.ndjson")
    at = {
        (m["account"], m["transaction_id"]): instant(m)
        for m in messages
        if m["kind"] == "transaction"
    }
    delays, last = defaultdict(list), {}
    for m in messages:
        if m["kind"] == "label":
            key = (m["account"], m["transaction_id"])
            delays[m["label"]].append((instant(m) - at[key]).total_seconds())
            last[key] = m["label"]
    assert found.delays_s.keys() == delays.keys()
    for verdict, values in delays.items():
        assert found.delays_s[verdict].n == len(values)
        assert found.delays_s[verdict].greatest == max(values)
    assert found.n_called_fraud == sum(label == "fraud" for label in last.values()) > 0


def test_the_truth_beside_it_is_told_and_its_absence_is_no_error(folder, tmp_path):
    told = page(describe(folder / "bank.ndjson"))
    assert "by truth" in told
    marks = Truth.read(folder / "bank.truth.ndjson").marks
    assert f"by truth     {sum(not m.is_honest for m in marks):,} transactions are fraud" in told
    for (honest, typology), n in Counter((m.is_honest, m.typology) for m in marks).items():
        (line,) = (x for x in told.splitlines() if x.split()[1:2] == [typology])
        assert line.split()[0] == ("honest" if honest else "fraud")
        assert line.split()[-1] == f"{n:,}"
    (tmp_path / "a.ndjson").write_bytes((folder / "bank.ndjson").read_bytes())
    without = page(describe(tmp_path / "a.ndjson"))
    assert "by truth" not in without
    assert without.splitlines()[1:] == told.split("\n\nby truth")[0].splitlines()[1:]


FOREIGN = [
    {"transaction_id": "1", "event_time": "2026-03-02T08:30:00+08:00", "account": "A", "amount": 12.5, "currency": "EUR", "type": "payment"},
    {"transaction_id": "2", "event_time": 1_772_411_461_000, "account": "A", "amount": "1000", "currency": "JPY", "type": "card_auth", "device": "D", "more": [1]},
    {"kind": "transaction", "transaction_id": "3", "event_time": "2026-03-02T00:31:00.5Z", "account": "B", "amount": "x", "currency": "EUR", "type": "payment"},
    {"kind": "label", "transaction_id": "1", "event_time": "2026-03-04T00:30:00Z", "account": "A", "label": "genuine"},
    {"kind": "label", "transaction_id": "1", "event_time": "2026-03-03T00:30:00Z", "account": "A", "label": "fraud"},
    {"kind": "label", "transaction_id": "9", "event_time": "2026-03-03T00:30:00Z", "account": "A", "label": "fraud"},
    {"kind": "update", "transaction_id": "2", "update_id": "u", "account": "A", "status": "reversed", "event_time": "2026-03-02T01:00:00Z"},
    {"kind": "profile", "account": "A", "customer": "K", "event_time": "when?"},
]  # fmt: skip


def test_a_foreign_recording_reads_like_this(tmp_path, golden):
    """Texts, numbers and epoch milliseconds, unknown keys, a lost amount, no kind, lines that are no JSON."""
    lines = [json.dumps(m).encode() for m in FOREIGN] + [b"{", b"", b"\xff", b"[1]"]
    path = tmp_path / "foreign.ndjson.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    found = describe(path)
    assert (found.n_lines, found.n_unreadable, found.n_without_amount) == (12, 4, 1)
    assert (found.n_called_fraud, found.n_unlinked) == (0, 1)
    size = f"{path.stat().st_size / 1e6:,.1f}"
    golden("describe/foreign", page(found).replace(f" {size} MB", " SIZE MB") + "\n")


def test_timestamps_of_a_table_may_have_a_zone(tmp_path):
    at = pa.array([1_772_411_461_000_000], pa.timestamp("us", "Asia/Tokyo"))
    table = pa.table(
        {
            "event_time": at,
            "account": ["A"],
            "amount": [1.5],
            "currency": ["EUR"],
            "type": ["payment"],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = describe(tmp_path / "a.parquet")
    assert found.first_us == found.last_us == 1_772_411_461_000_000
    assert found.amounts["payment", "EUR"].greatest == 1.5


def test_bins_know_quantiles_to_a_quarter_of_a_percent():
    rng = np.random.default_rng(1)
    values = np.concatenate([np.exp(rng.normal(5, 3, 4_000)), np.zeros(100)])
    bins = Bins()
    for part in np.array_split(values, 7):
        bins.add(part)
    assert bins.n == 4_100
    assert bins.quantile(0.01) == 0.0
    for share in (0.03, 0.5, 0.99, 1.0):
        assert close(bins.quantile(share), values.tolist(), share)


def test_a_file_that_is_not_there_or_no_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        describe(tmp_path / "a.ndjson")
    (tmp_path / "a.parquet").write_bytes(b"no table")
    with pytest.raises(InputError, match="not a Parquet file"):
        describe(tmp_path / "a.parquet")


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_packed_file_that_ends_early_is_refused(tmp_path, ending):
    path = tmp_path / f"a.ndjson.{ending}"
    pack = gzip.compress if ending == "gz" else zstandard.ZstdCompressor().compress
    path.write_bytes(pack(os.urandom(9_000).hex().encode())[:-9])
    with pytest.raises(InputError, match="the file is damaged") as caught:
        describe(path)
    assert str(path) in caught.value.where
    assert caught.value.fix


def test_a_table_of_other_things_is_refused_or_told_as_text(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"account": [[1], [2]]}), path)
    with pytest.raises(InputError, match="`account` holds list"):
        describe(path)
    pq.write_table(pa.table({"label": [b"\xff"]}), path)
    with pytest.raises(InputError, match="`label` holds binary"):
        describe(path)
    columns = {"kind": [1, 2], "account": [7, 8], "type": [True, None], "event_time": [1.5, None]}
    pq.write_table(pa.table(columns), path)
    assert describe(path).parties["account"] == {"7", "8"}
    assert page(describe(path))


def test_a_table_with_damaged_pages_is_refused(folder, tmp_path):
    path = tmp_path / "a.parquet"
    data = bytearray((folder / "bank.parquet").read_bytes())
    data[100 : len(data) // 2] = bytes(len(data) // 2 - 100)
    path.write_bytes(data)
    with pytest.raises(InputError, match="the file is damaged"):
        describe(path)


def test_amounts_beyond_all_numbers_are_none(tmp_path):
    path = tmp_path / "a.ndjson"
    amounts = ['"inf"', '"nan"', '"1e400"', "1e308", '"-inf"', '"12.50"']
    path.write_text("".join(f'{{"event_time":0,"account":"A","amount":{a}}}\n' for a in amounts))
    found = describe(path)
    assert found.n_without_amount == 5
    assert found.amounts["", ""].greatest == 12.5


def test_the_command_prints_the_page(folder, capsys):
    assert main(["generate", "--describe", str(folder / "bank.parquet")]) == 0
    assert capsys.readouterr().out == page(describe(folder / "bank.parquet")) + "\n"
