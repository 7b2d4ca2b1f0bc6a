"""Journals for tests: a disk in memory that forgets what was not synced, messages, and seals around them."""

import io
import random
from pathlib import Path

import numpy as np

from engine.durable.journal import SegmentedJournal, open_journal
from engine.durable.seals import Sealer
from engine.ports import Messages

FOLDER = Path("out/journal")
DECISIONS = FOLDER.parent / "decisions.ndjson"
SEALS = FOLDER.parent / "seals.ndjson"
CONFIG = "sha256:" + "a" * 64


class Killed(BaseException):
    """The process is gone in the middle of what it did."""


class MemoryFile:
    """Bytes in memory; remembers what was synced."""

    def __init__(self, disk, path):
        self.disk, self.path = disk, path

    def write(self, data):
        if self.disk.burns():
            self.disk.now[self.path] += data[: len(data) // 2]
            raise Killed
        room = self.disk.room
        if room is not None and len(data) > room:
            self.disk.now[self.path] += data[:room]
            self.disk.room = 0
            raise OSError(28, "No space left on device")
        if room is not None:
            self.disk.room -= len(data)
        self.disk.now[self.path] += data

    def tell(self):
        return len(self.disk.now[self.path])

    def flush(self):
        pass

    def sync(self):
        self.disk.burn()
        if self.disk.fails_to_sync:
            raise OSError(5, "Input/output error")
        self.disk.durable[self.path] = bytes(self.disk.now[self.path])

    def close(self):
        pass


class MemoryDisk:
    """Files in memory, names durable at once; `crash` brings back what a power failure would leave."""

    def __init__(self):
        self.now = {}
        self.durable = {}
        self.room = None  # bytes until the disk is full
        self.fails_to_sync = False
        self.fails_to_cut = False
        self.fuse = None  # steps until the process is killed

    def burns(self):
        if self.fuse is not None:
            self.fuse -= 1
        return self.fuse is not None and self.fuse < 0

    def burn(self):
        if self.burns():
            raise Killed

    def copy(self):
        """The same files once more, all of them durable."""
        other = MemoryDisk()
        other.now = {path: bytearray(data) for path, data in self.now.items()}
        other.durable = {path: bytes(data) for path, data in self.now.items()}
        return other

    def expect(self, path):
        if path not in self.now:
            raise FileNotFoundError(2, "No such file or directory", str(path))

    def create(self, path):
        self.burn()
        self.now[path] = bytearray()
        self.durable[path] = b""
        return MemoryFile(self, path)

    def append(self, path):
        if path not in self.now:
            return self.create(path)
        return MemoryFile(self, path)

    def open(self, path):
        return io.BytesIO(self.read(path))

    def read(self, path, start=0, length=-1):
        self.expect(path)
        return bytes(
            self.now[path][start:] if length < 0 else self.now[path][start : start + length]
        )

    def size(self, path):
        return len(self.now[path]) if path in self.now else -1

    def truncate(self, path, length):
        self.burn()
        self.expect(path)
        if self.fails_to_cut:
            raise OSError(5, "Input/output error")
        del self.now[path][length:]
        self.durable[path] = bytes(self.now[path])

    def rename(self, old, new):
        self.burn()
        for path in [p for p in self.now if p == old or old in p.parents]:
            to = new / path.relative_to(old)
            self.now[to], self.durable[to] = self.now.pop(path), self.durable.pop(path)

    def remove(self, path):
        self.burn()
        for known in [p for p in self.now if p == path or path in p.parents]:
            del self.now[known], self.durable[known]

    def names(self, folder):
        return sorted({p.relative_to(folder).parts[0] for p in self.now if folder in p.parents})

    def make_folder(self, path):
        pass

    def sync_folder(self, path):
        pass

    def crash(self, chance):
        """Lose or tear what was not synced: each file keeps a prefix, perhaps with a hole of zeros in it."""
        for path, old in self.durable.items():
            new = bytes(self.now[path])
            if new == old:
                continue
            kept = chance.randint(len(old), len(new))
            data = bytearray(new[:kept])
            if kept > len(old) and chance.random() < 0.5:
                a = chance.randint(len(old), kept)
                b = chance.randint(a, kept)
                data[a:b] = bytes(b - a)
            self.now[path] = data
            self.durable[path] = bytes(data)


def seeded(seed=0):
    """A source of chance that gives the same bytes each time."""
    return random.Random(seed).randbytes


def messages(lines, first=1, *, live=False):
    """Messages of one file, `lines` from line number `first` on."""
    positions = [f"day.ndjson:{first + k}" for k in range(len(lines))]
    arrival_us = np.arange(len(lines), dtype=np.int64) + 10**15 + first if live else None
    return Messages(lines, positions, arrival_us)


def opened(disk, folder=FOLDER, **options) -> SegmentedJournal:
    """A journal for writing, without threads and with chance that repeats."""
    given = {"opening_config": CONFIG, "durability": "sync", "threaded": False}
    return open_journal(disk, folder, **(given | {"chance": seeded(1)} | options))


def fill(journal, n_batches, n=3, *, seed=0):
    """Append batches of `n` lines; gives all lines."""
    chance, told = random.Random(seed), []
    for _ in range(n_batches):
        seq = journal.seq_end
        lines = [
            b'{"seq":%d,"x":"%s"}' % (seq + k, chance.randbytes(6).hex().encode()) for k in range(n)
        ]
        given = messages(lines, seq + 1)
        journal.append(seq, given, given.positions[-1])
        told += lines
    return told


def sealed(disk, n_seals=3, *, n=3, copy=None, key=None, seed=0, close=True):
    """A folder with a journal, a stream and a chain: a seal every two batches of `n`; gives all lines."""
    journal = opened(disk, segment_bytes=600, key=key)
    sealer = Sealer(disk, FOLDER.parent, root_copy=copy)
    stream = disk.append(DECISIONS)
    told = []
    for number in range(2 * n_seals):
        seq = journal.seq_end
        lines = [b'{"id":%d,"x":%d}' % (seq + k, seed) for k in range(n)]
        given = messages(lines, seq + 1)
        link = journal.append(seq, given, given.positions[-1])
        journal.sync()
        outcome = b'{"seq":%d}\n' % seq
        stream.write(outcome)
        sealer.add(link, {"decisions": outcome})
        if number % 2:
            sealer.draw(config=CONFIG, core_time=f"2026-03-01T00:0{number}:00Z")()
        told += lines
    if close:
        journal.close()
        sealer.close()
    return told


def lines_of(reader, seq0=0, seq_end=-1):
    """Every line that a journal gives."""
    return [line for run in reader.read(seq0, seq_end) for line in run.lines]
