"""Which rules may not act yet, because the history of their features is shorter than their windows.

A history can be short in two ways: settings name a beginning (`history_from`), and a feature came with a configuration
that a running engine went over to (engine/carry.py). The second is state, and saved.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.admission import NEVER
from engine.setup import Setup
from engine.state import Arrays
from engine.texts import load_texts, save_texts
from rules.ruleset import Judgement, Ruleset

I8: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Unfilled:
    """What of the past a core does not have, and may still get from the journal (engine/backfill.py); by name.

    features   : window features that were empty when they came
    The others : attributes, and columns of remembered transactions (engine/links.py), that nobody kept before
    """

    features: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    input: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(astuple(self))


NOTHING: Final = Unfilled()


class Warming:
    """Since when each feature has been computed, for one configuration.

    since_us : feature -> core time at which its windows were empty; features that are not here were there from the
               beginning
    rule_us  : (rules,) int64  core time from which each rule's features have their history; `NEVER` where that is
               complete from the start
    unfilled : what waits for being filled from the journal
    """

    def __init__(self, setup: Setup, ruleset: Ruleset) -> None:
        self._setup, self._ruleset = setup, ruleset
        self.since_us: dict[str, int] = {}
        self.unfilled = NOTHING
        self.rule_us = np.empty(0, np.int64)
        self.begin({})

    def begin(self, since_us: Mapping[str, int]) -> None:
        """Say since when features have been computed."""
        self.since_us = dict(since_us)
        settings, ready = self._setup.configuration.settings, self.ready_us
        begin_us = settings.history_from_us
        self.rule_us = np.full(
            len(self._ruleset.rules), NEVER if begin_us is None else begin_us, np.int64
        )
        if begin_us is None and not since_us:
            return
        known: dict[str, int] = {}
        for k, rule in enumerate(self._ruleset.rules):
            reads = (rule.when, rule.score, *(clause.when for clause in rule.exceptions))
            for tree in reads:
                for name in tree.columns():
                    self.rule_us[k] = max(self.rule_us[k], ready(name, known))

    def ready_us(self, name: str, known: dict[str, int] | None = None) -> int:
        """Core time from which a feature has its history; `NEVER` if it always had. `known` holds what was found."""
        known = {} if known is None else known
        feature = self._setup.pack.features.get(name)
        if feature is None:
            return NEVER
        if name not in known:
            own = NEVER
            begin_us = self._setup.configuration.settings.history_from_us
            if feature.aggregate is not None:
                if begin_us is not None:
                    own = begin_us + self.needs_us(name)
                if name in self.since_us:
                    # until then a late row could still ask for what had come before
                    needs_us = self.needs_us(name) + self._setup.lateness_us
                    own = max(own, self.since_us[name] + needs_us)
            known[name] = max([own, *(self.ready_us(other, known) for other in self._reads(name))])
        return known[name]

    def reads_ready_us(self, name: str) -> int:
        """Core time from which what a feature reads has its history; `NEVER` if it always had."""
        return max([NEVER, *map(self.ready_us, self._reads(name))])

    def needs_us(self, name: str) -> int:
        """How much history a window feature needs before rules act on it."""
        feature, settings = self._setup.pack.features[name], self._setup.configuration.settings
        assert feature.aggregate is not None, name
        limit = feature.warm_after_us
        limit = settings.warm_after_us if limit is None else limit
        width_us = feature.aggregate.window.width_us
        return limit if width_us is None else min(width_us, limit)

    def keep_in_shadow(self, judgement: Judgement, core_us: I8) -> None:
        """Put rules into shadow on the rows before their time, by the core time (n,) of each row."""
        if not len(core_us) or core_us[0] >= self.rule_us.max(initial=NEVER):
            return
        is_warm = core_us >= self.rule_us[:, None]
        inside = judgement.in_rollout
        judgement.in_rollout = is_warm if inside is None else inside & is_warm

    def save(self) -> Arrays:
        """Since when which features have been computed, by name; nothing if all were there from the beginning."""
        saved: Arrays = {}
        if self.unfilled:
            told = np.frombuffer(msgspec.json.encode(self.unfilled), np.uint8)
            saved["unfilled"] = told.copy()
        if self.since_us:
            names = sorted(self.since_us)
            saved["since_us"] = np.array([self.since_us[name] for name in names], np.int64)
            saved |= save_texts(names)
        return saved

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `save` gave."""
        names = load_texts(arrays) if "since_us" in arrays else []
        self.unfilled = NOTHING
        if "unfilled" in arrays:
            self.unfilled = msgspec.json.decode(arrays["unfilled"].tobytes(), type=Unfilled)
        self.begin(dict(zip(names, arrays["since_us"].tolist(), strict=True)) if names else {})

    def _reads(self, name: str) -> list[str]:
        feature = self._setup.pack.features[name]
        trees = [feature.expression]
        if feature.aggregate is not None:
            trees += [feature.aggregate.where, feature.aggregate.argument]
        return [column for tree in trees if tree is not None for column in tree.columns()]
