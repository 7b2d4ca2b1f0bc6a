"""Output folders: streams that grow, are cut back to a snapshot, or are refused; whole messages."""

import json
import shutil

import numpy as np
import pytest

from config.errors import StateError
from engine.output import STREAMS, OutputFolder, Snapshot
from tests.banking import shipped_setup


def snapshot(out, seq=3, **more):
    facts = {"seq": seq, "records": seq, "position": f"day.ndjson:{seq}", "orderly": True}
    facts |= {"config": "sha256:ab", "lengths": out.lengths(), "totals": {"decisions": {"hold": 1}}}
    return Snapshot(**facts, arrays={"core": np.arange(3), "empty/x": np.empty((0, 2))} | more)


@pytest.fixture
def out(tmp_path):
    """A folder with two decisions, a snapshot, and a decision after it."""
    folder = OutputFolder(tmp_path / "out")
    folder.open(None)
    folder.write({"decisions": b"one\ntwo\n", "alerts": b""})
    folder.save(snapshot(folder))
    folder.write({"decisions": b"three\n", "alerts": b"alarm\n"})
    folder.close()
    return folder


def told(error, tmp_path):
    return str(error.value).replace(str(tmp_path), "TMP")


def test_a_fresh_folder_has_every_stream_and_is_used_from_then_on(tmp_path):
    root = tmp_path / "a" / "b"
    assert not OutputFolder.is_used(root)
    out = OutputFolder(root)
    out.open(None)
    assert {p.name for p in root.glob("*.ndjson")} == {f"{s}.ndjson" for s in STREAMS}
    assert OutputFolder.is_used(root)
    assert out.newest() is None
    out.close()


def test_a_snapshot_reads_back_as_it_was(out):
    found = out.newest()
    assert (found.seq, found.records, found.position, found.orderly) == (3, 3, "day.ndjson:3", True)
    assert found.totals == {"decisions": {"hold": 1}}
    assert found.arrays["core"].tolist() == [0, 1, 2]
    assert found.arrays["empty/x"].shape == (0, 2)
    assert found.lengths["decisions"] == 8


def test_going_on_cuts_the_streams_back_to_the_snapshot(out):
    out.open(out.newest())
    assert (out.root / "decisions.ndjson").read_bytes() == b"one\ntwo\n"
    assert (out.root / "alerts.ndjson").read_bytes() == b""
    out.write({"decisions": b"3\n"})
    out.close()
    assert (out.root / "decisions.ndjson").read_bytes() == b"one\ntwo\n3\n"


def test_a_stream_shorter_than_the_snapshot_is_refused_and_nothing_is_cut(out, tmp_path, golden):
    path = out.root / "decisions.ndjson"
    path.write_bytes(b"one\n")
    with pytest.raises(StateError) as error:
        out.open(out.newest())
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
        spoil("manifest.json", b'{"format": 1}'),
        spoil("manifest.json", lambda raw: raw[:-20]),
        spoil("manifest.json", b"\xff\xfe"),
    ],
    ids=["gone", "empty", "stub", "cut", "bit", "no manifest", "empty manifest", "no format", "list", "bare",
         "cut manifest", "noise"],
)  # fmt: skip
def test_a_damaged_snapshot_is_an_error_that_names_it(out, harm, tmp_path):
    harm(out.root / "snapshots" / f"{3:016d}")
    with pytest.raises(StateError) as error:
        out.newest()
    first, *rest = told(error, tmp_path).splitlines()
    assert first.startswith("TMP/out/snapshots/0000000000000003: the snapshot cannot be read: ")
    assert rest == [
        "  why: a damaged state would give other decisions than before",
        "  fix: remove 0000000000000003 to go on from the one before it, or replay into an empty folder",
    ]


def test_the_fix_of_a_damaged_snapshot_works(out):
    out.open(out.newest())
    out.save(snapshot(out, seq=9))
    out.close()
    newest = out.root / "snapshots" / f"{9:016d}"
    (newest / "state.npz").write_bytes(b"")
    shutil.rmtree(newest)
    assert out.newest().seq == 3


def test_a_snapshot_of_another_format_is_refused(out, tmp_path, golden):
    path = out.root / "snapshots" / f"{3:016d}" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(StateError) as error:
        out.newest()
    golden("output/format", told(error, tmp_path) + "\n")


def test_what_a_killed_save_left_behind_is_no_snapshot(out):
    left = out.root / "snapshots" / f".{4:016d}.new"
    left.mkdir()
    (left / "state.npz").write_bytes(b"half")
    assert out.newest().seq == 3
    out.open(out.newest())
    out.save(snapshot(out, seq=4))
    assert out.newest().seq == 4
    assert not left.exists()
    out.close()


def test_the_last_two_snapshots_are_kept(out):
    out.open(out.newest())
    for seq in (4, 5, 10_000_000_000):
        out.save(snapshot(out, seq=seq))
    names = sorted(p.name for p in (out.root / "snapshots").iterdir())
    assert [int(n) for n in names] == [5, 10_000_000_000]
    assert out.newest().seq == 10_000_000_000
    out.close()


def test_the_configuration_is_kept_under_its_hash(out):
    configuration = shipped_setup().configuration
    out.keep_config(configuration)
    out.keep_config(configuration)
    (kept,) = (out.root / "config").iterdir()
    assert kept.name == configuration.sha256
    for name, (path, _) in configuration.files.items():
        assert (kept / name).read_bytes() == path.read_bytes(), name


def test_the_summary_is_written_whole(out):
    out.summarise({"b": 1, "a": {"x": [1]}})
    assert json.loads((out.root / "summary.json").read_text()) == {"b": 1, "a": {"x": [1]}}
    assert not list(out.root.glob(".summary*"))
