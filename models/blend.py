"""One score from several models, each heard as far as labels have shown it worth hearing."""

from typing import Final

import numpy as np

from models.kernels import blending as kernels
from models.kernels.exp_log import log
from models.native import Native
from models.protocol import F8, I1, Parameter, State

PARAMETERS: Final = {
    "reach": Parameter(1.0, 100.0, "deviations beyond which a score counts as if it lay there"),
    "alone": Parameter(0.0, 100.0, "log odds that a member may go beyond all others"),
    "doubt": Parameter(
        1e-4, 100.0, "variance of a member's level and slope before the first label"
    ),
    "forget_labels": Parameter(
        1_000, 1e12, "labels after which evidence on a member has faded", is_whole=True
    ),
    "memory_labels": Parameter(
        100, 1e12, "labels that mean and deviation look back", is_whole=True
    ),
    "memory_frauds": Parameter(
        10, 1e9, "frauds that the weight of a member looks back", is_whole=True
    ),
    "prior": Parameter(1e-6, 0.5, "share of frauds where nothing is known"),
}
NATS: Final = 20.0  # loss that a new member is taken to have seen,
SAVED: Final = 0.1  # and what share of it it is taken to have saved: it is heard little until it has shown more


class Blend(Native):
    """Score the log odds of fraud by a sum of other models' scores, with weights of 0 and more learned from labels.

    A member may say anything in any unit: labels teach a line that turns its score into log odds, never falling. Its
    weight is the square of the share of the loss (minus the logarithm of what the truth was given) that these log odds
    have saved on the last 200 frauds and what came between, against always saying the share of frauds; weights sum to
    1. So a member that is useless, constant or turned around comes to weigh nothing, a new one little until it has
    shown what it can do, and one without a score leaves its weight to the others. Where it breaks, it can carry a row
    no further than `alone` log odds beyond all others, until its labels come back and take its weight.

    Memory 90 bytes and about 0.05 us a member. It does badly where members are right about different kinds of fraud
    and each of them is far more sure than the others: `alone` then holds the right one back.

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> fraud = (rng.random(20_000) < 0.05).astype(np.int8)
    >>> good, poor = rng.normal(3.0 * fraud, 1.0), rng.normal(0.0, 50.0, 20_000)
    >>> model = Blend(2)
    >>> model.learn(np.column_stack((good, poor)), fraud)
    >>> rows = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, np.nan], [0.0, 1e9]])
    >>> [round(float(s), 1) for s in model.score(rows)]
    [-7.2, 2.1, 4.3, -7.2]
    """

    kind = "blend"
    supervised: Final = True
    log_odds: Final = True

    def __init__(
        self,
        n_members: int,
        *,
        reach: float = 15.0,
        alone: float = 5.0,
        doubt: float = 1.0,
        forget_labels: int = 500_000,
        memory_labels: int = 100_000,
        memory_frauds: int = 200,
        prior: float = 0.01,
    ) -> None:
        self.reach, self.alone, self.doubt = reach, alone, doubt
        self.keep, self.fade = 1.0 - 1.0 / forget_labels, 1.0 - 1.0 / memory_frauds
        self.memory_labels = float(memory_labels)
        self.bias = log(prior / (1.0 - prior))
        line, variance = np.empty((2, n_members)), np.zeros((3, n_members))
        line[kernels.LEVEL], line[kernels.SLOPE] = self.bias, 0.5
        variance[kernels.VAR_LEVEL], variance[kernels.VAR_SLOPE] = doubt, doubt
        score = np.empty((2, n_members))
        score[kernels.LOSS], score[kernels.BASE] = NATS * (1.0 - SAVED), NATS
        self._state: State = {
            "moments": np.zeros((4, n_members)),
            "line": line,
            "doubt": variance,
            "score": score,
            "share": np.full(1, prior),
            "seen": np.zeros(1, np.int64),
        }

    def process(self, x: F8, action: I1, label: I1, out: F8, parts: F8 | None = None) -> None:
        s = self._state
        kernels.score_and_learn(
            np.ascontiguousarray(x),
            action,
            label,
            self.bias,
            self.reach,
            self.alone,
            self.keep,
            self.doubt,
            self.memory_labels,
            self.fade,
            s["moments"],
            s["line"],
            s["doubt"],
            s["score"],
            s["share"],
            s["seen"],
            out,
            np.empty((0, x.shape[1])) if parts is None else parts,
        )
