"""A probability instead of a raw score, honest while labels trickle in."""

import numpy as np

from models.kernels import calibrate as kernels
from models.kernels.exp_log import log
from models.protocol import F8, I1, Given, State
from models.state import copied, put_back


class Calibrator:
    """Turn raw scores of one model into probabilities of fraud; never changes the order of rows at any instant.

    The log odds of the probability are a rising broken line of the raw score, so that a score may be honest in the
    middle and too sure at the end. Raw scores that are log odds already (`log_odds`) start as what they say; others
    start at `prior` for a usual row and one unit of log odds more per standard deviation of the scores of transactions
    (SCORE rows), and the labels correct that. Each label is one Newton step; old labels fade (`forget_labels`).

    The probability is as honest as the labels are complete: where only frauds are ever labelled, it drifts up.

    >>> import numpy as np
    >>> calibrator = Calibrator(log_odds=True)
    >>> raw = np.zeros(20_000)  # says 50 %, where 5 % are fraud
    >>> label = (np.random.default_rng(2).random(20_000) < 0.05).astype(np.int8)
    >>> out = np.empty(20_000)
    >>> calibrator.process(raw, np.full(20_000, 2, np.int8), label, out)
    >>> [round(float(out[i]), 2) for i in (0, 100, 19_999)]
    [0.5, 0.09, 0.05]
    """

    def __init__(
        self,
        *,
        log_odds: bool,
        prior: float = 0.01,
        forget_labels: int = 200_000,
        memory_rows: int = 100_000,
    ) -> None:
        self.log_odds = log_odds
        self.knot = np.array(
            [-6.0, -4.0, -2.0, 0.0, 2.0] if log_odds else [-1.0, 0.0, 1.0, 2.0, 4.0]
        )
        self.reach = 30.0 if log_odds else 20.0
        self.keep = 1.0 - 1.0 / forget_labels
        self.memory_rows = float(memory_rows)
        k = len(self.knot) + 2
        self.doubt = np.full(k, 0.25)
        self.doubt[0] = 4.0
        line = np.ones(k)
        line[0] = self.knot[0] + (0.0 if log_odds else log(prior / (1.0 - prior)))
        self._state: State = {
            "moments": np.zeros((4, 1)),
            "line": line,
            "covariance": np.diag(self.doubt),
            "seen": np.zeros(1, np.int64),
        }

    def process(self, raw: F8, action: I1, label: I1, out: F8) -> None:
        """Write the probability of each row; learn the labels of LEARN rows. `raw` and `out` may be one array."""
        s = self._state
        kernels.calibrate_and_learn(
            raw,
            action,
            label,
            self.knot,
            not self.log_odds,
            self.reach,
            0.02,
            self.keep,
            self.doubt,
            self.memory_rows,
            s["moments"],
            s["line"],
            s["covariance"],
            s["seen"],
            out,
        )

    def save(self) -> State:
        return copied(self._state)

    def load(self, arrays: Given) -> None:
        put_back(self._state, arrays, "calibration")
