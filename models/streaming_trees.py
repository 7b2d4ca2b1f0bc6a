"""Gradient-boosted trees that never stop being built: one after another from a memory of labelled rows."""

from typing import Final

import numpy as np

from models.kernels import boosting as kernels
from models.kernels.exp_log import log
from models.native import Native
from models.protocol import F8, I1, Parameter, State

PARAMETERS: Final = {
    "trees": Parameter(1, 1_000, "time grows with it, noise shrinks", is_whole=True),
    "depth": Parameter(1, 8, "inputs that a path may combine; memory doubles", is_whole=True),
    "memory": Parameter(256, 1_000_000, "labelled rows that trees are grown from", is_whole=True),
    "period": Parameter(16, 1e9, "labels between two trees, once memory is full", is_whole=True),
    "rate": Parameter(0.001, 1.0, "share of the remaining error that one tree corrects"),
    "ridge": Parameter(0.01, 1e6, "evidence against any leaf, in rows of even odds times 4"),
    "leaf_rows": Parameter(1, 100_000, "rows that each side of a split must have", is_whole=True),
    "rows_share": Parameter(0.05, 1.0, "share of the memory that one tree reads"),
    "prior": Parameter(1e-6, 0.5, "share of frauds before the first tree"),
}
CUTS: Final = 62  # places of an input where a tree may split; with "missing" and the rest 64 bins


class StreamingTrees(Native):
    """Score the log odds of fraud by the sum of trees, each grown to correct all others, the oldest replaced.

    High = anomalous; 0 is even odds. Nothing is learned from rows without a label. Inputs may have any unit; a missing
    value goes where the frauds and genuine rows without it went.

    Labelled rows go into a memory: every fraud, few genuine rows, rather those that looked like fraud, each standing
    for those that were not kept. Every `period` labels one more tree has been grown from it (fewer while it fills), to
    correct what all trees but the oldest get wrong, and takes the place of the oldest. So what is learned once is gone
    over again as long as the memory holds it, and forgotten with it: 32,768 rows are four months of the handbook.

    Memory 5 f + 41 bytes a row it holds (4 MB at f = 15), 45 bytes a leaf; time trees * depth a score (1 us), and
    memory * rows_share * depth * f / period a label (3 us), in pieces of less than a millisecond. It does badly
    while there are few frauds (leaf_rows), and beyond what it has seen: an amount twice the largest is one more large
    amount; a linear model beside it sees that.

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> x = rng.uniform(0, 1, (20_000, 2))
    >>> fraud = (np.abs(x - 0.5).max(axis=1) < 0.1).astype(np.int8)  # in the middle of both inputs, and nowhere else
    >>> model = StreamingTrees(2)
    >>> model.learn(x, fraud)
    >>> [bool(s > 0) for s in model.score(np.array([[0.5, 0.5], [0.5, 0.9], [0.9, 0.5]]))]
    [True, False, False]
    """

    kind = "streaming_trees"
    supervised: Final = True
    log_odds: Final = True

    def __init__(
        self,
        n_features: int,
        *,
        trees: int = 64,
        depth: int = 4,
        memory: int = 32_768,
        period: int = 2_048,
        rate: float = 0.15,
        ridge: float = 5.0,
        leaf_rows: int = 20,
        rows_share: float = 0.5,
        prior: float = 0.01,
        seed: int = 0,
    ) -> None:
        self.depth, self.period, self.rate = depth, period, rate
        self.ridge, self.leaf_rows, self.seed = ridge, leaf_rows, seed
        self.rows_share = rows_share
        self.prior = log(prior / (1.0 - prior))
        inner = 2**depth - 1
        self._state: State = {
            "feature": np.zeros((trees + 1, inner), np.int16),
            "split": np.full((trees + 1, inner), kernels.NEVER, np.float32),
            "missing_right": np.zeros((trees + 1, inner), np.uint8),
            "value": np.zeros((trees + 1, 2 * inner + 1)),
            "memory": np.zeros((memory, n_features), np.float32),
            "place": np.zeros((memory, n_features), np.uint8),
            "cut": np.zeros((n_features, CUTS), np.float32),
            "n_cuts": np.zeros(n_features, np.int64),
            "fraud": np.zeros(memory, np.int8),
            "weight": np.zeros(memory),
            "margin": np.zeros(memory),
            "node": np.full(memory, kernels.OUTSIDE, np.int16),
            "pull": np.zeros((memory, 2)),
            "share": np.zeros(1),
            "count": np.zeros(6, np.int64),
        }

    @property
    def bias(self) -> float:
        return self.prior + float(self._state["value"][:, 0].sum())

    def process(self, x: F8, action: I1, label: I1, out: F8, parts: F8 | None = None) -> None:
        s = self._state
        kernels.score_and_learn(
            np.ascontiguousarray(x),
            action,
            label,
            self.seed,
            self.prior,
            self.depth,
            self.period,
            self.rate,
            self.ridge,
            self.leaf_rows,
            self.rows_share,
            s["feature"],
            s["split"],
            s["missing_right"],
            s["value"],
            s["memory"],
            s["place"],
            s["cut"],
            s["n_cuts"],
            s["fraud"],
            s["weight"],
            s["margin"],
            s["node"],
            s["pull"],
            s["share"],
            s["count"],
            out,
            np.empty((0, x.shape[1])) if parts is None else parts,
        )
