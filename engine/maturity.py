"""How many decisions have a verdict by what age, and which: what nobody labels is never learned from.

Labels are selective: people look at what was alerted or held, and what was approved comes back only as a complaint. So
shares are kept by what the engine had answered; figures of models hold for labelled transactions, and these shares say
how far that is from all of them.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.decisions import DECISIONS
from engine.admission import Admitted
from engine.remembered import Remembered
from engine.state import Arrays

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

DAYS: Final = 64  # of decisions that are kept
DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
ANSWERS: Final = ("approved", "alerted", "held", "declined")
_ANSWER_OF: Final = np.array(
    [{"approve": 0, "review": 1, "decline": 3}.get(name, 2) for name in DECISIONS], np.int64
)
AGES: Final = (
    ("1h", HOUR_US),
    ("1d", DAY_US),
    ("3d", 3 * DAY_US),
    ("7d", 7 * DAY_US),
    ("14d", 14 * DAY_US),
    ("30d", 30 * DAY_US),
)
_EDGES: Final = np.array([us for _, us in AGES], np.int64)


class Maturity:
    """Count decisions by day and answer, and their first verdicts by age.

    maturity_us : the age at which a transaction without a verdict is no longer waited for
    """

    def __init__(self, maturity_us: int) -> None:
        from engine.kernels.maturity import count  # who only shows the shares compiles nothing

        self._count = count
        self.maturity_us = maturity_us
        self._state: Arrays = {
            "day": np.full(DAYS, -1, np.int64),
            "decided": np.zeros((DAYS, len(ANSWERS)), np.int64),
            "verdict": np.zeros((DAYS, len(ANSWERS), len(AGES) + 1), np.int64),
            "mature": np.zeros((DAYS, len(ANSWERS)), np.int64),  # verdicts no older than maturity
            "fraud": np.zeros((DAYS, len(ANSWERS)), np.int64),
        }

    def see(
        self, admitted: Admitted, decision: I1, memory: Remembered, first: I8, verdict: I1
    ) -> dict[str, int]:
        """Count a batch that was decided; return its first verdicts by answer.

        decision : (n,) int8   severity, -1 none
        first    : (k,) int64  rows of labels that bring the first verdict of their transaction, rising
        verdict  : (n,) int8   what those rows say
        """
        s, arrays = self._state, memory.arrays
        told = np.zeros(len(ANSWERS), np.int64)
        self._count(
            admitted.core_us,
            decision,
            first,
            verdict,
            admitted.entry,
            _ANSWER_OF,
            _EDGES,
            self.maturity_us,
            memory.base,
            arrays["decision"],
            arrays["core_us"],
            s["day"],
            s["decided"],
            s["verdict"],
            s["mature"],
            s["fraud"],
            told,
        )
        return {name: n for name, n in zip(ANSWERS, told.tolist(), strict=True) if n}

    def by_age(self, now_us: int) -> dict[str, float | None]:
        """Share of decisions with a verdict by an age, of those that are so old; None where none is."""
        s, told = self._state, {}
        for k, (name, age_us) in enumerate(AGES):
            old = self._held(now_us, age_us)
            decided = int(s["decided"][old].sum())
            known = int(s["verdict"][old][:, :, : k + 1].sum())
            told[name] = known / decided if decided else None
        return told

    def shares(self, now_us: int) -> dict[str, float | None]:
        """Share of mature decisions with a verdict, by answer."""
        return {name: each["share_labelled"] for name, each in self.by_answer(now_us).items()}

    def by_answer(self, now_us: int) -> dict[str, dict[str, Any]]:
        """Of mature decisions, by what was answered: how many, the share with a verdict, and of frauds among those."""
        s, told = self._state, {}
        old = self._held(now_us, self.maturity_us)
        for k, name in enumerate(ANSWERS):
            decided = int(s["decided"][old, k].sum())
            known = int(s["verdict"][old, k].sum())
            told[name] = {
                "decided": decided,
                "labelled": known,
                "share_labelled": known / decided if decided else None,
                "share_at_maturity": int(s["mature"][old, k].sum()) / decided if decided else None,
                "share_fraud": int(s["fraud"][old, k].sum()) / known if known else None,
            }
        return told

    def _held(self, now_us: int, age_us: int) -> NDArray[np.bool_]:
        """Days that are kept, and over for at least `age_us`."""
        day = self._state["day"]
        over_us = (day + 1) * DAY_US + age_us
        is_held = (day >= 0) & (day > now_us // DAY_US - DAYS) & (over_us <= now_us)
        return np.asarray(is_held, np.bool_)

    def adopt(self, other: "Maturity") -> None:
        """Go on from what `other` has counted, which must not be used any more."""
        self._state = other._state  # noqa: SLF001

    def save(self) -> Arrays:
        return {name: array.copy() for name, array in self._state.items()}

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        for name, array in self._state.items():
            array[...] = saved[name]
