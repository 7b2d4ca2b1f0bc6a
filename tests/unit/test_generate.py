"""The generated bank: same seed, same bytes; messages that the shipped schema accepts; a truth that fits them."""

import gzip
import json
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard

import config
from config import schema
from config.errors import ConfigError, InputError
from engine.app import Job, execute
from engine.brokers.files import FileSource
from engine.cli import main
from replay.bank import table
from replay.bank.aftermath import Followers
from replay.bank.plan import Attempt
from replay.bank.population import make_population
from replay.bank.recording import Noise, Recording
from replay.bank.table import LABEL_COLUMNS, UPDATE_COLUMNS, Table
from replay.bank.truth import Truth, truth_path
from replay.bank.typologies import TYPOLOGIES
from replay.generate import accounts_of, generate
from tests.banking import shipped_setup

SHIPPED = Path(config.__file__).parent / "bank" / "schema.yaml"
SMALL = {"accounts": 400, "days": 12, "seed": 7}
TINY = {"accounts": 80, "days": 4, "seed": 7}
TROUBLE = {"late": 0.01, "duplicates": 0.01, "bad_lines": 0.01}
PROFILE_KEYS = {"kind", "event_time", "account", "customer", "card"}
ENVELOPE = {"kind", "update_id"}
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A small recording without copies or broken lines: its messages in the order of the file, and the truth."""
    path = tmp_path_factory.mktemp("bank") / "bank.ndjson"
    truth = generate(path, **SMALL)
    return [json.loads(line) for line in path.read_bytes().splitlines()], truth


def transactions(messages):
    return [m for m in messages if m["kind"] == "transaction"]


def instant(message):
    return datetime.fromisoformat(message["event_time"])


def identity(message):
    return message["account"], message["transaction_id"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path):
    paths = [tmp_path / name for name in ("a.ndjson", "b.ndjson", "c.ndjson")]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        generate(path, **TINY | TROUBLE | {"seed": seed})
    a, b, c = ((p.read_bytes(), truth_path(p).read_bytes()) for p in paths)
    assert a == b
    assert a[0] != c[0]
    assert a[1] != c[1]


def test_two_parquet_files_of_one_seed_have_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        generate(tmp_path / f"{name}.parquet", **TINY)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


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
        generate(path, **TINY)
    assert unpack(packed.read_bytes()) == plain.read_bytes()
    assert packed.read_bytes() == again.read_bytes()
    if suffix == ".gz":
        assert packed.read_bytes()[3:8] == bytes(5)  # no name, no time


def test_a_parquet_recording_is_decided_as_the_lines_are(tmp_path):
    outcomes = []
    for suffix in ("ndjson", "parquet"):
        path, out = tmp_path / f"bank.{suffix}", tmp_path / f"out_{suffix}"
        generate(path, **TINY | {"late": 0.01, "duplicates": 0.01})
        setup = shipped_setup()
        job = Job(setup, out, setup.configuration.settings.rows_max, inputs=(path.name,))
        summary = execute(job, FileSource([path], setup.feed, setup.schema))
        assert not summary.get("dead_letters")
        names = ("decisions", "alerts", "commands", "duplicates")
        outcomes.append({n: (out / f"{n}.ndjson").read_bytes() for n in names})
    assert outcomes[0] == outcomes[1]
    assert all(outcomes[0][name] for name in ("decisions", "duplicates"))


def test_lines_stand_in_order_of_arrival_and_few_are_out_of_order_within_the_lateness(recording):
    newest, delays = None, []
    for message in recording[0]:
        newest = max(newest or instant(message), instant(message))
        if instant(message) < newest:
            assert message["kind"] == "transaction"
            delays.append((newest - instant(message)).total_seconds())
    n = len(transactions(recording[0]))
    assert 0.005 * n < len(delays) < 0.02 * n
    assert max(delays) < 15 * 60


def test_in_a_recording_without_delays_event_times_never_go_back(tmp_path):
    generate(tmp_path / "a.ndjson", **TINY | {"out_of_order": 0.0})
    times = [json.loads(line)["event_time"] for line in (tmp_path / "a.ndjson").open()]
    assert times == sorted(times)


def test_late_rows_are_later_than_the_lateness(tmp_path):
    generate(tmp_path / "a.ndjson", **TINY | {"out_of_order": 0.0, "late": 0.05})
    newest, n_late = None, 0
    for line in (tmp_path / "a.ndjson").open():
        message = json.loads(line)
        newest = max(newest or instant(message), instant(message))
        n_late += (newest - instant(message)).total_seconds() > 15 * 60
    assert n_late > 30


def test_the_days_begin_and_end_at_midnight_in_shanghai(recording, tmp_path):
    times = [m["event_time"] for m in recording[0] if m["kind"] != "profile"]
    assert min(times) >= "2026-03-01T16:00"
    assert max(times) < "2026-03-13T16:00"
    generate(tmp_path / "a.ndjson", **TINY | {"start": "2025-10-01"})
    first = json.loads((tmp_path / "a.ndjson").open().readline())
    assert first["event_time"] == "2025-09-30T16:00:00.000Z"


def test_every_field_and_value_is_known_to_the_shipped_schema(recording):
    shipped = schema.read(SHIPPED)
    columns = {c.name: c for c in shipped.columns.values()}
    for message in recording[0]:
        if message["kind"] == "profile":
            entity = next(e for e in ("card", "account", "customer") if e in message)
            rest = message.keys() - {"kind", "event_time", entity}
            assert all(f"{entity}.{key}" in columns for key in rest), message
            continue
        for key in message.keys() - ENVELOPE:
            column = columns[key]
            if column.allowed:
                assert message[key] in column.allowed, (key, message[key])
        if message["kind"] in ("transaction", "activity"):
            assert shipped.kind_of(message["type"]) == message["kind"]
        if message["kind"] == "transaction":
            needed = {
                c.name for c in columns.values() if c.required or message["type"] in c.required_for
            }
            assert needed <= message.keys()


def test_identities_are_unique_and_later_messages_name_a_transaction_that_came_before(recording):
    seen, update_ids = set(), set()
    for message in recording[0]:
        if message["kind"] == "transaction":
            assert identity(message) not in seen
            seen.add(identity(message))
        elif message["kind"] in ("label", "update"):
            assert identity(message) in seen
        if message["kind"] == "update":
            assert message["update_id"] not in update_ids
            update_ids.add(message["update_id"])
    kinds = Counter(m["kind"] for m in recording[0])
    assert all(kinds[k] for k in ("transaction", "activity", "profile", "label", "update")), kinds


def test_refunds_of_everyday_life_and_of_buyers_name_a_purchase_of_the_account(recording):
    """Only a corrupt shop's refunds (refund_abuse, easy) name what nobody bought."""
    messages, truth = recording
    made_up = {
        m.transaction_id for m in truth.marks if (m.typology, m.variant) == ("refund_abuse", "easy")
    }
    bought = {}
    n = 0
    for message in sorted(transactions(messages), key=lambda m: m["transaction_id"]):
        if message["type"] == "card_auth":
            bought[identity(message)] = message
        elif message["type"] == "refund" and message["transaction_id"] not in made_up:
            original = bought[message["account"], message["original_transaction_id"]]
            assert original["merchant"] == message["merchant"]
            n += 1
    assert n > 5


def test_balances_follow_from_what_moved(recording):
    """In order of event time, the balance before a transaction is the one before it and what moved, in CNY."""
    messages, truth = recording
    expected, n_checked = {}, 0
    for message in sorted(transactions(messages), key=lambda m: m["transaction_id"]):
        before = round(float(message["balance_before"]) * 100)
        if message["account"] in expected:
            assert expected[message["account"]] == before
            n_checked += 1
        fen = round(float(message["amount"]) * 100) * (1 if message["direction"] == "in" else -1)
        expected[message["account"]] = before + (0 if message["status"] == "declined" else fen)
        if message["currency"] != "CNY":  # moved at a rate that the message does not tell
            del expected[message["account"]]
    assert n_checked > 1_000
    assert truth.n_transactions > n_checked


def test_the_truth_names_transactions_of_the_recording_and_stands_in_no_message(recording):
    messages, truth = recording
    by_id = {identity(m): m for m in transactions(messages)}
    owner = {m["account"]: m["customer"] for m in messages if "opened_on" in m}
    for mark in truth.marks:
        message = by_id[mark.account, mark.transaction_id]
        assert message["event_time"] == mark.event_time
        assert owner[mark.account] == mark.customer
        if message["currency"] == "CNY":
            assert message["amount"] == mark.amount
    assert not {"attempt", "is_honest", "variant", "is_money"} & {k for m in messages for k in m}
    assert truth.n_lines == len(messages)
    assert truth.n_transactions == len(by_id)
    assert truth.n_by_kind == Counter(m["kind"] for m in messages)


def test_every_typology_is_there_easy_and_hard_or_named_as_absent(recording):
    truth, found = recording[1], defaultdict(set)
    for mark in truth.marks:
        found[mark.typology].add(mark.variant)
        assert mark.is_honest == (mark.variant == "")
    assert not {m.attempt for m in truth.marks} & set(truth.absent)
    for name in truth.absent:
        found[name.split("-")[0]].add(name.split("-")[1])
    for typology in TYPOLOGIES:
        assert found[typology.name] == {"easy", "hard"}, typology.name
    assert len(truth.absent) < 0.1 * len(truth.attempts)


def test_labels_come_after_the_fact_and_say_fraud_of_frauds_or_of_disputes(recording):
    messages, truth = recording
    fraud = {(m.account, m.transaction_id) for m in truth.marks if not m.is_honest}
    at = {identity(m): instant(m) for m in transactions(messages)}
    labels = [m for m in messages if m["kind"] == "label"]
    assert {"fraud", "genuine"} <= {label["label"] for label in labels}
    for label in labels:
        assert instant(label) > at[identity(label)]
        if "typology" in label:
            assert identity(label) in fraud
            assert label["typology"] in {typology.name for typology in TYPOLOGIES}


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
    assert sum(noisy.n_by_kind.values()) == len(good)
    assert 0.005 * n < len(good) - len(clean_lines) < 0.02 * n
    assert 0.005 * n < len(noisy_lines) - len(good) < 0.02 * n


def test_a_bank_without_fraud_has_an_empty_truth(tmp_path):
    truth = generate(tmp_path / "a.ndjson", **TINY | {"fraud_share": 0.0})
    assert truth.marks == ()
    assert truth_path(tmp_path / "a.ndjson").read_bytes() == b""


def test_progress_is_told_after_each_day(tmp_path):
    told = []
    truth = generate(tmp_path / "a.parquet", **TINY, progress=told.append)
    assert len(told) == TINY["days"]
    assert sum(told) == truth.n_lines == pq.read_metadata(tmp_path / "a.parquet").num_rows


@pytest.mark.parametrize(
    "wrong",
    [
        {"accounts": 10},
        {"days": 2},
        {"rate": 0.0},
        {"late": 0.9},
        {"fraud_share": 0.01},
        {"start": "2026-02-30"},
        {"start": "1985-06-01"},
        {"start": "2026-W10-1"},
        {"seed": -1},
        {"accounts": 10**12},
        {"days": 40_000},
    ],
)
def test_impossible_wishes_are_refused_with_a_reason(tmp_path, wrong):
    with pytest.raises(ConfigError) as caught:
        generate(tmp_path / "a.ndjson", **SMALL | wrong)
    assert next(iter(wrong)) in caught.value.what
    assert caught.value.fix


def test_two_recordings_never_share_a_truth(tmp_path):
    """Names may have points: of `a.seed1.ndjson` and `a.seed2.ndjson` each has its own."""
    names = ["a.ndjson", "a.1.ndjson", "a.2.parquet", "a.2026-03.ndjson.gz"]
    truths = ["a.truth.ndjson", "a.1.truth.ndjson", "a.2.truth.ndjson", "a.2026-03.truth.ndjson"]
    assert [truth_path(tmp_path / name).name for name in names] == truths


@pytest.mark.parametrize("ending", ["ndjson", "ndjson.gz", "ndjson.zst", "parquet"])
def test_a_recording_that_could_not_be_finished_has_no_truth(tmp_path, ending):
    """Half a recording beside the truth of an earlier one would be judged by it."""
    path = tmp_path / f"a.{ending}"
    generate(path, **TINY)
    path.unlink()
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        generate(path, **TINY)
    assert not truth_path(path).exists()


def test_customers_are_asked_for_in_customers(capsys, tmp_path):
    assert main(["generate", "--customers", "10", "--out", str(tmp_path / "a.ndjson")]) == 2
    assert "40 customers" in capsys.readouterr().err


def test_broken_lines_are_refused_for_parquet(tmp_path):
    with pytest.raises(ConfigError, match="cannot hold broken lines"):
        generate(tmp_path / "a.parquet", **SMALL, bad_lines=0.01)


def test_a_bank_of_so_many_customers_has_exactly_these():
    for customers in (40, 41, 42, 43, 2_000, 9_999):
        assert make_population(1, accounts_of(customers), 4.0, 0).n_customers == customers


def test_the_command_writes_a_recording_and_says_what_it_holds(tmp_path, capsys):
    path = tmp_path / "bank.ndjson"
    assert main(["generate", "--customers", "240", "--days", "4", "--out", str(path)]) == 0
    said = capsys.readouterr().err
    lines = path.read_bytes().splitlines()
    assert f"{len(lines):,} messages" in said
    assert "attempts " in said
    customers = {json.loads(line).get("customer") for line in lines} - {None}
    assert len(customers) == 240


def test_the_command_names_what_a_tiny_bank_has_no_room_for(tmp_path, capsys):
    path = tmp_path / "bank.ndjson"
    assert main(["generate", "--accounts", "60", "--days", "4", "--out", str(path)]) == 0
    said = capsys.readouterr().err
    there = {(m.typology, m.variant) for m in Truth.read(truth_path(path)).marks}
    lacking = " ".join(said.split("no room for")[1].split()).split(", ")
    wanted = {(t.name, v.name) for t in TYPOLOGIES for v in t.variants} - there
    assert {tuple(item.split()) for item in lacking} == wanted


def test_the_command_without_a_file_says_what_to_add(capsys):
    assert main(["generate", "--days", "4"]) == 2
    assert "--out" in capsys.readouterr().err


# ---------------------------------------------------------------- the day loop, on hand-made days


class File:
    """Keeps what is written, as (kind, number or time) pairs in order."""

    def __init__(self):
        self.told = []

    def write(self, part):
        for kind, row in zip(part.kind.tolist(), part.row.tolist(), strict=True):
            columns = part.columns[kind]
            self.told.append((kind, {name: int(c[row]) for name, c in columns.items()}))

    def of(self, kind):
        return [row for k, row in self.told if k == kind]


class Days:
    """Two transactions of account 0 each day, at one and two o'clock."""

    def __init__(self, population):
        self.start_us = population.start_us

    def day(self, day):
        at = self.start_us + day * DAY_US + np.array([7_200, 3_600]) * 1_000_000
        rows = Table.transactions(
            2,
            time_us=at,
            type=table.PAYMENT,
            account=0,
            amount=100,
            status=table.BOOKED,
            channel=table.WEB,
        )
        return rows, Table.activities(0)


class Quiet:
    """Says of each transaction some time later that it is booked."""

    def __init__(self, pause_us=60_000_000):
        self.pause_us = pause_us

    def of(self, day, rows, number):
        updates = Table.of(
            UPDATE_COLUMNS,
            rows.n,
            arrival_us=rows["time_us"] + self.pause_us,
            number=number,
            account=rows["account"],
            status=0,
        )
        nothing = Table.of(LABEL_COLUMNS, 0)
        return Followers(updates, nothing, Table.activities(0), Table.transactions(0))


def staged(stage, day=1, days=4, noise=None, pause_us=60_000_000):
    """Record an attempt on account 1 in a quiet bank."""
    population = make_population(1, 60, 4.0, 1_772_380_800_000_000)
    attempt = Attempt(0, "x-easy-0001", "x", False, "easy", 1, day, stage)
    recording = Recording(
        population, 1, days, [attempt], Days(population), Quiet(pause_us), noise or Noise()
    )
    file = File()
    for d in range(days):
        recording.record(d, file)
    return recording, file, attempt


def card(scene, *at_days, original=-1, **more):
    n = len(at_days)
    scene.transactions.append(
        Table.transactions(
            n,
            time_us=scene.start_us + (np.array(at_days) * DAY_US).astype(np.int64),
            account=1,
            amount=500,
            channel=table.ONLINE,
            attempt=scene.attempt,
            original=original,
            **({"type": table.CARD_AUTH, "status": table.REQUESTED} | more),
        )
    )


def test_an_attempt_without_opportunity_is_tried_again_the_next_day():
    seen = []

    def stage(scene):
        seen.append(scene.start_us)
        if len(seen) < 3:
            return False
        card(scene, 0.5)
        return True

    recording, _, attempt = staged(stage)
    assert np.diff(seen).tolist() == [DAY_US, DAY_US]
    assert attempt.day == 3
    assert [m.attempt for m in recording.marks] == ["x-easy-0001"]


def test_an_attempt_that_never_finds_one_leaves_no_mark():
    recording, _, _ = staged(lambda _: False)
    assert recording.marks == []


def test_rows_of_later_days_wait_and_those_after_the_end_are_lost():
    recording, file, _ = staged(
        lambda scene: card(scene, 0.1, 1.1, 2.1, 3.1) or True, day=1, days=4
    )
    assert len(recording.marks) == 3
    assert sum(row["account"] == 1 for row in file.of(0)) == 3


def test_a_refund_gets_the_number_of_the_purchase_it_names():
    def stage(scene):
        card(scene, 0.2, 0.1)  # the later one stands first
        card(scene, 1.2, 1.3, type=table.REFUND, is_in=1, original=np.array([-3, -2]))
        return True

    _, file, _ = staged(stage)
    mine = [row for row in file.of(0) if row["account"] == 1]
    bought = {row["time_us"]: row["number"] for row in mine if row["original"] == -1}
    first, second = (bought[time] for time in sorted(bought))
    assert [row["original"] for row in mine if row["original"] >= 0] == [second, first]


def test_an_update_never_arrives_before_its_transaction():
    _, file, _ = staged(lambda _: False, noise=Noise(out_of_order=1.0))
    seen = set()
    for kind, row in file.told:
        if kind == 0:
            seen.add(row["number"])
        else:
            assert row["number"] in seen
    assert len(file.of(2)) >= 7


def test_what_would_be_told_after_the_last_day_is_not_and_late_transactions_still_are():
    noise = Noise(late=1.0)
    _, file, _ = staged(lambda scene: card(scene, 2.99) or True, noise=noise, pause_us=2 * DAY_US)
    assert len(file.of(2)) == 4, "of the first two of four days"
    (last,) = (row for row in file.of(0) if row["account"] == 1)
    assert last["arrival_us"] > 1_772_380_800_000_000 + 4 * DAY_US


def test_a_declined_transaction_moves_nothing():
    _, file, _ = staged(lambda scene: card(scene, 0.1, 0.2, 0.3, status=table.DECLINED) or True)
    mine = [row["before"] for row in file.of(0) if row["account"] == 1]
    assert len(set(mine)) == 1
    other = [row["before"] for row in file.of(0) if row["account"] == 0]
    assert np.diff(other).tolist() == [-100] * 7
