"""Codes of ids, categories and texts in row order, and what profile messages set."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from config.schema import ENTITIES, Column, Schema
from engine.batch import PROFILE, Batch, Profile
from engine.decoding.messages import Record
from engine.decoding.places import Places
from engine.decoding.reader import Reader
from engine.entities import Dictionaries, Dictionary
from rules.tree import TEXT

if TYPE_CHECKING:
    from engine.scanning.scanner import Scan


class Coder:
    """Gives codes to the texts of a batch, from records or from where a scan has found them."""

    def __init__(
        self, schema: Schema, reader: Reader, places: Places, dictionaries: Dictionaries
    ) -> None:
        self._reader, self._places, self._dictionaries = reader, places, dictionaries
        self._columns = schema.columns
        self._keys: dict[str, Column] = dict(schema.keys)

    def encode(self, batch: Batch, columns: Mapping[str, Sequence[Any]]) -> None:
        """Give every id, category and text its code, in row order inside each dictionary.

        columns : the values by key where all rows are of one kind and well; else they are read from the records
        """
        records, n = batch.records, batch.n
        if batch.dead:
            nothing = self._reader.struct()
            records = [nothing if row in batch.dead else r for row, r in enumerate(records)]
        if TEXT in self._places.coders:
            self._dictionaries.renew()
        if (batch.kind == PROFILE).any():
            self._encode_with_profiles(batch, records)
            return
        for name, pairs in self._places.coders.items():
            used = [pair for pair in pairs if pair[0] in self._reader.known]
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
        dictionary = self._dictionaries[name]
        if len(used) == 1 and used[0][1] >= 0:
            batch.frame.code[used[0][1]] = dictionary.encode(values[0])
        elif used:
            mixed = itertools.chain.from_iterable(zip(*values, strict=True))
            codes = dictionary.encode(mixed).reshape(n, len(used))
            for k, (_, place) in enumerate(used):
                if place >= 0:
                    batch.frame.code[place] = codes[:, k]

    def encode_spans(
        self, batch: Batch, scan: "Scan", held: list[Dictionary], left: Sequence[int]
    ) -> None:
        """The same for a batch that was scanned, all but the rows `left`; those have their texts in the records.

        held : the dictionaries of the columns that were scanned
        """
        dictionaries = self._dictionaries
        plane_of, of_profile = self._places.codes, self._places.coded_of_profile
        living = [row for row in left if row not in batch.dead]
        profiles = {row for row in living if batch.kind[row] == PROFILE}
        names, planes, spans = scan.plan.domains, scan.plan.plane, scan.spans
        text = scan.text
        if living:
            coded = [
                (key, self._keys[key].domain, plane_of.get(key, -1))
                for key in self._reader.live
                if key in plane_of or (profiles and key in of_profile)
            ]
            coded = [(key, name, plane) for key, name, plane in coded if name != TEXT]
            names, planes = (
                [name for _, name, _ in coded],
                np.array([p for _, _, p in coded], np.int64),
            )
            spans, text = scan.with_rows(
                [key for key, _, _ in coded],
                [
                    (row, k, value)
                    for row in living
                    for k, (key, _, plane) in enumerate(coded)
                    if (plane >= 0 or row in profiles)
                    and (value := getattr(batch.records[row], key)) is not None
                ],
            )
            held = [dictionaries.kept(name) for name in names]
        for name in self._places.profile_keys if profiles else ():
            dictionaries[name]  # is there from now on, asked or not
        texts = [dictionary.texts for dictionary in held]
        dictionaries.table.encode(text, spans, names, planes, batch.frame.code, texts)
        if profiles or TEXT in self._places.coders:
            self._encode_texts(batch, scan, living, profiles)
        for row in sorted(profiles):
            record = batch.records[row]
            codes = {
                key: dictionaries[self._keys[key].domain].find(value)
                for key in self._reader.live
                if (key in plane_of or key in of_profile)
                and (value := getattr(record, key)) is not None
            }
            batch.profiles += self._profiles(row, record, codes)

    def _encode_texts(
        self, batch: Batch, scan: "Scan", living: Sequence[int], profiles: AbstractSet[int]
    ) -> None:
        """Codes of texts proper; they hold for this batch only."""
        plane_of, of_profile = self._places.codes, self._places.coded_of_profile
        placed = self._places.coders.get(TEXT, [])
        if placed:
            self._dictionaries.renew()
        keys = [
            key
            for key in self._reader.live
            if self._keys[key].domain == TEXT
            and (key in plane_of or (profiles and key in of_profile))
        ]
        values = [scan.texts(key) for key in keys]
        for row in living:
            for key, column in zip(keys, values, strict=True):
                if key in plane_of or row in profiles:
                    column[row] = getattr(batch.records[row], key)
        if keys:
            used = [(key, plane_of.get(key, -1)) for key in keys]
            self._encode_columns(batch, TEXT, used, values, batch.n)

    def _encode_with_profiles(self, batch: Batch, records: Sequence[Record]) -> None:
        """The same, row by row: profiles bring texts in keys that other messages are not read for."""
        code, is_profile = batch.frame.code, (batch.kind == PROFILE).tolist()
        found: dict[int, dict[str, int]] = {
            row: {} for row, is_it in enumerate(is_profile) if is_it
        }
        for name in dict.fromkeys([*self._places.coders, *self._places.profile_keys]):
            dictionary, placed = self._dictionaries[name], dict(self._places.coders.get(name, ()))
            of_profile = [
                k for k in self._keys if k in placed or k in self._places.profile_keys.get(name, ())
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
        for key, owners in self._places.attribute_keys.items():
            value = getattr(record, key)
            if value is None:
                continue
            named = [e for e in ENTITIES if e in owners and e != key and getattr(record, e, None)]
            for entity in named if key in ENTITIES else named[:1]:
                name = f"{entity}.{key}"
                if name == "account.customer" and role != "owner":
                    name = f"account.{role}"  # a link of another role never replaces the owner
                    if name not in self._columns:
                        continue
                number = codes[key] if key in codes else float(value)
                values.setdefault(entity, []).append((name, number))
        return [Profile(row, e, codes[e], tuple(pairs)) for e, pairs in values.items()]
