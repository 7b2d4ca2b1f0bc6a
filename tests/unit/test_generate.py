"""The generated bank: same seed, same bytes; lines that the shipped schema accepts; a truth that fits them."""

import gzip
import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

import config
from config import schema
from config.errors import ConfigError, InputError
from replay.generate import generate
from replay.truth import Truth, truth_path
from replay.typologies import TYPOLOGIES

SHIPPED = Path(config.__file__).parent / "bank" / "schema.yaml"
SMALL = {"accounts": 200, "days": 10, "seed": 7, "attempts": 2}
PROFILE_KEYS = {"kind", "event_time", "account", "customer", "card"}
ENVELOPE = {"kind", "update_id"}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A small clean recording: its events in the order of the file, and the truth."""
    path = tmp_path_factory.mktemp("bank") / "bank.ndjson"
    truth = generate(path, **SMALL)
    return [json.loads(line) for line in path.read_bytes().splitlines()], truth


def transactions(events):
    return [e for e in events if e["kind"] == "transaction"]


def instant(event):
    return datetime.fromisoformat(event["event_time"])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    noise = {"late": 0.01, "duplicates": 0.01, "bad_lines": 0.01}
    paths = [tmp_path / name for name in ("a.ndjson", "b.ndjson", "c.ndjson")]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        generate(path, **SMALL | noise | {"seed": seed})
    a, b, c = ((p.read_bytes(), truth_path(p).read_bytes()) for p in paths)
    assert a == b
    assert a[0] != c[0]
    assert a[1] != c[1]


@pytest.mark.parametrize(
    ("suffix", "unpack"),
    [
        (".gz", gzip.decompress),
        (".zst", lambda b: zstandard.ZstdDecompressor().stream_reader(b).read()),
    ],
)
def test_a_compressed_recording_holds_the_same_lines_and_no_clock(tmp_path, suffix, unpack):
    plain, packed, again = (
        tmp_path / f"{n}.ndjson{s}" for n, s in (("a", ""), ("b", suffix), ("c", suffix))
    )
    for path in (plain, packed, again):
        generate(path, **SMALL | {"days": 3})
    assert unpack(packed.read_bytes()) == plain.read_bytes()
    assert packed.read_bytes() == again.read_bytes()
    if suffix == ".gz":
        assert packed.read_bytes()[3:8] == bytes(5)  # no name, no time


def test_lines_stand_in_order_of_arrival_and_few_are_out_of_order_within_the_lateness(recording):
    newest, delays = None, []
    for event in recording[0]:
        newest = max(newest or instant(event), instant(event))
        if instant(event) < newest:
            assert event["kind"] == "transaction"
            delays.append((newest - instant(event)).total_seconds())
    n = len(transactions(recording[0]))
    assert 0.005 * n < len(delays) < 0.02 * n
    assert max(delays) < 15 * 60


def test_in_a_recording_without_delays_event_times_never_go_back(tmp_path):
    generate(tmp_path / "a.ndjson", **SMALL | {"out_of_order": 0.0})
    times = [json.loads(line)["event_time"] for line in (tmp_path / "a.ndjson").open()]
    assert times == sorted(times)


def test_late_rows_are_later_than_the_lateness(tmp_path):
    generate(tmp_path / "a.ndjson", **SMALL | {"out_of_order": 0.0, "late": 0.02})
    newest, n_late = None, 0
    for line in (tmp_path / "a.ndjson").open():
        event = json.loads(line)
        newest = max(newest or instant(event), instant(event))
        n_late += (newest - instant(event)).total_seconds() > 15 * 60
    assert n_late > 50


def test_every_field_and_value_is_known_to_the_shipped_schema(recording):
    shipped = schema.read(SHIPPED)
    columns = {c.name: c for c in shipped.columns.values()}
    for event in recording[0]:
        if event["kind"] == "profile":
            entity = next(e for e in ("card", "account", "customer") if e in event)
            rest = event.keys() - PROFILE_KEYS | (
                PROFILE_KEYS & event.keys() - {"kind", "event_time", entity}
            )
            assert all(f"{entity}.{key}" in columns for key in rest), event
            continue
        for key in event.keys() - ENVELOPE:
            column = columns[key]
            if column.allowed:
                assert event[key] in column.allowed, (key, event[key])
        if event["kind"] in ("transaction", "activity"):
            assert shipped.kind_of(event["type"]) == event["kind"]
        if event["kind"] == "transaction":
            needed = {
                c.name for c in columns.values() if c.required or event["type"] in c.required_for
            }
            assert needed <= event.keys()
            whole, cents = event["amount"].split(".")
            assert whole.isdigit()
            assert len(cents) == 2


def test_identities_are_unique_and_later_messages_name_a_transaction_that_came_before(recording):
    seen = set()
    for event in recording[0]:
        identity = (event.get("account"), event.get("transaction_id"))
        if event["kind"] == "transaction":
            assert identity not in seen
            seen.add(identity)
            if event["type"] == "refund":
                assert (event["account"], event["original_transaction_id"]) in seen
        elif event["kind"] in ("label", "update"):
            assert identity in seen
    kinds = Counter(e["kind"] for e in recording[0])
    assert all(kinds[k] for k in ("transaction", "activity", "profile", "label", "update")), kinds


def test_balances_follow_from_what_moved(recording):
    """In order of event time, the balance before a transaction is the one before it and what moved."""
    expected = {}
    for event in sorted(transactions(recording[0]), key=lambda e: e["transaction_id"]):
        before = round(float(event["balance_before"]) * 100)
        assert expected.get(event["account"], before) == before
        cents = round(float(event["amount"]) * 100) * (1 if event["direction"] == "in" else -1)
        expected[event["account"]] = before + (0 if event["status"] == "declined" else cents)


def test_the_truth_names_transactions_of_the_recording_and_stands_in_no_event(recording):
    events, truth = recording
    by_id = {(e["account"], e["transaction_id"]): e for e in transactions(events)}
    for mark in truth.marks:
        event = by_id[mark.account, mark.transaction_id]
        assert (event["amount"], event["event_time"]) == (mark.amount, mark.event_time)
    assert {m.typology for m in truth.marks} == {t.name for t in TYPOLOGIES}
    assert not {"attempt", "typology", "is_honest"} & {key for e in events for key in e}
    assert truth.n_lines == len(events)
    assert truth.n_transactions == len(by_id)


def test_labels_say_what_the_truth_says_and_come_hours_later(recording):
    events, truth = recording
    fraud = {(m.account, m.transaction_id) for m in truth.marks if not m.is_honest}
    at = {(e["account"], e["transaction_id"]): instant(e) for e in transactions(events)}
    labels = [e for e in events if e["kind"] == "label"]
    for label in labels:
        identity = (label["account"], label["transaction_id"])
        assert (label["label"] == "fraud") == (identity in fraud)
        assert (instant(label) - at[identity]).total_seconds() >= 2 * 3600
    assert {label["label"] for label in labels} == {"fraud", "genuine"}


def test_each_attempt_looks_like_its_kind(recording):
    """The facts that a rule would look for are there, read off the events alone."""
    events, truth = recording
    by_id = {e["transaction_id"]: e for e in transactions(events)}
    for name, marks in truth.attempts.items():
        rows = [by_id[m.transaction_id] for m in marks]
        kind = name.rsplit("-", 1)[0]
        money = [m for m in marks if m.is_money]
        if kind == "card_testing":
            assert sum(float(r["amount"]) < 5 for r in rows) >= 6
            assert len({r["card"] for r in rows}) == 1
            assert money
        elif kind == "structuring":
            assert all(9_000 <= float(r["amount"]) < 10_000 for r in rows)
        elif kind == "mule":
            incoming = [r for r in rows if r["direction"] == "in"]
            assert len({r["counterparty"] for r in incoming}) >= 5
            passed = sum(float(m.amount) for m in money) / sum(float(r["amount"]) for r in incoming)
            assert 0.9 < passed < 1.0
        elif kind == "shared_device":
            assert len({r["device"] for r in rows}) == 1
            assert len({r["account"] for r in rows}) >= 6
        elif kind == "dormant_drain":
            first = min(rows, key=lambda r: r["event_time"])
            earlier = [e for e in transactions(events) if e["account"] == first["account"]]
            assert min(e["event_time"] for e in earlier) == first["event_time"]


def test_a_truth_file_reads_back_and_a_damaged_one_names_its_line(recording, tmp_path):
    path = tmp_path / "x.truth.ndjson"
    recording[1].write(path)
    assert Truth.read(path).marks == recording[1].marks
    path.write_bytes(path.read_bytes().splitlines()[0] + b"\n{}\n")
    with pytest.raises(InputError, match=r"x\.truth\.ndjson:2: not a line of a truth file"):
        Truth.read(path)


def test_duplicates_repeat_a_line_later_and_bad_lines_are_extra(tmp_path):
    """Without second copies and lines that cannot be read, the noisy recording is the clean one."""
    clean = generate(tmp_path / "a.ndjson", **SMALL)
    noisy = generate(tmp_path / "b.ndjson", **SMALL | {"duplicates": 0.01, "bad_lines": 0.01})
    clean_lines = (tmp_path / "a.ndjson").read_bytes().splitlines()
    noisy_lines = (tmp_path / "b.ndjson").read_bytes().splitlines()
    known = set(clean_lines)
    good = [line for line in noisy_lines if line in known]
    assert list(dict.fromkeys(good)) == clean_lines
    n = clean.n_transactions
    assert noisy.n_transactions == n
    assert noisy.n_lines == len(noisy_lines)
    assert 0.005 * n < len(good) - len(clean_lines) < 0.02 * n
    assert 0.005 * n < len(noisy_lines) - len(good) < 0.02 * n


@pytest.mark.parametrize("wrong", [{"accounts": 10}, {"days": 2}, {"rate": 0.0}, {"late": 0.9}])
def test_impossible_wishes_are_refused_with_a_reason(tmp_path, wrong):
    with pytest.raises(ConfigError) as caught:
        generate(tmp_path / "a.ndjson", **SMALL | wrong)
    assert next(iter(wrong)) in caught.value.what
    assert caught.value.fix
