"""`weir audit verify` as people use it: one day, an unfinished run, an encrypted journal, what it prints and returns."""

import json
import shutil
from pathlib import Path

import pytest

from config.errors import InputError
from engine import cli
from engine.durable import seals
from engine.durable.disk import RealDisk
from replay.audit import verify
from replay.audit.derived import ENDS
from tests.auditing import replayed

DISK = RealDisk()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two days of a small bank, stopped in order twice: a snapshot after 16 hours, one at the end."""
    return replayed(tmp_path_factory.mktemp("verify"), 600, stops=2)


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def rows(report):
    return [(row[0], row[1]) for row in report.sections[0].rows] if report.sections else []


def test_a_folder_as_it_was_written_has_no_difference(whole, capsys):
    decisions = len((whole / "decisions.ndjson").read_bytes().splitlines())
    root = seals.read_seals(DISK, whole).root
    assert cli.main(["audit", "verify", str(whole)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == f"{decisions:,} decisions, 0 differences, root = {root}"
    assert "Self-consistent only" in out
    assert cli.main(["audit", "verify", str(whole), "--root", root, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["facts"]["decisions"] == decisions
    assert told["facts"]["snapshots derived"] == 2
    last = seals.read_seals(DISK, whole).seq_end - 1
    remark = f"The root given proves the records up to seq {last}: all that is sealed."
    assert told["remarks"] == [remark]


def test_a_difference_is_in_the_first_line_and_returns_1(copy, capsys):
    path = copy / "decisions.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"score":600', b'"score":610', 1))
    assert cli.main(["audit", "verify", str(copy), "--chain-only"]) == 1
    assert "decisions.ndjson@" in capsys.readouterr().out.splitlines()[0]
    report = verify.report(copy)
    assert len(rows(report)) == 2, "once by the chain, once by the derivation, to the field"
    assert report.sections[0].rows[1][4:] == ("score", "610", "600")
    assert any(r.startswith("Deriving stopped at the first record") for r in report.remarks)


def test_one_day_is_derived_from_the_snapshot_before_it(whole):
    days = [s.closes_day for s in seals.read_seals(DISK, whole).seals if s.closes_day]
    assert days == ["2026-03-02", "2026-03-03"]
    report = verify.report(whole, day="2026-03-03")
    assert report.is_fine, report.as_text()
    assert report.facts["from snapshot"] is not None
    assert 0 < report.facts["decisions"] < verify.report(whole).facts["decisions"]
    last = verify.report(whole, day="2026-03-04")
    assert last.is_fine


@pytest.mark.parametrize("day", ["2026-03-01", "2027-01-01"])
def test_a_day_that_the_folder_does_not_have_is_refused(whole, day):
    with pytest.raises(InputError, match=f"there is no day {day} in the folder"):
        verify.report(whole, day=day)


def killed(copy: Path) -> Path:
    """The folder as a kill -9 leaves it: no end of the journal, the last seal and all notes behind it not written."""
    segment = max((copy / "journal").iterdir())
    segment.write_bytes(segment.read_bytes()[:-72])
    chain = seals.read_seals(DISK, copy)
    data = (copy / "seals.ndjson").read_bytes()
    (copy / "seals.ndjson").write_bytes(data[: chain.seals[-1].byte])
    return copy


def test_what_a_killed_run_had_not_sealed_is_derived_again(copy):
    chain = seals.read_seals(DISK, copy)
    shutil.rmtree(max((copy / "snapshots").iterdir()))
    (copy / "summary.json").unlink()
    before = {n.fields["file"]: n for n in chain.notes("file")}
    assert before
    report = verify.report(killed(copy))
    # the summary of the first stop is gone with the file; nothing else is wrong
    assert rows(report) == [("summary.json", "the file is not there")]
    assert any(
        remark.startswith(f"Not sealed yet: {chain.seals[-1].n} records")
        for remark in report.remarks
    )


def test_a_line_changed_behind_the_last_seal_is_found_by_deriving_only(copy):
    (copy / "summary.json").unlink()
    shutil.rmtree(max((copy / "snapshots").iterdir()))
    path = killed(copy) / "decisions.ndjson"
    head, last = path.read_bytes()[:-1].rsplit(b"\n", 1)
    path.write_bytes(head + b"\n" + last.replace(b'"late":false', b'"late":true ') + b"\n")
    assert rows(verify.report(copy, chain_only=True)) == [("summary.json", "the file is not there")]
    assert "differs from what the journal gives again" in dict(rows(verify.report(copy))).values()


def test_a_stream_that_a_kill_has_torn_is_found_once_with_what_to_do(tmp_path):
    folder = killed(replayed(tmp_path, 200))
    (folder / "summary.json").unlink()
    shutil.rmtree(folder / "snapshots")
    path = folder / "decisions.ndjson"
    at = path.read_bytes().rindex(b"\n", 0, -1) + 1
    path.write_bytes(path.read_bytes()[: at + 40])
    report = verify.report(folder)
    assert rows(report) == [(f"decisions.ndjson@{at + 40}", ENDS)]
    assert any(r.startswith("A run that was killed leaves its") for r in report.remarks)
    path.write_bytes(path.read_bytes()[:at].replace(b'"score":0', b'"score":1'))
    remarks = verify.report(folder).remarks
    assert not any(r.startswith("A run that was killed leaves its") for r in remarks)


def test_a_chain_whose_last_lines_were_cut_off_is_found(copy):
    """The journal says that the run was stopped in order; a killed one has no end."""
    data = (copy / "seals.ndjson").read_bytes()
    (copy / "seals.ndjson").write_bytes(data[: seals.read_seals(DISK, copy).seals[-1].byte])
    found = rows(verify.report(copy, chain_only=True))
    assert any(where == "seals.ndjson" for where, _ in found)


def test_everything_gone_but_the_streams_is_found(copy):
    for name in ("journal", "snapshots", "config"):
        shutil.rmtree(copy / name)
    (copy / "seals.ndjson").unlink()
    report = verify.report(copy)
    assert not report.is_fine


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("bit", "is not the one derived"),
        ("gone", "is missing"),
        ("more", "is not derived"),
        ("kind", "is not the one derived"),
        ("shape", "is not the one derived"),
    ],
)
def test_a_snapshot_written_anew_with_its_hash_is_found_by_deriving(copy, change, told):
    """One bit of the remembered state, or an array, with zip checksum, manifest, note and chain written anew."""
    from hashlib import sha256

    import numpy as np

    from engine.durable import snapshots

    seq = snapshots.numbers(DISK, copy)[0]
    folder = copy / "snapshots" / f"{seq:016d}"
    with np.load(folder / "state.npz") as arrays:
        state = {name: arrays[name].copy() for name in arrays.files}
    name = next(n for n in sorted(state) if n.startswith("remembered") and state[n].nbytes)
    if change == "bit":
        state[name].reshape(-1).view(np.uint8)[-1] ^= 1
    elif change == "gone":
        del state[name]
    elif change == "more":
        state[name + "/more"] = state[name]
        name += "/more"
    elif change == "kind":
        state[name] = state[name].view(np.uint8 if state[name].dtype != np.uint8 else np.int8)
    else:
        state[name] = state[name][..., None]
    np.savez(folder / "state.npz", **state)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["sha256"]["state.npz"] = sha256((folder / "state.npz").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    lines, previous = [], seals.NO_ROOT
    for line in (copy / "seals.ndjson").read_bytes().splitlines():
        fields = json.loads(line)
        del fields["previous"], fields["hash"]
        if fields.get("snapshot") == seq:
            for file in fields["sha256"]:
                fields["sha256"][file] = sha256((folder / file).read_bytes()).hexdigest()
        text, previous = seals.encode_line(fields, previous)
        lines.append(text)
    (copy / "seals.ndjson").write_bytes(b"".join(lines))
    assert verify.report(copy, chain_only=True).is_fine
    assert rows(verify.report(copy)) == [(f"snapshots/{seq:016d}", f"its `{name}` {told}")]


def test_an_encrypted_journal_needs_its_key_to_be_derived_but_not_for_the_chain(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TEST_KEY", "ab" * 32)
    out = replayed(tmp_path, 200, encryption="{key_env: TEST_KEY}")
    capsys.readouterr()
    assert cli.main(["audit", "verify", str(out), "--chain-only"]) == 0
    assert cli.main(["audit", "verify", str(out), "--key-env", "TEST_KEY"]) == 0
    assert cli.main(["audit", "verify", str(out)]) == 2
    assert "the journal is encrypted and no key is given" in capsys.readouterr().err


def test_names_that_are_not_weirs_are_said_to_be_proven_by_nothing(copy):
    (copy / "notes.txt").write_text("hello")
    report = verify.report(copy, chain_only=True)
    assert report.is_fine
    assert "Outside of the chain, proven by nothing: notes.txt" in report.remarks


def test_values_that_may_name_somebody_are_hidden_unless_revealed(copy, capsys):
    path = copy / "decisions.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"account":"A07"', b'"account":"A77"', 1))
    assert cli.main(["audit", "verify", str(copy)]) == 1
    told = capsys.readouterr().out
    assert "A77" not in told
    assert "A07" not in told
    assert "account  hidden    hidden" in told
    assert cli.main(["audit", "verify", str(copy), "--reveal"]) == 1
    revealed = capsys.readouterr().out
    assert "A77" in revealed
    assert "A07" in revealed


@pytest.mark.parametrize("given", ["", "abc", "/nowhere/roots"])
def test_a_root_that_is_none_is_refused_and_not_left_out(whole, capsys, given):
    """`--root "$ROOT"` with nothing in ROOT would else be a verification without one, and fine."""
    assert cli.main(["audit", "verify", str(whole), "--chain-only", "--root", given]) == 2
    assert f"--root must be a root or a file of them, was `{given}`" in capsys.readouterr().err


def test_an_empty_copy_of_roots_proves_nothing_and_is_refused(whole, tmp_path, capsys):
    (tmp_path / "roots").touch()
    given = ["audit", "verify", str(whole), "--chain-only", "--root", str(tmp_path / "roots")]
    assert cli.main(given) == 2
    assert "the copy of roots is empty" in capsys.readouterr().err
