"""The chain over everything durable: one line a seal in seals.ndjson, each naming the one before it.

A seal covers a run of input records and every byte that was written to the streams while they were decided:

    {"seal": 17, "seq0": first seq, "n": records, "leaves": sha256 over their leaves, "about": sha256 over what the
     journal keeps beside the payloads, "journal": digest of the last frame (engine/durable/journal/frames.py),
     "streams": {"decisions": [from, to, sha256 of these bytes as they stand on the disk], "alerts": [to, to, ""], ...},
     "config": active at its end, "core_time": at its end, "closes_day": a UTC day or null,
     "kept_from": oldest seq that the journal keeps, "previous": hash of the line before, "hash": of this line}

Between the seals stand notes, with `previous` and `hash` likewise: {"snapshot": seq, "sha256": {file: ..}},
{"file": name, "sha256": ..}, {"retired": [first, last segment], "kept_from": seq}, {"erased": [seqs], "frames":
[[seq0, n, sha256 of the frame as it stands]]}, {"recovered": what a start after a crash did}, and as the first line of
a folder that goes on where another one stood (engine/durable/beginning.py) {"begun": first seq, "after": root of the
other, "config": active there, "position": of the source there}.

A line is canonical JSON: keys sorted, no spaces. Its hash is sha256 of the line without `hash`; "previous" of the first
line is 64 zeros. The root is the hash of the last line: whoever keeps it elsewhere (`root_copy`) can tell a folder
whose chain was written anew. Without a root from outside the chain says "consistent with itself" and no more.

Each line is durable before the next is written. What a crash leaves of the last line is cut off when the chain is gone
on with (`Sealer.dropped` tells it): a seal is derived again from journal and streams, bit for bit, and a note whose
effect is on disk without it is found by `weir audit verify`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import orjson

from config.errors import StateError
from engine.durable import epochs
from engine.durable.disk import Disk, DiskFile
from engine.durable.encrypted_disk import as_stored, beneath, keys_length
from engine.durable.journal import ErasedFrame, Frame, JournalReader
from engine.durable.journal.frames import END
from engine.durable.journal.segments import place_of
from engine.durable.leaves import leaves_of_batch
from engine.outcomes import canonical
from engine.ports import Link

NAME: Final = "seals.ndjson"
NO_ROOT: Final = "0" * 64
NOTES: Final = ("begun", "snapshot", "file", "retired", "erased", "recovered")
TAIL_BYTES: Final = 1 << 18
FIX: Final = (
    "restore the folder from a backup; `weir audit verify` lists everything that is damaged"
)


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal as it stands in the file; fields as in the module docstring. `line` counts from 1, `byte` from 0."""

    number: int
    seq0: int
    n: int
    leaves: str
    about: str
    journal: str
    streams: Mapping[str, tuple[int, int, str]]
    config: str
    core_time: str
    closes_day: str | None
    kept_from: int
    previous: str
    hash: str
    line: int
    byte: int

    @property
    def seq_end(self) -> int:
        return self.seq0 + self.n


@dataclass(frozen=True, slots=True)
class Note:
    """A line that is no seal: `kind` is its telling key, `fields` all keys but `previous` and `hash`."""

    kind: str
    fields: Mapping[str, Any]
    previous: str
    hash: str
    line: int
    byte: int


Line: TypeAlias = Seal | Note


@dataclass(frozen=True, slots=True)
class Chain:
    """The lines of seals.ndjson, in order and unbroken.

    torn_byte : where an unfinished line begins at the end of the file, -1 without one. While an engine writes that
                is a line being written; in a folder where nobody writes it is the trace of a crash, or a cut
    """

    lines: Sequence[Line]
    torn_byte: int = -1

    @property
    def seals(self) -> list[Seal]:
        return [line for line in self.lines if isinstance(line, Seal)]

    def notes(self, kind: str) -> list[Note]:
        return [line for line in self.lines if isinstance(line, Note) and line.kind == kind]

    @property
    def root(self) -> str:
        """The hash of the last line; 64 zeros for an empty chain."""
        return self.lines[-1].hash if self.lines else NO_ROOT

    @property
    def roots(self) -> list[str]:
        """Every root that this chain has had, oldest first."""
        return [line.hash for line in self.lines]

    @property
    def seq_end(self) -> int:
        """One past the last record that is sealed."""
        seals = self.seals
        return seals[-1].seq_end if seals else self.begun

    @property
    def begun(self) -> int:
        """The first seq of the folder, where the chain is read from its beginning: 0 unless it goes on from another."""
        return 0 if self.beginning is None else _begun(self.beginning)

    @property
    def beginning(self) -> Note | None:
        """What its first line says of the folder that it goes on from, where the chain is read from its beginning."""
        first = self.lines[0] if self.lines else None
        return first if isinstance(first, Note) and first.kind == "begun" else None

    @property
    def kept_from(self) -> int:
        """The oldest seq that the journal must hold."""
        return max((_kept_from(line) for line in self.lines), default=0)


def _begun(line: Line) -> int:
    return int(line.fields["begun"]) if isinstance(line, Note) and line.kind == "begun" else 0


def _kept_from(line: Line) -> int:
    if isinstance(line, Seal):
        return line.kept_from
    if line.kind == "begun":
        return _begun(line)
    return int(line.fields.get("kept_from", 0)) if line.kind == "retired" else 0


def encode_line(fields: Mapping[str, Any], previous: str) -> tuple[bytes, str]:
    """A line with its line end, and its hash."""
    linked = {**fields, "previous": previous}
    found = sha256(canonical(linked)).hexdigest()
    return canonical({**linked, "hash": found}) + b"\n", found


def read_seals(disk: Disk, root: Path) -> Chain:
    """The chain of an output folder; empty if it has none. `StateError` names the first line that breaks it."""
    path = root / NAME
    if disk.size(path) < 0:
        return Chain([])
    return parse(disk.read(path), str(path))


def parse(data: bytes, where: str, *, byte: int = 0, line: int = 1, previous: str = "") -> Chain:
    """Read lines that begin at `byte`; `previous` is the hash before them ("": the first one is believed)."""
    lines: list[Line] = []
    last_seal: Seal | None = None
    begun = 0
    previous = previous or (NO_ROOT if byte == 0 else "")
    at = 0
    while (stop := data.find(b"\n", at)) >= 0:
        place = f"{where}:{line} (byte {byte + at})"
        found = _parse_line(data[at:stop], line, byte + at, place)
        if previous and found.previous != previous:
            raise _broken(place, "it does not name the line before it: one was changed or removed")
        if isinstance(found, Seal):
            if last_seal is not None:
                _check_follows(last_seal, found, place)
            elif byte == 0 and (found.number != 0 or found.seq0 != begun):
                raise _broken(place, f"the first seal is number {found.number} of seq {found.seq0}")
            last_seal = found
        elif found.kind == "begun":
            if byte + at:
                raise _broken(place, "a folder begins once, with its first line")
            begun = _begun(found)
        lines.append(found)
        previous = found.hash
        at, line = stop + 1, line + 1
    return Chain(lines, byte + at if at < len(data) else -1)


def _parse_line(text: bytes, line: int, byte: int, place: str) -> Line:
    try:
        fields = orjson.loads(text)
        told = fields.pop("hash")
        if (
            sha256(canonical(fields)).hexdigest() != told
            or canonical({**fields, "hash": told}) != text
        ):
            raise _broken(place, "its hash is not that of what it says")
        previous = fields.pop("previous")
        if "seal" in fields:
            return _seal(fields, previous, told, line, byte)
        kind = next(kind for kind in NOTES if kind in fields)
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration) as error:
        if isinstance(error, StateError):
            raise
        raise _broken(place, "it is no seal and no note") from None
    return Note(kind, fields, previous, told, line, byte)


class _Fields(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Keys of a seal with their types; `msgspec.convert` refuses every other."""

    seal: int
    seq0: int
    n: int
    leaves: str
    about: str
    journal: str
    streams: dict[str, tuple[int, int, str]]
    config: str
    core_time: str
    closes_day: str | None
    kept_from: int


def _seal(fields: Mapping[str, Any], previous: str, told: str, line: int, byte: int) -> Seal:
    g = msgspec.convert(fields, _Fields)
    return Seal(
        g.seal,
        g.seq0,
        g.n,
        g.leaves,
        g.about,
        g.journal,
        g.streams,
        g.config,
        g.core_time,
        g.closes_day,
        g.kept_from,
        previous,
        told,
        line,
        byte,
    )


def _check_follows(before: Seal, after: Seal, place: str) -> None:
    if after.number != before.number + 1 or after.seq0 != before.seq_end:
        raise _broken(
            place, f"seal {after.number} of seq {after.seq0} does not follow the one before"
        )
    for stream, (_, end, _) in before.streams.items():
        if after.streams.get(stream, (-1, -1, ""))[0] != end:
            raise _broken(place, f"it does not begin in {stream} where the seal before it ended")
    for stream in after.streams.keys() - before.streams.keys():
        if after.streams[stream][0] != 0:
            raise _broken(place, f"it does not begin at the start of {stream}, which is new in it")


def _broken(place: str, what: str) -> StateError:
    return StateError(
        f"the chain of seals is broken: {what}",
        place,
        why="from here on nothing proves that outcomes are those that were given out",
        fix=FIX,
    )


class Sealer:
    """Goes on with the chain of an output folder; one writer.

    What is covered is hashed as it is written (`add`, `cover`), so a seal reads nothing back. After a crash the
    caller gives again what the last seal does not cover: records from `seq_end` on, streams from `lengths` on.

    is_synced : every line is on the disk before the next step, else it is handed to the operating system
    root_copy : a file on another disk or host that gets every root; checked when the chain is gone on with
    """

    def __init__(
        self, disk: Disk, root: Path, *, is_synced: bool = True, root_copy: Path | None = None
    ) -> None:
        self._disk = disk
        self._root, self._path = root, root / NAME
        self._is_synced = is_synced
        self._copy_path = root_copy
        chain = self._read_end()
        self.dropped = 0  # bytes of an unfinished or unreadable last line that were cut off
        self._cut(chain)
        self.root = chain.root
        self.last = chain.seals[-1] if chain.seals else None
        self.kept_from = chain.kept_from
        self.beginning = (
            chain.beginning
        )  # of a chain that is read as a whole, as one without seals is
        if root_copy is not None:
            self._check_copy(root_copy, chain)
        self._begin()
        self._cover_keys()
        self._file = self._append(self._path)
        self._copy: DiskFile | None = None
        if root_copy is not None:
            self._copy = self._append(root_copy)
            self._copy_root(self.seq_end)

    def _begin(self) -> None:
        """Nothing is covered yet behind the last seal."""
        last = self.last
        self.seq_end = last.seq_end if last else self.kept_from  # of what is sealed
        self._number = last.number + 1 if last else 0
        self._n = 0
        self._digest = b""
        self._leaves, self._about = sha256(), sha256()
        self._streams: dict[str, _Covered] = {
            name: _Covered(end) for name, (_, end, _) in (last.streams if last else {}).items()
        }

    @property
    def covered_end(self) -> int:
        """One past the last record that the next seal will cover."""
        return self.seq_end + self._n

    @property
    def lengths(self) -> dict[str, int]:
        """How far each stream is covered, bytes."""
        return {name: covered.end for name, covered in self._streams.items()}

    def add(self, link: Link, streams: Mapping[str, bytes]) -> None:
        """Cover the next input records, and the bytes that were appended to each stream for them."""
        assert link.seq0 == self.covered_end, f"seq {link.seq0} follows {self.covered_end - 1}"
        self._n += link.n
        self._leaves.update(link.leaves)
        self._about.update(link.about)
        self._digest = link.digest
        self.cover(streams)

    def cover(self, streams: Mapping[str, bytes]) -> None:
        """Cover bytes that were appended to streams."""
        for name, data in streams.items():
            covered = self._streams.get(name)
            if covered is None:
                covered = self._streams[name] = _Covered(0)
            covered.add(as_stored(self._disk, self._root / f"{name}.ndjson", covered.end, data))

    def _cover_keys(self) -> None:
        """Cover what encryption.ndjson has got since the last seal: it says how streams are encrypted."""
        end = keys_length(self._disk)
        start = self.lengths.get(epochs.STREAM, 0)
        if end < start:
            raise StateError(
                f"`{epochs.FILE}` is shorter than what was sealed of it ({start} bytes), or damaged at its end",
                str(self._root / epochs.FILE),
                why="keys of streams are derived from what that file says",
                fix=epochs.FIX,
            )
        if end > start:
            data = self._disk.read(self._root / epochs.FILE, start, end - start)
            self.cover({epochs.STREAM: data})

    def draw(
        self, *, config: str, core_time: str, closes_day: str | None = None
    ) -> Callable[[], None]:
        """The seal of everything covered since the last one, and what writes it; then it is durable.

        It may be written beside what is covered next, before anything else goes into the chain.
        """
        assert self._n > 0, "a seal of nothing"
        self._cover_keys()
        fields = {
            "seal": self._number,
            "seq0": self.seq_end,
            "n": self._n,
            "leaves": self._leaves.hexdigest(),
            "about": self._about.hexdigest(),
            "journal": self._digest.hex(),
            "streams": {name: covered.told() for name, covered in self._streams.items()},
            "config": config,
            "core_time": core_time,
            "closes_day": closes_day,
            "kept_from": self.kept_from,
        }
        self.seq_end += self._n
        self._number += 1
        self._n = 0
        self._leaves, self._about = sha256(), sha256()
        self._streams = {name: _Covered(covered.end) for name, covered in self._streams.items()}
        return partial(self._write, fields, self.seq_end)

    def note(self, kind: str, value: object, **more: object) -> str:
        """Write a note (`NOTES` says which); durable when it returns. Gives the root."""
        assert kind in NOTES, kind
        self._write({kind: value, **more}, self.seq_end)
        return self.root

    def note_retired(self, segments: Sequence[str], kept_from: int) -> str:
        """Say that `segments` go (`SegmentedJournal.retirable`), and what the oldest seq is then. Before they go."""
        assert segments, "nothing to retire"
        self.kept_from = kept_from
        return self.note("retired", [segments[0], segments[-1]], kept_from=kept_from)

    def note_erased(self, frames: Iterable[ErasedFrame], **more: object) -> str:
        """Say which records are being erased, and the sha256 of each frame afterwards: what `erase` calls."""
        frames = list(frames)
        seqs = [seq for frame in frames for seq in frame.erased]
        told = [[frame.seq0, frame.n, frame.stored.hex()] for frame in frames]
        return self.note("erased", seqs, frames=told, **more)

    def close(self) -> None:
        """Let go of the files; every line is durable already. Harmless when called twice."""
        self._file.close()
        if self._copy is not None:
            self._copy.close()

    def _write(self, fields: Mapping[str, Any], seq_end: int) -> None:
        """Write a line of the chain, which covers what comes before `seq_end`."""
        line, found = encode_line(fields, self.root)
        self._persist(self._file, self._path, line)
        self.root = found
        self._copy_root(seq_end)

    def _copy_root(self, seq_end: int) -> None:
        if self._copy is not None and self._copy_path is not None and self.root != NO_ROOT:
            line = canonical({"root": self.root, "seq_end": seq_end}) + b"\n"
            self._persist(self._copy, self._copy_path, line)

    def _persist(self, file: DiskFile, path: Path, line: bytes) -> None:
        length = file.tell()
        try:
            file.write(line)
            file.flush()
            if self._is_synced:
                file.sync()
        except OSError as error:
            raise StateError(
                f"the chain of seals cannot be written: {error.strerror or error}",
                f"{path}@{length}",
                why="outcomes that nothing seals could be changed unseen",
                fix="make room on that disk, or repair it, and start again",
            ) from error

    def _append(self, path: Path) -> DiskFile:
        """Open a file to go on with; its name is durable."""
        is_new = self._disk.size(path) < 0
        if is_new:
            self._disk.make_folder(path.parent)
        file = self._disk.append(path)
        if is_new and self._is_synced:
            self._disk.sync_folder(path.parent)
        return file

    def _read_end(self) -> Chain:
        """The chain from its last seals on; a whole year of them is not read to go on with it."""
        size = max(0, self._disk.size(self._path))
        length = TAIL_BYTES
        while size:
            start = max(0, size - length)
            data = self._disk.read(self._path, start, size - start)
            skipped = data.find(b"\n") + 1 if start else 0
            chain = _parse_end(data[skipped:], str(self._path), start + skipped)
            if start == 0 or chain.seals:
                return chain
            length *= 4
        return Chain([])

    def _cut(self, chain: Chain) -> None:
        """Take away what a crash left of the last line."""
        if chain.torn_byte >= 0:
            self.dropped = self._disk.size(self._path) - chain.torn_byte
            self._disk.truncate(self._path, chain.torn_byte)

    def _check_copy(self, copy: Path, chain: Chain) -> None:
        """The last root of the copy must be one that this chain has had."""
        size = self._disk.size(copy)
        if size < 0:
            return
        start = max(0, size - TAIL_BYTES)
        whole, newline, torn = self._disk.read(copy, start, size - start).rpartition(b"\n")
        if torn:
            self._disk.truncate(copy, size - len(torn))
        if not newline:
            return
        try:
            root = orjson.loads(whole.rpartition(b"\n")[2])["root"]
        except (ValueError, KeyError, TypeError):
            raise _broken(str(copy), "the last line of the copy of roots does not read") from None
        if root not in chain.roots and root not in read_seals(self._disk, self._path.parent).roots:
            raise StateError(
                f"the copy of roots knows {root[:16]}..., which this chain of seals never had",
                str(copy),
                why="the chain was cut or written anew, or the copy belongs to another folder",
                fix="find out who changed seals.ndjson; to go on without the copy take `root_copy` out of weir.yaml",
            )


@dataclass(slots=True)
class _Covered:
    """Bytes of one stream from the end of the last seal on."""

    start: int
    end: int = -1
    running: Any = field(default_factory=sha256)

    def __post_init__(self) -> None:
        self.end = self.start

    def add(self, data: bytes) -> None:
        self.running.update(data)
        self.end += len(data)

    def told(self) -> list[Any]:
        return [self.start, self.end, self.running.hexdigest() if self.end > self.start else ""]


def _parse_end(data: bytes, where: str, byte: int) -> Chain:
    """Like `parse`, but an end that does not read counts as torn: a power failure leaves zeros and rubbish too.

    With a line behind it that reads it is no end, and `parse` refuses it.
    """
    at = 0
    while (stop := data.find(b"\n", at)) >= 0 and _reads(data[at:stop]):
        at = stop + 1
    if any(_reads(text) for text in data[at:].split(b"\n")):
        return parse(data, where, byte=byte)
    chain = parse(data[:at], where, byte=byte)
    return Chain(chain.lines, byte + at if at < len(data) else -1)


def _reads(text: bytes) -> bool:
    """Whether this is a line with the hash of what it says."""
    try:
        _parse_line(text, 0, 0, "")
    except StateError:
        return False
    return True


# ---------------------------------------------------------------- holding files against the chain


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was sealed: in `file` from `byte` on, within records `seq0` .. `seq_end` - 1."""

    file: str
    byte: int
    seq0: int
    seq_end: int
    what: str


def check_streams(disk: Disk, root: Path, chain: Chain, *, n_threads: int = 2) -> list[Finding]:
    """Hold the bytes of every stream, as they stand on the disk, against the seals. Needs no key.

    Bytes behind the last seal are not looked at.
    """
    disk = beneath(disk)
    work = [
        (seal, stream, a, b, told)
        for seal in chain.seals
        for stream, (a, b, told) in seal.streams.items()
        if b > a
    ]

    def check(item: tuple[Seal, str, int, int, str]) -> Finding | None:
        seal, stream, a, b, told = item
        name = f"{stream}.ndjson"
        data = disk.read(root / name, a, b - a) if disk.size(root / name) >= 0 else b""
        if len(data) < b - a:
            what = f"it ends at byte {a + len(data)}, sealed are {b}"
            return Finding(name, a + len(data), seal.seq0, seal.seq_end, what)
        if sha256(data).hexdigest() != told:
            what = f"bytes {a} to {b - 1} are not those of seal {seal.number}"
            return Finding(name, a, seal.seq0, seal.seq_end, what)
        return None

    with ThreadPoolExecutor(n_threads) as pool:
        return [found for found in pool.map(check, work) if found is not None]


def check_journal(chain: Chain, reader: JournalReader, *, leaves: bool = False) -> list[Finding]:
    """Hold the journal against the seals, by the digests of frames; no key is needed for that.

    leaves : also compute every leaf and `about` (needs the key of an encrypted journal)
    A frame with erased records must be the one that a note names; with `leaves` what is left of it is held against the
    seal as well. Records behind the last seal are only checked for damage.
    """
    found: list[Finding] = []
    if reader.first_seq > chain.kept_from:
        what = f"the journal begins with seq {reader.first_seq}, should with {chain.kept_from}"
        found.append(Finding(reader.folder.name, 0, chain.kept_from, reader.first_seq, what))
    seals = [seal for seal in chain.seals if seal.seq0 >= reader.first_seq]
    if seals and reader.seq_end < seals[-1].seq_end:
        what = f"the journal ends with seq {reader.seq_end - 1}, sealed is {seals[-1].seq_end - 1}"
        found.append(Finding(reader.folder.name, 0, reader.seq_end, seals[-1].seq_end, what))
    try:
        found += _walk(chain, seals, reader, leaves=leaves)
    except StateError as error:
        path, byte, seq = place_of(error)
        name = f"{reader.folder.name}/{path.name}"
        found.append(Finding(name, byte, seq, reader.seq_end, error.what))
    return found


def _walk(
    chain: Chain, seals: Sequence[Seal], reader: JournalReader, *, leaves: bool
) -> Iterator[Finding]:
    erased = {
        (seq0, n): stored
        for note in chain.notes("erased")
        for seq0, n, stored in note.fields["frames"]
    }
    unseen = {key for key in erased if key[0] >= reader.first_seq}
    ahead = iter(seals)
    seal = next(ahead, None)
    about, leaf = sha256(), sha256()
    for segment, frame in reader.frames(reader.first_seq):
        if frame.kind == END or (seal is not None and frame.seq0 < seal.seq0):
            continue
        name = f"{reader.folder.name}/{segment.path.name}"
        if frame.is_erased and erased.get((frame.seq0, frame.n)) != frame.stored.hex():
            yield _finding(name, frame, "records were erased from it and no note says so")
        if frame.is_erased:
            unseen.discard((frame.seq0, frame.n))
        if seal is None:
            continue
        if leaves:
            payload, told = reader.decode(segment, frame)
            about.update(told)
            leaf.update(leaves_of_batch(payload.salts, payload.lines, payload.erased))
        if frame.seq_end < seal.seq_end:
            continue
        if frame.seq_end > seal.seq_end:
            yield _finding(name, frame, f"it goes beyond seal {seal.number}")
        elif frame.digest.hex() != seal.journal:
            yield _finding(name, frame, f"it is not the frame that seal {seal.number} ends with")
        elif leaves and (about.hexdigest() != seal.about or leaf.hexdigest() != seal.leaves):
            yield _finding(name, frame, f"records of seal {seal.number} are not those sealed")
        about, leaf = sha256(), sha256()
        seal = next(ahead, None)
    for seq0, n in sorted(unseen):
        what = "a note says that records were erased, but they are still there: erase them again"
        yield Finding(reader.folder.name, 0, seq0, seq0 + n, what)


def _finding(name: str, frame: Frame, what: str) -> Finding:
    return Finding(name, frame.offset, frame.seq0, frame.seq_end, what)
