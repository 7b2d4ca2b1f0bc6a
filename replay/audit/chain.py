"""The first half of a verification: every durable byte of an output folder against the chain of seals.

    seals.ndjson    each line names the one before it (engine/durable/seals.py)
    journal/        frames that name each other, the last of each seal named by it; nothing missing, nothing beside
    streams         every byte inside the seals, and none outside; delivery log and list of keys likewise
    snapshots/      each file by the sha256 that a note has; none beside, and none of the newest missing
    config/         each by its own hash; each that was ever active is there, and nothing beside
    models/         arrays by their own hash, each named in fits.ndjson; what they decided is for the other half. Where
                    they are encrypted, only that they are there
    summary.json    by the sha256 of its last note
    access.ndjson   by its own chain (replay/audit/access.py)

Not covered: control/ (what was dropped in stands in the journal; the copies and answers beside are for convenience),
locks of rule packs (they change no outcome), names that no part of Weir uses, and whatever stands behind the last seal
of a run that was not stopped in order: that is derived again by the other half (replay/audit/derived.py). A whole chain
says that the folder is consistent with itself; only a root that was kept elsewhere says that it is the one that was
written.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from config import settings
from config.errors import InputError, StateError, WeirError
from engine.durable import config_store, epochs, seals, snapshots
from engine.durable.disk import Disk, sha256_of
from engine.durable.encrypted_disk import beneath, is_encrypted
from engine.durable.journal import JournalReader, read_journal
from engine.durable.journal.segments import place_of
from engine.durable.output import FILES, FOLDERS, JOURNAL, MODELS, STREAMS, stream_path
from engine.durable.sealing import GRID, furthest_unsealed
from engine.durable.seals import Chain, Seal
from engine.fits.records import NAME as FITS
from engine.fits.records import SUFFIX, RecordedFits
from engine.setup import OVERRIDES_FILE
from replay.audit import access
from replay.audit.findings import Findings

SUMMARY: Final = "summary.json"
KNOWN: Final = frozenset({*FILES, *FOLDERS, *(f"{stream}.ndjson" for stream in STREAMS)})
_BYTE: Final = re.compile(r"\(byte ([0-9]+)\)$")


@dataclass(slots=True)
class Checked:
    """What the chain covers. `journal` is None where there is none, or none that can be opened."""

    chain: Chain
    journal: JournalReader | None = None
    configs: list[str] = field(default_factory=list)
    n_snapshots: int = 0
    is_live: bool = False  # an engine is writing: what stands behind the chain is on its way
    n_tail: int = 0  # records behind the last seal
    tail_bytes: int = 0  # of streams behind the last seal
    uncovered: list[str] = field(default_factory=list)  # names that nothing proves


def check(
    disk: Disk,
    root: Path,
    findings: Findings,
    *,
    key: bytes | None = None,
    leaves: bool = False,
    is_live: bool = False,
) -> Checked:
    """Hold everything against the chain; what does not fit becomes `findings`. `leaves` needs the journal's key.

    is_live : an engine is writing the folder; what may be half written is no finding then
    """
    disk = beneath(disk)  # the chain is over what stands on it
    checked = Checked(_read_chain(disk, root, findings, is_live=is_live), is_live=is_live)
    checked.journal = _open_journal(disk, root, checked, findings, key)
    if checked.journal is not None:
        for segment in checked.journal.segments if leaves else ():
            if segment.header.salt:
                checked.journal.cipher(
                    segment
                )  # without the key, or with another: not damage, it cannot run
        for found in seals.check_journal(checked.chain, checked.journal, leaves=leaves):
            findings.add(f"{found.file}@{found.byte}", found.what, found.seq0)
        for name in checked.journal.strangers:
            findings.add(f"{JOURNAL}/{name}", "no segment of the journal: nothing of Weir wrote it")
    starts = {
        (f"{stream}.ndjson", seal.seq0): a
        for seal in checked.chain.seals
        for stream, (a, _, _) in seal.streams.items()
    }
    for found in seals.check_streams(disk, root, checked.chain):
        byte = min(found.byte, starts[found.file, found.seq0])  # a hole may be anywhere in the seal
        findings.add(f"{found.file}@{byte}", found.what, found.seq0)
    _check_ends(disk, root, checked, findings)
    _check_snapshots(disk, root, checked, findings)
    _check_configs(disk, root, checked, findings)
    _check_fits(disk, root, checked, findings)
    _check_summary(disk, root, checked.chain, findings)
    try:
        access.read(root)
    except StateError as error:
        findings.add(error.where.removeprefix(f"{root}/"), error.what)
    checked.uncovered += [name for name in disk.names(root) if name not in KNOWN]
    return checked


def pinned(chain: Chain, roots: Sequence[str], findings: Findings) -> Seal | None:
    """The last seal that `roots`, kept elsewhere and oldest first, prove; each must be one that the chain has had."""
    had = {root: line for line, root in enumerate(chain.roots)}
    proven = -1
    for root in roots:
        if root not in had:
            after = chain.lines[proven].hash[:16] + "..." if proven >= 0 else "its beginning"
            findings.add(
                seals.NAME,
                f"the chain never had the root {root[:16]}...: it was written anew, or cut, after {after}",
                _seq_end(chain, proven),
            )
            break
        proven = max(proven, had[root])
    lines = [line for line in chain.lines[: proven + 1] if isinstance(line, Seal)]
    return lines[-1] if lines else None


def read_roots(text: str) -> list[str]:
    """Roots of `--root`: one as hexadecimal digits, or all of a file that `root_copy` has written."""
    path, root = Path(text), text.strip().lower().removeprefix("sha256:")
    if re.fullmatch("[0-9a-f]{64}", root):
        return [root]
    if not text or not path.is_file():
        raise InputError(
            f"--root must be a root or a file of them, was `{text}`",
            why="without one that was kept elsewhere nothing proves that the chain is the one that was written",
            fix="give the 64 digits that verify has shown, or the file that `root_copy` names; or leave out --root",
        )
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found.append(str(json.loads(line)["root"]))
        except (ValueError, KeyError, TypeError):
            raise StateError(
                "the line holds no root",
                f"{path}:{number}",
                why="a copy of roots has one JSON object a line, with `root`",
                fix="give the file that `root_copy` in weir.yaml names, or one root",
            ) from None
    if not found:
        raise StateError(
            "the copy of roots is empty",
            str(path),
            why="it would prove nothing",
            fix="find out who emptied it; a copy in use has one line a seal",
        )
    return found


def day_range(chain: Chain, day: str) -> tuple[int, int]:
    """First and one past the last record of a UTC day of core time, as the seals cut days; -1: not closed yet."""
    first, end = 0, -1
    for seal in chain.seals:
        if seal.closes_day is None:
            continue
        if seal.closes_day < day:
            first = seal.seq_end
        elif end < 0:
            end = seal.seq_end
    return first, end


def _seq_end(chain: Chain, line: int) -> int:
    ends = [found.seq_end for found in chain.lines[: line + 1] if isinstance(found, Seal)]
    return ends[-1] if ends else 0


def _read_chain(disk: Disk, root: Path, findings: Findings, *, is_live: bool) -> Chain:
    """The chain, or what stands before the first line that breaks it."""
    try:
        chain = seals.read_seals(disk, root)
    except StateError as error:
        findings.add(_inside(root, error.where), error.what)
        byte = _BYTE.search(error.where)
        path = root / seals.NAME
        return seals.parse(disk.read(path, 0, int(byte[1])) if byte else b"", str(path))
    if chain.torn_byte >= 0 and not is_live:
        findings.add(f"{seals.NAME}@{chain.torn_byte}", "an unfinished line")
    return chain


def _open_journal(
    disk: Disk, root: Path, checked: Checked, findings: Findings, key: bytes | None
) -> JournalReader | None:
    folder, chain = root / JOURNAL, checked.chain
    if not disk.names(folder):
        if chain.seq_end:
            findings.add(
                JOURNAL, f"there is no journal, and {chain.seq_end} records were sealed", 0
            )
        return None
    try:
        journal = read_journal(disk, folder, key, kept_from=chain.kept_from, keeps_last=True)
    except StateError as error:
        path, byte, seq = place_of(error)
        findings.add(f"{JOURNAL}/{path.name}@{byte}", error.what, seq)
        return None
    tail = journal.tail
    if tail is not None and not checked.is_live:
        where = f"{JOURNAL}/{tail.segment}@{tail.byte}"
        findings.add(where, f"{tail.n_bytes} bytes that are no whole frame: {tail.what}", tail.seq)
    return journal


def _check_ends(disk: Disk, root: Path, checked: Checked, findings: Findings) -> None:
    """What stands behind the last seal: nothing, if the run was stopped in order."""
    chain, journal = checked.chain, checked.journal
    sealed = chain.seals[-1].streams if chain.seals else {}
    outside = []
    for stream in (*STREAMS, "delivery", epochs.STREAM):
        end = sealed[stream][1] if stream in sealed else 0
        size = disk.size(stream_path(root, stream))
        if size < 0 and (stream in sealed or stream in STREAMS):
            findings.add(f"{stream}.ndjson", "the file is not there")
        if size > end and (stream != epochs.STREAM or stream in sealed):
            outside.append((stream, end))
            checked.tail_bytes += size - end
    checked.n_tail = max(0, journal.seq_end - chain.seq_end) if journal is not None else 0
    if journal is None:
        return
    is_ended = bool(journal.segments) and journal.end[3]
    if is_ended and not _says_stopped(chain):
        what = "the journal was stopped in order, and the chain does not say so: its last lines were cut off"
        findings.add(
            seals.NAME, f"{what}, or the process was killed while it stopped", chain.seq_end
        )
    if not is_ended and _says_stopped(chain) and not checked.n_tail:
        findings.add(JOURNAL, "its end is missing: the run was stopped in order", journal.seq_end)
    if _is_cut(disk, root, chain, journal):
        findings.add(
            seals.NAME,
            f"{checked.n_tail} records are not sealed, and a crash leaves {2 * GRID} at most: the chain was cut",
            chain.seq_end,
        )
    if checked.is_live or (checked.n_tail and not is_ended):
        return
    if checked.n_tail:
        findings.add(
            seals.NAME,
            f"{checked.n_tail} records of a run that was stopped in order are not sealed: the chain was cut",
            chain.seq_end,
        )
    for stream, end in outside:
        findings.add(f"{stream}.ndjson@{end}", "bytes behind the last seal", chain.seq_end)


def _is_cut(disk: Disk, root: Path, chain: Chain, journal: JournalReader) -> bool:
    """Whether the journal goes on behind a seal that must be there by then."""
    if journal.seq_end <= furthest_unsealed(chain.seq_end):
        return False
    try:  # an engine may have written that seal meanwhile
        chain = seals.read_seals(disk, root)
    except StateError:
        return False  # a finding already
    return journal.seq_end > furthest_unsealed(chain.seq_end)


def _says_stopped(chain: Chain) -> bool:
    """Whether the chain tells of an orderly stop after its last seal: then the summary is noted."""
    for line in reversed(chain.lines):
        if isinstance(line, Seal):
            return False
        if line.kind == "file" and line.fields["file"] == SUMMARY:
            return True
    return False


def _check_snapshots(disk: Disk, root: Path, checked: Checked, findings: Findings) -> None:
    folder = root / snapshots.FOLDER
    told = {int(note.fields["snapshot"]): note.fields for note in checked.chain.notes("snapshot")}
    there = snapshots.numbers(disk, root)
    for name in disk.names(folder):
        if not name.isdecimal() and not checked.is_live:
            findings.add(f"{snapshots.FOLDER}/{name}", "no snapshot, or one that was not finished")
    for seq in there:
        where = f"{snapshots.FOLDER}/{seq:016d}"
        if seq not in told:
            if checked.is_live and seq > max(told, default=-1):
                continue  # its note is on its way
            findings.add(where, "no note of the chain names this snapshot", seq)
            continue
        checked.n_snapshots += 1
        hashes = told[seq]["sha256"]
        names = disk.names(root / where)
        for name in sorted({*hashes, *names}):
            path = root / where / name
            if name not in hashes:
                findings.add(f"{where}/{name}", "a file that the snapshot did not have", seq)
            elif name not in names:
                findings.add(f"{where}/{name}", "the file is not there", seq)
            elif sha256_of(disk, path) != hashes[name]:
                findings.add(f"{where}/{name}", "not the bytes that were noted", seq)
    for seq in sorted(told)[-_n_kept(root, checked) :]:
        if seq not in there:
            findings.add(f"{snapshots.FOLDER}/{seq:016d}", "the snapshot is not there", seq)


def _n_kept(root: Path, checked: Checked) -> int:
    """How many of the newest snapshots the run kept; 1 where its settings cannot be read."""
    last = checked.chain.seals[-1].config if checked.chain.seals else ""
    folder = root / config_store.FOLDER / last.removeprefix("sha256:")
    try:
        return settings.read_settings(folder / settings.SETTINGS_FILE).snapshots_kept
    except (WeirError, OSError):
        return 1


def _check_configs(disk: Disk, root: Path, checked: Checked, findings: Findings) -> None:
    folder = root / config_store.FOLDER
    active = {seal.config.removeprefix("sha256:") for seal in checked.chain.seals}
    if checked.journal is not None and checked.journal.segments:
        active |= {s.header.config.removeprefix("sha256:") for s in checked.journal.segments}
    there = disk.names(folder)
    for name in sorted(active - set(there)):
        findings.add(f"{config_store.FOLDER}/{name}", "the configuration is not there")
    for name in there:
        if name.startswith("."):  # a start was killed, and the next one takes it away; or not ours
            checked.uncovered.append(f"{config_store.FOLDER}/{name}")
            continue
        flaws = list(_flaws_of_config(disk, folder / name))
        for file, what in flaws:
            findings.add(f"{config_store.FOLDER}/{name}/{file}", what)
        if not flaws:
            checked.configs.append(name)


def _check_fits(disk: Disk, root: Path, checked: Checked, findings: Findings) -> None:
    """Arrays of fits against the record of them, which the outcomes that name them are held against elsewhere."""
    there = disk.names(root / MODELS)
    if is_encrypted(disk, root):
        return
    try:
        answers = RecordedFits.of(disk, root).answers()
    except StateError as error:
        findings.add(_inside(root, error.where), error.what)
        return
    named = {f"{answer.sha256}{SUFFIX}" for answer in answers if answer.sha256}
    for name in sorted(named.union(there) - {FITS}):
        if name not in there:
            findings.add(f"{MODELS}/{name}", "the arrays of a fit are missing")
        elif name not in named:
            if not checked.is_live:
                checked.uncovered.append(f"{MODELS}/{name}")
        elif sha256_of(disk, root / MODELS / name) != name.removesuffix(SUFFIX):
            findings.add(f"{MODELS}/{name}", "the arrays of a fit were changed")


def _files_below(disk: Disk, folder: Path) -> Iterator[Path]:
    for name in disk.names(folder):
        path = folder / name
        if disk.size(path) < 0:
            yield from _files_below(disk, path)
        else:
            yield path


def _flaws_of_config(disk: Disk, folder: Path) -> Iterator[tuple[str, str]]:
    """(file, what is wrong) of a stored configuration: it must hash to the name of its folder, and hold nothing else.

    The hash is over hashes and names of all files, then over what the command line replaced (overrides.json tells
    both); which packs are read in which order is not in it, and must name packs that are there.
    """
    hashes = {
        path.relative_to(folder).as_posix(): sha256_of(disk, path)
        for path in _files_below(disk, folder)
        if path != folder / OVERRIDES_FILE and path.suffix not in settings.BESIDE
    }
    try:
        content = disk.read(folder / OVERRIDES_FILE)
        told = json.loads(content)
        files, overrides, packs = dict(told["files"]), dict(told["overrides"]), list(told["packs"])
        lines = [f"{files[name]}  {name}\n" for name in sorted(files)]
        lines += [f"{name}={overrides[name]}\n" for name in sorted(overrides)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield OVERRIDES_FILE, f"it cannot be read: {error}"
        return
    if sha256("".join(lines).encode()).hexdigest() != folder.name:
        yield OVERRIDES_FILE, "it does not tell the configuration of that hash"
    elif content != json.dumps(told, indent=1, sort_keys=True).encode() + b"\n" or len(told) != 3:
        yield OVERRIDES_FILE, "it is not as Weir writes it"
    for name in sorted({*files, *hashes}):
        if name not in hashes:
            yield name, "the file is not there"
        elif name not in files:
            yield name, "a file that the configuration did not have"
        elif hashes[name] != files[name]:
            yield name, "not the bytes that were stored"
    for name in packs:
        if f"{name}/pack.yaml" not in files:
            yield OVERRIDES_FILE, f"it names a pack that the configuration does not have: {name}"


def _check_summary(disk: Disk, root: Path, chain: Chain, findings: Findings) -> None:
    told = [n.fields["sha256"] for n in chain.notes("file") if n.fields["file"] == SUMMARY]
    is_there = disk.size(root / SUMMARY) >= 0
    if told and not is_there:
        findings.add(SUMMARY, "the file is not there")
    elif is_there and not told:
        findings.add(SUMMARY, "no note of the chain names it")
    elif is_there and sha256_of(disk, root / SUMMARY) != told[-1]:
        findings.add(SUMMARY, "not the bytes that were noted")


def _inside(root: Path, where: str) -> str:
    return where.removeprefix(f"{root}/")
