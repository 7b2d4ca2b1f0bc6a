"""What the line of a row says in which no rule fires: nothing, or which rules are undecided.

Most rows are like that, and there are few patterns of undecided rules among them, so each pattern is made once.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.decisions import APPROVE, SEVERITY
from engine.outcomes import DecisionParts
from engine.verdict import Plan, RulesetLike, Verdict, Work, combined
from rules.definitions import Pack

I8: TypeAlias = NDArray[np.int64]

PATTERNS_MAX = (
    65_536  # undecided patterns kept; beyond that all are made anew, which changes no byte
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """What the line of a row says when no rule fires, by which rules are undecided."""

    severity: int
    head: str
    tail: str


class Patterns:
    """Patterns of undecided rules, for one configuration and one set of warming rules at a time."""

    def __init__(self, pack: Pack, plans: Sequence[Plan], ruleset: RulesetLike) -> None:
        self._pack = pack
        self._plans = plans
        self._ruleset = ruleset
        self._rolled = np.array(
            [k for k, p in enumerate(plans) if p.rule.if_undecided and p.rule.rollout_by],
            np.int64,
        )
        self._lows = [band.low for band in pack.bands]
        self._severities = [SEVERITY[band.decision] for band in pack.bands]
        self._patterns: dict[tuple[bytes, bytes, bytes], Pattern] = {}
        self._plain: Pattern | None = None
        # rules touched -> what they say of a row -> its pattern: with 500 rules it takes 50 us to spell that out
        self._seen: dict[bytes, dict[bytes, Pattern]] = {}
        self._n_seen = 0
        self._patterns_of: tuple[str, frozenset[str]] = ("", frozenset())
        self._partial: tuple[str, ...] = ()

    def begin(self, config: str, warming: frozenset[str], partial: tuple[str, ...] = ()) -> None:
        """Forget what was made under another configuration, or while other rules were warming."""
        self._partial = partial  # follows from the configuration
        if self._patterns_of != (config, warming):
            self._patterns_of = (config, warming)
            self._patterns.clear()
            self._seen.clear()
            self._plain, self._n_seen = None, 0

    def of_rows(self, work: Work, rows: I8, touched: I8) -> tuple[I8, list[Pattern]]:
        """The pattern of every row, as its place among patterns; 0 where nothing is undecided.

        rows : those in which rules are undecided, and none fires; only of these anything is said
        Rows are told apart by the bytes of their column of truth, over the rules `touched` only, and of the roll-out of
        rules that ask for something when undecided.
        """
        judgement = work.inputs.judgement
        block = judgement.truth[touched[:, None], rows]
        if judgement.in_rollout is not None and len(self._rolled):
            block = np.vstack([block, judgement.in_rollout[self._rolled][:, rows].astype(np.int16)])
        keys = np.ascontiguousarray(block.T)
        width = keys.shape[1] * keys.itemsize
        texts: list[bytes] = keys.view(np.dtype((np.void, width)))[:, 0].tolist()
        names, at = touched.tolist(), 2 * len(touched)
        if self._n_seen >= PATTERNS_MAX:
            self._seen.clear()
            self._n_seen = 0
        patterns, seen = [self.plain], self._seen.setdefault(touched.tobytes(), {})
        places = dict.fromkeys(texts, 0)
        for text in places:
            places[text] = len(patterns)
            pattern = seen.get(text)
            if pattern is None:
                states = np.frombuffer(text[:at], np.int16).tolist()
                missing = [(k, state) for k, state in zip(names, states, strict=True) if state]
                pattern = seen[text] = self.pattern(missing, text[at:])
                self._n_seen += 1
            patterns.append(pattern)
        which = np.zeros(work.n, np.int64)
        which[rows] = [places[text] for text in texts]
        return which, patterns

    @property
    def plain(self) -> Pattern:
        """What a row says in which nothing fires and nothing is undecided."""
        if self._plain is None:
            self._plain = self.pattern((), b"")
        return self._plain

    def pattern(self, missing: Sequence[tuple[int, int]], rollout: bytes) -> Pattern:
        """What a row says in which exactly the rules of `missing` (index, state) are undecided and none fires."""
        rules = np.array([k for k, _ in missing], np.int64).tobytes()
        states = np.array([state for _, state in missing], np.int16).tobytes()
        known = self._patterns.get((rules, states, rollout))
        if known is not None:
            return known
        config, warming = self._patterns_of
        inside = dict(
            zip(self._rolled.tolist(), np.frombuffer(rollout, np.int16).tolist(), strict=False)
        )
        verdict = Verdict()
        for k, state in missing:
            self.miss(verdict, k, state, is_live=self.is_live(k, warming) and inside.get(k, 1) > 0)
        score = combined(self._pack.combine, verdict.scores)
        severity = max(self.band(score), verdict.missing_severity)
        parts = DecisionParts(severity, score, undecided=verdict.undecided)
        pattern = Pattern(severity, parts.head(), parts.tail(config, self._partial))
        if len(self._patterns) >= PATTERNS_MAX:
            self._patterns.clear()
        self._patterns[rules, states, rollout] = pattern
        return pattern

    def is_live(self, k: int, warming: frozenset[str]) -> bool:
        plan = self._plans[k]
        return plan.is_live and plan.rule.id not in warming

    def miss(
        self, verdict: Verdict, k: int, state: int, *, is_live: bool, suppression: str = ""
    ) -> None:
        """Note that rule `k` could not be decided, and what it asks for then, unless that is withheld."""
        plan = self._plans[k]
        verdict.undecided.append((plan.rule.id, self._ruleset.because(k, state)))
        if plan.rule.if_undecided is None or not is_live:
            return
        if suppression:
            verdict.suppressed.append((plan.rule.id, suppression))
        else:
            verdict.scores.append(plan.missing_score)
            verdict.missing_severity = max(verdict.missing_severity, plan.missing_severity)
            verdict.missing_weighs |= plan.missing_score > 0 or plan.missing_severity > APPROVE

    def band(self, score: float) -> int:
        """Severity of the band that `score` lies in; the last band includes its end."""
        return self._severities[max(0, bisect_right(self._lows, score) - 1)]
