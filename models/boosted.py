"""Gradient-boosted trees, fitted as a whole now and then and only read in between: arrays, and a fast way down them.

`fit` runs scikit-learn, in a helper process beside the engine (engine/fits/); nothing else here knows that library, so
an engine neither loads nor needs it to score. What a fit gives is a `State`, and `Boosted.load` makes it the model.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from config.errors import InputError
from models.kernels import boosted as kernels
from models.native import Native
from models.protocol import F8, I1, LEARN, SKIP, Parameter, State

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier

PARAMETERS: Final = {
    "trees": Parameter(1, 2_000, "time to score grows with it", is_whole=True),
    "leaves": Parameter(2, 255, "more see finer combinations, and overfit sooner", is_whole=True),
    "rate": Parameter(1e-3, 1.0, "what each tree may add; less needs more trees"),
    "leaf_rows": Parameter(1, 100_000, "rows that a leaf rests on at least", is_whole=True),
    "ridge": Parameter(0.0, 1e6, "holds leaves of few rows back"),
    "inputs_share": Parameter(0.01, 1.0, "share of the inputs that a split may choose from"),
    "bags": Parameter(
        1, 20, "fits of which the mean is taken, each with trees / bags trees", is_whole=True
    ),
}

DEFAULTS: Final[Mapping[str, float]] = {
    "trees": 100,
    "leaves": 15,
    "rate": 0.1,
    "leaf_rows": 20,
    "ridge": 1.0,
    "inputs_share": 1.0,
    "bags": 1,
}


class Boosted(Native):
    """Score the log odds of fraud by trees that were fitted on matured labels; nothing is learned row by row.

    High = anomalous; missing (NaN) until the first `load` of what `fit` gave. Inputs may have any unit, only their
    order counts; a missing one has a way of its own at each split.

    Memory 32 bytes a node, (2 leaves - 1) nodes a tree; 100 trees of 31 leaves take about 5 us a row, 15 leaves 3. It
    does badly where fraud has changed since the last fit, which is why it is a challenger beside models that learn at
    once, and for values beyond those it was fitted on: it takes them for the largest it has seen.

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> amount = rng.gamma(2.0, 4_000.0, (4_000, 1))
    >>> fraud = (rng.random(4_000) < np.where(amount[:, 0] > 20_000, 0.5, 0.01)).astype(np.int8)
    >>> params = {"trees": 20, "leaves": 4}
    >>> model = Boosted(1, **params)
    >>> model.load(fit(amount, fraud, np.ones(4_000), params, seed=1))
    >>> [round(float(s)) for s in model.score(np.array([[5_000.0], [60_000.0]]))]
    [-4, 0]

    scikit-learn's HistGradientBoostingClassifier; Ke and others 2017, "LightGBM", papers.nips.cc/paper/6907.
    """

    kind = "boosted"
    supervised: Final = True
    log_odds: Final = True

    def __init__(
        self,
        n_features: int,
        *,
        trees: int = int(DEFAULTS["trees"]),
        leaves: int = int(DEFAULTS["leaves"]),
        **_fitting: float,  # of PARAMETERS: what only `fit` reads
    ) -> None:
        self._state = _empty(n_features, trees, leaves)

    @property
    def is_fitted(self) -> bool:
        """Whether it has been given the trees of a fit."""
        return bool(self._state["fitted"][0])

    @property
    def bias(self) -> float:
        s = self._state
        return float(s["start"][0] + s["value"][:, 0].sum()) if self.is_fitted else float("nan")

    def process(self, x: F8, action: I1, label: I1, out: F8, parts: F8 | None = None) -> None:
        del label  # teaches nothing here
        s = self._state
        if not self.is_fitted:
            out[action != SKIP] = np.nan
            if parts is not None:
                parts[(action != SKIP) & (action != LEARN)] = 0.0
            return
        kernels.score(
            np.ascontiguousarray(x),
            action,
            s["step"],
            s["threshold"],
            s["value"],
            float(s["start"][0]),
            out,
            np.empty((0, x.shape[1])) if parts is None else parts,
        )

    def learn(self, x: F8, label: I1) -> None:
        """Nothing: labels teach it when it is fitted anew."""


def fit(x: F8, label: I1, weight: F8, params: Mapping[str, Any], seed: int) -> State:
    """Fit trees with scikit-learn and return them as the state of a `Boosted` of the same inputs and parameters.

    x      : (n, f) float64  inputs as they were when each row was decided; NaN, like anything infinite, is missing
    label  : (n,) int8       1 fraud, 0 genuine
    weight : (n,) float64    how many rows each stands for
    params : of PARAMETERS; what is left out is as in `DEFAULTS`

    The same rows give the same bits with the same version of scikit-learn on the same kind of machine: it runs in one
    thread, for with more its sums depend on which is first (and two on a busy machine took 17 times as long). Raises
    `InputError` where all labels are alike.
    """
    given = {**DEFAULTS, **params}
    frauds = int(np.sum(label == 1))
    if not 0 < frauds < len(label):
        raise InputError(
            f"{frauds} frauds among {len(label)} labelled transactions",
            why="what tells fraud from genuine is learned from both",
            fix="a longer `train`, or wait until more labels have come",
        )
    trees, bags = int(given["trees"]), int(given["bags"])
    state = _empty(x.shape[1], trees, int(given["leaves"]))
    known = np.where(np.isfinite(x), x, np.nan)
    at = 0
    for bag in range(bags):
        n = trees // bags + (bag < trees % bags)
        if n:
            _put_in(state, at, _fitted(known, label, weight, given, n, seed + bag), 1.0 / bags)
        at += n
    state["fitted"][0] = 1
    return state


def _empty(n_features: int, trees: int, leaves: int) -> State:
    """Trees of one leaf that adds nothing, in the shape that all fits of these parameters have."""
    slots = -(-trees // kernels.LANES) * kernels.LANES
    nodes = 2 * leaves - 1
    step = np.zeros((slots, nodes, 4), np.int32)
    step[:, :, kernels.LEFT :] = np.arange(nodes, dtype=np.int32)[:, None]
    return {
        "step": step,
        "threshold": np.zeros((slots, nodes)),
        "value": np.zeros((slots, nodes)),
        "start": np.zeros(1),
        "fitted": np.zeros(1, np.int64),
        "gain": np.zeros(
            n_features
        ),  # of the loss, that splits of each input have brought: for model cards
    }


def _fitted(
    x: F8, label: I1, weight: F8, given: Mapping[str, Any], trees: int, seed: int
) -> "HistGradientBoostingClassifier":
    from sklearn.ensemble import HistGradientBoostingClassifier  # 1 s to import, and only here
    from threadpoolctl import threadpool_limits  # scikit-learn's own

    model = HistGradientBoostingClassifier(
        max_iter=trees,
        max_leaf_nodes=int(given["leaves"]),
        learning_rate=float(given["rate"]),
        min_samples_leaf=int(given["leaf_rows"]),
        l2_regularization=float(given["ridge"]),
        max_features=float(given["inputs_share"]),
        categorical_features=None,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(limits=1):
        return model.fit(x, label, sample_weight=weight)


def _put_in(state: State, at: int, model: "HistGradientBoostingClassifier", share: float) -> None:
    """Enter the trees of a model from place `at` on, as its `share` of the score."""
    state["start"][0] += share * float(model._baseline_prediction[0, 0])  # noqa: SLF001  it has no other name
    for t, (tree,) in enumerate(model._predictors, at):  # noqa: SLF001
        nodes = tree.nodes
        n = len(nodes)
        inner = np.flatnonzero(nodes["is_leaf"] == 0)
        value = nodes["value"].copy()
        for k in inner[::-1].tolist():  # children stand behind their parents
            rows = nodes["count"][[nodes["left"][k], nodes["right"][k]]].astype(np.float64)
            below = value[[nodes["left"][k], nodes["right"][k]]]
            value[k] = (rows[0] * below[0] + rows[1] * below[1]) / (rows[0] + rows[1])
        state["value"][t, :n] = value * share
        state["threshold"][t, inner] = np.minimum(nodes["num_threshold"][inner], kernels.LARGEST)
        np.add.at(state["gain"], nodes["feature_idx"][inner], nodes["gain"][inner] * share)
        step = state["step"][t]
        step[inner, kernels.INPUT] = nodes["feature_idx"][inner]
        step[inner, kernels.LEFT] = nodes["left"][inner]
        step[inner, kernels.RIGHT] = nodes["right"][inner]
        goes_left = nodes["missing_go_to_left"][inner] == 1
        step[inner, kernels.MISSING] = np.where(
            goes_left, nodes["left"][inner], nodes["right"][inner]
        )
