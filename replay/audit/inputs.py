"""What audits read of the journal: labels, orders of people, configuration records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from engine.durable.disk import RealDisk
from engine.durable.journal import JournalReader, read_journal
from replay.audit.records import records

JOURNAL: Final = "journal"  # the folder inside an output folder
PREFIX: Final = "control/"  # of the positions of commands that were dropped in
Identity: TypeAlias = tuple[str, str]  # account, transaction id


@dataclass(frozen=True, slots=True)
class Order:
    """A command that somebody gave the engine, and what it answered."""

    seq: int
    record: Mapping[str, Any]
    position: str
    answer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def command(self) -> str:
        return str(self.record.get("command", ""))

    @property
    def is_done(self) -> bool:
        """Whether the engine did it; what it did not answer on record counts as done."""
        return bool(self.answer.get("ok", True))


@dataclass(slots=True)
class Inputs:
    """What the journal holds beside transactions. `is_known` False: there is none."""

    is_known: bool = False
    opening_config: str = ""  # active at the oldest record that is kept
    labels: dict[Identity, str] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    configs: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)


class _Record(msgspec.Struct):
    kind: str = "transaction"
    account: str = ""
    transaction_id: str = ""
    label: str = ""


def open_recorded(root: Path, key: bytes | None = None) -> JournalReader | None:
    """The journal of an output folder, for reading; None where there is none."""
    folder = root / JOURNAL
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    return read_journal(RealDisk(), folder, key)


def read_inputs(root: Path, key: bytes | None = None) -> Inputs:
    """Labels, orders and configuration records of a whole folder; messages that cannot be read are passed over."""
    inputs = Inputs()
    answers = {answer["seq"]: answer for answer in records(root, "answers")}
    decode = msgspec.json.Decoder(_Record).decode
    journal = open_recorded(root, key)
    if journal is None:
        return inputs
    inputs.is_known = bool(journal.segments)
    inputs.opening_config = journal.segments[0].header.config if journal.segments else ""
    for run in journal.read(journal.first_seq):
        if run.config is not None:
            inputs.configs.append((run.seq0, msgspec.json.decode(run.config)))
            continue
        for row, line in enumerate(run.messages.lines):
            if b'"label"' not in line and b'"command"' not in line:
                continue
            try:
                record = decode(line)
            except msgspec.DecodeError:
                continue  # the engine has made a dead letter of it
            seq = run.seq0 + row
            if record.kind == "label":
                inputs.labels[record.account, record.transaction_id] = record.label
            elif record.kind == "command":
                position = run.messages.positions[row]
                answer = answers.get(seq) or _answer_beside(root, position, seq)
                inputs.orders.append(Order(seq, msgspec.json.decode(line), position, answer))
    return inputs


def _answer_beside(root: Path, position: str, seq: int) -> Mapping[str, Any]:
    """The answer that was written beside a command file, if it is still there and is that of this record."""
    path = root / f"{position}.answer"
    if not position.startswith(PREFIX) or ".." in position:
        return {}
    try:
        answer = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return {}
    return answer if answer.get("seq") == seq else {}
