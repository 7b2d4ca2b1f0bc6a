"""Drift as the core sees it: inputs and raw scores once a day, the champion's calibration as verdicts come in.

models/drift.py says which columns are spread anew; here is when it looks (multiples of `every` of core time, at the
first row that reaches it: the batch is cut there), what it is told in words, and what an alarm says. Nothing is looked
at before `warm_after`, for windows that fill would drift. One drift is one alarm: the history of a column begins anew
with it, and a calibration must have been honest again before it can be wrong a second time.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.models import DriftEntry
from config.reasons import CALIBRATION_DRIFTED, INPUT_DRIFTED, SCORE_DRIFTED
from engine.admission import NEVER
from engine.alerts import operational_alert
from engine.fates import Fates
from engine.outcomes import Streams
from engine.state import Arrays, prefixed, under
from models.drift import Drift, Drifted
from models.kernels.drift import add_up

F4: TypeAlias = NDArray[np.float32]
F8: TypeAlias = NDArray[np.float64]
I8: TypeAlias = NDArray[np.int64]
Words: TypeAlias = Callable[[str, float], str]  # a value of an input, for people

FOREVER: Final = np.iinfo(np.int64).max
FRAUDS: Final = 50.0  # said or seen, before a calibration is judged
OFF: Final = 1.5  # times too much or too little that is drift
HONEST: Final = 1.25  # within which it is honest again
CHANCE: Final = 5.0  # standard errors beyond which it is no chance; frauds come in clusters


class Drifting:
    """Watch the inputs and models of a configuration.

    next_us : core time at which a block is closed; nothing happens before it
    off     : by model, how many times too much (or, below 1, too little) its calibration said when it was last judged
    """

    def __init__(
        self,
        entry: DriftEntry,
        inputs: tuple[str, ...],
        models: tuple[str, ...],
        warm_us: int,
        words: Words,
    ) -> None:
        self._entry, self._warm_us, self._words = entry, warm_us, words
        self._inputs, self._models = inputs, models
        self._drift = Drift(len(inputs) + len(models), threshold=entry.threshold)
        self._when = np.array([NEVER, FOREVER], np.int64)  # begins to look, closes a block
        self._sums = np.zeros((2, len(models)))  # since a calibration was last judged
        self._was_off = np.zeros(len(models), np.int8)
        self.off = np.full(len(models), np.nan)

    @property
    def watched(self) -> tuple[object, ...]:
        """What is watched, and how."""
        return self._inputs, self._models, self._entry

    @property
    def next_us(self) -> int:
        return int(self._when[1])

    def look_ahead(self, event_time_us: I8) -> None:
        """Before the first transaction: have a batch with these times (n,) cut wherever a block might end in it."""
        if self._entry.watch and self._when[0] == NEVER and len(event_time_us):
            self._when[1] = self._after(int(event_time_us.min()))

    def step(self, now_us: int, seq: int, champion: str, out: Streams) -> None:
        """Close what is due at the first row of a batch, and put out alarms."""
        if self._when[0] == NEVER or now_us < self.next_us:
            return
        self._when[1] = self._after(now_us)
        for drifted in self._drift.close():
            self._tell(drifted, seq, now_us, out)
        self._judge(champion, seq, now_us, out)

    def observe(self, inputs: F4, kept: F4, rows: I8, core_us: I8) -> None:
        """Count the transactions `rows` (k,) of a batch: their inputs (n, f) and raw scores (n, s)."""
        if not self._entry.watch or not len(rows):
            return
        if self._when[0] == NEVER:
            begins_us = int(core_us[rows[0]]) + self._warm_us
            self._when[:] = begins_us, self._after(begins_us)
        if core_us[rows[0]] < self._when[0]:
            rows = rows[core_us[rows] >= self._when[0]]
        self._drift.observe(np.concatenate([inputs, kept], axis=1), rows)

    def hear(self, fates: Fates, said: F8) -> None:
        """Add up what calibrations said (c, s) of transactions, and what became of them; after `observe`."""
        if not self._entry.watch or self._when[0] == NEVER or not len(fates.row):
            return
        add_up(fates.label, fates.now_us, int(self._when[0]), said, self._sums)

    def warm_up(self) -> None:
        """Load or compile the kernels, which otherwise the first rows would wait for."""
        rows, columns = np.empty(0, np.int64), len(self._inputs) + len(self._models)
        self._drift.observe(np.empty((0, columns), np.float32), rows)
        said = np.empty((0, len(self._models)))
        add_up(np.empty(0, np.int8), rows, int(self._when[0]), said, self._sums)

    def figures(self) -> dict[str, dict[str, float]]:
        """For the metrics: the statistic of each input and of each raw score, and how far calibrations are off."""
        statistic = self._drift.statistic.tolist()
        f = len(self._inputs)
        return {
            "input": _known(self._inputs, statistic[:f]),
            "score": _known(self._models, statistic[f:]),
            "calibration": _known(self._models, self.off.tolist()),
        }

    def save(self) -> Arrays:
        own: Arrays = {
            "when": self._when,
            "sums": self._sums,
            "was_off": self._was_off,
            "off": self.off,
        }
        saved = {name: array.copy() for name, array in own.items()}
        if self._when[0] == NEVER:
            saved["when"][1] = FOREVER  # what `look_ahead` says is of one batch
        return saved | prefixed("columns", self._drift.save())

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        self._drift.load(under(saved, "columns"))
        self._when, self._sums = saved["when"].copy(), saved["sums"].copy()
        self._was_off, self.off = saved["was_off"].copy(), saved["off"].copy()

    def adopt(self, other: "Drifting") -> None:
        """Go on with what `other` has seen, if it watched the same columns; else begin anew, without waiting."""
        if other.watched == self.watched:
            self.load(other.save())
        elif self._entry.watch and (begun := other.save()["when"])[0] != NEVER:
            self._when[:] = begun

    def _after(self, now_us: int) -> int:
        every = self._entry.every_us
        return (now_us // every + 1) * every

    def _tell(self, drifted: Drifted, seq: int, now_us: int, out: Streams) -> None:
        is_input = drifted.column < len(self._inputs)
        names = self._inputs if is_input else self._models
        name = names[drifted.column - (0 if is_input else len(self._inputs))]
        words = self._words if is_input else _plain
        changes = [
            f"median {words(name, drifted.median_before)} -> {words(name, drifted.median_now)}",
            f"share missing {_percent(drifted.missing_before)} -> {_percent(drifted.missing_now)}",
        ]
        about = {
            "drift": "input" if is_input else "score",
            "name": name,
            "statistic": round(drifted.statistic, 4),
        }
        what = name if is_input else f"raw score of {name}"
        reason = INPUT_DRIFTED if is_input else SCORE_DRIFTED
        title = f"{what}: {', '.join(changes)}"
        operational_alert(out, reason, title, seq=seq, now_us=now_us, about=about)

    def _judge(self, champion: str, seq: int, now_us: int, out: Streams) -> None:
        """Judge each calibration that has been told of enough frauds; alarm for the champion's."""
        for k, name in enumerate(self._models):
            said, was = self._sums[:, k].tolist()
            if max(said, was) < FRAUDS:
                continue
            self._sums[:, k] = 0.0
            off = max(said, 1.0) / max(was, 1.0)
            self.off[k] = off
            far = abs(said - was) > CHANCE * float(np.sqrt(max(said, 1.0)))
            if far and not 1.0 / OFF < off < OFF:
                if name == champion and not self._was_off[k]:
                    title = (
                        f"calibration of {name}: {said:.0f} frauds were to be expected by its "
                        f"probabilities, {was:.0f} there were"
                    )
                    about = {"drift": "calibration", "name": name, "statistic": round(off, 4)}
                    operational_alert(
                        out, CALIBRATION_DRIFTED, title, seq=seq, now_us=now_us, about=about
                    )
                self._was_off[k] = 1
            elif 1.0 / HONEST < off < HONEST:
                self._was_off[k] = 0


def _known(names: tuple[str, ...], values: list[float]) -> dict[str, float]:
    """Values by name, without those that are missing."""
    return {name: value for name, value in zip(names, values, strict=True) if value == value}  # noqa: PLR0124


def _plain(_name: str, value: float) -> str:
    return "missing" if value != value else f"{value:.4g}"  # noqa: PLR0124


def _percent(share: float) -> str:
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"
