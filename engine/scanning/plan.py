"""What the scanner knows of a schema, a layout and the messages so far, as arrays; made anew when one of them grows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from config.money import MINOR_MAX
from config.schema import Column
from engine.batch import ACTIVITY, LABEL, TRANSACTION, UPDATE
from engine.scanning.kernels import layout as at
from engine.scanning.kernels.words import hash_of

I8 = NDArray[np.int64]

KINDS: Final[Mapping[str, int]] = {
    "transaction": TRANSACTION,
    "activity": ACTIVITY,
    "label": LABEL,
    "update": UPDATE,
}
WIRES: Final[Mapping[str, int]] = {
    "id": at.ID,
    "category": at.ID,
    "text": at.TEXT,
    "money": at.MONEY,
    "number": at.NUMBER_WIRE,
    "geo": at.NUMBER_WIRE,
    "duration": at.DURATION,
    "time": at.TIME,
    "flag": at.FLAG,
}
TEXT_DOMAIN: Final = "text"  # its codes hold for one batch only, so texts are not kept as bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """What a decoder knows.

    keys          : the columns of the schema by key             envelope : keys before those of the schema
    live          : keys of the schema in the order of the struct that messages are decoded into
    counted       : unknown keys that are only counted
    of_label      : keys that labels are read for
    needs         : kind -> keys that its messages need          either   : kind -> keys of which it needs one
    needs_of_type : event type -> keys that its messages need    meant_for : event type -> the kind it belongs to
    numbers       : key -> row of the plane of numbers
    coded         : (key, dictionary, row of the plane of codes) in the order in which codes are given
    texts         : further keys whose texts are wanted
    digits, books : decimals of the currency of the books, and its code
    """

    keys: Mapping[str, Column]
    envelope: Sequence[str]
    live: Sequence[str]
    counted: Sequence[str]
    of_label: Iterable[str]
    needs: Mapping[int, Sequence[str]]
    either: Mapping[int, Sequence[str]]
    needs_of_type: Mapping[str, Sequence[str]]
    meant_for: Mapping[str, int]
    numbers: Mapping[str, int]
    coded: Sequence[tuple[str, str, int]]
    texts: Sequence[str]
    digits: int
    books: str


class Plan:
    """The arrays of kernels/scan.py and kernels/codes.py.

    names     : every field in the order of `field`     column : key -> its column in the spans
    domains   : (k,) dictionary of the columns of codes, which come first       plane  : (k,) row of the plane of codes
    width     : columns that the counts of a scan need
    spare     : bytes that must stand after the last message
    """

    def __init__(self, grammar: Grammar) -> None:
        self.names = [*grammar.envelope, *grammar.live, *grammar.counted]
        self.number_of = {key: f for f, key in enumerate(self.names)}
        self.n_struct = len(grammar.envelope) + len(grammar.live)
        known = {key: k for k, key in enumerate(grammar.keys)}
        coded = [key for key, _, _ in grammar.coded]
        more = [key for key in dict.fromkeys(grammar.texts) if key not in coded]
        self.column = {key: k for k, key in enumerate([*coded, *more])}
        self.width = max(len(self.names), len(self.column), 1 + max(KINDS.values()))
        self.domains = [domain for _, domain, _ in grammar.coded]
        self.plane = np.array([row for _, _, row in grammar.coded], np.int64)
        self._words: list[tuple[int, str, int]] = []  # domain, word, number
        self._needs: list[int] = []
        self.field = np.zeros((len(self.names) + 1, at.WIDTH), np.int64)
        self.bound = np.zeros((len(self.names), 3), np.float64)
        of_label = {*grammar.of_label, *grammar.envelope, *grammar.counted}
        for f, key in enumerate(self.names):
            row, is_counted = self.field[f], f >= self.n_struct
            row[at.NUMBER] = grammar.numbers.get(key, -1) if not is_counted else -1
            row[at.SPAN] = self.column.get(key, -1) if not is_counted else -1
            row[at.DIGITS] = grammar.digits
            row[at.KNOWN] = known[key] if len(grammar.envelope) <= f < self.n_struct else -1
            row[at.FLAGS] = at.OF_LABEL if key in of_label else 0
            if is_counted:
                row[at.WIRE] = at.UNKNOWN
            elif key in grammar.envelope:
                row[at.WIRE] = at.ID if key == "kind" else at.TEXT
            else:
                self._describe(f, grammar.keys[key])
        self.field[-1, at.SPAN] = self.field[-1, at.NUMBER] = -1
        self._list(grammar)
        self.need_of = np.zeros((UPDATE + 1, 4), np.int64)
        for kind in KINDS.values():
            self.need_of[kind, :2] = self._part(grammar.needs.get(kind, ()))
            self.need_of[kind, 2:] = self._part(grammar.either.get(kind, ()))
        self._write_table()
        self.needs = np.array(self._needs, np.int64)
        self.guess = np.roll(np.arange(len(self.names) + 1), -1)
        self.guess[-2:] = 0
        self.spare = bytes(at.SPARE + int(self.field[:, at.SIZE].max()))

    def _describe(self, f: int, column: Column) -> None:
        row = self.field[f]
        row[at.WIRE] = WIRES[column.kind]
        row[at.FLAGS] |= (
            at.SIGNED * column.signed
            | at.DATED * column.dated
            | at.CLOSED * column.closed
            | at.HAS_LIST * bool(column.allowed)
            | at.IS_TIME * (column.key == "event_time")
        )
        limit = MINOR_MAX / 10.0**column.decimals
        low = -np.inf if column.low is None else column.low
        high = np.inf if column.high is None else column.high
        self.bound[f] = limit, low, high
        if column.allowed and column.kind == "category":
            row[at.LISTED] = at.VALUES

    def _part(self, keys: Sequence[str]) -> tuple[int, int]:
        """Write down keys that something needs; from where to where they stand."""
        first = len(self._needs)
        self._needs += [self.number_of.get(key, -1) for key in keys]
        return first, len(self._needs)

    def _list(self, grammar: Grammar) -> None:
        """Number the values of categories that are looked up, and describe event types."""
        self._words += [(1 + self.number_of["kind"], name, n) for name, n in KINDS.items()]
        self.field[self.number_of["kind"], at.LISTED] = at.KINDS
        for key in grammar.live:
            f, column = self.number_of[key], grammar.keys[key]
            if key == "currency":
                is_expected = not column.allowed or grammar.books in column.allowed
                self.field[f, at.LISTED] = at.CURRENCY
                self._words.append((1 + f, grammar.books, int(is_expected)))
            elif key != "type" and self.field[f, at.LISTED] == at.VALUES:
                self._words += [(1 + f, value, n) for n, value in enumerate(column.allowed)]
        types: dict[str, None] = {}
        if "type" in grammar.live:
            f, column = self.number_of["type"], grammar.keys["type"]
            self.field[f, at.LISTED] = at.TYPES
            types |= dict.fromkeys((*column.allowed, *grammar.meant_for, *grammar.needs_of_type))
            self._words += [(1 + f, name, n) for n, name in enumerate(types)]
        self.types = np.zeros((max(len(types), 1), 4), np.int64)
        for row, name in zip(self.types, types, strict=False):
            row[at.EXPECTED] = name in grammar.keys["type"].allowed
            row[at.MEANT_FOR] = grammar.meant_for.get(name, 0)
            row[at.FIRST_NEED :] = self._part(grammar.needs_of_type.get(name, ()))

    def _write_table(self) -> None:
        """Put the keys, and the values of lists, into the table of words."""
        pieces, end = [], 0
        words = [(0, name, f) for f, name in enumerate(self.names)] + self._words
        n_slots = 1 << (2 * len(words)).bit_length()
        self.table = np.full((n_slots, 5), -1, np.int64)
        for domain, word, number in words:
            raw = word.encode()
            piece = b'"%s":' % raw if domain == 0 else raw
            spot = end + (domain == 0)
            if domain == 0:
                self.field[number, at.NAME], self.field[number, at.SIZE] = end, len(piece)
            padded = np.frombuffer(raw + bytes(8), np.uint8)
            h = int(np.uint64(hash_of(padded, 0, len(raw), np.uint64(domain))).astype(np.int64))
            q = h & (n_slots - 1)
            while self.table[q, 1] >= 0:
                q = (q + 1) & (n_slots - 1)
            self.table[q] = h, domain, spot, len(raw), number
            pieces.append(piece)
            end += len(piece)
        self.words = np.frombuffer(b"".join(pieces) + bytes(8), np.uint8)
