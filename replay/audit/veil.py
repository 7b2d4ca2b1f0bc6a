"""What audit reports show of personal data: its pseudonym, or the value itself where somebody asked to reveal it.

Which fields are personal say the schemas of the configurations that were active. Without a key there is no pseudonym
that could be told from another, so a personal value is then only said to be hidden.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from config import schema as schemas
from config.errors import ConfigError
from config.pseudonyms import HIDDEN, KEY_ENV, Pseudonyms, read_key
from config.schema import Schema
from config.settings import SCHEMA_FILE

_QUOTED: Final = re.compile(r"`([^`]*)`")


class Veil:
    """Shows values of fields. `Veil((), None)` shows everything."""

    def __init__(self, schemas_: Sequence[Schema], key: bytes | None) -> None:
        self._books = [Pseudonyms(schema, key or bytes(16)) for schema in schemas_]
        self._has_key = key is not None
        self._names = {name for s in schemas_ for name in (*s.columns, *s.keys)}

    def value(self, field: str, value: str | None) -> str | None:
        """The value of a field (or of an entity of that domain) as it may be shown."""
        if value is None:
            return None
        for book in self._books:
            if book.is_personal(field):
                return book.column(field, value) if self._has_key else HIDDEN
        return value

    def inside(self, text: str, about: Mapping[str, str]) -> str:
        """A sentence about the entities `about` (field -> value), without those that are personal."""
        for field, value in about.items():
            shown = self.value(field, value)
            if shown is not None and value:
                text = text.replace(value, shown)
        return text

    def complaint(self, what: str) -> str:
        """What was wrong with a message, without the values that it had: of what is quoted only names of fields."""
        if not self._books:
            return what
        text = what.split(", was ", maxsplit=1)[0]
        return _QUOTED.sub(lambda m: m[0] if m[1] in self._names else "`...`", text)


PLAIN: Final = Veil((), None)


def of_folder(root: Path, *, reveal: bool) -> tuple[Veil, str]:
    """The veil for reports about an output folder, and a remark for people ("" where there is nothing to say)."""
    if reveal:
        return PLAIN, ""
    found = []
    for path in sorted((root / "config").glob(f"*/{SCHEMA_FILE}")):
        try:
            found.append(schemas.read(path))
        except ConfigError as error:
            raise ConfigError(
                f"the stored schema cannot be read: {error.what}",
                error.where,
                why="it says which fields are personal, and may not be shown",
                fix=f"see what was changed with: weir audit verify {root}; or --reveal everything",
            ) from None
    key = read_key()
    if key is None and any(c.personal for s in found for c in s.columns.values()):
        return Veil(found, None), (
            f"Personal values are hidden: {KEY_ENV} is not set, so there are no pseudonyms. "
            "--reveal shows them, and is recorded."
        )
    return Veil(found, key), ""
