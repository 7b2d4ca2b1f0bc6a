"""Models side by side on transactions whose fate is known: what they had said, and what became of them."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.kernels import comparing as kernels
from models.protocol import F8, I1, Given, State
from models.state import copied, put_back

B1: TypeAlias = NDArray[np.bool_]
I8: TypeAlias = NDArray[np.int64]

DAYS: Final = 35  # that are kept
ALERT_SHARE: Final = 0.01  # of transactions, for `precision`
DAY_US: Final = 86_400_000_000
COARSE: Final = 8  # bins of log odds to one line of a calibration table: two units


@dataclass(frozen=True, slots=True)
class Figures:
    """What a model had said of transactions, against what became of them; None where there is nothing to tell.

    log_loss  : mean, in nats; of a model that knows only the share of frauds it would be `plain_loss`
    roc_auc, average_precision : within bins of a quarter unit of log odds all rows count as equal
    precision : share of frauds among the `ALERT_SHARE` of rows with the highest scores
    calibration : (probability said from, to, rows, share of frauds among them), by two units of log odds
    """

    known: int
    frauds: int
    log_loss: float | None
    plain_loss: float | None
    roc_auc: float | None
    average_precision: float | None
    precision: float | None
    calibration: tuple[tuple[float, float, int, float], ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One model against another on the same transactions: `apart` is its mean log loss minus that of the other."""

    known: int
    frauds: int
    first: Figures
    second: Figures
    apart: float
    error: float  # standard error of `apart`


class Comparison:
    """Keep, of the last `DAYS` days, how often each model had said what, by what became of it.

    Everything is counted in whole numbers, so order and batches change nothing. Memory 36 KB a model. A day is the day
    on which the fate was known: of a verdict, or of silence at maturity.

    >>> import numpy as np
    >>> both = Comparison(2)
    >>> said = np.array([[0.9, 0.5], [0.1, 0.5], [0.2, 0.5], [0.8, 0.5]])
    >>> both.observe(said, np.array([1, 0, 0, 1], np.int8), np.zeros(4, np.int64), np.zeros(4, np.bool_))
    >>> [round(both.figures(k).roc_auc, 2) for k in (0, 1)], round(both.figures(0).log_loss, 3)
    ([1.0, 0.5], 0.164)
    """

    def __init__(self, n_models: int) -> None:
        self._state: State = {
            "day": np.full(DAYS, -1, np.int64),
            "count": np.zeros((DAYS, n_models, 2, kernels.BINS), np.int32),
            "loss": np.zeros((DAYS, n_models), np.int64),
            "trial": np.array([-1, -1], np.int64),
            "tried": np.zeros((n_models, 2, kernels.BINS), np.int32),
            "tried_loss": np.zeros(n_models, np.int64),
            "paired": np.zeros(3, np.int64),
        }

    def observe(self, said: F8, label: I1, now_us: I8, is_tried: B1) -> None:
        """Add fates (n,): what models had said (n, m), core time, which never falls, and which count for the trial."""
        s, first = self._state, 0
        day = now_us // DAY_US
        while first < len(day):
            today = int(day[first])
            last = int(np.searchsorted(day, today, side="right"))
            rows, first = slice(first, last), last
            slot = today % DAYS
            if s["day"][slot] != today:
                s["day"][slot] = today
                s["count"][slot] = 0
                s["loss"][slot] = 0
            self._compare(said[rows], label[rows], slot, is_tried[rows])

    def warm_up(self) -> None:
        """Load or compile the kernel, which otherwise the first fate would wait for."""
        none = np.empty(0, np.int8)
        self._compare(np.empty((0, len(self._state["tried"]))), none, 0, none.astype(np.bool_))

    def _compare(self, said: F8, label: I1, slot: int, is_tried: B1) -> None:
        s = self._state
        kernels.compare(
            said,
            label,
            slot,
            is_tried.astype(np.int8),
            int(s["trial"][0]),
            int(s["trial"][1]),
            s["count"],
            s["loss"],
            s["tried"],
            s["tried_loss"],
            s["paired"],
        )

    def begin_trial(self, first: int, second: int) -> None:
        """Compare two models from here on; -1, -1 ends a trial."""
        for name in ("tried", "tried_loss", "paired"):
            self._state[name][...] = 0
        self._state["trial"][:] = first, second

    def figures(self, k: int) -> Figures:
        """What model `k` is worth, by the fates of the last days."""
        s = self._state
        held = s["day"] >= max(0, int(s["day"].max()) - DAYS + 1)
        return figures_of(
            s["count"][held, k].sum(axis=0, dtype=np.int64), int(s["loss"][held, k].sum())
        )

    def trial(self) -> Trial | None:
        """How the two models of the trial did; None without one."""
        s = self._state
        first, second = s["trial"].tolist()
        if first < 0:
            return None
        one, other = (
            figures_of(s["tried"][k].astype(np.int64), int(s["tried_loss"][k]))
            for k in (first, second)
        )
        n, total, squares = s["paired"].tolist()
        apart = total / n / kernels.THOUSANDTHS if n else 0.0
        spread = max(squares / n / kernels.MILLIONTHS - apart * apart, 0.0) if n else 0.0
        error = float(np.sqrt(spread / n)) if n else 0.0
        return Trial(n, min(one.frauds, other.frauds), one, other, apart, error)

    def take(self, other: "Comparison", places: list[int]) -> None:
        """Go on from `other`: model `k` as its `places[k]` was, -1 as if it had said nothing; without its trial."""
        s, o = self._state, other._state  # noqa: SLF001
        s["day"][:] = o["day"]
        for k, place in enumerate(places):
            if place >= 0:
                s["count"][:, k], s["loss"][:, k] = o["count"][:, place], o["loss"][:, place]

    def take_trial(self, other: "Comparison", places: list[int]) -> bool:
        """Go on with the trial of `other` too; whether both models are still there."""
        s, o = self._state, other._state  # noqa: SLF001
        pair = [places.index(k) if k in places else -1 for k in o["trial"].tolist()]
        if min(pair) < 0 or o["trial"][0] < 0:
            return False
        s["trial"][:], s["paired"][:] = pair, o["paired"]
        for k, place in enumerate(places):
            if place >= 0:
                s["tried"][k], s["tried_loss"][k] = o["tried"][place], o["tried_loss"][place]
        return True

    def save(self) -> State:
        return copied(self._state)

    def load(self, arrays: Given) -> None:
        put_back(self._state, arrays, "comparison")


def figures_of(count: I8, loss: int) -> Figures:
    """Figures of one histogram: `count` (2, bins) int64 of genuine and fraud rows, `loss` in millionths."""
    genuine, frauds = count[0][::-1], count[1][::-1]  # the highest scores first
    n_genuine, n_frauds = int(genuine.sum()), int(frauds.sum())
    n = n_genuine + n_frauds
    if not n:
        return Figures(0, 0, None, None, None, None, None, ())
    share = n_frauds / n
    plain = -sum(p * float(np.log(p)) for p in (share, 1.0 - share) if p > 0)
    table = _calibration(count)
    if not n_frauds or not n_genuine:
        return Figures(n, n_frauds, loss / n / kernels.MILLIONTHS, plain, None, None, None, table)
    found, alarmed = np.cumsum(frauds), np.cumsum(frauds + genuine)
    above = found - frauds  # frauds in higher bins
    auc = float(((above + frauds / 2) * genuine).sum()) / (n_frauds * n_genuine)
    some = alarmed > 0
    precision = np.where(some, found / np.maximum(alarmed, 1), 0.0)
    average = float((precision * frauds).sum()) / n_frauds
    wanted = max(1.0, ALERT_SHARE * n)
    last = int(np.searchsorted(alarmed, wanted))
    before = int(alarmed[last] - frauds[last] - genuine[last])
    part = (wanted - before) / (frauds[last] + genuine[last])
    at_share = (float(above[last]) + part * float(frauds[last])) / wanted
    return Figures(n, n_frauds, loss / n / kernels.MILLIONTHS, plain, auc, average, at_share, table)


def _calibration(count: I8) -> tuple[tuple[float, float, int, float], ...]:
    rows = []
    for first in range(0, kernels.BINS, COARSE):
        genuine, frauds = count[:, first : first + COARSE].sum(axis=1).tolist()
        if genuine + frauds:
            low = first / kernels.PER_UNIT - kernels.REACH
            ends = (_chance(low), _chance(low + COARSE / kernels.PER_UNIT))
            rows.append((*ends, genuine + frauds, frauds / (genuine + frauds)))
    return tuple(rows)


def _chance(log_odds: float) -> float:
    return float(1.0 / (1.0 + np.exp(-log_odds)))
