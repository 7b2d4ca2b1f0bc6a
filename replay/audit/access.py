"""Who looked at an output folder with `weir audit`, when, at what: OUT/access.ndjson, hash-chained.

One line a call, written before anything is shown, so that a call that fails or is broken off is on record too:

    {"n":0,"at":"2026-03-02T10:00:09Z","user":"m.keller","by":"m.keller","verb":"verify","arguments":{...},
     "previous":"","hash":"..."}

`hash` is SHA-256 over the line's JSON without it, keys sorted; `previous` is the hash before. A line that was changed,
added, taken out or moved breaks the chain. Lines cut off the end do not: keep the last hash elsewhere, and have
`weir audit access OUT --head HASH` look for it. Who may write the folder can write the whole file anew: only a hash
that was kept elsewhere tells.

In an encrypted folder the log stays in the clear, for anybody may ask who looked; but arguments that name somebody
are encrypted one by one (AES-256-GCM), or left out when there was no key.
"""

import base64
import fcntl
import getpass
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from config.errors import StateError
from engine.clock import Clock, SystemClock, random_bytes
from engine.durable.disk import Disk, RealDisk
from engine.durable.encrypted_disk import is_encrypted
from engine.durable.encryption import NONCE_BYTES
from engine.durable.epochs import Epochs
from engine.outcomes import canonical, rfc3339
from replay.audit.tables import Report, Section

FILE: Final = "access.ndjson"
NAMING: Final = frozenset({"transaction", "account"})  # arguments that name somebody
ENCRYPTED: Final = "encrypted:"
WITHHELD: Final = "withheld: there was no key to encrypt it with"


class Access(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One call of an audit verb."""

    n: int
    at: str
    user: str
    by: str
    verb: str
    arguments: dict[str, Any]
    previous: str
    hash: str


def record(
    root: Path,
    verb: str,
    arguments: Mapping[str, Any],
    *,
    by: str = "",
    clock: Clock | None = None,
) -> str:
    """Append one call; return its hash. Durable when it returns.

    Raises OSError if the folder cannot be written. A line that was torn by a crash stays where it is.
    """
    path = root / FILE
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        content = file.read()
        n, previous = _last(content)
        user = user_name()
        line = {
            "n": n,
            "at": rfc3339((clock or SystemClock()).now_us()),
            "user": user,
            "by": by or user,
            "verb": verb,
            "arguments": dict(arguments),
            "previous": previous,
        }
        line["hash"] = _hash(line)
        start = b"" if not content or content.endswith(b"\n") else b"\n"
        file.write(start + orjson.dumps(line) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return str(line["hash"])


def read(root: Path) -> list[Access]:
    """Every call on record, oldest first; `StateError` names the first line that breaks the chain."""
    path = root / FILE
    if not path.exists():
        return []
    found: list[Access] = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        previous = found[-1].hash if found else ""
        found.append(_checked(line, f"{path}:{number}", len(found), previous))
    return found


def covered(root: Path, arguments: Mapping[str, Any], key: bytes | None) -> dict[str, Any]:
    """The arguments of a call as they may stand in the log of `root`; `key` is that of the folder."""
    disk = RealDisk()
    if not is_encrypted(disk, root):
        return dict(arguments)
    box = _box(disk, root, key) if key is not None else None

    def shown(value: Any) -> Any:
        if box is None:
            return WITHHELD
        nonce = random_bytes(NONCE_BYTES)
        sealed = box.encrypt(nonce, str(value).encode(), None)
        return ENCRYPTED + base64.b64encode(nonce + sealed).decode()

    return {name: shown(value) if name in NAMING else value for name, value in arguments.items()}


def uncovered(root: Path, arguments: Mapping[str, Any], key: bytes) -> dict[str, Any]:
    """The arguments as they were given."""
    box = _box(RealDisk(), root, key)

    def read_(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith(ENCRYPTED):
            return value
        try:
            sealed = base64.b64decode(value.removeprefix(ENCRYPTED))
            return box.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None).decode()
        except (InvalidTag, ValueError):
            return value

    return {name: read_(value) for name, value in arguments.items()}


def _box(disk: Disk, root: Path, key: bytes) -> AESGCM:
    return AESGCM(Epochs(disk, root, key).folder_key(b"weir access"))


def report(root: Path, head: str = "", key: bytes | None = None) -> Report:
    """The log and what its chain says; `head` is a hash that was kept elsewhere and must be in it.

    key : of an encrypted folder, to show what was asked in full
    """
    try:
        calls = read(root)
    except StateError as error:
        return Report(remarks=[str(error)], is_fine=False)
    columns = ("n", "at", "user", "by", "verb", "arguments")
    opens = key if is_encrypted(RealDisk(), root) else None
    rows = []
    for call in calls:
        asked = uncovered(root, call.arguments, opens) if opens else call.arguments
        rows.append((call.n, call.at, call.user, call.by, call.verb, _told(asked)))
    answer = Report([Section("calls", "Calls of weir audit", columns, list(rows))])
    answer.facts["head"] = calls[-1].hash if calls else None
    at = [c.n for c in calls if c.hash == head]
    if not head:
        answer.remarks.append(
            "The chain is whole. Lines cut off its end show only against a head kept elsewhere: --head"
        )
    elif at:
        answer.remarks.append(
            f"The chain is whole and holds the head given, as number {at[0]}: nothing up to there was changed."
        )
    else:
        answer.is_fine = False
        answer.remarks.append(
            f"{root / FILE}: the head given is not in the chain: lines were cut off, or the file was written anew"
        )
    return answer


def user_name() -> str:
    """The user of the operating system, by name; its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _last(content: bytes) -> tuple[int, str]:
    """Number and previous hash of the next line: after the last one that can be read at all."""
    for line in reversed(content.splitlines()):
        try:
            last = msgspec.json.decode(line, type=Access)
        except msgspec.DecodeError:
            continue
        return last.n + 1, last.hash
    return 0, ""


def _checked(line: bytes, where: str, n: int, previous: str) -> Access:
    why = "the record of who looked has been changed by something else than Weir"
    fix = "compare with a backup of the file"
    try:
        call = msgspec.json.decode(line, type=Access)
    except msgspec.DecodeError as error:
        raise StateError(f"the line cannot be read: {error}", where, why, fix) from None
    written = msgspec.to_builtins(call)
    if orjson.dumps(written) + b"\n" != line:
        raise StateError("the line is not as Weir writes it", where, why, fix)
    del written["hash"]
    if _hash(written) != call.hash:
        raise StateError("the line's hash is not that of its content", where, why, fix)
    if call.previous != previous or call.n != n:
        what = f"the line is number {call.n} and follows {call.previous[:12] or 'nothing'}..."
        raise StateError(
            f"{what}, here is number {n} after {previous[:12] or 'nothing'}", where, why, fix
        )
    return call


def _hash(line: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(line)).hexdigest()


def _told(arguments: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in arguments.items()) or "-"
