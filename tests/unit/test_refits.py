"""When models are fitted anew and to what (engine/fits/schedule.py), and who answers (desk.py, records.py)."""

import json
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

from config.errors import ConfigError, StateError
from config.models import ModelEntry, ModelsFile, RefitEntry
from engine.clock import ManualClock
from engine.durable.disk import RealDisk
from engine.durable.output import MODELS
from engine.fits import desk as desks
from engine.fits.desk import Desk, Fit, Processes
from engine.fits.records import NAME, FitRecords, RecordedFits, packed, unpacked
from engine.fits.schedule import FOREVER, Refits
from engine.outcomes import Streams
from engine.ports import Fitted, NotFitted, TrainingSet
from engine.remembered import FRAUD, GENUINE, LATE, NO_LABEL, WITHDRAWN, Remembered

HOUR = 3_600_000_000
DAY = 24 * HOUR
START = 2_000 * 7 * DAY  # a multiple of `every`


class Scoring:
    """The part of engine/scoring.py that is needed."""

    inputs = ("amount", "count", "age")

    def __init__(self):
        self.frozen = frozenset()
        self.taken = []

    def take_over(self, name, arrays):
        self.taken.append((name, dict(arrays)))


class Port:
    """Notes what it is told, and answers what it is given."""

    def __init__(self, *answers):
        self.answers, self.closed, self.asked = list(answers), [], []

    def close(self, training):
        self.closed.append(training)

    def take(self, model, closed_us, attempt):
        self.asked.append((model, closed_us, attempt))
        return self.answers.pop(0)


def memory_of(rows, horizon_us=120 * DAY):
    """Remembered transactions from (core time, label, standing)."""
    memory = Remembered(horizon_us, n_number=0, n_code=0, n_input=3, n_score=1)
    memory.reserve(len(rows))
    for k, (core_us, label, standing) in enumerate(rows):
        memory.add(f"t{k}", 10 * k, core_us, core_us, k)
        memory.arrays["label"][k] = label
        memory.arrays["standing"][k] = standing
        memory.arrays["input"][k] = [k, 100 + k, 200 + k]
    return memory


def daily(n_days, label=lambda day: FRAUD if day % 5 == 0 else GENUINE):
    """A transaction a day, the last at START - 1 day."""
    return [(START - (n_days - k) * DAY, label(n_days - k), 0) for k in range(n_days)]


def refits_of(memory, port=None, *, scoring=None, assume_after_us=None, **refit):
    refit = {"train": "30d", "frauds_min": 1, **refit}
    entry = ModelEntry(
        kind="boosted",
        inputs=("age", "amount"),
        params={"trees": 8, "leaves": 4},
        refit=RefitEntry(**refit),
    )
    file = ModelsFile(models={"boosted": entry}, champion="boosted", seed=5)
    made = Refits(file, scoring or Scoring(), memory, assume_after_us)
    if port is not None:
        made.connect(port)
    return made


def step(refits, core_us, seq=1):
    """The alerts of one step."""
    out = Streams()
    n = refits.step(core_us, seq, out)
    told = [json.loads(line) for line in out.alerts]
    assert len(told) == n
    return told


def begun(refits):
    """After the first row, an hour before START."""
    assert step(refits, START - HOUR) == []
    assert refits.next_us == START
    return refits


# the set


def test_the_set_holds_matured_verdicts_of_the_range_as_they_were_decided():
    memory = memory_of(daily(40))
    port = Port()
    refits = begun(refits_of(memory, port))
    assert step(refits, START) == []
    (training,) = port.closed
    first, last = 11, 33  # 29 days and 7 days old; 30 days is too old, 6 too young
    np.testing.assert_array_equal(training.x[:, 1], np.arange(first, last + 1))  # the amounts
    np.testing.assert_array_equal(training.x[:, 0], 200 + training.x[:, 1])  # the ages
    np.testing.assert_array_equal(training.label, (40 - training.x[:, 1]) % 5 == 0)
    assert (training.weight == 1.0).all()
    assert training.closed_us == START
    assert (training.kind, training.seed) == ("boosted", 5)


def test_what_has_no_verdict_or_did_not_count_is_left_out():
    rows = [
        (START - 20 * DAY, FRAUD, 0),
        (START - 19 * DAY, NO_LABEL, 0),
        (START - 18 * DAY, WITHDRAWN, 0),
        (START - 17 * DAY, GENUINE, LATE),
        (START - 16 * DAY, GENUINE, 0),
    ]
    port = Port()
    step(begun(refits_of(memory_of(rows), port)), START)
    np.testing.assert_array_equal(port.closed[0].x[:, 1], [0, 4])
    port = Port()
    silent = refits_of(memory_of(rows), port, assume_after_us=19 * DAY)
    step(begun(silent), START)
    np.testing.assert_array_equal(port.closed[0].x[:, 1], [0, 1, 4])  # silence that is old enough


def test_of_many_genuine_ones_a_sample_stands_for_all():
    rows = [(START - 20 * DAY + k, FRAUD if k % 100 == 0 else GENUINE, 0) for k in range(20_000)]
    memory = memory_of(rows)
    port = Port()
    step(begun(refits_of(memory, port, genuine_max=1_000)), START)
    (training,) = port.closed
    n_genuine = int((training.label == 0).sum())
    assert 850 < n_genuine < 1_150
    assert int(training.label.sum()) == 200  # every fraud
    assert training.weight[training.label == 0].sum() == pytest.approx(19_800)
    assert (training.weight[training.label == 1] == 1.0).all()
    again = Port()
    step(begun(refits_of(memory, again, genuine_max=1_000)), START)
    assert again.closed[0].x.tobytes() == training.x.tobytes()
    assert (np.diff(training.x[:, 1]) > 0).all()  # in their order


def test_too_few_frauds_are_said_and_nothing_is_fitted():
    port = Port()
    refits = begun(refits_of(memory_of(daily(40)), port, frauds_min=9))
    (told,) = step(refits, START + 5, seq=77)
    assert port.closed == []
    assert (told["reason"], told["seq"]) == ("MODEL_NOT_REFITTED", 77)
    assert told["frauds"] == 4
    assert "no score" in told["title"]
    assert refits.next_us == START + 7 * DAY


# the schedule


def test_a_fit_decides_from_its_delay_on():
    port, scoring = Port(Fitted("ab" * 32, {"a": np.zeros(1)})), Scoring()
    refits = begun(refits_of(memory_of(daily(40)), port, scoring=scoring))
    assert step(refits, START - 1) == []
    assert port.closed == []
    step(refits, START)
    assert refits.next_us == START + HOUR
    assert step(refits, START + HOUR - 1) == []
    assert port.asked == []
    (told,) = step(refits, START + HOUR)
    assert port.asked == [("boosted", START, 0)]
    assert told["reason"] == "MODEL_REFITTED"
    assert told["sha256"] == "ab" * 32
    assert (told["model"], told["rows"], told["frauds"]) == ("boosted", 23, 4)
    assert [name for name, _ in scoring.taken] == ["boosted"]
    assert refits.active == {"boosted": (START, "ab" * 32)}
    assert refits.next_us == START + 7 * DAY


def test_what_is_not_ready_is_asked_for_again_until_the_next_set():
    waiting = NotFitted("not ready", may_come=True)
    port = Port(waiting, waiting, Fitted("cd" * 32, {}))
    refits = begun(refits_of(memory_of(daily(40)), port))
    step(refits, START)
    assert [told["reason"] for told in step(refits, START + HOUR)] == ["MODEL_NOT_REFITTED"]
    assert step(refits, START + 3 * HOUR) == []  # said once
    assert refits.next_us == START + 4 * HOUR
    assert [told["reason"] for told in step(refits, START + 4 * HOUR)] == ["MODEL_REFITTED"]
    assert port.asked == [("boosted", START, 0), ("boosted", START, 1), ("boosted", START, 2)]


def test_a_fit_that_failed_is_not_asked_for_again():
    port = Port(NotFitted("the fit failed: no"))
    refits = begun(refits_of(memory_of(daily(40)), port))
    step(refits, START)
    (told,) = step(refits, START + HOUR)
    assert "the fit failed" in told["title"]
    assert refits.next_us == START + 7 * DAY


def test_a_gap_closes_one_set_and_leaves_it_its_delay():
    port = Port(NotFitted("no"))
    refits = begun(refits_of(memory_of(daily(40)), port))
    step(refits, START + 20 * DAY)
    assert [each.closed_us for each in port.closed] == [START + 14 * DAY]
    assert refits.next_us == START + 20 * DAY + HOUR


def test_what_is_frozen_is_not_fitted():
    port, scoring = Port(), Scoring()
    refits = begun(refits_of(memory_of(daily(40)), port, scoring=scoring))
    scoring.frozen = frozenset({"boosted"})
    assert step(refits, START) == []
    assert port.closed == []
    scoring.frozen = frozenset()
    step(refits, START + 7 * DAY)
    assert len(port.closed) == 1
    scoring.frozen = frozenset({"boosted"})
    assert step(refits, START + 7 * DAY + HOUR) == []
    assert port.asked == []


def test_saved_and_loaded_it_goes_on_with_the_set_on_its_way():
    port = Port()
    refits = begun(refits_of(memory_of(daily(40)), port))
    step(refits, START)
    saved = refits.save()
    later = Port(Fitted("ef" * 32, {}))
    other = refits_of(memory_of([]), later)
    other.load(saved)
    (training,) = later.closed
    assert training.x.tobytes() == port.closed[0].x.tobytes()
    assert other.next_us == refits.next_us
    assert len(step(other, START + HOUR)) == 1
    third = refits_of(memory_of([]), Port())
    third.load(other.save())
    assert third.active == {"boosted": (START, "ef" * 32)}
    assert {n: a.tobytes() for n, a in third.save().items()} == {
        n: a.tobytes() for n, a in other.save().items()
    }


def test_another_configuration_takes_over_what_means_the_same():
    port = Port()
    refits = begun(refits_of(memory_of(daily(40)), port))
    step(refits, START)
    kept, fresh = refits_of(memory_of([])), refits_of(memory_of([]))
    fresh.adopt(refits, [], START + 5)
    assert fresh.next_us == START + 7 * DAY
    kept.adopt(refits, ["boosted"], START + 5)
    assert kept.next_us == START + HOUR


def test_fitted_less_often_from_now_on_sets_are_closed_at_the_new_multiples():
    """START is a multiple of 7d; of 9d the next one is four days on."""
    port = Port(NotFitted("no"))
    refits = begun(refits_of(memory_of(daily(40)), port, every="1d"))
    step(refits, START)
    step(refits, START + HOUR)
    now = refits_of(memory_of(daily(40)), every="9d")
    now.adopt(refits, ["boosted"], START + 2 * HOUR)
    due_us = START // (9 * DAY) * 9 * DAY + 9 * DAY
    assert due_us == START + 4 * DAY
    assert now.next_us == due_us
    step(now, due_us)
    assert port.closed[-1].closed_us == due_us


def test_without_models_to_fit_nothing_is_ever_due():
    file = ModelsFile(models={"a": ModelEntry(kind="logistic", inputs=("age",))}, champion="a")
    assert Refits(file, Scoring(), memory_of([]), None).next_us == FOREVER


@pytest.mark.parametrize(
    ("remember_us", "refit", "said"),
    [(20 * DAY, {}, "`remember` is shorter"), (120 * DAY, {"train": "6d"}, "`train` of model")],
)
def test_ranges_that_cannot_be_filled_are_refused(remember_us, refit, said):
    with pytest.raises(ConfigError, match=said):
        refits_of(memory_of([], remember_us), **refit)


# who answers


class Fitter:
    """Gives what it is given, once it is ready."""

    def __init__(self, fit):
        self.fit, self.is_ready, self.is_stopped = fit, True, False

    def result(self, wait_s):
        return self.fit if self.is_ready or wait_s else None

    def stop(self):
        self.is_stopped = True


class Fitters:
    def __init__(self, *fits):
        self.fits, self.started = list(fits), []

    def start(self, training):
        self.started.append(Fitter(self.fits.pop(0)))
        return self.started[-1]


def training_of(closed_us=START, n=400):
    rng = np.random.default_rng(1)
    label = (np.arange(n) % 4 == 0).astype(np.int8)
    x = (rng.normal(size=(n, 2)) + label[:, None]).astype(np.float32)
    params = {"trees": 8, "leaves": 4, "leaf_rows": 5}
    return TrainingSet("boosted", "boosted", params, 5, closed_us, x, label, np.ones(n))


ARRAYS = {"b": np.arange(3.0), "a": np.zeros((2, 2), np.int32)}


def desk_of(root, *fits, waits=True):
    disk = RealDisk()
    (root / MODELS).mkdir(exist_ok=True)
    return Desk(FitRecords(disk, root), Fitters(*fits), ManualClock(START), waits=waits)


def test_an_answer_is_on_record_before_it_is_given(tmp_path):
    desk = desk_of(tmp_path, Fit(ARRAYS, seconds=2.5, software="x 1"))
    desk.close(training_of())
    given = desk.take("boosted", START, 0)
    raw = (tmp_path / MODELS / f"{given.sha256}.npz").read_bytes()
    assert sha256(raw).hexdigest() == given.sha256
    (line,) = (tmp_path / MODELS / NAME).read_text().splitlines()
    told = json.loads(line)
    assert told["sha256"] == given.sha256
    assert (told["rows"], told["frauds"], told["seconds"]) == (400, 100, 2.5)
    assert told["software"] == "x 1"
    again = RecordedFits.of(RealDisk(), tmp_path).take("boosted", START, 0)
    assert again.sha256 == given.sha256
    assert all(again.arrays[name].tobytes() == ARRAYS[name].tobytes() for name in ARRAYS)


def test_a_question_that_was_answered_is_answered_alike_and_nothing_is_fitted_again(tmp_path):
    desk_of(tmp_path, Fit(ARRAYS)).close(training_of())
    first = desk_of(tmp_path, Fit(ARRAYS))
    first.close(training_of())
    given = first.take("boosted", START, 0)
    again = desk_of(tmp_path)
    again.close(training_of())
    assert again.fitters.started == []
    assert again.take("boosted", START, 0).sha256 == given.sha256


def test_a_live_engine_goes_on_without_what_is_not_ready(tmp_path):
    desk = desk_of(tmp_path, Fit(ARRAYS), waits=False)
    desk.close(training_of())
    desk.fitters.started[0].is_ready = False
    assert desk.take("boosted", START, 0) == NotFitted(desks.NOT_READY, may_come=True)
    after = desk_of(tmp_path, Fit(ARRAYS), waits=False)  # killed here
    after.close(training_of())
    assert len(after.fitters.started) == 1  # it is fitted again
    assert after.take("boosted", START, 0) == NotFitted(desks.NOT_READY, may_come=True)
    assert isinstance(after.take("boosted", START, 1), Fitted)
    assert after.n_skipped == {"boosted": 1}


def test_what_fits_have_cost_is_summed_up(tmp_path):
    desk = desk_of(tmp_path, Fit(ARRAYS, seconds=2.5), Fit(failed="no"))
    assert desk.figures() == {}
    for day in range(2):
        desk.close(training_of(START + day * DAY))
        desk.take("boosted", START + day * DAY, 0)
    figures = {"fitted": 1, "skipped": 1, "last_seconds": 2.5, "last_rows": 400, "last_frauds": 100}
    assert desk.figures() == {"boosted": figures}


def test_an_engine_does_not_load_the_library_that_fits():
    """It takes a second, and a machine that only verifies need not have it."""
    code = "import engine.app, models.registry, sys; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_failed_fit_is_an_answer(tmp_path):
    desk = desk_of(tmp_path, Fit(failed="no memory"))
    desk.close(training_of())
    assert desk.take("boosted", START, 0) == NotFitted("the fit failed: no memory")
    assert RecordedFits.of(RealDisk(), tmp_path).take("boosted", START, 0).why.endswith("no memory")


def test_a_fit_that_never_ends_is_given_up(tmp_path):
    desk = desk_of(tmp_path, None)
    desk.close(training_of())
    desk.clock.advance_us(int(desks.SECONDS_MAX * 1e6))
    assert "did not end" in desk.take("boosted", START, 0).why
    assert desk.fitters.started[0].is_stopped


def test_an_answer_that_no_record_has_taken_is_not_given_to_another_configuration(tmp_path):
    """It was on record, and the record that asked for it was lost in a crash; then the model became another one."""
    first = desk_of(tmp_path, Fit(ARRAYS), Fit(ARRAYS))
    for closed_us in (START, START + 7 * DAY):
        first.close(training_of(closed_us))
        first.take("boosted", closed_us, 0)
    FitRecords(RealDisk(), tmp_path).forget_after(START + DAY)
    others = {"b": np.arange(5.0)}
    second = desk_of(tmp_path, Fit(others))
    assert second.take("boosted", START, 0).arrays.keys() == ARRAYS.keys()
    second.close(training_of(START + 7 * DAY))
    given = second.take("boosted", START + 7 * DAY, 0)
    assert given.arrays.keys() == others.keys()
    again = RecordedFits.of(RealDisk(), tmp_path).take("boosted", START + 7 * DAY, 0)
    assert again.sha256 == given.sha256


def test_a_newer_set_takes_the_place_of_an_older_one(tmp_path):
    desk = desk_of(tmp_path, Fit(ARRAYS), Fit(ARRAYS))
    desk.close(training_of())
    desk.close(training_of())
    assert len(desk.fitters.started) == 1
    desk.close(training_of(START + 7 * DAY))
    assert [each.is_stopped for each in desk.fitters.started] == [True, False]


def test_arrays_that_were_changed_are_not_taken(tmp_path):
    desk = desk_of(tmp_path, Fit(ARRAYS))
    desk.close(training_of())
    given = desk.take("boosted", START, 0)
    path = tmp_path / MODELS / f"{given.sha256}.npz"
    path.write_bytes(packed({**ARRAYS, "b": np.arange(3.0) + 1.0}))
    with pytest.raises(StateError, match="were changed"):
        RecordedFits.of(RealDisk(), tmp_path).take("boosted", START, 0)
    path.unlink()
    with pytest.raises(StateError, match="are missing"):
        RecordedFits.of(RealDisk(), tmp_path).take("boosted", START, 0)


def test_what_was_never_answered_cannot_be_derived_again(tmp_path):
    with pytest.raises(StateError, match="no answer is on record"):
        RecordedFits.of(RealDisk(), tmp_path).take("boosted", START, 0)


def test_what_a_kill_has_left_is_tidied_and_nothing_else(tmp_path):
    """Whoever names a folder that has something else in `models/` must find it there afterwards."""
    desk = desk_of(tmp_path, Fit(ARRAYS))
    desk.close(training_of())
    given = desk.take("boosted", START, 0)
    folder = tmp_path / MODELS
    (folder / "theirs").mkdir()
    kept = {NAME, f"{given.sha256}.npz", "theirs", "theirs.py", "00.npz", ".hidden"}
    for name in ("theirs.py", "00.npz", ".hidden", ".fits.ndjson.new", f".{given.sha256}.npz.new"):
        (folder / name).write_bytes(b"x")
    FitRecords(RealDisk(), tmp_path)
    assert {path.name for path in folder.iterdir()} == kept


def test_arrays_outlive_the_list_that_names_them(tmp_path):
    """A list comes back from a backup; a start in between must not have removed what it names."""
    desk = desk_of(tmp_path, Fit(ARRAYS))
    desk.close(training_of())
    given = desk.take("boosted", START, 0)
    (tmp_path / MODELS / NAME).rename(tmp_path / "backup")
    FitRecords(RealDisk(), tmp_path)
    (tmp_path / "backup").rename(tmp_path / MODELS / NAME)
    assert RecordedFits.of(RealDisk(), tmp_path).take("boosted", START, 0).sha256 == given.sha256


def test_packed_arrays_have_the_same_bytes_in_any_order():
    assert packed(ARRAYS) == packed(dict(reversed(ARRAYS.items())))
    assert unpacked(packed(ARRAYS)).keys() == ARRAYS.keys()


def test_a_process_fits_what_the_library_fits(tmp_path):
    """The real one: what comes back is what `fit` gives here, bit for bit."""
    from models.boosted import fit

    training = training_of()
    result = Processes().start(training).result(120.0)
    assert result.failed == ""
    assert result.software.startswith("scikit-learn ")
    wanted = fit(training.x.astype(float), training.label, training.weight, training.params, 5)
    assert packed(result.arrays) == packed(wanted)
    assert packed(Processes().start(training).result(120.0).arrays) == packed(result.arrays)


def test_a_process_that_cannot_fit_says_why():
    training = training_of()
    one_kind = TrainingSet(
        *("boosted", "boosted", {}, 5, START), training.x, np.zeros(400, np.int8), training.weight
    )
    result = Processes().start(one_kind).result(120.0)
    assert result.arrays is None
    assert "0 frauds" in result.failed


def test_a_process_that_is_stopped_is_gone(tmp_path):
    started = Processes().start(training_of(n=200_000))
    started.stop()
    assert started._process.returncode is not None
