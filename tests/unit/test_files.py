"""Files as a source: lines as they stand, tables through a feed, labels merged by time, going on after a position."""

import dataclasses
import gzip
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from config.errors import InputError
from config.feeds import Feed, Target
from engine.brokers import files, parquet, tables
from engine.brokers.files import FileSource, StreamSource, short_names
from engine.brokers.mapping import rfc3339
from engine.brokers.tables import CSV_LINES, CSV_ROWS
from engine.clock import ManualClock
from tests.factories import SCHEMA, decode, feed, line, message

HEAD = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD\n"


def drain(source, rows=100):
    """Everything a source gives: lines and positions."""
    lines, positions = [], []
    while (found := source.poll(rows, 0)) is not None:
        assert len(found.lines) == len(found.positions) <= rows
        lines += found.lines
        positions += found.positions
    return lines, positions


def read(paths, name="canonical", rows=100, **options):
    paths = paths if isinstance(paths, list) else [paths]
    chosen = name if isinstance(name, Feed) else feed(name)
    return drain(FileSource(paths, chosen, SCHEMA, **options), rows)


def objects(lines):
    return [json.loads(x) for x in lines]


# ---------------------------------------------------------------- lines


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_lines_pass_as_they_stand_packed_or_not(tmp_path, pack, rows):
    path = tmp_path / "a.ndjson"
    path.write_bytes(pack(b'\xef\xbb\xbf{"a":1}\r\n\nnot json\n{"b":2}'))
    lines, positions = read(path, rows=rows)
    assert lines == [b'{"a":1}\r', b"", b"not json", b'{"b":2}']
    assert positions == ["a.ndjson:1", "a.ndjson:2", "a.ndjson:3", "a.ndjson:4"]


def test_blocks_cut_lines_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK_BYTES", 7)
    path = tmp_path / "a.ndjson.gz"
    wanted = [b"x" * k for k in range(1, 40)]
    path.write_bytes(gzip.compress(b"\n".join(wanted) + b"\n"))
    assert read(path)[0] == wanted


def test_a_line_without_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK_BYTES", 16)
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"x" * 1000 + b"\n{}\n" + b"y" * 1000)
    lines, _ = read(path, line_bytes=100)
    assert [len(x) for x in lines] == [101, 2, 101]


def test_several_files_are_one_stream_and_their_names_tell_them_apart(tmp_path):
    for day in ("d1", "d2"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "tx.ndjson").write_bytes(day.encode() + b"\n")
    lines, positions = read([tmp_path / "d1/tx.ndjson", tmp_path / "d2/tx.ndjson"])
    assert lines == [b"d1", b"d2"]
    assert positions == ["d1/tx.ndjson:1", "d2/tx.ndjson:1"]
    with pytest.raises(InputError, match="named twice"):
        short_names([tmp_path / "d1/tx.ndjson"] * 2)


def test_a_damaged_file_gives_what_stands_before_the_damage(tmp_path):
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(os.urandom(50_000).hex().encode() + b"\n")[:-2000])
    source = FileSource([path], feed("canonical"), SCHEMA)
    with pytest.raises(InputError, match="the file is damaged"):
        drain(source)


@pytest.mark.parametrize("lost", [1, 4, 2_000])
def test_a_packed_file_that_ends_early_is_never_taken_for_a_whole_one(tmp_path, lost):
    """Of a recording that was copied by half, the rest must not be missing in silence."""
    path = tmp_path / "a.ndjson.zst"
    whole = zstandard.ZstdCompressor().compress(os.urandom(50_000).hex().encode() + b"\n")
    path.write_bytes(whole + whole[:-lost])
    with pytest.raises(InputError, match="the file is damaged"):
        read(path)
    path.write_bytes(whole + whole)
    assert [len(x) for x in read(path)[0]] == [100_000, 100_000]


def test_a_table_with_damaged_pages_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"account": [os.urandom(8).hex() for _ in range(5_000)]}), path)
    data = bytearray(path.read_bytes())
    data[100 : len(data) // 2] = bytes(len(data) // 2 - 100)
    path.write_bytes(data)
    with pytest.raises(InputError, match="the file is damaged"):
        read(path)


def plain_csv(path, accounts):
    """A table with our names and a row for each of `accounts`, which stand there as they are."""
    rows = [
        f"t{k},2026-03-02T10:00:00Z,{account},1.00,CNY,payment"
        for k, account in enumerate(accounts)
    ]
    names = "transaction_id,event_time,account,amount,currency,type"
    path.write_text("\n".join([names, *rows]) + "\n")
    return path


@pytest.mark.parametrize("n_before", [0, 5, CSV_ROWS - 2])
@pytest.mark.parametrize("n_after", [0, 3, CSV_LINES + 5])
@pytest.mark.parametrize("bad", [['"A'], ['"A', "B", '"C'], ['"A"', '"A,"B'], ['A","B', 'A","B']])
def test_a_quote_that_nobody_closes_costs_only_its_own_line(tmp_path, n_before, n_after, bad):
    accounts = ["A1"] * n_before + bad + ["A1"] * n_after
    lines, positions = read(plain_csv(tmp_path / "a.csv", accounts))
    assert positions == [f"a.csv:{k}" for k in range(2, len(accounts) + 2)]
    made = [json.loads(line) for line in lines]
    assert [message["transaction_id"] for message in made] == [f"t{k}" for k in range(len(made))]
    sound = [message for message in made if message["account"] == "A1"]
    assert len(sound) == n_before + n_after
    assert all(message["amount"] == "1.00" for message in sound)


def test_texts_of_a_row_may_hold_line_ends(tmp_path):
    path = plain_csv(tmp_path / "a.csv", ["A1", '"A\n2"', "A3", '"A\r\n""4"', "A5"])
    lines, positions = read(path)
    assert [json.loads(line)["account"] for line in lines] == ["A1", "A\n2", "A3", 'A\r\n"4', "A5"]
    assert positions == [f"a.csv:{k}" for k in (2, 4, 5, 7, 8)]


@pytest.mark.parametrize("n_kept", [0, 4, 1_000])
def test_a_cut_table_has_no_total_and_is_refused_when_it_is_read(tmp_path, n_kept):
    """The progress bar asks first."""
    path = write_parquet(tmp_path / "a.parquet", ROWS)
    path.write_bytes(path.read_bytes()[:n_kept])
    source = FileSource([path], feed("handbook"), SCHEMA)
    assert source.records_total is None
    with pytest.raises(InputError, match="not a Parquet file") as told:
        drain(source)
    assert told.value.fix == "copy it again, or correct its name"


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read(tmp_path / "none.ndjson")
    with pytest.raises(InputError, match="a folder or a device"):
        read(tmp_path)
    (tmp_path / "a.xml").write_bytes(b"x")
    with pytest.raises(InputError, match=r"does not say what it is: a\.xml"):
        read(tmp_path / "a.xml")
    (tmp_path / "a.parquet").write_bytes(b"x" * 100)
    with pytest.raises(InputError, match="not a Parquet file"):
        read(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("A,B\n1,2\n")
    with pytest.raises(InputError, match="has no column `TRANSACTION_ID`"):
        read(tmp_path / "a.csv", "handbook")


def test_a_live_file_stamps_arrivals(tmp_path):
    (tmp_path / "a.ndjson").write_bytes(b"{}\n")
    source = FileSource([tmp_path / "a.ndjson"], feed("canonical"), SCHEMA, clock=ManualClock(5))
    assert source.is_live
    assert source.poll(10, 0).arrival_us.tolist() == [5]
    assert not FileSource([tmp_path / "a.ndjson"], feed("canonical"), SCHEMA).is_live


# ---------------------------------------------------------------- tables

ROWS = [  # id, time, customer, terminal, amount, fraud: not in the order of time, ties not in the order of ids
    (10, "2018-04-01 00:00:31", 596, 3156, 57.16, 0),
    (9, "2018-04-01 00:00:31", 7, 31, 0.1, 1),
    (2, "2018-04-03 00:00:31", 596, 3156, 146.0, 0),
    (3, "2018-04-02 12:00:00", 8, 31, 1e6, 0),
]


def write_csv(path, rows):
    text = HEAD + "".join(f"{i},{t},{c},{k},{a},0,0,{f}\n" for i, t, c, k, a, f in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_parquet(path, rows):
    names = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    times = pa.array([t.replace(" ", "T") for _, t, *_ in rows]).cast(pa.timestamp("ms"))
    pq.write_table(table.set_column(1, "TX_DATETIME", times), path)
    return path


CONCATENATE = tables.concatenate
WRITERS = pytest.mark.parametrize(
    ("name", "write"), [("h.csv", write_csv), ("h.csv.gz", write_csv), ("h.parquet", write_parquet)]
)


@WRITERS
@pytest.mark.parametrize("block", [1, 2, 3, 1000])
def test_the_handbook_becomes_transactions_and_labels_in_the_order_of_time(
    tmp_path, monkeypatch, name, write, block
):
    """By (time, id); labels a delay later; one due at the moment of a transaction stands before it."""
    for module in (tables, parquet):
        monkeypatch.setattr(module, "BLOCK_ROWS", block)
    monkeypatch.setattr(tables, "CSV_ROWS", block)
    path = write(tmp_path / name, ROWS)
    lines, positions = read(path, "handbook", delay_us=2 * 86_400_000_000)
    made = objects(lines)
    what = [(m.get("kind", "transaction")[0], m["transaction_id"], m["event_time"]) for m in made]
    assert what == [
        ("t", "9", "2018-04-01T00:00:31Z"), ("t", "10", "2018-04-01T00:00:31Z"), ("t", "3", "2018-04-02T12:00:00Z"),
        ("l", "9", "2018-04-03T00:00:31Z"), ("l", "10", "2018-04-03T00:00:31Z"), ("t", "2", "2018-04-03T00:00:31Z"),
        ("l", "3", "2018-04-04T12:00:00Z"), ("l", "2", "2018-04-05T00:00:31Z"),
    ]  # fmt: skip
    first = 2 if name.startswith("h.csv") else 1
    assert positions[:2] == [f"{name}:{first + 1}", f"{name}:{first}"]
    assert positions[3] == f"{name}:{first + 1}#label"
    assert (made[3]["label"], made[4]["label"], made[3]["account"]) == ("fraud", "genuine", "7")
    batch = decode(*lines)
    assert batch.dead == {}
    amounts = batch.frame.column("amount")[[0, 1, 2, 5]]
    assert amounts.tolist() == [10, 5716, 100_000_000, 14600]
    assert batch.account[:3] == ["7", "596", "8"]
    assert batch.records[0].card == "7"


@WRITERS
def test_a_label_without_delay_never_stands_before_its_transaction(tmp_path, name, write):
    lines, _ = read(write(tmp_path / name, ROWS), "handbook", delay_us=0)
    seen = set()
    for made in objects(lines):
        if made.get("kind") == "label":
            assert made["transaction_id"] in seen
        seen.add(made["transaction_id"])
    assert len(lines) == 8


def test_labels_of_one_file_arrive_in_the_next(tmp_path):
    first = write_csv(tmp_path / "a.csv", ROWS[:2])
    second = write_csv(tmp_path / "b.csv", ROWS[2:3])
    lines, _ = read([first, second], "handbook", delay_us=3_600_000_000)
    assert [m.get("kind", "t")[0] for m in objects(lines)] == ["t", "t", "l", "l", "t", "l"]


@WRITERS
@pytest.mark.parametrize("block", [1, 2, 3])
def test_a_file_in_the_order_of_time_is_read_block_by_block_and_ties_stand_by_id(
    tmp_path, monkeypatch, name, write, block
):
    """Even where a tie runs over the edge of a block; the file is never held as a whole."""
    for module in (tables, parquet):
        monkeypatch.setattr(module, "BLOCK_ROWS", block)
    monkeypatch.setattr(tables, "CSV_ROWS", block)
    monkeypatch.setattr(tables, "concatenate", lambda parts: concatenated(parts, most=2))
    path = write(
        tmp_path / name, [*sorted(ROWS, key=lambda row: row[1]), (1, ROWS[2][1], 5, 5, 5.0, 0)]
    )
    lines, _ = read(path, "handbook")
    ids = [m["transaction_id"] for m in objects(lines) if "kind" not in m]
    assert ids == ["9", "10", "3", "1", "2"]


def concatenated(parts, most):
    assert len(parts) <= most
    return CONCATENATE(parts)


@WRITERS
@pytest.mark.parametrize("rows", [1, 3, 100])
def test_going_on_after_a_position_gives_exactly_the_rest(tmp_path, name, write, rows):
    path = write(tmp_path / name, ROWS)
    lines, positions = read(path, "handbook")
    for k, position in enumerate(positions):
        source = FileSource([path], feed("handbook"), SCHEMA)
        source.resume_after(position)
        assert drain(source, rows) == (lines[k + 1 :], positions[k + 1 :])


def test_going_on_after_a_line(tmp_path):
    (tmp_path / "a.ndjson").write_bytes(b"1\n2\n")
    (tmp_path / "b.ndjson").write_bytes(b"3\n4\n")
    paths = [tmp_path / "a.ndjson", tmp_path / "b.ndjson"]
    source = FileSource(paths, feed("canonical"), SCHEMA)
    assert source.resume_after("b.ndjson:1") == b"3", "it tells what stands there"
    assert drain(source) == ([b"4"], ["b.ndjson:2"])
    source = FileSource(paths, feed("canonical"), SCHEMA)
    with pytest.raises(InputError, match="does not have the position c"):
        source.resume_after("c.ndjson:1")
    with pytest.raises(InputError, match="does not have the position a"):
        source.resume_after("a.ndjson:7")


def test_rows_with_gaps_and_bad_rows_become_dead_letters_not_errors(tmp_path):
    path = tmp_path / "h.csv"
    good = "1,2018-04-01 00:00:31,596,3156,57.16,31,0,0\n"
    path.write_bytes(
        (HEAD + good).encode()
        + b"2,2018-04-01 00:00:32,,3156,57.16\n"  # short, without a customer
        + b"\n"
        + b"3,yesterday,5,6,7,8,9,0,too,long\n"
        + b'4,2018-04-01 00:00:33,5,"a\nb",7,8,9,1\n'
        + b"5,2018-04-01 00:00:34,\xff,6,7,8,9,1\n"
        + b"6,2018-04-01 00:00:35,5,6,-7,8,9,\n"
    )
    lines, positions = read(path, "handbook")
    batch = decode(*lines)
    reasons = {positions[i]: d.reason for i, d in batch.dead.items()}
    assert reasons == {
        "h.csv:3": "missing_field", "h.csv:5": "wrong_time", "h.csv:8": "bad_utf8", "h.csv:9": "wrong_amount",
        "h.csv:8#label": "bad_utf8",
    }  # fmt: skip
    assert [p for p in positions if p.endswith("#label")] == [
        "h.csv:2#label",
        "h.csv:7#label",
        "h.csv:8#label",
    ]


def test_our_own_names_in_a_table_need_no_feed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "transaction_id,event_time,account,amount,currency,type,lat,is_first_use,purpose,other\n"
        't1,2026-03-02T10:00:09Z,A1,12.50,EUR,payment,52.5,true,"say ""hi""",x\n'
        "t2,2026-03-02T10:00:09+01:00,A1,12.50,EUR,payment,,,,\n"
    )
    batch = decode(*read(path)[0])
    assert batch.dead == {}
    assert batch.frame.column("lat")[0] == 52.5
    assert batch.frame.column("is_first_use")[0] == 1
    assert batch.records[0].purpose == 'say "hi"'
    assert batch.records[1].lat is None


def foreign(**options):
    names = {"transaction_id": "ref", "event_time": "at", "account": "acc", "amount": "amt"}
    targets = tuple(Target(ours, (theirs,)) for ours, theirs in names.items())
    base = Feed("f", targets, {"type": "payment", "currency": "EUR"})
    return dataclasses.replace(base, **options)


def test_foreign_json_is_renamed_and_broken_lines_pass_through(tmp_path):
    path = tmp_path / "a.ndjson"
    made = [
        {"ref": 1, "at": "2026-03-02T10:00:09Z", "acc": {"iban": "A1"}, "amt": 5, "x": 1},
        {"ref": "2"},
    ]
    path.write_bytes(line(made[0]) + b"\n{broken\n" + line(made[1]) + b"\n")
    shape = foreign()
    nested = tuple(
        Target("account", ("acc.iban",)) if t.name == "account" else t for t in shape.targets
    )
    lines, positions = read(path, dataclasses.replace(shape, targets=nested))
    assert json.loads(lines[0]) == {
        "transaction_id": "1", "event_time": "2026-03-02T10:00:09Z", "account": "A1", "amount": 5,
        "type": "payment", "currency": "EUR",
    }  # fmt: skip
    assert lines[1] == b"{broken"
    assert decode(*lines).dead.keys() == {1, 2}
    assert positions == ["a.ndjson:1", "a.ndjson:2", "a.ndjson:3"]


@pytest.mark.parametrize(
    ("time_format", "zone", "value", "wanted"),
    [
        ("epoch_ms", "", 1_772_445_609_000, "2026-03-02T10:00:09Z"),
        ("epoch_s", "", "1772445609.5", "2026-03-02T10:00:09.500Z"),
        ("epoch_s", "", 1_772_445_609, "2026-03-02T10:00:09Z"),
        ("local", "UTC", "2026-03-02 10:00:09.25", "2026-03-02T10:00:09.25Z"),
        ("local", "Europe/Berlin", "2026-03-02 11:00:09", "2026-03-02T10:00:09Z"),
        ("local", "Europe/Berlin", "2026-07-02T12:00:09", "2026-07-02T10:00:09Z"),
        ("%d.%m.%Y %H:%M", "Asia/Kolkata", "02.03.2026 15:30", "2026-03-02T10:00:00Z"),
        ("%Y-%m-%d %H:%M %z", "", "2026-03-02 11:00 +0100", "2026-03-02T10:00:00Z"),
        ("local", "UTC", "2026-03-02T10:00:09+01:00", "2026-03-02T10:00:09+01:00 (has an offset)"),
        ("local", "Europe/Berlin", "2026-03-02T10:00:09+01:00", "2026-03-02T10:00:09+01:00"),
        ("epoch_ms", "", "soon", "soon"),
    ],
)
def test_times_of_a_feed_become_rfc_3339_or_stay_what_they_are(
    tmp_path, time_format, zone, value, wanted
):
    path = tmp_path / "a.ndjson"
    path.write_bytes(line({"ref": "1", "at": value, "acc": "A", "amt": 1}))
    lines, _ = read(path, foreign(time_format=time_format, zone=zone))
    assert objects(lines)[0]["event_time"] == wanted


@pytest.mark.parametrize(
    ("unit", "sign", "value", "amount", "direction"),
    [
        ("minor", "unsigned", 1250, "12.50", None),
        ("minor", "unsigned", "7", "0.07", None),
        ("minor", "unsigned", "7.5", "7.5 minor units", None),
        ("major", "negative_out", -12.5, "12.5", "out"),
        ("major", "negative_out", "12.5", "12.5", "in"),
        ("minor", "negative_in", -1250, "12.50", "in"),
    ],
)
def test_units_and_signs_of_a_feed(tmp_path, unit, sign, value, amount, direction):
    path = tmp_path / "a.ndjson"
    path.write_bytes(line({"ref": "1", "at": "2026-03-02T10:00:09Z", "acc": "A", "amt": value}))
    made = objects(read(path, foreign(amount_unit=unit, amount_sign=sign))[0])[0]
    assert (made["amount"], made.get("direction")) == (amount, direction)


def test_times_without_offset_in_a_typed_table_need_a_zone(tmp_path):
    path = write_parquet(tmp_path / "h.parquet", ROWS)
    with pytest.raises(InputError, match="the feed `handbook` has no zone"):
        read(path, dataclasses.replace(feed("handbook"), zone="", time_format="rfc3339"))


def test_typed_columns_keep_their_shortest_decimals_and_gaps(tmp_path):
    table = pa.table(
        {
            "ref": pa.array([1, None], pa.int64()),
            "at": pa.array([1_772_445_609_000_001, 1_772_445_609_000_000]).cast(
                pa.timestamp("us", "Europe/Berlin")
            ),
            "acc": pa.array(["é", "b"]).dictionary_encode(),
            "amt": pa.array([0.1, 2.5], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    made = objects(read(tmp_path / "a.parquet", foreign())[0])
    assert made[0] == {
        "transaction_id": "1", "event_time": "2026-03-02T10:00:09.000001Z", "account": "é", "amount": 0.1,
        "type": "payment", "currency": "EUR",
    }  # fmt: skip
    assert "transaction_id" not in made[1]


def test_the_total_is_known_for_parquet_and_bytes_for_all(tmp_path):
    path = write_parquet(tmp_path / "h.parquet", ROWS)
    source = FileSource([path], feed("handbook"), SCHEMA)
    assert source.records_total == 8
    drain(source)
    assert source.bytes_done == source.bytes_total == path.stat().st_size
    assert (
        FileSource([write_csv(tmp_path / "a.csv", ROWS)], feed("handbook"), SCHEMA).records_total
        is None
    )


def test_times_are_written_with_as_many_digits_as_they_need():
    import numpy as np

    assert rfc3339(np.array([0, 951_782_399_000_000, 7_258_118_399_000_000])) == [
        "1970-01-01T00:00:00Z", "2000-02-28T23:59:59Z", "2199-12-31T23:59:59Z",
    ]  # fmt: skip
    assert rfc3339(np.array([1_500_000, 951_868_800_000_000])) == [
        "1970-01-01T00:00:01.500Z",
        "2000-03-01T00:00:00.000Z",
    ]
    assert rfc3339(np.array([1])) == ["1970-01-01T00:00:00.000001Z"]


# ---------------------------------------------------------------- pipes


def test_a_pipe_gives_what_has_arrived_and_ends_when_it_is_closed():
    reader, writer = os.pipe()
    source = StreamSource(reader, ManualClock(9))
    assert source.poll(10, 0).lines == []
    os.write(writer, b"1\n2\n3\npart")
    first = source.poll(2, 0)
    assert (first.lines, first.positions) == ([b"1", b"2"], ["-:1", "-:2"])
    assert first.arrival_us.tolist() == [9, 9]
    assert source.poll(2, 0).lines == [b"3"]
    assert source.poll(2, 0).lines == []
    os.write(writer, b"ial")
    os.close(writer)
    found = [source.poll(10, 0) for _ in range(3)]
    assert [x if x is None else x.lines for x in found] == [[], [b"partial"], None]
    os.close(reader)


def test_a_pipe_goes_on_counting_after_a_restart():
    reader, writer = os.pipe()
    source = StreamSource(reader, ManualClock())
    source.resume_after("-:41")
    os.write(writer, b"x\n")
    assert source.poll(10, 0).positions == ["-:42"]
    os.close(writer)
    os.close(reader)


@pytest.mark.parametrize(
    ("end", "taken"),
    [
        (b'{"kind":"lab', []),
        (b'{"kind":"label"}', [b'{"kind":"label"}']),
        (b"rubbish", [b"rubbish"]),
    ],
)
def test_half_a_message_of_a_sender_that_died_is_not_taken(end, taken, capsys):
    """Were it counted, the sender would be told to go on behind it, and the message would be lost."""
    reader, writer = os.pipe()
    source = StreamSource(reader, ManualClock())
    os.write(writer, b"1\n" + end)
    os.close(writer)
    found = []
    while (messages := source.poll(10, 0)) is not None:
        found += messages.lines
    os.close(reader)
    assert found == [b"1", *taken]
    assert ("message 2, which is not taken: send it again" in capsys.readouterr().err) != bool(
        taken
    )


# ---------------------------------------------------------------- the handbook itself


def test_the_handbook_excerpt_reads_as_the_whole_does(shared):
    """CSV and Parquet give the same messages, but for the spelling of amounts."""
    csv_file = shared("data/handbook/transactions_raw_first200k.csv.gz")
    parquet = shared("data/handbook/transactions_raw.parquet")
    found = []
    for path in (csv_file, parquet):
        source = FileSource([path], feed("handbook"), SCHEMA)
        lines = []
        while len(lines) < 20_000:
            lines += source.poll(512, 0).lines
        found.append(decode(*lines[:20_000]))
    a, b = found
    assert a.dead == b.dead == {}
    assert a.digest == b.digest
    assert (a.kind == b.kind).all()


def test_noise_of_floats_is_taken_out_of_csv_as_out_of_parquet(tmp_path):
    """What a tool writes for 17.13 * 5, and a fraction of a cent that is one."""
    rows = [
        (1, "2018-04-01 00:00:31", 1, 2, 17.13 * 5, 0),
        (2, "2018-04-01 00:00:32", 1, 2, 10.005, 0),
    ]
    for write, name in ((write_csv, "h.csv"), (write_parquet, "h.parquet")):
        batch = decode(*read(write(tmp_path / name, rows), "handbook")[0][:2])
        assert batch.records[0].amount == 8565
        assert batch.dead[1].reason == "wrong_amount"


def test_message_of_the_factory_is_valid():
    assert decode(message()).dead == {}
