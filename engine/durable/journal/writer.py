"""Write a journal: append frames, make them durable, begin new segments, retire old ones.

One writer. Everything that can fail leaves the folder so that opening it again works; after a failure nothing more is
written by the same object, since what the file holds is then unknown.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

from config.errors import StateError
from engine import versions
from engine.clock import random_bytes
from engine.durable import leaves
from engine.durable.aside import Aside
from engine.durable.disk import Disk, DiskFile
from engine.durable.encryption import SALT_BYTES as CIPHER_SALT_BYTES
from engine.durable.encryption import Cipher, many_random_bytes
from engine.durable.journal.erasing import ErasedFrame, rewrite
from engine.durable.journal.frames import (
    BOUND,
    CONFIG,
    END,
    MESSAGES,
    NOTHING,
    SegmentHeader,
    encode_frame,
)
from engine.durable.journal.reader import JournalReader, config_of
from engine.durable.journal.records import Payload, encode, new_compressor
from engine.durable.journal.segments import NAME, NEW, damage, first_seqs, name_of, retirable
from engine.durable.journal.tail import Tail
from engine.joined import Joined, join
from engine.ports import SALT_BYTES, Link, Messages, Recorded

SEGMENT_BYTES = 64 << 20
FRAME_BYTES = 16 << 20  # of lines; a batch of huge lines becomes several frames
DURABILITIES = ("sync", "flush")


class SegmentedJournal:
    """A `Journal` in a folder. Made by `open_journal`."""

    def __init__(
        self,
        disk: Disk,
        reader: JournalReader,
        *,
        config: str,
        durability: str,
        key: bytes | None,
        threaded: bool,
        segment_bytes: int,
        first_seq: int,
        opening_position: str,
        chance: Callable[[int], bytes],
    ) -> None:
        self.dropped: Tail | None = None  # what a crash had left, and opening cleared away
        self._disk = disk
        self._reader = reader
        self._folder = reader.folder
        self._is_synced = durability == "sync"
        self._key = key
        self._segment_bytes = segment_bytes
        self._chance = chance
        self._compressor = new_compressor()
        self._syncing = Aside("journal-sync", threaded=threaded and self._is_synced)
        self._broken: StateError | None = None
        self._is_abandoned = False
        self._file: DiskFile | None = None
        self._path = Path()
        self._cipher: Cipher | None = None
        self._durable_bytes = 0
        self._syncing_bytes = -1  # length that `begin_sync` covers; -1: none is under way
        self._is_ended = False
        self._previous = NOTHING
        self._first_seq = self._seq_end = (
            first_seq  # of the segment that is being written, and its end
        )
        self._source_position = opening_position
        self._config = config

    def go_on(self) -> None:
        """Open the last segment at its end, or begin the first one."""
        leaves.load()
        reader = self._reader
        if not reader.segments:
            self._begin_segment()
            self._refresh()
            return
        segment = reader.segments[-1]
        if segment.header.salt:
            self._cipher = reader.cipher(segment)
        self._path, _, self._previous, self._is_ended = reader.end
        self._first_seq = segment.first_seq
        self._seq_end = reader.seq_end
        self._source_position = reader.source_position
        self._config = reader.config
        self._file = self._disk.append(self._path)
        if self._is_synced:  # a killed process may have left it in memory only
            self._attempt(self._file.sync)
            self._attempt(lambda: self._disk.sync_folder(self._folder))
        self._durable_bytes = self._file.tell()
        if self._key is not None and self._cipher is None:
            if self._seq_end > segment.first_seq:
                self._rotate()
            else:  # it holds nothing: begin it anew
                self._attempt(self._file.close)
                self._previous = segment.header.previous
                self._begin_segment()

    @property
    def first_seq(self) -> int:
        return next(iter(first_seqs(self._disk, self._folder)), 0)

    @property
    def seq_end(self) -> int:
        return self._seq_end

    @property
    def source_position(self) -> str:
        return self._source_position

    @property
    def config(self) -> str:
        return self._config

    @property
    def segment(self) -> str:
        """Name of the file that is being written."""
        return self._path.name

    def append(self, seq0: int, messages: Messages, source_position: str) -> Link:
        self._begin_write(seq0)
        assert len(messages), "an empty batch has no frame"
        is_of_source = source_position == messages.positions[-1]
        links = []
        whole = messages.joined or join(messages.lines)
        for a, b in _cuts(whole):
            arrival_us = None if messages.arrival_us is None else messages.arrival_us[a:b]
            lines, positions = messages.lines[a:b], messages.positions[a:b]
            if b == len(messages):
                self._source_position = source_position
            elif is_of_source:
                self._source_position = positions[-1]
            given = Payload(lines, positions, arrival_us, self._source_position, b"", {})
            joined = whole if len(lines) == len(messages) else join(lines)
            links.append(self._append(MESSAGES, given, joined))
        return links[0] if len(links) == 1 else _together(links)

    def append_config(self, seq: int, record: bytes) -> Link:
        self._begin_write(seq)
        config = config_of(record)
        given = Payload([record], [""], None, self._source_position, b"", {})
        link = self._append(CONFIG, given, join([record]))
        self._config = config
        return link

    def _begin_write(self, seq0: int) -> None:
        self.wait()
        assert seq0 == self._seq_end, f"seq {seq0} does not follow {self._seq_end - 1}"
        if self._length() >= self._segment_bytes and self._seq_end > self._first_seq:
            self._rotate()

    def _append(self, kind: int, given: Payload, joined: Joined) -> Link:
        n, seq0 = len(given.lines), self._seq_end
        salts = many_random_bytes(SALT_BYTES * n, self._chance)
        payload = Payload(
            given.lines, given.positions, given.arrival_us, given.source_position, salts, {}
        )
        body, about = encode(payload, kind, seq0, self._compressor, joined)
        if self._cipher is not None:
            body = self._cipher.encrypt(body, BOUND.pack(kind, 0, n, seq0), self._chance)
        self._write(encode_frame(kind, 0, n, seq0, self._durable_bytes, self._previous, body))
        self._seq_end += n
        self._is_ended = False
        found = leaves.leaves_of_batch(salts, given.lines, joined=joined)
        return Link(seq0, n, found, about, self._previous)

    def _write(self, frame: bytes) -> None:
        """Append a frame whole, or cut the file back to where it was and refuse everything from now on."""
        assert self._file is not None
        length = self._file.tell()
        try:
            self._file.write(frame)
        except OSError as error:
            self._broken = self._unwritable(error, length)
            self._give_up(length)
            raise self._broken from error
        self._previous = sha256(frame).digest()

    def _give_up(self, length: int) -> None:
        """Leave the file without the torn frame if that can be done; whoever opens it next does it otherwise."""
        assert self._file is not None
        for attempt in (self._file.close, lambda: self._disk.truncate(self._path, length)):
            with suppress(OSError):
                attempt()
        self._file = None

    def _unwritable(self, error: OSError, byte: int) -> StateError:
        return StateError(
            f"the journal cannot be written: {error.strerror or error}",
            f"{self._path}@{byte}, seq {self._seq_end}",
            why="no outcome leaves before its input is durable",
            fix="make room on that disk, or repair it, and start again: the run goes on where it stopped",
        )

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something with the disk; if it fails, nothing more is written."""
        try:
            action()
        except OSError as error:
            self._broken = self._unwritable(error, self._length())
            raise self._broken from error

    def _length(self) -> int:
        """Bytes of the segment, written or not."""
        self._check()
        assert self._file is not None
        return self._file.tell()

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken
        assert self._file is not None, "the journal is closed"

    def begin_sync(self) -> None:
        self.wait()
        self._check()
        assert self._file is not None
        self._syncing_bytes = self._file.tell()
        self._attempt(self._file.flush)
        if self._is_synced:
            self._syncing.begin(self._file.sync)

    def is_durable(self, within_us: int = 0) -> bool:
        self._check()
        return self._syncing.is_done(within_us)

    def wait(self) -> None:
        self._check()
        if self._syncing_bytes < 0:
            return
        self._attempt(self._syncing.wait)
        self._durable_bytes, self._syncing_bytes = self._syncing_bytes, -1

    def sync(self) -> None:
        self.begin_sync()
        self.wait()

    def _end_segment(self) -> None:
        """Close what is written with an end, unless it has one; durable when it returns."""
        self.sync()
        if not self._is_ended:
            self._write(
                encode_frame(END, 0, 0, self._seq_end, self._durable_bytes, self._previous, b"")
            )
            self._is_ended = True
            self.sync()

    def _rotate(self) -> None:
        self._end_segment()
        assert self._file is not None
        self._attempt(self._file.close)
        self._begin_segment()

    def _begin_segment(self) -> None:
        """A new file; its header is durable before any frame is written, so that a torn one holds nothing."""
        self._path = self._folder / name_of(self._seq_end)
        self._first_seq = self._seq_end
        self._cipher = None
        if self._key is not None:
            self._cipher = Cipher(self._key, self._chance(CIPHER_SALT_BYTES))
        header = SegmentHeader(
            self._seq_end,
            self._config,
            self._source_position,
            self._previous,
            versions.as_text(),
            self._cipher.salt if self._cipher else b"",
            self._cipher.check if self._cipher else b"",
        ).encode()
        try:
            self._file = self._disk.create(self._path)
        except OSError as error:
            self._broken = self._unwritable(error, 0)
            raise self._broken from error
        self._write(header)
        self.sync()
        if self._is_synced:
            self._attempt(lambda: self._disk.sync_folder(self._folder))
        self._is_ended = False

    def read(self, seq0: int, seq_end: int = -1) -> Iterator[Recorded]:
        self._refresh()
        return self._reader.read(seq0, self._seq_end if seq_end < 0 else seq_end)

    def _refresh(self) -> None:
        if self._file is not None:
            self._attempt(self._file.flush)
        self._reader.refresh()

    def retirable(self, before_seq: int) -> list[str]:
        """Names of the oldest segments that hold nothing from `before_seq` on; never the one being written.

        Let the seals say that they go (`Sealer.note`) before `retire` removes them. Both look at names alone, for they
        are called between two decisions: going over what was written since the last look took 200 ms.
        """
        return retirable(self._disk, self._folder, before_seq)

    def retire(self, before_seq: int) -> int:
        """Remove what `retirable` names, oldest first; the oldest seq that is left."""
        names = self.retirable(before_seq)
        for name in names:
            self._attempt(partial(self._disk.remove, self._folder / name))
        if names:
            self._attempt(lambda: self._disk.sync_folder(self._folder))
        self.allow_from(before_seq)
        return self.first_seq

    def allow_from(self, seq: int) -> None:
        """From now on segments before `seq` may be missing: somebody else removes them."""
        self._reader.allow_from(seq)

    def erase(
        self, seqs: Iterable[int], note: Callable[[list[ErasedFrame]], None]
    ) -> list[ErasedFrame]:
        """Take payload and salt of records out of the journal for good; leaf, position and arrival time stay.

        note : is told what will be replaced, before it is, and makes that durable (`Sealer.note`), so that a frame
               that changed is known to have been erased and by whom
        Replay and explanations that pass over an erased record cannot be exact any more: start from a snapshot after
        it. Copies in backups, recordings, dead letters and on worn sectors are not reached. Raises `StateError` for
        records that are not there or are configuration records; then nothing was changed.
        """
        self.wait()
        wanted = list(seqs)
        self._refresh()
        if wanted and self._seq_end > max(wanted) >= self._reader.segments[-1].first_seq:
            self._rotate()
            self._refresh()
        return rewrite(self._disk, self._reader, wanted, note, self._chance)

    def abandon(self) -> None:
        """Leave no end that an orderly stop leaves: `close` lets go of it as a kill would."""
        self.wait()
        self._is_abandoned = True

    def close(self) -> None:
        """Sync, write the end that an orderly stop leaves, and let go of files. Harmless when called twice."""
        if self._file is None:
            return
        try:
            if self._broken is None and not self._is_abandoned:
                self._end_segment()
        finally:
            self._syncing.stop()
            file, self._file = self._file, None
            if file is not None:
                file.close()


def _cuts(lines: Joined) -> list[tuple[int, int]]:
    """Where to cut a batch so that no frame holds more than `FRAME_BYTES` of lines, or one line."""
    n = len(lines.length)
    if lines.n_bytes <= FRAME_BYTES:
        return [(0, n)]
    cuts, start, held = [], 0, 0
    for row, length in enumerate(lines.length.tolist()):
        if row > start and held + length > FRAME_BYTES:
            cuts.append((start, row))
            start, held = row, 0
        held += length
    return [*cuts, (start, n)]


def _together(links: list[Link]) -> Link:
    """One link of a batch that needed several frames."""
    return Link(
        links[0].seq0,
        sum(link.n for link in links),
        b"".join(link.leaves for link in links),
        b"".join(link.about for link in links),
        links[-1].digest,
    )


def open_journal(
    disk: Disk,
    folder: Path,
    *,
    opening_config: str,
    durability: str,
    key: bytes | None = None,
    threaded: bool = True,
    segment_bytes: int = SEGMENT_BYTES,
    must_reach_seq: int = 0,
    kept_from: int = 0,
    opening_position: str = "",
    chance: Callable[[int], bytes] = random_bytes,
) -> SegmentedJournal:
    """Open a journal for writing, clearing away what a crash left behind (told as `dropped`); begin one if empty.

    opening_config : the configuration of its first record, for a journal that is begun
    durability     : "sync", or "flush": durable means handed to the operating system
    key            : 32 bytes encrypt; a journal that was in the clear goes on encrypted in a new segment
    threaded       : sync in a thread between `begin_sync` and `wait`
    must_reach_seq : one past the highest seq that streams, delivery log, seals and snapshots speak of; a journal
                     that ends before it is not opened (engine/durable/journal/tail.py says why)
    kept_from      : the oldest seq that must be there; 0 unless the seals say that segments were retired, or that the
                     folder goes on from another; a journal that is begun begins with it
    opening_position : where the source stands before a journal that is begun
    chance         : gives n random bytes, for salts and nonces

    Every closed segment is checked at both ends, the last one as a whole; what stands between is checked when it is
    read. Raises `StateError` naming segment, byte and seq for damage, for a gap, for a missing or wrong key.
    """
    assert durability in DURABILITIES, durability
    disk.make_folder(folder)
    if durability == "sync":
        disk.sync_folder(folder.parent)
    for name in disk.names(folder):
        if name.endswith(NEW) and NAME.fullmatch(name.removesuffix(NEW)):
            # a rewrite that was not finished; the segment itself is as it was
            disk.remove(folder / name)
    reader = JournalReader(disk, folder, key=key, kept_from=kept_from)
    _check_reach(reader, must_reach_seq, 0 if reader.segments else kept_from)
    journal = SegmentedJournal(
        disk,
        reader,
        config=opening_config,
        durability=durability,
        key=key,
        threaded=threaded,
        segment_bytes=segment_bytes,
        first_seq=kept_from,
        opening_position=opening_position,
        chance=chance,
    )
    journal.dropped = reader.tail
    _clear_away(disk, reader)
    journal.go_on()
    return journal


def _check_reach(reader: JournalReader, must_reach_seq: int, begins: int) -> None:
    if max(reader.seq_end, begins) >= must_reach_seq:
        return
    tail = reader.tail
    path, byte = (reader.end[0], reader.end[1]) if reader.segments else (reader.folder, 0)
    ends = f"it ends with seq {reader.seq_end - 1}" if reader.seq_end else "it holds no record"
    what = f"{ends}, but outcomes and seals reach seq {must_reach_seq - 1}"
    if tail is not None:
        what += f" ({tail.what})"
    raise damage(path, byte, reader.seq_end, what)


def _clear_away(disk: Disk, reader: JournalReader) -> None:
    """Cut off what a crash left, durably: the tail of a frame, or a segment that was barely begun."""
    remains = reader.remains
    if remains is not None:
        disk.remove(remains)
        disk.sync_folder(reader.folder)
    if reader.segments:
        path, length, _, _ = reader.end
        if disk.size(path) > length:
            disk.truncate(path, length)
    reader.refresh()
