"""What rules would have done over recorded traffic: `weir rules backtest` without its options and its text.

Every rule of the packs runs, as if live, so that its actions are simulated within their caps; rules in shadow stay
shadow with `as_written`. What is told of is what was asked about. Variants of a swept rule run beside it in the same
pass as shadow rules, which no other rule notices.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from config import marks
from config.errors import ConfigError, InputError
from config.settings import BANK
from engine.setup import Setup, read_setup
from replay.workbench import scorecard
from replay.workbench.clauses import Clause, apart, counted
from replay.workbench.examples import Examples, gathered
from replay.workbench.scorecard import DAY_US, Card, Figures
from replay.workbench.tally import Tally
from replay.workbench.traffic import Files, Journal, Lane, Traffic, drive, prepared, same_rows
from replay.workbench.verdicts import LabelBook
from rules import pack as packs
from rules.check.suggest import did_you_mean
from rules.definitions import Feature, Pack, Rule
from rules.tree import Node

MARK: Final = "~"  # between the id of a rule and the number of its variant; no id has one
VARIANTS_MAX: Final = 200
_HEAD: Final = re.compile(r"[1-9][0-9]{0,2}")  # of 1,000: what stands before a comma
_TAIL: Final = re.compile(r"([0-9]{3})(?:\.[0-9]+)?( [A-Z]{3})?")  # and what stands behind it


@dataclass(frozen=True, slots=True)
class Sweep:
    """One param of one rule, and the values to try."""

    rule: str
    param: str
    values: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Sweep":
        """Read `RULE.params.NAME=a,b,c`.

        >>> Sweep.of("CARD-001.params.large=150 EUR,200 EUR")
        Sweep(rule='CARD-001', param='large', values=('150 EUR', '200 EUR'))
        """
        what, equals, values = text.partition("=")
        rule, middle, param = what.strip().partition(".params.")
        found = tuple(value.strip() for value in values.split(",") if value.strip())
        if not (equals and rule and middle and param and found):
            raise ConfigError(
                f"`--sweep` was {text}",
                fix="write it like CARD-001.params.large=150 EUR,200 EUR,250 EUR",
            )
        _refuse_commas(text, found)
        return cls(rule, param, found)


def _refuse_commas(text: str, values: Sequence[str]) -> None:
    """Raise `ConfigError` where a comma stands inside a number: `1,000` would be a 1 and a nothing."""
    for before, value in pairwise(values):
        head, tail = _HEAD.fullmatch(before), _TAIL.fullmatch(value)
        if head and tail and (tail[1].startswith("0") or tail[2]):
            raise ConfigError(
                f"`--sweep` was {text}: `{before},{value}` reads as two values, {before} and {value}",
                fix=f"write {before}_{value} for one number; a comma stands between two values only",
            )


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: everything that the answer depends on, but the content of files."""

    packs: tuple[Path, ...]
    config: Path | None = None
    inputs: tuple[Path, ...] = ()
    feed: str = ""
    out: Path | None = None
    rules: tuple[str, ...] = ()
    from_us: int | None = None
    to_us: int | None = None
    labels: Path | None = None
    sweeps: tuple[Sweep, ...] = ()
    segment: str = ""
    as_written: bool = False
    clauses: bool = False
    without: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """A value of a swept param, and what the rule did with it."""

    value: str
    is_current: bool
    figures: Figures


@dataclass(slots=True)
class Answer:
    """What a backtest found.

    notes   : what people should know about it
    clauses : rule -> what each of its clauses held for, where that was asked
    without : decisions of the same traffic without the rules asked about, where that was asked
    """

    card: Card
    sweeps: list[tuple[Sweep, list[Variant]]]
    currency: str
    bands: list[tuple[float, float, str]]
    setup: Setup
    notes: list[str] = field(default_factory=list)
    n_messages: int = 0
    journal: str = ""  # records that an output folder held
    examples: Examples | None = (
        None  # what was matched, by name; no part of the result and its hash
    )
    clauses: dict[str, list[Clause]] = field(default_factory=dict)
    without: dict[str, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result, for machines and for its hash: the same question gives the same."""
        more: dict[str, Any] = {}
        if self.clauses:
            more["clauses"] = {id_: [c.facts() for c in of] for id_, of in self.clauses.items()}
        if self.without is not None:
            more["decisions_without"] = self.without
        return {
            **more,
            **self.card.as_dict(),
            "currency": self.currency,
            "sweeps": [
                {
                    "rule": sweep.rule,
                    "param": sweep.param,
                    "variants": [
                        {"value": v.value, "is_current": v.is_current}
                        | {n: getattr(v.figures, n) for n in SWEPT}
                        for v in variants
                    ],
                }
                for sweep, variants in self.sweeps
            ],
        }


SWEPT: Final = (
    "matches",
    "alerts",
    "fraud",
    "other",
    "precision",
    "frauds",
    "recall",
    "value_caught",
)


def answer(question: Question, *, key: bytes | None = None, quiet: bool = False) -> Answer:
    """Run the backtest. Raises `ConfigError`, `InputError` or `StateError` for what makes it impossible."""
    traffic, base = opened(question, key)
    loaded = load(question.packs, base)
    pack = loaded.pack
    assert pack is not None
    tested = _tested(pack, question)
    modes = {rule.id: rule.mode for rule in pack.rules}
    run_as = replace(pack, rules=tuple(_run_as(r, tested, question) for r in pack.rules))
    book = LabelBook()
    swept, varied = _varied(run_as, loaded, question.sweeps)
    taken_apart = [r for r in varied.rules if question.clauses and r.id in tested]
    parts = apart(taken_apart)
    varied = replace(varied, rules=tuple(sorted((*varied.rules, *parts), key=lambda r: r.id)))
    setup, core = prepared(base, varied, question.segment)
    tally = Tally(
        core,
        frozenset(tested),
        from_us=question.from_us,
        segment=question.segment,
        keeps_ids=True,
        only_counted=frozenset(rule.id for rule in parts),
    )
    drafted = drafted_lists(pack, traffic)
    lane = Lane(setup, core, tally, drafted)
    lanes = [lane]
    if question.without:
        off = (replace(r, mode="off") if r.id in tested else r for r in run_as.rules)
        setup_off, core_off = prepared(base, replace(run_as, rules=tuple(off)))
        tally_off = Tally(core_off, (), from_us=question.from_us)
        lanes.append(Lane(setup_off, core_off, tally_off, drafted))
    drive(lanes, traffic, book, from_us=question.from_us, to_us=question.to_us, quiet=quiet)
    notes = [*setup.notes]
    if question.labels is not None:
        n = book.read(question.labels)
        notes.append(
            f"{n:,} labels of {question.labels.name}: for measuring only, no feature saw them"
        )
    live_then = None
    if isinstance(traffic, Journal):
        live_then = traffic.fired_then()
        if traffic.first_seq:
            notes.append(
                f"the journal begins at record {traffic.first_seq:,}: windows were empty before it"
            )
    told = scorecard.card(
        tally,
        varied,
        book,
        tested=tested,
        modes=modes,
        days=_days(question),
        live_then=live_then,
    )
    ids = [id_ for _, variants in swept for _, id_, _ in variants if MARK in id_]
    rest = scorecard.card(tally, varied, book, tested=ids, modes=modes, days=_days(question))
    by_id = {figures.rule: figures for figures in [*told.rules, *rest.rules]}
    sweeps = [
        (sweep, [Variant(value, is_current, by_id[id_]) for value, id_, is_current in variants])
        for sweep, variants in swept
    ]
    bands = [(band.low, band.high, band.decision) for band in pack.bands]
    held = traffic.head if isinstance(traffic, Journal) else ""
    found = gathered(tally, book, pack.currency)
    n = traffic.n_read
    answered = Answer(told, sweeps, pack.currency, bands, lane.setup, notes, n, held, found)
    if taken_apart:
        assert loaded.workshop is not None
        answered.clauses = counted(taken_apart, loaded.workshop.nodes, tally.counts)
    if question.without:
        answered.without = dict(lanes[1].tally.counts.decisions)
    return answered


def opened(question: Question, key: bytes | None) -> tuple[Traffic, Setup]:
    """The traffic, and the configuration whose schema, settings and rates count."""
    if (question.out is None) == (not question.inputs):
        raise InputError(
            "there is no traffic to look at" if question.out is None else "two sources were named",
            fix="give files with --input FILE --feed NAME, or an output folder with --out OUT",
        )
    if question.out is not None:
        journal = Journal(question.out, key)
        if question.config is None:
            return journal, journal.newest
        return journal, read_setup(question.config)
    setup = read_setup(question.config or BANK, feed=question.feed)
    return Files(question.inputs, setup), setup


def load(paths: Sequence[Path], base: Setup) -> packs.Loaded:
    """Read packs against the schema of a configuration; `ConfigError` if they have errors."""
    loaded = packs.load(paths, base.schema, base.rates)
    if loaded.pack is None:
        errors = [f"{f.place} {f.code} {f.message}" for f in loaded.findings if f.is_error]
        raise ConfigError(
            f"the rules have {loaded.n_errors} error{'s' if loaded.n_errors != 1 else ''}",
            why="\n       ".join(errors[:5]),
            fix=f"see them in full with: weir rules check {paths[0]}",
        )
    return loaded


def drafted_lists(pack: Pack, traffic: Traffic) -> frozenset[str]:
    """Lists that the pack has changed against the newest configuration of a journal: they count as drafted."""
    if not isinstance(traffic, Journal):
        return frozenset(pack.lists)
    newest = traffic.newest.pack.lists
    return frozenset(
        name
        for name, own in pack.lists.items()
        if name not in newest or not same_rows(own, newest[name])
    )


def _tested(pack: Pack, question: Question) -> list[str]:
    """Ids of the rules asked about: those named, else those of the packs named that are not off."""
    known = {rule.id: rule for rule in pack.rules}
    for name in [*question.rules, *(sweep.rule for sweep in question.sweeps)]:
        if name not in known:
            hint = did_you_mean(name, known) or "see them with: weir rules check"
            raise ConfigError(f"there is no rule `{name}` in the packs", "--rule", fix=hint)
    if question.rules or question.sweeps:
        named = [*question.rules, *(sweep.rule for sweep in question.sweeps)]
        return sorted(dict.fromkeys(named))
    given = {path.resolve() for path in question.packs}
    names = {member.name for member in pack.members if member.root.resolve() in given}
    return [rule.id for rule in pack.rules if rule.pack in names and rule.mode != "off"]


def _run_as(rule: Rule, tested: Sequence[str], question: Question) -> Rule:
    """The rule in the mode it runs in: live, so that its actions are simulated, unless only asked to look."""
    if rule.mode == "live" or (rule.mode == "off" and rule.id not in tested):
        return rule
    if question.as_written and rule.mode == "shadow":
        return rule
    return replace(rule, mode="live" if rule.id in tested else rule.mode)


def _days(question: Question) -> float | None:
    if question.from_us is None or question.to_us is None:
        return None
    return (question.to_us - question.from_us) / DAY_US


# ---- sweeps

Swept = list[tuple[Sweep, list[tuple[str, str, bool]]]]


def _varied(pack: Pack, loaded: packs.Loaded, sweeps: Sequence[Sweep]) -> tuple[Swept, Pack]:
    """The pack with a shadow rule for each value of each sweep; and value, id, whether it is the current one."""
    assert loaded.workshop is not None
    if sum(len(sweep.values) for sweep in sweeps) > VARIANTS_MAX:
        raise ConfigError(f"`--sweep` asks for more than {VARIANTS_MAX} variants", fix="try fewer")
    rules, features = list(pack.rules), dict(pack.features)
    by_id = {rule.id: rule for rule in rules}
    swept: Swept = []
    for sweep in sweeps:
        rule = by_id[sweep.rule]
        node = loaded.workshop.nodes[rule.id]
        variants: list[tuple[str, str, bool]] = []
        for value in sweep.values:
            made = loaded.workshop.remake(_with_param(node, sweep, value))
            if made is None:
                raise ConfigError(
                    f"{value} cannot be the value of param {sweep.param} of {rule.id}",
                    "--sweep",
                    fix="write it as it would stand in the rule file",
                )
            other, own = made
            if other.params == rule.params or _values(other) == _values(rule):
                variants.append((value, rule.id, True))
                continue
            number = sum(len(v) for _, v in swept) + len(variants) + 1
            id_ = f"{rule.id}{MARK}{number}"
            differs = any(pack.features.get(name) != f for name, f in own.items())
            renamed = {name: f"{name}{MARK}{number}" for name in own} if differs else {}
            for name, new_name in renamed.items():
                features[new_name] = replace(_renamed_feature(own[name], renamed), name=new_name)
            rules.append(
                replace(
                    other,
                    id=id_,
                    mode="shadow",
                    actions=(),
                    if_undecided=None,
                    pack=rule.pack,
                    when=_renamed(other.when, renamed),
                    score=_renamed(other.score, renamed),
                    exceptions=tuple(
                        replace(e, when=_renamed(e.when, renamed)) for e in other.exceptions
                    ),
                )
            )
            variants.append((value, id_, False))
        swept.append((sweep, variants))
    rules.sort(key=lambda r: r.id)
    return swept, replace(pack, rules=tuple(rules), features=features)


def _values(rule: Rule) -> list[tuple[str, Node]]:
    return [(param.name, param.value) for param in rule.params]


def _with_param(node: marks.MapNode, sweep: Sweep, value: str) -> marks.MapNode:
    """The rule with another value of one param; `ConfigError` if it has no such param."""
    params = node.get("params")
    known = params.keys if isinstance(params, marks.MapNode) else {}
    if not isinstance(params, marks.MapNode) or sweep.param not in params:
        hint = did_you_mean(sweep.param, known) or f"it has {', '.join(known) or 'no params'}"
        raise ConfigError(f"{sweep.rule} has no param `{sweep.param}`", "--sweep", fix=hint)
    inner = params[sweep.param]
    if isinstance(inner, marks.MapNode) and "value" in inner:
        other: marks.Node = _put(inner, "value", _text(inner["value"], value))
    else:
        other = _text(inner, value)
    return _put(node, "params", _put(params, sweep.param, other))


def _text(node: marks.Node, value: str) -> marks.TextNode:
    return marks.TextNode(node.source, node.start, node.end, value, "")


def _put(node: marks.MapNode, key: str, value: marks.Node) -> marks.MapNode:
    return marks.MapNode(node.source, node.start, node.end, node.keys, {**node.values, key: value})


def _renamed(node: Node, names: Mapping[str, str]) -> Node:
    """The tree with columns under their new names."""
    if not names:
        return node
    args = tuple(_renamed(part, names) for part in node.args)
    value = node.value
    if node.op == "column":
        value = names.get(str(value), value)
    return replace(node, args=args, value=value)


def _renamed_feature(feature: Feature, names: Mapping[str, str]) -> Feature:
    aggregate = feature.aggregate
    if aggregate is not None:
        where, argument = aggregate.where, aggregate.argument
        aggregate = replace(
            aggregate,
            where=_renamed(where, names) if where is not None else None,
            argument=_renamed(argument, names) if argument is not None else None,
        )
    expression = feature.expression
    if expression is not None:
        expression = _renamed(expression, names)
    return replace(feature, aggregate=aggregate, expression=expression)


def encoded(result: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a result: keys in order, no spaces."""
    return msgspec.json.encode(result, order="sorted")
