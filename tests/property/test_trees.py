"""The kernel of the half-space trees against a twin in plain Python: dicts of masses, math.log1p."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.half_space_trees import HalfSpaceTrees
from tests.oracles.detectors import NaiveTrees

WORDS = st.one_of(
    st.floats(-1e12, 1e12),
    st.integers(0, 5).map(float),
    st.sampled_from([0.0, math.nan, 1e9]),
)


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(2, 30),
    st.sampled_from([1, 2, 7, 100]),
    st.integers(0, 10**6),
    st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=120),
)
def test_scores_equal_the_naive_twin_bit_for_bit(trees, depth, window, fade, seed, rows):
    """Masses are whole numbers, so that any order of adding gives the same score."""
    params = {"trees": trees, "depth": depth, "window": window, "fade_windows": fade}
    model = HalfSpaceTrees(3, **params, memory_rows=100, seed=seed)
    twin, expected = NaiveTrees(model, 3), []
    for row in rows:
        expected.append(twin.score(row))
        twin.learn(row)
    out = np.empty(len(rows))
    model.process(np.array(rows), np.ones(len(rows), np.int8), np.zeros(len(rows), np.int8), out)
    assert out.tolist() == expected


def test_a_long_stream_equals_the_naive_twin_bit_for_bit():
    """Shipped parameters, 20 windows, drifting scale."""
    rng = np.random.default_rng(4)
    x = rng.gamma(2.0, 1_000.0, (1_500, 5)) * np.linspace(1, 30, 1_500)[:, None]
    model = HalfSpaceTrees(5, window=75, seed=9)
    twin, expected = NaiveTrees(model, 5), []
    for row in x.tolist():
        expected.append(twin.score(row))
        twin.learn(row)
    out = np.empty(len(x))
    model.process(x, np.ones(len(x), np.int8), np.zeros(len(x), np.int8), out)
    assert out.tolist() == expected


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_explanations_are_exact_on_every_path(depth):
    """Bias and contributions give the score back, on paths that stop early and on those that do not."""
    rng = np.random.default_rng(depth)
    model = HalfSpaceTrees(3, depth=depth, window=64, seed=depth)
    model.learn(rng.gamma(2.0, 10.0, (640, 3)), np.zeros(640, np.int8))
    rows = np.concatenate((rng.gamma(2.0, 10.0, (100, 3)), rng.normal(0, 1e6, (100, 3))))
    sums = [model.bias + model.explain(row).sum() for row in rows]
    np.testing.assert_allclose(sums, model.score(rows), rtol=0, atol=1e-12)


def test_bursts_stay_odd_while_they_are_rare():
    """A burst longer than a window scores high to its end; without memory it is the normal after a window."""
    rng = np.random.default_rng(6)
    x = rng.normal(0.0, 1.0, (20_000, 3))
    burst = slice(19_000, 19_600)
    x[burst] = rng.normal(6.0, 0.1, (600, 3))
    found = {}
    for fade in (1, 100):
        model, out = HalfSpaceTrees(3, fade_windows=fade, seed=1), np.empty(len(x))
        model.process(x, np.ones(len(x), np.int8), np.zeros(len(x), np.int8), out)
        usual = np.quantile(out[5_000:19_000], 0.99)
        found[fade] = float(np.mean(out[burst] > usual))
    assert found[100] == 1.0
    assert found[1] < 0.9
