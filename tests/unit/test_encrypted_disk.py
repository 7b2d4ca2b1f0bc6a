"""Streams and whole files on an encrypted disk: read back, never twice under one keystream, damage told."""

import hashlib
import hmac
import json
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from config.errors import StateError
from engine.durable import epochs
from engine.durable.encrypted_disk import as_stored, beneath, is_encrypted, unlocked
from engine.durable.encryption import WrongKeyError
from tests.journaling import MemoryDisk, seeded

ROOT = Path("out")
STREAM = ROOT / "decisions.ndjson"
OTHER = ROOT / "delivery.ndjson"
LOG = ROOT / epochs.FILE
WHOLE = ROOT / "snapshots" / "0000000000000007" / "state.npz"
KEY, WRONG = bytes(range(32)), bytes(range(1, 33))


def opened(inner, seed=0, key=KEY):
    """The disk as one life of an engine opens it; every life has other random bytes."""
    return unlocked(inner, ROOT, key, begins=True, chance=seeded(seed))


def write(disk, path, *pieces, new=False):
    file = disk.create(path) if new else disk.append(path)
    for piece in pieces:
        file.write(piece)
    file.sync()
    file.close()


def content(inner):
    return {path: bytes(data) for path, data in inner.now.items()}


def oracle(inner, path, key=KEY):
    """The text of a stream by HKDF from hmac alone, and the keystream of each epoch from byte 0 on."""
    data = bytes(inner.now[path])
    lines = [json.loads(line) for line in inner.now[LOG].splitlines()]
    text = bytearray(data)
    for line in lines[1:]:
        if line["file"] != path.name:
            continue
        extracted = hmac.new(bytes.fromhex(line["salt"]), key, hashlib.sha256).digest()
        info = b"weir stream " + path.name.encode()
        derived = hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()
        stream = Cipher(AES(derived), CTR(bytes(16))).encryptor().update(bytes(len(data)))
        at = line["from"]
        text[at:] = bytes(a ^ b for a, b in zip(data[at:], stream[at:], strict=True))
    return bytes(text)


def test_a_stream_has_the_same_length_another_text_and_reads_back():
    """What stands on the disk is what RFC 5869 and counter mode say."""
    inner, whole = MemoryDisk(), b""
    for life in range(5):
        disk = opened(inner, life)
        pieces = [f"line {life} {k}\n".encode() * (k + 1) for k in range(7)]
        write(disk, STREAM, *pieces)
        whole += b"".join(pieces)
    assert inner.size(STREAM) == disk.size(STREAM) == len(whole)
    assert disk.read(STREAM) == oracle(inner, STREAM) == whole
    assert b"line" not in inner.read(STREAM)
    for a in range(0, len(whole), 13):
        assert disk.read(STREAM, a, 29) == whole[a : a + 29]
        assert as_stored(disk, STREAM, a, whole[a : a + 29]) == inner.read(STREAM, a, 29)
    with disk.open(STREAM) as file:
        assert list(file) == whole.splitlines(keepends=True)
    assert opened(inner).read(STREAM) == whole, "another process reads it too"


def test_a_reader_sees_what_another_process_begins_meanwhile():
    inner = MemoryDisk()
    writer = opened(inner)
    reader = unlocked(inner, ROOT, KEY)
    for k in range(3):
        write(writer, STREAM, b"first %d\n" % k)
        assert reader.read(STREAM).splitlines() == [b"first %d" % j for j in range(k + 1)]


class Watched(MemoryDisk):
    """Keeps everything that was ever written anywhere: what a worn sector or an old backup may still hold."""

    def __init__(self):
        super().__init__()
        self.history = []

    def append(self, path):
        return (
            WatchedFile(self, path, super().append(path)) if path in self.now else self.create(path)
        )

    def create(self, path):
        return WatchedFile(self, path, super().create(path))


class WatchedFile:
    def __init__(self, disk, path, file):
        self.disk, self.path, self.file = disk, path, file

    def write(self, data):
        self.disk.history.append((self.path, self.file.tell(), bytes(data)))
        self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("seed", range(20))
def test_no_place_is_ever_written_twice_under_one_keystream(seed):
    """Zeros show the keystream. Crashes, cuts, files begun anew and folders gone on with twice: never the same again."""
    chance, inner = random.Random(seed), Watched()
    seen = {}
    for life in range(12):
        disk = opened(inner, 1_000 * seed + life)
        for path in (STREAM, OTHER):
            size = max(0, disk.size(path))
            what = chance.random()
            if what < 0.4 and size:
                disk.truncate(path, chance.randrange(size))
            is_new = what > 0.85
            write(disk, path, *(bytes(chance.randint(0, 90)) for _ in range(4)), new=is_new)
        inner.crash(chance)
        if (
            chance.random() < 0.3
        ):  # an old copy is gone on with; both copies remain in somebody's hands
            kept = {path: bytearray(data) for path, data in inner.now.items()}
            write(opened(inner, 10**6 + 1_000 * seed + life), STREAM, bytes(50))
            inner.now, inner.durable = kept, {path: bytes(data) for path, data in kept.items()}
    for path, at, data in inner.history:
        for k in range(len(data) - 8 if path in (STREAM, OTHER) else 0):
            eight = data[k : k + 8]
            assert eight not in seen, (path, at + k, seen[eight])
            seen[eight] = path, at + k
    assert len(seen) > 500


def test_a_failed_write_ends_its_epoch():
    """A full disk keeps a part of what was written; what comes behind it is under another key."""
    inner = MemoryDisk()
    disk = opened(inner)
    file = disk.append(STREAM)
    file.write(b"whole\n")
    inner.room = 3
    with pytest.raises(OSError, match="space"):
        file.write(b"a torn line\n")
    inner.room = None
    at = inner.size(STREAM)
    file.write(b"next\n")
    assert disk.read(STREAM)[at:] == b"next\n"
    assert disk.read(STREAM) == oracle(inner, STREAM)


def test_opening_for_syncing_alone_begins_nothing():
    """The process beside syncs streams that another one is writing."""
    inner = MemoryDisk()
    disk = opened(inner)
    write(disk, STREAM, b"a\n")
    before = content(inner)
    write(unlocked(inner, ROOT, KEY), STREAM)
    assert content(inner) == before


def test_a_folder_that_was_in_the_clear_goes_on_encrypted():
    """What stood there can still be read; what comes is encrypted, a snapshot put in later must be."""
    inner = MemoryDisk()
    write(inner, STREAM, b'{"seq":0}\n')
    write(inner, WHOLE, b"an old snapshot")
    disk = opened(inner)
    write(disk, STREAM, b"secret\n")
    newer = WHOLE.parent.with_name("0000000000000009") / WHOLE.name
    write(disk, newer, b"a new snapshot")
    assert disk.read(STREAM) == b'{"seq":0}\nsecret\n'
    assert inner.read(STREAM).startswith(b'{"seq":0}\n')
    assert b"secret" not in inner.read(STREAM)
    assert disk.read(WHOLE) == b"an old snapshot"
    assert disk.read(newer) == b"a new snapshot"
    inner.now[newer] = bytearray(b"a forged one")
    with pytest.raises(OSError, match="not encrypted"):
        disk.read(newer)


def test_a_wrong_key_and_no_key_are_told_and_nothing_is_touched():
    inner = MemoryDisk()
    write(opened(inner), STREAM, b"a\n")
    before = content(inner)
    with pytest.raises(WrongKeyError, match="not the one that this folder"):
        opened(inner, key=WRONG)
    with pytest.raises(StateError, match="no key is given"):
        opened(inner, key=None)
    assert content(inner) == before
    assert is_encrypted(inner, ROOT)
    plain = MemoryDisk()
    assert unlocked(plain, ROOT, None, begins=True) is plain
    assert unlocked(plain, ROOT, KEY) is plain, "who only reads begins nothing"
    assert beneath(opened(inner)) is inner


def test_a_list_of_keys_that_is_gone_is_never_begun_anew():
    inner = MemoryDisk()
    write(opened(inner), STREAM, b'{"seq":0}\n')
    del inner.now[LOG]
    before = content(inner)
    with pytest.raises(StateError, match=r"encryption\.ndjson` is missing"):
        opened(inner)
    assert content(inner) == before


def test_every_byte_of_the_list_of_keys_counts():
    """A flip before the last line is named; in the last it may be the trace of a crash, and the seals tell."""
    inner = MemoryDisk()
    for life in range(3):
        write(opened(inner, life), STREAM, b"text of one line\n")
    kept = bytes(inner.now[LOG])
    last = kept[:-1].rfind(b"\n") + 1
    for at in range(len(kept)):
        inner.now[LOG] = bytearray(kept)
        inner.now[LOG][at] ^= 1 << at % 8
        if at < last - 1:
            with pytest.raises(StateError, match=r"encryption[.]ndjson:[1-3]"):
                opened(inner)
        else:
            disk = unlocked(inner, ROOT, KEY)
            assert disk.epochs.end < len(kept)
            assert disk.read(STREAM)[-17:] != b"text of one line\n"
    for gone in (0, 1, 2):
        lines = kept.splitlines(keepends=True)
        del lines[gone]
        inner.now[LOG] = bytearray(b"".join(lines))
        with pytest.raises(StateError, match="damaged"):
            opened(inner)


def test_a_torn_last_line_is_cut_off_by_whoever_goes_on():
    inner = MemoryDisk()
    write(opened(inner), STREAM, b"a\n")
    inner.now[LOG] += b'{"file":"decisions.ndj'
    write(opened(inner, 1), STREAM, b"b\n")
    assert opened(inner).read(STREAM) == b"a\nb\n"
    assert inner.now[LOG].count(b"\n") == 3


def test_every_byte_of_a_whole_file_counts(monkeypatch):
    """Any flip, cut, exchange or addition is an error when it is read."""
    monkeypatch.setattr("engine.durable.chunks.CHUNK_BYTES", 40)
    inner = MemoryDisk()
    disk = opened(inner)
    text = bytes(range(150))
    write(disk, WHOLE, text[:70], text[70:])
    assert disk.read(WHOLE) == text
    assert disk.size(WHOLE) == 150
    assert [disk.read(WHOLE, a, 50) for a in range(150)] == [text[a : a + 50] for a in range(150)]
    kept = bytes(inner.now[WHOLE])
    changed = [
        kept[:at] + bytes([kept[at] ^ 1 << at % 8]) + kept[at + 1 :] for at in range(len(kept))
    ]
    changed += [kept[:at] for at in range(1, len(kept))]
    first, chunk = kept[32:92], kept[92:152]
    assert kept == kept[:32] + first + chunk + kept[152:]
    changed += [kept[:32] + chunk + first + kept[152:], kept[:32] + chunk + kept[152:], kept + b"x"]
    for data in changed:
        inner.now[WHOLE] = bytearray(data)
        with pytest.raises(OSError, match="does not decrypt"):
            disk.read(WHOLE)


def test_whole_files_never_share_a_key():
    inner = MemoryDisk()
    disk = opened(inner)
    for k in range(3):
        write(disk, WHOLE.with_name(f"{k}"), bytes(64))
        write(disk, WHOLE.with_name(f"{k}"), bytes(64))
    pieces = []
    for k in range(3):
        data = bytes(inner.now[WHOLE.with_name(f"{k}")])
        assert data[:8] == data[116:124] == b"WEIRENC1"
        pieces += [data[36:100], data[152:216]]
    assert len(set(pieces)) == 6
