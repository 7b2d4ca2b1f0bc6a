"""Messages to columns: JSON in, a `Batch` out; a message that means nothing becomes a dead letter with a reason.

msgspec into a struct made from the schema is the definition of what a message says. A batch is decoded in one go; a
message that the struct refuses is read again key by key, so that one wrong field costs that field only. The values are
then checked and converted column by column (engine/quantities.py), and ids and categories get their codes in row order
(engine/entities.py). Only columns with a place in the layout are written; the others are checked all the same.

What decode gives is a function of the message and, for codes, of the messages before it: never of where a batch ends.
It is also a function of the *stored* message: what must not be written is taken out first (engine/scrub.py).
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Raw
from numpy.typing import NDArray

from config.money import EXPONENTS, exponent, minor_units
from config.rates import Rates
from config.schema import ENTITIES, Column, Schema, near
from engine.batch import (
    ACTIVITY,
    COMMAND,
    CONFIG,
    DEAD,
    KIND_NAMES,
    LABEL,
    PROFILE,
    TICK,
    TRANSACTION,
    UPDATE,
    Batch,
    Dead,
    Profile,
    Records,
)
from engine.entities import Dictionaries, load_texts, place_sources, save_texts
from engine.quantities import (
    I8,
    Wrong,
    read_money,
    read_numbers,
    read_spans,
    read_times,
    span_us,
    time_us,
)
from engine.scrub import DEPTH_MAX, MARK, Scrubber, nesting, withheld
from engine.state import Arrays
from rules.columns import Frame, Layout
from rules.tree import TEXT

if TYPE_CHECKING:
    from engine.scanning.scanner import Scan

Record: TypeAlias = Any  # the struct made from the schema: one attribute a key, None where absent

BYTES_MAX: Final = 1 << 20
ID_MAX: Final = 256  # characters of an id or a category value
SCAN_MIN: Final = (
    64  # a batch of fewer messages does not load the scanner, but uses it once it is there
)
SCAN_SHARE: Final = (
    0.5  # a batch of which the scanner takes less is decoded through structs as a whole
)
PASSES: Final = 15  # after a batch that was scanned for nothing so many are not
UNKNOWN_MAX: Final = 64  # names of unknown fields that are counted one by one
INTERNAL: Final = frozenset(
    {"tick", "config"}
)  # positions of the records that the runner makes itself
TICKED: Final = "(tick) "  # how the position of a tick begins that came through a topic
ENVELOPE: Final = ("kind", "update_id", "activity_id", "role")
ORIGINAL: Final = "original_transaction_id"
LABEL_KEYS: Final = ("transaction_id", "account", "event_time", "label")
KINDS: Final[Mapping[str | None, int]] = {
    None: TRANSACTION,
    "transaction": TRANSACTION,
    "activity": ACTIVITY,
    "label": LABEL,
    "update": UPDATE,
    "profile": PROFILE,
    "command": COMMAND,
}
INTERNAL_KINDS: Final[Mapping[str, int]] = {"tick": TICK, "config": CONFIG}
KINDS_WITH_IDENTITY: Final = (TRANSACTION, UPDATE, LABEL)

# Every reason that decode gives, and what it means; engine/admission.py has more.
REASONS: Final[Mapping[str, str]] = {
    "empty_line": "there is no message",
    "too_large": "the message has more bytes than `message_bytes_max`",
    "unreadable_secret": "the message cannot be read, and may hold what must never be stored",
    "bad_utf8": "the message is not UTF-8",
    "nested_too_deep": f"more than {DEPTH_MAX} brackets are open at once",
    "malformed_json": "the message is not JSON",
    "not_an_object": "the message is JSON, but no object",
    "unknown_kind": "`kind` is none that the engine knows",
    "unknown_type": "the schema is closed, and does not list the event type",
    "wrong_kind": "the event type belongs to another kind of message",
    "missing_field": "a field that the message needs is absent",
    "wrong_field": "a field that the message needs has a value that means nothing",
    "wrong_amount": "a required amount is no plain decimal that the currency can hold",
    "wrong_time": "a required time is no time",
    "unknown_currency": "`currency` is no ISO 4217 code",
}

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TEXT = Annotated[str, Meta(min_length=1, max_length=ID_MAX)]
_WIRE: Final[Mapping[str, Any]] = {
    "id": _TEXT,
    "category": _TEXT,
    "text": str,
    "money": str | int | float,
    "number": float,
    "geo": float,
    "duration": str | int | float,
    "time": str | int,
    "flag": bool,
}
_SHAPES: Final[Mapping[str, str]] = {
    "id": f"a text of 1 to {ID_MAX} characters",
    "category": f"a text of 1 to {ID_MAX} characters",
    "text": "a text",
    "money": 'a decimal such as "12.50"',
    "number": "a number",
    "geo": "a number of degrees",
    "duration": "a number of seconds, or a text such as 1h30m",
    "time": "an RFC 3339 text with offset, or epoch milliseconds",
    "flag": "true or false",
}
_CODED = frozenset({"id", "category", "text"})
_HINTS: Final[Mapping[str, str]] = {
    "money": ", not below zero, with no more decimals than its currency, at most 2**53 minor units",
    "time": ", between 1970 and 2199",
}
_WRONG_REASON: Final[Mapping[str, str]] = {"currency": "unknown_currency", "type": "unknown_type"}
_WRONG_REASON_OF_KIND: Final[Mapping[str, str]] = {"money": "wrong_amount", "time": "wrong_time"}
_EITHER: Final[Mapping[int, tuple[str, ...]]] = {  # a message of the kind needs one of these
    ACTIVITY: ("account", "customer"),
    UPDATE: ("status", "amount"),
    PROFILE: ENTITIES,
}
_KIND, _TRANSACTION_ID, _ACCOUNT = map(attrgetter, ("kind", "transaction_id", "account"))
_ORIGINAL = attrgetter(ORIGINAL)
_SYNTAX_FIX = (
    "send one JSON object a line; NaN, Infinity, comments and trailing commas are not JSON"
)


class _Withheld(msgspec.Struct, forbid_unknown_fields=True):
    """What stands in for a message that must not be written as it came."""

    withheld: tuple[Literal["too_large", "unreadable_secret"], int]


class Quality:
    """What was odd about the fields, counted; kept in snapshots, so that a resumed run counts the whole.

    present : per key, transactions that have it            invalid : values that mean nothing and were left out
    unseen  : values outside `values` of the schema         unknown : fields that the schema does not have
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.n_transactions = 0
        self.present = dict.fromkeys(names, 0)
        self.invalid = dict.fromkeys(names, 0)
        self.unseen = dict.fromkeys(names, 0)
        self.unknown: dict[str, int] = {}
        self.unknown_other = 0  # rows with unknown fields beyond the first UNKNOWN_MAX names

    def save(self) -> Arrays:
        counts = [[d[n] for n in self.names] for d in (self.present, self.invalid, self.unseen)]
        names = sorted(self.unknown)
        saved = {
            "fields": np.array(counts, np.int64),
            "rows": np.array([self.n_transactions, self.unknown_other], np.int64),
            "unknown": np.array([self.unknown[n] for n in names], np.int64),
        }
        saved |= {f"field_{k}": v for k, v in save_texts(self.names).items()}
        return saved | {f"unknown_{k}": v for k, v in save_texts(names).items()}

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        saved = load_texts({k: arrays[f"field_{k}"] for k in ("bytes", "end")})
        for counts, row in zip(
            (self.present, self.invalid, self.unseen), arrays["fields"].tolist(), strict=True
        ):
            counts.update({n: c for n, c in zip(saved, row, strict=True) if n in counts})
        self.n_transactions, self.unknown_other = arrays["rows"].tolist()
        names = load_texts({k: arrays[f"unknown_{k}"] for k in ("bytes", "end")})
        self.unknown = dict(zip(names, arrays["unknown"].tolist(), strict=True))


class _Work:
    """A batch while it is decoded."""

    def __init__(self, lines: list[bytes], positions: Sequence[str]) -> None:
        self.lines = lines
        self.positions = positions
        self.records: list[Record] = []
        self.dead: dict[int, Dead] = {}
        self.objects: dict[int, dict[str, Any]] = {}
        self.wrong: dict[int, dict[str, str]] = {}  # row -> key -> what is wrong with its value
        self.slow: dict[int, dict[str, Any]] = {}  # row -> values that were read key by key
        self.escaped: list[int] = []  # rows whose texts may hold control characters


class Decoder:
    """Decodes batches for one schema, layout and currency.

    rates    : None: money in another currency than `currency` is missing
    required : False in rule tests: absent fields are accepted (an event still needs its `event_time`)
    scans    : False: every message through msgspec; the outcome is the same, bit for bit
    """

    def __init__(
        self,
        schema: Schema,
        layout: Layout,
        dictionaries: Dictionaries,
        currency: str,
        *,
        rates: Rates | None = None,
        message_bytes_max: int = BYTES_MAX,
        required: bool = True,
        scans: bool = True,
    ) -> None:
        self.scans = scans
        self._digits = exponent(currency)
        self._rates = rates or Rates.constant(currency, {})
        self.schema, self.layout, self.dictionaries = schema, layout, dictionaries
        self.currency, self.message_bytes_max, self.required = currency, message_bytes_max, required
        place_sources(schema, layout)
        self.scrubber = Scrubber(schema.never_store)
        self.quality = Quality(list(schema.keys))
        self.secrets_seen = 0  # messages that lost a key of `never_store`; a metric, not state
        self._keys: dict[str, Column] = dict(schema.keys)
        self._wires = {
            key: msgspec.json.Decoder(_WIRE[c.kind] | None) for key, c in self._keys.items()
        }
        self._wires |= {key: msgspec.json.Decoder(str | None) for key in ENVELOPE}
        self._object = msgspec.json.Decoder(dict[str, Raw])
        self._encoder = msgspec.json.Encoder()
        self._known: set[str] = set()  # keys of the schema that messages have had so far
        self._extra: list[str] = []  # keys outside the schema, likewise: unknown ones and secrets
        self._build()
        self._label_keys = {
            *LABEL_KEYS,
            *(k for k, c in self._keys.items() if "label" in c.messages),
        }
        self._allowed = {k: frozenset([*c.allowed, None]) for k, c in self._keys.items()}
        self._text_keys = [k for k, c in self._keys.items() if c.kind in ("id", "category")]
        self._text_keys += [key for key in ENVELOPE if key != "kind"]
        self._needs = {
            # the currency first: without it no amount can be read
            TRANSACTION: tuple(
                sorted((k for k, c in self._keys.items() if c.required), key="currency".__ne__)
            ),
            ACTIVITY: ("event_time", "type"),
            LABEL: ("transaction_id", "account", "label"),
            UPDATE: ("update_id", "transaction_id", "account"),
            PROFILE: (),
            TICK: ("event_time",),
        }
        self._needs_of_type: dict[str, list[str]] = {}
        for column in schema.columns.values():
            for name in column.required_for:
                self._needs_of_type.setdefault(name, []).append(column.key)
        self._attribute_keys: dict[str, tuple[str, ...]] = {}  # key -> entities that have it
        for entity, columns in schema.attributes.items():
            for column in columns:
                known = self._attribute_keys.get(column.key, ())
                self._attribute_keys[column.key] = (*known, entity)
        self._planned = -1
        self._plan()
        self.scan_min, self.scan_share = SCAN_MIN, SCAN_SHARE  # of speed only
        self.n_scanned = 0  # messages that became columns without a struct; a metric, not state
        self._passes = 0  # batches that go unscanned, because one before was scanned for nothing

    # ------------------------------------------------------------ plans

    def _build(self) -> None:
        """Make the struct: the envelope, then the keys met so far, those of the schema in its order.

        Most banks use a third of the schema; a struct of the whole costs 2 us a message more. Keys that are not in
        the struct read as None.
        """
        self._live = [key for key in self._keys if key in self._known]
        fields: list[tuple[str, Any, Any]] = [(name, str | None, None) for name in ENVELOPE]
        fields += [(key, _WIRE[self._keys[key].kind] | None, None) for key in self._live]
        slots = {f"extra_{k}": name for k, name in enumerate(self._extra)}
        fields += [(slot, Raw | msgspec.UnsetType, UNSET) for slot in slots]
        self._struct = msgspec.defstruct(
            "Record",
            fields,
            rename=slots,
            forbid_unknown_fields=True,
            omit_defaults=True,
            namespace={key: None for key in self._keys if key not in self._known},
        )
        self._decode = msgspec.json.Decoder(self._struct).decode
        self._first_extra = len(ENVELOPE) + len(self._live)
        self._waiting: dict[str, None] = {}  # further keys for `_extra`, from the next batch on
        self._scan_plan: Any = None

    def _plan(self) -> None:
        """Find which columns are written, and through which dictionary; again whenever the layout has grown."""
        if self._planned == len(self.layout.places):
            return
        self._planned = len(self.layout.places)
        self._scan_plan = None
        self._profile_keys: dict[
            str, list[str]
        ] = {}  # dictionary -> keys that a profile is read for
        for key, column in self._keys.items():
            if column.kind in _CODED and (key in ENTITIES or key in self._attribute_keys):
                self._profile_keys.setdefault(column.domain, []).append(key)
        self._placed_numbers: dict[str, int] = {}
        self._coders: dict[
            str, list[tuple[str, int]]
        ] = {}  # dictionary -> keys, rows of the code plane
        for key, column in self._keys.items():
            if column.name not in self.layout or column.entity:
                continue
            place = self.layout[column.name]
            if place.is_code:
                self._coders.setdefault(column.domain, []).append((key, place.row))
            else:
                self._placed_numbers[key] = place.row
        self._placed_codes = {key: row for pairs in self._coders.values() for key, row in pairs}
        self._coded_of_profile = set(itertools.chain.from_iterable(self._profile_keys.values()))

    # ------------------------------------------------------------ decoding

    def decode(self, lines: Sequence[bytes], positions: Sequence[str], seq0: int) -> Batch:
        """Decode one batch: message i stands at `positions[i]` and gets the sequence number `seq0` + i."""
        self._plan()
        scan = self._scan(lines)
        if scan is None:
            batch, columns = self._decode_objects(lines, positions, seq0)
            self._encode(batch, columns)
            if self._scan_plan is None:  # there are new keys, which the scanner knows next time
                self._passes = 0
        else:
            batch = self._join(scan, lines, positions, seq0)
        if self._waiting:
            self._extra += self._waiting
            self._build()
        return batch

    def _decode_objects(
        self, lines: Sequence[bytes], positions: Sequence[str], seq0: int
    ) -> tuple[Batch, Mapping[str, Sequence[Any]]]:
        """Decode through structs, which is the definition, all but the codes.

        Return the values by key too, where all rows are of one kind and well.
        """
        n = len(lines)
        work = _Work(list(lines), positions)
        self._read(work)
        kind = self._kinds(work)
        batch = Batch(
            n=n,
            seq0=seq0,
            frame=Frame.empty(self.layout, n),
            kind=kind,
            read_as=kind.copy(),
            event_time_us=np.full(n, -1, np.int64),
            currency=self.currency,
            foreign=np.zeros(n, np.bool_),
            lines=work.lines,
            position=positions,
            records=work.records,
            transaction_id=[],
            account=[],
            digest=[0] * n,
            dead=work.dead,
            objects=work.objects,
            keys=self._known,
        )
        columns: Mapping[str, Sequence[Any]] = {}
        kinds = np.unique(batch.kind).tolist()
        for kind in kinds:
            rows = range(n) if len(kinds) == 1 else np.flatnonzero(batch.kind == kind).tolist()
            columns = self._group(work, batch, kind, rows)
        self._bury(work, batch)
        if len(kinds) > 1 or work.dead or work.wrong:
            columns = {}
        batch.transaction_id = list(map(_TRANSACTION_ID, work.records))
        batch.account = list(map(_ACCOUNT, work.records))
        if ORIGINAL in self._known:
            values = map(_ORIGINAL, work.records)
            batch.originals = {i: value for i, value in enumerate(values) if value is not None}
        if LABEL in kinds:
            rows = np.flatnonzero(batch.kind == LABEL).tolist()
            batch.verdicts = {
                i: label for i in rows if (label := work.records[i].label) is not None
            }
        for row, dead in work.dead.items():
            if not dead.answerable:
                batch.records[row] = batch.transaction_id[row] = batch.account[row] = None
        return batch, columns

    # ------------------------------------------------------------ scanning

    def _scan(self, lines: Sequence[bytes]) -> "Scan | None":
        """Read a batch with the scanner; None if that is of no use here. Changes nothing but the time it takes.

        An empty batch loads it (`Core.warm_up`).
        """
        if not self.scans or 0 < len(lines) < self.scan_min:
            return None
        if self._passes:
            self._passes -= 1
            return None
        from engine.scanning.scanner import Scan  # not before there is a batch worth its start

        self.scan_min = 1
        if self._scan_plan is None:
            self._scan_plan = self._make_scan_plan()
            self._scan_dictionaries = [self.dictionaries[n] for n in self._scan_plan.domains]
        scan = Scan(
            self._scan_plan, lines, Frame.empty(self.layout, len(lines)), self.message_bytes_max
        )
        if not lines:
            self.dictionaries.table.warm_up()
            return None
        if scan.taken >= self.scan_share * len(lines):
            self.n_scanned += scan.taken
            return scan
        self._passes = PASSES
        return None

    def _make_scan_plan(self) -> Any:
        from engine.scanning.plan import Grammar, Plan

        for name in self._coders:
            self.dictionaries[name]  # is there from now on, asked or not

        def needed(keys: Sequence[str]) -> tuple[str, ...]:
            return tuple(key for key in keys if self.required or key == "event_time")

        meant = {"transaction": TRANSACTION, "activity": ACTIVITY}
        return Plan(
            Grammar(
                keys=self._keys,
                envelope=ENVELOPE,
                live=self._live,
                counted=[name for name in self._extra if not self.scrubber.is_secret(name)],
                of_label=self._label_keys,
                needs={kind: needed(keys) for kind, keys in self._needs.items()},
                either=_EITHER if self.required else {},
                needs_of_type={name: needed(keys) for name, keys in self._needs_of_type.items()},
                meant_for={name: meant[of] for name, of in self.schema.event_types.items()},
                numbers=self._placed_numbers,
                coded=[
                    (key, self._keys[key].domain, self._placed_codes[key])
                    for key in self._live
                    if key in self._placed_codes and self._keys[key].domain != TEXT
                ],
                texts=[
                    *(key for key, _ in self._coders.get(TEXT, ()) if key in self._known),
                    *(
                        key
                        for key in ("transaction_id", "account", ORIGINAL, "label")
                        if key in self._known
                    ),
                ],
                digits=self._digits,
                books=self.currency,
            )
        )

    def _join(
        self, scan: "Scan", lines: Sequence[bytes], positions: Sequence[str], seq0: int
    ) -> Batch:
        """Make a batch of what was scanned, and decode the rows that were left."""
        n = len(lines)
        batch = Batch(
            n=n,
            seq0=seq0,
            frame=scan.frame,
            kind=scan.kind,
            read_as=scan.kind.copy(),
            event_time_us=scan.event_time_us,
            currency=self.currency,
            foreign=np.zeros(n, np.bool_),
            lines=list(lines),
            position=positions,
            records=Records(lines, self._read_record),
            transaction_id=scan.texts("transaction_id"),
            account=[],
            digest=scan.digest.tolist(),
            keys=self._known,
            originals=scan.some_texts(ORIGINAL),
            verdicts=scan.some_texts("label", np.flatnonzero(scan.kind == LABEL)),
        )
        quality = self.quality
        quality.n_transactions += int(np.count_nonzero(scan.kind == TRANSACTION))
        for name, count in scan.present:
            if name not in ENVELOPE:
                counts = quality.present if name in quality.present else quality.unknown
                counts[name] = counts.get(name, 0) + count
        for name, count in scan.unseen:
            quality.unseen[name] += count
        if scan.taken == n:
            self._encode_spans(batch, scan, ())
            batch.account = self._accounts(batch, scan)
        else:
            left = np.flatnonzero(scan.kind == DEAD)
            rows = left.tolist()
            batch.account = scan.texts("account")
            some = [lines[row] for row in rows], [positions[row] for row in rows]
            part, _ = self._decode_objects(*some, seq0)
            batch.take(left, part)
            self._encode_spans(batch, scan, rows)
        return batch

    def _accounts(self, batch: Batch, scan: "Scan") -> list[str | None]:
        """The accounts of a batch that was scanned as a whole: their texts are there already, if they have codes."""
        place = self._placed_codes.get("account")
        if place is not None:
            codes = batch.frame.code[place]
            if codes.min() >= 0:
                texts = self.dictionaries[self._keys["account"].domain].texts
                return list(map(texts.__getitem__, codes.tolist()))
        return scan.texts("account")

    def _read_record(self, line: bytes) -> Record:
        """The record of a message that was scanned: nothing about it is wrong, or unknown and not counted yet."""
        record: Record = self._decode(line)
        if record.kind == "transaction":
            record.kind = None
        keys = self._label_keys if record.kind == "label" else self._keys
        for key in self._live:
            kind, value = self._keys[key].kind, getattr(record, key)
            if value is None or key not in keys:
                continue
            if kind == "money":
                signed = self._keys[key].signed
                setattr(record, key, minor_units(value, self._digits, signed=signed))
            elif kind == "time":
                setattr(record, key, time_us(value, dated=self._keys[key].dated))
            elif kind == "duration":
                setattr(record, key, span_us(value))
        for k in range(len(self._extra)):
            setattr(record, f"extra_{k}", UNSET)
        return record

    def _read(self, work: _Work) -> None:
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
                records.extend(map(self._decode, lines[start:] if start else lines))
            except _UNREADABLE:
                if is_flat:  # some line may have no bracket, another two: look at each after all
                    is_flat = False
                    records.clear()
                    start = 0
                    self._inspect(work)
                    continue
                row = start = len(records)
                if row not in work.dead and row not in work.slow:
                    raws = self._raws(work, row)
                    new = (raws.keys() & self._keys.keys()) - self._known
                    if new:  # begin again with a struct that has them
                        self._known |= new
                        self._build()
                        records.clear()
                        start = 0
                        continue
                    work.slow[row] = self._read_slowly(work, row, raws)
                records.append(self._struct(**work.slow.get(row, {})))
                start += 1
        for row in work.escaped:
            self._refuse_control(work, row)

    def _inspect(self, work: _Work) -> None:
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
                lines[row] = self.scrubber.scrub(line)
            if lines[row] is not line and len(line) <= max_:
                self.secrets_seen += 1
            dead = self._unreadable(lines[row])
            if dead is not None:
                work.dead[row] = dead
            elif b"\\" in line:
                work.escaped.append(row)

    def _unreadable(self, line: bytes) -> Dead | None:
        """Why a line cannot be read whatever the schema says, if so; syntax is found later."""
        if not line.strip(b" \t\r\n"):
            return Dead(
                "empty_line", "the line is empty", "send one JSON object a line, and no empty lines"
            )
        if line.startswith(MARK):
            return self._withheld(line)
        if not line.isascii():
            try:
                line.decode()
            except UnicodeDecodeError as error:
                what = f"byte {error.start} is not UTF-8"
                return Dead("bad_utf8", what, "encode messages as UTF-8")
        if nesting(line, DEPTH_MAX) > DEPTH_MAX:
            what = f"more than {DEPTH_MAX} brackets are open at once"
            return Dead(
                "nested_too_deep", what, "send flat objects; nested fields are ignored anyway"
            )
        return None

    def _withheld(self, line: bytes) -> Dead | None:
        try:
            reason, n_bytes = msgspec.json.decode(line, type=_Withheld).withheld
        except _UNREADABLE:
            return None
        if reason == "too_large":
            what = f"the message has {n_bytes} bytes, at most {self.message_bytes_max} are read"
            return Dead(reason, what, "split it, or raise `message_bytes_max` in weir.yaml")
        what = (
            "the message cannot be read, and may hold what must never be stored, so it was not kept"
        )
        return Dead(reason, what, "send valid JSON, without the fields of `never_store`")

    def _raws(self, work: _Work, row: int) -> dict[str, Raw]:
        """Keys and values of a message as bytes; nothing, and a dead row, if it is none."""
        try:
            return self._object.decode(work.lines[row])
        except _UNREADABLE as error:
            work.dead[row] = self._syntax_dead(work, row, error)
            return {}

    def _read_slowly(self, work: _Work, row: int, raws: Mapping[str, Raw]) -> dict[str, Any]:
        """Values of a message that the struct refused, key by key: what is wrong is left out and remembered."""
        unknown = [key for key in raws if key not in self._wires]
        kind = self._one(raws, "kind")
        if kind == "command" or (kind in INTERNAL and _is_internal(work.positions[row])):
            self._open(work, row)
        else:
            self._learn(work, row, unknown)
        values: dict[str, Any] = {}
        for key, wire in self._wires.items():
            raw = raws.get(key)
            if raw is None:
                continue
            try:
                values[key] = wire.decode(raw)
            except _UNREADABLE:
                shape = _SHAPES[self._keys[key].kind] if key in self._keys else "a text"
                work.wrong.setdefault(row, {})[key] = f"not {shape}"
        return values

    def _open(self, work: _Work, row: int) -> None:
        """Read the whole object of a command; what it holds is for others to judge."""
        try:
            work.objects[row] = msgspec.json.decode(work.lines[row])
        except msgspec.ValidationError as error:  # the object is well formed, a number in it is not
            fix = "correct the number, or write it as a text"
            work.dead[row] = Dead("wrong_field", f"a number that cannot be read: {error}", fix)
        except _UNREADABLE as error:
            work.dead[row] = self._syntax_dead(work, row, error)

    def _one(self, raws: Mapping[str, Raw], key: str) -> Any:
        try:
            return self._wires[key].decode(raws[key]) if key in raws else None
        except _UNREADABLE:
            return UNSET

    def _syntax_dead(self, work: _Work, row: int, error: Exception) -> Dead:
        line = work.lines[row]
        work.lines[row] = self.scrubber.scrub(line)
        if work.lines[row] is not line:
            self.secrets_seen += 1
        dead = self._unreadable(work.lines[row])
        if dead is not None:
            return dead
        if isinstance(error, msgspec.ValidationError):  # no object; is it JSON at all?
            try:
                msgspec.json.decode(line, type=Raw)
            except _UNREADABLE as deeper:
                error = deeper
            else:
                got = str(error).rpartition("got ")[2].strip("`")
                fix = "send each message as one JSON object"
                return Dead("not_an_object", f"the message is JSON, but no object: {got}", fix)
        what = str(error)
        return Dead("malformed_json", f"not JSON: {what}", _SYNTAX_FIX)

    # ------------------------------------------------------------ unknown fields and secrets

    def _learn(self, work: _Work, row: int, unknown: Sequence[str]) -> None:
        """Count unknown fields, and have the struct know them from now on: such messages are then fast."""
        found = [key for key in unknown if not self.scrubber.is_secret(key)]
        if len(found) != len(unknown):
            work.lines[row] = self.scrubber.scrub(work.lines[row])
            self.secrets_seen += 1
        counts, others = self.quality.unknown, 0
        for key in found:
            if key in counts or len(counts) < UNKNOWN_MAX:
                counts[key] = counts.get(key, 0) + 1
            else:
                others = 1
        self.quality.unknown_other += others
        for key in unknown:
            is_counted = key in counts or (key not in found and len(self._extra) < 4 * UNKNOWN_MAX)
            if is_counted and key not in self._extra and _can_be_learned(key):
                self._waiting[key] = None

    def _notice_extra(
        self, work: _Work, rows: Sequence[int], columns: Sequence[Sequence[Any]]
    ) -> None:
        """Count the unknown fields that the struct took in, take them out again, and scrub the secrets."""
        n = len(rows)
        for k, name in enumerate(self._extra):
            column = columns[self._first_extra + k]
            if column.count(UNSET) == n:
                continue
            found = [row for row, raw in zip(rows, column, strict=True) if raw is not UNSET]
            for row in found:
                setattr(work.records[row], f"extra_{k}", UNSET)
            if self.scrubber.is_secret(name):
                for row in found:
                    work.lines[row] = self.scrubber.scrub(work.lines[row])
                self.secrets_seen += len(found)
            else:
                self.quality.unknown[name] = self.quality.unknown.get(name, 0) + len(found)

    def _refuse_control(self, work: _Work, row: int) -> None:
        """Ids and categories hold no control characters: identities and files use them as separators."""
        record = work.records[row]
        for key in self._text_keys:
            value = getattr(record, key)
            if value and min(value) < " ":
                setattr(record, key, None)
                work.wrong.setdefault(row, {})[key] = "not free of control characters"

    # ------------------------------------------------------------ kinds, one group of rows each

    def _kinds(self, work: _Work) -> NDArray[np.int8]:
        """What each row is; rows of an unknown kind are dead."""
        names = list(map(_KIND, work.records))
        if names.count(None) == len(names) and not work.wrong:
            kind = np.full(len(names), TRANSACTION, np.int8)
        else:
            kind = np.zeros(len(names), np.int8)
            for row, name in enumerate(names):
                found = KINDS.get(name)
                if found is None and name in INTERNAL and _is_internal(work.positions[row]):
                    found = INTERNAL_KINDS[name]
                if found is None or "kind" in work.wrong.get(row, {}):
                    shown = f"`{name}`" if name is not None else "no text"
                    what = f"`kind` must be one of {', '.join(filter(None, KINDS))}, was {shown}"
                    fix = near(name or "", list(filter(None, KINDS)))
                    work.dead.setdefault(row, Dead("unknown_kind", what, fix))
                else:
                    kind[row] = found
                    if found == TRANSACTION:
                        work.records[row].kind = None  # so that both spellings are one content
        kind[list(work.dead)] = DEAD
        return kind

    def _group(
        self, work: _Work, batch: Batch, kind: int, rows: Sequence[int]
    ) -> Mapping[str, Sequence[Any]]:
        """Check and convert all rows of one kind, column by column; return the columns as they came."""
        records = work.records if len(rows) == batch.n else [work.records[row] for row in rows]
        columns = list(zip(*map(msgspec.structs.astuple, records), strict=True))
        self._notice_extra(work, rows, columns)
        if kind in (COMMAND, CONFIG):
            for row in rows:
                if row not in work.objects:  # the struct knew all its keys
                    self._open(work, row)
        if kind in (DEAD, COMMAND, CONFIG):
            return {}
        group = _Group(work, batch, kind, rows, records)
        keys = self._label_keys if kind == LABEL else self._keys
        for position, key in enumerate(self._live, len(ENVELOPE)):
            if key in keys:
                column = columns[position]
                absent = column.count(None)
                if absent < len(rows):
                    group.columns[key], group.absent[key] = column, absent
        if kind == TRANSACTION:
            self.quality.n_transactions += len(rows)
            for key, absent in group.absent.items():
                self.quality.present[key] += len(rows) - absent
            for row, fields in work.wrong.items():  # there, but no value that a column could take
                for key in fields if batch.kind[row] == TRANSACTION else ():
                    if key in self.quality.present:  # not the envelope
                        self.quality.present[key] += 1
        self._check_categories(group)
        self._convert(group)
        self._require(group)
        if kind in KINDS_WITH_IDENTITY:
            self._digest(group)
        return group.columns

    def _check_categories(self, group: "_Group") -> None:
        """Values outside the schema's lists: counted as unseen, or wrong where the list is closed."""
        for key, values in group.columns.items():
            column = self._keys[key]
            if not column.allowed:
                continue
            strange = set(values) - self._allowed[key]
            if not strange:
                continue
            for i, value in enumerate(values):
                if value in strange:
                    if column.closed:
                        group.refuse(i, key, f"none of {', '.join(column.allowed[:12])}")
                    else:
                        self.quality.unseen[key] += 1
        types = group.columns.get("type")
        if types is not None and group.kind in (TRANSACTION, ACTIVITY):
            mine = "transaction" if group.kind == TRANSACTION else "activity"
            for name in set(types):
                if self.schema.event_types.get(name, mine) == mine:
                    continue
                other = self.schema.event_types[name]
                for i, value in enumerate(types):
                    if value == name:
                        article = "an" if other == "activity" else "a"
                        what = f"`{name}` is the type of {article} {other}, and the message is {_an(group.kind)}"
                        group.kill(i, Dead("wrong_kind", what, f'send it with "kind":"{other}"'))

    def _convert(self, group: "_Group") -> None:
        """Numbers of all kinds: into the frame, and in their exact form into the records."""
        money: list[Column] = []
        for key, values in group.columns.items():
            column = self._keys[key]
            if column.kind in _CODED:
                continue
            if group.absent[key]:
                at = [i for i, value in enumerate(values) if value is not None]
                values = [values[i] for i in at]
            else:
                at = None
            numbers: NDArray[Any]
            wrong: Wrong
            if column.kind == "money":
                money.append(column)  # last: its rate is that of the event's time
                continue
            if column.kind == "time":
                numbers, wrong = read_times(values, dated=column.dated)
            elif column.kind == "duration":
                numbers, wrong = read_spans(values)
            elif column.kind == "flag":
                numbers, wrong = np.array(values, np.float64), {}
            else:
                numbers, wrong = read_numbers(values, column.decimals, column.low, column.high)
            self._put(group, key, at, numbers, wrong, exact=column.kind in ("time", "duration"))
        if money:
            abroad = self._abroad(group)
            for column in money:
                self._convert_money(group, column, {} if column.in_books else abroad)

    def _put(
        self,
        group: "_Group",
        key: str,
        at: Sequence[int] | None,
        numbers: NDArray[Any],
        wrong: Wrong,
        *,
        exact: bool,
    ) -> None:
        """Write the numbers of rows `at` (None: all) of a group; `exact`: into the records too."""
        batch = group.batch
        rows = group.slots if at is None else group.slots_of(at)
        if exact:
            records = group.records if at is None else [group.records[i] for i in at]
            for record, value in zip(records, numbers.tolist(), strict=True):
                setattr(record, key, value)
        if key == "event_time":
            batch.event_time_us[rows] = numbers
        if key in self._placed_numbers:
            batch.frame.number[self._placed_numbers[key], rows] = numbers
        for i, why in wrong.items():
            group.refuse(i if at is None else at[i], key, why)

    def _abroad(self, group: "_Group") -> dict[str, list[int]]:
        """Positions of rows in other currencies than the books', by currency; without one it is the books'."""
        values = group.columns.get("currency")
        others = set(values or ()) - {None, self.currency}
        if not others:
            return {}
        assert values is not None
        found: dict[str, list[int]] = {name: [] for name in sorted(others)}
        for i, name in enumerate(values):
            if name in others:
                found[name].append(i)
        return found

    def _convert_money(
        self, group: "_Group", column: Column, abroad: Mapping[str, list[int]]
    ) -> None:
        """Amounts in the books' currency, all rows at once as if they were; then those of `abroad` over it."""
        key = column.key
        values = group.columns[key]
        at = None
        if group.absent[key]:
            at = [i for i, value in enumerate(values) if value is not None]
        minor, wrong = read_money(
            values if at is None else [values[i] for i in at], self._digits, signed=column.signed
        )
        if wrong and abroad:
            rest = set(itertools.chain.from_iterable(abroad.values()))
            wrong = {k: why for k, why in wrong.items() if (k if at is None else at[k]) not in rest}
        self._put(group, key, at, minor, wrong, exact=True)
        for currency, rows in abroad.items():
            there = [i for i in rows if values[i] is not None]
            if there:
                self._convert_abroad(group, column, currency, there)

    def _convert_abroad(
        self, group: "_Group", column: Column, currency: str, at: Sequence[int]
    ) -> None:
        """Amounts of the rows `at` in one other currency: exact in the records, at the rate of their time in the frame.

        Those of updates wait for the time of their transaction (engine/exchange.py).
        """
        key, batch, digits = column.key, group.batch, EXPONENTS.get(currency)
        if digits is None:
            for i in at:
                group.refuse(i, "currency", "no ISO 4217 code")
                group.refuse(i, key, "in an unknown currency")
            return
        values, slots = group.columns[key], group.slots_of(at)
        minor, wrong = read_money([values[i] for i in at], digits, signed=column.signed)
        converted = np.full(len(at), np.nan)
        if group.kind != UPDATE:
            amounts, is_known, is_large = self._rates.converted(
                minor, currency, self.currency, batch.event_time_us[slots]
            )
            converted = np.where(is_known & ~is_large, amounts, np.nan)
            batch.foreign[slots[~is_known]] = True
            for k in np.flatnonzero(is_large).tolist():
                wrong.setdefault(k, f"more than 2**53 minor units of {self.currency}")
        if key in self._placed_numbers:
            batch.frame.number[self._placed_numbers[key], slots] = converted
        for i, value in zip(at, minor.tolist(), strict=True):
            setattr(group.records[i], key, value)
            batch.currencies[group.rows[i]] = currency
        for k, why in wrong.items():
            group.refuse(at[k], key, why)

    # ------------------------------------------------------------ what a message needs

    def _require(self, group: "_Group") -> None:
        """Bury rows without a field that their kind or type needs, or with a wrong one."""
        needs = self._needs[group.kind]
        for key in needs:
            self._require_key(group, key, None)
        if group.kind in (TRANSACTION, ACTIVITY):
            types = group.columns.get("type")
            for name in self._needs_of_type.keys() & set(types or ()):
                assert types is not None
                at = [i for i, value in enumerate(types) if value == name]
                for key in self._needs_of_type[name]:
                    self._require_key(group, key, at)
        either = _EITHER.get(group.kind, ())
        if either and self.required:
            lacking = [
                i
                for i, record in enumerate(group.records)
                if all(getattr(record, key, None) is None for key in either)
            ]
            for i in lacking:
                names = " or ".join(f"`{key}`" for key in either)
                what = f"{_an(group.kind)} needs {names}"
                group.kill(i, Dead("missing_field", what, "add one of them, or correct its value"))

    def _require_key(self, group: "_Group", key: str, at: Sequence[int] | None) -> None:
        if group.absent.get(key) == 0:
            lacking: Sequence[int] = ()
        elif at is None:
            lacking = [i for i, record in enumerate(group.records) if getattr(record, key) is None]
        else:
            lacking = [i for i in at if getattr(group.records[i], key) is None]
        wrong = group.work.wrong
        if wrong:
            inside = group.all if at is None else at
            refused = [i for i in inside if key in wrong.get(group.rows[i], ())]
            for i in refused:
                group.kill(i, self._wrong_dead(key, wrong[group.rows[i]][key]))
        if lacking and (self.required or key == "event_time"):
            name = KIND_NAMES[group.kind]
            for i in lacking:
                needed_by = f"a {group.records[i].type}" if at is not None else _an(group.kind)
                what = f"{needed_by} needs `{key}`, and the message has none"
                group.kill(i, Dead("missing_field", what, f"add `{key}` to the {name}"))

    def _wrong_dead(self, key: str, why: str) -> Dead:
        column = self._keys.get(key)
        kind = column.kind if column is not None else "id"
        reason = _WRONG_REASON.get(key) or _WRONG_REASON_OF_KIND.get(kind, "wrong_field")
        fix = f"send {_SHAPES[kind]}{_HINTS.get(kind, '')}"
        if key == "currency":
            fix = "send the three letters of ISO 4217, such as EUR"
        elif column is not None and column.closed:
            fix = f"send one of {', '.join(column.allowed[:12])}"
        return Dead(reason, f"`{key}` means nothing: {why}", fix)

    def _digest(self, group: "_Group") -> None:
        """Hash what was decoded. As JSON: the head of a MessagePack map depends on how many fields the struct has."""
        encode, blake2b = self._encoder.encode, hashlib.blake2b
        digests = b"".join([blake2b(encode(r), digest_size=8).digest() for r in group.records])
        values = np.frombuffer(digests, "<i8").tolist()
        if len(group.rows) == group.batch.n:
            group.batch.digest = values
        else:
            for row, value in zip(group.rows, values, strict=True):
                group.batch.digest[row] = value

    # ------------------------------------------------------------ the end of a batch

    def _bury(self, work: _Work, batch: Batch) -> None:
        """Empty the columns of dead rows, and count what was wrong in the others."""
        for fields in work.wrong.values():
            for key in fields:
                if key in self.quality.invalid:  # not the envelope
                    self.quality.invalid[key] += 1
        if not work.dead:
            return
        rows = list(work.dead)
        batch.kind[rows] = DEAD
        batch.foreign[rows] = False
        batch.frame.number[:, rows] = np.nan
        for row, dead in work.dead.items():
            if not dead.answerable:
                batch.event_time_us[row] = -1
                batch.digest[row] = 0

    def _encode(self, batch: Batch, columns: Mapping[str, Sequence[Any]]) -> None:
        """Give every id, category and text its code, in row order inside each dictionary.

        columns : the values by key where all rows are of one kind and well; else they are read from the records
        """
        records, n = batch.records, batch.n
        if batch.dead:
            nothing = self._struct()
            records = [nothing if row in batch.dead else r for row, r in enumerate(records)]
        if TEXT in self._coders:
            self.dictionaries.renew(TEXT)
        if (batch.kind == PROFILE).any():
            self._encode_with_profiles(batch, records)
            return
        for name, pairs in self._coders.items():
            used = [pair for pair in pairs if pair[0] in self._known]
            values = [columns.get(key) or map(attrgetter(key), records) for key, _ in used]
            self._encode_columns(batch, name, used, values, n)

    def _encode_columns(
        self,
        batch: Batch,
        name: str,
        used: Sequence[tuple[str, int]],
        values: Sequence[Iterable[str | None]],
        n: int,
    ) -> None:
        """Write the codes of columns that share a dictionary; `used`: their keys, and rows in the plane of codes."""
        dictionary = self.dictionaries[name]
        if len(used) == 1 and used[0][1] >= 0:
            batch.frame.code[used[0][1]] = dictionary.encode(values[0], n)
        elif used:
            mixed = itertools.chain.from_iterable(zip(*values, strict=True))
            codes = dictionary.encode(mixed, n * len(used)).reshape(n, len(used))
            for k, (_, place) in enumerate(used):
                if place >= 0:
                    batch.frame.code[place] = codes[:, k]

    def _encode_spans(self, batch: Batch, scan: "Scan", left: Sequence[int]) -> None:
        """The same for a batch that was scanned, all but the rows `left`; those have their texts in the records."""
        from engine.scanning.scanner import piece

        dictionaries = self.dictionaries
        living = [row for row in left if row not in batch.dead]
        profiles = {row for row in living if batch.kind[row] == PROFILE}
        names, planes, spans, raw = scan.plan.domains, scan.plan.plane, scan.spans, scan.raw
        if living:
            coded = [
                (key, self._keys[key].domain, self._placed_codes.get(key, -1))
                for key in self._live
                if key in self._placed_codes or (profiles and key in self._coded_of_profile)
            ]
            coded = [(key, name, plane) for key, name, plane in coded if name != TEXT]
            names, planes = (
                [name for _, name, _ in coded],
                np.array([p for _, _, p in coded], np.int64),
            )
            spans, raw = scan.with_rows(
                [key for key, _, _ in coded],
                [
                    (row, k, value)
                    for row in living
                    for k, (key, _, plane) in enumerate(coded)
                    if (plane >= 0 or row in profiles)
                    and (value := getattr(batch.records[row], key)) is not None
                ],
            )
        held = self._scan_dictionaries
        if living:
            held = [dictionaries[name] for name in names]
        for name in self._profile_keys if profiles else ():
            dictionaries[name]  # is there from now on, asked or not
        texts = [dictionary.texts for dictionary in held]
        for k, span in dictionaries.table.encode(
            raw, spans, names, planes, batch.frame.code, texts
        ):
            held[k].code(piece(raw, span))
        if profiles or TEXT in self._coders:
            self._encode_texts(batch, scan, living, profiles)
        for row in sorted(profiles):
            record = batch.records[row]
            codes = {
                key: dictionaries[self._keys[key].domain].find(value)
                for key in self._live
                if (key in self._placed_codes or key in self._coded_of_profile)
                and (value := getattr(record, key)) is not None
            }
            batch.profiles += self._profiles(row, record, codes)

    def _encode_texts(
        self, batch: Batch, scan: "Scan", living: Sequence[int], profiles: AbstractSet[int]
    ) -> None:
        """Codes of texts proper; they hold for this batch only."""
        placed = self._coders.get(TEXT, [])
        if placed:
            self.dictionaries.renew(TEXT)
        keys = [
            key
            for key in self._live
            if self._keys[key].domain == TEXT
            and (key in self._placed_codes or (profiles and key in self._coded_of_profile))
        ]
        values = [scan.texts(key) for key in keys]
        for row in living:
            for key, column in zip(keys, values, strict=True):
                if key in self._placed_codes or row in profiles:
                    column[row] = getattr(batch.records[row], key)
        if keys:
            used = [(key, self._placed_codes.get(key, -1)) for key in keys]
            self._encode_columns(batch, TEXT, used, values, batch.n)

    def _encode_with_profiles(self, batch: Batch, records: Sequence[Record]) -> None:
        """The same, row by row: profiles bring texts in keys that other messages are not read for."""
        code, is_profile = batch.frame.code, (batch.kind == PROFILE).tolist()
        found: dict[int, dict[str, int]] = {
            row: {} for row, is_it in enumerate(is_profile) if is_it
        }
        for name in dict.fromkeys([*self._coders, *self._profile_keys]):
            dictionary, placed = self.dictionaries[name], dict(self._coders.get(name, ()))
            of_profile = [
                k for k in self._keys if k in placed or k in self._profile_keys.get(name, ())
            ]
            for row, record in enumerate(records):
                for key in of_profile if is_profile[row] else placed:
                    value = getattr(record, key)
                    if value is None:
                        continue
                    number = dictionary.code(value)
                    if key in placed:
                        code[placed[key], row] = number
                    if is_profile[row]:
                        found[row][key] = number
        batch.profiles = [
            profile
            for row, codes in found.items()
            if row not in batch.dead
            for profile in self._profiles(row, records[row], codes)
        ]

    def _profiles(self, row: int, record: Record, codes: Mapping[str, int]) -> list[Profile]:
        """What a profile message sets.

        An attribute belongs to the nearest entity named that has such a one: a card, else an account, else a customer.
        An id is a link, and every nearer entity named gets it.
        """
        values: dict[str, list[tuple[str, float]]] = {}
        role = record.role or "owner"
        for key, owners in self._attribute_keys.items():
            value = getattr(record, key)
            if value is None:
                continue
            named = [e for e in ENTITIES if e in owners and e != key and getattr(record, e, None)]
            for entity in named if key in ENTITIES else named[:1]:
                name = f"{entity}.{key}"
                if name == "account.customer" and role != "owner":
                    name = f"account.{role}"  # a link of another role never replaces the owner
                    if name not in self.schema.columns:
                        continue
                number = codes[key] if key in codes else float(value)
                values.setdefault(entity, []).append((name, number))
        return [Profile(row, e, codes[e], tuple(pairs)) for e, pairs in values.items()]

    # ------------------------------------------------------------ state

    def save(self) -> Arrays:
        """The counters; codes are saved with the dictionaries."""
        return self.quality.save()

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.quality.load(arrays)
        unknown = self.quality.unknown.keys() - self._wires.keys()
        self._extra = sorted(filter(_can_be_learned, unknown))
        self._build()


class _Group:
    """All rows of one kind in a batch. Positions `i` count inside the group, rows inside the batch."""

    def __init__(
        self, work: _Work, batch: Batch, kind: int, rows: Sequence[int], records: list[Record]
    ) -> None:
        self.work, self.batch, self.kind, self.rows, self.records = work, batch, kind, rows, records
        self.all = range(len(rows))
        self.slots: slice | I8 = slice(None) if len(rows) == batch.n else np.array(rows)
        self.columns: dict[str, Sequence[Any]] = {}  # only keys that some row has
        self.absent: dict[str, int] = {}

    def slots_of(self, at: Sequence[int]) -> I8:
        found = np.array(at, np.int64)
        return found if isinstance(self.slots, slice) else self.slots[found]

    def refuse(self, i: int, key: str, why: str) -> None:
        """Leave out a value that means nothing."""
        setattr(self.records[i], key, None)
        row = self.rows[i]
        self.work.wrong.setdefault(row, {}).setdefault(key, why)
        if key == "event_time":
            self.batch.event_time_us[row] = -1
        place = self.batch.frame.layout.places.get(key)
        if place is not None and not place.is_code:
            self.batch.frame.number[place.row, row] = np.nan

    def kill(self, i: int, dead: Dead) -> None:
        """Bury row `i`, unless it is dead already."""
        record = self.records[i]
        readable = record.transaction_id is not None and record.account is not None
        dead = dataclasses.replace(dead, answerable=readable and self.kind == TRANSACTION)
        self.work.dead.setdefault(self.rows[i], dead)


def _can_be_learned(key: str) -> bool:
    """Whether a struct of msgspec can have a field of that name; others are read key by key each time."""
    return '"' not in key and "\\" not in key and min(key, default="x") >= " "


def _an(kind: int) -> str:
    name = KIND_NAMES[kind]
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _is_internal(position: str) -> bool:
    """Whether the engine made the record that stands there."""
    return position in INTERNAL or position.startswith(TICKED)
