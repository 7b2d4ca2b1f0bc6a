"""Take what must never be stored (track data, CVV, PIN block) out of a message before anything is written.

A message that can be read loses those keys, in any case of letters and at any depth; all other values keep their
spelling. A message that cannot be read but seems to hold such a key is withheld as a whole: what cannot be parsed
cannot be cleaned.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

DEPTH_MAX: Final = 64  # a message nested deeper is a dead letter
MARK: Final = b'{"withheld":['  # the bracket makes decode look at it closely

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ESCAPE = re.compile(rb"\\u00([2-7][0-9a-fA-F])")
_DEPTH = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{\]}]', re.DOTALL)


class Scrubber:
    """Removes the keys `names` (lower or upper case) from messages."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(name.lower() for name in names)
        self._quoted = tuple(f'"{name}"'.encode() for name in sorted(self.names))
        self._bare = tuple(name.encode() for name in sorted(self.names))

    def is_secret(self, key: str) -> bool:
        return key.lower() in self.names

    def may_hold_secrets(self, line: bytes) -> bool:
        """Whether a secret key may stand in `line`; cheap, and never wrongly False."""
        text = line.lower()
        if b"\\" in text:
            text = _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), text).lower()
        return any(name in text for name in self._quoted)

    def scrub(self, line: bytes) -> bytes:
        """Return `line` without its secrets; the very same object when it has none."""
        if not self.may_hold_secrets(line):
            return self._scrub_unquoted(line)
        if nesting(line, DEPTH_MAX) > DEPTH_MAX:
            return withheld("unreadable_secret", len(line))
        try:
            return self._clean(line)
        except _UNREADABLE:
            return withheld("unreadable_secret", len(line))

    def _scrub_unquoted(self, line: bytes) -> bytes:
        """A broken message may hold a key whose quotes are broken too: `{"cvv: 123`."""
        text = line.lower()
        if not any(name in text for name in self._bare):
            return line
        try:
            _OBJECT.decode(line)
        except msgspec.ValidationError:
            return line  # JSON, but no object: a word inside a text is no key
        except _UNREADABLE:
            return withheld("unreadable_secret", len(line))
        return line

    def _clean(self, raw: bytes) -> bytes:
        """Take secret keys out of a JSON value; the same object when nothing had to go."""
        head = raw.lstrip()[:1]
        if head == b"{":
            kept: dict[str, msgspec.Raw] = {}
            changed = False
            for key, value in _OBJECT.decode(raw).items():
                if self.is_secret(key):
                    changed = True
                    continue
                old = bytes(value)
                new = self._clean(old) if old[:1] in (b"{", b"[") else old
                changed |= new is not old
                kept[key] = msgspec.Raw(new)
            return msgspec.json.encode(kept) if changed else raw
        if head == b"[":
            items = [bytes(item) for item in _ARRAY.decode(raw)]
            cleaned = [self._clean(item) if item[:1] in (b"{", b"[") else item for item in items]
            if all(new is old for new, old in zip(cleaned, items, strict=True)):
                return raw
            return b"[" + b",".join(cleaned) + b"]"
        return raw


def nesting(line: bytes, enough: int) -> int:
    """Count how many brackets are open at once in a JSON text; stops counting beyond `enough`."""
    if line.count(b"{") + line.count(b"[") <= enough:
        return 0  # shallow, whatever its shape
    depth = deepest = 0
    for match in _DEPTH.finditer(line):
        mark = match[0]
        if mark in (b"{", b"["):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > enough:
                break
        elif mark in (b"}", b"]"):
            depth -= 1
    return deepest


def withheld(reason: str, n_bytes: int) -> bytes:
    """Stand-in for a message that must not be written as it came; decode makes it a dead letter for `reason`."""
    return b'%s"%s",%d]}' % (MARK, reason.encode(), n_bytes)
