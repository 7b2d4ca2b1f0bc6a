"""What differs between two packs, by meaning: rule by rule, then lists, features, tables and the heads.

    compare(old, new, schema)    a PackDiff: plain data; replay/workbench/diff_text.py prints it

Two rules of one behaviour (rules/behaviour.py) differ in wording alone. Of others each changed part is told with what
it was and is, and how the events that the new rule fires on lie to those of the old one, where that can be proven
(rules/check/logic.py): wider means that every old match still matches.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from config.durations import duration_text
from config.money import exponent, major_text
from rules.behaviour import Behaviours
from rules.check.logic import relation
from rules.definitions import (
    Action,
    Aggregate,
    ExceptionClause,
    Feature,
    ListDefinition,
    Pack,
    Place,
    Rule,
    TableDefinition,
)
from rules.render import constant_text, declaration, text_of
from rules.tree import Node
from rules.types import SchemaLike

Relation: TypeAlias = Literal["same", "wider", "narrower", "other", "unknown"]
Kind: TypeAlias = Literal["new", "gone", "changed", "wording"]

FOREVER: Final = -1
_WORDS: Final = ("name", "description", "purpose", "owner", "references", "text", "pack")
_NOWHERE: Final = Place("", 0, 0)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a rule or pack that differs; None where there is, or was, nothing."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.name} + {self.after}"
        if self.after is None:
            return f"{self.name} - {self.before}"
        return f"{self.name} {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What became of one rule.

    kind      : wording means that it does what it did
    relation  : of the events it fires on, from old to new
    parts     : that differ, params first
    condition : the old and the new condition, where params do not say it all
    features  : it reads, with another meaning now; `table x` for a table
    is_raised : its version is higher, or need not be: an override has none
    """

    id: str
    kind: Kind
    old_version: int = 0
    new_version: int = 0
    relation: Relation = "same"
    parts: tuple[Part, ...] = ()
    condition: tuple[str, str] | None = None
    features: tuple[str, ...] = ()
    is_raised: bool = True


@dataclass(frozen=True, slots=True)
class FeatureChange:
    """A feature that is new, gone or computed otherwise.

    warms_us : how far back it reads: so long it is warming, unless it is filled in from the journal; -1: all there is
    """

    name: str
    before: str | None
    after: str | None
    warms_us: int = 0


@dataclass(frozen=True, slots=True)
class ListChange:
    """Rows of a list that came or went; `kind` is new, gone or changed."""

    name: str
    kind: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackDiff:
    """Everything that differs between two packs."""

    rules: tuple[RuleChange, ...]
    features: tuple[FeatureChange, ...] = ()
    lists: tuple[ListChange, ...] = ()
    tables: tuple[Part, ...] = ()
    head: tuple[Part, ...] = ()
    touched: frozenset[str] = field(default_factory=frozenset)  # rules that may act otherwise

    @property
    def is_empty(self) -> bool:
        return not (self.rules or self.features or self.lists or self.tables or self.head)


def compare(
    old: Pack,
    new: Pack,
    schema: SchemaLike,
    texts: tuple[Mapping[str, object], Mapping[str, object]] = ({}, {}),
) -> PackDiff:
    """Compare two packs that were read against one schema.

    texts : id -> what the file says, of the old and the new rules; a rule with another text and the same behaviour is
            told as wording
    """
    olds, news = ({rule.id: rule for rule in pack.rules} for pack in (old, new))
    lists = tuple(_lists(old.lists, new.lists))
    tables = tuple(_tables(old, new))
    features = tuple(_features(old, new))
    meant = {change.name for change in features if change.before and change.after}
    meant |= {
        f"table {name}"
        for name in old.tables
        if _cells(old.tables[name]) != _cells(new.tables.get(name))
    }
    comparer = _Comparer(old, new, schema, meant)
    changes = []
    for id_ in sorted({*olds, *news}):
        before, after = olds.get(id_), news.get(id_)
        if before is None or after is None:
            rule = after or before
            assert rule is not None
            versions = (0, rule.version) if before is None else (rule.version, 0)
            changes.append(RuleChange(id_, "new" if before is None else "gone", *versions))
            continue
        change = comparer.rule(before, after)
        if change is None and texts[0].get(id_) != texts[1].get(id_):
            change = RuleChange(id_, "wording", before.version, after.version)
        if change is not None:
            changes.append(change)
    moved = {change.name for change in lists}
    touched = {change.id for change in changes if change.kind != "wording"}
    touched |= {rule.id for rule in new.rules if moved & set(_lists_read(rule, new))}
    return PackDiff(
        tuple(sorted(changes, key=lambda c: (c.kind == "wording", c.id))),
        features,
        lists,
        tables,
        tuple(_head(old, new)),
        frozenset(touched),
    )


class _Comparer:
    """Compares rules of two packs."""

    def __init__(self, old: Pack, new: Pack, schema: SchemaLike, features: set[str]) -> None:
        self._old, self._new, self._schema = old, new, schema
        self._changed = features
        self._behaviours = Behaviours(old), Behaviours(new)

    def rule(self, old: Rule, new: Rule) -> RuleChange | None:
        """What differs; None if nothing does but words that the caller compares."""
        same = self._behaviours[0].of(old) == self._behaviours[1].of(new)
        parts = list(self._parts(old, new))
        if same and not parts:
            if _words(old) == _words(new):
                return None if old.version == new.version else self._wording(old, new)
            return self._wording(old, new)
        is_rewritten = old.text.split() != new.text.split() or not any(
            part.name.startswith("params.") for part in parts
        )
        condition = None
        if old.when != new.when and is_rewritten:
            condition = text_of(old.when, self._old.timezone), text_of(new.when, self._new.timezone)
        read = set(_columns(new, self._new)) | set(_columns(old, self._old))
        read |= set(_tables_read(new, self._new)) | set(_tables_read(old, self._old))
        return RuleChange(
            old.id,
            "changed",
            old.version,
            new.version,
            self._relation(old, new, read),
            tuple(parts),
            condition,
            tuple(sorted(read & self._changed)),
            same or new.version > old.version or bool(new.origins or old.origins),
        )

    def _wording(self, old: Rule, new: Rule) -> RuleChange:
        return RuleChange(old.id, "wording", old.version, new.version)

    def _relation(self, old: Rule, new: Rule, read: set[str]) -> Relation:
        """How the events that the new rule fires on lie to those of the old one, exceptions and gates included."""
        if read & self._changed:
            return "unknown"
        on = tuple(sorted(set(old.on) | set(new.on)))
        steps: list[Relation] = [
            relation(old.when, new.when, self._schema, on=on, features=self._new.features)
        ]
        steps += [_of_sets(set(old.on), set(new.on)), _of_rollout(old, new), _of_dates(old, new)]
        steps.append(_turned(_of_sets(_clauses(old), _clauses(new))))
        return _together(steps)

    def _parts(self, old: Rule, new: Rule) -> Iterator[Part]:
        """Each part that differs, but the condition."""
        zones = self._old.timezone, self._new.timezone
        before = {p.name: _value(p.value, zones[0]) for p in old.params}
        after = {p.name: _value(p.value, zones[1]) for p in new.params}
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                yield Part(f"params.{name}", before.get(name), after.get(name))
        for name, one, other in (
            ("mode", old.mode, new.mode),
            ("on", ", ".join(old.on), ", ".join(new.on)),
            ("severity", old.severity, new.severity),
            ("reason", old.reason, new.reason),
            ("score", text_of(old.score, zones[0]), text_of(new.score, zones[1])),
            ("dedup", _dedup(old), _dedup(new)),
            ("effective", _dates(old, zones[0]), _dates(new, zones[1])),
            ("rollout", _rollout(old), _rollout(new)),
            ("if_undecided", _missing(old), _missing(new)),
        ):
            if one != other:
                yield Part(name, one, other)
        yield from _listed(
            "exceptions",
            (_exception(e, zones[0]) for e in old.exceptions),
            (_exception(e, zones[1]) for e in new.exceptions),
        )
        currency = self._new.currency
        yield from _listed(
            "actions",
            (action_text(a, currency) for a in old.actions),
            (action_text(a, currency) for a in new.actions),
        )


def _listed(name: str, old: Iterable[str], new: Iterable[str]) -> Iterator[Part]:
    """Items that went, then items that came."""
    olds, news = list(old), list(new)
    for item in olds:
        if item not in news:
            yield Part(name, item, None)
    for item in news:
        if item not in olds:
            yield Part(name, None, item)


def _value(node: Node, zone: str) -> str:
    return constant_text(node.value, node.type, zone) if node.op == "const" else text_of(node, zone)


def _words(rule: Rule) -> list[object]:
    """What a rule says beside what it does, its tests wherever they stand."""
    tests = tuple(
        replace(
            test,
            place=_NOWHERE,
            events=tuple(replace(event, place=_NOWHERE) for event in test.events),
        )
        for test in rule.tests
    )
    return [tests, *(getattr(rule, name) for name in _WORDS)]


# ---- how sets of events lie to each other


def _of_sets(old: set[object], new: set[object]) -> Relation:
    if old == new:
        return "same"
    if old < new:
        return "wider"
    return "narrower" if new < old else "other"


def _clauses(rule: Rule) -> set[object]:
    """The exceptions as far as they let events pass."""
    return {(e.when, e.expires_us) for e in rule.exceptions}


def _turned(of_exceptions: Relation) -> Relation:
    """More exceptions, fewer matches."""
    return {"wider": "narrower", "narrower": "wider"}.get(of_exceptions, of_exceptions)  # type: ignore[return-value]


def _of_rollout(old: Rule, new: Rule) -> Relation:
    if (old.rollout_percent, old.rollout_by) == (new.rollout_percent, new.rollout_by):
        return "same"
    if old.rollout_by == new.rollout_by or 100.0 in (old.rollout_percent, new.rollout_percent):
        return "wider" if new.rollout_percent > old.rollout_percent else "narrower"
    return "other"


def _of_dates(old: Rule, new: Rule) -> Relation:
    ends = [
        (rule.effective_from_us or -(1 << 62), rule.effective_until_us or 1 << 62)
        for rule in (old, new)
    ]
    (a, b), (c, d) = ends
    if (a, b) == (c, d):
        return "same"
    if c <= a and b <= d:
        return "wider"
    return "narrower" if a <= c and d <= b else "other"


def _together(steps: Sequence[Relation]) -> Relation:
    """Of events that pass every step."""
    told = set(steps) - {"same"}
    if not told:
        return "same"
    if "unknown" in told:
        return "unknown"
    if len(told) == 1:
        return told.pop()
    return "other"


# ---- parts as texts


def action_text(action: Action, currency: str) -> str:
    """An action in a few words."""
    what = [action.kind]
    if action.kind == "restrict":
        what = [action.asked or "restrict", action.entity]
        if action.asked != "freeze" or action.level != "full_freeze":
            what.append(action.level)
        what += list(action.channels)
        if action.amount_minor:
            what.append(f"{major_text(action.amount_minor, exponent(currency))} {currency}")
    named = (
        action.queue,
        action.method,
        action.code,
        action.template,
        action.tag,
        f"@{action.list_name}" if action.list_name else "",
        text_of(action.value) if action.value is not None else "",
        action.report,
        f"to {action.to}" if action.to else "",
        f"for {duration_text(action.for_us)}" if action.for_us else "",
        f"then {action.then}" if action.then else "",
        f"at most {action.max_per_hour} an hour" if action.max_per_hour else "",
        f'"{action.title.text}"' if action.title is not None else "",
    )
    return " ".join([*what, *filter(None, named)])


def _exception(clause: ExceptionClause, zone: str) -> str:
    return f"{clause.id} ({text_of(clause.when, zone)}, expires {_day(clause.expires_us, zone)})"


def _dedup(rule: Rule) -> str:
    return (
        f"by {', '.join(rule.dedup_by)} for {duration_text(rule.dedup_for_us)}"
        if rule.dedup_by
        else "none"
    )


def _dates(rule: Rule, zone: str) -> str:
    low, high = rule.effective_from_us, rule.effective_until_us
    parts = [f"from {_day(low, zone)}" if low else "", f"until {_day(high, zone)}" if high else ""]
    return " ".join(filter(None, parts)) or "always"


def _rollout(rule: Rule) -> str:
    return f"{rule.rollout_percent:g}% by {rule.rollout_by}" if rule.rollout_by else "everybody"


def _missing(rule: Rule) -> str:
    asked = rule.if_undecided
    return f"score {asked.score:g}{f', {asked.do}' if asked.do else ''}" if asked else "nothing"


def _day(time_us: int, zone: str) -> str:
    """A time in the zone of its pack, as analysts write it: the day alone where it is midnight."""
    then = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).astimezone(
        ZoneInfo(zone)
    )
    return str(then.date()) if then.time() == time.min else then.isoformat(timespec="minutes")


# ---- what stands beside rules


def _columns(rule: Rule, pack: Pack) -> list[str]:
    """Columns that a rule reads, features followed down to what they read."""
    trees = [rule.when, rule.score, *(e.when for e in rule.exceptions)]
    waiting = [name for tree in trees for name in tree.columns()]
    seen: dict[str, None] = {}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen[name] = None
        feature = pack.features.get(name)
        if feature is not None:
            waiting += _read_by(feature)
    return list(seen)


def _trees(feature: Feature) -> list[Node]:
    aggregate = feature.aggregate
    found = [feature.expression]
    if aggregate is not None:
        found += [aggregate.argument, aggregate.where]
    return [tree for tree in found if tree is not None]


def _read_by(feature: Feature) -> list[str]:
    keys = list(feature.aggregate.keys) if feature.aggregate is not None else []
    return [*keys, *(name for tree in _trees(feature) for name in tree.columns())]


def _nodes(rule: Rule, pack: Pack) -> Iterator[Node]:
    """Every node of a rule, its exceptions and the features it reads."""
    trees = [rule.when, rule.score, *(e.when for e in rule.exceptions)]
    for name in _columns(rule, pack):
        if name in pack.features:
            trees += _trees(pack.features[name])
    for tree in trees:
        yield from tree.walk()


def _lists_read(rule: Rule, pack: Pack) -> Iterator[str]:
    """Names of the lists that a rule looks into."""
    for node in _nodes(rule, pack):
        if node.op == "in" and isinstance(node.value, str):
            yield node.value.removeprefix("@")


def _tables_read(rule: Rule, pack: Pack) -> Iterator[str]:
    for node in _nodes(rule, pack):
        if node.op == "lookup":
            yield f"table {node.value}"


def _features(old: Pack, new: Pack) -> Iterator[FeatureChange]:
    for name in sorted({*old.features, *new.features}):
        one, other = old.features.get(name), new.features.get(name)
        before = declaration(one, old.timezone) if one is not None else None
        after = declaration(other, new.timezone) if other is not None else None
        if before != after:
            yield FeatureChange(name, before, after, _reach(other.aggregate) if other else 0)


def _reach(aggregate: Aggregate | None) -> int:
    """How far back an aggregate reads, in microseconds; FOREVER for all there is."""
    if aggregate is None:
        return 0
    if aggregate.half_life_us or aggregate.window.last or aggregate.window.width_us is None:
        return FOREVER
    return aggregate.window.width_us


def rows_of(known: ListDefinition) -> dict[str, str]:
    """The rows of a list, each as a text that tells it from others -> how people know it."""
    if not known.rows:
        return {value: value for value in sorted(known.values)}
    return {repr(row): str(row.value) for row in known.rows}


def _lists(
    old: Mapping[str, ListDefinition], new: Mapping[str, ListDefinition]
) -> Iterator[ListChange]:
    for name in sorted({*old, *new}):
        before = rows_of(old[name]) if name in old else {}
        after = rows_of(new[name]) if name in new else {}
        kind = "changed" if name in old and name in new else "new" if name in new else "gone"
        if before.keys() != after.keys() or kind != "changed":
            yield ListChange(
                name,
                kind,
                tuple(after[row] for row in after if row not in before),
                tuple(before[row] for row in before if row not in after),
            )


def _tables(old: Pack, new: Pack) -> Iterator[Part]:
    for name in sorted({*old.tables, *new.tables}):
        before = _cells(old.tables.get(name))
        after = _cells(new.tables.get(name))
        for key in dict.fromkeys((*before, *after)):
            if before.get(key) != after.get(key):
                yield Part(f"{name}[{key}]", before.get(key), after.get(key))


def _cells(table: TableDefinition | None) -> dict[str, str]:
    if table is None:
        return {}
    return {key: f"{value:g}" for key, value in table.values.items()} | {
        "default": f"{table.default:g}"
    }


def _head(old: Pack, new: Pack) -> Iterator[Part]:
    for name, one, other in (
        ("currency", old.currency, new.currency),
        ("timezone", old.timezone, new.timezone),
        ("retention", duration_text(old.retention_us), duration_text(new.retention_us)),
        ("max_freezes_per_hour", str(old.max_freezes_per_hour), str(new.max_freezes_per_hour)),
        ("decision.combine", old.combine, new.combine),
        ("decision.bands", _bands(old), _bands(new)),
    ):
        if one != other:
            yield Part(name, one, other)
    yield from _listed("suppressions", map(str, old.suppressions), map(str, new.suppressions))


def _bands(pack: Pack) -> str:
    return ", ".join(f"{band.low:g} to {band.high:g} {band.decision}" for band in pack.bands)
