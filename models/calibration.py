"""A probability instead of a raw score, honest while verdicts trickle in late and on few."""

from typing import Final

import numpy as np

from models.kernels import calibrate as kernels
from models.kernels.calibrate import F4, I8
from models.kernels.exp_log import log
from models.protocol import F8, I1, Given, State
from models.state import copied, put_back

EDGES: Final = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8)  # probabilities between which honesty is kept
SLOPE_MIN: Final = 0.02  # of the line, so that the order of rows is kept
ENOUGH: Final = 20.0  # frauds, said or seen, before `error` says anything


class Calibrator:
    """Turn raw scores of one model into probabilities of fraud; never changes the order of rows at any instant.

    The log odds of the probability are a rising broken line of the raw score, so that a score may be honest in the
    middle and too sure at the end. Raw scores that are log odds already (`log_odds`) start as what they say; others
    start at `prior` for a usual row and one unit of log odds more per standard deviation of the scores of transactions
    (SCORE rows), and lessons correct that. Each lesson is one Newton step; old ones fade by the frauds that came since
    (`forget_frauds`), because frauds are what a line is drawn through: 400 to 1,000 of them did best.

    A lesson (LEARN) is the raw score of a transaction as it was decided, and what became of it: 1 called fraud, 0 not.
    Who feeds it must bring every transaction once, the ones nobody looked at too; a verdict that comes or turns later
    is 2 (fraud after all) or 3 (genuine after all). So the probability is the share of such transactions that are
    called fraud. With verdicts alone, which in a bank are mostly frauds, it says 41 times too much (a generated bank,
    0.7 % of honest payments looked into); counting the silent ones as not called, 0.8 times.

    >>> import numpy as np
    >>> calibrator = Calibrator(log_odds=True)
    >>> raw = np.zeros(20_000)  # says 50 %, where 5 % are fraud
    >>> label = (np.random.default_rng(2).random(20_000) < 0.05).astype(np.int8)
    >>> out = np.empty(20_000)
    >>> calibrator.process(raw, np.full(20_000, 2, np.int8), label, out)
    >>> [round(float(out[i]), 2) for i in (0, 100, 19_999)]
    [0.5, 0.2, 0.05]
    """

    def __init__(
        self,
        *,
        log_odds: bool,
        prior: float = 0.01,
        stiffness: float = 0.3,
        forget_frauds: int = 600,
        memory_rows: int = 100_000,
    ) -> None:
        self.log_odds = log_odds
        self.knot = np.array(
            [-6.0, -4.0, -2.0, 0.0, 2.0] if log_odds else [-1.0, 0.0, 1.0, 2.0, 4.0]
        )
        self.edge = np.array(EDGES)
        self.reach = 30.0 if log_odds else 20.0
        self.stiffness, self.forget_frauds = stiffness, float(forget_frauds)
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
            "told": np.zeros((3, len(EDGES) + 1)),
            "seen": np.zeros(1, np.int64),
        }

    def process(self, raw: F8, action: I1, label: I1, out: F8) -> None:
        """Write the probability of each row; learn the LEARN rows. `raw` and `out` may be one array.

        Rows without a raw score (NaN) do not exist.
        """
        s = self._state
        kernels.calibrate_and_learn(
            raw,
            action,
            label,
            self.knot,
            self.edge,
            not self.log_odds,
            self.reach,
            SLOPE_MIN,
            self.stiffness,
            self.forget_frauds,
            self.doubt,
            self.memory_rows,
            s["moments"],
            s["line"],
            s["covariance"],
            s["told"],
            s["seen"],
            out,
        )

    def follow(
        self,
        raw: F8,
        action: I1,
        decided: F4,
        which: int,
        label: I1,
        row: I8,
        here: I8,
        said: F8,
        out: F8,
        *,
        learns: bool = True,
    ) -> None:
        """Write the probability of each row, and learn what became of others, each before the row at which it is told.

        raw, action : (n,) of the rows; those with a raw score are no lessons
        decided     : (c, s) float32  raw scores of the others as decided, in column `which`; NaN none
        label       : (c,) int8   what became of them
        row         : (c,) int64  the row that each comes before, ascending
        here        : (c,) int64  the row that each is itself, -1 none of them
        said        : (c, s)  gets in column `which` the probability just before each was learned
        out         : (n,) gets the probabilities; of length 0 where nobody wants them
        learns      : whether anything is learned
        """
        s = self._state
        kernels.calibrate_in_turn(
            raw,
            action,
            decided,
            which,
            label,
            row,
            here,
            learns,
            self.knot,
            self.edge,
            not self.log_odds,
            self.reach,
            SLOPE_MIN,
            self.stiffness,
            self.forget_frauds,
            self.doubt,
            self.memory_rows,
            s["moments"],
            s["line"],
            s["covariance"],
            s["told"],
            s["seen"],
            said,
            out,
        )

    @property
    def lessons(self) -> int:
        """How many it has learned."""
        return int(self._state["seen"][0])

    @property
    def error(self) -> float:
        """How far what it said of late was from what became true: 0 honest, 1 as far off as saying nothing.

        The sum over ranges of probability of |said - was|, by the frauds there were; NaN while there were too few. What
        was said is taken just before each lesson, so that a line which follows a drift too slowly shows.
        """
        _, said, was = self._state["told"]
        total = max(float(said.sum()), float(was.sum()))
        return float(np.abs(said - was).sum() / total) if total >= ENOUGH else float(np.nan)

    @property
    def reliability(self) -> list[tuple[float, float, float]]:
        """For each range of probability, of late: lessons, the mean that was said, the share that was fraud."""
        return [
            (n, said / n, was / n) if n else (0.0, float(np.nan), float(np.nan))
            for n, said, was in self._state["told"].T.tolist()
        ]

    def save(self) -> State:
        return copied(self._state)

    def load(self, arrays: Given) -> None:
        put_back(self._state, arrays, "calibration")
