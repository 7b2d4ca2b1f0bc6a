"""What the tests of a rule notice: each change of mutants.py is made, and the rule's tests run again.

What no test notices is a judgement that nobody has written down: who changes it by mistake will not hear of it. The
variants of a rule run side by side in one core; a variant with features of its own has a core to itself.
"""

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from engine.progress import Progress
from engine.setup import Setup, read_setup
from replay.workbench import ruletests, suggesting
from replay.workbench.mutants import DOWN, KINDS, NUMBER, UP, Maker, Mutant, Trial, Variant
from rules import pack as packs
from rules.conditions import only_used_by
from rules.definitions import Rule
from rules.features import Source

_MANY: Final = {
    "number": "numbers",
    "condition": "conditions",
    "exception": "exceptions",
    "action": "actions",
}


@dataclass(slots=True)
class Verdict:
    """What the tests of one rule notice; nothing was tried where a test fails as it is.

    others : conditions, exceptions and actions
    n_same : changes that were left out, because they provably change nothing
    """

    rule: str
    n_tests: int
    trials: list[Trial] = field(default_factory=list)
    others: list[Mutant] = field(default_factory=list)
    failures: int = 0
    n_same: int = 0

    @property
    def is_fine(self) -> bool:
        """Whether its tests pass, and pin a number if it has any."""
        return not self.failures and (not self.trials or any(t.is_pinned for t in self.trials))

    @property
    def mutants(self) -> list[Mutant]:
        """Every change that was tried, numbers first."""
        moved = [m for t in self.trials for m in t.sides if m is not None]
        return [m for m in (*moved, *self.others) if m.noticed is not None]


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the changes that were tried a test noticed."""

    noticed: int
    tried: int

    @property
    def percent(self) -> float:
        """100 where there was nothing to try."""
        return 100.0 * self.noticed / self.tried if self.tried else 100.0

    @classmethod
    def of(cls, verdicts: Iterable[Verdict], kinds: Collection[str] = KINDS) -> "Score":
        """The score over the changes of some kinds."""
        noticed = [m.noticed for v in verdicts for m in v.mutants if m.kind in kinds]
        return cls(sum(map(bool, noticed)), len(noticed))


@dataclass(slots=True)
class _Bench:
    """What trying rules takes; each process reads its own."""

    setup: Setup
    maker: Maker
    own: dict[str, list[Source]]

    @classmethod
    def read(cls, paths: Sequence[Path], config: Path) -> "_Bench":
        setup = read_setup(config, pack_paths=paths)
        loaded = packs.load(setup.configuration.pack_paths, setup.schema, setup.rates)
        workshop = loaded.workshop
        assert workshop is not None, "the same packs have just been read without an error"
        own = only_used_by(workshop.nodes, workshop.head.names.sources)
        return cls(setup, Maker(setup.pack, workshop), own)

    def rules(self) -> dict[str, Rule]:
        return {rule.id: rule for rule in self.setup.pack.rules}


def run(
    paths: Sequence[Path], config: Path, only: Collection[str] = (), *, jobs: int = 1
) -> list[Verdict]:
    """Try every change to the rules of the packs, or of those named `only`; a progress bar on a terminal.

    jobs : processes that share the work; the verdicts are the same. Raises `ConfigError` if a pack has errors or there
    is no such rule.
    """
    bench = _Bench.read(paths, config)
    rules = ruletests.chosen(bench.setup, paths, only)
    with Progress(len(rules), "rules") as progress:
        if jobs <= 1:
            verdicts = []
            for rule in rules:
                verdicts.append(_try(bench, rule))
                progress.advance(1, rule.id)
            return verdicts
        with ProcessPoolExecutor(
            jobs, get_context("spawn"), initializer=_begin, initargs=(paths, config)
        ) as pool:
            waiting = [pool.submit(_try_named, rule.id) for rule in rules]
            for future, rule in zip(waiting, rules, strict=True):
                future.result()
                progress.advance(1, rule.id)
            return [future.result() for future in waiting]


_BENCH: list[_Bench] = []  # of this process, where it is one of several


def _begin(paths: Sequence[Path], config: Path) -> None:
    _BENCH[:] = [_Bench.read(paths, config)]


def _try_named(rule_id: str) -> Verdict:
    (bench,) = _BENCH
    return _try(bench, bench.rules()[rule_id])


def _try(bench: _Bench, rule: Rule) -> Verdict:
    """Make every change to one rule, and say which of them a test notices."""
    setup = bench.setup
    made = bench.maker.mutants(rule, bench.own.get(rule.id, ()))
    verdict = Verdict(rule.id, len(rule.tests), made.trials, made.others, n_same=made.n_same)
    verdict.failures = sum(
        len(ruletests.run_test(setup, rule, test).failures) for test in rule.tests
    )
    if verdict.failures:
        return verdict
    groups: list[list[Variant]] = []
    for variant in made.variants:
        variant.mutant.noticed = False
        group = next((g for g in groups if g[0].features == variant.features), None)
        if group is None:
            groups.append([variant])
        else:
            group.append(variant)
    for group in groups:
        _run_group(setup, group)
    suggesting.suggest(setup, rule, [m for m in made.others if not m.noticed])
    return verdict


def _run_group(setup: Setup, group: Sequence[Variant]) -> None:
    """Run the tests over variants that share their features, and note which of them a test noticed."""
    features = {**setup.pack.features, **group[0].features}
    setup = replace(setup, pack=replace(setup.pack, features=features))
    left = list(group)
    for test in group[0].rule.tests:
        rules = [replace(v.rule, id=f"{v.rule.id}-{i:04d}") for i, v in enumerate(left)]
        if any(action.kind == "list_add" for action in group[0].rule.actions):
            results = [ruletests.run_test(setup, rule, test) for rule in rules]  # each its own rows
        else:
            results = ruletests.run_variants(setup, rules, test)
        for variant, result in zip(left, results, strict=True):
            variant.mutant.noticed = not result.is_fine
        left = [v for v in left if not v.mutant.noticed]
        if not left:
            return


def report(verdicts: Iterable[Verdict]) -> str:
    """A line for each rule, its numbers as a table, what no test notices, and the mutation score."""
    verdicts = list(verdicts)
    lines: list[str] = []
    for verdict in verdicts:
        lines.append(f"{verdict.rule:24s} {verdict.n_tests} tests  {_in_a_word(verdict)}")
        if not verdict.failures:
            lines += _table(verdict.trials)
    tried = [v for v in verdicts if not v.failures]
    lines += _one_way(tried)
    open_ = [(v, m) for v in tried for m in v.others if m.noticed is False]
    if open_:
        lines.append("Not pinned (make the change, and every test still passes):")
    for verdict, mutant in open_:
        text = mutant.text if len(mutant.text) <= 60 else mutant.text[:57] + "..."
        lines.append(
            f'    {verdict.rule}  {mutant.called}: "{text}" {mutant.change}  {mutant.place}'
        )
        lines.append(f"        suggested event: {mutant.hint}")
    return "\n".join([*lines, *_totals(verdicts, tried)])


def _one_way(tried: Sequence[Verdict]) -> list[str]:
    """The thresholds that are open on one side."""
    found = [
        (v.rule, t) for v in tried for t in v.trials if t.is_pinned and not t.is_pinned_both_ways
    ]
    lines = []
    for rule, trial in found:
        n, moved = trial.number, trial.moved[trial.noticed.index(False)]
        lines.append(f"    {rule}  {n.called} {n.text}  {n.place}  {moved} goes unnoticed")
    head = "For information, pinned one way only (a test just on the other side is missing):"
    return [head, *lines] if lines else []


def _totals(verdicts: Sequence[Verdict], tried: Sequence[Verdict]) -> list[str]:
    trials = [t for v in tried for t in v.trials]
    n_pinned = sum(t.is_pinned for t in trials)
    n_both = sum(t.is_pinned_both_ways for t in trials)
    n_bare, n_loose = sum(not v.trials for v in verdicts), sum(not v.is_fine for v in verdicts)
    n_same = sum(v.n_same for v in tried)
    score = Score.of(tried)
    kinds = ((_MANY[kind], Score.of(tried, {kind})) for kind in KINDS)
    parts = ", ".join(f"{name} {s.noticed:,} of {s.tried:,}" for name, s in kinds if s.tried)
    same = f"  {n_same} more provably change nothing and do not count." if n_same else ""
    return [
        (
            f"{len(verdicts)} rules, {len(trials)} numbers: {n_pinned} pinned, {n_both} of them both ways, "
            f"{len(trials) - n_pinned} not pinned.  Rules without a number: {n_bare}, without a pinned one: {n_loose}."
        ),
        (
            f"Mutation: {score.noticed:,} of {score.tried:,} changes are noticed by a test, "
            f"{score.percent:.0f} % ({parts}).{same}"
        ),
    ]


def as_json(verdicts: Iterable[Verdict]) -> dict[str, object]:
    """The same for machines."""
    verdicts = list(verdicts)
    tried = [v for v in verdicts if not v.failures]
    score = Score.of(tried)
    return {
        "score": {"noticed": score.noticed, "tried": score.tried, "percent": score.percent},
        "rules": [
            {
                "rule": v.rule,
                "tests": v.n_tests,
                "failures": v.failures,
                "same": v.n_same,
                "mutants": [
                    {
                        "kind": m.kind,
                        "called": m.called,
                        "text": m.text,
                        "place": str(m.place),
                        "change": m.change,
                        "noticed": m.noticed,
                        "hint": m.hint,
                    }
                    for m in v.mutants
                ],
            }
            for v in verdicts
        ],
    }


def _in_a_word(verdict: Verdict) -> str:
    if verdict.failures:
        n = verdict.failures
        many = "1 expectation fails" if n == 1 else f"{n} expectations fail"
        return f"FAIL  its tests fail without any change ({many}), so nothing was tried: see weir rules test"
    score = Score.of([verdict], set(KINDS) - {NUMBER})
    others = f"{score.noticed} of {score.tried} other changes noticed"
    if not verdict.trials:
        return f"no number, {others}"
    n = sum(t.is_pinned for t in verdict.trials)
    word = "ok" if verdict.is_fine else "FAIL"
    return f"{word}  {n} of {len(verdict.trials)} numbers pinned, {others}"


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
