"""An isolation forest that never stops growing: how soon random cuts leave a row alone."""

from typing import Final

import numpy as np

from models.kernels import isolation as kernels
from models.kernels.exp_log import log
from models.native import Native
from models.protocol import F8, I1, Parameter, State

EULER = 0.5772156649015329

PARAMETERS: Final = {
    "trees": Parameter(1, 1_000, "time and memory grow with it, noise shrinks", is_whole=True),
    "depth": Parameter(1, 12, "memory doubles with each level", is_whole=True),
    "sample": Parameter(8, 4_096, "rows that a tree is grown from", is_whole=True),
    "pool": Parameter(64, 65_536, "rows that are kept to sample from", is_whole=True),
    "memory_rows": Parameter(
        64, 1e12, "rows that the pool looks back, at least its own size", is_whole=True
    ),
    "every": Parameter(1, 1_000_000, "rows after which a tree is grown anew", is_whole=True),
}


class IsolationForest(Native):
    """Score rows by how few random cuts separate them from a sample of what was seen; no labels needed.

    High = anomalous; 0 for the first 64 rows, then in [0, 1]: 1 - mean path / longest path, linear in the path so that
    contributions add up. Inputs may have any unit; a missing input goes along with most of the others. Every other
    tree cuts between the logarithms of inputs.

    The forest is grown from a pool that takes rows by chance and forgets them by chance, one tree every `every` rows.
    So a burst of anomalies is a small part of the pool, however alike they are and however closely they follow one
    another, and there is no window at whose end everything changes.

    Memory 7 KB a tree at depth 8 and 8 bytes an input and row of the pool; 24 trees take about 0.6 us a row. It does
    badly where only inputs together are odd, in the midst of each alone.

    >>> import numpy as np
    >>> model = IsolationForest(2)
    >>> usual = np.random.default_rng(1).normal(100.0, 10.0, (300, 2))
    >>> model.learn(usual, np.zeros(300, np.int8))
    >>> [round(float(s), 2) for s in model.score(np.array([[100.0, 100.0], [900.0, 5.0]]))]
    [0.19, 0.78]

    Liu, Ting and Zhou 2008, "Isolation forest", doi:10.1109/ICDM.2008.17; the pool: Vitter 1985, algorithm R,
    doi:10.1145/3147.3165, with a memory as in Aggarwal 2006, "On biased reservoir sampling".
    """

    kind = "isolation_forest"
    supervised: Final = False
    log_odds: Final = False

    def __init__(
        self,
        n_features: int,
        *,
        trees: int = 24,
        depth: int = 8,
        sample: int = 256,
        pool: int = 2_048,
        memory_rows: int = 65_536,
        every: int = 256,
        seed: int = 0,
    ) -> None:
        self.sample, self.every, self.seed = sample, every, seed
        self.memory_rows = float(max(memory_rows, pool))
        self.length = mean_paths(sample)
        inner = 2**depth - 1
        self._state: State = {
            "pool": np.zeros((pool, n_features)),
            "feature": np.zeros((trees, inner), np.int32),
            "split": np.zeros((trees, inner)),
            "worth": np.zeros((trees, 2 * inner + 1)),
            "seen": np.zeros(2, np.int64),
        }

    @property
    def bias(self) -> float:
        s = self._state
        if s["seen"][0] < kernels.FIRST:
            return 0.0
        trees, inner = s["feature"].shape
        most = trees * ((inner + 1).bit_length() - 1 + float(self.length[-1]))
        return float(1.0 - s["worth"][:, 0].sum() / most)

    def process(self, x: F8, action: I1, label: I1, out: F8, parts: F8 | None = None) -> None:
        del label  # teaches nothing
        s = self._state
        kernels.score_then_sample(
            np.ascontiguousarray(x),
            action,
            self.sample,
            self.every,
            self.memory_rows,
            self.seed,
            self.length,
            s["pool"],
            s["feature"],
            s["split"],
            s["worth"],
            s["seen"],
            out,
            np.empty((0, x.shape[1])) if parts is None else parts,
        )


def mean_paths(most: int) -> F8:
    """Return the mean path that 0 to `most` rows have before each of them is alone: (most + 1,).

    >>> [round(float(n), 2) for n in mean_paths(256)[[0, 1, 2, 3, 256]]]
    [0.0, 0.0, 1.0, 1.21, 10.24]
    """
    paths = [0.0, 0.0, 1.0]
    paths += [2.0 * (log(n - 1.0) + EULER) - 2.0 * (n - 1.0) / n for n in range(3, most + 1)]
    return np.array(paths)
