"""Running mean and deviation against numpy, and what one wild value may do."""

import numpy as np
import pytest

from models.kernels.moments import COUNT, INVERSE, MEAN, VARIANCE, observe, standardise

RNG = np.random.default_rng(1)


def after(rows, memory=1e9):
    moments = np.zeros((4, rows.shape[1]))
    for row in rows:
        observe(row, memory, moments)
    return moments


def test_they_are_those_of_all_values_while_memory_lasts():
    rows = RNG.gamma(2.0, 100.0, (500, 5))
    moments = after(rows)
    np.testing.assert_allclose(moments[MEAN], rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments[VARIANCE], rows.var(axis=0), rtol=1e-9)
    np.testing.assert_allclose(moments[INVERSE], 1 / rows.std(axis=0), rtol=1e-9)


def test_missing_values_change_nothing():
    rows = RNG.normal(5.0, 2.0, (200, 3))
    holes = rows.copy()
    holes[::3, 1] = np.nan
    moments, whole = after(holes), after(rows)
    assert (moments[:, [0, 2]] == whole[:, [0, 2]]).all()
    assert moments[COUNT, 1] == np.isfinite(holes[:, 1]).sum()
    assert moments[MEAN, 1] == pytest.approx(np.nanmean(holes[:, 1]))


def test_a_wild_value_counts_as_if_it_lay_a_hundred_deviations_out():
    rows = RNG.normal(100.0, 10.0, (10_001, 1))
    rows[10_000] = 1e15
    before, moments = after(rows[:-1]), after(rows)
    deviation = np.sqrt(before[VARIANCE, 0])
    assert moments[MEAN, 0] == pytest.approx(before[MEAN, 0] + 100 * deviation / 10_001)
    assert moments[VARIANCE, 0] < 2.1 * before[VARIANCE, 0]
    rows[10_000] = np.inf
    assert (after(rows) == moments).all()


def test_a_new_level_is_learned_within_the_memory():
    rows = np.concatenate((RNG.normal(0.0, 1.0, (5_000, 1)), RNG.normal(1_000.0, 1.0, (5_000, 1))))
    moments = after(rows, memory=500)
    assert moments[MEAN, 0] == pytest.approx(1_000.0, abs=1.0)
    assert moments[INVERSE, 0] > 0.1


def test_a_constant_has_no_deviations_and_neither_has_rounding():
    rows = np.full((300, 2), 1e15)
    rows[::2, 1] += 0.125
    moments = after(rows)
    assert (moments[INVERSE] == 0.0).all()
    out = np.ones(2)
    standardise(np.array([0.0, 2e15]), moments, 20.0, out)
    assert (out == 0.0).all()


def test_deviations_end_at_the_reach_and_a_missing_value_is_usual():
    moments = after(RNG.normal(0.0, 1.0, (1_000, 4)))
    out = np.empty(4)
    standardise(np.array([np.nan, 1e9, -np.inf, 1.0]), moments, 7.0, out)
    assert out[:3].tolist() == [0.0, 7.0, -7.0]
    assert out[3] == pytest.approx(1.0, abs=0.15)
