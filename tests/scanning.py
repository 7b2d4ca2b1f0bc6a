"""Messages for the scanner and msgspec to agree on: all kinds, in all spellings, and what goes wrong with bytes.

The oracle is a decoder that does not scan (`scans=False`): msgspec into a struct, then column by column. It shares with
the scanner what both decoders do with texts and rows, and nothing of how a message is read.
"""

import dataclasses
import random
from fractions import Fraction

import msgspec
import numpy as np

from config.rates import Rates
from config.schema import Schema
from engine.decoding.decoder import Decoder
from engine.joined import Joined
from tests.factories import PLACED, SCHEMA, decoder

as_json = msgspec.json.Encoder().encode  # tells 1 from 1.0, true and "1"

TIMES = (
    b'"2026-03-02T10:00:09Z"', b'"2026-03-02T10:00:09.5Z"', b'"2024-02-29T23:59:59.123456+05:30"', b"1772445609000",
    b'"1970-01-01T00:00:00Z"', b'"2199-12-31T23:59:59.999999Z"', b'"2000-02-29T00:00:00-00:00"', b"0",
    b'"2026-03-02T10:00:09.000Z"', b'"2026-03-02T10:00:09.001Z"', b'"2026-12-31T23:59:59.999+01:00"',
)  # fmt: skip
ODD_TIMES = (
    b'"2026-03-02T10:00:09"', b'"2026-03-02 10:00:09Z"', b'"2026-03-02t10:00:09z"', b'"2026-03-02T10:00:60Z"',
    b'"2023-02-29T00:00:00Z"', b'"1900-02-29T00:00:00Z"', b'"2026-00-10T00:00:00Z"', b'"2026-13-10T00:00:00Z"',
    b'"2026-04-31T00:00:00Z"', b'"2026-06-31T00:00:00Z"', b'"2026-07-31T00:00:00Z"', b'"2026-08-31T00:00:00Z"',
    b'"2026-03-02T24:00:00Z"', b'"2026-03-02T10:00:09.1234567Z"', b'"2026-03-02T10:00:09.Z"', b'"2100-02-29T00:00:00Z"',
    b'"2026-03-02T10:00:09+0530"', b'"2026-03-02T10:00:09+24:00"', b'"2026-03-02T10:00:09+05:60"', b'"2200-01-01T00:00:00Z"',
    b'"2026-03-02T10:00:09+23:59"', b'"1969-12-31T23:59:59Z"', b'"1969-12-31T23:30:00-01:00"', b'"1970-01-01T00:30:00+01:00"',
    b'"2199-12-31T23:59:59-01:00"', b'"2199-12-31T23:00:00-01:00"', b'"2026-03-02"', b'""', b"-1", b"-0", b"7258118400000",
    b"7258118399999", b"1e12", b"1772445609000.0", b"1772445609000000000", b'"0000-01-01T00:00:00Z"', b'"2026-01-00T00:00:00Z"',
    b'"1950-01-01"', b'"1900-01-01"', b'"1899-12-31"', b'"2026-02-30"', b'"1900-01-01T00:00:00+00:01"', b'"2026-3-02T10:00:09Z "',
    b'"+026-03-02T10:00:09Z"', b'"2026-03-02T1 :00:09Z"', b'"2026-03-02T10:00:09.123/56Z"', b'"2026-03-02T10:00:09+0/:00"',
)  # fmt: skip
AMOUNTS = (
    b'"12.50"',
    b'"0"',
    b'"0.00"',
    b'"7"',
    b"12.5",
    b"0",
    b"19.99",
    b'"123456.78"',
    b"100",
    b'"9.9"',
)
ODD_AMOUNTS = (
    b'"00.10"', b'"7.000"', b'"1."', b'".5"', b'"-1"', b'"+1"', b'"1e5"', b'"1e-5"', b'""', b'" 1"', b'"1,5"', b'"1.2.3"',
    b'"\xd9\xa3"', b'"NaN"', b'"12.505"', b"-1", b"-0.0", b"-0", b"0.005", b"1e15", b"1e16", b"1e-7", b"0.30000000000000004",
    b"90071992547409.92", b'"90071992547409.93"', b'"90071992547409.92"', b'"9007199254740992"', b"9007199254740992",
    b"9007199254740993", b"1" + b"0" * 400, b"true", b"[]", b"{}", b'"' + b"9" * 40 + b'"', b'"0.1000000000000000055"',
    b"123456789012345.6", b"999999999999999", b"1000000000000000", b"99999999999999.99", b"9999999999999.99", b"0.0001",
    b"0.00001", b'"0.0001"', b'"0.00001"', b"0.000", b"12.000000000000", b"1.0", b"01", b"1.", b".5", b"-", b"--1", b"1E2", b"1e400",
    b'"-12.50"', b"-12.5", b'"-0"', b"-0.00", b'"000000000000000000012.5"', b'"0.000000000000000000"', b"0.1e1", b'"12.50 "',
)  # fmt: skip
NUMBERS = (b"52.5", b"-13", b"0", b"89.999999", b"-0.5", b"7", b"180", b"12.0", b"0.25", b"1.50")
ODD_NUMBERS = (
    b"90", b"90.000001", b"-90", b"-180.0001", b"1e1", b"-0", b"-0.0", b"0.0001", b"0.00009", b"0.00001", b"0.000001", b"1e-7",
    b"52.123456789012345", b"52.1234567890123", b'"52.5"', b"true", b"01", b"1.", b"00.5", b"1e400", b"-1e400", b"1" + b"0" * 30,
    b"0.000000000000001", b"123456789012345", b"-0.00012", b"179.99999999999999", b"45.10", b"45.000",
)  # fmt: skip
IDS = (
    b'"A1"',
    b'"A2"',
    b'"A3"',
    b'"K1"',
    b'"x-1234567"',
    b'"12345678"',
    b'"M 7/8"',
    b'"a{b"',
    b'"[x]"',
    b'"A1,"',
    b'"0"',
)
ODD_IDS = (
    '"é"'.encode(), '"账户"'.encode(), b'""', b'"' + b"x" * 256 + b'"', b'"' + b"x" * 257 + b'"', b'"a\\nb"', b'"A\x1fB"', b'"q\\"q"',
    b'"A1 "', b'"\\u0041"', b"7", b"true", b"null", b"[]", b'"\x7f"', b'"\xff"', b'"a\tb"', b'"\\ud800"', b'"' + "ä".encode() * 256 + b'"',
    b'"cvv"', b'"A1\x00"', '"\U0001f600"'.encode(),
)  # fmt: skip
SPANS = (b"1", b"2.5", b"0", b"-5", b"3600", b'"1h30m"', b'"90s"', b'"1x"', b"1" + b"0" * 300, b"0.0000015", b"0.0000005", b"9007199255", b"9007199254.740992", b"null")  # fmt: skip
FLAGS = (b"true", b"false", b"null", b'"yes"', b"1", b"tru", b"falsey", b"True")
TEXTS = (
    b'"rent"',
    b'""',
    b'"to: A1, {x}"',
    '"für"'.encode(),
    b'"a\\tb"',
    b'"' + b"y" * 300 + b'"',
    b"7",
    b'"cvv"',
)
ANY = (b"1", b'"x"', b"null", b"true", b"[1]", b'{"a":1}', b"1e9", b'"\\u00e9"', b"123456789012345678901234567890", b"-0.0", b"01", b"nul", b"NaN")  # fmt: skip
BLANKS = (b"", b"", b"", b"", b" ", b"  ", b"\t", b"\r", b"\n")
PIECES = (
    b'"', b"\\", b",", b":", b"{", b"}", b"null", b"0", b"1", b"9", b".", b"-", b"+", b"e", b" ", b"Z", b"T", b"[", b"]", b"true", b"\t",
    b"\x00", b"\xff", b"\xc3\xa9", b'"type":', b"00", b"\\u0041", b"\xef\xbb\xbf", b"\n", b'"cvv":1,', b'"x":1,', b"\x1f", b"\x7f", b"//",
)  # fmt: skip


def of(*values):
    return tuple(f'"{value}"'.encode() for value in values)


# key -> usual values, odd values
FIELDS = {
    "transaction_id": (of("t-1", "t-2", "t-3"), ODD_IDS),
    "event_time": (TIMES, ODD_TIMES),
    "account": (IDS, ODD_IDS),
    "amount": (AMOUNTS, ODD_AMOUNTS),
    "currency": (of("EUR", "EUR", "EUR", "EUR", "EUR", "USD"), (*of("JPY", "KWD", "eur", "XXX", ""), b"1", b"null")),
    "type": (of("payment", "card_auth", "transfer"), of("refund", "login", "brand_new", "sim_swap", "")),
    "customer": (IDS, ODD_IDS),
    "card": (IDS, ODD_IDS),
    "counterparty": (IDS, ODD_IDS),
    "payee": (IDS, ODD_IDS),
    "merchant": (IDS, ODD_IDS),
    "direction": (of("in", "out"), (*of("sideways", "IN"), b"1", b"null")),
    "channel": (of("pos", "web", "atm"), of("carrier pigeon", "")),
    "status": (of("booked", "requested"), (*of("reversed", "odd"), b"null")),
    "country": (of("DE", "GB", "CN"), ODD_IDS),
    "merchant_country": (of("DE", "TH"), ODD_IDS),
    "balance_before": ((*AMOUNTS, b'"-12.50"', b"-7", b"-0.01"), ODD_AMOUNTS),
    "lat": (NUMBERS, ODD_NUMBERS),
    "lon": (NUMBERS, ODD_NUMBERS),
    "duration": (SPANS[:5], SPANS),
    "segment": (of("ordinary", "student"), of("retail")),
    "purpose": (TEXTS[:3], TEXTS),
    "is_first_use": (FLAGS[:2], FLAGS),
    "booking_date": (of("2026-03-02", "1950-01-01", "2026-03-02T00:00:00Z"), ODD_TIMES),
    "original_transaction_id": (of("t-1", "t-9"), ODD_IDS),
    "mcc": (of("5411", "6011"), ODD_IDS),
    "label": (of("fraud", "genuine", "withdrawn"), (*of("maybe"), b"null")),
    "source": (of("desk"), ODD_IDS),
    "update_id": (of("u-1", "u-2"), (b"1", b'""', b"null")),
    "activity_id": (of("c-1"), (b"1", b'""')),
    "role": (of("owner", "joint", "friend"), (b"1", b'""')),
    "opened_on": (of("2020-01-01", "1999-12-31T12:00:00Z"), ODD_TIMES),
    "home_country": (of("DE", "PT"), ODD_IDS),
    "unheard_of": (ANY, ANY),
    "x": (ANY[:4], ANY),
    "cvv": (ANY, ANY),
}  # fmt: skip
KEYS = tuple(FIELDS)
USUAL = {
    "transaction": (
        ("transaction_id", "event_time", "account", "amount", "currency", "type"),
        ("customer", "card", "counterparty", "merchant", "direction", "channel", "status", "country", "balance_before",
         "lat", "lon", "purpose", "is_first_use", "booking_date", "original_transaction_id", "mcc", "x"),
    ),
    "activity": (
        ("event_time", "account", "type"),
        ("customer", "channel", "activity_id", "duration", "original_transaction_id", "country", "lat"),
    ),
    "label": (("transaction_id", "account", "label"), ("event_time", "source", "merchant")),
    "update": (("update_id", "transaction_id", "account"), ("status", "amount", "event_time", "currency")),
    "profile": (("account",), ("customer", "card", "segment", "home_country", "opened_on", "role", "event_time")),
    "command": (("account", "event_time"), ("x",)),
}  # fmt: skip
ACTIVITIES = of("login", "sim_swap", "challenge_passed")


class Fuzz:
    """Messages from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.books = b"EUR"

    def message(self) -> bytes:
        """One line: half of them plain, the others odd in some way, or in several."""
        rng = self.rng
        kind = rng.choices([*USUAL], (60, 12, 10, 10, 6, 2))[0]
        always, sometimes = USUAL[kind]
        oddness = rng.choice((0.0, 0.0, 0.0, 0.0, 0.02, 0.02, 0.1, 0.3))
        keys = [*always, *rng.sample(sometimes, rng.randrange(min(len(sometimes), 8) + 1))]
        if rng.random() < oddness:
            keys.append(rng.choice(KEYS))
        if rng.random() < oddness:
            keys.remove(rng.choice(keys))
        pairs = [(key.encode(), self.value(kind, key, oddness)) for key in keys]
        if kind != "transaction" or rng.random() < 0.1:
            name = b'"%s"' % kind.encode()
            if rng.random() < oddness:
                name = rng.choice(
                    (b'"Transaction"', b"1", b"null", b'"tick"', b'""', b'"lab\\u0065l"')
                )
            pairs.insert(0, (b"kind", name))
        if rng.random() < 0.2:
            rng.shuffle(pairs)
        if rng.random() < oddness:
            pairs.insert(rng.randrange(len(pairs) + 1), rng.choice(pairs or [(b"x", b"1")]))
        spaced = rng.random() < 0.15
        line = self.written(pairs, spaced)
        if rng.random() < 0.15:
            line = self.damaged(line)
        return line

    def value(self, kind: str, key: str, oddness: float) -> bytes:
        usual, odd = FIELDS[key]
        if key == "type" and kind == "activity":
            usual = ACTIVITIES
        if self.rng.random() < oddness:
            return self.rng.choice((*odd, b"null", *self.rng.choice((ANY, odd))))
        if key == "currency" and self.rng.random() < 0.9:
            return b'"%s"' % self.books
        if key == "account" and self.rng.random() < 0.5:
            return b'"A%d"' % self.rng.randrange(3_000)
        return self.rng.choice(usual)

    def written(self, pairs: list[tuple[bytes, bytes]], spaced: bool) -> bytes:
        if not spaced:
            return b"{" + b",".join(b'"%s":%s' % pair for pair in pairs) + b"}"
        gap = lambda: self.rng.choice(BLANKS)  # noqa: E731
        items = (b'%s"%s"%s:%s%s%s' % (gap(), k, gap(), gap(), v, gap()) for k, v in pairs)
        return gap() + b"{" + b",".join(items) + gap() + b"}" + gap()

    def damaged(self, line: bytes) -> bytes:
        rng, out = self.rng, bytearray(line)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            at, cut = rng.randrange(len(out) + 1), rng.choice((0, 0, 1, 1, 3, 12))
            piece = rng.choice(
                (b"", rng.choice(PIECES), bytes(out[at : at + 30]), bytes([rng.randrange(256)]))
            )
            out[at : at + cut] = piece
        if rng.random() < 0.1:
            del out[rng.randrange(len(out) + 1) :]
        return bytes(out)


def pair_of_decoders(variant: int) -> tuple[Decoder, Decoder]:
    """The same decoder twice, one that scans whatever it can and one that never does."""
    rates = Rates.constant("EUR", {"USD": Fraction("0.9137"), "JPY": Fraction("0.0061")})
    names = (
        PLACED
        if variant % 2 == 0
        else ("event_time", "amount", "type", "card", "merchant", "account.opened_on")
    )
    options = (
        {"rates": rates},
        {},
        {"required": False},
        {"currency": "KWD"},
        {"currency": "JPY", "message_bytes_max": 300},
        {"known": closed(SCHEMA)},
    )[variant % 6]
    found = (
        decoder(names=names, scans=True, **options),
        decoder(names=names, scans=False, **options),
    )
    found[0].scan_min, found[0].scan_share = 1, 0.0
    return found


def closed(known: Schema) -> Schema:
    """The schema with its list of event types closed, as `open: false` makes it."""
    columns = dict(known.columns)
    columns["type"] = dataclasses.replace(columns["type"], closed=True)
    return Schema(known.name, known.version, columns, known.event_types, False, known.never_store)


def faults(scanned: Decoder, plain: Decoder, lines: list[bytes], seq0: int) -> list[str]:
    """Decode a batch both ways; what differs, in words."""
    positions = [f"f:{seq0 + k}" for k in range(len(lines))]
    mine, wanted = (d.decode(lines, positions, seq0) for d in (scanned, plain))
    arrays = ("kind", "read_as", "event_time_us", "foreign")
    found = [n for n in arrays if getattr(mine, n).tobytes() != getattr(wanted, n).tobytes()]
    if not np.array_equal(
        mine.frame.number, wanted.frame.number, equal_nan=True
    ) or not np.array_equal(np.signbit(mine.frame.number), np.signbit(wanted.frame.number)):
        found.append("numbers")
    if mine.frame.code.tobytes() != wanted.frame.code.tobytes():
        found.append("codes")
    lists = (
        "transaction_id",
        "account",
        "digest",
        "dead",
        "objects",
        "profiles",
        "currencies",
        "originals",
        "verdicts",
        "keys",
    )
    found += [
        n for n in (*lists, "n", "seq0", "currency") if getattr(mine, n) != getattr(wanted, n)
    ]
    if list(mine.lines) != list(wanted.lines) or list(mine.position) != list(wanted.position):
        found.append("lines")
    if mine.joined is not None and pieces(mine.joined) != list(wanted.lines):
        found.append("lines in one piece")
    for a, b in zip(mine.records, wanted.records, strict=True):
        if as_json(a) != as_json(b):
            found.append(f"record {a} {b}")
            break
    return found + state_faults(scanned, plain)


def pieces(joined: Joined) -> list[bytes]:
    """The lines that were put together."""
    text, at, found = joined.text[: joined.n_bytes] + b"\n", 0, []
    for length in joined.length.tolist():
        assert text[at + length : at + length + 1] == b"\n"
        found.append(text[at : at + length])
        at += length + 1
    assert at == len(text)
    return found


def state_faults(scanned: Decoder, plain: Decoder) -> list[str]:
    """What the two have kept and differs."""
    found = []
    if list(scanned.dictionaries) != list(plain.dictionaries) and set(scanned.dictionaries) != set(
        plain.dictionaries
    ):
        found.append("names of dictionaries")
    if any(
        list(scanned.dictionaries[n].texts) != list(plain.dictionaries[n].texts)
        for n in plain.dictionaries
    ):
        found.append("texts")
    mine, wanted = scanned.save(), plain.save()
    if mine.keys() != wanted.keys() or any(
        mine[k].tobytes() != wanted[k].tobytes() for k in wanted
    ):
        found.append("quality")
    if scanned.secrets_seen != plain.secrets_seen:
        found.append("secrets")
    return found


def smallest(variant: int, history: list[list[bytes]]) -> tuple[list[bytes], list[str]]:
    """The shortest run of single messages after which the two differ, for people to look at."""
    lines = [line for batch in history for line in batch]
    for line in lines:
        scanned, plain = pair_of_decoders(variant)
        teach(scanned, plain)
        found = faults(scanned, plain, [line], 0)
        if found:
            return [line], found
    return lines[-4:], ["only together"]


def teach(scanned: Decoder, plain: Decoder) -> None:
    """Let both see every key once, so that messages are scanned from the first on."""
    line = b"{" + b",".join(b'"%s":null' % key.encode() for key in KEYS) + b"}"
    for using in (scanned, plain):
        using.decode([line], ["f:0"], 0)


def agree(n: int, seed: int = 0, rows: int = 64, batches: int = 60) -> tuple[int, int]:
    """Decode `n` messages both ways; return how many were scanned and not left. AssertionError where they differ."""
    fuzz, seen, taken, variant = Fuzz(seed), 0, 0, 0
    while seen < n:
        scanned, plain = pair_of_decoders(variant)
        fuzz.books = scanned.currency.encode()
        if variant % 5:
            teach(scanned, plain)
        history: list[list[bytes]] = []
        for _ in range(batches):
            lines = [
                fuzz.message() for _ in range(min(fuzz.rng.choice((1, 2, 7, rows, rows)), n - seen))
            ]
            if not lines:
                break
            history.append(lines)
            found = faults(scanned, plain, lines, seen)
            assert not found, (found, variant, *smallest(variant, history))
            seen += len(lines)
        taken += scanned.n_scanned
        variant += 1
    return seen, taken
