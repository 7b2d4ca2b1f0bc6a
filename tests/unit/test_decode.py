"""Decoding by example: what each kind of message needs, every reason for a dead letter, money, times, secrets."""

import math

import numpy as np
import pytest

from engine.batch import ACTIVITY, COMMAND, DEAD, LABEL, PROFILE, TICK, TRANSACTION, UPDATE
from engine.decoding.quality import UNKNOWN_MAX
from engine.decoding.reasons import REASONS
from engine.scrub import DEPTH_MAX
from tests.factories import decode, decoder, label, line, message


def dead(*messages, **options):
    """The dead letter of the only message."""
    batch = decode(*messages, using=decoder(**options))
    assert batch.kind.tolist() == [DEAD] * len(messages)
    return batch.dead[0]


def test_a_transaction_becomes_columns():
    using = decoder()
    batch = decode(
        message(counterparty="A2", status="booked", lat=52.5, is_first_use=True), using=using
    )
    assert batch.kind.tolist() == [TRANSACTION]
    assert batch.event_time_us.tolist() == [1_772_445_609_000_000]
    assert (batch.transaction_id, batch.account) == (["t-1"], ["A1"])
    column = batch.frame.column
    assert column("amount").tolist() == [1250]
    assert column("event_time").tolist() == [1_772_445_609_000_000]
    assert column("account").tolist() == [0]
    assert column("counterparty").tolist() == [1]
    assert list(using.dictionaries["account"].texts) == ["A1", "A2"]
    assert list(using.dictionaries["status"].texts) == ["booked"]
    assert column("lat").tolist() == [52.5]
    assert column("is_first_use").tolist() == [1]
    assert column("customer").tolist() == [-1]
    assert math.isnan(column("balance_before")[0])
    assert batch.records[0].amount == 1250
    assert batch.records[0].customer is None


def test_ids_of_one_domain_get_their_codes_row_by_row():
    using = decoder()
    batch = decode(
        message(account="A", counterparty="B"), message(account="C", counterparty="A"), using=using
    )
    assert list(using.dictionaries["account"].texts) == ["A", "B", "C"]
    assert batch.frame.column("counterparty").tolist() == [1, 0]


def test_a_column_nobody_reads_is_checked_and_not_written():
    using = decoder(names=("amount",))
    batch = decode(message(balance_before="x", merchant="M"), using=using)
    assert set(batch.frame.layout.places) == {"amount"}
    assert using.quality.invalid["balance_before"] == 1
    assert "merchant" not in using.dictionaries


def test_white_space_key_order_and_spelling_do_not_change_the_digest():
    plain = message(amount="12.50")
    other = dict(reversed(message(amount=12.5, kind="transaction").items()))
    digests = decode(
        plain, other, message(event_time=1_772_445_609_000), message(amount="12.51")
    ).digest
    assert digests[0] == digests[1] == digests[2] != digests[3]
    assert decode(b' {"kind":null,"unheard":1,' + line(plain)[1:]).digest[0] == digests[0]


def test_the_last_of_equal_keys_wins():
    raw = line(message())[:-1]
    batch = decode(
        raw + b',"amount":"7.00"}',
        raw + b',"amount":null}',
        b'{"amount":null,' + raw[1:] + b"}",
        b'{"amount":[],' + raw[1:] + b"}",
        raw + b',"amount":[]}',
    )
    assert batch.kind.tolist() == [TRANSACTION, DEAD, TRANSACTION, TRANSACTION, DEAD]
    assert batch.frame.column("amount")[[0, 2, 3]].tolist() == [700, 1250, 1250]
    assert batch.dead[1].reason == "missing_field"
    assert batch.dead[4].reason == "wrong_amount"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty_line"),
        (b" \t\r", "empty_line"),
        (b"{", "malformed_json"),
        (b"{}{}", "malformed_json"),
        (b'{"amount":NaN}', "malformed_json"),
        (b'{"amount":Infinity}', "malformed_json"),
        (b'{"x":"\\ud800"}', "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b'{"x":"\xff"}', "bad_utf8"),
        (b'{"x":' + b"[" * 70 + b"]" * 70 + b"}", "nested_too_deep"),
        (b'{"x":' + b"[" * 100_000, "nested_too_deep"),
        (b'{"x":"' + b"y" * (1 << 20) + b'"}', "too_large"),
        (b'{"kind":"payment"}', "unknown_kind"),
        (b'{"kind":1}', "unknown_kind"),
        (b'{"kind":"tick","event_time":0}', "unknown_kind"),
        (b"{}", "missing_field"),
        (line(message(type="login")), "wrong_kind"),
        (line(message(kind="activity")), "wrong_kind"),
        (line(message(account=7)), "wrong_field"),
        (line(message(account="")), "wrong_field"),
        (line(message(account="A" * 257)), "wrong_field"),
        (line(message(account="A\nB")), "wrong_field"),
        (line(message(account="A\x1fB")), "wrong_field"),
        (line(message(amount="-1")), "wrong_amount"),
        (line(message(amount="1e5")), "wrong_amount"),
        (line(message(amount="12.505")), "wrong_amount"),
        (line(message(amount=1e300)), "wrong_amount"),
        (line(message(amount=10**400)), "wrong_amount"),
        (line(message(amount="90071992547409.93")), "wrong_amount"),
        (line(message(amount="12.5", currency="JPY")), "wrong_amount"),
        (line(message(currency="eur")), "unknown_currency"),
        (line(message(event_time="2026-03-02T10:00:09")), "wrong_time"),
        (line(message(event_time="2200-01-01T00:00:00Z")), "wrong_time"),
        (line(message(event_time=1.5)), "wrong_time"),
        (line(message(type="refund")), "missing_field"),
        (line(label(label="maybe")), "wrong_field"),
        (line(label(transaction_id=None)), "missing_field"),
        (b'{"kind":"update","update_id":"u","transaction_id":"t","account":"A"}', "missing_field"),
        (
            b'{"kind":"update","transaction_id":"t","account":"A","status":"booked"}',
            "missing_field",
        ),
        (b'{"kind":"profile","opened_on":"2020-01-01"}', "missing_field"),
        (b'{"kind":"activity","type":"login","event_time":0}', "missing_field"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_means_nothing_is_a_dead_letter_with_a_reason(raw, reason):
    """And the messages around it are read as ever."""
    alone = dead(raw)
    assert alone.reason == reason
    assert alone.what
    assert alone.fix
    batch = decode(
        message(), raw, message(), message(), message(), message(), message(), message(), message()
    )
    assert batch.kind.tolist() == [TRANSACTION, DEAD, *[TRANSACTION] * 7]
    assert batch.dead == {1: alone}
    assert batch.frame.column("amount")[1] != batch.frame.column("amount")[1]


def test_every_reason_is_listed_and_every_listed_reason_happens():
    seen = {
        params[1]
        for mark in test_what_means_nothing_is_a_dead_letter_with_a_reason.pytestmark
        for params in mark.args[1]
    }
    assert seen | {"unknown_type", "unreadable_secret"} == set(REASONS)


def test_messages_to_people_say_what_and_how():
    found = dead(message(amount="-1"))
    assert found.what == (
        "`amount` means nothing: an amount is plain digits, with a point before the decimals if there are any"
    )
    assert found.fix == (
        'send a decimal such as "12.50", not below zero, with no more decimals than its currency, '
        "at most 2**53 minor units"
    )
    found = dead(message(type=None))
    assert found.what == "a transaction needs `type`, and the message has none"
    assert found.fix == "add `type` to the transaction"
    found = dead(message(type="refund"))
    assert found.what == "a refund needs `original_transaction_id`, and the message has none"
    found = dead(message(type="sim_swap"))
    assert found.what == "`sim_swap` is the type of an activity, and the message is a transaction"
    assert found.fix == 'send it with "kind":"activity"'
    found = dead(b'{"kind":"lable"}')
    assert found.what.endswith("was `lable`")
    assert found.fix == "did you mean `label`?"


def test_a_dead_transaction_whose_identity_can_be_read_is_answerable():
    batch = decode(
        message(amount="x"),
        message(amount="x", account=None),
        label(label="x"),
        b"{",
        message(type="login"),
    )
    assert [batch.dead[i].answerable for i in range(5)] == [True, False, False, False, True]
    assert batch.transaction_id == ["t-1", None, None, None, "t-1"]
    assert batch.account == ["A1", None, None, None, "A1"]
    assert batch.records[0].type == "payment"
    assert batch.records[0].amount is None
    assert batch.digest[0] != 0
    assert batch.event_time_us[0] == 1_772_445_609_000_000
    assert batch.digest[1] == 0
    assert np.isnan(batch.frame.number).all()
    assert (batch.frame.code == -1).all()


def test_a_wrong_optional_field_is_missing_and_counted():
    using = decoder()
    batch = decode(
        message(lat=91, card=5, balance_before="x", direction="sideways", duration="1x", booking_date="soon"),
        *[message(lat=1)] * 9,
        using=using,
    )  # fmt: skip
    assert batch.dead == {}
    assert math.isnan(batch.frame.column("lat")[0])
    assert batch.frame.column("lat")[1] == 1
    wrong = {k for k, n in using.quality.invalid.items() if n}
    assert wrong == {"lat", "card", "balance_before", "direction", "duration", "booking_date"}
    assert batch.records[0].lat is None


def test_unknown_values_of_an_open_list_are_kept_and_counted():
    using = decoder()
    batch = decode(message(channel="pigeon", type="brand_new"), message(channel="pos"), using=using)
    assert batch.dead == {}
    assert list(using.dictionaries["channel"].texts) == ["pigeon", "pos"]
    assert using.quality.unseen["channel"] == 1
    assert using.quality.unseen["type"] == 1
    assert using.quality.present["channel"] == 2
    assert using.quality.n_transactions == 2


def test_unknown_fields_are_counted_up_to_a_limit_and_then_together():
    using = decoder()
    for _ in range(3):
        decode(message(foo=1, bar=None), message(foo=[{}]), using=using)
    assert using.quality.unknown == {"foo": 6}
    decode(line(message())[:-1] + b',"bar":null}', using=using)
    assert using.quality.unknown == {"foo": 6, "bar": 1}
    decode(*[message(**{f"x{k}": 1}) for k in range(2 * UNKNOWN_MAX)], using=using)
    assert len(using.quality.unknown) == UNKNOWN_MAX
    assert using.quality.unknown_other == UNKNOWN_MAX + 2


def test_money_in_another_currency_is_exact_in_the_record_and_missing_in_the_columns():
    batch = decode(
        message(currency="JPY", amount="700"),
        message(),
        *[message(currency="KWD", amount=1.234)] * 9,
    )
    assert batch.foreign.tolist() == [True, False, *[True] * 9]
    assert math.isnan(batch.frame.column("amount")[0])
    assert batch.frame.column("amount")[1] == 1250
    assert batch.records[0].amount == 700
    assert batch.records[2].amount == 1234


def test_a_balance_may_be_overdrawn_an_amount_never():
    batch = decode(message(balance_before="-250.75"))
    assert batch.frame.column("balance_before").tolist() == [-25075]


def test_times_with_offset_fraction_and_milliseconds_are_one_moment():
    moments = [
        "2026-03-02T10:00:09Z",
        "2026-03-02T15:30:09+05:30",
        "2026-03-02T10:00:09.000000Z",
        1_772_445_609_000,
    ]
    batch = decode(*[message(event_time=m) for m in moments * 3])
    assert set(batch.event_time_us.tolist()) == {1_772_445_609_000_000}


@pytest.mark.parametrize(
    ("day", "is_there"),
    [("2024-02-29", True), ("2000-02-29", True), ("2100-02-29", False), ("2023-02-29", False)],
)
def test_leap_days_are_those_of_the_calendar(day, is_there):
    batch = decode(*[message(event_time=f"{day}T12:00:00Z")] * 9)
    assert len(batch.dead) == (0 if is_there else 9)


def test_texts_are_numbered_anew_in_each_batch():
    using = decoder()
    for text in ("one", "two"):
        batch = decode(message(purpose=text), using=using)
        assert list(using.dictionaries["text"].texts) == [text]
        assert batch.frame.column("purpose").tolist() == [0]


def test_dates_of_birth_reach_back_to_1900():
    using = decoder()
    batch = decode({"kind": "profile", "customer": "K", "birth_date": "1931-05-01"}, using=using)
    assert batch.kind.tolist() == [PROFILE]
    assert batch.profiles[0].values == (("customer.birth_date", -1_220_400_000_000_000.0),)


def test_every_kind_of_message_is_known_by_its_kind():
    batch = decode(
        message(kind="transaction"),
        {"kind": "activity", "type": "login", "event_time": 0, "customer": "K"},
        label(event_time="not a time"),
        {
            "kind": "update",
            "update_id": "u",
            "transaction_id": "t",
            "account": "A",
            "status": "booked",
        },
        {"kind": "profile", "account": "A", "segment": "sme"},
        {"kind": "command", "command": "release", "restriction": "r-1", "lines": [{"a": 1}]},
    )
    assert batch.dead == {}
    assert batch.kind.tolist() == [TRANSACTION, ACTIVITY, LABEL, UPDATE, PROFILE, COMMAND]
    assert batch.objects[5]["lines"] == [{"a": 1}]
    assert batch.records[2].label == "fraud"
    assert batch.event_time_us[2] == -1
    assert batch.records[3].status == "booked"


def test_ticks_come_from_the_runner_only():
    using = decoder()
    tick = b'{"kind":"tick","event_time":1772445609000}'
    batch = using.decode([tick, tick], ["tick", "f:1"], 0)
    assert batch.kind.tolist() == [TICK, DEAD]
    assert batch.event_time_us.tolist() == [1_772_445_609_000_000, -1]


def test_an_update_without_a_currency_is_in_the_configurations():
    batch = decode(
        {
            "kind": "update",
            "update_id": "u",
            "transaction_id": "t",
            "account": "A",
            "amount": "3.10",
        }
    )
    assert batch.kind.tolist() == [UPDATE]
    assert batch.frame.column("amount").tolist() == [310]


def test_in_rule_tests_absent_fields_are_accepted_and_wrong_ones_are_not():
    using = decoder(required=False)
    batch = decode(
        {"event_time": 0, "type": "payment"},
        {"event_time": 0, "type": "payment", "amount": "x", "currency": "EUR"},
        {"type": "payment"},
        {"kind": "activity", "type": "login", "event_time": 0},
        using=using,
    )
    assert batch.kind.tolist() == [TRANSACTION, DEAD, DEAD, ACTIVITY]


def test_a_closed_schema_refuses_types_it_does_not_list():
    import dataclasses

    from tests.factories import SCHEMA

    kinds = dict(SCHEMA.columns)
    kinds["type"] = dataclasses.replace(kinds["type"], closed=True)
    closed = dataclasses.replace(SCHEMA, columns=kinds, open_types=False)
    assert dead(message(type="brand_new"), known=closed).reason == "unknown_type"


@pytest.mark.parametrize("depth", [1, DEPTH_MAX - 1])
def test_nesting_up_to_the_limit_is_ignored_like_any_unknown_field(depth):
    batch = decode(line(message())[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}")
    assert batch.dead == {}


@pytest.mark.parametrize(
    ("extra", "kept"),
    [
        (b',"cvv":"123"', b""),
        (b',"CVV":"123"', b""),
        (b',"\\u0063vv":"123"', b""),
        (b',"x":{"y":[{"pin_block":"ABCD","z":1.50}]}', b',"x":{"y":[{"z":1.50}]}'),
        (b',"auth_method":"pin"', b',"auth_method":"pin"'),
        (b',"x":{"auth_method":"pin"}', b',"x":{"auth_method":"pin"}'),
    ],
)
def test_what_must_never_be_stored_is_not_in_the_lines(extra, kept):
    using = decoder()
    raw = line(message())[:-1]
    for _ in range(3):  # the struct learns the key after the first batch
        batch = decode(raw + extra + b"}", message(), using=using)
        assert batch.kind.tolist() == [TRANSACTION, TRANSACTION]
        assert list(batch.lines) == [raw + kept + b"}", raw + b"}"]
    assert using.secrets_seen == (0 if kept == extra else 3)
    assert not set(using.quality.unknown) & {"cvv", "CVV"}


def test_a_message_that_cannot_be_cleaned_is_withheld():
    batch = decode(b'{"cvv":"123"', b'{"x":"pin_block 12', message())
    assert [batch.dead[i].reason for i in (0, 1)] == ["unreadable_secret", "unreadable_secret"]
    assert b"123" not in batch.lines[0]
    again = decode(*batch.lines)
    assert again.dead == batch.dead


def test_a_message_that_is_too_large_is_not_kept_and_stays_too_large():
    batch = decode(b'{"x":"' + b"y" * (1 << 20) + b'"}')
    assert len(batch.lines[0]) < 100
    assert decode(*batch.lines).dead == batch.dead
    assert dead(message(purpose="x" * 900), message_bytes_max=500).reason == "too_large"


def test_what_was_counted_is_saved_and_loaded():
    using, fresh = decoder(), decoder()
    decode(message(foo=1, lat=99, channel="x"), using=using)
    fresh.load(using.save())
    assert fresh.save().keys() == using.save().keys()
    assert all((fresh.save()[k] == v).all() for k, v in using.save().items())
    assert fresh.quality.unknown == {"foo": 1}


def test_an_empty_batch_is_a_batch():
    batch = decode()
    assert batch.n == 0
    assert batch.frame.number.shape[1] == 0
