"""Which rules may not act yet, because the history of their features is shorter than their windows."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.admission import NEVER
from engine.setup import Setup
from rules.ruleset import Judgement, Ruleset

I8: TypeAlias = NDArray[np.int64]


def warm_from(setup: Setup, ruleset: Ruleset) -> I8:
    """Core time from which each rule's features have their history; `NEVER` where it is complete from the start."""
    settings, features = setup.configuration.settings, setup.pack.features
    warm_us = np.full(len(ruleset.rules), NEVER, np.int64)
    if settings.history_from_us is None:
        return warm_us
    needed: dict[str, int] = {}

    def history_us(name: str) -> int:
        feature = features.get(name)
        if feature is None:
            return 0
        if name not in needed:
            own = 0
            if (aggregate := feature.aggregate) is not None:
                limit = feature.warm_after_us
                limit = settings.warm_after_us if limit is None else limit
                width_us = aggregate.window.width_us
                own = limit if width_us is None else min(width_us, limit)
            trees = [feature.expression]
            if aggregate is not None:
                trees += [aggregate.where, aggregate.argument]
            read = (column for tree in trees if tree is not None for column in tree.columns())
            needed[name] = max([own, *map(history_us, read)])
        return needed[name]

    for k, rule in enumerate(ruleset.rules):
        reads = (rule.when, rule.score, *(clause.when for clause in rule.exceptions))
        longest = max((history_us(name) for tree in reads for name in tree.columns()), default=0)
        warm_us[k] = settings.history_from_us + longest
    return warm_us


def keep_in_shadow(judgement: Judgement, warm_us: I8, core_us: I8) -> None:
    """Put rules into shadow on the rows before `warm_us` (rules,), by the core time (n,) of each row."""
    if not len(core_us) or core_us[0] >= warm_us.max(initial=NEVER):
        return
    is_warm = core_us >= warm_us[:, None]
    inside = judgement.in_rollout
    judgement.in_rollout = is_warm if inside is None else inside & is_warm
