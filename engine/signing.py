"""Signatures of orders, checked at the door: before an order is journaled, and never again.

    {"command": "release", ..., "by": "a.li", "key": "a.li-1", "at": "2026-03-02T22:10:00Z", "nonce": "7f3a...",
     "signature": "HMAC-SHA256, in hexadecimal, over the canonical JSON of everything but `signature` and `door`"}

The door writes what it found into the record, as `door: {by, key, nonce}` or `door: {refused: why}`, and that is what
the core goes by: so a replay needs no secret. Nobody else can write it: what an order dropped into control/ says there
is taken out, and the core heeds it only in records that came through control/ (engine/core.py). A nonce counts once;
the core remembers it, because that must survive a crash.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from config.errors import ConfigError
from config.people import Key, People
from config.settings import instant_us
from engine.clock import Clock
from engine.outcomes import canonical

DOOR: Final = "door"
SIGNED: Final = "signature"
_UNSIGNED: Final = frozenset({SIGNED, DOOR, "kind"})
SECRET_BYTES_MIN: Final = 16


def sign(
    command: Mapping[str, Any], key: str, secret: bytes, at: str, nonce: str
) -> dict[str, Any]:
    """An order with its signature. at : now, RFC 3339. nonce : never used before with this key."""
    signed = {**command, "key": key, "at": at, "nonce": nonce}
    return signed | {SIGNED: _digest(signed, secret)}


def _digest(command: Mapping[str, Any], secret: bytes) -> str:
    body = {name: value for name, value in command.items() if name not in _UNSIGNED}
    return hmac.new(secret, canonical(body), hashlib.sha256).hexdigest()


def read_secret(key: Key) -> bytes:
    """The secret of a key; ConfigError if it is not where the people file says."""
    where = f"environment {key.key_env}" if key.key_env else key.key_file
    try:
        text = os.environ[key.key_env] if key.key_env else Path(key.key_file).read_text("utf-8")
    except (KeyError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the secret of a key cannot be read",
            where,
            why=str(error),
            fix="put the secret there, or correct people.yaml",
        ) from None
    secret = text.strip().encode()
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigError(
            f"the secret of a key has {len(secret)} bytes, at least {SECRET_BYTES_MIN} are needed",
            where,
            why="a short one can be guessed",
            fix="make one with: openssl rand -hex 32",
        )
    return secret


class Door:
    """Checks the signatures of orders that come in through control/."""

    def __init__(self, people: People, clock: Clock) -> None:
        self.people = people
        self._clock = clock

    def stamp(self, line: bytes) -> bytes:
        """The order as it is journaled: with what its signature proved, or why it proves nothing; else as it is."""
        if b'"signature"' not in line and b'"door"' not in line:
            return line
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):  # a dead letter, later
            return line
        if not isinstance(found, dict):
            return line
        found.pop(DOOR, None)
        if SIGNED in found:
            found[DOOR] = self._verify(found)
        return json.dumps(found).encode()

    def _verify(self, found: Mapping[str, Any]) -> dict[str, str]:
        names = ("by", "key", "at", "nonce", SIGNED)
        by, key, at, nonce, signature = (str(found.get(name) or "") for name in names)
        if not (key and at and nonce):
            return {"refused": "a signature needs `key`, `at` and `nonce`"}
        owner = self.people.owner_of(key)
        if not owner:
            return {"refused": f"no key is called `{key}`"}
        if owner != by:
            return {"refused": f"the key `{key}` is not one of `{by}`"}
        try:
            secret = read_secret(self.people.people[owner].keys[key])
            at_us = instant_us("at", at)
            matches = hmac.compare_digest(_digest(found, secret).encode(), signature.encode())
        except ConfigError as error:
            return {"refused": error.what}
        except (TypeError, UnicodeEncodeError):  # what no JSON of ours can hold
            return {"refused": "the order cannot be written as canonical JSON"}
        if not matches:
            return {"refused": "the signature does not match the order"}
        if abs(self._clock.now_us() - at_us) > self.people.freshness_us:
            return {
                "refused": f"it was signed at {at}, which is not within {self.people.freshness}"
            }
        return {"by": by, "key": key, "nonce": nonce}


def same_order(line: bytes, other: bytes) -> bool:
    """Whether two lines are one order, whatever the door made of it."""
    if line == other:
        return True
    try:
        one, two = json.loads(line), json.loads(other)
    except (ValueError, RecursionError):
        return False
    if not isinstance(one, dict) or not isinstance(two, dict):
        return False
    one.pop(DOOR, None)
    two.pop(DOOR, None)
    return bool(one == two)
