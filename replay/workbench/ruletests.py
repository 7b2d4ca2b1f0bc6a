"""Run the tests that stand inside rules: a timeline of events through the real core, an expectation for each.

A test starts with an empty history that is taken as complete; nothing is required of its events; what the bank decides
about a rule (mode, effective dates, rollout, caps) is set aside, so that only its logic is tested. Each test has a core
of its own that knows one rule, or variants of one. Which numbers of a rule its tests pin: replay/workbench/mutation.py.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np

from config.durations import duration_us
from config.errors import ConfigError
from config.money import exponent
from config.rates import Rates
from engine.clock import SystemClock
from engine.core import Core, Outcome
from engine.outcomes import rfc3339
from engine.progress import Progress
from engine.setup import Setup, read_setup
from replay.workbench import telling
from rules import tree
from rules.columns import is_given
from rules.definitions import Entry, Rule, RuleTest, TestEvent

QUIET, FIRES, UNDECIDED = "quiet", "fires", "undecided"
Look: TypeAlias = Callable[[Core, Outcome, str], None]
_MONEY = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)(?: ([A-Z]{3}))?")


@dataclass(frozen=True, slots=True)
class Failure:
    """One expectation that was not met."""

    place: str
    expected: str
    got: str
    values: tuple[str, ...] = ()  # what the condition read, "name = value"
    event: str = ""  # time, type and amount
    clauses: tuple[telling.Line, ...] = ()  # what each part of the condition said


@dataclass(slots=True)
class Result:
    """One test that ran."""

    rule: str
    test: str
    place: str = ""
    n_expectations: int = 0
    n_undecided: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        return not self.failures


def run(
    packs: Sequence[Path], config: Path, only: Collection[str] = ()
) -> tuple[list[Result], list[str]]:
    """Run every test of the packs, or of the rules named `only`; return results and the rules without any test.

    Packs that these only extend are read, and not tested unless a rule of theirs is named. Raises `ConfigError` if a
    pack has errors.
    """
    clock = SystemClock()
    setup = read_setup(config, pack_paths=packs)
    rules = chosen(setup, packs, only)
    results = []
    with Progress(sum(len(rule.tests) for rule in rules), "tests") as progress:
        for rule in rules:
            for test in rule.tests:
                began_ns = clock.monotonic_ns()
                result = run_test(setup, rule, test)
                result.seconds = (clock.monotonic_ns() - began_ns) / 1e9
                results.append(result)
                progress.advance(1, rule.id)
    return results, [rule.id for rule in rules if not rule.tests]


def chosen(setup: Setup, packs: Sequence[Path], only: Collection[str] = ()) -> list[Rule]:
    """The rules named `only`, else those of the packs named, not of packs that these extend unless overridden."""
    unknown = sorted(set(only) - {rule.id for rule in setup.pack.rules})
    if unknown:
        raise ConfigError(
            f"there is no rule `{unknown[0]}` in the packs", "--rule", fix="see `weir rules check`"
        )
    given = {path.resolve() for path in packs}
    named = {member.name for member in setup.pack.members if member.root.resolve() in given}
    return [
        r for r in setup.pack.rules if (r.id in only if only else not named.isdisjoint(r.packs))
    ]


def run_test(setup: Setup, rule: Rule, test: RuleTest, look: Look | None = None) -> Result:
    """Run one test of one rule; `look` sees what became of each event."""
    return run_variants(setup, [rule], test, look)[0]


def run_variants(
    setup: Setup, rules: Sequence[Rule], test: RuleTest, look: Look | None = None
) -> list[Result]:
    """Run one test over variants of one rule side by side, in one core; ids differ and rise.

    What a rule says depends on no other rule: features read events, and caps are set aside. `look` sees the first.
    """
    core = Core(_alone(setup, rules, test), required=False)
    core.lists.grid = 1  # a row that the rule adds counts at its next event
    results = [Result(rule.id, test.name, str(test.place)) for rule in rules]
    lost_profiles = _take_profiles(core, rules[0], test)
    for result in results:
        result.n_expectations += len(lost_profiles)
        result.failures += lost_profiles
    for number, event in enumerate(test.events):
        message, forced = _message(setup, event, test, number)
        outcome = core.apply([message], [str(event.place)], forced=forced)
        for place, (rule, result) in enumerate(zip(rules, results, strict=True)):
            _expect(core, rule, place, event, outcome, result)
        if look is not None and outcome.batch.n:
            look(core, outcome, _what_happened(outcome, rules[0], 0))
    return results


def _take_profiles(core: Core, rule: Rule, test: RuleTest) -> list[Failure]:
    """Feed the profiles of a test; a failure for each that could not be read."""
    started = [json.dumps(_profile(p, test.start_us)).encode() for p in test.profiles]
    if not started:
        return []
    dead = core.apply(started, ["profile"] * len(started)).batch.dead
    return [
        Failure(
            str(rule.place),
            f"profile {row + 1} to be read",
            f"a dead letter, {lost.reason}: {lost.what}",
        )
        for row, lost in sorted(dead.items())
    ]


def _expect(
    core: Core, rule: Rule, place: int, event: TestEvent, outcome: Outcome, result: Result
) -> None:
    """Compare what became of the rule at `place` on the last row with what the test expects."""
    result.n_expectations += 1
    if dead := outcome.batch.dead.get(0):
        got = f"a dead letter, {dead.reason}: {dead.what}"
        result.failures.append(Failure(str(event.place), event.expect, got))
        return
    got = _what_happened(outcome, rule, place)
    result.n_undecided += got == UNDECIDED
    if got != event.expect and not (event.expect == QUIET and got == UNDECIDED):
        values = tuple(_values(core, rule, outcome))
        told = telling.tell(core, rule, outcome)
        result.failures.append(Failure(str(event.place), event.expect, got, values, *told))
    result.failures += _compare_features(core, event, outcome)
    result.n_expectations += len(event.expect_features)
    if event.expect_actions is not None:
        result.n_expectations += 1
        asked = {a.asked or a.kind for a in rule.actions} if got == FIRES else set()
        if asked != set(event.expect_actions):
            result.failures.append(
                Failure(
                    str(event.place),
                    f"actions {', '.join(event.expect_actions)}",
                    f"actions {', '.join(sorted(asked)) or 'none'}",
                )
            )


def _alone(setup: Setup, rules: Sequence[Rule], test: RuleTest) -> Setup:
    """The setup with these rules, live and unbounded, hermetic lists and rates, and nothing required."""
    lists = {
        name: known.holding(test.lists.get(name, ()))
        if known.origin or name in test.lists
        else known
        for name, known in setup.pack.lists.items()
    }
    pack = replace(
        setup.pack, rules=tuple(map(_unbounded, rules)), lists=lists, max_freezes_per_hour=0
    )
    settings = msgspec.structs.replace(
        setup.configuration.settings,
        jump_max="36500d",
        decisions=msgspec.structs.replace(setup.configuration.settings.decisions, caps=False),
    )
    rates = setup.rates if test.rates is None else Rates.constant(pack.currency, test.rates)
    return replace(
        setup,
        pack=pack,
        rates=rates,
        configuration=replace(setup.configuration, settings=settings),
    )


def _unbounded(rule: Rule) -> Rule:
    actions = tuple(
        replace(a, max_per_hour=1_000_000) if a.max_per_hour else a for a in rule.actions
    )
    return replace(
        rule,
        mode="live",
        effective_from_us=None,
        effective_until_us=None,
        rollout_percent=100.0,
        rollout_by="",
        actions=actions,
    )


def _profile(fields: Mapping[str, Entry], start_us: int) -> dict[str, object]:
    return {"kind": "profile", "event_time": rfc3339(start_us), **fields}


def _message(
    setup: Setup, event: TestEvent, test: RuleTest, number: int
) -> tuple[bytes, dict[str, float]]:
    """The message of a test event, and the model scores it sets."""
    message: dict[str, object] = {"event_time": rfc3339(test.start_us + event.at_us)}
    forced: dict[str, float] = {}
    for name, value in event.fields.items():
        if is_given(name):
            forced[name] = float(str(value))
        elif name == "amount":
            amount, currency = _money(str(value), setup.pack.currency)
            message["amount"] = amount
            message.setdefault("currency", currency)
        else:
            column = setup.schema.columns.get(name)
            message[name] = _value(column.kind if column else "", value, setup.pack.currency)
    type_ = str(message.get("type", ""))
    message.setdefault("kind", setup.schema.event_types.get(type_, "transaction"))
    if message["kind"] == "transaction":
        message.setdefault("transaction_id", f"test-{number}")
        message.setdefault("currency", setup.pack.currency)
    return json.dumps(message).encode(), forced


def _money(text: str, currency: str) -> tuple[str, str]:
    """Amount and currency of a text such as `4_000 EUR`; what is none stays as it is, and the decoder says why."""
    match = _MONEY.fullmatch(text.strip())
    if match is None:
        return text, currency
    amount, named = match[1].replace("_", ""), match[2] or currency
    if len(amount.partition(".")[2]) > exponent(named):  # 4.000 may be meant as four thousand
        return text, named
    return amount, named


def _value(kind: str, value: Entry, currency: str) -> object:
    """A value as it stands in a message: money and numbers without what makes them readable."""
    if not isinstance(value, str):
        return value
    if kind == "money":
        return _money(value, currency)[0]
    if kind in ("number", "geo"):
        try:
            return float(value.replace("_", ""))
        except ValueError:
            return value
    if kind == "flag" and value in ("true", "false"):
        return value == "true"
    return value


def _what_happened(outcome: Outcome, rule: Rule, place: int) -> str:
    """What became of the rule at `place` on the last row."""
    for match in reversed(outcome.decided.matches):
        if match.rule == rule.id:
            return match.outcome
    return UNDECIDED if outcome.judgement.truth[place, -1] else QUIET


def _compare_features(core: Core, event: TestEvent, outcome: Outcome) -> Iterable[Failure]:
    for name, expected in event.expect_features.items():
        got = core.text_of(name, outcome.frame, outcome.batch.n - 1)
        if not _same(core, name, outcome, str(expected), got):
            yield Failure(str(event.place), f"{name} = {expected}", got)


def _same(core: Core, name: str, outcome: Outcome, expected: str, got: str) -> bool:
    """Whether a feature has the value written in the test, in the unit it was written in."""
    place = core.layout[name]
    if place.is_code:
        return got == expected
    value = float(outcome.frame.number[place.row, -1])
    if expected == "missing":
        return bool(np.isnan(value))
    try:
        if place.type.kind == tree.MONEY:
            amount, currency = _money(expected, place.type.detail)
            if currency != place.type.detail:
                return False
            wanted = float(Decimal(amount).scaleb(exponent(currency)))
        elif place.type.kind == tree.DURATION:
            wanted = float(duration_us(expected))
        elif expected.endswith("%"):
            wanted = float(Decimal(expected[:-1]) / 100)
        else:
            wanted = float(expected.replace("_", ""))
    except (InvalidOperation, ValueError):
        return got == expected
    return value == wanted


def _values(core: Core, rule: Rule, outcome: Outcome) -> Iterable[str]:
    """What the condition read on the last row."""
    for name in rule.when.columns():
        yield f"{name} = {core.text_of(name, outcome.frame, outcome.batch.n - 1)}"
