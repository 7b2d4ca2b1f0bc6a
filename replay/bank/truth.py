"""What really happened in generated traffic: the attempts, and which transactions belong to them.

It stands in a file of its own beside the recording, never in the events: nothing that scores may read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from config.errors import InputError


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of an attempt, as one line of the truth file."""

    attempt: str
    typology: str
    is_honest: bool  # looks like fraud and is not
    variant: str  # easy or hard; "" where honest
    transaction_id: str
    account: str
    customer: str  # owner of the account
    event_time: str
    amount: str  # CNY: what it moves on the account
    is_money: (
        bool  # carries the money the attempt is after (and not a trial, or money that flows in)
    )


@dataclass(frozen=True, slots=True)
class Truth:
    """Every marked transaction in the order of event time, and what the recording holds in all.

    n_by_kind : messages of each kind of the recording; broken lines are counted in `n_lines` alone
    absent    : attempts that were planned and found no opportunity before the recording ended
    """

    marks: tuple[Mark, ...]
    n_lines: int = 0
    n_transactions: int = 0
    n_by_kind: Mapping[str, int] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    @property
    def attempts(self) -> dict[str, tuple[Mark, ...]]:
        """The marks of each attempt, attempts in order of their names."""
        found: dict[str, list[Mark]] = {}
        for mark in self.marks:
            found.setdefault(mark.attempt, []).append(mark)
        return {name: tuple(found[name]) for name in sorted(found)}

    def write(self, path: Path) -> None:
        encode = msgspec.json.Encoder().encode
        with path.open("wb") as file:
            file.writelines(encode(mark) + b"\n" for mark in self.marks)

    @classmethod
    def read(cls, path: Path) -> "Truth":
        """Read a truth file; raise `InputError` naming the line that does not fit."""
        decode = msgspec.json.Decoder(Mark).decode
        marks = []
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                marks.append(decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InputError(
                    f"not a line of a truth file: {error}",
                    f"{path}:{number}",
                    "the report compares decisions with what `weir generate` wrote beside the recording",
                    "generate the recording again with the same seed",
                ) from None
        return cls(tuple(marks))


def truth_path(recording: Path) -> Path:
    """Where the truth about a generated `recording` stands: `bank.1.ndjson.gz` -> `bank.1.truth.ndjson`."""
    name = recording.name
    for ending in (".gz", ".zst", ".ndjson", ".parquet"):
        name = name.removesuffix(ending)
    return recording.with_name(name + ".truth.ndjson")
