"""Pseudonyms of personal data: one stand-in for one text, the same for everybody who holds the same key.

Fields marked `personal` in the schema leave the journal and the decisions only as pseudonyms: in reports, exports,
metrics and log lines. A pseudonym is HMAC-SHA256 over the domain and the text, cut to 64 bits: who has the key can
check a guess, who has not cannot try. Journal, decisions and snapshots keep plain ids; they can be encrypted instead.

Texts become pseudonyms. Numbers and times that are personal (birth dates, positions) have no pseudonym that keeps their
meaning, so they are left out, shown as `hidden`.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from config.errors import ConfigError
from config.schema import Column, Schema

KEY_ENV: Final = "WEIR_PSEUDONYM_KEY"  # where the key stands, unless a setting names another place
KEY_CHARACTERS_MIN: Final = 16
HIDDEN: Final = "hidden"
_LENGTH: Final = (
    16  # hexadecimal digits; two of a million ids meet with a chance of 1 in 37 million
)
_PSEUDONYM: Final = re.compile(r"p-[0-9a-f]{16}")
_TEXTS: Final = frozenset({"id", "category", "text"})


def read_key(name: str = KEY_ENV, environment: Mapping[str, str] | None = None) -> bytes | None:
    """Return the key that the environment variable `name` holds; None if it is not set.

    Raises ConfigError for one too short: whoever can guess the key can undo every pseudonym made with it.
    """
    text = (os.environ if environment is None else environment).get(name, "")
    if not text:
        return None
    if len(text) < KEY_CHARACTERS_MIN:
        raise ConfigError(
            f"the pseudonym key in `{name}` has {len(text)} characters, at least {KEY_CHARACTERS_MIN} are needed",
            why="with a key that can be guessed, ids can be tried until their pseudonym comes out",
            fix="make one with: openssl rand -hex 32",
        )
    return text.encode()


def is_pseudonym(text: str) -> bool:
    """Whether a text reads like a pseudonym."""
    return _PSEUDONYM.fullmatch(text) is not None


class Pseudonyms:
    """Replaces personal data by pseudonyms; `shown` remembers nothing but a cache of what was asked."""

    def __init__(self, schema: Schema, key: bytes) -> None:
        """`key` is the secret, at least 16 bytes; which columns are personal stands in `schema`."""
        assert len(key) >= KEY_CHARACTERS_MIN, "read_key refuses such a key"
        self._schema, self._key = schema, key
        personal = [c for c in schema.columns.values() if c.personal and c.kind in _TEXTS]
        self._by_domain = {column.domain: column for column in personal}
        self._known: dict[tuple[str, str], str] = {}

    def of(self, domain: str, text: str) -> str:
        """The pseudonym of a text; the same text of another domain has another one."""
        known = self._known.get((domain, text))
        if known is None:
            about = f"{domain}\0{text}".encode("utf-8", "surrogatepass")
            digest = hmac.new(self._key, about, hashlib.sha256).hexdigest()
            known = self._known[domain, text] = f"p-{digest[:_LENGTH]}"
        return known

    def is_personal(self, name: str) -> bool:
        """Whether a column, or the key of a message, holds personal data."""
        column = self._column(name)
        return column is not None and column.personal

    def is_personal_domain(self, domain: str) -> bool:
        """Whether ids or texts of a domain are personal anywhere."""
        return domain in self._by_domain

    def column(self, name: str, text: str) -> str:
        """What may be shown of a value of a column: the text, its pseudonym, or `hidden`."""
        column = self._column(name)
        if column is None or not column.personal:
            return text
        return self.of(column.domain, text) if column.kind in _TEXTS else HIDDEN

    def fields(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A decoded message, or a line of an output, without personal data; nested objects and lists too.

        A key that is a domain counts as well: `{"entity": {"card": "C1"}}`. Texts that were replaced are replaced
        inside other texts of the same message too, such as the title of an alert.
        """
        seen: dict[str, str] = {}
        return {k: self._inside(v, seen) for k, v in self._replaced(message, seen).items()}

    def text(self, text: str, seen: Mapping[str, str]) -> str:
        """A text in which every personal value of `seen` (plain -> pseudonym) is replaced where it is a whole word."""
        found = [re.escape(plain) for plain in sorted(seen, key=lambda p: (-len(p), p)) if plain]
        if not found:
            return text
        return re.sub(rf"(?<!\w)(?:{'|'.join(found)})(?!\w)", lambda m: seen[m[0]], text)

    def plain(self, pseudonym: str, domain: str, texts: Iterable[str]) -> str | None:
        """The text of `texts` whose pseudonym this is; None if it is of none."""
        return next((text for text in texts if self.of(domain, text) == pseudonym), None)

    def _column(self, name: str) -> Column | None:
        column = self._schema.columns.get(name) or self._schema.keys.get(name)
        return column or self._by_domain.get(name)

    def _replaced(self, message: Mapping[str, Any], seen: dict[str, str]) -> dict[str, Any]:
        return {name: self._value(name, value, seen) for name, value in message.items()}

    def _value(self, name: str, value: Any, seen: dict[str, str]) -> Any:
        if isinstance(value, Mapping):
            return self._replaced(value, seen)
        if isinstance(value, list):
            return [self._value(name, item, seen) for item in value]
        if value is None or not self.is_personal(name):
            return value
        column = self._column(name)
        assert column is not None
        if column.kind not in _TEXTS:
            return HIDDEN
        text = value if isinstance(value, str) else str(value)
        seen[text] = self.of(column.domain, text)
        return seen[text]

    def _inside(self, value: Any, seen: Mapping[str, str]) -> Any:
        if isinstance(value, str):
            return value if value in seen.values() else self.text(value, seen)
        if isinstance(value, list):
            return [self._inside(item, seen) for item in value]
        if isinstance(value, dict):
            return {k: self._inside(v, seen) for k, v in value.items()}
        return value
