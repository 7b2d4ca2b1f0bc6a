"""Signatures: checked at the door, what they prove is journaled, and each counts once."""

import json

import pytest

from config.errors import ConfigError
from config.people import MAY, Key, People, Person, read
from config.settings import BANK
from engine.clock import ManualClock
from engine.control import Control
from engine.signing import Door, same_order, sign
from tests.deciding import Bench, command, fires, restrict, rule

NOW_US = 1_772_445_609_000_000
AT = "2026-03-02T10:00:09Z"
SECRET = b"a secret of 16 bytes or more"
PEOPLE = People(
    signatures="required",
    people={
        "ann": Person(name="Ann", roles=("analyst",), keys={"ann-1": Key(key_env="WEIR_TEST_ANN")}),
        "bob": Person(name="Bob", roles=("analyst",), keys={"bob-1": Key(key_env="WEIR_TEST_BOB")}),
    },
)
ORDER = {"kind": "command", "command": "release", "restriction_id": "r-1", "by": "ann"}


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("WEIR_TEST_ANN", SECRET.decode())


def stamped(order, **more):
    door = Door(PEOPLE, ManualClock(NOW_US))
    return json.loads(door.stamp(json.dumps(order | more).encode())).get("door")


def signed(**more):
    fields = {"key": "ann-1", "secret": SECRET, "at": AT, "nonce": "n1"} | more
    return sign(ORDER, fields["key"], fields["secret"], fields["at"], fields["nonce"])


def test_a_good_signature_proves_who_gave_the_order():
    assert stamped(signed()) == {"by": "ann", "key": "ann-1", "nonce": "n1"}


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (signed() | {"restriction_id": "r-2"}, "the signature does not match the order"),
        (signed() | {"by": "bob"}, "the key `ann-1` is not one of `bob`"),
        (signed() | {"nonce": "n2"}, "the signature does not match the order"),
        (signed() | {"signature": "é"}, "the signature does not match the order"),
        (signed() | {"nonce": ""}, "a signature needs `key`, `at` and `nonce`"),
        (signed(key="ann-2"), "no key is called `ann-2`"),
        (signed(secret=b"another secret of some length"), "the signature does not match the order"),
        (signed(at="2026-03-02T09:50:08Z"), "it was signed at 2026-03-02T09:50:08Z, which is not within 10m"),
        (signed(at="2026-03-02T10:10:10Z"), "it was signed at 2026-03-02T10:10:10Z, which is not within 10m"),
        (signed(at="now"), "`at` must be a day or a time with offset, was now"),
        (sign(ORDER | {"by": "bob"}, "bob-1", SECRET, AT, "n1"), "the secret of a key cannot be read"),
    ],
)  # fmt: skip
def test_what_proves_nothing_is_refused_with_the_reason(order, why):
    assert stamped(order) == {"refused": why}


def test_nobody_writes_for_the_door(tmp_path):
    forged = {"by": "ann", "key": "ann-1", "nonce": "n1"}
    assert stamped(ORDER | {"door": forged}) is None
    assert stamped(signed(secret=b"x" * 16) | {"door": forged}) == {
        "refused": "the signature does not match the order"
    }
    control = Control(tmp_path, door=Door(PEOPLE, ManualClock(NOW_US)))
    (tmp_path / "a.json").write_text(json.dumps(ORDER | {"door": forged}))
    [file] = control.take(1)
    assert "door" not in json.loads(file.line)


def test_what_is_not_signed_stays_byte_for_byte():
    door = Door(PEOPLE, ManualClock(NOW_US))
    for line in (b'{"kind": "command",  "command": "x"}', b'{"signature"', b'["signature"]', b""):
        assert door.stamp(line) == line


def test_a_short_secret_is_no_secret(monkeypatch):
    monkeypatch.setenv("WEIR_TEST_ANN", "short")
    assert stamped(signed()) == {
        "refused": "the secret of a key has 5 bytes, at least 16 are needed"
    }


def test_a_file_that_was_taken_is_known_again_however_late(tmp_path):
    """The engine was killed; by the time it starts again the signature is too old, and the order must not count twice."""
    (tmp_path / "a.json").write_text(json.dumps(signed()))
    clock = ManualClock(NOW_US)
    [file] = Control(tmp_path, door=Door(PEOPLE, clock)).take(1)
    clock.advance_us(10**12)
    control = Control(tmp_path, door=Door(PEOPLE, clock))
    control.catch_up(file.position, file.line, {"seq": 7}, lambda line: line)
    assert control.take(1) == []
    assert json.loads((tmp_path / "a.answer").read_text()) == {"seq": 7}


def test_orders_are_the_same_whatever_the_door_said():
    line = json.dumps(signed()).encode()
    other = json.dumps(signed() | {"door": {"refused": "late"}}).encode()
    assert same_order(line, other)
    assert not same_order(line, json.dumps(signed(nonce="n2")).encode())
    assert not same_order(line, b"{")


# ---------------------------------------------------------------- in the core


def watching(by="ann", **door):
    more = {"entity": {"card": "C1"}, "level": "watch", "for": "1h"}
    return command("restrict", by=by, reason="x", **more, **({"door": door} if door else {}))


def test_where_signatures_are_required_nothing_else_counts():
    bench = Bench(rule("A"), people=PEOPLE)
    ack = {"restriction_id": "r-1", "door": {"channel": "stream"}}
    bench.batch(
        [
            fires(),
            watching(),
            watching(channel="stream"),
            watching(refused="no key is called `x`"),
            watching(by="ann", key="ann-1", nonce="n1"),
            watching(by="ann", key="ann-1", nonce="n1"),
            watching(by="ann", key="ann-1", nonce="n2"),
            command("acknowledge", **ack),
        ]
    )
    assert [answer.get("what") for answer in bench.answers] == [
        "the order is not signed",
        "the order is not signed",
        "the order is refused: no key is called `x`",
        None,
        "this signature has been used before",
        None,
        "no restriction is known as `r-1`",
    ]


def test_a_signature_is_remembered_over_a_restart():
    bench = Bench(rule("A", restrict()), people=PEOPLE)
    once = watching(by="ann", key="ann-1", nonce="n1")
    bench.batch([fires(), once])
    bench.restart().batch([once])
    assert [answer["ok"] for answer in bench.answers] == [True, False]


# ---------------------------------------------------------------- people.yaml


def test_the_shipped_file_names_nobody():
    assert read(BANK / "people.yaml") == People()


def test_people_are_read_with_their_roles_and_keys(tmp_path):
    path = tmp_path / "people.yaml"
    path.write_text(
        "signatures: required\n"
        "people:\n"
        "  a.li: {name: Li An, roles: [analyst], keys: {a.li-1: {key_env: WEIR_KEY_A_LI}}}\n"
    )
    people = read(path)
    assert people.owner_of("a.li-1") == "a.li"
    assert people.owner_of("b-1") == ""
    assert people.has("a.li", "release")
    assert not people.has("a.li", "rule_on")
    assert read(tmp_path / "none.yaml").people == {}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("signatures: required\n", "`signatures` are required, and nobody is named under `people`"),
        ("people: {a: {name: A, roles: [king]}}\n", "king"),
        ("people: {a: {name: A, roles: [], keys: {k: {}}}}\n", "a key needs `key_env` or `key_file`"),
        ("people:\n  a: {name: A, roles: [], keys: {k: {key_env: X}}}\n  b: {name: B, roles: [], keys: {k: {key_env: Y}}}\n", "two people have a key called `k`"),
        ("freshness: soon\n", "`soon` is not a duration"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_file_is_said(tmp_path, text, what):
    path = tmp_path / "people.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=what):
        read(path)


def test_an_auditor_orders_nothing_and_every_role_is_somebodys():
    roles = set().union(*MAY.values())
    assert "auditor" not in roles
    assert roles == {"analyst", "supervisor", "duty_officer", "legal", "operator", "core_banking"}
