"""An output folder as reports read it: lines of streams, messages of the journal, labels, names, time zone, currency.

Nothing is derived again, and nothing is written. What a report cannot know, because the folder has no journal or a
configuration of it cannot be read, is said in `notes`, and stays unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from config.errors import ConfigError, InputError, StateError
from config.money import exponent, minor_units
from config.settings import instant_us
from engine.durable import config_store
from engine.durable.disk import Disk
from engine.durable.holding import is_being_written
from engine.durable.journal import JournalReader
from engine.durable.seals import NAME as SEALS
from engine.ports import Recorded
from engine.progress import Progress
from engine.setup import Setup
from replay.audit import inputs, records, veil
from replay.audit.veil import Veil
from replay.report.businessday import Calendar

T = TypeVar("T")
FRAUD, GENUINE, NO_VERDICT = "fraud", "genuine", ""
UNKNOWN: Final = "not told"
TAIL_BYTES: Final = 1 << 16


class Verdict(NamedTuple):
    """The last label of a transaction: fraud or genuine, and what kind of fraud somebody said it was."""

    label: str
    typology: str


class _Label(msgspec.Struct):
    kind: str = "transaction"
    account: Any = ""
    transaction_id: Any = ""
    label: Any = ""
    typology: Any = ""


class _Config(msgspec.Struct):
    config: str = ""


@dataclass(slots=True)
class Folder:
    """What a report reads. `is_running`: an engine is writing the folder at this moment."""

    root: Path
    disk: Disk
    veil: Veil
    journal: JournalReader | None
    is_running: bool
    calendar: Calendar
    currency: str = ""
    digits: int = 2
    setup: Setup | None = None
    notes: list[str] = field(default_factory=list)
    _setups: dict[str, Setup | None] = field(default_factory=dict)

    def setup_of(self, config: str) -> Setup | None:
        """The stored configuration with this hash; None, and a note, where it cannot be read."""
        if config not in self._setups:
            try:
                self._setups[config] = config_store.stored(self.disk, self.root, config)
            except (StateError, ConfigError, OSError) as error:
                self._setups[config] = None
                what = error.what if isinstance(error, (StateError, ConfigError)) else str(error)
                self.notes.append(
                    f"A configuration cannot be read, so its rates are unknown: {what}."
                )
        return self._setups[config]

    def minor(self, amount: Any, currency: Any, time: str | None, config: str) -> int | None:
        """An amount of a message in the books' currency, at the rate of its own time; None where it has none."""
        if not isinstance(amount, str | int | float) or not isinstance(currency, str):
            return None
        try:
            value = minor_units(amount, exponent(currency))
        except (ValueError, ConfigError):
            return None
        if currency == self.currency:
            return value
        setup = self.setup_of(config)
        if setup is None or setup.rates is None or time is None or not self.currency:
            return None
        return setup.rates.convert(value, currency, self.currency, instant_us("event_time", time))

    def lines(self, stream: str, kind: type[T], bar: "Bar | None" = None) -> Iterator[T]:
        """Each whole line of a stream as a record; `InputError` names a line that is none.

        A last line without an end is passed over: an engine is writing it, or was killed while it did.
        """
        path = self.root / f"{stream}.ndjson"
        if self.disk.size(path) < 0:
            return
        decode = msgspec.json.Decoder(kind).decode
        with self.disk.open(path) as file:
            for number, line in enumerate(file, 1):
                if bar is not None:
                    bar.advance(len(line))
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    if not line.endswith(b"\n"):
                        return
                    raise InputError(
                        f"the line cannot be read: {error}",
                        f"{path}:{number}",
                        why="every line of a stream is one record that the engine wrote",
                        fix=f"see what else was changed: weir audit verify {self.root}",
                    ) from None

    def records(self, stream: str) -> Iterator[Mapping[str, Any]]:
        """Each line of a stream as a mapping."""
        yield from self.lines(stream, dict[str, Any])

    def size(self, *streams: str) -> int:
        """Bytes of streams together, for a progress bar."""
        return sum(max(0, self.disk.size(self.root / f"{stream}.ndjson")) for stream in streams)

    def summary(self) -> Mapping[str, Any]:
        """What the last run added up; empty while the first one goes on, or after it was killed."""
        path = self.root / "summary.json"
        if not path.is_file():
            return {}
        try:
            told = msgspec.json.decode(path.read_bytes())
        except msgspec.DecodeError as error:
            raise InputError(
                f"the summary cannot be read: {error}",
                str(path),
                why="it says how fast the run was, and what its data were like",
                fix=f"see what else was changed: weir audit verify {self.root}",
            ) from None
        return told if isinstance(told, dict) else {}

    def root_hash(self) -> str:
        """The hash of the newest seal; "" where nothing is sealed."""
        path = self.root / SEALS
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            found = [line for line in file.read().splitlines() if line.endswith(b"}")]
        for line in reversed(found):
            try:
                return str(msgspec.json.decode(line, type=dict[str, Any]).get("hash", ""))
            except msgspec.DecodeError:
                continue
        return ""

    def verdicts(self, first_seq: int = 0) -> dict[tuple[str, str], Verdict]:
        """The last verdict on each transaction, of labels from `first_seq` on. O(labels) memory."""
        found: dict[tuple[str, str], Verdict] = {}
        if self.journal is None:
            return found
        decode = msgspec.json.Decoder(_Label).decode
        start = max(first_seq, self.journal.first_seq)
        with Progress(max(0, self.journal.seq_end - start), " messages") as bar:
            for run in self.journal.read(start) if start < self.journal.seq_end else ():
                bar.advance(len(run), "labels")
                for line in run.messages.lines:
                    if b'"label"' not in line:
                        continue
                    try:
                        told = decode(line)
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        continue  # the engine has made a dead letter of it
                    if told.kind != "label":
                        continue
                    identity = str(told.account), str(told.transaction_id)
                    if told.label in (FRAUD, GENUINE):
                        typology = told.typology if isinstance(told.typology, str) else ""
                        found[identity] = Verdict(told.label, typology)
                    else:  # withdrawn
                        found.pop(identity, None)
        return found


class Bar:
    """Counts bytes of a stream; told of every line, it moves the bar every few thousand."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._held = progress, 0

    def advance(self, n: int) -> None:
        self._held += n
        if self._held >= 1 << 20:
            self._progress.advance(self._held)
            self._held = 0


class Messages:
    """Messages of the journal by seq, asked for in ascending order."""

    def __init__(self, journal: JournalReader | None, first_seq: int, seq_end: int) -> None:
        self._runs: Iterator[Recorded] = iter(())
        self._seq0 = self._end = 0
        self._lines: Sequence[bytes] = ()
        if journal is not None:
            start, stop = max(first_seq, journal.first_seq), min(seq_end, journal.seq_end)
            if start < stop:
                self._runs = journal.read(start, stop)

    def line(self, seq: int) -> bytes:
        """The bytes of a record; b"" where the journal no longer has it."""
        while seq >= self._end:
            run = next(self._runs, None)
            if run is None:
                return b""
            self._seq0, self._end = run.seq0, run.seq_end
            self._lines = run.messages.lines if run.config is None else ()
        place = seq - self._seq0
        return self._lines[place] if 0 <= place < len(self._lines) else b""


def open_folder(root: Path, *, key: bytes | None, reveal: bool) -> Folder:
    """Open an output folder; `InputError` for anything else, `StateError` for one that needs another key."""
    records.check_folder(root)
    with records.reading_with(key):
        disk = records.disk_of(root)
    shown, remark = veil.of_folder(root, reveal=reveal)
    journal = inputs.open_recorded(root, key)
    if journal is not None and not journal.segments:
        journal = None
    folder = Folder(root, disk, shown, journal, is_being_written(root), Calendar(ZoneInfo("UTC")))
    if remark:
        folder.notes.append(remark)
    if journal is None:
        folder.notes.append(
            "There is no journal (`durability: none`): amounts, regions and verdicts are unknown."
        )
    elif journal.first_seq > 0:
        folder.notes.append(
            f"The journal begins at seq {journal.first_seq:,}: amounts, regions and verdicts before it are unknown."
        )
    newest = journal.config if journal is not None else ""
    if not newest:
        newest = next((told.config for told in folder.lines("decisions", _Config)), "")
    setup = folder.setup_of(newest) if newest else None
    if setup is None:
        folder.notes.append(
            "No configuration can be read: days are UTC days, and rules have no names."
        )
    else:
        folder.setup = setup
        folder.calendar = Calendar(ZoneInfo(setup.pack.timezone or "UTC"))
        folder.currency = setup.pack.currency
        folder.digits = exponent(folder.currency)
    return folder
