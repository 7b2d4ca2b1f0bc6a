"""What rules said over a stretch of traffic, as columns: gathered batch by batch from the outcomes of a core.

A `Tally` looks at no text that the engine writes but commands and alarms. One entry a match (a rule whose condition
held for an event), one a transaction, and counts of the rest. What labels make of it: replay/workbench/scorecard.py.

Alerts are counted as the rule's `dedup` groups its matches, whatever people did with alerts while the traffic was
recorded, and whether or not the rule may raise any: so a shadow rule and a variant of a rule count like a live one.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.decisions import DECISIONS
from engine.alerts import SEPARATOR
from engine.batch import ACTIVITY, TRANSACTION
from engine.core import Core, Outcome
from engine.restrictions import BLOCKING
from engine.verdict import FIRES
from rules.columns import Place
from rules.definitions import Rule

B1: TypeAlias = NDArray[np.bool_]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I4: TypeAlias = NDArray[np.int32]
I8: TypeAlias = NDArray[np.int64]

# What became of a match.
FIRED: Final = 0  # as a live rule, or as the shadow rule that it is
EXCEPTED: Final = 1
SUPPRESSED: Final = 2
OUTSIDE: Final = 3  # of the rule's rollout
MISSED: Final = 4  # no match: undecided, and `if_undecided` gives points for that
ALONE: Final = -1  # the group of a match that no `dedup` groups
_CAP_REACHED: Final = b'"reason":"CAP_REACHED"'


class _Command(msgspec.Struct):
    verb: str = ""
    rule: str | None = None
    level: str | None = None


class _Alarm(msgspec.Struct):
    cap: str = ""
    core_time: str = ""


@dataclass(slots=True)
class Matches:
    """One entry a match, in order of seq, then rule.

    seq, time_us, row_us : of the event; time_us its event time
    rule     : place of the rule among those that are not off
    outcome  : FIRED, EXCEPTED, SUPPRESSED, OUTSIDE or MISSED
    alert    : number of the alert it belongs to, -1 where the outcome is none
    identity : of the transaction (see `identity`), 0 of an activity
    amount   : minor units, NaN where it is missing
    points   : of the rule, 0 where its score is missing
    segment  : code of the segment column, -1 missing
    is_payment : False of an activity
    """

    seq: I8
    time_us: I8
    rule: I8
    outcome: I8
    alert: I8
    identity: I8
    amount: F8
    points: F8
    segment: I8
    is_payment: B1

    def take(self, rows: B1) -> "Matches":
        return Matches(*(getattr(self, name)[rows] for name in _COLUMNS))


_COLUMNS: Final = tuple(Matches.__dataclass_fields__)


@dataclass(slots=True)
class Payments:
    """One entry a transaction that was decided: event time, identity, amount in minor units (NaN missing)."""

    time_us: I8
    identity: I8
    amount: F8


def identity(account: str | None, transaction_id: str | None) -> int:
    """64 bits, signed, that stand for a transaction; among 10^7, two share theirs in one recording of 400,000."""
    text = f"{account}{SEPARATOR}{transaction_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little", signed=True)


@dataclass(slots=True)
class Counts:
    """What is counted beside matches.

    events, payments : in the period: transactions and activities, and transactions alone
    evaluated        : rule -> events that its `on` and its dates let it look at
    together         : events that at least one of the rules in question looked at
    undecided        : (rule, what was missing) -> events
    decisions        : name -> transactions
    imposed          : (rule, what) -> restrictions, notifications and additions to lists that were put out
    capped           : key of a cap -> how often it withheld something
    cap_hours        : key of a cap -> when operations would have heard of it, at most once an hour
    degraded         : rule -> matches whose score missed a field
    held             : rule that is only counted -> events that its condition held for
    first_us, last_us : the oldest and the newest event counted
    end_us           : core time when the recording ended
    """

    events: int = 0
    payments: int = 0
    evaluated: Counter[str] = field(default_factory=Counter)
    together: int = 0
    undecided: Counter[tuple[str, str]] = field(default_factory=Counter)
    undecided_events: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    imposed: Counter[tuple[str, str]] = field(default_factory=Counter)
    capped: Counter[str] = field(default_factory=Counter)
    cap_hours: dict[str, list[str]] = field(default_factory=dict)
    degraded: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    first_us: int = 0
    last_us: int = 0
    end_us: int = 0


class Tally:
    """Gather what the rules of a core say of events from `from_us` on; call it with every outcome, in order.

    tested  : ids of the rules that the question is about; all are gathered
    segment : a column of codes by which matches are split, "" for none
    keeps_ids : `transaction_ids` tells the id of each match, by seq
    only_counted : ids of rules whose matches are counted and not gathered
    """

    def __init__(
        self,
        core: Core,
        tested: Collection[str],
        *,
        from_us: int | None = None,
        segment: str = "",
        keeps_ids: bool = False,
        only_counted: Collection[str] = (),
    ) -> None:
        self.rules: tuple[Rule, ...] = core.ruleset.rules
        self.counts = Counts()
        self.transaction_ids: dict[int, str] = {}
        self._keeps_ids = keeps_ids
        self._core = core
        self._tested = np.array([rule.id in tested for rule in self.rules], np.bool_)
        counted = [k for k, rule in enumerate(self.rules) if rule.id in only_counted]
        self._counted = np.array(counted, np.int64)
        self._skipped = frozenset(counted)
        self._from_us = from_us
        self._segment = segment
        self._dedup: list[tuple[Place, ...]] = [
            tuple(core.layout[name] for name in rule.dedup_by) for rule in self.rules
        ]
        self._missed = [
            rule.if_undecided.score if rule.if_undecided else 0.0 for rule in self.rules
        ]
        self._groups: dict[tuple[object, ...], tuple[int, int]] = {}
        self._n_alerts = 0
        self._by_type: Counter[int] = Counter()
        self._dated: Counter[int] = Counter()
        self._together = self._types_together()
        self._parts: list[Matches] = []
        self._payments: list[Payments] = []
        self._finished: tuple[Matches, Payments] | None = None

    def follow(self, core: Core) -> None:
        """Go on with another core of the same rules: its lists are others."""
        assert [rule.id for rule in core.ruleset.rules] == [rule.id for rule in self.rules]
        self._core = core

    def __call__(self, outcome: Outcome) -> None:
        """Take one batch."""
        batch, frame = outcome.batch, outcome.frame
        kind, time_us = batch.kind, batch.event_time_us
        payments, judged = kind == TRANSACTION, (kind == TRANSACTION) | (kind == ACTIVITY)
        if self._from_us is not None:
            inside = time_us >= self._from_us
            payments, judged = payments & inside, judged & inside
        self.counts.end_us = max(self.counts.end_us, self._core.core_us)
        n = int(judged.sum())
        if n:
            counts = self.counts
            first, last = int(time_us[judged].min()), int(time_us[judged].max())
            counts.first_us = min(counts.first_us, first) if counts.events else first
            counts.last_us = max(counts.last_us, last)
            counts.events += n
            counts.payments += int(payments.sum())
            decided = np.bincount(outcome.decided.decision[payments] + 1, minlength=6)[1:].tolist()
            counts.decisions.update(
                {name: many for name, many in zip(DECISIONS, decided, strict=False) if many}
            )
            self._count_types(frame.column("type"), time_us, judged)
            self._count_undecided(outcome, judged, payments)
            self._count_held(outcome, judged)
            self._take_payments(outcome, payments)
        self._take_matches(outcome, judged)
        if n:
            self._take_actions(outcome)

    # One batch

    def _count_types(self, types: NDArray[Any], time_us: I8, judged: B1) -> None:
        """Count events by type, and for rules with dates those inside them."""
        here = types[judged]
        for code, many in enumerate(np.bincount(here + 1).tolist()):
            if many:
                self._by_type[code - 1] += many
        for k, rule in enumerate(self.rules):
            low, high = rule.effective_from_us, rule.effective_until_us
            if low is None and high is None:
                continue
            dated = judged & np.isin(types, self._codes(rule.on))
            if low is not None:
                dated &= time_us >= low
            if high is not None:
                dated &= time_us < high
            self._dated[k] += int(dated.sum())

    def _codes(self, names: Iterable[str]) -> list[int]:
        dictionary = self._core.dictionaries[self._core.layout["type"].dictionary]
        return [code for name in names if (code := dictionary.find(name)) >= 0]

    def _types_together(self) -> frozenset[str]:
        return frozenset(
            name
            for rule, is_tested in zip(self.rules, self._tested.tolist(), strict=True)
            if is_tested
            for name in rule.on
        )

    def _count_undecided(self, outcome: Outcome, judged: B1, payments: B1) -> None:
        truth = outcome.judgement.truth
        missing = (truth != 0) & (truth != FIRES) & judged
        if not missing.any():
            return
        self.counts.undecided_events += int(missing[self._tested].any(axis=0).sum())
        rules, rows = np.nonzero(missing)
        states = truth[rules, rows].astype(np.int64)
        found, many = np.unique(rules * (FIRES + 1) + states, return_counts=True)
        for key, count in zip(found.tolist(), many.tolist(), strict=True):
            k, state = divmod(key, FIRES + 1)
            name = self._core.ruleset.because(k, state)
            self.counts.undecided[self.rules[k].id, name] += count
        for k in np.unique(rules).tolist():
            if self._missed[k]:
                self._take_missed(outcome, k, np.flatnonzero(missing[k] & payments))

    def _count_held(self, outcome: Outcome, judged: B1) -> None:
        if len(self._counted):
            held = (outcome.judgement.truth[self._counted] == FIRES) & judged
            for k, many in zip(self._counted.tolist(), held.sum(axis=1).tolist(), strict=True):
                self.counts.held[self.rules[k].id] += many

    def _take_missed(self, outcome: Outcome, k: int, rows: I8) -> None:
        inside = outcome.judgement.in_rollout
        if inside is not None:
            rows = rows[inside[k, rows]]
        n = len(rows)
        points = np.full(n, self._missed[k])
        rules = np.full(n, k, np.int64)
        self._add(outcome, rows, rules, np.full(n, MISSED), np.full(n, ALONE), points)

    def _take_payments(self, outcome: Outcome, payments: B1) -> None:
        batch = outcome.batch
        rows = np.flatnonzero(payments)
        accounts, ids = batch.account, batch.transaction_id
        self._payments.append(
            Payments(
                batch.event_time_us[rows],
                np.fromiter(
                    (identity(accounts[i], ids[i]) for i in rows.tolist()), np.int64, len(rows)
                ),
                outcome.frame.column("amount")[rows].astype(np.float64),
            )
        )

    def _take_matches(self, outcome: Outcome, judged: B1) -> None:
        """Take every match; those before the period open groups too, and are not kept."""
        found = outcome.decided.matches
        if self._skipped:
            found = [match for match in found if match.place not in self._skipped]
        if not found:
            return
        order = sorted((match.row, match.place, match.outcome) for match in found)
        rollout = outcome.judgement.in_rollout
        core_us = outcome.admitted.core_us
        n = len(order)
        rows, rules = np.empty(n, np.int64), np.empty(n, np.int64)
        outcomes, alerts = np.empty(n, np.int64), np.empty(n, np.int64)
        for i, (row, k, said) in enumerate(order):
            rows[i], rules[i], alerts[i] = row, k, ALONE
            if said == "excepted":
                outcomes[i] = EXCEPTED
            elif said == "suppressed":
                outcomes[i] = SUPPRESSED
            elif rollout is not None and not rollout[k, row]:
                outcomes[i] = OUTSIDE
            else:
                outcomes[i] = FIRED
                alerts[i] = self._alert(outcome, row, k, int(core_us[row]))
        kept = judged[rows]
        rows, rules = rows[kept], rules[kept]
        points = outcome.judgement.score[rules, rows]
        for k in rules[np.isnan(points)].tolist():
            self.counts.degraded[self.rules[k].id] += 1
        self._add(outcome, rows, rules, outcomes[kept], alerts[kept], np.nan_to_num(points))

    def _alert(self, outcome: Outcome, row: int, k: int, now_us: int) -> int:
        """Number of the alert that a match joins or opens, as engine/alerts.py groups them."""
        key: list[object] = [k]
        frame = outcome.frame
        for place in self._dedup[k]:
            value = frame.code[place.row, row] if place.is_code else frame.number[place.row, row]
            if (place.is_code and value < 0) or value != value:  # noqa: PLR0124
                key = [k]
                break
            key.append(value.item())
        if len(key) > 1:
            number, until_us = self._groups.get(tuple(key), (ALONE, 0))
            if number != ALONE and now_us < until_us:
                return number
            self._groups[tuple(key)] = self._n_alerts, now_us + self.rules[k].dedup_for_us
        self._n_alerts += 1
        return self._n_alerts - 1

    def _add(
        self, outcome: Outcome, rows: I8, rules: I8, outcomes: I8, alerts: I8, points: F8
    ) -> None:
        if not len(rows):
            return
        batch, frame = outcome.batch, outcome.frame
        is_payment = batch.kind[rows] == TRANSACTION
        accounts, ids = batch.account, batch.transaction_id
        if self._keeps_ids:
            for i in rows.tolist():
                if (id_ := ids[i]) is not None:
                    self.transaction_ids[batch.seq0 + i] = id_
        segment = np.full(len(rows), -1, np.int64)
        if self._segment:
            segment = frame.column(self._segment)[rows].astype(np.int64)
        self._parts.append(
            Matches(
                batch.seq0 + rows,
                batch.event_time_us[rows],
                rules,
                outcomes,
                alerts,
                np.array(
                    [
                        identity(accounts[i], ids[i]) if pays else 0
                        for i, pays in zip(rows.tolist(), is_payment.tolist(), strict=True)
                    ],
                    np.int64,
                ),
                frame.column("amount")[rows].astype(np.float64),
                points,
                segment,
                is_payment,
            )
        )

    def _take_actions(self, outcome: Outcome) -> None:
        """Count what was put out in the engine's name, and what caps withheld."""
        counts = self.counts
        for line in outcome.streams.get("commands", b"").splitlines():
            command = _COMMAND(line)
            if command.rule is None or command.verb in ("release", "expired"):
                continue
            what = command.verb
            if command.verb == "restrict":
                what = "freeze" if command.level in BLOCKING else f"restrict {command.level}"
            counts.imposed[command.rule, what] += 1
        counts.capped.update(outcome.decided.counts.get("capped", {}))
        for line in outcome.streams.get("alerts", b"").splitlines():
            if _CAP_REACHED in line:
                alarm = _ALARM(line)
                counts.cap_hours.setdefault(alarm.cap, []).append(alarm.core_time)

    # When all is taken

    def finish(self) -> tuple[Matches, Payments]:
        """Everything gathered; nothing is taken afterwards."""
        if self._finished is None:
            counts = self.counts
            dictionary = self._core.dictionaries[self._core.layout["type"].dictionary]
            by_name = {
                dictionary.texts[code]: many for code, many in self._by_type.items() if code >= 0
            }
            counts.together = sum(many for name, many in by_name.items() if name in self._together)
            for k, rule in enumerate(self.rules):
                is_dated = rule.effective_from_us is not None or rule.effective_until_us is not None
                seen = sum(by_name.get(name, 0) for name in rule.on)
                counts.evaluated[rule.id] = self._dated[k] if is_dated else seen
            matches = Matches(*(_joined(self._parts, name) for name in _COLUMNS))
            order = np.lexsort((matches.rule, matches.seq))
            matches = Matches(*(getattr(matches, name)[order] for name in _COLUMNS))
            payments = Payments(
                *(_joined(self._payments, name) for name in Payments.__dataclass_fields__)
            )
            self._parts, self._payments = [], []
            self._finished = matches, payments
        return self._finished

    @property
    def has_segments(self) -> bool:
        return bool(self._segment)

    def segment_text(self, code: int) -> str:
        """The text of a segment code, for people."""
        if code < 0:
            return "missing"
        place = self._core.layout[self._segment]
        return self._core.dictionaries[place.dictionary].texts[code]


_COMMAND = msgspec.json.Decoder(_Command).decode
_ALARM = msgspec.json.Decoder(_Alarm).decode
_KINDS: Final[Mapping[str, type]] = {
    "amount": np.float64,
    "points": np.float64,
    "is_payment": np.bool_,
}


def _joined(parts: Sequence[Any], name: str) -> NDArray[Any]:
    """One column of all parts together."""
    if not parts:
        return np.zeros(0, _KINDS.get(name, np.int64))
    return np.concatenate([getattr(part, name) for part in parts])
