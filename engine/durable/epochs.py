"""Which key encrypts which bytes of a stream: OUT/encryption.ndjson, one line each time a stream is gone on with.

Streams are encrypted byte by byte where they stand (encrypted_disk.py), so no two texts may ever stand at the
same place under the same key: whoever had both could subtract them. Laws say that a crash writes the same text again,
but a disk that lost what was not synced, a run without a journal, a log of wall-clock times and an old backup that is
gone on with all write others. So nobody relies on laws here: each time a file is opened and written to, an *epoch*
begins at that byte, with a key of its own, from 16 new random bytes. Inside an epoch a file only grows.

    {"check":"..","clear":[..],"encryption":1,"mac":"..","previous":"","salt":".."}            the first line
    {"file":"decisions.ndjson","from":4096,"mac":"..","previous":"..","salt":".."}             an epoch

    key of an epoch  =  HKDF-SHA256(key of the folder, salt, "weir stream " + file)
    check            =  8 bytes of HKDF-SHA256(key, salt of the first line), by which a wrong key is known
    clear            =  snapshots that stood there in the clear when encryption was turned on
    mac              =  HMAC-SHA256 over the line without it; `previous` is that of the line before

An epoch ends those of its file that begin at its byte or behind. Bytes before the first epoch of a file are in the
clear: they were there when encryption was turned on. A line is durable before a byte is written under it, and each
seal covers the whole file as it then is, like a stream; so what a crash tears off its end can be cut off.
"""

import hmac
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.errors import StateError
from engine.clock import random_bytes
from engine.durable.disk import Disk
from engine.durable.encryption import CHECK_BYTES, KEY_BYTES, SALT_BYTES, WrongKeyError
from engine.outcomes import canonical

FILE: Final = "encryption.ndjson"
STREAM: Final = "encryption"  # its name among the streams of a seal
FORMAT: Final = 1
NEW: Final = ".encryption.new"
FIX: Final = (
    "restore encryption.ndjson from a backup; `weir audit verify --chain-only` needs no key"
)


def derived(key: bytes, salt: bytes, purpose: bytes, n_bytes: int = KEY_BYTES) -> bytes:
    """A key for one purpose, from the key of the folder and random bytes that may be known."""
    return HKDF(SHA256(), n_bytes, salt, purpose).derive(key)


class Epochs:
    """The epochs of an output folder; may be read while another process goes on with them.

    clear : snapshots that may stand in the clear
    end   : bytes of the file that hold whole lines
    """

    def __init__(
        self, disk: Disk, root: Path, key: bytes, chance: Callable[[int], bytes] = random_bytes
    ) -> None:
        """Read what is there; `WrongKeyError`, or `StateError` naming the line that was changed."""
        self._disk, self._path, self._key, self._chance = disk, root / FILE, key, chance
        self._begin_reading()
        self.refresh()

    @classmethod
    def begin(
        cls,
        disk: Disk,
        root: Path,
        key: bytes,
        clear: Sequence[str] = (),
        chance: Callable[[int], bytes] = random_bytes,
    ) -> Self:
        """Write the first line, whole or not at all; durable when it returns."""
        salt = chance(SALT_BYTES)
        mac_key, check = _folder_keys(key, salt)
        fields = {
            "encryption": FORMAT,
            "salt": salt.hex(),
            "check": check.hex(),
            "clear": list(clear),
            "previous": "",
        }
        file = disk.create(root / NEW)
        file.write(_line(fields, mac_key))
        file.sync()
        file.close()
        disk.rename(root / NEW, root / FILE)
        disk.sync_folder(root)
        return cls(disk, root, key, chance)

    def _begin_reading(self) -> None:
        self.clear: frozenset[str] = frozenset()
        self.end = 0
        self._seen = -1  # size of the file when it was last looked at
        self._n = 0
        self._previous = ""
        self._mac_key = b""
        self._starts: dict[str, list[int]] = {}
        self._keys: dict[str, list[bytes]] = {}

    def refresh(self) -> None:
        """Read the lines that were written since."""
        size = self._disk.size(self._path)
        if size == self._seen:
            return
        if size < self.end:
            self._begin_reading()
        data = self._disk.read(self._path, self.end) if size > 0 else b""
        at = 0
        while (stop := data.find(b"\n", at)) >= 0 and self._take(data[at:stop]):
            at = stop + 1
        self._check_rest(data[at:])
        self.end += at
        self._seen = size

    def _take(self, text: bytes) -> bool:
        """Read one line; whether it is one. The first must be."""
        where = f"{self._path}:{self._n + 1}"
        if not self._mac_key:
            self._mac_key = self._read_head(text, where)
        fields = self._fields(text)
        if fields is None:
            return False
        if fields["previous"] != self._previous:
            raise _damaged(where, "it does not name the line before it")
        if self._n == 0:
            self.clear = frozenset(fields["clear"])
        else:
            salt = bytes.fromhex(fields["salt"])
            self._note(fields["file"], fields["from"], self._key_of(fields["file"], salt))
        self._n += 1
        self._previous = fields["mac"]
        return True

    def _read_head(self, text: bytes, where: str) -> bytes:
        """The key of the macs; `WrongKeyError` if the folder was encrypted with another key."""
        try:
            fields = orjson.loads(text)
            told, salt, check = fields["encryption"], fields["salt"], fields["check"]
            salt, check = bytes.fromhex(salt), bytes.fromhex(check)
        except (ValueError, KeyError, TypeError):
            raise _damaged(where, "it is not a first line") from None
        if told != FORMAT:
            raise StateError(
                f"the folder is encrypted in format {told}, this version reads {FORMAT}",
                where,
                fix="read it with the version that wrote it",
            )
        mac_key, expected = _folder_keys(self._key, salt)
        if expected != check:
            raise WrongKeyError(
                "the key is not the one that this folder was encrypted with",
                where,
                why=f"its check is {expected.hex()}, that of the folder is {check.hex()}",
                fix="give the key of the time when the folder was begun (`encryption:` in weir.yaml)",
            )
        if not _mac_fits(text, mac_key):
            raise _damaged(where, "its mac is not that of what it says")
        return mac_key

    def _fields(self, text: bytes) -> Mapping[str, Any] | None:
        """A line that carries the right mac; None for anything else."""
        return orjson.loads(text) if _mac_fits(text, self._mac_key) else None

    def _check_rest(self, rest: bytes) -> None:
        """What does not read is the trace of a crash only at the very end."""
        where = f"{self._path}:{self._n + 1}"
        if not self._n:
            raise _damaged(where, "it has no first line")
        if any(self._fields(text) is not None for text in rest.split(b"\n")[1:]):
            raise _damaged(where, "its mac is not that of what it says")

    def _key_of(self, name: str, salt: bytes) -> bytes:
        return derived(self._key, salt, b"weir stream " + name.encode())

    def _note(self, name: str, start: int, key: bytes) -> None:
        starts, keys = self._starts.setdefault(name, []), self._keys.setdefault(name, [])
        while starts and starts[-1] >= start:
            starts.pop()
            keys.pop()
        starts.append(start)
        keys.append(key)

    def start(self, name: str, byte: int) -> bytes:
        """Begin an epoch of a file at `byte`; give its key. Durable when it returns."""
        self.refresh()
        salt = self._chance(SALT_BYTES)
        fields = {"file": name, "from": byte, "salt": salt.hex(), "previous": self._previous}
        line = _line(fields, self._mac_key)
        if self._seen > self.end:
            self._disk.truncate(self._path, self.end)
        self._seen = -1  # whatever happens below, look again
        file = self._disk.append(self._path)
        try:
            file.write(line)
            file.sync()
        finally:
            file.close()
        self.refresh()
        return self._keys[name][-1]

    def spans(self, name: str, start: int, stop: int) -> Iterator[tuple[int, int, bytes | None]]:
        """(from, to, key) of the parts of `start` .. `stop` - 1, in order; None: in the clear."""
        starts, keys = self._starts.get(name, []), self._keys.get(name, [])
        k = bisect_right(starts, start) - 1
        while start < stop:
            end = starts[k + 1] if k + 1 < len(starts) else stop
            yield start, min(end, stop), keys[k] if k >= 0 else None
            start, k = min(end, stop), k + 1

    def folder_key(self, purpose: bytes) -> bytes:
        """A key of the folder for `purpose`."""
        head = orjson.loads(self._disk.read(self._path).partition(b"\n")[0])
        return derived(self._key, bytes.fromhex(head["salt"]), purpose)


def _folder_keys(key: bytes, salt: bytes) -> tuple[bytes, bytes]:
    both = derived(key, salt, b"weir folder", KEY_BYTES + CHECK_BYTES)
    return both[:KEY_BYTES], both[KEY_BYTES:]


def _line(fields: Mapping[str, Any], mac_key: bytes) -> bytes:
    mac = hmac.new(mac_key, canonical(fields), sha256).hexdigest()
    return canonical({**fields, "mac": mac}) + b"\n"


def _mac_fits(text: bytes, mac_key: bytes) -> bool:
    try:
        fields = orjson.loads(text)
        told = fields.pop("mac")
        expected = hmac.new(mac_key, canonical(fields), sha256).hexdigest()
        return hmac.compare_digest(expected, told) and canonical({**fields, "mac": told}) == text
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _damaged(where: str, what: str) -> StateError:
    return StateError(
        f"the list of encryption keys is damaged: {what}",
        where,
        why="what was encrypted under a key that it no longer names cannot be read",
        fix=FIX,
    )
