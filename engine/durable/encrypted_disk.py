"""A disk that encrypts what stands in an output folder, put around the disk of the machine once, where it is opened.

    streams: NAME.ndjson     AES-256-CTR byte by byte where they stand, keys by epochs (epochs.py): lengths and
                             offsets stay what they are, so seals, snapshots and recovery need not know. Order and
                             integrity come from the seals, whose hashes are over what stands on the disk: the chain is
                             checked without the key, and no hash tells whether a guess of a line is right
    snapshots/, all others   AES-256-GCM in chunks (engine/durable/chunks.py)
    journal/                 passes through: it encrypts itself, frame by frame (engine/durable/journal/)
    in the clear             seals.ndjson (hashes, counts, times), encryption.ndjson (salts), summary.json (counts),
                             backup.json and restore.json (names, hashes), access.ndjson (its arguments are encrypted
                             by replay/audit/access.py), control/ (people and other programs write and read there),
                             config/ (a copy of what stands in the clear where the engine was started from)

Outside of the folder everything passes through. Not here: which key (engine/starting.py).
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from config.errors import StateError
from engine.clock import random_bytes
from engine.durable import epochs
from engine.durable.chunks import Chunked, ChunkFile
from engine.durable.disk import Disk, DiskFile
from engine.durable.epochs import Epochs

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PLAIN: Final = frozenset(
    [
        *("journal", "config", "control", "seals.ndjson", "access.ndjson", epochs.FILE, epochs.NEW),
        *("summary.json", ".summary.json.new", "backup.json", "restore.json"),
    ]
)
SNAPSHOTS: Final = "snapshots"
BLOCK_BYTES: Final = 16  # of AES
READ_BYTES: Final = 1 << 18
BEGINNING: Final = b'{"'  # of every stream
AS_IT_IS, BY_PLACE, IN_CHUNKS = 0, 1, 2


def unlocked(
    disk: Disk,
    root: Path,
    key: bytes | None,
    *,
    begins: bool = False,
    chance: Callable[[int], bytes] = random_bytes,
) -> Disk:
    """The disk through which the output folder `root` is read and written; `disk` itself if nothing is encrypted.

    begins : with a key, a folder that is in the clear is encrypted from here on; what stands in it stays as it is

    Raises `StateError` if the folder is encrypted and there is no key, `WrongKeyError` if it is another one; nothing
    was written then.
    """
    if isinstance(disk, EncryptedDisk):
        return disk
    if disk.size(root / epochs.FILE) < 0:
        if key is None or not begins:
            return disk
        _check_is_plain(disk, root)
        disk.make_folder(root)
        clear = [f"{SNAPSHOTS}/{name}" for name in disk.names(root / SNAPSHOTS)]
        return EncryptedDisk(disk, root, key, Epochs.begin(disk, root, key, clear, chance), chance)
    if key is None:
        raise StateError(
            "the output folder is encrypted and no key is given",
            str(root),
            why="what it holds can only be read and gone on with under the key that it was begun with",
            fix="name the key under `encryption:` in weir.yaml; to `weir audit`, with --key-env or --key-file",
        )
    return EncryptedDisk(disk, root, key, Epochs(disk, root, key, chance), chance)


def _check_is_plain(disk: Disk, root: Path) -> None:
    """Refuse a folder whose streams are encrypted although nothing says how."""
    for name in disk.names(root):
        path = root / name
        if path.suffix != ".ndjson" or name in PLAIN or disk.size(path) <= 0:
            continue
        if not disk.read(path, 0, len(BEGINNING)) == BEGINNING:
            raise StateError(
                f"`{epochs.FILE}` is missing, and `{name}` is encrypted or damaged",
                str(path),
                why="keys of streams are derived from what that file says",
                fix=epochs.FIX,
            )


def beneath(disk: Disk) -> Disk:
    """The disk with what really stands on it."""
    return disk.inner if isinstance(disk, EncryptedDisk) else disk


def is_encrypted(disk: Disk, root: Path) -> bool:
    """Whether streams of the output folder `root` are, or were at any time, encrypted. Needs no key."""
    return beneath(disk).size(root / epochs.FILE) >= 0


def keys_length(disk: Disk) -> int:
    """Bytes of encryption.ndjson that hold whole lines; 0 for a disk that does not encrypt."""
    if not isinstance(disk, EncryptedDisk):
        return 0
    disk.epochs.refresh()
    return disk.epochs.end


def as_stored(disk: Disk, path: Path, start: int, data: bytes) -> bytes:
    """What stands on the disk for `data`, which was written to the stream `path` at byte `start`."""
    return disk.as_stored(path, start, data) if isinstance(disk, EncryptedDisk) else data


class EncryptedDisk:
    """Implements engine.durable.disk.Disk over another one. One process goes on with streams; anybody may read."""

    def __init__(
        self,
        inner: Disk,
        root: Path,
        key: bytes,
        kept: Epochs,
        chance: Callable[[int], bytes] = random_bytes,
    ) -> None:
        self.inner, self.epochs = inner, kept
        self._root, self._key, self._chance = root, key, chance
        self._last: dict[Path, tuple[int, bytes, bytes]] = {}  # start, text, what stands there

    def kind(self, path: Path) -> int:
        """How a file is encrypted, by its name alone."""
        if not path.is_relative_to(self._root):
            return AS_IT_IS
        parts = path.relative_to(self._root).parts
        if not parts or parts[0] in PLAIN:
            return AS_IT_IS
        return BY_PLACE if len(parts) == 1 and path.suffix == ".ndjson" else IN_CHUNKS

    # streams

    def go_on(self, path: Path, byte: int) -> CipherContext:
        """Begin an epoch of a stream at `byte`; what encrypts from there on."""
        return _keystream(self.epochs.start(path.name, byte), byte)

    def note(self, path: Path, start: int, data: bytes, stored: bytes) -> None:
        """Remember what was written last: the seals ask for it right afterwards."""
        self._last[path] = start, data, stored

    def as_stored(self, path: Path, start: int, data: bytes) -> bytes:
        """What stands on the disk for `data`, which was written to the stream `path` at byte `start`."""
        if self.kind(path) != BY_PLACE:
            return data
        at, text, stored = self._last.get(path, (-1, b"", b""))
        if at == start and text is data:
            return stored
        return self._turned(path, start, data)

    def _turned(self, path: Path, start: int, data: bytes) -> bytes:
        """`data` at byte `start` of a stream, encrypted or decrypted: the same is done for both."""
        self.epochs.refresh()
        pieces = []
        for a, b, key in self.epochs.spans(path.name, start, start + len(data)):
            piece = data[a - start : b - start]
            pieces.append(piece if key is None else _keystream(key, a).update(piece))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # engine.durable.disk.Disk

    def create(self, path: Path) -> DiskFile:
        file = self.inner.create(path)
        kind = self.kind(path)
        if kind == IN_CHUNKS:
            return ChunkFile(file, self._key, 0, self._chance)
        return StreamFile(self, path, file) if kind == BY_PLACE else file

    def append(self, path: Path) -> DiskFile:
        kind = self.kind(path)
        if kind == IN_CHUNKS:
            length = max(0, self.size(path))
            return ChunkFile(self.inner.append(path), self._key, length, self._chance)
        file = self.inner.append(path)
        return StreamFile(self, path, file) if kind == BY_PLACE else file

    def open(self, path: Path) -> IO[bytes]:
        kind = self.kind(path)
        if kind == AS_IT_IS:
            return self.inner.open(path)
        if kind == BY_PLACE:
            size = self.inner.size(path)
            if size < 0:
                return self.inner.open(path)  # raises what it raises
            return io.BufferedReader(_Part(lambda a, n: self.read(path, a, n), size), READ_BYTES)
        chunked = self._chunked(path)
        return io.BufferedReader(_Part(chunked.read, chunked.length, chunked.close), READ_BYTES)

    def read(self, path: Path, start: int = 0, length: int = -1) -> bytes:
        kind = self.kind(path)
        if kind == AS_IT_IS:
            return self.inner.read(path, start, length)
        if kind == BY_PLACE:
            return self._turned(path, start, self.inner.read(path, start, length))
        chunked = self._chunked(path)
        try:
            return chunked.read(start, chunked.length if length < 0 else length)
        finally:
            chunked.close()

    def _chunked(self, path: Path) -> Chunked:
        chunked = Chunked(self.inner.open(path), self._key, path)
        parts = path.relative_to(self._root).parts
        if chunked.is_plain and "/".join(parts[:2]) not in self.epochs.clear:
            chunked.refuse_plain()
        return chunked

    def size(self, path: Path) -> int:
        size = self.inner.size(path)
        if size <= 0 or self.kind(path) != IN_CHUNKS:
            return size
        chunked = self._chunked(path)
        chunked.close()
        return chunked.length

    def truncate(self, path: Path, length: int) -> None:
        if self.kind(path) != IN_CHUNKS:
            self.inner.truncate(path, length)
            return
        kept = self.read(path, 0, length)
        temporary = path.with_name(f".{path.name}.cut")
        file = self.create(temporary)
        file.write(kept)
        file.sync()
        file.close()
        self.inner.rename(temporary, path)
        self.inner.sync_folder(path.parent)

    def rename(self, old: Path, new: Path) -> None:
        assert self.kind(old) == self.kind(new) != BY_PLACE, "streams keep their names"
        self.inner.rename(old, new)

    def remove(self, path: Path) -> None:
        self.inner.remove(path)

    def names(self, folder: Path) -> list[str]:
        return self.inner.names(folder)

    def make_folder(self, path: Path) -> None:
        self.inner.make_folder(path)

    def sync_folder(self, path: Path) -> None:
        self.inner.sync_folder(path)


class StreamFile:
    """A stream that is gone on with: an epoch begins with the first byte written, and again after a failed write."""

    def __init__(self, disk: EncryptedDisk, path: Path, file: DiskFile) -> None:
        self._disk, self._path, self._file = disk, path, file
        self._encryptor: CipherContext | None = None

    def write(self, data: bytes) -> None:
        if not data:
            return
        at = self._file.tell()
        encryptor, self._encryptor = self._encryptor, None
        if encryptor is None:
            encryptor = self._disk.go_on(self._path, at)
        stored = encryptor.update(data)
        self._file.write(stored)
        self._encryptor = encryptor
        self._disk.note(self._path, at, data, stored)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


class _Part(io.RawIOBase):
    """Reads through a function of start and length; seekable."""

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        length: int,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._read, self._length, self._close, self._at = read, length, close, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        data = self._read(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._length)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._close()
        super().close()


def _keystream(key: bytes, byte: int) -> CipherContext:
    """What is added to bytes from `byte` of a stream on; counters count blocks from the beginning of the file."""
    counter = (byte // BLOCK_BYTES).to_bytes(BLOCK_BYTES, "big")
    stream = Cipher(AES256(key), CTR(counter)).encryptor()
    stream.update(bytes(byte % BLOCK_BYTES))
    return stream
