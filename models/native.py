"""What our own models have in common: state in named arrays, and `process` as the whole of what they do."""

from abc import ABC, abstractmethod

import numpy as np

from models.protocol import F8, I1, LEARN, PEEK, SCORE, Given, State
from models.state import copied, put_back


class Native(ABC):
    """A `Model` of which only `process` is its own; the rest of models/protocol.py follows from it.

    kind : what its saved state is said to be of, in errors
    """

    kind: str
    _state: State

    @property
    @abstractmethod
    def supervised(self) -> bool: ...

    @abstractmethod
    def process(self, x: F8, action: I1, label: I1, out: F8, parts: F8 | None = None) -> None: ...

    def score(self, x: F8) -> F8:
        out = np.empty(len(x))
        self.process(x, np.full(len(x), PEEK, np.int8), np.empty(0, np.int8), out)
        return out

    def learn(self, x: F8, label: I1) -> None:
        action = LEARN if self.supervised else SCORE
        self.process(x, np.full(len(x), action, np.int8), label, np.empty(len(x)))

    def explain(self, x: F8) -> F8:
        parts = np.zeros((1, len(x)))
        self.process(x[None], np.full(1, PEEK, np.int8), np.empty(0, np.int8), np.empty(1), parts)
        return np.asarray(parts[0])

    def save(self) -> State:
        return copied(self._state)

    def load(self, arrays: Given) -> None:
        put_back(self._state, arrays, self.kind)
