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
from engine.labels import Lesson
from engine.outcomes import CHAMPION
from engine.state import Arrays, prefixed, under
from models import registry
from models.calibration import Calibrator
from models.protocol import LEARN, PEEK, SCORE, SKIP, Model
from rules.columns import Frame, Layout

F4: TypeAlias = NDArray[np.float32]
F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

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


class _Turns:
    """The rows of a batch in the order in which models take them: an assumed label comes before the row it is due at.

    x, action, label : (N, f), (N,), (N,)
    learn : (L,) int64      places with LEARN
    past  : (L, s) float32  what their transactions scored when they were decided; NaN none
    here  : (L,) int64      row of the batch at which they are decided, -1: earlier
    """

    def __init__(self, n: int, lesson: Lesson) -> None:
        self.n = n
        taught, assumed = lesson.taught, lesson.assumed
        self._order: I8 | None = None
        if not len(assumed.row):
            self.x = lesson.inputs.astype(np.float64)
            self.action, self.label = lesson.action, lesson.verdict
            self.learn, self.past, self.here = taught.row, taught.score, taught.here
            return
        m = len(assumed.row)
        due = np.concatenate([2 * np.arange(n) + 1, 2 * assumed.row])
        order = self._order = np.argsort(due, kind="stable")
        x = np.concatenate([lesson.inputs, lesson.assumed_inputs]).astype(np.float64)
        action = np.concatenate([lesson.action, np.full(m, LEARN, np.int8)])
        label = np.concatenate([lesson.verdict, np.zeros(m, np.int8)])
        self.x, self.action, self.label = x[order], action[order], label[order]
        lesson_of = np.empty(n + m, np.int64)
        lesson_of[taught.row] = np.arange(len(taught.row))
        lesson_of[n:] = len(taught.row) + np.arange(m)
        self.learn = np.flatnonzero(self.action == LEARN)
        lessons = lesson_of[order[self.learn]]
        self.past = np.concatenate([taught.score, assumed.score])[lessons]
        self.here = np.concatenate([taught.here, assumed.here])[lessons]

    def of_rows(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values (N, ...) in the order of processing, back in the order of the batch."""
        if self._order is None:
            return values
        back = np.empty_like(values)
        back[self._order] = values
        return back[: self.n]

    def scores(self, kept: F4, picks: I8) -> F8:
        """Raw scores (N, k) of some models: of this moment, and in rows with LEARN of the moment of the decision."""
        now = kept[:, picks].astype(np.float64)
        if self._order is not None:
            own = np.flatnonzero(self._order < self.n)
            spread = np.full((len(self.action), len(picks)), np.nan)
            spread[own] = now[self._order[own]]
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


class Scoring:
    """Every model of the configuration, those that may be promoted calibrated.

    `names` are in the order of scoring; inputs of all models together are `inputs`, each once. Inputs, and scores that
    other models read, are read as float32, when scoring and when learning, because that is how they are remembered
    until the label comes.

    champion : whose calibrated score is `model.score`
    frozen   : models that learn nothing, and whose calibration does not move
    kept     : (n, s) float32  raw scores of the last batch, in the order of `names`; NaN where a row has none
    """

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
            model = registry.build(entry.kind, reads, entry.params, file.seed, where)
            place = layout.places.get(f"model.{name}")
            self._seats[name] = _Seat(
                name,
                model,
                bool(entry.of),
                np.array([known.index(read) for read in reads], np.int64),
                place.row if place is not None else -1,
                None if entry.role == SHADOW else registry.calibrator(model),
            )
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
        with np.errstate(
            over="ignore"
        ):  # beyond float32 is infinite, and models read that as missing
            return np.ascontiguousarray(frame.number[self._rows].T, dtype=np.float32)

    def process(self, frame: Frame, lesson: Lesson) -> dict[str, F8]:
        """Score and learn, row by row in order; write the `model.*` columns; return the columns for the record."""
        turns = _Turns(frame.n, lesson)
        kept = self.kept = np.full((frame.n, len(self.names)), np.nan, np.float32)
        self._parts = {}
        scores: dict[str, F8] = {}
        unlabelled = still = turns.action
        if len(turns.learn):
            unlabelled = np.where(turns.action == LEARN, np.int8(SKIP), turns.action)
        if self.frozen:
            still = np.where(unlabelled == SCORE, np.int8(PEEK), unlabelled)
        for k, seat in enumerate(self._seats.values()):
            x = turns.scores(kept, seat.picks) if seat.combines else turns.x[:, seat.picks]
            x = np.ascontiguousarray(x)
            raw = np.full(len(x), np.nan)
            parts = np.zeros_like(x) if seat.name in self._explained else None
            action = still if seat.name in self.frozen else turns.action
            if not seat.model.supervised and action is not still:
                action = unlabelled
            seat.model.process(x, action, turns.label, raw, parts)
            told = raw
            if len(turns.learn):
                told = raw.copy()
                told[turns.learn] = np.nan
            told = turns.of_rows(told)
            with np.errstate(over="ignore"):  # beyond float32 is infinite, as with inputs
                kept[:, k] = told
            column = np.round(told, DECIMALS)
            if seat.row >= 0:
                frame.number[seat.row] = column
            if parts is not None:
                self._parts[seat.name] = turns.of_rows(parts)
            if seat.name == self.champion:
                scores[CHAMPION] = self._probability(seat, k, raw, turns)
                if self._score_row >= 0:
                    frame.number[self._score_row] = scores[CHAMPION]
            else:
                scores[seat.name] = column
                self._keep_calibrated(seat, k, raw, turns)
        return scores

    def _probability(self, seat: _Seat, k: int, raw: F8, turns: _Turns) -> F8:
        """The champion's calibrated scores of the batch (n,); its calibration learns on the way."""
        assert seat.calibrator is not None
        raw, action = self._to_calibrate(seat, k, raw, turns)
        out = np.full(len(raw), np.nan)
        seat.calibrator.process(raw, action, turns.label, out)
        out[turns.learn] = np.nan
        return np.round(turns.of_rows(out), DECIMALS)

    def _keep_calibrated(self, seat: _Seat, k: int, raw: F8, turns: _Turns) -> None:
        """Have the calibration of a challenger learn, so that it means something the day it is promoted.

        One of log odds moves with labels only, so that other rows need not be shown to it.
        """
        if seat.calibrator is None or seat.name in self.frozen:
            return
        if not seat.calibrator.log_odds:
            raw, action = self._to_calibrate(seat, k, raw, turns)
            seat.calibrator.process(raw, action, turns.label, np.empty(len(raw)))
        elif len(turns.learn):
            raw, action = self._to_calibrate(seat, k, raw, turns)
            rows = turns.learn
            seat.calibrator.process(raw[rows], action[rows], turns.label[rows], np.empty(len(rows)))

    def _to_calibrate(self, seat: _Seat, k: int, raw: F8, turns: _Turns) -> tuple[F8, I1]:
        """Raw scores (N,) and what they are to the calibration of a model; rows without a score do not exist for it.

        A label meets what a supervised model says just before it learns it, and what another said at decision time.
        """
        if len(turns.learn) and not seat.model.supervised:
            raw = raw.copy()
            raw[turns.learn] = turns.decided(self.kept)[:, k]
        action = turns.action
        if seat.name in self.frozen:
            action = np.where(action == SCORE, np.int8(PEEK), action)
            action[turns.learn] = SKIP
        return raw, np.where(np.isfinite(raw), action, np.int8(SKIP))

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
