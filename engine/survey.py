"""Which rows of a batch need a look, found by masks over columns; what the others say is one of few patterns."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.decisions import APPROVE
from engine.actions import Actions
from engine.alerts import AlertBook
from engine.batch import TRANSACTION
from engine.kernels.survey import look
from engine.outcomes import CHAMPION
from engine.patterns import Pattern, Patterns
from engine.restrictions import Registry
from engine.verdict import Plan, Work

B1: TypeAlias = NDArray[np.bool_]
I8: TypeAlias = NDArray[np.int64]

NOBODY: B1 = np.empty(0, np.bool_)
NO_SCORE = np.empty(0)
NO_RULES: I8 = np.empty(0, np.int64)


class Survey:
    """Queue rows by what rules, models, restrictions and suppressions say of whole columns.

    alone : (severity, score from which the champion alone asks for it), ascending
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        patterns: Patterns,
        alone: Sequence[tuple[int, float]],
        registry: Registry,
        book: AlertBook,
        actions: Actions,
    ) -> None:
        self._plans = plans
        self._patterns = patterns
        self._alone = alone
        self._least = min((at for _, at in alone), default=np.inf)
        self._registry = registry
        self._book = book
        self._actions = actions
        self._ids = [plan.rule.id for plan in plans]
        self._missable = {
            p.rule.id: k for k, p in enumerate(plans) if p.rule.if_undecided is not None
        }

    def of_batch(self, work: Work) -> tuple[I8, list[Pattern]]:
        """Queue the rows that need a look; return of the others which pattern each has, and the patterns."""
        inputs, n = work.inputs, work.n
        truth, rules = inputs.judgement.truth, len(self._plans)
        alone = self._alone and CHAMPION in inputs.models
        plain = self._patterns.plain
        flagged = self._registry.flagged(inputs.frame, self._actions.subjects)
        loud, missing = np.empty(n, np.bool_), np.empty(n, np.bool_)
        undecided, touched = np.empty(rules, np.int64), np.empty(rules, np.bool_)
        n_loud, n_missing, cases = look(
            truth,
            inputs.kind,
            inputs.foreign,
            inputs.late,
            NOBODY if flagged is None else flagged,
            inputs.models[CHAMPION] if alone else NO_SCORE,
            self._least,
            self._withheld(),
            plain.severity > APPROVE,
            np.empty(n, np.int16),
            loud,
            missing,
            undecided,
            touched,
        )
        if cases:
            counts = zip(self._ids, undecided.tolist(), strict=True)
            work.counts["undecided"] = {id_: count for id_, count in counts if count}
        which, patterns = np.zeros(n, np.int64), [plain]
        if n_missing:
            rows = np.flatnonzero(missing)
            which, patterns = self._patterns.of_rows(work, rows, np.flatnonzero(touched))
        if n_loud:
            work.enqueue(np.flatnonzero(loud).tolist())
        if any(pattern.severity > APPROVE for pattern in patterns[1:]):
            severe = np.array([pattern.severity > APPROVE for pattern in patterns])
            severe[0] = False
            work.enqueue(np.flatnonzero(severe[which]).tolist())
        work.enqueue(sorted(map(int, inputs.unscorable)))
        work.enqueue(sorted(map(int, inputs.commands)))
        work.enqueue(sorted(map(int, inputs.ends)))
        work.enqueue(sorted(map(int, inputs.duplicates)))
        return which, patterns

    def look_again_at(self, work: Work, row: int, rule: str) -> None:
        """Queue the later rows of the batch in which a rule is undecided that is withheld now, or no longer."""
        k = self._missable.get(rule)
        if k is not None and row + 1 < work.n:
            later = work.inputs.judgement.truth[k, row + 1 :] != 0
            later &= work.inputs.kind[row + 1 :] == TRANSACTION
            work.enqueue((np.flatnonzero(later) + row + 1).tolist())

    def _withheld(self) -> I8:
        """Places of rules that may be withheld although they are undecided: what is withheld depends on the row."""
        if not self._missable or not (rules := self._book.withheld):
            return NO_RULES
        return np.array(sorted(k for id_, k in self._missable.items() if id_ in rules), np.int64)
