"""When models are fitted anew, and to what: a part of the core, without a file and without a clock.

Nothing here depends on where batches are cut, as long as every row that may bring core time to `next_us` stands at the
beginning of what is taken in at once (engine/core.py sees to that).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from config.errors import ConfigError
from config.models import ModelsFile, Parameter, RefitEntry
from config.reasons import MODEL_NOT_REFITTED, MODEL_REFITTED
from engine.admission import NEVER
from engine.alerts import operational_alert
from engine.outcomes import Streams, rfc3339
from engine.ports import Fits, Fitted, NotFitted, TrainingSet
from engine.remembered import APPLIED, FRAUD, GENUINE, NO_LABEL, Remembered
from engine.scoring import Scoring
from engine.state import Arrays, prefixed, under

B1: TypeAlias = NDArray[np.bool_]
I8: TypeAlias = NDArray[np.int64]

FOREVER: Final = np.iinfo(np.int64).max  # core time that never comes


class Nobody:
    """The port where nobody fits anything: rule tests, backtests, a core that is only looked at."""

    def close(self, training: TrainingSet) -> None:
        pass

    def take(self, model: str, closed_us: int, attempt: int) -> NotFitted:  # noqa: ARG002
        return NotFitted("nothing is fitted here")


@dataclass(slots=True)
class _Turn:
    """Where one model stands.

    closed_us    : the last multiple of `every` that core time has passed; NEVER before the first row
    due_us       : core time at which its fit is asked for, FOREVER if none is on its way
    attempt      : how often it was asked for in vain
    training     : the set that is on its way
    active_us    : when the set of the present fit was closed; NEVER before the first
    active       : sha256 of the present fit, 64 digits or ""
    rows, frauds : of the set on its way, before genuine rows were sampled
    """

    closed_us: int = NEVER
    due_us: int = FOREVER
    attempt: int = 0
    training: TrainingSet | None = None
    active_us: int = NEVER
    active: str = ""
    rows: int = 0
    frauds: int = 0


@dataclass(frozen=True, slots=True)
class _Rule:
    """What models.yaml says of one model."""

    kind: str
    params: Mapping[str, Parameter]
    seed: int
    refit: RefitEntry
    picks: I8  # its inputs among those that are remembered


@dataclass(slots=True)
class Refits:
    """The models of a configuration that are fitted anew. `load` of what `save` gave, then the same rows: same sets.

    next_us : core time at which something happens next; nothing does before it
    """

    file: ModelsFile
    scoring: Scoring
    memory: Remembered
    assume_after_us: int | None  # as in engine/labels.py: silence that long means genuine
    next_us: int = FOREVER
    _rules: dict[str, _Rule] = field(default_factory=dict)
    _turns: dict[str, _Turn] = field(default_factory=dict)
    _port: Fits = field(default_factory=Nobody)

    def __post_init__(self) -> None:
        inputs = self.scoring.inputs
        for name, entry in self.file.models.items():
            if entry.refit is None:
                continue
            self._check_range(name, entry.refit)
            picks = np.array([inputs.index(each) for each in entry.inputs], np.int64)
            self._rules[name] = _Rule(entry.kind, entry.params, self.file.seed, entry.refit, picks)
            self._turns[name] = _Turn()
        self._look_ahead()

    def _check_range(self, name: str, refit: RefitEntry) -> None:
        if refit.train_us > self.memory.horizon_us:
            raise ConfigError(
                f"`remember` is shorter than the `train` of model `{name}`, {refit.train}",
                "weir.yaml",
                why="a training set is made of what is remembered",
                fix=f"write remember: {refit.train} or more, or a shorter `train` in models.yaml",
            )
        if refit.train_us <= self.file.maturity_us:
            raise ConfigError(
                f"`train` of model `{name}` must be longer than `maturity`, was {refit.train} and {self.file.maturity}",
                "models.yaml",
                why="transactions younger than `maturity` are left out: nothing would be left",
                fix="write train: 30d",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The models, in the order of the file."""
        return tuple(self._rules)

    def connect(self, port: Fits) -> None:
        """Have `port` fit from now on; it is told what is on its way."""
        self._port = port
        for turn in self._turns.values():
            if turn.training is not None:
                port.close(turn.training)

    def step(self, core_us: int, seq: int, out: Streams) -> int:
        """Do what is due at `core_us`, before the row `seq` that brings it is learned from or scored.

        Returns how many alerts it has put into `out`.
        """
        n = 0
        if core_us < self.next_us or core_us == NEVER:
            return n
        for name, turn in self._turns.items():
            every_us = self._rules[name].refit.every_us
            passed_us = core_us // every_us * every_us
            if turn.closed_us == NEVER:  # nothing is known yet that could be learned
                turn.closed_us = passed_us
                continue
            if turn.due_us <= core_us:
                n += self._take(name, turn, core_us, seq, out)
            if turn.closed_us < passed_us:
                turn.closed_us = passed_us
                n += self._close(name, turn, core_us, seq, out)
        self._look_ahead()
        return n

    def _look_ahead(self) -> None:
        due = [
            min(turn.due_us, _next_multiple(turn.closed_us, self._rules[name].refit.every_us))
            if turn.closed_us != NEVER
            else NEVER
            for name, turn in self._turns.items()
        ]
        self.next_us = min(due, default=FOREVER)

    def _close(self, name: str, turn: _Turn, core_us: int, seq: int, out: Streams) -> int:
        """Close the training set of a model, and have it fitted."""
        turn.training, turn.due_us, turn.attempt = None, FOREVER, 0
        if name in self.scoring.frozen:
            return 0
        rule = self._rules[name]
        training, rows, frauds = self._training_set(name, rule, turn.closed_us)
        turn.rows, turn.frauds = rows, frauds
        if frauds < rule.refit.frauds_min or frauds == rows:
            needed = f"{rule.refit.frauds_min} frauds, and genuine ones beside them, are needed"
            why = f"{frauds} frauds among {rows} transactions with a verdict; {needed}"
            return self._tell_not(name, turn, why, core_us, seq, out)
        turn.training, turn.due_us = training, core_us + rule.refit.delay_us
        self._port.close(training)
        return 0

    def _take(self, name: str, turn: _Turn, core_us: int, seq: int, out: Streams) -> int:
        """Go on with the fit that is due, if there is one."""
        if name in self.scoring.frozen:
            turn.training, turn.due_us = None, FOREVER
            return 0
        answer = self._port.take(name, turn.closed_us, turn.attempt)
        if isinstance(answer, Fitted):
            self.scoring.take_over(name, answer.arrays)
            turn.active_us, turn.active = turn.closed_us, answer.sha256
            turn.training, turn.due_us = None, FOREVER
            told = f"`{name}` goes on with what was fitted to {turn.rows:,} transactions, {turn.frauds:,} of them fraud"
            about = self._about(name, turn) | {"sha256": answer.sha256}
            operational_alert(
                out, MODEL_REFITTED, told, seq=seq, now_us=core_us, about=about, severity="low"
            )
            return 1
        turn.attempt += 1
        if not answer.may_come:
            turn.training, turn.due_us = None, FOREVER
            return self._tell_not(name, turn, answer.why, core_us, seq, out)
        turn.due_us = core_us + self._rules[name].refit.delay_us
        return self._tell_not(name, turn, answer.why, core_us, seq, out) if turn.attempt == 1 else 0

    def _tell_not(
        self, name: str, turn: _Turn, why: str, core_us: int, seq: int, out: Streams
    ) -> int:
        since = f"the fit of {rfc3339(turn.active_us)}" if turn.active else "no score"
        told = f"`{name}` was not fitted anew and goes on with {since}: {why}"
        about = self._about(name, turn)
        operational_alert(out, MODEL_NOT_REFITTED, told, seq=seq, now_us=core_us, about=about)
        return 1

    def _about(self, name: str, turn: _Turn) -> dict[str, Any]:
        about = {"model": name, "closed_at": rfc3339(turn.closed_us)}
        return {**about, "rows": turn.rows, "frauds": turn.frauds}

    def _training_set(self, name: str, rule: _Rule, closed_us: int) -> tuple[TrainingSet, int, int]:
        """The verdicts that count at `closed_us`, as they are known now; how many they are, and how many are fraud.

        Of genuine transactions beyond `genuine_max` about as many are taken, by a hash of their seq; each stands for
        more. O(rows of the range) to look at, and one copy of what is taken.
        """
        arrays, refit = self.memory.arrays, rule.refit
        held = arrays["core_us"][: len(self.memory)]
        ages = np.array([refit.train_us, self.file.maturity_us])
        first, last = np.searchsorted(held, closed_us - ages, side="right").tolist()
        label, applied = arrays["label"][first:last], arrays["standing"][first:last] == APPLIED
        fraud: B1 = applied & (label == FRAUD)
        genuine: B1 = applied & (label == GENUINE)
        if self.assume_after_us is not None:
            silent = held[first:last] <= closed_us - self.assume_after_us
            genuine |= applied & silent & (label == NO_LABEL)
        n_fraud, n_genuine = int(fraud.sum()), int(genuine.sum())
        if n_genuine > refit.genuine_max:
            seqs = arrays["seq"][first:last][genuine]
            genuine[genuine] = _share(seqs, rule.seed, refit.genuine_max / n_genuine)
        rows = first + np.flatnonzero(fraud | genuine)
        is_fraud = fraud[rows - first]
        n_taken = len(rows) - n_fraud
        training = TrainingSet(
            name,
            rule.kind,
            rule.params,
            rule.seed,
            closed_us,
            arrays["input"].take(rows, axis=0).take(rule.picks, axis=1),  # at once: twice the time
            is_fraud.astype(np.int8),
            np.where(is_fraud, 1.0, n_genuine / max(1, n_taken)),
        )
        return training, n_fraud + n_genuine, n_fraud

    @property
    def active(self) -> dict[str, tuple[int, str]]:
        """Models that have been fitted: core time at which the set was closed, and sha256 of the fit."""
        return {name: (t.active_us, t.active) for name, t in self._turns.items() if t.active}

    def ages_s(self, core_us: int) -> dict[str, float]:
        """Seconds of core time since the sets of the present fits were closed."""
        return {name: (core_us - at_us) / 1e6 for name, (at_us, _) in self.active.items()}

    def save(self) -> Arrays:
        saved: Arrays = {}
        for name, turn in self._turns.items():
            times = [turn.closed_us, turn.due_us, turn.attempt, turn.active_us]
            mine: Arrays = {
                "turn": np.array([*times, turn.rows, turn.frauds], np.int64),
                "sha256": np.frombuffer(bytes.fromhex(turn.active), np.uint8).copy(),
            }
            if (training := turn.training) is not None:
                mine |= {"x": training.x, "label": training.label, "weight": training.weight}
            saved |= prefixed(name, mine)
        return saved

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        for name in self._turns:
            mine, rule = under(saved, name), self._rules[name]
            closed_us, due_us, attempt, active_us, rows, frauds = mine["turn"].tolist()
            training = None
            if "x" in mine:
                about = name, rule.kind, rule.params, rule.seed, closed_us
                training = TrainingSet(*about, mine["x"], mine["label"], mine["weight"])
            sha256 = mine["sha256"].tobytes().hex()
            self._turns[name] = _Turn(
                closed_us, due_us, attempt, training, active_us, sha256, rows, frauds
            )
        self._look_ahead()
        self.connect(self._port)

    def adopt(self, other: "Refits", names: Iterable[str], core_us: int) -> None:
        """Go on where `other` stands, which must not be used any more, with models `names` that mean the same in both.

        A model that is new is fitted at the next multiple of its `every`.
        """
        self._port = other._port  # noqa: SLF001
        for name, turn in self._turns.items():
            if name in names and name in other._turns:  # noqa: SLF001
                self._turns[name] = other._turns[name]  # noqa: SLF001
            elif core_us != NEVER:
                every_us = self._rules[name].refit.every_us
                turn.closed_us = core_us // every_us * every_us
        self._look_ahead()


def _next_multiple(at_us: int, every_us: int) -> int:
    """The first multiple of `every_us` after `at_us`, which need not be one: a reload may have changed `every`."""
    return at_us // every_us * every_us + every_us


def _share(seq: I8, seed: int, share: float) -> B1:
    """About `share` of the rows, chosen by their seq alone: the finaliser of splitmix64 against a threshold."""
    z = seq.astype(np.uint64) + np.uint64((0x9E3779B97F4A7C15 * (seed + 1)) & 0xFFFFFFFFFFFFFFFF)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.asarray((z >> np.uint64(11)).astype(np.float64) * 2.0**-53 < share)
