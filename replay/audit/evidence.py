"""What a decision was made of: message, fields, features with the events behind them, rows of lists, models.

Everything here is read right after the one record was applied, from the columns that the rules saw and the windows that
the features came from. Nothing is computed again, and nothing is changed.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from config.schema import Column
from engine.batch import KIND_NAMES
from engine.core import Core, Outcome
from engine.lists import counts_from
from engine.outcomes import CHAMPION, rfc3339
from engine.setup import Setup
from engine.windows.inside import Inside, find, inside
from replay.audit.veil import PLAIN, Veil
from rules.columns import conversion
from rules.definitions import Feature, Pack
from rules.explain import Clause, Value, leaves, shown_value
from rules.lists import holds, row_at
from rules.render import declaration, in_words
from rules.tree import NUMBER, Node, Type
from rules.types import column_type

Json: TypeAlias = dict[str, Any]
HIDDEN: Final = "hidden"
# What shows a value of its argument as it was; other functions do not tell one event from another.
_PLAIN: Final = frozenset({"first", "last", "min", "max", "quantile"})


@dataclass(frozen=True, slots=True)
class Taken:
    """One input record as the journal has it."""

    seq: int
    line: bytes
    position: str
    arrival_us: int | None = None


class Evidence:
    """What can be said of the first row of an outcome.

    veil   : hides what is personal
    set_by : (entity field, id, attribute) -> seq of the profile message that set it, or None if that is not known
    """

    def __init__(
        self,
        core: Core,
        setup: Setup,
        outcome: Outcome,
        taken: Taken,
        veil: Veil,
        read: Callable[[str], Value],
        set_by: Callable[[str, str, str], int | None] = lambda *_: None,
    ) -> None:
        self.core, self.setup, self.outcome, self.taken = core, setup, outcome, taken
        self.pack: Pack = setup.pack
        self.veil, self.read, self._set_by = veil, read, set_by
        self._keys = _keys(taken.line)

    # ---- values

    def show(self, column: str, kind: Type, value: Value) -> str:
        """A value as it may be shown; personal ones by pseudonym, or not at all."""
        text = shown_value(kind, value, self.pack.timezone)
        if value is None or not column:
            return text
        for source in self._origins(column):
            covered = self.veil.value(source, text)
            if covered is not None and covered != text:
                return covered if kind.is_coded else HIDDEN
        return text

    def _origins(self, column: str) -> tuple[str, ...]:
        """The columns of the schema that a column shows values of."""
        asked = conversion(column)
        if asked is not None:
            return (asked[0],)
        feature = self.pack.features.get(column)
        if feature is None:
            return (column,)
        aggregate = feature.aggregate
        if aggregate is None or aggregate.argument is None or aggregate.function not in _PLAIN:
            return ()
        return aggregate.argument.columns()

    # ---- the message

    def input(self) -> Json:
        """The record as it was taken: its bytes (without what is personal), where it stood, when it came."""
        taken, batch = self.taken, self.outcome.batch
        told: Json = {
            "seq": taken.seq,
            "kind": kind_name(int(batch.kind[0])),
            "position": taken.position,
            "arrived": rfc3339(taken.arrival_us) if taken.arrival_us is not None else None,
            "n_bytes": len(taken.line),
            "text": self._covered(taken.line),
        }
        dead = batch.dead.get(0)
        if dead is not None:
            told["dead_letter"] = {"reason": dead.reason, "what": self.veil.complaint(dead.what)}
        return told

    def _covered(self, line: bytes) -> str:
        """The message as text; each personal value replaced, and left out as a whole if it cannot be read."""
        text = line.decode("utf-8", "backslashreplace")
        if self.veil is PLAIN:
            return text
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return f"({len(line)} bytes that cannot be read, hidden; --reveal shows them)"
        covered = {name: self.cover(name, value) for name, value in fields.items()}
        return msgspec.json.encode(covered).decode()

    def cover(self, name: str, value: Any) -> Any:
        """A value of a message or an outcome as it may be shown; objects and lists part by part."""
        if isinstance(value, dict):
            return {inner: self.cover(inner, v) for inner, v in value.items()}
        if isinstance(value, list):
            return [self.cover(name, item) for item in value]
        if value is None:
            return None
        text = str(value)
        covered = self.veil.value(name, text)
        return value if covered == text else covered

    # ---- fields

    def fields(self, names: Iterable[str]) -> list[Json]:
        """Fields among `names` with value and source, in the order of the schema."""
        wanted = {asked[0] if (asked := conversion(n)) else n for n in names}
        return [
            self._field(column)
            for column in self.setup.schema.columns.values()
            if column.name in wanted
        ]

    def _field(self, column: Column) -> Json:
        value = self.read(column.name)
        kind = column_type(column, self.pack.currency)
        told: Json = {"name": column.name, "value": self.show(column.name, kind, value)}
        return told | self._source(column, value)

    def _source(self, column: Column, value: Value) -> Json:
        """Where a value came from: the message, a profile (by which message), derived, or nowhere."""
        if value is None:
            return {"source": "missing"}
        if column.name in self._keys:
            return {"source": "message"}
        for name in column.sources or ((column.name,) if column.entity else ()):
            entity = name.partition(".")[0]
            id_ = self.read(entity)
            if isinstance(id_, str) and self._has(name, id_):
                return {"source": f"profile of {entity}", "attribute": name} | self._by(
                    entity, id_, name
                )
        if column.derived:
            return {"source": f"derived: {column.derived}"}
        return {"source": "message"}

    def _has(self, attribute: str, _id: str) -> bool:
        place = self.core.layout.places.get(attribute)
        return place is None or self.read(attribute) is not None

    def _by(self, entity: str, id_: str, attribute: str) -> Json:
        seq = self._set_by(entity, id_, attribute.partition(".")[2])
        return {"set_by_seq": seq} if seq is not None else {}

    # ---- features

    def features(self, names: Iterable[str], n_events: int) -> list[Json]:
        """Features, and those that they read: declaration, value, the newest `n_events` events of the window."""
        order: dict[str, None] = {}
        waiting = [n for n in names if n in self.pack.features]
        while waiting:
            name = waiting.pop(0)
            if name in order:
                continue
            order[name] = None
            waiting += [n for n in reads_of(self.pack.features[name]) if n in self.pack.features]
        return [self._feature(self.pack.features[name], n_events) for name in order]

    def _feature(self, feature: Feature, n_events: int) -> Json:
        value = self.read(feature.name)
        zone = self.pack.timezone
        told: Json = {
            "name": feature.name,
            "value": self.show(feature.name, feature.type, value),
            "number": value
            if isinstance(value, float) and not self._is_hidden(feature.name)
            else None,
            "declaration": declaration(feature, zone),
            "words": in_words(feature, zone),
            "declared": " ".join(feature.text.split()),
        }
        if feature.aggregate is None:
            return told
        told["keys"] = {
            name: self.show(name, self._type(name), self.read(name))
            for name in feature.aggregate.keys
        }
        held = self.events(feature.name)
        if held is None:
            missing = [n for n in feature.aggregate.keys if self.read(n) is None]
            told["note"] = (
                f"{' and '.join(missing)} is missing, so the feature is"
                if missing
                else "approximated: a sample of its events is held, not each of them"
            )
            return told
        return told | self._window(feature, held, n_events)

    def events(self, name: str) -> Inside | None:
        """The events inside the window of a feature; None if a key is missing, or single events are not held."""
        aggregate = self.pack.features[name].aggregate
        found = find(self.core.windows, self._shared(name))
        if found is None or aggregate is None or aggregate.approx:
            return None
        log, feature = found
        frame = self.outcome.frame
        codes = {key: int(frame.column(key)[0]) for key in log.keys}
        admitted = self.outcome.admitted
        late = bool(admitted.late[0])
        batch = self.outcome.batch
        time_us = int(admitted.core_us[0] if late else batch.event_time_us[0])
        return inside(
            log, feature, codes, time_us, self.taken.seq, self.pack.timezone, is_put_in=not late
        )

    def _shared(self, name: str) -> str:
        """The feature whose window a feature shares: the same declaration under two names is one window."""
        asked = self.pack.features[name]
        for other in self.pack.features.values():
            is_same = (other.aggregate, other.type) == (asked.aggregate, asked.type)
            if is_same and find(self.core.windows, other.name) is not None:
                return other.name
        return name

    def _window(self, feature: Feature, held: Inside, n_events: int) -> Json:
        aggregate = feature.aggregate
        assert aggregate is not None
        argument = aggregate.argument
        shown = len(held) if n_events < 0 else min(n_events, len(held))
        newest = range(len(held) - 1, len(held) - 1 - shown, -1)
        told: Json = {
            "window": {
                "after": rfc3339(held.after_us)
                if held.after_us is not None and held.after_us >= 0
                else None,
                "until": rfc3339(held.until_us) if held.until_us >= 0 else None,
            },
            "n_events": len(held),
            "n_skipped": int((~held.counts).sum()),
            "events": [
                {
                    "seq": int(held.seq[i]),
                    "time": rfc3339(int(held.time_us[i])),
                    "value": self._argument(argument, feature, held, i)
                    if argument is not None
                    else None,
                    "is_this": int(held.seq[i]) == self.taken.seq,
                }
                for i in newest
            ],
            "n_more": len(held) - shown,
        }
        if aggregate.function == "count_distinct":
            told["different"] = self._different(feature, held, n_events)
        if held.n_dropped:
            told["n_dropped"] = held.n_dropped
        if held.forgotten is not None:
            told["forgotten"] = {
                "first": rfc3339(held.forgotten.first_us),
                "last": rfc3339(held.forgotten.last_us),
            }
        return told

    def _argument(self, argument: Node, feature: Feature, held: Inside, i: int) -> str:
        """The argument of one event as it may be shown."""
        if not held.counts[i]:
            return "missing"
        return self._argument_text(argument, feature, float(held.value[i]))

    def _argument_text(self, argument: Node, feature: Feature, value: float) -> str:
        column = str(argument.value) if argument.op == "column" else ""
        if not argument.type.is_coded:
            return self.show(column, argument.type, value)
        found = find(self.core.windows, self._shared(feature.name))
        place = found[1].spec.argument if found is not None else None
        assert place is not None, feature.name
        text = self.core.dictionaries[place.dictionary].texts[int(value)]
        return self.show(column, argument.type, text)

    def _different(self, feature: Feature, held: Inside, n_events: int) -> list[Json]:
        """The different values in the window, the newest first, with how often each occurs."""
        assert feature.aggregate is not None
        assert feature.aggregate.argument is not None
        seen: dict[float, int] = {}
        for i in range(len(held) - 1, -1, -1):
            if held.counts[i]:
                seen[float(held.value[i])] = seen.get(float(held.value[i]), 0) + 1
        shown = list(seen.items())[: None if n_events < 0 else n_events]
        return [
            {
                "value": self._argument_text(feature.aggregate.argument, feature, value),
                "n": n,
            }
            for value, n in shown
        ]

    def _is_hidden(self, name: str) -> bool:
        return any(self.veil.value(source, "?") != "?" for source in self._origins(name))

    def _type(self, name: str) -> Type:
        return self.core.layout[name].type

    # ---- lists

    def lists(self, clauses: Iterable[Clause]) -> list[Json]:
        """Rows of lists that tests `in @list` matched, with what else stands in them."""
        found: dict[tuple[str, str], Json] = {}
        for clause in clauses:
            for leaf in leaves(clause):
                named = re.findall(r"in @([a-z0-9_]+)", leaf.text)
                if leaf.op != "in" or not named or not leaf.operands:
                    continue
                matched = leaf.truth is (" not in @" not in leaf.text)
                operand = leaf.operands[0]
                if matched and operand.value is not None and named[0] in self.pack.lists:
                    found.setdefault((named[0], str(operand.value)), self._row(named[0], operand))
        return list(found.values())

    def _row(self, name: str, operand: Any) -> Json:
        of = self.pack.lists[name]
        told: Json = {
            "list": name,
            "value": operand.shown,
            "field": operand.column or operand.text,
            "owner": of.owner,
            "origin": of.origin or f"written in the pack, line {of.place.line}",
        }
        time = self.read("event_time")
        time_us = time if isinstance(time, float) else None
        found = row_at(of, operand.value, time_us)
        if found is not None:
            row, columns = found
            cells = {name: text for name, text in columns.items() if text}
            told["row"] = cells | _times(row.from_us, row.until_us)
        elif not holds(of, operand.value, time_us):  # then a row that was added holds
            told |= self._added(name, operand.value, time_us)
        return told

    def _added(self, name: str, value: str | float, time_us: float | None) -> Json:
        """Who has put a value into a list while the engine ran, when and why."""
        added = self.core.lists.find(name, value, time_us)
        if added is None:
            return {}
        cells = {"source": added.by, "reference": added.reference, "reason": added.reason}
        if added.removed_by:
            cells |= {"removed_by": added.removed_by, "removed_for": added.removed_for}
        return {
            "origin": f"added at seq {added.seq}, counts from seq {counts_from(added.seq)}",
            "row": {k: v for k, v in cells.items() if v} | _times(added.from_us, added.until_us),
        }

    # ---- models

    def models(self) -> Json:
        """Scores of the models, and what each input added to the champion's."""
        outcome, scoring = self.outcome, self.core.scoring
        scores = {
            name: round(float(values[0]), 6)
            for name, values in outcome.scores.items()
            if values[0] == values[0]
        }
        added = dict(scoring.explain(0)) if CHAMPION in scores else {}
        inputs: list[Json] = []
        normal = {told[0]: told[1:] for told in scoring.normal(0, scoring.inputs)}
        for name in scoring.inputs:
            kind = self.core.layout[name].type if name in self.core.layout else Type(NUMBER)
            inputs.append(
                {
                    "name": name,
                    "value": self.show(name, kind, self.read(name)),
                    "contribution": added.get(name, 0.0),
                }
            )
            if name in normal:
                feature, times, words = normal[name]
                inputs[-1]["normal"] = {"feature": feature, "times": times, **words}
        inputs.sort(key=lambda i: (-abs(i["contribution"]), i["name"]))
        kinds = {n: e.kind for n, e in self.setup.configuration.models.models.items()}
        return {
            "champion": scoring.champion,
            "scores": scores,
            "kinds": kinds,
            "inputs": inputs,
        }


def _times(from_us: int | None, until_us: int | None) -> dict[str, str]:
    """When a row of a list holds, where that is not always."""
    times = (("valid_from", from_us), ("valid_until", until_us))
    return {name: rfc3339(us) for name, us in times if us is not None}


def kind_name(kind: int) -> str:
    """What a record is, as a word."""
    return KIND_NAMES[kind]


def reads_of(feature: Feature) -> tuple[str, ...]:
    """Columns that a feature reads: keys, argument, condition; of an expression all of it."""
    aggregate = feature.aggregate
    if aggregate is None:
        assert feature.expression is not None, feature.name
        return feature.expression.columns()
    trees = (aggregate.argument, aggregate.where)
    return (*aggregate.keys, *(n for tree in trees if tree is not None for n in tree.columns()))


def fields_read(pack: Pack, names: Iterable[str]) -> tuple[str, ...]:
    """Every column behind `names`: features are followed down to the fields that they read."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found[name] = None
        if name in pack.features:
            waiting += reads_of(pack.features[name])
    return tuple(found)


def _keys(line: bytes) -> frozenset[str]:
    """Keys that a message has a value for."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return frozenset()
    return frozenset(name for name, value in fields.items() if value is not None)
