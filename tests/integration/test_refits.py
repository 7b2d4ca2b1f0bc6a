"""Models that are fitted anew beside an engine: the same outcomes however it is cut, killed or derived again."""

import json
import shutil
import subprocess
import sys
import time
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from engine import cli
from engine.clock import ManualClock
from engine.durable import backup, snapshot_helper
from engine.durable.disk import RealDisk
from engine.durable.output import MODELS, STREAMS
from engine.fits.records import NAME, RecordedFits, packed, unpacked
from engine.progress import Progress
from engine.runner import StopRequest
from engine.setup import read_setup
from engine.starting import open_engine
from replay.audit import verify
from replay.workbench.traffic import prepared
from tests.fitting import Stumps, fitting_bank, fitting_traffic
from tests.simulation.disk import Crash, SimDisk
from tests.sources import Sent

DISK = RealDisk()
NOW_US = 1_773_490_000_000_000  # after the last of the traffic
ROOT = Path("out")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fitting_bank(tmp_path_factory.mktemp("bank") / "bank")


@pytest.fixture(scope="module")
def bank(folder):
    return read_setup(folder)


@pytest.fixture(scope="module")
def lines():
    return fitting_traffic(200)


def run(disk, root, setup, source, fitters=None, **more):
    """Run to the end of `source` and stop in order."""
    clock = source.clock or ManualClock(NOW_US)
    more = {"threaded": False, "fitters": fitters or Stumps(), **more}
    engine = open_engine(disk, root, source, setup, clock, **more)
    with StopRequest() as stop, Progress(None, "msg", quiet=True) as progress:
        engine.runner.run(progress, stop)
    engine.summarise({})
    engine.close()
    return engine


def streams(disk, root):
    return {s: disk.read(root / f"{s}.ndjson") for s in STREAMS}


def alerts(disk, root, reason):
    told = map(json.loads, disk.read(root / "alerts.ndjson").splitlines())
    return [alert for alert in told if alert["reason"] == reason]


@pytest.fixture(scope="module")
def calm(bank, lines, tmp_path_factory):
    """The folder of an undisturbed replay."""
    root = tmp_path_factory.mktemp("calm") / "out"
    run(DISK, root, bank, Sent(lines))
    return root


@pytest.fixture
def out(calm, tmp_path):
    shutil.copytree(calm, tmp_path / "out")
    return tmp_path / "out"


def fits(root):
    return [json.loads(line) for line in (root / MODELS / NAME).read_text().splitlines()]


# what happens


def test_from_a_delay_after_the_first_set_on_the_model_has_scores(calm, bank):
    taken = alerts(DISK, calm, "MODEL_REFITTED")
    told = fits(calm)
    assert len(taken) >= 4
    assert [(a["closed_at"], a["sha256"]) for a in taken] == [
        (line["closed_at"], line["sha256"]) for line in told
    ]
    assert [a["closed_at"][11:] for a in taken] == ["00:00:00Z"] * len(taken)
    assert len({a["sha256"] for a in taken}) > 1
    for line in told:
        assert line["rows"] > line["frauds"] >= 2
    first = taken[0]["seq"]
    for line in (calm / "decisions.ndjson").read_text().splitlines():
        decision = json.loads(line)
        has_score = decision["models"].get("champion") is not None
        assert has_score == (decision["seq"] >= first and not decision["late"]) or decision["late"]


def test_before_there_are_frauds_enough_it_says_so(calm):
    few = alerts(DISK, calm, "MODEL_NOT_REFITTED")
    assert all("are needed" in alert["title"] for alert in few)


@pytest.mark.parametrize("cut", [1, 7, 300])
def test_where_batches_are_cut_changes_nothing(bank, lines, calm, tmp_path, cut):
    fitters = Stumps()
    run(DISK, tmp_path / "out", bank, Sent(lines, cut), fitters)
    assert streams(DISK, tmp_path / "out") == streams(DISK, calm)
    assert fits(tmp_path / "out") == fits(calm)
    seen = [each.training for each in fitters.started]
    assert len(seen) - len(fits(calm)) in (0, 1)  # the last set may not have been asked for


def test_the_saved_state_is_the_same_however_batches_are_cut(bank, lines):
    from engine.core import Core

    saved = []
    for cut in (1, 13, 5_000):
        core = Core(bank)
        core.refits.connect(_Fitting())
        for at in range(0, 240, cut):
            part = lines[at : min(240, at + cut)]
            core.apply(part, ["x"] * len(part))
        saved.append({name: array.tobytes() for name, array in core.save().items()})
    assert saved[0] == saved[1] == saved[2]
    assert any(name.startswith("refits/boosted/") for name in saved[0])


class _Fitting:
    """A port without a record."""

    def close(self, training):
        self.training = training

    def take(self, model, closed_us, attempt):
        from engine.ports import Fitted

        return Fitted("00" * 32, Stumps().start(self.training).result(1.0).arrays)


def test_a_stop_between_set_and_fit_changes_nothing(bank, lines, calm, tmp_path):
    """Stopped in order after any forty messages: the set comes back with the snapshot."""
    root = tmp_path / "out"
    for end in (*range(40, len(lines), 40), len(lines)):
        source = Sent(lines[:end], 8)
        run(DISK, root, bank, source)
    assert streams(DISK, root) == streams(DISK, calm)
    assert fits(root) == fits(calm)


# killed


def test_killed_at_any_change_of_the_disk_it_goes_on_as_if_nothing_had_happened(bank, lines):
    """In a stretch that holds a set, its fit, and the answer's way to the disk."""
    few = lines[:110]
    calm_disk = SimDisk(np.random.default_rng(0))
    run(calm_disk, ROOT, bank, Sent(few, 30))
    wanted = streams(calm_disk, ROOT)
    answers = calm_disk.read(ROOT / MODELS / NAME)
    assert len(alerts(calm_disk, ROOT, "MODEL_REFITTED")) >= 1
    for at in range(1, calm_disk.steps + 1, 11):
        disk = SimDisk(np.random.default_rng(at))
        disk.crash_at = at
        with pytest.raises(Crash):
            run(disk, ROOT, bank, Sent(few, 30))
        disk.restart(power_loss=bool(at % 2))
        run(disk, ROOT, bank, Sent(few, 30))
        assert streams(disk, ROOT) == wanted, f"stopped at change {at}"
        assert disk.read(ROOT / MODELS / NAME) == answers
        assert verify.report(ROOT, disk=disk, clock=ManualClock(NOW_US)).is_fine


def test_a_full_disk_stops_the_run_and_the_next_start_goes_on(bank, lines):
    from config.errors import StateError

    few = lines[:130]
    calm_disk = SimDisk(np.random.default_rng(0))
    run(calm_disk, ROOT, bank, Sent(few, 20))
    for at in range(90, calm_disk.steps - 15, 19):
        disk = SimDisk(np.random.default_rng(at))
        disk.full_at = at
        with pytest.raises(StateError, match="cannot be written"):
            run(disk, ROOT, bank, Sent(few, 20))
        disk.restart(power_loss=False)
        run(disk, ROOT, bank, Sent(few, 20))
        assert streams(disk, ROOT) == streams(calm_disk, ROOT)


# derived again


def test_verify_derives_with_the_fits_on_record(out):
    answer = verify.report(out)
    assert answer.is_fine, answer.headline


def test_verify_finds_arrays_that_were_exchanged(out):
    """Well-formed arrays of another fit, under the name of the first."""
    first, second = (out / MODELS / f"{line['sha256']}.npz" for line in fits(out)[:2])
    first.write_bytes(second.read_bytes())
    answer = verify.report(out)
    assert not answer.is_fine
    text = str(answer.sections)
    assert first.name in text
    assert verify.report(out, chain_only=True).is_fine is False


def test_verify_finds_a_record_that_was_changed(out):
    """Another fit in the record, with a file that fits it: the alert names the one that decided."""
    path = out / MODELS / NAME
    told = fits(out)
    arrays = unpacked((out / MODELS / f"{told[0]['sha256']}.npz").read_bytes())
    arrays["value"][0, 1] -= 0.5
    raw = packed(arrays)
    changed = sha256(raw).hexdigest()
    (out / MODELS / f"{changed}.npz").write_bytes(raw)
    path.write_text(path.read_text().replace(told[0]["sha256"], changed))
    answer = verify.report(out)
    assert not answer.is_fine
    assert "alerts.ndjson" in str(answer.sections)


def test_verify_finds_a_record_that_was_removed(out):
    shutil.rmtree(out / MODELS)
    answer = verify.report(out)
    assert not answer.is_fine
    assert "no answer is on record" in answer.headline + str(answer.sections)


def test_a_snapshot_of_the_process_beside_holds_the_same_fit(out, bank):
    shutil.rmtree(out / "snapshots")
    told = snapshot_helper.Follower(DISK, out, known={bank.sha256: bank}).snapshot(_middle(out))
    assert "seq" in told, told


def _middle(out):
    taken = alerts(DISK, out, "MODEL_REFITTED")
    return taken[1]["seq"] + 10


@pytest.mark.parametrize("arguments", [[], ["--reveal"]])
def test_a_bundle_of_a_day_holds_the_fits_that_became_active_in_it(
    out, tmp_path, capsys, monkeypatch, arguments
):
    monkeypatch.setenv("WEIR_PSEUDONYM_KEY", "a secret of sixteen or more")
    day = alerts(DISK, out, "MODEL_REFITTED")[1]["core_time"][:10]
    bundle = tmp_path / "day.zip"
    chosen = ["--day", day, "--to", str(bundle), *arguments]
    assert cli.main(["audit", "export", str(out), *chosen]) == 0
    with zipfile.ZipFile(bundle) as file:
        names = {name for name in file.namelist() if name.startswith("models/")}
        told = json.loads(file.read("manifest.json"))
    span = range(told["first_seq"], told["first_seq"] + told["n"])
    inside = [a["sha256"] for a in alerts(DISK, out, "MODEL_REFITTED") if a["seq"] in span]
    assert inside
    assert names == {"models/fits.ndjson", *(f"models/{each}.npz" for each in inside)}
    shutil.rmtree(out)
    assert cli.main(["audit", "replay", str(bundle)]) == 0
    capsys.readouterr()


def test_a_backup_takes_the_fits_along(out, tmp_path):
    backup.back_up(DISK, out, tmp_path / "copy", ManualClock(NOW_US))
    told = backup.restore(
        DISK, tmp_path / "copy", tmp_path / "back", ManualClock(NOW_US), drill="all"
    )
    assert told["drill"]["differences"] == []
    assert fits(tmp_path / "back") == fits(out)


def test_an_encrypted_folder_encrypts_fits_too(folder, lines, calm, tmp_path):
    key = tmp_path / "key"
    key.write_text("07" * 32)
    shutil.copytree(folder, tmp_path / "bank")
    with (tmp_path / "bank" / "weir.yaml").open("a") as file:
        file.write(f"\nencryption: {{key_file: {key}}}\n")
    root = tmp_path / "out"
    run(DISK, root, read_setup(tmp_path / "bank"), Sent(lines))
    assert b"boosted" not in (root / MODELS / NAME).read_bytes()
    answer = verify.report(root, key=bytes.fromhex("07" * 32))
    assert answer.is_fine, answer.headline
    assert verify.report(root, chain_only=True).is_fine


# not in time, not at all


def test_a_live_engine_does_not_wait(bank, lines, tmp_path):
    root = tmp_path / "out"
    source = Sent(lines, 8, ManualClock(NOW_US))
    engine = run(DISK, root, bank, source, Stumps(after=(2, 1 << 30)))
    said = alerts(DISK, root, "MODEL_NOT_REFITTED")
    assert any("was not ready" in alert["title"] for alert in said)
    told = fits(root)
    assert [line["attempt"] for line in told[:3]] == [0, 1, 2]
    assert told[2]["sha256"]
    assert not any(line.get("sha256") for line in told[3:])
    assert engine.fits.n_fitted == {"boosted": 1}
    assert verify.report(root).is_fine


def test_a_fit_that_fails_leaves_the_old_one_and_says_so(bank, lines, tmp_path):
    root = tmp_path / "out"
    run(DISK, root, bank, Sent(lines), Stumps(fails=(False, True, False)))
    (failed,) = [
        alert
        for alert in alerts(DISK, root, "MODEL_NOT_REFITTED")
        if "the fit failed: there was no reason" in alert["title"]
    ]
    assert failed["severity"] == "high"
    assert "goes on with the fit of" in failed["title"]
    before, after = alerts(DISK, root, "MODEL_REFITTED")[:2]
    decided = map(json.loads, (root / "decisions.ndjson").read_text().splitlines())
    between = [d for d in decided if before["seq"] <= d["seq"] < after["seq"] and not d["late"]]
    assert all(d["models"]["champion"] is not None for d in between)
    assert verify.report(root).is_fine


def test_frozen_models_are_not_fitted(folder, lines, tmp_path):
    shutil.copytree(folder, tmp_path / "bank")
    path = tmp_path / "bank" / "weir.yaml"
    path.write_text(path.read_text().replace("learning: online", "learning: frozen"))
    fitters = Stumps()
    run(DISK, tmp_path / "out", read_setup(tmp_path / "bank"), Sent(lines), fitters)
    assert fitters.started == []


def test_a_backtest_says_that_it_fits_nothing(tmp_path):
    folder = fitting_bank(tmp_path / "bank")
    rules = folder / "packs" / "one" / "rules.yaml"
    text = rules.read_text()
    rules.write_text(text.replace("fast_1h >= 4", "fast_1h >= 4 and model.score >= 0.5"))
    setup = read_setup(folder)
    whole, core = prepared(setup, setup.pack)
    assert any("`boosted`: nothing is fitted in a backtest" in note for note in whole.notes)
    assert core.refits.names == ("boosted",)


# the real thing


def command(folder, recording, out, *more):
    told = ["-m", "engine.cli", "replay", str(recording), "--config", str(folder)]
    return [sys.executable, *told, "--out", str(out), "--batch-rows", "32", "--json", *more]


@pytest.fixture
def recording(tmp_path, lines):
    path = tmp_path / "traffic.ndjson"
    path.write_bytes(b"\n".join(lines[:160]) + b"\n")
    return path


def test_a_replay_killed_while_it_is_fitted_goes_on_as_if_nothing_had_happened(
    folder, recording, tmp_path
):
    """kill -9 when the process beside has been started; then the same again, with scikit-learn in it."""
    calm = tmp_path / "calm"
    subprocess.run(command(folder, recording, calm), check=True, capture_output=True)
    answers = RecordedFits.of(DISK, calm).answers()
    assert answers
    assert answers[0].software.startswith("scikit-learn")
    if not Path("/proc/self/task").exists():
        pytest.skip("children of a process are listed on Linux only")
    for number in range(10):  # on a busy machine the fit may be over before the signal is sent
        out = tmp_path / f"out{number}"
        engine = subprocess.Popen(
            command(folder, recording, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        children = Path(f"/proc/{engine.pid}/task/{engine.pid}/children")
        while engine.poll() is None and not children.read_text():
            time.sleep(0.002)
        engine.kill()
        engine.wait()
        if not (out / MODELS / NAME).exists():
            break
    else:
        pytest.fail("it was never killed in time")
    subprocess.run(command(folder, recording, out, "--resume"), check=True, capture_output=True)
    assert streams(DISK, out) == streams(DISK, calm)
    assert [a.sha256 for a in RecordedFits.of(DISK, out).answers()] == [a.sha256 for a in answers]
    assert verify.report(out).is_fine


def test_a_model_that_is_fitted_learns_no_label(bank, lines):
    """Its card would count them else."""
    from engine.core import Core

    core = Core(bank)
    assert not core.scoring.learns_from_labels("boosted")
    assert core.scoring.learns_from_labels("linear")
