"""JSON to structs: all messages of a batch in one go, and key by key those that the struct refuses.

The struct has the keys that messages have had so far, unknown ones too, and is made anew for further ones.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from config.schema import Column
from engine.batch import Dead
from engine.decoding.messages import (
    ENVELOPE,
    INTERNAL,
    SHAPES,
    UNREADABLE,
    WIRE,
    Record,
    is_internal,
)
from engine.decoding.quality import UNKNOWN_MAX, Quality
from engine.decoding.reasons import unreadable
from engine.decoding.work import Work
from engine.scrub import Scrubber, withheld

_SYNTAX_FIX = (
    "send one JSON object a line; NaN, Infinity, comments and trailing commas are not JSON"
)


class Reader:
    """Reads messages into structs, and counts the fields that the schema does not have.

    struct, decode : the struct, and what reads a message into one; `n_built` counts how often they were made
    live           : keys of the schema that the struct has, in its order        known : those keys as a set
    extra          : further keys that it has: unknown ones, and secrets; it calls them extra_0, extra_1 ...
    secrets_seen   : messages that lost a key of `never_store`
    """

    def __init__(
        self,
        keys: Mapping[str, Column],
        scrubber: Scrubber,
        quality: Quality,
        message_bytes_max: int,
    ) -> None:
        self._keys, self._quality, self._scrubber = keys, quality, scrubber
        self.message_bytes_max = message_bytes_max
        self.secrets_seen = 0
        self._wires = {key: msgspec.json.Decoder(WIRE[c.kind] | None) for key, c in keys.items()}
        self._wires |= {key: msgspec.json.Decoder(str | None) for key in ENVELOPE}
        self._object = msgspec.json.Decoder(dict[str, Raw])
        self._text_keys = [k for k, c in keys.items() if c.kind in ("id", "category")]
        self._text_keys += [key for key in ENVELOPE if key != "kind"]
        self.known: set[str] = set()
        self.extra: list[str] = []
        self.n_built = 0
        self._build()

    def _build(self) -> None:
        """Make the struct: the envelope, then the keys met so far, those of the schema in its order.

        Most banks use a third of the schema; a struct of the whole costs 2 us a message more. Keys that are not in
        the struct read as None.
        """
        self.live = [key for key in self._keys if key in self.known]
        fields: list[tuple[str, Any, Any]] = [(name, str | None, None) for name in ENVELOPE]
        fields += [(key, WIRE[self._keys[key].kind] | None, None) for key in self.live]
        slots = {f"extra_{k}": name for k, name in enumerate(self.extra)}
        fields += [(slot, Raw | msgspec.UnsetType, UNSET) for slot in slots]
        self.struct = msgspec.defstruct(
            "Record",
            fields,
            rename=slots,
            forbid_unknown_fields=True,
            omit_defaults=True,
            namespace={key: None for key in self._keys if key not in self.known},
        )
        self.decode: Callable[[bytes], Record] = msgspec.json.Decoder(self.struct).decode
        self._first_extra = len(ENVELOPE) + len(self.live)
        self._waiting: dict[str, None] = {}  # further keys for `extra`, from the next batch on
        self.n_built += 1

    def grow(self) -> None:
        """Make the struct anew if messages had unknown fields that it can take in."""
        if self._waiting:
            self.extra += self._waiting
            self._build()

    def resume(self) -> None:
        """Take in the unknown fields that were counted before a restart."""
        unknown = self._quality.unknown.keys() - self._wires.keys()
        self.extra = sorted(filter(_can_be_learned, unknown))
        self._build()

    # ------------------------------------------------------------ a batch, then single messages

    def read(self, work: Work) -> None:
        """JSON to structs; rows that cannot be read are dead, with an empty struct in their place."""
        lines, records = work.lines, work.records
        n = len(lines)
        text = b"".join(lines)
        is_flat = (
            text.isascii()
            and text.count(b"{") == n
            and b"\\" not in text
            and b"[" not in text
            and max(map(len, lines), default=0) <= self.message_bytes_max
        )
        if not is_flat:
            self._inspect(work)
        start = 0
        while len(records) < n:
            try:
                records.extend(map(self.decode, lines[start:] if start else lines))
            except UNREADABLE:
                if is_flat:  # some line may have no bracket, another two: look at each after all
                    is_flat = False
                    records.clear()
                    start = 0
                    self._inspect(work)
                    continue
                row = start = len(records)
                if row not in work.dead and row not in work.slow:
                    raws = self._raws(work, row)
                    new = (raws.keys() & self._keys.keys()) - self.known
                    if new:  # begin again with a struct that has them
                        self.known |= new
                        self._build()
                        records.clear()
                        start = 0
                        continue
                    work.slow[row] = self._read_slowly(work, row, raws)
                records.append(self.struct(**work.slow.get(row, {})))
                start += 1
        for row in work.escaped:
            self._refuse_control(work, row)

    def _inspect(self, work: Work) -> None:
        """Look closely at lines that are not flat ASCII: size, encoding, depth, secrets inside."""
        lines, max_ = work.lines, self.message_bytes_max
        for row, line in enumerate(lines):
            if (
                line.isascii()
                and line.count(b"{") == 1
                and b"\\" not in line
                and b"[" not in line
                and len(line) <= max_
            ):
                continue
            if len(line) > max_:
                lines[row] = withheld("too_large", len(line))
            else:
                lines[row] = self._scrubber.scrub(line)
            if lines[row] is not line and len(line) <= max_:
                self.secrets_seen += 1
            dead = unreadable(lines[row], max_)
            if dead is not None:
                work.dead[row] = dead
            elif b"\\" in line:
                work.escaped.append(row)

    def _raws(self, work: Work, row: int) -> dict[str, Raw]:
        """Keys and values of a message as bytes; nothing, and a dead row, if it is none."""
        try:
            return self._object.decode(work.lines[row])
        except UNREADABLE as error:
            work.dead[row] = self._syntax_dead(work, row, error)
            return {}

    def _read_slowly(self, work: Work, row: int, raws: Mapping[str, Raw]) -> dict[str, Any]:
        """Values of a message that the struct refused, key by key: what is wrong is left out and remembered."""
        unknown = [key for key in raws if key not in self._wires]
        kind = self._one(raws, "kind")
        if kind == "command" or (kind in INTERNAL and is_internal(work.positions[row])):
            self.open(work, row)
        else:
            self._learn(work, row, unknown)
        values: dict[str, Any] = {}
        for key, wire in self._wires.items():
            raw = raws.get(key)
            if raw is None:
                continue
            try:
                values[key] = wire.decode(raw)
            except UNREADABLE:
                shape = SHAPES[self._keys[key].kind] if key in self._keys else "a text"
                work.wrong.setdefault(row, {})[key] = f"not {shape}"
        return values

    def open(self, work: Work, row: int) -> None:
        """Read the whole object of a command; what it holds is for others to judge."""
        try:
            work.objects[row] = msgspec.json.decode(work.lines[row])
        except msgspec.ValidationError as error:  # the object is well formed, a number in it is not
            fix = "correct the number, or write it as a text"
            work.dead[row] = Dead("wrong_field", f"a number that cannot be read: {error}", fix)
        except UNREADABLE as error:
            work.dead[row] = self._syntax_dead(work, row, error)

    def _one(self, raws: Mapping[str, Raw], key: str) -> Any:
        try:
            return self._wires[key].decode(raws[key]) if key in raws else None
        except UNREADABLE:
            return UNSET

    def _syntax_dead(self, work: Work, row: int, error: Exception) -> Dead:
        line = work.lines[row]
        work.lines[row] = self._scrubber.scrub(line)
        if work.lines[row] is not line:
            self.secrets_seen += 1
        dead = unreadable(work.lines[row], self.message_bytes_max)
        if dead is not None:
            return dead
        if isinstance(error, msgspec.ValidationError):  # no object; is it JSON at all?
            try:
                msgspec.json.decode(line, type=Raw)
            except UNREADABLE as deeper:
                error = deeper
            else:
                got = str(error).rpartition("got ")[2].strip("`")
                fix = "send each message as one JSON object"
                return Dead("not_an_object", f"the message is JSON, but no object: {got}", fix)
        what = str(error)
        return Dead("malformed_json", f"not JSON: {what}", _SYNTAX_FIX)

    # ------------------------------------------------------------ unknown fields and secrets

    def _learn(self, work: Work, row: int, unknown: Sequence[str]) -> None:
        """Count unknown fields, and have the struct know them from now on: such messages are then fast."""
        found = [key for key in unknown if not self._scrubber.is_secret(key)]
        if len(found) != len(unknown):
            work.lines[row] = self._scrubber.scrub(work.lines[row])
            self.secrets_seen += 1
        counts, others = self._quality.unknown, 0
        for key in found:
            if key in counts or len(counts) < UNKNOWN_MAX:
                counts[key] = counts.get(key, 0) + 1
            else:
                others = 1
        self._quality.unknown_other += others
        for key in unknown:
            is_counted = key in counts or (key not in found and len(self.extra) < 4 * UNKNOWN_MAX)
            if is_counted and key not in self.extra and _can_be_learned(key):
                self._waiting[key] = None

    def notice_extra(
        self, work: Work, rows: Sequence[int], columns: Sequence[Sequence[Any]]
    ) -> None:
        """Count the unknown fields that the struct took in, take them out again, and scrub the secrets."""
        n = len(rows)
        for k, name in enumerate(self.extra):
            column = columns[self._first_extra + k]
            if column.count(UNSET) == n:
                continue
            found = [row for row, raw in zip(rows, column, strict=True) if raw is not UNSET]
            for row in found:
                setattr(work.records[row], f"extra_{k}", UNSET)
            if self._scrubber.is_secret(name):
                for row in found:
                    work.lines[row] = self._scrubber.scrub(work.lines[row])
                self.secrets_seen += len(found)
            else:
                self._quality.unknown[name] = self._quality.unknown.get(name, 0) + len(found)

    def _refuse_control(self, work: Work, row: int) -> None:
        """Ids and categories hold no control characters: identities and files use them as separators."""
        record = work.records[row]
        for key in self._text_keys:
            value = getattr(record, key)
            if value and min(value) < " ":
                setattr(record, key, None)
                work.wrong.setdefault(row, {})[key] = "not free of control characters"


def _can_be_learned(key: str) -> bool:
    """Whether a struct of msgspec can have a field of that name; others are read key by key each time."""
    return '"' not in key and "\\" not in key and min(key, default="x") >= " "
