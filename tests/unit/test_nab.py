"""The score of the Numenta Anomaly Benchmark, on streams small enough to count by hand."""

import math

import numpy as np
import pytest

from benchmarks import nab

WINDOWS = [[10, 19], [50, 59]]


def spoken(*rows, n=100, score=1.0):
    out = np.zeros(n)
    out[list(rows)] = score
    return out


def normalised(*rows, probation=5):
    # a silent stretch would come in at the threshold 0: it costs more than it brings, so the best leaves it out
    return nab.normalised([(spoken(*rows), WINDOWS, probation)])[0]


def test_silence_is_0_and_being_right_at_once_is_100():
    assert normalised() == 0.0
    assert normalised(10, 50) == pytest.approx(100.0)


def test_the_earliest_detection_of_a_window_counts_and_the_others_cost_nothing():
    assert normalised(10, 11, 12, 50, 59) == pytest.approx(100.0)
    late = 2.0 / (1.0 + math.exp(-5.0 * 0.1)) - 1.0  # the last row of ten
    full = 2.0 / (1.0 + math.exp(-5.0)) - 1.0
    assert normalised(10, 59) == pytest.approx(100.0 * (2.0 + 1.0 + late / full) / 4.0)


def test_an_alarm_outside_costs_and_less_so_just_behind_a_window():
    far, near = normalised(10, 50, 45), normalised(10, 50, 20)
    assert far == pytest.approx(100.0 * (4.0 - 0.11) / 4.0)
    behind = 2.0 / (1.0 + math.exp(5.0 / 9.0)) - 1.0
    assert near == pytest.approx(100.0 * (4.0 + 0.11 * behind) / 4.0)
    assert far < near < 100.0


def test_alarms_on_probation_count_for_nothing():
    assert normalised(3, 10, 50) == pytest.approx(100.0)


def test_one_threshold_serves_all_series():
    """A detector that is loud in one series and quiet in another cannot have both."""
    loud = np.where(
        np.arange(100) % 7 == 5, 5.0, 0.0
    )  # nothing but false alarms, most of them far behind a window
    quiet = spoken(10, 50)
    together = nab.normalised([(loud, [], 0), (quiet, WINDOWS, 0)])
    assert together[0] < nab.normalised([(quiet, WINDOWS, 0)])[0]
    assert together[1] == 1.0


def test_an_alarm_is_told_once_a_day():
    time = np.arange(0, 10 * nab.DAY, nab.DAY // 4)
    score = np.zeros(len(time))
    score[[3, 5, 6, 30]] = 2.0, 1.0, 3.0, 1.0
    told = nab.first_of_a_day(time, score)
    assert np.flatnonzero(told).tolist() == [3, 6, 30]


def test_columns_know_nothing_of_the_row_itself_or_later_ones():
    """Means and spreads are of rows before: what comes later changes nothing, the row itself only its own value."""
    rng = np.random.default_rng(1)
    time = np.arange(600) * nab.HOUR // 4
    value = rng.normal(5.0, 2.0, 600)
    mean, spread = nab.moving(time, value, nab.DAY)
    assert np.isnan(mean[0])
    assert mean[300] == pytest.approx(value[300 - 96 : 300].mean())
    assert spread[300] == pytest.approx(value[300 - 96 : 300].std())
    value[300:] += 100.0
    again = nab.moving(time, value, nab.DAY)[0]
    np.testing.assert_allclose(again[:301], mean[:301], atol=1e-9)
