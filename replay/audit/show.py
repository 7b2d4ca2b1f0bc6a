"""`weir audit show`: the lines of a stream as the engine wrote them, also where the folder is encrypted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from config.errors import InputError
from engine.durable import delivery, output
from replay.audit.records import Seqs, raw
from replay.audit.tables import Report

STREAMS: Final = (*output.STREAMS, delivery.STREAM)


class _Placed(msgspec.Struct):
    seq: int = -1
    seq0: int = -1  # of a batch, in the delivery log


def check(stream: str) -> None:
    """Raise `InputError` for the name of no stream."""
    if stream not in STREAMS:
        raise InputError(f"there is no stream {stream}", fix="name one of " + ", ".join(STREAMS))


def lines(root: Path, stream: str, seqs: Seqs) -> Iterator[bytes]:
    """The lines of those in `seqs`, without their ends; `InputError` for one that has no seq."""
    decode = msgspec.json.Decoder(_Placed).decode
    everything = seqs == Seqs()
    for number, line in enumerate(raw(root, stream), 1):
        if everything:
            yield line
            continue
        try:
            placed = decode(line)
        except msgspec.DecodeError as error:
            raise InputError(
                f"the line cannot be read: {error}",
                f"{root / stream}.ndjson:{number}",
                why="every line of a stream is one record that the engine wrote",
                fix=f"see what else was changed: weir audit verify {root}",
            ) from None
        if max(placed.seq, placed.seq0) in seqs:
            yield line


class Shown(Report):
    """Everything has been printed."""

    def write(self, _form: str) -> str:
        return ""
