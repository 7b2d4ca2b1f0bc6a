"""The manifest of a backtest: what it was asked, what it read by hash, and the hash of what it found.

`weir rules backtest --again MANIFEST` asks the same again. It refuses to when a file it read is another one now, and
says whether the result is the same. Paths are kept as they were given, from the folder of that call.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec

from config.errors import InputError, StateError
from engine.versions import software
from replay.workbench.backtesting import Answer, Question, encoded
from rules.definitions import Pack

KIND: Final = "backtest"
FORMAT: Final = 1
FOLDER: Final = Path("out/backtests")
NAME: Final = "manifest.json"


def manifest(question: Question, answer: Answer, journal: str = "") -> dict[str, Any]:
    """Everything needed to repeat `question`; `journal`: the records that an output folder held."""
    setup = answer.setup
    return {
        "kind": KIND,
        "format": FORMAT,
        "versions": software(),
        "question": msgspec.to_builtins(asdict(question), enc_hook=str),
        "read": read_by(question, setup.pack, journal),
        "seeds": {"models": setup.configuration.models.seed}
        if setup.configuration.models.models
        else {},
        "config": setup.sha256,
        "result_sha256": digest(answer),
    }


def read_by(question: Question, pack: Pack, journal: str) -> dict[str, Any]:
    """Hashes of all that the answer depends on."""
    packs = {
        member.name: {"version": member.version, "folder": str(member.root)}
        for member in pack.members
    }
    read: dict[str, Any] = {"packs": packs, "files": dict(pack.files)}
    read["inputs"] = {str(path): file_sha256(path) for path in question.inputs}
    if question.labels is not None:
        read["labels"] = {str(question.labels): file_sha256(question.labels)}
    if journal:
        read["journal"] = journal
    return read


def digest(answer: Answer) -> str:
    """Hash of the result."""
    return f"sha256:{hashlib.sha256(encoded(answer.as_dict())).hexdigest()}"


def file_sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a manifest, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")


def read(path: Path) -> tuple[Question, dict[str, Any]]:
    """The question of a manifest, and the whole of it; `InputError` if it is none."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        asked = dict(document["question"])
        if (document["kind"], document["format"]) != (KIND, FORMAT):
            raise ValueError(document["kind"])  # noqa: TRY301  told like all that is no manifest
        msgspec.convert(document["read"], type=dict[str, str | dict[str, Any]])
        return msgspec.convert(asked, Question, dec_hook=lambda kind, text: kind(text)), document
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"this is no manifest of a backtest: {error}",
            str(path),
            fix="name the manifest.json that a backtest has written",
        ) from None


def check(before: Mapping[str, Any], now: Mapping[str, Any], where: Path) -> None:
    """Raise `StateError` naming what has changed since the manifest was written."""
    for group in ("files", "inputs", "labels"):
        old, new = before.get(group, {}), now.get(group, {})
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                raise StateError(
                    f"{name} is not what it was",
                    str(where),
                    why="another input gives another result, which would prove nothing",
                    fix="bring the file back as it was, or run the backtest anew without --again",
                )
    if before.get("journal") != now.get("journal"):
        raise StateError(
            f"the journal holds records {now.get('journal')}, then it held {before.get('journal')}",
            str(where),
            why="another input gives another result, which would prove nothing",
            fix="run the backtest anew without --again",
        )
