"""Which rows of a batch need a look, found by masks over columns; what the others say is one of few patterns."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.decisions import APPROVE
from engine.actions import Actions
from engine.alerts import AlertBook
from engine.batch import ACTIVITY, TRANSACTION
from engine.outcomes import CHAMPION
from engine.patterns import Pattern, Patterns
from engine.restrictions import Registry
from engine.verdict import FIRES, Plan, Work

B1: TypeAlias = NDArray[np.bool_]
I8: TypeAlias = NDArray[np.int64]


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
        self._registry = registry
        self._book = book
        self._actions = actions
        self._missable = {
            p.rule.id: k for k, p in enumerate(plans) if p.rule.if_undecided is not None
        }

    def of_batch(self, work: Work) -> tuple[I8, list[Pattern]]:
        """Queue the rows that need a look; return of the others which pattern each has, and the patterns."""
        inputs = work.inputs
        truth, kind = inputs.judgement.truth, inputs.kind
        transactions = kind == TRANSACTION
        peak = truth.max(axis=0, initial=0)
        judged = transactions | (kind == ACTIVITY)
        loud = judged & (peak == FIRES)
        loud |= transactions & (inputs.foreign | inputs.late)
        flagged = self._registry.flagged(inputs.frame, self._actions.subjects)
        if flagged is not None:
            loud |= transactions & flagged
        if self._alone and CHAMPION in inputs.models:
            lowest = min(at for _, at in self._alone)
            loud |= transactions & (inputs.models[CHAMPION] >= lowest)
        for k in self._withheld():  # what a suppression withholds depends on the row
            loud |= transactions & (truth[k] != 0)
        touched = np.flatnonzero(truth.any(axis=1))
        self._count_undecided(work, judged & (peak > 0), touched)
        plain = self._patterns.pattern((), b"")
        which, patterns = np.zeros(work.n, np.int64), [plain]
        if plain.severity > APPROVE:
            loud |= transactions
        else:
            missing = np.flatnonzero(transactions & ~loud & (peak > 0))
            if len(missing):
                which, patterns = self._patterns.of_rows(work, missing, touched)
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

    def _withheld(self) -> list[int]:
        """Places of rules that may be withheld although they are undecided."""
        rules = self._book.withheld
        return sorted(k for id_, k in self._missable.items() if id_ in rules) if rules else []

    def _count_undecided(self, work: Work, rows: B1, touched: I8) -> None:
        """Count for each rule in how many of `rows` it is undecided; others than `touched` never are."""
        for k in touched.tolist():
            states = work.inputs.judgement.truth[k]
            n = int(np.count_nonzero(rows & (states != 0) & (states != FIRES)))
            if n:
                work.count("undecided", self._plans[k].rule.id, n)
