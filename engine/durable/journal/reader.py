"""Read a journal: every frame checked, nothing skipped in silence. Never writes.

While an engine writes, the end of the last segment may hold a part of a frame; it is told as `tail`, not as an error,
and a later `refresh` sees it whole. In a folder where nobody writes, a tail is the trace of a crash that no start has
cleared away yet.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import StateError
from engine.durable.disk import Disk
from engine.durable.encryption import Cipher
from engine.durable.journal.frames import CONFIG, END, Frame, Pieces, Walk
from engine.durable.journal.records import Payload, decode
from engine.durable.journal.segments import Segment, Survey, damage, survey
from engine.durable.journal.tail import Tail, could_be_a_crash
from engine.ports import SALT_BYTES, Messages, Recorded


@dataclass(slots=True)
class _End:
    """How far the last segment has been walked, and what stood there."""

    segment: Segment
    offset: int
    seq: int
    previous: bytes
    is_ended: bool = False
    last: Frame | None = None  # with records
    last_config: Frame | None = None
    frames: list[Frame] = field(default_factory=list)  # all of them, where they are kept


class JournalReader:
    """A journal folder, read only. `key` is needed for what is encrypted, but not to check the chain (`frames`).

    kept_from  : the oldest seq that must be there; None: the journal may begin anywhere
    keeps_last : hold the frames of the last segment, which are read to find the end, for whoever goes over all of them:
                 they are neither read nor hashed again; up to a segment of memory
    """

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        *,
        key: bytes | None = None,
        kept_from: int | None = None,
        keeps_last: bool = False,
    ) -> None:
        self.folder = folder
        self.tail: Tail | None = None
        self._disk = disk
        self._key = key
        self._kept_from = kept_from
        self._keeps_last = keeps_last
        self._ciphers: dict[str, Cipher] = {}
        self._survey = Survey([], None, [])
        self._names: list[str] = []
        self._end: _End | None = None
        self.refresh()

    def refresh(self) -> None:
        """See what has been written since; raises `StateError` for damage in what is new."""
        names = self._disk.names(self.folder)
        if names != self._names or self.remains is not None:
            self._survey = survey(self._disk, self.folder, self._kept_from)
            self._names = names
        if self.segments:
            last = self.segments[-1]
            if self._end is None or self._end.segment.path != last.path:
                self._end = _End(last, last.n_bytes, last.first_seq, last.digest)
            self._walk_on(self._end)
        self._note_remains()

    def _walk_on(self, end: _End) -> None:
        walk = Walk(Pieces(self._disk, end.segment.path, end.offset), end.seq, end.previous)
        for frame in walk:
            end.is_ended = frame.kind == END
            end.last = end.last if end.is_ended else frame
            end.last_config = frame if frame.kind == CONFIG else end.last_config
            if self._keeps_last:
                end.frames.append(frame)
        self.tail = self._judge(end.segment, walk)
        end.offset, end.seq, end.previous = walk.offset, walk.seq, walk.previous

    def _judge(self, segment: Segment, walk: Walk) -> Tail | None:
        """What the flaw at the end of a walk through the last segment is; damage raises."""
        flaw = walk.flaw
        if flaw is None:
            return None
        if not could_be_a_crash(walk.pieces, flaw):
            raise damage(segment.path, flaw.byte, flaw.seq, flaw.what)
        return Tail(segment.path.name, flaw.byte, flaw.seq, walk.pieces.stop - flaw.byte, flaw.what)

    def _note_remains(self) -> None:
        path = self.remains
        if path is not None and self.tail is None:
            n_bytes = self._disk.size(path)
            self.tail = Tail(path.name, 0, self.seq_end, n_bytes, "a segment was being begun")

    @property
    def segments(self) -> list[Segment]:
        return self._survey.segments

    @property
    def strangers(self) -> list[str]:
        """Names in the folder that are no segments."""
        return self._survey.strangers

    @property
    def remains(self) -> Path | None:
        """The file that a crash left while a segment was being begun."""
        return self._survey.remains

    def allow_from(self, seq: int) -> None:
        """From now on segments before `seq` may be missing: they were retired."""
        self._kept_from = max(self._kept_from or 0, seq)

    @property
    def first_seq(self) -> int:
        return self.segments[0].first_seq if self.segments else 0

    @property
    def seq_end(self) -> int:
        """One past the last whole record seen by the last `refresh`."""
        return self._end.seq if self._end else 0

    @property
    def source_position(self) -> str:
        """Where the source stands after the last record. Needs the key."""
        if self._end is None:
            return ""
        if self._end.last is None:
            return self._end.segment.header.position
        return self.decode(self._end.segment, self._end.last)[0].source_position

    @property
    def config(self) -> str:
        """The configuration that is active after the last record; "" for an empty journal. Needs the key."""
        if self._end is None:
            return ""
        if self._end.last_config is None:
            return self._end.segment.header.config
        return config_of(self.decode(self._end.segment, self._end.last_config)[0].lines[0])

    @property
    def end(self) -> tuple[Path, int, bytes, bool]:
        """Where a writer goes on: file, byte, digest of the last frame, whether that is an end."""
        assert self._end is not None, "an empty journal has no end"
        return self._end.segment.path, self._end.offset, self._end.previous, self._end.is_ended

    def frames(self, seq0: int, seq_end: int = -1) -> Iterator[tuple[Segment, Frame]]:
        """The frames that hold `seq0` .. `seq_end - 1`, ends among them, checked but not decoded.

        Everything from the beginning of the segment that holds `seq0` is checked. Raises `StateError` for damage, and
        when a record that was asked for is not there.
        """
        stop = self.seq_end if seq_end < 0 else seq_end
        self._check_range(seq0, stop)
        start = max(0, bisect_right([s.first_seq for s in self.segments], seq0) - 1)
        for number in range(start, len(self.segments)):
            segment = self.segments[number]
            if segment.first_seq >= stop > seq0:
                return
            for frame in self._checked(number, stop):
                if frame.seq0 >= stop and frame.kind != END:
                    return
                if frame.seq_end > seq0 or frame.kind == END:
                    yield segment, frame

    def frames_of(self, segment: Segment) -> Iterator[Frame]:
        """Every frame of one closed segment."""
        return self._checked(self.segments.index(segment), self.seq_end)

    def _checked(self, number: int, stop: int) -> Iterator[Frame]:
        """The frames of a segment, then that it was whole up to `stop` and that the next one follows it."""
        segment = self.segments[number]
        if self._end is not None and self._keeps_last and segment.path == self._end.segment.path:
            yield from self._end.frames
            return
        pieces = Pieces(self._disk, segment.path, segment.n_bytes)
        walk = Walk(pieces, segment.first_seq, segment.digest)
        yield from walk
        self._check_walked(number, walk, stop)

    def _check_range(self, seq0: int, stop: int) -> None:
        if seq0 < self.first_seq or stop > self.seq_end:
            raise StateError(
                f"the journal holds seq {self.first_seq} to {self.seq_end - 1}, "
                f"asked for was {seq0} to {stop - 1}",
                str(self.folder),
                why="older segments were retired, or their records were never written",
                fix="start from a snapshot inside, or restore an older backup",
            )

    def _check_walked(self, number: int, walk: Walk, stop: int) -> None:
        """A segment was walked to its end: it was whole, and the next one follows it."""
        segment = self.segments[number]
        if number + 1 == len(self.segments):
            if walk.flaw is not None and walk.seq < stop:
                raise damage(segment.path, walk.flaw.byte, walk.flaw.seq, walk.flaw.what)
            self._judge(segment, walk)
            return
        if walk.flaw is not None:
            raise damage(segment.path, walk.flaw.byte, walk.flaw.seq, walk.flaw.what)
        after = self.segments[number + 1]
        if walk.seq != after.first_seq or walk.previous != after.header.previous:
            what = f"{after.path.name} does not follow it"
            raise damage(segment.path, walk.offset, walk.seq, what)

    def read(self, seq0: int, seq_end: int = -1) -> Iterator[Recorded]:
        """The records `seq0` .. `seq_end - 1` (-1: to the last one seen), in runs as they were appended."""
        stop = self.seq_end if seq_end < 0 else seq_end
        if seq0 >= stop:
            return
        for segment, frame in self.frames(seq0, stop):
            if frame.kind != END:
                payload, about = self.decode(segment, frame)
                whole = recorded(frame, payload, about)
                yield part(whole, max(seq0, frame.seq0), min(stop, frame.seq_end))

    def decode(self, segment: Segment, frame: Frame) -> tuple[Payload, bytes]:
        """The records of a frame and their `about`. Needs the key."""
        try:
            data = self._plain(segment, frame)
            return decode(data, frame.kind, frame.seq0, frame.n)
        except ValueError as error:
            if isinstance(error, StateError):
                raise
            raise damage(segment.path, frame.offset, frame.seq0, str(error)) from None

    def _plain(self, segment: Segment, frame: Frame) -> bytes:
        """The payload as it was before encryption."""
        if not segment.header.salt:
            return frame.payload
        return self.cipher(segment).decrypt(frame.payload, frame.bound())

    def cipher(self, segment: Segment) -> Cipher:
        """The cipher of an encrypted segment; `StateError` without the key."""
        name = segment.path.name
        if name not in self._ciphers:
            if self._key is None:
                raise StateError(
                    "the journal is encrypted and no key is given",
                    str(segment.path),
                    why="its records can only be read with the key that it was written with",
                    fix="name the key under `encryption:` in weir.yaml",
                )
            header = segment.header
            self._ciphers[name] = Cipher.reading(
                self._key, header.salt, header.check, str(segment.path)
            )
        return self._ciphers[name]


def recorded(frame: Frame, payload: Payload, about: bytes) -> Recorded:
    """A frame with its payload, as others see it."""
    messages = Messages(payload.lines, payload.positions, payload.arrival_us)
    config = None
    if frame.kind == CONFIG:
        config, messages = payload.lines[0], Messages([], [])
    return Recorded(
        frame.seq0,
        messages,
        payload.source_position,
        config,
        payload.salts,
        payload.erased,
        about,
        frame.digest,
    )


def part(whole: Recorded, seq0: int, seq_end: int) -> Recorded:
    """The records `seq0` .. `seq_end - 1` of a run; they keep the run's `source_position`."""
    a, b = seq0 - whole.seq0, seq_end - whole.seq0
    if a == 0 and b == len(whole):
        return whole
    given = whole.messages
    arrival_us = None if given.arrival_us is None else given.arrival_us[a:b]
    erased = {row - a: leaf for row, leaf in whole.erased.items() if a <= row < b}
    return Recorded(
        seq0,
        Messages(given.lines[a:b], given.positions[a:b], arrival_us),
        whole.source_position,
        salts=whole.salts[SALT_BYTES * a : SALT_BYTES * b],
        erased=erased,
    )


def config_of(record: bytes) -> str:
    """The configuration that a configuration record makes active; `ValueError` if it names none."""
    try:
        return str(json.loads(record)["config"])
    except (KeyError, TypeError):
        raise ValueError("a configuration record names no `config`") from None
