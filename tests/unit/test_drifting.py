"""Alarms name the input and tell old and new in words; one drift is one alarm; nothing depends on where batches end."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from config.models import DriftEntry
from engine.admission import NEVER
from engine.drifting import FOREVER, Drifting
from engine.outcomes import Streams
from models.laws import same_state

DAY = 86_400_000_000
START = 20_000 * DAY + DAY // 3
ROWS = 900


def drifting(warm_us=0, **entry):
    words = lambda name, value: f"{value / 100:.0f} EUR" if name == "amount" else f"{value:.2f}"  # noqa: E731
    entry = DriftEntry(**entry)
    return Drifting(entry, ("amount", "share"), ("fraud", "anomaly"), warm_us, words)


def traffic(n_days, change=None, seed=1):
    """Core times, inputs and raw scores, `ROWS` transactions a day; from day 20 on as `change` makes the inputs."""
    rng = np.random.default_rng(seed)
    n = n_days * ROWS
    core_us = START + np.arange(n) * (DAY // ROWS)
    x = np.stack([rng.gamma(2.0, 2_000.0, n), rng.random(n)], axis=1).astype(np.float32)
    later = core_us >= START // DAY * DAY + 20 * DAY
    if change is not None:
        change(x, later, rng)
    kept = np.stack([rng.normal(-4.0, 1.0, n), rng.random(n)], axis=1).astype(np.float32)
    return core_us, x, kept


def run(watch, core_us, x, kept, cuts=(), fates=None):
    """Feed rows as the core would: batches cut at `cuts`, and before each row that reaches what is due."""
    out, first = Streams(), 0
    for a, b in itertools.pairwise([0, *sorted(set(cuts) - {0}), len(core_us)]):
        first = a
        while first < b:
            watch.look_ahead(core_us[first:b])
            due = first + 1 + np.flatnonzero(core_us[first + 1 : b] >= watch.next_us)
            last = int(due[0]) if len(due) else b
            watch.step(int(core_us[first]), first, "fraud", out)
            rows = np.arange(last - first)
            watch.observe(x[first:last], kept[first:last], rows, core_us[first:last])
            if fates is not None:
                label, said = fates
                told = SimpleNamespace(
                    row=np.arange(last - first), label=label[first:last], now_us=core_us[first:last]
                )
                watch.hear(told, said[first:last])
            first = last
    return [json.loads(line) for line in out.alerts]


def dearer(x, later, rng):
    x[later, 0] *= 4.0
    x[later & (rng.random(len(x)) < 0.12), 0] = np.nan


def test_an_alarm_names_the_input_and_tells_old_and_new():
    watch = drifting()
    (alarm,) = run(watch, *traffic(40, dearer))
    assert alarm["kind"] == "operational"
    assert alarm["reason"] == "INPUT_DRIFTED"
    assert (alarm["drift"], alarm["name"]) == ("input", "amount")
    words = alarm["title"].split()
    assert alarm["title"].startswith("amount: median ")
    before, now = int(words[2]), int(words[5])
    assert 28 <= before <= 40
    assert 110 <= now <= 160
    assert (
        alarm["title"].endswith("share missing 0% -> 12%")
        or "share missing 0% -> 1" in alarm["title"]
    )
    assert alarm["core_time"].startswith("2024-10-25")  # the day after
    assert alarm["statistic"] > 0.15
    assert set(watch.figures()["input"]) == {"amount", "share"}
    assert set(watch.figures()["score"]) == {"fraud", "anomaly"}


def test_the_raw_score_of_a_model_is_watched_too():
    core_us, x, kept = traffic(40)
    kept[core_us >= START // DAY * DAY + 20 * DAY, 0] += 1.0
    (alarm,) = run(drifting(), core_us, x, kept)
    assert alarm["reason"] == "SCORE_DRIFTED"
    assert alarm["title"].startswith("raw score of fraud: median -3.9")


def test_calm_traffic_and_a_watch_that_is_off_say_nothing():
    assert run(drifting(), *traffic(60)) == []
    off = drifting(watch=False)
    assert run(off, *traffic(40, dearer)) == []
    assert off.next_us == FOREVER


def test_nobody_looks_before_windows_are_warm():
    """The change is part of what is normal when looking begins."""
    watch = drifting(warm_us=25 * DAY)
    assert run(watch, *traffic(50, dearer)) == []


def fates_of(core_us, share_said, share_is):
    rng = np.random.default_rng(3)
    said = np.tile(share_said[:, None], (1, 2))
    return (rng.random(len(core_us)) < share_is).astype(np.int8), said


def test_a_calibration_that_says_far_too_little_is_one_alarm_until_it_was_honest_again():
    core_us, x, kept = traffic(60)
    day = (core_us - core_us[0]) // DAY
    wrong = ((day >= 20) & (day < 30)) | (day >= 45)
    share_is = np.where(wrong, 0.3, 0.1)
    fates = fates_of(core_us, np.full(len(core_us), 0.1), share_is)
    alarms = run(drifting(), core_us, x, kept, fates=fates)
    assert [a["reason"] for a in alarms] == ["CALIBRATION_DRIFTED"] * 2
    assert alarms[0]["title"].startswith("calibration of fraud: ")
    assert 0.25 < alarms[0]["statistic"] < 0.67


def test_verdicts_that_turn_are_counted():
    """Frauds that come late, as corrections, are no drift; without them there would seem to be none."""
    core_us, x, kept = traffic(30)
    label, said = fates_of(core_us, np.full(len(core_us), 0.1), np.full(len(core_us), 0.0))
    assert run(drifting(), core_us, x, kept, fates=(label, said))
    turning = np.random.default_rng(4).random(len(label)) < 1 / 11
    label = np.where(turning, 2, 0).astype(np.int8)
    assert run(drifting(), core_us, x, kept, fates=(label, said)) == []


@pytest.mark.parametrize("seed", range(3))
def test_batch_cuts_change_no_bit(seed):
    core_us, x, kept = traffic(32, dearer)
    fates = fates_of(core_us, np.full(len(core_us), 0.1), np.full(len(core_us), 0.2))
    rng = np.random.default_rng(seed)
    whole, cut = drifting(), drifting()
    alarms = run(whole, core_us, x, kept, fates=fates)
    assert len(alarms) == 2
    assert alarms == run(cut, core_us, x, kept, rng.integers(0, len(x), 40).tolist(), fates)
    assert same_state(whole.save(), cut.save())


def test_save_load_and_a_new_configuration_go_on():
    core_us, x, kept = traffic(40, dearer)
    half = 17 * ROWS
    watch, twin, same, other = drifting(), drifting(), drifting(), drifting(threshold=0.2)
    run(watch, core_us[:half], x[:half], kept[:half])
    twin.load(watch.save())
    same.adopt(watch)
    other.adopt(watch)
    rest = core_us[half:], x[half:], kept[half:]
    expected = run(watch, *rest)
    assert len(expected) == 1
    assert run(twin, *rest) == expected == run(same, *rest)
    (later,) = run(other, *rest)  # it begins anew, and needs a week before it can compare
    assert later["seq"] > expected[0]["seq"]
    assert drifting().save()["when"].tolist() == [NEVER, FOREVER]
