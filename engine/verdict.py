"""What goes into the last stage of the core, what comes out, and what is on its way in between; plain data."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.decisions import (
    APPROVE,
)
from engine.commands import Answer
from engine.outcomes import (
    Streams,
)
from rules.columns import Frame, Place
from rules.definitions import Action, Rule, Template
from rules.texts import DictionaryLike
from rules.tree import Type

B1: TypeAlias = NDArray[np.bool_]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I2: TypeAlias = NDArray[np.int16]
I8: TypeAlias = NDArray[np.int64]

FIRES = 32767  # truth of a rule that fires; 0 does not; else the number of what it misses
NO_DECISION = -2  # of a duplicate: what it repeats is a label or an update


class JudgementLike(Protocol):
    """What rules say, (rules, rows) each; see rules/ruleset.py."""

    truth: I2
    excepted: I2
    score: F8
    in_rollout: B1 | None


class RulesetLike(Protocol):
    """What people are told about a rule's verdict."""

    def because(self, rule_index: int, state: int) -> str: ...

    def text(
        self,
        template: Template,
        frame: Frame,
        row: int,
        dictionaries: Mapping[str, DictionaryLike],
        extra: Mapping[str, str] | None = None,
    ) -> str: ...


class SchemaLike(Protocol):
    """Which columns messages have."""

    @property
    def columns(self) -> Mapping[str, Any]: ...

    def type_of(self, name: str) -> Type: ...


class Match(NamedTuple):
    """One rule whose condition held in one row, and what became of it.

    place   : of the rule in the judgement
    outcome : fires, deduplicated (fires, joined an open group), excepted, suppressed or shadow
    """

    row: int
    place: int
    rule: str
    outcome: str


# input, the feature that says what is normal, how many times it, and that in words by language
Normal: TypeAlias = tuple[str, str, float, Mapping[str, str]]


@dataclass(slots=True)
class DecideInputs:
    """Everything the stage reads of one batch of n rows.

    kind           : (n,) int8   see engine/batch.py
    seq            : (n,) int64
    event_time_us  : (n,) int64  -1 none
    core_us        : (n,) int64  core time once the row is accepted; never falls
    late           : (n,) bool   beyond the lateness
    foreign        : (n,) bool   money in a currency without a rate
    transaction_id, account : n texts, None where there is none
    judgement      : of the rules that are not `off`, in the order of the pack
    models         : name -> (n,) scores rounded to 6 decimals, NaN none; the calibrated champion as `champion`
    explain        : row -> contributions to the champion's score, strongest first
    normal         : row, inputs -> what is normal for those of them that have a baseline (engine/normal.py)
    warming        : ids of rules that read a feature without its full history: they run in shadow
    unscorable     : row -> type ("" unknown) of dead rows that must be answered
    duplicates     : row -> (seq of the first, its decision; -1: it stands in this batch; NO_DECISION: it has none)
    commands       : row -> decoded command
    ends           : row -> (transaction, type) of activities that end a challenge
    config         : hash of the configuration, as it stands in decisions
    partial        : keys by which features are of one partition only, as they stand in decisions
    """

    kind: I1
    seq: I8
    event_time_us: I8
    core_us: I8
    late: B1
    foreign: B1
    transaction_id: Sequence[str | None]
    account: Sequence[str | None]
    frame: Frame
    judgement: JudgementLike
    models: Mapping[str, F8]
    explain: Callable[[int], Sequence[tuple[str, float]]]
    config: str
    normal: Callable[[int, Sequence[str]], Sequence[Normal]] = lambda _row, _names: ()
    warming: frozenset[str] = frozenset()
    unscorable: Mapping[int, str] = field(default_factory=dict)
    duplicates: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    commands: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    ends: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    partial: tuple[str, ...] = ()


@dataclass(slots=True)
class Decided:
    """What the stage says of one batch.

    decision : (n,) int8 severity, see config/decisions.py; -1 where a row gets no decision
    streams  : decisions, alerts, commands, resolutions, reports, duplicates, answers: whole lines, in order
    answers  : row -> answer to its command
    matches  : rules whose condition held, in order
    counts   : decisions, fired, shadow, excepted, suppressed, undecided, degraded, capped, alerts, reports, commands;
               by name
    """

    decision: I1
    streams: dict[str, bytes]
    answers: dict[int, Answer]
    matches: list[Match]
    counts: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Plan:
    """One rule, with what a match of it needs, found once."""

    index: int  # in the judgement
    rule: Rule
    is_live: bool
    missing_score: float  # of if_undecided
    missing_severity: int
    dedup: tuple[Place, ...]
    targets: dict[int, Place]  # place in `actions` -> column of what it restricts
    only_reports: bool = False


@dataclass(slots=True)
class Work:
    """One batch on its way through the stage."""

    inputs: DecideInputs
    n: int
    out: Streams
    decision: I1
    lines: dict[int, str]
    queue: list[int]
    queued: set[int]
    outcomes: dict[int, str]  # row of a duplicate -> what has become of the transaction by then
    answers: dict[int, Answer]
    matches: list[Match]
    counts: dict[str, dict[str, int]]

    def count(self, what: str, name: str, n: int = 1) -> None:
        names = self.counts.setdefault(what, {})
        names[name] = names.get(name, 0) + n

    def enqueue(self, rows: Sequence[int]) -> None:
        for row in rows:
            if row not in self.queued:
                self.queued.add(row)
                heapq.heappush(self.queue, row)


@dataclass(slots=True)
class Verdict:
    """What comes together for one row."""

    scores: list[float] = field(default_factory=list)
    fired: list[tuple[Plan, float]] = field(default_factory=list)
    reported: list[Plan] = field(
        default_factory=list
    )  # rules that only report: no part in the decision
    shadow: list[str] = field(default_factory=list)
    excepted: list[tuple[str, str]] = field(default_factory=list)
    suppressed: list[tuple[str, str]] = field(default_factory=list)
    undecided: list[tuple[str, str]] = field(default_factory=list)
    missing_severity: int = APPROVE  # asked by if_undecided
    missing_weighs: bool = False  # a rule said what its missing field means
    asked: int = APPROVE  # asked by actions, after their own caps
    asking: list[Action] = field(default_factory=list)  # actions that asked, in the order of rules
    implied: int = APPROVE  # by what was restricted
    reasons: set[str] = field(default_factory=set)  # the engine's own
    alerts: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


def combined(combine: str, scores: Sequence[float]) -> float:
    """One score in 0..1000 of the scores of rules, in order of their ids; rounded half to even at 6 decimals.

    combine : sum, max or noisy_or
    """
    if not scores:
        return 0.0
    if combine == "max":
        total = max(scores)
    elif combine == "sum":
        total = 0.0
        for score in scores:
            total += score
    else:
        assert combine == "noisy_or", combine
        passes = 1.0
        for score in scores:
            passes *= 1.0 - min(max(score, 0.0), 1000.0) / 1000.0
        total = 1000.0 * (1.0 - passes)
    return round(min(max(total, 0.0), 1000.0), 6)
