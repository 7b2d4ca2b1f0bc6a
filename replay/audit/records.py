"""Lines of an output folder as records, and which of them fall into a period.

A period is one of core time, the newest event time that the engine had accepted when it took a record. Decisions tell
it (the highest event time up to there), and as it never falls, a period is a range of `seq`: that is how streams whose
lines carry no time are cut. Inputs that are no transactions move core time too; a record between two decisions counts
with the one before it.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from config.errors import InputError
from config.settings import instant_us
from engine.durable.disk import Disk, RealDisk
from engine.durable.encrypted_disk import unlocked

T = TypeVar("T")
DAY_US: Final = 86_400_000_000
END: Final = sys.maxsize
MARKS: Final = (
    "decisions.ndjson",
    "journal",
    "seals.ndjson",
)  # one of them is in every output folder


class Decision(msgspec.Struct, kw_only=True):
    """What audits read of a decision line."""

    seq: int
    transaction_id: str | None = None
    event_time: str | None = None
    account: str | None = None
    decision: str = ""
    excepted: tuple[tuple[str, str], ...] = ()
    suppressed: tuple[tuple[str, str], ...] = ()
    undecided: tuple[tuple[str, str], ...] = ()
    reasons: tuple[str, ...] = ()
    restrictions: tuple[str, ...] = ()
    late: bool = False


class _Timed(msgspec.Struct):
    seq: int
    event_time: str | None = None


@dataclass(frozen=True, slots=True)
class Seqs:
    """Records `first` .. `end` - 1."""

    first: int = 0
    end: int = END

    def __contains__(self, seq: object) -> bool:
        return isinstance(seq, int) and self.first <= seq < self.end


_KEY: ContextVar[bytes | None] = ContextVar("key of output folders", default=None)


@contextmanager
def reading_with(key: bytes | None) -> Iterator[None]:
    """Read encrypted folders with this key: every report reads streams, and only the command knows of keys."""
    before = _KEY.set(key)
    try:
        yield
    finally:
        _KEY.reset(before)


def disk_of(root: Path) -> Disk:
    """Through what a folder is read; `StateError` if it is encrypted and there is no key, or another one."""
    return unlocked(RealDisk(), root, _KEY.get())


def check_folder(root: Path) -> None:
    """Refuse a folder that no run has written; raise `InputError`."""
    if not any((root / name).exists() for name in MARKS):
        raise InputError(
            "this is no output folder",
            str(root),
            why="an output folder holds decisions.ndjson, as `weir run` and `weir replay` write it",
            fix="name the folder that was given with --out",
        )


def period_us(day: str, from_: str, to: str) -> tuple[int | None, int | None]:
    """Half-open period of core time, microseconds UTC, of `--day D` or `--from T --to T`; None is open."""
    if day and (from_ or to):
        raise InputError("--day goes without --from and --to", fix="give one or the other")
    if day:
        start = day_us(day)
        return start, start + DAY_US
    return (
        instant_us("--from", from_) if from_ else None,
        instant_us("--to", to) if to else None,
    )


def day_us(day: str) -> int:
    """Microseconds of the start of a UTC day; raise `InputError` for a text that is none."""
    if len(day) != len("2026-03-02"):
        raise InputError(f"--day must be a date, was {day}", fix="write it like 2026-03-02")
    return instant_us("--day", day)


def seqs_of(root: Path, from_us: int | None, to_us: int | None) -> Seqs:
    """The records of a period. O(decisions) where it is bounded."""
    first, end = (0 if from_us is None else END), END
    if from_us is None and to_us is None:
        return Seqs()
    for timed in lines(root, "decisions", _Timed):
        if timed.event_time is None:
            continue
        time_us = instant_us("event_time", timed.event_time)
        if from_us is not None and first == END and time_us >= from_us:
            first = timed.seq
        if to_us is not None and time_us >= to_us:
            end = timed.seq
            break
    return Seqs(min(first, end), end)


def lines(root: Path, stream: str, kind: type[T], *, skip: bytes = b"") -> Iterator[T]:
    """Each line of a stream as a record, but those with `skip` in them; `InputError` names the line that is none."""
    path = root / f"{stream}.ndjson"
    decode = msgspec.json.Decoder(kind).decode
    for number, line in enumerate(raw(root, stream), 1):
        if skip and skip in line:
            continue
        try:
            yield decode(line)
        except msgspec.DecodeError as error:
            raise InputError(
                f"the line cannot be read: {error}",
                f"{path}:{number}",
                why="every line of a stream is one record that the engine wrote",
                fix=f"see what else was changed: weir audit verify {root}",
            ) from None


def raw(root: Path, stream: str) -> Iterator[bytes]:
    """Each line of a stream, without its end; nothing if there is no such stream."""
    path, disk = root / f"{stream}.ndjson", disk_of(root)
    if disk.size(path) >= 0:
        with disk.open(path) as file:
            for line in file:
                yield line.rstrip(b"\n")


def records(root: Path, stream: str, seqs: Seqs | None = None) -> Iterator[Mapping[str, Any]]:
    """Each line of a stream as a mapping, of those in `seqs`."""
    for record in lines(root, stream, dict[str, Any]):
        if seqs is None or record.get("seq") in seqs:
            yield record
