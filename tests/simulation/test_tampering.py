"""Whatever is done to a durable file afterwards is found by `weir audit verify`, and the file is named.

Flips of one byte, truncations, deletions (of files, lines and ranges), swaps (of files, lines and ranges) and
additions, drawn from one seed and spread evenly over the kinds of files. WEIR_TAMPERINGS=5000 asks for more;
reproduce one with `pytest -k 'tampering and [17]'`.
"""

import itertools
import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from engine.durable import seals
from engine.durable.output import STREAMS
from replay.audit import verify
from tests.auditing import replayed

TRIES = int(os.environ.get("WEIR_TAMPERINGS", "300"))
BLOCKS = 10
KINDS = ("flip", "truncate", "delete", "swap", "add")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder of a run that was stopped in order once, and gone on with; several segments, two snapshots."""
    folder = tmp_path_factory.mktemp("tampering")
    out = replayed(folder, 1_500, stops=2, orders=30, segment_bytes="65536")
    report = verify.report(out)
    assert report.is_fine, report.as_text()
    return out


def classes(root: Path) -> dict[str, list[Path]]:
    """Every durable file with something in it, by what it is."""
    found = {
        "journal": sorted((root / "journal").iterdir()),
        "seals": [root / "seals.ndjson"],
        "delivery": [root / "delivery.ndjson"],
        "summary": [root / "summary.json"],
        "snapshot": sorted(p for p in (root / "snapshots").rglob("*") if p.is_file()),
        "configuration": sorted(p for p in (root / "config").rglob("*") if p.is_file()),
    }
    found |= {stream: [root / f"{stream}.ndjson"] for stream in STREAMS}
    return {kind: [p for p in paths if p.stat().st_size] for kind, paths in found.items()}


def test_the_folder_has_everything_that_can_be_tampered_with(whole):
    """A hunt in a folder without snapshots or reports says little."""
    empty = [kind for kind, paths in classes(whole).items() if not paths]
    assert empty == []
    assert len(classes(whole)["journal"]) >= 3
    assert len(list((whole / "snapshots").iterdir())) == 2


@dataclass
class Tampering:
    """One thing done to one file (or two): contents afterwards, None for a file that is gone."""

    what: str
    contents: dict[Path, bytes | None]
    byte: int = 1 << 40  # the last one that may be named: where it begins, and what was put in

    def changes_something(self) -> bool:
        return any(path.read_bytes() != new for path, new in self.contents.items())


def draw(rng: np.random.Generator, root: Path, kind: str, of: str) -> Tampering:
    """One tampering of `kind` with a file of class `of`."""
    paths = classes(root)[of]
    path = paths[int(rng.integers(len(paths)))]
    data = path.read_bytes()
    size = len(data)
    at = int(rng.integers(size))
    told = f"{kind} {path.relative_to(root)}"
    if kind == "flip":
        new = data[:at] + bytes([data[at] ^ int(rng.integers(1, 256))]) + data[at + 1 :]
        return Tampering(f"{told}@{at}", {path: new}, at)
    if kind == "truncate":
        if rng.random() < 0.3:  # behind a whole line, as somebody who knows the format would
            at = max(0, data.rfind(b"\n", 0, at) + 1)
        return Tampering(f"{told}@{at}", {path: data[:at]}, at)
    if kind == "add":
        more = data[at : at + int(rng.integers(1, 200))] if rng.random() < 0.5 else rng.bytes(9)
        at = size if rng.random() < 0.3 else at
        return Tampering(f"{told}@{at}", {path: data[:at] + more + data[at:]}, at + len(more))
    lines = list(itertools.accumulate(map(len, data.splitlines(keepends=True)), initial=0))
    way = rng.random()
    if kind == "delete":
        if way < 0.3:
            return Tampering(f"{told} as a whole", {path: None})
        start, stop = _piece(rng, lines, size, way < 0.65)
        return Tampering(f"{told}@{start}..{stop}", {path: data[:start] + data[stop:]}, start)
    others = [p for p in paths if p != path]
    if way < 0.2 and others:
        other = others[int(rng.integers(len(others)))]
        return Tampering(f"{told} with {other.name}", {path: other.read_bytes(), other: data})
    a, b = sorted((_piece(rng, lines, size, way < 0.6), _piece(rng, lines, size, way < 0.6)))
    if a[1] > b[0]:
        a = (a[0], max(a[0], b[0]))
    new = data[: a[0]] + data[b[0] : b[1]] + data[a[1] : b[0]] + data[a[0] : a[1]] + data[b[1] :]
    return Tampering(f"{told}@{a[0]}..{a[1]} with {b[0]}..{b[1]}", {path: new}, a[0])


def _piece(rng, lines, size, whole_lines):
    """A line, or a range of bytes."""
    if whole_lines and len(lines) > 1:
        k = int(rng.integers(len(lines) - 1))
        return lines[k], lines[k + 1]
    a = int(rng.integers(size))
    return a, min(size, a + int(rng.integers(1, 64)))


def tampered(root: Path, tampering: Tampering, check):
    """What `check` says of the folder while it is tampered with; afterwards it is as it was."""
    before = {path: path.read_bytes() for path in tampering.contents}
    try:
        for path, content in tampering.contents.items():
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
        return check()
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def is_named(root: Path, tampering: Tampering, report) -> bool:
    """Whether a finding names a file that was changed, and no byte behind the change."""
    names = [path.relative_to(root).as_posix() for path in tampering.contents]
    for row in report.sections[0].rows:
        where = str(row[0])
        name, _, byte = where.partition("@")
        name = name.partition(":")[0]  # of a line
        if name in names and (not byte or int(byte) <= tampering.byte):
            return True
        if any(n.startswith(f"{name}/") for n in names):  # a snapshot, a configuration, the journal
            return True
    return False


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_tampering_is_found_and_the_file_is_named(whole, block):
    rng = np.random.default_rng(block)
    kinds = [(kind, of) for kind in KINDS for of, paths in classes(whole).items() if paths]
    missed, unnamed, by_chain = [], [], Counter()
    for k in range(TRIES // BLOCKS):
        kind, of = kinds[(block * (TRIES // BLOCKS) + k) % len(kinds)]
        tampering = draw(rng, whole, kind, of)
        while not tampering.changes_something():
            tampering = draw(rng, whole, kind, of)
        report = tampered(whole, tampering, lambda: verify.report(whole, chain_only=True))
        by_chain[report.is_fine] += 1
        if report.is_fine:
            report = tampered(whole, tampering, lambda: verify.report(whole))
        if report.is_fine:
            missed.append(tampering.what)
        elif not is_named(whole, tampering, report):
            unnamed.append((tampering.what, report.headline))
    assert not missed
    assert not unnamed
    assert by_chain[True] == 0, "the chain alone should have found it"


def test_a_folder_that_is_gone_is_named(whole, tmp_path):
    for name in ("journal", "snapshots", "config"):
        for folder in [whole / name, *(p for p in (whole / name).iterdir() if p.is_dir())]:
            away = tmp_path / "away"
            folder.rename(away)
            report = verify.report(whole, chain_only=True)
            away.rename(folder)
            where = folder.relative_to(whole).as_posix()
            assert any(str(row[0]).startswith(where) for row in report.sections[0].rows), where


def test_a_file_that_nobody_wrote_is_named(whole):
    for where in ("journal/0000000000099999.wj", "snapshots/0000000000000007/state.npz", "journal/x",
                  f"config/{next((whole / 'config').iterdir()).name}/packs/one/more.yaml"):  # fmt: skip
        path = whole / where
        is_new = not path.parent.exists()
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        report = verify.report(whole, chain_only=True)
        shutil.rmtree(path.parent) if is_new else path.unlink()
        assert not report.is_fine, where
    assert verify.report(whole, chain_only=True).is_fine


# ---------------------------------------------------------------- somebody who can compute hashes


def forged(root: Path, stream: str, edit) -> str:
    """Change lines of a stream by `edit` and write the chain anew, hashes and all; return the old root."""
    path, old = root / f"{stream}.ndjson", seals.read_seals(seals_disk(), root).root
    data = path.read_bytes()
    new = b"".join(edit(line) for line in data.splitlines(keepends=True))
    path.write_bytes(new)
    lines, previous, moved = [], seals.NO_ROOT, {0: 0}
    for a, b in zip(data.splitlines(keepends=True), new.splitlines(keepends=True), strict=True):
        last = max(moved)
        moved[last + len(a)] = moved[last] + len(b)
    for line in (root / "seals.ndjson").read_bytes().splitlines():
        fields = json.loads(line)
        del fields["previous"], fields["hash"]
        if "seal" in fields and stream in fields["streams"]:
            a, b, told = fields["streams"][stream]
            told = sha256(new[moved[a] : moved[b]]).hexdigest() if told else ""
            fields["streams"][stream] = [moved[a], moved[b], told]
        text, previous = seals.encode_line(fields, previous)
        lines.append(text)
    (root / "seals.ndjson").write_bytes(b"".join(lines))
    return old


def seals_disk():
    from engine.durable.disk import RealDisk

    return RealDisk()


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def one_score(line: bytes) -> bytes:
    """The decision on t-77, with another score."""
    record = json.loads(line)
    if record["transaction_id"] != "t-77":
        return line
    return line.replace(b'"score":%d' % record["score"], b'"score":%d' % (record["score"] + 1))


def test_a_file_rewritten_with_its_chain_is_found_with_a_root_kept_elsewhere(copy):
    root = forged(copy, "decisions", one_score)
    alone = verify.report(copy, chain_only=True)
    assert alone.is_fine, "the forgery is good"
    assert "Self-consistent only" in alone.remarks[0]
    report = verify.report(copy, chain_only=True, kept=root)
    assert not report.is_fine
    assert "the chain never had the root" in report.headline


def test_a_file_of_roots_says_from_where_on_the_chain_was_written_anew(copy, tmp_path):
    chain = seals.read_seals(seals_disk(), copy)
    roots = tmp_path / "roots.ndjson"
    roots.write_text("".join(json.dumps({"root": root}) + "\n" for root in chain.roots))
    fine = verify.report(copy, chain_only=True, kept=str(roots))
    assert fine.is_fine
    assert fine.remarks == [
        f"The root given proves the records up to seq {chain.seq_end - 1}: all that is sealed."
    ]
    lines = (copy / "decisions.ndjson").read_bytes().splitlines()
    last = json.loads(lines[-1])["transaction_id"].encode()

    def edit(line):
        return line.replace(b'"late":false', b'"late":true') if last in line else line

    forged(copy, "decisions", edit)
    report = verify.report(copy, chain_only=True, kept=str(roots))
    seq = report.sections[0].rows[0][2]
    sealed = [seal for seal in chain.seals if seal.seq0 == seq]
    assert sealed, "the first seal that is another one begins there"
    assert sealed[0].seq0 <= json.loads(lines[-1])["seq"] < sealed[0].seq_end


def test_a_file_rewritten_with_its_chain_is_found_by_deriving_it_again_to_the_field(copy):
    old = [json.loads(line) for line in (copy / "decisions.ndjson").read_bytes().splitlines()]
    record = next(r for r in old if r["transaction_id"] == "t-77")
    forged(copy, "decisions", one_score)
    report = verify.report(copy)
    where, what, seq, transaction, field, recorded, derived = report.sections[0].rows[0]
    assert where.startswith("decisions.ndjson@")
    assert what == "differs from what the journal gives again"
    assert (seq, transaction, field) == (record["seq"], "t-77", "score")
    assert (recorded, derived) == (str(record["score"] + 1), str(record["score"]))
    assert report.headline.startswith(
        f"{where}: seq {seq}, transaction t-77, field `score`: recorded {recorded}, derived {derived}"
    )


@pytest.mark.parametrize("stream", ["alerts", "commands", "reports", "duplicates", "dead_letters"])
def test_every_stream_is_derived_again(copy, stream):
    """One text is changed in one line of the stream, and the chain with it."""
    wanted = (copy / f"{stream}.ndjson").read_bytes().splitlines(keepends=True)[3]
    before = b'"seq":' + str(json.loads(wanted)["seq"]).encode()

    def edit(line):
        return line.replace(before, before + b"0") if line == wanted else line

    forged(copy, stream, edit)
    assert verify.report(copy, chain_only=True).is_fine
    report = verify.report(copy)
    assert str(report.sections[0].rows[0][0]).startswith(f"{stream}.ndjson@")


def test_another_run_of_the_same_traffic_is_another_folder(whole, tmp_path):
    """Salts are drawn anew: a folder that was decided again has another root, whatever it says."""
    other = replayed(tmp_path, 1_500, stops=2, orders=30, segment_bytes="65536")
    root = seals.read_seals(seals_disk(), whole).root
    assert (other / "decisions.ndjson").read_bytes() == (whole / "decisions.ndjson").read_bytes()
    assert verify.report(other).is_fine
    assert not verify.report(other, chain_only=True, kept=root).is_fine
