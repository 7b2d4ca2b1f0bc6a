"""The rows of one batch in the order in which models take them: to be scored, and to be learned from."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.labels import NO_ROWS, Lesson
from models.protocol import LEARN, PEEK, SCORE, SKIP

F4: TypeAlias = NDArray[np.float32]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]


class Turns:
    """N = n rows of a batch, and what is assumed genuine: each such lesson comes before the row at which it is due.

    x, action, label : (N, f), (N,), (N,)
    unlabelled : (N,) int8  actions for a model that learns without labels; `still`: for one that learns nothing
    order : (N,) int64      place of each turn: a row of the batch, or from n on a lesson; (0,) if rows are all there is
    learn : (L,) int64      places with LEARN
    at    : (L,) int64      row of the batch at which, or before which, each is learned; ascending
    past  : (L, s) float32  what their transactions scored when they were decided; NaN none
    here  : (L,) int64      row of the batch at which they are decided, -1: earlier
    now_us : (L,) int64     core time at which the label is learned
    """

    def __init__(self, n: int, lesson: Lesson) -> None:
        self.n = n
        taught, assumed = lesson.taught, lesson.assumed
        self.order = NO_ROWS
        if not len(assumed.row):
            self.x = lesson.inputs.astype(np.float64)
            self.action, self.label = lesson.action, lesson.verdict
            self.learn, self.past, self.here = taught.row, taught.score, taught.here
            self.at = taught.row
            self.now_us = taught.now_us
        else:
            self._interleave(lesson)
        self.unlabelled = self.action
        if len(self.learn):
            self.unlabelled = np.where(self.action == LEARN, np.int8(SKIP), self.action)

    def _interleave(self, lesson: Lesson) -> None:
        n, m = self.n, len(lesson.assumed.row)
        taught, assumed = lesson.taught, lesson.assumed
        due = np.concatenate([2 * np.arange(n) + 1, 2 * assumed.row])
        order = self.order = np.argsort(due, kind="stable")
        x = np.concatenate([lesson.inputs, lesson.assumed_inputs]).astype(np.float64)
        action = np.concatenate([lesson.action, np.full(m, LEARN, np.int8)])
        label = np.concatenate([lesson.verdict, np.zeros(m, np.int8)])
        self.x, self.action, self.label = x[order], action[order], label[order]
        lesson_of = np.empty(n + m, np.int64)
        lesson_of[taught.row] = np.arange(len(taught.row))
        lesson_of[n:] = len(taught.row) + np.arange(m)
        self.learn = np.flatnonzero(self.action == LEARN)
        lessons = lesson_of[order[self.learn]]
        self.at = np.concatenate([taught.row, assumed.row])[lessons]
        self.past = np.concatenate([taught.score, assumed.score])[lessons]
        self.here = np.concatenate([taught.here, assumed.here])[lessons]
        self.now_us = np.concatenate([taught.now_us, assumed.now_us])[lessons]

    @property
    def still(self) -> I1:
        return np.where(self.unlabelled == SCORE, np.int8(PEEK), self.unlabelled)

    def of_rows(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values (N, ...) in the order of processing, back in the order of the batch."""
        if not len(self.order):
            return values
        back = np.empty_like(values)
        back[self.order] = values
        return back[: self.n]

    def scores(self, kept: F4, picks: I8) -> F8:
        """Raw scores (N, k) of some models: of this moment, and in rows with LEARN of the moment of the decision."""
        now = kept.take(picks, 1).astype(np.float64)
        if len(self.order):
            own = np.flatnonzero(self.order < self.n)
            spread = np.full((len(self.action), len(picks)), np.nan)
            spread[own] = now[self.order[own]]
            now = spread
        if len(self.learn):
            now[self.learn] = self.decided(kept)[:, picks]
        return now

    def decided(self, kept: F4) -> F4:
        """Raw scores (L, s) of the transactions learned from, as they were decided; `kept` are those of this batch."""
        is_here = self.here >= 0
        if not is_here.any():
            return self.past
        past = self.past.copy()
        past[is_here] = kept[self.here[is_here]]
        return past
