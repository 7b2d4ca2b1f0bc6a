"""The models of a configuration over one batch: inputs in, `model.*` columns and raw scores out.

Which model is what stands in models.yaml; how a model works stands in models/. Here is only what connects them to the
columns: which features they read, in which order rows score and learn, and what a transaction's label is learned from
(the inputs as they were at decision time, kept by engine/remembered.py).
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.errors import ConfigError
from config.settings import ModelsFile
from engine.labels import Lesson
from engine.outcomes import CHAMPION
from engine.state import Arrays, prefixed, under
from models import registry
from models.protocol import LEARN, PEEK, SCORE, SKIP, Model
from rules.columns import Frame, Layout

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

DECIMALS = 6  # scores are rounded before anything reads them, so that a last bit never decides


class Scoring:
    """Every model of the configuration, the champion calibrated.

    `names` are in the order of the file; inputs of all models together are `inputs`, each once. Inputs are read as
    float32, when scoring and when learning, because that is how they are remembered until the label comes.
    """

    def __init__(self, file: ModelsFile, layout: Layout) -> None:
        self.names = tuple(file.models)
        self.champion = file.champion
        self.inputs = file.inputs
        self._rows = np.array([_number_row(layout, name) for name in self.inputs], np.int64)
        self._models: dict[str, Model] = {}
        self._picks: dict[str, I8] = {}
        for name, entry in file.models.items():
            self._models[name] = registry.build(
                entry.kind, entry.inputs, entry.params, file.seed, f"models.yaml, `{name}`"
            )
            picks = [self.inputs.index(i) for i in entry.inputs]
            self._picks[name] = np.array(picks, np.int64)
        self._parts = np.zeros((0, 0))  # of the last batch: what each input added to the champion
        champion = self._models.get(file.champion)  # none where rules are tried without models
        self._calibrator = registry.calibrator(champion) if champion is not None else None
        places = layout.places
        self._places = {n: places[f"model.{n}"].row for n in self.names if f"model.{n}" in places}
        self._score_row = places["model.score"].row if "model.score" in places else -1

    def read(self, frame: Frame) -> NDArray[np.float32]:
        """Return the (n, f) inputs of every row."""
        with np.errstate(
            over="ignore"
        ):  # beyond float32 is infinite, and models read that as missing
            return np.ascontiguousarray(frame.number[self._rows].T, dtype=np.float32)

    def process(self, frame: Frame, lesson: Lesson) -> dict[str, F8]:
        """Score and learn, row by row in order; write the `model.*` columns; return the columns for the record."""
        action, label, assumed = lesson.action, lesson.verdict, lesson.assumed
        n, m = frame.n, len(assumed[0])
        x = np.concatenate([lesson.inputs, assumed[1]]).astype(np.float64)
        action = np.concatenate([action, np.full(m, LEARN, np.int8)])
        label = np.concatenate([label, np.zeros(m, np.int8)])
        order = np.argsort(np.concatenate([2 * np.arange(n) + 1, 2 * assumed[0]]), kind="stable")
        if m:
            x, action, label = x[order], action[order], label[order]
        scores: dict[str, F8] = {}
        scored = (action == SCORE) | (action == PEEK)
        unlabelled = np.where(action == LEARN, np.int8(SKIP), action)

        def of_rows(values: F8) -> F8:
            """Values in the order of processing, back in the order of the batch."""
            back = np.empty_like(values)
            back[order] = values
            return back[:n]

        for name, model in self._models.items():
            raw = np.full(n + m, np.nan)
            picked = np.ascontiguousarray(x[:, self._picks[name]])
            learns = action if model.supervised else unlabelled
            is_champion = name == self.champion
            parts = np.zeros_like(picked) if is_champion else None
            model.process(picked, learns, label, raw, parts)
            column = of_rows(np.where(scored, np.round(raw, DECIMALS), np.nan))
            if name in self._places:
                frame.number[self._places[name]] = column
            if parts is None:
                scores[name] = column
                continue
            self._parts = of_rows(parts)
            assert self._calibrator is not None
            self._calibrator.process(raw, learns, label, raw)
            scores[CHAMPION] = of_rows(np.where(scored, np.round(raw, DECIMALS), np.nan))
            if self._score_row >= 0:
                frame.number[self._score_row] = scores[CHAMPION]
        return scores

    def explain(self, row: int) -> list[tuple[str, float]]:
        """Contributions to the champion's raw score of one row of the last batch, the strongest first."""
        if self._calibrator is None:
            return []
        names = (self.inputs[p] for p in self._picks[self.champion])
        named = [
            (name, round(part, DECIMALS))
            for name, part in zip(names, self._parts[row].tolist(), strict=True)
        ]
        return sorted(
            (pair for pair in named if pair[1]), key=lambda pair: (-abs(pair[1]), pair[0])
        )

    def save(self) -> Arrays:
        saved: Arrays = {}
        if self._calibrator is not None:
            saved = prefixed("calibration", self._calibrator.save())
        for name, model in self._models.items():
            saved |= prefixed(f"model.{name}", model.save())
        return saved

    def adopt(self, other: "Scoring", names: Iterable[str]) -> None:
        """Go on with the very models `names` of `other`, which must not be used any more.

        With the champion goes its calibration.
        """
        for name in names:
            self._models[name] = other._models[name]  # noqa: SLF001
            if name == self.champion == other.champion:
                self._calibrator = other._calibrator  # noqa: SLF001

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        if self._calibrator is not None:
            self._calibrator.load(under(saved, "calibration"))
        for name, model in self._models.items():
            model.load(under(saved, f"model.{name}"))


def _number_row(layout: Layout, name: str) -> int:
    """Row of a model input in the number plane; a `ConfigError` if there is no such column, or it holds codes."""
    if name not in layout:
        raise ConfigError(
            f"model input `{name}` is neither a feature nor a field",
            "models.yaml",
            why="a model reads declared columns only, so that an analyst can see what it knows",
            fix="declare the feature in a pack, or take the input out",
        )
    place = layout[name]
    if place.is_code:
        raise ConfigError(
            f"model input `{name}` is a {place.type}",
            "models.yaml",
            why="models read numbers, and the code of a text means nothing",
            fix="declare a feature over it, such as a count or a share",
        )
    return place.row
