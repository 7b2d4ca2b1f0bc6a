"""The judgement of one row: what became of every rule that said something of it, and what the champion alone asks."""

from collections.abc import Sequence

import numpy as np

from config.decisions import APPROVE
from engine.actions import Actions
from engine.alerts import AlertBook
from engine.outcomes import CHAMPION, fired_text
from engine.patterns import Patterns
from engine.verdict import FIRES, Match, Plan, Verdict, Work


class Judge:
    """Judge rows by the plans of a pack and the suppressions in `book`; nothing is set off here.

    alone : (severity, score from which the champion alone asks for it), ascending
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        patterns: Patterns,
        alone: Sequence[tuple[int, float]],
        book: AlertBook,
        actions: Actions,
    ) -> None:
        self._plans = plans
        self._patterns = patterns
        self._alone = alone
        self._book = book
        self._actions = actions

    def verdict(self, work: Work, row: int) -> Verdict:
        """Sort what the rules say of a row: fired, shadow, excepted, suppressed, undecided; each in order of ids."""
        inputs, judgement = work.inputs, work.inputs.judgement
        column = judgement.truth[:, row]
        verdict = Verdict()
        for k in np.flatnonzero(column).tolist():
            plan, state = self._plans[k], int(column[k])
            rule = plan.rule
            inside = judgement.in_rollout is None or bool(judgement.in_rollout[k, row])
            is_live = inside and self._patterns.is_live(k, inputs.warming)
            if state != FIRES:
                withheld = ""
                if is_live and rule.if_undecided is not None:
                    withheld = self._suppression(work, row, rule.id)
                self._patterns.miss(verdict, k, state, is_live=is_live, suppression=withheld)
                continue
            exception = int(judgement.excepted[k, row])
            points = float(judgement.score[k, row])
            if points != points:  # noqa: PLR0124  a score that misses a field counts nothing
                points = 0.0
                work.count("degraded", rule.id)
            if exception:
                verdict.excepted.append((rule.id, rule.exceptions[exception - 1].id))
                outcome = "excepted"
            elif not is_live:
                verdict.shadow.append(fired_text(rule.id, rule.version, rule.reason, points))
                outcome = "shadow"
            elif suppression := self._suppression(work, row, rule.id):
                verdict.suppressed.append((rule.id, suppression))
                outcome = "suppressed"
            elif plan.only_reports:
                verdict.reported.append(plan)
                continue
            else:
                verdict.fired.append((plan, points))
                verdict.scores.append(points)
                outcome = "fired"
            work.count(outcome, rule.id)
            if outcome != "fired":
                work.matches.append(Match(row, k, rule.id, outcome))
        return verdict

    def models_alone(self, work: Work, row: int) -> int:
        """Severity that the champion asks for by itself, where settings say so."""
        if not self._alone or CHAMPION not in work.inputs.models:
            return APPROVE
        score = float(work.inputs.models[CHAMPION][row])
        return max((severity for severity, at in self._alone if score >= at), default=APPROVE)

    def _suppression(self, work: Work, row: int, rule: str) -> str:
        """Id of a suppression that withholds a rule from a row; "" if none does."""
        return self._book.suppressed(
            rule,
            int(work.inputs.event_time_us[row]),
            lambda name: self._actions.text_of(work, row, name),
        )
