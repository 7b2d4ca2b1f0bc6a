"""Where the columns of a schema stand in a frame: which are written, in which row, and through which dictionary."""

import itertools

from config.schema import ENTITIES, Schema
from engine.entities import CODED
from rules.columns import Layout


class Places:
    """The places that a layout gives to the keys of a schema; columns without one are checked, and not written.

    numbers          : key -> row of the plane of numbers       codes : key -> row of the plane of codes
    coders           : dictionary -> (key, row of the plane of codes)
    profile_keys     : dictionary -> keys that a profile is read for        coded_of_profile : all of these keys
    attribute_keys   : key -> entities that have it
    """

    def __init__(self, schema: Schema, layout: Layout) -> None:
        self._keys, self._layout = schema.keys, layout
        self.attribute_keys: dict[str, tuple[str, ...]] = {}
        for entity, columns in schema.attributes.items():
            for column in columns:
                known = self.attribute_keys.get(column.key, ())
                self.attribute_keys[column.key] = (*known, entity)
        self._planned = -1
        self.refresh()

    def refresh(self) -> bool:
        """Find which columns are written, and through which dictionary; again if the layout has grown; whether so."""
        if self._planned == len(self._layout.places):
            return False
        self._planned = len(self._layout.places)
        self.profile_keys: dict[str, list[str]] = {}
        for key, column in self._keys.items():
            if column.kind in CODED and (key in ENTITIES or key in self.attribute_keys):
                self.profile_keys.setdefault(column.domain, []).append(key)
        self.numbers: dict[str, int] = {}
        self.coders: dict[str, list[tuple[str, int]]] = {}
        for key, column in self._keys.items():
            if column.name not in self._layout or column.entity:
                continue
            place = self._layout[column.name]
            if place.is_code:
                self.coders.setdefault(column.domain, []).append((key, place.row))
            else:
                self.numbers[key] = place.row
        self.codes = {key: row for pairs in self.coders.values() for key, row in pairs}
        self.coded_of_profile = set(itertools.chain.from_iterable(self.profile_keys.values()))
        return True
