"""Messages to columns: JSON in, a `Batch` out; a message that means nothing becomes a dead letter with a reason.

    messages.py   what messages may say         reasons.py   why one of them is a dead letter
    reader.py     JSON to structs               checker.py   structs to numbers, and what a message needs
    coder.py      texts to codes                places.py    where columns stand in a frame
    work.py       a batch while it is decoded   quality.py   what was odd about fields

msgspec into a struct made from the schema is the definition of what a message says. A batch is decoded in one go; a
message that the struct refuses is read again key by key, so that one wrong field costs that field only. The values are
then checked and converted column by column (engine/quantities.py), and ids and categories get their codes in row order
(engine/entities.py). Only columns with a place in the layout are written; the others are checked all the same.
Messages as banks usually send them take a shorter way to the same outcome (engine/scanning/).

What decode gives is a function of the message and, for codes, of the messages before it: never of where a batch ends.
It is also a function of the *stored* message: what must not be written is taken out first (engine/scrub.py).
"""

from collections.abc import Mapping, Sequence
from math import ceil
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from config.money import exponent, minor_units
from config.rates import Rates
from config.schema import Column, Schema
from engine.batch import ACTIVITY, DEAD, LABEL, TRANSACTION, Batch, Records
from engine.decoding.checker import EITHER, Checker
from engine.decoding.coder import Coder
from engine.decoding.messages import BYTES_MAX, ENVELOPE, ORIGINAL, Record
from engine.decoding.places import Places
from engine.decoding.quality import Quality
from engine.decoding.reader import Reader
from engine.decoding.work import Work
from engine.entities import Dictionaries, place_sources
from engine.quantities import span_us, time_us
from engine.scrub import Scrubber
from engine.state import Arrays
from rules.columns import Frame, Layout
from rules.tree import TEXT

if TYPE_CHECKING:
    from engine.scanning.scanner import Scan

# a batch of fewer messages does not load the scanner, but uses it once it is there
SCAN_MIN: Final = 64
# a batch of which the scanner takes less is decoded through structs as a whole
SCAN_SHARE: Final = 0.5
# after a batch that was scanned for nothing so many are not
PASSES: Final = 15

_TRANSACTION_ID, _ACCOUNT = map(attrgetter, ("transaction_id", "account"))
_ORIGINAL = attrgetter(ORIGINAL)


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
        self.schema, self.layout, self.dictionaries = schema, layout, dictionaries
        self.currency, self.message_bytes_max, self.required = currency, message_bytes_max, required
        place_sources(schema, layout)
        self.scrubber = Scrubber(schema.never_store)
        self.quality = Quality(list(schema.keys))
        self._keys: dict[str, Column] = dict(schema.keys)
        self._reader = Reader(self._keys, self.scrubber, self.quality, message_bytes_max)
        self._places = Places(schema, layout)
        self._checker = Checker(
            schema,
            self._reader,
            self._places,
            self.quality,
            currency,
            rates or Rates.constant(currency, {}),
            required=required,
        )
        self._coder = Coder(schema, self._reader, self._places, dictionaries)
        self._scan_plan: Any = None
        self._scan_built = 0  # the struct that it was made for, as the reader counts them
        self.scan_min, self.scan_share = SCAN_MIN, SCAN_SHARE  # of speed only
        self.n_scanned = 0  # messages that became columns without a struct; a metric, not state
        self._passes = 0  # batches that go unscanned, because one before was scanned for nothing

    @property
    def secrets_seen(self) -> int:
        """Messages that lost a key of `never_store`; a metric, not state."""
        return self._reader.secrets_seen

    def decode(self, lines: Sequence[bytes], positions: Sequence[str], seq0: int) -> Batch:
        """Decode one batch: message i stands at `positions[i]` and gets the sequence number `seq0` + i."""
        if self._places.refresh():
            self._scan_plan = None
        scan = self._scan(lines)
        if scan is None:
            batch, columns = self._decode_objects(lines, positions, seq0)
            self._coder.encode(batch, columns)
            if not self._has_scan_plan():  # there are new keys, which the scanner knows next time
                self._passes = 0
        else:
            batch = self._join(scan, lines, positions, seq0)
        self._reader.grow()
        return batch

    def _decode_objects(
        self, lines: Sequence[bytes], positions: Sequence[str], seq0: int
    ) -> tuple[Batch, Mapping[str, Sequence[Any]]]:
        """Decode through structs, which is the definition, all but the codes.

        Return the values by key too, where all rows are of one kind and well.
        """
        n = len(lines)
        work = Work(list(lines), positions)
        self._reader.read(work)
        kind = self._checker.kinds(work)
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
            keys=self._reader.known,
        )
        columns: Mapping[str, Sequence[Any]] = {}
        kinds = np.unique(batch.kind).tolist()
        for kind in kinds:
            rows = range(n) if len(kinds) == 1 else np.flatnonzero(batch.kind == kind).tolist()
            columns = self._checker.group(work, batch, kind, rows)
        self._checker.bury(work, batch)
        if len(kinds) > 1 or work.dead or work.wrong:
            columns = {}
        batch.transaction_id = list(map(_TRANSACTION_ID, work.records))
        batch.account = list(map(_ACCOUNT, work.records))
        if ORIGINAL in self._reader.known:
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
        if not self._has_scan_plan():
            self._scan_plan, self._scan_built = self._make_scan_plan(), self._reader.n_built
            self._scan_dictionaries = [self.dictionaries.kept(n) for n in self._scan_plan.domains]
        n = len(lines)
        taken_min, frame = ceil(self.scan_share * n), Frame.empty(self.layout, n)
        scan = Scan(
            self._scan_plan,
            lines,
            frame,
            self.message_bytes_max,
            taken_min,
            self.quality.counts,
        )
        if not lines:
            self.dictionaries.table.warm_up()
            self.dictionaries.follow()
            return None
        if scan.taken >= taken_min:
            self.n_scanned += scan.taken
            return scan
        self._passes = PASSES
        return None

    def _has_scan_plan(self) -> bool:
        """Whether the scanner knows all keys and places that there are by now."""
        return self._scan_plan is not None and self._scan_built == self._reader.n_built

    def _make_scan_plan(self) -> Any:
        from engine.scanning.plan import Grammar, Plan

        places = self._places
        for name in places.coders:
            self.dictionaries[name]  # is there from now on, asked or not

        def needed(keys: Sequence[str]) -> tuple[str, ...]:
            return tuple(key for key in keys if self.required or key == "event_time")

        meant = {"transaction": TRANSACTION, "activity": ACTIVITY}
        return Plan(
            Grammar(
                keys=self._keys,
                envelope=ENVELOPE,
                live=self._reader.live,
                counted=[name for name in self._reader.extra if not self.scrubber.is_secret(name)],
                of_label=self._checker.label_keys,
                needs={kind: needed(keys) for kind, keys in self._checker.needs.items()},
                either=EITHER if self.required else {},
                needs_of_type={
                    name: needed(keys) for name, keys in self._checker.needs_of_type.items()
                },
                meant_for={name: meant[of] for name, of in self.schema.event_types.items()},
                numbers=places.numbers,
                coded=[
                    (key, self._keys[key].domain, places.codes[key])
                    for key in self._reader.live
                    if key in places.codes and self._keys[key].domain != TEXT
                ],
                texts=[
                    *(key for key, _ in places.coders.get(TEXT, ()) if key in self._reader.known),
                    *(
                        key
                        for key in ("transaction_id", "account", ORIGINAL, "label")
                        if key in self._reader.known
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
            account=scan.texts("account"),
            digest=scan.digest.tolist(),
            keys=self._reader.known,
            originals=scan.some_texts(ORIGINAL),
            verdicts=scan.some_texts("label", np.flatnonzero(scan.kind == LABEL))
            if scan.kinds[LABEL]
            else {},
        )
        scan.count_into(self.quality)
        if scan.taken == n:
            batch.joined = scan.joined
            self._coder.encode_spans(batch, scan, self._scan_dictionaries, ())
        else:
            left = np.flatnonzero(scan.kind == DEAD)
            rows = left.tolist()
            some = [lines[row] for row in rows], [positions[row] for row in rows]
            part, _ = self._decode_objects(*some, seq0)
            batch.take(left, part)
            if all(map(is_, part.lines, some[0])):  # nothing had to be withheld
                batch.joined = scan.joined
            self._coder.encode_spans(batch, scan, self._scan_dictionaries, rows)
        return batch

    def _read_record(self, line: bytes) -> Record:
        """The record of a message that was scanned: nothing about it is wrong, or unknown and not counted yet."""
        reader = self._reader
        record = reader.decode(line)
        if record.kind == "transaction":
            record.kind = None
        keys = self._checker.label_keys if record.kind == "label" else self._keys
        for key in reader.live:
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
        for k in range(len(reader.extra)):
            setattr(record, f"extra_{k}", UNSET)
        return record

    # ------------------------------------------------------------ state

    def save(self) -> Arrays:
        """The counters; codes are saved with the dictionaries."""
        return self.quality.save()

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.quality.load(arrays)
        self._reader.resume()
