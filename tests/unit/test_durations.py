"""Percentiles from buckets, against sorting."""

import math

import numpy as np
import pytest

from engine.durations import STEP, Durations


@pytest.mark.parametrize("seed", range(3))
def test_percentiles_are_those_of_all_to_within_a_bucket(seed):
    rng = np.random.default_rng(seed)
    took_ns = np.exp(rng.normal(14, 3, 5_000)).astype(np.int64) + 1
    durations = Durations()
    for each in took_ns.tolist():
        durations.add(each)
    in_order = np.sort(took_ns)
    for percentile in (0.1, 50.0, 99.0, 99.9):
        exact = in_order[math.ceil(len(in_order) * percentile / 100) - 1] / 1e6
        assert durations.percentile_ms(percentile) == pytest.approx(exact, rel=STEP - 1)
    assert durations.percentile_ms(100.0) == in_order[-1] / 1e6
    assert durations.n == 5_000


def test_what_is_out_of_range_counts_at_its_end():
    durations = Durations()
    assert durations.percentile_ms(50.0) == 0.0
    for each in (0, -5, 10**15):
        durations.add(each)
    assert durations.percentile_ms(50.0) < 1e-5
    assert durations.percentile_ms(100.0) == 1e9
