"""The boosting kernel against a twin that tries every split on all rows; and what the trees are for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.kernels import boosting as kernels
from models.prequential import roc_auc
from models.streaming_trees import StreamingTrees
from tests.oracles.streaming_trees import NaiveStreamingTrees


def rows_of(seed, n, missing=0.1):
    """Rows in three units, one a small count; frauds where two of them are high together."""
    rng = np.random.default_rng(seed)
    x = np.column_stack((rng.gamma(2.0, 1_000.0, n), rng.normal(0, 1, n), rng.poisson(1.0, n)))
    fraud = (x[:, 0] > 2_000) & (x[:, 1] > 0.3) & (rng.random(n) < 0.8)
    x[rng.random(x.shape) < missing] = np.nan
    return x, fraud.astype(np.int8)


def compare(model, twin, x, label):
    """Feed both; their scores of the rows, before each is learned."""
    found, expected = np.empty(len(x)), []
    model.process(x, np.full(len(x), 2, np.int8), label, found)
    for row, truth in zip(x.tolist(), label.tolist(), strict=True):
        expected.append(twin.score(row))
        twin.learn(row, truth)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3), st.integers(1, 25), st.floats(0.3, 1.0)
)  # fmt: skip
def test_scores_equal_the_naive_twin(seed, trees, depth, leaf_rows, rows_share):
    """Two ways to grow one tree after another agree to rounding."""
    model = StreamingTrees(
        3, trees=trees, depth=depth, memory=256, period=64, leaf_rows=leaf_rows,
        rows_share=rows_share, seed=seed,
    )  # fmt: skip
    compare(model, NaiveStreamingTrees(model, trees, 256, 3), *rows_of(seed, 260))


def test_a_long_stream_equals_the_naive_twin():
    """Memory runs over, genuine rows are drawn, trees are replaced, rows vanish while a tree grows."""
    model = StreamingTrees(3, trees=4, depth=2, memory=300, period=120, seed=5)
    compare(model, NaiveStreamingTrees(model, 4, 300, 3), *rows_of(5, 2_500))
    count = model.save()["count"]
    assert count[kernels.KEPT] > 600
    assert count[kernels.BUILT] > 12


@pytest.mark.parametrize("depth", [1, 4])
def test_explanations_are_exact(depth):
    """Bias and contributions give the score back, with missing values too."""
    model = StreamingTrees(3, depth=depth, memory=1_024, period=64, seed=1)
    model.learn(*rows_of(1, 3_000))
    x, _ = rows_of(2, 300, missing=0.3)
    sums = [model.bias + model.explain(row).sum() for row in x]
    np.testing.assert_allclose(sums, model.score(x), rtol=0, atol=1e-12)


def test_what_only_two_inputs_together_say_is_found():
    model = StreamingTrees(3, seed=1)
    model.learn(*rows_of(1, 12_000))
    x, label = rows_of(2, 4_000)
    assert roc_auc(label, model.score(x)) > 0.9


def test_a_changed_world_is_learned():
    """What was fraud becomes genuine and the other way round; memory forgets the old one."""
    model = StreamingTrees(1, trees=16, memory=1_024, period=64, seed=1)
    rng = np.random.default_rng(2)
    for sign in (1.0, -1.0):
        x = rng.normal(0, 1, (12_000, 1))
        model.learn(x, (sign * x[:, 0] > 1.2).astype(np.int8))
        low, high = model.score(np.array([[-2.0], [2.0]]))
        assert (high > low) == (sign > 0)


def test_memory_stays_bounded_and_keeps_frauds():
    """One fraud in a hundred: of the rows in memory they are at least a sixth, and weights stand for the others."""
    rng = np.random.default_rng(3)
    model = StreamingTrees(2, memory=1_024, period=256, seed=1)
    label = (rng.random(100_000) < 0.01).astype(np.int8)
    model.learn(rng.normal(0, 1, (100_000, 2)) + label[:, None], label)
    state = model.save()
    fraud = state["fraud"] == 1
    assert 1 / 6 < fraud.mean() < 1 / 2
    share = state["weight"][fraud].sum() / state["weight"].sum()
    assert 0.005 < share < 0.02


@pytest.mark.parametrize("values", [np.zeros(3_000), np.r_[np.zeros(2_900), np.arange(1, 101)]])
def test_cuts_tell_rare_values_apart(values):
    """A pile of zeros does not take all cuts, and an input that never moves has none."""
    memory = values.astype(np.float32)[:, None]
    cut, n_cuts = np.zeros((1, 62), np.float32), np.zeros(1, np.int64)
    place = np.zeros((3_000, 1), np.uint8)
    kernels.cut_again(0, memory, 3_000, 1, cut, n_cuts, place)
    n = n_cuts[0]
    assert (np.diff(cut[0, :n]) > 0).all()
    assert n == 0 if values.max() == 0 else n > 25
    expected = 1 + np.searchsorted(cut[0, :n], memory[:, 0], side="right")
    assert place[:, 0].tolist() == expected.tolist()
