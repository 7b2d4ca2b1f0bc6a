"""What became of transactions: the last verdict on each, from the labels of a recording and from a file of labels.

A recording tells verdicts as they arrived; the last one counts, so a correction replaces what it corrects, and a
withdrawn verdict is none. A file of labels (Parquet, CSV or NDJSON; columns account, transaction_id, label and, if it
has one, event_time) is for measuring only: no feature sees it. Its verdict stands beside that of the recording and
replaces it, unless it has a time and that is older.

A transaction without a verdict counts as genuine; up to when that can be believed, `Verdicts.mature_to_us` says.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from config.errors import InputError
from engine.quantities import read_times
from replay.workbench.tally import Payments, identity

B1: TypeAlias = NDArray[np.bool_]
I8: TypeAlias = NDArray[np.int64]

MATURE: Final = (
    0.95  # so many verdicts of fraud have come by the age at which labels count as mature
)
UNTIMED: Final = -1
FRAUD, GENUINE, WITHDRAWN = "fraud", "genuine", "withdrawn"
_WORDS: Final[Mapping[str, str]] = {
    FRAUD: FRAUD,
    GENUINE: GENUINE,
    WITHDRAWN: WITHDRAWN,
    "1": FRAUD,
    "0": GENUINE,
    "true": FRAUD,
    "false": GENUINE,
}
_NEEDED: Final = ("account", "transaction_id", "label")
_TIMES: Final = ("event_time", "label_time")


class _Label(msgspec.Struct):
    kind: str = "transaction"
    account: str | int = ""
    transaction_id: str | int = ""
    label: str | int | bool = ""
    event_time: str | int | None = None


_DECODE = msgspec.json.Decoder(_Label).decode


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What is known of some transactions.

    is_fraud     : (n,) bool  of each transaction asked about
    n_verdicts   : of fraud, on any transaction at all
    mature_to_us : transactions up to then have had the time that nearly all verdicts of fraud took; None: no verdict
    """

    is_fraud: B1
    n_verdicts: int
    mature_to_us: int | None


class LabelBook:
    """The last verdict on every transaction that was ever called a fraud."""

    def __init__(self) -> None:
        self._verdict: dict[int, tuple[bool, int]] = {}  # identity -> is it fraud, and since when
        self._newest_us = UNTIMED

    def take(self, lines: Iterable[bytes]) -> None:
        """Look for labels among the messages of a recording, in the order of their arrival."""
        for line in lines:
            if b'"label"' not in line:
                continue
            try:
                label = _DECODE(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # the engine makes a dead letter of it
            if label.kind == "label":
                self._note(label, is_newest=True)

    def read(self, path: Path) -> int:
        """Take a file of labels in; return how many. Raises `InputError` naming what cannot be read."""
        n = 0
        for number, row in enumerate(_rows(path), 1):
            word = _WORDS.get(str(row.label).strip().lower())
            if word is None:
                raise InputError(
                    f"`label` must be fraud, genuine or withdrawn, was {row.label}",
                    f"{path}, row {number}",
                    fix="correct the row, or leave it out",
                )
            row.label = word
            self._note(row, is_newest=False)
            n += 1
        return n

    def of(self, payments: Payments, end_us: int) -> Verdicts:
        """What is known of `payments`; `end_us` is the core time when the recording ended."""
        known = [(key, since) for key, (is_fraud, since) in self._verdict.items() if is_fraud]
        keys = np.array([key for key, _ in known], np.int64)
        since_us = np.array([since for _, since in known], np.int64)
        is_fraud = np.isin(payments.identity, keys)
        at = np.flatnonzero(is_fraud)
        if not len(at):
            return Verdicts(is_fraud, len(keys), None)
        order = np.argsort(keys)
        place = order[np.searchsorted(keys[order], payments.identity[at])]
        timed = since_us[place] != UNTIMED
        if not timed.any():
            return Verdicts(is_fraud, len(keys), int(payments.time_us[at].max()))
        delay_us = np.sort((since_us[place] - payments.time_us[at])[timed])
        typical_us = int(delay_us[max(0, int(np.ceil(MATURE * len(delay_us))) - 1)])
        return Verdicts(is_fraud, len(keys), max(end_us, self._newest_us) - max(0, typical_us))

    def are_frauds(self, identities: I8) -> B1:
        """Which of these transactions were frauds."""
        keys = [key for key, (is_fraud, _) in self._verdict.items() if is_fraud]
        return np.isin(identities, np.array(keys, np.int64))

    def _note(self, label: _Label, *, is_newest: bool) -> None:
        key = identity(str(label.account), str(label.transaction_id))
        is_fraud = label.label == FRAUD
        known = self._verdict.get(key)
        if known is None and not is_fraud:
            return
        time_us = _time_us(label.event_time)
        self._newest_us = max(self._newest_us, time_us)
        if is_newest or known is None or time_us == UNTIMED or time_us >= known[1]:
            self._verdict[key] = is_fraud, time_us


def _time_us(text: str | int | None) -> int:
    if text is None:
        return UNTIMED
    times, wrong = read_times([text])
    return UNTIMED if wrong else int(times[0])


def _rows(path: Path) -> Iterator[_Label]:
    """The rows of a file of labels."""
    if not path.is_file():
        raise InputError(f"there is no file {path}", fix="correct the path of --labels")
    name = path.name.lower()
    if name.endswith(".parquet"):
        yield from _table(path)
    elif name.endswith((".csv", ".tsv")):
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t" if name.endswith(".tsv") else ",")
            time = _columns(path, reader.fieldnames or ())
            for row in reader:
                yield _label(row, time)
    elif name.endswith((".ndjson", ".jsonl")):
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _line(path, number, line)
    else:
        raise InputError(
            "a file of labels is Parquet, CSV or NDJSON", str(path), fix="name it .parquet or .csv"
        )


def _line(path: Path, number: int, line: bytes) -> _Label:
    try:
        return _DECODE(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"the line is no label: {error}",
            f"{path}:{number}",
            fix='write {"account":"A1","transaction_id":"t1","label":"fraud"}',
        ) from None


def _table(path: Path) -> Iterator[_Label]:
    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise InputError(f"the labels cannot be read: {error}", str(path)) from None
    time = _columns(path, table.column_names)
    names = [*_NEEDED, *([time] if time else [])]
    columns = [_texts(table.column(name)) for name in names]
    for values in zip(*columns, strict=True):
        yield _label(dict(zip(names, values, strict=True)), time)


def _texts(column: pa.ChunkedArray) -> list[Any]:
    """Values of a column; times as microseconds, as messages may give them."""
    if pa.types.is_timestamp(column.type):
        return [
            None if v is None else v.isoformat() + ("" if v.tzinfo else "Z")
            for v in column.to_pylist()
        ]
    values: list[Any] = column.to_pylist()
    return values


def _columns(path: Path, names: Iterable[str]) -> str:
    """The name of the column with times, "" if there is none; `InputError` if a needed one is not there."""
    present = list(names)
    for name in _NEEDED:
        if name not in present:
            raise InputError(
                f"there is no column `{name}`",
                str(path),
                f"a file of labels has the columns {', '.join(_NEEDED)}, and event_time if it knows when",
                f"rename one of {', '.join(present) or '(no columns)'}",
            )
    return next((name for name in _TIMES if name in present), "")


def _label(row: Mapping[str, Any], time: str) -> _Label:
    return _Label(
        "label",
        str(row["account"]),
        str(row["transaction_id"]),
        row["label"] if isinstance(row["label"], str) else str(row["label"]),
        (row[time] or None) if time else None,
    )
