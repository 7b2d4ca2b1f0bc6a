"""What every model offers, and the words for what may happen to a row. What each must obey stands in models/laws.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
State: TypeAlias = dict[str, NDArray[Any]]  # arrays only: a snapshot never pickles code
Given: TypeAlias = Mapping[str, NDArray[Any]]

SKIP: Final = 0  # the row does not exist for the model; nothing is written for it
SCORE: Final = 1  # score; an unsupervised model then learns the row
LEARN: Final = 2  # score, then learn the row's label; an unsupervised model only scores
PEEK: Final = 3  # score, learn nothing


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that an analyst may set: bounds that belong to it, and what the bounds and the number are about."""

    low: float
    high: float
    about: str
    is_whole: bool = False


class Model(Protocol):
    """Score rows in order, learning as it goes; a high score is anomalous.

    `process` is the whole of it: one call a batch, with rows to score and labels to learn interleaved as they arrived.
    The other two are `process` with one action for all rows.
    """

    @property
    def supervised(self) -> bool:
        """Whether it learns from labels (and from nothing else)."""
        ...

    @property
    def log_odds(self) -> bool:
        """Whether raw scores are log odds of fraud (a calibrator then starts from what they say)."""
        ...

    @property
    def bias(self) -> float:
        """What `explain` leaves over: bias + contributions = score."""
        ...

    def process(self, x: F8, action: I1, label: I1, out: F8, parts: F8 | None = None) -> None:
        """Do with each row what `action` says and write its raw score to `out`.

        `x` is (n, f), NaN for missing; of a LEARN row, as it was when the row was decided. `out` of a LEARN row is the
        score just before its label is learned: what a calibrator wants to see beside the label. `label` is read only
        there; values other than 0 and 1 teach nothing. Rows to SKIP are left alone in `out`.

        `parts` (n, f), where given, gets of each row with SCORE or PEEK what `explain` would have said at that moment:
        a decision is explained by the model that made it, not by what the model has learned since.
        """
        ...

    def score(self, x: F8) -> F8:
        """Raw scores of the rows; the model is as before."""
        ...

    def learn(self, x: F8, label: I1) -> None:
        """Learn the rows: with their labels if supervised, else as if they had just been scored."""
        ...

    def explain(self, x: F8) -> F8:
        """What each input of one (f,) row adds to its raw score; the model is as before."""
        ...

    def save(self) -> State:
        """Copies of all state."""
        ...

    def load(self, arrays: Given) -> None:
        """Take over what `save` gave, of a model of the same kind, inputs and parameters."""
        ...
