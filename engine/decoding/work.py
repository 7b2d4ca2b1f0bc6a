"""A batch while it is decoded, and its rows of one kind: what is known so far, and how a value or a row is given up."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.batch import TRANSACTION, Batch, Dead
from engine.decoding.messages import Record
from engine.quantities import I8


class Work:
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


class Group:
    """All rows of one kind in a batch. Positions `i` count inside the group, rows inside the batch."""

    def __init__(
        self, work: Work, batch: Batch, kind: int, rows: Sequence[int], records: list[Record]
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
