"""A compiled pack: what the engine asks of the rules, batch by batch.

    refresh      after every encode (and once after compiling): the code tables know the new texts
    derive       fields that the schema computes where a message has none
    expressions  features that are expressions, as soon as what they read is there
    filters      which events count for which window, and what the windows add up
    judge        after the models: conditions, exceptions, scores
    because, text   why a rule could not decide; what an alert's title says

A `Ruleset` holds no state of the stream: the same columns give the same answers. Not here: windows
(engine/windows/), and what follows from a rule that fires (engine/decision.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from config.schema import DECIMALS, Schema
from rules import kernels as k
from rules.code_tables import Tables
from rules.columns import Frame, Layout, Place, conversion, is_given
from rules.compile import EVENT_TIME, Builder, Context, Program, is_plain
from rules.definitions import Aggregate, Feature, ListRow, Pack, Rule, Template
from rules.lists import Listed
from rules.texts import BATCH_LOCAL, OWN, DictionaryLike
from rules.titles import MISSING, shown_number, shown_text
from rules.tree import GEO, MONEY, NUMBER, TEXT, Node, Type
from rules.types import column_type

B1: TypeAlias = NDArray[np.bool_]
I1: TypeAlias = NDArray[np.int8]
I2: TypeAlias = NDArray[np.int16]
F8: TypeAlias = NDArray[np.float64]

Item = TypeVar("Item")

TRUE: Final = k.TRUE
_INT16: Final = np.dtype(np.int16)
# What a row is to a feature (`domain` of `Ruleset.filters`), as a mask of 1 transaction, 2 activity, 3 label.
_DOMAINS: Final[Mapping[str, int]] = {
    "event": 0b0110,
    "transaction": 0b0010,
    "activity": 0b0100,
    "label": 0b1000,
}
_TOP_REASONS: Final = (
    "model.top_reasons"  # the one column that is text for people, never in a frame
)


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """One window feature, for engine/windows.

    filter   : row in the stratum's filter truth; domain and `where` are inside it
    argument : where the argument stands in the frame, a field or a column that `filters` writes; None for count()
    decimals : fixed point of a number argument; 0 for money, durations, times, codes, flags
    out      : where the result goes in the frame
    """

    name: str
    aggregate: Aggregate
    filter: int
    argument: Place | None
    decimals: int
    out: Place


@dataclass(frozen=True, slots=True)
class Stratum:
    """Windows that can be computed together: they read features of earlier strata only."""

    windows: tuple[WindowSpec, ...]
    n_filters: int
    program: Program


@dataclass(slots=True)
class Judgement:
    """What the rules say about each row; R are the rules of `Ruleset.rules`.

    truth      : (R, n) int16    0 no (also where `on` or `effective` does not match), 32767 fires, else undecided:
                                 `Ruleset.because` names the operand that was missing
    excepted   : (R, n) int16    where a rule fires: 1 + place of the first exception that holds, 0 none
    score      : (R, n) float64  where a rule fires: its score, NaN if missing (degraded, counts 0); elsewhere any
    in_rollout : (R, n) bool     False where the rule behaves as shadow; None if it is True throughout

    To be read only: `excepted` and `score` may be shared between batches.
    """

    truth: I2
    excepted: I2
    score: F8
    in_rollout: B1 | None


@dataclass(frozen=True, slots=True)
class _After:
    """What is evaluated only where a rule fires: exceptions and a score that is an expression."""

    program: Program
    has_exceptions: bool
    score_row: int


@dataclass(frozen=True, slots=True)
class _Rollout:
    rule: int
    row: int
    table: int


@dataclass(frozen=True, slots=True)
class _Hole:
    """A hole of a template: a column, if need be one that a program writes.

    row : (list, column) where not the value is shown, but what the list's row for it says in that column
    """

    name: str
    place: Place
    form: str
    program: Program | None
    row: tuple[str, str] | None = None


class Ruleset:
    """Compile a pack with `Ruleset.compile`, then use it as the module says.

    rules         : all rules that are not off, in the order of the rows of a judgement
    needs         : names of schema columns that are read
    model_columns : names of `model.*` columns that are read
    conversions   : columns in another currency that are read, name -> (column of money, currency)
    """

    def __init__(
        self, pack: Pack, schema: Schema, layout: Layout, derived: Mapping[str, Node]
    ) -> None:
        self.pack, self.layout = pack, layout
        self.rules: tuple[Rule, ...] = tuple(rule for rule in pack.rules if rule.mode != "off")
        self._schema = schema
        self._needs: set[str] = set()
        self._models: set[str] = set()
        self.conversions: dict[str, tuple[str, str]] = {}
        self._tables = Tables(pack.lists)
        self._context = Context(self._place, layout, self._tables, pack.tables, pack.timezone)
        for name in _columns_read(self.rules):
            if name in schema.columns:
                self._place(name)
        self._derive = self._stores(_in_order(derived, lambda e: e.columns()), only_missing=True)
        self.strata: tuple[Stratum, ...] = ()
        self._expressions: tuple[tuple[Program, ...], ...] = ()
        self._add_features()
        self._names: list[tuple[str, ...]] = [()] * len(self.rules)
        self._conditions = self._judged()
        self._constant_score = np.zeros(len(self.rules))
        self._after = [self._after_rule(r, rule) for r, rule in enumerate(self.rules)]
        self._has_scores = any(a is not None and a.score_row >= 0 for a in self._after)
        # Of a batch without exceptions or scores of its own, by its size: its shape, and views, cheaper than arrays.
        self._usual: dict[int, tuple[tuple[int, int], I2, F8]] = {}
        self._closer = np.array([r for r, a in enumerate(self._after) if a is not None], np.int64)
        self._has_closer = len(self._closer) > 0
        self._rollouts = self._rolled_out()
        self._templates = {
            action.title: self._template(action.title)
            for rule in self.rules
            for action in rule.actions
            if action.title is not None
        }
        self._tables.seal()
        self.needs = frozenset(self._needs)
        self.model_columns = frozenset(self._models)

    @classmethod
    def compile(
        cls,
        pack: Pack,
        schema: Schema,
        layout: Layout,
        derived: Mapping[str, Node] | None = None,
    ) -> "Ruleset":
        """Compile a checked pack; every column that it reads gets a place in `layout`.

        derived : derived columns of the schema and their expressions; all are computed, read by a rule or not,
                  because models may read them too
        """
        return cls(pack, schema, layout, derived or {})

    @property
    def contents(self) -> Sequence[Listed]:
        """What each list of the pack holds."""
        return tuple(self._tables.lists.values())

    # While the engine runs

    def refresh(self, dictionaries: Mapping[str, DictionaryLike]) -> None:
        """Take note of texts that are new in `dictionaries`; about a microsecond when there are none.

        Call it once after compiling, before anything is encoded: it adds the texts that rules can write into columns
        (`country ?? "none"`), and their codes must not depend on the first batch. Then after every encode.
        """
        self._tables.refresh(dictionaries)

    def adopt_tables(self, old: "Ruleset", dictionaries: Mapping[str, DictionaryLike]) -> None:
        """Take over what `old` knows of the texts in `dictionaries`: what the same question was answered before.

        Call it when the dictionaries are those that `old` was last refreshed with, before `refresh`: a reload then
        costs what is new in the pack and in its lists, not every text that was ever seen.
        """
        self._tables.adopt(old._tables, dictionaries)  # noqa: SLF001

    def copy_tables_ahead(self, old: "Ruleset") -> Iterator[None]:
        """Do what takes long of the next `adopt_tables(old, ...)`, a part a step, while `old` still decides."""
        yield from self._tables.copy_ahead(old._tables)  # noqa: SLF001

    def try_out(self) -> None:
        """Run every program over one row in which everything is missing, so that none is cold when messages come."""
        frame = Frame.empty(self.layout, 1)
        self.derive(frame)
        self.expressions(-1, frame)
        for stratum in range(len(self.strata)):
            self.filters(stratum, frame, np.zeros(1, np.int8))
            self.expressions(stratum, frame)
        self.judge(frame)

    def change_lists(self, added: Mapping[str, Mapping[str, Sequence[ListRow]]]) -> None:
        """Say which rows are added to lists now, by list and value; none for a value takes them away."""
        for name, rows in added.items():
            self._tables.change(name, rows)

    def derive(self, frame: Frame) -> None:
        """Fill the gaps of derived fields."""
        for program in self._derive:
            program.run(frame)

    def expressions(self, stratum: int, frame: Frame) -> None:
        """Compute the features that are expressions over strata up to `stratum`; -1 before the first."""
        for program in self._expressions[stratum + 1]:
            program.run(frame)

    def filters(self, stratum: int, frame: Frame, domain: I1) -> B1:
        """Return which rows count for which filter of a stratum, and compute the arguments into the frame.

        domain : (n,) int8  1 transaction, 2 activity, 3 label, 0 none
        """
        of = self.strata[stratum]
        out = np.empty((of.n_filters, frame.n), np.bool_)
        of.program.filter(frame, domain, out)
        return out

    def judge(self, frame: Frame) -> Judgement:
        """Evaluate every rule over every row; exceptions and scores only where something fires."""
        try:
            shape, excepted, score = self._usual[frame.n]
        except KeyError:
            shape, excepted, score = self._usual_at(frame.n)
        truth = np.empty(shape, _INT16)
        conditions = self._conditions
        if conditions.foreign:
            conditions.prepare(frame)
        # Not `run`: at one row a call is a tenth of all this takes.
        fired = k.run(conditions.job, frame.number, frame.code, truth)
        judgement = Judgement(truth, excepted, score, None)
        if self._rollouts:
            judgement.in_rollout = self._in_rollout(frame, truth)
        if fired and self._has_closer:
            self._look_closer(frame, judgement)
        return judgement

    def because(self, rule_index: int, state: int) -> str:
        """Name the column behind the undecided truth value `state`; "(no result)" for x / 0 and the like."""
        return self._names[rule_index][int(state) - 1]

    def text(
        self,
        template: Template,
        frame: Frame,
        row: int,
        dictionaries: Mapping[str, DictionaryLike],
        extra: Mapping[str, str] | None = None,
    ) -> str:
        """Render a template of this pack for one row; `extra` gives what stands in no column (model.top_reasons)."""
        holes = self._templates[template]
        one = Frame(
            frame.layout,
            1,
            np.ascontiguousarray(frame.number[:, row : row + 1]),
            np.ascontiguousarray(frame.code[:, row : row + 1]),
        )
        parts = [
            part if isinstance(part, str) else self._shown(hole, one, dictionaries, extra or {})
            for part, hole in zip(template.parts, holes, strict=True)
            if isinstance(part, str) or hole is not None
        ]
        return "".join(parts)

    # Parts of judge and text

    def _usual_at(self, n: int) -> tuple[tuple[int, int], I2, F8]:
        shape = (len(self.rules), n)
        none = np.broadcast_to(np.int16(0), shape)
        scores = np.broadcast_to(self._constant_score[:, np.newaxis], shape)
        self._usual[n] = shape, none, scores
        return self._usual[n]

    def _look_closer(self, frame: Frame, judgement: Judgement) -> None:
        """Fill in exceptions and computed scores of the rules that fired, over the rows where they did."""
        fires = judgement.truth[self._closer] == TRUE
        places = np.flatnonzero(fires.any(axis=1))
        if not len(places):
            return
        rows = np.flatnonzero(fires.any(axis=0))
        number, code = np.take(frame.number, rows, axis=1), np.take(frame.code, rows, axis=1)
        close = Frame(frame.layout, len(rows), number, code)
        judgement.excepted = np.zeros(judgement.truth.shape, np.int16)
        judgement.score = judgement.score.copy() if self._has_scores else judgement.score
        excepted = np.empty((1, len(rows)), np.int16)
        for place in places.tolist():
            r = int(self._closer[place])
            after = self._after[r]
            assert after is not None
            excepted[:] = 0
            after.program.run(close, truth=excepted)
            if after.has_exceptions:
                judgement.excepted[r, rows] = np.where(fires[place, rows], excepted[0], 0)
            if after.score_row >= 0:
                judgement.score[r, rows] = close.number[after.score_row]

    def _in_rollout(self, frame: Frame, truth: I2) -> B1 | None:
        inside: B1 | None = None
        for rollout in self._rollouts:
            if truth[rollout.rule].any():
                if inside is None:
                    inside = np.ones(truth.shape, np.bool_)
                found = self._tables.answers(rollout.table, frame.code[rollout.row])
                inside[rollout.rule] = found == 1
        return inside

    def _shown(
        self,
        hole: "_Hole | None",
        frame: Frame,
        dictionaries: Mapping[str, DictionaryLike],
        extra: Mapping[str, str],
    ) -> str:
        assert hole is not None
        if hole.name == _TOP_REASONS:
            return extra.get(_TOP_REASONS) or MISSING
        if hole.program is not None:
            hole.program.run(frame)
        place = hole.place
        if hole.row is not None:
            return self._shown_row(hole, hole.row, frame, dictionaries)
        if not place.is_code:
            value = float(frame.number[place.row, 0])
            return shown_number(value, place.type, hole.form, self.pack.timezone)
        text = self._text_at(place, frame, dictionaries)
        return MISSING if text is None else shown_text(text, hole.form)

    def _text_at(
        self, place: Place, frame: Frame, dictionaries: Mapping[str, DictionaryLike]
    ) -> str | None:
        code = int(frame.code[place.row, 0])
        own = place.dictionary not in dictionaries
        texts = self._tables.own.texts if own else dictionaries[place.dictionary].texts
        return texts[code] if code >= 0 else None

    def _shown_row(
        self,
        hole: "_Hole",
        row: tuple[str, str],
        frame: Frame,
        dictionaries: Mapping[str, DictionaryLike],
    ) -> str:
        """What stands in a column of the row of a list that holds for a value at the time of the event."""
        place, (name, column) = hole.place, row
        value: str | float | None
        if place.is_code:
            value = self._text_at(place, frame, dictionaries)
        else:
            number = float(frame.number[place.row, 0])
            value = None if np.isnan(number) else number
        time_us = float(frame.column(EVENT_TIME)[0])
        if value is None:
            return MISSING
        found = self._tables.lists[name].row_at(value, None if np.isnan(time_us) else time_us)
        text = found[1].get(column, "") if found is not None else ""
        return shown_text(text, hole.form) if text else MISSING

    # While compiling

    def _place(self, name: str) -> Place:
        """Return the place of a column by name; it gets one if it has none."""
        column = self._schema.columns.get(name)
        if column is not None:
            self._needs.add(name)
            return self.layout.add(name, column_type(column, self.pack.currency))
        if name.startswith("model."):
            self._models.add(name)
        if is_given(name):
            return self.layout.add(name, Type(NUMBER))
        asked = conversion(name)
        if asked is not None:
            self.conversions[name] = asked
            self._place(asked[0])
            return self.layout.add(name, Type(MONEY, asked[1]))
        if name in self.layout:
            return self.layout[name]
        # A text feature has a dictionary of its own, for codes of `text` mean nothing in the next batch.
        type_ = self.pack.features[name].type
        return self.layout.add(name, type_, name if type_.kind == TEXT else "")

    def _stores(
        self, wanted: Iterable[tuple[str, Node]], *, only_missing: bool = False
    ) -> tuple[Program, ...]:
        """Programs that write expressions into the columns they are named after, in the order given.

        A similarity is filled in before its program runs, so that a program ends before one that reads what it writes.
        """
        programs: list[Program] = []
        builder = Builder(self._context)
        for name, tree in wanted:
            if any(node.op == "call" and node.value == "similarity" for node in tree.walk()):
                programs.append(builder.build())
                builder = Builder(self._context)
            builder.begin([tree])
            builder.store(tree, self._place(name), only_missing=only_missing)
        programs.append(builder.build())
        return tuple(program for program in programs if len(program.code))

    def _add_features(self) -> None:
        """Sort features into strata: windows that read features come after those, expressions as soon as they can."""
        features = self.pack.features
        level: dict[str, int] = {}
        ordered = _in_order(features, _feature_reads)
        for name, feature in ordered:
            reads = (level[n] for n in _feature_reads(feature) if n in level)
            level[name] = max(reads, default=-1) + (feature.aggregate is not None)
        n_strata = max(level.values(), default=-1) + 1
        windows: list[list[Feature]] = [[] for _ in range(n_strata)]
        expressions: list[list[tuple[str, Node]]] = [[] for _ in range(n_strata + 1)]
        first: dict[tuple[Aggregate, Type], str] = {}
        for name, feature in ordered:
            if feature.expression is not None:
                expressions[level[name] + 1].append((name, feature.expression))
                continue
            assert feature.aggregate is not None, name
            same = first.setdefault((feature.aggregate, feature.type), name)
            if same == name:
                windows[level[name]].append(feature)
            else:  # the same window under two names is one window
                self.layout.places[name] = self._place(same)
        self.strata = tuple(map(self._stratum, windows))
        self._expressions = tuple(map(self._stores, expressions))

    def _stratum(self, features: Sequence[Feature]) -> Stratum:
        """Compile the filters and arguments of one stratum into one program, each distinct one once."""
        builder = Builder(self._context)
        aggregates = [f.aggregate for f in features if f.aggregate is not None]
        domains = {
            domain: builder.in_domain(_DOMAINS[domain])
            for domain in dict.fromkeys(a.domain for a in aggregates)
        }
        filters = list(dict.fromkeys((a.domain, a.where) for a in aggregates))
        for row, (domain, where) in enumerate(filters):
            plane = domains[domain]
            if where is not None:
                builder.begin([where])
                plane = builder.truth(where)
                builder.emit(k.AND, plane, domains[domain])
            builder.emit(k.FILTER, plane, row)
            builder.release(len(domains))
        arguments: dict[Node, tuple[Place, int]] = {}
        specs = []
        for feature in features:
            aggregate = feature.aggregate
            assert aggregate is not None
            argument, decimals = None, 0
            if aggregate.argument is not None:
                if aggregate.argument not in arguments:
                    arguments[aggregate.argument] = self._argument(
                        builder, aggregate.argument, feature.name
                    )
                argument, decimals = arguments[aggregate.argument]
            for key in aggregate.keys:
                self._place(key)
            row = filters.index((aggregate.domain, aggregate.where))
            gives_code = feature.type.is_coded and argument is not None  # first, last
            out = self.layout.add(
                feature.name, feature.type, argument.dictionary if argument and gives_code else ""
            )
            specs.append(WindowSpec(feature.name, aggregate, row, argument, decimals, out))
        return Stratum(tuple(specs), len(filters), builder.build())

    def _argument(self, builder: Builder, e: Node, feature: str) -> tuple[Place, int]:
        """Where an argument stands, and its fixed point; what is no column gets one that `builder` writes.

        Windows keep codes, so texts get a dictionary that outlives the batch.
        """
        is_fraction = e.type.kind in (NUMBER, GEO)
        if e.op == "column":
            place = self._place(str(e.value))
            if place.dictionary != BATCH_LOCAL:
                column = self._schema.columns.get(str(e.value))
                return place, column.decimals if column is not None else DECIMALS * is_fraction
        dictionary = builder.dictionary(e)
        if dictionary in (OWN, BATCH_LOCAL):
            dictionary = f"~{feature}"
        place = self.layout.add(f"~argument {feature}", e.type, dictionary)
        builder.begin([e])
        builder.store(e, place)
        return place, DECIMALS * is_fraction

    def _judged(self) -> Program:
        """One program for all conditions: rules with the same `on` and dates share a gate, and are skipped together."""
        builder = Builder(self._context)
        groups: dict[tuple[frozenset[str], int | None, int | None], list[int]] = {}
        for r, rule in enumerate(self.rules):
            key = (frozenset(rule.on), rule.effective_from_us, rule.effective_until_us)
            groups.setdefault(key, []).append(r)
        for (on, from_us, until_us), members in groups.items():
            gate = builder.gate(sorted(on), from_us, until_us)
            skip = builder.skip_rules(gate, members) if gate is not None else -1
            plain = {r: self._clauses(r) for r in members if all(map(is_plain, self._clauses(r)))}
            if plain:
                for r, names in builder.all_of(plain, gate).items():
                    self._names[r] = names
            for r in members:
                if r not in plain:
                    self._condition(builder, r, gate)
            if gate is not None:
                builder.jump_here(skip)
                builder.release(gate)
        return builder.build()

    def _clauses(self, r: int) -> tuple[Node, ...]:
        when = self.rules[r].when
        return when.args if when.op == "and" else (when,)

    def _condition(self, builder: Builder, r: int, gate: int | None) -> None:
        """Compile one rule: clause after clause, and on to the next rule once no row of the block is left."""
        builder.begin([self.rules[r].when])
        clauses = self._clauses(r)
        plane = builder.truth(clauses[0])
        if gate is not None:
            builder.emit(k.AND, plane, gate)
        skips = []
        for clause in clauses[1:]:
            skips.append(builder.skip_rules(plane, [r]))
            other = builder.truth(clause)
            builder.emit(k.AND, plane, other)
            builder.release(plane + 1)
        builder.emit(k.RULE, plane, r)
        for skip in skips:
            builder.jump_here(skip)
        builder.release(plane)
        self._names[r] = tuple(builder.names)

    def _after_rule(self, r: int, rule: Rule) -> _After | None:
        is_constant = rule.score.op == "const"
        if is_constant:
            assert isinstance(rule.score.value, int | float)
            self._constant_score[r] = rule.score.value
        if is_constant and not rule.exceptions:
            return None
        builder = Builder(self._context)
        for place, clause in enumerate(rule.exceptions):
            builder.begin([clause.when])
            plane = builder.truth(clause.when)
            in_force = builder.gate((), None, clause.expires_us)
            assert in_force is not None
            builder.emit(k.AND, plane, in_force)
            builder.emit(k.FIRST_TRUE, plane, 0, extra=place + 1)
            builder.release(plane)
        row = -1
        if not is_constant:
            score = self.layout.add("~score", Type(NUMBER))
            builder.begin([rule.score])
            builder.store(rule.score, score)
            row = score.row
        return _After(builder.build(), bool(rule.exceptions), row)

    def _rolled_out(self) -> tuple[_Rollout, ...]:
        found = []
        for r, rule in enumerate(self.rules):
            if rule.rollout_percent < 100.0:
                place = self._place(rule.rollout_by)
                assert place.is_code, (rule.id, rule.rollout_by)
                asked = (rule.id, rule.rollout_percent)
                table = self._tables.flag(place.dictionary, (), "rollout", asked, missing=0)
                found.append(_Rollout(r, place.row, table))
        return tuple(found)

    def _template(self, template: Template) -> tuple[_Hole | None, ...]:
        """Find a column for every hole; text parts have None."""
        holes: list[_Hole | None] = []
        for part in template.parts:
            if isinstance(part, str):
                holes.append(None)
                continue
            e, form = part
            row = None
            if e.op == "row":
                listed, _, column = str(e.value).partition(".")
                self._place(EVENT_TIME)
                row, e = (listed, column), e.args[0]
            name = str(e.value) if e.op == "column" else ""
            if name == _TOP_REASONS:
                holes.append(_Hole(name, Place(True, -1, e.type), form, None))
                continue
            if name:
                holes.append(_Hole(name, self._place(name), form, None, row))
                continue
            builder = Builder(self._context)
            count = self.layout.n_code if e.type.is_coded else self.layout.n_number
            place = self.layout.add(f"~title {count}", e.type, builder.dictionary(e))
            builder.begin([e])
            builder.store(e, place)
            holes.append(_Hole("", place, form, builder.build(), row))
        return tuple(holes)


def _columns_read(rules: Iterable[Rule]) -> Iterator[str]:
    """Columns that rules name outside of expressions, or in expressions that only the engine reads."""
    for rule in rules:
        yield "type"
        yield "event_time"
        yield from rule.dedup_by
        for action in rule.actions:
            yield action.entity
            yield from action.by
            if action.value is not None:
                yield from action.value.columns()


def _feature_reads(feature: Feature) -> tuple[str, ...]:
    """Columns that a feature reads."""
    aggregate = feature.aggregate
    if aggregate is None:
        assert feature.expression is not None, feature.name
        return feature.expression.columns()
    trees = (aggregate.argument, aggregate.where)
    return (*aggregate.keys, *(name for e in trees if e is not None for name in e.columns()))


def _in_order(
    items: Mapping[str, Item], reads: Callable[[Item], Sequence[str]]
) -> list[tuple[str, Item]]:
    """Items such that each stands after those it reads, else in the given order; the check refuses circles."""
    done: dict[str, Item] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path, name))}"
        if name not in done:
            for other in reads(items[name]):
                if other in items:
                    visit(other, (*path, name))
            done[name] = items[name]

    for name in items:
        visit(name, ())
    return list(done.items())
