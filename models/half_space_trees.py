"""Half-space trees with the scaling inside: how rare a row is among the last few hundred."""

import random
from typing import Final

import numpy as np

from models.kernels import trees as kernels
from models.native import Native
from models.protocol import F8, I1, Parameter, State

PARAMETERS: Final = {
    "trees": Parameter(1, 1_000, "time and memory grow with it, noise shrinks", is_whole=True),
    "depth": Parameter(1, 15, "memory doubles with each level", is_whole=True),
    "window": Parameter(
        2, 1_000_000, "rows after which what was counted is used; at first 64", is_whole=True
    ),
    "fade_windows": Parameter(
        1, 1_000, "windows after which mass has faded to a third; 1 forgets at once", is_whole=True
    ),
    "reach": Parameter(0.5, 1_000.0, "deviations from the mean that the trees can tell apart"),
    "memory_rows": Parameter(100, 1e12, "rows that mean and deviation look back", is_whole=True),
}


class HalfSpaceTrees(Native):
    """Score rows by how little mass random boxes around them hold; no labels needed.

    High = anomalous; 0 for the first 64 rows. Inputs may have any unit: every other tree sees them through a
    signed logarithm, and all through a running mean and deviation, +-5 deviations filling the unit cube. A missing
    input stands in the middle.

    Mass fades over `fade_windows` windows. The original keeps the last window alone (`fade_windows: 1`), and takes
    anomalies that come in bursts longer than half of it for the normal: KDD HTTP in its own order AUC 0.35, faded 0.99;
    shuffled nothing changes. The logarithms alone, within 8 deviations: Mammography 0.77 instead of 0.84.

    Memory 10 KB a tree at depth 8 (doubles with each level); 25 trees of depth 8 take about 1 us a row. It does badly
    where only a combination of many inputs is odd: a path of depth 8 looks at no more than 8 of them.

    >>> import numpy as np
    >>> model = HalfSpaceTrees(2, window=100)
    >>> usual = np.random.default_rng(1).normal(100.0, 10.0, (300, 2))
    >>> model.learn(usual, np.zeros(300, np.int8))
    >>> [round(float(s), 3) for s in model.score(np.array([[100.0, 100.0], [900.0, 5.0]]))]
    [0.773, 0.992]

    Tan, Ting and Liu 2011, "Fast anomaly detection for streaming data", ijcai.org/Proceedings/11/Papers/254.pdf.
    """

    kind = "half_space_trees"
    supervised: Final = False
    log_odds: Final = False

    def __init__(
        self,
        n_features: int,
        *,
        trees: int = 25,
        depth: int = 8,
        window: int = 250,
        fade_windows: int = 100,
        reach: float = 5.0,
        memory_rows: int = 1_000_000,
        seed: int = 0,
    ) -> None:
        self.window, self.fade, self.reach = window, fade_windows, reach
        self.memory_rows, self.depth = float(memory_rows), depth
        most = trees * window * fade_windows * 2 ** (depth + 1)
        self.scale = 1 << min(16, 62 - most.bit_length())  # fading rounds; finer mass, less of it
        feature, split = draw(n_features, trees, depth, seed)
        self._state: State = {
            "feature": feature,
            "split": split,
            "moments": np.zeros((4, 2 * n_features)),
            "mass": np.zeros((trees, 2**depth), np.int64),
            "worth": np.zeros((trees, 2 ** (depth + 1) - 1), np.int64),
            "leaf": np.zeros((trees, 2**depth), np.int32),
            "seen": np.zeros(3, np.int64),
        }

    @property
    def bias(self) -> float:
        if not self._state["seen"][1]:
            return 0.0
        return 1.0 - (self.depth + 1) / ((2 << self.depth) - 1)

    def process(self, x: F8, action: I1, label: I1, out: F8, parts: F8 | None = None) -> None:
        del label  # teaches nothing
        s = self._state
        kernels.score_then_count(
            np.ascontiguousarray(x),
            action,
            s["feature"],
            s["split"],
            self.window,
            self.fade,
            self.scale,
            self.reach,
            self.memory_rows,
            s["moments"],
            s["mass"],
            s["worth"],
            s["leaf"],
            s["seen"],
            out,
            np.empty((0, x.shape[1])) if parts is None else parts,
        )


def draw(n_features: int, trees: int, depth: int, seed: int) -> tuple[kernels.I4, F8]:
    """Split each node's box at a random input, near its middle: (trees, inner) inputs and places.

    Every other tree sees the inputs' logarithms, which stand behind the inputs: `n_features` + input.
    Only `random.Random.random` is used: the one method whose numbers Python promises never to change.
    """
    rng, inner = random.Random(seed), 2**depth - 1  # noqa: S311  not for secrets
    feature, split = np.zeros((trees, inner), np.int32), np.zeros((trees, inner))
    for t in range(trees):
        low, high = np.zeros((2 * inner + 1, n_features)), np.ones((2 * inner + 1, n_features))
        for k in range(inner):
            f = int(rng.random() * n_features)
            at = low[k, f] + (high[k, f] - low[k, f]) * (0.15 + 0.7 * rng.random())
            feature[t, k], split[t, k] = f + n_features * (t % 2), at
            first, second = 2 * k + 1, 2 * k + 2
            low[first], high[first], low[second], high[second] = low[k], high[k], low[k], high[k]
            high[first, f] = low[second, f] = at
    return feature, split
