"""Output folders: streams that grow, are cut back or refused; snapshots that read back or say what is wrong."""

import errno
import hashlib
import json

import numpy as np
import pytest

from config.errors import StateError
from engine.durable import snapshots
from engine.durable.disk import RealDisk
from engine.durable.output import STREAMS, OutputFolder
from engine.durable.snapshots import Snapshot

DISK = RealDisk()


def snapshot(out, seq=3, **more):
    facts = {"seq": seq, "records": seq, "position": f"day.ndjson:{seq}", "orderly": True}
    facts |= {"config": "sha256:ab", "lengths": out.lengths(), "totals": {"decisions": {"hold": 1}}}
    return Snapshot(**facts, arrays={"core": np.arange(3), "empty/x": np.empty((0, 2))} | more)


def save(out, seq=3):
    return snapshots.write(DISK, out.root, snapshot(out, seq))


@pytest.fixture
def out(tmp_path):
    """A folder with two decisions, a snapshot, and a decision after it."""
    folder = OutputFolder(tmp_path / "out")
    folder.open({})
    folder.write({"decisions": b"one\ntwo\n", "alerts": b""})
    save(folder)
    folder.write({"decisions": b"three\n", "alerts": b"alarm\n"})
    folder.close()
    return folder


def told(error, tmp_path):
    return str(error.value).replace(str(tmp_path), "TMP")


def test_a_fresh_folder_has_every_stream_and_is_used_from_then_on(tmp_path):
    root = tmp_path / "a" / "b"
    out = OutputFolder(root)
    assert not out.is_used()
    out.open({})
    assert {p.name for p in root.glob("*.ndjson")} == {f"{s}.ndjson" for s in STREAMS}
    assert out.is_used()
    assert snapshots.numbers(DISK, root) == []
    out.close()


def test_a_snapshot_reads_back_as_it_was(out):
    found = snapshots.read(DISK, out.root, 3)
    assert (found.seq, found.records, found.position, found.orderly) == (3, 3, "day.ndjson:3", True)
    assert found.totals == {"decisions": {"hold": 1}}
    assert found.arrays["core"].tolist() == [0, 1, 2]
    assert found.arrays["empty/x"].shape == (0, 2)
    assert found.lengths["decisions"] == 8


def test_going_on_cuts_the_streams_back_to_the_snapshot(out):
    out.open(snapshots.read(DISK, out.root, 3).lengths)
    assert (out.root / "decisions.ndjson").read_bytes() == b"one\ntwo\n"
    assert (out.root / "alerts.ndjson").read_bytes() == b""
    out.write({"decisions": b"3\n"})
    out.close()
    assert (out.root / "decisions.ndjson").read_bytes() == b"one\ntwo\n3\n"


def test_a_stream_shorter_than_the_snapshot_is_refused_and_nothing_is_cut(out, tmp_path, golden):
    path = out.root / "decisions.ndjson"
    path.write_bytes(b"one\n")
    with pytest.raises(StateError) as error:
        out.open(snapshots.read(DISK, out.root, 3).lengths)
    golden("output/shorter", told(error, tmp_path) + "\n")
    assert path.read_bytes() == b"one\n"


def spoil(name, content):
    def do(folder):
        path = folder / name
        if content is None:
            path.unlink()
        elif callable(content):
            path.write_bytes(content(path.read_bytes()))
        else:
            path.write_bytes(content)

    return do


@pytest.mark.parametrize(
    "harm",
    [
        spoil("state.npz", None),
        spoil("state.npz", b""),
        spoil("state.npz", b"PK"),
        spoil("state.npz", lambda raw: raw[: len(raw) // 2]),
        spoil("state.npz", lambda raw: raw[:150] + bytes([raw[150] ^ 1]) + raw[151:]),
        spoil("manifest.json", None),
        spoil("manifest.json", b""),
        spoil("manifest.json", b"{}"),
        spoil("manifest.json", b"[]"),
        spoil("manifest.json", b'{"format": 2}'),
        spoil("manifest.json", lambda raw: raw[:-20]),
        spoil("manifest.json", b"\xff\xfe"),
    ],
    ids=["gone", "empty", "stub", "cut", "bit", "no manifest", "empty manifest", "no format", "list", "bare",
         "cut manifest", "noise"],
)  # fmt: skip
def test_a_damaged_snapshot_is_an_error_that_names_it(out, harm, tmp_path):
    harm(out.root / "snapshots" / f"{3:016d}")
    with pytest.raises(StateError) as error:
        snapshots.read(DISK, out.root, 3)
    first, *rest = told(error, tmp_path).splitlines()
    assert first.startswith("TMP/out/snapshots/0000000000000003: the snapshot cannot be read: ")
    assert rest == [
        "  why: a damaged state would give other decisions than before",
        "  fix: remove 0000000000000003 to go on from the one before it, or replay into an empty folder",
    ]


def test_a_broken_snapshot_is_passed_over_for_the_one_before_it(out):
    """Newest first; those after `seq_max` are not looked at."""
    save_open(out, 9)
    (out.root / "snapshots" / f"{9:016d}" / "state.npz").write_bytes(b"")
    broken, older = snapshots.usable(DISK, out.root)
    assert isinstance(broken, StateError)
    assert older.seq == 3
    assert [s.seq for s in snapshots.usable(DISK, out.root, 8)] == [3]


def save_open(out, *seqs):
    out.open(snapshots.read(DISK, out.root, 3).lengths)
    for seq in seqs:
        save(out, seq)
    out.close()


def test_a_state_that_was_exchanged_is_found_by_its_hash(out):
    """A whole archive of another snapshot: no checksum of the archive itself can tell."""
    save_open(out, 9)
    folder = out.root / "snapshots"
    other = snapshot(out, 9, core=np.arange(4))
    (folder / f"{3:016d}" / "state.npz").unlink()
    with (folder / f"{3:016d}" / "state.npz").open("wb") as file:
        np.savez(file, **other.arrays)
    with pytest.raises(StateError, match="not what was written, by its sha256"):
        snapshots.read(DISK, out.root, 3)


def test_a_snapshot_of_another_format_is_refused(out, tmp_path, golden):
    path = out.root / "snapshots" / f"{3:016d}" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    with pytest.raises(StateError) as error:
        snapshots.read(DISK, out.root, 3)
    golden("output/format", told(error, tmp_path) + "\n")


def test_what_a_killed_save_left_behind_is_no_snapshot(out):
    left = out.root / "snapshots" / f".{4:016d}.new"
    left.mkdir()
    (left / "state.npz").write_bytes(b"half")
    assert snapshots.numbers(DISK, out.root) == [3]
    save_open(out, 4)
    assert snapshots.numbers(DISK, out.root) == [3, 4]
    left.mkdir()
    theirs = out.root / "snapshots" / ".zfs"
    theirs.mkdir()
    snapshots.prune(DISK, out.root, 2)
    assert not left.exists()
    assert theirs.exists()


def test_as_many_snapshots_are_kept_as_were_asked_for(out):
    save_open(out, 4, 5, 10_000_000_000)
    snapshots.prune(DISK, out.root, 2)
    assert snapshots.numbers(DISK, out.root) == [5, 10_000_000_000]


def test_the_summary_is_written_whole(out):
    sha256 = out.summarise({"b": 1, "a": {"x": [1]}})
    assert hashlib.sha256((out.root / "summary.json").read_bytes()).hexdigest() == sha256
    assert json.loads((out.root / "summary.json").read_text()) == {"b": 1, "a": {"x": [1]}}
    assert not list(out.root.glob(".summary*"))


def test_a_full_disk_says_what_to_do_and_a_wrong_path_stays_what_it_is(tmp_path, golden):
    out = OutputFolder(tmp_path)
    with pytest.raises(StateError) as error, out.guarded():
        raise OSError(errno.ENOSPC, "No space left on device")
    golden("output/full", told(error, tmp_path) + "\n")
    with pytest.raises(FileExistsError), out.guarded():
        raise FileExistsError(errno.EEXIST, "File exists")
