"""A running engine goes over to another configuration between two records, and loses nothing that did not change.

What means the same in both configurations is carried bit for bit (engine/meanings.py says what means the same); what is
new starts empty; a window feature that is new or changed is *warming*: rules that read it run in shadow until it has
its history (engine/warming.py), unless that is computed from the journal (engine/backfill.py).

    seq, core time   go on; the configuration record itself takes one seq
    dictionaries     codes stay; texts of columns that nobody read before get codes as they come
    attributes       by name, where kind and dictionary are the same
    remembered       every transaction; its columns and texts by name where they mean the same, else missing; model
                     inputs by name alone, for they are what a model saw, whatever the name means today
    windows          event log by event log (engine/windows/shape.py): logs stay as they were laid out, features that
                     have gone leave a gap, new ones form logs of their own
    what was done    restrictions, alerts, suppressions, caps and reports, all of them, by rule id and entity; what a
                     rule did that is gone stays in force until it ends; the others follow an action to its new place
    proposals        all; that of the new configuration is active with it, the others were meant for the old one
    models           same name, kind, class, inputs or members, parameters and seed: what they have learned, and what
                     they said of remembered transactions; else they begin anew. What is being fitted goes on likewise
    counters         of fields, by name
    rows of lists    those that rules and people have added, where the list is still there and of the same type
    lists            what they hold is no part of what a rule or feature means; tables over texts are taken over, so
                     that a list costs what is new in it

So which log a feature stands in depends on the configurations that came before: two engines of one configuration, one
of which went over to it, decide alike, but their saved bytes differ. Deriving the journal again, configuration records
included, gives the same bytes.

A longer lateness needs events that had been dropped under the shorter one: features are warming for the difference.
Refused are another currency of the books, for amounts would mean other money, and a schema without the field of an
entity that is restricted, for the restriction would be void.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from config.decisions import RESTRICTABLE
from config.errors import StateError
from config.models import ModelEntry, ModelsFile
from config.schema import Column
from config.settings import REQUIRED
from engine.admission import NEVER
from engine.core import Core
from engine.setup import Setup
from engine.warming import Unfilled
from engine.windows.shape import Shape
from rules.definitions import Action

KEPT: Final = "kept"
NEW: Final = "new"
CHANGED: Final = "changed"
GONE: Final = "gone"

Said: TypeAlias = dict[str, str]  # name -> kept, new, changed, gone


@dataclass(frozen=True, slots=True)
class Missing:
    """What the new configuration keeps and the old one did not: attributes by name, columns of the store by place."""

    attributes: tuple[str, ...] = ()
    number: tuple[int, ...] = ()
    code: tuple[int, ...] = ()
    input: tuple[int, ...] = ()
    text: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of everything that has a name.

    empty_logs : (stratum, log) of the event logs that start empty, or did so earlier and were not filled since
    fresh      : window features that stand in them
    lists      : whether each list holds the same rows; no other meaning depends on that
    missing    : what else of the past is not there
    filled_from : seq from which the past was derived again to fill all that; None: it was not
    notes      : what people should know
    """

    rules: Said
    features: Said
    models: Said
    restrictions: int
    empty_logs: tuple[tuple[int, str], ...] = ()
    fresh: tuple[str, ...] = ()
    missing: Missing = Missing()
    notes: tuple[str, ...] = ()
    filled_from: int | None = None
    lists: Said = field(default_factory=dict)

    def evidence(self) -> dict[str, object]:
        """The same for a configuration record: names by what became of them, those that were kept only counted."""
        found: dict[str, object] = {
            "filled_from": self.filled_from,
            "warming": list(self.fresh),
            "restrictions": self.restrictions,
            "notes": list(self.notes),
        }
        for kind, said in (
            ("rules", self.rules),
            ("features", self.features),
            ("models", self.models),
            ("lists", self.lists),
        ):
            named: dict[str, object] = {
                what: sorted(n for n, w in said.items() if w == what)
                for what in (NEW, CHANGED, GONE)
            }
            found[kind] = {KEPT: sum(w == KEPT for w in said.values()), **named}
        return found


def carry(
    old: Core, setup: Setup, *, shapes: Sequence[Shape] | None = None
) -> tuple[Core, Carried]:
    """A core of `setup` that goes on where `old` stands, after a record that says so.

    shapes : how the windows of each stratum are laid out; None: as in `old`

    `old` must not be used afterwards: large state is handed over, not copied. It is as before when this raises
    `StateError` (the new configuration cannot go on from this state) or `ConfigError` (it cannot be built).
    """
    refuse(old, setup)
    shapes = [windows.shape for windows in old.windows] if shapes is None else shapes
    new = Core(setup, required=old.required, shapes=shapes)
    return new, hand_over(old, new)


@dataclass(slots=True)
class Ahead:
    """What of a hand-over follows from the two configurations alone: it can be worked out while messages flow."""

    old: Core
    attributes: list[str]  # that mean the same
    actions: dict[tuple[str, int], int]
    rules: Said
    features: Said
    lists: Said


def look_ahead(old: Core, new: Core) -> Iterator[Ahead | None]:
    """Do for `hand_over(old, new, ahead)` what can be done before, a few ms a step; the last step gives it.

    Both cores stay as they are to whoever looks at what they decide; `old` may go on deciding.
    """
    for _ in new.ruleset.copy_tables_ahead(old.ruleset):
        yield None
    new.ruleset.try_out()
    yield None
    for core in (old, new):  # what nobody has worked out yet takes 100 ms for 500 rules
        for _ in core.meanings.work_out():
            yield None
    actions = _actions_moved(old, new)
    yield None
    yield _ahead(old, new, actions)


def _ahead(old: Core, new: Core, actions: dict[tuple[str, int], int]) -> Ahead:
    before, now = old.setup.pack, new.setup.pack
    return Ahead(
        old,
        [name for name in new.attributes.names if _same_attribute(old, new, name)],
        actions,
        _said({r.id: old.meanings.rule(r) for r in before.rules},
              {r.id: new.meanings.rule(r) for r in now.rules}),
        _said({n: old.meanings.column(n) for n in before.features},
              {n: new.meanings.column(n) for n in now.features}),
        _said({n: old.meanings.list_content(n) for n in before.lists},
              {n: new.meanings.list_content(n) for n in now.lists}),
    )  # fmt: skip


def hand_over(old: Core, new: Core, ahead: Ahead | None = None) -> Carried:
    """Have `new`, built with the shapes of `old` and empty, go on where `old` stands, which was not to be refused.

    ahead : what `look_ahead` has worked out for these two; None: it is worked out now

    `old` must not be used afterwards.
    """
    setup = new.setup
    if ahead is None or ahead.old is not old:
        ahead = _ahead(old, new, _actions_moved(old, new))
    new.seq = old.seq + 1
    new.admission.core_us = old.core_us
    new.dictionaries.adopt(old.dictionaries)
    same = ahead.attributes
    new.attributes.adopt(old.attributes, same)
    new.decoder.load(old.decoder.save())
    missing = _carry_remembered(old, new, sorted(set(new.attributes.names) - set(same)))
    models, notes = _carry_models(old, new)
    new.decider.adopt(old.decider, ahead.actions)
    new.proposals.adopt(old.proposals)
    new.proposals.activated(
        new.config, old.seq, needs_approval=setup.configuration.settings.approval == REQUIRED
    )
    empty = _carry_windows(old, new)
    fresh = _begin_warming(old, new, empty)
    missing = _with_earlier(old, new, fresh, missing)
    empty, fresh = _with_earlier_logs(new, empty, fresh)
    new.ruleset.change_lists(new.lists.adopt(old.lists))
    new.ruleset.adopt_tables(old.ruleset, new.dictionaries)
    new.ruleset.refresh(new.dictionaries)
    return Carried(
        ahead.rules,
        ahead.features,
        models,
        sum(restriction.is_in_force for restriction in new.decider.restrictions),
        tuple(empty),
        fresh,
        missing,
        tuple(notes),
        lists=ahead.lists,
    )


def _with_earlier(old: Core, new: Core, fresh: Sequence[str], missing: Missing) -> Missing:
    """What is missing now and since earlier changes, which the new core keeps in mind until it is filled."""
    before, meaning = old.warming.unfilled, new.meanings.column
    known: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
        "number": (new.links.number_names, before.number),
        "code": (new.links.code_names, before.code),
        "input": (new.scoring.inputs, before.input),
        "text": (new.links.text_names, before.text),
    }
    places = {
        kind: tuple(
            k for k, name in enumerate(names) if k in getattr(missing, kind) or name in waiting
        )
        for kind, (names, waiting) in known.items()
    }
    attributes = {*missing.attributes, *(n for n in before.attributes if n in new.attributes.names)}
    waiting = {old.meanings.column(name) for name in before.features}
    since_us = new.warming.since_us
    new.warming.unfilled = Unfilled(
        features=tuple(n for n in sorted(since_us) if n in fresh or meaning(n) in waiting),
        attributes=tuple(sorted(attributes)),
        **{kind: tuple(known[kind][0][k] for k in of) for kind, of in places.items()},
    )
    return Missing(attributes=tuple(sorted(attributes)), **places)


def _with_earlier_logs(
    new: Core, empty: Sequence[tuple[int, str]], fresh: Sequence[str]
) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """Logs that start empty and those that did earlier, and the features that stand in them."""
    logs, names = logs_of(new, new.warming.unfilled.features)
    return sorted({*empty, *logs}), tuple(sorted({*fresh, *names}))


def logs_of(core: Core, features: Sequence[str]) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """(stratum, log) of the event logs that some window features stand in, and every feature that stands there."""
    meaning = core.meanings.column
    wanted, logs, standing = {meaning(name) for name in features}, [], set()
    for k, windows in enumerate(core.windows):
        for name, log in windows.logs.items():
            found = {meaning(feature) for feature in log.features}
            if found & wanted:
                logs.append((k, name))
                standing |= found
    own = core.setup.pack.features.items()
    names = [name for name, f in own if f.aggregate is not None and meaning(name) in standing]
    return logs, tuple(sorted(names))


def refuse(old: Core, setup: Setup) -> None:
    """Raise `StateError` if the new configuration cannot go on from this state."""
    before, now = old.setup.pack.currency, setup.pack.currency
    if before != now:
        raise StateError(
            f"the packs are in {now}, the running engine in {before}",
            why="every amount it holds, from windows to restrictions, would mean other money",
            fix="start the new configuration in another output folder",
        )
    columns = setup.schema.columns
    domains = {columns[name].domain for name in RESTRICTABLE if name in columns}
    for restriction in old.decider.restrictions:
        if restriction.is_in_force and restriction.domain not in domains:
            raise StateError(
                f"no field of the new schema names a {restriction.domain}, and restriction {restriction.id} "
                f"({restriction.level} of {restriction.entity}) is in force on one",
                why="a transaction of the restricted entity could no longer be told from others",
                fix="keep the field until the restriction has ended, or release it first",
            )


# ------------------------------------------------------------ columns


def _same_attribute(old: Core, new: Core, name: str) -> bool:
    """Whether an attribute is the same in both: its values, and the entities that have it."""
    columns = old.setup.schema.columns, new.setup.schema.columns
    if any(name not in known for known in columns):
        return False
    before, now = (known[name] for known in columns)
    entities = [known[column.entity] for known, column in zip(columns, (before, now), strict=True)]
    return _values(before) == _values(now) and entities[0].domain == entities[1].domain


def _values(column: Column) -> tuple[str, str, int]:
    return column.kind, column.domain, column.decimals


def _carry_remembered(old: Core, new: Core, attributes: Sequence[str]) -> Missing:
    """Hand over remembered transactions; return what was not kept of them, beside `attributes`."""

    def sources(of_new: Sequence[str], of_old: Sequence[str]) -> list[int]:
        """For each column now, where it stood; -1 if it was not kept, or meant something else."""
        places = {name: k for k, name in enumerate(of_old)}
        return [
            places[name]
            if name in places and old.meanings.column(name) == new.meanings.column(name)
            else -1
            for name in of_new
        ]

    inputs = {name: k for k, name in enumerate(old.scoring.inputs)}
    columns = {
        "number": sources(new.links.number_names, old.links.number_names),
        "code": sources(new.links.code_names, old.links.code_names),
        "input": [inputs.get(name, -1) for name in new.scoring.inputs],
        "score": _scores_kept(old, new),
    }
    texts = sources(new.links.text_names, old.links.text_names)
    new.remembered.adopt(old.remembered, columns, texts)
    absent = {
        name: tuple(k for k, source in enumerate(columns[name]) if source < 0)
        for name in ("number", "code", "input")
    }
    absent["text"] = tuple(k for k, source in enumerate(texts) if source < 0)
    return Missing(attributes=tuple(attributes), **absent)


# ------------------------------------------------------------ windows


def _carry_windows(old: Core, new: Core) -> list[tuple[int, str]]:
    """Hand over event logs; return those that start empty."""
    empty = []
    for k, windows in enumerate(new.windows):
        names = windows.adopt(old.windows[k]) if k < len(old.windows) else windows.logs
        empty += [(k, name) for name in sorted(names)]
    return empty


def _begin_warming(old: Core, new: Core, empty: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """Say since when features have been computed; return the window features that begin now."""
    features, meaning = new.setup.pack.features, new.meanings.column
    starting = {meaning(name) for k, log in empty for name in new.windows[k].logs[log].features}
    before = {
        old.meanings.column(name): since_us for name, since_us in old.warming.since_us.items()
    }
    now_us = old.core_us
    later_us = new.setup.lateness_us - old.setup.lateness_us
    since: dict[str, int] = {}
    fresh = []
    for name, feature in features.items():
        if feature.aggregate is None:
            continue
        if meaning(name) in starting:
            fresh.append(name)
            if now_us != NEVER:  # an engine that has seen nothing has missed nothing
                since[name] = now_us
            continue
        if meaning(name) in before:
            since[name] = before[meaning(name)]
        if later_us > 0 and now_us != NEVER:
            # what is older than the old lateness had been dropped: complete again once core time has made up for it
            reach_us = new.warming.needs_us(name) + new.setup.lateness_us
            since[name] = max(since.get(name, NEVER), now_us + later_us - reach_us)
    new.warming.begin(since)
    return tuple(sorted(fresh))


# ------------------------------------------------------------ rules and models


def _actions_moved(old: Core, new: Core) -> dict[tuple[str, int], int]:
    """Where each action of a rule that both have stands now: the same kind of thing done to the same kind of entity."""
    rules = {rule.id: rule for rule in new.setup.pack.rules}
    moved: dict[tuple[str, int], int] = {}
    for before in old.setup.pack.rules:
        now = rules.get(before.id)
        if now is None:
            continue
        waiting: dict[tuple[str, ...], list[int]] = {}
        for k, action in enumerate(now.actions):
            waiting.setdefault(_of_action(action), []).append(k)
        for k, action in enumerate(before.actions):
            places = waiting.get(_of_action(action))
            moved[before.id, k] = places.pop(0) if places else -1
    return moved


def _of_action(action: Action) -> tuple[str, ...]:
    told = (action.queue, action.method, action.template, action.to, action.tag, action.list_name)
    return action.kind, action.entity, action.level, action.code, action.report, *told


def _carry_models(old: Core, new: Core) -> tuple[Said, list[str]]:
    """Hand over what models have learned; say what became of each."""
    before, now = old.setup.configuration.models, new.setup.configuration.models
    kept = _models_kept(old, new)
    was_calibrated = old.scoring.calibrated
    new.scoring.adopt(old.scoring, kept)
    new.refits.adopt(old.refits, kept, old.core_us)
    new.maturity.adopt(old.maturity)
    new.drifting.adopt(old.drifting)
    governed = new.governing.adopt(old.governing, kept)
    said = _said(dict.fromkeys(before.models, ""), dict.fromkeys(now.models, ""))
    notes = []
    for name, entry in now.models.items():
        if said[name] == KEPT and name not in kept:
            said[name] = CHANGED
            notes.append(f"model `{name}` has other inputs or parameters and begins anew")
        changed = [i for i in entry.inputs if old.meanings.column(i) != new.meanings.column(i)]
        if name in kept and changed:
            notes.append(
                f"model `{name}` goes on, though {', '.join(changed)} means something else"
            )
        anew = [member for member in entry.of if member not in kept]
        if name in kept and anew:
            notes.append(f"model `{name}` goes on, though {', '.join(anew)} begins anew")
    if now.champion != before.champion:
        notes.append(f"the champion is `{now.champion}`")
        if now.champion not in kept or now.champion not in was_calibrated:
            notes[-1] += ": its calibration begins anew"
    return said, [*notes, *governed]


def _models_kept(old: Core, new: Core) -> list[str]:
    """Models that mean the same in both: they keep what they have learned."""
    before, now = old.setup.configuration.models, new.setup.configuration.models
    return [name for name in now.models if _same_model(before, now, name)]


def _scores_kept(old: Core, new: Core) -> list[int]:
    """For each model now, where the scores of remembered transactions by the same model stood; -1 nowhere."""
    kept = _models_kept(old, new)
    places = {name: k for k, name in enumerate(old.scoring.names)}
    return [places[name] if name in kept else -1 for name in new.scoring.names]


def _same_model(before: ModelsFile, now: ModelsFile, name: str) -> bool:
    was: ModelEntry | None = before.models.get(name)
    entry = now.models[name]
    if was is None or before.seed != now.seed:
        return False
    return (was.kind, was.class_, was.inputs, was.of, was.params) == (
        entry.kind,
        entry.class_,
        entry.inputs,
        entry.of,
        entry.params,
    )


def _said(before: Mapping[str, str], now: Mapping[str, str]) -> Said:
    """What became of each name, given what it meant before and means now."""
    said = {name: GONE for name in before if name not in now}
    for name, meaning in now.items():
        said[name] = NEW if name not in before else KEPT if before[name] == meaning else CHANGED
    return said
