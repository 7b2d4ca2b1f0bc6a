"""`weir audit export`: one case or one day as a bundle that somebody else executes again, offline, with one command.

    manifest.json        what it is: format, records, configuration, root, which fields were kept in the clear, hashes
    config/HASH/         the configuration, lists of people masked
    state.npz            the state of the core before the first record; not there if that is the beginning
    models/              fits that became active among the records; not there if none did
    records.ndjson       the records: seq, position, arrival, line
    expected.ndjson      the decisions
    proof/seals.ndjson   the whole chain of seals, as it stands in the folder
    proof/leaves.ndjson  leaves of the records in the seals that cover them; with salts where names are revealed
    README.txt           how to check it

A case is one record with the state right before it; a day is its records with the state at its beginning. The other
way, all records that touch the same entities, was left: `where` of a feature reads features of *other* entities (cards
seen at the same shop, devices of the payee), so the records that one decision rests on soon are all of them. State
holds what windows need of them as numbers by code; in a case the names of everybody who does not occur are taken out.

Names are pseudonyms unless they are revealed. The masked bundle is executed before it is written, and nothing is
written if one decision is another. What a pseudonymised bundle cannot prove by itself: that a masked line is the line
that was hashed. The leaf says that such a record is in the chain; whoever holds the folder can show its bytes.
"""

import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from config import settings
from config.errors import InputError, StateError
from engine.core import Core, Outcome
from engine.durable.disk import Disk
from engine.durable.output import MODELS
from engine.durable.rederive import Rederivation
from engine.durable.seals import NAME as SEALS
from engine.durable.seals import Chain, Seal, parse, read_seals
from engine.fits.records import RecordedFits, packed
from engine.ports import LEAF_BYTES, SALT_BYTES, Messages, Recorded, leaves_of
from engine.setup import OVERRIDES_FILE, Setup, read_stored, stored_overrides
from replay.audit.masking import Masking

Arrays: TypeAlias = dict[str, NDArray[Any]]
Json: TypeAlias = dict[str, Any]
FORMAT: Final = 1
MANIFEST, STATE, RECORDS, EXPECTED = (
    "manifest.json",
    "state.npz",
    "records.ndjson",
    "expected.ndjson",
)
LEAVES: Final = "proof/leaves.ndjson"
CHAIN: Final = f"proof/{SEALS}"
STREAMS: Final = ("alerts", "commands", "resolutions", "decisions")
README: Final = """Evidence of decisions, exported by weir {weir}.

Check it, offline, with the same version of weir installed:

    weir audit replay {name}

It loads the state, decides the records again by the configuration inside, and compares every decision; then it checks
the chain of seals. `manifest.json` says what is inside and what was masked.
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Records `first` .. `end` - 1; `what` says in words which these are."""

    first: int
    end: int
    what: str


@dataclass(slots=True)
class Content:
    """What goes into a bundle."""

    manifest: Json
    config: Mapping[str, bytes]  # name inside the configuration -> bytes
    config_hash: str
    state: Arrays
    records: list[bytes]
    expected: list[bytes]
    fits: Mapping[str, bytes]  # name inside models/ -> bytes
    chain: bytes
    leaves: list[bytes]


def export(again: Rederivation, disk: Disk, root: Path, span: Span, key: bytes | None) -> Content:
    """Put a bundle together and execute it; `key` None reveals names.

    Raises `StateError` where the span holds a change of configuration or erased records, or where the masked records
    would be decided otherwise than the real ones.
    """
    again.start(span.first)
    again.run_to(span.first)
    core, setup = again.core, again.setup
    opening: Arrays = core.save() if span.first > 0 else {}
    recorded = list(_records(again, root, span))
    masking = Masking(setup, core, key) if key is not None else None
    with tempfile.TemporaryDirectory() as folder:
        files, config_hash = _config(setup, masking, Path(folder))
        twin_setup = read_stored(Path(folder) / config_hash)
        twin = Core(twin_setup)
        twin.config = core.config
        again.fits.files_given()
        twin.refits.connect(again.fits)
        is_case = span.end == span.first + 1
        wanted = _texts(core, opening, recorded) if is_case and opening else None
        state = masking.state(opening, wanted) if masking is not None and opening else opening
        if state and masking is not None:
            state = _renamed(state, Core(setup), twin)
        if state:
            twin.load(state)
        lines, expected = _execute(core, twin, recorded, masking)
    chain = read_seals(disk, root)
    seals = [seal for seal in chain.seals if seal.seq0 < span.end and seal.seq_end > span.first]
    manifest = {
        "format": FORMAT,
        "weir": version("weir-fraud"),
        "what": span.what,
        "first_seq": span.first,
        "n": span.end - span.first,
        "n_decisions": len(expected),
        "configuration": core.config,
        "masked_configuration": config_hash if masking is not None else None,
        "files_masked": sorted(n for n, b in files.items() if _differs(setup, n, b)),
        "is_pseudonymised": masking is not None,
        "kept_in_the_clear": masking.kept if masking is not None else {},
        "root": chain.root,
        "sealed_until": seals[-1].seq_end if seals else 0,
        "state_holds": "windows, models, restrictions, attributes, remembered transactions: of everybody, as arrays",
    }
    leaves = list(_leaves(again, seals, with_salts=masking is None))
    chain_bytes = disk.read(root / SEALS) if disk.size(root / SEALS) >= 0 else b""
    fits = again.fits.files_given()
    return Content(manifest, files, config_hash, state, lines, expected, fits, chain_bytes, leaves)


def write(content: Content, path: Path) -> Json:
    """Write a bundle, whole or not at all; return its manifest. The same content gives the same bytes."""
    files: dict[str, bytes] = {
        f"config/{content.config_hash}/{n}": b for n, b in sorted(content.config.items())
    }
    if content.state:
        files[STATE] = packed(content.state)
    files[RECORDS] = _joined(content.records)
    files[EXPECTED] = _joined(content.expected)
    files |= {f"{MODELS}/{name}": data for name, data in sorted(content.fits.items())}
    files[CHAIN] = content.chain
    files[LEAVES] = _joined(content.leaves)
    files["README.txt"] = README.format(weir=content.manifest["weir"], name=path.name).encode()
    manifest = content.manifest | {
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    }
    temporary = path.with_name(f".{path.name}.new")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as bundle:
        told = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        for name, data in ((MANIFEST, told), *sorted(files.items())):
            bundle.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    temporary.rename(path)
    return manifest


def execute(path: Path) -> tuple[Json, list[str]]:
    """Execute a bundle again; return its manifest and everything that is not as it says, "" nothing.

    Needs nothing but the bundle and this version of weir. Raises `InputError` if it is no bundle.
    """
    flaws: list[str] = []
    with tempfile.TemporaryDirectory() as folder, _opened(path) as bundle:
        names = bundle.namelist()
        manifest = json.loads(bundle.read(MANIFEST))
        if manifest.get("format") != FORMAT:
            raise InputError(
                f"the bundle has format {manifest.get('format')}, this version reads {FORMAT}",
                str(path),
                fix=f"use weir {manifest.get('weir')}",
            )
        told = manifest["files"]
        for name in sorted({*told, *names} - {MANIFEST}):
            data = bundle.read(name) if name in names else b""
            if name not in told or hashlib.sha256(data).hexdigest() != told[name]:
                flaws.append(f"{name} is not what the manifest says")
        if flaws:
            return manifest, flaws
        for name in names:
            if name.startswith("config/"):
                target = Path(folder) / name
                if not target.resolve().is_relative_to(Path(folder).resolve()):
                    raise InputError(f"the bundle holds the name {name}", str(path))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(bundle.read(name))
        hash_ = manifest["masked_configuration"] or manifest["configuration"].removeprefix(
            "sha256:"
        )
        core = Core(read_stored(Path(folder) / "config" / hash_))
        core.config = manifest["configuration"]
        in_models = {n.removeprefix(f"{MODELS}/"): n for n in names if n.startswith(f"{MODELS}/")}
        read = lambda name: bundle.read(in_models[name]) if name in in_models else None  # noqa: E731
        core.refits.connect(RecordedFits(read))
        if STATE in names:
            with np.load(io.BytesIO(bundle.read(STATE)), allow_pickle=False) as arrays:
                core.load({name: arrays[name] for name in arrays.files})
        flaws += _decide_again(core, bundle)
        flaws += _check_proof(manifest, bundle)
    return manifest, flaws


# ---- putting it together


def _records(again: Rederivation, root: Path, span: Span) -> Iterator[Recorded]:
    """The records of the span; `StateError` where one cannot go into a bundle."""
    n = 0
    for recorded in again.journal.read(span.first, span.end):
        if recorded.config is not None:
            raise StateError(
                f"record {recorded.seq0} changes the configuration",
                str(root),
                why="a bundle is decided by one configuration, which an outsider can read",
                fix="export the cases of the day one by one",
            )
        if recorded.erased:
            raise StateError(
                f"{len(recorded.erased)} records from seq {recorded.seq0} on were erased",
                str(root),
                why="what was in them cannot be decided again by anybody",
                fix="export cases before or after them",
            )
        n += len(recorded)
        yield recorded
    if n != span.end - span.first:
        raise StateError(
            f"the journal holds {n} of the {span.end - span.first} records asked for",
            str(root),
            fix="see what is there with: weir audit verify",
        )


def _execute(
    core: Core, twin: Core, recorded: Sequence[Recorded], masking: Masking | None
) -> tuple[list[bytes], list[bytes]]:
    """Decide the records with names and without; return the records and the decisions of the bundle."""
    records: list[bytes] = []
    expected: list[bytes] = []
    for block in _blocks(recorded):
        messages = block.messages
        plain = core.apply(messages.lines, messages.positions, messages.arrival_us)
        lines = list(plain.batch.lines)
        if masking is not None:
            lines = [masking.message(line) for line in lines]
            _repeat(core, twin, plain, lines)
        masked = twin.apply(lines, messages.positions, messages.arrival_us)
        if masking is not None:
            masking.learn(plain.streams, masked.streams)
        _compare(plain, masked, masking)
        for row, line in enumerate(lines):
            arrival = messages.arrival_us
            records.append(
                json.dumps(
                    {
                        "seq": block.seq0 + row,
                        "position": messages.positions[row],
                        "arrival_us": None if arrival is None else int(arrival[row]),
                        "line": line.decode("utf-8", "surrogateescape"),
                    }
                ).encode()
            )
        expected += masked.streams["decisions"].splitlines()
    return records, expected


def _blocks(recorded: Sequence[Recorded]) -> Iterator[Recorded]:
    """The records in runs such that a command stands first: it may name what the run before has made."""
    for whole in recorded:
        lines = whole.messages.lines
        edges = [0, *(k for k, line in enumerate(lines) if k and b'"command"' in line), len(lines)]
        for a, b in pairwise(edges):
            arrival = whole.messages.arrival_us
            part = Messages(
                lines[a:b],
                whole.messages.positions[a:b],
                None if arrival is None else arrival[a:b],
            )
            yield replace(whole, seq0=whole.seq0 + a, messages=part)


def _repeat(core: Core, twin: Core, plain: Outcome, lines: Sequence[bytes]) -> None:
    """Let the repeat of an earlier transaction be one here too: masked, it has another digest."""
    rows = [
        row for row in plain.admitted.repeats if plain.admitted.first_seq[row] < plain.batch.seq0
    ]
    for row in rows:
        entry = int(plain.admitted.entry[row])
        at = entry - twin.remembered.base
        if 0 <= at < len(twin.remembered):
            batch = twin.decoder.decode([lines[row]], ["-"], twin.seq)
            twin.remembered.arrays["digest"][at] = batch.digest[0]
    assert core.remembered.base == twin.remembered.base or not rows


def _compare(plain: Outcome, masked: Outcome, masking: Masking | None) -> None:
    """Refuse to export what is decided otherwise without names."""
    before = plain.streams["decisions"].splitlines()
    after = masked.streams["decisions"].splitlines()
    pairs = list(zip(before, after, strict=False))
    for one, other in pairs:
        expected = masking.outcome(one) if masking is not None else msgspec.json.decode(one)
        found = msgspec.json.decode(other, type=dict[str, Any])
        if expected != found:
            names = [n for n in expected if expected[n] != found.get(n)]
            raise StateError(
                f"without names, record {found.get('seq')} is decided otherwise: {', '.join(names)}",
                why="a rule reads more of a personal field than whether it is the same",
                fix="export with --reveal, or tell us which rule it is",
            )
    if len(before) != len(after):
        raise StateError(f"without names there are {len(after)} decisions, not {len(before)}")


def _texts(core: Core, opening: Arrays, recorded: Sequence[Recorded]) -> set[str]:
    """Every text that the record of a case brings or leads to: what may keep its pseudonym in the state.

    The record is applied for it, and the core put back to where it was.
    """
    found: set[str] = set()
    for block in recorded:
        messages = block.messages
        frame = core.apply(messages.lines, messages.positions, messages.arrival_us).frame
        for place in frame.layout.places.values():
            if place.is_code:
                texts = core.dictionaries[place.dictionary].texts
                found |= {texts[code] for code in frame.code[place.row].tolist() if code >= 0}
    core.load(opening)
    return found


def _renamed(state: Arrays, core: Core, twin: Core) -> Arrays:
    """Saved windows under the meanings that they have with masked lists; both cores are as they were built.

    A feature's meaning is a digest of everything that its values depend on, lists by their content among it.
    """
    out = dict(state)
    for k, (windows, others) in enumerate(zip(core.windows, twin.windows, strict=True)):
        digests: dict[str, str] = {}
        for one, other in zip(windows.shape, others.shape, strict=True):
            for slot, masked in zip(one.slots, other.slots, strict=True):
                for name in ("feature", "filter", "argument"):
                    digests[getattr(slot.meaning, name)] = getattr(masked.meaning, name)
        name = f"windows/{k}/shape"
        text = out[name].tobytes().decode()
        for plain in sorted(digests):
            if plain and plain != digests[plain]:
                text = text.replace(json.dumps(plain), json.dumps(digests[plain]))
        out[name] = np.frombuffer(text.encode(), np.uint8).copy()
    return out


def _config(setup: Setup, masking: Masking | None, folder: Path) -> tuple[dict[str, bytes], str]:
    """The files of the configuration as they go into the bundle, stored in `folder` by their hash."""
    configuration = setup.configuration
    files = {name: path.read_bytes() for name, (path, _) in configuration.files.items()}
    if masking is not None:
        domains = {of.origin: of.type.detail for of in setup.pack.lists.values() if of.origin}
        for name, (path, _) in configuration.files.items():
            for origin, domain in domains.items():
                if name.endswith(origin):
                    files[name] = masking.list_file(path, domain) or files[name]
    made = folder / "made"
    told = stored_overrides(configuration)
    for name, data in files.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(data)
    overrides = told["overrides"]
    read = settings.load(
        made,
        packs=[made / name for name in told["packs"]],
        feed=overrides.get("feed", ""),
        lateness=overrides.get("lateness", ""),
        overrides=overrides,
    )
    told["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    files[OVERRIDES_FILE] = json.dumps(told, indent=1, sort_keys=True).encode() + b"\n"
    (made / OVERRIDES_FILE).write_bytes(files[OVERRIDES_FILE])
    shutil.move(made, folder / read.sha256)
    return files, read.sha256


def _differs(setup: Setup, name: str, data: bytes) -> bool:
    known = setup.configuration.files.get(name)
    return known is not None and hashlib.sha256(data).hexdigest() != known[1]


def _leaves(again: Rederivation, seals: Sequence[Seal], *, with_salts: bool) -> Iterator[bytes]:
    """One line a seal: the leaves that it was made of; with salts, so that a line can be held against its leaf."""
    for seal in seals:
        leaves, salts = b"", b""
        for recorded in again.journal.read(seal.seq0, seal.seq_end):
            leaves += recorded.leaves()
            salts += recorded.salts
        told: Json = {"seal": seal.number, "seq0": seal.seq0, "leaves": leaves.hex()}
        if with_salts:
            told["salts"] = salts.hex()
        yield json.dumps(told).encode()


# ---- executing it


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        bundle = zipfile.ZipFile(path)
        bundle.getinfo(MANIFEST)
    except FileNotFoundError:  # the path is wrong, not the bundle
        raise
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"this is no bundle: {error}",
            str(path),
            fix="give what `weir audit export` has written",
        ) from None
    return bundle


def _decide_again(core: Core, bundle: zipfile.ZipFile) -> list[str]:
    """Decide every record and compare; what differs, the first ten."""
    records = [json.loads(line) for line in bundle.read(RECORDS).splitlines()]
    expected = bundle.read(EXPECTED).splitlines()
    decided: list[bytes] = []
    for block in _runs(records):
        arrivals = [r["arrival_us"] for r in block]
        outcome = core.apply(
            [r["line"].encode("utf-8", "surrogateescape") for r in block],
            [r["position"] for r in block],
            None if arrivals[0] is None else np.array(arrivals, np.int64),
        )
        decided += outcome.streams["decisions"].splitlines()
    flaws = []
    for one, other in zip(expected, decided, strict=False):
        if one != other:
            before, after = (
                msgspec.json.decode(line, type=dict[str, Any]) for line in (one, other)
            )
            names = ", ".join(n for n in before if before[n] != after.get(n))
            flaws.append(f"record {before.get('seq')} is decided otherwise: {names}")
    if len(expected) != len(decided):
        flaws.append(f"{len(decided)} decisions came out, {len(expected)} are expected")
    return flaws[:10]


def _runs(records: Sequence[Json], rows_max: int = 4_096) -> Iterator[Sequence[Json]]:
    """Runs of records that all have an arrival time or none."""
    start = 0
    for k in range(1, len(records) + 1):
        ends = k == len(records) or k - start == rows_max
        if ends or (records[k]["arrival_us"] is None) != (records[start]["arrival_us"] is None):
            yield records[start:k]
            start = k


def _check_proof(manifest: Json, bundle: zipfile.ZipFile) -> list[str]:
    """Hold the chain, the leaves and, where names are revealed, the lines against each other."""
    try:
        chain: Chain = parse(bundle.read(CHAIN), CHAIN)
    except StateError as error:
        return [f"the chain of seals is broken: {error.what}"]
    flaws = []
    if manifest["root"] not in (*chain.roots, chain.root):
        flaws.append("the chain does not have the root that the manifest names")
    seals = {seal.number: seal for seal in chain.seals}
    lines = {r["seq"]: r["line"] for r in map(json.loads, bundle.read(RECORDS).splitlines())}
    for told in map(json.loads, bundle.read(LEAVES).splitlines()):
        seal, leaves = seals.get(told["seal"]), bytes.fromhex(told["leaves"])
        if seal is None or hashlib.sha256(leaves).hexdigest() != seal.leaves:
            flaws.append(f"the leaves of seal {told['seal']} are not those that it was made of")
            continue
        if "salts" in told:
            flaws += _check_lines(lines, seal, leaves, bytes.fromhex(told["salts"]))
    return flaws


def _check_lines(lines: Mapping[int, str], seal: Seal, leaves: bytes, salts: bytes) -> list[str]:
    flaws = []
    for row in range(seal.n):
        line = lines.get(seal.seq0 + row)
        if line is None:
            continue
        salt = salts[row * SALT_BYTES : (row + 1) * SALT_BYTES]
        leaf = leaves_of(salt, [line.encode("utf-8", "surrogateescape")], {})
        if leaf != leaves[row * LEAF_BYTES : (row + 1) * LEAF_BYTES]:
            flaws.append(f"record {seal.seq0 + row} is not the one that was sealed")
    return flaws


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
