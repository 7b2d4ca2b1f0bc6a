"""Which numbers of a rule its tests pin: each is moved by a fifth, down and up, and the rule's tests run again.

A number is pinned when a test then fails: somebody who changes it by mistake will hear of it. One that can be moved
without any test noticing is a judgement that nobody has written down. The variants of a rule are made by reading its
text again with another number in it, so they are what a person would have got, and run side by side in one core; a
variant with other features of its own has a core to itself.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from engine.progress import Progress
from engine.setup import Setup, read_setup
from replay.workbench import ruletests
from rules import pack as packs
from rules.definitions import Feature, Rule
from rules.numbers import Number, changed, numbers_of
from rules.pack import Workshop

DOWN, UP = 0, 1
_SIDES: Final = ((DOWN, False), (UP, True))


@dataclass(slots=True)
class Trial:
    """One number, what it was moved to, and whether a test noticed; None where it cannot be moved that way."""

    number: Number
    moved: list[str | None] = field(default_factory=lambda: [None, None])  # down, up
    noticed: list[bool | None] = field(default_factory=lambda: [None, None])

    @property
    def is_pinned(self) -> bool:
        """Whether moving it is noticed at least one way."""
        return any(self.noticed)

    @property
    def is_pinned_both_ways(self) -> bool:
        """Whether moving it is noticed each way that it can be moved."""
        return self.is_pinned and False not in self.noticed


@dataclass(slots=True)
class Verdict:
    """What the tests of one rule say about its numbers; nothing was tried where a test fails as it is."""

    rule: str
    n_tests: int
    trials: list[Trial]
    failures: int = 0

    @property
    def is_fine(self) -> bool:
        """Whether its tests pass, and pin a number if it has any."""
        return not self.failures and (not self.trials or any(t.is_pinned for t in self.trials))


@dataclass(frozen=True, slots=True)
class _Variant:
    """A rule with one number moved, and its own features."""

    trial: int
    side: int
    rule: Rule
    features: dict[str, Feature]


def run(
    paths: Sequence[Path],
    config: Path,
    only: Collection[str] = (),
) -> list[Verdict]:
    """Try every number of the rules of the packs, or of those named `only`; a progress bar on a terminal.

    Raises `ConfigError` if a pack has errors or there is no such rule.
    """
    setup = read_setup(config, pack_paths=paths)
    loaded = packs.load(setup.configuration.pack_paths, setup.schema, setup.rates)
    assert loaded.workshop is not None, "the same packs have just been read without an error"
    rules, verdicts = ruletests.chosen(setup, paths, only), []
    with Progress(len(rules), "rules") as progress:
        for rule in rules:
            verdicts.append(_try(setup, loaded.workshop, rule))
            progress.advance(1, rule.id)
    return verdicts


def _try(setup: Setup, workshop: Workshop, rule: Rule) -> Verdict:
    """Move each number of one rule."""
    node = workshop.nodes[rule.id]
    trials = [Trial(number) for number in numbers_of(node)]
    verdict = Verdict(rule.id, len(rule.tests), trials)
    verdict.failures = sum(
        len(ruletests.run_test(setup, rule, test).failures) for test in rule.tests
    )
    if verdict.failures:
        return verdict
    groups: list[list[_Variant]] = []
    for k, trial in enumerate(trials):
        for side, up in _SIDES:
            text = trial.number.moved(up=up)
            made = workshop.remake(changed(node, trial.number, text)) if text is not None else None
            if made is None:  # no other number, or one that the language refuses: a share of 114 %
                continue
            trial.moved[side], trial.noticed[side] = text, False
            variant = _Variant(k, side, *made)
            group = next((g for g in groups if g[0].features == variant.features), None)
            if group is None:
                groups.append([variant])
            else:
                group.append(variant)
    for group in groups:
        _run_group(setup, group, trials)
    return verdict


def _run_group(setup: Setup, group: Sequence[_Variant], trials: Sequence[Trial]) -> None:
    """Run the tests over variants that share their features, and note which of them a test noticed."""
    features = {**setup.pack.features, **group[0].features}
    setup = replace(setup, pack=replace(setup.pack, features=features))
    left = list(group)
    for test in group[0].rule.tests:
        rules = [replace(v.rule, id=f"{v.rule.id}-{i:04d}") for i, v in enumerate(left)]
        results = ruletests.run_variants(setup, rules, test)
        for variant, result in zip(left, results, strict=True):
            if not result.is_fine:
                trials[variant.trial].noticed[variant.side] = True
        left = [v for v in left if not trials[v.trial].noticed[v.side]]
        if not left:
            return


def report(verdicts: Iterable[Verdict]) -> str:
    """A table of numbers for each rule, the thresholds that are open on one side, and a last line that counts."""
    verdicts = list(verdicts)
    lines: list[str] = []
    for verdict in verdicts:
        lines.append(f"{verdict.rule:24s} {verdict.n_tests} tests  {_in_a_word(verdict)}")
        if not verdict.failures:
            lines += _table(verdict.trials)
    trials = [t for v in verdicts if not v.failures for t in v.trials]
    open_ = [
        (v.rule, t)
        for v in verdicts
        if not v.failures
        for t in v.trials
        if t.is_pinned and not t.is_pinned_both_ways
    ]
    if open_:
        lines.append(
            "For information, pinned one way only (a test just on the other side is missing):"
        )
        for rule, trial in open_:
            side = trial.noticed.index(False)
            n = trial.number
            lines.append(
                f"    {rule}  {n.called} {n.text}  {n.place}  {trial.moved[side]} goes unnoticed"
            )
    n_pinned = sum(t.is_pinned for t in trials)
    n_both = sum(t.is_pinned_both_ways for t in trials)
    n_bare = sum(not v.trials for v in verdicts)
    n_loose = sum(not v.is_fine for v in verdicts)
    lines.append(
        f"{len(verdicts)} rules, {len(trials)} numbers: {n_pinned} pinned, {n_both} of them both ways, "
        f"{len(trials) - n_pinned} not pinned.  Rules without a number: {n_bare}, without a pinned one: {n_loose}."
    )
    return "\n".join(lines)


def _in_a_word(verdict: Verdict) -> str:
    if verdict.failures:
        return f"FAIL  {verdict.failures} expectations fail as it is: see `weir rules test`"
    if not verdict.trials:
        return "no number"
    n = sum(t.is_pinned for t in verdict.trials)
    return f"{'ok' if verdict.is_fine else 'FAIL'}  {n} of {len(verdict.trials)} numbers pinned"


def _table(trials: Sequence[Trial]) -> list[str]:
    """One aligned line a number: what and where it is, and what came of moving it down and up."""
    rows = [
        (t.number.called, str(t.number.place), t.number.text, _cell(t, DOWN), _cell(t, UP))
        for t in trials
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)] if rows else []
    return [
        "    "
        + "  ".join(f"{text:{w}s}" for text, w in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in rows
    ]


def _cell(trial: Trial, side: int) -> str:
    name = ("down", "up")[side]
    if trial.noticed[side] is None:
        return f"{name} -"
    return f"{name} {trial.moved[side]} {'pinned' if trial.noticed[side] else 'NOT PINNED'}"
