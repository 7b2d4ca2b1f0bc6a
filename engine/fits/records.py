"""What fits have given, for good: the folder OUT/models/.

    HASH.npz       arrays of one fit, by the sha256 of the file; numpy.load reads it
    fits.ndjson    one line an answer, in the order they were given: model, closed_at, attempt, and then
                   sha256, rows, frauds, seconds, software      or      skipped: why

An answer is durable, arrays first, before the core has it. The list grows, but for answers that no record has taken
(`forget_after`); it is written anew as a whole and put in place by a rename, so a reader never sees half a line. What
makes it trustworthy is not here: the outcome that names the sha256 stands in the stream of alerts, which is sealed, and
the arrays are held against it whenever they are read.
"""

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config.errors import StateError
from engine.durable.disk import Disk
from engine.durable.output import MODELS
from engine.outcomes import rfc3339
from engine.ports import Fitted, NotFitted, TrainingSet

NAME: Final = "fits.ndjson"
SUFFIX: Final = ".npz"
TEMPORARY: Final = re.compile(r"\.(fits\.ndjson|[0-9a-f]{64}\.npz)\.new")
Reader: TypeAlias = Callable[
    [str], bytes | None
]  # a file of the folder by its name; None: not there


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of fits.ndjson. `may_come`: it was being worked on."""

    model: str
    closed_us: int
    closed_at: str
    attempt: int
    sha256: str = ""
    skipped: str = ""
    may_come: bool = False
    rows: int = 0
    frauds: int = 0
    seconds: float = 0.0
    software: str = ""

    @property
    def key(self) -> tuple[str, int, int]:
        return self.model, self.closed_us, self.attempt


class RecordedFits:
    """The port for whoever derives again: fits nothing, and gives the answers that were given."""

    def __init__(self, read: Reader, where: str = MODELS) -> None:
        """`read` gives files of the folder; `where` names it in errors."""
        self._read, self._where = read, where
        self._answers: dict[tuple[str, int, int], Answer] = {}
        self._given: dict[tuple[str, int, int], Answer] = {}

    @classmethod
    def of(cls, disk: Disk, root: Path) -> "RecordedFits":
        """The answers of the output folder `root`."""
        folder = root / MODELS

        def read(name: str) -> bytes | None:
            return disk.read(folder / name) if disk.size(folder / name) >= 0 else None

        return cls(read, str(folder))

    def close(self, training: TrainingSet) -> None:
        """Nothing: the answer is there, or will be asked of somebody else."""

    def take(self, model: str, closed_us: int, attempt: int) -> Fitted | NotFitted:
        key = (model, closed_us, attempt)
        if key not in self._answers:  # an engine may have gone on meanwhile
            self._answers = {answer.key: answer for answer in self.answers()}
        answer = self._answers.get(key)
        if answer is None:
            raise StateError(
                f"no answer is on record for the fit of `{model}` that was closed at {rfc3339(closed_us)}",
                f"{self._where}/{NAME}",
                why="what was decided after it rests on it, and a new fit would not prove what decided then",
                fix="restore the folder from a backup",
            )
        self._given[key] = answer
        return self.given(answer)

    def files_given(self) -> dict[str, bytes]:
        """The files of a folder that gives the answers given since the last time, and no others."""
        given, self._given = self._given, {}
        files = {NAME: b"".join(msgspec.json.encode(each) + b"\n" for each in given.values())}
        for answer in given.values():
            if answer.sha256:
                files[f"{answer.sha256}{SUFFIX}"] = self._read(f"{answer.sha256}{SUFFIX}") or b""
        return files if given else {}

    def answers(self) -> list[Answer]:
        """Every answer on record, in order."""
        lines = (self._read(NAME) or b"").splitlines()
        try:
            return [msgspec.json.decode(line, type=Answer) for line in lines]
        except msgspec.DecodeError as error:
            raise StateError(
                f"the record of fits cannot be read: {error}",
                f"{self._where}/{NAME}",
                why="it says which fit decided when",
                fix="restore the file from a backup",
            ) from None

    def given(self, answer: Answer) -> Fitted | NotFitted:
        """An answer as the core gets it; `StateError` if the arrays are not those that were fitted."""
        if not answer.sha256:
            return NotFitted(answer.skipped, answer.may_come)
        name = f"{answer.sha256}{SUFFIX}"
        raw = self._read(name)
        if raw is None or sha256(raw).hexdigest() != answer.sha256:
            raise StateError(
                "the arrays of a fit are missing"
                if raw is None
                else "the arrays of a fit were changed",
                f"{self._where}/{name}",
                why=f"`{answer.model}` has decided with them since {answer.closed_at} and a delay",
                fix="restore the file from a backup",
            )
        return Fitted(answer.sha256, unpacked(raw))


class FitRecords(RecordedFits):
    """The same for the engine that gives the answers."""

    def __init__(self, disk: Disk, root: Path) -> None:
        self._disk, self._folder = disk, root / MODELS
        found = RecordedFits.of(disk, root)
        super().__init__(found._read, found._where)  # noqa: SLF001
        self._all = self.answers()
        self._answers = {answer.key: answer for answer in self._all}
        self._tidy()

    def known(self, model: str, closed_us: int, attempt: int) -> Answer | None:
        """The answer that was given to this question; None if it was never asked."""
        return self._answers.get((model, closed_us, attempt))

    def is_settled(self, model: str, closed_us: int) -> bool:
        """Whether a set has got its last answer."""
        return any(
            answer.model == model and answer.closed_us == closed_us and not answer.may_come
            for answer in self._all
        )

    def forget_after(self, core_us: int) -> None:
        """Strike out answers to sets that were closed after `core_us`, where the journal ends; durable on return.

        The records that asked for them were lost in a crash, so nothing rests on them. Before another configuration
        goes on: it would ask the same question about a model that is another one.
        """
        left = [answer for answer in self._all if answer.closed_us <= core_us]
        if len(left) < len(self._all):
            self._all = left
            self._answers = {answer.key: answer for answer in left}
            self._write()

    def add(self, answer: Answer, raw: bytes | None = None) -> None:
        """Put an answer on record, with the file of its arrays; it is durable when this returns."""
        if raw is not None:
            self._put(f"{answer.sha256}{SUFFIX}", raw)
        self._all.append(answer)
        self._write()
        self._answers[answer.key] = answer

    def _write(self) -> None:
        self._put(NAME, b"".join(msgspec.json.encode(each) + b"\n" for each in self._all))

    def _put(self, name: str, content: bytes) -> None:
        temporary = self._folder / f".{name}.new"
        file = self._disk.create(temporary)
        file.write(content)
        file.sync()
        file.close()
        self._disk.rename(temporary, self._folder / name)
        self._disk.sync_folder(self._folder)

    def _tidy(self) -> None:
        """Remove what a kill has left half written; what somebody else has put here is none of ours.

        Arrays that no line names stay: where the list was lost, they are all that is left of fits that have decided,
        and the backup of the list needs them.
        """
        for name in self._disk.names(self._folder):
            if TEMPORARY.fullmatch(name):
                self._disk.remove(self._folder / name)


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as numpy.load reads them; the same bytes for the same arrays."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name in sorted(arrays):
            one = io.BytesIO()
            np.lib.format.write_array(one, np.asanyarray(arrays[name]), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), one.getvalue())
    return out.getvalue()


def unpacked(raw: bytes) -> dict[str, NDArray[Any]]:
    """What `packed` gave."""
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
