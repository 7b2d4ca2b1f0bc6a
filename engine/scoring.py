"""The models of a configuration over one batch: inputs in, `model.*` columns and raw scores out.

Which model is what stands in models.yaml; how a model works stands in models/. Here is only what connects them to the
columns: which features they read, in which order rows score and learn, and what a transaction's label is learned from
(the inputs and scores as they were at decision time, kept by engine/remembered.py).

Base models read columns; combinations read raw scores of other models and come after them. Every model that could be
promoted has a calibrator of its own, so that the day it becomes the champion changes no meaning of `model.score`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.errors import ConfigError
from config.models import SHADOW, ModelsFile
from engine.kernels.scoring import read_inputs, tell
from engine.labels import Lesson
from engine.normal import LANGUAGES, Normals
from engine.outcomes import CHAMPION
from engine.state import Arrays, prefixed, under
from engine.turns import Turns
from models import registry
from models.calibration import Calibrator
from models.protocol import Model
from rules.columns import Frame, Layout

F4: TypeAlias = NDArray[np.float32]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

IS_FRAUD = np.array([0, 1, 1, 0], np.int8)  # of a fate, see models/kernels/calibrate.py
DECIMALS = 6  # scores are rounded before anything reads them, so that a last bit never decides
STRETCH = (
    4.0  # how many times its own size a contribution to a member may count in what is made of it
)


@dataclass(slots=True)
class _Seat:
    """One model and how it is connected.

    picks      : (f,) int64  places among all inputs; of a combination, among the models
    row        : of its column in the frame, -1 where nobody reads it
    calibrator : None of a shadow
    """

    name: str
    model: Model
    combines: bool
    picks: I8
    row: int
    calibrator: Calibrator | None


@dataclass(slots=True)
class Heard:
    """What the fates of a batch met: verdicts, and silence at maturity (engine/fates.py).

    said       : (c, s) float64  the probability of fraud that each model gave the transaction when it was decided, by
                 its calibration just before the fate; NaN: it had said nothing, or has none
    label      : (c,) int8       1 called fraud, 0 not
    decided_us, now_us : (c,) int64  core time of the decision, and of the fate
    """

    said: F8
    label: I1
    decided_us: I8
    now_us: I8


class Scoring:
    """Every model of the configuration, those that may be promoted calibrated.

    `names` are in the order of scoring; inputs of all models together are `inputs`, each once. Inputs, and scores that
    other models read, are read as float32, when scoring and when learning, because that is how they are remembered
    until the label comes.

    champion : whose calibrated score is `model.score`
    frozen   : models that learn nothing, and whose calibration does not move
    kept     : (n, s) float32  raw scores of the last batch, in the order of `names`; NaN where a row has none
    lessons  : its labels (L,) int8, and at what core time (L,) int64 they were learned
    heard    : what its fates met
    """

    lessons: tuple[I1, I8]
    heard: Heard

    def __init__(self, file: ModelsFile, layout: Layout, *, learns: bool = True) -> None:
        self.names = file.order
        self.champion = file.champion
        self.frozen = frozenset(() if learns else self.names)
        self.inputs = file.inputs
        self.kept = np.empty((0, len(self.names)), np.float32)
        self._file = file
        self._rows = np.array([_number_row(layout, name) for name in self.inputs], np.int64)
        self._seats: dict[str, _Seat] = {}
        for name in self.names:
            entry, where = file.models[name], f"models.yaml, `{name}`"
            registry.demand_shape(
                entry.kind, combines=bool(entry.of), refits=entry.refit is not None, where=where
            )
            reads, known = (entry.of, self.names) if entry.of else (entry.inputs, self.inputs)
            model = registry.build(entry.kind, reads, entry.params, file.seed, where, entry.class_)
            place = layout.places.get(f"model.{name}")
            self._seats[name] = _Seat(
                name,
                model,
                bool(entry.of),
                np.array([known.index(read) for read in reads], np.int64),
                place.row if place is not None else -1,
                None if entry.role == SHADOW else registry.calibrator(model),
            )
        self._normals = Normals(file, layout)
        self._frame: Frame | None = None  # of the last batch
        self._parts: dict[
            str, F8
        ] = {}  # of the last batch: what the champion and its members were made of
        self._explained = self._made_of_champion()
        score = layout.places.get("model.score")
        self._score_row = score.row if score is not None else -1

    @property
    def calibrated(self) -> tuple[str, ...]:
        """Models with a calibration of their own: those that may be the champion."""
        return tuple(name for name, seat in self._seats.items() if seat.calibrator is not None)

    def calibration_errors(self) -> dict[str, float]:
        """How far each calibration was from the truth of late (models/calibration.py), where that is known."""
        found = {n: s.calibrator.error for n, s in self._seats.items() if s.calibrator is not None}
        return {name: error for name, error in found.items() if not np.isnan(error)}

    def crown(self, name: str) -> None:
        """Make one of `calibrated` the champion from the next batch on."""
        assert name in self.calibrated, name
        self.champion = name
        self._explained = self._made_of_champion()

    def _made_of_champion(self) -> frozenset[str]:
        """The champion and its members; nothing where rules are tried without models."""
        return frozenset(self._file.made_of(self.champion) if self.names else ())

    def read(self, frame: Frame) -> F4:
        """Return the (n, f) inputs of every row."""
        inputs = np.empty((frame.n, len(self._rows)), np.float32)
        read_inputs(frame.number, self._rows, inputs)
        return inputs

    def process(self, frame: Frame, lesson: Lesson) -> dict[str, F8]:
        """Score and learn, row by row in order; write the `model.*` columns; return the columns for the record."""
        turns, fates, shape = Turns(frame.n, lesson), lesson.fates, (frame.n, len(self.names))
        kept = self.kept = np.empty(shape, np.float32)
        said = np.empty((len(fates.row), len(self.names)))
        said.fill(np.nan)
        self.lessons = turns.label[turns.learn], turns.now_us
        self.heard = Heard(said, IS_FRAUD[fates.label], fates.decided_us, fates.now_us)
        self._parts, self._frame = {}, frame
        scores: dict[str, F8] = {}
        still = turns.still if self.frozen else turns.action
        for k, seat in enumerate(self._seats.values()):
            x = turns.scores(kept, seat.picks) if seat.combines else turns.x.take(seat.picks, 1)
            raw = np.empty(len(x))
            raw.fill(np.nan)
            parts = np.zeros(x.shape) if seat.name in self._explained else None
            action = turns.action if seat.model.supervised else turns.unlabelled
            if seat.name in self.frozen:
                action = still
            seat.model.process(x, action, turns.label, raw, parts)
            told, column = np.empty(frame.n), np.empty(frame.n)
            tell(raw, turns.action, turns.order, k, seat.row, told, kept, column, frame.number)
            if parts is not None:
                self._parts[seat.name] = turns.of_rows(parts)
            if seat.name != self.champion:
                scores[seat.name] = column
            if seat.calibrator is not None:
                chance = self._calibrate(k, seat, told, lesson)
                if seat.name == self.champion:
                    scores[CHAMPION] = chance.round(DECIMALS)
                    if self._score_row >= 0:
                        frame.number[self._score_row] = scores[CHAMPION]
        return scores

    def _calibrate(self, k: int, seat: _Seat, told: F8, lesson: Lesson) -> F8:
        """Probabilities (n,) of the rows, by raw scores `told` (n,); the calibration learns what became of others.

        `heard` gets what it says just before each fate of the transaction as it was decided. Of a challenger the rows
        are left out (0,) where its calibration learns nothing from them: one of log odds moves with fates only, and a
        frozen one not at all.
        """
        assert seat.calibrator is not None
        fates, learns = lesson.fates, seat.name not in self.frozen
        whole = seat.name == self.champion or (learns and not seat.calibrator.log_odds)
        out = np.empty(len(told) if whole else 0)
        if whole or len(fates.row):
            seat.calibrator.follow(
                told,
                lesson.action,
                fates.score,
                k,
                fates.label,
                fates.row,
                fates.here,
                self.heard.said,
                out,
                learns=learns,
            )
        return out

    def explain(self, row: int) -> list[tuple[str, float]]:
        """Contributions to the champion's raw score of one row of the last batch, the strongest first."""
        if self.champion not in self._parts:
            return []
        added = self._contributions(self.champion, row).tolist()
        named = [
            (name, round(part, DECIMALS)) for name, part in zip(self.inputs, added, strict=True)
        ]
        return sorted(
            (pair for pair in named if pair[1]), key=lambda pair: (-abs(pair[1]), pair[0])
        )

    def normal(
        self, row: int, names: Iterable[str]
    ) -> list[tuple[str, str, float, dict[str, str]]]:
        """What is normal for some inputs in one row of the last batch: input, feature, times it, and in words."""
        if self._frame is None:
            return []
        return [
            (*told, {language: self._normals.words(told, language) for language in LANGUAGES})
            for told in self._normals.of(self._frame, row, tuple(names))
        ]

    def _contributions(self, name: str, row: int) -> F8:
        """What each input (f,) of all models added to the raw score of one: bias + sum = score."""
        seat, parts = self._seats[name], self._parts[name][row]
        total = np.zeros(len(self.inputs))
        if not seat.combines:
            total[seat.picks] = parts
            return total
        for pick, part in zip(seat.picks.tolist(), parts.tolist(), strict=True):
            if part:
                member = self.names[pick]
                total += spread(part, self._contributions(member, row), self._reads(member))
        return total

    def _reads(self, name: str) -> I8:
        """Places of the inputs that a model reads, itself or through its members."""
        seat = self._seats[name]
        if not seat.combines:
            return seat.picks
        members = [self._reads(self.names[pick]) for pick in seat.picks.tolist()]
        return np.unique(np.concatenate(members))

    def save(self) -> Arrays:
        saved: Arrays = {}
        for name, seat in self._seats.items():
            saved |= prefixed(f"model.{name}", seat.model.save())
            if seat.calibrator is not None:
                saved |= prefixed(f"calibration.{name}", seat.calibrator.save())
        return saved

    def adopt(self, other: "Scoring", names: Iterable[str]) -> None:
        """Go on with the very models `names` of `other`, and their calibration; `other` must not be used any more."""
        for name in names:
            seat, before = self._seats[name], other._seats[name]  # noqa: SLF001
            seat.model = before.model
            if seat.calibrator is not None and before.calibrator is not None:
                seat.calibrator = before.calibrator

    def learns_from_labels(self, name: str) -> bool:
        """Whether a model learns label by label."""
        return self._seats[name].model.supervised and self._file.models[name].refit is None

    def take_over(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on with a model as a fit has made it; the calibration goes on too, and follows."""
        self._seats[name].model.load(arrays)

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        for name, seat in self._seats.items():
            seat.model.load(under(saved, f"model.{name}"))
            if seat.calibrator is not None:
                seat.calibrator.load(under(saved, f"calibration.{name}"))


def spread(part: float, own: F8, reads: I8) -> F8:
    """Divide what a member added to a combination among its inputs; the sum is `part`.

    part  : what the member added
    own   : (f,) float64  what each input added to the member's own score
    reads : (k,) int64    the inputs that it reads

    In proportion to `own`, where those mostly point one way. Where they nearly cancel out, proportions would blow them
    up without bound: then each counts at most `STRETCH` times its share, and the rest is divided by size. A member that
    says nothing of its inputs (all zero) has them share equally.
    """
    size = np.abs(own)
    whole = float(size.sum())
    if not whole:
        shared = np.zeros_like(own)
        shared[reads] = part / len(reads)
        return shared
    net = float(own.sum())
    slope = part * net / max(net * net, (whole / STRETCH) ** 2)
    return np.asarray(slope * own + (part - slope * net) * (size / whole))


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
