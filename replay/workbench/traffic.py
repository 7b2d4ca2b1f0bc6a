"""Recorded traffic through cores that only look: files of a feed, or the journal of an output folder.

Nothing is written, and nothing is decided for anybody: streams are made and dropped. What came before the period fills
windows and nothing else; what comes behind it is read for its labels alone.

A journal brings the configurations of its time along. The rules in question stay what they are; their lists are those
of the time, but for a list that the pack in question has changed against the newest configuration of the folder: that
one counts as drafted, throughout. Settings, schema and rates are those of the newest configuration, or of `--config`.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from config import kernel_cache
from config.errors import InputError, StateError
from config.models import ModelEntry, ModelsFile
from engine.brokers.files import FileSource
from engine.core import Core
from engine.durable import config_store
from engine.durable.disk import RealDisk
from engine.durable.encrypted_disk import unlocked
from engine.durable.journal import read_journal
from engine.durable.output import JOURNAL
from engine.durable.rederive import ConfigRecord, blocks
from engine.durable.sealing import GRID
from engine.garbage import rare_collection
from engine.ports import Messages
from engine.progress import Progress
from engine.setup import Setup, models_for
from engine.windows import budget
from replay.pacing import event_time_us
from replay.workbench.tally import Tally
from replay.workbench.verdicts import LabelBook
from rules.check.suggest import did_you_mean
from rules.definitions import Feature, ListDefinition, Pack, Place
from rules.pack import derived_fields
from rules.tree import CATEGORY, ID, Node
from rules.types import column_type

_NOT_CONTENT: Final = frozenset({"place", "origin", "owner", "review_by_us"})


class NoModels(ModelsFile, frozen=True, kw_only=True):
    """A configuration without models: no rule reads what they say, so nobody learns."""

    models: dict[str, ModelEntry] = {}
    champion: str = ""

    def __post_init__(self) -> None:
        """Nothing to check: that a champion is among the models does not hold here."""


class _Rule(msgspec.Struct):
    rule: str


class _Decision(msgspec.Struct):
    seq: int
    fired: list[_Rule] = []


_FIRED = msgspec.json.Decoder(_Decision).decode


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of messages, or lists that count from the next one on.

    seq0 : of the first message in the journal; -1 in a file, where the core counts itself
    """

    messages: Messages
    seq0: int = -1
    lists: Mapping[str, ListDefinition] | None = None


class Traffic(Protocol):
    """Recorded messages in their order."""

    total: int | None  # messages, where that is known
    n_read: int  # messages so far

    def pieces(self) -> Iterator[Piece]: ...


@dataclass(slots=True)
class Lane:
    """A core under test, and what is gathered from it."""

    setup: Setup
    core: Core
    tally: Tally
    drafted: frozenset[str] = frozenset()  # lists that do not follow the configurations of the time

    def use_lists(self, lists: Mapping[str, ListDefinition]) -> None:
        """Go on with the lists of another time."""
        pack = self.setup.pack
        changed = {
            name: lists[name]
            for name, own in pack.lists.items()
            if name in lists and name not in self.drafted and not same_rows(own, lists[name])
        }
        if changed:
            self.setup = replace(self.setup, pack=replace(pack, lists={**pack.lists, **changed}))
            core = Core(self.setup)
            core.load(self.core.save())
            self.core = core
            self.tally.follow(core)


def same_rows(one: ListDefinition, other: ListDefinition) -> bool:
    """Whether two lists hold the same, wherever they stand."""
    return all(
        getattr(one, f.name) == getattr(other, f.name)
        for f in fields(one)
        if f.name not in _NOT_CONTENT
    )


@dataclass(slots=True)
class Files:
    """Files that a feed describes."""

    paths: Sequence[Path]
    setup: Setup
    total: int | None = field(init=False, default=None)
    n_read: int = field(init=False, default=0)
    _source: FileSource = field(init=False)

    def __post_init__(self) -> None:
        self._source = FileSource(
            self.paths,
            self.setup.feed,
            self.setup.schema,
            line_bytes=self.setup.configuration.settings.message_bytes_max,
        )
        self.total = self._source.records_total

    def pieces(self) -> Iterator[Piece]:
        try:
            while (messages := self._source.poll(GRID, 0)) is not None:
                yield Piece(messages)
        finally:
            self._source.close()


@dataclass(slots=True)
class Journal:
    """The records of an output folder, with the lists of their time."""

    root: Path
    key: bytes | None = None
    total: int | None = field(init=False, default=None)
    n_read: int = field(init=False, default=0)
    first_seq: int = field(init=False, default=0)
    newest: Setup = field(init=False)
    _reader: Any = field(init=False)
    _disk: Any = field(init=False)

    def __post_init__(self) -> None:
        disk = RealDisk()
        self._disk = unlocked(disk, self.root, self.key)
        self._reader = read_journal(disk, self.root / JOURNAL, self.key)
        if not self._reader.segments:
            raise StateError(
                "there is no journal in this folder",
                str(self.root),
                why="a backtest runs what arrived again, and only the journal has it",
                fix="run with durability: sync or flush, or give the recording with --input",
            )
        self.first_seq = self._reader.first_seq
        self.total = self._reader.seq_end - self.first_seq
        self.newest = self._setup(self._reader.config)

    def opening_lists(self) -> Mapping[str, ListDefinition]:
        return self._setup(self._reader.segments[0].header.config).pack.lists

    @property
    def head(self) -> str:
        """Hash of the newest frame: what the journal held."""
        return f"{self.first_seq}..{self._reader.seq_end}"

    def pieces(self) -> Iterator[Piece]:
        yield Piece(Messages([], []), lists=self.opening_lists())
        for block in blocks(self._reader.read(self.first_seq), GRID):
            if block.config is None:
                yield Piece(block.messages, block.seq0)
            else:
                told = msgspec.json.decode(block.config, type=ConfigRecord)
                yield Piece(Messages([], []), lists=self._setup(told.config).pack.lists)

    def fired_then(self) -> dict[int, tuple[str, ...]] | None:
        """Seq -> live rules that fired when this was recorded, as decisions say; None without decisions."""
        path = self.root / "decisions.ndjson"
        if self._disk.size(path) < 0:
            return None
        found = {}
        with self._disk.open(path) as file:
            for line in file:
                if b'"fired":[]' not in line:
                    decision = _FIRED(line)
                    found[decision.seq] = tuple(fired.rule for fired in decision.fired)
        return found

    def _setup(self, config: str) -> Setup:
        return config_store.stored(self._disk, self.root, config)


def prepared(setup: Setup, pack: Pack, segment: str = "") -> tuple[Setup, Core]:
    """A core for `pack` in place of the packs of `setup`; models learn only if a rule or feature reads them."""
    if segment:
        pack = _with_segment(setup, pack, segment)
    derived = derived_fields(setup.schema, pack.currency, pack.timezone)
    bare = replace(setup.configuration, models=NoModels(models={}, champion=""))
    alone = replace(setup, configuration=bare, pack=pack, derived=derived)
    core = Core(alone)
    if not core.ruleset.model_columns:
        return alone, core
    known = {*setup.schema.columns, *pack.features}
    models, notes = models_for(setup.configuration.models, known)
    refitted = [f"`{name}`" for name, entry in models.models.items() if entry.refit is not None]
    if refitted:
        told = (
            f"{', '.join(refitted)}: nothing is fitted in a backtest, so rules find no score of it"
        )
        notes = (*notes, told)
    configuration = replace(setup.configuration, models=models)
    whole = replace(setup, configuration=configuration, pack=pack, derived=derived, notes=notes)
    return whole, Core(whole)


def _with_segment(setup: Setup, pack: Pack, segment: str) -> Pack:
    """The pack, with somebody who reads the column `segment`."""
    column = setup.schema.columns.get(segment)
    if column is None and segment in pack.features:
        type_ = pack.features[segment].type
    elif column is not None:
        type_ = column_type(column, pack.currency)
    else:
        near = did_you_mean(segment, [*setup.schema.columns, *pack.features])
        raise InputError(f"there is no field `{segment}`", "--segment", fix=near or "name a field")
    if type_.kind not in (CATEGORY, ID):
        raise InputError(
            f"`{segment}` is a {type_}",
            "--segment",
            why="alerts are split by the values of a category or an id",
            fix="name a field such as type, channel or customer.segment",
        )
    if column is None:
        return pack
    read = Node("column", type_, value=segment)
    feature = Feature(f"~by {segment}", type_, None, read, Place(segment, 1, 1))
    return replace(pack, features={**pack.features, feature.name: feature})


def drive(
    lanes: Sequence[Lane],
    traffic: Traffic,
    book: LabelBook,
    *,
    from_us: int | None = None,
    to_us: int | None = None,
    quiet: bool = False,
) -> None:
    """Take recorded traffic through every lane, in one pass.

    Messages before the first one of the period fill windows only, where no model has to learn from them; messages at
    or after `to_us` are read for their labels alone.
    """
    if not quiet and kernel_cache.is_cold("engine"):
        told = "compiling kernels, once for this version and machine: a minute or two ..."
        print(told, file=sys.stderr)
    for lane in lanes:
        budget.refuse(lane.setup)
        lane.core.warm_up()
    begins = from_us is None
    with Progress(traffic.total, "msg", quiet=quiet) as progress, rare_collection():
        for piece in traffic.pieces():
            if piece.lists is not None:
                for lane in lanes:
                    lane.use_lists(piece.lists)
                continue
            book.take(piece.messages.lines)
            for run in _until(piece, to_us):
                first = 0
                if not begins:
                    assert from_us is not None
                    first = _first_inside(run.messages.lines, from_us)
                    begins = first < len(run.messages)
                for lane in lanes:
                    _apply(lane, _part(run, 0, first), counts=False)
                    _apply(lane, _part(run, first, len(run.messages)), counts=True)
            traffic.n_read += len(piece.messages)
            progress.advance(len(piece.messages))


def _apply(lane: Lane, piece: Piece, *, counts: bool) -> None:
    messages, core = piece.messages, lane.core
    if not len(messages):
        return
    if piece.seq0 >= 0:
        core.seq = piece.seq0
    if not counts and not core.scoring.names:
        core.absorb(messages.lines, messages.positions, messages.arrival_us)
        return
    outcome = core.apply(messages.lines, messages.positions, messages.arrival_us)
    if counts:
        lane.tally(outcome)


def _first_inside(lines: Sequence[bytes], from_us: int) -> int:
    """Place of the first message of the period; how many there are, if none is."""
    for i, line in enumerate(lines):
        time_us = event_time_us(line)
        if time_us is not None and time_us >= from_us:
            return i
    return len(lines)


def _until(piece: Piece, to_us: int | None) -> Iterator[Piece]:
    """The runs of messages before `to_us`; those without a time stay."""
    if to_us is None:
        yield piece
        return
    lines, start = piece.messages.lines, -1
    for i, line in enumerate(lines):
        time_us = event_time_us(line)
        inside = time_us is None or time_us < to_us
        if inside and start < 0:
            start = i
        elif not inside and start >= 0:
            yield _part(piece, start, i)
            start = -1
    if start >= 0:
        yield _part(piece, start, len(lines))


def _part(piece: Piece, first: int, last: int) -> Piece:
    messages = piece.messages
    if first == 0 and last == len(messages):
        return piece
    rows = slice(first, last)
    arrival_us = messages.arrival_us
    return Piece(
        Messages(
            messages.lines[rows],
            messages.positions[rows],
            None if arrival_us is None else arrival_us[rows],
        ),
        piece.seq0 + first if piece.seq0 >= 0 else -1,
    )
