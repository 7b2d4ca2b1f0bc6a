"""What a run adds up, and what it tells those who dropped in a command: both follow from outcomes alone.

Kept in snapshots, so that the summary of a resumed run is of the whole, whoever derived its parts.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from engine.batch import KIND_NAMES
from engine.core import Outcome


@dataclass(slots=True)
class Totals:
    """Group -> name -> how many."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def copy_of(cls, counts: Mapping[str, Any]) -> Self:
        return cls(copy.deepcopy(dict(counts)))

    def add(self, outcome: Outcome) -> None:
        for group, counts in outcome.counts.items():
            target = self.counts.setdefault(group, {})
            for name, n in counts.items():
                if n:
                    target[name] = target.get(name, 0) + n


def answer_of(outcome: Outcome, row: int) -> Mapping[str, object]:
    """What to tell whoever dropped in the message at `row`; it need not have been a command. Holds its `seq`."""
    batch = outcome.batch
    seq = batch.seq0 + row
    answer = outcome.answers.get(row)
    if answer is not None:
        return {**answer, "seq": seq}
    head = {"seq": seq, "command": None}
    dead = batch.dead.get(row)
    if dead is None:
        return head | {"ok": True, "kind": KIND_NAMES[batch.kind[row]]}
    return head | {"ok": False, "what": dead.what, "why": dead.reason, "fix": dead.fix}
