"""What labels make of a tally: alerts, frauds, precision, money, overlap, per rule and for all rules together.

An alert counts as fraud if one of the transactions in it was. Recall and money go by transaction: the share of all
labelled frauds of the period that the rule held for, and what they were worth.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from replay.workbench.tally import EXCEPTED, FIRED, MISSED, OUTSIDE, SUPPRESSED, Matches, Tally
from replay.workbench.verdicts import LabelBook, Verdicts
from rules.definitions import Pack, Rule

B1: TypeAlias = NDArray[np.bool_]
F8: TypeAlias = NDArray[np.float64]
I8: TypeAlias = NDArray[np.int64]

DAY_US: Final = 86_400_000_000
SCORES: Final = tuple(range(0, 1000, 100))  # lower ends of the shown ranges of scores above 0
ASKING: Final = ("hold", "challenge", "decline")  # actions that ask for something at each match


@dataclass(slots=True)
class Figures:
    """What one rule did, or all rules together (`rule` is "").

    matches        : events it held for, within its rollout, not excepted and not suppressed
    alerts         : those, as its `dedup` groups them
    fraud, other   : alerts with a fraud in them, and without
    frauds         : matched transactions that were frauds
    recall         : share of the labelled frauds; None: there are none
    value_caught   : what the matched frauds were worth, minor units
    not_already    : matched frauds, and their worth, that no live rule but this one held for
    overlap        : live rule -> events that both held for
    reporting      : the same of rules that only report: they catch nothing
    segments       : segment -> alerts with fraud, alerts
    actions        : what would have been done -> how often
    capped         : key of a cap -> what it withheld
    cap_hours      : key of a cap -> hours in which it was reached
    """

    rule: str
    version: int = 0
    mode: str = ""
    evaluated: int = 0
    undecided: dict[str, int] = field(default_factory=dict)
    excepted: int = 0
    suppressed: int = 0
    outside: int = 0
    degraded: int = 0
    matches: int = 0
    alerts: int = 0
    fraud: int = 0
    other: int = 0
    precision: float | None = None
    frauds: int = 0
    recall: float | None = None
    value_caught: int = 0
    per_day: float = 0.0
    not_already: tuple[int, int] = (0, 0)
    overlap: dict[str, int] = field(default_factory=dict)
    reporting: dict[str, int] = field(default_factory=dict)
    segments: dict[str, tuple[int, int]] = field(default_factory=dict)
    actions: dict[str, int] = field(default_factory=dict)
    capped: dict[str, int] = field(default_factory=dict)
    cap_hours: dict[str, int] = field(default_factory=dict)

    @property
    def n_undecided(self) -> int:
        return sum(self.undecided.values())


@dataclass(slots=True)
class Card:
    """The figures of one pack over one stretch of traffic.

    decisions     : of all transactions, as if live; name -> how many
    scores        : lower end of a range of scores -> transactions, as if every rule were live
    scores_shadow : the same, rules in shadow left out
    """

    n_events: int
    n_payments: int
    n_frauds: int
    first_us: int
    last_us: int
    days: float
    evaluated: int
    undecided: int
    undecided_for: dict[str, int]
    excepted: int
    mature_to_us: int | None
    rules: list[Figures]
    together: Figures
    decisions: dict[str, int]
    scores: dict[int, int]
    scores_shadow: dict[int, int]

    def as_dict(self) -> dict[str, Any]:
        """For machines; ranges of scores by their lower end, "-1" for a score of 0."""
        ranges = {
            name: {str(low): many for low, many in getattr(self, name).items()}
            for name in ("scores", "scores_shadow")
        }
        found = asdict(self) | ranges
        for figures in (*found["rules"], found["together"]):
            if not figures["reporting"]:
                del figures["reporting"]  # results of before had none, and keep their hash
        return found


def card(
    tally: Tally,
    pack: Pack,
    book: LabelBook,
    *,
    tested: Sequence[str],
    modes: Mapping[str, str],
    days: float | None = None,
    live_then: Mapping[int, tuple[str, ...]] | None = None,
) -> Card:
    """Hold a finished tally against the verdicts.

    tested    : ids of the rules to tell about
    modes     : the mode of each rule as its pack says, whatever it ran as
    days      : length of the period; None: from the first to the last event
    live_then : seq -> live rules that fired when the traffic was recorded; None: the live rules of the pack
    """
    matches, payments = tally.finish()
    counts = tally.counts
    verdicts = book.of(payments, counts.end_us)
    frauds = payments.identity[verdicts.is_fraud]
    if days is None:
        days = counts.last_us // DAY_US - counts.first_us // DAY_US + 1 if counts.events else 0
    context = _Context(
        tally, verdicts, np.isin(matches.identity, frauds) & matches.is_payment, days, dict(modes)
    )
    context.learn_live(matches, live_then)
    by_id = {rule.id: k for k, rule in enumerate(tally.rules)}
    tried = [k for id_, k in by_id.items() if id_ not in modes]  # variants: no rules of the pack
    chosen = [id_ for id_ in tested if id_ in by_id]
    figures = [_figures(context, matches, by_id[id_]) for id_ in chosen]
    undecided = Counter[str]()
    for (rule, name), many in counts.undecided.items():
        if rule in chosen:
            undecided[name] += many
    return Card(
        n_events=counts.events,
        n_payments=counts.payments,
        n_frauds=int(verdicts.is_fraud.sum()),
        first_us=counts.first_us,
        last_us=counts.last_us,
        days=days,
        evaluated=counts.together,
        undecided=counts.undecided_events,
        undecided_for=_by_size(undecided),
        excepted=sum(f.excepted for f in figures),
        mature_to_us=verdicts.mature_to_us,
        rules=figures,
        together=_together(context, matches, [by_id[id_] for id_ in chosen]),
        decisions=dict(counts.decisions),
        scores=_scores(matches, tally.rules, pack, counts.payments, tried),
        scores_shadow=_scores(
            matches,
            tally.rules,
            pack,
            counts.payments,
            [*tried, *(k for id_, k in by_id.items() if modes.get(id_, "live") != "live")],
        ),
    )


@dataclass(slots=True)
class _Context:
    """What the figures of every rule are made from."""

    tally: Tally
    verdicts: Verdicts
    is_fraud: B1  # of each match
    days: float
    modes: dict[str, str]
    live: dict[str, I8] = field(default_factory=dict)  # live rule -> seqs it fired at, ascending

    def learn_live(self, matches: Matches, live_then: Mapping[int, tuple[str, ...]] | None) -> None:
        if live_then is not None:
            seqs: dict[str, list[int]] = {}
            for seq, rules in sorted(live_then.items()):
                for rule in rules:
                    seqs.setdefault(rule, []).append(seq)
            self.live = {rule: np.array(at, np.int64) for rule, at in seqs.items()}
            return
        for k, known in enumerate(self.tally.rules):
            if self.modes.get(known.id, "") == "live":
                fired = (matches.rule == k) & (matches.outcome == FIRED)
                self.live[known.id] = matches.seq[fired]


def _figures(context: _Context, matches: Matches, k: int) -> Figures:
    rule, counts = context.tally.rules[k], context.tally.counts
    of_rule = matches.rule == k
    outcome = np.bincount(matches.outcome[of_rule], minlength=MISSED + 1)
    fired = of_rule & (matches.outcome == FIRED)
    figures = Figures(
        rule.id,
        rule.version,
        context.modes.get(rule.id, rule.mode),
        evaluated=counts.evaluated[rule.id],
        undecided=_by_size({n: m for (r, n), m in counts.undecided.items() if r == rule.id}),
        excepted=int(outcome[EXCEPTED]),
        suppressed=int(outcome[SUPPRESSED]),
        outside=int(outcome[OUTSIDE]),
        degraded=counts.degraded[rule.id],
    )
    _measure(context, matches, fired, figures)
    seq = matches.seq[fired]
    others = {name: at for name, at in context.live.items() if name != rule.id}
    shared = {name: int(np.isin(seq, at).sum()) for name, at in others.items()}
    silent = {known.id for known in context.tally.rules if known.only_reports}
    both = {name: many for name, many in shared.items() if many}
    figures.overlap = _by_size({name: many for name, many in both.items() if name not in silent})
    figures.reporting = _by_size({name: many for name, many in both.items() if name in silent})
    fresh = fired & context.is_fraud
    for name in figures.overlap:
        fresh[fired] &= ~np.isin(seq, others[name])
    figures.not_already = int(fresh.sum()), _worth(matches, fresh)
    figures.segments = _segments(context, matches, fired)
    figures.actions = _actions(context, matches, fired, rule)
    mine = f"{rule.id}:"
    figures.capped = {key: many for key, many in counts.capped.items() if key.startswith(mine)}
    figures.cap_hours = {
        key: len(hours) for key, hours in counts.cap_hours.items() if key.startswith(mine)
    }
    return figures


def _together(context: _Context, matches: Matches, places: Collection[int]) -> Figures:
    """All chosen rules: alerts of each, but each event and each fraud once."""
    counts = context.tally.counts
    fired = np.isin(matches.rule, np.array(sorted(places), np.int64)) & (matches.outcome == FIRED)
    figures = Figures("")
    _measure(context, matches, fired, figures)
    figures.segments = _segments(context, matches, fired)
    actions = Counter[str]()
    for k in places:
        of_rule = fired & (matches.rule == k)
        actions.update(_actions(context, matches, of_rule, context.tally.rules[k]))
    figures.actions = dict(actions)
    figures.capped = dict(counts.capped)
    figures.cap_hours = {key: len(hours) for key, hours in counts.cap_hours.items()}
    return figures


def _measure(context: _Context, matches: Matches, fired: B1, figures: Figures) -> None:
    """Alerts and frauds among the matches `fired`; each event once."""
    seq, first = np.unique(matches.seq[fired], return_index=True)
    at = np.flatnonzero(fired)[first]
    figures.matches = len(seq)
    figures.alerts = len(np.unique(matches.alert[fired]))
    figures.fraud = len(np.unique(matches.alert[fired & context.is_fraud]))
    figures.other = figures.alerts - figures.fraud
    figures.precision = figures.fraud / figures.alerts if figures.alerts else None
    once = np.zeros(len(fired), np.bool_)
    once[at] = True
    caught = once & context.is_fraud
    n_frauds = int(context.verdicts.is_fraud.sum())
    figures.frauds = int(caught.sum())
    figures.recall = figures.frauds / n_frauds if n_frauds else None
    figures.value_caught = _worth(matches, caught)
    figures.per_day = figures.alerts / context.days if context.days else 0.0


def _worth(matches: Matches, rows: B1) -> int:
    return int(np.nansum(matches.amount[rows]))


def _segments(context: _Context, matches: Matches, fired: B1) -> dict[str, tuple[int, int]]:
    """Segment -> alerts with fraud, alerts; an alert counts in the segment of its first match."""
    if not context.tally.has_segments or not fired.any():
        return {}
    alerts, first = np.unique(matches.alert[fired], return_index=True)
    segment = matches.segment[fired][first]
    with_fraud = np.isin(alerts, matches.alert[fired & context.is_fraud])
    found = {
        context.tally.segment_text(code): (
            int(with_fraud[segment == code].sum()),
            int((segment == code).sum()),
        )
        for code in np.unique(segment).tolist()
    }
    return dict(sorted(found.items()))


def _actions(context: _Context, matches: Matches, fired: B1, rule: Rule) -> dict[str, int]:
    """What the matches of a rule would have done, less what caps withheld."""
    counts = context.tally.counts
    told = Counter({what: many for (id_, what), many in counts.imposed.items() if id_ == rule.id})
    n_payments = int((fired & matches.is_payment).sum())
    for place, action in enumerate(rule.actions):
        if action.kind in ASKING and rule.mode == "live":  # as it ran
            told[action.kind] += n_payments - counts.capped.get(f"{rule.id}:{place}", 0)
    return {what: many for what, many in sorted(told.items()) if many}


def _scores(
    matches: Matches, rules: Sequence[Rule], pack: Pack, n_payments: int, left_out: Sequence[int]
) -> dict[int, int]:
    """Transactions by range of the combined score: 0 by itself, then steps of 100; the last includes 1000."""
    counts = (matches.outcome == FIRED) | (matches.outcome == MISSED)
    counts &= matches.is_payment & ~np.isin(matches.rule, np.array(left_out, np.int64))
    silent = np.array([k for k, rule in enumerate(rules) if rule.only_reports], np.int64)
    counts &= ~np.isin(matches.rule, silent)
    found = {-1: n_payments}
    if counts.any():
        total = combined(matches.seq[counts], matches.points[counts], pack.combine)
        above = total[total > 0.0]
        found[-1] = n_payments - len(above)
        step = np.minimum(above // 100, len(SCORES) - 1).astype(np.int64)
        steps = np.bincount(step, minlength=len(SCORES)).tolist()
        found |= {low: many for low, many in zip(SCORES, steps, strict=True) if many}
    return found


def combined(seq: I8, points: F8, combine: str) -> F8:
    """The score of each event in `seq` (ascending) as engine/decision.py combines points, rounded likewise."""
    starts = np.flatnonzero(np.r_[True, seq[1:] != seq[:-1]])
    if combine == "max":
        total = np.maximum.reduceat(points, starts)
    elif combine == "sum":
        total = np.bincount(np.searchsorted(seq[starts], seq), weights=points)
    else:
        assert combine == "noisy_or", combine
        passes = 1.0 - np.clip(points, 0.0, 1000.0) / 1000.0
        total = 1000.0 * (1.0 - np.multiply.reduceat(passes, starts))
    return np.round(np.clip(total, 0.0, 1000.0), 6)


def _by_size(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
