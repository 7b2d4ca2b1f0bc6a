"""Structs to columns: what each message is, what its values mean, and whether it has what its kind needs.

All rows of one kind are checked and converted together, column by column (engine/quantities.py).
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.money import EXPONENTS, exponent
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
)
from engine.decoding.messages import (
    ENVELOPE,
    INTERNAL,
    INTERNAL_KINDS,
    KINDS,
    LABEL_KEYS,
    is_internal,
    with_article,
)
from engine.decoding.places import Places
from engine.decoding.quality import INVALID, PRESENT, UNSEEN, Quality
from engine.decoding.reader import Reader
from engine.decoding.reasons import wrong_dead
from engine.decoding.work import Group, Work
from engine.entities import CODED
from engine.quantities import Wrong, read_money, read_numbers, read_spans, read_times

KINDS_WITH_IDENTITY: Final = (TRANSACTION, UPDATE, LABEL)
EITHER: Final[Mapping[int, tuple[str, ...]]] = {  # a message of the kind needs one of these
    ACTIVITY: ("account", "customer"),
    UPDATE: ("status", "amount"),
    PROFILE: ENTITIES,
}

_KIND = attrgetter("kind")


class Checker:
    """Checks and converts what a reader has read.

    label_keys    : keys that labels are read for
    needs         : kind -> keys that its messages need
    needs_of_type : event type -> further keys that its messages need
    """

    def __init__(
        self,
        schema: Schema,
        reader: Reader,
        places: Places,
        quality: Quality,
        currency: str,
        rates: Rates,
        *,
        required: bool,
    ) -> None:
        self._reader, self._places, self._quality = reader, places, quality
        self._currency, self._rates, self._required = currency, rates, required
        self._digits = exponent(currency)
        self._encoder = msgspec.json.Encoder()
        self._event_types = schema.event_types
        self._keys: dict[str, Column] = dict(schema.keys)
        self._allowed = {k: frozenset([*c.allowed, None]) for k, c in self._keys.items()}
        self.label_keys = {
            *LABEL_KEYS,
            *(k for k, c in self._keys.items() if "label" in c.messages),
        }
        self.needs = {
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
        self.needs_of_type: dict[str, list[str]] = {}
        for column in schema.columns.values():
            for name in column.required_for:
                self.needs_of_type.setdefault(name, []).append(column.key)

    # ------------------------------------------------------------ kinds, one group of rows each

    def kinds(self, work: Work) -> NDArray[np.int8]:
        """What each row is; rows of an unknown kind are dead."""
        names = list(map(_KIND, work.records))
        if names.count(None) == len(names) and not work.wrong:
            kind = np.full(len(names), TRANSACTION, np.int8)
        else:
            kind = np.zeros(len(names), np.int8)
            for row, name in enumerate(names):
                found = KINDS.get(name)
                if found is None and name in INTERNAL and is_internal(work.positions[row]):
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

    def group(
        self, work: Work, batch: Batch, kind: int, rows: Sequence[int]
    ) -> Mapping[str, Sequence[Any]]:
        """Check and convert all rows of one kind, column by column; return the columns as they came."""
        records = work.records if len(rows) == batch.n else [work.records[row] for row in rows]
        columns = list(zip(*map(msgspec.structs.astuple, records), strict=True))
        self._reader.notice_extra(work, rows, columns)
        if kind in (COMMAND, CONFIG):
            for row in rows:
                if row not in work.objects:  # the struct knew all its keys
                    self._reader.open(work, row)
        if kind in (DEAD, COMMAND, CONFIG):
            return {}
        group = Group(work, batch, kind, rows, records)
        keys = self.label_keys if kind == LABEL else self._keys
        for position, key in enumerate(self._reader.live, len(ENVELOPE)):
            if key in keys:
                column = columns[position]
                absent = column.count(None)
                if absent < len(rows):
                    group.columns[key], group.absent[key] = column, absent
        if kind == TRANSACTION:
            self._quality.n_transactions += len(rows)
            for key, absent in group.absent.items():
                self._quality.add(PRESENT, key, len(rows) - absent)
            for row, fields in work.wrong.items():  # there, but no value that a column could take
                for key in fields if batch.kind[row] == TRANSACTION else ():
                    self._quality.add(PRESENT, key)
        self._check_categories(group)
        self._convert(group)
        self._require(group)
        if kind in KINDS_WITH_IDENTITY:
            self._digest(group)
        return group.columns

    def _check_categories(self, group: Group) -> None:
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
                        self._quality.add(UNSEEN, key)
        types = group.columns.get("type")
        if types is not None and group.kind in (TRANSACTION, ACTIVITY):
            mine = "transaction" if group.kind == TRANSACTION else "activity"
            for name in set(types):
                if self._event_types.get(name, mine) == mine:
                    continue
                other = self._event_types[name]
                for i, value in enumerate(types):
                    if value == name:
                        article = "an" if other == "activity" else "a"
                        got = with_article(group.kind)
                        what = (
                            f"`{name}` is the type of {article} {other}, and the message is {got}"
                        )
                        group.kill(i, Dead("wrong_kind", what, f'send it with "kind":"{other}"'))

    def _convert(self, group: Group) -> None:
        """Numbers of all kinds: into the frame, and in their exact form into the records."""
        money: list[Column] = []
        for key, values in group.columns.items():
            column = self._keys[key]
            if column.kind in CODED:
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
        group: Group,
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
        if key in self._places.numbers:
            batch.frame.number[self._places.numbers[key], rows] = numbers
        for i, why in wrong.items():
            group.refuse(i if at is None else at[i], key, why)

    def _abroad(self, group: Group) -> dict[str, list[int]]:
        """Positions of rows in other currencies than the books', by currency; without one it is the books'."""
        values = group.columns.get("currency")
        others = set(values or ()) - {None, self._currency}
        if not others:
            return {}
        assert values is not None
        found: dict[str, list[int]] = {name: [] for name in sorted(others)}
        for i, name in enumerate(values):
            if name in others:
                found[name].append(i)
        return found

    def _convert_money(self, group: Group, column: Column, abroad: Mapping[str, list[int]]) -> None:
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
        self, group: Group, column: Column, currency: str, at: Sequence[int]
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
                minor, currency, self._currency, batch.event_time_us[slots]
            )
            converted = np.where(is_known & ~is_large, amounts, np.nan)
            batch.foreign[slots[~is_known]] = True
            for k in np.flatnonzero(is_large).tolist():
                wrong.setdefault(k, f"more than 2**53 minor units of {self._currency}")
        if key in self._places.numbers:
            batch.frame.number[self._places.numbers[key], slots] = converted
        for i, value in zip(at, minor.tolist(), strict=True):
            setattr(group.records[i], key, value)
            batch.currencies[group.rows[i]] = currency
        for k, why in wrong.items():
            group.refuse(at[k], key, why)

    # ------------------------------------------------------------ what a message needs

    def _require(self, group: Group) -> None:
        """Bury rows without a field that their kind or type needs, or with a wrong one."""
        needs = self.needs[group.kind]
        for key in needs:
            self._require_key(group, key, None)
        if group.kind in (TRANSACTION, ACTIVITY):
            types = group.columns.get("type")
            for name in self.needs_of_type.keys() & set(types or ()):
                assert types is not None
                at = [i for i, value in enumerate(types) if value == name]
                for key in self.needs_of_type[name]:
                    self._require_key(group, key, at)
        either = EITHER.get(group.kind, ())
        if either and self._required:
            lacking = [
                i
                for i, record in enumerate(group.records)
                if all(getattr(record, key, None) is None for key in either)
            ]
            for i in lacking:
                names = " or ".join(f"`{key}`" for key in either)
                what = f"{with_article(group.kind)} needs {names}"
                group.kill(i, Dead("missing_field", what, "add one of them, or correct its value"))

    def _require_key(self, group: Group, key: str, at: Sequence[int] | None) -> None:
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
                group.kill(i, wrong_dead(key, self._keys.get(key), wrong[group.rows[i]][key]))
        if lacking and (self._required or key == "event_time"):
            name = KIND_NAMES[group.kind]
            for i in lacking:
                needed_by = (
                    f"a {group.records[i].type}" if at is not None else with_article(group.kind)
                )
                what = f"{needed_by} needs `{key}`, and the message has none"
                group.kill(i, Dead("missing_field", what, f"add `{key}` to the {name}"))

    def _digest(self, group: Group) -> None:
        """Hash what was decoded. As JSON: the head of a MessagePack map depends on how many fields the struct has."""
        encode, blake2b = self._encoder.encode, hashlib.blake2b
        digests = b"".join([blake2b(encode(r), digest_size=8).digest() for r in group.records])
        values = np.frombuffer(digests, "<i8").tolist()
        if len(group.rows) == group.batch.n:
            group.batch.digest = values
        else:
            for row, value in zip(group.rows, values, strict=True):
                group.batch.digest[row] = value

    def bury(self, work: Work, batch: Batch) -> None:
        """Empty the columns of dead rows, and count what was wrong in the others."""
        for fields in work.wrong.values():
            for key in fields:
                self._quality.add(INVALID, key)
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
