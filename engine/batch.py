"""What travels between the stages of the core: a batch of rows, and facts about each of them.

Everything here is plain data; engine/decoding/ fills it, the core and the stages read it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.joined import Joined
from rules.columns import Frame

if TYPE_CHECKING:
    from engine.decoding.messages import Record

I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]
B1: TypeAlias = NDArray[np.bool_]

T = TypeVar("T")

# What a row is. DUPLICATE is given by the core, never by decode; TICK and CONFIG only to records made inside.
DEAD: Final = 0
TRANSACTION: Final = 1
ACTIVITY: Final = 2
LABEL: Final = 3
UPDATE: Final = 4
PROFILE: Final = 5
COMMAND: Final = 6
TICK: Final = 7
CONFIG: Final = 8
DUPLICATE: Final = 9
KIND_NAMES: Final = (
    "dead", "transaction", "activity", "label", "update", "profile", "command", "tick", "config", "duplicate",
)  # fmt: skip

# What windows do with a row, see `Rows.action` in engine/windows/rows.py.
SKIP: Final = 0
EVENT: Final = 1
READ: Final = 2
AMEND: Final = 3
PUT: Final = 4


@dataclass(frozen=True, slots=True)
class Dead:
    """Why a message became a dead letter, and what somebody can do about it.

    `answerable` is set when it is a transaction whose id and account can be read: core banking waits for an answer,
    so the core gives the fallback decision of its type beside the dead letter.
    """

    reason: str
    what: str
    fix: str
    answerable: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """What the profile message at `row` says about one entity.

    entity : "account", "customer" or "card", and `code` which one
    values : (attribute column, number or code)
    """

    row: int
    entity: str
    code: int
    values: tuple[tuple[str, float], ...]


class Records(list[Any]):
    """The decoded messages of a batch; one that was scanned stands here as its bytes, until somebody asks for it.

    read : bytes of a message -> record
    """

    def __init__(
        self, rows: "Iterable[bytes | Record | None]", read: "Callable[[bytes], Record]"
    ) -> None:
        super().__init__(rows)
        self.read = read

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        if isinstance(at, slice):
            return Records(found, self.read)
        if type(found) is bytes:
            found = self[at] = self.read(found)
        return found

    def is_unread(self, row: int) -> bool:
        """Whether nobody has asked for the record at `row`."""
        return type(super().__getitem__(row)) is bytes

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and list(self) == list(other)

    __hash__ = None


@dataclass(slots=True)
class Batch:
    """`n` input messages as columns; row i has sequence number `seq0` + i.

    frame          : the columns that somebody reads; all missing in dead rows
    kind           : (n,) int8, see the constants of this module
    read_as        : (n,) int8, what each row was before it was found to be dead or a repeat; DEAD: unreadable
    event_time_us  : (n,) int64 microseconds UTC; -1 for none
    currency       : what the money columns of the frame are in: that of the books
    foreign        : (n,) bool, the row has money in a currency without a rate; it is missing in the frame
    keys           : keys of the schema that messages have had so far
    currencies     : row -> the currency of its message, where that is not the books'; the record holds its minor units
    lines          : the messages, without the fields that must never be stored; what the journal writes
    joined         : the same lines in one piece, where somebody has put them together
    position       : where each came from, such as "day1.ndjson:17"
    records        : the decoded messages (money in minor units, times in microseconds); None in dead rows, but those
                     that are answerable
    transaction_id : None where there is none
    account        : None where there is none
    digest         : 64 bits, signed, over the decoded fields: equal for messages that say the same, however spelt;
                     of transactions, updates, labels and answerable rows, else 0
    dead           : row -> why; exactly the rows of kind DEAD
    objects        : row -> the whole object of commands, ticks and configuration records
    profiles       : what profile messages set, in the order of the rows
    originals      : row -> `original_transaction_id`, where the message has one
    verdicts       : row -> `label` of the rows that are labels
    """

    n: int
    seq0: int
    frame: Frame
    kind: I1
    read_as: I1
    event_time_us: I8
    currency: str
    foreign: B1
    lines: Sequence[bytes]
    position: Sequence[str]
    records: "list[Record | None]"
    transaction_id: list[str | None]
    account: list[str | None]
    digest: list[int]
    dead: dict[int, Dead] = field(default_factory=dict)
    objects: dict[int, dict[str, Any]] = field(default_factory=dict)
    profiles: list[Profile] = field(default_factory=list)
    keys: AbstractSet[str] = frozenset()
    currencies: dict[int, str] = field(default_factory=dict)
    originals: dict[int, str] = field(default_factory=dict)
    verdicts: dict[int, str] = field(default_factory=dict)
    joined: Joined | None = None

    def is_scanned(self, row: int) -> bool:
        """Whether the message at `row` was scanned, and nobody has asked for its record since.

        Nothing is odd about such a message: what money it names is in the books' currency (engine/scanning/).
        """
        return isinstance(self.records, Records) and self.records.is_unread(row)

    def part(self, first: int, last: int) -> "Batch":
        """Rows from `first` to `last`, the latter not included, as a batch of their own."""

        def some(of: dict[int, T]) -> dict[int, T]:
            return {row - first: what for row, what in of.items() if first <= row < last}

        frame, rows = self.frame, slice(first, last)
        number = np.ascontiguousarray(frame.number[:, rows])
        code = np.ascontiguousarray(frame.code[:, rows])
        profiles = (p for p in self.profiles if first <= p.row < last)
        return Batch(
            last - first,
            self.seq0 + first,
            Frame(frame.layout, last - first, number, code),
            self.kind[rows].copy(),
            self.read_as[rows].copy(),
            self.event_time_us[rows].copy(),
            self.currency,
            self.foreign[rows].copy(),
            self.lines[rows],
            self.position[rows],
            self.records[rows],
            self.transaction_id[rows],
            self.account[rows],
            self.digest[rows],
            some(self.dead),
            some(self.objects),
            [replace(p, row=p.row - first) for p in profiles],
            self.keys,
            some(self.currencies),
            some(self.originals),
            some(self.verdicts),
        )

    def put_back(self, first: int, part: "Batch") -> None:
        """Take over what became of the rows of a part."""
        rows = slice(first, first + part.n)
        self.frame.number[:, rows], self.frame.code[:, rows] = part.frame.number, part.frame.code
        self.kind[rows], self.event_time_us[rows] = part.kind, part.event_time_us
        self.foreign[rows] = part.foreign
        self.records[rows] = part.records
        for row in range(first, first + part.n):
            self.dead.pop(row, None)
        self.dead |= {first + row: dead for row, dead in part.dead.items()}
        gone = {p.row for p in self.profiles} - {first + p.row for p in part.profiles}
        inside = range(first, first + part.n)
        self.profiles = [p for p in self.profiles if p.row not in inside or p.row not in gone]

    def take(self, rows: I8, part: "Batch") -> None:
        """Enter what was decoded apart: row i of `part` stands at `rows[i]`; codes and texts come later."""

        def placed(of: dict[int, T]) -> dict[int, T]:
            return {int(rows[i]): what for i, what in of.items()}

        self.frame.number[:, rows] = part.frame.number
        self.kind[rows], self.read_as[rows] = part.kind, part.read_as
        self.event_time_us[rows], self.foreign[rows] = part.event_time_us, part.foreign
        several: tuple[tuple[Any, Any], ...] = (
            (self.lines, part.lines),
            (self.records, part.records),
            (self.transaction_id, part.transaction_id),
            (self.account, part.account),
            (self.digest, part.digest),
        )
        at = rows.tolist()
        for mine, theirs in several:
            for row, what in zip(at, theirs, strict=True):
                mine[row] = what
        self.dead |= placed(part.dead)
        self.objects |= placed(part.objects)
        self.currencies |= placed(part.currencies)
        self.originals |= placed(part.originals)
        self.verdicts |= placed(part.verdicts)

    def bury(self, row: int, dead: Dead) -> None:
        """Make `row` a dead letter, whatever it was; a profile that is dead sets nothing."""
        if self.kind[row] == PROFILE:
            self.profiles = [profile for profile in self.profiles if profile.row != row]
        self.kind[row] = DEAD
        self.dead[row] = dead
