"""Which model decides, which may learn, and what each was worth: part of the deterministic core.

    promote            a challenger becomes the champion, from the record after the order on; two people where settings
                       say `approval: required`
    freeze, unfreeze   one model learns nothing, its calibration included, and learns again
    models             what there is to know of the models, or of one (a question: it changes nothing)

For a while after a promotion (`rollback` in models.yaml) the new champion is compared with the one before, on what
became of transactions that were decided since (engine/fates.py: a verdict, or silence at maturity): both have scored
every one of them, whoever was the champion. Where it does worse, the one before is the champion again, at core time, by
itself, with an alarm that gives the numbers. Worse is a log loss of the calibrated scores as they were decided that is
higher by more than a margin and by more than chance explains. A promotion never changes the configuration: models.yaml
says who is the champion of a fresh engine.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.errors import InputError
from config.models import SHADOW, ModelsFile
from config.people import People
from config.reasons import MODEL_FROZEN, MODEL_PROMOTED, MODEL_ROLLED_BACK
from engine.alerts import operational_alert
from engine.batch import COMMAND, Batch
from engine.maturity import Maturity
from engine.outcomes import Streams, rfc3339
from engine.proposals import ENGINE, same_person
from engine.remembered import FRAUD
from engine.scoring import Heard, Scoring
from engine.state import Arrays, prefixed, under
from models.comparison import Comparison, Figures, Trial
from rules.check.suggest import did_you_mean

Answer: TypeAlias = dict[str, object]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

FOREVER: Final = np.iinfo(np.int64).max
HOUR_US: Final = 3_600_000_000
CHECK_EVERY_US: Final = 6 * HOUR_US  # core time between two looks at a promotion
AGREE_WITHIN_US: Final = 24 * HOUR_US  # a second person has to agree within that
KNOWN_MIN: Final = 100  # transactions whose fate is known before a model may decide
ERRORS_APART: Final = 2.0  # standard errors that two models must lie apart
KEPT: Final = 64  # changes of the champion, for people who ask
COMMANDS: Final = frozenset({"promote", "freeze", "unfreeze", "models"})
CUTTING: Final = frozenset({"promote", "freeze", "unfreeze"})


class _Named(msgspec.Struct, tag_field="command", kw_only=True):
    model: str = ""
    by: str = ""
    reason: str = ""


class Promote(_Named, tag="promote"):
    pass


class Freeze(_Named, tag="freeze"):
    pass


class Unfreeze(_Named, tag="unfreeze"):
    pass


class Models(_Named, tag="models"):
    pass


Command: TypeAlias = Promote | Freeze | Unfreeze | Models


class Change(msgspec.Struct, kw_only=True):
    """One change of the champion. Times are core time, microseconds UTC."""

    model: str
    before: str
    by: str  # a person; the engine's own name where it went back by itself
    approved_by: str = ""
    reason: str
    seq: int
    at_us: int
    numbers: dict[str, int | float] = {}  # a count stays a whole number when it is read back

    def facts(self) -> Answer:
        told: Answer = {"model": self.model, "before": self.before, "by": self.by}
        told |= {"approved_by": self.approved_by} if self.approved_by else {}
        told |= {"reason": self.reason, "seq": self.seq, "at": rfc3339(self.at_us)}
        return told | ({"numbers": self.numbers} if self.numbers else {})


class Asked(msgspec.Struct, kw_only=True):
    """A promotion that waits for a second person."""

    model: str
    by: str
    reason: str
    at_us: int


class Stop(msgspec.Struct, kw_only=True):
    """Who has frozen a model, and since when."""

    by: str
    reason: str
    seq: int
    at_us: int


class Probation(msgspec.Struct, kw_only=True):
    """A champion that is watched, and the one before."""

    model: str
    before: str
    since_us: int
    until_us: int
    next_us: int  # when it is looked at again


class _State(msgspec.Struct, kw_only=True):
    champion: str
    changes: list[Change] = []
    asked: Asked | None = None
    frozen: dict[str, Stop] = {}
    probation: Probation | None = None


class Governing:
    """Carry out what people order about models, and undo a promotion that does worse.

    maturity       : what share of decisions has a verdict, for people who ask
    needs_approval : whether a promotion takes two people
    learns         : whether settings let models learn at all
    """

    def __init__(
        self,
        file: ModelsFile,
        scoring: Scoring,
        people: People,
        maturity: Maturity,
        *,
        needs_approval: bool,
        learns: bool,
    ) -> None:
        self._file, self._scoring, self._people = file, scoring, people
        self._maturity = maturity
        self._needs_approval, self._learns = needs_approval, learns
        self._state = _State(champion=scoring.champion)
        self.comparison = Comparison(len(scoring.names))
        # what each model learned from: first and last core time, labels, frauds among them
        self._taught = np.zeros((len(scoring.names), 4), np.int64)

    # The stream

    def cuts(self, batch: Batch) -> list[int]:
        """Rows of a decoded batch before which it must be cut, ascending: an order counts from the next row on."""
        return [
            row + 1
            for row, said in sorted(batch.objects.items())
            if batch.kind[row] == COMMAND
            and isinstance(name := said.get("command"), str)
            and name in CUTTING
            and row + 1 < batch.n
        ]

    @property
    def next_us(self) -> int:
        """Core time at which something happens next."""
        watched = self._state.probation
        return FOREVER if watched is None else watched.next_us

    def step(self, core_us: int, seq: int, out: Streams) -> int:
        """Do what is due at `core_us`, before the row `seq` that brings it is scored; how many alerts that gave."""
        watched = self._state.probation
        if watched is None or core_us < watched.next_us:
            return 0
        trial = self.comparison.trial()
        assert trial is not None
        if self._is_worse(trial):
            self._go_back(watched, trial, core_us, seq, out)
            return 1
        watched.next_us = core_us // CHECK_EVERY_US * CHECK_EVERY_US + CHECK_EVERY_US
        if core_us >= watched.until_us:
            self._end_probation()
        return 0

    def _is_worse(self, trial: Trial) -> bool:
        rule, before = self._file.rollback, trial.second.log_loss
        if trial.frauds < rule.frauds or before is None:
            return False
        return trial.apart > rule.margin * before and trial.apart > ERRORS_APART * trial.error

    def _go_back(
        self, watched: Probation, trial: Trial, core_us: int, seq: int, out: Streams
    ) -> None:
        numbers = numbers_of(trial)
        self._scoring.crown(watched.before)
        self._change(
            Change(
                model=watched.before,
                before=watched.model,
                by=ENGINE,
                reason=f"{watched.model} did worse than {watched.before} on matured transactions",
                seq=seq,
                at_us=core_us,
                numbers=numbers,
            )
        )
        self._end_probation()
        title = (
            f"{watched.before} is the champion again: on {trial.known} transactions, {trial.frauds} called fraud, the "
            f"log loss of {watched.model} was {numbers['log_loss']:.5f}, that of {watched.before} "
            f"{numbers['log_loss_before']:.5f}"
        )
        about = {"model": watched.before, "before": watched.model, "numbers": numbers}
        operational_alert(out, MODEL_ROLLED_BACK, title, seq=seq, now_us=core_us, about=about)

    def _end_probation(self) -> None:
        self._state.probation = None
        self.comparison.begin_trial(-1, -1)

    def _change(self, change: Change) -> None:
        state = self._state
        state.champion, state.changes = change.model, [*state.changes, change][-KEPT:]

    def hear(self, heard: Heard, lessons: tuple[I1, I8]) -> None:
        """Take in what the fates of a batch met, and which labels (L,) were learned at what core time (L,)."""
        if len(heard.label):
            self._compare(heard)
        label, now_us = lessons
        n = len(label)
        for k, name in enumerate(self._scoring.names if n else ()):
            if name not in self._scoring.frozen and self._scoring.learns_from_labels(name):
                taught = self._taught[k]
                taught[0] = taught[0] if taught[2] else now_us[0]
                taught[1] = now_us[-1]
                taught[2:] += n, np.count_nonzero(label == FRAUD)

    def _compare(self, heard: Heard) -> None:
        watched = self._state.probation
        since_us = FOREVER if watched is None else watched.since_us
        self.comparison.observe(heard.said, heard.label, heard.now_us, heard.decided_us >= since_us)

    # Orders

    def carry_out(self, record: Mapping[str, Any], seq: int, now_us: int, out: Streams) -> Answer:
        """Do what a decoded command says at core time `now_us`; `InputError` or msgspec's if it cannot be."""
        command = msgspec.convert(dict(record), Command)
        if isinstance(command, Models):
            return self.told(command.model, now_us)
        for name in ("by", "reason"):
            if not getattr(command, name).strip():
                why = "who did it, and why, is part of the record"
                raise InputError(f"`{name}` is missing", why=why, fix=f"add `{name}`")
        if now_us < 0:
            raise InputError(
                "no event has told the engine what time it is",
                why="what a model learns and decides is counted in core time",
                fix="send it once events have begun to arrive",
            )
        self._meant(command.model)
        if isinstance(command, Promote):
            return self._promote(command, seq, now_us, out)
        return self._freeze(command, seq, now_us, out)

    def _promote(self, command: Promote, seq: int, now_us: int, out: Streams) -> Answer:
        name, state = command.model, self._state
        if name == state.champion:
            raise InputError(
                f"`{name}` is the champion already", fix="see them all: weir models list OUT"
            )
        self._demand_fit(name)
        first, approved_by = command, ""
        if self._needs_approval:
            asked = state.asked
            is_open = (
                asked is not None
                and asked.model == name
                and asked.at_us + AGREE_WITHIN_US >= now_us
            )
            if asked is None or not is_open or same_person(asked.by, command.by):
                self._people.demand(command.by, "promote")
                state.asked = Asked(
                    model=name, by=command.by.strip(), reason=command.reason, at_us=now_us
                )
                told: Answer = {"model": name, "champion": state.champion}
                return told | {"awaiting": "a second person"}
            self._people.demand(command.by, "approve_promotion")
            first, approved_by = Promote(model=name, by=asked.by, reason=asked.reason), command.by
        else:
            self._people.demand(command.by, "promote")
        state.asked = None
        before = state.champion
        names = self._scoring.names
        self._scoring.crown(name)
        self.comparison.begin_trial(names.index(name), names.index(before))
        until_us = now_us + self._file.rollback.within_us
        state.probation = Probation(
            model=name,
            before=before,
            since_us=now_us,
            until_us=until_us,
            next_us=now_us // CHECK_EVERY_US * CHECK_EVERY_US + CHECK_EVERY_US,
        )
        self._change(
            Change(
                model=name,
                before=before,
                by=first.by,
                approved_by=approved_by,
                reason=first.reason,
                seq=seq,
                at_us=now_us,
            )
        )
        people = f"{first.by} and {approved_by}" if approved_by else first.by
        operational_alert(
            out,
            MODEL_PROMOTED,
            f"{name} is the champion in place of {before}, by {people}: {first.reason}",
            seq=seq,
            now_us=now_us,
            about={"model": name, "before": before},
        )
        told = {"model": name, "state": "champion", "before": before}
        return told | {"counts_from_seq": seq + 1, "watched_until": rfc3339(until_us)}

    def _demand_fit(self, name: str) -> None:
        """Raise `InputError` unless a model may be the champion, and something is known of it."""
        if self._file.models[name].role == SHADOW:
            raise InputError(
                f"`{name}` is a shadow",
                why="it is scored and recorded only, so it has no calibration",
                fix="take `role: shadow` out in models.yaml, and wait for labels",
            )
        found = self.comparison.figures(self._scoring.names.index(name))
        if found.known < KNOWN_MIN or not found.frauds:
            raise InputError(
                f"`{name}` is known by {found.known} matured transactions, {found.frauds} called fraud",
                why=f"before {KNOWN_MIN} of them and a fraud its probabilities mean nothing",
                fix="wait for labels; see them with: weir models card OUT " + name,
            )

    def _freeze(self, command: Freeze | Unfreeze, seq: int, now_us: int, out: Streams) -> Answer:
        name, frozen = command.model, self._state.frozen
        is_freeze = isinstance(command, Freeze)
        self._people.demand(command.by, "freeze" if is_freeze else "unfreeze")
        if is_freeze == (name in frozen):
            raise InputError(
                f"`{name}` is {'frozen already' if is_freeze else 'not frozen'}",
                why="" if is_freeze or self._learns else "the settings say `learning: frozen`",
                fix="see them all: weir models list OUT",
            )
        if is_freeze:
            frozen[name] = Stop(by=command.by, reason=command.reason, seq=seq, at_us=now_us)
        else:
            del frozen[name]
        self._connect()
        what = "learns no more" if is_freeze else "learns again"
        operational_alert(
            out,
            MODEL_FROZEN,
            f"{name} {what}, by {command.by}: {command.reason}",
            seq=seq,
            now_us=now_us,
            about={"model": name},
        )
        told: Answer = {"model": name, "state": "frozen" if is_freeze else "learning"}
        if not self._learns:
            told["state"] = "frozen (settings)"
        return told | {"counts_from_seq": seq + 1}

    def _meant(self, name: str) -> str:
        if name not in self._file.models:
            raise InputError(
                f"there is no model `{name}`",
                fix=did_you_mean(name, frozenset(self._file.models))
                or f"use one of {', '.join(self._file.models)}",
            )
        return name

    def _connect(self) -> None:
        """Have the models score and learn as this state says."""
        if self._state.champion != self._scoring.champion:
            self._scoring.crown(self._state.champion)
        names = self._scoring.names
        self._scoring.frozen = frozenset(self._state.frozen if self._learns else names)

    # For people

    def told(self, model: str, now_us: int) -> Answer:
        """What there is to know at core time `now_us` of all models, or of one; `InputError` if it is not there."""
        told = self.facts(self._meant(model)) if model else self.overview()
        if now_us < 0:
            return told
        by_age = {k: _rounded(v) for k, v in self._maturity.by_age(now_us).items()}
        by_answer = {
            answer: {name: _rounded(value) for name, value in each.items()}
            for answer, each in self._maturity.by_answer(now_us).items()
        }
        verdicts = {"maturity": self._file.maturity, "by_age": by_age, "by_answer": by_answer}
        return told | {"core_time": rfc3339(now_us), "verdicts": verdicts}

    def overview(self) -> Answer:
        """The champion, what waits and is watched, and one entry a model with its figures."""
        state = self._state
        told: Answer = {"champion": state.champion}
        if state.asked is not None:
            told["awaiting"] = {
                "model": state.asked.model,
                "by": state.asked.by,
                "reason": state.asked.reason,
                "at": rfc3339(state.asked.at_us),
            }
        if state.probation is not None:
            told["watched"] = self._watched(state.probation)
        told["models"] = [self.facts(name) for name in self._scoring.names]
        return told

    def _watched(self, watched: Probation) -> Answer:
        trial = self.comparison.trial()
        assert trial is not None
        return {
            "model": watched.model,
            "before": watched.before,
            "since": rfc3339(watched.since_us),
            "until": rfc3339(watched.until_us),
            **numbers_of(trial),
        }

    def facts(self, name: str) -> Answer:
        """What is known of one model: role, whether it learns, what it learned from, figures, history."""
        entry, state = self._file.models[name], self._state
        k = self._scoring.names.index(name)
        first_us, last_us, labels, frauds = self._taught[k].tolist()
        told: Answer = {
            "model": name,
            "kind": entry.kind,
            "role": "champion" if name == state.champion else entry.role,
            "learning": self._learning(name),
        }
        if labels:
            told["learned"] = {
                "from": rfc3339(first_us),
                "to": rfc3339(last_us),
                "labels": labels,
                "frauds": frauds,
            }
        if entry.role != SHADOW:
            told["figures"] = figures_facts(self.comparison.figures(k))
        changes = [c.facts() for c in state.changes if name in (c.model, c.before)]
        return told | ({"changes": changes} if changes else {})

    def figures(self) -> dict[str, Figures]:
        """What each model that is no shadow is worth, by name."""
        names = self._scoring.names
        return {
            name: self.comparison.figures(names.index(name)) for name in self._scoring.calibrated
        }

    def _learning(self, name: str) -> str:
        stop = self._state.frozen.get(name)
        if stop is not None:
            return f"frozen by {stop.by} at {rfc3339(stop.at_us)}: {stop.reason}"
        return "online" if self._learns else "frozen by the settings"

    # State

    def save(self) -> Arrays:
        """Everything that outlives a batch; the same bytes however batches were cut."""
        state = np.frombuffer(msgspec.json.encode(self._state, order="sorted"), np.uint8).copy()
        saved: Arrays = {"state": state, "taught": self._taught.copy()}
        return saved | prefixed("comparison", self.comparison.save())

    def load(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `save` gave."""
        self._state = msgspec.json.decode(saved["state"].tobytes(), type=_State)
        self._taught = saved["taught"].copy()
        self.comparison.load(under(saved, "comparison"))
        self._connect()

    def adopt(self, other: "Governing", kept: list[str]) -> list[str]:
        """Go on from `other`, of the configuration before; what people should know of it.

        kept : models that are the same as before

        A promotion outlives a configuration that names the same champion as the one before, and still has the model.
        """
        notes = []
        was, names = other._state, list(other._scoring.names)  # noqa: SLF001
        places = [names.index(n) if n in kept else -1 for n in self._scoring.names]
        self.comparison.take(other.comparison, places)
        for k, place in enumerate(places):
            if place >= 0:
                self._taught[k] = other._taught[place]  # noqa: SLF001
        state = self._state
        state.changes = was.changes
        state.frozen = {name: stop for name, stop in was.frozen.items() if name in kept}
        promoted, named = was.champion, self._file.champion
        if promoted != other._file.champion:  # noqa: SLF001
            stays = named == other._file.champion and promoted in kept  # noqa: SLF001
            stays = stays and promoted in self._scoring.calibrated
            if stays:
                state.champion = promoted
                notes.append(f"the champion stays `{promoted}`, which was promoted")
            elif promoted != named:
                notes.append(f"the champion is `{named}` again; `{promoted}` had been promoted")
        watched = was.probation
        goes_on = watched is not None and state.champion == watched.model and watched.before in kept
        if goes_on and self.comparison.take_trial(other.comparison, places):
            state.probation = watched
        self._connect()
        return notes


def _rounded(value: float | None) -> float | None:
    return round(value, 6) if isinstance(value, float) else value


def numbers_of(trial: Trial) -> dict[str, int | float]:
    """A trial in numbers, rounded as they stand in outcomes."""
    told = {
        "known": trial.known,
        "frauds": trial.frauds,
        "log_loss": trial.first.log_loss,
        "log_loss_before": trial.second.log_loss,
        "average_precision": trial.first.average_precision,
        "average_precision_before": trial.second.average_precision,
        "apart": trial.apart,
        "error": trial.error,
    }
    return {name: round(value, 6) for name, value in told.items() if value is not None}


def figures_facts(found: Figures) -> Answer:
    """Figures as JSON, rounded."""

    def told(value: float | None) -> float | None:
        return None if value is None else round(value, 6)

    return {
        "known": found.known,
        "frauds": found.frauds,
        "log_loss": told(found.log_loss),
        "log_loss_of_the_share_alone": told(found.plain_loss),
        "roc_auc": told(found.roc_auc),
        "average_precision": told(found.average_precision),
        "precision_at_1_percent": told(found.precision),
        "calibration": [
            {"from": round(low, 6), "to": round(high, 6), "known": n, "share_fraud": round(was, 6)}
            for low, high, n, was in found.calibration
        ],
    }
