"""The port `Fits` for an engine that runs: has sets fitted beside it, and puts every answer on record before giving it.

Who fits is behind `Fitters`: a process a set on a machine, something that breaks on purpose in the simulator.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from engine.clock import Clock
from engine.fits.records import Answer, FitRecords, packed
from engine.outcomes import rfc3339
from engine.ports import Fitted, NotFitted, TrainingSet
from engine.sharing import new_file, put, taken

NOT_READY: Final = "the fit was not ready"
SECONDS_MAX: Final = 3_600.0  # a fit that takes longer will not end


@dataclass(frozen=True, slots=True)
class Fit:
    """What became of one set: arrays, or what went wrong."""

    arrays: Mapping[str, NDArray[Any]] | None = None
    failed: str = ""
    seconds: float = 0.0
    software: str = ""


class Fitter(Protocol):
    """One set being fitted."""

    def result(self, wait_s: float) -> Fit | None:
        """What it has given; None if it has not ended within `wait_s` seconds."""
        ...

    def stop(self) -> None:
        """End it, whatever it has done so far."""
        ...


class Fitters(Protocol):
    """Who can fit."""

    def start(self, training: TrainingSet) -> Fitter: ...


@dataclass(slots=True)
class _Job:
    training: TrainingSet
    fitter: Fitter
    began_ns: int


@dataclass(slots=True)
class Desk:
    """Fits of one engine.

    waits : a recording, which has the time; else what is not ready when it is asked for is answered so
    guarded : around what writes, to say what happened where the disk cannot be written
    last_..., n_... : of each model, for metrics
    close_s : time for which decisions waited while the last set was handed over
    """

    records: FitRecords
    fitters: Fitters
    clock: Clock
    waits: bool
    guarded: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    last_seconds: dict[str, float] = field(default_factory=dict)
    last_rows: dict[str, int] = field(default_factory=dict)
    last_frauds: dict[str, int] = field(default_factory=dict)
    n_fitted: dict[str, int] = field(default_factory=dict)
    n_skipped: dict[str, int] = field(default_factory=dict)
    close_s: float = 0.0
    _jobs: dict[str, _Job] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for answer in self.records.answers():
            self._look_at(answer)

    def close(self, training: TrainingSet) -> None:
        name, closed_us = training.model, training.closed_us
        job = self._jobs.get(name)
        if job is not None and job.training.closed_us == closed_us:
            return
        if self.records.is_settled(name, closed_us):
            return  # killed between the answer and the record that it was asked at
        if job is not None:
            self._jobs.pop(name).fitter.stop()
        began_ns = self.clock.monotonic_ns()
        self._jobs[name] = _Job(training, self.fitters.start(training), began_ns)
        self.close_s = (self.clock.monotonic_ns() - began_ns) / 1e9

    def take(self, model: str, closed_us: int, attempt: int) -> Fitted | NotFitted:
        answer = self.records.known(model, closed_us, attempt)
        if answer is None:
            answer, raw = self._answer(model, closed_us, attempt)
            with self.guarded():
                self.records.add(answer, raw)
        counts = self.n_fitted if answer.sha256 else self.n_skipped
        counts[model] = counts.get(model, 0) + 1
        self._look_at(answer)
        return self.records.given(answer)

    def figures(self) -> dict[str, dict[str, float]]:
        """Of each model, what its fits have cost and held, for the summary of a run."""
        return {
            model: {
                "fitted": self.n_fitted.get(model, 0),
                "skipped": self.n_skipped.get(model, 0),
                "last_seconds": self.last_seconds.get(model, 0.0),
                "last_rows": self.last_rows.get(model, 0),
                "last_frauds": self.last_frauds.get(model, 0),
            }
            for model in sorted({*self.n_fitted, *self.n_skipped})
        }

    def _look_at(self, answer: Answer) -> None:
        if answer.sha256:
            self.last_seconds[answer.model] = answer.seconds
            self.last_rows[answer.model] = answer.rows
            self.last_frauds[answer.model] = answer.frauds

    def stop(self) -> None:
        """End what is being fitted; it is begun again at the next start."""
        for job in self._jobs.values():
            job.fitter.stop()
        self._jobs.clear()

    def _answer(self, model: str, closed_us: int, attempt: int) -> tuple[Answer, bytes | None]:
        """What became of a set, and the file of its arrays if there is one."""
        job = self._jobs.get(model)
        assert job is not None, model
        assert job.training.closed_us == closed_us, (job.training.closed_us, closed_us)
        about: dict[str, Any] = {"closed_us": closed_us, "closed_at": rfc3339(closed_us)}
        about |= {"model": model, "attempt": attempt}
        left_s = SECONDS_MAX - (self.clock.monotonic_ns() - job.began_ns) / 1e9
        fit = job.fitter.result(max(0.0, left_s) if self.waits else 0.0)
        if fit is None and left_s > 0.0 and not self.waits:
            return Answer(**about, skipped=NOT_READY, may_come=True), None
        del self._jobs[model]
        if fit is None:
            job.fitter.stop()
            fit = Fit(failed=f"it did not end within {SECONDS_MAX:,.0f} s")
        if fit.arrays is None:
            return Answer(**about, skipped=f"the fit failed: {fit.failed}"), None
        raw = packed(fit.arrays)
        label = job.training.label
        answer = Answer(
            **about,
            sha256=sha256(raw).hexdigest(),
            rows=len(label),
            frauds=int((label == 1).sum()),
            seconds=fit.seconds,
            software=fit.software,
        )
        return answer, raw


class Processes:
    """A process for each set."""

    def start(self, training: TrainingSet) -> Fitter:
        return _Process(training)


class _Process:
    """The engine's end of `python -m engine.fits.helper`."""

    def __init__(self, training: TrainingSet) -> None:
        self._file = new_file()
        asked = put(
            self._file, {"x": training.x, "label": training.label, "weight": training.weight}
        )
        about = {"kind": training.kind, "params": dict(training.params), "seed": training.seed}
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "engine.fits.helper", str(self._file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self._file,),
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died at once, which `result` tells
            self._process.stdin.write(json.dumps({**asked, **about}).encode())
            self._process.stdin.close()
        self._process.stdin = None

    def result(self, wait_s: float) -> Fit | None:
        try:
            raw, _ = self._process.communicate(timeout=wait_s)
        except subprocess.TimeoutExpired:
            return None
        try:
            told = json.loads(raw)
        except ValueError:
            told = {"failed": f"its process ended with status {self._process.returncode}"}
        if "answer" not in told:
            said = (told["failed"], told.get("why", ""), told.get("fix", ""))
            fit = Fit(failed="; ".join(each for each in said if each))
        else:
            arrays = {name: array.copy() for name, array in taken(self._file, told).items()}
            fit = Fit(arrays, seconds=told["seconds"], software=told["software"])
        self._close()
        return fit

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
