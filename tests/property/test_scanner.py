"""The scanner and msgspec agree on every message, however it is spelt or broken: values, codes, counters, dead letters.

`python -m benchmarks.bench_decode --fuzz 1000000` asks for more.
"""

import hashlib
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.money import minor_units
from engine.quantities import time_us
from engine.scanning.codes import TextTable
from engine.scanning.kernels import values
from engine.scanning.kernels.codes import enter
from engine.scanning.kernels.hashing import digest_of
from engine.scanning.kernels.layout import SIZE_BITS
from engine.texts import Texts
from tests import scanning, strategies
from tests.factories import line, message

MESSAGES = int(os.environ.get("WEIR_MESSAGES", "4000"))
SEED = int(os.environ.get("WEIR_SEED", "0"))


def test_fuzzed_messages_are_read_as_msgspec_reads_them():
    seen, taken = scanning.agree(MESSAGES, SEED)
    assert seen == MESSAGES
    assert taken > MESSAGES // 4


@given(st.lists(strategies.streams(max_size=12), max_size=4), st.integers(0, 5))
def test_streams_with_mutations_are_read_as_msgspec_reads_them(batches, variant):
    scanned, plain = scanning.pair_of_decoders(variant)
    scanning.teach(scanned, plain)
    for k, lines in enumerate(batches):
        assert not scanning.faults(scanned, plain, lines, 100 * k)


def test_what_a_bank_sends_is_scanned():
    """Not one usual message is left to msgspec, or the scanner would be right and useless."""
    scanned, plain = scanning.pair_of_decoders(0)
    scanning.teach(scanned, plain)
    lines = [
        line(message(amount="1.50", lat=52.5, lon=-13.25, purpose="rent", channel="sms", is_first_use=True)),
        line(message(amount=7, event_time=1_772_445_609_000, balance_before=-3.5, x=1, booking_date="2026-03-02")),
        line(message(kind="transaction", customer=None)),
        b' { "kind" : "activity" , "type":"login","event_time":"2026-03-02T11:00:09.25+01:00","account":"A1","duration":2.5}\r',
        b'{"kind":"label","transaction_id":"t-1","account":"A1","label":"fraud","source":"desk"}',
        b'{"kind":"update","update_id":"u","transaction_id":"t-1","account":"A1","status":"reversed","amount":"0"}',
    ]  # fmt: skip
    scanned.decode([lines[1]], ["f:1"], 0)  # `x` is counted, and known from now on
    plain.decode([lines[1]], ["f:1"], 0)
    before = scanned.n_scanned
    assert not scanning.faults(scanned, plain, lines, 1)
    assert scanned.n_scanned - before == len(lines)


def test_a_batch_that_was_scanned_for_nothing_is_counted_once():
    """Of two messages in three with an escape the scanner's counts are dropped, whatever it took of the third."""
    scanned, plain = scanning.pair_of_decoders(0)
    scanning.teach(scanned, plain)
    scanned.scan_share = 0.5
    before = scanned.n_scanned
    usual = [line(message(transaction_id=name)) for name in ("t-a", "t-b", "t-c")]
    lines = [usual[0], *(one.replace(b"t-", b"t\\u002d") for one in usual[1:])]
    assert not scanning.faults(scanned, plain, lines, 0)
    assert scanned.n_scanned == before


def test_lines_stay_in_one_piece_unless_something_is_withheld():
    """The journal writes that piece as it stands, so what must never be stored may not be in it."""
    scanned, plain = scanning.pair_of_decoders(0)
    scanning.teach(scanned, plain)
    usual = [line(message(transaction_id=f"t-{k}")) for k in range(5)]
    left = usual[0].replace(b"t-", b"t\\u002d")
    secret = line(message(cvv="987"))
    for lines, is_whole in (
        (usual, True),
        ([*usual, left], True),
        ([*usual, secret], False),
        ([*usual, left, secret], False),
    ):
        joined = scanned.decode(lines, [""] * len(lines), 0).joined
        assert (joined is not None) == is_whole
        assert joined is None or scanning.pieces(joined) == lines


def test_a_message_that_ends_in_another_is_no_message():
    """A line end inside a message must not hide what stands behind it."""
    scanned, plain = scanning.pair_of_decoders(0)
    scanning.teach(scanned, plain)
    whole = line(message())
    lines = [
        whole + b"\n" + whole,
        whole + b"\n",
        whole + b"\nx",
        whole[:-1] + b"\n}",
        b"\n",
        b"",
        whole,
    ]
    assert not scanning.faults(scanned, plain, lines, 0)


def raw_of(data):
    return np.frombuffer(data + b"\n" + bytes(16), np.uint8)


@given(st.from_regex(r"-?[0-9]{1,17}(\.[0-9]{1,17})?", fullmatch=True), st.integers(0, 4))
def test_a_plain_decimal_has_the_minor_units_that_the_exact_reader_gives_it(text, digits):
    end, v, places, negative, _ = values.decimal(raw_of(text.encode()), 0)
    if v < 0:
        return
    assert end == len(text)
    try:
        wanted = minor_units(text, digits, signed=True)
    except ValueError:
        wanted = None
    minor = values.minor_units(v, places, digits)
    assert wanted == (None if minor < 0 else -minor if negative else minor)


@given(strategies.TIMES, st.booleans())
def test_a_plain_time_is_the_time_that_the_exact_reader_gives(value, dated):
    if not isinstance(value, str):
        return
    data = value.encode()
    found = values.moment(raw_of(data), 0, len(data), dated)
    if found != values.NO_TIME:
        assert found == time_us(value, dated=dated)


@pytest.mark.parametrize("size", [0, 1, 8, 127, 128, 129, 255, 256, 257, 1_000])
def test_the_digest_is_that_of_hashlib(size):
    data = bytes(k * 7 % 251 for k in range(size))
    text = np.full(2_048, 0xEE, np.uint8)
    text[:size] = np.frombuffer(data, np.uint8)
    wanted = hashlib.blake2b(data, digest_size=8).digest()
    assert digest_of(text, size) == int.from_bytes(wanted, "little", signed=True)


def laid_out(texts):
    """Bytes, with 8 more, and spans (n, 1) of texts."""
    pieces = [text.encode() for text in texts]
    sizes = np.array([len(piece) for piece in pieces], np.int64)
    data = b"".join(pieces) + bytes(8)
    return data, ((np.cumsum(sizes) - sizes) << SIZE_BITS | sizes)[:, None]


def test_the_table_grows_before_it_is_full():
    """Each call brings more bytes than there was room for before."""
    table, held = TextTable(), [Texts()]
    for n, size in ((10, 1), (3_000, 9), (500, 256), (20_000, 12)):
        texts = [f"{size}-{k}".ljust(size, "x") for k in range(n)]
        data, spans = laid_out(texts)
        code, before, names = np.zeros((1, n), np.int32), len(held[0]), ["a"]
        table.encode(data, spans, names, np.zeros(1, np.int64), code, held)
        assert held[0][before:] == texts
        assert code[0].tolist() == list(range(before, before + n))
        again = np.zeros((1, n), np.int32)
        table.encode(data, spans, names, np.zeros(1, np.int64), again, held)
        assert again.tolist() == code.tolist()
        assert len(held[0]) == before + n


def test_no_call_does_all_the_work_of_growing(monkeypatch):
    """Calls of ten new texts each, up to 40,000: each enters a few records into the next slots, and all are found."""
    most = []

    def watched(raw, words, at, end, *rest):
        most.append(end - at)
        return enter(raw, words, at, end, *rest)

    monkeypatch.setattr("engine.scanning.codes.enter", watched)
    monkeypatch.setattr("engine.scanning.codes.CLEARED", 256)
    monkeypatch.setattr("engine.scanning.codes.ENTERED", 64)
    table, held, names = TextTable(), [Texts()], ["a"]
    code = np.zeros((1, 10), np.int32)
    for first in range(0, 40_000, 10):
        texts = [f"{k:09d}" for k in range(first, first + 10)]
        table.encode(*laid_out(texts), names, np.zeros(1, np.int64), code, held)
        assert len(held[0]) == first + 10
        assert code[0].tolist() == list(range(first, first + 10))
    assert len(table._slots) == 1 << 17
    assert max(most) <= 9 * 10 * 4
    everything = np.zeros((1, 40_000), np.int32)
    table.encode(*laid_out(held[0]), names, np.zeros(1, np.int64), everything, held)
    assert len(held[0]) == 40_000
    assert everything[0].tolist() == list(range(40_000))


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=20)), max_size=40), max_size=6)
)
def test_the_table_gives_each_dictionary_codes_of_its_own(calls):
    """Texts come by spans or one by one, also after a load; those of one dictionary never meet those of another."""
    names = list("abc")
    table, texts = TextTable(), {name: Texts() for name in names}
    wanted: dict[str, dict[str, int]] = {name: {} for name in names}
    for k, call in enumerate(calls):
        if k == 4:  # as after a load
            texts = {name: Texts.of(held.save()) for name, held in texts.items()}
        for number, text in call:
            name = names[number]
            if k % 2:  # in the other calls they come by spans
                assert table.find(text, name, texts[name]) == wanted[name].get(text, -1)
            wanted[name].setdefault(text, len(wanted[name]))
            if k % 2:
                (code,) = table.encode_texts([text], name, texts[name])
                assert code == wanted[name][text] == table.find(text, name, texts[name])
        if k % 2 == 0:
            spans, raw = np.full((len(call), 3), -1, np.int64), b""
            for row, (number, text) in enumerate(call):
                data = text.encode()
                spans[row, number] = len(raw) << SIZE_BITS | len(data)
                raw += data
            code = np.full((3, len(call)), -7, np.int32)
            held = [texts[name] for name in names]
            table.encode(raw + bytes(8), spans, names, np.array([2, 0, 1]), code, held)
            for row, (number, text) in enumerate(call):
                column = code[:, row].tolist()
                assert column[(2, 0, 1)[number]] == wanted[names[number]][text]
                assert column.count(-7) == 2
        for name in names:
            assert list(texts[name]) == list(wanted[name])
