"""Thousands of spoilt messages among calm traffic, through the configuration that ships: nothing crashes, nothing leaks.

What is spoilt, and how, follows from one seed. `WEIR_MUTATIONS=10000` asks for more than the 1,500 of every commit.
What a line is worth is judged by Python's own JSON and a few lines below, never by the decoder.
"""

import itertools
import json
import os
import re

import numpy as np
import pytest

from engine.batch import DEAD, KIND_NAMES
from engine.decoding.messages import BYTES_MAX, ID_MAX
from engine.decoding.reasons import REASONS
from engine.scrub import DEPTH_MAX
from tests import banking, factories

N = int(os.environ.get("WEIR_MUTATIONS", "1500"))
SEED = 20_260_302
KINDS = (None, "transaction", "activity", "label", "update", "profile", "command")
FAR = [
    "2099-01-01T00:00:00Z",
    "2199-12-31T23:59:59Z",
    4_070_908_800_000,
    "2150-06-01T00:00:00+02:00",
]
ODD = [
    None, True, False, 0, -1, 1e308, -0.0, 0.1 + 0.2, 10**40, "", " ", "x" * 257, "x" * 5_000, [], {}, [[]], {"a": 1},
    "NaN", "\u0000", "a\u0000b", "tab\there", "line\nend", "\u007f", "\u2028", "\u202e", "é", "\U0001f4a3", "A\u001fB",
    "-1.00", "1e5", "1_000", "٣", "12.505", "0x10", "99999999999999999999.99", "2026-02-30T00:00:00Z",
    "2026-03-02T10:00:00", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "9" * 400, "null", "transaction", "login",
]  # fmt: skip
RAW = [
    b"NaN", b"-Infinity", b"Infinity", b"1e999", b"-1e999", b"01", b"1.", b".5", b"+1", b"0x1", b"1_0", b"'x'", b"nul",
    b"9" * 4_000, b"9" * 5_000, b"-" + b"9" * 5_000, b"0." + b"0" * 5_000 + b"1", b"1e-999", b'"\\ud800"',
    b'"\\udc00x"', b'"\\ud800\\u0041"', b'"\\u12"', b'"\\q"', b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xf5\x80"',
    b'"raw\ttab"', b'"raw\x00nul"', b'"\\u0000"', b'"\\u001f"', b"[1,]", b'{"a":1,}', b"/**/1", b"1//", b"",
]  # fmt: skip
WHOLE = [
    b"", b" ", b"\t", b"\r", b"\x00", b"null", b"true", b"17", b'"text"', b"[]", b"{}", b"{", b"}", b"{}{}", b"[{}]",
    b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"PK\x03\x04", b"\x1f\x8b\x08", b"key=value", b"<xml/>", b"{'a':1}",
    b'{"withheld":["too_large",1]}', b"-- DROP", b"#", b'{"kind":null}', b'{"kind":[]}', b'{"kind":"Transaction"}',
    b'{"kind":"tick","event_time":"2099-01-01T00:00:00Z"}', b'{"kind":"config","event_time":1}', b'{"kind":"command"}',
    b'{"kind":"command","command":null}', b'{"kind":"command","command":["release"]}', b'{"kind":"label"}',
    b'{"kind":"command","command":"release","by":9999999999999999999999999999}', b'{"kind":"profile"}',
]  # fmt: skip
STRANGE_KEYS = [
    "", " ", "a.b", "x" * 300, "\u0000", "tab\t", 'q"q', "back\\slash", "é", "extra_0", "__class__", "cvv", "CVV",
    "track2", "command", "by", "\u2028",
]  # fmt: skip


# ---------------------------------------------------------------- spoiling


class Spoiler:
    """Makes bad messages out of good ones."""

    def __init__(self, rng):
        self.rng = rng
        self.ways = [
            self.cut, self.flip, self.retype, self.retype, self.raw, self.raw, self.nest, self.twice, self.far,
            self.drop, self.rekind, self.rename, self.splice, self.shuffle, self.prefix, self.whole, self.grow,
            self.estrange,
        ]  # fmt: skip

    def spoil(self, number, line):
        """One bad message from `line`; most have an identity of their own, some repeat one that was there."""
        message = json.loads(line)
        is_transaction = message.get("kind", "transaction") == "transaction"
        if is_transaction and self.rng.random() < 0.8:
            message["transaction_id"] = f"spoilt-{number}"
        return self.pick(self.ways)(message)

    def pick(self, options):
        return options[int(self.rng.integers(len(options)))]

    def bytes_of(self, message):
        return json.dumps(message, ensure_ascii=bool(self.rng.random() < 0.5)).encode()

    def key(self, message):
        return self.pick(
            [
                *message,
                "amount",
                "account",
                "event_time",
                "type",
                "currency",
                "kind",
                "lat",
                "cvv",
                "new",
            ]
        )

    def estrange(self, message):
        return self.bytes_of(message | {self.pick(["account", "transaction_id"]): "nobody"})

    def cut(self, message):
        line = self.bytes_of(message)
        return line[: int(self.rng.integers(len(line)))]

    def flip(self, message):
        line = bytearray(self.bytes_of(message))
        for _ in range(int(self.rng.integers(1, 4))):
            line[int(self.rng.integers(len(line)))] = int(
                self.rng.choice([x for x in range(256) if x != 10])
            )
        return bytes(line)

    def retype(self, message):
        return self.bytes_of(message | {self.key(message): self.pick(ODD)})

    def raw(self, message):
        message = message | {self.key(message): "@@"}
        return self.bytes_of(message).replace(b'"@@"', self.pick(RAW), 1)

    def nest(self, message):
        depth = self.pick([1, 62, 63, 64, 65, 1_000, 50_000])
        opened, closed = self.pick([(b"[", b"]"), (b'{"a":', b"}")])
        inside = opened * depth + b"1" + closed * self.pick([depth, depth, depth - 1])
        line = self.bytes_of(message | {self.key(message): "@@"})
        return line.replace(b'"@@"', inside, 1)

    def twice(self, message):
        key = json.dumps(self.key(message)).encode()
        again = b",".join(key + b":" + self.pick([*RAW, b"1", b'"EUR"', b'"A1"']) for _ in range(2))
        line = self.bytes_of(message)
        return self.pick([line[:-1] + b"," + again + b"}", b"{" + again + b"," + line[1:]])

    def far(self, message):
        return self.bytes_of(message | {"event_time": self.pick(FAR)})

    def drop(self, message):
        for key in self.rng.permutation(list(message))[: int(self.rng.integers(1, 4))]:
            del message[str(key)]
        return self.bytes_of(message)

    def rekind(self, message):
        kind = self.pick([*KINDS[1:], "Label", "tick", "config", "", "x" * 999])
        return self.bytes_of(message | {"kind": kind})

    def rename(self, message):
        """A key that is none, in the place of another or beside them."""
        odd = self.pick(STRANGE_KEYS)
        key = self.pick(list(message))
        if self.rng.random() < 0.5:
            return self.bytes_of(message | {odd: message[key]})
        return self.bytes_of({odd if k == key else k: v for k, v in message.items()})

    def splice(self, message):
        line = self.bytes_of(message)
        at = int(self.rng.integers(len(line)))
        return line[:at] + self.pick(RAW) + line[at:]

    def shuffle(self, message):
        names, values = list(message), list(message.values())
        return self.bytes_of(
            dict(zip(names, (values[k] for k in self.rng.permutation(len(values))), strict=True))
        )

    def prefix(self, message):
        start = self.pick(
            [b"\xef\xbb\xbf", b" \t", b"\x00", b"[", b"//", b"{", b"\x0c", "\u00a0".encode()]
        )
        return self.pick([start + self.bytes_of(message), self.bytes_of(message) + start])

    def whole(self, _message):
        return self.pick(WHOLE)

    def grow(self, message):
        if self.rng.random() < 0.9:  # a megabyte takes its time
            return self.bytes_of(
                message | {f"new_{k}": k for k in range(int(self.rng.integers(1, 200)))}
            )
        size = (
            BYTES_MAX
            - len(self.bytes_of(message | {"purpose": ""}))
            + self.pick([-1, 0, 1, 70_000])
        )
        return self.bytes_of(message | {"purpose": "x" * size})


# ---------------------------------------------------------------- judging


_HALF_PAIR = re.compile(
    r"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)


_SECRET = re.compile(rb"cvv|track2", re.IGNORECASE)


def _constant(name):
    raise ValueError(f"{name} is no JSON")


def _depth(text):
    """How many brackets are open at once outside of texts."""
    depth = deepest = 0
    for mark in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (mark in "[{") - (mark in "]}")
        deepest = max(deepest, depth)
    return deepest


def _is_id(value):
    return isinstance(value, str) and 1 <= len(value) <= ID_MAX and min(value) >= " "


def readable(line):
    """The identity of a transaction that core banking waits for an answer to; None if there is none to be read.

    "unsure" for halves of surrogate pairs: JSON's grammar has them, UTF-8 cannot carry them, and readers differ.
    Likewise where a secret is what cannot be read: it is taken out before anybody reads.
    """
    if len(line) > BYTES_MAX:
        return None
    try:
        text = line.decode()
        if _depth(text) > DEPTH_MAX:
            return None
        message = json.loads(
            text, parse_constant=_constant, parse_int=str.encode, parse_float=str.encode
        )
    except (ValueError, RecursionError):
        return "unsure" if _SECRET.search(line) else None
    if not isinstance(message, dict) or message.get("kind") not in (None, "transaction"):
        return None
    if _HALF_PAIR.search(text):
        return "unsure"
    account, id_ = message.get("account"), message.get("transaction_id")
    return (account, id_) if _is_id(account) and _is_id(id_) else None


def records(raw):
    return [json.loads(line) for line in raw.splitlines()]


class Run:
    """Lines through a fresh core, with core time and kind of each row."""

    def __init__(self, lines, cuts):
        self.core, self.kind, self.core_us = banking.fresh_core(), [], []
        self.streams = dict.fromkeys(banking.STREAMS, b"")
        edges = [0, *cuts, len(lines)]
        for first, last in itertools.pairwise(edges):
            positions = [f"spoilt.ndjson:{k + 1}" for k in range(first, last)]
            outcome = self.core.apply(lines[first:last], positions)
            self.kind += outcome.batch.kind.tolist()
            self.core_us += outcome.admitted.core_us.tolist()
            for name in self.streams:
                self.streams[name] += outcome.streams.get(name, b"")
        self.dead = {record["seq"]: record for record in records(self.streams["dead_letters"])}
        self.decisions = records(self.streams["decisions"])
        self.duplicates = records(self.streams["duplicates"])


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Calm traffic with `N` spoilt messages in between, each somewhere after what it was made from."""
    calm = banking.traffic(tmp_path_factory.mktemp("traffic"), 0)
    good = [k for k, line in enumerate(calm) if readable(line) or b'"kind"' in line]
    good = [k for k in good if _is_object(calm[k])]
    others = [k for k in good if b'"kind"' in calm[k]]
    rng = np.random.default_rng(SEED)
    spoiler, where = Spoiler(rng), {}
    for number in range(N):
        at = int(rng.choice(good if rng.random() < 0.7 else others))
        after = int(rng.integers(at, len(calm)))
        where.setdefault(after, []).append(spoiler.spoil(number, calm[at]))
    return [line for k, calm_line in enumerate(calm) for line in (calm_line, *where.get(k, ()))]


def _is_object(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@pytest.fixture(scope="module")
def run(lines):
    rng = np.random.default_rng(SEED + 1)
    cuts = np.unique(rng.integers(1, len(lines), len(lines) // 60)).tolist()
    return Run(lines, cuts)


def test_the_mutations_meet_every_reason_there_is(run):
    """A mutation that decode takes for granted says little; all but the future ones must come up."""
    wanted = {*REASONS, "id_conflict", "time_jump", "unknown_transaction"} - {
        "unknown_type",
        "unreadable_secret",
    }
    assert wanted <= {record["reason"] for record in run.dead.values()}
    assert {KIND_NAMES[k] for k in set(run.kind)} >= {
        "dead",
        "transaction",
        "duplicate",
        "command",
        "label",
        "update",
    }


def test_every_row_is_decided_or_a_dead_letter_that_says_what_to_fix(lines, run):
    assert len(run.kind) == len(lines)
    assert [k for k, kind in enumerate(run.kind) if kind == DEAD] == sorted(run.dead)
    for seq, record in run.dead.items():
        assert record["position"] == f"spoilt.ndjson:{seq + 1}"
        assert re.fullmatch(r"[a-z0-9_]+", record["reason"])
        assert record["what"], record
        assert record["fix"], record
        assert ("message" in record) != ("message_base64" in record)


def test_every_readable_transaction_is_answered_exactly_once(lines, run):
    answered = {}
    for record in run.decisions:
        answered.setdefault((record["account"], record["transaction_id"]), []).append(record["seq"])
    first_seq = {record["seq"]: record["first_seq"] for record in run.duplicates}
    wanted, unsure = {}, set()
    for seq, line in enumerate(lines):
        identity = readable(line)
        if identity == "unsure":
            unsure.add(seq)
        elif identity is not None:
            wanted.setdefault(identity, []).append(seq)
    for identity, seqs in wanted.items():
        first, *others = seqs
        assert answered.get(identity) == [first], lines[first][-400:]
        for seq in others:
            known = first_seq.get(seq) == first or run.dead[seq]["reason"] == "id_conflict"
            assert known, lines[seq][:300]
    strangers = {seq for seqs in answered.values() for seq in seqs} - {
        seqs[0] for seqs in wanted.values()
    }
    assert strangers <= unsure, [lines[seq][:300] for seq in sorted(strangers - unsure)[:3]]
    assert len(unsure) < N // 50


def test_a_dead_letter_that_says_it_was_answered_was_and_no_other(run):
    decided = {record["seq"] for record in run.decisions}
    told = {seq for seq, record in run.dead.items() if record["answered"]}
    assert told == decided & run.dead.keys()
    assert told, "none of the mutations is a transaction that cannot be scored"
    for record in run.decisions:
        if record["seq"] in told:
            assert "UNSCORABLE" in record["reasons"]


@pytest.mark.parametrize("key", STRANGE_KEYS, ids=lambda key: repr(key[:9]))
def test_a_field_that_nobody_knows_may_have_any_name(key):
    """Names of unknown fields are learned; a quote in one of them ended the engine."""
    core = banking.fresh_core()
    for number in range(3):
        message = factories.message(transaction_id=f"t-{number}") | {key: "x"}
        outcome = core.apply([json.dumps(message).encode()], ["x"])
        assert len(outcome.streams["decisions"].splitlines()) == 1


def test_what_is_refused_moves_no_core_time(run):
    before = None
    for seq, now in enumerate(run.core_us):
        if seq in run.dead:
            assert now == before, run.dead[seq]
        before = now
    assert run.core.core_us < 1_800_000_000_000_000, "before 2027"


def test_the_messages_around_are_decided_as_on_a_calm_day(lines, run):
    """Without the refused messages, all others get the same decisions."""
    calm = Run([line for seq, line in enumerate(lines) if seq not in run.dead], [])
    assert not calm.dead
    kept = [record for record in run.decisions if record["seq"] not in run.dead]
    assert _without_seq(kept) == _without_seq(calm.decisions)
    assert run.core.core_us == calm.core.core_us


def test_spoilt_messages_do_not_show_where_batches_are_cut(lines, run):
    """Law 1, where it is hardest: fields learned, rows read slowly, commands in between."""
    whole = Run(lines, list(range(1_000, len(lines), 1_000)))
    assert whole.streams == run.streams
    assert banking.state_bytes(whole.core) == banking.state_bytes(run.core)


def test_the_state_after_spoilt_messages_saves_and_loads(run):
    fresh = banking.fresh_core()
    fresh.load(run.core.save())
    assert banking.state_bytes(fresh) == banking.state_bytes(run.core)


def _without_seq(decisions):
    kept = []
    for decision in decisions:
        one = {k: v for k, v in decision.items() if k != "seq"}
        for name in ("alerts", "commands", "restrictions"):  # their ids hold the seq of their cause
            one[name] = len(one[name])
        kept.append(one)
    return kept
