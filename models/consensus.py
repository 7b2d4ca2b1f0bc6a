"""What several detectors agree on, each heard in the same unit: how rare its score is among its own."""

from typing import Final

import numpy as np

from models.kernels import agreeing as kernels
from models.native import Native
from models.protocol import F8, I1, Parameter, State

PARAMETERS: Final = {
    "kept": Parameter(64, 65_536, "scores of each member that a score is ranked in", is_whole=True),
    "memory_rows": Parameter(
        64, 1e12, "rows that these look back, at least their number", is_whole=True
    ),
    "alone": Parameter(
        0.0, 100.0, "how far one member may go beyond the next; 0 asks two of them to agree"
    ),
}


class Consensus(Native):
    """Score rows by the mean surprise of other models, without labels; no single one of them can sink the score.

    High = anomalous. A member's surprise is minus the logarithm of the share of its own scores, of the last tens of
    thousands, that lie above this one: 0.7 half of the time, above 4.6 once in a hundred rows, never more than 10. So
    a member's unit and scale do not matter, one that never changes adds the same to every row, and one that goes wild
    adds a bounded noise: with three members or more none counts more than `alone` above the next. A member without a
    score is left out of the mean. The score is the sum of the members' shares in the mean.

    Memory 8 bytes a member and score kept; about 0.05 us a row and member. It does badly where only one of many members
    can see a thing: then let rules, or a model with labels, read that member itself.

    >>> import numpy as np
    >>> model, rng = Consensus(3), np.random.default_rng(1)
    >>> model.learn(rng.normal(0.0, [1.0, 50.0, 0.0], (2_000, 3)), np.zeros(2_000, np.int8))
    >>> rows = np.array([[0.0, 0.0, 0.0], [4.0, 200.0, 0.0], [4.0, 200.0, np.nan]])
    >>> [round(float(s), 1) for s in model.score(rows)]
    [0.7, 5.0, 7.1]

    Rank aggregation of outlier scores: Kriegel, Kroeger, Schubert and Zimek 2011, doi:10.1137/1.9781611972818.2.
    """

    kind = "consensus"
    supervised: Final = False
    log_odds: Final = False
    bias: Final = 0.0

    def __init__(
        self,
        n_members: int,
        *,
        kept: int = 1_024,
        memory_rows: int = 65_536,
        alone: float = 3.0,
        seed: int = 0,
    ) -> None:
        self.memory_rows, self.alone, self.seed = float(max(memory_rows, kept)), alone, seed
        self._state: State = {
            "known": np.zeros((n_members, kept)),
            "seen": np.zeros((2, n_members), np.int64),
        }

    def process(self, x: F8, action: I1, label: I1, out: F8, parts: F8 | None = None) -> None:
        del label  # teaches nothing
        kernels.agree(
            np.ascontiguousarray(x),
            action,
            self.alone,
            self.memory_rows,
            self.seed,
            self._state["known"],
            self._state["seen"],
            out,
            np.empty((0, x.shape[1])) if parts is None else parts,
        )
