"""Laws of decoding: the fast way is the exact way, cuts change nothing, nothing raises, secrets go nowhere."""

import datetime as dt
import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.money import minor_units
from config.rates import Rates
from engine.batch import DEAD, KIND_NAMES, TRANSACTION
from engine.decoding.reasons import REASONS
from engine.quantities import FEW, read_money, read_times, time_us
from engine.scrub import Scrubber
from tests import strategies
from tests.factories import SCHEMA, decoder, line, message
from tests.oracles import decoding, exchange

TEXT_COLUMN = "purpose"
NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


def outcome(batch, using):
    """Everything a batch says, row by row, in values that can be compared."""
    rows = []
    for i in range(batch.n):
        columns = {}
        for name in batch.frame.layout.places:
            value = batch.frame.column(name)[i]
            if name == TEXT_COLUMN:
                value = using.dictionaries["text"].texts[value] if value >= 0 else None
            columns[name] = None if value != value else value  # NaN equals nothing
        record = batch.records[i]
        fields = {k: getattr(record, k) for k in SCHEMA.keys} if record is not None else None
        rows.append(
            (
                int(batch.kind[i]), int(batch.event_time_us[i]), bool(batch.foreign[i]), batch.lines[i],
                batch.transaction_id[i], batch.account[i], batch.digest[i], batch.dead.get(i), columns, fields,
                batch.objects.get(i), [p.values for p in batch.profiles if p.row == i],
            )
        )  # fmt: skip
    return rows


PRICES = {"USD": "0.9137", "JPY": "0.0061"}  # and none for KWD
RATES = Rates.constant("EUR", {name: Fraction(text) for name, text in PRICES.items()})


def run(stream, cuts=()):
    """Decode `stream` cut at `cuts` with a fresh decoder; return its rows and the state it leaves."""
    using, rows = decoder(rates=RATES), []
    edges = [0, *sorted(cuts), len(stream)]
    for start, stop in itertools.pairwise(edges):
        part = stream[start:stop]
        batch = using.decode(part, [f"f:{k}" for k in range(start, stop)], start)
        assert batch.seq0 == start
        rows += outcome(batch, using)
    state = using.dictionaries.save() | {f"decoder/{k}": v for k, v in using.save().items()}
    return rows, {k: (v.dtype.str, v.tobytes()) for k, v in state.items()}


def test_rows_that_are_wrong_and_have_an_unknown_field_learn_it_once():
    """Found by the property below."""
    stream = [
        line(message(x=1)),
        line(message(x=1, kind=1)),
        line(message(x=1, CVV=1, lat="")),
        line(message(x=1)),
    ]
    assert run(stream, range(1, 4)) == run(stream)


@given(st.data(), strategies.streams(max_size=24))
def test_batch_boundaries_change_neither_values_nor_codes_nor_counters(data, stream):
    """Any cut gives the same rows and state; rows alone take the exact readers, many rows the fast ones."""
    whole = run(stream)
    assert run(stream, range(1, len(stream))) == whole
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=4))
    assert run(stream, cuts) == whole


@given(strategies.streams(max_size=8))
def test_what_came_before_changes_no_value(stream):
    """A row says the same behind other rows as alone, but for its codes."""
    rows, _ = run(stream)
    for row, one in zip(rows, stream, strict=True):
        alone = run([one])[0][0]
        assert row[:8] == alone[:8]
        assert row[9:11] == alone[9:11]


@given(strategies.lines())
def test_a_mutated_message_never_raises_and_says_what_to_do(raw):
    batch_rows, _ = run([raw])
    kind, dead = batch_rows[0][0], batch_rows[0][7]
    assert (kind == DEAD) == (dead is not None)
    if dead is not None:
        assert dead.reason in REASONS
        assert dead.what
        assert dead.fix
        assert "\n" not in dead.what + dead.fix
    else:
        assert KIND_NAMES[kind] in (
            "transaction",
            "activity",
            "label",
            "update",
            "profile",
            "command",
        )


@given(strategies.transactions(), st.integers(0, 3))
def test_a_transaction_means_what_the_naive_reader_says(fields, variant):
    """Values are those of json, Decimal and datetime; a dead letter has a reason that is one of theirs."""
    if fields.get("kind") == "activity":
        del fields["kind"]
    raw = json.dumps(fields, ensure_ascii=variant == 0, indent=1 if variant == 1 else None).encode()
    wanted = decoding.meaning(raw)
    row = run([raw] * FEW if variant == 3 else [raw])[0][0]
    kind, dead, columns = row[0], row[7], row[8]
    if isinstance(wanted, (str, set)):
        assert dead is not None
        reasons = {wanted} if isinstance(wanted, str) else wanted
        assert dead.reason in reasons | (
            {"unreadable_secret"} if wanted == "malformed_json" else set()
        )
        return
    assert kind == TRANSACTION, dead
    fields_read = row[9]
    for key in (
        "amount",
        "event_time",
        "booking_date",
        "balance_before",
        "account",
        "payee",
        "merchant",
        "direction",
    ):
        assert fields_read[key] == wanted.get(key), key
    assert row[2] == (wanted["currency"] not in ("EUR", *PRICES))
    start = dt.date(1970, 1, 1)
    in_euro = exchange.converted(
        [(start, PRICES)],
        "EUR",
        wanted["amount"],
        wanted["currency"],
        "EUR",
        NOW,
        valid_days=99_999,
    )
    assert columns["amount"] == in_euro
    assert columns["event_time"] == wanted["event_time"]


@given(strategies.mutated(b'{"transaction_id":"t","event_time":0,"account":"A","amount":"12.50","currency":"EUR","type":"payment"}'))  # fmt: skip
def test_a_mutated_message_is_dead_where_the_naive_reader_says_so(raw):
    wanted = decoding.meaning(raw)
    dead = run([raw])[0][0][7]
    assert (dead is not None) == isinstance(wanted, (str, set)), (dead, wanted)
    if isinstance(wanted, str):
        assert dead.reason in (wanted, "unreadable_secret")


@given(strategies.streams(max_size=8))
def test_the_stored_message_says_what_the_message_said(stream):
    """Decoding what the journal keeps gives the same rows again, and it holds no secret."""
    rows, _ = run(stream)
    stored = [row[3] for row in rows]
    again, _ = run(stored)
    assert again == rows
    scrubber = Scrubber(SCHEMA.never_store)
    for before, after in zip(stream, stored, strict=True):
        assert scrubber.scrub(after) is after
        assert after == before or b"cvv" not in after.lower()


@given(
    st.lists(strategies.AMOUNTS.filter(lambda v: isinstance(v, (str, int, float)) and not isinstance(v, bool)),
             min_size=FEW, max_size=40),
    st.sampled_from([0, 2, 3, 4]),
    st.booleans(),
)  # fmt: skip
def test_a_column_of_amounts_is_read_as_each_amount_alone(values, digits, signed):
    groups = [values] + [[v for v in values if type(v) is kind] * FEW for kind in (str, int, float)]
    for group in groups:
        minor, wrong = read_money(group, digits, signed=signed) if group else ([], {})
        for i, value in enumerate(group):
            try:
                wanted, why = minor_units(value, digits, signed=signed), None
            except ValueError as error:
                wanted, why = None, str(error)
            assert wrong.get(i) == why
            if why is None:
                assert minor[i] == wanted


ODD_TEXTS = (
    "0.1000000000000000055", "12.500000000000000000001", "1.", ".5", "", "1.2.3", "1,5", "-1", "+1", " 1", "1e5", "٣",
    "12.505", "9007199254740993", "90071992547409.93", "999999999999999.9", "0.999999999999999", "1_0", "007.50",
)  # fmt: skip
ODD_NUMBERS = (
    -1,
    -0.0,
    -0.5,
    0.005,
    0.1 + 0.2,
    1e15,
    1e16,
    1e-7,
    1e300,
    2**53,
    2**53 + 1,
    10**15 + 1,
    10**400,
)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("digits", [0, 2])
@pytest.mark.parametrize("odd", [*ODD_TEXTS, *ODD_NUMBERS], ids=lambda v: str(v)[:24])
@pytest.mark.parametrize("at", [0, 3, FEW])
def test_one_odd_amount_among_plain_ones_is_read_as_alone(odd, digits, signed, at):
    plain = ["7", "12", "100"] if isinstance(odd, str) else [7, 12, 100]
    group = (plain * FEW)[:FEW]
    group.insert(at, odd)
    minor, wrong = read_money(group, digits, signed=signed)
    try:
        wanted, why = minor_units(odd, digits, signed=signed), {}
    except ValueError as error:
        wanted, why = 0, {at: str(error)}
    assert wrong == why
    assert minor[at] == wanted
    assert [int(m) for i, m in enumerate(minor) if i != at] == [
        int(v) * 10**digits for i, v in enumerate(group) if i != at
    ]


@given(st.integers(0, 2**53), st.sampled_from([0, 2, 3]), st.integers(-2, 2))
def test_floats_beside_a_decimal_are_not_that_decimal(minor, digits, steps):
    """Only the float nearest to the amount is the amount; its neighbours are other decimals, or none."""
    value = minor / 10**digits
    for _ in range(abs(steps)):
        value = float(np.nextafter(value, np.inf if steps > 0 else 0))
    got, wrong = read_money([value] * FEW, digits)
    try:
        assert got[0] == minor_units(value, digits)
        assert not wrong
    except ValueError:
        assert len(wrong) == FEW


@given(
    st.lists(strategies.TIMES.filter(lambda v: type(v) in (str, int)), min_size=FEW, max_size=40),
    st.booleans(),
)
def test_a_column_of_times_is_read_as_each_time_alone(values, dated):
    groups = [values] + [[v for v in values if type(v) is kind] * FEW for kind in (str, int)]
    for group in groups:
        us, wrong = read_times(group, dated=dated) if group else ([], {})
        for i, value in enumerate(group):
            try:
                wanted, why = time_us(value, dated=dated), None
            except ValueError as error:
                wanted, why = None, str(error)
            assert wrong.get(i) == why
            if why is None:
                assert us[i] == wanted


@pytest.mark.parametrize("length", [20, 24, 25, 27, 32])
@given(st.data())
def test_times_of_one_length_are_right_or_refused(length, data):
    """Digits in every place, as a sender with a bug would write them."""
    mould = {
        20: "2026-03-02T10:00:09Z", 24: "2026-03-02T10:00:09.123Z", 25: "2026-03-02T10:00:09+05:30",
        27: "2026-03-02T10:00:09.123456Z", 32: "2026-03-02T10:00:09.123456-05:30",
    }[length]  # fmt: skip
    text = list(mould)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, length - 1))
        text[at] = data.draw(st.sampled_from("0123456789-+:.TZ /z"))
    us, wrong = read_times(["".join(text)] * FEW)
    try:
        wanted = decoding.moment("".join(text))
    except decoding.BadError:
        assert len(wrong) == FEW
    else:
        assert not wrong
        assert us.tolist() == [wanted] * FEW
