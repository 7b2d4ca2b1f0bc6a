"""Strategies of Hypothesis for streams of messages: plain ones, odd spellings, and everything that goes wrong.

streams()      lists of lines (bytes): all kinds, mostly valid, with some mutated
mutated(line)  one line after one mutation
"""

import json

from hypothesis import strategies as st

from tests.factories import label, line, message

CURRENCIES = st.sampled_from(["EUR", "EUR", "EUR", "JPY", "KWD", "USD", "eur", "XXX", ""])
PLAIN_AMOUNTS = st.one_of(
    st.integers(0, 10**7).map(lambda minor: f"{minor // 100}.{minor % 100:02d}"),
    st.integers(0, 10**6).map(lambda minor: minor / 100),
    st.integers(0, 10**6),
)
ODD_AMOUNTS = st.sampled_from(
    ["00.10", "7.000", "1.", ".5", "-1", "+1", "1e5", "1e-5", "", " 1", "1,5", "1.2.3", "٣", "NaN", "12.505", -1,
     -0.0, 0.005, 1e15, 1e16, 1e-7, 0.1 + 0.2, 90071992547409.92, "90071992547409.93", "9007199254740992", 2**53,
     2**53 + 1, 10**400, True, [], {}, "9" * 40, "0.1000000000000000055", "123456789012345.6"]
)  # fmt: skip
AMOUNTS = st.one_of(PLAIN_AMOUNTS, PLAIN_AMOUNTS, ODD_AMOUNTS, st.floats(allow_nan=False))
PLAIN_TIMES = st.one_of(
    st.integers(1_750_000_000_000, 1_790_000_000_000),
    st.datetimes(allow_imaginary=False).map(lambda t: t.isoformat() + "Z").filter(lambda t: t > "1970"),
    st.sampled_from(
        ["2026-03-02T10:00:09Z", "2026-03-02T10:00:09.5Z", "2024-02-29T23:59:59.123456+05:30",
         "1970-01-01T00:00:00Z", "2199-12-31T23:59:59.999999Z", "2000-02-29T00:00:00-00:00"]
    ),
)  # fmt: skip
ODD_TIMES = st.sampled_from(
    ["2026-03-02T10:00:09", "2026-03-02 10:00:09Z", "2026-03-02t10:00:09z", "2026-03-02T10:00:60Z",
     "2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-00-10T00:00:00Z", "2026-13-10T00:00:00Z",
     "2026-04-31T00:00:00Z", "2026-03-02T24:00:00Z", "2026-03-02T10:00:09.1234567Z", "2026-03-02T10:00:09.Z",
     "2026-03-02T10:00:09+0530", "2026-03-02T10:00:09+24:00", "2026-03-02T10:00:09+05:60", "2200-01-01T00:00:00Z",
     "1969-12-31T23:59:59Z", "1969-12-31T23:30:00-01:00", "1970-01-01T00:30:00+01:00", "2199-12-31T23:59:59-01:00",
     "2099-01-01T00:00:00Z", "2026-03-02", "", "x" * 20, "2026-03-02T10:00:0éZ", "2026-03-02T10:00:09.12345é",
     -1, 0, 10**18, 10**400, 1.5, True, None, "+026-03-02T10:00:09Z", "2026-03-02T1 :00:09Z",
     "2026-03-02T10:00:09.123/56Z", "2026-03-02T10:00:09+0/:00"]
)  # fmt: skip
TIMES = st.one_of(PLAIN_TIMES, PLAIN_TIMES, ODD_TIMES)
IDS = st.sampled_from(["A1", "A2", "A3", "K1", "é", "", "x" * 257, "a\nb", "A\x1fB", 'q"q', "A1 "])
GOOD_IDS = st.sampled_from(["A1", "A2", "A3", "A4", "A5"])
ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip

OPTIONAL = {
    "customer": st.sampled_from(["K1", "K2", "K3"]),
    "card": st.sampled_from(["C1", "C2"]),
    "counterparty": GOOD_IDS,
    "payee": IDS,
    "direction": st.sampled_from(["in", "out", "sideways"]),
    "channel": st.sampled_from(["pos", "web", "carrier pigeon"]),
    "status": st.sampled_from(["booked", "declined"]),
    "merchant": IDS,
    "country": st.sampled_from(["DE", "GB"]),
    "merchant_country": st.sampled_from(["DE", "TH", "FR"]),
    "balance_before": AMOUNTS,
    "lat": st.one_of(st.floats(-100, 100), st.just("x")),
    "duration": st.sampled_from([1, 2.5, "1h30m", "1x", -5, 10**300]),
    "segment": st.sampled_from(["retail", "private"]),
    "purpose": st.text(max_size=5),
    "is_first_use": st.sampled_from([True, False, "yes", 1]),
    "booking_date": st.sampled_from(["2026-03-02", "1950-01-01", "2026-02-30", "2026-03-02T00:00:00Z"]),
    "kind": st.sampled_from(["transaction", "activity", "Transaction", "", 1]),
    "unheard_of": ANY_JSON,
    "cvv": st.just("123"),
}  # fmt: skip


@st.composite
def transactions(draw):
    """A transaction with some optional fields, most of them in order."""
    fields = message(
        transaction_id=draw(st.sampled_from(["t-1", "t-2", "t-3"])),
        account=draw(GOOD_IDS),
        event_time=draw(TIMES),
        amount=draw(AMOUNTS),
        currency=draw(CURRENCIES),
        type=draw(st.sampled_from(["payment", "card_auth", "refund", "login", "brand_new"])),
    )
    for name in draw(st.lists(st.sampled_from(sorted(OPTIONAL)), max_size=5, unique=True)):
        fields[name] = draw(OPTIONAL[name])
    return fields


@st.composite
def others(draw):
    """A message of another kind."""
    kind = draw(st.sampled_from(["label", "update", "profile", "activity", "command"]))
    if kind == "label":
        return label(
            account=draw(GOOD_IDS), label=draw(st.sampled_from(["fraud", "genuine", "maybe"]))
        )
    fields = {"kind": kind, "account": draw(GOOD_IDS), "event_time": draw(PLAIN_TIMES)}
    if kind == "update":
        return fields | {"update_id": "u1", "transaction_id": "t-1", "amount": draw(AMOUNTS)}
    if kind == "profile":
        more = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "customer": st.sampled_from(["K1", "K9"]),
                    "card": st.sampled_from(["C1", "C9"]),
                    "segment": st.sampled_from(["retail", "sme"]),
                    "home_country": st.sampled_from(["DE", "PT"]),
                    "opened_on": st.sampled_from(["2020-01-01", "x"]),
                    "role": st.sampled_from(["owner", "joint", "friend"]),
                },
            )
        )
        return fields | more
    if kind == "activity":
        return fields | {"type": draw(st.sampled_from(["login", "payment"])), "customer": "K1"}
    return fields | {"command": "release", "by": "m.keller", "nested": {"a": [1]}}


@st.composite
def mutated(draw, raw):
    """One line after something has gone wrong with it."""
    how = draw(
        st.sampled_from(["cut", "byte", "nan", "nest", "utf8", "twice", "prefix", "empty", "swap"])
    )
    if how == "cut":
        return raw[: draw(st.integers(0, len(raw)))]
    if how == "byte":
        at = draw(st.integers(0, len(raw) - 1))
        return raw[:at] + bytes([draw(st.integers(0, 255))]) + raw[at + 1 :]
    if how == "nan":
        word = draw(
            st.sampled_from([b"NaN", b"Infinity", b"-Infinity", b"1e999", b"01", b"1_0", b"nul"])
        )
        return (
            raw.replace(b'"12.50"', word, 1)
            if b'"12.50"' in raw
            else raw[:-1] + b',"x":' + word + b"}"
        )
    if how == "nest":
        depth = draw(st.sampled_from([1, 63, 64, 65, 3_000]))
        key = draw(st.sampled_from([b"x", b"purpose", b"amount"]))
        return raw[:-1] + b',"' + key + b'":' + b"[" * depth + b"]" * depth + b"}"
    if how == "utf8":
        return (
            raw[:-1]
            + b',"purpose":"'
            + draw(st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80"]))
            + b'"}'
        )
    if how == "twice":
        key = draw(st.sampled_from(["amount", "account", "kind", "event_time", "unheard_of"]))
        value = draw(
            st.sampled_from(['"12.50"', "1", '"A1"', "null", '"2026-03-02T10:00:09Z"', "[]"])
        )
        return raw[:-1] + f',"{key}":{value}}}'.encode()
    if how == "prefix":
        return draw(st.sampled_from([b" ", b"\t", b"\xef\xbb\xbf", b"x", b"[", b"{"])) + raw
    if how == "swap":
        return draw(
            st.sampled_from([b"null", b"[]", b"1", b'"x"', b"true", b'{"cvv":"1"', b"{}", b"{}{}"])
        )
    return b""


@st.composite
def lines(draw):
    """One line of a stream."""
    fields = draw(st.one_of(transactions(), transactions(), others()))
    raw = line(fields)
    if draw(st.integers(0, 3)) == 0:
        raw = json.dumps(fields).encode()  # blanks and escapes instead
    if draw(st.integers(0, 3)) == 0:
        raw = draw(mutated(raw))
    return raw


def streams(max_size=12):
    """Lists of lines, some of which mean nothing."""
    return st.lists(lines(), max_size=max_size)
